"""What is held back on purpose: too many deletions, a source without its marker; and what comes by the clock."""

import os
import re
import shutil
import signal

import pytest

from harness import make, names, sync, sync_by_actions

MODES = ["rsync", "rsyncd", "rsyncssh", "direct"]


def status_text(running):
    return running.statusfile.read_text()


# ---- maxDelete ---------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", MODES)
def test_a_job_that_would_delete_too_much_is_held_until_it_is_released(mode, src, dst, mirror, cli, tmp_path):
    make(src, *["d/%d" % number for number in range(10)], "stays")
    pidfile = tmp_path / "pid"
    running = mirror(mode, maxDelete=5, settings={"pidfile": str(pidfile)})
    running.wait_equal(src, dst)
    shutil.rmtree(str(src / "d"))
    report = running.wait_status("sync1", state="held by maxDelete", next_try=bool)["sync1"]
    assert "maxDelete = 5" in report.last_error and report.delays
    make(src, "stays", text="new")  # nothing is sent either: it may be as wrong
    running.wait_log("Error: sync1: .*maxDelete")
    assert len(names(dst)) == 12
    told = cli("-release", "sync1", running.conf)
    assert told.returncode == 0, told.stderr
    running.wait_equal(src, dst)
    running.wait_idle()
    running.wait_log("sync1: released")
    make(src, *["e/%d" % number for number in range(10)])  # the release was for once
    running.wait_equal(src, dst)
    shutil.rmtree(str(src / "e"))
    running.wait_status("sync1", state="held by maxDelete")
    assert "e/9" in names(dst)
    running.kill(signal.SIGUSR1)
    running.wait_equal(src, dst)


@pytest.mark.parametrize("mode", MODES)
def test_deletions_up_to_the_limit_are_done(mode, src, dst, mirror):
    make(src, *["d/%d" % number for number in range(10)])
    running = mirror(mode, maxDelete=5)
    for number in range(0, 10, 5):
        for one in range(number, number + 5):
            os.unlink(str(src / "d" / str(one)))
        running.wait_equal(src, dst)
    running.wait_idle()
    assert "maxDelete" not in running.log()


@pytest.mark.parametrize("mode", MODES)
def test_a_full_sync_that_would_delete_too_much_is_held_and_goes_on_when_it_would_not(mode, src, dst, mirror):
    make(src, "a")
    make(dst, *["theirs/%d" % number for number in range(10)])
    running = mirror(mode, maxDelete=5, wait=False)
    running.wait_status("sync1", state="held by maxDelete")
    assert names(dst) == {"theirs/"} | {"theirs/%d" % number for number in range(10)}
    for number in range(6):
        os.unlink(str(dst / "theirs" / str(number)))
    running.kill(signal.SIGHUP)  # try now
    running.wait_equal(src, dst)
    running.wait_idle()


@pytest.mark.parametrize("mode", MODES + ["script"])
def test_what_is_held_at_the_start_waits_and_its_target_is_not_made_anew(mode, src, dst, mirror, daemon, tmp_path):
    make(src, "stays")
    make(dst, *["x%d" % number for number in range(10)])
    if mode == "script":
        (tmp_path / "script.py").write_text("def on_startup(sync):\n    return default.rsync(sync)\ndef action(inbox):\n    return default.rsync(inbox)\n")
        running = daemon(sync(src, dst, mode=mode, script=str(tmp_path / "script.py"), maxDelete=5, delay=0.1), wait=False)
    else:
        running = mirror(mode, maxDelete=5, wait=False)
    running.wait_status(state="held by maxDelete")
    dst.rename(tmp_path / "away")  # as if unmounted
    running.kill(signal.SIGUSR1)
    running.wait_status(last_error=lambda words: words and "is missing: waiting for it" in words)
    assert not dst.exists()
    (tmp_path / "away").rename(dst)
    running.wait_equal(src, dst)  # it is still released


def test_what_a_killed_rsync_may_have_left_is_not_what_is_excluded(src, dst, mirror, rsync):
    make(src, "f", ".env.secret")
    make(dst, ".env.secret", text="the target's own")
    binary = rsync()
    running = mirror("rsync", rsync={"binary": binary.path}, exclude=[".env.*"])
    make(dst, ".f.AbCdEf", ".own.tagged/f")
    binary.fail("KILL", 1)
    make(src, "f", text="new")
    running.wait_gone(dst / ".f.AbCdEf")
    running.wait_equal(src / "f", dst / "f")
    assert (dst / ".env.secret").read_text() == "the target's own" and (dst / ".own.tagged/f").exists()


def test_a_source_that_goes_away_before_a_job_begins_costs_no_time_and_no_file(src, dst, tmp_path, daemon):
    """What was to run is planned anew: by then the source may be empty."""
    make(src, "a")
    before = "echo > %s/runs; while [ -e %s/wait ]; do sleep 0.05; done" % (tmp_path, tmp_path)
    (tmp_path / "wait").touch()
    running = daemon(sync(src, dst, onBatch={"before": before}), settings={"insist": True}, wait=False)
    make(dst, "a", "b")
    running.wait_path(tmp_path / "runs")
    src.rename(tmp_path / "away")
    (tmp_path / "wait").unlink()
    running.wait_status(state="no source", in_flight="0")
    src.mkdir()
    running.wait_status(last_error=lambda words: words and "refused to empty it" in words)
    assert names(dst) == {"a", "b"}
    src.rmdir()
    (tmp_path / "away").rename(src)
    running.wait_equal(src, dst)


