"""Text in columns of a terminal: how wide it is, how it is cut, wrapped and coloured. Pure.

A character is 0, 1 or 2 columns wide; text has no control characters but those that
`paint` adds at last.
"""

import re
import unicodedata

RED, GREEN, YELLOW, CYAN, BOLD = "31", "32", "33", "36", "1"

_NONE = ("Mn", "Me", "Cf")  # categories of characters without a width


def paint(text, colour):
    """Return text in a colour (a parameter of SGR; None: as it is)."""
    return "\x1b[%sm%s\x1b[m" % (colour, text) if colour and text.strip() else text


def width(text):
    """Return how many columns a text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char):
    return 2 if unicodedata.east_asian_width(char) in "WF" else 0 if unicodedata.category(char) in _NONE else 1


def pad(text, columns, right=False):
    """Return text with blanks after (right: before) it."""
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks


def cut(text, columns, mark, keep="start"):
    """Return text of at most so many columns; mark: one character for what is left out; keep: "start", "end", or "both" of it."""
    if width(text) <= columns:
        return text
    room = columns - width(mark)
    if room < 0:
        return ""
    end = {"start": 0, "end": room, "both": room - room // 3}[keep]
    tail = _first(text[::-1], end)[::-1].lstrip() if end else ""
    while tail and not _width(tail[0]):  # it belongs to a character that is left out
        tail = tail[1:]
    return _first(text, room - end) + mark + tail


def _first(text, columns):
    """Return the start of a text that fits."""
    taken = 0
    for at, char in enumerate(text):
        taken += _width(char)
        if taken > columns:
            return text[:at]
    return text


def wrap(text, columns):
    """Return a text as lines of at most so many columns, broken at blanks where that can be, but for those in numbers."""
    lines, line = [], ""
    for word in re.split(r"(?<!\d) | (?!\d{3}\b)", text):
        if line and width(line) + 1 + width(word) > columns:
            lines.append(line)
            line = word
        else:
            line = line + " " + word if line else word
        while width(line) > columns:
            start = _first(line, columns) or line[:1]
            lines.append(start)
            line = line[len(start):]
    return lines + [line] if line else lines
