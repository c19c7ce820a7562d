"""The status file: what a person, or a script written for lsyncd, wants to know; and back, for when no daemon answers.

Lines never change, as scripts read them; what else there is to say gets lines of its own.
"""

import os
import re
import time

from lsyncd_lite.errors import Fatal, reason
from lsyncd_lite.mirror.pair import State
from lsyncd_lite.paths import show, shown
from lsyncd_lite.report import units
from lsyncd_lite.report.snapshot import DAEMON
from lsyncd_lite.system import atomic

_TROUBLES = 3       # syncs that the one line names
_LONGEST = 1 << 26  # bytes of a status file
_STALE = 180.0      # seconds: a daemon that works writes more often
_CLOCK = "%a %b %d %H:%M:%S %Y"


# ---- lines -----------------------------------------------------------------------------------

def _date(text):
    return None if text == "never" else time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S"))


def _number(text):
    return float(text) if "." in text else int(text)


def _numbers(values):
    return " ".join("%s=%s" % (key, value if isinstance(value, int) else "%.2f" % value) for key, value in values.items() if value is not None)


def _numbers_of(text):
    return {**dict.fromkeys(_PROGRESS), **{key: _number(value) for key, value in re.findall(r"(\w+)=(\S+)", text) if key in _PROGRESS}}


# How a value is written, and how it is read again (ValueError: not at all).
_WORDS = str, str
_COUNT = "{:d}".format, int
_NAMES = "{:d} names".format, lambda text: int(text.partition(" ")[0])
_AGE = (lambda seconds: "%d s" % seconds), lambda text: float(text.partition(" ")[0])
_LAG = "{:.2f} s".format, _AGE[1]
_WAIT = (lambda seconds: "in %d s" % seconds), lambda text: float(text.split(" ")[1])
_DATE = units.date, _date
_YES = (lambda _yes: "yes"), lambda text: text == "yes"
_RATE = "{:.0f} bytes/s".format, _AGE[1]

# (label, key, kind): a line "LABEL: VALUE" where there is one.
_OF_SYNC = (
    ("State", "state", _WORDS), ("In flight", "in_flight", _COUNT), ("Oldest pending", "oldest", _AGE), ("Last success", "last_success", _DATE),
    ("Next try", "next_try", _WAIT), ("Degraded", "degraded", _WORDS), ("Waiting for", "lacks", _WORDS),
    ("Not told to onBatch.after", "owed", _NAMES), ("Failing since", "failing_since", _DATE), ("Last error", "last_error", _WORDS),
    ("Held", "held", _WORDS), ("Awaits", "awaits", _WORDS), ("Paused", "paused", _YES), ("Mode", "mode", _WORDS), ("Lag", "lag", _LAG), ("Rate", "rate", _RATE),
    ("Progress", "progress", (_numbers, _numbers_of)), ("Canary", "canary file", _WORDS), ("Canary took", "canary lag", _LAG),
    ("Canary on its way", "canary age", _LAG), ("Canary trouble", "canary trouble", _WORDS), ("Canary is late", "canary late", _YES),
)
_PROGRESS = ("bytes", "percent", "files", "of", "rate", "left")
_CANARY = {"file": None, "age": None, "lag": None, "late": False, "trouble": None}
_ENDS = ("name", "source", "target", "section")  # told apart by lines of their own where the first line does not
_OF_DAEMON = (
    ("Version", "version", _WORDS), ("Pid", "pid", _COUNT), ("Started", "started", _DATE), ("Configuration", "configuration", _WORDS),
    ("Refused", "refused", _WORDS), ("Stopping", "stopping", _WORDS), ("Watches allowed", "watches_limit", _COUNT),
    ("Overflows", "overflows", _COUNT), ("Memory", "memory", _COUNT), ("Clock", "at", ((lambda at: "%d" % at), float)),
)
_LABELS_OF_SYNC = {label: row for label, *row in _OF_SYNC + tuple((key.capitalize(), key, _WORDS) for key in _ENDS)}
_LABELS_OF_DAEMON = {label: row for label, *row in _OF_DAEMON}
_DATES = {key for _label, key, kind in _OF_SYNC + _OF_DAEMON if kind is _DATE}

