"""Mode rsyncssh, and how ssh is reached; what it has in common with mode direct is in test_mode_direct.py."""

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness import Recorder, connections, make, names, sync, sync_by_ssh
from test_mode_direct import inodes
from test_traps import HOSTILE, RENAMES

# What a far side does with any command but rsync's own, in sh.
REST = 'case "$SSH_ORIGINAL_COMMAND" in "rsync --server"*) ;; *) %s ;; esac; exec sh -c "$SSH_ORIGINAL_COMMAND"'


def calls_of(ssh):
    """Return the (calls of our own, calls of rsync) that a recording ssh has seen."""
    calls = ssh.calls()
    by_rsync = [call for call in calls if any(arg.startswith("rsync") for arg in call)]
    return [call for call in calls if call not in by_rsync], by_rsync


# ---- how it is reached -------------------------------------------------------------------------

def test_rsyncssh_on_the_command_line(tmp_path, src, dst, ssh, daemon):
    make(src, "a", "d/b")
    running = daemon(argv=["-delay", "0.2", "-sshopts", " ".join(ssh.options), "-rsyncssh", src, ssh.host, dst])
    running.fence(src, dst)
    before = inodes(dst)
    make(src, "later")
    os.rename(str(src / "d"), str(src / "e"))
    running.wait_equal(src, dst)
    assert inodes(dst)["e/b"] == before["d/b"]


# trap 39
@pytest.mark.parametrize("form", ["ini", "json"])
def test_the_ssh_table_holds_for_rsync_and_for_our_own_calls(form, src, dst, ssh, mirror, recorder):
    binary = recorder("ssh")
    make(src, "a", "d/b")
    running = mirror("rsyncssh", form=form, ssh={
        "binary": binary.path, "identityFile": str(ssh.folder / "user_key"), "port": ssh.port,
        "options": {"UserKnownHostsFile": str(ssh.folder / "known_hosts"), "StrictHostKeyChecking": "yes"},
        "_extra": ["-F", "/dev/null"]})
    make(src, "c")
    os.rename(str(src / "d"), str(src / "e"))
    running.wait_equal(src, dst, archive=True)
    own, by_rsync = calls_of(binary)
    assert own and by_rsync
    for call in own + by_rsync:
        line = " ".join(call)
        for words in ("-i %s/user_key" % ssh.folder, "-p %d" % ssh.port, "-F /dev/null",
                      "-o UserKnownHostsFile=%s/known_hosts" % ssh.folder, "ConnectTimeout=", "ServerAliveInterval="):
            assert words in line, (words, call)
    options = {tuple(call[:call.index(ssh.host)]) for call in own + by_rsync if ssh.host in call}
    assert len(options) == 1 or len({tuple(sorted(one)) for one in options}) == 1, options


# trap 39
def test_rsync_rsh_is_used_for_both(src, dst, ssh, mirror, recorder):
    binary = recorder("ssh")
    make(src, "d/b")
    running = mirror("rsyncssh", ssh={}, rsync={"archive": True, "rsh": " ".join([binary.path] + ssh.options)})
    before = inodes(dst)
    make(src, "c")
    os.rename(str(src / "d"), str(src / "e"))
    running.wait_equal(src, dst, archive=True)
    assert inodes(dst)["e/b"] == before["d/b"]
    own, by_rsync = calls_of(binary)
    assert own and by_rsync


@pytest.mark.parametrize("key, targetdir", [("target", "~/target_dir"), ("targetdir", "target_dir"), ("targetdir", "~"),
                                            ("targetdir", "~/a b/../target_dir/")])
