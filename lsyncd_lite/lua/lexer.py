"""Text of Lua → tokens, one at a time, and comments. Knows no grammar.

One at a time, because the parser can find out that what follows is no Lua (a comment that
begins with #), and then steps over it. Source: the reference manual of Lua 5.3, §3.1.
"""

import re
from collections import namedtuple

from lsyncd_lite.lua.arithmetic import to_number
from lsyncd_lite.lua.values import LuaError
from lsyncd_lite.paths import show

# kind: "name", "string", "number" and "end of file", else the keyword or operator itself; value:
# bytes or number; line: where it begins; start, end: its place in the text; last: line where it ends;
# is_first: nothing but white space stands before it in its line; indent: bytes of white space that begin the line
Token = namedtuple("Token", "kind value line start end last is_first indent")
MOST = 200000  # tokens of a text: what has more takes too long to read

KEYWORDS = frozenset(
    "and break do else elseif end false for function goto if in local nil not or repeat return then true until while".split())
_KEYWORDS = {word.encode(): word for word in KEYWORDS}

_BLANK = re.compile(rb"[ \t\f\v\n]*")
_TOKEN = re.compile(rb"""
    (?P<name>[A-Za-z_]\w*)
  | (?P<number>0[xX][0-9a-fA-F.]*(?:[pP][-+]?[0-9a-fA-F.]*)?|\.?[0-9][0-9a-fA-F.]*(?:(?<=[eE])[-+][0-9a-fA-F.]*)?)
  | (?P<quote>["'])
  | \[(?P<long>=*)\[
  | (?P<operator>\.\.\.|\.\.|==|~=|<=|>=|//|::|!=|&&|\|\||\+=|-=|\*=|\+\+|[-+*/%^\#<>=(){}\[\];:,.!])
""", re.VERBOSE)
_LONG = re.compile(rb"\[(=*)\[")
_PLAIN = {quote: re.compile(rb"[^\\\n%s]*" % quote) for quote in (b'"', b"'")}
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v",
            b"\\": b"\\", b'"': b'"', b"'": b"'", b"\n": b"\n"}
_DECIMAL = re.compile(rb"[0-9]{1,3}")
_HEXADECIMAL = re.compile(rb"x([0-9a-fA-F]{2})")
_UNICODE = re.compile(rb"u\{([0-9a-fA-F]+)\}")
# Marks that look like Lua's but are not, in UTF-8
_LOOK_ALIKE = {
    **dict.fromkeys("“”„‟«»″", 'a typographic quote: strings stand in straight quotes "…"'),
    **dict.fromkeys("‘’‚‛′‹›", "a typographic quote: strings stand in straight quotes '…'"),
    **dict.fromkeys("–—−", "a typographic dash: write -"),
    **dict.fromkeys("\u00a0\u2007\u202f\u3000", "a blank that is none (a no-break space): write a plain one"),
    **dict.fromkeys("\u200b\u200c\u200d\ufeff", "an invisible character: take it out"),
    "…": "one character: write three dots",
}


