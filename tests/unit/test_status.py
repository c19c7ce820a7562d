"""The status report: what a person, or a script written for lsyncd, finds in it."""

import os
import re
import stat
import time
from types import SimpleNamespace

import pytest

from lsyncd_lite.mirror.pair import State
from lsyncd_lite.errors import Fatal
from lsyncd_lite.paths import show
from lsyncd_lite.report import status
from lsyncd_lite.report.snapshot import DAEMON
from lsyncd_lite.report.status import line, parse, read, render, write

WALL = 1700000000
DATE = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(WALL - 60))


def of_sync(name="www", source="/src", target="host:/dst/", **more):
    """Return what a snapshot says of one sync."""
    return {**status._UNTOLD, **dict(name=name, section=name, mode="rsync", source=source, target=target, state="idle"), **more}


def shot(*syncs, **more):
    return {"program": "lsyncd-lite", "version": "0.1.0", "pid": 7, "at": float(WALL), **DAEMON, "watches": 5, **more, "syncs": list(syncs)}


def lines(*syncs, **more):
    text = render(shot(*syncs, **more))
    assert text.endswith("\n") and all(line.isprintable() for line in text.split("\n"))
    return text.split("\n")[:-1]


def test_a_heading_with_the_date_and_the_watches_at_the_end():
    found = lines()
    assert found == ["Lsyncd-lite status report at " + time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(WALL)), "", "Inotify watching 5 directories",
                     "Version: 0.1.0", "Pid: 7", "Clock: %d" % WALL]


def test_a_sync_at_rest():
    assert lines(of_sync(last_success=WALL - 60.0))[2:8] == [
        "Sync www source=/src/ target=host:/dst/", "There are 0 delays", "State: idle", "In flight: 0", "Last success: " + DATE, "Mode: rsync"]


def test_a_sync_in_trouble():
    found = lines(of_sync(queued=12, in_flight=3, oldest=41.5, next_try=7.9, last_error="rsync ended with 12", failing_since=WALL - 60.0, state="waiting"))
    assert found[2:-4] == [
        "Sync www source=/src/ target=host:/dst/", "There are 12 delays", "State: waiting", "In flight: 3", "Oldest pending: 41 s", "Last success: never",
        "Next try: in 7 s", "Failing since: " + DATE, "Last error: rsync ended with 12", "Mode: rsync", ""]


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_word(state):
    assert "State: " + state.value in lines(of_sync(state=state.value))


def test_what_scripts_look_for_stays():
    text = "\n".join(lines(of_sync("a", queued=1), of_sync("b", queued=22), watches=1234))
    assert re.findall(r"^There are (\d+) delays$", text, re.M) == ["1", "22"]
    assert re.findall(r"^Inotify watching (\d+) directories$", text, re.M) == ["1234"]
    assert re.findall(r"^Sync (\S+) source=(\S+)", text, re.M) == [("a", "/src/"), ("b", "/src/")]


def test_no_name_forges_a_line():
    found = lines(of_sync(*map(show, (b"a\nThere are 0 delays", b"/s\nState: idle\xff", b"/t\x1b[2J/"))))
    assert found.count("There are 0 delays") == 1 and "Sync a\\nThere are 0 delays source=/s\\nState: idle\\xff/ target=/t\\x1b[2J/" in found


def test_the_root_as_source_has_one_slash():
    assert "Sync www source=/ target=host:/dst/" in lines(of_sync(source="/"))


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


# ---- and back --------------------------------------------------------------------------------------

FULL = of_sync(
    "www-2", section="www", paused=True, queued=12, in_flight=3, oldest=41.0, last_success=WALL - 60.0, lag=1.25, rate=1200, failing_since=WALL - 90.0,
    last_error="rsync ended with 12: State: idle", next_try=0.0, held="it would delete 3 files", lacks="source /src is missing", degraded="too few watches", owed=2,
    progress={"bytes": 123, "percent": 43, "files": 0, "of": None, "rate": 12.5, "left": None},
    canary={"file": ".canary age=3 x", "age": 3.0, "lag": None, "late": True, "trouble": "cannot write: it"}, state="held by maxDelete")


