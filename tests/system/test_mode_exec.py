"""Mode exec: what its actions are told, in which order, and what their ends come to.

Actions write what they are told to a file (`teller`), one record a run; `told` reads it.
"""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from harness import LOG_LINE, make, mirroring, sync_by_actions, teller, told, tree
from churn import MIXED, RENAMES as CHURN_RENAMES, Churn
from test_traps import HOSTILE, RENAMES, become

EVENTS = ("Create", "Modify", "Attrib", "Delete", "Move")
OF_SYNC = ("source", "target")
OF_PATH = ("path", "pathname", "pathdir", "sourcePath", "sourcePathname", "sourcePathdir",
           "targetPath", "targetPathname", "targetPathdir")


def telling(where, *events, words=("^path",)):
    """Return actions that write down their event and words."""
    return {"on" + event: teller(where, event, *(("^o.path", "^d.path") if event == "Move" else words))
            for event in events or EVENTS[:4]}


def held_by(folder, where, *words):
    """Return an action that tells of its beginning and its end, and does not end while there is folder/hold."""
    return "%s; while [ -e %s/hold ]; do sleep 0.03; done; %s" % (
        teller(where, "begin", *words), folder, teller(where, "end", *words))


# ---- what they are told ------------------------------------------------------------------------

def values(source, target, path, prefix=""):
    """Return what the variables of a path ("d/" for a directory) stand for."""
    name = path.rstrip("/")
    above = name[:name.rfind("/") + 1]
    parts = {"path": path, "pathname": name, "pathdir": above}
    return [parts[word] if word in parts else root + parts["path" + word[10:]]
            for word in OF_PATH for root in (source + "/" if word.startswith("source") else target + "/",)]


@pytest.mark.parametrize("form", ["ini", "json"])
def test_every_action_is_told_every_variable(form, tmp_path, src, dst, daemon):
    where = tmp_path / "told"
    target = str(dst) + "/" * (form == "json")
    base = ["^" + name for name in OF_SYNC]
    of_path = ["^" + name for name in OF_PATH]
    ends = ["^%s.%s" % (end, name) for end in "od" for name in OF_PATH]
    keys = {"on" + event: teller(where, event, *base + of_path) for event in EVENTS[:4]}
    keys["onMove"] = teller(where, "Move", *base + of_path + ends)
    keys["onStartup"] = teller(where, "Startup", *base)
    running = daemon(sync_by_actions("../src" if form == "json" else src, target, **keys), form=form)

    expected = [("Startup", str(src) + "/", target)]

    def expect(event, *paths):
        found = values(str(src), str(dst), paths[0])
        if event == "Move":
            found += found + values(str(src), str(dst), paths[1])
        expected.append((event, str(src) + "/", target, *found))
        running.wait(lambda: told(where) == expected, lambda: "%r; told were %r" % (expected[-1], told(where)[len(expected) - 1:]))
    expect_nothing = told(where) == expected
    assert expect_nothing
    (src / "d d").mkdir()
    expect("Create", "d d/")
    make(src, "d d/f")
    expect("Create", "d d/f")
    with open(str(src / "d d/f"), "a") as file:
        file.write("more")
    expect("Modify", "d d/f")
    os.chmod(str(src / "d d/f"), 0o600)
    expect("Attrib", "d d/f")
    os.chmod(str(src / "d d"), 0o700)
    expect("Attrib", "d d/")
    os.rename(str(src / "d d/f"), str(src / "g"))
    expect("Move", "d d/f", "g")
    (src / "d d/e").mkdir()
    expect("Create", "d d/e/")
    os.rename(str(src / "d d"), str(src / "e"))
    expect("Move", "d d/", "e/")
    os.unlink(str(src / "g"))
    expect("Delete", "g")
    (src / "e/e").rmdir()
    expect("Delete", "e/e/")
    os.symlink("nowhere", str(src / "e/link"))
    expect("Create", "e/link")
    os.rename(str(src / "e/link"), str(tmp_path / "link"))
    expect("Delete", "e/link")
    shutil.rmtree(str(src / "e"))
    expect("Delete", "e/")
    running.wait_idle()
    assert told(where) == expected


def test_without_a_target_and_for_some_events_only(tmp_path, src, daemon):
    where = tmp_path / "told"
    running = daemon(sync_by_actions(src, name="few", onDelete=teller(where, "Delete", "^sourcePath")),
                     sync_by_actions(src, name="start", onStartup=teller(where, "Startup", "^source")))
    make(src, "d/f", "a")
    os.unlink(str(src / "a"))
    running.wait(lambda: len(told(where)) == 2, "a deletion")
    running.wait_idle()
    assert told(where) == [("Startup", str(src) + "/"), ("Delete", str(src / "a"))]
    assert "Error" not in running.log()


EVIL = HOSTILE + [b"'; touch pwned; '", b'"; touch pwned; "', b"'\"'\"; touch pwned;", b"$(touch${IFS}pwned)", b"`touch pwned`",
                  b"\ntouch pwned\n", b") touch pwned; (", b"^path", b"^source^target", b"$1", b"${1}", b"\\", b"\\\\n", b"-n",
                  b"EOF", b"#", b"# touch pwned", b"\\$(touch pwned)", b"a  *", b"\r", b"> pwned", b"a\n\n"]


