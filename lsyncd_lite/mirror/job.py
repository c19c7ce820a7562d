"""What a mode hands out to be run, and what its end means."""

import enum


# What a job is for: the word in the log, and how its end is read.
PROBE, FULL, BATCH, REMOVAL, RENAMES = "probe", "full sync", "batch", "removal", "renames"
ACTION, LOST, GATE, HOOK = "action", "nothing", "runIf", "onBatch"  # LOST: there is nothing to run, its end is known
CHECK, CLEANING = "count of deletions", "cleaning"


ANSWER = b"equal: "  # begins the line in which a child of our own says what became of its work


class Verdict(enum.Enum):
    """What the end of a job says about its entries and about the target."""

    OK = "ok"            # they are on the target
    PARTIAL = "partial"  # the target works, some of them are not on it
    AGAIN = "again"      # the target, or the way to it, does not work now
    LOOK = "look"        # some vanished meanwhile: look at them once more
    REDO = "redo"        # nothing is wrong but the way it was tried; try another at once
    DIE = "die"          # trying again will not help
    HELD = "held"        # it would delete more than it may: nothing was done


# Verdicts of a check after which the job may begin: what could not be counted will not be deleted either.
MAY_BEGIN = (Verdict.OK, Verdict.LOOK, Verdict.PARTIAL)


class Job:
    """One child to spawn.

    argv: list of bytes (LOST: None); stdin: bytes for its standard input, or None; entries: the
    (path, marks) it makes equal; purpose: a word for the log and for the mode that made it;
    moves: the Moves that it does on the target; shown: its output is for people, escaped
    already; limit: seconds after which it hangs (None: never); check: argv of a run with the same stdin that changes nothing and
    whose verdict says if it may begin (None: it may); free: it may delete as much as it finds;
    empties: it would empty a target, and must not; environ: {bytes: bytes} that
    its environment has besides ours. `entries` and `done` are the
    mode's to set when it judges the end: to those that are not on the target, and to which
    moves were done (True, False, None: nobody knows; no list: none was begun).
    """

    __slots__ = ("argv", "stdin", "entries", "purpose", "moves", "done", "shown", "limit", "environ",
                 "then_full", "since", "held", "began", "work", "around", "name", "told", "check", "free", "empties",
                 "overdue", "killed", "stuck", "printed", "about", "account")

    def __init__(self, argv, stdin, entries, purpose, moves=()):
        self.argv = argv
        self.stdin = stdin
        self.entries = entries
        self.purpose = purpose
        self.moves = moves
        self.done = None
        self.shown = False
        self.limit = None
        self.check = None
        self.free = False
        self.empties = False
        self.environ = None
        self.then_full = False  # it touches what only a full sync makes equal altogether
        self.since = None   # seconds: the oldest of its changes
        self.held = False   # it tries again what failed partly
        self.began = None   # seconds
        self.work = None    # the Work that it is a part of (see eventsync.py)
        self.around = None  # the Job that runs after it: onBatch.before
        self.name = None    # of a hook: before, after or failed
        self.told = None    # the paths that a hook was told
        self.about = None   # of onBatch.after: the oldest of the changes that it is told (seconds), None where that is not known
        self.overdue = None  # why it was ended by us (words)
        self.killed = self.stuck = False  # so it was; and that did not end it
        self.printed = 0    # lines
        self.account = None  # the Account of what it has sent

    @property
    def size(self):
        """The number of changes it is about."""
        return len(self.entries) + len(self.moves)


def answer(output, count):
    """Return the set of the numbers below count that the last line of a child's output says have failed.

    None where it is no answer: `equal: done` or `equal: failed NUMBER …` ("*": all).
    """
    words = output[-1][len(ANSWER):].split() if output and output[-1].startswith(ANSWER) else []
    if words == [b"done"]:
        return set()
    if words[:1] != [b"failed"]:
        return None
    return set(range(count)) if words[1:] == [b"*"] else {int(word) for word in words[1:] if word.isdigit()}
