"""The ssh command of a sync: who says which option first, and how rsync is told."""

import json
import random
import shutil
import subprocess
import sys

import pytest

from world import config

from lsyncd_lite.mirror import ssh

DEFAULTS = [b"BatchMode=yes", b"ConnectTimeout=30", b"ServerAliveInterval=15", b"ServerAliveCountMax=3"]
SOCKETS = b"/run/lsyncd-lite-5"


def remote(rsh=None, nice=None, ionice=None, **table):
    """Return the SyncConfig of a remote target with an ssh table."""
    return config(mode="rsyncssh", host=b"h", targetdir=b"d", target=b"h:d/", local=False, rsync={"rsh": rsh}, ssh=table, nice=nice, ionice=ionice)


def command(rsh=None, environ=None, sockets=None, **table):
    return ssh.command(remote(rsh, **table), environ or {}, sockets)


def options(words):
    """Return what follows each -o, in order."""
    return [words[number + 1] for number, word in enumerate(words) if word == b"-o"]


@pytest.mark.parametrize("rsh, environ, table, words", [
    (None, {}, {}, [b"ssh"]), (None, {}, {"binary": "/opt/my ssh2"}, [b"/opt/my ssh2"]),
    ("ssh -4", {}, {"binary": "x"}, [b"ssh", b"-4"]), ("/usr/bin/ssh -o 'A=b c'", {b"RSYNC_RSH": b"rsh"}, {}, [b"/usr/bin/ssh", b"-o", b"A=b c"]),
    (None, {b"RSYNC_RSH": b"ssh -6"}, {}, [b"ssh", b"-6"]), (None, {b"RSYNC_RSH": b""}, {}, [b"ssh"]),
    (None, {}, {"identityFile": "/k y", "port": 22, "options": ("A=b", "C=d e"), "_extra": ("-4", "-o", "B=\udcff")},
     [b"ssh", b"-i", b"/k y", b"-p", b"22", b"-o", b"A=b", b"-o", b"C=d e", b"-4", b"-o", b"B=\xff"]),
    ("ssh -p 1", {}, {"port": 2}, [b"ssh", b"-p", b"1", b"-p", b"2"]),
])
def test_what_the_user_says_comes_before_our_defaults(rsh, environ, table, words):
    found = command(rsh, environ, **table)
    assert found == words + [word for option in DEFAULTS for word in (b"-o", option)]


@pytest.mark.parametrize("rsh, table, words", [
    ("/opt/script -x", {}, [b"/opt/script", b"-x"]), ("sshpass ssh", {}, [b"sshpass", b"ssh"]), ("rsh", {"multiplex": True}, [b"rsh"]),
    ("script", {"port": 22, "options": ("A=b",)}, [b"script", b"-p", b"22", b"-o", b"A=b"])])
def test_what_is_no_ssh_gets_nothing_of_ours(rsh, table, words):
    assert command(rsh, sockets=SOCKETS, **table) == command(None, {b"RSYNC_RSH": rsh.encode()}, SOCKETS, **table) == words


def path(words):
    (found,) = [option[len(b"ControlPath="):] for option in options(words) if option.startswith(b"ControlPath=")]
    return found


def test_one_connection_serves_all_that_go_the_same_way():
    words = command(sockets=SOCKETS)
    assert set(options(words)) == {*DEFAULTS, b"ControlMaster=auto", b"ControlPersist=60", b"ControlPath=" + path(words)}
    directory, _slash, name = path(words).rpartition(b"/")
    assert directory == SOCKETS and len(name) == 8 + len(b"%C") and name.endswith(b"%C")
    assert path(command(sockets=SOCKETS)) == path(words)
    others = [dict(port=22), dict(identityFile="/k"), dict(identityFile="/l"), dict(options=("User=x",)), dict(_extra=("-4",)), dict(rsh="ssh -4"), dict(binary="x")]
    assert len({path(command(sockets=SOCKETS, **other)) for other in others} | {path(words)}) == len(others)  # but -4 is -4
    assert path(command(sockets=b"/run/50%/x")).startswith(b"/run/50%%/x/")


