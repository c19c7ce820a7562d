"""Lua's table library, and what walks through a table. Pure.

Sources are the reference manual of Lua 5.3, §6.1 and §6.6. A value that is moved takes the
line in which it was written with it.
"""

from lsyncd_lite.lua.arguments import FIELD, Arguments, as_string, is_less, is_same, is_true, text_of
from lsyncd_lite.lua.values import LONG, LuaError, Table, named
from lsyncd_lite.paths import show


def _set(machine, table, key, value, line):
    machine.meter.step()
    machine.meter.take(FIELD)
    table.set(key, value, line)


def _items(machine, table):
    items = table.items()
    machine.meter.step(1 + len(items) // 16)
    machine.meter.take(8 * len(items))
    return items


def _insert(machine, *values):
    arguments = Arguments("table.insert", values)
    table = arguments.table(1)
    end = len(table) + 1
    if len(values) == 2:
        _set(machine, table, end, values[1], machine.line)
        return ()
    if len(values) != 3:
        raise LuaError("wrong number of arguments to 'table.insert': (list, value) or (list, position, value) are allowed")
    position = arguments.integer(2)
    if not 1 <= position <= end:
        raise arguments.error(2, "position out of bounds: 1 to %d are possible" % end)
    for index in range(end, position, -1):
        _set(machine, table, index, table.get(index - 1), table.line_of(index - 1))
    _set(machine, table, position, values[2], machine.line)
    return ()


def _remove(machine, *values):
    arguments = Arguments("table.remove", values)
    table = arguments.table(1)
    size = len(table)
    position = arguments.integer(2, size)
    if position != size and not 1 <= position <= size + 1:
        raise arguments.error(2, "position out of bounds: 1 to %d are possible" % (size + 1))
    value = table.get(position)
    for index in range(position, size):
        _set(machine, table, index, table.get(index + 1), table.line_of(index + 1))
    if value is not None:
        table.set(max(position, size), None, machine.line)
    return (value,)


def _concat(machine, *values):
    arguments = Arguments("table.concat", values)
    table, separator = arguments.table(1), arguments.string(2, b"")
    first, last = arguments.integer(3, 1), arguments.integer(4, len(table))
    parts = []
    for index in range(first, last + 1):
        machine.meter.step()
        value = table.get(index)
        text = as_string(value)
        if text is None:
            raise LuaError("table.concat: value %d is %s; a string or a number is needed" % (index, named(value)))
        machine.meter.take(len(text) + len(separator) + 50)
        parts.append(text)
    return (separator.join(parts),)


def _unpack(machine, *values):
    arguments = Arguments("table.unpack", values)
    table = arguments.table(1)
    first, last = arguments.integer(2, 1), arguments.integer(3, len(table))
    count = max(0, last - first + 1)
    machine.meter.step(count)
    machine.meter.take(16 * count)
    return tuple(table.get(index) for index in range(first, last + 1))


def _sort(machine, *values):
    arguments = Arguments("table.sort", values)
    table = arguments.table(1)
    given = arguments.function_(2) if arguments.get(2) is not None else None

    def less(left, right):
        machine.meter.step(1 + (len(left[0]) // LONG if isinstance(left[0], bytes) else 0))
        if given is None:
            return is_less(left[0], right[0])
        results = machine.call(given, (left[0], right[0]))
        return bool(results) and is_true(results[0])
    size = len(table)
    machine.meter.take(FIELD * size)
    items = [(table.get(index), table.line_of(index)) for index in range(1, size + 1)]
    for index, (value, line) in enumerate(_sorted(items, less), 1):
        table.set(index, value, line)
    return ()


def _sorted(items, less):
    """Return a list in order; whatever less() answers, in some order. Python's own sort takes much of the stack while less() runs."""
    if len(items) < 2:
        return items
    middle = len(items) // 2
    left, right, merged, at = _sorted(items[:middle], less), _sorted(items[middle:], less), [], 0
    for item in right:
        while at < len(left) and not less(item, left[at]):
            merged.append(left[at])
            at += 1
        merged.append(item)
    return merged + left[at:]


def _walk(machine, table):
    """Return an iterator over what a table holds now; what is taken away meanwhile is left out (§6.1, next)."""
    left = iter(_items(machine, table))

    def following(caller, *_values):
        for key, _value in left:
            caller.meter.step()
            value = table.get(key)
            if value is not None:
                return key, value
        return (None,)
    return following


def _pairs(machine, *values):
    table = Arguments("pairs", values).table(1)
    return _walk(machine, table), table, None


def _ipairs(_machine, *values):
    return _next_of_list, Arguments("ipairs", values).table(1), 0


def _next_of_list(machine, *values):
    arguments = Arguments("the function of ipairs", values)
    table, index = arguments.table(1), arguments.integer(2) + 1
    machine.meter.step()
    value = table.get(index)
    return (None,) if value is None else (index, value)


def _next(machine, *values):
    arguments = Arguments("next", values)
    table, key = arguments.table(1), arguments.get(2)
    items, cost = _items(machine, table), 1 + (len(key) // LONG if isinstance(key, bytes) else 0)
    if key is None:
        return items[0] if items else (None,)
    for number, (other, _value) in enumerate(items, 1):
        machine.meter.step(cost)
        if is_same(key, other):
            return items[number] if number < len(items) else (None,)
    raise LuaError("invalid key to 'next': the table has no %s" % show(text_of(key)[:60]))


FUNCTIONS = {b"insert": _insert, b"remove": _remove, b"concat": _concat, b"unpack": _unpack, b"sort": _sort}
BASIC = {b"pairs": _pairs, b"ipairs": _ipairs, b"next": _next, b"unpack": _unpack}
