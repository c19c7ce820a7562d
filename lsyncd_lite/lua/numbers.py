"""Lua's math library, but for what is not the same twice. Pure.

Source is the reference manual of Lua 5.3, §6.7.
"""

import math

from lsyncd_lite.lua.arguments import Arguments, is_less
from lsyncd_lite.lua.arithmetic import LARGEST, SMALLEST, power, to_integer, wrap
from lsyncd_lite.lua.values import type_name


def _rounded(name, whole):
    def function(_machine, *values):
        number = Arguments("math." + name, values).number(1)
        return (_as_whole(whole(number) if math.isfinite(number) else number, number),)
    return function


def _as_whole(whole, otherwise):
    """Return an integer where it has 64 bits, else the float."""
    return whole if isinstance(whole, int) and SMALLEST <= whole <= LARGEST else float(otherwise)


def _max(_machine, *values):
    best = Arguments("math.max", values).any(1)
    for value in values[1:]:
        if is_less(best, value):
            best = value
    return (best,)


def _min(_machine, *values):
    best = Arguments("math.min", values).any(1)
    for value in values[1:]:
        if is_less(value, best):
            best = value
    return (best,)


def _abs(_machine, *values):
    number = Arguments("math.abs", values).number(1)
    return (wrap(abs(number)) if isinstance(number, int) else abs(number),)


def _of_floats(name, calculate, count=1):
    def function(_machine, *values):
        arguments = Arguments("math." + name, values)
        numbers = [float(arguments.number(position)) for position in range(1, count + 1)]
        try:
            return (calculate(*numbers),)
        except ValueError:  # C has no error here, but NaN
            return (math.nan,)
        except OverflowError:
            return (math.inf,)
    return function


def _fmod(_machine, *values):
    arguments = Arguments("math.fmod", values)
    left, right = arguments.number(1), arguments.number(2)
    if isinstance(left, int) and isinstance(right, int):
        if right == 0:
            raise arguments.error(2, "zero")
        rest = abs(left) % abs(right)
        return (-rest if left < 0 else rest,)
    try:
        return (math.fmod(left, right),)
    except ValueError:
        return (math.nan,)


def _modf(_machine, *values):
    number = Arguments("math.modf", values).number(1)
    if isinstance(number, int) or math.isinf(number):
        return number, 0.0
    if number != number:
        return number, number
    whole = math.trunc(number)
    return _as_whole(whole, whole), number - whole if number != whole else 0.0


def _log(_machine, *values):
    arguments = Arguments("math.log", values)
    number = float(arguments.number(1))
    base = None if arguments.get(2) is None else float(arguments.number(2))
    try:
        return (math.log(number) if base is None else math.log2(number) if base == 2 else math.log(number) / math.log(base),)
    except ValueError:
        return (-math.inf if number == 0 else math.nan,)
    except ZeroDivisionError:
        return (math.nan,)


def _tointeger(_machine, *values):
    return (to_integer(Arguments("math.tointeger", values).any(1)),)


def _type(_machine, *values):
    value = Arguments("math.type", values).any(1)
    if type_name(value) != "number":
        return (None,)
    return (b"integer" if isinstance(value, int) else b"float",)


def _ult(_machine, *values):
    arguments = Arguments("math.ult", values)
    left, right = (arguments.integer(position) & 0xFFFFFFFFFFFFFFFF for position in (1, 2))
    return (left < right,)


MEMBERS = {b"floor": _rounded("floor", math.floor), b"ceil": _rounded("ceil", math.ceil), b"abs": _abs, b"fmod": _fmod, b"modf": _modf, b"log": _log,
           b"max": _max, b"min": _min, b"sqrt": _of_floats("sqrt", math.sqrt), b"exp": _of_floats("exp", math.exp), b"pow": _of_floats("pow", power, 2),
           b"tointeger": _tointeger, b"type": _type, b"ult": _ult,
           b"huge": math.inf, b"pi": math.pi, b"maxinteger": LARGEST, b"mininteger": SMALLEST}
