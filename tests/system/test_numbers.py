"""The numbers of a real daemon: what was sent, how far a full sync is, and the metrics file."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from exposition import read  # noqa: E402
from harness import LASTING, make, sync, wait_for  # noqa: E402

SENDING = tuple(way for way in (*LASTING, "script"))


@pytest.fixture
def asked(cli):
    """Return the snapshot, or of one sync its part."""
    def ask(name=None):
        ended = cli("status", "-json", *([] if name is None else [name]))
        if ended.returncode:
            return None
        found = json.loads(ended.stdout)
        return found if name is None else found["syncs"][0]
    return ask


def numbers(path):
    """Return {name: {sync: value}} of a metrics file, {} while there is none."""
    try:
        found = read(path.read_text())
    except FileNotFoundError:
        return {}
    return {name[len("lsyncd_lite_"):]: {dict(labels).get("sync"): value for labels, value in samples.items() if dict(labels).get("outcome", "ok") == "ok"}
            for name, (_kind, _words, samples) in found.items()}


def test_bytes_and_files_are_counted_on_every_way(src, mirrors, asked):
    make(src, "first")
    (src / "big").write_bytes(os.urandom(300000))
    running = mirrors(*SENDING, options=("-log", "Normal"))
    running.wait_same(src, running.targets)
    running.wait_idle()
    before = {way: asked(way) for way in SENDING}
    size = 300000 + (src / "first").stat().st_size
    assert {way: (facts["bytes"], facts["files"]) for way, facts in before.items() if way != "script"} == dict.fromkeys(LASTING, (size, 2))
    (src / "more").write_bytes(os.urandom(50000))
    make(src, "d/e/f", "d/g")
    more = 50000 + (src / "d/e/f").stat().st_size + (src / "d/g").stat().st_size
    running.wait_same(src, running.targets)
    running.wait_idle()
    for way in SENDING:
        facts = asked(way)
        assert facts["bytes"] - before[way]["bytes"] >= more, way  # who looks while a file is written sends it twice
        assert facts["files"] - before[way]["files"] >= 3 and facts["jobs"]["ok"] > before[way]["jobs"]["ok"] and 0 <= facts["lag"] < 30, way
        assert facts["seconds"] > 0 and facts["progress"] is None and facts["retries"] == 0, way
    log = running.log()
    assert "xfr#" not in log and "so far" not in log and "\\r" not in log and "kB/s" not in log


def test_the_progress_of_a_full_sync_is_told_while_it_runs(src, dst, daemon, asked):
    make(src, *("f%d" % number for number in range(20)))
    (src / "zz").write_bytes(os.urandom(3000000))
    one = daemon(sync(src, dst, name="www", rsync={"bwlimit": 400}), wait=False, options=("-log", "Output"))
    found = wait_for(lambda: (asked("www") or {}).get("progress") and asked("www"), "progress")
    assert found["state"] == "starting"
    further = wait_for(lambda: (asked("www")["progress"] or {"bytes": 0})["bytes"] > max(100000, found["progress"]["bytes"]) and asked("www")["progress"], "more of it")
    assert 0 < further["percent"] < 100 and 0 < further["rate"] < 4000000 and further["left"] > 0 and further["of"] == 22 and 1 <= further["files"] <= 22
    one.wait_idle()
    facts = asked("www")
    assert facts["progress"] is None and facts["bytes"] >= 3000000 and facts["files"] == 21 and facts["lag"] is None and facts["rate"] > 0
    assert "kB/s" not in one.log()


def test_how_far_a_full_sync_of_a_large_tree_is_is_told_before_rsync_knows(src, dst, daemon, asked):
    for number in range(150):  # it looks 10 000 names ahead
        make(src, *("d%d/%d" % (number, name) for name in range(100)))
    daemon(sync(src, dst, name="www", rsync={"bwlimit": 300}), wait=False)
    found = wait_for(lambda: ((asked("www") or {}).get("progress") or {}).get("of") and asked("www")["progress"], "a whole")
    assert found["of"] == 15151 and found["files"] < 5000 and 0 <= found["percent"] < 50
    left = wait_for(lambda: (asked("www")["progress"] or {}).get("left"), "time left")
    assert 0 < left < 600


def test_the_progress_of_a_full_sync_without_rsync_is_told_while_it_runs(src, dst, tmp_path, daemon, asked):
    make(src, "d/e")
    (src / "f").write_bytes(b"x" * 100000)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cp").write_text("#!/bin/sh\n[ \"$1\" = --version ] || while ! [ -e %s/go ]; do sleep 0.1; done\nexec %s \"$@\"\n"
                                         % (tmp_path, shutil.which("cp")))
    (tmp_path / "bin" / "cp").chmod(0o755)
    one = daemon(sync(src, dst, name="www", mode="direct", rsync={"binary": "/no/rsync"}), options=("-log", "Normal"), wait=False,
                 prefix=("env", "PATH=%s:%s" % (tmp_path / "bin", os.environ["PATH"])))
    wait_for(lambda: (asked("www") or {}).get("progress"), "progress")
    (tmp_path / "go").touch()
    one.wait_equal(src, dst)
    one.wait_idle()
    facts = asked("www")
    assert facts["bytes"] >= 100000 + (src / "d/e").stat().st_size and facts["files"] == 2 and facts["progress"] is None
    assert "so far" not in one.log()


def test_what_the_user_asks_rsync_to_print_is_in_the_log_as_ever(src, tmp_path, daemon):
    make(src, "name")
    syncs = []
    for name, extra in (("v", ["-v"]), ("stats", ["--stats"]), ("format", ["--out-format=sent %n"]), ("both", ["-v", "--info=progress2"]), ("each", ["--progress"])):
        (tmp_path / name).mkdir()
        syncs.append(sync(src, tmp_path / name, name=name, rsync={"_extra": extra}))
    one = daemon(*syncs, options=("-log", "Normal"))
    log = one.log()
    for words in "v: name", "v: sent ", "v: total size is", "stats: Total bytes sent", "format: sent name", "both: name", "each: name":
        assert "Normal: " + words in log, words
    assert "v: \\r" not in log and "stats: \\r" not in log and "format: \\r" not in log
    assert "(xfr#1, to-chk=0/2)" in "".join(line for line in log.splitlines(True) if "Normal: both: " in line)
    assert "(xfr#1, to-chk=0/2)" in "".join(line for line in log.splitlines(True) if "Normal: each: " in line)


def test_real_errors_are_told_and_judged_beside_thousands_of_lines_of_progress(src, dst, daemon, asked, rsync):
    for number in range(3000):
        (src / ("f%d" % number)).write_bytes(b"x")
    binary = rsync("www")
    binary.say(b"rsync: [sender] somebody's disk is broken: Input/output error (5)\n")
    one = daemon(sync(src, dst, name="www", rsync={"binary": binary.path}), options=("-log", "Normal"), wait=False)
    one.wait_equal(src, dst)
    one.wait_log("www: rsync: .sender. somebody's disk is broken")
    one.wait_idle()
    assert asked("www")["files"] == 3000 and len(one.log().splitlines()) < 30


def test_a_reload_goes_on_with_the_numbers(src, dst, tmp_path, daemon, asked):
    make(src, "a", "b")
    (tmp_path / "other").mkdir()
    www, other = sync(src, dst, name="www"), sync(src, tmp_path / "other", name="other")
    one = daemon(www, other, settings={"delay": 0.1})
    before = {name: asked(name) for name in ("www", "other")}
    one.configure(dict(www, exclude=["x"]), other, settings={"delay": 0.1})  # www is begun anew, other goes on
    one.kill(signal.SIGHUP)
    one.wait_log("www: begun anew by the new configuration")
    one.wait_idle()
    for name in before:
        after = asked(name)
        assert all(after[key] >= before[name][key] for key in ("bytes", "files", "seconds", "retries")) and after["bytes"] >= before[name]["bytes"] > 0
        assert all(after["jobs"][verdict] >= count for verdict, count in before[name]["jobs"].items())
    assert asked("www")["jobs"]["ok"] > before["www"]["jobs"]["ok"]


def test_the_last_hour_is_told_to_who_asks_for_it(src, dst, tmp_path, daemon):
    from lsyncd_lite.system.ask import ask
    daemon(sync(src, dst, name="www"))
    (path,) = Path(str(tmp_path) + ".run").iterdir()
    facts = [ask(os.fsencode(str(path)), dict({"do": "status"}, **more))["snapshot"]["syncs"][0] for more in ({}, {"history": True})]
    assert "history" not in facts[0] and facts[1]["history"]["every"] == 60 and all(len(point) == 4 for point in facts[1]["history"]["points"])


def test_failures_and_retries_are_counted(src, dst, daemon, asked, rsync):
    binary = rsync("www")
    one = daemon(sync(src, dst, name="www", delay=0.1, rsync={"binary": binary.path}))
    binary.fail(12, times=2)
    make(src, "a")
    one.wait_equal(src, dst)
    one.wait_idle()
    facts = asked("www")
    assert facts["jobs"]["again"] == 2 and facts["retries"] >= 2 and facts["lag"] >= 1


# ---- the metrics file

def test_the_metrics_file_follows_and_is_gone_at_the_end(src, dst, tmp_path, daemon):
    path = tmp_path / "x.prom"
    make(src, "a")
    one = daemon(sync(src, dst, name="www", delay=0.1), settings={"metricsFile": str(path), "statusInterval": 0.1})
    one.wait(lambda: numbers(path).get("jobs_total") == {"www": 1}, "the first job")
    facts = numbers(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644 and facts["queued_changes"] == {"www": 0} and facts["watched_directories"] == {None: 1}
    assert facts["resident_memory_bytes"][None] > 2 ** 20
    make(src, "b")
    one.wait(lambda: numbers(path)["sent_files_total"] == {"www": 2} and "lag_seconds" in numbers(path), "the second file")
    one.stop()
    assert not path.exists() and not list(tmp_path.glob("x.prom*"))


def test_what_one_pass_has_come_to_stays(src, dst, tmp_path, daemon):
    make(src, "a")
    path = tmp_path / "x.prom"
    one = daemon(sync(src, dst, name="www"), settings={"metricsFile": str(path), "onepass": True}, wait=False)
    one.ended()
    assert numbers(path)["sent_files_total"] == {"www": 1} and numbers(path)["jobs_total"] == {"www": 1}


def test_a_metrics_file_that_cannot_be_written_is_told_once_and_written_when_it_can(src, dst, tmp_path, daemon):
    path = tmp_path / "there" / "x.prom"
    one = daemon(sync(src, dst, name="www", delay=0.1), settings={"metricsFile": str(path), "statusInterval": 0.1}, options=("-log", "Normal"))
    for number in range(3):
        make(src, "a%d" % number)
        one.wait_equal(src, dst)
    one.wait_log("Error: cannot write the metrics file .*/there/x.prom: No such file or directory")
    path.parent.mkdir()
    make(src, "b")
    one.wait(lambda: numbers(path).get("sent_files_total") == {"www": 4}, "the file")
    assert one.log().count("cannot write the metrics file") == 1


def test_a_reload_moves_the_metrics_file(src, dst, tmp_path, daemon):
    old, new = tmp_path / "old.prom", tmp_path / "new.prom"
    one = daemon(sync(src, dst, name="www"), settings={"metricsFile": str(old), "statusInterval": 0.1})
    one.wait(old.exists, "the file")
    one.configure(sync(src, dst, name="www"), settings={"metricsFile": str(new), "statusInterval": 0.1})
    one.kill(signal.SIGHUP)
    one.wait(new.exists, "the new file")
    assert not old.exists()
    one.configure(sync(src, dst, name="www"), settings={"statusInterval": 0.1})
    one.kill(signal.SIGHUP)
    one.wait(lambda: not new.exists(), "the end of it")


def test_two_daemons_with_one_metrics_file_are_told_of(src, dst, tmp_path, daemon):
    path, settings = tmp_path / "x.prom", {"metricsFile": str(tmp_path / "x.prom")}
    first = daemon(sync(src, dst, name="www"), settings=settings)
    first.wait(path.exists, "the file")
    (tmp_path / "other").mkdir()
    second = daemon(sync(src, tmp_path / "other", name="www"), settings=settings)
    second.wait_log("Warn: the metrics file .*x.prom is another daemon's, too .PID %d.: each needs one of its own" % first.pid)


def test_an_overflown_kernel_queue_is_counted(src, dst, tmp_path, daemon, asked):
    one = daemon(sync(src, dst, name="www", delay=0.1), options=("-log", "Normal"))
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    one.kill(signal.SIGSTOP)
    subprocess.run([sys.executable, "-c", "import os, sys\nfor n in range(%d):\n    os.close(os.open(sys.argv[1] + '/f%%d' %% (n %% 2000), os.O_CREAT | os.O_WRONLY))"
                    % (2 * limit), str(src)], check=True)
    one.kill(signal.SIGCONT)
    one.wait_log("event queue overflowed")
    one.wait_equal(src, dst)
    assert asked()["overflows"] == 1
