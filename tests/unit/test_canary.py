"""When a canary counts as arrived, what is written into, and what is left alone."""

import os
import re
import socket
import stat
import threading
from types import SimpleNamespace

import pytest

from lsyncd_lite import canary
from lsyncd_lite.canary import Arrival, Canaries, touch
from lsyncd_lite.errors import ConfigError
from lsyncd_lite.mirror.change import FRESH, LITTER, PLACE, WHOLE

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n")


def config(**keys):
    return SimpleNamespace(**dict(dict(name="one", mode="rsync", source=b"/src", target=b"/dst", canary="d/.c", canaryInterval=60.0, delay=15.0,
                                       scanInterval=60.0, requireMarker=None, allowEmptySource=False, rules=[], extra_rules=[]), **keys))


def arrival(*touches, **keys):
    one = Arrival(config(**keys))
    for at in touches:
        one.touched(at)
    return one


def known(one, now=1000.0):
    facts = one.facts(now)
    return facts["age"], facts["lag"]


# ---- arrival -----------------------------------------------------------------------------------

@pytest.mark.parametrize("entries, arrives", [
    ([(b"d/.c", FRESH)], True), ([(b"d/.c", PLACE)], True), ([(b"", WHOLE)], True), ([(b"d", WHOLE | FRESH)], True),
    ([(b"x", FRESH), (b"d/.c", FRESH)], True), ([(b"", PLACE)], False), ([(b"d", PLACE)], False), ([(b"d", LITTER)], False),
    ([(b"d/.cx", FRESH)], False), ([(b"d/.", WHOLE)], False), ([(b"e", WHOLE)], False), ([], False)])
def test_what_a_job_has_to_be_about(entries, arrives):
    one = arrival(100.0)
    one.sent(entries, 110.0, 112.0)
    assert known(one) == ((None, 12.0) if arrives else (900.0, None))


@pytest.mark.parametrize("touches, jobs, result", [
    ([100.0], [], (900.0, None)),
    ([100.0], [(99.0, 150.0)], (900.0, None)),                     # it may have read the file before
    ([100.0], [(100.0, 101.0)], (None, 1.0)),
    ([100.0, 160.0, 220.0], [(230.0, 231.0)], (None, 131.0)),      # the lag is that of the first
    ([100.0, 160.0], [(110.0, 170.0)], (890.0, 70.0)),             # the second is still on its way
    ([100.0, 160.0], [(110.0, 170.0), (175.0, 176.0)], (None, 66.0)),
])
def test_the_age_is_that_of_the_first_touch_that_has_not_arrived(touches, jobs, result):
    one = arrival(*touches)
    for began, ended in jobs:
        one.sent([(b"d/.c", FRESH)], began, ended)
    assert known(one) == result


def test_a_job_that_ends_before_the_touch_is_told_counts():
    """A thread writes, and its word may come later than the job's end."""
    one = arrival()
    one.sent([(b"d/.c", FRESH)], 100.5, 101.0)
    one.touched(100.0)
    assert known(one) == (None, 1.0)
    one.touched(102.0)
    assert known(one) == (898.0, 1.0)


def test_it_is_late_after_what_its_way_may_take():
    one = arrival(100.0)
    limit = 15 + 60 + 2 * 60 + canary.GRACE
    assert not one.facts(100 + limit)["late"] and one.facts(101 + limit)["late"]
    one.sent([(b"d/.c", FRESH)], 101, 500)
    assert not one.facts(9999)["late"]


# ---- the file ----------------------------------------------------------------------------------

@pytest.fixture
def src(tmp_path):
    (tmp_path / "src" / "d").mkdir(parents=True)
    return tmp_path / "src"


def do(src, file=b"d/.c", markers=(), may_be_empty=False):
    facts = os.stat(str(src))
    return touch(os.fsencode(str(src)), file, (facts.st_dev, facts.st_ino), markers, may_be_empty)


def test_it_is_made_with_the_time_in_it_and_rewritten_in_place(src):
    old = os.umask(0o022)
    try:
        do(src)
    finally:
        os.umask(old)
    facts = (src / "d/.c").stat()
    assert STAMP.fullmatch((src / "d/.c").read_text()) and stat.S_IMODE(facts.st_mode) == 0o644
    do(src)
    again = (src / "d/.c").stat()
    assert again.st_ino == facts.st_ino and again.st_mtime_ns > facts.st_mtime_ns
    (src / "d/.c").write_text("")  # as a full disk may have left it
    do(src)
    assert STAMP.fullmatch((src / "d/.c").read_text())


