"""A text on a real pseudo-terminal, shown again and again: what is on it, what keys and signals do, and that it is left as it was."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
import fcntl
import struct
from pathlib import Path

import pytest

from terminal import Terminal

from lsyncd_lite.report.screen import _same

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 30

PROGRAM = """
import os, sys, time
sys.path.insert(0, %r)
from lsyncd_lite.errors import Fatal
from lsyncd_lite.report import screen
def fetch():
    text = open("text").read()
    if text.startswith("hang"):
        time.sleep(1000)
    if text.startswith("defect"):
        raise ZeroDivisionError(text)
    if text.startswith("fatal"):
        raise Fatal(text.strip())
    return text
screen.INTERVAL, screen.SILENCE = 0.1, 0.3
try:
    code = screen.watch(fetch, lambda text, columns: "".join((line if "\\x1b" in line else line[:columns]) + "\\n" for line in text.split("\\n")[:-1]))
except Fatal as error:
    code = str(error)
sys.exit(code)
""" % str(ROOT)


# What a shell does: the program is a job of its own, in the foreground.
SHELL = """
import os, signal, sys, time
pid = os.fork()
if not pid:
    os.setpgid(0, 0)
    if "SHELL_STAYS" not in os.environ:
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(0, os.getpgrp())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "program.py"])
with open("new pid", "w") as file:
    file.write(str(pid))
os.rename("new pid", "pid")
while "SHELL_STAYS" in os.environ and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
    if os.path.exists("fg"):
        os.tcsetpgrp(0, pid)
        os.remove("fg")
    time.sleep(0.02)
