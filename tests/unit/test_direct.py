"""direct: what goes to cp, to rm, to the child and to rsync; what the child is told; what every end means."""

import itertools
import os
import shutil
import subprocess

import pytest

from world import DIRECTORY, FIFO, LINK, Source, config, file

from lsyncd_lite.mirror import direct as module
from lsyncd_lite.mirror.change import FRESH, NEW, PLACE, WHOLE
from lsyncd_lite.mirror.direct import Direct
from lsyncd_lite.mirror.job import BATCH, FULL, PROBE, RENAMES, Job, Verdict
from lsyncd_lite.mirror.moves import Move

SETTLED, WALL = 1000, 3000
CHILD = [b"python", b"-c", b"equal"]
GNU = [b"equal: gnu cp", b"equal: cp /usr/bin/cp", b"equal: rsync /usr/bin/rsync"]
NO_RSYNC = GNU[:2] + [b"equal: rsync "]
NEW_FILE = file(mtime=2000)
TREE = {b"f": NEW_FILE, b"g": NEW_FILE, b"old": file(mtime=500), b"later": file(mtime=4000), b"linked": file(mtime=2000, nlink=2),
        b"link": LINK, b"fifo": FIFO, b"d": DIRECTORY,
        b"d/f": NEW_FILE, b"d/e": DIRECTORY, b"d/e/f": NEW_FILE, b"d/e/g": NEW_FILE, b"l": LINK, b"x.o": NEW_FILE}


def mode(output=GNU, sound=True, direct=None, **keys):
    """Return a Direct whose probe has told output; sound: whether its last look at the target was a good one."""
    made = config(mode="direct", target=b"/dst/", direct={"atomic": False, **(direct or {})}, **keys)
    chosen = Direct(made, {}, CHILD)
    if output is not None:
        chosen.verdict(chosen.probe(), 0, list(output))
    if sound:
        assert chosen.verdict(Job(CHILD, b"", [], BATCH), 0, [b"equal: done"])[0] is Verdict.OK or output is None
        chosen.verdict(Job(chosen._child, b"", [], BATCH), 0, [b"equal: done"])
    return chosen


def plan(chosen, *entries, source=TREE, settled=SETTLED, wall=WALL):
    return chosen.plan(list(entries), source if isinstance(source, Source) else Source(source), settled, wall)


def told(job):
    """Return what the child is told: (source, target, options, rules, records)."""
    assert job.argv == CHILD and job.stdin.endswith(b"\0")
    source, target, options, count, *rest = job.stdin[:-1].split(b"\0")
    rules, rest, records = rest[:int(count)], rest[int(count):], []
    assert len(rest) % 3 == 0
    while rest:
        records.append(tuple(rest[:3]))
        del rest[:3]
    return source, target, set(options.split()), rules, records


def kinds(jobs):
    """Return what runs: the names of the programs (for a script, of what it runs), "child" or "rsync"."""
    scripts = {module._COPY: "cp", module._REMOVE: "rm"}
    return ["child" if job.argv == CHILD else scripts[job.argv[2]] if job.argv[0] == b"sh" else os.path.basename(job.argv[0]).decode()
            for job in jobs]


def told_of(job):
    """Return (target, directory, the source's, cp, names) of a script."""
    assert job.argv[:2] == [b"sh", b"-c"] and job.argv[3] == b"sh"
    return (*job.argv[4:8], job.argv[8:])


# ---- what goes where ---------------------------------------------------------------------------

@pytest.mark.parametrize("marks", [WHOLE, WHOLE | FRESH, WHOLE | NEW])
@pytest.mark.parametrize("more", [[], [(b"f", FRESH)]])
def test_the_whole_root_is_rsync_s_where_there_is_one(marks, more):
    entries = [(b"", marks), *more]
    (job,) = plan(mode(), *entries)
    assert kinds([job]) == ["rsync"] and job.purpose == FULL and job.entries == entries and b"-r" in job.argv
    (job,) = plan(mode(NO_RSYNC), *entries)
    assert kinds([job]) == ["child"] and job.purpose == FULL and job.entries == entries
    assert told(job)[4] == [(b"p", b"%d" % marks, path) for path, marks in entries]


