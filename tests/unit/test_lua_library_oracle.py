"""What lua5.3 itself answers, ours answers, too: patterns, formats, numbers, tables; errors where it has errors."""

import math
import random
import shutil
import subprocess

import pytest

from lsyncd_lite.lua import evaluator, library, parser
from lsyncd_lite.lua.values import LuaError, Meter, type_name

LUA = shutil.which("lua5.3")
pytestmark = pytest.mark.skipif(LUA is None, reason="no lua5.3 to compare with")

# Reads an expression a line, and answers a line each: "error", or its values.
ORACLE = rb"""
local function put(ok, ...)
    if not ok then io.write("error\n") return end
    local texts = {}
    for i = 1, select("#", ...) do
        local v = select(i, ...)
        if type(v) == "string" then
            texts[i] = "s" .. v:gsub("[^%w%p ]", function(c) return ("\\%02x"):format(c:byte()) end)
        elseif math.type(v) == "float" then
            texts[i] = v ~= v and "fnan" or ("f%.17g"):format(v)
        else
            texts[i] = math.type(v) == "integer" and "i" .. v or type(v) == "boolean" and tostring(v) or type(v)
        end
    end
    io.write(table.concat(texts, "\t"), "\n")
end
for line in io.lines() do put(pcall(assert(load("return " .. line)))) end
"""

# What the expressions call besides the library.
PRELUDE = b"""
function all(...) local r = {} for a, b in string.gmatch(...) do r[#r + 1] = tostring(a) .. "," .. tostring(b) end return table.concat(r, ";") end
function try(f, ...) return f(...) end
function with(t, f, ...) local r = {pcall(f, t, ...)} if not r[1] then error("no") end local s = "" for i = 1, 9 do s = s .. tostring(t[i]) .. " " end return s, table.unpack(r, 2) end
function seen(...) local s = "" for k, v in ... do s = s .. tostring(k) .. "=" .. tostring(v) .. " " end return s end
"""


def theirs(lines):
    done = subprocess.run([LUA, "-e", PRELUDE + ORACLE], input=b"\n".join(lines) + b"\n", stdout=subprocess.PIPE, check=True, timeout=120)
    return done.stdout.split(b"\n")[:-1]


def ours(lines):
    globals_ = library.globals_table(lambda name: None, lambda words, line: None)
    evaluator.Machine(Meter(), None).run(parser.parse(PRELUDE), globals_)
    for line in lines:
        try:
            yield b"\t".join(map(shown, evaluator.Machine(Meter(), lambda name, line: None).run(parser.parse(b"return " + line), globals_)))
        except LuaError:
            yield b"error"


def shown(value):
    if isinstance(value, bytes):
        return b"s" + b"".join(b"%c" % byte if 32 <= byte < 127 else b"\\%02x" % byte for byte in value)
    if isinstance(value, float):
        return b"fnan" if math.isnan(value) else b"f%.17g" % value
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return b"i%d" % value if isinstance(value, int) else type_name(value).encode()


def literal(text):
    return b'"' + b"".join(b"\\%03d" % byte if byte in b'"\\' or not 32 <= byte < 127 else bytes((byte,)) for byte in text) + b'"'


def compare(lines):
    answers = theirs(lines)
    assert len(answers) == len(lines) > 10
    different = [(line, answer, own) for line, answer, own in zip(lines, answers, ours(lines)) if answer != own]
    assert not different, "%d of %d: (expression, lua5.3, ours) %r" % (len(different), len(lines), different[:20])


SUBJECTS = [b"", b"a", b"abc", b"hello world", b"THE (quick) fox", b"key = value", b" a, b,c ,", b"/srv/www/./x/", b"2024-01-02", b"((a)(b))c)", b"a.b-c+d%e[f]g]",
            b"\0\1\x7f\x80\xff", b"aaaa", b"a\nb\r\n", b"user@host:/dir", b"0x1F 12.5e3", b"^$*+-?.([%", b"aXbXc"]
