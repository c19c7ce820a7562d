"""Lua → sections: what lsyncd's tables inherit, what they become, and what is refused with its way out."""

import pytest

from lsyncd_lite.config import lua, settings

NAMES = 'source = "/s", target = "h:/t"'


def read(text):
    """Return ([(kind, {key: raw})], errors, warnings)."""
    reading = lua.read(text.replace("@", NAMES), "F")
    assert reading.is_literal
    for section in reading.sections:
        assert len({entry.key for entry in section.entries}) == len(section.entries)
        for entry in section.entries:
            assert entry.where.startswith("F:%d: " % entry.line) and isinstance(entry.raw, (str, int, float, list)), entry
    assert all(line.isprintable() for line in reading.errors + reading.warnings)
    return [(section.kind, {entry.key: entry.raw for entry in section.entries}) for section in reading.sections], reading.errors, reading.warnings


def syncs(text):
    """Return [{key: raw}] of the syncs of a text without a finding, without what all of them have."""
    sections, errors, warnings = read(text)
    assert (errors, warnings) == ([], [])
    return [_own(values) for kind, values in sections if kind == "sync"]


def _own(values):
    return {key: raw for key, raw in values.items() if (key, raw) not in [("source", "/s"), ("target", "h:/t"), ("mode", "rsync")]}


def sync(text):
    (values,) = syncs(text)
    return values


def errors(text):
    return read(text)[1]


def warnings(text):
    sections, found, doubts = read(text)
    assert found == []
    return doubts


# ---- values ------------------------------------------------------------------------------------

@pytest.mark.parametrize("value, raw", [
    ('"x"', "x"), ("'x'", "x"), ("[[x y]]", "x y"), ('"\\xff\\195\\169"', "\udcff\xe9"), ("15", 15), ("0.5", 0.5), ("30 / 2", 15), ("1e3", 1000), ("true", True),
    ('{ "a", "b" }', ["a", "b"]), ("{}", []), ('{ "a", 5, true }', ["a", 5, True]), ('{ "a", { "b", { "c" } }, "d" }', ["a", "d", "b", "c"]), ('"$${x} ${y}"', "$${x} ${y}"),
    ('"a" .. 1', "a1"),
])
def test_values(value, raw):
    found = sync("sync{ default.rsync, @, exclude = %s }" % value)
    assert found == {"exclude": raw} and type(found["exclude"]) is type(raw)  # 1000 is not 1000.0 to rsync


def test_tables_are_dotted_keys():
    assert sync('sync{ default.rsyncssh, source = "/s", target = "h:/t", rsync = { archive = true, _extra = { "-x" } }, ssh = { port = 22, options = { A = "b", C = false, "D=e" } } }') == {
        "mode": "rsyncssh", "rsync.archive": True, "rsync._extra": ["-x"], "ssh.port": 22, "ssh.options.A": "b", "ssh.options.C": False, "ssh.options": ["D=e"]}
    assert sync("sync{ default.rsync, @, rsync = {}, ssh = { options = {} } }") == {}
    assert sync('sync{ @, onCreate = "x", onBatch = { before = "y" }, param = { n = 5 } }') == {"mode": "exec", "onCreate": "x", "onBatch.before": "y", "param.n": 5}
    assert sync('sync{ default.rsync, @, a = { b = { c = 1, d = {} } } }') == {"a.b.c": 1, "a.b.d": []}  # which is an error of its own


@pytest.mark.parametrize("table, expected", [
    ('{ [3] = "again", [255] = "die" }', {"exitcodes.3": "again", "exitcodes.255": "die"}), ('{ "again", "die" }', {"exitcodes.1": "again", "exitcodes.2": "die"}),
    ('{ [0] = "ok" }', {"exitcodes.0": "ok"}), ("{}", {}),
])
def test_exit_codes_are_numbered_by_name(table, expected):
    assert sync('sync{ @, onCreate = "x", exitcodes = %s }' % table) == dict(expected, mode="exec", onCreate="x")


