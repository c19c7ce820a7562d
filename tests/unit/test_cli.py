"""The command line: what was typed, and what is said and returned without a daemon."""

import json
import os
import re
import subprocess
import sys

import pytest

import lsyncd_lite
from lsyncd_lite import cli
from lsyncd_lite.config import settings
from lsyncd_lite.config.options import FORMS, OPTIONS, PAIRS, REPEATED, VALUES
from lsyncd_lite.errors import ConfigError

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(lsyncd_lite.__file__)))
PAIR = ["-rsync", "/srv/www", "host:/dst"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capfdbinary):
    """Run main with arguments; return (exit status, lines of stdout, lines of stderr)."""
    def run(*arguments):
        status = cli.main(list(arguments))
        out, err = capfdbinary.readouterr()
        assert b"Traceback" not in out + err
        return status, *(text.decode("utf-8", "surrogateescape").split("\n")[:-1] for text in (out, err))
    return run


def refused(run, *arguments):
    """Return the lines of a refusal: 255, nothing on stdout, printable lines on stderr."""
    status, out, err = run(*arguments)
    assert (status, out) == (255, []) and err and all(line.isprintable() for line in err)
    return err


# ---- parse -------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, given, words", [
    ([], {}, []),
    (["conf"], {}, ["conf"]),
    (["-help"], {"help": "yes"}, []), (["--help"], {"help": "yes"}, []),
    (["-nodaemon", "conf", "--insist"], {"nodaemon": "yes", "insist": "yes"}, ["conf"]),
    (["-delay", "5"], {"delay": "5"}, []), (["--delay", "5"], {"delay": "5"}, []), (["-delay=5"], {"delay": "5"}, []), (["--delay=5"], {"delay": "5"}, []),
    (["-logfile=/a=b"], {"logfile": "/a=b"}, []), (["-logfile="], {"logfile": ""}, []), (["-logfile", "-x"], {"logfile": "-x"}, []),
    (["-rsync", "a", "b"], {"pairs": [("rsync", ["a", "b"])]}, []),
    (["-rsync", "a", "b", "--rsyncssh", "c", "d", "e", "-direct", "f", "g", "-rsync", "h", "i"],
     {"pairs": [("rsync", ["a", "b"]), ("rsyncssh", ["c", "d", "e"]), ("direct", ["f", "g"]), ("rsync", ["h", "i"])]}, []),
    (["-rsync", "-a", "--b"], {"pairs": [("rsync", ["-a", "--b"])]}, []),
    (["-sshopts", "-p 22", "-sshopts=-4"], {"sshopts": ["-p 22", "-4"]}, []),
    (["-log", "all"], {"log": ["all"]}, []), (["-log=Exec", "--log", "Delay"], {"log": ["Exec", "Delay"]}, []),
    (["-test-filter", "a/b", "conf"], {"test-filter": "a/b"}, ["conf"]), (["--test-filter=a b"], {"test-filter": "a b"}, []),
    (["-check", "conf"], {"check": "yes"}, ["conf"]),
    (["--", "-odd"], {}, ["-odd"]), (["-insist", "--", "-help"], {"insist": "yes"}, ["-help"]), (["-"], {}, ["-"]),
    (["-delay", "5", "-delay", "6"], {"delay": "6"}, []),
    (["a b", "\udcff"], {}, ["a b", "\udcff"]),
])
def test_parse(arguments, given, words):
    assert cli.parse(arguments) == (given, words)


