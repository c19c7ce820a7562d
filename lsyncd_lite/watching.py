"""A watched root with the syncs whose sources lie in it: there, missing, short of watches.

Gives the tree's changes to the syncs, and looks again, on a timer, where the kernel
tells nothing: for a root that is missing, a tree that lacks watches, files that were
created and never closed. Knows nothing of jobs.
"""

import errno
import os
import time

from lsyncd_lite.errors import Fatal, reason
from lsyncd_lite.mirror.change import words_for
from lsyncd_lite.mirror.events import Seen
from lsyncd_lite.mirror.moves import Move
from lsyncd_lite.paths import below, show
from lsyncd_lite.watch.tree import Tree

MISSING_RETRY = 1.0  # seconds between two looks for a root that is not there
UNCLOSED_LOOK = 2.0  # seconds between two looks at created files that are not closed
RESCAN = 60.0        # seconds between two scans of a tree that there are not enough watches for

_LIMIT = "/proc/sys/fs/inotify/max_user_watches"


class Watched:
    """One root. tree: a Tree, or None while it is not there; look_at: when `look` is due (None: never)."""

    def __init__(self, root, syncs, mode, log, loop, on_readable):
        """root: absolute bytes; mode: a value of inotifyMode; log: a Log; loop: a Loop.

        on_readable(self): called by the loop when `read` has something to read.
        """
        self.root = root
        self.syncs = syncs
        self.mode = mode
        self.tree = None
        self.look_at = None
        self._log = log
        self._loop = loop
        self._on_readable = on_readable
        self._told = False   # that the root is missing
        self._short = False  # of watches, and that was told
        plain = all(not sync.filter.rules and sync.config.source == root for sync in syncs)
        self.wants = None if plain else lambda path: any(sync.wants_directory(path) for sync in self.syncs)

    def same_wish(self, other):
        """Tell whether another Watched would watch the same directories in the same way."""
        return self._wish() == other._wish()

    def _wish(self):
        return self.root, self.mode, {(sync.config.source, tuple(rule[:2] for rule in sync.filter.rules))
                                      for sync in self.syncs}

    def take_over(self, other):
        """Serve the syncs of a Watched with the same wish; the tree stays as it is."""
        self.syncs = other.syncs
        self.wants = other.wants
        if self.tree is not None:
            self.tree.wants = other.wants
            self._prepare()

    def _prepare(self):
        self.tree.tells_moves = any(sync.takes_moves for sync in self.syncs)
        self.tree.tells_kinds = any(sync.takes_events for sync in self.syncs)

    def open(self, may_wait):
        """Watch the tree; raise Fatal where that is impossible and the program may not wait for it."""
        names = ", ".join(sync.config.name for sync in self.syncs)
        try:
            self.tree = Tree(self.root, self.mode, self.wants)
        except OSError as error:
            words = "sync %s: cannot watch the source %s: %s" % (names, show(self.root), _problem(error))
            if not may_wait:
                raise Fatal(words + " (insist = yes, or -insist, waits for it)") from None
            if not self._told:
                self._told = True
                self._log("Error", words + ": waiting for it")
            self._wait()
            return
        self._prepare()
        self._loop.add(self.tree.fd, lambda: self._on_readable(self))
        self.look_at, self._told = None, False
        if self.tree.unwatched and not may_wait:
            raise Fatal(self._too_few())
        for sync in self.syncs:
            if sync.absent:  # what happened meanwhile nobody has told
                sync.want_full(time.monotonic())
            sync.find_source()
        self._log("Normal", "%s: watching %d directories below %s" % (names, len(self.tree), show(self.root)))
        self._look_after()

    def _wait(self):
        self.look_at = time.monotonic() + MISSING_RETRY
        for sync in self.syncs:
            sync.lose_source(time.monotonic())

    def stop(self):
        """Give all that is known to the syncs, closed or not, and give up the watches."""
        self.read()
        if self.tree is not None:
            self.offer(self.tree.settle(float("inf")))
        self.close()

    def close(self):
        """Give up the watches."""
        self.look_at = None
        if self.tree is not None:
            self._loop.remove(self.tree.fd)
            self.tree.close()
            self.tree = None

    def check(self):
        """Give up the watches if the root is not the directory any more that is watched."""
        if self.tree is None:
            return
        try:
            facts = os.stat(self.root)
            lost = (facts.st_dev, facts.st_ino) != self.tree.identity
        except OSError:
            lost = True
        if lost:
            self._lose()

    def _lose(self):
        self._log("Error", "source %s is gone or was replaced: waiting for it" % show(self.root))
        self._told = True
        self.close()
        self._wait()
        self.look_at = time.monotonic()

    def read(self):
        """Give what the kernel tells to the syncs; tell whether there was anything."""
        if self.tree is None:
            return False
        changes = self.tree.read()
        self.offer(changes)
        overflowed = self.tree.overflowed
        if overflowed:
            words = "start-up actions again" if all(sync.takes_events for sync in self.syncs) else "full sync"
            self._log("Warn", "the kernel's event queue overflowed below %s: %s" % (show(self.root), words))
            self.tree.rescan()
            self._want_full()
        self._look_after()
        return bool(changes) or overflowed or self.tree is None

    def offer(self, steps):
        """Give what has changed, as `Tree.translate` tells it, to the syncs."""
        if not steps:
            return
        if self._log.shows("Inotify"):
            for line in _lines(steps):
                self._log("Inotify", line)
        now = time.monotonic()
        for sync in self.syncs:
            for step in steps:
                if isinstance(step, Move):
                    sync.offer_move(step, now)
                elif isinstance(step, Seen):
                    if sync.takes_events:
                        sync.offer_event(step, now)
                elif not sync.takes_events:
                    for directory, names in step.items():
                        sync.offer(directory, names, now)
            if self._log.shows("Delay"):
                self._log("Delay", "%s: %d changes queued" % (sync.config.name, sync.pending))

    def _look_after(self):
        """Act on what the tree has noticed beside changes."""
        for category, words in self.tree.notes:
            self._log(category, words)
        self.tree.notes.clear()
        now = time.monotonic()
        if self.tree.lost:
            self._lose()
        elif self.tree.unwatched:
            if not self._short:
                self._short = True
                self._log("Error", self._too_few() + "; until then everything is scanned once a minute")
            self.look_at = self.look_at or now + RESCAN
        elif self.tree.has_unclosed:
            self.look_at = self.look_at or now + UNCLOSED_LOOK

    def look(self):
        """Do what is due on the timer."""
        self.look_at = None
        if self.tree is None:
            self.open(True)
            return
        if self.tree.unwatched:
            self.tree.rescan()
            self._want_full()
            if not self.tree.unwatched:
                self._short = False
                self._log("Normal", "all directories below %s are watched" % show(self.root))
        self.offer(self.tree.settle(time.time()))
        self._look_after()

    def _want_full(self):
        for sync in self.syncs:
            sync.want_full(time.monotonic())
            if not sync.begins_again:
                self._log("Error", "%s: changes are lost: there is no start-up action to begin again with" % sync.config.name)

    def _too_few(self):
        """Return the words for a tree that there are not enough inotify watches for."""
        missing, watched = self.tree.unwatched, len(self.tree)
        try:
            with open(_LIMIT) as file:
                limit = int(file.read())
        except (OSError, ValueError):
            limit = watched
        return ("cannot watch %d of the %d directories below %s: fs.inotify.max_user_watches is %d, "
                "at least %d are needed: sysctl -w fs.inotify.max_user_watches=%d"
                % (missing, missing + watched, show(self.root), limit, limit + missing, (limit + missing) * 5 // 4))


def _lines(steps):
    """Yield a line for the log for everything that has changed."""
    for step in steps:
        if isinstance(step, Move):
            yield "%s: moved to %s" % (show(step.origin), show(step.place))
            continue
        if isinstance(step, Seen):
            yield "%s: %s" % (show(step.path), step.kind.value)
            continue
        for directory, names in step.items():
            for name, (marks, _is_dir) in names.items():
                yield "%s: %s (%s)" % (show(directory), show(name), words_for(marks))


def roots(syncs):
    """Return {topmost source: syncs whose source is it or lies in it}."""
    found = {}
    for sync in sorted(syncs, key=lambda sync: sync.config.source):
        source = sync.config.source
        root = next((root for root in found if below(source, root) is not None), source)
        found.setdefault(root, []).append(sync)
    return found


def _problem(error):
    if error.errno == errno.EMFILE:
        return ("no inotify instances (or open files) left: raise fs.inotify.max_user_instances: "
                "sysctl -w fs.inotify.max_user_instances=512")
    if error.errno == errno.ENOSPC:
        return ("no inotify watches left: raise fs.inotify.max_user_watches: "
                "sysctl -w fs.inotify.max_user_watches=524288")
    return reason(error)
