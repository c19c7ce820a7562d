"""One pair: what is due when, what the end of a job changes, what waits for what. All times are handed in."""

import itertools
import random
import stat
import time

import pytest

from world import DIRECTORY, Source, config, file, thing

from lsyncd_lite.mirror.change import FRESH, NEW, PLACE, WHOLE
from lsyncd_lite.mirror.job import RENAMES, Job, Verdict
from lsyncd_lite.mirror.moves import MOVES_KEPT, Move
from lsyncd_lite.mirror.queue import Queue
from lsyncd_lite.mirror.rsync import FULL, Rsync
from lsyncd_lite.mirror.pair import FAILED_RETRY, State
from lsyncd_lite.mirror.sync import Sync
from lsyncd_lite.paths import join, split

OK, PARTIAL, AGAIN, LOOK, REDO, DIE = (Verdict.OK, Verdict.PARTIAL, Verdict.AGAIN, Verdict.LOOK, Verdict.REDO, Verdict.DIE)
WALL = 1e9
ROOT = (b"", WHOLE)


class Mode:
    """Plans one job for all entries, or with `split` one for each; what a job "exits" with is its verdict."""

    def __init__(self, split=False, probes=False):
        self.split, self.probes, self.settled = split, probes, []

    def probe(self):
        return Job([], b"", [], "probe") if self.probes else None

    def plan(self, entries, source, settled, wall):
        self.settled.append(settled)
        return [Job([], b"", group, "batch") for group in ([[entry] for entry in entries] if self.split else [entries] if entries else [])]

    def verdict(self, job, status, output):
        return status, "it was %s" % status.value


class Pair:
    """A Sync with a clock that is moved by hand."""

    def __init__(self, mode=None, jitter=0.0, insist=True, onepass=False, there=True, **keys):
        self.now, self.jitter = 0.0, jitter
        self.source = Source({}, there)
        keys = {"init": False, "delay": 5, **keys}
        self.sync = Sync(config(**keys), mode or Mode(), self.now, WALL, lambda: self.jitter, insist, onepass)

    def change(self, *names, at=None, marks=FRESH, directory=b"/src"):
        self.now = self.now if at is None else at
        self.sync.offer(directory, {name: (marks, bool(marks & WHOLE)) for name in names}, self.now)

    def take(self, at=None):
        self.now = self.now if at is None else at
        return self.sync.take_job(self.now, WALL + self.now, self.source)

    def end(self, job, verdict, at=None, output=()):
        self.now = self.now if at is None else at
        return self.sync.on_exit(job, verdict, list(output), self.now, WALL + self.now)

    def run(self, verdict, output=(), lasts=0):
        """Wait for the next job that is due, and let it end."""
        self.now = max(self.now, self.due)
        job = self.take()
        assert job is not None
        return self.end(job, verdict, self.now + lasts, output)

    @property
    def due(self):
        return self.sync.next_deadline()

    def sent(self, at=None):
        """Return the sorted paths of a job taken now, which then succeeds."""
        job = self.take(at)
        if job is None:
            return None
        self.end(job, OK)
        return sorted(path for path, _marks in job.entries)


# ---- the window --------------------------------------------------------------------------------

def test_nothing_to_do_is_never_due():
    pair = Pair()
    assert pair.due is None and pair.take(1e6) is None and pair.sync.state is State.IDLE


def test_changes_are_sent_delay_seconds_after_the_first():
    pair = Pair()
    for at in (10, 12, 14.5):
        pair.change(b"f%d" % at, at=at)
        assert pair.due == 15
    assert pair.take(14.9) is None
    assert pair.sent(15) == [b"f10", b"f12", b"f14"]
    assert pair.due is None


def test_no_delay_means_at_once():
    pair = Pair(delay=0)
    pair.change(b"a", at=3)
    assert pair.due == 3 and pair.sent() == [b"a"]


def test_more_than_maxdelays_changes_are_due_at_once():
    pair = Pair(maxDelays=3)
    pair.change(b"a", b"b", b"c", at=10)
    assert pair.due == 15
    pair.change(b"a", at=11)  # the same place
    assert pair.due == 15
    pair.change(b"d", at=12)
    assert pair.due < 12 and len(pair.sent()) == 4


def test_however_many_changes_never_come_before_the_end_of_a_back_off():
    pair = Pair(maxDelays=3)
    pair.change(b"a", at=10)
    pair.run(AGAIN)
    pair.change(*[b"f%d" % number for number in range(100)], at=16)
    assert pair.due == 20 and pair.take(19.9) is None and len(pair.sent(20)) == 101


def test_one_job_at_a_time_unless_more_are_allowed():
    pair = Pair()
    pair.change(b"a", at=0)
    job = pair.take(5)
    pair.change(b"b", at=6)
    assert pair.due is None and pair.take(100) is None
    pair.end(job, OK, at=101)
    assert pair.due == 11 and pair.sent() == [b"b"]


def test_the_time_of_a_directory_that_two_jobs_work_in_is_looked_at_after_both():
    pair = Pair(maxProcesses=3)
    pair.change(b"a", at=0, directory=b"/src/d/deep")
    first = pair.take(5)
    pair.change(b"b", at=6, directory=b"/src/d")
    pair.change(b"c", at=6, directory=b"/src/other")
    second = pair.take(11)
    pair.end(second, OK, at=12)
    assert pair.take(100) is None  # not while the first may still set it
    pair.end(first, OK, at=101)
    assert pair.sent(110) == [b"d"] and pair.due is None


def test_a_change_while_its_job_runs_is_sent_again():
    pair = Pair()
    pair.change(b"a", at=0)
    job = pair.take(5)
    pair.change(b"a", at=6)
    pair.end(job, OK, at=7)
    assert pair.due == 11 and pair.sent(11) == [b"a"] and pair.due is None


@pytest.mark.parametrize("verdict", [AGAIN, DIE, REDO, PARTIAL, LOOK])
def test_a_change_while_its_failing_job_runs_is_not_lost(verdict):
    pair = Pair()
    pair.change(b"a", at=0)
    job = pair.take(5)
    pair.change(b"a", b"b", at=6)
    pair.end(job, verdict, at=7)
    left = set()
    while pair.due is not None:
        left.update(pair.sent(max(pair.now, pair.due)))
    assert left == {b"a", b"b"} or left >= {b""}


# ---- jobs that fail ----------------------------------------------------------------------------

def tries(pair, verdict, count):
    """Let the job fail so often; return how long each pause was."""
    pair.change(b"a")
    pauses = []
    for _number in range(count):
        pair.run(verdict)
        pauses.append(pair.due - pair.now)
    return pauses


@pytest.mark.parametrize("delay, jitter, expected", [
    (1, 0, [1, 2, 4, 8, 16, 32, 60, 60, 60]),
    (0, 0, [1, 2, 4, 8, 16, 32, 60, 60, 60]),
    (0.1, 0, [1, 2, 4, 8, 16, 32, 60, 60, 60]),
    (1, 1, [1.25, 2.5, 5, 10, 20, 40, 60, 60, 60]),
    (1, 0.5, [1.125, 2.25, 4.5, 9, 18, 36, 60, 60, 60]),
    (15, 0, [15, 30, 60, 60]),
    (15, 1, [18.75, 37.5, 60, 60]),
    (100, 0, [100, 100, 100]),
])
@pytest.mark.parametrize("verdict", [AGAIN, PARTIAL])
def test_pauses_grow_to_a_minute(delay, jitter, expected, verdict):
    assert tries(Pair(delay=delay, jitter=jitter), verdict, len(expected)) == pytest.approx(expected)


def test_pauses_grow_no_further_after_thousands_of_tries():
    assert set(tries(Pair(delay=1), AGAIN, 5000)[6:]) == {60}


@pytest.mark.parametrize("verdict", [AGAIN, PARTIAL])
def test_success_makes_the_next_pause_short_again(verdict):
    pair = Pair(delay=1)
    tries(pair, verdict, 6)
    pair.run(OK)
    assert pair.due is None and tries(pair, verdict, 2) == [1, 2]


def test_again_keeps_everything_in_one_queue_with_its_age():
    pair = Pair()
    pair.change(b"a", at=1)
    pair.run(AGAIN)
    pair.change(b"b", at=7)
    assert (pair.sync.oldest, pair.sync.pending, pair.sync.in_flight, pair.sync.next_try) == (1, 2, 0, pair.due)
    assert pair.sync.last_error == "it was again" and pair.sync.failing_since == WALL + 6 and pair.sync.state is State.WAITING
    assert pair.sent(pair.due) == [b"a", b"b"]
    assert (pair.sync.oldest, pair.sync.last_error, pair.sync.failing_since, pair.sync.next_try, pair.sync.state) == (
        None, None, None, None, State.IDLE)


def test_failing_since_is_the_first_failure():
    pair = Pair()
    tries(pair, AGAIN, 3)
    assert pair.sync.failing_since == WALL + 5


@pytest.mark.parametrize("verdict", [AGAIN, DIE, REDO])
def test_planned_jobs_are_planned_again_after_a_failure(verdict):
    pair = Pair(Mode(split=True))
    pair.change(b"a", b"b", b"c", at=0)
    pair.end(pair.take(5), verdict, at=6)
    assert pair.sync.pending == (4 if verdict is DIE else 3)  # and a full sync
    assert len(pair.sync.mode.settled) == 1
    pair.take(max(pair.now, pair.due))
    assert len(pair.sync.mode.settled) == 2


def test_redo_goes_out_at_once_and_is_no_failure():
    pair = Pair()
    pair.change(b"a", at=0)
    outcome = pair.run(REDO)
    assert outcome == (REDO, "it was redo", False) and pair.due <= pair.now and pair.sync.last_error is None
    assert pair.sent() == [b"a"]