@pytest.mark.parametrize("arguments, expected", [
    (["-nonsense"], "unknown option -nonsense; -help lists them"), (["--nonsense=5"], "unknown option --nonsense=5; -help lists them"),
    (["-Delay", "5"], "unknown option -Delay; -help lists them"), (["---delay", "5"], "unknown option ---delay; -help lists them"),
    (["-d"], "unknown option -d; -help lists them"), (["-\x1b\n"], "unknown option -\\x1b\\n; -help lists them"), (["-=x"], "unknown option -=x; -help lists them"),
    (["-delay"], "option -delay: allowed: -delay SECS"), (["-log"], "option -log: allowed: -log CATEGORY"),
    (["-rsync", "a"], "option -rsync: allowed: -rsync SOURCE TARGET"), (["-rsync"], "option -rsync: allowed: -rsync SOURCE TARGET"),
    (["-rsync=a", "b"], "option -rsync: allowed: -rsync SOURCE TARGET"), (["-insist=yes"], "option -insist: allowed: -insist "),
    (["-help=no"], "option -help: allowed: -help "),
    (["-rsyncssh", "a", "b"], "option -rsyncssh: allowed: -rsyncssh SOURCE HOST TARGETDIR"),
    (["-direct", "a"], "option -direct: allowed: -direct SOURCE TARGETDIR"), (["-sshopts"], "option -sshopts: allowed: -sshopts OPTS"),
])
def test_what_cannot_be_parsed_is_one_line(arguments, expected):
    with pytest.raises(ConfigError) as caught:
        cli.parse(arguments)
    assert [line.strip() for line in caught.value.lines] == [expected.strip()]


@pytest.mark.parametrize("arguments, expected", [
    (["pause", "-timeout", "3"], "unknown option -timeout; pause -help lists them"),
    (["wait", "-timeout", "-1"], "option -timeout: -1 is not allowed here; allowed: a number of seconds, 0 or more"),
    (["wait", "a", "b"], "wait: one sync at most, not a, b"), (["stop", "now"], "stop: takes no sync, it is for the whole daemon: now"),
    (["status", "-socket"], "option -socket: allowed: -socket FILE")])
def test_what_a_command_does_not_take_is_one_line(run, arguments, expected):
    assert run(*arguments) == (255, [], [expected])


def test_options_that_are_settings_come_from_their_table():
    for key in settings.KEYS:
        if key.option is not None:
            assert OPTIONS[key.name] == (key.name, key.option, key.help)
    assert {"delay", "insist", "logfile", "pidfile", "nodaemon", "onepass", "log", "rsync", "rsyncssh", "direct", "sshopts", "help", "version", "check", "test-filter"} <= set(OPTIONS)


def test_what_the_table_of_options_speaks_of_is_there():
    assert {*REPEATED, *PAIRS} <= set(OPTIONS)
    for option in OPTIONS.values():
        assert set(option.metavars.split()) <= set(VALUES) and re.fullmatch(r"[A-Z].*[.)]", option.help)
    for mode, keys in PAIRS.items():
        assert mode in settings.MODES and len(OPTIONS[mode].metavars.split()) == len(keys) and set(keys) <= set(settings.scope("sync"))
    for form in FORMS:  # each names options with all of their values
        for name in re.findall(r"(?:^| )-(\S+)", form):
            assert "-%s %s" % (name, OPTIONS[name].metavars) in form + " "


# ---- what ends at once -------------------------------------------------------------------------

@pytest.mark.parametrize("option", ["-help", "--help"])
def test_help_names_every_option_and_fits_a_terminal(run, option):
    status, out, err = run(option)
    assert (status, err) == (0, [])
    for name, metavars, _text in OPTIONS.values():
        assert any(re.match(r"  -%s( |$)" % name, line) and metavars in line for line in out)
    assert out[0].startswith("usage: lsyncd-lite ")


@pytest.mark.parametrize("option", ["-version", "--version"])
def test_version(run, option):
    assert run(option) == (0, ["lsyncd-lite " + lsyncd_lite.__version__], [])


def test_help_and_version_ask_for_nothing_else(run):
    assert run("-help", "missing.conf", "-log", "nonsense")[0] == run("-version", "-rsync", "/", "/")[0] == 0


def conf(text, name="conf"):
    with open(name, "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    return name


GOOD = "[settings]\nnodaemon = yes\n[sync www]\nsource = /srv/www\ntarget = host:/dst\n"


@pytest.mark.parametrize("text", [GOOD, '{"sync": [{"source": "/x", "target": "h:"}]}', "\ufeff" + GOOD.replace("\n", "\r\n")])
def test_check_says_ok(run, text):
    assert run("-check", conf(text)) == (0, ["OK"], []) == run(conf(text), "--check")


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "[settings]\ndelay = 5\n", "{}", '{"settings": {"delay": 5}, "sync": []}'])
def test_check_tells_a_configuration_that_does_nothing_from_one_that_is_wrong(run, text):
    status, out, err = run("-check", conf(text))
    assert (status, out, len(err)) == (1, [], 1) and err[0].startswith("nothing to do: no sync is configured; give [sync NAME] in %s, " % os.path.abspath("conf"))
    for arguments in ["conf"], ["-test-filter", "x", "conf"], ["-release", "all", "conf"]:
        assert refused(run, *arguments) == err


