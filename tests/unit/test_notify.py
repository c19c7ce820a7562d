"""What a service manager is told: the messages of sd_notify(3), when they are due, and that nothing waits for it."""

import errno
import inspect
import os
import socket
import subprocess
import sys

import pytest

from lsyncd_lite.system.supervisor import manager_of
from lsyncd_lite.system.notify import EXTEND, LATEST, LONGEST, SETTLED, SHORTEST, Manager


class World:
    """A manager of ours that listens, and what was told to the log."""

    def __init__(self, path):
        self.path, self.said = path, []
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(b"\0" + path[1:] if path.startswith(b"@") else path)
        self.ear.setblocking(False)

    def manager(self, **environ):
        environ = {name.encode(): value.encode() for name, value in environ.items()}
        return Manager({b"NOTIFY_SOCKET": self.path, **environ}, self.said.append)

    def heard(self):
        """Return the messages that have come, each as a list of its lines."""
        found = []
        while True:
            try:
                found.append(self.ear.recv(65536).decode().split("\n"))
            except BlockingIOError:
                return found


@pytest.fixture(params=["path", "abstract"])
def world(request, tmp_path):
    one = World(os.fsencode(str(tmp_path / "notify")) if request.param == "path" else b"@lsyncd-lite-test-%d" % os.getpid())
    yield one
    one.ear.close()


def test_a_start_is_told_with_its_status(world):
    world.manager().ready("1 sync: 1 idle")
    assert world.heard() == [["READY=1", "STATUS=1 sync: 1 idle"]]
    assert world.said == []


def test_a_start_that_lasts_asks_for_time_until_it_is_done(world):
    manager = world.manager()
    for now in (0.0, 1.0, EXTEND - 1, EXTEND, EXTEND + 1):
        manager.breathe(now)
    assert world.heard() == [["EXTEND_TIMEOUT_USEC=60000000"]] * 2
    manager.ready("x")
    manager.breathe(1000.0)
    assert world.heard() == [["READY=1", "STATUS=x"]] and manager.due is None


def test_a_status_is_told_when_it_has_stood_for_a_moment(world):
    manager = world.manager()
    manager.ready("a")
    world.heard()
    manager.turn(lambda: "a", 10.0)
    assert manager.due is None
    manager.turn(lambda: "b", 20.0)
    assert manager.due == 20.0 + SETTLED and not world.heard()
    manager.turn(lambda: "b", 20.0 + SETTLED)
    assert world.heard() == [["STATUS=b"]] and manager.due is None


def test_what_is_over_at_once_is_not_told(world):
    manager = world.manager()
    manager.ready("idle")
    world.heard()
    manager.turn(lambda: "syncing", 20.0)
    manager.turn(lambda: "idle", 20.5)
    assert manager.due is None
    manager.turn(lambda: "syncing", 22.0)
    assert manager.due == 22.0 + SETTLED and not world.heard()


def test_what_changes_without_end_is_told_now_and_then(world):
    manager = world.manager()
    manager.ready("0")
    world.heard()
    told = []
    for step in range(1, 201):  # 20 s, ten changes each
        manager.turn(lambda: str(step), 100.0 + step / 10)
        told += [step for _lines in world.heard()]
    assert 3 <= len(told) <= 20 / LATEST and all(later - earlier >= 10 * SETTLED for earlier, later in zip(told, told[1:]))


def test_signs_of_life_come_at_half_the_time_and_only_from_a_turn(world):
    manager = world.manager(WATCHDOG_USEC="20000000", WATCHDOG_PID=str(os.getpid()))
    manager.ready("a")
    world.heard()
    for now in (100.0, 105.0, 109.9, 110.0, 115.0, 120.0):
        manager.turn(lambda: "a", now)
    assert world.heard() == [["WATCHDOG=1"]] * 3
    assert manager.due == 130.0


@pytest.mark.parametrize("environ", [
    {}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "-5"}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "9" * 400},
    {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "me"}])
def test_no_signs_of_life_where_nobody_waits_for_ours(world, environ):
    manager = world.manager(**environ)
    manager.ready("a")
    world.heard()
    manager.turn(lambda: "a", 1e6)
    assert world.heard() == [] and manager.due is None


def test_an_impatient_watchdog_does_not_keep_the_loop_turning(world):
    manager = world.manager(WATCHDOG_USEC="1")
    manager.ready("a")
    manager.turn(lambda: "a", 100.0)
    assert manager.due == 100.0 + SHORTEST


def test_a_watchdog_that_names_nobody_means_us(world):
    manager = world.manager(WATCHDOG_USEC="2000000")
    manager.turn(lambda: "a", 5.0)
    assert ["WATCHDOG=1"] in world.heard()


def test_a_reload_is_told_with_its_time_and_its_end(world):
    manager = world.manager()
    manager.ready("a")
    manager.reloading()
    manager.ready("b")
    first, second, third = world.heard()
    assert second[0] == "RELOADING=1" and second[1].startswith("MONOTONIC_USEC=") and int(second[1][15:]) > 0
    assert third == ["READY=1", "STATUS=b"] and manager.due is None


