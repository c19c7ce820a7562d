"""Functions of Lua: what each returns, what it says of arguments that do not fit, what it costs; what is not there names the way out."""

import math
import random

import pytest

from lsyncd_lite.lua import library
from lsyncd_lite.lua.values import LuaError, Meter, Table, TooMuch


class Machine:
    """Stands in for the evaluator."""

    def __init__(self, steps=1000000, room=64 << 20):
        self.meter = Meter(steps, room)
        self.line = 7

    def call(self, function, arguments):
        if not callable(function):
            raise LuaError("cannot be called")
        return function(self, *arguments)


SAID = []
GLOBALS = library.globals_table({b"HOME": b"/root", b"EMPTY": b""}.get, lambda words, line: SAID.append((words, line)))
NAN = math.nan


def member(name):
    value = GLOBALS
    for part in name.split("."):
        value = value.get(part.encode())
    return value


def call(name, *arguments, machine=None):
    return member(name)(machine or Machine(), *arguments)


def words_of(name, *arguments):
    with pytest.raises(LuaError) as raised:
        call(name, *arguments)
    assert raised.value.line is None
    return raised.value.words


def table(*values, **fields):
    made = Table()
    for key, value in [*enumerate(values, 1), *((name.encode(), value) for name, value in fields.items())]:
        made.set(key, value, 1)
    return made


def plain(value):
    return dict(value.items()) if isinstance(value, Table) else value


def returns(function):
    """Return a function of Lua that returns one value."""
    return lambda _machine, *arguments: (function(*arguments),)