def test_false_is_what_is_not_set_and_no_where_there_is_one():
    keys = settings.scope("sync")
    for name in keys:
        base, _dot, key = name.rpartition(".")
        text = "%s = false" % key if not base else "%s = { %s = false }" % (base, key)
        values = dict(read("sync{ default.rsync, %s }" % text)[0][0][1])
        del values["mode"]
        assert values == ({name: False} if keys[name].kind in (settings.BOOL, settings.DELETE) else {}) or name == "mode"
    assert sync("b = { rsync = { temp_dir = '/tmp' } } sync{ b, default.rsync, @, rsync = { temp_dir = false } }") == {}
    assert sync("sync{ default.rsync, @, nonsense = false }") == {"nonsense": False}  # which is an error of its own


@pytest.mark.parametrize("value", ['"no"', '"false"', '"Off"', "0", '"0"'])
def test_a_text_or_number_that_is_no_is_told(value):
    assert warnings("sync{ default.rsync, @,\nrsync = { perms = %s } }" % value) == [
        "F:2: rsync.perms: %s is false here, and true for lsyncd, as every text and number; write perms = false" % value.strip('"')]
    assert sync("sync{ default.rsync, @, rsync = { perms = 'yes', group = 1, links = 'nonsense' } }") == {"rsync.perms": "yes", "rsync.group": 1, "rsync.links": "nonsense"}


@pytest.mark.parametrize("value", ['"true"', '"yes"', '"1"', '"On"'])
def test_a_text_is_no_yes_to_deletions(value):
    assert errors("sync{ default.rsync, @,\ndelete = %s }" % value) == [
        "F:2: delete: %s is a text, for which lsyncd deletes nothing; write delete = true, or false" % value.strip('"')]
    for value in "true", "false", "'startup'", "'running'", "'no'", "0":
        assert errors("sync{ default.rsync, @, delete = %s }" % value) == []


def test_a_text_of_further_arguments_is_told():
    assert warnings("sync{ default.rsync, @, rsync = {\n_extra = '--perms' } }") == [
        "F:2: rsync._extra: is a text, which lsyncd passes over, and one argument here; write _extra = { … }"]
    assert warnings("sync{ default.rsync, @, rsync = { _extra = { '--perms' } }, exclude = '*.o' }") == []


def test_exit_codes_of_older_releases_are_told_and_no_list_with_holes():
    found = read("sync{ default.rsync, @,\nrsyncExitCodes = { [0] = 'ok', [23] = 'again' } }")
    assert [found[1], found[2]] == [[], ["F:2: rsyncExitCodes: is left out: what an exit status of rsync means is known here, and 23 is no success"]]


# ---- inheritance -------------------------------------------------------------------------------

def test_what_is_named_first_counts():
    text = 'a = { default.rsync, delay = 1, rsync = { compress = %s, verbose = true } } b = { delay = 2, maxDelays = 3, rsync = { compress = true, group = true } } sync{ a, b, @, maxDelays = 4 }'
    for compress in "true", "false":
        assert sync(text % compress) == {"maxDelays": 4, "delay": 1, "rsync.compress": compress == "true", "rsync.verbose": True, "rsync.group": True}


def test_bases_have_bases():
    assert sync("a = { delay = 1, rsync = { compress = true } } b = { a, default.rsync, delay = 2 } c = { b, rsync = { compress = false } } sync{ c, @ }") == {"delay": 2, "rsync.compress": False}
    assert sync("fast = { compress = false, whole_file = true } sync{ default.rsync, @, rsync = { fast, compress = true } }") == {"rsync.compress": True, "rsync.whole_file": True}


def test_lists_become_one_own_items_first():
    assert sync("a = { default.rsync, exclude = { 'a' }, rsync = { _extra = { '-1' } } } b = { exclude = { 'b' }, rsync = { _extra = { '-2' } } } sync{ a, b, @, exclude = { 'c' } }") == {
        "exclude": ["c", "a", "b"], "rsync._extra": ["-1", "-2"]}
    assert sync("a = { default.rsync, exclude = { 'a' } } sync{ a, @, exclude = 'c' }") == {"exclude": "c"}
    assert sync("common = { 'a', 'b' } sync{ default.rsync, @, exclude = { common, 'c' } }") == {"exclude": ["c", "a", "b"]}


def test_a_sync_is_what_its_table_is_at_the_call():
    assert syncs("t = { default.rsync, source = '/s', rsync = {} } for i = 1, 2 do t.target = 'h' .. i t.rsync.compress = i == 2 sync(t) end t.delay = 5 t.rsync.compress = nil") == [
        {"target": "h1", "rsync.compress": False}, {"target": "h2", "rsync.compress": True}]


