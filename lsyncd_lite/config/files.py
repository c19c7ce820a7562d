"""Files of users' → sections and texts, with whoever else could change them refused or named.

Knows which files belong to a configuration, and what stands for other things in their
values; of keys only which hold commands.
"""

import os
import re
import stat

from lsyncd_lite.config import expansion
from lsyncd_lite.errors import reason
from lsyncd_lite.paths import show, to_bytes, to_text
from lsyncd_lite.trust import doubt, weak_spot

MAIN = b"lsyncd-lite.conf"  # the one that is followed by those in DIRECTORY, beside it
DIRECTORY = b"conf.d"
_LIMIT = 1 << 20  # bytes of a file that is put into a value
_MOST = 16 << 20  # bytes of a configuration, a script, a file of patterns: /dev/zero has no end

# How a configuration begins: with a section of INI, or with settings or a sync as Lua has them.
_BEGIN = re.compile(r"^[ \t]*(?:(?P<section>\[[ \t]*(?:settings|sync)\b)|(?!#|;|--)(?:.*\b)?(?:settings|sync)\s*(?:=\s*)?[({])", re.M)


def read_file(filename, is_plain=False, most=None):
    """Return (content as bytes, [] or [one line that says how others could change it]) of a file (bytes).

    is_plain: it has to be a regular file, so that nothing is waited for; most: bytes that it may have.
    Raises OSError.
    """
    flags = os.O_NONBLOCK | os.O_NOCTTY if is_plain else 0
    with open(filename, "rb", opener=lambda name, more: os.open(name, more | flags)) as file:
        facts = os.fstat(file.fileno())
        if is_plain and not stat.S_ISREG(facts.st_mode):
            raise OSError("it is no regular file")
        content = file.read(-1 if most is None else most + 1) or b""  # None: it would have to be waited for
        if most is not None and len(content) > most:
            raise OSError("it is larger than %d bytes" % most)
    words, name = doubt(facts), show(os.path.abspath(filename))
    if words is not None:
        owner = "root:root" if os.geteuid() == 0 else "%d" % os.geteuid()
        return content, ["%s: %s (chown %s %s; chmod go-w %s)" % (name, words, owner, name, name)]
    found = weak_spot(os.path.abspath(filename))
    return content, [] if found is None else ["%s: %s %s (%s)" % (name, show(found[0]), found[1], show(found[2]))]


def text_of(content):
    """Return the text of a file's content."""
    return content.decode("utf-8", "surrogateescape").lstrip("\ufeff").replace("\r\n", "\n")


def _reader(filename, text):
    """Return the module that reads a text: what it is is told by how it begins, or by the name of its file."""
    start, begin = text.lstrip()[:1], _BEGIN.search(text)
    if start == "{":
        from lsyncd_lite.config import json as reader
    elif filename.endswith(b".lua") or start == "<" or begin is not None and not begin.group("section"):
        from lsyncd_lite.config import lua as reader
    else:
        from lsyncd_lite.config import ini as reader
    return reader


class Files:
    """Reads what a configuration is made of; findings go to two lists of lines, errors and warnings."""

    def __init__(self, errors, warnings):
        self.errors = errors
        self.warnings = warnings
        self.readings = []    # a Reading of each file, in order
        self.is_whole = True  # nothing of it could not be read
        self._written = {}  # where an entry stands: {a line of what it has become: as it was written}

    def sections(self, filename, is_literal):
        """Return the sections of a configuration (a file name, str or bytes), and of those that follow it.

        is_literal(kind of section, key, raw value): tells whether a value stays as it is.
        """
        main = os.fsencode(filename)
        self._read(main, False)
        for name in self._others(main):
            self._read(name, True)
        return [section if reading.is_literal else self._expanded(section, is_literal)
                for reading in self.readings for section in reading.sections]

    def _others(self, filename):
        """Return the names of the files that follow one."""
        if os.path.basename(filename) != MAIN:
            return []
        directory = os.path.join(os.path.dirname(filename), DIRECTORY)
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            return []
        except OSError as error:
            self.errors.append("%s: cannot read the directory: %s" % (show(directory), reason(error)))
            self.is_whole = False
            return []
        return [os.path.join(directory, name) for name in sorted(names) if name.endswith(b".conf") and not name.startswith(b".")]

    def _read(self, filename, is_plain):
        try:
            content = self.trusted(filename, is_plain)
        except OSError as error:
            self.errors.append("%s: cannot read the configuration: %s" % (show(filename), reason(error)))
            content = None
        if content is None:
            self.is_whole = False
            return
        text = text_of(content)
        reading = _reader(filename, text).read(text, show(filename))
        self.readings.append(reading)
        self.errors += reading.errors
        self.warnings += reading.warnings
        self.is_whole = self.is_whole and not reading.errors

    def trusted(self, filename, is_plain=False):
        """Return the content of a file (bytes); None where others could make root do what they want by it. Raises OSError.

        Everybody may make his own mistakes: what is run by somebody else is a warning.
        """
        content, doubts = read_file(filename, is_plain, _MOST)
        if doubts and os.geteuid() == 0:
            self.errors += ["%s: refused, as root does what it says" % line for line in doubts]
            return None
        self.warnings += [line for line in doubts if line not in self.warnings]
        return content

    def _expanded(self, section, is_literal):
        """Return a section with everything in its place; what has none is a finding, and its raw value None."""
        entries = []
        for entry in section.entries:
            if not is_literal(section.kind, entry.key, entry.raw):
                raw, problems, written = expansion.expand_all(entry.raw, self._variable, self._content)
                self.errors += ["%s: %s" % (entry.where, words) for words in problems]
                if written is not None:
                    self._written[entry.where] = written
                    entry = entry._replace(raw=raw, written=entry.raw, is_refused=bool(problems))
            entries.append(entry)
        return section._replace(entries=entries)

    def shown(self, where, text, otherwise=None):
        """Return a value, or a line of one, for people: as it was written, if something was put into it; else it, or another text."""
        written = self._written.get(where)
        if written is None:
            return show(text if otherwise is None else otherwise)
        return show(written[text] if text in written else " ".join(dict.fromkeys(written.values())))

    @staticmethod
    def _variable(name):
        value = os.environb.get(to_bytes(name))
        if value is None:
            raise ValueError("the environment has no variable of this name")
        return to_text(value)

    def _content(self, name):
        """Return what a file holds, without its last newline; raise ValueError with what is against it."""
        try:
            content, doubts = read_file(to_bytes(name), True, _LIMIT)
        except ValueError:  # a null byte, or what JSON can say and no file is called
            raise ValueError("is no name of a file") from None
        except OSError as error:
            raise ValueError("cannot read the file: %s" % reason(error)) from None
        if doubts and os.geteuid() == 0:
            raise ValueError("%s: refused, as root does what it says" % doubts[0])
        self.warnings += [line for line in doubts if line not in self.warnings]
        text = text_of(content)
        return text[:-1] if text.endswith("\n") else text
