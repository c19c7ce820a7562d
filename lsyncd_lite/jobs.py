"""The jobs that run: started, listened to, ended when they stand still, reaped.

Stands between the syncs, who decide what a job is and what its end means, and the
children, who know nothing of jobs.
"""

import errno
import os
import signal
import time

from lsyncd_lite.errors import reason
from lsyncd_lite.mirror import needs
from lsyncd_lite.mirror.job import BATCH, CHECK, FULL, GATE as ASKING, HOOK, PROBE, REMOVAL, Job
from lsyncd_lite.mirror.rsync import ANSWERED, DETAIL
from lsyncd_lite.paths import show, shown
from lsyncd_lite.report.discretion import discreet, secrets_of
from lsyncd_lite.system import program
from lsyncd_lite.system.process import Children
from lsyncd_lite.system.sockets import Sockets

PRINTED = 1000       # lines of one job that the log shows
HEARD = 100          # lines of children that are known again
WORD_LONGEST = 200   # bytes of an argument that the log shows
GRACE = 2.0          # seconds between TERM and KILL for what does not listen
LOOK = 10.0          # seconds between two looks at a job that still runs
BLOCKED = 2          # looks at which it waited for a fifo
# Seconds between two looks for a shared connection, that others wait for it, and that they wait for each
# other when it has no room: sshd_config(5), MaxSessions.
GATE, GATE_LONGEST, GATE_CROWD = 0.05, 10.0, 0.5
SESSIONS = 9
_KEPT = b"cannot delete non-empty directory: "  # --max-delete=0 says it of each


