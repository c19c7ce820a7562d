"""string.format: values put into a format. Pure.

Source is the reference manual of Lua 5.3, §6.4. What it leaves to C, Python does as C does, but
for `#` and for 0 with what is no number.
"""

import re

from lsyncd_lite.lua.arguments import text_of
from lsyncd_lite.lua.values import LuaError
from lsyncd_lite.paths import show

_OPTION = re.compile(rb"%(%|([-+ 0]*[0-9]*(?:\.[0-9]*)?)(.?))", re.S)
_SHAPE = re.compile(rb"[-+ 0]{0,5}[0-9]{0,2}(?:\.[0-9]{0,2})?\Z")
_MOST = 500  # bytes: more than any number takes with the widths and precisions that are allowed
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
    _all, shape, kind = option.groups()
    shown = show(option.group()[:40])
    if not kind or kind not in b"diucxXoeEfgGqs":
        raise LuaError("string.format: invalid option %s; %s" % (shown, _ALLOWED))
    if not _SHAPE.match(shape):
        raise LuaError("string.format: too many flags, or width or precision too long, in %s: 99 is the most" % shown)
    if position > len(arguments):
        raise arguments.error(position, "no value for %s" % shown)
    meter.take(_MOST)
    if kind in b"qs":
        text = text_of(arguments.any(position))
        meter.take(len(text) * (60 if kind == b"q" else 1))
        return (b"%" + shape + b"s") % text if kind == b"s" else _quoted(arguments, position, text)
    if kind in b"eEfgG":
        return (b"%" + shape + kind) % float(arguments.number(position))
    number = arguments.integer(position)
    if kind == b"c":
        return (b"%" + shape + b"c") % (number & 0xFF)
    return (b"%" + shape + kind) % (number if kind in b"di" else number & 0xFFFFFFFFFFFFFFFF)


def _quoted(arguments, position, text):
    value = arguments.any(position)
    if isinstance(value, bytes):
        return b'"' + _TO_ESCAPE.sub(_escaped, value) + b'"'
    if value is None or isinstance(value, (bool, int)):
        return text
    raise arguments.error(position, "%q is for strings and integers")


_TO_ESCAPE = re.compile(rb'["\\\n]|[\0-\x1f\x7f](?=([0-9])?)')


def _escaped(match):
    char = match.group()
    if char in b'"\\\n':
        return b"\\" + char
    return (b"\\%03d" if match.group(1) else b"\\%d") % ord(char)
