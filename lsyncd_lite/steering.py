"""What `lsyncd-lite status`, `wait` and so on do: which daemon is asked, and what is printed of its answer."""

import os
import time

from lsyncd_lite.config import config as configuration
from lsyncd_lite.config import settings
from lsyncd_lite.errors import ConfigError, Fatal
from lsyncd_lite.paths import listed, show, to_bytes
from lsyncd_lite.report import screen, status, table
from lsyncd_lite.report.columns import cut
from lsyncd_lite.system import ask

FAILURE, LATE = 255, 1
WHO_MAY = "only root and the daemon's own user may ask it"
NOT_RUNNING = 3       # of status: nobody answers (as systemctl(1) has it)
CONFIGURATION = b"/etc/lsyncd-lite/%s.conf"
PATHS = 100           # queued paths of a sync that status -v names
STARTING = 3600.0     # seconds that a daemon may take until it can be steered, once it has said that it is starting
STRANGE_PATIENCE = 2.0  # seconds for an answer of what may be no daemon of ours
WATCH_PATIENCE = 5.0  # seconds for an answer that is asked for again and again


def run(command, sync, given, say):
    """Do a command (its name) about a sync (its name, or None); return the exit status.

    given: {option: value}; say(text, fd): prints. Raises ConfigError, Fatal.
    """
    if "timeout" in given:
        try:
            given = dict(given, timeout=settings.SECONDS.parse(given["timeout"]))
        except ValueError:
            raise ConfigError(["option -timeout: %s is not allowed here; allowed: %s" % (
                show(given["timeout"]), settings.SECONDS.allowed)]) from None
    return _COMMANDS.get(command, _steer)(command, sync, given, say)


# ---- which daemons -------------------------------------------------------------------------------

def daemons(given, timeout=ask.PATIENCE):
    """Return the paths (list of bytes, at least one) of the sockets of the daemons that are meant; raise Fatal.

    given: {option: value}, of which -socket counts; timeout: seconds for all that are stuck.
    """
    wanted = given.get("socket")
    if wanted is not None and "/" in wanted:
        return [os.path.abspath(to_bytes(wanted))]
    found = ask.sockets(os.environb)
    if wanted is not None:
        found = [path for path in found if os.path.basename(path) == to_bytes(wanted) + b".sock"]
    alive, troubles, until = [], [], time.monotonic() + timeout
    for path in found:
        is_strange = os.path.dirname(path) == ask.shared(os.environb)
        try:
            if is_strange:
                ask.ask(path, {"do": "status"}, min(STRANGE_PATIENCE, ask.left(until)))
            else:
                ask.connect(path, ask.left(until)).close()
            alive.append(path)
        except Fatal as error:
            if is_strange:
                continue
            if error.is_stuck:  # it runs: that it does not answer is told by who asks it
                alive.append(path)
            elif not error.is_dead:
                troubles.append(str(error))
    if alive:
        return alive
    if troubles:
        raise ask.Unreachable("; ".join(troubles) + (": " + WHO_MAY) * any(os.strerror(13) in words for words in troubles))
    dead = ["%s is left of one that was killed" % show(path) for path in found]
    raise ask.Unreachable("no lsyncd-lite %s: %s" % ("runs" if wanted is None else "called %s runs" % show(wanted), ", ".join(
        dead or ["looked for " + ", ".join(show(os.path.join(name, b"*.sock")) for name in ask.directories(os.environb))])))


def snapshots(sync, given, tell=lambda words: None, timeout=ask.PATIENCE, **request):
    """Return the snapshots (non-empty list of dicts) of all daemons that are meant: with a sync, of those that have it. Raises Fatal.

    tell(words): told why one of several does not answer; timeout: seconds for each.
    """
    found, errors = [], []
    for path in daemons(given, timeout):
        try:
            found.append(_clean(ask.ask(path, dict(request, do="status", sync=sync), timeout)["snapshot"]))
        except Fatal as error:
            errors.append(error)
    words = [_clean(str(error)) for error in errors]
    if not found:
        raise (ask.Unreachable if all(isinstance(error, ask.Unreachable) for error in errors) else Fatal)("; ".join(words))
    for error in errors:
        if isinstance(error, ask.Unreachable):  # others have no such sync
            tell(_clean(str(error)))
    return found


