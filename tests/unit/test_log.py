"""Which lines are written, and where; one line a message, whatever it holds."""

import fcntl
import os
import pty
import re
import shutil
import socket
import stat
import syslog
import tempfile
import termios
import time
from types import SimpleNamespace

import pytest

from lsyncd_lite.config.options import DEBUG, SHOWN
from lsyncd_lite.system import sinks
from lsyncd_lite.system.log import Log, categories


@pytest.mark.parametrize("wanted, shown", [
    ([], set(SHOWN)), (["all"], {*SHOWN, *DEBUG}), (["scarce"], {"Error"}), (["Exec"], {*SHOWN, "Exec"}), (["Exec", "Delay"], {*SHOWN, "Exec", "Delay"}),
    (["scarce", "Exec"], {"Error", "Exec"}), (["scarce", "Warn"], {"Error", "Warn"}), (["Normal"], set(SHOWN)), (["all", "scarce"], {"Error", *DEBUG}),
    (["scarce", "all"], {"Error", *DEBUG}), (["all", "all"], {*SHOWN, *DEBUG})])
def test_categories(wanted, shown):
    assert categories(wanted) == shown


@pytest.mark.parametrize("word", ["", "exec", "ALL", "Debug", "All", "all,Exec", "x\ny"])
def test_an_unknown_category_is_an_error_that_names_all(word):
    with pytest.raises(ValueError) as caught:
        categories([word])
    assert str(caught.value).isprintable() and all(name in str(caught.value) for name in ("all", "scarce") + SHOWN + DEBUG)


def test_the_categories_are_lsyncds():
    assert {"Normal", "Error", "Warn", "Info"} == set(SHOWN) and {"Exec", "Delay", "Inotify", "Exclude", "Alarm", "Statusfile"} <= set(DEBUG)


