"""What the service manager hears from a real daemon, as systemd would: start, status, signs of life, reload, end."""

import os
import signal
import socket
import struct
import subprocess
import sys
from collections import namedtuple

import pytest

from harness import LIMIT, environment, make, run, sync, wait_for

Message = namedtuple("Message", "pid lines")


class Ear:
    """The socket of a service manager; it knows who sends."""

    def __init__(self, path):
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(self.path)
        self._socket.setblocking(False)
        self.heard = []

    def listen(self):
        """Return all Messages so far."""
        while True:
            try:
                data, ancillary, _flags, _address = self._socket.recvmsg(65536, 1024)
            except BlockingIOError:
                return self.heard
            (pid, _uid, _gid), = (struct.unpack("3i", data) for _level, kind, data in ancillary if kind == socket.SCM_CREDENTIALS)
            self.heard.append(Message(pid, data.decode().split("\n")))

    def wait(self, *beginnings, after=0):
        """Wait for a message after the first so many whose lines begin with the words, one by one; return its place in `heard`."""
        def look():
            return next((at for at, message in enumerate(self.listen()) if at >= after and all(
                any(line.startswith(words) for line in message.lines) for words in beginnings)), None) is not None
        wait_for(look, lambda: "a message with %r after the first %d; it heard %s" % (beginnings, after, self.heard))
        return next(at for at, message in enumerate(self.heard) if at >= after and all(
            any(line.startswith(words) for line in message.lines) for words in beginnings))

    def told(self, name):
        """Return the values of a variable so far, in order."""
        return [line[len(name) + 1:] for message in self.listen() for line in message.lines if line.startswith(name + "=")]

    def before(self, *words):
        return ("env", "NOTIFY_SOCKET=" + self.path) + words

    def close(self):
        self._socket.close()


@pytest.fixture
def ear(tmp_path):
    one = Ear(tmp_path / "notify")
    yield one
    one.close()


def test_it_is_ready_when_everything_is_watched_and_tells_what_it_is_at(daemon, ear, src, dst):
    make(src, "a", "d/e/f")
    one = daemon(sync(src, dst, "www"), prefix=ear.before())
    at = ear.wait("READY=1", "STATUS=1 sync: ")
    assert all(message.lines[0].startswith("EXTEND_TIMEOUT_USEC=") for message in ear.heard[:at])
    assert ear.heard[at].pid == one.pid
    make(src, "new")
    one.wait_equal(src, dst)
    ear.wait("STATUS=1 sync: 1 idle")
    assert one.stop() == 128 + signal.SIGTERM
    end = ear.wait("STOPPING=1", "STATUS=signal 15: sending what is pending: 1 sync: ", after=at)
    assert ear.heard[end].pid == one.pid
    assert len(ear.told("READY")) == len(ear.told("STOPPING")) == 1


def test_what_fails_is_named_until_it_works_again(daemon, ear, src, dst, rsync):
    fake = rsync()
    make(src, "a")
    one = daemon(sync(src, dst, "www", rsync={"binary": fake.path}), sync(src, str(dst) + "2", "other"), prefix=ear.before())
    ear.wait("STATUS=2 syncs: 2 idle")
    fake.fail(12)
    make(src, "b")
    at = ear.wait("STATUS=2 syncs: 1 idle, 1 waiting (www: ")
    assert "12" in ear.heard[at].lines[0]
    fake.recover()
    one.wait_equal(src, dst)
    ear.wait("STATUS=2 syncs: 2 idle", after=at)


def test_signs_of_life_come_while_it_rests_and_nothing_else_does(daemon, ear, src, dst):
    one = daemon(sync(src, dst), prefix=ear.before("WATCHDOG_USEC=1000000"))
    at = ear.wait("STATUS=1 sync: 1 idle")
    for _ in range(4):
        at = ear.wait("WATCHDOG=1", after=at + 1)
    idle = ear.told("STATUS").index("1 sync: 1 idle")
    assert ear.told("STATUS")[idle + 1:] == []
    assert one.running()


