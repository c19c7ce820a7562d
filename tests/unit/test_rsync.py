"""rsync mode: which argument lists for which situation, and what each exit status means.

The situations are those that rsync was measured in; the source is a dictionary.
"""

import itertools
import re

import pytest

from world import DIRECTORY, FIFO, LINK, Source, config, file, filter_of

from lsyncd_lite.mirror.change import FRESH, LITTER, NEW, PLACE, WHOLE
from lsyncd_lite.mirror.job import Job, Verdict
from lsyncd_lite.mirror.rsync import _NO_TARGET, BATCH, FULL, PROBE, REMOVAL, Rsync

SETTLED, WALL = 1000.0, 3000.0  # what the target holds was read before; now
REFUSED = b"invalid file mode 00 in file list [Receiver]"


def mode(environ=None, broken=False, **keys):
    made = Rsync(config(**keys), environ or {})
    if broken:
        assert made.verdict(made.probe(), 2, [REFUSED])[0] is Verdict.REDO
    return made


def plan(entries, files, settled=SETTLED, wall=WALL, **keys):
    jobs = mode(**keys).plan(entries, Source(files), settled, wall)
    for job in jobs:
        assert job.argv[0] == b"rsync" and job.argv[-2:] == [b"/src/", b"/dst/"] and all(type(word) is bytes for word in job.argv)
    return jobs


def names(job):
    """Return the names a job lists, without "./" and in order."""
    *found, rest = job.stdin.split(b"\0")
    assert rest == b"" and all(name.startswith(b"./") for name in found)
    return [name[2:] for name in found]


def by_content(job):
    """Tell whether a job looks at content where size and time are the same."""
    return b"--checksum" in job.argv or b"--ignore-times" in job.argv


def taken(jobs):
    return sorted(entry for job in jobs for entry in job.entries)


# ---- which names, and how they are compared ----------------------------------------------------

TREE = {b"f": file(), b"d": DIRECTORY, b"d/f": file(), b"d/e": DIRECTORY, b"d/e/f": file(), b"d/e/g": DIRECTORY, b"l": LINK, b"p": FIFO,
        b"new": file(mtime=2000), b"d/new": file(mtime=2000), b"later": file(mtime=SETTLED + .5), b"now": file(mtime=SETTLED)}
TRUSTED, DOUBTED = False, True


@pytest.mark.parametrize("entries, expected", [
    # a path that is there, or not: itself, no trailing slash
    ([(b"new", FRESH)], {TRUSTED: [b"new"]}),
    ([(b"d/new", FRESH)], {TRUSTED: [b"d/new"]}),
    ([(b"gone", PLACE)], {TRUSTED: [b"gone"]}),
    ([(b"gone", FRESH)], {TRUSTED: [b"gone"]}),
    ([(b"gone", WHOLE | FRESH)], {TRUSTED: [b"gone"]}),
    ([(b"d/gone", PLACE)], {TRUSTED: [b"d/gone"]}),
    ([(b"f", PLACE)], {TRUSTED: [b"f"]}),
    ([(b"l", FRESH)], {TRUSTED: [b"l"]}),
    ([(b"p", FRESH)], {TRUSTED: [b"p"]}),
    ([(b"d", PLACE)], {TRUSTED: [b"d"]}),
    ([(b"d", FRESH)], {TRUSTED: [b"d"]}),
    # the topmost ancestor that is missing, or no directory any more
    ([(b"x/y/z", PLACE)], {TRUSTED: [b"x"]}),
    ([(b"x/y/z", FRESH), (b"x/y", PLACE), (b"x", WHOLE | FRESH)], {TRUSTED: [b"x"]}),
    ([(b"d/x/y/z", FRESH), (b"d/x/w", FRESH)], {TRUSTED: [b"d/x"]}),
    ([(b"l/a/b", FRESH)], {TRUSTED: [b"l"]}),
    ([(b"f/a", PLACE), (b"f/b/c", PLACE)], {TRUSTED: [b"f"]}),
    ([(b"d/e/f/x", FRESH)], {TRUSTED: [b"d/e/f"]}),
    ([(b"p/x", WHOLE)], {TRUSTED: [b"p"]}),
    # a subtree: itself and every directory below it
    ([(b"d", WHOLE)], {TRUSTED: [b"d/", b"d/e/", b"d/e/g/"]}),
    ([(b"d/e", WHOLE)], {TRUSTED: [b"d/e/", b"d/e/g/"]}),
    ([(b"d", WHOLE | NEW)], {TRUSTED: [b"d/", b"d/e/", b"d/e/g/"]}),
    ([(b"d", WHOLE | NEW | FRESH)], {TRUSTED: [b"d/", b"d/e/", b"d/e/g/"]}),
    ([(b"d/e/g", WHOLE)], {TRUSTED: [b"d/e/g/"]}),
    # ... but what is no directory (any more) is a path
    ([(b"l", WHOLE)], {TRUSTED: [b"l"]}),
    ([(b"f", WHOLE)], {TRUSTED: [b"f"]}),
    # content that may be new under a time that the target may know
    ([(b"f", FRESH)], {DOUBTED: [b"f"]}),
    ([(b"now", FRESH)], {DOUBTED: [b"now"]}),
    ([(b"later", FRESH)], {TRUSTED: [b"later"]}),
    ([(b"f", WHOLE | FRESH)], {DOUBTED: [b"f"]}),
    ([(b"d", WHOLE | FRESH)], {DOUBTED: [b"d/", b"d/e/", b"d/e/g/"]}),
    ([(b"f", FRESH), (b"d/f", PLACE)], {DOUBTED: [b"f"], TRUSTED: [b"d/f"]}),
    ([(b"f", FRESH), (b"new", FRESH), (b"gone", PLACE), (b"d/e", WHOLE)], {DOUBTED: [b"f"], TRUSTED: [b"d/e/", b"d/e/g/", b"gone", b"new"]}),
    ([(b"d/e", WHOLE | FRESH), (b"d/f", FRESH), (b"d", PLACE)], {DOUBTED: [b"d/e/", b"d/e/g/", b"d/f"], TRUSTED: [b"d"]}),
    # the root's attributes ride along
    ([(b"", PLACE), (b"new", FRESH)], {TRUSTED: [b"new"]}),
    ([], {}),
])
def test_one_batch_lists_the_paths_themselves(entries, expected):
    jobs = plan(entries, TREE)
    assert {by_content(job): sorted(set(names(job))) for job in jobs} == expected and len(jobs) == len(expected)
    assert {job.purpose for job in jobs} <= {BATCH}
    assert taken(jobs) == sorted(entries)
    for job in jobs:
        assert b"--files-from=-" in job.argv and b"--from0" in job.argv
        assert not {b"-r", b"-a", b"--recursive", b"--archive"} & set(job.argv)
        assert {b"--delete", b"--delete-missing-args", b"--force", b"--modify-window=-1"} <= set(job.argv)


