"""Manual pages, sample and completion: what is in the tree is what the tables and the prose make, and it is right."""

import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from lsyncd_lite import cli
from lsyncd_lite.config import config as module
from lsyncd_lite.config import options, settings
from lsyncd_lite.errors import ConfigError
from lsyncd_lite.report import completion, manpage, sample

ROOT = Path(__file__).resolve().parents[2]
GENERATE = runpy.run_path(str(ROOT / "man" / "generate"), run_name="generate")
PROSE = {name: (ROOT / prose).read_text(encoding="utf-8") for name, (_render, prose) in GENERATE["FILES"].items()}
SAMPLE = (ROOT / "contrib" / "lsyncd-lite.conf").read_text(encoding="utf-8")
# (scope, full name): Key, each once
KEYS = {("settings" if key.scopes == "settings" else "sync", name): key for scope in ("settings", "sync") for name, key in settings.scope(scope).items()}
IDS = ["-".join(row) for row in sorted(KEYS)]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text, name="F"):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    return module.load(name)


@pytest.mark.parametrize("name", sorted(PROSE))
def test_what_is_in_the_tree_is_what_would_be_made(name):
    assert (ROOT / name).read_text(encoding="utf-8") == GENERATE["generated"](name), "%s is old: run man/generate" % name


# ---- manual pages ------------------------------------------------------------------------------

PAGE = (ROOT / "man" / "lsyncd-lite.conf.5").read_text(encoding="utf-8")
COMMAND = (ROOT / "man" / "lsyncd-lite.1").read_text(encoding="utf-8")


@pytest.mark.parametrize("scope, name", sorted(KEYS), ids=IDS)
def test_every_key_is_in_the_manual_once_with_its_default_its_modes_and_the_flag_of_rsync(scope, name):
    key = KEYS[scope, name]
    settings_end = PAGE.index("\n.Sh SETTINGS FOR ALL SYNCS")
    (entry,) = re.findall(r"^\.It Cm %s No = Ar .*?(?=^\.It Cm \S+ No = Ar|^\.El\n\.(?:Sh|Ss|Pp)|\Z)" % re.escape(name), PAGE[:settings_end] if scope == "settings" else PAGE[settings_end:], re.S | re.M)
    words = " ".join(entry.split())
    assert " ".join(" ".join(manpage.text(key.help)).split()) in words
    if key.flag:
        assert "Pq Fl %s\n" % key.flag[1:].rstrip("=") in entry
    default = settings.default_text(key)
    if default and "(default" not in key.help:
        assert "Default: %s." % default in words
    assert ("Default: " in words) == bool(default and "(default" not in key.help)
    if key.modes and key.scopes == "sync":
        assert "Modes: %s." % ", ".join(settings.modes(key)) in words
    for choice in key.kind.choices:
        assert choice in words


OF_OPTIONS, OF_COMMANDS = re.search(r"^\.Sh OPTIONS$(.*)^\.Sh COMMANDS$(.*)^\.Sh STATUS$", COMMAND, re.S | re.M).groups()


@pytest.mark.parametrize("name, row", [*options.COMMANDS.items(), *options.ASKING.items()])
def test_every_command_and_its_options_are_in_the_manual_and_in_the_help(name, row):
    entries = re.findall(r"^\.It (?:Cm|Fl) %s(?: [^\n]*)?\n.*?(?=^\.It|^\.El)" % re.escape(name), OF_COMMANDS, re.S | re.M)
    assert len(entries) == 1 and " ".join(" ".join(manpage.text(row.help)).split()) in " ".join(entries[0].split())
    if row in options.COMMANDS.values():
        assert re.findall(r"Oo Fl (\S+)", entries[0].split("\n")[0]) == list(row.options)
        assert row.help in cli.help_text() and all(options.ASKING[option].help in cli.help_of(row) for option in row.options)


