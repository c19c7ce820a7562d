"""A Sync: a pair whose target is made equal. What is queued, when it is due, what an exit means.

`queue` holds changes; `held` what a job left
undone while the target itself works, so that one unreadable file does not keep others
waiting; `_after_full` what a full sync that is queued would not see. Nothing leaves
them before it is known to be on the target. `moves` are renames to be done there, in
order and before anything else: the places in the queues are those after all of them.
"""

from collections import deque

from lsyncd_lite.errors import changes
from lsyncd_lite.mirror.change import FRESH, NEW, PLACE, WHOLE
from lsyncd_lite.mirror.job import Verdict
from lsyncd_lite.mirror.moves import MOVES_KEPT, Move, Moves
from lsyncd_lite.mirror.pair import AT_ONCE, FAILED_RETRY, RETRY_LONGEST, Outcome, Pair, earliest
from lsyncd_lite.mirror.queue import BOUND, Queue
from lsyncd_lite.paths import below, join, split

FULL_RETRY_LONGEST = 3600.0  # seconds between two full syncs when some files cannot be sent


class Sync(Pair):
    """One pair whose target is made equal to its source."""

    def __init__(self, config, mode, now, wall, jitter, insist=False, onepass=False):
        super().__init__(config, mode, now, wall, jitter, insist, onepass)
        self.queue = Queue()
        self.held = Queue()
        self._after_full = Queue()  # what a full sync would not see, until it is planned
        self.moves = Moves()
        self._ready = deque()      # planned jobs that wait for a process
        self._probe = mode.probe()
        self.starting = config.init or onepass
        self._must_start = self.starting and not insist
        self.held_at = None        # nothing of `held` before this
        self._full_after = now     # a full sync of a busy tree must not follow on the last at once
        self._held_failures = 0    # in a row, of what is held
        self._blocked = set()      # the queues in which all that is due touches what is running
        self._flushed = False      # what is queued is due, however young
        self._in_flight = None     # Queue of what is planned or running, made when it is asked for
        if self.starting:
            self.queue.add(b"", WHOLE, now)

    # ---- changes come in ---------------------------------------------------------------------

    def offer(self, directory, names, now):
        """Take changes: {name: (marks, is_dir)} in an absolute directory, as far as they are its own."""
        inside = below(directory, self.config.source)
        if inside is not None:
            for name, (marks, is_dir) in names.items():
                kinds = (True, False) if is_dir is None else (is_dir,)
                if not all(self.filter.excludes(inside, name, kind) for kind in kinds):
                    self._add(join(inside, name), marks, now)
            return
        for name, (marks, _is_dir) in names.items():  # the source lies in a larger watched tree
            if below(self.config.source, join(directory, name)) is not None:
                self._add(b"", marks & WHOLE, now)

    def offer_move(self, move, now):
        """Take a Move between absolute paths."""
        origin, place = (below(path, self.config.source) for path in move[:2])
        if origin and place and self._can_move(origin, place, move.is_dir):
            self._add_move(Move(origin, place, move.is_dir), now)
            return
        for path, marks in ((move.origin, PLACE), (move.place, WHOLE if move.is_dir else FRESH)):
            directory, name = split(path)
            self.offer(directory, {name: (marks, move.is_dir)}, now)

    def _can_move(self, origin, place, is_dir):
        """Tell whether the target has at the origin what the place must hold."""
        if not self.takes_moves or len(self.moves) >= MOVES_KEPT:
            return False
        if is_dir and self.filter.positional or any(self.filter.excludes(*split(path), is_dir) for path in (origin, place)):
            return False  # below another name other things are excluded
        self._unplan()
        marks = [queue.covering(origin) for queue in (self.queue, self.held, self._after_full, self._flying())]
        return not any(known is not None and known & (WHOLE | FRESH) for known in marks)

    def _add_move(self, move, now):
        for queue in (self.queue, self.held, self._after_full):
            queue.graft(move.origin, move.place)
        if self._flying().below(move.origin):  # a job may meet either name, or none: it removes a parent that it misses
            self._put_back(self.queue, [(move.place, WHOLE | FRESH if move.is_dir else FRESH)], now)
        if not move.is_dir:  # the kernel takes another MOVED_TO of the name for this one, whatever its cookie
            self._put_back(self.queue, [(move.place, PLACE)], now)
        self.moves.add(move, now)
        self._blocked.clear()

    def want_full(self, now):
        """Queue the whole source."""
        self._put_back(self.queue, [(b"", WHOLE)], now)
        self._blocked.clear()

    def _add(self, path, marks, now):
        if marks & WHOLE and not marks & FRESH:  # a directory that has appeared
            known = self.moves.touches(path) or any(queue.related(path) for queue in (self.queue, self.held, self._flying()))
            marks |= FRESH if known or self.config.delete is not True else NEW
        self._put_back(self.queue, ((path, marks),), now)
        self._blocked.clear()

    def _flying(self):
        """Return a Queue of what is planned or running."""
        if self._in_flight is None:
            self._in_flight = _queue_of([*self.running, *self._ready])
        return self._in_flight

    def _put_back(self, queue, entries, since):
        """Add entries to a queue; what is in doubt is not for a full sync to swallow, as that compares no content."""
        if queue.is_whole() or any(not path and marks & WHOLE for path, marks in entries):
            doubtful = [(path, marks) for path, marks in [*queue.entries(), *entries]
                        if path and marks & (FRESH | NEW) == FRESH]
            self._after_full.put_back(doubtful, since)
        queue.put_back(entries, since)

    # ---- jobs go out -------------------------------------------------------------------------

    def _due(self):
        """Return the time at which a job may be due; None: not before something happens."""
        if self.running and (self.moves or any(job.moves for job in self.running)):
            return None  # moves are alone
        if self.stopping and self.retry_at is not None:
            return None
        if self._probe:
            due = None if self.running else AT_ONCE
        elif self._ready:
            due = AT_ONCE
        else:
            due = earliest(self._queue_due(), self._held_due())
        return due if due is None or self.retry_at is None else max(due, self.retry_at)

    def _queue_due(self):
        since = earliest(self.queue.since, self.moves.since)
        if since is None or self.queue in self._blocked:
            return None
        if self.stopping or self._flushed:
            return AT_ONCE
        early = self.starting and not self.running or len(self.queue) + len(self.moves) > self.config.maxDelays
        due = AT_ONCE if early else since + self.config.delay
        return max(due, self._full_after) if self.queue.is_whole() else due

    def _held_due(self):
        if not self.held or self.held in self._blocked:
            return None
        if self.stopping:  # what failed is not tried again
            return None if self._gave_up else AT_ONCE
        return self.held_at

    def _take(self, now, wall, source):
        """Return the Job to spawn now, or None."""
        if not self._probe and not self._ready:
            queue_due = self._queue_due()
            if self.moves:  # whatever is due: they come first
                job = self.mode.rename(self.moves, source)
                self.moves.take(job)
                self._ready.append(job)
                self._in_flight = None
            elif queue_due is not None and queue_due <= now:
                self._plan(self.queue, False, now, wall, source)
            else:
                self._plan(self.held, True, now, wall, source)
        job = self._probe or (self._ready.popleft() if self._ready else None)
        if job is None and not self.running and not self.pending:  # what had failed needs nothing any more
            self._works()
        return job

    def _plan(self, queue, held, now, wall, source):
        """Turn what is in a queue, but for what touches running jobs, into ready jobs."""
        since = queue.since
        if queue is self.queue and queue.is_whole():
            since = earliest(since, self.held.since)
            self._put_back(queue, self.held.take(), since)
        whole = queue.is_whole()
        self._in_flight = None
        if self.running:
            busy = _queue_of(self.running)
            entries = queue.take(lambda path: not busy.related(path))
            if not entries:
                self._blocked.add(queue)
                return
        else:
            entries = queue.take()
        if whole:
            self.queue.put_back(self._after_full.take(), since)
        self._flushed = (self._flushed or self.starting) and bool(self.queue)  # what follows on a full sync waits no longer than that
        settled = float("inf") if self.running else self._settled
        for job in self.mode.plan(entries, source, settled, wall):
            job.since, job.held = since, held
            self._ready.append(job)
        if any(job.then_full for job in self._ready):  # not in `queue`, where it would absorb what is known of single files
            self.held_at = max(now + self.config.delay, self._full_after, self.held_at if self.held else now)
            self.held.add(b"", WHOLE, since)

    # ---- jobs come back ----------------------------------------------------------------------

    def _judge(self, job, status, output, now, wall, told=None):
        """Return the Outcome of a job's end; told: the (Verdict, words) for one that was never started."""
        self._in_flight = None
        self._blocked.clear()
        count = len(job.entries)
        verdict, words = told or self.mode.verdict(job, status, output)
        if verdict is not Verdict.OK:
            words = job.overdue or words
        if job.moves:
            self._put_back(self.queue, self.moves.judge(job), job.since)
            if not self.takes_moves:  # any more
                self._put_back(self.queue, self.moves.places(), job.since)
                self.moves.forget()
        if job is self._probe:
            if verdict not in (Verdict.AGAIN, Verdict.DIE) or not self.starting:
                self._probe = None
                return Outcome(Verdict.OK, words if verdict is Verdict.REDO else None, False)
        else:
            self._settled = wall
        if self.running and verdict in (Verdict.OK, Verdict.LOOK, Verdict.PARTIAL):
            self._look_at_times(job, now)
        full = bool(job.entries) and job.entries[0][0] == b"" and job.entries[0][1] & WHOLE
        lasted = now - job.began
        if status is not None or told is None:  # else it could not even begin
            self.tally.ended(job, verdict, None if full else job.since, now, self._attempt(job) > 1)
        if full:
            self._full_after = now + lasted
        if verdict is Verdict.OK:
            return self._succeeded(job, count, full, lasted, wall)
        entries = [(path, marks & ~NEW) for path, marks in job.entries]
        if verdict is Verdict.LOOK:
            if not full:
                self._put_back(self.queue, entries, now)
            return self._succeeded(job, count, full, lasted, wall)
        if verdict is Verdict.REDO:
            self._put_back(self.queue, entries, job.since)
            self._unplan()
            return Outcome(verdict, words, False)
        self.last_error, self.failing_since = words, self.failing_since or wall
        if verdict is Verdict.HELD:
            self._put_back(self.held if job.held else self.queue, entries, job.since)
            self._unplan()
            return self._guard(words, now, lasted)
        if job in self._before_stop:  # what is pending gets one try after the stop
            self._before_stop.discard(job)
            self._put_back(self.queue, entries, job.since)
            self._unplan()
            return Outcome(verdict, words, False)
        self._gave_up = self.stopping
        if verdict is Verdict.PARTIAL:
            self._use_up(job)
            new_trouble = job.held or not self.held
            self._put_back(self.held, entries, job.since)
            if new_trouble:
                self._held_failures += 1
                longest = FULL_RETRY_LONGEST if full else RETRY_LONGEST
                self.held_at = now + max(self._back_off(self._held_failures, longest), 3 * lasted)
                self._works()
            else:  # new changes fail, too: they wait, but not as long
                self._failures += 1
                self.retry_at = now + self._back_off(self._failures)
                self.held_at = max(self.held_at, self.retry_at)
            self.starting = self.starting and not full
            return Outcome(verdict, words, False)
        self._put_back(self.held if job.held else self.queue, entries, job.since)
        self._unplan()
        self._failures += 1
        self.retry_at = now + self._back_off(self._failures)
        if verdict is Verdict.DIE:
            self.failed = True
            self.want_full(now)
            self.retry_at = now + FAILED_RETRY
        return Outcome(verdict, words, self.must_start)

    def _look_at_times(self, job, now):
        """Queue the directories that a job has changed and others still work below: these may set a time that they have read before."""
        busy = self._flying()
        shared = {split(path)[0] for path, _marks in job.entries if path}
        self._put_back(self.queue, [(directory, PLACE) for directory in shared if busy.below(directory)], now)

    def _use_up(self, job):
        """Let no other job delete as much as one that was free to, and has met the target."""
        if job.free:
            self.mode.released = False

    def _succeeded(self, job, count, full, lasted, wall):
        self._use_up(job)
        if full:
            self.starting = False
        self.last_success = wall
        if not self._ready and not self.running and self.retry_at is None:  # all of a plan, not a part that is easy
            self._works()
        what = "full sync finished after" if full else "%s mirrored in" % changes(count)
        if job.moves:
            what = "%d of %d renames done on the target in" % (job.done.count(True), len(job.moves))
        words = "%s %.1f s" % (what, lasted)
        return Outcome(Verdict.OK, words, False)

    def _works(self):
        super()._works()
        if not self.held:
            self._held_failures = 0
            self.last_error = self.failing_since = None

    def _attempt(self, job):
        return 1 + (self._held_failures if job.held else self._failures)

    def _paths(self, job):
        paths = [path or b"." for path, _marks in job.entries]
        for move in job.moves:
            paths += move[:2]
        return paths

    def _unplan(self):
        """Put planned jobs back: by the time they can run, they may look different."""
        if self._ready:
            self._in_flight = None
        while self._ready:
            job = self._ready.popleft()
            self._put_back(self.held if job.held else self.queue, job.entries, job.since)
            self.moves.put_back(job.moves, job.since)

    # ---- what others want to know ------------------------------------------------------------

    def inherit(self, other):
        """Take over what another sync of the same pair has not mirrored yet, and wait for its jobs to end."""
        super().inherit(other)
        if other.takes_events:  # what it was to tell of is not what is to be equal
            self._put_back(self.queue, [(b"", WHOLE)], other.oldest or self.queue.since)
            return
        other._unplan()
        for queue in (other.queue, other.held, other._after_full):
            self._adopt(queue.entries(), queue.since)
        for job in other.running:
            self._adopt([(path, marks & ~NEW) for path, marks in job.entries], job.since)
        self._adopt(other.moves.places(), other.oldest)

    def _adopt(self, entries, since):
        """Queue entries that were made under other rules: what is excluded by now must not be taken for what has become so, and removed."""
        kinds = [{self.filter.excludes(*split(path), is_dir) for is_dir in (True, False)} if path else {False} for path, _marks in entries]
        known = [entry for entry, excluded in zip(entries, kinds) if excluded == {False}]
        if any(len(excluded) == 2 for excluded in kinds):
            known.append((b"", WHOLE))
        self._put_back(self.queue, known, since)

    def remains(self):
        """Return the records (tuples of bytes) of all that is not known to be on the target, for `restore`."""
        entries = Queue(bound=BOUND)
        for queue in (self.queue, self.held, self._after_full):
            entries.put_back(queue.entries(), 0)
        for job in [*self.running, *self._ready]:
            entries.put_back(job.entries, 0)
        entries.put_back(self.moves.places(), 0)
        for job in self.running:
            for move in job.moves:
                entries.put_back([(path, WHOLE | FRESH) for path in move[:2]], 0)
        found = [(path, marks & ~NEW) for path, marks in entries.entries()]
        doubtful = [(path, marks) for path, marks in self._after_full.entries()] if entries.is_whole() else []
        return super().remains() + [(b"place", b"%d" % marks, path) for path, marks in found + doubtful]

    def restore(self, records, complete, now):
        """Queue what an earlier run has left; complete: nothing else is missing."""
        super().restore(records, complete, now)
        entries = [(record[2], int(record[1])) for record in records if record[0] == b"place"]
        if not complete:
            entries.append((b"", WHOLE))
        self._adopt(entries, now)

    def flush(self, _now):
        """Let what is queued be due, however young it is."""
        self._flushed = bool(self.queue or self.moves)

    def try_now(self, now):
        """Wait no longer for what has failed: somebody may have mended it."""
        if not self.absent:
            self.retry_at, self.held_at = None, now
        if self.tunnels is not None:
            self.tunnels.try_now(now)

    def stop(self):
        """Send what is pending as soon as possible; what fails from now on is not tried again."""
        super().stop()
        since = self.held.since
        self._put_back(self.queue, self.held.take(), since)

    @property
    def pending(self):
        """The number of queued places that are not in flight."""
        return (len(self.queue) + len(self.held) + len(self._after_full) + len(self.moves)
                + sum(job.size for job in self._ready))

    def queued(self, count):
        """Return the first queued paths (relative bytes, b"": the root), so many at most."""
        places = [path for queue in (self.queue, self.held, self._after_full) for path, _marks in queue.entries()]
        places += [path for job in self._ready for path, _marks in job.entries]
        return list(dict.fromkeys([path for path, _marks in self.moves.places()] + places))[:count]

    @property
    def oldest(self):
        """The time of the oldest change that is not known to be on the target, or None."""
        return earliest(self.queue.since, self.held.since, self._after_full.since, self.moves.since,
                         *[job.since for job in [*self.running, *self._ready]])

    @property
    def _is_planned(self):
        return bool(self._ready)

    @property
    def next_try(self):
        """The time of the next try where something failed, or None."""
        if self.tunnels is not None and self.tunnels.is_shut:
            return self.tunnels.next_try
        return self.retry_at if self.retry_at is not None else self.held_at if self.held and self.last_error else None


def _queue_of(jobs):
    """Return a Queue of all that jobs make equal, to ask what is related to it."""
    queue = Queue(bound=float("inf"))
    for job in jobs:
        queue.put_back(job.entries, 0)
    return queue