class Syslogd:
    """A /dev/log of the test's own."""

    def __init__(self, path):
        self.path = path
        self.lines = []  # (facility << 3 | priority, tag, text) so far
        self.start()

    def start(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.bind(self.path)
        self.socket.setblocking(False)

    def stop(self):
        self.socket.close()
        os.unlink(self.path)

    def read(self):
        """Take what has come; return the lines so far."""
        while True:
            try:
                line = self.socket.recv(65536).decode()
            except BlockingIOError:
                return self.lines
            number, tag, pid, text = re.fullmatch(r"<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d ([^\[]+)\[(\d+)\]: (.*)", line).groups()
            assert int(pid) == os.getpid()
            self.lines.append((int(number), tag, text))


@pytest.fixture
def sent(monkeypatch):
    """The Syslogd that we send to."""
    folder = tempfile.mkdtemp(prefix="log-", dir="/tmp")  # an address is short
    found = Syslogd(folder + "/log")
    monkeypatch.setattr(sinks, "_ADDRESS", os.fsencode(found.path))
    yield found
    found.socket.close()
    shutil.rmtree(folder)


def settings(logfile=None, logfacility=None, logident=None, nodaemon=False, onepass=False):
    return SimpleNamespace(logfile=logfile, logfacility=logfacility, logident=logident, nodaemon=nodaemon, onepass=onepass)


def opened(shown=SHOWN, **keys):
    log = Log(set(shown))
    log.open(settings(**keys))
    return log


def test_lines_go_to_a_file_with_date_and_category(tmp_path, sent, capfd):
    path = os.fsencode(str(tmp_path / "log"))
    log = opened(logfile=path)
    for category in "Normal", "Error", "Exec":
        log(category, "words for " + category)
    lines = (tmp_path / "log").read_text().split("\n")
    assert [re.sub(r"^\w{3} \w{3} \d\d \d\d:\d\d:\d\d \d{4} ", "", line) for line in lines] == ["Normal: words for Normal", "Error: words for Error", ""]
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o137 == 0 and sent.read() == []
    out, err = capfd.readouterr()
    assert out == "" and re.fullmatch(r"\d\d:\d\d:\d\d Error: words for Error\n", err)  # as long as there is a terminal


def test_a_file_that_was_renamed_or_truncated_goes_on(tmp_path, sent):
    path = tmp_path / "log"
    log = opened(logfile=os.fsencode(str(path)))
    log("Normal", "one")
    path.rename(tmp_path / "log.1")
    log("Normal", "two")
    assert "two" in path.read_text() and "two" not in (tmp_path / "log.1").read_text()
    path.write_text("")
    log("Normal", "three")
    assert path.read_text().count("\n") == 1 and sent.read() == []


@pytest.mark.parametrize("words", ["a\nNov 1 Error: forged", "\x1b[2J", "a\rb", "x\u2028y", "\u202e", "\udcff\ud800", "\x00"])
def test_no_message_becomes_two_lines(tmp_path, sent, words):
    path = tmp_path / "log"
    log = opened(logfile=os.fsencode(str(path)), logident="x", nodaemon=True)
    log("Error", words)
    assert path.read_bytes().decode().count("\n") == 1 and path.read_bytes().decode()[:-1].isprintable()
    assert sent.read()[-1][2].isprintable()


def test_a_message_with_an_escaped_name_is_the_same_in_every_sink(tmp_path, sent, capfd):
    log = opened(logfile=os.fsencode(str(tmp_path / "log")), logident="x", nodaemon=True)
    log("Error", "cannot read a\\nb")
    for text in (tmp_path / "log").read_text(), sent.read()[-1][2], capfd.readouterr().err:
        assert text.rstrip("\n").endswith("Error: cannot read a\\nb")


@pytest.mark.parametrize("keys, file, to_syslog", [
    ({}, False, True), ({"logfile": True}, True, False), ({"logfile": True, "logident": "x"}, True, True), ({"logfile": True, "logfacility": "mail"}, True, True),
    ({"logfacility": "mail"}, False, True)])
def test_file_or_syslog_or_both(tmp_path, sent, keys, file, to_syslog):
    path = os.fsencode(str(tmp_path / "log"))
    log = opened(**{**keys, **({"logfile": path} if keys.get("logfile") else {})})
    log("Warn", "words")
    assert os.path.exists(path) is file
    assert [(number & 7, text) for number, _tag, text in sent.read()] == ([(syslog.LOG_WARNING, "Warn: words")] if to_syslog else [])


@pytest.mark.parametrize("facility, ident, expected", [
    (None, None, ("lsyncd-lite", syslog.LOG_USER)), ("daemon", "x", ("x", syslog.LOG_DAEMON)), ("local7", None, ("lsyncd-lite", syslog.LOG_LOCAL7)),
    ("0", None, ("lsyncd-lite", syslog.LOG_KERN)), ("23", None, ("lsyncd-lite", syslog.LOG_LOCAL7)), ("cron", None, ("lsyncd-lite", syslog.LOG_CRON)),
    ("mail", None, ("lsyncd-lite", syslog.LOG_MAIL))])
def test_syslog_facility_and_tag(sent, facility, ident, expected):
    opened(logfacility=facility, logident=ident)("Error", "x")
    ((number, tag, _text),) = sent.read()
    assert (tag, number & ~7) == expected


def test_every_facility_of_the_settings_is_known_to_the_log(sent):
    from lsyncd_lite.config.settings import FACILITIES
    for number, name in enumerate(FACILITIES):
        opened(logfacility=name)("Error", "x")
        assert sent.read()[-1][0] >> 3 == (number if number < 12 else number + 4)


@pytest.mark.parametrize("category, priority", [("Error", syslog.LOG_ERR), ("Warn", syslog.LOG_WARNING), ("Normal", syslog.LOG_NOTICE), ("Exec", syslog.LOG_DEBUG)])
def test_syslog_priorities(sent, category, priority):
    opened([category])(category, "words")
    assert sent.read() == [(syslog.LOG_USER | priority, "lsyncd-lite", category + ": words")]


@pytest.mark.parametrize("keys, shown", [({"nodaemon": True}, "NE"), ({"onepass": True}, "NE"), ({}, "E")])
def test_the_terminal_gets_everything_in_the_foreground_and_errors_before_it_is_left(sent, capfd, keys, shown):
    log = opened(**keys)
    log("Normal", "N")
    log("Error", "E")
    out, err = capfd.readouterr()
    assert [line[-1] for line in (out + err).split("\n") if line] == list(shown) and "E" not in out.replace("Normal", "")
    log.leave_terminal()
    log("Error", "E")
    assert capfd.readouterr() == ("", "")


def test_what_is_not_shown_is_written_nowhere(tmp_path, sent, capfd):
    log = opened(["Error"], logfile=os.fsencode(str(tmp_path / "log")), logident="x", nodaemon=True)
    log("Normal", "words")
    assert not (tmp_path / "log").exists() and not sent.read() and capfd.readouterr() == ("", "")
    assert log.shows("Error") and not log.shows("Normal")


def test_a_log_file_that_cannot_be_written_is_told_once_and_taken_up_again(tmp_path, sent, capfd):
    folder = tmp_path / "logs"
    log = opened(logfile=os.fsencode(str(folder / "log")), logident="x")
    for _number in range(3):
        log("Normal", "words")
    told = "Error: cannot write the log file %s: No such file or directory" % (folder / "log")
    assert [line for _number, _tag, line in sent.read()] == [told, *["Normal: words"] * 3]
    assert capfd.readouterr().err.count("cannot write the log file") == 1
    folder.mkdir()
    log("Normal", "again")
    assert [line[25:] for line in (folder / "log").read_text().splitlines()] == ["Warn: 3 lines are missing here", "Normal: again"]
    (folder / "log").unlink()
    folder.rmdir()
    log("Normal", "words")
    assert [line for _number, _tag, line in sent.read()].count(told) == 2


def test_a_link_in_the_place_of_the_log_file_is_not_followed(tmp_path, sent, capfd):
    (tmp_path / "victim").write_text("")
    (tmp_path / "log").symlink_to("victim")
    opened(logfile=os.fsencode(str(tmp_path / "log")))("Normal", "words")
    assert (tmp_path / "victim").read_text() == "" and "cannot write the log file" in capfd.readouterr().err


@pytest.mark.parametrize("spoil, words", [
    (lambda path, other: os.link(other, path), "it is a hard link"), (lambda path, _other: path.mkdir(), "Is a directory"),
    (lambda path, _other: os.mkfifo(path), "No such device or address"),  # nobody reads it
    (lambda path, _other: socket.socket(socket.AF_UNIX).bind(str(path)), "No such device or address")])
def test_what_is_no_file_of_ours_is_not_written_to(tmp_path, capfd, monkeypatch, spoil, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").write_text("")
    spoil((tmp_path / "log").relative_to(tmp_path), "other")
    opened(logfile=os.fsencode(str(tmp_path / "log")))("Normal", "words")
    assert (tmp_path / "other").read_text() == "" and capfd.readouterr().err.endswith(": %s\n" % words)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_somebody_elses_log_file_is_not_written_to(tmp_path, capfd):
    (tmp_path / "log").write_text("")
    os.chown(str(tmp_path / "log"), 12345, -1)
    opened(logfile=os.fsencode(str(tmp_path / "log")))("Normal", "words")
    assert (tmp_path / "log").read_text() == "" and "log: it belongs to uid 12345\n" in capfd.readouterr().err


@pytest.mark.parametrize("umask, mode", [(0, 0o640), (0o022, 0o640), (0o077, 0o600)])
def test_a_new_log_file_is_for_nobody_else_and_an_old_one_keeps_its_mode(tmp_path, sent, umask, mode):
    (tmp_path / "old").write_text("")
    (tmp_path / "old").chmod(0o604)
    before = os.umask(umask)
    try:
        for name in "new", "old":
            opened(logfile=os.fsencode(str(tmp_path / name)))("Normal", "words")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "old")] == [mode, 0o604]


