"""What is held back: a job that would delete too much, a pair without its marker; and what a pair leaves to the next run."""

import random

import pytest

from test_eventsync import FILE, Mode as ActingMode, Pair as ActingPair
from test_sync import Mode as PlainMode, Pair as MirroringPair
from world import DIRECTORY, Source, config, file

from lsyncd_lite.config.commands import parse
from lsyncd_lite.mirror.account import ASKED
from lsyncd_lite.mirror.change import FRESH, NEW, PLACE, WHOLE
from lsyncd_lite.mirror.eventsync import MOST
from lsyncd_lite.mirror.events import Kind
from lsyncd_lite.mirror.job import CHECK, FULL, HOOK, Job, Verdict
from lsyncd_lite.mirror.moves import Move
from lsyncd_lite.mirror.pair import GUARDED_RETRY, State
from lsyncd_lite.mirror.rsync import Rsync
from lsyncd_lite.mirror.rsyncssh import MANY, RsyncSsh

OK, PARTIAL, AGAIN, LOOK, REDO, DIE, HELD = Verdict
WALL = 1e9
LIMIT = b"--max-delete=5"
STOPPED = b"Deletions stopped due to --max-delete limit (7 skipped)"


# ---- the argument lists ------------------------------------------------------------------------

def plan(entries, files, broken=False, released=False, **keys):
    mode = Rsync(config(maxDelete=5, **keys), {})
    mode.released = released
    if broken:
        mode.verdict(mode.probe(), 2, [b"invalid file mode 00"])
    return mode, mode.plan(entries, Source(files), 0, WALL)


CASES = [  # entries, files, whether the job may delete
    ([(b"", WHOLE)], {b"a": file()}, True),
    ([(b"a", FRESH)], {b"a": file()}, False),
    ([(b"gone", PLACE)], {}, True),
    ([(b"d", WHOLE | FRESH)], {b"d": DIRECTORY}, True),
    ([(b"d", PLACE)], {b"d": DIRECTORY}, False),
    ([(b"", PLACE)], {}, False),
]


@pytest.mark.parametrize("entries, files, deletes", CASES)
@pytest.mark.parametrize("broken", [False, True])
def test_what_may_delete_is_counted_first_and_bound(entries, files, deletes, broken):
    for job in plan(entries, files, broken)[1]:
        if not deletes or (broken and b"--from0" in job.argv and job.purpose != "removal" and b"d" not in files):
            assert job.check is None and LIMIT not in job.argv
        else:
            assert job.argv[1] == LIMIT and job.check == [b"rsync", b"-n", *(word for word in job.argv[1:] if word != ASKED)] and not job.free


@pytest.mark.parametrize("status", [25, 23, 24, 0], ids=["a shell", "and an error", "and something vanished", "an rsync daemon"])
def test_deletions_that_were_stopped_hold_a_job_whatever_the_exit_status(status):
    """An rsync whose other end is an rsync daemon ends with 0."""
    mode, (job,) = plan([(b"", WHOLE)], {b"a": file()})
    verdict, words = mode.verdict(job, status, [b"cannot delete non-empty directory: d", STOPPED])
    assert verdict is HELD and "12 entries" in words and "maxDelete = 5" in words
    mode, (job,) = plan([(b"", WHOLE)], {})
    assert mode.verdict(job, status, [STOPPED]) == (AGAIN, mode.refused_empty)
    assert mode.verdict(plan([(b"a", FRESH)], {b"a": file()})[1][0], 0, [b"something else"])[0] is OK


@pytest.mark.parametrize("entries, files, deletes", CASES)
def test_what_is_released_is_free(entries, files, deletes):
    for job in plan(entries, files, released=True)[1]:
        assert job.check is None and LIMIT not in job.argv and job.free is deletes


@pytest.mark.parametrize("delete, full, batch", [(True, True, True), (False, False, False), ("startup", True, False), ("running", False, True)])
def test_only_where_deletions_are_on(delete, full, batch):
    assert [plan([(b"", WHOLE)], {b"a": file()}, delete=delete)[1][0].check is not None,
            bool([job for job in plan([(b"gone", PLACE)], {b"a": file()}, delete=delete)[1] if job.check])] == [full, batch]


