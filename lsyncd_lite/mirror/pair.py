"""What all pairs of a source and a target have in common, whatever they do about changes.

When something may start, what is asked and run around a job (runIf, onBatch), how long to
wait after a failure, and what the status tells. What is to be done is known to those
built on this: Sync makes places equal, EventSync tells of events. It is told the time
(`now`: seconds of a clock that never jumps); it neither waits nor spawns nor logs.
"""

import enum
from collections import deque, namedtuple

from lsyncd_lite.mirror.filters import Filter
from lsyncd_lite.mirror.job import ACTION, CHECK, CLEANING, FULL, GATE, HOOK, LOST, MAY_BEGIN, PROBE, Job, Verdict
from lsyncd_lite.mirror.queue import BOUND
from lsyncd_lite.mirror.schedule import Schedule
from lsyncd_lite.mirror.tally import Tally
from lsyncd_lite.paths import below, show, to_bytes

RETRY_LONGEST = 60.0   # seconds between two tries at a target that does not work
FAILED_RETRY = 300.0   # seconds between two tries of a sync that failed for good
ABSENT_RETRY = 1.0     # seconds between two looks for a missing source
GUARDED_RETRY = 60.0   # seconds between two counts of what maxDelete holds
GATE_OPEN = 1.0        # seconds for which a yes of runIf holds
GATE_LIMIT = 60.0      # seconds after which runIf hangs
AT_ONCE = float("-inf")


class State(enum.Enum):
    """What a sync is at, in the words of the status file."""

    STARTING = "starting"
    SYNCING = "syncing"
    IDLE = "idle"
    WAITING = "waiting"
    HELD = "held by runIf"
    GUARDED = "held by maxDelete"
    DEGRADED = "degraded"
    FAILED = "failed"
    ABSENT = "no source"
    PAUSED = "paused"


# What a job's end came to: the verdict, words for the log (None: nothing to say),
# and whether it must end the program.
Outcome = namedtuple("Outcome", "verdict words fatal")


