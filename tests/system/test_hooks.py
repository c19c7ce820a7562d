"""Commands around each job (onBatch), and before any (runIf): when they run, what they are told, what their ends come to."""

import os
import re
import time
from collections import namedtuple
from pathlib import Path

import pytest

from harness import LOG_LINE, make, sync, sync_by_actions, teller, told
from test_mode_exec import EVIL, mirroring, wait_kept

TOLD = ("SYNC", "MODE", "SOURCE", "TARGET", "EXIT", "ATTEMPT", "COUNT")
Hook = namedtuple("Hook", ("word",) + tuple(name.lower() for name in TOLD) + ("paths",))

YES = 1.0  # seconds for which a yes of runIf holds

every_mode = pytest.mark.parametrize("mode", ["rsync", "rsyncssh", "direct", "exec"])


def hook(folder, word, end="", sync=None):
    """Return a hook that writes down what it is told, then ends as `end` says."""
    return "# hook %s\nt=$(mktemp %s/stdin.XXXXXX); cat > $t; %s%s" % (
        word, folder, teller("%s/hooks" % folder, word, *['"$LSYNCD_%s"' % name for name in TOLD], "$t"), end and "; " + end)


def hooks(folder, word=None):
    """Return the Hooks that have run so far."""
    found = [Hook(*record[:-1], Path(record[-1]).read_bytes().split(b"\0")[:-1]) for record in told("%s/hooks" % folder)]
    return [one for one in found if word in (None, one.word)]


def runs(running, name):
    """Return what the log tells that a sync has run: names of hooks, "runIf", and "job" for all else."""
    found = []
    for line in re.findall(r"(?m)Exec: %s: (.*)$" % re.escape(name), running.log()):
        which = re.match(r"/bin/sh -c # hook (\w+)", line)
        if which or not re.match(r"sh -c case |rsync .* -n |ssh .*-O ", line):  # what modes ask before they begin
            found.append(which.group(1) if which else "job")
    return found


def in_mode(mode, mirror, daemon, src, dst, settings=None, **keys):
    """Start a daemon with one sync, and wait until it has started."""
    if mode != "exec":
        return mirror(mode, settings=settings, **keys)
    return daemon(mirroring(src, dst, True, **keys), settings=settings)