# trap 4, 36, 37
def test_names_of_every_kind_are_data_in_every_quoting(tmp_path, src, daemon):
    shell, program = tmp_path / "shell", tmp_path / "program"
    (tmp_path / "tell").write_text("#!/bin/sh\nprintf '%%s\\0' $# \"$@\" >> %s\n" % program)
    (tmp_path / "tell").chmod(0o755)
    words = ["^pathname", '"^pathname"', "'^pathname'", 'x^pathname/y"^pathname z"', '"$(printf %s. ^pathname)"',
             "\"$(printf %s. \"^pathname\")\"", "\"`printf %s. '^pathname'`\"", '"${nothing:-^pathname}"']
    action = "# it's \"quoted\n" + teller(shell, "EVENT", *words) + "\ncat <<END >&2\n^pathname\nEND"
    direct = '%s %s ^pathname "^pathname" "a  ^pathname" x^pathname/y"^pathname z" \'^pathname;\' > $HOME'
    moved = (["^o.pathname", '"^d.pathname"', "'^o.pathname'", '"$(printf %s. ^d.pathname)"'], "^o.pathname x^d.pathname/y ';'")
    keys = {"on" + event: action.replace("EVENT", event) for event in EVENTS[:4]}
    keys["onMove"] = teller(shell, "Move", *moved[0])
    programs = {"on" + event: direct % (tmp_path / "tell", event) for event in EVENTS[:4]}
    programs["onMove"] = "%s Move %s" % (tmp_path / "tell", moved[1])
    running = daemon(sync_by_actions(src, name="shell", maxProcesses=4, **keys),
                     sync_by_actions(src, name="program", maxProcesses=4, **programs))
    root = os.fsencode(str(src))

    def of_shell(event, name):
        if event == "Move":
            return b"Move", name, b"to-" + name, name, b"to-" + name + b"."
        return os.fsencode(event), name, name, name, b"x" + name + b"/y" + name + b" z", *[name + b"."] * 3, name

    def of_program(event, name):
        if event == "Move":
            return b"Move", name, b"xto-" + name + b"/y", b";"
        return os.fsencode(event), name, name, b"a  " + name, b"x" + name + b"/y" + name + b" z", name + b";", b">", b"$HOME"

    def expect(event, names):
        for where, expected in ((shell, of_shell), (program, of_program)):
            wanted = {expected(event, name) for name in names}
            running.wait(lambda: wanted <= set(told(where, False)),
                         lambda: "%s, missing: %r" % (event, list(wanted - set(told(where, False)))[:2]))

    names = [name for name in EVIL if len(name) < 250]
    directories = [b"d" + name for name in names]
    for name, directory in zip(names, directories):
        os.mkdir(root + b"/" + directory)
        with open(root + b"/" + name, "wb"):
            pass
    expect("Create", names + directories)
    for name in names[::2]:
        with open(root + b"/" + name, "ab") as file:
            file.write(b"x")
    for directory in directories[1::2]:
        os.chmod(root + b"/" + directory, 0o700)
    expect("Modify", names[::2])
    expect("Attrib", directories[1::2])
    for name in names:
        os.rename(root + b"/" + name, root + b"/to-" + name)
    expect("Move", names)
    for name in names:
        os.rmdir(root + b"/d" + name)
        os.unlink(root + b"/to-" + name)
    expect("Delete", directories + [b"to-" + name for name in names])
    running.wait_idle()
    assert not [path for path in (src.parent, src, running.folder, Path.home(), Path("/")) if (path / "pwned").exists()]
    assert not [line for line in running.log().split("\n") if line and not LOG_LINE.fullmatch(line)]


# trap 36
def test_a_value_in_the_text_of_another_shell_is_refused(tmp_path, src, cli):
    conf = tmp_path / "conf"
    for action in ("/bin/sh -c 'echo ^pathname'", '/usr/bin/env bash -c "echo ^pathname"'):
        conf.write_text("[sync]\nmode = exec\nsource = %s\nonCreate = %s\n" % (src, action))
        checked = cli("-check", conf)
        assert checked.returncode == 255 and "%s:4: onCreate: " % conf in checked.stderr, checked
    conf.write_text("[sync]\nmode = exec\nsource = %s\nonCreate = /bin/sh -c 'echo \"$1\"' sh ^pathname\n" % src)
    assert cli("-check", conf).returncode == 0


# ---- a mirror of actions -----------------------------------------------------------------------

def kept(root):
    """Return what the actions keep: all but the times of directories, and the root itself."""
    found = tree(root, archive=True)
    found.pop(b".", None)
    return {path: entry._replace(mtime=None) if entry.type == "directory" else entry for path, entry in found.items()}


def wait_kept(running, src, *targets, limit=30):
    def what():
        lines = []
        for target in targets:
            ours, theirs = kept(src), kept(target)
            lines += ["%s: %r: %s, not %s" % (target, path, theirs.get(path), ours.get(path))
                      for path in sorted(set(ours) | set(theirs)) if ours.get(path) != theirs.get(path)]
        return "equal trees\n  " + "\n  ".join(lines[:30])
    running.wait(lambda: all(kept(src) == kept(target) for target in targets), what, limit)