def test_an_empty_source_is_refused_as_such():
    mode, (job,) = plan([(b"", WHOLE)], {})
    assert job.check is None and b"--max-delete=0" in job.argv and LIMIT not in job.argv
    assert mode.verdict(job, 25, [])[0] is AGAIN and "refused to empty" in mode.verdict(job, 25, [])[1]


@pytest.mark.parametrize("status, output, verdict", [
    (25, [STOPPED], HELD), (25, [], HELD), (23, [b"rsync: x", STOPPED], HELD), (23, [b"rsync: x"], PARTIAL), (0, [], OK), (10, [], AGAIN)])
@pytest.mark.parametrize("check", [False, True])
def test_a_stopped_rsync_is_held(status, output, verdict, check):
    mode, (job,) = plan([(b"", WHOLE)], {b"a": file()})
    ran = Job(job.check, None, [], CHECK) if check else job
    found, words = mode.verdict(ran, status, output)
    assert found is verdict
    if verdict is HELD:
        assert all(job.argv[-1].endswith(b"/.") for job in mode.plan([(b"", WHOLE)], Source({b"a": file()}), 0, WALL))  # it is there
        assert ("12 entries" if output else "too many entries") in words and "maxDelete = 5" in words and "lsyncd-lite release www" in words


def test_a_limit_of_the_users_own_is_no_guard():
    mode = Rsync(config(rsync={"_extra": ("--max-delete=5",)}), {})
    (job,) = mode.plan([(b"", WHOLE)], Source({b"a": file()}), 0, WALL)
    assert mode.verdict(job, 25, [STOPPED])[0] is DIE


def test_many_removals_there_are_rsyncs_where_they_have_to_be_counted():
    names = [(b"f%d" % number, PLACE) for number in range(MANY)]
    for limit, purposes in ((None, {"renames"}), (5, {"batch"})):
        mode = RsyncSsh(config(mode="rsyncssh", maxDelete=limit, host=b"h", targetdir=b"/d", local=False), {})
        assert {job.purpose for job in mode.plan(names, Source({}), 0, WALL)} == purposes


# ---- what was unmounted ------------------------------------------------------------------------

def test_what_is_protected_is_not_listed_as_missing_and_not_deleted_by_a_walk():
    mode = Rsync(config(exclude=()), {})
    mode.protect([b"d/m*"])
    (full,) = mode.plan([(b"", WHOLE)], Source({b"a": file()}), 0, WALL)
    assert b"--filter=P /d/m\\*/***" in full.argv
    jobs = mode.plan([(b"d/m*", PLACE), (b"d/m*/x", PLACE), (b"d/m*y", PLACE), (b"d", WHOLE)], Source({b"d": DIRECTORY, b"d/m*": DIRECTORY}), 0, WALL)
    assert all(b"--filter=P /d/m\\*/***" in job.argv and b"/x" not in job.stdin for job in jobs) and any(b"m*y" in job.stdin for job in jobs)
    mode.protect([])
    (full,) = mode.plan([(b"", WHOLE)], Source({b"a": file()}), 0, WALL)
    assert not [word for word in full.argv if word.startswith(b"--filter=P")]


def test_a_sync_protects_what_lies_in_its_source_until_it_is_back():
    class Protecting(PlainMode):
        protected, has_startup = None, False

        def protect(self, paths):
            self.protected = paths
    one = MirroringPair(Protecting())
    for path in (b"/src/m", b"/src/a/n", b"/srcm", b"/other", b"/src"):
        one.sync.protect(path, True)
    assert one.sync.mode.protected == [b"a/n", b"m"]
    one.sync.protect(b"/src/m", False)
    assert one.sync.mode.protected == [b"a/n"]
    for heir in MirroringPair(Protecting()), ActingPair(Protecting()):  # another configuration
        heir.sync.inherit(one.sync)
        assert heir.sync.mode.protected == [b"a/n"]
        heir.sync.protect(b"/src/a/n", False)
        assert heir.sync.mode.protected == []


