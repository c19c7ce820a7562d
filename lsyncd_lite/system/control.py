"""The control socket: who asks or steers a daemon connects here. One JSON object a line each way.

Knows what a client may do to us, not what is asked: nothing here waits, and all is bounded. Of each
client one request is answered at a time, and no more is read before that answer is sent. A socket(2) costs memory and
is made by whoever wants one.
"""

import errno
import fcntl
import os
import select
import stat
import struct
import time

from lsyncd_lite.errors import Fatal, reason
from lsyncd_lite.paths import show
from lsyncd_lite.system.private import refusal
from lsyncd_lite.trust import trusted

LONGEST = 65536      # bytes of a request
MOST = 64            # clients at one time
SILENCE = 30.0       # seconds in which a client has to send a request, or to read something of its answer
REST = 1.0           # seconds without accept(2) when there are no descriptors for it
PATH_LONGEST = 107   # bytes, unix(7)
BACKLOG = 64
LOCK_TRIES = 20      # of 10 ms each, at a directory that another daemon that starts holds

NO_CONNECTION = (errno.ECONNABORTED, errno.EINTR, errno.EAGAIN)


class Occupied(Fatal):
    """Another daemon answers there."""


class Client:
    """Somebody who has connected."""

    def __init__(self, server, sock):
        self._server = server
        self.sock = sock
        self.fd = sock.fileno()
        self.unread = b""        # what was read and not answered yet
        self.unsent = b""
        self.waits = False       # an answer is owed to it
        self.at_end = False      # it has said all
        self.closes = False      # with what is unsent
        self.gone = False
        self.since = time.monotonic()  # something has moved
        self.events = None       # that are looked for (epoll_ctl(2))

    def send(self, answer, more=False):
        """Send a dict, which ends its request, unless there is more to come."""
        import json
        if not self.gone:
            self.waits = more
            self.since = time.monotonic()
            self.unsent += json.dumps(answer).encode() + b"\n"
            self._server.flush(self)

    @property
    def due(self):
        """When it has been silent for too long, None: never."""
        return None if self.waits and not self.unsent else self.since + SILENCE


