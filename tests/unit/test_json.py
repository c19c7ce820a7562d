"""JSON text → sections: paths of keys, what was given twice, what is no JSON."""

import pytest

from lsyncd_lite.config import json


def read(text):
    """Return [(kind, {key: raw})] and the errors."""
    sections, errors = json.read(text, "F")[:2]
    return [(section.kind, {entry.key: entry.raw for entry in section.entries}) for section in sections], errors


@pytest.mark.parametrize("text, expected", [
    ('{}', []),
    ('{"settings": {}}', [("settings", {})]),
    ('{"settings": {"a": 1, "b": "x", "c": true, "d": null, "e": 1.5, "f": ["x", 1]}}',
     [("settings", {"a": 1, "b": "x", "c": True, "d": None, "e": 1.5, "f": ["x", 1]})]),
    ('{"sync": []}', []),
    ('{"sync": [{"a": 1}, {"a": 2}]}', [("sync", {"a": 1}), ("sync", {"a": 2})]),
    ('{"sync": {"a": 1}}', [("sync", {"a": 1})]),
    ('{"sync": [{"rsync": {"archive": true, "_extra": ["x"]}}]}', [("sync", {"rsync.archive": True, "rsync._extra": ["x"]})]),
    ('{"sync": [{"ssh": {"port": 1, "options": {"A": "b", "C": false}}}]}', [("sync", {"ssh.port": 1, "ssh.options.A": "b", "ssh.options.C": False})]),
    ('{"sync": [{"a": "\\udcff \\u00e9 % ; #"}]}', [("sync", {"a": "\udcff \u00e9 % ; #"})]),
])
def test_values(text, expected):
    assert read(text) == (expected, [])
    assert read(" \n" + text + "\n") == (expected, [])


def test_each_entry_and_section_tells_where_it_stands():
    sections = json.read('{"settings": {"a": 1}, "sync": [{"b": 1}, {"rsync": {"c": 1, "d": {"e": 1}}}]}', "F").sections
    assert [section.where for section in sections] == ["F: settings", "F: sync[0]", "F: sync[1]"]
    assert [entry.where for section in sections for entry in section.entries] == [
        "F: settings.a", "F: sync[0].b", "F: sync[1].rsync.c", "F: sync[1].rsync.d.e"]


@pytest.mark.parametrize("text, expected", [
    ('{', ["F:1: not JSON: "]),
    ('{"settings":\n {"a": 1,\n"b"}}', ["F:3: not JSON: "]),
    ('{\n"settings": {"a": 1}\n"sync": []}', ["F:3: not JSON: "]),
    ("{'settings': {}}", ["F:1: not JSON: "]),
    ('{"settings": {}} x', ["F:1: not JSON: "]),
    ('{"settings": {"a": "x\ny"}}', ["F:1: not JSON: "]),
    ('{"settings": {"a": 1, "b": 2, "a": 3}}', ["F: settings.a: given twice"]),
    ('{"settings": {}, "settings": {}}', ["F: settings: given twice"]),
    ('{"sync": [], "sync": []}', ["F: sync: given twice"]),
    ('{"sync": [{}, {"rsync": {"a": 1, "a": 1}}]}', ["F: sync[1].rsync.a: given twice"]),
    ('{"sync": [{"rsync": {}, "rsync": {}}]}', ["F: sync[0].rsync: given twice"]),
    ('{"settings": []}', ["F: settings: allowed: "]),
    ('{"settings": 1, "sync": "x"}', ["F: settings: allowed: ", "F: sync: allowed: "]),
    ('{"sync": [1, {}, null, []]}', ["F: sync[0]: allowed: an object", "F: sync[2]: allowed: an object", "F: sync[3]: allowed: an object"]),
    ('{"Settings": {}, "syncs": []}', ["F: Settings: allowed: ", "F: syncs: allowed: "]),
    ('{"a\\n\\u001b\\ud800": 1}', ["F: a\\n\\x1b\\ud800: allowed: "]),
    ('[]', ["F: not a configuration: "]),
    ('"x"', ["F: not a configuration: "]),
])
def test_every_error_has_its_place(text, expected):
    errors = read(text)[1]
    assert len(errors) == len(expected) and all(error.startswith(start) for error, start in zip(errors, expected)), errors
    assert all(error.isprintable() for error in errors)


@pytest.mark.parametrize("text", [
    '{"sync": ' + "[" * 200000, '{"sync": ' * 200000, '{"settings": {"a": ' + "[" * 200000 + "]" * 200000 + '}}'])
def test_a_bottomless_text_is_one_error(text):
    errors = read(text)[1]
    assert len(errors) == 1 and len(errors[0]) < 200


def test_what_follows_an_error_is_still_read():
    assert read('{"settings": 1, "sync": [2, {"a": 1, "a": 2, "b": 3}]}') == (
        [("sync", {"a": 1, "b": 3})],
        [read('{"settings": 1}')[1][0], "F: sync[0]: allowed: an object", "F: sync[1].a: given twice"])


def test_an_object_where_a_value_belongs_is_not_passed_over():
    for text in '{"settings": {"logfile": {}}}', '{"sync": [{"nonsense": {}}]}', '{"sync": [{"exclude": {}}]}':
        sections, errors = read(text)
        assert errors or any(entries for _kind, entries in sections), "%s means nothing and is no error" % text
