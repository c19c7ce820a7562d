"""One pair that is told of events: what runs when, what an end means, what waits for what. All times are handed in."""

import stat
from types import SimpleNamespace

import pytest

from world import Source, config

from lsyncd_lite.config.commands import parse
from lsyncd_lite.mirror.events import Kind, Seen
from lsyncd_lite.mirror.eventsync import GLANCE, TROUBLE, YOUNG, EventSync
from lsyncd_lite.mirror.exec import Exec, judge
from lsyncd_lite.mirror.job import ACTION, LOST, Job, Verdict
from lsyncd_lite.mirror.moves import Move
from lsyncd_lite.mirror.pair import FAILED_RETRY, State
from lsyncd_lite.mirror.sync import Sync
from lsyncd_lite.paths import split

CREATE, MODIFY, ATTRIB, DELETE, MOVE, UNKNOWN = Kind
OK, AGAIN, LOOK, REDO, DIE = Verdict.OK, Verdict.AGAIN, Verdict.LOOK, Verdict.REDO, Verdict.DIE
WALL = 1e9


def there(kind=stat.S_IFREG, at=0.0):
    return SimpleNamespace(st_mode=kind | 0o755, st_mtime=at, st_ctime=at, st_size=1, st_nlink=1)


FILE, DIRECTORY = there(), there(stat.S_IFDIR)


class Mode:
    """Runs as many jobs as `steps` for each event; what a job "exits" with is its verdict."""

    connection = ends = next_alarm = None

    def __init__(self, steps=1, moves=True, startup=False, batches=False, idle=()):
        self.steps, self.takes_moves, self.has_startup, self.takes_batches, self.idle = steps, moves, startup, batches, idle

    def startup(self, _look):
        status, _output = yield Job([b"startup"], None, [], ACTION)
        return status, "start-up: %s" % status.value

    def work(self, event, _look):
        return None if event.kind in self.idle else self.run([event.kind.value.encode(), *event.paths])

    def batch(self, inbox, _look):
        return self.run([b"batch", *[path for event in inbox.take() for path in event.paths]])

    def alarm(self, _now, _look):
        self.next_alarm = None
        return self.run([b"alarm"])

    def run(self, argv):
        for number in range(self.steps):
            status, _output = yield Job([*argv, b"%d" % number] if self.steps > 1 else argv, None, [], ACTION)
            if status is not OK:
                return status, "it was %s" % status.value


class Pair:
    """An EventSync with a clock that is moved by hand; all that is told of is there, unless it was deleted."""

    def __init__(self, mode=None, insist=True, onepass=False, jitter=0.0, **keys):
        self.now = 0.0
        self.source = Source({})
        self.config = config(mode="exec", **dict({"init": True}, **keys))
        self.sync = EventSync(self.config, mode or Mode(), self.now, WALL, lambda: jitter, insist, onepass)

    def tell(self, kind, *paths, at=None, is_dir=False):
        self.now = self.now if at is None else at
        for path in paths:
            if kind is DELETE:
                self.source.files.pop(path, None)
            elif kind is not UNKNOWN:
                self.source.files[path] = DIRECTORY if is_dir else FILE
            self.sync.offer_event(Seen(kind, b"/src/" + path if path else b"/src", is_dir), self.now)

    def move(self, origin, place, at=None, is_dir=False):
        self.now = self.now if at is None else at
        self.source.files[place] = self.source.files.pop(origin, DIRECTORY if is_dir else FILE)
        self.sync.offer_move(Move(b"/src/" + origin, b"/src/" + place, is_dir), self.now)

    def take(self, at=None):
        self.now = self.now if at is None else at
        return self.sync.take_job(self.now, WALL + self.now, self.source)

    def end(self, job, verdict=OK, at=None, output=()):
        self.now = self.now if at is None else at
        return self.sync.on_exit(job, verdict, list(output), self.now, WALL + self.now)

    @property
    def due(self):
        return self.sync.next_deadline()

    def next(self, until=None):
        """Wait for the next job and return it, None where none is due until a time."""
        for _turn in range(100):
            if self.due is None or until is not None and self.due > until:
                return None
            self.now = max(self.now, self.due)
            job = self.take()
            if job is not None:
                return job
        raise AssertionError("it is due and does nothing")

    def run(self, verdict=OK):
        """Let the next job end; return its argv (None: there is none)."""
        job = self.next()
        if job is None:
            return None
        self.end(job, verdict)
        return job.argv

    def runs(self, until=None, verdicts=None):
        """Return the (argv as one text) of all jobs until a time; verdicts: {argv: what it ends with}."""
        found = []
        for _turn in range(1000):
            job = self.next(self.now if until is None else until)
            if job is None:
                return found
            found.append(b" ".join(job.argv).decode())
            self.end(job, (verdicts or {}).get(found[-1], OK))
        raise AssertionError("it never ends: %s" % found[-5:])


# ---- when --------------------------------------------------------------------------------------

def test_nothing_told_is_never_due():
    pair = Pair()
    assert pair.due is None and pair.take(1e6) is None and pair.sync.state is State.IDLE and pair.sync.pending == 0


