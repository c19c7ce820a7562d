"""Which lines are written, and where; one line a message, whatever it holds."""

import os
import re
import stat
import syslog
from types import SimpleNamespace

import pytest

from lsyncd_lite.system import log as module
from lsyncd_lite.system.log import DEBUG, SHOWN, Log, categories


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


@pytest.fixture
def sent(monkeypatch):
    """What goes to syslog: a list of the arguments of openlog, then (priority, line)."""
    found = []
    monkeypatch.setattr(syslog, "openlog", lambda *arguments: found.append(arguments))
    monkeypatch.setattr(syslog, "syslog", lambda *arguments: found.append(arguments))
    return found


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
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o137 == 0 and sent == []
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
    assert path.read_text().count("\n") == 1 and sent == []


@pytest.mark.parametrize("words", ["a\nNov 1 Error: forged", "\x1b[2J", "a\rb", "x\u2028y", "\u202e", "\udcff\ud800", "\x00"])
def test_no_message_becomes_two_lines(tmp_path, sent, words):
    path = tmp_path / "log"
    log = opened(logfile=os.fsencode(str(path)), logident="x", nodaemon=True)
    log("Error", words)
    assert path.read_bytes().decode().count("\n") == 1 and path.read_bytes().decode()[:-1].isprintable()
    assert sent[-1][1].isprintable()


def test_a_message_with_an_escaped_name_is_the_same_in_every_sink(tmp_path, sent, capfd):
    log = opened(logfile=os.fsencode(str(tmp_path / "log")), logident="x", nodaemon=True)
    log("Error", "cannot read a\\nb")
    for text in (tmp_path / "log").read_text(), sent[-1][1], capfd.readouterr().err:
        assert text.rstrip("\n").endswith("Error: cannot read a\\nb")


@pytest.mark.parametrize("keys, file, to_syslog", [
    ({}, False, True), ({"logfile": True}, True, False), ({"logfile": True, "logident": "x"}, True, True), ({"logfile": True, "logfacility": "mail"}, True, True),
    ({"logfacility": "mail"}, False, True)])
def test_file_or_syslog_or_both(tmp_path, sent, keys, file, to_syslog):
    path = os.fsencode(str(tmp_path / "log"))
    log = opened(**{**keys, **({"logfile": path} if keys.get("logfile") else {})})
    log("Warn", "words")
    assert os.path.exists(path) is file
    assert sent[1:] == ([(syslog.LOG_WARNING, "Warn: words")] if to_syslog else [])


@pytest.mark.parametrize("facility, ident, expected", [
    (None, None, ("lsyncd-lite", syslog.LOG_USER)), ("daemon", "x", ("x", syslog.LOG_DAEMON)), ("local7", None, ("lsyncd-lite", syslog.LOG_LOCAL7)),
    ("0", None, ("lsyncd-lite", syslog.LOG_KERN)), ("23", None, ("lsyncd-lite", syslog.LOG_LOCAL7)), ("cron", None, ("lsyncd-lite", syslog.LOG_CRON)),
    ("mail", None, ("lsyncd-lite", syslog.LOG_MAIL))])
def test_syslog_facility_and_tag(sent, facility, ident, expected):
    opened(logfacility=facility, logident=ident)
    ((tag, options, number),) = sent
    assert (tag, number) == expected and options & syslog.LOG_PID


def test_every_facility_of_the_settings_is_known_to_the_log(sent):
    from lsyncd_lite.config.settings import FACILITIES
    for number, name in enumerate(FACILITIES):
        opened(logfacility=name)
        assert sent[-1][2] == (number if number < 12 else number + 4) << 3


@pytest.mark.parametrize("category, priority", [("Error", syslog.LOG_ERR), ("Warn", syslog.LOG_WARNING), ("Normal", syslog.LOG_NOTICE), ("Exec", syslog.LOG_DEBUG)])
def test_syslog_priorities(sent, category, priority):
    opened([category])(category, "words")
    assert sent[-1] == (priority, category + ": words")


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
    assert not (tmp_path / "log").exists() and len(sent) == 1 and capfd.readouterr() == ("", "")
    assert log.shows("Error") and not log.shows("Normal")


def test_a_log_file_that_cannot_be_written_is_told_once_and_taken_up_again(tmp_path, sent, capfd):
    folder = tmp_path / "logs"
    log = opened(logfile=os.fsencode(str(folder / "log")))
    for _number in range(3):
        log("Normal", "words")
    assert [line for _priority, line in sent] == ["Error: cannot write the log file %s: No such file or directory" % (folder / "log")]
    assert capfd.readouterr().err.count("cannot write the log file") == 1
    folder.mkdir()
    log("Normal", "again")
    assert "again" in (folder / "log").read_text()
    (folder / "log").unlink()
    folder.rmdir()
    log("Normal", "words")
    assert len(sent) == 2


def test_a_link_in_the_place_of_the_log_file_is_not_followed(tmp_path, sent):
    (tmp_path / "victim").write_text("")
    (tmp_path / "log").symlink_to("victim")
    opened(logfile=os.fsencode(str(tmp_path / "log")))("Normal", "words")
    assert (tmp_path / "victim").read_text() == "" and len(sent) == 1


def test_a_terminal_that_is_gone_is_no_error(monkeypatch, sent):
    def gone(_fd, _data):
        raise OSError(5, "")

    log = opened(nodaemon=True)
    monkeypatch.setattr(module.os, "write", gone)
    log("Error", "words")
