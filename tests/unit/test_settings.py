"""The table of keys: every row, and every kind with what INI (text) and JSON (anything) may hand it."""

import re

import pytest

from lsyncd_lite.config import settings
from lsyncd_lite.config.settings import BOOL, DELETE, FACILITY, FILE, LINES, MODE, OPTIONS, SECONDS, TEXT

ROWS = [(scope, name, key) for scope in ("settings", "sync") for name, key in settings.scope(scope).items()]
WHOLE = settings.scope("sync")["maxDelays"].kind      # 1 or more
SIZE = settings.scope("sync")["batchSizeLimit"].kind  # 0 or more
PORT = settings.scope("sync")["ssh.port"].kind
CHOICE = settings.scope("settings")["inotifyMode"].kind


@pytest.mark.parametrize("scope, name, key", ROWS, ids=["%s-%s" % row[:2] for row in ROWS])
def test_every_row_has_help_and_a_legal_default(scope, name, key):
    assert re.fullmatch(r"[A-Z].*[.)]", key.help) and key.help.isprintable()
    assert key.kind.allowed
    assert key.name == name.rpartition(".")[2]
    if key.default not in (None, ()):
        assert settings.parse(key, key.default) == key.default or key.default is True
        assert settings.parse(key, str(key.default).lower() if isinstance(key.default, bool) else str(key.default)) == key.default
    for choice in key.kind.choices:
        settings.parse(key, choice)


@pytest.mark.parametrize("scope", ["settings", "sync"])
def test_no_name_stands_twice_in_a_scope(scope):
    names = [key.name for key in settings.KEYS if scope in key.scopes.split()]
    assert len(names) == len(set(names))


def test_every_scope_is_known():
    assert {word for key in settings.KEYS for word in key.scopes.split()} == {"settings", "sync", *settings.TABLES}


# What users of lsyncd know; "" stands for a value
SETTINGS = {"logfile", "pidfile", "nodaemon", "onepass", "statusFile", "statusInterval", "logfacility", "logident", "insist",
            "inotifyMode", "maxProcesses", "maxDelays", "delay", "shutdownTimeout", "onFatal"}
SYNC = {"name", "mode", "source", "target", "delay", "maxDelays", "maxProcesses", "exclude", "excludeFrom", "filter",
        "filterFrom", "delete", "init", "batchSizeLimit", "allowEmptySource", "host", "targetdir", "ssh.binary", "ssh.identityFile",
        "ssh.port", "ssh.options", "ssh._extra", "xargs.binary", "xargs.delimiter", "xargs._extra"}
DEFAULTS = {"statusInterval": 10, "maxDelays": 1000, "delay": 15, "maxProcesses": 1, "delete": True, "init": True, "insist": False,
            "nodaemon": False, "onepass": False, "inotifyMode": "CloseWrite", "shutdownTimeout": 60, "onFatal": "isolate",
            "allowEmptySource": False, "rsync.links": True, "rsync.times": True, "rsync.protect_args": True,
            "rsync.binary": "rsync", "rsync.archive": False, "ssh.binary": "ssh", "ssh.multiplex": True, "direct.atomic": False}
SHORT = dict(acls="A", backup="b", checksum="c", compress="z", copy_dirlinks="k", copy_links="L", cvs_exclude="C", dry_run="n",
             executability="E", group="g", hard_links="H", ignore_times="I", ipv4="4", ipv6="6", keep_dirlinks="K", links="l",
             one_file_system="x", omit_dir_times="O", omit_link_times="J", owner="o", perms="p", protect_args="s",
             prune_empty_dirs="m", quiet="q", sparse="S", times="t", update="u", verbose="v", whole_file="W", xattrs="X")
LONG = {"append", "append_verify", "copy_unsafe_links", "delete_excluded", "existing", "inplace"}
VALUED = {"backup_dir", "bwlimit", "chmod", "chown", "groupmap", "password_file", "rsh", "rsync_path", "suffix", "temp_dir",
          "timeout", "usermap"}


def test_no_key_of_lsyncd_is_missing():
    assert SETTINGS <= set(settings.scope("settings"))
    assert SYNC <= set(settings.scope("sync"))


