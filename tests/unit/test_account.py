"""What jobs say of how far they are: taken in, and out of what others read."""

import os
import random
import subprocess
from types import SimpleNamespace as namespace

import pytest

from lsyncd_lite.mirror.account import ASKED, Account, Progress, asked

WITHIN = b"\r         32,768   0%    0.00kB/s    0:00:00  "
AFTER = b"\r     30,000,005  99%  697.05MB/s    0:00:03 (xfr#3, to-chk=298/302)"


@pytest.mark.parametrize("line, wanted", [
    (AFTER, (30000005, 99, 4, 302, int(697.05 * 1024 ** 2), 3)),
    (b"\r        1,000  50%    9.77kB/s    1:02:03 (xfr#8, to-chk=1/11)", (1000, 50, 10, 11, 10004, 3723)),
    (b"\r        1.000  50%    9,77kB/s    1:02:03 (xfr#8, to-chk=1/11)", (1000, 50, 10, 11, 10004, 3723)),  # another locale
    (b"\r         1000  50%    9.77kB/s   ??:??:?? (xfr#8, to-chk=1/11)", (1000, 50, 10, 11, 10004, None)),  # --no-h
    (b"\r        1.94K  97%  942.38kB/s    0:00:00 (xfr#8, to-chk=1/11)", (1940, 97, 10, 11, 964997, 0)),    # -h
    (b"\r        1,94G  97%    1,50GB/s    0:00:00 (xfr#8, to-chk=1/11)", (1940000000, 97, 10, 11, 1610612736, 0)),
    (b"\r          100  99%  942.38kB/s    0:00:00 (xfr#8, ir-chk=1003/1011)", (100, None, 8, None, 964997, None)),  # it still finds more
    (WITHIN, (32768, None, None, None, 0, None)),  # of how much, is not told yet
    (b"\r          100   1%  942.38kB/s    0:10:00 (xfr#2, to-chk=20/100)", (100, 80, 80, 100, 964997, None)),  # most is equal already
    (b"so far: 123 4", (123, None, 4, None, None, None)), (b"so far: 123 0", (123, None, None, None, None, None)),
])
def test_a_line_is_taken_in(line, wanted):
    account = Account()
    assert account.hear(line) == b""
    assert account.progress == Progress(*wanted) and account.bytes == wanted[0]


def test_what_a_piece_does_not_tell_is_as_it_was():
    account = Account()
    account.hear(AFTER)
    account.hear(WITHIN)
    assert account.files == 3 and account.progress.files == 4 and account.progress.of == 302


def test_while_rsync_finds_more_others_say_how_many_there_are():
    account = Account()
    finding = b"\r          100  99%%  942.38kB/s    0:00:00 (xfr#%d, ir-chk=%d/1011)"
    account.hear(finding % (8, 1003))
    assert account.finds_more and account.progress[1:4] == (None, 8, None)
    account.expected = 2000
    account.hear(finding % (300, 511))
    account.hear(WITHIN)  # is of what is found, too
    assert account.progress == Progress(32768, 25, 500, 2000, 0, None)
    account.expected = 400  # some have come since they were counted
    account.hear(finding % (300, 511))
    assert account.progress[1:4] == (None, 500, None)
    account.hear(b"\r          100  50%  942.38kB/s    0:00:07 (xfr#900, to-chk=10/1011)")
    assert not account.finds_more and account.progress == Progress(100, 50, 1001, 1011, 964997, 7)


@pytest.mark.parametrize("line", [
    b"rsync: [sender] send_files failed to open \"/src/x\": Permission denied (13)", b"rsync error: some files (code 23) at main.c(1)",
    b"so far: 1 x", b"so far: 1 2 3", b"so far so good", b"  1,000  50%    9.77kB/s    1:02:03", b"equal: done", b"a\rb", b"\rsent 3 bytes"])
def test_what_others_print_is_theirs(line):
    account = Account()
    assert account.hear(line) == line and account.bytes == 0


def test_what_follows_a_piece_without_a_line_end_is_not_lost():
    account = Account()
    assert account.hear(AFTER + b"ssh: connect to host h port 22: Connection refused") == b"ssh: connect to host h port 22: Connection refused"
    assert account.hear(b"cannot do it: " + AFTER) == b"cannot do it: "
    assert account.progress.files == 4


def test_of_a_line_without_end_only_the_last_piece_is_kept():
    account = Account()
    assert account.trim(WITHIN + AFTER + b"\r     31,0") == b"\r     31,0"
    assert account.bytes == 30000005 and account.progress.files == 4
    assert account.trim(b"a name") == b"a name"
    words = b"a word of somebody's" + AFTER
    assert account.trim(words + AFTER) == words + AFTER  # which its line end tells


