"""Ports of this host: free ones, whether they answer, whose they are."""

import os
import select
import socket
import subprocess
import sys

import pytest

from lsyncd_lite.system import ports

# Listens at an address and port, in a process group of its own; with "child", a child of it does.
LISTENER = """import os, socket, sys
if sys.argv[3:] == ["child"] and os.fork(): os.wait()
one = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
if ":" in sys.argv[1]: one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
one.bind((sys.argv[1], int(sys.argv[2])))
one.listen(5)
print("listens", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def listener():
    """Start a process that listens; return its group."""
    started = []

    def start(address, port, *more):
        process = subprocess.Popen([sys.executable, "-c", LISTENER, address, str(port), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        started.append(process)
        assert process.stdout.readline() == b"listens\n"
        return process.pid
    yield start
    for process in started:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def connected(address, port):
    with ports.stream(address) as one:
        one.connect_ex((address, port))
        waiting = select.poll()
        waiting.register(one, select.POLLOUT)
        waiting.poll(5000)
        return ports.has_connected(one)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "127.0.0.2"])
def test_a_free_port_answers_once_somebody_listens(address, listener):
    port = ports.free(address)
    assert not connected(address, port)
    group = listener(address, port)
    assert connected(address, port) and ports.whose(address, port, group) is True


def test_a_socket_that_has_found_itself_has_found_nobody():
    port = ports.free("127.0.0.1")
    with ports.stream("127.0.0.1") as one:
        one.bind(("127.0.0.1", port))
        one.connect_ex(("127.0.0.1", port))
        waiting = select.poll()
        waiting.register(one, select.POLLOUT)
        waiting.poll(5000)
        assert one.getpeername() == one.getsockname() and not ports.has_connected(one)


def test_no_port_is_chosen_twice():
    taken = set()
    for _turn in range(50):
        taken.add(ports.free("127.0.0.1", taken))
    assert len(taken) == 50


def test_an_address_that_is_not_here_has_no_port():
    with pytest.raises(OSError):
        ports.free("192.0.2.1")


def test_whose_a_port_is(listener):
    port = ports.free("127.0.0.1")
    group, child = listener("127.0.0.1", port), None
    assert ports.whose("127.0.0.1", port, group) is True
    assert ports.whose("127.0.0.1", port, os.getpgid(0)) is None  # somebody may listen for us
    assert ports.whose("127.0.0.1", ports.free("127.0.0.1"), group) is None
    other = listener("::1", port)
    assert ports.whose("127.0.0.1", port, other) is False  # it has the other address of localhost only
    assert ports.whose("::1", port, other) is True
    port = ports.free("127.0.0.1")
    child = listener("0.0.0.0", port, "child")
    assert ports.whose("127.0.0.1", port, child) is True


def test_addresses_are_written_as_the_kernel_does():
    if sys.byteorder == "little":
        assert ports._hex(socket.inet_aton("127.0.0.1")) == "0100007F"
        assert ports._hex(socket.inet_pton(socket.AF_INET6, "::1")) == "00000000000000000000000001000000"
