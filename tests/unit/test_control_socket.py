"""The control socket without a daemon: who may be there, what a client may do to it, what is left of it."""

import json
import os
import select
import socket
import stat
import threading
import time
from types import SimpleNamespace

import pytest

from lsyncd_lite import control, steering
from lsyncd_lite.errors import Fatal
from lsyncd_lite.system import ask
from lsyncd_lite.system import control as module


class Loop:
    """As system/loop.py, without signals."""

    def __init__(self):
        self.poll, self.callbacks = select.poll(), {}

    def add(self, fd, callback):
        self.callbacks[fd] = callback
        self.poll.register(fd, select.POLLIN)

    def remove(self, fd):
        del self.callbacks[fd]
        self.poll.unregister(fd)

    def turn(self, times=1):
        for _time in range(times):
            for fd, _events in self.poll.poll(4):
                self.callbacks[fd]()


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def path(tmp_path):
    return os.fsencode(str(tmp_path / "x.sock"))


@pytest.fixture
def serve(loop):
    """Make a Server that answers with what it was asked, and not to "later"; its requests and clients are in `.heard`."""
    made = []

    def serve(path):
        heard = []

        def answer(request, client):
            heard.append((request, client))
            return None if request["do"] == "later" else {"ok": True, "was": request}
        server = module.Server(loop, answer)
        made.append(server)
        server.heard = heard
        server.listen(path)
        return server
    yield serve
    for server in made:
        server.close()


