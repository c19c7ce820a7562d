"""The child of direct mode makes listed places of a target equal: run as the daemon runs it."""

import errno
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time

import pytest

from lsyncd_lite.mirror.change import FRESH, NEW, PLACE, WHOLE
from lsyncd_lite.system import equal as module

PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(module.__file__)))
CODE = "import sys; sys.path.insert(0, sys.argv.pop(1)); from lsyncd_lite.system.equal import main; sys.exit(main())"
PYTHON = os.environ.get("EQUAL_PYTHON", sys.executable)
OLD, NEWER = 1500000000123456789, 1600000000987654321
BUSYBOX = shutil.which("busybox")
CP = shutil.which("cp")

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can")


class World:
    """A source, a target, something outside of both, and the program between them."""

    def __init__(self, base):
        self.base = base
        self.source, self.target, self.outside = (os.path.join(base, name) for name in ("source", "target", "outside"))
        for directory in self.source, self.target, self.outside:
            os.mkdir(directory)
        write(os.path.join(self.outside, "precious"), "kept")
        self.precious = state(self.outside)
        self.prefix, self.environ, self.python = [], dict(os.environ), PYTHON

    def path(self, *commands):
        """Let the program find its commands in a directory of ours; return it."""
        directory = os.path.join(self.base, "bin")
        os.mkdir(directory)
        for name in commands:
            os.symlink(BUSYBOX, os.path.join(directory, name))
        self.environ["PATH"] = directory + os.pathsep + os.environ["PATH"]
        return directory

    def argv(self):
        return self.prefix + [self.python, "-I", "-S", "-c", CODE, PACKAGE]

    def feed(self, records, options="delete gnu", rules=(), source=None, target=None):
        fields = [source or self.source, target or self.target, options, str(len(rules)), *rules]
        for record in records:
            fields += record
        return b"".join(os.fsencode(str(field) if isinstance(field, int) else field) + b"\0" for field in fields)

    def equal(self, *records, **how):
        """Run it; return (exit status, its last line, what it says to people)."""
        child = subprocess.run(self.argv(), input=self.feed(records, **how), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=self.environ, timeout=60)
        out, err = os.fsdecode(child.stdout), os.fsdecode(child.stderr)
        out = "".join(line for line in out.splitlines(True) if not re.fullmatch(r"so far: \d+ \d+\n", line))
        assert "Traceback" not in err and out.count("\n") <= 1 and len(err.splitlines()) <= 21, err
        assert state(self.outside) == self.precious
        return child.returncode, out.rstrip("\n"), err

    def done(self, *records, **how):
        assert self.equal(*records, **how) == (0, "equal: done", "")

    def same(self):
        assert state(self.target) == state(self.source)
        assert not [name for name in os.listdir(self.target) if re.match(r"\.lsyncd-lite\.\d", name)]


def state(root):
    """Return all that is to be equal: {relative path: facts}."""
    found, pending = {}, [b""]
    root = os.fsencode(root)
    while pending:
        name = pending.pop()
        path = os.path.join(root, name) if name else root
        facts = os.lstat(path)
        what = None
        if stat.S_ISREG(facts.st_mode):
            with open(path, "rb") as file:
                what = file.read()
        elif stat.S_ISLNK(facts.st_mode):
            what = os.readlink(path)
        elif stat.S_ISDIR(facts.st_mode):
            pending += [os.path.join(name, child) for child in os.listdir(path)]
        extended = {} if stat.S_ISLNK(facts.st_mode) or not hasattr(os, "listxattr") else {key: os.getxattr(path, key) for key in os.listxattr(path)}
        found[name] = facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns, facts.st_rdev, what, extended
    return found


def write(path, text, ns=None):
    with open(path, "w") as file:
        file.write(text)
    if ns:
        os.utime(path, ns=(ns, ns))


def read(*path):
    with open(os.path.join(*path)) as file:
        return file.read()


