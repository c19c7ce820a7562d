"""Where the kernel tells nothing: polled sources, too few watches or instances, file systems that come and go."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness import ROOT, make, names, sync, sync_by_actions, teller, told, tree, wait_for

POLL = {"monitor": "poll", "scanInterval": 0.2}

# A user namespace of its own, with a limit of inotify(7) in it: nobody else's limits are touched.
LIMITED = ("unshare", "--user", "--map-root-user", "sh", "-c", 'echo $0 > /proc/sys/user/max_inotify_$1 && shift && exec "$@"')


@pytest.fixture(scope="session")
def namespaces():
    """Skip where a user cannot have a user namespace with limits of its own."""
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    done = subprocess.run(LIMITED + ("60", "watches", "true"), stderr=subprocess.PIPE)
    if done.returncode:
        pytest.skip("no user namespace with limits: %s" % done.stderr.decode().strip())


def limited(number, what="watches"):
    return LIMITED + (str(number), what)


def raise_limit(running, number, what="watches"):
    """Set the limit in the daemon's user namespace."""
    subprocess.run(["nsenter", "--user", "--preserve-credentials", "--target", str(running.pid), "sh", "-c",
                    "echo %d > /proc/sys/user/max_inotify_%s" % (number, what)], check=True)


def at_rest(running):
    """Wait until nothing is to be done, whether or not everything is watched; return the daemon."""
    running.wait_status(state=lambda word: word in ("idle", "degraded"), delays=0, in_flight="0")
    return running


def polling(running):
    found = re.search(r"(?m)^Polling (\d+) directories$", running._text(running.statusfile))
    return int(found.group(1)) if found else 0


# ---- polled sources ----------------------------------------------------------------------------

def change(src):
    """Make one change of every kind."""
    make(src, "new", "new dir/deep/file", text="new")
    (src / "grows").write_text("longer than before")
    (src / "gone").unlink()
    shutil.rmtree(str(src / "gone dir"))
    (src / "renamed").rename(src / "renamed now")
    (src / "renamed dir").rename(src / "d" / "renamed dir now")
    (src / "link").unlink()
    (src / "link").symlink_to("d/elsewhere")
    (src / "file to dir").unlink()
    make(src, "file to dir/file")
    shutil.rmtree(str(src / "dir to file"))
    make(src, "dir to file")
    os.chmod(str(src / "mode"), 0o600)
    os.chmod(str(src / "d"), 0o700)
    os.utime(str(src / "times"), ns=(10**18, 10**18 + 7))
    facts = os.stat(str(src / "same"))
    (src / "same").write_text("SAME")  # neither size nor time tells
    os.utime(str(src / "same"), ns=(facts.st_atime_ns, facts.st_mtime_ns))


def before(src):
    make(src, "grows", "gone", "gone dir/sub/f", "renamed", "renamed dir/f", "file to dir", "dir to file/f", "mode", "d/e/f", "times")
    make(src, "same", text="same")
    (src / "link").symlink_to("d/e/f")


# trap 29
@pytest.mark.parametrize("mode", ["rsync", "direct"])
def test_a_polled_source_is_mirrored_after_every_kind_of_change(mode, src, dst, daemon):
    before(src)
    running = daemon(sync(src, dst, mode=mode, rsync={"archive": True}, **POLL))
    running.wait_equal(src, dst, archive=True)
    assert running.watching() == 0 and polling(running) == 7
    change(src)
    running.fence(src, dst)
    running.wait_equal(src, dst, archive=True)
    assert "Warn" not in running.log() and "full sync finished" in running.log()
    assert running.log().count(": full sync of") == 1