# ---- the pair ----------------------------------------------------------------------------------

class Mode(PlainMode):
    """Jobs have a check; what that, or a job, "exits" with is its verdict."""

    released = False

    def plan(self, entries, source, settled, wall):
        jobs = super().plan(entries, source, settled, wall)
        for job in jobs:
            job.check, job.free = None if self.released else [b"check"], self.released
        return jobs


class Numbers(PlainMode):
    """What a job ends with is a number."""

    def verdict(self, job, status, output):
        return super().verdict(job, AGAIN if status else OK, output)


def pair(mode=None, **keys):
    return MirroringPair(mode or Mode(), delay=0, **keys)


def test_a_job_begins_when_its_check_says_so():
    one = pair()
    one.change(b"a", at=1)
    check = one.take()
    assert check.argv == [b"check"] and check.purpose == CHECK and one.sync.in_flight == 1 and one.sync.state is State.SYNCING
    assert one.end(check, OK)[:2] == (OK, None) and one.due < 1
    job = one.take()
    assert job.purpose == "batch" and job.entries == [(b"a", FRESH)]
    one.end(job, OK)
    assert one.due is None and one.sync.state is State.IDLE


@pytest.mark.parametrize("verdict", [LOOK, PARTIAL])
def test_what_could_not_be_counted_is_not_deleted_either(verdict):
    one = pair()
    one.change(b"a", at=1)
    one.end(one.take(), verdict)
    assert one.take().purpose == "batch"


@pytest.mark.parametrize("verdict", [AGAIN, DIE, REDO])
def test_a_check_that_fails_is_a_job_that_fails(verdict):
    one = pair()
    one.change(b"a", at=1)
    assert one.end(one.take(), verdict).verdict is verdict
    assert one.sync.pending >= 1 and not one.sync.running
    for _turn in range(4):  # after DIE with a full sync, too
        if one.due is not None:
            one.run(OK)
    assert one.due is None and one.sync.last_error is None and not one.sync.pending


def test_too_much_holds_everything():
    one = pair()
    one.change(b"a", at=1)
    outcome = one.end(one.take(), HELD)
    assert outcome == (HELD, "it was held", False)
    one.change(b"b", at=2)
    assert one.sync.state is State.GUARDED and one.sync.pending == 2 and one.sync.last_error == "it was held"
    assert one.due == 1 + GUARDED_RETRY == one.sync.next_try
    job = one.take(one.due)
    assert job.purpose == CHECK and sorted(job.entries) == [(b"a", FRESH), (b"b", FRESH)]
    one.end(job, OK)
    one.end(one.take(), OK)
    assert one.sync.state is State.IDLE and one.sync.last_error is None


def test_a_full_sync_that_takes_long_is_counted_less_often():
    one = pair()
    one.change(b"a", at=0)
    job = one.take(1)
    one.end(job, HELD, at=101)
    assert one.due == 101 + 1000


def test_a_release_is_for_once():
    one = pair()
    one.change(b"a", at=1)
    one.end(one.take(), HELD)
    one.sync.release(2)
    assert one.sync.state is not State.GUARDED and one.due <= 2
    job = one.take(2)
    assert job.purpose == "batch" and job.free
    one.end(job, AGAIN)  # a failure does not use it up
    job = one.take(one.due)
    assert job.free
    one.end(job, OK)
    one.change(b"b", at=100)
    assert one.take().purpose == CHECK


def test_a_release_is_used_up_by_a_job_that_left_something_undone():
    one = pair()
    one.change(b"a", at=1)
    one.end(one.take(), HELD)
    one.sync.release(2)
    assert one.end(one.take(2), PARTIAL).verdict is PARTIAL
    one.change(b"b", at=3)
    assert one.take().purpose == CHECK


