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
    """Load a file F with the text (str or bytes; None: no file) in the current directory."""
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
        if name.startswith("rsync."):
            assert getattr(sync.rsync, name[6:]) == key.default
        elif name not in ("name", "source", "target"):
            assert getattr(sync, name) == key.default


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
    ("", ["nothing to do: "]),
    ("[settings]\n", ["nothing to do: "]),
    ("{}", ["nothing to do: "]),
    ("[sync x]", ["F:1: source: ", "F:1: target: "]),
    ("[sync x]\nsource =\ntarget = h:", ["F:2: source: "]),
    ("[sync x]\nsource = /x\ntarget =", ["F:3: target: "]),
    ('{"sync": [{"source": "/x", "target": []}]}', ["F: sync[0].target: "]),
    ("[sync x]\nsource = /\0x\ntarget = h:", ["F:2: source: "]),
    ('{"sync": [{"source": "/\\ud800", "target": "h:"}]}', ["F: sync[0].source: "]),
    ("sync {", ["F:1: sync {: "]),
    (SYNC + "tunnel = x", ["F:4: tunnel: unknown key"]),
    (SYNC + "archive = yes", ["F:4: archive: unknown key"]),
    (SYNC + "logfile = /x", ["F:4: logfile: unknown key"]),
    ("[settings]\nsource = /x\n" + SYNC, ["F:2: source: unknown key"]),
    (SYNC + "delay = 1\nDelay = 2", ["F:5: Delay: unknown key; did you mean delay?"]),
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
    ("host:~/x", b"host:~/x/", False), ("host::module", b"host::module/", False), ("host::module/d/", b"host::module/d/", False),
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
                                  "maxProcesses = 2", "init = no"])
def test_another_value_makes_another_pair(more):
    assert not one(SYNC).same_pair(one(SYNC + more))
