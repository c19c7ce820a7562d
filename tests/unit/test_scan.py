"""Changes that are found without events: by a Scan, a Polled root, and the Tops of a tree with too few watches."""

import errno
import os
import random
import shutil
import stat
import time

import pytest

from lsyncd_lite.mirror.change import FRESH, PLACE, WHOLE
from lsyncd_lite.mirror.events import Kind
from lsyncd_lite.paths import below, join
from lsyncd_lite.watch import limits, scan as scans
from lsyncd_lite.watch.inotify import Inotify
from lsyncd_lite.watch.polled import Polled
from lsyncd_lite.watch.scan import Scan, denied
from lsyncd_lite.watch.tree import Tree

OLD = time.time_ns() - 10**12


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("src")
    return os.fsencode(os.getcwd()) + b"/src"


def look(scan, root):
    """Look once; return what is told."""
    for _piece in scan.look(lambda: root):
        pass
    return scan.take()


def told(steps, root):
    """Return {relative path: (marks, is_dir)}."""
    return {below(join(directory, name), root): change for step in steps if isinstance(step, dict)
            for directory, names in step.items() for name, change in names.items()}


def kinds(steps, root):
    return [(step.kind, below(step.path, root)) for step in steps if not isinstance(step, dict)]


@pytest.fixture
def scan(here):
    """A Scan of src that has seen what is there, and for which everything is old."""
    def start(tells_kinds=False, wants=None):
        one = Scan(wants)
        one.tells_kinds = tells_kinds
        assert look(one, here) == [] and one.recorded
        settle(one, here)
        return one
    return start


def settle(one, root):
    """Let nothing that was seen be too new to be sure of it."""
    one._ahead = 1 << 62  # the clock of the file system is far ahead: all is long ago
    for _turn in range(2):
        look(one, root)


def write(path, text="x", mode="w"):
    with open(path, mode) as file:
        file.write(text)


# ---- what is told ------------------------------------------------------------------------------

def test_nothing_happened_is_nothing_told(here, scan):
    os.makedirs("src/d/e")
    write("src/d/f")
    one = scan()
    assert look(one, here) == [] and len(one) == 3


def rewrite_in_place():
    facts = os.stat("src/f")
    write("src/f", "y")
    os.utime("src/f", ns=(facts.st_atime_ns, facts.st_mtime_ns))


def replace(old, new):
    if os.path.isdir(old) and not os.path.islink(old):
        shutil.rmtree(old)
    else:
        os.unlink(old)
    new()


