"""Mode direct, and what it has in common with rsyncssh: those are the tests with a `mode`."""

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import LASTING, LOG_LINE, ROOT, make, names, sync, sync_by_ssh, tree, wait_for
from test_traps import HOSTILE, RENAMES, become

xattr = os
if not hasattr(os, "listxattr"):  # as Python is built for musl
    from lsyncd_lite.system import xattr

both = pytest.mark.parametrize("mode", ["direct", "rsyncssh"])


def bind(path):
    """Make a socket."""
    here = os.getcwd()
    os.chdir(str(path.parent))  # the whole path may be too long for a socket
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def facts(root, xattrs=False):
    """Return {relative path: owner, group, device number, extended attributes} of all below a directory."""
    found = {}
    for path in tree(root):
        whole = os.path.join(os.fsencode(str(root)), path)
        one = os.lstat(whole)
        found[path] = (one.st_uid, one.st_gid, one.st_rdev, {
            name: xattr.getxattr(whole, name) for name in xattr.listxattr(whole, follow_symlinks=False)
            if name.startswith("user.")} if xattrs and not stat.S_ISLNK(one.st_mode) else None)
    return found


def inodes(root):
    return {os.fsdecode(path): os.lstat(os.path.join(os.fsencode(str(root)), path)).st_ino for path in tree(root)}


# ---- what is mirrored --------------------------------------------------------------------------

def _fill(top):
    """Make one of everything."""
    make(top, "plain", "d/x", "d/e/y", "empty/", "private/z")
    for number, mode in enumerate((0o600, 0o644, 0o755, 0o444, 0o4755, 0o2750)):
        make(top, "mode%d" % number)
        os.chmod(str(top / ("mode%d" % number)), mode)
    (top / "nothing").touch()
    (top / "large").write_bytes(os.urandom(300000))
    for name, to in (("to-file", "plain"), ("to-directory", "d"), ("to-nowhere", "no/where"), ("upwards", "../.."),
                     ("absolute", "/etc/passwd")):
        os.symlink(to, str(top / name))
    os.mkfifo(str(top / "fifo"), 0o640)
    if ROOT:
        os.mknod(str(top / "null"), 0o620 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(str(top / "block"), 0o600 | stat.S_IFBLK, os.makedev(7, 200))
        for number, name in enumerate(("mode4", "d/x", "private", "fifo", "to-nowhere")):
            os.lchown(str(top / name), 1000 + number, 2000 + number)
        os.chmod(str(top / "mode4"), 0o4755)  # the new owner took that away
    os.chmod(str(top / "private"), 0o700)
    os.chmod(str(top / "empty"), 0o1777)
    for number, name in enumerate(("plain", "mode3", "to-file", "d/e", "d", "empty")):
        os.utime(str(top / name), ns=(0, 1234567890123456789 + number), follow_symlinks=False)


# trap 19, 20
@both
def test_everything_a_tree_holds_is_mirrored_at_start_and_while_running(mode, src, dst, mirror):
    _fill(src / "before")
    make(dst, "stale", "stale.d/x", "before/d/stale", "before/plain/is/no/directory")
    running = mirror(mode)
    running.wait_equal(src, dst, archive=True)
    assert facts(src) == facts(dst)

    _fill(src / "after")  # as it happens
    _fill(src.parent / "moved")
    os.rename(str(src.parent / "moved"), str(src / "moved"))  # all at once
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    assert facts(src) == facts(dst)

    shutil.rmtree(str(src / "before"))
    running.wait_equal(src, dst, archive=True)


# trap 20
@both
def test_changes_of_nothing_but_attributes_are_mirrored(mode, src, dst, mirror):
    make(src, "f", "d/x", "e/y", "set")
    os.symlink("f", str(src / "link"))
    running = mirror(mode)
    os.chmod(str(src / "f"), 0o600)
    os.utime(str(src / "d/x"), ns=(0, 1500000000123456789))
    os.chmod(str(src / "d"), 0o711)
    os.utime(str(src / "e"), ns=(0, 1600000000000000001))
    os.utime(str(src / "link"), ns=(0, 1700000000000000001), follow_symlinks=False)
    if ROOT:
        os.lchown(str(src / "link"), 12, 34)
        os.chown(str(src / "e"), 12, 34)
        os.chown(str(src / "set"), 12, 34)
    os.chmod(str(src / "set"), 0o6755)
    os.utime(str(src), ns=(0, 1400000000000000001))  # the source itself
    os.chmod(str(src), 0o750)
    running.wait_equal(src, dst, archive=True)
    running.wait(lambda: facts(src) == facts(dst), lambda: "owners: %s, not %s" % (facts(dst), facts(src)))


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="this Python knows none, as it was built for musl")
def test_extended_attributes_are_mirrored(src, dst, mirror):
    make(src, "f", "d/x", "before")
    try:
        xattr.setxattr(str(src / "before"), "user.one", b"first")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        pytest.skip("no extended attributes on this file system")
    running = mirror("direct", rsync={"xattrs": True})
    xattr.setxattr(str(src / "f"), "user.two", b"\0\xff")
    xattr.setxattr(str(src / "d"), "user.three", b"of a directory")
    make(src, "new")
    xattr.setxattr(str(src / "new"), "user.four", b"")
    running.wait(lambda: facts(src, True) == facts(dst, True), lambda: "attributes: %s" % facts(dst, True))
    xattr.removexattr(str(src / "before"), "user.one")
    xattr.setxattr(str(src / "f"), "user.two", b"changed")
    running.wait(lambda: facts(src, True) == facts(dst, True), lambda: "attributes: %s" % facts(dst, True))


