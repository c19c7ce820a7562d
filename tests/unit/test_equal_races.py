"""A directory of the target is replaced by a link to elsewhere, at every moment of a run of the child of direct mode.

The run is in this process: before a chosen one of its system calls the directory is moved
away and a link to a directory with the same names put in its place.
"""

import os
import shutil
import signal
import subprocess

import pytest

from test_equal import BUSYBOX, OLD, World, state, tree, write

from lsyncd_lite.mirror import direct
from lsyncd_lite.mirror.change import FRESH, NEW, PLACE, WHOLE
from lsyncd_lite.system import attributes, equal, pinned, program, surplus, target

# What a run calls; each is a moment.
CALLS = ("access", "chmod", "chown", "fstat", "listdir", "listxattr", "lstat", "mkdir", "open", "posix_spawnp", "readlink", "rename", "rmdir",
         "scandir", "setxattr", "removexattr", "stat", "unlink", "utime")
NAMES = ("file", "same", "gone", "old", "kind", "other/x", "sub/x/y", "sub/z", "tree/deep/file", "dir/x", "new", "in", "way/x", "link -> file")


class Watched:
    """The module os for those who run, with something done before a call of theirs."""

    def __init__(self, before):
        self._before = before

    def __getattr__(self, name):
        call = getattr(os, name)
        if name not in CALLS:
            return call

        def called(*args, **named):
            self._before()
            return call(*args, **named)
        return called


class Victim:
    """A world whose directory `d` of the target somebody else may replace."""

    def __init__(self, base, fill, monkeypatch):
        os.mkdir(base)
        self.world = World(base)
        self.d, self.away, self.out = os.path.join(self.world.target, "d"), os.path.join(base, "away"), os.path.join(self.world.outside, "d")
        tree(self.out, *NAMES)
        for place in self.world.source, self.world.target:
            tree(place, *("d/" + name if " -> " not in name else "d/link -> file" for name in ("file", "same", "old", "link -> file")), "top")
            for name in "", "d":
                os.chmod(os.path.join(place, name), 0o777)
            for name in "d/same", "d/old", "top":
                os.utime(os.path.join(place, name), ns=(OLD, OLD))
        fill(self.world.source, self.world.target)
        for path, _directories, _files in os.walk(self.world.target):
            os.chmod(path, 0o777)
        for path, _directories, files in os.walk(self.world.outside):
            for name in files:
                os.utime(os.path.join(path, name), ns=(OLD - 1, OLD - 1), follow_symlinks=False)
            os.utime(path, ns=(OLD - 1, OLD - 1))
        self.precious = state(self.world.outside)
        self.calls, self.swapped, self.changes, self.replace = 0, False, (), None
        for module in equal, attributes, pinned, program, surplus, target:
            monkeypatch.setattr(module, "os", Watched(self.moment))

    def moment(self):
        if self.calls in self.changes:
            (self.replace or self.swap)()
        self.calls += 1

    def swap(self):
        """Put a link in the place of the directory, or the directory back."""
        if self.swapped:
            if os.path.islink(self.d):  # else it was replaced by what is right there
                os.unlink(self.d)
            if not os.path.lexists(self.d):
                os.rename(self.away, self.d)
            self.swapped = False
        elif os.path.isdir(self.d) and not os.path.islink(self.d):
            os.rename(self.d, self.away)
            os.symlink(self.out, self.d)
            self.swapped = True

    def run(self, records, options, changes, rules=()):
        """Do records, with a swap before each of the calls numbered in changes; return the last line, or None."""
        self.calls, self.changes = 0, changes
        moves = [(number, os.fsencode(first), os.fsencode(second), kind == "d") for number, (kind, first, second) in enumerate(records) if kind in "md"]
        places = [(number, first, os.fsencode(second)) for number, (kind, first, second) in enumerate(records) if kind == "p"]
        run = equal.Run(os.fsencode(self.world.source), os.fsencode(self.world.target), options.encode().split(), [rule.encode() for rule in rules])
        cwd, handler = os.getcwd(), signal.getsignal(signal.SIGTERM)
        try:
            run.run(moves, places)
            return run.verdict()
        except equal.Stop:
            return None
        finally:
            os.chdir(cwd)
            signal.signal(signal.SIGTERM, handler)
            if run.pins:
                run.pins.forget()
                for fd in run.pins._kept.values():
                    os.close(fd)


