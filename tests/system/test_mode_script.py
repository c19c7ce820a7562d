"""Mode script: the functions of a user's file, called by the real daemon.

Scripts tell what they were told by appending lines to files, which tests wait for.
"""

import os
import re
import shutil
import signal
import textwrap
import time
from pathlib import Path

import pytest

from harness import LOG_LINE, make, sync, tree
from test_traps import HOSTILE, RENAMES, become

# What scripts of tests begin with: tell("NAME", …) appends a line.
TELL = """
import os, time
def tell(name, *words):
    with open(os.path.join(%r, name), "a", errors="surrogateescape") as file:
        file.write(" ".join(map(str, words)).replace("\\n", "?") + "\\n")
"""


def kept(root):
    """Return what all variants keep: all but the times of directories, and the root itself."""
    found = tree(root, archive=True)
    found.pop(b".", None)
    return {path: entry._replace(mtime=None) if entry.type == "directory" else entry for path, entry in found.items()}


def wait_kept(running, src, *targets, limit=30):
    def what():
        lines = []
        for target in targets:
            ours, theirs = kept(src), kept(target)
            lines += ["%s: %r: %s, not %s" % (target.name, path, theirs.get(path), ours.get(path))
                      for path in sorted(set(ours) | set(theirs)) if ours.get(path) != theirs.get(path)]
        return "equal trees\n  " + "\n  ".join(lines[:30])
    running.wait(lambda: all(kept(src) == kept(target) for target in targets), what, limit)


def descriptors(running):
    return sorted(os.readlink("/proc/%d/fd/%s" % (running.pid, fd)) for fd in os.listdir("/proc/%d/fd" % running.pid)
                  if os.path.lexists("/proc/%d/fd/%s" % (running.pid, fd)))


def used(running):
    """Return the seconds of CPU that a daemon itself has taken so far."""
    fields = Path("/proc/%d/stat" % running.pid).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def errors(running, name=None):
    """Return the Error lines of the log, of a sync only with a name."""
    return re.findall(r"(?m)^.* Error: (%s.*)$" % (name + ": " if name else ""), running.log())


class Scripts:
    """The folder of the scripts, and what they have told."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def write(self, name, code, plain=False):
        """(Re)write a script; return its path. plain: without `tell`, so that its lines are its own."""
        path = self.folder / (name + ".py")
        path.write_text(("" if plain else TELL % str(self.folder)) + textwrap.dedent(code))
        return path

    def table(self, name, code, src, target=None, plain=False, **keys):
        """Return the sync of a script."""
        table = sync(src, target or (), name, mode="script", script=str(self.write(name, code, plain)), **keys)
        if target is None:
            del table["target"]
        return table

    def told(self, name):
        try:
            return (self.folder / name).read_bytes().decode(errors="surrogateescape").splitlines()
        except FileNotFoundError:
            return []

    def line(self, name, text):
        """Return the number of the first line of a script that holds a text."""
        lines = (self.folder / (name + ".py")).read_text().splitlines()
        return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.fixture
def scripts(tmp_path):
    return Scripts(tmp_path / "scripts")


# ---- a changing tree -------------------------------------------------------------------------------

EVENTS = """
def on_startup(sync): return default.%(mode)s(sync)
def on_create(event): return default.%(mode)s(event)
on_modify = on_attrib = on_delete = on_create
"""
MOVES = """
def on_move(origin, destination):
    yield default.%(mode)s(destination)
"""
BATCHES = """
def on_startup(sync): return default.%(mode)s(sync)
def action(inbox): return default.%(mode)s(inbox)
"""
SORTED = """
def on_startup(sync): yield default.rsync(sync)
def action(inbox):
    gone = inbox.events(lambda event: event.kind == "Delete")
    if gone:
        yield default.rsync(gone)
    yield shell("exit 3")
    yield default.rsync(inbox)
"""
OWN = """
def on_startup(sync):
    yield spawn(["rm", "-rf", sync.target])
    yield shell('cp -a "$1" "$2"', sync.source, sync.target)
def on_create(event):
    if event.is_dir:
        yield spawn(["mkdir", "-p", event.target_pathname])
        yield spawn(["chmod", "--reference=" + event.source_pathname, event.target_pathname])
    else:
        yield spawn(["cp", "-aT", "--remove-destination", event.source_pathname, event.target_pathname])