# trap 29
def test_actions_are_told_what_happened_in_a_polled_source(tmp_path, src, daemon):
    where = tmp_path / "told"
    before(src)
    running = daemon(sync_by_actions(src, onCreate=teller(where, "Create", "^path"), onModify=teller(where, "Modify", "^path"),
                                     onAttrib=teller(where, "Attrib", "^path"), onDelete=teller(where, "Delete", "^path"), **POLL))
    running.wait(lambda: polling(running) == 7, "the first scan")
    change(src)
    expected = {("Create", "new"), ("Create", "new dir/"), ("Create", "new dir/deep/"), ("Create", "new dir/deep/file"), ("Modify", "grows"),
                ("Delete", "gone"), ("Delete", "gone dir/"), ("Delete", "renamed"), ("Create", "renamed now"), ("Delete", "renamed dir/"),
                ("Create", "d/renamed dir now/"), ("Create", "d/renamed dir now/f"), ("Modify", "link"), ("Delete", "file to dir"),
                ("Create", "file to dir/"), ("Create", "file to dir/file"), ("Delete", "dir to file/"), ("Create", "dir to file"),
                ("Attrib", "mode"), ("Attrib", "d/"), ("Modify", "times"), ("Modify", "same")}
    running.wait(lambda: set(told(where)) == expected, lambda: "told: %r" % sorted(set(told(where)) ^ expected))
    make(src, "fence")
    running.wait(lambda: ("Create", "fence") in told(where), "the fence")
    assert sorted(told(where)) == sorted(expected | {("Create", "fence")})  # each once


def test_what_changed_just_before_term_is_sent(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, monitor="poll", scanInterval=3600))
    make(src, "late")
    assert running.stop() == 128 + signal.SIGTERM
    assert (dst / "late").read_text() == "late"


# trap 7, 29
def test_a_polled_source_that_is_replaced_never_empties_the_target(src, dst, daemon):
    make(src, "a", "d/b")
    running = daemon(sync(src, dst, monitor="poll", scanInterval=0.2))
    src.rename(src.with_name("away"))
    running.wait_log("is gone or was replaced")
    running.wait_status(state="no source")
    assert (dst / "a").exists() and (dst / "d/b").exists()
    make(src, "a", "new")
    running.wait_path(dst / "new")
    running.wait_gone(dst / "d/b")


def test_a_hang_up_keeps_what_was_seen(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, monitor="poll", scanInterval=3600))
    make(src, "between")
    running.configure(sync(src, dst, monitor="poll", scanInterval=0.2))
    running.kill(signal.SIGHUP)
    running.wait_path(dst / "between")
    assert running.log().count("full sync of") == 1


def test_how_a_source_is_watched_may_change_at_a_hang_up_and_nothing_is_missed(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, monitor="poll", scanInterval=3600))
    make(src, "while polled")
    running.configure(sync(src, dst, monitor="inotify"))
    running.kill(signal.SIGHUP)
    running.wait_path(dst / "while polled")
    running.wait(lambda: running.watching() == 1 and not polling(running), "inotify")
    assert running.log().count("full sync of") == 1  # the last scan has told it
    make(src, "while watched")
    running.configure(sync(src, dst, **POLL))
    running.kill(signal.SIGHUP)
    running.wait_path(dst / "while watched")
    running.wait(lambda: running.watching() == 0 and polling(running) == 1, "scans")
    running.fence(src, dst)


def test_two_syncs_below_one_root_may_be_watched_in_two_ways(tmp_path, src, dst, daemon):
    make(src, "a", "d/b")
    other = tmp_path / "other"
    other.mkdir()
    running = daemon(sync(src, dst, name="told", monitor="inotify"), sync(src / "d", other, name="scanned", **POLL))
    make(src, "d/new")
    running.wait_path(dst / "d/new")
    running.wait_path(other / "new")
    assert running.watching() == 2 and polling(running) == 1


# ---- too few watches ---------------------------------------------------------------------------