@pytest.mark.parametrize("change, places, events", [
    (lambda: write("src/n"), {b"n": (FRESH, False)}, [(Kind.CREATE, b"n")]),
    (lambda: write("src/f", "longer"), {b"f": (FRESH, False)}, [(Kind.MODIFY, b"f")]),
    (rewrite_in_place, {b"f": (FRESH, False)}, [(Kind.MODIFY, b"f")]),
    (lambda: os.chmod("src/f", 0o600), {b"f": (PLACE, False)}, [(Kind.ATTRIB, b"f")]),
    (lambda: os.utime("src/f", ns=(1, 1)), {b"f": (FRESH, False)}, [(Kind.MODIFY, b"f")]),
    (lambda: os.unlink("src/f"), {b"f": (PLACE, False)}, [(Kind.DELETE, b"f")]),
    (lambda: os.rename("src/f", "src/g"), {b"f": (PLACE, False), b"g": (FRESH, False)}, [(Kind.DELETE, b"f"), (Kind.CREATE, b"g")]),
    (lambda: os.rename("src/d/x", "src/f"), {b"d": (PLACE, True), b"d/x": (PLACE, False), b"f": (FRESH, False)}, [(Kind.DELETE, b"d/x"), (Kind.MODIFY, b"f")]),
    (lambda: os.symlink("f", "src/l"), {b"l": (FRESH, False)}, [(Kind.CREATE, b"l")]),
    (lambda: os.mkdir("src/n"), {b"n": (WHOLE, True)}, [(Kind.CREATE, b"n")]),
    (lambda: shutil.copytree("src/d", "src/n"), {b"n": (WHOLE, True)}, [(Kind.CREATE, b"n")]),
    (lambda: os.chmod("src/d", 0o711), {b"d": (PLACE, True)}, [(Kind.ATTRIB, b"d")]),
    (lambda: os.utime("src/d", ns=(1, 1)), {b"d": (PLACE, True)}, []),
    (lambda: os.chmod("src", 0o711), {b"": (PLACE, True)}, [(Kind.ATTRIB, b"")]),
    (lambda: shutil.rmtree("src/d"), {b"d": (PLACE, True)}, [(Kind.DELETE, b"d")]),
    (lambda: os.rename("src/d", "src/e"), {b"d": (PLACE, True), b"e": (WHOLE, True)}, [(Kind.DELETE, b"d"), (Kind.CREATE, b"e")]),
    (lambda: replace("src/d", lambda: write("src/d")), {b"d": (FRESH, None)}, [(Kind.DELETE, b"d"), (Kind.CREATE, b"d")]),
    (lambda: replace("src/d", lambda: os.symlink("f", "src/d")), {b"d": (FRESH, None)}, [(Kind.DELETE, b"d"), (Kind.CREATE, b"d")]),
    (lambda: replace("src/f", lambda: os.mkdir("src/f")), {b"f": (WHOLE | FRESH, None)}, [(Kind.DELETE, b"f"), (Kind.CREATE, b"f")]),
    (lambda: (os.rename("src/d", "src/old"), os.rename("src/e", "src/d")), {b"d": (WHOLE | FRESH, True), b"e": (PLACE, True), b"old": (WHOLE, True)},
     [(Kind.DELETE, b"d"), (Kind.DELETE, b"e"), (Kind.CREATE, b"d"), (Kind.CREATE, b"old")]),
])
def test_every_kind_of_change_is_told_once(change, places, events, here, scan):
    os.makedirs("src/d/sub")
    write("src/d/x")
    write("src/f")
    if "src/e" in str(change.__code__.co_consts) and b"old" in places:
        os.mkdir("src/e")
    one = scan(True)
    os.chmod("src", stat.S_IMODE(os.stat("src").st_mode))
    change()
    steps = look(one, here)
    found = told(steps, here)
    if b"" not in places:
        found.pop(b"", None)  # its time
    assert found == places
    assert sorted(kinds(steps, here), key=str) == sorted(events, key=str)
    assert look(one, here) == []


def test_what_is_new_is_told_when_all_of_it_was_seen(here, scan):
    one = scan()
    os.makedirs("src/n/m/o")
    steps, pieces = [], one.look(lambda: here)
    for _piece in pieces:
        if one.take():
            steps.append(len(one))
    steps += [step for step in one.take()]
    assert len(one) == 4 and told(steps[-1:], here) == {b"n": (WHOLE, True)}
    write("src/n/m/o/late")  # after it was seen, and told of
    assert told(look(one, here), here)[b"n/m/o/late"] == (FRESH, False)


def test_what_changes_while_the_first_look_runs_is_told_by_the_next_if_it_was_seen_before(here):
    for number in range(20):
        os.makedirs("src/d%02d" % number)
        write("src/d%02d/f" % number)
    one = Scan()
    seen, pieces = set(), one.look(lambda: here)
    for _piece in pieces:
        for directory in set(one._directories) - seen:
            seen.add(directory)
            if directory:
                write(b"src/" + directory + b"/f", "another")
    assert one.recorded and len(seen) == 21
    assert {b"d%02d/f" % number for number in range(20)} <= set(told(look(one, here), here))


