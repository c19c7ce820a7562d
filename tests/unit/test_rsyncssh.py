"""rsyncssh: the script for the far side, run by real shells; what its jobs say and what their ends mean."""

import itertools
import os
import random
import shutil
import subprocess

import pytest

from world import DIRECTORY, Source, config

from lsyncd_lite.mirror import rsyncssh as module
from lsyncd_lite.mirror.change import FRESH, PLACE, WHOLE
from lsyncd_lite.mirror.job import BATCH, FULL, RENAMES, Job, Verdict, answer
from lsyncd_lite.mirror.moves import Move
from lsyncd_lite.mirror.rsyncssh import RsyncSsh
from lsyncd_lite.system.source import Source as OfDisk

SHELLS = {"sh": ["sh"], "dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"], "mksh": ["mksh"], "ksh": ["ksh"], "zsh": ["zsh", "--emulate", "sh"]}
OFTEN = ["sh", "bash", "busybox"]
TOOLS = ["tr", "mv", "rm", "rmdir", "mkdir", "touch", "cat"]
LOGIN = ["sh", "bash", "dash", "csh", "tcsh", "fish", "zsh", "mksh", "ksh"]


def mode(targetdir=b"/dst", rsync=None, environ=None, **keys):
    made = config(mode="rsyncssh", host=b"h", targetdir=targetdir, target=b"h:" + targetdir + b"/", local=False, rsync=rsync, **keys)
    return RsyncSsh(made, environ or {})


def moves_of(*pairs):
    """Return the Moves of (origin, place); an origin that ends with a slash is a directory."""
    return [Move(origin.rstrip(b"/"), place, origin.endswith(b"/")) for origin, place in pairs]


def there(shell):
    """Return the argv of a shell, or skip the test if it is not installed, or another one is the same."""
    words = SHELLS[shell]
    if not shutil.which(words[0]):
        pytest.skip("%s is not installed" % words[0])
    if shell == "dash" and os.path.realpath(shutil.which("sh")) == os.path.realpath(shutil.which("dash")):
        pytest.skip("sh is dash")
    return words


def busybox_tools(shell, directory, monkeypatch):
    """Let busybox find none but its own tools."""
    if shell[0] == "busybox":
        os.mkdir(directory)
        for tool in TOOLS:
            os.symlink(shutil.which("busybox"), directory / tool)
        monkeypatch.setenv("PATH", "%s:%s" % (directory, os.environ["PATH"]))
    return shell


@pytest.fixture(params=OFTEN)
def shell(request, tmp_path_factory, monkeypatch):
    return busybox_tools(there(request.param), tmp_path_factory.mktemp("tools") / "bin", monkeypatch)


@pytest.fixture(params=sorted(SHELLS))
def any_shell(request, tmp_path_factory, monkeypatch):
    return busybox_tools(there(request.param), tmp_path_factory.mktemp("tools") / "bin", monkeypatch)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a directory with an empty `dst`; `out` lies outside."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("dst")
    os.mkdir("out")
    return os.fsencode(str(tmp_path))


class Times(Source):
    """A source in which directories have the given times, in ns."""

    def __init__(self, times=()):
        super().__init__({})
        self.times = dict(times)

    def lstat(self, path):
        if path not in self.times:
            return None
        facts = type("Facts", (), dict(vars(DIRECTORY)))()
        facts.st_mtime_ns = self.times[path]
        return facts


def run(argv, stdin, environ=None):
    """Run what the far side runs; return (status, lines as our children are kept)."""
    done = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **(environ or {})}, timeout=30, check=False)
    return done.returncode, done.stdout.splitlines()


def rename(shell, pairs, targetdir=None, times=(), environ=None):
    """Do renames in dst by a shell; return the list of which were done, and the entries that are left."""
    chosen = mode(os.path.abspath(b"dst") if targetdir is None else targetdir)
    job = chosen.rename(moves_of(*pairs), Times(times))
    status, output = run([*shell, "-c", module._SCRIPT], job.stdin, environ)
    assert all(line.startswith(b"equal: ") for line in output) and status == 0, output  # errors of mv are nobody's business
    verdict, words = chosen.verdict(job, status, output)
    assert verdict is (Verdict.LOOK if job.entries else Verdict.OK) and words is None and chosen.takes_moves
    return job.done, job.entries


