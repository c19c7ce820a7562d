"""Names of lsyncd's, of today and of older releases, that are none here → today's keys.

Each is accepted with a warning that says what to write today, or is an error that does.
"""

import re

from lsyncd_lite.config import settings
from lsyncd_lite.paths import show

# What has only another name now.
_RENAMED = {
    "statusIntervall": "statusInterval",  # of lsyncd 2.0
    "rsyncBinary": "rsync.binary",
    "sshBinary": "ssh.binary",
    "bwlimit": "rsync.bwlimit",
}

# What held options of rsync, and of ssh, as they are on its command line.
_OF_RSYNC = ("rsyncOps", "rsyncOpts", "rsync.rsyncOps", "rsync.rsyncOpts")
_OF_SSH = ("sshOps", "sshOpts")

# What means nothing here: (the words of a warning).
_LEFT_OUT = {
    "rsyncExitCodes": "is left out: what an exit status of rsync means is known here, and 23 is no success",
    "sshExitCodes": "is left out: what an exit status of ssh means is known here",
    "checkgauge": "is left out: it makes keys known to lsyncd only",
    "log": "is left out: which messages there are is an option of the command line, as in -log Exec",
}

# Where the port of a tunnel may stand, which has two spellings.
_PORTS = ("target", "tunnel.command", "rsync._extra")

# Letters of rsync(1) that take a value, and its key here.
_WITH_VALUE = {"e": "rsync.rsh", "T": "rsync.temp_dir", "f": None, "B": None, "M": None, "@": None}
_DROPPED = ("-r", "--recursive", "--delete")  # what lsyncd adds itself, and so do we
_LONGEST = 4096  # characters of a text of options: shlex is slow
# What lsyncd's own options would have set, and these texts stood in place of.
_REPLACED = ("rsync.links", "rsync.times")


def today(entries, kind, mode):
    """Return (entries with today's keys, [findings], [warnings]) of those of a section; findings and warnings are lines.

    mode: of the sync, None: of settings. What is given by today's key counts before what is given by another.
    """
    change, others = _Change(entries, kind, mode), []
    for change.place, entry in enumerate(entries):
        if not change.take(entry):
            others.append((change.place, entry))
    for change.place, entry in others:
        change.carry_over(entry)
    order = sorted(range(len(change.found)), key=change.places.__getitem__)
    return [change.found[at] for at in order], change.findings, change.warnings


