"""Text of Lua → tree and findings: what is wrong is told in which line, and all of it where that can be."""

import time

import pytest

from lsyncd_lite.lua.lexer import MOST, Lexer
from lsyncd_lite.lua.parser import LARGEST, parse
from lsyncd_lite.lua.values import LuaError


def errors(text):
    return parse(text.encode("utf-8", "surrogateescape")).errors


def tokens(text):
    lexer, found = Lexer(text), []
    while not found or found[-1].kind != "end of file":
        found.append(lexer.next())
    return found[:-1]


# Tokens

@pytest.mark.parametrize("text, value", [
    (b'"a"', b"a"), (b"'a\"b'", b'a"b'), (b'""', b""), (b'"\\a\\b\\f\\n\\r\\t\\v\\\\\\"\\\'"', b"\a\b\f\n\r\t\v\\\"'"),
    (b'"a\\\nb"', b"a\nb"), (b'"a\\z \n\t b"', b"ab"), (b'"\\x41\\xfF"', b"A\xff"), (b'"\\65\\0651\\0"', b"AA1\0"),
    (b'"\\u{41}\\u{e9}\\u{20AC}\\u{10FFFF}"', "Aé€\U0010ffff".encode()), (b"[[a]]", b"a"), (b"[[\na\nb]]", b"a\nb"), (b"[==[a]]]=]b]==]", b"a]]]=]b"),
    (b"[[\\n]]", b"\\n"), (b"[[a\r\nb\rc\n\rd]]", b"a\nb\nc\nd"), (b"[[]]", b""), (b'"\xff\xfe"', b"\xff\xfe"),
])
def test_strings(text, value):
    (token,) = tokens(text)
    assert (token.kind, token.value) == ("string", value)


@pytest.mark.parametrize("text, value", [
    (b"0", 0), (b"12", 12), (b"1.5", 1.5), (b".5", 0.5), (b"5.", 5.0), (b"1e2", 100.0), (b"1E-2", 0.01), (b"0x10", 16), (b"0XfF", 255), (b"0x.8", 0.5),
    (b"0xA.8p1", 21.0), (b"0x1P-1", 0.5), (b"9223372036854775807", 2 ** 63 - 1), (b"9223372036854775808", 2.0 ** 63), (b"0xffffffffffffffff", -1),
    (b"0x1ffffffffffffffff", -1), (b"1e400", float("inf")), (b"0x1p99999999", float("inf")), (b"0x0p99999999", 0.0), (b"1e-400", 0.0),
])
def test_numbers(text, value):
    (token,) = tokens(text)
    assert token.kind == "number" and token.value == value and type(token.value) is type(value)


def test_operators_are_as_long_as_they_can_be():
    assert [token.kind for token in tokens(b"a...b..c.d==e=f~=<=<>=>//::/:-")] == [
        "name", "...", "name", "..", "name", ".", "name", "==", "name", "=", "name", "~=", "<=", "<", ">=", ">", "//", "::", "/", ":", "-"]


def test_lines_count_whatever_ends_them():
    assert [token.line for token in tokens(b"a\nb\r\nc\rd\n\re[[\n\n]]f'\\\n\\z\n'g")] == [1, 2, 3, 4, 5, 5, 7, 7, 9]


def test_keywords_are_no_names():
    assert [token.kind for token in tokens(b"end ende _end END")] == ["end", "name", "name", "name"]


# Comments

def test_comments_are_kept_with_their_lines():
    chunk = parse(b"#!/usr/bin/lsyncd\n-- one\nx = 1 --two\n--[[ three\nlong ]] y = 2\n--[==[four]==]\n---five\n--[=six\n--")
    assert not chunk.errors
    assert chunk.comments == [(2, b" one"), (3, b"two"), (4, b" three\nlong "), (6, b"four"), (7, b"-five"), (8, b"[=six"), (9, b"")]


def test_a_mark_of_the_order_of_bytes_is_stepped_over():
    assert not errors("\ufeffx = 1") and not errors("\ufeff#!/bin/x\nx = 1")


# Findings

