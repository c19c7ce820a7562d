"""Tree of Lua → Python closures. Knows no library.

A function's frame is a list: its locals by their slots, then its upvalues. A local that an inner
function uses, too, is a cell there (a list of one value), made anew each time it is declared; upvalues
are such cells. A closure of an expression takes the frame and returns the value; one of a statement
returns None, or BREAK, or the tuple of what its function returns.

Each statement counts its steps at its beginning: one for itself and each operation in it. A call,
besides, counts in the function that is called, and a loop each turn.
"""

import operator

from lsyncd_lite.lua.arithmetic import LARGEST, OPERATORS, SMALLEST, to_float, to_integer, wrap
from lsyncd_lite.lua.parser import Local
from lsyncd_lite.lua.values import LuaError, Table
from lsyncd_lite.paths import show

_MANY = 16  # values of a call or a list that cost a step more, each


class _Break:
    """What a statement returns to end its loop."""


BREAK = _Break()
_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class Compiler:
    """Makes closures that evaluate on one Machine, with one Table of globals."""

    def __init__(self, machine, globals_):
        self.machine = machine
        self.globals = globals_
        self.cost = 0         # steps of the statement that is being made
        self.function = None  # the Function whose body is being made

    def main(self, function):
        """Return the function (machine, *arguments) of a whole text."""
        return self._function_maker(function, 0)([])

    def expression(self, node):
        """Return the closure of one value."""
        self.cost += 1
        return getattr(self, "_" + node.kind)(node, *node.parts)

    # Blocks and statements

    def block(self, statements):
        """Return the closure of a list of statements."""
        machine, meter, rows = self.machine, self.machine.meter, []
        for node in statements:
            outer, self.cost = self.cost, 1
            run = getattr(self, "_do_" + node.kind.replace(" ", "_"))(node, *node.parts)
            rows.append((node.line, self.cost, run))
            self.cost = outer

        def run(frame):
            for line, cost, statement in rows:
                machine.line = line
                meter.steps -= cost
                if meter.steps < 0:
                    machine.step(0, line)
                result = statement(frame)
                if result is not None:
                    return result
            return None
        return run

    def _do_call(self, node, *_parts):
        call = self._multiple(node)

        def run(frame):
            call(frame)
        return run

    _do_method = _do_call

    def _do_do(self, _node, body):
        return self.block(body)

    def _do_break(self, _node):
        return lambda frame: BREAK

    def _do_return(self, node, values):
        if len(values) == 1 and not _is_open(values[0]):
            value = self.expression(values[0])
            return lambda frame: (value(frame),)
        many = self._list(values, node.line)
        return lambda frame: tuple(many(frame))

    def _do_if(self, _node, clauses, otherwise):
        rows = [(self.expression(condition), self.block(body)) for condition, body in clauses]
        last = self.block(otherwise)

        def run(frame):
            for condition, body in rows:
                value = condition(frame)
                if value is not None and value is not False:
                    return body(frame)
            return last(frame)
        return run

    def _turn(self, node):
        """Return a function that counts a turn of a loop."""
        machine, meter, line = self.machine, self.machine.meter, node.line
        cost, self.cost = self.cost, 1

        def turn():
            machine.line = line
            meter.steps -= cost
            if meter.steps < 0:
                machine.step(0, line)
        return turn

    def _do_while(self, node, condition, body):
        condition = self.expression(condition)
        turn, body = self._turn(node), self.block(body)

        def run(frame):
            while True:
                turn()
                value = condition(frame)
                if value is None or value is False:
                    return None
                result = body(frame)
                if result is not None:
                    return None if result is BREAK else result
        return run

    def _do_repeat(self, node, body, condition):
        condition = self.expression(condition)
        turn, body = self._turn(node), self.block(body)

        def run(frame):
            while True:
                turn()
                result = body(frame)
                if result is not None:
                    return None if result is BREAK else result
                value = condition(frame)
                if value is not None and value is not False:
                    return None
        return run

    def _do_for(self, node, variable, first, last, step, body):
        values = [self.expression(value) for value in (first, last, step) if value]
        names = ["the first value of for", "the last value of for", "the step of for"]
        turn, body, line = self._turn(node), self.block(body), node.line
        slot, is_cell = variable.slot, variable.is_captured

        def run(frame):
            limits = [value(frame) for value in values]
            for name, value in zip(names, limits):
                if to_float(value) is None:
                    raise LuaError("%s must be a number, and is %s" % (name, "nil" if value is None else "no number"), line)
            for value in _numbers(*limits, line=line):
                turn()
                frame[slot] = [value] if is_cell else value
                result = body(frame)
                if result is not None:
                    return None if result is BREAK else result
            return None
        return run

    def _do_in(self, node, variables, values, body):
        machine, line, name = self.machine, node.line, self._name(values[0])
        values = self._list(values, line)
        turn, body, count = self._turn(node), self.block(body), len(variables)
        slots = [(local.slot, local.is_captured) for local in variables]

        def run(frame):
            iterator, state, place = (*values(frame), None, None, None)[:3]
            if not callable(iterator):
                raise machine.not_looped(iterator, name, line)
            while True:
                turn()
                try:
                    found = iterator(machine, state, place)
                except LuaError as error:
                    raise machine.refused(error, (), (), line)
                place = found[0] if found else None
                if place is None:
                    return None
                for (slot, is_cell), value in zip(slots, found if len(found) >= count else (*found, *(None,) * count)):
                    frame[slot] = [value] if is_cell else value
                result = body(frame)
                if result is not None:
                    return None if result is BREAK else result
        return run

    def _do_declare(self, node, variables, values):
        if len(variables) == len(values) == 1:
            value, set_ = self.expression(values[0]), _setter(variables[0])
            return lambda frame: set_(frame, value(frame))
        values = self._list(values, node.line)
        slots, blank = [(local.slot, local.is_captured) for local in variables], (None,) * len(variables)

        def run(frame):
            for (slot, is_cell), value in zip(slots, (*values(frame), *blank)):
                frame[slot] = [value] if is_cell else value
        return run

    def _do_declare_function(self, _node, local, function):
        slot, make = local.slot, self.expression(function)
        if not local.is_captured:
            return _setter_of(slot, make)

        def run(frame):
            cell = frame[slot] = [None]
            cell[0] = make(frame)
        return run

    def _do_assign(self, node, targets, values):
        if len(targets) == len(values) == 1:
            return self._target(targets[0], self.expression(values[0]))
        values = self._list(values, node.line)
        prepared = [self._prepared(target) for target in targets]
        blank = (None,) * len(targets)

        def run(frame):  # all places are known before the first one changes
            places = [prepare(frame) for prepare, _store in prepared]
            given = (*values(frame), *blank)
            for (_prepare, store), place, value in zip(prepared, places, given):
                store(frame, place, value)
        return run

    def _target(self, node, value):
        """Return the closure that gives a variable or a field the value of an expression."""
        machine, line = self.machine, node.line
        if node.kind == "index":
            table, key, name = self.expression(node.parts[0]), self.expression(node.parts[1]), self._name(node.parts[0])

            def run(frame):
                place, field = table(frame), key(frame)
                machine.set_index(place, field, value(frame), name, line)
            return run
        prepare, store = self._prepared(node)
        return lambda frame: store(frame, None, value(frame))

    def _prepared(self, node):
        """Return two functions: (frame) → the place of a variable or a field; (frame, place, value) sets it."""
        machine, line, kind = self.machine, node.line, node.kind
        if kind == "index":
            table, key, name = self.expression(node.parts[0]), self.expression(node.parts[1]), self._name(node.parts[0])
            return (lambda frame: (table(frame), key(frame)),
                    lambda frame, place, value: machine.set_index(*place, value, name, line))
        if kind == "global":
            name, globals_ = node.parts[0], self.globals

            def store(_frame, _place, value):
                machine.set_index(globals_, name, value, None, line)
        else:
            slot, is_cell = self._slot(node)
            if is_cell:
                def store(frame, _place, value):
                    frame[slot][0] = value
            else:
                def store(frame, _place, value):
                    frame[slot] = value
        return (lambda frame: None), store

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

    def _global(self, node, name):
        machine, globals_, line = self.machine, self.globals, node.line

        def run(_frame):
            value = globals_.get(name)
            if value is None and not globals_.was_set(name):
                machine.unknown(name, line)
            return value
        return run

    def _name(self, node):
        """Return what the program calls a value, for errors, or None."""
        if node.kind == "parens":
            return self._name(node.parts[0])
        if node.kind == "global":
            return show(node.parts[0])
        if node.kind in ("local", "upvalue"):
            return show(node.parts[0].name)
        if node.kind == "index":
            owner, key = self._name(node.parts[0]), node.parts[1]
            if key.kind == "constant" and isinstance(key.parts[0], bytes):
                return "field %s%s" % (show(key.parts[0]), " of " + owner if owner else "")
            return "a field of " + owner if owner else None
        if node.kind == "call":
            name = self._name(node.parts[0])
            return "the result of " + name if name else None
        if node.kind == "method":
            return "the result of " + show(node.parts[1])
        return None

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
            slot, is_cell = self._slot_of(self.function.varargs)
            return lambda frame: frame[slot]
        if node.kind == "call":
            return self._call_of(node, *node.parts)
        return self._method_of(node, *node.parts)

    @staticmethod
    def _slot_of(local):
        return local.slot, local.is_captured

    def _list(self, nodes, line):
        """Return the closure of the values (a sequence) of expressions, all those of the last one."""
        if not nodes:
            return lambda frame: ()
        if not _is_open(nodes[-1]):
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

    def _table(self, node, fields):
        machine, line, rows = self.machine, node.line, []
        for at, key, value in fields[:-1]:
            rows.append((at, key and self.expression(key), self.expression(value)))
        rest = last = None
        if fields:
            rest_line, key, value = fields[-1]
            if key is None and _is_open(value):
                rest, last = self._list([value], rest_line), rest_line
            else:
                rows.append((rest_line, key and self.expression(key), self.expression(value)))
        size = 200 + 100 * len(rows)

        def run(frame):
            machine.take(size, line)
            table, items, lines = Table(line), [], []
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
        machine, line, name = self.machine, node.line, self._name(table)
        field = key.parts[0] if key.kind == "constant" and isinstance(key.parts[0], bytes) else None
        table, key = self.expression(table), self.expression(key)

        def run(frame):
            value = table(frame)
            if type(value) is Table:
                return value.get(key(frame))
            return machine.index(value, key(frame), name, field, line)
        return run

    # Calls and functions

    def _call_of(self, node, callee, arguments):
        machine, line, begin = self.machine, node.line, callee.line
        name, names = self._name(callee), [self._name(value) for value in arguments]
        function, many = self.expression(callee), self._list(arguments, line)

        def run(frame):
            called = function(frame)
            values = many(frame)
            machine.line = line
            if not callable(called):
                raise machine.not_called(called, name, line, begin)
            try:
                return called(machine, *values)
            except LuaError as error:
                raise machine.refused(error, names, values, line)
        return run

    def _method_of(self, node, target, method, arguments):
        machine, line, begin = self.machine, node.line, target.line
        name, names = self._name(target), [None, *(self._name(value) for value in arguments)]
        shown = "method %s%s" % (show(method), " of " + name if name else "")
        target, many = self.expression(target), self._list(arguments, line)

        def run(frame):
            value = target(frame)
            called = value.get(method) if type(value) is Table else machine.index(value, method, name, None, line)
            values = many(frame)
            machine.line = line
            if not callable(called):
                raise machine.not_called(called, shown, line, begin)
            try:
                return called(machine, value, *values)
            except LuaError as error:
                raise machine.refused(error, names, (value, *values), line)
        return run

    def _function(self, node, function, _body):
        return self._function_maker(function, node.depth)

    def _function_maker(self, function, depth):
        """Return the closure that makes a function."""
        outer, self.function = self.function, function
        cost, self.cost = self.cost, 0
        body, machine = self.block(function.body), self.machine
        self.function, self.cost = outer, cost
        count, size, levels, line = len(function.parameters), function.size, depth + 3, function.line
        cells = [local.slot for local in function.parameters if local.is_captured]
        sources = [source.slot if isinstance(source, Local) else outer.size + source.index for source in function.sources]
        has_rest = function.varargs is not None
        room = 200 + 8 * len(sources)

        def make(outer_frame):
            machine.take(room, machine.line)
            upvalues = [outer_frame[slot] for slot in sources]

            def call(_machine, *arguments):
                machine.enter(levels)
                try:
                    frame = [*arguments[:count], *(None,) * (size - min(len(arguments), count)), *upvalues]
                    if has_rest:
                        frame[count] = arguments[count:]
                    for slot in cells:
                        frame[slot] = [frame[slot]]
                    return body(frame) or ()
                finally:
                    machine.depth -= levels
            return call
        return make

    # Operators

    def _and(self, _node, left, right):
        left, right = self.expression(left), self.expression(right)

        def run(frame):
            value = left(frame)
            return value if value is None or value is False else right(frame)
        return run

    def _or(self, _node, left, right):
        left, right = self.expression(left), self.expression(right)

        def run(frame):
            value = left(frame)
            return right(frame) if value is None or value is False else value
        return run

    def _not(self, _node, operand):
        operand = self.expression(operand)

        def run(frame):
            value = operand(frame)
            return value is None or value is False
        return run

    def _negative(self, node, operand):
        machine, line, name, operand = self.machine, node.line, self._name(operand), self.expression(operand)
        return lambda frame: machine.single("-", operand(frame), name, line)

    def _complement(self, node, operand):
        machine, line, name, operand = self.machine, node.line, self._name(operand), self.expression(operand)
        return lambda frame: machine.single("~", operand(frame), name, line)

    def _length(self, node, operand):
        machine, line, name, operand = self.machine, node.line, self._name(operand), self.expression(operand)
        return lambda frame: machine.length(operand(frame), name, line)

    def _concat(self, node, operands):
        machine, line, names = self.machine, node.line, [self._name(operand) for operand in operands]
        operands = [self.expression(operand) for operand in operands]
        self.cost += len(operands)
        return lambda frame: machine.concat([operand(frame) for operand in operands], names, line)

    def _arithmetic(self, node, sign, left, right):
        machine, line, names = self.machine, node.line, (self._name(left), self._name(right))
        left, right, whole = self.expression(left), self.expression(right), OPERATORS[sign][0]
        if sign not in ("+", "-", "*"):
            return lambda frame: machine.calculate(sign, left(frame), right(frame), names, line)

        def run(frame):
            first, second = left(frame), right(frame)
            kind = type(first)
            if kind is type(second):
                if kind is int:
                    number = whole(first, second)
                    return number if SMALLEST <= number <= LARGEST else wrap(number)
                if kind is float:
                    return whole(first, second)
            return machine.calculate(sign, first, second, names, line)
        return run

    def _compare(self, node, sign, left, right):
        machine, line, names = self.machine, node.line, (self._name(left), self._name(right))
        left, right = self.expression(left), self.expression(right)
        if sign == "==":
            return lambda frame: machine.equal(left(frame), right(frame), line)
        if sign == "~=":
            return lambda frame: not machine.equal(left(frame), right(frame), line)
        less = _COMPARISONS[sign]
        return lambda frame: machine.compare(less, left(frame), right(frame), names, line)


