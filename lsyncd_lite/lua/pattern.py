"""Patterns of Lua: where one matches, and what it captures. Pure; counts its steps.

Source is the reference manual of Lua 5.3, §6.4.1. A pattern is a row of items without
alternatives, so at most one way back is kept for each item: it needs no recursion, and
what it may cost is bounded by the Meter alone. What is malformed is an error when the
matching comes to it, as in Lua.
"""

from lsyncd_lite.lua.values import LuaError

_ALL = (1 << 256) - 1
_MOST_CAPTURES = 32


def _set_of(numbers):
    """Return a set of bytes: an integer with a bit for each."""
    return sum(1 << number for number in numbers)


_DIGIT, _LOWER, _UPPER = _set_of(b"0123456789"), _set_of(range(ord("a"), ord("z") + 1)), _set_of(range(ord("A"), ord("Z") + 1))
_GRAPH = _set_of(range(33, 127))
_CLASSES = {"a": _LOWER | _UPPER, "c": _set_of([*range(32), 127]), "d": _DIGIT, "g": _GRAPH, "l": _LOWER, "p": _GRAPH & ~(_DIGIT | _LOWER | _UPPER),
            "s": _set_of(b" \t\n\v\f\r"), "u": _UPPER, "w": _DIGIT | _LOWER | _UPPER, "x": _set_of(b"0123456789abcdefABCDEF"), "z": 1}
_CLASSES = {**{ord(letter): members for letter, members in _CLASSES.items()},
            **{ord(letter.upper()): _ALL & ~members for letter, members in _CLASSES.items()}}

# The end of a capture that is not closed yet, and of one that holds a position.
OPEN, POSITION = -1, -2