def _clean(value):
    """Return what a daemon has said, without what could steer a terminal: it may not be whom we take it for."""
    if isinstance(value, str):
        return value if value.isprintable() else show(value)
    if isinstance(value, dict):
        return {_clean(key): _clean(one) for key, one in value.items()}
    return list(map(_clean, value)) if isinstance(value, list) else value


def _that(sync, given):
    """Return the sockets of the daemons that have a sync (None, "all": of all); raise Fatal."""
    found, errors = daemons(given), []
    if len(found) == 1 or sync in (None, "all"):
        return found
    having = []
    for path in found:
        try:
            ask.ask(path, {"do": "status", "sync": sync})
            having.append(path)
        except Fatal as error:
            errors.append("%s: %s" % (_name(path), error))
    if not having:
        raise Fatal("; ".join(errors))
    return having


def _name(path):
    """Return what -socket takes for a socket."""
    return show(os.path.basename(path)[:-len(b".sock")])


def of_file(path, sync, interval=0.0, is_left=False):
    """Return the snapshot of a status file (bytes), with a sync of that only; see status.read. Raises Fatal."""
    shot = status.read(os.path.abspath(path), interval, is_left)
    if sync not in (None, "all"):
        wanted = show(sync)
        chosen = [facts for facts in shot["syncs"] if wanted in (facts["name"], facts["section"])]
        if not chosen:
            raise Fatal("there is no sync %s in %s; there are: %s" % (
                wanted, show(path), listed([facts["name"] for facts in shot["syncs"]])))
        shot["syncs"] = chosen
    return shot


def left_behind(given, sync):
    """Return the snapshot in the status file of a daemon that does not answer, or None where none is known.

    given: {option: value}, of which -socket counts: a name, as that of the configuration.
    """
    name = given.get("socket", "lsyncd-lite")
    if "/" in name:
        return None
    try:
        wanted = configuration.load(CONFIGURATION % to_bytes(name)).settings
        return None if wanted.statusFile is None else of_file(wanted.statusFile, sync, wanted.statusInterval, True)
    except (ConfigError, Fatal, OSError):
        return None  # that nobody answers is what matters


# ---- what is done --------------------------------------------------------------------------------

def _status(_command, sync, given, say):
    import json
    if "watch" in given:
        return _watch(sync, given)
    code, request = 0, {"paths": PATHS} if "v" in given else {}
    if "s" in given:
        found = [of_file(to_bytes(given["s"]), sync)]
    else:
        try:
            found = snapshots(sync, given, lambda words: say(words, 2), **request)
        except ask.Unreachable:
            shot = left_behind(given, sync)
            if shot is None:
                raise
            code, found = NOT_RUNNING, [shot]
    if "json" in given:
        say(json.dumps(found[0] if len(found) == 1 else found, indent=1))
    else:
        say(_tables(found, screen.columns(), "v" in given)[:-1])
    return code


def _tables(found, width, has_paths):
    """Return what people see of snapshots."""
    def headed(shot):
        head = shot["configuration"] if len(found) > 1 else None
        return ("" if head is None else "%s\n" % (head if width is None else cut(head, width, "~"))) + table.render(
            shot, width, screen.has_colours(), has_paths, screen.is_ascii())
    return "\n".join(map(headed, found))