@pytest.mark.parametrize("name, arguments, expected", [
    ("type", (None,), (b"nil",)), ("type", (True,), (b"boolean",)), ("type", (1.5,), (b"number",)), ("type", (b"",), (b"string",)), ("type", (Table(),), (b"table",)),
    ("type", (print,), (b"function",)),
    ("tostring", (None,), (b"nil",)), ("tostring", (False,), (b"false",)), ("tostring", (10,), (b"10",)), ("tostring", (10.0,), (b"10.0",)), ("tostring", (1e15,),
    (b"1e+15",)), ("tostring", (b"\xff",), (b"\xff",)),
    ("tostring", (Table(),), (b"table",)), ("tostring", (print,), (b"function",)), ("tostring", (math.inf,), (b"inf",)),
    ("tonumber", (b"10",), (10,)), ("tonumber", (b" 0x10 ",), (16,)), ("tonumber", (b"1e1",), (10.0,)), ("tonumber", (b"x",), (None,)), ("tonumber", (5,), (5,)),
    ("tonumber", (None,), (None,)), ("tonumber", (True,), (None,)),
    ("tonumber", (Table(),), (None,)), ("tonumber", (b"ff", 16), (255,)), ("tonumber", (b"-ZZ", 36), (-1295,)), ("tonumber", (b"8", 8), (None,)),
    ("tonumber", (b"", 8), (None,)), ("tonumber", (b"7", b"8"), (7,)),
    ("select", (b"#",), (0,)), ("select", (b"#", None, None), (2,)), ("select", (2, 1, 2, 3), (2, 3)), ("select", (-1, 1, 2), (2,)), ("select", (5, 1), ()),
    ("assert", (0,), (0,)), ("assert", (b"", 5), (b"", 5)), ("os.getenv", (b"HOME",), (b"/root",)), ("os.getenv", (b"EMPTY",),
    (b"",)), ("os.getenv", (b"NOPE",), (None,)),


    ("next", (Table(),), (None,)), ("next", (table(5),), (1, 5)), ("next", (table(5), 1), (None,)),
    ("next", (table(5, x=6), 1), (b"x", 6)),
    ("unpack", (table(1, 2, 3),), (1, 2, 3)), ("table.unpack", (table(1, 2, 3), 2), (2, 3)), ("table.unpack", (table(1), 1, 3), (1, None, None)),
    ("table.unpack", (Table(), 2, 1), ()),
    ("table.concat", (table(1, 2.5, b"x"), b", "), (b"1, 2.5, x",)), ("table.concat", (Table(),), (b"",)), ("table.concat", (table(b"a", b"b", b"c"), b"-", 2, 3),
    (b"b-c",)), ("table.concat", (table(1, 2), 0), (b"102",)),
    ("string.len", (b"a\0b",), (3,)), ("string.len", (12,), (2,)), ("string.upper", (b"a\xe9z",), (b"A\xe9Z",)), ("string.lower", (b"AZ",), (b"az",)),
    ("string.reverse", (b"abc",), (b"cba",)),
    ("string.rep", (b"ab", 3), (b"ababab",)), ("string.rep", (b"ab", 2, b","), (b"ab,ab",)), ("string.rep", (b"x", 0), (b"",)), ("string.rep", (b"x", -1), (b"",)),
    ("string.rep", (b"", 1 << 60), (b"",)), ("string.rep", (5, b"2"), (b"55",)),
    ("string.sub", (b"abc", 2), (b"bc",)), ("string.sub", (b"abc", -2), (b"bc",)), ("string.sub", (b"abc", 0), (b"abc",)), ("string.sub", (b"abc", 2, 2), (b"b",)),
    ("string.sub", (b"abc", 3, 2), (b"",)),
    ("string.sub", (b"abc", -100, 1 << 62), (b"abc",)), ("string.sub", (b"abc", 1, -2), (b"ab",)), ("string.sub", (b"abc", 4), (b"",)), ("string.sub", (b"abc", 1.0, b"2"),
    (b"ab",)),
    ("string.byte", (b"a",), (97,)), ("string.byte", (b"abc", 1, -1), (97, 98, 99)), ("string.byte", (b"abc", 10), ()), ("string.byte", (b"\xff", -1), (255,)),
    ("string.char", (), (b"",)), ("string.char", (72, b"105"), (b"Hi",)),
    ("string.find", (b"a.c", b".", 1, True), (2, 2)), ("string.find", (b"a.c", b"."), (1, 1)), ("string.find", (b"abc", b"b", 3), (None,)),
    ("string.find", (b"abc", b"", 4), (4, 3)), ("string.find", (b"abc", b"", 5), (None,)),
    ("string.find", (b"abc", b"(b)()"), (2, 2, b"b", 3)), ("string.find", (b"abc", b"c", -1), (3, 3)), ("string.find", (b"a+b", b"+", 1, 0), (2, 2)),
    ("string.find", (b"a)", b")"), (2, 2)), ("string.find", (b"abc", b"x", 1, True), (None,)),
    ("string.match", (b"key = value", b"(%w+)%s*=%s*(%w+)"), (b"key", b"value")), ("string.match", (b"abc", b"%d"), (None,)), ("string.match", (b"abc", b"b"), (b"b",)),
    ("string.match", (b"abc", b"()c"), (3,)),
    ("string.gsub", (b"abc", b"", b"-"), (b"-a-b-c-", 4)), ("string.gsub", (b"abc", b"%w", b"%0%0", 2), (b"aabbc", 2)), ("string.gsub", (b"a b", b"(%w) (%w)", b"%2 %1"),
    (b"b a", 1)), ("string.gsub", (b"abc", b"^a", b""), (b"bc", 1)),
    ("string.gsub", (b"abc", b"b", b"%%"), (b"a%c", 1)), ("string.gsub", (b"abc", b"b", b"%%%0%%0"), (b"a%b%0c", 1)), ("string.gsub", (b"abc", b".", table(a=1, b=False)),
    (b"1bc", 3)), ("string.gsub", (b"abc", b"x", Table()), (b"abc", 0)),
    ("string.gsub", (b"ab", b".", returns(lambda char: {b"a": b"1"}.get(char))), (b"1b", 2)), ("string.gsub", (b"ab", b"(.)(.)", returns(lambda one, two: two + one)),
    (b"ba", 1)), ("string.gsub", (b"ab", b"a", lambda _machine, *_: ()), (b"ab", 1)),
    ("string.gsub", (b"ab", b"()", 5), (b"5a5b5", 3)), ("string.gsub", (b"hello world", b"o*", b"x"), (b"xhxexlxlx xwxrxlxdx", 10)), ("string.gsub", (b"abc", b"b", b"x", 0),
    (b"abc", 0)), ("string.gsub", (b"abc", b".", b"x", -1), (b"abc", 0)),
    ("string.format", (b"x",), (b"x",)), ("string.format", (b"%d %s%%", 3.0, None), (b"3 nil%",)), ("string.format", (b"%5.2f|%-5d|%05d", 3.14159, 42, -3),
    (b" 3.14|42   |-0003",)),
    ("string.format", (b"%q", b'a"b\\c\nd\0e\r1'), (b'"a\\"b\\\\c\\\nd\\0e\\0131"',)), ("string.format", (b"%-5s|%5s|%.2s", b"ab", True, b"abc"), (b"ab   | true|ab",)),
    ("string.format", (b"%c%c", 72, 105), (b"Hi",)),
    ("string.format", (b"%s %s", Table(), print), (b"table function",)), ("string.format", (b"%g %e", 1e20, 1), (b"1e+20 1.000000e+00",)),
    ("string.format", (b"%i", b"10"), (b"10",)),
    ("string.format", (b"%u", -1), (b"18446744073709551615",)), ("string.format", (b"%+d|% d", 1, 1), (b"+1| 1",)), ("string.format", (b"%q", 5), (b"5",)),
    ("string.format", (b"%5.2q", b"abc"), (b'"abc"',)),
    ("math.floor", (3.7,), (3,)), ("math.floor", (-3.5,), (-4,)), ("math.floor", (b"2.5",), (2,)), ("math.floor", (1e300,), (1e300,)), ("math.ceil", (3.2,), (4,)),
    ("math.floor", (math.inf,), (math.inf,)), ("math.max", (1, 2.5), (2.5,)),
    ("math.min", (3, 1, 2), (1,)), ("math.abs", (-5,), (5,)), ("math.abs", (-1 << 63,), (-1 << 63,)),




])
def test_what_a_function_returns(name, arguments, expected):
    found = call(name, *arguments)
    assert found == expected and list(map(type, found)) == list(map(type, expected))


