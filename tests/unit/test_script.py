"""What a user's script is told, what it may answer, and that nothing it does gets any further.

Scripts of these tests leave what they were told in a list that they import (`from seen import told`).
"""

import asyncio
import os
import signal
import sys
import textwrap
import threading
import time
from collections import namedtuple
from types import SimpleNamespace

import pytest

from world import DIRECTORY, Source, config, file

from lsyncd_lite.config.config import load as load_config
from lsyncd_lite.config.scripts import check
from lsyncd_lite.errors import ConfigError, ScriptError
from lsyncd_lite.mirror.change import FRESH, PLACE, WHOLE
from lsyncd_lite.mirror.events import Event, Kind, Seen
from lsyncd_lite.mirror.eventsync import EventSync, Inbox, Look
from lsyncd_lite.mirror.job import ACTION, BATCH, LOST, Job, Verdict
from lsyncd_lite.mirror.script import Script, places
from lsyncd_lite.system import script as system

FILE = "/etc/mirror.py"
OK, PARTIAL, AGAIN, LOOK, REDO, DIE = (Verdict.OK, Verdict.PARTIAL, Verdict.AGAIN, Verdict.LOOK, Verdict.REDO, Verdict.DIE)
CREATE, MODIFY, ATTRIB, DELETE, MOVE = Kind.CREATE, Kind.MODIFY, Kind.ATTRIB, Kind.DELETE, Kind.MOVE
WALL = 1e9
HOSTILE = [b"a\nb", b"\xff\xfe", b"caf\xc3\xa9", b"-rf", b"$(touch pwned)", b"'\"", b" ", b"\\", b"\x1b[2J", b"a]b[*?"]

Ran = namedtuple("Ran", "jobs verdict words")


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """The list that scripts write to; what signals do is as it was afterwards."""
    seen = SimpleNamespace(told=[])
    monkeypatch.setitem(sys.modules, "seen", seen)
    before = signal.getsignal(signal.SIGALRM)
    yield seen.told
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0), "a timer goes on"
    signal.signal(signal.SIGALRM, before)


def contained(function, *arguments):
    """Call a function of ours, which the daemon calls unprotected; what ends the interpreter is a failure."""
    try:
        return function(*arguments)
    except (ScriptError, StopIteration):
        raise
    except BaseException as error:
        raise AssertionError("%r got out" % type(error)) from error


class Mode:
    """A standard mode: a job for each group of entries; what a job "exits" with is its verdict."""

    def __init__(self, probes=False, then_full=()):
        self.probes, self.then_full = probes, list(then_full)
        self.planned = []
        self.protected = ()
        self.checks = self.away = self.free = False

    def protect(self, paths):
        self.protected = paths

    def probe(self):
        return Job([b"probe"], None, [], "probe") if self.probes else None

    def plan(self, entries, source, settled, wall):
        self.planned.append((list(entries), settled, wall))
        for path, marks in entries:
            job = Job([b"mirror", path], None, [(path, marks)], BATCH)
            job.then_full = path in self.then_full
            job.check = [b"check"] if self.checks else None
            job.free = self.free
            yield job

    def verdict(self, job, status, output):
        if self.away:
            job.entries = [(b"", WHOLE), *job.entries]
        return (status, "it was %s" % status.value) if isinstance(status, Verdict) else (OK, None)


class World:
    """A loaded script, what it has logged, and its mode."""

    def __init__(self, code, modes=None, **keys):
        self.lines = []
        self.modes = {"rsync": Mode(), "direct": Mode()} if modes is None else modes
        keys = {"script": FILE.encode(), "name": "www", **keys}
        self.config = config(mode="script", code=textwrap.dedent(code).encode(), **keys)
        self.calls = contained(system.Calls, self.config, lambda *line: self.lines.append(line), self.make)
        self.script = Script(self.config, self.calls)
        self.look = Look(Source({}), 7.0, 8.0)

    def make(self, mode):
        if mode not in self.modes:
            raise ValueError("no %s to this target" % mode)
        return self.modes[mode]

    def logged(self, category):
        return [words for one, words in self.lines if one == category]

    @staticmethod
    def run(steps, *ends):
        """Run a generator to its end; ends: the (status, output), or the status, of one job after the other; else 0."""
        jobs, news, ends = [], None, list(ends)
        try:
            while True:
                jobs.append(contained(steps.send, news))
                news = ends.pop(0) if ends else 0
                news = news if isinstance(news, tuple) else (news, [])
        except StopIteration as end:
            return Ran(jobs, *(end.value or (OK, None)))

    def happens(self, kind, path=b"d/f", is_dir=False, origin=None, ends=()):
        """Let the script know of an event; return what came of it."""
        steps = contained(self.script.work, event(kind, path, is_dir, origin), self.look)
        return self.run(steps, *ends)

    def startup(self, *ends):
        return self.run(self.script.startup(self.look), *ends)

    def batch(self, *events, ends=()):
        """Let the script have a batch; return (what came of it, the Inbox)."""
        inbox = Inbox()
        inbox.left = list(events)
        return self.run(contained(self.script.batch, inbox, self.look), *ends), inbox


def event(kind, path, is_dir=False, origin=None):
    return Event(kind, path, is_dir, 0.0, 0.0, origin)


def argv(ran):
    return [job.argv for job in ran.jobs]


class Clock:
    """An EventSync of a script with a clock that is moved by hand; it begins at what the clock is, as alarms do."""

    def __init__(self, code, files=(), insist=True, onepass=False, modes=None, **keys):
        self.world = World(code, modes, **{"init": True, "delay": 0.0, **keys})
        self.now = time.monotonic()
        self.source = Source({name: facts for name, facts in dict(files).items()})
        self.sync = EventSync(self.world.config, self.world.script, self.now, WALL, lambda: 0.0, insist, onepass)
        self.jobs, self.turns, self.outcomes = [], 0, []

    def happens(self, kind, path, is_dir=False):
        if kind is not DELETE:
            self.source.files[path] = DIRECTORY if is_dir else file(WALL - 100)
        self.sync.offer_event(Seen(kind, b"/src/" + path, is_dir), self.now)

    def turn(self):
        """Do what one turn of the daemon's loop does, all jobs end at once; return whether there was anything."""
        did = False
        due = self.sync.next_deadline()
        while due is not None and due <= self.now:
            did = True
            self.turns += 1
            assert self.turns < 5000, "a busy loop"
            job = self.sync.take_job(self.now, WALL, self.source)
            if job is None:
                break
            if job.purpose != LOST:
                self.jobs.append(job)
            outcome = self.sync.on_exit(job, self.ends(job), [], self.now, WALL)
            self.outcomes.append(outcome)
            due = self.sync.next_deadline()
        return did

    @staticmethod
    def ends(job):
        return int(job.argv[1]) if job.argv and job.argv[0] == b"exit" else 0

    def settle(self, seconds=0.0, turns=100):
        """Let the time go by, from one deadline to the next; return how many turns that took."""
        until, before = self.now + seconds, self.turns
        for _turn in range(turns):
            if not self.turn():
                due = self.sync.next_deadline()
                if due is None or due > until:
                    break
                self.now = due
        self.now = max(until, self.now)
        return self.turns - before


ALL = "".join("def on_%s(event, *more):\n    told.append((event,) + more)\n" % name
              for name in ("create", "modify", "attrib", "delete", "move"))
ALL = "from seen import told\n" + ALL


# ---- what a script is told -----------------------------------------------------------------------

FIELDS = {
    (b"f", False): dict(name="f", path="f", pathname="f", dir="", source_path="/src/f", source_pathname="/src/f",
                        source_dir="/src/", target_path="/dst/f", target_pathname="/dst/f", target_dir="/dst/"),
    (b"d", True): dict(name="d", path="d/", pathname="d", dir="", source_path="/src/d/", source_pathname="/src/d",
                       source_dir="/src/", target_path="/dst/d/", target_pathname="/dst/d", target_dir="/dst/"),
    (b"a/b c", False): dict(name="b c", path="a/b c", pathname="a/b c", dir="a/", source_path="/src/a/b c",
                            source_pathname="/src/a/b c", source_dir="/src/a/", target_path="/dst/a/b c",
                            target_pathname="/dst/a/b c", target_dir="/dst/a/"),
    (b"a/b/c", True): dict(name="c", path="a/b/c/", pathname="a/b/c", dir="a/b/", source_path="/src/a/b/c/",
                           source_pathname="/src/a/b/c", source_dir="/src/a/b/", target_path="/dst/a/b/c/",
                           target_pathname="/dst/a/b/c", target_dir="/dst/a/b/"),
}


