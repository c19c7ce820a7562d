"""When the next full sync of a running pair is due: every so often, and at times of the wall clock.

Told the time on two clocks: `now`, which never jumps, and `wall`, seconds since the
epoch, which may. A little later than said, so that many hosts do not strike at once.
"""

SPREAD = 0.1           # of the time to the next full sync
SPREAD_LONGEST = 60.0  # seconds


class Schedule:
    """The full syncs of a SyncConfig; jitter() returns a number from 0 to 1."""

    def __init__(self, config, now, wall, jitter):
        self._interval = config.fullSyncInterval
        self._patterns = config.crontab
        self._longest = config.fullSyncJitter
        self._jitter = jitter
        self._interval_at = None if self._interval is None else self._late(now, self._interval)
        self._plan(wall)

    def _late(self, start, seconds):
        longest = min(SPREAD * seconds, SPREAD_LONGEST) if self._longest is None else self._longest
        return start + seconds + longest * self._jitter()

    def _plan(self, wall):
        """Choose the next time on the wall clock."""
        self._planned = wall
        self._wall_at = None
        if self._patterns:
            self._wall_at = self._late(wall, min(pattern.next_after(wall) for pattern in self._patterns) - wall)

    def next_due(self, now, wall):
        """Return when the next one is due, on the clock of `now`; None: never."""
        if self._wall_at is None:
            return self._interval_at
        if wall < self._planned:  # that clock was set back
            self._plan(wall)
        at = now + self._wall_at - wall
        return at if self._interval_at is None else min(at, self._interval_at)

    def strikes(self, now, wall):
        """Tell whether one is due, and plan the next."""
        due = self.next_due(now, wall)
        if due is None or due > now:
            return False
        if self._interval_at is not None:  # whichever it is, all is compared
            self._interval_at = self._late(now, self._interval)
        self._plan(wall)
        return True