def test_excluded_directories_are_not_looked_into(here, scan):
    os.makedirs("src/no/sub")
    os.makedirs("src/yes")
    one = scan(wants=lambda path: not path.endswith(b"/no"))
    write("src/no/f")
    write("src/yes/f")
    assert {b"no/f", b"no/sub"}.isdisjoint(told(look(one, here), here)) and len(one) == 2


def test_links_are_never_followed(here, scan, tmp_path):
    (tmp_path / "out").mkdir()
    os.symlink("../out", "src/l")
    one = scan()
    write("out/f")
    assert told(look(one, here), here) == {} and len(one) == 1


@pytest.mark.parametrize("name", [b"a b", b"\n", b"\xff\xfe", b"x" * 255, b"-", b"\\", b"\xc3\xa9"])
def test_names_are_bytes(name, here, scan):
    one = scan()
    write(b"src/" + name)
    assert told(look(one, here), here)[name] == (FRESH, False)
    os.unlink(b"src/" + name)
    assert told(look(one, here), here)[name] == (PLACE, False)


# ---- what was seen too early -------------------------------------------------------------------

def test_a_file_that_can_have_changed_again_at_the_same_time_is_told_again_once(here, scan):
    write("src/f")
    one = scan(True)
    write("src/f", "y")
    one._ahead = os.stat("src/f").st_ctime_ns - time.monotonic_ns()  # it changed this very moment
    assert told(look(one, here), here)[b"f"] == (FRESH, False)
    steps = look(one, here)
    assert told(steps, here) == {b"f": (FRESH, False)} and kinds(steps, here) == []  # that it happened was told, or will be
    one._ahead = 1 << 62
    look(one, here)
    assert look(one, here) == []


def test_a_file_that_may_have_changed_at_the_same_time_is_not_told_as_attributes_only(here, scan):
    one = scan()
    write("src/f", "y")
    one._ahead = os.stat("src/f").st_ctime_ns - time.monotonic_ns()
    look(one, here)
    os.chmod("src/f", 0o600)
    assert told(look(one, here), here)[b"f"] == (FRESH, False)


def test_no_clock_but_that_of_the_file_system_counts(here, monkeypatch):
    """Whatever our clock says, what is long before the newest time that was seen is told once."""
    for number in range(50):
        write("src/f%02d" % number)
        time.sleep(0.002)
    one = Scan()
    real = time.monotonic_ns
    monkeypatch.setattr(scans.time, "monotonic_ns", lambda: real() + 10**17)
    look(one, here)
    time.sleep(0.03)
    again = told(look(one, here), here)
    assert 0 < len(again) < 40
    assert look(one, here) == []


def test_a_file_that_is_being_written_is_told_of_when_it_rests(here, scan, monkeypatch):
    one = scan(True)
    one._ahead = os.stat("src").st_ctime_ns - time.monotonic_ns()
    write("src/f")
    assert kinds(look(one, here), here) == [] and one.has_unclosed
    one.settle(here)
    assert one.take() == []  # not long enough
    write("src/f", "longer")
    monkeypatch.setattr(scans, "_SAME", 0.0)
    one.settle(here)
    assert kinds(one.take(), here) == []  # it has another look
    one.settle(here)
    steps = one.take()
    assert kinds(steps, here) == [(Kind.CREATE, b"f")] and told(steps, here) == {b"f": (FRESH, False)} and not one.has_unclosed
    assert kinds(look(one, here), here) == []


def test_a_file_that_goes_before_it_was_told_of_is_not_told_of(here, scan):
    one = scan(True)
    one._ahead = os.stat("src").st_ctime_ns - time.monotonic_ns()
    write("src/f")
    write("src/g")
    look(one, here)
    os.unlink("src/f")
    one.settle(here, True)
    assert kinds(one.take(), here) == [(Kind.CREATE, b"g")]
    assert kinds(look(one, here), here) == [] and not one.has_unclosed


# ---- nothing is concluded ----------------------------------------------------------------------

