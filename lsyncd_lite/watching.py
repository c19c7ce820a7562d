"""A watched root with the syncs whose sources lie in it: there, missing, short of watches, scanned.

Gives the changes of its tree to the syncs, and looks again, on a timer, where the kernel
tells nothing: for a root that is missing, at what is scanned, at files that were
created and never closed. Knows nothing of jobs.
"""

import os
import time

from lsyncd_lite.errors import Fatal, reason
from lsyncd_lite.mirror.change import words_for
from lsyncd_lite.mirror.events import Seen
from lsyncd_lite.mirror.moves import Move
from lsyncd_lite.paths import below, show
from lsyncd_lite.watch import choice, limits
from lsyncd_lite.watch.tree import Tree

MISSING_RETRY = 1.0  # seconds between two looks for a root that is not there
UNCLOSED_LOOK = 2.0  # seconds between two looks at created files that are not closed
SLICE = 0.02         # seconds of a scan in one turn of the loop
LAST_LOOK = 2.0      # seconds for a scan at the end


class Watched:
    """One root. tree: a Tree or a Polled, or None while it is not there; look_at: when `look` is due (None: never)."""

    def __init__(self, root, syncs, polls, mode, log, loop, on_readable, mounted):
        """root: absolute bytes; polls: by scans alone; mode: a value of inotifyMode; log: a Log; loop: a Loop.

        on_readable(self): called by the loop when `read` has something to read; mounted(): all mount points.
        """
        self.root = root
        self.syncs = syncs
        self.polls = polls
        self.mode = mode
        self.tree = None
        self.trouble = None   # why not everything is watched, and what would help, in words
        self._log = log
        self._loop = loop
        self._on_readable = on_readable
        self._mounted = mounted
        self._told = False    # that the root is missing
        self._last = None     # a Polled that is scanned once more, as its tree is watched by now
        self._retry_at = None  # when a root that is missing is looked for
        self._scan_at = None  # when a scan begins or goes on
        self._scan_began = None
        self._settle_at = None
        plain = all(not sync.filter.rules and sync.config.source == root for sync in syncs)
        self.wants = None if plain else lambda path: any(sync.wants_directory(path) for sync in self.syncs)

    @property
    def look_at(self):
        """When `look` is due, None: never."""
        return min([at for at in (self._retry_at, self._scan_at, self._settle_at) if at is not None], default=None)

    @property
    def is_recording(self):
        """Whether what is scanned was not seen once yet: what changes before that is not noticed."""
        return self.tree is not None and not self.tree.recorded

    @property
    def _interval(self):
        return min(sync.config.scanInterval for sync in self.syncs)

    def same_wish(self, other):
        """Tell whether another Watched would watch the same directories in the same way."""
        return self._wish() == other._wish()

    def _wish(self):
        return self.root, self.polls, self.mode, {(sync.config.source, tuple(rule[:2] for rule in sync.filter.rules))
                                                  for sync in self.syncs}

    def take_over(self, other):
        """Serve the syncs of a Watched with the same wish; the tree stays as it is."""
        self.syncs = other.syncs
        self.wants = other.wants
        if self.tree is not None:
            self.tree.wants = other.wants
            self._prepare()
            self._degrade()
            if self._scan_at is not None:
                self._scan_at = min(self._scan_at, time.monotonic() + self._interval)

    def _prepare(self):
        self.tree.tells_moves = any(sync.takes_moves for sync in self.syncs)
        self.tree.tells_kinds = any(sync.takes_events for sync in self.syncs)

    def open(self, may_wait):
        """Watch the tree; raise Fatal where that is impossible and the program may not wait for it."""
        names = ", ".join(sync.config.name for sync in self.syncs)
        try:
            monitors = {sync.config.monitor for sync in self.syncs}
            tree, warning, trouble = choice.watch(self.root, self.mode, self.wants, self.polls, monitors)
        except OSError as error:
            words = "sync %s: cannot watch the source %s: %s" % (names, show(self.root), reason(error))
            if not may_wait:
                raise Fatal(words + " (insist = yes, or -insist, waits for it)") from None
            if not self._told:
                self._told = True
                self._log("Error", words + ": waiting for it")
            self._wait()
            return
        self._take(tree)
        self._told = False
        if tree.fd is None:
            words = "scanning %s every %g s" % (show(self.root), self._interval)
        else:
            words = "watching %d directories below %s" % (tree.watched, show(self.root))
        if warning is not None:
            self._log("Warn", "%s: %s" % (names, warning))
        self._log("Normal", "%s: %s" % (names, words))
        if trouble is not None:
            self._set_trouble(trouble)
        for sync in self.syncs:
            if sync.absent:  # what happened meanwhile nobody has told
                sync.want_full(time.monotonic())
            sync.find_source()
        self._look_after()

    def _take(self, tree):
        self.tree = tree
        self._prepare()
        tree.know_mounts(self._mounted())
        self._retry_at = self._settle_at = self._scan_at = self._scan_began = None
        if tree.fd is not None:
            self._loop.add(tree.fd, lambda: self._on_readable(self))

    def _set_trouble(self, words):
        if words is not None and self.trouble is None:
            self._log("Error", "%s; until then changes there are noticed by a scan every %g s" % (words, self._interval))
        self.trouble = words
        self._degrade()

    def _degrade(self):
        for sync in self.syncs:
            sync.degraded = self.trouble

    def _wait(self):
        self._retry_at = time.monotonic() + MISSING_RETRY
        for sync in self.syncs:
            sync.lose_source(time.monotonic())

    def stop(self):
        """Give all that is known to the syncs, closed or not, and give up the watches."""
        self.read()
        self.offer(self.last_look()[0])
        self.close()

    def last_look(self):
        """Return (what is known by now, closed or not, whether that is all there is to know)."""
        if self.tree is None:
            return [], True
        steps, ended = self.tree.read(), not self.tree.scans
        if self.tree.scans and self.tree.recorded:
            until = time.monotonic() + LAST_LOOK
            self.tree.close_scan()
            while not ended and time.monotonic() < until:
                found, ended = self.tree.step(until, time.monotonic)
                steps += found
        return steps + self.tree.settle(float("inf")), ended and not self.tree.overflowed

    def close(self):
        """Give up the watches."""
        self._retry_at = self._settle_at = self._scan_at = self._last = None
        if self.trouble is not None:
            self.trouble = None
            self._degrade()
        if self.tree is not None:
            if self.tree.fd is not None:
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

    def mounts_changed(self, come, gone):
        """Take note of mount points (absolute bytes) that show another file system, or none any more."""
        if self.tree is None:
            if self._retry_at is not None:
                self._retry_at = time.monotonic()
        else:
            self.check()
            self.read()
        for path, is_gone in [(path, True) for path in gone] + [(path, False) for path in come]:
            for sync in self.syncs:
                sync.protect(path, is_gone)
            if self.tree is not None and below(path, self.root) and (self.wants is None or self.wants(path)):
                self.offer(self.tree.remount(path, is_gone))
                self._look_after()

    def _lose(self):
        self._log("Error", "source %s is gone or was replaced: waiting for it" % show(self.root))
        self._told = True
        self.close()
        self._wait()
        self._retry_at = time.monotonic()

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
        if self.tree.lost:
            self._lose()
            return
        now = time.monotonic()
        if self.tree.has_unclosed:
            self._settle_at = self._settle_at or now + UNCLOSED_LOOK
        if self.tree.scans or self._last is not None:
            if self._scan_at is None or self.tree.hurries and self._scan_began is None:
                self._scan_at = now
        else:
            self._scan_at = self._scan_began = None
        if self.tree.fd is not None:
            self._look_for_missing()

    def _look_for_missing(self):
        """Take note of whether there are directories without a watch."""
        missing = self.tree.unwatched
        if missing and self.trouble is None:
            self._set_trouble(limits.too_few_watches(missing, self.tree.watched, self.root))
        elif not missing and self.trouble is not None:
            self._set_trouble(None)
            self._log("Normal", "all %d directories below %s are watched" % (self.tree.watched, show(self.root)))

    def look(self):
        """Do what is due on the timer; tell whether something may have changed."""
        now = time.monotonic()
        if self.tree is None:
            self._retry_at = None
            self.open(True)
            return True
        found = False
        if self._settle_at is not None and self._settle_at <= now:
            self._settle_at = None
            steps = self.tree.settle(time.time())
            self.offer(steps)
            found = bool(steps)
        if self._scan_at is not None and self._scan_at <= now:
            found = self._scan(now) or found
        if self.tree is not None:
            self._look_after()
        return found or self.tree is None

    def _scan(self, now):
        """Go on with a scan for a moment; tell whether it has found something, or ended for the first time."""
        if self._scan_began is None:
            self._scan_began = now
        was_recorded = self.tree.recorded
        scanned = self._last or self.tree
        steps, ended = scanned.step(now + SLICE, time.monotonic)
        self.offer(steps)
        if not ended:
            self._scan_at = now
            return bool(steps)
        end, began = time.monotonic(), self._scan_began
        self._scan_began = None
        self._scan_at = max(began + self._interval, 2 * end - began)  # half of the time at most
        if scanned is self._last:  # it has told what changed before all was watched
            self.offer(scanned.settle(float("inf")))
            self._last = None
            self._scan_at = end if self.tree.scans else None
        elif scanned.fd is not None:
            self.read()  # what was doubtful when it was watched
        elif self.trouble is not None and not scanned.lost:
            self._watch_again()
        return bool(steps) or not was_recorded

    def _watch_again(self):
        """Watch what is scanned as there was no inotify instance, or not one watch, if there is by now."""
        try:
            tree = Tree(self.root, self.mode, self.wants)
        except OSError:
            return  # as before; a root that is gone is noticed by the scan
        if tree.identity != self.tree.identity:
            tree.close()
            return
        tree.tell_tops()
        last, began = self.tree, time.monotonic()
        self._take(tree)
        self._last, self._scan_at = last, began
        self.trouble = None
        self._degrade()
        if not tree.unwatched:
            self._log("Normal", "all %d directories below %s are watched" % (tree.watched, show(self.root)))

    def _want_full(self):
        for sync in self.syncs:
            sync.want_full(time.monotonic())
            if not sync.begins_again:
                self._log("Error", "%s: changes are lost: there is no start-up action to begin again with" % sync.config.name)


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