def test_all_missing_commas_are_told_at_the_ends_of_their_lines():
    text = """settings {
   logfile = "/var/log/lsyncd.log",
   statusInterval = 30
   maxProcesses = 3,
   t = { 1 2 }
   [5] = f(x)
   ["a"] = "b" -- with a comment

   {}
}
for _, server in ipairs(targetlist) do
   sync{ default.rsync,
      source = "/var/www",
      rsyncOps = "-rltvupgo"
      target = server
   }
end
"""
    assert errors(text) == [
        (3, "a comma is missing at the end of this line, before maxProcesses"),
        (5, "a comma is missing in this line, before 2"),
        (5, "a comma is missing at the end of this line, before ["),
        (6, "a comma is missing at the end of this line, before ["),
        (7, "a comma is missing at the end of this line, before {"),
        (14, "a comma is missing at the end of this line, before target"),
    ]


FOUND = [
    # what closes
    ("x = 1\nfor i = 1, 2 do\nx = 2\n", 3, 'end is missing: it would close the "for" of line 2'),
    ("\nwhile x do", 2, 'end is missing: it would close the "while" of line 2'),
    ("function f()\nif x then y()\nend", 3, 'end is missing: it would close the "function" of line 1'),
    ("if a then\nelse if b then\nend", 3, 'end is missing: it would close the "if" of line 1 (or line 2 should have "elseif" for "else if")'),
    ("do\n  for i = 1, 2 do\n  x = 1\nend\n", 4, 'end is missing: it would close the "do" of line 1 (or it is the for of line 2 that is not closed: line 4 stands too far to the left)'),
    ("repeat\nx = 1", 2, 'until is missing: it would close the "repeat" of line 1'),
    ("repeat x = 1 end", 1, 'until is missing before end: it would close the "repeat" of line 1'),
    ("x = {\n1, 2\n", 2, "} is missing: it would close the { of line 1"),
    ("settings {\n a = 1\nsync { b = 2 }\n", 3, "} is missing before sync: it would close the { of line 1"),
    ("settings {\n a = 1,\nfor i = 1, 2 do end", 3, "} is missing before for: it would close the { of line 1"),
    ("settings {\n a = 1,\n", 2, "} is missing: it would close the { of line 1"),
    ("f(a,\n", 1, ") is missing: it would close the ( of line 1"),
    ("settings {\n a = 1\nfor i = 1, 2 do end", 3, "} is missing before for: it would close the { of line 1"),
    ("x = (1 +\n2", 2, ") is missing: it would close the ( of line 1"),
    ("f(1,\n2", 2, ") is missing: it would close the ( of line 1"),
    ("x = y[1\n", 1, "] is missing: it would close the [ of line 1"),
    ("x = { 1 ]", 1, "] should be }: it would close the { of line 1"),
    ("x = {\n(1 }", 2, "} should be ): it would close the ( of line 2"),
    ("x = { function() x() }", 1, 'end is missing before }: it would close the "function" of line 1'),
    ("x = 1\nend", 2, "this end closes nothing"),
    ("until x", 1, "this until closes nothing"),
    ("else", 1, "this else belongs to no if"),
    ("x = {} }", 1, "this } closes nothing"),
    # strings and comments
    ('x = 1\ny = "abc\nz = 1', 2, 'a string begins here with " and does not end in this line: " is missing'),
    ("x = 'abc", 1, "a string begins here with ' and does not end in this line: ' is missing"),
    ("x = { 'o'brien', t = 'x' }", 1, "a string begins here with ' and does not end in this line: ' is missing"),
    ("\nx = [[abc\n\n", 2, "a string begins here with [[ and does not end: ]] is missing"),
    ("\n--[==[ abc\n]] ", 2, "a comment begins here with [==[ and does not end: ]==] is missing"),
    ('x = "C:\\path"', 1, "\\p means nothing in a string: one backslash is written \\\\"),
    ('x = "\\é"', 1, "\\é means nothing in a string: one backslash is written \\\\"),
    ('x = "a\\\n\\q"', 2, "\\q means nothing in a string: one backslash is written \\\\"),
    ('x = "\\300"', 1, "\\300 is no byte: \\0 to \\255 are"),
    ('x = "\\xg"', 1, "\\x needs two hexadecimal digits behind it"),
    ('x = "\\u41"', 1, "\\u needs {…} with hexadecimal digits behind it"),
    ('x = "\\u{110000}"', 1, "\\u{110000} is no character: \\u{10FFFF} is the last one"),
    ("x = 1\ny = “abc”", 2, '“ is a typographic quote: strings stand in straight quotes "…"'),
    ("x = ‘abc’", 1, "‘ is a typographic quote: strings stand in straight quotes '…'"),
    ("x =\u00a01", 1, "\\xa0 is a blank that is none (a no-break space): write a plain one"),
    ("x = 1.2.3.4", 1, "malformed number 1.2.3.4 (a text needs quotes)"),
    ("x = 0x", 1, "malformed number 0x (a text needs quotes)"),
    ("x = $HOME", 1, "$ has no meaning here (a text needs quotes)"),
    ("x = a\udcff", 1, "\\xff has no meaning here (a text needs quotes)"),
    # other languages
    ("if x = 1 then end", 1, "equal is written == (one = sets a value)"),
    ("while (x = 1) do end", 1, "equal is written == (one = sets a value)"),
    ("repeat until\nx = 1", 2, "equal is written == (one = sets a value)"),
    ("if x != 1 then end", 1, "not equal is written ~=, not !="),
    ("if x && y then end", 1, "and is written as a word, not &&"),
    ("if x || y then end", 1, "or is written as a word, not ||"),
    ("if !x then end", 1, "not is written as a word, not !"),
    ("x += 1", 1, "+= is not of Lua: write x = x + …"),
    ("x++", 1, "++ is not of Lua: write x = x + 1"),
    ("x == 1", 1, "a value is set with =, not with =="),
    ("x = = 1", 1, "one = sets a value, and equal is written ==, without a blank"),
    ("x = {\n; y = 1\n}", 2, "a comment begins with --, not with ;"),
    ("x = 1\n; some words", 2, "some is no statement (a comment begins with --, not with ;)"),
    ("x = { a = 1,\n y == 2 }", 2, "a value is set with =, not with =="),
    ("x = { a := 1 }", 1, "a value is set with =, not with :="),
    ("x = { a = [ 1, 2 ] }", 1, "a list is written { … }, not [ … ]"),
    ("x = { .git }", 1, "a value is missing before . (a text needs quotes)"),
    ("x = { target = host::module }", 1, "a text with : needs quotes"),
    ("x = { a = 1,\n rsync =\n archive = true\n} }", 2, "a value, or {, is missing behind = at the end of this line"),
    ("settings =\n a = 1\n}", 2, "= begins no statement: is a { missing before a?"),
    ("local my-name = 1", 1, "- begins no statement (a name holds no -)"),
    ("- words", 1, "- begins no statement (a comment begins with --)"),
    ("For a in b do end", 1, 'For is no statement: "for" is written in small letters'),
    ("x = 1\nif a then\nx = 2\nEND", 4, 'END is no statement: "end" is written in small letters'),
    ("for a in b(c) {\n x()\nend", 3, '} is missing before end: it would close the { of line 1 (or line 1 should have "do" for {)'),
    ("for a in b do\n x{ y = 1 }\n}", 3, 'this } closes nothing, and end closes the "for" of line 1'),
    ("if a then\n x{},\nend", 2, "no comma stands behind a statement"),
    ("x(1,\n)", 2, "a value is missing before ) (or the comma before it is one too many)"),

    ("for i = 1, 2 do continue end", 1, "continue is not of Lua: put the rest of the loop in if … then … end"),
    ("\n# it's a comment\n", 2, "a comment begins with --, not with #"),
    ("x = 1 # it's", 1, "a comment begins with --, not with #"),
    ("x = {\n# it's\n}", 2, "a comment begins with --, not with #"),
    ("x = {\n#a = 1,\n}", 2, "a comment begins with --, not with #"),
    ("x = { a = 1, # it's\n}", 1, "a comment begins with --, not with #"),
    ("// it's a comment", 1, "a comment begins with --, not with //"),
    ("x = {\n// it's\n}", 2, "a comment begins with --, not with //"),
    ("x = 5 // two words\n", 1, "words is no statement (a comment begins with --, not with //)"),
    ("x = { a = 5, b = 5 // two words\n}", 1, "a comma is missing in this line, before words (a comment begins with --, not with //)"),
    ("/* x */", 1, "a comment is written --[[ … ]], not /* … */"),
    ('source: "x"', 1, "a value is set with =, not with :"),
    ("settings: {}", 1, "a value is set with =, not with :"),
    ("x = a:]", 1, "the name of a method is missing behind :, before ]"),
    ('x = { source: "x" }', 1, "a value is set with =, not with :"),
    ("x = { source: true }", 1, "a value is set with =, not with :"),
    ("x = { source: other }", 1, "a value is set with =, not with :"),
    ('x = { "source": "x" }', 1, "a value is set with =, not with :, and a key has no quotes: source ="),
    ('x = { "so urce": "x" }', 1, 'a value is set with =, not with :, and a key has no quotes: ["so urce"] ='),
    ('x = { ["a"]: "x" }', 1, "a value is set with =, not with :"),
    ('x = { "a" = 1 }', 1, "a key has no quotes: a ="),
    ('x = { "end" = 1 }', 1, 'a key has no quotes: ["end"] ='),
    ("x = { 1 = 2 }", 1, "a key that is a number is written [1] ="),
    ("x = { end = 1 }", 1, '"end" is a word of the language: as a key it is written ["end"] ='),
    ("x = { temp-dir = 1 }", 1, 'the key before = must be one word: any other is written ["…"] ='),
    ("x = { a => 1 }", 1, "a value is set with one ="),
    ("[settings]\na = 1", 1, "[ begins no statement: what INI files write [settings] is settings{ … }, and [sync …] is sync{ … }"),
    ('{ "settings": {} }', 1, "{ begins no statement: what stands before it, as in settings{ … }, is missing (or is this JSON?)"),
    # values without quotes
    ("x = { source = /var/www }", 1, "a value is missing before / (a path needs quotes)"),
    ("x = { target = host:/var }", 1, "a text with : needs quotes (and a value is set with =)"),
    ("x = { target = root@host }", 1, "@ has no meaning here (a text needs quotes)"),
    ("x = { delay = 5s, y = 1 }", 1, "5s is no number: a text needs quotes"),
    ("delay = 5s", 1, "5s is no number: a text needs quotes"),
    # grammar
    ("sync(default.rsync, source = 1)", 1, "values with names stand in braces: {…} in place of (…)"),
    ("sync[ a = 1 ]", 1, "values with names stand in braces: {…} in place of […]"),
    ("f(1 2)", 1, "a comma is missing in this line, before 2"),
    ("x = {1,, 2}", 1, "one comma is too many here"),
    ("if x\ny = 1 end", 1, "then is missing at the end of this line, before y (behind the condition of if)"),
    ("for i in x\ny() end", 1, "do is missing at the end of this line, before y (behind the head of for)"),
    ("for i, j = 1, 2 do end", 1, "in is missing in this line, before = (or =, behind the names of for)"),
    ("for i = 1 do end", 1, "for i = needs two or three values: first, last and step"),
    ("local 5", 1, "a name is missing before 5"),
    ("local end", 1, '"end" is a word of the language and no name'),
    ("x.end = 5", 1, '"end" is a word of the language and no name: as a field it is written ["end"]'),
    ("x, y", 1, "= is missing in this line, before the end of the file (to give the names before it their values)"),
    ("f() = 1", 1, "only a name or a field can be given a value"),
    ("(x) = 1", 1, "only a name or a field can be given a value"),
    ("x", 1, "x is no statement: = and a value, or ( ) or { } of a call, are missing before the end of the file"),
    ('"x"', 1, 'the string "x" begins no statement'),
    ("x = 1 +", 1, "a value is missing before the end of the file"),
    ("return 1 x = 2", 1, "return must be the last statement of its block: x stands behind it"),
    ("break", 1, "break stands in no loop"),
    ("while x do local f = function() break end end", 1, "break stands in no loop"),
    ("function f() return ... end", 1, "... stands in a function that has no ... among its parameters"),
    ("goto x", 1, "goto is not read here: write a loop, or if … then … end"),
    ("::x::", 1, "labels (::…::) and goto are not read here: write a loop, or if … then … end"),
    ("local x <const> = 1", 1, "attributes (<const>, <close>) are not of Lua 5.3: take them away"),
    ("local a " * 201, 1, "more than 200 local variables in one function"),
]


