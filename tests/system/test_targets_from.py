"""targetsFrom: targets join and leave while the daemon runs, and the others do not notice."""

import os
import re
import signal


import pytest

from harness import make, names, processes, sync, tree


def listed(src, targets_from, **keys):
    """Return a sync that takes its targets from somewhere."""
    table = dict(sync(src, (), "www"), targetsFrom=str(targets_from), **keys)
    del table["target"]
    return table


@pytest.fixture
def hosts(tmp_path):
    """Write the list of targets: `hosts("a", "b")`, directories below tmp_path; `.path` is the file."""
    def write(*targets):
        write.path.write_text("# those that are there\n" + "".join("%s\n" % (tmp_path / target) for target in targets))
        return [tmp_path / target for target in targets]
    write.path = tmp_path / "hosts"
    return write


def hang_up(running, words):
    count = running.log().count(words)
    running.kill(signal.SIGHUP)
    running.wait(lambda: running.log().count(words) > count, words)


def full_syncs(calls, target):
    return sum("-r" in call.argv for call in calls if call.argv[-1].startswith("%s/" % target))


def test_who_joins_gets_everything_and_who_leaves_is_let_go_while_a_job_to_another_goes_on(tmp_path, src, daemon, rsync, hosts):
    make(src, "a", "d/e/f")
    binary = rsync()
    stays, leaves = hosts("stays", "leaves")
    state = tmp_path / "state"
    running = daemon(listed(src, hosts.path, rsync={"binary": binary.path}), settings={"delay": 0.1, "stateDir": str(state)})
    assert sorted(running.status()) == ["www/%s" % leaves, "www/%s" % stays]
    watching = running.watching()
    kept = {path.name: path.read_bytes() for path in state.iterdir()}
    assert len(kept) == 2

    binary.hold()
    make(src, "b")
    running.wait_status(state="syncing", in_flight="1")

    def job(target):
        return next((pid for pid, line in processes(tmp_path).items() if binary.path in line and "%s/" % target in line), None)
    jobs = {target: running.wait(lambda target=target: job(target), lambda: "a job; there are %s" % processes(tmp_path)) for target in (stays, leaves)}
    _stays, joins = hosts("stays", "joins")
    hang_up(running, "www/%s: full sync of" % joins)
    running.wait_log("www/%s: ended by the new configuration" % leaves)
    running.wait(lambda: jobs[leaves] not in processes(tmp_path), "the job to who has left to be ended")
    assert jobs[stays] in processes(tmp_path)
    binary.release()

    running.wait_equal(src, joins)
    running.wait_equal(src, stays)
    make(src, "later")
    running.fence(src, stays, joins)
    assert "later" in names(joins) and not {"b", "later"} & names(leaves)
    assert [full_syncs(binary.calls(), target) for target in (stays, leaves, joins)] == [1, 1, 1]
    assert running.watching() == watching
    for words in ("ended by", "begun anew", "names by the new"):
        assert not re.search("www/%s: %s" % (stays, words), running.log())
    now = {path.name: path.read_bytes() for path in state.iterdir()}
    gone = next(name for name, content in kept.items() if b"/leaves/\0" in content)
    assert gone not in now and len(now) == 2 and {name for name in kept if name != gone} < set(now)


def test_a_restart_finds_what_each_target_had_left_whoever_has_left_meanwhile(tmp_path, src, daemon, rsync, hosts):
    make(src, "a")
    binary = rsync()
    first, second = hosts("first", "second")
    settings = {"delay": 0.1, "stateDir": str(tmp_path / "state")}
    one = listed(src, hosts.path, init=False, rsync={"binary": binary.path})
    running = daemon(one, settings=settings)
    binary.fail(12)
    make(src, "b")
    running.wait_status(last_error=lambda words: words is not None)
    assert running.stop() == 143
    hosts("second")
    binary.recover()
    again = daemon(one, settings=settings)
    again.wait_path(second / "b", "b")
    assert not first.exists() and re.search("second: the last run has left . change", again.log())


@pytest.mark.parametrize("script, words", [
    ("echo no inventory >&2; exit 3", "targetsFrom: the command ended with 3: no inventory"),
    ("true", "targetsFrom: the command prints no target; allowed: one target at least"),
    ("kill -9 $$", "targetsFrom: the command was killed by signal 9"),
    ("echo -e sh:/x", "would be an option"),
    ("head -c 2000000 /dev/zero", "targetsFrom: the command prints more than 1048576 bytes: it was ended"),
    ("sleep 1000 & echo $! > {0}/sleeper; wait", "targetsFrom: the command has not ended after 10 s: it was ended")],
    ids=["fails", "nothing", "killed", "option", "endless", "hangs"])