def test_who_is_gentle_makes_no_connection_that_others_would_share():
    paths = [path(ssh.command(remote(**keys), {}, SOCKETS)) for keys in ({}, {"nice": 10}, {"nice": 11}, {"ionice": "idle"}, {"nice": 10, "ionice": "idle"})]
    assert len(set(paths)) == 5 and path(ssh.command(remote(nice=10), {}, SOCKETS)) == paths[1]


@pytest.mark.parametrize("table", [
    {"multiplex": False}, {"options": ("ControlMaster=no",)}, {"options": ("controlpath=/x/%C",)}, {"_extra": ("-o", "ControlPersist=5")},
    {"_extra": ("-oControlMaster=no",)}, {"_extra": ("-S", "none")}, {"_extra": ("-M",)}])
def test_a_user_s_own_word_on_connections_stands(table):
    assert options(command(sockets=SOCKETS, **table))[-4:] == DEFAULTS and not any(SOCKETS in word for word in command(sockets=SOCKETS, **table))


def test_a_directory_whose_sockets_would_have_too_long_a_name_is_not_used():
    longest = b"/" + b"x" * (ssh.LONGEST - 1)
    assert len(path(command(sockets=longest)).replace(b"%C", b"c" * 40)) + 17 == 107
    assert options(command(sockets=longest + b"x")) == DEFAULTS == options(command(sockets=None))


# ---- for rsync ---------------------------------------------------------------------------------

@pytest.mark.parametrize("rsh, environ, table, expected", [
    ("script 'a b'  c", {}, {}, b"script 'a b'  c"), (None, {b"RSYNC_RSH": b"script"}, {}, None),
    ("script 'a b'", {}, {"port": 2}, b"script 'a b' -p 2"), (None, {b"RSYNC_RSH": b"script"}, {"port": 2}, b"script -p 2"),
    ("ssh", {}, {}, b"ssh -o " + b" -o ".join(DEFAULTS)), (None, {}, {}, b"ssh -o " + b" -o ".join(DEFAULTS))])
def test_rsync_is_told_where_it_would_do_something_else(rsh, environ, table, expected):
    assert ssh.rsh(remote(rsh, **table), environ) == expected


@pytest.mark.parametrize("words, text", [
    ([b"ssh", b"-p", b"22"], b"ssh -p 22"), ([b"a b", b"c"], b"'a b' c"), ([b"x", b""], b"x ''"), ([b"it's"], b"'it''s'"), ([b'a"b'], b"'a\"b'"),
    ([b"'", b"\"'"], b"'''' '\"'''"), ([b"a\\b", b"$x", b"\xff\t\n"], b"a\\b $x \xff\t\n")])
def test_words_are_quoted_as_rsync_reads_them(words, text):
    assert ssh.as_rsh(words) == text and ssh.split(text) == words


@pytest.mark.parametrize("text, words", [
    (b"", []), (b"  ", []), (b" a  b ", [b"a", b"b"]), (b"a'b c'd", [b"ab cd"]), (b"'a\"b' \"c'd\"", [b'a"b', b"c'd"]), (b"'a''b' \"c\"\"d\"", [b"a'b", b'c"d']),
    (b"a\\ b", [b"a\\", b"b"]), (b"''", [b""]), (b"'a b", [b"a b"]), (b"a\tb", [b"a\tb"])])
def test_a_remote_shell_is_split_as_rsync_does(text, words):
    assert ssh.split(text) == words


@pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed")
def test_the_real_rsync_reads_the_words_again(tmp_path):
    script, source = tmp_path / "rsh", tmp_path / "src"
    source.mkdir()
    script.write_text("#!%s\nimport json, os, sys\njson.dump([os.fsencode(word).decode('latin-1') for word in sys.argv], open('%s/argv', 'w'))\nsys.exit(12)\n"
                      % (sys.executable, tmp_path))
    script.chmod(0o755)
    rnd = random.Random(5)
    for number in range(12):
        words = [bytes(str(script), "ascii")] + [bytes(rnd.choice(b"a'\" \\$\t\xff=") for _ in range(rnd.randrange(7))) for _ in range(rnd.randrange(1, 9))]
        subprocess.run([b"rsync", b"-n", b"--rsh=" + ssh.as_rsh(words), bytes(source) + b"/", b"host:d/"], stderr=subprocess.DEVNULL, check=False)
        argv = [word.encode("latin-1") for word in json.loads((tmp_path / "argv").read_text())]
        assert argv[:argv.index(b"host")] == words