# trap 13, 14
def test_a_mirror_of_actions_only_ends_equal(tmp_path, src, daemon):
    outside = make(tmp_path / "outside", "f", "deep/g", "precious")
    variants = [(True, 0, 4), (True, 1, 1), (False, 0, 1), (False, 1, 4)]  # onMove, delay, maxProcesses
    targets = [tmp_path / ("dst%d" % number) for number in range(len(variants))]
    for operations in RENAMES:
        make(src / operations.__name__, "a", "b", "d/x", "d/y", "d/sub/z", "empty/")
    for name in ("in", "on"):
        make(tmp_path / name, "f", "sub/g", "sub/empty/")
    make(src, "out/f", "out/sub/g", "file", "mode", "deep/d/f")
    running = daemon(*[mirroring(src, target, moves, name="to%d" % number, delay=delay, maxProcesses=most)
                       for number, (target, (moves, delay, most)) in enumerate(zip(targets, variants))])
    wait_kept(running, src, *targets)

    for operations in RENAMES:
        operations(src / operations.__name__)
    make(src, "new/sub/f", "new/g", "file", text="changed")
    os.chmod(str(src / "mode"), 0o600)
    os.chmod(str(src / "deep/d"), 0o711)
    os.utime(str(src / "deep/d/f"), (1, 1))
    os.symlink("nowhere", str(src / "link"))
    os.mkfifo(str(src / "fifo"))
    for name in ("in", "on"):
        os.rename(str(tmp_path / name), str(src / name))
    os.rename(str(src / "in/sub"), str(src / "in/moved"))
    os.rename(str(src / "out"), str(tmp_path / "out"))
    make(tmp_path, "out/unseen", "out/sub/unseen")
    for kind in ("file", "directory", "link", "directory", "fifo", "file", "link"):
        become(src / "it", kind, outside)
        become(src / "deep/it", kind, outside)
    before = tree(outside, archive=True)
    wait_kept(running, src, *targets)
    for kind in ("directory", "link", "file"):
        become(src / "it", kind, outside)
        wait_kept(running, src, *targets)
    os.rename(str(src / "deep"), str(src / "deeper"))
    make(src, "deeper/d/f", "deeper/d/g/h", text="in a new place")
    shutil.rmtree(str(src / "in"))
    wait_kept(running, src, *targets)
    running.wait_idle()
    assert tree(outside, archive=True) == before
    assert {report.state for report in running.status().values()} == {"idle"} and " Error: " not in running.log()


def test_what_was_renamed_on_from_a_deleted_directory_is_there(tmp_path, src, daemon):
    make(src, "c/sub/x", "c/f", "a/y", "d/f", "e/f", "g/f")
    targets = [tmp_path / "dst0", tmp_path / "dst1"]
    running = daemon(mirroring(src, targets[0], True, name="now", maxProcesses=4),
                     mirroring(src, targets[1], True, name="later", delay=0.5))
    running.kill(signal.SIGSTOP)  # so that all is read at once

    def move(*ends):
        os.rename(*[str(tmp_path / end) for end in ends])
    move("src/c", "src/a/n")
    move("src/a/n/sub", "src/q")
    move("src/a", "away")
    make(src, "new/deep/")
    move("src/d", "src/new/deep/d")
    move("src/new/deep/d", "src/d2")
    move("src/new", "away.new")
    move("src/e", "src/g/e")
    move("src/g/e/f", "src/g/e/f2")
    move("src/g/e", "src/e2")
    move("src/e2/f2", "src/f3")
    move("src/g", "away.g")
    running.kill(signal.SIGCONT)
    wait_kept(running, src, *targets)
    running.wait_idle()


def _seeds(default):
    """Return the seeds that LSYNCD_LITE_SEED names (7, or 1-50), or the one."""
    first, dash, last = os.environ.get("LSYNCD_LITE_SEED", str(default)).partition("-")
    return range(int(first), int(last if dash else first) + 1)


@pytest.mark.parametrize("kind, seed", [(kind, seed) for kind, default in (("mixed", 31), ("renames", 32))
                                        for seed in _seeds(default)])
def test_random_operations_end_in_equal_trees(kind, seed, tmp_path, src, daemon):
    churn = Churn(src, seed, MIXED if kind == "mixed" else CHURN_RENAMES)
    churn.run(30)
    targets = [tmp_path / "dst0", tmp_path / "dst1"]
    running = daemon(mirroring(src, targets[0], True, name="moves", maxProcesses=4),
                     mirroring(src, targets[1], False, name="plain", delay=0.5, maxProcesses=4), options=["-log", "Exec"])
    wait_kept(running, src, *targets)
    try:
        churn.run(120)
        outside = tree(os.fsdecode(churn.outside), archive=True)
        wait_kept(running, src, *targets, limit=45)
        running.wait_idle()
        assert tree(os.fsdecode(churn.outside), archive=True) == outside
    except AssertionError:
        print("the last operations:\n  " + "\n  ".join(churn.script[-60:]))
        print("again: LSYNCD_LITE_SEED=%d python3 -m pytest tests/system/test_mode_exec.py -k %s" % (seed, kind))
        raise


# ---- order -------------------------------------------------------------------------------------

