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
        if key.kind is settings.CRONTAB:
            return self.random.choice([["0 30 2 * * mon-fri"], "0 0 3 * * *\n0 1 3 * * *", []])
        if key.kind.paired:
            item = {settings.OPTIONS: lambda: (self.random.choice(["A", "Bc"]), "v" + self.text()), settings.PARAMS: lambda: (self.random.choice(["a", "b_1"]), self.text()),
                    settings.EXITCODES: lambda: (str(self.random.randrange(256)), self.random.choice(["ok", "again", "die"]))}[key.kind]
            items = [item() for _item in range(self.random.randrange(4))]
            return self.random.choice([lambda: dict(items), lambda: ["%s=%s" % pair for pair in items]])()
        if key.kind is settings.LINES:
            return self.texts()
        pool = [True, False, "yes", "Off", "1", 1, 5, 2.5, "7", "0.25", "007", 1.0, "auto", "poll", "exit", "again", "CloseWrite or Modify", "local3", "startup", "running", "false", 1e-07,
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
    for seed in range(260):
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
