"""The pidfile: a lock that says who runs, and a number for those who ask."""

import errno
import fcntl
import os

from lsyncd_lite.errors import Fatal, reason
from lsyncd_lite.paths import show
from lsyncd_lite.system.private import opened

_BROKEN = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)


class BrokenDisk(Fatal):
    """The pidfile cannot be written, and that is not what the configuration has asked for: no reason not to mirror."""


class Pidfile:
    """Hold the lock on a file (absolute bytes) and its number in it until `remove`."""

    def __init__(self, path):
        """Raise Fatal when another process holds it or it cannot be written, BrokenDisk. Links are not followed."""
        self._path = path
        while True:
            try:
                self._fd = opened(path, os.O_RDWR)
            except OSError as error:
                raise _failure(path, error) from None
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.read(self._fd, 32).split(b"\n")[0]
                os.close(self._fd)
                raise Fatal("cannot lock the pidfile %s: %s" % (
                    show(path), "lsyncd-lite runs already, as PID %s" % show(holder)
                    if isinstance(error, BlockingIOError) else reason(error))) from None
            if self._is_ours():
                break
            os.close(self._fd)  # it was removed while we waited for it

    def _is_ours(self):
        try:
            return os.path.samestat(os.fstat(self._fd), os.lstat(self._path))
        except FileNotFoundError:
            return False

    def write(self):
        """Write the number of this process; raise Fatal, or BrokenDisk, where that fails."""
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            raise _failure(self._path, error) from None

    def remove(self):
        """Remove the file if it is still the one that was locked."""
        try:
            if self._is_ours():
                os.unlink(self._path)
        except OSError:
            pass  # its directory is read-only or gone; the lock ends with us all the same
        os.close(self._fd)


def _failure(path, error):
    """Return the Fatal for an OSError."""
    kind = BrokenDisk if error.errno in _BROKEN else Fatal
    return kind("cannot write the pidfile %s: %s" % (show(path), reason(error)))
