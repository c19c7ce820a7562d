"""The pattern dialect, cell by cell and against the real rsync."""

import random
import shutil
import subprocess

import pytest

from lsyncd_lite.mirror.filters import Filter


def excluded(path, *rules):
    """Tell whether rules ("- PATTERN", "+ PATTERN" or just a pattern) exclude a path ("d/" is a directory)."""
    chosen = Filter([rule_of(rule, str(number)) for number, rule in enumerate(rules, 1)])
    name = path.rstrip(b"/")
    answer = chosen.deciding(name, path.endswith(b"/"))[0]
    directory, _slash, last = name.rpartition(b"/")
    assert chosen.excludes(directory, last, path.endswith(b"/")) is answer
    return answer


def rule_of(rule, where=""):
    return (chr(rule[0]), rule[2:], where) if rule[:2] in (b"- ", b"+ ") else ("-", rule, where)


@pytest.mark.parametrize("pattern, hit, missed", [
    # plain names: a whole segment, anywhere; what is below an excluded directory is excluded
    (b"erf", [b"erf", b"erf/", b"d/erf", b"d/erf/", b"erf/x", b"d/erf/x/y/"], [b"erfx", b"xerf", b"d/erfx", b"er", b"ERF"]),
    (b"/erf", [b"erf", b"erf/", b"erf/x", b"erf/x/erf"], [b"d/erf", b"d/erf/", b"erfx"]),
    (b"erf/", [b"erf/", b"d/erf/", b"erf/x", b"d/erf/x"], [b"erf", b"d/erf", b"erfx/"]),
    (b"/erf/", [b"erf/", b"erf/x"], [b"erf", b"d/erf/", b"d/erf/x"]),
    (b"d/erf", [b"d/erf", b"x/d/erf", b"d/erf/x"], [b"erf", b"d/x/erf", b"xd/erf", b"d/"]),
    (b"/d/erf", [b"d/erf"], [b"x/d/erf", b"erf"]),
    (b"d/erf/", [b"d/erf/", b"x/d/erf/"], [b"d/erf", b"erf/"]),
    # ? and *: never a slash
    (b"?", [b"a", b"d/a", b"\xff"], [b"ab"]),
    (b"a?c", [b"abc", b"d/a\nc", b"a/abc"], [b"ac", b"abbc", b"a/c"]),
    (b"*", [b"a", b"a/", b"d/a", b".hidden", b"\n"], []),
    (b"*.key", [b"s.key", b".key", b"d/s.key", b"s.key/x", b"a b.key"], [b"skey", b"s.keys", b"s.key.pub"]),
    (b"a*", [b"a", b"ab", b"d/abc"], [b"ba"]),
    (b"a*c", [b"ac", b"abbc"], [b"a/c", b"acb"]),
    (b"/*", [b"a", b"a/b", b"a/"], []),
    (b"/*/b", [b"a/b", b"a/b/c"], [b"b", b"a/a/b"]),
    (b"*/b", [b"a/b", b"a/a/b"], [b"b"]),
    (b"/d/*", [b"d/a", b"d/a/b"], [b"d/", b"d", b"a/d/x"]),
    (b"*/", [b"a/", b"d/a/", b"a/f"], [b"a"]),
    # **: any run, and with it the whole path counts
    (b"**", [b"a", b"a/", b"a/b"], []),
    (b"a/**", [b"a/b", b"a/b/c", b"x/a/b"], [b"a/", b"a"]),
    (b"/a/**", [b"a/b", b"a/b/c"], [b"a/", b"x/a/b"]),
    (b"/foo/**/bar", [b"foo/x/bar", b"foo/x/y/bar"], [b"foo/bar", b"x/foo/y/bar"]),
    (b"**/b", [b"b", b"a/b", b"a/a/b", b"a/b/c"], [b"ab"]),
    (b"a**b", [b"ab", b"axb", b"a/b", b"a/x/b", b"d/a/x/b"], [b"ba"]),
    (b"**b", [b"b", b"ab", b"x/ab"], [b"ba"]),
    # ***: a directory and all it holds
    (b"d/***", [b"d/", b"d/a", b"d/a/b", b"x/d/", b"x/d/a"], [b"d", b"e"]),
    (b"/d/***", [b"d/", b"d/a"], [b"d", b"x/d/", b"x/d/a"]),
    # classes: one character, never a slash
    (b"[ab]", [b"a", b"b", b"d/a"], [b"c", b"ab"]),
    (b"[a-c]x", [b"ax", b"bx", b"cx"], [b"dx", b"-x"]),
    (b"[!ab]", [b"c", b"!"], [b"a", b"b"]),
    (b"[^ab]", [b"c", b"^"], [b"a", b"b"]),
    (b"[]x]", [b"]", b"x"], [b"[", b"y"]),
    (b"[!]x]", [b"a"], [b"]", b"x"]),
    (b"[a-]", [b"a", b"-"], [b"b"]),
    (b"[-a]", [b"a", b"-"], [b"b"]),
    (b"[a\\]b]", [b"a", b"]", b"b"], [b"\\"]),
    (b"[[:digit:]]", [b"0", b"9"], [b"a", b":", b"d"]),
    (b"[[:alpha:]_]", [b"a", b"Z", b"_"], [b"0"]),
    (b"[^[:space:]]", [b"a"], [b" ", b"\t", b"\n"]),
    (b"[[:upper:]]x", [b"Ax"], [b"ax"]),
    (b"a[!x]b", [b"ayb"], [b"axb", b"a/b"]),
    (b"/a[.-0]b", [b"a.b", b"a0b"], [b"a/b"]),   # a range over the slash
    (b"/a[[:punct:]]b", [b"a.b"], [b"a/b", b"a0b"]),
    (b"[z-a]", [], [b"a", b"z", b"m", b"-"]),
    (b"[ab", [], [b"a", b"[ab", b"b"]),          # not closed: nothing
    (b"[[:nonsense:]]", [], [b"n", b":"]),
    # the backslash: an escape only beside a wildcard
    (b"a\\b", [b"a\\b"], [b"ab"]),
    (b"a\\b*", [b"ab", b"abc"], [b"a\\b"]),
    (b"a\\\\b*", [b"a\\bc"], [b"ab"]),
    (b"a\\*", [b"a*"], [b"ab", b"a\\*"]),
    (b"a\\?b*", [b"a?b"], [b"axb"]),
    (b"\\[x]*", [b"[x]y"], [b"x", b"xy"]),
    (b"\\**", [b"*", b"*a"], [b"a"]),
    # what means something elsewhere means nothing here
    (b"a.c", [b"a.c"], [b"abc"]),
    (b"a+(b|c){1}$^", [b"a+(b|c){1}$^"], [b"ab"]),
    (b" a ", [b" a "], [b"a"]),
    (b"#a", [b"#a"], []),
    (b"\xff\xfe", [b"\xff\xfe"], [b"\xff"]),
    (b"a\nb", [b"a\nb"], [b"a"]),
    (b"]", [b"]"], [b"a"]),
    (b"x" * 255, [b"x" * 255], [b"x" * 254]),
])
def test_dialect(pattern, hit, missed):
    assert [path for path in hit if not excluded(path, pattern)] == []
    assert [path for path in missed if excluded(path, pattern)] == []