def connected(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(5)
    sock.connect(path)
    return sock


def lines(sock, loop, count):
    """Return so many answers, or those before the end."""
    got = b""
    sock.setblocking(False)
    until = time.monotonic() + 10
    while got.count(b"\n") < count:
        assert time.monotonic() < until, got
        loop.turn()
        try:
            more = sock.recv(1 << 20)
        except BlockingIOError:
            continue
        if not more:
            break
        got += more
    return [json.loads(line.decode()) for line in got.split(b"\n")[:-1]]


def ended(sock, loop):
    """Tell whether the other end has parted from a socket."""
    until = time.monotonic() + 10
    sock.setblocking(False)
    while time.monotonic() < until:
        loop.turn()
        try:
            if not sock.recv(1 << 20):
                return True
        except BlockingIOError:
            continue
        except ConnectionResetError:
            return True
    return False


def test_requests_are_answered_in_order_one_at_a_time(serve, loop, path):
    serve(path)
    with connected(path) as sock:
        sock.sendall(b'{"do": "a"}\n{"do": "b"}\n{"do"')
        assert [line["was"]["do"] for line in lines(sock, loop, 2)] == ["a", "b"]
        sock.setblocking(True)
        sock.sendall(b': "c"}')
        sock.shutdown(socket.SHUT_WR)  # as nc -N does
        assert [line["was"]["do"] for line in lines(sock, loop, 2)] == ["c"]


def test_the_socket_is_ours_alone_and_gone_at_the_end(serve, path):
    server = serve(path)
    facts = os.lstat(path)
    assert stat.S_ISSOCK(facts.st_mode) and stat.S_IMODE(facts.st_mode) == 0o600
    server.leave()
    assert not os.path.lexists(path)


def test_what_took_our_place_stays_at_the_end(serve, path):
    server = serve(path)
    os.unlink(path)
    with open(path, "w"):
        pass
    assert not server.is_ours()
    server.leave()
    assert os.path.isfile(path)


def test_a_socket_that_was_removed_is_made_anew_for_the_same_clients(serve, loop, path):
    server = serve(path)
    with connected(path) as old:
        loop.turn()
        os.unlink(path)
        assert not server.is_ours()
        server.listen_again()
        with connected(path) as new:
            for sock in old, new:
                sock.sendall(b'{"do": "a"}\n')
                assert lines(sock, loop, 1)


def test_a_socket_on_which_nobody_answers_is_replaced(serve, loop, path):
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(path)
    serve(path)
    with connected(path) as sock:
        sock.sendall(b'{"do": "a"}\n')
        assert lines(sock, loop, 1)


def test_another_daemon_keeps_its_socket(serve, path):
    serve(path)
    facts = os.lstat(path)
    with pytest.raises(module.Occupied, match="another lsyncd-lite answers on the control socket .*x.sock"):
        serve(path)
    assert os.path.samestat(facts, os.lstat(path))


@pytest.mark.parametrize("make", [lambda path: open(path, "w").close(), os.mkdir, lambda path: os.symlink(b"/etc/passwd", path), os.mkfifo])
def test_what_is_no_socket_is_not_touched(serve, path, make):
    make(path)
    facts = os.lstat(path)
    with pytest.raises(Fatal, match="cannot make the control socket .*: there is something else, which is no socket"):
        serve(path)
    assert os.path.samestat(facts, os.lstat(path))


def test_a_directory_of_everybodys_is_refused(serve, tmp_path):
    (tmp_path / "open").mkdir()
    os.chmod(str(tmp_path / "open"), 0o777)
    with pytest.raises(Fatal, match="controlSocket: .*can be written by everybody: refused"):
        serve(os.fsencode(str(tmp_path / "open" / "x.sock")))
    with pytest.raises(Fatal, match="cannot make the control socket .*: No such file or directory"):
        serve(os.fsencode(str(tmp_path / "none" / "x.sock")))


def test_a_long_path_is_reached_by_way_of_its_directory(serve, loop, tmp_path):
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    path = os.fsencode(str(directory / "x.sock"))
    server = serve(path)
    with ask.connect(path) as sock:
        sock.sendall(b'{"do": "a"}\n')
        assert lines(sock, loop, 1)
    assert server.is_ours()
    with pytest.raises(Fatal, match="the name of the file is too long"):
        serve(os.fsencode(str(directory / ("x" * 120))))


@pytest.mark.parametrize("line, words", [
    (b"hello", "no JSON"), (b"[1]", "an object with a word"), (b'{"do": 1}', "an object with a word"), (b"\xff\xfe", "no JSON"), (b"\0", "no JSON"), (b"[" * 60000, "no JSON"), (b"{", "no JSON"),
    (b'{"do": "a"' + b" " * 70000 + b"}", "more than 65536 bytes")],
    ids=["word", "array", "number", "no text", "zero", "nested", "torn", "long"])
def test_what_is_no_request_is_answered_once_and_that_is_the_end(serve, loop, path, line, words):
    server = serve(path)
    with connected(path) as sock:
        sock.sendall(line + b"\n")
        (answer,) = lines(sock, loop, 2)
        assert words in answer["error"] and ended(sock, loop)
    assert not server.heard


def test_no_more_is_read_of_who_never_ends_a_line(serve, loop, path):
    server = serve(path)
    with connected(path) as sock:
        sock.setblocking(False)
        sent = 0
        for _time in range(200):
            try:
                sent += sock.send(b"x" * 65536)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                pass
            loop.turn()
        assert ended(sock, loop) and sent < 2 << 20
    assert not server.heard


def test_who_reads_nothing_is_asked_nothing_more(serve, loop, path):
    server = serve(path)
    with connected(path) as sock:
        sock.setblocking(False)
        request = json.dumps({"do": "a", "x": "x" * 60000}).encode() + b"\n"
        rest = b""
        for _time in range(300):
            rest = rest or request
            try:
                rest = rest[sock.send(rest):]
            except BlockingIOError:
                pass
            loop.turn()
        assert len(server.heard) < 20
        (client,) = server._clients.values()
        assert len(client.unsent) < 70000 and len(client.unread) < 140000
        server.look(time.monotonic() + module.SILENCE + 1)
        assert not server._clients


def test_who_is_silent_is_parted_from_and_who_waits_for_us_is_not(serve, loop, path):
    server = serve(path)
    with connected(path) as silent, connected(path) as waiting:
        waiting.sendall(b'{"do": "later"}\n')
        loop.turn(6)
        assert server.heard and len(server._clients) == 2
        server.look(time.monotonic() + 1)
        assert len(server._clients) == 2
        server.look(time.monotonic() + module.SILENCE + 1)
        assert ended(silent, loop)
        server.heard[0][1].send({"note": "not yet"}, True)
        server.heard[0][1].send({"ok": True})
        assert lines(waiting, loop, 2) == [{"note": "not yet"}, {"ok": True}]


def test_who_waits_and_goes_is_noticed(serve, loop, path):
    server = serve(path)
    sock = connected(path)
    sock.sendall(b'{"do": "later"}\n')
    loop.turn(4)
    ((_request, client),) = server.heard
    sock.close()
    loop.turn(2)
    assert client.gone and not server._clients
    client.send({"ok": True})  # is no harm


def test_who_comes_last_is_heard_however_many_are_silent(serve, loop, path):
    server, socks = serve(path), []
    try:
        for _time in range(500):
            socks.append(connected(path))
            loop.turn()
        assert len(server._clients) <= module.MOST
        socks[-1].sendall(b'{"do": "a"}\n')
        assert lines(socks[-1], loop, 1)
    finally:
        for sock in socks:
            sock.close()
    loop.turn(3)
    assert not server._clients


def test_who_comes_when_all_wait_is_told_so(serve, loop, path):
    serve(path)
    socks = []
    try:
        for _time in range(module.MOST):
            socks.append(connected(path))
            socks[-1].sendall(b'{"do": "later"}\n')
            loop.turn(3)
        with connected(path) as last:
            assert lines(last, loop, 1) == [{"error": "64 clients wait already"}]
    finally:
        for sock in socks:
            sock.close()


def test_without_descriptors_it_rests_and_then_goes_on(serve, loop, path, monkeypatch):
    import resource
    server = serve(path)
    sock = connected(path)
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, old[1]))
        loop.turn()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)
    assert server.due is not None and not server._clients
    turns = time.monotonic()
    loop.turn()
    assert time.monotonic() - turns > 0.002  # nothing is told meanwhile
    server.look(time.monotonic() + module.REST + 1)
    sock.sendall(b'{"do": "a"}\n')
    assert lines(sock, loop, 1)
    sock.close()


