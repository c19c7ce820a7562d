"""Patterns of Lua: what each item matches, what is captured, what is malformed, and what a match may cost."""

import pytest

from lsyncd_lite.lua.pattern import Pattern, all_captured, find
from lsyncd_lite.lua.values import LuaError, Meter, TooMuch


def matched(pattern, subject, start=0):
    """Return (all of the match, *captures), or None."""
    found = find(Pattern(pattern, Meter()), subject, start)
    return found and (subject[found[0]:found[1]], *(all_captured(subject, *found) if found[2] else ()))


@pytest.mark.parametrize("pattern, subject, expected", [
    (b"", b"abc", (b"",)), (b"b", b"abc", (b"b",)), (b"d", b"abc", None), (b".", b"", None), (b".", b"\n", (b"\n",)), (b"a.c", b"xabc", (b"abc",)),
    (b"^b", b"abc", None), (b"^a", b"abc", (b"a",)), (b"a^", b"a^", (b"a^",)), (b"c$", b"abc", (b"c",)), (b"b$", b"abc", None), (b"$c", b"a$c", (b"$c",)), (b"^$", b"", (b"",)),
    (b"%d+", b"ab 123 4", (b"123",)), (b"%D+", b"12ab3", (b"ab",)), (b"%a+", b"1abC2", (b"abC",)), (b"%l+%u", b"abC", (b"abC",)), (b"%s", b"a\tb", (b"\t",)),
    (b"%S+", b"  ab ", (b"ab",)),
    (b"%w+", b"-a_1", (b"a",)), (b"%x+", b"xyzfF0g", (b"fF0",)), (b"%p+", b"a.,!b", (b".,!",)), (b"%c", b"a\x7f", (b"\x7f",)), (b"%g+", b" ab ", (b"ab",)),
    (b"%z", b"a\0", (b"\0",)),
    (b"%.", b"a.b", (b".",)), (b"%%", b"5%", (b"%",)), (b"%a", b"\xe9", None), (b"%A", b"\xe9", (b"\xe9",)),
    (b"[abc]+", b"xxcabx", (b"cab",)), (b"[^abc]+", b"abxyc", (b"xy",)), (b"[a-c]+", b"dabcd", (b"abc",)), (b"[]]", b"a]", (b"]",)), (b"[^]]", b"]a", (b"a",)),
    (b"[%]]", b"]", (b"]",)),
    (b"[a-]+", b"x-a-", (b"-a-",)), (b"[-a]+", b"-a", (b"-a",)), (b"[%a_][%w_]*", b"1 x_1", (b"x_1",)), (b"[%d.]+", b"v1.2.3", (b"1.2.3",)), (b"[c-a]", b"abc", None),
    (b"[^%s]+", b" a b", (b"a",)),
    (b"[\x80-\xff]+", b"a\xc3\xa9b", (b"\xc3\xa9",)), (b"[a^]", b"^", (b"^",)), (b"[.]", b"ab.", (b".",)), (b"[%a-z]", b"-", (b"-",)),
    (b"a*", b"aaab", (b"aaa",)), (b"b*", b"aaab", (b"",)), (b"a+b", b"aaab", (b"aaab",)), (b"a+", b"b", None), (b"a-b", b"aaab", (b"aaab",)), (b"a-", b"aaa", (b"",)),
    (b"a?b", b"b", (b"b",)),
    (b"a?a", b"a", (b"a",)), (b".*b", b"abab", (b"abab",)), (b".-b", b"abab", (b"ab",)), (b".*.*b$", b"aab", (b"aab",)), (b"*", b"a*", (b"*",)), (b"+a", b"+a", (b"+a",)),
    (b"a**", b"aa*", (b"aa*",)),
    (b"(%w+)=(%w*)", b" key=1 ", (b"key=1", b"key", b"1")), (b"((a)(b))", b"ab", (b"ab", b"ab", b"a", b"b")), (b"()b()", b"abc", (b"b", 2, 3)), (b"(a*)", b"b", (b"", b"")),
    (b"(.-)%s*$", b"x y  ", (b"x y  ", b"x y")), (b"(a?)(b?)c", b"bc", (b"bc", b"", b"b")), (b"(*)", b"*", (b"*", b"*")),
    (b"(.)%1", b"abccd", (b"cc", b"c")), (b"([\"'])(.-)%1", b"x='it\"s'", (b"'it\"s'", b"'", b'it"s')), (b"()%1", b"a", None), (b"(a*)b%1", b"aabaa", (b"aabaa", b"aa")),
    (b"%b()", b"f(a(b)c)d)", (b"(a(b)c)",)), (b"%b()", b"((a)", (b"(a)",)), (b"%b()", b"(((", None), (b"%bxx", b"axbx", (b"xbx",)), (b"%b<>$", b"<a>", (b"<a>",)),
    (b"%f[%w]%w+", b"--ab c", (b"ab",)), (b"%f[%z]", b"ab", (b"",)), (b"%f[%a]a", b"ba a", (b"a",)), (b"THE%f[%A]", b"THEN THE", (b"THE",)),
])
def test_what_matches(pattern, subject, expected):
    assert matched(pattern, subject) == expected


