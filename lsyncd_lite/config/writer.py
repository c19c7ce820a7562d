"""Readings → a configuration in INI or JSON that means the same. Pure.

Values are written as they were before anything was put into them. What the table says of
a key decides how a value is written, never what it is.
"""

import math
import re

from lsyncd_lite.config import comments, ini, settings
from lsyncd_lite.errors import ConfigError
from lsyncd_lite.paths import to_bytes

_DEEP = 20   # objects and arrays within each other
_WIDE = 100  # columns that an array of JSON may take


def to_ini(readings):
    """Return INI text (str) for some Readings, in order; raise ConfigError for what it cannot hold."""
    return _Ini(readings).text()


def to_json(readings):
    """Return JSON text (str) for some Readings, in order, without their comments; raise ConfigError for what it cannot hold."""
    errors, first, syncs = [], [], []
    for reading in readings:
        for section in map(_unexpanded(reading), reading.sections):
            known = settings.scope(section.kind)
            values = [] if section.kind == "sync" else first
            for entry in section.entries:
                try:
                    values.append((entry.key, _json_value(entry.raw, _key(entry.key, known))))
                except ValueError as error:
                    errors.append("%s: JSON cannot hold this value: %s" % (entry.where, error))
            if section.kind == "sync":
                syncs.append(_nested(values))
    if errors:
        raise ConfigError(errors)
    top = _Object()
    if any(section.kind == "settings" for reading in readings for section in reading.sections):
        top.append(("settings", _nested(first)))
    if syncs:
        top.append(("sync", syncs))
    return "%s\n" % _json_text(top, 0)


def _unexpanded(reading):
    """Return what makes of a section of a Reading one in which "${" has the meaning that it has in INI and JSON."""
    def escaped(raw):
        if isinstance(raw, list):
            return [escaped(item) for item in raw]
        return raw.replace("${", "$${") if isinstance(raw, str) else raw

    def unexpanded(section):
        return section._replace(entries=[entry if settings.is_command(section.kind, entry.key, entry.raw) else entry._replace(raw=escaped(entry.raw))
                                         for entry in section.entries])
    return unexpanded if reading.is_literal else lambda section: section


def _key(name, known):
    """Return the Key of an entry whose value is all of it, or None."""
    _name, key, item = settings.find(name, known)
    return key if item is None else None


# ---- INI -----------------------------------------------------------------------------------------

class _Ini:
    """INI text in the making: the settings first, then syncs and what is said after them, in order."""

    def __init__(self, readings):
        self._errors = []
        self._settings = []  # lines
        self._blocks = [self._settings]
        self._count = 0          # of syncs
        self._is_bare = False    # there is a [sync] without a name
        for reading in readings:
            self._add(reading)
        if self._errors:
            raise ConfigError(self._errors)

    def text(self):
        return "\n".join("\n".join(block).rstrip("\n") + "\n" for block in self._blocks if block)

    def _add(self, reading):
        placed = comments.placed(reading)

        def said(place, following=None):
            return comments.written(placed.get(place, ()), reading.is_literal, following)
        for index, section in enumerate(map(_unexpanded(reading), reading.sections)):
            known = settings.scope(section.kind)
            entries = [said((index, number)) + self._entry(entry, known) for number, entry in enumerate(section.entries)
                       if section.kind == "settings" or entry.key != "name"]
            title = said((index, comments.TITLE), comments.begin(section))
            if section.kind == "sync":
                block = []
                self._blocks.append(block)
                title += self._title(section)
            else:
                block = self._settings
                title += [] if "[settings]" in block else ["[settings]"]
            for lines in (title, *entries, said((index, comments.END))):
                block += lines
        self._blocks.append(comments.written(placed.get(comments.AFTER, ()), reading.is_literal, 0))

    def _title(self, section):
        """Return the lines that begin a sync."""
        self._count += 1
        entry = next((entry for entry in section.entries if entry.key == "name"), None)
        if entry is None:
            return ["[sync sync%d]" % self._count]
        try:
            line = "[sync %s]" % _encodable(_ini_text(entry.raw))
            reading = ini.read(line, "")
        except ValueError:
            reading = None
        if reading and not reading.errors and [found.raw for part in reading.sections for found in part.entries] == [line[6:-1]]:
            return [line]
        if self._is_bare:
            self._errors.append("%s: INI has one [sync] only whose name does not fit into brackets; -convert -json holds more" % entry.where)
        self._is_bare = True
        return ["[sync]", *self._entry(entry, settings.scope("sync"))]

    def _entry(self, entry, known):
        """Return the lines for an entry; known: {key: Key} of its section."""
        try:
            return _ini_lines(entry.key, entry.raw, _key(entry.key, known), () if entry.is_indented else known)
        except ValueError as error:
            self._errors.append("%s: INI cannot hold this value: %s; -convert -json can" % (entry.where, error))
            return []


def _ini_text(raw):
    """Return the text for a value that is no list; raise ValueError."""
    if isinstance(raw, bool):
        return "yes" if raw else "no"
    if isinstance(raw, (int, float)):
        return str(raw)
    if not isinstance(raw, str):
        raise ValueError("it is neither a text, a number, yes or no, nor a list of these")
    return raw


def _encodable(text):
    """Return a text; raise ValueError for one that has no bytes (JSON can say "\\ud800")."""
    try:
        to_bytes(text)
    except ValueError:
        raise ValueError("a character of it is half of one") from None
    return text