# trap 19
@both
def test_a_fifo_and_a_socket_hold_nothing_up(mode, src, dst, mirror):
    make(src, "a", "d/x")
    running = mirror(mode)
    os.mkfifo(str(src / "fifo"))
    os.mkfifo(str(src / "d/fifo"))
    bind(src / "socket")
    (src / "a").unlink()
    os.mkfifo(str(src / "a"))  # where a file was
    make(src, "after")
    running.wait_path(dst / "after")
    running.wait_idle()
    assert (dst / "fifo").is_fifo() and (dst / "d/fifo").is_fifo() and (dst / "a").is_fifo()
    (src / "a").unlink()
    make(src, "a")  # and back
    running.wait_path(dst / "a", "a")


@both
def test_a_target_that_is_not_there_is_made(mode, src, dst, mirror):
    make(src, "a", "d/x")
    dst.rmdir()
    running = mirror(mode)
    running.wait_equal(src, dst)


# trap 4, 36, 37
@both
def test_names_of_every_kind_are_written_renamed_and_deleted(mode, src, dst, mirror):
    root, far = os.fsencode(str(src)), os.fsencode(str(dst))

    def make_all(where):
        for name in HOSTILE:
            os.makedirs(where + b"/d" + name[:254])
            for path in (name, b"d" + name[:254] + b"/" + name):
                with open(where + b"/" + path, "wb") as file:
                    file.write(name)
    make_all(root)
    os.mkdir(root + b"/m")
    running = mirror(mode)
    running.wait_equal(src, dst, archive=True)

    before = inodes(dst)
    for name in HOSTILE:
        os.rename(root + b"/d" + name[:254], root + b"/m/" + name)  # whole directories
    os.rename(root + b"/" + HOSTILE[-1], root + b"/between")
    for old, new in list(zip(HOSTILE, HOSTILE[1:]))[::-1]:  # and every file to the next one's name
        os.rename(root + b"/" + old, root + b"/" + new)
    os.rename(root + b"/between", root + b"/" + HOSTILE[0])
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    after = inodes(dst)
    for name in HOSTILE:
        if mode == "rsyncssh" and b"\1" in name:
            continue  # transferred: on the way it stands for a newline
        assert after[os.fsdecode(b"m/" + name)] == before[os.fsdecode(b"d" + name[:254])], name

    for name in HOSTILE:
        os.unlink(root + b"/" + name)
        os.unlink(root + b"/m/" + name + b"/" + name)
    make(src, "fence")
    running.wait_equal(src, dst)
    for name in HOSTILE:
        os.rmdir(root + b"/m/" + name)
    running.wait_equal(src, dst)
    make_all(root)
    running.wait_equal(src, dst, archive=True)
    places = [src.parent, src, dst, dst / "m", Path.home(), running.folder, Path("/")]
    assert not [path for path in places if (path / "pwned").exists()]
    assert sorted(os.listdir(root)) == sorted(os.listdir(far))
    assert not [line for line in running.log().split("\n") if line and not LOG_LINE.fullmatch(line)]


# ---- renames -----------------------------------------------------------------------------------

