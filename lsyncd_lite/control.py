"""What those who connect to the control socket may ask of a daemon, and what it does about that.

Stands between the socket (system/control.py), which knows no words, and the daemon. No
failure of the socket, and no request, is a reason to end or to hold up what is mirrored.
"""

import os
import time

from lsyncd_lite.errors import Fatal, changes, reason
from lsyncd_lite.mirror.pair import State
from lsyncd_lite.paths import listed, show, to_bytes, to_text
from lsyncd_lite.system.control import Occupied, Server

SUFFIXES = (b".conf.lua", b".conf", b".ini", b".json", b".lua")
BREATH = 0.05       # seconds between two looks for requests, as something takes long
HELD_UP = 2.0       # seconds after which who waits for an answer is told that it comes
PATHS_MOST = 10000  # queued paths that one answer names
SCANNING = 600.0    # seconds that a scan may take whose findings are to be flushed
FLUSHES_MOST = 50   # scans that are waited for, to flush what they find
UNCLOSED = 8.0      # seconds that somebody waits for a file that was made and not closed to rest

# What a sync does not leave by itself soon.
STUCK = (State.PAUSED, State.FAILED, State.ABSENT, State.GUARDED, State.HELD, State.WAITING)


class Control:
    """The control socket of a Daemon, while there is one. loop: a Loop; log: a Log."""

    def __init__(self, daemon, loop, log):
        self._daemon = daemon
        self._loop = loop
        self._log = log
        self._server = None
        self._wanted = None      # (controlSocket, path) that is used, or was tried in vain
        self._is_steerable = False
        self._todo = []          # (request, Client) of those that change something, the first of which may be at work
        self._held_up = []       # the Clients of those that were told that they come later
        self._waits = []         # _Wait
        self._flushes = []       # (request, [(Watched, number)], a time): of what scans find until then at most
        self._breath_at = 0.0    # when `breathe` has something to do

    # ---- the socket --------------------------------------------------------------------------

    def open(self, config):
        """Answer where a Config wants it; what cannot be is told once."""
        value = config.settings.controlSocket
        explicit = value not in (None, False)
        path = value if explicit else None if value is False else default_path(config, os.environb)
        if (value, path) == self._wanted and self._server is not None and self._server.is_ours():
            return
        self._wanted = value, path
        if self._server is not None:
            self._server.leave()
        if path is None:
            return
        try:
            _make_directory(path, os.environb)
            self._server = self._server or Server(self._loop, self._answer)
            try:
                self._server.listen(path)
            except Occupied:
                if explicit:
                    raise
                self._server.listen(b"%s-%d.sock" % (path[:-len(b".sock")], os.getpid()))
        except Fatal as error:
            self._log("Warn", "%s: going on without it (controlSocket)" % error)

    def check(self):
        """Make the socket anew if somebody has removed it, as who cleans /run or /tmp does."""
        if self._server is not None and self._server.path is not None and not self._server.is_ours():
            try:
                self._server.listen_again()
            except Fatal:
                pass  # as before: whoever asks for it is told where was looked, and a reload says why

    def close(self):
        """Answer nobody any more; who waits for our end hears of it by that."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def start(self):
        """Let it be steered, too: all that is configured runs."""
        self._is_steerable = True

    def breathe(self):
        """Answer while something takes long, as a reload and a large tree do: called again and again."""
        now = time.monotonic()
        if self._server is None or self._breath_at > now:
            return
        self._breath_at = now + BREATH
        self._server.turn()
        for request, client in self._todo:
            if client not in self._held_up and client.since + HELD_UP <= now:
                self._held_up.append(client)
                client.send({"note": "%s takes a while: the daemon is reading its configuration, or a large tree" % request["do"]}, True)

    @property
    def due(self):
        """When `look` or `act` has something to do, None: not before something happens."""
        if self._server is None:
            return None
        times = [self._server.due] + [wait.due for wait in self._waits] + [until for _request, _looks, until in self._flushes] + [0.0] * bool(self._todo)
        return min([at for at in times if at is not None], default=None)

    def look(self, now):
        """Part from who has been silent for too long."""
        if self._server is not None and self._server.due is not None and self._server.due <= now:
            self._server.look(now)

    def act(self, now):
        """Do what was asked for, and answer those whose time has come; not for a callback, as it may change what there is."""
        for request, client in list(self._todo):
            if not client.gone:
                answer = self._guarded(lambda: _ACTIONS[request["do"]](self, request, client), request)
                if answer is not None:
                    client.send(answer)
            self._todo.pop(0)
        self._held_up.clear()
        for flush in list(self._flushes):
            request, looks, until = flush
            if until <= now or all(watched.has_looked(number) and not watched.is_unsettled for watched, number in looks):
                self._flushes.remove(flush)
                self._guarded(lambda: [sync.flush(now) for sync in self._chosen(request)], request)
        for wait in list(self._waits):
            answer = {} if wait.client.gone else self._guarded(lambda: self._look_at(wait, now), wait.request)
            if answer is not None:
                self._waits.remove(wait)
                wait.client.send(answer)

    def begin_again(self):
        """Let all who wait wait for what is known now: after a reload nothing is as it was."""
        self._flushes.clear()
        for wait in self._waits:
            wait.begin()

    # ---- requests ----------------------------------------------------------------------------

    def _answer(self, request, client):
        """Return the answer (dict) to a request (dict), or None where it comes later."""
        if request["do"] not in _ACTIONS:
            return {"error": "unknown: %s; known: %s" % (show(request["do"][:100]), ", ".join(_ACTIONS))}
        if request["do"] == "status":
            return self._guarded(lambda: self._status(request, client), request)
        self._todo.append((request, client))
        if not self._is_steerable:
            self._held_up.append(client)
            client.send({"note": "it is starting: %s is for when everything is watched" % request["do"]}, True)
        return None

    def _guarded(self, action, request):
        """Return what action() returns, or words for why it does not."""
        try:
            return action()
        except _Refused as error:
            return {"error": str(error)}
        except Fatal:
            raise
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
                show(name), "; did you mean %s?" % show(near[0]) if near else "", listed(list(map(show, names)))))
        return found

    def _status(self, request, _client):
        count, left = request.get("paths"), PATHS_MOST
        if count is not None and (type(count) is not int or count < 0):
            raise _Refused("\"paths\": a whole number, 0 or more")
        chosen = self._chosen(request)
        snapshot = self._daemon.snapshot(chosen, request.get("history") is True)
        for sync, facts in zip(chosen, snapshot["syncs"]) if count is not None else ():
            facts["paths"] = [show(path) or "." for path in sync.queued(min(count, left))]
            left -= len(facts["paths"])
        return {"ok": True, "snapshot": snapshot}

    def _named(self, words, syncs):
        """Return an answer with a line for each of some syncs: its name and words(sync)."""
        return {"ok": True, "lines": ["%s: %s" % (show(sync.config.name), words(sync)) for sync in syncs]}

    def _steered(self, request):
        """Return the syncs that a request is about, as long as they can be steered; raise _Refused."""
        if self._daemon.stopping is not None:
            raise _Refused("it is ending: %s" % self._daemon.stopping)
        self._daemon.note_change()
        return self._chosen(request)

    def _pause(self, request, _client):
        def words(sync):
            was, sync.paused = sync.paused, True
            if not was:
                self._log("Normal", "%s: paused by a command" % sync.config.name)
            runs = ", what runs comes to its end" if sync.running else ""
            return ("paused already" if was else "paused") + runs
        return self._named(words, self._steered(request))

    def _resume(self, request, _client):
        def words(sync):
            was, sync.paused = sync.paused, False
            if was:
                self._log("Normal", "%s: goes on, by a command" % sync.config.name)
            return "goes on, with %s" % changes(sync.pending) if was else "is not paused"
        return self._named(words, self._steered(request))

    def _flush(self, request, _client):
        syncs, now = self._steered(request), time.monotonic()
        looks = [(watched, watched.look_now()) for watched in self._daemon.trees(syncs)]
        looks = [(watched, number) for watched, number in looks if not watched.has_looked(number) and watched.tree is not None]
        self._flushes = [*self._flushes[-FLUSHES_MOST:], *[(request, looks, now + SCANNING)] * bool(looks)]

        def words(sync):
            sync.flush(now)
            if any(sync in watched.syncs for watched, _number in looks):
                return "its source is scanned, and what that finds is sent at once"
            if not sync.pending:
                return "nothing is queued"
            self._log("Normal", "%s: flushed by a command" % sync.config.name)
            hindrance = self._hindrance(sync, now)
            return changes(sync.pending, " is sent now", " are sent now") if hindrance is None else "%s: %s" % (
                changes(sync.pending, " waits", " wait"), hindrance)
        return self._named(words, syncs)

    def _full(self, request, _client):
        syncs, now = self._steered(request), time.monotonic()
        if not any(sync.begins_again for sync in syncs):
            raise _Refused("%s: there is nothing to begin again with: onStartup is not set, or the script has no on_startup"
                           % ", ".join(show(sync.config.name) for sync in syncs))

        def words(sync):
            if not sync.begins_again:
                return "nothing to begin again with (no start-up action)"
            sync.want_full(now)
            sync.flush(now)
            self._log("Normal", "%s: a full sync by a command" % sync.config.name)
            hindrance = self._hindrance(sync, now)
            return "full sync" + ("" if hindrance is None else " is queued: %s" % hindrance)
        return self._named(words, syncs)

    def _retry(self, request, _client):
        syncs, now = self._steered(request), time.monotonic()

        def words(sync):
            troubled = sync.state in STUCK or sync.last_error is not None or sync.owed
            if not troubled:
                return "nothing has failed"
            sync.retry(now)
            self._log("Normal", "%s: tried again by a command" % sync.config.name)
            return "tried again now" if not sync.paused and not sync.absent else "waits: %s" % self._hindrance(sync, now)
        return self._named(words, syncs)

    def _release(self, request, _client):
        syncs = self._steered(request)
        held = self._daemon.release(syncs, to_bytes(request.get("sync") or "all"))
        return self._named(lambda sync: "released: it deletes what it finds, once" if sync in held else "maxDelete holds nothing", held or syncs)

    def _reload(self, _request, _client):
        if self._daemon.stopping is not None:
            raise _Refused("it is ending: %s" % self._daemon.stopping)
        self._log("Normal", "a command to read the configuration again")
        errors, warnings = self._daemon.reload()
        if errors:
            return {"error": "the new configuration is refused, the old one stays", "lines": [*errors], "warnings": [*warnings]}
        return {"ok": True, "lines": ["the configuration was read again: %d sync%s" % (
            len(self._daemon.syncs), "" if len(self._daemon.syncs) == 1 else "s")], "warnings": [*warnings]}

    def _stop(self, _request, client):
        if self._daemon.stopping is None:
            self._daemon.begin_stop(0, "a command")
        self._server.keep(client)
        client.send({"ok": True, "lines": ["sends what is pending, then ends"], "pid": os.getpid()}, True)

    def _wait(self, request, client):
        self._chosen(request)
        seconds = request.get("timeout")
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 1e9):
            raise _Refused("\"timeout\": a number of seconds, 0 or more")
        self._waits.append(_Wait(request, client, None if seconds is None else time.monotonic() + seconds))

    def _look_at(self, wait, now):
        """Return the answer to whoever waits, None: not yet."""
        syncs = self._chosen(wait.request)  # by name, as a reload may have made others
        trees = self._daemon.trees(syncs)
        if wait.looks is None:
            wait.looks = [(watched, watched.look_now()) for watched in trees]
            wait.until = time.monotonic() + UNCLOSED
        wait.until = None if wait.until is None or wait.until <= now else wait.until
        if wait.marks is None and all(watched.has_looked(number) for watched, number in wait.looks) and (
                wait.until is None or not any(watched.is_unsettled for watched in trees)):
            now = time.monotonic()
            wait.marks = [(sync, sync.mark(now)) for sync in syncs]
        if wait.marks is not None:
            behind = [sync for sync, mark in wait.marks if not sync.is_settled(mark)]
        else:
            behind = [sync for sync in syncs if any(sync in watched.syncs and not watched.has_looked(number) for watched, number in wait.looks)] or syncs
        if wait.marks is not None and not behind:
            return {"ok": True, "lines": []}
        if wait.deadline is not None and wait.deadline <= now:
            return {"ok": False, "lines": ["%s: %s" % (show(sync.config.name), self._at(sync, now)) for sync in behind]}
        for sync in behind:
            if sync.state in STUCK and (sync.config.name, sync.state) not in wait.told:
                wait.told.add((sync.config.name, sync.state))
                wait.client.send({"note": "%s: %s" % (show(sync.config.name), self._at(sync, now))}, True)
        return None

    def _at(self, sync, now):
        """Return what a sync is at, in words."""
        words = "%s, %s" % (sync.state.value, changes(sync.pending + sync.in_flight, " waits", " wait"))
        why = sync.lacks if sync.absent else sync.guarded or sync.last_error
        return words if why is None else "%s: %s" % (words, why)

    def _hindrance(self, sync, now):
        """Return why what is due in a sync does not start now, in words, or None."""
        if sync.state in STUCK:
            again = "" if sync.next_try is None or sync.state in (State.PAUSED, State.ABSENT) else ", next try in %d s (retry tries now)" % max(0, sync.next_try - now)
            return {State.PAUSED: "paused (resume lets it go on)", State.ABSENT: sync.lacks}.get(sync.state, sync.state.value + again)
        return sync.awaits


class _Wait:
    """Somebody who waits until syncs are equal. looks: [(Watched, number)]; marks: [(Sync, mark)]; None: not yet."""

    def __init__(self, request, client, deadline):
        self.request = request
        self.client = client
        self.deadline = deadline
        self.told = set()   # (name, State) that the client was told of
        self.begin()

    def begin(self):
        """Wait for what is known now."""
        self.looks = self.marks = None
        self.until = None   # when it waits no more for files to be closed

    @property
    def due(self):
        """When it has to be looked at, None: not before something happens."""
        if self.looks is None:
            return 0.0
        return min([at for at in (self.until if self.marks is None else None, self.deadline) if at is not None], default=None)


_ACTIONS = {
    "status": Control._status, "wait": Control._wait, "flush": Control._flush, "full": Control._full, "retry": Control._retry,
    "pause": Control._pause, "resume": Control._resume, "release": Control._release, "reload": Control._reload, "stop": Control._stop,
}


class _Refused(Exception):
    """Words for why a request is not done."""


def default_path(config, environ):
    """Return the path (bytes) of the socket where nobody has chosen one; None: there is no place for it."""
    directory = environ.get(b"RUNTIME_DIRECTORY", b"").split(b":")[0]  # systemd.exec(5)
    if not directory and os.geteuid() == 0:
        directory = b"/run/lsyncd-lite" if os.path.isdir(b"/run") else b"/var/run/lsyncd-lite"  # OpenWrt
    elif not directory and environ.get(b"XDG_RUNTIME_DIR"):
        directory = os.path.join(environ[b"XDG_RUNTIME_DIR"], b"lsyncd-lite")
    elif not directory and os.access(b"/run", os.W_OK):  # a container's
        directory = b"/run/lsyncd-lite"
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
    is_run = directory in (b"/run/lsyncd-lite", b"/var/run/lsyncd-lite")
    if not is_run and directory != os.path.join(environ.get(b"XDG_RUNTIME_DIR", b""), b"lsyncd-lite"):
        return
    try:
        os.mkdir(directory, 0o700)
        os.chmod(directory, 0o755 if is_run else 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise Fatal("cannot make %s for the control socket: %s" % (show(directory), reason(error))) from None