@pytest.fixture
def unreadable(monkeypatch):
    """Directories that cannot be opened: root may read all that has a mode."""
    names, real = {}, os.open

    def refuse(path, *args, **more):
        number = names.get(os.path.basename(path))
        if number:
            raise OSError(number, os.strerror(number))
        return real(path, *args, **more)

    monkeypatch.setattr(os, "open", refuse)
    return names


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_a_directory_that_cannot_be_read_is_as_it_was(number, here, scan, unreadable):
    os.makedirs("src/d/e")
    write("src/d/e/f")
    one = scan()
    unreadable[b"d"] = number
    os.unlink("src/d/e/f")
    assert told(look(one, here), here) == {} and one.denied == [(here + b"/d", os.strerror(number))] and not one.lost
    del unreadable[b"d"]
    assert told(look(one, here), here) == {b"d/e": (PLACE, True), b"d/e/f": (PLACE, False)} and one.denied == []


def test_a_directory_that_can_be_read_at_last_is_told_as_a_whole(here, scan, unreadable):
    os.makedirs("src/d/e")
    unreadable[b"d"] = errno.EACCES
    one = scan()
    os.mkdir("src/n")
    unreadable[b"n"] = errno.EACCES
    assert told(look(one, here), here)[b"n"] == (WHOLE, True)
    assert told(look(one, here), here) == {}
    unreadable.clear()
    assert told(look(one, here), here) == {b"d": (WHOLE | FRESH, True), b"n": (WHOLE | FRESH, True)}
    assert look(one, here) == []


def test_a_root_that_is_gone_or_another_is_lost_and_nothing_is_deleted(here):
    write("src/f")
    for replaced in (False, True):
        one = Scan()
        look(one, here)
        os.rename("src", "away%d" % replaced)
        if replaced:
            os.mkdir("src")
        assert look(one, here) == [] and one.lost
        if not replaced:
            os.rename("away0", "src")


def test_a_root_that_is_replaced_between_two_calls_is_lost(here, scan, monkeypatch):
    write("src/f")
    one = scan()
    real = os.lstat

    def lstat(path, **more):
        facts = real(path, **more)
        if path == here:
            os.rename("src", "away")
            os.mkdir("src")
        return facts

    monkeypatch.setattr(os, "lstat", lstat)
    assert look(one, here) == [] and one.lost


def test_a_directory_that_is_replaced_by_a_link_during_a_look_is_not_followed(here, scan, tmp_path):
    os.makedirs("src/d")
    write("src/d/f")
    (tmp_path / "out").mkdir()
    one = scan()
    pieces = one.look(lambda: here)
    next(pieces)  # the root
    os.rename("src/d", "d")
    os.symlink("../out", "src/d")
    for _piece in pieces:
        pass
    assert one.take() == [] and one.denied == []
    assert told(look(one, here), here)[b"d"] == (FRESH, None)


def test_the_words_for_many_directories_are_one_line():
    assert denied([(b"/a\n", "no")]) == "/a\\n: no"
    assert denied([(b"/a", "no"), (b"/b", "no")]) == "/a: no (and 1 more directory)"
    assert denied([(b"/a", "no")] * 3) == "/a: no (and 2 more directories)"


# ---- a model -----------------------------------------------------------------------------------

def picture():
    """Return {path: what a mirror has of it} of src."""
    found = {}
    for directory, dirs, files in os.walk(b"src"):
        for name in dirs + files:
            path = os.path.join(directory, name)
            facts = os.lstat(path)
            kind = stat.S_IFMT(facts.st_mode)
            content = os.readlink(path) if kind == stat.S_IFLNK else open(path, "rb").read() if kind == stat.S_IFREG else None
            found[path[4:]] = kind, stat.S_IMODE(facts.st_mode), content, None if kind == stat.S_IFDIR else facts.st_mtime_ns
    return found


