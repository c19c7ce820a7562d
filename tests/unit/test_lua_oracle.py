"""What lua5.3 does with a program, the evaluator does, too: programs written here, and made-up ones."""

import math
import os
import random
import re
import shutil
import subprocess

import pytest

from lsyncd_lite.lua.arithmetic import to_text
from lsyncd_lite.lua.evaluator import Machine
from lsyncd_lite.lua.library import globals_table
from lsyncd_lite.lua.parser import parse
from lsyncd_lite.lua.values import LuaError, Meter, TooMuch, type_name

LUA = next(filter(shutil.which, ("lua5.3", "lua")), None)
if LUA and "Lua 5.3" not in subprocess.run([LUA, "-v"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False).stdout:
    LUA = None
# Runs each program of a list; "show" writes values so that types and last bits are seen.
DRIVER = """
local function shown(value)
  if math.type(value) == "float" then
    return value ~= value and "nan" or string.format("%.17g", value) .. "f"
  elseif type(value) == "string" then
    return (string.gsub(string.format("%q", value), "-nan", "nan"))
  elseif type(value) == "table" or type(value) == "function" then
    return type(value)
  end
  return tostring(value)
end
local function show(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = shown((select(i, ...))) end
  print(table.concat(parts, " "))
end
for number, text in ipairs(programs) do
  print("== " .. number)
  local program, words = load(text, "=p", "t", { show = show, string = string, table = table, math = math, select = select, ipairs = ipairs,
    pairs = pairs, tostring = tostring, tonumber = tonumber, type = type, pcall = pcall, error = error, assert = assert, next = next })
  if not program then
    print("syntax error")
  else
    debug.sethook(function() error("does not end", 0) end, "", 100000)
    local results = table.pack(pcall(program))
    debug.sethook()
    if results[1] then show(table.unpack(results, 2, results.n)) else
      print("error in line " .. (string.match(tostring(results[2]), "^p:(%d+):") or "attempt to" .. tostring(results[2]))) end
  end
end
"""

PROGRAMS = r"""
local a, b, c = 1, 2 show(a, b, c) a, b = b, a show(a, b)
==
local t = {1, 2, 3; n = 4, ["x y"] = 5, [10] = 6, [2.0] = 7} show(#t, t.n, t["x y"], t[10], t[2], t[1.0])
==
local t = {} t.a = {} t.a.b = {} t.a.b.c = 1 show(t.a.b.c, t["a"]["b"].c, t.x)
==
local t = {1, nil, 3} show(#t, t[3]) local u = {nil, nil, 3} show(#u) local v = {n = nil} show(v.n)
==
local function f(...) return ... end
show(f(1, 2, 3)) show((f(1, 2, 3))) show(f(1, 2), f(3, 4)) local t = {f(1, 2), f(3, 4), x = f(5, 6)} show(#t, t.x)
local a, b, c, d = 0, f(1, 2) show(a, b, c, d) show(f()) show((f()))
==
local function f(a, b, ...) local c, d = ... return a, b, c, d end show(f(1)) show(f(1, 2, 3, 4, 5))
==
local fs = {} for i = 1, 3 do fs[i] = function() i = i + 1 return i end end
show(fs[1](), fs[1](), fs[2](), fs[3]())
==
local fs = {} local k = 0 while k < 3 do k = k + 1 local j = k fs[k] = function() j = j + 10 return j end end
show(fs[1](), fs[1](), fs[2](), fs[3](), k)
==
local function counter() local n = 0 return function() n = n + 1 return n end, function() return n end end
local up, get = counter() up() up() local up2, get2 = counter() up2() show(get(), get2())
==
local function even(n) if n == 0 then return true end return odd(n - 1) end
function odd(n) if n == 0 then return false end return even(n - 1) end show(even(10), even(7))
==
local t = {n = 1} function t:add(x) self.n = self.n + x return self end function t.new(x) return {n = x, add = t.add} end
show(t:add(2):add(3).n, t.new(7):add(1).n)
==
local a = {b = {}} function a.b.c(x) return x end function a.b:d(x) return self == a.b, x end show(a.b.c(1), a.b:d(2))
==
for i = 3, 1, -1 do show(i) end for i = 1, 0 do show(i) end for i = 1.0, 2 do show(i) end for i = 1, 2.9 do show(i) end
for i = 0.1, 0.5, 0.1 do show(i) end for i = 3, 1.5, -1 do show(i) end for i = "1", 2 do show(i) end
==
for i = 1, 1/0 do if i > 3 then break end show(i) end for i = 1, -(1/0) do show(i) end for i = 1, 0/0 do show(i) end
for i = 9223372036854775807 - 1, 2^70 do show(i) if i == 9223372036854775807 then break end end
==
local i = 1 repeat local done = i > 3 i = i + 1 until done show(i)
==
local n = 0 while true do n = n + 1 if n == 2 then goto_ = 1 elseif n > 4 then break else show(n) end end show(n)
==
local function iter(t, i) i = i + 1 if t[i] then return i, t[i] end end
for i, v in iter, {"a", "b", "c"}, 0 do show(i, v) for j in iter, {1}, 0 do show(j) end end
for i, v, w in iter, {"a"}, 0 do show(i, v, w) end
==
local function range(n) local i = 0 return function() i = i + 1 if i <= n then return i end end end
local sum = 0 for x in range(10) do sum = sum + x end show(sum)
==
do local x = 1 do local x = 2 show(x) end show(x) end show(x) x = 3 do local x = x show(x) end
==
local x = 1 local function f() return x end local x = 2 show(f(), x)
==
show("a\n\t\\\"\'\065\x41\u{41}\u{20AC}\z
      b\
c\0d", 'it"s', [[
first
second]], [==[a]]b]=]c]==], [[]], "\u{7FF}\u{FFFF}\u{10FFFF}")
==
show(0x10, 0xA.8p1, 0x.1p4, 1e2, .5, 5., 3e-2, 0xffffffffffffffff, 9223372036854775807, 9223372036854775808, 1e400, 0x1p-2, 0xep1)
==
show(1 .. 2, 1.0 .. "", 2^53 .. "", -0.0 .. "", 1e15 .. "", 1e100 .. "", 0.1 .. "", 1/3 .. "", 2^63 .. "", 1e14 .. "|" .. 1/0 .. -1/0)
==
show("10" + 1, "0x10" * 1, " 5 " - 0, "1e1" / 1, "10" // 3, "7" % "4", "2" ^ 2, -"2", "0x.8" + 0)
==
show(7 // 2, -7 // 2, 7 // -2, 7 % 3, -7 % 3, 7 % -3, -7 % -3, 7.5 // 2, -7.5 // 2, 7.5 % 2, -7.5 % 2, 7.5 % -2, 5 % (1/0), -5 % (1/0))
==
show(1/0, -1/0, 0/0 ~= 0/0, 1 // 0.0, -1 // 0.0, 0.0 // 0.0 == 0, 1 % 0.0 == 0, 5.0 // (1/0), -5.0 // (1/0), (1/0) % 2 == 0)
==
show(9223372036854775807 + 1, -9223372036854775807 - 2, 9223372036854775807 * 2, (-9223372036854775807 - 1) // -1, (-9223372036854775807 - 1) % -1,
-(-9223372036854775807 - 1), 0x7fffffffffffffff * 0x7fffffffffffffff)
==
show(2^1024, (-2)^1025, (-8)^(1/3) == 1, 0^-1, (-0.0)^-1, 2^-1, 2^0.5, 2^3^2, -2^2, 10^2)
==
show(1 == 1.0, "1" == 1, nil == false, 0 == -0, 2^53 == 2^53 + 1, 9007199254740993 == 2^53 + 1, 9223372036854775807 < 2^63, true == 1, "" == nil)
==
show(1 < 2, 1 < 1.5, 2 <= 2.0, "a" < "b", "Z" < "a", "a" < "aa", "" < "a", "10" < "9", -1 > 0, 1 >= 1, 1 ~= 1.0, "\xff" > "a")
==
show(nil and 1, false and 1, 0 and 1, nil or 2, false or nil, 1 or 2, not nil, not 0, 1 and nil or 3, nil == nil and "yes" or "no")
==
show(1 + 2 * 3 - 4 / 2, (1 + 2) * 3, 2 * 3 % 4, 1 .. 2 == "12", not 1 == 2, -2 ^ 2, #"abc" + 1, 1 < 2 == true, "a" .. "b" == "ab" and 1 or 2, 7 - 3 - 2, 2 ^ -1)
==
show(#"", #"a\0b", #{1, 2, 3}, #{}, #{n = 1}, -{} == 1)
==
local t = {} t[1] = 1 t[2] = 2 t[3] = 3 t[3] = nil show(#t) t[1.0] = "x" show(t[1], #t) t[4] = 4 t[3] = 3 show(#t, t[4])
==
local t = {[1] = "a", "b"} show(t[1], #t) local u = {[2] = "x", "y"} show(u[2], #u) local v = {"a", [1] = "b"} show(v[1])
==
local t = {} t[true] = 1 t[1] = 2 t[false] = 3 t[0] = 4 show(t[true], t[1], t[false], t[0], t["1"]) t[t] = 5 show(t[t])
==
local i, t = 1, {} i, t[i] = i + 1, 20 show(i, t[1], t[2])
==
local s = "abc" show(s:upper(), s:len(), ("x"):rep(3), #s:rep(2), s.len == string.len, ("%d"):format(5))
==
return 1, "two", nil
==
return
==
;;; local x = 1; ; show(x);
==
local a <const> = 1
==
x = = 1
==
x = 5 y = 6 return x, y
==
local x = {} x.y.z = 1
==


local x
show(x.y)
==
local x = nil

x()
==
show(1)
show({} + 1)
==
local a = "x" local b = {}
show(a .. b)
==
local t = {}
t[nil] = 1
==
local t = {}
t[0/0] = 1
==
show(1 < "2")
==
show({} < {})
==
show(nil < 1)
==
return 1 // 0
==
return 1 % 0
==
return #5
==
for i = 1, {} do end
==
for i in 5 do end
==
local function f() local x = nil + 1 end

f()
==
local function f(n) if n == 0 then error_() end return f(n - 1) end
f(5)
==
break
==
return return
==
return 1 2
==
if 1 then return 2 else return 3 end
==
do return 5 end show(1)
==
local function f() do return 1, 2 end end show(f()) local function g() for i = 1, 3 do if i == 2 then return i end end end show(g())
==
local function f() while true do return "w" end end show(f()) local function g() repeat return "r" until true end show(g())
==
local a = {f = function(self, x) return x end} show(a:f"s", a:f{} ~= nil, a.f(nil, 1), a.f(nil, [[l]]))
==
local f = function(a) return function(b) return function(c) return a .. b .. c end end end show(f(1)(2)(3), f"a""b""c")
==
show((function(...) local t = {...} return #t end)(1, 2, 3), (function() end)(), select_)
==
show(((function() return 1, 2 end)()))
==
local t = {(function() return 1, 2 end)()} show(#t) local u = {((function() return 1, 2 end)())} show(#u)
==
--[[ long
comment ]] show(1) --[==[ x ]] ]==] show(2) -- end
--- [[ not long
show(3) --
==
show(0xfp1, 3 --[[x]] + 4, 10--1
)
==
local function f() return f end show(f()()() == f)
""".strip("\n").split("\n==\n")


class Made:
    """Makes programs at random."""

    BINARY = "+ - * / // % ^ .. == ~= < <= > >= and or".split()
    ATOMS = ("0 1 2 3 7 10 63 64 255 9223372036854775807 0x7fffffffffffffff 1.5 0.5 2.0 -1 -3 -0.0 1e15 1e308 3e-5 0x10 0xffp-4 "
             "nil true false 'a' 'abc' '10' '0x10' '5.5' '' {} {1,2} {x=1}").split() + ["' 7 '", "'1e1'"]

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = ["a", "b", "c"]

    def expression(self, depth):
        pick = self.random.random()
        if depth <= 0 or pick < 0.15:
            return self.random.choice(self.ATOMS + self.names * 4)
        if pick < 0.25:
            return "%s %s" % (self.random.choice(["-", "not"]), self.expression(depth - 1))
        if pick < 0.35:
            return "(%s)" % self.expression(depth - 1)
        if pick < 0.40:
            return "(function(x, ...) return x, ... end)(%s, %s)" % (self.expression(depth - 1), self.expression(depth - 1))
        if pick < 0.45:
            return "{%s, x = %s}.x" .replace("{", "({").replace("}", "})") % (self.expression(depth - 1), self.expression(depth - 1))
        return "%s %s %s" % (self.expression(depth - 1), self.random.choice(self.BINARY), self.expression(depth - 1))

    SAFE = ("i + 1|i * 2.5|'s' .. i|#'abc'|t.x or 1|t[1]|i // 2|i % 3 == 0|f(i, 2)|(f(1))|t:m(i)|{i}|function() return i end|nil|a|b|c|u|not a|i < 3 and a or b|"
            "select('#', f(nil, nil))|#{f(nil, i)}|#{nil, i}|tostring(i / 2)|('%d|%5.2f|%s'):format(i, i, a ~= nil)|table.concat({f(i, 2)}, ', ')|-i ^ 2|2 ^ -i|-2 ^ -2|"
            "not i == a|not (i == a)|i .. 1 .. 2.0|1 .. 2 == '12'|a == b == c|i < 3 == true|math.floor(i / 2)|math.max(i, 2.0)|('x'):rep(i % 4)|s:sub(i)|s:upper():lower()|"
            "('a,b,c'):gsub(',', i)|tonumber('0x' .. i)|#s .. ''|[[\r\nx\ry\n\rz]]|'\\65\\x41\\z  b\\u{e9}'|(a or b) and c|a or b and c|type(a)|pcall(f, i)|(pcall(error, i))|"
            "(pcall(nil))|v(i, nil)|v(nil, nil, nil)|(v(f(1, 2)))|v(v(i))|s:gsub('%w', {a = 1, b = i})|s:gsub('(a)(b)', '%2%1')|s:match('(b)(c)')|s:find('c', i)|t.m == t['m']|"
            "{f(1, 2), f(3, 4)}|#{f(1, 2), f(3, 4)}|#{f(1, 2), (f(3, 4))}|{[i] = 1, x = i, i}[i]|({[1] = 5, i})[1]|i == i + 0.0|i / 1|7 // 2.0|7 % -3|-7 // 2|1e15|2^53|10 // 0.3|"
            "fs[1] and fs[1]()|#fs|next({})|(next({i}))|i * '2'|'10' + i|'a' < 'b'|s < 'abd'|1 < 1.5|a ~= a|math.huge|-math.huge .. ''|i .. ''|0.1 + 0.2 .. ''|100000000000000 .. ''|"
            "f{i}|f'x'|(function(...) return select('#', ...) end)(nil, f(1, nil))|(function(...) local x = {...} return #x, ... end)(1, i)|i > 2 and 'more' or i == 2 and 'two' or 'less'")

    def safe(self):
        """Return an expression that mostly has a value."""
        return self.random.choice(self.CHOICES)

    CHOICES = re.split(r"(?<!%d)(?<!%5.2f)\|", SAFE)

    def block(self, depth, in_loop):
        lines = []
        for _ in range(self.random.randint(1, 4)):
            kind = self.random.choice(["set", "set", "local", "two", "field", "show", "if", "for", "while", "repeat", "in", "function", "do", "return", "break", "wild",
                                       "swap", "closure", "varargs", "walk", "calls", "method", "local function", "places"])
            if kind in ("if", "for", "while", "repeat", "in", "do", "function", "varargs", "walk", "method", "local function") and depth <= 0:
                kind = "set"
            name = self.random.choice(["a", "b", "c", "u"])
            inner = lambda loop=in_loop: "\n".join(self.block(depth - 1, loop))  # noqa: E731
            lines += {
                "set": lambda: ["%s = %s" % (name, self.safe())],
                "local": lambda: ["local %s = %s" % (name, self.safe())],
                "two": lambda: ["%s, t.x = %s, %s" % (name, self.safe(), self.safe())],
                "field": lambda: ["t[%s] = %s" % (self.random.choice(["1", "'x'", "i", "i + 0.0"]), self.safe())],
                "show": lambda: ["show(%s, %s)" % (self.safe(), self.safe())],
                "wild": lambda: ["show(%s)" % self.expression(1)],
                "if": lambda: ["if %s then" % self.safe(), inner(), "elseif %s then" % self.safe(), inner(), "else", inner(), "end"],
                "for": lambda: ["for i = %s do" % self.random.choice(["1, 3", "3, 1, -1", "1, 2, 0.5", "2, 1"]), inner(True), "end"],
                "while": lambda: ["do local i = 0", "while i < 3 do", "i = i + 1", inner(True), "end", "end"],
                "repeat": lambda: ["do local k = 0", "repeat", "k = k + 1", "local z = k", inner(True), "until z > 2", "end"],
                "in": lambda: ["for i, v in each, {5, 6} do", inner(True), "end"],
                "function": lambda: ["local f = function(x, y, ...)", "local i = x", inner(False), "end", "show(f(%s))" % self.safe()],
                "do": lambda: ["do", inner(), "end"],
                "swap": lambda: ["a, b, c = b, a"],
                "closure": lambda: ["fs[#fs + 1] = function() i = (i or 0) + 1 return i, %s end" % self.safe()],
                "calls": lambda: ["for n = 1, #fs do show(n, fs[n]()) end"],
                "varargs": lambda: ["local function v(...)", "local x, y = ...", inner(False), "return select('#', ...), x, y, ...", "end", "show(v(%s, nil, %s))" % (self.safe(), self.safe())],
                "walk": lambda: ["for k, e in ipairs({%s, %s, nil, 4}) do" % (self.safe(), self.safe()), "local i = k", inner(True), "end"],
                "method": lambda: ["function t:m(x)", "local i = x", inner(False), "return self.x, x", "end"],
                "local function": lambda: ["local function r(n)", "if n == 0 then return 'end' end", inner(False), "return r(n - 1)", "end", "show(r(2))"],
                "places": lambda: ["t[i], i, t.x = %s, %s" % (self.safe(), self.safe())],
                "return": lambda: ["if %s then return %s end" % (self.safe(), self.safe())],
                "break": lambda: ["if %s then break end" % self.safe()] if in_loop else [],
            }[kind]()
        return lines

    def program(self):
        return "\n".join(["local function each(s, k)", "k = (k or 0) + 1", "if s[k] then return k, s[k] end", "end", "local i, t, a, b = 1, {10, x = 2}, 5",
                          "function t:m(x) return self.x, x end", "local function f(x, y) return x, y end",
                          "local s, fs = 'abc', {}", "local function v(...) local x, y = ... return select('#', ...), x, y, ... end", *self.block(3, False), "show(a, b, c, u, t.x, t[1])"])


def made():
    """Return programs at random, the same ones each time."""
    programs = []
    for seed in range(2000):
        maker = Made(seed)
        programs.append("local a, b, c = %s, %s, %s return %s" % (*(maker.random.choice(maker.ATOMS) for _ in range(3)), maker.expression(3)))
    return programs + [Made("program %d" % seed).program() for seed in range(3000)]


def oracle(programs):
    """Return what lua5.3 says to each program."""
    quoted = "".join("[======[\n%s]======],\n" % program for program in programs)
    result = subprocess.run([LUA, "-"], input=("local programs = {%s}\n" % quoted + DRIVER).encode("utf-8", "surrogateescape"), stdout=subprocess.PIPE, timeout=120, check=True,
                            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"})
    return re.split("== [0-9]+\n", result.stdout.decode("utf-8", "surrogateescape"))[1:]


def shown(value):
    if type(value) is float:
        return "nan" if math.isnan(value) else ("%.17g" % value) + "f"
    if isinstance(value, bytes):
        text = value.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\\n").replace(b"\r", b"\\13").replace(b"\t", b"\\9").replace(b"\0", b"\\0")
        return '"%s"' % text.replace(b"-nan", b"nan").decode("utf-8", "surrogateescape")
    if value is None or isinstance(value, bool):
        return {None: "nil", True: "true", False: "false"}[value]
    return to_text(value).decode() if isinstance(value, int) else type_name(value)


def ours(program):
    """Return what the evaluator says to a program, in the words of the oracle; None: it does not end."""
    said = []

    def show(_machine, *values):
        said.append(" ".join(map(shown, values)))
        return ()

    globals_ = globals_table(lambda name: None, lambda words, line: None)
    globals_.set(b"show", show)
    chunk = parse(program.encode("utf-8", "surrogateescape"))
    if chunk.errors:
        return "syntax error\n"
    try:
        said.append(" ".join(map(shown, Machine(Meter(steps=50000), lambda name, line: None).run(chunk, globals_))))
    except TooMuch:
        return None
    except LuaError as error:
        said.append("error in line %d" % error.line)
    return "".join(line + "\n" for line in said)


def is_same(theirs, mine):
    """Tell whether both said the same; an error in a function of the library that is returned to has no line in Lua."""
    theirs, line, _words = theirs.partition("error in line attempt to")
    return mine == theirs or bool(line) and re.sub("error in line [0-9]+\n\\Z", "", mine) == theirs


@pytest.mark.skipif(LUA is None, reason="there is no lua5.3 to compare with")
@pytest.mark.parametrize("programs", [PROGRAMS, made()], ids=["written", "made"])
def test_programs_do_what_lua_does_with_them(programs):
    expected = oracle(programs)
    assert len(expected) == len(programs)
    differing = [(program, theirs, mine) for program, theirs in zip(programs, expected) if "does not end" not in theirs
                 for mine in [ours(program)] if mine is not None and not is_same(theirs, mine)]
    for program, theirs, mine in differing[:20]:
        print("%s\n-- lua5.3: %s-- here:   %s" % (program, theirs, mine))
    assert not differing, "%d of %d" % (len(differing), len(programs))
