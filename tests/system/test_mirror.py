"""What is mirrored, where to, and when."""

import os
import signal
import time

import pytest

from harness import make, names, sync


# ---- targets -----------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["local", "ssh", "rsync://", "::"])
def test_a_tree_is_mirrored_at_start_and_stays_equal(kind, src, place, daemon):
    target = place(kind)
    make(src, "a", "d/b", "d/e/c", "leaves/x", "empty/")
    os.symlink("d/e", str(src / "link"))
    os.chmod(str(src / "d"), 0o750)
    make(target.path, "stale", "stale.d/x", "d/stale")
    running = daemon(sync(src, target.target, rsync=dict(target.rsync, archive=True)))
    running.wait_equal(src, target.path, archive=True)

    make(src, "new", "new.d/one/two", text="new")
    make(src, "a", text="changed")
    os.rename(str(src / "leaves"), str(src / "arrives"))
    os.unlink(str(src / "d/b"))
    os.chmod(str(src / "d/e/c"), 0o600)
    os.unlink(str(src / "link"))
    os.symlink("nowhere", str(src / "link"))
    os.mkfifo(str(src / "fifo"))
    running.wait_equal(src, target.path, archive=True)
    assert running.stop() == 143


def test_rsync_on_the_command_line_mirrors_several_pairs(tmp_path, src, dst, daemon):
    make(src, "a", "d/b")
    more, there = make(tmp_path / "more", "x"), tmp_path / "new-target"
    running = daemon(argv=["-delay", "0.2", "-rsync", src, dst, "-rsync", more, there])
    running.wait_equal(src, dst)
    running.wait_equal(more, there)
    make(src, "later")
    make(more, "later")
    running.wait_equal(src, dst)
    running.wait_equal(more, there)


def test_a_list_of_targets_is_one_set_of_watches_and_a_sync_each(tmp_path, src, dst, daemon):
    other = tmp_path / "other"
    make(src, "a", "d/e/b")
    running = daemon(sync(src, [dst, other], name="www"))
    reports = running.status()
    assert sorted(reports) == ["www/1", "www/2"]
    assert [reports[name].target.rstrip("/") for name in sorted(reports)] == [str(dst), str(other)]
    assert {report.source for report in reports.values()} == {"%s/" % src}
    assert running.watching() == 3
    make(src, "d/new", "d/f/g")
    running.wait_equal(src, dst)
    running.wait_equal(src, other)
    running.wait(lambda: running.watching() == 4, "4 watched directories")


def test_syncs_without_a_name_are_numbered(tmp_path, src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst), sync(src, tmp_path / "other"), form="json")
    assert sorted(running.status()) == ["sync1", "sync2"]


def test_a_target_that_is_down_does_not_hold_back_its_twin(tmp_path, src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, [tmp_path / "no" / "parent", dst], name="www"), options=["-insist"], wait=False)
    running.wait_equal(src, dst)
    running.wait_status("www/2", state="idle")
    reports = running.wait_status("www/1", state=lambda state: state in ("waiting", "failed"))
    assert reports["www/1"].last_error and reports["www/1"].next_try and reports["www/1"].last_success == "never"
    make(src, "b")
    running.wait_equal(src, dst)
    (tmp_path / "no").mkdir()
    running.wait_equal(src, tmp_path / "no" / "parent")


def test_nested_sources_share_their_watches_and_each_gets_its_part(tmp_path, src, dst, daemon):
    make(src, "a", "sub/deep/b")
    inner = tmp_path / "inner"
    running = daemon(sync(src, dst, name="outer"), sync(src / "sub", inner, name="inner"))
    assert running.watching() == 3
    make(src, "sub/deep/c", "sub/new/d", "e")
    os.unlink(str(src / "sub/deep/b"))
    running.wait_equal(src, dst)
    running.wait_equal(src / "sub", inner)


def test_a_source_given_as_a_link_is_the_directory_it_names(tmp_path, src, dst, daemon):
    make(src, "a")
    os.symlink(str(src), str(tmp_path / "link"))
    running = daemon(sync(tmp_path / "link", dst))
    make(src, "d/b")
    running.wait_equal(src, dst)


def test_links_to_directories_are_mirrored_as_links_and_not_followed(tmp_path, src, dst, daemon):
    outside = make(tmp_path / "outside", "x")
    os.symlink(str(outside), str(src / "before"))
    running = daemon(sync(src, dst))
    os.symlink(str(outside), str(src / "after"))
    make(outside, "y")
    running.fence(src, dst)
    running.wait_equal(src, dst)
    assert running.watching() == 1


# ---- start-up ----------------------------------------------------------------------------------

