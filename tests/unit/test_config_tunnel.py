"""Tunnels in a configuration: what fits together, what does not, in every form."""

import shutil
import subprocess

import pytest

from lsyncd_lite.config import config as module
from lsyncd_lite.errors import ConfigError

COMMAND = "ssh -N -o ExitOnForwardFailure=yes -L 127.0.0.1:^localport:h:873 u@h"
SYNC = "[sync x]\nsource = /s\n"
TUNNEL = SYNC + "target = rsync://localhost:^localport/m\ntunnel.command = %s\n" % COMMAND


def load(text, name="F", folder=None):
    (folder / name).write_text(text, encoding="utf-8")
    return module.load(name)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def errors(text, here, name="F"):
    with pytest.raises(ConfigError) as caught:
        load(text, name, here)
    return caught.value.lines


def test_what_is_said_and_what_is_there_by_itself(here):
    config = load(TUNNEL, "F", here)
    (sync,) = config.syncs
    assert config.warnings == [] and sync.target == b"rsync://localhost:^localport/m/" and not sync.local
    table = sync.tunnel
    assert (table.mode, table.parallel, table.retryDelay, table.readyDelay, table.localhost) == ("command", 1, 10.0, 5.0, "localhost")
    assert table.command.argv({"localport": b"4711"}) == [b"/bin/sh", b"-c", b'ssh -N -o ExitOnForwardFailure=yes -L 127.0.0.1:"${1}":h:873 u@h', b"sh", b"4711"]
    assert load(SYNC + "target = h:/t", "F", here).syncs[0].tunnel.command is None


def test_a_program_of_its_own_needs_no_shell(here):
    command = load(TUNNEL.replace("= ssh", "= /usr/bin/ssh"), "F", here).syncs[0].tunnel.command
    assert command.argv({"localport": b"4711"})[4:6] == [b"-L", b"127.0.0.1:4711:h:873"]


LUA = """sync { default.rsync, source = "/s", maxProcesses = 2, target = "rsync://localhost:%s/m",
  tunnel = %s { command = { "ssh", "-N", "-L", "localhost:%s:h:873", "u@h" }, mode = "pool", parallel = 2, localhost = "::1", retryDelay = 3 } }"""
JSON = """{"sync": [{"source": "/s", "maxProcesses": 2, "target": "rsync://localhost:^localport/m", "tunnel": {
  "command": "exec ssh -N -L localhost:^localport:h:873 u@h", "mode": "pool", "parallel": 2, "localhost": "::1", "retryDelay": 3}}]}"""
INI = """[sync]
source = /s
maxProcesses = 2
target = rsync://localhost:^localport/m
tunnel.command = exec ssh -N -L localhost:^localport:h:873 u@h
tunnel.mode = pool
tunnel.parallel = 2
tunnel.localhost = ::1
tunnel.retryDelay = 3
"""


def test_all_forms_mean_the_same(here):
    forms = [(LUA % ("^localport", "tunnel", "^localport"), "a.lua"), (LUA % ("${localport}", "", "${localport}"), "b.lua"), (JSON, "c.json"), (INI, "d.conf")]
    configs = [load(text, name, here) for text, name in forms]
    (first,), *others = [config.syncs for config in configs]
    assert all(sync.same_pair(first) for (sync,) in others) and first.tunnel.parallel == 2
    assert [len(config.warnings) for config in configs] == [1, 3, 1, 1]  # ssh; and two that were spelled otherwise
    assert all("add -o ExitOnForwardFailure=yes" in config.warnings[-1] for config in configs)


def test_a_changed_tunnel_makes_another_pair(here):
    (first,) = load(TUNNEL, "F", here).syncs
    for line in ("tunnel.readyDelay = 6", "tunnel.localhost = 127.0.0.2"):
        assert not load(TUNNEL + line, "F", here).syncs[0].same_pair(first)
    assert load(TUNNEL + "tunnel.readyDelay = 5", "F", here).syncs[0].same_pair(first)


def test_two_ways_to_the_same_words_are_two_targets(here):
    both = TUNNEL + TUNNEL.replace("[sync x]", "[sync y]")
    assert load(both.replace("u@h", "u@g", 1), "F", here).warnings == []
    (warning,) = load(both, "F", here).warnings
    assert "share the target" in warning