def test_a_configuration_that_does_nothing_and_is_wrong_is_wrong(run):
    assert refused(run, "-check", conf("[settings]\nnope = 1\n"))[0].split(": ")[1] == "nope"
    os.mkdir("open")
    os.chmod("open", 0o777)
    assert refused(run, "-check", conf("[settings]\nlogfile = open/log\n"))[0].startswith("logfile: ")


def test_check_goes_for_pairs_of_the_command_line_too(run):
    assert run("-check", *PAIR) == (0, ["OK"], [])
    assert refused(run, "-check", "-rsync", "/srv", "/srv") == ["-rsync /srv /srv: target: target /srv is the source itself (source /srv): refused"]


def test_pairs_of_all_modes_come_in_their_order(run, monkeypatch):
    seen = []
    load = cli.configuration.load
    monkeypatch.setattr(cli.configuration, "load", lambda *arguments: seen.append(load(*arguments)) or seen[0])
    assert run("-check", "-sshopts", "-p 22 -o 'A=b c'", "-direct", "/a", "/b", "-rsyncssh", "/a", "u@h", "~/d", *PAIR, "-sshopts=-4", "-delay", "3") == (0, ["OK"], [])
    assert [(sync.mode, sync.target, sync.ssh._extra, sync.delay) for sync in seen[0].syncs] == [
        ("direct", b"/b/", (), 3), ("rsyncssh", b"u@h:d/", ("-p", "22", "-o", "A=b c", "-4"), 3), ("rsync", b"host:/dst/", (), 3)]


def test_check_tells_all_errors_with_the_absolute_name_of_the_file(run, here):
    err = refused(run, "-check", conf("[settings]\ndelay = x\nnope = 1\n[sync a]\ntarget = h:\n"))
    assert [line.split(": ")[:2] for line in err] == [["%s/conf:%d" % (here, number), key] for number, key in ((2, "delay"), (3, "nope"), (4, "source"))]


def test_check_tells_warnings_and_ok(run, here):
    status, out, err = run("-check", conf(GOOD + "rsync._extra = -F\n"))
    assert (status, out, len(err)) == (0, ["OK"], 1) and err[0].startswith("%s/conf:6: rsync._extra: " % here)


def test_what_is_refused_is_told_with_the_warnings_that_may_be_the_reason(run, here):
    (here / "f.lua").write_text('sync { default.rync, source = "/srv", target = "h:/x" }\n')
    status, out, err = run("-check", "f.lua")
    assert (status, out, len(err)) == (255, [], 2)
    assert err[0].endswith("f.lua:1: sync: item 1 of its list is nil: was it ever given a value?")
    assert ": sync: says not how: " in err[1]


def test_check_asks_a_shell_about_each_command_and_runs_none(run, here):
    text = ("[sync a]\nmode = exec\nsource = /srv\nonCreate = touch %s/ran; if true; then echo ^path\nonDelete = /no/such/program ^path\n"
            "onModify = /bin/true ^path\nonBatch.after = echo 'x\nrunIf = touch %s/ran\n" % (here, here))
    first, second, third = refused(run, "-check", conf(text))
    assert first.startswith("sync a: onCreate: ") and "yntax error" in first
    assert second == "sync a: onDelete: there is no program /no/such/program"
    assert third.startswith("sync a: onBatch.after: ")
    assert not (here / "ran").exists()


def test_names_of_files_are_bytes(run):
    name = os.fsdecode(b"c\xff\n")
    conf(GOOD, b"c\xff\n")
    assert run("-check", name) == (0, ["OK"], [])
    assert refused(run, "-check", os.fsdecode(b"m\xff\n"))[0].endswith("/m\\xff\\n: cannot read the configuration: No such file or directory")


