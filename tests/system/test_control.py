"""A daemon that runs is asked and steered: by the real command line, through its control socket."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness import LIMIT, SCRIPT, environment, make, mirroring, names, sync

from lsyncd_lite.system import ask


def status(cli, *argv):
    """Return the snapshot that `status -json` prints."""
    ended = cli("status", "-json", *argv)
    assert ended.returncode == 0, ended
    return json.loads(ended.stdout)


def test_status_tells_what_each_sync_is_at(daemon, cli, src, dst, tmp_path):
    one = daemon(sync(src, dst, name="www"))
    make(src, "a")
    one.wait_path(dst / "a", "a")
    one.wait_idle()
    snapshot = status(cli)
    assert (snapshot["pid"], snapshot["configuration"], snapshot["watches"]) == (one.pid, str(one.conf), 1)
    (www,) = snapshot["syncs"]
    assert (www["name"], www["state"], www["queued"], www["mode"], www["source"]) == ("www", "idle", 0, "rsync", str(src))
    (path,) = Path(str(tmp_path) + ".run").iterdir()
    assert path.name == "daemon.sock" and stat.S_IMODE(os.lstat(str(path)).st_mode) == 0o600
    one.stop()
    assert not path.exists()
    ended = cli("status")
    assert ended.returncode == 255 and ended.stdout == "" and ended.stderr.startswith("no lsyncd-lite runs: looked for %s" % path.parent)


def test_the_queued_paths_are_told_when_they_are_asked_for(daemon, cli, src, dst):
    one = daemon(sync(src, dst, name="www", delay=1000), wait=False)
    one.wait_status("www", state="idle")
    make(src, "a", "b")
    one.wait_status("www", delays=2)
    assert sorted(status(cli, "-v", "www")["syncs"][0]["paths"]) == ["a", "b"]
    assert "paths" not in status(cli)["syncs"][0]
    ended = cli("status", "ww")
    assert ended.returncode == 255 and ended.stderr == "there is no sync ww; did you mean www?; there are: www\n"


# ---- steering ------------------------------------------------------------------------------------

def done(cli, *argv):
    """Run a command that has to be done; return the lines that it prints."""
    ended = cli(*argv)
    assert ended.returncode == 0 and not ended.stderr, ended
    return ended.stdout.splitlines()


def in_background(tmp_path, *argv):
    """Start a command and return it."""
    return subprocess.Popen([sys.executable, "-m", "lsyncd_lite", *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True, env=environment(tmp_path), cwd=str(tmp_path))


def test_flush_sends_at_once_and_wait_returns_when_it_has_arrived(daemon, cli, src, dst):
    one = daemon(sync(src, dst, name="www", delay=1000), wait=False)
    one.wait_status("www", state="idle")
    for number in range(3):  # what the kernel has told is known to a command that comes right after it
        make(src, "d%d/x" % number)
        assert done(cli, "flush")[0].startswith("www: ")
        assert done(cli, "wait", "-timeout", str(LIMIT)) == []
        assert (dst / ("d%d" % number) / "x").exists()
    assert done(cli, "flush") == ["www: nothing is queued"]
    assert "www: flushed by a command" in one.log()


def test_flush_takes_what_a_scan_finds(daemon, cli, src, dst):
    one = daemon(sync(src, dst, name="www", delay=1000, monitor="poll", scanInterval=1000))
    make(src, "a")
    assert done(cli, "flush") == ["www: its source is scanned, and what that finds is sent at once"]
    one.wait_path(dst / "a", "a")


def test_wait_has_a_limit_and_says_what_it_waits_for(daemon, cli, src, dst):
    one = daemon(sync(src, dst, name="www", delay=1000), wait=False)
    one.wait_status("www", state="idle")
    make(src, "a")
    ended = cli("wait", "-timeout", "0.3", "www")
    assert ended.returncode == 1 and ended.stdout == "" and ended.stderr == "not equal within 0.3 s: www: idle, 1 change waits\n"
    ended = cli("wait", "-timeout", "soon")
    assert ended.returncode == 255 and "option -timeout: soon is not allowed here" in ended.stderr


def test_wait_ends_also_if_the_source_is_never_quiet(daemon, cli, src, dst):
    one = daemon(sync(src, dst, name="www", delay=0.2))
    stop = threading.Event()

    def churn():
        number = 0
        while not stop.wait(0.01):
            number += 1
            make(src, "busy%d" % (number % 50), text=str(number))
    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for number in range(5):
            make(src, "mine%d" % number, text=str(number))
            done(cli, "wait", "-timeout", str(LIMIT))
            assert (dst / ("mine%d" % number)).read_text() == str(number)
    finally:
        stop.set()
        thread.join()
    one.wait_equal(src, dst)


@pytest.mark.parametrize("keys", [{"mode": "rsync", "monitor": "poll", "scanInterval": 1000}, {"mode": "direct"}, {"mode": "script"}, {"mode": "exec"}],
                         ids=["polled", "direct", "script", "exec"])
def test_wait_knows_what_is_found_later(daemon, cli, src, dst, tmp_path, keys):
    if keys["mode"] == "script":
        (tmp_path / "script.py").write_text(SCRIPT)
        keys = dict(keys, script=tmp_path / "script.py")
    table = mirroring(src, dst, True) if keys["mode"] == "exec" else sync(src, dst, **keys)
    one = daemon(dict(table, name="www", delay=0.1))
    for number in range(3):
        for name in "a", "b", "c/d/e":
            make(src, "new%d/%s/x" % (number, name))
        os.rename(str(src / ("new%d" % number) / "a"), str(src / ("new%d" % number) / "z"))
        done(cli, "wait", "-timeout", str(LIMIT))
        assert names(src) == names(dst)
    assert one.running()


def test_wait_waits_for_what_is_told_after_a_job(daemon, cli, src, dst, tmp_path):
    daemon(sync(src, dst, name="www", delay=0.1, onBatch={"after": "sleep 1; touch %s" % (tmp_path / "told")}))
    (tmp_path / "told").unlink()
    make(src, "a")
    done(cli, "wait", "-timeout", str(LIMIT))
    assert (tmp_path / "told").exists()


def test_a_file_that_was_linked_and_is_never_closed_is_waited_for(daemon, cli, src, dst, tmp_path):
    daemon(sync(src, dst, name="www", delay=0.1))
    make(tmp_path, "outside")
    os.link(str(tmp_path / "outside"), str(src / "linked"))
    done(cli, "wait", "-timeout", str(LIMIT))
    assert (dst / "linked").exists()


def test_wait_says_once_what_holds_it_up_and_goes_on_after_a_reload(daemon, cli, src, dst, tmp_path):
    one = daemon(sync(src, dst, name="www", delay=0.1))
    assert done(cli, "pause") == ["www: paused"]
    make(src, "a")
    waiting = in_background(tmp_path, "wait")
    assert waiting.stderr.readline() == "www: paused, 1 change waits\n"
    assert done(cli, "reload") == ["the configuration was read again: 1 sync"]
    one.configure(sync(src, dst, name="www", delay=0.1, exclude=["*.tmp"]))
    one.kill(signal.SIGHUP)
    one.wait_log("begun anew")
    assert waiting.poll() is None and not (dst / "a").exists()
    assert status(cli)["syncs"][0]["paused"]  # also the one that has begun anew
    done(cli, "resume")
    assert waiting.wait(LIMIT) == 0 and (dst / "a").exists()
    assert waiting.communicate() == ("", "")


def test_wait_ends_with_words_when_the_daemon_does(daemon, cli, src, dst, tmp_path):
    one = daemon(sync(src, dst, name="www", delay=1000), wait=False)
    one.wait_status("www", state="idle")
    done(cli, "pause")
    make(src, "a")
    waiting = in_background(tmp_path, "wait")
    waiting.stderr.readline()
    one.process.kill()
    one.process.wait()
    assert waiting.wait(LIMIT) == 255 and "has ended before it was done" in waiting.communicate()[1]


def test_what_is_paused_gathers_and_a_stop_does_not_send_it(daemon, cli, src, dst, tmp_path):
    one = daemon(sync(src, dst, name="www", delay=0.1), settings={"stateDir": tmp_path / "state"})
    assert done(cli, "pause", "www") == ["www: paused"] and done(cli, "pause") == ["www: paused already"]
    make(src, "a", "b/c")
    one.wait_status("www", state="paused", delays=2)
    assert done(cli, "flush") == ["www: 2 changes wait: paused (resume lets it go on)"]
    assert done(cli, "full") == ["www: full sync is queued: paused (resume lets it go on)"]
    assert status(cli)["line"] == "1 sync: 1 paused"
    assert one.stop() == 143 and names(dst) == set()
    assert "www: 2 changes were not sent (it is paused)" in one.log()
    one.start("-nodaemon", one.conf)
    one.wait_equal(src, dst)
    assert done(cli, "resume") == ["www: is not paused"]


def test_a_job_that_runs_comes_to_its_end_with_its_hooks_when_it_is_paused(daemon, cli, src, dst, tmp_path, rsync):
    slow = rsync()
    one = daemon(sync(src, dst, name="www", delay=0.1, rsync={"binary": slow.path}, onBatch={"after": "touch %s" % (tmp_path / "told")}))
    (tmp_path / "told").unlink()
    slow.hold()
    make(src, "a")
    one.wait_status("www", in_flight="1")
    assert done(cli, "pause") == ["www: paused, what runs comes to its end"]
    make(src, "b")
    slow.release()
    one.wait_path(tmp_path / "told")
    one.wait_status("www", state="paused", delays=1, in_flight="0")
    assert names(dst) == {"a"}
    done(cli, "resume")
    done(cli, "wait")
    assert names(dst) == {"a", "b"}


def test_retry_does_not_wait_and_full_compares_all(daemon, cli, src, dst, rsync):
    slow = rsync()
    one = daemon(sync(src, dst, name="www", delay=0.1, rsync={"binary": slow.path}))
    slow.fail(30)
    make(src, "a")
    one.wait_log("next try in [1-9]")
    one.wait_log("next try in [1-9]")
    assert re.match(r"www: \d changes? waits?: waiting, next try in", done(cli, "flush")[0])
    slow.recover()
    assert done(cli, "retry") == ["www: tried again now"]
    done(cli, "wait")
    assert names(dst) == {"a"}
    (dst / "a").unlink()
    assert done(cli, "full") == ["www: full sync"]
    done(cli, "wait")
    assert names(dst) == {"a"} and "www: a full sync by a command" in one.log()
    assert done(cli, "retry") == ["www: nothing has failed"]


def test_full_is_refused_where_nothing_can_begin_again(daemon, cli, src):
    daemon({"name": "ex", "mode": "exec", "source": src, "onCreate": "true"})
    ended = cli("full")
    assert ended.returncode == 255 and ended.stderr == "ex: there is nothing to begin again with: onStartup is not set, or the script has no on_startup\n"


@pytest.mark.parametrize("old", [False, True])
def test_release_lets_what_maxDelete_holds_be_done(daemon, cli, src, dst, old):
    make(src, "a", "b", "c")
    one = daemon(sync(src, dst, name="www", delay=0.1, maxDelete=1))
    assert done(cli, "release", "www") == ["www: maxDelete holds nothing"]
    for path in src.iterdir():
        path.unlink()
    make(src, "d")
    one.wait_status("www", state="held by maxDelete")
    words = ["-release", "www", str(one.conf)] if old else ["release"]
    assert done(cli, *words) == ["www: released: it deletes what it finds, once"]
    one.wait_equal(src, dst)


def test_reload_tells_what_is_wrong_and_of_what_it_warns(daemon, cli, src, dst):
    one = daemon(sync(src, dst, name="www"))
    good = one.conf.read_text()
    one.conf.write_text(good + "nonsense = 1\n")
    ended = cli("reload")
    assert ended.returncode == 255 and "nonsense: unknown key" in ended.stderr and ended.stderr.endswith("the new configuration is refused, the old one stays\n")
    one.conf.write_text(good + "\n[sync again]\nsource = %s\ntarget = %s\n" % (src, dst))
    ended = cli("reload")
    assert ended.returncode == 0 and ended.stdout == "the configuration was read again: 2 syncs\n" and "share the target" in ended.stderr
    ended = cli("reload", "www")
    assert ended.returncode == 255 and "takes no sync, it is for the whole daemon: www" in ended.stderr


def test_a_reload_that_takes_long_is_waited_for_and_the_daemon_answers_meanwhile(daemon, cli, src, dst, tmp_path):
    hold, holds = tmp_path / "hold", tmp_path / "holds"
    command = "while [ -e %s ]; do touch %s; sleep 0.05; done; echo %s" % (hold, holds, dst)
    one = daemon(text="[settings]\nlogfile = {0}/daemon0/log\nstatusFile = {0}/daemon0/status\n[sync www]\nsource = {1}\ntargetsFrom = !{2}\n".format(
        tmp_path, src, command))
    hold.touch()
    reloading = in_background(tmp_path, "reload")
    one.wait_path(holds)
    pausing = in_background(tmp_path, "pause")
    assert len(status(cli)["syncs"]) == 1
    for running, name in (reloading, "reload"), (pausing, "pause"):
        assert running.stderr.readline() == "%s takes a while: the daemon is reading its configuration, or a large tree\n" % name
    assert pausing.poll() is None
    hold.unlink()
    assert reloading.communicate(timeout=LIMIT) == ("the configuration was read again: 1 sync\n", "")
    assert pausing.communicate(timeout=LIMIT) == ("www/%s: paused\n" % dst, "")


def test_a_pass_can_be_asked_how_far_it_is_be_paused_and_be_waited_for(daemon, cli, src, dst, rsync, tmp_path):
    slow = rsync()
    make(src, "a")
    slow.hold()
    conf = tmp_path / "pass.ini"
    conf.write_text("[settings]\nmaxProcesses = 1\n" + "".join(
        "[sync %s]\nsource = %s\ntarget = %s\nrsync.binary = %s\n" % (name, src, dst / name, slow.path) for name in ("one", "two")))
    one = daemon(argv=["-onepass", conf], name="pass")
    one.wait(slow.calls, "the job")
    assert {(sync["state"], sync["in_flight"], sync["queued"]) for sync in status(cli)["syncs"]} == {("starting", 1, 0), ("starting", 0, 1)}
    done(cli, "pause")
    waiting = in_background(tmp_path, "wait")
    assert re.match("(one|two): paused, 1 change waits\n", waiting.stderr.readline())
    slow.release()
    one.wait_log("full sync finished")
    assert one.running() and waiting.poll() is None
    done(cli, "resume")
    assert one.ended() == 0 and names(dst / "one") == names(dst / "two") == {"a"}
    assert waiting.wait(LIMIT) == 0 and not list(Path(str(tmp_path) + ".run").iterdir())


def test_a_target_that_joins_what_is_paused_is_paused(daemon, cli, src, dst, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("%s/1\n" % dst)
    one = daemon(text="[settings]\nlogfile = {0}/daemon0/log\nstatusFile = {0}/daemon0/status\n[sync www]\nsource = {1}\ntargetsFrom = {2}\n"
                 "[sync other]\nsource = {1}\ntarget = {3}/other\n".format(tmp_path, src, hosts, dst))
    done(cli, "pause", "www")
    hosts.write_text("%s/1\n%s/2\n" % (dst, dst))
    done(cli, "reload")
    assert [sync["paused"] for sync in status(cli)["syncs"]] == [False, True, True]
    done(cli, "resume", "www/%s/1" % dst)
    hosts.write_text("%s/1\n%s/2\n%s/3\n" % (dst, dst, dst))
    done(cli, "reload")
    assert [sync["paused"] for sync in status(cli)["syncs"]] == [False, False, True, False]
    assert one.running()


def test_a_reload_may_move_the_socket(daemon, cli, src, dst, tmp_path):
    one = daemon(sync(src, dst, name="www"))
    text = one.conf.read_text()
    for value in tmp_path / "a.sock", tmp_path / "b.sock", "no":
        one.conf.write_text(text.replace("[settings]", "[settings]\ncontrolSocket = %s" % value))
        before = [] if value == tmp_path / "a.sock" else ["-socket", str(tmp_path / "a.sock" if "b" in str(value) else tmp_path / "b.sock")]
        done(cli, "reload", *before)
    assert cli("status").returncode == 255 and not list(tmp_path.glob("*.sock"))
    make(src, "a")
    one.wait_path(dst / "a")


def test_stop_returns_when_the_daemon_has_ended(daemon, cli, src, dst, tmp_path):
    one = daemon(sync(src, dst, name="www", delay=1000), settings={"pidfile": tmp_path / "pid"}, wait=False)
    one.wait_status("www", state="idle")
    make(src, "a")
    assert done(cli, "stop") == ["the daemon has ended"]
    assert one.process.wait(LIMIT) == 0 and not (tmp_path / "pid").exists() and (dst / "a").exists()


def test_who_waits_as_the_daemon_is_stopped_hears_that_all_has_arrived(daemon, cli, src, dst, tmp_path, rsync):
    slow = rsync()
    one = daemon(sync(src, dst, name="www", delay=0.1, rsync={"binary": slow.path}))
    slow.hold()
    make(src, "a")
    one.wait_status("www", in_flight="1")
    make(src, "b")
    with ask.connect(os.fsencode(str(tmp_path) + ".run/daemon.sock")) as waiting:
        stopping = in_background(tmp_path, "stop")
        one.wait_log("a command: sending what is pending")
        waiting.sendall(b'{"do": "wait"}\n')
        slow.release()
        assert json.loads(waiting.makefile().readline()) == {"ok": True, "lines": []}
    assert stopping.wait(LIMIT) == 0 and names(dst) == {"a", "b"}


def test_stop_has_a_limit(daemon, cli, src, dst, rsync):
    slow = rsync()
    one = daemon(sync(src, dst, name="www", delay=0.1, rsync={"binary": slow.path}))
    slow.hold()
    make(src, "a")
    one.wait_status("www", in_flight="1")
    ended = cli("stop", "-timeout", "0.5")
    assert ended.returncode == 1 and ended.stderr == "the daemon has not ended within 0.5 s: it is still sending what is pending\n"
    ended = cli("pause")
    assert ended.returncode == 255 and ended.stderr == "it is ending: a command\n"
    slow.release()
    assert one.ended() == 0


# ---- several daemons -----------------------------------------------------------------------------

def test_of_several_daemons_the_one_is_steered_that_has_the_sync_or_that_is_named(daemon, cli, src, dst, tmp_path):
    for name in "one", "two":
        folder = tmp_path / name
        folder.mkdir()
        (folder / "target").mkdir()
        conf = folder / ("%s.conf" % name)
        conf.write_text("[sync %s]\nsource = %s\ntarget = %s\n[sync both]\nsource = %s\ntarget = %s\n" % (name, src, folder / "target", src, dst / name))
    daemons = [daemon(argv=[tmp_path / name / ("%s.conf" % name)], name=name) for name in ("one", "two")]
    for one in daemons:
        one.wait_log("2 syncs|full sync finished")
    found = json.loads(cli("status", "-json").stdout)
    assert [[one["name"] for one in snapshot["syncs"]] for snapshot in found] == [["both", "one"], ["both", "two"]]
    shown = cli("status").stdout.splitlines()
    assert [line for line in shown if line.endswith(".conf")] == [str(tmp_path / name / ("%s.conf" % name)) for name in ("one", "two")], "which is which"
    assert done(cli, "pause", "two") == ["two: paused"]
    assert done(cli, "resume", "-socket", "two") == ["both: is not paused", "two: goes on, with 0 changes"]
    for words in ["pause"], ["pause", "both"], ["stop"]:
        ended = cli(*words)
        assert ended.returncode == 255 and ended.stdout == "" and ended.stderr.endswith("say which, by -socket: one, two\n")
    done(cli, "wait", "-timeout", str(LIMIT))
    ended = cli("pause", "three")
    assert ended.returncode == 255 and "one: there is no sync three" in ended.stderr
    assert cli("status", "-socket", "three").stderr.startswith("no lsyncd-lite called three runs: looked for ")


def test_a_daemon_that_was_killed_is_told_from_none(daemon, cli, src, dst):
    one = daemon(sync(src, dst, name="www"))
    one.kill(signal.SIGKILL)
    one.process.wait()
    ended = cli("status")
    assert ended.returncode == 255 and ended.stderr.endswith("daemon.sock is left of one that was killed\n")


def test_two_daemons_of_one_configuration_have_two_sockets(daemon, cli, src, dst, tmp_path):
    one = daemon(sync(src, dst, name="www"))
    two = daemon(sync(src, dst, name="www"))  # called as the first
    assert {path.name for path in Path(str(tmp_path) + ".run").iterdir()} == {"daemon.sock", "daemon-%d.sock" % two.pid}
    assert {snapshot["pid"] for snapshot in json.loads(cli("status", "-json").stdout)} == {one.pid, two.pid}


def test_a_socket_that_cannot_be_made_is_a_warning_and_no_more(daemon, cli, src, dst, tmp_path):
    one = daemon(sync(src, dst, name="www"), settings={"controlSocket": tmp_path / "none" / "x.sock"})
    assert "cannot make the control socket" in one.log() and "going on without it" in one.log()
    make(src, "a")
    one.wait_path(dst / "a")


def test_a_daemon_that_does_not_answer_is_told_of(daemon, cli, src, dst, monkeypatch):
    one = daemon(sync(src, dst, name="www"))
    one.kill(signal.SIGSTOP)
    ended = cli("status")
    one.kill(signal.SIGCONT)
    assert ended.returncode == 255 and "no answer within 10.0 s" in ended.stderr and ended.stderr.count("\n") == 1
