"""string.format: values put into a format. Pure.

Sources are the reference manual of Lua 5.3, §6.4, and ISO C's printf for what it leaves to C.
"""

import math
import re

from lsyncd_lite.lua.arguments import text_of
from lsyncd_lite.lua.values import LuaError
from lsyncd_lite.paths import show

_OPTION = re.compile(rb"%(%|([-+ #0]*)([0-9]*)(?:(\.)([0-9]*))?(.?))", re.S)
_MOST = 500  # bytes: more than any number takes with the widths and precisions that are allowed
_BASES = {b"d": b"%d", b"i": b"%d", b"u": b"%d", b"x": b"%x", b"X": b"%X", b"o": b"%o"}
_PREFIXES = {b"x": b"0x", b"X": b"0X"}
_ALLOWED = "allowed: %d %i %u %c %x %X %o %e %E %f %g %G %q %s %%"


def formatted(arguments, meter):
    """Return the bytes that string.format makes of its Arguments."""
    source = arguments.string(1)
    meter.take(len(source))
    parts = []
    position = 1
    at = 0
    for option in _OPTION.finditer(source):
        meter.step()
        parts.append(source[at:option.start()])
        at = option.end()
        if option.group(1) == b"%":
            parts.append(b"%")
            continue
        position += 1
        parts.append(_put(option, arguments, position, meter))
    parts.append(source[at:])
    return b"".join(parts)


def _put(option, arguments, position, meter):
    _all, flags, width, point, precision, kind = option.groups()
    if len(flags) > 5:
        raise LuaError("string.format: repeated flags in %s" % show(option.group()))
    if len(width) > 2 or len(precision or b"") > 2:
        raise LuaError("string.format: width or precision too long in %s: 99 is the most" % show(option.group()))
    make = _KINDS.get(kind)
    if make is None:
        raise LuaError("string.format: invalid option %s; %s" % (show(option.group()), _ALLOWED))
    if position > len(arguments):
        raise arguments.error(position, "no value for %s" % show(option.group()))
    text, is_number = make(kind, flags, None if point is None else int(precision or b"0"), arguments, position, meter)
    if kind == b"q":  # has no width
        return text
    return _padded(text, flags, int(width or b"0"), is_number and b"-" not in flags and b"0" in flags)


def _padded(text, flags, width, with_zeros):
    if with_zeros:
        sign = re.match(rb"[-+ ]?(?:0[xX])?", text).end()
        return text[:sign] + text[sign:].rjust(width - sign, b"0")
    return text.ljust(width) if b"-" in flags else text.rjust(width)


# Each returns the text without its width, and whether zeros may fill that.

def _integer(kind, flags, precision, arguments, position, meter):
    number = arguments.integer(position)
    meter.take(_MOST)
    is_signed = kind in b"di"
    digits = _BASES[kind] % (abs(number) if is_signed else number & 0xFFFFFFFFFFFFFFFF)
    if precision is not None:
        digits = b"" if precision == number == 0 else digits.rjust(precision, b"0")
    if b"#" in flags and kind == b"o" and not digits.startswith(b"0"):
        digits = b"0" + digits
    if b"#" in flags and number:
        digits = _PREFIXES.get(kind, b"") + digits
    return (_sign(number < 0, flags) if is_signed else b"") + digits, precision is None


def _sign(is_negative, flags):
    return b"-" if is_negative else b"+" if b"+" in flags else b" " if b" " in flags else b""


def _float(kind, flags, precision, arguments, position, meter):
    number = float(arguments.number(position))
    meter.take(_MOST)
    is_negative = math.copysign(1, number) < 0
    pattern = b"%" + (b"#" if b"#" in flags else b"") + (b"" if precision is None else b".%d" % precision) + kind
    text = pattern % abs(number)
    return _sign(is_negative, flags) + (text.upper() if kind in b"EG" else text), math.isfinite(number)


def _character(_kind, _flags, _precision, arguments, position, meter):
    meter.take(_MOST)
    return bytes((arguments.integer(position) & 0xFF,)), False


def _string(_kind, _flags, precision, arguments, position, meter):
    text = text_of(arguments.any(position))
    meter.take(_MOST + len(text))
    return text if precision is None else text[:precision], False


def _quoted(_kind, _flags, _precision, arguments, position, meter):
    value = arguments.any(position)
    if isinstance(value, bytes):
        meter.take(50 + 4 * len(value))
        return b'"' + _TO_ESCAPE.sub(_escaped, value) + b'"', False
    if isinstance(value, float):
        raise arguments.error(position, "%q is for strings and integers; use %.14g for a float")
    if value is None or isinstance(value, (bool, int)):
        return text_of(value), False
    raise arguments.error(position, "value has no literal form")


_TO_ESCAPE = re.compile(rb'["\\\n]|[\0-\x1f\x7f](?=([0-9])?)')


def _escaped(match):
    char = match.group()
    if char in b'"\\\n':
        return b"\\" + char
    return (b"\\%03d" if match.group(1) else b"\\%d") % ord(char)


_KINDS = {**dict.fromkeys(_BASES, _integer), **dict.fromkeys((b"e", b"E", b"f", b"g", b"G"), _float), b"c": _character, b"s": _string, b"q": _quoted}