# trap 14
@both
def test_each_rename_on_its_own_ends_equal(mode, src, dst, mirror):
    for operations in RENAMES:
        make(src / operations.__name__, "a", "b", "d/x", "d/y", "d/sub/z", "empty/")
    running = mirror(mode, delay=0)
    for operations in RENAMES:
        operations(src / operations.__name__)
        running.wait_equal(src, dst, archive=True)


@both
def test_a_rename_moves_what_is_on_the_target(mode, src, dst, mirror):
    make(src, "f", "over", "g/deep/x", "link-to-be", *["d/%d" % number for number in range(300)])
    os.symlink("f", str(src / "link"))
    running = mirror(mode)
    before = inodes(dst)
    moves = [("d", "e"), ("f", "g/f"), ("g/deep", "deep"), ("link-to-be", "over"), ("e", "g/e"), ("link", "g/link")]
    for old, new in moves:
        os.rename(str(src / old), str(src / new))
    make(src, "g/e/new")
    running.wait_equal(src, dst, archive=True)
    after = inodes(dst)
    expected = {"g/e": "d", "g/f": "f", "deep": "g/deep", "deep/x": "g/deep/x", "over": "link-to-be", "g/link": "link"}
    expected.update(("g/e/%d" % number, "d/%d" % number) for number in range(300))
    assert {new: after[new] for new in expected} == {new: before[old] for new, old in expected.items()}


@both
def test_hundreds_of_renames_at_once_are_done_in_order(mode, src, dst, mirror):
    make(src, *["%d/f" % number for number in range(200)])
    running = mirror(mode)
    before = inodes(dst)
    for number in range(199, -1, -1):  # each takes the name that the one before it left
        os.rename(str(src / str(number)), str(src / str(number + 1)))
    running.wait_equal(src, dst, archive=True)
    assert inodes(dst) == {"%d%s" % (number + 1, end): before["%d%s" % (number, end)]
                           for number in range(200) for end in ("", "/f")}
    running.wait_idle()


@both
def test_renames_into_and_out_of_what_is_excluded(mode, src, dst, mirror):
    make(src, "a", "b.key", "d/x", "d/s.key", "hidden/y", "hidden/s.key", "t/anchored", "t/plain", "u/v")
    running = mirror(mode, exclude=["*.key", "/hidden/", "/t/anchored"])
    assert {"d/s.key", "hidden/", "t/anchored", "b.key"}.isdisjoint(names(dst))
    make(dst, "u/theirs.key")
    for old, new in (("a", "a.key"), ("b.key", "b"), ("hidden", "shown"), ("d", "e"), ("t", "elsewhere"), ("u", "w")):
        os.rename(str(src / old), str(src / new))
    make(src, "e/later", "shown/later")
    running.wait(lambda: {"b", "shown/", "shown/y", "shown/later", "e/x", "e/later", "elsewhere/anchored", "elsewhere/plain",
                          "w/v"} <= names(dst), lambda: "what is not excluded any more; there is %s" % sorted(names(dst)))
    running.fence(src, dst)
    left = {name for name in names(dst) if "fence" not in name}
    assert {"a", "a.key", "b.key", "e/s.key", "shown/s.key", "d/x", "t/plain", "u/v"}.isdisjoint(left)
    assert {"u/theirs.key", "w/theirs.key"} & left  # what is theirs is nowhere lost
    os.rename(str(src / "e"), str(src / "hidden"))  # leaves by its name
    running.wait_gone(dst / "e/x")
    running.fence(src, dst)
    assert "hidden/x" not in names(dst)


# ---- delete ------------------------------------------------------------------------------------

@both
@pytest.mark.parametrize("delete, at_start, while_running", [
    (True, True, True), (False, False, False), ("startup", True, False), ("running", False, True)])
def test_delete_decides_when_the_target_loses_what_the_source_lost(mode, delete, at_start, while_running, src, dst, mirror):
    make(src, "a", "gone", "gone.d/x/y", "replaced/x", "old", "old.d/x")
    make(dst, "stale", "stale.d/x")
    running = mirror(mode, delete=delete)
    assert ("stale" in names(dst), "stale.d/x" in names(dst)) == (not at_start, not at_start)

    os.unlink(str(src / "gone"))
    shutil.rmtree(str(src / "gone.d"))
    shutil.rmtree(str(src / "replaced"))
    os.rename(str(src / "old"), str(src / "new"))
    os.rename(str(src / "old.d"), str(src / "new.d"))
    make(src, "replaced")  # what changes its type changes it, whatever delete says
    running.wait_path(dst / "new.d/x", "old.d/x")
    running.wait_path(dst / "new", "old")
    running.fence(src, dst)
    left = names(dst)
    assert "replaced" in left
    wanted = {"gone", "gone.d/x/y", "old", "old.d/x"}
    assert wanted & left == (set() if while_running else wanted)