@pytest.mark.parametrize("entry", [(b"f", FRESH), (b"new", FRESH), (b"later", FRESH)])
def test_no_time_is_trusted_while_another_job_runs(entry):
    assert [by_content(job) for job in plan([entry], TREE, settled=float("inf"))] == [True]


def test_a_time_in_the_future_is_not_trusted():
    """touch -d 2040 a; (mirrored); touch -r a b; mv b a: same size, same time, other content."""
    jobs = plan([(b"a", FRESH)], {b"a": file(mtime=4e9)}, settled=1.7e9, wall=1.8e9)
    assert [by_content(job) for job in jobs] == [True]


def test_attributes_alone_do_not_cost_a_look_at_content():
    assert not any(by_content(job) for job in plan([(b"f", PLACE), (b"d", PLACE), (b"d/f", PLACE)], TREE))


@pytest.mark.parametrize("marks", [WHOLE, WHOLE | FRESH, WHOLE | NEW])
def test_the_whole_root_is_one_recursive_rsync(marks):
    for more in [], [(b"f", FRESH)], [(b"gone", PLACE)]:
        (job,) = plan([(b"", marks), *more], TREE)
        assert (job.purpose, job.stdin, taken([job])) == (FULL, None, sorted([(b"", marks), *more]))
        assert {b"-r", b"--delete", b"--force"} <= set(job.argv)
        assert not [word for word in job.argv if word.startswith((b"--files-from", b"--delete-missing", b"--max-delete"))]


def test_only_the_roots_attributes_touch_nothing_else():
    (job,) = plan([(b"", PLACE)], TREE)
    assert job.entries == [(b"", PLACE)] and job.purpose == BATCH
    assert len(names(job)) == 1 and names(job)[0] not in TREE
    assert b"--ignore-missing-args" in job.argv and not any(word.startswith(b"--delete") for word in job.argv)


def test_a_job_for_the_root_goes_out_once_beside_others():
    jobs = plan([(b"", PLACE), (b"f", FRESH), (b"d/f", PLACE)], TREE)
    assert taken(jobs) == [(b"", PLACE), (b"d/f", PLACE), (b"f", FRESH)] and len(jobs) == 2


@pytest.mark.parametrize("name", [b"#a", b";a", b"-a", b"--delete", b" a", b"a ", b"a\nb", b"\xff\xfe", b"*", b"[a]", b"a\\b", b"?", b"x" * 255,
                                  b":a", b"a:b", b"!", b".", b"...", b"~a", b"$(a)", b"'", b'"'])
