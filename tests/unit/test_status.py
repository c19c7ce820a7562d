"""The status report: what a person, or a script written for lsyncd, finds in it."""

import os
import re
import stat
import time
from types import SimpleNamespace

import pytest

from lsyncd_lite.mirror.pair import State
from lsyncd_lite.report.status import line, render, write

WALL = 1700000000
DATE = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(WALL - 60))


def sync(name="www", source=b"/src", target=b"host:/dst/", **more):
    facts = dict(pending=0, in_flight=0, oldest=None, last_success=None, next_try=None, last_error=None, failing_since=None, owed=0, awaits=None, degraded=None, absent=False, lacks=None, guarded=None, state=State.IDLE)
    return SimpleNamespace(config=SimpleNamespace(name=name, source=source, target=target), **{**facts, **more})


def lines(*syncs, watched=5, now=100.0):
    text = render(syncs, watched, now, WALL)
    assert text.endswith("\n") and all(line.isprintable() for line in text.split("\n"))
    return text.split("\n")[:-1]


def test_a_heading_with_the_date_and_the_watches_at_the_end():
    found = lines()
    assert found == ["Lsyncd-lite status report at " + time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(WALL)), "", "Inotify watching 5 directories"]


def test_a_sync_at_rest():
    assert lines(sync(last_success=WALL - 60))[2:-1] == [
        "Sync www source=/src/ target=host:/dst/", "There are 0 delays", "State: idle", "In flight: 0", "Last success: " + DATE, ""]


def test_a_sync_in_trouble():
    found = lines(sync(pending=12, in_flight=3, oldest=58.5, next_try=107.9, last_error="rsync ended with 12", failing_since=WALL - 60, state=State.WAITING))
    assert found[2:-1] == [
        "Sync www source=/src/ target=host:/dst/", "There are 12 delays", "State: waiting", "In flight: 3", "Oldest pending: 41 s", "Last success: never",
        "Next try: in 7 s", "Failing since: " + DATE, "Last error: rsync ended with 12", ""]


def test_times_are_never_negative():
    found = lines(sync(oldest=200.0, next_try=50.0))
    assert "Oldest pending: 0 s" in found and "Next try: in 0 s" in found


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_word(state):
    assert "State: " + state.value in lines(sync(state=state))


def test_what_scripts_look_for_stays():
    text = "\n".join(lines(sync("a", pending=1), sync("b", pending=22), watched=1234))
    assert re.findall(r"^There are (\d+) delays$", text, re.M) == ["1", "22"]
    assert re.findall(r"^Inotify watching (\d+) directories$", text, re.M) == ["1234"]
    assert re.findall(r"^Sync (\S+) source=(\S+)", text, re.M) == [("a", "/src/"), ("b", "/src/")]


def test_no_name_forges_a_line():
    found = lines(sync("a\nThere are 0 delays", b"/s\nState: idle\xff", b"/t\x1b[2J/"))
    assert found.count("There are 0 delays") == 1 and "Sync a\\nThere are 0 delays source=/s\\nState: idle\\xff/ target=/t\\x1b[2J/" in found


def test_the_root_as_source_has_one_slash():
    assert "Sync www source=/ target=host:/dst/" in lines(sync(source=b"/"))


def test_the_file_is_replaced_at_once_and_is_not_for_all(tmp_path):
    path = os.fsencode(str(tmp_path / "status"))
    write(path, "old\n")
    with open(path) as old:
        write(path, "new\n")
        assert old.read() == "old\n"
    assert (tmp_path / "status").read_text() == "new\n" and os.listdir(str(tmp_path)) == ["status"]
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o137 == 0


def test_links_are_replaced_and_not_followed(tmp_path):
    (tmp_path / "victim").write_text("safe")
    for name in "status", "status.new":
        (tmp_path / name).symlink_to("victim")
    write(os.fsencode(str(tmp_path / "status")), "text")
    assert (tmp_path / "victim").read_text() == "safe" and not (tmp_path / "status").is_symlink() and (tmp_path / "status").read_text() == "text"


def test_a_directory_that_is_gone_is_an_oserror_and_nothing_is_left(tmp_path):
    with pytest.raises(OSError):
        write(os.fsencode(str(tmp_path / "gone" / "status")), "text")
    (tmp_path / "status").mkdir()
    with pytest.raises(OSError):
        write(os.fsencode(str(tmp_path / "status")), "text")
    assert os.listdir(str(tmp_path)) == ["status"]


# ---- the one line for a service manager -------------------------------------------------------------

def test_the_line_counts_the_syncs_by_what_they_are_at():
    assert line([sync()]) == "1 sync: 1 idle"
    assert line([sync("a", state=State.SYNCING), sync("b"), sync("c")]) == "3 syncs: 1 syncing, 2 idle"


def test_the_line_names_who_is_in_trouble_and_why():
    waiting = sync("www", state=State.WAITING, last_error="rsync ended with 10")
    assert line([sync("a"), waiting]) == "2 syncs: 1 idle, 1 waiting (www: rsync ended with 10)"
    assert line([sync(state=State.ABSENT, absent=True, lacks="source /src is missing", last_error="old")]) == "1 sync: 1 no source (www: source /src is missing)"
    assert line([sync(state=State.GUARDED, guarded="it would delete 5 files")]) == "1 sync: 1 held by maxDelete (www: it would delete 5 files)"
    assert line([sync(state=State.DEGRADED, degraded="too few watches")]) == "1 sync: 1 degraded (www: too few watches)"


def test_the_line_does_not_grow_with_the_number_of_troubles():
    found = line([sync(name, state=State.WAITING, last_error="bad") for name in "edcba"])
    assert found == "5 syncs: 5 waiting (a: bad; b: bad; c: bad; and 2 more)"
