"""Trees that share an inotify instance: whose event is whose, and what is still watched when one lets go."""

import errno
import os
import select

import pytest

from lsyncd_lite.watch import instances
from lsyncd_lite.watch.inotify import (
    IN_CREATE, IN_DELETE_SELF, IN_IGNORED, IN_ISDIR, IN_MOVED_TO, IN_ONLYDIR, IN_Q_OVERFLOW, Inotify, parse_events)
from lsyncd_lite.watch.tree import Tree
from test_inotify import event

MASK = IN_CREATE | IN_DELETE_SELF | IN_ONLYDIR
MADE = IN_CREATE | IN_ISDIR


@pytest.fixture
def here(tmp_path, monkeypatch):
    """All that is opened shares one instance, unless a test says otherwise."""
    monkeypatch.setattr(instances, "MOST", 1)
    monkeypatch.setattr(instances, "_instances", [])
    monkeypatch.chdir(tmp_path)
    for name in "both", "mine", "yours":
        os.mkdir(name)


class Holder:
    """A port as a tree has it."""

    def __init__(self, *names, mask=MASK):
        self.known = {}
        self.port = instances.port(mask, self.known)
        for name in names:
            self.watch(name, mask)

    def watch(self, name, mask=MASK):
        self.known[self.port.add(os.fsencode(name), mask)] = name

    def drop(self, name):
        wd = next(wd for wd in self.known if self.known[wd] == name)
        self.port.remove(wd)
        del self.known[wd]

    def read(self):
        """Return [(directory, mask, name)]."""
        return [(self.known.get(wd), mask, name) for wd, mask, _cookie, name in parse_events(self.port.read())]


def is_readable(port):
    return bool(select.select([port.fd], [], [], 0)[0])


def test_each_is_told_of_its_own_and_both_of_what_both_watch_in_order(here):
    me, you = Holder("mine", "both"), Holder("yours", "both")
    for path in "mine/a", "both/b", "yours/c", "both/d", "mine/e":
        os.mkdir(path)
    assert is_readable(me.port) and is_readable(you.port) and not you.port.waiting
    assert me.read() == [("mine", MADE, b"a"), ("both", MADE, b"b"), ("both", MADE, b"d"), ("mine", MADE, b"e")]
    assert not is_readable(you.port) and you.port.waiting and not me.port.waiting
    os.mkdir("yours/f")
    assert me.read() == []
    assert you.read() == [("both", MADE, b"b"), ("yours", MADE, b"c"), ("both", MADE, b"d"), ("yours", MADE, b"f")]
    assert you.read() == [] and not you.port.waiting


def test_what_one_does_not_want_any_more_is_watched_until_the_other_does_not_either(here):
    me, you = Holder("both"), Holder("both")
    me.drop("both")
    os.mkdir("both/a")
    assert (me.read(), you.read()) == ([], [("both", MADE, b"a")])
    me.watch("both")
    assert list(me.known) == list(you.known)  # the kernel has one wd for both
    you.drop("both")
    os.mkdir("both/b")
    assert (me.read(), you.read()) == ([("both", MADE, b"b")], [])
    me.drop("both")
    os.mkdir("both/c")
    assert (me.read(), you.read()) == ([], [])


def test_that_a_directory_is_gone_is_told_to_all_who_watch_it(here):
    me, you, other = Holder("both"), Holder("both"), Holder("yours")
    os.rmdir("both")
    gone = [("both", IN_DELETE_SELF, b""), ("both", IN_IGNORED, b"")]
    assert (me.read(), you.read(), other.read()) == (gone, gone, [])
    me.drop("both")  # gone already
    os.mkdir("both")
    me.watch("both")
    os.mkdir("both/a")
    assert (me.read(), you.read()) == ([("both", MADE, b"a")], [])


def test_an_overflow_is_told_to_all(here, monkeypatch):
    holders = [Holder("both"), Holder("both"), Holder()]
    parts = [event(-1, IN_Q_OVERFLOW), b""]
    monkeypatch.setattr(Inotify, "read", lambda _self: parts.pop(0) if parts else b"")
    assert [holder.read() for holder in holders] == [[(None, IN_Q_OVERFLOW, b"")]] * 3


