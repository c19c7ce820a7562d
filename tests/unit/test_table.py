"""The table that people see of a snapshot: its texts, at any width."""

import re

import pytest

from lsyncd_lite.paths import show
from lsyncd_lite.report import columns, status, table, units
from lsyncd_lite.report.snapshot import DAEMON

WALL = 1700000000.0
ESCAPE = re.compile("\x1b\\[[0-9]*m")


def of_sync(name="www", **more):
    facts = dict(name=name, section=name, mode="rsync", source="/srv/" + name, target="web1.example.org:/srv/%s/" % name, state="idle", last_success=WALL - 12, lag=1.34)
    return {**status._UNTOLD, **facts, **more}


def shot(*syncs, **more):
    facts = dict(started=WALL - 3 * 86400, watches=12345, watches_limit=65536, memory=13 << 20)
    return {"program": "lsyncd-lite", "version": "0.1.0", "pid": 123, "at": WALL, **DAEMON, **facts, **more, "syncs": list(syncs)}


PROGRESS = {"bytes": 1288490189, "percent": 43, "files": 12345, "of": None, "rate": 85 << 20, "left": 130}
ALL = shot(
    of_sync(), of_sync("home", state="starting", queued=1, progress=PROGRESS),
    of_sync("mail", state="waiting", queued=12034, in_flight=3, oldest=4000.0, last_error="rsync ended with 12: connection unexpectedly closed (0 bytes received so far)",
            failing_since=WALL - 4000, next_try=12.3),
    of_sync("archive", state="held by maxDelete", held="would delete 120 entries: held until lsyncd-lite release archive"),
    of_sync("usb", state="no source", lacks="source /srv/usb is missing", last_success=None, lag=None))


def shown(snapshot, *args, **options):
    text = table.render(snapshot, *args, **options)
    assert text.endswith("\n")
    return text.split("\n")[:-1]


# ---- whole texts -------------------------------------------------------------------------------

def test_it_is_whole_where_it_is_no_terminal():
    assert shown(ALL) == [
        "lsyncd-lite 0.1.0, pid 123, up for 3 d, watches 12 345 of 65 536 (18 %), memory 13 MiB",
        "5 syncs: 1 waiting, 1 held by maxDelete, 1 no source, 1 idle, 1 starting",
        "",
        "SYNC     STATE              SOURCE → TARGET                                QUEUED  FLIGHT  OLDEST  SUCCESS    LAG  RATE",
        "mail     waiting            /srv/mail → web1.example.org:/srv/mail/        12 034       3     1 h     12 s  1.3 s     -",
        "  error: rsync ended with 12: connection unexpectedly closed (0 bytes received so far)",
        "  failing for 1 h, next try in 12 s, or by lsyncd-lite retry mail",
        "archive  held by maxDelete  /srv/archive → web1.example.org:/srv/archive/       0       0       -     12 s  1.3 s     -",
        "  would delete 120 entries: held until lsyncd-lite release archive",
        "usb      no source          /srv/usb → web1.example.org:/srv/usb/               0       0       -        -      -     -",
        "  waits: source /srv/usb is missing",
        "www      idle               /srv/www → web1.example.org:/srv/www/               0       0       -     12 s  1.3 s     -",
        "home     starting           /srv/home → web1.example.org:/srv/home/             1       0       -     12 s  1.3 s     -",
        "  ████████▌             43 %  1.2 GiB  12 345 files  85 MiB/s  2:10 left"]


def test_at_200_and_120_columns_it_is_whole():
    assert shown(ALL, 200) == shown(ALL, 120) == shown(ALL)


def test_at_80_columns_the_columns_that_tell_least_are_left_out():
    assert shown(ALL, 80) == [
        "lsyncd-lite 0.1.0, pid 123, up for 3 d, watches 12 345 of 65 536 (18 %),",
        "  memory 13 MiB",
        "5 syncs: 1 waiting, 1 held by maxDelete, 1 no source, 1 idle, 1 starting",
        "",
        "SYNC     STATE      SOURCE → TARGET                      QUEUED  OLDEST  SUCCESS",
        "mail     waiting    /srv/mail → web1.ex….org:/srv/mail/  12 034     1 h     12 s",
        "  error: rsync ended with 12: connection unexpectedly closed (0 bytes received",
        "    so far)",
        "  failing for 1 h, next try in 12 s, or by lsyncd-lite retry mail",
        "archive  maxDelete  /srv/archive → web1.e…/srv/archive/       0       -     12 s",
        "  would delete 120 entries: held until lsyncd-lite release archive",
        "usb      no source  /srv/usb → web1.ex…le.org:/srv/usb/       0       -        -",
        "  waits: source /srv/usb is missing",
        "www      idle       /srv/www → web1.ex…le.org:/srv/www/       0       -     12 s",
        "home     starting   /srv/home → web1.ex….org:/srv/home/       1       -     12 s",
        "  ████████▌             43 %  1.2 GiB  12 345 files  85 MiB/s  2:10 left"]