def test_what_is_no_function():
    assert member("math.huge") == math.inf and member("math.pi") == math.pi and member("math.maxinteger") == 2 ** 63 - 1 and member("math.mininteger") == -2 ** 63
    assert member("_VERSION") == b"Lua 5.3" and member("_G") is GLOBALS and member("package.path") == b"" and member("math.nope") is None and member("nope") is None


def test_what_is_not_a_number_stays_so():
    assert all(found != found for name in ("floor", "ceil", "abs") for found in call("math." + name, NAN))


@pytest.mark.parametrize("name, arguments, words", [
    ("string.rep", (None, 5), "bad argument #1 to 'string.rep' (string expected, got nil)"), ("string.rep", (b"x",), "#2 to 'string.rep' (number expected, got no value)"),
    ("string.rep", (b"x", b"y"), "(number expected, got string)"),
    ("string.rep", (b"x", 1.5), "number has no integer representation"), ("string.upper", (True,), "(string expected, got boolean)"), ("string.upper", (), "got no value"),
    ("string.find", (b"x", Table()), "#2 to 'string.find' (string expected, got table)"),
    ("string.char", (256,), "0 to 255"), ("string.char", (-1,), "0 to 255"),
    ("string.gsub", (b"x", b"x"), "#3 to 'string.gsub' (string, function or table expected, got no value)"), ("string.gsub", (b"x", b"x", True), "got boolean"),
    ("string.gsub", (b"x", b"x", b"%"), "%%"), ("string.gsub", (b"x", b"x", b"%a"), "%0 to %9"), ("string.gsub", (b"x", b"x", b"%2"), "%2"),
    ("string.gsub", (b"x", b"x", table(x=True)), "not a boolean"),
    ("string.gsub", (b"x", b"x", returns(lambda _: Table())), "not a table"), ("string.match", (b"x", b"[x"), "missing ']'"), ("string.format", (), "got no value"),
    ("string.format", (b"%d",), "#2 to 'string.format' (no value for %d)"),
    ("string.format", (b"%d", b"x"), "(number expected, got string)"), ("string.format", (b"%d", 1.5), "no integer"),
    ("string.format", (b"%y", 1), "invalid option %y; allowed: %d"), ("string.format", (b"%", 1), "invalid option %;"),
    ("string.format", (b"%\x1b", 1), "invalid option %\\x1b"), ("string.format", (b"%a", 1), "invalid option %a"), ("string.format", (b"%100d", 1), "99 is the most"),
    ("string.format", (b"%.100f", 1), "99 is the most"), ("string.format", (b"%------d", 1), "too many flags"),
    ("string.format", (b"%q", 1.5), "strings and integers"), ("string.format", (b"%q", Table()), "strings and integers"), ("string.format", (b"%s",), "no value for %s"),
    ("table.insert", (None, 1), "(table expected, got nil)"), ("table.insert", (Table(),), "wrong number of arguments"),
    ("table.insert", (Table(), 1, 2, 3), "wrong number of arguments"), ("table.insert", (Table(), 5, 1), "1 to 1 are possible"),
    ("table.remove", (table(1), 5), "1 to 2 are possible"), ("table.concat", (table(1, Table()),), "value 2 is a table"),
    ("table.concat", (table(1), b"", 1, 2), "value 2 is nil"), ("table.sort", (table(1, b"x"),), "cannot be compared"),
    ("table.sort", (table(2, 1), 5), "(function expected, got number)"), ("table.sort", (table(Table(), Table()),), "a table cannot be compared with a table"),
    ("pairs", (None,), "#1 to 'pairs' (table expected, got nil)"), ("ipairs", (), "got no value"),
    ("next", (Table(), b"x\n"), "the table has no x\\n"), ("select", (0,), "out of range"), ("select", (-5, 1), "out of range"), ("select", (b"x",), "number expected"),
    ("tonumber", (), "value expected"), ("tonumber", (5, 10), "string expected, got number"),
    ("tonumber", (b"1", 99), "2 to 36"),
    ("setmetatable", (Table(), Table()), "metatables"),
    ("math.max", (), "value expected"), ("math.max", (1, b"2"), "cannot be compared"), ("math.floor", (None,), "(number expected, got nil)"),
    ("math.floor", (True,), "got boolean"),
    ("assert", (None,), "assertion failed!"), ("assert", (False, b"why\n"), "why\\n"), ("assert", (), "value expected"), ("error", (b"no \x1b",), "no \\x1b"),
    ("error", (b"",), "a string"), ("error", (), "nil"), ("error", (Table(),), "a table"), ("os.getenv", (), "got no value"),
])
def test_what_is_said_of_arguments_that_do_not_fit(name, arguments, words):
    assert words in words_of(name, *arguments)


