"""The tunnels of one sync: which are open, which one a job takes, what is to be done about each, and when. Pure.

A tunnel is a process that is kept alive beside the sync, as a way to its target. Told what
happened and when (`now`: seconds of a clock that never jumps), this says what is to be
done; it neither starts, ends nor connects anything.
"""

import enum

from lsyncd_lite.mirror.pair import AT_ONCE, earliest
from lsyncd_lite.paths import to_bytes

PORT = b"^localport"
GRACE = 2.0                    # seconds between TERM and KILL for what does not listen
LOOK, LOOK_LONGEST = 0.05, 0.5  # seconds between two tries of a port that does not answer yet


class Phase(enum.Enum):
    """What a tunnel is at."""

    DOWN = "down"        # no process
    OPENING = "opening"  # the process runs, its port does not answer yet
    READY = "ready"
    ENDING = "ending"    # it was told to end


class Task(enum.Enum):
    """What is to be done about a tunnel."""

    START = "start"  # its process
    LOOK = "look"    # whether its port answers
    END = "end"      # TERM
    KILL = "kill"


class Tunnel:
    """One process. port: what ^localport is (int; None where it has no part in it); jobs: those that go through it."""

    __slots__ = ("port", "phase", "due", "look_at", "pause", "jobs", "why", "answers", "taken")

    def __init__(self, now):
        self.phase = Phase.DOWN
        self.due = now       # when the phase may be over, None: not by itself
        self.look_at = None  # when its port is tried
        self.pause = LOOK
        self.port = None
        self.jobs = set()
        self.why = None      # words for why we have ended it
        self.answers = self.taken = False  # somebody is at its port; and that is not it