def test_a_few_new_files_of_one_directory_are_copied_by_one_cp():
    jobs = plan(mode(), (b"d/e/f", FRESH), (b"d/e/g", FRESH))
    assert kinds(jobs) == ["cp"]
    assert told_of(jobs[0]) == (b"/dst/", b"d/e", b"/src/d/e", b"/usr/bin/cp", [b"/src/d/e/f", b"/src/d/e/g"])
    assert [(job.entries, job.stdin, job.purpose) for job in jobs] == [([(b"d/e/f", FRESH), (b"d/e/g", FRESH)], None, BATCH)]


@pytest.mark.parametrize("target", [b"/dst/", b"/", b"/a b/"])
def test_files_of_the_root_itself(target):
    chosen = mode()
    chosen.config.target = target
    (job,) = plan(chosen, (b"f", FRESH))
    assert told_of(job) == (target, b"", b"/src", b"/usr/bin/cp", [b"/src/f"]) and job.entries == [(b"f", FRESH)]


@pytest.mark.parametrize("name", [b"-a", b"--help", b"a b", b"$(x)", b"\n", b"\xff", b"*"])
def test_names_are_no_options_of_cp_and_rm(name):
    for source in {name: NEW_FILE}, {}:
        job = plan(mode(), (name, FRESH if source else PLACE), source=source)[0]
        assert told_of(job)[4] == [(b"/src/" if source else b"./") + name] and b"%s" not in job.argv[2]


def test_a_few_that_are_gone_are_removed_by_one_rm():
    jobs = plan(mode(), (b"d/x", PLACE), (b"d/y", FRESH), (b"d/z", WHOLE))
    assert kinds(jobs) == ["rm"] and told_of(jobs[0])[:3] == (b"/dst/", b"d", b"/src/d") and told_of(jobs[0])[4] == [b"./x", b"./y", b"./z"]
    assert [entry for job in jobs for entry in job.entries] == [(b"d/x", PLACE), (b"d/y", FRESH), (b"d/z", WHOLE)]


@pytest.mark.parametrize("entries, keys", [
    ([(b"f", FRESH), (b"gone", PLACE)], {}),                               # of both kinds
    ([(b"f", FRESH), (b"d/f", FRESH)], {}), ([(b"gone", PLACE), (b"d/gone", PLACE)], {}),   # of two directories
    ([(b"f", PLACE)], {}), ([(b"f", WHOLE | FRESH)], {}), ([(b"f", WHOLE)], {}), ([(b"f", FRESH | NEW)], {}),
    ([(b"d", PLACE)], {}), ([(b"d", WHOLE)], {}), ([(b"d", FRESH)], {}), ([(b"", PLACE)], {}), ([(b"", PLACE), (b"f", FRESH)], {}),
    ([(b"link", FRESH)], {}), ([(b"fifo", FRESH)], {}), ([(b"linked", FRESH)], {}),
    ([(b"old", FRESH)], {}), ([(b"later", FRESH)], {}), ([(b"f", FRESH), (b"old", FRESH)], {}),   # a time that the target may know
    ([(b"l/f", FRESH)], {}), ([(b"f/x", PLACE)], {}), ([(b"gone/x", PLACE)], {}), ([(b"d/gone/x/y", PLACE)], {}), ([(b"l/gone", PLACE)], {}),  # not in a directory
    ([(b"f", FRESH)], {"output": GNU[1:]}), ([(b"gone", PLACE)], {"output": GNU[1:]}),           # another cp
    ([(b"f", FRESH)], {"sound": False}), ([(b"gone", PLACE)], {"sound": False}), ([(b"f", FRESH)], {"output": None, "sound": False}),
    ([(b"f", FRESH)], {"direct": {"atomic": True}}), ([(b"f", FRESH)], {"maxProcesses": 2}),
    ([(b"x.o", FRESH)], {"rules": [("-", b"*.o", "")]}),                   # it was something else when it was told
    ([(b"gone", PLACE)], {"rules": [("-", b"*.o", "")]}),                  # what is protected in it stays
    ([(b"gone", PLACE)], {"delete": False}), ([(b"gone", PLACE)], {"delete": "startup"}),
    ([(b"gone", PLACE)], {"maxDelete": 5}), ([(b"gone", PLACE)], {"maxDelete": 0}),  # which counts first
    ([(b"n%d" % number, FRESH) for number in range(101)], {}), ([(b"gone%d" % number, PLACE) for number in range(101)], {}),
])
def test_all_else_goes_to_the_child(entries, keys):
    source = {**TREE, **{b"n%d" % number: NEW_FILE for number in range(200)}}
    jobs = plan(mode(**keys), *entries, source=source)
    assert kinds(jobs) == ["child"] and jobs[0].entries == entries and jobs[0].purpose == BATCH
    assert told(jobs[0])[4] == [(b"p", b"%d" % marks, path) for path, marks in entries]