@pytest.mark.parametrize("name", sorted(options.OPTIONS))
def test_every_option_is_in_the_manual_and_says_what_help_says(name):
    option = options.OPTIONS[name]
    (entry,) = re.findall(r"^\.It Fl %s(?: Ar [A-Z ]+)?\n.*?(?=^\.It|^\.El)" % re.escape(name), OF_OPTIONS, re.S | re.M)
    assert entry.startswith((".It Fl %s Ar %s" % option[:2]).replace(" Ar \n", "\n") if option.metavars else ".It Fl %s\n" % name)
    assert " ".join(" ".join(manpage.text(option.help)).split()) in " ".join(entry.split())
    assert any(option.help in line for line in cli.help_text().split("\n"))


def test_the_manual_names_what_the_program_knows():
    from lsyncd_lite.config import commands, scripts
    from lsyncd_lite.mirror.pair import State
    for state in State:
        assert "\n.It Sy %s\n" % state.value in COMMAND
    for category in options.LOG_WORDS:
        assert re.search(r"\b%s\b" % category, COMMAND)
    for variable in commands.OF_SYNC + commands.OF_PATH:
        assert re.search(r"\^%s\b" % variable, PROSE["man/lsyncd-lite.conf.5"])
    for function, count in scripts.CALLED.items():
        assert re.search(r"Fn %s( \S+){%d}($| ,)" % (function, count), PROSE["man/lsyncd-lite.conf.5"], re.M)
    for form in options.FORMS:
        for word in form.split():
            assert word.strip("[]-") in COMMAND


@pytest.mark.parametrize("prose, words", [
    ("@nonsense", "means nothing"), ("@key nonsense", "unknown, or there twice"), ("@key delay\n@key delay", "unknown, or there twice"), ("@key delay\n@keys sync", "has no place: .*logfile"),
    ("@option nonsense", "unknown, or there twice"), ("@option log", "has no place: rsync, .*delay")])
def test_a_row_without_a_place_is_an_error(prose, words):
    with pytest.raises(ValueError, match=words):
        manpage.render(prose)


def test_what_is_special_to_mdoc_is_data_in_what_the_tables_say():
    assert manpage.text("a\\b ^x ~/y -n --long x-y") == ["a\\eb \\(hax \\(ti/y \\-n \\-\\-long x-y"]
    assert manpage.text(".x") == ["\\&.x"] and manpage.text("'x") == ["\\&'x"]
    assert manpage.text("One. Two (three.) Four: Five") == ["One.", "Two (three.)", "Four: Five"]
    assert all(len(line) <= 80 for line in manpage.text("word " * 100))
    assert manpage.literal("  -e 'x' `y` \\n ^z") == "  \\-e \\(aqx\\(aq \\(gay\\(ga \\en \\(haz"