@every_mode
def test_they_run_around_every_job_and_are_told_of_it(mode, tmp_path, src, dst, mirror, daemon):
    make(src, "old", "d/f")
    words = ("before", "after", "failed")
    running = in_mode(mode, mirror, daemon, src, dst, onBatch={word: hook(tmp_path, word) for word in words}, name="the-name")
    wait_kept(running, src, dst)
    first = [one.paths for one in hooks(tmp_path)[:2]]
    assert first == ([[], []] if mode == "exec" else [[b"."], [b"."]])
    started = len(hooks(tmp_path))

    root = os.fsencode(str(src))
    for name in EVIL:
        with open(root + b"/" + name, "wb") as file:
            file.write(name)
    wait_kept(running, src, dst)
    running.wait_idle()
    os.rename(root + b"/d", root + b"/e")
    for name in EVIL:
        os.unlink(root + b"/" + name)
    os.chmod(root + b"/old", 0o600)
    wait_kept(running, src, dst)
    running.wait_idle()

    found = hooks(tmp_path)
    for before, after in zip(found[::2], found[1::2]):
        assert (before.word, after.word) == ("before", "after")
        assert before.paths == after.paths and before.count == after.count == str(len(after.paths))
        assert (before.exit, after.exit) == ("", "0") and before.attempt == after.attempt == "1"
        for one in (before, after):
            assert (one.sync, one.mode, one.source) == ("the-name", mode, str(src) + "/")
            assert one.target.rstrip("/").endswith(str(dst)) and (mode != "rsyncssh" or one.target.startswith("127.0.0.1:"))
    assert len(found) % 2 == 0 and len(found) > started
    known = [path for one in found[started::2] for path in one.paths]
    assert {name for name in EVIL} | {b"old", b"d", b"e"} <= set(known)
    order = runs(running, "the-name")
    assert order == ["before", "job", "after"] * (len(order) // 3) and order
    assert not [line for line in running.log().split("\n") if line and not LOG_LINE.fullmatch(line)]
    assert not [path for path in (tmp_path, src, dst, running.folder, Path.home()) if (path / "pwned").exists()]


def test_failed_is_told_the_exit_status_and_the_number_of_the_try(tmp_path, src, dst, daemon, rsync):
    binary = rsync()
    batch = {word: hook(tmp_path, word) for word in ("before", "after", "failed")}
    other, unwritable = make(tmp_path / "other", "a"), make(tmp_path / "third", "a")
    action = "[ ^path != bad ] || [ -e %s/mended ] || exit 9" % tmp_path
    running = daemon(sync(src, dst, name="rsync", rsync={"binary": binary.path}, onBatch=batch),
                     sync_by_actions(other, name="exec", onCreate=action, exitcodes={"9": "again"}, onBatch=batch),
                     sync(unwritable, tmp_path / "there", name="direct", mode="direct", delay=0.1, onBatch=batch))
    started = len(hooks(tmp_path))
    binary.fail("KILL", 1)
    make(src, "a")
    running.wait(lambda: not binary.failing(), "rsync to be killed")
    running.wait_idle()
    binary.fail(12)
    make(other, "bad", "good")
    make(src, "b")

    def failures(name):
        return [one for one in hooks(tmp_path)[started:] if one.sync == name and one.word == "failed"]
    running.wait(lambda: len(failures("rsync")) >= 3 and len(failures("exec")) >= 2, "tries")
    binary.recover()
    (tmp_path / "mended").touch()
    running.wait_idle()
    assert [one.exit for one in failures("rsync")][:3] == ["137", "12", "12"]
    assert [one.attempt for one in failures("rsync")][:3] == ["1", "1", "2"]
    assert [one.paths for one in failures("rsync")[:2]] == [[b"a"], [b"b"]]
    assert [(one.exit, one.attempt, one.paths) for one in failures("exec")][:2] == [("9", "1", [b"bad"]), ("9", "2", [b"bad"])]
    for name, last in (("rsync", [b"b"]), ("exec", [b"bad"])):
        found = [one for one in hooks(tmp_path)[started:] if one.sync == name]
        assert (found[-1].word, found[-1].paths, found[-1].exit) == ("after", last, "0")
        assert found[-1].attempt == str(int(failures(name)[-1].attempt) + 1)
        assert all(one.word == "before" for one in found[:-1] if one.exit == "")
    assert not failures("direct")


def test_a_before_that_fails_holds_the_batch(tmp_path, src, daemon):
    targets = [tmp_path / name for name in ("rsync", "direct", "exec")]
    (tmp_path / "open").touch()
    batch = {"before": hook(tmp_path, "before", "[ -e %s/open ] || { echo not now; exit 1; }" % tmp_path),
             "after": hook(tmp_path, "after"), "failed": hook(tmp_path, "failed")}
    make(src, "a")
    running = daemon(sync(src, targets[0], name="rsync", rsync={"archive": True}, onBatch=batch),
                     sync(src, targets[1], name="direct", mode="direct", onBatch=batch),
                     mirroring(src, targets[2], False, name="exec", onBatch=batch), settings={"delay": 0.1})
    wait_kept(running, src, *targets)
    (tmp_path / "open").unlink()
    make(src, "b")
    os.unlink(str(src / "a"))
    names = ("rsync", "direct", "exec")

    def tries(name):
        return len([one for one in hooks(tmp_path, "before") if one.sync == name and {b"a", b"b"} & set(one.paths)])
    running.wait(lambda: all(tries(name) >= 2 for name in names), "more tries")
    for name in names:
        report = running.wait_status(name, last_error=lambda words: words and "onBatch.before ended with 1: not now" in words)
        assert report[name].delays + int(report[name].in_flight) == 2
        assert re.search(r"Error: %s: onBatch\.before ended with 1: not now; \d changes? waits?, next try in \d s" % name, running.log())
    make(src, "c")
    assert all(set(os.listdir(str(target))) == {"a"} for target in targets)
    (tmp_path / "open").touch()
    wait_kept(running, src, *targets)
    running.wait_idle()
    assert not hooks(tmp_path, "failed")  # nothing has failed: it was not begun
    assert all(report.last_error is None for report in running.status().values())
    assert all("Normal: %s: works again" % name in running.log() for name in names)


def test_a_before_that_fails_at_the_start_ends_the_daemon(tmp_path, src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, name="one", onBatch={"before": "echo no; false"}), wait=False)
    assert running.ended() == 255
    errors = [line for line in running.log().split("\n") if " Error: " in line]
    assert len(errors) == 1 and "onBatch.before ended with 1: no" in errors[0]
    assert not list(dst.iterdir())


