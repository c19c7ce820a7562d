"""What a process group still does: told of real processes, and judged on made-up figures."""

import os
import re
import signal
import subprocess
import time

import pytest

from lsyncd_lite.system.progress import Signs, has_moved, signs

REST = Signs(1000, 10, 50, False)


@pytest.mark.parametrize("after, moved", [
    (REST, False),
    (REST._replace(moved=1000 + 1024), False),   # keep-alives
    (REST._replace(moved=1000 + 1025), True),
    (REST._replace(ticks=11), True),
    (REST._replace(switches=60), False),         # time-outs
    (REST._replace(switches=61), True),
    (REST._replace(moved=0), True),              # one of the group has ended
    (REST._replace(switches=0), True),
    (REST._replace(blocked=True), False),
])
def test_what_counts_as_a_sign_of_life(after, moved):
    assert has_moved(REST, after) is moved


@pytest.fixture
def group():
    """Start a shell text in a process group of its own: `group(text)` returns the number of the group."""
    started = []

    def start(text):
        started.append(subprocess.Popen(["sh", "-c", text], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True))
        return started[-1].pid
    yield start
    for one in started:
        os.killpg(one.pid, signal.SIGKILL)
        one.wait()


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def of(pid):
    return signs({pid}).get(pid)


def two_sleep(group):
    """Tell whether the two sleeps of a group, and the shell that waits for them, have come to rest."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % int(name)) as file:
                found.append(re.match(r"\d+ \((.*)\) (.) \d+ (\d+)", file.read()).groups())
        except (ValueError, OSError):
            pass  # no process, or it has ended meanwhile
    return sorted(one[:2] for one in found if one[2] == str(group)) == [("sh", "S"), ("sleep", "S"), ("sleep", "S")]


def test_work_of_any_member_is_seen(group):
    busy = group("(while :; do echo x; done >/dev/null) & wait")
    idle = group("sleep 1000 & sleep 1000 & wait")
    until(lambda: of(busy) and of(idle) and two_sleep(idle))
    rest, before = of(idle), of(busy)
    until(lambda: has_moved(before, of(busy)))
    assert not has_moved(rest, of(idle))


def test_reading_is_work(group):
    pid = group("while :; do head -c 100000 /dev/zero; sleep 0.05; done")
    until(lambda: of(pid))
    before = of(pid)
    until(lambda: of(pid).moved - before.moved > 100000)


def test_who_waits_for_the_other_end_of_a_fifo_is_seen(group, tmp_path):
    os.mkfifo(str(tmp_path / "fifo"))
    pid = group("cat %s & wait" % (tmp_path / "fifo"))
    if not os.path.exists("/proc/self/wchan"):
        pytest.skip("this kernel tells no wchan")
    until(lambda: of(pid) and of(pid).blocked)
    other = group("sleep 1000")
    until(lambda: of(other))
    assert not of(other).blocked


def test_nobody_is_nobody():
    assert signs(set()) == {} and signs({2 ** 22 + 1}) == {}


def test_names_of_programs_do_not_matter(group, tmp_path):
    for name in (") 1 2 3 (", "a b", "S 0 0"):
        path = tmp_path / name
        path.write_bytes(open("/bin/sleep", "rb").read())
        path.chmod(0o755)
        pid = group("exec '%s' 1000" % path)
        until(lambda: of(pid) is not None)


def test_ssh_counts_by_what_it_carries_only(group, tmp_path):
    (tmp_path / "ssh").write_bytes(open("/bin/sleep", "rb").read())
    (tmp_path / "ssh").chmod(0o755)
    pid = group("exec %s/ssh 1000" % tmp_path)
    until(lambda: of(pid) and of(pid)[1:] == (0, 0, False))
