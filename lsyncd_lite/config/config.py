"""Sections + table → one checked Config, or a ConfigError with every finding.

Here keys are checked against each other and against the disk (files of patterns,
targets that would be destroyed). Whether a source exists or a target answers is not
asked here: that may change while the daemon runs.
"""

import os
import re
from types import SimpleNamespace

from lsyncd_lite.aside import Answers
from lsyncd_lite.config import patterns, settings, targets
from lsyncd_lite.config.files import Files
from lsyncd_lite.config.section import Entry, Section
from lsyncd_lite.errors import ConfigError, reason
from lsyncd_lite.paths import below, show, to_bytes, to_text


_ACTIONS = ("onStartup", "onCreate", "onModify", "onAttrib", "onDelete", "onMove")
_REQUIRED = {"rsyncssh": ("source", "host", "targetdir"), "exec": ("source",), "script": ("source", "script")}
_ANY_TARGET = ("exec", "script")  # modes to which a target is a text
_ELSEWHERE = {"settings": "sync", "sync": "settings"}
_PLACES = {"settings": "settings", "sync": "a sync"}
PATIENCE = 2.0  # seconds in which a file system has to tell of links on the way to a source or target
_QUOTED = re.compile(r"""\{?\s*(["']).*\1\s*\}?,?""")  # as Lua and shells want it
_REAL = Answers(os.path.realpath)


class Config(SimpleNamespace):
    """settings: one attribute a key; syncs: list of SyncConfig, maybe empty; warnings: list of str; filename: bytes, None without a file."""

    filename = None


class SyncConfig(SimpleNamespace):
    """One source → target pair: one attribute a key of scope sync, and a namespace for each table.

    Besides: section (str: the name without the number of the target), source (bytes, resolved, no trailing slash), target (bytes, as rsync wants
    it), local (bool: the target is a directory here), host (bytes, as ssh wants it) and
    targetdir (bytes, absolute or relative to the home there, no trailing slash), both
    None but in mode rsyncssh (modes exec and script: target is what was written, b"" without any), rules (tuple of (sign, pattern as bytes, where it stands)
    in the order in which the first match decides), extra_rules (the same for what rsync
    is told by its own options), code (bytes: what the script's file holds, or None). The
    commands are Commands, or None.
    """

    def same_pair(self, other):
        """Tell whether the two mean the same: names, places of rules, canaries, how changes are noticed and how processes are run do not count."""
        return self._meaning() == other._meaning()

    def _meaning(self):
        return dict(vars(self), name=None, section=None, targetsFrom=None, monitor=None, scanInterval=None, nice=None, ionice=None,
                    canary=None, canaryInterval=None, rules=[rule[:2] for rule in self.rules], extra_rules=[rule[:2] for rule in self.extra_rules])


def readings(filename):
    """Return ([Reading] of a file (str or bytes) and of those that follow it, errors, warnings).

    None for the Readings where a part of them could not be read; errors and warnings are
    those of the Config that they make.
    """
    builder = _Builder()
    builder.build(builder.read(filename), {})
    return builder.files.readings if builder.files.is_whole else None, builder.errors, builder.warnings


def load(filename, overrides=None, pairs=(), run=None):
    """Return the Config of a file (str, or None) with what the command line adds.

    overrides: {key: raw value} for settings; a "delay" there goes for every sync.
    pairs: list of (mode, {key: raw value}, words that stand for the place in messages).
    run(argv): returns what a command (list of bytes) of targetsFrom prints (bytes), or raises ValueError; None: nothing
    is run, and what it would name is left out. Raises ConfigError.
    """
    builder = _Builder(run)
    sections = builder.read(filename) if filename is not None else []
    for mode, values, where in pairs:
        sections.append(Section("sync", where, [Entry(key, raw, "%s: %s" % (where, key))
                                                for key, raw in dict(values, mode=mode).items()]))
    config = builder.build(sections, overrides or {})
    if builder.errors:
        raise ConfigError(builder.errors, builder.warnings)
    if filename is not None:
        config.filename = os.path.abspath(to_bytes(filename) if isinstance(filename, str) else filename)
    return config