def test_what_is_cut_anywhere_is_the_same_in_the_end():
    chance = random.Random(1)
    pieces = [b"\r%15d %3d%% %7.2fkB/s %4d:%02d:%02d (xfr#%d, to-chk=%d/%d)" % (n * 1000, n * 100 // 400, n, n, n % 60, n % 60, n, 400 - n, 400)
              for n in range(1, 400)]
    for number in (50, 200, 333):
        pieces.insert(number, b"\nname %d\n" % number)
    data = b"".join(pieces) + b"\nrsync error: x\n"
    for _turn in range(200):
        account, rest, lines, at = Account(), b"", [], 0
        while at < len(data):
            size = chance.choice((1, 3, 50, 90, 4096, 65536))
            *whole, rest = (rest + data[at:at + size]).split(b"\n")
            at += size
            rest = account.trim(rest)
            assert len(rest) < 66000
            lines += filter(None, map(account.hear, whole))
        assert lines == [b"name 50", b"name 200", b"name 333", b"rsync error: x"]
        assert account.progress == Progress(399000, 99, 399, 400, int(399 * 1024), 399 * 3600 + 39 * 60 + 39) and account.files == 399


def test_who_asks_for_the_same_sees_it():
    account = Account(True)
    assert account.hear(AFTER) == AFTER and account.trim(AFTER + WITHIN) == AFTER + WITHIN and account.files == 3


def config(*extra, quiet=False):
    return namespace(rsync=namespace(_extra=extra, quiet=quiet))


@pytest.mark.parametrize("extra, wanted", [
    ((), ([ASKED], False)), (("-v", "--stats", "--out-format=%n", "-h", "--info=name1"), ([ASKED], False)),
    (("--include=-P",), ([ASKED], False)), (("--info=progress2",), ([], True)), (("--info=name,progress2",), ([], True)),
    (("--progress",), ([], None)), (("-P",), ([], None)), (("-avP",), ([], None)), (("--info=progress",), ([], None)),
    (("--info=ALL",), ([], None)), (("-q",), ([], None)), (("--quiet",), ([], None))])
def test_what_is_asked_for_beside_what_the_user_asks(extra, wanted):
    assert asked(config(*extra)) == wanted


def test_rsync_that_is_quiet_is_asked_for_nothing():
    assert asked(config(quiet=True)) == ([], None)


@pytest.mark.parametrize("options", [(), ("-v",), ("-h",), ("-hh",), ("--no-h",), ("--stats",), ("--out-format=%n",), ("--delete",), ("-vv",)])
def test_the_rsync_that_is_there_tells_what_it_sends_and_prints_the_rest_as_ever(tmp_path, options):
    for number in range(30):
        folder = tmp_path / "src" / ("d%d" % (number % 3))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ("f%d" % number)).write_bytes(b"x" * number * 1000)
    said = {}
    for asks in ((), (os.fsdecode(ASKED),)):
        target = str(tmp_path / "dst")
        done = subprocess.run(["rsync", "-a", *options, *asks, str(tmp_path / "src") + "/", target], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        subprocess.run(["rm", "-rf", target], check=True)
        account = Account()
        *lines, rest = done.stdout.split(b"\n")
        assert rest == b""
        said[asks] = [line for line in map(account.hear, lines) if line and b"bytes/sec" not in line and b"otal bytes" not in line
                      and b" time: " not in line and b"total: matches" not in line and b"speedup" not in line and b"(del" not in line]
    assert sorted(said[()]) == sorted(said[(os.fsdecode(ASKED),)])
    assert account.files == 30 and (account.bytes == 435000 or "-h" in options[0] and abs(account.bytes - 435000) < 12000)
    assert account.progress.of == 34 and account.progress.files == 34 and account.progress.percent == 100


def test_the_far_side_hears_nothing_of_what_is_asked_for(tmp_path):
    """It may refuse what it does not know: an rsync daemon's `refuse options`, rrsync, a forced command."""
    (tmp_path / "rsh").write_text("#!/bin/sh\nprintf '%s\\0' \"$@\" > \"$0.$HEARD\"; exit 9\n")
    (tmp_path / "rsh").chmod(0o755)
    for heard, asks in (("without", []), ("with", [os.fsdecode(ASKED)])):
        subprocess.run(["rsync", "-ltr", "--delete", *asks, "-e", str(tmp_path / "rsh"), str(tmp_path) + "/", "host:/x"],
                       env=dict(os.environ, HEARD=heard), stderr=subprocess.DEVNULL)
    words = (tmp_path / "rsh.with").read_bytes()
    assert b"--server" in words and words == (tmp_path / "rsh.without").read_bytes()
