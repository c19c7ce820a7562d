"""The watched tree, with the real inotify: what happened is there to be read when the call that did it returns."""

import errno
import os
import random
import shutil
import socket
import stat
import time

import pytest

from lsyncd_lite.mirror.change import FRESH, PLACE, WHOLE
from lsyncd_lite.mirror.moves import Move
from lsyncd_lite.mirror.queue import Queue
from lsyncd_lite.watch.inotify import (
    IN_ATTRIB, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_IGNORED, IN_ISDIR, IN_MOVE_SELF, IN_MOVED_FROM, IN_MOVED_TO, IN_Q_OVERFLOW,
    IN_UNMOUNT, Inotify, parse_events)
from lsyncd_lite.watch.tree import Tree


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a directory with an empty `src`; `out` lies outside."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("src")
    os.mkdir("out")
    return os.fsencode(os.getcwd())


@pytest.fixture
def watch(here):
    """Watch src, after `directories` were made in it."""
    trees = []

    def start(*directories, mode="CloseWrite", wants=None):
        for name in directories:
            os.makedirs(b"src/" + name)
        trees.append(Tree(here + b"/src", mode, wants))
        return trees[-1]

    yield start
    for tree in trees:
        tree.close()


def write(path, text="x", mode="w"):
    with open(path, mode) as file:
        file.write(text)


def told(tree, changes=None):
    """Return {path in src: (marks, is_dir)} of what the tree reads now."""
    steps = tree.read() if changes is None else changes
    assert len(steps) < 2
    prefix, found = tree.root, {}
    for directory, names in (pair for step in steps for pair in step.items()):
        assert directory == prefix or directory.startswith(prefix + b"/")
        for name, change in names.items():
            path = (directory[len(prefix) + 1:] + b"/" + name).strip(b"/")
            assert path not in found
            found[path] = change
    return found


def paths(tree):
    return set(told(tree))


def on_disk():
    """Return the directories in src."""
    return {os.path.relpath(directory, b"src") for directory, _names, _files in os.walk(b"src")}


def everything_is_watched(tree):
    """Tell whether each directory is watched, once and under its path."""
    tree.read()
    directories = on_disk()
    for directory in directories:
        write(os.path.join(b"src", directory, b"probe"))
    found = {os.path.dirname(path) or b"." for path in told(tree)}
    assert found == directories
    assert len(tree) == len(directories)
    return True


def wd_of(tree, path=b""):
    wanted = os.path.join(tree.root, path) if path else tree.root
    return next(wd for wd in range(1, 10000) if tree.path(wd) == wanted)


# ---- files -------------------------------------------------------------------------------------

def test_nothing_happened_is_nothing_told(watch):
    tree = watch(b"d")
    assert tree.read() == [] and not tree.has_unclosed and not tree.notes


def test_a_written_file_is_told_once_with_its_directory(watch, here):
    tree = watch(b"d/e")
    for _number in range(3):
        write(b"src/d/e/f")
    assert tree.read() == [{here + b"/src/d/e": {b"f": (FRESH, False)}}]


@pytest.mark.parametrize("name", [b"a b", b" ", b"\n", b"\xff\xfe", b"x" * 255, b"-", b"*", b"\\", b"\xc3\xa9"])
def test_names_are_bytes(watch, name):
    tree = watch()
    write(b"src/" + name)
    assert told(tree) == {name: (FRESH, False)}
    os.mkdir(b"src/d")
    os.rename(b"src/" + name, b"src/d/" + name)
    assert paths(tree) == {b"d", name}
    write(b"src/d/" + name)
    assert told(tree) == {b"d/" + name: (FRESH, False)}


@pytest.mark.parametrize("mode, created, written, closed", [
    ("CloseWrite", False, False, True), ("Modify", True, True, False), ("CloseWrite or Modify", True, True, True)])
def test_three_ways_to_tell_of_a_write(watch, mode, created, written, closed):
    tree = watch(mode=mode)
    fd = os.open("src/f", os.O_WRONLY | os.O_CREAT)
    assert bool(told(tree)) is created
    os.write(fd, b"x")
    assert bool(told(tree)) is written
    os.close(fd)
    assert bool(told(tree)) is closed


