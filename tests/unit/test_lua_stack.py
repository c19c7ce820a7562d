"""What nests or calls itself without end is an error, and no crash, even where the stack is small."""

import os
import resource
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHILD = """
import sys
from lsyncd_lite.config import lua
for text in sys.stdin.buffer.read().split(b"\\n"):
    reading = lua.read(text.decode(), "x.lua")
    print(len(reading.errors), reading.errors[0] if reading.errors else text.decode()[:60])
"""
NESTED = ["x = " + unit * 3000 for unit in ("(", "{", "-", "not ", "a[", "f{", "f(", "function() return ", "{a=", "{[", "2^", "a:b{", "{f(function() if x then y(")] + [
    unit * 3000 for unit in ("do ", "if x then ", "while 1 do ", "repeat ", "function f() ", "local x = 1 do ")] + [
    "x = a" + unit * 30000 for unit in (" + 1", " or a", ".b", "()", "[1]", ":b()", "'x'")]
RECURSIVE = ["local function f(n) %s end f(1)" % body for body in (
    "return f(n)", "return 1 + f(n)", "return {f(n)}", "return {{{x = {f(n)}}}}", "return -#not f(n)", "f(n) f(n)", "for i = 1, 2 do if n then while n do f(n) end end end",
    "for x in f do end", "return (('a'):gsub('a', f))", "table.sort({1, 2, 3}, f)", "return pcall(f)", "pcall(f) pcall(f)", "return assert(f(n))", "return select(1, f(1, n))",
    "return n .. f(n)", "local t = {} function t:f() return self:f() end t:f()", "return pcall(pcall, pcall, pcall, f)")] + [
    "local t = {} for i = 1, 3000 do t[i] = pcall end pcall(table.unpack(t))", "local t = {default.rsync} t[2] = t sync(t)"]
TABLES = ["local t = {default.rsync} for i = 1, 9000 do t = {t} end sync(t)", "local t = {} for i = 1, 9000 do t = {a = t} end settings(t)"]
GOOD = ["local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end x = f(%d)", "x = " + "{" * 12 + "}" * 12, "x = " + "{a = " * 12 + "1" + "}" * 12,
        "for i = 1, 2 do if i == 1 then for k, v in pairs({1}) do while true do x = (function() return {{f = {1 + (2 * (3 - 4))}}} end)() break end end end end"]


# TABLES: Python 3.13 itself needs most of a megabyte to throw away what is nested that deeply.
@pytest.mark.parametrize("size, calls", [(256, 15), (1024, 100), (8192, 200)])
def test_what_goes_too_deep_is_one_error_whatever_the_stack_is(size, calls):
    texts = NESTED + RECURSIVE + (TABLES if size >= 1024 else []) + [text.replace("%d", str(calls)) for text in GOOD]
    done = subprocess.run([sys.executable, "-c", CHILD], input="\n".join(texts).encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, timeout=300, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (size << 10, size << 10)))
    assert done.returncode == 0, done.stderr.decode()[-500:]
    assert b"Traceback" not in done.stderr
    lines = done.stdout.decode().splitlines()
    assert [line for line in lines[:-len(GOOD)] if not line.startswith("1 x.lua:1: ")] == []
    assert [line for line in lines[-len(GOOD):] if not line.startswith("0 ")] == []
