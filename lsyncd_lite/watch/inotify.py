"""The three system calls of inotify(7), its constants, and the reading of its events.

Knows nothing of directory trees. Paths are bytes; errors are OSError with errno.
"""

import ctypes
import os
import struct

# inotify(7), "inotify events" and <sys/inotify.h>
IN_MODIFY = 0x00000002
IN_ATTRIB = 0x00000004
IN_CLOSE_WRITE = 0x00000008
IN_MOVED_FROM = 0x00000040
IN_MOVED_TO = 0x00000080
IN_CREATE = 0x00000100
IN_DELETE = 0x00000200
IN_DELETE_SELF = 0x00000400
IN_MOVE_SELF = 0x00000800
IN_UNMOUNT = 0x00002000
IN_Q_OVERFLOW = 0x00004000
IN_IGNORED = 0x00008000
IN_ONLYDIR = 0x01000000
IN_DONT_FOLLOW = 0x02000000
IN_EXCL_UNLINK = 0x04000000
IN_MASK_ADD = 0x20000000
IN_ISDIR = 0x40000000

_BUFFER = 1 << 18
_HEADER = struct.Struct("iIII")

# None: the C library that is loaded already, whatever its name (glibc, musl).
_libc = ctypes.CDLL(None, use_errno=True)
_add_watch = _libc.inotify_add_watch  # without argtypes: int and bytes need no conversion


def parse_events(data):
    """Yield (wd, mask, cookie, name) of what read(2) returned; name is b"" where there is none."""
    offset, end, unpack = 0, len(data), _HEADER.unpack_from
    while offset < end:
        wd, mask, cookie, length = unpack(data, offset)
        offset += 16
        yield wd, mask, cookie, data[offset:offset + length].rstrip(b"\0")
        offset += length


class Inotify:
    """One inotify instance; `fd` is non-blocking and closed on exec."""

    def __init__(self):
        """Raise OSError: EMFILE when fs.inotify.max_user_instances (or open files) is used up."""
        self.fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise _error()

    def add(self, path, mask):
        """Return the wd that watches a path; raise OSError (ENOSPC: no watches left, inotify_add_watch(2)).

        What is watched already gets what the mask has besides (IN_MASK_ADD): to replace a mask the kernel clears it first,
        and what happens in that moment is told to nobody.
        """
        wd = _add_watch(self.fd, path, mask | IN_MASK_ADD)
        if wd < 0:
            raise _error()
        return wd

    def remove(self, wd):
        """Stop watching; a wd that is gone already is no error."""
        _libc.inotify_rm_watch(self.fd, wd)

    def read(self):
        """Return the bytes of the events that wait; b"" if there are none."""
        try:
            return os.read(self.fd, _BUFFER)
        except BlockingIOError:
            return b""

    def close(self):
        """Give up the instance and all its watches."""
        os.close(self.fd)


def _error():
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