def tree(root, *names):
    """Make directories ("d/"), symbolic links ("l -> text"), fifos ("f|") and files, whose text is their name."""
    for name in names:
        path = os.path.join(root, name.split(" -> ")[0].rstrip("/|"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if " -> " in name:
            os.symlink(name.split(" -> ")[1], path)
        elif name.endswith("/"):
            os.makedirs(path, exist_ok=True)
        elif name.endswith("|"):
            os.mkfifo(path)
        else:
            write(path, name)


def copy(world):
    """Make the target what the source is."""
    subprocess.run(["cp", "-a", world.source + "/.", world.target], check=True)
    world.same()


@pytest.fixture
def world(tmp_path):
    return World(str(tmp_path))


@pytest.fixture
def stranger():
    """A world of somebody who is not root."""
    base = tempfile.mkdtemp(prefix="equal-", dir="/tmp")
    found = World(base)
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("no setpriv to become somebody else")
        os.chmod(base, 0o755)
        for directory in base, found.source, found.target, found.outside:
            os.chown(directory, 65534, 65534)
        found.precious = state(found.outside)
        found.prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        found.python = "/usr/bin/python3" if PYTHON.startswith("/root") else PYTHON
        if subprocess.run(found.prefix + [found.python, "-c", ""], stderr=subprocess.DEVNULL).returncode:
            pytest.skip("no Python for somebody else")
    yield found
    subprocess.run(["chmod", "-R", "u+rwX", base])
    shutil.rmtree(base)


def give(world, *paths):
    """Give what is in the source and the target to the stranger."""
    if os.geteuid() == 0:
        subprocess.run(["chown", "-Rh", "65534:65534", world.source, world.target], check=True)


# The ways there are to put content in its place: whose cp, at once or aside.
WAYS = {"gnu": "delete gnu", "atomic": "delete gnu atomic", "busybox": "delete", "busybox-atomic": "delete atomic"}


@pytest.fixture(params=sorted(WAYS))
def way(request, world):
    """The options of one of the ways; with busybox its cp and rm are those of the world."""
    if "busybox" in request.param:
        if not BUSYBOX:
            pytest.skip("no busybox here")
        world.path("cp", "rm")
    return WAYS[request.param]


@pytest.fixture
def anyway(way, world):
    """Like world.done and world.same, in each of the ways."""
    def run(*records, **how):
        world.done(*records, options=way, **how)
        world.same()
    return run


# ---- what a place means

def test_a_whole_root_is_made_equal_from_nothing(world, anyway):
    tree(world.source, "a/b/c/file", "a/empty/", "top", "a/link -> ../top", "a/dangling -> nowhere", "fifo|", "a/.hidden", "a/b/absolute -> /etc")
    os.chmod(world.source + "/a/b", 0o2750)
    os.chmod(world.source + "/top", 0o4711)
    os.utime(world.source + "/a/b/c", ns=(OLD, OLD))
    os.utime(world.source, ns=(OLD, OLD))
    os.utime(world.source + "/a/link", ns=(OLD, OLD), follow_symlinks=False)
    os.chmod(world.source, 0o750)
    anyway(["p", WHOLE | NEW, ""])


def test_a_whole_root_removes_adds_and_replaces(world, anyway):
    tree(world.source, "same/file", "other/new", "kind/file", "dir/inner/x")
    copy(world)
    tree(world.target, "surplus/deep/file", "surplus/link -> " + world.outside, "other/old", "same/dead -> x", "dir/more/")
    shutil.rmtree(world.target + "/kind")
    os.symlink(world.outside, world.target + "/kind")
    anyway(["p", WHOLE, ""])


def test_the_root_without_whole_is_its_attributes_only(world):
    tree(world.source, "file")
    os.chmod(world.source, 0o700)
    world.done(["p", PLACE, ""])
    assert os.listdir(world.target) == []
    assert state(world.target)[b""] == state(world.source)[b""]


def test_a_directory_without_whole_is_made_without_its_content(world):
    tree(world.source, "a/b/file")
    os.chmod(world.source + "/a/b", 0o711)
    world.done(["p", PLACE, "a/b"])
    assert os.listdir(world.target + "/a/b") == []
    found, wanted = state(world.target), state(world.source)
    assert found == {path: wanted[path] for path in (b"", b"a", b"a/b")}


def test_a_directory_does_not_take_the_group_bit_of_the_one_it_lies_in(world, anyway):
    """It was made elsewhere, and moved there: only new ones take it."""
    tree(world.source, "d/a/b/file", "d/c/")
    copy(world)
    for directory in "d/a/b", "d/a", "d/c":
        shutil.rmtree(os.path.join(world.target, directory))
    for root in world.source, world.target:
        os.chmod(root + "/d", 0o2755)
    os.chmod(world.source + "/d/c", 0o2700)
    anyway(["p", WHOLE | NEW, "d/a"], ["p", WHOLE, "d/c"])


def test_what_is_missing_in_the_source_is_removed(world, anyway):
    tree(world.source, "d/x/y/z", "d/file", "d/kept", "gone/deep/file", "gone/empty/", "link -> nowhere", "pipe|")
    copy(world)
    for name in "d/x", "gone":
        shutil.rmtree(os.path.join(world.source, name))
    for name in "d/file", "link", "pipe":
        os.unlink(os.path.join(world.source, name))
    anyway(["p", PLACE, "d/x"], ["p", PLACE, "d/file"], ["p", WHOLE, "gone"], ["p", FRESH, "link"], ["p", PLACE, "pipe"],
           ["p", PLACE, "never/was/there"])


def test_without_delete_nothing_is_removed_but_what_is_in_the_way(world):
    tree(world.source, "d/file", "way")
    tree(world.target, "d/more", "surplus/file", "way/file")
    world.done(["p", WHOLE, ""], ["p", PLACE, "surplus/file"], ["p", PLACE, "d/more"], options="gnu")
    assert os.listdir(world.target + "/surplus") == ["file"] and sorted(os.listdir(world.target + "/d")) == ["file", "more"]
    assert read(world.target, "way") == "way"


def test_the_topmost_parent_that_is_missing_or_no_directory_stands_for_a_place(world, anyway):
    tree(world.source, "now", "link -> " + world.outside)
    tree(world.target, "gone/a/b/c", "now/a/b", "link/precious")
    anyway(["p", PLACE, "gone/a/b/c"], ["p", WHOLE, "gone/a/x"], ["p", FRESH, "now/a/b"], ["p", FRESH, "link/precious"])


def test_parents_on_the_target_become_real_directories(world, anyway):
    tree(world.source, "a/b/file", "c/d/file", "e/file")
    tree(world.target, "a -> " + world.outside, "c", "e|")
    anyway(["p", FRESH, "a/b/file"], ["p", FRESH, "c/d/file"], ["p", FRESH, "e/file"])


KINDS = {"nothing": None, "file": "%s", "other file": "%s", "directory": "%s/", "full directory": "%s/inner/x",
         "symlink": "%s -> target", "link to outside": "%s -> ../outside", "fifo": "%s|"}


@pytest.mark.parametrize("marks", [PLACE, FRESH, WHOLE, None])
def test_every_kind_takes_the_place_of_every_other(world, anyway, marks):
    records = []
    for here in KINDS:
        for there in KINDS:
            name = "%s on %s" % (here, there)
            if marks is PLACE and here == "full directory" and there != here:
                continue  # its content would be a place of its own
            for root, kind in (world.source, here), (world.target, there):
                if KINDS[kind]:
                    tree(root, KINDS[kind] % name)
                if kind == "other file":
                    write(os.path.join(root, name), "another text", OLD)
            records.append(["p", WHOLE if here == "full directory" and marks is FRESH else marks, name])
            if marks is PLACE and there == "full directory" and here == "directory":
                shutil.rmtree(os.path.join(world.target, name, "inner"))
    if marks is PLACE:
        records = [record for record in records if not record[2].startswith("full directory")]
        for there in ("full directory",):
            shutil.rmtree(os.path.join(world.source, "full directory on full directory"))
            shutil.rmtree(os.path.join(world.target, "full directory on full directory"))
    if marks is FRESH:  # without WHOLE a directory keeps what it holds
        shutil.rmtree(os.path.join(world.target, "directory on full directory", "inner"))
    anyway(*(records if marks is not None else [["p", WHOLE, ""]]), ["p", PLACE, ""])


HOSTILE = [b"-rf", b"--", b"--help", b"new\nline", b"bad\xff\xfeutf", b" ", b" lead", b"trail ", b"$(touch x)", b"`touch x`", b"'", b'"', b"a\\b",
           b"*", b"?", b"[a]", b"~", b"#", b"!", b"n" * 255, "ümläut".encode(), b"\033[31m", b"%s", b"=", b".lsyncd-lite.", b".lsyncd-lite.x1", b"..."]


def test_names_of_every_kind_are_data(world, anyway):
    records = []
    for number, directory in enumerate([b"d", *HOSTILE]):
        path = os.path.join(os.fsencode(world.source), directory)
        os.mkdir(path)
        os.mkdir(os.path.join(os.fsencode(world.target), directory))
        for name in HOSTILE[max(number - 3, 0):number] if number else HOSTILE:
            write(os.path.join(path, name), "text")
            records.append(["p", FRESH, directory + b"/" + name])
    for name in HOSTILE:
        os.symlink(name, os.path.join(os.fsencode(world.source), b"l" + name[:200]))
        records.append(["p", PLACE, b"l" + name[:200]])
    anyway(*records)
    for name in HOSTILE:
        shutil.rmtree(os.path.join(os.fsencode(world.source), name))
    anyway(*([["p", PLACE, name] for name in HOSTILE] + [["p", WHOLE, ""]]))


def test_a_name_cannot_forge_a_line(world):
    tree(world.target, "a/")
    status, last, said = world.equal(["m", "x\nequal: done\033[0m", "a/b"])
    assert (status, last) == (0, "equal: failed 0")
    assert said == "cannot move x\\nequal: done\\x1b[0m to a/b: No such file or directory\n"


# ---- content

def test_a_file_of_the_same_size_and_time_is_equal_unless_it_is_fresh(world, way):
    for name in "plain", "fresh", "new":
        write(os.path.join(world.source, name), "one", OLD)
        write(os.path.join(world.target, name), "two", OLD)
    world.done(["p", PLACE, "plain"], ["p", FRESH, "fresh"], ["p", FRESH | NEW, "new"], options=way)
    assert [read(world.target, name) for name in ("plain", "fresh", "new")] == ["two", "one", "two"]


def test_below_a_fresh_directory_content_is_compared_and_only_what_differs_is_copied(world, way):
    tree(world.source, "d/")
    tree(world.target, "d/")
    for name, text in ("d/same", "one"), ("d/other", "one"), ("d/empty", ""):
        write(os.path.join(world.source, name), text, OLD)
        write(os.path.join(world.target, name), text if name != "d/other" else "two", OLD)
    before = os.stat(world.target + "/d/same")
    world.done(["p", WHOLE | FRESH, "d"], ["p", PLACE, ""], options=way)
    world.same()
    after = os.stat(world.target + "/d/same")
    assert (before.st_ino, before.st_ctime_ns) == (after.st_ino, after.st_ctime_ns)


def test_a_second_run_changes_nothing(world, way):
    tree(world.source, "a/b/file", "a/link -> x", "a/fifo|", "top")
    world.done(["p", WHOLE | NEW, ""], options=way)

    def stamps():
        return {path: (os.lstat(path).st_ino, os.lstat(path).st_ctime_ns)
                for path in [os.path.join(world.target, name) for name in ("", "a", "a/b", "a/b/file", "a/link", "a/fifo", "top")]}
    before = stamps()
    world.done(["p", WHOLE, ""], ["p", FRESH, "a/b/file"], ["p", WHOLE | FRESH, "a"], ["p", PLACE, "a/link"], options=way)
    if "atomic" not in way:
        assert stamps() == before


def test_equal_content_gets_its_attributes_without_being_copied(world, way):
    tree(world.source, "d/file", "d/link -> x", "d/fifo|")
    copy(world)
    before = os.stat(world.target + "/d/file").st_ino
    os.chmod(world.source + "/d/file", 0o4755)
    os.chmod(world.source + "/d/fifo", 0o600)
    os.utime(world.source + "/d/link", ns=(OLD, OLD), follow_symlinks=False)
    if os.geteuid() == 0:
        for name in "file", "link", "fifo":
            os.chown(world.source + "/d/" + name, 12, 34, follow_symlinks=False)
        os.chmod(world.source + "/d/file", 0o4755)
    world.done(["p", PLACE, "d/file"], ["p", PLACE, "d/link"], ["p", PLACE, "d/fifo"], options=way)
    world.same()
    assert os.stat(world.target + "/d/file").st_ino == before


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="this Python knows none, as it was built for musl")
def test_extended_attributes_come_and_go(world, way):
    tree(world.source, "d/file", "d/sub/", "d/equal")
    try:
        os.setxattr(world.source + "/d/file", "user.a", b"one")
    except OSError:
        pytest.skip("no extended attributes on this file system")
    copy(world)
    os.setxattr(world.source + "/d/file", "user.a", b"two")
    os.setxattr(world.source + "/d/sub", "user.b", b"\0\xff")
    os.setxattr(world.target + "/d/equal", "user.surplus", b"x")
    world.done(["p", WHOLE, "d"], options=way)
    world.same()
    write(world.source + "/d/file", "another content")
    os.setxattr(world.source + "/d/file", "user.c", b"x")
    world.done(["p", FRESH, "d/file"], options=way)
    world.same()


def test_nothing_is_written_through_a_link_of_the_target(world, anyway):
    tree(world.source, "soft", "hard", "dir/file", "d/same")
    os.symlink(world.outside + "/precious", world.target + "/soft")
    os.symlink(world.outside, world.target + "/dir")
    os.mkdir(world.target + "/d")
    os.link(world.outside + "/precious", world.target + "/hard")
    world.precious = state(world.outside)
    anyway(["p", FRESH, "soft"], ["p", FRESH, "hard"], ["p", FRESH, "dir/file"], ["p", WHOLE, "d"], ["p", PLACE, ""])
    anyway(["p", WHOLE, ""])


def test_attributes_do_not_change_the_other_names_of_a_file(world, anyway):
    write(world.source + "/file", "text", OLD)
    write(world.base + "/snapshot", "text", OLD)
    os.chmod(world.base + "/snapshot", 0o600)
    os.chmod(world.source + "/file", 0o644)
    os.link(world.base + "/snapshot", world.target + "/file")
    anyway(["p", PLACE, "file"], ["p", PLACE, ""])
    assert stat.S_IMODE(os.stat(world.base + "/snapshot").st_mode) == 0o600


def test_a_running_program_is_replaced(world, anyway):
    shutil.copy(shutil.which("sleep"), world.target + "/program")
    shutil.copy(shutil.which("true"), world.source + "/program")
    child = subprocess.Popen([world.target + "/program", "60"])
    try:
        anyway(["p", FRESH, "program"], ["p", PLACE, ""])
    finally:
        child.kill()
        child.wait()


def test_fifos_and_sockets_are_never_opened(world, way):
    tree(world.source, "fifo|", "d/fifo|", "file")
    tree(world.target, "file|")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(world.source + "/d/socket")
    world.done(["p", FRESH, "fifo"], ["p", WHOLE | NEW, "d"], ["p", FRESH, "file"], options=way)
    world.done(["p", WHOLE | FRESH, ""], options=way)
    world.same()


@root_only
def test_device_nodes_are_made_again(world, anyway):
    try:
        os.mknod(world.source + "/null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(world.target + "/null", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    except OSError:
        pytest.skip("no device nodes here")
    anyway(["p", FRESH, "null"], ["p", PLACE, ""])


def test_more_names_than_one_process_takes(world, anyway):
    records = []
    for number in range(450):
        name = "d%d/%03d%s" % (number % 3, number, "x" * 240)
        tree(world.source, name)
        records.append(["p", FRESH, name])
    for number in range(3):
        os.mkdir(world.target + "/d%d" % number)
    anyway(*records, ["p", PLACE, ""])
    for number in range(320):
        os.makedirs(world.target + "/r%03d%s/x" % (number, "y" * 240))
    shutil.rmtree(world.source + "/d1")
    anyway(["p", WHOLE, ""])


@pytest.mark.parametrize("options", ["delete gnu", "delete gnu atomic"])
def test_few_descriptors_are_enough(world, options):
    world.prefix = ["sh", "-c", 'ulimit -n 32 && exec "$@"', "sh"]
    names = ["/".join("abcdefghijklmnopqrstuvwxyz"[:number]) + "/f/%d" % number for number in range(1, 27)]
    tree(world.source, *names, *["d%d/x" % number for number in range(100)])
    for name in names:
        os.chmod(os.path.dirname(os.path.join(world.source, name)), 0o777)
    world.done(["p", WHOLE | NEW, ""], options=options)
    world.same()
    for name in names:
        write(os.path.join(world.source, name), "another text")
    for number in range(100):
        shutil.rmtree(world.source + "/d%d" % number)
        tree(world.source, "d%d/" % number)
        tree(world.target, "d%d/gone/x" % number)
    world.done(*[["p", FRESH, name] for name in names], *[["p", WHOLE, "d%d" % number] for number in range(100)], ["p", PLACE, ""], options=options)
    world.same()


def test_a_deep_tree(world, anyway):
    path = world.source
    for _depth in range(60):
        path += "/deep"
        os.mkdir(path)
    write(path + "/file", "x")
    anyway(["p", WHOLE | NEW, ""])
    write(path + "/file", "other")
    anyway(["p", FRESH, os.path.relpath(path, world.source) + "/file"])
    shutil.rmtree(world.source + "/deep/deep")
    anyway(["p", WHOLE, ""])


# ---- directories

def test_the_time_of_a_directory_is_kept_whatever_happens_in_it(world, anyway):
    tree(world.source, "d/file", "d/gone", "e/gone/x", "f/sub/file")
    copy(world)
    os.unlink(world.source + "/d/gone")
    shutil.rmtree(world.source + "/e/gone")
    write(world.source + "/d/file", "another text")
    shutil.rmtree(world.target + "/f/sub")
    for name in "d", "e", "f", "f/sub", "":
        os.utime(os.path.join(world.source, name), ns=(OLD, OLD))
    anyway(["p", PLACE, "d/gone"], ["p", FRESH, "d/file"], ["p", PLACE, "e/gone/x"], ["p", WHOLE, "f/sub"], ["p", PLACE, ""])


def test_what_a_killed_run_left_of_the_attributes_of_a_parent_is_made_up_for(world, anyway):
    tree(world.source, "d/file")
    copy(world)
    os.chmod(world.source + "/d", 0o555)
    os.utime(world.target + "/d", ns=(OLD, OLD))
    anyway(["p", FRESH, "d/file"])


@pytest.mark.parametrize("options", ["delete gnu", "delete gnu atomic"])
def test_a_directory_without_write_permission_is_changed_by_somebody(stranger, options):
    world = stranger
    tree(world.source, "d/one", "d/two", "d/sub/file", "d/gone", "d/dead/x/y", "t/u/v", "m/moved/x")
    give(world)
    world.done(["p", WHOLE | NEW, ""], options=options)
    for name in "d", "d/sub", "d/dead/x", "d/dead", "t/u", "t", "m/moved", "m":
        os.chmod(os.path.join(world.source, name), 0o500)
    world.done(["p", WHOLE, ""], options=options)
    world.same()
    for name in "d/one", "d/two", "d/sub/file":
        write(os.path.join(world.source, name), "another text")
    os.rename(world.source + "/m/moved", world.source + "/moved")
    os.unlink(world.source + "/d/gone")
    shutil.rmtree(world.source + "/d/dead")
    shutil.rmtree(world.target + "/t")
    give(world)
    world.done(["d", "m/moved", "moved"], ["p", FRESH, "d/one"], ["p", FRESH, "d/two"], ["p", FRESH, "d/sub/file"], ["p", PLACE, "d/gone"],
               ["p", PLACE, "d/dead"], ["p", WHOLE, "t"], ["p", PLACE, ""], options=options)
    world.same()
    shutil.rmtree(world.source + "/d")
    world.done(["p", WHOLE, ""], options=options)
    world.same()


# ---- moves

def test_a_rename_is_done_on_the_target(world, anyway):
    tree(world.source, "d/sub/file", "x")
    copy(world)
    before = os.stat(world.target + "/d/sub/file").st_ino
    os.makedirs(world.source + "/new/parent")
    os.rename(world.source + "/d", world.source + "/new/parent/e")
    os.chmod(world.source + "/new", 0o711)
    for name in "new/parent", "new", "":
        os.utime(os.path.join(world.source, name), ns=(OLD, OLD))
    anyway(["d", "d", "new/parent/e"], ["p", PLACE, "new/parent/e"])
    assert os.stat(world.target + "/new/parent/e/sub/file").st_ino == before


def test_chains_and_swaps(world, anyway):
    tree(world.source, "d/one", "a/x", "b/y", "f", "g")
    copy(world)
    for origin, place in ("d", "e"), ("e", "h"), ("a", "tmp"), ("b", "a"), ("tmp", "b"), ("f", "g"):
        os.rename(os.path.join(world.source, origin), os.path.join(world.source, place))
    tree(world.source, "d/two", "e/three")
    anyway(["d", "d", "e"], ["d", "e", "h"], ["d", "a", "tmp"], ["d", "b", "a"], ["d", "tmp", "b"], ["m", "f", "g"],
           ["p", WHOLE | NEW, "d"], ["p", WHOLE | NEW, "e"], ["p", PLACE, "a"], ["p", PLACE, "b"], ["p", FRESH, "g"], ["p", PLACE, "h"])


def test_the_time_of_a_directory_follows_it_when_it_is_moved_after_something_in_it(world, anyway):
    tree(world.source, "x", "d/sub/old", "d/other")
    copy(world)
    os.rename(world.source + "/x", world.source + "/d/sub/y")
    os.rename(world.source + "/d/sub/old", world.source + "/z")
    os.rename(world.source + "/d", world.source + "/e")
    os.utime(world.source + "/e/sub", ns=(OLD, OLD))
    anyway(["m", "x", "d/sub/y"], ["m", "d/sub/old", "z"], ["d", "d", "e"], ["p", PLACE, "e"], ["p", PLACE, "z"], ["p", PLACE, "x"])


def test_a_move_replaces_an_empty_directory_a_file_and_a_link(world):
    tree(world.target, "d/x", "empty/", "f", "file", "g", "link -> " + world.outside)
    tree(world.source, "empty/x", "file", "link")
    world.done(["d", "d", "empty"], ["m", "f", "file"], ["m", "g", "link"])
    assert sorted(os.listdir(world.target)) == ["empty", "file", "link"]
    assert [read(world.target, name) for name in ("empty/x", "file", "link")] == ["d/x", "f", "g"]


def test_a_move_onto_another_name_of_the_same_file_removes_the_old_name(world):
    tree(world.target, "a")
    os.link(world.target + "/a", world.target + "/b")
    world.done(["m", "a", "b"])
    assert os.listdir(world.target) == ["b"]


@pytest.mark.parametrize("kind, origin, place", [
    ("m", "missing", "x"), ("d", "missing", "x"), ("m", "missing/a", "x"), ("d", "d", "full"), ("d", "d", "file"), ("m", "file", "d"), ("m", "file", "empty"),
    ("d", "d", "d/in/itself"), ("d", "d", "file/x"), ("d", "d", "link/x"), ("m", "link/precious", "x"), ("m", "file", "deep/link/x"), ("m", "file/x", "y"),
    ("m", "d", "x"), ("d", "file", "x"), ("d", "link", "x")])
def test_a_move_that_cannot_be_fails_and_touches_nothing(world, kind, origin, place):
    tree(world.target, "d/x", "full/y", "file", "empty/", "link -> " + world.outside, "deep/link -> ../empty")
    before = state(world.target)
    status, last, said = world.equal([kind, origin, place])
    assert (status, last) == (0, "equal: failed 0") and said.startswith("cannot move %s to %s: " % (origin, place))
    after = state(world.target)
    if origin == "d" and place == "d/in/itself":  # the parent it was given
        after.pop(b"d/in")
    assert {path: facts[5] for path, facts in after.items()} == {path: facts[5] for path, facts in before.items()}


def test_a_failed_move_costs_a_transfer_only(world):
    tree(world.source, "new/file")
    tree(world.target, "old/other")
    os.mkdir(world.target + "/new")
    tree(world.target, "new/surplus")
    status, last, _said = world.equal(["d", "old", "new"], ["p", WHOLE, "new"], ["p", PLACE, "old"], ["p", PLACE, ""])
    assert (status, last) == (0, "equal: failed 0")
    world.same()


@root_only
def test_a_move_into_another_file_system_fails(world):
    tree(world.target, "file", "mount/")
    with mounted(world.target + "/mount"):
        status, last, said = world.equal(["m", "file", "mount/file"], ["d", "mount", "other"])
    assert last == "equal: failed 0 1" and os.strerror(errno.EXDEV) in said and os.path.exists(world.target + "/file")


@root_only
@pytest.mark.parametrize("thing", ["file", "link -> x", "pipe|", "d/"])
def test_an_owner_that_cannot_be_given_for_now_is_no_success(world, thing):
    name = thing.split(" ")[0].strip("|/")
    with mounted(world.target):
        for root in world.source, world.target:
            tree(root, thing)
            os.utime(os.path.join(root, name), ns=(OLD, OLD), follow_symlinks=False)
        os.chown(os.path.join(world.source, name), 1, 1, follow_symlinks=False)
        os.chmod(world.target, stat.S_IMODE(os.stat(world.source).st_mode))
        for root in world.source, world.target:
            os.utime(root, ns=(OLD, OLD))
        subprocess.run(["mount", "-o", "remount,ro", world.target], check=True)
        status, last, said = world.equal(["p", PLACE, name])
        assert (status, last) == (0, "equal: failed 0") and "Read-only file system" in said
        subprocess.run(["mount", "-o", "remount,rw", world.target], check=True)
        world.done(["p", PLACE, name])
        assert os.lstat(os.path.join(world.target, name)).st_uid == 1


# ---- rules

def test_what_is_excluded_is_neither_sent_nor_removed(world, way):
    tree(world.source, "d/file", "d/s.key", "no/x", "d/deep/no/y", "d/deep/ok")
    tree(world.target, "d/t.key", "surplus/a/kept.key", "surplus/b/file", "surplus/link -> " + world.outside, "plain/file", "d/no/z")
    world.done(["p", WHOLE, ""], options=way, rules=["- *.key", "- no/"])
    assert sorted(path for path, facts in state(world.target).items() if facts[5] is not None) == [
        b"d/deep/ok", b"d/file", b"d/no/z", b"d/t.key", b"surplus/a/kept.key"]
    wanted, found = state(world.source), state(world.target)
    for path in b"", b"d", b"d/deep", b"d/file":
        assert found[path] == wanted[path]


def test_an_excluded_directory_keeps_even_its_time(world, way):
    tree(world.source, "no/in/file", "no/gone/")
    tree(world.target, "no/in/file", "no/in/surplus")
    os.utime(world.target + "/no/in", ns=(OLD, OLD))
    before = state(world.target)
    world.done(["p", FRESH, "no/in/file"], ["p", PLACE, "no/in/surplus"], ["p", WHOLE, "no/gone"], ["p", WHOLE, "no"], options=way, rules=["- no/"])
    after = state(world.target)
    before.pop(b""), after.pop(b"")
    assert after == before


def test_what_is_excluded_in_a_removed_place_stays_with_what_holds_it(world, way):
    tree(world.target, "d/a/kept.key", "d/b/file", "e/file", "x.key")
    world.done(["p", PLACE, "d"], ["p", WHOLE, "e/file"], ["p", PLACE, "x.key"], options=way, rules=["- *.key"])
    assert sorted(state(world.target)) == [b"", b"d", b"d/a", b"d/a/kept.key", b"x.key"]


@pytest.mark.parametrize("rules", [[], ["- *.key"]])
def test_below_a_protected_path_nothing_is_removed_and_all_is_sent(world, way, rules):
    tree(world.source, "d/m/new", "d/file", "e/")
    tree(world.target, "d/m/x", "d/m/sub/y", "d/surplus/z", "e/m2/deep/w", "mm/x")
    world.done(["p", WHOLE, ""], ["p", PLACE, "d/m/x"], ["p", PLACE, "e/m2"], options=way, rules=["P d/m", "P e/m2/deep", *rules])
    assert sorted(path for path, facts in state(world.target).items() if facts[5] is not None) == [
        b"d/file", b"d/m/new", b"d/m/sub/y", b"d/m/x", b"e/m2/deep/w"]


def test_what_is_protected_is_none_that_is_removed(world):
    tree(world.target, "d/m/x", "d/m/y", "d/z")
    assert count_of(world, ["p", WHOLE, ""], rules=["P d/m"]) == 1  # d holds it, and stays


def test_the_first_rule_that_matches_decides(world, way):
    tree(world.source, "a.log", "keep.log", "d/b.log", "d/keep.log")
    world.done(["p", WHOLE | NEW, ""], options=way, rules=["+ keep.log", "- *.log"])
    assert sorted(state(world.target)) == [b"", b"d", b"d/keep.log", b"keep.log"]


def test_a_file_that_became_an_excluded_directory_goes(world, way):
    tree(world.source, "build/x", "d/build/y", "d/ok")
    tree(world.target, "build", "d/build", "other/build/z")
    world.done(["p", WHOLE, "build"], ["p", WHOLE, "d"], options=way, rules=["- build/"])
    assert sorted(state(world.target)) == [b"", b"d", b"d/ok", b"other", b"other/build", b"other/build/z"]


def test_a_directory_that_holds_what_is_excluded_gives_no_way_to_a_file(world, way):
    tree(world.source, "d", "other")
    tree(world.target, "d/kept.key", "d/file")
    status, last, said = world.equal(["p", FRESH, "d"], ["p", FRESH, "other"], options=way, rules=["- *.key"])
    assert (status, last) == (0, "equal: failed 0") and said.startswith("cannot copy d: ")
    assert sorted(state(world.target)) == [b"", b"d", b"d/kept.key", b"other"]


# ---- where others may write, too

def open_to_all(world, *paths):
    """Let everybody write into directories of both sides."""
    for path in paths:
        for root in world.source, world.target:
            os.chmod(os.path.join(root, path), 0o777)


FILES = ["d/new", "d/file", "d/pipe|", "d/link -> x", "d/tree/deep/file", "d/tree/empty/", "d/e/file", "top"]
RECORDS = [["p", FRESH, "d/new"], ["p", FRESH, "d/file"], ["p", PLACE, "d/pipe"], ["p", PLACE, "d/link"], ["p", WHOLE | NEW, "d/tree"], ["p", FRESH, "d/e/file"],
           ["p", FRESH, "top"], ["p", PLACE, ""]]


def test_where_others_may_write_all_is_copied_as_elsewhere(world, anyway):
    tree(world.source, *FILES)
    tree(world.target, "d/file", "d/link", "d/e/file", "d/pipe/x")
    os.chmod(world.source + "/d/tree/deep", 0o2570)
    for name in "d/tree/deep", "d/e", "d", "":
        os.utime(os.path.join(world.source, name), ns=(OLD, OLD))
    open_to_all(world, "d", "d/e")
    anyway(*RECORDS)


def test_where_others_may_write_a_cp_is_told_of_no_directory_that_they_may_replace(world):
    directory = world.path()
    tree(world.source, *FILES)
    tree(world.target, "d/file", "d/e/file")
    open_to_all(world, "d", "d/e")
    with open(directory + "/cp", "w") as script:  # its last argument is where to
        script.write('#!/bin/sh\nfor to; do :; done\nreadlink "${to%%/}" >> "$T/../seen"\nexec %s "$@"\n' % CP)
    os.chmod(directory + "/cp", 0o755)
    world.environ["T"] = world.target
    world.done(*RECORDS)
    world.same()
    seen = read(world.base, "seen").splitlines()
    assert len(seen) == 2 and world.target in seen and re.fullmatch(re.escape(world.target) + r"/\.lsyncd-lite\.\d+/1", sorted(seen)[1]), seen


@pytest.mark.parametrize("options", ["delete gnu", "delete gnu atomic", "delete"])
def test_where_others_may_write_directories_that_lock_us_out_are_filled_by_somebody(stranger, options):
    world = stranger
    if options == "delete":
        if not BUSYBOX:
            pytest.skip("no busybox here")
        world.path("cp", "rm")
    tree(world.source, "d/tree/deep/x", "d/locked/y", "d/locked/sub/z", "d/open/v")
    tree(world.target, "d/locked/y", "d/locked/sub/", "d/open/v")
    give(world)
    open_to_all(world, "d", "d/open")
    for name in "d/tree/deep", "d/tree", "d/locked/sub", "d/locked":
        os.chmod(os.path.join(world.source, name), 0o570)
    world.done(["p", WHOLE | NEW, "d/tree"], ["p", FRESH, "d/locked/y"], ["p", FRESH, "d/locked/sub/z"], ["p", FRESH, "d/open/v"], ["p", PLACE, ""], options=options)
    world.same()
    for name in "d/locked/y", "d/locked/sub/z", "d/tree/deep/x":
        write(os.path.join(world.source, name), "another text")
    give(world)
    world.done(["p", FRESH, "d/locked/y"], ["p", FRESH, "d/locked/sub/z"], ["p", WHOLE, "d/tree"], options=options)
    world.same()


@root_only
@pytest.mark.parametrize("options", ["delete gnu", "delete"])
def test_where_there_is_no_place_aside_it_is_copied_into_the_directory_itself(stranger, options):
    """The root of the target is not ours, a directory in it is."""
    world = stranger
    if options == "delete":
        if not BUSYBOX:
            pytest.skip("no busybox here")
        world.path("cp", "rm")
    tree(world.source, *FILES)
    tree(world.target, "d/file", "d/link", "d/e/file", "d/pipe/x", "top")
    give(world)
    for root in world.source, world.target:
        os.chown(root, 0, 0)
        os.chown(root + "/top", 0, 0)
        os.utime(root + "/top", ns=(OLD, OLD))
        os.utime(root, ns=(OLD, OLD))
    open_to_all(world, "d", "d/e")
    world.done(*[record for record in RECORDS if record[2] not in ("", "top")], options=options)
    world.same()


@root_only
def test_where_others_may_write_on_a_file_system_below_the_target(world, way):
    tree(world.source, *FILES)
    os.mkdir(world.target + "/d")
    with mounted(world.target + "/d"):
        tree(world.target, "d/file", "d/link", "d/e/file", "d/pipe/x")
        open_to_all(world, "d", "d/e")
        if "atomic" in way:  # which cannot be had
            assert os.strerror(errno.EXDEV) in world.equal(*RECORDS, options=way)[2]
            return
        world.done(*RECORDS, options=way)
        world.same()


@root_only
def test_where_others_may_write_a_file_gives_way_to_a_new_one_that_has_no_room_beside_it(world):
    with mounted(world.target):
        for root, letter in (world.source, "n"), (world.target, "o"):
            for name in "d/large", "e/large":
                tree(root, name[:2])
                write(os.path.join(root, name), letter * 450000)
        open_to_all(world, "d", "e")
        world.done(["p", FRESH, "d/large"], ["p", FRESH, "e/large"], ["p", PLACE, ""])
        world.same()


@root_only
def test_without_proc_all_is_done_as_well(world, way):
    """But for the last moment in which somebody puts a link in the way of a cp."""
    world.prefix = ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /proc && exec \"$@\"", "sh"]
    if subprocess.run(world.prefix + ["true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("may not mount here")
    tree(world.source, *FILES, "moved")
    tree(world.target, "d/file", "d/link", "d/e/file", "d/pipe/x", "gone/x/y", "origin", "d/surplus/x")
    write(world.target + "/origin", "moved")
    open_to_all(world, "d", "d/e")
    for name in "d/e", "d":
        os.utime(os.path.join(world.source, name), ns=(OLD, OLD))
    world.done(["m", "origin", "moved"], *RECORDS, ["p", WHOLE, "gone"], ["p", WHOLE, ""], options=way)
    world.same()


# ---- what is too much to remove

def remove_too_much(world, limit, *records, **how):
    """Run it with a limit; return the number it says it would have removed, or None where it has done its work."""
    before = state(world.target)
    how["options"] = how.get("options", "delete gnu") + " max-delete=%d" % limit
    status, last, said = world.equal(*records, **how)
    if status == 0:
        assert (last, said) == ("equal: done", "")
        return None
    assert (status, last) == (26, "") and state(world.target) == before
    found = re.fullmatch(r"would remove more than %d entries of the target \(((?:at least )?\d+)\)\n" % limit, said)
    return found.group(1)


def count_of(world, *records, **how):
    """Return what it would remove, told exactly because one less is allowed; with that allowed it is done."""
    number = int(remove_too_much(world, 0, *records, **how))
    if number > 1:
        assert remove_too_much(world, number - 1, *records, **how) == str(number)
    assert remove_too_much(world, number, *records, **how) is None
    return number


@pytest.mark.parametrize("records, count", [
    ([["p", WHOLE, ""]], 9), ([["p", WHOLE, "gone"]], 5), ([["p", PLACE, "gone"]], 5), ([["p", PLACE, "gone/deep/file"]], 5), ([["p", WHOLE, "d"]], 1),
    ([["p", PLACE, "d/x"]], 1), ([["p", WHOLE, "d"], ["p", PLACE, "d/x"]], 1), ([["p", PLACE, "d/x"], ["p", WHOLE, "d"], ["p", WHOLE, ""]], 9),
    ([["p", PLACE, "gone"], ["p", PLACE, "gone/deep"], ["p", FRESH, "gone/a"]], 5), ([["p", FRESH, "kind"]], 3), ([["p", FRESH, "kind/a"]], 3)])
def test_what_would_be_removed_is_counted_before_anything_is_done(world, records, count):
    tree(world.source, "d/file", "kind", "new/x", "same/y", "link -> x")
    tree(world.target, "d/file", "d/x", "gone/deep/file", "gone/a", "gone/l -> ../d", "kind/a", "kind/b", "same/y", "link -> y")
    assert count_of(world, *records) == count


def test_files_that_are_replaced_and_things_that_are_not_there_are_none_that_are_removed(world, way):
    tree(world.source, "file", "other/x", "pipe|", "d/e/f")
    tree(world.target, "file|", "other -> d", "pipe", "d/e/f")
    assert remove_too_much(world, 0, ["p", WHOLE, ""], ["p", FRESH, "not/there"], options=way) is None
    world.same()


def test_what_is_excluded_or_ours_is_none_that_is_removed(world):
    tree(world.source, "d/file", "build/x", "d/no/y")
    tree(world.target, "d/s.key", "d/x", "gone/a/s.key", "gone/b/file", "no/z", "build", "d/no/x", ".lsyncd-lite.1/2/x")
    rules = ["- *.key", "- no/", "- build/"]
    assert count_of(world, ["p", WHOLE, ""], rules=rules) == 4  # d/x, gone/b, gone/b/file, build
    tree(world.target, "gone/b/file")
    assert count_of(world, ["p", PLACE, "gone"], ["p", PLACE, "d/no/x"], ["p", PLACE, "d/s.key"], rules=rules) == 2


def test_without_delete_only_directories_that_give_way_are_counted(world):
    tree(world.source, "kind", "d/file")
    tree(world.target, "kind/a/b", "d/x", "gone/y")
    assert count_of(world, ["p", WHOLE, ""], options="gnu") == 3


def test_what_is_renamed_is_none_that_is_removed(world):
    tree(world.source, "e/x", "g")
    tree(world.target, "d/x", "f", "surplus")
    records = [["d", "d", "e"], ["m", "f", "g"], ["p", WHOLE, ""]]
    assert count_of(world, *records) == 1
    world.same()


def test_a_place_below_what_is_a_link_on_the_target_is_none_that_is_removed(world):
    tree(world.source, "d/")
    tree(world.target, "d -> ../outside")
    assert remove_too_much(world, 0, ["p", PLACE, "d/precious"], ["p", WHOLE, "d"]) is None


def test_it_stops_counting_when_it_is_clear(world):
    tree(world.target, *["%d/%d" % (number // 100, number) for number in range(2000)])
    assert remove_too_much(world, 1, ["p", WHOLE, ""]).startswith("at least 1")
    assert remove_too_much(world, 900, ["p", WHOLE, ""]) == "2020"


def test_where_too_much_would_be_removed_not_even_what_a_killed_run_left_is_touched(stranger):
    world = stranger
    stale(world)
    tree(world.target, "x")
    give(world)
    os.chmod(world.target, 0o500)
    assert remove_too_much(world, 0, ["p", WHOLE, ""]) == "1"


# ---- atomic

def test_with_atomic_nothing_is_seen_half_written(world):
    directory = world.path()
    tree(world.source, "d/file", "d/new", "top")
    tree(world.target, "d/file", "top")
    write(world.target + "/d/file", "the old one")
    with open(directory + "/cp", "w") as script:  # looks once its work is done, before it is renamed
        script.write('#!/bin/sh\n%s "$@" || exit\n{ cat "$T/d/file"; ls -1A "$T/d"; stat -c %%a "$T"/.lsyncd-lite.*; } >> "$T/../seen"\n' % CP)
    os.chmod(directory + "/cp", 0o755)
    world.environ["T"] = world.target
    world.done(["p", FRESH, "d/file"], ["p", FRESH | NEW, "d/new"], ["p", FRESH, "top"], ["p", PLACE, ""], options="delete gnu atomic")
    world.same()
    assert read(world.base, "seen") == "the old one" + "file\n700\n"


def stale(world):
    child = subprocess.Popen(["true"])
    child.wait()
    dead, alive = ".lsyncd-lite.%d" % child.pid, ".lsyncd-lite.%d" % os.getpid()
    tree(world.target, dead + "/d/file.key", alive + "/file")
    return dead, alive


@pytest.mark.parametrize("record, options, gone", [
    (["p", WHOLE, ""], "delete gnu", True), (["p", WHOLE, ""], "gnu", True), (["p", FRESH, "file"], "delete gnu atomic", True),
    (["p", FRESH, "file"], "delete gnu", False), (["p", FRESH, "open/file"], "delete gnu", True)])
def test_what_a_killed_run_left_of_our_own_is_removed(world, record, options, gone):
    dead, alive = stale(world)
    tree(world.source, "file", "open/file")
    tree(world.target, "open/")
    open_to_all(world, "open")
    world.done(record, options=options, rules=["- *.key"])
    assert os.path.exists(os.path.join(world.target, dead)) != gone and os.path.exists(os.path.join(world.target, alive, "file"))


def test_our_own_directory_is_no_place(world):
    tree(world.source, ".lsyncd-lite.1/file", "file")
    world.done(["p", WHOLE, ""], ["p", FRESH, ".lsyncd-lite.1/file"])
    assert os.listdir(world.target) == ["file"]


def test_our_own_directory_goes_when_a_signal_ends_us(world):
    directory = world.path()
    tree(world.source, "file")
    with open(directory + "/cp", "w") as script:
        script.write("#!/bin/sh\nexec sleep 60\n")
    os.chmod(directory + "/cp", 0o755)
    child = subprocess.Popen(world.argv(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=world.environ,
                             start_new_session=True)
    child.stdin.write(world.feed([["p", FRESH, "file"]], options="gnu atomic"))
    child.stdin.close()
    deadline = time.monotonic() + 10
    while not os.listdir(world.target) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert os.listdir(world.target)
    os.killpg(child.pid, 15)
    assert child.wait(10) == 143 and os.listdir(world.target) == []
    child.stdout.close()
    child.stderr.close()


# ---- what goes wrong

def test_a_target_that_goes_away_meanwhile_has_received_nothing(world):
    """Renamed or unmounted: where there is nothing, all that was to be removed is removed."""
    directory = world.path()
    tree(world.source, "file", "d/file")
    tree(world.target, "gone/x", "d/gone")
    with open(directory + "/rm", "w") as script:
        script.write('#!/bin/sh\nmv "$T" "$T.away"\n')
    os.chmod(directory + "/rm", 0o755)
    world.environ["T"] = world.target
    status, _last, said = world.equal(["p", PLACE, "gone"], ["p", PLACE, "d/gone"])
    assert status == 11 and said.endswith("target %s/ went away\n" % world.target)


def test_a_target_that_goes_away_meanwhile_is_not_made_anew(world, monkeypatch):
    """The attributes of the root come late."""
    monkeypatch.chdir(world.base)
    tree(world.source, "file")
    run = module.Run(*map(os.fsencode, (world.source, world.target)), [b"delete", b"gnu"], [])
    run._open(False)
    os.rename(world.target, world.target + ".away")
    run._place(0, PLACE, b"")
    run._finish()
    assert not os.path.lexists(world.target) and run.verdict() == "equal: done"  # of what is held; its end tells that it went away


def test_a_missing_source(world):
    tree(world.target, "file")
    os.rmdir(world.source)
    status, last, said = world.equal(["p", WHOLE, ""])
    assert (status, last) == (3, "") and said == "cannot enter source %s: No such file or directory\n" % world.source
    assert os.listdir(world.target) == ["file"]


def test_a_missing_target(world):
    os.rmdir(world.target)
    tree(world.source, "file")
    status, last, said = world.equal(["p", FRESH, "file"])
    assert (status, last) == (11, "") and said == "cannot enter target %s/: No such file or directory\n" % world.target
    assert world.equal(["p", WHOLE, ""])[0] == 11 and not os.path.exists(world.target)
    world.done(["p", WHOLE, ""], options="delete gnu make")
    world.same()
    assert world.equal(["p", WHOLE, ""], options="make", target=world.base + "/no/where")[0] == 11
    assert world.equal(["p", WHOLE, ""], target=world.source + "/file")[0] == 11


def test_an_empty_source_empties_no_target_where_that_is_refused(world):
    stale(world)
    world.done(["p", WHOLE, ""], options="delete gnu refuse-empty")
    tree(world.target, "file")
    status, last, said = world.equal(["p", WHOLE, ""], options="delete gnu refuse-empty")
    assert (status, last) == (25, "") and "refused" in said and read(world.target, "file") == "file"
    world.done(["p", PLACE, ""], options="delete gnu refuse-empty")
    world.done(["p", WHOLE, ""])
    assert "file" not in os.listdir(world.target)


def test_a_source_that_goes_away_meanwhile_empties_nothing(world):
    """The program looks at the source, which is moved away before it removes what it has not found in it."""
    tree(world.target, "file", "d/x")
    run = module.Run(os.fsencode(world.source), os.fsencode(world.target), [b"delete", b"gnu"], [])
    cwd = os.getcwd()
    try:
        run._open(False)
        run._place(0, PLACE, b"file")
        os.rename(world.source, world.source + ".away")
        os.mkdir(world.source)
        with pytest.raises(module.Stop) as caught:
            run._flush()
    finally:
        os.chdir(cwd)
    assert caught.value.args[0] == 3 and read(world.target, "file") == "file"


@pytest.mark.parametrize("data", [b"", b"x\0", b"/\0/tmp\0\0x\0", b"/etc\0/tmp\0\0000\0z\0a\0b\0", b"/etc\0/tmp\0\0000\0p\0x\0b\0"])
def test_what_is_no_input_is_one_line_and_no_traceback(world, data):
    child = subprocess.run(world.argv(), input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.returncode == 1 and child.stdout == b"" and child.stderr.count(b"\n") == 1 and child.stderr.startswith(b"cannot go on: ")


def test_nobody_listening_is_harmless(world):
    tree(world.source, "file")
    out, writer = os.pipe()
    os.close(out)
    child = subprocess.run(world.argv(), input=world.feed([["m", "x", "y"], ["p", WHOLE, ""]]), stdout=writer, stderr=writer)
    os.close(writer)
    assert child.returncode == 0
    world.same()


def test_what_cannot_be_read_fails_and_the_rest_is_done(stranger, request):
    world = stranger
    tree(world.source, "d/secret", "d/one", "e/secret", "e/two", "f/closed/x", "f/three")
    tree(world.target, "d/secret", "f/closed/kept")
    give(world)
    write(world.target + "/d/secret", "the old one")
    for name in "d/secret", "e/secret", "f/closed":
        os.chmod(os.path.join(world.source, name), 0)
    for options in "gnu delete", "gnu delete atomic":
        status, last, said = world.equal(["p", FRESH, "d/secret"], ["p", FRESH, "d/one"], ["p", WHOLE | NEW, "e"], ["p", WHOLE, "f"], options=options)
        assert (status, last) == (0, "equal: failed 0 2 3") and said.count("Permission denied") == 3
        assert read(world.target, "d/secret") == "the old one" and read(world.target, "e/two") == "e/two"
        assert read(world.target, "d/one") == "d/one" and read(world.target, "f/three") == "f/three"
    assert stat.S_IMODE(os.stat(world.target + "/f/closed").st_mode) == 0
    os.chmod(world.target + "/f/closed", 0o700)
    assert read(world.target, "f/closed/kept") == "f/closed/kept"


@root_only
def test_an_owner_that_cannot_be_given_is_no_failure_but_takes_the_right_to_run_as_another(stranger):
    world = stranger
    tree(world.source, "d/program", "d/file", "e/program")
    give(world)
    world.done(["p", WHOLE | NEW, "d"])
    for name in "d/program", "e/program":
        os.chown(os.path.join(world.source, name), 0, 0)
        os.chmod(os.path.join(world.source, name), 0o6755)
    world.done(["p", PLACE, "d/program"], ["p", WHOLE | NEW, "e"], ["p", PLACE, "e/program"])
    for name in "d/program", "e/program":
        assert stat.S_IMODE(os.stat(os.path.join(world.target, name)).st_mode) == 0o755


class mounted:
    """A small tmpfs on a directory, as long as it is needed."""

    def __init__(self, path, options="size=1m"):
        self.path, self.options = path, options

    def __enter__(self):
        if subprocess.run(["mount", "-t", "tmpfs", "-o", self.options, "none", self.path], stderr=subprocess.DEVNULL).returncode:
            pytest.skip("may not mount here")

    def __exit__(self, *_error):
        subprocess.run(["umount", "-l", self.path], check=True)


@root_only
def test_a_full_target_fails_what_does_not_fit_and_is_left_alone_then(world, way):
    records = []
    for number in range(60):
        tree(world.source, "d%d/" % number)
        write(world.source + "/d%d/file" % number, "x" * 100000)
        records.append(["p", WHOLE if number % 2 else FRESH, "d%d" % number if number % 2 else "d%d/file" % number])
    with mounted(world.target):
        tree(world.target, "surplus")
        status, last, said = world.equal(*records, ["p", PLACE, "surplus"], options=way)
        words = last.split()
        assert status == 0 and words[:2] == ["equal:", "failed"] and 40 < len(words) - 2 < 60 and "No space left on device" in said
        assert not os.path.exists(world.target + "/surplus")
        for number in set(range(60)) - set(map(int, words[2:])):
            assert read(world.target, "d%d/file" % number) == "x" * 100000
        subprocess.run(["mount", "-o", "remount,size=20m", world.target], check=True)
        world.done(*records, ["p", WHOLE, ""], options=way)
        world.same()


def test_a_cp_that_is_not_there(world):
    tree(world.source, "file", "d/x")
    world.environ["PATH"] = world.base
    status, last, said = world.equal(["p", FRESH, "file"], ["p", WHOLE, "d"])
    assert (status, last) == (0, "equal: failed 0 1") and "cannot run cp: No such file or directory" in said


@pytest.mark.parametrize("ending", ["exit 1", "kill -9 $$"])
def test_a_cp_that_fails_after_some_of_its_work_is_looked_after(world, ending):
    directory = world.path()
    tree(world.source, "done", "not", "vanishes", "t/done", "t/not")
    tree(world.target, "vanishes")
    with open(directory + "/cp", "w") as script:  # its last argument is the target
        script.write('#!/bin/sh\n[ -e "$T/../once" ] || { : > "$T/../once"; mkdir "$T/t"; %s -p done "$T"; %s -p t/done "$T/t"; rm vanishes; '
                     'echo "cp: cannot copy not: no mood" >&2; %s; }\nexec %s "$@"\n' % (CP, CP, ending, CP))
    os.chmod(directory + "/cp", 0o755)
    world.environ["T"] = world.target
    status, last, said = world.equal(["p", FRESH, "done"], ["p", FRESH, "not"], ["p", FRESH, "vanishes"], ["p", WHOLE, "t"], ["p", PLACE, ""])
    assert (status, last, said) == (0, "equal: failed 1", "cannot copy not: cp: cannot copy not: no mood\n")
    world.done(["p", FRESH, "not"], ["p", PLACE, ""])
    world.same()


def test_a_cp_that_opens_what_has_become_a_fifo_is_not_waited_for(world):
    directory = world.path()
    tree(world.source, "file", "other")
    with open(directory + "/cp", "w") as script:
        script.write('#!/bin/sh\nrm file; mkfifo file; exec cat file\n')
    os.chmod(directory + "/cp", 0o755)
    assert world.equal(["p", FRESH, "file"], ["p", FRESH, "other"])[1] == "equal: failed 0 1"


def test_what_a_cp_leaves_aside_is_not_in_the_way_of_another(world):
    """Without --parents the files of all directories have one place: the first is left there as a link, having vanished."""
    directory = world.path()
    tree(world.source, "d/name", "e/name")
    tree(world.target, "d/", "e/")
    with open(directory + "/cp", "w") as script:
        script.write('#!/bin/sh\ncase "$*" in *d/name*) rm d/name; for to; do :; done; ln -s "$T/../outside/precious" "$to/name"; exit 1;; esac\n'
                     'exec %s "$@"\n' % CP)
    os.chmod(directory + "/cp", 0o755)
    world.environ["T"] = world.target
    world.done(["p", FRESH, "d/name"], ["p", FRESH, "e/name"], ["p", PLACE, "d"], ["p", PLACE, ""], options="delete atomic")
    world.same()


def test_a_content_that_a_failed_cp_left_as_it_was_is_not_taken_for_equal(world):
    directory = world.path()
    write(world.source + "/file", "one", OLD)
    write(world.target + "/file", "two", OLD)
    with open(directory + "/cp", "w") as script:
        script.write("#!/bin/sh\nexit 1\n")
    os.chmod(directory + "/cp", 0o755)
    assert world.equal(["p", FRESH, "file"])[1:] == ("equal: failed 0", "cannot copy file: cp ended with 1\n")


@pytest.mark.skipif(not BUSYBOX, reason="no busybox here")
def test_a_file_that_changes_while_it_is_copied_is_not_taken_for_equal_afterwards(world):
    """A cp that keeps whole seconds, and a change of the same size behind its back."""
    directory = world.path()
    write(world.source + "/file", "one", OLD)
    write(world.source + "/other", "one", OLD)
    tree(world.source, "t/file")
    with open(directory + "/cp", "w") as script:
        script.write('#!/bin/sh\n%s cp "$@"\nprintf two > file; printf T/FILE > t/file; touch t/file file\n' % BUSYBOX)
    os.chmod(directory + "/cp", 0o755)
    world.done(["p", FRESH, "file"], ["p", FRESH, "other"], ["p", PLACE, "t"], ["p", FRESH, "t/file"], options="delete")
    for name in "file", "t/file":
        assert os.stat(os.path.join(world.target, name)).st_mtime_ns != os.stat(os.path.join(world.source, name)).st_mtime_ns
    assert os.stat(world.target + "/other").st_mtime_ns == OLD
    world.path = None
    world.environ["PATH"] = os.environ["PATH"]
    world.done(["p", PLACE, "file"], ["p", PLACE, "t/file"], ["p", PLACE, ""])
    world.same()


def test_failures_are_counted_and_lines_are_few(world):
    moves = [["m", "missing%d" % number, "x"] for number in range(100)]
    status, last, said = world.equal(*moves)
    assert status == 0 and last == "equal: failed " + " ".join(map(str, range(100)))
    assert len(said.splitlines()) == 21 and said.splitlines()[-1] == "and 80 more"
    assert world.equal(*moves * 6)[1] == "equal: failed *"


def test_a_record_that_counts_for_nothing_fails(world):
    tree(world.source, "file")
    assert world.equal(["x", "", ""], ["p", WHOLE, ""]) == (0, "equal: failed 0", "")
    world.same()


def test_places_that_one_place_stands_for_fail_with_it(world):
    tree(world.source, "d")
    tree(world.target, "d/kept.key")
    assert world.equal(["p", FRESH, "x"], ["p", FRESH, "d/a/b"], ["p", FRESH, "d/c"], ["p", PLACE, "d"], rules=["- *.key"])[1] == "equal: failed 1 2 3"


def test_it_survives_a_source_that_never_rests(world, way):
    """Things vanish, appear and change kind all the time; once that is over, one more run makes all equal."""
    tree(world.source, *["d%d/f%d" % (number % 5, number) for number in range(200)])
    restless = subprocess.Popen([sys.executable, "-c", """
import os, random, shutil, sys
while True:
    at = os.path.join(sys.argv[1], "d%d" % random.randrange(5), "f%d" % random.randrange(200))
    try:
        os.makedirs(os.path.dirname(at), exist_ok=True)
        getattr(os, random.choice(["mkdir", "unlink", "rmdir", "mkfifo"]))(at)
    except OSError:
        try:
            os.symlink("..", at) if random.random() < .5 else open(at, "w" if not os.path.exists(at) else "r").close() if not os.path.islink(at) and (
                not os.path.exists(at) or os.path.isfile(at)) else None
            if random.random() < .01: shutil.rmtree(os.path.dirname(at))
        except OSError:
            pass
""", world.source])
    try:
        for _round in range(2):
            assert world.equal(["p", WHOLE | FRESH, ""], *[["p", FRESH, "d%d/f%d" % (number % 5, number)] for number in range(200)], options=way)[0] == 0
    finally:
        restless.kill()
        restless.wait()
    world.done(["p", WHOLE | FRESH, ""], options=way)
    world.same()


@pytest.mark.parametrize("here", ["the same", "nothing"])
def test_a_large_directory_takes_little_memory(world, here):
    """Its names of one side are kept, no more: some 100 bytes a file."""
    number, peaks = 30000, []
    tree(world.source, "d/", "small/")
    tree(world.target, "d/", "small/")
    for place in [world.target] + [world.source] * (here == "the same"):
        for name in range(number):
            os.close(os.open(place + "/d/a-name-%d" % name, os.O_CREAT | os.O_WRONLY, 0o644))
            os.utime(place + "/d/a-name-%d" % name, ns=(OLD, OLD))
    for place in "small", "d":
        code = CODE.replace("sys.exit(main())", "import os; end = os._exit; "  # ru_maxrss would be that of those who started it, at least
                            "os._exit = lambda status: (os.write(1, open('/proc/self/status', 'rb').read().partition(b'VmHWM:')[2][:20]), end(status)); main()")
        child = subprocess.run([PYTHON, "-I", "-S", "-c", code, PACKAGE], input=world.feed([["p", WHOLE, place]]), stdout=subprocess.PIPE, check=True)
        answer, peak = [line for line in child.stdout.splitlines() if not line.startswith(b"so far: ")][:2]
        assert answer == b"equal: done"
        peaks.append(int(peak.split()[0]))
    assert sorted(os.listdir(world.target + "/d")) == sorted(os.listdir(world.source + "/d"))
    assert peaks[1] - peaks[0] < number * 200 // 1024, "%d KiB more than for nothing" % (peaks[1] - peaks[0])


def test_it_loads_nothing_that_it_may_not_need():
    code = "import sys; sys.path.insert(0, %r); import lsyncd_lite.system.equal; print(*sys.modules)" % PACKAGE
    loaded = set(subprocess.run([PYTHON, "-I", "-S", "-c", code], stdout=subprocess.PIPE, check=True).stdout.decode().split())
    assert not loaded & {"re", "subprocess", "shutil", "tempfile", "typing", "enum", "signal", "lsyncd_lite.mirror.filters"}
