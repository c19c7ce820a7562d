"""The other end of the control socket: finds the daemons that run, asks one, and never waits for longer than it may.

Knows neither what is asked nor what an answer means.
"""

import glob
import os
import time

from lsyncd_lite.errors import Fatal, reason
from lsyncd_lite.paths import show
from lsyncd_lite.system.control import within

PATIENCE = 10.0    # seconds in which a daemon has to answer
RECEIVED = 65536


class Unreachable(Fatal):
    """Nobody answers there. is_dead: nor will; is_stuck: somebody is there, and has no time."""

    is_dead = is_stuck = False


def directories(environ):
    """Return the directories (patterns, bytes) in which daemons have their sockets; in a unit of ours that is its own alone."""
    own = environ.get(b"RUNTIME_DIRECTORY", b"").split(b":")[0]
    if own and own != shared(environ):
        return [own]
    found = [b"/run/lsyncd-lite", b"/run/lsyncd-lite@*"]
    if not os.path.isdir(b"/run"):
        found = [b"/var" + name for name in found]
    if environ.get(b"XDG_RUNTIME_DIR"):
        found.append(os.path.join(environ[b"XDG_RUNTIME_DIR"], b"lsyncd-lite"))
    return found + [own] * bool(own)


def shared(environ):
    """Return the directory (bytes) of the unit that we are called in, if it is not named after us: others may have sockets there; or None."""
    own = environ.get(b"RUNTIME_DIRECTORY", b"").split(b":")[0]
    return own if own.startswith(b"/run/") and b"/lsyncd-lite" not in own else None


def sockets(environ):
    """Return the paths (sorted list of bytes) of the sockets that stand where daemons have theirs, alive or not."""
    return sorted({path for pattern in directories(environ) for path in glob.glob(os.path.join(pattern, b"*.sock"))})


def connect(path, timeout=PATIENCE):
    """Return a socket that is connected to a path (bytes); raise Unreachable."""
    import socket
    sock, directory = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), None
    try:
        sock.settimeout(timeout)
        directory = os.open(os.path.dirname(path) or b".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        until = time.monotonic() + timeout
        while True:
            try:
                sock.connect(within(directory, path))
                return sock
            except BlockingIOError:  # its queue is full, and connect(2) does not wait for room
                if time.monotonic() >= until:
                    raise
                time.sleep(0.05)
    except (OSError, ValueError) as error:
        sock.close()
        is_stuck = isinstance(error, (socket.timeout, BlockingIOError))
        words = "nobody answers any more" if isinstance(error, ConnectionRefusedError) else \
            "no answer within %.1f s" % timeout if is_stuck else \
            reason(error) if isinstance(error, OSError) else str(error)
        failure = Unreachable("cannot ask the daemon of %s: %s" % (show(path), words))
        failure.is_dead, failure.is_stuck = isinstance(error, (ConnectionRefusedError, FileNotFoundError)), is_stuck
        raise failure from None
    finally:
        if directory is not None:
            os.close(directory)


def left(until):
    """Return the seconds for one more of several daemons; until: when it should be over (`time.monotonic`). One that is well answers in a moment."""
    return max(0.2, until - time.monotonic())


def talk(path, request, timeout=PATIENCE, longer=None):
    """Yield what a daemon answers (dicts) to a request (dict) until it closes the connection.

    timeout: seconds that the first answer may take, None: for ever; longer: {key: seconds, or None} for what follows
    an answer with that key. Raises Unreachable, also where what comes is no answer.
    """
    import json
    import socket
    began = time.monotonic()
    deadline = None if timeout is None else began + timeout
    with connect(path, PATIENCE if timeout is None else timeout) as sock:
        try:
            sock.sendall(json.dumps(request).encode() + b"\n")
            unread = b""
            while True:
                sock.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
                got = sock.recv(RECEIVED)
                if not got:
                    return
                unread += got
                *lines, unread = unread.split(b"\n")
                for line in lines:
                    answer = json.loads(line.decode())
                    if not isinstance(answer, dict):
                        raise ValueError
                    yield answer
                    for key, seconds in (longer or {}).items():
                        if key in answer and timeout is not None:
                            deadline = None if seconds is None else time.monotonic() + seconds
        except socket.timeout:
            raise Unreachable("cannot ask the daemon of %s: no answer within %.1f s" % (show(path), time.monotonic() - began)) from None
        except OSError as error:
            raise Unreachable("cannot ask the daemon of %s: %s" % (show(path), reason(error))) from None
        except ValueError:
            raise Unreachable("cannot ask the daemon of %s: what it answers is no answer" % show(path)) from None


def ask(path, request, timeout=PATIENCE):
    """Return the one answer (dict) of a daemon; raise Unreachable, or Fatal with what it has refused."""
    for answer in talk(path, request, timeout):
        if "error" in answer:
            raise Fatal(str(answer["error"]))
        return answer
    raise Unreachable("cannot ask the daemon of %s: it has ended" % show(path))