def test_signs_of_life_cease_where_the_loop_is_stuck(daemon, ear, src, dst, tmp_path):
    make(tmp_path, "s.py", text="import time\ndef on_create(event):\n    while open(%r).read(): time.sleep(0.05)\n" % str(tmp_path / "stuck"))
    make(tmp_path, "stuck", text="")
    daemon(sync(src, dst, mode="script", script=str(tmp_path / "s.py")), prefix=ear.before("WATCHDOG_USEC=400000"))
    ear.wait("WATCHDOG=1", after=ear.wait("READY=1"))
    make(tmp_path, "stuck", text="yes")
    make(src, "a")
    last = [None]

    def is_quiet():  # two looks, three intervals apart
        before, last[0] = last[0], len(ear.listen())
        try:
            wait_for(lambda: len(ear.listen()) > last[0], "", 0.6)
        except AssertionError:
            return before is not None
        return False
    wait_for(is_quiet, "silence")
    stuck = len(ear.listen())
    make(tmp_path, "stuck", text="")
    ear.wait("WATCHDOG=1", after=stuck)


def test_a_watchdog_of_another_process_hears_nothing(daemon, ear, src, dst):
    daemon(sync(src, dst), prefix=ear.before("WATCHDOG_USEC=200000", "WATCHDOG_PID=1"))
    ear.wait("STATUS=1 sync: 1 idle")
    assert ear.told("WATCHDOG") == []


def test_a_reload_is_told_with_its_time_and_its_end(daemon, ear, src, dst):
    one = daemon(sync(src, dst, "www"), prefix=ear.before())
    at = ear.wait("READY=1")
    one.configure(sync(src, dst, "www"), sync(src, str(dst) + "2", "more"))
    one.kill(signal.SIGHUP)
    begun = ear.wait("RELOADING=1", "MONOTONIC_USEC=", after=at)
    done = ear.wait("READY=1", "STATUS=2 syncs: ", after=at + 1)
    assert begun < done
    one.wait_idle()


def test_a_refused_configuration_is_ready_all_the_same_and_stands_in_the_status(daemon, ear, src, dst):
    one = daemon(sync(src, dst, "www"), prefix=ear.before())
    at = ear.wait("READY=1")
    right = one.conf.read_text()
    one.conf.write_text(right + "nonsense = 5\n")
    one.kill(signal.SIGHUP)
    begun = ear.wait("RELOADING=1", after=at)
    done = ear.wait("READY=1", "STATUS=1 sync: ", after=begun)
    assert "; the new configuration is refused: %s:" % one.conf in ear.heard[done].lines[1] and "nonsense" in ear.heard[done].lines[1]
    one.conf.write_text(right)
    one.kill(signal.SIGHUP)
    ear.wait("READY=1", after=ear.wait("RELOADING=1", after=done))
    assert "refused" not in ear.told("STATUS")[-1]


def test_what_is_pending_at_the_end_asks_for_time(daemon, ear, src, dst, rsync):
    fake = rsync()
    make(src, "a")
    one = daemon(sync(src, dst, rsync={"binary": fake.path}), prefix=ear.before())
    fake.hold()
    make(src, "b")
    one.wait_status(state="syncing")
    one.kill(signal.SIGTERM)
    ear.wait("EXTEND_TIMEOUT_USEC=", after=ear.wait("STOPPING=1"))
    fake.release()
    assert one.ended() == 128 + signal.SIGTERM


def test_with_insist_it_is_ready_without_its_source(daemon, ear, tmp_path, dst):
    one = daemon(sync(tmp_path / "later", dst, "www"), settings={"insist": True}, prefix=ear.before(), wait=False)
    ear.wait("READY=1", "STATUS=1 sync: 1 no source (www: source %s is missing)" % (tmp_path / "later"))
    make(tmp_path, "later/a")
    one.wait_idle()
    ear.wait("STATUS=1 sync: 1 idle")


