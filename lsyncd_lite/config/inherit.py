"""Tables of Lua → one table, as lsyncd lets them inherit, and what stands in that → entries.

lsyncd's rule, as its runs show it: a table is a base of the one in whose list it stands, at any
depth. What is named first counts, nearer before farther, earlier before later; `false` counts as
named. Tables of the same name become one, and so do lists: one's own items come first.
"""

from lsyncd_lite.config import settings
from lsyncd_lite.config.section import Entry
from lsyncd_lite.lua.values import LuaError, Table, type_name
from lsyncd_lite.paths import show, to_text

DEFAULT = 0  # the line of what nobody has written: lsyncd's own defaults
_DEEPEST = 50
_COPIES = 4  # of a text, on its way to a checked value


class Merge:
    """What some tables are as one; `table` is that one, `findings` and `doubts` are lists of (line, words)."""

    def __init__(self, meter, kind):
        """kind: of the section that it is for; every step costs something of the Meter. Methods raise LuaError."""
        self.table = Table()
        self.findings = []
        self.doubts = []
        self.modes = {}  # of default's, that were named → line
        self._meter = meter
        self._kind = kind
        self._known = settings.scope(kind)
        self._open = []  # the tables that are being added, outermost first

    def add(self, table, line, result=None, path=""):
        """Add a table of a line: to all, or to the Table `result` that is called `path` there ("rsync.")."""
        if any(table is other for other in self._open) or len(self._open) > _DEEPEST:
            raise LuaError("a table holds itself, or others too deeply: nothing can inherit that", line)
        result = self.table if result is None else result
        if _is_mode(table) and not any(map(_is_mode, self._open)):
            self.modes.setdefault(to_text(table.get(b"mode")), line)
        self._open.append(table)
        items = table.items()
        self._meter.step(5 + len(items))
        self._meter.take(sum(_COPIES * len(part) for item in items for part in item if isinstance(part, bytes)))
        numbered = self._is_numbered(path)
        if not numbered:
            self._holes(table, line, path, items)
        bases = []
        for key, value in items:
            place = table.line_of(key)
            place = (table.line or line) if place is None else place
            if type(key) is not int or numbered:
                self._set(result, key, value, place, path)
            elif isinstance(value, Table):
                bases.append((value, place))
            else:
                result.set(len(result) + 1, value, place)
        for base, place in bases:
            self.add(base, place, result, path)
        self._open.pop()

    def _holes(self, table, line, path, items):
        """Find what is nil in a list, which is where lsyncd's lists end without a word."""
        numbers = {key for key, _value in items if type(key) is int and key > 0}
        first = next((number for number in range(1, len(numbers) + 2) if number not in numbers))
        name = show(path[:-1]) or self._kind
        place = table.line_of(first) or table.line or line
        if len(numbers) >= first:
            self.findings.append((place, "%s: item %d of its list is nil, and others follow: was it ever given a value?" % (name, first)))
        elif not path and table.was_set(first):
            self.doubts.append((place, "%s: item %d of its list is nil: was it ever given a value?" % (name, first)))

    def _is_numbered(self, path):
        """Tell whether numbers are names in a table, as in exitcodes, and in what older releases had."""
        key = self._known.get(path[:-1])
        return path.endswith("ExitCodes.") or key is not None and key.kind is settings.EXITCODES

    def _set(self, result, key, value, line, path):
        given = result.get(key)
        name = path + _text(key)
        if isinstance(value, Table):
            if given is None:
                given = Table(value.line, value.last)
                result.set(key, given, line)
            if isinstance(given, Table):
                self.add(value, line, given, name + ".")
        elif given is None:
            result.set(key, value, line)
        elif result.line_of(key) == DEFAULT != line and given != value and name != "mode" and not any(map(_is_mode, self._open)):
            self.doubts.append((line, "%s: does not count, as in lsyncd: default%s, which has one, is named before this table; name this one first"
                                % (show(name), "".join("." + mode for mode in list(self.modes)[:1]))))


def last_of(table, line):
    """Return the line in which a table ends that was written in a line; None for one from elsewhere."""
    return table.last if table.line is not None and line <= table.line <= line + 1 else None


def _is_mode(table):
    """Tell whether a table is one of default's."""
    return table.line_of(b"mode") == DEFAULT and table.get(b"mode") is not None


