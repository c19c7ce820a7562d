"""A root that is watched by scans alone, as nothing tells what changes there; as a Tree to who asks.

A rename is a deletion and a creation here.
"""

import os
import stat

from lsyncd_lite.paths import below
from lsyncd_lite.watch.scan import Scan, denied


class Polled:
    """The scans of one root; attributes as those of Tree."""

    fd = None
    overflowed = False
    unwatched = 0
    watched = 0
    tells_moves = False
    scans = True

    def __init__(self, root, wants=None):
        """Raise OSError if the root is no directory that can be looked at."""
        facts = os.lstat(root)
        if not stat.S_ISDIR(facts.st_mode):
            raise NotADirectoryError(20, os.strerror(20))
        self.root = root
        self.identity = facts.st_dev, facts.st_ino
        self.notes = []
        self._denied = None  # what was told of directories that cannot be read
        self._scan = Scan(wants)
        self._scan.identity = self.identity
        self._look = None

    def __len__(self):
        return len(self._scan)

    polled = property(__len__)

    @property
    def wants(self):
        """Which directories are looked into."""
        return self._scan.wants

    @wants.setter
    def wants(self, wants):
        self._scan.wants = wants

    @property
    def tells_kinds(self):
        """Whether Seen are told."""
        return self._scan.tells_kinds

    @tells_kinds.setter
    def tells_kinds(self, tells):
        self._scan.tells_kinds = tells

    @property
    def lost(self):
        """Whether the root is no longer there, or another one."""
        return self._scan.lost

    @property
    def recorded(self):
        """Whether everything was seen once."""
        return self._scan.recorded

    @property
    def hurries(self):
        """Whether something was not seen once yet."""
        return not self._scan.recorded

    def close(self):
        """Nothing is open between two scans."""
        self.close_scan()

    def close_scan(self):
        """Give up a scan that is under way; the next begins anew."""
        if self._look is not None:
            self._look.close()
            self._look = None

    def read(self):
        """Return [], as nothing tells of changes."""
        return []

    def step(self, until, now):
        """Go on with the scan until a time of the clock `now`; return (what has changed, whether it has come to its end)."""
        if self._look is None:
            self._look = self._scan.look(lambda: self.root)
        ended = True
        for _piece in self._look:
            if now() >= until:
                ended = False
                break
        if ended:
            self._look = None
            self._tell_denied()
        self.notes += self._scan.notes
        self._scan.notes.clear()
        return self._scan.take(), ended

    def _tell_denied(self):
        """Tell of the directories that cannot be read when they are not those of the last time."""
        found = self._scan.denied
        told = (found[0], len(found)) if found else None
        if told is not None and told != self._denied:
            self.notes.append(("Error", "cannot read " + denied(found) + ": what is there counts as unchanged"))
        self._denied = told

    @property
    def has_unclosed(self):
        """Whether `settle` has something to look at."""
        return self._scan.has_unclosed

    def settle(self, wall):
        """Return the changes of files that rest by now; wall: infinity for all of them."""
        self._scan.settle(self.root, wall == float("inf"))
        return self._scan.take()

    def know_mounts(self, paths):
        """Take note of absolute paths on which another file system is."""
        self._scan.mounts.update(inside for inside in (below(path, self.root) for path in paths) if inside)

    def remount(self, path, gone):
        """Take note that a file system has come to, or gone from, an absolute path below the root: the next scan tells."""
        inside = below(path, self.root)
        if gone:
            self._scan.come.discard(inside)
        else:
            self._scan.come.add(inside)
        return []