@pytest.mark.parametrize("entries, keys, expected", [
    ([(b"f", FRESH)], {}, "cp"), ([(b"f", FRESH), (b"g", FRESH)], {"rules": [("-", b"*.o", "")]}, "cp"), ([(b"gone", PLACE)], {"delete": "running"}, "rm"),
    ([(b"f", FRESH)], {"delete": False}, "cp"), ([(b"f", FRESH)], {"maxDelete": 0}, "cp"),
    ([(b"n%d" % number, FRESH) for number in range(100)], {}, "cp"), ([(b"gone%d" % number, PLACE) for number in range(100)], {}, "rm"), ([(b"f", FRESH)],
    {"output": NO_RSYNC}, "cp")])
def test_what_goes_to_cp_and_rm(entries, keys, expected):
    source = {**TREE, **{b"n%d" % number: NEW_FILE for number in range(200)}}
    assert kinds(plan(mode(**keys), *entries, source=source)) == [expected]


@pytest.mark.parametrize("settled, wall, expected", [(1999, 2000, "cp"), (2000, 3000, "child"), (float("inf"), 3000, "child"), (1000, 1999, "child")])
def test_only_a_time_since_the_last_look_is_new_for_certain(settled, wall, expected):
    assert kinds(plan(mode(), (b"f", FRESH), settled=settled, wall=wall))[0] == expected


@pytest.mark.parametrize("missing", [b"d", b"d/e"])
@pytest.mark.parametrize("there", [None, LINK, NEW_FILE])
def test_a_parent_that_is_no_directory_any_more_is_looked_at_more_closely(missing, there):
    source = {path: facts for path, facts in TREE.items() if path != missing}
    if there:
        source[missing] = there
    assert kinds(plan(mode(), (b"d/e/f", FRESH), source=source)) == ["child"]
    assert kinds(plan(mode(), (b"d/e/f", FRESH), source=Source(TREE, there=False))) == ["child"]


@pytest.mark.parametrize("verdict_of, sound", [
    ((CHILD, 0, [b"equal: done"]), True), ((CHILD, 0, [b"cannot x", b"equal: failed 0"]), False), ((CHILD, 11, []), False), ((CHILD, -9, []), False),
    ((CHILD, None, [b"x"]), False),
    (([b"cp"], 0, []), True), (([b"cp"], 1, []), False), (([b"rm"], 0, []), True), (([b"touch"], 1, []), False)])
def test_after_any_trouble_with_the_target_nothing_is_assumed_of_it(verdict_of, sound):
    chosen = mode()
    argv, status, output = verdict_of
    chosen.verdict(Job(chosen._child if argv is CHILD else argv, None, [(b"f", FRESH)], BATCH), status, output)
    assert (kinds(plan(chosen, (b"f", FRESH)))[0] == "cp") is sound


@pytest.mark.parametrize("links", [True, False])
def test_hard_links_in_a_new_directory_want_a_full_sync(links):
    files = {b"d": DIRECTORY, b"d/e": DIRECTORY, b"d/e/f": file(nlink=2)}
    jobs = mode(rsync={"hard_links": links}).plan([(b"d", WHOLE)], Source(files), 1000.0, 3000.0)
    assert any(job.then_full for job in jobs) is links


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("names, linked", [([b"f"], False), ([b"linked"], True), ([b"f", b"linked"], True), ([b"d"], False), ([b"gone"], False)])
def test_hard_links_want_a_full_sync(links, names, linked):
    jobs = plan(mode(rsync={"hard_links": links}), *[(name, FRESH) for name in names])
    assert any(job.then_full for job in jobs) is (links and linked)


# ---- what the child is told --------------------------------------------------------------------