# trap 10, 14
def test_a_directory_is_told_of_before_what_is_in_it(tmp_path, src, daemon):
    where = tmp_path / "told"
    make(tmp_path / "new", "sub/old", "sub/deep/old")
    make(src, "b", "c")
    (tmp_path / "hold").touch()
    keys = telling(where, "Create", "Delete", "Move")
    keys["onModify"] = held_by(tmp_path, tmp_path / "held", "^path")
    running = daemon(sync_by_actions(src, exitcodes={"1": "again"}, **keys))
    with open(str(src / "c"), "a") as file:
        file.write("keeps it busy")
    running.wait_status(in_flight="1", delays=0)
    os.rename(str(tmp_path / "new"), str(src / "a"))
    running.wait(lambda: running.watching() == 4, "watches of what came")
    make(src, "a/sub/deep/f")
    os.rename(str(src / "b"), str(src / "a/sub/b"))
    make(src, "last")
    running.wait_status(delays=lambda number: number >= 3)
    (tmp_path / "hold").unlink()
    wanted = {"a/", "a/sub/", "a/sub/deep/", "a/sub/b", "a/sub/deep/f", "a/sub/old", "a/sub/deep/old", "last"}

    def arrived():
        return {record[-1] for record in told(where) if record[0] != "Delete"}
    running.wait(lambda: arrived() == wanted, lambda: "%s; told were %s" % (wanted, told(where)))
    running.wait_idle()
    order = [record[-1] for record in told(where) if record[0] != "Delete"]
    for path in wanted:
        above = path.rstrip("/").rpartition("/")[0]
        assert not above or order.index(above + "/") < order.index(path), order
    assert any(record[:2] in (("Move", "b"), ("Delete", "b")) for record in told(where))


def test_a_tree_that_is_moved_in_waits_the_delay_once(tmp_path, src, daemon):
    where = tmp_path / "told"
    make(tmp_path / "new", "1/2/3/4/5/6/f")
    running = daemon(sync_by_actions(src, delay=2, **telling(where, "Create")))
    began = time.monotonic()
    os.rename(str(tmp_path / "new"), str(src / "new"))
    running.wait(lambda: len(told(where)) == 8, lambda: "all levels; told were %s" % told(where))
    assert 2 <= time.monotonic() - began < 2 * 4  # not two seconds for each level


def test_a_directory_in_which_something_changes_all_the_time_is_told_of(tmp_path, src, daemon):
    where = tmp_path / "told"
    running = daemon(sync_by_actions(src, **telling(where, "Create")))
    os.makedirs(str(src / "d/e"))  # faster than it can be watched
    turn = iter(range(10000))

    def touch_and_look():
        make(src, "d/e/%d" % next(turn))
        return {("Create", "d/"), ("Create", "d/e/"), ("Create", "d/e/0")} <= set(told(where))
    running.wait(touch_and_look, lambda: "d/e/ and what is in it; told were %s" % told(where), 10)


def related(one, other):
    """Tell whether two of (path, …) are of the same path, or one above the other."""
    return any((a.rstrip("/") + "/").startswith(b.rstrip("/") + "/") or (b.rstrip("/") + "/").startswith(a.rstrip("/") + "/")
               for a in one for b in other)


def test_related_paths_are_told_in_order_and_others_at_the_same_time(tmp_path, src, daemon):
    where, folder = tmp_path / "told", tmp_path
    make(src, "old/f", "x", "d/one", "d/two")
    keys = {"on" + event: held_by(folder, where, event, "^path") for event in EVENTS[:4]}
    keys["onMove"] = held_by(folder, where, "Move", "^o.path", "^d.path")
    running = daemon(sync_by_actions(src, maxProcesses=4, **keys))
    (folder / "hold").touch()
    make(src, "x", text="changed")
    os.rename(str(src / "old"), str(src / "new"))
    running.wait(lambda: len(told(where)) == 2, "two actions that run")
    make(src, "new/f", text="changed")  # below what is renamed: waits
    with open(str(src / "x"), "a") as file:  # waits for the one before
        file.write("more")
    make(src, "a", "b")  # go on beside
    running.wait(lambda: len(told(where)) == 4, lambda: "four actions that run, not %s" % told(where))
    make(src, "c")
    (src / "d/one").unlink()
    running.wait_status(in_flight="4", delays=4)
    assert {record[1:] for record in told(where)} == {("Modify", "x"), ("Move", "old/", "new/"), ("Create", "a"), ("Create", "b")}
    (folder / "hold").unlink()
    running.wait_idle()

    for number in range(40):  # all kinds, as fast as possible
        make(src, "n%d/sub/f" % (number % 7), "g%d" % (number % 5), text=str(number))
        os.chmod(str(src / ("n%d" % (number % 7))), 0o700 + number % 8)
        if number % 3 == 0:
            shutil.rmtree(str(src / ("n%d" % (number % 7))))
        if number % 4 == 0:
            os.rename(str(src / ("g%d" % (number % 5))), str(src / ("h%d" % (number % 2))))
        if number % 5 == 0 and (src / "n2").exists() and not (src / "m2").exists():
            os.rename(str(src / "n2"), str(src / "m2"))
    running.wait_idle()
    open_now, most = [], 0
    for word, event, *paths in told(where):
        if word == "begin":
            beside = [other for other in open_now if related(paths, other[1])]
            assert not beside, "%s %s was begun while %s ran" % (event, paths, beside)
            open_now.append((event, paths))
            most = max(most, len(open_now))
        else:
            open_now.remove((event, paths))
    assert most == 4 and not open_now