class _Change:

    def __init__(self, entries, kind, mode):
        self.found = []
        self.places = []  # of each of these, where it stood: a file that is written has the order of what was read
        self.place = 0    # of the entry that is looked at
        self.findings = []
        self.warnings = []
        self._known = settings.scope(kind)
        self._kind = kind
        self._mode = mode
        self._given = {entry.key for entry in entries}
        self._told = set()  # tables about which all is said

    def take(self, entry):
        """Take an Entry if its key is one of today's, and tell so."""
        base = entry.key.partition(".")[0]
        if entry.key not in self._known and (base != "exitcodes" or base not in self._known):
            return False
        if entry.key in _PORTS and any(key.startswith("tunnel.") for key in self._given):
            entry = self._tunnel(entry)
        if self._is_ours(entry, base):
            self._find(self._inotify(entry) if entry.key == "inotifyMode" else entry)
        return True

    def carry_over(self, entry):
        """Take an Entry of any other key as what it is today."""
        name, base = entry.key, entry.key.partition(".")[0]
        if base in _LEFT_OUT and (base != "log" or self._kind == "settings"):
            self._once(base, entry, _LEFT_OUT[base])
        elif self._kind == "sync" and name in _OF_RSYNC:
            self._options(entry)
        elif self._kind == "sync" and name in _OF_SSH:
            self._words(entry, "ssh._extra")
        else:
            self._rename(entry)

    def _find(self, entry):
        self.found.append(entry)
        self.places.append(self.place)

    def _once(self, base, entry, words):
        if base not in self._told:
            self._told.add(base)
            self.warnings.append("%s: %s" % (self._where(entry, base), words))

    @staticmethod
    def _where(entry, base):
        """Return where an entry stands, with the name of its table only."""
        return entry.where[:len(entry.where) - len(show(entry.key))] + show(base)

    def _is_ours(self, entry, base):
        """Tell whether a key of ours means here what lsyncd means by it; say so where not."""
        if base not in ("exitcodes", "onMove") or settings.fits(self._known[base], self._mode):
            return True
        if base == "exitcodes":
            self._once(base, entry, _LEFT_OUT["rsyncExitCodes"])
            return False
        return entry.raw is not True  # what is renamed is always renamed on the target, too

    def _rename(self, entry):
        """Take what is a key but for its capitals and hyphens; what is none goes on to be called unknown."""
        base, _dot, rest = entry.key.partition(".")
        name = _RENAMED.get(entry.key)
        if name not in self._known:
            plain = _plain(entry.key)
            near = [other for other in self._known if _plain(other) == plain]
            tables = [other for other in settings.TABLES if _plain(other) == _plain(base)]
            paired = next((other for other, key in self._known.items() if key.kind.paired and plain.startswith(_plain(other) + ".")), None)
            if len(near) == 1:
                name = near[0]
            elif paired is not None:
                name = "%s.%s" % (paired, entry.key.split(".", paired.count(".") + 1)[-1])
            elif len(tables) == 1 and tables[0] != base:
                name = "%s.%s" % (tables[0], rest)
            else:
                self._find(entry)
                return
        if name != entry.key and name not in self._given:
            self._given.add(name)
            self.warnings.append("%s: is called %s today" % (entry.where, show(name)))
            self._find(entry._replace(key=name))
        elif name == entry.key:
            self._find(entry)
        else:
            self.warnings.append("%s: is left out: it is called %s today, which is given, too" % (entry.where, show(name)))

    def _inotify(self, entry):
        """Return the entry with the words of inotifyMode in their order."""
        allowed = self._known["inotifyMode"].kind.choices
        for choice in allowed:
            if isinstance(entry.raw, str) and sorted(entry.raw.lower().split()) == sorted(choice.lower().split()) and entry.raw != choice:
                self.warnings.append("%s: is called %s today" % (entry.where, choice))
                return entry._replace(raw=choice)
        return entry

    def _tunnel(self, entry):
        """Return the entry with the port of the tunnel as ^localport, and a list of words as a command."""
        is_list = isinstance(entry.raw, list)
        items = [item.replace("${localport}", "^localport") if isinstance(item, str) else item for item in (entry.raw if is_list else [entry.raw])]
        if items != (entry.raw if is_list else [entry.raw]):
            self.warnings.append("%s: ${localport} is written ^localport today" % entry.where)
        if entry.key == "tunnel.command" and is_list and items and all(isinstance(item, (str, int, float)) and not isinstance(item, bool) for item in items):
            words = [_quoted(str(item)) for item in items]
            return entry._replace(raw=" ".join(words if words[0].startswith("/") else ["exec", *words]))
        return entry._replace(raw=items if is_list else items[0])

    # ---- options -----------------------------------------------------------------------------

    def _words(self, entry, key):
        """Take a text, or a list of texts, as more arguments of a key."""
        words = self._split(entry)
        if words is None:
            return
        self.warnings.append("%s: is called %s today" % (entry.where, key))
        self._add(entry, {key: words})

    def _split(self, entry):
        """Return the words of a text, or of a list; None where they cannot be told."""
        import shlex
        if isinstance(entry.raw, list) and not any(isinstance(item, bool) for item in entry.raw):
            return [str(item) for item in entry.raw if item != ""]
        try:
            if isinstance(entry.raw, str) and len(entry.raw) <= _LONGEST:
                return shlex.split(entry.raw)
        except ValueError:
            pass  # a quotation that does not end
        self.findings.append("%s: allowed: a text with options, or a list of texts" % entry.where)
        return None

    def _options(self, entry):
        """Take options of rsync as today's keys; what has no key goes to rsync._extra."""
        words = self._split(entry)
        if words is None:
            return
        values, extra = _keys_of(words)
        values.update((key, False) for key in _REPLACED if key not in values and "rsync.archive" not in values)
        said = ["%s = %s" % (key.partition(".")[2], {True: "true", False: "false"}.get(value, "…")) for key, value in values.items()]
        said += ["_extra = { … }"] * bool(extra)
        self.warnings.append("%s: today: rsync = { %s }" % (entry.where, ", ".join(said)))
        self._add(entry, dict(values, **({"rsync._extra": extra} if extra else {})))

    def _add(self, entry, values):
        """Add values by today's keys; a list goes behind one that is there, of all others the first counts."""
        for key, value in values.items():
            at = next((number for number, other in enumerate(self.found) if other.key == key), None)
            if at is not None and isinstance(value, list):
                raw = self.found[at].raw
                self.found[at] = self.found[at]._replace(raw=[*(raw if isinstance(raw, list) else [raw]), *value])
            elif at is None and (key not in self._given or isinstance(value, list)):
                self._find(entry._replace(key=key, raw=value))


def _plain(name):
    """Return a name without what people get wrong: capitals, hyphens and underlines."""
    return re.sub("[_-]", "", name.lower())


def _quoted(word):
    """Return a word as a shell reads it."""
    return word if re.fullmatch(r"[\w@%+=:,./^-]+", word, re.ASCII) else "'%s'" % word.replace("'", "'\\''")


def _keys_of(words):
    """Return ({key: value}, [what has no key]) of options of rsync."""
    rows = {name: key for name, key in settings.scope("sync").items() if name.startswith("rsync.") and key.flag}
    letters = {key.flag: name for name, key in rows.items()}
    longs = {"--" + key.name.replace("_", "-"): name for name, key in rows.items()}
    longs["--archive"] = letters["-a"] = "rsync.archive"
    values, extra, words = {}, [], list(words)
    while words:
        word = words.pop(0)
        option, equals, text = word.partition("=")
        if word in _DROPPED:
            continue
        if option in longs and rows.get(longs[option]) is not None and rows[longs[option]].flag.endswith("="):
            if equals or words:
                values.setdefault(longs[option], text if equals else words.pop(0))
        elif option in longs and not equals:
            values[longs[option]] = True
        elif option.startswith("--no-") and "--" + option[5:] in longs:
            values[longs["--" + option[5:]]] = False
        elif re.match("-[^-]", word):
            _letters(word[1:], words, letters, values, extra)
        else:
            extra.append(word)
    return values, extra


def _letters(cluster, words, letters, values, extra):
    """Take the letters of one word, as in -rltvupgo; those that take a value may take it from the words that follow."""
    while cluster:
        letter, cluster = cluster[0], cluster[1:]
        if letter in _WITH_VALUE:
            value = cluster or (words.pop(0) if words else "")
            if _WITH_VALUE[letter] is None:
                extra += ["-" + letter + value] if cluster else ["-" + letter, value]
            else:
                values.setdefault(_WITH_VALUE[letter], value.strip())
            return
        key = letters.get("-" + letter)
        if letter == "D":
            values["rsync.devices"] = values["rsync.specials"] = True
        elif key is not None and key not in values:
            values[key] = True
        elif "-" + letter not in _DROPPED:
            extra.append("-" + letter)