@pytest.mark.parametrize("target", [b"/dst", b"/dst/"])
@pytest.mark.parametrize("kind", [CREATE, MODIFY, ATTRIB, DELETE])
def test_an_event_tells_what_has_happened_and_where(kind, target, told):
    world = World(ALL, target=target)
    for (path, is_dir), fields in FIELDS.items():
        ran = world.happens(kind, path, is_dir)
        assert ran == ([], OK, None)
        (seen,) = told.pop()
        assert {name: getattr(seen, name) for name in fields} == fields
        assert (seen.kind, seen.is_dir, seen.origin) == (kind.value, is_dir, None)
        assert (seen.source, seen.target) == ("/src/", os.fsdecode(target))
        assert seen.config is world.calls.sync.config and seen.config.name == "www"
        assert repr(seen) == "<%s %s>" % (kind.value, fields["path"])


@pytest.mark.parametrize("is_dir", [False, True])
def test_a_move_tells_of_both_ends(is_dir, told):
    World(ALL).happens(MOVE, b"b", is_dir, b"a/x")
    origin, place = told.pop()
    paths = {(b"a/x", "x", "a/"): origin, (b"b", "b", ""): place}
    for (path, name, directory), seen in paths.items():
        assert (seen.kind, seen.name, seen.dir, seen.is_dir) == ("Move", name, directory, is_dir)
        assert seen.pathname == os.fsdecode(path) and seen.path == os.fsdecode(path) + "/" * is_dir
        assert seen.target_path == "/dst/" + seen.path and seen.source_pathname == "/src/" + seen.pathname
    assert place.origin is origin and origin.origin is None


def test_a_target_of_another_host_is_as_written(told):
    World(ALL, target=b"host:/srv").happens(CREATE, b"a/b")
    (seen,) = told.pop()
    assert (seen.target, seen.target_path, seen.target_dir) == ("host:/srv", "host:/srv/a/b", "host:/srv/a/")


def test_without_a_target_nothing_is_a_path_of_it(told):
    """A relative path in place of one below the target would be one below the daemon's directory, which is "/"."""
    World(ALL, target=b"").happens(DELETE, b"etc/passwd")
    (seen,) = told.pop()
    assert not seen.target
    assert [getattr(seen, name) for name in ("target_path", "target_pathname", "target_dir") if getattr(seen, name)] == []


def test_a_script_without_a_function_for_it_does_nothing():
    world = World("def on_create(event): pass")
    assert world.script.work(event(DELETE, b"f"), world.look) is None
    assert not (world.script.takes_moves or world.script.takes_batches or world.script.has_startup)
    assert world.script.next_alarm is None and world.script.ends is None and world.script.connection is None
    assert World("def on_move(o, d): pass").script.takes_moves
    assert World("def action(inbox): pass").script.takes_batches
    assert World("def on_startup(sync): pass").script.has_startup


def test_the_start_up_is_told_of_the_sync(told):
    world = World("from seen import told\ndef on_startup(sync): told.append(sync)")
    assert world.startup() == ([], OK, None)
    (sync,) = told
    assert (sync.name, sync.source, sync.target, sync.config.name) == ("www", "/src/", "/dst/", "www")


# ---- what it wants to run ------------------------------------------------------------------------

@pytest.mark.parametrize("call, argv, stdin", [
    ("spawn(['a', b'b', pathlib.Path('/c')])", [b"a", b"b", b"/c"], None),
    ("spawn(('a',), stdin='text\\n')", [b"a"], b"text\n"),
    ("spawn(iter(['a', 'b']), stdin=b'\\0\\xff')", [b"a", b"b"], b"\0\xff"),
    ("spawn(['a'], stdin='')", [b"a"], b""),
    ("spawn(['a'], stdin=bytearray(b'x'))", [b"a"], b"x"),
    ("shell('echo $1')", [b"/bin/sh", b"-c", b"echo $1", b"sh"], None),
    ("shell('echo $1', 'a b', b'c')", [b"/bin/sh", b"-c", b"echo $1", b"sh", b"a b", b"c"], None),
    ("shell('cat', stdin='in')", [b"/bin/sh", b"-c", b"cat", b"sh"], b"in"),
])
def test_programs_and_texts_for_the_shell(call, argv, stdin):
    for code in ("import pathlib\ndef on_create(event): return %s" % call, "import pathlib\ndef on_create(event): yield %s" % call):
        jobs, verdict, words = World(code).happens(CREATE)
        (job,) = jobs
        assert (job.argv, job.stdin, job.purpose, job.entries) == (argv, stdin, ACTION, [])
        assert (verdict, words) == (OK, None)


@pytest.mark.parametrize("call", [
    "spawn('rm -rf x')", "spawn(b'ls')", "spawn([])", "spawn(None)", "spawn(5)", "spawn(['a', 5])", "spawn(['a', None])",
    "spawn(['a\\0b'])", "spawn()", "spawn(['a'], stdin=5)", "spawn(['a'], stdin=['b'])", "spawn(['a'], stdin=True)",
    "spawn(['a'], stdin=[1, 2])", "spawn(['a'], stdin={})", "spawn(['a'], stdin=open('/dev/null'))", "spawn(['a'], 'b', 'c')",
    "spawn(['a'], shell=True)", "shell()", "shell(5)", "shell('a', None)", "shell('a\\0')", "shell(['a', 'b'])",
    "default.rsync()", "default.rsync(None)", "default.rsync(5)", "default.rsync([5])", "default.rsync('path')",
    "default.rsync(event, event)", "default.nothing(event)", "default.rsyncssh(event)", "log('Normal')",
    "alarm(1)", "alarm('x', print)", "alarm(1, 5)", "alarm(None, print)", "alarm(float('nan'), print)",
    "terminate(256)", "terminate(-1)", "terminate('x')", "terminate(None)",
])
def test_what_cannot_be_is_told_with_file_and_line(call):
    world = World("\n\ndef on_create(event):\n    return %s\n" % call)
    jobs, verdict, words = world.happens(CREATE)
    assert jobs == [] and verdict is DIE
    assert words.startswith("%s:4: on_create: " % FILE) and "Traceback" not in words and "\n" not in words


def test_a_program_with_an_odd_argument_says_which():
    words = World("def on_create(event):\n    return spawn('rm -rf x')").happens(CREATE).words
    assert "'rm -rf x'" in words and "shell" in words


class Odd:
    """What scripts of tests answer, as text."""

    TRUE = "type('Equal', (), {'__eq__': lambda self, other: True, '__hash__': None})()"
    BROKEN = "type('Broken', (), {'__eq__': lambda self, other: 1 / 0})()"
    SILENT = "type('Silent', (), {'__repr__': lambda self: 1 / 0})()"


@pytest.mark.parametrize("answer", [
    "5", "0", "False", "True", "''", "'OK'", "'retry'", "b'ok'", "[]", "[spawn(['a'])]", "(spawn(['a']), None)", "['a', 'b']",
    "event", "default", "spawn", "iter([spawn(['a'])])", "{'ok'}", "'a\\n\\x1b[2J'", "'x' * 5000", Odd.TRUE, Odd.BROKEN, Odd.SILENT])
def test_an_answer_of_another_type_fails_the_sync(answer):
    codes = ["\ndef on_create(event):\n    return %s" % answer, "\ndef on_create(event):\n    yield %s" % answer,
             "\ndef on_create(event):\n    yield spawn(['a'])\n    return %s" % answer]
    for code in codes:
        jobs, verdict, words = World(code).happens(CREATE)
        assert verdict is DIE and len(jobs) == (code == codes[2])
        assert words.startswith("%s:" % FILE) and ": on_create: " in words
        assert words.isprintable() and len(words) < 700


def test_a_coroutine_is_no_answer_and_says_nothing_to_the_terminal(recwarn):
    assert World("async def on_create(event): pass").happens(CREATE).verdict is DIE
    assert [str(warning.message) for warning in recwarn] == []


