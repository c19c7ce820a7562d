"""Lua's string library, but for what string.format does. Pure.

Source is the reference manual of Lua 5.3, §6.4. A function takes the Machine and its
arguments and returns a tuple; it counts what it makes before it makes it.
"""

from lsyncd_lite.lua.arguments import Arguments, as_string, is_true
from lsyncd_lite.lua.format import formatted
from lsyncd_lite.lua.pattern import Pattern, all_captured, captured, find
from lsyncd_lite.lua.values import LONG, LuaError, Table, type_name
from lsyncd_lite.paths import show

_SPECIAL = b"^$*+?.([%-"  # without any of these string.find looks for bytes, even for a ")" that closes nothing


def _begin(position, length):
    """Return the offset (from 0) at which a part begins that is given by a position: from 1, or below 0 from the end."""
    return position - 1 if position > 0 else 0 if position == 0 else max(0, length + position)


def _end(position, length):
    """Return the offset behind a part that ends at a position."""
    return min(length, position) if position >= 0 else max(0, length + position + 1)


def _format(machine, *values):
    return (formatted(Arguments("string.format", values), machine.meter),)


def _len(_machine, *values):
    return (len(Arguments("string.len", values).string(1)),)


def _sub(machine, *values):
    arguments = Arguments("string.sub", values)
    text = arguments.string(1)
    begin, end = _begin(arguments.integer(2), len(text)), _end(arguments.integer(3, -1), len(text))
    machine.meter.take(max(0, end - begin))
    return (text[begin:end] if begin < end else b"",)


def _changed(name, change):
    def function(machine, *values):
        text = Arguments("string." + name, values).string(1)
        machine.meter.take(len(text))
        return (change(text),)
    return function


def _rep(machine, *values):
    arguments = Arguments("string.rep", values)
    text, count, separator = arguments.string(1), arguments.integer(2), arguments.string(3, b"")
    if count <= 0 or not text and not separator:
        return (b"",)
    machine.meter.take(count * (len(text) + len(separator)))
    return ((text + separator) * (count - 1) + text,)


def _byte(machine, *values):
    arguments = Arguments("string.byte", values)
    text = arguments.string(1)
    first = arguments.integer(2, 1)
    begin, end = _begin(first, len(text)), _end(arguments.integer(3, first), len(text))
    machine.meter.take(8 * max(0, end - begin))
    return tuple(text[begin:end]) if begin < end else ()


def _char(machine, *values):
    arguments = Arguments("string.char", values)
    machine.meter.take(len(values))
    numbers = [arguments.integer(position) for position in range(1, len(values) + 1)]
    for position, number in enumerate(numbers, 1):
        if not 0 <= number < 256:
            raise arguments.error(position, "value out of range: 0 to 255 is a byte")
    return (bytes(numbers),)


def _find(machine, *values):
    return _found(machine, Arguments("string.find", values), True)


def _match(machine, *values):
    return _found(machine, Arguments("string.match", values), False)


