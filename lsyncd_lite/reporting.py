"""The files that tell what a daemon is at, status and metrics: when they are to be written, and what comes of it.

Knows not what stands in them (see report/), and stops nobody when one cannot be written.
"""

import os

from lsyncd_lite.errors import reason
from lsyncd_lite.paths import show
from lsyncd_lite.report import status


class Reports:
    """Writes them where settings (of a Config) want them. log: a Log."""

    def __init__(self, settings, log):
        self._settings = settings
        self._log = log
        self._written_at = float("-inf")
        self._broken = set()   # words for those that could not be written
        self._metered = None   # where metrics were written last

    def use(self, settings):
        """Write where other settings want them, and leave no metrics behind elsewhere."""
        self._settings = settings
        self._broken.clear()
        if self._metered != settings.metricsFile:
            self.end()

    def due(self, changed, syncs):
        """Return when to write: when something has `changed`, and as what is pending in syncs gets older; None: not before that."""
        interval = self._settings.statusInterval
        if not any(path for _what, path, _write in self._files):
            return None
        if not changed:
            if all(sync.oldest is None for sync in syncs):
                return None
            interval = max(interval, 1.0)
        return self._written_at + interval

    @property
    def _files(self):
        return ("status", self._settings.statusFile, _write_status), ("metrics", self._settings.metricsFile, self._write_metrics)

    def write(self, take, now):
        """Write those that are wanted, from the snapshot that take() returns; what cannot be written is told once, and tried again."""
        self._written_at, snapshot = now, None
        for what, path, write in self._files:
            if path is None:
                continue
            snapshot = snapshot or take()
            try:
                write(path, snapshot)
                self._broken.discard(what)
                self._log("Statusfile", "%s written" % what)
            except OSError as error:
                if what not in self._broken:
                    self._broken.add(what)
                    self._log("Error", "cannot write the %s file %s: %s" % (what, show(path), reason(error)))

    def _write_metrics(self, path, snapshot):
        from lsyncd_lite.report import metrics
        if path != self._metered:
            words = metrics.other(path, os.getpid())
            if words is not None:
                self._log("Warn", words)
            self._metered = path
        metrics.write(path, metrics.render(snapshot))

    def end(self):
        """Remove the metrics: who reads them would take what they say for the present."""
        if self._metered is not None:
            from lsyncd_lite.report import metrics
            metrics.remove(self._metered, os.getpid())
            self._metered = None


def _write_status(path, snapshot):
    status.write(path, status.render(snapshot))
