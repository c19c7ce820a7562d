"""A source, or a target, on a file system that does not answer: nobody else is held up, and nothing is concluded from silence."""

import os
import signal
import time
from pathlib import Path

import pytest

from hanging import Hanging
from harness import ROOT, make, sync, sync_by_actions, teller, told, tree, wait_for

SILENT = r"source \S+/src does not answer"


@pytest.fixture
def back(tmp_path):
    (tmp_path / "back").mkdir()
    return tmp_path / "back"


@pytest.fixture
def hanging(tmp_path, daemon):
    """Mount: `hanging(place, back)`; it is ended before the daemons are, so that nobody hangs for ever."""
    if not ROOT or not os.path.exists("/dev/fuse"):
        pytest.skip("a file system of our own needs root and /dev/fuse")
    mounted = []

    def mount(place, back):
        try:
            one = Hanging(place, back, tmp_path / ("control%d" % len(mounted)))
        except OSError as error:
            pytest.skip("cannot mount a FUSE file system: %s" % error)
        mounted.append(one)
        return one

    yield mount
    for one in mounted:
        one.close()
        assert str(one.place) not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture
def local(tmp_path):
    """A source and a target that have nothing to do with it."""
    make(tmp_path / "local", "x")
    (tmp_path / "local dst").mkdir()
    return tmp_path / "local", tmp_path / "local dst"


def threads(running):
    return len(os.listdir("/proc/%d/task" % running.pid))


def end(running):
    """Send TERM; return the exit status. Nothing is done about what does not end: the fixture ends what it waits for."""
    running.kill(signal.SIGTERM)
    return running.ended()


def waits(running, name="far"):
    """Wait until a sync has no source as that does not answer."""
    running.wait_status(name, state="no source")
    running.wait(lambda: "Waiting for: source " in running._text(running.statusfile), "the status")
    assert "does not answer" in running._text(running.statusfile)


def test_a_source_of_fuse_is_scanned_by_itself(src, dst, back, daemon, hanging):
    make(back, "a", "d/e/f")
    hanging(src, back)
    running = daemon(sync(src, dst, scanInterval=0.2))
    running.wait_log("Warn: .* is on fuse, where nothing tells what other hosts change: it is scanned")
    running.wait_equal(back, dst)
    make(back, "d/new")
    (back / "a").unlink()
    running.wait_equal(back, dst)
    assert running.watching() == 0 and running.log().count("full sync of") == 1


@pytest.mark.parametrize("mode", ["rsync", "direct"])
def test_an_idle_source_that_hangs_is_told_holds_up_nobody_and_is_compared_when_it_answers(mode, src, dst, back, local, daemon, hanging):
    make(back, "a", "d/e/f", "gone")
    far = hanging(src, back)
    running = daemon(sync(src, dst, name="far", mode=mode, scanInterval=0.2), sync(*local, name="near"))
    running.wait_equal(back, dst)
    running.wait_idle()  # what planning looks up is not looked up aside
    far.stop()
    waits(running)
    running.wait_log("Error: far: " + SILENT)
    seen = tree(dst)
    make(back, "meanwhile", "d/e/more")
    (back / "gone").unlink()
    for _time in range(3):
        running.fence(*local)
    assert running.status()["near"].state in ("idle", "syncing", "waiting") and tree(dst) == seen
    assert threads(running) <= 3
    far.go_on()
    running.wait_log("Normal: source .*/src answers again")
    running.wait_equal(back, dst)
    running.wait_idle()
    assert running.log().count("does not answer: waiting") == 1 and running.log().count("full sync of %s" % src) == 2
    running.wait(lambda: threads(running) <= 2, "no threads that wait")


def test_a_source_that_hangs_when_a_job_is_due_holds_up_nobody(src, dst, back, local, daemon, hanging):
    make(back, "a")
    far = hanging(src, back)
    running = daemon(sync(src, dst, name="far", scanInterval=0.2, delay=2), sync(*local, name="near"))
    make(back, "late")
    running.wait_log(r"Inotify: \S+/src: late")
    far.stop()
    waits(running)
    running.fence(*local)
    assert not (dst / "late").exists()
    far.go_on()
    running.wait_path(dst / "late")
    running.wait_equal(back, dst)