class Tunnels:
    """All tunnels (`all`) of a SyncConfig."""

    def __init__(self, config, now):
        table = config.tunnel
        self.mode = table.mode
        self.has_port = "localport" in table.command.variables
        self.all = [Tunnel(now) for _number in range(table.parallel if table.mode == "pool" else 1)]
        self.error = None      # words for why not all of them are open
        self._leaving = False  # the sync is gone
        self._stopping = False
        self._table = table
        self._extra = [word for word in map(to_bytes, config.rsync._extra) if PORT in word]

    @property
    def ready(self):
        """The number of those that are open."""
        return sum(tunnel.phase is Phase.READY for tunnel in self.all)

    @property
    def is_shut(self):
        """Whether none is open, and it is known why."""
        return self.error is not None and not self.ready

    @property
    def is_over(self):
        """Whether nothing of them is left, and nothing will be."""
        return self._leaving and all(tunnel.phase is Phase.DOWN and not tunnel.jobs for tunnel in self.all)

    @property
    def next_try(self):
        """When the next one is started, None: none is to be."""
        return earliest(*[tunnel.due for tunnel in self.all if tunnel.phase is Phase.DOWN])

    # ---- jobs --------------------------------------------------------------------------------

    def choose(self):
        """Return the Tunnel for a job, None where there is none now."""
        fit = [tunnel for tunnel in self.all if tunnel.phase is Phase.READY and (self.mode == "command" or not tunnel.jobs)]
        return fit[0] if fit else None

    def admits(self, must_start, stopping, now):
        """Tell whether a job may begin: there is a tunnel for it, or it is to fail as there will be none.

        must_start, stopping: it has one chance. Else it waits, and nothing has failed.
        """
        if stopping and not self._stopping:  # what is pending gets one more try
            self._stopping = True
            self.try_now(now)
            self.error = None if not self.ready else self.error
        is_hopeless = self.is_shut and not any(tunnel.phase is Phase.OPENING for tunnel in self.all)
        return self.choose() is not None or is_hopeless and (must_start or stopping)

    def put_port(self, argv, tunnel):
        """Return an argv of rsync with the port of a Tunnel: in the target, which is the last word, and in rsync._extra."""
        if tunnel.port is None:
            return argv
        port = b"%d" % tunnel.port
        return [word.replace(PORT, port) if word in self._extra else word for word in argv[:-1]] + [argv[-1].replace(PORT, port)]

    # ---- what is to be done --------------------------------------------------------------------

    def next_due(self):
        """Return when `tasks` has something, None: not before something happens."""
        return earliest(*[AT_ONCE if self._is_spare(tunnel) else earliest(tunnel.due, tunnel.look_at) for tunnel in self.all])

    def _is_spare(self, tunnel):
        return self._leaving and not tunnel.jobs and tunnel.phase in (Phase.OPENING, Phase.READY)

    def tasks(self, now):
        """Yield (Task, Tunnel) that are due."""
        for tunnel in self.all:
            if self._is_spare(tunnel):
                self._end(tunnel, "it is not needed any more", now)
                yield Task.END, tunnel
            elif tunnel.due is None or tunnel.due > now:
                if tunnel.look_at is not None and tunnel.look_at <= now:
                    tunnel.look_at = None
                    yield Task.LOOK, tunnel
            elif tunnel.phase is Phase.DOWN:
                tunnel.due = None  # until it has started, or could not
                yield Task.START, tunnel
            elif tunnel.phase is Phase.ENDING:
                tunnel.due = None
                yield Task.KILL, tunnel
            elif tunnel.taken or self.has_port and not tunnel.answers:
                self._end(tunnel, "its port was taken by another program" if tunnel.taken else
                          "its port does not answer within %g s" % self._table.readyDelay, now)
                yield Task.END, tunnel
            else:
                self._open(tunnel)

    def _end(self, tunnel, why, now):
        tunnel.phase, tunnel.due, tunnel.look_at, tunnel.why = Phase.ENDING, now + GRACE, None, why

    def try_now(self, now):
        """Wait no longer to start what has ended: somebody may have mended it."""
        for tunnel in self.all:
            if tunnel.phase is Phase.DOWN and not self._leaving:
                tunnel.due = now

    def leave(self):
        """Start nothing any more, and end what no job needs."""
        self._leaving, self.error = True, None
        for tunnel in self.all:
            if tunnel.phase is Phase.DOWN:
                tunnel.due = None

    # ---- what has happened ---------------------------------------------------------------------

    def started(self, tunnel, port, now):
        """Take note that a process runs; port: what ^localport is for it, or None."""
        tunnel.phase, tunnel.port, tunnel.why = Phase.OPENING, port, None
        tunnel.due, tunnel.answers, tunnel.taken = now + self._table.readyDelay, False, False
        tunnel.pause, tunnel.look_at = LOOK, now + LOOK if self.has_port else None

    def refused(self, tunnel, now):
        """Take note that the port of a process does not answer yet."""
        if tunnel.phase is Phase.OPENING:
            tunnel.answers = False
            self._look_again(tunnel, now)

    @staticmethod
    def _look_again(tunnel, now):
        tunnel.pause = min(LOOK_LONGEST, 1.5 * tunnel.pause)
        tunnel.look_at = now + tunnel.pause

    def answered(self, tunnel, is_its, now):
        """Take note that somebody answers at a tunnel's port.

        is_its: it is the tunnel itself; False: it is not; None: nobody knows, as it may still begin to, or others
        answer for it: that has to last.
        """
        if tunnel.phase is not Phase.OPENING:
            return
        tunnel.answers = True
        if is_its:
            self._open(tunnel)
        elif is_its is None:
            self._look_again(tunnel, now)
        else:
            tunnel.taken, tunnel.due = True, now

    def _open(self, tunnel):
        tunnel.phase, tunnel.due, tunnel.look_at = Phase.READY, None, None
        if self.ready == len(self.all):
            self.error = None

    def ended(self, tunnel, words, now):
        """Take note that a process has ended, or could not be started; words: how."""
        if not self._leaving:
            self.error = "the tunnel %s" % words if tunnel.why is None else "no tunnel: %s" % tunnel.why
        tunnel.phase, tunnel.look_at = Phase.DOWN, None
        tunnel.due = None if self._leaving or self._stopping else now + self._table.retryDelay
