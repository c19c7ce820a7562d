"""A configuration of several files, with variables and other files in its values: the daemon, HUP, -check and the others agree."""

import os
import signal

import pytest

from harness import ROOT, make, names, run

SECRET = "s3cr3t-Xy"


@pytest.fixture
def etc(tmp_path):
    """A directory with a configuration that is followed by others, and nothing in it yet."""
    path = tmp_path / "etc"
    (path / "conf.d").mkdir(parents=True)
    (path / "lsyncd-lite.conf").write_text("# nothing yet\n")
    return path


@pytest.fixture
def begin(daemon, tmp_path, etc, monkeypatch):
    """Start a daemon with variables in its environment; settings of its own stand in the first file of conf.d."""
    def begin(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        status = tmp_path / "daemon0" / "status"
        (etc / "conf.d" / "00-settings.conf").write_text("[settings]\nstatusFile = %s\nstatusInterval = 0.1\ndelay = ${LSYNCD_DELAY}\n" % status)
        monkeypatch.setenv("LSYNCD_DELAY", "0.2")
        running = daemon(argv=["-log", "all", etc / "lsyncd-lite.conf"])
        running.wait_idle()
        return running
    return begin


def test_what_variables_and_files_stand_for_is_mirrored_and_hup_reads_the_files_again(etc, begin, src, tmp_path):
    make(src, "a", "b.tmp")
    targets = etc / "targets"
    targets.write_text("%s\n%s\n" % (tmp_path / "one", tmp_path / "two"))
    (etc / "conf.d" / "10.conf").write_text("[sync ${HOST}]\nsource = ${TOP}/src\ntarget = ${file:%s}\nexclude = ${PATTERNS}\nrsync.links = ${LINKS}\n" % targets)
    running = begin(HOST="web1", TOP=src.parent, PATTERNS="*.tmp\n*.bak", LINKS="no")
    assert sorted(running.status()) == ["web1/1", "web1/2"]
    make(src, "c", "c.bak")
    for name in "one", "two":
        running.fence(src, tmp_path / name)
        assert {"a", "c"} <= names(tmp_path / name) and not {"b.tmp", "c.bak"} & names(tmp_path / name)

    targets.write_text("%s\n%s\n" % (tmp_path / "one", tmp_path / "three"))
    running.kill(signal.SIGHUP)
    running.wait(lambda: {"a", "c"} <= names(tmp_path / "three"), "the new target")
    running.wait_idle()
    make(src, "later")
    running.fence(src, tmp_path / "one")
    running.fence(src, tmp_path / "three")
    assert "later" in names(tmp_path / "one") and "later" not in names(tmp_path / "two")
    assert running.stop() == 143


def test_hup_takes_what_has_come_into_the_directory_and_lets_go_of_what_has_left(etc, begin, src, tmp_path):
    make(src, "a")
    text = "[sync %s]\nsource = %s\ntarget = %s\n"
    first, second = etc / "conf.d" / "10-first.conf", etc / "conf.d" / "20-second.conf"
    first.write_text(text % ("first", src, tmp_path / "first"))
    running = begin()
    second.write_text(text % ("second", src, tmp_path / "second"))
    running.kill(signal.SIGHUP)
    running.wait(lambda: sorted(running.status()) == ["first", "second"], "both syncs in the status")
    running.wait_equal(src, tmp_path / "second")
    first.unlink()
    running.kill(signal.SIGHUP)
    running.wait(lambda: sorted(running.status()) == ["second"], "one sync in the status")
    make(src, "b")
    running.fence(src, tmp_path / "second")
    assert "b" not in names(tmp_path / "first")


@pytest.mark.parametrize("fault, words", [
    ("variable", "10.conf:3: target: ${NOPE}: the environment has no variable of this name"), ("file", "10.conf:3: target: ${file:/nope}: cannot read the file: No such file"),
    ("value", "10.conf:3: target: ${WORD}:/x is on another host"), ("twice", "20.conf:1: name: a is taken by the sync of "), ("all gone", "nothing to do: no sync is configured")])
def test_what_is_wrong_in_one_of_the_files_is_refused_and_the_old_one_stays(etc, begin, src, dst, fault, words):
    make(src, "a")
    good = "[sync a]\nsource = %s\ntarget = %s\n" % (src, dst)
    (etc / "conf.d" / "10.conf").write_text(good)
    running = begin(WORD=SECRET)
    if fault == "twice":
        (etc / "conf.d" / "20.conf").write_text(good)
    elif fault == "all gone":
        (etc / "conf.d" / "10.conf").unlink()
    else:
        bad = {"variable": "${NOPE}", "file": "${file:/nope}", "value": "${WORD}:/x\nmode = direct"}[fault]
        (etc / "conf.d" / "10.conf").write_text("[sync a]\nsource = %s\ntarget = %s\n" % (src, bad))
    running.kill(signal.SIGHUP)
    running.wait(lambda: words in running.log(), lambda: "%r in\n%s" % (words, running.log()))
    assert SECRET not in running.log()
    checked = run(etc, "-check", etc / "lsyncd-lite.conf")
    assert checked.returncode == (1 if fault == "all gone" else 255) and words in checked.stderr and SECRET not in checked.stderr
    make(src, "b")
    running.wait_equal(src, dst)


def test_check_test_filter_and_release_read_all_of_the_files(etc, src, dst, begin):
    make(src, "a")
    (etc / "conf.d" / "10.conf").write_text("[sync a]\nsource = %s\ntarget = %s\nexclude = *.${SUFFIX}\n" % (src, dst))
    running = begin(SUFFIX="tmp")
    main = etc / "lsyncd-lite.conf"
    main.write_text("[settings]\npidfile = %s\n" % (etc / "pid"))
    running.kill(signal.SIGHUP)
    checked = run(etc, "-check", main)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "OK\n", "")
    assert run(etc, "-test-filter", "x.tmp", main).stdout == "a: x.tmp: excluded: - *.tmp (%s/conf.d/10.conf:4: exclude)\n" % etc
    told = run(etc, "-release", "b", main)
    assert told.returncode == 255 and "there is no sync b; allowed: all, a" in told.stderr
    assert run(etc, "-check", etc / "conf.d" / "00-settings.conf").returncode == 1


def test_an_installation_without_a_sync_is_right_and_does_not_start(etc, tmp_path):
    main = etc / "lsyncd-lite.conf"
    checked = run(etc, "-check", main)
    assert (checked.returncode, checked.stdout) == (1, "") and checked.stderr.startswith("nothing to do: ")
    started = run(etc, "-nodaemon", main)
    assert (started.returncode, started.stderr) == (255, checked.stderr)


@pytest.mark.skipif(not ROOT, reason="an ordinary user is only warned")
def test_root_takes_no_value_from_a_file_that_others_can_write(etc, src, dst, begin):
    make(src, "a")
    value = etc / "value"
    value.write_text("%s\n" % dst)
    (etc / "conf.d" / "10.conf").write_text("[sync a]\nsource = %s\ntarget = ${file:%s}\n" % (src, value))
    running = begin()
    value.chmod(0o666)
    running.kill(signal.SIGHUP)
    running.wait_log(r"10\.conf:3: target: \$\{file:.*\}: .*/value: can be written by everybody .*: refused")
    os.chmod(str(etc / "conf.d"), 0o777)
    checked = run(etc, "-check", etc / "lsyncd-lite.conf")
    assert checked.returncode == 255 and "directory %s can be written by everybody" % (etc / "conf.d") in checked.stderr
    make(src, "b")
    running.wait_equal(src, dst)