def test_what_default_says_stays_unsaid():
    for mode in "rsync", "rsyncssh", "direct":
        assert sync("sync{ default.%s, source = '/s' }" % mode) == ({"mode": mode} if mode != "rsync" else {})


def test_what_a_base_says_behind_default_does_not_count_and_that_is_told():
    for key, value in ("delay", 5), ("delete", "false"), ("rsync.links", "false"), ("rsync.protect_args", "false"), ("rsync.times", "false"), ("rsync.binary", '"x"'):
        base, _dot, name = key.rpartition(".")
        base = "%s = { %s = %s }" % (base, name, value) if base else "%s = %s" % (name, value)
        sections, found, doubts = read("b = { %s }\nsync{ default.rsync, b, @ }" % base)
        assert (_own(sections[0][1]), found) == ({}, [])
        assert doubts == ["F:1: %s: does not count, as in lsyncd: default.rsync, which has one, is named before this table; name this one first" % key]
        assert list(sync("b = { %s }\nsync{ b, default.rsync, @ }" % base)) == [key]
    assert sync("b = { delay = 15, delete = true, rsync = { links = true } } sync{ default.rsync, b, @ }") == {}


def test_default_can_be_changed():
    assert sync("default.rsync.delay = 3 default.rsync.rsync.compress = true default.rsync.exclude = { 'x' } sync{ default.rsync, @ }") == {"delay": 3, "rsync.compress": True, "exclude": ["x"]}
    assert sync("default.rsync.rsync.compress = true default.rsync.delay = 3 sync{ default.rsyncssh, @ }") == {"mode": "rsyncssh", "rsync.compress": True}
    assert sync("default.rsync.rsync.compress = true sync{ default.direct, @ }") == {"mode": "direct", "rsync.compress": True}
    assert sync("default.rsync = { default.rsync, delete = false } sync{ default.rsync, @ }") == {"delete": False}
    assert sync("default.delay = 3 default.maxDelays = 4 default.source = 'x' sync{ onCreate = 'x', @ }") == {"mode": "exec", "onCreate": "x", "delay": 3, "maxDelays": 4}
    assert sync("default.delay = 3 sync{ default.rsync, @ }") == {}
    assert sync("t = {} for key, value in pairs(default.rsync) do t[key] = value end t.delay = 3 sync{ t, @ }") == {"delay": 3, "delete": True}
    assert sync("sync{ default.rsync, @, delay = default.rsync.delay + 1, maxProcesses = default.rsyncssh.maxProcesses }") == {"delay": 16, "maxProcesses": 1}


def test_the_result_of_a_sync_can_be_read_and_inherited():
    assert syncs("s = sync{ default.rsync, @, rsync = { compress = true } } sync{ s, target = s.target .. 2, delay = s.rsync.compress and 5 }") == [
        {"rsync.compress": True}, {"target": "h:/t2", "delay": 5, "rsync.compress": True}]


def test_actions_make_mode_exec():
    assert sync("bash = { onCreate = 'x', onStartup = 'y', delay = 2 } sync{ bash, @, onDelete = 'z' }") == {"mode": "exec", "onCreate": "x", "onStartup": "y", "onDelete": "z", "delay": 2}
    assert sync("sync{ onStartup = 'x', @ }")["mode"] == "exec"
    assert sync("sync{ mode = 'direct', @ }")["mode"] == "direct"
    assert sync("sync{ mode = 'script', script = '/x.py', @ }") == {"mode": "script", "script": "/x.py"}


