"""Files and command line → one checked Config, or all that is wrong with them at once."""

import json
import os
import re

import pytest

from lsyncd_lite.config import config as module
from lsyncd_lite.config import settings
from lsyncd_lite.errors import ConfigError
from lsyncd_lite.mirror.filters import Filter

PAIR = "source = /srv/www\ntarget = host:/dst\n"
SYNC = "[sync www]\n" + PAIR


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return os.fsencode(str(tmp_path))


def load(text, *pairs, **overrides):
    """Load a file F with the text (str or bytes; None: no file) in the current directory; pairs: of mode rsync, or as module.load has them."""
    pairs = [pair if len(pair) == 3 else ("rsync", {"source": pair[0], "target": [pair[1]]}, "-rsync %s %s" % pair) for pair in pairs]
    if text is None:
        return module.load(None, overrides, pairs)
    with open("F", "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
    return module.load("F", overrides, pairs)


def one(text, **overrides):
    """Return the only sync of a text."""
    syncs = load(text, **overrides).syncs
    assert len(syncs) == 1
    return syncs[0]


def errors(text, *pairs, **overrides):
    with pytest.raises(ConfigError) as caught:
        load(text, *pairs, **overrides)
    lines = caught.value.lines
    assert all(line.isprintable() for line in lines) and str(caught.value) == "\n".join(lines)
    return lines


def fits(lines, *starts):
    """Tell whether there is one line for each start, in any order."""
    left = list(starts)
    for line in lines:
        left.remove(next((start for start in left if line.startswith(start)), None))
    return not left


# ---- one small configuration -------------------------------------------------------------------

def test_two_keys_make_a_sync_with_all_defaults():
    config = load(SYNC)
    assert config.warnings == [] and len(config.syncs) == 1
    sync = config.syncs[0]
    assert (sync.name, sync.mode, sync.source, sync.target, sync.local) == ("www", "rsync", b"/srv/www", b"host:/dst/", False)
    assert (sync.rules, sync.extra_rules, sync.delay, sync.delete, sync.maxProcesses) == ((), (), 15, True, 1)
    for name, key in settings.scope("settings").items():
        assert getattr(config.settings, name) == key.default
    for name, key in settings.scope("sync").items():
        table, _dot, inner = name.rpartition(".")
        if name not in ("name", "source", "target"):
            assert getattr(getattr(sync, table) if table else sync, inner) == key.default


def test_ini_and_json_give_equal_configurations():
    ini = load("""\ufeff[settings]\r
logfile = /var/log/x y.log\r
nodaemon = yes\r
statusInterval = 30\r
logfacility = local3\r
maxDelays = 7\r
delay = 2.5\r
[sync www]\r
# a comment\r
mode = default.rsync\r
source = /srv/./www/\r
target =\r
  host:dir\r
  /mirror\r
exclude =\r
  .git/\r
  100% ; # x\r
filter =\r
  + /a\r
  - /*\r
delete = running\r
init = off\r
batchSizeLimit = 1000\r
rsync.archive = on\r
rsync.links = no\r
rsync.timeout = 5\r
rsync._extra =\r
  --exclude=*\r
  --bwlimit=5\r
""")
    same = load(json.dumps({
        "settings": {"logfile": "/var/log/x y.log", "nodaemon": True, "statusInterval": 30, "logfacility": "local3", "maxDelays": 7,
                     "delay": 2.5},
        "sync": [{"name": "www", "mode": "rsync", "source": "/srv/www", "target": ["host:dir", "/mirror"],
                  "exclude": [".git/", "100% ; # x"], "filter": ["+ /a", "- /*"], "delete": "running", "init": False,
                  "batchSizeLimit": 1000,
                  "rsync": {"archive": True, "links": False, "timeout": 5, "_extra": ["--exclude=*", "--bwlimit=5"]}}]}))
    assert ini.settings == same.settings
    assert len(ini.syncs) == 2 and all(one.same_pair(other) for one, other in zip(ini.syncs, same.syncs))
    assert [sync.name for sync in ini.syncs] == [sync.name for sync in same.syncs]


# ---- what is wrong, all at once ----------------------------------------------------------------

def test_all_errors_of_an_ini_file_come_at_once_each_with_its_line():
    lines = errors("""stray = 1
[settings]
delay = soon
nosuch = 1
nodaemon = maybe
nodaemon = yes
statusInterval = -3
[sync a]
source = /x
delete = sometimes
rsync.archiv = yes
rsync.timeout = 1.5
maxProcesses = 0
mode = nonsense
filter = * x
excludeFrom = /no/such/file
[wrong]
[sync b]
target = /y
maxdelays = 3
""")
    assert fits(lines, "F:1: stray: ", "F:3: delay: ", "F:4: nosuch: unknown key", "F:5: nodaemon: ", "F:6: nodaemon: given twice",
                "F:7: statusInterval: ", "F:8: target: ", "F:10: delete: ", "F:11: rsync.archiv: unknown key; did you mean rsync.archive?",
                "F:12: rsync.timeout: ", "F:13: maxProcesses: ", "F:14: mode: ", "F:17: [wrong]: ", "F:18: source: ",
                "F:20: maxdelays: unknown key; did you mean maxDelays?"), lines
    assert all(re.match(r"F:\d+: \S+: \S", line) for line in lines)


def test_all_errors_of_a_json_file_come_at_once_each_with_its_path():
    lines = errors(json.dumps({
        "settings": {"delay": "soon", "nosuch": 1, "nodaemon": 2, "logfile": None, "maxDelays": [1]},
        "sync": [{"source": "/x", "target": ["h:", 3, None], "rsync": {"archiv": True, "timeout": 1.5}, "exclude": "\0"}, {"source": 5}, 7],
        "more": 1}))
    assert fits(lines, "F: settings.delay: ", "F: settings.nosuch: unknown key", "F: settings.nodaemon: ", "F: settings.logfile: ",
                "F: settings.maxDelays: ", "F: sync[0].target: ", "F: sync[0].rsync.archiv: unknown key; did you mean rsync.archive?",
                "F: sync[0].rsync.timeout: ", "F: sync[0].exclude: ", "F: sync[1]: target: ", "F: sync[2]: ", "F: more: "), lines


@pytest.mark.parametrize("text, starts", [
    ("[sync x]", ["F:1: source: ", "F:1: target: "]),
    ("[sync x]\nsource =\ntarget = h:", ["F:2: source: "]),
    ("[sync x]\nsource = /x\ntarget =", ["F:3: target: "]),
    ('{"sync": [{"source": "/x", "target": []}]}', ["F: sync[0].target: "]),
    ("[sync x]\nsource = /\0x\ntarget = h:", ["F:2: source: "]),
    ('{"sync": [{"source": "/\\ud800", "target": "h:"}]}', ["F: sync[0].source: "]),
    ("sync {", ["F:1: "]),
    (SYNC + "tunnel = x", ["F:4: tunnel: unknown key"]),
    (SYNC + "archive = yes", ["F:4: archive: unknown key"]),
    (SYNC + "logfile = /x", ["F:4: logfile: unknown key"]),
    ("[settings]\nsource = /x\n" + SYNC, ["F:2: source: unknown key"]),
    (SYNC + "delay = 1\nDelay = 2", ["F:5: Delay: unknown key; did you mean delay?"]),
    (SYNC + "inotifyMode = Modify\npidfile = /x", ["F:4: inotifyMode: unknown key in a sync: it belongs into settings", "F:5: pidfile: unknown key in a sync: it belongs into settings"]),
    ("[settings]\nexclude = x\nrsync.archive = yes\n" + SYNC, ["F:2: exclude: unknown key in settings: it belongs into a sync", "F:3: rsync.archive: unknown key in settings: it belongs into a sync"]),
    (SYNC + "rsync.partial = yes\nrsync.sizeonly = yes", ["F:4: rsync.partial: unknown key; further arguments go into rsync._extra", "F:5: rsync.sizeonly: unknown key; further arguments go into rsync._extra"]),
    (SYNC + "rsync.delete = yes\nssh.host = h", ["F:4: rsync.delete: unknown key; did you mean delete, which does not stand in rsync?", "F:5: ssh.host: unknown key; did you mean host, which does not stand in ssh?"]),
    (SYNC + "direct.x = 1", ["F:4: direct.x: unknown key"]),
    (SYNC + "x\x1b[2J\n y = 3", ["F:4: x\\x1b[2J: "]),
    (SYNC + "\udcff = 3", ["F:4: \\xff: unknown key"]),
    (SYNC + "delete = \udcff\x07", ["F:4: delete: "]),
    (b"\xef\xbb\xbf" + b"[nope]", ["F:1: [nope]: "]),
    ('\ufeff{"sync": [{"nope": 1, "source": "/x", "target": "h:"}]}', ["F: sync[0].nope: unknown key"]),
    ("[" * 100000, ["F:1: [[["]),
])
def test_errors(text, starts):
    assert fits(errors(text), *starts)


@pytest.mark.parametrize("text, line", [
    ("[settings]\ndelay = 5\n  maxDelays = 10\n" + SYNC, "F:2: delay: "), (SYNC + "exclude =\n  a\n  delete = no\n", "F:4: exclude: delete = no is indented"),
    (SYNC + "  delay=3\n", "F:3: target: delay=3 is indented"), (SYNC + "rsync.archive = yes\n rsync.perms = no", "F:4: rsync.archive: ")])
def test_a_key_that_is_indented_by_mistake_is_an_error(text, line):
    assert any(error.startswith(line) for error in errors(text))


def test_what_looks_like_a_key_is_none_where_nothing_is_indented():
    assert [rule[1] for rule in one(SYNC + "exclude = <<END\na\ndelete = no\n#*#\n\nEND\n").rules] == [b"a", b"delete = no", b"#*#"]
    assert [rule[1] for rule in one(json.dumps({"sync": {"source": "/srv", "target": "h:", "exclude": "a\ndelete = no"}})).rules] == [b"a", b"delete = no"]


def test_a_command_may_be_a_here_document():
    text = "case $1 in\n    a) delay = 5\n;;\n\n# x\nesac"
    assert one(SYNC + "runIf = <<X\n" + text + "\nX\n").runIf.words[2] == (text.encode(),)


def test_a_here_document_is_expanded_as_other_values_are(monkeypatch):
    monkeypatch.setenv("NAME", "#x")
    sync = one(SYNC + "exclude = <<END\n#${NAME}\n$${NAME}\nEND\nrunIf = <<END\necho ${NAME}\nEND\n")
    assert [rule[1] for rule in sync.rules] == [b"##x", b"${NAME}"] and sync.runIf.words[2] == (b"echo ${NAME}",)


def test_an_item_with_an_equals_sign_is_no_key():
    assert one(SYNC + "exclude =\n  a=b\n  x = y\n").rules[1][1] == b"x = y"


@pytest.mark.parametrize("filename", ["missing", ".", "missing/missing", "x" * 300, "a\nb"])
def test_a_configuration_that_cannot_be_read_is_one_error(filename):
    with pytest.raises(ConfigError) as caught:
        module.load(filename)
    assert len(caught.value.lines) == 1 and "cannot read the configuration: " in caught.value.lines[0]
    assert caught.value.lines[0].isprintable() and "Errno" not in caught.value.lines[0]


def test_the_same_name_twice_is_an_error():
    lines = errors(json.dumps({"sync": [{"name": "a", "source": "/x", "target": "h:"}, {"name": "a", "source": "/y", "target": "h:"}]}))
    assert fits(lines, "F: sync[1]: name: a is taken by the sync of F: sync[0]")


def test_the_name_of_a_fanned_out_sync_is_taken_too():
    two = {"name": "a", "source": "/x", "target": ["h:", "i:"]}
    assert errors(json.dumps({"sync": [two, {"name": "a/1", "source": "/y", "target": "h:"}]}))


# ---- values ------------------------------------------------------------------------------------

@pytest.mark.parametrize("value", ["a  %  b", "ssh -o 'x=%h' ; y # z", "=", "\u00e9\U0001f600", "[x]", "$HOME", "~", "a\\nb", "\"q\"", "CamelCase"])
def test_nothing_within_a_value_is_special(value):
    assert one(SYNC + "rsync.rsh = %s\n" % value).rsync.rsh == value


def test_bytes_that_are_no_utf8_survive():
    sync = one(b"[sync x]\nsource = /srv/\xff\xfe\ntarget = h:\xe9\nexclude = \xff*\nrsync.suffix = \x80\n")
    assert (sync.source, sync.target, sync.rules[0][1]) == (b"/srv/\xff\xfe", b"h:\xe9/", b"\xff*")
    assert sync.rsync.suffix.encode("utf-8", "surrogateescape") == b"\x80"
    assert one('{"sync": [{"source": "/srv/\udcff", "target": "h:\\udc80"}]}').target == b"h:\x80/"


def test_line_ends_of_windows_and_a_byte_order_mark_do_no_harm():
    assert one(("\ufeff" + SYNC + "exclude =\n a\n b\n").replace("\n", "\r\n")).rules[1][1] == b"b"
    assert one("\ufeff" + json.dumps({"sync": [{"source": "/x", "target": "h:"}]}, indent=1).replace("\n", "\r\n")).source == b"/x"


# ---- inheritance and overrides -----------------------------------------------------------------

@pytest.mark.parametrize("shared, own, override, expected", [
    ("", "", None, (15, 1000)),
    ("delay = 3\nmaxDelays = 5\n", "", None, (3, 5)),
    ("delay = 3\nmaxDelays = 5\n", "delay = 1\n", None, (1, 5)),
    ("", "maxDelays = 9\ndelay = 2\n", None, (2, 9)),
    ("", "", "4", (4, 1000)),
    ("delay = 3\n", "delay = 1\n", "4", (4, 1000)),
    ("delay = 3\n", "delay = 1\n", "0", (0, 1000)),
])
def test_delay_and_maxdelays_are_inherited_and_the_command_line_overrides(shared, own, override, expected):
    sync = one("[settings]\n" + shared + SYNC + own, **({"delay": override} if override else {}))
    assert (sync.delay, sync.maxDelays) == expected


def test_maxprocesses_of_all_is_not_inherited():
    config = load("[settings]\nmaxProcesses = 5\n" + SYNC)
    assert (config.settings.maxProcesses, config.syncs[0].maxProcesses) == (5, 1)


def test_the_command_line_overrides_settings():
    config = load("[settings]\nlogfile = /a\nnodaemon = no\n" + SYNC, logfile="b", nodaemon="yes", insist="yes")
    assert (config.settings.logfile, config.settings.nodaemon, config.settings.insist) == (os.fsencode(os.getcwd()) + b"/b", True, True)


def test_errors_of_the_command_line_name_the_option():
    assert fits(errors(SYNC, delay="x", pidfile=""), "-delay: 'x' is not allowed here; ", "-pidfile: ")


def test_pairs_of_the_command_line_are_syncs_beside_those_of_the_file(here):
    syncs = load(SYNC, ("a", "b"), ("/c", "h:d"), delay="1").syncs
    assert [(sync.name, sync.source, sync.target, sync.local, sync.delay) for sync in syncs] == [
        ("www", b"/srv/www", b"host:/dst/", False, 1), ("sync2", here + b"/a", here + b"/b/", True, 1), ("sync3", b"/c", b"h:d/", False, 1)]
    assert [sync.name for sync in load(None, ("a", "b"), ("a", "c")).syncs] == ["sync1", "sync2"]


def test_errors_of_a_pair_name_it():
    assert fits(errors(None, ("/x", ""), ("/y", "/y")), "-rsync /x : target: ", "-rsync /y /y: target: ")


# ---- sources and targets -----------------------------------------------------------------------

@pytest.mark.parametrize("given, target, local", [
    ("/dst", b"/dst/", True), ("/dst/", b"/dst/", True), ("/dst//x/../y/", b"/dst/y/", True), ("rel", b"HERE/rel/", True),
    ("./a:b", b"HERE/a:b/", True), ("d/a:b", b"HERE/d/a:b/", True), ("/a:b", b"/a:b/", True), (" sp ", b"HERE/ sp /", True),
    ("host:dir", b"host:dir/", False), ("host:dir/", b"host:dir/", False), ("host:/dir", b"host:/dir/", False), ("host:", b"host:", False),
    ("user@host:dir", b"user@host:dir/", False), ("user@host:", b"user@host:", False), ("host:../x", b"host:../x/", False),
    ("host:~/x", b"host:x/", False), ("u@host:~", b"u@host:./", False), ("[::1]:~//x/", b"[::1]:x/", False), ("host:~/~x", b"host:./~x/", False),
    ("host:~/-x", b"host:./-x/", False), ("host:-x", b"host:-x/", False), ("host:a~/x", b"host:a~/x/", False), ("host::~/x", b"host::~/x/", False),
    ("rsync://h/~/x", b"rsync://h/~/x/", False), ("host::module", b"host::module/", False), ("host::module/d/", b"host::module/d/", False),
    ("host::", b"host::", False), ("rsync://host/module", b"rsync://host/module/", False),
    ("rsync://u@host:873/module/", b"rsync://u@host:873/module/", False), ("[::1]:dir", b"[::1]:dir/", False),
    ("u@[fe80::1%eth0]:/d", b"u@[fe80::1%eth0]:/d/", False),
])
def test_forms_of_targets(given, target, local, here):
    sync = one(json.dumps({"sync": [{"source": "/srv/www", "target": given}]}))
    assert (sync.target, sync.local) == (target.replace(b"HERE", here), local)


@pytest.mark.parametrize("given, source", [
    ("/srv/www", b"/srv/www"), ("/srv/www/", b"/srv/www"), ("/srv//./x/../www", b"/srv/www"), ("rel", b"HERE/rel"), (".", b"HERE"),
    ("host:dir", b"HERE/host:dir"), ("/", b"/")])
def test_forms_of_sources(given, source, here):
    assert one(json.dumps({"sync": [{"source": given, "target": "h:"}]})).source == source.replace(b"HERE", here)


def test_links_in_the_source_are_resolved_once(here):
    os.makedirs("real/deep")
    os.symlink("real", "link")
    assert one("[sync x]\nsource = link/deep\ntarget = h:").source == here + b"/real/deep"


def test_a_list_of_targets_fans_out():
    syncs = load("[sync www]\nsource = /x\nexclude = a\ntarget =\n  h:\n  i:d\n").syncs
    assert [(sync.name, sync.target, sync.source, sync.rules[0][1]) for sync in syncs] == [
        ("www/1", b"h:", b"/x", b"a"), ("www/2", b"i:d/", b"/x", b"a")]
    assert [sync.name for sync in load('{"sync": [{"source": "/x", "target": ["h:"]}]}').syncs] == ["sync1"]


@pytest.mark.parametrize("source, target, refused", [
    ("/srv/www", "/", "is the root of this host"), ("/srv/www", "//", "is the root of this host"), ("/srv/www", "/..", "is the root of this host"),
    ("src", "src", "is the source itself"), ("src", "src/", "is the source itself"), ("src", "./x/../src", "is the source itself"),
    ("src", "link", "is the source itself"), ("link", "src", "is the source itself"),
    ("src", "src/sub", "lies in the source"), ("src", "link/sub", "lies in the source"), ("link", "src/sub/x", "lies in the source"),
    (".", "src", "lies in the source"), ("/", "/srv", "lies in the source"), ("/", "/", "is the root of this host"),
    ("src/sub", "src", "holds the source"), ("src", ".", "holds the source"), ("src/sub", "link", "holds the source"),
    ("src", "src2", None), ("src2", "src", None), ("src", "dst", None), ("src", "h:src", None), ("/srv/www", "h:/", None), ("src", "h::", None),
    ("src", "rsync://h/", None), ("src", "linkout", None),
])
def test_dangerous_targets_are_refused_and_both_are_named(source, target, refused, here):
    os.makedirs("src/sub")
    os.symlink("src", "link")
    os.symlink(here + b"/dst", b"linkout")
    text = json.dumps({"sync": [{"source": source, "target": ["x:ok", target]}]})
    if refused is None:
        assert len(load(text).syncs) == 2
    else:
        lines = errors(text)
        assert fits(lines, "F: sync[0].target: target /") and refused in lines[0] and "(source /" in lines[0]


def test_relative_names_are_made_absolute_as_the_daemon_goes_to_the_root(here):
    config = load("[settings]\nlogfile = log\npidfile = ./run/pid\nstatusFile = ../status\n" + SYNC
                  + "rsync.binary = ./bin/rsync\nrsync.password_file = secret\n")
    assert (config.settings.logfile, config.settings.pidfile) == (here + b"/log", here + b"/run/pid")
    assert config.settings.statusFile == os.path.dirname(here) + b"/status"
    assert config.syncs[0].rsync.binary == os.fsdecode(here) + "/bin/rsync"
    assert config.syncs[0].rsync.password_file == os.fsdecode(here) + "/secret"
    assert one(SYNC + "rsync.binary = rsync").rsync.binary == "rsync"  # looked for on PATH
    # on the target's host, not here
    sync = one(SYNC + "rsync.temp_dir = t\nrsync.backup_dir = b\nrsync.rsync_path = r/rsync\n").rsync
    assert (sync.temp_dir, sync.backup_dir, sync.rsync_path) == ("t", "b", "r/rsync")


@pytest.mark.parametrize("targets, delete, warned", [
    (("/t", "/t"), "yes", True), (("/t", "/t/"), "yes", True), (("/t", "/t/sub"), "yes", True), (("/t/sub", "/t"), "yes", True), (("h:t", "h:t/"), "yes", True),
    (("/t", "/t2"), "yes", False), (("/t", "h:t"), "yes", False), (("h:t", "i:t"), "yes", False), (("/t", "/t"), "no", False), (("h:t", "h:t"), "no", False)])
def test_syncs_that_delete_each_others_files_are_a_warning(targets, delete, warned):
    first, second = ("[sync %s]\nsource = /%s\ntarget = %s\ndelete = %s\n" % (name, name, target, delete) for name, target in zip("ab", targets))
    warnings = load(first + second).warnings
    assert len(warnings) == warned and all("sync a and sync b" in line and line.isprintable() for line in warnings)


def test_each_sync_of_a_place_is_warned_of_once():
    def pairs(deletes):
        text = "".join("[sync %s]\nsource = /%s\ntarget = /t%s\ndelete = %s\n" % (name, name, "/sub" * (name == "e"), delete) for name, delete in zip("abcde", deletes.split()))
        return [line[5] + line[16] for line in load(text).warnings]
    assert pairs("yes yes yes yes yes") == ["ab", "ac", "ad", "ae"]
    assert pairs("no no yes no no") == ["ac", "bc", "cd", "ce"]
    assert pairs("no no no no yes") == ["ae"]


@pytest.mark.parametrize("line, warned", [
    ('exclude = "*.tmp"', True), ("exclude =\n  a\n  '*.tmp',", True), ('exclude = {"*.tmp", "b"}', True), ('rsync.rsh = "ssh -p 22"', True),
    ("exclude = {a,b}", False), ("exclude = it's", False), ('exclude = a"b"', False), ("rsync.rsh = ssh -o 'A b'", False),
    ('runIf = "/bin/test" -e "/x"', False)])
def test_quotes_that_would_be_a_part_of_a_value_are_a_warning(line, warned):
    warnings = load(SYNC + line + "\n").warnings
    assert len(warnings) == warned and all(": the quotes are a part of the value" in warning for warning in warnings)


# ---- rules -------------------------------------------------------------------------------------

def signs(rules):
    return [(sign, pattern) for sign, pattern, _where in rules]


def test_rules_are_in_the_order_in_which_the_first_match_decides():
    with open("ex", "w") as file:
        file.write("# no\n; no\n\n   \nb\n  c \n")
    with open("fi", "w") as file:
        file.write("+ e\n# no\n- f\n")
    sync = one(SYNC + "filterFrom = fi\nfilter =\n  + d x\n  - *.d\nexcludeFrom = ex\nexclude =\n  a\n  a2/\n")
    assert signs(sync.rules) == [("-", b"a"), ("-", b"a2/"), ("-", b"b"), ("-", b"  c "), ("+", b"d x"), ("-", b"*.d"), ("+", b"e"), ("-", b"f")]
    assert [where for _sign, _pattern, where in sync.rules] == ["F:9: exclude"] * 2 + ["ex:5", "ex:6"] + ["F:5: filter"] * 2 + ["fi:1", "fi:3"]


@pytest.mark.parametrize("pattern, warned", [("- *.o", True), ("+ x", True), ("!", True), ("-x", False), ("+", False), ("!x", False), ("#x", False)])
def test_what_is_excluded_and_looks_like_a_rule_is_a_warning(pattern, warned):
    with open("ex", "w") as file:
        file.write("%s\n" % pattern)
    for where, lines in ("F:4: exclude", "exclude =\n  a\n  %s\n" % pattern), ("ex:1", "excludeFrom = ex\n"):
        if where == "ex:1" or pattern[0] != "#":
            found = load(SYNC + lines).warnings
            assert found == ["%s: %s is a pattern here, whose first character belongs to the name; rules like this stand in filter" % (where, pattern)] * warned


def test_files_of_patterns_may_hold_any_bytes():
    with open("ex", "wb") as file:
        file.write(b"\xef\xbb\xbf\xff*\r\n%s\r\n")
    assert signs(one(SYNC + "excludeFrom = ex").rules) == [("-", b"\xff*"), ("-", b"%s")]


@pytest.mark.parametrize("key", ["excludeFrom", "filterFrom"])
@pytest.mark.parametrize("name", ["missing", "."])
def test_a_missing_file_of_patterns_is_an_error(key, name):
    lines = errors(SYNC + "%s = %s\n" % (key, name))
    assert fits(lines, "F:4: %s: cannot read %s: " % (key, name)) and "Errno" not in lines[0]


@pytest.mark.parametrize("rule", ["x", "+x", "-x", "+", "-", "* x", "include x", "exclude *.o", "!", "-! x", ". file", ":C", "x + y", "H x"])
def test_what_is_no_rule_is_an_error(rule):
    assert fits(errors(SYNC + "filter = %s\n" % rule), "F:4: filter: %s is no rule; " % rule)
    with open("fi", "w") as file:
        file.write("+ ok\n%s\n" % rule)
    assert fits(errors(SYNC + "filterFrom = fi\n"), "fi:2: %s is no rule; " % rule)


@pytest.mark.parametrize("rule, expected", [
    ("+ x", ("+", b"x")), ("- x y", ("-", b"x y")), ("-  x", ("-", b" x")), ("- #x", ("-", b"#x")), ("+ -", ("+", b"-")), ("- /", ("-", b"/"))])
def test_rules(rule, expected):
    assert signs(one(SYNC + "filter = %s\n" % rule).rules) == [expected]


@pytest.mark.parametrize("arguments, rules", [
    (["--include=limits.conf", "--exclude=*"], [("+", b"limits.conf"), ("-", b"*")]),
    (["--exclude", "a b", "--include", "c"], [("-", b"a b"), ("+", b"c")]),
    (["--bwlimit=5", "--exclude=x", "-v", "--no-perms"], [("-", b"x")]),
    (["--exclude==x"], [("-", b"=x")]),
    (["--exclude-from=ex", "--include-from", "in"], [("-", b"a"), ("-", b"b c"), ("+", b"d")]),
    (["--exclude-from=signed"], [("+", b"*.conf"), ("-", b"*")]),   # rsync reads old prefixes there: "+ " and "- "
    (["--exclude=+ x", "--include=- y"], [("+", b"x"), ("-", b"y")]),
    ([], []),
])
def test_what_extra_arguments_choose_holds_while_running_too(arguments, rules):
    for name, text in ("ex", "a\n# no\n\nb c\n"), ("in", "d\n"), ("signed", "+ *.conf\n- *\n"):
        with open(name, "w") as file:
            file.write(text)
    config = load(json.dumps({"sync": [{"source": "/x", "target": "h:", "rsync": {"_extra": arguments}}]}))
    assert signs(config.syncs[0].extra_rules) == rules and config.warnings == []
    assert config.syncs[0].rsync._extra == tuple(arguments) and config.syncs[0].rules == ()


def test_a_missing_file_of_extra_patterns_is_an_error():
    assert fits(errors(SYNC + "rsync._extra = --exclude-from=missing"), "F:4: rsync._extra: cannot read missing: ")


@pytest.mark.parametrize("argument", ["--filter=- x", "-F", "-C", "--cvs-exclude", "-f- x"])
def test_extra_rules_that_hold_at_a_full_sync_only_are_a_warning(argument):
    warnings = load(SYNC + "rsync._extra = %s\n" % argument).warnings
    assert len(warnings) == 1 and warnings[0].startswith("F:4: rsync._extra: ")


def test_what_cvs_excludes_is_excluded_while_running():
    chosen = Filter(one(SYNC + "rsync.cvs_exclude = yes").extra_rules)
    hidden = [b"core", b"a.o", b"a~", b"#a", b".#a", b"CVS", b"_$a", b"a$", b"tags"]
    assert [name for name in hidden if not chosen.excludes(b"d", name, False)] == []
    assert chosen.excludes(b"", b".git", True) and not chosen.excludes(b"", b".git", False) and not chosen.excludes(b"", b"a.c", False)


# ---- the rsync table ---------------------------------------------------------------------------

@pytest.mark.parametrize("lines, on", [
    ("", {"links", "times", "protect_args"}),
    ("rsync.archive = yes", {"archive", "links", "perms", "times", "group", "owner", "devices", "specials", "protect_args"}),
    ("rsync.archive = yes\nrsync.perms = no\nrsync.links = no", {"archive", "times", "group", "owner", "devices", "specials", "protect_args"}),
    ("rsync.archive = no\nrsync.owner = yes", {"links", "times", "owner", "protect_args"}),
    ("rsync.times = no\nrsync.protect_args = off", {"links"}),
])
def test_archive_fills_in_what_was_not_set(lines, on):
    table = one(SYNC + lines).rsync
    assert {name for name, value in vars(table).items() if value is True} == on


def test_values_of_the_rsync_table():
    table = one(SYNC + "rsync.timeout = 0\nrsync.bwlimit = 1.5m\nrsync.chmod = D2775,F-x\nrsync.usermap = *:x").rsync
    assert (table.timeout, table.bwlimit, table.chmod, table.usermap) == (0, "1.5m", "D2775,F-x", "*:x")


# ---- the same pair -----------------------------------------------------------------------------

def test_names_and_places_of_rules_do_not_make_another_pair():
    assert one(SYNC + "exclude = a").same_pair(one("# moved\n\n[sync other]\n" + PAIR + "\nexclude = a"))


@pytest.mark.parametrize("more", ["delay = 1", "exclude = a", "rsync.archive = yes", "delete = no", "filter = + a", "rsync._extra = --exclude=a",
                                  "maxProcesses = 2", "init = no", "ssh.port = 22", "ssh.options.A = b"])
def test_another_value_makes_another_pair(more):
    assert not one(SYNC).same_pair(one(SYNC + more))


# ---- modes -------------------------------------------------------------------------------------

REMOTE = "[sync www]\nmode = rsyncssh\nsource = /srv/www\nhost = h\ntargetdir = /dst\n"
LOCAL = "[sync www]\nmode = direct\nsource = /srv/www\ntarget = /dst\n"


def test_a_host_and_a_directory_make_a_target():
    sync = one(REMOTE)
    assert (sync.mode, sync.host, sync.targetdir, sync.target, sync.local) == ("rsyncssh", b"h", b"/dst", b"h:/dst/", False)
    assert (sync.delay, sync.rsync.archive, sync.ssh.binary, sync.ssh.multiplex) == (15, False, "ssh", True)


def test_a_direct_sync_has_the_defaults_of_its_mode():
    sync = one(LOCAL)
    assert (sync.mode, sync.host, sync.targetdir, sync.target, sync.local) == ("direct", None, None, b"/dst/", True)
    assert (sync.delay, sync.direct.atomic) == (1, False)
    assert {name for name, value in vars(sync.rsync).items() if value is True} == {*settings.ARCHIVE, "archive", "protect_args"}
    assert one(LOCAL + "rsync.archive = no\n").rsync.perms is None


@pytest.mark.parametrize("shared, own, override, expected", [
    ("", "", None, 1), ("delay = 3\n", "", None, 3), ("delay = 3\n", "delay = 2\n", None, 2), ("", "", "4", 4), ("delay = 3\n", "delay = 2\n", "4", 4)])
def test_any_delay_that_is_said_beats_that_of_the_mode(shared, own, override, expected):
    assert one("[settings]\n" + shared + LOCAL + own, **({"delay": override} if override else {})).delay == expected


@pytest.mark.parametrize("text, words", [
    (SYNC + "host = h\n", "F:4: host: is for mode rsyncssh; the mode of this sync is rsync"),
    (SYNC + "targetdir = /x\n", "F:4: targetdir: is for mode rsyncssh; the mode of this sync is rsync"),
    (SYNC + "direct.atomic = yes\n", "F:4: direct.atomic: is for mode direct; the mode of this sync is rsync"),
    (SYNC + "xargs.binary = x\n", "F:4: xargs.binary: is for mode rsyncssh; the mode of this sync is rsync"),
    (REMOTE + "direct.atomic = yes\n", "F:6: direct.atomic: is for mode direct; the mode of this sync is rsyncssh"),
    (LOCAL + "host = h\n", "F:5: host: is for mode rsyncssh; the mode of this sync is direct"),
    (LOCAL + "ssh.port = 22\n", "F:5: ssh.port: is for mode rsync and rsyncssh; the mode of this sync is direct"),
    (LOCAL + "ssh.options.Port = 22\n", "F:5: ssh.options.Port: is for mode rsync and rsyncssh; the mode of this sync is direct"),
    (LOCAL + "batchSizeLimit = 1\n", "F:5: batchSizeLimit: is for mode rsync and rsyncssh; the mode of this sync is direct"),
    ("[sync x]\nsource = /x\nmode = rsyncssh\nhost = h\n", "F:1: targetdir: is required and missing"),
    ("[sync x]\nsource = /x\nmode = rsyncssh\ntargetdir = d\n", "F:1: host: is required and missing"),
    ("[sync x]\nsource = /x\nmode = direct\n", "F:1: target: is required and missing"),
    ("[sync x]\nsource = /x\nmode = nonsense\nhost = h\ntargetdir = d\n", "F:3: mode: 'nonsense' is not allowed here; allowed: one of: rsync, rsyncssh, direct"),
    (REMOTE + "target = /dst\n", "F:6: target: is the same as targetdir in mode rsyncssh; allowed: one of them"),
    (REMOTE.replace("targetdir = /dst", "target =\n  /a\n  /b"), "F:5: target: allowed: exactly one directory (mode rsyncssh)"),
    (REMOTE + "maxProcesses = 2\n", "F:6: maxProcesses: allowed: 1 (mode rsyncssh)"),
    (LOCAL.replace("/dst", "h:/dst"), "F:4: target: h:/dst is on another host; allowed: a directory of this one (mode direct)"),
    (LOCAL.replace("/dst", "rsync://h/m"), "F:4: target: rsync://h/m is on another host; "),
    (LOCAL.replace("/dst", "/srv/www/x"), "F:4: target: target /srv/www/x lies in the source (source /srv/www): refused"),
    (LOCAL.replace("/dst", "/"), "F:4: target: target / is the root of this host "),
    (REMOTE.replace("/dst", "~user/x"), "F:5: targetdir: ~user/x: the home of another user is not known here; allowed: "),
    (REMOTE.replace("targetdir = /dst", "target = ~user"), "F:5: target: ~user: the home of another user is not known here; allowed: "),
    (SYNC.replace("/dst", "~user/x"), "F:3: target: ~user/x: the home of another user is not known here; allowed: "),
    (SYNC.replace("host:/dst", "-eh:x"), "F:3: target: -eh:x would be an option; "),
    (REMOTE + "ssh.port = 65536\n", "F:6: ssh.port: '65536' is not allowed here; allowed: a whole number, 1 to 65535"),
    (REMOTE + "ssh.options =\n  Port\n", "F:6: ssh.options: 'Port' is not allowed here; allowed: options of ssh_config(5)"),
    (REMOTE + "ssh.options.a_b = 1\n", "F:6: ssh.options.a_b: '1' is not allowed here; allowed: options of ssh_config(5)"),
    (REMOTE + "ssh.options.a =\n", "F:6: ssh.options.a: '' is not allowed here; "),
    (REMOTE + "ssh.option = x\n", "F:6: ssh.option: unknown key; did you mean ssh.options?"),
    (REMOTE + "ssh._extra = ssh 'x\n", "F:6: ssh._extra: cannot split the command line into words: No closing quotation"),
])
def test_what_does_not_fit_a_mode_is_one_error(text, words):
    (line,) = errors(text)
    assert line.startswith(words)


@pytest.mark.parametrize("host", ["-h", "", "a b", "a/b", "a\tb", "a\x1bb", "u@", "@h", "-u@h", "u@-h", "u:p@h", "h:22", "ssh://h", "[h", "h]", "\udcff", "u\u00a0v@h"])
def test_what_is_no_host_is_an_error(host):
    lines = errors(json.dumps({"sync": [{"mode": "rsyncssh", "source": "/x", "host": [host, "h"] if host else [], "targetdir": "d"}]}))
    assert fits(lines, "F: sync[0].host: ")


@pytest.mark.parametrize("given, host, target", [
    ("h", b"h", b"h:d/"), ("u@h", b"u@h", b"u@h:d/"), ("1.0.0.2", b"1.0.0.2", b"1.0.0.2:d/"), ("a@b@h", b"a@b@h", b"a@b@h:d/"),
    ("::1", b"::1", b"[::1]:d/"), ("[::1]", b"::1", b"[::1]:d/"), ("u@[fe80::1%eth0]", b"u@fe80::1%eth0", b"u@[fe80::1%eth0]:d/"),
    ("u@fe80::1", b"u@fe80::1", b"u@[fe80::1]:d/"), ("b\u00fccher", "b\u00fccher".encode(), "b\u00fccher:d/".encode())])
def test_forms_of_hosts(given, host, target):
    sync = one(json.dumps({"sync": [{"mode": "rsyncssh", "source": "/x", "host": given, "targetdir": "d"}]}))
    assert (sync.host, sync.target) == (host, target)


@pytest.mark.parametrize("key", ["target", "targetdir"])
@pytest.mark.parametrize("given, directory, target", [
    ("/d", b"/d", b"h:/d/"), ("/d//", b"/d", b"h:/d/"), ("/", b"/", b"h:/"), ("d/e/", b"d/e", b"h:d/e/"), (".", b".", b"h:./"), ("~", b".", b"h:./"),
    ("~/", b".", b"h:./"), ("~/d", b"d", b"h:d/"), ("~//d/", b"d", b"h:d/"), ("~/~d", b"./~d", b"h:./~d/"), ("-d", b"./-d", b"h:./-d/"),
    ("~/-d", b"./-d", b"h:./-d/"), ("a ~/$x", b"a ~/$x", b"h:a ~/$x/"), ("a:b", b"a:b", b"h:a:b/"), ("\udcff", b"\xff", b"h:\xff/")])
def test_forms_of_directories_of_a_host(key, given, directory, target):
    sync = one(json.dumps({"sync": [{"mode": "rsyncssh", "source": "/x", "host": "h", key: given}]}))
    assert (sync.targetdir, sync.target) == (directory, target)


def test_a_list_of_hosts_fans_out():
    syncs = load(REMOTE.replace("host = h", "host =\n  h\n  u@i")).syncs
    assert [(sync.name, sync.host, sync.target) for sync in syncs] == [("www/1", b"h", b"h:/dst/"), ("www/2", b"u@i", b"u@i:/dst/")]


def test_without_protect_args_a_shell_expands_the_tilde_of_another_user():
    assert one(SYNC.replace("/dst", "~user/x") + "rsync.protect_args = no\n").target == b"host:~user/x/"
    assert one(SYNC.replace("/dst", "~/x") + "rsync.protect_args = no\n").target == b"host:x/"


def test_syncs_of_two_modes_may_share_a_target_by_mistake():
    assert len(load(SYNC.replace("host:", "h:") + REMOTE.replace("www", "b", 1)).warnings) == 1
    assert len(load(LOCAL + "[sync b]\nsource = /x\ntarget = /dst/y\n").warnings) == 1


# ---- the ssh table -----------------------------------------------------------------------------

@pytest.mark.parametrize("lines, table, options", [
    ("ssh.options =\n  StrictHostKeyChecking=no\n  Port 22\n  User = a b\n", {"options": ["StrictHostKeyChecking=no", "Port 22", "User = a b"]},
     ("StrictHostKeyChecking=no", "Port=22", "User=a b")),
    ("ssh.options.StrictHostKeyChecking = no\nssh.options.Port = 22\n", {"options": {"StrictHostKeyChecking": False, "Port": 22}},
     ("StrictHostKeyChecking=no", "Port=22")),
    ("ssh.options = A=x=y\nssh.options.Bb = yes\n", {"options": {"A": "x=y", "Bb": True}}, ("A=x=y", "Bb=yes")),
    ("", {"options": {}}, ()), ("", {"options": []}, ()), ("", {}, ()),
])
def test_forms_of_ssh_options(lines, table, options):
    assert one(SYNC + lines).ssh.options == options
    assert one(json.dumps({"sync": [{"source": "/x", "target": "h:", "ssh": table}]})).ssh.options == options


@pytest.mark.parametrize("options", [{"a.b": "c"}, {"A": None}, {"A": ["x"]}, {"A": {"B": "c"}}, {"A": {}}, {"A": "x\ny"}, {"": "x"}, ["A"], [1], "A", 1, True])
def test_what_are_no_ssh_options_is_an_error(options):
    assert len(errors(json.dumps({"sync": [{"source": "/x", "target": "h:", "ssh": {"options": options}}]}))) == 1


def test_an_ssh_option_given_twice_is_an_error():
    assert fits(errors(SYNC + "ssh.options.A = b\nssh.options.A = c\n"), "F:5: ssh.options.A: given twice")
    assert fits(errors('{"sync": [{"source": "/x", "target": "h:", "ssh": {"options": {"A": "b", "A": "c"}}}]}'), "F: sync[0].ssh.options.A: given twice")


def test_names_of_files_of_the_ssh_table(here):
    table = one(SYNC + "ssh.identityFile = key\nssh.binary = ./ssh\n").ssh
    assert (table.identityFile, table.binary) == (os.fsdecode(here) + "/key", os.fsdecode(here) + "/ssh")
    for name in "~/.ssh/id", "%d/id", "/id":
        assert one(SYNC + "ssh.identityFile = %s\n" % name).ssh.identityFile == name


@pytest.mark.parametrize("items, words", [
    (["-A", "-p", "22"], ["-A", "-p", "22"]), (["-p 22", "-o  A=b c "], ["-p", "22", "-o", "A=b c "]), (["-oA=b c"], ["-oA=b c"]),
    (["-l", "ssh"], ["-l", "ssh"]), (["-i", "/d/ssh key"], ["-i", "/d/ssh key"]), (["-o", "ProxyCommand=ssh x"], ["-o", "ProxyCommand=ssh x"]),
    (["--x y"], ["--x y"])])
def test_an_option_and_its_value_may_stand_in_one_item(items, words):
    config = load(json.dumps({"sync": [{"source": "/x", "target": "h:", "ssh": {"_extra": items}}]}))
    assert config.syncs[0].ssh._extra == tuple(words) and config.warnings == []


@pytest.mark.parametrize("lines, binary, words", [
    ("", "/usr/bin/ssh", "/usr/bin/ssh becomes ssh.binary"), ("ssh.binary = ssh2\n", "ssh2", "/usr/bin/ssh is left out, as ssh.binary says ssh2")])
def test_a_whole_command_line_among_the_arguments_of_ssh(lines, binary, words):
    config = load(SYNC + "ssh._extra =\n  -4\n  /usr/bin/ssh -p 22 -o 'A=b c'\n" + lines)
    assert config.syncs[0].ssh._extra == ("-4", "-p", "22", "-o", "A=b c") and config.syncs[0].ssh.binary == binary
    assert config.warnings == ["F:4: ssh._extra: is a whole command line: its arguments are taken, " + words]


def test_the_xargs_table_of_lsyncd_is_accepted():
    sync = {"mode": "rsyncssh", "source": "/x", "host": "h", "targetdir": "d", "xargs": {"binary": "/usr/bin/xargs", "delimiter": "\0", "_extra": ["-n", "5"]}}
    assert one(json.dumps({"sync": [sync]})).xargs.delimiter == "\0"
    assert one(REMOTE + "xargs.binary = /usr/bin/xargs\nxargs.delimiter = \\000\n").xargs.binary == "/usr/bin/xargs"


# ---- pairs of the command line -----------------------------------------------------------------

def test_pairs_of_every_mode_keep_their_order(here):
    syncs = load(None, ("rsyncssh", {"source": "a", "host": ["h"], "targetdir": "~/d", "ssh._extra": ["-p", "22"]}, "-rsyncssh a h ~/d"), ("b", "c"),
                 ("direct", {"source": "d", "target": ["e"]}, "-direct d e")).syncs
    assert [(sync.name, sync.mode, sync.target) for sync in syncs] == [
        ("sync1", "rsyncssh", b"h:d/"), ("sync2", "rsync", here + b"/c/"), ("sync3", "direct", here + b"/e/")]
    assert syncs[0].ssh._extra == ("-p", "22")
    assert fits(errors(None, ("direct", {"source": "d", "target": ["h:e"]}, "-direct d h:e")), "-direct d h:e: target: h:e is on another host; ")


# ---- the guide that users know -----------------------------------------------------------------

SETTINGS = """[settings]
logfile = /var/log/lsyncd/lsyncd.log
statusFile = /var/log/lsyncd/lsyncd.status
statusInterval = 30
"""
SHARED = {"logfile": "/var/log/lsyncd/lsyncd.log", "statusFile": "/var/log/lsyncd/lsyncd.status", "statusInterval": 30}
TWO_WAY = {"archive": True, "compress": False, "whole_file": False, "sparse": True, "update": True, "temp_dir": "/tmp/", "links": True, "times": True,
           "protect_args": False, "acls": True, "verbose": True}
TWO_WAY_INI = "".join("rsync.%s = %s\n" % (key, {True: "true", False: "false"}.get(value, value)) for key, value in TWO_WAY.items())
ARCHIVED = {"links", "perms", "times", "group", "owner", "devices", "specials", "archive", "protect_args"}
EXTRA = "/usr/bin/ssh -l user -p 22 -i /home/user/.ssh/id_rsa -o StrictHostKeyChecking=no"

GUIDE = {
    "direct": ("""[sync a]
mode = default.direct
source = /home/e.orlov/source_dir
target = /home/e.orlov/target_dir
""", {"mode": "default.direct", "source": "/home/e.orlov/source_dir", "target": "/home/e.orlov/target_dir"},
               {"mode": "direct", "source": b"/home/e.orlov/source_dir", "target": b"/home/e.orlov/target_dir/", "local": True, "delay": 1}, ARCHIVED, {}),
    "rsync": ("""[sync a]
mode = default.rsync
source = /home/e.orlov/source_dir
target = eorlov.org:~/target_dir
delay = 15
exclude =
    .git/
    vendor/
    web/node_modules
    bundled/
rsync.archive = true
rsync.compress = true
""", {"mode": "default.rsync", "source": "/home/e.orlov/source_dir", "target": "eorlov.org:~/target_dir", "delay": 15,
      "exclude": [".git/", "vendor/", "web/node_modules", "bundled/"], "rsync": {"archive": True, "compress": True}},
              {"mode": "rsync", "target": b"eorlov.org:target_dir/", "local": False, "delay": 15,
               "excluded": [b".git/", b"vendor/", b"web/node_modules", b"bundled/"]}, ARCHIVED | {"compress"}, {}),
    "rsyncssh": ("""[sync a]
mode = default.rsyncssh
source = /home/e.orlov/source_dir
host = eorlov.org
excludeFrom = lsyncd.exclude
target = ~/target_dir
rsync.archive = true
rsync.compress = true
rsync.whole_file = false
ssh.port = 22
""", {"mode": "default.rsyncssh", "source": "/home/e.orlov/source_dir", "host": "eorlov.org", "excludeFrom": "lsyncd.exclude", "target": "~/target_dir",
      "rsync": {"archive": True, "compress": True, "whole_file": False}, "ssh": {"port": 22}},
                 {"mode": "rsyncssh", "host": b"eorlov.org", "targetdir": b"target_dir", "target": b"eorlov.org:target_dir/", "local": False, "delay": 15,
                  "excluded": [b"*.tmp", b"cache/"]}, ARCHIVED | {"compress"}, {"port": 22}),
    "both directions": ("""[sync a]
mode = default.rsyncssh
source = /path/to/dir
host = eorlov.org
targetdir = /path/to/dir/new_server
excludeFrom = lsyncd.exclude
delay = 10
delete = true
""" + TWO_WAY_INI + """ssh.port = 22
ssh._extra = """ + EXTRA + "\n", {
        "mode": "default.rsyncssh", "source": "/path/to/dir", "host": "eorlov.org", "targetdir": "/path/to/dir/new_server",
        "excludeFrom": "lsyncd.exclude", "delay": 10, "delete": True, "rsync": TWO_WAY, "ssh": {"port": 22, "_extra": [EXTRA]}},
                        {"mode": "rsyncssh", "host": b"eorlov.org", "targetdir": b"/path/to/dir/new_server", "target": b"eorlov.org:/path/to/dir/new_server/",
                         "delay": 10, "delete": True, "excluded": [b"*.tmp", b"cache/"]},
                        ARCHIVED - {"protect_args"} | {"sparse", "update", "acls", "verbose"},
                        {"port": 22, "binary": "/usr/bin/ssh",
                         "_extra": ("-l", "user", "-p", "22", "-i", "/home/user/.ssh/id_rsa", "-o", "StrictHostKeyChecking=no")}),
    "a single file": ("""[sync a]
mode = default.rsyncssh
source = /etc/security
host = eorlov.org
targetdir = /etc/security
delay = 10
delete = false
""" + TWO_WAY_INI + """rsync._extra =
    --include=limits.conf
    --exclude=*
ssh.port = 22
""", {"mode": "default.rsyncssh", "source": "/etc/security", "host": "eorlov.org", "targetdir": "/etc/security", "delay": 10, "delete": False,
      "rsync": dict(TWO_WAY, _extra=["--include=limits.conf", "--exclude=*"]), "ssh": {"port": 22}},
                      {"mode": "rsyncssh", "host": b"eorlov.org", "targetdir": b"/etc/security", "target": b"eorlov.org:/etc/security/", "delay": 10,
                       "delete": False, "extra": [("+", b"limits.conf"), ("-", b"*")]},
                      ARCHIVED - {"protect_args"} | {"sparse", "update", "acls", "verbose"}, {"port": 22}),
}


@pytest.mark.parametrize("name", GUIDE)
@pytest.mark.parametrize("form", ["ini", "json"])
def test_configurations_of_the_guide(name, form):
    with open("lsyncd.exclude", "w") as file:
        file.write("# what is not mirrored\n*.tmp\ncache/\n")
    ini, sync, expected, on, ssh = GUIDE[name]
    config = load(SETTINGS + ini if form == "ini" else json.dumps({"settings": SHARED, "sync": [dict(sync, name="a")]}))
    assert (config.settings.logfile, config.settings.statusFile, config.settings.statusInterval) == (
        b"/var/log/lsyncd/lsyncd.log", b"/var/log/lsyncd/lsyncd.status", 30)
    assert len(config.warnings) == ("binary" in ssh)  # a whole command line as an argument of ssh
    (found,) = config.syncs
    facts = dict(vars(found), excluded=[pattern for sign, pattern, _where in found.rules], extra=signs(found.extra_rules))
    assert {key: facts[key] for key in expected} == expected
    assert {key for key, value in vars(found.rsync).items() if value is True} == on
    assert {key: value for key, value in vars(found.ssh).items() if value != settings.scope("sync")["ssh." + key].default} == ssh


@pytest.mark.parametrize("text", [
    SETTINGS + """maxProcesses = 3
[sync www]
source = /var/www/html
target =
    1.0.0.2:/var/www/html
    1.0.0.3:/var/www/html
rsync.verbose = yes
rsync.update = yes
rsync.perms = yes
rsync.group = yes
rsync.owner = yes
""", json.dumps({"settings": dict(SHARED, maxProcesses=3), "sync": [{
        "name": "www", "source": "/var/www/html", "target": ["1.0.0.2:/var/www/html", "1.0.0.3:/var/www/html"], 
        "rsync": dict.fromkeys(["verbose", "update", "perms", "group", "owner"], True)}]})])
def test_several_servers_as_in_the_guide(text):
    config = load(text)
    assert config.settings.maxProcesses == 3
    assert all({name for name, value in vars(sync.rsync).items() if value is True} == {"links", "times", "verbose", "update", "perms", "group", "owner",
                                                                                       "protect_args"} for sync in config.syncs)
    assert [(sync.name, sync.source, sync.target) for sync in config.syncs] == [
        ("www/1", b"/var/www/html", b"1.0.0.2:/var/www/html/"), ("www/2", b"/var/www/html", b"1.0.0.3:/var/www/html/")]


@pytest.mark.parametrize("target, warned", [("dst", True), ("./dst", True), ("/dst", False), ("host:dst", False), ("s3://bucket", False)])
def test_a_relative_target_of_commands_is_told(target, warned):
    config = load("[sync a]\nmode = exec\nsource = /src\nonCreate = true ^target\ntarget = %s\n" % target)
    assert bool(config.warnings) is warned and (not warned or "is relative" in config.warnings[0])


# ---- guards --------------------------------------------------------------------------------------

@pytest.mark.parametrize("lines, words", [
    ("maxDelete = 5\nrsync._extra = --max-delete=7", "maxDelete: stands beside --max-delete"),
    ("maxDelete = -1", "maxDelete"), ("requireMarker = /etc/passwd", "requireMarker"), ("requireMarker = ../x", "requireMarker"),
    ("crontab = 0 0 * * *", "crontab"), ("crontab =\n  0 0 2 * * *\n  x", "crontab"), ("fullSyncInterval = 0", "fullSyncInterval"),
    ("jobTimeout = 0", "jobTimeout"), ("scanInterval = 0", "scanInterval"), ("monitor = kqueue", "one of: auto, inotify, poll"),
    ("mode = exec\nonCreate = true\nmaxDelete = 5", "maxDelete: is for mode"), ("mode = exec\nonCreate = true\ncrontab = 0 0 2 * * *", "onStartup"),
])
def test_a_guard_that_means_nothing_is_one_line(lines, words):
    with pytest.raises(ConfigError) as caught:
        load("[sync a]\nsource = /src\ntarget = h:/dst\n" + lines)
    assert len(caught.value.lines) == 1 and words in caught.value.lines[0]


def test_guards_are_inherited_or_not():
    config = load("[settings]\njobTimeout = 60\nmonitor = poll\nscanInterval = 5\n[sync a]\nsource = /src\ntarget = h:/dst\n"
                  "[sync b]\nsource = /src\ntarget = i:/dst\njobTimeout = 7\ncrontab =\n  0 0 2 * * *\n  0 0 3 * * sun\n")
    one, two = config.syncs
    assert (one.jobTimeout, one.monitor, one.scanInterval, one.crontab) == (60, "poll", 5, ()) and two.jobTimeout == 7 and len(two.crontab) == 2


# ---- what people copy ----------------------------------------------------------------------------

def test_every_configuration_of_the_readme_is_taken(monkeypatch, tmp_path):
    for name, value in (("LSYNCD_DELAY", "3"), ("CREDENTIALS_DIRECTORY", "/run/credentials/x")):
        monkeypatch.setenv(name, value)
    (tmp_path / "targets").write_text("web2:/srv/www\n")
    (tmp_path / "webservers").write_text("web2\n")
    (tmp_path / "hostname").write_text("web1\n")
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "README.md"), encoding="utf-8") as file:
        blocks = re.findall(r"```(?:ini|json)\n(.*?)```", file.read(), re.S)
    assert len(blocks) == 9
    for block in blocks:
        assert load(re.sub("/etc/lsyncd-lite/(targets|webservers)", r"\1", block).replace("/etc/hostname", "hostname")).syncs


