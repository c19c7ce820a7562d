"""Programs that are missing: what is said at the start, by a check, at a hang-up and at run time, and what becomes of the changes."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from harness import environment, make, sync, sync_by_ssh, tree


@pytest.fixture
def path(tmp_path):
    """Make a directory for PATH with links to programs: `path("sh", "rsync")`."""
    def fill(*programs):
        place = tmp_path / "path"
        place.mkdir(exist_ok=True)
        for name in programs:
            os.symlink(shutil.which(name), str(place / name))
        return place
    return fill


def within(place):
    return ("env", "PATH=%s" % place)


WITHOUT_RSYNC = "there is no program rsync (install it, or use mode = direct)"
WITHOUT_SSH = "there is no program ssh (install the client of OpenSSH)"


def a_sync(mode, src, dst):
    return {"rsync": lambda: sync(src, dst, "www"), "ssh": lambda: sync(src, "127.0.0.1:" + str(dst), "www"),
            "rsyncssh": lambda: sync_by_ssh(src, "127.0.0.1", dst, name="www")}[mode]()


@pytest.mark.parametrize("mode, there, words", [
    ("rsync", ("sh",), WITHOUT_RSYNC), ("ssh", ("sh", "rsync"), WITHOUT_SSH), ("rsyncssh", ("sh", "rsync"), WITHOUT_SSH),
    ("rsyncssh", ("sh",), "there is no program rsync (install it)")])
def test_a_start_and_a_check_without_it_name_the_program_and_the_sync(daemon, cli, path, src, dst, mode, there, words):
    make(src, "a")
    place = path(*there)
    one = daemon(a_sync(mode, src, dst), prefix=within(place), wait=False)
    assert one.ended() == 255
    assert one.log().endswith("Error: sync www: the start failed: %s (insist = yes, or -insist, goes on trying)\n" % words)
    for options, status in ((), 255), (("-insist",), 0):  # then it is waited for
        done = subprocess.run([sys.executable, "-m", "lsyncd_lite", *options, "-check", str(one.conf)], stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                              universal_newlines=True, env=dict(environment(src), PATH=str(place)))
        assert done.returncode == status and "sync www: %s\n" % words in done.stderr


def test_mode_direct_needs_neither(daemon, path, src, dst):
    make(src, "a", "d/b")
    one = daemon(sync(src, dst, mode="direct"), prefix=within(path("sh", "cp", "rm", "touch", "env")))
    make(src, "c")
    one.wait_equal(src, dst)
    assert "there is no program" not in one.log()


def test_with_insist_it_is_waited_for_and_said_once(daemon, path, src, dst):
    make(src, "a")
    place = path("sh")
    one = daemon(sync(src, dst, "www", delay=0), settings={"insist": True}, prefix=within(place), wait=False)
    one.wait_log("Error: www: there is no program rsync .*; waiting for it\n")
    one.wait_status(state="waiting", last_error=WITHOUT_RSYNC)
    os.symlink(shutil.which("rsync"), str(place / "rsync"))
    one.wait_equal(src, dst)
    one.wait_log("Normal: www: works again\n")
    assert one.log().count("there is no program") == 1


def test_one_that_disappears_is_waited_for(daemon, path, src, dst):
    make(src, "a")
    place = path("sh", "rsync")
    one = daemon(sync(src, dst, "www"), prefix=within(place))
    (place / "rsync").unlink()
    make(src, "b")
    one.wait_log("Error: www: there is no program rsync .*; 1 change waits, next try in ")
    os.symlink(shutil.which("rsync"), str(place / "rsync"))
    one.wait_equal(src, dst)
    one.wait_log("Normal: www: works again\n")


def test_a_hang_up_that_adds_a_sync_without_its_program_says_so_and_leaves_the_others_alone(daemon, path, src, dst, tmp_path):
    make(src, "a")
    one = daemon(sync(src, dst, "www"), prefix=within(path("sh", "rsync")))
    more = sync(src, tmp_path / "more", "more", rsync={"binary": str(tmp_path / "opt-rsync")})
    one.configure(sync(src, dst, "www"), more)
    one.kill(signal.SIGHUP)
    one.wait_log(r"Error: more: there is no program .*/opt-rsync \(rsync.binary\); waiting for it\n")
    make(src, "b")
    one.wait_equal(src, dst)
    os.symlink(shutil.which("rsync"), str(tmp_path / "opt-rsync"))
    one.wait_equal(src, tmp_path / "more")


def test_a_pass_without_it_fails_for_this_sync_only(daemon, path, src, dst, tmp_path):
    make(src, "a")
    one = daemon(argv=["-onepass", "-rsync", src, tmp_path / "other", "-direct", src, dst], prefix=within(path("sh", "cp", "rm", "touch", "env")))
    assert one.ended() == 255
    assert tree(src) == tree(dst) and WITHOUT_RSYNC in one.log()


def test_a_program_whose_interpreter_is_missing_is_not_said_to_be_missing(daemon, src, dst, tmp_path):
    make(tmp_path, "broken", text="#!/no/such/interpreter\n")
    (tmp_path / "broken").chmod(0o755)
    one = daemon(sync(src, dst, rsync={"binary": str(tmp_path / "broken")}), wait=False)
    assert one.ended() == 255
    one_line = "the start failed: cannot run %s: No such file or directory, which it needs (insist" % (tmp_path / "broken")
    assert one_line in one.log()
