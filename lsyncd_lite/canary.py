"""Canaries: a file in a source that is touched on a timer, and how long it takes to arrive.

The touch is noticed, queued and sent as any change is: that is what is tried. It has arrived
when a job that began after it, and that was about the file or all that is above it, has succeeded. What
has not arrived gets older, whatever the reason: a target that is down, a job that hangs, an event that
was lost. It is touched again meanwhile, so that one lost event is not the end of it.

Whoever may write to the source must gain nothing by it: no link is followed, nothing is written to what is
no plain file with one name, nor over what somebody else has written. No directory is made, and no file in an empty
source, which may be a mount point: with a file in it, it would pass for a source, and its target would be
emptied. A thread does it (see aside.py): a file system may be frozen.
"""

import errno
import os
import re
import stat
import time

from lsyncd_lite.aside import Aside
from lsyncd_lite.errors import ConfigError, reason
from lsyncd_lite.mirror.change import WHOLE
from lsyncd_lite.mirror.filters import Filter
from lsyncd_lite.paths import below, is_in, join, show, split, to_bytes

SLOW = 1.0    # seconds that a write takes on a file system that is stuck, not only busy
GRACE = 60.0  # seconds that a job may take before what it sends counts as late

_OURS = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n)?")
_TEXT = "%Y-%m-%dT%H:%M:%SZ\n"


def check(config):
    """Raise ConfigError for canaries of a Config that would never arrive."""
    lines = []
    for sync in [sync for sync in config.syncs if sync.canary is not None]:
        rule = Filter(sync.rules + sync.extra_rules).deciding(to_bytes(sync.canary), False)
        if sync.mode == "script":
            lines.append("sync %s: canary: mode script is told of changes, and mirrors what it likes; allowed: modes rsync, rsyncssh, direct"
                         % show(sync.name))
        elif rule[0]:
            lines.append("sync %s: canary: %s is excluded by %s %s (%s)" % (
                show(sync.name), show(sync.canary), rule[1].sign, show(rule[1].pattern), rule[1].where))
    if lines:
        raise ConfigError(lines, config.warnings)


class Arrival:
    """What is known of the canary of one sync; all times are of `time.monotonic`."""

    def __init__(self, config):
        self._file = to_bytes(config.canary)
        self._limit = config.delay + config.scanInterval + 2 * config.canaryInterval + GRACE
        self._since = self._last = None  # the first touch that has not arrived, and the last of all
        self._job = float("-inf"), 0.0   # the last that could bring it: when it began, and ended
        self._lag = None                 # of the last that has arrived
        self.trouble = None              # why it cannot be touched, in words

    def follow(self, other):
        """Know what another Arrival of the same file and target knows."""
        self._since, self._last, self._job, self._lag = other._since, other._last, other._job, other._lag

    def touched(self, at):
        """Take note of a touch."""
        self._since, self._last = at if self._since is None else self._since, at
        self._judge()

    def sent(self, entries, began, now):
        """Take note of a job that has succeeded and its (path, marks) entries."""
        if any(path == self._file or marks & WHOLE and (not path or is_in(self._file, [path])) for path, marks in entries):
            self._job = began, now
            self._judge()

    def _judge(self):
        began, ended = self._job
        if self._since is not None and began >= self._since:
            self._lag = max(0.0, ended - self._since)
            self._since = None if began >= self._last else began  # the next touch was not earlier than that

    def facts(self, now):
        """Return what a snapshot says of it (dict)."""
        age = None if self._since is None else max(0.0, now - self._since)
        return {"file": show(self._file), "age": age, "lag": self._lag, "late": age is not None and age > self._limit,
                "trouble": self.trouble}


class _Place:
    """A file that is touched for one sync or several."""

    def __init__(self, root, file, wake):
        self.root, self.file = root, file
        self.syncs = []
        self.due = 0.0
        self.aside = Aside(wake)
        self.trouble = None

    @property
    def interval(self):
        return min(sync.config.canaryInterval for sync in self.syncs)

    @property
    def path(self):
        return show(join(self.root, self.file))