def write(path, text=None):
    os.makedirs(os.path.dirname(path) or b".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(path if text is None else text)


def tree(directory=b"dst"):
    """Return {path: content of a file, None for a directory, ("->", destination) for a link}."""
    found = {}
    for at, names, files in os.walk(directory):
        for name in names + files:
            path = os.path.join(at, name)
            key = path[len(directory) + 1:]
            if os.path.islink(path):
                found[key] = ("->", os.readlink(path))
            elif os.path.isdir(path):
                found[key] = None
            else:
                with open(path, "rb") as file:
                    found[key] = file.read()
    return found


# ---- names -------------------------------------------------------------------------------------

NAMES = [
    b"a\nb", b"a\n", b"\n", b"\n\n", b"\na", b"a\n\nb\n", b"'", b'"', b"'\"'", b"$(touch x)", b"`touch x`", b"$x", b"${x}", b"\\", b"\\\\", b"\\n", b"a\\",
    b"\\000", b"\\001",
    b"-", b"--", b"-n", b"-e", b"--help", b"-f", b"-t", b" ", b"  a  ", b"\t", b"a b", b"*", b"?", b"[a]", b"~", b"~root", b"#", b";", b"&", b"|", b"<", b">",
    b"(", b")", b"!", b"!!", b"x", b"m", b"t",
    b"%s", b"%", b"=", b".a", b"...", b"\x7f", b"\xff", b"\xfe\xff", b"\xc3\xa9", b"\xc3", b"\xe2\x82", b"\r", b"\r\n", b"\x1b[0m", b"\x02", b"\x03", b"a\x80b",
    b"x" * 255,
    *[bytes([number]) for number in range(0x80, 0x90)], bytes(range(0x81, 0x90)), b"\x81\x88", b"a\x8d\n\x8d", b"\x7f\x80", b"\x82\\\x82", b"\xa0", b"-\n", b"*\n",
]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_names_of_every_kind_are_renamed(any_shell, locale):
    if locale == "C" and any_shell not in (["sh"], ["bash"]):
        return
    pairs, expected = [], {}
    for number, name in enumerate(NAMES):
        write(b"dst/" + name if number % 2 else b"dst/from%d" % number)
        pair = (b"from%d" % number, name) if not number % 2 else (name, b"to%d" % number)
        pairs.append(pair)
        expected[pair[1]] = b"dst/" + pair[0]
    done, _entries = rename(any_shell, pairs, environ={"LC_ALL": locale, "CDPATH": "/:..:out"})
    assert [pair for pair, was in zip(pairs, done) if not was] == []
    assert tree() == expected and tree(b"out") == {} and not os.path.exists("x")


def test_directories_of_every_name_are_walked_and_made(shell):
    pairs, expected = [], {}
    for number, name in enumerate(NAMES[shell == ["sh"]::2]):
        write(b"dst/from/" + name + b"/" + name, b"%d" % number)
        pairs.append((b"from/" + name + b"/" + name, b"to/" + name + b"/" + name + b"/f"))
        expected[b"to/" + name + b"/" + name + b"/f"] = b"%d" % number
    done, _entries = rename(shell, pairs, environ={"LC_ALL": "C.UTF-8"})
    assert [pair for pair, was in zip(pairs, done) if not was] == []
    assert {path: text for path, text in tree().items() if text is not None} == expected


def test_records_stay_in_step_whatever_a_name_ends_with(any_shell):
    """An answer that is off by one lets a rename that has failed pass for done."""
    pairs, expected = [], []
    for number, end in enumerate([b"\xc3", b"\xe9", b"\xe2\x82", b"\xf0\x9f\x98", b"\xff", b"\x81", b"\\", b"\n", b" ", b"\r"]):
        at = b"%d/" % number
        for name in b"caf" + end, b"d/caf" + end, b"x", b"y":
            write(b"dst/" + at + name)
        pairs += [(at + b"caf" + end, at + b"a"), (at + b"x", at + b"z" + end), (at + b"missing" + end, at + b"b"), (at + b"y", at + b"c"), (at + b"missing", at + b"q"),
                  (at + b"d/caf" + end, at + b"e")]
        expected += [True, True, False, True, False, True]
    done, _entries = rename(any_shell, pairs, environ={"LC_ALL": "C.UTF-8"})
    assert done == expected
    assert {path: text for path, text in tree().items() if text is not None} == {place: b"dst/" + origin for (origin, place), was in zip(pairs, done) if was}


def test_a_name_that_the_script_cannot_carry_is_transferred_and_the_others_are_renamed(shell):
    for name in b"a", b"a\1b", b"a\nb", b"c", b"d\1/f", b"e":
        write(b"dst/" + name)
    pairs = [(b"a", b"b"), (b"a\1b", b"x"), (b"c", b"c\1"), (b"d\1/f", b"f"), (b"e", b"g")]
    assert rename(shell, pairs)[0] == [True, False, False, False, True]
    assert set(tree()) == {b"b", b"a\1b", b"a\nb", b"c", b"d\1", b"d\1/f", b"g"}


def test_the_time_of_a_directory_that_the_script_cannot_carry_is_not_given_to_another(shell):
    """Of newline and \\1 in a name only one can be told."""
    for name in b"d\1", b"d\n", b"e":
        os.mkdir(b"dst/" + name)
    os.utime(b"dst/d\n", ns=(5, 5))
    write(b"dst/d\1/f")
    _done, entries = rename(shell, [(b"d\1/f", b"e/f")], times={b"d\1": 10 ** 9, b"e": 10 ** 9})
    assert os.stat(b"dst/d\n").st_mtime_ns == 5 and (b"d\1", PLACE) in entries


def test_random_renames_are_done_as_rename_does(shell):
    rnd = random.Random(7)
    for _number in range(2):
        model, pairs, expected = Target(), [], []
        for _other in range(12):
            path = model.any_path(rnd)
            if model.make(path, rnd.random() < 0.5):
                (os.mkdir if model.tree[path] is None else write)(b"dst/" + path)
        for _other in range(40):
            origin, place = model.any_path(rnd), model.any_path(rnd)
            is_dir = model.tree.get(origin, "") is None if rnd.random() < 0.8 else rnd.random() < 0.5
            pairs.append((origin + b"/" * is_dir, place))
            expected.append(model.rename(origin, place, is_dir))
        assert rename(shell, pairs)[0] == expected and any(expected)
        assert tree() == model.tree
        shutil.rmtree("dst")
        os.mkdir("dst")


class Target:
    """What the script has to do, on a dictionary."""

    def __init__(self):
        self.tree = {}

    def any_path(self, rnd):
        return b"/".join([rnd.choice([b"a", b"b", b"c", b"d\n"]) for _ in range(rnd.choice([1, 1, 2, 3]))])

    def make(self, path, is_dir):
        if path in self.tree or os.path.dirname(path) and self.tree.get(os.path.dirname(path), "") is not None:
            return False
        self.tree[path] = None if is_dir else b"dst/" + path
        return True

    def under(self, path):
        return [name for name in self.tree if name == path or name.startswith(path + b"/")]

    def rename(self, origin, place, is_dir):
        names = [path.split(b"/") for path in (origin, place)]
        if not all(self.tree.get(b"/".join(names[0][:depth]), "") is None for depth in range(1, len(names[0]))):
            return False
        for depth in range(1, len(names[1])):
            parent = b"/".join(names[1][:depth])
            if self.tree.setdefault(parent, None) is not None:
                return False
        if origin not in self.tree or (self.tree[origin] is None) is not is_dir or len(self.under(place)) > 1:
            return False
        if origin == place or (place + b"/").startswith(origin + b"/"):
            if self.tree.get(place, "") is None:
                if place == origin:
                    del self.tree[place]  # an empty directory makes room for itself
                elif place in self.tree:
                    del self.tree[place]
            return False
        if place in self.tree and self.tree[place] is not None and self.tree[origin] is None:
            return False
        self.tree.pop(place, None)
        self.tree.update({place + name[len(origin):]: self.tree.pop(name) for name in self.under(origin)})
        return True


# ---- what stands in the way, and what is missing -----------------------------------------------

MEETINGS = [  # what is there, the rename, whether it is done, what is there then
    ({b"a": b"1"}, (b"a", b"b"), True, {b"b": b"1"}),
    ({b"a": b"1", b"b": b"2"}, (b"a", b"b"), True, {b"b": b"1"}),                               # a file over a file
    ({b"a/f": b"1"}, (b"a/", b"b"), True, {b"b": None, b"b/f": b"1"}),
    ({b"a/f": b"1", b"b": None}, (b"a/", b"b"), True, {b"b": None, b"b/f": b"1"}),                # over an empty directory: not into it
    ({b"a": b"1", b"b": None}, (b"a", b"b"), True, {b"b": b"1"}),                               # a file over an empty directory
    ({b"a/f": b"1", b"b/g": b"2"}, (b"a/", b"b"), False, {b"a": None, b"a/f": b"1", b"b": None, b"b/g": b"2"}),
    ({b"a": b"1", b"b/g": b"2"}, (b"a", b"b"), False, {b"a": b"1", b"b": None, b"b/g": b"2"}),
    ({b"a/f": b"1", b"b": b"2"}, (b"a/", b"b"), False, {b"a": None, b"a/f": b"1", b"b": b"2"}),   # a directory over a file
    ({b"a/f": b"1", b"b": b"->out"}, (b"a/", b"b"), True, {b"b": None, b"b/f": b"1"}),           # links are replaced, not followed
    ({b"a": b"1", b"b": b"->out"}, (b"a", b"b"), True, {b"b": b"1"}),
    ({b"a": b"->out", b"b": None}, (b"a", b"b"), True, {b"b": ("->", b"../../out")}),
    ({b"a": b"->nowhere"}, (b"a", b"b"), True, {b"b": ("->", b"../../nowhere")}),
    ({b"b": b"2"}, (b"a", b"b"), False, {b"b": b"2"}),                                          # nothing to rename: nothing goes
    ({b"b": None}, (b"a", b"b"), False, {b"b": None}),
    ({b"b": b"->out"}, (b"a", b"b"), False, {b"b": ("->", b"../../out")}),
    ({b"b": None}, (b"a/", b"b"), False, {b"b": None}),
    ({}, (b"a", b"b"), False, {}),
    # what is of another type there is not what was meant
    ({b"a": b"1"}, (b"a/", b"b"), False, {b"a": b"1"}), ({b"a/f": b"1"}, (b"a", b"b"), False, {b"a": None, b"a/f": b"1"}), ({b"a": b"->out"}, (b"a/", b"b"),
    False, {b"a": ("->", b"../../out")}),
    ({b"a": None, b"b": None}, (b"a", b"b"), False, {b"a": None, b"b": None}), ({b"a": b"1", b"b": b"2"}, (b"a/", b"b"), False, {b"a": b"1", b"b": b"2"}),
    ({b"a": b"1", b"b": b"->out"}, (b"a/", b"b"), False, {b"a": b"1", b"b": ("->", b"../../out")}),
    ({b"a/f": b"1"}, (b"a/", b"a/b"), False, {b"a": None, b"a/f": b"1"}),                        # into itself
    ({b"a": b"1"}, (b"a", b"x/y/b"), True, {b"x": None, b"x/y": None, b"x/y/b": b"1"}),         # parents are made
    ({b"a": b"1", b"x": b"2"}, (b"a", b"x/b"), False, {b"a": b"1", b"x": b"2"}),
    ({b"x": b"2"}, (b"x/a", b"b"), False, {b"x": b"2"}),
    ({b"x/y/a": b"1"}, (b"x/y/a", b"x/a"), True, {b"x": None, b"x/y": None, b"x/a": b"1"}),
]


def test_what_a_rename_meets(shell):
    write(b"out/kept")
    pairs, expected = [], {}
    for number, (before, (origin, place), _done, after) in enumerate(MEETINGS):
        at = b"%d/" % number
        os.mkdir(b"dst/" + at)
        for path, text in before.items():
            if text is None:
                os.makedirs(b"dst/" + at + path)
            elif text.startswith(b"->"):
                os.symlink(b"../../" + text[2:], b"dst/" + at + path)
            else:
                write(b"dst/" + at + path, text)
        pairs.append((at + origin, at + place))
        expected.update({at + path: text for path, text in after.items()})
    done, _entries = rename(shell, pairs)
    assert [case for case, was in zip(MEETINGS, done) if was is not case[2]] == []
    found = {path: text for path, text in tree().items() if b"/" in path}
    assert {path: (found.get(path, ""), expected.get(path, "")) for path in {*found, *expected} if found.get(path, "") != expected.get(path, "")} == {}
    assert tree(b"out") == {b"kept": b"out/kept"}


def test_nothing_is_reached_through_a_link(shell):
    pairs = [(b"link/f", b"b"), (b"a", b"link/b"), (b"a", b"link/x/b"), (b"d/link/f", b"b"), (b"a", b"d/link/f"), (b"link/sub/g", b"a"),
            (b"d/link/sub", b"d/sub"), (b"link/f", b"link/g"), (b"self/../../out/f", b"b"), (b"a", b"d/link/sub/deep/b")]
    for path in b"out/f", b"out/sub/g", b"dst/a", b"dst/d/x":
        write(path)
    os.symlink(b"../out", b"dst/link")
    os.symlink(b"../../out", b"dst/d/link")
    os.symlink(b".", b"dst/self")
    before = tree(), tree(b"out")
    pairs += [(origin + b"/", place) for origin, place in pairs]
    assert rename(shell, pairs)[0] == [False] * len(pairs)
    assert (tree(), tree(b"out")) == before


def test_renames_are_done_in_their_order(shell):
    for name in b"a", b"b", b"d/f", b"e/f":
        write(b"dst/" + name)
    assert all(rename(shell, [(b"a", b"t"), (b"b", b"a"), (b"t", b"b"), (b"d/", b"x"), (b"e/", b"d"), (b"x/", b"e"), (b"e/f", b"d/g"), (b"d/f", b"e/f")])[0])
    assert tree() == {b"a": b"dst/b", b"b": b"dst/a", b"d": None, b"e": None, b"d/g": b"dst/d/f", b"e/f": b"dst/e/f"}


@pytest.mark.parametrize("count, missing", [(600, 480), (600, 501), (600, 600)])
def test_however_many_travel_in_one_call_their_answer_is_a_line_that_is_read(count, missing):
    """A line is read up to 4096 bytes."""
    pairs = [(b"d/%d" % (100000 + number), b"e/%d" % number) for number in range(count)]
    for origin, _place in pairs[missing:]:
        write(b"dst/" + origin)
    job = mode(os.path.abspath(b"dst")).rename(moves_of(*pairs), Times())
    assert len(job.moves) == count
    status, output = run(["sh", "-c", module._SCRIPT], job.stdin)
    assert len(output) == job.size + 1 and len(output[-1]) < 4096
    assert answer(output, job.size) >= set(range(missing)) and (missing > 490 or answer(output, len(job.moves)) & set(range(missing, count)) == set())


def test_no_child_of_the_script_eats_its_input(shell, tmp_path, monkeypatch):
    """mv may ask, and read the answer, from what is meant for the script."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in set(TOOLS) - {"tr", "cat"}:
        (programs / name).write_text("#!/bin/sh\ncat >/dev/null\nexec %s \"$@\"\n" % shutil.which(name))
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (programs, os.environ["PATH"]))
    for number in range(5):
        write(b"dst/%d" % number)
    assert rename(shell, [(b"%d" % number, b"d%d/f" % number) for number in range(5)], times={b"d1": 5})[0] == [True] * 5


def test_a_file_that_may_not_be_written_to_is_renamed_over_without_a_question(shell):
    write(b"dst/a")
    write(b"dst/b")
    os.chmod("dst/b", 0o400)
    assert rename(shell, [(b"a", b"b")])[0] == [True] and tree() == {b"b": b"dst/a"}


# ---- times -------------------------------------------------------------------------------------

EARLY, LATE = 1234567890 * 10 ** 9 + 5, 4102444800 * 10 ** 9 + 999999999


def test_directories_get_the_times_of_the_source(shell):
    for name in b"d/f", b"e/g\n/h":
        write(b"dst/" + name)
    times = {b"": 10 ** 18 + 1, b"d": EARLY, b"e/g\n": LATE, b"e": 10 ** 18}
    done, entries = rename(shell, [(b"d/f", b"e/g\n/f"), (b"e/g\n/h", b"h")], times=times)
    assert done == [True, True]
    left = {path for path, _marks in entries}  # a touch that knows no parts of seconds
    assert not left or shell[0] == "busybox"
    for path in {b"", b"d", b"e/g\n"} - left:
        assert os.stat(b"dst/" + path).st_mtime_ns == times[path]
    assert os.stat(b"dst/e").st_mtime_ns != 10 ** 18  # its content is what it was


def test_times_before_and_after_the_epoch_are_right_or_left_to_rsync(shell):
    times = {b"d%d" % number: ns for number, ns in enumerate([0, 1, 999999999, -1, -500000000, -10 ** 9, -1500000000, 10 ** 18])}
    for path in times:
        write(b"dst/" + path + b"/f")
    done, entries = rename(shell, [(path + b"/f", path + b"/g") for path in times], times=times)
    left = {path for path, _marks in entries}
    assert all(done) and (left != set(times) or shell[0] == "busybox")
    assert {path: ns for path, ns in times.items() if path not in left and os.stat(b"dst/" + path).st_mtime_ns != ns} == {}


def test_a_time_that_cannot_be_set_is_a_place_to_be_made_equal(shell):
    write(b"dst/d/f")
    write(b"dst/e/f")
    os.symlink(b"../out", b"dst/link")
    os.utime(b"out", (5, 5))
    chosen = mode(os.path.abspath(b"dst"))
    job = chosen.rename(moves_of((b"d/f", b"d/g"), (b"link/x", b"gone/y"), (b"e/f", b"e/g")), Times({name: 10 ** 18 for name in (b"d", b"link", b"gone", b"e")}))
    status, output = run([*shell, "-c", module._SCRIPT], job.stdin)
    assert chosen.verdict(job, status, output)[0] is Verdict.LOOK
    left = {path for path, _marks in job.entries}
    assert job.done == [True, False, True] and (left == {b"link", b"gone"} or shell[0] == "busybox" and left > {b"link", b"gone"})
    assert os.stat("out").st_mtime == 5 and all(os.stat(b"dst/" + name).st_mtime_ns == 10 ** 18 for name in {b"d", b"e"} - left)


def test_a_directory_that_cannot_be_looked_at_is_a_place_to_be_made_equal(shell):
    """Its name may be too long by now, or what is above it closed: the daemon ended with a defect."""
    write(b"dst/d/f")
    long = b"x" * 300
    write(b"dst/n/g")
    chosen = mode(os.path.abspath(b"dst"))
    job = chosen.rename(moves_of((b"d/f", b"n/f"), (b"%s/f" % long, b"n/h")), OfDisk(os.path.abspath(b"dst"), None))
    status, output = run([*shell, "-c", module._SCRIPT], job.stdin)
    assert chosen.verdict(job, status, output)[0] is Verdict.LOOK
    assert job.done == [True, False] and (long, PLACE) in job.entries


def test_the_times_of_files_and_links_are_left_alone(shell):
    write(b"dst/f")
    write(b"dst/d")
    os.utime("dst/d", (5, 5))
    os.symlink(b"d", b"dst/link")
    assert rename(shell, [(b"f", b"g")], times={b"": 10 ** 18, b"d": 10 ** 18})[0] == [True]
    for name in b"d", b"link":
        stdin = b"\0".join([b"1", os.path.abspath(b"dst"), b"t", b"7.0", name, b""])
        assert run([*shell, "-c", module._SCRIPT], stdin) == (0, [b"equal: 0", b"equal: failed 0"])
    assert os.stat("dst/d").st_mtime == 5


# ---- where -------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", [b"a b", b"a\nb", b"-x", b"-", b"'q\"", b"$(touch x)", b"\xff", b"\x81\x88", b"*", b"d/e", b"~", b"..."])
@pytest.mark.parametrize("relative", [True, False])
def test_the_target_directory_may_have_any_name(shell, name, relative):
    if not relative and shell != ["sh"]:
        return
    os.makedirs(b"dst/" + name)
    write(b"dst/" + name + b"/f")
    os.makedirs(b"out/" + name)
    os.chdir("dst")
    done, _entries = rename(shell, [(b"f", b"g")], name if relative else os.path.abspath(name), environ={"CDPATH": os.path.abspath("../out") + ":/", "HOME": "/"})
    os.chdir("..")
    assert done == [True] and set(tree(b"dst/" + name)) == {b"g"} and not [path for path in tree(b"out") if path.endswith(b"g")]


@pytest.mark.parametrize("name", [b"missing", b"file", b"missing/x", b"-P"])
def test_without_the_target_directory_nothing_is_done(shell, name):
    write(b"dst/file")
    for path in b"f", b"dst/f":
        write(path)
    assert rename(shell, [(b"f", b"g"), (b"dst", b"dst2")], os.path.abspath(b"dst/" + name), times={b"": 5}) == ([False, False], [(b"", PLACE)])
    assert rename(shell, [(b"f", b"g")], b"dst/" + name)[0] == [False]
    assert os.path.exists("f") and set(tree()) == {b"file", b"f"}


def test_a_target_directory_that_the_script_cannot_carry_is_not_taken_for_another(shell):
    os.mkdir(b"dst/a\1b")
    os.mkdir(b"dst/a\nb")
    for name in b"a\1b", b"a\nb":
        write(b"dst/" + name + b"/f", name)
    chosen = mode(os.path.abspath(b"dst/a\1b"))
    if chosen.takes_moves:
        job = chosen.rename(moves_of((b"f", b"g")), Times())
        run([*shell, "-c", module._SCRIPT], job.stdin)
    assert os.path.exists(b"dst/a\nb/f")


def test_a_target_directory_may_be_a_link(shell):
    os.symlink("dst", "link")
    write(b"dst/f")
    assert rename(shell, [(b"f", b"g")], os.path.abspath(b"link"))[0] == [True] and set(tree()) == {b"g"}


@pytest.mark.parametrize("pairs", [[(b"one", b"conf.new")], [(b"one", b"d/conf.new"), (b"two", b"conf2")]])
def test_input_that_ends_early_does_nothing_by_halves(shell, pairs):
    if len(pairs) > 1 and shell != ["sh"]:
        return
    """A connection that breaks leaves the far side with a part of a name, which may be that of another file, or of another target."""
    whole = {b"one": b"1", b"two": b"2", b"conf": b"3", b"con": b"4", b"d/conf": b"5", b"o": b"6", b"tw": b"7"}
    job = mode(os.path.abspath(b"dst"), rsync={"times": False}).rename(moves_of(*pairs), Times())
    outside = len(os.path.abspath(b"dst"))
    for cut in [0, 1, 2, outside, *range(outside + 2, len(job.stdin))]:
        shutil.rmtree("dst")
        for path, text in whole.items():
            write(b"dst/" + path, text)
        status, output = run([*shell, "-c", module._SCRIPT], job.stdin[:cut])
        done = [origin for origin, place in pairs if tree().get(place) == whole[origin] and origin not in tree()]
        assert {**tree(), b"d": None} == {**{path: text for path, text in whole.items() if path not in done},
                **{place: whole[origin] for origin, place in pairs if origin in done}, b"d": None}, cut
        failed = answer(output, len(pairs))
        assert status or failed is None or failed >= {number for number, (origin, _place) in enumerate(pairs) if origin not in done}


def test_aliases_functions_and_variables_of_the_user_change_nothing(shell, tmp_path):
    write(b"dst/f")
    env = tmp_path / "rc"
    env.write_text("alias mv='mv -i' rm='rm -i' cd='cd -P'\nset -u\n")
    assert rename(shell, [(b"f", b"d/g")], environ={"ENV": str(env), "BASH_ENV": "", "IFS": "ab/m", "f": "7", "n": "9", "x": "m", "h": "q", "t": "r", "v": "w",
            "POSIXLY_CORRECT": "1"})[0] == [True]


# ---- how it gets there -------------------------------------------------------------------------

def test_the_script_holds_nothing_that_a_login_shell_would_read():
    assert not set(b"'!\n\r\0") & set(module._SCRIPT)
    assert b"\\\\" not in module._SCRIPT and b"\\'" not in module._SCRIPT  # fish reads these within quotes
    assert len(module._SCRIPT) < 1024 * 2 and module._SCRIPT.isascii()  # the longest word of an old csh


@pytest.mark.parametrize("login", LOGIN)
def test_every_login_shell_hands_the_script_on(login):
    """What ssh gives to a login shell is the words of its command line, with blanks between."""
    if not shutil.which(login):
        pytest.skip("%s is not installed" % login)
    for name in b"a", b"b\n":
        write(b"dst/" + name)
    chosen = mode(os.path.abspath(b"dst"))
    job = chosen.rename(moves_of((b"a", b"x\n"), (b"b\n", b"d/$(y)"), (b"no", b"z")), Times({b"": 10 ** 18}))
    host = job.argv.index(b"h")
    status, output = run([login, "-c", b" ".join(job.argv[host + 1:])], job.stdin)
    chosen.verdict(job, status, output)
    assert job.done == [True, True, False] and set(tree()) == {b"x\n", b"d", b"d/$(y)"}


@pytest.mark.parametrize("noise", [b"Welcome!\n", b"", b"no newline at its end ", b"equal: done\n"])
def test_what_a_profile_prints_before_the_answer_does_no_harm(noise):
    write(b"dst/a")
    chosen = mode(os.path.abspath(b"dst"))
    job = chosen.rename(moves_of((b"a", b"b"), (b"c", b"d")), Times())
    status, output = run(["sh", "-c", b"printf '%s'; %s" % (noise.replace(b"\n", b"\\n"), job.argv[-1])], job.stdin)
    verdict, _words = chosen.verdict(job, status, output)
    assert job.done == [True, False] and verdict in (Verdict.OK, Verdict.LOOK)


# ---- what a job says ---------------------------------------------------------------------------

def fields(job):
    *found, rest = job.stdin.split(b"\0")
    assert rest == b""
    return found


def records(job):
    """Return the records of a job, as lists of their fields."""
    found, rest = [], fields(job)[2:]
    while rest:
        count = {b"m": 3, b"d": 3, b"t": 3, b"x": 1}[rest[0]]
        found.append(rest[:count])
        del rest[:count]
    return found


def test_a_job_says_where_what_and_which_times():
    job = mode(b"/dst").rename(moves_of((b"a", b"d/b"), (b"d/c/", b"e/c")), Times({b"": 5, b"d": 1500000000 * 10 ** 9 + 42, b"e": 10 ** 18, b"x": 1}))
    assert fields(job)[:2] == [b"5", b"/dst"] and records(job)[:2] == [[b"m", b"a", b"d/b"], [b"d", b"d/c", b"e/c"]]
    told = {b".": b"0.000000005", b"d": b"1500000000.000000042", b"e": b"1000000000.000000000"}
    assert records(job)[2:] == [[b"t", told[path or b"."], path or b"."] for path, _marks in job.entries]  # answers tell of entries by number
    assert (job.purpose, sorted(job.entries), job.moves, job.size) == (RENAMES, [(b"", PLACE), (b"d", PLACE), (b"e", PLACE)], moves_of((b"a", b"d/b"),
            (b"d/c/", b"e/c")), 5)
    assert job.argv[0] == b"ssh" and job.argv[-2:] == [b"h", b"sh -c '" + module._SCRIPT + b"'"] and b"a" not in job.argv


def test_what_is_not_there_to_take_a_time_from_is_still_looked_at():
    """A directory that has gone since, or has been renamed, which is still to be told."""
    job = mode().rename(moves_of((b"a", b"d/b"), (b"e\1/x", b"y")), Times({b"": 5, b"e\1": 6}))
    assert len(records(job)) == job.size and {path for path, _marks in job.entries} == {b"", b"d", b"e\1"}
    assert [record[0] for record in records(job)].count(b"x") == 3


@pytest.mark.parametrize("targetdir, first", [(b"/d", b"/d"), (b"d", b"./d"), (b"-d", b"./-d"), (b"~/d", b"./~/d"), (b"", b"./"), (b"a b", b"./a b"), (b".", b"./.")])
def test_a_relative_target_directory_is_no_option_and_no_cdpath(targetdir, first):
    assert fields(mode(targetdir).rename(moves_of((b"a", b"b")), Times()))[1] == first


def test_a_directory_that_was_renamed_after_it_had_changed_gets_its_time_too():
    """mv d/a d/b; mv d e: on the target the time of e is that of the first rename."""
    for moves, name in [([Move(b"d/a", b"d/b", False), Move(b"d", b"e", True)], b"e"),
                        ([Move(b"d/s/a", b"x", False), Move(b"d", b"e", True), Move(b"e/s", b"e/t", True), Move(b"e", b"f", True)], b"f/t")]:
        job = mode().rename(moves, Times({b"": 5, name: 10 ** 18}))
        assert [b"t", b"1000000000.000000000", name] in records(job) and (name, PLACE) in job.entries
        assert not [path for path, _marks in job.entries if path.startswith(b"d")], "nothing is there any more"


@pytest.mark.parametrize("rsync, told", [({}, True), ({"times": False}, False), ({"omit_dir_times": True}, False)])
def test_times_are_only_set_where_rsync_would_set_them(rsync, told):
    job = mode(rsync=rsync).rename(moves_of((b"a", b"b")), Times({b"": 5}))
    assert (b"t" in fields(job)) is told and job.entries == ([(b"", PLACE)] if told else [])


@pytest.mark.parametrize("keys, takes", [
    ({}, True), ({"delete": True}, True), ({"delete": "running"}, True), ({"delete": False}, False), ({"delete": "startup"}, False),
    *[({"rsync": {key: True}}, False) for key in ("dry_run", "existing", "backup", "update")],
    *[({"rsync": {"_extra": (word,)}}, False) for word in ("-n", "--dry-run", "-b", "--backup", "--backup-dir=x", "--existing", "--ignore-non-existing",
    "--ignore-existing", "--max-delete=5",
                                                           "-u", "--update")],
    ({"rsync": {"_extra": ("--bwlimit=5", "-vv", "--no-owner")}}, True), ({"rsync": {"hard_links": True, "checksum": True}}, True)])
def test_renames_are_done_where_rsync_would_not_leave_things_alone(keys, takes):
    assert mode(**keys).takes_moves is takes


# ---- what an end means: every cell -------------------------------------------------------------

NOISE = [b"Welcome"]
STATUSES = [None, 0, 1, 2, 126, 127, 128, 129, 143, 254, 255, -9, -15]
OUTPUTS = {
    "nothing": [], "noise": NOISE, "done": [b"equal: done"], "noise, done": NOISE + [b"equal: done"], "done, noise": [b"equal: done"] + NOISE, "0": [b"equal: failed 0"],
    "1 2": [b"equal: failed 1 2"], "3": [b"equal: failed 3"], "all": [b"equal: failed *"], "cut": [b"equal: "], "half": [b"equal: don"],
    "refused": [b"ssh: connect to host h port 22: Connection refused"],
    "unknown": [b"ssh: Could not resolve hostname h: x", b"more"], "broken": [b"client_loop: send disconnect: Broken pipe"], "closed": [b"Connection closed by h"]}


@pytest.mark.parametrize("status, output", list(itertools.product(STATUSES, sorted(OUTPUTS))))
def test_what_the_end_of_renames_means(status, output):
    chosen = mode()
    job = chosen.rename(moves_of((b"a", b"d/a"), (b"b", b"d/b"), (b"c", b"d/c")), Times({b"": 5, b"d": 5}))
    assert len(job.moves) == 3 and job.entries == [(b"", PLACE), (b"d", PLACE)]
    verdict, words = chosen.verdict(job, status, OUTPUTS[output] or ([b"cannot run ssh"] if status is None else []))
    both = [(b"", PLACE), (b"d", PLACE)]
    if status is None:
        expected = Verdict.AGAIN, None, both
    elif status == 255 and output in ("refused", "unknown"):
        expected = Verdict.AGAIN, None, both                      # nothing was begun
    elif status < 0 or status > 128:
        expected = Verdict.AGAIN, [None] * 3, both                # nobody knows
    elif status == 0 and output in ("done", "noise, done"):
        expected = Verdict.OK, [True] * 3, []
    elif status == 0 and output == "0":
        expected = Verdict.OK, [False, True, True], []
    elif status == 0 and output == "1 2":
        expected = Verdict.OK, [True, False, False], []
    elif status == 0 and output == "3":
        expected = Verdict.LOOK, [True] * 3, [(b"", PLACE)]
    elif status == 0 and output == "all":
        expected = Verdict.LOOK, [False] * 3, both
    else:
        expected = Verdict.REDO, [False] * 3, both                # no shell there: they are transferred
    assert (verdict, job.done, job.entries) == expected
    assert chosen.takes_moves is (verdict is not Verdict.REDO)
    assert (words is None) is (verdict in (Verdict.OK, Verdict.LOOK)) and (words is None or words.isprintable())


@pytest.mark.parametrize("purpose", [BATCH, FULL])
@pytest.mark.parametrize("status, verdict", [(0, Verdict.OK), (23, Verdict.PARTIAL), (24, Verdict.LOOK), (255, Verdict.AGAIN), (1, Verdict.DIE),
        (-9, Verdict.AGAIN), (None, Verdict.AGAIN)])
def test_other_jobs_are_judged_as_rsync_s(purpose, status, verdict):
    entries = [(b"a", FRESH)] if purpose == BATCH else [(b"", WHOLE)]
    job = Job([b"rsync"], None, entries, purpose)
    chosen = mode()
    assert chosen.verdict(job, status, [b"ssh: connect to host h"])[0] is verdict and job.done is None and job.entries == entries and chosen.takes_moves


@pytest.mark.parametrize("output, expected", [
    ([], None), ([b"x"], None), ([b"equal:"], None), ([b"equal: "], None), ([b"equal: done"], set()), ([b"equal: failed 1"], {1}), ([b"equal: failed 1 3"],
    {1, 3}), ([b"equal: failed *"], {0, 1, 2, 3}),
    ([b"equal: done", b"x"], None), ([b"x", b"equal: done"], set()), ([b"equal: failed"], set()), ([b"equal: failed x 2"], {2}), ([b"equal: done 5"], None),
    ([b" equal: done"], None),
    ([b"equal: nonsense"], None)])
def test_answers(output, expected):
    assert answer(output, 4) == expected


# ---- many removals -----------------------------------------------------------------------------

def test_many_removals_are_one_call_with_the_times_of_their_directories(shell, monkeypatch):
    monkeypatch.setattr(module, "MANY", 3)
    hostile = [b"a b", b"-rf", b"new\nline", b"tail\n", b"$(touch pwned)", b"\xff\x81", b"*", b"'\""]
    names = [b"d/" + name for name in hostile] + [b"d/%d" % number for number in range(450)] + [b"e"]
    for name in names[:-1] + [b"e/f/g", b"d/stays", b"d2"]:
        write(b"dst/" + name)
    os.symlink("../../out", "dst/e/f/link")
    write(b"out/precious")
    chosen = mode(os.path.abspath(b"dst"))
    (job,) = chosen.plan([(name, FRESH) for name in names], Times({b"d": 5000000007, b"": 7 * 10 ** 9}), 0, 0)
    status, output = run([*shell, "-c", module._SCRIPT], job.stdin)
    assert status == 0 and chosen.verdict(job, status, output)[0] in (Verdict.OK, Verdict.LOOK)
    assert sorted(os.listdir(b"dst")) == [b"d", b"d2"] and os.listdir(b"dst/d") == [b"stays"] and os.listdir(b"out") == [b"precious"]
    left = [] if shell[0] != "busybox" else [(b"", PLACE), (b"d", PLACE)]  # its touch may take no parts of a second
    assert job.entries == [] or sorted(job.entries) == left
    assert left or [os.stat(path).st_mtime_ns for path in ("dst", "dst/d")] == [7 * 10 ** 9, 5000000007]


def test_what_cannot_be_removed_there_goes_by_rsync_from_then_on(shell, monkeypatch):
    monkeypatch.setattr(module, "MANY", 2)
    write(b"out/x")
    os.symlink("../out", "dst/d")  # the source has a directory
    write(b"dst/f")
    entries = [(b"d/x", PLACE), (b"f", PLACE)]
    chosen, source = mode(os.path.abspath(b"dst")), Times({b"d": 1, b"": 1})
    (job,) = chosen.plan(entries, source, 0, 0)
    status, output = run([*shell, "-c", module._SCRIPT], job.stdin)
    assert chosen.verdict(job, status, output)[0] is Verdict.LOOK and (b"d/x", FRESH) in job.entries and (b"f", FRESH) not in job.entries
    assert os.listdir("out") == ["x"] and not os.path.lexists("dst/f")
    (job,) = chosen.plan(entries, source, 0, 0)
    assert job.purpose == BATCH and job.argv[0] == b"rsync"


@pytest.mark.parametrize("keys, names", [
    ({"rules": [("-", b"*.key", "")]}, [b"a", b"b"]),  # what is excluded below them is protected
    ({"rsync": {"backup": True}}, [b"a", b"b"]), ({"rsync": {"dry_run": True}}, [b"a", b"b"]), ({}, [b"a"]), ({}, [b"a", b"\1"])])
def test_removals_that_stay_with_rsync(keys, names, monkeypatch):
    monkeypatch.setattr(module, "MANY", 2)
    jobs = mode(**keys).plan([(name, PLACE) for name in names], Times(), 0, 0)
    assert [job.argv[0] for job in jobs] == [b"rsync"]


def test_a_script_to_which_nobody_listens_any_more_ends(shell):
    """Its list is there already: what it did then would be long out of date."""
    for number in range(600):
        write(b"dst/a%d" % number)
    job = mode(os.path.abspath(b"dst")).rename(moves_of(*[(b"a%d" % number, b"b%d" % number) for number in range(600)]), Times())
    with open("list", "wb") as file:
        file.write(job.stdin)
    with open("list", "rb") as file:
        child = subprocess.Popen([*shell, "-c", module._SCRIPT], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout.readline() == b"equal: 0\n"
    child.stdout.close()
    child.wait(30)
    assert any(name.startswith("a") for name in os.listdir("dst"))
