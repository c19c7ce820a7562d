"""A snapshot → the table that `lsyncd-lite status` shows. Pure.

A line about the daemon, one that counts the syncs by state, then a row a sync, those in
trouble first; beneath a row only what there is to say. With a width nothing is wider
than that: columns go, their texts shorten, and what is beneath is wrapped.
"""

from collections import namedtuple
from shlex import quote

from lsyncd_lite.paths import show
from lsyncd_lite.report import monitor, units
from lsyncd_lite.report.columns import BOLD, CYAN, GREEN, RED, YELLOW, cut, pad, paint, width as width_of, wrap

_COLOURS = {monitor.OK: GREEN, monitor.WARNING: YELLOW, monitor.CRITICAL: RED}
_BUSY = ("starting", "syncing")  # states: all is well, and something is on its way
_GAP, _INDENT, _BAR = 2, 2, 20  # columns

# marks: of what is cut, between source and target, in the bar: empty to full
_Marks = namedtuple("_Marks", "cut arrow bar")
_UNICODE, _ASCII = _Marks("…", " → ", " ▏▎▍▌▋▊▉█"), _Marks("~", " -> ", ".#")

# least: columns without which it is not shown (None: those of its longest text); goes: which goes first (None: it stays);
# text(sync, columns, marks): what stands in it, in at most so many columns (None: whole)
_Column = namedtuple("_Column", "head right least goes text")


def render(snapshot, width=None, colour=False, paths=False, is_ascii=False):
    """Return the table (str, a line feed at its end) of a snapshot.

    width: columns of the terminal (None: nothing is cut); colour: whether there are any; paths: whether queued ones
    are named; is_ascii: whether nothing but ASCII is shown.
    """
    return "".join(line + "\n" for line in _Table(snapshot, width, colour, is_ascii).lines(paths))


def _level(sync, at):
    return monitor.worst(monitor.of_sync(sync, at))


def _colour(sync, at):
    level = _level(sync, at)
    return CYAN if level == monitor.OK and sync["state"] in _BUSY else _COLOURS[level]


def _age(wall, at):
    return None if wall is None or at is None else max(0, at - wall)


# ---- columns ---------------------------------------------------------------------------------

def _number(key, words):
    """Return what stands in a column of numbers: a key of the sync in words."""
    return lambda sync, _columns, _marks: "-" if sync[key] is None else words(sync[key])


def _ago(seconds):
    return units.age(int(seconds))


def _speed(number):
    return units.size(number) + "/s"


def _name(sync, columns, marks):
    return sync["name"] if columns is None else cut(sync["name"], columns, marks.cut, "both")


def _state(sync, columns, marks):
    word = sync["state"]
    return word if columns is None or width_of(word) <= columns else cut(word.rpartition(" ")[2], columns, marks.cut)


