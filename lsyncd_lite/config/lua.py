"""Lua as lsyncd's configurations use it → sections. What it may cost is bounded, and it reaches nothing outside.

Gives the language what belongs to lsyncd: settings, sync, default, log, tunnel; what runs later there
(functions as actions, spawn …) is a finding that names what there is for it here. Of keys it
knows those that stand in settings.py only.
"""

import os

from lsyncd_lite.config import inherit, older, settings
from lsyncd_lite.config.section import Entry, Reading, Section
from lsyncd_lite.lua import evaluator, library, parser
from lsyncd_lite.lua.arguments import text_of
from lsyncd_lite.lua.values import LuaError, Meter, Table, TooMuch
from lsyncd_lite.paths import show, to_bytes, to_text

_WAY = "see lsyncd-lite.conf(5)"
_EXAMPLE = "see lsyncd-lite-migrate(7), FUNCTIONS, and lsyncd-lite.conf(5)"
_ACTIONS = ("onCreate", "onModify", "onAttrib", "onDelete", "onMove")

# What Lua's functions by these names are called in a script of ours.
_PYTHON = {"onStartup": "on_startup(sync)", "init": "on_startup(sync)", "action": "action(inbox)", "collect": "collect(job, exit_status)",
           "prepare": "prepare(config)", "onCreate": "on_create(event)", "onModify": "on_modify(event)", "onAttrib": "on_attrib(event)",
           "onDelete": "on_delete(event)", "onMove": "on_move(origin, destination)"}

# What lsyncd has for those functions, and cannot be called by what is read once.
_LATER = ("spawn", "spawnShell", "alarm", "observefd", "nonobservefd", "now", "readdir")
_OF_SYNCS = ("getEvent", "getEvents", "discardEvent", "getConfig", "addExclude", "rmExclude", "createBlanketEvent", "addBlanketEvent")

# What lsyncd's modes say of themselves; the values are ours.
_MODES = {"rsync": ("delay", "delete", "rsync.binary", "rsync.links", "rsync.protect_args", "rsync.times"),
          "rsyncssh": ("delay", "maxProcesses", "ssh.binary"),
          "direct": ("delay", "delete", "maxProcesses")}
_INHERITED = ("delay", "init", "maxDelays", "maxProcesses")  # of what stands in the table of default itself
_SYNC = 100  # steps that a sync takes as long as, about
_STEPS = 20  # of the evaluation, that what is done with an entry takes as long as, about


# What is written in small letters; and what looks like a value of Lua
_SMALL = ("settings", "sync", "default", "tunnel", "true", "false", "nil", "ipairs", "pairs")
_BOOLEANS = {"yes": " (true and false are the words for it)", "no": " (true and false are the words for it)", "on": " (true and false are the words for it)",
             "off": " (true and false are the words for it)", "null": " (which is the word for it)", "none": " (which is the word for it)"}


def read(text, filename):
    """Return the Reading of a text (str) in Lua; errors and warnings are lines `FILE:LINE: …`."""
    if text.lstrip().startswith("<"):
        return Reading([], ["%s:1: this is XML, the format of lsyncd 1; today a configuration is [settings] and [sync NAME] with KEY = VALUE, "
                            "JSON, or Lua as for lsyncd 2: %s" % (filename, _WAY)], [], [], True)
    return _Reader(filename).read(text)


class _Settings(Table):
    """`settings`: a table that can be called with another, which is added to it; `findings`: list of (line, words)."""

    def __init__(self):
        super().__init__()
        self.findings = []

    def __call__(self, machine, table=None, *_others):
        if not isinstance(table, Table):
            raise LuaError("settings: allowed: a table, as in settings{ KEY = VALUE }")
        self.add(table, machine.meter, machine.line)
        return ()

    def add(self, table, meter, line):
        """Give all that a table of a line holds; what is given again replaces what was."""
        if self.line is None:
            self.line, self.last = line, inherit.last_of(table, line)
        merge = inherit.Merge(meter, "settings")
        merge.add(table, line)
        self.findings += merge.findings
        for key, value in merge.table.items():
            self.set(len(self) + 1 if type(key) is int else key, value, merge.table.line_of(key))