class Entries:
    """The entries of a merged table; `findings` and `doubts` are lists of (line, words)."""

    def __init__(self, table, line, kind, filename, refuse):
        """line: where the section begins; refuse(name, value): returns the words for a function, None where it says nothing."""
        self.found = []
        self.findings = []
        self.doubts = []
        self._known = settings.scope(kind)
        self._filename = filename
        self._refuse = refuse
        self._kind = kind
        self._table(table, line, "")

    def _table(self, table, outer, prefix):
        """Take what stands in a table whose keys are names."""
        for key, value in table.items():
            line = table.line_of(key)
            line = outer if line is None else line
            name = prefix + _text(key)
            row = self._known.get(name)
            if type(key) is int and not isinstance(value, Table):
                self._stray(prefix, value, line)
            elif not isinstance(key, bytes):
                self.findings.append((line, "%s: a key has to be a name" % show(name)))
            elif isinstance(value, Table):
                names = [inner for inner, _value in value.items() if type(inner) is not int]
                if row is not None:
                    self._values(name, row, value, line, names)
                elif name in settings.TABLES or names and prefix.count(".") < 2:
                    self._table(value, line, name + ".")
                else:
                    self._list(name, value, line)
            elif line != DEFAULT:
                self._scalar(name, row, value, line)

    def _values(self, name, row, table, outer, names):
        """Take a table that is the value of a key: a list, or pairs."""
        if not row.kind.paired:
            for key in names:
                self.findings.append((table.line_of(key) or outer, "%s: %s stands in a list, which has no names" % (name, show(_text(key)))))
            self._list(name, table, outer)
            return
        items = []
        for key, value in table.items():
            line = table.line_of(key) or outer
            if callable(value):
                self._scalar(name, row, value, line)
            elif type(key) is int and row.kind is not settings.EXITCODES:
                items.append(_plain(value))
            elif isinstance(value, Table):
                self._list("%s.%s" % (name, _text(key)), value, line)
            else:
                self._take("%s.%s" % (name, _text(key)), _plain(value), line)
        if items:
            self._take(name, items, outer)

    def _list(self, name, table, outer):
        """Take what stands in the list of a table."""
        items = []
        for key, value in table.items():
            if callable(value):
                self.findings.append((table.line_of(key) or outer, "%s: a function stands in its list; allowed: texts and numbers" % show(name)))
            elif type(key) is int:
                items.append(_plain(value))
        self._take(name, items, outer, table)

    def _scalar(self, name, row, value, line):
        if callable(value):
            words = self._refuse(name, value)
            if words is not None:
                self.findings.append((line, "%s: %s" % (show(name), words)))
        elif name in settings.TABLES:
            self.findings.append((line, "%s: allowed: a table, as in %s = { KEY = VALUE }" % (name, name)))
        elif value is not False or row is None or _allows(row, False):  # else it says that the key is not set
            if row is not None and not isinstance(value, bool):
                self._differences(name, row, value, line)
            self._take(name, _plain(value), line)

    def _differences(self, name, row, value, line):
        """Tell of a text or a number that means something else to lsyncd."""
        key, words = name.rpartition(".")[2], show(_text(value))
        means = settings.parse(row, _plain(value)) if row.kind in (settings.BOOL, settings.DELETE) and _allows(row, _plain(value)) else None
        if row.kind is settings.DELETE and means is True:
            self.findings.append((line, "%s: %s is a text, for which lsyncd deletes nothing; write %s = true, or false" % (name, words, key)))
        elif row.kind is settings.BOOL and means is False:
            self.doubts.append((line, "%s: %s is false here, and true for lsyncd, as every text and number; write %s = false" % (name, words, key)))
        elif name.endswith("._extra"):
            self.doubts.append((line, "%s: is a text, which lsyncd passes over, and one argument here; write %s = { … }" % (name, key)))

    def _stray(self, prefix, value, line):
        words = show(_text(value)) if not prefix else "a " + type_name(value)  # it may be an option that holds a secret
        where = "the list of " + prefix[:-1] if prefix else "the list of a sync" if self._kind == "sync" else "the list of settings"
        hint = ", further arguments in %s_extra = { … }" % prefix if prefix + "_extra" in self._known else ""
        self.findings.append((line, "%s stands in %s; allowed: KEY = VALUE, or a table to inherit from%s" % (words, where, hint)))

    def _take(self, name, raw, line, table=Table()):
        self.found.append(Entry(name, raw, "%s:%d: %s" % (self._filename, line, show(name)), line=line, first=table.line, last=table.last))


def _allows(row, raw):
    try:
        settings.parse(row, raw)
    except ValueError:
        return False
    return True


def _plain(value):
    """Return what a reader makes of a value that is no table."""
    if isinstance(value, bytes):
        return to_text(value)
    return int(value) if type(value) is float and value.is_integer() else value


def _text(value):
    """Return the text (str) of a key or of a value, as people would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return to_text(value)
    return str(_plain(value)) if isinstance(value, (int, float)) else "a " + type_name(value)
