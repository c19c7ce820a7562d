"""The last hour of each sync, a point a minute: what was queued, late, sent and wrong. A ring, in memory only.

Told to look once a minute by whoever wakes then anyway; what happens in between, the
tally of a sync keeps as maxima. A sync costs 1 KiB.
"""

import struct

EVERY = 60    # seconds between two points
POINTS = 60

_POINT = struct.Struct("<IfQ?")  # most queued changes, longest lag (not a number: none), bytes sent, in trouble at its end
_NONE = float("nan")


class _Ring:
    """The points of one sync. marks: the last two (time, bytes sent until then)."""

    __slots__ = ("points", "marks")

    def __init__(self):
        self.points = bytearray()
        self.marks = ()


class History:
    """The points of all syncs."""

    def __init__(self):
        self._rings = {}  # Sync → _Ring

    def beat(self, syncs, now):
        """Add a point for each sync; of one that has just begun only note where it begins. Forget those that are no more."""
        self._rings = {sync: self._rings.get(sync) or _Ring() for sync in syncs}
        for sync, ring in self._rings.items():
            (queued, lag), sent = sync.tally.peaks(), sync.sent[0]
            if ring.marks:
                bad = sync.failed or sync.absent or sync.guarded is not None or sync.last_error is not None
                ring.points += _POINT.pack(min(max(queued, sync.pending), 0xffffffff), _NONE if lag is None else lag,
                                           max(0, sent - ring.marks[-1][1]), bad)
                del ring.points[:-_POINT.size * POINTS]
            ring.marks = (*ring.marks[-1:], (now, sent))

    def inherit(self, heir, sync):
        """Let a sync that has none go on with the points of one that is no more."""
        if sync in self._rings:
            self._rings.setdefault(heir, self._rings.pop(sync))

    def rate(self, sync, now):
        """Return the bytes a second that a sync has sent since the look before the last: in the last minute or two; None: not known."""
        ring = self._rings.get(sync)
        if ring is None or not ring.marks or now - ring.marks[0][0] < 1:
            return None
        at, sent = ring.marks[0]
        return max(0, sync.sent[0] - sent) / (now - at)

    def of(self, sync):
        """Return {"every": seconds between two, "points": [[most queued changes, longest lag or None, bytes, bad], …]}, the oldest first."""
        ring = self._rings.get(sync)
        return {"every": EVERY, "points": [[queued, None if lag != lag else round(lag, 3), sent, bad]
                                           for queued, lag, sent, bad in _POINT.iter_unpack(ring.points if ring else b"")]}
