"""A watched root with the syncs whose sources lie in it: there, missing, short of watches, scanned.

Gives the changes of its tree to the syncs, and looks again, on a timer, where the kernel
tells nothing: for a root that is missing, at what is scanned, at files that were
created and never closed. Knows nothing of jobs.

A file system that other hosts, or programs, serve may never answer, and who asks waits for ever. Below a root
on one of these nothing is looked at from here: one thread asks for the root itself, one scans. Its silence
is a lack of the source. (Not so below a root elsewhere that has one mounted in it, and where inotify is asked for.)
"""

import errno
import os
import time

from lsyncd_lite.aside import Aside
from lsyncd_lite.errors import Fatal, reason
from lsyncd_lite.mirror.change import words_for
from lsyncd_lite.mirror.events import Seen
from lsyncd_lite.mirror.moves import Move
from lsyncd_lite.paths import below, show
from lsyncd_lite.watch import choice, filesystems, limits
from lsyncd_lite.watch.tree import Tree

MISSING_RETRY = 1.0  # seconds between two looks for a root that is not there
UNCLOSED_LOOK = 2.0  # seconds between two looks at created files that are not closed
SLICE = 0.02         # seconds of a scan in one turn of the loop
LAST_LOOK = 2.0      # seconds for a scan at the end
# Seconds in which a file system of others has to answer: when a job is due, before a scan counts as silent, at a
# start that may not wait; and after which its silence is more than a hiccup.
PATIENCE, SCAN_PATIENCE, START_PATIENCE, HICCUP = 0.05, 1.0, 10.0, 3.0


