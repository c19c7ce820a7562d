"""What a job says of how far it has come: the lines for that are ours, and nobody else's.

rsync(1), `--info=progress2`: a carriage return, then bytes, percent, bytes a second, time left and, after
each file, how many were sent and are still to be checked. It is asked for by the client alone: unlike
`--stats` nothing of it reaches the far side, which may refuse what it does not know. Our own child
says `so far: BYTES FILES`. What remains of a line belongs to whoever prints it.
"""

import re
from collections import namedtuple

# What a full sync has done so far. bytes: the size of the files whose content was sent; percent (of all bytes, or where most
# is equal already, of all names); files: names that are done with, of: of so many; rate: bytes a second;
# left: seconds. None: not known, as everything is that depends on what rsync has not found yet.
Progress = namedtuple("Progress", "bytes percent files of rate left")

ASKED = b"--info=progress2"
SO_FAR = b"so far: "  # begins the line of our own child

_PIECE = re.compile(rb"\r* *(\d[\d.,']*)([KMGTP]?) +(\d+)% +(\d+[.,]?\d*)([kKMGTP]?)B/s +(?:(\d+):(\d\d):(\d\d)|\?\?:\?\?:\?\?)"
                    rb"(?: +\(xfr#(\d+), (ir|to)-chk=(\d+)/(\d+)\))? *")
_LETTERS = b"0123456789 .,'%kKMGTPB/s:?()xfr#ito-chk=\r"  # of these it is made
_POWERS = b"KMGTP"
_SHORT = re.compile("-[A-Za-z0-9]*P")


class Account:
    """What one job has told. shown: the user has asked for the same, so nothing is taken away.

    bytes, files: whose content was sent; progress: the last Progress, or None; due: the (bytes, files) of one that tells nothing, should it succeed;
    finds_more: rsync has not found all there is; expected: about how many names that are, from others (None: not known).
    """

    __slots__ = ("shown", "bytes", "files", "progress", "due", "finds_more", "expected")

    def __init__(self, shown=False):
        self.shown = shown
        self.bytes = self.files = 0
        self.progress = None
        self.due = 0, 0
        self.expected = None
        self.finds_more = False

    def hear(self, line):
        """Take a whole line (bytes, without its end) that a job has printed; return what is left of it for others."""
        if line.startswith(SO_FAR):
            words = line[len(SO_FAR):].split()
            if len(words) == 2 and all(map(bytes.isdigit, words)):
                self.bytes, self.files = (max(pair) for pair in zip((self.bytes, self.files), map(int, words)))
                self.progress = Progress(self.bytes, None, self.files or None, None, None, None)
                return b""
        if b"\r" not in line:
            return line
        self._learn(line)
        if self.shown:
            return line
        return b"" if _is_plain(line) else _PIECE.sub(b"", line)

    def trim(self, rest):
        """Take what a job has printed of a line that has not ended; return what has to be kept of it.

        A hundred thousand files are as many pieces of one line: only the last is of interest.
        """
        end = rest.rfind(b"\r")
        if end < 0:
            return rest
        self._learn(rest)
        return rest if self.shown or not _is_plain(rest[:end]) else rest[end:]

    def _learn(self, text):
        """Take the last piece, and the one before it, as the last may be cut."""
        for piece in text.rsplit(b"\r", 2)[-2:]:
            match = _PIECE.match(piece)
            if match:
                self._take(*match.groups())

    def _take(self, number, power, percent, rate, rate_power, hours, minutes, seconds, sent, found, ahead, of):
        done = self.progress or Progress(*[None] * 6)
        self.bytes = _number(number, power, 1000)
        files, total, percent = done.files, done.of, int(percent)
        if sent is not None:
            self.files, total, self.finds_more = int(sent), int(of), found == b"ir"
            files = total - int(ahead)
        left = None if hours is None else int(hours) * 3600 + int(minutes) * 60 + int(seconds)
        if self.finds_more:  # what rsync says of the whole is of what it has found
            total = self.expected if (self.expected or 0) > (files or 0) else None
            percent, left = None if total is None else 100 * (files or 0) // total, None
        elif total is None:
            percent = left = None
        elif 2 * self.files < (files or 0):  # rsync counts what it sends only, and most of it is equal
            percent, left = 100 * files // total, None
        self.progress = Progress(self.bytes, percent and min(percent, 100), files, total, _number(rate, rate_power or b"", 1024, True), left)


def _is_plain(text):
    return not text.translate(None, _LETTERS)


def _number(digits, power, base, broken=False):
    """Return the int of a number as rsync prints it, with marks between thousands or with a unit, in any locale."""
    if power or broken:
        return int(float(re.match(rb"\d+(\.\d+)?", digits.replace(b",", b"."))[0]) * base ** (1 + _POWERS.index(power.upper()) if power else 0))
    return int(re.sub(rb"\D", b"", digits))


def asked(config):
    """Return (the options, as a list of bytes, by which an rsync of a SyncConfig tells how far it is; `shown` of the Account for it).

    Who lets rsync be quiet, or show the progress of each file, gets that, and no numbers (None).
    """
    words = [word for word in config.rsync._extra if word.startswith("-")]
    theirs = [word for word in words if "progress2" in word.lower() and word.startswith("--info=")]
    if config.rsync.quiet or any(word == "--quiet" or re.fullmatch("-[A-Za-z0-9]*q[A-Za-z0-9]*", word) for word in words):
        return [], None
    if theirs:
        return [], True
    if any(word == "--progress" or _SHORT.match(word) or word.startswith("--info=") and re.search("progress|all", word, re.I) for word in words):
        return [], None
    return [ASKED], False