# ---- what is left out --------------------------------------------------------------------------

# ---- what is in the way on the target ----------------------------------------------------------

KINDS = ["directory link", "link directory", "file directory", "directory file", "directory link directory",
         "link file link", "file directory file link directory", "directory fifo directory", "link directory link"]


# trap 18
@both
def test_what_is_in_the_way_on_the_target_is_replaced(mode, src, dst, mirror):
    make(src, "f", "g", "h", "d/x", "e/x", "a/b/c", "m", "n/x", "k")
    os.symlink("f", str(src / "link"))
    running = mirror(mode)
    outside = make(src.parent / "outside", "x", "c")
    before = tree(outside)
    become(dst / "f", "directory", outside)
    become(dst / "g", "link", outside)
    become(dst / "h", "fifo", outside)
    become(dst / "d", "file", outside)
    become(dst / "e", "link", outside)
    become(dst / "a", "file", outside)  # further up
    become(dst / "link", "directory", outside)
    become(dst / "m2", "directory", outside)
    become(dst / "n2", "file", outside)
    become(dst / "k", "directory", outside)
    for path in ("f", "g", "h", "d/x", "e/x", "a/b/c"):
        make(src, path, text="new")
    (src / "link").unlink()
    os.symlink("g", str(src / "link"))
    os.rename(str(src / "m"), str(src / "m2"))
    os.rename(str(src / "n"), str(src / "n2"))
    (src / "k").unlink()
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    assert tree(outside) == before


def _cases():
    """Return (what is a link on the target, what is done in the source, what must be right afterwards) of each case."""
    def move(old, new):
        return lambda top: os.rename(str(top / old), str(top / new))

    def remove(path):
        return lambda top: shutil.rmtree(str(top / path)) if (top / path).is_dir() else (top / path).unlink()

    def mode(path):
        return lambda top: os.chmod(str(top / path), 0o700)

    def write(path):
        return lambda top: make(top, path, text="new")

    return {
        "write below": ("d", write("d/x"), ["d/x"]),
        "make below": ("d", write("d/new"), ["d/new"]),
        "make far below": ("d", write("d/new/deep/one"), ["d/new/deep/one"]),
        "write far below": ("d", write("d/deep/g"), ["d/deep/g"]),
        "write into": ("f", write("f"), ["f"]),
        "remove below": ("d", remove("d/x"), ["d/x"]),
        "remove far below": ("d", remove("d/deep"), ["d/deep"]),
        "remove": ("d", remove("d"), ["d"]),
        "remove a file": ("f", remove("f"), ["f"]),
        "mode of a directory": ("d", mode("d"), ["d"]),
        "mode of a file": ("f", mode("f"), ["f"]),
        "mode below": ("d", mode("d/x"), ["d/x"]),
        "move out of": ("d", move("d/x", "other/x"), ["d/x", "other/x"]),
        "move a directory out of": ("d", move("d/deep", "other/deep"), ["d/deep", "other/deep/g"]),
        "move into": ("d", move("other/y", "d/y"), ["d/y", "other/y"]),
        "move within": ("d", move("d/x", "d/x2"), ["d/x", "d/x2"]),
        "move over": ("d", move("other/y", "d/x"), ["d/x", "other/y"]),
        "move it": ("d", move("d", "e"), ["d", "e/x"]),
        "move the file": ("f", move("f", "f2"), ["f", "f2"]),
        "move a file to": ("new", move("f", "new"), ["f", "new"]),
        "move a directory to": ("new", move("other", "new"), ["other", "new/y"]),
        "move a file over the file": ("f", move("other/y", "f"), ["f", "other/y"]),
    }