@pytest.mark.parametrize("arguments, expected", [
    ([], "nothing to do: "), (["-nodaemon"], "nothing to do: "), (["-check"], "nothing to do: "), (["-test-filter", "x"], "nothing to do: "),
    (["a", "b"], "one configuration file at most, not a, b"), (["-log", "nonsense", *PAIR], "option -log: unknown category nonsense; allowed: all, scarce, "),
    (["-log", "a\nb", *PAIR], r"option -log: unknown category a\\nb; "), (["missing.conf"], ".*/missing.conf: cannot read the configuration: No such file"),
    (["."], ".*: cannot read the configuration: Is a directory"), (["-delay", "soon", *PAIR], "-delay: 'soon' is not allowed here; allowed: "),
    (["-logfile", "", *PAIR], "-logfile: '' is not allowed here; "), (["-rsync", "", "h:"], "-rsync  h:: source: "), (["-nope"], "unknown option -nope; "),
    (["-direct", "/srv", "h:x"], "-direct /srv h:x: target: h:x is on another host; "), (["-rsyncssh", "/srv", "h:22", "d"], "-rsyncssh /srv h:22 d: host: h:22 is no host; "),
    (["-rsyncssh", "/srv", "h", "~u"], "-rsyncssh /srv h ~u: targetdir: "), (["-sshopts", "-4", *PAIR], "option -sshopts: is for -rsyncssh, and none is given"),
    (["-sshopts", "'", "-rsyncssh", "/srv", "h", "d"], "option -sshopts: No closing quotation"), (["-sshopts", "-4"], "option -sshopts: is for -rsyncssh"),
    (["-rsync", "/srv", "/"], "-rsync /srv /: target: target / is the root of this host"), (["-pidfile"], "option -pidfile: allowed: -pidfile FILE"),
])
def test_errors_are_one_line_and_255(run, arguments, expected):
    (line,) = refused(run, *arguments)
    assert re.match(expected, line)


@pytest.mark.parametrize("arguments, meant", [(["statsu"], "status"), (["puase", "www"], "pause"), (["chekc", "-w", "1"], "check"), (["resum", "-nodaemon"], "resume")])
def test_a_misspelt_command_is_no_configuration(run, arguments, meant):
    assert refused(run, *arguments) == ["%s: there is no such command, and no such file; did you mean %s?" % (arguments[0], meant)]


def test_a_configuration_may_be_called_nearly_as_a_command_is(run, here):
    (here / "statu").write_text("[sync www]\nmode = direct\nsource = /\ntarget = /none\n")
    assert "did you mean" not in refused(run, "statu", "-nodaemon")[0]


def test_a_defect_of_ours_is_one_line_too(run, monkeypatch):
    monkeypatch.setattr(cli.configuration, "load", lambda *_arguments: {}["a\nb"])
    (line,) = refused(run, *PAIR)
    assert "a defect of lsyncd-lite: KeyError: " in line and "test_cli.py:" in line


def test_whoever_interrupts_gets_130(run, monkeypatch):
    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.configuration, "load", interrupt)
    assert run(*PAIR) == (130, [], [])


# ---- convert -----------------------------------------------------------------------------------

OLD = "# why\n[settings]\ndelay=5 \n; that\n[sync www]\nsource = /srv\ntarget = h:/a\nexclude =\n  a\n  b\n# end\n"
INI = ["# why", "[settings]", "delay = 5", "", "# that", "[sync www]", "source = /srv", "target = h:/a", "exclude =", "    a", "    b", "", "# end"]


def test_convert_prints_the_configuration_in_another_form(run):
    assert run("-convert", conf(OLD)) == (0, INI, []) == run("--convert", conf("\ufeff" + OLD.replace("\n", "\r\n")))
    status, out, err = run("-convert", "-json", "conf")
    assert (status, err) == (0, []) and json.loads("\n".join(out)) == {
        "settings": {"delay": 5}, "sync": [{"name": "www", "source": "/srv", "target": "h:/a", "exclude": ["a", "b"]}]}
    conf("\n".join(out), "c.json")
    assert run("-convert", "c.json") == (0, [line for line in INI if not line.startswith("#")][:-1], [])
    assert run("-convert", "-json", "c.json") == (0, out, [])


