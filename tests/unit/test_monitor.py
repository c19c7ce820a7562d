"""What the plugin says: every state, every limit, and one line whatever is in it."""

import re

import pytest

from lsyncd_lite.mirror.pair import State
from lsyncd_lite.report import monitor
from lsyncd_lite.report.monitor import CRITICAL, OK, UNKNOWN, WARNING, Limits, judge, limits_of, range_of
from lsyncd_lite.report.snapshot import DAEMON

AT = 1e9


def sync(name="www", **more):
    facts = dict(name=name, section=name, mode="rsync", source="/s", target="/t", state="idle", paused=False, queued=0, in_flight=0, oldest=None,
                 last_success=AT, lag=None, rate=None, failing_since=None, last_error=None, next_try=None, held=None, lacks=None, degraded=None,
                 owed=0, jobs={}, seconds=0.0, retries=0, bytes=0, files=0, progress=None, canary=None, tunnel=None)
    assert set(more) <= set(facts)
    return dict(facts, **more)


def shot(*syncs, **more):
    return {"program": "lsyncd-lite", "version": "1", "pid": 7, "at": AT, **DAEMON, "syncs": list(syncs), **more}


def canary(**more):
    return dict({"file": ".c", "age": None, "lag": 1.0, "late": False, "trouble": None}, **more)


# One plugin line: a word, a text without a bar, and numbers.
LINE = re.compile(r"LSYNCD_LITE (OK|WARNING|CRITICAL|UNKNOWN) - ([^|\n]*) \| ((?:'[^'=|\n]+'=\d+(?:s|B|c)?(?:;[^; ]*){0,4}(?: |$))+)")


def parsed(found):
    status, line = found
    match = LINE.fullmatch(line)
    assert match, line
    assert monitor.WORDS[status] == match.group(1)
    return status, match.group(2), dict(re.findall(r"'([^']+)'=(\S+)", match.group(3)))


# ---- what is wrong -----------------------------------------------------------------------------

@pytest.mark.parametrize("facts, status, words", [
    ({}, OK, "1 sync: idle"),
    ({"state": "syncing", "queued": 5, "oldest": 900.0}, OK, "1 sync: syncing"),
    ({"state": "starting"}, OK, "www: starting; 1 sync: starting"),
    ({"state": "starting", "progress": {"percent": 43, "left": 130, "bytes": 1}}, OK, "www: starting: 43 %, 2:10 left; 1 sync: starting"),
    ({"state": "starting", "progress": {"percent": None, "left": None}}, OK, "www: starting; 1 sync: starting"),
    ({"state": "held by runIf"}, OK, "www: held by runIf; 1 sync: held by runIf"),
    ({"state": "failed", "last_error": "x", "failing_since": AT}, CRITICAL, "www: failed: x; 1 sync: failed"),
    ({"state": "failed"}, CRITICAL, "www: failed; 1 sync: failed"),
    ({"state": "no source", "lacks": "source /s is missing"}, CRITICAL, "www: no source: source /s is missing; 1 sync: no source"),
    ({"state": "held by maxDelete", "held": "too many", "last_error": "too many", "failing_since": AT}, CRITICAL,
     "www: held by maxDelete: too many; 1 sync: held by maxDelete"),
    ({"state": "waiting", "last_error": "rsync ended with 12", "failing_since": AT - 299}, WARNING,
     "www: fails for 4 min: rsync ended with 12; 1 sync: waiting"),
    ({"state": "waiting", "last_error": "rsync ended with 12", "failing_since": AT - 301}, CRITICAL,
     "www: fails for 5 min: rsync ended with 12; 1 sync: waiting"),
    ({"state": "waiting", "last_error": "x"}, WARNING, "www: fails: x; 1 sync: waiting"),
    ({"state": "starting", "last_error": "x", "failing_since": AT - 3600}, CRITICAL, "www: fails for 1 h: x; 1 sync: starting"),
    ({"state": "degraded", "degraded": "too few watches"}, WARNING, "www: degraded: too few watches; 1 sync: degraded"),
    ({"paused": True}, WARNING, "www: paused; 1 sync: idle"),
    ({"paused": True, "state": "paused"}, WARNING, "www: paused; 1 sync: paused"),
    ({"tunnel": {"mode": "pool", "processes": 2, "ready": 1, "error": "no tunnel: x"}}, WARNING, "www: 1 of 2 tunnels are open: no tunnel: x; 1 sync: idle"),
    ({"tunnel": {"mode": "pool", "processes": 2, "ready": 0, "error": "x"}, "state": "waiting", "last_error": "x"}, WARNING, "www: fails: x; 1 sync: waiting"),
    ({"tunnel": {"mode": "pool", "processes": 2, "ready": 2, "error": None}}, OK, "1 sync: idle"),
    ({"owed": 1}, WARNING, "www: onBatch.after was told of 1 name in vain; 1 sync: idle"),
    ({"owed": 1200}, WARNING, "www: onBatch.after was told of 1 200 names in vain; 1 sync: idle"),
    ({"canary": canary(age=400.0)}, OK, "1 sync: idle"),
    ({"canary": canary(age=400.0, late=True)}, WARNING, "www: its canary has not arrived for 6 min; 1 sync: idle"),
    ({"canary": canary(age=400.0, late=True), "state": "held by runIf"}, OK, "www: held by runIf; 1 sync: held by runIf"),
    ({"canary": canary(age=400.0, late=True), "state": "starting"}, OK, "www: starting; 1 sync: starting"),
    ({"canary": canary(age=400.0, late=True), "paused": True}, WARNING, "www: paused; 1 sync: idle"),
    ({"canary": canary(trouble="cannot touch /s/.c: No space left on device")}, WARNING,
     "www: cannot touch /s/.c: No space left on device; 1 sync: idle"),
])
def test_what_each_sync_may_be_at(facts, status, words):
    assert parsed(judge([shot(sync(**facts))]))[:2] == (status, words)


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_judged(state):
    bad = {"failed": CRITICAL, "no source": CRITICAL, "held by maxDelete": CRITICAL}
    assert judge([shot(sync(state=state.value))])[0] == bad.get(state.value, OK)  # others are told by what goes with them