# What a file does not tell of a sync.
_UNTOLD = {**dict.fromkeys(("name", "section", "mode", "source", "target", "oldest", "last_success", "lag", "rate", "failing_since", "last_error",
                            "next_try", "held", "lacks", "degraded", "jobs", "seconds", "retries", "bytes", "files", "progress", "canary", "awaits", "tunnel")),
           "state": "not known", "paused": False, "queued": 0, "in_flight": 0, "owed": 0}


def render(snapshot):
    """Return the text (str) of the report."""
    lines = ["Lsyncd-lite status report at %s" % time.strftime(_CLOCK, time.localtime(snapshot["at"])), ""]
    for sync in snapshot["syncs"]:
        head = "Sync %s source=%s target=%s" % (sync["name"], sync["source"] + "/" * (not sync["source"].endswith("/")), sync["target"])
        lines += [head, "There are %d delays" % sync["queued"]]
        facts = {**sync, **{"canary " + key: value for key, value in (sync["canary"] or {}).items()}}
        lines += ["%s: %s" % (label, kind[0](facts[key])) for label, key, kind in _OF_SYNC
                  if key == "last_success" or facts.get(key) is not None and facts[key] is not False and (facts[key] or key != "owed")]
        read = dict(_head(head), section=sync["name"])
        lines += ["%s: %s" % (key.capitalize(), sync[key]) for key in _ENDS if read[key] != sync[key]]
        lines.append("")
    lines.append("Inotify watching %d directories" % (snapshot["watches"] or 0))
    if snapshot["polled"]:
        lines.append("Polling %d directories" % snapshot["polled"])
    lines += ["%s: %s" % (label, kind[0](snapshot[key])) for label, key, kind in _OF_DAEMON if snapshot[key] is not None]
    return "\n".join(lines) + "\n"


def _head(line):
    """Return {"name", "source", "target"} of the first line about a sync, as it reads where no name is like that line; None: it is none."""
    match = re.match(r"Sync (.*?) source=(.*?) target=(.*)", line)
    if match is None:
        return None
    name, source, target = match.groups()
    return {"name": name, "source": source[:-1] if source.endswith("/") and source != "/" else source, "target": target}


def parse(text):
    """Return as much of a snapshot (dict) as a status file tells, ours or lsyncd's; raise ValueError where it is none."""
    lines = [shown(line.encode("utf-8", "surrogateescape")) for line in text.split("\n")]
    match = re.match(r"L(syncd(?:-lite)?) status report at (.*)", lines[0])
    if match is None:
        raise ValueError("this is no status file of lsyncd-lite or lsyncd")
    try:
        at = time.mktime(time.strptime(match.group(2), _CLOCK))
    except (ValueError, OverflowError):
        raise ValueError("there is no date in its first line") from None
    program = "l" + match.group(1)
    shot = {"program": program, "version": None, "pid": None, "at": at, **DAEMON, "syncs": []}
    (_parse_lsyncd if program == "lsyncd" else _parse)(lines[1:], shot)
    shift = shot["at"] - at  # where it was written, clocks may show other times
    for facts in [shot] + shot["syncs"]:
        facts.update((key, facts[key] + shift) for key in _DATES.intersection(facts) if facts[key] is not None)
    return shot


