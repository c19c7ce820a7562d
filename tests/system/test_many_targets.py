"""Many targets: how many children run at one time, who comes first, who may begin, and how gently they run."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from harness import descendants, make, names, processes, sync, tree, wait_for

MANY = 60


def by_target(calls, targets):
    """Return the numbers of the targets of some calls of an Rsync, in order."""
    numbers = {str(target): number for number, target in enumerate(targets)}
    return [numbers[call.argv[-1].rstrip("./")] for call in calls if call.argv[-1].rstrip("./") in numbers]


def test_sixty_targets_share_four_processes_and_a_dead_one_holds_nobody_up(tmp_path, src, daemon, rsync):
    make(src, "a", "d/b")
    binary = rsync()
    targets = [tmp_path / ("t%d" % number) for number in range(MANY)]
    dead = tmp_path / "is" / "not" / "mounted"
    running = daemon(sync(src, [targets[0], dead, *targets[1:]], "www", rsync={"binary": binary.path}), wait=False,
                     settings={"delay": 0.1, "maxProcesses": 4, "insist": True, "statusInterval": 0.5})
    for target in targets:
        running.wait_equal(src, target)
    assert binary.most_together() <= 4
    running.wait_status("www/2", last_error=lambda words: words is not None)

    before, stop = len(binary.calls()), threading.Event()

    def change():
        while not stop.wait(0.02):
            (src / "a").write_text(str(time.monotonic()))
    writer = threading.Thread(target=change)
    writer.start()
    try:  # three rounds, while there is something to send to each of them all the time
        running.wait(lambda: len(binary.calls()) - before > 8 * MANY, "many batches", 120)
    finally:
        stop.set()
        writer.join()
    calls = by_target([call for call in binary.calls()[before:] if "-r" not in call.argv and "--existing" not in call.argv], targets)
    counts, most = Counter(dict.fromkeys(range(MANY), 0)), 0
    for number in calls:
        counts[number] += 1
        most = max(most, max(counts.values()) - min(counts.values()))
    assert min(counts.values()) >= 2 and most <= 2, (most, counts)
    running.fence(src, *targets)
    assert all(tree(target) == tree(src) for target in targets) and not dead.exists()
    assert binary.most_together() <= 4


def test_sixty_targets_of_mode_direct_get_all_that_changes(tmp_path, src, daemon):
    make(src, "a", "d/b")
    targets = [tmp_path / ("t%d" % number) for number in range(MANY)]
    running = daemon(sync(src, targets, "www", mode="direct"), settings={"delay": 0.1, "maxProcesses": 4, "statusInterval": 0.5}, wait=False)
    seen = []

    def look():
        seen.append(sum(1 for pid in descendants(running.pid) if _parent(pid) == running.pid))
        return all(tree(target) == tree(src) for target in targets)
    running.wait(look, "equal trees", 60)
    make(src, "c", "d/e/f")
    (src / "a").rename(src / "d" / "a")
    running.wait(look, "equal trees", 60)
    assert 0 < max(seen) <= 4


def _stat(pid):
    return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()


def _parent(pid):
    try:
        return int(_stat(pid)[1])
    except OSError:
        return None


# ---- maxInit -------------------------------------------------------------------------------------

def test_no_more_than_max_init_begin_at_one_time_and_the_status_says_who_waits(tmp_path, src, daemon, rsync):
    make(src, "a")
    binary = rsync()
    binary.hold()
    targets = [tmp_path / ("t%d" % number) for number in range(12)]
    running = daemon(sync(src, targets, "www", rsync={"binary": binary.path}), wait=False, settings={"delay": 0.1, "maxInit": 2})
    running.wait(lambda: len(binary.calls()) == 2, "two to begin")
    running.wait(lambda: running.statusfile.read_text().count("Awaits: maxInit = 2") == 10, "ten to wait, and the status to say so")
    assert {report.state for report in running.status().values()} == {"starting"}
    binary.release()
    for target in targets:
        running.wait_equal(src, target)
    running.wait_idle()
    assert binary.most_together() == 2 and len(binary.calls()) == 12
    assert "Awaits" not in running.statusfile.read_text()


def test_who_is_past_its_start_goes_on_while_others_wait_for_theirs_and_a_failed_start_gives_its_place_away(tmp_path, src, daemon, rsync):
    make(src, "a")
    slow, quick, broken = rsync("slow"), rsync("quick"), rsync("broken")
    broken.fail(12)
    syncs = [sync(src, tmp_path / name, name, rsync={"binary": binary.path}) for name, binary in (("broken", broken), ("first", quick))]
    settings = {"delay": 0.1, "maxInit": 1, "maxProcesses": 2, "insist": True}
    running = daemon(*syncs, settings=settings, wait=False)
    running.wait_equal(src, tmp_path / "first")
    running.wait_status("broken", last_error=lambda words: words is not None, state="waiting")

    slow.hold()
    syncs += [sync(src, tmp_path / name, name, rsync={"binary": slow.path}) for name in ("slow", "last")]
    running.configure(*syncs, settings=settings)
    running.kill(signal.SIGHUP)
    running.wait(lambda: len(slow.calls()) == 1, "one more to begin")
    make(src, "b")
    running.fence(src, tmp_path / "first")
    tries = len(broken.calls())
    broken.recover()
    running.fence(src, tmp_path / "first")
    assert len(slow.calls()) == 1 and len(broken.calls()) <= tries + 1
    slow.release()
    for name in ("slow", "last", "broken"):
        running.wait_equal(src, tmp_path / name)


def test_onepass_and_the_end_take_turns_too(tmp_path, src, daemon, cli, rsync):
    make(src, "a")
    binary = rsync()
    targets = [tmp_path / ("t%d" % number) for number in range(5)]
    conf = tmp_path / "c.conf"
    conf.write_text("[settings]\nmaxInit = 1\n[sync www]\nsource = %s\nrsync.binary = %s\ntarget =\n%s" % (
        src, binary.path, "".join("  %s\n" % target for target in targets)))
    assert cli("-onepass", conf).returncode == 0
    assert all(tree(target) == tree(src) for target in targets) and binary.most_together() == 1

    binary.hold()
    make(src, "b")
    running = daemon(sync(src, targets, "www", rsync={"binary": binary.path}), wait=False, settings={"delay": 0.1, "maxInit": 1})
    running.wait(lambda: len(binary.calls()) == 6, "one to begin")
    running.kill(signal.SIGTERM)
    running.wait_log("sending what is pending")
    binary.release()
    assert running.ended() == 143
    assert all("b" in names(target) for target in targets) and binary.most_together() == 1


# ---- nice, ionice --------------------------------------------------------------------------------

def _below(daemon):
    """Return [(niceness, I/O class)] of what runs below a daemon, but for connections that it keeps: they began earlier."""
    found = []
    for pid in descendants(daemon):
        try:
            is_kept = "[mux]" in Path("/proc", str(pid), "cmdline").read_text()
            said = subprocess.run(["ionice", "-p", str(pid)], stdout=subprocess.PIPE, universal_newlines=True).stdout.strip()
            fields = _stat(pid)
        except OSError:
            continue  # it has ended meanwhile
        if not is_kept and fields[0] != "Z":
            found.append((int(fields[16]), said))
    return found


needs_ionice = pytest.mark.skipif(not shutil.which("ionice"), reason="ionice is not installed")
_OWN = os.nice(0)


def _path_with(folder, *names, **links):
    """Make a directory with some programs, maybe of others, for PATH; return it."""
    folder.mkdir()
    for name, real in {**{name: shutil.which(name) for name in names}, **links}.items():
        (folder / name).symlink_to(real)
    return str(folder)


@needs_ionice
@pytest.mark.parametrize("kind", ["util-linux", "busybox"])
@pytest.mark.parametrize("way", ["ssh", "rsync"])
def test_all_that_mirrors_is_gentle_and_the_daemon_and_hooks_are_not(way, kind, tmp_path, src, dst, daemon, rsync, way_to, request):
    prefix = ()
    if kind == "busybox":
        if not shutil.which("busybox"):
            pytest.skip("busybox is not installed")
        applets = subprocess.run(["busybox", "--list"], stdout=subprocess.PIPE, universal_newlines=True).stdout.split()
        links = {name: shutil.which("busybox") for name in ("nice", "ionice") if name in applets}
        assert "ionice" in links
        prefix = ("env", "PATH=%s:%s" % (_path_with(tmp_path / "bin", **links), os.environ["PATH"]))
    make(src, "a")
    binary = rsync()
    table = dict(way_to(way, dst, nice=7, ionice="best-effort:6", onBatch={"before": "cat /proc/self/stat > %s/hook" % tmp_path},
                        rsync={"binary": binary.path}))
    running = daemon(table, settings={"delay": 0.1}, prefix=prefix)
    pid = running.pid
    assert _stat(pid)[16] == str(_OWN) and (tmp_path / "hook").read_text().rpartition(")")[2].split()[16] == str(_OWN)
    binary.hold(after=True)
    make(src, "b")
    running.wait(binary.held, lambda: "a job; held %d; %s" % (binary.held(), processes(tmp_path)), 10)
    found = _below(pid)
    assert len(found) >= 1 and set(found) == {(_OWN + 7, "best-effort: prio 6")}, found
    binary.release()
    running.wait_path(dst / "b")
    running.wait_idle()

    calls = len(binary.calls())
    running.configure(dict(table, nice=3, ionice="idle"), settings={"delay": 0.1})
    running.kill(signal.SIGHUP)
    running.wait_log("configuration read again")
    binary.hold(after=True)
    for path in binary.folder.glob("held.*"):
        path.unlink()
    make(src, "c")
    running.wait(binary.held, lambda: "a job; held %d; %s" % (binary.held(), processes(tmp_path)), 10)
    found = _below(pid)
    assert set(found) == {(_OWN + 3, "idle")}, found
    binary.release()
    running.wait_path(dst / "c")
    assert not any("-r" in call.argv for call in binary.calls()[calls:])  # nothing begins anew for that


@needs_ionice
def test_a_gentle_job_that_hangs_is_ended_with_all_it_has_started(src, dst, daemon, rsync, tmp_path):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, "www", nice=5, ionice="idle", jobTimeout=1, rsync={"binary": binary.path}), settings={"delay": 0.1})
    (tmp_path / "sleep").write_text("#!/bin/sh\nexec sleep 1000\n")
    (tmp_path / "sleep").chmod(0o755)
    Path(binary.path).rename(binary.path + ".real")
    Path(binary.path).write_text("#!/bin/sh\n%s/sleep\n" % tmp_path)
    Path(binary.path).chmod(0o755)
    make(src, "b")
    running.wait_log("www: .*nothing moved for .* s: ended")
    Path(binary.path + ".real").rename(binary.path)
    running.wait_path(dst / "b")
    wait_for(lambda: not any("sleep 1000" in line for line in processes(tmp_path).values()), "the sleeper to be ended")


def test_an_ionice_that_is_missing_is_named_at_the_start_and_waited_for_later(src, dst, tmp_path, daemon, cli):
    make(src, "a")
    folder = _path_with(tmp_path / "bin", "rsync", "sh", "nice")
    conf = tmp_path / "c.conf"
    conf.write_text("[sync www]\nsource = %s\ntarget = %s\nionice = idle\nnice = 19\n" % (src, dst))
    words = "sync www: there is no program ionice (install util-linux, or set no ionice)"
    environ = {"prefix": ("env", "PATH=%s" % folder)}
    running = daemon(sync(src, dst, "www", ionice="idle", nice=19), wait=False, **environ)
    assert running.ended() == 255 and "the start failed: there is no program ionice (install util-linux, or set no ionice)" in running.log()
    later = daemon(sync(src, dst, "www", ionice="idle", nice=19, delay=0.1), settings={"insist": True}, wait=False, **environ)
    later.wait_log("www: there is no program ionice")
    later.wait_status("www", last_error=lambda said: said is not None and "no program ionice" in said)
    if shutil.which("ionice"):
        (tmp_path / "bin" / "ionice").symlink_to(shutil.which("ionice"))
        later.wait_path(dst / "a")
    checked = subprocess.run([shutil.which("env"), "PATH=%s" % folder, os.sys.executable, "-m", "lsyncd_lite", "-check", str(conf)],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, cwd=str(Path(__file__).parents[2]))
    assert shutil.which("ionice") or (checked.returncode, checked.stderr) == (255, words + "\n")


@pytest.mark.parametrize("line, words", [
    ("nice = 20", "'20' is not allowed here; allowed: a whole number, -20 to 19"), ("ionice = realtime", "'realtime' is not allowed here; allowed: idle, best-effort, or best-effort:N with an N of 0 to 7"),
    ("ionice = best-effort:8", "'best-effort:8' is not allowed here"), ("maxInit = 0", "maxInit: '0' is not allowed here; allowed: a whole number, 1 or more")])
def test_what_they_may_be(line, words, tmp_path, src, cli):
    (tmp_path / "c.conf").write_text("[settings]\n%s\n[sync www]\nsource = %s\ntarget = /x\n" % (line, src))
    checked = cli("-check", tmp_path / "c.conf")
    assert checked.returncode == 255 and words in checked.stderr and re.match(r"\S+:2: ", checked.stderr)