def test_a_source_that_hangs_in_the_middle_of_a_scan_holds_up_nobody_and_deletes_nothing(src, dst, back, local, daemon, hanging):
    make(back, *("d%02d/f" % number for number in range(30)))
    far = hanging(src, back)
    running = daemon(sync(src, dst, name="far", scanInterval=0.2), sync(*local, name="near"))
    running.wait_equal(back, dst)
    seen = tree(dst)
    make(back, "d00/new")
    far.stop_at("d17")
    wait_for(far.stopped, "the scan to come to d17")
    waits(running)
    running.fence(*local)
    assert not set(seen) - set(tree(dst))
    far.go_on()
    running.wait_path(dst / "d00/new")
    running.wait_equal(back, dst)


def test_term_ends_a_daemon_whose_source_hangs(src, dst, back, local, daemon, hanging):
    make(back, "a")
    far = hanging(src, back)
    running = daemon(sync(src, dst, name="far", scanInterval=0.2), sync(*local, name="near", delay=60), settings={"shutdownTimeout": 20})
    far.stop()
    waits(running)
    make(local[0], "late")
    running.wait_status("near", delays=1)
    began = time.monotonic()
    assert end(running) == 128 + signal.SIGTERM
    assert time.monotonic() - began < 8 and (local[1] / "late").exists()
    assert "ended by signal 15" in running.log() and tree(dst) == tree(back)


def test_term_ends_a_daemon_whose_source_hangs_just_then(src, dst, back, daemon, hanging):
    make(back, "a", "d/f")
    far = hanging(src, back)
    running = daemon(sync(src, dst, name="far", scanInterval=3600), settings={"shutdownTimeout": 20})
    make(back, "late", "later")
    far.stop_at("late")  # the last look meets it
    began = time.monotonic()
    assert end(running) == 128 + signal.SIGTERM
    assert far.stopped() and time.monotonic() - began < 12
    assert not (dst / "late").exists()


def test_a_hang_up_while_a_source_hangs_keeps_the_rest_going(src, dst, back, local, daemon, hanging):
    make(back, "a")
    far = hanging(src, back)
    running = daemon(sync(src, dst, name="far", scanInterval=0.2), sync(*local, name="near"))
    far.stop()
    waits(running)
    running.configure(sync(src, dst, name="far", scanInterval=0.3), sync(*local, name="near", delay=0.1), settings={"insist": True})
    running.kill(signal.SIGHUP)
    running.wait_log("configuration read again")
    waits(running)
    running.fence(*local)
    make(back, "new")
    far.go_on()
    running.wait_equal(back, dst)


def test_a_server_that_dies_is_no_empty_source(src, dst, back, local, daemon, hanging):
    make(back, "a", "d/e/f")
    far = hanging(src, back)
    running = daemon(sync(src, dst, name="far", scanInterval=0.2), sync(*local, name="near"))
    running.wait_equal(back, dst)
    seen = tree(dst)
    far.die()
    running.wait_log("is gone or was replaced: waiting for it")
    running.wait(lambda: "Transport endpoint is not connected" in running._text(running.statusfile), "the status")
    running.wait_status("far", state="no source")
    running.fence(*local)
    assert tree(dst) == seen
    far.close()  # an empty directory is left, which is another one
    make(back, "new")
    running.wait_status("far", state=lambda word: word != "no source")


def test_a_source_that_is_mounted_anew_after_it_hung_is_mirrored(src, dst, back, local, daemon, hanging):
    make(back, "a")
    far = hanging(src, back)
    running = daemon(sync(src, dst, name="far", scanInterval=0.2), sync(*local, name="near"))
    far.stop()
    waits(running)
    make(back, "new")
    hanging(src, back)  # over the old one, which goes on hanging
    running.wait_equal(back, dst)
    running.wait_status("far", state="idle")