@pytest.mark.parametrize("rules, hit, missed", [
    ([], [], [b"a", b"d/a"]),
    ([b"+ a", b"- *"], [b"b", b"d/", b"d/a"], [b"a"]),
    ([b"- a", b"+ a"], [b"a"], [b"b"]),
    ([b"+ a", b"- a"], [], [b"a"]),
    ([b"+ */", b"+ *.c", b"- *"], [b"x.o", b"d/x.o"], [b"x.c", b"d/", b"d/e/x.c"]),
    ([b"+ foo/", b"+ foo/bar.c", b"- *"], [b"foo/x.c", b"bar.c", b"x/"], [b"foo/", b"foo/bar.c"]),
    ([b"+ limits.conf", b"- *"], [b"access.conf", b"limits.d/", b"limits.d/limits.conf"], [b"limits.conf"]),
    ([b"- d/", b"+ d/a"], [b"d/", b"d/a"], [b"e/", b"d"]),  # nothing brings back what is below
    ([b"+ d/a", b"- d/"], [b"d/", b"d/a"], []),
    ([b"+ d/", b"- d/*", b"+ **"], [b"d/a"], [b"d/", b"e"]),
    ([b"- /d/*", b"+ /d/a"], [b"d/a", b"d/b"], [b"d/"]),
    ([b"+ /d/a", b"- /d/*"], [b"d/b"], [b"d/", b"d/a"]),
    ([b"+ *.key", b"- s.*"], [b"s.txt"], [b"s.key"]),
])
def test_the_first_match_decides(rules, hit, missed):
    assert [path for path in hit if not excluded(path, *rules)] == []
    assert [path for path in missed if excluded(path, *rules)] == []


