"""Trees of expressions → Python closures that take a frame and return a value. Knows no statements.

A function's frame is a list: its locals by their slots, then its upvalues. A local that an inner
function uses, too, is a cell there (a list of one value), made anew each time it is declared; upvalues
are such cells.
"""

import operator

from lsyncd_lite.lua.tree import name_of
from lsyncd_lite.lua.values import LONG, LuaError, Table
from lsyncd_lite.paths import show

_MANY = 16  # values of a call or a list that cost a step more, each
_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class Closures:
    """Makes closures that evaluate on one Machine, with one Table of globals."""

    def __init__(self, machine, globals_):
        self.machine = machine
        self.globals = globals_
        self.cost = 0         # steps of the statement that is being made
        self.function = None  # the Function whose body is being made
        self.field = None     # the node of the field without a key that is being made

    def expression(self, node):
        """Return the closure of one value."""
        self.cost += 1
        return getattr(self, "_" + node.kind)(node, *node.parts)

    # Variables

    def _slot(self, node):
        """Return (slot, whether it is a cell) of a local or an upvalue."""
        if node.kind == "local":
            return node.parts[0].slot, node.parts[0].is_captured
        return self.function.size + node.parts[0].index, True

    def _variable(self, node, _variable):
        slot, is_cell = self._slot(node)
        if is_cell:
            return lambda frame: frame[slot][0]
        return lambda frame: frame[slot]

    _local = _upvalue = _variable

    def test(self, node):
        """Return the closure of a value that is asked whether it is there: nobody wonders that a global is not."""
        if node.kind != "global":
            return self.expression(node)
        get, name = self.globals.get, node.parts[0]
        self.cost += 1
        return lambda frame: get(name)

    def _global(self, node, name):
        machine, globals_, line = self.machine, self.globals, node.line

        def run(_frame):
            value = globals_.get(name)
            if value is None and not globals_.was_set(name):
                machine.unknown(name, line)
            return value
        return run

    # Values

    def _constant(self, _node, value):
        return lambda frame: value

    def _parens(self, _node, inner):
        return self.expression(inner)

    def _vararg(self, node):
        many = self._multiple(node)

        def run(frame):
            values = many(frame)
            return values[0] if values else None
        return run

    _call = _method = lambda self, node, *_parts: self._vararg(node)

    def _multiple(self, node):
        """Return the closure of all values (tuple) of a call or ..."""
        self.cost += 1
        if node.kind == "vararg":
            slot = self.function.varargs.slot
            return lambda frame: frame[slot]
        if node.kind == "call":
            return self._call_of(node, *node.parts)
        return self._method_of(node, *node.parts)

    def _list(self, nodes, line):
        """Return the closure of the values (a sequence) of expressions, all those of the last one."""
        if not nodes:
            return lambda frame: ()
        if not is_open(nodes[-1]):
            values = [self.expression(node) for node in nodes]
            if len(values) == 1:
                only = values[0]
                return lambda frame: (only(frame),)
            return lambda frame: [value(frame) for value in values]
        machine = self.machine
        values, last = [self.expression(node) for node in nodes[:-1]], self._multiple(nodes[-1])

        def run(frame):
            first = [value(frame) for value in values]
            rest = last(frame)
            if len(rest) > _MANY:
                machine.step(len(rest), line)
                machine.take(16 * len(rest), line)
            return (*first, *rest) if first else rest
        return run

    def _table(self, node, fields, end):
        machine, line, rows = self.machine, node.line, []
        rest = last = None
        for at, key, value in fields:
            self.field = value if key is None else None
            if key is None and is_open(value) and len(rows) == len(fields) - 1:
                rest, last = self._list([value], at), at
            else:
                rows.append((at, key and self.expression(key), self.expression(value)))
        size = 200 + 100 * len(rows)

        def run(frame):
            machine.take(size, line)
            table, items, lines = Table(line, end), [], []
            for at, key, value in rows:
                if key is None:
                    items.append(value(frame))
                    lines.append(at)
                else:
                    field = key(frame)
                    try:
                        table.set(field, value(frame), at)
                    except LuaError as error:
                        raise machine.refused(error, (), (), at)
            if rest:
                values = rest(frame)
                machine.take(100 * len(values), line)
                items.extend(values)
                lines.extend([last] * len(values))
            table.fill(items, lines)
            return table
        return run

    def _index(self, node, table, key):
        machine, line, owner = self.machine, node.line, table
        table, is_constant, key = self.expression(table), key.kind == "constant", self.expression(key)

        def run(frame):
            value, at = table(frame), key(frame)
            if not is_constant and type(at) is bytes and len(at) > LONG:  # two of them may have to be compared
                machine.step(len(at) // LONG, line)
            return value.get(at) if type(value) is Table else machine.index(value, at, owner, line, is_constant)
        return run

    # Calls and functions

    def _call_of(self, node, callee, arguments):
        machine, line, begin = self.machine, node.line, callee.line
        is_field = self.field is node and callee.kind == "global" and arguments and arguments[0].kind in ("constant", "table")
        function, many = self.expression(callee), self._list(arguments, line)

        def run(frame):
            called = function(frame)
            values = many(frame)
            machine.line = line
            if not callable(called):
                raise machine.not_called(called, name_of(callee), line, begin, is_field)
            try:
                return called(machine, *values)
            except LuaError as error:
                raise machine.refused(error, arguments, values, line)
        return run

    def _method_of(self, node, target, method, arguments):
        machine, line, begin = self.machine, node.line, target.line
        owner, many = self.expression(target), self._list(arguments, line)

        def run(frame):
            value = owner(frame)
            called = value.get(method) if type(value) is Table else machine.index(value, method, target, line)
            values = many(frame)
            machine.line = line
            if not callable(called):
                name = name_of(target)
                raise machine.not_called(called, "method %s%s" % (show(method), " of " + name if name else ""), line, begin)
            try:
                return called(machine, value, *values)
            except LuaError as error:
                raise machine.refused(error, (None, *arguments), (value, *values), line)
        return run

    # Operators

    def _and(self, _node, left, right):
        left, right = self.test(left), self.expression(right)

        def run(frame):
            value = left(frame)
            return value if value is None or value is False else right(frame)
        return run

    def _or(self, _node, left, right):
        left, right = self.test(left), self.expression(right)

        def run(frame):
            value = left(frame)
            return right(frame) if value is None or value is False else value
        return run

    def _not(self, _node, operand):
        operand = self.test(operand)

        def run(frame):
            value = operand(frame)
            return value is None or value is False
        return run

    def _negative(self, node, operand):
        machine, line, value = self.machine, node.line, self.expression(operand)
        return lambda frame: machine.negative(value(frame), operand, line)

    def _length(self, node, operand):
        machine, line, value = self.machine, node.line, self.expression(operand)
        return lambda frame: machine.length(value(frame), operand, line)

    def _concat(self, node, operands):
        machine, line, values = self.machine, node.line, [self.expression(operand) for operand in operands]
        self.cost += len(operands)
        return lambda frame: machine.concat([value(frame) for value in values], operands, line)

    def _arithmetic(self, node, sign, left, right):
        machine, line, nodes = self.machine, node.line, (left, right)
        left, right = self.expression(left), self.expression(right)
        return lambda frame: machine.calculate(sign, left(frame), right(frame), nodes, line)

    def _compare(self, node, sign, left, right):
        machine, line, nodes = self.machine, node.line, (left, right)
        left, right = self.test(left), self.test(right)
        if sign == "==":
            return lambda frame: machine.equal(left(frame), right(frame), line)
        if sign == "~=":
            return lambda frame: not machine.equal(left(frame), right(frame), line)
        less = _COMPARISONS[sign]
        return lambda frame: machine.compare(less, left(frame), right(frame), nodes, line)


def is_open(node):
    """Tell whether an expression can have several values."""
    return node.kind in ("call", "method", "vararg")
