"""What those who connect to the control socket may ask of a daemon, and what it does about that.

Stands between the socket (system/control.py), which knows no words, and the daemon. No
failure of the socket, and no request, is a reason to end or to hold up what is mirrored.
"""

import os
import time

from lsyncd_lite.errors import Fatal, reason
from lsyncd_lite.paths import show, to_bytes, to_text
from lsyncd_lite.system.control import Occupied, Server

SUFFIXES = (b".conf.lua", b".conf", b".ini", b".json", b".lua")
BREATH = 0.05       # seconds between two looks for requests, as something takes long
PATHS_MOST = 10000  # queued paths that one answer names


class Control:
    """The control socket of a Daemon, while there is one. loop: a Loop; log: a Log."""

    def __init__(self, daemon, loop, log):
        self._daemon = daemon
        self._loop = loop
        self._log = log
        self._server = None
        self._wanted = None      # (controlSocket, path) that is used, or was tried in vain
        self._is_steerable = False
        self._breath_at = 0.0    # when `breathe` has something to do

    # ---- the socket --------------------------------------------------------------------------

    def open(self, config):
        """Answer where a Config wants it; what cannot be is told once."""
        value = config.settings.controlSocket
        explicit = value not in (None, False)
        path = value if explicit else None if value is False else default_path(config, os.environb)
        if (value, path) == self._wanted and (self._server is None or self._server.is_ours()):
            return
        self._wanted = value, path
        if self._server is not None:
            self._server.close()
            self._server = None
        if path is None:
            return
        try:
            try:
                _make_directory(path, os.environb)
                self._server = Server(path, self._loop, self._answer)
            except Occupied:
                if explicit:
                    raise
                path = b"%s-%d.sock" % (path[:-len(b".sock")], os.getpid())
                self._server = Server(path, self._loop, self._answer)
        except Fatal as error:
            self._log("Warn", "%s: going on without it (controlSocket)" % error)

    def close(self):
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def start(self):
        """Let it be steered, too: all that is configured runs."""
        self._is_steerable = True

    def breathe(self):
        """Answer while something takes long: called for every directory."""
        now = time.monotonic()
        if self._server is not None and self._breath_at <= now:
            self._breath_at = now + BREATH
            self._server.turn()

    @property
    def due(self):
        """When `look` has something to do, None: not before something happens."""
        return None if self._server is None else self._server.due

    def look(self, now):
        """Do what is due."""
        due = self.due
        if due is not None and due <= now:
            self._server.look(now)

    # ---- requests ----------------------------------------------------------------------------

    def _answer(self, request, client):
        """Return the answer (dict) to a request (dict), or None where it comes later."""
        action = _ACTIONS.get(request["do"])
        try:
            if action is None:
                raise _Refused("unknown: %s; known: %s" % (show(request["do"][:100]), ", ".join(_ACTIONS)))
            return action(self, request, client)
        except _Refused as error:
            return {"error": str(error)}
        except Exception as error:  # a defect of ours is no reason to mirror nothing any more
            words = "a defect of lsyncd-lite: %s: %s" % (type(error).__name__, error)
            self._log("Error", "control socket: %s: %s" % (show(request["do"]), words))
            return {"error": words}

    def _chosen(self, request):
        """Return the syncs that a request is about: one by name, those of a section, or all; raise _Refused."""
        name, syncs = request.get("sync"), self._daemon.syncs
        if name is None or name == "all":
            return syncs
        try:
            wanted = to_bytes(name)
        except (AttributeError, ValueError):
            raise _Refused("\"sync\": a name is a text") from None
        found = [sync for sync in syncs if wanted in (to_bytes(sync.config.name), to_bytes(sync.config.section))]
        if not found:
            import difflib
            names = [sync.config.name for sync in syncs]
            near = difflib.get_close_matches(to_text(wanted), names, 1)
            raise _Refused("there is no sync %s%s; there are: %s" % (
                show(name), "; did you mean %s?" % show(near[0]) if near else "", ", ".join(map(show, names[:100])) or "none yet"))
        return found

    def _status(self, request, _client):
        count, left = request.get("paths"), PATHS_MOST
        if count is not None and (type(count) is not int or count < 0):
            raise _Refused("\"paths\": a whole number, 0 or more")
        chosen = self._chosen(request)
        snapshot = self._daemon.snapshot(chosen)
        for sync, facts in zip(chosen, snapshot["syncs"]) if count is not None else ():
            facts["paths"] = [show(path) or "." for path in sync.queued(min(count, left))]
            left -= len(facts["paths"])
        return {"ok": True, "snapshot": snapshot}


_ACTIONS = {
    "status": Control._status,
}


class _Refused(Exception):
    """Words for why a request is not done."""


def default_path(config, environ):
    """Return the path (bytes) of the socket where nobody has chosen one; None: there is no place for it."""
    directory = environ.get(b"RUNTIME_DIRECTORY", b"").split(b":")[0]  # systemd.exec(5)
    if not directory and os.geteuid() == 0:
        directory = b"/run/lsyncd-lite"
    elif not directory and environ.get(b"XDG_RUNTIME_DIR"):
        directory = os.path.join(environ[b"XDG_RUNTIME_DIR"], b"lsyncd-lite")
    if not directory.startswith(b"/"):
        return None
    if config.filename is None:
        name = b"%s-%d" % (config.syncs[0].mode.encode(), os.getpid())
    else:
        name = os.path.basename(config.filename)
        suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix) and name != suffix), b"")
        name = name[:len(name) - len(suffix)]
    return os.path.join(directory, name + b".sock")


def _make_directory(path, environ):
    """Make the directory of a default socket, if it is one that nobody else makes; raise Fatal."""
    directory = os.path.dirname(path)
    is_run = directory == b"/run/lsyncd-lite"
    if not is_run and directory != os.path.join(environ.get(b"XDG_RUNTIME_DIR", b""), b"lsyncd-lite"):
        return
    try:
        os.mkdir(directory, 0o700)
        os.chmod(directory, 0o755 if is_run else 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise Fatal("cannot make %s for the control socket: %s" % (show(directory), reason(error))) from None