def test_what_vanished_under_a_job_is_looked_at_once_more():
    pair = Pair()
    pair.change(b"a", b"b", at=0)
    outcome = pair.run(LOOK)
    assert outcome.verdict is OK and pair.sync.last_error is None and pair.sync.last_success == WALL + 5
    assert pair.due == 10 and pair.sent(10) == [b"a", b"b"] and pair.due is None


def test_what_vanished_under_a_full_sync_tells_itself():
    pair = Pair(init=True)
    pair.run(LOOK)
    assert pair.due is None and not pair.sync.starting


# ---- partial: what is held ---------------------------------------------------------------------

def test_what_a_job_left_undone_is_held_and_does_not_hold_up_others():
    pair = Pair(delay=1)
    pair.change(b"bad", b"good", at=0)
    outcome = pair.run(PARTIAL, [b'cannot open "/src/bad"'])
    assert outcome == (PARTIAL, "it was partial", False)
    assert (pair.sync.pending, pair.sync.state, pair.due) == (2, State.WAITING, 2)
    pair = Pair(delay=1)
    tries(pair, PARTIAL, 6)  # now held for half a minute
    held_until = pair.due
    pair.change(b"other")
    assert pair.due == pair.now + 1 and pair.sent(pair.due) == [b"other"]
    assert pair.sync.last_error == "it was partial" and pair.sync.next_try == held_until == pair.due


def test_held_changes_are_told_until_they_are_sent():
    pair = Pair(delay=1)
    tries(pair, PARTIAL, 1)
    assert pair.sync.last_error and pair.sync.failing_since == WALL + 1
    pair.run(OK)
    assert (pair.sync.last_error, pair.sync.failing_since, pair.sync.state, pair.sync.pending) == (None, None, State.IDLE, 0)


def test_new_changes_that_fail_too_wait_with_what_is_held():
    pair = Pair(delay=1)
    tries(pair, PARTIAL, 6)
    held_until = pair.due
    pair.change(b"also bad")
    pair.run(PARTIAL)
    assert pair.due == held_until and pair.sync.pending == 2


def test_doubt_stays_with_all_of_a_job_that_left_some_undone():
    """What the output names may be a temporary file, escaped, or cut off: it tells nothing of what was done."""
    pair = Pair(delay=1)
    pair.change(b"bad", b"good", at=0)
    pair.run(PARTIAL, [b'rsync: [receiver] mkstemp "/dst/.bad.4Fx1Ty" failed: Permission denied (13)'])
    assert dict(pair.take(pair.due).entries) == {b"bad": FRESH, b"good": FRESH}


def test_a_full_sync_takes_over_what_is_held():
    pair = Pair(delay=1)
    tries(pair, PARTIAL, 6)
    pair.sync.want_full(pair.now)
    assert pair.sent(pair.now + 1) == [b""] and pair.sync.last_error is None
    assert pair.sent(pair.due) == [b"a"] and pair.sync.pending == 0, "what is in doubt is looked at on its own"


def test_a_partial_full_sync_is_tried_again_after_three_times_its_length():
    pair = Pair(delay=1, init=True)
    pair.run(PARTIAL, lasts=100)
    assert pair.due == pair.now + 300 and not pair.sync.starting
    pair.change(b"a")
    assert pair.due == pair.now + 1 and pair.sent(pair.due) == [b"a"]


@pytest.mark.parametrize("first", [AGAIN, DIE])
def test_a_target_that_works_again_but_for_some_files_holds_nothing_up(first):
    """After PARTIAL no pause of the failure before is left, and the sync has not failed."""
    pair = Pair(delay=1)
    tries(pair, first, 1)
    pair.run(PARTIAL)
    assert not pair.sync.failed and pair.sync.state is State.WAITING and pair.sync.next_try >= pair.now
    pair.change(b"new")
    assert pair.due <= pair.now + 1


def test_new_trouble_and_old_trouble_together_leave_no_pause_behind():
    pair = Pair(delay=1)
    tries(pair, PARTIAL, 2)
    pair.change(b"also bad")
    pair.run(PARTIAL)
    pair.run(PARTIAL)      # all that is held
    assert pair.sync.next_try > pair.now
    pair.change(b"new")
    assert pair.due == pair.now + 1


# ---- die ---------------------------------------------------------------------------------------

def test_a_sync_that_failed_for_good_is_tried_slowly_with_a_full_sync():
    pair = Pair(delay=1)
    pair.change(b"a", at=0)
    outcome = pair.run(DIE)
    assert outcome == (DIE, "it was die", False)
    assert (pair.sync.state, pair.due) == (State.FAILED, pair.now + FAILED_RETRY)
    pair.change(b"b")
    assert pair.due == pair.now + FAILED_RETRY
    assert pair.sent(pair.due) == [b""] and not pair.sync.failed
    assert pair.sent(pair.due) == [b"a", b"b"]  # a full sync compares no content
    assert pair.sync.state is State.IDLE and pair.due is None and pair.sync.pending == 0


def test_a_sync_that_keeps_failing_for_good_keeps_its_pace():
    assert tries(Pair(delay=1), DIE, 5) == [FAILED_RETRY] * 5


# ---- the start ---------------------------------------------------------------------------------

def test_a_sync_begins_with_a_full_sync_at_once():
    pair = Pair(init=True)
    assert pair.due <= 0 and pair.sync.state is State.STARTING
    job = pair.take()
    assert job.entries == [ROOT] and pair.sync.state is State.STARTING
    assert pair.end(job, OK, at=2.5) == (OK, "full sync finished after 2.5 s", False)
    assert pair.sync.state is State.IDLE and not pair.sync.starting


def test_without_init_nothing_is_sent_at_the_start():
    assert Pair().due is None and not Pair().sync.starting
    assert Pair(onepass=True).due <= 0 and Pair(onepass=True).sync.starting


@pytest.mark.parametrize("verdict, insist, init, onepass, fatal", [
    (verdict, insist, init, onepass, verdict in (AGAIN, DIE) and not insist and (init or onepass))
    for verdict, insist, init, onepass in itertools.product([AGAIN, DIE, OK, PARTIAL, LOOK, REDO], [False, True], [False, True], [False, True])])
def test_a_failure_at_the_start_is_fatal_unless_insist(verdict, insist, init, onepass, fatal):
    pair = Pair(insist=insist, init=init, onepass=onepass)
    if not init and not onepass:
        pair.change(b"a")
    assert pair.run(verdict).fatal is fatal
    if not fatal and verdict in (OK, PARTIAL, LOOK):
        pair.change(b"b")
        while pair.due is not None and not pair.run(AGAIN).fatal and pair.sync.pending:
            assert pair.now < 1000
            if pair.now > 100:
                break
        assert not pair.sync.starting


def test_after_the_start_no_failure_is_fatal():
    pair = Pair(insist=False, init=True)
    pair.run(OK)
    for verdict in AGAIN, DIE:
        pair.change(b"a")
        assert not pair.run(verdict).fatal


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("init", [True, False])
def test_a_probe_comes_first_and_alone(verdict, init):
    pair = Pair(Mode(probes=True), init=init, insist=False, maxProcesses=4)
    assert pair.due <= 0
    probe = pair.take()
    assert probe.purpose == "probe" and pair.due is None and pair.take() is None
    outcome = pair.end(probe, verdict, at=1)
    if not init or verdict not in (AGAIN, DIE):
        assert not outcome.fatal and pair.sync.last_error is None
        pair.change(b"a")
        assert pair.take(6).purpose == "batch"
    else:
        assert outcome.fatal
        assert pair.due > 1, "the next probe must not follow at once"


def test_a_probe_that_fails_is_tried_again_later():
    pair = Pair(Mode(probes=True), init=True, delay=1)
    pauses = []
    for _number in range(5):
        assert pair.take(max(pair.now, pair.due)).purpose == "probe"
        pair.end(next(iter(pair.sync.running)), AGAIN)
        pauses.append(pair.due - pair.now)
    assert pauses == [1, 2, 4, 8, 16]
    pair.run(OK)
    assert pair.take().entries == [ROOT]


# ---- the end -----------------------------------------------------------------------------------

def test_stop_sends_what_is_pending_without_waiting():
    pair = Pair(Mode(split=True))
    pair.change(b"a", b"b", at=10)
    pair.sync.stop()
    assert pair.due <= 10 and sorted(pair.sent() + pair.sent()) == [b"a", b"b"] and pair.due is None


@pytest.mark.parametrize("verdict", [AGAIN, DIE, PARTIAL])
def test_what_fails_after_the_stop_is_not_tried_again(verdict):
    pair = Pair()
    pair.change(b"a", at=0)
    pair.sync.stop()
    pair.run(verdict)
    assert pair.due is None and pair.take(1e6) is None and pair.sync.pending >= 1


@pytest.mark.parametrize("verdict", [AGAIN, DIE, PARTIAL])
def test_what_fails_at_the_stop_gets_one_try(verdict):
    pair = Pair()
    pair.change(b"a", at=0)
    job = pair.take(5)
    pair.change(b"b", at=6)
    pair.sync.stop()
    assert not pair.end(job, verdict, at=6).fatal
    assert pair.take().entries == [(b"a", FRESH), (b"b", FRESH)] or pair.sync.in_flight == 2
    pair.end(next(iter(pair.sync.running)), verdict)
    assert pair.due is None and pair.take(1e6) is None and pair.sync.pending >= 2


@pytest.mark.parametrize("verdict", [AGAIN, DIE, PARTIAL])
def test_what_has_failed_before_the_stop_gets_one_try_without_its_pause(verdict):
    pair = Pair(delay=1)
    tries(pair, verdict, 4)
    pair.change(b"b")
    pair.sync.stop()
    assert pair.due <= pair.now
    seen = set()
    while pair.due is not None:
        assert pair.due <= pair.now
        seen.update(pair.sent())
    assert seen - {b""} == {b"a", b"b"} and pair.sync.pending == 0


