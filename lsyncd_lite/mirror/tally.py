"""What a sync has done so far, in numbers: for the status, the metrics and the report.

Is told of ends of jobs; keeps no time of its own.
"""

from lsyncd_lite.mirror.job import LOST, PROBE, Verdict


class Tally:
    """The numbers of one sync since its daemon began; none but `lag` ever gets smaller, a new configuration included.

    lag is that of jobs that were about changes: how long the oldest of them has waited until it was on the target.
    A full sync has none: nobody knows whether anything had changed, and for whom it was queued. Neither has
    what only failed; how old that is by now tells `Pair.oldest`.
    """

    def __init__(self):
        self.jobs = dict.fromkeys(Verdict, 0)  # ends by verdict; CHECK, GATE, HOOK and PROBE are none
        self.seconds = 0.0      # that these jobs have taken
        self.retries = 0        # tries of what had failed
        self.bytes = 0          # size of the files whose content was sent, by jobs that have ended
        self.files = 0          # their number
        self.lag = None         # seconds from the oldest change of the last job that has succeeded to its end
        self._most = 0          # queued changes,
        self._longest = None    # lag since `peaks` was asked for last

    def ended(self, job, verdict, since, now, again):
        """Take note of the end of a job.

        since: when the oldest of the changes that it was about had come, None: it was not about changes; again: they had failed before.
        """
        if job.purpose == PROBE or job.purpose == LOST and verdict is Verdict.OK:
            return  # nothing was to be done
        self.jobs[verdict] += 1
        self.retries += again
        self.took(job, now)
        if verdict in (Verdict.OK, Verdict.LOOK) and since is not None:
            self.lag = max(0.0, now - since)
            self._longest = max(self.lag, self._longest or 0.0)

    def took(self, job, now):
        """Take note of what a job has taken and sent, be it a part of something only."""
        self.seconds += now - job.began
        if job.account is not None:
            self.bytes += job.account.bytes
            self.files += job.account.files

    def waiting(self, count):
        """Take note of how many changes are queued: before a job takes them is when they are most."""
        self._most = max(self._most, count)

    def peaks(self):
        """Return (most queued changes, longest lag or None) since this was asked last."""
        found = self._most, self._longest
        self._most, self._longest = 0, None
        return found

    def inherit(self, other, running):
        """Go on with the numbers of a sync that is no more; running: its jobs, whose ends nobody will tell us."""
        for verdict, count in other.jobs.items():
            self.jobs[verdict] += count
        self.seconds += other.seconds
        self.retries += other.retries
        accounts = [other, *(job.account for job in running if job.account is not None)]
        self.bytes += sum(account.bytes for account in accounts)
        self.files += sum(account.files for account in accounts)
        self.lag = self.lag if other.lag is None else other.lag
        self._most = max(self._most, other._most)
        self._longest = max((lag for lag in (self._longest, other._longest) if lag is not None), default=None)
