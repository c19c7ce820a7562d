"""Sections + table → one checked Config, or a ConfigError with every finding.

Here keys are checked against each other and against the disk (files of patterns,
targets that would be destroyed). Whether a source exists or a target answers is not
asked here: that may change while the daemon runs.
"""

import os
from types import SimpleNamespace

from lsyncd_lite.config import settings
from lsyncd_lite.config.section import Entry, Section
from lsyncd_lite.errors import ConfigError, reason
from lsyncd_lite.paths import below, show, to_bytes


class Config(SimpleNamespace):
    """settings: one attribute a key; syncs: list of SyncConfig; warnings: list of str."""


class SyncConfig(SimpleNamespace):
    """One source → target pair: one attribute a key of scope sync, and `rsync` with its table.

    Besides: source (bytes, resolved, no trailing slash), target (bytes, as rsync wants
    it), local (bool: the target is a directory here), rules (tuple of (sign, pattern as
    bytes, where it stands) in the order in which the first match decides), extra_rules
    (the same for what rsync is told by its own options).
    """

    def same_pair(self, other):
        """Tell whether the two mean the same: their names and the places of their rules do not count."""
        return self._meaning() == other._meaning()

    def _meaning(self):
        return dict(vars(self), name=None, rules=[rule[:2] for rule in self.rules],
                    extra_rules=[rule[:2] for rule in self.extra_rules])


def load(filename, overrides=None, pairs=()):
    """Return the Config of a file (str, or None) with what the command line adds.

    overrides: {key: raw value} for settings; a "delay" there goes for every sync.
    pairs: list of (source, target) for rsync syncs. Raises ConfigError.
    """
    sections, errors = _read(filename) if filename is not None else ([], [])
    for source, target in pairs:
        where = "-rsync %s %s" % (show(source), show(target))
        sections.append(Section("sync", where, [Entry("source", source, where + ": source"),
                                                Entry("target", [target], where + ": target")]))
    config = _Builder(errors).build(sections, overrides or {})
    if errors:
        raise ConfigError(errors)
    return config


def read_text(filename):
    """Return the text of a file; raises OSError."""
    with open(filename, "rb") as file:
        return file.read().decode("utf-8", "surrogateescape").lstrip("\ufeff").replace("\r\n", "\n")


def _read(filename):
    try:
        text = read_text(filename)
    except OSError as error:
        return [], ["%s: cannot read the configuration: %s" % (show(filename), reason(error))]
    if text.lstrip().startswith("{"):
        from lsyncd_lite.config import json as reader
    else:
        from lsyncd_lite.config import ini as reader
    return reader.read(text, show(filename))


def is_remote(target):
    """Tell whether rsync takes a target (str) for a host: a colon before any slash (rsync(1), SYNOPSIS)."""
    return target.startswith("rsync://") or ":" in target.partition("/")[0]


