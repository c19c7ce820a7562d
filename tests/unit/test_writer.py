"""Readings → INI and JSON that mean the same, and where comments stand."""

import json as pythons_json
import os
import random
import re
from pathlib import Path

import pytest

from lsyncd_lite.config import config as module
from lsyncd_lite.config import ini, json, settings, writer
from lsyncd_lite.config.section import Entry, Reading, Section
from lsyncd_lite.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAME", "# v  w")
    (tmp_path / "rules.txt").write_text("+ a\n- b\n")
    (tmp_path / "hosts.txt").write_text("h9\n")
    (tmp_path / "s.py").write_text("def on_create(event):\n    pass\n")
    return tmp_path


def made(readings):
    """Return what Readings mean, as far as it can be compared; raise ConfigError."""
    builder = module._Builder()
    sections = [section if reading.is_literal else builder.files._expanded(section, settings.is_command) for reading in readings for section in reading.sections]
    config = builder.build(sections, {})
    if builder.errors:
        raise ConfigError(builder.errors)
    return vars(config.settings), [dict(vars(sync), rules=[rule[:2] for rule in sync.rules], extra_rules=[rule[:2] for rule in sync.extra_rules])
                                   for sync in config.syncs]


def from_ini(text):
    """Return the Reading of INI text that has been in a file."""
    from lsyncd_lite.config.files import text_of
    reading = ini.read(text_of(text.encode("utf-8", "surrogateescape")), "I")
    assert reading.errors == []
    return reading


def from_json(text):
    from lsyncd_lite.config.files import text_of
    reading = json.read(text_of(text.encode("utf-8", "strict")), "J")  # it is UTF-8, whatever it says
    assert reading.errors == []
    return reading


def of(data):
    """Return the Reading of a configuration in JSON's terms."""
    return from_json(pythons_json.dumps(data))


# ---- the same meaning --------------------------------------------------------------------------

PARTS = ["#*#", "#", ";;", ";", "[x]", "[sync y]", "x]", " lead", "trail ", "\ttab\t", "a=b", "delay = 5", "delete=no", "rsync.archive=yes", '"q"', "'q'", "'", "$${NAME}", "$$", "$",
         "${NAME}", "$$${NAME}", "<<X", "<<END", "END", "<<", "\udcff\udc80", "\u00e9\u2028z", "x\ry", "\u00a0x\u3000", "settings = {", "sync{", "{", "=", "= x", "%s", "\\", "--",
         "a\x1b[31m", "x y", "yes", "1", "007", "1.50", "null", "]", ".", "~/x", "*"]


