"""The pidfile: a lock that says who runs, a number for those who ask, and beside it what is asked for."""

import errno
import fcntl
import os

from lsyncd_lite.errors import Fatal, reason
from lsyncd_lite.paths import show
from lsyncd_lite.system import atomic
from lsyncd_lite.system.private import opened

_BROKEN = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)
_REQUEST = b".request"


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
        other = _lsyncd(os.pread(self._fd, 32, 0))
        if other is not None:
            os.close(self._fd)
            raise Fatal("cannot lock the pidfile %s: lsyncd itself runs, as PID %d; stop it first, as both would write the same files" % (show(path), other))

    def _is_ours(self):
        try:
            return os.path.samestat(os.fstat(self._fd), os.lstat(self._path))
        except FileNotFoundError:
            return False

    def write(self):
        """Write the number of this process; raise Fatal, or BrokenDisk, where that fails."""
        try:
            self.request(self._path)  # that was somebody else's
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            raise _failure(self._path, error) from None

    @staticmethod
    def signal(path, number, request=None):
        """Send a signal to the process that holds the lock on a file (absolute bytes); raise Fatal if there is none.

        request: bytes that it finds by `request`.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                pid = int(os.read(fd, 32) or 0)
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                if request is not None:
                    atomic.write(path + _REQUEST, request)
                os.kill(pid, number)
                return
            finally:
                os.close(fd)
        except FileNotFoundError:
            pass  # as without a lock
        except (OSError, ValueError) as error:
            raise Fatal("cannot tell the daemon of the pidfile %s: %s"
                        % (show(path), reason(error) if isinstance(error, OSError) else "it holds no number")) from None
        raise Fatal("no lsyncd-lite runs that holds the pidfile %s" % show(path))

    @staticmethod
    def request(path):
        """Return the bytes that somebody has left beside the pidfile for us, and forget them; None: nothing (of ours or root's)."""
        try:
            fd = os.open(path + _REQUEST, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            os.unlink(path + _REQUEST)
            return os.read(fd, 4096) if os.fstat(fd).st_uid in (0, os.geteuid()) else None
        except OSError:
            return None
        finally:
            os.close(fd)

    def remove(self):
        """Remove the file if it is still the one that was locked."""
        try:
            if self._is_ours():
                os.unlink(self._path)
        except OSError:
            pass  # its directory is read-only or gone; the lock ends with us all the same
        os.close(self._fd)


def _lsyncd(content):
    """Return the number in a pidfile (bytes) if that is a running lsyncd's, which knows no lock; else None."""
    try:
        pid = int(content)
        with open("/proc/%d/comm" % pid, "rb") as file:
            return pid if file.read() == b"lsyncd\n" else None
    except (OSError, ValueError):
        return None


def _failure(path, error):
    """Return the Fatal for an OSError."""
    kind = BrokenDisk if error.errno in _BROKEN else Fatal
    return kind("cannot write the pidfile %s: %s" % (show(path), reason(error)))