def write_both(source, target, name, text):
    write(os.path.join(source, name), text)
    write(os.path.join(target, name), "another")


def attributes_of(source, _target):
    os.chmod(source + "/d/same", 0o4711)
    os.utime(source + "/d/link", ns=(OLD, OLD), follow_symlinks=False)
    os.chmod(source + "/d", 0o751)
    os.utime(source + "/d", ns=(OLD, OLD))
    try:
        os.setxattr(source + "/d/same", "user.x", b"1")
    except (OSError, AttributeError):  # not on this file system, not in a Python for musl
        pass
    if os.geteuid() == 0:
        for name in "same", "link":
            os.chown(source + "/d/" + name, 12, 34, follow_symlinks=False)


# name → (what is in source and target, records, rules)
OPERATIONS = {
    "copy": (lambda s, t: write_both(s, t, "d/file", "text"), [("p", FRESH, "d/file")], ()),
    "copy new ones": (lambda s, t: (tree(s, "d/new", "top2"), os.mkfifo(s + "/d/in")), [("p", FRESH, "d/new"), ("p", FRESH, "top2"), ("p", PLACE, "d/in")], ()),
    "attributes": (attributes_of, [("p", PLACE, "d/same"), ("p", PLACE, "d/link"), ("p", PLACE, "d")], ()),
    "remove": (lambda s, t: tree(t, "d/gone", "d/sub/x/y", "d/sub/z"), [("p", PLACE, "d/gone"), ("p", WHOLE, "d/sub")], ()),
    "remove with rules": (lambda s, t: tree(t, "d/sub/x/y", "d/sub/z"), [("p", WHOLE, "d/sub")], ("- *.key",)),
    "remove it all": (lambda s, t: (shutil.rmtree(s + "/d"), tree(t, "d/sub/x/y")), [("p", WHOLE, "d")], ()),
    "make": (lambda s, t: (tree(s, "d/dir/"), tree(s, "d/sub/x/y")), [("p", PLACE, "d/dir"), ("p", FRESH, "d/sub/x/y")], ()),
    "whole tree": (lambda s, t: tree(s, "d/tree/deep/file", "d/tree/link -> /", "d/other/x"), [("p", WHOLE | NEW, "d/tree"), ("p", WHOLE, "d/other")], ()),
    "whole directory": (lambda s, t: (tree(s, "d/tree/deep/file", "d/way", "d/kind/x", "d/new"), tree(t, "d/way/x", "d/kind", "d/gone", "d/sub/z")),
                        [("p", WHOLE, "d")], ()),
    "whole root": (lambda s, t: (tree(s, "d/tree/deep/file", "d/new", "d/dir/"), tree(t, "d/dir/x", "d/sub/z")), [("p", WHOLE, "")], ()),
    "rename": (lambda s, t: (os.rename(s + "/d/old", s + "/out"), os.rename(s + "/top", s + "/d/in")),
               [("m", "d/old", "out"), ("m", "top", "d/in"), ("p", PLACE, "d"), ("p", PLACE, "")], ()),
    "rename a directory": (lambda s, t: (tree(s, "d/dir/x", "sub/z"), tree(t, "dir/x", "d/sub/z")),
                           [("d", "d/sub", "sub"), ("d", "dir", "d/dir"), ("p", PLACE, "d"), ("p", PLACE, "")], ()),
}
WAYS = {"gnu": "gnu", "atomic": "gnu atomic", "busybox": ""}
MOMENTS = int(os.environ.get("EQUAL_MOMENTS", 8))  # tried of each run; a large number: all, in some minutes


