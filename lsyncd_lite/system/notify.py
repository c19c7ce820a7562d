"""What the service manager that has started us is told, by sd_notify(3): datagrams to the socket it has named.

Is imported only where there is one (supervisor.py). Knows the protocol, not what the words mean. Nothing here waits for
the manager or ends the program: what cannot be sent is lost, and told once.
"""

import os
import time

from lsyncd_lite.errors import reason
from lsyncd_lite.paths import show

SETTLED, LATEST = 1.0, 5.0  # seconds after which another status is told: it has stood for so long, or something else has
EXTENSION = 60.0            # seconds that a start or an end asks for, again and again: it may take longer than a unit allows
EXTEND = EXTENSION / 4
RETRY = 0.5                 # seconds until what matters is sent again to a manager that has no time
UNSENT = 8                  # of these messages
LONGEST = 400               # characters of a status
SHORTEST = 0.01             # seconds between two signs of life, whatever a manager wants


class Manager:
    """A service manager that is told whether we work.

    environ: {bytes: bytes} with its NOTIFY_SOCKET; tell(words): called when it cannot be reached, once.
    """

    def __init__(self, environ, tell):
        self._address = environ[b"NOTIFY_SOCKET"]
        self._tell, self._told = tell, False
        self._socket = None
        self._unsent = []      # messages that it had no time for
        self._retry_at = None
        self._beat = _interval(environ)
        self._beat_at = None if self._beat is None else 0.0
        self._extend_at = 0.0  # when it has to be asked for more time; None: nobody waits for us
        self._heard = True     # it takes this process for the main one
        self._line = None      # the status that was told last
        self._next, self._next_at, self._since = None, None, 0.0  # another one, when to tell it, since when it is another

    @property
    def due(self):
        """When `turn` has something to do, None: not before the status is another."""
        return min([at for at in (self._retry_at, self._beat_at, self._next_at, self._extend_at) if at is not None], default=None)

    def turn(self, line, now):
        """Tell what is due, once in each turn of the loop; line(): returns the status (str) as it is now."""
        if self._retry_at is not None and self._retry_at <= now:
            unsent, self._unsent, self._retry_at = self._unsent, [], None
            for message in unsent:
                self._send(message, True)
        self.breathe(now)
        line = line()
        if line == self._line:
            self._next = self._next_at = None
            return
        if line != self._next:
            if self._next is None:
                self._since = now
            self._next, self._next_at = line, min(now + SETTLED, self._since + LATEST)
        if self._next_at <= now:
            self._send(self._status(line))

    def breathe(self, now=None):
        """Tell that we are alive, and have not come to an end yet, where that is due."""
        now = time.monotonic() if now is None else now
        if self._beat_at is not None and self._beat_at <= now:
            self._beat_at = now + self._beat
            self._send("WATCHDOG=1")
        if self._extend_at is not None and self._extend_at <= now:
            self._extend_at = now + EXTEND
            self._send("EXTEND_TIMEOUT_USEC=%d" % (EXTENSION * 1e6))

    def ready(self, line):
        """Tell that the start, or a reload, is done."""
        self._extend_at = None
        if self._heard:
            self._send("READY=1\n" + self._status(line), True)
        self._heard = True

    def reloading(self):
        """Tell that a reload begins."""
        self._extend_at = 0.0
        self._send("RELOADING=1\nMONOTONIC_USEC=%d" % (time.monotonic_ns() // 1000), True)

    def stopping(self, line, number=None):
        """Tell that the end begins, for whatever reason; number: the errno that is to blame, if one is."""
        self._extend_at = 0.0
        self._send("STOPPING=1\n" + self._status(line) + ("" if number is None else "\nERRNO=%d" % number), True)

    def hand_over(self, pid):
        """Tell that another process, which is ready, is the main one from now on; for a process that is about to end."""
        self._send("MAINPID=%d\nREADY=1" % pid, patience=10.0)

    def keep_silent(self):
        """Send nothing before `ready`: the manager does not listen to this process yet."""
        self._heard = False

    def _status(self, line):
        self._line, self._next, self._next_at = line, None, None
        text = line if line.isprintable() else show(line)
        return "STATUS=" + (text if len(text) <= LONGEST else text[:LONGEST - 3] + "...")

    def _send(self, message, matters=False, patience=0.0):
        """Send a message; one that matters is sent again to a manager that has no time now."""
        if not self._heard:
            return
        if self._unsent:  # in order
            self._unsent += [message] * matters
            del self._unsent[:-UNSENT]
            return
        try:
            self._put(message.encode("utf-8", "surrogateescape"), patience)
        except BlockingIOError as error:
            if matters:
                self._unsent.append(message)
                self._retry_at = time.monotonic() + RETRY
            self._complain(error)
        except OSError as error:
            self._complain(error)
        else:
            self._told = False

    def _put(self, message, patience):
        address = self._address
        if not address.startswith((b"/", b"@")):
            raise OSError("it is no path of a socket")
        import _socket  # socket costs an idle daemon ten times as much
        if self._socket is None:
            self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        self._socket.settimeout(patience)
        self._socket.sendto(message, b"\0" + address[1:] if address.startswith(b"@") else address)

    def _complain(self, error):
        if not self._told:
            self._told = True
            self._tell("cannot tell the service manager (NOTIFY_SOCKET) how we are: %s" % reason(error))


def _interval(environ):
    """Return the seconds between two signs of life: half of what the manager grants; None: it waits for none from us."""
    try:
        usec = int(environ.get(b"WATCHDOG_USEC", b"0"))
        pid = int(environ.get(b"WATCHDOG_PID") or os.getpid())
        return max(usec / 2e6, SHORTEST) if usec > 0 and pid == os.getpid() else None
    except (ValueError, OverflowError):
        return None