def test_names_travel_as_they_are(name):
    entries = [(name, FRESH), (b"d/" + name, FRESH), (name + b"/x", FRESH)]
    (job,) = plan(entries, {name: file(mtime=2000), b"d": DIRECTORY})
    listed = job.stdin.split(b"\0")[:-1]
    assert set(listed) == {b"./" + name, b"./d/" + name} and len(listed) < 4
    assert job.argv == plan([(b"new", FRESH)], {b"new": file(mtime=2000)})[0].argv


def test_each_directory_is_looked_at_once():
    class Counting(Source):
        asked = []

        def lstat(self, path):
            self.asked.append(path)
            return super().lstat(path)

    source = Counting({b"d": DIRECTORY, b"d/e": DIRECTORY})
    mode().plan([(b"d/e/%d" % number, PLACE) for number in range(50)], source, SETTLED, WALL)
    assert source.asked.count(b"d") == source.asked.count(b"d/e") == 1 and len(source.asked) == 52


# ---- delete, in all its values -----------------------------------------------------------------

@pytest.mark.parametrize("delete, full, batch", [(True, True, True), (False, False, False), ("startup", True, False), ("running", False, True)])
def test_four_values_of_delete(delete, full, batch):
    (job,) = plan([(b"", WHOLE)], TREE, delete=delete)
    assert (b"--delete" in job.argv) is full
    jobs = plan([(b"new", FRESH), (b"d/e", WHOLE)], TREE, delete=delete)
    for job in jobs:
        assert (b"--delete" in job.argv) is (b"--delete-missing-args" in job.argv) is batch
        assert (b"--ignore-missing-args" in job.argv) is not batch
        assert b"--force" in job.argv
    assert (mode(delete=delete).probe() is not None) is batch


@pytest.mark.parametrize("delete", [False, "startup"])
def test_without_deletions_what_is_gone_needs_nothing(delete):
    assert plan([(b"gone", PLACE), (b"d/gone", FRESH), (b"x/y", WHOLE | FRESH)], TREE, delete=delete) == []
    (job,) = plan([(b"gone", PLACE), (b"new", FRESH)], TREE, delete=delete)
    assert names(job) == [b"new"]


def test_delete_excluded_goes_with_a_full_sync_that_deletes():
    for delete, expected in (True, True), (False, False), ("startup", True), ("running", False):
        for entries in [(b"", WHOLE)], [(b"new", FRESH)]:
            (job,) = plan(entries, TREE, delete=delete, rsync={"delete_excluded": True})
            assert (b"--delete-excluded" in job.argv) is (expected and entries[0][0] == b"")


@pytest.mark.parametrize("files, allow, delete, guarded", [
    ({}, False, True, True), ({}, True, True, False), (TREE, False, True, False), ({}, False, "startup", True), ({}, False, False, False),
    ({}, False, "running", False)])
def test_an_empty_source_does_not_empty_the_target(files, allow, delete, guarded):
    (job,) = plan([(b"", WHOLE)], files, allowEmptySource=allow, delete=delete)
    assert (b"--max-delete=0" in job.argv) is guarded
    verdict, words = mode().verdict(job, 25, [])
    assert verdict is (Verdict.AGAIN if guarded else Verdict.DIE) and ("allowEmptySource" in words) is guarded


# ---- hard links --------------------------------------------------------------------------------

LINKED = {**TREE, b"h": file(nlink=2)}


def test_hard_links_do_not_matter_where_they_are_not_kept():
    assert not any(job.then_full for job in plan([(b"h", FRESH), (b"new", FRESH)], LINKED))
    jobs = plan([(b"new", FRESH), (b"d", WHOLE)], LINKED, rsync={"hard_links": True})
    assert not any(job.then_full for job in jobs)


@pytest.mark.parametrize("doubted", [(b"h", FRESH), (b"f", FRESH), (b"d", WHOLE | FRESH)])
def test_a_hard_linked_file_does_not_take_the_doubt_from_others(doubted):
    """Else `touch -r a b; mv b a` is lost (trap 5) as soon as a linked file is in the same batch."""
    assert any(by_content(job) for job in plan([(b"h", FRESH), doubted], LINKED, rsync={"hard_links": True}))


def test_a_hard_linked_file_does_not_make_deletions_forgotten():
    jobs = plan([(b"h", FRESH), (b"gone", PLACE)], LINKED, rsync={"hard_links": True}, delete="running")
    assert any(b"--delete" in job.argv or b"--delete-missing-args" in job.argv for job in jobs if (b"gone", PLACE) in job.entries)


@pytest.mark.parametrize("entry", [(b"d", WHOLE), (b"d", WHOLE | NEW), (b"d", WHOLE | FRESH)])
@pytest.mark.parametrize("name", [b"d/h", b"d/sub/h"])
def test_a_hard_linked_file_within_a_new_directory_wants_a_full_sync(entry, name):
    """Its other names are not on the list: rsync sends it as a file of its own."""
    files = {**TREE, b"d/sub": DIRECTORY, name: file(nlink=2)}
    assert any(job.then_full for job in plan([entry], files, rsync={"hard_links": True}))
    assert not any(job.then_full for job in plan([entry], files))