def test_without_delay_it_runs_at_once():
    pair = Pair()
    pair.tell(CREATE, b"a", at=3)
    assert pair.due == 3 and pair.take().argv == [b"Create", b"a"] and pair.sync.state is State.SYNCING


def test_each_waits_its_own_delay():
    pair = Pair(delay=5)
    pair.tell(CREATE, b"a", at=1)
    pair.tell(CREATE, b"b", at=3)
    assert pair.due == 6 and pair.take(5.9) is None
    assert pair.runs(6) == ["Create a"] and pair.due == 8 and pair.runs(8) == ["Create b"]


def test_too_many_wait_for_nothing():
    pair = Pair(delay=50, maxDelays=3)
    pair.tell(CREATE, b"a", b"b", b"c", at=1)
    assert pair.due == 51
    pair.tell(CREATE, b"d", at=2)
    assert pair.due <= 2 and pair.runs(2) == ["Create a", "Create b", "Create c", "Create d"]


def test_too_many_do_not_hurry_what_has_failed():
    pair = Pair(delay=0, maxDelays=3)
    pair.tell(CREATE, b"a")
    pair.run(AGAIN)
    pair.tell(CREATE, *[b"f%d" % number for number in range(10)])
    assert "Create a" not in pair.runs() and pair.due == 1


@pytest.mark.parametrize("count", [1, 2, 4])
def test_as_many_run_as_may_run(count):
    pair = Pair(maxProcesses=count)
    pair.tell(CREATE, b"a", b"b", b"c", b"d", b"e")
    jobs = [pair.take() for _number in range(6)]
    assert sum(job is not None for job in jobs) == count and pair.sync.in_flight == count and pair.sync.pending == 5 - count
    pair.end(jobs[0])
    assert pair.take() is not None and pair.take() is None


def test_related_events_run_one_after_the_other_though_more_may_run():
    pair = Pair(maxProcesses=4)
    pair.tell(CREATE, b"d", is_dir=True)
    pair.tell(CREATE, b"d/f", b"e")
    first, other = pair.take(), pair.take()
    assert (first.argv, other.argv) == ([b"Create", b"d"], [b"Create", b"e"]) and pair.take(100) is None
    pair.end(first)
    assert pair.take().argv == [b"Create", b"d/f"]


def test_what_happens_while_it_runs_runs_again():
    pair = Pair()
    pair.tell(MODIFY, b"a")
    job = pair.take()
    pair.tell(MODIFY, b"a")
    assert pair.due is None
    pair.end(job)
    assert pair.runs() == ["Modify a"] and pair.due is None


def test_what_has_no_action_is_passed_over():
    pair = Pair(Mode(idle=(ATTRIB, MODIFY)))
    pair.tell(ATTRIB, *[b"a%d" % number for number in range(3000)])
    pair.tell(CREATE, b"z")
    assert pair.runs() == ["Create z"] and pair.sync.pending == 0 and pair.due is None


# ---- the start-up ------------------------------------------------------------------------------

def test_the_start_up_blocks_all_else():
    pair = Pair(Mode(startup=True), maxProcesses=4)
    assert pair.sync.state is State.STARTING and pair.sync.pending == 1
    pair.tell(CREATE, b"a")
    job = pair.take()
    assert job.argv == [b"startup"] and pair.due is None and pair.take(100) is None
    pair.tell(CREATE, b"b")
    outcome = pair.end(job)
    assert outcome.verdict is OK and "start-up" in outcome.words and pair.runs() == ["Create a", "Create b"]
    assert pair.sync.state is State.IDLE and pair.sync.last_success is not None


@pytest.mark.parametrize("verdict", [AGAIN, DIE])
def test_a_start_up_that_fails_ends_the_program_unless_it_insists(verdict):
    pair = Pair(Mode(startup=True), insist=False)
    assert pair.end(pair.take(), verdict).fatal
    pair = Pair(Mode(startup=True), insist=True)
    outcome = pair.end(pair.take(), verdict)
    assert not outcome.fatal and outcome.verdict is verdict and pair.sync.last_error