class Pair:
    """One pair. `config` is its SyncConfig; `jitter()` returns a number from 0 to 1.

    Those built on it have `_due()`: when a job of theirs is due (None: not before
    something happens), `_take(now, wall, source)`: that Job, `_judge(job, status, output,
    now, wall, told)`: its Outcome, None where more of it is to come (told: (Verdict,
    words) where it was never started), `_attempt(job)`: the number of this try of it,
    `_paths(job)`: the relative paths that it is about, `_unplan()`, `pending`, `oldest`, `next_try`.
    """

    takes_events = False  # whether it is told of Seen and Moves, not of places
    begins_again = True   # whether it can do without what was never told to it
    ends = None           # the exit status with which it wants the program to end
    warning = None        # words for the log, once
    guarded = None        # why a job that would delete too much does not run, in words
    degraded = None       # why changes are noticed late, in words
    paused = False        # nothing starts: somebody wants that
    _awaits = None
    canary = None         # its Arrival (see canary.py), where it has one

    def __init__(self, config, mode, now, wall, jitter, insist=False, onepass=False):
        self.config = config
        self.mode = mode
        self.filter = Filter(config.rules + config.extra_rules)
        self.running = set()       # jobs that run, or are the next to
        self._next = deque()       # those that are the next, before all others
        self._predecessors = set()  # running jobs of the sync that this one has inherited from
        self._jitter = jitter
        self._settled = wall       # all that the target holds was read before (wall clock)
        self.starting = False
        self._must_start = not insist
        self._onepass = onepass
        self.stopping = False
        self._before_stop = set()  # jobs that ran already at the stop
        self._over = False         # nothing is tried any more
        self._gave_up = False      # a job that began after it failed
        self._protected = set()    # relative paths from which a file system has gone
        self.absent = False        # the source is not there
        self.lacks = None          # the words for that
        self.schedule = Schedule(config, now, wall, jitter)
        self.failed = False        # for good, as far as the last job told
        self.retry_at = None       # no job before this
        self._failures = 0         # in a row, of jobs
        self._asking = None        # the running Job of runIf
        self._open_until = now     # runIf has said yes
        self._shut_until = None    # runIf has said no
        self._owed = {}            # paths that onBatch.after was not told of in vain
        self._owed_at = None       # when it is run again for these
        self._owed_failures = 0
        self.last_success = None   # wall clock
        self.last_error = None     # words
        self.failing_since = None  # wall clock
        self.tally = Tally()
        self.tunnels = None        # Tunnels, where the way to the target goes through some
        self._way_lost = False     # none of them was open

    # ---- the source --------------------------------------------------------------------------

    def lose_source(self, now, lacks=None):
        """Start nothing for a while: the source, or what it lacks, is not there, and nothing may be concluded from that."""
        self.absent, self.retry_at = True, now + ABSENT_RETRY
        self.lacks = lacks or self._missing
        for job in [job for job in self._next if _mirrors(job)]:  # what is there when it is back may be another one
            self._next.remove(job)
            self.running.discard(job)
            self._judge(job, None, [], now, self._settled, (Verdict.REDO, None))

    def protect(self, path, is_gone):
        """Delete nothing at and below an absolute path as long as a file system is gone from there."""
        inside = below(path, self.config.source)
        if inside:
            self._protected.add(inside) if is_gone else self._protected.discard(inside)
            self.mode.protect(sorted(self._protected))
            self._unplan()

    def find_source(self):
        """Go on if the source was not there."""
        if self.absent:
            self.absent, self.retry_at = False, None

    def wants_directory(self, path):
        """Tell whether an absolute directory has to be watched for this sync."""
        inside = below(path, self.config.source)
        if inside is None:
            return below(self.config.source, path) is not None
        directory, _slash, name = inside.rpartition(b"/")
        return not inside or not self.filter.excludes(directory, name, True)

    @property
    def takes_moves(self):
        """Whether renames can be done on the target."""
        return self.mode.takes_moves

    # ---- jobs go out -------------------------------------------------------------------------

    def next_deadline(self):
        """Return the time at which a job may be due; None: not before something happens."""
        if self._next and not self._predecessors:  # it belongs to what has run
            waits = self.absent and self.needs_source and not self.stopping
            return self.retry_at if waits and self.retry_at is not None else AT_ONCE
        if self.paused or self._over or self._predecessors or self._asking:
            return None
        if len(self.running) >= self.config.maxProcesses:
            return None
        due = self._due()
        if self.stopping and self._owed_at is not None:
            return AT_ONCE
        return earliest(due if due is None or self._shut_until is None else max(due, self._shut_until),
                        self._owed_at if self._owed else None)

    def take_job(self, now, wall, source):
        """Return the Job to spawn now, or None; wall: seconds since the epoch; source: a Source."""
        due = self.next_deadline()
        if due is None or due > now:
            return None
        if self._next:
            lacks = None if self.stopping or not _mirrors(self._next[0]) else self._lacks(source)
            if lacks is not None:
                self.lose_source(now, lacks)
                return None
            job = self._next.popleft()
            job.began = now
            return job
        if self._owed and self._owed_at is not None and (self.stopping or self._owed_at <= now):
            return self._begin(self._pay([], 0, 1 + self._owed_failures), now)
        if not self._has_source(source, now):
            return None
        self.tally.waiting(self.pending)
        if self.config.runIf is not None and self._open_until <= now:
            self._asking = self._hook_job(self.config.runIf, GATE, None, {})
            self._asking.limit = GATE_LIMIT
            return self._begin(self._asking, now)
        job = self._take(now, wall, source)
        return None if job is None else self._begin(self._led(job), now)

    def _led(self, job):
        """Return what has to run before a job, or the job itself."""
        if job.check is not None:
            leader, job.check = Job(job.check, job.stdin, [], CHECK), None
        elif self.config.onBatch.before is not None and job.purpose not in (PROBE, CLEANING, LOST):
            leader = self._hook("before", self._paths(job), None, self._attempt(job))
        else:
            return job
        leader.around, leader.entries, leader.moves, leader.work = job, job.entries, job.moves, job.work
        leader.since, leader.held = job.since, job.held
        return leader

    @property
    def _missing(self):
        return "source %s is missing" % show(self.config.source)

    def _lacks(self, source):
        """Return the words for what is not there, None where nothing is missing."""
        marker = self.config.requireMarker
        if not source.is_directory():
            return self._missing
        if marker is not None and source.lstat(to_bytes(marker)) is None:
            return "source %s holds no %s (requireMarker)" % (show(self.config.source), show(marker))
        return None

    def _has_source(self, source, now):
        """Tell whether the source is there, and take note of that."""
        lacks = self._lacks(source)
        if lacks is not None:
            self.lose_source(now, lacks)
            return False
        if self.absent and self.config.requireMarker is not None:  # what was told meanwhile may be of another file system
            self.want_full(now)
        self.absent, self.retry_at = False, None
        return True

    def _begin(self, job, now):
        job.began = now
        self.running.add(job)
        return job

    def _stage(self, job, now):
        """Let a job be the next to run."""
        self._next.append(job)
        self._begin(job, now)

    # ---- jobs come back ----------------------------------------------------------------------

    def on_exit(self, job, status, output, now, wall):
        """Take note of a job's end; return the Outcome.

        status: exit status, negative signal number, or None when it could not be
        started; output: list of lines (bytes).
        """
        self.running.discard(job)
        if job.overdue is not None:
            output = [*output, job.overdue.encode()]
        if job.purpose == GATE:
            return self._on_answer(status, output, now)
        told = None
        if job.purpose == HOOK and job.around is None:
            return self._on_hook(job, status, output, now)
        if job.around is not None:
            leader, job = job, job.around
            following, job.began = job, leader.began
            if leader.purpose == CHECK:
                verdict, words = self.mode.verdict(leader, status, output)
                told, job.entries = (verdict, leader.overdue or words), leader.entries
                following = self._led(job)
            elif status != 0:
                told = Verdict.AGAIN, "onBatch.before %s" % how(status, output)
            if leader in self._before_stop:
                self._before_stop.update((job, following))
            if told is None or told[0] in MAY_BEGIN:
                self._stage(following, now)
                return Outcome(Verdict.OK, None, False)
        attempt = self._attempt(job)
        paths = self._paths(job)
        outcome = self._judge(job, status, output, now, wall, told)
        if outcome is not None and job.purpose != PROBE and told is None:
            if outcome.verdict in (Verdict.OK, Verdict.LOOK):
                if self.config.onBatch.after is not None and job.purpose not in (CLEANING, LOST):
                    about = None if self._owed else job.since
                    hook = self._pay(paths, status, attempt)
                    hook.about = about
                    self._stage(hook, now)
            elif outcome.verdict in (Verdict.PARTIAL, Verdict.AGAIN, Verdict.DIE) and self.config.onBatch.failed is not None:
                self._stage(self._hook("failed", paths, status, attempt), now)
        return outcome or Outcome(Verdict.OK, None, False)

    def _pay(self, paths, status, attempt):
        """Return the Job of onBatch.after, which is told of what it was told in vain, too."""
        self._owe(paths)
        owed, self._owed = list(self._owed), {}
        return self._hook("after", owed, status, attempt)

    def _owe(self, paths):
        self._owed.update(dict.fromkeys(paths))
        if len(self._owed) > BOUND:
            self._owed = {b".": None}

    def _on_answer(self, status, output, now):
        """Take what runIf says."""
        self._asking = None
        was_shut = self._shut_until is not None
        if status == 0:
            self._open_until, self._shut_until = now + GATE_OPEN, None
            return Outcome(Verdict.OK, "runIf lets it go on" if was_shut else None, False)
        self._shut_until = now + self.config.runIfInterval
        words = "held: runIf %s" % how(status, output)
        if self._onepass or self.stopping:  # there will be no other time
            self.give_up(words)
            return Outcome(Verdict.REDO, words, False)
        return Outcome(Verdict.REDO, None if was_shut else words + "; asked again every %g s" % self.config.runIfInterval, False)

    def _on_hook(self, job, status, output, now):
        """Take the end of onBatch.after or onBatch.failed."""
        if status == 0:
            if job.name == "after":
                self._owed_failures, self._owed_at = 0, self._owed_at if self._owed else None
            return Outcome(Verdict.OK, None, False)
        words = "onBatch.%s %s" % (job.name, how(status, output))
        if job.name == "after" and self.config.onBatch.afterFailure == "again":
            self._owe(job.told)
            if self.stopping:  # the next run tells it
                self._owed_at = None
                return Outcome(Verdict.REDO, words, False)
            if self._owed_at is None or self._owed_at <= now:  # else that was a batch's, before its time
                self._owed_failures += 1
                self._owed_at = now + self._back_off(self._owed_failures)
            words += "; run again in %d s" % (self._owed_at - now)
        return Outcome(Verdict.REDO, words, False)

    def _hook(self, name, paths, status, attempt):
        """Return the Job of onBatch.NAME, which is told the paths (list of bytes)."""
        number = b"" if status is None else b"%d" % (status if status >= 0 else 128 - status)
        environ = {b"LSYNCD_SYNC": show(self.config.name).encode(), b"LSYNCD_MODE": self.config.mode.encode(),
                   b"LSYNCD_SOURCE": in_directory(self.config.source), b"LSYNCD_TARGET": self.config.target,
                   b"LSYNCD_EXIT": number, b"LSYNCD_ATTEMPT": b"%d" % attempt, b"LSYNCD_COUNT": b"%d" % len(paths)}
        job = self._hook_job(getattr(self.config.onBatch, name), HOOK, b"".join([path + b"\0" for path in paths]), environ)
        job.name, job.told = name, paths
        return job

    def _hook_job(self, command, purpose, stdin, environ):
        argv = command.argv({"source": in_directory(self.config.source), "target": self.config.target})
        job = Job(argv, stdin, [], purpose)
        job.environ = environ
        return job

    def _guard(self, words, now, lasted):
        """Hold everything after a count that took so many seconds; what would delete so much may be about to send what is as wrong."""
        self.guarded, self.retry_at = words, now + max(GUARDED_RETRY, 10 * lasted)
        self._must_start = False  # the target is there
        return Outcome(Verdict.HELD, words, self._onepass)

    def _works(self):
        """Forget the failures that are over: the target works."""
        self._failures, self.retry_at, self.failed, self.guarded = 0, None, False, None

    def suffer(self, words, wall):
        """Take note of why a job that runs does not come to its end."""
        self.last_error, self.failing_since = words, self.failing_since or wall

    def lose_way(self, words, wall):
        """Take note of why no tunnel is open: what is pending waits for one."""
        self._way_lost = True
        self.suffer(words, wall)

    def find_way(self, now):
        """Go on if no tunnel was open."""
        if not self._way_lost:
            return
        self._way_lost = False
        self.try_now(now)
        if not self.pending and not self.running:
            self.last_error = self.failing_since = None

    def _back_off(self, failures, longest=RETRY_LONGEST):
        """Return the seconds to wait after so many failures in a row."""
        shortest = max(self.config.delay, 1.0)
        return min(max(longest, shortest), shortest * 2 ** min(failures - 1, 16) * (1 + self._jitter() / 4))

    # ---- what others want to know, and to happen ---------------------------------------------

    def release(self, now):
        """Let the job that is held delete what it finds, once."""
        self.guarded, self.mode.released = None, True
        self.try_now(now)

    def retry(self, now):
        """Try now what has failed, and ask runIf again."""
        self.try_now(now)
        self._owed_at = now if self._owed else self._owed_at
        self._shut_until = now if self._shut_until is not None else None

    def mark(self, now):
        """Return what `is_settled` takes: all that is known by now."""
        return now

    def is_settled(self, mark):
        """Tell whether all that was known at a `mark` is on the target, and told to onBatch.after."""
        return not (self.starting or self._owed or self.guarded or any(
            job.name == "after" and (job.about is None or job.about <= mark) for job in self.running) or self._is_behind(mark))

    def _is_behind(self, mark):
        return self.oldest is not None and self.oldest <= mark

    def inherit(self, other):
        """Wait for the jobs of another sync of the same pair to end, and take over what it has not told its hook."""
        self.paused = self.paused or other.paused
        self._predecessors |= (other.running | other._predecessors).difference(other._next)
        self.tally.inherit(other.tally, other.running.difference(other._next))
        if other._protected:
            self._protected |= other._protected
            self.mode.protect(sorted(self._protected))
        if self.config.onBatch.after is not None:
            self._owe([*other._owed, *(path for job in other._next if job.name == "after" for path in job.told)])
            self._owed_at = AT_ONCE if self._owed else None

    def remains(self):
        """Return the records (tuples of bytes) of what onBatch.after was not told, for `restore`."""
        owed = [*self._owed, *(path for job in self.running if job.name == "after" for path in job.told)]
        return [(b"owed", path) for path in owed]

    def restore(self, records, _complete, _now):
        """Owe to onBatch.after what an earlier run has left."""
        owed = [record[1] for record in records if record[0] == b"owed"]
        if owed and self.config.onBatch.after is not None:
            self._owe(owed)
            self._owed_at = AT_ONCE

    def released(self, job):
        """Take note of the end of a job of the sync that this one has inherited from."""
        self._predecessors.discard(job)

    @property
    def awaits(self):
        """What has to end before it goes on, in words, or None; those of others who hold it up are set."""
        return "a job that began before the reload" if self._predecessors else self._awaits

    @awaits.setter
    def awaits(self, words):
        self._awaits = words

    def give_up(self, words):
        """Try nothing any more: what is pending stays so; words: why."""
        self.starting, self.failed, self._over = False, True, True
        self.last_error = words
        self.retry_at = None
        self._unplan()

    def stop(self):
        """Send what is pending as soon as possible; what fails from now on is not tried again."""
        self.stopping = True
        self._before_stop = set(self.running)
        self._shut_until = None
        if not self.absent:
            self.retry_at = None
        self._unplan()

    @property
    def gone(self):
        """The relative paths from which a file system has gone."""
        return self._protected

    @property
    def connecting(self):
        """When the jobs began (a list) that run and may be making the connection of the sync."""
        return [job.began for job in self.running.difference(self._next) if job.purpose not in (HOOK, GATE)]

    @property
    def connects(self):
        """Whether the next job may use that connection."""
        return self.needs_source

    @property
    def needs_source(self):
        """Whether the next job is about the source, and no hook."""
        return not self._next or self._next[0].purpose != HOOK

    @property
    def must_start(self):
        """Whether the program ends if this cannot start."""
        return self.starting and self._must_start

    @property
    def busy(self):
        """Whether something is about to run that belongs to what has run."""
        return bool(self._next)

    @property
    def owed(self):
        """The number of paths that onBatch.after was told in vain."""
        return len(self._owed)

    @property
    def in_flight(self):
        """The number of changes that running jobs are about."""
        return sum(job.size for job in self.running)

    @property
    def sent(self):
        """(bytes, files) whose content was sent so far, by jobs that still run, too."""
        accounts = [self.tally, *(job.account for job in self.running if job.account is not None)]
        return sum(account.bytes for account in accounts), sum(account.files for account in accounts)

    @property
    def progress(self):
        """The Progress of the full sync that runs; None where there is none, or nothing was told yet."""
        return None if self.full_job is None else self.full_job.account.progress

    @property
    def full_job(self):
        """The full sync that runs and tells how far it is, or None."""
        return next((job for job in self.running if job.purpose == FULL and job.account is not None), None)

    @property
    def state(self):
        """What the sync is at."""
        if self.paused:
            return State.PAUSED
        if self.failed:
            return State.FAILED
        if self.absent:
            return State.ABSENT
        if self.guarded is not None:
            return State.GUARDED
        if self._shut_until is not None:
            return State.HELD
        if self.tunnels is not None and self.tunnels.is_shut:
            return State.WAITING
        if self.starting and self.retry_at is None:
            return State.STARTING
        if self.running or self._is_planned:
            return State.SYNCING
        if self.next_try is not None:
            return State.WAITING
        return State.IDLE if self.degraded is None else State.DEGRADED

    _is_planned = False  # something waits for a process only


def _mirrors(job):
    """Tell whether a job is one that mirrors."""
    return (job.around or job).purpose not in (HOOK, GATE, ACTION, LOST)


def how(status, output):
    """Return the words for how a command of the user's has ended."""
    words = ("was killed by signal %d" % -status if status is not None and status < 0
             else "could not be run" if status is None else "ended with %d" % status)
    return "%s: %s" % (words, show(output[-1])) if output else words


def in_directory(path):
    """Return a directory with a slash at its end."""
    return path if path.endswith(b"/") else path + b"/"


def earliest(*times):
    """Return the earliest of times that may be None."""
    return min([at for at in times if at is not None], default=None)