PATTERNS = [b"", b"a", b".", b".*", b".-", b".+", b"a?", b"^a", b"^", b"$", b"a$", b"^.-$", b"^$", b"$a", b"a^", b"(a)", b"()", b"(.)(.)", b"()a()", b"((a)(b))",
            b"(.-)=(.*)", b"%s*(.-)%s*$", b"^%s*(.-)%s*$", b"([^,]*),", b"([^/]+)/?", b"%d+", b"(%d+)-(%d+)-(%d+)", b"%a", b"%A", b"%c", b"%C", b"%d", b"%D", b"%g",
            b"%G", b"%l", b"%L", b"%p", b"%P", b"%s", b"%S", b"%u", b"%U", b"%w", b"%W", b"%x", b"%X", b"%z", b"%Z", b"%.", b"%%", b"%q", b"%]", b"[abc]",
            b"[^abc]", b"[a-c]", b"[^a-c]+", b"[%a_][%w_]*", b"[]]", b"[^]]", b"[]-a]", b"[a-]", b"[-a]", b"[a-%z]", b"[%a-z]", b"[%-]", b"[^^]", b"[%]]", b"[a",
            b"[", b"[^", b"[]", b"[^]", b"[%", b"[%]", b"[a%", b"%", b"a%", b"(", b"(a", b")", b"a)", b"(()", b"(a))", b"%1", b"(a)%1", b"(a%1)", b"()%1", b"(.)%1",
            b"%0", b"(a)%2", b"%b()", b"%b(", b"%b", b"%bxx", b"%b()%b()", b"%f[%a]%a+", b"%f[%w]", b"%f[^%w]", b"%f", b"%fa", b"%f[", b"%f[%z]", b"*", b"a**",
            b"**", b"+", b"?", b"-", b"a-b", b"a--", b"^*", b"(*a)", b"()*", b"%b()*", b"%f[a]*", b"(.)*", b"^(^a)", b"[\1-\xff]", b"\0", b"[\0]", b"(.-)(.-)(.-)",
            b"(" * 32 + b")" * 32, b"(" * 33 + b")" * 33, b".-b.-", b"x*", b"X*", b"[b-a]", b"[a-a]", b"[+--]", b"[!-/]", b"a.-$", b".$", b"$$"]


def test_patterns_of_a_table():
    lines = []
    for pattern in map(literal, PATTERNS):
        for subject in map(literal, SUBJECTS):
            lines += [b"string.find(%s, %s)" % (subject, pattern), b"string.match(%s, %s, 2)" % (subject, pattern), b"all(%s, %s)" % (subject, pattern),
                      b'string.gsub(%s, %s, "<%%0|%%1>")' % (subject, pattern)]
    compare(lines)


def test_random_patterns():
    made = random.Random(5)
    pieces = [b"a", b"b", b".", b"%a", b"%d", b"[ab]", b"[^a]", b"[%w]", b"(", b")", b"()", b"%1", b"%2", b"%b()", b"%f[a]", b"*", b"+", b"-", b"?", b"^", b"$",
              b"[", b"]", b"%", b"(", b")", b"1", b"\0"]
    lines = []
    for _ in range(4000):
        pattern = literal(b"".join(made.choice(pieces) for _ in range(made.randint(0, 7))))
        subject = literal(bytes(made.choice(b"aab1()\0") for _ in range(made.randint(0, 12))))
        lines.append(made.choice([b"string.find(%s, %s)", b"string.match(%s, %s, -3)", b"all(%s, %s)", b'string.gsub(%s, %s, "<%%0>")',
                                  b'string.gsub(%s, %s, "%%1%%%%", 2)', b"string.gsub(%s, %s, function(...) return (...) end)",
                                  b"string.gsub(%s, %s, {a = 1, b = false, [1] = 5})"])
                     % (subject, pattern))
    compare(lines)


VALUES = [b"0", b"1", b"-1", b"65", b"255", b"-0.0", b"3.0", b"3.5", b"1e15", b"1e100", b"-1e-7", b"2^53", b"2^63", b"1/0", b"-1/0", b"math.maxinteger",
          b"math.mininteger", b'"10"', b'"0x10"', b'"1e1"', b'"x"', b'""', b"nil", b"true", b"1.5", b"100000", b"123456789", b"2.5"]