def mirror(copy, now, places):
    """Make the told places of a copy equal."""
    for path, (marks, _is_dir) in places.items():
        for other in list(copy) if path else ():
            inside = below(b"/" + other, b"/" + path)
            if inside == b"" or inside and (marks & WHOLE or path not in now or now[path][0] != stat.S_IFDIR):
                del copy[other]
        for other, entry in now.items():
            inside = below(b"/" + other, b"/" + path)
            if inside == b"" or inside and marks & WHOLE:
                copy[other] = entry


def one_change(chance):
    """Change something at random."""
    places = [b"src"] + [b"src/" + path for path, entry in picture().items() if entry[0] == stat.S_IFDIR]
    directory = chance.choice(places)
    path = directory + b"/" + chance.choice([b"a", b"b", b"c", b"d"])
    other = chance.choice(places) + b"/" + chance.choice([b"a", b"b", b"c", b"d"])
    try:
        what = chance.randrange(9)
        if what == 0:
            os.mkdir(path)
        elif what in (1, 2):
            write(path, str(chance.random()), chance.choice("wa"))
        elif what == 3:
            os.unlink(path)
        elif what == 4:
            shutil.rmtree(path)
        elif what in (5, 6):
            os.rename(path, other)
        elif what == 7:
            os.chmod(path, chance.choice([0o700, 0o755, 0o711]))
        else:
            os.symlink(b"a", path)
    except OSError:
        pass


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_what_is_told_makes_a_copy_equal(seed, here):
    chance = random.Random(seed)
    for _number in range(40):
        one_change(chance)
    one = Scan()
    look(one, here)
    copy = picture()
    for turn in range(60):
        for _number in range(chance.randrange(6)):
            one_change(chance)
        now = picture()
        mirror(copy, now, told(look(one, here), here))
        assert copy == now, turn
    assert len(one) == 1 + sum(entry[0] == stat.S_IFDIR for entry in now.values())  # nothing of what has gone is kept


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_while_it_looks_is_told_by_the_next_look(seed, here):
    chance = random.Random(seed)
    for _number in range(60):
        one_change(chance)
    one = Scan()
    look(one, here)
    copy = picture()
    for turn in range(30):
        for _piece in one.look(lambda: here):
            if chance.random() < 0.5:
                one_change(chance)
            mirror(copy, picture(), told(one.take(), here))
        now = picture()
        mirror(copy, now, told(one.take(), here))
        mirror(copy, now, told(look(one, here), here))
        assert copy == now, turn


# ---- a polled root -----------------------------------------------------------------------------

def run(tree):
    steps = []
    while True:
        found, ended = tree.step(0.0, lambda: 1.0)  # the smallest pieces
        steps += found
        if ended:
            return steps


def test_a_polled_root_works_in_pieces(here):
    for number in range(30):
        os.mkdir("src/d%02d" % number)
    tree = Polled(here)
    pieces = 0
    while not tree.step(0.0, lambda: 1.0)[1]:
        pieces += 1
        assert not tree.recorded and tree.hurries
    assert pieces == 31 and tree.recorded and not tree.hurries and tree.polled == 31 and tree.watched == tree.unwatched == 0


def test_a_large_directory_is_looked_at_in_pieces(here):
    for number in range(1100):
        open("src/%d" % number, "w").close()
    tree, pieces = Polled(here), 0
    while not tree.step(0.0, lambda: 1.0)[1]:
        pieces += 1
    assert pieces == 3


def test_a_scan_that_is_given_up_leaves_nothing_open(here):
    for number in range(1100):
        open("src/%d" % number, "w").close()
    before = len(os.listdir("/proc/self/fd"))
    tree = Polled(here)
    tree.step(0.0, lambda: 1.0)
    assert len(os.listdir("/proc/self/fd")) > before
    tree.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_cannot_be_read_is_told_in_one_line_until_it_is_something_else(here, unreadable):
    for name in "abc":
        os.mkdir("src/" + name)
        unreadable[name.encode()] = errno.EACCES
    tree = Polled(here)
    for _turn in range(2):
        run(tree)
    ((category, words),) = tree.notes
    assert category == "Error" and words.startswith("cannot read " + os.fsdecode(here)) and "(and 2 more directories)" in words
    tree.notes.clear()
    del unreadable[b"a"]
    run(tree)
    assert len(tree.notes) == 1