def test_an_end_is_told_once_more_and_asks_for_time(world):
    manager = world.manager()
    manager.ready("a")
    manager.stopping("signal 15: sending what is pending")
    manager.turn(lambda: "signal 15: sending what is pending", 50.0)
    manager.turn(lambda: "signal 15: sending what is pending", 50.0 + EXTEND)
    assert world.heard()[1:] == [["STOPPING=1", "STATUS=signal 15: sending what is pending"]] + [["EXTEND_TIMEOUT_USEC=60000000"]] * 2


def test_an_end_names_the_error_that_is_to_blame(world):
    world.manager().stopping("cannot do it", errno.ENOSPC)
    assert world.heard() == [["STOPPING=1", "STATUS=cannot do it", "ERRNO=%d" % errno.ENOSPC]]


def test_a_status_is_one_line_and_not_endless(world):
    manager = world.manager()
    manager.ready("a\nREADY=0\n" + "x" * 1000)
    (lines,) = world.heard()
    assert len(lines) == 2 and lines[1].startswith("STATUS=a\\") and len(lines[1]) == len("STATUS=") + LONGEST and lines[1].endswith("...")


def test_a_daemon_that_is_not_known_yet_is_silent_until_it_is(world):
    manager = world.manager(WATCHDOG_USEC="2000000")
    manager.keep_silent()
    manager.breathe(5.0)
    manager.ready("a")
    assert world.heard() == []
    manager.turn(lambda: "a", 10.0)
    assert world.heard() == [["WATCHDOG=1"]]
    manager.turn(lambda: "a", 10.0 + SETTLED)
    assert ["STATUS=a"] in world.heard()


def test_the_starter_hands_over(world):
    world.manager().hand_over(4711)
    assert world.heard() == [["MAINPID=4711", "READY=1"]]


def test_a_manager_that_has_no_time_is_told_later_what_matters(world):
    manager = world.manager(WATCHDOG_USEC="2000000")
    while True:  # it does not read
        try:
            manager._put(b"FILL=1", 0.0)
        except BlockingIOError:
            break
    manager.ready("a")
    manager.breathe(10.0)
    assert len(world.said) == 1 and manager.due is not None
    assert {lines[0] for lines in world.heard()} == {"FILL=1"}
    manager.reloading()
    assert world.heard() == []  # in order
    manager.turn(lambda: "a", manager.due + 1e6)
    assert [lines[0] for lines in world.heard()][:2] == ["READY=1", "RELOADING=1"]


@pytest.mark.parametrize("what", ["missing", "deaf", "long", "vsock:2:1234", "relative/path"])
def test_a_manager_that_cannot_be_reached_stops_nothing_and_is_named_once(tmp_path, what):
    path = tmp_path / ("x" * 200 if what == "long" else "notify")
    if what == "deaf":
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind(str(path))
    said = []
    address = what if ":" in what or what.startswith("relative") else str(path)
    manager = Manager({b"NOTIFY_SOCKET": os.fsencode(address), b"WATCHDOG_USEC": b"2000000"}, said.append)
    manager.ready("a")
    for now in range(10):
        manager.turn(lambda: str(now), float(now))
    manager.stopping("b")
    assert len(said) == 1 and said[0].startswith("cannot tell the service manager (NOTIFY_SOCKET) how we are: ")


def test_its_loss_is_told_again_after_it_was_back(tmp_path):
    world = World(os.fsencode(str(tmp_path / "notify")))
    manager = world.manager()
    manager.ready("a")
    os.rename(world.path, world.path + b".away")
    manager.ready("b")
    manager.ready("c")
    os.rename(world.path + b".away", world.path)
    manager.ready("d")
    os.unlink(world.path)
    manager.ready("e")
    assert len(world.said) == 2 and [lines[1] for lines in world.heard()] == ["STATUS=a", "STATUS=d"]


def test_nobody_takes_what_a_manager_takes():
    """So that who tells does not ask whom."""
    def methods(kind):
        return {name: str(inspect.signature(method)) for name, method in vars(kind).items() if not name.startswith("_") and callable(method)}
    nobody, taken = manager_of({b"NOTIFY_SOCKET": b""}, None), methods(Manager)
    assert taken.pop("breathe") and nobody.breathe is None and nobody.due is None
    assert methods(type(nobody)) == taken
    nobody.turn(None, 0.0)  # it does not even ask for the status


def test_what_only_a_manager_needs_is_imported_only_where_there_is_one():
    code = ("import sys; import lsyncd_lite.cli, lsyncd_lite.daemon; from lsyncd_lite.system.supervisor import manager_of; name = 'lsyncd_lite.system.notify'\n"
            "manager_of({}, None); assert name not in sys.modules; manager_of({b'NOTIFY_SOCKET': b'/x'}, None); assert name in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)