def test_a_plain_file_waits_to_be_closed(watch):
    tree = watch()
    fd = os.open("src/f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"half")
    os.fchmod(fd, 0o600)
    assert told(tree) == {} and tree.has_unclosed
    os.close(fd)
    assert told(tree) == {b"f": (FRESH, False)} and not tree.has_unclosed
    os.chmod("src/f", 0o644)
    assert told(tree) == {b"f": (PLACE, False)}


@pytest.mark.parametrize("make", [
    lambda path: os.link("out/old", path), lambda path: os.symlink("nowhere", path), lambda path: os.symlink("../out", path), os.mkfifo,
    lambda path: socket.socket(socket.AF_UNIX).bind(path)], ids=["hard link", "symlink", "symlink to a directory", "fifo", "socket"])
@pytest.mark.parametrize("mode", ["CloseWrite", "Modify"])
def test_what_nobody_will_close_is_told_at_once(watch, make, mode):
    write("out/old")
    tree = watch(mode=mode)
    make("src/f")
    assert told(tree) == {b"f": (FRESH, False)} and not tree.has_unclosed


@pytest.mark.parametrize("change, expected", [
    (lambda: os.unlink("src/f"), {b"f": PLACE}),
    (lambda: os.chmod("src/f", 0o600), {b"f": PLACE}),
    (lambda: os.utime("src/f", (1, 1)), {b"f": PLACE}),
    (lambda: write("src/f", "y", "a"), {b"f": FRESH}),
    (lambda: os.truncate("src/f", 0), {}),
    (lambda: os.rename("src/f", "src/g"), {b"f": PLACE, b"g": FRESH}),
    (lambda: os.rename("src/f", "src/d/f"), {b"f": PLACE, b"d/f": FRESH}),
    (lambda: os.rename("src/f", "out/f"), {b"f": PLACE}),
    (lambda: os.rename("out/f", "src/f"), {b"f": FRESH}),
    (lambda: os.rename("src/f", "src/h"), {b"f": PLACE, b"h": FRESH}),
    (lambda: os.link("src/f", "src/g"), {b"g": FRESH}),
    (lambda: (write("src/f"), os.chmod("src/f", 0o600)), {b"f": FRESH}),
    (lambda: (os.chmod("src/f", 0o600), write("src/f")), {b"f": FRESH}),
    (lambda: (os.unlink("src/f"), os.symlink("x", "src/f")), {b"f": FRESH}),
    (lambda: (os.unlink("src/f"), write("src/f")), {b"f": FRESH}),
    (lambda: (write("src/n"), os.unlink("src/n")), {b"n": FRESH}),
    (lambda: (os.rename("src/f", "src/g"), os.rename("src/g", "src/f")), {b"f": FRESH, b"g": FRESH}),
])
def test_changes_of_files(watch, change, expected):
    write("src/f")
    write("src/h")
    write("out/f")
    tree = watch(b"d")
    change()
    found = told(tree)
    assert {path: marks for path, (marks, is_dir) in found.items() if not is_dir} == expected and len(found) == len(expected)


def test_a_file_that_is_read_is_not_told(watch):
    write("src/f")
    tree = watch()
    with open("src/f") as file:
        file.read()
    os.listdir("src")
    assert tree.read() == []


def test_writes_to_what_was_unlinked_are_not_told(watch):
    tree = watch()
    with open("src/f", "w") as file:
        os.unlink("src/f")
        tree.read()
        file.write("x")
    assert tree.read() == [] and not tree.has_unclosed


# ---- files that nobody closes ------------------------------------------------------------------

def anonymous(path):
    """Make a file without a name, and give it one."""
    fd = os.open("src", os.O_TMPFILE | os.O_WRONLY, 0o600)
    try:
        os.write(fd, b"x")
        os.link("/proc/self/fd/%d" % fd, path, src_dir_fd=fd, follow_symlinks=True)
    finally:
        os.close(fd)


def elsewhere(path):
    """Link a file here and remove its other name: it has one name again when the event is read."""
    write("out/tmp")
    os.link("out/tmp", path)
    os.unlink("out/tmp")


@pytest.mark.parametrize("make", [anonymous, elsewhere])
def test_a_file_that_nobody_closes_is_told_when_it_rests(watch, make):
    tree = watch()
    try:
        make("src/f")
    except OSError as error:
        pytest.skip("no O_TMPFILE on this file system: %s" % error)
    if told(tree) == {b"f": (FRESH, False)}:
        return  # better still: it was told at once
    assert tree.has_unclosed
    now = time.time()
    assert tree.settle(now) == [] and tree.has_unclosed
    assert told(tree, tree.settle(now + 60)) == {b"f": (FRESH, False)}
    assert not tree.has_unclosed and tree.settle(now + 120) == []


def test_a_file_that_is_still_written_does_not_settle_and_one_that_is_gone_is_forgotten(watch):
    tree = watch()
    with open("src/f", "w") as file, open("src/g", "w"):
        assert told(tree) == {}
        os.utime(file.fileno(), (1e9, 1e9))
        os.unlink("src/g")
        tree.read()
        assert tree.settle(time.time()) == []  # its attributes are of now
    assert told(tree) == {b"f": (FRESH, False)}


def test_a_clock_that_went_back_keeps_nothing_waiting(watch):
    tree = watch()
    with open("src/f", "w"):
        tree.read()
        assert told(tree, tree.settle(1e6)) == {b"f": (FRESH, False)}


def test_a_file_in_a_directory_that_was_renamed_settles_under_its_new_path(watch):
    tree = watch(b"d")
    with open("src/d/f", "w"):
        tree.read()
        os.rename("src/d", "src/e")
        tree.read()
        assert told(tree, tree.settle(time.time() + 60)) == {b"e/f": (FRESH, False)}


# ---- directories -------------------------------------------------------------------------------

def test_all_directories_are_watched_and_links_are_not_followed(watch):
    os.mkdir("out/x")
    os.symlink("../out", "src/link")
    os.symlink(".", "src/self")
    tree = watch(b"a/b/c", b"a/d", b"e")
    assert len(tree) == 6
    write("out/f")
    write("out/x/f")
    assert tree.read() == []
    assert everything_is_watched(tree)


def test_new_directories_are_told_whole_and_watched(watch):
    tree = watch()
    os.makedirs("src/a/b/c")
    write("src/a/b/c/f")
    found = told(tree)
    assert found[b"a"][0] & WHOLE and found[b"a"][1] and set(found) <= {b"a", b"a/b", b"a/b/c", b"a/b/c/f"}
    write("src/a/b/c/g")
    assert told(tree) == {b"a/b/c/g": (FRESH, False)}
    assert everything_is_watched(tree)


def test_directories_made_while_their_parent_is_listed_are_watched(watch):
    tree = watch()
    os.mkdir("src/a")
    assert paths(tree) == {b"a"}
    os.makedirs("src/a/b/c/d/e")
    assert b"a/b" in paths(tree)
    assert everything_is_watched(tree)


def test_a_subtree_that_is_moved_in_is_told_whole_and_watched(watch):
    os.makedirs("out/a/b/c")
    tree = watch()
    os.rename("out/a", "src/a")
    assert told(tree)[b"a"][0] & WHOLE
    assert everything_is_watched(tree) and len(tree) == 4


@pytest.mark.parametrize("change, expected", [
    (lambda: os.chmod("src/d", 0o700), {b"d": (PLACE, True)}),
    (lambda: os.utime("src/d", (1, 1)), {b"d": (PLACE, True)}),
    (lambda: os.chmod("src", 0o700), {b"": (PLACE, True)}),
    (lambda: os.rmdir("src/d"), {b"d": (PLACE, True)}),
    (lambda: os.rename("src/d", "out/d"), {b"d": (PLACE, True)}),
    (lambda: (os.rmdir("src/d"), write("src/d")), {b"d": (FRESH, None)}),
    (lambda: (os.rmdir("src/d"), os.symlink("x", "src/d")), {b"d": (FRESH, None)}),
    (lambda: (os.rmdir("src/d"), os.mkdir("src/d")), {b"d": (WHOLE | FRESH, True)}),
    (lambda: (os.unlink("src/f"), os.mkdir("src/f")), {b"f": (WHOLE | FRESH, None)}),  # it was both
    (lambda: (os.rename("src/d", "src/e"), os.rename("src/e", "src/d")), {b"d": (WHOLE | FRESH, True), b"e": (WHOLE, True)}),
])
def test_changes_of_directories(watch, change, expected):
    write("src/f")
    tree = watch(b"d")
    change()
    assert told(tree) == expected
    assert everything_is_watched(tree)


def test_a_directory_that_is_gone_is_not_watched(watch):
    tree = watch(b"a/b/c", b"d")
    shutil.rmtree("src/a")
    assert b"a" in paths(tree) and len(tree) == 2


def test_a_renamed_directory_is_followed(watch):
    tree = watch(b"a/b/c")
    os.rename("src/a", "src/z")
    assert told(tree) == {b"a": (PLACE, True), b"z": (WHOLE, True)}
    write("src/z/b/c/f")
    assert told(tree) == {b"z/b/c/f": (FRESH, False)}
    os.rename("src/z/b", "src/b")
    assert set(told(tree)) == {b"z/b", b"b"}
    write("src/b/c/f")
    assert told(tree) == {b"b/c/f": (FRESH, False)}
    assert everything_is_watched(tree)


def test_changes_in_a_directory_that_was_renamed_before_they_were_read_have_their_new_path(watch):
    tree = watch(b"a/b")
    write("src/a/b/f")
    os.rename("src/a", "src/z")
    write("src/z/b/g")
    found = told(tree)
    assert found[b"z/b/f"] == found[b"z/b/g"] == (FRESH, False) and b"a/b/f" not in found
    assert everything_is_watched(tree)


@pytest.mark.parametrize("script", [
    ["mv a z", "mkdir a", "mv z y"], ["mv a t", "mv b a", "mv t b"], ["rmdir e", "mv a e"], ["mv a b/a", "mv b c"], ["mv a/x b/x", "mv b a/b"],
    ["mkdir a/n", "mv a z"], ["mkdir a/n", "mkdir a/n/m", "mv a z", "mv z y"], ["mv a/x a/y", "mv a z"], ["mv a b/a", "mv b/a c", "mkdir a", "mkdir a/x"],
    ["mv a/x c", "mv a x", "mv c x/x"], ["mkdir n", "mv n a/n", "mv a b/z"], ["mv a t", "mv t/x a", "mv t a/t"], ["mv a ../out/a", "mkdir a", "mkdir a/x"],
    ["mv a ../out/a", "mv ../out/a z"], ["mv a ../out/a", "mkdir ../out/a/n", "mv ../out/a a"], ["mkdir a/n", "mv a ../out/a", "mv ../out/a a", "mv a z"],
    ["mv a/x ../out/x", "mv a z", "mv ../out/x z/n"], ["mkdir n", "mkdir n/m", "mv n/m m", "rmdir n", "mv m n"]])
@pytest.mark.parametrize("reading", ["at the end", "each time"])
def test_renames_of_directories_lose_none(watch, script, reading):
    tree = watch(b"a/x", b"b", b"e")
    for line in script:
        command, *arguments = line.split()
        {"mv": os.rename, "mkdir": os.mkdir, "rmdir": os.rmdir}[command](*["src/" + argument for argument in arguments])
        if reading == "each time":
            tree.read()
    assert everything_is_watched(tree)


@pytest.mark.parametrize("more", range(10))
def test_what_is_made_in_a_directory_that_is_found_elsewhere_is_watched(watch, more):
    """In whatever order those in doubt are settled: directories made before give them other numbers."""
    tree = watch()
    for name in [*("%d" % number for number in range(more)), "d", "d/e"]:
        os.mkdir("src/" + name)
        tree.read()
    os.rename("src/d", "out/d")
    os.rename("out/d", "src/b")
    os.rename("src/b/e", "src/a")  # which is told by the watch that was given up
    os.makedirs("src/a/new/deep")
    write("src/a/new/f")
    assert paths(tree) >= {b"d", b"b", b"a"} and everything_is_watched(tree)


def test_a_subtree_that_leaves_is_not_watched_any_more(watch):
    tree = watch(b"a/b", b"c")
    os.rename("src/a", "out/a")
    assert told(tree) == {b"a": (PLACE, True)} and len(tree) == 2
    os.makedirs("src/a/b")
    write("src/a/b/f")
    tree.read()
    write("out/a/b/f")
    os.mkdir("out/a/n")
    shutil.rmtree("out/a")
    assert tree.read() == []
    assert everything_is_watched(tree)


@pytest.mark.parametrize("seed", range(12))
def test_after_any_operations_every_directory_is_watched_under_its_path(watch, seed):
    rnd, tree = random.Random(seed), watch(b"a/b", b"c", b"d/e/f")
    for _number in range(150):
        directories = sorted(on_disk() - {b"."})
        names = [b"a", b"b", b"c", b"d"]
        place = os.path.join(b"src", rnd.choice(directories + [b"."]), rnd.choice(names))
        some = os.path.join(b"src", rnd.choice(directories or [b"none"]))
        action = rnd.choice([os.mkdir, os.mkdir, os.rmdir, os.rename, os.rename, os.rename, "leave", "come", "read", "read", write])
        try:
            if action == "leave":
                os.rename(some, b"out/%d" % rnd.randrange(3))
            elif action == "come":
                os.rename(b"out/%d" % rnd.randrange(3), place)
            elif action == "read":
                tree.read()
            elif action == os.rename:
                os.rename(some, place)
            else:
                action(place)
        except OSError:
            continue  # not possible just now
    if tree.overflowed:
        tree.rescan()
    for _number in range(2):
        tree.read()
    assert everything_is_watched(tree)


def snapshot():
    """Return {path in src: type, mode and content}."""
    found = {}
    for directory, names, files in os.walk(b"src"):
        for name in names + files:
            path = os.path.join(directory, name)
            facts = os.lstat(path)
            with open(path if stat.S_ISREG(facts.st_mode) else os.devnull) as file:
                found[path[4:]] = facts.st_mode, file.read()
    return found


def operate(rnd, number):
    """Do something to src; raise OSError where that is not possible."""
    existing = [b"src/" + path for path in snapshot()] or [b"src/none"]
    inside = rnd.choice([b"src"] + [path for path in existing if os.path.isdir(path)])
    some, place, outside = rnd.choice(existing), os.path.join(inside, rnd.choice([b"a", b"b", b"c"])), b"out/%d" % rnd.randrange(3)
    rnd.choice([
        lambda: os.mkdir(place), lambda: os.makedirs(place + b"/a/b"), lambda: write(place, str(number)), lambda: write(some, str(number), "a"),
        lambda: os.rename(some, place), lambda: os.rename(some, place), lambda: os.rename(some, outside), lambda: os.rename(outside, place),
        lambda: os.chmod(some, rnd.choice([0o700, 0o755])), lambda: (os.rmdir if os.path.isdir(some) else os.unlink)(some),
        lambda: shutil.rmtree(some), lambda: os.symlink("x", place)])()


@pytest.mark.parametrize("seed", range(20))
def test_whatever_has_changed_was_told(watch, seed):
    """By itself, by a directory that was told whole, or by what its disappearance left standing."""
    rnd, tree, covered = random.Random(seed), watch(b"a/b", b"c"), {}
    for number in range(10):
        before = snapshot()
        for step in range(rnd.choice([1, 3, 10])):
            try:
                operate(rnd, number * 100 + step)
            except OSError:
                continue
        after = snapshot()
        covered = {**told(tree), **told(tree, tree.settle(time.time() + 60))}
        whole = {path for path, (marks, _is_dir) in covered.items() if marks & WHOLE}
        parents = {path: [b"/".join(path.split(b"/")[:depth + 1]) for depth in range(path.count(b"/") + 1)] for path in {*before, *after, *covered}}
        gone = {next((parent for parent in parents[path] if not stat.S_ISDIR(after.get(parent, (0,))[0])), path) for path in covered}
        changed = [path for path in {*before, *after} if before.get(path) != after.get(path)]
        assert [path for path in changed if path not in covered and not whole & set(parents[path]) and not gone & set(parents[path])] == []


# ---- what is not wanted ------------------------------------------------------------------------

def unwanted(path):
    return b"/no" not in path


def test_excluded_directories_are_not_watched(watch):
    tree = watch(b"a/no/x", b"no/y", b"b", wants=unwanted)
    assert len(tree) == 3
    os.makedirs("src/b/no/z")
    tree.read()
    write("src/b/no/z/f")
    write("src/no/f")
    assert tree.read() == [] and len(tree) == 3


def test_a_directory_renamed_to_an_excluded_name_is_dropped_and_back_again_watched(watch):
    tree = watch(b"a/b/c", wants=unwanted)
    os.rename("src/a/b", "src/a/no")
    assert set(told(tree)) == {b"a/b", b"a/no"} and len(tree) == 2
    write("src/a/no/c/f")
    assert tree.read() == []
    os.rename("src/a/no", "src/b")
    assert told(tree)[b"b"][0] & WHOLE and len(tree) == 4
    assert everything_is_watched(tree)


def test_what_becomes_excluded_below_a_renamed_directory_is_dropped(watch):
    tree = watch(b"a/x/y", wants=lambda path: b"/z/x" not in path)
    os.rename("src/a", "src/z")
    tree.read()
    write("src/z/f")
    write("src/z/x/f")
    write("src/z/x/y/f")
    assert set(told(tree)) <= {b"z/f", b"z/x/f", b"z/x/y/f"}  # the sync filters what is told
    os.rename("src/z", "src/a")
    assert everything_is_watched(tree)


# ---- Moves -------------------------------------------------------------------------------------

@pytest.fixture
def moving(watch):
    """Watch src, after directories were made in it, and tell renames as Moves."""
    def start(*directories, **keys):
        tree = watch(*directories, **keys)
        tree.tells_moves = True
        return tree

    return start


def short(tree, steps=None):
    """Return what is told now: a dict of {path in src: marks} for changes, "ORIGIN > PLACE" for a Move ("/" follows what is a directory)."""
    found, start = [], len(tree.root) + 1
    for step in tree.read() if steps is None else steps:
        if isinstance(step, Move):
            assert step.origin.startswith(tree.root + b"/") and step.place.startswith(tree.root + b"/")
            slash = "/" if step.is_dir else ""
            found.append("%s%s > %s%s" % (step.origin[start:].decode(), slash, step.place[start:].decode(), slash))
        else:
            assert step, "a step that tells nothing"
            found.append({path.decode(): marks for path, (marks, _is_dir) in told(tree, [step]).items()})
    return found


def do(*lines):
    """Run commands in src: mv, mkdir, rmdir, rm, touch (create and close), write, ln, link."""
    def run(command, *names):
        names = ["src/" + name for name in names]
        {"mv": os.rename, "mkdir": os.mkdir, "rmdir": os.rmdir, "rm": os.unlink, "touch": write, "write": write, "chmod": lambda path: os.chmod(path, 0o700),
         "link": os.link, "ln": lambda path: os.symlink("x", path)}[command](*names)

    for line in lines:
        run(*line.split())


CHANGED, NEW_DIR, GONE = FRESH, WHOLE, PLACE


@pytest.mark.parametrize("lines, expected", [
    (["mv f g"], ["f > g"]),
    (["mv f h"], ["f > h"]),                                     # over an existing file
    (["mv d/f d/e/f"], ["d/f > d/e/f"]),
    (["mv d z"], ["d/ > z/"]),
    (["mv d empty"], ["d/ > empty/"]),                           # over an empty directory
    (["mv d empty/d"], ["d/ > empty/d/"]),
    (["ln l", "mv l k"], [{"l": GONE, "k": CHANGED}]),           # nobody else has it yet
    (["link f g", "mv g k"], [{"g": GONE, "k": CHANGED}]),
    (["mv f g", "mv g k"], ["f > g", "g > k"]),
    (["mv f t", "mv h f", "mv t h"], ["f > t", "h > f", "t > h"]),
    (["mv d t", "mv empty d", "mv t empty"], ["d/ > t/", "empty/ > d/", "t/ > empty/"]),
    (["write f", "mv f g"], [{"f": CHANGED}, "f > g"]),          # the change comes before the Move
    (["mv f g", "write g"], ["f > g", {"g": CHANGED}]),
    (["mv f g", "write f"], ["f > g", {"f": CHANGED}]),
    (["chmod f", "mv f g", "chmod g"], [{"f": PLACE}, "f > g", {"g": PLACE}]),
    (["rm h", "mv f h"], [{"h": GONE}, "f > h"]),
    (["touch n", "mv n m"], [{"n": CHANGED}, "n > m"]),
    (["mkdir n", "mv f n/f"], [{"n": NEW_DIR, "f": GONE}]),      # into a directory made just before: nobody watched
    (["mkdir n", "mv d n/d"], [{"n": NEW_DIR, "d": GONE}]),
    (["mv d/f g", "mv d z"], ["d/f > g", "d/ > z/"]),
    (["mv d z", "mv z/f g"], ["d/ > z/", "z/f > g"]),
    (["mv d z", "write z/f"], ["d/ > z/", {"z/f": CHANGED}]),
    (["write d/f", "mv d z"], [{"d/f": CHANGED}, "d/ > z/"]),
    (["mv d/e d/x", "mv d z", "mv z/x/f z/f2", "mv z/x y"], ["d/e/ > d/x/", "d/ > z/", "z/x/f > z/f2", "z/x/ > y/"]),
    (["mv d/e e", "mv d e/d"], ["d/e/ > e/", "d/ > e/d/"]),       # inside out
    (["mv d t", "mv t/e d", "mv t d/e"], ["d/ > t/", "t/e/ > d/", "t/ > d/e/"]),
    (["rmdir empty", "mv d empty"], [{"empty": GONE}, "d/ > empty/"]),
    (["mv f ../out/f"], [{"f": GONE}]),                          # out of the tree
    (["mv d ../out/d"], [{"d": GONE}]),
    (["mv ../out/o o"], [{"o": CHANGED}]),                       # into it
    (["mv ../out/dir dir"], [{"dir": NEW_DIR}]),
    (["mv f ../out/f", "mv ../out/f g"], [{"f": GONE, "g": CHANGED}]),
    (["mv d ../out/d", "mv h d"], [{"d": GONE}, "h > d"]),
])
def test_renames_are_told_as_moves_in_their_order(moving, lines, expected):
    os.mkdir("out/dir")
    for name in "f", "h", "../out/o":
        write("src/" + name)
    os.makedirs("src/d/e")
    write("src/d/f")
    write("src/d/e/f")
    tree = moving(b"empty")
    do(*lines)
    assert short(tree) == expected
    do("touch marker")
    assert short(tree) == [{"marker": CHANGED}]
    assert everything_is_watched(tree)


def test_nothing_is_told_as_a_move_where_nobody_wants_it(watch):
    write("src/f")
    tree = watch(b"d")
    do("mv f g", "mv d e")
    assert short(tree) == [{"f": PLACE, "g": FRESH, "d": PLACE, "e": WHOLE}]


@pytest.mark.parametrize("first, second, expected", [
    (["touch n"], ["mv n m"], [[{"n": FRESH}], ["n > m"]]), (["mv f g"], ["mv g k"], [["f > g"], ["g > k"]]),
    (["mv d z"], ["mv z/f g"], [["d/ > z/"], ["z/f > g"]]), (["mkdir n"], ["mv d n/d"], [[{"n": WHOLE}], ["d/ > n/d/"]]),
    (["mv d t"], ["mv empty d", "mv t empty"], [["d/ > t/"], ["empty/ > d/", "t/ > empty/"]]),
    (["mkdir n"], ["mv n d/n"], [[{"n": WHOLE}], ["n/ > d/n/"]])])
def test_moves_are_told_from_read_to_read(moving, first, second, expected):
    write("src/f")
    tree = moving(b"d", b"empty")
    write("src/d/f")
    tree.read()
    for lines, steps in zip((first, second), expected):
        do(*lines)
        assert short(tree) == steps
    assert everything_is_watched(tree)


def events_of(tree):
    """Return the events that wait, as `translate` takes them."""
    data = []
    while True:
        part = tree._inotify.read()
        if not part:
            return list(parse_events(b"".join(data)))
        data.append(part)


@pytest.mark.parametrize("cut", range(14))
@pytest.mark.parametrize("lines", [
    ["mv f g"], ["mv f h"], ["mv d z"], ["mv d empty"], ["mv d/f g"], ["mv d z", "mv z/f f2"], ["mv d t", "mv empty d", "mv t empty"], ["mkdir n", "mv d n/d"]])
def test_a_rename_that_is_read_in_two_parts_is_not_lost(moving, lines, cut):
    for name in "f", "h":
        write("src/" + name)
    tree = moving(b"d/e", b"empty")
    write("src/d/f", "other")
    tree.read()
    copy = Copy(tree.root, lambda path: True)
    do(*lines)
    events = events_of(tree)
    copy.take(tree.translate(events[:cut]))
    copy.take(tree.translate(events[cut:]))
    copy.take(tree.read())
    assert copy.made_equal() == real(lambda path: True)
    assert everything_is_watched(tree)


def test_cookies_that_are_interleaved_with_other_events(moving):
    write("src/a")
    write("src/b")
    tree = moving(b"d", b"e")
    root, d = wd_of(tree), wd_of(tree, b"d")
    steps = tree.translate([
        (root, IN_MOVED_FROM, 1, b"a"), (root, IN_CLOSE_WRITE, 0, b"w"), (root, IN_MOVED_FROM, 2, b"b"), (d, IN_ATTRIB, 0, b"x"), (d, IN_MOVED_TO, 2, b"b"),
        (root, IN_DELETE, 0, b"v"), (root, IN_MOVED_TO, 1, b"c"), (root, IN_MOVED_FROM, 3, b"lost"), (root, IN_MOVED_TO, 4, b"found")])
    assert short(tree, steps) == [{"w": FRESH, "d/x": PLACE}, "b > d/b", {"v": PLACE}, "a > c", {"lost": PLACE, "found": FRESH}]


def test_the_two_ends_of_a_rename_in_the_wrong_order_are_two_changes(moving):
    write("src/b")
    tree = moving()
    root = wd_of(tree)
    found = {}
    for step in short(tree, tree.translate([(root, IN_MOVED_TO, 1, b"b"), (root, IN_MOVED_FROM, 1, b"a")])):
        assert isinstance(step, dict)
        found.update(step)
    assert found == {"a": PLACE, "b": FRESH}


def test_a_cookie_that_is_used_again_tells_the_right_pairs(moving):
    """Cookies are numbers of 32 bits: after some days they begin again."""
    tree = moving()
    root = wd_of(tree)
    steps = tree.translate([(root, IN_MOVED_FROM, 7, b"a"), (root, IN_MOVED_TO, 7, b"b"), (root, IN_MOVED_FROM, 8, b"c"), (root, IN_MOVED_TO, 8, b"d")])
    assert short(tree, steps) == ["a > b", "c > d"]


@pytest.mark.parametrize("then, expected", [("src/g", {"d": PLACE, "g": FRESH}), ("out/d/g", {"d": PLACE}), ("src/e/g", {"d": PLACE, "e/g": FRESH})])
def test_a_rename_from_a_directory_that_has_left_is_told_as_something_new(moving, then, expected):
    tree = moving(b"d", b"e")
    write("src/d/f")
    tree.read()
    os.rename("src/d", "out/d")
    os.rename("out/d/f", then)
    found = {}
    for step in short(tree):
        found.update(step)
    assert found == expected
    assert everything_is_watched(tree)


def test_a_rename_of_a_directory_from_one_that_has_left(moving):
    tree = moving(b"d/s/t", b"e")
    os.rename("src/d", "out/d")
    os.rename("out/d/s", "src/e/s")
    os.mkdir("src/e/s/n")
    found = {}
    for step in short(tree):
        found.update(step)
    assert found["d"] == PLACE and found["e/s"] & WHOLE
    assert everything_is_watched(tree)


def test_a_rename_into_a_directory_that_has_left_is_a_removal(moving):
    write("src/f")
    tree = moving(b"d", b"g")
    os.rename("src/d", "out/d")
    os.rename("src/f", "out/d/f")
    os.rename("src/g", "out/d/g")
    assert short(tree) == [{"d": PLACE, "f": PLACE, "g": PLACE}]
    assert everything_is_watched(tree)


# ---- ... of what is not closed yet

@pytest.mark.parametrize("known", [False, True], ids=["in one read", "in two"])
def test_a_created_file_that_is_renamed_before_it_is_closed_is_no_move(moving, known):
    tree = moving()
    with open("src/n", "w"):
        if known:
            assert short(tree) == [] and tree.has_unclosed
        do("mv n m")
        assert short(tree) == [{"n": PLACE, "m": FRESH}]
        do("mv m k")
        assert short(tree) == ["m > k"]
    assert short(tree) == [{"k": FRESH}]


@pytest.mark.parametrize("known", [False, True], ids=["in one read", "in two"])
@pytest.mark.parametrize("name", ["f", "d/f"])
def test_a_rename_over_an_unclosed_file_tells_both_ends(moving, known, name):
    tree = moving(b"d")
    write("src/" + name)
    tree.read()
    with open("src/g", "w"):
        if known:
            tree.read()
        do("mv %s g" % name)
        steps = short(tree)
        assert steps == ["%s > g" % name] or steps == [{name: PLACE, "g": FRESH}]
    assert not tree.has_unclosed


def test_an_unclosed_file_in_a_renamed_directory_is_told_where_it_is(moving):
    tree = moving(b"d")
    with open("src/d/n", "w"):
        do("mv d e")
        assert short(tree) == ["d/ > e/"] and tree.has_unclosed
    assert short(tree) == [{"e/n": FRESH}]


def test_a_link_in_a_directory_renamed_in_the_same_read_is_told_after_the_move(moving):
    tree = moving(b"d")
    do("ln d/l", "mv d e")
    assert short(tree) == ["d/ > e/", {"e/l": FRESH}]


# ---- ... of what is not wanted, or not known

@pytest.mark.parametrize("lines, expected", [
    (["mv d no2"], ["d/ > no2/"]), (["mv d no/d"], [{"d": PLACE}]), (["mv no/x x"], [{"x": WHOLE}]), (["mv no y"], [{"no": PLACE}, {"y": WHOLE}]),
    (["mv f no/f"], [{"f": PLACE}]), (["mv no/f g"], [{"g": FRESH}]), (["mv no/f no/g"], [])])
def test_moves_into_and_out_of_excluded_directories(moving, lines, expected):
    """What is told of an excluded place is the sync's to drop; that the directories are watched as they should is not."""
    os.makedirs("src/no/x/y")
    write("src/no/f")
    write("src/f")
    tree = moving(b"d/e", wants=unwanted)
    do(*lines)
    found = short(tree)
    merged, wanted = {}, {}
    for step in found:
        merged.update(step if isinstance(step, dict) else {step: None})
    for step in expected:
        wanted.update(step if isinstance(step, dict) else {step: None})
    assert merged == wanted
    directories = {path for path in on_disk() if not path.startswith(b"no")}
    for directory in on_disk():
        write(os.path.join(b"src", directory, b"probe"))
    assert {os.path.dirname(path) or b"." for path in told(tree)} == directories and len(tree) == len(directories)


def test_a_directory_that_nobody_had_watched_is_told_whole_when_it_is_renamed(moving, limited):
    """What happened in it was not told, so what the target has of it may be old."""
    tree = moving(b"a")
    limited["left"] = 0
    os.mkdir("src/n")
    assert short(tree) == [{"n": WHOLE}]
    limited["left"] = None
    do("touch n/f", "mv n m")
    found = {}
    for step in short(tree):
        found.update(step)
    assert found["n"] == PLACE and found["m"] & WHOLE
    assert everything_is_watched(tree)


@pytest.mark.parametrize("lines, expected", [
    (["mv d e", "mv h/x y", "mv e g", "mv h e"], ["d/ > e/", "h/x > y", "e/ > g/", "h/ > e/"]),
    (["mkdir e", "mv h/x y", "rmdir e", "mv h e"], [{"e": WHOLE}, "h/x > y", {"e": PLACE}, "h/ > e/"]),
    (["mv d t", "write h/x", "mv h/x h/y", "mv h d", "mv t h"], ["d/ > t/", {"h/x": FRESH}, "h/x > h/y", "h/ > d/", "t/ > h/"]),
    (["mv d/s s", "mv d/x d/y", "mv d e", "mv s d"], ["d/s/ > s/", "d/x > d/y", "d/ > e/", "s/ > d/"]),
    (["mv d h/d", "mv h/d/x h/x2", "mv h m", "mv m/d d", "mv d/s m/s"],
     ["d/ > h/d/", "h/d/x > h/x2", "h/ > m/", "m/d/ > d/", "d/s/ > m/s/"]),
])
def test_moves_have_the_paths_of_that_time(moving, lines, expected):
    """Whatever a look at the disk finds now: an event is told with the path that it had."""
    tree = moving(b"d/s", b"h")
    for name in "d/x", "d/s/x", "h/x":
        write("src/" + name)
    tree.read()
    do(*lines)
    assert [step if isinstance(step, str) else {path: marks & ~FRESH if marks & WHOLE else marks for path, marks in step.items()}
            for step in short(tree)] == expected
    assert everything_is_watched(tree)


# ---- ... and what they are good for: a copy that is made equal

class Copy:
    """What a target holds, {path: (kind, content)}; renames are done on it, the rest is queued and taken from the source in the end.

    root: the source; wanted(path): tells whether a relative path is mirrored.
    """

    def __init__(self, root, wanted):
        self.root, self.wanted, self.queue, self.moves = root, wanted, Queue(), 0
        self.tree = real(wanted)

    def take(self, steps):
        for step in steps:
            if isinstance(step, Move):
                self.move(*(path[len(self.root) + 1:] for path in step[:2]), step.is_dir)
                continue
            for directory, names in step.items():
                for name, (marks, _is_dir) in names.items():
                    self.add(os.path.join(directory[len(self.root) + 1:], name), marks)

    def add(self, path, marks):
        path = path.rstrip(b"/")
        if self.wanted(path):
            self.queue.add(path, marks, 0)

    def move(self, origin, place, is_dir):
        marks = self.queue.covering(origin)
        if marks is not None and marks & (WHOLE | FRESH) or not self.wanted(origin) or not self.wanted(place):
            self.add(origin, PLACE)
            self.add(place, WHOLE | FRESH if is_dir else FRESH)
            return
        self.queue.graft(origin, place)
        if not self.rename(origin, place):
            self.add(origin, WHOLE | FRESH)
            self.add(place, WHOLE | FRESH)

    def under(self, path):
        return [name for name in self.tree if name == path or name.startswith(path + b"/")]

    def is_dir(self, path):
        return not path or self.tree.get(path, "?")[0] == "d"

    def rename(self, origin, place):
        """Do what rename(2) would do; tell whether it did."""
        there = self.tree.get(place)
        if (origin not in self.tree or not self.is_dir(os.path.dirname(place)) or (place + b"/").startswith(origin + b"/")
                or there and (there[0] == "d") != (self.tree[origin][0] == "d") or len(self.under(place)) > 1):
            return False
        self.tree.pop(place, None)
        self.tree.update({place + name[len(origin):]: self.tree.pop(name) for name in self.under(origin)})
        self.moves += 1
        return True

    def made_equal(self):
        """Make equal what is queued, and return what the tree is then."""
        source = real(self.wanted)
        for path, marks in self.queue.take():
            names = path.split(b"/")
            parents = [b"/".join(names[:depth]) for depth in range(1, len(names))]
            standing = next((parent for parent in parents if source.get(parent, "?")[0] != "d"), path)
            for parent in parents:  # as rsync makes them, of whatever there was
                if parent in source and source[parent][0] == "d" and not self.is_dir(parent):
                    self.put(parent, source)
            if standing == path and marks & WHOLE and path in source:
                for name in self.under(path):
                    del self.tree[name]
                self.tree.update({name: source[name] for name in source if name == path or name.startswith(path + b"/")})
            elif path:
                self.put(standing, source, marks & FRESH)
        return self.tree

    def put(self, path, source, fresh=False):
        """Make a place equal, without what is in it; other content only where it is said to be fresh."""
        here, there = source.get(path), self.tree.get(path)
        if here and there and here[0] == there[0] and (here[0] == "d" or not fresh):
            return
        for name in self.under(path):
            del self.tree[name]
        if here:
            self.tree[path] = here


def real(wanted):
    """Return {path in src: (kind, content)} of what is mirrored."""
    found = {}
    for directory, names, files in os.walk(b"src"):
        for name in names + files:
            path = os.path.join(directory, name)
            if not wanted(path[4:]):
                continue
            if os.path.islink(path):
                found[path[4:]] = "l", os.readlink(path)
            elif os.path.isdir(path):
                found[path[4:]] = "d", None
            else:
                with open(path, "rb") as file:
                    found[path[4:]] = "f", file.read()
    return found


class Hand:
    """Somebody who does things in src, renames above all."""

    def __init__(self, rnd):
        self.rnd, self.number, self.open = rnd, 0, []

    def existing(self):
        return [os.path.join(directory, name) for directory, names, files in os.walk(b"src") for name in names + files] or [b"src/none"]

    def fresh(self):
        self.number += 1
        return b"%d" % self.number

    def act(self, building=False):
        """Do something; what is not possible just now is nothing."""
        rnd, existing = self.rnd, self.existing()
        inside = rnd.choice([b"src"] + [path for path in existing if os.path.isdir(path) and not os.path.islink(path)])
        some, place = rnd.choice(existing), os.path.join(inside, rnd.choice([b"a", b"b", b"c", b"d", b"no"]))
        outside = b"out/%d" % rnd.randrange(3)
        builds = [lambda: os.mkdir(place), lambda: self.write(place, "wb")]
        action = rnd.choice(builds * 3 if building else [lambda: os.rename(some, place)] * 20 + builds * 2 + [
            lambda: self.write(some, "ab"), lambda: (os.rmdir if os.path.isdir(some) else os.unlink)(some), lambda: shutil.rmtree(some),
            lambda: os.rename(some, outside), lambda: os.rename(outside, place), lambda: os.rename(some, outside) or os.rename(outside, place),
            lambda: os.symlink(self.fresh(), place), lambda: self.link(some, place), lambda: self.open.append(open(place, "xb", 0)), self.close,
            lambda: os.chmod(some, rnd.choice([0o700, 0o755])), lambda: self.inside(outside), lambda: self.swap(some, place)])
        os.chmod("src", 0o755)  # an event: the kernel would take a second MOVED_TO with the same name for the first
        try:
            action()
        except (OSError, IndexError):
            pass  # not possible just now

    def write(self, path, mode):
        if os.path.exists(path) and os.stat(path).st_nlink > 1:
            return  # nobody tells that another name has changed, too
        with open(path, mode) as file:
            file.write(self.fresh())

    def link(self, path, place):
        if not self.open:
            os.link(path, place)

    def close(self):
        if self.open:
            file = self.open.pop(self.rnd.randrange(len(self.open)))
            file.write(self.fresh())
            file.close()

    def swap(self, one, other):
        os.rename(one, b"src/t")
        os.rename(other, one)
        os.rename(b"src/t", other)

    def inside(self, outside):
        """Rename something in a directory that lies outside, maybe since just now."""
        name = self.rnd.choice(os.listdir(outside))
        os.rename(os.path.join(outside, name), self.rnd.choice([outside + b"/z", b"src/z", b"src/a/z"]))


def play(watch, seed):
    """Let a hand act while what the tree tells is done to a copy; return what the copy is, and should be."""
    rnd = random.Random(seed)
    rules = rnd.random() < 0.3
    wanted = (lambda path: b"no" not in path.split(b"/")) if rules else lambda path: True
    hand = Hand(rnd)
    for _number in range(20):
        hand.act(True)
    tree = watch(mode=rnd.choice(["CloseWrite", "CloseWrite", "Modify"]), wants=wanted if rules else None)
    tree.tells_moves = True
    copy = Copy(tree.root, wanted)
    rarely = rnd.choice([0.05, 0.2, 0.6])
    for _number in range(rnd.choice([5, 20, 40])):
        hand.act()
        if rnd.random() < rarely:
            copy.take(tree.read())
    while hand.open:
        hand.close()
    for _number in range(4):  # what was in doubt is looked at again
        copy.take(tree.read())
    copy.take(tree.settle(float("inf")))
    return copy, wanted


@pytest.mark.parametrize("seed", range(80))
def test_told_moves_and_changes_make_a_copy_equal(watch, seed):
    copy, wanted = play(watch, seed)
    expected, found = real(wanted), copy.made_equal()
    assert {path: (found.get(path), expected.get(path)) for path in {*found, *expected} if found.get(path) != expected.get(path)} == {}


def test_renames_are_told_as_moves_often_enough_to_be_worth_it(watch):
    assert sum(play(watch, seed)[0].moves for seed in range(10)) > 10


# ---- when something is wrong -------------------------------------------------------------------

@pytest.mark.parametrize("lose", [lambda: os.rename("src", "gone"), lambda: shutil.rmtree("src")])
def test_a_root_that_vanishes_is_noticed(watch, lose):
    tree = watch(b"d")
    assert not tree.lost
    lose()
    tree.read()
    assert tree.lost


@pytest.mark.parametrize("mask, lost", [(IN_UNMOUNT, True), (IN_IGNORED, True), (IN_DELETE_SELF, True), (IN_MOVE_SELF, True), (IN_ATTRIB, False)])
def test_events_that_mean_that_the_root_is_lost(watch, mask, lost):
    tree = watch()
    tree.translate([(wd_of(tree), mask, 0, b"")])
    assert tree.lost is lost


def test_a_root_that_is_missing_or_no_directory_cannot_be_watched(here):
    write("file")
    os.symlink("src", "link")
    for name, number in (b"/missing", errno.ENOENT), (b"/file", errno.ENOTDIR), (b"/link", errno.ENOTDIR):
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError) as caught:
            Tree(here + name, "CloseWrite")
        assert caught.value.errno in (number, errno.ELOOP) and len(os.listdir("/proc/self/fd")) == before