class _Builder:
    """Turns sections into a Config; every finding goes to `errors`."""

    def __init__(self, errors):
        self.errors = errors
        self.warnings = []

    def build(self, sections, overrides):
        values = self._values("settings", [entry for section in sections if section.kind == "settings"
                                           for entry in section.entries])
        for key, raw in overrides.items():
            values.update(self._values("settings", [Entry(key, raw, "-" + key)]))
        defaults = {name: key.default for name, key in settings.scope("settings").items()}
        merged = SimpleNamespace(**dict(defaults, **values))
        for name in ("logfile", "pidfile", "statusFile"):
            if getattr(merged, name) is not None:
                setattr(merged, name, os.path.abspath(to_bytes(getattr(merged, name))))
        inherited = {name: values[name] for name, key in settings.scope("sync").items()
                     if "settings" in key.scopes.split() and name in values}
        forced = {"delay": inherited["delay"]} if "delay" in overrides and "delay" in inherited else {}

        syncs, names = [], {}
        wanted = [section for section in sections if section.kind == "sync"]
        for number, section in enumerate(wanted, 1):
            own = self._values("sync", section.entries)
            own.setdefault("name", "sync%d" % number)
            found = self._syncs(section, {**inherited, **own, **forced})
            for name in {own["name"], *(sync.name for sync in found)}:
                if names.setdefault(name, section.where) is not section.where:
                    self.errors.append("%s: name: %s is taken by the sync of %s"
                                       % (section.where, show(name), names[name]))
            syncs += found
        if not wanted and not self.errors:
            self.errors.append("nothing to do: no sync is configured; give [sync NAME] in a file or -rsync SOURCE TARGET")
        self._rivals(syncs)
        return Config(settings=merged, syncs=syncs, warnings=self.warnings)

    def _rivals(self, syncs):
        """Warn of syncs that delete each other's files."""
        for number, sync in enumerate(syncs):
            for other in syncs[number + 1:]:
                nested = sync.local and other.local and (
                    below(other.target.rstrip(b"/"), sync.target.rstrip(b"/")) is not None
                    or below(sync.target.rstrip(b"/"), other.target.rstrip(b"/")) is not None)
                if (nested or sync.target == other.target) and (sync.delete or other.delete):
                    self.warnings.append("sync %s and sync %s share the target %s: each deletes what the other sends"
                                         % (show(sync.name), show(other.name), show(other.target)))

    def _values(self, kind, entries):
        """Return {key: checked value} of the entries that are right; the others are findings."""
        known, values = settings.scope(kind), {}
        for entry in entries:
            key = known.get(entry.key)
            if entry.key in settings.TABLES and not getattr(entry.raw, "pairs", True):
                continue  # a table that sets nothing
            if key is None:
                self.errors.append("%s: unknown key%s" % (entry.where, _hint(entry.key, known)))
                continue
            if isinstance(entry.raw, str):
                for line in entry.raw.split("\n")[1:]:
                    name = line.partition("=")[0].strip()
                    if "=" in line and name in known:
                        self.errors.append("%s: %s is indented, which makes it a part of this value"
                                           % (entry.where, show(line)))
            try:
                values[entry.key] = settings.parse(key, entry.raw)
            except ValueError as error:
                self.errors.append("%s: %s" % (entry.where, error))
        return values

    def _syncs(self, section, values):
        """Return one SyncConfig a target."""
        given = {entry.key for entry in section.entries}
        missing = [name for name in ("source", "target") if name not in given]
        for name in missing:
            self.errors.append("%s: %s: is required and missing" % (section.where, name))
        if missing or "source" not in values or "target" not in values:
            return []
        defaults = {name: key.default for name, key in settings.scope("sync").items()}
        flat = dict(defaults, **values)
        plain = {name: value for name, value in flat.items() if "." not in name}
        tables = {table: SimpleNamespace(**{name.partition(".")[2]: value for name, value in flat.items()
                                            if name.startswith(table + ".")})
                  for table in settings.TABLES}
        rsync = tables["rsync"]
        if rsync.archive:
            for name in settings.ARCHIVE:
                if "rsync." + name not in values:
                    setattr(rsync, name, True)
        if "/" in rsync.binary:
            rsync.binary = os.path.abspath(rsync.binary)
        if rsync.password_file is not None:
            rsync.password_file = os.path.abspath(rsync.password_file)

        places = {entry.key: entry.where for entry in section.entries}
        rules = self._rules(values, places)
        extra_rules = self._extra_rules(places, rsync)
        source = os.path.realpath(to_bytes(values["source"]))
        syncs = []
        targets = values["target"]
        if not targets:
            self.errors.append("%s: allowed: at least one target" % places["target"])
        for number, target in enumerate(targets, 1):
            local = not is_remote(target)
            path = os.path.abspath(to_bytes(target)) if local else to_bytes(target)
            if not path.endswith((b"/", b":")):
                path += b"/"
            if local:
                self._danger(places["target"], source, path)
            name = plain["name"] if len(targets) == 1 else "%s/%d" % (plain["name"], number)
            syncs.append(SyncConfig(**dict(plain, **tables, name=name, source=source, target=path,
                                           local=local, rules=rules, extra_rules=extra_rules)))
        return syncs

    def _danger(self, where, source, target):
        """Refuse a local target that the first sync would destroy the source, or the host, with."""
        real = os.path.realpath(target)
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
        self.errors.append("%s: target %s %s (source %s): refused" % (where, show(real), problem, show(source)))

    def _rules(self, values, places):
        """Return the rules of a sync in the order in which the first match decides."""
        rules = [("-", to_bytes(pattern), places["exclude"]) for pattern in values.get("exclude", ())]
        rules += [("-", to_bytes(line), where) for line, where in self._file("excludeFrom", values, places)]
        given = [(line, places.get("filter")) for line in values.get("filter", ())]
        for line, where in given + self._file("filterFrom", values, places):
            sign, blank, pattern = line[:1], line[1:2], line[2:]
            if sign in ("+", "-") and blank == " " and pattern:
                rules.append((sign, to_bytes(pattern), where))
            else:
                self.errors.append('%s: %s is no rule; allowed: "+ PATTERN" or "- PATTERN"' % (where, show(line)))
        return tuple(rules)

    def _file(self, key, values, places):
        """Return (line, where) of the lines of a file of patterns that are no comments."""
        if key not in values:
            return []
        return self._lines_of(values[key], places[key])

    def _lines_of(self, filename, where):
        try:
            text = read_text(to_bytes(filename))
        except OSError as error:
            self.errors.append("%s: cannot read %s: %s" % (where, show(filename), reason(error)))
            return []
        return [(line, "%s:%d" % (show(filename), number)) for number, line in enumerate(text.split("\n"), 1)
                if line.strip() and line[0] not in "#;"]

    def _extra_rules(self, places, rsync):
        """Return what rsync._extra (and cvs_exclude) chooses: it has to hold while running, too."""
        rules, arguments = [], list(rsync._extra)
        where = places.get("rsync._extra")
        while arguments:
            option, equals, value = arguments.pop(0).partition("=")
            sign = {"--include": "+", "--include-from": "+", "--exclude": "-", "--exclude-from": "-"}.get(option)
            if sign is None:
                if option in ("--filter", "--cvs-exclude") or option.startswith(("-f", "-F", "-C")):
                    self.warnings.append("%s: %s holds at a full sync only; use filter" % (where, show(option)))
                continue
            if not equals and arguments:
                value = arguments.pop(0)
            lines = self._lines_of(value, where) if option.endswith("-from") else [(value, where)]
            for line, at in lines:  # either may say "+ PATTERN" or "- PATTERN" (rsync(1), OLD PREFIXES)
                prefixed = line[:2] in ("+ ", "- ")
                rules.append((line[0] if prefixed else sign, to_bytes(line[2:] if prefixed else line), at))
        if rsync.cvs_exclude:
            rules += [("-", pattern, "rsync.cvs_exclude") for pattern in CVS_EXCLUDE]
        return tuple(rules)


# What -C leaves out (rsync(1), --cvs-exclude).
CVS_EXCLUDE = (b"RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo *~ #* .#* ,* _$* *$ "
               b"*.old *.bak *.BAK *.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe *.Z *.elc *.ln core "
               b".svn/ .git/ .hg/ .bzr/").split()


def _hint(name, known):
    import difflib
    near = difflib.get_close_matches(name, known, 1)
    return "; did you mean %s?" % near[0] if near else ""
