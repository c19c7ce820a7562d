"""Tables and prose → manual pages in mdoc(7). Pure.

A line of the prose that begins with "@" stands for what a table says; the rest is mdoc
as it is. Every row has to have its place: what is missing, unknown or there twice is a
ValueError.

    @forms                how the program is called
    @option NAME          an option; more about it may follow
    @options              those that are not named
    @command NAME         a word that asks or steers a daemon; more about it may follow
    @asking NAME          an option of such words
    @categories           those of the log
    @key NAME             a key; more about it may follow
    @keys SCOPE           those of a scope that are not named
    @code, @ini, @json, @lua, @python … @end    an example, as it is
    @table HEAD … @end    rows, see `table`
"""

import re
import textwrap

from lsyncd_lite.config import options, settings

_EXAMPLES = ("code", "ini", "json", "lua", "python")

# The words for kinds that the page describes once; of others it says what is allowed.
_KINDS = {settings.BOOL: "boolean", settings.SECONDS: "seconds", settings.TEXT: "text", settings.FILE: "file",
          settings.LINES: "list", settings.COMMAND: "command"}
_LIKE = {"number": "a whole number", "seconds": "a number of seconds", "file": "the name of a file"}


def render(prose):
    """Return the text (str) of a manual page; raise ValueError."""
    page = _Page(prose)
    for line in prose.split("\n"):
        page.add(line)
    return page.text()


class _Page:
    """A page in the making: what was written, and the rows that have no place yet."""

    def __init__(self, prose):
        self._out = []
        self._facts, self._depth = [], 0  # what the table says of a key comes after what the prose says: lists within that are open
        self._is_example = False
        self._table = None  # lines of the one that is open
        self._left = {}
        for kind, rows in (("key", _keys()), ("option", dict(options.OPTIONS)), ("command", dict(options.COMMANDS)), ("asking", dict(options.ASKING))):
            if re.search(r"^@%ss?\b" % kind, prose, re.M):  # a page of keys, or of options
                self._left[kind] = rows
        self._named = {kind: set(re.findall("^@%s (.*)$" % kind, prose, re.M)) for kind in self._left}

    def text(self):
        missing = [name for rows in self._left.values() for name in rows]
        if missing:
            raise ValueError("has no place: %s" % ", ".join(missing))
        return "\n".join(self._out)

    def add(self, line):
        """Write what a line of the prose stands for."""
        word, _blank, rest = line[1:].partition(" ") if line.startswith("@") else ("", "", "")
        if self._table is not None:
            self._table.append(line)
            if word == "end":
                self._out += _tbl(table("\n".join(self._table)))
                self._table = None
        elif word == "table":
            self._table = [line]
        elif word == "end":
            self._is_example = False
            self._out.append(".Ed")
        elif self._is_example:
            self._out.append(literal(line))
        elif word in _EXAMPLES:
            self._is_example = True
            self._out.append(".Bd -literal -offset indent")
        elif word:
            self._say_facts()
            self._directive(word, rest)
        else:
            self._depth += line.startswith(".Bl") - line.startswith(".El")
            if self._depth < 0:
                self._say_facts()
            self._out += [line] if line[:1] in ("", ".") else _wrapped(line)

    def _say_facts(self):
        self._out += self._facts
        self._facts, self._depth = [], 0

    def _directive(self, word, rest):
        if word == "key":
            key = self._taken("key", rest)
            self._out += _key(rest, key)
            self._facts = _facts(rest, key)
        elif word == "keys":
            for name in [name for name, key in self._left["key"].items() if key.scopes == rest and name not in self._named["key"]]:
                key = self._taken("key", name)
                self._out += _key(name, key) + _facts(name, key)
        elif word == "option":
            self._out += _option(self._taken("option", rest))
        elif word == "asking":
            self._out += _option(self._taken("asking", rest))
        elif word == "command":
            self._out += _command(self._taken("command", rest))
        elif word == "options":
            for name in [name for name in self._left["option"] if name not in self._named["option"]]:
                self._out += _option(self._taken("option", name))
        elif word == "forms":
            self._out += [line for form in options.FORMS for line in _form(form)]
        elif word == "categories":
            for name, words in options.CATEGORIES.items():
                self._out += [".It Cm %s" % name, *text(words)]
        else:
            raise ValueError("@%s means nothing" % word)

    def _taken(self, kind, name):
        if name not in self._left[kind]:
            raise ValueError("@%s %s: unknown, or there twice" % (kind, name))
        return self._left[kind].pop(name)


def examples(prose, language):
    """Return the examples (list of str) of a language in the prose of a page."""
    return [found.group(1) for found in re.finditer(r"^@%s\n(.*?)^@end$" % language, prose, re.S | re.M)]