def test_an_overflow_is_noticed_and_a_rescan_finds_what_was_not_told(watch):
    tree = watch(b"a/b", b"c/d", b"e")
    assert tree.translate([(-1, IN_Q_OVERFLOW, 0, b"")]) == [] and tree.overflowed
    os.rename("src/a", "src/z")
    os.makedirs("src/c/n/m")
    shutil.rmtree("src/e")
    os.rename("src/c/d", "out/d")
    with pytest.raises(BlockingIOError):
        while True:
            os.read(tree.fd, 65536)
    tree.rescan()
    assert not tree.overflowed and len(tree) == 6
    assert everything_is_watched(tree)
    write("out/d/f")
    assert tree.read() == []


def test_an_overflow_beside_other_events_keeps_them(watch):
    tree = watch()
    wd = wd_of(tree)
    changes = tree.translate([(wd, IN_CLOSE_WRITE, 0, b"a"), (-1, IN_Q_OVERFLOW, 0, b""), (wd, IN_DELETE, 0, b"b")])
    assert set(told(tree, changes)) == {b"a", b"b"} and tree.overflowed


@pytest.fixture
def limited(monkeypatch):
    """Let `watches["left"]` new watches be, as fs.inotify.max_user_watches does; None: as many as you like."""
    add, known, watches = Inotify.add, set(), {"left": None, "error": errno.ENOSPC}

    def limited_add(self, path, mask):
        wd = add(self, path, mask)
        if wd not in known and watches["left"] is not None:
            if watches["left"] <= 0:
                self.remove(wd)
                raise OSError(watches["error"], os.strerror(watches["error"]))
            watches["left"] -= 1
        known.add(wd)
        return wd

    monkeypatch.setattr(Inotify, "add", limited_add)
    return watches


