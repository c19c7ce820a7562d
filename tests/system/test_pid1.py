"""The daemon as PID 1 of a container: it ends when it is told to, reaps what is orphaned, and logs to its standard output."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import LIMIT, LOG_LINE, ROOT, descendants, environment, make, sync, tree, wait_for

pytestmark = pytest.mark.skipif(not ROOT or not shutil.which("unshare"), reason="a PID 1 of our own needs root and unshare")

# --kill-child: the namespace ends with the test, whatever becomes of the daemon.
FIRST = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def first(one):
    """Return the pid, as we see it, of the process that is PID 1 in there."""
    def look():
        for pid in descendants(one.pid)[:1]:
            numbers = re.search(r"(?m)^NSpid:\s(.*)$", Path("/proc/%d/status" % pid).read_text()).group(1).split()
            if numbers[-1] == "1":
                return pid
        return None
    return wait_for(look, "a PID 1")


def zombies(pid):
    """Return the pids of the children of a process that have ended and are not reaped."""
    found = []
    for child in descendants(pid):
        try:
            if re.search(r"(?m)^State:\sZ", Path("/proc/%d/status" % child).read_text()):
                found.append(child)
        except OSError:
            pass  # reaped
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_sends_what_is_pending_and_ends_with_the_signal_in_its_status(daemon, src, dst, number):
    make(src, "a")
    one = daemon(sync(src, dst, delay=3600), settings={"logfile": "/dev/stdout"}, options=(), prefix=FIRST)
    pid = first(one)
    make(src, "b")
    one.wait_status(delays=lambda count: count > 0)
    os.kill(pid, number)
    assert one.ended() == 128 + number
    assert tree(src) == tree(dst)
    lines = one.output().splitlines()
    assert all(LOG_LINE.fullmatch(line) for line in lines) and lines[-1].endswith("Normal: ended by signal %d" % number)


def test_it_ends_while_it_has_not_even_read_its_configuration(daemon, tmp_path):
    os.mkfifo(str(tmp_path / "conf"))  # to which nobody writes
    one = daemon(argv=[tmp_path / "conf"], prefix=FIRST)
    pid = first(one)

    def listens():
        caught = re.search(r"(?m)^SigCgt:\s(.*)$", Path("/proc/%d/status" % pid).read_text()).group(1)
        return int(caught, 16) >> signal.SIGTERM - 1 & 1
    wait_for(listens, "a handler")
    os.kill(pid, signal.SIGTERM)
    assert one.ended() == 128 + signal.SIGTERM


def test_a_pass_ends_with_0(daemon, src, dst):
    make(src, "a")
    one = daemon(argv=["-onepass", "-direct", src, dst], prefix=FIRST)
    assert one.ended() == 0 and tree(src) == tree(dst)


def test_it_stays_in_the_foreground_though_nobody_says_so(daemon, src, dst, tmp_path):
    """A container ends with its PID 1, so that there is no terminal to leave."""
    make(src, "a")
    one = daemon(sync(src, dst, "www"), prefix=FIRST, wait=False)
    assert one.stop(signal.SIGKILL)
    conf = one.conf
    with open(str(tmp_path / "said"), "wb") as out:
        one.process = subprocess.Popen([*FIRST, sys.executable, "-m", "lsyncd_lite", str(conf)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       env=environment(tmp_path))
    one.wait_equal(src, dst)
    one.configure(sync(src, dst, "www"), settings={"statusInterval": 0.2})
    os.kill(first(one), signal.SIGHUP)
    one.wait_log("configuration read again")
    make(src, "b")
    one.wait_equal(src, dst)
    os.kill(first(one), signal.SIGTERM)
    assert one.ended() == 128 + signal.SIGTERM
    assert "Normal: ended by signal 15" in (tmp_path / "said").read_text()


def test_orphans_are_reaped_whoever_has_left_them(daemon, src, dst, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    orphan = "(while [ -e %s ]; do sleep 0.05; done; : > %s/$(readlink /proc/self)) >/dev/null 2>&1 &" % (tmp_path / "hold", marks)
    make(tmp_path, "hold")
    one = daemon(sync(src, dst, onBatch={"after": "%s\n%s\n%s" % (orphan, orphan, orphan)}), prefix=FIRST)
    pid = first(one)
    make(src, "a")
    wait_for(lambda: sum(Path("/proc/%d/stat" % child).read_text().rpartition(")")[2].split()[1] == str(pid) for child in descendants(pid)) >= 3,
             "three orphans, adopted")
    (tmp_path / "hold").unlink()
    wait_for(lambda: len(os.listdir(str(marks))) >= 3, "the end of the orphans")
    wait_for(lambda: not zombies(pid), lambda: "zombies: %s" % zombies(pid))
    make(src, "b")
    one.wait_equal(src, dst)
    assert "Traceback" not in one.output() and "defect" not in one.log()
    os.kill(pid, signal.SIGTERM)
    assert one.ended() == 128 + signal.SIGTERM


def test_a_second_signal_ends_what_hangs(daemon, src, dst, tmp_path):
    make(tmp_path, "hang", text="#!/bin/sh\ntrap '' TERM\n: > %s\nwhile :; do sleep 1; done\n" % (tmp_path / "hangs"))
    (tmp_path / "hang").chmod(0o755)
    one = daemon(sync(src, dst, onBatch={"before": str(tmp_path / "hang")}), prefix=FIRST, wait=False)
    one.wait_path(tmp_path / "hangs")
    pid = first(one)
    os.kill(pid, signal.SIGTERM)
    one.wait_log("sending what is pending")
    os.kill(pid, signal.SIGTERM)
    assert one.ended() == 128 + signal.SIGTERM
    wait_for(lambda: not descendants(one.pid), "the end of all")


def test_what_it_has_left_on_a_volume_does_not_stop_the_next_one(daemon, src, dst, tmp_path):
    """A container that is killed leaves a pidfile that names 1, and the next is 1 again."""
    make(src, "a")
    pidfile = tmp_path / "pid"
    one = daemon(sync(src, dst), settings={"pidfile": str(pidfile)}, prefix=FIRST)
    os.kill(first(one), signal.SIGKILL)
    one.ended()
    assert pidfile.read_text() == "1\n"
    make(src, "b")
    two = daemon(sync(src, dst), settings={"pidfile": str(pidfile)}, prefix=FIRST)
    two.wait_equal(src, dst)
    os.kill(first(two), signal.SIGTERM)
    assert two.ended() == 128 + signal.SIGTERM and not pidfile.exists()


def test_it_is_told_to_end_by_a_shell_that_has_become_it(daemon, src, dst):
    """`sh -c "exec lsyncd-lite …"`, as images have it."""
    make(src, "a")
    one = daemon(sync(src, dst), prefix=FIRST + ("sh", "-c", 'exec "$@"', "sh"))
    os.kill(first(one), signal.SIGTERM)
    assert one.ended(LIMIT) == 128 + signal.SIGTERM and subprocess.run(["kill", "-0", str(one.pid)], stderr=subprocess.DEVNULL).returncode
