"""Signals, children and their groups, limits of processes, what children print."""

import os
import re
import shutil
import signal
import socket
from pathlib import Path

import pytest

from harness import ROOT, make, processes, sync, wait_for


def script(path, text):
    """Write an executable shell script that may stand for rsync; probes get the real one."""
    path.write_text('#!/bin/sh\ncase " $* " in *" -n "*) exec rsync "$@" ;; esac\n' + text)
    path.chmod(0o755)
    return str(path)


# ---- ends --------------------------------------------------------------------------------------

@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"])
def test_the_exit_status_tells_the_signal(number, status, src, dst, daemon):
    make(src, "a")
    assert daemon(sync(src, dst)).stop(number) == status


def test_term_waits_for_the_rsync_that_runs(src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, rsync={"binary": binary.path}))
    binary.hold()
    make(src, "b")
    running.wait_status("sync1", in_flight="1")
    make(src, "c")
    running.kill(signal.SIGTERM)
    running.wait_log("(?i)TERM|terminat|signal")
    assert running.running()
    binary.release()
    assert running.ended() == 143
    running.wait_equal(src, dst)


def test_a_probe_that_fails_while_the_daemon_ends_is_not_repeated(src, daemon):
    make(src, "a")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)  # and never says a word
        running = daemon(sync(src, "rsync://127.0.0.1:%d/data" % deaf.getsockname()[1]), options=["-insist", "-log", "Exec"],
                         wait=False)
        running.wait_log("Exec: ")
        running.kill(signal.SIGTERM)
        running.wait_log("(?i)TERM|terminat|signal")
    assert running.ended() == 143
    assert running.log().count("Exec: ") <= 2


@pytest.mark.parametrize("code", [23, 24, "KILL", 12])
def test_what_is_pending_is_tried_though_the_batch_before_it_failed(code, src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, rsync={"binary": binary.path}))
    binary.hold()
    binary.fail(code, times=1)
    make(src, "b")
    running.wait_status("sync1", in_flight="1")
    make(src, "c")
    running.wait_status("sync1", in_flight="1", delays=1)
    running.kill(signal.SIGTERM)
    running.wait_log("(?i)TERM|terminat|signal")
    binary.release()
    assert running.ended() == 143
    running.wait_equal(src, dst)


def test_a_file_that_cannot_be_read_does_not_keep_the_others_back_at_the_end(src, dst, daemon, obeys_modes):
    make(src, "a")
    running = daemon(sync(src, dst), prefix=obeys_modes)
    for name in ("secret", "another"):
        make(src, name)
        os.chmod(str(src / name), 0)
        running.wait_log(name)
    make(src, "b")
    assert running.stop() == 143
    assert (dst / "b").exists()


STUBBORN = """
[ -e %(folder)s/stubborn ] || exec rsync "$@"
trap '' TERM INT HUP
(trap '' TERM INT HUP; while :; do sleep 1; done) &
: > %(folder)s/started
while :; do sleep 1; done
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_the_shutdown_timeout_ends_children_and_grandchildren_that_do_not_end(number, tmp_path, src, dst, daemon):
    make(src, "a")
    binary = script(tmp_path / "stubborn-rsync", STUBBORN % {"folder": tmp_path})
    running = daemon(sync(src, dst, rsync={"binary": binary}), settings={"shutdownTimeout": 1})
    (tmp_path / "stubborn").touch()
    make(src, "b")
    running.wait_path(tmp_path / "started")
    assert running.stop(number) == 128 + number
    wait_for(lambda: not processes(tmp_path), lambda: "nothing left of %s" % processes(tmp_path))


def test_what_cannot_be_sent_does_not_keep_the_daemon_from_ending(src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, rsync={"binary": binary.path}))
    binary.fail(10)
    make(src, "b")
    running.wait_status("sync1", state="waiting")
    before = len(binary.calls())
    assert running.stop() == 143
    assert len(binary.calls()) <= before + 2


def test_a_target_that_never_answered_does_not_keep_the_daemon_from_ending(src, daemon):
    make(src, "a")
    running = daemon(sync(src, "rsync://127.0.0.1:1/data"), options=["-insist", "-log", "Exec"], wait=False)
    running.wait_status("sync1", state="waiting")
    before = running.log().count("Exec: ")
    assert running.stop() == 143
    assert running.log().count("Exec: ") <= before + 2


# ---- children ----------------------------------------------------------------------------------

FACTS = """
for name in status stat; do  # read by the shell itself: while it starts a program it blocks signals
    while read -r line; do printf '%%s\n' "$line"; done < /proc/$$/$name > %(folder)s/$name