@pytest.mark.parametrize("keys, purpose, options", [
    ({}, BATCH, {b"delete", b"gnu"}), ({"delete": "running"}, BATCH, {b"delete", b"gnu"}), ({"delete": False}, BATCH, {b"gnu"}), ({"delete": "startup"}, BATCH, {b"gnu"}),
    ({"output": GNU[1:]}, BATCH, {b"delete"}), ({"direct": {"atomic": True}}, BATCH, {b"delete", b"gnu", b"atomic"}),
    ({"output": NO_RSYNC}, FULL, {b"delete", b"gnu", b"refuse-empty"}), ({"output": NO_RSYNC, "allowEmptySource": True}, FULL, {b"delete", b"gnu"}),
    ({"output": NO_RSYNC, "delete": "running"}, FULL, {b"gnu"}), ({"output": NO_RSYNC, "delete": "startup"}, FULL, {b"delete", b"gnu", b"refuse-empty"}),
    ({"output": NO_RSYNC, "delete": False}, FULL, {b"gnu"}), ({"output": [b"equal: cp ", b"equal: rsync "]}, FULL, {b"delete", b"refuse-empty"})])
def test_options(keys, purpose, options):
    (job,) = plan(mode(**keys), (b"", WHOLE) if purpose == FULL else (b"d", WHOLE))
    assert told(job)[:3] == (b"/src", b"/dst/", options) and job.purpose == purpose


@pytest.mark.parametrize("limit", [None, 0, 7])
@pytest.mark.parametrize("released", [False, True])
def test_the_child_is_told_how_much_it_may_delete_unless_that_does_not_count_this_time(limit, released):
    chosen = mode(NO_RSYNC, maxDelete=limit)
    assert chosen.released is False
    chosen.released = released
    for job in (*plan(chosen, (b"d", WHOLE)), *plan(chosen, (b"", WHOLE)), chosen.rename(MOVES, Source(TREE))):
        words = {word for word in told(job)[2] if word.startswith(b"max-delete")}
        assert words == (set() if limit is None or released else {b"max-delete=%d" % limit})
    assert chosen._rsync.released is released, "its full syncs are told so, too"


def test_rules_and_names_travel_as_they_are():
    rules = [("+", b"a\nb", ""), ("-", b"*.o", ""), ("-", b"- x", "")]
    names = [b"\n", b"\xff", b" ", b"p", b"-", b"a b"]
    (job,) = plan(mode(rules=rules, extra_rules=[("-", b"last", "")]), *[(name, WHOLE) for name in names])
    assert told(job)[3:] == ([b"+ a\nb", b"- *.o", b"- - x", b"- last"], [(b"p", b"1", name) for name in names])


# ---- renames -----------------------------------------------------------------------------------

MOVES = [Move(b"a", b"d/a", False), Move(b"d/e", b"e", True), Move(b"\n", b"m", False)]


def records_of(job):
    return told(job)[4]


def test_renames_go_to_the_child_with_the_directories_that_they_change():
    job = mode().rename(MOVES, Source({**TREE, b"d": DIRECTORY, b"e": DIRECTORY}))
    assert (job.purpose, job.moves) == (RENAMES, MOVES)
    records = records_of(job)
    assert [(kind, origin, place) for kind, origin, place in records[:3]] == [(b"m", b"a", b"d/a"), (b"d", b"d/e", b"e"), (b"m", b"\n", b"m")]
    assert len(records) == job.size and sorted(job.entries) == [(b"", PLACE), (b"d", PLACE)]
    assert records[3:] == [(b"p", b"0", path) for path, _marks in job.entries], "answers tell of entries by number"
    assert b"delete" in told(job)[2]


def test_a_directory_that_is_not_there_fails_in_its_place():
    """It has gone since, or has been renamed, which is still to be told: what it is then is looked at."""
    job = mode().rename([Move(b"n/a", b"d/a", False), Move(b"d/x", b"o/x", False)], Source(TREE))
    records = records_of(job)
    assert len(records) == job.size and {path for path, _marks in job.entries} == {b"n", b"d", b"o"}
    for (path, _marks), record in zip(job.entries, records[2:]):
        assert record == ((b"p", b"0", path) if path == b"d" else (b"x", b"", b""))


def test_a_job_keeps_its_moves_when_others_come():
    moves = list(MOVES)
    job = mode().rename(moves, Source(TREE))
    moves.clear()
    assert job.moves == MOVES


