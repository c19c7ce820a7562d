"""An EventSync: a pair whose mode is told what has happened, and acts on that (exec, script).

A Work is what a mode does about some events: a generator that yields the Jobs to run, one
after the other, gets what became of each, and returns a verdict at its end. Its events
are not forgotten before that, and related ones wait for it.
"""

import stat
from collections import namedtuple

from lsyncd_lite.mirror.events import Events, Kind
from lsyncd_lite.mirror.job import LOST, Job, Verdict
from lsyncd_lite.mirror.pair import AT_ONCE, FAILED_RETRY, Outcome, Pair, earliest
from lsyncd_lite.paths import below, join, split

YOUNG = 1.0    # seconds after its last change in which what was found may still be told of by the kernel
GLANCE = 0.05  # seconds in which the kernel tells where something went
TROUBLE = 3    # works that fail in a row: it is not the events
_SIGNALS = range(-128, 0)  # statuses of what was killed
MOST = 50000   # events that wait, where beginning again can stand for them: 1 KB each
LONGEST = 1000  # events that need nothing, in a turn


# What a standard mode has to know: a Source, since when the target knows the times of files, the time (wall clock).
Look = namedtuple("Look", "source settled wall")


class Work:
    """What is done about some Events. steps: the generator; alone: nothing else may run meanwhile; inbox: they come from it."""

    __slots__ = ("events", "steps", "alone", "inbox", "verdict")

    def __init__(self, events, steps, alone=False, inbox=None):
        self.events = events
        self.steps = steps
        self.alone = alone
        self.inbox = inbox
        self.verdict = None  # (Verdict, words) at its end