def test_a_directory_in_the_home_there(key, targetdir, tmp_path, src, sshd, daemon):
    home = tmp_path / "the home"
    home.mkdir()
    far = sshd(command="HOME='%s'; export HOME; cd; exec sh -c \"$SSH_ORIGINAL_COMMAND\"" % home)
    target = home / "target_dir" if "target_dir" in targetdir else home
    make(src, "d/b")
    table = sync_by_ssh(src, far.host, targetdir, ssh={"_extra": far.options})
    table[key] = table.pop("targetdir")
    running = daemon(table)
    before = inodes(target)
    make(src, "c")
    os.rename(str(src / "d"), str(src / "e"))
    running.wait_equal(src, target, archive=True)
    assert inodes(target)["e/b"] == before["d/b"]
    assert names(home) == ({"target_dir/"} if target != home else set()) | {
        "%s%s" % ("target_dir/" if target != home else "", name) for name in names(target)}


# trap 36
@pytest.mark.parametrize("name", ["it's  'two'", 'a "quoted" one', "$(touch pwned)`touch pwned`;touch pwned", "-rf \\* ?[a]",
                                  "~", "a:b"])
def test_the_directory_there_is_a_name_and_no_code(name, tmp_path, src, sshd, daemon):
    target = tmp_path / "far" / name
    target.mkdir(parents=True)
    far = sshd(command="cd '%s'; exec sh -c \"$SSH_ORIGINAL_COMMAND\"" % tmp_path)
    make(src, "d/b")
    running = daemon(sync_by_ssh(src, far.host, target, ssh={"_extra": far.options}), form="json")
    before = inodes(target)
    make(src, "c")
    os.rename(str(src / "d"), str(src / "e"))
    running.wait_equal(src, target, archive=True)
    assert inodes(target)["e/b"] == before["d/b"]
    assert [path.name for path in (tmp_path / "far").iterdir()] == [name]
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("keys, word", [
    ({"host": None}, "host"), ({"targetdir": None}, "targetdir"), ({"maxProcesses": 2}, "maxProcesses"),
    ({"host": "-oProxyCommand=touch pwned"}, "host"), ({"host": "a b"}, "host"), ({"host": ""}, "host"),
    ({"ssh": {"port": "many"}}, "ssh.port"), ({"target": ["a", "b"]}, "target"), ({"ssh": {"nothing": "x"}}, "ssh.nothing")])
@pytest.mark.parametrize("form", ["ini", "json"])
def test_what_cannot_be_meant_is_refused_at_the_start(keys, word, form, tmp_path, src, dst, daemon):
    table = dict(sync_by_ssh(src, "127.0.0.1", dst), **keys)
    one = daemon({key: value for key, value in table.items() if value is not None}, form=form, wait=False, options=())
    assert one.ended() == 255
    assert word in one.output() and "Traceback" not in one.output(), one.output()
    assert not list(tmp_path.rglob("pwned"))


def test_a_list_of_hosts_mirrors_to_each(tmp_path, src, dst, ssh, daemon):
    make(src, "a", "d/b")
    running = daemon(dict(sync_by_ssh(src, [ssh.host, "localhost"], dst, name="www", ssh={
        "_extra": ssh.options, "options": {"StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null"}})), wait=False)
    running.wait_equal(src, dst, archive=True)
    assert sorted(running.status()) == ["www/1", "www/2"]


# ---- renames over there ------------------------------------------------------------------------

def test_a_rename_is_one_call_and_transfers_nothing(src, dst, ssh, mirror, recorder, rsync):
    binary, sender = recorder("ssh"), rsync()
    make(src, *["d/%d" % number for number in range(500)])
    running = mirror("rsyncssh", ssh={"binary": binary.path, "_extra": ssh.options},
                     rsync={"archive": True, "binary": sender.path})
    before, calls, sent = inodes(dst), len(calls_of(binary)[0]), len(sender.calls())
    os.rename(str(src / "d"), str(src / "e"))
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    assert inodes(dst) == {path.replace("d", "e"): inode for path, inode in before.items()}
    assert len(calls_of(binary)[0]) - calls == 1
    listed = [path for call in sender.calls()[sent:] for path in call.paths or ()]
    assert not [path for path in listed if path.startswith(b"./e/")], listed