@pytest.mark.parametrize("pattern, words", [
    (b"[a", "missing ']'"), (b"[", "missing ']'"), (b"[^", "missing ']'"), (b"[]", "missing ']'"), (b"[%]", "missing ']'"), (b"a%", "ends with '%'"),
    (b"(a", "unfinished capture"), (b"a)", "without its ("),
    (b"%1", "%1"), (b"(a%1)", "%1"), (b"%0", "%0"), (b"%b", "%b"), (b"%b(", "%b"), (b"%fa", "%f"), (b"%f[a", "missing ']'"), (b"()" * 33, "32 are allowed"),
])
def test_what_is_malformed(pattern, words):
    with pytest.raises(LuaError) as raised:
        matched(pattern, b"abc")
    assert words in raised.value.words and raised.value.line is None and not isinstance(raised.value, TooMuch)


def test_what_is_malformed_behind_what_does_not_match_is_no_error():
    assert matched(b"x[", b"abc") is None and matched(b"x%", b"abc") is None and matched(b"(x", b"abc") is None


def test_a_match_begins_where_it_is_told():
    assert matched(b"a", b"aba", 1) == (b"a",) and find(Pattern(b"a", Meter()), b"aba", 1)[0] == 2
    assert matched(b"^a", b"aba", 1) is None and matched(b"^b", b"aba", 1) == (b"b",) and matched(b"", b"ab", 2) == (b"",)


def test_an_anchor_can_be_a_byte():
    assert Pattern(b"^a", Meter(), may_be_anchored=False).match(b"^a", 0) == (2, ())


@pytest.mark.parametrize("pattern", [b".-.-.-.-x", b".*.*.*.*x", b"(a*)*(a*)*(a*)*x", b"a?" * 40 + b"a" * 40 + b"x", b"(.-)(.-)(.-)(.-)%4x"])
def test_a_match_that_would_take_for_ever_ends(pattern):
    with pytest.raises(TooMuch):
        find(Pattern(pattern, Meter()), b"a" * 3000, 0)


@pytest.mark.parametrize("pattern", [b".-$", b".*", b"a*$", b"(a+)$", b"%b()", b"^(.-)b?$"])
def test_a_long_subject_needs_no_deep_stack(pattern):
    subject = b"a" * 200000 if pattern != b"%b()" else b"(" * 100000 + b")" * 100000
    assert matched(pattern, subject)[0] == subject


def test_a_pattern_of_many_items_needs_no_deep_stack():
    assert matched(b"a?" * 20000, b"a" * 20000) == (b"a" * 20000,)


@pytest.mark.parametrize("pattern, subject", [(b"a", b"b" * 100), (b".-x", b"b" * 100), (b"%b()", b"(" * 100), (b"b*", b"b" * 100), (b"a" * 100, b"")])
def test_every_look_at_a_byte_is_counted(pattern, subject):
    meter = Meter()
    find(Pattern(pattern, meter), subject, 0)
    assert 1000000 - meter.steps >= 100
    with pytest.raises(TooMuch):
        find(Pattern(pattern, Meter(steps=90)), subject, 0)


def test_a_pattern_takes_memory():
    with pytest.raises(TooMuch):
        Pattern(b"a" * 1000, Meter(room=10000))