# trap 26
def test_what_there_are_no_watches_for_is_scanned_until_the_limit_is_raised(src, dst, daemon, namespaces):
    make(src, *("d%02d/e/f" % number for number in range(40)))
    running = at_rest(daemon(sync(src, dst, scanInterval=0.3), prefix=limited(60), wait=False))
    running.wait_log(r"Error: cannot watch \d+ of the 81 directories below .*: user.max_inotify_watches is 60, at least \d+ are needed: "
                     r"sysctl -w user.max_inotify_watches=\d+")
    assert running.watching() < 61 and polling(running) >= 21
    for number in range(40):
        make(src, "d%02d/e/new" % number)
        (src / ("d%02d/e/f" % number)).unlink()
    running.wait_equal(src, dst)
    (src / "d00").rename(src / "moved")
    make(src, "moved/e/more", "d39/e/x/y/z")
    (src / "d38").rename(src / "d37" / "below")
    make(src, "d37/below/e/more")
    running.wait_equal(src, dst)
    assert running.log().count("full sync of") == 1
    raise_limit(running, 1000)
    running.wait_log("Normal: all 83 directories below .* are watched")
    running.wait(lambda: running.watching() == 83 and not polling(running), "all watched")
    running.configure(sync(src, dst, scanInterval=3600))
    running.kill(signal.SIGHUP)
    running.wait_log("configuration read again")
    for number in range(1, 38):
        make(src, "d%02d/e/newer" % number)
    running.wait_equal(src, dst)
    assert running.log().count("full sync of") == 1 and running.log().count("Error") == 1


# trap 26
@pytest.mark.parametrize("number, what", [(0, "instances"), (0, "watches")])
def test_without_anything_of_inotify_all_is_scanned_until_there_is_something(number, what, src, dst, daemon, namespaces):
    make(src, "a", "d/e/f")
    running = at_rest(daemon(sync(src, dst, scanInterval=0.3), prefix=limited(number, what), wait=False))
    running.wait_log("Error: cannot watch .*: no inotify %s .*sysctl -w user.max_inotify_%s=" % (what, what))
    assert running.watching() == 0 and polling(running) == 3
    make(src, "d/e/new")
    running.wait_equal(src, dst)
    raise_limit(running, 1000, what)
    running.wait_log("Normal: all 3 directories below .* are watched")
    running.wait(lambda: running.watching() == 3 and not polling(running), "all watched")
    make(src, "d/e/newer")
    running.wait_equal(src, dst)
    assert running.log().count("full sync of") == 1


def test_more_sources_than_inotify_instances_are_all_noticed_at_once(tmp_path, daemon, namespaces):
    (tmp_path / "dst").mkdir()

    def mirror(name, **keys):
        make(tmp_path / "src" / name, "a")
        return sync(tmp_path / "src" / name, tmp_path / "dst" / name.replace("/", "-"), name=name.replace("/", "-"), **keys)

    def all_is_noticed(word, *syncs):
        for one in syncs:
            make(one["source"], word, word + ".d/e/f")
        for one in syncs:
            running.wait_equal(one["source"], one["target"][0])

    syncs = [mirror("s%02d" % number) for number in range(12)] + [mirror("s03/in"), mirror("s03/in/deep")]
    running = daemon(*syncs, prefix=limited(3, "instances"))
    all_is_noticed("first", *syncs)

    syncs = syncs[:2] + [mirror("s02", exclude=["*.tmp"])] + syncs[5:] + [mirror("new%d" % number) for number in range(5)]
    running.configure(*syncs)
    running.kill(signal.SIGHUP)
    running.wait(lambda: len(running.status()) == len(syncs), "the new syncs in the status")
    running.wait_idle()
    all_is_noticed("second", *syncs)

    gone = tmp_path / "src" / "s07"
    shutil.rmtree(str(gone))
    running.wait_log("Error: source .*s07 is gone or was replaced: waiting for it")
    all_is_noticed("third", *(one for one in syncs if one["source"] != str(gone)))
    make(tmp_path / "back", "b/c").rename(gone)
    running.wait_equal(gone, tmp_path / "dst" / "s07")
    all_is_noticed("fourth", *syncs)
    assert not polling(running) and "scan" not in running.log() and running.log().count("Error") == 1


