"""One daemon under measurement, ours or the installed lsyncd, and what /proc knows about it.

Owns: the two configuration dialects, start and end of the process, its CPU, memory, watches and children.
Must not know what is measured or what a good figure is: that is run.py.

CPU of the daemon itself is /proc/PID/task/*/schedstat (nanoseconds), with utime+stime (ticks of 10 ms) where a kernel has none.
CPU of its children is cutime+cstime (proc(5)): the children it has reaped, with those that these have reaped.
"""
import collections
import os
import re
import shutil
import signal
import subprocess
import time

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TICK = 1.0 / os.sysconf("SC_CLK_TCK")
TROUBLE = re.compile(r"error|warn|overflow|traceback|fatal|terminating", re.I)

Usage = collections.namedtuple("Usage", "own children at")      # seconds of CPU, seconds of CPU, time.monotonic()


def wait_until(condition, limit, every=0.2):
    """Ask condition() each `every` seconds; its last answer, which is false after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        answer = condition()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(every)


def ini(keys):
    """The text of a configuration of ours; keys is the table of a sync, tables within it have dotted keys."""
    return "[sync bench]\n" + "".join("{} = {}\n".format(key, "yes" if value is True else "no" if value is False else value)
                                      for key, value in keys.items())


def lua(keys):
    """The same for lsyncd, which calls a mode default.MODE."""
    def words(value):
        return str(value).lower() if isinstance(value, (bool, int)) else '"{}"'.format(value)

    items = ["default." + keys["mode"]]
    items += ["{} = {}".format(key, words(value)) for key, value in keys.items() if key != "mode" and "." not in key]
    items += ["{} = {{ {} = {} }}".format(*(key.split(".") + [words(value)])) for key, value in keys.items() if "." in key]
    return "settings {{ nodaemon = true }}\nsync {{ {} }}\n".format(", ".join(items))


def install(python, work):
    """Put a compiled copy of ours below `work`: nothing is written into the checkout, and what is edited there meanwhile is not run."""
    shutil.copytree(os.path.join(CHECKOUT, "lsyncd_lite"), os.path.join(work, "ours", "lsyncd_lite"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.check_call([python, "-m", "compileall", "-q", "lsyncd_lite"], cwd=os.path.join(work, "ours"))


def install_as_packages_do(work):
    """The same, compiled for the distribution's own Python; return the start of the command line of the packages' command."""
    python, place = "/usr/bin/python3", os.path.join(work, "installed")
    install(python, place)
    with open(os.path.join(CHECKOUT, "contrib", "lsyncd-lite")) as file:
        first, rest = file.read().split("\n", 1)
    command = os.path.join(place, "lsyncd-lite")
    with open(command, "w") as file:
        file.write(rest.replace("/usr/share/lsyncd-lite", os.path.join(place, "ours")))
    return [python, *first.split()[1:], command]


class Daemon:
    """A daemon in the foreground, mirroring source to target. Use as a context manager: it ends at the end of the block.

    `side` is "ours" or "lsyncd"; `python` the interpreter of ours; configuration and log go to the directory `work`. `programs` is a
    directory that comes first on its PATH; `command` the start of its command line. With mode rsyncssh the target is that directory of 127.0.0.1.
    """

    def __init__(self, side, python, work, source, target, mode="rsync", delay=1, init=False, binary=None, programs=None, command=None):
        config = os.path.join(work, side + (".ini" if side == "ours" else ".lua"))
        keys = {"mode": mode, "source": source, "delay": delay}
        keys.update({"host": "127.0.0.1", "targetdir": target} if mode == "rsyncssh" else {"target": target})
        if not init:    # lsyncd 2.2.3 ends with a Lua error when told init = true
            keys["init"] = False
        if binary:
            keys["rsync.binary"] = binary
        if programs:    # lsyncd's rsync takes ssh from the PATH, itself it does not
            keys["ssh.binary"] = os.path.join(programs, "ssh")
        with open(config, "w") as file:
            file.write((ini if side == "ours" else lua)(keys))
        argv = (command or [python, "-m", "lsyncd_lite"]) if side == "ours" else ["lsyncd"]
        self.restless = 0       # how often settle() gave up
        self.log = os.path.join(work, side + ".log")
        self.started = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(argv + ["-nodaemon", config], cwd=os.path.join(work, "ours"), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT,
                                            env=dict(os.environ, PATH=os.pathsep.join(filter(None, [programs, os.environ["PATH"]]))))
        self.proc = "/proc/{}/".format(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def _read(self, name):
        with open(self.proc + name) as file:
            return file.read()

    def alive(self):
        return self.process.poll() is None

    def usage(self):
        """Usage now. Raises RuntimeError when the daemon has ended."""
        if not self.alive():
            raise RuntimeError(self.last_words())
        utime, stime, cutime, cstime = map(int, self._read("stat").rpartition(")")[2].split()[11:15])
        try:
            own = sum(int(self._read("task/{}/schedstat".format(task)).split()[0]) for task in os.listdir(self.proc + "task")) / 1e9
        except OSError:
            own = (utime + stime) * TICK
        return Usage(own, (cutime + cstime) * TICK, time.monotonic())

    def status(self, field):
        """A number of /proc/PID/status, such as VmRSS (KiB) or voluntary_ctxt_switches."""
        return int(re.search(field + r":\s*(\d+)", self._read("status")).group(1))

    def memory(self):
        """(resident, proportional share of it) in MiB."""
        text = self._read("smaps_rollup")
        return tuple(int(re.search(field + r":\s*(\d+)", text).group(1)) / 1024 for field in ("Rss", "Pss"))

    def watches(self):
        """Number of inotify watches. The kernel holds the lock of the watches meanwhile: ask an idle daemon only."""
        for fd in os.listdir(self.proc + "fd"):
            if os.readlink(self.proc + "fd/" + fd) == "anon_inode:inotify":
                with open(self.proc + "fdinfo/" + fd, "rb") as info:
                    return info.read().count(b"inotify wd:")
        return 0

    def children(self):
        return [int(pid) for task in os.listdir(self.proc + "task") for pid in self._read("task/{}/children".format(task)).split()]

    def settle(self, quiet, limit=120):
        """Wait until it had no child and used no CPU worth counting for `quiet` seconds: the Usage then, at the time when it last did."""
        last, end = self.usage(), time.monotonic() + limit
        while time.monotonic() < end:
            time.sleep(0.1)
            now = self.usage()
            if self.children() or now.children != last.children or now.own - last.own > 0.002:
                last = now
            elif now.at - last.at > quiet:
                return now._replace(at=last.at)
        self.restless += 1
        return now

    def wait_watching(self, number, limit):
        """Wait until `number` directories are watched and it rests; when that was, as a Usage. RuntimeError after `limit` seconds."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            last = self.settle(0.7)
            if self.watches() >= number:
                return last
        raise RuntimeError("only {} of {} watches after {} s".format(self.watches(), number, limit))

    def trouble(self):
        """What the log complains about: (number of lines, words with the first of them)."""
        with open(self.log, errors="replace") as log:
            lines = [line.strip() for line in log if TROUBLE.search(line)]
        return len(lines), "suspicious lines in the log, as: " + "".join(lines[:1])[:110]

    def last_words(self):
        with open(self.log, errors="replace") as log:
            return "ended with {}: {}".format(self.process.returncode, " / ".join(log.read().strip().split("\n")[-3:]))

    def stop(self):
        """TERM, then KILL for it and for the children it leaves."""
        if not self.alive():
            return
        left = self.children()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            left += self.children()
            self.process.kill()
            self.process.wait()
            for pid in set(left):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass    # it has ended with its parent
