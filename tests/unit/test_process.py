"""Children: what they get, what is kept of what they print, how they are ended and reaped."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace as namespace

import pytest

from lsyncd_lite.mirror.account import Account
from lsyncd_lite.mirror.job import answer
from lsyncd_lite.system.loop import Loop
from lsyncd_lite.system.process import Children, argv_of, environment, seal


class Family:
    """Children, with a loop that runs until enough of them have ended."""

    def __init__(self):
        self.loop = Loop([signal.SIGCHLD])
        self.lines = []
        self.children = Children(self.loop, lambda tag, line: self.lines.append((tag, line)))

    def until(self, condition):
        """Let the loop run until a condition holds."""
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "it does not come"
            self.loop.wait(time.monotonic() + 0.1)

    def ended(self, count=1):
        """Wait for children to end; return {tag: (status, lines)}."""
        found = {}

        def enough():
            found.update((tag, (status, lines)) for tag, status, lines in self.children.reap())
            return len(found) >= count

        self.until(enough)
        return found

    def sh(self, script, stdin=None, tag="x"):
        self.children.spawn(tag, [b"sh", b"-c", script], stdin)

    def run(self, script, stdin=None):
        """Run a script to its end; return (status, lines)."""
        self.sh(script, stdin)
        return self.ended()["x"]


@pytest.fixture
def family():
    before = signal.getsignal(signal.SIGCHLD)
    made = Family()
    yield made
    made.children.kill(signal.SIGKILL)
    if len(made.children):
        made.ended(len(made.children))
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, before)


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


# ---- what is kept of what they print -----------------------------------------------------------

@pytest.mark.parametrize("count, kept", [
    (0, []), (1, [1]), (49, range(1, 50)), (50, range(1, 51)), (51, [*range(1, 26), *range(27, 52)]), (52, [*range(1, 26), *range(28, 53)]),
    (5000, [*range(1, 26), *range(4976, 5001)])])
def test_the_first_lines_and_the_last_are_kept_and_all_are_told(family, count, kept):
    # rsync says why it ends after a line for each file that has vanished
    status, lines = family.run(b"i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; done" % count)
    assert status == 0 and [int(line) for line in lines] == list(kept)
    family.until(lambda: len(family.lines) == count)
    assert [int(line) for _tag, line in family.lines] == list(range(1, count + 1))


# ---- what they get -----------------------------------------------------------------------------

MEANT_FOR_US = """NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID LISTEN_FDS LISTEN_PID LISTEN_FDNAMES STATE_DIRECTORY RUNTIME_DIRECTORY LOGS_DIRECTORY
    CACHE_DIRECTORY CONFIGURATION_DIRECTORY CREDENTIALS_DIRECTORY JOURNAL_STREAM INVOCATION_ID MAINPID SYSTEMD_EXEC_PID MEMORY_PRESSURE_WATCH
    MEMORY_PRESSURE_WRITE LSYNCD_SYNC LSYNCD_EXIT LSYNCD_ LSYNCD_OF_MINE""".split()
FOR_ALL = "PATH HOME RSYNC_RSH RSYNC_PASSWORD SSH_AUTH_SOCK XDG_RUNTIME_DIR MY_NOTIFY_SOCKET LISTEN STATE_DIRECTORY_2 NOLSYNCD_X".split()


def test_what_was_meant_for_us_stays_with_us(family, monkeypatch):
    for name in MEANT_FOR_US + FOR_ALL[2:]:
        monkeypatch.setenv(name, "a\xff line")
    _status, lines = family.run(b"env")
    names = {line.partition(b"=")[0].decode() for line in lines}
    assert not names & set(MEANT_FOR_US) and names >= set(FOR_ALL)
    assert set(MEANT_FOR_US) <= set(os.environ)


def test_what_a_job_brings_its_child_gets(family, monkeypatch):
    monkeypatch.setenv("LSYNCD_SYNC", "somebody else's")
    monkeypatch.setenv("MINE", "x")
    assert environment({b"LSYNCD_SYNC": b"www", b"MINE": b"y"}).items() >= {(b"LSYNCD_SYNC", b"www"), (b"MINE", b"y")}
    family.children.spawn("x", [b"sh", b"-c", b'echo "$LSYNCD_SYNC $LSYNCD_EXIT"'], None, {b"LSYNCD_EXIT": b"7"})
    assert family.ended()["x"] == (0, [b" 7"])


def test_what_the_starter_has_left_open_does_not_reach_children(family):
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    os.dup2(reader, 77)
    assert b"77" in family.run(b"ls /proc/self/fd")[1]
    others = seal()
    assert {reader, writer, 77} <= set(others) and not {0, 1, 2} & set(others)
    assert set(family.run(b"ls /proc/self/fd")[1]) == {b"0", b"1", b"2", b"3"}  # the last is that of ls
    for fd in reader, writer, 77:
        os.close(fd)


def test_the_umask_and_the_directory_are_ours(family, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o027)
    try:
        assert family.run(b"umask; pwd")[1] == [b"0027", os.fsencode(str(tmp_path))]
    finally:
        os.umask(before)


def test_an_answer_after_any_amount_of_noise_is_the_last_line(family):
    _status, lines = family.run(b"i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo 'cannot do this: %0100d'; done; echo 'equal: failed 3 5'; exit 0")
    assert answer(lines, 9) == {3, 5}


@pytest.mark.parametrize("script, expected", [
    (b"printf 'a\\nb'", [b"a", b"b"]), (b"printf 'a\\r\\n\\r\\n\\n b \\n'", [b"a", b" b "]), (b"printf '\\n\\n'", []), (b"printf x", [b"x"]),
    (b"echo out; echo err >&2; echo out2", [b"out", b"err", b"out2"]), (b"printf 'a\\000b\\377\\n'", [b"a\0b\xff"]),
    (b"printf a; sleep 0.05; printf b; sleep 0.05; echo c", [b"abc"])])
def test_lines(family, script, expected):
    assert family.run(script) == (0, expected)
    assert [line for _tag, line in family.lines] == expected


def test_a_line_without_end_is_told_in_parts_that_fit_into_memory(family):
    status, lines = family.run(b"head -c 300000 /dev/zero | tr '\\0' x; echo; echo end")
    assert status == 0 and lines[-1] == b"end" and sum(map(len, lines)) <= 300003
    assert b"".join(line for _tag, line in family.lines) == b"x" * 300000 + b"end"
    assert max(len(line) for _tag, line in family.lines) <= 65536 + 4096


def test_the_longest_answer_fits_into_one_line(family):
    numbers = b" ".join(b"%d" % number for number in range(600))
    _status, lines = family.run(b"cat", b"equal: failed " + numbers + b"\n")
    assert len(lines) == 1 and answer(lines, 600) == set(range(600))


def test_what_a_grandchild_prints_after_the_end_is_told_too(family):
    assert family.run(b"(sleep 0.2; echo late) & echo early")[1] == [b"early"]
    family.until(lambda: len(family.lines) == 2)
    assert [line for _tag, line in family.lines] == [b"early", b"late"]


def test_a_failure_without_a_word_waits_a_moment_for_what_it_has_started_to_say_why(family):
    assert family.run(b"(sleep 0.02; echo late) & exit 2") == (2, [b"late"])
    began = time.monotonic()
    assert family.run(b"sleep 5 & exit 2") == (2, []) and time.monotonic() - began < 4  # but a moment only


# ---- what they get -----------------------------------------------------------------------------

@pytest.mark.parametrize("size", [0, 1, 3, 4096, 65537, 3000000])
def test_input_arrives_whole_and_ends(family, size):
    data = (b"a\0b\n\xff" * 600001)[:size]
    assert family.run(b"cksum", data) == (0, [subprocess.run(["cksum"], input=data, stdout=subprocess.PIPE, check=True).stdout.strip()])


def test_without_input_there_is_nothing_to_read(family):
    assert family.run(b"readlink /proc/self/fd/0; cat")[1] == [b"/dev/null"]


def test_a_child_gets_no_descriptors_but_three(family):
    given = {int(name) for name in descriptors() if os.path.exists("/proc/self/fd/" + name) and os.get_inheritable(int(name))}  # by whoever started us
    family.sh(b"sleep 60", b"other input", tag="other")
    family.sh(b"ls /proc/self/fd", b"input")
    assert {int(line) for line in family.ended()["x"][1]} <= {0, 1, 2, 3, 10} | given  # 3: the directory that ls reads, 10: the shell's own


def test_a_child_has_default_signals_and_an_empty_mask(family):
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        _status, lines = family.run(b"grep -E '^Sig(Blk|Ign)' /proc/self/status")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    ours = sum(1 << number - 1 for number in signal.valid_signals())  # not those of the C library
    assert [int(line.split()[1], 16) & ours for line in lines] == [0, 0]


def test_words_arrive_as_they_are(family):
    words = [b"a b", b"", b"$(x)", b"\n", b"\xff", b"'\""]
    family.children.spawn("x", [sys.executable.encode(), b"-c", b"import os, sys; print([os.fsencode(word) for word in sys.argv[1:]])", *words], None)
    assert family.ended()["x"][1] == [repr(words).encode()]


# ---- how they end ------------------------------------------------------------------------------

@pytest.mark.parametrize("script, status", [(b"exit 0", 0), (b"exit 23", 23), (b"exit 255", 255), (b"kill -9 $$", -9), (b"kill -15 $$", -15), (b"nonsense-x", 127)])
def test_statuses(family, script, status):
    assert family.run(script)[0] == status


def test_what_cannot_be_started_is_an_error_and_leaves_nothing_open(family):
    before = descriptors()
    for argv in [b"/nonsense/x"], [b"nonsense-x"], [b"/"]:
        with pytest.raises(OSError):
            family.children.spawn("x", argv, b"input")
    assert descriptors() == before and len(family.children) == 0


def test_an_end_leaves_nothing_open(family):
    before = descriptors()
    for number in range(5):
        family.sh(b"echo x; cat", b"y", tag=number)
    assert len(family.children) == 5
    assert set(family.ended(5)) == set(range(5)) and len(family.children) == 0
    family.until(lambda: descriptors() == before)


def test_a_kill_reaches_those_that_are_chosen_and_their_children(family):
    for tag in "a", "b":
        family.sh(b"sh -c 'echo $$; sleep 60' & wait", tag=tag)
    family.until(lambda: len(family.lines) == 2)
    family.children.kill(signal.SIGTERM, lambda tag: tag == "a")
    assert family.ended()["a"][0] == -signal.SIGTERM and len(family.children) == 1
    pids = {tag: int(line) for tag, line in family.lines}
    family.until(lambda: not is_running(pids["a"]))
    assert is_running(pids["b"])
    family.children.kill(signal.SIGKILL)
    assert family.ended()["b"][0] == -signal.SIGKILL
    family.children.kill(signal.SIGKILL)  # nobody is left


@pytest.mark.parametrize("hidden", [None, "empty", "missing"])
def test_where_proc_tells_nothing_no_child_stands_still(hidden, family, monkeypatch):
    family.sh(b"sleep 1000")
    found = os.listdir

    def listed(path="."):
        if path != "/proc":
            return found(path)
        if hidden == "missing":
            raise FileNotFoundError(path)
        return []
    if hidden:
        monkeypatch.setattr(os, "listdir", listed)
    family.children.look(0)
    family.until(lambda: family.children.look(100)[0][1] == 0 if hidden else family.children.look(time.monotonic() + 1e6)[0][1] > 0)
    monkeypatch.undo()


@pytest.mark.parametrize("how, left", [(b"kill -KILL $$", False), (b"kill -SEGV $$", False), (b"kill -TERM $$", True), (b"exit 1", True), (b"exit 0", True)])
def test_what_a_killed_child_has_started_ends_with_it(family, how, left):
    """An rsync that is killed has a receiver, which would still put what it has received in place of what is newer."""
    family.sh(b"ulimit -c 0; sh -c 'trap \"\" TERM; echo $$; exec sleep 60' & sleep 0.2; " + how)
    family.until(lambda: family.lines)
    pid = int(family.lines[0][1])
    family.ended()
    try:
        if not left:
            family.until(lambda: not is_running(pid))
        assert is_running(pid) is left
    finally:
        if left:
            os.kill(pid, signal.SIGKILL)


def is_running(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_never_ends_printing_does_not_hold_up_others(family):
    family.sh(b"while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", tag="loud")
    family.sh(b"echo quiet; exit 3", tag="quiet")
    assert family.ended()["quiet"] == (3, [b"quiet"])
    family.children.kill(signal.SIGKILL)
    assert family.ended()["loud"][0] == -signal.SIGKILL


# ---- one that tells how far it is --------------------------------------------------------------

PIECES = b"i=0; while [ $i -lt %d ]; do i=$((i+1)); printf '\\r %%d   1%%%%    1.00kB/s    0:00:00 (xfr#%%d, to-chk=0/9)' $i $i; done; echo; "


def listened(family):
    """Return {tag: (status, lines)} of the first that has ended, as the daemon listens to them."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        family.loop.wait(min(time.monotonic() + 0.1, family.children.next_due or float("inf")))
        family.children.listen(time.monotonic())
        ended = {tag: (status, lines) for tag, status, lines in family.children.reap()}
        if ended:
            return ended