@pytest.mark.parametrize("facts, status, words", [
    ({"refused": "f:1: x"}, WARNING, "the new configuration is refused: f:1: x"),
    ({"stopping": "signal 15"}, WARNING, "the daemon ends: signal 15"),
    ({"watches": 80, "watches_limit": 100}, OK, ""),
    ({"watches": 81, "watches_limit": 100}, WARNING, "81 of 100 inotify watches"),
    ({"watches": 95, "watches_limit": 100}, WARNING, "95 of 100"),
    ({"watches": 96, "watches_limit": 100}, CRITICAL, "96 of 100"),
    ({"watches": 96}, OK, ""),
    ({"file": {"path": "/run/s", "age": 200.0, "is_stale": True, "is_left": False}}, CRITICAL, "the status file /run/s was written 3 min ago"),
    ({"file": {"path": "/run/s", "age": 100.0, "is_stale": False, "is_left": False}}, OK, ""),
    ({"file": {"path": "/run/s", "age": 9.5, "is_stale": False, "is_left": True}}, CRITICAL, "no daemon answers: the status file /run/s was written 9 s ago;"),
])
def test_what_a_daemon_may_be_at(facts, status, words):
    found = parsed(judge([shot(sync(), **facts)]))
    assert found[0] == status and found[1].startswith(words)


def test_the_gravest_comes_first_and_syncs_are_counted():
    found = parsed(judge([shot(sync("a", paused=True), sync("b", state="failed", last_error="x"), sync("c"), refused="y")], lost=["z"]))
    assert found[:2] == (CRITICAL, "z; b: failed: x; the new configuration is refused: y; a: paused; 3 syncs: 2 idle, 1 failed")
    assert parsed(judge([shot(sync("a"), sync("b"))]))[1] == "2 syncs: all idle"


def test_several_daemons_are_told_apart():
    found = parsed(judge([shot(sync("a"), refused="x", configuration="/etc/one"), shot(sync("b", state="failed"), pid=9)]))
    assert found[1] == "b: failed; /etc/one: the new configuration is refused: x; 2 syncs: 1 idle, 1 failed"
    found = parsed(judge([shot(sync("a", queued=1), configuration="/etc/one"), shot(sync("a", state="failed"), sync("b"), pid=9)]))
    assert found[1] == "a of 9: failed; 3 syncs: 2 idle, 1 failed"
    assert [found[2][name] for name in ("a of /etc/one queued", "a of 9 queued", "b queued")] == ["1;;;0", "0;;;0", "0;;;0"]


# ---- limits ------------------------------------------------------------------------------------

@pytest.mark.parametrize("text, alarms, fine", [
    ("10", [-1, 10.5, 11], [0, 5, 10]), ("10:", [9, -3], [10, 1e9]), ("~:10", [11], [10, -1e9]), ("10:20", [9, 21], [10, 20]),
    ("@10:20", [10, 15, 20], [9, 21]), ("0", [1], [0]), ("@0", [0], [1]), ("-5:5", [-6, 6], [0]), ("1.5", [1.6], [1.5]), (":7", [8], [7]),
])
def test_ranges_are_those_of_the_guidelines(text, alarms, fine):
    found = range_of(text)
    assert all(found.is_met(value) for value in alarms) and not any(found.is_met(value) for value in fine)


