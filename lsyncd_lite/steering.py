"""What `lsyncd-lite status`, `wait` and so on do: which daemon is asked, and what is printed of its answer."""

import os

from lsyncd_lite.config import settings
from lsyncd_lite.errors import ConfigError, Fatal
from lsyncd_lite.paths import show, to_bytes
from lsyncd_lite.system import ask

FAILURE = 255


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
    if command not in _COMMANDS:
        raise Fatal("%s: not there yet" % command)
    return _COMMANDS[command](sync, given, say)


# ---- which daemons -------------------------------------------------------------------------------

def daemons(given):
    """Return the paths (list of bytes, at least one) of the sockets of the daemons that are meant; raise Fatal.

    given: {option: value}, of which -socket counts.
    """
    wanted = given.get("socket")
    if wanted is not None and "/" in wanted:
        return [os.path.abspath(to_bytes(wanted))]
    places = ", ".join(show(os.path.join(name, b"*.sock")) for name in ask.directories(os.environb))
    found = ask.sockets(os.environb)
    if wanted is not None:
        found = [path for path in found if os.path.basename(path) == to_bytes(wanted) + b".sock"]
        if len(found) == 1:
            return found
    alive, troubles = [], []
    for path in found:
        try:
            ask.connect(path).close()
            alive.append(path)
        except ask.Unreachable as error:
            if not error.is_dead:
                troubles.append(str(error))
    if alive:
        return alive
    raise Fatal("no lsyncd-lite %s: looked for %s%s" % (
        "runs that can be asked" if wanted is None else "called %s runs" % show(wanted), places, "".join("; " + words for words in troubles)))


def snapshots(sync, given, **request):
    """Return the snapshots (non-empty list of dicts) of all daemons that are meant: with a sync, of those that have it. Raises Fatal."""
    found, errors = [], []
    for path in daemons(given):
        try:
            found.append(ask.ask(path, dict(request, do="status", sync=sync))["snapshot"])
        except Fatal as error:
            errors.append(str(error))
    if not found:
        raise Fatal("; ".join(errors))
    return found


# ---- what is done --------------------------------------------------------------------------------

def _status(sync, given, say):
    import json
    found = snapshots(sync, given, **{"paths": 100} if "v" in given else {})
    return say(json.dumps(found[0] if len(found) == 1 else found, indent=1))


_COMMANDS = {
    "status": _status,
}