def test_an_after_that_fails_is_only_logged_or_run_again_for_all_it_was_not_told_of(tmp_path, src, daemon):
    mend = "[ -e %s/mended ] || { echo broken; exit 4; }" % tmp_path
    targets = [tmp_path / name for name in ("ignore", "again", "exec", "term")]
    quiet = make(tmp_path / "quiet", "a")
    (tmp_path / "mended").touch()

    def one(name, target, how, source=src):
        return sync(source, target, name=name, delay=0.1, rsync={"archive": True},
                    onBatch={"after": hook(tmp_path, "after", mend), "afterFailure": how})
    running = daemon(one("ignore", targets[0], "ignore"), one("again", targets[1], "again"),
                     mirroring(src, targets[2], False, name="exec", onBatch={"after": hook(tmp_path, "after", mend), "afterFailure": "again"}),
                     one("term", targets[3], "again", quiet))
    running.wait_idle()
    (tmp_path / "mended").unlink()

    def seen(name):
        """Return the sets of paths that each run but that of the start was told."""
        return [set(one.paths) - {b"."} for one in hooks(tmp_path) if one.sync == name][1:]
    make(src, "a")
    wait_kept(running, src, *targets[:3])
    for name in ("again", "exec"):
        running.wait(lambda: len(seen(name)) >= 2, "another try")
        running.wait_log(r"Warn: %s: onBatch\.after ended with 4: broken; run again in \d s" % name)
    running.wait_log(r"Warn: ignore: onBatch\.after ended with 4: broken\n")
    make(src, "b")
    wait_kept(running, src, *targets[:3])
    for name in ("again", "exec"):
        running.wait(lambda: {b"a", b"b"} in seen(name), "both at once")
        assert seen(name)[0] == {b"a"}
    (tmp_path / "mended").touch()
    make(src, "c")
    for name in ("again", "exec"):
        running.wait(lambda: {b"a", b"b", b"c"} == set().union(*seen(name)[-2:]), "the last try, told of all")
    running.wait_idle()
    make(src, "d")
    for name in ("again", "exec"):
        running.wait(lambda: seen(name)[-1] == {b"d"}, "nothing is owed any more")
    running.wait(lambda: set().union(*seen("ignore")) == {b"a", b"b", b"c", b"d"}, "the last")
    assert all(len(paths) == 1 for paths in seen("ignore"))
    assert not seen("term")

    (tmp_path / "mended").unlink()
    make(quiet, "at the end")
    running.wait_log(r"Warn: term: onBatch\.after ended with 4: broken; run again in 1 s")
    (tmp_path / "mended").touch()
    assert running.stop() == 143  # it is told once more before the end
    assert seen("term")[-1] == {b"at the end"} and len(seen("term")) > 1


def yes_is_over(running, folder):
    """Wait until a yes of runIf that was given before the folder was changed does not hold any more."""
    changed = os.stat(str(folder)).st_mtime
    running.wait(lambda: time.time() > changed + YES + 0.2, "a second to pass")


def test_run_if_holds_jobs_while_changes_are_gathered(tmp_path, src, daemon):
    targets = [tmp_path / name for name in ("rsync", "direct", "exec")]
    keys = {"runIf": "echo not now; [ -e %s/open ]" % tmp_path, "runIfInterval": 0.2}
    make(src, "a", "gone")
    running = daemon(sync(src, targets[0], name="rsync", rsync={"archive": True}, **keys),
                     sync(src, targets[1], name="direct", mode="direct", **keys),
                     mirroring(src, targets[2], False, name="exec", **keys), settings={"delay": 0.1}, wait=False)
    running.wait_status(state="held by runIf", delays=1, limit=30)  # the first sync, too
    assert not any(target.exists() and list(target.iterdir()) for target in targets)
    (tmp_path / "open").touch()
    wait_kept(running, src, *targets)
    running.wait_idle()
    (tmp_path / "open").unlink()
    yes_is_over(running, tmp_path)
    make(src, "b", "d/f")
    os.unlink(str(src / "gone"))
    for name in ("rsync", "direct", "exec"):
        running.wait_status(name, state="held by runIf", delays=lambda number: number >= 3)
    assert not any((target / "d").exists() or not (target / "gone").exists() for target in targets)
    (tmp_path / "open").touch()
    wait_kept(running, src, *targets)
    running.wait_idle()
    for name in ("rsync", "direct", "exec"):  # each turn is said once, not every 0.2 s
        assert len(re.findall(r"Warn: %s: held: runIf ended with 1: not now; asked again every 0\.2 s" % name, running.log())) == 2
        assert len(re.findall(r"Normal: %s: runIf lets it go on" % name, running.log())) == 2


def test_the_end_while_run_if_says_no(tmp_path, src, dst, daemon):
    keys = {"runIf": "[ -e %s/open ]" % tmp_path, "runIfInterval": 600}
    other = make(tmp_path / "other", "a")
    (tmp_path / "open").touch()
    running = daemon(sync(src, dst, name="one", mode="direct", delay=600, **keys),
                     sync_by_actions(other, name="two", onCreate=teller(tmp_path / "told", "^path"), delay=600, **keys))
    (tmp_path / "open").unlink()
    make(src, "a", "b")
    make(other, "b")
    running.wait_status("one", delays=2)
    running.wait_status("two", delays=1)
    yes_is_over(running, tmp_path)
    assert running.stop() == 143
    assert not list(dst.iterdir()) and not told(tmp_path / "told")
    for name, count in (("one", 2), ("two", 1)):
        assert re.search(r"%s: held: runIf ended with 1" % name, running.log())
        assert "Warn: %s: %s not sent" % (name, "1 change was" if count == 1 else "%d changes were" % count) in running.log()


