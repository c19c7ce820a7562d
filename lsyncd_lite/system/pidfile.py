"""The pidfile: a lock that says who runs, and a number for those who ask."""

import fcntl
import os

from lsyncd_lite.errors import Fatal, reason
from lsyncd_lite.paths import show


class Pidfile:
    """Hold the lock on a file (absolute bytes) and its number in it until `remove`."""

    def __init__(self, path):
        """Raise Fatal when another process holds it or it cannot be written. Links are not followed."""
        self._path = path
        while True:
            try:
                self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
            except OSError as error:
                raise Fatal("cannot write the pidfile %s: %s" % (show(path), reason(error))) from None
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
        """Write the number of this process; raise Fatal where that fails."""
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            raise Fatal("cannot write the pidfile %s: %s" % (show(self._path), reason(error))) from None

    def remove(self):
        """Remove the file if it is still the one that was locked."""
        try:
            if self._is_ours():
                os.unlink(self._path)
        except OSError:
            pass  # its directory is read-only or gone; the lock ends with us all the same
        os.close(self._fd)
