"""One pair: what is due when, what the end of a job changes, what waits for what. All times are handed in."""

import itertools
import stat

import pytest

from world import DIRECTORY, Source, config, file, thing

from lsyncd_lite.mirror.change import FRESH, NEW, PLACE, WHOLE
from lsyncd_lite.mirror.job import Job, Verdict
from lsyncd_lite.mirror.rsync import FULL, Rsync
from lsyncd_lite.mirror.sync import FAILED_RETRY, State, Sync

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
        new.sync.released(job)
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