def test_formats():
    options = [b"%" + flags + width + precision + kind for flags in (b"", b"-", b"+", b" ", b"0", b"#", b"-0", b"+0", b" 0", b"#0", b"-+ #0") for width in (b"", b"7", b"20")
               for precision in (b"", b".", b".0", b".3") for kind in (b"d", b"i", b"u", b"x", b"X", b"o", b"e", b"E", b"f", b"g", b"G")]
    made = random.Random(6)
    lines = [b"string.format(%s, %s)" % (literal(b"<" + option + b">"), value) for option in options for value in made.sample(VALUES, 4)]
    compare(lines)


def test_formats_of_texts():
    options = [b"%s", b"%5s", b"%-5s", b"%.2s", b"%5.1s", b"%.0s", b"%.s", b"%-10.4s", b"%c", b"%5c", b"%-5c", b"%%", b"%y", b"%", b"%F", b"%5", b"%1$d", b"%ld", b"%100d",
        b"%.100f", b"%99d", b"%.99f", b"%----d",
               b"%-----d", b"%------d", b"%5q", b"%.1q", b"%-q", b"%s%s", b"%d %s", b"%5.5.5d", b"%\0d", b"%*d", b"%n", b"%p", b"% %", b"%5%", b"a%%b", b"", b"%q"]
    texts = [literal(text) for text in (b"", b"abc", b"a\nb", b'"\\', b"\r\n\t", b"\x7f\x80\xff", b"\x015", b"\x01a")]
    compare([b"string.format(%s, %s)" % (literal(option), value) for option in options
             for value in texts + [value for value in VALUES if not option.endswith(b"q") or value in (b"0", b"-1", b"255", b"math.maxinteger", b"nil", b"true", b'"x"')]]
            + [b'string.format("%q", "a\\0b\\0001")', b"string.format()", b"string.format(5)", b'string.format("%d")', b'string.format("%s")', b'string.format("%s %s", 1)',
                b'string.format("x", 1, 2)',
               b'string.format("%5s", ("x"):rep(200))', b'string.format("%d", 3, 4)', b"string.format({})"])


NUMERALS = (b" 10 |0x|0x1p4|0X1P4|1e|1e5|1E+5|1e-5|.5|5.|.|0x.8|0x.p1|0x8.|0xA.8p-1|inf|nan|-nan|1_0||+5|-5|- 5|--5|+-5|5 5|9223372036854775807|"
            b"9223372036854775808|-9223372036854775808|-9223372036854775809|0xffffffffffffffff|0x1ffffffffffffffff|-0xffffffffffffffff|"
            b"00000000000000000000000000000000012|1e400|-1e400|1e-400|-0|-0.0|0x-1|1d5|1f|1.5.5|0b1|1e5.5|\t\n\v\f\r1\t|1\\0|\\0001|0xg|1,5|"
            b"0x1p99999|0x1p-99999"
            ).split(b"|")


def test_texts_that_are_numbers_and_those_that_are_none():
    quoted = [b'"' + text.replace(b"\n", b"\\n").replace(b"\r", b"\\r") + b'"' for text in NUMERALS]
    lines = [pattern % text for text in quoted for pattern in (b"tonumber(%s)", b"tostring(tonumber(%s))", b"math.type(tonumber(%s) or 0)",
        b"string.rep('x', %s)" if b"9" not in text and b"f" not in text and b"e" not in text and b"p" not in text else b"%s", b"#%s")]
    lines += [b'tonumber("%s", %s)' % (text, base) for text in (b"10", b"zz", b"ZZ", b"-ff", b" 7 ", b"8", b"", b"-", b"1.0", b"1e1", b"+5", b"7fffffffffffffffff", b"1 1",
        b"--1", b"0x10", b"- 1")
              for base in (b"2", b"8", b"10", b"16", b"36", b"37", b"1", b"0", b"-2", b"2.5", b'"16"', b"16.0", b"{}")]
    lines += [b"tonumber(%s)" % value for value in VALUES + [b"", b"{}", b"print", b"5, nil", b"nil, 10", b"5, 10"]] + [b"tostring(%s)" % value for value in [*VALUES, b"",
        b"nil, 1"]]
    compare(lines)