@pytest.mark.parametrize("make, words", [
    (lambda at, _out: at.mkdir(), "no plain file"),
    (lambda at, _out: os.mkfifo(str(at)), "no plain file"),
    (lambda at, out: at.symlink_to(out / "f"), "no plain file"),
    (lambda at, out: at.symlink_to(out / "new"), "no plain file"),
    (lambda at, out: os.link(str(out / "empty"), str(at)), "no plain file"),
    (lambda at, _out: at.write_text("precious"), "not ours"),
    (lambda at, _out: at.write_text("2026-01-01T00:00:00Z\nand more\n"), "not ours"),
    (lambda at, _out: at.write_bytes(bytes(21)), "not ours"),
    (lambda at, _out: at.write_text("x" * 100000), "not ours"),
])
def test_nothing_is_done_to_what_is_not_ours(src, tmp_path, make, words):
    out = tmp_path / "out"
    out.mkdir()
    (out / "f").write_text("secret")
    (out / "empty").write_text("")
    make(src / "d/.c", out)
    before = (src / "d/.c").read_bytes() if (src / "d/.c").is_file() else None
    with pytest.raises(OSError, match=words):
        do(src)
    assert (out / "f").read_text() == "secret" and (out / "empty").read_text() == "" and not (out / "new").exists()
    assert before is None or (src / "d/.c").read_bytes() == before


def test_a_socket_is_left_alone(src, monkeypatch):
    monkeypatch.chdir(src / "d")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(".c")
        with pytest.raises(OSError, match="no plain file"):
            do(src)


def test_no_link_on_the_way_is_followed_and_no_directory_made(src, tmp_path):
    (tmp_path / "out").mkdir()
    (src / "link").symlink_to(tmp_path / "out")
    for file in b"link/.c", b"missing/.c":
        with pytest.raises(OSError):
            do(src, file)
    assert not any((tmp_path / "out").iterdir()) and {path.name for path in src.iterdir()} == {"d", "link"}


@pytest.mark.parametrize("made", [False, True], ids=["missing", "there already"])
def test_an_empty_source_stays_empty_unless_it_may_be(src, made):
    (src / "d").rmdir()
    if made:
        do(src, b".c", may_be_empty=True)
        do(src, b".c")  # what is there is touched
        assert STAMP.fullmatch((src / ".c").read_text())
        return
    with pytest.raises(OSError, match="the source is empty"):
        do(src, b".c")
    assert not any(src.iterdir())


def test_what_is_not_the_source_is_left_alone(src, tmp_path):
    root = os.fsencode(str(src))
    assert touch(root, b"d/.c", (1, 2), (), False) is None
    assert do(src, markers=[b".here"]) is None and do(src, markers=[b"d/.c"]) is None
    (src / "f").write_text("x")
    assert touch(root + b"/f", b".c", (), (), False) is None and touch(root + b"/none", b".c", (), (), False) is None
    assert not (src / "d/.c").exists()
    (src / ".here").symlink_to("nowhere")
    assert do(src, markers=[b".here"]) is not None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_what_may_not_be_written_says_so(src):
    (src / "d").chmod(0o555)
    with pytest.raises(PermissionError):
        do(src)


# ---- all of them -------------------------------------------------------------------------------

class Log(list):
    def __call__(self, category, words):
        self.append((category, words))


class World:
    """Canaries with a watched root that is really there."""

    def __init__(self, src):
        facts = os.stat(str(src))
        self.src, self.log, self.woken = src, Log(), threading.Event()
        self.canaries = Canaries(self.woken.set, self.log)
        self.watched = SimpleNamespace(root=os.fsencode(str(src)), is_silent=False, syncs=[],
                                       tree=SimpleNamespace(identity=(facts.st_dev, facts.st_ino)))

    def use(self, *configs):
        self.watched.syncs = [SimpleNamespace(config=config(source=self.watched.root, **keys), canary=None, gone=set()) for keys in configs]
        self.canaries.use(self.watched.syncs)
        return self.watched.syncs

    def turn(self, now, answer=True):
        """Touch what is due, and take the answer."""
        self.woken.clear()
        self.canaries.turn([self.watched], now)
        if answer:
            assert self.woken.wait(10)
            return self.canaries.turn([self.watched], now)
        return None