on_modify = on_attrib = on_create
def on_delete(event): return spawn(["rm", "-rf", event.target_pathname])
"""
OWN_MOVES = """
def on_move(origin, destination):
    return spawn(["mv", "-fT", origin.target_pathname, destination.target_pathname])
"""
VARIANTS = {
    "events-rsync": EVENTS % {"mode": "rsync"}, "events-direct": EVENTS % {"mode": "direct"},
    "moves-rsync": (EVENTS + MOVES) % {"mode": "rsync"}, "batch-rsync": BATCHES % {"mode": "rsync"},
    "batch-direct": BATCHES % {"mode": "direct"}, "sorted": SORTED, "own": OWN, "own-moves": OWN + OWN_MOVES,
}


# trap 13, 14
def test_every_way_to_write_a_mirror_ends_equal(tmp_path, src, scripts, daemon):
    """With hooks around each job in half of them, one or four jobs at a time, and none of our descriptors lost."""
    outside = make(tmp_path / "outside", "f", "deep/g", "precious")
    hooks = {"before": "/bin/true", "after": "cat > /dev/null"}
    targets, tables = [], []
    for number, (name, code) in enumerate(VARIANTS.items()):
        targets.append(tmp_path / ("to-" + name))
        targets[-1].mkdir()
        keys = {"onBatch": hooks} if number % 2 else {}
        tables.append(scripts.table(name, code, src, targets[-1], plain=True, rsync={"archive": True},
                                    maxProcesses=4 if number in (0, 3, 6, 7) else 1, delay=0.1 if number != 5 else 0.7, **keys))
    for operations in RENAMES:
        make(src / operations.__name__, "a", "b", "d/x", "d/y", "d/sub/z", "empty/")
    make(tmp_path / "in", "f", "sub/g", "sub/empty/")
    make(src, "out/f", "out/sub/g", "file", "mode", "deep/d/f")
    running = daemon(*tables, options=["-log", "Exec"])
    wait_kept(running, src, *targets)
    before = descriptors(running)

    for operations in RENAMES:
        operations(src / operations.__name__)
    make(src, "new/sub/f", "new/g", "file", text="changed")
    os.chmod(str(src / "mode"), 0o600)
    os.chmod(str(src / "deep/d"), 0o711)
    os.utime(str(src / "deep/d/f"), (1, 1))
    os.symlink("nowhere", str(src / "link"))
    os.rename(str(tmp_path / "in"), str(src / "in"))
    os.rename(str(src / "in/sub"), str(src / "in/moved"))
    os.rename(str(src / "out"), str(tmp_path / "out"))
    for kind in ("file", "directory", "link", "directory", "file", "link"):
        become(src / "it", kind, outside)
        become(src / "deep/it", kind, outside)
    kept_outside = tree(outside, archive=True)
    wait_kept(running, src, *targets)
    os.rename(str(src / "deep"), str(src / "deeper"))
    make(src, "deeper/d/f", "deeper/d/g/h", text="in a new place")
    shutil.rmtree(str(src / "in"))
    wait_kept(running, src, *targets)
    running.wait_idle()
    assert tree(outside, archive=True) == kept_outside
    assert errors(running) == [] and descriptors(running) == before


# trap 4, 36, 37
def test_names_of_every_kind_arrive_and_forge_no_line(tmp_path, src, dst, scripts, daemon):
    code = OWN.replace("def on_create(event):\n", "def on_create(event):\n    log('Normal', 'made ' + event.path)\n")
    code += OWN_MOVES + "def collect(job, status): log('Info', repr(job.argv))\n"
    running = daemon(scripts.table("names", code, src, dst, maxProcesses=4))
    root = os.fsencode(str(src))
    for name in HOSTILE:
        os.makedirs(root + b"/d" + name[:254])
        for path in (name, b"d" + name[:254] + b"/" + name):
            with open(root + b"/" + path, "wb") as file:
                file.write(name)
    wait_kept(running, src, dst)
    for name in HOSTILE:
        os.rename(root + b"/d" + name[:254], root + b"/m" + name[:254])
        os.unlink(root + b"/" + name)
    wait_kept(running, src, dst)
    running.wait_idle()
    assert not [line for line in running.log().split("\n") if line and not LOG_LINE.fullmatch(line)]
    assert re.search(r" Normal: names: made .*\\xff", running.log()), "lines of a script are named after its sync"


@pytest.mark.parametrize("kind", ["ssh", "::"])
def test_a_target_of_another_host(kind, src, place, scripts, daemon, request):
    far = place(kind)
    make(src, "a", "d/b")
    table = {"archive": True, **far.rsync}
    tables = [scripts.table("far", BATCHES % {"mode": "rsync"}, src, far.target, rsync=table)]
    if kind == "ssh":
        ssh = request.getfixturevalue("ssh")
        other = place("ssh", "dst2")
        tables.append(scripts.table("farther", EVENTS % {"mode": "rsyncssh"}, src, other.target, rsync={"archive": True},
                                    ssh={"_extra": ssh.options}))
    running = daemon(*tables)
    make(src, "a", text="new")
    os.rename(str(src / "d"), str(src / "e"))
    (src / "e/b").unlink()
    wait_kept(running, src, *[far.path] + [other.path for _ in tables[1:]])
    assert errors(running) == []


# ---- scripts that raise ----------------------------------------------------------------------------

RAISING = {
    "on-create": "def on_create(event): raise ValueError('oops')",
    "on-modify": "def on_modify(event): raise ValueError('oops')",
    "on-attrib": "def on_attrib(event): raise ValueError('oops')",
    "on-delete": "def on_delete(event): raise ValueError('oops')",
    "on-move": "def on_move(origin, place): raise ValueError('oops')",
    "action": "def action(inbox):\n    inbox.events()\n    raise ValueError('oops')",
    "in-a-test": "def action(inbox):\n    inbox.events(lambda event: oops())",
    "collect": "def on_create(event): return spawn(['true'])\ndef collect(job, status): raise ValueError('oops')",
    "second-step": "def on_create(event):\n    yield spawn(['true'])\n    raise ValueError('oops')",
    "a-helper": "def on_create(event): helper()\ndef helper():\n    raise ValueError('oops')",
    "leaves": "import sys\ndef on_create(event): sys.exit('oops')",
    "interrupts": "def on_create(event): raise KeyboardInterrupt('oops')",
    "stops": "def on_create(event): return next(iter([])) # oops",
    "cancels": "import asyncio\ndef on_create(event): raise asyncio.CancelledError('oops')",
    "answers": "def on_create(event): return ['oops']",
    "spoils": "def prepare(config): config.source = None\ndef on_create(event): raise ValueError('oops')",
}
MENDED = """
def on_create(event): tell("%(name)s", event.kind, event.path)
on_modify = on_attrib = on_delete = on_create
def on_move(origin, place): tell("%(name)s", "Move", place.path)
"""
MENDED_BATCH = """
def action(inbox):
    for event in inbox.events():
        tell("%(name)s", event.kind, event.path)
