"""The evaluator: what operators do with what, what errors say, and what ends what does not end."""

import math
import time

import pytest

from lsyncd_lite.lua.evaluator import Machine
from lsyncd_lite.lua.parser import parse
from lsyncd_lite.lua.values import LuaError, Meter, Table, type_name


def globals_table():
    """Return a few functions in place of the library."""
    def pairs_of_list(_machine, table=None):
        if not isinstance(table, Table):
            raise LuaError("bad argument #1 to 'ipairs' (table expected)")

        def step(_machine, table, index):
            value = table.get(index + 1)
            return (None,) if value is None else (index + 1, value)
        return step, table, 0

    strings, globals_ = Table(), Table()
    strings.set(b"upper", lambda machine, text: (text.upper(),))
    strings.set(b"rep", lambda machine, text, count: (text * count,))
    globals_.set(b"string", strings)
    globals_.set(b"ipairs", pairs_of_list)
    globals_.set(b"line", lambda machine: (machine.line,))
    globals_.set(b"apply", lambda machine, function, *values: machine.call(function, values))
    return globals_


def run(text, globals_=None, unknown=None, meter=None):
    """Return what a program returns."""
    chunk = parse(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
    assert not chunk.errors, chunk.errors
    machine = Machine(meter or Meter(), unknown or (lambda name, line: None))
    return machine.run(chunk, globals_table() if globals_ is None else globals_)


def error(text, **arguments):
    """Return (line, words) of the error of a program."""
    with pytest.raises(LuaError) as caught:
        run(text, **arguments)
    return caught.value.line, caught.value.words


# Operators, by the types of what they are given. Rows: left; columns: right.

VALUES = {"nil": "nil", "boolean": "true", "integer": "7", "float": "2.5", "whole float": "2.0", "numeral": '"3"', "string": '"abc"', "table": "{}", "function": "function() end"}
ALL = list(VALUES)
NUMBERS = ["integer", "float", "whole float", "numeral"]
EXPECTED = {  # operator → ({left: results for NUMBERS as right}, …); what is not here is an error
    "+": {"integer": [14, 9.5, 9.0, 10.0], "float": [9.5, 5.0, 4.5, 5.5], "whole float": [9.0, 4.5, 4.0, 5.0], "numeral": [10.0, 5.5, 5.0, 6.0]},
    "-": {"integer": [0, 4.5, 5.0, 4.0], "float": [-4.5, 0.0, 0.5, -0.5], "whole float": [-5.0, -0.5, 0.0, -1.0], "numeral": [-4.0, 0.5, 1.0, 0.0]},
    "*": {"integer": [49, 17.5, 14.0, 21.0], "float": [17.5, 6.25, 5.0, 7.5], "whole float": [14.0, 5.0, 4.0, 6.0], "numeral": [21.0, 7.5, 6.0, 9.0]},
    "/": {"integer": [1.0, 2.8, 3.5, 7 / 3], "float": [2.5 / 7, 1.0, 1.25, 2.5 / 3], "whole float": [2 / 7, 0.8, 1.0, 2 / 3], "numeral": [3 / 7, 1.2, 1.5, 1.0]},
    "//": {"integer": [1, 2.0, 3.0, 2.0], "float": [0.0, 1.0, 1.0, 0.0], "whole float": [0.0, 0.0, 1.0, 0.0], "numeral": [0.0, 1.0, 1.0, 1.0]},
    "%": {"integer": [0, 2.0, 1.0, 1.0], "float": [2.5, 0.0, 0.5, 2.5], "whole float": [2.0, 2.0, 0.0, 2.0], "numeral": [3.0, 0.5, 1.0, 0.0]},
    "^": {"integer": [823543.0, 7 ** 2.5, 49.0, 343.0], "float": [2.5 ** 7, 2.5 ** 2.5, 6.25, 15.625], "whole float": [128.0, 2 ** 2.5, 4.0, 8.0],
          "numeral": [2187.0, 3 ** 2.5, 9.0, 27.0]},
}


@pytest.mark.parametrize("sign", EXPECTED)
@pytest.mark.parametrize("left", ALL)
@pytest.mark.parametrize("right", ALL)
def test_arithmetic(sign, left, right):
    text = "return %s %s %s" % (VALUES[left], sign, VALUES[right])
    expected = EXPECTED[sign].get(left, [None] * 4)[NUMBERS.index(right)] if right in NUMBERS else None
    if expected is None:
        line, words = error(text)
        assert line == 1 and words.startswith("arithmetic (%s) is not possible with " % sign)
    else:
        (value,) = run(text)
        assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize("left", ALL)
@pytest.mark.parametrize("right", ALL)
def test_concatenation(left, right):
    texts = {"integer": b"7", "float": b"2.5", "whole float": b"2.0", "numeral": b"3", "string": b"abc"}
    text = "return %s .. %s" % (VALUES[left], VALUES[right])
    if left in texts and right in texts:
        assert run(text) == (texts[left] + texts[right],)
    else:
        wrong = left if left not in texts else right
        assert error(text) == (1, ".. is not possible with %s" % (wrong if wrong == "nil" else "a " + wrong))


@pytest.mark.parametrize("left", ALL)
@pytest.mark.parametrize("right", ALL)
def test_order(left, right):
    numbers = {"integer": 7, "float": 2.5, "whole float": 2.0}
    strings = {"numeral": b"3", "string": b"abc"}
    for sign, compare in {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}.items():
        text = "return %s %s %s" % (VALUES[left], sign, VALUES[right])
        for values in numbers, strings:
            if left in values and right in values:
                assert run(text) == (compare(values[left], values[right]),)
                break
        else:
            line, words = error(text)
            assert line == 1 and " cannot be compared with " in words


@pytest.mark.parametrize("left", ALL)
@pytest.mark.parametrize("right", ALL)
def test_equality(left, right):
    same = left == right and left not in ("table", "function")
    assert run("return %s == %s, %s ~= %s" % ((VALUES[left], VALUES[right]) * 2)) == (same, not same)


@pytest.mark.parametrize("kind", ALL)
def test_single_operands(kind):
    value = VALUES[kind]
    assert run("return not %s, not not %s" % (value, value)) == (kind == "nil", kind != "nil")
    for sign, expected in {"-": {"integer": -7, "float": -2.5, "whole float": -2.0, "numeral": -3.0}, "#": {"numeral": 1, "string": 3, "table": 0}}.items():
        if kind in expected:
            (found,) = run("return %s %s" % (sign, value))
            assert found == expected[kind] and type(found) is type(expected[kind])
        else:
            assert error("local x = %s\nreturn %s x" % (value, sign))[0] == 2


@pytest.mark.parametrize("kind", ALL)
def test_and_or(kind):
    is_true = kind != "nil"
    assert run("return (%s and 1) == 1, (%s or 1) == 1" % (VALUES[kind], VALUES[kind])) == (is_true, not is_true)
    assert run("return false and error_(), true or error_()") == (False, True)


HUGE = [
    ("0x7fffffffffffffff + 1", -2 ** 63), ("-0x7fffffffffffffff - 2", 2 ** 63 - 1), ("0x7fffffffffffffff * 2", -2), ("(-9223372036854775807 - 1) // -1", -2 ** 63),
    ("-(-9223372036854775807 - 1)", -2 ** 63), ("2 ^ 1024", math.inf), ("-(2 ^ 1024)", -math.inf), ("(-2) ^ 1025", -math.inf), ("1e400", math.inf), ("1 / 0", math.inf),
    ("-1 / 0", -math.inf), ("1.0 // 0", math.inf), ("1 // -0.0", -math.inf), ("0 ^ -1", math.inf), ("1e308 * 10", math.inf),
    ("2 ^ 53 == 2 ^ 53 + 1", True), ("9007199254740993 == 2 ^ 53 + 1", False), ("9223372036854775807 < 2 ^ 63", True),
    ("'9223372036854775808' + 0", 2.0 ** 63), ("-7 // 2", -4), ("-7 % 3", 2), ("7 % -3", -2), ("-7.5 % 2", 0.5), ("5 % (1/0)", 5.0),
    ("-5 % (1/0)", math.inf), ("1e15 .. ''", b"1e+15"), ("-0.0 .. ''", b"-0.0"), ("2^63 .. ''", b"9.2233720368548e+18"), ("1/0 .. ''", b"inf"), ("100 // 1e-320", math.inf),
]


@pytest.mark.parametrize("text, value", HUGE)
def test_huge_numbers(text, value):
    (found,) = run("return " + text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text", ["0 / 0", "0.0 // 0", "1 % 0.0", "(1/0) % 2", "(-8) ^ (1 / 3)", "1/0 - 1/0", "0 / 0 * 0"])
def test_no_numbers(text):
    (found,) = run("return " + text)
    assert found != found
    assert run("local x = %s return x == x, x < x, x ~= x, x >= 1" % text) == (False, False, True, False)


# Errors

ERRORS = [
    ("\nlocal a = targetlist.x", 2, "targetlist is nil: it cannot be indexed (field x)"),
    ("local t = {}\nlocal a = t.x.y", 2, "field x of t is nil: it cannot be indexed (field y)"),
    ("local t = {x = {}} t.x.y.z = 1", 1, "field y of field x of t is nil: it has no fields that could be set"),
    ("local t = 5 return t.x", 1, "t is a number: it cannot be indexed (field x)"),
    ("local t = {} return t[1][2]", 1, "a field of t is nil: it cannot be indexed"),
    ("return f().x", 1, "f is nil: it cannot be called"),
    ("local function f() end return f().x", 1, "the result of f is nil: it cannot be indexed (field x)"),
    ("x = 5\n\nx()", 3, "x is a number: it cannot be called"),
    ("local t = {}\nt.x()", 2, "field x of t is nil: it cannot be called"),
    ("local t = {}\nt:x()", 2, "method x of t is nil: it cannot be called"),
    ("local s = 'a'\ns:nothing()", 2, "method nothing of s is nil: it cannot be called"),
    ("local t = {\n x\n {}\n}", 3, "x is nil: it cannot be called (is a comma missing at the end of line 2?)"),
    ('x = {\nrsync { a = 1 } }', 2, "rsync is nil: it cannot be called (is = missing behind it?)"),
    ('x = { source "/srv", y = 1 }', 1, "source is nil: it cannot be called (is = missing behind it?)"),
    ('source "/srv"', 1, "source is nil: it cannot be called"),
    ("x = false // off", 1, "arithmetic (//) is not possible with a boolean (a comment begins with --)"),
    ("x = a.b.c.d.e.f", 1, "a is nil: it cannot be indexed (field b)"),
    ("a = { b = { c = { d = {} } } } x = a.b.c.d.e.f", 1, "field e of field d of field c is nil: it cannot be indexed (field f)"),
    ("(function() return nil end)()()", 1, "a value is nil: it cannot be called"),
    ("for a in targetlist do end", 1, "targetlist is nil: it cannot be looped over"),
    ("local t = {} for a in t do end", 1, "t is a table: it cannot be looped over: write ipairs(t) or pairs(t)"),
    ("for a in {} do end", 1, "a value is a table: it cannot be looped over: write ipairs(…) or pairs(…)"),
    ("for a in ipairs(targetlist) do end", 1, "targetlist is nil: bad argument #1 to 'ipairs' (table expected)"),
    ("local t = {x = 1} for a in ipairs(t.x) do end", 1, "field x of t is a number: bad argument #1 to 'ipairs' (table expected)"),
    ("for a in ipairs() do end", 1, "bad argument #1 to 'ipairs' (table expected)"),
    ("for a in ipairs('a') do end", 1, "bad argument #1 to 'ipairs' (table expected)"),
    ("local a = 1 + delay", 1, "arithmetic (+) is not possible with nil (delay is nil)"),
    ("local t = {} return\n t.x * 2", 2, "arithmetic (*) is not possible with nil (field x of t is nil)"),
    ("local a = 'x' return a - 1", 1, "arithmetic (-) is not possible with a string that is no number (a is a string)"),
    ("local a = {} return -a", 1, "arithmetic (-) is not possible with a table (a is a table)"),
    ("return 1 // 0", 1, "1 // 0 has no result: integers cannot be divided by zero"),
    ("return 1 % 0", 1, "1 % 0 has no result: integers cannot be divided by zero"),

    ("local home\nreturn 'a' ..\nhome", 2, ".. is not possible with nil (home is nil)"),
    ("return {} .. 'a'", 1, ".. is not possible with a table"),
    ("local a = {} return #a.b", 1, "field b of a is nil: it has no length"),
    ("local a return 1 < a", 1, "a number cannot be compared with nil (a is nil)"),
    ("return '1' < 2", 1, "a string cannot be compared with a number"),
    ("for i = 1, 2, 0 do end", 1, "the step of for is 0: the loop would not end"),
    ("for i = 1.0, 2, 0 do end", 1, "the step of for is 0: the loop would not end"),
    ("for i = 1, x do end", 1, "the last value of for must be a number, and is nil"),
    ("for i = {}, 2 do end", 1, "the first value of for must be a number, and is no number"),
    ("local t = {}\nt[nil] = 1", 2, "a table has no place for the key nil"),
    ("local t = {\n[0/0] = 1 }", 2, "a table has no place for the key NaN"),
    ("local function f()\nlocal x = nil + 1\nend\nf()", 2, "arithmetic (+) is not possible with nil"),
    ("local function f() local x = nil + 1 end\napply(f)", 1, "arithmetic (+) is not possible with nil"),
    ("apply(\n5)", 1, "a number cannot be called"),
    ("local t = {['a\\nb'] = {}} return t['a\\nb'].c.d", 1, "field c of field a\\nb of t is nil: it cannot be indexed (field d)"),
]


@pytest.mark.parametrize("text, line, words", ERRORS, ids=[text for text, _line, _words in ERRORS])
def test_errors_name_what_is_wrong(text, line, words):
    assert error(text) == (line, words)


# Loops

@pytest.mark.parametrize("head, values", [
    ("1, 3", [1, 2, 3]), ("3, 1", []), ("3, 1, -1", [3, 2, 1]), ("1, 2.5", [1, 2]), ("1.0, 2", [1.0, 2.0]), ("1, 2, 0.5", [1.0, 1.5, 2.0]), ("2, 1.5, -1", [2]),
    ("9223372036854775806, 9223372036854775807", [2 ** 63 - 2, 2 ** 63 - 1]), ("-9223372036854775807, -9223372036854775807 - 1, -1", [1 - 2 ** 63, -2 ** 63]),
    ("9223372036854775806, 1/0, 5", [2 ** 63 - 2]), ("1, -1/0", []), ("1, 0/0", []), ("0/0, 1", []), ("1, 1/0, 9223372036854775807", [1]), ("'1', 2", [1.0, 2.0]),
    ("1, 2^70, 0x7fffffffffffffff", [1]), ("-1, -2^70, -0x7fffffffffffffff", [-1, -2 ** 63]),
])
def test_numeric_for(head, values):
    (table,) = run("local t = {} for i = %s do t[#t + 1] = i end return t" % head)
    found = [value for _key, value in table.items()]
    assert found == values and list(map(type, found)) == list(map(type, values))


def test_iterators_of_any_kind():
    assert run("local t = '' for i, v in ipairs{'a', 'b'} do t = t .. i .. v end return t") == (b"1a2b",)
    assert run("local n, t = 3, '' for i in function() n = n - 1 if n > 0 then return n end end do t = t .. i end return t") == (b"21",)


def test_each_turn_has_locals_of_its_own():
    assert run("local f = {} for i = 1, 2 do local j = i f[i] = function() i, j = i + 1, j + 10 return i + j end end return f[1](), f[1](), f[2]()") == (13, 24, 15)


# What it costs

ENDLESS = [
    "while true do end", "repeat until false", "for i = 1, 1/0 do end", "for i = 1, 0x7fffffffffffffff do end", "for i = 1e16, 2e16 do end", "for x in function() return 1 end do end",
    "local function f() end while true do f() end", "local t, i = {}, 0 while true do i = i + 1 t[i] = {i} end", "while true do local x = 1 x = function() return x end end",
    "local t = {1} while true do t = {t, t[1] == t, x = t} end", "local s = 'x' for i = 1, 20 do s = s .. s end while true do local x = s .. 'a' == s .. 'b' end",
    "local s = 'x' for i = 1, 22 do s = s .. s end local a, b, t = s .. 'x', s .. 'x', {} t[a] = 1 while true do local x = t[b] end",
    "local s = 'x' for i = 1, 22 do s = s .. s end local a, b, t = s .. 'x', s .. 'x', {} while true do t[b] = a < b end",
    "local t = {} for i = 1, 50000 do t[i] = i end while true do t[1] = nil t[1] = 1 t[50000] = nil t[50000] = 1 end",
    "local s = 'x' while true do s = s .. s end", "local s = 'x' while true do s = s .. 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy' end",
    "local function f(...) return ... end local t = f while true do t = {f(f(1, 2, 3), t)} end",
]


@pytest.mark.parametrize("text", ENDLESS)
def test_what_does_not_end_is_ended(text):
    began = time.process_time()
    line, words = error("\n" + text)
    assert line == 2 and words in ("takes too many steps: a loop that does not end?", "takes too much memory: a table or a string that grows without end?")
    assert time.process_time() - began < 30  # about a second, on a machine with nothing else to do


@pytest.mark.parametrize("text", [
    "local function f(n) return 1 + f(n + 1) end return f(1)", "function f(n) return f(n + 1) end return f(1)", "local t = {} function t:f(n) return 1 + self:f(n) end t:f(1)",
    "local function f() apply(f) end f()", "local function f(n) return " + "{" * 90 + "f(n)" + "}" * 90 + " end f(1)", "local function f(n) " + "if n then " * 90 + "f(n)" + " end" * 90 + " end f(1)",
    "local function f(n) " + "for i = 1, 2 do " * 90 + "f(n)" + " end" * 90 + " end f(1)", "local function f(...) return f(1, ...) end f()", "function f() for x in f do end end f()",
])
def test_what_calls_itself_without_end_is_one_error(text):
    def deeper(frames):
        return deeper(frames - 1) if frames else error("\n" + text)
    assert deeper(100) == (2, "calls itself too deeply: a recursion that does not end?")


def test_a_recursion_that_ends_is_no_error():
    assert run("local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f(200)") == (200,)


def test_long_rows_are_no_error():
    assert run("return #('a'" + " .. 'a'" * 5000 + ")") == (5001,)


# The machine

def test_globals_that_were_never_set_are_told():
    found = []
    run("local a = x\nb = nil\nlocal c = b\nc = (y or {}).z\nx = 1 a = x", unknown=lambda name, line: found.append((name, line)))
    assert found == [(b"x", 1), (b"y", 4)]


def test_tables_remember_lines():
    (table,) = run("local t = {\n1,\na =\n2, [\n'b'] = 3\n}\nt.c = 4\nt[2] = 5\nreturn t")
    assert [table.line, *map(table.line_of, (1, b"a", b"b", b"c", 2))] == [1, 2, 3, 4, 7, 8]
    globals_ = globals_table()
    run("x = 1\ny, z = 2,\n3 function f() end", globals_)
    assert [*map(globals_.line_of, (b"x", b"y", b"z", b"f"))] == [1, 2, 2, 3]


def test_the_library_knows_the_line_of_its_call():
    assert run("local a = line()\nlocal b = {\nline(), line\n() }\nreturn a, b[1], b[2], line()") == (1, 3, 4, 5)


def test_the_methods_of_strings_are_those_of_the_table_that_was_given():
    assert run("return ('a'):upper(), ('ab'):rep(2), ('x').upper == string.upper, #('a'):rep(3)") == (b"A", b"abab", True, 3)
    assert error("return ('a'):upper()", globals_=Table()) == (1, "a value is a string: it cannot be indexed")


def test_errors_of_the_library_get_the_line_of_the_call():
    def fail(_machine, *_values):
        raise LuaError("bad argument #2 to 'fail'")
    globals_ = globals_table()
    globals_.set(b"fail", fail)
    assert error("local x\n\nfail(1)", globals_=globals_) == (3, "bad argument #2 to 'fail'")
    assert error("local x\n\nfail(1, x)", globals_=globals_) == (3, "x is nil: bad argument #2 to 'fail'")
    assert error("\nfor i in fail do end", globals_=globals_) == (2, "bad argument #2 to 'fail'")


def test_what_is_not_read_to_its_end_does_not_run():
    with pytest.raises(LuaError, match="is missing") as caught:
        Machine(Meter(), None).run(parse(b"x = 1\ny = {"), Table())
    assert caught.value.line == 2


# Tables

def test_keys_that_are_equal_are_one():
    (table,) = run("local t = {} t[1] = 'a' t[1.0] = 'b' t[true] = 'c' t['1'] = 'd' t[2^53] = 'e' t[1e300] = 'f' return t")
    assert table.items() == [(1, b"b"), (True, b"c"), (b"1", b"d"), (2 ** 53, b"e"), (1e300, b"f")]
    assert [type(key) for key, _value in table.items()] == [int, bool, bytes, int, float]


@pytest.mark.parametrize("text, border, items", [
    ("{1, nil, 3}", 3, [(1, 1), (3, 3)]), ("{1, 2, nil}", 2, [(1, 1), (2, 2)]), ("{nil, nil}", 0, []), ("{[2] = 'b', 'a'}", 2, [(1, b"a"), (2, b"b")]), ("{[1] = 'a', 'b'}", 1, [(1, b"b")]),
    ("{[3] = 'c', [2] = 'b', [1] = 'a'}", 3, [(1, b"a"), (2, b"b"), (3, b"c")]), ("{x = 1, 2, y = nil}", 1, [(1, 2), (b"x", 1)]), ("{[3] = 'c', nil, nil, 'd'}", 3, [(3, b"d")]),
    ("{[1] = 'a', nil}", 0, []), ("{[2] = 2, nil}", 0, [(2, 2)]),
])
def test_constructors(text, border, items):
    (table,) = run("return " + text)
    assert (len(table), table.items()) == (border, items)


def test_holes():
    (table,) = run("local t = {1, 2, 3, 4} t[2] = nil t[4] = nil t[3] = nil t[3] = 'x' t[2] = 'y' return t")
    assert table.items() == [(1, 1), (2, b"y"), (3, b"x")]
    (table,) = run("local t = {1, 2, 3} t[2] = nil t[3] = nil t[4] = 4 return t")
    assert (len(table), table.items()) == (1, [(1, 1), (4, 4)])


def test_types_have_their_names():
    assert [type_name(value) for value in (None, True, 1, 1.5, b"", Table(), print)] == ["nil", "boolean", "number", "number", "string", "table", "function"]