@pytest.mark.parametrize("text, line, words", FOUND, ids=[text[:40] for text, _line, _words in FOUND])
def test_what_is_wrong_is_told_in_its_line_and_nothing_else(text, line, words):
    assert errors(text) == [(line, words)]


def test_parsing_goes_on_where_nothing_is_in_doubt():
    text = "# one\nx = { a = 1\nb: 2, 'c' = 3 }\nif x = 1 and y != 2 then end\n// two\n!"
    assert [line for line, _words in errors(text)] == [1, 2, 3, 3, 4, 4, 5, 6][1:]  # a first line that begins with # is Lua


def test_nothing_is_told_behind_the_first_finding_that_leaves_doubt():
    assert errors("x = )\ny = (\nz = }") == [(1, "a value is missing before )")]


@pytest.mark.parametrize("text", [
    "x = { #t, #t.x, #(y), a = #t }", "x = { s:upper(), s:rep{}, s:rep'' }", "x = 7 // 2", "x = a\n(b)", "x = { a = b == c, [d] = e; }", "f{}.x = 1", "f'x'.y()",
    "return", "return;", "return 1,\n2;", ";;;", "local a, b = 1", "local function f() end", "function a.b.c:d() end", "for a, b, c in d, e, f do end",
    "x = function() end", "x = -2 ^ -2", "x = not not a", "goto_ = 1", "if a then elseif b then else end", "x = {{}, {{}}}", "x = - - 1", "a.b['c'].d = 1",
])
def test_what_is_right_has_no_findings(text):
    assert errors(text) == []


