"""INI text → sections: what belongs to a value and what does not; every error with its line."""

import pytest

from lsyncd_lite.config import ini


def read(text):
    """Return {section title: {key: raw}} and the errors; a sync's title is its name."""
    sections, errors = ini.read(text, "F")[:2]
    found = {}
    for section in sections:
        entries = {entry.key: entry.raw for entry in section.entries}
        found[section.kind if section.kind == "settings" else "sync " + entries.get("name", "")] = entries
    return found, errors


def values(text):
    """Return {key: raw} of lines within [settings], which have no errors."""
    found, errors = read("[settings]\n" + text)
    assert errors == []
    return found["settings"]


@pytest.mark.parametrize("text, expected", [
    ("a = b", {"a": "b"}),
    ("a=b", {"a": "b"}),
    ("  a  =  b  ", {"a": "b"}),
    ("\ta\t=\tb\t", {"a": "b"}),
    ("Ab = CD", {"Ab": "CD"}),                                       # case is kept
    ("rsync.archive = yes", {"rsync.archive": "yes"}),
    ("ssh.options.Xy = no", {"ssh.options.Xy": "no"}),
    ("a = b = c", {"a": "b = c"}),                                   # the first = divides
    ("a == b", {"a": "= b"}),
    ("a =", {"a": ""}),
    ("a = 100% %(x)s %%", {"a": "100% %(x)s %%"}),                   # no interpolation
    ("a = x ; y # z", {"a": "x ; y # z"}),                           # no comments within a line
    ("a = ;x", {"a": ";x"}),
    ("a = #x", {"a": "#x"}),
    ("a = [b]", {"a": "[b]"}),
    ("a = \"b\" 'c' \\d $e", {"a": "\"b\" 'c' \\d $e"}),             # no quoting
    ("a = b:c", {"a": "b:c"}),
    ("a: = b", {"a:": "b"}),
    ("a = b\n# c\n; d\n  # e\ne = f", {"a": "b", "e": "f"}),         # comments
    ("a =\n  b\n  c", {"a": "b\nc"}),                                # continuation: one item a line
    ("a =\n\tb\n c", {"a": "b\nc"}),
    ("a = b\n c", {"a": "b\nc"}),
    ("a =\n  b\n\n  c", {"a": "b\nc"}),
    ("a =\n  b\n  # no\n; no\n  c", {"a": "b\nc"}),
    ("a =\n  b = c", {"a": "b = c"}),
    ("a =\n  [b]", {"a": "[b]"}),
    ("a =\n  + x y\n  - *", {"a": "+ x y\n- *"}),
    ("  a = b", {"a": "b"}),                                         # indented, but nothing to go on with
    ("a = \udcff\u00e9", {"a": "\udcff\u00e9"}),
    ("a = x\u2028y\x0bz\x85w", {"a": "x\u2028y\x0bz\x85w"}),           # only \n ends a line
    ("a = x\u00a0", {"a": "x\u00a0"}),                               # only blanks and tabs are blank
    ("a = \u3000x", {"a": "\u3000x"}),
    ("", {}),
    ("\n\n# only a comment\n", {}),
])
def test_values(text, expected):
    assert values(text) == expected
    assert values(text + "\n") == expected


def test_sections():
    found, errors = read("[settings]\na = 1\n[sync www]\na = 2\n[ sync  x y ] \na = 3\n[sync]\na = 4\n")
    assert errors == []
    assert found == {"settings": {"a": "1"}, "sync www": {"name": "www", "a": "2"}, "sync x y": {"name": "x y", "a": "3"}, "sync ": {"a": "4"}}


def test_each_entry_and_section_tells_where_it_stands():
    sections = ini.read("\n[settings]\n\na = 1\n[sync www]\nb =\n  2\n", "F").sections
    assert [(section.where, section.line) for section in sections] == [("F:2", 2), ("F:5", 5)]
    assert [entry.where for section in sections for entry in section.entries] == ["F:4: a", "F:5: name", "F:6: b"]
    assert [entry.line for section in sections for entry in section.entries] == [4, 5, 6]


@pytest.mark.parametrize("text, expected", [
    ("a = 1", ["F:1: a: stands before the first section; "]),
    ("[settings]\nnonsense", ["F:2: nonsense: neither "]),
    ("-- of lsyncd\nsettings {\n  logfile = '/x',\n}\nsync { default.rsync, source = '/a' }", ["F:2: this is Lua, "]),
    ("settings = {", ["F:1: this is Lua, "]), ("[settings]\nsync{", ["F:2: this is Lua, "]),
    ("[settings]\na = 1\nb = 2\na = 3", ["F:4: a: given twice, first on line 2"]),
    ("[settings]\na = 1\n[settings]\nb = 1", ["F:3: [settings]: given twice, first on line 1"]),
    ("[sync x]\n[sync y]\n[sync x]", ["F:3: [sync x]: given twice, first on line 1"]),
    ("[sync]\n[sync]", ["F:2: [sync]: given twice, first on line 1; write [sync NAME]"]),
    ("[nonsense]", ["F:1: [nonsense]: unknown section; "]),
    ("[Settings]", ["F:1: [Settings]: unknown section; "]),
    ("[settings", ["F:1: [settings: unknown section; "]),
    ("[settings x]", ["F:1: [settings x]: unknown section; "]),
    ("[]", ["F:1: []: unknown section; "]),
    ("[sync x] # y", ["F:1: [sync x] # y: unknown section; "]),
    ("a = 1\n[settings]\nx\n[bad]\nb = 1\nb = 2", ["F:1: a: ", "F:3: x: ", "F:4: [bad]: ", "F:6: b: given twice, first on line 5"]),
    ("[settings]\nbad\x1b[31m\udcff", ["F:2: bad\\x1b[31m\\xff: neither "]),
])
def test_every_error_has_its_line(text, expected):
    errors = read(text)[1]
    assert len(errors) == len(expected) and all(error.startswith(start) for error, start in zip(errors, expected)), errors
    assert all(error.isprintable() for error in errors)


