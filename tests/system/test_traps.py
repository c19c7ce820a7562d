"""What lsyncd got wrong, as far as one mode is enough to show it; test_every_mode.py shows the rest in all of them.

The numbers are those of the project's list of known traps; tests/README.md says where each is.
"""

import errno
import os
import re
import shutil
import socket
import threading
from pathlib import Path

import pytest

from harness import make, names, sync, wait_for

# ---- changes lost ------------------------------------------------------------------------------


# trap 1
def test_a_failure_is_shown_in_the_status_until_it_is_over(src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, rsync={"binary": binary.path}))
    before = running.status()["sync1"].last_success
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", before)
    binary.fail(23)
    make(src, "b")
    report = running.wait_status("sync1", state="waiting", last_error=bool, next_try=bool)["sync1"]
    assert report.delays == 1 and re.fullmatch(r"in \d+ s", report.next_try) and report.oldest
    assert "23" in report.last_error
    running.wait_log("sync1.*23")
    binary.recover()
    running.wait_equal(src, dst)
    running.wait_status("sync1", state="idle", next_try=None, last_error=None)


HOSTILE = [b"[", b"]", b"a]b", b"back\\slash", b"*", b"?", b"**", b"[a-z]*", b"\\*", b"-rf", b"--delete", b"#hash",
           b";semicolon", b" leading", b"trailing ", b"  ", b"new\nline", b"\n", b"tab\t", b"\xff\xfe invalid",
           b"n" * 255, b"quote'", b'quote"', b"$HOME", b"`id`", b"$(touch pwned)", b"; touch pwned;", b"| cat",
           b"&& touch pwned", b"caf\xc3\xa9", b"a:b", b":", b"~", b"%s%n", b"...", b"{a,b}", b"!bang", b"+ plus",
           b"- minus", b".~tmp~", b"\x1b[31mred\x1b[0m", b"\x01"]


# trap 4, 36
@pytest.mark.parametrize("kind", ["local", "ssh", "::"])
def test_names_of_every_kind_are_sent_and_deleted(kind, src, place, daemon):
    target = place(kind)
    root = os.fsencode(str(src))

    def make_all():
        for name in HOSTILE:
            with open(root + b"/" + name, "wb") as file:
                file.write(name)
            os.mkdir(root + b"/d" + name[:254])
            with open(root + b"/d" + name[:254] + b"/" + name, "wb") as file:
                file.write(name)
        with open(root + b"/plain", "wb"):
            pass
    make_all()
    running = daemon(sync(src, target.target, rsync=target.rsync))
    running.wait_equal(src, target.path)  # at start

    with open(root + b"/plain", "wb") as file:
        file.write(b"stays")
    for name in HOSTILE:
        os.unlink(root + b"/" + name)
        os.unlink(root + b"/d" + name[:254] + b"/" + name)
    running.wait_equal(src, target.path)  # one by one gone
    for name in HOSTILE:
        os.rmdir(root + b"/d" + name[:254])
    running.wait_equal(src, target.path)
    assert names(src) == {"plain"}
    make_all()
    running.wait_equal(src, target.path)  # while running
    assert not [path for path in (src.parent, src, target.path, Path.home()) if (path / "pwned").exists()]


# trap 4
def test_a_hostile_name_between_wildcard_rules_is_sent(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, exclude=["*.tmp", "?.bak", "**/cache/"]))
    root = os.fsencode(str(src))
    for name in HOSTILE:
        os.makedirs(root + b"/sub" + name[:252])
        with open(root + b"/sub" + name[:252] + b"/" + name, "wb") as file:
            file.write(name)
    running.wait_equal(src, dst)
    shutil.rmtree(os.fsencode(str(src)) + b"/sub[a-z]*")
    os.unlink(root + b"/suba]b/a]b")
    running.wait_equal(src, dst)


# trap 5
def test_two_writes_of_the_same_size_within_a_second_both_arrive(src, dst, daemon):
    make(src, "a", text="0000")
    running = daemon(sync(src, dst, delay=0.05))
    for text in ("1111", "2222", "3333", "4444"):
        make(src, "a", text=text)
        running.wait_path(dst / "a", text)