def test_a_polled_root_that_is_no_directory_is_an_error(here):
    write("src/f")
    for name in (b"/f", b"/missing"):
        with pytest.raises(OSError):
            Polled(here + name)


# ---- a tree with too few watches ---------------------------------------------------------------

@pytest.fixture
def limited(monkeypatch):
    """Give inotify `left` more watches, then ENOSPC; what is watched may be asked for again."""
    watches, real, remove = {"left": 1 << 30}, Inotify.add, Inotify.remove
    known = {}

    def add(self, path, mask):
        wd = real(self, path, mask)
        mine = known.setdefault(id(self), set())
        if wd not in mine:
            if watches["left"] <= 0:
                remove(self, wd)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            watches["left"] -= 1
            mine.add(wd)
        return wd

    def give_back(self, wd):
        if wd in known.get(id(self), ()):
            known[id(self)].discard(wd)
            watches["left"] += 1
        remove(self, wd)

    monkeypatch.setattr(Inotify, "add", add)
    monkeypatch.setattr(Inotify, "remove", give_back)
    return watches


@pytest.fixture
def watch(here, limited):
    trees = []

    def start(left, *directories, kinds=False):
        for name in directories:
            os.makedirs("src/" + name, exist_ok=True)
        limited["left"] = left
        tree = Tree(here, "CloseWrite")
        tree.tells_kinds = kinds
        trees.append(tree)
        if tree.scans:
            assert not tree.recorded and run(tree) == []
        assert tree.recorded
        for top in tree._tops:
            settle(top.scan, tree._tops.where(top))
        return tree

    yield start
    for tree in trees:
        tree.close()


def test_only_the_topmost_directories_without_a_watch_are_known(watch):
    tree = watch(2, "a/b/c", "a/b/d", "a/e")
    assert (len(tree), tree.unwatched, tree.polled, len(tree._tops)) == (2, 4, 4, 2)


def test_what_changes_below_them_is_told_by_a_scan(here, watch):
    tree = watch(1, "a/b", "e")
    write("src/a/b/f")
    os.mkdir("src/e/n")
    assert tree.read() == []
    assert set(told(run(tree), here)) == {b"a/b", b"a/b/f", b"e/n"} and run(tree) == []


def test_they_follow_when_what_they_are_in_is_renamed(here, watch):
    tree = watch(2, "a/b/c")
    assert len(tree) == 2
    os.rename("src/a", "src/z")
    write("src/z/b/c/f")
    tree.read()
    assert told(run(tree), here)[b"z/b/c/f"] == (FRESH, False)


def test_they_follow_their_own_renames_and_keep_what_was_seen(here, watch):
    tree = watch(2, "a/b/c", "a/x")
    assert len(tree) == 2 and tree.unwatched == 3
    os.rename("src/a/b", "src/z")
    write("src/z/c/f")
    assert told(tree.read(), here)[b"z"] == (WHOLE, True)
    assert told(run(tree), here) == {b"z/c": (PLACE, True), b"z/c/f": (FRESH, False)} and tree.unwatched == 3


@pytest.mark.parametrize("go", [lambda: shutil.rmtree("src/a/b"), lambda: shutil.rmtree("src/a"), lambda: os.rename("src/a/b", "gone"),
                                lambda: os.rename("src/a", "gone")])
def test_they_are_forgotten_when_they_go(go, here, watch):
    tree = watch(2, "a/b/c")
    go()
    tree.read()
    steps = run(tree)
    assert tree.unwatched == 0 and not tree.scans and told(steps, here) == {} and tree.recorded


