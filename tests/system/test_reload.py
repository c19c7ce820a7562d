"""HUP: the configuration is read again, and what did not change goes on."""

import os
import resource
import signal

import pytest

from harness import make, names, sync

BROKEN = [("text", "[sync a\nsource"), ("unknown key", "[sync a]\nsource = /\ntarget = /x\nnonsense = 1\n"), ("gone", None)]


@pytest.mark.parametrize("text", [text for _name, text in BROKEN], ids=[name for name, _text in BROKEN])
def test_a_broken_configuration_is_refused_and_the_old_one_stays(text, src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, rsync={"binary": binary.path}))
    before = len(binary.calls())
    if text is None:
        running.conf.unlink()
    else:
        running.configure(text=text)
    running.kill(signal.SIGHUP)
    running.wait_log(r"Error: .*daemon\.ini.*")
    make(src, "b")
    running.wait_equal(src, dst)
    assert not any("-r" in call.argv for call in binary.calls()[before:])  # no full sync
    assert running.stop() == 143


def test_pairs_that_did_not_change_go_on_new_ones_start_and_removed_ones_end(tmp_path, src, daemon, rsync):
    binaries = {name: rsync(name) for name in ("stays", "goes", "comes", "changes")}
    targets = {name: tmp_path / name for name in binaries}
    sources = {name: make(tmp_path / ("src-" + name), "a", "b.tmp") for name in binaries}

    def one(name, **keys):
        return sync(sources[name], targets[name], name=name, rsync={"binary": binaries[name].path}, **keys)
    running = daemon(one("stays"), one("goes"), one("changes"))
    calls = {name: len(binary.calls()) for name, binary in binaries.items()}

    running.configure(one("changes", exclude=["*.tmp"]), one("comes"), one("stays"))
    running.kill(signal.SIGHUP)
    running.wait_path(targets["comes"] / "a")
    running.wait(lambda: len(binaries["changes"].calls()) > calls["changes"], "the changed pair to begin anew")
    running.wait(lambda: sorted(running.status()) == ["changes", "comes", "stays"], "the new syncs in the status")
    running.wait_idle()
    assert len(binaries["stays"].calls()) == calls["stays"]
    assert running.watching() == 3

    for name in sources:
        make(sources[name], "later", "later.tmp")
    for name in ("stays", "comes", "changes"):
        running.fence(sources[name], targets[name])
    assert "later.tmp" in names(targets["stays"]) and "later.tmp" in names(targets["comes"])
    assert "later" in names(targets["changes"]) and "later.tmp" not in names(targets["changes"])
    assert "later" not in names(targets["goes"]) and len(binaries["goes"].calls()) == calls["goes"]
    assert not any("-r" in call.argv for call in binaries["stays"].calls()[calls["stays"]:])
    running.wait_log("goes: ended by the new configuration")
    running.wait_log("changes: begun anew by the new configuration")
    assert "stays: ended" not in running.log() and "stays: begun anew" not in running.log()


def test_pairs_without_a_name_that_go_on_tell_what_they_are_called_now(tmp_path, src, daemon):
    make(src, "a")
    first, second = sync(src, tmp_path / "first"), sync(src, tmp_path / "second")
    running = daemon(first, second)
    running.configure(second)
    running.kill(signal.SIGHUP)
    running.wait_log("names by the new configuration: sync2 is sync1 now")
    assert "sync1: ended by the new configuration" in running.log() and "begun anew" not in running.log()
    running.configure(first, second)
    running.kill(signal.SIGHUP)
    running.wait_log("names by the new configuration: sync1 is sync2 now")
    running.wait(lambda: running.log().count("sync1: full sync finished") == 2, "the new pair to begin")
    assert running.log().count("sync2: full sync finished") == 1


def test_what_was_queued_for_an_unchanged_pair_survives(src, dst, tmp_path, daemon, rsync):
    make(src, "a")
    binary = rsync()
    pair = sync(src, dst, name="pair", rsync={"binary": binary.path})
    running = daemon(pair)
    binary.hold()
    make(src, "b")
    running.wait_status("pair", in_flight="1")
    make(src, "c")
    running.wait_status("pair", in_flight="1", delays=1)
    running.configure(pair, sync(src, tmp_path / "other", name="other"))
    running.kill(signal.SIGHUP)
    running.wait_path(tmp_path / "other" / "c")
    binary.release()
    running.wait_equal(src, dst)


