"""What was seen in the directories below a place, and what is another since: changes without events.

Of a directory its names are kept in one bytes object, and two numbers a name in one
array: `content`, of what tells that a file holds something else, and `status`, of the rest.
A look goes from directory to directory, in as small pieces as its caller likes; nothing
is concluded from what cannot be read. Knows nothing of watches and timers.

Times of files are those of the file system, whose clock may be another host's. How far that is
ahead of ours is known from below only, from what was seen when: no file has a time that is still to come.
"""

import errno
import os
import stat
import time
from array import array

from lsyncd_lite.mirror.change import FRESH, PLACE, WHOLE
from lsyncd_lite.mirror.events import Kind, Seen
from lsyncd_lite.paths import join, show

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_LOST = _GONE | {errno.ESTALE, errno.ENOTCONN, errno.ENODEV}
_PIECE = 500  # names after which a look may rest

# `content`: the lowest bit tells that it may have changed since without another time
_EVEN, _RACY = (1 << 64) - 2, 1
# `status`: the lower half is of owner and mode, its lowest bit tells a directory
_HALF, _DIR = (1 << 32) - 1, 1

# Nanoseconds between two ticks of a file system's clock: where times are whole seconds, and elsewhere.
_COARSE, _FINE = 2000000000, 20000000
_REST = 5000000000  # nanoseconds after which a file is not being written any more
_SAME = 2.0         # seconds for which it has to look the same, where that is not known

_NOTHING = b"", array("Q")
_APPEARED, _READABLE = range(2)


