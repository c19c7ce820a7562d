"""Whatever comes over the control socket, the daemon mirrors all the time, and is afterwards what it was."""

import json
import os
import random
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from harness import make, sync, wait_for

SEED = int(os.environ.get("FUZZ_SEED", "0")) or random.randrange(1 << 30)
HOSTILE = int(os.environ.get("FUZZ_COUNT", "1500"))


def hostile(random):
    """Return bytes that a client might send."""
    words = [b"status", b"wait", b"flush", b"full", b"retry", b"pause", b"resume", b"release", b"reload", b"nonsense", b"__init__", b""]
    values = [b"null", b"1", b"-1", b"1e999", b"NaN", b'"www"', b'"\\ud800"', b'"\\u0000"', b"[]", b"{}", b"true", b'"' + b"x" * 5000 + b'"', b"9" * 3000, b'"all"']
    kind = random.randrange(6)
    if kind == 0:
        return bytes(random.randrange(256) for _byte in range(random.randrange(200)))
    if kind == 1:
        return random.choice([b"[", b"{\"a\":", b"\"", b"\n", b"\0", b" "]) * random.randrange(70000)
    fields = [b'"do": "%s"' % random.choice(words)] * (kind != 2)
    fields += [b'"%s": %s' % (random.choice([b"sync", b"paths", b"timeout", b"history", b"x"]), random.choice(values)) for _field in range(random.randrange(4))]
    text = b"{%s}" % b", ".join(fields)
    if kind == 3:
        text = text[:random.randrange(len(text) + 1)]
    return text + b"\n" * random.randrange(3)


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def memory(pid):
    """Return the resident KiB of a process."""
    return int(re.search(r"VmRSS:\s*(\d+)", Path("/proc/%d/status" % pid).read_text()).group(1))


def attack(path, seed, count):
    """Be many clients, of whom none is nice."""
    dice, kept = random.Random(seed), []
    for _client in range(count):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(dice.choice([0.01, 0.05]))
        try:
            sock.connect(path)
            for _request in range(dice.randrange(4)):
                sock.sendall(hostile(dice))
            if dice.random() < 0.5:
                sock.recv(dice.choice([1, 100, 100000]))
            if dice.random() < 0.2:
                sock.shutdown(socket.SHUT_WR)
        except (OSError, socket.timeout):
            pass
        if dice.random() < 0.1:
            kept.append(sock)
        else:
            sock.close()
        if len(kept) > 100:
            kept.pop(0).close()
    for sock in kept:
        sock.close()


def test_hostile_clients_hold_up_nothing_and_leave_nothing(daemon, cli, src, dst, tmp_path):
    print("FUZZ_SEED=%d" % SEED)
    one = daemon(sync(src, dst, name="www", delay=0.1), options=())
    path = str(Path(str(tmp_path) + ".run") / "daemon.sock")
    attack(path, SEED, 50)  # what is imported and made at the first use
    assert cli("resume").returncode == 0
    one.wait_idle()
    before = descriptors(one.pid), memory(one.pid)
    attackers = [threading.Thread(target=attack, args=(path, SEED + number, HOSTILE // 4)) for number in range(4)]
    for attacker in attackers:
        attacker.start()
    number = 0
    while any(attacker.is_alive() for attacker in attackers):
        number += 1
        make(src, "f%d" % (number % 20), text=str(number))
        one.kill(signal.SIGHUP)
        until = time.monotonic() + 30
        while not (dst / ("f%d" % (number % 20))).exists() or (dst / ("f%d" % (number % 20))).read_text() != str(number):
            assert one.running(), one.story()
            assert time.monotonic() < until, one.story()
            cli("resume")  # as they pause it
    assert number > 3
    assert cli("resume").returncode == 0
    one.wait_equal(src, dst)
    one.wait_idle()
    wait_for(lambda: descriptors(one.pid) == before[0], lambda: "descriptors: %d, were %d" % (descriptors(one.pid), before[0]))
    assert memory(one.pid) - before[1] < 6 << 10, (memory(one.pid), before[1])
    assert cli("wait", "-timeout", "30").returncode == 0 and "a defect" not in one.log()


def test_who_connects_and_says_nothing_keeps_out_nobody(daemon, cli, src, dst, tmp_path):
    one = daemon(sync(src, dst, name="www", delay=0.1), options=())
    path = str(Path(str(tmp_path) + ".run") / "daemon.sock")
    cli("status")
    before = descriptors(one.pid)
    socks = []
    try:
        for _number in range(500):
            socks.append(socket.socket(socket.AF_UNIX))
            socks[-1].settimeout(10)
            while True:
                try:
                    socks[-1].connect(path)
                    break
                except BlockingIOError:
                    time.sleep(0.01)
        make(src, "a")
        one.wait_path(dst / "a")
        assert cli("wait", "-timeout", "30").returncode == 0
    finally:
        for sock in socks:
            sock.close()
    wait_for(lambda: descriptors(one.pid) == before, "the descriptors of before")


def test_a_slow_reader_of_a_large_answer_holds_up_nobody(daemon, cli, src, dst, tmp_path):
    one = daemon(sync(src, dst, name="www", delay=0.1), sync(src, tmp_path / "other", name="later", delay=1000, maxDelays=100000), options=(), wait=False)
    one.wait_status("later", state="idle")
    for number in range(3000):
        (src / ("a" * 100 + str(number))).touch()
    one.wait_status("later", delays=lambda count: count >= 3000)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(str(Path(str(tmp_path) + ".run") / "daemon.sock"))
        sock.sendall(b'{"do": "status", "paths": 100000}\n')
        got = sock.recv(100)
        make(src, "b")
        one.wait_path(dst / "b")
        assert cli("status", "-json").returncode == 0
        while not got.endswith(b"\n"):
            got += sock.recv(5000)
    assert len(json.loads(got.decode())["snapshot"]["syncs"][0]["paths"]) >= 3000


def test_without_descriptors_it_mirrors_and_does_not_spin(daemon, cli, src, dst, tmp_path):
    resource = pytest.importorskip("resource")
    one = daemon(sync(src, dst, name="www", delay=0.1), options=())
    limits = resource.prlimit(one.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (descriptors(one.pid), limits[1]))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(Path(str(tmp_path) + ".run") / "daemon.sock"))
        before = ticks(one.pid)
        time.sleep(1)
        assert ticks(one.pid) - before < 20  # of 100
        resource.prlimit(one.pid, resource.RLIMIT_NOFILE, limits)
        sock.settimeout(10)
        sock.sendall(b'{"do": "status"}\n')
        assert sock.recv(10)
    make(src, "a")
    one.wait_path(dst / "a")


def ticks(pid):
    """Return the clock ticks that a process has used (proc_pid_stat(5))."""
    return sum(map(int, Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[11:13]))
