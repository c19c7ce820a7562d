"""Tables and prose → manual pages in mdoc(7). Pure.

A line of the prose that begins with "@" stands for what a table says; the rest is mdoc
as it is. Every row has to have its place: what is missing, unknown or there twice is a
ValueError.

    @forms                how the program is called
    @option NAME          an option; more about it may follow
    @options              those that are not named
    @categories           those of the log
    @key NAME             a key; more about it may follow
    @keys SCOPE           those of a scope that are not named
    @code, @ini, @json, @python … @end    an example, as it is
"""

import re
import textwrap

from lsyncd_lite.config import options, settings

_EXAMPLES = ("code", "ini", "json", "python")

# The words for kinds that the page describes once; of others it says what is allowed.
_KINDS = {settings.BOOL: "boolean", settings.SECONDS: "seconds", settings.TEXT: "text", settings.FILE: "file",
          settings.LINES: "list", settings.COMMAND: "command"}
_LIKE = {"number": "a whole number", "seconds": "a number of seconds", "file": "the name of a file"}


def render(prose):
    """Return the text (str) of a manual page; raise ValueError."""
    lines = prose.split("\n")
    words = [line[1:].split(None, 1) for line in lines if line.startswith("@")]
    named = {kind: [rest[0] for first, *rest in words if first == kind] for kind in ("key", "option")}
    left = {"key": _keys(), "option": dict(options.OPTIONS)}
    for kind, names in named.items():
        if sorted(set(names)) != sorted(names) or not set(names) <= set(left[kind]):
            raise ValueError("@%s: unknown, or there twice: %s" % (kind, ", ".join(names)))
    rows = {kind: {name: left[kind].pop(name) for name in names} for kind, names in named.items()}
    out, facts, depth, is_code = [], [], 0, False
    for line in lines:
        # what the table says of a row stands after what the prose says of it
        depth += line.startswith(".Bl") - line.startswith(".El")
        if facts and (line.startswith(("@key", "@option")) or depth < 0):
            out += facts
            facts, depth = [], 0
        first, *rest = line[1:].split(None, 1) if line.startswith("@") else ("",)
        if first == "end":
            is_code = False
            out.append(".Ed")
        elif is_code:
            out.append(literal(line))
        elif first in _EXAMPLES:
            is_code = True
            out.append(".Bd -literal -offset indent")
        elif first == "key":
            depth = 0
            out += _key(rest[0], rows["key"][rest[0]])
            facts = _facts(rest[0], rows["key"][rest[0]])
        elif first == "keys":
            names = [name for name, key in left["key"].items() if key.scopes == rest[0]]
            out += [line for name in names for line in _key(name, left["key"][name]) + _facts(name, left["key"].pop(name))]
        elif first == "option":
            out += _option(rows["option"][rest[0]])
        elif first == "options":
            out += [line for name in list(left["option"]) for line in _option(left["option"].pop(name))]
        elif first == "forms":
            out += [line for form in options.FORMS for line in _form(form)]
        elif first == "categories":
            out += [line for name, words in options.CATEGORIES.items() for line in (".It Cm %s" % name, *text(words))]
        elif first:
            raise ValueError("@%s means nothing" % first)
        else:
            out += [line] if line[:1] in ("", ".") else _wrapped(line)
    missing = [name for kind, names in left.items() if any(word[0].startswith(kind) for word in words) for name in names]
    if missing:
        raise ValueError("has no place: %s" % ", ".join(missing))
    return "\n".join(out)


def examples(prose, language):
    """Return the examples (list of str) of a language in the prose of a page."""
    return [found.group(1) for found in re.finditer(r"^@%s\n(.*?)^@end$" % language, prose, re.S | re.M)]


def text(words):
    """Return lines of mdoc for words of people's, a sentence a line."""
    lines = []
    for sentence in re.split(r"(?<=[.:]) +(?=[A-Z])|(?<=\.\)) +", words):
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
    """Return {full name: Key} of all keys, each once."""
    return {**settings.scope("settings"), **settings.scope("sync")}


def _key(name, key):
    """Return lines that say what a key is."""
    kind = _KINDS.get(key.kind, "value")
    if kind == "value":
        kind = next((word for word, start in _LIKE.items() if key.kind.allowed.startswith(start)), "value")
    return [".It Cm %s No = Ar %s" % (name, kind) + " Pq Fl %s" % (key.flag or "")[1:].rstrip("=") * bool(key.flag),
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
        lines += ["On the command line:", ".Fl %s" % name + " Ar %s" % key.option * bool(key.option) + " ."]
    return lines


def _option(option):
    """Return lines for an option of the command line."""
    return [".It Fl %s" % option.name + " Ar %s" % option.metavars * bool(option.metavars), *text(option.help)]


def _form(form):
    """Yield lines for a way to call the program."""
    yield ".Nm"
    for word in re.findall(r"\[[^]]*\]|\S+", form):
        if word.startswith("["):
            yield ".Op Ar %s" % word[1:-1]
        else:
            yield ".Fl %s" % word[1:] if word.startswith("-") else ".Ar %s" % word
