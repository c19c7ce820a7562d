"""The private directory of ssh's control sockets, one for this process.

Whoever can write there could take what we send: it is ours alone, or it is not used.
Knows nothing of what travels through the connections.
"""

import os
import re
import signal
import stat
import time

from lsyncd_lite.mirror.ssh import LONGEST
from lsyncd_lite.paths import join, show, to_bytes
from lsyncd_lite.system.process import environment
from lsyncd_lite.trust import weak_spot

_PATIENCE = 2.0  # seconds for all connections to end


class Sockets:
    """`path` (bytes) is the directory that goes to ssh.command; None where there is no place for it."""

    def __init__(self, environ=None):
        """Choose the path; nothing is made. environ: dict of bytes (default: that of this process)."""
        self.path = _choose(os.environb if environ is None else environ)
        self._made = False
        self._given_up = 0  # connections

    def prepare(self):
        """See to it that the directory is there and ours; to call before each job. Raises OSError."""
        if self.path is None:
            return
        if not self._made:
            _sweep(os.path.dirname(self.path))
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            facts = os.lstat(self.path)
            if not _is_ours(facts):
                raise OSError("%s is not ours" % show(self.path)) from None
            if stat.S_IMODE(facts.st_mode) != 0o700:
                os.chmod(self.path, 0o700)
        self._made = True

    def holds(self, start):
        """Tell whether there is a connection the name of which begins so (bytes)."""
        return any(os.path.basename(path).startswith(start) for path in self._found())

    def give_up(self, start):
        """Let what comes make a new connection (None: there is none); the old one goes on with what it carries."""
        for path in self._found() if start is not None else ():
            if os.path.basename(path).startswith(start):
                self._given_up += 1
                try:
                    os.rename(path, join(self.path, b"old%d-" % self._given_up + os.path.basename(path)))
                except OSError:
                    pass  # it ended just now

    def end(self, binary):
        """End the connections with an ssh (str or bytes), and remove the directory."""
        if not self._made:
            return
        self._made = False
        found = self._found()
        for given_up in False, True:  # last those that remove what has their former name as they end
            _exit(binary, [path for path in found if os.path.basename(path).startswith(b"old") is given_up])
        try:
            for path in self._found():
                os.unlink(path)
            os.rmdir(self.path)
        except OSError:
            pass  # somebody else removed it, or put something there, whose it is

    def _found(self):
        """Return the sockets that are there."""
        try:
            with os.scandir(self.path) as listing:
                return [entry.path for entry in listing if stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)]
        except OSError:
            return []


def _exit(binary, paths):
    """Ask the connections at some sockets to end, all at once."""
    pids = []
    for path in paths:
        argv = [to_bytes(binary) if isinstance(binary, str) else binary, b"-F", b"/dev/null", b"-O", b"exit",
                b"-o", b"ControlPath=" + path.replace(b"%", b"%%"), b"x"]
        try:
            pids.append(os.posix_spawnp(
                argv[0], argv, environment(), setsigmask=(), setsigdef=(signal.SIGPIPE,),
                file_actions=[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]))
        except OSError:
            break  # no such ssh; an unused connection ends by itself after a minute
    deadline = time.monotonic() + _PATIENCE
    while pids and time.monotonic() < deadline:
        time.sleep(0.01)
        pids = [pid for pid in pids if not _has_ended(pid, os.WNOHANG)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        _has_ended(pid, 0)


def _choose(environ):
    """Return a path that is free, or ours, in the first directory that will do; None if there is none."""
    name = b"lsyncd-lite-%d" % os.getpid()
    for directory in (environ.get(b"XDG_RUNTIME_DIR", b""), b"/run" if os.geteuid() == 0 else b"", b"/tmp"):
        path = join(directory, name)
        try:
            if not _will_do(directory):
                continue
            if os.path.lexists(path) and not _is_ours(os.lstat(path)):
                path += b"-" + os.urandom(4).hex().encode()
        except OSError:
            continue  # it is not there
        if len(path) <= LONGEST:
            return path
    return None


def _sweep(directory):
    """Remove what daemons of ours that were killed have left; their connections end by themselves."""
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        match = re.fullmatch(rb"lsyncd-lite-(\d+)(?:-[0-9a-f]{8})?", name)
        path = join(directory, name)
        try:
            if match and _is_ours(os.lstat(path)) and not os.path.exists(b"/proc/" + match.group(1)):
                for socket in os.listdir(path):
                    os.unlink(join(path, socket))
                os.rmdir(path)
        except OSError:
            pass  # somebody else is at it


def _will_do(directory):
    """Tell whether nobody but us and root can replace what we make in a directory; raises OSError."""
    if not re.fullmatch(rb"/[\w/.,:+@%-]+", directory):  # others need quotes in ssh's options
        return False
    facts = os.stat(directory)
    return (stat.S_ISDIR(facts.st_mode) and os.access(directory, os.W_OK | os.X_OK)
            and facts.st_uid in (0, os.geteuid())
            and (not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or bool(facts.st_mode & stat.S_ISVTX))
            and weak_spot(directory) is None)


def _is_ours(facts):
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()


def _has_ended(pid, options):
    try:
        return os.waitpid(pid, options)[0] == pid
    except ChildProcessError:  # reaped by somebody else
        return True
