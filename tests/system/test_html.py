"""`lsyncd-lite status -html`: the page of a real daemon, written where somebody wants it."""

import os
import re
import stat

import pytest

from harness import make, sync


@pytest.fixture
def running(src, dst, daemon):
    make(src, "f")
    one = daemon(sync(src, dst, "www <b>", canary=".canary"), wait=False)
    one.wait_log("full sync finished")
    return one


def test_a_page_is_written_as_the_umask_says_and_replaced_at_once(running, cli, tmp_path):
    place = tmp_path / "page.html"
    old = os.umask(0o022)
    try:
        assert cli("status", "-html", place).returncode == 0
        first = place.stat()
        assert stat.S_IMODE(first.st_mode) == 0o644
        with open(str(place)) as before:
            os.umask(0o077)
            assert cli("status", "--html=%s" % place).returncode == 0
            assert before.read().endswith("</html>\n"), "who reads the old one has all of it"
    finally:
        os.umask(old)
    assert place.stat().st_ino != first.st_ino and stat.S_IMODE(place.stat().st_mode) == 0o600
    text = place.read_text()
    assert "www &lt;b&gt;" in text and "<b>" not in text and str(running.conf) in text and os.uname().nodename in text
    assert {path.name for path in tmp_path.iterdir()} >= {"page.html"} and not (tmp_path / "page.html.new").exists()


def test_it_may_be_the_standard_output(running, cli):
    for name in "-", "/dev/stdout":
        told = cli("status", "-html", name)
        assert told.returncode == 0 and told.stderr == "" and told.stdout.startswith("<!doctype html>") and told.stdout.endswith("</html>\n"), told


def test_a_daemon_that_is_gone_leaves_no_page_that_looks_well(running, cli, tmp_path):
    place = tmp_path / "page.html"
    cli("status", "-html", place)
    running.stop()
    told = cli("status", "-html", place)
    assert told.returncode == 255 and told.stderr.startswith("no lsyncd-lite runs"), told
    assert cli("status", "-html", place, "-json").stderr == "option -html: not with -json\n"
    text = place.read_text()
    assert "no answer" in text and "no lsyncd-lite runs" in text and "<article" not in text


def test_a_link_is_replaced_and_not_followed(running, cli, tmp_path):
    (tmp_path / "precious").write_text("x")
    (tmp_path / "page.html").symlink_to("precious")
    assert cli("status", "-html", tmp_path / "page.html").returncode == 0
    assert (tmp_path / "precious").read_text() == "x" and not (tmp_path / "page.html").is_symlink()


def test_what_cannot_be_written_is_one_line(running, cli, tmp_path):
    for name, words in ((tmp_path / "no" / "page.html", "No such file"), (tmp_path, "directory")):
        told = cli("status", "-html", name)
        assert told.returncode == 255 and told.stdout == "" and re.fullmatch("cannot write the page .*: .*%s.*\n" % words, told.stderr), told