def test_the_items_of_a_broken_line_are_not_errors_of_their_own():
    assert len(read("[settings]\nexclude\n  a\n  b\nc = d")[1]) == 1


def test_what_follows_an_error_is_still_read():
    found, errors = read("[settings]\nbad\na = 1\n[bad]\n[sync x]\nb = 2")
    assert len(errors) == 2 and found == {"settings": {"a": "1"}, "sync x": {"name": "x", "b": "2"}}


@pytest.mark.parametrize("text, expected", [
    ("a = <<END\n  b\n\n# c\n;; d\t \n\\\nEND", "  b\n\n# c\n;; d\t \n\\"),  # lines as they are
    ("a = <<END\n[sync x]\nb = c\n END\nENDE\nEND", "[sync x]\nb = c\n END\nENDE"),
    ("a=<<1_x\nEND\n1_x \t", "END"),
    ("a = <<END\nEND", ""), ("a = <<END\n\nEND", ""), ("a = <<END\n\n\nEND", "\n"),
    ("a = <<END\n<<END\nEND", "<<END"), ("a = <<END\nb\rc\nEND", "b\rc"),
    ("a = <<END\nsettings = {\nEND", "settings = {"),
    ("a = <<END x", "<<END x"), ("a = << END", "<< END"), ("a = <<-END", "<<-END"), ("a = <<<END", "<<<END"), ("a = <<", "<<"), ("a = x<<END", "x<<END"),
    ("a =\n  <<END\n  x", "<<END\nx"), ("a = x\n  <<END", "x\n<<END"),           # only where the value begins
    ("a = <<\u00e9", "<<\u00e9"),
])
def test_a_here_document_holds_what_nothing_else_can(text, expected):
    assert values(text) == {"a": expected}
    assert values("x = 1\n" + text + "\n\n# z\ny = 2\n") == {"x": "1", "a": expected, "y": "2"}


def test_a_here_document_without_an_end_is_one_error_that_tells_where_it_began():
    text = "[settings]\na = 1\nb = <<END\nc = 2\n  END\n[nonsense]\n"
    found, errors = read(text)
    assert errors == ["F:3: b: the text that begins here has no end; allowed: a line that is END alone, with no blank before it"]
    assert len(read("b = <<END")[1]) == 2 and len(read(text.replace("b", "a"))[1]) == 2


def test_what_is_indented_after_a_here_document_is_no_part_of_it():
    assert values("a = <<END\nx\nEND\n  b = c") == {"a": "x", "b": "c"}
    assert read("[settings]\na = <<END\nx\nEND\n  b")[1] == ['F:5: b: neither "KEY = VALUE", a [section], a comment nor an indented list item']


def test_an_entry_tells_whether_its_lines_were_indented():
    entries = ini.read("[settings]\na = <<X\nb\nX\nc =\n  d\n", "F").sections[0].entries
    assert [(entry.key, entry.is_indented) for entry in entries] == [("a", False), ("c", True)]


@pytest.mark.parametrize("text, expected", [
    ("# a\n; b\n  #c \n#\n[settings]\na = 1 # no\n#e", [(1, " a"), (2, " b"), (3, "c"), (4, ""), (7, "e")]),
    ("[settings]\na =\n  x\n  # b\n# c\n\n  y\n# d\nb = 2", [(2, " b"), (2, " c"), (8, " d")]),  # those within a list are of its key
    ("[settings]\na = <<X\n# b\nX\n# c", [(5, " c")]),
    ("# \udcff", [(1, " \udcff")]),
])
def test_comments_are_told(text, expected):
    assert ini.read(text, "F").comments == expected


@pytest.mark.parametrize("title, name", [("[sync x]]", "x]"), ("[sync []]", "[]"), ("[sync  x\u00a0 ]", "x\u00a0"), ("[sync\u3000x]", None), ("[sync ]]", "]")])
def test_a_name_is_what_the_brackets_hold(title, name):
    reading = ini.read(title, "F")
    assert [entry.raw for section in reading.sections for entry in section.entries] == ([] if name is None else [name])
    assert bool(reading.errors) == (name is None)


def test_a_name_within_a_named_section_is_a_key_given_twice():
    assert read("[sync x]\nname = y")[1]
