"""What lua5.3 itself answers, ours answers, too: patterns, formats, numbers, tables; errors where it has errors."""

import itertools
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
function with(t, f, ...) local r = {pcall(f, t, ...)} if not r[1] then error("no") end local s = ""
    for i = 1, 9 do s = s .. tostring(t[i]) .. " " end return s, table.unpack(r, 2) end
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


def of(text):
    """Return what stands between bars."""
    return [part.encode("latin-1") for part in text.split(" | ")]


def every(template, *choices):
    """Return a template with each combination of choices put in."""
    return [template % chosen for chosen in itertools.product(*choices)]


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
    made = random.Random(6)
    finite = [value for value in VALUES if b"1/0" not in value]
    lines = []
    for kinds, all_flags, precisions in ((b"di", (b"", b"-", b"+", b" ", b"0", b"+0", b" 0", b"-0"), (b"",)), (b"uxXo", (b"", b"-", b"0"), (b"",)),
                                         (b"eEfgG", (b"", b"-", b"+", b" ", b"0", b"+0", b" 0", b"-0"), (b"", b".", b".0", b".3"))):
        for kind, flags, width, precision in itertools.product(kinds, all_flags, (b"", b"7", b"20"), precisions):
            option = literal(b"<%%%s%s%s%c>" % (flags, width, precision, kind))
            lines += [b"string.format(%s, %s)" % (option, value) for value in made.sample(finite if b"0" in flags else VALUES, 6)]
    compare(lines)


def test_formats_of_texts():
    options = of("%s | %5s | %-5s | %.2s | %5.1s | %.0s | %.s | %-10.4s | %c | %5c | %-5c | %% | %y | % | %F | %5 | %1$d | %ld | %100d | %.100f | %99d | %.99f | %----d | %-----d |"
                 " %------d | %s%s | %d %s | %5.5.5d | %\\0d | %*d | %n | %p | % % | %5% | a%%b | ")
    texts = [literal(text) for text in (b"", b"abc", b"a\nb", b'"\\', b"\r\n\t", b"\x7f\x80\xff", b"\x015", b"\x01a", b"a\0b\0001")]
    with_zero = texts.pop()
    lines = every(b'string.format("%s", %s)', options, texts + VALUES)
    # A float in %q is hexadecimal in Lua, and an error that says so here.
    lines += every(b'string.format("%s", %s)', of("%q | %5q | %.1q | %-q"), [*texts, with_zero, *of("0 | -1 | 255 | math.maxinteger | nil | true | {}")])
    lines += every(b"string.format(%s)", of(' | 5 | "%d" | "%s" | "%s %s", 1 | "x", 1, 2 | "%5s", ("x"):rep(200) | "%d", 3, 4 | {}'))
    compare(lines)


NUMERALS = (b" 10 |0x|0x1p4|0X1P4|1e|1e5|1E+5|1e-5|.5|5.|.|0x.8|0x.p1|0x8.|0xA.8p-1|inf|nan|-nan|1_0||+5|-5|- 5|--5|+-5|5 5|9223372036854775807|"
            b"9223372036854775808|-9223372036854775808|-9223372036854775809|0xffffffffffffffff|0x1ffffffffffffffff|-0xffffffffffffffff|"
            b"00000000000000000000000000000000012|1e400|-1e400|1e-400|-0|-0.0|0x-1|1d5|1f|1.5.5|0b1|1e5.5|\t\n\v\f\r1\t|1\\0|\\0001|0xg|1,5|"
            b"0x1p99999|0x1p-99999"
            ).split(b"|")