@pytest.mark.parametrize("name, way_out", [
    ("io.open", "put the text here"), ("io.lines", "${file:PATH}"), ("io.read", "put the text here"), ("io.popen", 'os.getenv("NAME")'), ("os.execute", "action"),
    ("io.write", "print"), ("require", "one file holds all"), ("dofile", "one file"),
    ("loadfile", "one file"), ("load", "write it here"), ("loadstring", "write it here"), ("setmetatable", "function"), ("getmetatable", "function"),
    ("coroutine.create", "loop"), ("coroutine.wrap", "loop"), ("coroutine.yield", "loop"),
    ("os.exit", "error("),
    ("os.remove", "put the text here"), ("os.rename", "put the text here"), ("os.tmpname", "put the text here"),
    ("os.date", "the same at each reading"), ("os.time", "the same at each reading"), ("os.clock", "the same at each reading"), ("math.random", "the same at each reading"),
    ("math.randomseed", "the same at each reading"),
    ("io.stderr.write", "print"), ("io.stdout.write", "print"),
])
def test_what_is_not_there_names_the_way_out(name, way_out):
    words = words_of(name, b"x", Table(), None)
    assert words.startswith(name.replace("in.", "in:").replace("err.", "err:").replace("out.", "out:") + " is not there: ") and way_out in words and "\n" not in words


def test_print_says_a_line_at_a_time_where_it_was_called():
    del SAID[:]
    assert call("print", b"a", 1, None, Table(), True) == () and call("print") == () and call("print", b"x\ny\x1b\xff") == ()
    assert SAID == [("a 1 nil table true", 7), ("", 7), ("x", 7), ("y\\x1b\\xff", 7)]


