"""How it starts, and how it refuses to: one line, exit status 255, no traceback."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness import CHECKOUT, ROOT, Daemon, make, names, processes, run, sync, tree, wait_for


def refused(ended, *words):
    """Assert that a command line was refused in one line that has the words in it."""
    assert ended.returncode == 255, (ended.returncode, ended.stderr)
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert not [word for word in words if str(word) not in ended.stderr], ended.stderr


# ---- detaching ---------------------------------------------------------------------------------

@pytest.fixture
def detached(tmp_path, request):
    """Run the starter and return (what became of it, pid of the daemon or None); the daemon is ended afterwards."""
    pids = []

    def start(*argv, check_pid=True):
        pidfile = tmp_path / "pidfile"
        ended = run(tmp_path, "-pidfile", pidfile, *argv)
        pids.append(int(pidfile.read_text()) if ended.returncode == 0 and check_pid else None)
        return ended, pids[-1]
    yield start
    for pid in filter(None, pids):
        if pid in processes(tmp_path):
            os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not processes(tmp_path), lambda: "nothing left: %s" % processes(tmp_path))


def test_the_starter_returns_when_the_daemon_watches(tmp_path, src, dst, detached):
    make(src, "a")
    ended, pid = detached("-logfile", tmp_path / "log", "-delay", "0.1", "-rsync", src, dst)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    make(src, "b")  # at once: it is being watched
    wait_for(lambda: names(dst) == {"a", "b"}, "both files")
    stat = Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()
    parent, group, session, terminal = (int(stat[index]) for index in (1, 2, 3, 4))
    assert session not in (os.getsid(0), pid) and group == session and terminal == 0 and parent != os.getpid()
    assert os.readlink("/proc/%d/cwd" % pid) == "/"
    assert {os.readlink("/proc/%d/fd/%d" % (pid, number)) for number in (0, 1, 2)} == {"/dev/null"}
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not processes(tmp_path), "its end")
    assert not (tmp_path / "pidfile").exists()


@pytest.mark.parametrize("case", ["missing source", "pidfile"])
def test_the_starter_tells_why_it_failed(case, tmp_path, src, dst, detached):
    make(src, "a")
    if case == "pidfile":
        (tmp_path / "pidfile").mkdir()
    ended, _pid = detached("-logfile", tmp_path / "log", "-rsync", src if case == "pidfile" else tmp_path / "missing", dst)
    assert ended.returncode == 255
    assert str(tmp_path / ("pidfile" if case == "pidfile" else "missing")) in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_what_fails_after_the_starter_returned_is_in_the_log(tmp_path, src, detached):
    make(src, "a")
    ended, _pid = detached("-logfile", tmp_path / "log", "-rsync", src, tmp_path / "no" / "parent", check_pid=False)
    assert ended.returncode == 0  # it watched
    wait_for(lambda: not processes(tmp_path), "its end")
    assert re.search("Error: .*sync1.*insist", (tmp_path / "log").read_text())
    assert not (tmp_path / "pidfile").exists()


# trap 30
def test_relative_paths_are_those_of_the_directory_it_was_started_in(tmp_path, detached):
    make(tmp_path / "src", "a")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/my.ini").write_text(
        "[settings]\nlogfile = log\nstatusFile = status\nstatusInterval = 0\ndelay = 0.1\n"
        "[sync one]\nsource = src\ntarget = one\n[sync two]\nsource = ./src/\ntarget = two\n"
        "[sync direct]\nmode = direct\nsource = src\ntarget = ./direct\n"
        "[sync plain]\nmode = direct\nsource = src\ntarget = conf/../plain\nrsync.binary = /there/is/none\n")
    ended, pid = detached("conf/my.ini")
    assert ended.returncode == 0, ended.stderr
    for name in ("one", "two", "direct", "plain"):
        wait_for(lambda: names(tmp_path / name) == {"a"}, "the target %s" % name)
    wait_for((tmp_path / "status").exists, "the status file")
    assert (tmp_path / "log").exists()
    with open(str(tmp_path / "conf/my.ini"), "a") as file:
        file.write("[sync three]\nsource = src\ntarget = three\n")
    os.kill(pid, signal.SIGHUP)  # from "/" it still finds all of that
    wait_for(lambda: names(tmp_path / "three") == {"a"}, "the target of the new sync")


# ---- sources and targets -----------------------------------------------------------------------

# trap 31
@pytest.mark.parametrize("mode", ["rsync", "direct", "script"])
@pytest.mark.parametrize("target", ["/", "src", "src/", "src/inside", ".", "link", "src/../src", "link/inside", "above", "above/src/d/.."])
def test_a_target_that_would_destroy_the_source_or_the_host_is_refused(target, mode, tmp_path, src, cli):
    """Where ssh or an rsync daemon may lead back to this host cannot be known."""
    make(src, "a", "d/b")
    os.symlink(str(src), str(tmp_path / "link"))
    os.symlink(str(tmp_path), str(tmp_path / "above"))
    if mode == "script":  # a target is any text, until a standard mode is asked for
        (tmp_path / "script.py").write_text("def on_startup(sync): return default.rsync(sync)\n"
                                            "def on_create(event): return default.direct(event)\n")
        target = target if target == "/" else str(tmp_path / target)
        (tmp_path / "conf").write_text("[sync]\nmode = script\nsource = %s\ntarget = %s\nscript = %s/script.py\n" % (
            src, target, tmp_path))
        ended = cli("-nodaemon", tmp_path / "conf")
    else:
        ended = cli("-nodaemon", "-" + mode, src, target)
    refused(ended, src, os.path.realpath(str(tmp_path / target)), "refused")
    assert names(src) == {"a", "d/", "d/b"}


# trap 27
def test_a_missing_source_ends_the_start(tmp_path, dst, cli):
    refused(cli("-nodaemon", "-rsync", tmp_path / "missing", dst), tmp_path / "missing", "insist")


# trap 27
def test_with_insist_a_missing_source_is_waited_for_and_the_others_run(tmp_path, src, dst, daemon):
    make(src, "a")
    running = daemon(sync(tmp_path / "missing" / "mount", tmp_path / "there", name="waits"), sync(src, dst, name="runs"),
                     settings={"insist": True}, wait=False)
    running.wait_equal(src, dst)
    running.wait_status("waits", state="no source")
    make(src, "b")
    running.wait_equal(src, dst)
    make(tmp_path / "missing/mount", "x", "y/z")
    running.wait_equal(tmp_path / "missing/mount", tmp_path / "there")
    make(tmp_path / "missing/mount", "y/later")
    running.wait_equal(tmp_path / "missing/mount", tmp_path / "there")


# trap 32
@pytest.mark.parametrize("delete", [True, "startup"])
def test_an_empty_source_does_not_empty_the_target(delete, src, dst, daemon):
    make(dst, "precious", "d/x")
    running = daemon(sync(src, dst, delete=delete), wait=False)
    assert running.ended() == 255
    assert "allowEmptySource" in running.output()
    assert names(dst) == {"precious", "d/", "d/x"}


# trap 32
@pytest.mark.parametrize("keys, left", [
    ({"allowEmptySource": True}, set()), ({"delete": False}, {"precious"}), ({"delete": "running"}, {"precious"}),
    ({"init": False}, {"precious"})], ids=str)
def test_an_empty_source_is_mirrored_where_nothing_is_lost_or_it_is_meant(keys, left, src, dst, daemon):
    make(dst, "precious")
    running = daemon(sync(src, dst, **keys))
    assert names(dst) == left
    running.fence(src, dst)


def test_an_empty_source_with_an_empty_target_is_mirrored(src, dst, daemon):
    running = daemon(sync(src, dst))
    running.fence(src, dst)


@pytest.mark.parametrize("target", ["no/parent", "127.0.0.1::module", "rsync://127.0.0.1:1/module"])
def test_a_target_that_cannot_be_reached_ends_the_start_in_one_line_that_names_insist(target, tmp_path, src, daemon):
    make(src, "a")
    if "::" in target:  # nothing listens at port 1
        extra = {"_extra": ["--port=1"]}
    else:
        extra = {}
    running = daemon(sync(src, tmp_path / target if target == "no/parent" else target, name="www", rsync=extra),
                     wait=False, options=())
    assert running.ended() == 255
    last = [line for line in running.output().splitlines() if "Error" in line]
    assert [line for line in last if "insist" in line and "www" in line], running.output()


def test_with_insist_a_target_that_cannot_be_reached_is_tried_again(tmp_path, src, daemon):
    make(src, "a")
    running = daemon(sync(src, tmp_path / "no/parent"), options=["-insist"], wait=False)
    running.wait_status("sync1", state=lambda state: state in ("waiting", "failed"), last_error=bool, next_try=bool)
    make(src, "b")
    (tmp_path / "no").mkdir()
    running.wait_equal(src, tmp_path / "no/parent")
    running.wait_status("sync1", state="idle", last_error=None)


def test_an_rsync_that_is_not_there_is_told(tmp_path, src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, rsync={"binary": str(tmp_path / "nothing")}), wait=False, options=())
    assert running.ended() == 255
    assert str(tmp_path / "nothing") in running.output()


# ---- command line ------------------------------------------------------------------------------

@pytest.mark.parametrize("hyphens", ["-", "--"])
def test_version_and_help_print_and_exit_0(hyphens, cli):
    version = cli(hyphens + "version")
    assert version.returncode == 0 and re.match(r"lsyncd-lite \d+\.\d+", version.stdout, re.I) and not version.stderr
    text = cli(hyphens + "help")
    assert text.returncode == 0 and not text.stderr
    for option in ("-rsync", "-delay", "-insist", "-log", "-logfile", "-pidfile", "-nodaemon", "-onepass", "-check",
                   "-test-filter", "-version"):
        assert option in text.stdout, option


@pytest.mark.parametrize("argv, words", [
    (["-nonsense"], ["-nonsense"]),
    (["--nonsense", "x"], ["nonsense"]),
    ([], []),
    (["missing.ini"], ["missing.ini"]),
    (["-rsync", "src"], ["-rsync"]),
    (["-delay"], ["-delay"]),
    (["-delay", "soon", "-rsync", "src", "dst"], ["soon", "delay"]),
    (["-delay", "-1", "-rsync", "src", "dst"], ["-1"]),
    (["one.ini", "two.ini"], ["two.ini"]),
    (["-rsync", "src", ""], ["target"]),
], ids=str)
def test_a_wrong_command_line_is_one_line_and_exit_255(argv, words, tmp_path, src, cli):
    refused(cli("-nodaemon", *argv), *words)


def test_all_errors_of_a_configuration_are_told_at_once(tmp_path, cli):
    conf = tmp_path / "my.ini"
    conf.write_text("[settings]\nstatusInterval = often\nlogfle = x\n\n[sync one]\nsource = /\ndelete = maybe\n")
    for argv in (["-nodaemon", conf], ["-check", conf]):
        ended = cli(*argv)
        assert ended.returncode == 255
        lines = ended.stderr.splitlines()
        for number, key in ((2, "statusInterval"), (3, "logfle"), (7, "delete")):
            assert [line for line in lines if re.search(r"my\.ini:%d: %s: " % (number, key), line)], (number, lines)
        assert any("target" in line for line in lines)
        assert not any("Traceback" in line for line in lines)


INI = """
[settings]
# a comment
logfile = %(here)s/log
statusFile = %(here)s/status
statusInterval = 30
maxProcesses = 3