@pytest.mark.parametrize("text, expected", [
    ("sync{ @ }", "F:1: sync: says not how: "), ("sync{\n@, rsync = { archive = true } }", "F:1: sync: says not how: "), ("sync{ @, onCreate = false }", "F:1: sync: says not how: "),
    ("sync{ default.rsync, @, default.direct }", "F:1: sync: inherits from default.rsync and default.direct; allowed: one of them"),
    ("sync{ default.rsyncssh, default.rsync, @ }", "F:1: sync: inherits from default.rsyncssh and default.rsync; allowed: one of them"),
    ("x = {}\nsync{\nx.y,\ndefault.rsync, @ }", "F:3: sync: item 1 of its list is nil, and others follow: "),
    ("sync{ default.rsync, @,\nexclude = { 'a', [3] = 'b' } }", "F:2: exclude: item 2 of its list is nil, and others follow: "),
    ("sync{ default.rsync, @,\n'x' }", "F:2: x stands in the list of a sync; allowed: KEY = VALUE, or a table to inherit from"),
    ("sync{ default.rsync, @,\nprint }", "F:2: a function stands in the list of a sync; allowed: "),
    ("sync{ default.rsync, @,\nrsync = {\n'--x' } }", "F:3: a string stands in the list of rsync; allowed: KEY = VALUE, or a table to inherit from, further arguments in rsync._extra = { … }"),
    ("sync{ default.rsync, @,\nrsync = '-x' }", "F:2: rsync: allowed: a table, as in rsync = { KEY = VALUE }"), ("sync{ default.rsync, @,\nrsync = false }", "F:2: rsync: allowed: a table"),
    ("sync{ default.rsync, @, exclude = { 'a',\nx = 'b' } }", "F:2: exclude: x stands in a list, which has no names"),
    ("sync{ default.rsync, @,\nexclude = { print } }", "F:2: exclude: a function stands in its list; allowed: texts and numbers"),
    ("sync{ default.rsync, @,\ndelay = print }", "F:2: delay: is a function; allowed: a text, a number, true, false or a table"),
    ("sync{ default.rsync, @, action =\ndefault.rsync.init }", "F:1: action: is a function of Lua, "), ("sync{ default.rsync, @,\n[{}] = 1 }", "F:2: a table: a key has to be a name"),
    ("sync{ default.rsync, @,\n[true] = 1 }", "F:2: true: a key has to be a name"), ("sync{ default.rsync, @,\n[1.5] = 1 }", "F:2: 1.5: a key has to be a name"),
    ("a = { x = 1 }\na.a = a\nsync{ default.rsync, a, @ }", "F:2: a table holds itself, or others too deeply: "), ("a = {}\na[1] = a\nsync(a)", "F:2: a table holds itself, "),
    ("a = {} for i = 1, 60 do a = { a } end\nsync(a)", "F:1: a table holds itself, or others too deeply"),
    ("sync()", "F:1: sync: allowed: a table, as in sync{ "), ("sync'x'", "F:1: sync: allowed: a table"), ("sync(default.rsync, { @ })", "F:1: sync: allowed: a table"),
    ("settings()", "F:1: settings: allowed: a table, as in settings{ KEY = VALUE }"), ("settings'x'", "F:1: settings: allowed: "), ("\nsettings = 5", "F:2: settings: allowed: "),
    ("settings{ 'x' }", "F:1: x stands in the list of settings; allowed: "), ("settings{ delay = print }", "F:1: delay: is a function; allowed: "),
    ("settings{ 'x', [3] = 'y' }", "F:1: settings: item 2 of its list is nil, and others follow: "),
    ("sync{ default.rsync, @,\nactoin = {} }", None),
])
def test_errors(text, expected):
    found = errors(text)
    if expected is None:
        assert found == []
    else:
        assert [line for line in found if line.startswith(expected)], found


def test_actions_that_are_not_run_side_by_side_any_more_are_told():
    text = "%%s\nsync{ @, onCreate = 'x'%s }"
    for before in "settings{ maxProcesses = 3 }", "settings = { maxProcesses = 3 }":
        assert [line for line in warnings(text % "" % before) if "one action" in line] == [
            "F:2: sync: runs one action at a time here; maxProcesses of settings is no more than a limit for all syncs, so write maxProcesses = … in this one, too"]
    assert warnings(text % ", maxProcesses = 2" % "settings{ maxProcesses = 3 }") == warnings(text % "" % "settings{ maxProcesses = 1 }") == []
    assert warnings("settings{ maxProcesses = 3 } sync{ default.rsync, @ }") == []


def test_an_empty_base_at_the_end_is_told():
    assert warnings("x = {} sync{ default.rsync, @,\nx.y }") == ["F:2: sync: item 2 of its list is nil: was it ever given a value?"]


def test_findings_of_a_loop_are_told_once():
    text = "for i = 1, 3 do sync{ default.rsync, source = '/s', target = 'h' .. i, rsyncOps = '-x', print,\nrsync = '-x', checkgauge = { x = 1 }, init = print } end"
    sections, found, doubts = read(text)
    assert (len(sections), len(found), len(doubts)) == (3, 3, 2)