# trap 13
@pytest.mark.parametrize("mode, to", [(mode, "directory") for mode in LASTING] + [("direct", "nothing"), ("rsyncssh", "nothing")])
def test_nothing_outside_the_target_is_touched_through_a_link_there(mode, to, src, dst, mirror):
    outside = src.parent / "outside"
    for name in _cases():
        make(src / name, "f", "d/x", "d/deep/g", "other/y")
        make(outside / name, "x", "deep/g", "f", "y", "precious", text="outside")
    running = mirror(mode)
    before = tree(outside, archive=True)
    for name, (link, _change, _paths) in _cases().items():
        place = dst / name / link
        if place.is_dir():
            shutil.rmtree(str(place))
        elif place.exists():
            place.unlink()
        to_file = link == "f" or name == "move a file to"
        os.symlink(str(outside / name / ("f" if to_file else ".")) if to == "directory" else "no/where", str(place))
    for name, (_link, change, _paths) in _cases().items():
        change(src / name)

    def wrong():
        found = []
        for name, (_link, _change, paths) in _cases().items():
            for path in paths:
                ours, theirs = src / name / path, dst / name / path
                if os.path.realpath(str(theirs.parent)) != str(theirs.parent) and os.path.lexists(str(ours)):
                    found.append("%s: %s is behind a link" % (name, theirs))
                elif os.path.lexists(str(theirs.parent.resolve() / theirs.name)) != os.path.lexists(str(ours)) \
                        and os.path.realpath(str(theirs.parent)) == str(theirs.parent):
                    found.append("%s: %s" % (name, theirs))
                elif os.path.lexists(str(ours)) and (
                        theirs.is_symlink() or stat.S_IMODE(ours.stat().st_mode) != stat.S_IMODE(theirs.stat().st_mode)
                        or ours.is_file() and ours.read_text() != theirs.read_text()):
                    found.append("%s: %s is not as in the source" % (name, theirs))
        return found

    def right():
        try:
            return not wrong()
        except OSError:  # a link was replaced by a directory between two looks
            return False
    running.wait(right, lambda: "\n  ".join(["all to be right"] + wrong()))
    running.fence(src, dst)
    assert tree(outside, archive=True) == before
    assert not wrong()


_SWAPPER = """
import os, random, select, shutil, sys, time
place, away, outside = sys.argv[1:]
for number in range(20000):
    if select.select([0], [], [], 0)[0]:
        break  # told to end
    try:
        os.rename(place, away)
        os.symlink(outside, place)
    except OSError:  # one that was made just now
        time.sleep(0.001)
        continue
    time.sleep(random.random() / 200)
    if os.path.islink(place):
        try:
            os.unlink(place)
            os.rename(away, place)
        except OSError:
            pass
    shutil.rmtree(away, ignore_errors=True)  # it was replaced by what is right there
    time.sleep(random.random() / 200)
print(number)
"""


