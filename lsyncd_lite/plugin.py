"""`lsyncd-lite check`: asks the daemons, or reads a status file, and says what report/monitor.py finds.

One line on the standard output, whatever happens: who monitors sees nothing else. A daemon that does not answer is CRITICAL;
what is wrong with the question, or with who asks, is UNKNOWN. With -alive there are 0 and 1 only.
"""

import os
import time

from lsyncd_lite import steering
from lsyncd_lite.errors import ConfigError, Fatal, reason
from lsyncd_lite.paths import show, to_bytes
from lsyncd_lite.report import monitor
from lsyncd_lite.report.monitor import CRITICAL, OK, UNKNOWN, line
from lsyncd_lite.system import ask

PATIENCE = 5.0  # seconds in which all daemons have to answer: who starts us gives up after 10, mostly

_DENIED = os.strerror(13)  # EACCES, in the words that others have made of it
_LET_BY_SUDO = "call this by sudo, or give -s and its status file"
_LET_BY_GROUP = "it is for its owner and group: put who asks into that group"


def run(arguments, read, say):
    """Print the line; return the exit status.

    arguments: as they were typed; read(): returns ({option: value}, name of a sync or None), raises ConfigError; say(text): prints.
    """
    try:
        given, sync = read()
        found, words = _alive(given, sync) if "alive" in given else _judged(given, sync)
    except ConfigError as error:
        found, words = line(UNKNOWN, "; ".join(error.lines))
    except _Unknown as error:
        found, words = line(UNKNOWN, str(error))
    except Fatal as error:
        found, words = line(CRITICAL, str(error))
    except Exception as error:  # a defect of ours, which is none of the daemon's
        found, words = line(UNKNOWN, "a defect of lsyncd-lite: %s: %s" % (type(error).__name__, error))
    try:
        say(words)
    except (Fatal, BrokenPipeError):
        pass  # who reads nothing has the exit status
    return min(found, 1) if any(word.lstrip("-") == "alive" for word in arguments) else found


class _Unknown(Exception):
    """Words for why nothing can be said of the daemon."""


def _judged(given, sync):
    """Return (status, line) of what is found."""
    try:
        limits = monitor.limits_of(given)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    shots, lost = _found(given, sync)
    return monitor.judge(shots, limits, lost)


def _alive(given, sync):
    """Return (status, line) of whether it works, whatever its targets do."""
    shots, lost = _found(given, sync)
    stale = [shot for shot in shots if shot.get("file") and shot["file"]["is_stale"]]
    if lost or stale:
        return monitor.judge(shots, lost=lost)
    return line(OK, "it works: %s" % "; ".join(shot["line"] or "%d syncs" % len(shot["syncs"]) for shot in shots))


def _found(given, sync):
    """Return (snapshots, words about the daemons that do not answer); raise Fatal, ConfigError, _Unknown."""
    if "s" in given:
        if "socket" in given:
            raise ConfigError(["option -s: asks no daemon; allowed: without -socket"])
        return [_of_file(given["s"], sync)], []
    until = time.monotonic() + PATIENCE
    try:
        paths = steering.daemons(given, PATIENCE / 2)
    except Fatal as error:
        raise _denied(str(error), _LET_BY_SUDO) from None
    shots, lost, refused = [], [], []
    for path in paths:
        try:
            shots.append(ask.ask(path, {"do": "status", "sync": sync}, ask.left(until))["snapshot"])
        except ask.Unreachable as error:
            lost.append(str(error))
        except Fatal as error:
            refused.append(str(error))
    denied = [words for words in lost if _DENIED in words]
    if not shots and (denied or refused):
        raise _Unknown("%s: %s: %s" % (denied[0], steering.WHO_MAY, _LET_BY_SUDO) if denied else refused[0])
    return shots, lost


def _denied(words, help_):
    return _Unknown("%s: %s" % (words, help_)) if _DENIED in words else Fatal(words)


def _of_file(name, sync):
    path = os.path.abspath(to_bytes(name))
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        raise _denied("cannot read the status file %s: %s" % (show(path), reason(error)), _LET_BY_GROUP) from None
    try:
        return steering.of_file(path, sync)
    except Fatal as error:
        raise _Unknown(str(error)) from None
