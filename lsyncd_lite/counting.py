"""How many names a source holds, for how far a full sync is while rsync itself does not know.

rsync looks some ten thousand names ahead, so of a large tree it knows the whole only near the end. It is counted
once for each such job, when somebody looks at it, by a thread (see aside.py): no file is looked at, and the directories are those
that rsync is about to read.
"""

import os

from lsyncd_lite.aside import Aside
from lsyncd_lite.paths import join


class Counts:
    """The counts of full syncs that run. wake(): ends the wait of the loop, from any thread."""

    def __init__(self, wake):
        self._wake = wake
        self._asked = {}  # Job → Aside

    def want(self, sync):
        """Begin to count for the full sync that runs in a Sync, if it needs that."""
        job = sync.full_job
        if job is not None and job.account.finds_more and job not in self._asked:
            aside, source, rules = Aside(self._wake), sync.config.source, sync.filter
            self._asked[job] = aside
            aside.ask(lambda: count(source, rules))

    def turn(self, syncs):
        """Take what has been counted, and forget the jobs that have ended."""
        if self._asked:
            running = [sync.full_job for sync in syncs]
            for job, aside in list(self._asked.items()):
                if aside.answered:
                    job.account.expected = aside.take()
                if job not in running:
                    del self._asked[job]


def count(source, rules):
    """Return the number of names in a directory and all below it, but for directories that are excluded by rules (a Filter)."""
    number, left = 1, [b""]
    while left:
        directory = left.pop()
        try:
            with os.scandir(join(source, directory)) as listing:
                for entry in listing:
                    number += 1
                    if entry.is_dir(follow_symlinks=False) and not rules.excludes(directory, entry.name, True):
                        left.append(join(directory, entry.name))
        except OSError:
            pass  # gone meanwhile, or not ours to read: rsync does without it, too
    return number
