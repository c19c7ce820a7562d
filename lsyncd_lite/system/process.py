"""Children: spawn, read what they print, reap, end. Knows nothing of what they are for.

Each child has a process group of its own, default signals, /dev/null or a memory file
as its standard input and a pipe to us as its output.
"""

import os
import re
import select
import signal
import sys
import time

from lsyncd_lite.system import progress

_OUTPUT_KEPT = 50    # lines of a child's output that are kept for whoever judges its end: half of them the last
_READS = 16          # of 64 KiB of one child's output in a turn of the loop
_LINE_LONGEST = 4096
# One that tells how far it is does so for every file: it is read now and then, when about a quarter of its pipe may be full.
_NAP, _NAP_LONGEST = 0.05, 0.5  # seconds
_PIPE = 512 * 1024   # bytes; unprivileged users may have 64 MiB of them in all (pipe(7))
_PIPE_USUAL = 64 * 1024
_SET_SIZE = 1031     # F_SETPIPE_SZ of fcntl(2)
# What service managers (systemd.exec(5), sd_notify(3), sd_listen_fds(3)) tell us, and nobody else; and what hooks tell.
_FOR_US = re.compile(rb"LSYNCD_.*|NOTIFY_SOCKET|WATCHDOG_(USEC|PID)|LISTEN_(FDS|PID|PIDFDID|FDNAMES)|FDSTORE|MEMORY_PRESSURE_.*"
                     rb"|(STATE|RUNTIME|LOGS|CACHE|CONFIGURATION|CREDENTIALS)_DIRECTORY|JOURNAL_STREAM|INVOCATION_ID|MAINPID"
                     rb"|MANAGERPID|SYSTEMD_EXEC_PID", re.DOTALL)
_LAST_WORDS = 200    # milliseconds in which what a child has started (rsync's ssh) may still say why it has failed


