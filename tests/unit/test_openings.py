"""The processes of tunnels, where what they need of the host is not there."""

import errno
import os
import signal
import time

import pytest

from lsyncd_lite.config import commands
from lsyncd_lite.mirror.sync import Sync
from lsyncd_lite.mirror.tunnel import Phase
from lsyncd_lite.system import ports
from lsyncd_lite.system.loop import Loop
from lsyncd_lite.system.process import Children
from lsyncd_lite.tunnels import HEARD, Openings
from world import config


class Mode:
    def probe(self):
        return None


class Host:
    """Openings of one sync, with a loop and real children."""

    def __init__(self, command, nice=None, **table):
        self.loop, self.lines = Loop([signal.SIGCHLD]), []
        log = self
        self.children = Children(self.loop, lambda tag, line: self.openings.on_line(tag[0], line))
        self.openings = Openings(self.loop, log, self.children)
        values = dict({"command": commands.parse(command), "mode": "command", "parallel": 1, "readyDelay": 20.0, "retryDelay": 1000.0, "localhost": "localhost"}, **table)
        self.sync = Sync(config(tunnel=values, init=False, nice=nice), Mode(), 0, 0, lambda: 0)
        self.openings.use([self.sync], time.monotonic())

    def __call__(self, category, words):
        self.lines.append((category, words))

    def shows(self, _category):
        return False

    def until(self, condition):
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, self.lines
            self.openings.turn(time.monotonic())
            self.loop.wait(time.monotonic() + 0.05)
            self.reap()

    def reap(self):
        for (sync, tunnel), status, lines in self.children.reap():
            self.openings.ended(sync, tunnel, status, lines)

    @property
    def tunnel(self):
        return self.sync.tunnels.all[0]


@pytest.fixture
def host():
    before, made = signal.getsignal(signal.SIGCHLD), []

    def make(*args, **table):
        made.append(Host(*args, **table))
        return made[-1]
    yield make
    for one in made:
        one.openings.close(one.reap)
        assert not len(one.children)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, before)


LISTENS = "exec python3 -c 'import socket, sys; one = socket.socket(); one.bind((\"127.0.0.1\", int(sys.argv[1]))); one.listen(5); sys.stdin = open(0); import time; time.sleep(1000)' ^localport"


def test_a_port_is_tried_again_when_there_is_a_descriptor(host, monkeypatch):
    one = host(LISTENS)
    one.until(lambda: one.tunnel.phase is Phase.OPENING)
    real, tried = ports.stream, []

    def stream(address):
        tried.append(address)
        if len(tried) < 3:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(address)
    monkeypatch.setattr(ports, "stream", stream)
    one.until(lambda: one.tunnel.phase is Phase.READY)
    assert len(tried) >= 3


def test_without_a_port_there_is_no_process(host):
    one = host(LISTENS, localhost="192.0.2.1")
    one.until(lambda: one.sync.last_error)
    assert one.sync.last_error == "the tunnel has no port at 192.0.2.1: Cannot assign requested address" and not len(one.children)
    assert one.lines == [("Error", "www: %s; tried again every 1000 s" % one.sync.last_error)]


def test_it_is_as_gentle_as_what_it_carries(host):
    one = host("read -r x < /proc/$$/stat; echo ${x##*)} | cut -d ' ' -f 17; : ^localport; exit 3", nice=7)
    one.until(lambda: one.sync.last_error)
    assert one.sync.last_error == "the tunnel ended with 3: %d" % (os.nice(0) + 7)


def test_one_that_talks_without_end_does_not_fill_the_log(host):
    one = host("i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i; done; echo 1; : ^localport; exit 3")
    one.until(lambda: one.sync.last_error)
    shown = [words for category, words in one.lines if category == "Normal"]
    assert shown == ["www: tunnel: %d" % number for number in range(1, HEARD + 1)]
    assert one.sync.last_error == "the tunnel ended with 3: 1"


def test_one_whose_trial_hangs_ends_with_it(host):
    one = host("trap 'exit 5' TERM; : ^localport; sleep 1000 & wait", readyDelay=0.3)
    one.until(lambda: one.sync.last_error)
    assert one.sync.last_error == "no tunnel: its port does not answer within 0.3 s" and one.tunnel.phase is Phase.DOWN
    assert not one.openings._trials and not one.openings._groups