# trap 1, 11
def test_out_of_order_ends_lose_nothing(tmp_path, src, daemon):
    where, folder = tmp_path / "told", tmp_path
    fails = "if [ ^pathname = slow ]; then while [ -e %s/hold ]; do sleep 0.03; done; " % folder
    fails += "if [ ! -e %s/once ]; then : > %s/once; exit 3; fi; fi; " % (folder, folder)
    running = daemon(sync_by_actions(src, maxProcesses=2, exitcodes={"3": "again"},
                                     onCreate=fails + teller(where, "Create", "^path"), onDelete=teller(where, "Delete", "^path")))
    (folder / "hold").touch()
    make(src, "slow")
    running.wait_status(in_flight="1", delays=0)
    make(src, *["quick%d" % number for number in range(30)])
    running.wait(lambda: len(told(where)) == 30, "the others")
    os.unlink(str(src / "slow"))  # waits for what is told of it now
    running.wait_status(in_flight="1", delays=1)
    (folder / "hold").unlink()
    running.wait_idle()
    assert told(where)[30:] in ([("Create", "slow"), ("Delete", "slow")], [("Delete", "slow")])
    assert sorted(told(where)[:30]) == sorted(("Create", "quick%d" % number) for number in range(30))


# ---- exit statuses -----------------------------------------------------------------------------

# trap 1, 3, 22
def test_what_exit_statuses_come_to(tmp_path, src, daemon):
    ends = {"ok": "exit 5", "unlisted": "exit 7", "again": "[ -e %s/mended ] || exit 3" % tmp_path,
            "die": "[ -e %s/mended ] || exit 4" % tmp_path, "killed": "[ -e %s/mended ] || kill -KILL $$" % tmp_path}
    sources = {name: make(tmp_path / name, "old") for name in ends}
    running = daemon(*[sync_by_actions(sources[name], name=name, exitcodes=["3 = again", "4 = die", "5=ok"],
                                       onCreate="echo %s; %s" % (name, teller(tmp_path / (name + ".told"), "Create", "^path")) + "; " + end)
                       for name, end in ends.items()])

    def count(name, path):
        return told(tmp_path / (name + ".told")).count(("Create", path))
    for name in ends:
        make(sources[name], "a")
    running.wait(lambda: count("again", "a") > 1 and count("killed", "a") > 1, "tries again")
    reports = running.wait_status("die", state="failed", delays=1)
    running.wait_log(r"Error: die: onCreate of a ended with 4: die; 1 change waits, next try in \d+ s")
    assert "ended with 4" in reports["die"].last_error
    running.wait_log(r"Error: again: onCreate of a ended with 3: again; 1 change waits, next try in \d s")
    running.wait_log(r"Error: killed: onCreate of a was killed by signal 9: killed; ")
    running.wait_log(r"unlisted: onCreate of a ended with 7: unlisted \(ignored: it is not among exitcodes\)")
    for name in ends:
        make(sources[name], "b")  # the others go on
    running.wait(lambda: all(count(name, "b") for name in ("ok", "unlisted", "again")), "b")
    running.wait_status("ok", state="idle", delays=0, last_error=None)
    running.wait_status("unlisted", state="idle", delays=0, last_error=None)
    running.wait_status("again", last_error=lambda words: words and "ended with 3" in words)
    assert count("die", "b") == 0 and count("ok", "a") == count("unlisted", "a") == 1
    assert "ok: onCreate" not in running.log()
    (tmp_path / "mended").touch()
    running.kill(signal.SIGHUP)  # somebody has mended it
    running.wait_idle()
    assert all(report.last_error is None for report in running.status().values())
    assert all(count(name, "b") for name in ends)
    for name in ("again", "die", "killed"):
        running.wait_log("Normal: %s: works again" % name)
    assert len(re.findall("Error: again: onCreate of a ended", running.log())) == 1  # the repetitions are not said


# ---- start-up ----------------------------------------------------------------------------------

def test_the_start_up_comes_before_all_else(tmp_path, src, daemon):
    where, quiet = tmp_path / "told", tmp_path / "quiet"
    start = "%s; while [ ! -e %s/go ]; do sleep 0.03; done; %s" % (teller(where, "begin"), tmp_path, teller(where, "end"))
    make(src, "old")
    running = daemon(sync_by_actions(src, name="one", maxProcesses=4, onStartup=start, **telling(where, "Create", "Delete")),
                     sync_by_actions(src, name="two", onStartup=teller(quiet, "Startup"), init=False, **telling(quiet, "Create")),
                     wait=False)
    running.wait(lambda: told(where) == [("begin",)], "the beginning")
    make(src, "a", "d/f")
    running.wait(lambda: len(told(quiet)) == 3, "the sync that has no start-up")
    running.wait_status("one", state="starting", delays=lambda number: number >= 2)
    (tmp_path / "go").touch()
    running.wait_idle()
    assert told(where)[:2] == [("begin",), ("end",)] and sorted(told(where)[2:]) == [("Create", "a"), ("Create", "d/"), ("Create", "d/f")]
    assert sorted(told(quiet)) == sorted(told(where)[2:])