def test_one_yielded_word_is_told_what_may_be_yielded():
    words = World("def on_create(event):\n    yield 'again'").happens(CREATE).words
    assert words.startswith(FILE) and "'again'" in words


def test_the_steps_of_a_generator_learn_what_became_of_each(told):
    world = World("""
        from seen import told
        def on_create(event):
            told.append((yield spawn(["one"])))
            told.append((yield None))
            told.append((yield shell("two")))
            told.append((yield spawn(["three"])))
            told.append((yield default.rsync(event)))
            told.append((yield spawn(["four"])))
    """, exitcodes=())
    ran = world.happens(CREATE, b"f", ends=[0, 3, (127, [b"not found"]), 0, 255])
    assert [words[0] for words in argv(ran)] == [b"one", b"/bin/sh", b"three", b"mirror", b"four"]
    assert told == [0, None, 3, 127, 0, 255]
    assert ran.verdict is OK


def test_a_generator_may_go_on_in_another(told):
    world = World("""
        from seen import told
        def both(event):
            yield spawn(["one"])
            return (yield spawn(["two"]))
        def on_create(event):
            told.append((yield from both(event)))
            return "again"
    """)
    ran = world.happens(CREATE, ends=[0, 7])
    assert told == [7] and ran.verdict is AGAIN and "again" in ran.words


@pytest.mark.parametrize("word, verdict", [("None", OK), ("'ok'", OK), ("'again'", AGAIN), ("'die'", DIE)])
def test_what_a_function_says_at_its_end(word, verdict):
    for code in ("def on_create(event): return %s", "def on_create(event):\n    yield None\n    return %s",
                 "def on_create(event):\n    if 0: yield\n    return %s"):
        ran = World(code % word).happens(CREATE)
        assert ran.verdict is verdict and ran.jobs == []
        assert word == "None" and not ran.words or word.strip("'") in ("ok", ran.words and ran.words.split()[-1])


@pytest.mark.parametrize("status, verdict", [(0, OK), (1, OK), (5, AGAIN), (6, DIE), (7, OK), (-9, AGAIN), (None, AGAIN)])
def test_the_exit_status_means_what_exitcodes_say(status, verdict, told):
    code = "from seen import told\ndef on_create(event):\n    told.append((yield spawn(['a'])))\n    yield spawn(['b'])\n"
    ran = World(code, exitcodes=((5, "again"), (6, "die"), (7, "ok"))).happens(CREATE, ends=[(status, [b"some words"])])
    assert ran.verdict is verdict
    assert told == ([status] if verdict is OK else []), "what comes after a failure is not done"
    assert len(ran.jobs) == 1 + (verdict is OK)
    assert verdict is OK or "on_create" in ran.words and "some words" in ran.words


def test_an_exit_status_that_nobody_looks_at_is_told_as_one_of_an_action_is():
    ran = World("def on_create(event): return spawn(['a'])").happens(CREATE, ends=[(3, [b"no such thing"])])
    assert ran.verdict is OK and ran.words and "3" in ran.words and "ignored" in ran.words


def test_a_start_up_has_to_end_with_0_unless_exitcodes_say_more():
    code = "def on_startup(sync): return spawn(['a'])"
    assert [World(code).startup(status).verdict for status in (0, 1, -15, None)] == [OK, AGAIN, AGAIN, AGAIN]
    assert [World(code, exitcodes=((1, "ok"), (2, "die"))).startup(status).verdict for status in (1, 2, 3)] == [OK, DIE, AGAIN]


def test_a_log_category_that_is_none_is_a_word_of_the_line():
    world = World("def on_create(event):\n    log('Debug', 'x')\n    log(None, 'y')")
    assert world.happens(CREATE).verdict is OK and world.lines == [("Normal", "www: Debug: x"), ("Normal", "www: None: y")]


# ---- collect -------------------------------------------------------------------------------------

COLLECT = """
from seen import told
def on_create(event): return spawn(["cp", event.path])
def collect(job, status):
    told.append((job.argv, [event.path for event in job.events], job.config.name, status))
    return {0: None, 1: "ok", 2: "again", 3: "die", 127: "die", -9: "ok"}.get(status, 5)
"""


@pytest.mark.parametrize("status, verdict", [(0, OK), (1, OK), (2, AGAIN), (3, DIE), (-9, OK), (None, DIE), (99, DIE)])
def test_collect_has_the_last_word_on_an_exit_status(status, verdict, told):
    ran = World(COLLECT, exitcodes=((1, "die"), (3, "ok"))).happens(CREATE, b"f", ends=[status])
    assert told == [(["cp", "f"], ["f"], "www", 127 if status is None else status)]
    assert ran.verdict is verdict
    if status == 99:
        assert ran.words.startswith("%s:4: collect: answers 5" % FILE)
    elif verdict is not OK:
        assert "collect" in ran.words


def test_collect_is_not_asked_of_standard_modes_and_of_every_own_step(told):
    code = COLLECT.replace('return spawn(["cp", event.path])', "yield default.rsync(event); yield spawn(['x']); yield spawn(['y'])")
    assert World(code).happens(CREATE, b"f", ends=[0, 1, 2]).verdict is AGAIN
    assert [(words, status) for words, _events, _name, status in told] == [(["x"], 1), (["y"], 2)]


def test_collect_of_a_batch_is_told_all_that_was_asked_for(told):
    code = COLLECT.replace("def on_create(event): return", "def action(inbox): event, = inbox.events(lambda e: e.name == 'b'); return")
    _ran, inbox = World(code).batch(event(CREATE, b"a"), event(CREATE, b"b"))
    assert told[0][:2] == (["cp", "b"], ["b"]) and [one.path for one in inbox.left] == [b"a"]


# ---- exceptions of every kind ----------------------------------------------------------------------

RAISED = {
    "ValueError": "raise ValueError('some words')", "no words": "raise ValueError", "KeyError": "{}['some words']",
    "of lines": "raise ValueError('one\\ntwo \\x1b[2J \\udcff')",
    "SystemExit": "raise SystemExit", "sys.exit": "import sys; sys.exit(5)", "exit": "exit('some words')",
    "KeyboardInterrupt": "raise KeyboardInterrupt", "GeneratorExit": "raise GeneratorExit",
    "StopIteration": "next(iter(()))", "StopIteration with a value": "raise StopIteration('ok')",
    "StopAsyncIteration": "raise StopAsyncIteration", "BaseException": "raise BaseException('x')",
    "CancelledError": "import asyncio; raise asyncio.CancelledError()", "own": "raise type('Own', (BaseException,), {})",
    "RecursionError": "f = lambda: f(); f()", "MemoryError": "raise MemoryError", "SyntaxError": "eval('1 +')",
    "ImportError": "import no.such.module", "OSError": "open('/no/such/file')", "ScriptError":
    "from lsyncd_lite.errors import ScriptError; raise ScriptError('x')",
    "Fatal": "from lsyncd_lite.errors import Fatal; raise Fatal('x')",
    "cannot be shown": "raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})",
    "chained": "\n    try: 1 / 0\n    except ZeroDivisionError: raise ValueError('some words')",
    "hidden line": "exec('\\n\\n1 / 0')", "group": "assert False, 'words'", "NotImplemented": "raise NotImplementedError",
}
raised = pytest.mark.parametrize("raising", list(RAISED.values()), ids=list(RAISED))


def is_told(words, name="on_create", line=None):
    """Tell whether words are one line that names the script, a line of it and the function."""
    place, _colon, rest = words.partition(": ")
    filename, _colon, number = place.rpartition(":")
    return filename == FILE and (int(number) == line if line else int(number) > 0) and rest.startswith(name + ": ") and words.isprintable()


@raised
@pytest.mark.parametrize("before", ["", "    yield None\n", "    yield spawn(['a'])\n", "    yield default.rsync(event)\n"],
                         ids=["function", "generator", "second step", "after a standard mode"])
def test_whatever_a_function_raises_fails_its_sync_only(raising, before):
    world = World("def on_create(event):\n%s    %s\n" % (before, raising))
    ran = world.happens(CREATE)
    assert ran.verdict is DIE and is_told(ran.words), ran
    assert world.happens(CREATE).verdict is DIE