# trap 26
def test_that_watches_are_nearly_used_up_is_said_once(src, dst, daemon, namespaces):
    make(src, *("d%02d/f" % number for number in range(40)))
    running = daemon(sync(src, dst), prefix=limited(60))
    assert "Warn" not in running.log()
    make(src, *("e%02d/f" % number for number in range(10)))
    running.wait_log(r"Warn: \d\d directories are watched and user.max_inotify_watches is 60: .*sysctl -w user.max_inotify_watches=")
    make(src, "x/f")
    running.wait_equal(src, dst)
    assert running.log().count("Warn") == 1


# ---- mounts ------------------------------------------------------------------------------------

@pytest.fixture
def mount():
    """Mount something on a directory; all is unmounted after the test."""
    if not ROOT:
        pytest.skip("only root may mount")
    mounted = []

    def call(*argv):
        done = subprocess.run(["mount", *map(str, argv)], stderr=subprocess.PIPE)
        if done.returncode:
            pytest.skip("cannot mount: %s" % done.stderr.decode().strip())
        mounted.append(argv[-1])

    yield call
    for place in reversed(mounted):
        subprocess.run(["umount", "-l", str(place)], stderr=subprocess.DEVNULL)


def umount(place):
    subprocess.run(["umount", str(place)], check=True)


# trap 7
@pytest.mark.parametrize("monitor", ["inotify", "poll"])
def test_a_root_that_is_mounted_over_or_unmounted_is_noticed_at_once(monitor, tmp_path, src, dst, daemon, mount):
    mount("-t", "tmpfs", "none", src)
    make(src, "a", "d/b")
    running = daemon(sync(src, dst, monitor=monitor, scanInterval=3600))
    running.wait_equal(src, dst)
    umount(src)
    running.wait_log("is gone or was replaced", limit=20)  # the heartbeat comes once a minute
    assert (dst / "a").exists()


@pytest.mark.parametrize("monitor", ["inotify", "poll", "few watches"])
@pytest.mark.parametrize("bind", [False, True])
def test_a_file_system_that_comes_below_the_root_is_mirrored_and_one_that_goes_deletes_nothing(
        monitor, bind, tmp_path, src, dst, daemon, mount, request):
    make(src, "a", "d/m/")
    make(tmp_path / "other", "x", "sub/y")
    few = monitor == "few watches"
    if few:
        request.getfixturevalue("namespaces")
    running = at_rest(daemon(sync(src, dst, monitor="inotify" if few else monitor, scanInterval=0.3), prefix=limited(1) if few else (),
                             wait=False))
    assert not few or (running.watching(), polling(running)) == (1, 2)
    if bind:
        mount("--bind", tmp_path / "other", src / "d/m")
    else:
        mount("-t", "tmpfs", "none", src / "d/m")
        make(src, "d/m/x", "d/m/sub/y")
    running.wait_equal(src, dst)
    make(src, "d/m/sub/z")
    running.wait_equal(src, dst)
    at_rest(running)
    umount(src / "d/m")
    running.wait_log("Warn: .*d/m was unmounted")
    if bind:  # it goes on to live elsewhere
        (tmp_path / "other/x").unlink()
        make(tmp_path / "other", "sub/late")
    running.fence(src, dst)
    assert (dst / "d/m/x").exists() and (dst / "d/m/sub/z").exists() and not (dst / "d/m/sub/late").exists()
    assert running.log().count("was unmounted") == 1
    if bind:
        mount("--bind", tmp_path / "other", src / "d/m")
        running.wait_path(dst / "d/m/sub/late")
        running.wait_gone(dst / "d/m/x")
    make(src, "d/m/sub/again")
    running.wait_path(dst / "d/m/sub/again")


