"""The pidfile: who holds it, what stands in it, whose it is at the end."""

import errno
import os
import shutil
import stat
import subprocess

import pytest

from lsyncd_lite.errors import Fatal
from lsyncd_lite.system import pidfile as module
from lsyncd_lite.system.pidfile import BrokenDisk, Pidfile


@pytest.fixture
def path(tmp_path):
    return os.fsencode(str(tmp_path / "pid"))


def text(path):
    with open(path) as file:
        return file.read()


def test_it_holds_the_number_and_is_removed_at_the_end(path):
    pidfile = Pidfile(path)
    pidfile.write()
    assert text(path) == "%d\n" % os.getpid() and stat.S_IMODE(os.stat(path).st_mode) & 0o137 == 0
    pidfile.remove()
    assert not os.path.exists(path)


def test_a_second_one_is_refused_and_names_the_first(path):
    pidfile = Pidfile(path)
    pidfile.write()
    for _number in range(2):
        with pytest.raises(Fatal) as caught:
            Pidfile(path)
        assert str(caught.value).endswith("runs already, as PID %d" % os.getpid())
    assert text(path) == "%d\n" % os.getpid()
    pidfile.remove()
    Pidfile(path).remove()


def test_a_stale_longer_number_leaves_no_digits_behind(path):
    with open(path, "w") as file:
        file.write("99999999999\ngarbage\n")
    pidfile = Pidfile(path)
    pidfile.write()
    assert text(path) == "%d\n" % os.getpid()
    pidfile.remove()


def test_that_of_a_running_lsyncd_is_refused_and_stays_as_it_is(path, tmp_path):
    program = tmp_path / "lsyncd"
    program.symlink_to(shutil.which("sleep"))
    with subprocess.Popen([str(program), "60"]) as running:
        try:
            while text("/proc/%d/comm" % running.pid) != "lsyncd\n":
                pass  # it is not yet what it is to become
            (tmp_path / "pid").write_text("%d\n" % running.pid)
            with pytest.raises(Fatal) as caught:
                Pidfile(path)
            assert "lsyncd itself runs, as PID %d; stop it first" % running.pid in str(caught.value)
            assert text(path) == "%d\n" % running.pid
        finally:
            running.kill()
    pidfile = Pidfile(path)  # one that was killed has left it
    pidfile.write()
    pidfile.remove()


def test_somebody_elses_file_is_not_removed(path):
    pidfile = Pidfile(path)
    pidfile.write()
    os.unlink(path)
    other = Pidfile(path)
    other.write()
    pidfile.remove()
    assert text(path) == "%d\n" % os.getpid()
    other.remove()
    assert not os.path.exists(path)


def test_links_are_not_followed(path, tmp_path):
    (tmp_path / "victim").write_text("safe")
    os.symlink("victim", path)
    with pytest.raises(Fatal) as caught:
        Pidfile(path)
    assert "cannot write the pidfile " in str(caught.value) and (tmp_path / "victim").read_text() == "safe"


@pytest.mark.parametrize("name", [b"missing/pid", b".", b"x" * 300])
def test_what_cannot_be_written_is_fatal_in_one_line(tmp_path, name):
    with pytest.raises(Fatal) as caught:
        Pidfile(os.fsencode(str(tmp_path)) + b"/" + name)
    assert str(caught.value).startswith("cannot write the pidfile ") and str(caught.value).isprintable() and "Errno" not in str(caught.value)


def test_a_directory_that_is_gone_at_the_end_is_no_error(tmp_path):
    (tmp_path / "run").mkdir()
    pidfile = Pidfile(os.fsencode(str(tmp_path / "run" / "pid")))
    (tmp_path / "run" / "pid").unlink()
    (tmp_path / "run").rmdir()
    pidfile.remove()


@pytest.mark.parametrize("number, kind", [(errno.EROFS, BrokenDisk), (errno.ENOSPC, BrokenDisk), (errno.EDQUOT, BrokenDisk), (errno.EIO, BrokenDisk),
                                          (errno.EACCES, Fatal), (errno.ENOENT, Fatal), (errno.ELOOP, Fatal), (errno.EISDIR, Fatal)])
def test_a_broken_disk_is_told_from_a_mistake(path, monkeypatch, number, kind):
    def fail(*_arguments):
        raise OSError(number, "x")

    pidfile = Pidfile(path)
    monkeypatch.setattr(module.os, "pwrite", fail)
    with pytest.raises(Fatal) as caught:
        pidfile.write()
    pidfile.remove()
    assert type(caught.value) is kind and not os.path.exists(path)
    monkeypatch.setattr(module, "opened", fail)
    with pytest.raises(Fatal) as caught:
        Pidfile(path)
    assert type(caught.value) is kind and str(caught.value) == "cannot write the pidfile %s: %s" % (os.fsdecode(path), os.strerror(number))


@pytest.mark.parametrize("spoil", [os.mkfifo, lambda path: os.link("other", path), os.mkdir])
def test_what_is_no_file_of_ours_is_no_pidfile(tmp_path, monkeypatch, path, spoil):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").write_text("precious")
    spoil(path)
    with pytest.raises(Fatal) as caught:
        Pidfile(path)
    assert type(caught.value) is Fatal and (tmp_path / "other").read_text() == "precious"
