"""Every configuration of the guide that users of lsyncd go by, as it is printed there, in Lua: checked, run, converted, run again.

What is printed is in the folder `guide`; hosts, ports, users and places are put where we are, the delay is that of the command line.
"""

import getpass
import os
import re
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from harness import Recorder, make, names, tree

GUIDE = Path(__file__).parent / "guide"
PRINTED = ("direct", "rsync", "rsyncssh", "both", "single", "many")
FORMS = {"lua": None, "ini": (), "json": ("-json",)}  # the arguments that convert into it

Host = namedtuple("Host", "ssh home port key prefix")


@pytest.fixture
def host(tmp_path, sshd):
    """A host that ssh reaches, as it does where ~/.ssh/config and an agent are in order: here that is a ssh which comes first on the PATH."""
    home = tmp_path / "home"
    home.mkdir()
    far = sshd(command="HOME='%s'; export HOME; cd; exec sh -c \"$SSH_ORIGINAL_COMMAND\"" % home)
    ours = Recorder(tmp_path / "recorders" / "ssh", "ssh", "%s %s" % (shutil.which("ssh"), " ".join(far.options)))
    return Host(ours.path, home, far.port, "%s/user_key" % far.folder, ours.before())


def printed(name):
    return (GUIDE / (name + ".lua")).read_text()


def placed(text, folder, places):
    """Return a configuration with what stands in it put elsewhere: {what it says: what it is here}, and log and status in a folder."""
    places = dict(places, **{"/var/log/lsyncd/lsyncd.log": folder / "log", "/var/log/lsyncd/lsyncd.status": folder / "status"})
    for place in places:
        assert place in text, place
    return re.sub("|".join(map(re.escape, sorted(places, key=len, reverse=True))), lambda match: str(places[match.group()]), text)


@pytest.fixture
def guide(request, tmp_path, src, dst):
    """Return a configuration of the guide as it is here: `guide("rsync")`; turned: from dst to src instead."""
    (tmp_path / "lsyncd.exclude").write_text("*.key\n")
    (tmp_path / "temporary").mkdir()

    def make_text(name, folder="daemon0", turned=False):
        here, there = (dst, src) if turned else (src, dst)
        host = None if name == "direct" else request.getfixturevalue("host")
        excluded, temporary = ("/etc/lsyncd.exclude", tmp_path / "lsyncd.exclude"), ('temp_dir="/tmp/"', 'temp_dir="%s/temporary/"' % tmp_path)
        named = "eorlov.org", "127.0.0.1"
        places = {
            "direct": lambda: [("/home/e.orlov/source_dir", here), ("/home/e.orlov/target_dir", there)],
            "rsync": lambda: [("/home/e.orlov/source_dir", here), named],
            "rsyncssh": lambda: [("/home/e.orlov/source_dir", here), named, excluded, ("port = 22", "port = %d" % host.port)],
            "both": lambda: [('source="/path/to/dir"', 'source="%s"' % here), ("/path/to/dir/new_server", there), named, excluded, temporary,
                             ("port = 22", "port = %d" % host.port), ("-p 22", "-p %d" % host.port), ("/usr/bin/ssh", host.ssh),
                             ("-l user", "-l %s" % getpass.getuser()), ("/home/user/.ssh/id_rsa", host.key)],
            "single": lambda: [('source="/etc/security"', 'source="%s"' % here), ('targetdir="/etc/security"', 'targetdir="%s"' % there), named, temporary,
                               ("port = 22", "port = %d" % host.port)],
            "many": lambda: [("1.0.0.2:/var/www/html", "127.0.0.1:%s/one" % tmp_path), ("1.0.0.3:/var/www/html", "127.0.0.1:%s/two" % tmp_path),
                             ('source="/var/www/html"', 'source="%s"' % here)],
        }[name]()
        return placed(printed(name), tmp_path / folder, dict(places))
    return make_text


@pytest.fixture
def converted(cli, tmp_path):
    """Return a configuration in one of FORMS: `converted(text, "ini")`."""
    def convert(text, form):
        if FORMS[form] is None:
            return text
        (tmp_path / "guide.lua").write_text(text)
        done = cli("-convert", *FORMS[form], tmp_path / "guide.lua")
        assert done.returncode == 0, done.stderr
        return done.stdout
    return convert


