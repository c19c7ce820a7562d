"""The globals that a program of Lua begins with; and, for what is not there, the way out.

Nothing here reaches a file, a process, the clock or chance: a configuration means the same
at each reading. Source is the reference manual of Lua 5.3, §6.
"""

from lsyncd_lite.lua import numbers, strings, tables
from lsyncd_lite.lua.arguments import Arguments, is_true, text_of
from lsyncd_lite.lua.arithmetic import to_number, wrap
from lsyncd_lite.lua.values import LuaError, Table, TooMuch, named, type_name
from lsyncd_lite.paths import show, to_bytes

_LONGEST = 1000  # bytes of what error() says, and of a line that is printed
_DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyz"

_FILES = 'files are not read or written by a configuration: put the text here (in an INI file, ${file:PATH} stands for what a file holds)'
_COMMANDS = ('commands do not run while a configuration is read: os.getenv("NAME") is what the environment says (in an INI file, ${NAME});'
             ' what is to run when something changes is an action, a command as a string')
_ONE_FILE = "one file holds all: put here what it would load"
_CODE = "code is not made from text: write it here"
_METATABLES = "tables have no metatables here: write a function that does the same"
_CLOCK = "a configuration means the same at each reading: write the date here, or ask `date` in the command of an action"
_CHANCE = "a configuration means the same at each reading: write the number here"
_END = "a configuration does not end the program: error(\"why\") refuses it"
_WRITING = "use print(…), which goes to the log"

# What is refused: (table or None for a global, names, why and the way out). The names are Lua's, those of older releases too.
_REFUSED = (
    (None, "dofile loadfile require module", _ONE_FILE),
    (None, "load loadstring", _CODE),
    (None, "setmetatable getmetatable", _METATABLES),
    ("io", "open lines read input output tmpfile close", _FILES),
    ("io", "popen", _COMMANDS),
    ("io", "write", _WRITING),
    ("os", "execute", _COMMANDS),
    ("os", "date time clock", _CLOCK),
    ("os", "remove rename tmpname", _FILES),
    ("os", "exit", _END),
    ("math", "random randomseed", _CHANCE),
    ("coroutine", "create resume wrap yield", "write a loop"),
)


class Raised(LuaError):
    """What error() or assert() raised. value: what pcall() returns of it."""

    def __init__(self, value):
        super().__init__(show(value[:_LONGEST]) if isinstance(value, bytes) and value else "error() was called with " + named(value))
        self.value = value


def globals_table(getenv, say):
    """Return the globals as a Table.

    getenv(name: bytes): returns bytes or None; say(words: str, line): gets what is printed, a line at a time.
    """
    members = {"string": strings.FUNCTIONS, "table": tables.FUNCTIONS, "math": numbers.MEMBERS, "io": {}, "os": {b"getenv": _getenv(getenv)},
               "coroutine": {}, "package": {b"path": b"", b"cpath": b""}}
    libraries = {name: _table(fields) for name, fields in members.items()}
    globals_ = _table({**_BASIC, **tables.BASIC, b"print": _print(say), b"_VERSION": b"Lua 5.3"})
    globals_.set(b"_G", globals_)
    for name, library in libraries.items():
        globals_.set(name.encode("ascii"), library)
    for library, names, words in _REFUSED:
        for name in names.split():
            full = library + "." + name if library else name
            (libraries[library] if library else globals_).set(name.encode("ascii"), _refused(full, words))
    for stream in ("stdout", "stderr"):
        libraries["io"].set(stream.encode("ascii"), _table({b"write": _refused("io.%s:write" % stream, _WRITING)}))
    return globals_


def _table(fields):
    table = Table()
    for name, value in fields.items():
        table.set(name, value)
    return table


def _refused(name, words):
    def function(_machine, *_values):
        raise LuaError("%s is not there: %s" % (name, words))
    return function


def _getenv(getenv):
    def function(machine, *values):
        value = getenv(Arguments("os.getenv", values).string(1))
        machine.meter.take(len(value or b""))
        return (value,)
    return function


def _print(say):
    def function(machine, *values):
        texts = [text_of(value) for value in values]
        machine.meter.take(sum(map(len, texts)) + 8 * len(texts))
        for line in b" ".join(texts).split(b"\n"):
            machine.meter.step()
            say(show(line[:_LONGEST]), machine.line)
        return ()
    return function


def _type(_machine, *values):
    return (type_name(Arguments("type", values).any(1)).encode("ascii"),)


def _tostring(_machine, *values):
    return (text_of(Arguments("tostring", values).any(1)),)


def _tonumber(machine, *values):
    arguments = Arguments("tonumber", values)
    value = arguments.any(1)
    if arguments.get(2) is None:
        number = to_number(value) if isinstance(value, bytes) else value
        return (number if type_name(number) == "number" else None,)
    base = arguments.integer(2)
    if not isinstance(value, bytes):
        raise arguments.error(1, "string expected, got %s" % type_name(value))
    if not 2 <= base <= 36:
        raise arguments.error(2, "base out of range: 2 to 36 are possible")
    machine.meter.step(len(value))
    return (_in_base(value.strip(b" \f\n\r\t\v").lower(), base),)


def _in_base(text, base):
    """Return the integer that digits of a base are, as 64 bits hold it, or None."""
    is_negative = text.startswith(b"-")
    digits = [_DIGITS.find(text[at:at + 1]) for at in range(1 if text.startswith((b"-", b"+")) else 0, len(text))]
    if not digits or not all(0 <= digit < base for digit in digits):
        return None
    number = 0
    for digit in digits:
        number = wrap(number * base + digit)
    return wrap(-number) if is_negative else number


def _select(_machine, *values):
    arguments = Arguments("select", values)
    if arguments.get(1) == b"#":
        return (len(values) - 1,)
    number = arguments.integer(1)
    if number < 0:
        number += len(values)
    if number < 1:
        raise arguments.error(1, "index out of range")
    return values[number:]


def _assert(_machine, *values):
    if not is_true(Arguments("assert", values).any(1)):
        raise Raised(values[1]) if len(values) > 1 else LuaError("assertion failed!")
    return values


def _error(_machine, *values):
    raise Raised(values[0] if values else None)


def _pcall(machine, *values):
    Arguments("pcall", values).any(1)
    try:
        return (True, *machine.call(values[0], values[1:]))
    except TooMuch:
        raise
    except LuaError as error:
        return False, error.value if isinstance(error, Raised) else to_bytes(error.words)


_BASIC = {b"type": _type, b"tostring": _tostring, b"tonumber": _tonumber, b"select": _select, b"assert": _assert, b"error": _error, b"pcall": _pcall}
