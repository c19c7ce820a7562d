"""exec mode: a command of the user's for each kind of change.

Values get into a command as data (see config/commands.py). What a command's exit status
means is the user's to say: one that is not listed in `exitcodes` is ignored, but for
the start-up's, which has to be 0.
"""

from lsyncd_lite.mirror.events import Kind
from lsyncd_lite.mirror.job import ACTION, Job, Verdict
from lsyncd_lite.mirror.pair import how, in_directory
from lsyncd_lite.paths import show, split

_WORDS = {"ok": Verdict.OK, "again": Verdict.AGAIN, "die": Verdict.DIE}


class Exec:
    """The mode of one sync."""

    connection = None  # to no other host that we know of
    takes_batches = False
    next_alarm = None
    ends = None

    def __init__(self, config):
        self.config = config
        self.takes_moves = config.onMove is not None
        self.has_startup = config.onStartup is not None
        self._actions = {Kind.CREATE: config.onCreate, Kind.MODIFY: config.onModify, Kind.ATTRIB: config.onAttrib,
                         Kind.DELETE: config.onDelete, Kind.MOVE: config.onMove}

    def protect(self, paths):
        """Take no note of paths from which a file system has gone: what is deleted there is not told."""

    def startup(self, _look):
        """Yield the Job of the start-up; return (Verdict, words)."""
        status, output = yield Job(self.config.onStartup.argv(self._values()), None, [], ACTION)
        return judge(self.config.exitcodes, status, output, "onStartup", Verdict.AGAIN)

    def work(self, event, _look):
        """Return the generator for an Event, or None where it needs no action."""
        action = self._actions[event.kind]
        if action is None and event.kind is Kind.CREATE and not event.is_dir:
            action = self._actions[Kind.MODIFY]  # it was written, and is told of once only
        return None if action is None else self._run(action, event)

    def _run(self, action, event):
        values = self._values()
        values.update(self._of_path(event.path if event.origin is None else event.origin, event.is_dir, ""))
        if event.origin is not None:
            values.update(self._of_path(event.origin, event.is_dir, "o."))
            values.update(self._of_path(event.path, event.is_dir, "d."))
        status, output = yield Job(action.argv(values), None, [], ACTION)
        return judge(self.config.exitcodes, status, output, "on%s of %s" % (event.kind.value, show(event.path)), Verdict.OK)

    def _values(self):
        return {"source": in_directory(self.config.source), "target": self.config.target}

    def _of_path(self, path, is_dir, prefix):
        """Return {variable: value} of a relative path."""
        directory = split(path)[0]
        values = {}
        for name, value in (("path", path + b"/" * is_dir), ("pathname", path), ("pathdir", directory and directory + b"/")):
            values[prefix + name] = value
            for root in ("source", "target"):
                values[prefix + root + "P" + name[1:]] = in_directory(getattr(self.config, root)) + value
        return values


def judge(exitcodes, status, output, what, unlisted):
    """Return (Verdict, words) for the end of a user's command.

    exitcodes: pairs of an exit status and a word; unlisted: the Verdict of one that is
    neither 0 nor among them. What was killed, or could not be run, has not succeeded.
    """
    words = "%s %s" % (what, how(status, output))
    if status is None or status < 0:
        return Verdict.AGAIN, words
    verdict = _WORDS[dict(exitcodes).get(status, "ok")] if status in dict(exitcodes) else unlisted if status else Verdict.OK
    if verdict is Verdict.OK:
        return verdict, words + " (ignored: it is not among exitcodes)" if status and status not in dict(exitcodes) else None
    return verdict, words