def become(path, kind, outside):
    """Make a path a file, a directory, a fifo or a link to outside, whatever it was."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(str(path))
    elif os.path.lexists(str(path)):
        path.unlink()
    if kind == "link":
        os.symlink(str(outside), str(path))
    elif kind == "directory":
        make(path, "f", "deep/g")
    elif kind == "file":
        path.write_text("file")
    elif kind == "fifo":
        os.mkfifo(str(path))


def _rename_and_change_inside(src):
    os.rename(str(src / "d"), str(src / "z"))
    make(src, "z/x", text="changed inside")
    (src / "z/y").unlink()


def _chain(src):
    os.rename(str(src / "d"), str(src / "e"))
    make(src, "d/new")
    os.rename(str(src / "e"), str(src / "g"))


def _swap(src):
    for old, new in (("a", "t"), ("b", "a"), ("t", "b"), ("d", "t"), ("empty", "d"), ("t", "empty")):
        os.rename(str(src / old), str(src / new))


def _rename_over(src):
    os.rename(str(src / "d"), str(src / "empty"))
    os.rename(str(src / "a"), str(src / "b"))


def _rename_into_a_new_directory(src):
    make(src, "new/in/")
    os.rename(str(src / "d"), str(src / "new/in/d"))
    make(src, "new/in/d/sub/more")
    os.rename(str(src / "new"), str(src / "newer"))
    make(src, "newer/in/d/sub/last")


def _there_and_back(src):
    os.rename(str(src / "d"), str(src / "e"))
    make(src, "e/sub/while-away")
    os.rename(str(src / "e"), str(src / "d"))
    make(src, "d/sub/back")


def _make_below_and_rename_above(src):
    make(src, "d/sub/new/deep/")
    os.rename(str(src / "d"), str(src / "e"))


def _rename_below_and_above(src):
    os.rename(str(src / "d/sub"), str(src / "d/below"))
    os.rename(str(src / "d"), str(src / "e"))


def _move_out_of_a_renamed_directory(src):
    os.rename(str(src / "d/sub"), str(src / "empty/sub"))
    os.rename(str(src / "d"), str(src / "e"))
    os.rename(str(src / "empty"), str(src / "d"))


def _swap_with_new_directories_of_one_name(src):
    make(src, "d/new/in-d", "empty/new/in-empty")
    for old, new in (("d", "t"), ("empty", "d"), ("t", "empty")):
        os.rename(str(src / old), str(src / new))


RENAMES = [_rename_and_change_inside, _chain, _swap, _rename_over, _rename_into_a_new_directory, _there_and_back,
           _make_below_and_rename_above, _rename_below_and_above, _move_out_of_a_renamed_directory,
           _swap_with_new_directories_of_one_name]


# ---- one thing stops everything ----------------------------------------------------------------

# trap 22
def test_on_fatal_exit_ends_the_daemon_as_lsyncd_does(tmp_path, src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, name="bad", rsync={"binary": binary.path}), sync(src, tmp_path / "other"),
                     settings={"onFatal": "exit"})
    binary.fail(1)
    make(src, "b")
    assert running.ended() == 255
    assert re.search("Error: .*bad", running.log())


# trap 24
def test_a_target_that_does_not_answer_is_given_up_and_tried_again(src, dst, daemon):
    make(src, "a")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        connections = []

        def accept():
            try:
                while True:
                    connections.append(deaf.accept()[0])
            except OSError as error:  # closed at the end
                assert error.errno in (errno.EBADF, errno.EINVAL)
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        running = daemon(sync(src, "rsync://127.0.0.1:%d/data/" % deaf.getsockname()[1], name="deaf",
                              rsync={"timeout": 1, "_extra": ["--contimeout=1"]}),
                         sync(src, dst), options=["-insist"], wait=False)
        try:
            running.wait_equal(src, dst)
            running.wait_status("deaf", state="waiting", last_error=bool)
            running.wait(lambda: len(connections) > 1, "another try")
        finally:
            deaf.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for one in connections:
                one.close()


# trap 24, 39
@pytest.mark.parametrize("target", ["localhost:dir", "rsync://localhost/dir"])
def test_a_remote_target_gets_keep_alives_and_time_outs(target, tmp_path, src, daemon, rsync):
    make(src, "a")
    binary = rsync()
    binary.fail(12)
    running = daemon(sync(src, target, delete=False, rsync={"binary": binary.path}), options=["-insist"], wait=False)
    call = running.wait(binary.calls, "a call")[0]
    assert any(arg.startswith("--timeout=") for arg in call.argv)
    if target.startswith("rsync:"):
        assert any(arg.startswith("--contimeout=") for arg in call.argv)
    else:
        rsh, = [arg for arg in call.argv if arg.startswith("--rsh=")]
        assert "ConnectTimeout=" in rsh and "ServerAliveInterval=" in rsh


# trap 28
def test_a_burst_of_twelve_thousand_changes_arrives(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst))
    root = os.fsencode(str(src))
    for number in range(12000):
        if number % 1000 == 0:
            os.mkdir(b"%s/%d" % (root, number // 1000))
        os.close(os.open(b"%s/%d/%d" % (root, number // 1000, number), os.O_WRONLY | os.O_CREAT))
    running.wait_equal(src, dst, limit=90)
    for number in range(0, 12000, 2):
        os.unlink(b"%s/%d/%d" % (root, number // 1000, number))
    running.wait_equal(src, dst, limit=90)


# ---- dangerous ---------------------------------------------------------------------------------

# One tree, and which of it a rule leaves out.
DIALECT_TREE = ["erf", "erfx", "d/erf", "d/erf2", "e/erf/in", "a.key", "d/b.key", "d/e/c.key", "vendor/x", "d/vendor/y",
                "f/vendor", "vendored/z", "web/node_modules/m", "d/web/node_modules/n", "node_modules/o", "x*y", "xzy",
                "x[z]y", "x\\y", "d/x*y"]
DIALECT = [
    (["erf"], ["erf", "d/erf", "e/erf/in"]),
    (["/erf"], ["erf"]),
    (["erf/"], ["e/erf/in"]),
    (["*.key"], ["a.key", "d/b.key", "d/e/c.key"]),
    (["/*.key"], ["a.key"]),
    (["d/*.key"], ["d/b.key"]),
    (["d/**.key"], ["d/b.key", "d/e/c.key"]),
    (["/d/**"], ["d/erf", "d/erf2", "d/b.key", "d/e/c.key", "d/vendor/y", "d/web/node_modules/n", "d/x*y"]),
    (["?.key"], ["a.key", "d/b.key", "d/e/c.key"]),
    (["e?f"], ["erf", "d/erf", "e/erf/in"]),
    (["vendor/"], ["vendor/x", "d/vendor/y"]),
    (["/vendor"], ["vendor/x"]),
    (["vendor"], ["vendor/x", "d/vendor/y", "f/vendor"]),
    (["web/node_modules"], ["web/node_modules/m", "d/web/node_modules/n"]),
    (["/d/e/"], ["d/e/c.key"]),
    (["x*y"], ["x*y", "xzy", "x[z]y", "x\\y", "d/x*y"]),
    (["x?y"], ["x*y", "xzy", "x\\y", "d/x*y"]),
    (["erf", "/vendor/", "*.key"], ["erf", "d/erf", "e/erf/in", "vendor/x", "a.key", "d/b.key", "d/e/c.key"]),
    # the same way at every time, whatever it means
    (["x[a-z]y"], None),
    (["x\\*y"], None),
    (["x\\y"], None),
    (["x[z]y"], None),
    (["**/erf"], None),
    (["/**/erf"], None),
    (["erf/**"], None),
    (["d/"], None),
    (["/"], None),
    (["*"], None),
]
FILTERS = [
    (["+ a.key", "- *.key"], ["d/b.key", "d/e/c.key"]),
    (["- /d/", "+ /d/b.key"], ["d/erf", "d/erf2", "d/b.key", "d/e/c.key", "d/vendor/y", "d/web/node_modules/n", "d/x*y"]),
    (["+ /d/", "+ /d/*.key", "- /d/*"], ["d/erf", "d/erf2", "d/e/c.key", "d/vendor/y", "d/web/node_modules/n", "d/x*y"]),
    (["+ */", "+ *.key", "- *"], [name for name in DIALECT_TREE if not name.endswith(".key")]),
]


# trap 35
def test_rules_mean_the_same_at_start_while_running_and_for_what_is_moved_in(tmp_path, daemon):
    rows = [("exclude", rules, gone) for rules, gone in DIALECT] + [("filter", rules, gone) for rules, gone in FILTERS]
    sources = {when: tmp_path / when for when in ("start", "written", "moved")}
    syncs = []
    for when, source in sources.items():
        make(source, *(DIALECT_TREE if when == "start" else ["first"]))
        syncs += [sync(source, tmp_path / ("%s-%d" % (when, number)), name="%s-%d" % (when, number), **{key: rules})
                  for number, (key, rules, _gone) in enumerate(rows)]
    sources["alone"] = sources["start"]  # and as mode direct means it where there is no rsync
    syncs += [sync(sources["alone"], tmp_path / ("alone-%d" % number), name="alone-%d" % number, mode="direct",
                   rsync={"binary": "/there/is/no/rsync"}, **{key: rules}) for number, (key, rules, _gone) in enumerate(rows)]
    running = daemon(*syncs, settings={"statusInterval": 1, "maxProcesses": 4}, options=(), form="json")
    make(sources["written"], *DIALECT_TREE)
    make(tmp_path / "outside", *DIALECT_TREE)
    for path in sorted(os.listdir(str(tmp_path / "outside"))):
        os.rename(str(tmp_path / "outside" / path), str(sources["moved"] / path))

    wrong = []

    def look():
        del wrong[:]
        for number, (key, rules, gone) in enumerate(rows):
            got = {when: {name for name in names(tmp_path / ("%s-%d" % (when, number)))
                          if not name.endswith("/") and name != "first"} for when in sources}
            for when in sources:
                wanted = got["start"] if gone is None else set(DIALECT_TREE) - set(gone)
                if got[when] != wanted:
                    wrong.append("%s %s, %s: sent against the rule %s, missing %s" % (
                        key, rules, when, sorted(got[when] - wanted), sorted(wanted - got[when])))
        return not wrong
    running.wait_idle()
    running.wait(look, lambda: "the same everywhere\n  " + "\n  ".join(wrong), limit=15)
    for source in sources.values():  # nothing comes late
        make(source, "first", text="last")
    running.wait(lambda: all((tmp_path / one["name"] / "first").read_text() == "last"
                             for one in syncs if (tmp_path / one["name"] / "first").exists()), "the last change")
    assert look(), wrong


# trap 40
def test_two_daemons_that_mirror_to_each_other_settle(tmp_path, src, dst, daemon, rsync):
    make(src, "a", "d/b")
    one, other = rsync("one"), rsync("other")
    tables = [{"binary": binary.path, "update": True, "temp_dir": str(tmp_path)} for binary in (one, other)]
    first = daemon(sync(src, dst, delete="running", rsync=tables[0]))
    second = daemon(sync(dst, src, delete="running", rsync=tables[1]))
    before = len(one.calls()) + len(other.calls())
    make(src, "from-one", "d/e/f")
    make(dst, "from-other", "d/g")
    os.unlink(str(src / "a"))
    first.wait_equal(src, dst)
    second.wait(lambda: {"from-one", "from-other", "d/e/f", "d/g"} <= names(src) and "a" not in names(dst), "both changes")

    def settled():  # no call for many delays
        number = len(one.calls()) + len(other.calls())
        try:
            wait_for(lambda: len(one.calls()) + len(other.calls()) > number, "a call", limit=1.5)
        except AssertionError:
            return True
        return False
    second.wait(settled, "both to settle")
    assert len(one.calls()) + len(other.calls()) - before < 14
    first.wait_equal(src, dst)
