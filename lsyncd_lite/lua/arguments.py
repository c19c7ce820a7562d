"""What a function of the library was given, checked and converted as Lua does it. Pure.

Sources are the reference manual of Lua 5.3, §3.4.3 (conversions) and §6. Errors read as
Lua's own, which people know from elsewhere.
"""

from lsyncd_lite.lua.arithmetic import to_float, to_integer, to_text
from lsyncd_lite.lua.values import LuaError, Table, named, type_name

FIELD = 100      # bytes, about, that a field of a table takes
_REQUIRED = object()


class Arguments:
    """The arguments of one call. Positions count from 1; each method raises LuaError with function and position.

    A default is for what was not given, and for nil.
    """

    def __init__(self, function, values):
        self.function = function
        self.values = values

    def __len__(self):
        return len(self.values)

    def error(self, position, words):
        """Return the LuaError about one argument."""
        return LuaError("bad argument #%d to '%s' (%s)" % (position, self.function, words))

    def _expected(self, position, kind):
        got = type_name(self.values[position - 1]) if position <= len(self.values) else "no value"
        return self.error(position, "%s expected, got %s" % (kind, got))

    def any(self, position):
        """Return an argument that must have been given, if only as nil."""
        if position > len(self.values):
            raise self.error(position, "value expected")
        return self.values[position - 1]

    def get(self, position):
        """Return an argument, or None."""
        return self.values[position - 1] if position <= len(self.values) else None

    def string(self, position, default=_REQUIRED):
        """Return the bytes of a string or number."""
        value = self.get(position)
        if value is None and default is not _REQUIRED:
            return default
        text = as_string(value)
        if text is None:
            raise self._expected(position, "string")
        return text

    def number(self, position):
        """Return the integer or float of a number, or the float of a string that is one."""
        value = self.get(position)
        number = to_float(value) if isinstance(value, bytes) else value
        if type_name(number) != "number":
            raise self._expected(position, "number")
        return number

    def integer(self, position, default=_REQUIRED):
        """Return an integer: of a number that is whole, or of a string that is one."""
        value = self.get(position)
        if value is None and default is not _REQUIRED:
            return default
        number = to_integer(value)
        if number is None:
            self.number(position)
            raise self.error(position, "number has no integer representation")
        return number

    def table(self, position):
        """Return a Table."""
        value = self.get(position)
        if not isinstance(value, Table):
            raise self._expected(position, "table")
        return value

    def function_(self, position):
        """Return a function."""
        value = self.get(position)
        if type_name(value) != "function":
            raise self._expected(position, "function")
        return value


def as_string(value):
    """Return the bytes of a string or a number, or None."""
    if isinstance(value, bytes):
        return value
    return to_text(value) if type_name(value) == "number" else None


def text_of(value):
    """Return what tostring() makes of a value (bytes). A table or function has no address here: it were another at each reading."""
    text = as_string(value)
    if text is not None:
        return text
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return type_name(value).encode("ascii")


def is_same(left, right):
    """Tell whether two values are equal (§3.4.4): a boolean is no number."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def is_less(left, right):
    """Tell whether a value stands before another (§3.4.4). Raises LuaError where they have no order."""
    if type_name(left) == type_name(right) and type_name(left) in ("number", "string"):
        return left < right
    raise LuaError("%s cannot be compared with %s" % (named(left), named(right)))


def is_true(value):
    """Tell whether a value is neither nil nor false (§3.3.4): 0 and "" are true."""
    return value is not None and value is not False