class _Reader:

    def __init__(self, filename):
        self._filename = filename
        self._errors = []
        self._warnings = []
        self._sections = []
        self._settings = _Settings()
        self._default = _defaults()
        self._meter = Meter()

    def read(self, text):
        """Return the Reading of a text."""
        chunk = parser.parse(to_bytes(text))
        comments = [(line, to_text(words)) for line, words in chunk.comments]
        self._errors += [self._line(line, words) for line, words in chunk.errors]
        if not chunk.errors:
            self._evaluate(chunk)
        return Reading(self._sections, self._in_order(self._errors), self._in_order(self._warnings), comments, True)

    def _in_order(self, lines):
        """Return the lines, each once, in the order of the places that they name."""
        begin = len(self._filename) + 1
        return sorted(dict.fromkeys(lines), key=lambda line: int(line[begin:].partition(":")[0]))

    def _line(self, line, words):
        return "%s:%d: %s" % (self._filename, line or 1, words)

    def _evaluate(self, chunk):
        names = library.globals_table(lambda name: os.environb.get(name), self._said)
        for name, value in (("settings", self._settings), ("sync", self._sync), ("default", self._default), ("log", self._log),
                            ("tunnel", _tunnel), ("lsyncd_version", b"2.2.3"), ("terminate", _terminate), *((name, _later(name)) for name in _LATER)):
            names.set(to_bytes(name), value)
        try:
            evaluator.Machine(self._meter, self._unknown).run(chunk, names)
            self._assigned(names)
        except LuaError as error:
            self._errors.append(self._line(error.line, error.words))
            if isinstance(error, TooMuch):  # whoever checks what there is by then has no end, either
                self._sections.clear()
        lines = [self._settings.line_of(key) for key, _value in self._settings.items()]
        self._errors += [self._line(*finding) for finding in self._settings.findings]
        self._one_at_a_time()
        if self._settings.line is not None or lines:
            line = min(line for line in (self._settings.line, *lines) if line)
            self._sections.insert(0, self._section("settings", self._settings, line, self._settings.last))

    def _one_at_a_time(self):
        """Tell of actions that lsyncd runs side by side because settings allow that for all syncs together."""
        most = self._settings.get(b"maxProcesses")
        for section in self._sections:
            own = {entry.key: entry.raw for entry in section.entries}
            if own["mode"] == "exec" and "maxProcesses" not in own and most not in (None, False, 1):
                self._warnings.append(self._line(section.line, "sync: runs one action at a time here; maxProcesses of settings is no more "
                                                               "than a limit for all syncs, so write maxProcesses = … in this one, too"))

    def _unknown(self, name, line):
        small = show(name).lower()
        hint = " (%s is written in small letters)" % small if small in _SMALL and small != show(name) else _BOOLEANS.get(small, "")
        self._warnings.append(self._line(line, "%s was never given a value: it is nil%s" % (show(name), hint)))

    def _said(self, words, line):
        self._warnings.append(self._line(line, "print: %s" % words))

    def _log(self, machine, _category=None, *values):
        words = b"".join(map(text_of, values))
        machine.meter.take(len(words))
        self._warnings.append(self._line(machine.line, "log: %s" % show(words)))
        return ()

    def _assigned(self, names):
        """Take the table of `settings = { … }`, as lsyncd 2.0 had it; `sync = { … }` was never right."""
        if not callable(names.get(b"sync")):
            raise LuaError("sync: allowed: sync{ … }, without \"=\"", names.line_of(b"sync"))
        table, line = names.get(b"settings"), names.line_of(b"settings")
        if table is self._settings:
            return
        if not isinstance(table, Table):
            raise LuaError("settings: allowed: settings{ KEY = VALUE }", line)
        self._warnings.append(self._line(table.line or line, "settings = { … } is settings{ … } today, without \"=\""))
        self._settings.add(table, self._meter, table.line or line)

    # ---- sync --------------------------------------------------------------------------------

    def _sync(self, machine, table=None, *others):
        """Note what a table is now, with all that it inherits; return that as a table."""
        line = machine.line
        machine.meter.step(_SYNC)
        if not isinstance(table, Table) or others:
            raise LuaError("sync: allowed: a table, as in sync{ default.rsync, source = …, target = … }")
        merge = inherit.Merge(machine.meter, "sync")
        merge.add(table, line)
        for name in map(to_bytes, _INHERITED):
            if merge.table.get(name) is None:
                merge.table.set(name, self._default.get(name), self._default.line_of(name))
        self._errors += [self._line(*finding) for finding in merge.findings]
        self._warnings += [self._line(*doubt) for doubt in merge.doubts]
        if len(merge.modes) > 1:
            self._errors.append(self._line(line, "sync: inherits from %s; allowed: one of them" % " and ".join("default." + name for name in merge.modes)))
        found = merge.table
        mode = self._mode(found, line)
        section = self._section("sync", found, line, inherit.last_of(table, line), mode or "exec", next(iter(merge.modes.values()), table.line_of(1) or line))
        machine.meter.step(_STEPS * len(section.entries))
        if mode is not None:
            self._sections.append(section)
        for name in _OF_SYNCS:
            found.set(to_bytes(name), _later(name), inherit.DEFAULT)
        return (found,)

    def _mode(self, found, line):
        """Return the mode of a merged table, None where it has none: then there are findings, this or a function."""
        mode = found.get(b"mode")
        if mode is not None:
            return to_text(mode).rpartition("default.")[2] if isinstance(mode, bytes) else "rsync"
        names = [name for name in (*_ACTIONS, "onStartup", "action", "init", "collect", "prepare") if found.get(to_bytes(name)) not in (None, False)]
        if any(isinstance(found.get(to_bytes(name)), bytes) for name in names):
            return "exec"
        if not any(callable(found.get(to_bytes(name))) for name in names):
            self._errors.append(self._line(line, "sync: says not how: allowed: one of default.rsync, default.rsyncssh and default.direct in its "
                                           "list, or an action, as in onCreate = \"COMMAND\""))
        return None

    def _section(self, kind, table, line, last, mode=None, base=None):
        """Return the Section of a merged table, which is written in some lines, its mode in the line `base`."""
        where = "%s:%d" % (self._filename, line)
        taken = inherit.Entries(table, line, kind, self._filename, _refused)
        entries, findings, warnings = older.today(taken.found, kind, mode)
        self._errors += [self._line(*finding) for finding in taken.findings] + findings
        self._warnings += [self._line(*doubt) for doubt in taken.doubts] + warnings
        if kind == "sync" and not any(entry.key == "mode" for entry in entries):
            entries.insert(0, Entry("mode", mode, "%s:%d: mode" % (self._filename, base), line=base))
        return Section(kind, where, entries, line, last)


