"""Lua's math library, as far as configurations count. Pure.

Source is the reference manual of Lua 5.3, §6.7.
"""

import math

from lsyncd_lite.lua.arguments import Arguments, is_less
from lsyncd_lite.lua.arithmetic import LARGEST, SMALLEST, wrap


def _rounded(name, whole):
    def function(_machine, *values):
        number = Arguments("math." + name, values).number(1)
        result = whole(number) if math.isfinite(number) else number
        return (result if SMALLEST <= result <= LARGEST else float(number),)
    return function


def _chosen(name, is_better):
    def function(_machine, *values):
        best = Arguments("math." + name, values).any(1)
        for value in values[1:]:
            if is_better(value, best):
                best = value
        return (best,)
    return function


def _abs(_machine, *values):
    number = Arguments("math.abs", values).number(1)
    return (wrap(abs(number)) if isinstance(number, int) else abs(number),)


MEMBERS = {b"floor": _rounded("floor", math.floor), b"ceil": _rounded("ceil", math.ceil), b"abs": _abs, b"max": _chosen("max", lambda value, best: is_less(best, value)),
           b"min": _chosen("min", is_less), b"huge": math.inf, b"pi": math.pi, b"maxinteger": LARGEST, b"mininteger": SMALLEST}