@pytest.mark.parametrize("atomic", [False, True], ids=["in place", "atomic"])
def test_nothing_elsewhere_is_touched_while_a_directory_of_the_target_becomes_a_link_and_back(atomic, src, dst, mirror):
    inside = ["f", "old", "gone", "sub/x", "sub/y", "sub/z/deep", "new", "tree/a", "tree/b", "mode"]
    make(src, *["d/" + name for name in inside if name not in ("new", "tree/a", "tree/b")], "out")
    outside = make(src.parent / "outside", *inside, text="outside")
    for path in src / "d", src / "d/sub":
        os.chmod(str(path), 0o777)  # and so is the target's
    for path in [outside] + sorted(outside.rglob("*")):
        os.utime(str(path), ns=(0, 1234567890123456789), follow_symlinks=False)
    running = mirror("direct", delay=0, direct={"atomic": atomic})
    before = tree(outside, archive=True), facts(outside)
    with subprocess.Popen([sys.executable, "-c", _SWAPPER, str(dst / "d"), str(dst.parent / "away"), str(outside)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as swapper:
        for number in range(1, 61):
            make(src, "d/f", "d/sub/x", "d/new", text="%d" % number)
            os.chmod(str(src / "d/mode"), 0o600 + number % 64)
            os.utime(str(src / "d"), ns=(0, number))
            make(src, "d/tree/a", "d/tree/b", "d/gone", text="x")
            time.sleep(0.005)  # a moment in which some of it is done
            os.rename(str(src / "out"), str(src / "d/in"))
            (src / "d/new").unlink()
            (src / "d/gone").unlink()
            time.sleep(0.005)
            shutil.rmtree(str(src / "d/tree"))
            os.rename(str(src / "d/in"), str(src / "out"))
            os.rename(str(src / "d/sub"), str(src / "d/moved"))
            os.rename(str(src / "d/moved"), str(src / "d/sub"))
        swaps, _nothing = swapper.communicate()
    assert swapper.returncode == 0 and int(swaps) > 20
    os.rename(str(src / "d"), str(src.parent / "d"))  # what it was given may have gone with what was replaced
    running.fence(src, dst)
    os.rename(str(src.parent / "d"), str(src / "d"))
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    assert (tree(outside, archive=True), facts(outside)) == before


# ---- failures ----------------------------------------------------------------------------------

# trap 1, 18
@pytest.mark.parametrize("atomic", [False, True], ids=["in place", "atomic"])
def test_what_does_not_fit_on_the_target_is_copied_when_it_does(atomic, src, small_disk, daemon):
    make(src, "a")
    make(small_disk, "ballast/x")
    (small_disk / "ballast/x").write_bytes(b"x" * 500000)
    running = daemon(sync(src, small_disk, mode="direct", direct={"atomic": atomic}, filter=["- /ballast/"]))
    make(src, "big", text="x" * 900000)
    running.wait_status("sync1", state="waiting", last_error=bool, next_try=bool)
    running.wait_log("Warn: .*sync1|Error: .*sync1")
    make(src, "b")
    os.rename(str(src / "a"), str(src / "a2"))
    shutil.rmtree(str(small_disk / "ballast"))
    running.wait_equal(src, small_disk)
    running.wait_status("sync1", state="idle", last_error=None)


@both
def test_directories_without_write_permission_are_mirrored(mode, src, dst, mirror, obeys_modes):
    def lock(*paths):
        for path in paths:
            os.chmod(str(src / path), 0o555)
    make(src, "d/x", "d/e/y", "f/z", "g/h/i")
    running = mirror(mode, prefix=obeys_modes)  # an rsync of root's would not unlock what it finds locked
    lock("d/e", "d", "f", "g/h", "g")
    running.wait_equal(src, dst, archive=True)
    make(src, "d/x", "d/e/y", "d/new", "n/o/p", text="changed")
    lock("n/o", "n")
    (src / "f/z").unlink()
    os.rename(str(src / "g/h/i"), str(src / "g/i"))
    os.rename(str(src / "f"), str(src / "f2"))
    running.wait_equal(src, dst, archive=True)
    shutil.rmtree(str(src / "d"))
    running.wait_equal(src, dst, archive=True)
    running.wait_status("sync1", state="idle", last_error=None)


@both
def test_a_target_that_vanishes_is_made_again_or_waited_for(mode, src, dst, mirror):
    make(src, "a", "d/x")
    running = mirror(mode)
    os.rename(str(dst), str(dst.parent / "away"))
    make(src, "b", "d/y")
    running.wait(lambda: (dst / "d/y").exists() or running.status()["sync1"].last_error, "an error, or the target")
    if not dst.exists():
        os.rename(str(dst.parent / "away"), str(dst))
        running.wait_equal(src, dst)
    running.wait_path(dst / "b")
    running.wait_path(dst / "d/y")
    running.wait_status("sync1", state="idle", last_error=None)


# ---- speed, order and the daemon's end ---------------------------------------------------------

# trap 8
@both
def test_what_is_pending_at_term_is_done_first(mode, src, dst, mirror):
    make(src, "a", "gone", "old/x", "f")
    running = mirror(mode, delay=600)
    before = inodes(dst)
    make(src, "b", "d/c")
    os.unlink(str(src / "gone"))
    os.rename(str(src / "old"), str(src / "new"))
    os.rename(str(src / "f"), str(src / "d/f"))
    assert running.stop() == 143
    running.wait_equal(src, dst, archive=True)
    assert inodes(dst)["new/x"] == before["old/x"]


@both
def test_a_reload_forgets_nothing_that_was_pending(mode, src, dst, mirror):
    make(src, "a", "d/x", "f")
    running = mirror(mode, delay=0.5)
    for number in range(3):
        make(src, "new%d" % number)
        os.rename(str(src / ("d%s" % (number or ""))), str(src / ("d%d" % (number + 1))))
        running.kill(signal.SIGHUP)
        make(src, "d%d/later%d" % (number + 1, number))
        running.wait_equal(src, dst, archive=True)
    running.wait_idle()


# trap 40
@pytest.mark.parametrize("mode", ["direct", "without-rsync", "rsyncssh"])
def test_two_daemons_that_mirror_to_each_other_settle(mode, src, dst, mirror, daemon, request):
    make(src, "a", "d/b", "f", "gone")
    first = mirror(mode, delete="running")
    if mode != "rsyncssh":
        table = sync(dst, src, mode="direct", delete="running")
    else:
        ssh = request.getfixturevalue("ssh")
        table = sync_by_ssh(dst, ssh.host, src, ssh={"_extra": ssh.options}, delete="running")
    second = daemon(table, options=("-log", "all"))

    def spawned():
        return sum(one.log().count(" Exec: ") for one in (first, second))
    before = spawned()
    make(src, "from-one", "e/f")
    make(dst, "from-other", "g/h")
    os.rename(str(src / "d"), str(src / "i"))
    os.rename(str(dst / "f"), str(dst / "j"))
    os.unlink(str(src / "gone"))
    wanted = {"a", "i/", "i/b", "e/", "e/f", "from-one", "from-other", "g/", "g/h", "j"}
    for one, where in ((first, src), (second, dst)):
        one.wait(lambda: names(where) == wanted, lambda: "%s, not %s" % (wanted, names(where)))

    def settled():  # nothing is run for many delays
        number = spawned()
        try:
            wait_for(lambda: spawned() > number, "a process", limit=1.5)
        except AssertionError:
            return True
        return False
    second.wait(settled, "both to settle")
    assert spawned() - before < 30
    assert names(src) == names(dst) == wanted


# ---- direct alone ------------------------------------------------------------------------------

def test_direct_on_the_command_line_mirrors_several_pairs(tmp_path, src, dst, daemon):
    make(src, "a", "d/b")
    more, there = make(tmp_path / "more", "x"), tmp_path / "new-target"
    running = daemon(argv=["-delay", "0.2", "-direct", src, dst, "--direct", more, there, "-rsync", src, tmp_path / "third"])
    for source, target in ((src, dst), (more, there), (src, tmp_path / "third")):
        running.wait_equal(source, target)
    make(src, "later")
    make(more, "later")
    for source, target in ((src, dst), (more, there), (src, tmp_path / "third")):
        running.wait_equal(source, target)


@pytest.mark.parametrize("keys, word", [({"target": ["localhost:/dir"]}, "localhost:/dir"),
                                        ({"target": ["rsync://localhost/dir"]}, "rsync://"),
                                        ({"host": "localhost"}, "host")])
def test_what_direct_cannot_do_is_refused_at_the_start(keys, word, tmp_path, src, dst, daemon):
    one = daemon(dict(sync(src, dst, mode="direct"), **keys), wait=False, options=())
    assert one.ended() == 255
    assert word in one.output() and "Traceback" not in one.output()


def test_rsync_is_run_at_the_start_only_and_with_its_table(src, dst, mirror, rsync):
    make(src, "a", "d/b")
    binary = rsync()
    running = mirror("direct", rsync={"binary": binary.path, "bwlimit": 9000})
    at_start = len(binary.calls())
    assert at_start and all("--bwlimit=9000" in call.argv for call in binary.calls())
    make(src, "c", "e/f")
    os.rename(str(src / "a"), str(src / "e/a"))
    shutil.rmtree(str(src / "d"))
    running.wait_equal(src, dst, archive=True)
    assert len(binary.calls()) == at_start


def test_many_changes_cost_few_processes(src, dst, mirror):
    make(src, "a")
    running = mirror("direct")

    def spawned():
        return running.log().count(" Exec: ")
    before = spawned()
    make(src, *["%d/%d" % (number % 5, number) for number in range(500)])
    running.wait_equal(src, dst, archive=True)
    assert spawned() - before < 15, running.log()[-5000:]
    before = spawned()
    for number in range(0, 500, 2):
        (src / ("%d/%d" % (number % 5, number))).unlink()
    shutil.rmtree(str(src / "3"))
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    assert spawned() - before < 15, running.log()[-5000:]


def test_more_names_than_one_command_line_can_hold(src, dst, mirror):
    make(src, "a")
    running = mirror("direct")
    for number in range(3000):
        (src / ("%d" % number * 50)[:200]).write_text("%d" % number)
    running.wait_equal(src, dst, archive=True)
    for path in src.iterdir():
        if path.name != "a":
            path.unlink()
    running.wait_equal(src, dst, archive=True)


def test_atomic_shows_a_file_whole_or_not_at_all(src, dst, mirror):
    make(src, "f", text="old")
    size = 30 << 20
    running = mirror("direct", direct={"atomic": True})
    seen = set()

    def look():
        try:
            seen.add((dst / "large").stat().st_size)
        except FileNotFoundError:
            return False
        return size in seen
    with open(str(dst / "f")) as old:
        make(src, "f", text="new, and longer")
        running.wait_path(dst / "f", "new, and longer")
        assert old.read() == "old"  # not written into
    with open(str(src / "large"), "wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    deadline = time.monotonic() + 30
    while not look() and time.monotonic() < deadline:
        pass  # as often as possible
    assert seen == {size}
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    assert names(dst) == {"f", "large"}


def _without_rsync(folder, tools):
    """Return a PATH without rsync: all else, or only what busybox brings."""
    folder.mkdir()
    if tools == "busybox":
        busybox = shutil.which("busybox")
        if not busybox:
            pytest.skip("busybox is not installed")
        applets = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True, universal_newlines=True)
        programs = {applet: busybox for applet in applets.stdout.split()}
    else:
        programs = {name: "%s/%s" % (place, name) for place in ("/bin", "/usr/bin") for name in os.listdir(place)}
    for name, program in programs.items():
        if name != "rsync":
            os.symlink(program, str(folder / name))
    return str(folder)


# trap 4, 13, 19, 20, 36
@pytest.mark.parametrize("atomic", [False, True], ids=["in place", "atomic"])
@pytest.mark.parametrize("tools", ["coreutils", "busybox"])
def test_it_all_works_without_rsync(tools, atomic, tmp_path, src, dst, mirror):
    prefix = ("env", "PATH=" + _without_rsync(tmp_path / "tools", tools))
    root = os.fsencode(str(src))
    _fill(src / "before")
    make(src, "same", "d/s.key")
    make(dst, "stale", "stale.d/x", "before/d/stale", "before/plain/is/no/directory", "before/empty", "theirs.key", "same")
    os.makedirs(str(dst / "before/mode1"))
    os.symlink("/etc", str(dst / "before/private"))
    for name in HOSTILE:
        os.mkdir(root + b"/before/d" + name[:254])
        for path in (name, b"d" + name[:254] + b"/" + name):
            with open(root + b"/before/" + path, "wb") as file:
                file.write(name)
    running = mirror("direct", prefix=prefix, exclude=["*.key"], direct={"atomic": atomic})
    (dst / "theirs.key").unlink()  # survived
    assert not (dst / "d/s.key").exists()
    (src / "d/s.key").unlink()
    for path in (src, src / "d"):  # of which the removals changed the times
        os.utime(str(path))
    running.wait_equal(src, dst, archive=True)
    assert facts(src) == facts(dst)

    before = inodes(dst)
    _fill(src / "after")
    os.rename(str(src / "before"), str(src / "renamed"))
    shutil.rmtree(str(src / "renamed/d"))
    os.chmod(str(src / "renamed/plain"), 0o751)
    make(src, "renamed/plain", text="new")
    (src / "renamed/to-file").unlink()
    for name in HOSTILE:
        os.unlink(root + b"/renamed/" + name)
        with open(root + b"/renamed/d" + name[:254] + b"/" + name, "ab") as file:
            file.write(b"more")
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    assert facts(src) == facts(dst)
    assert inodes(dst)["renamed/large"] == before["before/large"]


def test_several_children_at_a_time_end_equal(src, dst, mirror):
    make(src, "a")
    running = mirror("direct", maxProcesses=3, delay=0.05)
    for number in range(40):
        make(src, "%d/x" % number, "%d/y/z" % number)
        if number > 5:
            os.rename(str(src / str(number - 5)), str(src / ("r%d" % number)))
        if number % 4 == 0:
            running.wait_path(dst / str(number) / "x")
    running.wait_equal(src, dst, archive=True)


@pytest.mark.parametrize("form", ["ini", "json"])
@pytest.mark.parametrize("name", ["direct", "default.direct"])
def test_the_example_of_the_guide(name, form, src, dst, daemon):
    make(src, "a", "d/x")
    running = daemon(sync(src, dst, mode=name), settings={"statusInterval": 30}, form=form, wait=False)
    running.wait_equal(src, dst, archive=True)
    make(src, "b", "d/y")
    running.wait_equal(src, dst, archive=True)