def test_at_60_columns_texts_are_shorter():
    assert shown(ALL, 60) == [
        "lsyncd-lite 0.1.0, pid 123, up for 3 d, watches 12 345 of",
        "  65 536 (18 %), memory 13 MiB",
        "5 syncs: 1 waiting, 1 held by maxDelete, 1 no source, 1",
        "  idle, 1 starting",
        "",
        "SYNC     STATE      SOURCE → TARGET           QUEUED  OLDEST",
        "mail     waiting    /srv/mail → web…rv/mail/  12 034     1 h",
        "  error: rsync ended with 12: connection unexpectedly",
        "    closed (0 bytes received so far)",
        "  failing for 1 h, next try in 12 s, or by lsyncd-lite",
        "    retry mail",
        "archive  maxDelete  /sr…rchive → web…rchive/       0       -",
        "  would delete 120 entries: held until lsyncd-lite release",
            "    archive",
        "usb      no source  /srv/usb → web1…srv/usb/       0       -",
        "  waits: source /srv/usb is missing",
        "www      idle       /srv/www → web1…srv/www/       0       -",
        "home     starting   /srv/home → web…rv/home/       1       -",
        "  ████████▏            43 %  1.2 GiB  85 MiB/s  2:10 left"]


def test_at_40_columns_there_is_no_place_for_places():
    assert [line for line in shown(ALL, 40) if not line.startswith(" ")][3:] == [
        "SYNC     STATE              QUEUED",
        "mail     waiting            12 034",
        "archive  held by maxDelete       0",
        "usb      no source               0",
        "www      idle                    0",
        "home     starting                1"]


def test_where_there_is_nothing_but_ascii():
    assert shown(ALL, 60, is_ascii=True)[5:7] + shown(ALL, 60, is_ascii=True)[-3:] == [
        "SYNC     STATE      SOURCE -> TARGET          QUEUED  OLDEST",
        "mail     waiting    /srv/mail -> web~v/mail/  12 034     1 h",
        "www      idle       /srv/www -> web~srv/www/       0       -",
        "home     starting   /srv/home -> web~v/home/       1       -",
        "  ########...........  43 %  1.2 GiB  85 MiB/s  2:10 left"]
    assert shown(shot(of_sync("中")), is_ascii=True)[-1].startswith("\\u4e2d  idle")


# ---- widths ------------------------------------------------------------------------------------

HOSTILE = [b"a\nb", b"\x1b[2J\x1b]0;x\x07", b"\xff\xfe", "中文目录名字中文目录名字".encode(), "e\u0301" .encode() * 9, b"x" * 255, "\u202e\u200b\U0001f600".encode() * 4, b"", b" ", b"a b " * 20]


def hostile(**more):
    return shot(*[of_sync(text, source=text, target=text, state=state, last_error=text, held=text, lacks=text, degraded=text, paths=[text, "x"], queued=10 ** 9, paused=number % 2 == 0,
                          progress=dict(PROGRESS, percent=number * 11), canary={"file": text, "age": 3.0, "lag": 1.0, "late": True, "trouble": text}, owed=3, failing_since=WALL, next_try=3.0)
                  for number, (text, state) in enumerate(zip(map(show, HOSTILE), ["idle", "starting", "syncing", "waiting", "held by runIf", "held by maxDelete", "degraded", "failed", "no source", "of tomorrow"]))],
                refused="x" * 99, stopping="signal 15", file={"path": "/run/x" * 20, "age": 99.0, "is_stale": True, "is_left": True}, polled=3, overflows=1, **more)


@pytest.mark.parametrize("width", [*range(1, 130), 200, 500])
@pytest.mark.parametrize("is_ascii", [False, True])
def test_nothing_is_ever_wider_than_the_terminal(width, is_ascii):
    for snapshot in ALL, hostile(), shot(), shot(of_sync("x")):
        lines = shown(snapshot, width, True, True, is_ascii)
        plain = [ESCAPE.sub("", line) for line in lines]
        assert max(map(columns.width, plain)) <= width
        assert all(line.isprintable() and (line.isascii() or not is_ascii) for line in plain)
        assert plain == shown(snapshot, width, False, True, is_ascii)


