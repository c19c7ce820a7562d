"""Snapshots → what a plugin of Nagios or Icinga says: an exit status and one line. Pure.

As the Monitoring Plugins Development Guidelines want it: a word for the status, troubles for people, the gravest first,
then "|" and numbers for graphs. Whatever a name or an error holds, it stays one line, and the only "|" is ours.
"""

import re
from collections import Counter, namedtuple

from lsyncd_lite.report import units

OK, WARNING, CRITICAL, UNKNOWN = range(4)
WORDS = "OK", "WARNING", "CRITICAL", "UNKNOWN"

LASTING = 300.0         # seconds after which a failure is no hiccup
WATCHES = 0.8, 0.95     # shares of the kernel's limit that are a warning, and critical
TEXT_MOST = 1000        # bytes before the bar: old NRPEs pass on 1024
TROUBLE_MOST = 200      # characters of one trouble
MEASURED_MOST = 10      # syncs with numbers of their own

NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"


class Range(namedtuple("Range", "text low high inside")):
    """What is all right: low to high; with `inside`, what is not. Infinite where it is open."""

    def is_met(self, value):
        """Tell whether a value raises the alarm."""
        return (self.low <= value <= self.high) == self.inside


# queued: (warning, critical), Ranges or None, of the queued changes of a sync; age: the same of the seconds for which something waits
Limits = namedtuple("Limits", "queued age", defaults=((None, None), (None, None)))


def range_of(text):
    """Return the Range that the guidelines mean by a text: 10, 10:, ~:10, 10:20, @10:20; raise ValueError."""
    match = re.fullmatch("(@?)(?:(~|%s)?:)?(%s)?" % (NUMBER, NUMBER), text)
    if match is None or not text.strip("@"):
        raise ValueError("%s: allowed: NUMBER (more than this), or a range as 10:, ~:10, 10:20, @10:20" % text)
    inside, low, high = match.groups()
    if low in (None, "~") and high is None:
        raise ValueError("%s: allowed: a range with an end" % text)
    low, high = float("-inf") if low == "~" else float(low or 0), float("inf") if high is None else float(high)
    if low > high:
        raise ValueError("%s: allowed: a range that begins with the lower end" % text)
    return Range(text, low, high, bool(inside))


def limits_of(given):
    """Return the Limits by options ({name: value}): w, c, age; raise ValueError."""
    found = {}
    for name in "w", "c":
        try:
            found[name] = range_of(given[name]) if name in given else None
        except ValueError as error:
            raise ValueError("option -%s: %s" % (name, error)) from None
    ages = given.get("age", "").split(",") if "age" in given else []
    if len(ages) > 2 or not all(re.fullmatch(r"[0-9]+(\.[0-9]+)?", age) for age in ages):
        raise ValueError("option -age: %s: allowed: SECS, or WARN,CRIT in seconds" % given["age"])
    ages = [None] * (2 - len(ages)) + [range_of(age) for age in ages]
    return Limits((found["w"], found["c"]), tuple(ages))


def judge(snapshots, limits=Limits(), lost=()):
    """Return (exit status, line) for the snapshots of all daemons that were asked.

    lost: words about those that did not answer.
    """
    found = [(CRITICAL, words) for words in lost]
    syncs = _told_apart(snapshots)
    for shot in snapshots:
        where = "%s: " % _place(shot) if len(snapshots) > 1 else ""
        found += [(level, where + words) for level, words in of_daemon(shot)]
    for shot, sync in syncs:
        found += [(level, "%s: %s" % (sync["name"], words)) for level, words in of_sync(sync, shot["at"], limits)]
    told = [sync for _shot, sync in syncs]
    troubles = [words for _level, words in sorted(found, key=lambda one: -one[0])]
    if not snapshots:  # nothing is known: neither that there is no sync, nor a number
        return line(worst(found), _within(troubles[1:], troubles[0]))
    return line(worst(found), _within(troubles, summary(told)), " ".join(_measured(snapshots, told, limits)))