class Server:
    """Listens on a path until `leave`, and answers those who are there until `close`. loop: a Loop.

    answer(request, client): called with each request (dict); returns the answer (dict), or None where
    `client.send` comes later. An exception of it is a defect, and told to the client.
    """

    def __init__(self, loop, answer):
        self.path = None
        self._loop = loop
        self._answer = answer
        self._clients = {}   # descriptor → Client
        self._kept = []      # whose connection ends when we do
        self._rests_until = None
        self._sock = self._identity = None
        self._ready = select.epoll()  # of its own, so that we can answer, too, where the loop does not turn for long
        self._loop.add(self._ready.fileno(), self.turn)

    def listen(self, path):
        """Listen on a path (absolute bytes); raise Fatal: Occupied where another daemon answers, or what the kernel says."""
        import socket
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            self._identity = _bind(sock, path)
        except BaseException:
            sock.close()
            raise
        self.path, self._sock = path, sock
        self._ready.register(sock.fileno(), select.EPOLLIN)

    def listen_again(self):
        """Listen on the same path with a new socket; raise Fatal."""
        path = self.path
        self.leave()
        self.path = path
        self.listen(path)

    def leave(self):
        """Listen no more, and remove the socket, if it is still ours."""
        self.path, path = None, self.path
        if self._sock is None:
            return
        if self._stands(path):
            try:
                os.unlink(path)
            except OSError:
                pass  # its directory is read-only: nobody answers there, and that is seen
        if self._rests_until is None:
            self._ready.unregister(self._sock.fileno())
        self._sock.close()
        self._sock = self._rests_until = None

    def turn(self):
        """Do what can be done without waiting."""
        for fd, _events in self._ready.poll(0):
            if self._sock is not None and fd == self._sock.fileno():
                self._on_connect()
            elif fd in self._clients:  # one may have parted from another
                self._on_ready(self._clients[fd])

    def keep(self, client):
        """Let a client hear of the end of the process, and not of ours only."""
        self._kept.append(client)

    def is_ours(self):
        """Tell whether we listen, and our socket is still there."""
        return self._sock is not None and self._stands(self.path)

    def _stands(self, path):
        try:
            return _identity(path) == self._identity
        except OSError:
            return False

    def close(self):
        """Listen no more, and part from all."""
        self.leave()
        for client in list(self._clients.values()):
            if client not in self._kept:
                self._drop(client)
        self._loop.remove(self._ready.fileno())
        self._ready.close()

    @property
    def due(self):
        """When `look` has something to do, None: not before something happens."""
        times = [client.due for client in self._clients.values()]
        return min([at for at in [*times, self._rests_until] if at is not None], default=None)

    def look(self, now):
        """Part from who has been silent for too long."""
        if self._rests_until is not None and self._rests_until <= now:
            self._rests_until = None
            self._ready.register(self._sock.fileno(), select.EPOLLIN)
        for client in list(self._clients.values()):
            if client.due is not None and client.due <= now:
                self._drop(client)

    def _on_connect(self):
        try:
            sock, _name = self._sock.accept()
        except OSError as error:
            if error.errno not in NO_CONNECTION:  # no descriptors, no memory: epoll(7) would tell of it again and again
                self._ready.unregister(self._sock.fileno())
                self._rests_until = time.monotonic() + REST
            return
        sock.setblocking(False)
        client = Client(self, sock)
        self._clients[client.fd] = client
        uid = _uid(sock)
        if uid not in (0, os.geteuid()):
            self._refuse(client, "uid %d may not ask this daemon" % uid)
        elif len(self._clients) > MOST:
            idle = next((other for other in self._clients.values() if not other.waits and other is not client), None)
            if idle is not None:
                self._drop(idle)
                self._listen(client)
            else:
                self._refuse(client, "%d clients wait already" % MOST)
        else:
            self._listen(client)

    def _refuse(self, client, words):
        """Send the last that a client hears of us."""
        client.closes = True
        client.send({"error": words})

    def _on_ready(self, client):
        """Go on with a client of which the kernel has told something."""
        if client.events == 0:  # only that it is gone
            self._drop(client)
            return
        if client.unsent:
            self.flush(client)
            return
        if b"\n" not in client.unread and not client.at_end:
            try:
                got = client.sock.recv(LONGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._drop(client)
                return
            client.at_end = not got
            client.unread += got
        self._take_request(client)

    def _take_request(self, client):
        line, newline, rest = client.unread.partition(b"\n")
        if len(line) > LONGEST:
            self._refuse(client, "a request of more than %d bytes" % LONGEST)
            return
        if not newline and not (client.at_end and line.strip()):
            self._listen(client)
            return
        client.unread, client.waits = rest, True
        try:
            request = _parsed(line)
        except ValueError as error:
            self._refuse(client, str(error))
            return
        answer = self._answer(request, client)
        if answer is not None:
            client.send(answer)
        elif not client.gone:
            self._listen(client)

    def flush(self, client):
        """Send what can be sent."""
        while client.unsent:
            try:
                sent = client.sock.send(client.unsent[:LONGEST])
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self._drop(client)
                return
            client.unsent, client.since = client.unsent[sent:], time.monotonic()
        self._listen(client)

    def _listen(self, client):
        """Let the loop look for what is next; part from a client with which all is done."""
        if client.unsent:
            events = select.EPOLLOUT
        elif client.closes or client.at_end and not client.waits and not client.unread.strip():
            self._drop(client)
            return
        elif client.waits:
            events = 0
        else:  # another request that is there already has its turn with everybody's
            events = select.EPOLLOUT if b"\n" in client.unread or client.at_end else select.EPOLLIN
        if client.events is None:
            self._ready.register(client.fd, events)
        elif events != client.events:
            self._ready.modify(client.fd, events)
        client.events = events

    def _drop(self, client):
        if client.gone:
            return
        client.gone = True
        del self._clients[client.fd]
        if client.events is not None:
            self._ready.unregister(client.fd)
        client.sock.close()


def _parsed(line):
    """Return the request (dict) of a line; raise ValueError."""
    import json
    try:
        request = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise ValueError("no JSON: a request is an object in one line, as {\"do\": \"status\"}") from None
    if not isinstance(request, dict) or not isinstance(request.get("do"), str):
        raise ValueError("a request is an object with a word for \"do\", as {\"do\": \"status\"}")
    return request


def _uid(sock):
    """Return the user id of whoever has connected (unix(7), SO_PEERCRED)."""
    import socket
    return struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]


def _identity(path):
    facts = os.lstat(path)
    return facts.st_dev, facts.st_ino


def _bind(sock, path):
    """Listen on a path that nobody answers on; return what it is there; raise Fatal."""
    lines = refusal("controlSocket", path)
    if lines:
        raise Fatal(lines[0])
    directory = None
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _lock(directory)
        name = within(directory, path)
        _clear(path, name)
        mask = os.umask(0o177)
        try:
            sock.bind(name)
        finally:
            os.umask(mask)
        sock.listen(BACKLOG)
        return _identity(path)
    except (OSError, ValueError) as error:
        raise Fatal("cannot make the control socket %s: %s" % (
            show(path), reason(error) if isinstance(error, OSError) else error)) from None
    finally:
        if directory is not None:
            os.close(directory)


def _lock(directory):
    """Keep others that start from the same directory for as long as it is open, or go on without."""
    for _try in range(LOCK_TRIES):
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            return  # a file system without locks


def within(directory, path):
    """Return the name by which bind(2) and connect(2) take a path that may be too long; directory: a descriptor of its directory. Raises ValueError."""
    if len(path) <= PATH_LONGEST:
        return path
    name = b"/proc/self/fd/%d/%s" % (directory, os.path.basename(path))
    if len(name) > PATH_LONGEST:
        raise ValueError("the name of the file is too long")
    return name


def _clear(path, name):
    """Remove a socket of ours on which nobody answers any more; raise Occupied, OSError."""
    import socket
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(facts.st_mode):
        raise OSError("there is something else, which is no socket")
    if facts.st_uid not in trusted():
        raise OSError("it belongs to uid %d" % facts.st_uid)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.setblocking(False)
        try:
            other.connect(name)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # its queue is full
    raise Occupied("another lsyncd-lite answers on the control socket %s" % show(path))
