"""What the commands ask of syncs: that they rest, send at once, try again, and tell whether all that was known has arrived."""

import pytest

import test_eventsync
import test_pair
from test_sync import AGAIN, OK, PARTIAL, REDO, Mode, Pair

from lsyncd_lite.mirror.change import WHOLE
from lsyncd_lite.mirror.events import Events, Kind
from lsyncd_lite.mirror.pair import AT_ONCE, State
from lsyncd_lite.report.snapshot import of_sync


def test_what_is_paused_gathers_and_goes_on_when_it_is_resumed():
    pair = Pair()
    pair.change(b"a")
    pair.sync.paused = True
    pair.change(b"b", at=100)
    assert pair.due is None and pair.take() is None and pair.sync.state is State.PAUSED and pair.sync.pending == 2
    pair.sync.stop()
    assert pair.due is None
    pair.sync.stopping, pair.sync.paused = False, False
    assert pair.sent(100) == [b"a", b"b"]


def test_what_is_paused_waits_for_no_other_to_begin():
    pair = Pair(init=True, section="www")
    pair.sync.awaits = "maxInit = 2"
    assert of_sync(pair.sync, 0)["awaits"] == "maxInit = 2"
    pair.sync.paused = True
    assert of_sync(pair.sync, 0)["awaits"] is None


def test_what_is_paused_neither_probes_nor_fails_nor_compares():
    pair = Pair(Mode(probes=True), init=True)
    pair.sync.paused = True
    pair.sync.want_full(1)
    assert pair.due is None
    pair.sync.paused = False
    assert pair.due == AT_ONCE


def test_what_is_flushed_is_due_however_young_and_only_once():
    pair = Pair()
    pair.change(b"a")
    assert pair.due == 5
    pair.sync.flush(pair.now)
    assert pair.due == AT_ONCE and pair.sent() == [b"a"]
    pair.change(b"b", at=10)
    assert pair.due == 15
    pair.sync.flush(pair.now)
    pair.sent()
    pair.sync.flush(pair.now)  # of nothing
    pair.change(b"c", at=20)
    assert pair.due == 25


def test_what_a_running_job_keeps_from_being_flushed_is_when_that_has_ended():
    pair = Pair(maxProcesses=2)
    pair.change(b"a")
    job = pair.take(5)
    pair.change(b"a", at=6)
    pair.sync.flush(6)
    assert pair.take() is None
    pair.end(job, OK, 7)
    assert pair.due == AT_ONCE


def test_a_flush_does_not_hurry_a_target_that_fails_and_a_retry_does():
    pair = Pair()
    pair.change(b"a")
    pair.run(AGAIN)
    pair.sync.flush(pair.now)
    assert pair.due > pair.now
    pair.sync.retry(pair.now)
    assert pair.due <= pair.now and pair.sent() == [b"a"]


def test_a_sync_is_settled_when_what_was_known_has_arrived_whatever_comes_meanwhile():
    pair = Pair(maxProcesses=2)
    pair.change(b"a")
    mark = pair.sync.mark(1)
    assert not pair.sync.is_settled(mark)
    job = pair.take(5)
    pair.change(b"b", at=6)
    assert not pair.sync.is_settled(mark)
    pair.end(job, OK, 7)
    assert pair.sync.is_settled(mark) and not pair.sync.is_settled(pair.sync.mark(8))


@pytest.mark.parametrize("verdict", [AGAIN, PARTIAL])
def test_what_fails_keeps_a_sync_from_being_settled(verdict):
    pair = Pair()
    pair.change(b"a")
    mark = pair.sync.mark(1)
    pair.run(verdict)
    pair.change(b"b", at=pair.now + 1)
    assert not pair.sync.is_settled(mark)
    pair.sync.retry(pair.now)
    while pair.due is not None and pair.due <= pair.now:
        pair.run(OK)
    assert pair.sync.is_settled(mark)


def test_a_start_has_to_be_over():
    pair = Pair(init=True)
    mark = pair.sync.mark(0)
    assert not pair.sync.is_settled(mark)
    pair.run(OK)
    assert pair.sync.is_settled(mark)


