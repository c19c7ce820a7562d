"""Tunnels: ssh -L to an rsync daemon, in both modes, when they break, end, change, or never open."""

import os
import re
import signal
import sys

import pytest

from harness import make, names, processes, sync, wait_for
from servers import Rsyncd, free_port

FORWARDS = "-o ExitOnForwardFailure=yes -L 127.0.0.1:^localport:127.0.0.1:%d"


@pytest.fixture
def rsyncd(tmp_path):
    folder = tmp_path / "rsyncd"
    folder.mkdir()
    one = Rsyncd(folder)
    yield one
    one.stop()


@pytest.fixture
def through(rsyncd, src):
    """Make a sync that goes through an sshd to the rsync daemon: `through(ssh)`; keys of `tunnel`, and others."""
    def made(ssh, tunnel=None, command=None, **keys):
        table = dict({"command": command or "%s -N %s %s" % (ssh.rsh, FORWARDS % rsyncd.port, ssh.host), "retryDelay": 0.3}, **tunnel or {})
        return sync(src, "rsync://127.0.0.1:^localport/data", "www", tunnel=table, **keys)
    return made


def tunnels(tmp_path):
    """Return the pids of what runs as a tunnel."""
    return [pid for pid, line in processes(tmp_path).items() if re.match(r"ssh .*-L ", line)]


def connects(rsyncd):
    """Return how often the rsync daemon was asked for a file list."""
    return (rsyncd.home / "log").read_text(errors="replace").count("rsync to data")


def test_an_rsync_daemon_is_reached_and_the_tunnel_ends_with_us(ssh, through, daemon, rsyncd, src, tmp_path):
    make(src, "a", "d/b")
    one = daemon(through(ssh))
    one.wait_equal(src, rsyncd.folder)
    (pid,) = tunnels(tmp_path)
    make(src, "c")
    (src / "a").unlink()
    one.wait_equal(src, rsyncd.folder)
    assert tunnels(tmp_path) == [pid]  # one serves all
    assert re.search(r'Exec: www: tunnel: /bin/sh -c ssh .*-L 127.0.0.1:"?\$\{1\}"?:127', one.log()) and re.search(r"rsync://127.0.0.1:\d+/data", one.log())
    assert "^localport/data/ " not in one.log() and one.stop() == 143
    assert not processes(tmp_path) and not any("tunnel" in line and " Error" in line for line in one.log().splitlines())


@pytest.mark.parametrize("form", ["lua", "json"])
def test_as_lsyncd_writes_it(form, ssh, daemon, rsyncd, src, tmp_path, cli):
    make(src, "a")
    words = ", ".join('"%s"' % word for word in [*ssh.rsh.split(), "-N", "-L", "localhost:^localport:127.0.0.1:%d" % rsyncd.port, ssh.host,
                                                 "-o", "BatchMode=yes", "-o", "ServerAliveInterval=10", "-o", "Compression=no"])
    lua = """settings { logfile = "%s", statusFile = "%s", statusInterval = 0.1, delay = 0.2 }
sync {
    default.rsync,
    tunnel = tunnel { command = { %s }, mode = "pool", parallel = 2 },
    source = "%s", target = "rsync://localhost:${localport}/data", maxProcesses = 2,
}""" % (tmp_path / "daemon0/log", tmp_path / "daemon0/status", words, src)
    if form == "json":
        (tmp_path / "old.lua").write_text(lua)
        converted = cli("-convert", "-json", tmp_path / "old.lua")
        assert not converted.returncode and '"tunnel": {' in converted.stdout, converted
        lua = converted.stdout
    one = daemon(text=lua, form=form)
    one.wait_equal(src, rsyncd.folder)
    assert len(tunnels(tmp_path)) == 2
    assert form == "json" or "ExitOnForwardFailure" in one.log()  # the doubt about it


