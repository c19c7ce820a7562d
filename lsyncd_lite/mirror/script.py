"""script mode: functions of the user's are called for what has happened, and say what to run.

What is called for what, what an answer means, and how the standard modes do it instead,
is decided here; the calling itself, and what a script sees, is system/script.py's.
"""

from collections import deque, namedtuple

from lsyncd_lite.config.scripts import OF_EVENTS
from lsyncd_lite.errors import ScriptError
from lsyncd_lite.mirror.change import FRESH, PLACE, WHOLE
from lsyncd_lite.mirror.events import Kind
from lsyncd_lite.mirror.exec import judge
from lsyncd_lite.mirror.job import ACTION, CHECK, MAY_BEGIN, Job, Verdict

FUNCTIONS = dict(zip((Kind.CREATE, Kind.MODIFY, Kind.ATTRIB, Kind.DELETE, Kind.MOVE), OF_EVENTS))

# What a script wants: a command (argv: list of bytes; stdin: bytes or None), or what a standard mode
# does about Events (whole: about everything).
Command = namedtuple("Command", "argv stdin")
Standard = namedtuple("Standard", "mode events whole")

PLAIN = "plain"  # the last word of a function that said what it wants, and no more
_VERDICTS = {None: Verdict.OK, PLAIN: Verdict.OK, "ok": Verdict.OK, "again": Verdict.AGAIN, "die": Verdict.DIE}
_ALARM_AGAIN = 10.0  # seconds after which an alarm that said "again" comes again
_REPLANNED = 3  # times that a standard mode may say that it has to be done in another way


class Script:
    """The mode of one sync. calls: what calls its functions (a system.script.Calls)."""

    connection = None  # its standard modes share what there is, and wait for nobody

    def __init__(self, config, calls):
        self.config = config
        self._calls = calls
        self.takes_moves = "on_move" in calls.names
        self.takes_batches = "action" in calls.names
        self.has_startup = "on_startup" in calls.names
        self.released = False  # a standard mode may delete more than maxDelete, once
        self._protected = ()
        self._incomplete = set()  # the standard modes whose target has to be compared as a whole, as it was away
        self._probed = set()  # the standard modes that have asked what they need to know

    def protect(self, paths):
        """Let the standard modes delete nothing at and below some relative paths, as Rsync.protect does."""
        self._protected = tuple(paths)

    @property
    def next_alarm(self):
        """When a function wants to be called next, or None."""
        return self._calls.next_alarm

    @property
    def ends(self):
        """The exit status with which the program shall end, or None."""
        return self._calls.ends

    def startup(self, look):
        """Return the generator for the start-up (see eventsync.Work)."""
        return self._run("on_startup", [self._calls.sync], [], look, Verdict.AGAIN)

    def work(self, event, look):
        """Return the generator for an Event, or None where there is no function for it."""
        name = FUNCTIONS[event.kind]
        if name not in self._calls.names and event.kind is Kind.CREATE and not event.is_dir:
            name = FUNCTIONS[Kind.MODIFY]  # it was written, and is told of once only
        if name not in self._calls.names:
            return None
        seen = self._calls.event(event)
        return self._run(name, [seen.origin, seen] if event.origin is not None else [seen], [event], look)

    def batch(self, inbox, look):
        """Return the generator for the Events of an Inbox."""
        return self._run("action", [self._calls.inbox(inbox)], inbox.taken, look)

    def alarm(self, now, look):
        """Return the generator for an alarm that is due."""
        function = self._calls.take_alarm(now)
        verdict, words = yield from self._run(function, [], [], look)
        if verdict is Verdict.AGAIN:
            self._calls.alarm(_ALARM_AGAIN, function)
        return verdict, words

    def _run(self, function, arguments, events, look, unlisted=Verdict.OK):
        """Call a function; yield the Jobs that it wants; return (Verdict, words)."""
        answers, news, words = self._calls.run(function, arguments), None, None
        try:
            try:
                while True:
                    wanted = answers.send(news)
                    if isinstance(wanted, Standard):
                        news = 0
                        verdict, words = yield from self._standard(wanted, look)
                    else:
                        status, output = yield Job(wanted.argv, wanted.stdin, [], ACTION)
                        news = 127 if status is None else status  # as a shell says it
                        verdict, words = judge(self.config.exitcodes, status, output, self._calls.name_of(function), unlisted)
                        said = self._calls.collect(wanted, events, news)
                        if said is not None:
                            verdict, words = _VERDICTS[said], "%s: collect says %s" % (words or "ended with %d" % news, said)
                    if verdict is not Verdict.OK:
                        return verdict, words
            finally:
                answers.close()
        except StopIteration as end:
            if end.value == PLAIN:
                return Verdict.OK, words  # nobody else looks at an exit status that is ignored
            return _VERDICTS[end.value], None if end.value in (None, "ok") else "%s says %s" % (
                self._calls.name_of(function), end.value)
        except ScriptError as error:
            return Verdict.DIE, str(error)

    def _standard(self, wanted, look):
        """Do what a standard mode does; return (Verdict, words)."""
        mode = self._calls.standard(wanted.mode)
        if wanted.mode not in self._probed:
            probe = mode.probe()
            if probe is not None:
                verdict, words = mode.verdict(probe, *(yield probe))
                if verdict in (Verdict.AGAIN, Verdict.DIE):
                    return verdict, words
            self._probed.add(wanted.mode)
        entries = places(wanted.events)
        whole = wanted.whole or wanted.mode in self._incomplete
        rounds = deque([[(b"", WHOLE)]] if whole else [])
        doubtful = [(path, marks) for path, marks in entries if marks & FRESH]
        rounds += [doubtful if whole else entries]  # a full sync compares no content
        planned, worst = 0, (Verdict.OK, None)
        while rounds:
            entries = rounds.popleft()
            mode.released = self.released
            mode.protect(self._protected)
            for job in mode.plan(entries, look.source, look.settled, look.wall) if entries else ():
                verdict = Verdict.OK
                if job.check is not None:
                    check, job.check = Job(job.check, job.stdin, [], CHECK), None
                    verdict, words = mode.verdict(check, *(yield check))
                    job.entries = check.entries or job.entries
                if verdict in MAY_BEGIN:
                    verdict, words = mode.verdict(job, *(yield job))
                if verdict is Verdict.REDO and planned < _REPLANNED:
                    planned += 1
                    rounds.appendleft(entries)
                    break
                if verdict is Verdict.OK and job.free:
                    self.released = False
                if verdict is Verdict.LOOK:
                    worst = verdict, words
                elif verdict is not Verdict.OK:
                    if any(not path and marks & WHOLE for path, marks in job.entries):
                        self._incomplete.add(wanted.mode)
                    if verdict is Verdict.PARTIAL and job.free:
                        self.released = False
                    return verdict, words
                if job.then_full:
                    rounds.append([(b"", WHOLE)])
        if whole:
            self._incomplete.discard(wanted.mode)
        return worst


def places(events):
    """Return the [(path, marks)] that are to be made equal after Events."""
    found = {}
    for event in events:
        there = (WHOLE | FRESH) if event.is_dir else FRESH
        marks = there if event.kind in (Kind.CREATE, Kind.MOVE) else FRESH if event.kind is Kind.MODIFY else PLACE
        found[event.path] = found.get(event.path, PLACE) | marks
        if event.origin is not None:
            found.setdefault(event.origin, PLACE)
    return list(found.items())