class Children:
    """All children of this process.

    loop: a Loop; on_line(tag, line): called with every line (bytes) a child prints.
    """

    def __init__(self, loop, on_line):
        self._loop = loop
        self._on_line = on_line
        self._running = {}  # pid → _Child
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def __len__(self):
        return len(self._running)

    def tags(self):
        """Return the tags of the children that run."""
        return [child.tag for child in self._running.values()]

    def spawn(self, tag, argv, stdin, environ=None, whole=False, account=None):
        """Start argv (list of bytes) with bytes, or None, as its input; return its PID, which is that of its group; raise OSError if that fails.

        environ: {bytes: bytes} that its environment has besides what `environment` leaves of ours.
        whole: what it has started, and is still of its process group, ends with it.
        account: has `hear(line)`, which returns what is left of a line for us, and `trim(rest)`, what is to be kept of one that has not ended.
        """
        output, writer = os.pipe2(os.O_CLOEXEC)
        room = _PIPE_USUAL if account is None else _widen(output)
        source = self._null
        try:
            if stdin is not None:
                source = _memory_file(stdin)
            os.set_blocking(output, False)
            pid = os.posix_spawnp(
                argv[0], argv, environment(environ),
                file_actions=[(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, writer, 1),
                              (os.POSIX_SPAWN_DUP2, writer, 2)],
                setpgroup=0, setsigmask=(), setsigdef=_SIGNALS)
        except OSError:
            os.close(output)
            raise
        finally:
            os.close(writer)
            if source != self._null:
                os.close(source)
        child = self._running[pid] = _Child(tag, pid, output, account, room)
        child.whole = whole
        self._loop.add(output, lambda: self._drain(child))
        return pid

    def _drain(self, child):
        """Read what a child has printed so far; one that never ends printing waits for the next turn."""
        count = 0
        for _turn in range(_READS):
            if child.output is None:
                return
            try:
                data = os.read(child.output, 65536)
            except BlockingIOError:
                return
            if not data:
                if child.rests_until is None:
                    self._loop.remove(child.output)
                os.close(child.output)
                child.output = None
                data = b"\n" if child.rest else b""
            count += len(data)
            *lines, child.rest = (child.rest + data).split(b"\n")
            if child.account is not None:
                child.rest = child.account.trim(child.rest)
                lines = [child.account.hear(line.rstrip(b"\r")) for line in lines]
            if len(child.rest) > _LINE_LONGEST:
                lines.append(child.rest)
                child.rest = b""
            for line in lines:
                line = line.rstrip(b"\r")
                if line:
                    child.printed += 1
                    if len(child.lines) == _OUTPUT_KEPT:
                        del child.lines[_OUTPUT_KEPT // 2]  # the first may tell why, or the last; the very last may be an answer
                    child.lines.append(line)
                    self._on_line(child.tag, line)
            if len(data) < 65536 and self._let_rest(child, count):
                return

    def _let_rest(self, child, count):
        """Read nothing more for a moment of a child that tells how far it is, and has said so many bytes; tell whether it is one, and runs."""
        if child.account is None or child.output is None or child.pid not in self._running:
            return False
        child.nap = max(_NAP, min(_NAP_LONGEST, child.nap * min(2, child.room / 4 / max(1, count))))  # one that was slow may be fast now
        child.rests_until = time.monotonic() + child.nap
        self._loop.remove(child.output)
        return True

    @property
    def next_due(self):
        """When `listen` has something to do, or None."""
        return min([child.rests_until for child in self._running.values() if child.rests_until is not None], default=None)

    def listen(self, now):
        """Read on of those that have rested long enough."""
        for child in self._running.values():
            if child.rests_until is not None and child.rests_until <= now:
                self._wake(child)

    def _wake(self, child):
        child.rests_until = None
        self._loop.add(child.output, lambda: self._drain(child))

    def reap(self):
        """Return a list of (tag, status, lines) of the children that ended.

        status: exit status, or the negative number of the signal. Whoever else's
        children have become ours (as PID 1) are reaped and forgotten. What one that was killed
        has started is ended, too: it must not go on beside the next try.
        """
        ended = []
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return ended
            if found is None:
                return ended
            child = self._running.pop(found.si_pid, None)
            if child is not None and (child.whole or found.si_code != os.CLD_EXITED and found.si_status not in _POLITE):
                _end_group(child.pid, signal.SIGKILL)  # not reaped yet: the number is still its
            status = os.waitpid(found.si_pid, 0)[1]
            if child is not None:
                if child.rests_until is not None:
                    self._wake(child)
                self._drain(child)
                if status and not child.lines and child.output is not None:
                    waiting = select.poll()
                    waiting.register(child.output, select.POLLIN)
                    waiting.poll(_LAST_WORDS)
                    self._drain(child)
                status = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                ended.append((child.tag, status, child.lines))

    def look(self, now):
        """Return [(tag, seconds without a sign of life, looks in a row at which it waited for a fifo)] of all children.

        now: seconds. The first look at a child only begins to count.
        """
        found, still = progress.signs(set(self._running)), []
        for child in self._running.values():
            signs = found.get(child.pid)
            if not found or child.moved_at is None or child.printed != child.seen or signs and (  # without /proc all may be alive
                    child.signs is None or progress.has_moved(child.signs, signs)):
                child.signs, child.seen, child.moved_at, child.blocked = signs, child.printed, now, 0
            child.blocked = child.blocked + 1 if signs and signs.blocked else 0
            still.append((child.tag, now - child.moved_at, child.blocked))
        return still

    def kill(self, number, chosen=None):
        """Send a signal to the process group of every child, or of those whose tag is chosen(tag)."""
        for child in self._running.values():
            if chosen is None or chosen(child.tag):
                _end_group(child.pid, number)


def _end_group(pid, number):
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # it ended and is not reaped yet, or has become somebody else (sudo)


class _Child:
    """One child; output is None once its end of the pipe is closed.

    signs, printed, moved_at: what was seen of it when it had last done something, and when.
    """

    __slots__ = ("tag", "pid", "output", "account", "room", "nap", "rests_until", "rest", "lines", "printed", "signs", "seen", "moved_at", "blocked", "whole")

    def __init__(self, tag, pid, output, account, room):
        self.tag = tag
        self.pid = pid
        self.output = output
        self.account = account
        self.room = room  # bytes that its pipe holds
        self.nap = _NAP
        self.rests_until = None
        self.rest = b""
        self.lines = []
        self.printed = self.seen = 0
        self.signs = self.moved_at = None
        self.blocked = 0


def _widen(pipe):
    """Let a pipe hold more, if that is allowed: who fills it stands still; return how many bytes it holds."""
    import fcntl
    try:
        return fcntl.fcntl(pipe, _SET_SIZE, _PIPE)
    except OSError:
        return _PIPE_USUAL


def environment(more=None):
    """Return the environment (dict of bytes) of a child: ours without what was meant for us, and more."""
    found = {name: value for name, value in os.environb.items() if not _FOR_US.fullmatch(name)}
    found.update(more or {})
    return found


def seal():
    """Let no descriptor that the starter has left open reach children, but 0, 1 and 2; return these descriptors."""
    try:
        found = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        found = range(256)  # no /proc
    others = []
    for fd in found:
        try:
            if fd > 2:
                os.set_inheritable(fd, False)
                others.append(fd)
        except OSError:
            pass  # it was that of the directory
    return others


def argv_of(module):
    """Return the argv (list of bytes) that runs main() of a module of ours in a Python with nothing else around."""
    start = "import sys; sys.path.insert(0, sys.argv.pop(1)); from %s import main; sys.exit(main())" % module
    top = os.path.abspath(__file__)
    for _name in __name__.split("."):
        top = os.path.dirname(top)
    return [os.fsencode(word) for word in (sys.executable or "python3", "-I", "-S", "-c", start, top)]


def _memory_file(data):
    """Return a descriptor of an anonymous file that holds data, at its beginning."""
    try:
        fd = os.memfd_create("list", os.MFD_CLOEXEC)
    except (AttributeError, OSError):  # an old C library or kernel
        import tempfile
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view):]
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        os.close(fd)
        raise
    return fd


_POLITE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # who gets these may let its own children end in their way

_SIGNALS = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]