class Pattern:
    """A pattern, read once. match() raises LuaError where it is malformed, or takes too many steps."""

    def __init__(self, source, meter, may_be_anchored=True):
        meter.step(1 + len(source))
        meter.take(100 * len(source))
        self._meter = meter
        self._source = source
        self._open = []      # captures that are not closed yet
        self._captures = 0
        self.is_anchored = may_be_anchored and source.startswith(b"^")
        self._items = []     # (method or None, what it asks for, least, most, whether it takes as little as it can)
        self._at = 1 if self.is_anchored else 0
        try:
            while self._at < len(source):
                self._items.append(self._item())
        except LuaError as error:
            self._items.append((self._fail, error.words, 1, 1, False))

    # Reading

    def _next(self):
        """Return the next byte of the pattern and step over it; None: there is none."""
        self._at += 1
        return self._source[self._at - 1] if self._at <= len(self._source) else None

    def _item(self):
        rest = self._source[self._at:self._at + 2]
        if rest[:1] == b"(":
            return self._opening(rest == b"()")
        if rest[:1] == b")":
            self._at += 1
            if not self._open:
                raise LuaError("invalid pattern capture: a ) without its (")
            return self._close, self._open.pop(), 1, 1, False
        if rest == b"$" and self._at + 1 == len(self._source):
            self._at += 1
            return self._end, None, 1, 1, False
        if rest in (b"%b", b"%f") or rest[:1] == b"%" and rest[1:].isdigit():
            self._at += 2
            return self._special(rest[1])
        return self._repeated(self._single())

    def _opening(self, is_position):
        if self._captures == _MOST_CAPTURES:
            raise LuaError("too many captures in a pattern: %d are allowed" % _MOST_CAPTURES)
        self._at += 2 if is_position else 1
        self._captures += 1
        if not is_position:
            self._open.append(self._captures - 1)
        return self._capture, POSITION if is_position else OPEN, 1, 1, False

    def _special(self, letter):
        if letter == ord("b"):
            pair = self._source[self._at:self._at + 2]
            if len(pair) < 2:
                raise LuaError("malformed pattern (missing arguments to '%b')")
            self._at += 2
            return self._balance, pair, 1, 1, False
        if letter == ord("f"):
            if self._source[self._at:self._at + 1] != b"[":
                raise LuaError("malformed pattern (missing '[' after '%f')")
            return self._frontier, self._single(), 1, 1, False
        number = letter - ord("1")
        if not 0 <= number < self._captures or number in self._open:
            raise LuaError("invalid capture index %%%d in a pattern" % (number + 1))
        return self._again, number, 1, 1, False

    def _single(self):
        """Return the set of bytes of a class for one byte."""
        byte = self._next()
        if byte == ord("%"):
            letter = self._next()
            if letter is None:
                raise LuaError("malformed pattern (ends with '%')")
            return _class(letter)
        if byte == ord("["):
            return self._set()
        return _ALL if byte == ord(".") else 1 << byte

    def _set(self):
        start = self._at + (self._source[self._at:self._at + 1] == b"^")
        end = self._end_of_set(start)
        members = 0
        at = start
        while at < end:
            byte = self._source[at]
            if byte == ord("%"):
                members |= _class(self._source[at + 1])
                at += 2
            elif at + 2 < end and self._source[at + 1] == ord("-"):
                last = self._source[at + 2]
                if byte <= last:
                    members |= (1 << last + 1) - (1 << byte)
                at += 3
            else:
                members |= 1 << byte
                at += 1
        is_complement = start > self._at
        self._at = end + 1
        return _ALL & ~members if is_complement else members

    def _end_of_set(self, at):
        """Return where the ] of a set stands; one at its very begin is a member."""
        first = at
        while at < len(self._source):
            if self._source[at] == ord("]") and at > first:
                return at
            at += 2 if self._source[at] == ord("%") else 1
        raise LuaError("malformed pattern (missing ']')")

    def _repeated(self, members):
        suffix = self._source[self._at:self._at + 1]
        if not suffix or suffix not in b"*+-?":
            return None, members, 1, 1, False
        self._at += 1
        return None, members, 1 if suffix == b"+" else 0, 1 if suffix == b"?" else None, suffix == b"-"

    # Matching

    def match(self, subject, start):
        """Return (end, captures) of a match that begins at `start`, or None; a capture is (begin, end, OPEN or POSITION)."""
        ways = []  # back: [item, position, how many bytes more may be taken or, for the lazy, None, captures]
        index, at, captures = 0, start, ()
        while index < len(self._items):
            self._meter.step()
            method, what, least, most, is_lazy = self._items[index]
            index += 1
            if method is not None:
                found = method(what, subject, at, captures)
            elif is_lazy:
                ways.append([index, at, None, captures, what])
                continue
            else:
                count = self._run(what, subject, at, most)
                found = (at + count, captures) if count >= least else None
                if count > least:
                    ways.append([index, at + least, count - least, captures, what])
            if found is None:
                found = self._back(ways, subject)
                if found is None:
                    return None
                index, at, captures = found
            else:
                at, captures = found
        return at, captures

    def _back(self, ways, subject):
        """Return (item, position, captures) of the next way that has not been tried, or None."""
        while ways:
            self._meter.step()
            way = ways[-1]
            index, at, left, captures, members = way
            if left is None:
                if at < len(subject) and members >> subject[at] & 1:
                    way[1] += 1
                    return index, at + 1, captures
            elif left:
                way[2] -= 1
                return index, at + left - 1, captures
            ways.pop()
        return None

    def _run(self, members, subject, at, most):
        """Return how many bytes from `at` are members."""
        end = min(len(subject), at + (self._meter.steps + 1 if most is None else most))
        here = at
        while here < end and members >> subject[here] & 1:
            here += 1
        self._meter.step(here - at)
        return here - at

    # The items that have one way only: (position, captures) after them, or None.

    def _capture(self, kind, _subject, at, captures):
        return at, captures + ((at, kind),)

    def _close(self, number, _subject, at, captures):
        return at, captures[:number] + ((captures[number][0], at),) + captures[number + 1:]

    def _end(self, _nothing, subject, at, captures):
        return (at, captures) if at == len(subject) else None

    def _balance(self, pair, subject, at, captures):
        if subject[at:at + 1] != pair[:1]:
            return None
        depth = 1
        end = min(len(subject), at + self._meter.steps + 2)
        here = at + 1
        while here < end:
            if subject[here] == pair[1]:
                depth -= 1
                if depth == 0:
                    break
            elif subject[here] == pair[0]:
                depth += 1
            here += 1
        self._meter.step(here - at)
        return (here + 1, captures) if here < len(subject) else None

    def _frontier(self, members, subject, at, captures):
        before = subject[at - 1] if at else 0
        here = subject[at] if at < len(subject) else 0
        return (at, captures) if members >> here & 1 and not members >> before & 1 else None

    def _again(self, number, subject, at, captures):
        begin, end = captures[number]
        if end == POSITION:
            return None
        self._meter.step((end - begin) >> 6)
        return (at + end - begin, captures) if subject.startswith(subject[begin:end], at) else None

    def _fail(self, words, _subject, _at, _captures):
        raise LuaError(words)


def _class(letter):
    return _CLASSES.get(letter, 1 << letter)


def find(pattern, subject, start):
    """Return (begin, end, captures) of the first match at or after `start`, or None."""
    last = start if pattern.is_anchored else len(subject)
    for begin in range(start, last + 1):
        found = pattern.match(subject, begin)
        if found:
            return (begin, *found)
    return None


def captured(subject, begin, end, captures, number):
    """Return what capture `number` (0 …) of a match holds; without any, the first is all."""
    if number >= len(captures):
        if number:
            raise LuaError("invalid capture index %%%d" % (number + 1))
        return subject[begin:end]
    first, last = captures[number]
    if last == OPEN:
        raise LuaError("unfinished capture: a ( without its ) in a pattern")
    return first + 1 if last == POSITION else subject[first:last]


def all_captured(subject, begin, end, captures):
    """Return what all captures of a match hold, or the match where there are none."""
    return tuple(captured(subject, begin, end, captures, number) for number in range(max(1, len(captures))))