class EventSync(Pair):
    """One pair whose mode acts on events.

    The mode has `startup(look)`, `work(event, look)` or, where `takes_batches`, `batch(inbox,
    look)`: each returns a generator (see Work), or None where nothing is to be done;
    `next_alarm` (a time, or None), `alarm(now, look)` (the generator for it), and `ends` (an
    exit status with which the program shall end, or None).
    """

    takes_events = True

    def __init__(self, config, mode, now, wall, jitter, insist=False, onepass=False):
        super().__init__(config, mode, now, wall, jitter, insist, onepass)
        self.queue = Events()
        self.starting = mode.has_startup and (config.init or onepass)
        self._must_start = self.starting and not insist
        self.begins_again = mode.has_startup
        self._unstarted = False    # the start-up was given up
        self._start_again = False  # changes were lost while the start-up ran
        self._rang = False         # an alarm was the last to start
        self._hurries = False      # too much waits: nothing waits for its time

    # ---- what has happened comes in ----------------------------------------------------------

    def offer_event(self, seen, now):
        """Take a Seen, as far as it is its own."""
        inside = below(seen.path, self.config.source)
        if not inside:
            if below(self.config.source, seen.path) is not None and seen.kind in (Kind.CREATE, Kind.UNKNOWN):
                self.want_full(now)
        elif not self.filter.excludes(*split(inside), seen.is_dir):
            self._add(seen.kind, inside, seen.is_dir, now)

    def offer_move(self, move, now):
        """Take a Move between absolute paths; one of what may not be as it was told is a deletion and a creation."""
        origin, place = (below(path, self.config.source) for path in move[:2])
        if not place and below(self.config.source, move.place) is not None:
            self.want_full(now)
        known = [bool(path) and not self.filter.excludes(*split(path), move.is_dir) for path in (origin, place)]
        if all(known) and self._tells_moves and self.queue.is_clean(origin) and not (move.is_dir and self.filter.positional):
            self.queue.add_move(origin, place, move.is_dir, now, self._due_after(now))
            return
        if known[0]:
            self._add(Kind.DELETE, origin, move.is_dir, now)
        if known[1]:
            self._add(Kind.CREATE, place, move.is_dir, now)

    def want_full(self, now):
        """Begin again: what has happened is not known."""
        if self.begins_again and not self.stopping:
            self._start_again = self.starting and bool(self.running)
            self.starting = True
            for event in [event for event in self.queue if event.kind is Kind.MOVE and not event.taken]:
                if event.kind is Kind.MOVE and event.order is not None:  # else it went with another
                    self.queue.split(event, now, event.due)

    @property
    def _tells_moves(self):
        """Whether a rename may be told as one: the start-up, when it comes, meets what there is after it, and to do it then would undo it."""
        return self.takes_moves and not self.starting

    def _add(self, kind, path, is_dir, now):
        self.queue.add(kind, path, is_dir, now, self._due_after(now))
        if len(self.queue) > MOST and self.begins_again and not self.stopping:
            self.warning = "more than %d events wait: they are forgotten, and the start-up actions come again" % MOST
            for event in [event for event in self.queue if not event.taken]:
                self.queue.done(event)
            self.want_full(now)

    def _due_after(self, now):
        """Return when what is told of now is due; when too much waits, or at the end, nothing waits for its time."""
        if self.stopping:
            return now
        if len(self.queue) < self.config.maxDelays:
            self._hurries = False
            return now + self.config.delay
        if not self._hurries:
            self._hurries = True
            self.queue.hurry(now)
        return now

    # ---- jobs go out -------------------------------------------------------------------------

    def _due(self):
        if self.running and (self.starting or any(job.work and job.work.alone for job in self.running)):
            return None
        if self.stopping and self.retry_at is not None:
            return None
        due = AT_ONCE if self.starting else earliest(self.queue.next_due(), self._next_alarm)
        return due if due is None or self.retry_at is None else max(due, self.retry_at)

    @property
    def _next_alarm(self):
        return None if self.stopping or self._onepass else self.mode.next_alarm

    def _take(self, now, wall, source):
        look = Look(source, float("inf") if self.running else self._settled, wall)
        if self.starting:
            return self._start(Work([], self.mode.startup(look), True), now)
        alarm, due = self._next_alarm, self.queue.next_due()
        self._rang = alarm is not None and alarm <= now and not (
            self._rang and due is not None and due <= now)  # in turns, so that neither keeps out the other
        if self._rang:
            return self._start(Work([], self.mode.alarm(now, look)), now)
        if self.mode.takes_batches:
            return self._take_batch(now, look)
        for _turn in range(LONGEST):
            event = self.queue.take(now, self._failures >= TROUBLE)  # if anything works it is something new
            if event is None:
                return None
            if not self._is_there(event, now, look):
                continue
            steps = self.mode.work(event, look)
            if steps is not None:
                return self._start(Work([event], steps), now)
            self.queue.done(event)
        return None

    def _take_batch(self, now, look):
        inbox = Inbox()
        while True:
            event = self.queue.take(now)
            if event is None:
                break
            if self._is_there(event, now, look):
                inbox.left.append(event)
                self.queue.release(event)
        if not inbox.left:
            return None
        return self._start(Work(inbox.taken, self.mode.batch(inbox, look), inbox=inbox), now)

    def _is_there(self, event, now, look):
        """Look at what an event is about; where it is not (yet) for the mode, deal with it and return False."""
        facts = look.source.lstat(event.path)
        is_dir = facts is not None and stat.S_ISDIR(facts.st_mode)
        if event.kind is Kind.UNKNOWN:
            was_dir, event.kind = event.is_dir, Kind.CREATE if facts is not None else Kind.DELETE
            if is_dir or was_dir and facts is not None:  # maybe another one than it was
                event.kind = Kind.DELETE
                self.queue.add(Kind.CREATE, event.path, is_dir, now, now, era=event.era)
            event.is_dir = is_dir or was_dir and event.kind is Kind.DELETE
        if event.kind in (Kind.DELETE, Kind.MOVE):
            return True
        if self.queue.is_doomed(event):
            self.queue.done(event)
            return False
        if facts is None or is_dir != event.is_dir:
            if event.gone or self.stopping:
                self.queue.done(event)
            else:  # the kernel tells where it went
                event.gone = True
                self.queue.put_back([event], now + GLANCE)
            return False
        event.gone = False
        if event.found and not self.stopping and 0 <= look.wall - max(facts.st_mtime, facts.st_ctime) < YOUNG and (
                not event.is_dir or now - event.since < YOUNG):  # a file may be half written
            self.queue.put_back([event], now + YOUNG)
            return False
        if event.kind is Kind.CREATE and event.is_dir:
            for name, is_dir in look.source.names(event.path):
                self.queue.add(Kind.CREATE, join(event.path, name), is_dir, now, now + GLANCE * (not self.stopping), True, event.era)
        return True

    def _start(self, work, now):
        """Return the first Job of a Work; where it has none, and has not failed, note its end and return None."""
        job = self._step(work, None)
        if job is None and work.verdict[0] is Verdict.OK and not work.alone:
            self._leave(work, now)
            self._ended(work, now)
            return None
        return job or self._job_of(work, Job(None, None, [], LOST))

    def _step(self, work, news):
        """Return the next Job of a Work, or None at its end."""
        try:
            return self._job_of(work, work.steps.send(news))
        except StopIteration as end:
            work.verdict = end.value or (Verdict.OK, None)
            return None

    def _leave(self, work, now):
        """Let wait what is left in the inbox of a Work that has ended."""
        if work.inbox is not None:
            self.queue.put_back(work.inbox.left, None if self.stopping else now + max(self.config.delay, 1.0))
            work.inbox.left.clear()

    @staticmethod
    def _job_of(work, job):
        job.work = work
        return job

    # ---- jobs come back ----------------------------------------------------------------------

    def _judge(self, job, status, output, now, wall, told=None):
        """Return the Outcome of a Work when it has ended with this job, else None."""
        work = job.work
        if told is not None:
            work.steps.close()
            work.verdict = told
        elif work.verdict is None:
            following = self._step(work, (status, output))
            if following is not None:
                self.tally.took(job, now)
                self._stage(following, now)
                if job in self._before_stop:
                    self._before_stop.add(following)
                return None
        if not self.running:
            self._settled = wall
        self._leave(work, now)
        verdict, words = work.verdict
        if status is not None or told is None:  # else it could not even begin
            since = min([event.since for event in work.events], default=None)
            self.tally.ended(job, verdict, since, now, self._attempt(job) > 1)
        if work.alone:
            return self._started(verdict, words, now, wall, job)
        if verdict is Verdict.OK:
            self._ended(work, now)
            self.last_success = wall
            return Outcome(verdict, words, False)
        if verdict in (Verdict.LOOK, Verdict.REDO):
            self.queue.put_back(work.events, now + max(self.config.delay, 1.0) * (verdict is Verdict.LOOK))
            if verdict is Verdict.LOOK:  # nothing is wrong: something vanished meanwhile
                return Outcome(Verdict.OK, None, False)
            return Outcome(verdict, words, False)
        self.last_error, self.failing_since = words, self.failing_since or wall
        if verdict is Verdict.HELD:
            self.queue.put_back(work.events, now)
            return self._guard(words, now, now - job.began)
        killed = told is None and status in _SIGNALS
        if job in self._before_stop:  # what is pending gets one try after the stop
            self._put_back(work.events, now, now, killed)
            return Outcome(verdict, words, False)
        self._failures += 1
        for event in work.events:
            event.attempts += 1
        again = now + self._back_off(max([event.attempts for event in work.events], default=1))
        if not self.stopping and verdict is Verdict.DIE:
            self.failed = True
            self.retry_at = now + FAILED_RETRY
        elif not self.stopping and self._failures >= TROUBLE:
            self.retry_at = now + self._back_off(self._failures - TROUBLE + 1)
        self._put_back(work.events, now, None if self.stopping else again, killed)
        return Outcome(verdict, words, False)

    def _put_back(self, events, now, due, killed):
        self.queue.put_back(events, due)
        for event in events:  # a rename that was killed may have been done; one that fails again and again cannot be done
            if event.kind is Kind.MOVE and (
                    killed or self.starting or event.attempts >= TROUBLE and not self.failed):
                self.queue.split(event, now, due)

    def _started(self, verdict, words, now, wall, job):
        """Return the Outcome of the start-up."""
        if verdict in (Verdict.OK, Verdict.LOOK):
            self.starting, self._start_again = self._start_again, False
            self.last_success = wall
            self._works()
            return Outcome(Verdict.OK, words or "start-up finished after %.1f s" % (now - job.began), False)
        if verdict is not Verdict.REDO:
            self.last_error, self.failing_since = words, self.failing_since or wall
            if verdict is Verdict.HELD:
                return self._guard(words, now, now - job.began)
            self._failures += 1
            self.failed = verdict is Verdict.DIE
            self.retry_at = now + (FAILED_RETRY if self.failed else self._back_off(self._failures))
        return Outcome(verdict, words, verdict is not Verdict.REDO and self._must_start)

    def _ended(self, work, now):
        for event in work.events:
            self.queue.done(event)
        if self._failures >= TROUBLE and not self.stopping:  # it works again for all of them
            self.queue.hurry(now, True)
        if self.guarded is None or self.retry_at is None:  # else it ran already when another was held
            self._works()

    def _works(self):
        super()._works()
        self._must_start = False
        if self.last_error is not None and not any(event.attempts for event in self.queue):
            self.last_error = self.failing_since = None

    def _attempt(self, job):
        return 1 + max([event.attempts for event in job.work.events], default=self._failures)

    def _paths(self, job):
        return [path for event in job.work.events for path in event.paths]

    def _unplan(self):
        """Nothing is planned before it can run."""

    # ---- what others want to know, and to happen ---------------------------------------------

    def inherit(self, other):
        """Take over what another sync of the same pair has not told, and wait for its jobs to end."""
        super().inherit(other)
        if not other.takes_events:
            return
        self.starting = self.starting or other.starting and self.begins_again
        for event in other.queue:
            paths, kind = event.paths, event.kind
            self._restore(Kind.UNKNOWN if kind is Kind.MOVE and event.taken else kind, event.is_dir, paths, event.since)

    def remains(self):
        """Return the records (tuples of bytes) of the events that are not done, in order, for `restore`."""
        return super().remains() + [(b"start",)] * self.starting + [
            (b"event", event.kind.value.encode(), b"directory" if event.is_dir else b"file", *event.paths) for event in self.queue]

    def restore(self, records, complete, now):
        """Queue the events that an earlier run has left; complete: none was lost."""
        super().restore(records, complete, now)
        for record in records:
            if record[0] == b"event":
                self._restore(Kind(record[1].decode()), record[2] == b"directory", record[3:], now)
        if not complete or (b"start",) in records:
            self.want_full(now)

    def _restore(self, kind, is_dir, paths, now):
        """Queue an event of an earlier run, as far as it is still told of."""
        known = [path for path in paths if not self.filter.excludes(*split(path), is_dir)]
        if kind is Kind.MOVE and len(known) == 2 and self._tells_moves:
            self.queue.add_move(*paths, is_dir, now, now)
            return
        for path in known:
            self.queue.add(Kind.UNKNOWN if kind is Kind.MOVE else kind, path, is_dir, now, now)

    def give_up(self, words):
        """Try nothing any more: what is pending stays so; words: why."""
        self._unstarted = self.starting
        super().give_up(words)

    def try_now(self, now):
        """Wait no longer for what has failed: somebody may have mended it."""
        if not self.absent:
            self.retry_at = None
            self.queue.hurry(now, True)

    def flush(self, now):
        """Let nothing wait for its time only."""
        self.queue.hurry(now)

    def mark(self, now):
        """As that of Pair: the era of the events."""
        return now, self.queue.mark()

    def is_settled(self, mark):
        """As that of Pair."""
        return super().is_settled(mark[0]) and self.queue.is_over(mark[1])

    def _is_behind(self, mark):
        return False  # what is known of events is better

    def stop(self):
        """Act on what is pending as soon as possible; what fails from now on is not tried again."""
        super().stop()
        self.queue.hurry(AT_ONCE, True)

    @property
    def pending(self):
        """The number of events that are not in flight; a start-up that is still to be done is one."""
        unstarted = self.starting and not any(job.work and job.work.alone for job in self.running)
        return len(self.queue) + (unstarted or self._unstarted)

    def queued(self, count):
        """Return the first paths of events that wait (relative bytes), so many at most."""
        found = {}
        for event in self.queue:
            if len(found) >= count:
                break
            found.update({} if event.taken else dict.fromkeys(event.paths))
        return list(found)[:count]

    @property
    def in_flight(self):
        """The number of events that something is being done about."""
        return sum(len(job.work.events) for job in self.running if job.work)

    @property
    def ends(self):
        """The exit status with which the program shall end, or None."""
        return self.mode.ends

    @property
    def oldest(self):
        """The time of the oldest event that is not done, or None."""
        return self.queue.since

    @property
    def next_try(self):
        """The time of the next try where something failed, or None."""
        if self.retry_at is not None or self.last_error is None:
            return self.retry_at
        return earliest(*[event.due for event in self.queue if event.attempts and not event.taken])


class Inbox:
    """The Events that are due at one time. taken: those that somebody has asked for; whole: all is to be done anew."""

    def __init__(self):
        self.left = []
        self.taken = []
        self.whole = False

    def take(self, wanted=None):
        """Return a list of those that are left and for which wanted(event) is true (None: all), and take them."""
        found = [event for event in self.left if wanted is None or wanted(event)]
        chosen = set(found)
        self.left[:] = [event for event in self.left if event not in chosen]
        self.taken += found
        return found