def test_one_failure_of_a_target_after_the_stop_ends_it():
    pair = Pair(Mode(split=True))
    pair.change(b"a", b"b", b"c", at=0)
    pair.sync.stop()
    pair.run(AGAIN)
    assert pair.due is None and pair.sync.pending == 3


def test_a_file_that_cannot_be_sent_after_the_stop_does_not_keep_others_from_it():
    pair = Pair(Mode(split=True))
    pair.change(b"a", b"b", b"c", at=0)
    pair.sync.stop()
    pair.run(PARTIAL)
    pair.run(OK)
    pair.run(OK)
    assert pair.due is None and pair.sync.pending == 1


def test_stop_still_takes_the_other_way_for_a_broken_receiver():
    pair = Pair()
    pair.change(b"a", at=0)
    job = pair.take(5)
    pair.sync.stop()
    pair.end(job, REDO, at=6)
    assert pair.sent() == [b"a"]


def test_stop_while_a_probe_is_pending_sends_what_is_pending_after_it():
    pair = Pair(Mode(probes=True))
    pair.change(b"a", at=0)
    pair.sync.stop()
    pair.run(OK)
    assert pair.sent() == [b"a"] and pair.due is None


# ---- more than one job -------------------------------------------------------------------------

@pytest.mark.parametrize("running, queued, together", [
    ((b"a", FRESH), (b"b", FRESH), True), ((b"d/a", FRESH), (b"d/b", FRESH), True), ((b"d", WHOLE), (b"e", WHOLE), True),
    ((b"d", WHOLE), (b"dd", WHOLE), True), ((b"d", PLACE), (b"d/f", FRESH), True),  # attributes touch nothing below
    ((b"a", FRESH), (b"a", PLACE), False), ((b"d", WHOLE), (b"d/f", FRESH), False), ((b"d", WHOLE), (b"d/e/f", PLACE), False),
    ((b"d/f", FRESH), (b"d", WHOLE), False), ((b"d/e/f", PLACE), (b"d", PLACE), False), ((b"a", PLACE), ROOT, False), (ROOT, (b"a", PLACE), False),
    (ROOT, ROOT, False),
])
def test_related_places_are_never_in_two_jobs_at_once(running, queued, together):
    pair = Pair(maxProcesses=4)
    pair.sync.queue.add(*running, 0)
    job = pair.take(5)
    pair.sync.queue.add(*queued, 6)
    second = pair.take(50)
    assert (second is not None) is together
    if not together:
        assert pair.due is None, "it must not be asked again and again"
        pair.end(job, OK, at=50)
        assert [path for path, _marks in pair.take(pair.due).entries] == [queued[0]]


def test_what_is_not_related_goes_on_and_the_rest_follows():
    pair = Pair(maxProcesses=4)
    pair.change(b"a", at=0)
    first = pair.take(5)
    pair.change(b"a", b"b", at=6)
    second = pair.take(11)
    assert [path for path, _marks in second.entries] == [b"b"] and pair.due is not None
    assert pair.take(12) is None and pair.due is None
    pair.change(b"c", at=13)
    assert pair.due is not None and pair.take(pair.due + 10) is not None
    pair.end(first, OK, at=30)
    assert [path for path, _marks in pair.take(30).entries] == [b"a"]


def test_maxprocesses_is_the_limit():
    pair = Pair(Mode(split=True), maxProcesses=3)
    pair.change(*[b"f%d" % number for number in range(5)], at=0)
    jobs = [pair.take(5) for _number in range(5)]
    assert jobs[3:] == [None, None] and pair.due is None and (pair.sync.in_flight, pair.sync.pending) == (3, 2)
    pair.end(jobs[1], OK)
    assert pair.take() is not None and pair.take() is None


def test_no_time_is_trusted_while_another_job_runs():
    pair = Pair(maxProcesses=4)
    pair.change(b"a", at=0)
    job = pair.take(5)
    pair.change(b"b", at=6)
    pair.end(pair.take(11), OK, at=20)
    pair.end(job, OK, at=30)
    pair.change(b"c", at=31)
    pair.take(36)
    assert pair.sync.mode.settled == [WALL, float("inf"), WALL + 30]


def test_no_job_is_planned_for_nothing():
    """A mode may look at the first entry: the daemon ended with a defect."""
    pair = Pair(maxProcesses=2)
    pair.change(b"a")
    job = pair.take(5)
    pair.change(b"a")
    planned = len(pair.sync.mode.settled)
    assert pair.take(10) is None and len(pair.sync.mode.settled) == planned
    pair.end(job, OK)
    assert pair.sent(10) == [b"a"]


def test_a_blocked_change_holds_up_nothing_else():
    """What is held waits for a running job; changes that touch neither must not wait with it, nor the other way round."""
    pair = Pair(delay=1, maxProcesses=2)
    pair.change(b"d/f", at=0)
    pair.run(PARTIAL)                                      # d/f is held until 2
    pair.sync.queue.add(b"d/f", PLACE, 1)
    job = pair.take(2)                                     # and changed again: this job takes long
    assert [path for path, _marks in job.entries] == [b"d/f"]
    pair.change(b"other", at=2)
    assert pair.take(2.5) is None                          # what is held touches the job
    assert pair.due == 3 and [path for path, _marks in pair.take(3).entries] == [b"other"]


def linked_pair(**keys):
    """Return a Pair with a changed file of two names, and what its jobs were for, up to now."""
    keys = {"delay": 1, "maxProcesses": 4, **keys}
    pair = Pair(Rsync(config(init=False, rsync={"hard_links": True}, **keys), {}), **keys)
    pair.source = Source({b"h": file(nlink=2), b"other": file(), b"new": file()})
    if pair.due is not None:
        pair.run(0)  # the probe
    pair.change(b"h", b"other", at=pair.now)
    return pair


def until_full(pair):
    """Let jobs succeed until one is a full sync; return it, still running."""
    for _number in range(10):
        assert pair.due is not None, "nothing is due"
        job = pair.take(max(pair.now, pair.due))
        if job is not None and job.purpose == FULL:
            return job
        pair.end(job, 0)
    raise AssertionError("no full sync")


@pytest.mark.parametrize("delete", [True, False, "startup", "running"])
def test_a_changed_file_of_several_names_needs_a_full_sync(delete):
    """Only that knows its other names (rsync -H)."""
    pair = linked_pair(delete=delete)
    pair.end(until_full(pair), 0)
    assert pair.due is None and pair.sync.pending == 0 and pair.sync.last_error is None
    pair.change(b"other")
    assert pair.take(pair.due).purpose != FULL


def test_a_full_sync_for_hard_links_runs_alone():
    """It removes on the target what its list does not hold, so what another job sends meanwhile is lost."""
    pair = linked_pair()
    job = until_full(pair)
    pair.change(b"new")
    assert pair.take(pair.now + 10) is None
    pair.end(job, 0)
    assert pair.take(pair.due).entries == [(b"new", FRESH)]


def test_a_wanted_full_sync_for_hard_links_is_no_trouble():
    pair = linked_pair(maxProcesses=1)
    pair.run(0)
    while pair.sync.pending:
        assert (pair.sync.last_error, pair.sync.next_try) == (None, None) and pair.sync.state in (State.IDLE, State.SYNCING)
        pair.run(0)


def test_stop_sends_the_full_sync_for_hard_links_too():
    pair = linked_pair(maxProcesses=1)
    pair.sync.stop()
    pair.end(until_full(pair), 0)
    assert pair.due is None and pair.sync.pending == 0


# ---- Moves -------------------------------------------------------------------------------------

DOUBT = WHOLE | FRESH
UNKNOWN = [None] * 9


class Renaming(Mode):
    """As Mode, with renames; these "exit" with (verdict, what `done` of the job is to be)."""

    takes_moves = True

    def rename(self, moves, source):
        return Job([], b"", [], RENAMES, list(moves))

    def verdict(self, job, status, output):
        if job.moves:
            status, done = status
            job.done = done and done[:len(job.moves)]
            self.takes_moves = status is not REDO
        return super().verdict(job, status, output)


class Moving(Pair):
    """A pair whose target can rename."""

    def __init__(self, mode=None, **keys):
        super().__init__(mode or Renaming(), **{"delay": 1, **keys})

    def move(self, origin, place, is_dir=False, at=None):
        self.now = self.now if at is None else at
        self.sync.offer_move(Move(b"/src/" + origin, b"/src/" + place, is_dir), self.now)

    def rename(self, *done, verdict=OK):
        """Let the renames that are due end; done: True, False or None for each, nothing: all."""
        self.now = max(self.now, self.due)
        job = self.take()
        assert job.purpose == RENAMES
        self.end(job, (verdict, list(done) or [True] * len(job.moves)))
        return job

    @property
    def waiting(self):
        return [(move.origin, move.place) for move in self.sync.moves]

    @property
    def queued(self):
        """What is queued beside the attributes of where files were renamed to."""
        return {path: marks for path, marks in self.sync.queue.entries() if marks or path not in {place for _origin, place in self.waiting}}


def test_moves_come_first_and_alone():
    pair = Moving(Renaming(split=True), maxProcesses=4)
    pair.change(b"x", b"y", at=0)
    pair.move(b"a", b"b", at=0.5)
    job = pair.take(1)
    assert job.moves == [Move(b"a", b"b", False)] and not job.entries
    pair.change(b"z", at=2)
    assert pair.due is None and pair.take(100) is None
    pair.end(job, (OK, [True]))
    assert pair.take(100).entries and pair.take(100).entries


def test_moves_wait_for_what_runs_and_hold_up_what_is_ready():
    pair = Moving(Renaming(split=True), maxProcesses=2)
    pair.change(b"x", b"y", b"z", at=0)
    first, second = pair.take(1), pair.take(1)
    pair.move(b"a", b"b", at=2)
    assert pair.due is None and pair.sync.pending >= 2
    pair.end(first, OK, at=3)
    assert pair.due is None and pair.take(10) is None
    pair.end(second, OK, at=10)
    assert pair.take(10).moves == [Move(b"a", b"b", False)]