def _watch(sync, given):
    """Show the status again and again."""
    for name in ("json", "html"):
        if name in given:
            raise ConfigError(["option -watch: not with -%s" % name])
    words = screen.lacks()
    if words is not None:
        raise ConfigError(["option -watch: %s" % words])
    request = {"paths": PATHS} if "v" in given else {}

    def fetch():
        return [of_file(to_bytes(given["s"]), sync)] if "s" in given else snapshots(sync, given, timeout=WATCH_PATIENCE, **request)
    return screen.watch(fetch, lambda found, width: _tables(found, width, "v" in given))


def _steer(command, sync, given, say):
    """Let one daemon do something, and print what it has done."""
    found = _that(sync, given)
    if len(found) > 1:
        raise Fatal("%s: %d daemons run%s: say which, by -socket: %s" % (
            command, len(found), "" if sync in (None, "all") else " that have a sync %s" % show(sync), ", ".join(map(_name, found))))
    return _print(_answer(found[0], {"do": command, "sync": sync}, say), say)


def release(sync, config, say):
    """Let the daemon that runs by a Config release a sync; return whether it could be asked. Raises Fatal."""
    explicit = config.settings.controlSocket
    for path in [explicit] if explicit else ask.sockets(os.environb) if explicit is None else []:
        try:
            if config.filename is None or ask.ask(path, {"do": "status"})["snapshot"]["configuration"] != show(config.filename):
                continue
        except Fatal:
            continue
        _print(_answer(path, {"do": "release", "sync": sync}, say), say)
        return True
    return False


def _answer(path, request, say, timeout=ask.PATIENCE, patience=STARTING):
    """Return the last answer to a request, and print the notes that come before it; raise Fatal, ConfigError.

    timeout: seconds that the first answer may take, None: for ever; patience: the same of what follows a note.
    """
    for answer in map(_clean, ask.talk(path, request, timeout, {"note": patience} if patience else {})):
        if "note" in answer:
            say(str(answer["note"]), 2)
        elif "error" in answer:
            raise Refusal([str(line) for line in [*answer.get("lines", ()), answer["error"]]], [str(line) for line in answer.get("warnings", ())])
        else:
            return answer
    raise ask.Unreachable("the daemon of %s has ended before it was done" % show(path))


class Refusal(ConfigError):
    """What a daemon says of why it does not do something."""


def _print(answer, say):
    for line in answer.get("warnings", ()):
        say(str(line), 2)
    for line in answer.get("lines", ()):
        say(str(line))
    return 0


def _wait(_command, sync, given, say):
    """Wait until all that is known now has arrived, in each daemon that is meant."""
    found = _that(sync, given)
    until = None if "timeout" not in given else time.monotonic() + given["timeout"]
    for path in found:
        left = None if until is None else max(0.0, until - time.monotonic())
        try:
            answer = _answer(path, {"do": "wait", "sync": sync, "timeout": left}, say, None if left is None else left + ask.PATIENCE, None)
        except ask.Unreachable as error:
            if until is None or time.monotonic() < until + ask.PATIENCE:
                raise
            answer = {"lines": [str(error)]}
        if not answer.get("ok"):
            say("not equal within %g s: %s" % (given["timeout"], "; ".join(map(str, answer.get("lines", ())))), 2)
            return LATE
    return 0


def _stop(command, sync, given, say):
    """Let a daemon end, and wait for that."""
    found = _that(sync, given)
    if len(found) > 1:
        return _steer(command, sync, given, say)  # which refuses it
    until = None if "timeout" not in given else time.monotonic() + given["timeout"]
    try:
        for answer in ask.talk(found[0], {"do": "stop"}, ask.PATIENCE, {"lines": None if until is None else given["timeout"], "note": STARTING}):
            if "error" in answer:
                raise Fatal(_clean(str(answer["error"])))
            if "note" in answer:
                say(_clean(str(answer["note"])), 2)
    except ask.Unreachable:
        if until is None or time.monotonic() < until:
            raise
        say("the daemon has not ended within %g s: it is still sending what is pending" % given["timeout"], 2)
        return LATE
    return say("the daemon has ended")


_COMMANDS = {"status": _status, "wait": _wait, "stop": _stop}