status = os.waitpid(pid, 0)[1]
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)
"""


class Run:
    """The program on a terminal of its own."""

    def __init__(self, folder, rows=6, columns=30, program=PROGRAM, stdin_is_terminal=True, has_shell=False, **environ):
        self.text = folder / "text"
        (folder / "program.py").write_text(program)
        self.master, self.slave = pty.openpty()
        self.terminal = Terminal(rows, columns)
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        environ = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environ}
        for name in "COLUMNS", "LINES":
            environ.pop(name, None)
        self.process = subprocess.Popen([sys.executable, *(["-c", SHELL] if has_shell else ["program.py"])], cwd=str(folder), stdin=self.slave if stdin_is_terminal else subprocess.DEVNULL, stdout=self.slave, stderr=subprocess.PIPE,
                                        env=environ, preexec_fn=self.own)

    def own(self):
        os.setsid()
        fcntl.ioctl(1, termios.TIOCSCTTY, 0)

    def resize(self, rows, columns):
        self.terminal.rows, self.terminal.columns = rows, columns
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def show(self, text):
        new = self.text.with_name("new")
        new.write_text(text)
        os.rename(str(new), str(self.text))

    def read(self, seconds=0.05):
        while select.select([self.master], [], [], seconds)[0]:
            try:
                self.terminal.feed(os.read(self.master, 65536).decode())
            except OSError:
                return
            seconds = 0

    def wait(self, condition, what="that screen"):
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline, "%s in vain; there is\n%s" % (what, "\n".join(self.terminal.lines()))
            self.read()

    def wait_lines(self, *lines):
        self.wait(lambda: self.terminal.lines()[:len(lines)] == list(lines) and not any(self.terminal.lines()[len(lines):]), lines)

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self, status):
        self.wait(lambda: self.process.poll() is not None, "its end")
        assert (self.process.returncode, self.process.stderr.read().decode()) == status if isinstance(status, tuple) else self.process.returncode == status
        self.read()
        self.is_restored()

    def is_restored(self):
        assert self.terminal.states == {"1049": False, "25": True, "7": True} and termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        for fd in self.master, self.slave:
            try:
                os.close(fd)
            except OSError:  # the test has
                pass


@pytest.fixture
def run(tmp_path):
    runs = []

    def start(text, **options):
        (tmp_path / "text").write_text(text)
        runs.append(Run(tmp_path, **options))
        return runs[-1]
    yield start
    for one in runs:
        one.close()


TEN = "".join("line %d\n" % number for number in range(10))


def test_it_is_shown_anew_as_it_changes_until_q_is_typed(run):
    one = run("hello\nworld\n")
    one.wait_lines("hello", "world")
    assert one.terminal.states == {"1049": True, "25": False, "7": False}
    one.show("hello\nearth\nand moon\n")
    one.wait_lines("hello", "earth", "and moon")
    one.show("x\n")
    one.wait_lines("x")
    one.type("q")
    one.end((0, ""))


@pytest.mark.parametrize("key", ["Q", "\x03", "\x04", "\x1b[Zq", "\x1bq"])
def test_other_keys_end_it_too(run, key):
    one = run("x\n")
    one.wait_lines("x")
    one.type(key)
    one.end((0, ""))


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0), (signal.SIGQUIT, 131)])
def test_a_signal_ends_it_and_the_terminal_is_as_before(run, number, status):
    one = run("x\n")
    one.wait_lines("x")
    one.process.send_signal(number)
    one.end((status, ""))


def test_only_lines_that_have_changed_are_written(run):
    one = run("a" * 25 + "\n" + TEN[:35])
    one.wait_lines("a" * 25, *TEN[:34].split("\n"))
    before = one.terminal.traffic
    one.show("a" * 25 + "\n" + TEN[:35].replace("line 2", "LINE 2"))
    one.wait(lambda: "LINE 2" in one.terminal.lines())
    for _ in range(5):
        one.read(0.1)
    assert 0 < one.terminal.traffic - before < 25


@pytest.mark.parametrize("line, old, start", [
    ("abc", "abd", 2), ("abc", "", 0), ("", "abc", 0), ("abc", "abc", 3), ("ab", "abc", 2), ("\x1b[31mab\x1b[m c", "\x1b[31mab\x1b[m d", 11), ("x\x1b[31mab\x1b[m", "x\x1b[31mac\x1b[m", 1),
    ("x\x1b[31mab\x1b[m", "x\x1b[32mab\x1b[m", 1), ("x\x1b[31mab\x1b[m", "xy", 1), ("\x1b[31ma\x1b[m", "\x1b[31mab\x1b[m", 0), ("e\u0301", "e\u0302", 0), ("中a", "中b", 1)])
def test_a_line_is_written_from_where_it_differs(line, old, start):
    assert _same(line, old) == start


def test_what_is_drawn_line_by_line_is_what_is_to_be_drawn(run):
    one = run("\x1b[31mred\x1b[m x\n", columns=12)
    for text in "\x1b[31mred\x1b[m y", "\x1b[32mred\x1b[m y", "red y", "re\x1b[32md y\x1b[m", "re", "e\x1b[1me\x1b[m 123456789", "e\x1b[1me\x1b[m 12345678":
        one.show(text + "\n")
        one.wait_lines(re.sub("\x1b\\[[0-9]*m", "", text))
    one.type("q")
    one.end((0, ""))


def test_a_new_size_is_drawn_at_once(run):
    one = run(TEN)
    one.wait_lines(*TEN.split("\n")[:5], "lines 1 to 5 of 10; arrows, P.")
    one.resize(12, 4)
    one.terminal.wipe()
    one.wait_lines(*[line[:4] for line in TEN.split("\n")[:10]])


def test_more_lines_than_the_terminal_has_are_scrolled(run):
    one = run(TEN, columns=70)

    def at(top):
        one.wait_lines(*TEN.split("\n")[top:top + 5], "lines %d to %d of 10; arrows, Page Up and Page Down scroll, q ends" % (top + 1, top + 5))
    at(0)
    for keys, top in ("j", 1), ("\x1b[B", 2), ("\x1bOB", 3), ("k", 2), ("\x1b[A", 1), ("\x1b[6~", 5), ("\x1b[5~", 0), (" ", 5), ("b", 0), ("G", 5), ("g", 0), ("\x1b[F", 5), ("\x1b[H", 0), ("jjjjjjjjjjjj", 5), ("kkk", 2):
        one.type(keys)
        at(top)
    for part in "\x1b", "[", "5", "~":  # a slow line
        one.type(part)
        one.read(0.05)
    at(0)
    one.type("G")
    at(5)
    one.show(TEN[:21])
    one.wait_lines("line 0", "line 1", "line 2")


def test_a_stop_gives_the_terminal_back_and_a_continuation_takes_it_again(run, tmp_path):
    one = run("x\n", has_shell=True)
    one.wait_lines("x")
    pid = int((tmp_path / "pid").read_text())
    for stop in (lambda: one.type("\x1a")), (lambda: os.kill(pid, signal.SIGTSTP)):
        stop()
        one.wait(lambda: Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0] == "T", "a stop")
        one.read()
        one.is_restored()
        one.terminal.wipe()
        os.kill(pid, signal.SIGCONT)
        one.wait_lines("x")
        assert one.terminal.states["1049"] and termios.tcgetattr(one.slave)[3] & termios.ICANON == 0
    os.kill(pid, signal.SIGSTOP)
    one.terminal.wipe()
    os.kill(pid, signal.SIGCONT)
    one.wait_lines("x")
    one.type("q")
    one.end((0, ""))


def test_in_the_background_it_stops_and_goes_on_in_the_foreground_or_ends(run, tmp_path):
    """As after `status -watch &`, and as timeout(1) starts what it starts."""
    for ending in False, True:
        one = run("x\n", has_shell=True, SHELL_STAYS="1")
        one.wait((tmp_path / "pid").exists, "a PID")
        pid = int((tmp_path / "pid").read_text())
        one.wait(lambda: Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0] == "T", "a stop")
        if ending:
            os.kill(pid, signal.SIGTERM)
        else:
            (tmp_path / "fg").write_text("")
            one.wait(lambda: not (tmp_path / "fg").exists(), "the foreground")
        os.kill(pid, signal.SIGCONT)
        if not ending:
            one.wait_lines("x")
            one.type("q")
        one.end((128 + signal.SIGTERM if ending else 0, ""))
        assert any(one.terminal.lines()) != ending
        (tmp_path / "pid").unlink()


def test_that_there_is_no_answer_is_seen_wherever_one_has_scrolled_to(run):
    one = run(TEN, columns=70)
    one.wait(lambda: one.terminal.lines()[0] == "line 0")
    one.type("G")
    one.wait(lambda: one.terminal.lines()[0] == "line 5")
    one.show("fatal: it is gone\n")
    one.wait(lambda: one.terminal.lines()[0].endswith("it is gone"))
    one.type("G")
    one.wait(lambda: one.terminal.lines()[1:5] == ["line 6", "line 7", "line 8", "line 9"])
    assert one.terminal.lines()[5].startswith("lines 7 to 10 of 10")


@pytest.mark.parametrize("trouble", ["fatal: it is gone\n", "hang\n"])
def test_who_does_not_answer_is_told_of_and_asked_again(run, trouble):
    one = run("x\n", columns=70)
    one.wait_lines("x")
    one.show(trouble)
    one.wait(lambda: re.match("no answer for \\d+ s%s" % (": fatal: it is gone$" if trouble[0] == "f" else "$"), one.terminal.lines()[0]))
    assert one.terminal.lines()[1:3] == ["x", ""]
    if trouble[0] == "f":
        one.show("back\n")
        one.wait_lines("back")
    one.type("q")
    one.end((0, ""))


def test_where_the_first_answer_fails_nothing_is_drawn(run):
    one = run("fatal: nobody\n")
    one.wait(lambda: one.process.poll() is not None)
    one.end((1, "fatal: nobody\n"))
    assert one.terminal.traffic == 0


def test_a_defect_is_raised_when_the_terminal_is_as_before(run):
    one = run("x\n")
    one.wait_lines("x")
    one.show("defect\n")
    one.wait(lambda: one.process.poll() is not None)
    assert one.process.stderr.read().endswith(b"ZeroDivisionError: defect\n\n")
    one.end(1)


def test_without_keys_it_is_shown_all_the_same(run):
    one = run("x\n", stdin_is_terminal=False)
    one.wait_lines("x")
    one.show("y\n")
    one.wait_lines("y")
    one.process.send_signal(signal.SIGINT)
    one.end((0, ""))


def test_a_terminal_that_is_closed_ends_it_without_a_word(run):
    one = run("x\n")
    one.wait_lines("x")
    os.close(one.slave)
    os.close(one.master)
    assert one.process.wait(LIMIT) == 129 and one.process.stderr.read() == b""


@pytest.mark.parametrize("rows, columns", [(1, 1), (2, 3), (1, 80)])
def test_the_smallest_terminals(run, rows, columns):
    one = run(TEN, rows=rows, columns=columns)
    one.wait(lambda: one.terminal.lines()[0] == "line 0"[:columns].rstrip())
    one.type("jq")
    one.end((0, ""))


@pytest.mark.parametrize("environ, expected", [
    ({}, "True False None"), ({"NO_COLOR": "1"}, "False False None"), ({"NO_COLOR": ""}, "True False None"), ({"TERM": "dumb"}, "False False TERM=dumb knows no more than lines"), ({"LC_ALL": "C"}, "True True None"),
    ({"LC_ALL": "", "LC_CTYPE": "de_DE.utf8", "LANG": "C"}, "True False None"), ({"LC_ALL": "de_DE.ISO-8859-1", "LANG": "C.UTF-8"}, "True True None")])
def test_what_the_terminal_can_show(run, environ, expected):
    one = run("", columns=70, program="import sys\nsys.path.insert(0, %r)\nfrom lsyncd_lite.report import screen\nprint(screen.has_colours(), screen.is_ascii(), screen.lacks())\n" % str(ROOT), **environ)
    one.wait_lines(expected)


def test_where_there_is_no_terminal_there_are_no_colours_and_no_width():
    code = "import sys; sys.path.insert(0, %r); from lsyncd_lite.report import screen; print(screen.has_colours(), screen.columns(), screen.lacks())" % str(ROOT)
    assert subprocess.check_output([sys.executable, "-c", code], env=dict(os.environ, TERM="xterm", COLUMNS="20")) == b"False None the standard output is no terminal\n"