def test_without_init_only_changes_are_sent(src, dst, daemon):
    make(src, "old", "d/old")
    make(dst, "theirs")
    running = daemon(sync(src, dst, init=False))
    make(src, "d/new")
    running.wait_path(dst / "d/new")
    running.fence(src, dst)
    assert not (dst / "old").exists() and not (dst / "d/old").exists() and (dst / "theirs").exists()


@pytest.mark.parametrize("how", ["option", "setting"])
def test_onepass_syncs_everything_once_and_exits_0(how, tmp_path, src, dst, daemon):
    make(src, "a", "d/b")
    make(dst, "stale")
    running = daemon(sync(src, dst), sync(src, tmp_path / "other"), wait=False,
                     options=["-onepass"] if how == "option" else [],
                     settings={"onepass": True} if how == "setting" else None)
    assert running.ended() == 0
    running.wait_equal(src, dst)
    running.wait_equal(src, tmp_path / "other")


def test_onepass_that_fails_does_not_exit_0(tmp_path, src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, tmp_path / "no" / "parent"), wait=False, options=["-onepass"])
    assert running.ended() == 255
    assert "no/parent" in running.output()


# ---- delay -------------------------------------------------------------------------------------

def test_more_changes_than_max_delays_do_not_wait_for_the_delay(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, delay=600, maxDelays=5))
    make(src, *["new%d" % number for number in range(10)])
    running.wait_path(dst / "new5")


def test_a_file_that_never_rests_is_sent_nevertheless(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst))
    rounds = iter(range(100000))

    def write_and_look():
        make(src, "busy", text="%d" % next(rounds))
        time.sleep(0.02)  # the pace of the writer; far below the delay
        return (dst / "busy").exists()
    running.wait(write_and_look, "the file on the target while it is written")


def test_delay_on_the_command_line_overrides_that_of_every_sync(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, delay=600), options=["-delay", "0.1"])
    make(src, "b")
    running.wait_equal(src, dst)


# ---- delete ------------------------------------------------------------------------------------

@pytest.mark.parametrize("delete, at_start, while_running", [
    (True, True, True), (False, False, False), ("startup", True, False), ("running", False, True)])
def test_delete_decides_when_the_target_loses_what_the_source_lost(delete, at_start, while_running, src, dst, daemon):
    make(src, "a", "gone", "gone.d/x/y", "replaced/x")
    make(dst, "stale", "stale.d/x")
    running = daemon(sync(src, dst, delete=delete))
    assert ("stale" in names(dst), "stale.d/x" in names(dst)) == (not at_start, not at_start)

    make(dst, "new/theirs")  # a new directory becomes equal as a whole
    os.unlink(str(src / "gone"))
    (src / "gone.d/x/y").unlink()
    (src / "gone.d/x").rmdir()
    (src / "gone.d").rmdir()
    (src / "replaced/x").unlink()
    (src / "replaced").rmdir()
    make(src, "new/ours", "replaced")  # what changes its type changes it, whatever delete says
    running.fence(src, dst)
    left = names(dst)
    assert {"new/ours", "replaced"} <= left
    assert {name for name in ("gone", "gone.d/x/y", "new/theirs") if name in left} == (
        set() if while_running else {"gone", "gone.d/x/y", "new/theirs"})


# ---- what is left out --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["exclude", "excludeFrom", "filter", "filterFrom"])
def test_what_is_excluded_stays_out_at_start_and_while_running(how, tmp_path, src, dst, daemon):
    patterns = ["*.key", "/vendor/", "cache"]
    rules = tmp_path / "rules"
    value = patterns if how.startswith("exclude") else ["- " + pattern for pattern in patterns]
    if how.endswith("From"):
        rules.write_text("# secrets\n\n" + "\n".join(value) + "\n")
        value = str(rules)
    kept = ["a", "d/ok", "d/vendor/x"]
    hidden = ["s.key", "d/s.key", "vendor/x", "cache/x", "d/cache"]
    make(src, *(kept + hidden))
    make(dst, "theirs.key")
    running = daemon(sync(src, dst, **{how: value}))
    assert names(dst) == {"a", "d/", "d/ok", "d/vendor/", "d/vendor/x", "theirs.key"}
    assert running.watching() == 3  # neither vendor nor cache

    make(src, *hidden, text="changed")
    make(src, "new/ok", "new/s.key", "new/cache/x", "new/vendor/y")
    os.rename(str(src / "a"), str(src / "a.key"))  # leaves by its name
    running.fence(src, dst)
    assert {name for name in names(dst) if "fence" not in name} == {
        "d/", "d/ok", "d/vendor/", "d/vendor/x", "new/", "new/ok", "new/vendor/", "new/vendor/y", "theirs.key"}