@pytest.mark.parametrize("text, expected", [
    (SYNC + "target = rsync://localhost:^localport/m", "F:3: target: ^localport has no value: the sync has no tunnel.command"),
    (TUNNEL.replace("^localport/m", "99/m"), "F:3: target: does not go through the tunnel; allowed: as rsync://localhost:^localport/MODULE, or a port of your own here and in tunnel.command"),
    (TUNNEL.replace(":^localport:h", ":99:h"), "F:4: tunnel.command: holds no ^localport, which is the port of the target"),
    (SYNC + "target = /t\ntunnel.command = ssh ^localport", "F:3: target: /t is a directory here, to which no tunnel leads; allowed: as rsync://localhost:^localport/MODULE"),
    (TUNNEL + "tunnel.parallel = 2", "F:5: tunnel.parallel: allowed: 1 (tunnel.mode = command), or tunnel.mode = pool"),
    (SYNC + "target = rsync://h:99/m\ntunnel.command = ssh -L 99:h:873 h\ntunnel.mode = pool\ntunnel.parallel = 2",
     "F:6: tunnel.parallel: allowed: 1, or ^localport in tunnel.command: each has a port of its own"),
    (TUNNEL + "rsync.rsh = ssh -p ^localport", "F:5: rsync.rsh: ^localport has no value here; allowed in: target, tunnel.command, rsync._extra"),
    (TUNNEL.replace("u@h", "^target"), "F:4: tunnel.command: ^target has no value here; allowed: ^localport"),
    (TUNNEL + "runIf = test ^localport", "F:5: runIf: ^localport has no value here; allowed: ^source, ^target"),
    (TUNNEL + "tunnel.mode = both", "F:5: tunnel.mode: 'both' is not allowed here; allowed: one of: command, pool"),
    (TUNNEL + "tunnel.mode = pool\ntunnel.parallel = 0", "F:6: tunnel.parallel: '0' is not allowed here; allowed: a whole number, 1 or more"),
    (TUNNEL + "tunnel.retryDelay = 0", "F:5: tunnel.retryDelay: '0' is not allowed here; allowed: a number of seconds, 0.1 or more"),
    (TUNNEL + "tunnel.localhost = web1", "F:5: tunnel.localhost: 'web1' is not allowed here; allowed: localhost or an address of this host, in numbers"),
    (TUNNEL + "tunnel.comand = x", "F:5: tunnel.comand: unknown key; did you mean tunnel.command?"),
    (TUNNEL.replace("u@h", "'u"), None), (TUNNEL.replace("= ssh", "= /ssh").replace("u@h", "'u"), "F:4: tunnel.command: /ssh -N -o ExitOnForwardFailure=yes -L 127.0.0.1:^localport:h:873 'u: No closing quotation"),
    ("[sync x]\nmode = direct\nsource = /s\ntarget = /t\ntunnel.command = ssh ^localport", "F:5: tunnel.command: is for mode rsync; the mode of this sync is direct"),
    ("[sync x]\nmode = script\nscript = s.py\nsource = /s\ntarget = rsync://h:^localport/m\ntunnel.command = ssh ^localport", "F:6: tunnel.command: is for mode rsync; the mode of this sync is script"),
    ("[sync x]\nmode = rsyncssh\nhost = h\ntargetdir = /t\nsource = /s\ntunnel.parallel = 2", "F:6: tunnel.parallel: is for mode rsync; the mode of this sync is rsyncssh"),
])
def test_what_does_not_fit_is_one_line(text, expected, here):
    (here / "s.py").write_text("def on_create(event): pass\n")
    if expected is None:  # for a shell to say
        load(text, "F", here)
    else:
        assert errors(text, here) == [expected]


@pytest.mark.parametrize("text, expected", [
    ("tunnel()", "F.lua:1: tunnel: allowed: a table, as in tunnel = tunnel{ command = { … } }"), ("tunnel'x'", "F.lua:1: tunnel: allowed: a table"),
    ("sync{ default.rsync, source = '/s', target = 'h::m', tunnel = 'ssh' }", "F.lua:1: tunnel: allowed: a table, as in tunnel = { KEY = VALUE }"),
    ("sync{ default.rsync, source = '/s', target = 'rsync://h:^localport/m', tunnel = { command = { 'ssh', true, '^localport' } } }", "F.lua:1: tunnel.command: "),
])
def test_errors_in_lua(text, expected, here):
    (line,) = errors(text, here, "F.lua")
    assert line.startswith(expected)


def test_more_tunnels_than_jobs_are_told(here):
    text = TUNNEL + "tunnel.mode = pool\ntunnel.parallel = 3\nmaxProcesses = %d"
    assert load(text % 2, "F", here).warnings == ["F:6: tunnel.parallel: maxProcesses = 2: there are never jobs for more tunnels than that"]
    assert load(text % 3, "F", here).warnings == []


def test_keys_without_a_command_are_told(here):
    config = load(SYNC + "target = h::m\ntunnel.mode = pool\ntunnel.parallel = 2", "F", here)
    assert config.warnings == ["F:%d: tunnel.%s: means nothing without tunnel.command" % pair for pair in ((4, "mode"), (5, "parallel"))]


def test_a_port_in_the_arguments_is_one_too(here):
    assert load(TUNNEL.replace("rsync://localhost:^localport/m", "localhost::m") + "rsync._extra = --port=^localport", "F", here).warnings == []


def test_a_directory_may_be_called_so(here):
    assert load(SYNC + "target = /srv/^localport", "F", here).syncs[0].target == b"/srv/^localport/"


@pytest.mark.skipif(not shutil.which("dash"), reason="dash is not installed")
def test_words_of_lua_come_out_as_they_were(here):
    words = ["-c", "a b", "it's", "$(echo x) `y` ${Z} \\", "*", "~", "#", "", "^localport;^localport", "a\nb"]
    text = ", ".join('"%s"' % word.replace("\\", "\\\\").replace("\n", "\\n") for word in words)
    (sync,) = load('sync{ default.rsync, source = "/s", target = "rsync://h:^localport/m", tunnel = { command = { "printf", "%%s|", %s } } }' % text, "F.lua", here).syncs
    argv = sync.tunnel.command.argv({"localport": b"4711"})
    assert argv[0] == b"/bin/sh"
    out = subprocess.run([b"dash", *argv[1:]], stdout=subprocess.PIPE, check=True).stdout.decode()
    assert out == "".join(word.replace("^localport", "4711") + "|" for word in words)