@pytest.mark.parametrize("delete, takes", [(True, True), ("running", True), (False, False), ("startup", False)])
def test_renames_are_done_where_deletions_are(delete, takes):
    assert mode(delete=delete).takes_moves is takes


# ---- the probe ---------------------------------------------------------------------------------

@pytest.mark.parametrize("output, gnu, cp, rsync", [
    (GNU, True, b"/usr/bin/cp", True), (NO_RSYNC, True, b"/usr/bin/cp", False), (GNU[1:], False, b"/usr/bin/cp", True),
    ([b"equal: cp cp", b"equal: rsync rsync"], False, b"cp", True),
    ([b"equal: cp /a b/cp", b"equal: rsync /opt/my rsync"], False, b"/a b/cp", True),
    ([b"sh: profile: noise", b"cp (GNU coreutils) 9.1", b"rsync: nonsense", *NO_RSYNC], True, b"/usr/bin/cp", False)])
def test_answers_of_the_probe(output, gnu, cp, rsync):
    chosen = mode(None, sound=False)
    verdict, words = chosen.verdict(chosen.probe(), 0, output)
    assert (verdict, words is None) == ((Verdict.OK, True) if rsync else (Verdict.REDO, False))
    assert kinds(plan(chosen, (b"", WHOLE))) == ["rsync" if rsync else "child"]
    chosen.verdict(Job(chosen._child, b"", [], BATCH), 0, [b"equal: done"])
    job = plan(chosen, (b"f", FRESH))[0]
    assert (told_of(job)[3] == cp) if gnu else job.argv == CHILD


@pytest.mark.parametrize("version, gnu", [
    ("cp (GNU coreutils) 9.1", True), ("cp (uutils coreutils) 0.0.27", False), ("BusyBox v1.36.1 () multi-call binary.", False), ("", False), (None, False)])