class Scan:
    """What was seen below one place.

    wants(path): tells whether an absolute directory has to be looked into (None: all). To set:
    `tells_kinds` (Seen are told besides the changes), `tells_own` (so are changes of the place itself). To look at: `recorded` (everything was
    seen once; what was there at that time is not told), `identity` ((st_dev, st_ino) of the place),
    `lost` (it is no longer there, or another one), `denied` (list of (path, error) of the
    last look: directories that could not be read), `notes` ((category, words) for the log), `mounts`
    and `come` (relative paths on which another file system is, or has come: when it goes, what is to be seen then is not told).
    """

    def __init__(self, wants=None):
        self.wants = wants
        self.tells_kinds = False
        self.tells_own = True
        self.recorded = False
        self.identity = None
        self.lost = False
        self.denied = []
        self.notes = []
        self._directories = {}  # relative path (b"": the place itself) → (names, numbers)
        self._own = None        # what the place itself looked like
        self.mounts = set()     # relative paths on which another file system is
        self.come = set()       # those on which one has come since the last look
        self._young = {}        # relative path → [Kind, numbers, since when] of files that nobody was told of, as they may be half written
        self._ahead = None      # nanoseconds that the clock of the file system is ahead of ours, at least
        self._racy = []         # (relative directory, index in it, ctime, when it was seen) of files that may have changed since
        self._changed = {}
        self._seen = []

    def __len__(self):
        return len(self._directories)

    def take(self):
        """Return what was found since the last call: as `Tree.translate`."""
        steps = ([self._changed] if self._changed else []) + self._seen
        self._changed, self._seen = {}, []
        return steps

    # ---- a look ------------------------------------------------------------------------------

    def look(self, where):
        """Look at everything once: a generator that yields whenever it may rest.

        where(): the absolute path of the place at that time, None where it is not known.
        """
        self.denied, record = [], not self.recorded
        top = where()
        try:
            facts = None if top is None else os.lstat(top)
        except OSError:
            facts = None
        if facts is None or not stat.S_ISDIR(facts.st_mode) or self.identity not in (None, (facts.st_dev, facts.st_ino)):
            self.lost = True
            return
        self.identity, own = (facts.st_dev, facts.st_ino), _numbers(facts)
        if self.tells_own and self._own not in (None, own):
            self._note(top, b"", PLACE, True)
            if self._own[1] & _HALF != own[1] & _HALF:
                self._see(Kind.ATTRIB, top, True)
        self._own = own
        stack = [(b"", facts.st_dev, facts.st_ino, record)]
        try:
            while stack:
                inside, device, number, new = stack.pop()
                top = where()
                if top is None:
                    return
                if number is None:
                    self._appeared(top, inside, new)
                    continue
                yield from self._directory(top, inside, (device, number), new, stack)
                if self.lost:
                    return
                if len(self._racy) > _PIECE:
                    self._racy = [one for one in self._racy if one[2] >= one[3] + self._ahead - _grain(one[2])]
                yield
        finally:
            self._mark_racy()
        self.recorded = True

    def _appeared(self, top, inside, how):
        """Tell of a directory now that all in it was seen: what changes there later is told."""
        directory, _slash, name = inside.rpartition(b"/")
        if how == _APPEARED or inside in self._directories:
            self._note(join(top, directory), name, WHOLE | FRESH * (how == _READABLE), True)
            self._see(Kind.CREATE, join(top, inside), True)

    def _directory(self, top, inside, identity, new, stack):
        """Look at one directory, and push those in it; new: nothing is told of what is in it."""
        path = join(top, inside)
        try:
            fd = os.open(path, _OPEN)
        except OSError as error:
            self._cannot_read(path, inside, error)
            return
        try:
            facts = os.fstat(fd)
            if (facts.st_dev, facts.st_ino) != identity:  # replaced since: its parent tells that, the next time
                self.lost = not inside
                return
            names, contents, statuses, ctimes, below = [], [], [], [], []
            before = time.monotonic_ns()
            with os.scandir(fd) as listing:
                for entry in listing:
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    content, status = _numbers(found)
                    if status & _DIR:
                        below.append((len(names), found.st_dev, found.st_ino))
                    names.append(entry.name)
                    contents.append(content)
                    statuses.append(status)
                    ctimes.append(found.st_ctime_ns)
                    if len(names) % _PIECE == 0:
                        yield
        except OSError as error:
            self._cannot_read(path, inside, error)
            return
        finally:
            os.close(fd)
        names = list(map(os.fsencode, names))
        numbers, known = array("Q", contents + statuses), self._directories.get(inside)
        joined = b"/".join(names)
        fresh = bare = ()
        if known is None or known[1] != numbers or known[0] != joined:
            bare = self._unmounted(inside, facts.st_dev, names, below) if self.mounts else ()
            fresh = self._compare(path, inside, names, numbers, ctimes, before, new, bare)
            self._directories[inside] = joined, numbers
        for at, device, number in below:
            child = join(inside, names[at])
            if device != facts.st_dev or child in self.come:
                self.come.discard(child)
                self.mounts.add(child)
            if self.wants is not None and not self.wants(join(top, child)):
                continue
            appeared = child in fresh
            unread = appeared or child not in self._directories
            if unread and not new and child not in bare:
                stack.append((child, None, None, _APPEARED if appeared else _READABLE))
            stack.append((child, device, number, new or unread))

    def _cannot_read(self, path, inside, error):
        if not inside and error.errno in _LOST:
            self.lost = True
        elif error.errno not in _GONE:  # what is gone its parent tells of, the next time
            self.denied.append((path, error.strerror))

    def _unmounted(self, inside, device, names, below):
        """Return the relative paths in a directory on which there was another file system, and is none any more."""
        return {join(inside, names[at]) for at, found, _number in below if found == device}.intersection(self.mounts) - self.come

    def _known(self, inside):
        """Return ({name: its index}, numbers) of a directory."""
        joined, numbers = self._directories.get(inside, _NOTHING)
        return {name: at for at, name in enumerate(joined.split(b"/"))} if joined else {}, numbers

    def _compare(self, path, inside, names, numbers, ctimes, before, new, bare):
        """Tell what is another in a directory; return the relative paths of the directories that are new.

        before: when it was looked at; bare: directories that show what lay beneath another file system.
        """
        old, was = self._known(inside)
        width, count = len(old), len(names)
        young, fresh, changed, after = self.tells_kinds and not new, set(), [], time.monotonic_ns()
        for at, name in enumerate(names):
            content, status = numbers[at], numbers[count + at]
            index = old.pop(name, None)
            if index is None:
                changed.append((at, name, None, 0))
            elif was[index] != content or was[width + index] != status:
                changed.append((at, name, was[index], was[width + index]))
        for name, index in old.items():
            self._gone(path, join(inside, name), name, bool(was[width + index] & _DIR), new)
        ahead = self._ahead
        for at, name, content, status in changed:
            child, is_dir, was_dir = join(inside, name), bool(numbers[count + at] & _DIR), bool(status & _DIR)
            surely_old, ctime = False, ctimes[at]
            if not is_dir:
                surely_old = ahead is not None and ctime < before + ahead - _REST
                if ahead is None or ctime >= before + ahead - _grain(ctime):
                    self._racy.append((inside, at, ctime, before))
                ahead = ctime - after if ahead is None else max(ahead, ctime - after)
            if is_dir and (content is None or not was_dir or content != numbers[at]):
                fresh.add(child)
                if child in bare and was_dir:
                    self._forget(child)
                    self.notes.append(("Warn", unmounted(join(path, name))))
                elif content is not None:  # another one, or a file before
                    self._gone(path, child, name, was_dir, new)
                    if not new:
                        self._note(path, name, WHOLE | FRESH, True)
                continue
            if new:
                continue
            if is_dir:
                self._note(path, name, PLACE, True)
                if (status ^ numbers[count + at]) & _HALF:
                    self._see(Kind.ATTRIB, join(path, name), True)
                continue
            if was_dir:
                self._forget(child)
                self._see(Kind.DELETE, join(path, name), True)
            now = numbers[at] & _EVEN
            same = content is not None and content & _EVEN == now and not was_dir
            only_attributes = same and bool((status ^ numbers[count + at]) & _HALF)
            self._note(path, name, PLACE if only_attributes and not content & _RACY else FRESH, None if was_dir else False)
            if young and not (same and status == numbers[count + at]):  # else that was told of already
                kind = Kind.CREATE if content is None or was_dir else Kind.ATTRIB if only_attributes else Kind.MODIFY
                self._happened(kind, path, child, name, (now, numbers[count + at]), surely_old)
        self._ahead = ahead
        return fresh

    def _mark_racy(self):
        """Let the next look tell again of files that may have changed after they were seen, within one tick of their clock."""
        racy, self._racy = self._racy, []
        for inside, at, ctime, before in racy:
            if ctime >= before + self._ahead - _grain(ctime) and inside in self._directories:
                self._directories[inside][1][at] |= _RACY

    def _gone(self, path, child, name, was_dir, new):
        if was_dir:
            self._forget(child)
        untold = self._young.pop(child, None)
        if not new:
            self._note(path, name, PLACE, was_dir)
            if untold is None or untold[0] is not Kind.CREATE:
                self._see(Kind.DELETE, join(path, name), was_dir)

    def _forget(self, inside):
        """Forget a directory and what is below it."""
        stack = [inside]
        while stack:
            directory = stack.pop()
            names, numbers = self._known(directory)
            self._directories.pop(directory, None)
            self.mounts.discard(directory)
            for name, at in names.items():
                if numbers[len(names) + at] & _DIR:
                    stack.append(join(directory, name))
                elif self._young:
                    self._young.pop(join(directory, name), None)

    # ---- files that may be half written ------------------------------------------------------

    def _happened(self, kind, path, child, name, numbers, surely_old):
        """Tell what has happened to a file when that rests."""
        untold = self._young.get(child)
        if untold is not None:
            kind = untold[0] if untold[0] is Kind.CREATE or kind is Kind.ATTRIB else kind
        if surely_old or kind is Kind.ATTRIB:
            self._young.pop(child, None)
            self._see(kind, join(path, name), False)
        elif untold is None or untold[1] != numbers:
            self._young[child] = [kind, numbers, time.monotonic()]

    @property
    def has_unclosed(self):
        """Whether `settle` has something to look at."""
        return bool(self._young)

    def settle(self, top, at_once=False):
        """Tell of the files that look the same for some seconds; at_once: of all that are there."""
        now = time.monotonic()
        for child, (kind, numbers, since) in list(self._young.items()):
            path = join(top, child)
            try:
                found = _numbers(os.lstat(path))
            except OSError:
                continue  # gone: the next look tells that
            directory, _slash, name = child.rpartition(b"/")
            if found[1] & _DIR:
                continue  # so it does that
            if found != numbers:
                self._young[child] = [kind, found, now]
                if not at_once:
                    continue
            elif not at_once and now - since < _SAME:
                continue
            del self._young[child]
            names, known = self._known(directory)
            if name in names:  # so that it is not told again
                known[names[name]], known[len(names) + names[name]] = found
            self._note(join(top, directory), name, FRESH, False)
            self._see(kind, path, False)

    # ---- what is told ------------------------------------------------------------------------

    def _note(self, directory, name, marks, is_dir):
        names = self._changed.setdefault(directory, {})
        old = names.get(name)
        names[name] = (marks, is_dir) if old is None else (marks | old[0], is_dir if old[1] is is_dir else None)

    def _see(self, kind, path, is_dir):
        if self.tells_kinds:
            self._seen.append(Seen(kind, path, is_dir))