def test_one_that_closes_takes_from_the_others_neither_watches_nor_events(here):
    me, you = Holder("mine", "both"), Holder("yours", "both")
    for path in "mine/a", "both/b", "yours/c":
        os.mkdir(path)
    me.port.close()
    for path in "mine/d", "both/e", "yours/f":
        os.mkdir(path)
    assert you.read() == [("both", MADE, b"b"), ("yours", MADE, b"c"), ("both", MADE, b"e"), ("yours", MADE, b"f")]
    wd = you.port.add(b"mine", MASK)
    assert wd not in me.known  # its watch was given up
    other = Holder("mine")  # the last closes it all, and nothing is left
    you.port.close()
    os.mkdir("mine/g")
    assert other.read() == [("mine", MADE, b"g")]
    other.port.close()
    assert instances._instances == []


def test_many_watches_that_are_given_up_do_not_overflow_the_queue_of_the_others(here):
    with open("/proc/sys/fs/inotify/max_queued_events") as file:
        number = int(file.read())
    if number > 20000:
        pytest.skip("fs.inotify.max_queued_events is %d" % number)
    me, you = Holder(), Holder("yours")
    for name in range(number + 100):
        os.mkdir("mine/%d" % name)
        me.watch("mine/%d" % name)
    me.port.close()
    assert you.read() == []


def test_instances_are_opened_until_there_are_many_and_then_the_one_with_the_fewest_is_shared(here, monkeypatch):
    monkeypatch.setattr(instances, "MOST", 3)
    holders = [Holder() for _number in range(7)]
    assert sorted(len(shared.ports) for shared in instances._instances) == [2, 2, 3]
    other = Holder("both", mask=MASK | IN_MOVED_TO)  # two masks for one wd would replace each other
    assert sorted(len(shared.ports) for shared in instances._instances) == [1, 2, 2, 3]
    for holder in holders[3:] + [other]:
        holder.port.close()
    assert [len(shared.ports) for shared in instances._instances] == [1, 1, 1]


def test_where_there_is_no_further_instance_one_that_is_there_is_shared(here, monkeypatch):
    monkeypatch.setattr(instances, "MOST", 9)
    real = Inotify.__init__

    def fail(_self):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    monkeypatch.setattr(Inotify, "__init__", fail)
    with pytest.raises(OSError):
        Holder()
    monkeypatch.setattr(Inotify, "__init__", real)
    me = Holder("mine")
    monkeypatch.setattr(Inotify, "__init__", fail)
    you = Holder("yours")
    os.mkdir("yours/a")
    assert (me.read(), you.read(), len(instances._instances)) == ([], [("yours", MADE, b"a")], 1)
    with pytest.raises(OSError):
        Holder(mask=MASK | IN_MOVED_TO)


def test_without_a_descriptor_nothing_is_left_open(here, monkeypatch):
    before = os.listdir("/proc/self/fd")

    def fail(_fd):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    monkeypatch.setattr(os, "dup", fail)
    with pytest.raises(OSError):
        Holder()
    assert instances._instances == [] and os.listdir("/proc/self/fd") == before


def test_trees_that_share_an_instance_follow_what_moves_between_them(here):
    os.makedirs("mine/d/e")
    me, you = (Tree(os.path.abspath(name).encode(), "CloseWrite") for name in ("mine", "yours"))
    os.rename("mine/d", "yours/d")
    assert me.read() and me.watched == 1 and you.has_unread
    assert [set(step) for step in you.read()] == [{you.root}] and you.watched == 3
    os.mkdir("yours/d/e/f")
    assert me.read() == [] and [set(step) for step in you.read()] == [{you.root + b"/d/e"}]
    os.rename("yours/d", "mine/d")  # the other way round in reading: who gets it is told first
    assert me.read() and me.watched == 4
    assert you.read() and you.watched == 1
    os.mkdir("mine/d/e/f/g")
    assert [set(step) for step in me.read()] == [{me.root + b"/d/e/f"}] and you.read() == []
    me.close()
    you.close()
    assert instances._instances == []


def test_a_tree_without_its_root_leaves_no_watch(here):
    root = os.path.abspath("mine").encode()
    first = Tree(root, "CloseWrite")
    again = Tree(root, "CloseWrite")  # as a reload does that changes the filters
    first.close()
    os.mkdir("mine/a")
    assert [set(step) for step in again.read()] == [{root}]
    with pytest.raises(OSError):
        Tree(root + b"/missing", "CloseWrite")
    assert [len(shared.ports) for shared in instances._instances] == [1]
    os.rename("mine", "elsewhere")
    again.read()
    assert again.lost
    again.close()
