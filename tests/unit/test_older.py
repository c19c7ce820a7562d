"""Names of older releases → today's keys, each with a warning or an error that names them."""

import pytest

from lsyncd_lite.config import older, settings
from lsyncd_lite.config.section import Entry


def today(values, kind="sync", mode="rsync"):
    """Return ({key: raw}, findings, warnings) of {key: raw}, written one a line."""
    entries = [Entry(key, raw, "F:%d: %s" % (line, key), line=line) for line, (key, raw) in enumerate(values.items(), 1)]
    found, findings, warnings = older.today(entries, kind, mode)
    assert len({entry.key for entry in found}) == len(found)
    return {entry.key: entry.raw for entry in found}, findings, warnings


def test_todays_keys_stay_as_they_are():
    for kind, mode in ("settings", None), ("sync", "rsync"):
        values = {name: 1 for name, key in settings.scope(kind).items() if mode is None or settings.fits(key, mode)}
        assert today(values, kind, mode) == (values, [], [])
    values = {"ssh.options.ProxyJump": "h", "param.x": 1, "nonsense": 1, "rsync.nonsense": 1, "a.b.c": 1}
    assert today(values) == (values, [], [])
    assert today({"exitcodes.3": "again", "onMove": "x"}, mode="exec") == ({"exitcodes.3": "again", "onMove": "x"}, [], [])


def test_what_stands_together_stays_together():
    values = {"excludefrom": "/x", "ssh.port": 1, "ssh.options.A": 1, "ssh.options.B": 1, "rsyncOps": ["-lt"], "delay": 1}
    assert list(today(values)[0]) == ["excludeFrom", "ssh.port", "ssh.options.A", "ssh.options.B", "rsync.links", "rsync.times", "delay"]


@pytest.mark.parametrize("kind, name, key", [
    ("settings", "statusIntervall", "statusInterval"), ("settings", "statusfile", "statusFile"), ("settings", "logFile", "logfile"), ("settings", "pidFile", "pidfile"),
    ("settings", "log_facility", "logfacility"), ("sync", "targetDir", "targetdir"), ("sync", "exclude_from", "excludeFrom"), ("sync", "excludefrom", "excludeFrom"),
    ("sync", "rsync.copy-links", "rsync.copy_links"), ("sync", "rsync.extra", "rsync._extra"), ("sync", "ssh.identity_file", "ssh.identityFile"), ("sync", "Rsync.Archive", "rsync.archive"),
    ("sync", "SSH.options.X", "ssh.options.X"), ("sync", "rsyncBinary", "rsync.binary"), ("sync", "Rsync.nonsense", "rsync.nonsense"),
])
def test_another_spelling_is_accepted_with_a_warning_that_names_todays(kind, name, key):
    assert today({name: "v"}, kind) == ({key: "v"}, [], ["F:1: %s: is called %s today" % (name, key)])


def test_what_is_given_by_both_names_counts_by_todays():
    assert today({"statusfile": "a", "statusFile": "b", "STATUSFILE": "c"}, "settings", None) == (
        {"statusFile": "b"}, [], ["F:%d: %s: is left out: it is called statusFile today, which is given, too" % place for place in ((1, "statusfile"), (3, "STATUSFILE"))])


@pytest.mark.parametrize("raw, expected", [
    ("-rltvupgo", "links times verbose update perms group owner"),
    (["-rltvupgo"], "links times verbose update perms group owner"),
    ("-avz", "archive verbose compress"),
    ("-rlptgoD --compress", "links perms times group owner devices specials compress"),
    (["-lt", "--bwlimit=100", "--no-perms"], "links times bwlimit=100 perms=False"),
    (["-lt", "--bwlimit", "100"], "links times bwlimit=100"),
    ("-lt -e 'ssh -p 2'", "links times rsh=ssh -p 2"),
    (["-lt", "-e ssh"], "links times rsh=ssh"),
    (["-lt", "-essh"], "links times rsh=ssh"),
    (["-ltT", "/tmp"], "links times temp_dir=/tmp"),
    ("-ltus --delete --recursive", "links times update protect_args"),
    ("-a --partial --exclude x -h", "archive _extra=--partial|--exclude|x|-h"),
    ("-axx", "archive one_file_system _extra=-x"),
    ("-af '- a b'", "archive _extra=-f|- a b"),
    (["-af- a b"], "archive _extra=-f- a b"),
    ("-a --one-file-system --chmod=u+w --rsync-path='sudo rsync'", "archive one_file_system chmod=u+w rsync_path=sudo rsync"),
    ("-p", "perms links=False times=False"),
    ("", "links=False times=False"),
    ([], "links=False times=False"),
])
@pytest.mark.parametrize("name", ["rsyncOps", "rsyncOpts", "rsync.rsyncOps"])
def test_options_of_rsync_become_todays_keys(name, raw, expected):
    values, rest = {}, expected
    if "_extra=" in rest:
        rest, _mark, extra = rest.partition("_extra=")
        values["rsync._extra"] = extra.split("|")
    for key in settings.scope("sync"):
        for word in [word for word in _words(rest) if word.partition("=")[0] == key.partition(".")[2] and key.startswith("rsync.")]:
            text = word.partition("=")[2]
            values[key] = {"": True, "False": False}.get(text, text)
    found, findings, (warning,) = today({name: raw})
    assert (found, findings) == (values, [])
    assert warning.startswith("F:1: %s: today: rsync = { " % name)
    assert all(key.partition(".")[2] in warning for key in values)