def test_others_are_refused(serve, loop, path, monkeypatch):
    serve(path)
    monkeypatch.setattr(module, "_uid", lambda sock: 4711)
    with connected(path) as sock:
        assert lines(sock, loop, 1) == [{"error": "uid 4711 may not ask this daemon"}] and ended(sock, loop)


def test_the_client_does_not_wait_for_ever(path):
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(path)
        deaf.listen(1)
        with pytest.raises(ask.Unreachable, match="no answer within 0.2 s"):
            ask.ask(path, {"do": "status"}, 0.2)
        fill = [connected(path)]
        with pytest.raises(ask.Unreachable, match="no answer within 0.2 s"):
            ask.ask(path, {"do": "status"}, 0.2)
        for sock in fill:
            sock.close()
    with pytest.raises(ask.Unreachable, match="nobody answers any more") as caught:
        ask.connect(path)
    assert caught.value.is_dead


@pytest.mark.parametrize("filename, modes, environ, expected", [
    (b"/etc/lsyncd-lite/www.conf", (), {b"RUNTIME_DIRECTORY": b"/run/lsyncd-lite@www:/run/x"}, b"/run/lsyncd-lite@www/www.sock"),
    (b"/a/lsyncd.conf.lua", (), {b"RUNTIME_DIRECTORY": b"/r"}, b"/r/lsyncd.sock"), (b"/a/x.json", (), {b"RUNTIME_DIRECTORY": b"/r"}, b"/r/x.sock"),
    (b"/a/.conf", (), {b"RUNTIME_DIRECTORY": b"/r"}, b"/r/.conf.sock"), (b"/a/x", (), {b"RUNTIME_DIRECTORY": b"/r"}, b"/r/x.sock"),
    (None, ("direct",), {b"RUNTIME_DIRECTORY": b"/r"}, b"/r/direct-%d.sock"), (b"/a/x", (), {b"RUNTIME_DIRECTORY": b"relative"}, None)])