def test_many_renames_travel_in_few_calls(src, dst, ssh, mirror, recorder):
    binary = recorder("ssh")
    make(src, *["f%d" % number for number in range(300)])
    running = mirror("rsyncssh", ssh={"binary": binary.path, "_extra": ssh.options}, delay=1)
    before, calls = inodes(dst), len(calls_of(binary)[0])
    for number in range(300):
        os.rename(str(src / ("f%d" % number)), str(src / ("g%d" % number)))
    running.wait_equal(src, dst, archive=True)
    assert inodes(dst) == {path.replace("f", "g"): inode for path, inode in before.items()}
    assert len(calls_of(binary)[0]) - calls <= 4


# trap 17
@pytest.mark.parametrize("code", [1, 127])
def test_a_far_side_that_fails_to_rename_gets_a_transfer(code, tmp_path, src, dst, sshd, mirror):
    flag = tmp_path / "fail"
    far = sshd(command=REST % ("[ -e %s ] && echo told to fail >&2 && exit %d" % (flag, code)))
    make(src, "f", "d/x", "d/sub/y", "same1", "same2")
    make(src, "same2", text="SAME2")  # as long as the other
    for name in ("same1", "same2"):
        os.utime(str(src / name), (0, 1234567890))
    running = mirror("rsyncssh", through=far)
    flag.touch()
    os.rename(str(src / "f"), str(src / "g"))
    os.rename(str(src / "d"), str(src / "e"))
    for old, new in (("same1", "t"), ("same2", "same1"), ("t", "same2")):  # nothing but the content tells them apart
        os.rename(str(src / old), str(src / new))
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    assert running.stop() == 143


# trap 17
def test_a_far_side_that_breaks_off_is_tried_again_and_others_go_on(tmp_path, src, dst, sshd, daemon):
    flag = tmp_path / "fail"
    far = sshd(command=REST % ("[ -e %s ] && exit 255" % flag))
    other = tmp_path / "other"
    make(src, "f", "d/x")
    running = daemon(sync_by_ssh(src, far.host, dst, name="far", ssh={"_extra": far.options}),
                     sync(src, other, name="near"))
    flag.touch()
    os.rename(str(src / "f"), str(src / "g"))
    os.rename(str(src / "d"), str(src / "e"))
    make(src, "e/new")
    running.wait_status("far", state="waiting", last_error=bool, next_try=bool)
    running.wait_equal(src, other)
    make(src, "late")
    running.wait_path(other / "late")
    flag.unlink()
    running.wait_equal(src, dst, archive=True)
    running.wait_status("far", state="idle", last_error=None)


def test_a_rename_killed_half_way_ends_equal(tmp_path, src, dst, sshd, mirror):
    flag = tmp_path / "kill"
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "mv").write_text('#!/bin/sh\ncase "$*" in *7*) [ -e %s ] && rm -f %s && kill -KILL $PPID && exit 1 ;; esac\n'
                             'exec %s "$@"\n' % (flag, flag, shutil.which("mv")))
    (bin_ / "mv").chmod(0o755)
    far = sshd(command='PATH=%s:$PATH; export PATH; exec sh -c "$SSH_ORIGINAL_COMMAND"' % bin_)
    make(src, *["f%d" % number for number in range(20)])
    running = mirror("rsyncssh", through=far)
    flag.touch()
    for number in range(20):
        os.rename(str(src / ("f%d" % number)), str(src / ("g%d" % number)))
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    assert not flag.exists()


# trap 17
def test_the_renames_that_fail_are_transferred_and_the_others_are_done(tmp_path, src, dst, sshd, mirror):
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "mv").write_text('#!/bin/sh\ncase "$*" in *stubborn*) echo no >&2; exit 1 ;; esac\nexec %s "$@"\n'
                             % shutil.which("mv"))
    (bin_ / "mv").chmod(0o755)
    far = sshd(command='PATH=%s:$PATH; export PATH; exec sh -c "$SSH_ORIGINAL_COMMAND"' % bin_)
    make(src, "f", "stubborn", "d/x", "stubborn.d/x", "after")
    running = mirror("rsyncssh", through=far)
    before = inodes(dst)
    for old, new in (("f", "f2"), ("stubborn", "s2"), ("d", "d2"), ("stubborn.d", "s2.d"), ("s2", "s3"), ("after", "s2")):
        os.rename(str(src / old), str(src / new))
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    after = inodes(dst)
    assert {new: after[new] for new in ("f2", "d2/x")} == {"f2": before["f"], "d2/x": before["d/x"]}