EXAMPLES = [(language, text) for language in ("ini", "json") for text in manpage.examples(PROSE["man/lsyncd-lite.conf.5"], language)]
MIGRATE = PROSE["man/lsyncd-lite-migrate.7"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("language, text", EXAMPLES, ids=[text.split("\n")[0].strip("[]{") for _language, text in EXAMPLES])
def test_the_examples_of_the_manual_are_configurations(language, text, here, monkeypatch):
    monkeypatch.setenv("LSYNCD_DELAY", "3")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    (here / "targets").write_text("web2:/srv/www\nweb3:/srv/www\n")
    (here / "hostname").write_text("web1\n")
    (script,) = manpage.examples(PROSE["man/lsyncd-lite.conf.5"], "python")
    (here / "load.py").write_text(script)
    config = load(text.replace("/etc/lsyncd-lite/", "%s/" % here).replace("/etc/hostname", "hostname"))
    assert (config.syncs or "targetsFrom = !" in text) and config.warnings == []  # nothing is run here


def test_there_is_an_example_of_every_mode():
    assert len(EXAMPLES) >= 7
    modes = {match.group(1) for _language, text in EXAMPLES for match in re.finditer(r"^mode = (\w+)", text, re.M)}
    assert modes | {"rsync"} == set(settings.MODES)


def test_what_the_way_from_lsyncd_shows_is_so(here, monkeypatch):
    named, actions, function, command = manpage.examples(MIGRATE, "lua")
    monkeypatch.setenv("THIS_HOST", "web1")
    config = load(named, "lsyncd.conf.lua")
    assert [sync.target for sync in config.syncs] == [b"web2:/srv/www/"] and config.warnings == []
    assert load(command, "lsyncd.conf.lua").syncs[0].onBatch.after is not None
    (section,), (script,) = manpage.examples(MIGRATE, "ini"), manpage.examples(MIGRATE, "python")
    (sync,) = load(actions, "lsyncd.conf.lua").syncs
    assert (sync.mode, sync.maxProcesses) == ("exec", 4)
    with pytest.raises(ConfigError) as caught:
        load(function, "lsyncd.conf.lua")
    (line,) = caught.value.lines
    assert line.startswith("lsyncd.conf.lua:3: onCreate: ") and "mode script" in line
    (here / "load.py").write_text(script)
    config = load(section.replace("/etc/lsyncd-lite/", "%s/" % here))
    assert config.syncs[0].mode == "script" and config.warnings == []


def test_the_names_that_the_way_from_lsyncd_calls_old_are_known_as_such():
    names = [name for name in re.findall(r"\w+", MIGRATE[MIGRATE.index(".Sh OLDER NAMES"):MIGRATE.index(".Sh LAYER 3")]) if re.match("[a-z]+[A-Z]", name)]
    assert len(names) >= 7
    for name in names:
        settings_, sync_ = ("%s = 1" % name, "") if name.startswith("status") else ("", "%s = '/x'" % name)
        config = load("settings{ %s }\nsync{ default.rsync, source = '/', target = 'h:', %s }\n" % (settings_, sync_), "lsyncd.conf.lua")
        assert any(name + ": " in line and re.search("today|left out", line) for line in config.warnings), (name, config.warnings)


def test_the_table_of_the_way_from_lsyncd_is_that_of_the_readme():
    head, *rows = manpage.table(MIGRATE)
    assert head == ["topic", "lsyncd", "lsyncd-lite"]
    assert [row[0] for row in rows if len(row) == 1] == ["The same", "Better", "Different", "Not there"]
    shown = [line.strip("| ").split(" | ") for line in README[README.index(GENERATE["TABLE"]):].split("\n\n")[0].split("\n")[1:]]
    assert [row[0] for row in shown[2:]] == ["**%s**" % row[0] if len(row) == 1 else row[0] for row in rows]
    for name in set(re.findall("`([A-Za-z]+)`", manpage.markdown(MIGRATE))) & {"allowEmptySource", "jobTimeout", "monitor", "stateDir", "runIf", "exitcodes", "delete"}:
        assert ("sync", name) in KEYS or ("settings", name) in KEYS


@pytest.mark.parametrize("rows", ["@table a | b\nx\n@end\n", "@table a | b\nx | y | z\n@end\n", "@table a | b\nx | \n@end\n"])
def test_a_row_that_does_not_fit_its_table_is_an_error(rows):
    with pytest.raises(ValueError, match="a table of 2 columns has a row of others"):
        manpage.render(rows)


def test_a_table_is_one_of_tbl_and_of_markdown():
    prose = "@table topic | a\n= The same\n`-x` of *y | it's …\n@end\n"
    assert manpage.render(prose) == ".TS\nlx lx.\n\\fItopic\\fR\t\\fIa\\fR\n\\&\nT{\n\\fBTHE SAME\\fR\nT}\t\nT{\n\\fB\\-x\\fR of *y\nT}\tT{\nit's ...\nT}\n.TE\n"
    assert manpage.markdown(prose) == "| topic | a |\n|---|---|\n| **The same** |  |\n| `-x` of *y | it's … |\n"


# ---- the sample --------------------------------------------------------------------------------

def test_every_line_of_the_sample_is_a_comment_and_it_does_nothing(capfd):
    assert all(line.startswith("#") or not line for line in SAMPLE.split("\n"))
    os.mkdir("conf.d")
    load(SAMPLE, "lsyncd-lite.conf")
    assert cli.main(["-check", "lsyncd-lite.conf"]) == 1
    assert capfd.readouterr().err.startswith("nothing to do: ")


def entries():
    """Return {(scope, key): the default that the sample shows} of all that comes before its examples."""
    head = SAMPLE[:SAMPLE.index("# ---- examples")]
    found = [(("settings" if match.start() < head.index("# ---- in [settings] for all") else "sync", match.group(1)), match.group(2) or "")
             for match in re.finditer(r"^#([A-Za-z_.0-9]+) =(?: (.*))?$", head, re.M)]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_the_sample_shows_every_key_with_one_line_of_help():
    assert set(entries()) == set(KEYS)
    text = re.sub(r"\n# ", " ", SAMPLE)
    for key in KEYS.values():
        assert key.help in text


@pytest.mark.parametrize("scope, name", sorted(KEYS), ids=IDS)
def test_a_default_that_the_sample_shows_is_the_one_of_the_table(scope, name):
    key, shown = KEYS[scope, name], entries()[scope, name]
    if not shown:
        assert key.default in (None, ())
        return
    if "settings" in key.scopes:
        assert getattr(load("[settings]\n%s = %s\n" % (name, shown)).settings, name) == key.default
    if scope == "sync":
        mode = settings.modes(key)[0] if name != "mode" else shown
        ends = {"rsyncssh": "host = h\ntargetdir = /d\n", "exec": "onCreate = true\n"}.get(mode, "target = /d\n")
        (sync,) = load("[sync x]\nsource = /srv\n%s%s%s = %s\n" % (ends, "mode = %s\n" % mode * (name != "mode"), name, shown)).syncs
        table, _dot, inner = name.rpartition(".")
        assert getattr(getattr(sync, table) if table else sync, inner) == key.default


def test_all_settings_of_the_sample_may_be_taken_as_they_are():
    lines = ["%s = %s" % (name, shown) for (_scope, name), shown in entries().items() if "settings" in KEYS[_scope, name].scopes and shown]
    config = load("[settings]\n" + "\n".join(lines) + "\n")
    for name, key in settings.scope("settings").items():
        assert getattr(config.settings, name) == key.default


def test_the_examples_of_the_sample_are_a_sync_of_each_mode(here):
    text = SAMPLE[SAMPLE.index("# ---- examples"):].partition("\n")[2]
    plain = "".join(line[1:] + "\n" for line in text.split("\n") if line)
    (here / "load.py").write_text("def on_create(event): pass\n")
    config = load(plain.replace("/etc/lsyncd-lite/load.py", "%s/load.py" % here))
    assert {sync.mode for sync in config.syncs} == set(settings.MODES) and config.warnings == []


@pytest.mark.parametrize("prose, words", [("@keys nonsense", "unknown"), ("@keys sync\n@keys sync", "there twice"), ("@keys sync", "has no place: .*rsync")])
def test_a_scope_without_a_place_is_an_error(prose, words):
    with pytest.raises(ValueError, match=words):
        sample.render(prose)


# ---- the completion ----------------------------------------------------------------------------

BASH = shutil.which("bash")
PACKAGE = "/usr/share/bash-completion/bash_completion"
NAMES = ["-" + name for name in options.OPTIONS]

ASK = """
%s
. "$1" || exit 9
shift
complete -p lsyncd-lite >&2
COMP_WORDS=("$@")
COMP_CWORD=${CWORD:-$(($# - 1))}
COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
_lsyncd_lite lsyncd-lite "${2-}" "${3-}"
if [ ${#COMPREPLY[@]} -gt 0 ]; then printf '%%s\\n' "${COMPREPLY[@]}"; fi
"""


@pytest.fixture(params=["alone", "with the package"])
def ask(request, here):
    """Return what a real bash would offer after some words, of which the last is the one at the cursor."""
    if BASH is None:
        pytest.skip("there is no bash")
    if request.param != "alone" and not os.path.exists(PACKAGE):
        pytest.skip("there is no package bash-completion")
    before = "set -u" if request.param == "alone" else ". %s" % PACKAGE

    def ask(*words, at=None):
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("BASH", "COMP"))}
        ended = subprocess.run([BASH, "--norc", "-c", ASK % before, "bash", str(ROOT / "contrib" / "completion" / "lsyncd-lite"), "lsyncd-lite", *words], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, env=dict(environ, CWORD="" if at is None else str(at)), timeout=30)
        assert ended.returncode == 0 and ended.stderr == "complete -F _lsyncd_lite lsyncd-lite\n", ended
        return sorted(ended.stdout.split("\n")[:-1])
    for name in "conf", "conf.d/", "a b", "src/", "src/sub/", "-odd":
        if name.endswith("/"):
            (here / name).mkdir(exist_ok=True)
        else:
            (here / name).write_text("[sync www]\n [ sync a b ] \n#[sync no]\n[settings]\n")
    return ask