def test_directories_without_a_watch_are_counted_and_found_again(watch, limited):
    limited["left"] = 3
    tree = watch(b"a/b/c", b"a/d", b"e/f")
    assert (len(tree), tree.unwatched) == (3, 4) and tree.notes == []  # each is missed, below others too
    tree.rescan()
    assert (len(tree), tree.unwatched) == (3, 4)
    limited["left"] = None
    tree.rescan()
    assert (len(tree), tree.unwatched) == (7, 0)
    assert everything_is_watched(tree)


def test_a_new_directory_without_a_watch_is_counted_and_still_told(watch, limited):
    tree = watch(b"a")
    limited["left"] = 0
    os.mkdir("src/n")
    assert told(tree)[b"n"][0] & WHOLE and tree.unwatched == 1


def test_a_root_without_a_watch_is_an_error(watch, limited):
    limited["left"] = 0
    with pytest.raises(OSError) as caught:
        watch()
    assert caught.value.errno == errno.ENOSPC


def test_a_directory_that_may_not_be_read_is_noted_in_one_line_and_watched_when_it_may(watch, limited):
    os.mkdir(b"src/a\n\x1b")
    limited.update(left=1, error=errno.EACCES)
    tree = watch()
    ((category, words),) = tree.notes
    assert category == "Error" and words.isprintable() and "a\\n\\x1b: " + os.strerror(errno.EACCES) in words and tree.unwatched == 0
    limited["left"] = None
    os.chmod(b"src/a\n\x1b", 0o700)
    assert told(tree)[b"a\n\x1b"][0] & WHOLE and len(tree) == 2