class Generator:
    """Makes valid configurations out of the table and of hostile texts."""

    def __init__(self, seed, is_literal):
        self.random = random.Random(seed)
        self.parts = PARTS + ["${", "${x", "${file:/nope}", "$${"] * is_literal
        self.names = set()

    def text(self):
        return self.random.choice(["", "", " ", "/", "x"]).join(self.random.choice(self.parts) for _part in range(self.random.choice([1, 1, 1, 2, 3])))

    def texts(self, prefix=""):
        found = [prefix + self.text() for _item in range(self.random.choice([0, 1, 1, 2, 3, 5]))]
        return self.random.choice([found, "\n".join(found)]) if found else found

    def script(self):
        lines = ["echo x"] + ["%s%s" % (self.random.choice(["", "    ", "\t"]), self.random.choice(["# c", ";;", "", "a=b", "x = ${NAME}", "source = /x", "^source", "fi", "END", "  "]))
                              for _line in range(self.random.randrange(5))]
        return self.random.choice(["", "\n", "  ", "\n\n   "]) + "\n".join(lines) + self.random.choice(["", "\n", " \n\n"])

    def value(self, name, key, mode):
        """Return a value that a key may have, more often than not."""
        if name in ("excludeFrom", "filterFrom"):
            return "rules.txt"
        if name == "filter":
            return self.texts(self.random.choice(["+ ", "- "]))
        if key.kind is settings.COMMAND:
            return self.script()
        if key.kind is settings.LISTING:
            return self.random.choice(["hosts.txt", self.random.choice(["!", " ! ", "\n!"]) + self.script()])
        if key.kind is settings.CRONTAB:
            return self.random.choice([["0 30 2 * * mon-fri"], "0 0 3 * * *\n0 1 3 * * *", []])
        if key.kind.paired:
            item = {settings.OPTIONS: lambda: (self.random.choice(["A", "Bc"]), "v" + self.text()), settings.PARAMS: lambda: (self.random.choice(["a", "b_1"]), self.text()),
                    settings.EXITCODES: lambda: (str(self.random.randrange(256)), self.random.choice(["ok", "again", "die"]))}[key.kind]
            items = [item() for _item in range(self.random.randrange(4))]
            return self.random.choice([lambda: dict(items), lambda: ["%s=%s" % pair for pair in items]])()
        if key.kind is settings.LINES:
            return self.texts()
        pool = [True, False, "yes", "Off", "1", 1, 5, 2.5, "7", "0.25", "007", 1.0, "auto", "poll", "exit", "again", "CloseWrite or Modify", "local3", "idle", "pool", "::1", "startup", "running", "false", 1e-07,
                self.text(), self.text(), self.text(), "\0"]
        self.random.shuffle(pool)
        for raw in pool:
            try:
                settings.parse(key, raw)
                return raw
            except ValueError:
                pass
        raise AssertionError(name)

    def values(self, kind, mode):
        """Return {full key: value} of some keys."""
        rows = [(name, key) for name, key in settings.scope(kind).items() if kind == "settings" or settings.fits(key, mode)]
        chosen = self.random.sample(rows, self.random.choice([1, 3, 6, 12]))
        return {name: self.value(name, key, mode) for name, key in chosen if name not in ("name", "mode", "source", "target", "host", "targetdir", "script", "maxProcesses") or kind == "settings"}

    def sync(self):
        mode = self.random.choice(settings.MODES)
        values = dict(self.values("sync", mode), source="/src/" + self.text())
        if mode != "rsync" or self.random.random() < 0.5:
            values["mode"] = self.random.choice(["", "default."]) + mode
        ends = {"rsync": ["h:/" + self.text(), "/t/" + self.text()], "direct": ["/t/" + self.text(), "/t2/" + self.text()]}.get(mode, [self.text(), "x" + self.text()])
        if mode == "rsyncssh":
            values.update(host=self.random.choice(["h", ["h", "u@h2"]]), targetdir="/d" + self.text())
        else:
            values["target"] = self.random.choice([ends, ends[0], ends[:1]])
        if mode == "exec":
            values["onCreate"], values["onStartup"] = self.script(), self.script()
        if mode == "script":
            values["script"] = "s.py"
        name = self.random.choice([None, "www", self.text(), 5])
        if name is not None and name not in self.names:
            self.names.add(name)
            values["name"] = name
        if any(key.startswith("tunnel.") for key in values):
            values.update({"tunnel.command": self.script() + "\n: ^localport", "target": "rsync://h:^localport/" + self.text()})
            if "tunnel.parallel" in values:
                values["tunnel.mode"] = "pool"
        items = list(values.items())
        self.random.shuffle(items)
        return dict(items)

    def configuration(self):
        """Return one in JSON's terms, with keys that are dotted or nested."""
        data = {"settings": self.values("settings", None)} if self.random.random() < 0.7 else {}
        data["sync"] = [self.sync() for _sync in range(self.random.randrange(1, 4))]
        return data


def keys_of(data):
    found = {("settings", key) for key in data.get("settings", ())}
    return found | {("sync", settings.find(key, settings.scope("sync"))[0]) for sync in data["sync"] for key in sync}


@pytest.mark.parametrize("is_literal", [False, True])
def test_what_is_written_means_the_same(is_literal):
    valid, seen = 0, set()
    for seed in range(340):
        data = Generator(seed, is_literal).configuration()
        reading = of(data)._replace(is_literal=is_literal)
        try:
            meant = made([reading])
        except ConfigError:
            continue
        try:
            text = writer.to_ini([reading])
        except ConfigError as error:
            assert all("[sync] only" in line for line in error.lines), (seed, error.lines)
            continue
        valid += 1
        seen |= keys_of(data)
        second = writer.to_json([reading])
        assert made([from_ini(text)]) == meant, (seed, text)
        assert made([from_json(second)]) == meant, (seed, second)
        assert made([from_json(writer.to_json([from_ini(text)]))]) == meant, seed
        assert made([from_ini(writer.to_ini([from_json(second)]))]) == meant, seed
        assert writer.to_ini([from_ini(text)]) == text, seed
        assert writer.to_json([from_json(second)]) == second, seed
    assert valid > 100, valid
    missing = {(kind, name) for kind in ("settings", "sync") for name in settings.scope(kind)} - seen - {("sync", "maxProcesses")}
    assert not missing, missing