def test_the_root_is_never_excluded():
    for pattern in b"*", b"**", b"/", b"?", b"/***", b"*/":
        chosen = Filter([("-", pattern, "")])
        assert not chosen.deciding(b"", True)[0] and not chosen.excludes(b"", b"", True)


@pytest.mark.parametrize("path, is_dir, answer", [
    (b"x.key", False, (True, b"*.key", b"x.key")),
    (b"keep.key", False, (False, b"keep*", b"keep.key")),
    (b"other", False, (False, None, b"other")),
    (b"d", True, (True, b"d/", b"d")),
    (b"d", False, (False, None, b"d")),
    (b"d/e/keep.key", False, (True, b"d/", b"d")),
    (b"a/d/e/f", False, (True, b"d/", b"a/d")),
    (b"a/x.key/f", False, (True, b"*.key", b"a/x.key")),
])
def test_deciding_names_the_rule_and_what_it_matched(path, is_dir, answer):
    chosen = Filter([("+", b"keep*", "a:1"), ("-", b"*.key", "a:2"), ("-", b"d/", "a:3")])
    hidden, rule, matched = chosen.deciding(path, is_dir)
    assert (hidden, rule and rule.pattern, matched) == answer


def test_deciding_tells_where_a_rule_stands():
    assert Filter([("-", b"a", "FILE:3: exclude"), ("-", b"b", "FILE:4: exclude")]).deciding(b"b", False)[1].where == "FILE:4: exclude"


def test_a_verdict_does_not_depend_on_what_was_asked_before():
    rules = [("+", b"/a/b/", ""), ("-", b"b/", ""), ("-", b"*.key", "")]
    paths = [(b"a", b"b", True), (b"", b"b", True), (b"c/b", b"f", False), (b"a/b", b"f", False), (b"a/b", b"s.key", False)]
    alone = [Filter(rules).excludes(*path) for path in paths]
    for order in paths, paths[::-1]:
        chosen = Filter(rules)
        assert {path: chosen.excludes(*path) for path in order + order} == dict(zip(paths, alone))


def test_many_directories_do_not_wear_out_the_memory_of_verdicts():
    chosen = Filter([("-", b"*7", "")])
    for number in range(10050):
        assert chosen.excludes(b"d%d" % number, b"f", False) is (number % 10 == 7)
    assert chosen.excludes(b"d7", b"f", False) and not chosen.excludes(b"d8", b"f", False)


# ---- what a directory may be renamed to ---------------------------------------------------------

@pytest.mark.parametrize("patterns, positional", [
    ([], False), ([b"a"], False), ([b"*.o"], False), ([b"a/"], False), ([b"[ab]?"], False), ([b"a*b", b"c/"], False), ([b"[/]"], True),
    ([b"/a"], True), ([b"a/b"], True), ([b"a/b/"], True), ([b"/a/"], True), ([b"**"], True), ([b"a**"], True), ([b"**/a"], True), ([b"a/***"], True), ([b"/"], False),
    ([b"*.o", b"/a"], True), ([b"a/*"], True)])
def test_rules_that_look_at_where_something_stands(patterns, positional):
    for sign in "+", "-":
        assert Filter([(sign, pattern, "") for pattern in patterns]).positional is positional