def table(prose):
    """Return the rows (lists of str) of the table in the prose of a page; a row of one cell is the heading of those after it.

    A row is a line "TOPIC | CELL | CELL", a heading one that begins with "= "; `code` stands in backticks. The first row is the head.
    """
    found = re.search(r"^@table (.*\n(?:.*\n)*?)@end$", prose, re.M)
    rows = []
    for line in found.group(1).split("\n")[:-1]:
        rows.append([line[2:]] if line.startswith("= ") else line.split(" | "))
        if not line.startswith("= ") and len(rows[-1]) != len(rows[0]) or "" in rows[-1]:
            raise ValueError("a table of %d columns has a row of others: %s" % (len(rows[0]), line))
    return rows


def markdown(prose):
    """Return the table in the prose of a page as README.md has it."""
    head, *rows = table(prose)
    rows = [["**%s**" % row[0]] + [""] * (len(head) - 1) if len(row) == 1 else row for row in rows]
    return "\n".join(["| %s |" % " | ".join(head), "|" + "---|" * len(head)] + ["| %s |" % " | ".join(row) for row in rows]) + "\n"


def _tbl(rows):
    """Yield the lines of a table for tbl(7), as wide as the page and with cells that are filled."""
    head, *rows = rows
    yield from (".TS", " ".join(["lx"] * len(head)) + ".", "\t".join("\\fI%s\\fR" % _cell(cell) for cell in head))
    for row in rows:
        if len(row) == 1:
            yield "\\&"
            yield "T{\n\\fB%s\\fR\nT}" % row[0].upper() + "\t" * (len(head) - 1)
        else:
            yield "\t".join("T{\n%s\nT}" % _cell(cell) for cell in row)
    yield ".TE"


def _cell(words):
    """Return the text of a cell: `code` is bold, and hyphens in it are such."""
    return "".join("\\fB%s\\fR" % literal(part) if number % 2 else _escaped(part).replace("…", "...") for number, part in enumerate(words.split("`")))


def text(words):
    """Return lines of mdoc for words of people's, a sentence a line."""
    lines = []
    for sentence in re.split(r"(?<=\.) +(?=[A-Z])|(?<=\.\)) +", words):
        lines += _wrapped(sentence)
    return [_escaped(line) for line in lines]


def _wrapped(line):
    return textwrap.wrap(line, 78, break_long_words=False, break_on_hyphens=False)


def literal(line):
    """Return a line of an example for mdoc."""
    return re.sub(r"(?<!\\)-", r"\\-", _escaped(line).replace("'", "\\(aq").replace("`", "\\(ga"))


def _escaped(line):
    line = line.replace("\\", "\\e").replace("^", "\\(ha").replace("~", "\\(ti")
    line = re.sub(r"(?<!\w)-(?=\w|-)", r"\\-", line)
    return "\\&" + line if line.startswith((".", "'")) else line


def _keys():
    """Return {full name: Key} of all keys; one that stands for something else in a sync is "settings NAME"."""
    found = dict(settings.scope("sync"))
    for name, key in settings.scope("settings").items():
        found[name if found.get(name, key) is key else "settings " + name] = key
    return found


def _key(name, key):
    """Return lines that say what a key is."""
    kind = _KINDS.get(key.kind, "value")
    if kind == "value":
        kind = next((word for word, start in _LIKE.items() if key.kind.allowed.startswith(start)), "value")
    return [".It Cm %s No = Ar %s" % (name.split()[-1], kind) + " Pq Fl %s" % (key.flag or "")[1:].rstrip("=") * bool(key.flag),
            *text(key.help)]


def _facts(name, key):
    """Return lines that say what is allowed, what is there by itself, and where."""
    lines = []
    if key.kind not in _KINDS:
        lines += text("Allowed: %s." % key.kind.allowed.replace("one of: ", ""))
    if settings.default_text(key) and "(default" not in key.help:
        lines += text("Default: %s." % "; ".join([settings.default_text(key)] + [
            "mode %s: %s" % (mode, settings.default_text(key, mode)) for mode in key.by_mode or ()]))
    if key.modes and key.scopes not in settings.TABLES:
        lines += text("Modes: %s." % ", ".join(settings.modes(key)))
    if key.option is not None:
        lines += ["On the command line:", ".Fl %s" % key.name + " Ar %s" % key.option * bool(key.option) + " ."]
    return lines


def _option(option):
    """Return lines for an option of the command line."""
    return [".It Fl %s" % option.name + " Ar %s" % option.metavars * bool(option.metavars), *text(option.help)]


def _command(command):
    """Return lines for a word that asks or steers a daemon."""
    words = [".It Cm %s" % command.name]
    words += ["Oo Fl %s" % name + " Ar %s" % options.ASKING[name].metavars * bool(options.ASKING[name].metavars) + " Oc" for name in command.options]
    words += ["Oo Ar %s Oc" % command.words.strip("[]")] if command.words else []
    return [" ".join(words), *text(command.help)]


def _form(form):
    """Yield lines for a way to call the program."""
    yield ".Nm"
    for word in re.findall(r"\[[^]]*\]|\S+", form):
        if word.startswith("["):
            yield ".Op Fl %s" % word[2:-1] if word.startswith("[-") else ".Op Ar %s" % word[1:-1]
        else:
            yield ".Fl %s" % word[1:] if word.startswith("-") else ".Ar %s" % word
