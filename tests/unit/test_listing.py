"""targetsFrom: what a file names, and what a command prints that somebody else runs."""

import os

import pytest

from lsyncd_lite.config import config as module
from lsyncd_lite.config import writer
from lsyncd_lite.config.config import load
from lsyncd_lite.errors import ConfigError
from lsyncd_lite.paths import to_text

HEAD = "[sync www]\nsource = /srv/www\n"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text, run=None, name="c.conf"):
    with open(name, "w") as file:
        file.write(text)
    return load(name, run=run)


def refused(text, run=None):
    with pytest.raises(ConfigError) as caught:
        read(text, run)
    return caught.value.lines


def ends(config):
    return [(sync.name, to_text(sync.target)) for sync in config.syncs]


def write(text, name="hosts"):
    with open(name, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def test_a_file_names_a_target_a_line():
    write("# webs\n\nweb1:/srv\n  ; no more\n\tweb2:/srv  \r\nweb3:/a b\n")
    config = read(HEAD + "targetsFrom = hosts\n")
    assert ends(config) == [("www/web1:/srv", "web1:/srv/"), ("www/web2:/srv", "web2:/srv/"), ("www/web3:/a b", "web3:/a b/")]
    assert {sync.section for sync in config.syncs} == {"www"} and not config.warnings


def test_one_target_is_called_after_it_too_so_that_a_second_changes_no_name():
    write("web1:/srv\n")
    assert ends(read(HEAD + "targetsFrom = hosts\n")) == [("www/web1:/srv", "web1:/srv/")]


def test_it_is_joined_with_target():
    write("web1:/srv\nweb2:/srv\n")
    config = read(HEAD + "target = web0:/srv\n  web2:/srv\ntargetsFrom = hosts\n")
    assert [name for name, _target in ends(config)] == ["www/web0:/srv", "www/web2:/srv", "www/web1:/srv"]
    assert config.warnings == ["hosts:2: web2:/srv is what stands in c.conf:3: target: it is taken once"]


def test_what_stands_twice_is_taken_once():
    write("web1:/srv\nweb2:/srv\n# x\nweb1:/srv\nweb2:/srv/\n/mnt/a\n/mnt/../mnt/a/\n")
    config = read(HEAD + "targetsFrom = hosts\n")
    assert [sync.name for sync in config.syncs] == ["www/web1:/srv", "www/web2:/srv", "www//mnt/a"]
    assert config.warnings == ["hosts:4: web1:/srv is what stands in hosts:1: it is taken once", "hosts:5: web2:/srv/ is what stands in hosts:2: it is taken once",
                               "hosts:7: /mnt/../mnt/a/ is what stands in hosts:6: it is taken once"]


@pytest.mark.parametrize("text", ["web1", "[web1]", "./web1", "web1/srv"])
def test_a_host_without_a_directory_is_no_directory_here(text):
    """A list of hosts, given to mode rsync, would make so many copies on this host."""
    write("web0:/srv\n%s\n" % text)
    assert refused(HEAD + "targetsFrom = hosts\n") == ["hosts:2: %s is no host here, but a directory; allowed: its whole path, or HOST:DIR" % text]



def test_each_mode_takes_what_its_targets_are():
    write("web1\nme@web2\nfe80::1\n")
    hosts = read(HEAD + "mode = rsyncssh\ntargetdir = /t\ntargetsFrom = hosts\n")
    assert [(sync.name, sync.host, sync.target) for sync in hosts.syncs] == [
        ("www/web1", b"web1", b"web1:/t/"), ("www/me@web2", b"me@web2", b"me@web2:/t/"), ("www/fe80::1", b"fe80::1", b"[fe80::1]:/t/")]
    texts = read(HEAD + "mode = exec\nonCreate = echo ^target ^path\ntargetsFrom = hosts\n")
    assert [sync.target for sync in texts.syncs] == [b"web1", b"me@web2", b"fe80::1"]
    write("/a\n/b/\n")
    assert ends(read(HEAD + "mode = direct\ntargetsFrom = hosts\n")) == [("www//a", "/a/"), ("www//b/", "/b/")]


@pytest.mark.parametrize("content, keys, lines", [
    ("", "", ["c.conf:3: targetsFrom: hosts holds no target; allowed: one target at least"]),
    ("# none\n\n", "target = web0:/srv\n", ["c.conf:3: targetsFrom: hosts holds no target; allowed: one target at least"]),
    ("web1:/srv\n-e sh:/x\n", "", ["hosts:2: -e sh:/x would be an option; allowed: a host that begins with no hyphen"]),
    ("/\n", "mode = direct\n", ["hosts:1: target / is the root of this host (source /srv/www): refused"]),
    ("a\0b\nweb1:/srv\n", "", ["hosts:1: holds a null byte: it is no text"]),
    ("web1\nweb 2\n", "mode = rsyncssh\ntargetdir = /t\n", ["hosts:2: web 2 is no host; allowed: HOST or USER@HOST, a port goes to ssh.port"]),
    ("\033[1m:/x\n-\033:/x", "", ["hosts:2: -\\x1b:/x would be an option; allowed: a host that begins with no hyphen"]),
])
def test_what_cannot_be_is_told_with_its_line(content, keys, lines):
    write(content)
    assert refused(HEAD + "targetsFrom = hosts\n" + keys) == lines


def test_a_file_that_cannot_be_read_is_a_finding_as_is_one_without_end():
    assert refused(HEAD + "targetsFrom = hosts\n") == ["c.conf:3: targetsFrom: cannot read hosts: No such file or directory"]
    assert refused(HEAD + "targetsFrom = /dev/zero\n") == ["c.conf:3: targetsFrom: cannot read /dev/zero: it is no regular file"]
    os.mkfifo("hosts")
    assert refused(HEAD + "targetsFrom = hosts\n") == ["c.conf:3: targetsFrom: cannot read hosts: it is no regular file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root does what others say")
def test_a_file_that_others_can_change_is_refused_to_root():
    write("web1:/srv\n")
    os.chmod("hosts", 0o666)
    line, = refused(HEAD + "targetsFrom = hosts\n")
    assert "hosts: can be written by everybody" in line and "chmod go-w" in line


@pytest.mark.parametrize("text", ["!", "!  ", "a\n  b"])
def test_what_is_neither_a_file_nor_a_command_is_refused(text):
    line, = refused("[sync www]\nsource = .\ntargetsFrom = %s\n" % text)  # where no target at all would be this directory
    assert line.startswith("c.conf:3: targetsFrom: ") and line.endswith("allowed: a file name, or ! and a command")


def test_no_tunnel_leads_to_them():
    write("rsync://localhost:^localport/x\n")
    assert refused(HEAD + "targetsFrom = hosts\ntunnel.command = ssh -N -o ExitOnForwardFailure=yes -L ^localport:localhost:873 h\n") == [
        "c.conf:4: tunnel.command: stands beside targetsFrom, whose targets no tunnel leads to; allowed: one of them"]


class Runs:
    """Takes commands, and says what they print."""

    def __init__(self, output):
        self.output, self.calls = output, []

    def __call__(self, argv):
        self.calls.append(argv)
        if isinstance(self.output, ValueError):
            raise self.output
        return self.output


def test_a_command_is_a_shells_unless_it_begins_with_a_slash(monkeypatch):
    monkeypatch.setenv("ENV", "prod")
    run = Runs(b"web1:/srv\n# x\nweb2:/srv")
    config = read(HEAD + "targetsFrom = !inventory ${ENV} $HOME ^source\n", run)
    assert run.calls == [[b"/bin/sh", b"-c", b'inventory ${ENV} $HOME "${1}"', b"sh", b"/srv/www/"]]
    assert ends(config) == [("www/web1:/srv", "web1:/srv/"), ("www/web2:/srv", "web2:/srv/")]
    run = Runs(b"web1:/srv\n")
    read(HEAD + "targetsFrom = ! /usr/bin/inventory 'a b' ^source\n", run)
    assert run.calls == [[b"/usr/bin/inventory", b"a b", b"/srv/www/"]]


def test_a_files_name_is_expanded(monkeypatch):
    monkeypatch.setenv("ENV", "hosts")
    write("web1:/srv\n")
    assert len(read(HEAD + "targetsFrom = ${ENV}\n").syncs) == 1


def test_where_nothing_is_run_the_command_is_left_out():
    text = HEAD + "targetsFrom = !inventory\n"
    assert read(text).syncs == []
    assert ends(read(text + "target = web0:/srv\n")) == [("www/web0:/srv", "web0:/srv/")]
    readings, errors, warnings = module.readings("c.conf")
    assert readings is not None and not errors and not warnings


@pytest.mark.parametrize("output, lines", [
    (b"", ["c.conf:3: targetsFrom: the command prints no target; allowed: one target at least"]),
    (b"web1:/srv\n\n-x:/y\n", ["c.conf:3: targetsFrom: line 3 of its output: -x:/y would be an option; allowed: a host that begins with no hyphen"]),
    (ValueError("the command ended with 3: x"), ["c.conf:3: targetsFrom: the command ended with 3: x"]),
])
def test_what_a_command_comes_to_is_told_with_its_line(output, lines):
    assert refused(HEAD + "targetsFrom = !inventory\n", Runs(output)) == lines


@pytest.mark.parametrize("text, words", [
    ("!inventory ^target", "^target has no value here; allowed: ^source"), ("!/bin/x 'a", "No closing quotation")])
def test_a_command_that_cannot_be_one_is_refused_without_being_run(text, words):
    run = Runs(b"web1:/srv")
    assert refused(HEAD + "targetsFrom = %s\n" % text, run) == ["c.conf:3: targetsFrom: %s" % words]
    assert not run.calls


def test_pairs_stay_the_same_however_their_target_is_named():
    write("web1:/srv\nweb2:/srv\n")
    listed = read(HEAD + "targetsFrom = hosts\n").syncs
    printed = read(HEAD + "targetsFrom = !x\n", Runs(b"web2:/srv\nweb1:/srv\nweb3:/srv\n")).syncs
    given = read(HEAD + "target =\n  web1:/srv\n  web2:/srv\n").syncs
    assert all(listed[0].same_pair(other) for other in (printed[1], given[0])) and listed[1].same_pair(given[1])
    assert not listed[0].same_pair(listed[1])
    assert [sync.name for sync in listed] == [printed[1].name, printed[0].name]


@pytest.mark.parametrize("value", ["hosts", "!inventory ${ENV} \"$X\" | sort", "! /usr/bin/inventory"])
def test_it_means_the_same_when_converted(value, here):
    write("web1:/srv\n")
    run = Runs(b"web1:/srv\nweb2:/srv\n")
    (here / "l.lua").write_text('sync { default.rsync, name = "www", source = "/srv/www", targetsFrom = [[%s]] }\n' % value)
    wanted = load("l.lua", run=run)
    assert len(wanted.syncs) == (2 if value[0] == "!" else 1)
    readings, errors, _warnings = module.readings("l.lua")
    assert not errors
    for name, text in (("as.ini", writer.to_ini(readings)), ("as.json", writer.to_json(readings))):
        again = read(text, run, name)
        assert [vars(sync) for sync in again.syncs] == [vars(sync) for sync in wanted.syncs], text
    assert all(call == run.calls[0] for call in run.calls)