def denied(found):
    """Return the words for a list of (path, error) of directories that cannot be read or watched."""
    path, error = found[0]
    more = " (and %d more director%s)" % (len(found) - 1, "y" if len(found) == 2 else "ies") if len(found) > 1 else ""
    return "%s: %s%s" % (show(path), error, more)


def unmounted(path):
    """Return the words for a directory below a root from which a file system has gone."""
    return ("%s was unmounted: what targets have of it is kept until it is mounted again, or the daemon starts anew" % show(path))


def _grain(ctime):
    """Return the nanoseconds in which a file can change again without another time."""
    return _FINE if ctime % 1000000000 else _COARSE


def _numbers(facts):
    """Return (content, status) of an os.stat_result."""
    mode = facts.st_mode
    if stat.S_ISDIR(mode):
        content = hash((facts.st_dev, facts.st_ino, 1)) & _EVEN
        low = hash((mode, facts.st_uid, facts.st_gid)) & _HALF | _DIR
        return content, (hash((facts.st_mtime_ns, 0)) & _HALF) << 32 | low
    content = hash((facts.st_mtime_ns, facts.st_size, facts.st_ino, facts.st_dev, mode >> 12)) & _EVEN
    low = hash((mode, facts.st_uid, facts.st_gid, facts.st_nlink, facts.st_rdev)) & (_HALF - _DIR)
    return content, (hash((facts.st_ctime_ns, 0)) & _HALF) << 32 | low