"""
NEEDS = {"on-modify": "Modify m", "on-attrib": "Attrib t", "on-delete": "Delete d", "on-move": "Move place"}


# trap 22
def test_a_script_that_raises_fails_its_sync_until_it_is_mended(src, dst, scripts, daemon):
    """Each in its own sync; others go on; SIGHUP takes the new code, though the configuration is the same."""
    make(src, "m", "t", "d", "origin")
    tables = [scripts.table(name, code, src, "/nowhere", plain=True) for name, code in RAISING.items()]
    beep = "def beep():\n    raise ValueError('oops')\ndef on_create(event): alarm(0.01, beep)\n"
    tables.append(scripts.table("alarm", beep, src, plain=True))
    running = daemon(*tables, scripts.table("good", BATCHES % {"mode": "rsync"}, src, dst), sync(src, str(dst) + "2", "plain"),
                     options=["-log", "Exec"])
    make(src, "new")
    make(src, "m", text="changed")
    os.chmod(str(src / "t"), 0o600)
    (src / "d").unlink()
    os.rename(str(src / "origin"), str(src / "place"))
    for name in [*RAISING, "alarm"]:
        running.wait_status(name, state="failed")
    make(src, "later")
    running.wait_equal(src, dst)
    running.wait_equal(src, str(dst) + "2")
    for name, code in [*RAISING.items(), ("alarm", beep)]:
        (line,) = errors(running, name)
        assert re.match(r"%s: %s/%s\.py:\d+: \w+: " % (name, scripts.folder, name), line), line
        if name not in ("alarm", "answers"):
            expected = max(number for number, text in enumerate(code.split("\n"), 1) if "oops" in text)
            assert "%s.py:%d: " % (name, expected) in line, line
        assert running.status()[name].delays > 0 or name == "alarm"
    assert errors(running, "good") == errors(running, "plain") == []

    for name in RAISING:
        scripts.write(name, (MENDED_BATCH if name in ("action", "in-a-test") else MENDED) % {"name": name})
    running.kill(signal.SIGHUP)
    for name in RAISING:
        wanted = NEEDS.get(name, "Create new")
        running.wait(lambda: wanted in scripts.told(name), lambda: "%s of %s; told were %s" % (wanted, name, scripts.told(name)))
        running.wait_status(name, state="idle", delays=0)
    assert [line for line in errors(running) if not re.match("(%s|alarm): " % "|".join(RAISING), line)] == []


BROKEN = {
    "raises": ("1 / 0\ndef on_create(event): pass", r"SCRIPT:1: the script: ZeroDivisionError: "),
    "prepare": ("def on_create(event): pass\ndef prepare(config):\n    config.nothing", r"SCRIPT:3: prepare: AttributeError: "),
    "syntax": ("def on_create(event):\n    return (\n", r"SCRIPT:2: '\(' was never closed \(|SCRIPT:2: unexpected EOF|SCRIPT:3: unexpected EOF"),
    "both": ("def on_create(event): pass\ndef action(inbox): pass", r"SCRIPT:.* action stands beside on_create"),
    "nothing": ("x = 5", r"SCRIPT:.* defines none of "),
    "none": ("on_create = 5", r"SCRIPT:.* on_create is no function"),
    "leaves": ("def on_create(event): pass\nraise SystemExit(0)", r"SCRIPT:2: the script: SystemExit: 0"),
    "interrupts": ("def on_create(event): pass\ndef prepare(config):\n    raise KeyboardInterrupt", r"SCRIPT:3: prepare: KeyboardInterrupt"),
    "stops": ("def on_create(event): pass\ndef prepare(config): next(iter([]))", r"SCRIPT:2: prepare: StopIteration"),
    "deep": ("x = " + "-" * 100000 + "1", r"SCRIPT:"),
    "missing": (None, r"CONF:\d+: script: cannot read SCRIPT: No such file"),
}


@pytest.mark.parametrize("kind", list(BROKEN))
def test_a_script_that_cannot_be_loaded_ends_the_start_in_one_line(kind, tmp_path, src, scripts, cli):
    code, words = BROKEN[kind]
    path = scripts.write("broken", code or "", plain=True)
    if code is None:
        path.unlink()
    conf = tmp_path / "conf"
    conf.write_text("[settings]\nlogfile = %s/log\n[sync]\nmode = script\nsource = %s\nscript = %s\n" % (tmp_path, src, path))
    wanted = words.replace("SCRIPT", re.escape(str(path))).replace("CONF", re.escape(str(conf)))
    ran = cli("-nodaemon", conf)
    assert ran.returncode == 255 and "Traceback" not in ran.stderr and "defect" not in ran.stderr
    assert re.search(wanted, ran.stderr) and len(ran.stderr.strip().split("\n")) == 1, ran.stderr
    checked = cli("-check", conf)
    if kind in ("syntax", "missing", "deep", "both", "nothing"):
        assert checked.returncode == 255 and re.search(wanted, checked.stderr) and "conf:6: script" in checked.stderr
    else:  # what a script does when it is run is not asked by a check
        assert (checked.returncode, checked.stdout) == (0, "OK\n"), checked


def test_a_start_up_that_fails_ends_the_start(tmp_path, src, scripts, cli):
    for code, words in (("raise ValueError('oops')", "broken.py:2: on_startup: ValueError: oops"),
                        ("return spawn(['false'])", "on_startup ended with 1"), ("return 'again'", "on_startup says again")):
        path = scripts.write("broken", "def on_startup(sync):\n    %s\n" % code, plain=True)
        conf = tmp_path / "conf"
        conf.write_text("[settings]\nlogfile = %s/log\n[sync www]\nmode = script\nsource = %s\nscript = %s\n" % (tmp_path, src, path))
        for options in (["-nodaemon"], ["-onepass"]):
            ran = cli(*options, conf)
            assert ran.returncode == 255 and words in ran.stderr and "Traceback" not in ran.stderr, (options, ran)


def test_a_reload_with_a_broken_script_leaves_the_old_one(src, dst, scripts, daemon):
    good = BATCHES % {"mode": "direct"} + "# %s\n"
    running = daemon(scripts.table("www", good % "one", src, dst, plain=True))
    for number, (code, words) in enumerate(BROKEN.values(), 1):
        path = scripts.write("www", code or "", plain=True)
        if code is None:
            path.unlink()
        running.kill(signal.SIGHUP)
        running.wait(lambda: running.log().count("the new configuration is refused, the old one stays") == number,
                     "refusal %d: %s" % (number, words))
        assert re.search(words.replace("SCRIPT", re.escape(str(path))).replace("CONF", r"\S+"), running.log()), words
        make(src, "after%d" % number)
    running.wait_equal(src, dst)
    scripts.write("www", good % "two", plain=True)
    running.kill(signal.SIGHUP)
    running.wait_log("configuration read again")
    make(src, "last")
    running.wait_equal(src, dst)


# ---- scripts that take their time ------------------------------------------------------------------

def test_a_function_that_hangs_is_told_of_while_it_does_and_the_others_go_on(src, dst, scripts, daemon):
    code = """
        def on_create(event):
            while event.name == "slow" and not os.path.exists(os.path.join(os.path.dirname(__file__), "go-on")):
                time.sleep(0.02)
            tell("done", event.path)
    """
    running = daemon(scripts.table("slow", code, src), sync(src, dst, "plain"), scripts.table("good", BATCHES % {"mode": "rsync"}, src, str(dst) + "2"))
    make(src, "slow")
    running.wait_log(r"Warn: slow: %s/slow\.py:%d: on_create has been running for 1 s" % (scripts.folder, scripts.line("slow", "time.sleep")))
    make(src, "meanwhile")
    assert scripts.told("done") == []
    (scripts.folder / "go-on").touch()
    running.wait_equal(src, dst)
    running.wait_equal(src, str(dst) + "2")
    running.wait(lambda: sorted(scripts.told("done")) == ["meanwhile", "slow"], "both to be done")
    running.wait_idle()
    assert running.log().count("has been running") == 1 and errors(running) == []


def test_steps_that_never_end_fail_their_sync_only(src, dst, scripts, daemon):
    running = daemon(scripts.table("waits", "def on_create(event):\n    while True:\n        yield\n", src), sync(src, dst, "plain"))
    make(src, "a")
    running.wait_log(r"Error: waits: .*waits\.py:\d+: on_create: RuntimeError: yields again and again, and nothing to be run")
    running.wait_equal(src, dst)


# ---- alarms, and ends ------------------------------------------------------------------------------

def test_alarms_go_on_and_an_end_of_the_scripts_comes_after_what_is_pending(src, dst, scripts, daemon):
    code = """
        count = 0
        def beep():
            global count
            count += 1
            tell("beeps", count)
            yield shell("echo said by the child; exit 3")
            alarm(0.05, beep)
            if os.path.exists(os.path.join(os.path.dirname(__file__), "end")):
                terminate(7)
        def on_startup(sync): alarm(0, beep)
        def on_create(event):
            yield spawn(["sleep", "0.1"])
            tell("created", event.path)
        def prepare(config): log("Info", "prepared")
    """
    running = daemon(scripts.table("beeps", code, src, delay=60), sync(src, dst, "plain", delay=60), wait=False)
    running.wait(lambda: len(scripts.told("beeps")) > 5, "beeps")
    make(src, "a", "d/b")
    running.wait_status("plain", delays=lambda number: number > 0)
    running.wait_status("beeps", delays=lambda number: number > 0)
    assert scripts.told("created") == []
    (scripts.folder / "end").touch()
    assert running.ended() == 7
    assert sorted(scripts.told("created")) == ["a", "d/", "d/b"] and tree(src) == tree(dst)
    assert scripts.told("beeps") == [str(number) for number in range(1, len(scripts.told("beeps")) + 1)]
    log = running.log()
    assert "beeps: prepared" in log and "beeps: said by the child" in log
    assert "Normal: ended by the script of beeps" in log and "Error" not in log and "not sent" not in log


def test_what_waits_for_nothing_burns_nothing(src, scripts, daemon):
    """An inbox that nobody takes from, an alarm far off, a suspended generator."""
    running = daemon(scripts.table("leaves", "def action(inbox): tell('asked')", src),
                     scripts.table("sleeps", "def on_create(event):\n    yield spawn(['sleep', '100'])\n", src),
                     scripts.table("later", "alarm(1000, print)", src), settings={"shutdownTimeout": 0.2}, options=())
    make(src, "a", "b", "d/c")
    running.wait_status("sleeps", in_flight="1")
    running.wait(lambda: scripts.told("asked"), "a batch")
    before, began, count = used(running), time.monotonic(), len(scripts.told("asked"))
    running.wait(lambda: len(scripts.told("asked")) > count + 1, "two more batches")
    assert used(running) - before < 0.15 * (time.monotonic() - began) + 0.1


# trap 8
@pytest.mark.parametrize("hold", [False, True])
def test_what_is_pending_at_term_is_done(hold, src, dst, scripts, daemon):
    code = """
        def on_create(event):
            try:
                yield shell("%s")
                yield default.direct(event)
                tell("created", event.path)
            finally:
                tell("closed", event.path)
                if %r: 1 / 0
        def late(): tell("created", "alarm")
        alarm(1000, late)
    """ % ("sleep 100" if hold else "sleep 0.01", hold)
    running = daemon(scripts.table("www", code, src, dst, delay=0 if hold else 60, rsync={"archive": True}),
                     settings={"shutdownTimeout": 0.3 if hold else 30})
    make(src, "a", "b", "c")
    if hold:
        running.wait_status(in_flight="1")
    else:
        running.wait_status(delays=3)
    began = time.monotonic()
    assert running.stop() == 143
    if hold:  # the children are killed, the generators closed, and nothing is heard of it but in the log
        assert time.monotonic() - began < 15 and scripts.told("created") == []
    else:
        assert sorted(scripts.told("created")) == ["a", "b", "c"] and tree(src) == tree(dst)
    assert "Traceback" not in running.output() + running.log() and "Exception ignored" not in running.output()


def test_an_inbox_that_nobody_takes_from_does_not_hold_up_the_end(src, scripts, daemon):
    running = daemon(scripts.table("leaves", "def action(inbox): tell('asked')", src))
    make(src, "a")
    running.wait(lambda: scripts.told("asked"), "a batch")
    assert running.stop(limit=15) == 143
    assert "1 change was not sent" in running.log()


def test_onepass_runs_the_start_up_only(tmp_path, src, dst, scripts, cli):
    make(src, "a", "d/b")
    code = """
        def on_startup(sync):
            tell("told", "startup", sync.name)
            yield default.rsync(sync)
            yield shell("exit 0")
        def on_create(event): tell("told", event.path)
        def beep(): tell("told", "beep")
        alarm(0, beep)
    """
    conf = tmp_path / "conf"
    conf.write_text("[settings]\nlogfile = %s/log\n[sync www]\nmode = script\nsource = %s\ntarget = %s\nscript = %s\n"
                    "[sync none]\nmode = script\nsource = %s\nscript = %s\n"
                    % (tmp_path, src, dst, scripts.write("www", code), src, scripts.write("none", "def on_create(event): tell('told', 'none')")))
    ran = cli("-onepass", conf)
    assert ran.returncode == 0, ran
    assert scripts.told("told") == ["startup www"]
    assert {path for path in tree(dst)} == {b"a", b"d", b"d/b"}


# trap 9
def test_an_overflown_kernel_queue_runs_the_start_up_again(src, dst, scripts, daemon):
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > 100000:
        pytest.skip("fs.inotify.max_queued_events is %d: too many events to make" % queue)
    make(src, "a", "b", "d/gone")
    code = "def on_startup(sync):\n    tell('starts', 1)\n    return default.rsync(sync)\n"
    running = daemon(scripts.table("events", code.replace("rsync(", "direct(") + "def on_create(event): return default.direct(event)\n"
                                   "on_modify = on_attrib = on_delete = on_create\n", src, dst, rsync={"archive": True}),
                     scripts.table("batches", code + "def action(inbox): return default.rsync(inbox)", src, str(dst) + "2", rsync={"archive": True}),
                     options=["-log", "Exec"])
    assert len(scripts.told("starts")) == 2
    running.kill(signal.SIGSTOP)
    paths = [str(src / "a"), str(src / "b")]
    for number in range(queue // 2 + 100):
        for path in paths:
            os.utime(path, ns=(number, number))
    make(src, "late/x/y", "d/z")
    (src / "d/gone").unlink()
    running.kill(signal.SIGCONT)
    running.wait(lambda: kept(src) == kept(dst) == kept(str(dst) + "2"), "equal trees")
    assert 4 <= len(scripts.told("starts")) <= 8
    make(src, "late/x/more")
    running.wait(lambda: kept(src) == kept(dst) == kept(str(dst) + "2"), "equal trees")