def _told_apart(snapshots):
    """Return [(snapshot, sync)] of all; of syncs that are called the same in several daemons, the names say which is whose."""
    times = Counter(sync["name"] for shot in snapshots for sync in shot["syncs"])
    return [(shot, sync if times[sync["name"]] == 1 else dict(sync, name="%s of %s" % (sync["name"], _place(shot))))
            for shot in snapshots for sync in shot["syncs"]]


def _place(shot):
    return shot["configuration"] or shot["pid"]


def worst(found):
    """Return the gravest status of [(status, words)]."""
    return max([level for level, _words in found], default=OK)


def line(status, text, numbers=""):
    """Return (exit status, line) of a text for people, which may hold anything."""
    return status, "LSYNCD_LITE %s - %s" % (WORDS[status], _plain(text)) + (" | " + numbers if numbers else "")


# ---- what is wrong -----------------------------------------------------------------------------

def of_daemon(shot):
    """Yield (status, words) of a daemon as such."""
    file = shot.get("file")
    if file and (file["is_stale"] or file["is_left"]):
        yield CRITICAL, "%sthe status file %s was written %s ago%s" % (
            "no daemon answers: " * file["is_left"], file["path"], units.age(int(file["age"])),
            ": the daemon is stuck, or does not run" * (not file["is_left"]))
    if shot["stopping"]:
        yield WARNING, "the daemon ends: %s" % shot["stopping"]
    if shot["refused"]:
        yield WARNING, "the new configuration is refused: %s" % shot["refused"]
    if shot["watches"] and shot["watches_limit"]:
        share = shot["watches"] / shot["watches_limit"]
        if share > WATCHES[0]:
            yield WARNING if share <= WATCHES[1] else CRITICAL, "%d of %d inotify watches are used (fs.inotify.max_user_watches)" % (
                shot["watches"], shot["watches_limit"])


# States that say all: their status, and where the words for the reason stand.
_STATES = {
    "failed": (CRITICAL, "last_error"),
    "no source": (CRITICAL, "lacks"),
    "held by maxDelete": (CRITICAL, "held"),
    "held by runIf": (OK, None),  # somebody wants it so, as on the half of a cluster that waits
}


def of_sync(sync, at, limits=Limits()):
    """Yield (status, words) of a sync; at: seconds since the epoch."""
    level, key = _STATES.get(sync["state"], (None, None))
    if level is not None:
        yield level, sync["state"] + (": %s" % sync[key] if key and sync[key] else "")
    elif sync["last_error"] is not None:
        since = None if sync["failing_since"] is None else max(0.0, at - sync["failing_since"])
        yield (CRITICAL if since is not None and since > LASTING else WARNING), "fails%s: %s" % (
            "" if since is None else " for %s" % units.age(since), sync["last_error"])
    elif sync["state"] == "starting":
        yield OK, "starting%s" % _progress(sync["progress"])
    if sync["paused"]:
        yield WARNING, "paused"
    if sync["degraded"] is not None:
        yield WARNING, "degraded: %s" % sync["degraded"]
    tunnel = sync.get("tunnel")
    if tunnel and tunnel["error"] and sync["last_error"] is None:
        yield WARNING, "%d of %d tunnels are open: %s" % (tunnel["ready"], tunnel["processes"], tunnel["error"])
    if sync["owed"]:
        yield WARNING, "onBatch.after was told of %s in vain" % _names(sync["owed"])
    for value, (warning, critical), words in (
            (sync["queued"], limits.queued, "%s queued" % units.count(sync["queued"])),
            (sync["oldest"] or 0, limits.age, "changes wait for %s" % units.age(sync["oldest"] or 0))):
        for limit, level in (critical, CRITICAL), (warning, WARNING):
            if limit is not None and limit.is_met(value):
                yield level, "%s (limit %s)" % (words, limit.text)
                break
    if sync["canary"] is not None:
        yield from _of_canary(sync, sync["canary"], limits)