def test_a_far_side_that_serves_nothing_but_rsync_loses_nothing_and_says_so_once(src, dst, sshd, mirror):
    far = sshd(command=REST % 'echo "nothing but rsync here" >&2; exit 1')
    for operations in RENAMES:
        make(src / operations.__name__, "a", "b", "d/x", "d/y", "d/sub/z", "empty/")
    running = mirror("rsyncssh", through=far)
    for number, operations in enumerate(RENAMES):
        operations(src / operations.__name__)
        if number % 3 == 0:
            running.wait_equal(src, dst, archive=True)
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    lines = [line for line in running.log().splitlines() if re.search(" (Normal|Warn|Error): .*(rename|commands)", line)]
    assert len(lines) == 1, lines
    assert running.status()["sync1"].last_error is None


SHELLS = ["sh", "bash", "dash", "busybox sh", "zsh", "ksh", "mksh", "csh", "tcsh", "fish"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_login_shell_there_does_renames(shell, src, dst, sshd, mirror):
    program, *rest = shell.split()
    program = shutil.which(program)
    if not program:
        pytest.skip("%s is not installed" % shell)
    far = sshd(command='exec %s -c "$SSH_ORIGINAL_COMMAND"' % " ".join([program] + rest))
    root = os.fsencode(str(src))
    for name in HOSTILE:
        os.mkdir(root + b"/" + name)
        with open(root + b"/" + name + b"/" + name, "wb") as file:
            file.write(name)
    os.mkdir(root + b"/m")
    running = mirror("rsyncssh", through=far)
    before = inodes(dst)
    for name in HOSTILE:
        os.rename(root + b"/" + name, root + b"/m/" + name[:254] + b"2")
    os.rename(root + b"/m", root + b"/it's !here; $(touch pwned)")
    running.wait_equal(src, dst, archive=True)
    after = inodes(dst)
    for name in HOSTILE:
        if b"\1" not in name:  # that one is transferred: it stands for a newline on the way
            moved = os.fsdecode(b"it's !here; $(touch pwned)/" + name[:254] + b"2")
            assert after[moved] == before[os.fsdecode(name)], name
    assert not [path for path in (src.parent, src, dst, Path.home(), running.folder) if (path / "pwned").exists()]


# ---- connections -------------------------------------------------------------------------------

def test_all_that_goes_to_a_host_uses_one_connection(src, dst, sshd, mirror):
    far = sshd()
    make(src, "a", "d/x")
    running = mirror("rsyncssh", through=far)
    for number in range(4):
        make(src, "new%d" % number)
        os.rename(str(src / ("d%s" % (number or ""))), str(src / ("d%d" % (number + 1))))
        (src / "a").unlink()
        make(src, "a")
        running.wait_equal(src, dst, archive=True)
    assert far.connections() == 1
    assert running.stop() == 143
    assert not connections(running.pid)


def test_two_syncs_to_a_host_share_its_connection(tmp_path, src, dst, sshd, daemon):
    far = sshd()
    make(src, "a")
    other = tmp_path / "other"
    running = daemon(sync_by_ssh(src, far.host, dst, name="one", ssh={"_extra": far.options}),
                     sync(src, "%s:%s" % (far.host, other), name="two", rsync={"archive": True},
                          ssh={"_extra": far.options}), wait=False)
    running.wait_equal(src, dst)
    running.wait_equal(src, other)
    at_start = far.connections()  # both may have begun at once
    assert at_start <= 2
    for number in range(3):
        make(src, "new%d" % number)
        running.wait_equal(src, dst)
        running.wait_equal(src, other)
    assert far.connections() == at_start


@pytest.mark.parametrize("how", ["ssh table", "rsync.rsh"])
def test_rsync_mode_reuses_its_connection(how, src, dst, sshd, daemon):
    far = sshd()
    make(src, "a")
    keys = {"ssh": {"_extra": far.options}} if how == "ssh table" else {"rsync": {"rsh": far.rsh}}
    running = daemon(sync(src, "%s:%s" % (far.host, dst), **keys))
    for number in range(3):
        make(src, "new%d" % number)
        running.wait_equal(src, dst)
    assert far.connections() == 1


@pytest.mark.parametrize("mode", ["rsyncssh", "rsync"])
def test_without_multiplex_each_job_has_its_connection(mode, src, dst, sshd, daemon):
    far = sshd()
    make(src, "a", "d/x")
    table = {"_extra": far.options, "multiplex": False}
    running = daemon(sync_by_ssh(src, far.host, dst, ssh=table) if mode == "rsyncssh" else
                     sync(src, "%s:%s" % (far.host, dst), ssh=table))
    for number in range(2):
        make(src, "new%d" % number)
        os.rename(str(src / ("d%s" % (number or ""))), str(src / ("d%d" % (number + 1))))
        running.wait_equal(src, dst)
    assert far.connections() >= 3
    running.wait_idle()
    running.wait(lambda: not connections(running.pid), "no connection kept")


def test_a_user_s_own_control_socket_is_left_to_him(src, dst, sshd, mirror):
    far = sshd()
    make(src, "a")
    path = "/tmp/lsyncd-lite-test-%d" % os.getpid()
    control = ["-o", "ControlMaster=auto", "-o", "ControlPath=" + path, "-o", "ControlPersist=yes"]
    running = mirror("rsyncssh", through=far, ssh={"_extra": far.options + control})
    try:
        for number in range(2):
            make(src, "new%d" % number)
            running.wait_equal(src, dst)
        assert far.connections() == 1
        running.stop()
        assert os.path.exists(path)
    finally:
        subprocess.run(["ssh", *far.options, *control, "-O", "exit", far.host], stderr=subprocess.DEVNULL)


def test_a_connection_that_is_killed_costs_nothing(src, dst, sshd, mirror):
    far = sshd()
    make(src, "a", "d/x")
    running = mirror("rsyncssh", through=far)
    before = inodes(dst)
    for number in range(3):
        killed = connections(running.pid)
        assert killed
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        os.rename(str(src / ("d%s" % (number or ""))), str(src / ("d%d" % (number + 1))))
        make(src, "new%d" % number)
        running.wait_equal(src, dst, archive=True)
    running.wait_status("sync1", state="idle", last_error=None)
    assert inodes(dst)["d3/x"] == before["d/x"]
    assert far.connections() <= 4


def test_a_connection_killed_under_a_transfer_costs_nothing(src, dst, sshd, mirror):
    far = sshd()
    make(src, "a")
    running = mirror("rsyncssh", through=far, rsync={"archive": True, "bwlimit": 20000})
    (src / "large").write_bytes(os.urandom(20 << 20))
    running.wait(lambda: any(name.startswith(".large") for name in os.listdir(str(dst))), "the transfer to begin")
    for pid in connections(running.pid):
        os.kill(pid, signal.SIGKILL)
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()


def test_a_host_that_allows_one_session_a_connection(src, dst, sshd, mirror):
    far = sshd(config=["MaxSessions 1"])
    make(src, "a", "d/x")
    running = mirror("rsyncssh", through=far)
    make(src, "b")
    os.rename(str(src / "d"), str(src / "e"))
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()


# ---- hosts that come and go --------------------------------------------------------------------

def test_a_host_that_goes_down_during_changes_gets_them_all_when_it_is_back(tmp_path, src, dst, sshd, daemon):
    far, other = sshd(), tmp_path / "other"
    for operations in RENAMES:
        make(src / operations.__name__, "a", "b", "d/x", "d/y", "d/sub/z", "empty/")
    running = daemon(sync_by_ssh(src, far.host, dst, name="far", ssh={"_extra": far.options}),
                     sync(src, other, name="near"))
    for number, operations in enumerate(RENAMES):
        if number == 3:
            far.stop()
        operations(src / operations.__name__)
        make(src, "n%d/new" % number)
        if number == 6:
            running.wait_status("far", state="waiting", last_error=bool, next_try=bool)
            running.wait_equal(src, other)  # is not held up
    far.start()
    running.wait_equal(src, dst, archive=True)
    running.wait_status("far", state="idle", last_error=None)


def test_a_host_that_is_down_at_the_start(tmp_path, src, dst, sshd, mirror, daemon):
    far = sshd()
    far.stop()
    make(src, "a", "d/x")
    one = mirror("rsyncssh", through=far, wait=False)
    assert one.ended() == 255  # without insist
    running = mirror("rsyncssh", through=far, wait=False, options=["-insist"])
    running.wait_status("sync1", last_error=bool, next_try=bool)
    os.rename(str(src / "d"), str(src / "e"))
    make(src, "b")
    far.start()
    running.wait_equal(src, dst, archive=True)


# trap 24
def test_a_host_that_does_not_answer_does_not_hold_up_the_end(src, dst, daemon):
    make(src, "a")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        table = {"port": deaf.getsockname()[1], "options": {"ConnectTimeout": 1}}
        running = daemon(sync_by_ssh(src, "127.0.0.1", dst, ssh=table),
                         settings={"shutdownTimeout": 2}, options=["-insist"], wait=False)
        running.wait_status("sync1", last_error=bool)
        assert running.stop() == 143


def test_term_while_a_rename_waits_for_the_far_side(tmp_path, src, dst, sshd, mirror):
    flag = tmp_path / "hold"
    far = sshd(command=REST % ("while [ -e %s ]; do sleep 0.05; done" % flag))
    make(src, "d/x")
    running = mirror("rsyncssh", through=far)
    before = inodes(dst)
    flag.touch()
    os.rename(str(src / "d"), str(src / "e"))
    try:
        running.wait_status("sync1", in_flight=lambda number: number != "0")
        make(src, "e/y")
        running.kill(signal.SIGTERM)
        running.wait_log("Normal: signal 15")
    finally:
        flag.unlink()
    assert running.ended() == 143  # a second signal would have it end at once
    running.wait_equal(src, dst, archive=True)
    assert inodes(dst)["e/x"] == before["d/x"]


def test_the_daemon_s_end_leaves_no_connection_and_no_socket(src, dst, sshd, mirror):
    far = sshd()
    make(src, "a")
    for number in (signal.SIGTERM, signal.SIGINT):
        running = mirror("rsyncssh", through=far)
        assert connections(running.pid)
        directory = Path(next(iter(connections(running.pid).values())).split()[1]).parent
        assert (directory.stat().st_mode & 0o777, directory.stat().st_uid) == (0o700, os.getuid())
        running.stop(number)
        assert not connections(running.pid) and not directory.exists()


def test_what_a_killed_daemon_has_left_goes_with_the_next(src, dst, sshd, mirror):
    far = sshd()
    make(src, "a")
    killed = mirror("rsyncssh", through=far)
    left = connections(killed.pid)
    directory = Path(next(iter(left.values())).split()[1]).parent
    killed.kill(signal.SIGKILL)
    killed.process.wait()
    running = mirror("rsyncssh", through=far)
    make(src, "b")
    running.wait_equal(src, dst)
    assert not directory.exists() and connections(running.pid)
    for pid in left:  # it would end by itself, a minute after its last use
        os.kill(pid, signal.SIGTERM)


# ---- the examples of the guide -----------------------------------------------------------------

def _examples(tmp_path, far):
    """Return {name: the sync of an example} with its hosts and directories put where we are."""
    (tmp_path / "lsyncd.exclude").write_text("*.key\n")
    (tmp_path / "temp").mkdir()
    src, dst = str(tmp_path / "src"), str(tmp_path / "dst")
    more = dict(archive=True, compress=False, whole_file=False, sparse=True, update=True, temp_dir=str(tmp_path / "temp"),
                links=True, times=True, protect_args=False, acls=True, verbose=True)
    return {
        "simple": dict(mode="default.rsyncssh", source=src, host="127.0.0.1", excludeFrom=str(tmp_path / "lsyncd.exclude"),
                       target=dst, rsync=dict(archive=True, compress=True, whole_file=False), ssh=dict(port=far.port)),
        "two ways": dict(mode="default.rsyncssh", source=src, host="127.0.0.1", targetdir=dst,
                         excludeFrom=str(tmp_path / "lsyncd.exclude"), delay=10, delete=True, rsync=more,
                         ssh=dict(port=far.port, _extra=[
                             "/usr/bin/ssh -l %s -p %d -i %s/user_key -o StrictHostKeyChecking=no" % (
                                 getpass.getuser(), far.port, far.folder)])),
        "single file": dict(mode="default.rsyncssh", source=src, host="127.0.0.1", targetdir=dst, delay=10, delete=False,
                            rsync=dict(more, _extra=["--include=limits.conf", "--exclude=*"]), ssh=dict(port=far.port)),
    }


@pytest.mark.parametrize("form", ["ini", "json"])
@pytest.mark.parametrize("name", ["simple", "two ways", "single file"])
def test_an_example_of_the_guide(name, form, tmp_path, src, dst, ssh, daemon):
    """As it stands there; what the guide's readers have in ~/.ssh/config is in a ssh that comes first on the PATH."""
    binary = Recorder(tmp_path / "recorders" / "ssh", "ssh", "%s %s" % (shutil.which("ssh"), " ".join(ssh.options)))
    table = _examples(tmp_path, ssh)[name]
    make(src, "limits.conf", "a", "d/x", "s.key")
    running = daemon(table, form=form, settings={"statusInterval": 30}, options=["-delay", "0.2"],
                     prefix=binary.before(), wait=False)
    expected = {"limits.conf"} if name == "single file" else {"limits.conf", "a", "d/", "d/x"}
    running.wait(lambda: names(dst) == expected, lambda: "%s, not %s" % (expected, names(dst)))
    make(src, "limits.conf", text="changed")
    make(src, "new", "d/s.key", "e/f")
    os.rename(str(src / "d"), str(src / "g"))
    os.rename(str(src / "a"), str(src / "b"))
    running.wait_path(dst / "limits.conf", "changed")
    expected = {"limits.conf"} if name == "single file" else {"limits.conf", "b", "new", "e/", "e/f", "g/", "g/x"}
    running.wait(lambda: names(dst) == expected, lambda: "%s, not %s" % (expected, names(dst)))
    make(src, "limits.conf", text="once more")
    running.wait_path(dst / "limits.conf", "once more")
    assert names(dst) == expected
    assert running.stop() == 143


def test_the_example_of_several_servers(tmp_path, src, dst, ssh, daemon):
    binary = Recorder(tmp_path / "recorders" / "ssh", "ssh", "%s %s" % (shutil.which("ssh"), " ".join(ssh.options)))
    make(src, "a", "d/x")
    targets = [tmp_path / "one", tmp_path / "two"]
    running = daemon(sync(src, ["127.0.0.1:%s" % target for target in targets], rsync={"_extra": ["-rltvupgo"]}),
                     settings={"maxProcesses": 3}, prefix=binary.before(), wait=False)
    for target in targets:
        running.wait_equal(src, target)
    make(src, "b", "d/y")
    for target in targets:
        running.wait_equal(src, target)


def test_many_removals_are_one_call(src, dst, mirror):
    for number in range(1200):
        make(src, "d%d/f%d" % (number % 10, number))
    running = mirror("rsyncssh", rsync={"archive": True})
    for number in range(1200):
        (src / ("d%d/f%d" % (number % 10, number))).unlink()
    running.wait_equal(src, dst, archive=True)
    running.wait_idle()
    assert any("r)" in line or "sh -c" in line for line in running.log().split("\n") if " Exec: " in line and "rsync -" not in line)
