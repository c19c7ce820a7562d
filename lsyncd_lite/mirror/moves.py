"""The renames that wait to be done on a target: a list of relative Moves, in order.

Knows where those begin and end that are not known to be done, also while they run, and
what is to be made equal instead where one could not be done. Knows nothing of targets.
"""

from collections import namedtuple

from lsyncd_lite.mirror.change import FRESH, PLACE, WHOLE
from lsyncd_lite.mirror.queue import Queue
from lsyncd_lite.paths import split

# A rename, from origin to place: bytes paths, absolute (what the watch tells) or relative (what a sync keeps).
Move = namedtuple("Move", "origin place is_dir")

MOVES_KEPT = 10000  # what comes when so many wait is transferred


class Moves(list):
    """The Moves that wait; `since` (seconds, None when empty) is when the oldest was told."""

    def __init__(self):
        super().__init__()
        self.since = None
        self._ends = _unbounded()

    def add(self, move, now):
        """Let a Move wait."""
        self.append(move)
        self.since = now if self.since is None else self.since
        self._note(move)

    def _note(self, move):
        for path in move[:2]:
            self._ends.add(path, WHOLE, 0)

    def touches(self, path):
        """Tell whether a Move that is not known to be done begins or ends at, below or above a path."""
        return self._ends.related(path)

    def places(self):
        """Return the (path, marks) that make all of them needless."""
        return [(path, WHOLE | FRESH) for path, _marks in self._ends.entries()]

    def forget(self):
        """Forget what waits."""
        self.clear()
        self.since = None
        self._ends.clear()

    def take(self, job):
        """Take out what a Job does, the first ones; it gets their age."""
        del self[:len(job.moves)]
        job.since = self.since
        if not self:
            self.since = None

    def put_back(self, moves, since):
        """Let Moves that were taken out wait again, before all others."""
        if moves:
            self[:0] = moves
            self.since = since

    def judge(self, job):
        """Take note of which Moves of a Job that ended are done; return the (path, marks) that are not equal for it.

        Where one has failed, both ends are places like others, and go where later Moves
        take them. What may have been done is tried again all the same, and compared by content.
        """
        undone = _unbounded()
        done = job.done or [None] * len(job.moves)
        for move, was in [*zip(job.moves, done), *((move, True) for move in self)]:
            above = undone.covering(move.origin)
            undone.graft(move.origin, move.place)
            doubtful = [move.place] if above is not None and above & WHOLE else []
            if was is not True and job.done is not None:
                doubtful = move[:2]
            undone.put_back([(path, WHOLE | FRESH) for path in doubtful], job.since)
        self.put_back([move for move, was in zip(job.moves, done) if was is None], job.since)
        self._ends.clear()
        for move in self:
            self._note(move)
        return undone.entries()


def changed_directories(moves, source):
    """Return [(directory, its lstat or None)] of where Moves take something out or in, by their names after all of them.

    Their times change on the target when that is done there. Without an lstat one has
    moved on, which is still to be told.
    """
    changed, left = _unbounded(), _unbounded()
    for move in moves:
        if move.is_dir:
            changed.graft(move.origin, move.place)
            left.add(move.origin, WHOLE, 0)
        for path in move[:2]:
            changed.add(split(path)[0], PLACE, 0)
    found = [(path, source.lstat(path)) for path, _marks in changed.entries()]
    return [(path, facts) for path, facts in found if facts is not None or left.covering(path) is None]


def _unbounded():
    return Queue(bound=float("inf"))
