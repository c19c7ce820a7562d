"""`lsyncd-lite check`, as a monitoring system calls it: exit status, one line on the standard output, nothing on the other."""

import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from harness import CHECKOUT, ROOT, environment, make, sync

OK, WARNING, CRITICAL, UNKNOWN = range(4)
WORDS = "OK", "WARNING", "CRITICAL", "UNKNOWN"


@pytest.fixture
def check(cli):
    """Run it: `check("-w", 3)` returns (exit status, what stands before the bar)."""
    def ask(*words):
        return judged(cli("check", *words), "-alive" in words)
    return ask


def judged(ended, is_alive=False):
    assert ended.stderr == "" and ended.stdout.endswith("\n") and ended.stdout.count("\n") == 1, ended
    match = re.fullmatch(r"LSYNCD_LITE (\w+) - ([^|]*)( \| '.*)?\n", ended.stdout)
    assert match, ended.stdout
    status = WORDS.index(match.group(1))
    assert ended.returncode == (min(status, 1) if is_alive else status), ended
    return status, match.group(2)


def wait_for_check(running, check, condition, *words):
    last = []

    def look():
        last[:] = [check(*words)]
        return condition(*last[0])
    running.wait(look, lambda: "an answer that fits, it is %s" % last)
    return last[0]


def test_what_works_is_fine_and_has_numbers(src, dst, daemon, cli):
    daemon(sync(src, dst, "www"))
    told = cli("check")
    assert judged(told) == (OK, "1 sync: idle")
    assert re.search(r" \| 'www queued'=0;;;0 'www oldest'=0s;;;0 'queued'=0;;;0 'oldest'=0s;;;0 .*'watches'=1;", told.stdout), told.stdout
    assert "'www queued'=0;5;10:20;0 'www oldest'=0s;30;60;0" in cli("check", "-w", "5", "-c=10:20", "--age", "30,60").stdout


def test_a_target_that_is_down_is_a_warning_and_no_ill_health(src, dst, daemon, rsync, check):
    binary = rsync()
    running = daemon(sync(src, dst, "www", rsync={"binary": binary.path}))
    binary.fail(12)
    make(src, "f")
    found = wait_for_check(running, check, lambda status, _words: status != OK)
    assert found[0] == WARNING and "www: fails for" in found[1] and "told to fail with 12" in found[1]
    assert check("-alive")[0] == OK
    binary.recover()
    wait_for_check(running, check, lambda status, _words: status == OK)


def test_a_source_that_is_gone_and_what_is_held_are_critical(src, dst, tmp_path, daemon, check):
    other = make(tmp_path / "other", "a", "b", "c")
    running = daemon(sync(src, dst, "www"), sync(other, tmp_path / "to", "held", maxDelete=1))
    for name in "abc":
        (other / name).unlink()
    make(other, "rest")
    shutil.rmtree(str(src))
    found = wait_for_check(running, check, lambda _status, words: "www: no source" in words and "held: held by maxDelete" in words)
    assert found[0] == CRITICAL
    assert check("held")[1].endswith("1 sync: held by maxDelete")
    make(src, "f")
    wait_for_check(running, check, lambda status, _words: status == OK, "www")


def test_limits_are_for_what_is_queued_and_how_long(src, dst, daemon, check):
    running = daemon(sync(src, dst, "www", delay=1000))
    make(src, "a", "b", "c")
    running.wait_status("www", delays=3)
    assert check()[0] == OK and check("-w", "3")[0] == OK
    assert check("-w", "2") == (WARNING, "www: 3 queued (limit 2); 1 sync: idle")
    assert check("-w", "1", "-c", "2", "www") == (CRITICAL, "www: 3 queued (limit 2); 1 sync: idle")
    found = wait_for_check(running, check, lambda status, _words: status == CRITICAL, "-age", "1")
    assert "www: changes wait for " in found[1]
    assert check("-age", "1,1000")[0] == WARNING


@pytest.mark.parametrize("words, part", [
    (["-w", "x"], "option -w: x: allowed: NUMBER"), (["-c"], "option -c: allowed: -c NUMBER"), (["-age", "1,2,3"], "option -age: 1,2,3: allowed"),
    (["-zzz"], "unknown option -zzz"), (["a", "b"], "one sync at most, not a, b"), (["ww"], "there is no sync ww; did you mean www?"),
    (["-s", "/nowhere", "-socket", "x"], "option -s: asks no daemon"), (["-s"], "option -s: allowed: -s FILE"), (["-timeout", "3"], "unknown option -timeout"),
    (["x|y\nz"], "there is no sync x\N{BROKEN BAR}y\\nz")])
def test_a_question_that_is_wrong_is_unknown_and_no_trouble_of_the_daemon(src, dst, daemon, check, words, part):
    daemon(sync(src, dst, "www"))
    found = check(*words)
    assert found[0] == UNKNOWN and part in found[1], found
    found = check("-alive", *words)
    assert found[0] in (OK, UNKNOWN) and (found[0] == UNKNOWN or words[0] in ("-w", "-age")), "limits mean nothing then"


def test_no_daemon_is_critical(check, tmp_path):
    found = check()
    assert found[0] == CRITICAL and "%s.run" % tmp_path in found[1], found
    found = check("-socket", tmp_path / "none.sock")
    assert found[0] == CRITICAL and "none.sock" in found[1]
    assert check("-alive")[0] == CRITICAL