@raised
def test_whatever_is_raised_by_the_other_functions_is_told_the_same_way(raising):
    body = "(*arguments):\n    %s\n" % raising
    ran = World("def on_startup" + body).startup()
    assert ran.verdict is DIE and is_told(ran.words, "on_startup")
    ran, _inbox = World("def action" + body).batch(event(CREATE, b"a"))
    assert ran.verdict is DIE and is_told(ran.words, "action")
    ran = World("def on_move" + body).happens(MOVE, b"b", False, b"a")
    assert ran.verdict is DIE and is_told(ran.words, "on_move")
    ran = World("def on_create(event): return spawn(['a'])\ndef collect" + body).happens(CREATE)
    assert ran.verdict is DIE and is_told(ran.words, "collect")
    world = World("def beep" + body + "alarm(0, beep)")
    ran = world.run(world.script.alarm(time.monotonic(), world.look))
    assert ran.verdict is DIE and is_told(ran.words, "beep")
    world = World("def action(inbox):\n    inbox.events(test)\ndef test" + body)
    ran, inbox = world.batch(event(CREATE, b"a"))
    assert ran.verdict is DIE and len(inbox.left + inbox.taken) == 1, "the event is lost"


@raised
def test_whatever_is_raised_while_it_is_loaded_refuses_the_configuration(raising):
    for code, name in (("def on_create(event): pass\ndef prepare(config):\n    %s\n", "prepare"),
                       ("def on_create(event): pass\nif True:\n    %s\n", "the script")):
        with pytest.raises(ScriptError) as error:
            World(code % raising)
        assert is_told(str(error.value), name)


def test_the_line_is_the_innermost_one_of_the_script():
    code = "import json\ndef helper():\n    json.loads('{')\n\ndef on_create(event):\n    helper()\n"
    assert is_told(World(code).happens(CREATE).words, line=3)


def test_a_function_that_takes_other_arguments_is_named_with_its_line():
    words = World("\n\ndef on_create():\n    pass\n").happens(CREATE).words
    assert is_told(words, line=3)
    words = World("\ndef on_move(event):\n    pass\n").happens(MOVE, b"b", False, b"a").words
    assert is_told(words, "on_move", 2)