def test_a_directory_that_has_gone_before_it_could_be_watched_is_no_trouble(watch):
    tree = watch(b"a")
    os.mkdir("src/n")
    os.rmdir("src/n")
    assert paths(tree) == {b"n"} and tree.notes == [] and tree.unwatched == 0 and len(tree) == 2


# ---- events made by hand -----------------------------------------------------------------------

@pytest.mark.parametrize("events, expected", [
    ([], {}),
    ([(999, IN_CLOSE_WRITE, 0, b"f"), (-1, IN_IGNORED, 0, b"")], {}),                                     # a wd that is not known
    ([("root", IN_CLOSE_WRITE, 0, b"f")], {b"f": (FRESH, False)}),
    ([("root", IN_ATTRIB, 0, b"f"), ("root", IN_CLOSE_WRITE, 0, b"f"), ("root", IN_ATTRIB, 0, b"f")], {b"f": (FRESH, False)}),
    ([("root", IN_ATTRIB, 0, b"f")], {b"f": (PLACE, False)}),
    ([("root", IN_CREATE, 0, b"f")], {}),                                                                # gone when it is looked at
    ([("root", IN_CREATE, 0, b"f"), ("root", IN_DELETE, 0, b"f")], {b"f": (PLACE, False)}),
    ([("root", IN_CREATE, 0, b"f"), ("root", IN_ATTRIB, 0, b"f"), ("root", IN_CLOSE_WRITE, 0, b"f")], {b"f": (FRESH, False)}),
    ([("root", IN_MOVED_FROM, 7, b"f"), ("root", IN_MOVED_TO, 7, b"g")], {b"f": (PLACE, False), b"g": (FRESH, False)}),
    ([("root", IN_DELETE | IN_ISDIR, 0, b"x")], {b"x": (PLACE, True)}),
    ([("root", IN_ATTRIB | IN_ISDIR, 0, b"d")], {b"d": (PLACE, True)}),
    ([("root", IN_ATTRIB, 0, b"")], {b"": (PLACE, True)}),
    ([("d", IN_ATTRIB, 0, b"")], {}),                                                                    # its parent tells that
    ([("d", IN_DELETE_SELF, 0, b"")], {}),
    ([("d", IN_CLOSE_WRITE, 0, b"f"), ("root", IN_CLOSE_WRITE, 0, b"f")], {b"d/f": (FRESH, False), b"f": (FRESH, False)}),
    ([("d", IN_CLOSE_WRITE, 0, b"f"), ("d", IN_IGNORED, 0, b"")], {}),                                    # its place tells more
])
def test_translate(watch, events, expected):
    tree = watch(b"d")
    wds = {"root": wd_of(tree), "d": wd_of(tree, b"d")}
    assert told(tree, tree.translate([(wds.get(wd, wd), *rest) for wd, *rest in events])) == expected


def test_a_directory_that_is_not_watched_any_more_has_no_path(watch):
    tree = watch(b"d/e")
    below, wd = wd_of(tree, b"d/e"), wd_of(tree, b"d")
    tree.translate([(wd, IN_IGNORED, 0, b"")])
    assert tree.path(wd) is None and tree.path(below) is None and tree.path(12345) is None and len(tree) == 2


def test_an_unmounted_directory_below_is_noted(watch):
    tree = watch(b"d")
    tree.translate([(wd_of(tree, b"d"), IN_UNMOUNT, 0, b"")])
    assert not tree.lost and [category for category, _words in tree.notes] == ["Warn"]