# Ends late, and then does what it was begun for: so does an rsync whose sender alone was told to end.
LATE = """#!/bin/sh
[ -e %(folder)s/late ] || exec rsync "$@"
rm %(folder)s/late
trap "" TERM
: > %(folder)s/started
while [ ! -e %(folder)s/go ]; do sleep 0.05; done
rm -f %(target)s/b
: > %(folder)s/done
"""


def test_a_changed_pair_waits_for_the_rsync_that_still_runs(tmp_path, src, dst, daemon):
    make(src, "a")
    binary = tmp_path / "late-rsync"
    binary.write_text(LATE % {"folder": tmp_path, "target": dst})
    binary.chmod(0o755)
    pair = sync(src, dst, name="pair", rsync={"binary": str(binary)})
    running = daemon(pair)
    (tmp_path / "late").touch()
    make(src, "b")
    running.wait_path(tmp_path / "started")
    running.configure(dict(pair, exclude=["*.tmp"]), sync(src, tmp_path / "other", name="other"))
    running.kill(signal.SIGHUP)
    running.wait_equal(src, tmp_path / "other")
    make(src, "c")
    running.wait_equal(src, tmp_path / "other")  # the new configuration is at work
    (tmp_path / "go").touch()
    running.wait_path(tmp_path / "done")
    running.wait_equal(src, dst)


# trap 5
def test_a_replacement_that_looks_the_same_survives_a_reload(src, dst, daemon):
    make(src, "a", "b", text="old")
    running = daemon(sync(src, dst, name="pair", delay=600))
    facts = (src / "a").stat()
    make(src, "b", text="new")
    os.utime(str(src / "b"), ns=(facts.st_atime_ns, facts.st_mtime_ns))
    os.rename(str(src / "b"), str(src / "a"))
    running.wait_status("pair", delays=2)
    running.configure(sync(src, dst, name="pair", delay=600, exclude=["*.tmp"]))  # begins anew, with a full sync
    running.kill(signal.SIGHUP)
    running.wait_path(dst / "a", "new")


def test_new_settings_hold_from_then_on(tmp_path, src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst))
    files = {"logfile": str(tmp_path / "new.log"), "statusFile": str(tmp_path / "new.status")}
    running.configure(sync(src, dst), settings=files)
    running.kill(signal.SIGHUP)
    running.wait(lambda: (tmp_path / "new.log").exists() and (tmp_path / "new.status").exists(), "the new files")
    make(src, "b")
    running.wait_equal(src, dst)


def test_a_missing_source_in_the_new_configuration_waits(tmp_path, src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, name="one"))
    running.configure(sync(src, dst, name="one"), sync(tmp_path / "missing", tmp_path / "there", name="two"))
    running.kill(signal.SIGHUP)
    running.wait_status("two", state="no source")
    make(src, "b")
    running.wait_equal(src, dst)
    make(tmp_path / "missing", "x")
    running.wait_equal(tmp_path / "missing", tmp_path / "there")


def test_hup_without_a_configuration_file_changes_nothing(src, dst, daemon):
    make(src, "a")
    running = daemon(argv=["-delay", "0.2", "-rsync", src, dst])
    running.wait_equal(src, dst)
    running.kill(signal.SIGHUP)
    running.fence(src, dst)
    os.unlink(str(src / "a"))
    running.wait_equal(src, dst)
    assert running.stop() == 143


def test_a_reload_for_which_there_are_no_descriptors_is_refused_and_ends_nothing(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, mode="direct"))
    limits = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (4, limits[1]))  # as many as poll(2) is asked for
    running.kill(signal.SIGHUP)
    running.wait(lambda: "cannot read the configuration: Too many open files" in running.output(), running.story)
    resource.prlimit(running.pid, resource.RLIMIT_NOFILE, limits)
    make(src, "b")
    running.wait_equal(src, dst)