# ---- what a killed receiver leaves -------------------------------------------------------------

@pytest.mark.parametrize("status, output, littered", [
    (-9, [], True), (137, [], True), (10, [], True), (12, [], True), (20, [], True), (30, [], True), (255, [b"Connection reset"], True),
    (255, [b"ssh: connect to host h port 22: Connection refused"], False), (10, [b"rsync: [sender] failed to connect to h"], False),
    (0, [], False), (23, [], False), (24, [], False), (11, [], False), (5, [], False), (1, [], False)])
def test_after_a_killed_receiver_the_directories_are_cleaned(status, output, littered):
    made, entries = mode(), [(b"f", FRESH), (b"d/f", FRESH), (b"d/new", PLACE), (b"d/e", WHOLE)]
    job = made.batch([b"f", b"d/f", b"d/new", b"d/e/"], entries)
    made.verdict(job, status, output)
    assert job.entries == entries + [(b"", LITTER), (b"d", LITTER)] * littered
    cleaning = made.plan(job.entries, Source(TREE), SETTLED, WALL)[0]
    assert (b"--existing" in cleaning.argv) is littered
    if littered:
        ours = [word for word in cleaning.argv if word.startswith(b"--filter=")]
        assert ours[:2] == [b"--filter=P */", b"--filter=-r! .*.??????"]  # then the user's: what these protect stays
        assert cleaning.stdin == b"./\0./d/\0" and cleaning.entries == [(b"", LITTER), (b"d", LITTER)]
        made.verdict(cleaning, status, output)  # and killed again: that is no reason to look further up
        assert cleaning.entries == [(b"", LITTER), (b"d", LITTER)]


def test_nothing_is_cleaned_where_deletions_are_off():
    made = mode(delete="startup")
    job = made.batch([b"f"], [(b"f", FRESH)])
    made.verdict(job, -9, [])
    assert job.entries == [(b"f", FRESH)]


@pytest.mark.parametrize("path", [b"gone", b"f", b"l", b"l/x"])
def test_what_is_no_directory_any_more_is_not_cleaned(path):
    assert not any(b"--existing" in job.argv for job in plan([(path, LITTER)], TREE))


# ---- large files -------------------------------------------------------------------------------

@pytest.mark.parametrize("limit, alone", [(None, []), (0, [b"a", b"b", b"c"]), (9, [b"b", b"c"]), (10, [b"c"]), (99, [b"c"]), (100, [])])
def test_files_above_the_limit_travel_alone(limit, alone):
    files = {b"a": file(2000, 9), b"b": file(2000, 10), b"c": file(2000, 100), b"d": DIRECTORY, b"l": LINK}
    entries = [(b"a", FRESH), (b"b", FRESH), (b"c", FRESH), (b"d", PLACE), (b"l", FRESH), (b"gone", PLACE)]
    jobs = plan(entries, files, batchSizeLimit=limit)
    assert sorted(names(job)[0] for job in jobs if len(names(job)) == 1) == alone
    assert taken(jobs) == sorted(entries) and len(jobs) == len(alone) + 1


def test_a_large_file_of_doubt_is_compared_by_content():
    jobs = plan([(b"a", FRESH), (b"b", FRESH)], {b"a": file(1, 10), b"b": file(2000, 10)}, batchSizeLimit=5)
    assert {names(job)[0]: by_content(job) for job in jobs} == {b"a": True, b"b": False}


# ---- broken receivers --------------------------------------------------------------------------

def test_the_probe_changes_nothing_and_asks_for_what_no_source_holds():
    job = mode().probe()
    assert job.purpose == PROBE and job.entries == [] and {b"-n", b"--delete-missing-args"} <= set(job.argv)
    (name,) = names(job)
    assert re.search(rb"[\x00-\x1f]", name) and job.argv[-1] == b"/dst/"


def removal(*gone, files=TREE, **keys):
    """Return the removal job of a broken receiver, and its rules."""
    jobs = mode(broken=True, **keys).plan([(name, PLACE) for name in gone], Source(files), SETTLED, WALL)
    (job,) = [job for job in jobs if job.purpose == REMOVAL]
    return job, job.stdin.split(b"\0")[:-1]