def _defaults():
    """Return `default`, with what lsyncd's modes say of themselves."""
    default = Table()
    for mode, names in _MODES.items():
        values = settings.defaults(mode)
        table = Table()
        table.set(b"mode", to_bytes(mode), inherit.DEFAULT)
        for name in names:
            base, dot, key = name.rpartition(".")
            if dot and table.get(to_bytes(base)) is None:
                table.set(to_bytes(base), Table(inherit.DEFAULT), inherit.DEFAULT)
            value = values[name]
            (table.get(to_bytes(base)) if dot else table).set(to_bytes(key), to_bytes(value) if isinstance(value, str) else value, inherit.DEFAULT)
        default.set(to_bytes(mode), table, inherit.DEFAULT)
        for name in ("init", "action", "collect", "prepare"):
            table.set(to_bytes(name), _later("default.%s.%s" % (mode, name)), inherit.DEFAULT)
    default.get(b"rsyncssh").set(1, default.get(b"rsync"), inherit.DEFAULT)
    default.get(b"direct").set(b"rsync", default.get(b"rsync").get(b"rsync"), inherit.DEFAULT)
    return default


def _refused(name, function):
    """Return the words for a function in a section; None for one of default's that stands where it stood there."""
    if getattr(function, "belongs_to", None) == name:
        return None
    if name in _PYTHON:
        if name in _ACTIONS or name == "onStartup":
            text = "write the command as a text (mode exec), or "
        else:  # most of these run a command besides rsync
            text = "" if name == "prepare" else "use a mode with commands around its jobs (onBatch.before, onBatch.after), or "
        return "is a function of Lua, which cannot be run here; %smode script with the Python function %s: %s" % (text, _PYTHON[name], _EXAMPLE)
    return "is a function; allowed: a text, a number, true, false or a table"


def _later(name):
    def function(_machine, *_arguments):
        raise LuaError("%s runs when there are events, and this is read once; what it is for are commands (mode exec) and Python functions "
                       "(mode script): %s" % (name, _WAY))
    function.belongs_to = name.rpartition(".")[2]
    return function


def _tunnel(_machine, table=None, *others):
    if not isinstance(table, Table) or others:
        raise LuaError("tunnel: allowed: a table, as in tunnel = tunnel{ command = { … } }")
    return (table,)


def _terminate(_machine, *_arguments):
    raise LuaError("terminate: the configuration itself ends here")