def test_strings():
    positions = [b"", b", 0", b", 1", b", 2", b", -1", b", -2", b", -9", b", 9", b", nil", b", 1.0", b", 1.5", b', "2"', b", {}", b", math.maxinteger", b", math.mininteger"]
    calls = [b'"abc"', b'""', b"123", b"1.5", b"nil", b"{}", b"true", b""]
    lines = [b"string.%s(%s%s%s)" % (name, value, first, second) for name in (b"sub",
        b"byte") for value in calls if value for first in positions for second in (positions if value == b'"abc"' else [b"", b", -1"])]
    lines += [b"string.%s(%s)" % (name, value) for name in (b"len", b"lower", b"upper", b"reverse", b"byte", b"sub", b"rep", b"char", b"find", b"match", b"gsub", b"gmatch",
        b"format") for value in calls
              if (name, value) not in ((b"rep", b'""'),)]
    lines += [b'string.%s("abXYz\\200\\0"%s)' % (name, position) for name in (b"lower", b"upper", b"reverse", b"len") for position in positions]
    lines += [b'string.rep("ab"%s%s)' % (count, separator) for count in positions[:-2] for separator in (b"", b', ","', b", 5", b", nil", b", {}")]
    lines += [b"string.char(%s)" % values for values in (b"", b"0", b"255", b"256", b"-1", b"72, 101", b'"72"', b"72.0", b"72.5", b"nil", b"{}")]
    lines += [b'string.find("a.b+c", %s%s%s)' % (pattern, position, plain) for pattern in (b'"."', b'"%%."', b'""', b'"+c"', b'"b"', b'"nope"') for position in positions
              for plain in (b"", b", true", b", false", b", nil", b", 0") if position or not plain]
    lines += [b'string.gsub("abc abc", "%s", %s%s)' % (pattern, new, most) for pattern in (b"b", b"(b)(c)", b"", b"%w+", b"^a", b"nope", b"()")
              for new in (b'"x"', b'"%0%0"', b'"%1"', b'"%2"', b'"%3"', b'"%9"', b'"%"', b'"%%"', b'"%x"', b'"x%%%1"', b'"%%%"', b"5", b"1.5", b"nil", b"true", b"{}",
                  b"{b = 'B', abc = 7}", b"{b = true}", b"{b = false}", b"{b = {}}", b"{3, 4}",
                          b"function(a, b) return b end", b"function() end", b"function() return {} end", b"function() return true end", b"function(a) return a, 5 end",
                          b"string.upper", b"print and error")
              for most in (b"", b", 1", b", 0", b", -1", b", 1.0", b", 1.5", b', "1"', b", nil")]
    compare(lines)


def test_tables():
    lists = [b"{}", b"{5}", b"{5, 6, 7}", b"{'a', 'b', x = 1}", b"{3, 1, 2.5}"]
    lines = [b"with(%s, table.%s%s)" % (table, name, rest) for table in lists for name in (b"insert", b"remove") for rest in
             (b"", b", 1", b", 2", b", 0", b", -1", b", 4", b", 5", b", 1, 'n'", b", 2, 'n'", b", 0, 'n'", b", 4, 'n'", b", 5, 'n'", b", 1, 2, 3", b", '1'", b", '1', 'n'", b", 1.5, 'n'", b", nil, 1", b", nil")
             if (name, rest) != (b"insert", b", nil")]
    lines += [b"table.concat(%s%s)" % (table, rest) for table in [*lists, b"{1, {}}", b"{true}", b"nil", b"5", b""] for rest in
              (b"", b", ','", b", 5", b", nil", b", ',', 2", b", ',', 2, 3", b", ',', 2, 1", b", ',', 0", b", ',', 1, 9", b", {}") if table or not rest]
    lines += [b"%s(%s%s)" % (name, table, rest) for name in (b"table.unpack",) for table in lists for rest in (b"", b", 2", b", 2, 3", b", 0, 4", b", 2, 1", b", -1",
        b", '2'", b", 1.5", b", nil, 2")]
    lines += [b"with(%s, table.sort%s)" % (table, rest) for table in [*lists, b"{'b', 'a', 'B'}", b"{1, 'a'}", b"{{}, {}}", b"{true, false}", b"{9,8,7,6,5,4,3,2,1}"] for rest in
              (b"", b", nil", b", function(a, b) return a > b end", b", function(a, b) error('x') end")]
    lines += [b"table.pack(%s).n" % values for values in (b"", b"1", b"1, nil", b"nil, nil, 3")]
    lines += [b"with(%s, table.move%s)" % (table, rest) for table in lists for rest in (b", 1, 2, 2", b", 2, 3, 1", b", 1, 0, 5", b", 1, 3, 3", b", 1, 2, 1, {}", b", 1",
        b", 1, 1, 'x'")]
    lines += [b"seen(%s(%s))" % (name, table) for name in (b"pairs", b"ipairs") for table in [*lists, b"{1, nil, 3}", b"nil", b"", b"{x = 5}"]
              if (name, table) != (b"ipairs", b"5")] + [b"next({})", b"next({5})", b"next({5}, 1)", b"next({5}, 2)", b"next({x = 1}, 'x')", b"next(nil)", b"next({5}, true)"]
    lines += [b"rawlen(%s)" % value for value in (b"{5}", b"'abc'", b"5", b"nil", b"")] + [b"rawequal(%s)" % value for value in (b"1, 1.0", b"1, true", b"0, false",
        b"'a', 'a'", b"{}, {}", b"1", b"nil, nil", b"print, print")]
    lines += [b"rawget({5}, 1)", b"rawget({5})", b"rawget(5, 1)", b"rawset({}, 1, 2)[1]", b"rawset({}, nil, 2)", b"rawset({}, 0/0, 2)", b"rawset({}, 1)",
        b"rawget({5}, nil)", b"rawset({}, 1, nil)"]
    compare(lines)