@pytest.fixture
def start(request, daemon):
    """Start the daemon with a configuration: `start(text)`; it is returned when its first full syncs are over."""
    def run(text, form="lua", delay="0.2", **options):
        prefix = request.getfixturevalue("host").prefix if "127.0.0.1" in text else ()
        one = daemon(text=text, form=form, options=("-delay", delay, "-log", "all"), prefix=prefix, wait=False, **options)
        count = text.count("127.0.0.1:") or 1
        one.wait(lambda: one.log().count("full sync finished") >= count, "the full syncs")
        return one
    return run


def mended(text):
    """Return the configuration of many servers with the commas that the guide has forgotten."""
    for line in "statusInterval = 30\n", 'rsyncOps="-rltvupgo"\n':
        assert line in text
        text = text.replace(line, line[:-1] + ",\n")
    return text


# ---- what is checked -----------------------------------------------------------------------------

@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PRINTED)
def test_it_is_right_and_so_is_what_it_is_converted_to(name, form, guide, converted, cli, tmp_path, src):
    text = guide(name)
    text = converted(mended(text) if name == "many" else text, form)
    (tmp_path / "checked").write_text(text)
    done = cli("-check", tmp_path / "checked")
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["OK"]), done.stderr
    warned = {"both": [r"ssh\._extra: is a whole command line: its arguments are taken, "], "many": [r":14: .*rsyncOps"] * (form == "lua")}.get(name, [])
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line != "OK"]
    assert len(lines) == len(warned) and all(re.search(*pair) for pair in zip(warned, lines)), lines


def test_the_commas_that_are_missing_in_the_loop_over_servers_are_named_with_their_lines(guide, cli, tmp_path):
    (tmp_path / "many.lua").write_text(guide("many"))
    for words in ("-check",), ("-convert",), ("-convert", "-json"), ("-nodaemon",):
        done = cli(*words, tmp_path / "many.lua")
        lines = done.stderr.splitlines()
        assert done.returncode == 255 and done.stdout == "" and len(lines) == 2, (done.stdout, lines)
        for line, number in zip(lines, (4, 14)):
            assert line.startswith("%s/many.lua:%d: " % (tmp_path, number)) and "comma" in line
    assert not (tmp_path / "one").exists()


# ---- what arrives --------------------------------------------------------------------------------

@pytest.mark.parametrize("form", FORMS)
def test_direct(form, guide, converted, start, src, dst):
    make(src, "a", "d/x")
    make(dst, "only there")
    one = start(converted(guide("direct"), form), form)
    one.wait_equal(src, dst)
    make(src, "b", "e/f/g")
    (src / "a").rename(src / "d" / "a")
    (src / "d" / "x").unlink()
    one.wait_equal(src, dst)


@pytest.mark.parametrize("form", FORMS)
def test_to_a_host_with_excludes(form, guide, converted, start, src, host):
    target = host.home / "target_dir"
    make(src, "a", ".git/config", "vendor/v", "d/vendor/v", "web/node_modules/n", "web/n", "bundled", "d/x")
    expected = {"a", "d/", "d/x", "web/", "web/n", "bundled"}  # a file is no "bundled/"
    one = start(converted(guide("rsync"), form), form)
    one.wait(lambda: names(target) == expected, lambda: str(names(target)))
    (src / "a").chmod(0o750)
    make(src, "d/.git/x", "e/vendor/v", "d/new", "web/node_modules/later", "vendor/later", "e/node_modules")
    (src / "d" / "x").unlink()
    expected = expected - {"d/x"} | {"d/new", "e/", "e/node_modules"}
    one.wait(lambda: names(target) == expected, lambda: str(names(target)))
    one.fence(src, target)
    assert {name for name in names(target) if not name.startswith("~")} == expected
    assert (target / "a").stat().st_mode & 0o777 == 0o750
    assert re.search(r"rsync -\w*z", one.log())


@pytest.mark.parametrize("form", FORMS)
def test_by_ssh_with_a_file_of_excludes(form, guide, converted, start, src, host):
    target = host.home / "target_dir"
    make(src, "a", "d/x", "s.key", "d/s.key")
    one = start(converted(guide("rsyncssh"), form), form)
    one.wait(lambda: names(target) == {"a", "d/", "d/x"}, lambda: str(names(target)))
    before = (target / "d" / "x").stat().st_ino
    make(src, "new", "e/s.key")
    (src / "d").rename(src / "g")
    one.wait(lambda: names(target) == {"a", "e/", "g/", "g/x", "new"}, lambda: str(names(target)))
    assert (target / "g" / "x").stat().st_ino == before  # renamed there
    assert not re.search(r"rsync -\w*W|--whole-file", one.log())


