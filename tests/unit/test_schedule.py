"""When full syncs of a running pair are due."""

import pytest

from lsyncd_lite.config import crontab
from lsyncd_lite.mirror.schedule import Schedule

from world import config


class Times:
    """A pattern that fits at some times of the wall clock."""

    def __init__(self, *times):
        self.times = times

    def next_after(self, wall):
        return min(at for at in self.times if at > wall)


def schedule(jitter=0.0, now=0, wall=1000, **keys):
    return Schedule(config(**keys), now, wall, lambda: jitter)


def test_without_a_word_there_is_none():
    one = schedule()
    assert one.next_due(0, 1000) is None and not one.strikes(1e9, 1e9)


def test_an_interval_begins_again_with_each():
    one = schedule(fullSyncInterval=100)
    assert one.next_due(0, 1000) == 100
    assert not one.strikes(99.9, 5000)
    assert one.strikes(130, 0)
    assert one.next_due(130, 0) == 230


def test_an_interval_does_not_look_at_the_wall_clock():
    one = schedule(fullSyncInterval=100)
    assert not one.strikes(50, 1e9) and one.strikes(100, -1e9)


@pytest.mark.parametrize("keys, latest", [
    ({"fullSyncInterval": 100}, 110), ({"fullSyncInterval": 100000}, 100060), ({"fullSyncInterval": 100, "fullSyncJitter": 0}, 100),
    ({"fullSyncInterval": 100, "fullSyncJitter": 500}, 600), ({"crontab": [Times(1100)]}, 110), ({"crontab": [Times(9000)]}, 8060)])
def test_it_is_later_by_chance_and_never_earlier(keys, latest):
    assert schedule(jitter=1.0, **keys).next_due(0, 1000) == latest
    assert schedule(jitter=0.0, **keys).next_due(0, 1000) <= latest


def test_the_first_of_several_times_counts():
    one = schedule(crontab=[Times(1500, 3000, 9000), Times(1200, 1800, 9000)])
    found, now = [], 0
    for _turn in range(4):
        now = one.next_due(now, 1000 + now)
        assert one.strikes(now, 1000 + now)
        found.append(1000 + now)
    assert found == [1200, 1500, 1800, 3000]


# trap 21
def test_times_of_the_wall_clock_follow_it_when_it_is_set():
    one = schedule(crontab=[Times(*range(0, 100000, 600))])
    assert one.next_due(0, 1000) == 200
    assert one.next_due(10, 1150) == 60      # forward
    assert one.next_due(20, 100) == 520      # back: those before count again
    assert one.strikes(540, 50000)           # far: one, not one for each that was passed over
    assert one.next_due(541, 50001) == 541 + 399


def test_interval_and_times_go_together():
    one = schedule(fullSyncInterval=300, crontab=[Times(1100, 9000)])
    assert one.next_due(0, 1000) == 100
    assert one.strikes(100, 1100)
    assert one.next_due(100, 1100) == 400  # all was compared at 100
    assert one.strikes(400, 1400)


def test_real_patterns_are_asked():
    one = schedule(crontab=[crontab.parse("*/10 * * * * *")])
    assert one.next_due(0, 1001) == 9