class Canaries:
    """All of them. due: when `turn` has something to do, None: never."""

    def __init__(self, wake, log):
        """wake(): ends the wait of the loop, from any thread; log: a Log."""
        self._wake = wake
        self._log = log
        self._places = {}

    @property
    def due(self):
        return min((place.due for place in self._places.values()), default=None)

    def use(self, syncs):
        """Serve these Syncs from now on; what goes on, goes on."""
        known = {(place.root, place.file, sync.config.target): sync.canary for place in self._places.values() for sync in place.syncs}
        old, self._places = self._places, {}
        for sync in syncs:
            config = sync.config
            if config.canary is None:
                sync.canary = None
                continue
            key = config.source, to_bytes(config.canary)
            before, sync.canary = known.get((*key, config.target)), Arrival(config)
            if before is not None:
                sync.canary.follow(before)
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = old.get(key) or _Place(*key, self._wake)
                place.syncs = []
            place.syncs.append(sync)
            place.due = min(place.due, time.monotonic() + place.interval)
            sync.canary.trouble = place.trouble

    def sent(self, sync, entries, began, now):
        """As `Arrival.sent`, of any Sync; tell whether the job was about canaries alone, also those of others with its source."""
        if sync.canary is not None:
            sync.canary.sent(entries, began, now)
        files = {place.file for place in self._places.values() if place.root == sync.config.source}
        return bool(entries) and all(path in files for path, _marks in entries)

    def stop(self):
        """Touch nothing any more."""
        self._places.clear()

    def turn(self, trees, now):
        """Touch what is due; tell whether there is anything new. trees: all Watched."""
        news = False
        for place in self._places.values():
            if place.aside.answered:
                self._take(place)
                news = True
            if place.due > now:
                continue
            place.due = now + place.interval
            if place.aside.busy:
                self._say(place, "cannot touch %s: its file system does not answer" % place.path)
                news = True
                continue
            identity = next((_identity(watched, place) for watched in trees if place.syncs[0] in watched.syncs), None)
            if identity is not None:
                markers = {sync.config.requireMarker for sync in place.syncs}
                self._ask(place, identity, [] if None in markers else [to_bytes(marker) for marker in markers])
        return news

    @staticmethod
    def _ask(place, identity, markers):
        may_be_empty = all(sync.config.allowEmptySource for sync in place.syncs)
        place.aside.ask(lambda: touch(place.root, place.file, identity, markers, may_be_empty))

    def _take(self, place):
        """Take what has become of a touch."""
        try:
            at = place.aside.take()
        except OSError as error:
            self._say(place, "cannot touch %s: %s" % (place.path, reason(error)))
            return
        if at is None:  # there is no source now
            return
        for sync in place.syncs:
            sync.canary.touched(at)
        self._say(place, None)

    def _say(self, place, words):
        names = ", ".join(sorted(sync.config.name for sync in place.syncs))
        if words is not None and place.trouble is None:
            self._log("Error", "%s: canary: %s; tried again every %g s" % (names, words, place.interval))
        elif words is None and place.trouble is not None:
            self._log("Normal", "%s: canary: %s is touched again" % (names, place.path))
        place.trouble = words
        for sync in place.syncs:
            sync.canary.trouble = words


def _identity(watched, place):
    """Return (st_dev, st_ino) of the watched root, and whether that is the source; None where nothing may be written now."""
    sync = place.syncs[0]
    if watched.tree is None or watched.is_silent or is_in(place.file, sync.gone):
        return None
    return watched.tree.identity if watched.root == sync.config.source else ()


def touch(root, file, identity, markers, may_be_empty):
    """Write the time into a file (relative bytes) below a root, and return when (`time.monotonic`); None where that is not the source.

    identity: (st_dev, st_ino) that the root must have, (): any; markers: relative files one of which must be there, if any are given.
    Raises OSError, without a number where the words are ours.
    """
    try:
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        facts = os.fstat(top)
        if identity and identity != (facts.st_dev, facts.st_ino) or markers and not any(_is_there(marker, top) for marker in markers):
            return None
        directory, name = split(file)
        held = _directory(directory, top)
        try:
            return _write(name, held, lambda: may_be_empty or not _is_empty(top))
        finally:
            os.close(held)
    finally:
        os.close(top)


def _is_there(marker, top):
    try:
        os.lstat(marker, dir_fd=top)
    except OSError:
        return False
    return True


def _is_empty(directory):
    with os.scandir(directory) as found:
        return next(found, None) is None


def _directory(path, top):
    """Return a descriptor of a relative directory to which no link leads."""
    fd = os.dup(top)
    for name in path.split(b"/") if path else ():
        above = fd
        try:
            fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        finally:
            os.close(above)
    return fd


def _write(name, directory, may_make):
    """Write the time into a name in a directory; see `touch`."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        kind = os.lstat(name, dir_fd=directory)
        if not stat.S_ISREG(kind.st_mode) or kind.st_nlink != 1:
            raise OSError("it is no plain file with one name")
    except FileNotFoundError:
        if not may_make():
            raise OSError("it is missing, and the source is empty, as the mount point of a missing file system is") from None
        flags |= os.O_CREAT | os.O_EXCL
    fd = os.open(name, flags, 0o644, dir_fd=directory)
    try:
        kind = os.fstat(fd)
        if not stat.S_ISREG(kind.st_mode) or kind.st_nlink != 1:  # another by now
            raise OSError("it is no plain file with one name")
        if kind.st_size > len(_TEXT) + 8 or not _OURS.fullmatch(os.pread(fd, 64, 0)):
            raise OSError("it holds something that is not ours; remove it, or name another file")
        text = time.strftime(_TEXT, time.gmtime()).encode()
        before = time.monotonic()
        written = os.pwrite(fd, text, 0)
        after = time.monotonic()
        if written != len(text):
            os.ftruncate(fd, 0)  # or the next time it would not be ours
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # A job may begin before the next line: what it sends is this. Only while a file system is stuck it may be something older.
        return before if after - before < SLOW else after
    finally:
        os.close(fd)