def test_a_broken_receiver_gets_removals_in_an_rsync_of_their_own():
    entries = [(b"gone", PLACE), (b"d/x/y", PLACE), (b"new", FRESH), (b"f", FRESH), (b"d/e", WHOLE)]
    jobs = mode(broken=True).plan(entries, Source(TREE), SETTLED, WALL)
    assert [job.purpose for job in jobs] == [REMOVAL, BATCH, BATCH] and taken(jobs) == sorted(entries)
    assert taken(jobs[:1]) == [(b"d/x/y", PLACE), (b"gone", PLACE)]
    assert not {b"gone", b"d/x", b"d/x/y"} & {name for job in jobs[1:] for name in names(job)}
    assert {b"-r", b"--delete", b"--force", b"--from0", b"--filter=merge -"} <= set(jobs[0].argv)
    assert not [word for word in jobs[0].argv if word.startswith((b"--files-from", b"--delete-missing"))]


@pytest.mark.parametrize("name", [b"gone", b"d/gone", b"d/e/gone", b"a*", b"d/a?b", b"[x]", b"a\\b", b"a\\*b", b"*", b"**", b"a\nb", b"#a", b";a",
                                  b"-a", b" a ", b"\xff", b"]", b"a]", b"\\", b"d/[", b"+ a", b"- a", b"!"])
def test_a_removal_shows_rsync_what_is_gone_and_nothing_else(name):
    job, _rules = removal(name)
    shown, sent = filter_of(job, "receiver"), filter_of(job)
    parents = [b"/".join(name.split(b"/")[:depth]) for depth in range(1, name.count(b"/") + 1)]

    def visible(path, is_dir):
        return not shown.deciding(path, is_dir)[0]

    assert all(visible(parent, True) for parent in parents)
    assert visible(name, False) and visible(name, True) and visible(name + b"/below/it", False)
    assert sent.deciding(name, False)[0] and sent.deciding(name, True)[0], "what is there again has a change of its own"
    others = {b"f", b"d/f", b"axb", b"aab", b"x", b"a", b"b", b"ab", b"d/e/f", b"gonee", b"d/xgone", b"A", name + b"x", b"x" + name}
    others |= {re.sub(rb"[*?\\\[\]]", b"", name), name.replace(b"*", b"zz"), name.replace(b"?", b"z"), b"other/" + name}
    assert [path for path in sorted(others - {name}) if not path.endswith(b"/") and path and visible(path, False)] == []


@pytest.mark.parametrize("rules, hidden", [
    ([], []), ([("-", b"*.key", "")], [b"gone/s.key", b"d/gone/x/s.key"]), ([("+", b"keep.key", ""), ("-", b"*.key", "")], [b"gone/s.key"]),
    ([("+", b"*/", ""), ("+", b"*.c", ""), ("-", b"*", "")], [b"gone/x", b"d/gone/x.o"]), ([("+", b"d/***", ""), ("+", b"gone/***", ""), ("-", b"*", "")], []),
    ([("+", b"**", "")], []), ([("-", b"/gone/x", "")], [b"gone/x", b"gone/x/y"])])
def test_a_removal_keeps_to_the_rules_below_what_is_gone_and_shows_nothing_else(rules, hidden):
    """"+" rules must not show the rest of the tree: it would be sent, and whatever is new on the target deleted."""
    job, _rules = removal(b"gone", b"d/gone", rules=rules)
    shown = filter_of(job, "receiver")
    visible = [b"gone", b"d/gone", b"gone/a.c", b"gone/e/b.c", b"d/gone/keep.c"] + [b"gone/keep.key"] * any(rule[1] == b"keep.key" for rule in rules)
    assert [path for path in visible if shown.deciding(path, False)[0]] == [] and not shown.deciding(b"d", True)[0]
    others = hidden + [b"f", b"f.c", b"d/f.c", b"d/e/f.c", b"e/gone", b"keep.key", b"d/x"]
    assert [path for path in others if not shown.deciding(path, False)[0]] == []
    assert shown.deciding(b"e", True)[0] and shown.deciding(b"d/e", True)[0]


def test_a_removal_names_parents_once():
    _job, rules = removal(b"d/e/a", b"d/e/b", b"d/f2")
    assert len(rules) == len(set(rules)) and rules.index(b"+ /d/") < rules.index(b"+ /d/e/") < rules.index(b"R /d/e/a") < rules.index(b"- /*")


# ---- options -----------------------------------------------------------------------------------

def argvs(**keys):
    """Return an argv of each kind."""
    made, broken = mode(**keys), mode(broken=True, **keys)
    jobs = [made.probe()]
    for one, entries in (made, [(b"", WHOLE)]), (made, [(b"f", FRESH), (b"d/f", PLACE)]), (broken, [(b"gone", PLACE)]), (made, [(b"", PLACE)]):
        jobs += one.plan(entries, Source(TREE), SETTLED, WALL)
    assert len(jobs) == 6
    return [job.argv for job in jobs]


