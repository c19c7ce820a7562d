"""A file that is touched again and again, and how long it takes to arrive: in every way that makes targets equal."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from harness import LASTING, ROOT, make, names, run, sync, wait_for

KEYS = {"canary": ".canary", "canaryInterval": 0.3}
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n")


def facts(running, name="sync1"):
    """Return what is known of the canary of a sync (dict), {} where there is none, or no daemon answers yet."""
    told = run(running.mark, "status", "-json", "-socket", "%s.run/daemon.sock" % running.mark)
    syncs = json.loads(told.stdout)["syncs"] if told.returncode == 0 else []
    return next((sync["canary"] for sync in syncs if sync["name"] == name), None) or {}


def wait_for_canary(running, condition, name="sync1", limit=30):
    return running.wait(lambda: condition(facts(running, name)), lambda: "a canary that fits, it is %s" % facts(running, name), limit)


def arrives(target):
    """Wait until a target has a newer canary than it has now."""
    path = target / ".canary"
    before = path.stat().st_mtime_ns if path.exists() else 0
    wait_for(lambda: path.exists() and path.stat().st_mtime_ns > before and STAMP.fullmatch(path.read_text()), "a newer %s" % path)


def test_it_arrives_in_every_way(src, mirrors):
    make(src, "f")
    running = mirrors(*LASTING, **KEYS, wait=False)
    for way, target in running.targets.items():
        arrives(target)
        arrives(target)
        wait_for_canary(running, lambda known: 0 < (known.get("lag") or 0) < 20, way)
    assert ": canary: " not in running.log()  # nothing went wrong


def test_it_does_not_fill_the_log(src, dst, tmp_path, daemon):
    make(src, "f")
    (tmp_path / "second").mkdir()
    running = daemon(sync(src, dst, delay=0, **KEYS), sync(src, tmp_path / "second", delay=0), wait=False)  # which takes it for a file
    arrives(dst)
    running.wait_path(tmp_path / "second/f")
    before = len(re.findall("(?m)Normal: sync1: .*mirrored", running.log()))
    for _touch in range(3):
        arrives(dst)
    make(src, "g")
    running.wait_path(dst / "g")
    running.wait_path(tmp_path / "second/g")
    running.wait(lambda: len(re.findall("(?m)Normal: sync1: .*mirrored", running.log())) > before, "a line about what is no canary")
    assert len(re.findall("(?m)Normal: sync1: .*mirrored", running.log())) <= before + 3, running.log()  # that of g may be two, and the first a job that has just ended
    assert len(re.findall("(?m)Output: .*mirrored", running.log())) >= 2
    assert len(re.findall("(?m)Normal: sync2: .*mirrored", running.log())) <= 2 < len(re.findall("(?m)Output: sync2: .*mirrored", running.log())), running.log()

def test_the_lag_is_the_delay_and_what_the_job_takes(src, dst, daemon):
    make(src, "f")
    running = daemon(sync(src, dst, delay=1.5, canary=".canary", canaryInterval=2), wait=False)
    wait_for_canary(running, lambda known: 1.5 <= (known.get("lag") or 0) < 10)


def test_a_target_that_is_down_makes_it_older_until_it_is_back(src, dst, daemon, rsync):
    make(src, "f")
    binary = rsync()
    running = daemon(sync(src, dst, rsync={"binary": binary.path}, delay=0.1, **KEYS), wait=False)
    wait_for_canary(running, lambda known: known.get("lag"))
    binary.fail(12)
    wait_for_canary(running, lambda known: (known.get("age") or 0) > 3)
    binary.recover()
    wait_for_canary(running, lambda known: known.get("lag") and (known.get("age") or 0) < 3, limit=90)
    arrives(dst)
    assert ": canary: " not in running.log(), "a target is none of its trouble"


def test_one_that_is_removed_comes_back(src, dst, daemon):
    make(src, "f")
    running = daemon(sync(src, dst, delay=0.1, **KEYS), wait=False)
    arrives(dst)
    (src / ".canary").unlink()
    arrives(dst)
    wait_for_canary(running, lambda known: known.get("lag"))


def test_what_is_in_its_way_is_left_alone_told_once_and_no_trouble_for_others(src, dst, daemon):
    make(src, "f")
    (src / ".canary").write_text("precious")
    running = daemon(sync(src, dst, delay=0.1, **KEYS), wait=False)
    wait_for_canary(running, lambda known: "not ours" in (known.get("trouble") or ""))
    make(src, "g")
    running.wait_path(dst / "g")
    assert (src / ".canary").read_text() == (dst / ".canary").read_text() == "precious"
    (src / ".canary").unlink()
    arrives(dst)
    wait_for_canary(running, lambda known: known.get("trouble") is None and known.get("lag"))
    assert len(re.findall("sync1: canary: ", running.log())) == 2, running.log()


def test_several_targets_share_the_touches_and_each_has_its_lag(src, tmp_path, daemon, rsync):
    make(src, "f")
    binary = rsync()
    fine, slow = tmp_path / "fine", tmp_path / "slow"
    running = daemon(sync(src, fine, "fine", delay=0.1, **KEYS), sync(src, slow, "slow", delay=0.1, rsync={"binary": binary.path}, **KEYS), wait=False)
    for name in "fine", "slow":
        wait_for_canary(running, lambda known: known.get("lag"), name)
    binary.fail(12)
    wait_for_canary(running, lambda known: (known.get("age") or 0) > 2, "slow")
    arrives(fine)
    assert (facts(running, "fine")["age"] or 0) < 2


def test_a_polled_source_has_one_that_is_found_by_the_scan(src, dst, daemon):
    make(src, "f")
    running = daemon(sync(src, dst, monitor="poll", scanInterval=0.5, delay=0.1, **KEYS), wait=False)
    arrives(dst)
    arrives(dst)
    wait_for_canary(running, lambda known: known.get("lag"))


def test_a_missing_source_is_waited_for_and_the_mount_point_stays_empty(src, dst, daemon):
    if not ROOT:
        pytest.skip("mounting needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "lsyncd-lite-test", str(src)], check=False).returncode:
        pytest.skip("mounting does not work here")
    try:
        make(src, "a", "d/b")
        running = daemon(sync(src, dst, delay=0.1, **KEYS), wait=False)
        arrives(dst)
        subprocess.run(["umount", "-l", str(src)], check=True)
        wait_for_canary(running, lambda known: "the source is empty" in (known.get("trouble") or ""))
        running.wait_status(last_error=lambda words: words and "refused to empty" in words)
        assert not any(src.iterdir()) and names(dst) - {".canary"} == {"a", "d/", "d/b"}  # a job that was just sending it may have found it gone
        subprocess.run(["mount", "-t", "tmpfs", "lsyncd-lite-test", str(src)], check=True)
        make(src, "c")
        running.wait_path(dst / "c")
        arrives(dst)
    finally:
        while (" %s " % src) in Path("/proc/self/mountinfo").read_text():
            subprocess.run(["umount", "-l", str(src)], check=True)


def test_without_the_marker_nothing_is_written(src, dst, daemon):
    make(src, "f", "marker")
    running = daemon(sync(src, dst, delay=0.1, requireMarker="marker", **KEYS), wait=False)
    arrives(dst)
    (src / "marker").unlink()
    running.wait_status(state="no source")
    last = (src / ".canary").stat().st_mtime_ns
    for _look in range(2):  # a second touch would come between these
        at = time.monotonic()
        wait_for(lambda: time.monotonic() - at > 3 * KEYS["canaryInterval"], "some intervals")
    assert (src / ".canary").stat().st_mtime_ns == last
    make(src, "marker")
    arrives(dst)


def test_a_full_file_system_is_told_once_and_over_when_there_is_room(src, dst, daemon):
    if not ROOT:
        pytest.skip("mounting needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "lsyncd-lite-test", str(src)], check=False).returncode:
        pytest.skip("mounting does not work here")
    try:
        with open(str(src / "big"), "wb", buffering=0) as file, pytest.raises(OSError):
            while file.write(b"x" * 4096):
                pass
        running = daemon(sync(src, dst, delay=0.1, **KEYS), wait=False)
        wait_for_canary(running, lambda known: "No space left" in (known.get("trouble") or ""))
        (src / "big").unlink()
        (src / "f").write_text("x")
        arrives(dst)
        wait_for_canary(running, lambda known: known.get("trouble") is None and known.get("lag"))
        assert len(re.findall("sync1: canary: ", running.log())) == 2
    finally:
        while (" %s " % src) in Path("/proc/self/mountinfo").read_text():
            subprocess.run(["umount", "-l", str(src)], check=True)


def test_a_reload_that_adds_changes_and_removes_it_leaves_the_sync_alone(src, dst, daemon):
    make(src, "f")
    running = daemon(sync(src, dst, delay=0.1))

    def reload(**keys):
        count = running.log().count("configuration read again")
        running.configure(sync(src, dst, delay=0.1, **keys))
        running.kill(1)
        running.wait(lambda: running.log().count("configuration read again") > count, "the reload")
    reload(**KEYS)
    arrives(dst)
    reload(**dict(KEYS, canary=".other"))
    wait_for(lambda: (dst / ".other").exists(), "the other one")
    wait_for_canary(running, lambda known: known.get("file") == ".other")
    reload()
    wait_for_canary(running, lambda known: not known)
    running.fence(src, dst)
    assert running.log().count("full sync finished") == 1 and "begun anew" not in running.log()


@pytest.mark.parametrize("keys, words", [
    ({"canary": "a/../b"}, "canary: 'a/../b' is not allowed here; allowed: the name of a file"), ({"canary": "/c"}, "canary: '/c'"),
    ({"canary": "x.tmp", "exclude": ["*.tmp"]}, r"sync sync1: canary: x.tmp is excluded by - \*.tmp"),
    ({"canary": "c", "mode": "exec", "onModify": "true"}, "canary: .*mode"),
    ({"canary": "c", "canaryInterval": 0}, "canaryInterval: ")])
def test_what_makes_no_sense_is_refused(src, dst, daemon, keys, words):
    running = daemon(sync(src, dst, **keys), wait=False)
    assert running.ended() == 255
    assert re.search(words, running.output()), running.output()


def test_one_pass_and_the_end_need_none(src, dst, daemon):
    make(src, "f")
    running = daemon(sync(src, dst, **KEYS), settings={"onepass": True}, wait=False)
    assert running.ended() == 0 and names(dst) == {"f"}


def test_what_it_touches_wakes_an_idle_daemon_once_an_interval(src, dst, daemon):
    """The daemon has nothing else to do: its loop turns for the touch, the event, the delay and the job's end."""
    make(src, "f")
    running = daemon(sync(src, dst, delay=0, canary=".canary", canaryInterval=1), settings={"statusInterval": 1000}, wait=False)
    arrives(dst)
    before, began = running.log().count("Alarm"), time.monotonic()
    for _touch in range(3):
        arrives(dst)
    turns = (running.log().count("Alarm") - before) / max(1, round(time.monotonic() - began))
    assert turns < 20, turns
    assert os.path.exists(str(src / ".canary"))