def test_a_table_of_tables_costs_and_ends():
    text = "t = { 1 } for i = 1, 40 do t = { t, t } end sync{ default.rsync, @, exclude = t }"
    assert errors(text)
    sections, found, _warnings = read("while true do sync{ default.rsync, @ } end")
    assert sections == [] and len(found) == 1  # thousands of syncs are not looked at


@pytest.mark.parametrize("text", ["sync{ default.rsync, @, exclude = s }", "sync{ default.rsync, @, [s] = 1 }", "settings{ logident = s }", "sync{ default.rsync, @, rsync = { _extra = { s } } }"])
def test_long_texts_cost_what_they_take(text):
    (line,) = errors('s = ("x"):rep(2^20)\nfor i = 1, 100 do %s end' % text)
    assert line == "F:2: takes too much memory: a table or a string that grows without end?"
    assert len(errors('s = ("x"):rep(2^10)\nfor i = 1, 100 do %s end' % text)) == 0


# ---- settings ----------------------------------------------------------------------------------

def test_settings_add_up():
    assert read("settings{ logfile = '/a', insist = true } settings{ logfile = '/b' } settings.pidfile = settings.logfile .. '.pid'") == (
        [("settings", {"logfile": "/b", "insist": True, "pidfile": "/b.pid"})], [], [])
    assert read("sync{ default.rsync, @ } settings.nodaemon = true")[0][0] == ("settings", {"nodaemon": True})
    assert read("settings{}") == ([("settings", {})], [], [])
    assert read("") == ([], [], [])
    assert read("a = { insist = true } settings{ a, nodaemon = true }")[0] == [("settings", {"nodaemon": True, "insist": True})]


def test_settings_of_lsyncd_2_0_are_read_and_told():
    assert read("settings = {\nlogfile = '/a', statusIntervall = 5,\n}\nsettings.insist = true") == (
        [("settings", {"logfile": "/a", "statusInterval": 5, "insist": True})], [],
        ["F:1: settings = { … } is settings{ … } today, without \"=\"", "F:2: statusIntervall: is called statusInterval today"])


# ---- what lsyncd has besides -------------------------------------------------------------------

def test_older_names_are_todays():
    sections, found, doubts = read("sync{ default.rsync, @,\nrsyncOps = '-rltvupgo',\nexitcodes = { [23] = 'again', [24] = 'ok' } }")
    assert (_own(sections[0][1]), found) == ({"rsync." + name: True for name in "links times verbose update perms group owner".split()}, [])
    assert sorted(line.partition(": today")[0].partition(": is")[0] for line in doubts) == ["F:2: rsyncOps", "F:3: exitcodes"]


@pytest.mark.parametrize("name, python", [
    ("onCreate", "on_create(event)"), ("onModify", "on_modify(event)"), ("onAttrib", "on_attrib(event)"), ("onDelete", "on_delete(event)"), ("onMove", "on_move(origin, destination)"),
    ("onStartup", "on_startup(sync)"), ("action", "action(inbox)"), ("collect", "collect(job, exit_status)"), ("init", "on_startup(sync)"), ("prepare", "prepare(config)")])
def test_functions_are_named_with_their_way_out(name, python):
    for base in "", "default.rsync, ", "mode = 'exec', ":
        found = errors("sync{ %s@,\n%s = function(event) spawn(event, '/bin/x') end }" % (base, name))
        (line,) = [line for line in found if not line.startswith("F:1: sync: ")]
        assert line.startswith("F:2: %s: is a function of Lua, which cannot be run here; " % name) and python in line and "lsyncd-lite.conf(5)" in line
        assert ("mode exec" in line) == name.startswith("on")
        assert ("onBatch.after" in line) == (name in ("action", "collect", "init")) and "lsyncd-lite-migrate(7)" in line
        assert len(found) == 1


@pytest.mark.parametrize("name", ["spawn", "spawnShell", "alarm", "observefd", "nonobservefd", "now", "readdir", "default.rsync.action", "default.rsyncssh.init", "s.addExclude", "s.getConfig"])
def test_what_runs_later_can_be_named_and_not_called(name):
    text = "s = sync{ default.rsync, @ }\nlocal f = %s\n" % name
    assert errors(text) == []
    (line,) = errors(text + "f('x')")
    assert line.startswith("F:3: %s runs when there are events" % name.replace("s.", "").replace("default.ryncsh", "default.rsyncssh")) or name.startswith("default.")
    assert "mode exec" in line and "mode script" in line