def test_columns_are_aligned_whatever_the_names():
    for width in None, 120, 60:
        lines = [line for line in shown(hostile(), width) if "1 000 000 000" in line or line.startswith("SYNC")]
        ends = {columns.width(line[:re.search("1 000 000 000|QUEUED", line).end()]) for line in lines}
        assert len(lines) == 11 and len(ends) == 1


def test_no_escape_sequence_of_another_reaches_the_terminal():
    raw = shot(of_sync("a\x1b[2Jb\n", source="\x9b31m", last_error="\r\x07", paths=["\x1bc"], queued=3, canary={**status._CANARY, "trouble": "\x1b[H"}), refused="\x1b]0;t\x07", configuration="\x1b")
    for width in None, 80:
        assert all(line.isprintable() for line in shown(raw, width, False, True))
        assert all(ESCAPE.sub("", line).isprintable() for line in shown(raw, width, True, True))


def test_many_syncs_begin_with_those_in_trouble():
    syncs = [of_sync("s%03d" % number) for number in range(200)]
    syncs[150]["state"], syncs[151]["state"], syncs[7]["last_error"] = "no source", "failed", "bad"
    lines = shown(shot(*syncs), 80)
    assert lines[2:3] == ["200 syncs: 1 no source, 1 failed, 198 idle"]
    assert [line.split()[0] for line in lines if line.startswith("s")] == ["s150", "s151", "s007"] + ["s%03d" % number for number in range(200) if number not in (7, 150, 151)]


# ---- what there is to say ------------------------------------------------------------------------

def line_of(text, *syncs, **more):
    (line,) = [line for line in shown(shot(*syncs, **more), None, True) if text in line]
    return line


@pytest.mark.parametrize("colour, facts", [
    (32, {"state": "idle"}), (36, {"state": "starting"}), (36, {"state": "syncing"}), (32, {"state": "held by runIf"}), (33, {"state": "paused", "paused": True}),
    (33, {"state": "degraded", "degraded": "x"}), (33, {"state": "syncing", "last_error": "bad"}), (33, {"state": "idle", "owed": 1}),
    (33, {"state": "waiting", "last_error": "bad", "failing_since": WALL - 300}), (31, {"state": "waiting", "last_error": "bad", "failing_since": WALL - 301}),
    (33, {"state": "idle", "canary": {**status._CANARY, "age": 1.0, "late": True}}), *((31, {"state": state}) for state in ("held by maxDelete", "failed", "no source"))])
def test_a_state_has_the_colour_of_how_grave_it_is(colour, facts):
    """As `check` and the page have it."""
    assert "\x1b[%dm%s" % (colour, facts["state"]) in line_of("/srv/www", of_sync(**facts))


def test_what_there_is_to_do_is_said():
    assert line_of("error:", of_sync(last_error="bad")) == "  \x1b[31merror: bad\x1b[m"
    assert shown(shot(of_sync(paused=True)))[-1] == "  paused: lsyncd-lite resume www goes on"
    assert shown(shot(of_sync(owed=1)))[-1] == "  onBatch.after was not told of 1 name"
    assert shown(shot(of_sync(degraded="too few watches")))[-1] == "  degraded: too few watches"
    tunnel = {"ready": 0, "processes": 2, "error": "the tunnel ended with 255"}
    assert shown(shot(of_sync(tunnel=tunnel)))[-1] == "  tunnel: 0 of 2 open: the tunnel ended with 255"
    assert shown(shot(of_sync(tunnel=tunnel, last_error="the tunnel ended with 255")))[-2:] == ["  error: the tunnel ended with 255", "  tunnel: 0 of 2 open"]
    canary = {"file": "c", "age": 40.0, "lag": 1.2, "late": True, "trouble": None}
    assert shown(shot(of_sync(canary=canary)))[-1] == "  canary: on its way for 40 s, the last took 1.2 s: it is late"
    assert shown(shot(of_sync(canary={**status._CANARY, "lag": 1.2})))[-1] == "  canary: the last took 1.2 s"
    assert shown(shot(of_sync(canary=status._CANARY)))[-1].startswith("www")


def test_queued_paths_are_named_when_asked_for():
    sync = of_sync(queued=102, paths=["a/b", "c"])
    assert shown(shot(sync), None, False, True)[-3:] == ["    a/b", "    c", "    and 100 more"] and shown(shot(sync))[-1].startswith("www")
    assert shown(shot(dict(sync, queued=2)), None, False, True)[-1] == "    c"
    assert shown(shot(of_sync(queued=5)), None, False, True)[-1].startswith("www")
    assert shown(shot(dict(sync, paths=["dir/" + "x" * 90 + "/end"], queued=1)), 20, False, True)[-1] == "    dir/x…xxxxxx/end"