@pytest.mark.parametrize("rsync", [True, False])
def test_the_real_question(tmp_path, version, gnu, rsync):
    """A shell runs it where there is nothing but what is put there."""
    (tmp_path / "sh").symlink_to(shutil.which("sh"))
    for name, words in ("cp", version), ("rsync", "rsync" if rsync else None):
        if words is not None:
            (tmp_path / name).write_text("#!/bin/sh\necho '%s'\n[ '%s' ]\n" % (words, words))
            (tmp_path / name).chmod(0o755)
    chosen = mode(None, sound=False)
    probe = chosen.probe()
    assert probe.purpose == PROBE and not probe.entries
    done = subprocess.run([str(tmp_path / "sh").encode(), *probe.argv[1:]], env={"PATH": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    chosen.verdict(probe, done.returncode, done.stdout.splitlines())
    assert all(line.startswith(b"equal: ") for line in done.stdout.splitlines()), "it is no noise in the log"
    chosen.verdict(Job(chosen._child, b"", [], BATCH), 0, [b"equal: done"])
    assert kinds(plan(chosen, (b"", WHOLE))) == ["rsync" if rsync else "child"]
    job = plan(chosen, (b"f", FRESH))[0]
    assert (told_of(job)[3] == os.fsencode(str(tmp_path / "cp"))) if gnu else job.argv == CHILD


def test_the_question_names_the_rsync_that_was_configured():
    chosen = Direct(config(mode="direct", rsync={"binary": "/opt/$(x) 'rsync'"}), {}, CHILD)
    assert chosen.probe().argv[-1] == b"/opt/$(x) 'rsync'" and b"/opt" not in chosen.probe().argv[2]


# ---- what an end means: every cell -------------------------------------------------------------

STATUSES = [None, 0, 1, 2, 3, 11, 25, 127, 255, -9, -15]
OUTPUTS = {"nothing": [], "noise": [b"cannot copy x: y"], "done": [b"equal: done"], "noise, done": [b"cannot x", b"equal: done"],
        "0": [b"cannot copy a: y", b"equal: failed 0"], "1 2": [b"equal: failed 1 2"],
           "all": [b"equal: failed *"], "done, noise": [b"equal: done", b"Traceback"]}
ENTRIES = [(b"old", FRESH), (b"d", PLACE), (b"d/e", WHOLE | FRESH)]


@pytest.mark.parametrize("status, output", list(itertools.product(STATUSES, sorted(OUTPUTS))))
def test_what_the_end_of_the_child_means_for_places(status, output):
    chosen = mode(output=NO_RSYNC)
    (job,) = plan(chosen, *ENTRIES)
    verdict, words = chosen.verdict(job, status, OUTPUTS[output] or ([b"cannot run"] if status is None else []))
    answered = status == 0 and output not in ("nothing", "noise", "done, noise")
    if answered:
        failed = {"0": [0], "1 2": [1, 2], "all": [0, 1, 2]}.get(output, [])
        assert verdict is (Verdict.PARTIAL if failed else Verdict.OK)
        assert not failed or job.entries == [ENTRIES[number] for number in failed]
        assert bool(words) is bool(failed)
    else:
        assert verdict is Verdict.AGAIN and words and words.isprintable()
        assert set(ENTRIES) <= set(job.entries) and ((b"", WHOLE) in job.entries) is (status == 11)
    assert job.done is None


@pytest.mark.parametrize("status, output", list(itertools.product(STATUSES, sorted(OUTPUTS))))
def test_what_the_end_of_the_child_means_for_renames(status, output):
    chosen = mode()
    job = chosen.rename(MOVES[:2], Source({**TREE, b"e": DIRECTORY}))
    entries = list(job.entries)
    assert len(entries) == 2
    verdict, _words = chosen.verdict(job, status, OUTPUTS[output] or ([b"cannot run"] if status is None else []))
    if status is None:
        assert (verdict, job.done) == (Verdict.AGAIN, None)  # nothing was begun
    elif status == 0 and output not in ("nothing", "noise", "done, noise"):
        failed = {"0": {0}, "1 2": {1, 2}, "all": {0, 1, 2, 3}}.get(output, set())
        assert job.done == [0 not in failed, 1 not in failed]
        left = [entry for number, entry in enumerate(entries, 2) if number in failed]
        assert verdict in ((Verdict.LOOK,) if left else (Verdict.OK, Verdict.LOOK) if failed else (Verdict.OK,)) and (verdict is Verdict.OK or job.entries == left)
    else:
        assert verdict is Verdict.AGAIN and job.done in ([None, None], None) and set(entries) <= set(job.entries)
        assert job.done == [None, None] or status in (3, 11)  # without a source, or a target, nothing was begun
        assert ((b"", WHOLE) in job.entries) is (status == 11)


def test_after_a_rename_that_failed_nothing_is_assumed_of_the_target():
    chosen = mode()
    job = chosen.rename(MOVES[:1], Source(TREE))
    assert chosen.verdict(job, 0, [b"cannot move", b"equal: failed 0"])[0] is not Verdict.PARTIAL and job.done == [False]
    assert kinds(plan(chosen, (b"f", FRESH))) == ["child"]


def test_a_child_that_would_delete_too_much_has_done_nothing():
    for moves in [], MOVES:
        chosen = mode(maxDelete=3)
        job = chosen.rename(moves, Source(TREE)) if moves else plan(chosen, *ENTRIES)[0]
        entries = list(job.entries)
        verdict, words = chosen.verdict(job, 26, [b"would remove more than 3 entries of the target (7)"])
        assert verdict is Verdict.HELD and words.startswith("would delete 7 entries of the target, more than maxDelete = 3")
        assert job.entries == entries and job.done is None
        assert b"make" not in plan(chosen, *ENTRIES)[0].stdin.split(b"\0")[2].split()  # there is a target, then


def test_a_missing_target_forgets_no_doubt():
    """It may be back with its old content: a full sync compares size and time only."""
    chosen = mode()
    (job,) = plan(chosen, (b"old", FRESH), (b"d/f", FRESH))
    assert chosen.verdict(job, 11, [b"cannot enter target"])[0] is Verdict.AGAIN
    assert set(job.entries) == {(b"", WHOLE), (b"old", FRESH), (b"d/f", FRESH)}
    assert kinds(plan(chosen, *job.entries)) == ["rsync"]


@pytest.mark.parametrize("program", [b"cp", b"rm", b"touch"])
@pytest.mark.parametrize("status", STATUSES)
def test_whatever_fails_in_cp_and_rm_is_looked_at_more_closely(program, status):
    chosen = mode()
    job = Job([program, b"--", b"x"], None, [(b"f", FRESH)], BATCH)
    verdict, words = chosen.verdict(job, status, [b"cp: cannot do it"])
    assert verdict is (Verdict.OK if status == 0 else Verdict.REDO) and words is None and job.entries == [(b"f", FRESH)]
    assert kinds(plan(chosen, (b"f", FRESH)))[0] == ("cp" if status == 0 else "child")


@pytest.mark.parametrize("status, verdict", [(0, Verdict.OK), (23, Verdict.PARTIAL), (24, Verdict.LOOK), (11, Verdict.AGAIN), (1, Verdict.DIE), (-9, Verdict.AGAIN)])
def test_the_end_of_a_full_sync_is_judged_as_rsync_s(status, verdict):
    chosen = mode()
    (job,) = plan(chosen, (b"", WHOLE))
    assert chosen.verdict(job, status, [b"rsync error"])[0] is verdict and job.entries == [(b"", WHOLE)]
    assert kinds(plan(chosen, (b"f", FRESH)))[0] == ("cp" if status == 0 else "child")


def test_a_full_sync_whose_rsync_is_gone_is_done_without_it():
    chosen = mode()
    (job,) = plan(chosen, (b"", WHOLE))
    verdict, words = chosen.verdict(job, None, [b"cannot run rsync: No such file or directory"])
    assert verdict in (Verdict.AGAIN, Verdict.REDO) and words and job.entries == [(b"", WHOLE)]
    assert verdict is Verdict.AGAIN or kinds(plan(chosen, (b"", WHOLE))) == ["child"]


def test_a_source_that_is_empty_is_told_of_in_the_same_words():
    chosen = mode(output=NO_RSYNC)
    (job,) = plan(chosen, (b"", WHOLE))
    verdict, words = chosen.verdict(job, 25, [b"refused"])
    assert verdict is Verdict.AGAIN and "allowEmptySource" in words and job.entries == [(b"", WHOLE)]


@pytest.mark.parametrize("status", [None, -15, 127])
def test_a_probe_that_did_not_run_says_nothing_of_rsync(status):
    """Out of processes, or ended by a signal: there may be an rsync all the same."""
    chosen = mode(None, sound=False)
    verdict, words = chosen.verdict(chosen.probe(), status, [b"cannot run sh: x"] if status is None else [])
    assert verdict is Verdict.AGAIN or kinds(plan(chosen, (b"", WHOLE))) == ["rsync"] or words and "no rsync" not in words


def test_nothing_of_this_asks_the_target():
    assert not hasattr(module, "os")


def test_without_cp_nothing_begins():
    chosen = mode(None, sound=False)
    assert chosen.verdict(chosen.probe(), 0, [b"equal: cp ", b"equal: rsync /usr/bin/rsync"]) == (Verdict.AGAIN, "there is no cp")


# ---- the scripts, in shells there are -----------------------------------------------------------

SHELLS = [[name] for name in ("sh", "dash", "bash", "ksh", "mksh", "zsh", "yash") if shutil.which(name)] + [
    [name, "ash"] for name in ("busybox",) if shutil.which(name)] + [["bash", "--posix"]] * bool(shutil.which("bash"))
HOSTILE = [b"plain", b"-rf", b"$(touch pwned)", b"new\nline", b"line\n", b"\xff", b" ", b"'", b'"', b"*", b"a\\b"]


@pytest.fixture(params=SHELLS, ids=" ".join)
def shell(request, tmp_path):
    """Return a function that runs the one job for entries, (relative path, marks), of tmp_path/s and t in one of the shells."""
    for name in "s", "t", "outside":
        (tmp_path / name).mkdir()
    chosen = mode()
    chosen._cp = os.fsencode(shutil.which("cp"))
    chosen.config.source, chosen.config.target = os.fsencode(str(tmp_path / "s")), os.fsencode(str(tmp_path / "t")) + b"/"

    def run(*entries, **changed):
        vars(chosen.config).update(changed)
        (job,) = plan(chosen, *entries, source={**{path: NEW_FILE for path, marks in entries if marks == FRESH}, b"d": DIRECTORY, b"d/e": DIRECTORY,
                                                **{path.rpartition(b"/")[0]: DIRECTORY for path, _marks in entries}})
        assert kinds([job])[0] in ("cp", "rm")
        argv = [*map(os.fsencode, request.param), *job.argv[1:]]
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=str(tmp_path), check=False)
    run.top, run.chosen = os.fsencode(str(tmp_path)), chosen
    return run


@pytest.mark.parametrize("directory", [b"", *HOSTILE, b"d/e"])
def test_scripts_copy_and_remove_names_of_every_kind(shell, directory):
    if not directory:
        source, target = shell.top + b"/s", shell.top + b"/t"
    else:
        source, target = (os.path.join(shell.top, side, directory) for side in (b"s", b"t"))
        os.makedirs(source), os.makedirs(target)
    for name in HOSTILE:
        with open(source + b"/" + name, "wb") as new:
            new.write(name)
    os.utime(source, ns=(1, 1500000000123456789))
    prefix = directory + b"/" if directory else b""
    done = shell(*[(prefix + name, FRESH) for name in HOSTILE])
    assert (done.returncode, done.stdout) == (0, b"") and sorted(os.listdir(target)) == sorted(HOSTILE)
    assert os.stat(target).st_mtime_ns == 1500000000123456789
    os.utime(source, ns=(1, 1400000000123456789))
    done = shell(*[(prefix + name, PLACE) for name in HOSTILE])
    assert (done.returncode, done.stdout, os.listdir(target)) == (0, b"", []) and os.stat(target).st_mtime_ns == 1400000000123456789
    assert sorted(os.listdir(shell.top)) == [b"outside", b"s", b"t"]


@pytest.mark.parametrize("link, to", [(b"d", b"../outside"), (b"d/e", b"../../outside"), (b"d", b"other"), (b"d/e", b"f")])
@pytest.mark.parametrize("marks", [FRESH, PLACE])
def test_scripts_go_through_no_link_on_the_target_wherever_it_leads(shell, link, to, marks):
    for path in b"s/d/e", b"outside/e", b"t/other/e", b"t/d/f":
        os.makedirs(os.path.join(shell.top, path))
    elsewhere = [b"outside", b"outside/e", b"t/other/e"] + [b"t/d/f"] * (link == b"d/e")
    for path in [b"s/d/e", *elsewhere]:
        with open(os.path.join(shell.top, path, b"x"), "wb") as new:
            new.write(path)
    place = os.path.join(shell.top, b"t", link)
    shutil.rmtree(place, ignore_errors=True)
    os.symlink(to, place)

    def looks():
        return [(sorted(os.listdir(os.path.join(shell.top, path))), os.stat(os.path.join(shell.top, path)).st_mtime_ns) for path in elsewhere]
    before = looks()
    assert shell((b"d/e/x", marks)).returncode != 0
    assert looks() == before


def test_scripts_know_a_target_whose_own_path_leads_through_links(shell):
    os.symlink(b"t", shell.top + b"/link")
    os.makedirs(shell.top + b"/s/d"), os.makedirs(shell.top + b"/t/d")
    open(shell.top + b"/s/d/x", "w").close()
    assert shell((b"d/x", FRESH), target=shell.top + b"/link/").returncode == 0
    assert os.listdir(shell.top + b"/t/d") == [b"x"]


def test_scripts_fail_where_there_is_no_such_directory(shell):
    os.makedirs(shell.top + b"/s/d")
    open(shell.top + b"/s/d/x", "w").close()
    assert shell((b"d/x", FRESH)).returncode and not os.listdir(shell.top + b"/t")
    os.rmdir(shell.top + b"/t")
    assert shell((b"d/x", PLACE)).returncode and not os.path.exists(shell.top + b"/t")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may copy into the root directory")
def test_scripts_know_a_target_that_is_the_root_directory(shell):
    """In a directory of ours, whose parents lead from "/" to it."""
    name = shell.top.lstrip(b"/") + b"/t"
    os.mkdir(shell.top + b"/s/d")
    open(shell.top + b"/s/x", "w").close()
    (job,) = plan(shell.chosen, (name + b"/x", FRESH), source={name + b"/x": NEW_FILE, **{
        name[:at]: DIRECTORY for at in range(1, len(name) + 1) if name[at:at + 1] in (b"/", b"")}})
    job.argv[4], job.argv[6], job.argv[8] = b"/", shell.top + b"/s/d", shell.top + b"/s/x"
    done = subprocess.run(job.argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert (done.returncode, done.stdout) == (0, b"") and os.listdir(shell.top + b"/t") == [b"x"]
