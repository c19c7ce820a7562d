"""What syncs leave from one run to the next: brought back at the start, kept while it runs, left at the end.

Knows when that is to be done, not what is in it (see system/state.py), and stops nobody
when it cannot be done.
"""

import time

from lsyncd_lite.errors import changes, reason

OFTEN = 10.0  # seconds between two looks at events that only we know of
SHARE = 50    # times as long as keeping them takes, at least


class Keeper:
    """Keeps what syncs leave in a State (`state`; None: nothing is kept). log: a Log."""

    def __init__(self, state, log):
        self.state = state
        self._log = log
        self._kept = {}        # Sync → the records that were kept last
        self._broken = False   # and that was told
        self.due = None        # when `keep` has something to do

    def use(self, state):
        """Keep it in another State from now on; what stands in the old one counts as not ended."""
        if state is not self.state:
            self.state = state
            self._kept.clear()

    def begin(self, sync, now):
        """Bring back what an earlier run of a pair has left."""
        if self.state is None:
            return
        try:
            left = self.state.load(sync.config)
        except OSError as error:
            self._log("Error", "%s: cannot read what the last run has left: %s" % (sync.config.name, reason(error)))
            left = [], False
        if left is not None:
            records, complete = left
            if not complete:
                self._log("Warn", "%s: the last run was not ended properly: %s" % (
                    sync.config.name, "everything is looked at" if sync.begins_again else "changes may be lost"))
            elif records:
                self._log("Normal", "%s: the last run has left %s" % (sync.config.name, changes(len(records))))
            sync.restore(records, complete, now)

    def note(self, sync):
        """Note that a sync runs: from now on it counts as not ended."""
        if self.state is not None:
            self._save(sync, False)

    def forget(self, sync):
        """Keep nothing any more of a sync that the configuration has no more."""
        self._kept.pop(sync, None)
        if self.state is not None:
            self.state.forget(sync.config)

    def keep(self, syncs, now):
        """Keep what would be lost with us, if that is due: events, which nobody can find by looking."""
        events = [sync for sync in syncs if sync.takes_events and self.state is not None]
        waiting = [sync for sync in events if sync.pending or sync.in_flight or self._kept.get(sync)]
        if not waiting:
            self.due = None
        elif self.due is None:
            self.due = now + OFTEN
        elif self.due <= now:
            for sync in waiting:
                self._save(sync, False)
            self.due = now + OFTEN + SHARE * (time.monotonic() - now)

    def rescue(self, syncs):
        """Keep the events that only we know of, as the program ends although not everything was tried."""
        for sync in [sync for sync in syncs if sync.takes_events and self.state is not None]:
            self._save(sync, False)

    def end(self, syncs):
        """Keep what could not be done."""
        for sync in syncs if self.state is not None else ():
            self._save(sync, True)

    def _save(self, sync, ended):
        records = sync.remains()
        if not ended and self._kept.get(sync) == records:
            return
        try:
            self.state.save(sync.config, records, ended)
            self._kept[sync], self._broken = records, False
            if ended and records:
                self._log("Normal", "%s: %s kept for the next start" % (sync.config.name, changes(len(records), " is", " are")))
        except OSError as error:
            if not self._broken:
                self._broken = True
                self._log("Error", "%s: cannot keep what is not mirrored for the next start: %s" % (sync.config.name, reason(error)))
