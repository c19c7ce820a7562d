"""From one run to the next: what could not be sent is kept, and nothing that a run has left is lost."""

import os
import signal

import pytest

from harness import make, names, sync, sync_by_actions, wait_for


@pytest.fixture
def keeping(tmp_path):
    return {"stateDir": str(tmp_path / "state"), "shutdownTimeout": 2}


def again(running, *options):
    """Start a daemon that has ended once more."""
    running.logfile.unlink()
    running.statusfile.unlink()
    running.start("-nodaemon", "-log", "all", *options, running.conf)
    return running


def test_a_job_that_outlasts_the_shutdown_is_done_again_by_the_next_run(src, dst, daemon, rsync, keeping):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, rsync={"binary": binary.path}), settings=dict(keeping, shutdownTimeout=0.5))
    running.configure_init_off()
    binary.hold()
    make(src, "b")
    running.wait_status("sync1", in_flight="1")
    make(src, "c")
    running.wait_status("sync1", delays=1)
    assert running.stop() == 143
    binary.release()
    again(running)
    running.wait_equal(src, dst)


def test_a_run_that_left_nothing_costs_nothing(src, dst, mirror, keeping):
    make(src, "a")
    running = mirror("rsync", settings=keeping)
    running.wait_equal(src, dst)
    running.configure_init_off()
    assert running.stop() == 143
    again(running)
    running.wait_idle()
    assert "full sync" not in running.log() and "last run" not in running.log()


# trap 8
@pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["empty", "garbage", "cut"])
def test_what_is_damaged_is_thrown_away_and_everything_is_looked_at(damage, src, dst, tmp_path, mirror, keeping):
    make(src, "a")
    running = mirror("rsync", settings=keeping)
    running.wait_equal(src, dst)
    running.configure_init_off()
    assert running.stop() == 143
    (path,) = (tmp_path / "state").iterdir()
    path.write_bytes(path.read_bytes()[:-3] if damage is None else damage)
    make(src, "while-it-was-away")
    again(running)
    running.wait_equal(src, dst)
    assert "not ended properly" in running.log()


# trap 5
def test_a_file_replaced_by_one_that_looks_the_same_survives_a_restart(src, dst, mirror, keeping):
    make(src, "a", text="old")
    running = mirror("rsync", settings=keeping)
    running.wait_equal(src, dst)
    facts = (src / "a").stat()
    os.rename(str(dst), str(dst) + ".away")
    make(src.parent, "between", text="new")
    os.utime(str(src.parent / "between"), ns=(facts.st_atime_ns, facts.st_mtime_ns))
    os.rename(str(src.parent / "between"), str(src / "a"))
    running.wait_status("sync1", last_error=bool)
    assert running.stop() == 143
    os.rename(str(dst) + ".away", str(dst))
    again(running)  # with its full sync, which looks at size and time
    running.wait_path(dst / "a", "new")


# trap 8
def test_events_that_were_not_told_are_told_by_the_next_run_in_order(src, tmp_path, daemon, keeping):
    told = tmp_path / "told"
    words = {"on" + kind: "test -e %s/open && echo %s ^path >> %s" % (tmp_path, kind, told) for kind in ("Create", "Modify", "Delete")}
    words["onMove"] = "test -e %s/open && echo Move ^o.path ^d.path >> %s" % (tmp_path, told)
    make(src, "old", "gone", "modified")
    running = daemon(sync_by_actions(src, exitcodes={"1": "again"}, **words), settings=keeping)
    make(src, "d/new", "modified")
    os.rename(str(src / "old"), str(src / "renamed"))
    os.unlink(str(src / "gone"))
    running.wait_status("sync1", delays=lambda number: number >= 4)
    assert running.stop() == 143 and not told.exists()
    (tmp_path / "open").touch()
    again(running)
    wait_for(lambda: told.exists() and len(told.read_text().splitlines()) >= 5, "five events")
    lines = told.read_text().splitlines()
    assert sorted(lines) == ["Create d/", "Create d/new", "Delete gone", "Modify modified", "Move old renamed"]
    assert lines.index("Create d/") < lines.index("Create d/new")


# trap 8
def test_events_outlive_a_kill_after_a_while(src, tmp_path, daemon, keeping):
    told = tmp_path / "told"
    running = daemon(sync_by_actions(src, exitcodes={"1": "again"}, onCreate="test -e %s/open && echo ^path >> %s" % (tmp_path, told)), settings=keeping)
    make(src, "a", "b")
    (path,) = (tmp_path / "state").iterdir()
    wait_for(lambda: b"Create" in path.read_bytes(), "events to be kept", 60)
    running.kill(signal.SIGKILL)
    running.ended()
    (tmp_path / "open").touch()
    again(running)
    running.wait_log("Warn: sync1: the last run was not ended properly: changes may be lost")
    wait_for(lambda: told.exists() and sorted(told.read_text().split()) == ["a", "b"], "both events")


