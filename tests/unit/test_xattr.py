"""Extended attributes by the C library, for a Python that has no calls for them, are those of one that has."""

import errno
import os

import pytest

from lsyncd_lite.system import attributes, xattr

VALUES = {"user.empty": b"", "user.binary": b"\0\xff\0", "user.long": b"x" * 3000, "user.\u00e4": b"name"}

pytestmark = pytest.mark.skipif(not hasattr(os, "listxattr"), reason="this Python has no calls to compare with")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_text("content")
    try:
        os.setxattr(str(path), "user.test", b"")
    except OSError as error:
        pytest.skip("no extended attributes in %s: %s" % (tmp_path, error))
    os.removexattr(str(path), "user.test")
    return os.fsencode(str(path))


def values(path):
    return {name: os.getxattr(path, name) for name in os.listxattr(path) if name.startswith("user.")}


def test_what_it_sets_and_removes_is_there_and_gone(file):
    for name, value in VALUES.items():
        xattr.setxattr(file, name, value)
    assert values(file) == VALUES
    xattr.setxattr(file, "user.empty", b"another")
    xattr.removexattr(file, "user.long")
    left = dict(VALUES, **{"user.empty": b"another"})
    del left["user.long"]
    assert values(file) == left


def test_what_is_there_it_finds(file):
    assert [name for name in xattr.listxattr(file) if name.startswith("user.")] == []
    for name, value in VALUES.items():
        os.setxattr(file, name, value)
    assert sorted(xattr.listxattr(file)) == sorted(os.listxattr(file))
    assert {name: xattr.getxattr(file, name) for name in xattr.listxattr(file) if name.startswith("user.")} == VALUES


def test_a_link_is_followed_only_where_that_is_asked_for(file):
    os.symlink(file, file + b"-link")
    xattr.setxattr(file + b"-link", "user.x", b"1")
    assert values(file) == {"user.x": b"1"}
    assert "user.x" in xattr.listxattr(file + b"-link")
    assert "user.x" not in xattr.listxattr(file + b"-link", follow_symlinks=False)
    with pytest.raises(OSError):
        xattr.setxattr(file + b"-link", "user.y", b"1", follow_symlinks=False)
    assert values(file) == {"user.x": b"1"}


def test_its_errors_are_those_of_the_system(file):
    for call, arguments, number in ((xattr.getxattr, (file, "user.none"), errno.ENODATA), (xattr.removexattr, (file, "user.none"), errno.ENODATA),
                                    (xattr.listxattr, (file + b"-none",), errno.ENOENT), (xattr.setxattr, (file, "none", b""), errno.ENOTSUP)):
        with pytest.raises(OSError) as caught:
            call(*arguments)
        assert caught.value.errno == number


def test_without_pythons_own_calls_attributes_are_mirrored_all_the_same(file, monkeypatch):
    other = file + b"-other"
    with open(other, "w"):
        pass
    for name, value in VALUES.items():
        os.setxattr(file, name, value)
    os.setxattr(other, "user.surplus", b"x")
    os.setxattr(other, "user.long", b"short")
    monkeypatch.setattr(attributes, "_xattrs", xattr)
    with monkeypatch.context() as without:
        for name in "listxattr", "getxattr", "setxattr", "removexattr":
            without.delattr(os, name)
        attributes.make_like(file, other, os.lstat(file), os.lstat(other))
    assert values(other) == VALUES
    assert os.lstat(other).st_mtime_ns == os.lstat(file).st_mtime_ns