@pytest.mark.parametrize("facts", [
    of_sync(), FULL, of_sync(source="/"), of_sync("a b", "/x y", "h:/z z"), of_sync("x source=/s/ target=/t", "/a source=/b target=/c", "/d target=/e source=/"),
    of_sync("x", "/a target=/e", "/b"), of_sync("x source=", "/s/", "/t"), of_sync("", "", ""), of_sync("Sync x", "/There are 5 delays", "State: failed"),
    of_sync(*map(show, (b"a\n\nSync b source=/x target=/y", b"/\xff\\", "/中文/\u202e".encode()))), of_sync(last_error="x\\n: : ", state="a: b")],
    ids=lambda facts: facts["name"][:20] or "empty")
def test_what_was_written_is_read_again(facts):
    other = of_sync("other", queued=1)
    for syncs in [facts], [facts, other], [other, facts]:
        found = shot(*syncs, started=WALL - 1000.0, configuration="/etc/Sync a source=b target=c", refused="x: y", stopping="signal 15", watches_limit=8192, polled=4, overflows=0, memory=1 << 20)
        assert parse(render(found)) == found


def test_a_daemon_of_which_little_is_known_is_read_again():
    assert parse(render(shot())) == shot()


def test_a_file_that_was_written_in_another_zone_has_the_same_times(monkeypatch):
    text, found = render(shot(FULL, started=WALL - 5.0)), shot(FULL, started=WALL - 5.0)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert parse(text) == found
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_somebody_has_written_into_it_is_left_out():
    text = render(shot(of_sync(queued=3, oldest=4.0))).replace("Oldest pending: 4 s", "Oldest pending: x").replace("Pid: 7", "Pid: \x1b[2J\nnonsense\n: \nIn flight: 9")
    assert parse(text) == shot(of_sync(queued=3), pid=None)
    assert parse(text.replace("Last success: never", "Last success: 2023-99-01 00:00:00\nNext try: \nProgress: percent=x")) == shot(of_sync(queued=3), pid=None)


LSYNCD = """Lsyncd status report at %s

Sync1 source=/src/
There are 5 delays
active Create /f
active Modify /f
wait   Create /n
l
wait   Delete /d/
block  Create /\x1b[2J source=x
Excluding:
  *.tmp

www source=/
There are 0 delays
Filtering:
  nothing.


Inotify watching 2 directories
  1: /src/
  2: /src/d source=
"""


def test_the_file_of_lsyncd_is_read():
    date = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(WALL))
    found = parse(LSYNCD % date)
    unknown = dict(mode=None, target=None)
    assert found == {**shot(of_sync("Sync1", queued=3, in_flight=2, state="syncing", paths=["n", "d/", "\\x1b[2J source=x"], **unknown), of_sync("www", source="/", paths=[], **unknown), watches=2),
                     "program": "lsyncd", "version": None, "pid": None}


@pytest.mark.parametrize("text", ["", "\n", "hello\n", "Lsyncd status report at noon\n", "Lsyncd-lite status report at \n", "x" * 1000, "\udcff\x00"])
def test_what_is_no_status_file_is_an_error(text, tmp_path):
    with pytest.raises(ValueError):
        parse(text)
    (tmp_path / "file").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Fatal, match="^cannot read the status file /.*/file: "):
        read(os.fsencode(str(tmp_path / "file")))


def test_a_file_is_read_with_its_age(tmp_path):
    path = tmp_path / "status\n"
    with pytest.raises(Fatal, match=r"^cannot read the status file /.*/status\\n: No such file or directory$"):
        read(os.fsencode(str(path)))
    for age, interval, is_stale in (5, 0, False), (170, 0, False), (190, 0, True), (190, 100, False), (310, 100, True), (-100, 0, False), (-86400, 0, True):
        path.write_text(render(shot(of_sync())))
        os.utime(str(path), (time.time() - age,) * 2)
        found = read(os.fsencode(str(path)), interval)
        file = found.pop("file")
        assert found == shot(of_sync()) and file == {"path": show(str(path)), "age": pytest.approx(age, abs=2), "is_stale": is_stale, "is_left": False}


def sync(name="www", **more):
    facts = dict(last_error=None, degraded=None, absent=False, lacks=None, guarded=None, state=State.IDLE)
    return SimpleNamespace(config=SimpleNamespace(name=name), **{**facts, **more})


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
