"""The renames that wait to be done on a target: a list of relative Moves, in order.

Knows where those begin and end that are not known to be done, also while they run, and
what is to be made equal instead where one could not be done. Knows nothing of targets.
"""

from lsyncd_lite.mirror.change import FRESH, WHOLE
from lsyncd_lite.mirror.queue import Queue

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
        for move, was in zip(job.moves, done):
            undone.graft(move.origin, move.place)
            if was is not True and job.done is not None:
                undone.put_back([(path, WHOLE | FRESH) for path in move[:2]], job.since)
        for move in self:
            undone.graft(move.origin, move.place)
        self.put_back([move for move, was in zip(job.moves, done) if was is None], job.since)
        self._ends.clear()
        for move in self:
            self._note(move)
        return undone.entries()


def _unbounded():
    return Queue(bound=float("inf"))
