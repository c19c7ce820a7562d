"""Numbers of Lua and what is done with them: 64-bit integers that wrap around, and floats. Pure.

Sources: the reference manual of Lua 5.3, §3.1 (numerals), §3.4.1 to §3.4.4 (operators), and
lua5.3 itself where the manual leaves room: a string in arithmetic becomes a float.
"""

import math
import operator
import re

from lsyncd_lite.lua.values import LuaError, named

SMALLEST = -1 << 63
LARGEST = (1 << 63) - 1
_LONGEST = 400  # bytes; longer texts are no numbers, as the time to read one grows with the square of it

_DECIMAL = re.compile(rb"[-+]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][-+]?[0-9]+)?\Z")
_HEXADECIMAL = re.compile(rb"([-+]?)0[xX]([0-9a-fA-F]*)(?:(\.)([0-9a-fA-F]*))?(?:[pP]([-+]?[0-9]+))?\Z")


def wrap(number):
    """Return the 64-bit integer that an integer becomes."""
    return number if SMALLEST <= number <= LARGEST else (number - SMALLEST & 0xFFFFFFFFFFFFFFFF) + SMALLEST


def to_number(text):
    """Return the number that a text (bytes) means, white space around it allowed, or None."""
    if len(text) > _LONGEST:
        return None
    text = text.strip(b" \t\n\r\f\v")
    found = _DECIMAL.match(text)
    if found:
        if not any(found.groups()) and SMALLEST <= int(text) <= LARGEST:
            return int(text)
        return float(text)
    found = _HEXADECIMAL.match(text)
    if not found or not (found.group(2) or found.group(4)):
        return None
    sign, whole, point, fraction, exponent = found.groups()
    digits = int(whole + (fraction or b""), 16)
    if point is None and exponent is None:
        return wrap(-digits if sign == b"-" else digits)
    scale = max(-100000, min(100000, int(exponent or b"0"))) - 4 * len(fraction or b"")
    try:
        number = math.ldexp(digits, scale)
    except OverflowError:
        number = math.inf
    return -number if sign == b"-" else number


def to_text(number):
    """Return a number as Lua writes it (bytes)."""
    if isinstance(number, int):
        return b"%d" % number
    if number != number:
        return b"-nan" if math.copysign(1, number) < 0 else b"nan"
    text = b"%.14g" % number
    return text if text.strip(b"-0123456789") else text + b".0"


def to_integer(value):
    """Return the integer that is equal to a number, or to the number that a string means; else None."""
    if isinstance(value, bytes):
        value = to_number(value)
    if type(value) is float:
        return int(value) if value.is_integer() and SMALLEST <= value <= LARGEST and value != 2.0 ** 63 else None
    return value if type(value) is int else None


def to_float(value):
    """Return the float that a number, or a string that means one, is in arithmetic; else None."""
    if isinstance(value, bytes):
        value = to_number(value)
    return None if value is None or type(value) not in NUMBERS else float(value)


def divide(left, right):
    """Return left / right of floats."""
    if right:
        return left / right
    return math.nan if left == 0 or left != left else math.copysign(math.inf, left) * math.copysign(1, right)


def _floor_divide(left, right):
    quotient = divide(left, right)
    return quotient if math.isinf(quotient) or quotient != quotient or not quotient else float(math.floor(quotient))


def _remainder(left, right):
    if math.isinf(left) or not right:
        return math.nan
    rest = math.fmod(left, right)
    return rest + right if rest * right < 0 else rest


def power(left, right):
    """Return left ^ right of floats."""
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and right % 2 == 1 else math.inf
    except ValueError:
        if left:
            return math.nan
        return math.copysign(math.inf, left) if right % 2 == 1 else math.inf


# operator → (function of integers or None, function of floats); the first one's result is wrapped
OPERATORS = {
    "+": (operator.add, operator.add),
    "-": (operator.sub, operator.sub),
    "*": (operator.mul, operator.mul),
    "//": (operator.floordiv, _floor_divide),
    "%": (operator.mod, _remainder),
    "/": (None, divide),
    "^": (None, power),
}
NUMBERS = (int, float)


def calculate(sign, left, right):
    """Return `left sign right` of any values. Raises LuaError without names and line where there is none."""
    whole, broken = OPERATORS[sign]
    if whole and type(left) is int and type(right) is int:
        if not right and sign in ("//", "%"):
            raise LuaError("%d %s 0 has no result: integers cannot be divided by zero" % (left, sign))
        return wrap(whole(left, right))
    numbers = to_float(left), to_float(right)
    if None in numbers:
        comment = " (a comment begins with --)" if sign == "//" else ""
        raise LuaError("arithmetic (%s) is not possible with %s%s" % (sign, described(left if numbers[0] is None else right), comment))
    return broken(*numbers)


def described(value):
    """Return what a value is, for an error: "a table", "nil", "a string that is no number"."""
    if isinstance(value, bytes) and to_number(value) is None:
        return "a string that is no number"
    return named(value)


def negative(value):
    """Return -value of any value. Raises LuaError as `calculate` does."""
    if type(value) is int:
        return wrap(-value)
    number = to_float(value)
    if number is None:
        raise LuaError("arithmetic (-) is not possible with %s" % described(value))
    return -number
