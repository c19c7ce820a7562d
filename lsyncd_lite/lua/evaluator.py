"""Runs a tree of Lua, within the bounds of a Meter. Knows nothing of configurations.

A tree becomes Python closures (compiler.py), which call back here for what is rare: errors, values
that are not what is mostly there, and calls.
"""

import re

from lsyncd_lite.lua.arithmetic import NUMBERS, calculate, negative, to_float, to_text
from lsyncd_lite.lua.compiler import Compiler
from lsyncd_lite.lua.tree import name_of, python_frames
from lsyncd_lite.lua.values import LONG, LuaError, Table, named
from lsyncd_lite.paths import show

_ARGUMENT = re.compile("^bad argument #([0-9]{1,3}) ")  # how an error of the library begins that is about one


class Machine:
    """Evaluates.

    meter: Meter; line: the line that is being evaluated; unknown(name, line): called when a global that
    was never set is read.
    """

    def __init__(self, meter, unknown):
        self.meter = meter
        self.unknown = unknown
        self.line = None
        self.strings = None  # the methods of strings: a Table, or whatever else "string" was

    def run(self, chunk, globals_):
        """Evaluate a Chunk; return what it returns, a tuple. Raises LuaError with its line."""
        if chunk.main.body is None:
            line, words = chunk.errors[0]
            raise LuaError(words, line)
        self.strings = globals_.get(b"string")
        words = "nested too deeply"
        with python_frames():
            try:
                main = Compiler(self, globals_).main(chunk.main)
                words = "calls itself too deeply: a recursion that does not end?"
                return main(self)
            except LuaError as error:
                raise self._placed(error, self.line)
            except RecursionError:
                raise LuaError(words, self.line) from None

    def call(self, function, arguments):
        """Return the results (tuple) of a function, for the library."""
        if not callable(function):
            raise LuaError("%s cannot be called" % named(function))
        line = self.line
        try:
            return function(self, *arguments)
        except LuaError as error:
            raise self._placed(error, line)
        finally:
            self.line = line

    @staticmethod
    def _placed(error, line):
        if error.line is None:
            error.line = line
        return error

    # What costs

    def step(self, count, line):
        """Count steps of a line."""
        try:
            self.meter.step(count)
        except LuaError as error:
            raise self._placed(error, line)

    def take(self, size, line):
        """Count bytes that a line makes."""
        try:
            self.meter.take(size)
        except LuaError as error:
            raise self._placed(error, line)

    # Operations. node, nodes: for errors, what the values are in the tree, or None

    def index(self, value, key, node, line, with_key=False):
        """Return value[key] of what is no plain Table."""
        if isinstance(value, Table):
            return value.get(key)
        if isinstance(value, bytes) and isinstance(self.strings, Table):
            return self.strings.get(key)
        field = " (field %s)" % show(key[:60]) if with_key and isinstance(key, bytes) else ""
        raise LuaError("%s: it cannot be indexed%s" % (_is(name_of(node), value), field), line)

    def set_index(self, value, key, new, node, line):
        """Set value[key] of any value."""
        self.take(100, line)
        if isinstance(key, bytes) and len(key) > LONG:
            self.step(len(key) // LONG, line)
        if not isinstance(value, Table):
            raise LuaError("%s: it has no fields that could be set" % _is(name_of(node), value), line)
        try:
            value.set(key, new, line)
        except LuaError as error:
            raise self._placed(error, line)

    def calculate(self, sign, left, right, nodes, line):
        """Return left sign right of any values."""
        try:
            return calculate(sign, left, right)
        except LuaError as error:
            error.words += _who(nodes, (left, right), _is_no_operand)
            raise self._placed(error, line)

    def negative(self, value, node, line):
        """Return -value."""
        try:
            return negative(value)
        except LuaError as error:
            error.words += _who((node,), (value,), _is_no_operand)
            raise self._placed(error, line)

    def length(self, value, node, line):
        """Return #value."""
        if isinstance(value, (bytes, Table)):
            return len(value)
        raise LuaError("%s: it has no length" % _is(name_of(node), value), line)

    def compare(self, less, left, right, nodes, line):
        """Return less(left, right), which is < or <= or their opposites, of any values."""
        if isinstance(left, bytes) and isinstance(right, bytes):
            if len(left) > LONG:
                self.step(len(left) // LONG, line)
            return less(left, right)
        if type(left) in NUMBERS and type(right) in NUMBERS:
            return less(left, right)
        raise LuaError("%s cannot be compared with %s%s"
                       % (named(left), named(right), _who(nodes, (left, right), lambda value: type(value) not in NUMBERS)), line)

    def equal(self, left, right, line):
        """Return left == right."""
        kind = type(left)
        if kind is not type(right):
            return kind in NUMBERS and type(right) in NUMBERS and left == right
        if kind is bytes and len(left) > LONG and len(left) == len(right):
            self.step(len(left) // LONG, line)
        return left == right

    def concat(self, values, nodes, line):
        """Return the strings and numbers of a list as one string."""
        parts = []
        for value in values:
            if isinstance(value, bytes):
                parts.append(value)
            elif type(value) in NUMBERS:
                parts.append(to_text(value))
            else:
                raise LuaError(".. is not possible with %s%s"
                               % (named(value), _who(nodes, values, lambda value: not isinstance(value, bytes) and type(value) not in NUMBERS)), line)
        size = sum(map(len, parts))
        self.take(size + 50, line)
        if size > LONG:
            self.step(size // LONG, line)
        return b"".join(parts)

    def not_called(self, value, name, line, begin, is_field=False):
        """Return the LuaError for a call of what is no function. begin: the line where the called one stands; is_field: KEY "…" or KEY { … }."""
        words = "%s: it cannot be called" % _is(name, value)
        if begin < line:
            words += " (is a comma missing at the end of line %d?)" % begin
        elif is_field:
            words += " (is = missing behind it?)"
        return LuaError(words, line)

    def not_looped(self, value, name, line):
        """Return the LuaError for a loop over what is no iterator."""
        words = "%s: it cannot be looped over" % _is(name, value)
        if isinstance(value, Table):
            words += ": write ipairs(%s) or pairs(%s)" % (name or "…", name or "…")
        return LuaError(words, line)

    def refused(self, error, nodes, arguments, line):
        """Complete the error of a function of the library that was called in a line."""
        if error.line is not None:
            return error
        error.line = line
        found = _ARGUMENT.search(error.words)
        index = int(found.group(1)) - 1 if found else len(nodes)
        name = name_of(nodes[index]) if index < min(len(nodes), len(arguments)) else None
        if name:
            error.words = "%s: %s" % (_is(name, arguments[index]), error.words)
        return error


def _is(name, value):
    return "%s is %s" % (name or "a value", named(value))


def _is_no_operand(value):
    return to_float(value) is None


def _who(nodes, values, is_wrong):
    """Return " (x is nil)" for the first value that is wrong, if it has a name, else ""."""
    for node, value in zip(nodes, values):
        if is_wrong(value):
            name = name_of(node)
            return " (%s is %s)" % (name, named(value)) if name else ""
    return ""
