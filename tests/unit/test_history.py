"""The numbers of a sync and its last hour."""

import sys
from types import SimpleNamespace as namespace

import pytest

from lsyncd_lite.mirror.account import Account
from lsyncd_lite.mirror.job import ACTION, BATCH, LOST, PROBE, Job, Verdict
from lsyncd_lite.mirror.tally import Tally
from lsyncd_lite.report.history import POINTS, History


def job(purpose=BATCH, began=10.0, sent=None):
    made = Job([b"x"], None, [], purpose)
    made.began = began
    if sent is not None:
        made.account = Account()
        made.account.bytes, made.account.files = sent
    return made


class Sync:
    failed = absent = False
    guarded = last_error = None

    def __init__(self):
        self.tally, self.pending, self.sent = Tally(), 0, (0, 0)


def test_ends_are_counted_with_what_they_took_and_sent():
    tally = Tally()
    tally.ended(job(sent=(100, 3)), Verdict.OK, 8.0, 12.0, False)
    tally.ended(job(sent=(50, 1)), Verdict.AGAIN, 9.0, 13.0, False)
    tally.ended(job(), Verdict.LOOK, 5.0, 13.5, True)
    assert (tally.jobs[Verdict.OK], tally.jobs[Verdict.AGAIN], tally.jobs[Verdict.LOOK]) == (1, 1, 1)
    assert (tally.seconds, tally.retries, tally.bytes, tally.files, tally.lag) == (8.5, 1, 150, 4, 8.5)


@pytest.mark.parametrize("purpose, verdict, counts", [(PROBE, Verdict.OK, 0), (PROBE, Verdict.AGAIN, 0), (LOST, Verdict.OK, 0), (LOST, Verdict.DIE, 1), (ACTION, Verdict.OK, 1)])
def test_what_is_no_job_is_not_counted(purpose, verdict, counts):
    tally = Tally()
    tally.ended(job(purpose), verdict, None, 12.0, False)
    assert sum(tally.jobs.values()) == counts


def test_only_what_has_arrived_has_a_lag():
    tally = Tally()
    tally.ended(job(), Verdict.OK, None, 12.0, False)
    assert tally.lag is None
    for verdict in set(Verdict) - {Verdict.OK, Verdict.LOOK}:
        tally.ended(job(), verdict, 1.0, 12.0, False)
    assert tally.lag is None and tally.peaks() == (0, None)
    tally.ended(job(), Verdict.OK, 2.0, 12.0, False)
    tally.ended(job(), Verdict.OK, 11.0, 12.0, False)
    assert tally.lag == 1.0 and tally.peaks() == (0, 10.0) and tally.peaks() == (0, None)


def test_counters_never_go_back_when_a_sync_is_begun_anew():
    old, new = Tally(), Tally()
    old.ended(job(sent=(100, 3)), Verdict.OK, 8.0, 12.0, True)
    old.waiting(5)
    new.inherit(old, [job(sent=(7, 1)), job()])
    assert (new.bytes, new.files, new.jobs[Verdict.OK], new.retries, new.seconds, new.lag) == (107, 4, 1, 1, 2.0, 4.0)
    assert new.peaks() == (5, 4.0)


def test_a_point_holds_the_most_of_its_minute():
    history, sync = History(), Sync()
    sync.tally.waiting(99)
    history.beat([sync], 0.0)  # only the beginning
    assert history.of(sync) == {"every": 60, "points": []}
    sync.tally.waiting(7)
    sync.tally.waiting(3)
    sync.sent, sync.pending = (1000, 1), 2
    history.beat([sync], 60.0)
    sync.sent, sync.last_error, sync.pending = (5000000000000, 2), "x", 12
    sync.tally.ended(job(began=0.0), Verdict.OK, 0.0, 1.5, False)
    history.beat([sync], 120.0)
    assert history.of(sync)["points"] == [[7, None, 1000, False], [12, 1.5, 4999999999000, True]]


def test_it_holds_an_hour_and_costs_little():
    history, syncs = History(), [Sync() for _number in range(200)]
    for minute in range(POINTS + 70):
        for sync in syncs:
            sync.sent = (minute * minute, 0)
        history.beat(syncs, 60.0 * minute)
    points = history.of(syncs[0])["points"]
    assert len(points) == POINTS and [sent for _queued, _lag, sent, _bad in points] == [2 * minute - 1 for minute in range(70, POINTS + 70)]
    size = sum(sys.getsizeof(ring) + sys.getsizeof(ring.points) + sys.getsizeof(ring.marks) + 2 * (sys.getsizeof((0, 0)) + 56) for ring in history._rings.values())
    assert size < 200 * 2000


def test_the_rate_is_that_of_the_last_minute_or_two():
    history, sync = History(), Sync()
    assert history.rate(sync, 5.0) is None
    for minute in range(4):
        sync.sent = (6000 * minute, 0)
        history.beat([sync], 60.0 * minute)
    assert history.rate(sync, 180.0) == 100
    assert history.rate(sync, 240.0) == 50  # nothing since


def test_a_sync_that_is_begun_anew_goes_on_with_the_points_and_one_that_ended_is_forgotten():
    history, old, new = History(), Sync(), Sync()
    for minute in range(3):
        history.beat([old], 60.0 * minute)
    history.inherit(new, old)
    history.beat([new], 180.0)
    assert len(history.of(new)["points"]) == 3 and history.of(old)["points"] == []
    assert namespace(**history.of(new)).every == 60


def test_one_that_runs_keeps_its_points_and_two_heirs_do_not_share_them():
    history, old, running, new = History(), Sync(), Sync(), Sync()
    running.sent = (5, 0)
    for minute in range(3):
        history.beat([old, running] if minute else [running], 60.0 * minute)
        running.sent = (running.sent[0] * 2, 0)
    points = history.of(running)["points"]
    for heir in running, new:
        history.inherit(heir, old)
    assert history.of(running)["points"] == points
    history.beat([running, new], 180.0)
    assert len(history.of(running)["points"]) == 3 and len(history.of(new)["points"]) <= 1


def test_what_a_ring_cannot_hold_is_the_most_that_it_can():
    history, sync = History(), Sync()
    history.beat([sync], 0.0)
    sync.pending = 2 ** 40
    history.beat([sync], 60.0)
    assert history.of(sync)["points"] == [[2 ** 32 - 1, None, 0, False]]