def test_a_sync_that_was_held_at_the_start_has_started():
    for one in pair(init=True, insist=False), ActingPair(ActingMode(startup=True), insist=False):
        assert one.sync.must_start
        job = one.take(1)
        assert one.end(job, HELD) == (HELD, job.purpose == CHECK and "it was held" or "start-up: held", False)
        assert one.sync.state is State.GUARDED and one.due == 1 + GUARDED_RETRY
        assert not one.end(one.take(one.due), AGAIN).fatal


def test_the_count_of_a_job_may_tell_that_all_is_to_be_looked_at():
    class Away(Mode):
        def verdict(self, job, status, output):
            if status is AGAIN:
                job.entries = [(b"", WHOLE), *job.entries]
            return super().verdict(job, status, output)
    one = pair(Away())
    one.change(b"a", at=1)
    one.end(one.take(), AGAIN)
    one.end(one.take(one.due), OK)
    assert any(path == b"" and marks & WHOLE for path, marks in one.take().entries)


def test_what_acts_on_events_is_held_as_a_whole_too():
    one = ActingPair(init=False, maxProcesses=3)
    one.tell(Kind.DELETE, b"a", b"b")
    first, second = one.next(), one.next()
    assert one.end(first, HELD) == (HELD, "it was held", False)
    one.end(second, OK)  # which ran already
    one.tell(Kind.MODIFY, b"c")
    assert one.sync.state is State.GUARDED and one.due == GUARDED_RETRY == one.sync.next_try and one.sync.pending == 2
    one.sync.release(3)
    one.now = 3
    assert sorted(one.runs()) == ["Delete a", "Modify c"] and one.sync.state is State.IDLE and one.sync.last_error is None


def test_all_of_a_plan_is_put_back():
    one = pair(Mode(split=True))
    one.change(b"a", b"b", b"c", at=1)
    one.end(one.take(), HELD)
    assert one.sync.pending == 3 and not one.sync.running


def test_onepass_gives_up():
    one = pair(onepass=True, init=True)
    assert one.end(one.take(1), HELD).fatal
    assert not pair().sync.must_start


def test_a_check_that_ends_after_the_stop_is_the_one_try():
    one = pair()
    one.change(b"a", at=1)
    check = one.take()
    one.sync.stop()
    one.end(check, OK)
    job = one.take()
    one.end(job, AGAIN)
    job = one.take()
    assert job.purpose == CHECK  # what ran at the stop gets one more
    one.end(job, HELD)
    assert one.due is None and one.sync.pending == 1


@pytest.mark.parametrize("how", ["gone", "no marker"])
def test_what_was_about_to_run_is_planned_anew_where_the_source_went_away(how):
    one = pair(requireMarker="m" if how == "no marker" else None)
    one.source.files[b"m"] = file()
    one.change(b"a", at=1)
    one.end(one.take(), OK)
    if how == "gone":
        one.source.there = False
    else:
        del one.source.files[b"m"]
    assert one.take() is None and one.sync.state is State.ABSENT and not one.sync.running and one.sync.pending == 1
    assert one.now < one.due <= one.now + 1  # and not at once again
    one.source.there = True
    one.source.files[b"m"] = file()
    one.sync.find_source()
    assert one.take(10).purpose == CHECK


def test_a_hook_that_is_to_run_after_a_job_waits_for_no_source():
    hooks = {"before": None, "after": parse("/after"), "failed": None, "afterFailure": "ignore"}
    one = MirroringPair(Numbers(), delay=0, onBatch=hooks)
    one.change(b"a", at=1)
    one.end(one.take(1), 0)
    one.sync.lose_source(1)
    assert one.due <= 1 and one.take(1).purpose == HOOK


def test_before_runs_between_check_and_job():
    one = pair(onBatch={"before": parse("/before"), "after": None, "failed": None, "afterFailure": "ignore"})
    one.change(b"a", at=1)
    one.end(one.take(), OK)
    hook = one.take()
    assert hook.purpose == HOOK and hook.told == [b"a"]
    one.end(hook, 0)
    assert one.take().purpose == "batch"
    other = pair(onBatch={"before": parse("/before"), "after": None, "failed": None, "afterFailure": "ignore"})
    other.change(b"a", at=1)
    other.end(other.take(), OK)
    assert other.end(other.take(), 1).verdict is AGAIN and other.sync.pending == 1