def test_numbers():
    lines = [b"math.%s(%s)" % (name, value) for name in (b"floor", b"ceil", b"abs", b"sqrt", b"modf", b"tointeger", b"type", b"max", b"min", b"exp",
        b"log") for value in [*VALUES, b"", b"{}", b"-2.5", b"-3.7", b"0/0"]
             if (name, value) not in ((b"modf", b'"x"'),)]
    lines += [b"math.%s(%s, %s)" % (name, left, right) for name in (b"fmod", b"max", b"min", b"ult") for left in VALUES for right in (b"0", b"1", b"-3", b"3",
        b"2.5", b"-1", b"0.0", b"1/0", b"nil", b'"2"', b"math.mininteger")]
    lines += [b"math.huge", b"-math.huge", b"math.pi", b"math.maxinteger", b"math.mininteger", b"math.max(1, 2, 3.5)", b"math.min(3, 2, 1)", b"math.log(8, 2)",
        b"math.log(100, 10)", b"math.log(0)", b"math.log(-1)"]
    compare(lines)


def test_what_stands_alone():
    compare([b"select(%s)" % values for values in (b"'#'", b"'#', nil, nil", b"1, 'a', 'b'", b"2, 'a', 'b'", b"3, 'a', 'b'", b"-1, 'a', 'b'", b"-2, 'a', 'b'",
        b"-3, 'a', 'b'", b"0, 'a'", b"'2', 'a', 'b'", b"1.5, 'a'", b"'x', 1", b"")]
            + [b"type(%s)" % value for value in [*VALUES, b"", b"{}", b"print", b"nil, 1"]]
            + [b"assert(%s)" % values for values in (b"1, 2", b"nil", b"false", b"nil, 'x'", b"", b"0", b"''", b"false, {}")]
            + [b"pcall(%s)" % values for values in (b"error, {}", b"error, nil", b"error, 5", b"error, true", b"error", b"type, 1", b"math.floor, 2.5", b"nil", b"5", b"",
                b"try, type, nil", b"pcall, error, 7", b"assert, false, 'm'", b"assert, nil, nil", b"error, 'm', 0")
               if values not in (b"nil", b"5")]
            + [b"(pcall(%s))" % values for values in (b"nil", b"5", b"{}", b"string.rep", b"error, 'x'")]
            + [b"xpcall(%s)" % values for values in (b"error, type", b"error, function(m) return 'handled', m end, 9", b"type, print, 1", b"error", b"error, 5")]
            + [b"error(%s)" % values for values in (b"", b"nil", b"'x'", b"{}", b"'x', 2")]
            + [b"_VERSION", b"_G._G == _G", b"_G.string == string", b"type(io) .. type(os) .. type(package) .. type(debug) .. type(coroutine)", b"type(io.open)",
                b"type(package.path)", b"collectgarbage('collect')", b"os.getenv('NOT_THERE_AT_ALL')", b"os.getenv()"])
