"""What a daemon is at, as people see it: once, again and again on a terminal, and from the status file where it does not answer."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from terminal import Terminal

from harness import CHECKOUT, ROOT, environment, make, sync, wait_for

class Watch:
    """`lsyncd-lite status -watch` on a terminal of its own."""

    def __init__(self, folder, *argv, rows=40, columns=110):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.terminal = Terminal(rows, columns)
        environ = dict(environment(folder), TERM="xterm", LC_ALL="C.UTF-8")
        self.process = subprocess.Popen([sys.executable, "-m", "lsyncd_lite", "status", "-watch", *argv], cwd=str(folder), stdin=self.slave, stdout=self.slave,
                                        stderr=subprocess.PIPE, env=environ, start_new_session=True)

    def read(self):
        """Return what is on the screen."""
        while select.select([self.master], [], [], 0.02)[0]:
            self.terminal.feed(os.read(self.master, 65536).decode())
        return "\n".join(self.terminal.lines())

    def wait(self, pattern):
        """Wait for something on the screen; return the match."""
        return wait_for(lambda: re.search(pattern, self.read()), lambda: "%s in\n%s" % (pattern, self.read()))

    def quit(self):
        os.write(self.master, b"q")
        wait_for(lambda: [self.read(), self.process.poll()][1] is not None, "its end")
        assert self.process.returncode == 0 and self.process.stderr.read() == b""
        assert termios.tcgetattr(self.slave) == self.before and not self.terminal.states["1049"]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def watch(tmp_path):
    """Start `status -watch`."""
    started = []

    def start(*argv, **options):
        started.append(Watch(tmp_path, *argv, **options))
        return started[-1]
    yield start
    for one in started:
        one.close()


def test_a_table_without_colours_where_there_is_no_terminal(daemon, cli, src, dst, rsync):
    binary = rsync()
    binary.fail(12)
    one = daemon(sync(src, dst, name="www"), sync(src, str(dst) + "2", name="bad", rsync={"binary": binary.path}), options=("-insist",), wait=False)
    one.wait_status("www", state="idle")
    one.wait(lambda: "error: " in cli("status").stdout, "an error in the table")
    lines = cli("status").stdout.split("\n")
    assert re.fullmatch(r"lsyncd-lite \S+, pid %d, up for \d+ s, watches 1.*" % one.pid, lines[0]) and lines[1:3] == ["2 syncs: 1 waiting, 1 idle", ""]
    assert lines[3].startswith("SYNC  STATE    SOURCE → TARGET") and lines[4].startswith("bad   waiting  %s → %s2/" % (src, dst)) and lines[5] == "  error: rsync ended with 12: told to fail with 12"
    assert lines[7].startswith("www   idle     %s → %s/ " % (src, dst)) and lines[8:] == [""]
    assert cli("status", "www").stdout.split("\n")[1] == "1 sync: idle"


def test_queued_paths_of_any_name_are_named(daemon, cli, src, dst):
    one = daemon(sync(src, dst, name="www", delay=1000))
    make(src, "a", "b\x1b[2J\n")
    one.wait_status("www", delays=2)
    lines = cli("status", "-v").stdout.split("\n")
    assert sorted(lines[5:7]) == ["    a", "    b\\x1b[2J\\n"] and "\x1b" not in "".join(lines)


def test_the_status_file_is_read_where_it_is_named(daemon, cli, src, dst):
    one = daemon(sync(src, [str(dst), str(dst) + "2"], name="ab"))
    asked = json.loads(cli("status", "-json").stdout)
    one.stop()
    ended = cli("status", "-s", one.statusfile)
    lines = ended.stdout.split("\n")
    assert ended.returncode == 0 and re.fullmatch(r"status file %s, written \d+ s ago" % one.statusfile, lines[0]) and lines[2:4] == ["stopping: signal 15", "2 syncs: all idle"]
    ended = cli("status", "-s", one.statusfile, "-json", "ab/2")
    assert ended.stderr == ""
    read = json.loads(ended.stdout)
    assert set(asked["syncs"][0]) <= set(read["syncs"][0])  # what the file does not tell is there as unknown
    same = ("name", "section", "mode", "source", "target", "state", "queued", "in_flight", "held", "paused")
    assert [[facts[key] for key in same] for facts in read["syncs"]] == [[facts[key] for key in same] for facts in asked["syncs"] if facts["name"] == "ab/2"]
    assert (read["pid"], read["version"], read["configuration"], read["watches"], read["stopping"]) == (one.pid, asked["version"], asked["configuration"], 0, "signal 15")
    assert (int(read["started"]), read["file"]["is_left"]) == (int(asked["started"]), False)
    assert cli("status", "-s", one.statusfile, "nope").stderr == "there is no sync nope in %s; there are: ab/1, ab/2\n" % one.statusfile
    for place in one.conf, one.folder / "nothing", one.folder:
        ended = cli("status", "-s", place)
        assert ended.returncode == 255 and re.fullmatch("cannot read the status file %s: .*\n" % place, ended.stderr), ended


@pytest.mark.skipif(not shutil.which("lsyncd"), reason="lsyncd is not installed")
def test_the_status_file_of_lsyncd_is_read(cli, tmp_path, src, dst):
    (tmp_path / "lsyncd.conf").write_text('settings{statusFile="%s/status", statusInterval=1, nodaemon=true}\nsync{default.rsync, source="%s", target="%s", delay=1000}\n' % (tmp_path, src, dst))
    one = subprocess.Popen(["lsyncd", str(tmp_path / "lsyncd.conf")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(lambda: "Inotify watching" in cli("status", "-s", tmp_path / "status").stdout or (tmp_path / "status").exists(), "a status file")
        wait_for(lambda: ": idle" in cli("status", "-s", tmp_path / "status").stdout, "an idle sync")
        make(src, "file")
        lines = wait_for(lambda: [line for line in cli("status", "-v", "-s", tmp_path / "status").stdout.split("\n") if line == "    file"], "a queued path")
        assert len(lines) == 2  # Create and Modify
    finally:
        os.killpg(one.pid, signal.SIGKILL)
        one.wait()


@pytest.mark.skipif(not ROOT or os.path.exists("/etc/lsyncd-lite"), reason="needs /etc/lsyncd-lite")
def test_the_status_file_of_the_service_is_read_where_nobody_answers(daemon, cli, src, dst):
    one = daemon(sync(src, dst, name="www"))
    one.stop()
    os.mkdir("/etc/lsyncd-lite", 0o755)
    try:
        shutil.copy(str(one.conf), "/etc/lsyncd-lite/lsyncd-lite.conf")
        ended = cli("status")
        assert ended.returncode == 3 and re.match("no daemon answers: status file %s, written \\d+ s ago\n" % one.statusfile, ended.stdout) and ended.stderr == ""
        os.utime(str(one.statusfile), (time.time() - 300,) * 2)
        ended = cli("status", "-json")
        assert ended.returncode == 3 and json.loads(ended.stdout)["file"]["is_stale"]
        assert "written 5 min ago (stale)" in cli("status", "www").stdout
        one.statusfile.unlink()
        ended = cli("status")
        assert ended.returncode == 255 and ended.stdout == "" and ended.stderr.startswith("no lsyncd-lite runs")
    finally:
        shutil.rmtree("/etc/lsyncd-lite")


def test_it_is_redrawn_as_things_change_and_survives_the_daemon(daemon, watch, src, dst):
    one = daemon(sync(src, dst, name="www", delay=1))
    shown = watch()
    shown.wait("www +idle")
    make(src, "f")
    shown.wait("www .* 1 +0 ")
    one.kill(signal.SIGSTOP)
    shown.wait("no answer for [0-9]+ s")
    one.kill(signal.SIGCONT)
    shown.wait("\\Alsyncd-lite .* pid %d" % one.pid)
    one.stop()
    shown.wait("no answer for [0-9]+ s: no lsyncd-lite runs")
    one.start("-nodaemon", one.conf)
    shown.wait("pid %d" % one.pid)
    shown.quit()


def test_a_bar_grows_while_the_first_full_sync_runs(daemon, cli, watch, src, dst):
    for number in range(25):
        (src / ("f%d" % number)).write_bytes(os.urandom(200000))
    one = daemon(sync(src, dst, name="www", rsync={"bwlimit": "1000"}), wait=False)
    one.wait(lambda: cli("status").returncode == 0, "a daemon that can be asked")
    shown = watch()
    first = int(shown.wait("█.* ([0-9]+) % ").group(1))
    assert first < 95
    shown.wait("[0-9.]+ [KM]iB/s +[0-9]+:[0-9][0-9] left")
    wait_for(lambda: any(int(number) > first + 5 for number in re.findall(" ([0-9]+) %  ", shown.read())), "a bar that grows")
    shown.wait("www +idle")
    assert "█" not in shown.read()
    shown.quit()


@pytest.mark.parametrize("argv, words", [
    (("-watch",), "option -watch: the standard output is no terminal"), (("-watch", "-json"), "option -watch: not with -json")])
def test_what_cannot_be_watched_is_told(cli, argv, words):
    ended = cli("status", *argv)
    assert (ended.returncode, ended.stdout, ended.stderr) == (255, "", words + "\n")