@pytest.mark.parametrize("mode", ["rsync", "rsyncssh", "direct", "direct without rsync"])
def test_what_is_unmounted_below_the_root_is_kept_through_full_syncs_until_it_is_back(mode, tmp_path, src, dst, mirror, mount):
    make(src, "a", "d/m/", "d/other")
    mount("-t", "tmpfs", "none", src / "d/m")
    make(src, "d/m/x", "d/m/sub/y")
    mode, _blank, bare = mode.partition(" ")
    running = at_rest(mirror(mode, fullSyncInterval=0.7, fullSyncJitter=0, **({"rsync": {"binary": "/no/rsync"}} if bare else {}), wait=False))
    running.wait_equal(src, dst)
    umount(src / "d/m")
    running.wait_log("Warn: .*d/m was unmounted: what targets have of it is kept")
    before = running.log().count("full sync finished")
    make(src, "d/new")
    os.unlink(str(src / "d/other"))
    running.wait(lambda: running.log().count("full sync finished") > before + 2, "three full syncs")
    running.wait_path(dst / "d/new")
    running.wait_gone(dst / "d/other")
    assert names(dst / "d") == {"m/", "m/x", "m/sub/", "m/sub/y", "new"}
    mount("-t", "tmpfs", "none", src / "d/m")
    make(src, "d/m/x")
    running.wait_equal(src, dst)  # and what it has no more is gone


@pytest.mark.parametrize("mode", ["rsync", "script"])
def test_what_is_unmounted_is_kept_through_a_new_configuration_too(mode, tmp_path, src, dst, daemon, mount):
    make(src, "a", "d/m/")
    mount("-t", "tmpfs", "none", src / "d/m")
    make(src, "d/m/x")
    more = {}
    if mode == "script":
        (tmp_path / "script.py").write_text("def on_startup(sync):\n    return default.rsync(sync)\ndef action(inbox):\n    return default.rsync(inbox)\n")
        more = {"script": str(tmp_path / "script.py")}
    running = daemon(sync(src, dst, mode=mode, **more))
    running.wait_path(dst / "d/m/x")
    umount(src / "d/m")
    running.wait_log("Warn: .*d/m was unmounted")
    running.configure(sync(src, dst, mode=mode, fullSyncInterval=0.7, fullSyncJitter=0, **more))
    running.kill(signal.SIGHUP)
    running.wait(lambda: running.log().count("time for a full sync") > 3, "three full syncs")
    make(src, "new")
    running.wait_path(dst / "new")
    assert (dst / "d/m/x").exists()
    mount("-t", "tmpfs", "none", src / "d/m")
    running.wait_gone(dst / "d/m/x")


def test_what_comes_back_together_with_its_root_is_not_kept_any_more(tmp_path, dst, daemon, mount):
    disk, src = tmp_path / "disk", tmp_path / "disk/src"
    disk.mkdir()

    def both():
        mount("-t", "tmpfs", "none", disk)
        make(src, "m/", "a")
        mount("-t", "tmpfs", "none", src / "m")
    both()
    make(src, "m/x", "m/y")
    running = daemon(sync(src, dst, fullSyncInterval=0.7, fullSyncJitter=0))
    running.wait_path(dst / "m/x")
    umount(src / "m")
    running.wait_log("Warn: .*src/m was unmounted")
    umount(disk)
    running.wait_status(state="no source")
    assert (dst / "m/x").exists()
    running.kill(signal.SIGSTOP)  # all at once
    both()
    make(src, "m/x")
    running.kill(signal.SIGCONT)
    running.wait_gone(dst / "m/y")
    assert (dst / "m/x").exists()


# ---- what cannot be read -----------------------------------------------------------------------

def test_directories_that_may_not_be_read_are_one_line_and_the_rest_is_mirrored(src, dst, daemon, namespaces):
    make(src, "a", *("no%d/f" % number for number in range(5)))
    for number in range(5):
        os.chmod(str(src / ("no%d" % number)), 0)
    try:  # in a user namespace without a root, what root may do elsewhere is forbidden
        running = daemon(sync(src, dst, init=False), prefix=("unshare", "--user"))
        running.wait_log("Error: cannot watch .*/no.: Permission denied .and 4 more directories.")
        make(src, "b", "d/c")
        running.wait_path(dst / "b")
        running.wait_path(dst / "d/c")
        os.chmod(str(src / "no3"), 0o700)
        running.wait_path(dst / "no3/f")
        assert running.log().count("cannot watch") == 1
    finally:
        for number in range(5):
            os.chmod(str(src / ("no%d" % number)), 0o700)