def _is_open(node):
    """Tell whether an expression can have several values."""
    return node.kind in ("call", "method", "vararg")


def _setter(local):
    """Return the function (frame, value) that declares a local."""
    slot = local.slot
    if local.is_captured:
        def set_(frame, value):
            frame[slot] = [value]
    else:
        def set_(frame, value):
            frame[slot] = value
    return set_


def _setter_of(slot, make):
    def run(frame):
        frame[slot] = make(frame)
    return run


def _numbers(first, last, step=1, *, line):
    """Yield the values of a numeric for (§3.3.5); integers do not wrap around."""
    if type(first) is int and type(step) is int:
        if step == 0:
            raise LuaError("the step of for is 0: the loop would not end", line)
        last = last if type(last) is int else to_float(last)
        end = to_integer(last)
        if end is None:  # no integer: the last one before it
            if last != last:
                return
            end = max(SMALLEST, min(LARGEST, last))
            end = (int(end // 1) if step > 0 else -int(-end // 1)) if isinstance(end, float) else end
        yield from range(first, end + (1 if step > 0 else -1), step)
        return
    number, last, step = to_float(first), to_float(last), to_float(step)
    if step == 0:
        raise LuaError("the step of for is 0: the loop would not end", line)
    while number <= last if step > 0 else number >= last:
        yield number
        number += step