# ---- who else could change what we read --------------------------------------------------------

ROOTS = SYNC + "excludeFrom = X\nfilterFrom = Y\nrsync._extra =\n  --include-from=Z\n  --exclude-from\n  W\n"
SCRIPTED = "[sync a]\nmode = script\nsource = /src\nscript = S\n"


def files(*names):
    """Make files that only we can change."""
    for name in names:
        with open(name, "w") as file:
            file.write("def on_create(event):\n    pass\n" if name == "S" else "# nothing\n")
        os.chmod(name, 0o644)


@pytest.mark.skipif(os.geteuid() != 0, reason="root's rules")
@pytest.mark.parametrize("spoil, words", [
    (lambda path: os.chown(path, 12345, -1), "belongs to uid 12345"), (lambda path: os.chmod(path, 0o664), "can be written by its group"),
    (lambda path: os.chmod(path, 0o646), "can be written by everybody")])
def test_root_takes_no_file_that_others_can_change(here, spoil, words):
    files("S", "W", "X", "Y", "Z")
    for text, name in (ROOTS, "X"), (ROOTS, "Y"), (ROOTS, "Z"), (ROOTS, "W"), (SCRIPTED, "S"), (ROOTS, "F"):
        path = "%s/%s" % (os.fsdecode(here), name)
        load(text)
        spoil(name)
        with pytest.raises(ConfigError) as caught:
            module.load("F")
        assert caught.value.lines == ["%s: %s (chown root:root %s; chmod go-w %s): refused, as root does what it says" % (path, words, path, path)]
        os.remove(name)
        files(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="root's rules")
