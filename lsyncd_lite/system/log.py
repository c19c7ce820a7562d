"""The log: file, syslog, terminal. One line a message, whatever it holds.

A sink that fails must not stop the mirror: it is told once through the next one that
works. Callers escape names with `paths.show`; a stray control character is escaped here.
"""

import os
import syslog
import time

from lsyncd_lite.errors import reason
from lsyncd_lite.paths import show, to_bytes

SHOWN = ("Normal", "Info", "Warn", "Error")
DEBUG = ("Exec", "Output", "Delay", "Inotify", "Exclude", "Alarm", "Statusfile")

_PRIORITIES = {"Error": syslog.LOG_ERR, "Warn": syslog.LOG_WARNING, "Info": syslog.LOG_INFO,
               "Normal": syslog.LOG_NOTICE}
_FACILITIES = {"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7,
               "uucp": 8, "cron": 9, "authpriv": 10, "ftp": 11, **{"local%d" % n: 16 + n for n in range(8)}}


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
            raise ValueError("unknown category %s; allowed: all, scarce, %s"
                             % (show(word), ", ".join(SHOWN + DEBUG)))
    return shown


class Log:
    """Writes lines of the shown categories (set of str)."""

    def __init__(self, shown):
        self._shown = shown
        self._file = None
        self._terminal = {"Error"}  # the categories that the terminal gets
        self._syslog = False
        self._broken = False

    def open(self, settings):
        """Log to where the settings say; the terminal of a daemon gets errors only, until `leave_terminal`."""
        if settings.nodaemon or settings.onepass:
            self._terminal = self._shown
        self._file = settings.logfile
        self._syslog = settings.logfile is None or settings.logfacility is not None or settings.logident is not None
        if self._syslog:
            name = settings.logfacility or "user"
            number = int(name) if name.isdigit() else _FACILITIES[name]
            syslog.openlog(settings.logident or "lsyncd-lite", syslog.LOG_PID, number << 3)

    def leave_terminal(self):
        """Write to the terminal no more."""
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
        if category in self._terminal:
            self._print("%s %s: %s\n" % (time.strftime("%H:%M:%S"), category, words),
                        2 if category in ("Error", "Warn") else 1)
        if self._file is not None:
            self._append("%s %s: %s\n" % (time.strftime("%a %b %d %H:%M:%S %Y"), category, words))
        if self._syslog:
            self._send(category, words)

    def _append(self, line):
        """Write to the file, which is opened anew each time, as somebody may have renamed it."""
        try:
            fd = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
            try:
                os.write(fd, to_bytes(line))
            finally:
                os.close(fd)
            self._broken = False
        except OSError as error:
            if not self._broken:
                self._broken = True
                words = "cannot write the log file %s: %s" % (show(self._file), reason(error))
                self._send("Error", words)
                self._print(words + "\n", 2)

    @staticmethod
    def _send(category, words):
        syslog.syslog(_PRIORITIES.get(category, syslog.LOG_DEBUG), "%s: %s" % (category, words))

    @staticmethod
    def _print(line, fd):
        try:
            os.write(fd, to_bytes(line))
        except OSError:
            pass  # the terminal is gone
