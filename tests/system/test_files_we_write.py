"""Log, pidfile, status file: rotated, locked, replaced, and never somebody else's."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess

import pytest

from harness import LOG_LINE, ROOT, make, parse_status, sync, wait_for


# ---- log ---------------------------------------------------------------------------------------

def test_every_line_of_the_log_has_date_category_and_message(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, name="www"))
    make(src, "b", "d/c")
    running.wait_equal(src, dst)
    running.stop()
    lines = running.log().splitlines()
    assert lines and not [line for line in lines if not LOG_LINE.fullmatch(line)]
    assert any("Normal: " in line for line in lines) and any("Exec: " in line for line in lines)
    assert any("www" in line for line in lines)
    assert stat.S_IMODE(running.logfile.stat().st_mode) & ~0o640 == 0
    assert "Normal: " in running.output()  # to the terminal as well


@pytest.mark.parametrize("options, categories", [
    (["-log", "scarce"], {"Error"}), ([], {"Normal", "Error", "Warn"}),
    (["-log", "Exec"], {"Normal", "Error", "Warn", "Exec"})])
def test_the_categories_asked_for_are_logged(options, categories, src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, rsync={"binary": binary.path}), options=options)
    binary.fail(1, times=1)
    make(src, "b")
    running.wait_log("Error: ")
    running.stop()
    seen = set(re.findall(r"(?m)^.{24} (\w+): ", running.log()))
    assert seen <= categories and "Error" in seen and ("Exec" in seen) == ("Exec" in categories)
    assert ("Normal" in seen) == ("Normal" in categories)


def rotate_by_rename(running):
    os.rename(str(running.logfile), str(running.logfile) + ".1")


def rotate_by_truncation(running):
    os.truncate(str(running.logfile), 0)


def rotate_by_removal(running):
    running.logfile.unlink()


@pytest.mark.parametrize("rotate", [rotate_by_rename, rotate_by_truncation, rotate_by_removal])
def test_the_log_goes_on_after_rotation(rotate, src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst))
    running.wait_idle()
    rotate(running)
    make(src, "after-the-rotation")
    running.wait_equal(src, dst)
    running.wait_log("(?m)^[A-Z]")
    assert LOG_LINE.fullmatch(running.log().splitlines()[0]) and "\0" not in running.log()


# trap 25
def test_a_vanished_log_directory_stops_nothing(tmp_path, src, dst, daemon):
    logs = tmp_path / "logs"
    logs.mkdir()
    make(src, "a")
    running = daemon(sync(src, dst), settings={"logfile": str(logs / "log")})
    shutil.rmtree(str(logs))
    make(src, "b")
    running.wait_equal(src, dst)
    assert re.search(r"(?i)cannot .*%s" % re.escape(str(logs / "log")), running.output())
    logs.mkdir()
    make(src, "c")
    running.wait_equal(src, dst)
    running.wait_path(logs / "log")
    assert running.stop() == 143


# trap 25
def test_a_full_log_disk_stops_nothing(small_disk, src, dst, daemon):
    make(src, "a")
    files = {"logfile": str(small_disk / "log"), "statusFile": str(small_disk / "status")}
    running = daemon(sync(src, dst), settings=files, wait=False)
    running.wait_equal(src, dst)
    ballast = os.open(str(small_disk / "ballast"), os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(ballast, b"x" * 4096)
    except OSError:
        os.close(ballast)  # full
    for number in range(3):
        make(src, *["%d/%d" % (number, other) for other in range(300)])
        running.wait_equal(src, dst)
    os.unlink(str(small_disk / "ballast"))
    running.fence(src, dst)
    running.wait(lambda: (small_disk / "log").read_text().splitlines()[-1:], "the log to go on")
    assert running.stop() == 143


# trap 37
def test_a_name_can_forge_neither_log_nor_status(src, dst, daemon, obeys_modes):
    make(src, "a")
    running = daemon(sync(src, dst, rsync={"verbose": True}), prefix=obeys_modes)
    forged = "x\nSun Nov 22 15:24:00 2026 Error: forged\nThere are 9 delays\nInotify watching 99 directories\n\x1b[2J"
    make(src, "d/e")
    (src / forged).mkdir()
    (src / forged / forged).write_text("x")
    os.chmod(str(src / forged / forged), 0)
    running.wait_status("sync1", state="waiting")
    running.wait_log("forged")
    for text in (running.log(), running.statusfile.read_text(), running.output()):
        assert "\x1b" not in text
        assert not re.search("(?m)^(Sun Nov 22 15:24:00 2026|There are 9 delays|Inotify watching 99)", text)
    assert not [line for line in running.log().splitlines() if not LOG_LINE.fullmatch(line)]
    os.chmod(str(src / forged / forged), 0o600)
    running.wait_equal(src, dst)


# trap 38
@pytest.mark.parametrize("key", ["logfile", "statusFile", "pidfile"])
def test_a_symbolic_link_in_place_of_a_file_of_ours_is_not_followed(key, tmp_path, src, dst, daemon):
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    os.symlink(str(victim), str(tmp_path / "link"))
    make(src, "a")
    running = daemon(sync(src, dst), settings={key: str(tmp_path / "link")}, wait=False)
    wait_for(lambda: not running.running() or (dst / "a").exists(), "the daemon to run, or to refuse")
    if running.running():
        running.fence(src, dst)
        running.stop()
    else:
        assert running.ended() == 255 and str(tmp_path / "link") in running.output()
    assert victim.read_text() == "precious\n"


# ---- who reads nothing, or is gone -------------------------------------------------------------

def noise(running, src, dst, count=40):
    """Make changes until more has been said than a pipe, or the queue of a socket, takes."""
    for number in range(count):
        make(src, *["%d-%d-%s" % (number, other, "x" * 150) for other in range(20)])
    running.wait_equal(src, dst)


@pytest.mark.parametrize("streams", ['>"$0"', '2>"$0"', '>"$0" 2>&1'])
def test_a_pipe_that_nobody_reads_stops_nothing(streams, tmp_path, src, dst, daemon):
    make(src, "a")
    fifo = tmp_path / "fifo"
    os.mkfifo(str(fifo))
    reader = os.open(str(fifo), os.O_RDONLY | os.O_NONBLOCK)
    running = daemon(sync(src, dst, rsync={"binary": str(_chatter(tmp_path))}), prefix=("sh", "-c", 'exec "$@" %s' % streams, str(fifo)))
    noise(running, src, dst)
    if streams[0] != "2":
        told = drain(reader)
        running.fence(src, dst)
        told += drain(reader)
        assert len(told) > 4096 and b"lines are missing here" in told
    os.close(reader)
    running.fence(src, dst)
    assert running.stop() == 143


def drain(fd):
    """Return what can be read now."""
    found = b""
    try:
        while True:
            data = os.read(fd, 65536)
            if not data:
                return found
            found += data
    except BlockingIOError:
        return found


def _chatter(tmp_path):
    """Return an rsync that says a lot."""
    path = tmp_path / "chatter"
    path.write_text('#!/bin/sh\nrsync "$@"; code=$?\ncase " $* " in *" -n "*) exit $code ;; esac\n'
                    'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo "%s $i"; done; exit $code\n' % ("y" * 200))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full 2>&1"])
def test_closed_and_full_streams_stop_nothing(streams, src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst), prefix=("sh", "-c", 'exec "$@" %s' % streams, "sh"))
    make(src, "b")
    running.wait_equal(src, dst)
    assert running.stop() == 143 and "Traceback" not in running.log()


def test_a_reader_that_ends_stops_nothing(tmp_path, src, dst, daemon):
    make(src, "a")
    fifo = tmp_path / "once"
    os.mkfifo(str(fifo))
    with subprocess.Popen(["sh", "-c", 'exec < "$0"', str(fifo)]):  # ends when there is a writer
        running = daemon(sync(src, dst), prefix=("sh", "-c", 'exec "$@" > "$0" 2>&1', str(fifo)))
    running.fence(src, dst)
    assert running.stop() == 143


@pytest.mark.parametrize("stream", ["/dev/stdout", "/dev/stderr"])
def test_the_log_of_a_container_goes_to_its_streams_once(stream, src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst), settings={"logfile": stream}, options=())
    make(src, "b")
    running.wait_equal(src, dst)
    running.kill(signal.SIGHUP)
    running.wait(lambda: "configuration read again" in running.output(), "HUP")
    running.stop()
    lines = running.output().splitlines()
    assert not [line for line in lines if not LOG_LINE.fullmatch(line)]
    assert len([line for line in lines if "full sync of" in line]) == 1 and "ended by signal" in lines[-1]


def test_a_character_device_may_be_the_log(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst), settings={"logfile": "/dev/null"})
    running.fence(src, dst)
    assert "cannot" not in running.output()


def test_a_log_that_is_a_fifo_without_a_reader_stops_nothing(tmp_path, src, dst, daemon):
    make(src, "a")
    os.mkfifo(str(tmp_path / "fifo"))
    running = daemon(sync(src, dst), settings={"logfile": str(tmp_path / "fifo")})
    running.fence(src, dst)
    assert running.output().count("cannot write the log file") == 1
    assert running.stop() == 143


# ---- disks that are full, read-only or gone ----------------------------------------------------

def fill(disk):
    """Leave no room on a disk."""
    ballast = os.open(str(disk / "ballast"), os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(ballast, b"x" * 4096)
    except OSError:
        os.close(ballast)


def freeze(disk):
    """Make a disk read-only."""
    subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=True)


def mend(disk):
    subprocess.run(["mount", "-o", "remount,bind,rw", str(disk)], check=True)
    if (disk / "ballast").exists():
        (disk / "ballast").unlink()


@pytest.mark.parametrize("key, words", [("logfile", "cannot write the log file"), ("statusFile", "cannot write the status file"),
                                        ("pidfile", "Error: cannot write the pidfile .*; going on without it")])
@pytest.mark.parametrize("spoil", [fill, freeze])
def test_a_disk_that_takes_nothing_at_the_start_costs_a_line(spoil, key, words, small_disk, src, dst, daemon):
    make(src, "a")
    spoil(small_disk)
    running = daemon(sync(src, dst), settings={key: str(small_disk / "file")}, wait=False, options=())
    running.wait_path(dst / "a")
    running.wait(lambda: re.search(words, running.output()), words)
    running.fence(src, dst)
    assert len(re.findall(words, running.output())) == 1
    mend(small_disk)
    running.fence(src, dst)
    if key != "pidfile":
        running.wait(lambda: (small_disk / "file").exists() and (small_disk / "file").stat().st_size, "the file")
    assert running.stop() == 143


@pytest.mark.parametrize("spoil", [fill, freeze])
def test_a_disk_that_takes_no_more_while_running_stops_nothing(spoil, small_disk, src, dst, daemon):
    make(src, "a")
    files = {key: str(small_disk / key) for key in ("logfile", "statusFile")}  # a pidfile is open, and so the disk busy
    running = daemon(sync(src, dst), settings=files, wait=False)
    running.wait_path(small_disk / "statusFile")
    running.wait_equal(src, dst)
    spoil(small_disk)
    running.wait(lambda: running.fence(src, dst) or "cannot write the log file" in running.output(), "the log to fail")
    running.wait(lambda: "cannot write the status file" in running.output(), "the status to fail")
    mend(small_disk)
    running.fence(src, dst)
    running.wait(lambda: re.search(r"(?m)^\w{3} .* Warn: \d+ lines are missing here$", (small_disk / "logfile").read_text()), "the log to go on")
    lines = (small_disk / "logfile").read_text().splitlines()
    assert len([line for line in lines if not LOG_LINE.fullmatch(line)]) <= 1  # the one that was cut off
    freeze(small_disk)
    assert running.stop() == 143


def test_a_pidfile_that_cannot_be_removed_in_the_end_is_no_trouble(tmp_path, src, dst, daemon, obeys_modes):
    make(src, "a")
    place = tmp_path / "run"
    place.mkdir()
    running = daemon(sync(src, dst), settings={"pidfile": str(place / "pid")}, prefix=obeys_modes)
    place.chmod(0o555)
    try:
        assert running.stop() == 143
        assert (place / "pid").exists() and "Error" not in running.log()
    finally:
        place.chmod(0o755)
    assert daemon(sync(src, dst), settings={"pidfile": str(place / "pid")}).stop() == 143  # it is taken over
    assert not (place / "pid").exists()


def test_a_pidfile_in_a_directory_that_may_not_be_written_to_is_a_mistake(tmp_path, src, dst, daemon, obeys_modes):
    place = tmp_path / "run"
    place.mkdir()
    place.chmod(0o555)
    running = daemon(sync(src, dst), settings={"pidfile": str(place / "pid")}, prefix=obeys_modes, wait=False)
    assert running.ended() == 255
    place.chmod(0o755)
    assert "cannot write the pidfile %s: Permission denied" % (place / "pid") in running.output()


def test_a_disk_that_is_unmounted_while_running_stops_nothing(small_disk, src, dst, daemon):
    make(src, "a")
    (small_disk / "d").mkdir()
    files = {key: str(small_disk / "d" / key) for key in ("logfile", "statusFile", "pidfile")}
    running = daemon(sync(src, dst), settings=files, wait=False)
    running.wait_path(small_disk / "d" / "statusFile")
    subprocess.run(["umount", "-l", str(small_disk)], check=True)
    try:
        running.fence(src, dst)
        running.wait(lambda: "cannot write the log file" in running.output(), "the failure to be told")
        assert running.stop() == 143
    finally:
        subprocess.run(["mount", "-t", "tmpfs", "none", str(small_disk)], check=True)  # for the fixture to unmount


# ---- syslog ------------------------------------------------------------------------------------

SYSLOG = """
mount -t tmpfs -o mode=755 none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9 &&
ln -s null /dev/tty && ln -s /proc/self/fd /dev/fd && ln -s "$0" /dev/log && exec "$@"
"""


@pytest.mark.parametrize("settings, priority, tag, in_file", [
    ({"logfacility": "local3", "logident": "mirror"}, 19, "mirror", True),
    ({"logident": "mirror"}, 1, "mirror", True),
    ({"logfacility": 3}, 3, "lsyncd-lite", True),
    ({}, None, None, True)], ids=["facility and ident", "ident", "number", "neither"])
def test_syslog_gets_what_facility_and_ident_say(settings, priority, tag, in_file, tmp_path, src, dst, daemon):
    """In a mount namespace of its own, where /dev/log is ours."""
    if not ROOT or not shutil.which("unshare"):
        pytest.skip("a /dev/log of our own needs root and unshare")
    make(src, "a")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        here = os.getcwd()
        os.chdir(str(tmp_path))  # the whole path may be too long
        try:
            log.bind("log")
        finally:
            os.chdir(here)
        log.setblocking(False)
        running = daemon(sync(src, dst), settings=settings, options=(),
                         prefix=("unshare", "--mount", "sh", "-c", SYSLOG, str(tmp_path / "log")))
        running.stop()
        received = []
        try:
            while True:
                received.append(log.recv(4096).decode())
        except BlockingIOError:
            pass
    if priority is None:
        assert not received
    else:
        assert received
        for line in received:
            number, name = re.match(r"<(\d+)>(?:\w{3} [ \d]\d [\d:]{8} )?([^:\[]+)", line).groups()
            assert (int(number) // 8, name) == (priority, tag), line
    assert ("Normal: " in running.log()) == in_file


@pytest.mark.parametrize("state", ["missing", "refuses", "does not read", "restarts"])
def test_a_syslog_daemon_that_is_not_well_stops_nothing(state, tmp_path, src, dst, daemon):
    if not ROOT or not shutil.which("unshare"):
        pytest.skip("a /dev/log of our own needs root and unshare")
    make(src, "a")

    def listen():
        one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        here = os.getcwd()
        os.chdir(str(tmp_path))  # the whole path may be too long
        try:
            one.bind("log")
        finally:
            os.chdir(here)
        one.setblocking(False)
        return one
    log = None if state == "missing" else listen()
    if state == "refuses":
        log.close()
    running = daemon(sync(src, dst), settings={"logident": "mirror"}, options=("-log", "all"),
                     prefix=("unshare", "--mount", "sh", "-c", SYSLOG, str(tmp_path / "log")))
    noise(running, src, dst)
    if state == "restarts":
        log.close()
        (tmp_path / "log").unlink()
        running.fence(src, dst)
        log = listen()
        running.fence(src, dst)
        assert b"lines are missing here" in log.recv(4096)
    if state == "does not read":
        told = drain(log.fileno())
        running.fence(src, dst)
        assert b"lines are missing here" in told + drain(log.fileno())
    assert running.stop() == 143
    if log is not None:
        log.close()


# ---- pidfile -----------------------------------------------------------------------------------

# trap 38
def test_the_pidfile_holds_the_pid_and_nothing_of_an_older_one(tmp_path, src, dst, daemon):
    pidfile = tmp_path / "pid"
    pidfile.write_text("123456789012345\nolder\n")
    make(src, "a")
    running = daemon(sync(src, dst), options=["-pidfile", str(pidfile)])
    assert pidfile.read_text() == "%d\n" % running.pid
    assert stat.S_IMODE(pidfile.stat().st_mode) & 0o022 == 0
    assert running.stop() == 143
    assert not pidfile.exists()


# trap 38
def test_a_second_instance_is_refused_and_the_first_goes_on(tmp_path, src, dst, daemon, cli):
    pidfile = tmp_path / "pid"
    make(src, "a")
    running = daemon(sync(src, dst), settings={"pidfile": str(pidfile)})
    second = cli("-nodaemon", "-pidfile", pidfile, "-rsync", src, tmp_path / "other")
    assert second.returncode == 255
    assert len(second.stderr.splitlines()) == 1 and str(pidfile) in second.stderr and str(running.pid) in second.stderr
    assert not (tmp_path / "other").exists()
    assert pidfile.read_text() == "%d\n" % running.pid
    running.fence(src, dst)


# trap 38
def test_a_pidfile_that_is_another_s_by_now_is_left_alone(tmp_path, src, dst, daemon):
    pidfile = tmp_path / "pid"
    make(src, "a")
    running = daemon(sync(src, dst), settings={"pidfile": str(pidfile)})
    pidfile.unlink()
    pidfile.write_text("1\n")
    assert running.stop() == 143
    assert pidfile.read_text() == "1\n"


def test_a_pidfile_survives_hup(tmp_path, src, dst, daemon):
    pidfile = tmp_path / "pid"
    make(src, "a")
    running = daemon(sync(src, dst), settings={"pidfile": str(pidfile)})
    running.kill(signal.SIGHUP)
    running.wait_log("(?i)configuration|HUP")
    running.fence(src, dst)
    assert pidfile.read_text() == "%d\n" % running.pid


def test_a_pidfile_that_cannot_be_written_is_one_line_and_exit_255(tmp_path, src, dst, cli):
    ended = cli("-nodaemon", "-pidfile", tmp_path / "no" / "pid", "-rsync", src, dst)
    assert ended.returncode == 255 and len(ended.stderr.splitlines()) == 1 and "no/pid" in ended.stderr


# ---- status file -------------------------------------------------------------------------------

def test_the_status_file_is_whole_whenever_it_is_read(src, dst, daemon):
    make(src, "a")
    running = daemon(sync(src, dst, name="www"), settings={"statusInterval": 0})
    numbers = iter(range(100000))
    inodes = set()

    def write_and_read():
        make(src, "new%d" % next(numbers))
        with open(str(running.statusfile), "rb") as file:
            facts, text = os.fstat(file.fileno()), file.read().decode()
        assert re.match(r"Lsyncd-lite status report at \w{3} \w{3} [ \d]\d [\d:]{8} \d{4}\n", text)
        reports, watching = parse_status(text)
        assert list(reports) == ["www"] and watching == 1 and text.endswith("\n")
        assert stat.S_IMODE(facts.st_mode) == 0o640
        inodes.add(facts.st_ino)
        return len(inodes) > 5
    running.wait(write_and_read, "the status to be written again and again")
    left = {path.name for path in running.folder.iterdir()}
    assert left <= {"daemon.ini", "log", "out", "status"}, left


def test_the_status_counts_what_is_queued_and_in_flight(src, dst, daemon, rsync):
    make(src, "a")
    binary = rsync()
    running = daemon(sync(src, dst, name="www", rsync={"binary": binary.path}))
    binary.hold()
    make(src, "b", "c")
    running.wait_status("www", state="syncing", in_flight="2", delays=0)
    make(src, "d", "e", "f")
    report = running.wait_status("www", in_flight="2", delays=3)["www"]
    assert re.fullmatch(r"\d+ s", report.oldest) and report.source == "%s/" % src and report.target == "%s/" % dst
    binary.release()
    running.wait_status("www", state="idle", in_flight="0", delays=0)
    running.wait_equal(src, dst)


def test_a_status_file_that_cannot_be_written_stops_nothing(tmp_path, src, dst, daemon):
    place = tmp_path / "run"
    place.mkdir()
    make(src, "a")
    running = daemon(sync(src, dst), settings={"statusFile": str(place / "status")}, wait=False)
    running.wait_path(place / "status")
    shutil.rmtree(str(place))
    make(src, "b")
    running.wait_equal(src, dst)
    running.wait_log(r"(?i)cannot .*%s" % re.escape(str(place / "status")))
    place.mkdir()
    make(src, "c")
    running.wait_path(place / "status")
    running.wait_equal(src, dst)