def test_root_takes_no_file_from_where_others_can_put_another(here):
    files("X", "Y", "Z", "W", "S")
    load(ROOTS)
    os.mkdir("d")
    os.rename("X", "d/X")
    os.symlink("d/X", "X")
    load(ROOTS)
    os.chmod("d", 0o1777)
    load(ROOTS)
    os.chmod("d", 0o775)  # see trust.weak_spot
    load(ROOTS)
    os.chmod("d", 0o777)
    place = os.fsdecode(here) + "/d"
    assert errors(ROOTS) == ["%s/X: directory %s can be written by everybody (chmod o-w %s): refused, as root does what it says" % (os.fsdecode(here), place, place)]
    os.rename("S", "d/S")
    for mode in 0o1777, 0o775:  # a script imports from there
        os.chmod("d", mode)
        assert errors(SCRIPTED.replace("= S", "= d/S")) == [
            "F:4: script: others can write to %s, and a script may import what lies beside it: refused (chmod go-w %s)" % (place, place)]
    os.chmod("d", 0o755)
    load(SCRIPTED.replace("= S", "= d/S"))


def test_what_is_read_is_what_was_looked_at(monkeypatch):
    files("X", "evil")
    os.chmod("evil", 0o666)
    fstat, seen = os.fstat, []

    def swap(fd):
        if os.path.basename(os.readlink("/proc/self/fd/%d" % fd)) == "X":
            os.replace("evil", "X")
            seen.append(fd)
        return fstat(fd)

    with open("X", "w") as file:
        file.write("good\n")
    with open("evil", "w") as file:
        file.write("evil\n")
    monkeypatch.setattr(module.os, "fstat", swap)
    assert [rule[1] for rule in one(SYNC + "excludeFrom = X\n").rules] == [b"good"] and len(seen) == 1


