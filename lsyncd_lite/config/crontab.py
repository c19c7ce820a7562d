"""Patterns of times as in crontab(5), with a field for the second before the others.

Knows what a pattern means on the wall clock of this host (localtime(3)), not what
happens then.
"""

import time
from collections import namedtuple

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS = "sun mon tue wed thu fri sat".split()

# For people, the lowest and the highest number, names of the lowest and those after it.
_FIELDS = (("second", 0, 59, ()), ("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day of the month", 1, 31, ()),
           ("month", 1, 12, _MONTHS), ("day of the week", 0, 7, _DAYS))

_YEARS = 8 * 366  # days in which a 29th of February comes


class Pattern(namedtuple("Pattern", "seconds minutes hours days months weekdays either")):
    """Sets of int; either: one of the two days is enough, as both are restricted (crontab(5)). Weekday 0 is Sunday."""

    __slots__ = ()

    def next_after(self, wall):
        """Return the first time after a time that fits, both in seconds since the epoch.

        What falls into an hour that a change to summer time skips comes with that change; an
        hour that comes twice counts twice.
        """
        year, month, day = time.localtime(wall)[:3]
        for later in range(_YEARS):
            noon = time.localtime(time.mktime((year, month, day + later, 12, 0, 0, 0, 0, -1)))
            if noon.tm_mon not in self.months or not self._is_day(noon.tm_mday, (noon.tm_wday + 1) % 7):
                continue
            found = [at for hour in self.hours for at in self._in_hour(noon[:3] + (hour,), wall)]
            if found:
                return min(found)
        raise ValueError  # not before a 30th of February

    def _is_day(self, day, weekday):
        fits = day in self.days, weekday in self.weekdays
        return any(fits) if self.either else all(fits)

    def _in_hour(self, hour, wall):
        """Yield the first times after `wall` in an hour (year, month, day, hour), which may be there twice, or not at all."""
        seconds = sorted(self.seconds)
        for is_dst in (0, 1):
            for minute in sorted(self.minutes):
                moment = hour + (minute, 0, 0, 0)
                start = time.mktime(moment + (is_dst,))
                if time.localtime(start)[:5] != moment[:5]:
                    start = time.mktime(moment + (-1,))
                if time.localtime(start)[:5] != moment[:5]:  # it is skipped: C libraries take it for another hour each
                    start = time.mktime(hour[:3] + (hour[3] - 1, minute, 0, 0, 0, -1)) + 3600
                if start + seconds[-1] > wall:
                    yield next(start + second for second in seconds if start + second > wall)
                    break


def parse(text):
    """Return the Pattern of six fields (str); raise ValueError with what is wrong.

    A field is `*`, a number, a name (the first three letters of a month or a day), a
    range, each with a step (`*/5`, `1-30/2`), or a list of these.
    """
    words = text.split()
    if len(words) != len(_FIELDS):
        raise ValueError("%d fields" % len(words))
    found = [_field(word, *field) for word, field in zip(words, _FIELDS)]
    found[5] = frozenset(day % 7 for day in found[5])
    pattern = Pattern(*found, not (words[3].startswith("*") or words[5].startswith("*")))
    pattern.next_after(0)
    return pattern


def _field(text, what, low, high, names):
    """Return the numbers (frozenset of int) of one field."""
    found = set()
    for item in text.split(","):
        span, slash, step = item.partition("/")
        first, dash, last = ("%d" % low, "-", "%d" % high) if span == "*" else span.partition("-")
        first = _number(first, what, low, names)
        last = _number(last, what, low, names) if dash else high if slash else first
        every = int(step) if slash and step.isdigit() else 0 if slash else 1
        if not low <= first <= last <= high or not every:
            raise ValueError("%s: %s" % (what, item))
        found.update(range(first, last + 1, every))
    return frozenset(found)


def _number(text, what, low, names):
    if text.isdigit() and text.isascii():
        return int(text)
    if text.lower() in names:
        return names.index(text.lower()) + low
    raise ValueError("%s: %s" % (what, text))
