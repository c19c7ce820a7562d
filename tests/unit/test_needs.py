"""Which programs a sync needs, and what is said where one is missing."""

import os

import pytest

from world import config

from lsyncd_lite.mirror import needs
from lsyncd_lite.mirror.job import BATCH, FULL, Job, Verdict
from lsyncd_lite.mirror.rsync import Rsync
from lsyncd_lite.system import program

LOCAL = dict(mode="rsync", target=b"/dst/", local=True)
REMOTE = dict(mode="rsync", target=b"h:dst", local=False)
SSH = dict(mode="rsyncssh", host=b"h", targetdir=b"d", target=b"h:d/", local=False)


@pytest.mark.parametrize("keys, environ, names", [
    (LOCAL, {}, [b"rsync"]), (REMOTE, {}, [b"rsync", b"ssh"]), (SSH, {}, [b"rsync", b"ssh"]),
    (dict(REMOTE, target=b"rsync://h/m/"), {}, [b"rsync"]), (dict(REMOTE, target=b"h::m/"), {}, [b"rsync"]),
    (dict(REMOTE, rsync={"rsh": "sshpass -e ssh"}), {}, [b"rsync", b"sshpass"]), (REMOTE, {b"RSYNC_RSH": b"/opt/ssh -4"}, [b"rsync", b"/opt/ssh"]),
    (dict(SSH, ssh={"binary": "dbclient"}, rsync={"binary": "/opt/rsync"}), {}, [b"/opt/rsync", b"dbclient"]),
    (dict(LOCAL, mode="direct"), {}, []), (dict(LOCAL, mode="exec"), {}, []), (dict(LOCAL, mode="script"), {}, [])])
def test_what_a_sync_needs(keys, environ, names):
    assert needs.programs(config(**keys), environ) == names


@pytest.mark.parametrize("keys, words", [
    ({}, b""), ({"nice": 0}, b"nice -n 0"), ({"nice": -5}, b"nice -n -5"), ({"ionice": "idle"}, b"ionice -c 3"),
    ({"ionice": "best-effort"}, b"ionice -c 2 -n 4"), ({"ionice": "best-effort:7", "nice": 19}, b"nice -n 19 ionice -c 2 -n 7")])
def test_what_makes_it_gentle_and_is_needed_then(keys, words):
    for mode in (LOCAL, SSH, dict(LOCAL, mode="exec")):
        wanted = config(**dict(mode, **keys))
        found = needs.gentle(wanted)
        assert b" ".join(word for name, options in found.items() for word in (name, *options)) == words
        assert needs.programs(wanted, {})[:len(found)] == list(found)
    assert needs.missing(b"ionice", config(**LOCAL)) == "there is no program ionice (install util-linux, or set no ionice)"


@pytest.mark.parametrize("keys, name, words", [
    (LOCAL, b"rsync", "there is no program rsync (install it, or use mode = direct)"), (REMOTE, b"rsync", "there is no program rsync (install it)"),
    (SSH, b"rsync", "there is no program rsync (install it)"), (SSH, b"ssh", "there is no program ssh (install the client of OpenSSH)"),
    (dict(LOCAL, rsync={"binary": "/opt/rs\nync"}), b"/opt/rs\nync", "there is no program /opt/rs\\nync (rsync.binary)"),
    (dict(LOCAL, mode="exec"), b"rsync", "there is no program rsync"), (SSH, b"dbclient", "there is no program dbclient")])
def test_what_is_said_of_what_is_missing(keys, name, words):
    assert needs.missing(name, config(**keys)) == words


def test_an_rsync_that_finds_no_ssh_says_so_for_us():
    output = [b"rsync: [sender] Failed to exec ssh: No such file or directory (2)", b"rsync error: error in IPC code (code 14) at pipe.c(85) [sender=3.2.7]"]
    mode = Rsync(config(**REMOTE), {})
    for purpose in FULL, BATCH:
        assert mode.verdict(Job([], None, [], purpose), 14, output) == (Verdict.AGAIN, "there is no program ssh (install the client of OpenSSH)")


def test_a_program_is_found_as_the_kernel_finds_it(tmp_path, monkeypatch):
    for folder, name, mode in ("a", "x", 0o644), ("b", "x", 0o755), ("c", "x", 0o755), ("a", "y", 0o644):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text("")
        (tmp_path / folder / name).chmod(mode)
    (tmp_path / "a" / "z").mkdir()
    monkeypatch.setenv("PATH", ":".join(str(tmp_path / folder) for folder in "nabc"))
    found = os.fsencode(str(tmp_path / "b" / "x"))
    assert program.find(b"x") == program.find(found) == found
    assert program.find(b"y") is program.find(b"z") is program.find(b"n") is program.find(os.fsencode(str(tmp_path / "a" / "y"))) is None
