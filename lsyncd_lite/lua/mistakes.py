"""Words for what administrators get wrong in Lua. Knows tokens, but no grammar."""

import re
from collections import namedtuple

from lsyncd_lite.lua.arithmetic import to_text
from lsyncd_lite.lua.lexer import KEYWORDS
from lsyncd_lite.paths import show

# Operators of other languages → (Lua's, words)
OTHER_SIGNS = {
    "!=": ("~=", "not equal is written ~=, not !="),
    "&&": ("and", "and is written as a word, not &&"),
    "||": ("or", "or is written as a word, not ||"),
}
# A token of these kinds is the beginning of a value
BEGINS_VALUE = frozenset(("name", "string", "number", "{", "[", "(", "nil", "true", "false", "function", "...", "not"))
# What stands where a field should begin, but begins none
ENDS_TABLE = frozenset(("}", ")", "]", "end of file", *KEYWORDS)) - {"nil", "true", "false", "function", "not"}
_PARTNERS = {"}": "{", ")": "(", "]": "["}


# What must be closed. word: of the language, or a bracket; indent: bytes of white space before its line
Opening = namedtuple("Opening", "word line indent")


def word(value):
    """Return a name or a number, as it was written, and at most the beginning of it."""
    text = show(value) if isinstance(value, bytes) else to_text(value).decode()
    return text if len(text) <= 40 else text[:40] + "…"


def near(token):
    """Return what stands at a place."""
    if token.kind == "string":
        return 'the string "%s"' % word(token.value)
    return "the end of the file" if token.kind == "end of file" else word(token.value)


def missing(mark, before, token, why, slashes=None):
    """Return words for a mark that is missing between two tokens, an error of the line of the first one."""
    where = "at the end of this line" if token.line > before.last else "in this line"
    name = "a comma" if mark == "," else mark
    text = "%s is missing %s, before %s" % (name, where, near(token))
    if slashes is not None and slashes == token.line:
        return text + " (a comment begins with --, not with //)"
    return text if why is None else "%s (%s)" % (text, why)


def unclosed(mark, token, opening, suspect):
    """Return words for a mark that should close an Opening, where another token stands."""
    if token.kind in _PARTNERS and mark in _PARTNERS:
        return "%s should be %s: it would close the %s of line %d" % (token.kind, mark, opening.word, opening.line)
    opened = opening.word if mark in _PARTNERS else '"%s"' % opening.word
    where = "" if token.kind == "end of file" else " before " + near(token)
    text = "%s is missing%s: it would close the %s of line %d" % (mark, where, opened, opening.line)
    return "%s (%s)" % (text, suspect) if suspect else text


def closes_nothing(token):
    """Return words for end, else … that belong to nothing."""
    return "this %s %s" % (token.kind, "closes nothing" if token.kind in ("end", "until") or token.kind in _PARTNERS else "belongs to no if")


def behind_return(token, opened):
    """Return words for what stands behind return."""
    if token.kind in _PARTNERS:
        return _early(token, opened)
    return "return must be the last statement of its block: %s stands behind it" % near(token)


def _early(token, opened):
    """Return words for a bracket that closes nothing yet."""
    if any(opening.word == _PARTNERS[token.kind] for opening in opened):
        return unclosed("end", token, opened[-1], None)
    return closes_nothing(token) + (', and end closes the "%s" of line %d' % (opened[-1].word, opened[-1].line) if opened else "")


def no_statement(before, token, opened, rest, slashes):
    """Return words for a token that begins no statement. before: the one before it; rest: its line from there on."""
    if token.kind in _PARTNERS:
        return _early(token, opened)
    if token.kind == "=" and before.kind == "name":
        return "= begins no statement: is a { missing before %s?" % word(before.value)
    if token.kind == "-":
        return "- begins no statement (%s)" % ("a name holds no -" if before.kind == "name" and before.end == token.start else "a comment begins with --")
    if token.kind == "[":
        return "[ begins no statement: what INI files write [settings] is settings{ … }, and [sync …] is sync{ … }"
    if token.kind == "{":
        return "{ begins no statement: what stands before it, as in settings{ … }, is missing (or is this JSON?)"
    if rest.startswith(b"/*"):
        return "a comment is written --[[ … ]], not /* … */"
    if slashes == token.line:
        return "%s begins no statement (a comment begins with --, not with //)" % near(token)
    return "%s begins no statement" % near(token)


