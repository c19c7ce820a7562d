"""The directories below a watched root that there are no watches for: scanned, as nothing tells what changes there.

Only the topmost are known here, as the tree knows what it watches: (wd of the parent, name).
So they follow when something above them is renamed.
"""

from lsyncd_lite.mirror.change import FRESH, WHOLE
from lsyncd_lite.mirror.events import Kind, Seen
from lsyncd_lite.paths import below, join, split
from lsyncd_lite.watch.scan import Scan


class Top:
    """One. key: (wd, name); count: directories in it; tells: it is told as a whole once it was seen; watched: by now."""

    __slots__ = ("key", "scan", "count", "tells", "watched")

    def __init__(self, key, scan, count, tells):
        self.key = key
        self.scan = scan
        self.count = count
        self.tells = tells
        self.watched = False


class Tops:
    """All of a tree; path(wd): the absolute path of a watched directory, or None."""

    def __init__(self, path):
        self._path = path
        self._tops = {}
        self.mounts = set()  # all mount points
        self._round = None
        self._steps = []
        self.hurries = False  # there is one that was not scanned yet
        self.denied = []  # of the last round: (path, error)
        self.notes = []

    def __len__(self):
        return len(self._tops)

    def __contains__(self, key):
        return key in self._tops

    def __iter__(self):
        return iter(list(self._tops.values()))

    @property
    def count(self):
        """The number of directories that are not watched."""
        return sum(top.count for top in self._tops.values() if not top.watched)

    @property
    def polled(self):
        """The number of directories that were scanned."""
        return sum(len(top.scan) for top in self._tops.values())

    @property
    def recorded(self):
        """Whether all that is told of nowhere else was seen once."""
        return all(top.scan.recorded or top.tells for top in self._tops.values())

    def of(self, wd):
        """Return the names of those in a watched directory."""
        return {name for parent, name in self._tops if parent == wd}

    def add(self, key, wants, count, tells):
        """Take in a directory that could not be watched."""
        top = self._tops[key] = Top(key, Scan(wants), count, tells)
        top.scan.tells_own = False  # its parent's watch does
        self.hurries = True

    def put(self, key, top):
        """Take in one that was somewhere else before."""
        top.key = key
        self._tops[key] = top

    def pop(self, key):
        """Forget one, and return its Top (None: it was not known)."""
        return self._tops.pop(key, None)

    def clear(self):
        """Forget all."""
        self._tops.clear()

    def tell_all(self):
        """Let those that were not seen yet be told as a whole when they are."""
        for top in self._tops.values():
            top.tells = top.tells or not top.scan.recorded

    def get(self, key):
        """Return a Top, or None."""
        return self._tops.get(key)

    def _inside(self, top, paths):
        """Return the set of those absolute paths that are below a Top, relative to it."""
        path = self.where(top)
        return set() if path is None else {below(one, path) for one in paths} - {None, b""}

    def remount(self, path, gone):
        """Take note that a file system has come to, or gone from, an absolute path."""
        (self.mounts.discard if gone else self.mounts.add)(path)
        for top in self:
            (top.scan.come.difference_update if gone else top.scan.come.update)(self._inside(top, [path]))

    def where(self, top):
        """Return the absolute path of a Top, None where it is not known."""
        if self._tops.get(top.key) is not top:
            return None
        parent = self._path(top.key[0])
        return None if parent is None else join(parent, top.key[1])

    # ---- scans -------------------------------------------------------------------------------

    @property
    def is_scanning(self):
        """Whether a round is under way."""
        return self._round is not None

    def step(self, until, now, tells_kinds):
        """Go on with the round until a time of the clock `now`; return (what has changed, whether it has come to its end)."""
        if self._round is None:
            self.denied = []
            self._round = self._scan(tells_kinds)
        ended = True
        for _piece in self._round:
            if now() >= until:
                ended = False
                break
        if ended:
            self._round = None
        for top in self._tops.values():
            self._steps += top.scan.take()
        steps, self._steps = self._steps, []
        return steps, ended

    def _scan(self, tells_kinds):
        self.hurries = False
        for top in self:
            if self.where(top) is None:
                if self._tops.get(top.key) is top and self._path(top.key[0]) is None:
                    del self._tops[top.key]  # it has left with what it was in
                continue
            scan = top.scan
            scan.tells_kinds, was_recorded = tells_kinds, scan.recorded
            if not was_recorded:
                scan.mounts |= self._inside(top, self.mounts)
            yield from scan.look(lambda top=top: self.where(top))
            self._steps += scan.take()
            self.denied += scan.denied
            self.notes += scan.notes
            scan.notes.clear()
            if scan.lost or not scan.recorded:  # its parent's watch tells where it is, if anywhere
                scan.lost, top.tells = False, top.tells or not scan.recorded
                continue
            top.count = max(len(scan), 1)
            path = self.where(top)
            if scan.recorded and not was_recorded and top.tells and path is not None:
                directory, name = split(path)
                self._steps.append({directory: {name: (WHOLE | FRESH, True)}})
                if tells_kinds:
                    self._steps.append(Seen(Kind.CREATE, path, True))
                top.tells = False
            if top.watched and self._tops.get(top.key) is top:
                if path is not None:
                    scan.settle(path, True)
                    self._steps += scan.take()
                del self._tops[top.key]

    def close(self):
        """Give up a round that is under way."""
        if self._round is not None:
            self._round.close()
            self._round = None

    @property
    def has_unclosed(self):
        """Whether `settle` has something to look at."""
        return any(top.scan.has_unclosed for top in self._tops.values())

    def settle(self, at_once):
        """Return what is known of files that rest by now; at_once: of all."""
        steps = []
        for top in self:
            path = self.where(top)
            if path is not None:
                top.scan.settle(path, at_once)
                steps += top.scan.take()
        return steps
