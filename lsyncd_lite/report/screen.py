"""A text that is shown again and again on a terminal, as top(1) does: `lsyncd-lite status -watch`.

Plain sequences that every terminal since the VT100 knows (console_codes(4)), and only for lines
that have changed. Whatever ends it, the terminal is as it was before. Knows nothing of
what it shows.
"""

import os
import re
import select
import signal
import termios
import time

from lsyncd_lite.errors import Fatal
from lsyncd_lite.report import units
from lsyncd_lite.report.columns import RED, cut, paint, width

INTERVAL = 1.0  # seconds between two questions
SILENCE = 2.0   # seconds without an answer that are told

# The other screen, no cursor, no wrapping at the right edge; and back (where there is no other screen: below all that was drawn).
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[m\x1b[999;1H\r\n\x1b[?7h\x1b[?25h\x1b[?1049l"
_CLEAR = "\x1b[m\x1b[H\x1b[2J"
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_PART = re.compile(r"\x1b(?:[\[O][0-9;]*)?\Z")  # of a key: the rest is to come
# Key: (lines, pages) to scroll by.
_SCROLLS = {"k": (-1, 0), "\x1b[A": (-1, 0), "\x1bOA": (-1, 0), "j": (1, 0), "\x1b[B": (1, 0), "\x1bOB": (1, 0), "\r": (1, 0), "\n": (1, 0),
            "b": (0, -1), "\x1b[5~": (0, -1), " ": (0, 1), "f": (0, 1), "\x1b[6~": (0, 1),
            **dict.fromkeys(("g", "\x1b[H", "\x1bOH", "\x1b[1~"), (0, -9999)), **dict.fromkeys(("G", "\x1b[F", "\x1bOF", "\x1b[4~"), (0, 9999))}
_QUITS = ("q", "Q", "\x03", "\x04")
_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


def lacks():
    """Return why nothing can be shown again and again, in words; None: it can."""
    if not os.isatty(1):
        return "the standard output is no terminal"
    return "TERM=%s knows no more than lines" % os.environ.get("TERM", "") if _is_dumb() else None


def columns():
    """Return how wide the terminal is; None: there is none."""
    import shutil
    return shutil.get_terminal_size().columns if os.isatty(1) else None


def has_colours():
    """Tell whether colours are shown (https://no-color.org)."""
    return os.isatty(1) and not _is_dumb() and not os.environ.get("NO_COLOR")


def is_ascii():
    """Tell whether the locale knows nothing but ASCII, or something that we do not write (locale(7))."""
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    return re.search("(?i)utf-?8", locale) is None


def _is_dumb():
    return os.environ.get("TERM", "") in ("", "dumb")


def watch(fetch, render):
    """Show render(what fetch() returns, columns) (str) once a second, until q is typed or a signal comes; return the exit status.

    fetch: may raise Fatal, which is shown then, and asked again; it is called in a thread of its own. The standard output is a
    terminal; keys are those of the standard input, if that is one, too. Raises Fatal where the first fetch does.
    """
    return _Screen(fetch, render, has_colours()).run()


class _Screen:
    """One run of it."""

    def __init__(self, fetch, render, has_colours):
        self._fetch, self._render, self._has_colours = fetch, render, has_colours
        self._answer, self._words, self._answered = None, None, 0.0  # what came last; why nothing comes; when it came
        self._drawn = None      # lines on the screen, None: unknown
        self._top = 0           # the first line of the text that is shown
        self._keys = ""
        self._signals = set()
        self._modes = termios.tcgetattr(0) if os.isatty(0) else None  # of the terminal, before
        self._defect = None     # an exception of the thread

    def run(self):
        """Show it; return the exit status."""
        import threading
        self._answer, self._answered = self._fetch(), time.monotonic()
        self._wake, wake = os.pipe()
        for fd in self._wake, wake:
            os.set_blocking(fd, False)
        old = {number: signal.signal(number, self._note) for number in (*_ENDS, signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP)}
        old_fd = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, old)  # a signal has to end what this thread waits for
        threading.Thread(target=self._ask, args=(wake,), daemon=True).start()  # a daemon that does not answer must not hold up keys
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            self._enter()
            return self._loop()
        except OSError:  # the terminal is gone: nobody is left to tell
            return 128 + signal.SIGHUP
        finally:
            signal.set_wakeup_fd(old_fd)
            try:
                self._leave()
            except OSError:
                pass  # it is gone
            for number, handler in old.items():
                signal.signal(number, handler)

    def _note(self, number, _frame):
        self._signals.add(number)

    def _ask(self, wake):
        """Ask once a second, for ever."""
        while True:
            began = time.monotonic()
            try:
                self._answer, self._words, self._answered = self._fetch(), None, time.monotonic()
            except Fatal as error:
                self._words = str(error)
            except Exception as error:  # told by the other thread, when the terminal is as it was
                self._defect = error
            try:
                os.write(wake, b"\0")
            except BlockingIOError:
                pass  # it will be awake
            time.sleep(max(0.1, INTERVAL - (time.monotonic() - began)))

    # ---- the terminal ------------------------------------------------------------------------

    def _enter(self):
        """Take the terminal; raise OSError."""
        if self._modes is not None:
            modes = [*self._modes[:6], list(self._modes[6])]
            modes[3] &= ~(termios.ICANON | termios.ECHO)
            modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
            while True:
                try:
                    _set(modes)
                    break
                except InterruptedError:  # it was in the background, and fg(1) has come, or its end
                    if self._signals.intersection(_ENDS):
                        return
        self._drawn = None
        _write(_ENTER)

    def _leave(self):
        """Give it back, unless another has it already; raise OSError."""
        if _is_in_background():
            return
        try:
            _write(_LEAVE)
        finally:
            if self._modes is not None:
                _set(self._modes)

    def _suspend(self):
        """Stop, as Ctrl-Z wants it, and go on when the shell does."""
        self._leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._note)
        self._enter()

    # ---- the loop ----------------------------------------------------------------------------

    def _loop(self):
        keys = [0] if self._modes is not None else []
        while True:
            if self._defect is not None:
                raise self._defect
            status = self._obey()
            if status is not None:
                return status
            self._draw()
            ready = select.select([self._wake] + keys, [], [], INTERVAL)[0]
            if self._wake in ready:
                os.read(self._wake, 4096)
            if 0 in ready:
                typed = os.read(0, 4096)
                if not typed:
                    return 128 + signal.SIGHUP
                self._keys += typed.decode("ascii", "replace")

    def _obey(self):
        """Do what signals and keys want; return the exit status if that is the end."""
        for number in self._signals.intersection(_ENDS):  # before SIGCONT, which may have come with it
            return 0 if number == signal.SIGINT else 128 + number
        while self._signals:
            number = self._signals.pop()
            if number == signal.SIGTSTP:
                self._suspend()
                self._signals.discard(signal.SIGCONT)
            elif number == signal.SIGCONT:  # it was stopped by force: others have had the terminal
                self._enter()
            else:
                self._drawn = None
        part = _PART.search(self._keys)
        whole, self._keys = (self._keys[:part.start()], self._keys[part.start():]) if part else (self._keys, "")
        for key in _KEY.findall(whole):
            if key in _QUITS:
                return 0
            if key == "\x0c":
                self._drawn = None
            lines, pages = _SCROLLS.get(key, (0, 0))
            self._top = max(0, min(self._top + lines + pages * self._page, self._last))
        return None

    _page, _last = 1, 0  # lines that fit; the greatest first line

    def _draw(self):
        """Make the screen what it has to be, by as little as will do."""
        import shutil
        columns, rows = shutil.get_terminal_size()
        lines = self._render(self._answer, columns).split("\n")
        while lines and not lines[-1]:
            lines.pop()
        shown, silence = [], time.monotonic() - self._answered
        if silence > SILENCE:  # wherever one has scrolled to
            words = "no answer for %s%s" % (units.age(int(silence)), "" if self._words is None else ": " + self._words)
            words = cut(words, columns, ".")
            shown.append(paint(words, RED) if self._has_colours else words)
        room = max(1, rows - len(shown))
        is_cut = len(lines) > room > 1
        self._page = room - is_cut
        self._last = max(0, len(lines) - self._page)
        self._top = min(self._top, self._last)
        shown += lines[self._top:self._top + self._page]
        if is_cut:
            rest = "lines %d to %d of %d; arrows, Page Up and Page Down scroll, q ends" % (self._top + 1, self._top + self._page, len(lines))
            shown.append(cut(rest, columns, "."))
        del shown[rows:]
        shown += [""] * (rows - len(shown))
        text = ""
        if self._drawn is None or len(self._drawn) != rows:
            text, self._drawn = _CLEAR, [""] * rows
        for row, (line, old) in enumerate(zip(shown, self._drawn), 1):
            if line != old:
                start = _same(line, old)
                text += "\x1b[%d;%dH\x1b[K%s" % (row, 1 + width(_COLOUR.sub("", line[:start])), line[start:])
        if text:
            _write(text)
        self._drawn = shown


def _same(line, old):
    """Return how much of a line stands there already: up to a place where no colour is on and a character begins."""
    start = len(os.path.commonprefix([line, old]))
    colour = line.rfind("\x1b[", 0, start)
    if colour > line.rfind("\x1b[m", 0, start):
        return colour
    while start and start < len(line) and not width(line[start]) and line[start] != "\x1b":
        start -= 1
    return start


def _is_in_background():
    """Tell whether the terminal is another job's now (tcgetpgrp(3))."""
    try:
        return os.tcgetpgrp(1) != os.getpgrp()
    except OSError:
        return False  # there are no jobs


def _set(modes):
    """Set the modes of the terminal at once; raise OSError."""
    try:
        termios.tcsetattr(0, termios.TCSANOW, modes)
    except termios.error as error:
        raise OSError(*error.args) from None


def _write(text):
    """Write text to the terminal, all of it; raise OSError."""
    rest = text.encode("utf-8", "surrogateescape")
    while rest:
        try:
            rest = rest[os.write(1, rest):]
        except BlockingIOError:  # whoever shares the terminal has made it so
            select.select([], [1], [])