@pytest.mark.parametrize("begin, end", [
    ("x = " + "(" * 99999, ""), ("x = " + "{" * 99999, ""), ("x = " + "not " * 99999, "1"), ("x = 1", " + 1" * 99999), ("x = 1", " ^ 1" * 99999), ("do " * 99999, ""),
    ("x = " + "function() return " * 9999, ""), ("if x then " * 99999, ""), ("x = a", ".b" * 99999), ("x = a", "()" * 99999), ("x = " + "a[" * 99999, ""),
    ("x = ", "f{" * 99999), ("repeat " * 9999, ""), ("while " * 9999, ""),
])
def test_what_is_nested_too_deeply_is_one_finding(begin, end):
    def deeper(frames):
        return deeper(frames - 1) if frames else errors(begin + end)
    (found,) = deeper(100)
    assert found[1] in ("nested too deeply", "a value is missing before while")


def test_long_rows_are_not_deep():
    assert errors("x = 1" + " .. 1" * 9999) == []
    assert errors("if a then " + "elseif b then " * 9999 + "end") == []
    assert errors("x = {" + "1," * 9999 + "}") == []


def test_a_text_is_not_larger_than_a_configuration_can_be():
    assert errors(" " * LARGEST + "x") == [(1, "larger than 1 MiB, which no configuration is")]


def test_the_lexer_alone_raises_with_a_line():
    with pytest.raises(LuaError) as caught:
        tokens(b"a\n$")
    assert caught.value.line == 2


def test_findings_are_told_up_to_a_number():
    found = errors("x = {\n" + "a = 1\n" * 1000 + "}")
    assert [line for line, _words in found] == list(range(2, 52))


def test_a_text_has_no_more_tokens_than_a_configuration_can_have():
    assert errors("x=1 " * (MOST // 3)) == []
    assert errors("x=1\n" * (MOST // 3 + 1)) == [(MOST // 3 + 1, "more than 200000 words and signs, which no configuration has")]


@pytest.mark.parametrize("text", ['x = "' + "\\z\n" * 300000 + '"', "x = {" + "{a=1 b=2}, " * 9000 + "}", "x='" + "a" * 500000 + "' " + "y='a\\\n' " * 40000])
def test_what_is_long_takes_no_longer_than_its_length(text):
    began = time.process_time()
    errors(text)
    assert time.process_time() - began < 20  # a second or two, on a machine with nothing else to do