@pytest.mark.parametrize("seed", range(200))
def test_below_a_renamed_directory_the_same_is_excluded_where_no_rule_is_positional(seed):
    rnd = random.Random(seed)
    chosen = Filter([rule_of(rnd.choice([b"- ", b"- ", b"+ "]) + random_pattern(rnd)) for _ in range(rnd.randint(1, 3))])
    if chosen.positional:
        return
    places = [place for place in (b"d", b"e", b"d/x", b"a/b", b"e/erf/7") if not chosen.deciding(place, True)[0]]
    for name in [b"a", b"x/b", b"erf", b"[x]/a.key", b"x y/A/7"]:
        assert len({chosen.deciding(place + b"/" + name, is_dir)[0] for place in places for is_dir in (False,)}) <= 1
        assert len({chosen.deciding(place + b"/" + name, True)[0] for place in places}) <= 1


# ---- against the real rsync --------------------------------------------------------------------
# Left out of the random patterns, since rsync is known to read them otherwise: a class that
# holds a slash (together with "**" it can match one there), and runs of four or more stars.

NAMES = [b"a", b"b", b"ab", b"a.key", b"[x]", b"x", b"a\\b", b"a*", b"d?", b"-z", b"erf", b"erfx", b"]", b"A", b"7", b" a", b"x y"]
TOKENS = [b"a", b"b", b"x", b"*", b"**", b"?", b"/", b"/", b"[ab]", b"[!a]", b"[^x]", b"[", b"]", b"\\", b".key", b"***",
          b"erf", b"[a-c]", b"[[:alpha:]]", b"[[:digit:]x]", b"[]x]", b"d", b"-", b"A", b" "]
PATTERNS, TOGETHER = 160, 8


def random_pattern(rnd):
    while True:
        pattern = b"".join(rnd.choice(TOKENS) for _ in range(rnd.choice([1, 2, 2, 3, 3, 4, 5])))
        opened = pattern.find(b"[")
        if b"****" not in pattern and not (opened >= 0 and b"**" in pattern and b"/" in pattern[opened:]):
            return pattern


def mirrored(rules, found):
    """Return the paths that our filter leaves."""
    chosen = Filter([rule_of(rule) for rule in rules])
    return {path for path, is_dir in found.items()
            if not chosen.excludes(path.rpartition(b"/")[0], path.rpartition(b"/")[2], is_dir)}


def random_rules(rnd, found):
    """Return some rules; mostly such that decide differently for different paths."""
    dull = rnd.random() < 0.2
    while True:
        rules = [rnd.choice([b"- ", b"- ", b"+ "]) + random_pattern(rnd) for _ in range(rnd.randint(1, 3))]
        if dull or 0 < len(mirrored(rules, found)) < len(found):
            return rules


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A small tree: {relative path: whether it is a directory}."""
    root, rnd, found = tmp_path_factory.mktemp("tree"), random.Random(1), {}
    source = root / "src"
    (root / "dst").mkdir()

    def fill(directory, prefix, depth):
        directory.mkdir()
        for name in NAMES:
            if rnd.random() < (1, 0.5, 0.2, 0.1)[depth]:
                is_dir = depth < 3 and rnd.random() < 0.5
                found[prefix + name] = is_dir
                if is_dir:
                    fill(directory / name.decode(), prefix + name + b"/", depth + 1)
                else:
                    (directory / name.decode()).touch()

    fill(source, b"", 0)
    return root, found


@pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed: our filter is not compared with it")
def test_random_patterns_mean_what_they_mean_to_rsync(tree):
    root, found = tree
    assert len(found) > 100
    wrong = []
    for first in range(0, PATTERNS, TOGETHER):
        running = []
        for seed in range(first, first + TOGETHER):
            rules = random_rules(random.Random(seed), found)
            argv = [b"rsync", b"-r", b"-n", b"-8", b"--out-format=%n", *[b"--filter=" + rule for rule in rules],
                    bytes(root) + b"/src/", bytes(root) + b"/dst/"]
            running.append((seed, rules, subprocess.Popen(argv, stdout=subprocess.PIPE)))
        for seed, rules, child in running:
            output = child.communicate()[0]
            assert child.returncode == 0, (seed, rules)
            theirs, ours = {line.rstrip(b"/") for line in output.split(b"\n")} - {b"", b"."}, mirrored(rules, found)
            if ours != theirs:
                wrong.append((seed, rules, sorted(ours - theirs)[:3], sorted(theirs - ours)[:3]))
    assert wrong == []