def test_a_fifo_with_a_reader_takes_lines_until_it_is_full(tmp_path, sent, capfd):
    os.mkfifo(str(tmp_path / "log"))
    reader = os.open(str(tmp_path / "log"), os.O_RDONLY | os.O_NONBLOCK)
    log = opened(logfile=os.fsencode(str(tmp_path / "log")))
    for number in range(3000):
        log("Normal", "%d %s." % (number, "x" * 200))
    assert "cannot write the log file" in capfd.readouterr().err
    told, count = _log_again(log, reader)
    os.close(reader)
    _whole_and_counted(told, 3000 + count)


def _drain(fd):
    """Return what can be read now."""
    found = b""
    os.set_blocking(fd, False)
    try:
        while True:
            data = os.read(fd, 65536)
            if not data:
                return found
            found += data
    except BlockingIOError:
        return found


def _whole_and_counted(told, count):
    """See lines that are whole, where some are missing a number that says how many, and the last at the end."""
    lines = told.decode().splitlines()
    missing = [line for line in lines if "lines are missing here" in line]
    whole = [line for line in lines if re.search("Normal: (\\d+ x{200,}[.]|again)$", line)]
    assert missing and lines[-1].endswith("Normal: again")
    assert all(re.fullmatch(r"(.{8}|.{24}) Warn: \d+ lines are missing here", line) for line in missing)
    assert len(lines) - len(whole) - len(missing) <= len(missing)  # what was cut off, and ended before the next
    assert len(whole) + sum(int(re.search("Warn: (\\d+) lines", line).group(1)) for line in missing) == count