def test_insert_and_remove_move_values_with_their_lines():
    made = table(b"a", b"b")
    assert call("table.insert", made, b"c") == () and call("table.insert", made, 1, b"z") == ()
    assert plain(made) == {1: b"z", 2: b"a", 3: b"b", 4: b"c"} and [made.line_of(index) for index in (1, 2, 3, 4)] == [7, 1, 1, 7]
    assert call("table.remove", made, 2) == (b"a",) and call("table.remove", made) == (b"c",) and plain(made) == {1: b"z", 2: b"b"}
    assert call("table.remove", made, 3) == (None,) and call("table.remove", Table()) == (None,) and plain(made) == {1: b"z", 2: b"b"}
    assert call("table.insert", made, None) == () and len(made) == 2


def test_a_list_is_sorted_with_its_lines():
    made = Table()
    for line, value in enumerate((3, 1.5, 2), 1):
        made.set(line, value, 10 + line)
    assert call("table.sort", made) == () and plain(made) == {1: 1.5, 2: 2, 3: 3} and [made.line_of(index) for index in (1, 2, 3)] == [12, 13, 11]
    call("table.sort", made, returns(lambda left, right: left > right))
    assert plain(made) == {1: 3, 2: 2, 3: 1.5}
    texts = table(b"b", b"B", b"\xff", b"a")
    call("table.sort", texts)
    assert plain(texts) == {1: b"B", 2: b"a", 3: b"b", 4: b"\xff"}


@pytest.mark.parametrize("answer", [True, False, None, 0, "random"])
def test_a_function_that_gives_no_order_does_no_harm(answer):
    chance = random.Random(1)
    made = table(*range(100))
    call("table.sort", made, returns(lambda left, right: chance.random() < 0.5 if answer == "random" else answer))
    assert sorted(plain(made).values()) == list(range(100))


def test_a_function_that_empties_what_is_sorted_does_no_harm():
    made = table(3, 1, 2)

    def less(machine, left, right):
        call("table.remove", made)
        return (left < right,)
    call("table.sort", made, less)
    assert sorted(plain(made).values()) == [1, 2, 3]


def walked(name, given):
    following, state, control = call(name, given)
    found = []
    while True:
        control, *value = following(Machine(), state, control)
        if control is None:
            return found
        found.append((control, *value))


def test_walks_through_a_table_in_order():
    given = table(5, 6, x=7)
    given.set(True, 8)
    given.set(1.5, 9)
    assert walked("pairs", given) == [(1, 5), (2, 6), (b"x", 7), (True, 8), (1.5, 9)] and walked("ipairs", given) == [(1, 5), (2, 6)]
    assert walked("pairs", Table()) == walked("ipairs", Table()) == []


def test_what_is_taken_away_during_a_walk_is_left_out():
    given = table(1, 2, x=3, y=4)
    following, _state, _none = call("pairs", given)
    assert following(Machine()) == (1, 1)
    given.set(b"x", None)
    given.set(b"new", 5)
    given.set(2, 20)
    assert [following(Machine()) for _ in range(3)] == [(2, 20), (b"y", 4), (None,)]


def test_next_finds_its_way_by_keys():
    given = table(5, x=6)
    given.set(True, 7)
    assert call("next", given, b"x") == (True, 7) and call("next", given, True) == (None,) and call("next", given, 1.0) == (b"x", 6)


def test_gmatch_finds_one_after_the_other():
    def all_of(subject, pattern):
        following, = call("string.gmatch", subject, pattern)
        found = list(iter(lambda: following(Machine()), (None,)))
        assert following(Machine()) == (None,)
        return found
    assert all_of(b"a=1, b=2", b"(%w+)=(%w+)") == [(b"a", b"1"), (b"b", b"2")] and all_of(b"one two", b"%a+") == [(b"one",), (b"two",)]
    assert all_of(b"hello world", b"%a*") == [(b"hello",), (b"world",)] and all_of(b"ab", b"()") == [(1,), (2,), (3,)] and all_of(b"aa", b"^a") == []


def test_pcall_returns_what_was_raised():
    assert call("pcall", member("type"), 1) == (True, b"number") and call("pcall", member("error"), b"x\n") == (False, b"x\n")
    made = Table()
    assert call("pcall", member("error"), made) == (False, made) and call("pcall", member("error")) == (False, None)
    assert call("pcall", member("string.rep"))[1].startswith(b"bad argument #1") and call("pcall", None) == (False, b"cannot be called")