class _Builder:
    """Turns sections into a Config; every finding goes to `errors`."""

    def __init__(self, run=None):
        self._run = run
        self.errors = []
        self.warnings = []
        self.files = Files(self.errors, self.warnings)

    def read(self, filename):
        """Return the sections of a file (str or bytes), and of those that follow it."""
        return self.files.sections(filename, settings.is_command)

    def build(self, sections, overrides):
        values = self._values("settings", self._once([entry for section in sections if section.kind == "settings"
                                                      for entry in section.entries]))
        for key, raw in overrides.items():
            values.update(self._values("settings", [Entry(key, raw, "-" + key)]))
        defaults = {name: key.default for name, key in settings.scope("settings").items()}
        merged = SimpleNamespace(**dict(defaults, **values))
        merged.stateDir = merged.stateDir or os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or None  # systemd.exec(5)
        for name in ("logfile", "pidfile", "statusFile", "stateDir", "controlSocket", "metricsFile"):
            if getattr(merged, name) is not None and getattr(merged, name) is not False:
                setattr(merged, name, os.path.abspath(to_bytes(getattr(merged, name))))
        inherited = {name: values[name] for name, key in settings.scope("sync").items()
                     if "settings" in key.scopes.split() and name in values}
        forced = {"delay": inherited["delay"]} if "delay" in overrides and "delay" in inherited else {}

        syncs, names = [], {}
        wanted = [section for section in sections if section.kind == "sync"]
        for number, section in enumerate(wanted, 1):
            own = self._values("sync", section.entries)
            place = next((entry.where for entry in section.entries if entry.key == "name"), None)
            own.setdefault("name", "sync%d" % number)
            if own["name"] == "all":
                self.errors.append("%s: name: all would be all of them (-release); choose another" % section.where)
            found = self._syncs(section, {**inherited, **own, **forced})
            for name in {own["name"], *(sync.name for sync in found)}:
                if names.setdefault(name, section.where) is not section.where:
                    self.errors.append("%s: name: %s is taken by the sync of %s"
                                       % (section.where, self.files.shown(place, name), names[name]))
            syncs += found
        self._rivals(syncs)
        for lines in self.errors, self.warnings:
            lines[:] = dict.fromkeys(lines)  # the syncs of a loop stand in the same place
        return Config(settings=merged, syncs=syncs, warnings=self.warnings)

    def _once(self, entries):
        """Return those that are the first of their key; others stand in different files, and are findings."""
        first = {}
        for entry in entries:
            if first.setdefault(entry.key, entry) is not entry:
                self.errors.append("%s: given twice, first in %s" % (entry.where, first[entry.key].where))
        return list(first.values())

    def _rivals(self, syncs):
        """Warn of syncs that delete each other's files: where many have one place, of each and one that deletes, if any."""
        mirrors = [(number, sync.target.rstrip(b"/") if sync.local else (sync.target, sync.tunnel.command))
                   for number, sync in enumerate(syncs) if sync.mode not in _ANY_TARGET]
        chosen = {}
        for number, place in sorted(mirrors, key=lambda mirror: not syncs[mirror[0]].delete):
            chosen.setdefault(place, number)
        for number, place in mirrors:
            above = [place[:at] for at in range(1, len(place)) if place[at:at + 1] == b"/"] if syncs[number].local else []
            for other in [chosen[name] for name in (*above, place) if name in chosen and chosen[name] != number]:
                first, second = syncs[min(number, other)], syncs[max(number, other)]
                if first.delete or second.delete:
                    self.warnings.append("sync %s and sync %s share the target %s: each deletes what the other sends"
                                         % (show(first.name), show(second.name), show(syncs[number].target)))

    def _values(self, kind, entries):
        """Return {key: checked value} of the entries that are right; the others are findings."""
        known, values = settings.scope(kind), {}
        for entry in entries:
            name, key, item = settings.find(entry.key, known)
            is_table = entry.key in settings.TABLES or key is not None and key.kind.paired and item is None
            if is_table and not getattr(entry.raw, "pairs", True):
                continue  # a table that sets nothing
            hides = False
            if key is None:
                self.errors.append("%s: unknown key%s" % (entry.where, _hint(entry.key, kind, known)))
                continue
            if entry.is_refused:
                continue
            written = entry.raw if entry.written is None else entry.written
            if isinstance(written, str) and entry.is_indented:
                equals = " = " if key.kind is settings.COMMAND else "="  # a shell's text may set variables
                for line in written.split("\n")[1:]:
                    other = line.partition("=")[0].strip()
                    if equals in line and other in known:
                        if known[other].name in settings.SECRET:
                            line, hides = "%s = …" % other, True
                        self.errors.append("%s: %s is indented, which makes it a part of this value"
                                           % (entry.where, show(line)))
                if not key.kind.paired and key.kind is not settings.COMMAND and any(map(_QUOTED.fullmatch, written.split("\n"))):
                    self.warnings.append("%s: the quotes are a part of the value: there are none in this format" % entry.where)
            if hides:
                continue
            try:
                if key.kind.paired:
                    raw = entry.raw if item is None else (item, entry.raw)
                    values[name] = values.get(name, ()) + settings.parse(key, raw, written)
                else:
                    values[name] = settings.parse(key, entry.raw, written)
            except ValueError as error:
                self.errors.append("%s: %s" % (entry.where, error))
        return values

    def _syncs(self, section, values):
        """Return one SyncConfig a target, or a host."""
        places = {entry.key: entry.where for entry in section.entries}
        mode = values.get("mode", "rsync")
        if "mode" in places and "mode" not in values:  # a finding already
            mode = "rsyncssh" if "host" in places else "rsync"
        else:
            self._wrong_modes(section, mode)
        if mode == "rsyncssh":
            self._targetdir(values, places)
            if values.get("maxProcesses", 1) != 1:
                self.errors.append("%s: allowed: 1 (mode rsyncssh)" % places["maxProcesses"])
        many = "host" if mode == "rsyncssh" else "target"  # one sync for each
        required = [name for name in _REQUIRED.get(mode, ("source", "target")) if name != many or "targetsFrom" not in places]
        for name in required:
            if name not in places:
                self.errors.append("%s: %s: is required and missing" % (section.where, name))
        actions = self._commands(values, places)
        if mode == "exec" and not any(name in places for name in _ACTIONS):
            self.errors.append("%s: does nothing: mode exec needs at least one of %s" % (section.where, ", ".join(_ACTIONS)))
        for name in ("fullSyncInterval", "crontab"):
            if mode == "exec" and name in places and "onStartup" not in places:
                self.errors.append("%s: runs onStartup again, and there is none" % places[name])
        code = self._code(values, places) if mode == "script" else None
        if mode == "rsync":
            self._tunnel(values, places, actions.get("tunnel.command"))
        if any(name not in values for name in [*required, *({"targetsFrom"} & places.keys())]):
            return []
        flat = dict(settings.defaults(mode), **values)
        flat.update(actions)
        plain = {name: value for name, value in flat.items() if "." not in name}
        tables = {table: SimpleNamespace(**{name.partition(".")[2]: value for name, value in flat.items()
                                            if name.startswith(table + ".")})
                  for table in settings.TABLES}
        rsync = tables["rsync"]
        if rsync.archive:
            for name in settings.ARCHIVE:
                if "rsync." + name not in values:
                    setattr(rsync, name, True)
        if rsync.password_file is not None:
            rsync.password_file = os.path.abspath(rsync.password_file)
        self._ssh(tables["ssh"], "ssh.binary" in values, places.get("ssh._extra"))
        for table in (rsync, tables["ssh"]):
            if "/" in table.binary:
                table.binary = os.path.abspath(table.binary)

        if plain["maxDelete"] is not None and any(word.startswith("--max-delete") for word in rsync._extra):
            self.errors.append("%s: stands beside --max-delete in rsync._extra; allowed: one of them" % places["maxDelete"])
        rules = patterns.rules(values, places, self.files)
        extra_rules = patterns.of_rsync(rsync, places, self.files)
        source = _real(to_bytes(values["source"]))[0]
        wanted = self._wanted(many, values, places, source)
        syncs, first = [], {}
        for number, (text, where) in enumerate(wanted, 1):
            try:
                end = (targets.over_ssh(text, values["targetdir"]) if mode == "rsyncssh"
                       else targets.as_written(text) if mode in _ANY_TARGET
                       else targets.by_rsync(text, mode, rsync.protect_args))
                if mode not in _ANY_TARGET:
                    _refuse_danger(source, end, self.files.shown(places["source"], to_text(source)))
                elif text and not text.startswith("/") and ":" not in text:
                    self.warnings.append("%s: %s is relative: commands run in / once the daemon has left the terminal; "
                                         "write the whole path if it is one" % (where, self.files.shown(where, text)))
            except targets.Refused as error:
                self.errors.append("%s: %s" % (where, self._about(error, where, text)))
                continue
            name = plain["name"]
            if "targetsFrom" in values:  # who joins or leaves gives no other another name
                if end["target"] in first:
                    self.warnings.append("%s: %s is what stands in %s: it is taken once" % (where, show(text), first[end["target"]]))
                    continue
                first[end["target"]] = where
                if where != places.get(many) and mode not in _ANY_TARGET and end["local"] and not text.startswith("/"):
                    self.errors.append("%s: %s is no host here, but a directory; allowed: its whole path, or HOST:DIR" % (where, show(text)))
                name = "%s/%s" % (name, show(text))
            elif len(wanted) > 1:
                name = "%s/%d" % (name, number)
            syncs.append(SyncConfig(**dict(plain, **tables, name=name, section=plain["name"], source=source, rules=rules,
                                           extra_rules=extra_rules, code=code, **end)))
        return syncs

    def _wanted(self, many, values, places, source):
        """Return [(target, or host, where it stands)] of a sync; many: the key for these."""
        wanted = [(text, places.get(many)) for text in values.get(many, () if "targetsFrom" in values else ("",))]
        if "targetsFrom" not in values:
            if not wanted:
                self.errors.append("%s: allowed: at least one %s" % (places[many], many))
            return wanted
        from lsyncd_lite.config import listing  # for those who have one
        return wanted + listing.targets(values["targetsFrom"], places["targetsFrom"], source, self.files, self._run)

    def _commands(self, values, places):
        """Return {key: Command} of the commands among values; what they may use depends on what they are for."""
        found = {}
        for name in [name for name, key in settings.scope("sync").items() if key.kind is settings.COMMAND and name in values]:
            from lsyncd_lite.config import commands  # for those who have some
            try:
                found[name] = command = commands.parse(values[name])
            except ValueError as error:  # of shlex: a quotation that does not end
                self.errors.append("%s: %s: %s" % (places[name], show(values[name]), error))
                continue
            self.warnings += ["%s: %s" % (places[name], words) for words in commands.doubts(values[name])]
            allowed = commands.OF_PATH if name in _ACTIONS and name != "onStartup" else ()
            if name == "onMove":  # those without "o." or "d." are of the origin, as in lsyncd
                allowed = [end + variable for end in ("o.", "d.", "") for variable in commands.OF_PATH]
            allowed = commands.OF_TUNNEL if name == "tunnel.command" else (*commands.OF_SYNC, *allowed)
            for variable in command.variables:
                if "target" in variable and not {"target", "targetsFrom"}.intersection(values):
                    self.errors.append("%s: ^%s: the sync has no target" % (places[name], variable))
                elif variable not in allowed:
                    self.errors.append("%s: ^%s has no value here; allowed: %s" % (
                        places[name], variable, ", ".join("^" + other for other in allowed)))
        return found

    def _tunnel(self, values, places, command):
        """Check a tunnel (its Command, or None), and what stands in it and in the target, against each other."""
        ends, port = values.get("target", ()), "^localport"
        extra = any(port in word for word in values.get("rsync._extra", ()))
        if "tunnel.command" not in places:
            if any(port in text and targets.is_remote(text) for text in ends):
                self.errors.append("%s: %s has no value: the sync has no tunnel.command" % (places["target"], port))
            self.warnings += ["%s: means nothing without tunnel.command" % where for name, where in places.items() if name.startswith("tunnel.")]
        elif "targetsFrom" in places:
            self.errors.append("%s: stands beside targetsFrom, whose targets no tunnel leads to; allowed: one of them" % places["tunnel.command"])
        if command is None:
            return
        takes, parallel = "localport" in command.variables, values.get("tunnel.parallel", 1)
        for text in ends:
            if not targets.is_remote(text):
                self.errors.append("%s: %s is a directory here, to which no tunnel leads; allowed: as rsync://localhost:%s/MODULE"
                                   % (places["target"], self.files.shown(places["target"], text), port))
            elif takes and not extra and port not in text:
                self.errors.append("%s: does not go through the tunnel; allowed: as rsync://localhost:%s/MODULE, or a port of your own "
                                   "here and in tunnel.command" % (places["target"], port))
            elif not takes and (extra or port in text):
                self.errors.append("%s: holds no %s, which is the port of the target" % (places["tunnel.command"], port))
        if port in (values.get("rsync.rsh") or ""):
            self.errors.append("%s: %s has no value here; allowed in: target, tunnel.command, rsync._extra" % (places["rsync.rsh"], port))
        if parallel > 1 and values.get("tunnel.mode", "command") != "pool":
            self.errors.append("%s: allowed: 1 (tunnel.mode = command), or tunnel.mode = pool" % places["tunnel.parallel"])
        elif parallel > 1 and not takes:
            self.errors.append("%s: allowed: 1, or %s in tunnel.command: each has a port of its own" % (places["tunnel.parallel"], port))
        elif parallel > values.get("maxProcesses", 1):
            self.warnings.append("%s: maxProcesses = %d: there are never jobs for more tunnels than that"
                                 % (places["tunnel.parallel"], values.get("maxProcesses", 1)))
        text = values["tunnel.command"]
        if takes and re.search(r"\bssh\b.*\s-L", text, re.S) and "exitonforwardfailure" not in text.lower():
            self.warnings.append("%s: should another program take the port, ssh goes on without it and what is sent goes there; "
                                 "add -o ExitOnForwardFailure=yes" % places["tunnel.command"])

    def _code(self, values, places):
        """Return the text (bytes) of a script, if there is one."""
        if "script" not in values:
            return None
        filename = os.path.abspath(to_bytes(values["script"]))
        try:
            code = self.files.trusted(filename, True)
        except OSError as error:
            self.errors.append("%s: cannot read %s: %s" % (places["script"], self.files.shown(places["script"], values["script"], filename), reason(error)))
            return None
        values["script"] = filename
        directory = os.path.dirname(filename)
        if code is not None and os.geteuid() == 0 and os.stat(directory).st_mode & 0o022:
            self.errors.append("%s: others can write to %s, and a script may import what lies beside it: refused (chmod go-w %s)"
                               % (places["script"], show(directory), show(directory)))
            code = None
        if code is None:
            return None
        from lsyncd_lite.config import scripts  # for those who have some
        for found, said in zip(scripts.check(code, to_text(filename)), (self.errors, self.warnings)):
            said += ["%s:%d: %s (%s)" % (show(filename), line, words, places["script"]) for line, words in found]
        return code

    def _wrong_modes(self, section, mode):
        """Refuse keys of other modes."""
        known = settings.scope("sync")
        for entry in section.entries:
            key = settings.find(entry.key, known)[1]
            if key is not None and not settings.fits(key, mode):
                self.errors.append("%s: is for mode %s; the mode of this sync is %s"
                                   % (entry.where, " and ".join(settings.modes(key)), mode))

    def _targetdir(self, values, places):
        """Make one targetdir, as ssh and rsync take it, of what a sync of mode rsyncssh says."""
        if "target" in places:
            if "targetdir" in places:
                self.errors.append("%s: is the same as targetdir in mode rsyncssh; allowed: one of them"
                                   % places["target"])
            elif "target" in values and len(values["target"]) != 1:
                self.errors.append("%s: allowed: exactly one directory (mode rsyncssh)" % places["target"])
            elif "target" in values:
                values["targetdir"] = values["target"][0]
            places.setdefault("targetdir", places["target"])
        try:
            if "targetdir" in values:
                values["targetdir"] = targets.from_home(values["targetdir"])
        except targets.Refused as error:
            self.errors.append("%s: %s" % (places["targetdir"], self._about(error, places["targetdir"], values["targetdir"])))
            del values["targetdir"]

    def _about(self, error, where, text):
        """Return the words of a targets.Refused about a text, which may have to stay as it was written."""
        shown = self.files.shown(where, text)
        return str(error) if shown == show(text) else error.words % shown

    def _ssh(self, table, has_binary, where):
        """Make words of ssh._extra, and a whole file name of what is one."""
        if table.identityFile is not None and table.identityFile[0] not in "~%":
            table.identityFile = os.path.abspath(table.identityFile)
        words = []
        for item in table._extra:
            first, *rest = item.split(None, 1)
            if words and re.fullmatch("-[BbcDEeFIiJLlmOopQRSWw]", words[-1]):  # ssh(1): these take a value
                words.append(item)
            elif os.path.basename(first) == "ssh":
                words += self._command_line(table, item, has_binary, where)
            elif rest and re.fullmatch("-[A-Za-z0-9]", first):
                words += [first, *rest]
            else:
                words.append(item)
        table._extra = tuple(words)

    def _command_line(self, table, item, has_binary, where):
        """Return the arguments in a text that begins with ssh itself, which becomes the binary."""
        import shlex
        try:
            binary, *arguments = shlex.split(item)
        except ValueError as error:
            self.errors.append("%s: cannot split the command line into words: %s" % (where, error))  # it may hold a secret
            return []
        if has_binary:
            words = "%s is left out, as ssh.binary says %s" % (self.files.shown(where, binary), show(table.binary))
        else:
            table.binary = binary
            words = "%s becomes ssh.binary" % self.files.shown(where, binary)
        self.warnings.append("%s: is a whole command line: its arguments are taken, %s" % (where, words))
        return arguments