def test_texts_that_are_numbers_and_those_that_are_none():
    quoted = [b'"' + text.replace(b"\n", b"\\n").replace(b"\r", b"\\r") + b'"' for text in NUMERALS]
    lines = every(b"%s(%s)", of("tonumber | tostring(tonumber) | math.floor | math.abs | #"), quoted)
    lines += every(b'tonumber("%s", %s)', of("10 | zz | ZZ | -ff |  7  | 8 |  | - | 1.0 | 1e1 | +5 | 7fffffffffffffffff | 1 1 | --1 | 0x10 | - 1"),
                   of('2 | 8 | 10 | 16 | 36 | 37 | 1 | 0 | -2 | 2.5 | "16" | 16.0 | {}'))
    lines += every(b"%s(%s)", of("tonumber | tostring"), VALUES + of(" | 5, nil | nil, 10 | nil, 1")) + of("tonumber({}) | tonumber(print) | tonumber(5, 10)")
    compare(lines)


POSITIONS = of(' | , 0 | , 1 | , 2 | , -1 | , -2 | , -9 | , 9 | , nil | , 1.0 | , 1.5 | , "2" | , {} | , math.maxinteger | , math.mininteger')
TEXTS = of('"abc" | "" | 123 | 1.5 | nil | {} | true')


def test_parts_of_strings():
    names = of("sub | byte")
    lines = every(b'string.%s("abc"%s%s)', names, POSITIONS, POSITIONS) + every(b"string.%s(%s%s%s)", names, TEXTS, POSITIONS, of(" | , -1"))
    lines += every(b"string.%s(%s)", of("len | lower | upper | reverse | byte | sub | rep | char | find | match | gsub | gmatch | format"), [*TEXTS, b""])
    lines += every(b'string.%s("abXYz\\200\\0"%s)', of("lower | upper | reverse | len"), POSITIONS)
    lines += every(b'string.rep("ab"%s%s)', POSITIONS[:-2], of(' | , "," | , 5 | , nil | , {}'))
    lines += every(b"string.char(%s)", of(' | 0 | 255 | 256 | -1 | 72, 101 | "72" | 72.0 | 72.5 | nil | {}'))
    lines += every(b'string.find("a.b+c", "%s"%s%s)', of(". | %. |  | +c | b | nope | c)"), POSITIONS[1:], of(" | , true | , false | , nil | , 0"))
    compare(lines)


def test_replacements():
    texts = of('"x" | "%0%0" | "%1" | "%2" | "%3" | "%9" | "%" | "%%" | "%x" | "x%%%1" | "%%%" | 5 | 1.5 | nil | true')
    tables = of("{} | {b = 'B', abc = 7} | {b = true} | {b = false} | {b = {}} | {3, 4}")
    functions = of("function(a, b) return b end | function() end | function() return {} end | function() return true end | function(a) return a, 5 end | string.upper | error")
    compare(every(b'string.gsub("abc abc", "%s", %s%s)', of("b | (b)(c) |  | %w+ | ^a | nope | ()"), texts + tables + functions,
                  of(' | , 1 | , 0 | , -1 | , 1.0 | , 1.5 | , "1" | , nil')))


def test_tables():
    lists = of("{} | {5} | {5, 6, 7} | {'a', 'b', x = 1} | {3, 1, 2.5}")
    odd = of("{1, {}} | {true} | nil | 5")
    places = of(" | , 1 | , 2 | , 0 | , -1 | , 4 | , 5 | , '1' | , 1.5")
    lines = every(b"with(%s, table.insert%s%s)", lists, places, of(", 'n' | , 'n', 3")) + every(b"with(%s, table.remove%s)", lists, [*places, b", nil"])
    lines += every(b"with(%s, table.%s)", lists, of("insert | remove, nil, 1 | sort, nil | insert, nil, 1"))
    lines += every(b"table.concat(%s%s)", lists + odd, of(" | , ',' | , 5 | , nil | , ',', 2 | , ',', 2, 3 | , ',', 2, 1 | , ',', 0 | , ',', 1, 9 | , {}"))
    lines += every(b"table.unpack(%s%s)", lists, of(" | , 2 | , 2, 3 | , 0, 4 | , 2, 1 | , -1 | , '2' | , 1.5 | , nil, 2"))
    lines += every(b"with(%s, table.sort%s)", lists + of("{'b', 'a', 'B'} | {1, 'a'} | {{}, {}} | {true, false} | {9,8,7,6,5,4,3,2,1}"),
                   of(" | , function(a, b) return a > b end | , function(a, b) error('x') end"))
    compare(lines)


