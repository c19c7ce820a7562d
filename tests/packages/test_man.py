"""The manual pages as mandoc, groff and man-db see them."""

import gzip
import os
import re
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = sorted((CHECKOUT / "man").glob("*.[1-8]"))
IDS = [page.name for page in PAGES]
HEADINGS = {"lsyncd-lite.1": ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SIGNALS", "STATUS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"],
            "lsyncd-lite-migrate.7": ["NAME", "DESCRIPTION", "THE SHORT WAY", "RUN THE SAME FILE", "CONVERT IT", "WHAT OF LUA IS EVALUATED", "OLDER NAMES", "LAYER 3, ACTIONS", "FUNCTIONS",
                                      "SIDE BY SIDE", "STOPPING LSYNCD, STARTING LSYNCD-LITE", "MONITORING", "FILES", "SEE ALSO"],
            "lsyncd-lite.conf.5": ["NAME", "DESCRIPTION", "SETTINGS", "SYNCS", "FILES", "EXAMPLES", "SEE ALSO"]}


def run(*argv, **environ):
    """Run a program; return what it printed on either stream."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAN", "GROFF", "LC_", "LANG"))}
    ended = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                           env=dict(clean, LC_ALL="C.UTF-8", **environ))
    text = ended.stdout.decode("utf-8")
    assert ended.returncode == 0, text
    return text


def plain(text):
    """Return rendered text without bold and underlined characters."""
    return re.sub("\x1b\\[[0-9;]*m", "", re.sub(".\b", "", text))


def test_all_pages_are_there():
    assert IDS == sorted(HEADINGS)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_mandoc_has_nothing_to_say(page):
    ended = subprocess.run(["mandoc", "-T", "lint", "-W", "all", str(page)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    # which other manuals are installed here is no matter of ours
    lines = [line for line in ended.stdout.splitlines() if "referenced manual not found" not in line]
    assert lines == []
    assert [line for line in ended.stderr.splitlines() if "outdated mandoc.db" not in line] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
@pytest.mark.parametrize("macros", ["-mdoc", "-mandoc"])
def test_groff_has_nothing_to_say(page, macros):
    assert run("groff", "-t", macros, "-ww", "-z", page) == ""
    assert run("groff", "-t", macros, "-ww", "-z", "-K", "utf8", "-T", "utf8", page) == ""


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_man_has_nothing_to_say_as_lintian_asks_it(page):
    ended = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                           env=dict(os.environ, LC_ALL="C.UTF-8", MANROFFSEQ="", MANWIDTH="80"))
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_lexgrog_finds_the_name_and_the_description(page):
    name = page.name.rpartition(".")[0]
    assert re.fullmatch(r'%s: "%s - [a-z].*[^.]"\n' % (re.escape(str(page)), re.escape(name)), run("lexgrog", page))


def literal(page):
    """Return the lines of a page that are shown as they are."""
    blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", page.read_text(encoding="utf-8"), re.S | re.M)
    lines = [line for block in blocks for line in block.split("\n")]
    for escape, char in (("\\&", ""), ("\\-", "-"), ("\\(aq", "'"), ("\\(ga", "`"), ("\\(ha", "^"), ("\\(ti", "~"), ("\\e", "\\")):
        lines = [line.replace(escape, char) for line in lines]
    return [line for line in lines if line]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("program", ["man", "mandoc"])
def test_a_terminal_shows_all_of_it_and_no_line_is_too_long(page, width, program):
    argv = ["man", "-P", "cat", "-l", page] if program == "man" else ["mandoc", "-T", "utf8", "-O", "width=%d" % width, page]
    lines = plain(run(*argv, MANWIDTH=str(width))).splitlines()
    stripped = {line.strip() for line in lines}
    for heading in HEADINGS[page.name]:
        assert heading in lines
    examples = {line.strip() for line in literal(page)} | {line[4:].strip() for line in page.read_text(encoding="utf-8").splitlines() if line.startswith(".Dl ")}
    for line in literal(page):
        assert line.strip() in stripped, line
    long = [line for line in lines if len(line) > width and not (width < 80 and line.strip() in examples)]
    assert long == []
    for line in lines:  # nothing of the source is left
        assert not re.match(r"\s*\.[A-Z][a-z]\b", line) and "\\(" not in line and "\\&" not in line and "\\-" not in line, line
        assert not re.search(r"\b(No|Ns|Fl|Cm|Ar|Pq|Xr|Sx|Li|Ql) [A-Za-z-]+ = ", line), line


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_installed_it_is_found_by_its_name_and_by_what_it_is_for(page, tmp_path):
    name, _dot, section = page.name.rpartition(".")
    for other in PAGES:
        directory = tmp_path / ("man" + other.name[-1])
        directory.mkdir()
        (directory / (other.name + ".gz")).write_bytes(gzip.compress(other.read_bytes()))
    assert run("man", "-M", tmp_path, "-w", section, name) == "%s/man%s/%s.gz\n" % (tmp_path, section, page.name)
    assert HEADINGS[page.name][1] in plain(run("man", "-P", "cat", "-M", tmp_path, section, name, MANWIDTH="80")).splitlines()
    run("mandb", "-q", "-c", "-u", tmp_path)
    assert run("whatis", "-M", tmp_path, name).startswith("%s (%s)" % (name, section))
    assert page.name.rpartition(".")[0] in run("apropos", "-M", tmp_path, "mirror")


def test_the_pages_refer_to_each_other_and_to_none_of_ours_that_is_missing():
    for page in PAGES:
        found = set(re.findall(r"^\.Xr (lsyncd-lite\S*) (\d)", page.read_text(encoding="utf-8"), re.M))
        assert found and {"%s.%s" % pair for pair in found} <= set(IDS)


def test_shellcheck_has_nothing_against_the_completion():
    assert run("shellcheck", "-s", "bash", CHECKOUT / "contrib" / "completion" / "lsyncd-lite") == ""