def documents(text):
    return [block for block in re.findall("```ini\n(.*?)```", text, re.S)]


CONFIGURATIONS = {"README %d" % number: text for number, text in enumerate(documents((ROOT / "README.md").read_text(encoding="utf-8")))}
CONFIGURATIONS.update((path.name, path.read_text(encoding="utf-8")) for path in sorted((ROOT / "contrib/examples").glob("*.ini")))
CONFIGURATIONS["container"] = (ROOT / "contrib/container/lsyncd-lite.conf").read_text(encoding="utf-8")
CONFIGURATIONS["sample"] = re.sub(r"(?m)^#(?!tunnel\.)(?=\S+ = \S|\[)", "", (ROOT / "contrib/lsyncd-lite.conf").read_text(encoding="utf-8").partition("# ---- examples")[0]).replace(
    "\n#source =", "\nsource = /srv").replace("\n#target =", "\ntarget = h:/srv").replace("\nmode = rsync\n", "\nmode = script\nscript = s.py\n")
VARIABLES = {"LSYNCD_MODE": "rsync", "LSYNCD_DELETE": "yes", "LSYNCD_SOURCE": "/srv"}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_is_in_the_tree_is_the_same_after_a_conversion(name, here, monkeypatch):
    for variable in set(re.findall(r"\$\{(\w+)\}", CONFIGURATIONS[name])):
        monkeypatch.setenv(variable, VARIABLES.get(variable, "3"))
    (here / "targets").write_text("web2:/srv/www\nweb3:/srv/www\n")
    for hosts in ("webservers", "leaves"):
        (here / hosts).write_text("web2\nweb3\n")
    for path in (ROOT / "contrib/examples").glob("*.py"):
        (here / path.name).write_bytes(path.read_bytes())
    text = re.sub(r"/etc/lsyncd-lite/|/usr/share/doc/lsyncd-lite/examples/", "%s/" % here, CONFIGURATIONS[name])
    reading = from_ini(text)
    try:
        meant = made([reading])
    except ConfigError as error:
        raise AssertionError(error.lines)
    assert len(meant[1]) > 0
    written = writer.to_ini([reading])
    assert made([from_ini(written)]) == meant
    assert made([from_json(writer.to_json([reading]))]) == meant
    assert [comment[1] for comment in from_ini(written).comments] == [comment[1] for comment in reading.comments]


def test_a_file_of_comments_stays_as_it_is():
    text = (ROOT / "contrib/lsyncd-lite.conf").read_text(encoding="utf-8")
    assert writer.to_ini([from_ini(text)]) == text
    assert writer.to_json([from_ini(text)]) == "{}\n"
    assert writer.to_ini([from_ini("")]) == writer.to_ini([]) == ""


# ---- the form ----------------------------------------------------------------------------------

def section(kind="sync", line=None, last=None, **values):
    return Section(kind, "F:%s" % line, [Entry(key.replace("__", "."), raw, "F: %s" % key) for key, raw in values.items()], line, last)


def form(key, raw, is_literal=False):
    """Return the lines of INI for one entry of a sync x."""
    reading = Reading([Section("sync", "F:1", [Entry("name", "x", "F:1: name"), Entry(key, raw, "F:2: %s" % key)])], is_literal=is_literal)
    text = writer.to_ini([reading])
    assert text.startswith("[sync x]\n") and text.endswith("\n")
    return text[len("[sync x]\n"):-1]