def test_walks_and_raw_access():
    lines = every(b"seen(%s(%s))", of("pairs | ipairs"), of("{} | {5} | {5, 6, 7} | {x = 5} | {1, nil, 3} | nil | "))
    lines += every(b"next(%s)", of("{} | {5} | {5}, 1 | {5}, 2 | {x = 1}, 'x' | nil | {5}, true | "))
    compare(lines)


def test_numbers():
    values = VALUES + of(" | {} | -2.5 | -3.7 | 0/0")
    lines = every(b"math.%s(%s)", of("floor | ceil | abs | max | min"), values)
    lines += every(b"math.%s(%s, %s)", of("max | min"), VALUES, of('0 | 1 | -3 | 3 | 2.5 | -1 | 0.0 | 1/0 | nil | "2" | math.mininteger'))
    lines += of("math.huge | -math.huge | math.pi | math.maxinteger | math.mininteger | math.max(1, 2, 3.5) | math.min(3, 2, 1)")
    compare(lines)


def test_what_stands_alone():
    lines = every(b"select(%s)", of("'#' | '#', nil, nil | 1, 'a', 'b' | 2, 'a', 'b' | 3, 'a' | -1, 'a', 'b' | -2, 'a', 'b' | -3, 'a', 'b' | 0, 'a'"
                                     " | '2', 'a', 'b' | 1.5, 'a' | 'x', 1 | "))
    lines += every(b"type(%s)", VALUES + of(" | {} | print | nil, 1")) + every(b"assert(%s)", of("1, 2 | nil | false | nil, 'x' |  | 0 | '' | false, {}"))
    lines += every(b"pcall(%s)", of("error, {} | error, nil | error, 5 | error, true | error | type, 1 | math.floor, 2.5 |  | try, type, nil | pcall, error, 7"
                                    " | assert, false, 'm' | assert, nil, nil | error, 'm', 0"))
    lines += every(b"(pcall(%s))", of("nil | 5 | {} | string.rep | error, 'x'"))  # the words are not Lua's
    lines += every(b"error(%s)", of(" | nil | 'x' | {} | 'x', 2"))
    lines += of("_VERSION | _G._G == _G | _G.string == string | type(io) .. type(os) .. type(package) .. type(coroutine) | type(io.open)")
    lines += of("type(package.path) | os.getenv('NOT_THERE_AT_ALL') | os.getenv()")
    compare(lines)