@pytest.mark.parametrize("end, words", [("echo no such luck; exit 1", "ended with 1: no such luck"), ("exit 3", "ended with 3"),
                                        ("kill -TERM $$", "was killed by signal 15"), ("/no/such/program", "could not be run: there is no program /no/such/program")])
def test_a_start_up_that_fails_ends_the_daemon(end, words, tmp_path, src, daemon):
    (tmp_path / "quiet").mkdir()
    running = daemon(sync_by_actions(src, name="one", onStartup=end, exitcodes={"3": "again"}, onCreate=teller(tmp_path / "told", "x")),
                     sync_by_actions(tmp_path / "quiet", name="two", onCreate="true"), wait=False)
    assert running.ended() == 255
    errors = [line for line in running.log().split("\n") if " Error: " in line]
    assert len(errors) == 1 and "one" in errors[0] and "onStartup " + words in errors[0], running.log()
    assert not told(tmp_path / "told")


def test_with_insist_a_start_up_that_fails_is_tried_again(tmp_path, src, daemon):
    where = tmp_path / "told"
    running = daemon(sync_by_actions(src, name="one", onStartup=teller(where, "Startup") + "; [ -e %s/mended ] || exit 1" % tmp_path,
                                     exitcodes={"1": "again"}, **telling(where, "Create")),
                     settings={"insist": True}, wait=False)
    make(src, "a")
    running.wait(lambda: told(where)[:2] == [("Startup",)] * 2, "another try")
    running.wait_status("one", last_error=lambda words: words and "onStartup ended with 1" in words)
    (tmp_path / "mended").touch()
    running.wait_idle()
    assert told(where)[-1] == ("Create", "a") or "a" in os.listdir(str(src))
    assert set(told(where)[:-1]) == {("Startup",)} or set(told(where)) == {("Startup",)}
    running.wait_log("Normal: one: works again")


def test_one_pass_runs_the_start_ups_and_tells_whether_they_worked(tmp_path, src, dst, daemon):
    make(src, "a", "d/f")
    good = mirroring(src, dst, False, name="good")
    for other, status in ((sync_by_actions(src, name="none", onCreate="true"), 0),
                          (sync_by_actions(src, name="bad", onStartup="echo no; exit 3", init=False), 255),
                          (sync_by_actions(src, name="late", onStartup="exit 3", exitcodes={"3": "again"}), 255)):
        shutil.rmtree(str(dst), ignore_errors=True)
        running = daemon(good, other, options=["-onepass"], wait=False)
        assert running.ended() == status, other
        assert kept(src) == kept(dst)
        assert ("Error: %s: " % other["name"] in running.log()) == bool(status)


# ---- what is told of, and when -----------------------------------------------------------------

# trap 33, 34
def test_what_is_excluded_is_not_told_of(tmp_path, src, daemon):
    where, moves = tmp_path / "told", tmp_path / "moves"
    make(src, "plain", "b.tmp", "hidden/f", "d/f", "d/f.tmp")
    rules = {"exclude": ["*.tmp", "/hidden/"]}
    running = daemon(sync_by_actions(src, name="plain", **dict(telling(where), **rules)),
                     sync_by_actions(src, name="moves", **dict(telling(moves, *EVENTS), **rules)))
    make(src, "a.tmp", "hidden/g", "d/g.tmp", text="new")
    os.chmod(str(src / "hidden"), 0o700)
    os.rename(str(src / "plain"), str(src / "plain.tmp"))
    os.rename(str(src / "b.tmp"), str(src / "b"))
    os.unlink(str(src / "a.tmp"))
    os.rename(str(src / "d"), str(src / "e"))
    running.wait_idle()
    make(src, "e/h.tmp", "fence")
    for place in (where, moves):
        running.wait(lambda: ("Create", "fence") in told(place), "the fence")
    running.wait_idle()
    assert sorted(told(where)) == sorted([("Delete", "plain"), ("Create", "b"), ("Delete", "d/"), ("Create", "e/"),
                                          ("Create", "e/f"), ("Create", "fence")])
    renamed = [record for record in told(moves) if record not in told(where)]
    assert renamed in ([("Move", "d/", "e/")], []) and {("Delete", "plain"), ("Create", "b")} < set(told(moves))


# trap 12
def test_a_file_is_told_of_when_it_is_closed_and_under_its_last_name(tmp_path, src, daemon):
    where, moves = tmp_path / "told", tmp_path / "moves"
    running = daemon(sync_by_actions(src, name="plain", **telling(where)), sync_by_actions(src, name="moves", **telling(moves, *EVENTS)))

    def both(record):
        running.wait(lambda: all(record in told(place) for place in (where, moves)), "%s; told were %s and %s" % (
            record, told(where), told(moves)))
    with open(str(src / "slow"), "w") as slow, open(str(src / ".temp"), "w") as temp:
        for text in "abc":
            slow.write(text)
            slow.flush()
            temp.write(text)
            temp.flush()
            make(src, text)
            both(("Create", text))
        os.rename(str(src / ".temp"), str(src / "saved"))
        make(src, "d")
        both(("Create", "d"))
    both(("Create", "slow"))
    both(("Create", "saved"))
    running.wait_idle()
    for place in (where, moves):
        assert sorted(told(place)) == [("Create", name) for name in ["a", "b", "c", "d", "saved", "slow"]]