class Lexer:
    """Hands out the tokens of a text. Every method can raise LuaError with a line."""

    def __init__(self, source):
        """source: bytes."""
        self.text = re.sub(rb"\r\n?|\n\r", b"\n", source)
        self.comments = []  # (line, text without its mark)
        self._place = 3 if self.text.startswith(b"\xef\xbb\xbf") else 0
        self._line = 1      # of _place
        self._indent = 0    # of that line
        self._left = MOST
        if self.text.startswith(b"#", self._place):
            self._place = self._end_of_line(self._place)

    def _end_of_line(self, place):
        end = self.text.find(b"\n", place)
        return len(self.text) if end < 0 else end

    def rest_of_line(self, token):
        """Return the text from a token to the end of its line."""
        return self.text[token.start:self._end_of_line(token.start)]

    def skip_line(self, token):
        """Go on behind the line in which a token begins: it is the last one that was handed out, or the last but one."""
        self._place = self._end_of_line(token.start)
        self._line = token.line

    def next(self):
        """Return the next token."""
        text, is_first = self.text, self._place == 0
        while True:
            place = _BLANK.match(text, self._place).end()
            if is_first or self._place < place and b"\n" in text[self._place:place]:
                is_first, self._indent = True, place - 1 - text.rfind(b"\n", self._place, place)
            self._forward(place)
            if not text.startswith(b"--", place):
                break
            self._comment()
            is_first = False
        start, line, indent = place, self._line, self._indent
        if start == len(text):
            return Token("end of file", None, line, start, start, line, is_first, indent)
        self._left -= 1
        if self._left < 0:
            raise LuaError("more than %d words and signs, which no configuration has" % MOST, line)
        found = _TOKEN.match(text, start)
        if not found:
            raise LuaError(self._unknown(start), line)
        kind = found.lastgroup
        if kind == "quote":
            value = self._string(start + 1, found.group(), line)
            kind = "string"
        elif kind == "long":
            value = self._long(start, found.group("long"), "string")
            kind = "string"
        else:
            self._place = found.end()
            value = found.group()
            if kind == "number":
                value = to_number(value)
                if value is None:
                    raise LuaError("malformed number %s (a text needs quotes)" % show(found.group()[:40]), line)
            elif kind == "operator":
                kind = value.decode()
            else:
                kind = _KEYWORDS.get(value, "name")
        return Token(kind, value, line, start, self._place, self._line, is_first, indent)

    def _forward(self, place):
        self._line += self.text.count(b"\n", self._place, place)
        self._place = place

    def _comment(self):
        line, start = self._line, self._place + 2
        found = _LONG.match(self.text, start)
        if found:
            self.comments.append((line, self._long(start, found.group(1), "comment")))
            return
        self._place = self._end_of_line(start)
        self.comments.append((line, self.text[start:self._place]))

    def _long(self, start, level, what):
        """Return the text of [[…]] that begins at a place, and go behind it."""
        begin, close = start + len(level) + 2, b"]" + level + b"]"
        end = self.text.find(close, begin)
        if end < 0:
            raise LuaError("a %s begins here with [%s[ and does not end: %s is missing"
                           % (what, level.decode(), close.decode()), self._line)
        self._forward(end + len(close))
        if what == "string" and self.text.startswith(b"\n", begin):
            begin += 1
        return self.text[begin:end]

    def _string(self, place, quote, line):
        """Return the value of "…" whose text begins at a place, and go behind it."""
        text, parts = self.text, []
        while True:
            end = _PLAIN[quote].match(text, place).end()
            parts.append(text[place:end])
            mark = text[end:end + 1]
            if mark == quote:
                self._forward(end + 1)
                return b"".join(parts)
            if mark != b"\\" or end + 1 == len(text):
                raise LuaError("a string begins here with %s and does not end in this line: %s is missing"
                               % (quote.decode(), quote.decode()), line)
            try:
                value, place = self._escape(end + 1)
            except LuaError as error:
                error.line = line + text.count(b"\n", self._place, end)
                raise
            parts.append(value)

    def _escape(self, place):
        """Return the value of the escape behind a backslash, and the place behind it. Raises LuaError without a line."""
        text, mark = self.text, self.text[place:place + 1]
        if mark in _ESCAPES:
            return _ESCAPES[mark], place + 1
        if mark == b"z":
            return b"", _BLANK.match(text, place + 1).end()
        found = _DECIMAL.match(text, place)
        if found:
            if int(found.group()) > 255:
                raise LuaError("\\%d is no byte: \\0 to \\255 are" % int(found.group()))
            return bytes([int(found.group())]), found.end()
        found = _HEXADECIMAL.match(text, place)
        if found:
            return bytes([int(found.group(1), 16)]), found.end()
        found = _UNICODE.match(text, place)
        if found:
            digits = found.group(1).lstrip(b"0")
            if len(digits) > 6 or int(digits or b"0", 16) > 0x10FFFF:
                raise LuaError("\\u{%s} is no character: \\u{10FFFF} is the last one" % show(found.group(1)[:20]))
            return chr(int(digits or b"0", 16)).encode("utf-8", "surrogatepass"), found.end()
        if mark in (b"x", b"u"):
            needs = "two hexadecimal digits" if mark == b"x" else "{…} with hexadecimal digits"
            raise LuaError("\\%s needs %s behind it" % (mark.decode(), needs))
        raise LuaError("\\%s means nothing in a string: one backslash is written \\\\"
                       % show(text[place:place + 1] if mark < b"\x80" else self._character(place)))

    def _character(self, place):
        """Return the character (str) at a place."""
        return self.text[place:place + 4].decode("utf-8", "surrogateescape")[:1]

    def _unknown(self, place):
        mark = self._character(place)
        if mark in _LOOK_ALIKE:
            return "%s is %s" % (show(mark), _LOOK_ALIKE[mark])
        return "%s has no meaning here (a text needs quotes)" % show(mark)
