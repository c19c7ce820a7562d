"""Numbers → what people read: bytes, ages, counts. Pure."""

import time

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_AGES = ((86400, "d"), (3600, "h"), (60, "min"))


def size(number):
    """Return a number of bytes in words: 512 B, 1.2 GiB."""
    number, unit = float(number), 0
    while round(number) >= 1000 and unit < len(_BYTES) - 1:
        number, unit = number / 1024, unit + 1
    return "%.*f %s" % (1 if unit and round(number, 1) < 10 else 0, number, _BYTES[unit])


def age(seconds):
    """Return seconds in words: 0.3 s, 12 s, 3 min, 2 h, 5 d; never more than has passed."""
    for length, unit in _AGES:
        if seconds >= length:
            return "%d %s" % (seconds // length, unit)
    return "%d s" % seconds if seconds >= 10 or seconds == int(seconds) else "%.1f s" % seconds if seconds < 9.95 else "10 s"


def left(seconds):
    """Return the seconds that something still takes as a clock shows them: 0:07, 2:10, 1:02:10; 3 d."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return age(hours * 3600) if hours >= 24 else "%d:%02d:%02d" % (hours, minutes, seconds) if hours else "%d:%02d" % (minutes, seconds)


def count(number):
    """Return a number with its thousands apart: 12 345."""
    return "{:,d}".format(number).replace(",", " ")


def date(wall):
    """Return seconds since the epoch as the log has them, in local time."""
    return "never" if wall is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))