def _log_again(log, reader):
    """Log a line until it arrives; return what was read, and how often it was logged."""
    told, count, deadline = b"", 0, time.monotonic() + 20
    while b"Normal: again\n" not in told:  # a terminal makes room some time after it was read
        assert time.monotonic() < deadline, "it does not come"
        told += _drain(reader)
        log("Normal", "again")
        count += 1
        told += _drain(reader)
    return told, count


def ends(kind):
    """Return (reader, writer) of what a starter may have left open."""
    if kind == "pipe":
        return os.pipe()
    if kind == "socket":
        return tuple(one.detach() for one in socket.socketpair())
    master, slave = pty.openpty()
    mode = termios.tcgetattr(slave)
    mode[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, mode)
    return master, slave


@pytest.mark.parametrize("kind", ["pipe", "socket", "pty"])
@pytest.mark.parametrize("length", [200, 900, 9000])
def test_a_terminal_that_nobody_reads_makes_nothing_wait(sent, kind, length):
    reader, writer = ends(kind)
    before = os.dup(1)
    os.dup2(writer, 1)
    try:
        log = opened(nodaemon=True)
        for number in range(2000):
            log("Normal", "%d %s." % (number, "x" * length))
        assert fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK == 0  # whoever shares it expects it so
        told, count = _log_again(log, reader)
        os.close(reader)
        log("Normal", "the reader is gone")
    finally:
        os.dup2(before, 1)
        for fd in before, writer:
            os.close(fd)
    _whole_and_counted(told, 2000 + count)


@pytest.mark.parametrize("kind", ["pipe", "pty"])
def test_whoever_shares_a_terminal_may_fill_it_between_a_look_and_a_write(kind, monkeypatch):
    reader, writer = ends(kind)
    sink = sinks.Stream(writer)
    monkeypatch.setattr(sinks.select, "poll", lambda: SimpleNamespace(register=lambda *_arguments: None, poll=lambda _time: True))
    with pytest.raises(BlockingIOError):
        for _number in range(1000):
            sink.write("Normal", "x" * 900)
    sink.close()
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("name, fd", [("/dev/stdout", 1), ("/dev/stderr", 2)])
def test_stdout_and_stderr_may_be_the_log_file_and_get_each_line_once(sent, capfd, name, fd):
    log = opened(logfile=name.encode(), nodaemon=True)
    log("Normal", "one")
    log("Error", "two")
    log.open(settings(logfile=name.encode(), nodaemon=True))  # HUP
    log("Normal", "three")
    log.leave_terminal()
    log("Normal", "four")
    log.open(settings(logfile=name.encode(), nodaemon=True))
    log("Normal", "five")
    told = capfd.readouterr()
    assert told[2 - fd] == "" and sent.read() == []
    assert [line[25:] for line in told[fd - 1].splitlines()] == ["Normal: one", "Error: two", "Normal: three", "Normal: four", "Normal: five"]