def test_one_pass_with_hooks_and_with_run_if(tmp_path, src, dst, cli, daemon):
    make(src, "a")
    batch = {"before": hook(tmp_path, "before"), "after": hook(tmp_path, "after")}
    other = tmp_path / "other"
    running = daemon(sync(src, dst, name="good", onBatch=batch), sync(src, other, name="held", runIf="echo no; exit 1"),
                     options=["-onepass", "-log", "all"], wait=False)
    assert running.ended() == 255
    assert (dst / "a").exists() and not (other / "a").exists()
    assert [one.word for one in hooks(tmp_path)] == ["before", "after"]
    assert re.search("Error: held: not everything is mirrored: held: runIf ended with 1: no", running.log())
    running = daemon(sync(src, other, name="good", runIf="true", onBatch=batch), options=["-onepass"], wait=False)
    assert running.ended() == 0 and (other / "a").exists()


def test_a_hook_that_hangs_stops_no_other_sync_and_not_the_end(tmp_path, src, daemon):
    (tmp_path / "held").mkdir()
    names = ("before", "after", "runIf")
    hang = "[ ! -e %s/hang ] || exec sleep 1000" % tmp_path
    keys = {"before": {"onBatch": {"before": hang}}, "after": {"onBatch": {"after": hang}}, "runIf": {"runIf": hang}}
    targets = [tmp_path / name for name in names + ("free",)]
    running = daemon(*[sync(src, target, name=target.name, mode="direct", delay=0.1, **keys.get(target.name, {})) for target in targets],
                     settings={"shutdownTimeout": 0.5})
    (tmp_path / "hang").touch()
    yes_is_over(running, tmp_path)
    make(src, "a")
    running.wait_path(targets[3] / "a")
    running.wait_path(targets[1] / "a")
    running.wait_status("before", state="syncing", in_flight="1")
    make(src, "b")
    running.wait_path(targets[3] / "b")
    running.wait_status("free", state="idle", delays=0)
    assert not (targets[0] / "a").exists() and not (targets[2] / "a").exists() and not (targets[1] / "b").exists()
    assert running.stop(limit=15) == 143


def test_max_processes_holds_for_hooks_too(tmp_path, src, daemon):
    where = tmp_path / "told"
    busy = "%s; sleep 0.01; %s" % (teller(where, "begin"), teller(where, "end"))
    batch = {"before": busy, "after": busy}
    targets = [tmp_path / ("dst%d" % number) for number in range(4)]
    make(src, "a")
    running = daemon(*[sync(src, target, name=target.name, mode="direct", delay=0, onBatch=batch, runIf=busy) for target in targets[:2]],
                     *[mirroring(src, target, True, name=target.name, maxProcesses=3, onBatch=batch) for target in targets[2:]],
                     settings={"maxProcesses": 2})
    make(src, *["d%d/f%d" % (number % 3, number) for number in range(12)])
    os.rename(str(src / "d1"), str(src / "e"))
    wait_kept(running, src, *targets)
    running.wait_idle()
    now = most = 0
    for (word,) in told(where):
        now += 1 if word == "begin" else -1
        most = max(most, now)
    assert now == 0 and most == 2


def test_what_they_print_is_logged_and_one_may_be_a_program(tmp_path, src, dst, daemon):
    make(src, "a")
    program = tmp_path / "a program"
    program.write_text("#!/bin/sh\necho out: \"$@\"\nprintf 'err\\033[31m\\nlast' >&2\n")
    program.chmod(0o755)
    running = daemon(sync(src, dst, name="web", mode="direct", delay=0.1, onBatch={
        "before": '"%s" ignored' % program, "after": "%s ^source \"^target\" 'a  b' $HOME;" % str(program).replace(" ", "\\ ")}),
        sync(src, tmp_path / "other", name="missing", mode="direct", delay=0.1, onBatch={"after": "/no/such/program"}))
    running.wait_log(r"Normal: web: out: ignored\n")
    running.wait_log(r"Normal: web: out: %s/ %s/? a  b \$HOME;\n" % (re.escape(str(src)), re.escape(str(dst))))
    running.wait_log(r"Normal: web: err\\x1b\[31m\n")
    running.wait_log(r"Normal: web: last\n")
    running.wait_log(r"Warn: missing: onBatch\.after could not be run: there is no program /no/such/program\n")
    make(src, "b")
    running.wait_path(dst / "b")
    running.wait_path(tmp_path / "other/b")
    running.wait_idle()
    assert not [line for line in running.log().split("\n") if line and not LOG_LINE.fullmatch(line)]