def test_jobs_of_a_pool_go_through_tunnels_of_their_own(ssh, through, daemon, rsyncd, rsync, src, tmp_path):
    binary = rsync()
    one = daemon(through(ssh, {"mode": "pool", "parallel": 2}, maxProcesses=3, rsync={"binary": binary.path}, batchSizeLimit=1))
    wait_for(lambda: len(tunnels(tmp_path)) == 2, "two tunnels")
    before = len(binary.calls())
    binary.hold()
    for name in "abcd":
        make(src, name, text="large")
    calls = one.wait(lambda: binary.calls()[before:] if len(binary.calls()) >= before + 2 else None, "two jobs at one time")
    ports = {re.search(r":(\d+)/data", call.argv[-1]).group(1) for call in calls}
    assert len(calls) == len(ports) == 2
    one.wait_status(in_flight="2", delays=2)  # the third process has no tunnel
    binary.release()
    one.wait_equal(src, rsyncd.folder)
    assert {re.search(r":(\d+)/data", call.argv[-1]).group(1) for call in binary.calls()[before:]} == ports


def test_jobs_share_the_one_tunnel_in_mode_command(ssh, through, daemon, rsyncd, rsync, src, tmp_path):
    binary = rsync()
    one = daemon(through(ssh, maxProcesses=2, rsync={"binary": binary.path}, batchSizeLimit=1))
    before = len(binary.calls())
    binary.hold()
    for name in "ab":
        make(src, name, text="large")
    calls = one.wait(lambda: binary.calls()[before:] if len(binary.calls()) >= before + 2 else None, "two jobs at one time")
    assert len({call.argv[-1] for call in calls}) == 1 == len(tunnels(tmp_path))
    binary.release()
    one.wait_equal(src, rsyncd.folder)


def test_one_that_is_killed_comes_back_at_another_port_and_nothing_is_lost(ssh, through, daemon, rsyncd, src, tmp_path):
    one = daemon(through(ssh, {"retryDelay": 1.5}))
    (pid,) = tunnels(tmp_path)
    os.kill(pid, signal.SIGKILL)
    one.wait_status(state="waiting", last_error=lambda words: words and "tunnel" in words)
    make(src, "meanwhile", "d/too")
    one.wait_equal(src, rsyncd.folder)
    one.wait_status(state="idle", last_error=None)
    one.wait_log("www: the tunnel is open again")
    assert len(re.findall("Error: www: the tunnel ", one.log())) == 1 and tunnels(tmp_path) != [pid]
    assert not re.search("Error: .*rsync", one.log())  # nothing was tried meanwhile


def test_a_job_whose_tunnel_dies_is_done_again(ssh, through, daemon, rsyncd, src, tmp_path):
    one = daemon(through(ssh, rsync={"bwlimit": "200"}))
    (src / "large").write_bytes(os.urandom(3000000))
    one.wait_status(state="syncing")
    one.wait(lambda: any(".large." in name for name in names(rsyncd.folder)), "a transfer")
    for pid in tunnels(tmp_path):
        os.kill(pid, signal.SIGKILL)
    one.wait_log("Error: www: the tunnel ")
    one.configure(through(ssh))
    one.kill(signal.SIGHUP)
    one.wait_equal(src, rsyncd.folder)
    one.wait_status(state="idle", last_error=None)


def test_a_host_that_is_down_is_waited_for_with_insist(sshd, through, daemon, rsyncd, src, tmp_path):
    host = sshd()
    host.stop()
    make(src, "a")
    one = daemon(through(host), options=("-log", "Exec", "-insist"), wait=False)
    one.wait_status(state="waiting", last_error=lambda words: words and "the tunnel ended with 255" in words and "refused" in words)
    one.wait(lambda: one.log().count("Exec: www: tunnel: ") >= 3, "more tries")
    assert len(re.findall("Error: www: ", one.log())) == 1 and one.log().count("refused") == 2  # what ssh said, and what we made of it
    host.start()
    one.wait_equal(src, rsyncd.folder)
    one.wait_status(state="idle", last_error=None)


@pytest.mark.parametrize("options, status, words", [((), 255, "the start failed: the tunnel ended with 255: "), (("-onepass",), 255, "not everything is mirrored: the tunnel ended with 255")])
def test_without_insist_a_tunnel_that_does_not_open_ends_the_start(options, status, words, sshd, through, daemon, src):
    host = sshd()
    host.stop()
    make(src, "a")
    one = daemon(through(host), options=options, wait=False)
    assert one.ended() == status
    assert words in one.log() and "rsync ended" not in one.log()


def test_one_pass(ssh, through, daemon, rsyncd, src, tmp_path):
    make(src, "a", "d/b")
    one = daemon(through(ssh, {"mode": "pool"}), options=("-onepass",), wait=False)
    assert one.ended() == 0 and not processes(tmp_path)
    assert names(rsyncd.folder) == {"a", "d/", "d/b"}