def test_a_start_that_fails_says_why(daemon, ear, tmp_path, dst):
    one = daemon(sync(tmp_path / "none", dst), prefix=ear.before(), wait=False)
    assert one.ended() == 255
    at = ear.wait("STOPPING=1", "STATUS=sync ", "ERRNO=2")
    assert "cannot watch the source" in ear.heard[at].lines[1] and not ear.told("READY")


def test_a_configuration_with_errors_says_which_and_a_check_says_nothing(ear, tmp_path, src, dst):
    conf = tmp_path / "wrong.ini"
    conf.write_text("[sync]\nsource = %s\ntarget = %s\ndelay = soon\n" % (src, dst))
    environ = dict(environment(tmp_path), NOTIFY_SOCKET=ear.path)
    for argv, count in (["-check", str(conf)], 0), (["-nodaemon", str(conf)], 1):
        done = subprocess.run([sys.executable, "-m", "lsyncd_lite"] + argv, env=environ, stderr=subprocess.PIPE, timeout=LIMIT)
        assert done.returncode == 255 and b"wrong.ini:4: delay: " in done.stderr
        assert len(ear.listen()) == count
    assert ear.heard[0].lines[1].startswith("STATUS=%s:4: delay: " % conf)


def test_a_pass_is_told_from_start_to_end(daemon, ear, src, dst):
    make(src, "a")
    one = daemon(argv=["-onepass", "-rsync", src, dst], prefix=ear.before())
    assert one.ended() == 0
    assert ear.wait("READY=1") < ear.wait("STOPPING=1")


def test_one_that_leaves_the_terminal_is_made_the_main_process_by_its_starter(daemon, ear, tmp_path, src, dst):
    pidfile, folder = tmp_path / "pid", tmp_path / "d"
    folder.mkdir()
    environ = dict(environment(tmp_path), NOTIFY_SOCKET=ear.path)
    starter = subprocess.Popen([sys.executable, "-m", "lsyncd_lite", "-pidfile", str(pidfile), "-logfile", str(folder / "log"),
                                "-direct", str(src), str(dst)], env=environ)
    assert starter.wait(LIMIT) == 0
    pid = int(pidfile.read_text())
    try:
        assert ear.listen()[0] == Message(starter.pid, ["MAINPID=%d" % pid, "READY=1"])
        at = ear.wait("STATUS=1 sync: 1 idle")
        assert ear.heard[at].pid == pid
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not pidfile.exists(), "its end")
    assert [message.pid for message in ear.listen()] == [starter.pid] + [pid] * (len(ear.heard) - 1)


def test_children_are_not_told_where_the_manager_listens(daemon, ear, src, dst, tmp_path):
    where = tmp_path / "environment"
    daemon(sync(src, dst, onBatch={"after": "env > %s" % where}), prefix=ear.before("WATCHDOG_USEC=20000000"))
    make(src, "a")
    wait_for(lambda: where.exists() and where.read_text(), "the hook")
    assert "NOTIFY" not in where.read_text() and "WATCHDOG" not in where.read_text()


def test_a_manager_that_is_not_there_costs_a_line(daemon, src, dst, tmp_path):
    one = daemon(sync(src, dst), prefix=("env", "NOTIFY_SOCKET=%s" % (tmp_path / "none")))
    one.wait_log(r"Warn: cannot tell the service manager \(NOTIFY_SOCKET\) how we are: No such file or directory")
    make(src, "a")
    one.wait_equal(src, dst)
    assert one.stop() == 128 + signal.SIGTERM
    assert one.log().count("NOTIFY_SOCKET") == 1


def test_help_and_version_tell_nobody(ear, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", ear.path)
    for option in "-help", "-version":
        assert run(tmp_path, option).returncode == 0
    assert ear.listen() == []