def test_a_daemon_that_has_left_the_terminal_keeps_the_stdout_that_is_its_log(sent):
    reader, writer = os.pipe()
    before = os.dup(1)
    os.dup2(writer, 1)
    try:
        log = opened(logfile=b"/dev/stdout")
        log.leave_terminal()
    finally:
        os.dup2(before, 1)  # somewhere else, as Detached does
        os.close(before)
        os.close(writer)
    log("Normal", "one")
    log.open(settings(logfile=b"/dev/stdout"))  # HUP
    log("Normal", "two")
    assert [line[25:] for line in _drain(reader).decode().splitlines()] == ["Normal: one", "Normal: two"]
    log.open(settings())  # and it is let go
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_device_may_be_the_log_file(capfd):
    opened(logfile=b"/dev/null")("Normal", "one")
    assert capfd.readouterr() == ("", "")


def test_leaving_the_terminal_keeps_nothing_of_it_open(sent):
    reader, writer = os.pipe()
    before = os.dup(1)
    os.dup2(writer, 1)
    log = opened()
    os.dup2(before, 1)
    os.close(writer)
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    log.leave_terminal()
    assert os.read(reader, 1) == b""
    for fd in before, reader:
        os.close(fd)
    log("Error", "words")
    log.open(settings())
    log("Error", "words")
    assert len(sent.read()) == 2


def test_a_syslog_that_does_not_read_makes_nothing_wait_and_hears_what_it_has_missed(sent):
    log = opened()
    for number in range(2000):
        log("Normal", "%d" % number)
    some = len(sent.read())
    assert 0 < some < 2000
    log("Normal", "again")
    assert [text for _number, _tag, text in sent.read()[some:]] == ["Warn: %d lines are missing here" % (2000 - some), "Normal: again"]


def test_a_syslog_that_is_gone_is_told_on_the_terminal_once_and_one_that_comes_back_is_taken_up(sent, capfd):
    log = opened()
    log("Normal", "one")
    sent.read()
    sent.stop()
    for _number in range(3):
        log("Normal", "two")
    (line,) = capfd.readouterr().err.splitlines()
    assert "Error: cannot reach syslog: No such file or directory" in line
    sent.start()
    log("Normal", "three")
    assert [text for _number, _tag, text in sent.read()] == ["Normal: one", "Warn: 3 lines are missing here", "Normal: three"]
    sent.stop()
    sent.start()  # it was restarted between two lines
    log("Normal", "four")
    assert sent.read()[-1][2] == "Normal: four" and len(sent.read()) == 4
    sent.stop()
    foreground = opened(nodaemon=True)  # all is on the terminal already
    capfd.readouterr()
    foreground("Normal", "five")
    assert capfd.readouterr().err == ""


def test_a_syslog_that_takes_streams_only_gets_lines_with_an_end(sent):
    sent.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(sent.path)
        listener.listen(1)
        log = opened()
        log("Error", "one")
        log("Error", "two")
        end, _address = listener.accept()
        with end:
            assert re.fullmatch(r"(<11>[^\0]* lsyncd-lite\[\d+\]: Error: (one|two)\0){2}", end.recv(65536).decode())


def test_a_terminal_that_is_gone_is_no_error(monkeypatch, sent):
    def gone(_fd, _data):
        raise OSError(5, "")

    log = opened(nodaemon=True)
    monkeypatch.setattr(sinks.os, "write", gone)
    log("Error", "words")


