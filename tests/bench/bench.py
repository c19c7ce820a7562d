"""Where and how large a measurement is, the trees it needs, and the figures it brings.

Must not know what is measured or what a good figure is: that is run.py and modes.py.
"""
import os
import statistics
import subprocess
import sys
import time

from daemons import Daemon, wait_until

LIMIT = 300     # seconds that any single wait may take


class Bench:
    """Where and how large: hands out trees and daemons, collects figures and notes by (side, row), one figure a run."""

    def __init__(self, work, options):
        self.work, self.options, self.trees = work, options, 0
        self.source = self.target = None
        self.figures, self.notes = {}, {}

    def scale(self, number):
        return max(1, number // 10) if self.options.quick else number

    def in_turns(self, row, directories, once, prepare, **settings):
        """prepare(), then once(side, daemon) with a daemon that watches that many directories; for each side in turn, as often as
        there are runs, so that a busy machine hits both alike."""
        for side in (self.options.side or ["lsyncd", "ours"]) * self.options.runs:
            try:
                prepare()
                with Daemon(side, self.options.python, self.work, self.source, self.target, **settings) as daemon:
                    daemon.ready = daemon.wait_watching(directories, LIMIT)
                    once(side, daemon)
            except (RuntimeError, OSError) as error:    # as a daemon that ends: the other runs are still worth having
                self.note(side, row, "no figure of one run: {}".format(error))

    def empty(self):
        """Go to another source and target. Nothing is removed before the end: for minutes after 20 000 files have gone, ext4 takes
        several times the CPU to make a file, as it steps over inodes deleted a short while ago one by one."""
        self.trees += 1
        self.source, self.target = (os.path.join(self.work, str(self.trees), name) for name in ("source", "target"))
        os.makedirs(self.source)
        os.mkdir(self.target)

    def align(self):
        """Make the target equal, whatever the run before left, by an rsync of our own."""
        subprocess.check_call(["rsync", "-a", "--delete", self.source + "/", self.target + "/"])

    def add(self, side, row, *figure):
        self.figures.setdefault((side, row), []).append(figure)
        say("{} {}: {}".format(side, row, " ".join(map("{:.3f}".format, figure))))

    def note(self, side, row, text):
        self.notes.setdefault((side, row), []).append(text)

    def median(self, side, row):
        """Medians of the runs, column by column; None without any."""
        return [statistics.median(column) for column in zip(*self.figures.get((side, row), []))] or None

    def measure(self, side, row, daemon, change, equal, times=1):
        """Add what one `change` costs the daemon, until equal() and at rest: the mean of `times` changes, one after another."""
        before = daemon.usage()
        for _ in range(times):
            start = time.monotonic()
            change()
            done = wait_until(lambda: equal() or not daemon.alive(), LIMIT, 0.3)
            wall = time.monotonic() - start if done else float("inf")
            after = daemon.settle(2.0)
        self.add(side, row, (after.own - before.own) / times, (after.children - before.children) / times, wall)
        different = subprocess.run(["diff", "-rq", self.source, self.target], stdout=subprocess.PIPE).stdout.count(b"\n")
        for count, what in ((different, "differences at the end"), (daemon.restless, "times not at rest after 120 s"), daemon.trouble()):
            if count:
                self.note(side, row, "{} {}".format(count, what))


def say(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def count(tree):
    return sum(len(directories) + len(files) for _, directories, files in os.walk(tree))


def write(path, size):
    with open(path, "wb") as file:
        file.write(b"x" * size)


def make_files(top, directories, each):
    """Directories with files in them, below top; the paths of the files."""
    paths = []
    for d in range(directories):
        here = os.path.join(top, "directory-{:04d}".format(d))
        os.makedirs(here)
        for f in range(each):
            paths.append(os.path.join(here, "file-{:05d}".format(f)))
            write(paths[-1], 100)
    return paths


def trickle(paths, size, seconds):
    """Write all paths within some seconds, in small groups."""
    start = time.monotonic()
    for number, path in enumerate(paths):
        ahead = start + seconds * number / len(paths) - time.monotonic()
        if ahead > 0.05:
            time.sleep(ahead)
        write(path, size)


def arrived(bench, paths, size):
    """Whether all paths have this size on the target; looks at the last one first."""
    try:
        return all(os.stat(bench.target + path[len(bench.source):]).st_size == size for path in reversed(paths))
    except FileNotFoundError:
        return False