def test_a_list_that_cannot_be_had_at_a_reload_ends_no_mirror(script, words, tmp_path, src, daemon, hosts):
    make(src, "a")
    targets = hosts("one", "two")
    script = script.format(tmp_path) if "{0}" in script else script
    (tmp_path / "list.sh").write_text('if [ -e "$DIR/broken" ]; then %s\nelse cat "$DIR/hosts"; fi\n' % script)
    running = daemon(listed(src, '!DIR=%s; . "${DIR}/list.sh"' % tmp_path), settings={"delay": 0.1})
    (tmp_path / "broken").touch()
    running.kill(signal.SIGHUP)
    running.wait_log(r"Error: .*daemon\.ini.*%s" % re.escape(words))
    running.wait_log("the new configuration is refused, the old one stays")
    make(src, "b")
    running.fence(src, *targets)
    assert all("b" in names(target) for target in targets) and "ended by" not in running.log()
    if "sleeper" in script:
        assert int((tmp_path / "sleeper").read_text()) not in processes(tmp_path)
    (tmp_path / "broken").unlink()
    third = hosts("one", "two", "three")[-1]
    running.kill(signal.SIGHUP)
    running.wait_equal(src, third)


def test_a_hundred_targets_join_and_leave(tmp_path, src, daemon, hosts):
    make(src, "a", "d/b", "d/e/c")
    few = hosts(*("t%d" % number for number in range(10)))
    running = daemon(listed(src, hosts.path, mode="direct"), settings={"delay": 0.1, "maxProcesses": 8, "statusInterval": 0.2})
    watching = running.watching()
    descriptors = len(os.listdir("/proc/%d/fd" % running.pid))
    many = hosts(*("t%d" % number for number in range(100)))
    hang_up(running, "configuration read again")
    running.wait(lambda: len(running.status()) == 100, "all in the status")
    running.wait_idle()
    for target in many:
        running.wait_equal(src, target)
    assert all(running.log().count("www/%s: full sync finished" % target) == 1 for target in many)
    stay = hosts(*("t%d" % number for number in range(5, 55)))
    hang_up(running, "configuration read again")
    running.wait(lambda: len(running.status()) == 50, "those that have left to be gone from the status")
    make(src, "later", "d/later")
    running.fence(src, *stay)
    assert all(tree(target) == tree(src) for target in stay)
    assert not any("later" in names(target) for target in many if target not in stay) and few[4] not in stay
    assert all(running.log().count("www/%s: full sync finished" % target) == 1 for target in many)
    assert running.watching() == watching
    running.wait(lambda: len(os.listdir("/proc/%d/fd" % running.pid)) <= descriptors + 2, "no descriptor of theirs to be left")


def test_it_is_run_by_check_and_by_no_conversion(tmp_path, src, cli, hosts):
    hosts("one")
    conf = tmp_path / "c.conf"
    conf.write_text("[sync www]\nsource = %s\ntargetsFrom = !echo ran >> %s/ran; cat %s\n" % (src, tmp_path, hosts.path))
    assert cli("-convert", conf).returncode == 0 and cli("-convert", "-json", conf).returncode == 0
    assert not (tmp_path / "ran").exists()
    assert cli("-check", conf).stdout == "OK\n"
    assert (tmp_path / "ran").read_text() == "ran\n"
    conf.write_text(conf.read_text().replace("cat", "exit 4; cat"))
    checked = cli("-check", conf)
    assert checked.returncode == 255 and checked.stderr == "%s:3: targetsFrom: the command ended with 4\n" % conf
    started = cli("-nodaemon", conf)
    assert started.returncode == 255 and started.stderr == checked.stderr


def test_a_sync_of_a_list_is_released_by_its_name(tmp_path, src, daemon, cli, hosts):
    make(src, *("f%d" % number for number in range(9)))
    one, two = hosts("one", "two")
    running = daemon(listed(src, hosts.path, maxDelete=3), settings={"delay": 0.1, "pidfile": str(tmp_path / "pid")})
    for path in src.iterdir():
        path.unlink()
    make(src, "g")
    running.wait_status(state="held by maxDelete")
    assert cli("-release", "www/%s" % one, running.conf).returncode == 0
    running.wait_equal(src, one)
    running.wait_status("www/%s" % two, state="held by maxDelete")
    answer = cli("-release", "www/3", running.conf)
    assert answer.returncode == 255 and "allowed: all, www/%s, www/%s" % (one, two) in answer.stderr
    assert cli("-release", "www", running.conf).returncode == 0
    running.wait_equal(src, two)


def test_the_watchdog_is_fed_while_a_command_is_waited_for(monkeypatch):
    from lsyncd_lite.system import printed as module
    monkeypatch.setattr(module, "_BREATH", 0.05)
    breaths = []
    assert module.printed([b"/bin/sh", b"-c", b"sleep 0.5; echo x"], lambda: breaths.append(1)) == b"x\n"
    assert len(breaths) > 3