@pytest.mark.parametrize("table", [{"update": True}, {"_extra": ("-u",)}, {"_extra": ("--update",)}])
def test_with_update_what_is_newer_by_less_than_two_seconds_is_left_alone(table):
    made = mode(rsync=table)
    for job in made.plan([(b"f", FRESH), (b"d/f", FRESH)], Source(TREE), SETTLED, WALL) + made.plan([(b"", WHOLE)], Source(TREE), SETTLED, WALL):
        assert b"--modify-window=0" in job.argv and b"--modify-window=-1" not in job.argv and not by_content(job)


@pytest.mark.parametrize("mtime, ctime, settled, expected", [
    (1000.9, 1000.9, 1000.2, True), (1000.9, 1000.905, 1000.2, True), (1000.1, 1000.1, 1000.2, True),  # written here; the target may have one of that second
    (1000.9, 1001.2, 1000.2, False),  # it has arrived here
    (1001.1, 1001.1, 1000.2, False), (999.9, 999.9, 1000.2, False), (1000.9, 1000.9, float("inf"), False)])
def test_with_update_only_what_was_written_here_is_compared_by_content_within_a_second(mtime, ctime, settled, expected):
    (job,) = plan([(b"a", FRESH)], {b"a": file(mtime=mtime, ctime=ctime)}, settled=settled, rsync={"update": True})
    assert by_content(job) == expected


@pytest.mark.parametrize("table, expected", [
    ({}, [b"-lst"]),
    ({"links": False, "times": False, "protect_args": False}, []),
    ({"compress": True, "owner": True, "xattrs": True}, [b"-zlostX"]),
    ({"compress": False, "times": False}, [b"-ls"]),
    ({"inplace": True, "append_verify": True}, [b"-lst", b"--inplace", b"--append-verify"]),
    ({"devices": True, "specials": True}, [b"-lst", b"--devices", b"--specials"]),
    ({"bwlimit": "1.5m", "timeout": 7, "temp_dir": "/t m", "chmod": "F-x"}, [b"-lst", b"--bwlimit=1.5m", b"--timeout=7", b"--temp-dir=/t m", b"--chmod=F-x"]),
    ({"timeout": 0, "suffix": "\udcff"}, [b"-lst", b"--suffix=\xff"]),
    ({"rsh": "ssh -p 22 -o 'x y'"}, [b"-lst", b"--rsh=ssh -p 22 -o 'x y'"]),
])
def test_the_rsync_table_becomes_options_of_every_job(table, expected):
    for argv in argvs(rsync=table):
        front = argv[1:argv.index(b"--modify-window=-1")]
        letters = [b"-" + bytes(sorted(word[1:])) if not word.startswith(b"--") else word for word in front]
        assert sorted(letters) == sorted(b"-" + bytes(sorted(word[1:])) if not word.startswith(b"--") else word for word in expected)


def test_binary_extra_arguments_and_rules_go_with_every_job():
    for argv in argvs(rsync={"binary": "/opt/r sync", "_extra": ("--include=a", "--exclude=\udcff", "-v")},
                      rules=[("+", b"x y", "F:1"), ("-", b"\xff*", "F:2")]):
        assert argv[0] == b"/opt/r sync" and argv[-2:] == [b"/src/", b"/dst/"]
        where = [argv.index(word) for word in (b"--filter=+ x y", b"--filter=- \xff*", b"--include=a", b"--exclude=\xff")]
        assert where == sorted(where) and argv[-3] == b"-v"


@pytest.mark.parametrize("source, expected", [(b"/src", b"/src/"), (b"/", b"/"), (b"/a b/\xff", b"/a b/\xff/")])
def test_the_source_ends_with_one_slash(source, expected):
    assert all(argv[-2] == expected for argv in argvs(source=source))


SSH, DAEMON = ("--rsh", "--timeout"), ("--contimeout", "--timeout")


@pytest.mark.parametrize("target, table, environ, expected", [
    (b"host:d/", {}, {}, SSH), (b"u@host:", {}, {}, SSH), (b"[::1]:d/", {}, {}, SSH), (b"u@[fe80::1%eth0]:/d/", {}, {}, SSH),
    (b"h:a::b/", {}, {}, SSH), (b"host:/a::b/", {}, {}, SSH),
    (b"rsync://host/m/", {}, {}, DAEMON), (b"host::m/", {}, {}, DAEMON), (b"u@host::m/d/", {}, {}, DAEMON), (b"[::1]::m/", {}, {}, DAEMON),
    (b"rsync://[::1]:873/m/", {}, {}, DAEMON),
    (b"host:d/", {"timeout": 5}, {}, SSH), (b"host:d/", {"timeout": 0}, {}, ("--rsh",)),
    (b"host:d/", {"rsh": "rsh"}, {}, SSH), (b"host:d/", {}, {b"RSYNC_RSH": b"rsh"}, ("--timeout",)),
    (b"host::m/", {"rsh": "ssh"}, {}, SSH), (b"host::m/", {}, {b"RSYNC_RSH": b"ssh"}, ("--timeout",)),
])
def test_a_remote_target_cannot_keep_a_job_for_ever(target, table, environ, expected):
    for argv in argvs(target=target, local=False, rsync=table, environ=environ):
        found = [word.decode().partition("=") for word in argv if word.startswith((b"--rsh", b"--timeout", b"--contimeout"))]
        assert sorted(option for option, _equals, _value in found) == sorted(expected)
        values = {option: value for option, _equals, value in found}
        assert values.get("--timeout") in (None, str(table.get("timeout", 300)))
        if "--rsh" in values and "rsh" not in table:
            assert values["--rsh"].startswith("ssh ")
            assert {"BatchMode=yes", "ConnectTimeout=30", "ServerAliveInterval=15"} <= set(values["--rsh"].split())