def half_statement(first, token, before, behind, slashes):
    """Return words for a name or a field that nothing is done with.

    first: the token before it; token, before: its first and last one; behind: the one behind it
    """
    if is_unit(first, token):
        return unit(first, token)
    name = word(token.value) if before is token else "what stands here"
    if behind.kind in ("+=", "-=", "*="):
        return "%s is not of Lua: write x = x %s …" % (behind.kind, behind.kind[0])
    if behind.kind == "++":
        return "++ is not of Lua: write x = x + 1"
    if behind.kind in ("==", "=>"):
        return "a value is set with =, not with =="
    if token.value.lower() != token.value and token.value.lower().decode() in KEYWORDS:
        return '%s is no statement: "%s" is written in small letters' % (name, token.value.lower().decode())
    if first.kind == ";" and first.is_first:
        return "%s is no statement (a comment begins with --, not with ;)" % name
    if token.value == b"continue":
        return "continue is not of Lua: put the rest of the loop in if … then … end"
    if slashes == token.line:
        return "%s is no statement (a comment begins with --, not with //)" % name
    return "%s is no statement: = and a value, or ( ) or { } of a call, are missing before %s" % (name, near(behind))


def is_unit(number, name):
    """Tell whether a number and a name stand together, as 5s does."""
    return number.kind == "number" and name.kind == "name" and number.end == name.start


def unit(number, name):
    """Return words for such two."""
    return "%s%s is no number: a text needs quotes" % (word(number.value), word(name.value))


def no_name(token, before):
    """Return words for a token that stands where a name must stand."""
    if token.kind in KEYWORDS:
        text = '"%s" is a word of the language and no name' % token.kind
        return text + ': as a field it is written ["%s"]' % token.kind if before.kind == "." else text
    return "a name is missing before %s" % near(token)


def no_value(token, before):
    """Return words for a token that stands where a value must stand."""
    if token.kind in ("/", "//"):
        return "a value is missing before %s (a path needs quotes)" % token.kind
    if token.kind in (".", "*", "%", "::", "<"):
        return "a value is missing before %s (a text needs quotes)" % token.kind
    if token.kind == "[":
        return "a list is written { … }, not [ … ]"
    if token.kind == ";" and token.is_first:
        return "a comment begins with --, not with ;"
    if token.kind == "=" and before.kind == ":":
        return "a value is set with =, not with :="
    if token.kind == "!":
        return "not is written as a word, not !"
    if token.kind in (">", "=") and before.kind == "=":
        return "a value is set with one =" if token.kind == ">" else "one = sets a value, and equal is written ==, without a blank"
    if token.kind in (",", ";") and before.kind in (",", ";"):
        return "one %s is too many here" % ("comma" if token.kind == "," else ";")
    return "a value is missing before %s%s" % (near(token), " (or the comma before it is one too many)" if before.kind == "," else "")


def colon(behind):
    """Return words for a : that calls no method. behind: the token behind it."""
    if behind.kind in ("/", "//", "~"):
        return "a text with : needs quotes (and a value is set with =)"
    if behind.kind in BEGINS_VALUE or behind.kind == "-":
        return "a value is set with =, not with :"
    return "the name of a method is missing behind :, before %s" % near(behind)


def set_by_colon(token):
    """Return words for a key that a : follows."""
    if token.kind == "string":
        return "a value is set with =, not with :, and a key has no quotes: %s" % _as_key(token.value)
    return "a value is set with =, not with :"


def key(token):
    """Return words for a token before = that is not a name."""
    if token.kind == "string":
        return "a key has no quotes: %s" % _as_key(token.value)
    if token.kind == "number":
        return "a key that is a number is written [%s] =" % word(token.value)
    return '"%s" is a word of the language: as a key it is written ["%s"] =' % (token.kind, token.kind)


def _as_key(value):
    if re.match(rb"[A-Za-z_]\w*\Z", value) and value.decode() not in KEYWORDS:
        return "%s =" % show(value)
    return '["%s"] =' % show(value)