def test_a_new_one_is_told_again_once_it_was_seen(here, watch, limited):
    tree = watch(1, kinds=True)
    assert not tree.scans
    os.makedirs("src/n/m")
    first = told(tree.read(), here)
    assert first[b"n"][0] & WHOLE and tree.hurries and tree.recorded and tree.unwatched == 2
    steps = run(tree)
    assert told(steps, here) == {b"n": (WHOLE | FRESH, True)} and kinds(steps, here) == [(Kind.CREATE, b"n")]
    assert not tree.hurries and run(tree) == []


def test_one_that_is_replaced_is_another(here, watch):
    tree = watch(1, "a/b")
    shutil.rmtree("src/a")
    os.makedirs("src/a/c")
    tree.read()
    assert told(run(tree), here)[b"a"] == (WHOLE | FRESH, True) and tree.unwatched == 2


def test_all_is_watched_when_it_can_be_and_scanned_once_more(here, watch, limited):
    tree = watch(2, "a/b/c", "e/f")
    write("src/a/b/c/f")
    limited["left"] = 100
    steps = run(tree)
    assert b"a/b/c/f" in told(steps, here) and not tree.scans and (len(tree), tree.unwatched) == (6, 0)
    write("src/a/b/c/g")
    write("src/e/f/g")
    assert set(told(tree.read(), here)) == {b"a/b/c/g", b"e/f/g"}


def test_what_changes_between_the_last_scan_and_the_watches_is_told(here, watch, limited):
    tree = watch(1, "a/b")
    limited["left"] = 100
    tree.step(0.0, lambda: 1.0)  # watched, and not yet scanned again
    assert len(tree) == 3 and tree.unwatched == 0 and tree.scans
    write("src/a/b/f")
    assert b"a/b/f" in told(tree.read(), here)
    run(tree)
    assert not tree.scans


def test_what_is_renamed_before_it_was_scanned_once_more_is_told_as_a_whole(here, watch, limited):
    tree = watch(1, "a/b")
    tree.tells_moves = True
    write("src/a/b/f")
    limited["left"] = 100
    tree.step(0.0, lambda: 1.0)
    os.rename("src/a", "src/z")
    found = told(tree.read(), here)
    assert found[b"z"][0] & WHOLE and b"a" in found
    run(tree)
    assert not tree.scans


def doubt(tree, change):
    """Let the tree miss the events of a change in its root and list that again."""
    change()
    tree._inotify.read()
    tree._doubtful.add(tree._root_wd)
    return tree.read()


def test_what_is_found_without_an_event_and_without_a_watch_is_told(here, watch):
    tree = watch(1, "a/b")
    assert told(doubt(tree, lambda: os.makedirs("src/n/m")), here) == {b"n": (WHOLE | FRESH, True)} and tree.unwatched == 4
    assert doubt(tree, lambda: None) == []
    doubt(tree, lambda: shutil.rmtree("src/n"))
    assert tree.unwatched == 2


def test_what_is_found_with_a_watch_after_all_is_scanned_no_more(here, watch, limited):
    tree = watch(1, "a/b")
    limited["left"] = 100
    assert told(doubt(tree, lambda: None), here) == {b"a": (WHOLE | FRESH, True)}
    assert not tree.scans and (tree.unwatched, len(tree)) == (0, 3)


def test_half_of_a_directory_is_not_watched(here, watch, limited):
    tree = watch(1, "a/b/c", "a/d", "e")
    limited["left"] = 2
    assert run(tree) == [] and (tree.unwatched, len(tree), limited["left"]) in [(5, 1, 2), (4, 2, 1)]  # e may come first
    everything_is_told(tree, here)
    limited["left"] = 100
    run(tree)
    assert (tree.unwatched, len(tree)) == (0, 6)
    everything_is_told(tree, here)