def test_a_start_up_that_fails_is_tried_again_after_longer_and_longer():
    pair = Pair(Mode(startup=True), insist=True)
    pair.tell(CREATE, b"a")
    pauses = []
    for _number in range(8):
        assert pair.run(AGAIN) == [b"startup"]
        pauses.append(pair.due - pair.now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pair.runs(pair.now + 60) == ["startup", "Create a"] and pair.sync.last_error is None


def test_a_start_up_that_fails_for_good_is_tried_in_a_while():
    pair = Pair(Mode(startup=True), insist=True)
    pair.run(DIE)
    assert pair.sync.state is State.FAILED and pair.due == FAILED_RETRY


@pytest.mark.parametrize("keys, mode", [({"init": False}, Mode(startup=True)), ({}, Mode(startup=False))])
def test_no_start_up_where_none_is_wanted(keys, mode):
    pair = Pair(mode, **keys)
    assert pair.due is None and not pair.sync.starting


def test_a_start_up_later_on_is_not_fatal():
    pair = Pair(Mode(startup=True), insist=False)
    pair.run()
    pair.sync.want_full(pair.now)
    assert pair.sync.starting and not pair.end(pair.next(), AGAIN).fatal


def test_lost_events_begin_again_when_nothing_runs():
    pair = Pair(Mode(startup=True), maxProcesses=2)
    pair.run()
    pair.tell(CREATE, b"a", b"b")
    job = pair.take()
    pair.sync.want_full(pair.now)
    assert pair.take() is None
    pair.end(job)
    assert pair.runs() == ["startup", "Create b"]


def test_events_that_are_lost_while_the_start_up_runs_make_another():
    """It has read some directories already."""
    pair = Pair(Mode(startup=True))
    job = pair.take()
    pair.sync.want_full(pair.now)
    pair.end(job)
    assert pair.runs() == ["startup"] and pair.due is None


def test_a_rename_that_a_start_up_has_met_is_not_done_again():
    pair = Pair(Mode(startup=True), init=False, delay=5)
    pair.tell(CREATE, b"x/a", at=0)
    pair.runs(20)
    pair.move(b"a", b"b", at=30)
    pair.move(b"c", b"a")
    pair.move(b"b", b"c")
    pair.sync.want_full(31)
    startup = pair.next()
    pair.move(b"d", b"e")
    pair.end(startup)
    assert startup.argv == [b"startup"] and not any("Move" in words for words in pair.runs(60))
    assert pair.due is None
    pair.move(b"e", b"f")
    assert pair.runs(90) == ["Move e f"]


def test_a_rename_that_has_failed_before_a_start_up_is_not_tried_after_it():
    pair = Pair(Mode(startup=True), init=False, delay=0)
    pair.move(b"a", b"b", at=1)
    rename = pair.next()
    pair.sync.want_full(1)
    pair.end(rename, AGAIN)
    assert pair.runs(60) == ["startup", "Delete a", "Create b"]


def test_lost_events_without_start_up_change_nothing():
    pair = Pair(Mode(startup=False))
    pair.sync.want_full(0)
    assert pair.due is None and not pair.sync.begins_again


def test_a_start_up_that_was_given_up_is_pending():
    """The exit status of -onepass depends on that."""
    pair = Pair(Mode(startup=True), insist=False, onepass=True)
    assert pair.end(pair.take(), AGAIN).fatal
    pair.sync.give_up("no")
    assert pair.due is None and pair.sync.pending and not pair.sync.starting


# ---- what an exit status means -----------------------------------------------------------------

TABLE = ((0, "ok"), (3, "ok"), (4, "again"), (5, "die"), (255, "again"))


@pytest.mark.parametrize("unlisted", [OK, DIE])
@pytest.mark.parametrize("codes, status, verdict", [
    ((), 0, OK), (TABLE, 0, OK), (TABLE, 3, OK), (TABLE, 4, AGAIN), (TABLE, 5, DIE), (TABLE, 255, AGAIN),
    (((0, "again"),), 0, AGAIN), (((0, "die"),), 0, DIE), ((), 1, None), ((), 127, None), (TABLE, 1, None), (TABLE, 254, None),
    ((), -9, AGAIN), (TABLE, -15, AGAIN), (((0, "die"),), -9, AGAIN), ((), None, AGAIN), (TABLE, None, AGAIN)])
def test_every_cell_of_what_an_exit_status_means(codes, status, verdict, unlisted):
    found, words = judge(codes, status, [b"sh: no"], "onCreate of a", unlisted)
    assert found is (unlisted if verdict is None else verdict)
    if found is not OK:
        assert words.startswith("onCreate of a ") and words.endswith(": sh: no") and "ignored" not in words
    elif verdict is None:
        assert "ended with %d" % status in words and "ignored" in words
    else:
        assert words is None


@pytest.mark.parametrize("status, fatal", [(0, False), (1, True), (4, True), (5, True), (3, False), (-9, True), (None, True)])
def test_a_start_up_has_to_end_with_0(status, fatal):
    keys = {"onStartup": parse("/x"), "exitcodes": TABLE}
    pair = Pair(Exec(config(mode="exec", **keys)), insist=False, **keys)
    assert pair.end(pair.take(), status).fatal is fatal


def test_the_last_line_of_a_name_that_forges_is_shown():
    _verdict, words = judge((), 1, [b"first", b"rm: \x1b[31m\n"], "onCreate of a", OK)
    assert words.isprintable()


def test_values_of_an_action():
    keys = {"onCreate": parse("/p ^source ^target ^path ^pathname ^pathdir ^sourcePath ^sourcePathname ^sourcePathdir "
                              "^targetPath ^targetPathname ^targetPathdir"),
            "onMove": parse("/m ^o.path ^d.pathname ^path ^d.targetPath ^o.sourcePathdir ^d.pathdir")}
    pair = Pair(Exec(config(mode="exec", **keys)), **keys)
    pair.tell(CREATE, b"d/e", is_dir=True)
    assert pair.run(0)[1:] == [b"/src/", b"/dst/", b"d/e/", b"d/e", b"d/", b"/src/d/e/", b"/src/d/e", b"/src/d/", b"/dst/d/e/", b"/dst/d/e", b"/dst/d/"]
    pair.tell(CREATE, b"f")
    assert pair.run(0)[1:] == [b"/src/", b"/dst/", b"f", b"f", b"", b"/src/f", b"/src/f", b"/src/", b"/dst/f", b"/dst/f", b"/dst/"]
    pair.move(b"a b", b"d/\n", is_dir=True)
    assert pair.run(0)[1:] == [b"a b/", b"d/\n", b"a b/", b"/dst/d/\n/", b"/src/", b"d/"]


# ---- what fails --------------------------------------------------------------------------------

def test_an_event_that_fails_is_tried_again_after_longer_and_longer():
    pair = Pair()
    pair.tell(CREATE, b"bad")
    pauses = []
    for number in range(8):
        pair.tell(CREATE, b"good%d" % number)  # else it is not the event
        assert pair.run(AGAIN) == [b"Create", b"bad"] if not number else True
        pair.runs()
        if number:
            pair.run(AGAIN)
        pauses.append(pair.due - pair.now)
    assert pauses[:3] == [1, 2, 4] and pauses == sorted(pauses) and pauses[-1] == 60


def test_unrelated_events_go_on_while_one_fails():
    pair = Pair()
    pair.tell(CREATE, b"d", is_dir=True)
    pair.tell(CREATE, b"d/f", b"e")
    pair.tell(MODIFY, b"g")
    assert pair.runs(verdicts={"Create d": AGAIN}) == ["Create d", "Create e", "Modify g"]
    assert pair.due == 1 and pair.sync.last_error and pair.sync.pending == 2
    assert pair.runs(5) == ["Create d", "Create d/f"] and pair.sync.last_error is None and pair.sync.failing_since is None


def test_the_back_off_counts_from_the_delay():
    pair = Pair(delay=10)
    pair.tell(CREATE, b"a")
    pair.run(AGAIN)
    assert pair.due == pair.now + 10


def test_when_some_fail_in_a_row_the_sync_waits():
    pair = Pair()
    pair.tell(CREATE, *[b"f%d" % number for number in range(20)])
    for _number in range(TROUBLE):
        pair.run(AGAIN)
    assert pair.due == pair.now + 1 and pair.sync.next_try == pair.due and pair.sync.state is State.WAITING
    count = 0
    while pair.now < 600:
        pair.run(AGAIN)
        count += 1
    assert count < 25, "a target that is down is tried once in a while, not once for each event"


def test_when_it_works_again_all_are_tried_at_once():
    pair = Pair()
    pair.tell(CREATE, *[b"f%d" % number for number in range(10)])
    for _number in range(8):
        pair.run(AGAIN)
    began = pair.due
    assert len(pair.runs(began)) == 10 and pair.sync.pending == 0 and pair.sync.state is State.IDLE


def test_new_events_get_their_turn_though_many_others_fail_for_ever():
    """Names that the target cannot hold must not keep what it can hold waiting for hours."""
    pair = Pair()
    bad = [b"bad%d" % number for number in range(50)]
    verdicts = {"Create " + name.decode(): AGAIN for name in bad}
    pair.tell(CREATE, *bad)
    pair.runs(500, verdicts)
    for number in range(3):
        began = pair.now
        pair.tell(CREATE, b"good%d" % number)
        pair.runs(began + 130, verdicts)
        assert not [event.path for event in pair.sync.queue if event.path.startswith(b"good")], "not within two minutes"


def test_what_failed_for_good_waits_and_does_not_end_the_program():
    pair = Pair(insist=False)
    pair.tell(CREATE, b"a")
    outcome = pair.end(pair.take(), DIE)
    assert outcome.verdict is DIE and not outcome.fatal and pair.sync.state is State.FAILED and pair.due == FAILED_RETRY
    assert pair.runs(FAILED_RETRY) == ["Create a"] and pair.sync.state is State.IDLE


def test_try_now_waits_for_nothing():
    pair = Pair()
    pair.tell(CREATE, b"a", b"b", b"c")
    for _number in range(3):
        pair.run(DIE)
        pair.sync.retry_at = None
    pair.sync.retry_at = 300
    pair.sync.try_now(pair.now)
    assert len(pair.runs()) == 3


@pytest.mark.parametrize("verdict", [LOOK, REDO])
def test_what_is_to_be_looked_at_once_more_is_not_a_failure(verdict):
    pair = Pair()
    pair.tell(CREATE, b"a")
    outcome = pair.end(pair.take(), verdict)
    assert outcome.verdict is (OK if verdict is LOOK else REDO) and pair.sync.last_error is None
    assert verdict is REDO or outcome.words is None  # nothing for the log
    assert pair.due == (1 if verdict is LOOK else 0) and pair.runs(1) == ["Create a"]


def test_what_changes_while_it_fails_is_combined():
    pair = Pair()
    pair.tell(CREATE, b"a")
    pair.run(AGAIN)
    pair.tell(DELETE, b"a")
    assert pair.runs(100) == ["Delete a"]


def test_more_than_one_step_is_one_work():
    pair = Pair(Mode(steps=3))
    pair.tell(CREATE, b"d", is_dir=True)
    pair.tell(CREATE, b"d/f")
    for number in range(3):
        job = pair.take()
        assert job.argv == [b"Create", b"d", b"%d" % number]
        pair.tell(ATTRIB, b"d", is_dir=True)
        outcome = pair.end(job)
        assert outcome.verdict is OK and pair.sync.busy is (number < 2)
    assert pair.take().argv == [b"Create", b"d/f", b"0"]


def test_a_step_that_fails_begins_the_work_again():
    pair = Pair(Mode(steps=3))
    pair.tell(CREATE, b"a")
    pair.end(pair.take())
    assert pair.end(pair.take(), AGAIN).verdict is AGAIN and pair.due == 1
    assert pair.runs(1) == ["Create a 0", "Create a 1", "Create a 2"] and pair.due is None


def test_steps_count_as_one_process():
    pair = Pair(Mode(steps=2), maxProcesses=2)
    pair.tell(CREATE, b"a", b"b", b"c")
    first, second = pair.take(), pair.take()
    pair.end(first)
    assert pair.take().argv == [b"Create", b"a", b"1"] and pair.take() is None
    pair.end(second)
    assert pair.take().argv == [b"Create", b"b", b"1"] and pair.take() is None


def test_a_work_without_jobs_is_done_at_once():
    pair = Pair(Mode(steps=0))
    pair.tell(CREATE, b"a", b"b")
    assert pair.runs() == [] and pair.sync.pending == 0


def test_a_work_that_fails_without_jobs_is_nothing_to_run():
    class Failing(Mode):
        def run(self, argv):
            return AGAIN, "no"
            yield

    pair = Pair(Failing())
    pair.tell(CREATE, b"a")
    job = pair.take()
    assert job.purpose == LOST and job.argv is None
    assert pair.end(job, 0).verdict is AGAIN and pair.sync.pending == 1 and pair.due == 1


# ---- looking at what is there ------------------------------------------------------------------

def test_what_is_gone_is_waited_for_and_then_forgotten():
    pair = Pair()
    pair.tell(CREATE, b"a")
    del pair.source.files[b"a"]
    assert pair.take() is None and pair.due == GLANCE and pair.sync.pending == 1
    assert pair.runs(5) == [] and pair.sync.pending == 0


def test_what_is_gone_went_where_the_kernel_tells():
    pair = Pair()
    pair.tell(CREATE, b"a")
    del pair.source.files[b"a"]
    pair.take()
    pair.move(b"a", b"b")
    assert pair.runs(5) == ["Delete a", "Create b"]


def test_what_has_become_something_else_is_not_what_was_told():
    pair = Pair()
    pair.tell(CREATE, b"a")
    pair.source.files[b"a"] = DIRECTORY
    assert pair.take() is None
    pair.tell(DELETE, b"a")
    pair.tell(CREATE, b"a", is_dir=True)
    assert pair.runs(5) == ["Delete a", "Create a"]


@pytest.mark.parametrize("facts, argv", [(None, "Delete a"), (FILE, "Create a"), (DIRECTORY, "Create a")])
def test_what_is_not_known_is_looked_at(facts, argv):
    pair = Pair()
    pair.source.files.update({} if facts is None else {b"a": facts})
    pair.tell(UNKNOWN, b"a")
    assert pair.runs(5)[-1:] == [argv]


def test_a_directory_that_may_be_another_one_is_deleted_first():
    """What the old one held would stay there for ever."""
    pair = Pair()
    pair.source.files.update({b"d": DIRECTORY})
    pair.tell(UNKNOWN, b"d", is_dir=True)
    assert pair.runs(5) == ["Delete d", "Create d"]


def test_what_is_to_be_deleted_is_not_listed():
    """What is in it now came after the deletion, and will be told or found with the creation that follows."""
    pair = Pair()
    pair.tell(CREATE, b"d", is_dir=True)
    job = pair.take()
    pair.tell(DELETE, b"d", is_dir=True)
    pair.end(job, AGAIN)
    pair.source.files.update({b"d": DIRECTORY, b"d/f": FILE})  # not read yet
    pair.now = pair.due
    job = pair.take()
    pair.tell(CREATE, b"d", is_dir=True)
    ran = []
    if job is not None:
        ran.append(b" ".join(job.argv).decode())
        pair.end(job)
    ran += pair.runs(30)
    assert ran[-3:] == ["Delete d", "Create d", "Create d/f"]


def test_the_origin_of_a_move_that_failed_is_deleted_whatever_came_there():
    pair = Pair()
    pair.move(b"d", b"e", is_dir=True)
    job = pair.take()
    pair.move(b"f", b"d")
    for _number in range(2):
        pair.end(job, AGAIN)
        job = pair.next(pair.due)
        assert job.argv[0] == b"Move"
    pair.end(job, AGAIN)
    ran = [line for line in pair.runs(300) if line.split()[-1] == "d"]
    assert ran[0] == "Delete d" and ran[1:] in (["Move f d"], ["Create d"])


def test_what_a_directory_holds_is_found():
    pair = Pair()
    pair.source.files.update({b"d": DIRECTORY, b"d/f": FILE, b"d/e": DIRECTORY, b"d/e/g": FILE})
    pair.tell(CREATE, b"d", is_dir=True)
    ran = pair.runs(30)
    assert sorted(ran) == ["Create d", "Create d/e", "Create d/e/g", "Create d/f"] and ran.index("Create d/e") < ran.index("Create d/e/g")


def test_what_is_found_does_not_wait_the_delay_again_on_each_level():
    pair = Pair(delay=15)
    pair.source.files.update({b"d" + b"/d" * depth: DIRECTORY for depth in range(8)})
    pair.tell(CREATE, b"d", is_dir=True)
    assert len(pair.runs(30)) == 8


def test_what_is_found_and_told_of_runs_once():
    pair = Pair()
    pair.tell(CREATE, b"d", is_dir=True)
    pair.tell(CREATE, b"d/f")
    assert pair.runs(10) == ["Create d", "Create d/f"]


def test_what_was_found_comes_before_what_was_told_of_in_it():
    pair = Pair()
    pair.source.files.update({b"d/e": DIRECTORY})
    pair.tell(CREATE, b"d", is_dir=True)
    pair.tell(CREATE, b"d/e/f")
    assert pair.runs(10) == ["Create d", "Create d/e", "Create d/e/f"]


@pytest.mark.parametrize("kinds", [[CREATE], [MODIFY], [DELETE, CREATE], [ATTRIB], [DELETE]])
def test_what_was_found_comes_first_whatever_was_told(kinds):
    pair = Pair()
    pair.source.files.update({b"d/e": DIRECTORY})
    pair.tell(CREATE, b"d", is_dir=True)
    for kind in kinds:
        pair.tell(kind, b"d/e/f")
    ran = pair.runs(10)
    assert ran[:2] == ["Create d", "Create d/e"]


def test_a_move_into_what_was_found_comes_after_it():
    pair = Pair()
    pair.source.files.update({b"d/e": DIRECTORY})
    pair.tell(CREATE, b"d", is_dir=True)
    pair.move(b"z", b"d/e/f")
    ran = pair.runs(10)
    assert ran[:2] == ["Create d", "Create d/e"] and ("Move z d/e/f" in ran or "Delete z" in ran)


def test_a_found_file_that_is_young_may_be_half_written():
    pair = Pair()
    pair.source.files.update({b"d/f": there(at=WALL + 0.9)})
    pair.tell(CREATE, b"d", is_dir=True, at=1.0)
    assert pair.runs(1.0 + GLANCE + 0.01) == ["Create d"]
    assert pair.runs(1.5) == [] and pair.sync.pending == 1
    assert pair.runs(1.0 + 2 * YOUNG + GLANCE) == ["Create d/f"]


def test_a_found_file_that_the_kernel_tells_of_is_complete():
    pair = Pair()
    pair.source.files.update({b"d/f": there(at=WALL + 50)})
    pair.tell(CREATE, b"d", is_dir=True)
    assert pair.runs() == ["Create d"]
    pair.sync.offer_event(Seen(MODIFY, b"/src/d/f", False), pair.now)
    assert pair.runs(pair.now) == ["Create d/f"]


def test_a_file_from_the_future_does_not_wait_for_ever():
    pair = Pair()
    pair.source.files.update({b"d/f": there(at=WALL + 1e6)})
    pair.tell(CREATE, b"d", is_dir=True)
    assert pair.runs(10) == ["Create d", "Create d/f"]


# ---- moves -------------------------------------------------------------------------------------

@pytest.mark.parametrize("is_dir", [False, True])
def test_a_move_of_what_is_known_is_a_move(is_dir):
    pair = Pair()
    pair.move(b"a", b"b", is_dir=is_dir)
    assert pair.runs(1) == ["Move a b"]


def test_without_an_action_for_moves_they_are_two():
    pair = Pair(Mode(moves=False))
    pair.move(b"a", b"b")
    assert pair.runs(1) == ["Delete a", "Create b"]


@pytest.mark.parametrize("kind", [CREATE, MODIFY, ATTRIB])
def test_a_move_of_what_waits_is_two(kind):
    pair = Pair(delay=1)
    pair.tell(kind, b"a")
    pair.move(b"a", b"b")
    assert pair.runs(5) == ["Delete a", "Create b"]


def test_a_move_of_what_runs_is_two():
    pair = Pair()
    pair.tell(CREATE, b"a")
    job = pair.take()
    pair.move(b"a", b"b")
    pair.end(job)
    assert pair.runs(1) == ["Delete a", "Create b"] or pair.runs(1) == ["Create b", "Delete a"]


RULES = [("-", b"*.skip", ""), ("-", b"x/", "")]


@pytest.mark.parametrize("origin, place, is_dir, expected", [
    (b"a", b"b", False, ["Move a b"]), (b"a", b"b.skip", False, ["Delete a"]), (b"a.skip", b"b", False, ["Create b"]),
    (b"a.skip", b"b.skip", False, []), (b"d", b"x", True, ["Delete d"]), (b"x", b"d", True, ["Create d"]),
    (b"x/a", b"x/b", False, []), (b"a", b"x/a", False, ["Delete a"]), (b"x/a", b"a", False, ["Create a"])])
def test_moves_into_and_out_of_what_is_excluded(origin, place, is_dir, expected):
    pair = Pair(rules=RULES)
    pair.move(origin, place, is_dir=is_dir)
    assert pair.runs(1) == expected


def test_a_directory_under_rules_of_places_is_not_moved():
    pair = Pair(rules=[("-", b"/a/f", "")])
    pair.move(b"a", b"b", is_dir=True)
    assert pair.runs(1) == ["Delete a", "Create b"]
    pair.move(b"c", b"e")
    assert pair.runs(2) == ["Move c e"]


def test_what_is_excluded_is_nothing():
    pair = Pair(rules=RULES)
    pair.tell(CREATE, b"a.skip", b"d/b.skip", b"x/y")
    pair.tell(CREATE, b"x", is_dir=True)
    assert pair.due is None
    pair.tell(CREATE, b"x")
    assert pair.runs() == ["Create x"]


def test_a_move_from_without_is_a_creation_and_one_out_is_a_deletion():
    pair = Pair()
    for move, expected in [(Move(b"/srv/a", b"/src/a", False), ["Create a"]), (Move(b"/src/a", b"/srv/a", False), ["Delete a"])]:
        pair.source.files[b"a"] = FILE
        pair.sync.offer_move(move, pair.now)
        assert pair.runs(pair.now) == expected


@pytest.mark.parametrize("kind", [CREATE, UNKNOWN])
@pytest.mark.parametrize("path", [b"/src", b"/"])
def test_a_source_that_appears_in_a_larger_tree_begins_again(kind, path):
    pair = Pair(Mode(startup=True))
    pair.run()
    pair.sync.offer_event(Seen(kind, path, True), pair.now)
    assert pair.runs() == ["startup"]


def test_a_source_that_is_renamed_into_its_place_begins_again():
    pair = Pair(Mode(startup=True))
    pair.run()
    pair.sync.offer_move(Move(b"/src.new", b"/src", True), pair.now)
    assert pair.runs() == ["startup"]


def test_what_lies_elsewhere_is_not_its_own():
    pair = Pair()
    for path in (b"/srv/a", b"/src2", b"/srcx/a"):
        pair.sync.offer_event(Seen(CREATE, path, False), 0)
    assert pair.due is None


# ---- the source --------------------------------------------------------------------------------

def test_without_a_source_nothing_is_concluded():
    pair = Pair()
    pair.tell(CREATE, b"a", b"b")
    pair.source.there = False
    pair.source.files.clear()
    assert pair.take() is None and pair.sync.absent and pair.sync.state is State.ABSENT and pair.sync.pending == 2 and pair.due == 1
    assert pair.take(1) is None and pair.due == 2
    pair.source.there = True
    pair.source.files.update({b"a": FILE, b"b": FILE})
    pair.sync.find_source()
    assert pair.runs(3) == ["Create a", "Create b"] and not pair.sync.absent


# ---- the end -----------------------------------------------------------------------------------

def test_stop_waits_for_no_delay():
    pair = Pair(delay=100)
    pair.tell(CREATE, b"a", b"b")
    pair.sync.stop()
    assert pair.runs() == ["Create a", "Create b"] and pair.due is None


def test_stop_waits_for_no_delay_of_what_is_found_either():
    pair = Pair(delay=100)
    pair.source.files.update({b"d/e": DIRECTORY, b"d/e/f": there(at=WALL)})
    pair.tell(CREATE, b"d", is_dir=True)
    pair.sync.stop()
    assert pair.runs(2) == ["Create d", "Create d/e", "Create d/e/f"] and pair.due is None


def test_what_fails_after_the_stop_is_not_tried_again_and_others_get_their_try():
    pair = Pair()
    pair.tell(CREATE, *[b"f%d" % number for number in range(10)])
    pair.sync.stop()
    verdicts = {"Create f%d" % number: AGAIN for number in range(10) if number != 5}
    assert len(pair.runs(1000, verdicts)) == 10 and pair.due is None and pair.sync.pending == 9


def test_what_ran_at_the_stop_gets_one_more_try():
    pair = Pair()
    pair.tell(CREATE, b"a")
    job = pair.take()
    pair.sync.stop()
    pair.end(job, AGAIN)
    assert pair.runs(1000, {"Create a": AGAIN}) == ["Create a"] and pair.due is None and pair.sync.pending == 1


def test_steps_of_what_ran_at_the_stop_go_on():
    pair = Pair(Mode(steps=2))
    pair.tell(CREATE, b"a")
    job = pair.take()
    pair.sync.stop()
    pair.end(job)
    assert pair.runs(1000, {"Create a 1": AGAIN}) == ["Create a 1", "Create a 0", "Create a 1"] and pair.due is None


def test_what_had_failed_before_the_stop_gets_one_try():
    pair = Pair()
    pair.tell(CREATE, b"a", b"b", b"c", b"d")
    for _number in range(3):
        pair.run(AGAIN)
    pair.sync.stop()
    assert len(pair.runs(0)) == 4 and pair.due is None


def test_a_start_up_that_has_not_ended_well_gets_one_try_at_the_stop():
    pair = Pair(Mode(startup=True))
    pair.run(AGAIN)
    pair.tell(CREATE, b"a")
    pair.sync.stop()
    assert pair.runs(1000, {"startup": AGAIN}) == ["startup"] and pair.due is None and pair.sync.pending == 2


def test_no_alarm_after_the_stop():
    pair = Pair()
    pair.sync.mode.next_alarm = 5
    assert pair.due == 5
    pair.sync.stop()
    assert pair.due is None


def test_an_alarm_runs_in_time():
    pair = Pair()
    pair.sync.mode.next_alarm = 5
    assert pair.take(4.9) is None and pair.runs(5) == ["alarm"] and pair.due is None


# ---- another configuration ---------------------------------------------------------------------

def heir(old, mode=None, **keys):
    new = Pair(mode or Mode(), **keys)
    new.now, new.source = old.now, old.source
    new.sync.inherit(old.sync)
    return new


def test_the_heir_does_what_was_not_done_in_order():
    old = Pair(delay=100, maxProcesses=2)
    old.tell(DELETE, b"d", is_dir=True)
    old.tell(CREATE, b"d", is_dir=True)
    old.move(b"a", b"d/a")
    old.tell(MODIFY, b"d/a", b"g")
    ran = heir(old).runs(50)
    assert [argv for argv in ran if "d" in argv.split(None, 1)[1]] == ["Delete d", "Create d", "Move a d/a", "Create d/a"] and "Modify g" in ran  # found, too


def test_the_heir_waits_for_what_runs_and_does_it_again():
    old = Pair()
    old.tell(CREATE, b"a", b"b")
    job = old.take()
    new = heir(old)
    assert new.due is None
    new.sync.released(job)
    assert new.runs(5) == ["Create a", "Create b"]


def test_the_heir_that_does_not_move_deletes_and_creates():
    old = Pair(delay=100)
    old.move(b"a", b"b")
    new = heir(old, Mode(moves=False, idle=(MOVE,)))
    assert sorted(new.runs(5)) == ["Create b", "Delete a"]


def test_the_heir_of_a_move_that_runs_does_not_move_again():
    """It may be done by the time it ends, and there is nothing to be moved."""
    old = Pair()
    old.move(b"a", b"b")
    job = old.take()
    new = heir(old)
    new.sync.released(job)
    assert sorted(new.runs(5)) == ["Create b", "Delete a"]


def test_the_heir_keeps_to_its_own_rules():
    old = Pair(delay=100)
    old.tell(CREATE, b"a.skip", b"b")
    assert heir(old, rules=RULES).runs(5) == ["Create b"]


def test_the_heir_of_a_sync_that_makes_equal_has_its_start_up():
    class Equal:
        connection, takes_moves = None, False

        def probe(self):
            return None

    old = Sync(config(), Equal(), 0, WALL, lambda: 0.0)
    new = Pair(Mode(startup=True))
    new.sync.inherit(old)
    assert new.runs(1) == ["startup"]
    back = Sync(config(init=False), Equal(), 0, WALL, lambda: 0.0)
    back.inherit(new.sync)
    assert back.queue.is_whole()


# ---- batches (script: action) ------------------------------------------------------------------

def test_a_batch_holds_all_that_is_due_in_order():
    pair = Pair(Mode(batches=True))
    pair.tell(CREATE, b"d", is_dir=True)
    pair.tell(CREATE, b"d/f", b"a")
    pair.move(b"g", b"h")
    assert pair.runs() == ["batch d d/f a g h"] and pair.sync.pending == 0


def test_a_batch_that_fails_comes_again_with_what_has_come():
    pair = Pair(Mode(batches=True))
    pair.tell(CREATE, b"a", b"b")
    job = pair.take()
    pair.tell(MODIFY, b"a")
    pair.end(job, AGAIN)
    assert pair.runs(5) == ["batch b", "batch a"] or pair.sync.pending == 0


def test_what_a_batch_does_not_ask_for_waits():
    class Choosy(Mode):
        def batch(self, inbox, _look):
            found = [event.path for event in inbox.take(lambda event: event.path != b"b")]
            return self.run([b"batch", *found])

    pair = Pair(Choosy(batches=True))
    pair.tell(CREATE, b"a", b"b", b"c")
    assert pair.runs() == ["batch a c"] and pair.sync.pending == 1 and pair.due == 1