def test_options_are_offered_with_as_many_hyphens_as_were_typed(ask):
    assert ask("-") == sorted(NAMES)
    assert ask("--") == sorted("-" + name for name in NAMES)
    assert ask("-r") == ["-release", "-rsync", "-rsyncssh"] and ask("--nod") == ["--nodaemon"] and ask("-nope") == []
    assert ask("-nodaemon", "-delay", "5", "-ins") == ["-insist"]


@pytest.mark.parametrize("words, expected", [
    (["c"], ["check", "conf", "conf.d"]), (["-check", "c"], ["conf", "conf.d"]), (["-delay", "5", "conf"], ["conf", "conf.d"]), (["-insist", "a"], ["a b"]),
    (["-logfile", "con"], ["conf", "conf.d"]), (["-logfile", "=", "con"], ["conf", "conf.d"]), (["-logfile=con"], ["conf", "conf.d"]), (["-pidfile", "-o"], ["-odd"]),
    (["-rsync", ""], ["conf.d", "src"]), (["-rsync", "s"], ["src"]), (["-rsync", "src/"], ["src/sub"]), (["-rsync", "src", "co"], ["conf", "conf.d"]),
    (["-rsync", "src", "h", ":", "co"], []), (["-rsync", "src", "h", ":", "/x", "co"], ["conf", "conf.d"]), (["-rsync", "src", "u", "@h", ":", "/x", "-rsync", "s"], ["src"]),
    (["-rsyncssh", "s"], ["src"]), (["-rsyncssh", "src", "h", "co"], ["conf.d"]), (["-direct", "src", "co"], ["conf.d"]), (["-direct", "src", "conf.d", "co"], ["conf", "conf.d"]),
    (["-delay", ""], []), (["-delay", "=", ""], []), (["-sshopts", ""], []), (["-test-filter", "sr"], ["src"]), (["-log", "Exec", "con"], ["conf", "conf.d"]), (["-rsync", "-o"], []),
])
def test_names_of_files_and_directories_are_offered_where_they_belong(ask, words, expected):
    assert ask(*words) == expected


