"""What a command prints, for whoever has to wait for it: bounded in time and size, and nothing left of it.

Knows nothing of what it is for.
"""

import os
import select
import signal
import time

from lsyncd_lite.errors import reason
from lsyncd_lite.paths import show
from lsyncd_lite.system.process import environment

LIMIT = 10.0     # seconds
LARGEST = 1 << 20  # bytes
_BREATH = 0.25   # seconds between two calls of breathe()
_WORDS = 4096    # bytes of its standard error output of which the last line is told
_NAP = 0.01      # seconds between two looks whether it has ended, once it has closed its output


def printed(argv, breathe=None):
    """Run argv (list of bytes) and return its standard output (bytes).

    breathe(): called now and then while it lasts (None: nobody waits). Raises ValueError with a sentence where it could
    not be run, takes too long, prints too much, or does not end with 0. What it has started ends with it.
    """
    pipes = []
    try:
        for _stream in range(2):
            pipes += os.pipe2(os.O_CLOEXEC)
        pid = os.posix_spawnp(argv[0], argv, environment(), file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, pipes[1], 1),
            (os.POSIX_SPAWN_DUP2, pipes[3], 2)], setpgroup=0, setsigmask=(), setsigdef=[signal.SIGPIPE])
    except OSError as error:
        for fd in pipes:
            os.close(fd)
        raise ValueError("cannot run %s: %s" % (show(argv[0]), reason(error))) from None
    output, words = pipes[::2]
    for fd in pipes[1::2]:
        os.close(fd)
    status = None
    try:
        os.set_blocking(words, False)
        content, said = _read(output, words, time.monotonic() + LIMIT, breathe)
        status = _status(pid, time.monotonic() + LIMIT / 10)
        said = (said + _rest(words))[-_WORDS:]
    finally:
        os.close(output)
        os.close(words)
        _end(pid, status is None)
    if status:
        last = said.rstrip().rpartition(b"\n")[2]
        how = "was killed by signal %d" % -status if status < 0 else "ended with %d" % status
        raise ValueError("the command %s%s" % (how, ": %s" % show(last) if last else ""))
    return content


def _read(output, words, until, breathe):
    """Return (all of one pipe, the end of another) of a command that has to close the first in time."""
    content, said, readable = b"", b"", [output, words]
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise ValueError("the command has not ended after %d s: it was ended" % LIMIT)
        for fd in select.select(readable, [], [], min(left, _BREATH))[0]:
            data = os.read(fd, 65536)
            if fd == words:
                said = (said + data)[-_WORDS:]
                readable = readable if data else [output]
            elif not data:
                return content, said
            else:
                content += data
                if len(content) > LARGEST:
                    raise ValueError("the command prints more than %d bytes: it was ended" % LARGEST)
        if breathe is not None:
            breathe()


def _status(pid, until):
    """Return the exit status (or -signal) of a command that has closed its output."""
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        if time.monotonic() > until:
            raise ValueError("the command has closed its output and does not end: it was ended")
        time.sleep(_NAP)


def _rest(fd):
    try:
        return os.read(fd, _WORDS * 16)
    except BlockingIOError:
        return b""


def _end(pid, runs):
    """End what is left of a command; runs: it has not been waited for."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nothing is left, or it has become somebody else (sudo)
    if runs:
        os.waitpid(pid, 0)