def test_what_was_renamed_over_and_deleted_is_told_of(tmp_path, src, daemon):
    where, moves = tmp_path / "told", tmp_path / "moves"
    make(src, "x", "y")
    running = daemon(sync_by_actions(src, name="plain", **telling(where)), sync_by_actions(src, name="moves", **telling(moves, *EVENTS)))
    running.kill(signal.SIGSTOP)  # so that all is read at once
    os.symlink("nowhere", str(src / "link"))
    os.rename(str(src / "link"), str(src / "x"))
    os.unlink(str(src / "x"))
    with open(str(src / ".temp"), "w"):  # never closed under a name that stays
        os.rename(str(src / ".temp"), str(src / "y"))
        os.unlink(str(src / "y"))
    make(src, "fence")
    running.kill(signal.SIGCONT)
    for place in (where, moves):
        running.wait(lambda: ("Create", "fence") in told(place), "the fence")
    running.wait_idle()
    for place in (where, moves):
        assert {("Delete", "x"), ("Delete", "y")} <= set(told(place)), told(place)


def test_what_happens_within_the_delay_is_told_as_one(tmp_path, src, daemon):
    where = tmp_path / "told"
    make(src, "mode", "gone", "again", "both", "dir/f")
    running = daemon(sync_by_actions(src, delay=600, **telling(where)))
    make(src, "new", text="1")
    make(src, "new", text="2")
    make(src, "passing")
    os.unlink(str(src / "passing"))
    os.chmod(str(src / "mode"), 0o600)
    os.chmod(str(src / "mode"), 0o640)
    make(src, "both", text="changed")
    os.chmod(str(src / "both"), 0o600)
    make(src, "gone", text="changed")
    os.unlink(str(src / "gone"))
    os.unlink(str(src / "again"))
    make(src, "again")
    shutil.rmtree(str(src / "dir"))
    make(src, "dir/")
    running.wait_status(delays=lambda number: number >= 8)
    assert told(where) == []
    assert running.stop() == 143  # and what is pending at TERM is told
    assert sorted(told(where)) == sorted([
        ("Create", "new"), ("Delete", "passing"), ("Attrib", "mode"), ("Modify", "both"), ("Delete", "gone"),
        ("Create", "again"), ("Delete", "dir/f"), ("Delete", "dir/"), ("Create", "dir/")])
    assert told(where).index(("Delete", "dir/")) < told(where).index(("Create", "dir/"))


# ---- while it runs -----------------------------------------------------------------------------

# trap 8
def test_term_runs_what_is_pending_once_and_says_what_failed(tmp_path, src, daemon):
    where, other = tmp_path / "told", make(tmp_path / "other", "a")
    running = daemon(sync_by_actions(src, name="good", maxProcesses=2, **telling(where)),
                     sync_by_actions(other, name="bad", delay=600, exitcodes={"1": "again"},
                                     onCreate=teller(tmp_path / "bad", "Create", "^path") + "; [ ^path = b ]"),
                     settings={"delay": 600})
    make(src, "a", "d/sub/f")
    make(other, "b", "c", "d")
    running.wait_status("bad", delays=3)
    running.wait_status("good", delays=lambda number: number >= 2)
    make(src, "late")  # may not have been read yet
    assert running.stop() == 143
    assert sorted(told(where)) == [("Create", path) for path in ("a", "d/", "d/sub/", "d/sub/f", "late")]
    assert sorted(told(tmp_path / "bad")) == [("Create", "b"), ("Create", "c"), ("Create", "d")]
    assert "Warn: bad: 2 changes were not sent" in running.log() and not re.search("(Warn|Error): good: ", running.log())


def test_hup_with_another_action_loses_nothing(tmp_path, src, daemon):
    old, new = tmp_path / "old", tmp_path / "new"
    start = teller(tmp_path / "starts", "Startup")
    running = daemon(sync_by_actions(src, onStartup=start, onCreate=held_by(tmp_path, old, "^path")))
    (tmp_path / "hold").touch()
    make(src, "a")
    running.wait(lambda: told(old) == [("begin", "a")], "the old action")
    make(src, "b", "d/f")
    running.wait_status(delays=lambda number: number >= 2)
    running.configure(sync_by_actions(src, onStartup=start, init=False, **telling(new)))
    running.kill(signal.SIGHUP)
    running.wait_log("configuration read again")
    make(src, "c")
    running.wait_status(delays=lambda number: number >= 3)
    assert told(new) == []  # not beside what still runs
    (tmp_path / "hold").unlink()
    running.wait(lambda: {("Create", path) for path in ("b", "c", "d/", "d/f")} <= set(told(new)), lambda: "all; %s" % told(new))
    running.wait_idle()
    assert told(old) == [("begin", "a"), ("end", "a")] and len(told(tmp_path / "starts")) == 1
    running.configure(text="[sync]\nmode = exec\nsource = %s\nonCreate = echo ^o.path\n" % src)
    running.kill(signal.SIGHUP)
    running.wait_log(r"Error: .*daemon\.ini:4: onCreate: \^o\.path")
    make(src, "e")
    running.wait(lambda: ("Create", "e") in told(new), "the new action goes on")