@pytest.mark.parametrize("key, raw, expected", [
    ("source", "/a b", "source = /a b"), ("delay", 5, "delay = 5"), ("delay", 2.5, "delay = 2.5"), ("init", True, "init = yes"), ("init", False, "init = no"), ("init", "off", "init = off"),
    ("exclude", ["a"], "exclude = a"), ("exclude", ["a", "b c"], "exclude =\n    a\n    b c"), ("exclude", "a\nb", "exclude =\n    a\n    b"), ("exclude", ["#a"], "exclude = #a"),
    ("exclude", ["a", "#b"], "exclude = <<END\na\n#b\nEND"), ("exclude", ["a", ";b", "END"], "exclude = <<END2\na\n;b\nEND\nEND2"), ("exclude", [" a"], "exclude = <<END\n a\nEND"),
    ("exclude", ["a", "delay=5"], "exclude = <<END\na\ndelay=5\nEND"), ("exclude", ["delay=5", "a"], "exclude =\n    delay=5\n    a"), ("exclude", ["<<X"], "exclude =\n    <<X"),
    ("exclude", ["<<X", "b"], "exclude =\n    <<X\n    b"), ("exclude", ["", "a", " "], "exclude = a"), ("exclude", [], ""), ("exclude", [""], ""), ("exclude", "", "exclude ="),
    ("exclude", [1, "2", True], "exclude =\n    1\n    2\n    yes"), ("target", [], "target = <<END\n\n\nEND"), ("nonsense", [], "nonsense = <<END\n\n\nEND"),
    ("runIf", "\n  test -e /x\n", "runIf = test -e /x"), ("runIf", "\n  a\n  b\n", "runIf = <<END\n  a\n  b\nEND"), ("runIf", "a\nb\n", "runIf =\n    a\n    b"),
    ("runIf", "a\n\n# c\nEND", "runIf = <<END2\na\n\n# c\nEND\nEND2"), ("runIf", " ", "runIf = <<END\n \nEND"),
    ("xargs.delimiter", "\0", "xargs.delimiter = \0"), ("exclude", ["\udcff"], "exclude = \udcff"), ("param.x", " y ", "param.x = <<END\n y \nEND"),
    ("", "x", "= x"), ("", "x\ny", "=\n    x\n    y"), ("", " ", "= <<END\n \nEND"),
])
def test_a_value_in_ini(key, raw, expected):
    assert form(key, raw) == expected


@pytest.mark.parametrize("key, raw, expected", [
    ("source", "/${x}", "source = /$${x}"), ("exclude", ["$${", "${"], "exclude =\n    $$${\n    $${"), ("runIf", "echo ${x}", "runIf = echo ${x}"),
    ("nonsense", "${x}", "nonsense = ${x}"), ("param.x", "${y}", "param.x = $${y}"), ("onBatch.after", "${y}", "onBatch.after = ${y}")])
def test_what_is_literal_stays_so(key, raw, expected):
    assert form(key, raw, True) == expected
    reading = Reading([Section("sync", "F", [Entry(key, raw, "F")])], is_literal=True)
    assert expected.split("\n")[-1].rpartition(" ")[2] in writer.to_json([reading])
    assert form(key, raw, False).replace("${", "$${") == form(key, raw, True) or "$$" not in expected


@pytest.mark.parametrize("name, expected", [
    ("www", "[sync www]"), ("a b]", "[sync a b]]"), (5, "[sync 5]"), (" x", "[sync]\nname = <<END\n x\nEND"), ("", "[sync]\nname ="), ("a\nb", "[sync]\nname =\n    a\n    b"),
    ("${NAME}", "[sync ${NAME}]"), ("#", "[sync #]")])
def test_the_name_of_a_sync_is_in_brackets_where_it_fits(name, expected):
    assert writer.to_ini([Reading([section(name=name)])]) == expected + "\n"


def test_syncs_without_a_name_get_the_one_that_they_have_anyway():
    readings = [Reading([section(source="/a"), section(name="x")]), Reading([section("settings", delay=1), section(source="/b")])]
    assert re.findall(r"\[.*\]", writer.to_ini(readings)) == ["[settings]", "[sync sync1]", "[sync x]", "[sync sync3]"]
    assert "name" not in writer.to_json(readings[1:])


@pytest.mark.parametrize("entry", [
    Entry("exclude", ["a\nb"], "F:3: exclude"), Entry("exclude", [["a"]], "F:3: exclude"), Entry("delay", None, "F:3: delay"), Entry("source", "x\r", "F:3: source"),
    Entry("exclude", ["x\r", "y"], "F:3: exclude"), Entry("source", "\ud800", "F:3: source"), Entry("a=b", "c", "F:3: a=b"), Entry("#a", "c", "F:3: #a"), Entry("[a]", "c", "F:3"),
    Entry(" a", "c", "F:3"), Entry("a\nb", "c", "F:3"), Entry("settings", "{", "F:3"), Entry("\ud800", "c", "F:3"), Entry("delay", object(), "F:3"), Entry("name", None, "F:3"),
    Entry("name", "\ud800", "F:3")])
