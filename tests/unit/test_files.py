"""What a configuration is made of: variables and files in its values, and the files that follow it."""

import json
import os

import pytest

from lsyncd_lite.config import config as module
from lsyncd_lite.config import settings
from lsyncd_lite.errors import ConfigError

SECRET = "s3cr3t-Xy"
PAIR = "source = /srv/www\ntarget = host:/dst\n"
SYNC = "[sync www]\n" + PAIR
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="others' files are a warning to an ordinary user")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("UNSET", "file"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def env(monkeypatch):
    """Set variables, whose values are str or bytes."""
    return lambda **values: [monkeypatch.setitem(os.environb, name.encode(), os.fsencode(value)) for name, value in values.items()]


def write(text, name="F"):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
    return name


def load(text, *arguments, name="F"):
    return module.load(write(text, name), *arguments)


def one(text):
    (sync,) = load(text).syncs
    return sync


def errors(text, name="F"):
    with pytest.raises(ConfigError) as caught:
        load(text, name=name)
    assert all(line.isprintable() for line in caught.value.lines)
    return caught.value.lines


# ---- what is put in ----------------------------------------------------------------------------

@pytest.mark.parametrize("line, value, key, expected", [
    ("delay = ${V}", "2.5", "delay", 2.5), ("maxDelays = ${V}", "7", "maxDelays", 7), ("init = ${V}", "no", "init", False),
    ("delete = ${V}", "startup", "delete", "startup"), ("rsync.archive = ${V}", "1", "rsync.archive", True), ("source = ${V}", "/a b", "source", b"/a b"),
    ("source = /srv/${V}", b"\xff\xe9", "source", b"/srv/\xff\xe9"), ("target = h${V}:/x", "1", "target", b"h1:/x/"), ("rsync.rsh = ssh -p ${V}", "22", "rsync.rsh", "ssh -p 22"),
    ("rsync._extra =\n  --a\n  ${V}", "--b c", "rsync._extra", ("--a", "--b c")), ("rsync._extra = ${V}", "--a\n--b", "rsync._extra", ("--a", "--b")),
    ("ssh.port = ${V}", "2222", "ssh.port", 2222), ("ssh.options.User = ${V}", "me", "ssh.options", ("User=me",)), ("ssh.options = User ${V}", "me", "ssh.options", ("User=me",)),
    ("requireMarker = ${V}", ".m", "requireMarker", ".m"), ("crontab = 0 ${V} 2 * * sun", "30", "crontab", None), ("rsync.rsh = x$${V} $V $", "", "rsync.rsh", "x${V} $V $"),
    ("monitor = ${V}", "poll", "monitor", "poll"), ("rsync.rsh = a ${V}", "${V}", "rsync.rsh", "a ${V}"), ("jobTimeout = ${V}0", "6", "jobTimeout", 60),
])
def test_a_value_of_every_kind_may_hold_a_variable(env, line, value, key, expected):
    env(V=value)
    rest = "".join(other for other in PAIR.splitlines(True) if not line.startswith(other.split()[0]))
    table, _dot, name = key.rpartition(".")
    sync = one("[sync x]\n" + line + "\n" + rest)
    found = getattr(getattr(sync, table) if table else sync, name)
    assert found == expected or expected is None and len(found) == 1


@pytest.mark.parametrize("content, expected", [
    (b"host:/a\n", [b"host:/a/"]), (b"host:/a", [b"host:/a/"]), (b"host:/a\nhost:/b\n", [b"host:/a/", b"host:/b/"]), (b"\xef\xbb\xbfhost:/a\r\nhost:/b\r\n", [b"host:/a/", b"host:/b/"]),
    (b"\n\nhost:/a\n\n", [b"host:/a/"]), (b"host:/\xff\n", [b"host:/\xff/"])])
def test_a_file_with_a_target_a_line_makes_a_list(content, expected):
    write(content, "targets")
    for text in ("[sync x]\nsource = /srv\ntarget = ${file:targets}\n", "[sync x]\nsource = /srv\ntarget =\n  ${file:%s}\n" % os.path.abspath("targets"),
                 json.dumps({"sync": {"source": "/srv", "target": "${file:targets}"}}), json.dumps({"sync": {"source": "/srv", "target": ["${file:targets}"]}})):
        assert [sync.target for sync in load(text).syncs] == expected


def test_only_the_last_newline_of_a_file_goes(env):
    write(b" a \n\n", "f")
    assert one(SYNC + "rsync._extra = x${file:f}\n").rsync._extra == ("x a ",)
    write(b" a \n", "f")
    assert one(SYNC + "rsync.suffix = x${file:f}y\n").rsync.suffix == "x a y"


def test_names_of_sections_and_of_syncs_of_json_too(env):
    env(HOST="web1")
    assert [sync.name for sync in load("[sync ${HOST}]\n" + PAIR + "[sync ${HOST} 2]\n" + PAIR).syncs] == ["web1", "web1 2"]
    assert one('{"sync": {"name": "a${HOST}", "source": "/srv", "target": "h:"}}').name == "aweb1"
    lines = errors("[sync ${HOST}]\n" + PAIR + "[sync web1]\n" + PAIR)
    assert lines == ["F:4: name: web1 is taken by the sync of F:1"]


def test_json_has_numbers_and_booleans_as_text(env):
    env(N="3", B="yes", E="x")
    sync = one(json.dumps({"settings": {"maxDelays": "${N}"}, "sync": {"source": "/s", "target": "h:", "delay": "${N}.5", "init": "${B}", "rsync": {"archive": "${B}", "_extra": ["--${E}", "$${E}"]},
                                                                      "ssh": {"options": {"User": "${E}"}}}}))
    assert (sync.maxDelays, sync.delay, sync.init, sync.rsync.archive, sync.rsync._extra, sync.ssh.options) == (3, 3.5, True, True, ("--x", "${E}"), ("User=x",))


def test_settings_too(env):
    env(V="/run/x")
    assert load("[settings]\nlogfile = ${V}/log\n").settings.logfile == b"/run/x/log"


COMMANDS = [name for name, key in settings.scope("sync").items() if key.kind is settings.COMMAND]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_not_touched(env, name):
    env(V="x")
    text = 'echo ${V} $${V} ${UNSET} ${a b} ${file:/nope}'
    others = {"onCreate": "mode = exec", "tunnel.command": "target = rsync://localhost:8730/x"}.get(name, "mode = exec\nonCreate = true")
    sync = one("[sync x]\nsource = /srv\n%s\n%s = %s\n" % (others, name, text))
    table, _dot, key = name.rpartition(".")
    assert getattr(getattr(sync, table) if table else sync, key).words[2] == (text.encode(),)


def test_the_command_line_is_not_touched(env):
    env(V="x")
    config = module.load(None, {"logident": "${V}"}, [("rsync", {"source": "/${V}", "target": ["h:${V}"]}, "-rsync")])
    assert (config.settings.logident, config.syncs[0].source, config.syncs[0].target) == ("${V}", b"/${V}", b"h:${V}/")


def test_keys_sections_and_what_patterns_files_hold_are_not_touched(env):
    env(V="delay")
    assert errors(SYNC + "${V} = 5\n") == ["F:4: ${V}: unknown key"]
    write("${V}\n", "patterns")
    assert one(SYNC + "excludeFrom = patterns\n").rules[0][1] == b"${V}"


# ---- what has nothing to stand for -------------------------------------------------------------

@pytest.mark.parametrize("line, words", [
    ("rsync.rsh = ${UNSET}", "rsync.rsh: ${UNSET}: the environment has no variable of this name"),
    ("exclude =\n  a\n  ${UNSET}", "exclude: ${UNSET}: the environment"), ("nosuch = ${UNSET}", "nosuch: unknown key"),
    ("rsync.rsh = ${a b}", "rsync.rsh: ${a b}: allowed: ${NAME}"), ("rsync.rsh = ${", "rsync.rsh: ${: allowed: "), ("exclude = ${x", "exclude: ${x: allowed: "),
    ("rsync.rsh = ${file:missing}", "rsync.rsh: ${file:missing}: cannot read the file: No such file or directory"), ("rsync.rsh = ${file:.}", "rsync.rsh: ${file:.}: cannot read the file: Is a directory"),
    ("rsync.rsh = ${file:fifo}", "rsync.rsh: ${file:fifo}: cannot read the file: it is no regular file"), ("rsync.rsh = ${file:/dev/zero}", "rsync.rsh: ${file:/dev/zero}: cannot read the file: it is no regular file"),
    ("rsync.rsh = ${file:large}", "rsync.rsh: ${file:large}: cannot read the file: it is larger than 1048576 bytes"), ("rsync.rsh = ${file:F/x}", "rsync.rsh: ${file:F/x}: cannot read the file: Not a directory"),
    ("rsync.rsh = ${file:a\0b}", "rsync.rsh: ${file:a\\x00b}: is no name of a file"), ("rsync.rsh = ${file:%s}" % ("x" * 300), "rsync.rsh: ${file:xxx"),
])
def test_what_cannot_be_put_in_is_an_error_with_its_line(line, words):
    os.mkfifo("fifo")
    write(b"x" * (1 << 20 | 1), "large")
    (found,) = errors(SYNC + line + "\n")
    assert found.startswith("F:4: " + words)


def test_a_name_that_json_can_say_and_no_file_has_is_an_error():
    assert errors('{"sync": {"source": "/srv", "target": "h:${file:\\ud800}"}}') == ["F: sync[0].target: ${file:\\ud800}: is no name of a file"]


def test_a_required_key_that_cannot_be_put_in_is_not_missing(env):
    assert errors("[sync ${UNSET}]\nmode = ${UNSET}\nsource = ${UNSET}\ntarget = ${UNSET}\ndelay = ${UNSET}\n") == [
        "F:%d: %s: ${UNSET}: the environment has no variable of this name" % pair for pair in enumerate(("name", "mode", "source", "target", "delay"), 1)]


@pytest.mark.parametrize("line", ["delay = ${E}", "target = ${E}", "rsync.rsh = ${E}", "init = ${E}", "exclude = ${E}", "maxDelays = ${E}", "monitor = ${E}"])
def test_an_empty_variable_means_what_an_empty_value_means(env, line):
    env(E="")
    text = "[sync x]\nsource = /srv\n" + "target = h:\n" * ("target" not in line)
    expected = errors(text + line.replace("${E}", ""))
    assert [found.replace("${E}", "") for found in errors(text + line)] == expected


# ---- what is refused is shown as it was written ------------------------------------------------

@pytest.mark.parametrize("text", [
    "[sync x]\n%s = V\n" % "source = /srv\ntarget = h:\ndelay",
    *["[sync x]\nsource = /srv\ntarget = h:\n%s\n" % line for line in (
        "delay = V", "delay = 1V", "init = V", "mode = V", "maxDelays = V", "crontab = V", "crontab =\n  0 0 0 * * *\n  V", "monitor = V", "rsync.archive = V", "ssh.port = V", "ssh.options = V", "ssh.options.User = V\n\tx",
        "exitcodes.3 = V", "filter = V", "filter =\n  + a\n  V", "excludeFrom = V", "excludeFrom = /nope/V", "filterFrom = V", "rsync._extra =\n  --exclude-from=V", "rsync._extra =\n  --exclude-from\n  V",
        "rsync._extra = -FV\nnope = 1", "requireMarker = /V", "delete = V", "ssh._extra = ssh 'V", "ssh._extra = ssh 'V\nssh.binary = x", "rsync.timeout = V",
        "exclude =\n  V\n  delay = 5", "param.x = V")],
    "[sync x]\nmode = direct\nsource = /srv\ntarget = V:/x\n", "[sync x]\nsource = /srv\ntarget = -V:/x\n", "[sync x]\nsource = /srv\ntarget =\n  h:\n  h:~V/x\nrsync.protect_args = yes\n",
    "[sync x]\nmode = rsyncssh\nsource = /srv\nhost = V:22\ntargetdir = /x\n", "[sync x]\nmode = rsyncssh\nsource = /srv\nhost = h\ntargetdir = ~V/x\n",
    "[sync x]\nmode = rsyncssh\nsource = /srv\nhost = h\ntarget = ~V/x\n", "[sync x]\nmode = rsyncssh\nsource = /srv\nhost =\n  a\n  V:3\n  ok\ntargetdir = /x\n",
    "[sync x]\nsource = /V\ntarget = /V\n", "[sync x]\nsource = /V\ntarget = /V/x\n", "[sync x]\nsource = /V/x\ntarget = /V\n", "[sync x]\nsource = /V/x%\ntarget = /V/x%/y\n",
    "[sync V]\nsource = /srv\ntarget = h:\n[sync x]\nname = V\nsource = /srv\ntarget = h:\n", "[sync V]\nsource = /srv\ntarget =\n  h:\n  i:\n[sync V/1]\nsource = /s\ntarget = h:\n",
    "[sync x]\nmode = script\nsource = /srv\nscript = V\n", "[sync x]\nmode = script\nsource = /srv\nscript = /nope/V\n", "[settings]\ndelay = V\nlogfacility = V\ninotifyMode = V\n",
    '{"sync": {"source": "/srv", "target": "h:", "delay": "V", "exclude": ["a", ["V"]], "filter": ["V"]}}', '{"sync": {"source": "/srv", "target": ["h:", "-V:"]}}',
    '{"sync": {"source": "/srv", "target": "h:", "ssh": {"options": {"x_y": "V"}}}}',
])
@pytest.mark.parametrize("kind", ["variable", "file"])
def test_no_message_shows_what_a_refused_value_stands_for(env, text, kind):
    env(V=SECRET)
    write(SECRET + "\n", "secret")
    written = "${V}" if kind == "variable" else "${file:secret}"
    plain = errors(text.replace("V", SECRET))
    lines = errors(text.replace("V", written))
    assert not [line for line in lines if SECRET in line]
    assert [line.split(": ")[0] for line in lines] == [line.split(": ")[0] for line in plain]  # the same findings
    assert [line.rpartition("; allowed: ")[2] for line in lines if "; allowed: " in line] == [line.rpartition("; allowed: ")[2] for line in plain if "; allowed: " in line]


def test_a_refused_value_is_shown_as_it_was_written_line_by_line(env):
    env(V=SECRET)
    assert errors(SYNC + "delay = x${V}\n") == ["F:4: delay: 'x${V}' is not allowed here; allowed: a number of seconds, 0 or more"]
    assert errors("[sync x]\nmode = direct\nsource = /srv\ntarget =\n  /a\n  ${V}:/x\n  h:/y\n") == [
        "F:4: target: ${V}:/x is on another host; allowed: a directory of this one (mode direct)", "F:4: target: h:/y is on another host; allowed: a directory of this one (mode direct)"]
    assert errors("[sync x]\nsource = /${V}/%d\ntarget = /${V}/%d/x\n") == ["F:3: target: target /${V}/%d/x lies in the source (source /${V}/%d): refused"]
    assert errors('{"sync": {"source": "/srv", "target": "h:", "exclude": [["${V}"]]}}')[0].startswith("F: sync[0].exclude: [['${V}']] is not allowed")


def test_warnings_about_a_value_show_it_as_it_was_written_too(env):
    env(V=SECRET)
    config = load("[sync x]\nmode = exec\nsource = /srv\nonCreate = true\ntarget = ${V}\n[sync y]\n" + PAIR + "rsync._extra = -f${V}\nssh._extra = /usr/${V}/ssh -4\n")
    assert len(config.warnings) == 3 and not [line for line in config.warnings if SECRET in line] and all("${V}" in line for line in config.warnings)


def test_what_a_file_holds_is_no_line_of_the_configuration(env):
    env(V="a\nb = c\n[sync y]\ndelay = 3")
    assert [rule[1] for rule in one(SYNC + "exclude = ${V}\n").rules] == [b"a", b"b = c", b"[sync y]", b"delay = 3"]


# ---- others' files -----------------------------------------------------------------------------

@root_only
def test_a_file_that_others_can_change_is_refused_for_root_whoever_names_it(here):
    write("host:/x\n", "value")
    os.chmod("value", 0o666)
    (line,) = errors("[sync x]\nsource = /srv\ntarget = ${file:value}\n")
    assert line == "F:3: target: ${file:value}: %s/value: can be written by everybody (chown root:root %s/value; chmod go-w %s/value): refused, as root does what it says" % (here, here, here)
    os.chmod("value", 0o644)
    os.chown("value", 12345, -1)
    (line,) = errors("[sync x]\nsource = /srv\ntarget = ${file:value}\n")
    assert line.startswith("F:3: target: ${file:value}: ") and "belongs to uid 12345" in line


# ---- conf.d ------------------------------------------------------------------------------------

MAIN = "lsyncd-lite.conf"


def sync_of(name):
    return "[sync %s]\n%s" % (name, PAIR)


def test_files_beside_it_follow_in_the_order_of_their_names(here):
    write(sync_of("b"), "conf.d/20.conf")
    write(sync_of("c"), "conf.d/3.conf")
    write('{"sync": {"name": "a", "source": "/x", "target": "h:"}}', "conf.d/10.conf")
    write(sync_of("z"), "conf.d/\udcff.conf".encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape"))
    for name in "conf.d/no.conf~", "conf.d/.hidden.conf", "conf.d/no.ini", "conf.d/conf", "conf.d/x.conf.dpkg-old":
        write("nonsense", name)
    for filename in MAIN, os.path.abspath(MAIN), os.fsencode(os.path.abspath(MAIN)), "./conf.d/../" + MAIN:
        write(sync_of("main"), MAIN)
        assert [sync.name for sync in module.load(filename).syncs] == ["main", "a", "b", "c", "z"]


def test_a_file_of_another_name_is_read_alone():
    write("nonsense", "conf.d/1.conf")
    assert one(sync_of("x")).name == "x"
    assert [sync.name for sync in load(sync_of("x"), name="other.conf").syncs] == ["x"]


@pytest.mark.parametrize("make", [lambda: None, lambda: os.mkdir("conf.d"), lambda: write("x", "conf.d/readme")])
def test_without_others_it_stands_alone(make):
    make()
    assert [sync.name for sync in load(sync_of("x"), name=MAIN).syncs] == ["x"]
    assert load("", name=MAIN).syncs == []


def test_it_may_be_empty_and_the_others_hold_everything():
    write("[settings]\ndelay = 3\n", "conf.d/1.conf")
    write(sync_of("a"), "conf.d/2.conf")
    (sync,) = load("# nothing\n", name=MAIN).syncs
    assert (sync.name, sync.delay) == ("a", 3)


def test_settings_may_stand_in_several_files_each_key_once():
    write("[settings]\ndelay = 3\nlogident = x\n", "conf.d/1.conf")
    write('{"settings": {"maxDelays": 5}}', "conf.d/2.conf")
    config = load("[settings]\ninsist = yes\n" + SYNC, name=MAIN)
    assert (config.settings.insist, config.settings.logident, config.syncs[0].delay, config.syncs[0].maxDelays) == (True, "x", 3, 5)
    write('{"settings": {"delay": 3, "insist": true}}', "conf.d/2.conf")
    assert errors("[settings]\ninsist = yes\n" + SYNC, name=MAIN) == [
        "conf.d/2.conf: settings.delay: given twice, first in conf.d/1.conf:2: delay", "conf.d/2.conf: settings.insist: given twice, first in lsyncd-lite.conf:2: insist"]


@pytest.mark.parametrize("key", ["excludeFrom", "filterFrom", "rsync._extra = --exclude-from"])
def test_patterns_come_from_a_file_that_has_an_end(key):
    os.mkfifo("fifo")  # which nobody writes to
    for name in ("/dev/zero", "fifo"):
        (line,) = errors(SYNC + "%s=%s\n" % (key, name))
        assert line == "F:4: %s: cannot read %s: it is no regular file" % (key.partition(" ")[0], name)


def test_a_configuration_without_end_is_refused():
    with pytest.raises(ConfigError) as caught:
        module.load("/dev/zero")
    assert caught.value.lines == ["/dev/zero: cannot read the configuration: it is larger than 16777216 bytes"]


def test_a_key_twice_over_files_is_an_error_even_where_the_values_are_wrong(env):
    write("[settings]\ndelay = ${UNSET}\nnope = 1\n", "conf.d/1.conf")
    lines = errors("[settings]\ndelay = 5\n" + SYNC, name=MAIN)
    assert sorted(line.split(": ")[0] for line in lines) == ["conf.d/1.conf:2", "conf.d/1.conf:2", "conf.d/1.conf:3"]


def test_a_sync_of_the_same_name_in_two_files_is_an_error_that_names_both():
    write(sync_of("a"), "conf.d/1.conf")
    write("\n" + sync_of("a"), "conf.d/2.conf")
    assert errors(sync_of("b"), name=MAIN) == ["conf.d/2.conf:2: name: a is taken by the sync of conf.d/1.conf:1"]


def test_errors_of_all_files_come_at_once():
    write("[settings]\nnope = 1\n", "conf.d/1.conf")
    write("{", "conf.d/2.conf")
    os.symlink("nowhere", "conf.d/3.conf")
    os.mkdir("conf.d/4.conf")
    os.mkfifo("conf.d/5.conf")  # which nobody writes to
    lines = errors("stray\n", name=MAIN)
    assert [line.split(": ")[0] for line in lines[:-1]] == ["lsyncd-lite.conf:1", "conf.d/2.conf:1", "conf.d/3.conf", "conf.d/4.conf", "conf.d/5.conf"] and lines[-1].startswith("conf.d/1.conf:2: nope: ")
    assert lines[2] == "conf.d/3.conf: cannot read the configuration: No such file or directory"
    assert lines[4] == "conf.d/5.conf: cannot read the configuration: it is no regular file"


def test_a_directory_that_is_none_is_an_error():
    write("x", "conf.d")
    assert errors(SYNC, name=MAIN) == ["conf.d: cannot read the directory: Not a directory"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_directory_that_cannot_be_read_is_an_error():
    os.mkdir("conf.d", 0)
    assert errors(SYNC, name=MAIN) == ["conf.d: cannot read the directory: Permission denied"]


@root_only
def test_each_file_that_others_can_change_is_refused_for_root(here):
    write(sync_of("a"), "conf.d/1.conf")
    write(sync_of("b"), "conf.d/2.conf")
    os.chmod("conf.d/1.conf", 0o666)
    (line,) = errors(SYNC, name=MAIN)
    assert line.startswith("%s/conf.d/1.conf: can be written by everybody (" % here) and line.endswith(": refused, as root does what it says")
    os.chmod("conf.d/1.conf", 0o644)
    os.chmod("conf.d", 0o777)
    lines = errors(SYNC, name=MAIN)
    assert len(lines) == 2 and all("directory %s/conf.d can be written by everybody" % here in line for line in lines)


# ---- which format it is ------------------------------------------------------------------------

LUA = "sync { default.rsync, source = '/srv/www', target = 'host:/dst' }\n"


@pytest.mark.parametrize("text, name", [
    (LUA, "lsyncd.conf.lua"), (LUA, "lsyncd.conf"), (LUA, "F"), ("-- of mine\n" + LUA, "F"), ("# of mine\n\nsettings = {}\n--\n" + LUA, "F"),
    ("settings {\nlogfile = '/l',\n}\n" + LUA, "F"), ("settings\n{\n}\n" + LUA, "F"), ("--[[\n[settings]\n]]\n" + LUA, "x.lua"), ("\ufeff\n\n\t" + LUA, "F"), ("settings{}\r\n" + LUA, "F"),
    ("for _, t in ipairs{ 'host:/dst' } do\n  local s = sync\n  {\n default.rsync, source = '/srv/www', target = t }\nend\n", "F"),
    ("local s = { default.rsync, source = '/srv/www', target = 'host:/dst' }\nsync(s)\n", "F"), ("codes = {\n[3] = 'again',\n}\n" + LUA, "F"),
    ("local s, t = sync, { default.rsync, source = '/srv/www', target = 'host:/dst' }\ns(t)", "x.lua"),
])
def test_lua_is_lua_whatever_it_is_called(text, name):
    (sync,) = load(text, name=name).syncs
    assert (sync.source, sync.target) == (b"/srv/www", b"host:/dst/")


@pytest.mark.parametrize("text", [
    SYNC, "# sync {\n; settings {\n" + SYNC, SYNC + "[sync b]\nmode = exec\nsource = /x\nonCreate = sync {\n  settings { }\n  sync()",
    "[settings]\n" + SYNC, "\ufeff" + SYNC, "\r\n[sync www]\r\n" + PAIR])
def test_ini_is_ini_whatever_its_values_hold(text):
    assert (load(text).syncs[0].source, load(text, name="lsyncd.conf").syncs[0].target) == (b"/srv/www", b"host:/dst/")


def test_json_is_json_whatever_it_is_called():
    for name in "F", "x.lua":
        assert load('{"sync": {"source": "/srv/www", "target": "host:/dst", "exclude": "sync {"}}', name=name).syncs[0].source == b"/srv/www"


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "nonsense", "[nope]\nx = sync{", "source = /x"])
def test_what_is_nothing_of_all_is_ini(text):
    try:
        assert load(text).syncs == []
    except ConfigError as error:
        assert [line for line in error.lines if "[settings]" in line or "unknown section" in line or '"KEY = VALUE"' in line]


def test_xml_of_lsyncd_1_is_named_whatever_it_is_called():
    for name in "lsyncd.conf.xml", "F":
        (line,) = errors('<lsyncd version="1.25">\n</lsyncd>\n', name=name)
        assert line.startswith("%s:1: this is XML, the format of lsyncd 1; " % name)


def test_lua_may_stand_beside_ini_and_json():
    write(LUA.replace("source", "name = 'lua', source"), "conf.d/1.conf")
    write("settings{ delay = 3 }\n", "conf.d/2.conf")
    config = load(SYNC, name=MAIN)
    assert [(sync.name, sync.delay) for sync in config.syncs] == [("www", 3), ("lua", 3)]
    assert errors("[settings]\ndelay = 4\n" + SYNC, name=MAIN) == ["conf.d/2.conf:1: delay: given twice, first in lsyncd-lite.conf:2: delay"]


def test_nothing_is_put_into_the_values_of_lua(env):
    env(V=SECRET)
    assert load("sync{ default.rsync, source = '/srv/${V}', target = 'h:$${x}/${file:y' }", name="x.lua").syncs[0].target == b"h:$${x}/${file:y/"


@root_only
def test_lua_that_others_can_change_is_refused_for_root(here):
    write(LUA, "x.lua")
    os.chmod("x.lua", 0o666)
    with pytest.raises(ConfigError) as caught:
        module.load("x.lua")
    (line,) = caught.value.lines
    assert line.startswith("%s/x.lua: can be written by everybody (" % here) and line.endswith(": refused, as root does what it says")


def test_errors_and_warnings_of_lua_are_those_of_the_configuration():
    assert errors("sync{ default.rsync, source = '/x',\ndelay = 'x', nonsense = 1 }", name="x.lua") == [
        "x.lua:2: delay: 'x' is not allowed here; allowed: a number of seconds, 0 or more", "x.lua:2: nonsense: unknown key", "x.lua:1: target: is required and missing"]
    assert load("print('x')\n" + LUA, name="x.lua").warnings == ["x.lua:1: print: x"]
    lines = errors("for i = 1, 3 do\nsync{ default.rsync, source = '/x', target = 'h' .. i .. ':',\ndelay = 'x', onCreate = 'y' } end", name="x.lua")
    assert sorted(line.partition(": ")[2].partition(":")[0] for line in lines) == ["delay", "onCreate"]


# ---- what lsyncd reads ---------------------------------------------------------------------------

def test_a_link_in_conf_d_to_what_lsyncd_reads_is_a_part_of_the_configuration(here):
    os.makedirs("lsyncd-lite/conf.d")
    os.mkdir("lsyncd")
    (here / "lsyncd-lite/lsyncd-lite.conf").write_text("# [sync NAME]\n")
    (here / "lsyncd-lite/conf.d/more.conf").write_text("[sync more]\nsource = /src\ntarget = h:more\n")
    lua = here / "lsyncd/lsyncd.conf.lua"
    lua.write_text('settings { statusInterval = 5 }\nfor _, host in ipairs{ "a", "b" } do\n  sync { default.rsync, source = "/src", target = host .. ":${HOME}" }\nend\n')
    (here / "lsyncd-lite/conf.d/lsyncd.conf").symlink_to("../../lsyncd/lsyncd.conf.lua")
    config = module.load("lsyncd-lite/lsyncd-lite.conf")
    assert config.settings.statusInterval == 5 and config.warnings == []
    assert sorted(sync.target for sync in config.syncs) == [b"a:${HOME}/", b"b:${HOME}/", b"h:more/"]
    lua.write_text("sync { default.rsync, source = 5 }\n")
    with pytest.raises(ConfigError) as caught:
        module.load("lsyncd-lite/lsyncd-lite.conf")
    assert all(line.startswith("lsyncd-lite/conf.d/lsyncd.conf:1: ") for line in caught.value.lines)
    if os.geteuid() == 0:
        os.chmod(str(lua), 0o646)
        with pytest.raises(ConfigError) as caught:
            module.load("lsyncd-lite/lsyncd-lite.conf")
        assert [line.endswith("refused, as root does what it says") for line in caught.value.lines] == [True]