def test_the_socket_is_called_as_the_configuration(filename, modes, environ, expected):
    config = SimpleNamespace(filename=filename, syncs=[SimpleNamespace(mode=mode) for mode in modes])
    assert control.default_path(config, environ) == (expected % os.getpid() if expected and b"%d" in expected else expected)


@pytest.mark.parametrize("uid, environ, expected", [
    (0, {}, b"/run/lsyncd-lite/x.sock"), (0, {b"XDG_RUNTIME_DIR": b"/run/user/0"}, b"/run/lsyncd-lite/x.sock"),
    (1000, {b"XDG_RUNTIME_DIR": b"/run/user/1000"}, b"/run/user/1000/lsyncd-lite/x.sock")])
def test_without_a_service_manager_it_is_where_such_things_are(uid, environ, expected, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert control.default_path(SimpleNamespace(filename=b"/x.conf"), environ) == expected


@pytest.mark.parametrize("environ, expected", [
    ({}, ["/run/lsyncd-lite", "/run/lsyncd-lite@*"]),
    ({"XDG_RUNTIME_DIR": "/run/user/1"}, ["/run/lsyncd-lite", "/run/lsyncd-lite@*", "/run/user/1/lsyncd-lite"]),
    ({"RUNTIME_DIRECTORY": "/run/lsyncd-lite@www:/run/x", "XDG_RUNTIME_DIR": "/run/user/1"}, ["/run/lsyncd-lite@www"]),
    ({"RUNTIME_DIRECTORY": "/elsewhere"}, ["/elsewhere"]),
    ({"RUNTIME_DIRECTORY": "/run/deploy"}, ["/run/lsyncd-lite", "/run/lsyncd-lite@*", "/run/deploy"]),
    ({"RUNTIME_DIRECTORY": "/run/user/1/deploy", "XDG_RUNTIME_DIR": "/run/user/1"},
     ["/run/lsyncd-lite", "/run/lsyncd-lite@*", "/run/user/1/lsyncd-lite", "/run/user/1/deploy"])])
def test_in_a_unit_of_something_else_daemons_are_where_they_always_are(environ, expected):
    assert [os.fsdecode(name) for name in ask.directories({os.fsencode(key): os.fsencode(value) for key, value in environ.items()})] == expected


def test_what_others_have_beside_it_is_no_daemon(serve, loop, path, tmp_path, monkeypatch):
    (tmp_path / "unit").mkdir()
    strange = [os.fsencode(str(tmp_path / "unit" / name)) for name in ("web.sock", "ours.sock")]
    serve(path)
    monkeypatch.setattr(ask, "sockets", lambda environ: [path, *strange])
    monkeypatch.setattr(ask, "shared", lambda environ: os.fsencode(str(tmp_path / "unit")))

    def others():
        with socket.socket(socket.AF_UNIX) as web:
            web.bind(strange[0])
            web.listen(4)
            answering.set()
            while not ended.is_set():
                with web.accept()[0] as one:
                    try:
                        one.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                    except OSError:
                        pass  # who has asked has gone
    answering, ended = threading.Event(), threading.Event()
    thread = threading.Thread(target=others)
    thread.start()
    answering.wait()
    try:
        assert steering.daemons({}) == [path]
        with pytest.raises(ask.Unreachable, match="no lsyncd-lite called web runs: "):
            steering.daemons({"socket": "web"})
    finally:
        ended.set()
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(strange[0])
        thread.join()