def test_what_ini_cannot_hold_is_an_error_that_names_its_place_and_json(entry):
    with pytest.raises(ConfigError) as caught:
        writer.to_ini([Reading([Section("sync", "F:1", [entry])])])
    (line,) = caught.value.lines
    assert line.startswith(entry.where + ": INI cannot hold this value: ") and "-convert -json" in line


def test_two_names_that_do_not_fit_into_brackets_are_an_error():
    with pytest.raises(ConfigError) as caught:
        writer.to_ini([Reading([section(name=" x"), section(name="y ")])])
    assert len(caught.value.lines) == 1 and "-convert -json" in caught.value.lines[0]


def test_all_that_cannot_be_written_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        writer.to_ini([Reading([section(delay=None, source="x", target=["a\nb"])]), Reading([section(init=None)])])
    assert len(caught.value.lines) == 3


def test_json_is_for_people_too():
    readings = [from_ini("[settings]\ndelay = 5\nlogfile = 5\nnodaemon = on\nstatusInterval = 2.5\n[sync www]\nsource = /srv\ntarget = h:/x\nexclude = a\nrsync.archive = yes\n"
                         "rsync._extra =\n  --a\n  --b\nssh.options.A = yes\nrsync.timeout = 007\ndelete = yes\nrunIf = 1\nparam.x = 1\n"),
                from_ini("[sync y]\nsource = \udcff\u00e9\u2028\ntarget =\n  a\n  b\nmaxProcesses = 2\ndelete = running\ndelay = ${NAME}\ninit = nonsense\nexclude =\n")]
    assert pythons_json.loads(writer.to_json(readings)) == {
        "settings": {"delay": 5, "logfile": "5", "nodaemon": True, "statusInterval": 2.5},
        "sync": [{"name": "www", "source": "/srv", "target": "h:/x", "exclude": ["a"], "rsync": {"archive": True, "_extra": ["--a", "--b"], "timeout": "007"}, "ssh": {"options": {"A": "yes"}},
                  "delete": True, "runIf": "1", "param": {"x": "1"}},
                 {"name": "y", "source": "\udcff\u00e9\u2028", "target": ["a", "b"], "maxProcesses": 2, "delete": "running", "delay": "${NAME}", "init": "nonsense", "exclude": ""}]}
    assert writer.to_json([Reading([section("settings", delay=5), section(name="\u00e9", rsync___extra=["x" * 50, "y" * 50], exclude=[], rsync__archive=True)])]) == """{
    "settings": {
        "delay": 5
    },
    "sync": [
        {
            "name": "\u00e9",
            "rsync": {
                "_extra": [
                    "%s",
                    "%s"
                ],
                "archive": true
            },
            "exclude": []
        }
    ]
}
""" % ("x" * 50, "y" * 50)


@pytest.mark.parametrize("keys", [["a", "a.b"], ["a.b", "a"], ["ssh.options.X", "ssh.options", "ssh.options.Y"], ["a.b.c.d", "a.b.c.e", "a.b"], ["a.b.c.d.e"], ["a.b.c.d", "a.b.c"], [".", "..", ".a", "a."], [""]])
def test_keys_of_json_that_look_like_tables_and_values_at_once(keys):
    reading = Reading([Section("sync", "F", [Entry(key, key, "F") for key in keys])])
    found = from_json(writer.to_json([reading])).sections[0].entries
    assert sorted((entry.key, entry.raw) for entry in found) == sorted((key, [key] if key == "ssh.options" else key) for key in keys)


@pytest.mark.parametrize("text", ['{"settings": {"a": null, "b": [1, [2, {"x": "y"}], null, {}], "c": {"d": {"e": {"f": {}}}}, "g": {}}}', '{"settings": {"a": "\\ud800", "b\\ud800": 1}}'])
def test_what_is_wrong_in_json_stays_as_wrong(text):
    reading = from_json(text)
    again = from_json(writer.to_json([reading]))
    assert pythons_json.loads(writer.to_json([reading])) == pythons_json.loads(text) and len(again.sections[0].entries) == len(reading.sections[0].entries)


