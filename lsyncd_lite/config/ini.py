"""INI text → sections. Knows no key by name.

Values are shell commands, patterns, host:dir: nothing in them is special. There is
no interpolation and no inline comment, the first "=" divides, case is kept. What begins
with <<WORD is taken as it is, up to a line WORD.
(configparser keeps no line numbers and ends at the first doubled key; every error
of a file with its line is what we want, and the format is smaller than that.)
"""

import re

from lsyncd_lite.config.section import Entry, Reading, Section
from lsyncd_lite.paths import show

BLANK = " \t\r"  # other blanks may belong to a name
DOCUMENT = re.compile("<<([A-Za-z0-9_]+)")  # a value that goes on below, up to a line with this word
_LUA = re.compile(r"(?:settings|sync)\s*=?\s*[({]")  # as lsyncd's configurations begin


def read(text, filename):
    """Return the Reading of INI text; errors are lines `FILE:LINE: …`.

    A line that begins with a blank goes on with the value above it, as a line of
    its own; "#" and ";" begin a comment where they are the first of a line. A comment
    within a value is told as if it stood at its beginning.
    """
    sections, errors, titles, comments = [], [], {}, []
    keys, values = None, None  # of the section, of the key that may go on
    apart = 0  # comments before this one are before the value, or in it
    document = None  # (word, where) of a here-document that is open
    for number, line in enumerate(text.split("\n"), 1):
        where = "%s:%d" % (filename, number)
        if document is not None:
            if line.rstrip(BLANK) == document[0]:
                document = values = None
            else:
                values.append(line)
            continue
        line = line.rstrip(BLANK)
        stripped = line.lstrip(BLANK)
        if not stripped:
            continue
        if stripped[0] in "#;":
            comments.append((number, stripped[1:]))
        elif line[0] in " \t" and values is not None:
            values.append(stripped)
            comments[apart:] = [(begin, words) for _number, words in comments[apart:]]
            apart = len(comments)
        elif _LUA.match(line):
            return Reading([], ["%s: this is Lua, as lsyncd reads it; here it is [settings] and [sync NAME], with the same keys as "
                                "KEY = VALUE, or JSON: see lsyncd-lite.conf(5)" % where])
        elif stripped[0] == "[":
            values = None
            entries = _section(stripped, where, number, titles, sections, errors)
            keys = {entry.key: number for entry in entries}
        elif "=" not in stripped:
            errors.append('%s: %s: neither "KEY = VALUE", a [section], a comment nor an indented list item'
                          % (where, show(stripped)))
            values, begin, apart = [], number, len(comments)
        else:
            key, value = (part.strip(BLANK) for part in stripped.split("=", 1))
            is_document = DOCUMENT.fullmatch(value)
            values, begin, apart = [value] if value and not is_document else [], number, len(comments)
            where += ": %s" % show(key)
            if is_document:
                document = is_document.group(1), where
            if keys is None:
                errors.append("%s: stands before the first section; sections are [settings] and [sync NAME]" % where)
            elif key in keys:
                errors.append("%s: given twice, first on line %d" % (where, keys[key]))
            else:
                keys[key] = number
                entries.append(Entry(key, values, where, line=number, is_indented=not is_document))
    if document is not None:
        errors.append("%s: the text that begins here has no end; allowed: a line that is %s alone, with no blank before it" % document[::-1])
    return Reading([section._replace(entries=[entry._replace(raw="\n".join(entry.raw)) for entry in section.entries])
                    for section in sections], errors, comments=comments)


def _section(line, where, number, titles, sections, errors):
    """Begin the section that a line names; return the list that takes its entries."""
    kind, _blank, name = line[1:-1].strip(BLANK).partition(" ")
    entries = []
    name = name.strip(BLANK)
    title = (kind, name)
    if not line.endswith("]") or kind not in ("settings", "sync") or (kind == "settings" and name):
        errors.append("%s: %s: unknown section; allowed: [settings], [sync NAME]" % (where, show(line)))
    elif title in titles:
        errors.append("%s: %s: given twice, first on line %s%s"
                      % (where, show(line), titles[title], "" if name else "; write [sync NAME]" * (kind == "sync")))
    else:
        titles[title] = number
        sections.append(Section(kind, where, entries, number))
        if name:
            entries.append(Entry("name", [name], "%s: name" % where, line=number))
    return entries
