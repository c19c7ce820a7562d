"""What Lua's values are here, and what they may cost. Pure.

nil is None; booleans, integers (64 bits) and floats are Python's; a string is bytes; a
table is a Table; a function is callable: function(machine, *arguments) returns a tuple
of results. Sources are the reference manual of Lua 5.3, §2.1 and §3.4, at
https://www.lua.org/manual/5.3/.
"""


class LuaError(Exception):
    """What cannot be read or evaluated. words: str, fit for people; line: int, or None until somebody knows it."""

    def __init__(self, words, line=None):
        super().__init__(words)
        self.words = words
        self.line = line


class TooMuch(LuaError):
    """What takes more steps or memory than there are: no pcall catches it."""


LONG = 1024  # bytes of a string that is only looked at, which cost a step


class Meter:
    """Counts what an evaluation costs; raises TooMuch when there are not as many left."""

    def __init__(self, steps=1000000, room=64 << 20):
        self.steps = steps  # left
        self.room = room    # bytes left, about; what is thrown away counts, too

    def step(self, count=1):
        """Count steps of an evaluation."""
        self.steps -= count
        if self.steps < 0:
            raise TooMuch("takes too many steps: a loop that does not end?")

    def take(self, size):
        """Count bytes that are made."""
        self.room -= size
        if self.room < 0:
            raise TooMuch("takes too much memory: a table or a string that grows without end?")


class Table:
    """A table of Lua, which remembers in which lines its fields were written.

    line, last: where it begins and ends; its keys have their order: 1, 2, 3 …, then all others as they came.
    """

    def __init__(self, line=None, last=None):
        self.line = line
        self.last = last
        self._fields = {}  # key → (value, line), the value None where it was taken away; booleans as ("boolean", key), since 1 == True
        self._size = 0     # a border (§3.4.7): its value is not None, that of the next key is

    def get(self, key):
        """Return the value of a key, or None."""
        return self._fields.get(key if type(key) is bytes else _plain(key), _NOTHING)[0]

    def set(self, key, value, line=None):
        """Give a key a value; None takes it away. Raises LuaError where there can be no such key."""
        if key is None or key != key:
            raise LuaError("a table has no place for the key %s" % ("nil" if key is None else "NaN"))
        key = _plain(key)
        self._fields[key] = value, line
        if type(key) is int:
            self._find_border(self._size)

    def fill(self, values, lines):
        """Set 1, 2, 3 … to the values of a list, each with its line; None leaves a hole."""
        self._fields.update(enumerate(zip(values, lines), 1))
        self._find_border(max(self._size, len(values)))

    def _find_border(self, size):
        fields = self._fields
        while size and fields.get(size, _NOTHING)[0] is None:
            size -= 1
        while fields.get(size + 1, _NOTHING)[0] is not None:
            size += 1
        self._size = size

    def was_set(self, key):
        """Tell whether a key was ever set, even if to None."""
        return _plain(key) in self._fields

    def __len__(self):
        """Return a border."""
        return self._size

    def items(self):
        """Return [(key, value)], in order."""
        fields, size = self._fields, self._size
        items = [(key, fields[key][0]) for key in range(1, size + 1)]
        items += [(key[1] if type(key) is tuple else key, value) for key, (value, _line) in fields.items() if type(key) is not int or not 0 < key <= size]
        return [item for item in items if item[1] is not None]

    def line_of(self, key):
        """Return the line in which a key was given its value, or None."""
        return self._fields.get(_plain(key), _NOTHING)[1]


_NOTHING = None, None


def _plain(key):
    """Return a key as it is kept: a float that is whole is an integer (§2.1), and a boolean is no number."""
    if type(key) is float and key.is_integer() and -2.0 ** 63 <= key < 2.0 ** 63:
        return int(key)
    return ("boolean", key) if type(key) is bool else key


def named(value):
    """Return "nil", or "a string" and so on, for people."""
    return "nil" if value is None else "a " + type_name(value)


def type_name(value):
    """Return what Lua calls the type of a value."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, bytes) else "table" if isinstance(value, Table) else "function"
