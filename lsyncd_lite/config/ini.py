"""INI text → sections. Knows no key by name.

Values are shell commands, patterns, host:dir: nothing in them is special. There is
no interpolation and no inline comment, the first "=" divides, case is kept.
(configparser keeps no line numbers and ends at the first doubled key; every error
of a file with its line is what we want, and the format is smaller than that.)
"""

import re

from lsyncd_lite.config.section import Entry, Section
from lsyncd_lite.paths import show

_BLANK = " \t\r"  # other blanks may belong to a name
_LUA = re.compile(r"(?:settings|sync)\s*=?\s*[({]")  # as lsyncd's configurations begin


def read(text, filename):
    """Return (sections, errors) of INI text; errors are lines `FILE:LINE: …`.

    A line that begins with a blank goes on with the value above it, as a line of
    its own; "#" and ";" begin a comment where they are the first of a line.
    """
    sections, errors, titles = [], [], {}
    keys, values = None, None  # of the section, of the key that may go on
    for number, line in enumerate(text.split("\n"), 1):
        where = "%s:%d" % (filename, number)
        line = line.rstrip(_BLANK)
        stripped = line.lstrip(_BLANK)
        if not stripped or stripped[0] in "#;":
            continue
        if line[0] in " \t" and values is not None:
            values.append(stripped)
        elif _LUA.match(line):
            return [], ["%s: this is Lua, as lsyncd reads it; here it is [settings] and [sync NAME], with the same keys as KEY = VALUE, "
                        "or JSON: see lsyncd-lite.conf(5)" % where]
        elif stripped[0] == "[":
            values = None
            entries = _section(stripped, where, titles, sections, errors)
            keys = {entry.key: number for entry in entries}
        elif "=" not in stripped:
            errors.append('%s: %s: neither "KEY = VALUE", a [section], a comment nor an indented list item'
                          % (where, show(stripped)))
            values = []
        else:
            key, value = (part.strip(_BLANK) for part in stripped.split("=", 1))
            values = [value] if value else []
            if keys is None:
                errors.append("%s: %s: stands before the first section; sections are [settings] and [sync NAME]"
                              % (where, show(key)))
            elif key in keys:
                errors.append("%s: %s: given twice, first on line %d" % (where, show(key), keys[key]))
            else:
                keys[key] = number
                entries.append(Entry(key, values, "%s: %s" % (where, show(key))))
    return [section._replace(entries=[entry._replace(raw="\n".join(entry.raw)) for entry in section.entries])
            for section in sections], errors


def _section(line, where, titles, sections, errors):
    """Begin the section that a line names; return the list that takes its entries."""
    kind, _blank, name = line[1:].rstrip("]").strip().partition(" ")
    entries = []
    title = (kind, name.strip())
    if not line.endswith("]") or kind not in ("settings", "sync") or (kind == "settings" and name):
        errors.append("%s: %s: unknown section; allowed: [settings], [sync NAME]" % (where, show(line)))
    elif title in titles:
        errors.append("%s: %s: given twice, first on line %s%s"
                      % (where, show(line), titles[title], "" if name else "; write [sync NAME]" * (kind == "sync")))
    else:
        titles[title] = where.rpartition(":")[2]
        sections.append(Section(kind, where, entries))
        if name:
            entries.append(Entry("name", [name.strip()], "%s: name" % where))
    return entries