def test_one_that_never_answers_is_ended_and_tried_again(through, daemon, src, tmp_path):
    make(src, "a")
    one = daemon(through(None, {"readyDelay": 0.3}, command="trap '' TERM; : ^localport; sleep 1000 & wait; wait"), options=("-insist", "-log", "Exec"), wait=False)
    one.wait_status(state="waiting", last_error="no tunnel: its port does not answer within 0.3 s")
    one.wait(lambda: one.log().count("Exec: www: tunnel: ") >= 2, "another try")
    assert len([pid for pid, line in processes(tmp_path).items() if "sleep" in line]) <= 2  # sh and sleep of the one try
    assert len(re.findall("Error: www: no tunnel", one.log())) == 1
    one.kill(signal.SIGTERM)
    assert one.ended() == 143 and not processes(tmp_path)


def test_at_the_end_what_is_pending_goes_through_it(ssh, through, daemon, rsyncd, src, tmp_path):
    one = daemon(through(ssh, delay=1000))
    make(src, "late")
    one.wait_status(delays=lambda count: count > 0)
    assert one.stop() == 143 and not processes(tmp_path)
    assert names(rsyncd.folder) == {"late"}


@pytest.mark.parametrize("is_back", [True, False])
def test_at_the_end_a_tunnel_that_is_down_gets_one_more_try(is_back, sshd, through, daemon, rsyncd, src, tmp_path):
    host = sshd()
    one = daemon(through(host, {"retryDelay": 1000}))
    host.stop()
    one.wait_status(state="waiting")
    make(src, "late")
    one.wait_status(delays=lambda count: count > 0)
    if is_back:
        host.start()
    assert one.stop() == 143 and not processes(tmp_path)
    assert names(rsyncd.folder) == ({"late"} if is_back else set())
    assert is_back or "1 change was not sent" in one.log()


def test_a_reload_changes_and_removes_it(ssh, through, daemon, rsyncd, src, dst, tmp_path):
    one = daemon(through(ssh))
    (first,) = tunnels(tmp_path)
    one.kill(signal.SIGHUP)
    one.wait_log("configuration read again")
    one.fence(src, rsyncd.folder)
    assert tunnels(tmp_path) == [first]  # nothing has changed
    one.configure(through(ssh, {"mode": "pool", "parallel": 2}, maxProcesses=2))
    one.kill(signal.SIGHUP)
    one.wait_log("www: begun anew by the new configuration")
    make(src, "new")
    one.wait_equal(src, rsyncd.folder)
    one.wait(lambda: first not in tunnels(tmp_path) and len(tunnels(tmp_path)) == 2, "two others")
    one.configure(sync(src, dst, "www"))
    one.kill(signal.SIGHUP)
    one.wait_equal(src, dst)
    one.wait(lambda: not tunnels(tmp_path), "none")
    assert "Error: " not in one.log()


@pytest.mark.parametrize("how", ["HUP", "retry"])
def test_who_has_mended_it_need_not_wait(how, sshd, through, daemon, rsyncd, src, tmp_path, cli):
    host = sshd()
    one = daemon(through(host, {"retryDelay": 1000}), settings={"controlSocket": str(tmp_path / "socket")})
    host.stop()
    one.wait_status(state="waiting")
    make(src, "a")
    host.start()
    if how == "HUP":
        one.kill(signal.SIGHUP)
    else:
        done = cli("retry", "www", "-socket", tmp_path / "socket")
        assert not done.returncode, done
    one.wait_equal(src, rsyncd.folder)
    one.wait_status(state="idle", last_error=None)


def test_a_job_goes_on_through_the_tunnel_of_a_sync_that_was_changed(ssh, through, daemon, rsyncd, rsync, src, tmp_path):
    binary = rsync()
    one = daemon(through(ssh, rsync={"binary": binary.path}))
    (first,) = tunnels(tmp_path)
    binary.hold()
    make(src, "a")
    one.wait_status(in_flight="1")
    one.configure(through(ssh, {"readyDelay": 6}, rsync={"binary": binary.path}))
    one.kill(signal.SIGHUP)
    one.wait(lambda: len(tunnels(tmp_path)) == 2, "a second tunnel")
    assert first in tunnels(tmp_path)
    binary.release()
    one.wait_equal(src, rsyncd.folder)
    one.wait(lambda: first not in tunnels(tmp_path), "the first to end")
    assert "Error: " not in one.log()