def _ini_lines(name, raw, key, known):
    """Return the lines of an entry, none for what means nothing; raise ValueError.

    known: what no line of it may look like, as it would be taken for that key.
    """
    is_list = isinstance(raw, list)
    if is_list:
        items = [text for text in map(_ini_text, raw) if text.strip()]  # others are none to anybody
        if any("\n" in text for text in items):
            raise ValueError("an item has several lines")
        if not items and key is not None and key.default == ():
            return []
        text = "\n".join(items) if items else "\n"
    elif not getattr(raw, "pairs", True) and (key is not None and key.kind.paired or name in settings.TABLES):
        return []
    else:
        text = _ini_text(raw)
    if key is not None and key.kind is settings.COMMAND and text.strip():  # what is around it means nothing
        text = re.sub(r"\A(?:[^\S\n]*\n)+", "", text.rstrip())
        text = text if "\n" in text else text.strip()
    if "\r\n" in text + "\n":
        raise ValueError("a line ends with a carriage return")
    lines = _ini_form(_encodable(name), _encodable(text), known)
    found = ini.read("[settings]\n" + "\n".join(lines), "")
    if found.errors or [entry[:2] for entry in found.sections[0].entries] != [(name, text)]:
        raise ValueError("there is no way to write this key")
    return lines


def _ini_form(name, text, known):
    """Return the lines that give a key a text: the simplest ones that hold it."""
    begin, lines = ("%s =" % name).lstrip(ini.BLANK), text.split("\n")
    if len(lines) == 1 and text == text.strip(ini.BLANK) and not ini.DOCUMENT.fullmatch(text):
        return [("%s %s" % (begin, text)).rstrip(ini.BLANK)]
    if all(line and line == line.strip(ini.BLANK) and line[0] not in "#;" for line in lines) and not any(
            "=" in line and line.partition("=")[0].strip() in known for line in lines[1:]):
        return [begin, *("    " + line for line in lines)]
    word, number = "END", 1
    while word in [line.rstrip(ini.BLANK) for line in lines]:
        number += 1
        word = "END%d" % number
    return ["%s <<%s" % (begin, word), *lines, word]


# ---- JSON ----------------------------------------------------------------------------------------

class _Object(list):
    """The (key, value) pairs of an object."""


def _json_value(raw, key, depth=0):
    """Return what is written for a raw value of a Key (or None); raise ValueError."""
    if depth > _DEEP:
        raise ValueError("it is nested too deeply")
    if hasattr(raw, "pairs"):
        return _Object((name, _json_value(item, None, depth + 1)) for name, item in raw.pairs)
    if isinstance(raw, list):
        return [_json_value(item, None, depth + 1) for item in raw]
    if isinstance(raw, float) and not math.isfinite(raw):  # which is no JSON
        return str(raw)
    if isinstance(raw, str) and key is not None:
        return _json_typed(raw, key)
    if raw is None or isinstance(raw, (bool, int, float, str)):
        return raw
    raise ValueError("it is neither a text, a number, true or false, nor a list or table of these")


def _json_typed(raw, key):
    """Return what a text means to a Key where JSON can say that, else the text."""
    if key.kind in (settings.BOOL, settings.DELETE):
        try:
            return key.kind.parse(raw)
        except (ValueError, KeyError):
            return raw
    if key.kind.allowed.startswith(("a number", "a whole number")):
        for pattern, kind in (r"0|[1-9][0-9]{0,8}", int), (r"(?:0|[1-9][0-9]{0,8})\.[0-9]{1,6}", float):
            if re.fullmatch(pattern, raw) and str(kind(raw)) == raw:
                return kind(raw)
    elif key.default == () or "\n" in raw and key.kind is settings.LINES:
        return [line for line in raw.split("\n") if line.strip()] or raw
    return raw


def _nested(values):
    """Return the _Object of a section's values, [(full key, value)]: what is before a dot is a table."""
    top, whole = _Object(), {name for name, _value in values}
    tables = {"": top}
    for name, value in values:
        words, table = name.split(".", 2), ""
        while len(words) > 1 and table + words[0] not in whole:  # else the dot stays
            inner = "%s%s." % (table, words.pop(0))
            if inner not in tables:
                tables[inner] = _Object()
                tables[table].append((inner[len(table):-1], tables[inner]))
            table = inner
        tables[table].append((".".join(words), value))
    return top


def _json_text(value, indent):
    """Return JSON text for a value."""
    import json
    if isinstance(value, _Object):
        texts, ends = ["%s: %s" % (_json_text(name, 0), _json_text(item, indent + 4)) for name, item in value], "{}"
    elif isinstance(value, list):
        texts, ends = [_json_text(item, indent + 4) for item in value], "[]"
        line = "[%s]" % ", ".join(texts)
        if not any(isinstance(item, list) for item in value) and indent + len(line) <= _WIDE:
            return line
    else:  # bytes that are no UTF-8 stay readable to others
        return re.sub("[\ud800-\udfff]", lambda match: "\\u%04x" % ord(match.group()), json.dumps(value, ensure_ascii=False))
    if not texts:
        return ends
    return "%s\n%s\n%s%s" % (ends[0], ",\n".join(" " * (indent + 4) + text for text in texts), " " * indent, ends[1])