def test_events_outlive_an_end_for_another_sync_s_failure(src, tmp_path, daemon, keeping):
    told, other = tmp_path / "told", make(tmp_path / "other", "x")
    tells = sync_by_actions(src, name="tells", exitcodes={"1": "again"}, onCreate="test -e %s/open && echo ^path >> %s" % (tmp_path, told))
    dies = sync_by_actions(other, name="dies", exitcodes={"4": "die"}, onCreate="test -e %s/open || exit 4" % tmp_path)
    running = daemon(tells, dies, settings=dict(keeping, onFatal="exit"))
    make(src, "a", "b")
    running.wait_status("tells", last_error=bool)
    make(other, "y")
    assert running.ended() == 255
    assert "defect" not in running.log()
    (tmp_path / "open").touch()
    again(running)
    wait_for(lambda: told.exists() and sorted(told.read_text().split()) == ["a", "b"], "both events")


def test_what_a_hook_was_not_told_it_is_told_by_the_next_run(src, dst, tmp_path, daemon, keeping):
    told = tmp_path / "told"
    make(src, "a")
    running = daemon(sync(src, dst, onBatch={"after": "test -e %s/open && cat >> %s" % (tmp_path, told), "afterFailure": "again"}), settings=keeping)
    make(src, "b")
    running.wait_equal(src, dst)
    running.wait_log("onBatch.after ended with 1; run again")
    assert running.stop() == 143
    (tmp_path / "open").touch()
    again(running)
    wait_for(lambda: told.exists() and b"b\0" in told.read_bytes(), "the hook to be told")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_state_directory_that_is_full_stops_nothing(src, dst, small_disk, mirror):
    make(src, "a")
    running = mirror("rsync", settings={"stateDir": str(small_disk), "delay": 30})
    with open(str(small_disk / "ballast"), "wb", buffering=0) as file:
        with pytest.raises(OSError):
            while True:
                file.write(b"x" * 4096)
    make(src, *["%s%d" % ("n" * 200, number) for number in range(100)])
    os.rename(str(dst), str(dst) + ".away")
    assert running.stop() == 143
    assert "cannot keep what is not mirrored" in running.log()


def test_a_sync_that_the_configuration_has_no_more_is_forgotten(src, dst, tmp_path, daemon, keeping):
    make(src, "a")
    one, two = sync(src, dst, name="one"), sync(src, tmp_path / "other", name="two")
    running = daemon(one, two, settings=keeping)
    assert len(names(tmp_path / "state")) == 2
    running.configure(dict(one, name="renamed"), settings=keeping)
    running.kill(signal.SIGHUP)
    running.wait_log("two: ended by the new configuration")
    wait_for(lambda: [name.split("-")[0] for name in names(tmp_path / "state")] == ["renamed"], "one file")


def test_a_new_configuration_may_keep_it_elsewhere(src, dst, tmp_path, daemon, keeping):
    make(src, "a")
    running = daemon(sync(src, dst), settings=keeping)
    for settings, words in (({"stateDir": "/dev/null/x"}, "refused"), ({"stateDir": str(tmp_path / "other")}, "configuration read again")):
        running.configure(sync(src, dst, init=False), settings=dict(keeping, **settings))
        running.kill(signal.SIGHUP)
        running.wait_log(words)
    running.fence(src, dst)
    os.rename(str(dst), str(dst) + ".away")
    make(src, "b")
    running.wait_status("sync1", last_error=bool)
    assert running.stop() == 143
    os.rename(str(dst) + ".away", str(dst))
    again(running)
    running.wait_log(r"Normal: sync1: the last run has left \d+ change")
    running.wait_path(dst / "b")


def test_systemd_may_say_where(src, dst, tmp_path, daemon):
    make(src, "a")
    daemon(sync(src, dst), prefix=("env", "STATE_DIRECTORY=%s" % (tmp_path / "state")))
    assert len(names(tmp_path / "state")) == 1


def test_a_state_directory_that_cannot_be_ends_the_start(src, dst, tmp_path, daemon):
    make(tmp_path, "file")
    running = daemon(sync(src, dst), settings={"stateDir": str(tmp_path / "file")}, wait=False)
    assert running.ended() == 255 and "state directory" in running.output() and len(running.output().splitlines()) == 1