def test_one_that_has_ended_is_critical_and_one_that_is_stuck_too(src, dst, daemon, check):
    running = daemon(sync(src, dst, "www"))
    running.kill(signal.SIGSTOP)
    try:
        for words in (), ("-alive",):
            found = check(*words)
            assert found[0] == CRITICAL and "no answer within" in found[1], found
    finally:
        running.kill(signal.SIGCONT)
    assert check("-alive")[0] == OK
    path = "%s.run/daemon.sock" % running.mark
    running.kill(signal.SIGKILL)
    running.ended()
    for words in (), ("-socket", path), ("-socket", "daemon"), ("-alive",):
        assert check(*words)[0] == CRITICAL, words


def test_several_that_are_stuck_take_no_longer_than_one(src, dst, daemon, check):
    """Who starts a plugin ends it after ten seconds, and then nobody learns of the daemon that has answered."""
    running = daemon(sync(src, dst, "www"))
    socks = []
    try:
        for number in range(6):
            for role in "server", "client", "client":  # its queue is full, and connect(2) would wait
                sock = socket.socket(socket.AF_UNIX)
                socks.append(sock)
                sock.setblocking(False)
                path = "%s.run/a%d.sock" % (running.mark, number)
                if role == "server":
                    sock.bind(path)
                    sock.listen(0)
                elif sock.connect_ex(path) == errno.EAGAIN:
                    break
        began = time.monotonic()
        found = check()
        assert time.monotonic() - began < 9.5
        assert found[0] == CRITICAL and found[1].count("no answer within") == 6 and found[1].endswith("1 sync: idle"), found
    finally:
        for sock in socks:
            sock.close()


@pytest.mark.parametrize("output", ["/dev/full", None])
def test_the_exit_status_needs_no_output(output, src, dst, daemon):
    running = daemon(sync(src, dst, "www"), sync(dst, dst.parent / "other", "two"))
    reads, writes = os.pipe()
    os.close(reads)
    with open(output or writes, "wb") as stream:
        ended = subprocess.run([sys.executable, "-m", "lsyncd_lite", "check", "-alive"], stdout=stream, stderr=subprocess.PIPE, env=environment(running.mark), timeout=60,
                               check=False, cwd=str(CHECKOUT))
    if output:
        os.close(writes)
    assert (ended.returncode, ended.stderr) == (OK, b"")


@pytest.mark.skipif(not ROOT, reason="needs root to be somebody else")
def test_who_may_not_ask_is_told_what_would_let_him(src, dst, tmp_path, daemon):
    running = daemon(sync(src, dst, "www"))
    library = tmp_path.parent / (tmp_path.name + ".lib")  # where nobody may read it, unlike a checkout
    shutil.copytree(str(CHECKOUT / "lsyncd_lite"), str(library / "lsyncd_lite"), ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tmp_path.parent, tmp_path.parent.parent):
        path.chmod(path.stat().st_mode | 0o011)
    (tmp_path.parent / (tmp_path.name + ".run")).chmod(0o755)
    library.chmod(0o755)

    def ask(*words):
        return judged(subprocess.run(
            [shutil.which("python3", path="/usr/bin:/bin") or sys.executable, "-m", "lsyncd_lite", "check", *words], cwd="/", stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, universal_newlines=True, timeout=30, check=False,
            env=dict(environment(running.mark), PYTHONPATH=str(library)), preexec_fn=lambda: (os.setgroups([]), os.setgid(65534), os.setuid(65534))))
    try:
        for words in (), ("-socket", "%s.run/daemon.sock" % running.mark), ("-socket", "daemon"):
            found = ask(*words)
            assert found[0] == UNKNOWN and "Permission denied" in found[1] and "sudo" in found[1], found
        secret = tmp_path.parent / (tmp_path.name + ".lib") / "status"
        secret.write_text(running.statusfile.read_text())
        secret.chmod(0o640)
        found = ask("-s", str(secret))
        assert found[0] == UNKNOWN and "group" in found[1], found
    finally:
        shutil.rmtree(str(library))


def test_a_status_file_does_where_no_socket_may_be_asked(src, dst, daemon, rsync, check, tmp_path):
    binary = rsync()
    running = daemon(sync(src, dst, "www", rsync={"binary": binary.path}), sync(src, tmp_path / "two", "two"))
    file = running.statusfile
    assert check("-s", file) == (OK, "2 syncs: all idle") and check("-s", file, "-alive")[0] == OK
    binary.fail(12)
    make(src, "f")
    found = wait_for_check(running, check, lambda status, _words: status == WARNING, "-s", file)
    assert "www: fails for" in found[1] and "told to fail with 12" in found[1]
    assert check("-s", file, "two")[1] == "1 sync: idle" and check("-s", file, "three")[0] == UNKNOWN
    running.stop()
    for words in (), ("-alive",):
        os.utime(str(file), (1e9, 1e9))
        found = check("-s", file, *words)
        assert found[0] == CRITICAL and "was written" in found[1] and "the daemon is stuck, or does not run" in found[1], found
    file.unlink()
    assert check("-s", file)[0] == CRITICAL
    (tmp_path / "junk").write_bytes(b"\xff\0|nonsense")
    assert check("-s", tmp_path / "junk")[0] == UNKNOWN and check("-s", tmp_path)[0] == UNKNOWN


def test_its_help_is_for_people(cli):
    ended = cli("check", "-help")
    assert ended.returncode == 0 and "-age" in ended.stdout and ended.stderr == ""


def test_a_paused_sync_and_one_that_starts_are_told(src, dst, daemon, rsync, check):
    make(src, "f")
    binary = rsync()
    binary.hold()
    running = daemon(sync(src, dst, "www", rsync={"binary": binary.path}), wait=False)
    try:
        found = wait_for_check(running, check, lambda _status, words: "starting" in words)
        assert found[0] == OK and found[1].startswith("www: starting"), found
        assert check("-alive")[0] == OK
    finally:
        binary.release()