def test_the_rsync_table_is_complete_and_its_flags_are_rsyncs():
    flags = {key.name: key.flag for key in settings.KEYS if key.scopes == "rsync"}
    expected = {name: "-" + letter for name, letter in SHORT.items()}
    expected.update({name: "--" + name.replace("_", "-") for name in LONG | {"devices", "specials"}})
    expected.update({name: "--%s=" % name.replace("_", "-") for name in VALUED})
    expected.update(binary=None, _extra=None, archive=None)
    assert flags == expected
    kinds = {key.name: key.kind for key in settings.KEYS if key.scopes == "rsync"}
    assert all(kinds[name] is BOOL for name in [*SHORT, *LONG, "archive", "devices", "specials"])


def test_archive_sets_what_rsyncs_archive_does_but_recursion():
    assert set(settings.ARCHIVE) == {"links", "perms", "times", "group", "owner", "devices", "specials"}


def test_defaults_are_lsyncds():
    rows = {**settings.scope("settings"), **settings.scope("sync")}
    assert {name: rows[name].default for name in DEFAULTS} == DEFAULTS
    unset = {name for name, key in settings.scope("sync").items() if name.startswith("rsync.") and key.default is None}
    assert unset == {"rsync." + name for name in [*SHORT, *LONG, *VALUED, "devices", "specials"]} - set(DEFAULTS)
    assert settings.scope("settings")["maxProcesses"].default is None


def test_a_mode_may_have_defaults_of_its_own():
    for mode in settings.MODES:
        expected = {name: key.default for name, key in settings.scope("sync").items()}
        if mode == "direct":
            expected.update({"delay": 1, "rsync.archive": True})
        if mode in ("exec", "script"):
            expected["delay"] = 0
        assert settings.defaults(mode) == expected


def test_modes_are_known_and_a_table_is_for_the_same_modes_throughout():
    for _scope, _name, key in ROWS:
        assert key.modes is None or set(key.modes.split()) < set(settings.MODES)
        assert key.by_mode is None or set(key.by_mode) < set(settings.MODES)
    modes = {table: {key.modes for key in settings.KEYS if key.scopes == table} for table in settings.TABLES}
    assert modes == {"onBatch": {None}, "rsync": {None}, "ssh": {"rsync rsyncssh"}, "xargs": {"rsyncssh"}, "direct": {"direct"}, "tunnel": {"rsync"}}


def test_both_scopes_see_what_they_share():
    for name in "delay", "maxDelays":
        assert settings.scope("settings")[name] is settings.scope("sync")[name]
    assert "rsync.archive" not in settings.scope("settings") and "archive" not in settings.scope("sync")