@pytest.mark.parametrize("words", [["-log", ""], ["--log", ""], ["-log", "="], ["-log=", ], ["-insist", "-log", ""]])
def test_categories_of_the_log_are_offered(ask, words):
    assert ask(*words) == sorted(options.LOG_WORDS)


def test_commands_are_offered_as_the_first_word_with_the_options_that_each_takes(ask):
    assert ask("re") == ["release", "reload", "resume", "retry"] and ask("-insist", "re") == []
    assert ask("wait", "-") == ["-help", "-socket", "-timeout"] and ask("wait", "--t") == ["--timeout"] and ask("stop", "-timeout", "5", "-s") == ["-socket"]
    assert ask("status", "-html", "con") == ["conf", "conf.d"]
    assert "all" in ask("pause", "") and "all" in ask("status", "-v", "a")


def test_what_is_typed_of_a_category_chooses(ask):
    assert ask("-log", "E") == ask("-log", "=", "E") == ask("-log=E") == ["Error", "Exclude", "Exec"]


def test_names_of_syncs_are_those_of_the_configuration_that_follows(ask):
    assert ask("-release", "", "conf", at=2) == ["a\\ b", "all", "www"]
    assert ask("-release", "w", "conf", at=2) == ["www"]
    assert "all" in ask("-release", "")


def test_every_option_with_values_has_a_kind_for_each():
    text = completion.render(PROSE["contrib/completion/lsyncd-lite"])
    for option in options.OPTIONS.values():
        found = re.findall(r"^ +-%s\) want=\((.*)\) ;;$" % re.escape(option.name), text, re.M)
        assert [kinds.split() for kinds in found] == [[options.VALUES[word] for word in option.metavars.split()]] * bool(option.metavars)