done
ls -l /proc/$$/fd > %(folder)s/fd
exec rsync "$@"
"""


def test_children_begin_with_default_signals_few_descriptors_and_a_group_of_their_own(tmp_path, src, dst, daemon):
    make(src, "a")
    binary = script(tmp_path / "curious-rsync", FACTS % {"folder": tmp_path})
    running = daemon(sync(src, dst, rsync={"binary": binary}))
    status = (tmp_path / "status").read_text()
    for field in ("SigBlk", "SigIgn"):
        mask = int(re.search(r"%s:\s*([0-9a-f]+)" % field, status).group(1), 16)
        assert mask & ~(3 << 31) == 0, field  # signals 32 and 33 are the C library's
    pid, group, session = re.match(r"(\d+) \(.*\) . \d+ (\d+) (\d+)", (tmp_path / "stat").read_text()).groups()
    assert pid == group != str(running.pid)
    descriptors = re.findall(r"(\d+) -> (\S+)", (tmp_path / "fd").read_text())
    # 10 and above are the shell's own
    assert [number for number, _what in descriptors if int(number) < 10] == ["0", "1", "2"], descriptors
    assert not [what for _number, what in descriptors if "inotify" in what or "log" in what]
    assert dict(descriptors)["0"] == "/dev/null"


def test_the_output_of_children_is_in_the_log_under_the_name_of_the_sync(src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, name="www", rsync={"binary": binary.path}))
    binary.say(b"one line\nred \x1b[31m alert\nSun Nov 22 15:24:00 2026 Error: forged\nno end of line")
    make(src, "b")
    running.wait_path(dst / "b")
    for text in ("one line", r"red \\+x1b\[31m alert", "no end of line"):
        running.wait_log("(?m)^.*: .*www.*%s" % text)
    assert "\x1b" not in running.log() and not re.search("(?m)^Sun Nov 22 15:24:00 2026 Error: forged", running.log())


def test_children_that_print_without_end_are_not_blocked(src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, rsync={"binary": binary.path}), options=())
    binary.say(b"x" * 300000 + b"\n" + b"many lines\n" * 20000)
    make(src, "b")
    running.wait_equal(src, dst)
    running.wait_idle()


def test_orphans_are_reaped_where_the_daemon_is_process_1(tmp_path, src, dst, daemon):
    if not ROOT or not shutil.which("unshare"):
        pytest.skip("a process namespace needs root and unshare")
    make(src, "a")
    binary = script(tmp_path / "fertile-rsync", '(sh -c "exit 0" & exec sleep 0.1) &\nexec rsync "$@"\n')
    running = daemon(sync(src, dst, rsync={"binary": binary}),
                     prefix=("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"))
    make(src, "b")
    running.wait_equal(src, dst)
    daemon_pid, = [pid for pid, line in processes(tmp_path).items() if "-m lsyncd_lite" in line and "unshare" not in line]
    wait_for(lambda: not _children(daemon_pid), lambda: "no child of the daemon: %s" % _children(daemon_pid))
    os.kill(daemon_pid, signal.SIGTERM)
    assert running.ended() == 143


def _children(pid):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        if re.search(r"\) . (\d+)", text).group(1) == str(pid):
            found.append(text.split(")")[0])
    return found


@pytest.mark.parametrize("kind", ["local", "ssh"])
def test_what_a_killed_receiver_leaves_is_removed_and_nothing_else(kind, src, place, daemon):
    target = place(kind)
    make(src, "d/a")
    running = daemon(sync(src, target.target, exclude=["kept", ".also.abcdef/"], rsync=dict(target.rsync, bwlimit=500)))
    make(target.path, "d/kept", "d/.also.abcdef/kept", "d/.other.abcdef/kept", "d/theirs")
    make(src, "d/big", text="x" * 1000000)
    running.wait(lambda: _has_open(target.path / "d", ".big."), "a file that is being received")
    os.kill(_has_open(target.path / "d", ".big."), signal.SIGKILL)
    running.wait_path(target.path / "d/big", "x" * 1000000)
    running.wait_idle()
    assert sorted(os.listdir(str(target.path / "d"))) == [".also.abcdef", ".other.abcdef", "a", "big", "kept", "theirs"]


def _has_open(directory, start):
    """Return the pid of a process that has a file open in a directory whose name begins so, or None."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(str(link)).startswith("%s/%s" % (directory, start)):
                return int(link.parts[2])
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return None


# ---- limits ------------------------------------------------------------------------------------

def test_max_processes_holds_over_all_syncs(tmp_path, src, daemon, rsync):
    make(src, "a")
    binary = rsync()
    targets = [tmp_path / ("dst%d" % number) for number in range(5)]
    running = daemon(sync(src, targets, rsync={"binary": binary.path}), settings={"maxProcesses": 2})
    started = len(binary.calls())
    binary.hold()
    make(src, "b", text="changed")
    running.wait(lambda: len(binary.calls()) == started + 2, "two calls")
    running.wait(lambda: [report.in_flight for report in running.status().values()].count("1") == 2
                 and [report.delays for report in running.status().values()].count(1) == 3, "two in flight, three queued")
    binary.release()
    for target in targets:
        running.wait_equal(src, target)
    assert binary.most_together() == 2


def test_a_sync_has_one_child_at_a_time(src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, rsync={"binary": binary.path}))
    started = len(binary.calls())
    binary.hold()
    make(src, "b")
    running.wait_status("sync1", in_flight="1", delays=0)
    make(src, "c", "d/e")
    running.wait_status("sync1", in_flight="1", delays=lambda number: number >= 2)
    assert len(binary.calls()) == started + 1
    binary.release()
    running.wait_equal(src, dst)
    assert binary.most_together() == 1


def test_max_processes_of_a_sync_allows_more_but_never_two_for_one_place(src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, maxProcesses=3, rsync={"binary": binary.path}))
    started = len(binary.calls())
    binary.hold()
    make(src, "x", text="first")
    running.wait(lambda: len(binary.calls()) == started + 1, "a call")
    make(src, "x", text="second")
    make(src, "y")
    running.wait(lambda: len(binary.calls()) == started + 2, "a second call beside it")
    assert [b"./x" in call.paths for call in binary.calls()[started:]] == [True, False]
    binary.release()
    running.wait_path(dst / "x", "second")
    running.wait_equal(src, dst)