# trap 9
def test_an_overflown_kernel_queue_runs_the_start_up_again(tmp_path, src, dst, daemon):
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > 100000:
        pytest.skip("fs.inotify.max_queued_events is %d: too many events to make" % queue)
    make(src, "a", "b", "d/gone")
    where = tmp_path / "told"
    keys = mirroring(src, dst, True, name="mirror", maxProcesses=4)
    keys["onStartup"] = teller(where, "Startup") + "; " + keys["onStartup"]
    running = daemon(keys, sync_by_actions(src, name="blind", onDelete="true"), settings={"delay": 0.2})
    running.kill(signal.SIGSTOP)
    paths = [str(src / "a"), str(src / "b")]
    for number in range(queue // 2 + 100):
        for path in paths:
            os.utime(path, ns=(number, number))
    make(src, "late/x/y", "d/z")
    os.unlink(str(src / "d/gone"))
    running.kill(signal.SIGCONT)
    wait_kept(running, src, dst)
    running.wait_log("(?i)overflow")
    assert len(told(where)) == 2
    make(src, "late/x/more")
    wait_kept(running, src, dst)
    assert len(re.findall("Error: blind: changes are lost", running.log())) == 1
    assert "mirror: changes are lost" not in running.log()


# trap 7
def test_a_source_that_vanishes_is_told_of_by_nothing_and_comes_back(tmp_path, src, daemon):
    where = tmp_path / "told"
    make(src, "a", "d/f")
    running = daemon(sync_by_actions(src, onStartup=teller(where, "Startup"), delay=0.5, **telling(where)))
    os.rename(str(src), str(tmp_path / "away"))
    running.wait_status(state="no source")
    os.rename(str(tmp_path / "away"), str(src))
    running.wait_idle()
    running.wait(lambda: told(where) == [("Startup",)] * 2, lambda: "a second start-up, and no deletion: %s" % told(where))
    make(src, "b")
    running.wait(lambda: told(where)[-1] == ("Create", "b"), "what comes afterwards")


# ---- -check ------------------------------------------------------------------------------------

WRONG = [  # (keys, words of the only message)
    ({"onCreate": "echo ^o.path"}, r"\^o\.path has no value here; allowed: .*\^targetPathdir"),
    ({"onStartup": "echo ^path"}, r"\^path has no value here; allowed: \^source, \^target"),
    ({"onCreate": "true", "onBatch.after": "echo ^path"}, r"\^path has no value here"),
    ({"onCreate": "cp ^path ^target"}, r"\^target: the sync has no target"),
    ({"onCreate": "/bin/echo 'it"}, r"No closing quotation"),
    ({"onCreate": "true", "exitcodes.300": "again"}, "300"),
    ({"onCreate": "true", "exitcodes.3": "maybe"}, "ok, again or die"),
    ({"onCreate": "true", "onCraete": "true"}, "unknown key; did you mean onCreate"),
    ({"onCreate": "true", "delete": "yes"}, "mode"),
    ({"onCreate": "true", "rsync.archive": "yes"}, "mode"),
    ({"onCreate": ""}, "a command"),
    ({"onCreate": "true", "onBatch.before": ""}, "a command"),
    ({"onCreate": "true", "onBatch.afterFailure": "maybe"}, "ignore, again"),
    ({"onCreate": "true", "runIfInterval": "soon"}, "a number of seconds"),
]


@pytest.mark.parametrize("form", ["ini", "json"])
def test_every_mistake_is_one_line_with_its_place(form, tmp_path, src, cli):
    conf = tmp_path / ("conf." + form)
    if form == "ini":
        lines, wanted = [], []
        for number, (keys, words) in enumerate(WRONG):
            lines += ["[sync s%d]" % number, "mode = exec", "source = %s" % src]
            lines += ["%s = %s" % pair for pair in keys.items()]
            wanted.append((r"%s:%d: %s: " % (re.escape(str(conf)), len(lines), re.escape(list(keys)[-1])), words))
        conf.write_text("\n".join(lines + ["[sync last]", "mode = exec", "source = %s" % src, ""]))
        wanted.append((r"%s:%d: " % (re.escape(str(conf)), len(lines) + 1), "does nothing"))
    else:
        import json
        syncs, wanted = [], []
        for number, (keys, words) in enumerate(WRONG):
            table = {"name": "s%d" % number, "mode": "exec", "source": str(src)}
            for key, value in keys.items():
                first, dot, last = key.partition(".")
                table.update({first: {last: value}} if dot else {key: value})
            syncs.append(table)
            wanted.append((re.escape(str(conf)) + ".*" + re.escape(list(keys)[-1].partition(".")[0]), words))
        conf.write_text(json.dumps({"sync": syncs}))
    checked = cli("-check", conf)
    assert checked.returncode == 255
    lines = checked.stderr.rstrip("\n").split("\n")
    assert len(lines) == len(wanted), checked.stderr
    for place, words in wanted:
        assert [line for line in lines if re.match(place, line) and re.search(words, line)], (place, words, checked.stderr)
    started = cli("-nodaemon", conf)
    assert started.returncode == 255 and "Traceback" not in started.stderr
