"""What a mode hands out to be run, and what its end means."""

import enum


class Verdict(enum.Enum):
    """What the end of a job says about its entries and about the target."""

    OK = "ok"            # they are on the target
    PARTIAL = "partial"  # the target works, some of them are not on it
    AGAIN = "again"      # the target, or the way to it, does not work now
    LOOK = "look"        # some vanished meanwhile: look at them once more
    REDO = "redo"        # nothing is wrong but the way it was tried; try another at once
    DIE = "die"          # trying again will not help


class Job:
    """One child to spawn.

    argv: list of bytes; stdin: bytes for its standard input, or None; entries: the
    (path, marks) it makes equal; purpose: a word for the log and for the mode that made it.
    """

    __slots__ = ("argv", "stdin", "entries", "purpose", "then_full", "since", "held", "began")

    def __init__(self, argv, stdin, entries, purpose):
        self.argv = argv
        self.stdin = stdin
        self.entries = entries
        self.purpose = purpose
        self.then_full = False  # it touches what only a full sync makes equal altogether
        self.since = None   # seconds: the oldest of its changes
        self.held = False   # it tries again what failed partly
        self.began = None   # seconds