@pytest.mark.parametrize("form", FORMS)
def test_one_file_of_a_directory_and_never_another_one(form, guide, converted, start, src, dst):
    make(src, "access.conf", "limits.d/limits.conf", "limits.conf.bak")
    make(src, "limits.conf", text="one")
    make(dst, "theirs")
    one = start(converted(guide("single"), form), form)
    one.wait_path(dst / "limits.conf", "one")
    assert names(dst) == {"limits.conf", "theirs"}
    make(src, "access.conf", "new", "new.d/limits.conf", text="other")
    (src / "limits.conf.bak").unlink()
    for text in "two", "three":  # the second travels in a batch that began after the first one's had ended
        make(src, "limits.conf", text=text)
        one.wait_path(dst / "limits.conf", text)
    make(src, "limits.conf.new", text="four")
    (src / "limits.conf.new").rename(src / "limits.conf")  # as editors and passwd(1) do it
    one.wait_path(dst / "limits.conf", "four")
    assert names(dst) == {"limits.conf", "theirs"}
    (src / "limits.conf").unlink()
    make(src, "limits.conf.new", text="five")
    (src / "limits.conf.new").rename(src / "limits.conf")
    one.wait_path(dst / "limits.conf", "five")
    assert names(dst) == {"limits.conf", "theirs"}


def test_one_file_that_is_deleted_stays_there(guide, start, src, dst):
    make(src, "limits.conf", text="one")
    one = start(guide("single").replace("statusInterval = 30", "statusInterval = 0.1"))
    one.wait_path(dst / "limits.conf", "one")
    (src / "limits.conf").unlink()
    one.wait_log(r"Inotify: .*limits\.conf")
    one.wait_idle()
    assert names(dst) == {"limits.conf"}


@pytest.mark.parametrize("form", FORMS)
def test_both_directions_and_both_come_to_rest(form, guide, converted, start, src, dst, tmp_path):
    make(src, "a", "d/x", "s.key")
    make(dst, "b")
    os.utime(str(dst / "b"), (1, 1))

    def started(folder, turned):
        text = guide("both", folder, turned).replace("statusInterval = 30", "statusInterval = 0.1")
        return start(converted(text, form), form, name=folder)
    (dst / "b").rename(tmp_path / "b")  # as it is printed, the first that starts deletes what the other side has
    one = started("one", False)
    two = started("two", True)
    both = (one, two)

    def settled():
        for running in both:
            running.wait_idle()
        return sum(running.log().count(" Exec: ") for running in both)

    def same(expected):
        expected = {"a", "d/", "d/x"} | expected
        for place in src, dst:
            two.wait(lambda: {name for name in names(place) if name != "s.key"} == expected, lambda: "%s, not %s" % (names(place), expected))
        assert not (dst / "s.key").exists() and tree(src).keys() - {b"s.key"} == tree(dst).keys()

    same(set())
    settled()
    make(src, "from here", text="here")
    two.wait_path(dst / "from here", "here")
    (tmp_path / "b").rename(dst / "b")
    make(dst, "from there", text="there")
    one.wait_path(src / "from there", "there")
    same({"b", "from here", "from there"})
    before = settled()
    make(dst, "from here", text="changed there")
    one.wait_path(src / "from here", "changed there")
    (src / "b").unlink()
    one.wait_gone(dst / "b")
    same({"from here", "from there"})
    after = settled()
    assert after - before < 20, "one change goes to and fro"
    for running in both:  # nothing goes on by itself
        running.wait_idle()
    assert settled() == after
    assert names(tmp_path / "temporary") == set()


@pytest.mark.parametrize("form", FORMS)
def test_many_servers(form, guide, converted, start, src, tmp_path, host):
    text = mended(guide("many")).replace('two"\n', 'two",\n"127.0.0.1:%s/three"\n' % tmp_path)
    targets = [tmp_path / name for name in ("one", "two", "three")]
    make(src, "a", "d/x")
    one = start(converted(text, form), form)
    for target in targets:
        one.wait_equal(src, target)
    make(src, "b", "d/y")
    (src / "a").unlink()
    for target in targets:
        one.wait_equal(src, target)
    commands = [line for line in one.log().splitlines() if " Exec: " in line and "rsync " in line]
    assert commands and all(set("ltvupgo") <= set(re.search(r"rsync -(\w+)", line).group(1)) for line in commands)
    assert {line.split()[-1].rstrip("/.") for line in commands} == {"127.0.0.1:%s" % target for target in targets}