def test_whoever_is_not_root_is_warned_once_for_each_file(monkeypatch, here):
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    files("X", "Y", "W", "Z")
    for name in "X", "Z":
        os.chmod(name, 0o666)
    os.chmod("Y", 0o664)
    config = load(ROOTS + "[sync b]\nsource = /b\ntarget = h:b\nexcludeFrom = X\n")
    told = [line for line in config.warnings if "belongs to" not in line]
    assert told == ["%s: can be written by everybody (chown 4711 %s; chmod go-w %s)" % ((os.path.join(os.fsdecode(here), name),) * 3) for name in "XZ"]


def test_pairs_of_the_command_line_are_nobody_elses(here):
    os.chmod(here, 0o777)
    assert load(None, ("/srv/www", "host:/dst")).warnings == []


# ---- secrets -----------------------------------------------------------------------------------

@pytest.mark.parametrize("text", [
    "rsync.password_file =\n  S3CRET\n  x\n", "ssh.identityFile =\n  S3CRET\n  x\n", "rsync.rsh =\n  sshpass -p S3CRET ssh\n  x\n",
    "delay = 3\n  rsync.rsh = sshpass -p S3CRET ssh\n", "delay = 3\n  rsync.password_file=S3CRET\n"])
def test_no_finding_shows_a_secret(text):
    found = errors(SYNC + text)
    assert found and not any("S3CRET" in line for line in found)


def test_no_finding_shows_a_value_for_scripts():
    files("S")
    for text in "param =\n  my pass = S3CRET\n", "param.my-pass = S3CRET\n":
        found = errors(SCRIPTED + text)
        assert found and not any("S3CRET" in line for line in found)