def test_what_it_tells_is_heard_without_being_kept_and_the_rest_is_as_ever(family):
    account, before = Account(), descriptors()
    family.children.spawn("x", [b"sh", b"-c", PIECES % 20000 + b"echo an error >&2; " + PIECES % 20001 + b"echo the end; exit 3"], None, account=account)
    reads = []
    trim = account.trim
    family.children._running[next(iter(family.children._running))].account = namespace(hear=account.hear, trim=lambda rest: reads.append(len(rest)) or trim(rest))

    assert listened(family)["x"] == (3, [b"an error", b"the end"]) and family.lines == [("x", b"an error"), ("x", b"the end")]
    assert (account.bytes, account.files) == (20001, 20001)
    assert len(reads) < 400  # of 40 001 pieces
    assert family.children.next_due is None and descriptors() == before


def test_one_that_says_little_is_read_seldom(family):
    reads = []
    account = namespace(hear=lambda line: line, trim=lambda rest: reads.append(rest) or b"")
    family.children.spawn("x", [b"sh", b"-c", b"for i in $(seq 60); do printf '\\r%s' $i; sleep 0.025; done"], None, account=account)
    assert listened(family)["x"][0] == 0
    assert len(reads) < 12  # of 60; twenty times a second would be 30


def test_one_that_tells_nothing_more_is_reaped_with_all_it_has_said(family):
    account, before = Account(), descriptors()
    family.children.spawn("x", [b"sh", b"-c", PIECES % 5 + b"printf 'the end'"], None, account=account)
    assert family.ended()["x"] == (0, [b"the end"]) and account.files == 5 and descriptors() == before


