"""Where others could change a file of ours, or put another in its place."""

import os
import tempfile
import shutil

import pytest

from lsyncd_lite import trust
from lsyncd_lite.errors import ConfigError
from lsyncd_lite.system.private import KEYS, check, opened, refusal
from types import SimpleNamespace

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
STRANGER = 12345


@pytest.fixture
def top():
    """A directory (bytes) that is not below /tmp's own rules but ours: 0755."""
    path = os.fsencode(tempfile.mkdtemp(prefix="trust-", dir="/tmp"))
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


def directory(path, mode=0o755, owner=None):
    os.mkdir(path)
    os.chmod(path, mode)
    if owner is not None:
        os.chown(path, owner, -1)
    return path


def file(path, mode=0o644, owner=None):
    with open(path, "wb") as made:
        made.write(b"x")
    os.chmod(path, mode)
    if owner is not None:
        os.chown(path, owner, -1)
    return path


# ---- directories -------------------------------------------------------------------------------

@pytest.mark.parametrize("mode, weak", [
    (0o755, False), (0o700, False), (0o775, False), (0o770, False), (0o2775, False), (0o1777, False), (0o1755, False),
    (0o777, True), (0o757, True), (0o702, True), (0o2777, True)])
@pytest.mark.parametrize("below", [b"", b"/a", b"/a/b", b"/missing/x"])
def test_a_directory_that_everybody_can_write_to_is_weak_wherever_it_stands(top, mode, weak, below):
    path = directory(top + b"/d", mode)
    directory(path + b"/a")
    found = trust.weak_spot(path + below + b"/file")
    assert found == ((b"directory " + path, "can be written by everybody", b"chmod o-w " + path) if weak else None)
    assert trust.weak_spot(path) == found  # it may be a directory that is asked for


@root_only
def test_a_directory_of_somebody_elses_is_weak(top):
    path = directory(top + b"/d", 0o755, STRANGER)
    directory(path + b"/a")
    for below in b"", b"/file", b"/a/file":
        assert trust.weak_spot(path + below) == (b"directory " + path, "belongs to uid 12345", b"chown root " + path)


@root_only
@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_in_a_directory_of_everybodys_what_is_there_has_to_be_ours(top, kind):
    sticky = directory(top + b"/tmp", 0o1777)
    path = sticky + b"/x"
    directory(top + b"/good")
    if kind == "link":
        os.symlink(top + b"/good", path)
    else:
        (file if kind == "file" else directory)(path)
    below = b"" if kind == "file" else b"/y"
    assert trust.weak_spot(path + below) is None
    os.chown(path, STRANGER, -1, follow_symlinks=False)
    assert trust.weak_spot(path + below) == (path, "belongs to uid 12345, in a directory of everybody's", b"choose another place")
    os.unlink(path) if kind != "directory" else os.rmdir(path)
    assert trust.weak_spot(path) is None


@root_only
def test_a_stranger_s_link_counts_only_where_strangers_can_make_some(top):
    directory(top + b"/good")
    os.symlink(top + b"/good", top + b"/link")
    os.chown(top + b"/link", STRANGER, -1, follow_symlinks=False)
    assert trust.weak_spot(top + b"/link/file") is None


@pytest.mark.parametrize("target", [b"%s/weak", b"weak", b"./weak/", b"../%s/weak", b"good/../weak", b"second"])
def test_links_are_followed_and_what_they_lead_through_is_looked_at(top, target):
    weak = directory(top + b"/weak", 0o777)
    directory(weak + b"/inner")
    directory(top + b"/good")
    os.symlink(b"weak", top + b"/second")
    if b"%s" in target:
        target = target % (os.path.basename(top) if target.startswith(b"..") else top)
    os.symlink(target, top + b"/link")
    for below in b"/file", b"/inner/file", b"/inner/../file":
        assert trust.weak_spot(top + b"/link" + below) == (b"directory " + weak, "can be written by everybody", b"chmod o-w " + weak)


def test_a_link_that_stands_in_a_weak_directory_is_weak_though_it_leads_to_a_good_one(top):
    weak = directory(top + b"/weak", 0o777)
    os.symlink(directory(top + b"/good"), weak + b"/link")
    assert os.path.realpath(weak + b"/link/file") == top + b"/good/file"
    assert trust.weak_spot(weak + b"/link/file")[0] == b"directory " + weak