def test_pcall_does_not_catch_what_takes_too_much():
    def endless(machine, *_arguments):
        while True:
            machine.meter.step()
    with pytest.raises(TooMuch, match="steps"):
        call("pcall", endless)
    with pytest.raises(TooMuch, match="memory"):
        call("pcall", member("string.rep"), b"x", 1 << 40)


@pytest.mark.parametrize("name, arguments", [
    ("string.rep", (b"x", 1 << 62)), ("string.rep", (b"", 1 << 40, b",")), ("string.rep", (b"x" * 1000, 100000)), ("table.unpack", (Table(), 1, 1 << 62)),
    ("table.unpack", (Table(), -1 << 63, (1 << 63) - 1)),
    ("table.concat", (table(*[b"x" * 1000000] * 99),)), ("string.gsub", (b"x" * 2000, b"x", b"y" * 100000)), ("string.gsub", (b"x" * 100000, b"x*", b"%0" * 10000)),
    ("string.format", (b"%99d" * 200000, *[1] * 200000)),
    ("string.format", (b"%s" * 100, *[b"x" * 1000000] * 100)), ("string.gsub", (b"x" * 600000, b"x", b"xy")),
    ("string.find", (b"a" * 3000, b".-.-.-.-x")), ("string.find", (b"a" * 999999, b"a" * 99999 + b"b", 1, True)),
    ("string.match", (b"a", b"a" * 1000000)), ("table.insert", (table(*range(200000)), 1, 1)), ("table.remove", (table(*range(700000)), 1)),
    ("table.sort", (table(*range(700000)),)),
])
def test_what_would_grow_without_end_is_not_made(name, arguments):
    machine = Machine()
    with pytest.raises(TooMuch):
        for _ in range(2000):
            call(name, *arguments, machine=machine)


def test_text_is_the_same_at_each_reading():
    again = library.globals_table(lambda name: None, lambda words, line: None)
    assert call("tostring", GLOBALS) == call("tostring", again) and call("tostring", member("print")) == call("tostring", again.get(b"print"))


def test_two_readings_share_nothing():
    again = library.globals_table(lambda name: None, lambda words, line: None)
    again.get(b"string").set(b"rep", None)
    again.set(b"print", 5)
    assert callable(member("string.rep")) and callable(member("print"))


def all_functions():
    for name, value in GLOBALS.items():
        if callable(value):
            yield name.decode()
        elif isinstance(value, Table) and value is not GLOBALS:
            yield from ("%s.%s" % (name.decode(), field.decode()) for field, function in value.items() if callable(function))


@pytest.mark.parametrize("name", sorted(all_functions()))
def test_whatever_is_given_nothing_but_a_lua_error_comes_out(name):
    chance = random.Random(name)
    made = [lambda: None, lambda: True, lambda: False, lambda: 0, lambda: -1, lambda: 1, lambda: 3, lambda: 2.5, lambda: NAN, lambda: math.inf, lambda: -math.inf,
            lambda: -0.0, lambda: 1e300, lambda: (1 << 63) - 1, lambda: -1 << 63,
            lambda: b"", lambda: b"abc", lambda: b"10", lambda: b"0x", lambda: b"%d %s %q", lambda: b"(%w)%1", lambda: b"[^%", lambda: b"\xff\0", lambda: b"%1%%",
            lambda: b"#", lambda: Table(), lambda: table(3, 1, 2), lambda: table(b"a", x=b"b"),
            lambda: table(1, b"x", Table()), lambda: member("type"), lambda: member("error"), lambda: member("string.upper"), lambda: returns(lambda *_: True),
            lambda: lambda _machine, *_: ()]
    for _ in range(400):
        machine = Machine(20000, 1 << 20)
        try:
            results = member(name)(machine, *(chance.choice(made)() for _ in range(chance.randint(0, 5))))
        except LuaError as error:
            assert error.words.isprintable() and error.words
        else:
            assert isinstance(results, tuple) and all(value is None or type(value) in (bool, int, float, bytes, Table) or callable(value) for value in results)
            assert all(-1 << 63 <= value < 1 << 63 for value in results if type(value) is int)