@pytest.mark.parametrize("kind, raw, value", [
    *[(BOOL, raw, True) for raw in ("true", "yes", "on", "1", "TRUE", "Yes", "oN", True, 1)],
    *[(BOOL, raw, False) for raw in ("false", "no", "off", "0", "FALSE", "No", False, 0)],
    (SECONDS, "0", 0), (SECONDS, "15", 15), (SECONDS, "0.5", .5), (SECONDS, 5, 5), (SECONDS, 2.5, 2.5), (SECONDS, "1e2", 100),
    (WHOLE, "1", 1), (WHOLE, 7, 7), (WHOLE, "1000000", 1000000), (SIZE, "0", 0), (SIZE, 0, 0), (SIZE, 1 << 40, 1 << 40),
    (TEXT, "a", "a"), (TEXT, " a  b ", " a  b "), (TEXT, "% ; #=\\$(x)`'\"", "% ; #=\\$(x)`'\""), (TEXT, "\udcff\udc80", "\udcff\udc80"),
    (TEXT, "\u00e9\U0001f600", "\u00e9\U0001f600"), (TEXT, 5, "5"), (TEXT, "x" * 5000, "x" * 5000),
    (LINES, "a", ("a",)), (LINES, "a\nb c\n*", ("a", "b c", "*")), (LINES, "a\n\n  \nb", ("a", "b")), (LINES, ["a", "b c"], ("a", "b c")),
    (LINES, [], ()), (LINES, ["a", ""], ("a",)), (LINES, [1], ("1",)), (LINES, ["\udcff"], ("\udcff",)),
    (DELETE, "true", True), (DELETE, "no", False), (DELETE, True, True), (DELETE, False, False),
    (DELETE, "startup", "startup"), (DELETE, "running", "running"),
    (FACILITY, "daemon", "daemon"), (FACILITY, "local7", "local7"), (FACILITY, "0", "0"), (FACILITY, "23", "23"), (FACILITY, 3, "3"),
    (MODE, "rsync", "rsync"), (MODE, "default.rsync", "rsync"), (MODE, "default.rsyncssh", "rsyncssh"), (MODE, "direct", "direct"),
    (PORT, "22", 22), (PORT, 65535, 65535), (PORT, 1, 1),
    (OPTIONS, "A=b", ("A=b",)), (OPTIONS, "A b c\n Bb = c=d \n\nC\t=\t'e f'", ("A=b c", "Bb=c=d", "C='e f'")), (OPTIONS, ["A=b", "C d"], ("A=b", "C=d")), (OPTIONS, [], ()),
    (OPTIONS, ("A", "b c"), ("A=b c",)), (OPTIONS, ("A", True), ("A=yes",)), (OPTIONS, ("A", False), ("A=no",)), (OPTIONS, ("A", 5), ("A=5",)),
    (CHOICE, "CloseWrite", "CloseWrite"), (CHOICE, "Modify", "Modify"), (CHOICE, "CloseWrite or Modify", "CloseWrite or Modify"),
])
def test_good_values(kind, raw, value):
    found = settings.parse(settings.Key("k", "sync", kind, None, ""), raw)
    assert found == value and type(found) in (type(value), float)


NEVER = (None, "", {}, [[]], [None], [True], ["a\0"], ["\ud800"], "a\0b", "\ud800x")  # of no kind


@pytest.mark.parametrize("kind, raws", [
    (BOOL, ["maybe", "2", "-1", "truee", "t", " ", "true false", 2, -1, [], ["true"], "startup"]),
    (SECONDS, ["-1", -1, "soon", "5 s", "5,5", "nan", "inf", "-inf", float("inf"), float("nan"), "1e9", 1e300, True, False, [], [5],
               "1:30", "5m", "9" * 400]),
    (WHOLE, ["0", 0, "-3", -3, "1.5", 1.5, "x", "5 s", True, [], [1], "0x10", "1e3", float("inf"), float("nan")]),
    (SIZE, ["-1", -1, "1M", 1.5, True, []]),
    (TEXT, [True, False, [], ["a"]]),
    (FILE, [True, []]),
    (LINES, [True, [["a"]], ["a", False]]),
    (DELETE, ["always", "Startup", "2", 2, [], ["startup"], "startup running"]),
    (FACILITY, ["24", 24, "-1", -1, "local8", "Daemon", "\u00b2", True, [], 1.5, "999999"]),
    (PORT, ["0", "65536", -1, 70000, "ssh", True]),
    (OPTIONS, ["A", "A=", "A= ", "=b", "A_b=c", "-oA=b", "A=b\nC", ["A=b\n"], True, 5, [["A=b"]]]),
    (MODE, ["nonsense", "default.", "default.nonsense", "Rsync", "rsync ", True, 1, []]),
    (CHOICE, ["closewrite", "Modify or CloseWrite", "CloseWrite,Modify", True, 1, []]),
])
def test_bad_values_are_refused_with_what_is_allowed(kind, raws):
    key = settings.Key("k", "sync", kind, None, "")
    for raw in [*NEVER, *raws]:
        with pytest.raises(ValueError) as caught:
            value = settings.parse(key, raw)
            print(raw, "was taken as", value)
        words = str(caught.value)
        assert words.endswith("is not allowed here; allowed: " + kind.allowed)
        assert words.isprintable()


def test_what_is_allowed_names_every_choice():
    for scope, name, key in ROWS:
        for choice in key.kind.choices:
            assert choice in key.kind.allowed