class Jobs:
    """All jobs that run. loop: a Loop; log: a Log."""

    def __init__(self, loop, log):
        self._loop = loop
        self._log = log
        self._children = Children(loop, self._on_line)
        self._sockets = Sockets()
        self._tunnels = None    # Openings, once there is a sync with a tunnel
        self._heard = {}        # Sync → lines that its children have printed since it worked
        self._looked_at = 0.0   # when they were looked at last

    def __len__(self):
        return len(self._running())

    def _running(self):
        """Return [(sync, job)] of all that runs; a tunnel is no job."""
        return [tag for tag in self._children.tags() if isinstance(tag[1], Job)]

    @property
    def active(self):
        """The number of those that run and can be ended."""
        return sum(not job.stuck for _sync, job in self._running())

    @property
    def sockets(self):
        """The directory (bytes) of the connections that modes may share, or None."""
        return self._sockets.path

    def start(self, sync, job):
        """Start a job of a sync; return None, or words (list of bytes) where that cannot be done."""
        argv = job.argv
        try:
            if sync.tunnels is not None and job.purpose not in (HOOK, ASKING):
                argv = self._tunnels.enter(sync, job)
        except ValueError as error:
            return [os.fsencode(str(error))]
        before = ()
        if job.purpose not in (HOOK, ASKING):  # these may start what is to stay
            before, argv = needs.gentle(sync.config), needs.gently(sync.config, argv)
        if self._log.shows("Exec"):
            words = discreet(argv, secrets_of(sync.config))
            words = [word if len(word) <= WORD_LONGEST else word[:WORD_LONGEST] + b"..." for word in words]
            self._log("Exec", "%s: %s" % (sync.config.name, " ".join(map(show, words))))
        if job.purpose == FULL:
            self._log("Normal" if sync.last_error is None else "Output", "%s: full sync of %s to %s"
                      % (sync.config.name, show(sync.config.source), show(sync.config.target)))
        try:
            if not sync.config.local:
                self._sockets.prepare()
            lacking = next((name for name in [*before, job.argv[0]] if program.find(name) is None), None) if before else None
            if lacking is not None:  # none of them says so as well
                self._leave(job)
                return [os.fsencode(needs.missing(lacking, sync.config))]
            self._children.spawn((sync, job), argv, job.stdin, job.environ, account=job.account)
        except OSError as error:
            self._leave(job)
            words = "cannot run %s: %s" % (show(argv[0]), reason(error))
            if error.errno == errno.ENOENT:
                is_there = program.find(argv[0]) is not None
                words = words + ", which it needs" if is_there else needs.missing(argv[0], sync.config)
            return [os.fsencode(words)]
        return None

    def reap(self):
        """Return [((sync, job), status, lines)] of what has ended, as Children.reap does."""
        ended = []
        for (sync, job), status, lines in self._children.reap():
            if isinstance(job, Job):
                self._leave(job)
                ended.append(((sync, job), status, lines))
            else:
                self._tunnels.ended(sync, job, status, lines)
        return ended

    def _on_line(self, tag, line):
        """Log a line that a child printed; what each try of a target that fails says again is said once."""
        sync, job = tag
        if not isinstance(job, Job):
            self._tunnels.on_line(sync, line)
            return
        if job.empties and line.startswith(_KEPT):  # a line for each name there, of a job whose error says it all
            self._log("Output", "%s: %s" % (sync.config.name, show(line)))
            return
        job.printed += 1
        if job.printed > PRINTED:
            if job.printed == PRINTED + 1:
                self._log("Normal", "%s: more than %d lines of one job: -log Output shows the rest" % (sync.config.name, PRINTED))
            if not self._log.shows("Output"):
                return
        text = shown(line) if job.shown else show(line)
        heard = self._heard.setdefault(sync, set())
        again = sync.last_error is not None and line in heard or job.purpose == CHECK or job.printed > PRINTED
        dull = again or DETAIL.match(line) or job.purpose == PROBE and ANSWERED.match(line)
        self._log("Output" if dull else "Normal", "%s: %s" % (sync.config.name, text))
        if len(heard) < HEARD:
            heard.add(line)

    def forget(self, sync):
        """Take nothing that a sync's children print for a repetition any more."""
        self._heard.pop(sync, None)

    # ---- the tunnels that they go through ------------------------------------------------------

    def use_tunnels(self, syncs, now):
        """Open the tunnels of syncs, and end those of others."""
        if self._tunnels is None and any(sync.config.tunnel.command is not None for sync in syncs):
            from lsyncd_lite.tunnels import Openings  # for those who have some
            self._tunnels = Openings(self._loop, self._log, self._children)
        if self._tunnels is not None:
            self._tunnels.use(syncs, now)

    def turn_tunnels(self, now):
        """Do what is due about tunnels; tell whether something has changed that the status tells."""
        if self._tunnels is None:
            return False
        self._tunnels.turn(now)
        changed, self._tunnels.changed = self._tunnels.changed, False
        return changed

    def _leave(self, job):
        if self._tunnels is not None:
            self._tunnels.leave(job)

    # ---- the connections that jobs share -----------------------------------------------------

    def gate(self, sync, syncs, now):
        """Return when a job of a sync may ask again whether it may use the connection that it would share with others; None: it may.

        One is enough for a host, so others wait while it is made. What it has no room for
        connects on its own, one after the other: sshd drops those that come in crowds.
        A job that needs a tunnel waits for one, for as long as nothing happens.
        """
        if sync.tunnels is not None and sync.connects and not self._tunnels.admits(sync, now):
            return float("inf")
        name = sync.mode.connection
        if name is None or not sync.connects:
            return None
        began = [at for other in syncs if other.mode.connection == name for at in other.connecting]
        if not began:
            return None
        wait = 0.0 if len(began) < SESSIONS else GATE_CROWD
        is_shut = now - max(began) < (wait if self._sockets.holds(name) else GATE_LONGEST)
        return now + GATE if is_shut else None

    # ---- what hangs --------------------------------------------------------------------------

    def next_due(self):
        """Return when `look` has something to do, None while nothing runs."""
        times = [self._look_due(sync, job) for sync, job in self._running()]
        times += [at for at in (self._children.next_due, self._tunnels.next_due() if self._tunnels is not None else None) if at is not None]
        return min(times + [job.began + job.limit for _sync, job in self._limited()], default=None)

    def _limited(self):
        return [(sync, job) for sync, job in self._running() if job.limit is not None]

    def _look_due(self, sync, job):
        often = LOOK if sync.config.jobTimeout is None else min(LOOK, sync.config.jobTimeout / 4)
        return max(self._looked_at, job.began) + often

    def look(self, now):
        """End what has not come to its end in time, or stands still; hear what those say that are heard now and then."""
        self._children.listen(now)
        for sync, job in self._limited():
            if job.began + job.limit <= now:
                self._end_job(sync, job, "no end after %d s" % job.limit)
        if not any(self._look_due(sync, job) <= now for sync, job in self._running()):
            return
        self._looked_at = now
        for (sync, job), seconds, blocked in self._children.look(now):
            if not isinstance(job, Job):
                continue
            patience = sync.config.jobTimeout
            if patience is not None and seconds >= patience:
                self._end_job(sync, job, "nothing moved for %d s" % seconds)
            elif blocked >= BLOCKED and job.purpose in (FULL, BATCH, REMOVAL):  # a file became a fifo under its eyes
                self._end_job(sync, job, "it waits for the other end of a fifo")

    def _end_job(self, sync, job, why):
        """End a job that hangs, with all that it has started: TERM, and KILL for what does not listen."""
        number = signal.SIGTERM if job.overdue is None else signal.SIGKILL
        if job.killed and not job.stuck:  # it waits for a file system, and the kernel does not interrupt that
            job.stuck = True
            words = "%s cannot be ended: it waits for what does not answer" % job.purpose
            sync.suffer(words, time.time())
            self._log("Error", "%s: %s" % (sync.config.name, words))
        if job.overdue is None:
            job.overdue = "%s: %s: ended" % (job.purpose if job.name is None else "%s.%s" % (job.purpose, job.name), why)
            self._log("Error", "%s: %s" % (sync.config.name, job.overdue))
            self._sockets.give_up(sync.mode.connection)  # it may be what hangs
        self._children.kill(number, lambda tag: tag[1] is job)
        job.killed = number == signal.SIGKILL
        job.limit = None if job.stuck else time.monotonic() - job.began + GRACE

    # ---- the end -----------------------------------------------------------------------------

    def abandon(self, sync):
        """Ask the jobs of a sync that is no more to end."""
        self._children.kill(signal.SIGTERM, lambda tag: tag[0] is sync)

    def end(self, reap):
        """End all that runs: TERM, and KILL for what does not listen; reap(): called for what ends."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._children.kill(number, lambda tag: isinstance(tag[1], Job))
            until = time.monotonic() + GRACE
            while len(self) and time.monotonic() < until:
                self._loop.wait(until)
                reap()
        if len(self):
            self._log("Error", "%d children could not be ended" % len(self))

    def close(self, syncs):
        """End the tunnels, and the connections that were shared."""
        if self._tunnels is not None:
            self._tunnels.close(self.reap)
        self._sockets.end(next((sync.config.ssh.binary for sync in syncs if not sync.config.local), "ssh"))


def lacks(config):
    """Return the words for each program that a SyncConfig cannot do without and that is not there."""
    return [needs.missing(name, config) for name in needs.programs(config, os.environb) if program.find(name) is None]