def test_the_daemon_is_told_of():
    assert shown(shot(started=None, watches=None, memory=None, version=None, pid=None))[:2] == ["lsyncd-lite", "no sync"]
    assert shown(shot(of_sync(), of_sync("mail")))[1] == "2 syncs: all idle"
    head = shown(shot(watches_limit=None, polled=2, overflows=3, refused="F:1: bad", stopping="signal 15"))[:3]
    assert head == ["lsyncd-lite 0.1.0, pid 123, up for 3 d, watches 12 345, scans 2, events lost 3 times, memory 13 MiB", "stopping: signal 15", "the new configuration is refused: F:1: bad"]
    assert shown(shot(file={"path": "/run/s", "age": 400, "is_stale": True, "is_left": True}))[0] == "no daemon answers: status file /run/s, written 6 min ago (stale)"
    assert shown(shot(file={"path": "/run/s", "age": 4, "is_stale": False, "is_left": False}))[0] == "status file /run/s, written 4 s ago"


@pytest.mark.parametrize("percent, bar", [(0, " " * 20), (100, "█" * 20), (50, "█" * 10 + " " * 10), (3, "▌" + " " * 19), (120, "█" * 20), (-1, " " * 20), (12.5, "██▌" + " " * 17)])
def test_a_bar(percent, bar):
    assert shown(shot(of_sync(progress=dict.fromkeys(PROGRESS))))[-1].startswith("www")
    assert shown(shot(of_sync(progress={**dict.fromkeys(PROGRESS), "percent": percent})))[-1] == "  %s %3.0f %%" % (bar, percent)


def test_a_progress_without_a_percentage_has_no_bar():
    assert shown(shot(of_sync(progress={**PROGRESS, "percent": None, "left": None})))[-1] == "  1.2 GiB  12 345 files  85 MiB/s"


# ---- units and columns -----------------------------------------------------------------------------

@pytest.mark.parametrize("number, words", [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1024, "1.0 KiB"), (10239, "10 KiB"), (1023 * 1024, "1.0 MiB"), (999 * 1024, "999 KiB"),
                                           (1288490189, "1.2 GiB"), (85 << 20, "85 MiB"), (1 << 60, "1.0 EiB"), (1 << 75, "32768 EiB"), (0.4, "0 B"), (9.96 * 1024, "10 KiB")])
def test_bytes_in_words(number, words):
    assert units.size(number) == words


@pytest.mark.parametrize("seconds, words", [(0, "0 s"), (0.04, "0.0 s"), (0.3, "0.3 s"), (9.94, "9.9 s"), (9.97, "10 s"), (12, "12 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"),
                                            (86399, "23 h"), (86400, "1 d"), (5.5 * 86400, "5 d"), (10 ** 9, "11574 d")])
def test_ages_in_words(seconds, words):
    assert units.age(seconds) == words


@pytest.mark.parametrize("seconds, words", [(0, "0:00"), (7.9, "0:07"), (130, "2:10"), (3730, "1:02:10"), (90000, "1 d")])
def test_what_is_left_as_a_clock(seconds, words):
    assert units.left(seconds) == words


@pytest.mark.parametrize("text, width", [("abc", 3), ("中文", 4), ("e\u0301", 1), ("\u200b", 0), ("a中", 3), ("ｆ", 2), ("😀", 2), ("", 0)])
def test_the_width_of_a_text(text, width):
    assert columns.width(text) == width and columns.width(columns.pad(text, 9)) == 9


@pytest.mark.parametrize("text, keep, at, cut", [
    ("abcdef", "start", 6, "abcdef"), ("abcdef", "start", 4, "abc…"), ("abcdef", "end", 4, "…def"), ("abcdefgh", "both", 6, "a…efgh"), ("中文中文", "start", 4, "中…"), ("中文中文", "end", 4, "…文"),
    ("ae\u0301\u0302e\u0301", "end", 2, "…e\u0301"), ("abc", "start", 1, "…"), ("abc", "start", 0, ""), ("e\u0301x", "start", 2, "e\u0301x")])
def test_a_text_is_cut(text, keep, at, cut):
    assert columns.cut(text, at, "…", keep) == cut


@pytest.mark.parametrize("text, width, lines", [("a b", 3, ["a b"]), ("aa bb", 3, ["aa", "bb"]), ("aaaa b", 3, ["aaa", "a b"]), ("", 3, []), ("中文中", 3, ["中", "文", "中"]), ("中", 1, ["中"]), ("a  b", 9, ["a  b"]), ("of 65 536 a", 6, ["of", "65 536", "a"])])
def test_a_text_is_wrapped(text, width, lines):
    assert columns.wrap(text, width) == lines