def _words(text):
    """Split a text at blanks before names."""
    import re
    return re.split(r" (?=[a-z_]+(?:=|\b))", text.strip()) if "ssh" not in text and "sudo" not in text else re.findall(r"(?:rsh|rsync_path)=.*|\S+", text)


def test_options_go_behind_what_is_given_by_todays_keys():
    assert today({"rsyncOps": "-rlt -z --partial", "rsync.compress": False, "rsync._extra": ["--fuzzy"], "rsync.links": False})[0] == {
        "rsync.compress": False, "rsync._extra": ["--fuzzy", "--partial"], "rsync.links": False, "rsync.times": True}
    assert today({"rsyncOps": "-a --partial", "rsync._extra": "--fuzzy"})[0] == {"rsync._extra": ["--fuzzy", "--partial"], "rsync.archive": True}


def test_options_that_cannot_be_told_are_an_error():
    for raw in True, 5, "-a 'x", ["-a", True], "-a " * 2000:
        found, (finding,), warnings = today({"rsyncOps": raw})
        assert (found, warnings) == ({}, []) and finding.startswith("F:1: rsyncOps: allowed: ")


def test_options_of_ssh_are_further_arguments():
    assert today({"sshOps": "-p 22 -4", "ssh._extra": ["-v"]}) == ({"ssh._extra": ["-v", "-p", "22", "-4"]}, [], ["F:1: sshOps: is called ssh._extra today"])


@pytest.mark.parametrize("mode", ["rsync", "rsyncssh", "direct"])
def test_exit_codes_of_rsync_are_left_out_and_that_is_said_once(mode):
    for base in "exitcodes", "rsyncExitCodes", "sshExitCodes":
        found, findings, (warning,) = today({base + ".0": "ok", base + ".1": "die", "delay": 1}, mode=mode)
        assert (found, findings) == ({"delay": 1}, []) and warning.startswith("F:1: %s: is left out: " % base)


def test_on_move_of_a_mode_that_moves_is_no_command():
    for mode in "rsyncssh", "direct":
        assert today({"onMove": True}, mode=mode) == ({}, [], [])
        assert today({"onMove": "mv"}, mode=mode) == ({"onMove": "mv"}, [], [])  # which is an error of its own


@pytest.mark.parametrize("words, text", [
    (["ssh", "-N", "-L", "localhost:^localport:h:873", "user@host", "-p", 22], "exec ssh -N -L localhost:^localport:h:873 user@host -p 22"),
    (["/usr/bin/ssh", "-o", "ProxyCommand=nc -x it's"], "/usr/bin/ssh -o 'ProxyCommand=nc -x it'\\''s'"),
    (["a b", "$(x)", "", "~", "a\nb"], "exec 'a b' '$(x)' '' '~' 'a\nb'"), ("ssh -N", "ssh -N"), ([], []), ([True], [True])])
def test_the_words_of_a_tunnel_are_a_command(words, text):
    assert today({"tunnel.command": words}) == ({"tunnel.command": text}, [], [])


def test_the_port_of_a_tunnel_has_another_spelling():
    entries = {"tunnel.command": ["ssh", "${localport}"], "target": "rsync://h:${localport}/m", "rsync._extra": ["--port=${localport}"]}
    assert today(entries) == ({"tunnel.command": "exec ssh ^localport", "target": "rsync://h:^localport/m", "rsync._extra": ["--port=^localport"]}, [], [
        "F:%d: %s: ${localport} is written ^localport today" % pair for pair in enumerate(entries, 1)])
    assert today({"target": "rsync://h:${localport}/m"}) == ({"target": "rsync://h:${localport}/m"}, [], [])


def test_what_there_is_not_names_the_way_out():
    assert today({"log": ["Exec"]}, "settings", None)[0::2] == ({}, ["F:1: log: is left out: which messages there are is an option of the command line, as in -log Exec"])


@pytest.mark.parametrize("raw, expected", [("closewrite", "CloseWrite"), ("MODIFY", "Modify"), ("Modify or CloseWrite", "CloseWrite or Modify")])
def test_words_of_inotify_mode_may_have_any_order_and_capitals(raw, expected):
    assert today({"inotifyMode": raw}, "settings", None) == ({"inotifyMode": expected}, [], ["F:1: inotifyMode: is called %s today" % expected])


@pytest.mark.parametrize("raw", ["CloseWrite", "Modify", "CloseWrite or Modify", "nonsense", 3, True])
def test_other_words_of_inotify_mode_stay(raw):
    assert today({"inotifyMode": raw}, "settings", None) == ({"inotifyMode": raw}, [], [])