@pytest.mark.parametrize("at, words", [("127.0.0.1:", "the tunnel ended with 255: "), ("", "no tunnel: its port was taken by another program")])
def test_a_port_that_another_has_taken_meanwhile_is_another_the_next_time(at, words, ssh, through, daemon, rsyncd, src, tmp_path):
    make(src, "a")
    taker = tmp_path / "taker.py"
    taker.write_text("""import os, socket, sys, time
if os.fork():
    while not os.path.exists(sys.argv[2]): time.sleep(0.05)
    sys.exit()
os.setsid()  # it is none of the tunnel's
one = socket.socket()
one.bind(("127.0.0.1", int(sys.argv[1])))
one.listen(9)
with open(sys.argv[2] + ".new", "w") as file: file.write(sys.argv[1])
os.rename(sys.argv[2] + ".new", sys.argv[2])
while os.path.exists(sys.argv[2]): time.sleep(0.05)
""")
    ports = tmp_path / "ports"
    command = "[ -e {0} ] || {1} {2} ^localport {0} >/dev/null 2>&1 </dev/null\nexec {3} -N -o ExitOnForwardFailure=yes -L {4}^localport:127.0.0.1:{5} {6}".format(
        ports, sys.executable, taker, ssh.rsh, at, rsyncd.port, ssh.host)
    one = daemon(through(ssh, {"readyDelay": 20}, command=command), options=("-insist", "-log", "Exec"))  # of ssh itself: with any address it is content with ::1
    one.wait_equal(src, rsyncd.folder)
    assert "Error: www: " + words in one.log() and "rsync://127.0.0.1:%s/" % ports.read_text() not in one.log()
    ports.unlink()


def test_a_program_that_others_listen_for_is_waited_for(ssh, through, daemon, rsyncd, src, tmp_path):
    make(src, "a")
    command = "setsid %s -N -L 127.0.0.1:^localport:127.0.0.1:%d %s & echo $! > %s; exec sleep 1000" % (ssh.rsh, rsyncd.port, ssh.host, tmp_path / "pid")
    one = daemon(through(ssh, {"readyDelay": 1.5}, command=command))
    one.wait_equal(src, rsyncd.folder)
    for pid in tunnels(tmp_path):
        os.kill(pid, signal.SIGTERM)


def test_a_port_of_the_users_own_is_used_when_the_delay_is_over(ssh, daemon, rsyncd, src, tmp_path):
    make(src, "a")
    port = free_port()
    one = daemon(sync(src, "rsync://127.0.0.1:%d/data" % port, "www", tunnel={
        "command": "%s -N -L %d:127.0.0.1:%d %s" % (ssh.rsh, port, rsyncd.port, ssh.host), "readyDelay": 2}))
    one.wait_equal(src, rsyncd.folder)
    assert "Error: " not in one.log()


def test_extra_arguments_take_the_port_too(ssh, through, daemon, rsyncd, src):
    make(src, "^localport")
    table = through(ssh, rsync={"_extra": ["--port=^localport"]})
    one = daemon(dict(table, target=["127.0.0.1::data"]))
    one.wait_equal(src, rsyncd.folder)


@pytest.mark.parametrize("command, words", [("/nowhere/ssh ^localport", "the tunnel cannot be started: there is no program /nowhere/ssh"),
                                            (": ^localport", "the tunnel ended with 0 (it has to stay: ssh without -f)")])
def test_a_command_that_is_wrong_is_told(command, words, through, daemon, src):
    one = daemon(through(None, command=command), wait=False)
    assert one.ended() == 255 and "sync www: the start failed: " + words in one.log()
    one = daemon(through(None, command=command), options=("-insist",), wait=False)
    one.wait_status(state="waiting", last_error=words)


def test_check_looks_at_the_command(through, cli, tmp_path, src):
    from harness import render_ini
    for command, words in (("/nowhere/ssh ^localport", "tunnel.command: there is no program /nowhere/ssh"), ("ssh '^localport", "tunnel.command: ")):
        (tmp_path / "c.ini").write_text(render_ini({}, [through(None, command=command)]))
        done = cli("-check", tmp_path / "c.ini")
        assert done.returncode and words in done.stderr + done.stdout