# Whole programs; what each prints is compared.
PROGRAMS = [
    rb"""
local servers = {"web1", "web2", "db"}
for number, server in ipairs(servers) do print(number, server:upper(), ("%s:/srv/%d"):format(server, number)) end
""",
    rb"""
local home = os.getenv("NOT_THERE") or "/root"
local paths = {}
for part in ("/srv/www//html/"):gmatch("[^/]+") do table.insert(paths, part) end
print(#paths, table.concat(paths, "|"), home .. "/" .. paths[#paths])
table.remove(paths, 1)
print(table.unpack(paths))
""",
    rb"""
local options = {z = true, a = false, ["long-name"] = 5, [1] = "x", [2] = "y"}
local names = {}
for name in pairs(options) do names[#names + 1] = tostring(name) end
table.sort(names)
print(table.concat(names, " "))
table.sort(names, function(a, b) return #a > #b or #a == #b and a > b end)
print(table.concat(names, " "))
""",
    rb"""
local function expand(text, with) return (text:gsub("%$(%w+)", with)) end
print(expand("rsync $from $to $none", {from = "/a", to = "b:/c"}))
print(expand("$a-$b", function(name) if name == "a" then return 1 end end))
print(expand("$a$b", "<%1>"))
""",
    rb"""
local function merge(...)
    local all = {}
    for _, list in ipairs({...}) do for _, value in ipairs(list) do all[#all + 1] = value end end
    return all
end
print(table.concat(merge({"a", "b"}, {}, {"c"}), ","), select("#", merge()))
""",
    rb"""
for _, text in ipairs{"10", "0x1f", "1e2", "abc", "", " 7 "} do print(text, tonumber(text), tonumber(text, 16)) end
print(10 / 2, 7 // 2, 7 % 3, 2 ^ 10, 1e15, 2 ^ 53, -7 // 2, "5" + 1, 10 .. 20)
print(math.floor(3.7), math.max(1, 2.5), math.huge, -math.huge, 1 == 1.0)
""",
    rb"""
print(pcall(function() error({code = 5}) end) == false)
local ok, problem = pcall(error, "plain")
print(ok, problem)
print(select(2, pcall(error, setmetatable)) == setmetatable)
local list = setmetatable and {} or nil
print(#list, next(list))
""",
    rb"""
local s = "user@host:/dir with spaces"
local user, host, dir = s:match("^([^@]+)@([^:]+):(.*)$")
print(user, host, dir, s:find("host", 1, true), s:sub(-6), s:len(), s:byte(1), s:reverse():sub(1, 3))
print(("%q"):format(s), ("%-8s|%8.3f|%03d|%x"):format("ab", 1 / 3, 7, 255), ("x"):rep(3, "-"))
print(("a,b,,c"):gsub(",", ";"), ("abc"):gsub("", "."), (" trim "):match("^%s*(.-)%s*$") .. "|")
""",
    rb"""
local t = {5, 2, 8, 1}
local i = 1
while t[i] do if t[i] == 8 then break end i = i + 1 end
repeat local last = table.remove(t) until last == 2
print(i, #t, t[1], t[2])
for n = 10, 1, -3 do table.insert(t, 1, n) end
print(table.concat(t, " "), table.unpack(t, 2, 3))
""",
    rb"""
local out = {}
for key, value in string.gmatch("a=1; b=2; c=", "(%w)=(%w*)") do out[key] = value end
for _, key in ipairs{"a", "b", "c", "d"} do print(key, out[key], out[key] == "", not out[key]) end
local t = {nil, 2}
print(t[2], #"\u{e9}\x41\065\z
   end", [[
long]])
""",
    rb"""
local calls = 0
local function counter() calls = calls + 1 return calls end
print(("a b c"):gsub("%w", counter), calls)
local sorted = {}
for n = 1, 50 do sorted[n] = (n * 37) % 50 end
table.sort(sorted, function(a, b) return a > b end)
print(table.concat(sorted, " "))
print(type(print), type(nil), type({}), type("x"), type(2), type(true))
""",
]

RUN = rb"""
local texts = {}
for line in io.lines() do texts[#texts + 1] = line end
for program in (table.concat(texts, "\n") .. "\n"):gmatch("(.-)\n%-%-%-%-\n") do
    print(select(2, assert(pcall(assert(load(program))))))
    print("----")
end
"""


def test_programs():
    done = subprocess.run([LUA, "-e", RUN], input=b"".join(program.strip() + b"\n----\n" for program in PROGRAMS), stdout=subprocess.PIPE, check=True, timeout=120)
    answers = done.stdout.split(b"\n----\n")[:-1]
    assert len(answers) == len(PROGRAMS)
    for program, answer in zip(PROGRAMS, answers):
        said = []
        globals_ = library.globals_table(lambda name: None, lambda words, line: said.append(words.encode()))
        evaluator.Machine(Meter(), lambda name, line: None).run(parser.parse(program), globals_)
        assert b"\n".join(said) == answer.rstrip(b"\n").replace(b"\t", b" "), program.decode()