def test_include_and_exclude_in_extra_hold_while_running(src, dst, daemon):
    make(src, "limits.conf", "access.conf", "limits.d/x")
    running = daemon(sync(src, dst, delete=False,
                          rsync={"archive": True, "_extra": ["--include=limits.conf", "--exclude=*"]}))
    assert names(dst) == {"limits.conf"}
    make(src, "access.conf", "limits.d/x", "new.d/x", text="changed")
    make(src, "limits.conf", text="first")
    running.wait_path(dst / "limits.conf", "first")
    make(src, "limits.conf", text="second")  # a later batch: what came before it is through
    running.wait_path(dst / "limits.conf", "second")
    assert names(dst) == {"limits.conf"}
    running.wait_idle()


# ---- size, and when a write counts -------------------------------------------------------------

def test_files_above_the_batch_size_limit_travel_in_a_process_of_their_own(src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, batchSizeLimit=1000, rsync={"binary": binary.path}))
    before = len(binary.calls())
    make(src, "big1", "big2", text="x" * 2000)
    make(src, "small1", "small2", "d/small3")
    running.wait_equal(src, dst)
    running.wait_idle()
    lists = [{path for path in call.paths if b"big" in path or b"small" in path} for call in binary.calls()[before:]]
    assert {b"./big1"} in lists and {b"./big2"} in lists
    assert not any(len(paths) > 1 and any(b"big" in path for path in paths) for paths in lists)


@pytest.mark.parametrize("mode, sent_while_open", [
    ("CloseWrite", False), ("Modify", True), ("CloseWrite or Modify", True)])
def test_inotify_mode_decides_whether_an_open_file_is_sent(mode, sent_while_open, src, dst, daemon):
    make(src, "log")
    running = daemon(sync(src, dst), settings={"inotifyMode": mode})
    with open(str(src / "log"), "w") as file:
        file.write("open")
        file.flush()
        if sent_while_open:
            running.wait_path(dst / "log", "open")
        else:
            running.fence(src, dst)
            assert (dst / "log").read_text() == "log"
        file.write(", closed")
    running.wait_path(dst / "log", "open, closed")


def test_hard_links_stay_hard_links(src, dst, daemon):
    make(src, "a", "d/x")
    os.link(str(src / "a"), str(src / "d/b"))
    running = daemon(sync(src, dst, rsync={"hard_links": True}))
    assert (dst / "a").stat().st_ino == (dst / "d/b").stat().st_ino
    os.link(str(src / "a"), str(src / "later"))
    running.wait_equal(src, dst)


def test_rsync_options_of_the_configuration_hold_for_every_call(src, dst, daemon, rsync):
    make(src, "a", "d/b")
    binary = rsync()
    running = daemon(sync(src, dst, rsync={"binary": binary.path, "perms": True, "chmod": "F640", "checksum": True,
                                           "whole_file": False, "bwlimit": 9000, "temp_dir": str(dst)}))
    make(src, "c", "e/f")
    running.wait_path(dst / "c")
    running.wait_path(dst / "e/f")
    running.wait_idle()
    assert {oct((dst / name).stat().st_mode & 0o777) for name in ("a", "d/b", "c", "e/f")} == {"0o640"}
    for call in binary.calls():
        assert {"--bwlimit=9000", "--chmod=F640", "--temp-dir=%s" % dst} <= set(call.argv), call.argv
        assert call.argv[-2] == "%s/" % src and call.argv[-1] in ("%s/" % dst, "%s/." % dst)


@pytest.mark.parametrize("mode", ["rsync", "direct"])
def test_a_target_that_vanishes_is_waited_for_and_equal_when_it_is_back(mode, daemon, src, dst):
    """Made anew below an unmounted mount point it would fill another disk."""
    make(src, "a", "d/b")
    one = daemon(sync(src, dst, mode=mode))
    dst.rename(dst.with_name("elsewhere"))
    make(src, "c")
    one.wait_status(state="waiting", last_error=lambda words: words and "is missing: waiting for it" in words)
    make(src, "e")
    assert not dst.exists()
    dst.mkdir()
    one.kill(signal.SIGHUP)  # which waits no longer
    one.wait_equal(src, dst)
    one.wait_idle()


def test_with_update_nothing_goes_back_over_what_is_newer_by_a_second(src, dst, daemon):
    running = daemon(sync(src, dst, rsync={"archive": True, "update": True}))
    begin = int(time.time()) - 60
    for number, (here, there) in enumerate([(0.2, 0.7), (0.0, 1.5), (0.9, 1.0), (0.5, 9.0)]):
        name = "file%d" % number
        (dst / name).write_text("new")
        os.utime(str(dst / name), (begin + there, begin + there))
        (src / "rest").write_text("old")
        os.utime(str(src / "rest"), (begin + here, begin + here))
        (src / "rest").rename(src / name)  # as it arrives from the other side
    running.fence(src, dst)
    assert [(dst / ("file%d" % number)).read_text() for number in range(4)] == ["new"] * 4