def test_a_start_is_due_at_once_and_no_older_than_it_is_also_after_a_retreat():
    pair = Pair(init=True, delay=15)
    assert pair.due <= 0 and pair.sync.oldest == 0
    job = pair.take()
    pair.change(b"a", at=3)
    assert pair.sync.oldest == 0
    pair.end(job, REDO)
    assert pair.due == 6  # half of the time at most
    pair.run(OK)
    assert pair.sent(7) == [b"a"]  # which a full sync does not look into
    pair.change(b"b", at=21)
    assert pair.due == 36


def test_what_has_failed_partly_is_not_forgotten_as_a_later_full_sync_takes_it():
    pair = Pair()
    pair.change(b"a")
    mark = pair.sync.mark(1)
    pair.run(PARTIAL)
    pair.sync.want_full(pair.now + 1)
    job = pair.take(pair.now + 6)
    assert job.entries[0][0] == b"" and not pair.sync.held and not pair.sync.is_settled(mark) and pair.sync.oldest == 0
    pair.end(job, OK)
    assert pair.run(OK) and pair.sync.is_settled(mark)  # which compares the content


def test_what_a_hook_was_told_in_vain_is_waited_for_also_if_it_is_told_with_something_new():
    pair = test_pair.Pair(False, ["after"], afterFailure="again")
    pair.change(b"a")
    mark = pair.sync.mark(0.1)
    assert pair.runs(after=1) == ["job a", "after a"] and not pair.sync.is_settled(mark)
    pair.change(b"b", at=0.5)
    pair.end(pair.next())
    hook = pair.next()
    assert test_pair.called(hook) == "after a b" and not pair.sync.is_settled(mark)
    pair.end(hook)
    assert pair.sync.is_settled(mark)


def test_what_only_a_later_full_sync_makes_equal_is_not_settled_before():
    class Linking(Mode):
        def plan(self, entries, source, settled, wall):
            jobs = super().plan(entries, source, settled, wall)
            jobs[0].then_full = entries[0][0] != b""
            return jobs
    pair = Pair(Linking())
    pair.change(b"a")
    mark = pair.sync.mark(1)
    pair.run(OK)
    assert not pair.sync.is_settled(mark) and pair.sync.held.entries() == [(b"", WHOLE)]
    pair.run(OK)
    assert pair.sync.is_settled(mark)


def test_a_heir_is_paused_as_the_one_before():
    old, new = Pair(), Pair()
    old.sync.paused = True
    new.sync.inherit(old.sync)
    assert new.sync.paused


def test_the_first_queued_paths_are_named():
    pair = Pair()
    pair.change(b"a", b"b", b"c")
    assert sorted(pair.sync.queued(10)) == [b"a", b"b", b"c"] and len(pair.sync.queued(2)) == 2 and pair.sync.queued(0) == []


# ---- events --------------------------------------------------------------------------------------

def test_an_era_is_over_when_its_events_and_what_they_have_led_to_are_done():
    events = Events()
    events.add(Kind.CREATE, b"d", True, 0, 0)
    era = events.mark()
    events.add(Kind.CREATE, b"later", False, 1, 1)
    directory = events.take(1)
    events.add(Kind.CREATE, b"d/x", False, 1, 1, True, directory.era)
    events.done(directory)
    assert not events.is_over(era)
    while events.next_due() is not None:
        event = events.take(9)
        if event.path == b"later":
            events.put_back([event], None)
        else:
            events.done(event)
    assert events.is_over(era) and not events.is_over(events.mark())


def test_a_directory_of_which_the_names_are_still_to_be_told_is_not_settled():
    pair = test_eventsync.Pair(init=False)
    pair.sync.starting = False
    pair.source.files[b"d/x"] = test_eventsync.FILE
    pair.tell(Kind.CREATE, b"d", is_dir=True)
    mark = pair.sync.mark(pair.now)
    job = pair.take()
    pair.end(job, OK)
    assert not pair.sync.is_settled(mark)
    for _step in range(5):
        pair.now += 5
        job = pair.take()
        if job is not None:
            pair.end(job, OK)
    assert pair.sync.is_settled(mark)


def test_events_that_are_flushed_do_not_wait_for_their_time():
    pair = test_eventsync.Pair(init=False, delay=100)
    pair.sync.starting = False
    pair.tell(Kind.CREATE, b"a")
    assert pair.sync.next_deadline() == 100 and pair.sync.queued(5) == [b"a"]
    pair.sync.flush(1)
    assert pair.sync.next_deadline() == 1
    pair.sync.paused = True
    assert pair.sync.next_deadline() is None and pair.sync.state is State.PAUSED