def test_in_the_end_nothing_is_lost_whatever_checks_and_jobs_say():
    dice = random.Random(3)
    for _story in range(200):
        one, sent = pair(Mode(split=dice.random() < 0.5), maxProcesses=dice.choice([1, 3])), set()
        running, told = [], set()
        for _step in range(60):
            if dice.random() < 0.4:
                name = b"f%d" % dice.randrange(20)
                told.add(name)
                sent.discard(name)
                one.change(name)
            if one.due is not None and dice.random() < 0.7:
                one.now = max(one.now, one.due)
                job = one.take()
                if job is not None:
                    running.append((job, set(told)))
            if running and dice.random() < 0.6:
                job, _known = running.pop(dice.randrange(len(running)))
                verdict = dice.choice([OK, OK, OK, HELD, AGAIN, PARTIAL, REDO])
                one.end(job, verdict, at=one.now + 1)
                if dice.random() < 0.3 and one.sync.guarded:
                    one.sync.release(one.now)
        for job, _known in running:
            one.end(job, OK)
        for _turn in range(500):
            if one.due is None:
                break
            one.now = max(one.now, one.due)
            job = one.take()
            if job is not None:
                one.end(job, OK)
        assert one.due is None and not one.sync.pending and not one.sync.running and one.sync.guarded is None


# ---- the marker --------------------------------------------------------------------------------

@pytest.mark.parametrize("made", [lambda **keys: pair(**keys), lambda **keys: ActingPair(**keys)], ids=["Sync", "EventSync"])
def test_without_its_marker_a_source_is_not_there(made):
    one = made(requireMarker="m/x")
    if isinstance(one, MirroringPair):
        one.change(b"a", at=1)
    else:
        one.tell(Kind.CREATE, b"a", at=1)
    assert one.take() is None and one.sync.absent and one.sync.state is State.ABSENT and "m/x" in one.sync.lacks
    assert one.take(one.due) is None
    one.source.files[b"m/x"] = FILE
    assert one.take(one.due) is not None and not one.sync.absent


def test_when_the_marker_is_back_everything_is_looked_at():
    one = pair(requireMarker="m")
    one.change(b"a", at=1)
    one.take()
    one.source.files[b"m"] = FILE
    (path, marks), = one.take(one.due).entries
    assert path == b"" and marks & WHOLE


# ---- what a pair leaves ------------------------------------------------------------------------

def brought_back(one, complete=True, **keys):
    other = pair(**dict({"init": False}, **keys))
    other.sync.restore([tuple(record) for record in one.sync.remains()], complete, 0)
    return other


def queued(one):
    return sorted(one.sync.queue.entries())


def test_everything_that_is_not_known_to_be_there_is_left():
    one = pair(Mode(split=True), maxProcesses=2)
    one.change(b"running", b"planned", at=1)
    one.take()
    one.change(b"queued", at=2)
    one.change(b"dir", at=2, marks=WHOLE)
    one.sync.held.add(b"held", FRESH, 2)
    one.sync.moves.add(Move(b"from", b"to", False), 3)
    assert [path for path, _marks in queued(brought_back(one))] == [b"dir", b"from", b"held", b"planned", b"queued", b"running", b"to"]


def test_nothing_is_new_to_a_target_any_more():
    one = pair()
    one.change(b"d", at=1, marks=WHOLE)
    assert queued(one) == [(b"d", WHOLE | NEW)] and queued(brought_back(one)) == [(b"d", WHOLE)]


def test_renames_that_may_have_been_done_are_compared_by_content():
    one = pair()
    job = Job([], b"", [], "renames", [Move(b"a", b"b", False)])
    one.sync.running.add(job)
    assert queued(brought_back(one)) == [(b"a", WHOLE | FRESH), (b"b", WHOLE | FRESH)]


