"""Tree of Lua → Python closures. Knows no library.

The closure of a statement takes the frame (closures.py) and returns None, or BREAK, or the tuple of
what its function returns. Each statement counts its steps at its beginning: one for itself and each
operation in it. A call, besides, counts in the function that is called, and a loop each turn.
"""

from lsyncd_lite.lua.arithmetic import LARGEST, SMALLEST, to_float, to_integer
from lsyncd_lite.lua.closures import Closures, is_open
from lsyncd_lite.lua.tree import Local, name_of
from lsyncd_lite.lua.values import LuaError


BREAK = object()  # what a statement returns to end its loop


class Compiler(Closures):
    """Makes closures of statements and functions."""

    def main(self, function):
        """Return the function (machine, *arguments) of a whole text."""
        return self._function_maker(function)([])

    def block(self, statements):
        """Return the closure of a list of statements."""
        machine, meter, rows = self.machine, self.machine.meter, []
        for node in statements:
            machine.line = node.line
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
        if len(values) == 1 and not is_open(values[0]):
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
        machine, line, source = self.machine, node.line, values[0]
        values = self._list(values, line)
        turn, body, count = self._turn(node), self.block(body), len(variables)
        slots = [(local.slot, local.is_captured) for local in variables]

        def run(frame):
            iterator, state, place = (*values(frame), None, None, None)[:3]
            if not callable(iterator):
                raise machine.not_looped(iterator, name_of(source), line)
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
        values, slots, blank = self._list(values, node.line), [(local.slot, local.is_captured) for local in variables], (None,) * len(variables)

        def run(frame):
            for (slot, is_cell), value in zip(slots, (*values(frame), *blank)):
                frame[slot] = [value] if is_cell else value
        return run

    def _do_declare_function(self, _node, local, function):
        slot, is_cell, make = local.slot, local.is_captured, self.expression(function)

        def run(frame):
            frame[slot] = [None] if is_cell else None
            made = make(frame)
            if is_cell:
                frame[slot][0] = made
            else:
                frame[slot] = made
        return run

    def _do_assign(self, node, targets, values):
        values = self._list(values, node.line)
        prepared = [self._prepared(target) for target in targets]
        blank = (None,) * len(targets)

        def run(frame):  # all places are known before the first one changes
            places = [prepare(frame) for prepare, _store in prepared]
            given = (*values(frame), *blank)
            for (_prepare, store), place, value in reversed(list(zip(prepared, places, given))):  # in Lua's order
                store(frame, place, value)
        return run

    def _prepared(self, node):
        """Return two functions: (frame) → the place of a variable or a field; (frame, place, value) sets it."""
        machine, line, kind = self.machine, node.line, node.kind
        if kind == "index":
            table, key, owner = self.expression(node.parts[0]), self.expression(node.parts[1]), node.parts[0]
            return (lambda frame: (table(frame), key(frame)),
                    lambda frame, place, value: machine.set_index(*place, value, owner, line))
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

    def _function(self, _node, function, _body):
        return self._function_maker(function)

    def _function_maker(self, function):
        """Return the closure that makes a function."""
        outer, self.function = self.function, function
        cost, self.cost = self.cost, 0
        body, machine = self.block(function.body), self.machine
        self.function, self.cost = outer, cost
        count, size = len(function.parameters), function.size
        cells = [local.slot for local in function.parameters if local.is_captured]
        sources = [source.slot if isinstance(source, Local) else outer.size + source.index for source in function.sources]
        has_rest = function.varargs is not None
        room = 200 + 8 * len(sources)

        def make(outer_frame):
            machine.take(room, machine.line)
            upvalues = [outer_frame[slot] for slot in sources]

            def call(_machine, *arguments):
                frame = [*arguments[:count], *(None,) * (size - min(len(arguments), count)), *upvalues]
                if has_rest:
                    frame[count] = arguments[count:]
                for slot in cells:
                    frame[slot] = [frame[slot]]
                return body(frame) or ()
            return call
        return make


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