def test_numbers_that_are_none_are_texts_in_json():
    text = writer.to_json([Reading([section(delay=float("inf"), x=[float("nan")])])])
    assert pythons_json.loads(text)["sync"] == [{"delay": "inf", "x": ["nan"]}]


def test_what_is_nested_without_end_is_an_error():
    reading = json.read('{"settings": {"a": %s}}' % ("[" * 200 + "]" * 200), "F")
    for write in writer.to_ini, writer.to_json:
        with pytest.raises(ConfigError) as caught:
            write([reading])
        assert len(caught.value.lines) == 1 and caught.value.lines[0].startswith("F: settings.a: ")


def test_a_key_that_was_indented_by_mistake_stays_one():
    text = "[sync x]\ntarget =\n    a\n    delay = 5\n"
    assert writer.to_ini([from_ini(text)]) == text


# ---- comments ----------------------------------------------------------------------------------

def commented(*comments, is_literal=True, sections=None):
    """Return the lines of INI for a configuration with comments, (line, text)."""
    return writer.to_ini([Reading(sections or SECTIONS, comments=list(comments), is_literal=is_literal)]).split("\n")[:-1]


SETTINGS = Section("settings", "F:5", [Entry("delay", 5, "F:6: delay", line=6), Entry("nodaemon", True, "F:8: nodaemon", line=8)], 5, 9)
SYNC = Section("sync", "F:11", [Entry("mode", "rsync", "F:12: mode", line=12), Entry("source", "/a", "F:13: source", line=13), Entry("exclude", ["x", "y"], "F:15: exclude", line=15, last=18),
                                Entry("name", "www", "F:20: name", line=20)], 11, 23)
OTHER = Section("sync", "F:25", [Entry("source", "/b", "F:25: source", line=25)], 25)
SECTIONS = [SETTINGS, SYNC, OTHER]
BARE = ["[settings]", "delay = 5", "nodaemon = yes", "", "[sync www]", "mode = rsync", "source = /a", "exclude =", "    x", "    y", "", "[sync sync2]", "source = /b"]


@pytest.mark.parametrize("line, place", [
    (1, "[settings]"), (5, "[settings]"), (6, "delay = 5"), (7, "nodaemon = yes"), (8, "nodaemon = yes"), (9, None), (10, "[sync www]"), (11, "[sync www]"), (12, "mode = rsync"),
    (13, "source = /a"), (14, "exclude ="), (15, "exclude ="), (16, "exclude ="), (18, "exclude ="), (19, "[sync www]"), (20, "[sync www]"), (24, "[sync sync2]"), (25, "[sync sync2]")])
def test_a_comment_stands_before_what_it_describes(line, place):
    lines = commented((line, " why"))
    assert [text for text in lines if text not in ("", "# why")] == [text for text in BARE if text]
    following = [text for text in lines[lines.index("# why") + 1:] if text]
    if place is None:  # at the end of its section, not at the beginning of the next
        assert lines[lines.index("# why") - 1] == "nodaemon = yes" and lines[lines.index("# why") + 1] == ""
    else:
        assert following[0] == place


def test_a_comment_at_the_end_of_a_section_stays_in_it_and_one_after_all_is_last():
    assert commented((22, " delete = false"))[-5:] == ["    y", "# delete = false", "", "[sync sync2]", "source = /b"]
    assert commented((26, " that"), (30, " is all")) == BARE + ["", "# that", "", "# is all"]


def test_without_a_comment_nothing_is_said():
    assert commented() == BARE


def test_a_loop_does_not_say_it_twice():
    lines = commented((3, " many"), (6, " where"), sections=[Section("sync", "F:5", [Entry("source", "/%d" % number, "F", line=6)], 5, 7) for number in range(3)])
    assert lines == ["# many", "", "[sync sync1]", "# where", "source = /0", "", "[sync sync2]", "source = /1", "", "[sync sync3]", "source = /2"]


def test_what_describes_the_first_entry_of_a_section_that_is_made_before_it_stands_before_the_section():
    lines = commented((1, " one"), (2, " two"), (5, " three"), sections=[Section("sync", "F:5", [Entry("mode", "rsync", "F", line=2), Entry("source", "/a", "F", line=4)], 5, 5)])
    assert lines == ["# one", "# two", "", "# three", "[sync sync1]", "mode = rsync", "source = /a"]


