#!/usr/bin/env python3
"""Measure our daemon and the installed lsyncd side by side and print markdown tables.

Owns: what is measured of rsync mode (the rest is in modes.py), the wanted figures and the tables. Asserts nothing and is no part of
the test run.
A figure is the median of the runs. CPU is counted until the target is equal *and* the daemon rests; wall seconds are coarse,
as the target is only looked at a few times a second. Three runs take a quarter of an hour, --quick (a tenth of the size) ten
minutes; where CPU is below 0.05 s, as with --quick, ratios mean little. On ext4, figures of "burst" are several times too high for
some minutes after many files were removed (as by the run before): compare with its row "burst-by-hand", or use --dir /dev/shm.
"""
import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import modes
from bench import LIMIT, Bench, arrived, count, make_files, say, trickle, write
from daemons import install, install_as_packages_do, wait_until

# (measurement, row, [(what is compared, ours / lsyncd at most)]); "both" is daemon and children together
COMPARED = [
    ("startup", "startup", [("daemon", 0.30)]),
    ("burst", "burst", [("daemon", 0.25), ("both", 0.40)]),
    ("burst", "removal", [("both", 0.15)]),
    ("slow-target", "slow-target", [("daemon", 0.10)]),
    ("slow-target", "slow-target-twice", [("daemon", 0.10)]),
    ("one-in-many", "one-in-many", [("children", 0.10)]),
] + modes.COMPARED
# (measurement, row, unit, wanted of ours)
PLAIN = [
    ("startup", "rss-empty", "MiB", "<= 14"),
    ("startup", "rss-per-directory", "bytes", "<= 200"),
    ("burst", "burst-by-hand", "CPU s of one plain rsync of the same files", "-"),
    ("slow-target", "slow-target-linearity", "daemon CPU, twice / once", "about 2"),
    ("idle", "idle-cpu", "ms", "0"),
    ("idle", "idle-wakeups", "times", "0, but one a minute"),
    ("installed", "installed-rss", "MiB resident", "<= 14"),
    ("installed", "installed-pss", "MiB, its share of it", "-"),
    ("installed", "installed-start", "ms of CPU until it rests", "-"),
] + modes.PLAIN


