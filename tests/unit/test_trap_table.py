"""The table of known traps in tests/README.md and the marks `# trap N` before tests say the same."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ALL = range(1, 41)


def marked():
    """Return {"test_x.py::test_y" ("unit/…" where it is one): its set of numbers}; a mark stands right before its test."""
    found = {}
    for path in sorted(TESTS.glob("*/test_*.py")):
        lines = path.read_text().split("\n")
        for number, line in enumerate(lines):
            if not re.match(r"\s*# traps?\b", line) or path == Path(__file__):
                continue
            assert re.fullmatch(r"# trap \d+(, \d+)*", line), "%s:%d: %s" % (path, number + 1, line)
            rest = lines[number + 1:]
            while not rest[0].startswith("def "):
                assert re.match(r"[@\s)\]]", rest[0]), "%s:%d: no test follows" % (path, number + 1)
                rest.pop(0)
            name = re.match(r"def (test_\w+)\(", rest[0]).group(1)
            folder = "" if path.parent.name == "system" else path.parent.name + "/"
            found["%s%s::%s" % (folder, path.name, name)] = set(map(int, re.findall(r"\d+", line)))
    return found


def told():
    """Return {number: (the set of its tests, the text of its last cell)}."""
    rows = {}
    for line in (TESTS / "README.md").read_text().split("\n"):
        match = re.fullmatch(r"\| (\d+) \| (.*?) \| (.*?) \| (.*) \|", line)
        if match:
            assert int(match.group(1)) not in rows, line
            rows[int(match.group(1))] = set(re.findall(r"`(.*?)`", match.group(4))), match.group(4)
    return rows


def test_every_trap_has_a_row_with_tests_or_says_what_is_not_there_yet():
    rows = told()
    assert list(rows) == list(ALL)
    for number, (tests, text) in rows.items():
        assert bool(tests) != text.startswith("not yet: "), "trap %d: %s" % (number, text)


def test_the_table_and_the_marks_agree():
    of_tests, rows = marked(), told()
    assert set().union(*of_tests.values()) <= set(ALL)
    for number in ALL:
        wanted = {name for name, numbers in of_tests.items() if number in numbers}
        assert rows[number][0] == wanted, "trap %d: only in the table %s, only marked %s" % (
            number, sorted(rows[number][0] - wanted), sorted(wanted - rows[number][0]))


def test_every_check_of_the_packages_is_listed():
    listed = set(re.findall(r"^  \| `(test_\w+\.py)` \|", (TESTS / "README.md").read_text(), re.M))
    assert listed == {path.name for path in (TESTS / "packages").glob("test_*.py")}
