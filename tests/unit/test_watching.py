"""Roots whose trees share an inotify instance: who reads wakes the others."""

import os
from types import SimpleNamespace

import pytest

from lsyncd_lite.daemon import Daemon
from lsyncd_lite.watch import instances
from lsyncd_lite.watching import Watched


class Log:
    def __call__(self, _category, _words):
        pass

    def shows(self, _category):
        return False


class Sync(SimpleNamespace):
    """As much of a Sync as a Watched asks for; `offered` is what it was told of."""

    def __init__(self, root):
        super().__init__(config=SimpleNamespace(name="a", source=root, monitor="auto", scanInterval=60.0), filter=SimpleNamespace(rules=[]),
                         takes_moves=False, takes_events=False, absent=False, offered=[])

    def find_source(self):
        pass

    def offer(self, _directory, names, _now):
        self.offered += names


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two roots of one instance, open."""
    monkeypatch.setattr(instances, "MOST", 1)
    monkeypatch.setattr(instances, "_instances", [])
    opened, loop = [], SimpleNamespace(wake=None, add=lambda _fd, _callback: None, remove=lambda _fd: None)
    for name in "one", "two":
        root = os.fsencode(str(tmp_path / name))
        os.mkdir(root)
        opened.append(Watched(root, [Sync(root)], False, "CloseWrite", Log(), loop, None, lambda: ()))
        opened[-1].open(True)
    yield opened
    for watched in opened:
        watched.close()


def test_what_another_has_read_ends_the_wait_until_it_is_read(two):
    one, other = two
    os.mkdir(other.root + b"/d")
    assert other.look_at is None
    assert not one.read() and other.look_at == 0.0 and one.look_at is None
    assert other.read() and other.look_at is None
    assert other.syncs[0].offered == [b"d"] and not one.syncs[0].offered


@pytest.mark.parametrize("told", [[0], [1], [0, 1], []])
def test_a_turn_of_the_loop_reads_for_all_whoever_was_told(two, told):
    for watched in two:
        os.mkdir(watched.root + b"/d")
    if not told:
        two[0].tree._inotify._shared.drain()
    turn = SimpleNamespace(_readable=[two[at] for at in told], _trees=two, _changed=False, _let_gather=lambda: None)
    Daemon._read_events(turn)
    assert turn._changed and not turn._readable
    assert [watched.syncs[0].offered for watched in two] == [[b"d"], [b"d"]] and not any(watched.has_unread for watched in two)