@pytest.mark.parametrize("way, toggles", [("gnu", False), ("gnu", True), ("atomic", False), ("busybox", False)])
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_nothing_elsewhere_is_touched_whenever_a_directory_is_replaced_by_a_link(operation, way, toggles, tmp_path, monkeypatch):
    if way == "busybox":
        if not BUSYBOX:
            pytest.skip("no busybox here")
        (tmp_path / "bin").mkdir()
        for name in "cp", "rm":
            (tmp_path / "bin" / name).symlink_to(BUSYBOX)
        monkeypatch.setenv("PATH", str(tmp_path / "bin") + os.pathsep + os.environ["PATH"])
    fill, records, rules = OPERATIONS[operation]
    options = ("delete " + WAYS[way]).strip()
    base = str(tmp_path / "world")

    def tried(changes):
        """Return (calls, whether it was a link in the end) of a run with swaps; once these are over, one more makes all equal."""
        victim = Victim(base, fill, monkeypatch)
        victim.run(records, options, changes, rules)
        assert state(victim.world.outside) == victim.precious, "swapped before %s" % changes
        found = victim.calls, victim.swapped
        if victim.swapped:
            victim.swap()
        assert victim.run([("p", WHOLE | FRESH, "")], options, (), rules) == "equal: done"
        victim.world.same()
        shutil.rmtree(base)
        return found
    calls, _swapped = tried(())
    assert calls > 15
    moments = range(0, calls, max(1, calls // MOMENTS))
    swapped = [tried({at, at + 2} if toggles else {at})[1] for at in moments]
    assert toggles or any(swapped)


@pytest.mark.parametrize("kind", ["symlink", "link"])
def test_attributes_are_not_given_to_what_has_taken_the_place_of_a_file(kind, tmp_path, monkeypatch):
    fill, records, _rules = OPERATIONS["attributes"]
    base, at = str(tmp_path / "world"), 0
    while True:
        victim = Victim(base, fill, monkeypatch)

        def replace():
            os.unlink(victim.d + "/same")
            getattr(os, kind)(victim.out + "/same", victim.d + "/same")
            victim.precious = state(victim.world.outside)  # a link more has changed its ctime only
        victim.replace = replace
        last = victim.run(records, "delete gnu", {at})
        assert state(victim.world.outside) == victim.precious, "replaced before call %d" % at
        shutil.rmtree(base)
        if victim.calls <= at:
            break
        assert last in ("equal: done", "equal: failed 0")
        at += 1
    assert at > 20


@pytest.mark.parametrize("way", ["gnu", "atomic"])
def test_nothing_elsewhere_is_touched_when_our_own_directory_is_replaced_by_a_link(way, tmp_path, monkeypatch):
    fill, records, _rules = OPERATIONS["copy new ones"]
    base, at, replaced = str(tmp_path / "world"), 0, 0
    while True:
        victim = Victim(base, fill, monkeypatch)
        work = os.path.join(victim.world.target, ".lsyncd-lite.%d" % os.getpid())
        tree(victim.world.outside, "1/d/new", "1/top2")
        victim.precious = state(victim.world.outside)

        def replace():
            if os.path.isdir(work):
                os.rename(work, victim.away)
                os.symlink(victim.world.outside, work)
        victim.replace = replace
        victim.run(records, "delete " + WAYS[way], {at})
        replaced += os.path.islink(work)
        assert state(victim.world.outside) == victim.precious, "replaced before call %d" % at
        over = victim.calls <= at
        shutil.rmtree(base)
        if over:
            break
        at += 1
    assert replaced > 10


def test_the_shell_around_a_cp_stays_in_the_directory_that_it_has_entered(tmp_path):
    """The cp itself moves it away and puts a link in its place before it begins."""
    for name in "s/d", "t/d", "outside":
        os.makedirs(str(tmp_path / name))
    tree(str(tmp_path), "s/d/f", "outside/f")
    before = state(str(tmp_path / "outside"))
    script = tmp_path / "cp"
    script.write_text('#!/bin/sh\nmv "$T/t/d" "$T/away" && ln -s ../outside "$T/t/d" && exec cp "$@"\n')
    script.chmod(0o755)
    top = str(tmp_path)
    argv = ["sh", "-c", direct._COPY, "sh", top + "/t/", "d", top + "/s/d", top + "/cp", top + "/s/d/f"]
    subprocess.run(argv, env=dict(os.environ, T=top), check=True)
    assert state(str(tmp_path / "outside")) == before and os.listdir(top + "/away") == ["f"]