def test_terminate_is_an_error_where_it_stands():
    assert errors("if not x then\nlog('Error', 'no x')\nterminate(-1) end") == ["F:3: terminate: the configuration itself ends here"]


def test_what_is_printed_is_a_warning():
    assert warnings("log('Normal', 'a', 5)\nlog('Error', 'x\\n\\27')") == ["F:1: log: a5", "F:2: log: x\\n\\x1b"]
    assert warnings("\nprint('a')") == ["F:2: print: a"]
    assert warnings("tostring = nil log('Error', nil, true, 1.5)") == ["F:1: log: niltrue1.5"]


def test_a_name_without_a_value_is_told_once_a_place():
    assert warnings("for i = 1, 3 do x = nope end\ny = nope z = default z = settings z = sync z = lsyncd_version") == ["F:%d: nope was never given a value: it is nil" % line for line in (1, 2)]


# ---- the text ----------------------------------------------------------------------------------

def test_all_findings_of_the_text_come_at_once_and_nothing_runs():
    sections, found, _doubts = read("sync{ default.rsync\nsource = '/s'\ntarget = 'h:' }\nprint('x')")
    assert sections == [] and [line.partition(": ")[0] for line in found] == ["F:1", "F:2"]


def test_the_first_error_of_the_evaluation_ends_it_and_what_was_read_stays():
    sections, found, _doubts = read("sync{ default.rsync, @, init = print }\nlocal x = nil .. 'a'\nsync{ default.rsync, @ }")
    assert len(sections) == 1 and [line.partition(": ")[0] for line in found] == ["F:1", "F:2"]


def test_comments_are_kept():
    assert lua.read("-- a\nsettings{ -- b\n}\n--[[ c\nd ]] -- \xe9", "F").comments == [(1, " a"), (2, " b"), (4, " c\nd "), (5, " \xe9")]


def test_entries_and_sections_tell_where_they_stand():
    reading = lua.read("settings{\nlogfile = '/l' }\nb = { default.rsync,\nrsync = {\narchive = true } }\nfor _, t in ipairs{ 'a',\n'b' } do\nsync{\nb,\nsource = '/s', target = t,\nexclude = {\n'x' } } end", "F")
    assert [(section.where, section.line) for section in reading.sections] == [("F:1", 1), ("F:8", 8), ("F:8", 8)]
    assert [entry.where for entry in reading.sections[1].entries] == ["F:3: mode", "F:10: source", "F:10: target", "F:11: exclude", "F:5: rsync.archive"]


def test_sections_tell_where_they_end_unless_they_come_from_elsewhere_and_lists_where_they_are():
    reading = lua.read("settings{\ndelay = 5,\n}\nx = {\n'a',\n'b',\n}\nsync\n{\ndefault.rsync, source = '/s', target = 'h:',\nexclude = {\n'x',\n'y'\n},\nfilter = x,\n}\n"
                       "y = {\ndefault.rsync, source = '/s', target = 'h:',\n}\nsync(y)", "F")
    assert [(section.line, section.last) for section in reading.sections] == [(1, 3), (9, 16), (20, None)]
    assert [(entry.key, entry.line, entry.first, entry.last) for entry in reading.sections[1].entries if entry.last] == [("exclude", 11, 11, 14), ("filter", 15, 4, 7)]


@pytest.mark.parametrize("text", ["<lsyncd version=\"1.25\">\n", "\n <?xml?>\n<lsyncd>"])
def test_the_format_of_lsyncd_1_is_named(text):
    (line,) = errors(text)
    assert line.startswith("F:1: this is XML, the format of lsyncd 1; ")


@pytest.mark.parametrize("name, hint", [
    ("True", "true is written in small letters"), ("Default", "default is written in small letters"), ("yes", "true and false are the words for it"),
    ("Off", "true and false are the words for it"), ("null", "which is the word for it"), ("None", "which is the word for it")])
def test_words_that_lua_has_otherwise_are_told(name, hint):
    assert warnings("x = " + name) == ["F:1: %s was never given a value: it is nil (%s)" % (name, hint)]


def test_a_sync_that_is_assigned_is_told():
    assert errors("\nsync = {\ndefault.rsync, source = \"/a\", target = \"b\" }") == ["F:2: sync: allowed: sync{ … }, without \"=\""]
