"""${NAME} and ${file:PATH}: what is put in, what is left alone, what is an error and says nothing of a secret."""

import pytest

from lsyncd_lite.config.expansion import ALLOWED, expand, expand_all

VARIABLES = {"A": "1", "LONG_name2": "host", "EMPTY": "", "DOLLAR": "${A} $${ $A", "LINES": "x\ny", "_": "u", "BYTES": "\udcff"}
FILES = {"/f": "one", "/two": "a\nb", "rel/x y": "r", "/$a:b": "odd", "/empty": ""}


def variable(name):
    if name not in VARIABLES:
        raise ValueError("no such variable")
    return VARIABLES[name]


def content(name):
    if name not in FILES:
        raise ValueError("no such file")
    return FILES[name]


@pytest.mark.parametrize("text, expected", [
    ("", ""), ("x", "x"), ("${A}", "1"), ("a${A}b${A}${A}", "a1b11"), ("${LONG_name2}:/x", "host:/x"), ("${_}", "u"), ("${EMPTY}", ""),
    ("x${EMPTY}y", "xy"), ("${BYTES}", "\udcff"), ("${LINES}", "x\ny"),
    ("$", "$"), ("$A", "$A"), ("$$", "$$"), ("$$A", "$$A"), ("$(x)", "$(x)"), ("$ {A}", "$ {A}"), ("a$", "a$"), ("{A}", "{A}"), ("$}", "$}"),
    ("$1 $? $$ \\$", "$1 $? $$ \\$"), ("^source", "^source"), ("%A%", "%A%"),
    ("$${A}", "${A}"), ("$${", "${"), ("$$${A}", "$${A}"), ("$${}", "${}"), ("$${file:/f}", "${file:/f}"), ("$${A} ${A}", "${A} 1"),
    ("${A}$${A}", "1${A}"), ("${A}}", "1}"), ("{${A}}", "{1}"), ("$A${A}", "$A1"),
    ("${DOLLAR}", "${A} $${ $A"),  # once is enough
    ("${file:/f}", "one"), ("x${file:/f}y${A}", "xoney1"), ("${file:/two}", "a\nb"), ("${file:rel/x y}", "r"), ("${file:/$a:b}", "odd"), ("${file:/empty}", ""),
])
def test_what_is_put_in(text, expected):
    assert expand(text, variable, content) == (expected, [])


@pytest.mark.parametrize("text, shown", [
    ("${}", "${}"), ("${", "${"), ("x${y", "${y"), ("${A", "${A"), ("${A B}", "${A B}"), ("${ A}", "${ A}"), ("${1}", "${1}"), ("${1A}", "${1A}"), ("${A-b}", "${A-b}"),
    ("${A:-x}", "${A:-x}"), ("${a.b}", "${a.b}"), ("${file}:", None), ("${file:}", "${file:}"), ("${File:/f}", "${File:/f}"), ("${env:A}", "${env:A}"),
    ("${\u00e9}", "${\u00e9}"), ("${#A}", "${#A}"), ("${!A}", "${!A}"), ("${A${A}}", "${A${A}"), ("${file:/f", "${file:/f"), ("${a\nb}", "${a"), ("${\x1b}", "${\\x1b}"),
])
def test_what_is_no_variable_says_what_is_allowed(text, shown):
    found, problems = expand(text, variable, content)
    if shown is None:
        assert problems == ["${file}: no such variable"]
    else:
        assert problems == ["%s: allowed: %s" % (shown, ALLOWED)] and "$${" in ALLOWED and "${NAME}" in ALLOWED and "${file:PATH}" in ALLOWED
    assert all(problem.isprintable() for problem in problems)


def test_each_that_has_nothing_to_stand_for_is_told_and_the_others_are_not():
    found, problems = expand("${A} ${NOPE} ${file:/f} ${file:/no\udcff} ${x y}", variable, content)
    assert problems == ["${NOPE}: no such variable", "${file:/no\\xff}: no such file", "${x y}: allowed: " + ALLOWED]


@pytest.mark.parametrize("raw, expected, written", [
    ("plain\n$x", "plain\n$x", None), ("", "", None), (5, 5, None), (True, True, None), (None, None, None), ({}, {}, None), ([], [], None),
    (["a", 5, None], ["a", 5, None], None),
    ("${A}", "1", {"1": "${A}"}),
    ("a\nh:${A}\n${LINES}", "a\nh:1\nx\ny", {"a": "a", "h:1": "h:${A}", "x": "${LINES}", "y": "${LINES}"}),
    ("${EMPTY}", "", {"": "${EMPTY}"}),
    (["a", "h:${A}"], ["a", "h:1"], {"h:1": "h:${A}"}), (["${file:/two}", 3, "z"], ["a", "b", 3, "z"], {"a": "${file:/two}", "b": "${file:/two}"}),
    (["$${"], ["${"], {"${": "$${"}), ([["${A}"]], [["${A}"]], None),
])
def test_raw_values_know_how_each_of_their_lines_was_written(raw, expected, written):
    assert expand_all(raw, variable, content) == (expected, [], written)


def test_problems_of_all_lines_come_at_once():
    assert expand_all("${NO}\nx\n${A}\n${NOR}", variable, content)[1] == expand_all(["${NO}", "${A}", "${NOR}"], variable, content)[1] == [
        "${NO}: no such variable", "${NOR}: no such variable"]
