"""Bytes, text and what people see of them."""

import random

import pytest

from lsyncd_lite.paths import below, join, listed, show, split, to_bytes, to_text


@pytest.mark.parametrize("path", [b"", b"a", b"\xff\xfe", b"\xc3\xa9", b"a\xc3", b"\x00\x01\x7f\x80", bytes(range(256))])
def test_bytes_survive_the_way_to_text_and_back(path):
    assert to_bytes(to_text(path)) == path


def test_a_lone_surrogate_has_no_bytes():
    for text in "\ud800", "a\udfff":
        with pytest.raises(ValueError):
            to_bytes(text)


@pytest.mark.parametrize("path, expected", [
    (b"/a b/c.d", "/a b/c.d"), (b"\xc3\xa9\xf0\x9f\x98\x80", "\u00e9\U0001f600"), (b"a\nb", "a\\nb"), (b"a\rb\tc", "a\\rb\\tc"), (b"\x1b[31m", "\\x1b[31m"),
    (b"a\x00", "a\\x00"), (b"\x7f", "\\x7f"), (b"\xff\xfe", "\\xff\\xfe"), (b"a\\nb", "a\\\\nb"), ("\u202egpj".encode(), "\\u202egpj"),
    ("\u2028\u200b\u00a0".encode(), "\\u2028\\u200b\\xa0"), ("\ud800", "\\ud800"), ("\U000e0001".encode(), "\\U000e0001"), (b"", ""), ("text", "text"),
    ("\udcff", "\\xff"), (b"'\"`$()", "'\"`$()"),
])
def test_show(path, expected):
    assert show(path) == expected


def test_whatever_is_shown_is_one_printable_line():
    rnd = random.Random(1)
    for _number in range(300):
        path = bytes(rnd.randrange(256) for _ in range(rnd.randrange(30)))
        words = show(path)
        assert words.isprintable() and len(words.splitlines()) <= 1
        words.encode("utf-8")  # for any log
    assert show(show(b"a\nb")) == "a\\\\nb"  # escaped twice is told from escaped once


@pytest.mark.parametrize("directory, name, expected", [
    (b"", b"", b""), (b"", b"a", b"a"), (b"d", b"", b"d"), (b"d", b"a", b"d/a"), (b"/", b"a", b"/a"), (b"/d", b"a/b", b"/d/a/b"), (b"/", b"", b"/"),
    (b"d", b"a\xff", b"d/a\xff")])
def test_join(directory, name, expected):
    assert join(directory, name) == expected


@pytest.mark.parametrize("path, directory, expected", [
    (b"/a", b"/a", b""), (b"/a/b", b"/a", b"b"), (b"/a/b/c", b"/a", b"b/c"), (b"/ab", b"/a", None), (b"/", b"/a", None), (b"/a", b"/a/b", None),
    (b"/a", b"/", b"a"), (b"/a/b", b"/", b"a/b"), (b"/", b"/", b""), (b"/A", b"/a", None)])
def test_below(path, directory, expected):
    assert below(path, directory) == expected


@pytest.mark.parametrize("path, directory, name", [
    (b"a", b"", b"a"), (b"d/a", b"d", b"a"), (b"d/e/a", b"d/e", b"a"), (b"/a", b"/", b"a"), (b"/d/a", b"/d", b"a"), (b"", b"", b""), (b"/", b"/", b""), (b"d/\n", b"d", b"\n"),
    (b"d/\xff", b"d", b"\xff"), (b"...", b"", b"...")])
def test_split(path, directory, name):
    assert split(path) == (directory, name)
    assert join(directory, name) == path


@pytest.mark.parametrize("names, words", [([], "none"), (["a"], "a"), (list("abcdefghij"), "a, b, c, d, e, f, g, h, i, j"), (["a"] * 300, ", ".join(["a"] * 10) + " and 290 more")])
def test_of_many_names_some_are_listed(names, words):
    assert listed(names) == words