def test_what_another_module_defines_is_named_with_a_line(tmp_path, monkeypatch):
    (tmp_path / "their_helper.py").write_text("def on_create(event):\n    raise ValueError('theirs')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    words = World("from their_helper import on_create\n").happens(CREATE).words
    assert ":0:" not in words and "theirs" in words


def test_an_exception_at_the_close_of_a_generator_is_told():
    """A failed step ends the generator; what that raises then must not hide the failure, nor get out."""
    code = "def on_create(event):\n    try:\n        yield spawn(['a'])\n    finally:\n        %s\n"
    for at_end in ("1 / 0", "yield spawn(['b'])", "raise SystemExit", "next(iter(()))", "raise KeyboardInterrupt"):
        ran = World(code % at_end, exitcodes=((1, "again"),)).happens(CREATE, ends=[1])
        assert len(ran.jobs) == 1 and ran.verdict in (AGAIN, DIE) and ran.words, at_end


def test_what_is_dropped_in_the_middle_is_closed(told):
    world = World("from seen import told\ndef on_create(event):\n    try:\n        yield spawn(['a'])\n"
                  "    finally:\n        told.append('closed')\n        1 / 0\n")
    steps = world.script.work(event(CREATE, b"a"), world.look)
    next(steps)
    steps.close()
    assert told == ["closed"]


# ---- batches ---------------------------------------------------------------------------------------

def paths(seen):
    return [one.path for one in seen]


def test_events_of_an_inbox_are_given_out_once(told):
    world = World("""
        from seen import told
        def action(inbox):
            told.append(inbox.events(lambda event: event.is_dir))
            told.append(inbox.events(lambda event: event.is_dir))
            told.append(inbox.events())
            told.append(inbox.events())
            told.append(inbox.config.name)
    """)
    ran, inbox = world.batch(event(CREATE, b"d", True), event(MODIFY, b"a"), event(DELETE, b"e", True))
    assert ran == ([], OK, None)
    assert [paths(seen) for seen in told[:4]] == [["d/", "e/"], [], ["a"], []] and told[4] == "www"
    assert [one.kind for one in told[0]] == ["Create", "Delete"]
    assert [one.path for one in inbox.taken] == [b"d", b"e", b"a"] and inbox.left == []


def test_what_is_not_asked_for_is_left_and_what_is_discarded_is_done(told):
    world = World("""
        from seen import told
        kept = []
        def action(inbox):
            events = inbox.events(lambda event: event.name != "c")
            inbox.discard(events[0], *events)
            inbox.discard()
            kept.extend(events)
            inbox.discard(*kept)   # of another batch, too
            told.append(inbox.events(lambda event: False))
            return spawn(["x"])
    """)
    for _time in range(2):
        ran, inbox = world.batch(event(CREATE, b"a"), event(CREATE, b"b"), event(CREATE, b"c"))
        assert ran.verdict is OK
        assert [one.path for one in inbox.taken] == [b"a", b"b"] and [one.path for one in inbox.left] == [b"c"]


def test_discard_takes_what_was_only_looked_at(told):
    world = World("""
        from seen import told
        def action(inbox):
            looked = []
            inbox.events(lambda event: looked.append(event))
            inbox.discard(*[event for event in looked if event.name == "b"])
            told.append(inbox.events())
    """)
    _ran, inbox = world.batch(event(CREATE, b"a"), event(CREATE, b"b"))
    assert paths(told[0]) == ["a"] and sorted(one.path for one in inbox.taken) == [b"a", b"b"]


@pytest.mark.parametrize("given", ["None", "5", "'a'", "[1]"])
def test_discard_of_what_is_no_event_is_told(given):
    ran, inbox = World("def action(inbox):\n    inbox.discard(%s)" % given).batch(event(CREATE, b"a"))
    assert ran.verdict is DIE and is_told(ran.words, "action", 2) and len(inbox.left) == 1


def test_a_full_inbox_is_all_of_it_and_a_full_sync(told):
    world = World("""
        from seen import told
        def action(inbox):
            told.append(inbox.full())
            yield default.rsync(inbox)
            yield spawn(["after"])
    """)
    ran, inbox = world.batch(event(MODIFY, b"a"), event(DELETE, b"b"), event(CREATE, b"d", True))
    assert ran.verdict is OK and paths(told[0]) == ["a", "b", "d/"] and inbox.left == []
    planned = [entries for entries, _settled, _wall in world.modes["rsync"].planned]
    assert planned[0] == [(b"", WHOLE)]
    assert sorted(planned[1]) == [(b"a", FRESH), (b"d", FRESH | WHOLE)], "whose content a full sync would not compare"
    assert argv(ran)[-1] == [b"after"]


def test_a_batch_in_several_steps_may_ask_between_them(told):
    code = """
        from seen import told
        def action(inbox):
            yield spawn(["before"])
            told.append(paths(inbox.events(lambda event: event.name == "a")))
            yield spawn(["between"])
            yield default.rsync(inbox)
            yield spawn(["after"])
        def paths(events): return [event.path for event in events]
    """
    clock = Clock(code)
    clock.happens(CREATE, b"a")
    clock.happens(CREATE, b"b")
    clock.settle(10)
    assert len(clock.sync.queue) == 0, "the events are told again and again"
    assert [job.argv for job in clock.jobs if job.argv[0] == b"mirror"] == [[b"mirror", b"a"], [b"mirror", b"b"]]
    assert len(clock.jobs) == 5 and told == [["a"]]


def test_what_happens_during_a_batch_comes_in_the_next(told):
    clock = Clock("""
        from seen import told
        def action(inbox):
            told.append([event.path for event in inbox.events()])
            yield spawn(["a"])
    """)
    clock.happens(CREATE, b"a")
    job = clock.sync.take_job(clock.now, WALL, clock.source)
    clock.happens(MODIFY, b"a")
    clock.happens(CREATE, b"b")
    assert clock.sync.take_job(clock.now, WALL, clock.source) is None
    clock.sync.on_exit(job, 0, [], clock.now, WALL)
    clock.settle(5)
    assert told == [["a"], ["a", "b"]] and len(clock.sync.queue) == 0


def test_a_script_that_never_asks_is_not_asked_all_the_time(told):
    clock = Clock("from seen import told\ndef action(inbox): told.append(inbox)")
    clock.happens(CREATE, b"a")
    clock.settle(10)
    assert 2 <= len(told) <= 12 and clock.turns < 40
    assert len(clock.sync.queue) == 1, "it is not lost"


def test_a_script_that_never_asks_does_not_hold_up_the_end(told):
    clock = Clock("from seen import told\ndef action(inbox): told.append(inbox)")
    clock.happens(CREATE, b"a")
    clock.settle()
    clock.sync.stop()
    clock.settle(30)
    assert clock.sync.next_deadline() is None and 2 <= len(told) <= 4
    assert clock.sync.pending == 1


@pytest.mark.parametrize("ask", ["inbox.events()", "inbox.events(lambda event: True)", "inbox.full()", "inbox.discard(*inbox.events())"])
def test_an_inbox_of_many_is_given_out_at_once(ask):
    world = World("def action(inbox): %s" % ask)
    events = [event(CREATE, b"%d" % number) for number in range(5000)]
    _ran, inbox = world.batch(*events)
    assert len(inbox.taken) == 5000 and not inbox.left


def test_a_batch_that_raises_is_told_again_later_with_all_of_it(told):
    clock = Clock("""
        from seen import told
        def action(inbox):
            told.append([event.path for event in inbox.events(lambda event: event.name != "b")])
            if len(told) == 1:
                1 / 0
    """)
    clock.happens(CREATE, b"a")
    clock.happens(CREATE, b"b")
    clock.settle()
    assert clock.sync.failed and clock.sync.pending == 2 and "ZeroDivisionError" in clock.sync.last_error
    clock.sync.try_now(clock.now)
    clock.settle()
    assert told == [["a"], ["a"]] and clock.sync.pending == 1 and not clock.sync.failed


# ---- what the standard modes do instead ------------------------------------------------------------

PLACES = {
    (CREATE, False): FRESH, (CREATE, True): FRESH | WHOLE, (MODIFY, False): FRESH, (ATTRIB, False): PLACE, (ATTRIB, True): PLACE,
    (DELETE, False): PLACE, (DELETE, True): PLACE,
}


def test_an_event_becomes_a_place():
    for (kind, is_dir), marks in PLACES.items():
        assert places([event(kind, b"p", is_dir)]) == [(b"p", marks)]
    assert places([event(MOVE, b"b", False, b"a")]) == [(b"b", FRESH), (b"a", PLACE)]
    assert places([event(MOVE, b"b", True, b"a")]) == [(b"b", FRESH | WHOLE), (b"a", PLACE)]
    assert places([]) == []


def test_events_of_one_path_become_one_place():
    assert places([event(DELETE, b"p", True), event(CREATE, b"p", False)]) == [(b"p", FRESH)]
    assert places([event(DELETE, b"p", False), event(CREATE, b"p", True)]) == [(b"p", FRESH | WHOLE)]
    assert places([event(CREATE, b"a"), event(MOVE, b"b", False, b"a")]) == [(b"a", FRESH), (b"b", FRESH)]
    assert sorted(places([event(MOVE, b"b", True, b"a"), event(CREATE, b"a", True)])) == [(b"a", FRESH | WHOLE), (b"b", FRESH | WHOLE)]
    assert sorted(places([event(MOVE, b"b", False, b"a"), event(MOVE, b"a", False, b"b")])) == [(b"a", FRESH), (b"b", FRESH)]


@pytest.mark.parametrize("about, entries", [
    ("event", [(b"b", FRESH), (b"a", PLACE)]), ("event.origin", [(b"b", FRESH), (b"a", PLACE)]),
    ("[event]", [(b"b", FRESH), (b"a", PLACE)]), ("[event.origin, event]", [(b"b", FRESH), (b"a", PLACE)]),
    ("iter([event])", [(b"b", FRESH), (b"a", PLACE)]), ("[]", None)])
def test_a_standard_mode_is_handed_the_places(about, entries):
    world = World("def on_move(origin, event): return default.direct(%s)" % about)
    ran = world.happens(MOVE, b"b", False, b"a")
    assert ran.verdict is OK
    assert world.modes["direct"].planned == ([(entries, 7.0, 8.0)] if entries else [])
    assert world.modes["rsync"].planned == []


def test_at_the_start_a_standard_mode_makes_all_equal():
    world = World("def on_startup(sync): return default.rsync(sync)")
    assert world.startup().verdict is OK
    assert world.modes["rsync"].planned == [([(b"", WHOLE)], 7.0, 8.0)]


def test_a_standard_mode_asks_what_it_needs_to_know_until_it_knows():
    mode = Mode(probes=True)
    world = World("def on_create(event):\n    yield default.rsync(event)\n    yield default.rsync(event)", {"rsync": mode})
    for verdict in (AGAIN, DIE):
        ran = world.happens(CREATE, ends=[verdict])
        assert argv(ran) == [[b"probe"]] and (ran.verdict, ran.words) == (verdict, "it was %s" % verdict.value)
    assert argv(world.happens(CREATE, ends=[REDO])) == [[b"probe"], [b"mirror", b"d/f"], [b"mirror", b"d/f"]]
    assert argv(world.happens(CREATE)) == [[b"mirror", b"d/f"]] * 2


@pytest.mark.parametrize("verdict", [PARTIAL, AGAIN, DIE])
def test_a_failure_of_a_standard_mode_is_the_functions(verdict, told):
    world = World("from seen import told\ndef on_create(event):\n    yield default.rsync(event)\n    told.append(1)")
    ran = world.happens(CREATE, ends=[verdict])
    assert (ran.verdict, ran.words) == (verdict, "it was %s" % verdict.value) and told == []


def test_what_vanished_is_looked_at_again_after_the_others():
    world = World("def action(inbox): return default.rsync(inbox)")
    ran, inbox = world.batch(event(CREATE, b"a"), event(CREATE, b"b"), ends=[LOOK])
    assert ran.verdict is LOOK and argv(ran) == [[b"mirror", b"a"], [b"mirror", b"b"]]


def test_another_way_is_tried_a_few_times_only():
    world = World("def on_create(event): return default.rsync(event)")
    ran = world.happens(CREATE, ends=[REDO, OK])
    assert ran.verdict is OK and len(ran.jobs) == 2 and len(world.modes["rsync"].planned) == 2
    ran = world.happens(CREATE, ends=[REDO] * 50)
    assert ran.verdict in (REDO, AGAIN) and len(ran.jobs) < 6


def test_a_full_sync_follows_where_links_have_several_names():
    world = World("def on_create(event): return default.rsync(event)", {"rsync": Mode(then_full=[b"d/f"])})
    ran = world.happens(CREATE)
    assert argv(ran) == [[b"mirror", b"d/f"], [b"mirror", b""]] and ran.verdict is OK


@pytest.mark.parametrize("checks", [False, True])
def test_a_target_that_was_away_is_compared_as_a_whole(checks):
    mode = Mode()
    world = World("def on_create(event): return default.rsync(event)", {"rsync": mode})
    mode.checks = mode.away = checks
    assert world.happens(CREATE, ends=(AGAIN,) * (2 if mode.checks else 1)).verdict is AGAIN
    mode.away = False
    assert ([(b"", WHOLE)] in [planned[0] for planned in mode.planned]) is False
    world.happens(CREATE)
    assert ([(b"", WHOLE)] in [planned[0] for planned in mode.planned]) is checks
    del mode.planned[:]
    world.happens(CREATE)
    assert [planned[0] for planned in mode.planned] == [[(b"d/f", FRESH)]]


def test_standard_modes_know_what_is_unmounted_and_a_release_is_used_up_by_a_part():
    mode = Mode()
    world = World("def on_create(event): return default.rsync(event)", {"rsync": mode})
    world.script.protect([b"m"])
    world.happens(CREATE)
    assert mode.protected == (b"m",)
    world.script.released = mode.free = True
    assert world.happens(CREATE, ends=(PARTIAL,)).verdict is PARTIAL and not world.script.released


def test_a_mode_that_the_target_is_not_for_is_told_where_it_is_used():
    ran = World("def on_create(event):\n    return default.direct(event)", {}).happens(CREATE)
    assert ran.verdict is DIE and is_told(ran.words, line=2) and "no direct to this target" in ran.words


def test_one_file_that_cannot_be_read_does_not_hold_up_the_others(told):
    """PARTIAL says that the target works."""
    clock = Clock("from seen import told\ndef on_create(event):\n    told.append(event.path)\n    return default.rsync(event)")
    clock.ends = lambda job: PARTIAL if job.argv == [b"mirror", b"bad"] else OK
    clock.happens(CREATE, b"bad")
    clock.settle(20)
    assert told.count("bad") > 2
    clock.happens(CREATE, b"good")
    clock.settle(0.1)
    assert "good" in told


# ---- loading ---------------------------------------------------------------------------------------

def refused(code, **keys):
    with pytest.raises(ScriptError) as error:
        World(code, **keys)
    words = str(error.value)
    assert words.startswith(FILE + ":") and words.isprintable()
    return words


def test_a_script_has_functions_for_events_or_one_for_batches():
    for name in ("on_create", "on_modify", "on_attrib", "on_delete", "on_move"):
        words = refused("def action(inbox): pass\ndef %s(event): pass" % name)
        assert "action" in words and name in words
    World("def action(inbox): pass\ndef on_startup(sync): pass\ndef collect(job, status): pass\ndef prepare(config): pass")


def test_a_script_that_defines_nothing_is_refused():
    for code in ("", "x = 5", "def helper(): pass", "def on_crate(event): pass", "# -*- coding: utf-8 -*-\n'''words'''"):
        assert "on_create" in refused(code)
    World("alarm(5, print)")


def test_a_script_whose_functions_are_none_is_refused():
    for code in ("on_create = 5", "action = 'x'", "collect = None\ndef on_create(event): pass", "prepare = []\ndef on_create(e): pass"):
        assert "is no function" in refused(code)
    World("class on_create:\n    def __new__(cls, event): return None").happens(CREATE)
    World("on_create = lambda event: None").happens(CREATE)
    World("import functools\non_create = functools.partial(lambda more, event: None, 5)").happens(CREATE)


def test_a_function_that_nothing_calls_is_a_doubt():
    errors, doubts = check(b"def on_create(event): pass\ndef on_crate(event): pass\ndef on_exit(): pass\non_off = 5\n"
                           b"def online(): pass\ndef onDelete(event): pass", FILE)
    assert errors == [] and doubts == [(2, "nothing calls on_crate; did you mean on_create?"), (3, "nothing calls on_exit"),
                                       (6, "nothing calls onDelete; did you mean on_delete?")]


@pytest.mark.parametrize("code, line, words", [
    ("\ndef on_create(): pass", 2, "on_create is called with 1 argument"),
    ("def on_move(event): pass", 1, "on_move is called with 2 arguments"),
    ("def on_create(event, *, more): pass", 1, "on_create is called with 1 argument"),
    ("async def on_create(event): pass", 1, "on_create is async; allowed: a plain function, which may yield"),
    ("x = 1\ndef action(inbox): pass\ndef on_create(event): pass", 2, "action stands beside on_create; allowed: one of them"),
    ("def helper(): pass", 1, "defines none of prepare, on_startup, on_create, on_modify, on_attrib, on_delete, on_move, action, collect")])
def test_what_can_be_seen_to_be_wrong_is_an_error(code, line, words):
    assert check(code.encode(), FILE)[0] == [(line, words)]


@pytest.mark.parametrize("code", [
    "def on_create(event, more=5): pass", "def on_create(*events): pass", "def on_move(self, *, more=1, **rest): pass\n" * 0 + "on_create = print",
    "from helper import on_create", "from helper import *", "if True:\n    def on_create(event): pass", "on_create, x = print, 5", "alarm(5, print)",
    "for on_create in [print]: pass", "import helper as on_create", "on_create: object = print"])
def test_what_may_be_right_is_no_error(code):
    assert check(code.encode(), FILE) == ([], [])


def test_prepare_gets_the_configuration(told):
    World("from seen import told\ndef on_create(event): pass\ndef prepare(config): told.append(config)\n", delay=3.0, target=b"\xff:/x")
    (got,) = told
    assert (got.name, got.source, got.target, got.delay, got.mode) == ("www", "/src/", "\udcff:/x", 3.0, "script")
    assert not hasattr(got, "code")


def test_what_prepare_does_to_the_configuration_changes_no_sync():
    """Those tables are shared with the other targets of the sync, and a reload compares them."""
    code = """
        def on_create(event): pass
        def prepare(config):
            config.rsync.archive = True
            config.rsync._extra = ["--mine"]
            config.delay = 99
            config.onBatch.before = "x"
            config.direct.atomic = 5
    """
    keys = {"script": FILE.encode(), "code": b"", "rsync": {"archive": False}}
    one, other = World(code, rsync={"archive": False}).config, config(mode="script", **keys)
    other.code = one.code
    assert one.same_pair(other)


@pytest.mark.parametrize("change", ["config.source = None", "del config.source", "config.target = 5", "del config.target",
                                    "import pathlib; config.source = pathlib.Path(config.source)", "del config.name",
                                    "config.name = None", "vars(config).clear()", "config.target = b'/x'"])
def test_a_script_that_spoils_its_configuration_harms_nobody_else(change):
    world = World("def prepare(config):\n    %s\ndef on_create(event):\n    log('Normal', event.path)\n    return spawn(['a'])\n"
                  "def on_move(o, d): pass\ndef on_startup(sync): pass\ndef collect(job, status): return 'ok'\n" % change)
    assert world.happens(CREATE).verdict in (OK, DIE)
    assert world.happens(MOVE, b"b", False, b"a").verdict in (OK, DIE)
    assert world.startup().verdict in (OK, DIE)


def test_a_script_that_takes_its_functions_away_harms_nobody_else():
    world = World("def on_create(event):\n    global on_create\n    del on_create\n")
    assert world.happens(CREATE).verdict in (OK, DIE)
    assert world.happens(CREATE).verdict in (OK, DIE)
    world = World("def on_create(event):\n    global on_create, spawn, log\n    on_create = spawn = log = None\n")
    world.happens(CREATE)
    assert world.happens(CREATE).verdict in (OK, DIE)


def test_a_script_is_an_ordinary_python_file(told):
    """Whose module is found by those who look for it, and whose text is whatever Python takes."""
    world = World("""
        from __future__ import annotations
        import dataclasses, enum, pickle, typing
        from seen import told

        @dataclasses.dataclass
        class Known:
            path: str
            times: typing.ClassVar[int] = 0

        class Colour(enum.Enum):
            RED = 1

        class Pair(typing.NamedTuple):
            a: int

        count = 0
        if __name__ == "__main__":
            raise SystemExit

        def on_create(event: "Event") -> None:
            global count
            count += 1
            told.append((count, Known(event.path), pickle.loads(pickle.dumps(Colour.RED)), __file__, Pair(1)))
    """)
    assert world.happens(CREATE, b"f").words is None
    assert world.happens(CREATE, b"f").words is None
    assert [seen[0] for seen in told] == [1, 2] and told[0][1].path == "f" and told[0][3] == FILE


def conf(tmp_path, code, name="script.py"):
    """Return the name of a configuration with a script of this code (bytes)."""
    (tmp_path / "src").mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(code)
    (tmp_path / "conf").write_text("[sync]\nmode = script\nsource = %s/src\nscript = %s/%s\n" % (tmp_path, tmp_path, name))
    return str(tmp_path / "conf")


@pytest.mark.parametrize("code, line", [
    (b"def on_create(event):\n    return (\n", 2), (b"x = 1\n\ny = = 2\n", 3), (b"\n\0\n", None), (b"# coding: no-such-coding\n", None),
    (b"'\xff'\n", 1), (b"def f():\n\treturn 1\n        return 2\n", 3), (b"return 5\n", 1), (b"x = '\xe2\x80\x9c\n", 1),
    (b"x = " + b"(" * 500 + b"1" + b")" * 500, 1), (b"x = " + b"-" * 100000 + b"1", None), (b"x = " + b"1+" * 100000 + b"1", None)],
    ids=["open", "twice", "null", "coding", "no utf-8", "tabs", "return", "quote", "nested", "deep", "long"])
def test_what_is_no_python_is_an_error_of_the_configuration(code, line, tmp_path):
    with pytest.raises(ConfigError) as error:
        load_config(conf(tmp_path, code))
    (words,) = error.value.lines
    assert words.startswith("%s/script.py:%s" % (tmp_path, "%d: " % line if line else "")) and words.isprintable()
    assert "conf:4: script" in words


def test_a_script_that_is_not_there_is_an_error_of_the_configuration(tmp_path):
    place = conf(tmp_path, b"")
    (tmp_path / "script.py").unlink()
    with pytest.raises(ConfigError, match=r"conf:4: script: cannot read .*script\.py: No such file"):
        load_config(place)
    (tmp_path / "script.py").mkdir()
    with pytest.raises(ConfigError, match=r"conf:4: script: cannot read .*script\.py: Is a directory"):
        load_config(place)


def test_doubts_about_the_code_do_not_reach_the_terminal(tmp_path, recwarn, capfd):
    (one,) = load_config(conf(tmp_path, b"def on_create(event):\n    return None if event is 5 else '\\d' and None\n")).syncs
    system.Calls(one, lambda *line: None, None)
    assert [str(warning.message) for warning in recwarn] == [] and capfd.readouterr() == ("", "")


# ---- log, alarm, terminate -------------------------------------------------------------------------

@pytest.mark.parametrize("category", ["Normal", "Info", "Warn", "Error", "Exec", "Output", "Delay"])
def test_a_script_logs_lines_named_after_its_sync(category):
    world = World("log('%s', 'one\\ntwo\\r\\n\\x1b[2J \\udcff \\\\')\nlog('Info', 5)\nlog('Info', '')\ndef on_create(e): pass" % category)
    assert world.lines == [(category, "www: one"), (category, "www: two"), (category, "www: \\x1b[2J \\xff \\\\"),
                           ("Info", "www: 5"), ("Info", "www: ")]


def test_names_of_every_kind_go_through_unchanged_and_into_the_log_escaped():
    world = World("""
        def on_create(event):
            log("Normal", event.source_path)
            yield spawn(["a", event.path, event.name], stdin=event.target_path)
            yield shell("cat", event.pathname, stdin=event.dir)
    """)
    for name in HOSTILE:
        first, second = world.happens(CREATE, name + b"/" + name, True).jobs
        assert first.argv == [b"a", name + b"/" + name + b"/", name] and first.stdin == b"/dst/" + name + b"/" + name + b"/"
        assert second.argv[-1] == name + b"/" + name and second.stdin == name + b"/"
    assert all(words.isprintable() and words.startswith("www: ") for words in world.logged("Normal"))
    assert "www: /src/\\xff\\xfe/\\xff\\xfe/" in world.logged("Normal")


def test_a_script_of_any_name_is_named_in_errors():
    world = World("def on_create(event):\n    1 / 0", script=b"/etc/\xff\n.py")
    assert world.happens(CREATE).words.startswith("/etc/\\xff\\n.py:2: on_create: ZeroDivisionError")


def test_alarms_come_in_the_order_of_their_times_and_once(told):
    world = World("""
        from seen import told
        def later(): told.append("later")
        def on_create(event):
            alarm(2, later)
            alarm(1, lambda: told.append("first"))
            alarm(1.0, lambda: told.append("second"))
            alarm(-5, lambda: told.append("at once"))
    """)
    before = time.monotonic()
    world.happens(CREATE)
    assert before - 0.001 <= world.script.next_alarm <= time.monotonic()
    while world.script.next_alarm is not None:
        assert world.run(world.script.alarm(world.script.next_alarm, world.look)).verdict is OK
    assert told == ["at once", "first", "second", "later"]


def test_an_alarm_may_run_things_and_set_the_next(told):
    clock = Clock("""
        from seen import told
        def beep():
            told.append((yield spawn(["beep"])))
            alarm(10, beep)
        def on_startup(sync): alarm(0, beep)
    """)
    clock.settle(1)
    assert told == [0] and clock.jobs[0].argv == [b"beep"] and clock.sync.pending == 0
    assert 5 < clock.sync.next_deadline() - clock.now < 11


def test_an_alarm_that_is_always_due_lets_events_through(told):
    clock = Clock("from seen import told\ndef beep():\n    alarm(0, beep)\nalarm(0, beep)\ndef on_create(event): told.append(event.path)")
    clock.happens(CREATE, b"a")
    for _turn in range(20):
        clock.now = time.monotonic() + 0.01
        clock.turn()
    assert told == ["a"]


def test_an_alarm_at_no_time_is_no_busy_loop():
    world = World("alarm(float('inf'), print)\ndef on_create(event): pass")
    assert world.script.next_alarm == float("inf")
    with pytest.raises(ScriptError):
        World("alarm(float('nan'), print)\ndef on_create(event): pass")


def test_an_alarm_that_says_again_comes_again(told):
    clock = Clock("from seen import told\ndef beep():\n    told.append(1)\n    return 'again' if len(told) < 3 else None\nalarm(0, beep)\n"
                  "def on_create(event): pass")
    clock.now += 1
    clock.settle(60)
    assert len(told) == 3


def test_alarms_are_not_called_any_more_after_the_stop(told):
    clock = Clock("from seen import told\ndef on_create(event): told.append('event')\nalarm(0, lambda: told.append('alarm'))")
    clock.now += 1
    clock.happens(CREATE, b"a")
    clock.sync.stop()
    clock.settle(5)
    assert told == ["event"] and clock.sync.next_deadline() is None


@pytest.mark.parametrize("call, status", [("terminate()", 0), ("terminate(7)", 7), ("terminate(255)", 255), ("terminate(code=3)", 3)])
def test_a_script_may_end_the_program(call, status):
    world = World("def on_create(event):\n    %s" % call)
    assert world.script.ends is None
    assert world.happens(CREATE).verdict is OK
    clock = Clock("%s\ndef on_create(event): pass" % call)
    assert world.script.ends == status == clock.sync.ends and type(clock.sync.ends) is int


# ---- functions that do not come back ---------------------------------------------------------------

@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(system, "WARN_AFTER", 0.03)
    monkeypatch.setattr(system, "END_AFTER", 0.1)


HANGS = {
    "sleeps": "import time; time.sleep(30)", "counts": "\n    while True: pass", "waits": "import threading; threading.Event().wait(30)",
    "catches": "\n    while True:\n        try: time.sleep(30)\n        except Exception: pass",
    "elsewhere": "import select; select.select([], [], [], 30)", "runs": "import subprocess; subprocess.run(['sleep', '30'])",
    "logs": "\n    while True: log('Info', 'x' * 10)",
}


@pytest.mark.parametrize("hanging", list(HANGS.values()), ids=list(HANGS))
def test_a_function_that_does_not_come_back_is_told_of_once_and_ended(hanging, soon):
    world = World("import time\ndef on_create(event):\n    %s\n" % hanging)
    began = time.monotonic()
    ran = world.happens(CREATE)
    assert time.monotonic() - began < 5 and ran.verdict is DIE and is_told(ran.words) and "no end after" in ran.words
    (warning,) = world.logged("Warn")
    assert warning.startswith("www: %s:" % FILE) and ": on_create has been running" in warning and ":0:" not in warning


def test_a_function_that_takes_long_is_told_of_and_goes_on(monkeypatch):
    monkeypatch.setattr(system, "WARN_AFTER", 0.02)
    world = World("import time\n\ndef on_create(event):\n    time.sleep(0.05)\n    return 'again'\n")
    assert world.happens(CREATE).verdict is AGAIN
    assert len(world.logged("Warn")) == 1 and "%s:4: on_create" % FILE in world.logged("Warn")[0]
    world.happens(CREATE)
    assert len(world.logged("Warn")) == 2, "each time"


@pytest.mark.parametrize("code, name", [
    ("def prepare(config): time.sleep(30)\ndef on_create(event): pass", "prepare"), ("time.sleep(30)", "the script")])
def test_a_script_that_hangs_while_it_is_loaded_is_refused(code, name, soon):
    with pytest.raises(ScriptError, match="%s: .*no end after" % name):
        World("import time\n" + code)


@pytest.mark.parametrize("wanted", ["None", "default.rsync([])"])
def test_steps_that_need_nothing_are_ended(wanted):
    """As "yield" to wait for something is what other frameworks take."""
    world = World("\n\ndef on_create(event):\n    while True:\n        yield %s\n" % wanted)
    ran = world.happens(CREATE)
    assert ran.verdict is DIE and is_told(ran.words, line=3) and "nothing to be run" in ran.words


@pytest.mark.parametrize("wanted", ["None", "default.rsync([])"])
def test_steps_that_need_nothing_and_take_time_are_told_of(wanted, soon):
    """Each comes back in time, but nothing else has had a turn between them."""
    world = World("import time\nend = time.monotonic() + 0.3\ndef on_create(event):\n    while time.monotonic() < end:\n"
                  "        time.sleep(0.01)\n        yield %s\n" % wanted)
    ran = world.happens(CREATE)
    assert ran.verdict is DIE and is_told(ran.words) and len(world.logged("Warn")) == 1


def test_steps_that_run_something_may_go_on_for_ever(monkeypatch):
    monkeypatch.setattr(system, "WARN_AFTER", 0.3)
    monkeypatch.setattr(system, "END_AFTER", 0.5)
    world = World("import time\ndef on_create(event):\n    for number in range(30):\n        time.sleep(0.02)\n        yield spawn(['a'])\n")
    assert world.happens(CREATE).verdict is OK and world.lines == []


def test_a_generator_that_hangs_at_its_close_is_ended(soon):
    world = World("import time\ndef on_create(event):\n    try:\n        yield spawn(['a'])\n    finally:\n        time.sleep(30)\n",
                  exitcodes=((1, "again"),))
    began = time.monotonic()
    assert world.happens(CREATE, ends=[1]).verdict in (AGAIN, DIE)
    assert time.monotonic() - began < 5


def test_a_function_that_catches_everything_is_told_of_again(soon):
    """It cannot be ended; but it must not be silent about."""
    world = World("import time\ntimes = []\ndef on_create(event):\n    while len(times) < 3:\n        try: time.sleep(30)\n"
                  "        except: times.append(1)\n")
    ran = world.happens(CREATE)
    assert ran.verdict is DIE or len(world.lines) > 1


def test_the_time_of_one_function_is_not_the_next_ones(monkeypatch):
    monkeypatch.setattr(system, "WARN_AFTER", 0.3)
    monkeypatch.setattr(system, "END_AFTER", 0.5)
    world = World("import time\ndef on_create(event): time.sleep(0.1)\n")
    for _time in range(6):
        assert world.happens(CREATE).verdict is OK
    assert world.lines == []


# ---- what a script does to the process -------------------------------------------------------------

def test_a_script_that_forks_makes_no_second_daemon(tmp_path):
    """A child that comes back would read our events and start our jobs."""
    codes = ["def on_create(event):\n    import os\n    os.fork()\n", "def on_create(event):\n    import os\n    os.fork() or 1 / 0\n",
             "def on_create(event):\n    import os, sys\n    os.fork() or sys.exit(0)\n"]
    for number, code in enumerate(codes):
        us, mark = os.getpid(), tmp_path / str(number)
        world = World(code)
        try:
            world.happens(CREATE)
        finally:
            if os.getpid() != us:
                mark.touch()
                os._exit(0)
        try:
            while True:  # it, and what others have left
                os.waitpid(-1, 0)
        except ChildProcessError:
            pass
        assert not mark.exists(), "there are two of us after\n" + code


def test_a_script_that_uses_asyncio_leaves_us_our_signals():
    """asyncio takes the descriptor that signals wake our loop by, and does not give it back."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    handler = signal.getsignal(signal.SIGUSR1)
    try:
        world = World("""
            import asyncio, signal
            async def work():
                loop = asyncio.get_running_loop()
                loop.add_signal_handler(signal.SIGUSR1, lambda: None)
                await asyncio.sleep(0)
                return "again"
            def on_create(event): return asyncio.run(work())
        """)
        assert world.happens(CREATE).verdict is AGAIN
        after = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        assert after == writer
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGUSR1, handler)
        os.close(reader)
        os.close(writer)


def test_a_script_that_takes_sigalrm_is_watched_all_the_same(soon):
    world = World("import signal, time\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nsignal.alarm(0)\ndef on_create(event):\n    time.sleep(30)\n")
    assert "no end after" in world.happens(CREATE).words


def test_two_scripts_know_nothing_of_each_other(told):
    code = "from seen import told\ncount = %d\ndef on_create(event):\n    global count\n    count += 1\n    told.append(count)\n    log('Info', 'x')\n"
    one, other = World(code % 10, name="one"), World(code % 20, name="other", script=b"/etc/other.py")
    for _time in range(2):
        one.happens(CREATE)
        other.happens(CREATE)
    assert told == [11, 21, 12, 22]
    assert one.lines == [("Info", "one: x")] * 2 and other.lines == [("Info", "other: x")] * 2


def test_steps_of_two_scripts_take_turns(told, soon):
    code = "from seen import told\ndef on_create(event):\n    for step in 'ab':\n        told.append((event.config.name, (yield spawn([step]))))\n"
    worlds = [World(code, name="one"), World(code, name="other", script=b"/etc/other.py")]
    steps = [world.script.work(event(CREATE, b"f"), world.look) for world in worlds]
    assert [next(one).argv for one in steps] == [[b"a"], [b"a"]]
    assert [one.send((number, [])).argv for number, one in enumerate(steps)] == [[b"b"], [b"b"]]
    for one in steps:
        with pytest.raises(StopIteration):
            one.send((5, []))
    assert told == [("one", 0), ("other", 1), ("one", 5), ("other", 5)]


def test_the_same_file_for_two_targets_is_loaded_for_each(told):
    code = "from seen import told\nseen = []\ndef on_create(event):\n    seen.append(event.target)\n    told.append(list(seen))\n"
    for target in (b"/one", b"/two"):
        World(code, target=target).happens(CREATE)
    assert told == [["/one"], ["/two"]]


# ---- within a sync ---------------------------------------------------------------------------------

def test_a_start_up_that_raises_with_onepass_is_not_taken_for_a_success():
    clock = Clock("def on_startup(sync): 1 / 0", insist=False, onepass=True)
    clock.settle()
    assert clock.outcomes[-1].fatal
    clock.sync.give_up("no")  # as the daemon does
    assert clock.sync.pending, "the exit status would be 0"


def test_functions_that_raise_fail_their_sync_until_it_is_mended(told):
    clock = Clock("from seen import told\ndef on_create(event):\n    told.append(event.path)\n    if len(told) == 1: 1 / 0\n")
    clock.happens(CREATE, b"a")
    clock.happens(CREATE, b"b")
    clock.settle(5)
    assert clock.sync.failed and told == ["a"] and clock.sync.pending == 2
    clock.settle(400)
    assert not clock.sync.failed and sorted(told) == ["a", "a", "b"] and clock.sync.pending == 0 and clock.sync.last_error is None


def test_events_of_a_sync_that_is_replaced_are_told_to_the_next(told):
    old = Clock("def on_create(event): 1 / 0\ndef on_move(o, d): 1 / 0")
    old.happens(CREATE, b"a")
    old.sync.queue.add_move(b"x", b"y", False, old.now, old.now)
    old.settle(1)
    new = Clock("from seen import told\ndef on_create(event): told.append(event.path)\ndef on_move(o, d): told.append((o.path, d.path))",
                {b"a": file(), b"y": file()})
    new.sync.inherit(old.sync)
    new.settle(1)
    assert sorted(told, key=str) == [("x", "y"), "a"]


def test_a_start_up_that_is_owed_is_told_to_the_next(told):
    code = "from seen import told\ndef on_startup(sync): told.append(1)"
    old, new = Clock(code, init=False), Clock(code, init=False)
    old.sync.want_full(old.now)  # the kernel's queue was full
    new.sync.inherit(old.sync)
    new.settle(1)
    assert told == [1]


def test_nothing_is_done_twice_at_the_same_time_and_nothing_left_behind(told):
    clock = Clock("from seen import told\ndef on_create(event):\n    yield spawn(['a'])\n    told.append(event.path)\n", maxProcesses=4)
    for number in range(200):
        clock.happens(CREATE, b"%d" % number)
    clock.settle(5, 1000)
    assert sorted(map(int, told)) == list(range(200)) and len(clock.sync.queue) == 0 and not clock.sync.running