def _parse(lines, shot):
    """Fill a snapshot by the lines of a file of ours."""
    sync = None
    for line in lines:
        head = _head(line) if sync is None else None
        if head is not None:
            sync = dict(_UNTOLD, **head)
            shot["syncs"].append(sync)
            continue
        label, _colon, value = line.partition(": ")
        key, kind = (_LABELS_OF_DAEMON if sync is None else _LABELS_OF_SYNC).get(label, (None, None))
        count = re.match(r"(There are|Inotify watching|Polling) (\d+) ", line)
        if not line and sync is not None:
            sync["section"] = sync["section"] or sync["name"]
            sync = None
        elif count is not None and (sync is None) == (count.group(1) != "There are"):
            (shot if sync is None else sync)[_COUNTS[count.group(1)]] = int(count.group(2))
        elif key is not None:
            try:
                value, part = kind[1](value), key[len("canary "):]
                if key.startswith("canary ") and part in _CANARY:
                    sync["canary"] = dict(sync["canary"] or _CANARY, **{part: value})
                else:
                    (shot if sync is None else sync)[key] = value
            except (ValueError, IndexError, OverflowError):
                pass  # somebody has written into it: that one is not known


_COUNTS = {"There are": "queued", "Inotify watching": "watches", "Polling": "polled"}


def _parse_lsyncd(lines, shot):
    """Fill a snapshot by the lines of a file of lsyncd's."""
    sync = None
    for line in lines:
        head = re.match(r"(\S+) source=(.*)", line)
        change = re.match(r"(wait|block|active) +\w+ (.*)", line)
        count = re.match(r"(There are|Inotify watching) (\d+) ", line)
        if head is not None and change is None:
            source = head.group(2)
            sync = dict(_UNTOLD, name=head.group(1), section=head.group(1), state="idle", paths=[],
                        source=source[:-1] if source.endswith("/") and source != "/" else source)
            shot["syncs"].append(sync)
        elif count is not None and count.group(1) != "There are":
            shot["watches"], sync = int(count.group(2)), None
        elif sync is not None and count is not None:
            sync["queued"] = int(count.group(2))
        elif sync is not None and change is not None and change.group(1) == "active":
            sync.update(state="syncing", in_flight=sync["in_flight"] + 1, queued=max(0, sync["queued"] - 1))
        elif sync is not None and change is not None:
            sync["paths"].append(change.group(2).lstrip("/") or ".")


def read(path, interval=0.0, is_left=False):
    """Return the snapshot of a status file (absolute bytes), with what there is to say of the file; raise Fatal.

    interval: the statusInterval of whoever writes it, in seconds; is_left: whether it is read as no daemon answers.
    """
    try:
        with open(path, "rb") as file:
            written = os.fstat(file.fileno()).st_mtime
            text = file.read(_LONGEST).decode("utf-8", "surrogateescape")
        shot = parse(text)
    except (OSError, ValueError) as error:
        raise Fatal("cannot read the status file %s: %s" % (show(path), reason(error) if isinstance(error, OSError) else error)) from None
    age = time.time() - written  # less than 0: clocks have been set, and it tells nothing of how old it is
    return dict(shot, file={"path": show(path), "age": age, "is_stale": not -_STALE < age <= max(3 * interval, _STALE), "is_left": is_left})


def line(syncs):
    """Return the one line (str) that a service manager shows: how many syncs are at what, and why those that do not work do not."""
    states = [sync.state for sync in syncs]
    counts = ["%d %s" % (states.count(state), state.value) for state in State if state in states]
    troubles = ["%s: %s" % (show(sync.config.name), words)
                for sync, words in sorted(((sync, _trouble(sync)) for sync in syncs), key=lambda pair: pair[0].config.name) if words]
    left = len(troubles) - _TROUBLES
    return "%d sync%s: %s%s" % (len(syncs), "" if len(syncs) == 1 else "s", ", ".join(counts), "" if not troubles else " (%s%s)" % (
        "; ".join(troubles[:_TROUBLES]), "; and %d more" % left if left > 0 else ""))


def _trouble(sync):
    """Return why a sync does not do what it should, in words, or None."""
    return sync.lacks if sync.absent else sync.guarded or sync.last_error or sync.degraded


def write(path, text):
    """Replace a file (absolute bytes) with the text at once; raise OSError. A link is replaced, not followed."""
    atomic.write(path, text.encode("utf-8", "surrogateescape"))
