"""Directories held by descriptors: found through no link, the same whatever takes their place, right however few are held."""

import os
import random

import pytest

from lsyncd_lite.system.pinned import Pinned


@pytest.fixture
def top(tmp_path):
    """A directory with directories in each other, a file and a link, to be removed with the test."""
    for one in "ab":
        for two in "cd":
            os.makedirs(str(tmp_path / "top" / one / two / "e" / "f" / "g"))
    (tmp_path / "top" / "file").write_text("x")
    (tmp_path / "outside" / "c").mkdir(parents=True)
    (tmp_path / "top" / "link").symlink_to("../outside")
    return os.fsencode(str(tmp_path / "top"))


@pytest.fixture
def pins(top):
    before = set(os.listdir("/proc/self/fd"))
    made = Pinned(top + b"/")
    yield made
    made.forget()
    for fd in made._kept.values():
        os.close(fd)
    assert set(os.listdir("/proc/self/fd")) == before


def identity(facts):
    return facts.st_dev, facts.st_ino


def test_a_directory_is_found_through_no_link(pins, top):
    assert identity(pins.facts(b"a/c/e")) == identity(os.stat(top + b"/a/c/e")) and identity(pins.facts(b"")) == identity(os.stat(top))
    for path, error in (b"link", NotADirectoryError), (b"link/c", NotADirectoryError), (b"file", NotADirectoryError), (b"a/x", FileNotFoundError), (b"x/y", FileNotFoundError):
        with pytest.raises(error):
            pins.hold(path)
    assert pins.look(b"link/c") is None and pins.look(b"a/x") is None and pins.look(b"file/x") is None and pins.look(b"a/c") is not None


def test_the_same_directory_is_held_whatever_takes_its_place_until_it_is_forgotten(pins, top):
    for path in b"a", b"a/c":
        pins.hold(path)
    os.rename(top + b"/a", top + b"/moved")
    os.symlink(b"../outside", top + b"/a")
    pins.mkdir(b"a/new")
    pins.mkdir(b"a/c/new")
    pins.rename(b"a/c/new", b"a/renamed")
    pins.rmdir(b"a/new")
    assert sorted(os.listdir(top + b"/moved")) == [b"c", b"d", b"renamed"] and os.listdir(top + b"/../outside") == [b"c"]
    assert pins.by_descriptor and identity(os.stat(pins.path(b"a/renamed"))) == identity(os.stat(top + b"/moved/renamed"))
    pins.forget()
    with pytest.raises(NotADirectoryError):
        pins.mkdir(b"a/new")


def test_one_that_is_kept_is_held_to_the_end(pins, top):
    fd = pins.keep(b"a/c")
    pins.most = 2
    os.rename(top + b"/a/c", top + b"/moved")
    pins.forget()
    for path in b"b/c/e/f/g", b"b/d/e/f/g":
        pins.hold(path)
    assert pins.hold(b"a/c") == fd and identity(pins.facts(b"a/c")) == identity(os.stat(top + b"/moved"))


@pytest.mark.parametrize("most", [2, 3, 6, 120])
def test_however_few_are_held_each_is_the_right_one(pins, top, most):
    pins.most = most
    chance = random.Random(most)
    paths = [os.path.relpath(path, top) for path, _directories, _files in os.walk(top)]
    paths = [b"" if path == b"." else path for path in paths]
    wanted = {path: identity(os.stat(os.path.join(top, path))) for path in paths}
    for _turn in range(3000):
        path = chance.choice(paths)
        if chance.random() < .3:  # fails after some have been opened
            with pytest.raises(FileNotFoundError):
                pins.hold(path + b"/x/y" if path else b"x")
        elif chance.random() < .2:
            other = chance.choice(paths)
            pins.mkdir(path + b"/new" if path else b"new")
            pins.rename(path + b"/new" if path else b"new", other + b"/renamed" if other else b"renamed")
            os.rmdir(os.path.join(top, other, b"renamed"))
        else:
            assert identity(pins.facts(path)) == wanted[path]
        assert len(pins._held) <= most
