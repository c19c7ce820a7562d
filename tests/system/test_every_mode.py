"""What went wrong in lsyncd, in all WAYS at a time: one source, one daemon, one target a way.

What one mode is enough to show is in test_traps.py, what only one can in the file of that mode.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from harness import BY_CP, BY_RSYNC, COPY, LASTING, NOT_EXEC, ROOT, WAYS, descendants, make, names, tree
from test_traps import RENAMES, become


def wait_each(running, ways, **wanted):
    for way in ways:
        running.wait_status(way, **wanted)


# ---- failures ----------------------------------------------------------------------------------

# trap 1, 2, 3
@pytest.mark.parametrize("code", [23, 24, 12, "KILL"])
def test_what_an_rsync_failed_to_do_is_done_by_the_next(code, src, mirrors, obedient):
    make(src, "a", "gone", "old/x")
    binaries, own = obedient()
    running = mirrors(*BY_RSYNC, own=own)
    running.wait_same(src, running.targets)
    for binary in binaries.values():
        binary.fail(code, times=1)
    make(src, "b", "d/c")
    os.unlink(str(src / "gone"))
    for way, binary in binaries.items():
        running.wait(lambda: not binary.failing(), "the failing call of %s" % way)
    running.wait_same(src, running.targets)
    running.wait_idle()


# trap 1, 3, 18
@pytest.mark.parametrize("code", [1, "KILL"])
def test_what_a_cp_failed_to_do_is_done_by_the_next(code, src, mirrors, recorder):
    make(src, "a", "gone")
    cp = recorder("cp")
    running = mirrors(*BY_CP, prefix=cp.before())
    running.wait_same(src, running.targets)
    cp.fail(code)
    make(src, "b", "d/c")
    os.unlink(str(src / "gone"))
    wait_each(running, BY_CP, last_error=bool, delays=lambda number: number > 0)
    assert not [target for target in running.targets.values() if (target / "b").exists()]
    cp.recover()
    running.wait_same(src, running.targets)
    running.wait_status(state="idle", last_error=None, delays=0)


# trap 1, 18
def test_a_file_that_cannot_be_read_waits_and_the_others_are_mirrored(src, mirrors, obeys_modes):
    make(src, "a", "d/x")
    running = mirrors(prefix=obeys_modes)
    os.close(os.open(str(src / "secret"), os.O_WRONLY | os.O_CREAT, 0))
    make(src, "b", "d/y")
    for target in running.targets.values():
        running.wait_path(target / "b")
        running.wait_path(target / "d/y")
    running.wait_status(state="waiting", last_error=bool, next_try=bool)
    make(src, "c")
    for target in running.targets.values():
        running.wait_path(target / "c")
    os.chmod(str(src / "secret"), 0o644)
    running.wait_same(src, running.targets)
    running.wait_status(state="idle", last_error=None)


# trap 1, 18
def test_what_did_not_fit_on_the_target_is_sent_when_it_does(src, small_disk, mirrors):
    make(src, "a")
    running = mirrors(within=small_disk)
    make(src, "big", text="x" * 1500000)
    make(src, "b")
    running.wait_status(state="waiting", last_error=bool, next_try=bool)
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    running.wait_same(src, running.targets)
    running.wait_status(state="idle", last_error=None)


# trap 22
def test_syncs_that_fail_for_good_leave_the_others_alone(src, mirrors, obedient):
    make(src, "a")
    binaries, own = obedient()
    own["exec"] = {"exitcodes": {"9": "die"}, "onModify": "test ! -e %s/die || exit 9; %s" % (src.parent, COPY)}
    running = mirrors(*[way for way in WAYS if way != "atomic"], own=own)
    failing = BY_RSYNC + ("exec",)
    for binary in binaries.values():
        binary.fail(1)
    (src.parent / "die").touch()
    make(src, "a", text="changed")
    wait_each(running, failing, state="failed", last_error=bool, next_try=bool)
    make(src, "b")
    for way in ("direct", "without-rsync"):
        running.wait_equal(src, running.targets[way])
        running.wait_status(way, state="idle")
    for way in failing:
        assert "b" not in names(running.targets[way]), way
    for binary in binaries.values():
        binary.recover()
    (src.parent / "die").unlink()
    running.kill(signal.SIGHUP)  # somebody has mended it
    running.wait_same(src, running.targets)


# trap 23
def test_a_target_that_is_down_is_tried_less_and_less_often(src, mirrors, obedient, tmp_path):
    """However much waits: all the time more than maxDelays."""
    make(src, "a")
    ways = ("rsync", "rsyncssh", "script")
    binaries, own = obedient(*ways)
    tries = tmp_path / "tries"
    own["exec"] = {"onCreate": "if test -e %s; then date +%%s.%%N >> %s; exit 1; fi" % (tries, tries)}
    running = mirrors(*ways, "exec", own=own, maxDelays=3)
    began = {way: len(binary.calls()) for way, binary in binaries.items()}
    for binary in binaries.values():
        binary.fail(10)
    tries.touch()
    numbers = iter(range(100000))

    def change_and_look():
        make(src, "new%d" % next(numbers))
        return all(len(binary.calls()) - began[way] >= 3 for way, binary in binaries.items() if way != "script")
    running.wait(change_and_look, "three tries")
    for way in ("rsync", "rsyncssh"):
        times = [call.time for call in binaries[way].calls()[began[way]:]]
        assert times[1] - times[0] > 0.9 and times[2] - times[1] > 1.8, (way, times)  # one second, then twice as long
    count = next(numbers)
    # events each have their own tries, until it is clear that it is not they: then nothing is tried in vain
    assert len(binaries["script"].calls()) - began["script"] < 12 < count
    assert len(tries.read_text().split()) < 12
    for binary in binaries.values():
        binary.recover()
    tries.unlink()
    running.wait_same(src, {way: running.targets[way] for way in ways})
    running.wait_status(state="idle", last_error=None)


# ---- what is there -----------------------------------------------------------------------------

# trap 5
def test_what_is_replaced_by_something_of_the_same_size_and_time_is_mirrored(src, mirrors):
    """Just made, of yesterday and of tomorrow; renamed over, swapped, moved in, and whole directories."""
    ages = {"now": 0, "yesterday": -86400, "tomorrow": 86400}
    outside = src.parent / "outside"
    for age, seconds in ages.items():
        for name in ("a", "b", "c", "d", "old/x"):
            make(src / age, name, text=name[-1].upper())
        for name in ("e", "new/x"):
            make(outside / age, name, text="E")
    now = (src / "now/a").stat().st_mtime_ns
    for age, seconds in ages.items():
        for top in (src, outside):
            for name in tree(top / age):
                path = os.path.join(os.fsencode(str(top / age)), name)
                if os.path.isfile(path):
                    os.utime(path, ns=(now, now + seconds * 10 ** 9))
    running = mirrors()
    running.wait_same(src, running.targets)
    for age in ages:
        for old, new in (("a", "b"), ("c", "t"), ("d", "c"), ("t", "d")):
            os.rename(str(src / age / old), str(src / age / new))
        os.rename(str(outside / age / "e"), str(src / age / "a"))
        os.rename(str(src / age / "old"), str(outside / age / "away"))
        os.rename(str(outside / age / "new"), str(src / age / "old"))
    running.wait_same(src, running.targets)
    running.wait_idle()


# trap 6
def test_a_write_through_one_of_several_hard_links_reaches_all_of_them(src, mirrors):
    make(src, "a/f", "b/")
    os.link(str(src / "a/f"), str(src / "b/f"))
    running = mirrors(*[way for way in NOT_EXEC if way != "without-rsync"], rsync={"hard_links": True})
    running.wait_same(src, running.targets)
    (src / "a/f").write_text("written through a/f")
    running.wait_same(src, running.targets)
    os.link(str(src / "b/f"), str(src / "later"))  # one more, and one less
    os.unlink(str(src / "a/f"))
    running.wait_same(src, running.targets)

    def linked():
        return all((target / "b/f").stat().st_ino == (target / "later").stat().st_ino for target in running.targets.values())
    running.wait(linked, lambda: "links: %s" % {way: ((target / "b/f").stat().st_ino, (target / "later").stat().st_ino)
                                                for way, target in running.targets.items()})
    running.wait_idle()


# trap 6
def test_where_hard_links_are_not_kept_a_write_through_one_reaches_all_of_them(src, mirrors):
    make(src, "a/f", "b/")
    os.link(str(src / "a/f"), str(src / "b/f"))
    running = mirrors("without-rsync", rsync={"hard_links": True})
    (src / "a/f").write_text("written through a/f")
    running.wait_same(src, running.targets)


# ---- sources that come and go ------------------------------------------------------------------

# trap 7
@pytest.mark.parametrize("how", ["away and back", "deleted and made anew"])
def test_a_source_that_vanishes_leaves_the_targets_alone_and_is_taken_up_again(how, src, mirrors):
    make(src, "a", "d/b")
    running = mirrors()
    running.wait_same(src, running.targets)
    if how == "away and back":
        os.rename(str(src), str(src.parent / "away"))
        running.wait_status(state="no source")
        for way, target in running.targets.items():
            assert names(target) == {"a", "d/", "d/b"}, way
        running.wait_log("Error: .*%s" % re.escape(str(src)))
        make(src.parent / "away", "c")
        os.rename(str(src.parent / "away"), str(src))
    else:
        shutil.rmtree(str(src))
        make(src, "g")
    running.wait_same(src, running.targets)
    running.fence(src, *running.targets.values())
    make(src, "d/later", "e/f")
    running.wait_same(src, running.targets)
    running.wait_idle()


# trap 7, 32
def test_an_empty_directory_in_place_of_the_source_does_not_empty_the_targets(src, mirrors):
    make(src, "a", "d/b")
    running = mirrors(*NOT_EXEC)
    running.wait_same(src, running.targets)
    os.rename(str(src), str(src.parent / "away"))
    src.mkdir()  # the mount point without the mount
    running.wait_status(last_error=lambda words: words and "refused to empty" in words)
    for way, target in running.targets.items():
        assert names(target) == {"a", "d/", "d/b"}, way
    assert "Output: " in running.log() and "Normal: rsync: cannot delete" not in running.log(), "a line for each directory hides the one that matters"
    src.rmdir()
    os.rename(str(src.parent / "away"), str(src))
    make(src, "c")
    running.wait_same(src, running.targets)
    running.wait_idle()


@pytest.fixture
def mounted(src):
    """Mount things on src: `mounted(*options)`; only root can. What is left of it goes with the test."""
    if not ROOT:
        pytest.skip("mounting needs root")

    def mount(*options):
        if subprocess.run(["mount", *options, str(src)]).returncode:
            pytest.skip("mounting does not work here")
    yield mount
    while (" %s " % src) in Path("/proc/self/mountinfo").read_text():
        subprocess.run(["umount", "-l", str(src)], check=True)


# trap 7
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_a_source_that_is_unmounted_and_mounted_again_empties_no_target(kind, src, mirrors, mounted):
    content = src.parent / "content"
    if kind == "bind":
        content.mkdir()
        mounted("--bind", str(content))
    else:
        mounted("-t", "tmpfs", "lsyncd-lite-test")
    make(src, "a", "d/b")
    running = mirrors(*NOT_EXEC)
    running.wait_same(src, running.targets)
    subprocess.run(["umount", "-l", str(src)], check=True)
    if kind == "bind":  # no event tells of it, but one of what is not seen any more
        make(content, "unseen")
        os.unlink(str(content / "a"))
    running.wait_status(last_error=lambda words: words and "refused to empty" in words)
    for way, target in running.targets.items():
        assert names(target) == {"a", "d/", "d/b"}, way
    if kind == "bind":
        mounted("--bind", str(content))
    else:
        mounted("-t", "tmpfs", "lsyncd-lite-test")
    make(src, "a", "e/f", text="again")
    running.wait_same(src, running.targets)
    running.fence(src, *running.targets.values())
    running.wait_idle()


# trap 7
def test_a_source_that_is_mounted_over_is_not_mirrored_from_below(src, mirrors, mounted):
    content = src.parent / "content"
    make(content, "a", "d/b")
    mounted("--bind", str(content))
    running = mirrors(*NOT_EXEC)
    running.wait_same(src, running.targets)
    mounted("-t", "tmpfs", "lsyncd-lite-test")  # over it
    make(content, "below", "d/below")
    running.wait_status(last_error=lambda words: words and "refused to empty" in words)
    for way, target in running.targets.items():
        assert names(target) == {"a", "d/", "d/b"}, way
    make(src, "above", "d/above")
    running.wait_same(src, running.targets)
    running.fence(src, *running.targets.values())
    subprocess.run(["umount", "-l", str(src)], check=True)
    make(content, "late")
    running.wait_same(src, running.targets)


# trap 27
def test_a_source_that_is_missing_at_the_start_is_waited_for(src, mirrors):
    src.rmdir()
    running = mirrors(options=["-insist"], wait=False)
    running.wait_status(state="no source")
    make(src, "x", "y/z")
    running.wait_same(src, running.targets)
    make(src, "y/later")
    running.wait_same(src, running.targets)


# trap 32
def test_an_empty_source_empties_no_target(src, mirrors):
    running = mirrors(*NOT_EXEC, options=["-insist"], wait=False, before=lambda target: make(target, "precious", "d/x"))
    running.wait_status(last_error=lambda words: words and "refused to empty" in words)
    for way, target in running.targets.items():
        assert names(target) == {"precious", "d/", "d/x"}, way
    make(src, "a")
    running.wait_same(src, running.targets)
    running.wait_idle()


# ---- the kernel, and what is written -----------------------------------------------------------

# trap 9
def test_an_overflown_kernel_queue_costs_one_full_sync(src, mirrors, obedient):
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > 100000:
        pytest.skip("fs.inotify.max_queued_events is %d: too many events to make" % queue)
    make(src, "a", "b", "d/gone", "e/x", "same", "other")
    binaries, own = obedient()
    running = mirrors(own=own)
    before = {way: len(binary.calls()) for way, binary in binaries.items()}
    running.kill(signal.SIGSTOP)
    os.rename(str(src / "a"), str(src / "early"))
    paths = [str(src / "early"), str(src / "b")]
    for number in range(queue // 2 + 100):  # two in turn, or the kernel makes one event of them
        for path in paths:
            os.utime(path, ns=(number, number))
    make(src, "late/x/y", "d/z")  # after the queue was full
    os.rename(str(src / "e"), str(src / "d/e"))
    os.unlink(str(src / "d/gone"))
    running.kill(signal.SIGCONT)
    running.wait_same(src, running.targets)
    running.wait_log("(?i)overflow")
    make(src, "late/x/more", "d/e/more")  # what was made unseen is watched
    running.wait_same(src, running.targets)
    for way, binary in binaries.items():
        assert len(binary.calls()) - before[way] < (10 if way != "script" else 25), way


# trap 10
def test_every_file_of_a_deep_tree_made_at_full_speed_arrives(src, mirrors):
    make(src, "a")
    running = mirrors(settings={"delay": 0.05}, options=("-log", "Exec"))
    for number in range(8):
        path = src / str(number)
        for level in "defghijk":
            path /= level
            os.makedirs(str(path))
            (path / "file").write_text(str(path))
    running.wait_same(src, running.targets, limit=60)


# trap 11
def test_a_file_written_while_it_is_sent_is_sent_again(src, mirrors, obedient, recorder):
    make(src, "a")
    binaries, own = obedient()
    cp = recorder("cp")
    running = mirrors(own=own, prefix=cp.before())
    for binary in binaries.values():
        binary.hold(after=True)
    cp.hold()
    make(src, "a", text="first")
    running.wait(lambda: all(binary.held() for binary in binaries.values()) and cp.held() >= len(BY_CP), "all transfers to be done")
    make(src, "a", text="second")
    make(src, "gone")
    os.unlink(str(src / "gone"))
    running.wait_status(delays=lambda number: number > 0, in_flight="1")
    for way, target in running.targets.items():
        assert way == "atomic" or (target / "a").read_text() == "first", way  # that one is not in its place yet
    for binary in binaries.values():
        binary.release()
    cp.release()
    running.wait_same(src, running.targets)
    running.wait_idle()


# trap 12
def test_a_new_file_is_not_sent_before_it_is_closed(src, mirrors):
    running = mirrors()
    with open(str(src / "slow"), "w") as file:
        file.write("half")
        file.flush()
        running.fence(src, *running.targets.values())
        for way, target in running.targets.items():
            assert not (target / "slow").exists(), way
        os.rename(str(src / "slow"), str(src / "renamed"))  # open still: a rename is taken for the end of the writing
        running.fence(src, *running.targets.values())
        file.write(", whole")
    running.wait_same(src, running.targets)
    assert (running.targets["rsync"] / "renamed").read_text() == "half, whole"


# trap 12, 19
def test_what_appears_without_being_written_is_sent_at_once(src, mirrors):
    make(src, "a")
    outside = make(src.parent / "outside", "b")
    running = mirrors()
    os.link(str(src / "a"), str(src / "hard"))
    os.symlink("a", str(src / "soft"))
    os.mkfifo(str(src / "fifo"))
    os.rename(str(outside / "b"), str(src / "moved"))
    with socket.socket(socket.AF_UNIX) as one:
        here = os.getcwd()
        os.chdir(str(src))  # the whole path is too long for a socket
        try:
            one.bind("socket")
        finally:
            os.chdir(here)
    running.wait_same(src, running.targets)
    running.wait_idle()


# ---- types and names ---------------------------------------------------------------------------

KINDS = ["directory link", "link directory", "file directory", "directory file", "directory link directory",
         "link file link", "file directory file link directory", "directory fifo directory", "link directory link"]


# trap 13
def test_a_change_of_type_arrives_and_nothing_else_is_touched(src, mirrors):
    outside = make(src.parent / "outside", "f", "deep/g", "precious")
    for kinds in KINDS:
        become(src / kinds, kinds.split()[0], outside)
    running = mirrors()
    running.wait_same(src, running.targets)
    before = tree(outside, archive=True)
    for kinds in KINDS:
        for kind in kinds.split()[1:]:  # in one delay
            become(src / kinds, kind, outside)
    running.wait_same(src, running.targets)
    for step in range(5):
        for kinds in KINDS:  # and each on its own
            become(src / kinds, kinds.split()[step % len(kinds.split())], outside)
        running.wait_same(src, running.targets)
    assert tree(outside, archive=True) == before


# trap 14
@pytest.mark.parametrize("read", ["as they happen", "afterwards"])
def test_renames_of_every_kind_end_equal(read, src, mirrors):
    for operations in RENAMES:
        make(src / operations.__name__, "a", "b", "d/x", "d/y", "d/sub/z", "empty/")
    running = mirrors()
    running.wait_same(src, running.targets)
    if read == "afterwards":  # every path an event tells of may be another by then
        running.kill(signal.SIGSTOP)
    for operations in RENAMES:
        operations(src / operations.__name__)
    running.kill(signal.SIGCONT)
    lasting = {way: running.targets[way] for way in LASTING}
    running.wait_same(src, lasting, archive=True)
    running.wait_same(src, running.targets)
    running.wait_idle()
    for path, _entry in sorted(tree(src).items()):  # every directory is watched under its new name
        if (src / os.fsdecode(path)).is_dir():
            make(src / os.fsdecode(path), "seen")
    running.wait_same(src, lasting, archive=True)
    running.wait_same(src, running.targets)


# trap 15
def test_a_directory_that_left_the_source_is_not_watched_any_more(src, mirrors):
    make(src, "a/b/f", "c")
    running = mirrors()
    running.wait_same(src, running.targets)
    out = src.parent / "out"
    os.rename(str(src / "a"), str(out))
    make(src, "a/b/f", text="new")
    running.wait_same(src, running.targets)
    (out / "b/f").unlink()
    make(out, "b/other")
    running.fence(src, *running.targets.values())
    running.wait_same(src, running.targets)
    assert running.watching() == 3
    os.rename(str(out), str(src / "back"))  # and in again, under another name
    running.wait_same(src, running.targets)


# trap 33, 34
@pytest.mark.parametrize("how", ["exclude", "filter"])
def test_what_is_excluded_stays_out_and_what_is_theirs_stays(how, src, mirrors):
    rules = ["*.key", "/vendor/", "cache"] if how == "exclude" else ["+ /ok.key", "- *.key", "- /vendor/", "- cache"]
    make(src, "a", "s.key", "d/s.key", "d/ok", "d/e/ok", "vendor/x", "d/vendor/y", "cache/z", "f/ok")
    running = mirrors(*NOT_EXEC, before=lambda target: make(target, "theirs.key"), **{how: rules})

    def there():
        return {way: {name for name in names(target) if "fence" not in name} for way, target in running.targets.items()}

    def expect(*wanted):
        running.wait(lambda: set(map(frozenset, there().values())) == {frozenset(wanted)},
                     lambda: "%s; there is %s" % (sorted(wanted), there()))
    expect("a", "d/", "d/ok", "d/e/", "d/e/ok", "d/vendor/", "d/vendor/y", "f/", "f/ok", "theirs.key")
    for target in running.targets.values():
        make(target, "d/e/theirs.key")
    shutil.rmtree(str(src / "d"))
    shutil.rmtree(str(src / "f"))
    expect("a", "d/", "d/e/", "d/e/theirs.key", "theirs.key")
    running.fence(src, *running.targets.values())
    make(src, "d/s.key", "d/ok", "vendor/x", text="again")  # made anew
    make(src.parent / "outside", "in/s.key", "in/ok", "in/cache/x", "in/vendor/y")
    os.rename(str(src.parent / "outside/in"), str(src / "in"))  # moved in
    expect("a", "d/", "d/e/", "d/e/theirs.key", "theirs.key", "d/ok", "in/", "in/ok", "in/vendor/", "in/vendor/y")
    running.fence(src, *running.targets.values())
    expect("a", "d/", "d/e/", "d/e/theirs.key", "theirs.key", "d/ok", "in/", "in/ok", "in/vendor/", "in/vendor/y")


# ---- ends --------------------------------------------------------------------------------------

# trap 8
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_what_is_pending_when_a_signal_ends_the_daemon_is_sent_first(number, src, mirrors):
    make(src, "a", "gone", "old/x")
    running = mirrors(settings={"delay": 600})
    running.wait_same(src, running.targets)
    make(src, "b", "d/c")
    os.unlink(str(src / "gone"))
    os.rename(str(src / "old"), str(src / "new"))
    running.wait_status(delays=lambda number: number > 0)
    make(src, "late")  # may not have been read yet
    assert running.stop(number) == 128 + number
    for way, target in running.targets.items():
        assert tree(target) == tree(src), way


# ---- peers that stand still --------------------------------------------------------------------

# trap 24
def test_peers_that_stand_still_in_the_middle_of_a_transfer_are_given_up(src, tmp_path, sshd, rsyncd, way_to, daemon):
    make(src, "a")
    far = sshd()
    limits = {"timeout": {"rsync": {"timeout": 2, "bwlimit": 2000}}, "jobTimeout": {"rsync": {"bwlimit": 2000}, "jobTimeout": 2}}
    places = {(way, limit): make(tmp_path / "to" / way / limit, "a") for way in ("ssh", "rsyncssh", "rsyncd") for limit in limits}
    running = daemon(*[way_to(way, place, through=far, name="%s-%s" % (way, limit), **limits[limit])
                       for (way, limit), place in places.items()])
    (src / "large").write_bytes(os.urandom(24 << 20))
    running.wait(lambda: all(any(name.startswith(".large") for name in os.listdir(str(place))) for place in places.values()),
                 "the transfers to begin")
    stopped = descendants(far.process.pid) + descendants(rsyncd.process.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        make(src, "large", "b", text="small")  # for the other try, through new connections
        for way, limit in places:
            words = {"jobTimeout": "batch: nothing moved for 2 s: ended; ", "timeout": "rsync ended with 30"}[limit]
            running.wait_log("Error: %s-%s: %s" % (way, limit, words))
        for place in places.values():
            running.wait_path(place / "b", "small")
            running.wait_path(place / "large", "small")
        running.wait_idle()
    finally:
        for pid in stopped:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass  # its other end has ended it


# ---- renames there -----------------------------------------------------------------------------

# trap 16
def test_what_a_target_lacks_and_is_renamed_is_transferred(src, mirrors):
    make(src, "f", "d/x", "d/sub/y", "g/h/z", "stays")
    running = mirrors(*NOT_EXEC)
    running.wait_same(src, running.targets)
    for target in running.targets.values():
        (target / "f").unlink()
        shutil.rmtree(str(target / "d"))
        shutil.rmtree(str(target / "g/h"))
    os.rename(str(src / "f"), str(src / "f2"))
    os.rename(str(src / "d"), str(src / "d2"))
    os.rename(str(src / "g/h"), str(src / "h"))
    running.wait_same(src, running.targets)
    running.wait_idle()


# ---- by the clock ------------------------------------------------------------------------------

# trap 21
@pytest.mark.parametrize("keys", [{"fullSyncInterval": 1}, {"crontab": ["*/2 * * * * *"]}], ids=["interval", "crontab"])
def test_full_syncs_by_the_clock_mend_the_targets_while_files_keep_changing(keys, src, mirrors):
    make(src, "a", "d/b")
    running = mirrors(**keys)
    running.wait_same(src, running.targets)
    for turn in range(2):
        for target in running.targets.values():
            (target / "d/b").write_text("drifted")
            (target / ("theirs%d" % turn)).write_text("x")

        def mended():
            make(src, "busy", text=str(time.monotonic()))
            return all((target / "d/b").exists() and (target / "d/b").read_text() == "d/b"
                       and not (target / ("theirs%d" % turn)).exists() for target in running.targets.values())
        running.wait(mended, "the targets to be mended")
        for way in running.targets:
            running.wait_log("%s: time for a full sync" % way)


# ---- from one run to the next ------------------------------------------------------------------

@pytest.fixture
def again():
    """Start a daemon that has ended once more: `again(running, *options)`."""
    def start(running, *options):
        running.logfile.unlink()
        running.statusfile.unlink()
        running.start("-nodaemon", "-log", "all", *options, running.conf)
    return start


# trap 8
def test_what_could_not_be_sent_before_the_end_is_sent_by_the_next_run(src, tmp_path, mirrors, again):
    """The targets cannot be reached; the next run begins without a full sync."""
    make(src, "a", "d/b", "gone", "old/x")
    running = mirrors(settings={"stateDir": str(tmp_path / "state"), "shutdownTimeout": 2})
    running.wait_same(src, running.targets)
    running.configure_init_off()
    for target in running.targets.values():
        os.rename(str(target), str(target) + ".away")
        os.symlink("/dev/null/nothing", str(target))  # not even a command can make it
    make(src, "a", "new/c", text="changed")
    os.unlink(str(src / "gone"))
    os.rename(str(src / "old"), str(src / "renamed"))
    running.wait_status(last_error=bool)
    assert running.stop() == 143
    for way, target in running.targets.items():
        assert re.search(r"Normal: %s: \d+ changes? (is|are) kept for the next start" % way, running.log()), way
        os.unlink(str(target))
        os.rename(str(target) + ".away", str(target))
    again(running)
    for way in running.targets:
        running.wait_log(r"Normal: %s: the last run has left \d+ change" % way)
    running.wait_same(src, running.targets)
    running.wait_idle()


# trap 8
def test_a_run_that_was_killed_is_followed_by_a_look_at_everything(src, tmp_path, mirrors, again):
    make(src, "a", "d/b")
    running = mirrors(settings={"stateDir": str(tmp_path / "state"), "delay": 30})
    running.wait_same(src, running.targets)
    running.configure_init_off()
    make(src, "a", "new/c", text="changed")
    shutil.rmtree(str(src / "d"))
    running.wait_status(delays=lambda number: number > 1)
    running.kill(signal.SIGKILL)
    assert running.ended() == -signal.SIGKILL
    again(running, "-delay", "0.1")
    for way in running.targets:
        running.wait_log("Warn: %s: the last run was not ended properly: " % way)
    running.wait_same(src, running.targets)