def test_what_is_said_in_a_list_from_elsewhere_stands_before_the_key_that_holds_it():
    entries = [Entry("mode", "rsync", "F", line=7), Entry("exclude", ["a", "b"], "F", line=9, first=2, last=5), Entry("source", "/a", "F", line=8)]
    lines = commented((1, " one"), (3, " two"), (5, " three"), (6, " four"), sections=[Section("sync", "F:7", entries, 7, 10), Section("sync", "F:11", entries, 11, 12)])
    assert lines[:10] == ["# one", "", "# four", "[sync sync1]", "mode = rsync", "# two", "# three", "exclude =", "    a", "    b"] and lines.count("# two") == 1


def test_settings_that_come_late_are_written_first_and_comments_go_with_what_they_describe():
    lines = commented((1, " sync"), (3, " a"), (5, " settings"), (9, " end"), sections=[Section("sync", "F:2", [Entry("source", "/a", "F", line=4)], 2), Section("settings", "F:6", [Entry("delay", 5, "F", line=7)], 6)])
    assert lines == ["# settings", "[settings]", "delay = 5", "", "# sync", "[sync sync1]", "# a", "source = /a", "", "# end"]


@pytest.mark.parametrize("text, expected", [
    (" one", ["# one"]), ("one", ["# one"]), ("", ["#"]), ("-", ["# -"]), ("---- x", ["# ---- x"]), ("\tone ", ["#\tone"]), (" two\n lines ", ["# two", "# lines"]),
    ("\n   a\n     b\n\n   c\n", ["# a", "#   b", "#", "# c"]), ("one\n       two\n     three", ["# one", "#   two", "# three"]), ("\n\n", []), ("[settings]\ndelay = 5", ["# [settings]", "# delay = 5"]),
    (" \udcff", ["# \udcff"])])
def test_each_line_of_a_comment_is_a_comment(text, expected):
    assert commented((6, text))[1:-len(BARE) + 1] == expected


def test_comments_of_ini_stay_as_they_were():
    assert commented((6, "delay = 6"), is_literal=False)[1] == "#delay = 6"


def test_comments_that_were_apart_stay_apart_before_a_section():
    assert commented((1, " licence"), (2, " of it"), (4, " the daemon"))[:6] == ["# licence", "# of it", "", "# the daemon", "[settings]", "delay = 5"]
    assert commented((1, " licence"), (3, " of it"))[:5] == ["# licence", "", "# of it", "", "[settings]"]
    assert commented((1, " long\n comment\n here"), (4, " the daemon"))[:5] == ["# long", "# comment", "# here", "# the daemon", "[settings]"]


def test_several_files_become_one():
    first = from_ini("# one\n[settings]\n# a\ndelay = 5\n# b\n[sync x]\nsource = /a\n# c\n")
    second = from_ini("# d\n[sync y]\nsource = /b\n# two\n[settings]\nnodaemon = yes\n")
    third = json.read('{"settings": {"insist": true}, "sync": {"source": "/c"}}', "F")
    assert writer.to_ini([first, second, third]) == """# one
[settings]
# a
delay = 5
# two
nodaemon = yes
insist = yes

# b
[sync x]
source = /a

# c

# d
[sync y]
source = /b

[sync sync3]
source = /c
"""
    assert list(pythons_json.loads(writer.to_json([first, second, third]))["settings"]) == ["delay", "nodaemon", "insist"]


def test_comments_within_the_list_of_an_ini_file_stand_before_its_key():
    assert writer.to_ini([from_ini("[sync x]\nexclude =\n  a\n  # why\n  b\n# next\nsource = /x\n")]) == "[sync x]\n# why\nexclude =\n    a\n    b\n# next\nsource = /x\n"


def test_an_entry_that_says_nothing_leaves_its_comment():
    assert writer.to_ini([Reading([Section("sync", "F:1", [Entry("exclude", [], "F", line=2), Entry("source", "/a", "F", line=3)], 1)], comments=[(2, " none")], is_literal=True)]) == (
        "[sync sync1]\n# none\nsource = /a\n")