def test_what_a_full_sync_would_not_see_is_left_beside_it():
    one = pair()
    one.change(b"a", at=1)
    one.sync.want_full(2)
    other = brought_back(one)
    assert queued(other) == [(b"", WHOLE | FRESH)] or other.sync.queue.is_whole()
    other.end(other.take(1), OK)
    other.end(other.take(), OK)
    other.end(other.take(10), OK)
    assert other.take(10).entries == [(b"a", FRESH)]


@pytest.mark.parametrize("way", ["the next run", "the next configuration"])
def test_what_is_excluded_by_now_is_left_alone(way):
    """Its copy on the target is protected; the place of a file with the name of an excluded directory is looked at by a full sync."""
    one = pair()
    one.change(b"x", b"dir", b"ok", at=1)
    one.change(b"f", at=1, directory=b"/src/dir/sub")
    for rules, wanted in (([("-", b"x", "")], [(b"dir", FRESH), (b"dir/sub/f", FRESH), (b"ok", FRESH)]), ([("-", b"dir/", "")], None)):
        if way == "the next run":
            other = brought_back(one, rules=rules)
        else:
            other = pair(rules=rules)
            other.sync.inherit(one.sync)
        assert other.sync.queue.is_whole() if wanted is None else queued(other) == wanted
        assert not [path for path, _marks in queued(other) if path == b"x" or path.startswith(b"dir/")] or wanted


def test_a_run_that_was_not_ended_leaves_everything():
    other = brought_back(pair(), complete=False)
    assert other.sync.queue.is_whole()


def test_what_after_was_not_told_is_left():
    hooks = {"before": None, "after": parse("/after"), "failed": None, "afterFailure": "again"}
    one = MirroringPair(Numbers(), delay=0, onBatch=hooks)
    one.change(b"a", at=1)
    one.end(one.take(), 0)
    one.end(one.take(), 1)
    other = brought_back(one, onBatch=hooks)
    assert other.take(1).told == [b"a"]
    assert not brought_back(one).sync.owed  # nobody wants to know


def test_events_are_left_in_order():
    one = ActingPair()
    one.tell(Kind.CREATE, b"d", at=1, is_dir=True)
    one.tell(Kind.CREATE, b"d/a", b"x")
    one.move(b"y", b"z", at=2)
    one.tell(Kind.DELETE, b"gone", at=3)
    one.take()
    other = ActingPair()
    other.sync.restore(one.sync.remains(), True, 0)
    assert [(event.kind, event.paths, event.is_dir) for event in other.sync.queue] == [
        (event.kind, event.paths, event.is_dir) for event in one.sync.queue]
    assert len(other.sync.queue) == 5


def test_a_start_up_that_was_not_done_is_left():
    one = ActingPair(ActingMode(startup=True))
    other = ActingPair(ActingMode(startup=True), init=False)
    other.sync.restore(one.sync.remains(), True, 0)
    assert other.sync.starting
    third = ActingPair(ActingMode(startup=True), init=False)
    third.sync.restore([], True, 0)
    assert not third.sync.starting
    third.sync.restore([], False, 0)
    assert third.sync.starting


def test_more_events_than_can_be_kept_begin_again_where_that_is_possible():
    one = ActingPair(ActingMode(startup=True), init=False)
    for number in range(MOST + 1):
        one.sync._add(Kind.MODIFY, b"f%d" % number, False, 1.0)
    assert len(one.sync.queue) == 0 and one.sync.starting and "start-up" in one.sync.warning
    other = ActingPair(ActingMode())
    for number in range(MOST + 1):
        other.sync._add(Kind.MODIFY, b"f%d" % number, False, 1.0)
    assert len(other.sync.queue) == MOST + 1 and other.sync.warning is None


# ---- what stands still -------------------------------------------------------------------------

def test_a_job_that_was_ended_says_why():
    one = MirroringPair(delay=0)
    one.change(b"a", at=1)
    job = one.take()
    job.overdue = "batch: nothing moved for 5 s: ended"
    assert one.end(job, AGAIN).words == job.overdue == one.sync.last_error
    one.change(b"b", at=100)
    job = one.take()
    job.overdue = "batch: nothing moved for 5 s: ended"
    assert "mirrored" in one.end(job, OK).words  # it was done just then