def everything_is_told(tree, root):
    """See that a file in each directory is told of by events or a scan."""
    directories = [directory for directory, _names, _files in os.walk(b"src")]
    for directory in directories:
        write(os.path.join(directory, b"probe"))
    found = told(tree.read(), root)
    found.update(told(run(tree), root))
    assert {os.path.relpath(os.path.join(directory, b"probe"), b"src") for directory in directories} <= set(found)
    for directory in directories:
        os.unlink(os.path.join(directory, b"probe"))
    tree.read()
    run(tree)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_with_few_watches_a_copy_is_made_equal(seed, here, watch, limited):
    chance = random.Random(seed)
    for _number in range(60):
        one_change(chance)
    tree = watch(4)
    copy = picture()
    for turn in range(40):
        for _number in range(chance.randrange(6)):
            one_change(chance)
            if chance.random() < 0.3:
                mirror(copy, picture(), told(tree.read(), here))
            if chance.random() < 0.2:
                mirror(copy, picture(), told(tree.step(0.0, lambda: 1.0)[0], here))
        limited["left"] = max(0, limited["left"] + chance.randrange(-2, 3))
        for _look in range(2):
            steps = tree.read()
            mirror(copy, picture(), told(steps, here))
            if tree.overflowed:
                tree.rescan()
                copy = picture()
            mirror(copy, picture(), told(run(tree), here))
        mirror(copy, picture(), told(tree.settle(float("inf")), here))
        assert copy == picture(), turn
    directories = 1 + sum(entry[0] == stat.S_IFDIR for entry in copy.values())
    assert len(tree) + tree.unwatched == directories


# ---- limits ------------------------------------------------------------------------------------

@pytest.fixture
def sysctls(monkeypatch, tmp_path):
    """Let the limits be what the test says: {name: number}."""
    import builtins
    real, values = builtins.open, {}

    def fake(path, *args, **more):
        if isinstance(path, str) and path.startswith("/proc/sys/"):
            name = path[len("/proc/sys/"):].replace("/", ".")
            if name not in values:
                raise FileNotFoundError(errno.ENOENT, "no", path)
            (tmp_path / "sysctl").write_text("%d\n" % values[name])
            path = str(tmp_path / "sysctl")
        return real(path, *args, **more)

    monkeypatch.setattr(builtins, "open", fake)
    return values


def test_the_smaller_limit_counts_and_is_named(sysctls):
    assert limits.limit("watches") == (None, "fs.inotify.max_user_watches")
    sysctls["fs.inotify.max_user_watches"] = 100
    assert limits.limit("watches") == (100, "fs.inotify.max_user_watches")
    sysctls["user.max_inotify_watches"] = 60
    assert limits.too_few_watches(20, 55, b"/src\n") == (
        "cannot watch 20 of the 75 directories below /src\\n: user.max_inotify_watches is 60, at least 80 are needed: "
        "sysctl -w user.max_inotify_watches=101")


def test_a_limit_that_comes_near_is_told_once_until_the_watches_have_fallen(sysctls):
    sysctls["fs.inotify.max_user_watches"] = 100
    ceiling = limits.Ceiling()
    assert ceiling.words(1000) is None  # not known yet
    ceiling.read()
    assert [bool(ceiling.words(watched)) for watched in (80, 81, 90, 100, 80, 81)] == [False, True, False, False, False, True]
    sysctls["fs.inotify.max_user_watches"] = 1000
    ceiling.read()
    assert ceiling.words(90) is None
    assert "901 directories are watched and fs.inotify.max_user_watches is 1000" in ceiling.words(901)
    assert ceiling.words(1) is None
    sysctls["fs.inotify.max_user_watches"] = 2000  # raised since it was read
    assert ceiling.words(901) is None


@pytest.mark.parametrize("number, word", [(errno.EMFILE, "max_user_instances"), (errno.ENOSPC, "max_user_watches"), (errno.EACCES, None)])
def test_what_keeps_us_from_watching_anything_is_named(number, word, sysctls):
    words = limits.used_up(OSError(number, "x"))
    assert words is None if word is None else "sysctl -w fs.inotify.%s=" % word in words