def startup(bench):
    """50 000 directories, init = false: CPU until all are watched, and memory; memory with an empty source."""
    def empty_source(side, daemon):
        bench.add(side, "rss-empty", daemon.status("VmRSS") / 1024)

    def once(side, daemon):
        bench.add(side, "startup", daemon.ready.own, daemon.ready.children, daemon.ready.at - daemon.started)
        more = daemon.status("VmRSS") / 1024 - (bench.median(side, "rss-empty") or [0])[0]
        bench.add(side, "rss-per-directory", more * 1024 * 1024 / number)
        write(probe, 1)
        if not wait_until(lambda: arrived(bench, [probe], 1), 60):
            bench.note(side, "startup", "a file in the last directory did not arrive")
        os.unlink(probe)

    bench.empty()
    bench.in_turns("rss-empty", 1, empty_source, lambda: None)
    number, item = 1, ""
    for top in range(bench.scale(50)):
        for place in range(1000):
            item = os.path.join("project-{:02d}".format(top), "module-{:02d}".format(place // 100), "item-{:04d}".format(place))
            os.makedirs(os.path.join(bench.source, item))
        number += 1 + 10 + 1000
    probe = os.path.join(bench.source, item, "probe")
    bench.in_turns("startup", number, once, bench.align)


def burst(bench):
    """20 000 files in 1 000 directories appear at once, delay 1; then they go by rm -rf.

    With the full sync at start-up, which costs nothing here, as lsyncd starts over when the kernel's queue overflows: with init = false
    it would never get equal again.
    """
    directories, kept = bench.scale(1000), []

    def appear(side, daemon):
        last = os.path.join(bench.target, "burst", "directory-{:04d}".format(directories - 1), "file-00019")
        bench.measure(side, "burst", daemon, lambda: make_files(os.path.join(bench.source, "burst"), directories, 20),
                      lambda: os.path.exists(last) and count(bench.target) == 1 + directories * 21)
        kept.append((bench.source, bench.target))

    def take_kept():
        bench.source, bench.target = kept.pop()
        bench.align()

    def go(side, daemon):
        bench.measure(side, "removal", daemon, lambda: subprocess.check_call(["rm", "-rf", os.path.join(bench.source, "burst")]),
                      lambda: not os.listdir(bench.target))

    for _ in range(bench.options.runs):
        bench.empty()
        make_files(os.path.join(bench.source, "burst"), directories, 20)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.check_call(["rsync", "-ltsr", bench.source + "/", bench.target + "/"])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        bench.add("lsyncd", "burst-by-hand", after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    bench.in_turns("burst", 1, appear, bench.empty, init=True)
    bench.in_turns("removal", 1 + 1 + directories, go, take_kept, init=True)


def slow_target(bench):
    """5 000 and 10 000 existing files in 50 directories change within 8 s while each batch takes 5 s more than rsync."""
    binary, size = os.path.join(bench.work, "slow-rsync"), 100
    with open(binary, "w") as file:
        file.write("#!/bin/sh\nsleep 5\nexec rsync \"$@\"\n")
    os.chmod(binary, 0o755)

    def once(side, daemon):
        nonlocal size
        size += 1   # no two runs write the same, so nothing is equal by chance
        bench.measure(side, row, daemon, lambda: trickle(paths, size, 8.0), lambda: arrived(bench, paths, size))

    for row, each in (("slow-target", bench.scale(5000) // 50), ("slow-target-twice", bench.scale(10000) // 50)):
        bench.empty()
        made = make_files(bench.source, 50, each)
        paths = [path for f in range(each) for path in made[f::each]]      # one of each directory in turn
        bench.in_turns(row, 51, once, bench.align, binary=binary)


def one_in_many(bench):
    """One changed file in a directory of 50 000: the mean of ten such changes."""
    bench.empty()
    path = make_files(bench.source, 1, bench.scale(50000))[-7]

    def once(side, daemon):
        bench.measure(side, "one-in-many", daemon, lambda: write(path, os.stat(path).st_size + 1),
                      lambda: arrived(bench, [path], os.stat(path).st_size), times=10)

    bench.in_turns("one-in-many", 2, once, bench.align)


def idle(bench):
    """1 000 watched directories, nothing happens for 20 s."""
    bench.empty()
    make_files(bench.source, bench.scale(1000), 5)

    def once(side, daemon):
        before, woken = daemon.usage().own, daemon.status("voluntary_ctxt_switches")
        time.sleep(5 if bench.options.quick else 20)
        bench.add(side, "idle-cpu", 1000 * (daemon.usage().own - before))
        bench.add(side, "idle-wakeups", daemon.status("voluntary_ctxt_switches") - woken)

    bench.in_turns("idle-cpu", bench.scale(1000) + 1, once, bench.align)


def installed(bench):
    """As the packages install it, on /usr/bin/python3: 10 directories, their full sync, then rest: memory and the CPU of the start."""
    bench.empty()
    make_files(bench.source, 10, 5)
    command = install_as_packages_do(bench.work)

    def once(side, daemon):
        resident, share = daemon.memory()
        bench.add(side, "installed-rss", resident)
        bench.add(side, "installed-pss", share)
        bench.add(side, "installed-start", 1000 * daemon.ready.own)

    bench.in_turns("installed-rss", 11, once, bench.align, init=True, command=command)


MEASUREMENTS = {"startup": startup, "burst": burst, "slow-target": slow_target, "one-in-many": one_in_many, "idle": idle, "installed": installed,
                **modes.MEASUREMENTS}


def compared_line(bench, row, wanted):
    figures = [bench.median(side, row) for side in ("ours", "lsyncd")]
    cells, ratios = [], []
    for figure in figures:
        if figure is None:
            cells.append("- | - | -")
            continue
        wall = "{:.1f}".format(figure[2]) if figure[2] < float("inf") else "not equal after {} s".format(LIMIT)
        cells.append("{:.3f} | {:.3f} | {}".format(figure[0], figure[1], wall))
    for what, most in wanted if all(figures) else ():
        ours, theirs = ({"daemon": own, "children": children, "both": own + children}[what] for own, children, _ in figures)
        ratio = ours / theirs if theirs else float("nan")
        ratios.append("{} {:.3f}{}".format(what, ratio, "" if ratio <= most else " MISSED"))
    return "| {} | {} | {} | {} |".format(row, " | ".join(cells), ", ".join(ratios) or "-", ", ".join("{} <= {}".format(*w) for w in wanted))


def plain_line(bench, row, unit, wanted):
    figures = [bench.median(side, row) for side in ("ours", "lsyncd")]
    return "| {} ({}) | {} | {} |".format(row, unit, " | ".join("{:.2f}".format(f[0]) if f else "-" for f in figures), wanted)


def report(bench, names):
    for side in ("ours", "lsyncd"):
        once, twice = (bench.median(side, row) for row in ("slow-target", "slow-target-twice"))
        if once and twice:
            bench.add(side, "slow-target-linearity", twice[0] / once[0])
    print("\nMedians of {} runs{}; python {}.\n".format(
        bench.options.runs, " at a tenth of the size" if bench.options.quick else "", bench.options.python))
    print("| measurement | ours: daemon CPU s | children CPU s | wall s | lsyncd: daemon CPU s | children CPU s | wall s | ours / lsyncd | wanted |")
    print("|---" * 9 + "|")
    for row, wanted in [line[1:] for line in COMPARED if line[0] in names]:
        print(compared_line(bench, row, wanted))
    print("\n| figure | ours | lsyncd | wanted of ours |\n|---|---|---|---|")
    for row, unit, wanted in [line[1:] for line in PLAIN if line[0] in names]:
        print(plain_line(bench, row, unit, wanted))
    print()
    for (side, row), texts in bench.notes.items():
        print("- note on {}, {}: {}".format(side, row, "; ".join(sorted(set(texts)))))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", action="append", choices=sorted(MEASUREMENTS), help="may be given several times")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--side", action="append", choices=["ours", "lsyncd"], help="only this daemon")
    parser.add_argument("--python", default=sys.executable, help="interpreter of our daemon")
    parser.add_argument("--dir", help="where the temporary trees go: room for 700 000 inodes")
    options = parser.parse_args()
    names = [name for name in MEASUREMENTS if not options.only or name in options.only]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that daemons and trees go here too
    work = tempfile.mkdtemp(prefix="lsyncd-lite-bench.", dir=options.dir)
    bench = Bench(work, options)
    try:
        install(options.python, work)
        for name in names:
            say("{}: {}".format(name, MEASUREMENTS[name].__doc__.split("\n")[0]))
            MEASUREMENTS[name](bench)
    finally:    # also after Ctrl-C: what is measured so far is worth having
        report(bench, names)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