@pytest.mark.parametrize("rsh, table, environ, expected", [
    ("ssh -4", {"port": 22}, {}, b"--rsh=ssh -4 -p 22 -o BatchMode=yes "), (None, {"options": ("A=b c",)}, {}, b"--rsh=ssh -o 'A=b c' -o BatchMode=yes "),
    (None, {"binary": "/opt/ssh"}, {b"RSYNC_RSH": b"ssh -4"}, b"--rsh=ssh -4 -o BatchMode=yes "), ("a 'script'", {}, {}, b"--rsh=a 'script'"),
    ("a 'script'", {"port": 22}, {}, b"--rsh=a script -p 22"), (None, {"port": 22}, {b"RSYNC_RSH": b"script"}, b"--rsh=script -p 22")])
def test_rsync_is_told_once_how_ssh_reaches_the_host(rsh, table, environ, expected):
    for argv in argvs(target=b"h:d/", local=False, rsync={"rsh": rsh}, ssh=table, environ=environ):
        (found,) = [word for word in argv if word.startswith((b"--rsh", b"-e"))]
        assert found.startswith(expected) if expected.endswith(b" ") else found == expected


def test_rsync_shares_the_connections_of_ssh():
    made = config(target=b"h:d/", local=False)
    (found,) = [word for word in Rsync(made, {}, b"/run/x").full([], Source({})).argv if word.startswith(b"--rsh=")]
    assert b" -o ControlMaster=auto" in found and b" -o ControlPath=/run/x/" in found
    for target, local in (b"h::m/", False), (b"rsync://h/m/", False), (b"/dst/", True):
        assert not any(b"Control" in word for word in Rsync(config(target=target, local=local), {}, b"/run/x").full([], Source({})).argv)


def test_a_local_target_needs_no_options_for_a_connection():
    assert not any(word.startswith((b"--rsh", b"--timeout", b"--contimeout")) for argv in argvs() for word in argv)


# ---- exit codes --------------------------------------------------------------------------------

AGAIN = {3, 5, 6, 10, 11, 12, 14, 15, 16, 19, 20, 21, 22, 30, 35, 255}
KILLED = set(range(129, 255))  # how a shell tells of a signal
CODES = {code: Verdict.OK if code == 0 else Verdict.PARTIAL if code == 23 else Verdict.LOOK if code == 24
         else Verdict.AGAIN if code in AGAIN | KILLED else Verdict.DIE for code in range(256)}


@pytest.mark.parametrize("purpose", [PROBE, FULL, BATCH, REMOVAL])
def test_every_exit_status(purpose):
    job = Job([b"rsync"], None, [], purpose)
    found = {code: mode().verdict(job, code, []) for code in range(256)}
    assert {code: verdict for code, (verdict, _words) in found.items()} == CODES
    assert all(words == "rsync ended with %d" % code for code, (_verdict, words) in found.items())
    assert {CODES[code] for code in (1, 2, 4, 25, 13, 126, 127)} == {Verdict.DIE}


@pytest.mark.parametrize("signal", [1, 2, 6, 9, 11, 13, 15, 64])
def test_a_child_killed_by_a_signal_has_not_succeeded(signal):
    verdict, words = mode().verdict(Job([], None, [], FULL), -signal, [b"whatever"])
    assert verdict is Verdict.AGAIN and "signal %d" % signal in words


def test_a_child_that_could_not_be_started_is_tried_again():
    assert mode().verdict(Job([], None, [], FULL), None, [b"cannot run \x1b"]) == (Verdict.AGAIN, "cannot run \\x1b")


def test_the_words_hold_the_first_line_of_output_escaped():
    words = mode().verdict(Job([], None, [], BATCH), 23, [b"rsync: a\nb\x1b[0m\xff", b"second"])[1]
    assert words == "rsync ended with 23: rsync: a\\nb\\x1b[0m\\xff"