def test_what_is_not_there_or_leads_nowhere_ends_the_walk(top):
    os.symlink(b"loop", top + b"/loop")
    os.symlink(b"nowhere", top + b"/dangling")
    file(top + b"/file")
    for name in b"missing", b"missing/x/y", b"loop", b"loop/x", b"dangling", b"dangling/x", b"file/x", b"x" * 300, b"\xff\n":
        assert trust.weak_spot(top + b"/" + name) is None
    assert trust.weak_spot(b"/") is None and trust.weak_spot(b"//tmp/../..//tmp/.") is None


def test_the_root_outside_of_a_user_namespace_is_trusted(monkeypatch):
    stat = os.stat
    with monkeypatch.context() as patch:
        patch.setattr(trust.os, "stat", lambda path: SimpleNamespace(st_uid=65534) if path == "/proc/sys" else stat(path))
        found = trust.trusted()
    assert found == {0, os.geteuid(), 65534}


# ---- files -------------------------------------------------------------------------------------

def doubt(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return trust.doubt(os.fstat(fd))
    finally:
        os.close(fd)


@pytest.mark.parametrize("mode, as_root, as_other", [
    (0o644, None, None), (0o600, None, None), (0o755, None, None), (0o4644, None, None),
    (0o664, "can be written by its group", None), (0o620, "can be written by its group", None),
    (0o646, trust.EVERYBODY, trust.EVERYBODY), (0o666, trust.EVERYBODY, trust.EVERYBODY)])
def test_who_may_write_to_a_file_we_read(top, monkeypatch, mode, as_root, as_other):
    path = file(top + b"/file", mode)
    for euid, expected in (0, as_root), (os.stat(path).st_uid or 4711, as_other):
        monkeypatch.setattr(trust.os, "geteuid", lambda euid=euid: euid)
        assert doubt(path) == expected


@root_only
def test_whose_file_we_read(top, monkeypatch):
    path = file(top + b"/file", 0o644, STRANGER)
    assert doubt(path) == "belongs to uid 12345"
    monkeypatch.setattr(trust.os, "geteuid", lambda: STRANGER)
    assert doubt(path) is None
    monkeypatch.setattr(trust.os, "geteuid", lambda: 4711)
    assert doubt(path) == "belongs to uid 12345"


def test_a_pipe_that_we_were_given_is_read():
    reader, writer = os.pipe()
    assert trust.doubt(os.fstat(reader)) is None
    os.close(reader)
    os.close(writer)


# ---- what the settings name --------------------------------------------------------------------

def settings(**keys):
    return SimpleNamespace(**{**dict.fromkeys(KEYS), **keys})


def test_each_file_that_we_would_write_is_one_line(top):
    weak = directory(top + b"/x", 0o777)
    check(settings(logfile=top + b"/log", pidfile=top + b"/pid", statusFile=top + b"/status"))
    check(settings())
    with pytest.raises(ConfigError) as caught:
        check(settings(logfile=weak + b"/a\nlog", pidfile=top + b"/pid", statusFile=weak + b"/status"))
    shown = weak.decode()
    assert caught.value.lines == [
        "logfile: %s/a\\nlog: directory %s can be written by everybody: refused (chmod o-w %s)" % (shown, shown, shown),
        "statusFile: %s/status: directory %s can be written by everybody: refused (chmod o-w %s)" % (shown, shown, shown)]
    with pytest.raises(ConfigError, match="^stateDir: "):
        check(settings(stateDir=weak))


def test_only_the_log_may_be_a_stream_of_the_starter_s():
    check(settings(logfile=b"/dev/stdout"))
    check(settings(logfile=b"/dev/stderr"))
    check(settings(logfile=b"/dev/null"))


def test_what_is_opened_is_ours_alone(top):
    for umask in 0, 0o022, 0o077:
        before = os.umask(umask)
        try:
            os.close(opened(top + b"/new%d" % umask, os.O_WRONLY))
        finally:
            os.umask(before)
        assert os.stat(top + b"/new%d" % umask).st_mode & 0o777 == 0o640 & ~umask
    os.symlink(b"new0", top + b"/link")
    os.link(top + b"/new0", top + b"/twin")
    os.mkfifo(top + b"/fifo")
    for name in b"link", b"twin", b"new0", b"fifo", b"":
        with pytest.raises(OSError):
            opened(top + b"/" + name, os.O_RDWR)
    with pytest.raises(OSError):
        opened(b"/dev/null", os.O_RDWR)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError):
        opened(top + b"/twin", os.O_RDWR)
    assert sorted(os.listdir("/proc/self/fd")) == before