class Watched:
    """One root. tree: a Tree or a Polled, or None while it is not there; look_at: when `look` is due (None: never)."""

    def __init__(self, root, syncs, polls, mode, log, loop, on_readable, mounted, breathe=None):
        """root: absolute bytes; polls: by scans alone; mode: a value of inotifyMode; log: a Log; loop: a Loop.

        on_readable(self): called by the loop when `read` has something to read; mounted(): all mount points;
        breathe(): called again and again by what takes long (None: nobody waits).
        """
        self.root = root
        self.syncs = syncs
        self.polls = polls
        self.mode = mode
        self.tree = None
        self.overflows = 0    # times that the kernel's queue was full
        self.trouble = None   # why not everything is watched, and what would help, in words
        self._log = log
        self._loop = loop
        self._on_readable = on_readable
        self._mounted = mounted
        self._breathe = breathe
        self._told = False    # that the root is missing
        self._last = None     # a Polled that is scanned once more, as its tree is watched by now
        self._retry_at = None  # when a root that is missing is looked for
        self._scan_at = None  # when a scan begins or goes on
        self._scan_began = None
        self._scans = self._scans_ended = 0  # that have begun; the number of the last that has ended
        self._scan_wanted = 0  # the number of the one that somebody waits for
        self._settle_at = None
        self._opens = False   # it is to be watched, when it can be
        self._silent_since = None  # since when the root does not answer
        self._told_silent = False
        self._asked_at = 0.0  # when it was asked last whether it does, as a scan lasts
        self._may_hang = filesystems.may_hang(root)
        self._root_aside = Aside(loop.wake)  # asks for the root
        self._has_news = False  # it has begun, or ceased, to answer
        self._scan_aside = Aside(loop.wake)  # scans, if the root is polled and may hang
        plain = all(not sync.filter.rules and sync.config.source == root for sync in syncs)
        self.wants = None if plain else lambda path: any(sync.wants_directory(path) for sync in self.syncs)

    @property
    def look_at(self):
        """When `look` is due, None: never."""
        if self._root_aside.answered or self._scan_aside.answered or self._has_news or self.has_unread:
            return 0.0
        times = [self._retry_at]
        if self.is_silent:
            times.append(None if self._told_silent else self._silent_since + HICCUP)
        elif self._scan_aside.busy:
            times.append(self._silence_due)
        else:
            times += [self._scan_at, self._settle_at]
        return min([at for at in times if at is not None], default=None)

    @property
    def has_unread(self):
        """Whether `read` has something to read that came with what others have read."""
        return self.tree is not None and self.tree.fd is not None and self.tree.has_unread

    @property
    def is_silent(self):
        """Whether the root does not answer."""
        return self._silent_since is not None

    @property
    def _silence_due(self):
        """When it is asked whether the root still answers, as a scan does not."""
        return max(self._scan_aside.began, self._asked_at) + SCAN_PATIENCE

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
        if self.is_silent:
            self._fall_silent()
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
        self._opens = True
        if not self._answers(may_wait):
            return
        try:
            if self._may_hang and os.path.realpath(self.root) != self.root:  # that did not answer when the configuration was read
                raise OSError("there is a link on the way, which a hang-up (SIGHUP) follows")
            monitors = {sync.config.monitor for sync in self.syncs}
            tree, warning, trouble = choice.watch(self.root, self.mode, self.wants, self.polls, monitors, self._breathe)
        except OSError as error:
            words = "sync %s: cannot watch the source %s: %s" % (names, show(self.root), reason(error))
            if not may_wait:
                raise Fatal(words + " (insist = yes, or -insist, waits for it)") from None
            if not self._told:
                self._told = True
                self._log("Error", words + ": waiting for it")
            self._wait(error)
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

    def _wait(self, error=None):
        now = time.monotonic()
        self._retry_at = now + MISSING_RETRY
        is_missing = error is None or error.errno in (errno.ENOENT, errno.ENOTDIR)
        for sync in self.syncs:
            sync.lose_source(now, None if is_missing else "source %s: %s" % (show(sync.config.source), reason(error)))

    # ---- a root that does not answer ---------------------------------------------------------

    def _answers(self, may_wait):
        """Tell whether the root answers, be it with an error; raise Fatal if it does not and the program may not wait for it."""
        self._may_hang = filesystems.may_hang(self.root)
        try:
            if self._may_hang and self._identity(PATIENCE if may_wait else START_PATIENCE) is None:
                if not may_wait:
                    raise Fatal("sync %s: source %s does not answer (insist = yes, or -insist, waits for it)" % (
                        ", ".join(sync.config.name for sync in self.syncs), show(self.root)))
                return False
        except OSError:
            pass  # whoever wants to use it will tell that
        return True

    def is_there(self):
        """Tell whether the root is a directory, at a start that may not wait; raise Fatal if it does not answer."""
        return self._answers(False) and os.path.isdir(self.root)

    def _identity(self, patience=PATIENCE):
        """Return (st_dev, st_ino) of the root, None if that takes longer than so many seconds; raise OSError."""
        if not self._may_hang:
            self._speak()
            return _identity_of(os.stat(self.root))
        wait = 0.0 if self._root_aside.busy else patience  # nobody waits twice for one answer
        self._root_aside.ask(lambda: _look_at(self.root))
        if not self._root_aside.wait(wait):
            self._fall_silent()
            return None
        self._speak()
        return self._root_aside.take()

    def _fall_silent(self):
        """Let the syncs wait until the root answers."""
        now = time.monotonic()
        if not self.is_silent:
            self._silent_since, self._told_silent, self._has_news = now, False, True
        for sync in self.syncs:
            sync.lose_source(now, "source %s does not answer" % show(sync.config.source))

    def _speak(self):
        """Let the syncs go on, if the root did not answer."""
        if not self.is_silent:
            return
        self._silent_since, self._has_news, now = None, True, time.monotonic()
        if self._told_silent:
            self._log("Normal", "source %s answers again" % show(self.root))
        for sync in self.syncs if self.tree is not None else ():  # else they wait for it to be watched
            if self._told_silent and not sync.takes_events:  # events are for the next scan to find
                sync.want_full(now)
            sync.find_source()

    def _hear(self, now):
        """Take the answer of a root that was silent."""
        self.check()
        if self.tree is None and self._opens and self._retry_at is None:
            self._retry_at = now

    def _tell_silence(self, now):
        if self.is_silent and not self._told_silent and self._silent_since + HICCUP <= now:
            self._told_silent = True
            self._log("Error", "%s: source %s does not answer: waiting for it" % (
                ", ".join(sync.config.name for sync in self.syncs), show(self.root)))

    # ---- the end -----------------------------------------------------------------------------

    def stop(self):
        """Give all that is known to the syncs, closed or not, and give up the watches."""
        self._opens = False
        self.read()
        self.offer(self.last_look()[0])
        self.close()

    def last_look(self):
        """Return (what is known by now, closed or not, whether that is all there is to know)."""
        if self.tree is None:
            return [], True
        if not self._may_hang:
            return _last_steps(self.tree)
        self.check()
        tree, aside, steps = self.tree, self._scan_aside, []
        if tree is None or self.is_silent:
            return [], False
        if tree.fd is not None:
            return _last_steps(tree)
        if aside.busy:
            if not aside.wait(LAST_LOOK):
                return [], False
            steps = aside.take()[2][0]
        aside.ask(lambda: _last_steps(tree))
        if not aside.wait(LAST_LOOK + SCAN_PATIENCE):
            return steps, False
        found, complete = aside.take()
        return steps + found, complete

    def close(self):
        """Give up the watches."""
        self._retry_at = self._settle_at = self._scan_at = self._last = None
        if self.trouble is not None:
            self.trouble = None
            self._degrade()
        if self.tree is not None:
            if self.tree.fd is not None:
                self._loop.remove(self.tree.fd)
            if self.tree.fd is not None or not self._scan_aside.busy:  # else it is in the hands of a thread
                self.tree.close()
            self.tree = None
        self._scan_aside.forget()

    def check(self):
        """Give up the watches if the root is not the directory any more that is watched; take note of whether it answers."""
        if self.tree is None and not self._may_hang:
            return
        try:
            found = self._identity()
        except OSError:
            found = ()
        if found is not None and self.tree is not None and found != self.tree.identity:
            self._lose()

    def mounts_changed(self, come, gone):
        """Take note of mount points (absolute bytes) that show another file system, or none any more."""
        if any(below(self.root, path) is not None for path in [*come, *gone]):  # who does not answer may be another by now
            self._may_hang = filesystems.may_hang(self.root)
            self._root_aside.forget()
        if self.tree is None:
            if self._opens:
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
            self.overflows += 1
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
        if self._scan_aside.busy and self.tree.fd is None:
            return  # it is in the hands of a thread
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
        now, found, self._has_news = time.monotonic(), self._has_news, False
        if self._root_aside.answered:
            self._hear(now)
            found = True
        if self._scan_aside.answered:
            found = self._take_scan() or found
        elif self._scan_aside.busy and not self.is_silent and self._silence_due <= now:
            self._asked_at = now
            self.check()
            found = True
        self._tell_silence(now)
        if self.tree is None:
            if self._retry_at is not None and self._retry_at <= now:
                self._retry_at = None
                self.open(True)
            return True
        if self.is_silent:
            return found
        if self._settle_at is not None and self._settle_at <= now and not self._scan_aside.busy:
            self._settle_at = None
            found = self._settle() or found
        if self._scan_at is not None and self._scan_at <= now and not self._scan_aside.busy:
            found = self._scan(now) or found
        if self.tree is not None:
            self._look_after()
        return found or self.tree is None

    def look_now(self):
        """Take what the kernel tells, and begin to scan what is scanned; return what `has_looked` takes."""
        self.check()
        self.read()
        self._scan_wanted = self._scans + 1
        if self.tree is not None and self._scan_at is not None and self._scan_began is None:
            self._scan_at = time.monotonic()
        return self._scan_wanted

    def has_looked(self, number):
        """Tell whether all that had happened at a `look_now` was given to the syncs; files that are still being written were not."""
        if self.tree is None:  # in one pass, and at the end, nothing is looked at
            return not self._opens and not any(sync.absent for sync in self.syncs)
        return not self.is_silent and not self.has_unread and (
            self._scan_at is None and not self._scan_aside.busy or self._scans_ended >= number)

    @property
    def is_unsettled(self):
        """Whether there are files that were made and not closed."""
        return self.tree is not None and not (self._scan_aside.busy and self.tree.fd is None) and bool(self.tree.has_unclosed)

    def _settle(self):
        """Look at files that may be half written; tell whether some are not any more."""
        tree = self.tree
        if self._may_hang and tree.fd is None:
            self._scan_aside.ask(lambda: (tree, None, (tree.settle(time.time()), None)))
            return False
        steps = tree.settle(time.time())
        self.offer(steps)
        return bool(steps)

    def _scan(self, now):
        """Go on with a scan for a moment; tell whether it has found something, or ended for the first time."""
        if self._scan_began is None:
            self._scan_began = now
            self._scans += 1
        scanned, was_recorded = self._last or self.tree, self.tree.recorded
        if self._may_hang and scanned.fd is None:
            self._scan_at = None
            self._scan_aside.ask(lambda: (scanned, was_recorded, scanned.step(time.monotonic() + SLICE, time.monotonic)))
            return False
        return self._scanned(scanned, was_recorded, *scanned.step(now + SLICE, time.monotonic))

    def _take_scan(self):
        """Take what a thread has found, as `_scan`."""
        scanned, was_recorded, (steps, ended) = self._scan_aside.take()
        if ended is None:
            self.offer(steps)
        else:
            self._scanned(scanned, was_recorded, steps, ended)
        self._look_after()
        return bool(steps) or was_recorded is False

    def _scanned(self, scanned, was_recorded, steps, ended):
        """Act on what a piece of a scan has found; tell whether that is something, or the first time that one has ended."""
        self.offer(steps)
        if not ended:
            self._scan_at = time.monotonic()
            return bool(steps)
        end, began = time.monotonic(), self._scan_began
        self._scan_began, self._scans_ended = None, self._scans
        self._scan_at = max(began + self._interval, 2 * end - began)  # half of the time at most
        if scanned is self._last:  # it has told what changed before all was watched
            self.offer(scanned.settle(float("inf")))
            self._last = None
            self._scan_at = end if self.tree.scans else None
        elif scanned.fd is not None:
            self.read()  # what was doubtful when it was watched
        elif self.trouble is not None and not scanned.lost:
            self._watch_again()
        if self._scan_at is not None and self._scan_wanted > self._scans:  # somebody waits for it
            self._scan_at = end
        return bool(steps) or not was_recorded or scanned is not self.tree

    def _watch_again(self):
        """Watch what is scanned as there was no inotify instance, or not one watch, if there is by now."""
        try:
            tree = Tree(self.root, self.mode, self.wants, self._breathe)
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


def _last_steps(tree):
    """Return what Watched.last_look does, of a tree."""
    steps, ended = tree.read(), not tree.scans
    if tree.scans and tree.recorded:
        until = time.monotonic() + LAST_LOOK
        tree.close_scan()
        while not ended and time.monotonic() < until:
            found, ended = tree.step(until, time.monotonic)
            steps += found
    return steps + tree.settle(float("inf")), ended and not tree.overflowed


def _look_at(root):
    """Return (st_dev, st_ino) of a directory as who serves it says; raise OSError.

    A stat(2) may be answered from what the kernel remembers of it, an open(2) may not (nfs(5), "Close-to-open cache consistency").
    """
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return _identity_of(os.stat(root))
    try:
        return _identity_of(os.fstat(fd))
    finally:
        os.close(fd)


def _identity_of(facts):
    return facts.st_dev, facts.st_ino


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