def test_a_directory_that_is_renamed_while_a_job_of_renames_looks_into_it_is_looked_at_whole():
    """The job makes the attributes of directories equal; of one that has another name by then it removes what is above it."""
    class Looking(Renaming):
        def rename(self, moves, source):
            return Job([], b"", [(b"d/e", PLACE)], RENAMES, list(moves))

    pair = Moving(Looking())
    pair.move(b"x", b"y", at=0)  # asks what is in flight: nothing
    pair.move(b"d/e/f", b"d/e/g", at=0)
    job = pair.take(1)
    pair.move(b"d", b"swap", True, at=2)
    pair.move(b"other", b"d", True)
    assert pair.queued[b"swap"] == WHOLE | FRESH
    pair.end(job, (OK, [True, True]))
    pair.rename()
    assert pair.queued[b"swap"] == WHOLE | FRESH


def test_moves_are_sent_delay_seconds_after_the_first():
    pair = Moving()
    pair.move(b"a", b"b", at=10)
    pair.move(b"c", b"d", at=10.9)
    assert pair.due == 11 and pair.take(10.95) is None
    assert len(pair.rename().moves) == 2


def test_moves_count_as_changes():
    pair = Moving(maxDelays=4, delay=5)
    pair.move(b"d", b"e", True, at=10)
    pair.change(b"x", b"y", b"z", at=11)
    assert pair.due == 15
    pair.move(b"f", b"g", True, at=12)
    assert pair.due < 12 and pair.sync.pending == 5


def test_what_changes_below_the_place_of_a_move_follows_it():
    pair = Moving()
    pair.move(b"d", b"e", True, at=0)
    pair.change(b"f", directory=b"/src/e")
    assert pair.waiting == [(b"d", b"e")] and pair.queued == {b"e/f": FRESH}
    pair.rename()
    assert pair.take(pair.due).entries == [(b"e/f", FRESH)]


def test_what_is_queued_at_the_origin_goes_along():
    pair = Moving()
    pair.change(b"f", b"s/g", directory=b"/src/d", at=0)
    pair.change(b"d", marks=PLACE)
    pair.move(b"d", b"e", True)
    assert pair.waiting == [(b"d", b"e")]
    assert {b"e": PLACE, b"e/f": FRESH, b"e/s/g": FRESH}.items() <= dict(pair.sync.queue.entries()).items()


def test_the_place_of_a_file_is_looked_at_once_more():
    """mv f c; mv /out/x c: the kernel merges an event with the last one if they differ in nothing but the cookie (inotify_fsnotify.c)."""
    pair = Moving()
    pair.move(b"f", b"c")
    assert pair.sync.queue.covering(b"c") is not None
    pair.rename()
    assert b"c" in dict(pair.take(pair.due).entries)


# where the target has not what the place must hold

@pytest.mark.parametrize("where", ["queue", "held", "after full", "running", "ready"])
@pytest.mark.parametrize("path, marks, worth", [
    (b"d/f", FRESH, False), (b"d/f", WHOLE, False), (b"d/f", DOUBT, False), (b"d/f", WHOLE | NEW, False), (b"d", WHOLE, False), (b"d", WHOLE | NEW, False),
    (b"", WHOLE, False),
    (b"d/f", PLACE, True), (b"d", PLACE, True), (b"d", FRESH, True), (b"d/f/g", FRESH, True), (b"d/f/g", WHOLE, True), (b"d/ff", WHOLE, True), (b"", PLACE, True)])
@pytest.mark.parametrize("is_dir", [False, True])
def test_a_move_of_what_the_target_has_not_is_two_places(where, path, marks, worth, is_dir):
    pair = Moving(Renaming(split=True))
    queue = {"queue": pair.sync.queue, "held": pair.sync.held, "after full": pair.sync._after_full}.get(where)
    if queue is not None:
        queue.add(path, marks, 0)
    else:
        names = [path] if where == "running" else [path, b"zz"]
        for name in names:
            pair.sync.queue.add(name, marks, 0)
        if pair.take(10).entries[0][0] != path and where == "running":
            raise AssertionError("another job")
        if where == "ready" and not any(entry[0] == path for job in pair.sync._ready for entry in job.entries):
            return  # it runs
    before = pair.sync.pending
    pair.move(b"d/f", b"x", is_dir, at=10)
    if worth:
        assert pair.waiting == [(b"d/f", b"x")] and pair.sync.pending > before
    else:
        assert pair.waiting == []
        found = pair.sync.queue
        assert found.covering(b"d/f") is not None and found.covering(b"x") & (WHOLE if is_dir else FRESH)


@pytest.mark.parametrize("marks", [PLACE, FRESH, WHOLE])
@pytest.mark.parametrize("inside", [b"", b"/g", b"/g/h", b"/g/h/i"])
def test_a_running_job_may_have_taken_all_that_is_above_its_places(marks, inside):
    """mv d e; mv y d: the job looks for d/g/h, and where the new d has no g, g goes as a whole, before d is renamed on the target.

    mv x d/z; mv d e: all of d goes, and is made anew for d/z.
    """
    pair = Moving()
    pair.sync.queue.add(b"d" + inside, marks, 0)
    job = pair.take(5)
    pair.move(b"x", b"d/z", at=6)
    pair.move(b"d", b"e", True)
    pair.move(b"y", b"d", True)
    pair.end(job, OK, at=7)
    pair.rename()
    whole = dict(pair.take(pair.due).entries)[b"e"]
    assert whole == DOUBT or marks and not inside and whole == WHOLE | NEW  # not renamed at all


def test_a_running_job_may_have_met_a_file_under_either_name():
    pair = Moving()
    pair.change(b"a", marks=PLACE, at=0)
    job = pair.take(5)
    pair.move(b"a", b"b", at=6)
    pair.end(job, OK, at=7)
    pair.rename()
    assert dict(pair.take(pair.due).entries) == {b"b": FRESH}


@pytest.mark.parametrize("rules, origin, place, is_dir, moved", [
    ([("-", b"*.o", "")], b"a", b"b", False, True), ([("-", b"*.o", "")], b"a.o", b"b", False, False), ([("-", b"*.o", "")], b"a", b"b.o", False, False),
    ([("-", b"*.o", "")], b"a.o", b"b.o", False, False), ([("-", b"*.o", "")], b"x.o/a", b"b", False, False), ([("-", b"*.o", "")], b"a", b"x.o/b", False, False),
    ([("-", b"*.o", "")], b"d", b"e", True, True), ([("-", b"no/", "")], b"d", b"no", True, False), ([("-", b"no/", "")], b"d", b"no", False, True),
    # what counts is where something stands: other things may be excluded in a directory of another name
    ([("-", b"/d/x", "")], b"d", b"e", True, False), ([("-", b"/d/x", "")], b"a", b"e", False, True), ([("-", b"d/x", "")], b"y", b"z", True, False),
    ([("-", b"d/**", "")], b"y", b"z", True, False), ([("-", b"a**b", "")], b"y", b"z", True, False), ([("-", b"/x", "")], b"y", b"z", True, False),
    ([("+", b"/keep", ""), ("-", b"*.o", "")], b"y", b"z", True, False), ([("-", b"x/", "")], b"y", b"z", True, True),
])
def test_moves_and_rules(rules, origin, place, is_dir, moved):
    pair = Moving(rules=rules)
    pair.move(origin, place, is_dir)
    assert bool(pair.waiting) is moved
    if not moved:
        wanted = [path for path in (origin, place) if not pair.sync.filter.deciding(path, is_dir)[0]]
        assert sorted(path for path, _marks in pair.sync.queue.entries()) == sorted(wanted)
        assert place not in wanted or pair.sync.queue.covering(place) & (WHOLE if is_dir else FRESH)


def test_a_move_where_the_target_renames_nothing_is_two_places():
    pair = Pair()
    pair.sync.mode.takes_moves = False
    pair.sync.offer_move(Move(b"/src/a", b"/src/b", False), 0)
    pair.sync.offer_move(Move(b"/src/d", b"/src/e", True), 0)
    found = dict(pair.sync.queue.entries())
    assert (found[b"a"], found[b"b"], found[b"d"], found[b"e"] & WHOLE) == (PLACE, FRESH, PLACE, WHOLE)


@pytest.mark.parametrize("origin, place, is_dir, expected", [
    (b"/other/a", b"/src/b", False, {b"b": FRESH}), (b"/src/a", b"/other/b", False, {b"a": PLACE}), (b"/other/a", b"/other/b", False, {}),
    (b"/src2/a", b"/src/b", True, {b"b": WHOLE | NEW}),
    (b"/other/d", b"/src", True, {b"": WHOLE}), (b"/src", b"/other/d", True, {b"": PLACE})])
def test_moves_into_and_out_of_the_source(origin, place, is_dir, expected):
    """The source lies in a larger watched tree."""
    pair = Moving()
    pair.sync.offer_move(Move(origin, place, is_dir), 0)
    assert not pair.sync.moves and {path: marks & ~(0 if path else NEW) for path, marks in pair.sync.queue.entries()} == expected


def test_more_moves_than_are_kept_become_places():
    pair = Moving()
    for number in range(MOVES_KEPT + 5):
        pair.move(b"a%d" % number, b"b%d" % number)
    assert len(pair.waiting) == MOVES_KEPT
    assert pair.sync.queue.covering(b"b%d" % MOVES_KEPT) == FRESH and pair.sync.queue.covering(b"a%d" % MOVES_KEPT) == PLACE


