"""The log: file, syslog, terminal. One line a message, whatever it holds.

A sink that fails must not stop the mirror: it is told once through the next one that
works, and when it works again, that says how much is missing. Callers escape names with
`paths.show`; a stray control character is escaped here.
"""

from lsyncd_lite.config.options import DEBUG, LOG_WORDS, SHOWN
from lsyncd_lite.errors import reason
from lsyncd_lite.paths import show
from lsyncd_lite.system.private import STREAMS
from lsyncd_lite.system.sinks import File, Stream, Syslog


def categories(wanted):
    """Return the set of categories that `-log` arguments ask for; raise ValueError for an unknown one."""
    shown = set(SHOWN)
    for word in wanted:
        if word == "all":
            shown.update(DEBUG)
        elif word == "scarce":
            shown -= {"Normal", "Info", "Warn"}
        elif word in SHOWN + DEBUG:
            shown.add(word)
        else:
            raise ValueError("unknown category %s; allowed: %s" % (show(word), ", ".join(LOG_WORDS)))
    return shown


class Log:
    """Writes lines of the shown categories (set of str)."""

    def __init__(self, shown):
        self._shown = shown
        self._on_terminal = ()  # the categories that the terminal gets
        self._terminal = None   # the sinks of what goes to stdout and to stderr
        self._file = None
        self._syslog = None

    def open(self, settings):
        """Log to where the settings say; the terminal of a daemon gets errors only, until `leave_terminal`.

        Where it is the journal, it gets what syslog, which leads there, too, has not taken; and of what is in a
        file already, errors and warnings.
        """
        if self._terminal is None:
            self._terminal = tuple(Stream(fd, clock="%H:%M:%S") for fd in (1, 2))
        if not self._terminal or settings.logfile in STREAMS:  # it was left, or has all of it already
            self._on_terminal = ()
        else:
            self._on_terminal = self._shown if settings.nodaemon or settings.onepass else {"Error"}
        if self._file is None or self._file.path != settings.logfile:
            if self._file is not None:
                self._file.close()
            self._file = (None if settings.logfile is None else
                          Stream(STREAMS[settings.logfile], settings.logfile) if settings.logfile in STREAMS else
                          File(settings.logfile))
        if self._syslog is not None:
            self._syslog.close()
        self._syslog = (Syslog(settings.logident or "lsyncd-lite", settings.logfacility or "user")
                        if settings.logfile is None or settings.logfacility is not None or settings.logident is not None
                        else None)

    def leave_terminal(self):
        """Write to the terminal no more."""
        self._on_terminal = ()
        for sink in self._terminal:
            sink.close()
        self._terminal = ()

    def shows(self, category):
        """Tell whether lines of a category are written at all."""
        return category in self._shown

    def __call__(self, category, words):
        """Write one line."""
        if category not in self._shown:
            return
        if not words.isprintable():
            words = show(words)
        error = _write(self._file, category, words)
        is_filed = self._file is not None and error is None
        if error is not None and not self._file.told:
            self._file.told = True
            self._tell("cannot write the log file %s: %s" % (show(self._file.path), reason(error)), self._syslog)
        error = _write(self._syslog, category, words)
        is_sent = self._syslog is not None and error is None
        if error is not None and not self._syslog.told and category not in self._on_terminal:
            self._syslog.told = True
            self._tell("cannot reach syslog: %s" % reason(error), None)
        if category in self._on_terminal:
            is_bad = category in ("Error", "Warn")
            sink = self._terminal[is_bad]
            if not (sink.is_journal and (is_sent or is_filed and not is_bad)):
                _write(sink, category, words)

    def _tell(self, words, syslog):
        """Tell of a sink that has failed through those that are left."""
        is_sent = syslog is not None and _write(syslog, "Error", words) is None
        for sink in self._terminal[1:]:
            if not (sink.is_journal and is_sent):
                _write(sink, "Error", words)


def _write(sink, category, words):
    """Write a line to a sink, if there is one; return the OSError if it is lost. The first one after these says how many they were."""
    if sink is None:
        return None
    try:
        if sink.lost:
            sink.write("Warn", "%d lines are missing here" % sink.lost)
            sink.lost, sink.told = 0, False
        sink.write(category, words)
    except OSError as error:
        sink.lost += 1
        return error
    return None