def _pair(sync, columns, marks):
    """Return where it mirrors from and to; what is cut of them is the middle: a host and the last names tell most."""
    ends = [end for end in (sync["source"], sync["target"]) if end is not None]
    if columns is not None and len(ends) == 2:
        room = columns - width_of(marks.arrow)
        shorter = min(ends, key=width_of)
        given = min(width_of(shorter), room // 2)
        ends = [cut(end, given if end is shorter else room - given, marks.cut, "both") for end in ends]
    text = marks.arrow.join(ends)
    return text if columns is None else cut(text, columns, marks.cut)


_COLUMNS = (
    _Column("SYNC", False, 8, None, _name),
    _Column("STATE", False, 9, 8, _state),
    _Column("SOURCE%sTARGET", False, 17, 6, _pair),
    _Column("QUEUED", True, None, 7, _number("queued", units.count)),
    _Column("FLIGHT", True, None, 3, _number("in_flight", units.count)),
    _Column("OLDEST", True, None, 5, _number("oldest", _ago)),
    _Column("SUCCESS", True, None, 4, _number("ago", _ago)),
    _Column("LAG", True, None, 2, _number("lag", units.age)),
    _Column("RATE", True, None, 1, _number("rate", _speed)),
)
_NAME, _STATE, _PAIR = _COLUMNS[:3]
_LUXURIES, _EASY = 3, 30  # columns that go first do so where this one has less


def _layout(wanted, columns):
    """Return {_Column: its width} of those that there is room for.

    wanted: {_Column: columns of its longest text}; columns: of the terminal, None where there is no end.
    """
    if columns is None:
        return wanted
    found = {column: wide if column.least is None else min(wide, column.least) for column, wide in wanted.items()}
    found[_PAIR] = min(wanted[_PAIR], _EASY)

    def spare():
        return columns - sum(found.values()) - _GAP * (len(found) - 1)

    for column in sorted((column for column in _COLUMNS if column.goes is not None), key=lambda column: column.goes):
        if column.goes > _LUXURIES and _PAIR in found:
            found[_PAIR] = min(wanted[_PAIR], _PAIR.least)
        if spare() < 0:
            del found[column]
    found[_NAME] += min(spare(), 0)
    for column, most in (_NAME, columns // 6), (_PAIR, columns // 2), (_STATE, columns), (_NAME, columns // 4), (_PAIR, columns), (_NAME, columns):
        if column in found:
            found[column] += max(0, min(spare(), min(wanted[column], most) - found[column]))
    return found


# ---- the table -------------------------------------------------------------------------------

class _Table:
    """A table in the making."""

    def __init__(self, snapshot, columns, has_colours, is_ascii):
        self._shot, self._columns, self._has_colours, self._is_ascii = snapshot, columns, has_colours, is_ascii
        self._marks = _ASCII if is_ascii else _UNICODE

    def lines(self, has_paths):
        """Yield the lines."""
        at = self._shot["at"]
        syncs = [dict({key: self._safe(value) for key, value in sync.items()},
                      ago=_age(sync["last_success"], at), failing_for=_age(sync["failing_since"], at))
                 for sync in sorted(self._shot["syncs"], key=lambda sync: -_level(sync, at))]
        for words, colour in self._head():
            yield from self._wrapped(words, 0, colour)
        yield from self._wrapped(monitor.summary(syncs), 0)
        yield ""
        wide = _layout({column: max(map(width_of, [self._title(column)] + [column.text(sync, None, self._marks) for sync in syncs]))
                        for column in _COLUMNS}, self._columns)
        yield self._paint(self._row([self._title(column) for column in wide], wide), BOLD)
        for sync in syncs:
            cells = [column.text(sync, columns, self._marks) for column, columns in wide.items()]
            yield self._row(cells, wide, _colour(sync, at))
            yield from self._progress(sync["progress"] or {})
            for words, colour in self._beneath(sync):
                yield from self._wrapped(words, _INDENT, colour)
            if has_paths:
                yield from self._paths(sync)

    def _title(self, column):
        return column.head % self._marks.arrow if column is _PAIR else column.head

    def _row(self, cells, wide, colour=None):
        """Return a row; colour: of the state."""
        last = list(wide)[-1]
        texts = [cell if column is last and not column.right else pad(cell, columns, column.right)
                 for cell, (column, columns) in zip(cells, wide.items())]
        texts = [self._fit(text, columns) for text, columns in zip(texts, wide.values())]
        if colour is not None:
            texts = [self._paint(text, colour) if column is _STATE else text for text, column in zip(texts, wide)]
        return (" " * _GAP).join(texts)

    def _fit(self, text, columns):
        return text if width_of(text) <= columns else cut(text, columns, self._marks.cut)

    def _paint(self, text, colour):
        return paint(text, colour) if self._has_colours else text

    def _safe(self, value):
        """Return a value of which nothing steers a terminal, whoever has answered."""
        if isinstance(value, list):
            return [self._safe(item) for item in value]
        if isinstance(value, dict):
            return {key: self._safe(item) for key, item in value.items()}
        if not isinstance(value, str):
            return value
        text = value if value.isprintable() else show(value)
        return text.encode("ascii", "backslashreplace").decode() if self._is_ascii and not text.isascii() else text

    def _wrapped(self, words, indent, colour=None):
        """Yield a text that may be long, in as many lines as it takes; those after the first are indented more."""
        words = self._safe(words)
        if self._columns is None or indent + width_of(words) <= self._columns:
            yield " " * indent + self._paint(words, colour)
            return
        further = min(indent + _INDENT, self._columns // 2)
        room = max(1, self._columns - further)
        for number, line in enumerate(wrap(words, room)):
            yield " " * (further if number else min(indent, further)) + self._paint(self._fit(line, room), colour)

    # ---- the daemon --------------------------------------------------------------------------

    def _head(self):
        """Yield (words, colour) about the daemon."""
        shot, file = self._shot, self._shot.get("file")
        if file is not None:
            yield "%sstatus file %s, written %s ago%s" % ("no daemon answers: " * file["is_left"], file["path"], units.age(int(file["age"])), " (stale)" * file["is_stale"]), \
                RED if file["is_stale"] else YELLOW
        words = [" ".join(filter(None, (shot["program"], shot["version"])))]
        if shot["pid"] is not None:
            words.append("pid %d" % shot["pid"])
        if None not in (shot["started"], shot["at"]):
            words.append("up for %s" % units.age(max(0, int(shot["at"] - shot["started"]))))
        if shot["watches"] is not None:
            limit = shot["watches_limit"]
            words.append("watches %s%s" % (units.count(shot["watches"]),
                                           " of %s (%d %%)" % (units.count(limit), 100 * shot["watches"] // limit) if limit else ""))
        if shot["polled"]:
            words.append("scans %s" % units.count(shot["polled"]))
        if shot["overflows"]:
            words.append("events lost %s times" % units.count(shot["overflows"]))
        if shot["memory"] is not None:
            words.append("memory %s" % units.size(shot["memory"]))
        yield ", ".join(words), None
        if shot["stopping"] is not None:
            yield "stopping: %s" % shot["stopping"], YELLOW
        if shot["refused"] is not None:
            yield "the new configuration is refused: %s" % shot["refused"], RED

    # ---- beneath a row -----------------------------------------------------------------------

    @staticmethod
    def _beneath(sync):
        """Yield (words, colour) about a sync."""
        if sync["last_error"] not in (None, sync["held"]):
            yield "error: %s" % sync["last_error"], RED
            words = []
            if sync["failing_for"] is not None:
                words.append("failing for %s" % units.age(int(sync["failing_for"])))
            if sync["next_try"] is not None:
                words.append("next try in %s, or by lsyncd-lite retry %s" % (units.age(int(sync["next_try"])), quote(sync["name"])))
            if words:
                yield ", ".join(words), None
        if sync["held"] is not None:
            yield sync["held"], YELLOW
        if sync["lacks"] is not None:
            yield "waits: %s" % sync["lacks"], RED
        if sync.get("awaits") is not None:
            yield "waits: %s" % sync["awaits"], None
        tunnel = sync.get("tunnel")
        if tunnel is not None and tunnel["error"] is not None:
            yield "tunnel: %s of %s open%s" % (tunnel["ready"], tunnel["processes"], "" if tunnel["error"] == sync["last_error"] else ": %s" % tunnel["error"]), YELLOW
        if sync["degraded"] is not None:
            yield "degraded: %s" % sync["degraded"], YELLOW
        if sync["paused"]:
            yield "paused: lsyncd-lite resume %s goes on" % quote(sync["name"]), YELLOW
        if sync["owed"]:
            yield "onBatch.after was not told of %s name%s" % (units.count(sync["owed"]), "" if sync["owed"] == 1 else "s"), YELLOW
        canary = sync["canary"] or {}
        if canary.get("trouble") is not None:
            yield "canary: %s" % canary["trouble"], YELLOW
        words = ["on its way for %s" % units.age(canary["age"])] if canary.get("age") is not None else []
        words += ["the last took %s" % units.age(canary["lag"])] if canary.get("lag") is not None else []
        if words:
            yield "canary: %s%s" % (", ".join(words), ": it is late" * bool(canary.get("late"))), YELLOW if canary.get("late") else None

    def _progress(self, progress):
        """Yield the line with the bar of a full sync; where there is no room, what tells least goes first."""
        parts = {key: words(progress[key]) for key, words in _PROGRESS.items() if progress.get(key) is not None}
        room = None if self._columns is None else self._columns - _INDENT
        for least in ("files", "rate", "bytes", "left", "percent"):
            bar = _bar(progress["percent"], _BAR if room is None else min(_BAR, room // 3), self._marks.bar) if "percent" in parts else ""
            text = "  ".join(parts.values())
            if text and (room is None or width_of(bar) + 1 + width_of(text) <= room):
                yield " " * _INDENT + self._paint(bar, CYAN) + " " * bool(bar) + text
                return
            parts.pop(least, None)

    def _paths(self, sync):
        """Yield lines with the queued paths."""
        paths = sync.get("paths") or ()
        left = sync["queued"] - len(paths)
        indent = 2 * _INDENT if self._columns is None else min(2 * _INDENT, self._columns // 2)
        for path in paths:
            yield " " * indent + (path if self._columns is None else cut(path, self._columns - indent, self._marks.cut, "both"))
        if paths and left > 0:
            yield from self._wrapped("and %s more" % units.count(left), indent)


def _files(number):
    return "%s file%s" % (units.count(number), "" if number == 1 else "s")


def _left(seconds):
    return "%s left" % units.left(seconds)


_PROGRESS = {"percent": "{:3.0f} %".format, "bytes": units.size, "files": _files, "rate": _speed, "left": _left}


def _bar(percent, columns, marks):
    """Return a bar; marks: of an empty place to a full one."""
    steps = len(marks) - 1
    done = int(max(0, min(100, percent)) * columns * steps / 100)
    whole, part = divmod(done, steps)
    return (marks[-1] * whole + (marks[part] if part else "")).ljust(columns, marks[0])