@pytest.mark.parametrize("kind, code, output, expected", [
    ("probe", 2, [REFUSED], Verdict.REDO), ("batch", 2, [b"x", REFUSED], Verdict.REDO), ("batch", 2, [b"x"], Verdict.DIE),
    ("batch", 2, [], Verdict.DIE), ("full", 2, [REFUSED], Verdict.DIE),
    ("batch", 12, [REFUSED], Verdict.AGAIN), ("batch", 0, [REFUSED], Verdict.OK),
    ("batch", 2, [b"invalid path from sender: a/b"], Verdict.AGAIN), ("full", 2, [b"invalid path from sender: a/b"], Verdict.AGAIN),
    ("batch", 2, [b"attempt to copy device contents without --copy-devices", b"rsync error: protocol incompatibility (code 2) at sender.c(480)"], Verdict.AGAIN)])
def test_a_receiver_that_refuses_missing_entries_is_no_reason_to_die(kind, code, output, expected):
    made = mode()
    entries = {"batch": [(b"gone", PLACE)], "full": [(b"", WHOLE)]}
    job = made.probe() if kind == "probe" else made.plan(entries[kind], Source({}), 0, WALL)[0]
    assert made.verdict(job, code, output)[0] is expected
    (after,) = made.plan([(b"gone", PLACE)], Source({}), 0, WALL)
    assert after.purpose == (REMOVAL if expected is Verdict.REDO else BATCH)


def test_a_receiver_that_refuses_even_the_other_way_is_not_asked_for_ever():
    made = mode(broken=True)
    (job,) = made.plan([(b"gone", PLACE)], Source({}), 0, WALL)
    assert made.verdict(job, 2, [REFUSED])[0] is Verdict.DIE


def test_two_batches_in_flight_may_both_meet_a_broken_receiver():
    made = mode()
    first, second = made.plan([(b"gone", PLACE), (b"f", FRESH)], Source(TREE), SETTLED, WALL)
    assert made.verdict(first, 2, [REFUSED])[0] is Verdict.REDO
    assert made.verdict(second, 2, [REFUSED])[0] in (Verdict.REDO, Verdict.AGAIN)


def test_a_batch_that_is_refused_though_it_went_the_other_way_is_not_redone_at_once():
    """What vanishes after the list was written is missing again; a receiver that always says so must not be asked without end."""
    made = mode(broken=True)
    (job,) = made.plan([(b"new", FRESH)], Source(TREE), SETTLED, WALL)
    assert made.verdict(job, 2, [REFUSED])[0] is Verdict.AGAIN


# ---- all of it together ------------------------------------------------------------------------

@pytest.mark.parametrize("delete, limit, broken, links", list(itertools.product([True, False, "startup", "running"], [None, 0], [False, True], [False, True])))
def test_every_entry_that_needs_something_is_in_exactly_one_job(delete, limit, broken, links):
    made = Rsync(config(delete=delete, batchSizeLimit=limit, rsync={"hard_links": links}), {})
    if broken and made.probe():
        made.verdict(made.probe(), 2, [REFUSED])
    entries = [(b"", PLACE), (b"f", FRESH), (b"new", FRESH), (b"d", PLACE), (b"d/e", WHOLE | FRESH), (b"l/x", PLACE), (b"gone", PLACE),
               (b"d/x/y", FRESH), (b"h", PLACE), (b"p", FRESH)]
    found = taken(made.plan(entries, Source(LINKED), SETTLED, WALL))
    assert len(found) == len(set(found))
    expected = set(entries)
    if delete in (False, "startup"):
        expected -= {(b"gone", PLACE), (b"d/x/y", FRESH)}
    assert set(found) == expected


def test_a_target_that_has_vanished_is_waited_for_and_not_made_anew():
    made = mode()
    full, batch = made.full([(b"", WHOLE)], Source({b"f": file()})), made.batch([b"f"], [(b"f", FRESH)])
    gone = [b'rsync: [Receiver] mkdir "/dst/." failed: No such file or directory (2)']
    assert _NO_TARGET.match(b'rsync: [Receiver] mkdir "/dst/." (in data) failed: No such file or directory (2)'), "of a daemon"
    assert full.argv[-1] == batch.argv[-1] == b"/dst/"
    assert made.verdict(made.batch([b"f"], [(b"f", FRESH)]), 11, gone)[0] is Verdict.AGAIN  # never met: its parent is not there
    assert made.verdict(full, 0, [])[0] is Verdict.OK
    for job in made.full([(b"", WHOLE)], Source({b"f": file()})), made.batch([b"f"], [(b"f", FRESH)]):
        assert job.argv[-1] == b"/dst/."
        verdict, words = made.verdict(job, 11, gone)
        assert verdict is Verdict.AGAIN and words == "target /dst/ is missing: waiting for it (only the first sync makes it)" and job.entries[0] == (b"", WHOLE)
    assert job.entries == [(b"", WHOLE), (b"f", FRESH)]
