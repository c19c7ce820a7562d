"""What read(2) returns → events. The bytes are made by hand, as inotify(7) describes them."""

import errno
import os
import struct
import subprocess
import sys

import pytest

from lsyncd_lite.watch import inotify
from lsyncd_lite.watch.inotify import IN_CREATE, IN_IGNORED, IN_ISDIR, IN_Q_OVERFLOW, Inotify, parse_events


def event(wd, mask, cookie=0, name=b"", length=None):
    length = (len(name) + 16) // 16 * 16 * bool(name) if length is None else length
    return struct.pack("iIII", wd, mask, cookie, length) + name.ljust(length, b"\0")


@pytest.mark.parametrize("events", [
    [],
    [(1, IN_CREATE, 0, b"a")],
    [(1, IN_IGNORED, 0, b"")],
    [(-1, IN_Q_OVERFLOW, 0, b"")],
    [(7, IN_CREATE | IN_ISDIR, 4294967295, b"name of 15 bytes"[:15]), (8, 1 << 31, 5, b"name of 16 bytes")],
    [(1, 2, 3, b"\xff\xfe\n \\"), (2147483647, 4, 0, b""), (3, 8, 9, b"x" * 255)],
    [(number, number, number, b"n" * (number % 40)) for number in range(1, 500)],
])
def test_events_are_read_as_they_were_written(events):
    assert list(parse_events(b"".join(event(*one) for one in events))) == events


@pytest.mark.parametrize("padding", [2, 3, 16, 256])
def test_padding_is_no_part_of_a_name(padding):
    assert list(parse_events(event(1, 2, 3, b"a", padding))) == [(1, 2, 3, b"a")]


def test_constants_are_those_of_the_kernel():
    """<linux/inotify.h>"""
    expected = dict(MODIFY=2, ATTRIB=4, CLOSE_WRITE=8, MOVED_FROM=0x40, MOVED_TO=0x80, CREATE=0x100, DELETE=0x200, DELETE_SELF=0x400,
                    MOVE_SELF=0x800, UNMOUNT=0x2000, Q_OVERFLOW=0x4000, IGNORED=0x8000, ONLYDIR=1 << 24, DONT_FOLLOW=1 << 25,
                    EXCL_UNLINK=1 << 26, MASK_ADD=1 << 29, ISDIR=1 << 30)
    assert {name: getattr(inotify, "IN_" + name) for name in expected} == expected


def test_an_instance_reads_what_happens_and_nothing_when_nothing_does(tmp_path):
    instance = Inotify()
    try:
        wd = instance.add(os.fsencode(str(tmp_path)), IN_CREATE)
        assert instance.read() == b"" and not os.get_inheritable(instance.fd)
        (tmp_path / "a").mkdir()
        assert list(parse_events(instance.read())) == [(wd, IN_CREATE | IN_ISDIR, 0, b"a")]
        instance.remove(wd)
        assert list(parse_events(instance.read())) == [(wd, IN_IGNORED, 0, b"")]
        instance.remove(wd)  # a second time is no error
        assert instance.read() == b""
    finally:
        instance.close()


def test_errors_of_the_kernel_are_oserrors(tmp_path):
    instance = Inotify()
    try:
        with pytest.raises(OSError) as caught:
            instance.add(os.fsencode(str(tmp_path / "missing")), IN_CREATE)
        assert caught.value.errno == errno.ENOENT and caught.value.strerror == os.strerror(errno.ENOENT)
    finally:
        instance.close()


def test_nothing_is_lost_while_a_directory_that_is_watched_is_watched_again(tmp_path):
    """As it is whenever a directory appears in it."""
    here, one, seen = os.fsencode(str(tmp_path)), Inotify(), set()
    try:
        wd = one.add(here, IN_CREATE)
        with subprocess.Popen([sys.executable, "-c", "import os, sys\nfor number in range(5000): os.mkdir('%s/%d' % (sys.argv[1], number))", str(tmp_path)]) as maker:
            is_over = False
            while not is_over:
                is_over = maker.poll() is not None
                for _again in range(20):
                    assert one.add(here, IN_CREATE) == wd
                for data in iter(one.read, b""):
                    seen.update(name for _wd, _mask, _cookie, name in parse_events(data))
    finally:
        one.close()
    assert len(seen) == 5000