def test_convert_prints_all_files_of_a_configuration(run):
    os.mkdir("conf.d")
    conf("# nothing here\n", "lsyncd-lite.conf")
    conf("# a\n[sync a]\nsource = /a\ntarget = h:/a\n", "conf.d/a.conf")
    conf('{"settings": {"delay": 5}, "sync": {"source": "/b", "target": "h:/b"}}', "conf.d/b.conf")
    assert run("-convert", "lsyncd-lite.conf") == (0, [
        "[settings]", "delay = 5", "", "# nothing here", "", "# a", "[sync a]", "source = /a", "target = h:/a", "", "[sync sync2]", "source = /b", "target = h:/b"], [])


def test_convert_prints_what_has_findings_and_the_findings(run, here):
    status, out, err = run("-convert", conf(OLD + "nope = 1\nexcludeFrom = missing\nrsync._extra = -F\nrequireMarker = ${NO_SUCH_NAME}\n"))
    assert status == 255 and out[-5:] == ["# end", "nope = 1", "excludeFrom = missing", "rsync._extra = -F", "requireMarker = ${NO_SUCH_NAME}"]
    assert [line.split(": ")[:2] for line in err] == [["%s/conf:%d" % (here, number), key] for number, key in (
        (14, "rsync._extra"), (15, "requireMarker"), (12, "nope"), (13, "excludeFrom"))]


def test_convert_tells_warnings_and_is_content(run):
    status, out, err = run("-convert", conf(GOOD + "rsync._extra = -F\n"))
    assert (status, len(err)) == (0, 1) and out[-1] == "rsync._extra = -F"


@pytest.mark.parametrize("text", ["", "\n", "{}"])
def test_convert_has_nothing_to_print_where_nothing_is(run, text):
    assert run("-convert", conf(text)) == (0, [], [])
    assert run("-convert", "-json", "conf") == (0, ["{}"], [])


@pytest.mark.parametrize("text, count", [("[settings]\nnonsense\n[sync x]\n", 3), ("{", 1), ("[settings]\na = <<END\n", 2), ("[sync x]\nsource = /a\nsource = /b\ntarget = h:\n", 1)])
def test_convert_prints_nothing_of_what_cannot_be_read(run, text, count):
    assert len(refused(run, "-convert", conf(text))) == len(refused(run, "-convert", "-json", "conf")) == count
    assert refused(run, "-convert", "missing") == ["%s/missing: cannot read the configuration: No such file or directory" % os.getcwd()]


def test_convert_names_what_ini_cannot_hold(run):
    conf('{"sync": {"source": "/a", "target": "h:", "exclude": ["a\\nb"]}}')
    assert refused(run, "-convert", "conf")[-1].endswith("/conf: sync[0].exclude: INI cannot hold this value: an item has several lines; -convert -json can")
    status, out, err = run("-convert", "-json", "conf")
    assert status == 255 and len(err) == 1 and json.loads("\n".join(out))["sync"][0]["exclude"] == ["a\nb"]


def test_convert_takes_and_prints_bytes(run):
    assert run("-convert", conf(GOOD + "exclude = \udcff\u00e9\n"))[1][-1] == "exclude = \udcff\u00e9"
    out = run("-convert", "-json", "conf")[1]
    assert json.loads("\n".join(out))["sync"][0]["exclude"] == ["\udcff\u00e9"] and "\udcff" not in "".join(out)


@pytest.mark.parametrize("arguments, expected", [
    (["-json", "conf"], "option -json: is for -convert, and that is not given"), (["-json"], "option -json: is for -convert, and that is not given"),
    (["-json", "-check", "conf"], "option -json: is for -convert, and that is not given"), (["-convert"], "option -convert: allowed: -convert [-json] CONFIG"),
    (["-convert", "conf", *PAIR], "option -convert: allowed: -convert [-json] CONFIG, without -rsync"), (["-convert", "-delay", "5", "conf"], "option -convert: allowed: -convert [-json] CONFIG, without -delay"),
    (["-convert", "-check", "conf"], "option -convert: allowed: -convert [-json] CONFIG, without -check")])
