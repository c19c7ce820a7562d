"""Times as in crontab(5): what a pattern means, on the wall clock, on the days on which that jumps, too."""

import os
import random
import time

import pytest

from lsyncd_lite.config import crontab


@pytest.fixture
def zone(monkeypatch):
    """Set the time zone: `zone(name)`."""
    def choose(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()
    yield choose
    monkeypatch.undo()
    time.tzset()


# Central European time by its rules, not by a database that may be missing (tzset(3)).
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"


def at(text):
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S"))


def said(wall):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))


@pytest.mark.parametrize("pattern, now, then", [
    ("0 0 2 * * *", "2026-11-25 01:59:59", "2026-11-25 02:00:00"),
    ("0 0 2 * * *", "2026-11-25 02:00:00", "2026-11-26 02:00:00"),
    ("*/15 * * * * *", "2026-11-25 20:00:14", "2026-11-25 20:00:15"),
    ("*/15 * * * * *", "2026-11-25 20:59:45", "2026-11-25 21:00:00"),
    ("30 5-10,50 * * * *", "2026-11-25 20:10:30", "2026-11-25 20:50:30"),
    ("0 1-10/3 * * * *", "2026-11-25 20:04:00", "2026-11-25 20:07:00"),
    ("0 40/10 * * * *", "2026-11-25 20:00:00", "2026-11-25 20:40:00"),
    ("0 0 0 1 jan *", "2026-11-25 20:00:00", "2027-01-01 00:00:00"),
    ("0 0 0 * * Mon-fri", "2026-11-27 12:00:00", "2026-11-30 00:00:00"),  # a Friday
    ("0 0 0 * * 7", "2026-11-25 12:00:00", "2026-11-29 00:00:00"),
    ("0 0 0 * * 0", "2026-11-25 12:00:00", "2026-11-29 00:00:00"),
    ("0 0 0 13 * fri", "2026-11-25 12:00:00", "2026-11-27 00:00:00"),  # both are restricted: one is enough
    ("0 0 0 */2 * fri", "2026-11-25 12:00:00", "2026-11-27 00:00:00"),
    ("0 0 0 29 feb *", "2026-11-25 12:00:00", "2028-02-29 00:00:00"),
    ("59 59 23 31 12 *", "2026-12-31 23:59:59", "2027-12-31 23:59:59"),
])
def test_the_next_time_is_the_first_that_fits(pattern, now, then, zone):
    zone("UTC")
    assert said(crontab.parse(pattern).next_after(at(now))) == then


# trap 21
@pytest.mark.parametrize("pattern, now, then", [
    ("0 30 2 * * *", "2026-03-28 12:00:00", "2026-03-29 03:30:00"),  # there is no 02:30 that day
    ("0 30 2 * * *", "2026-03-29 12:00:00", "2026-03-30 02:30:00"),
    ("0 0 4 * * *", "2026-03-29 00:00:00", "2026-03-29 04:00:00"),
    ("0 0 4 * * *", "2026-10-25 00:00:00", "2026-10-25 04:00:00"),
])
def test_times_are_those_of_the_wall_clock_when_it_jumps(pattern, now, then, zone):
    zone(BERLIN)
    assert said(crontab.parse(pattern).next_after(at(now))) == then


@pytest.mark.parametrize("name, pattern, now, then", [
    (BERLIN, "0 30 2 * * *", "2026-03-29 00:00:00", "2026-03-29 03:30:00"), (BERLIN, "0 30 2 * * *", "2026-03-29 01:45:00", "2026-03-29 03:30:00"),
    ("CST5CDT,M3.2.0/0,M11.1.0/1", "0 30 0 * * *", "2026-03-07 12:00:00", "2026-03-08 01:30:00"),  # midnight is skipped
    ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "0 15 2 * * *", "2026-10-04 00:00:00", "2026-10-04 02:45:00")])  # half an hour is
@pytest.mark.parametrize("as_musl", [False, True])
def test_an_hour_that_is_skipped_is_the_next_whatever_the_c_library_takes_it_for(zone, monkeypatch, as_musl, name, pattern, now, then):
    zone(name)
    real, found = time.mktime, crontab.parse(pattern)

    def before(moment):
        at = real(moment)
        is_skipped = 0 <= moment[3] <= 23 and time.localtime(at)[3:5] != moment[3:5] and moment[8] <= 0
        return at - 3600 if is_skipped and time.localtime(at).tm_isdst else at
    start = at(now)
    if as_musl:
        monkeypatch.setattr(crontab.time, "mktime", before)
    assert said(found.next_after(start)) == then


# trap 21
def test_nothing_is_left_out_in_an_hour_that_comes_twice(zone):
    zone(BERLIN)
    pattern, now, found = crontab.parse("0 */20 * * * *"), at("2026-10-25 01:50:00"), []
    for _turn in range(8):
        found.append(pattern.next_after(now) - now)
        now += found[-1]
    assert found == [600] + [1200] * 7
    assert said(now) == "2026-10-25 03:20:00"


# trap 21
def test_a_skipped_hour_leaves_no_gap(zone):
    zone(BERLIN)
    pattern, now = crontab.parse("0 */20 * * * *"), at("2026-03-29 01:50:00")
    for _turn in range(6):
        gap, now = pattern.next_after(now) - now, pattern.next_after(now)
        assert gap in (600, 1200)


# trap 21
@pytest.mark.parametrize("name", ["UTC", BERLIN, "AEST-10AEDT,M10.1.0,M4.1.0/3", "XXX3:30", "LHST-10:30LHDT-11,M10.1.0,M4.1.0"])
def test_the_next_time_fits_and_none_before_does(name, zone):
    zone(name)
    dice = random.Random(7)

    def fits(pattern, wall):
        moment = time.localtime(wall)
        days = moment.tm_mday in pattern.days, (moment.tm_wday + 1) % 7 in pattern.weekdays
        return (moment.tm_sec in pattern.seconds and moment.tm_min in pattern.minutes and moment.tm_hour in pattern.hours
                and moment.tm_mon in pattern.months and (any(days) if pattern.either else all(days)))
    for _turn in range(60):
        text = "%s %s %s %s %s %s" % (
            dice.choice(["0", "*/7"]), dice.choice(["*", "5", "*/10", "1-20/3"]), dice.choice(["*", "1,5-8", "*/5", "4-9"]),
            dice.choice(["*", "*", "1-15"]), dice.choice(["*", "mar-nov"]), dice.choice(["*", "1-5", "sat,sun"]))
        pattern, now = crontab.parse(text), at("2026-01-01 00:00:00") + dice.randrange(31000000)
        then = pattern.next_after(now)
        assert then > now and fits(pattern, then), (text, said(now), said(then))
        assert not any(fits(pattern, wall) for wall in range(int(now) + 1, min(int(then), int(now) + 20000))), (text, said(now), said(then))


@pytest.mark.parametrize("text", ["", "* * * * *", "* * * * * * *", "60 * * * * *", "* 60 * * * *", "* * 24 * * *", "* * * 0 * *",
                                  "* * * 32 * *", "* * * * 0 *", "* * * * 13 *", "* * * * * 8", "*/0 * * * * *", "5-1 * * * * *", "a * * * * *",
                                  "* * * * jann *", "1, * * * * *", "- * * * * *", "*/x * * * * *", "0 0 0 30 feb *", "0 0 0 31 4,6 *",
                                  "@daily", "\u0661 * * * * *", "* * * * mon *", "1/2/3 * * * * *"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError):
        crontab.parse(text)