def test_held_and_what_follows_a_full_sync_go_along():
    pair = Moving()
    pair.change(b"f", directory=b"/src/d", at=0)
    pair.run(PARTIAL)
    pair.sync._after_full.add(b"d/g", FRESH, 1)
    pair.move(b"d", b"e", True)
    assert pair.waiting and pair.sync.held.covering(b"e/f") == FRESH and pair.sync._after_full.covering(b"e/g") == FRESH


# how they end

def test_renames_that_are_done_are_forgotten():
    pair = Moving()
    pair.move(b"d", b"e", True)
    pair.move(b"e/x", b"f", True)
    pair.rename()
    assert (pair.due, pair.sync.pending, pair.sync.in_flight, pair.sync.oldest, pair.sync.state) == (None, 0, 0, None, State.IDLE)
    pair.change(b"d", b"e", b"f", marks=WHOLE)
    assert set(pair.queued.values()) == {WHOLE | NEW}, "what ended long ago brings no doubt"


def test_words_tell_how_many_renames_were_done():
    pair = Moving()
    for name in b"abc":
        pair.move(b"%c" % name, b"%c2" % name, True)
    job = pair.take(pair.due)
    assert pair.end(job, (OK, [True, False, True])).words.startswith("2 of 3 renames done on the target in 0.0 s")


def test_a_rename_that_failed_is_two_places_in_doubt():
    pair = Moving()
    pair.move(b"a", b"b", True, at=3)
    pair.move(b"c", b"d", True, at=3)
    pair.rename(False, True)
    assert pair.queued == {b"a": DOUBT, b"b": DOUBT} and not pair.waiting and pair.sync.oldest == 3
    assert dict(pair.take(pair.due).entries) == {b"a": DOUBT, b"b": DOUBT}


@pytest.mark.parametrize("moves, failed, doubtful", [
    ([(b"a", b"b"), (b"b", b"c")], 0, {b"a", b"b", b"c"}),
    ([(b"a", b"b"), (b"b", b"c"), (b"c", b"d/e")], 0, {b"a", b"b", b"c", b"d/e"}),
    ([(b"a", b"b"), (b"b", b"c")], 1, {b"b", b"c"}),
    ([(b"a", b"d/b"), (b"d", b"e")], 0, {b"a", b"d/b", b"e/b"}),
    ([(b"d/a", b"b"), (b"d", b"e")], 0, {b"d/a", b"b", b"e/a"}),
    ([(b"a", b"t"), (b"b", b"a"), (b"t", b"b")], 0, {b"a", b"t", b"b"}),
    ([(b"a", b"t"), (b"b", b"a"), (b"t", b"b")], 1, {b"a", b"b"}),
    ([(b"x", b"y"), (b"a", b"b")], 1, {b"a", b"b"}),
    # out of a place whose own move has failed: what it took may be what stood there before
    ([(b"y", b"d"), (b"d/g", b"z")], 0, {b"y", b"d", b"z"}),
    ([(b"y", b"d"), (b"d/g", b"z"), (b"z", b"w")], 0, {b"y", b"d", b"z", b"w"}),
    ([(b"y", b"d"), (b"d/g/h", b"q/z"), (b"q", b"r")], 0, {b"y", b"d", b"q/z", b"r/z"}),
    ([(b"y", b"d"), (b"y/g", b"z")], 0, {b"y", b"d", b"z"}),
    ([(b"y", b"d"), (b"d/g", b"d/h"), (b"d", b"e")], 0, {b"y", b"d", b"e"}),
])
@pytest.mark.parametrize("together", [True, False])
def test_a_failed_rename_is_in_doubt_wherever_later_ones_took_it(moves, failed, doubtful, together):
    pair = Moving()
    for origin, place in moves[:None if together else failed + 1]:
        pair.move(origin, place, True)
    job = pair.take(pair.due)
    for origin, place in moves[failed + 1:] if not together else ():  # they come while it runs
        pair.move(origin, place, True)
    pair.end(job, (OK, [number != failed for number in range(len(job.moves))]))
    found = pair.sync.queue
    for path in doubtful:
        marks = found.covering(path)
        assert marks is not None and marks & FRESH and marks & WHOLE, path
    assert {path for path, marks in found.entries() if marks & FRESH} <= doubtful
    while pair.waiting:
        assert not pair.rename().entries


@pytest.mark.parametrize("second", ["in the same call", "while the first runs"])
def test_a_move_out_of_a_directory_whose_move_failed_is_in_doubt(second):
    """mv d /out; mv y d; mv d/g z: there d is in the way of y, and its old g becomes z."""
    pair = Moving()
    pair.change(b"d", marks=PLACE)
    pair.move(b"y", b"d", True)
    if second == "in the same call":
        pair.move(b"d/g", b"z")
        pair.rename(False, True)
    else:
        job = pair.take(pair.due)
        pair.move(b"d/g", b"z")
        pair.end(job, (OK, [False]))
        if pair.waiting:
            pair.rename(True)
    marks = pair.sync.queue.covering(b"z")
    assert marks is not None and marks & FRESH


def test_what_failed_before_it_began_is_tried_again_in_its_order_without_doubt():
    pair = Moving()
    pair.move(b"a", b"t", True, at=3)
    pair.move(b"t", b"b", True)
    job = pair.take(4)
    pair.move(b"b", b"c", True, at=5)
    outcome = pair.end(job, (AGAIN, None), at=6)
    assert outcome.verdict is AGAIN and pair.waiting == [(b"a", b"t"), (b"t", b"b"), (b"b", b"c")]
    assert pair.queued == {} and pair.sync.oldest == 3 and pair.due == 7 and pair.sync.state is State.WAITING and pair.sync.last_error
    assert [move[:2] for move in pair.rename().moves] == [(b"a", b"t"), (b"t", b"b"), (b"b", b"c")]
    assert pair.sync.pending == 0 and pair.sync.last_error is None


def test_what_may_have_begun_is_tried_again_and_compared():
    pair = Moving()
    pair.move(b"a", b"b", True, at=3)
    pair.move(b"b/x", b"c", True)
    job = pair.take(4)
    pair.move(b"c", b"d", True, at=5)
    pair.end(job, (AGAIN, UNKNOWN), at=6)
    assert pair.waiting == [(b"a", b"b"), (b"b/x", b"c"), (b"c", b"d")]
    for path in b"a", b"b", b"b/x", b"c", b"d":
        assert pair.sync.queue.covering(path) == DOUBT, path
    pair.rename()
    assert pair.take(pair.due).entries


def test_pauses_of_renames_grow_as_others():
    pair, pauses = Moving(), []
    pair.move(b"a", b"b", True)
    for _number in range(4):
        pair.rename(None, verdict=AGAIN)
        pauses.append(pair.due - pair.now)
    assert pauses == [1, 2, 4, 8]


def test_moves_that_wait_become_places_when_the_target_takes_none():
    pair = Moving()
    pair.move(b"a", b"b", True)
    job = pair.take(pair.due)
    pair.move(b"b", b"c", True)
    pair.move(b"x", b"y", True)
    outcome = pair.end(job, (REDO, [False]))
    assert outcome.verdict is REDO and not pair.waiting and pair.due <= pair.now + 1
    for path in b"a", b"b", b"c", b"x", b"y":
        assert pair.sync.queue.covering(path) & WHOLE, path
    assert pair.sync.queue.covering(b"c") & FRESH and pair.sync.queue.covering(b"y") & FRESH
    entries = pair.take(max(pair.now, pair.due)).entries
    assert {path for path, _marks in entries} == {b"a", b"b", b"c", b"x", b"y"}
    pair.end(next(iter(pair.sync.running)), OK)
    pair.move(b"p", b"q", True)
    assert not pair.waiting and pair.sync.queue.covering(b"q") & WHOLE


@pytest.mark.parametrize("entries", [[], [(b"", PLACE)], [(b"e", PLACE)]])
def test_times_that_could_not_be_set_are_places(entries):
    pair = Moving()
    pair.move(b"d/a", b"b")
    job = pair.take(pair.due)
    job.entries = entries
    pair.end(job, (LOOK if entries else OK, [True]))
    assert dict(pair.sync.queue.entries()).items() >= dict(entries).items()


# what is new

@pytest.mark.parametrize("path", [b"a", b"b", b"a/x", b"b/x/y", b"d", b"d/c"])
@pytest.mark.parametrize("when", ["waiting", "running", "failed", "killed"])
def test_nothing_is_new_where_a_move_begins_or_ends(path, when):
    pair = Moving()
    pair.move(b"a", b"b", True)
    pair.move(b"c", b"d/c", True)
    if when != "waiting":
        job = pair.take(pair.due)
    if when in ("failed", "killed"):
        pair.end(job, (OK, [False, False]) if when == "failed" else (AGAIN, UNKNOWN))
    directory, _slash, name = path.rpartition(b"/")
    pair.change(name, marks=WHOLE, directory=b"/src/" + directory if directory else b"/src")
    for queued, marks in pair.sync.queue.entries():
        assert not marks & NEW, queued


def test_a_new_directory_into_which_something_was_renamed_is_not_new():
    pair = Moving()
    pair.change(b"n", marks=WHOLE)
    assert pair.sync.queue.covering(b"n") & NEW
    pair.move(b"a", b"n/a")
    assert pair.waiting == [(b"a", b"n/a")] and not pair.sync.queue.covering(b"n") & NEW


def test_a_directory_in_the_place_of_one_that_was_renamed_is_compared():
    pair = Moving()
    pair.move(b"d", b"e", True)
    pair.change(b"d", marks=WHOLE)
    assert pair.sync.queue.covering(b"d") == DOUBT


# the end, and another beginning

def test_stop_sends_moves_first_and_without_waiting():
    pair = Moving(delay=60)
    pair.change(b"x", at=0)
    pair.move(b"a", b"b", True)
    pair.sync.stop()
    assert pair.due <= 0
    pair.rename()
    assert pair.sent() == [b"x"] and pair.due is None and pair.sync.pending == 0