def test_actions_are_told_after_a_hang_what_happened_meanwhile_and_nothing_twice(tmp_path, src, back, daemon, hanging):
    make(back, "a", "d/f")
    where = tmp_path / "told"
    far = hanging(src, back)
    running = daemon(sync_by_actions(src, name="far", scanInterval=0.2, onStartup=teller(where, "Startup"),
                                     onCreate=teller(where, "Create", "^path"), onDelete=teller(where, "Delete", "^path")))
    running.wait(lambda: told(where) == [("Startup",)], "the start")
    far.stop()
    running.wait_log("Error: far: " + SILENT)
    make(back, "new")
    (back / "d/f").unlink()
    far.go_on()
    running.wait(lambda: len(told(where)) >= 3, "what happened")
    make(back, "fence")
    running.wait(lambda: ("Create", "fence") in told(where), "the fence")
    assert sorted(told(where)) == [("Create", "fence"), ("Create", "new"), ("Delete", "d/f"), ("Startup",)]


# ---- the start ---------------------------------------------------------------------------------

def test_a_start_that_may_not_wait_ends_with_one_line(src, dst, back, daemon, hanging):
    make(back, "a")
    hanging(src, back).stop()
    running = daemon(sync(src, dst, name="far"), wait=False)
    assert running.ended() == 255
    assert running.log().count("Error") == 1 and "does not answer (insist = yes, or -insist, waits for it)" in running.log()


def test_a_start_that_may_wait_goes_on_without_it(src, dst, back, local, daemon, hanging):
    make(back, "a")
    far = hanging(src, back)
    far.stop()
    running = daemon(sync(src, dst, name="far", scanInterval=0.2), sync(*local, name="near"), settings={"insist": True}, wait=False)
    running.wait_path(local[1] / "x")
    running.fence(*local)
    waits(running)
    far.go_on()
    running.wait_equal(back, dst)
    make(back, "new")
    running.wait_equal(back, dst)


# ---- jobs that hang ----------------------------------------------------------------------------

@pytest.mark.parametrize("killable", [True, False])
def test_a_target_that_hangs_holds_up_its_own_sync_only(killable, src, dst, back, local, daemon, hanging):
    make(src, "a")
    make(back, "a")
    far = hanging(dst, back)
    running = daemon(sync(src, dst, name="far", jobTimeout=2, delete=False), sync(*local, name="near"), wait=False,
                     settings={"shutdownTimeout": 2})
    running.wait_status("far", state=lambda word: word != "starting")
    running.wait_status("near", state="idle")
    (far.stop_at if killable else far.swallow)("new")
    make(src, "new")
    wait_for(far.stopped if killable else far.swallowed, "rsync to ask for it")
    running.fence(*local)
    running.wait_log("Error: far: .*nothing moved for .* s: ended")
    running.fence(*local)
    began = time.monotonic()
    assert end(running) == 128 + signal.SIGTERM
    assert time.monotonic() - began < 2 + 8


def test_a_job_that_nobody_can_end_holds_up_its_own_sync_only_and_term_ends_the_daemon(src, dst, back, local, daemon, hanging):
    make(back, "a", "d/f")
    far = hanging(src, back)
    keys = {"name": "far", "scanInterval": 3600, "jobTimeout": 2}
    settings = {"shutdownTimeout": 2, "maxProcesses": 1}
    running = daemon(sync(src, dst, **keys), sync(*local, name="near"), settings=settings)
    far.swallow("f")
    running.configure(sync(src, dst, rsync={"checksum": True}, **keys), sync(*local, name="near"), settings=settings)
    running.kill(signal.SIGHUP)
    wait_for(far.swallowed, "rsync to ask for it")
    running.wait_log("Error: far: full sync cannot be ended: it waits for what does not answer")
    running.fence(*local)
    running.wait_status("far", last_error=lambda words: words and "cannot be ended" in words)
    began = time.monotonic()
    running.kill(signal.SIGTERM)
    running.wait_log("children could not be ended(.|\n)*ended by signal 15")
    assert time.monotonic() - began < 2 + 8 and tree(dst) == tree(back)