@pytest.mark.parametrize("text", ["", "x", "@", ":", "20:10", "1:2:3", "~", "~:", "10 ", "1,2", "٣", "1e3", "nan"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(ValueError):
        range_of(text)


@pytest.mark.parametrize("given, words", [({"w": "x"}, "option -w: x: "), ({"c": ""}, "option -c: : "), ({"age": "x"}, "option -age: x: "),
                                          ({"age": "1,2,3"}, "option -age: 1,2,3: "), ({"age": "-1"}, "option -age"), ({"age": ""}, "option -age: : ")])
def test_a_limit_that_is_none_is_named(given, words):
    with pytest.raises(ValueError) as refused:
        limits_of(given)
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize("given, facts, status, words", [
    ({}, {"queued": 10 ** 6, "oldest": 1e6}, OK, "1 sync"),
    ({"w": "100"}, {"queued": 100}, OK, "1 sync"),
    ({"w": "100"}, {"queued": 101}, WARNING, "www: 101 queued (limit 100)"),
    ({"w": "100", "c": "1000"}, {"queued": 5000}, CRITICAL, "www: 5 000 queued (limit 1000)"),
    ({"c": "1000"}, {"queued": 500}, OK, "1 sync"),
    ({"age": "300"}, {"oldest": 300.0}, OK, "1 sync"),
    ({"age": "300"}, {"oldest": 301.0}, CRITICAL, "www: changes wait for 5 min (limit 300)"),
    ({"age": "60,300"}, {"oldest": 70.0}, WARNING, "www: changes wait for 1 min (limit 60)"),
    ({"age": "60,300"}, {"oldest": 400.0}, CRITICAL, "www: changes wait for 6 min (limit 300)"),
    ({"age": "300"}, {"oldest": 400.0, "state": "starting"}, CRITICAL, "www: changes wait for 6 min (limit 300)"),
    ({"age": "60,300"}, {"canary": canary(age=70.0)}, WARNING, "www: its canary has not arrived for 1 min (limit 60)"),
    ({"age": "60,300"}, {"canary": canary(age=400.0, late=True)}, CRITICAL, "www: its canary has not arrived for 6 min (limit 300)"),
])
def test_limits_are_those_of_each_sync(given, facts, status, words):
    found = parsed(judge([shot(sync(**facts))], limits_of(given)))
    assert found[0] == status and found[1].startswith(words), found


# ---- numbers -----------------------------------------------------------------------------------

def test_numbers_carry_units_and_limits():
    syncs = sync("www", queued=3, oldest=12.7, bytes=5000, canary=canary(age=4.0)), sync("db", bytes=1)
    found = parsed(judge([shot(*syncs, watches=10, watches_limit=1000, memory=12345678)], limits_of({"w": "100", "c": "1000", "age": "300"})))
    assert found[2] == {"www queued": "3;100;1000;0", "www oldest": "12s;;300;0", "www canary": "4s;;300;0", "db queued": "0;100;1000;0",
                        "db oldest": "0s;;300;0", "queued": "3;;;0", "oldest": "12s;;300;0", "sent": "5001c;;;0",
                        "watches": "10;800;950;0;1000", "memory": "12345678B;;;0"}


def test_what_a_status_file_does_not_tell_is_no_number():
    found = parsed(judge([shot(sync(bytes=None))]))
    assert found[2] == {"www queued": "0;;;0", "www oldest": "0s;;;0", "queued": "0;;;0", "oldest": "0s;;;0"}


def test_of_many_syncs_there_are_sums_only():
    some = parsed(judge([shot(*[sync("s%d" % number, queued=1) for number in range(monitor.MEASURED_MOST)])]))[2]
    many = parsed(judge([shot(*[sync("s%d" % number, queued=1) for number in range(200)])]))[2]
    assert len(some) == 2 * monitor.MEASURED_MOST + 3 and set(many) == {"queued", "oldest", "sent"} and many["queued"] == "200;;;0"


# ---- one line ----------------------------------------------------------------------------------

def test_nothing_breaks_the_line():
    evil = "a|b'c=d\ne\tf\x1b[31m 'x'=1;;; \u2028"
    found = judge([shot(sync(evil, state="waiting", last_error=evil, canary=canary(trouble=evil)), refused=evil)], lost=[evil])
    status, text, numbers = parsed(found)
    assert status == CRITICAL and "\N{BROKEN BAR}" in text and found[1].isprintable()
    assert set(numbers) == {"a_b_c_d_e_f_[31m _x__1;;; _ " + word for word in ("queued", "oldest", "canary")} | {"queued", "oldest", "sent"}


@pytest.mark.parametrize("words", ["x" * 5000, "é" * 5000, "\U0001f600" * 500, "|" * 500])
def test_the_text_stays_short_and_tells_what_is_left_out(words):
    found = judge([shot(*[sync("s%d" % number, state="failed", last_error=words) for number in range(300)])])
    head = found[1].partition(" | ")[0]
    assert len(head.encode()) <= monitor.TEXT_MOST and re.search(r"; and \d+ more; 300 syncs: all failed$", head), head
    shown = head.count("failed: ")
    assert 1 <= shown and "and %d more" % (300 - shown) in head


def test_no_sync_and_no_daemon_are_said():
    assert judge([shot()])[1].startswith("LSYNCD_LITE OK - no sync | ")
    assert judge([], lost=["no answer"]) == (CRITICAL, "LSYNCD_LITE CRITICAL - no answer"), "how much is queued is not known then"
    assert judge([], lost=["a", "b"]) == (CRITICAL, "LSYNCD_LITE CRITICAL - b; a")
    assert monitor.line(UNKNOWN, "a|b\nc") == (UNKNOWN, "LSYNCD_LITE UNKNOWN - a\N{BROKEN BAR}b c")
    assert judge([shot(sync())], Limits())[0] == OK
