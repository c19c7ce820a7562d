"""What a command prints: bounded, and nothing left of it."""

import os
import signal
import time

import pytest

from lsyncd_lite.system import printed as module
from lsyncd_lite.system.printed import printed


def sh(text):
    return [b"/bin/sh", b"-c", text.encode()]


def test_what_it_prints_is_returned_and_what_it_says_otherwise_is_not():
    assert printed(sh("echo a; echo nonsense >&2; printf 'b\\0\\377'")) == b"a\nb\0\xff"
    assert printed(sh("head -c 1048576 /dev/zero")) == bytes(1 << 20)


def test_it_reads_nothing_and_is_told_nothing_that_is_for_us(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    assert printed(sh('cat; echo "<$NOTIFY_SOCKET>"')) == b"<>\n"


@pytest.mark.parametrize("text, words", [
    ("echo web1; echo first >&2; echo 'no inventory\t!' >&2; exit 3", r"the command ended with 3: no inventory\t!"),
    ("exit 4", "the command ended with 4"),
    ("kill -9 $$", "the command was killed by signal 9"),
    ("exec 1>&-; sleep 0.1; echo late >&2; exit 5", "the command ended with 5: late"),
    ("head -c 1048577 /dev/zero; sleep 60", "the command prints more than 1048576 bytes: it was ended"),
])
def test_what_fails_is_told_with_its_last_line(text, words):
    with pytest.raises(ValueError) as caught:
        printed(sh(text))
    assert str(caught.value) == words


def test_a_program_that_is_not_there_leaves_no_descriptor():
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ValueError, match="cannot run /there/is/none: No such file or directory"):
        printed([b"/there/is/none"])
    assert os.listdir("/proc/self/fd") == before


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("text", ["sleep 60 & echo $! > {0}; wait", "exec 1>&-; sleep 60 & echo $! > {0}; wait",
                                  "trap '' TERM; sleep 60 & echo $! > {0}; sleep 60",
                                  "sleep 60 >/dev/null 2>&1 & echo $! > {0}; echo done"])
def test_what_it_has_started_ends_with_it(text, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 0.5)
    breaths = []
    ends_well = text.endswith("done")
    try:
        assert printed(sh(text.format(tmp_path / "pid")), lambda: breaths.append(1)) == b"done\n"
        assert ends_well
    except ValueError as error:
        assert "it was ended" in str(error) and not ends_well
    pid = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 10
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(pid)
    assert ends_well or breaths or text.startswith("exec 1")  # which is waited for, but for a tenth of the time
    with pytest.raises(ChildProcessError):  # it was waited for
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)


def test_whoever_ignores_a_broken_pipe_does_not_make_it_do_so():
    old = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        assert printed(sh("yes | head -n 1")) == b"y\n"
    finally:
        signal.signal(signal.SIGPIPE, old)