@pytest.mark.parametrize("done", [None, [None], [False]])
def test_renames_that_run_at_the_stop_get_one_more_try(done):
    pair = Moving()
    pair.move(b"a", b"b", True)
    job = pair.take(pair.due)
    pair.move(b"c", b"d", True)
    pair.sync.stop()
    pair.end(job, (AGAIN, done) if done != [False] else (OK, done))
    assert pair.due <= pair.now
    job = pair.rename()
    assert [move[:2] for move in job.moves] == ([(b"a", b"b")] if done != [False] else []) + [(b"c", b"d")]
    if done:
        assert set(pair.sent()) == {b"a", b"b"}
    assert pair.due is None and pair.sync.pending == 0


def test_renames_that_fail_after_the_stop_are_not_tried_again():
    pair = Moving()
    pair.move(b"a", b"b", True)
    pair.sync.stop()
    pair.rename(None, verdict=AGAIN)
    assert pair.due is None and pair.take(1e6) is None and pair.sync.pending >= 1


def test_inherit_takes_over_what_waits_and_what_runs_as_places():
    old = Moving()
    old.move(b"a", b"b", True, at=1)
    running = old.take(2)
    old.move(b"c", b"d", at=3)
    old.change(b"x", at=3)
    new = Moving()
    new.sync.inherit(old.sync)
    assert new.due is None and not new.waiting
    for path in b"a", b"b", b"c", b"d":
        assert new.sync.queue.covering(path) == DOUBT, path
    assert new.sync.queue.covering(b"x") == FRESH and new.sync.oldest == 1
    new.sync.released(running)
    assert new.sent(new.due) == [b"a", b"b", b"c", b"d", b"x"] and new.sync.pending == 0


def test_inherit_takes_over_what_killed_renames_left():
    old = Moving()
    old.move(b"a", b"b", True, at=1)
    old.rename(None, verdict=AGAIN)
    new = Moving()
    new.sync.inherit(old.sync)
    assert set(new.sent(new.due)) == {b"a", b"b"}


def test_counts_of_moves():
    pair = Moving()
    pair.move(b"a", b"b", True, at=1)
    pair.move(b"c", b"d", True, at=2)
    assert (pair.sync.pending, pair.sync.in_flight, pair.sync.oldest) == (2, 0, 1)
    job = pair.take(2)
    pair.move(b"e", b"f", True, at=3)
    assert (pair.sync.pending, pair.sync.in_flight, pair.sync.oldest) == (1, 2, 1) and pair.sync.state is State.SYNCING
    pair.end(job, (OK, [True, True]), at=5)
    assert (pair.sync.pending, pair.sync.in_flight, pair.sync.oldest) == (1, 0, 3)


def test_a_full_sync_wanted_while_moves_wait_comes_after_them():
    pair = Moving()
    pair.move(b"a", b"b", True, at=0)
    pair.sync.want_full(0)
    pair.move(b"c", b"d", True)
    assert pair.waiting == [(b"a", b"b")], "what a full sync will send needs no rename"
    pair.rename()
    assert pair.sent(pair.due) == [b""]


def test_moves_wait_for_a_source_and_a_probe_as_everything_does():
    pair = Moving(Renaming(probes=True))
    pair.move(b"a", b"b", True)
    assert pair.take(5).purpose == "probe" and pair.due is None
    pair.end(next(iter(pair.sync.running)), OK)
    pair.source.there = False
    assert pair.take(6) is None and pair.waiting and pair.sync.state is State.ABSENT
    pair.source.there = True
    assert pair.take(7).moves


# what it costs

@pytest.mark.parametrize("kind", ["files", "directories", "one after another", "chain", "below", "failing"])
def test_ten_thousand_moves_while_a_large_job_runs_cost_little(kind):
    pair = Moving()
    for number in range(10000):
        pair.sync.queue.add(b"d%d/f%d" % (number % 100, number), FRESH, 0)
    job = pair.take(5)
    begun = time.process_time()
    for number in range(10000):
        origin, place = {"files": (b"a/%d", b"b/%d"), "directories": (b"a/%d", b"b/%d"), "one after another": (b"x", b"y"), "chain": (b"n%d", b"n%d"),
                "below": (b"e%d", b"e%d"),
                         "failing": (b"a/%d", b"b/%d")}[kind]
        if kind == "one after another":
            origin, place = (origin, place) if number % 2 else (place, origin)
        elif kind in ("chain", "below"):
            origin, place = origin % number, place % (number + 1)
        else:
            origin, place = origin % number, place % number
        pair.move(origin, place, kind != "files")
        if kind == "below":
            pair.change(b"f", directory=b"/src/e%d" % (number + 1))
            if number == 300:
                break  # everything stays where it was, too
    assert pair.waiting
    pair.end(job, OK)
    job = pair.take(pair.due)
    pair.end(job, (OK, [kind != "failing"] * len(job.moves)))
    pair.end(pair.take(max(pair.now, pair.due)), OK) if pair.due is not None else None
    assert time.process_time() - begun < 3, "it is well below one second; slow machines may take longer"


# ---- ... against a target that is a dictionary