def test_convert_stands_alone(run, arguments, expected):
    conf(GOOD)
    assert refused(run, *arguments) == [expected]


def test_convert_says_what_is_wrong_though_nobody_reads_the_rest(capfdbinary):
    conf(OLD + "# %s\n" % ("x" * 100000) + "nope = 1\n")
    read, write = os.pipe()
    os.close(read)
    kept = os.dup(1)
    try:
        os.dup2(write, 1)
        status = cli.main(["-convert", "conf"])
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(write)
    err = capfdbinary.readouterr().err.decode()
    assert status == 255 and err.count("\n") == 1 and ": nope: unknown key" in err


@pytest.mark.parametrize("arguments", [("-convert", "conf"), ("-help",), ("-check", "conf")])
def test_output_for_which_there_is_no_room_is_one_line(arguments, tmp_path):
    conf(GOOD)
    found = subprocess.run(["sh", "-c", "exec \"$@\" >/dev/full", "sh", sys.executable, "-m", "lsyncd_lite", *arguments],
                           stderr=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT), timeout=60)
    assert (found.returncode, found.stderr) == (255, b"cannot write the output: No space left on device\n")


def test_errors_that_nobody_can_take_are_no_defect():
    conf(GOOD + "nope = 1\n")
    found = subprocess.run(["sh", "-c", "exec \"$@\" 2>/dev/full", "sh", sys.executable, "-m", "lsyncd_lite", "-check", "conf"],
                           stdout=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT), timeout=60)
    assert (found.returncode, found.stdout) == (255, b"")


# ---- test-filter -------------------------------------------------------------------------------

FILTERED = """[sync a]
source = %s
target = h:
exclude = *.o
filter =
  + keep/
  - d/
[sync b]
source = /srv
target = i:
rsync._extra = --exclude=keep
"""


@pytest.mark.parametrize("path, first, second", [
    ("x.o", "a: x.o: excluded: - *.o (HERE/conf:4: exclude)", "b: x.o: mirrored: no rule"),
    ("x", "a: x: mirrored: no rule", "b: x: mirrored: no rule"),
    ("d/x", "a: d/x: excluded: - d/ (HERE/conf:5: filter), which matches its parent d", "b: d/x: mirrored: no rule"),
    ("d/", "a: d: excluded: - d/ (HERE/conf:5: filter)", "b: d: mirrored: no rule"),
    ("d", "a: d: excluded: - d/ (HERE/conf:5: filter)", "b: d: mirrored: no rule"),  # it is a directory there
    ("keep/", "a: keep: mirrored: + keep/ (HERE/conf:5: filter)", "b: keep: excluded: - keep (HERE/conf:11: rsync._extra)"),
    ("HERE/src/sub/x.o", "a: sub/x.o: excluded: - *.o (HERE/conf:4: exclude)", None),
    ("/x.o", "a: x.o: excluded: - *.o (HERE/conf:4: exclude)", "b: x.o: mirrored: no rule"),
    ("a\nb\\", "a: a\\nb\\\\: mirrored: no rule", None),
])
def test_test_filter_names_the_deciding_rule_of_each_sync(run, here, path, first, second):
    os.makedirs("src/d")
    status, out, err = run("-test-filter", path.replace("HERE", str(here)), conf(FILTERED % (here / "src")))
    assert (status, err, len(out)) == (0, [], 2)
    assert out[0] == first.replace("HERE", str(here)) and (second is None or out[1] == second.replace("HERE", str(here)))


def test_test_filter_takes_bytes(run):
    assert run("-test-filter", os.fsdecode(b"\xff.o"), conf(FILTERED % "/src"))[1][0].startswith("a: \\xff.o: excluded: - *.o ")


def test_a_command_that_no_shell_can_be_given_is_an_error_of_a_check(run):
    with open("conf", "w") as file:  # execve(2), MAX_ARG_STRLEN
        file.write("[sync x]\nmode = exec\nsource = /srv\nonCreate = true; : %s\n" % ("x" * 140000))
    assert refused(run, "-check", "conf") == ["sync x: onCreate: cannot run /bin/sh: Argument list too long"]