def test_a_held_sync_does_not_hold_up_others(tmp_path, src, dst, daemon):
    make(src, *map(str, range(10)))
    make(tmp_path / "other", "x")
    running = daemon(sync(src, dst, maxDelete=3, name="one"), sync(tmp_path / "other", tmp_path / "there", name="two"))
    for number in range(10):
        os.unlink(str(src / str(number)))
    make(src, "new")
    running.wait_status("one", state="held by maxDelete")
    running.fence(tmp_path / "other", tmp_path / "there")
    assert len(names(dst)) == 10


def test_renames_are_no_deletions(src, dst, mirror):
    make(src, *["d/%d" % number for number in range(10)])
    running = mirror("rsyncssh", maxDelete=3)
    os.rename(str(src / "d"), str(src / "e"))
    running.wait_equal(src, dst)
    assert "maxDelete" not in running.log()


def test_onepass_ends_with_an_error_where_too_much_would_be_deleted(src, dst, daemon):
    make(src, "a")
    make(dst, *map(str, range(10)))
    running = daemon(sync(src, dst, maxDelete=5), settings={"onepass": True}, wait=False)
    assert running.ended() == 255
    assert len(names(dst)) == 10 and "maxDelete" in running.log()


def test_an_empty_source_is_still_refused_first(src, dst, daemon):
    make(dst, "a")
    running = daemon(sync(src, dst, maxDelete=0), wait=False, options=["-insist"])
    running.wait_status("sync1", last_error=lambda words: words and "refused to empty" in words)
    assert names(dst) == {"a"}


def test_release_takes_the_name_of_a_sync_for_all_of_its_targets(src, dst, daemon, cli, tmp_path):
    make(src, *["d/%d" % number for number in range(4)], "a")
    targets = [dst / "one", dst / "two", dst / "three"]
    running = daemon(sync(src, targets[:2], name="www", maxDelete=2), sync(src, targets[2], name="other", maxDelete=2),
                     settings={"pidfile": str(tmp_path / "pid")})
    for target in targets:
        running.wait_equal(src, target)
    shutil.rmtree(str(src / "d"))
    for name in ("www/1", "www/2", "other"):
        running.wait_status(name, state="held by maxDelete")
    assert cli("-release", "www", running.conf).returncode == 0
    for target in targets[:2]:
        running.wait_equal(src, target)
    assert "d/0" in names(targets[2]) and "other: released" not in running.log()


def test_release_says_what_is_wrong(src, dst, daemon, cli, tmp_path):
    make(src, "a")
    running = daemon(sync(src, dst, name="www"), settings={"pidfile": str(tmp_path / "pid")})
    for argv, words in ((("-release", "other", running.conf), "no sync other"), (("-release", "www", "-rsync", src, dst), "no sync www")):
        told = cli(*argv)
        assert told.returncode == 255 and words in told.stderr and len(told.stderr.splitlines()) == 1
    assert cli("-release", "www", running.conf).returncode == 0
    running.wait_log("Warn: nothing to release: sync www is not held")
    running.kill(signal.SIGUSR1)
    running.wait_log("Warn: nothing to release: no sync is held")
    assert running.stop() == 143
    told = cli("-release", "all", running.conf)
    assert told.returncode == 255 and "no lsyncd-lite runs" in told.stderr


# ---- requireMarker -----------------------------------------------------------------------------

# trap 7, 32
@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_mirrored_while_the_marker_is_missing(mode, src, dst, mirror):
    make(src, ".here", "a", "b")
    running = mirror(mode, requireMarker=".here")
    running.wait_equal(src, dst)
    os.unlink(str(src / ".here"))
    os.unlink(str(src / "a"))
    make(src, "c")
    running.wait_status("sync1", state="no source")
    running.wait_log(r"Error: sync1: source .* holds no \.here")
    assert "Waiting for: source" in status_text(running)
    assert names(dst) == {".here", "a", "b"}
    make(src, ".here")
    running.wait_equal(src, dst)
    running.wait_idle()


def test_a_start_without_the_marker_ends_unless_it_may_wait(src, dst, daemon):
    make(src, "a")
    make(dst, "precious")
    running = daemon(sync(src, dst, requireMarker="m/x"), wait=False)
    assert running.ended() == 255
    assert re.search(r"holds no m/x .*insist", running.output()) and names(dst) == {"precious"}
    other = daemon(sync(src, dst, requireMarker="m/x"), wait=False, options=["-insist"])
    other.wait_status("sync1", state="no source")
    assert names(dst) == {"precious"}
    make(src, "m/x")
    other.wait_equal(src, dst)