@pytest.fixture
def world(src):
    return World(src)


def ages(syncs):
    return [sync.canary.facts(1e12)["age"] is not None for sync in syncs]


def test_syncs_of_one_file_share_a_touch(world):
    syncs = world.use({"target": b"/a", "canaryInterval": 60.0}, {"target": b"/b", "canaryInterval": 20.0}, {"target": b"/c", "canary": None})
    assert world.turn(1e9) and world.canaries.due == 1e9 + 20
    assert ages(syncs[:2]) == [True, True] and syncs[2].canary is None
    first = (world.src / "d/.c").stat().st_mtime_ns
    assert not world.turn(1e9 + 19, answer=False) and (world.src / "d/.c").stat().st_mtime_ns == first
    world.turn(1e9 + 20)
    assert (world.src / "d/.c").stat().st_mtime_ns > first


def test_what_goes_wrong_is_told_once_and_when_it_is_over(world):
    (world.src / "d").rmdir()
    (world.src / "other").write_text("x")
    sync, = world.use({})
    for turn in range(3):
        world.turn(1e9 + 60 * turn)
    assert "No such file" in sync.canary.facts(0)["trouble"] and ages([sync]) == [False]
    (world.src / "d").mkdir()
    world.turn(1e9 + 180)
    assert sync.canary.facts(0)["trouble"] is None and ages([sync]) == [True]
    assert [category for category, _words in world.log] == ["Error", "Normal"], world.log


@pytest.mark.parametrize("lack", ["no tree", "silent", "unmounted", "replaced"])
def test_without_its_source_nothing_is_written_and_nothing_said(world, lack):
    sync, = world.use({})
    if lack == "no tree":
        world.watched.tree = None
    elif lack == "silent":
        world.watched.is_silent = True
    elif lack == "unmounted":
        sync.gone.add(b"d")
    else:
        world.watched.tree.identity = (0, 0)
    world.turn(1e9, answer=lack == "replaced")
    assert not (world.src / "d/.c").exists() and not world.log and ages([sync]) == [False]


def test_a_file_system_that_is_stuck_is_said_once_and_holds_up_nothing(world, monkeypatch):
    held = threading.Event()
    monkeypatch.setattr(canary, "touch", lambda *_args: held.wait(30) and 123.0)
    sync, = world.use({})
    for turn in range(3):
        world.turn(1e9 + 60 * turn, answer=False)
    assert "does not answer" in sync.canary.facts(0)["trouble"] and len(world.log) == 1
    held.set()
    assert world.woken.wait(10)
    world.canaries.turn([world.watched], 1e9 + 121)
    assert sync.canary.facts(0)["trouble"] is None and ages([sync]) == [True]


def test_it_goes_on_after_a_reload_and_begins_anew_with_another_file(world):
    world.use({}, {"target": b"/b"})
    world.turn(1e9)
    again, = world.use({})
    assert ages([again]) == [True] and world.canaries.due <= 1e9 + 60
    other, = world.use({"canary": "d/.other"})
    assert ages([other]) == [False]
    world.use({"canary": None})
    assert world.canaries.due is None
    world.use({})
    world.canaries.stop()
    assert world.canaries.due is None


# ---- configurations ----------------------------------------------------------------------------

def test_one_that_would_never_arrive_is_refused():
    syncs = [config(), config(rules=[("-", b"*.c", "file:3")]), config(canary=None, rules=[("-", b"*", "file:9")]),
             config(rules=[("-", b"/d/", "file:5")]), config(rules=[("+", b".c", "file:1"), ("-", b"*.c", "file:2")]), config(mode="script")]
    with pytest.raises(ConfigError) as refused:
        canary.check(SimpleNamespace(syncs=syncs, warnings=[]))
    assert [line.split(": ", 2)[2] for line in refused.value.lines] == [
        "d/.c is excluded by - *.c (file:3)", "d/.c is excluded by - /d/ (file:5)",
        "mode script is told of changes, and mirrors what it likes; allowed: modes rsync, rsyncssh, direct"]