class Far:
    """A source and a target, {path: content, or None for a directory}; size and time of two files are never any different.

    What happens is told when it is read, which is before a job's end is judged, but not before one begins. A job
    chooses its places when it begins, or, as that of `direct` does, when it runs, which is some time before its end.
    """

    def __init__(self, seed):
        self.rnd = random.Random(seed)
        self.pair = Moving(maxProcesses=self.rnd.choice([1, 1, 3]), delay=self.rnd.choice([0, 0, 1]), delete=self.rnd.choice([True, "running"]))
        self.tree, self.number, self.jobs, self.events = {}, 0, [], []
        self.early = self.rnd.random() < 0.5
        self.busy = self.rnd.choice([0.6, 0.9, 0.97])
        for _number in range(self.rnd.choice([10, 25, 60])):
            self.write(self.any_path()) if self.rnd.random() < 0.5 else self.mkdir(self.any_path())
        self.target = dict(self.tree)
        self.events.clear()
        self.pair.source = self

    def is_directory(self):
        return True

    def any_path(self):
        directories = [path for path, content in self.tree.items() if content is None and path.count(b"/") < 3]
        return join(self.rnd.choice([b"", b"", *sorted(directories)]), self.rnd.choice([b"a", b"b", b"c", b"d"]))

    def some(self):
        return self.rnd.choice(sorted(self.tree) or [b"none"])

    def tell(self, path, marks, is_dir):
        directory, name = split(path)
        self.events.append(lambda: self.pair.sync.offer(b"/src/" + directory if directory else b"/src", {name: (marks, is_dir)}, self.pair.now))

    def read(self):
        for event in self.events:
            event()
        self.events.clear()

    def fits(self, path):
        directory = split(path)[0]
        return not directory or self.tree.get(directory, "") is None

    def write(self, path):
        if self.fits(path) and self.tree.get(path, "") is not None:
            self.number += 1
            self.tree[path] = self.number
            self.tell(path, FRESH, False)

    def mkdir(self, path):
        if self.fits(path) and path not in self.tree:
            self.tree[path] = None
            self.tell(path, WHOLE, True)

    def leave(self, path):
        """Something is moved out of the tree, with all it holds."""
        if path in self.tree:
            is_dir = self.tree[path] is None
            for name in under(self.tree, path):
                del self.tree[name]
            self.tell(path, PLACE, is_dir)

    def come(self, path):
        if self.fits(path) and path not in self.tree:
            self.tree[path] = None
            for name in b"a", b"b":
                self.number += 1
                self.tree[path + b"/" + name] = self.number
            self.tell(path, WHOLE, True)

    def rename(self, origin, place):
        if origin in self.tree and self.fits(place) and renamed(self.tree, origin, place):
            is_dir = self.tree[place] is None
            self.events.append(lambda: self.pair.move(origin, place, is_dir))

    def replace(self, path, by):
        """One thing goes, another takes its place."""
        if not (by + b"/").startswith(path + b"/"):
            self.leave(path)
            self.rename(by, path)

    def deploy(self, current, old, new):
        self.rename(current, old)
        self.rename(new, current)

    def busy_directory(self):
        """Return a directory in which a job is busy, if there is one."""
        above = [parent for job, _places, _ran in self.jobs for path, _marks in job.entries for parent in parents(path)]
        return self.rnd.choice(above or [self.some()])

    def act(self):
        self.pair.now += 0.1
        self.rnd.choice([lambda: self.rename(self.some(), self.any_path())] * 8 + [
            lambda: self.write(self.any_path()), lambda: self.mkdir(self.any_path()), lambda: self.leave(self.some()), lambda: self.come(self.any_path()),
            lambda: self.write(self.some()), lambda: self.replace(self.some(), self.some()), lambda: self.deploy(self.busy_directory(), self.any_path(), self.some())] + [
            lambda: self.deploy(self.busy_directory(), self.any_path(), self.some())] * 6 * bool(self.jobs))()

    def go_on(self, troubles):
        """Start what is due, let it run, or end it; tell whether there was anything."""
        if self.rnd.random() < 0.5 or not troubles:
            self.read()
        if self.jobs and (self.pair.due is None or self.rnd.random() < 0.7):
            job, places, ran = self.jobs.pop(self.rnd.randrange(len(self.jobs)))
            if ran:
                self.read()
                self.pair.end(job, *ran)
                return True
            if job.moves:
                ran = self.run_moves(job, troubles and self.rnd.random())
            elif troubles and self.rnd.random() < 0.3:
                self.make_equal(self.rnd.sample(places, len(places) // 2))
                ran = [self.rnd.choice([AGAIN, PARTIAL])]
            else:
                self.make_equal(places)
                ran = [OK]
            self.jobs.append((job, places, ran))
            return True
        if self.pair.due is None:
            return bool(self.jobs)
        if not troubles:
            self.pair.now = max(self.pair.now, self.pair.due)
        job = self.pair.take()
        if job:
            self.jobs.append((job, [self.standing(*entry) for entry in job.entries] if self.early else job.entries, None))
        return job is not None or bool(self.jobs)

    def run_moves(self, job, trouble):
        """Do renames, maybe not all; return how the job ends."""
        if trouble and trouble < 0.2:
            return [(AGAIN, None)]
        killed_after = self.rnd.randrange(len(job.moves) + 1) if trouble and trouble < 0.4 else len(job.moves)
        done = [number < killed_after and self.far_rename(*move) for number, move in enumerate(job.moves)]
        return [(OK, done) if killed_after == len(job.moves) and not (trouble and trouble > 0.9) else (AGAIN, [None] * len(done))]

    def far_rename(self, origin, place, is_dir):
        for path in origin, place:
            for parent in parents(path):
                if path == place and parent not in self.target:
                    self.target[parent] = None
                if self.target.get(parent, "") is not None:
                    return False
        return origin in self.target and (self.target[origin] is None) is is_dir and renamed(self.target, origin, place)

    def standing(self, path, marks):
        """Return (path, marks), or the topmost parent that is missing or no directory."""
        standing = next((parent for parent in parents(path) if self.tree.get(parent, "") is not None), path)
        return standing, marks if standing == path else PLACE

    def make_equal(self, entries):
        for path, marks in entries:
            standing, marks = self.standing(path, marks)
            if self.early and standing != path:
                self.take_away(path)  # a list names what is missing
                continue
            for parent in parents(standing):
                self.put(parent, False)
            self.put(standing, marks & FRESH)
            if marks & WHOLE:
                for name in under({**self.tree, **self.target}, standing):
                    self.put(name, marks & FRESH)

    def take_away(self, path):
        for name in under(self.target, path):
            del self.target[name]

    def put(self, path, content):
        """Make one path equal, and its content where it is looked at."""
        if path not in self.tree or path in self.target and (self.tree[path] is None) != (self.target[path] is None):
            self.take_away(path)
        if path in self.tree and (path not in self.target or content):
            self.target[path] = self.tree[path]


def under(tree, path):
    return sorted(name for name in tree if name == path or name.startswith(path + b"/"))


def parents(path):
    names = path.split(b"/")
    return [b"/".join(names[:depth]) for depth in range(1, len(names))]


def renamed(tree, origin, place):
    """Do what rename(2) does in a dictionary; tell whether it did."""
    if (place + b"/").startswith(origin + b"/") or len(under(tree, place)) > 1:
        return False
    if place in tree and (tree[place] is None) != (tree[origin] is None):
        return False
    tree.pop(place, None)
    tree.update({place + name[len(origin):]: tree.pop(name) for name in under(tree, origin)})
    return True


@pytest.mark.parametrize("seed", [*range(250), 317, 1054, 1947, 2078, 2171, 34745, 35256, 36240])  # the last: doubt that was lost once
def test_whatever_becomes_of_renames_the_target_is_equal_in_the_end(seed):
    far = Far(seed)
    for _number in range(far.rnd.choice([10, 20, 40, 80])):
        far.act() if far.rnd.random() < far.busy else far.go_on(True)
    for _number in range(300):
        if not far.go_on(False):
            break
    assert far.pair.sync.pending == 0 and not far.jobs
    assert {path: (far.target.get(path, ""), far.tree.get(path, "")) for path in {*far.target, *far.tree} if far.target.get(path, "") != far.tree.get(path, "")} == {}


# ---- sources that come and go ------------------------------------------------------------------

def test_a_source_that_is_not_there_keeps_its_changes_and_starts_nothing():
    pair = Pair()
    pair.change(b"a", at=0)
    pair.source.there = False
    assert pair.take(5) is None
    assert (pair.sync.absent, pair.sync.state, pair.due, pair.sync.pending) == (True, State.ABSENT, 6, 1)
    assert pair.take(6) is None and pair.due == 7
    pair.source.there = True
    assert pair.take(7).entries == [(b"a", FRESH)] and not pair.sync.absent


def test_a_source_that_comes_back_ends_the_waiting_for_it():
    pair = Pair(init=True)
    pair.sync.lose_source(0)
    assert pair.due == 1 and pair.sync.state is State.ABSENT
    pair.sync.find_source()
    assert pair.due <= 0 and pair.sync.state is State.STARTING


def test_finding_a_source_that_was_never_lost_changes_nothing():
    pair = Pair()
    tries(pair, AGAIN, 3)
    due = pair.due
    pair.sync.find_source()
    assert pair.due == due


def test_stop_does_not_wait_for_a_source():
    pair = Pair()
    pair.change(b"a", at=0)
    pair.source.there = False
    pair.sync.stop()
    assert pair.take(1) is None and pair.due is None


# ---- what a reload hands on --------------------------------------------------------------------

def test_inherit_takes_over_all_that_is_not_on_the_target():
    old = Pair(Mode(split=True), delay=1, maxProcesses=2)
    old.change(b"held", at=0)
    old.run(PARTIAL)
    old.change(b"run1", b"run2", b"ready", at=1.5)
    assert old.take(2.5) and old.take(2.5)
    old.change(b"queued", at=3)
    new = Pair()
    new.change(b"own", at=4)
    new.sync.inherit(old.sync)
    jobs = list(old.sync.running)
    for job in jobs:
        assert new.due is None, "two rsyncs in one target undo each other's work"
        assert new.sync.awaits == "a job that began before the reload"
        new.sync.released(job)
    assert new.sync.awaits is None
    assert len(jobs) == 2 and new.sync.oldest == 0 and new.sent(5) == [b"held", b"own", b"queued", b"ready", b"run1", b"run2"]


def test_inherit_from_a_sync_with_nothing_pending_is_nothing():
    for old in Pair(), Pair(Mode(probes=True)):
        old.take(1)
        new = Pair()
        new.sync.inherit(old.sync)
        assert new.due is None


# ---- somebody may have mended it ---------------------------------------------------------------

@pytest.mark.parametrize("verdict", [AGAIN, PARTIAL, DIE])
def test_try_now_ends_the_pauses(verdict):
    pair = Pair(delay=1)
    tries(pair, verdict, 5)
    assert pair.due > pair.now
    pair.sync.try_now(pair.now)
    assert pair.due <= pair.now or pair.sync.queue.is_whole()
    while pair.due is not None:
        pair.run(OK)
    assert pair.sync.pending == 0 and pair.sync.state is State.IDLE


def test_try_now_does_not_start_what_is_not_due_nor_what_is_not_there():
    pair = Pair()
    pair.change(b"a", at=0)
    pair.sync.try_now(1)
    assert pair.due == 5
    pair.sync.lose_source(2)
    pair.sync.try_now(2)
    assert pair.due == 5 and pair.sync.state is State.ABSENT and Pair().sync.try_now(0) is None


def test_a_success_beside_a_failure_does_not_end_its_pause():
    pair = Pair(Mode(split=True), delay=1, maxProcesses=2)
    pair.change(b"a", b"b", at=0)
    first, second = pair.take(1), pair.take(1)
    pair.end(first, AGAIN, at=2)
    pair.end(second, OK, at=2)
    assert pair.due == 3 and pair.sync.last_error == "it was again"


# ---- what is offered ---------------------------------------------------------------------------

RULES = [("+", b"/keep.o", ""), ("-", b"*.o", ""), ("-", b"d/", "")]


@pytest.mark.parametrize("source, directory, names, expected", [
    (b"/src", b"/src", {b"a": (FRESH, False)}, {b"a": FRESH}),
    (b"/src", b"/src/x/y", {b"a": (FRESH, False), b"b": (PLACE, False)}, {b"x/y/a": FRESH, b"x/y/b": PLACE}),
    (b"/src", b"/src", {b"": (PLACE, True)}, {b"": PLACE}),
    (b"/", b"/", {b"a": (FRESH, False)}, {b"a": FRESH}),
    (b"/", b"/x", {b"a": (FRESH, False)}, {b"x/a": FRESH}),
    # what is excluded
    (b"/src", b"/src", {b"a.o": (FRESH, False), b"keep.o": (FRESH, False), b"d": (WHOLE | FRESH, True)}, {b"keep.o": FRESH}),
    (b"/src", b"/src", {b"d": (FRESH, False)}, {b"d": FRESH}),
    (b"/src", b"/src/d/e", {b"f": (FRESH, False)}, {}),
    (b"/src", b"/src/x.o", {b"f": (FRESH, False)}, {}),
    # somebody else's
    (b"/src", b"/src2", {b"a": (FRESH, False)}, {}),
    (b"/src", b"/", {b"other": (FRESH, False)}, {}),
    (b"/src", b"/other/src", {b"a": (FRESH, False)}, {}),
    # the source lies in a larger watched tree: it appears with a parent
    (b"/a/b/src", b"/a/b", {b"src": (WHOLE | FRESH, True)}, {b"": WHOLE}),
    (b"/a/b/src", b"/a", {b"b": (WHOLE, True)}, {b"": WHOLE}),
    (b"/a/b/src", b"/", {b"a": (WHOLE, True), b"c": (WHOLE, True)}, {b"": WHOLE}),
    (b"/a/b/src", b"/a/b", {b"src": (PLACE, True)}, {b"": PLACE}),
    (b"/a/b/src", b"/a/b", {b"sr": (WHOLE, True), b"src2": (WHOLE, True), b"f": (FRESH, False)}, {}),
    (b"/a/b/d", b"/a/b", {b"d": (WHOLE, True)}, {b"": WHOLE}),  # rules are about what is in the source
])
def test_offers(source, directory, names, expected):
    pair = Pair(source=source, rules=RULES)
    pair.sync.offer(directory, names, 0)
    assert {path: marks & ~(NEW | (FRESH if path == b"" else 0)) for path, marks in pair.sync.queue.entries()} == expected


def test_attributes_of_what_lies_above_a_source_are_not_its_own():
    pair = Pair(source=b"/a/b/src")
    pair.sync.offer(b"/", {b"a": (PLACE, True)}, 0)
    pair.sync.offer(b"/a", {b"b": (PLACE, True)}, 0)
    assert not any(marks & WHOLE for _path, marks in pair.sync.queue.entries())


@pytest.mark.parametrize("source, path, wanted", [
    (b"/src", b"/src", True), (b"/src", b"/src/x", True), (b"/src", b"/src/x/d", False), (b"/src", b"/src/d/e", False), (b"/src", b"/src/x.o", False),
    (b"/src", b"/src/x.o/y", False), (b"/src", b"/src/keep.o", True), (b"/src", b"/src/x/keep.o", False), (b"/src", b"/other", False), (b"/src", b"/", True),
    (b"/a/d/src", b"/a/d", True), (b"/a/d/src", b"/a", True), (b"/a/d/src", b"/a/x", False), (b"/a/d/src", b"/a/d/src/y", True), (b"/", b"/d", False),
    (b"/", b"/x", True), (b"/src", b"/srcx", False)])
def test_which_directories_are_to_be_watched(source, path, wanted):
    assert Pair(source=source, rules=RULES).sync.wants_directory(path) is wanted


def test_rules_of_extra_arguments_come_after_the_others():
    sync = Pair(rules=[("+", b"a.o", "")], extra_rules=[("-", b"*.o", "")]).sync
    sync.offer(b"/src", {b"a.o": (FRESH, False), b"b.o": (FRESH, False)}, 0)
    assert sync.queue.entries() == [(b"a.o", FRESH)]


# ---- directories that appear -------------------------------------------------------------------

def doubted(pair):
    """Tell whether the next job looks at the content of what is there already."""
    job = pair.take(pair.due)
    assert [path for path, _marks in job.entries] == [b"d"]
    return job.entries[0][1] & (FRESH | NEW) == FRESH


def test_a_directory_that_appears_where_nothing_was_needs_no_look_at_content():
    pair = Pair()
    pair.change(b"d", marks=WHOLE)
    assert not doubted(pair)
    pair = Pair()
    pair.change(b"d", marks=WHOLE)
    pair.change(b"f", directory=b"/src/d")  # written there afterwards
    assert not doubted(pair)


@pytest.mark.parametrize("before", ["queued", "queued below", "held", "running", "ready"])
def test_a_directory_that_replaces_one_is_compared_by_content(before):
    pair = Pair(Mode(split=True), delay=1)
    if before == "queued below":
        pair.change(b"f", directory=b"/src/d", marks=PLACE)
    elif before == "ready":
        pair.change(b"a", b"d", at=0, marks=PLACE)
    else:
        pair.change(b"d", at=0, marks=PLACE)
    if before == "held":
        pair.run(PARTIAL)
    running = pair.take(1) if before in ("running", "ready") else None
    if before == "ready" and running.entries[0][0] == b"d":
        running, other = pair.take(1), running
        assert running is None
        running = other
    pair.change(b"d", marks=WHOLE)
    if running:
        pair.end(running, OK, at=2)
        if before == "ready":
            pair.sent()
    assert any(marks & (FRESH | NEW) == FRESH for path, marks in pair.sync.queue.entries() if path == b"d")


@pytest.mark.parametrize("delete", [False, "startup", "running"])
def test_a_directory_that_appears_may_find_an_old_one_on_a_target_that_keeps_things(delete):
    """`rm -rf d` deletes nothing there (or nothing was deleted at the start); `mv d2 d` with files of the same size and time is lost."""
    pair = Pair(delete=delete)
    pair.change(b"d", marks=PLACE, at=0)
    pair.sent(5)
    pair.change(b"d", marks=WHOLE, at=100)
    assert doubted(pair)


@pytest.mark.parametrize("verdict", [AGAIN, PARTIAL, LOOK, REDO])
def test_after_a_failed_job_nothing_counts_as_new(verdict):
    pair = Pair(delay=1)
    pair.change(b"d", marks=WHOLE, at=0)
    pair.run(verdict)
    pair.change(b"f", directory=b"/src/d")
    while pair.due is not None:
        for path, marks in pair.take(max(pair.now, pair.due)).entries:
            assert not marks & NEW
        pair.end(next(iter(pair.sync.running)), OK)


# ---- full syncs --------------------------------------------------------------------------------

def test_full_syncs_keep_a_distance_of_their_own_length():
    pair = Pair(delay=1, init=True)
    pair.run(OK, lasts=100)
    pair.sync.want_full(100)
    assert pair.due == 200 and pair.take(199) is None
    pair.run(OK, lasts=10)
    assert pair.now == 210
    pair.sync.want_full(211)
    assert pair.due == 220


def test_a_short_full_sync_waits_for_the_delay_only():
    pair = Pair(delay=5, init=True)
    pair.run(OK, lasts=0.1)
    pair.sync.want_full(50)
    assert pair.due == 55


def test_many_full_syncs_wanted_are_one():
    pair = Pair()
    for at in range(5):
        pair.sync.want_full(at)
        pair.change(b"a", at=at)
    assert pair.sent(5) == [b""] and pair.sent(pair.due) == [b"a"] and pair.due is None


@pytest.mark.parametrize("when", ["before", "after", "held", "failed", "running"])
def test_a_full_sync_does_not_swallow_the_doubt_about_a_place(when):
    """It compares size and time only: `touch -r a b; mv b a` is sent after it."""
    pair = Pair(delay=1, init=when == "after")
    if when != "after":
        pair.change(b"a", at=0)
    if when == "held":
        pair.run(PARTIAL, [b'cannot open "/src/a"'])
    elif when == "failed":
        pair.run(DIE)
    job = pair.take(1) if when == "running" else None
    pair.sync.want_full(pair.now)
    if when == "after":
        pair.change(b"a", at=0)
    if job:
        pair.end(job, AGAIN)
    found = []
    while pair.due is not None:
        job = pair.take(max(pair.now, pair.due))
        found.append(job.entries)
        pair.end(job, OK)
    assert [path for path, _marks in found[0]] == [b""] and found[-1] == [(b"a", FRESH)]


def test_a_full_sync_wanted_while_one_runs_follows():
    pair = Pair(init=True, delay=1)
    job = pair.take(0)
    pair.sync.want_full(5)
    pair.end(job, OK, at=10)
    assert pair.due == 20 and pair.sent(20) == [b""]


# ---- what others see ---------------------------------------------------------------------------

def test_states_in_the_order_of_a_life():
    pair = Pair(init=True, delay=1)
    seen = [pair.sync.state]
    seen.append(pair.run(AGAIN) and pair.sync.state)
    pair.run(OK)
    seen.append(pair.sync.state)
    pair.change(b"a")
    seen.append(pair.sync.state)
    job = pair.take(pair.due)
    seen.append(pair.sync.state)
    pair.end(job, PARTIAL)
    seen.append(pair.sync.state)
    pair.run(DIE)
    seen.append(pair.sync.state)
    pair.sync.lose_source(pair.now)
    seen.append(pair.sync.state)
    assert seen == [State.STARTING, State.WAITING, State.IDLE, State.IDLE, State.SYNCING, State.WAITING, State.FAILED, State.FAILED]


def test_words_tell_how_many_changes_a_job_brought():
    pair = Pair()
    pair.change(b"a", at=0)
    assert pair.run(OK, lasts=1.25).words in ("1 change mirrored in 1.2 s", "1 change mirrored in 1.3 s")
    pair.change(b"a", b"b")
    assert pair.run(OK).words == "2 changes mirrored in 0.0 s"


def test_oldest_pending_and_in_flight():
    pair = Pair(Mode(split=True), delay=1)
    assert (pair.sync.oldest, pair.sync.pending, pair.sync.in_flight, pair.sync.last_success) == (None, 0, 0, None)
    pair.change(b"a", b"b", at=3)
    job = pair.take(4)
    pair.change(b"c", at=5)
    assert (pair.sync.oldest, pair.sync.pending, pair.sync.in_flight) == (3, 2, 1)
    pair.end(job, OK, at=6)
    assert (pair.sync.oldest, pair.sync.pending, pair.sync.in_flight, pair.sync.last_success) == (3, 2, 0, WALL + 6)
    pair.sent()
    assert pair.sync.oldest == 5


def test_a_plan_that_needs_no_job_forgets_its_changes():
    pair = Pair(Rsync(config(delete=False), {}), delete=False)
    pair.change(b"gone", at=0, marks=PLACE)
    assert pair.take(5) is None and pair.due is None and pair.sync.pending == 0


def test_a_failure_whose_changes_are_gone_is_over():
    pair = Pair(Rsync(config(delete=False), {}), delete=False)
    pair.source.files[b"a"] = file()
    pair.change(b"a", at=0)
    pair.run(12)
    del pair.source.files[b"a"]
    assert pair.take(pair.due) is None and pair.due is None and pair.sync.pending == 0
    assert (pair.sync.last_error, pair.sync.next_try, pair.sync.state) == (None, None, State.IDLE)


def test_a_deadline_that_was_not_kept_stays():
    pair = Pair()
    pair.change(b"a", at=0)
    assert pair.due == 5 == pair.due and pair.take(4) is None and pair.due == 5


@pytest.mark.parametrize("kind", [stat.S_IFDIR, stat.S_IFLNK])
def test_the_disk_is_asked_when_the_job_runs_not_when_the_change_came(kind):
    pair = Pair(Rsync(config(), {}))
    pair.source = Source({b"d": DIRECTORY, b"d/f": file()})
    pair.end(pair.take(), 0)
    pair.change(b"f", directory=b"/src/d", at=0)
    pair.source.files[b"d"] = thing(kind)
    assert pair.take(5).stdin == (b"./d/f\0" if kind == stat.S_IFDIR else b"./d\0")