def _found(machine, arguments, with_place):
    text, pattern = arguments.string(1), arguments.string(2)
    start = _begin(arguments.integer(3, 1), len(text))
    if start > len(text):
        return (None,)
    machine.meter.step(1 + len(pattern) // LONG)
    if with_place and (is_true(arguments.get(4)) or len(pattern.translate(None, _SPECIAL)) == len(pattern)):
        machine.meter.step(len(text) * len(pattern) // LONG)  # the worst that looking for bytes may cost
        begin = text.find(pattern, start)
        return (None,) if begin < 0 else (begin + 1, begin + len(pattern))
    found = find(Pattern(pattern, machine.meter), text, start)
    if found is None:
        return (None,)
    begin, end, captures = found
    machine.meter.take((end - begin) * max(1, len(captures)))
    if not with_place:
        return all_captured(text, *found)
    return (begin + 1, end, *(all_captured(text, *found) if captures else ()))


def _gmatch(machine, *values):
    arguments = Arguments("string.gmatch", values)
    text, pattern = arguments.string(1), Pattern(arguments.string(2), machine.meter, may_be_anchored=False)
    here = [0, None]  # where to look on, and where the last match ended: there is no empty one right behind it

    def following(caller, *_values):
        while here[0] <= len(text):
            found = pattern.match(text, here[0])
            if found and found[0] != here[1]:
                begin = here[0]
                here[0] = here[1] = found[0]
                caller.meter.take((found[0] - begin) * max(1, len(found[1])))
                return all_captured(text, begin, *found)
            here[0] += 1
        return (None,)
    return (following,)


def _gsub(machine, *values):
    arguments = Arguments("string.gsub", values)
    text, source, replacement = arguments.string(1), arguments.string(2), arguments.get(3)
    replace = _replacer(machine, arguments, replacement)
    most = arguments.integer(4, len(text) + 1)
    pattern = Pattern(source, machine.meter)
    parts = []
    count = at = copied = 0
    last = None
    while count < most:
        found = pattern.match(text, at)
        if found and found[0] != last:
            count += 1
            new = replace(text, at, *found)
            machine.meter.take(at - copied + len(new) + 100)
            parts += [text[copied:at], new]
            at = last = copied = found[0]
        elif at < len(text):
            at += 1
        else:
            break
        if pattern.is_anchored:
            break
    machine.meter.take(len(text) - copied)
    return b"".join(parts) + text[copied:], count


def _replacer(machine, arguments, replacement):
    """Return a function (text, begin, end, captures) → the bytes that replace a match."""
    template = as_string(replacement)
    if template is not None:
        return lambda text, *match: _filled(machine, template, text, *match)
    if isinstance(replacement, Table):
        def choose(text, *match):
            return replacement.get(captured(text, *match, 0))
    elif type_name(replacement) == "function":
        def choose(text, begin, end, captures):
            machine.meter.take((end - begin) * max(1, len(captures)))
            results = machine.call(replacement, all_captured(text, begin, end, captures))
            return results[0] if results else None
    else:
        raise arguments.error(3, "string, function or table expected, got %s" % (type_name(replacement) if len(arguments) > 2 else "no value"))

    def replaced(text, begin, end, captures):
        new = choose(text, begin, end, captures)
        if not is_true(new):
            return text[begin:end]
        result = as_string(new)
        if result is None:
            raise LuaError("string.gsub: a replacement must be a string or a number, not a %s" % type_name(new))
        return result
    return replaced


def _filled(machine, template, text, begin, end, captures):
    """Return a replacement with its %0 to %9 filled in."""
    if b"%" not in template:
        return template
    parts = []
    pieces = template.split(b"%")
    parts.append(pieces[0])
    at = 1
    while at < len(pieces):
        piece = pieces[at]
        machine.meter.step()
        if not piece and at + 1 < len(pieces):  # %%
            parts += [b"%", pieces[at + 1]]
            at += 2
            continue
        if not piece[:1].isdigit():
            raise LuaError("string.gsub: invalid use of %% in the replacement %s: allowed are %%0 to %%9, and %%%% for %% itself" % show(template))
        machine.meter.take(len(piece) + end - begin)
        number = int(piece[:1])
        new = text[begin:end] if number == 0 else as_string(captured(text, begin, end, captures, number - 1))
        parts += [new, piece[1:]]
        at += 1
    return b"".join(parts)


FUNCTIONS = {b"format": _format, b"len": _len, b"sub": _sub, b"rep": _rep, b"byte": _byte, b"char": _char, b"find": _find, b"match": _match,
             b"gmatch": _gmatch, b"gsub": _gsub, b"lower": _changed("lower", bytes.lower), b"upper": _changed("upper", bytes.upper),
             b"reverse": _changed("reverse", lambda text: text[::-1])}