[sync www]
mode = default.rsync
source = %(here)s/src
target =
    1.0.0.2:/var/www/html
    1.0.0.3:/var/www/html
delay = 15
exclude =
    .git/
    vendor/
    web/node_modules
    bundled/
rsync.archive = yes
rsync.compress = true

[sync limits]
source = %(here)s/src
target = rsync://1.0.0.4/etc
delete = false
rsync.whole_file = false
rsync.sparse = true
rsync.temp_dir = /tmp/
rsync._extra =
    --include=limits.conf
    --exclude=*
"""
JSON = """
{"settings": {"statusInterval": 30},
 "sync": [{"name": "www", "mode": "rsync", "source": "%(here)s/src",
           "target": ["1.0.0.2:/var/www/html", "1.0.0.3:/var/www/html"],
           "exclude": [".git/", "vendor/"], "rsync": {"archive": true, "_extra": ["--no-motd"]}}]}
"""


@pytest.mark.parametrize("text", [INI, JSON], ids=["INI", "JSON"])
def test_check_says_ok_and_starts_nothing(text, tmp_path, src, cli):
    (tmp_path / "my.conf").write_text(text % {"here": tmp_path})
    ended = cli("-check", tmp_path / "my.conf")
    assert ended.returncode == 0 and "OK" in ended.stdout and not ended.stderr
    assert sorted(os.listdir(str(tmp_path))) == ["my.conf", "src"]


def test_test_filter_names_the_rule_that_decides_in_each_sync(tmp_path, src, cli):
    make(src, "d/a.key")
    (tmp_path / "my.ini").write_text(
        "[sync one]\nsource = src\ntarget = one\nexclude =\n    *.key\n    /vendor/\n"
        "[sync two]\nsource = src\ntarget = two\nfilter =\n    + a.key\n    - *.key\n")
    for path in ("d/a.key", src / "d/a.key"):
        ended = cli("-test-filter", path, tmp_path / "my.ini")
        assert ended.returncode == 0 and not ended.stderr
        one, two = ended.stdout.splitlines()
        assert "one" in one and "*.key" in one and "two" in two and "a.key" in two
        assert "exclude" in one.lower() and not re.search("(?i)exclude", two.replace("not excluded", ""))
    below, _two = cli("-test-filter", "vendor/x/y", tmp_path / "my.ini").stdout.splitlines()
    assert "/vendor/" in below and "exclude" in below.lower()


def test_it_runs_as_an_ordinary_user(tmp_path, request):
    if not ROOT or not shutil.which("setpriv"):
        pytest.skip("run as an ordinary user every other test shows it; as root it takes setpriv")
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    for python in (sys.executable, "/usr/bin/python3"):
        if not subprocess.call(become + [python, "-c", "import os; os.listdir(%r)" % str(CHECKOUT)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            break
    else:
        pytest.skip("nobody can neither run %s nor read %s" % (sys.executable, CHECKOUT))
    with tempfile.TemporaryDirectory() as name:  # pytest's own are root's alone
        one = Daemon(Path(name), tmp_path)
        request.node.daemons = [one]
        source, target = make(Path(name) / "src", "a", "d/b"), Path(name) / "dst"
        one.configure(sync(source, target, rsync={"archive": True}))
        for path in [name] + [os.path.join(name, os.fsdecode(path)) for path in tree(name)]:
            os.chown(path, 65534, 65534)
        one.start("-nodaemon", one.conf, prefix=become, python=python)
        try:
            one.wait_equal(source, target, archive=True)
            make(source, "theirs", "d/e/theirs")  # root's files, but readable
            one.wait_equal(source, target)
        finally:
            assert one.stop() == 143


def test_it_runs_in_a_directory_that_it_may_not_enter(tmp_path, src, dst, daemon, obeys_modes):
    make(src, "a")
    shut = tmp_path / "shut"
    shut.mkdir()
    running = daemon(sync(src, dst), prefix=(*obeys_modes, "sh", "-c", 'cd "$0" && chmod 0 . && exec "$@"', str(shut)))
    try:
        running.wait_equal(src, dst)
        make(src, "b")
        running.wait_equal(src, dst)
        running.kill(signal.SIGHUP)
        running.wait_log("configuration read again")
    finally:
        shut.chmod(0o700)


def test_onepass_gives_every_sync_its_pass_and_fails_if_one_did(src, dst, daemon, tmp_path):
    make(src, "a", "d/b")
    one = daemon(sync(src, "rsync://127.0.0.1:1/data", "down"), sync(src, dst, "up"), settings={"onepass": True}, wait=False)
    assert one.ended() == 255
    assert tree(src) == tree(dst)
    assert "down: rsync ended with 10" in one.log() and "down: not everything is mirrored" in one.log()