def test_what_it_has_started_is_heard_after_its_end(family):
    account, before = Account(), descriptors()
    family.children.spawn("x", [b"sh", b"-c", PIECES % 5 + b"(sleep 0.3; echo late) & exit 0"], None, account=account)
    assert family.ended()["x"] == (0, [])
    family.until(lambda: family.lines == [("x", b"late")])
    family.until(lambda: descriptors() == before)


# ---- children of our own -----------------------------------------------------------------------

def test_a_module_of_ours_runs_in_a_bare_python(family, tmp_path, monkeypatch):
    """Wherever we are, and whatever lies there under the name of a module."""
    for name in "lsyncd_lite", "errno", "stat", "sitecustomize":
        (tmp_path / (name + ".py")).write_text("print('not this one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "errno.py"))
    argv = argv_of("lsyncd_lite.system.equal")
    assert all(type(word) is bytes for word in argv) and os.path.isabs(argv[-1]) and argv[0] == os.fsencode(sys.executable)
    for name in "src", "dst":
        (tmp_path / name).mkdir()
    (tmp_path / "src" / "f").write_text("x")
    here = os.fsencode(str(tmp_path))
    family.children.spawn("x", argv, b"\0".join([here + b"/src", here + b"/dst", b"delete", b"0", b"p", b"2", b"f", b""]))
    assert family.ended()["x"] == (0, [b"so far: 1 1", b"equal: done"])
    assert (tmp_path / "dst" / "f").read_text() == "x"


def test_a_python_that_does_not_know_where_it_is_is_looked_for(monkeypatch):
    for unknown in None, "":
        monkeypatch.setattr(sys, "executable", unknown)
        assert argv_of("lsyncd_lite.system.equal")[0] == b"python3"


def test_the_end_of_a_module_is_the_end_of_the_child(family):
    family.children.spawn("x", argv_of("lsyncd_lite.system.equal"), b"\0".join([b"/nonsense", b"/nonsense", b"", b"0", b""]))
    status, lines = family.ended()["x"]
    assert status == 3 and b"/nonsense" in lines[0]


def gone(pid):
    """Tell whether a process runs no more, a zombie included."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


@pytest.mark.parametrize("whole", [True, False])
def test_what_a_child_has_started_ends_with_it_where_that_is_wanted(family, whole):
    group = family.children.spawn("x", [b"sh", b"-c", b"sleep 1000 & echo $!; exit 3"], None, whole=whole)
    status, lines = family.ended()["x"]
    pid = int(lines[0])
    assert status == 3 and os.getpgid(0) != group
    if whole:
        family.until(lambda: gone(pid))
    else:
        assert os.getpgid(pid) == group and not gone(pid)
        os.kill(pid, signal.SIGKILL)
