"""The directory of ssh's control sockets: whose it is, and that nothing is left of it."""

import os
import socket
import stat
import time

import pytest

from lsyncd_lite.mirror.ssh import LONGEST
from lsyncd_lite.system import sockets as module
from lsyncd_lite.system.sockets import Sockets

NAME = "lsyncd-lite-%d" % os.getpid()


@pytest.fixture
def short(tmp_path, monkeypatch):
    """A directory with a name short enough: a socket's address is short."""
    monkeypatch.chdir(tmp_path)
    name = "/tmp/lsy-%d" % os.getpid()
    os.symlink(str(tmp_path), name)
    yield name
    os.unlink(name)


@pytest.fixture
def sockets(short):
    return Sockets({b"XDG_RUNTIME_DIR": os.fsencode(short)})


def listen(path):
    """Make a socket at a path."""
    one = socket.socket(socket.AF_UNIX)
    one.bind(path)
    return one


def fake_ssh(tmp_path, text="exit 0"):
    """Return an ssh that notes its arguments and then does what the text says."""
    path = tmp_path / "ssh"
    path.write_text('#!/bin/sh\nIFS="|"; echo "$*|" >>%s/calls\n%s\n' % (tmp_path, text))  # one write: two at a time do not mix
    path.chmod(0o755)
    return str(path)


def calls(tmp_path):
    return sorted((tmp_path / "calls").read_text().splitlines()) if (tmp_path / "calls").exists() else []


def test_nothing_is_made_before_it_is_needed(sockets, tmp_path, short):
    assert sockets.path == os.fsencode(short + "/" + NAME) and os.listdir(str(tmp_path)) == []
    sockets.end("/no/such/ssh")
    assert os.listdir(str(tmp_path)) == []


def test_the_directory_is_private_and_made_again(sockets):
    for _turn in range(3):
        sockets.prepare()
        facts = os.lstat(sockets.path)
        assert stat.S_ISDIR(facts.st_mode) and stat.S_IMODE(facts.st_mode) == 0o700
        os.chmod(sockets.path, 0o777)
        sockets.prepare()
        assert stat.S_IMODE(os.lstat(sockets.path).st_mode) == 0o700
        os.rmdir(sockets.path)


def test_one_of_ours_that_was_left_behind_is_taken(short):
    os.mkdir(NAME, 0o755)
    again = Sockets({b"XDG_RUNTIME_DIR": os.fsencode(short)})
    again.prepare()
    assert again.path == os.fsencode(short + "/" + NAME) and stat.S_IMODE(os.stat(NAME).st_mode) == 0o700


def test_what_is_not_ours_is_not_taken(short, tmp_path):
    os.mkdir("elsewhere")
    os.symlink("elsewhere", NAME)
    other = Sockets({b"XDG_RUNTIME_DIR": os.fsencode(short)})
    assert other.path.startswith(os.fsencode(short + "/" + NAME) + b"-") and len(other.path) <= LONGEST
    other.prepare()
    assert os.listdir("elsewhere") == [] and os.path.isdir(other.path)


@pytest.mark.parametrize("kind", ["link", "file", "another user's"])
def test_what_takes_our_place_is_refused(sockets, kind, monkeypatch):
    if kind == "link":
        os.mkdir("elsewhere", 0o755)
        os.symlink("elsewhere", sockets.path)
    elif kind == "file":
        open(sockets.path, "w").close()
    else:
        os.mkdir(sockets.path, 0o755)
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(OSError):
        sockets.prepare()
    assert kind == "file" or stat.S_IMODE(os.stat(sockets.path).st_mode) == 0o755


@pytest.mark.parametrize("name", ["missing", "file", "open", "of another", "a b", "x" * 60, "", "relative"])
def test_a_directory_that_will_not_do_is_passed_over(name, short, tmp_path, monkeypatch):
    place = short + "/" + name
    if name == "file":
        open(place, "w").close()
    elif name != "missing" and name:
        os.mkdir(place, 0o700)
    if name == "open":
        os.chmod(place, 0o777)
    if name == "of another":
        place = short + "/of_another"
        os.mkdir(place)
        monkeypatch.setattr(os, "stat", lambda path, real=os.stat: os.stat_result((stat.S_IFDIR | 0o700, 0, 0, 2, 12345, 0, 0, 0, 0, 0))
                            if path == os.fsencode(place) else real(path))
    place = {"": "", "relative": "relative"}.get(name, place)
    assert Sockets({b"XDG_RUNTIME_DIR": os.fsencode(place)}).path in (b"/run/" + NAME.encode(), b"/tmp/" + NAME.encode())


def test_a_directory_in_one_that_everybody_can_write_to_is_passed_over(short):
    os.mkdir("w")
    os.mkdir("w/m", 0o700)
    for mode, fits in (0o755, True), (0o777, False):
        os.chmod("w", mode)  # short, as addresses are
        place = os.fsencode(short + "/w/m")
        assert (Sockets({b"XDG_RUNTIME_DIR": place}).path == place + b"/" + NAME.encode()) is fits


def test_where_no_place_will_do_there_is_none(monkeypatch):
    monkeypatch.setattr(module, "_will_do", lambda directory: False)
    none = Sockets()
    none.prepare()
    none.end("ssh")
    assert none.path is None


def test_every_connection_is_ended_and_nothing_is_left(sockets, tmp_path):
    sockets.prepare()
    open_ones = [listen(sockets.path + b"/" + name) for name in (b"one", b"two")]
    sockets.end(fake_ssh(tmp_path))
    assert calls(tmp_path) == ["-F|/dev/null|-O|exit|-o|ControlPath=%s/%s|x|" % (os.fsdecode(sockets.path), name) for name in ("one", "two")]
    assert not os.path.lexists(sockets.path)
    for one in open_ones:
        one.close()
    sockets.end(fake_ssh(tmp_path))  # once is enough
    assert len(calls(tmp_path)) == 2
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_what_ends_a_connection_gets_nothing_that_was_meant_for_us(sockets, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/x")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/y")
    sockets.prepare()
    one = listen(sockets.path + b"/one")
    sockets.end(fake_ssh(tmp_path, "env > %s/env" % tmp_path))
    one.close()
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert "SSH_AUTH_SOCK" in names and "NOTIFY_SOCKET" not in names


def test_an_ssh_that_never_ends_is_not_waited_for(sockets, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    sockets.prepare()
    one = listen(sockets.path + b"/one")
    start = time.monotonic()
    sockets.end(fake_ssh(tmp_path, "exec sleep 100"))
    assert time.monotonic() - start < 50 and not os.path.lexists(sockets.path)
    one.close()


@pytest.mark.parametrize("trouble", ["no ssh", "no directory", "a file", "nothing"])
def test_the_end_never_fails(sockets, tmp_path, trouble):
    sockets.prepare()
    if trouble == "no directory":
        os.rmdir(sockets.path)
    elif trouble == "a file":
        open(sockets.path + b"/precious", "w").close()
    elif trouble == "no ssh":
        listen(sockets.path + b"/one").close()
    sockets.end("/no/such/ssh")
    assert os.path.exists(sockets.path) == (trouble == "a file")


def test_a_percent_sign_is_doubled_for_ssh(short, tmp_path):
    os.mkdir("50%", 0o700)
    one = Sockets({b"XDG_RUNTIME_DIR": os.fsencode(short + "/50%")})
    one.prepare()
    listen(one.path + b"/s").close()
    one.end(fake_ssh(tmp_path))
    assert "/50%%/" in calls(tmp_path)[0] and not os.path.lexists(one.path)