def test_onepass_without_the_marker_ends_with_an_error(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, requireMarker="m"), settings={"onepass": True}, wait=False)
    assert running.ended() == 255 and not names(dst)


# ---- jobTimeout --------------------------------------------------------------------------------

def obedient(folder, hang):
    """Return the path of an rsync that runs `hang` (shell) as long as folder/hang is there; it notes its pid in folder/pid."""
    folder.mkdir()
    path = folder / "rsync"
    path.write_text("#!/bin/sh\ncase \" $* \" in *\" -n \"*) exec rsync \"$@\";; esac\n"
                    "if [ -e %s/hang ]; then echo $$ > %s/pid; %s\nfi\nexec rsync \"$@\"\n" % (folder, folder, hang))
    path.chmod(0o755)
    return str(path)


# trap 24
@pytest.mark.parametrize("hang", ["exec sleep 1000", "sleep 1000 & wait", "kill -STOP $$", "trap '' TERM; while :; do sleep 1000; done"],
                         ids=["sleeps", "waits for a grandchild", "is stopped", "does not listen"])
def test_a_job_that_stands_still_is_ended_with_all_it_started_and_tried_again(hang, src, dst, tmp_path, daemon):
    make(src, "a")
    binary = obedient(tmp_path / "bin", hang)
    running = daemon(sync(src, dst, rsync={"binary": binary}, jobTimeout=1))
    (tmp_path / "bin/hang").touch()
    make(src, "b")
    running.wait_log("Error: sync1: batch: nothing moved for 1 s: ended")
    report = running.wait_status("sync1", state="waiting", last_error=bool)["sync1"]
    assert "nothing moved" in report.last_error and report.delays
    (tmp_path / "bin/hang").unlink()
    running.wait_equal(src, dst)
    running.wait_idle()


def test_a_job_that_goes_on_slowly_is_left_alone(src, dst, tmp_path, daemon):
    make(src, "a")
    binary = obedient(tmp_path / "bin", "for i in 1 2 3 4 5 6 7 8; do sleep 0.4; echo still $i; done")
    running = daemon(sync(src, dst, rsync={"binary": binary}, jobTimeout=1.5))
    (tmp_path / "bin/hang").touch()
    make(src, "b")
    running.wait_equal(src, dst)
    assert "nothing moved" not in running.log()


def test_a_slow_transfer_is_progress(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, rsync={"bwlimit": "100"}, jobTimeout=1))
    make(src, "b", text="x" * 400000)
    running.wait_equal(src, dst)
    assert "nothing moved" not in running.log()


# trap 24
def test_an_action_that_hangs_is_ended_too(src, tmp_path, daemon):
    (tmp_path / "hang").touch()
    running = daemon(sync_by_actions(src, jobTimeout=1, onCreate="test -e %s/hang && exec sleep 1000; : > %s/did" % (tmp_path, tmp_path)))
    make(src, "a")
    running.wait_log("Error: sync1: action: nothing moved for 1 s: ended")
    (tmp_path / "hang").unlink()
    running.wait_path(tmp_path / "did")


def test_a_hook_that_hangs_is_ended_too(src, dst, tmp_path, daemon):
    (tmp_path / "hang").touch()
    running = daemon(sync(src, dst, jobTimeout=1, onBatch={"before": "test -e %s/hang && exec sleep 1000; :" % tmp_path}), wait=False, options=["-insist"])
    running.wait_log("Error: sync1: onBatch.before: nothing moved for 1 s: ended")
    make(src, "a")
    (tmp_path / "hang").unlink()
    running.wait_equal(src, dst)


def test_a_job_that_waits_for_a_fifo_is_ended_without_a_word(src, dst, tmp_path, daemon):
    os.mkfifo(str(tmp_path / "fifo"))
    make(src, "a")
    binary = obedient(tmp_path / "bin", "exec cat %s/fifo" % tmp_path)
    running = daemon(sync(src, dst, rsync={"binary": binary}))
    (tmp_path / "bin/hang").touch()
    make(src, "b")
    running.wait_log("Error: sync1: batch: it waits for the other end of a fifo: ended", limit=60)
    (tmp_path / "bin/hang").unlink()
    running.wait_equal(src, dst)


# ---- by the clock ------------------------------------------------------------------------------

# trap 21
def test_start_up_actions_come_again_by_the_clock(src, tmp_path, daemon):
    running = daemon(sync_by_actions(src, fullSyncInterval=0.5, onStartup="echo >> %s/starts" % tmp_path))
    running.wait(lambda: len((tmp_path / "starts").read_text()) >= 3, "three starts")


def test_a_scheduled_full_sync_of_commands_needs_a_start_up_action(src, cli):
    (src / "c.ini").write_text("[sync a]\nmode = exec\nsource = %s\nonCreate = true\ncrontab = 0 0 * * * *\nfullSyncInterval = 5\n" % src)
    told = cli("-check", src / "c.ini")
    assert told.returncode == 255 and len(told.stderr.splitlines()) == 2
    assert all("onStartup" in line for line in told.stderr.splitlines())