def as_mode(sync, mode):
    """Return the SyncConfig by which a sync of mode script does what a standard mode does; raise ValueError."""
    text = to_text(sync.target)
    if not text:
        raise ValueError("the sync has no target")
    if mode == "rsyncssh":
        end = targets.over_ssh(*targets.host_and_directory(text))
    else:
        end = targets.by_rsync(text, mode, sync.rsync.protect_args)
        if end["local"] and not text.startswith("/"):
            raise ValueError("target %s: allowed: the whole path of a directory" % show(text))
    _refuse_danger(sync.source, end, show(sync.source))
    return SyncConfig(**dict(vars(sync), mode=mode, **end))


def _real(path):
    """Return (the path without links, whether that is known): where a file system does not answer, what it was the last time, if any."""
    found, _answers = _REAL.get(os.path.abspath(path), PATIENCE)
    return os.path.abspath(path) if found is None else found, found is not None


def _refuse_danger(source, end, source_shown):
    """Raise targets.Refused for a local target that the first sync would destroy the source, or the host, with."""
    if not end["local"]:
        return
    real, is_known = _real(end["target"])
    if not is_known:
        raise targets.Refused("target %s does not answer: whether it is the source, or holds it, cannot be told", show(end["target"]))
    if real == b"/":
        problem = "is the root of this host"
    elif real == source:
        problem = "is the source itself"
    elif below(real, source):
        problem = "lies in the source"
    elif below(source, real):
        problem = "holds the source"
    else:
        return
    raise targets.Refused("target %%s %s (source %s): refused" % (problem, source_shown.replace("%", "%%")), show(real))


def _hint(name, kind, known):
    """Return what to say about a key that is not known in a section of a kind: where it belongs, or what was meant."""
    import difflib
    if settings.find(name, settings.scope(_ELSEWHERE[kind]))[1] is not None:
        return " in %s: it belongs into %s" % (_PLACES[kind], _PLACES[_ELSEWHERE[kind]])
    table, _dot, last = name.partition(".")
    if table not in settings.TABLES:
        near = difflib.get_close_matches(name, known, 1)
        return "; did you mean %s?" % near[0] if near else ""
    names = [other.partition(".")[2] for other in known if other.startswith(table + ".")]  # the name of the table is no likeness
    near = difflib.get_close_matches(last, names, 1)
    if last in known:
        return "; did you mean %s, which does not stand in %s?" % (last, table)
    if near:
        return "; did you mean %s.%s?" % (table, near[0])
    return "; further arguments go into %s._extra" % table if "_extra" in names else ""
