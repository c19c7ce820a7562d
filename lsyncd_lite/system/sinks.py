"""Where lines of the log go: a file, a descriptor of the starter's, syslog. None of them makes the daemon wait.

Each has write(category, words), which raises OSError when the line is lost; `lost` (lines) and `told` (that it
fails) are the log's.
"""

import os
import select
import stat
import time

from lsyncd_lite.paths import to_bytes
from lsyncd_lite.system.private import opened

_PRIORITIES = {"Error": 3, "Warn": 4, "Normal": 5, "Info": 6}
_DEBUG = 7
_FACILITIES = {"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7,
               "uucp": 8, "cron": 9, "authpriv": 10, "ftp": 11, **{"local%d" % n: 16 + n for n in range(8)}}

_ADDRESS = b"/dev/log"
_AT_ONCE = select.PIPE_BUF  # bytes that do not block a pipe which is ready for some (pipe(7))


class _Lines:
    """Lines that go to a descriptor; one that was cut off is ended before the next begins."""

    clock = "%a %b %d %H:%M:%S %Y"
    is_journal = False

    def __init__(self):
        self.lost, self.told = 0, False
        self._torn = False

    def _put(self, fd, category, words):
        head = "<%d>" % _PRIORITIES.get(category, _DEBUG) if self.is_journal else time.strftime(self.clock) + " "
        line = b"\n" * self._torn + to_bytes("%s%s: %s\n" % (head, category, words))
        ready, left = select.poll(), line
        ready.register(fd, select.POLLOUT)
        try:
            while left:
                if not ready.poll(0):
                    raise OSError("nobody reads it")
                left = left[os.write(fd, left[:_AT_ONCE]):]
        finally:
            if left != line:
                self._torn = bool(left)


class File(_Lines):
    """A file (absolute bytes) of ours, which is opened anew for each line, as somebody may have renamed it."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def write(self, category, words):
        """Append a line; raise OSError."""
        fd = opened(self.path, os.O_WRONLY | os.O_APPEND, devices=True)
        try:
            self._put(fd, category, words)
        finally:
            os.close(fd)

    def close(self):
        """Nothing is open."""


class Stream(_Lines):
    """What the starter has left open as a descriptor: a terminal, a pipe, a socket or a file.

    is_journal: systemd's journal reads it, which has a clock, and knows priorities (sd-daemon(3)).
    """

    def __init__(self, fd, path=None, clock=_Lines.clock):
        """path: by which name it was asked for; clock: a format of strftime(3)."""
        super().__init__()
        self.path = path
        self.clock = clock
        self.is_journal = is_journal(fd)
        self._fd = _not_blocking(fd)

    def write(self, category, words):
        """Write a line; raise OSError."""
        self._put(self._fd, category, words)

    def close(self):
        """Keep the starter's terminal or pipe no more."""
        os.close(self._fd)


class Syslog:
    """The daemon behind /dev/log. (syslog(3) waits for one that does not read, without end.)"""

    is_journal = False  # it may reach it, but not as the starter's descriptor

    def __init__(self, ident, facility):
        """ident: text before each line; facility: name or number (text)."""
        self.lost, self.told = 0, False
        self._ident = ident
        self._facility = int(facility) if facility.isdigit() else _FACILITIES[facility]
        self._socket = None
        self._end = b""

    def write(self, category, words):
        """Send a line; raise OSError."""
        line = to_bytes("<%d>%s %s[%d]: %s: %s" % (
            self._facility << 3 | _PRIORITIES.get(category, _DEBUG), time.strftime("%b %e %H:%M:%S"),
            self._ident, os.getpid(), category, words))
        try:
            self._send(line)
        except BlockingIOError:
            raise
        except OSError:  # another one may listen by now
            self.close()
            self._send(line)

    def _send(self, line):
        if self._socket is None:
            self._connect()
        self._socket.send(line + self._end)

    def _connect(self):
        import _socket  # socket costs an idle daemon ten times as much, 0.3 MB
        for kind, self._end in (_socket.SOCK_DGRAM, b""), (_socket.SOCK_STREAM, b"\0"):
            end = _socket.socket(_socket.AF_UNIX, kind)
            try:
                end.setblocking(False)
                end.connect(_ADDRESS)
            except OSError as error:
                end.close()
                problem = error
            else:
                self._socket = end
                return
        raise problem

    def close(self):
        """End the connection; the next line makes a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def is_journal(fd):
    """Tell whether systemd's journal reads a descriptor that it has given us (systemd.exec(5), JOURNAL_STREAM)."""
    facts = os.fstat(fd)
    return os.environb.get(b"JOURNAL_STREAM") == b"%d:%d" % (facts.st_dev, facts.st_ino)


def _not_blocking(fd):
    """Return another descriptor of what fd is, of which the flags are ours alone if it may block."""
    kind = stat.S_IFMT(os.fstat(fd).st_mode)
    if kind in (stat.S_IFIFO, stat.S_IFCHR):
        try:
            return os.open("/proc/self/fd/%d" % fd, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            pass  # no reader, another's terminal, no /proc: _put asks each time
    return os.dup(fd)