def _of_canary(sync, canary, limits):
    age = canary["age"]
    for limit, level in (limits.age[1], CRITICAL), (limits.age[0], WARNING):
        if age is not None and limit is not None and limit.is_met(age):
            yield level, "its canary has not arrived for %s (limit %s)" % (units.age(age), limit.text)
            break
    else:  # what holds it, or has it wait for the first full sync, is no loss
        if canary["late"] and age is not None and sync["state"] not in ("starting", "held by runIf") and not sync["paused"]:
            yield WARNING, "its canary has not arrived for %s" % units.age(age)
    if canary["trouble"] is not None:
        yield WARNING, canary["trouble"]


def _progress(progress):
    if progress is None:
        return ""
    words = ["%d %%" % progress["percent"]] if progress.get("percent") is not None else []
    words += ["%s left" % units.left(progress["left"])] if progress.get("left") is not None else []
    return ": " + ", ".join(words) if words else ""


def _names(number):
    return "%s name%s" % (units.count(number), "" if number == 1 else "s")


# ---- words -------------------------------------------------------------------------------------

def summary(syncs):
    """Return how many syncs are at what."""
    states = [sync["state"] for sync in syncs]
    counts = [(state, states.count(state)) for state in dict.fromkeys(states)]
    words = "all %s" % states[0] if len(counts) == 1 and len(syncs) > 1 else ", ".join("%d %s" % (number, state) for state, number in counts)
    return "%d sync%s: %s" % (len(syncs), "" if len(syncs) == 1 else "s", words if len(syncs) != 1 else states[0]) if syncs else "no sync"


def _within(troubles, end):
    """Return all that fits into TEXT_MOST bytes, how many troubles do not, and the end."""
    end, kept = _cut(end, TROUBLE_MOST), []
    room = TEXT_MOST - len("LSYNCD_LITE CRITICAL - ") - _size(end) - len("and 99999 more; ")
    for words in [_cut(words, TROUBLE_MOST) for words in troubles]:
        room -= _size(words) + len("; ")
        if room < 0:
            kept.append("and %d more" % (len(troubles) - len(kept)))
            break
        kept.append(words)
    return "; ".join([*kept, end])


def _cut(words, most):
    words = _plain(words)
    return words if len(words) <= most else words[:most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _plain(words):
    return "".join(char if char.isprintable() or "\udc80" <= char <= "\udcff" else " " for char in words).replace("|", "\N{BROKEN BAR}")


def _size(words):
    return len(words.encode("utf-8", "surrogateescape"))


# ---- numbers -----------------------------------------------------------------------------------

def _measured(snapshots, syncs, limits):
    """Yield 'LABEL'=VALUE[UNIT];[WARN];[CRIT];[MIN];[MAX] of all that makes a graph."""
    for sync in syncs if len(syncs) <= MEASURED_MOST else ():
        yield _number(sync["name"] + " queued", sync["queued"], "", limits.queued)
        yield _number(sync["name"] + " oldest", sync["oldest"] or 0, "s", limits.age)
        if sync["canary"] is not None:
            yield _number(sync["name"] + " canary", sync["canary"]["age"] or 0, "s", limits.age)
    yield _number("queued", sum(sync["queued"] for sync in syncs), "")
    yield _number("oldest", max([sync["oldest"] or 0 for sync in syncs], default=0), "s", limits.age)
    sent = [sync["bytes"] for sync in syncs if sync["bytes"] is not None]
    if sent:
        yield _number("sent", sum(sent), "c")
    if len(snapshots) == 1:
        watches, limit, memory = (snapshots[0][key] for key in ("watches", "watches_limit", "memory"))
        if watches is not None:
            shares = [range_of("%d" % (limit * share)) for share in WATCHES] if limit else (None, None)
            yield _number("watches", watches, "", shares, limit)
        if memory is not None:
            yield _number("memory", memory, "B")


def _number(label, value, unit, limits=(None, None), most=None):
    label = "".join("_" if char in "='|" or not char.isprintable() else char for char in label)
    fields = ["%d" % value + unit, *("" if limit is None else limit.text for limit in limits), "0", "" if most is None else "%d" % most]
    return "'%s'=%s" % (label, ";".join(fields).rstrip(";"))