# ---- the journal ----------------------------------------------------------------------------------

@pytest.fixture
def journal(monkeypatch):
    """Take a stream for stdout and stderr that is said to be the journal's, at the first call; return the lines that have come since the last."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    saved = {}

    def read():
        for fd in (1, 2) if not saved else ():  # not before the test runs: pytest takes them at its start
            saved[fd] = os.dup(fd)
            os.dup2(theirs.fileno(), fd)
        facts = os.fstat(2)
        monkeypatch.setenv("JOURNAL_STREAM", "%d:%d" % (facts.st_dev, facts.st_ino))
        try:
            return ours.recv(65536).decode().split("\n")[:-1]
        except BlockingIOError:
            return []
    yield read
    for fd, old in saved.items():
        os.dup2(old, fd)
        os.close(old)
    ours.close()
    theirs.close()


def test_the_journal_has_each_line_once(sent, journal):
    assert journal() == []
    log = opened(nodaemon=True)
    log("Normal", "N")
    log("Error", "E")
    assert [text for _number, _tag, text in sent.read()] == ["Normal: N", "Error: E"] and journal() == []


def test_the_journal_gets_what_syslog_does_not_take_with_a_priority_and_no_clock(sent, journal):
    assert journal() == []
    log = opened([*SHOWN, "Exec"], nodaemon=True)
    sent.stop()
    for category in "Normal", "Info", "Warn", "Error", "Exec":
        log(category, "words\n")
    assert journal() == ["<5>Normal: words\\n", "<6>Info: words\\n", "<4>Warn: words\\n", "<3>Error: words\\n", "<7>Exec: words\\n"]
    sent.start()
    log("Normal", "again")
    assert [text for _number, _tag, text in sent.read()] == ["Warn: 5 lines are missing here", "Normal: again"] and journal() == []


def test_with_a_log_file_the_journal_gets_errors_and_warnings(tmp_path, sent, journal):
    assert journal() == []
    log = opened(logfile=os.fsencode(str(tmp_path / "log")), nodaemon=True)
    for category in "Normal", "Warn", "Error":
        log(category, "words")
    assert journal() == ["<4>Warn: words", "<3>Error: words"] and sent.read() == []
    assert [line[25:] for line in (tmp_path / "log").read_text().splitlines()] == ["Normal: words", "Warn: words", "Error: words"]


def test_the_journal_gets_all_that_the_log_file_cannot_take(tmp_path, sent, journal):
    assert journal() == []
    log = opened(logfile=os.fsencode(str(tmp_path / "none" / "log")), nodaemon=True)
    log("Normal", "words")
    told, line = journal()
    assert told.startswith("<3>Error: cannot write the log file ") and line == "<5>Normal: words"


def test_where_file_and_syslog_fail_one_after_the_other_nothing_is_said_twice(tmp_path, sent, journal):
    assert journal() == []
    log = opened(logfile=os.fsencode(str(tmp_path / "none" / "log")), logident="x", nodaemon=True)
    log("Warn", "words")
    assert len(sent.read()) == 2 and journal() == []


@pytest.mark.parametrize("path", [b"/dev/stdout", b"/dev/stderr"])
def test_a_log_that_is_sent_to_the_journals_stream_is_written_for_it(sent, journal, path):
    assert journal() == []
    log = opened(logfile=path, nodaemon=True)
    log("Normal", "N")
    log("Error", "E")
    assert journal() == ["<5>Normal: N", "<3>Error: E"] and sent.read() == []


@pytest.mark.parametrize("value", ["", "1:2", "x"])
def test_another_stream_is_a_terminal_as_ever(sent, journal, monkeypatch, value):
    assert journal() == []
    monkeypatch.setenv("JOURNAL_STREAM", value)
    log = opened(nodaemon=True)
    log("Error", "E")
    assert len(sent.read()) == 1 and re.fullmatch(r"\d\d:\d\d:\d\d Error: E", journal()[0])
