"""The processes of tunnels: started, tried, listened to, ended. What is to be done about them says mirror/tunnel.py.

Stands beside the jobs, whose children these are among; a tunnel is no job and counts in
nothing that is said of jobs.
"""

import errno
import select
import signal
import time

from lsyncd_lite.errors import reason
from lsyncd_lite.mirror import needs
from lsyncd_lite.mirror.pair import earliest, how
from lsyncd_lite.mirror.tunnel import GRACE, Phase, Task, Tunnels
from lsyncd_lite.paths import show
from lsyncd_lite.report.discretion import discreet, secrets_of
from lsyncd_lite.system import ports

HEARD = 100  # lines of a sync's tunnels, since one was opened, that the log shows; and each once


class Openings:
    """The tunnels of all syncs. loop: a Loop; log: a Log; children: the Children that they are among.

    changed: something has changed that the status tells, since it was set to False.
    """

    def __init__(self, loop, log, children):
        self._loop = loop
        self._log = log
        self._children = children
        self._all = {}      # Sync → its Tunnels
        self._through = {}  # Job → Tunnel
        self._trials = {}   # Tunnel → the socket that tries its port
        self._groups = {}   # Tunnel → its process group
        self._heard = {}    # Sync → lines that its tunnels have printed since one was open
        self._told = {}     # Sync → the failure that was logged last
        self.changed = False

    def use(self, syncs, now):
        """Open tunnels for syncs that are new; those of syncs that are gone end when no job needs them any more."""
        for sync, tunnels in self._all.items():
            if sync not in syncs:
                tunnels.leave()
        for sync in syncs:
            if sync.config.tunnel.command is not None and sync not in self._all:
                sync.tunnels = self._all[sync] = Tunnels(sync.config, now)

    # ---- jobs --------------------------------------------------------------------------------

    @staticmethod
    def admits(sync, now):
        """Tell whether a job of a sync may begin; else something happens before it may."""
        return sync.tunnels is None or sync.tunnels.admits(sync.must_start, sync.stopping, now)

    def enter(self, sync, job):
        """Return the argv of a job that goes through a tunnel from now on; raise ValueError with words where there is none."""
        tunnel = sync.tunnels.choose()
        if tunnel is None:
            raise ValueError(sync.tunnels.error or "no tunnel is open")
        tunnel.jobs.add(job)
        self._through[job] = tunnel
        return sync.tunnels.put_port(job.argv, tunnel)

    def leave(self, job):
        """Take note that a job has ended."""
        tunnel = self._through.pop(job, None)
        if tunnel is not None:
            tunnel.jobs.discard(job)

    # ---- what is to be done ------------------------------------------------------------------

    def next_due(self):
        """Return when `turn` has something to do, None: not before something happens."""
        return earliest(*[tunnels.next_due() for sync, tunnels in self._all.items() if self._is_wanted(sync)])

    @staticmethod
    def _is_wanted(sync):
        """Tell whether tunnels of a sync are looked after: at the end only those that something waits for."""
        return not sync.stopping or bool(sync.pending or sync.running)

    def turn(self, now):
        """Do what is due."""
        for sync, tunnels in list(self._all.items()):
            if self._is_wanted(sync):
                before = tunnels.ready
                for task, tunnel in list(tunnels.tasks(now)):
                    self._do(task, sync, tunnel, now)
                if tunnels.ready > before:
                    self._opened(sync, now)
            if tunnels.is_over:
                del self._all[sync]
                self._heard.pop(sync, None)
                self._told.pop(sync, None)

    def _do(self, task, sync, tunnel, now):
        if task is Task.START:
            self._start(sync, tunnel, now)
        elif task is Task.LOOK:
            self._look(sync, tunnel, now)
        else:
            self._forget_trial(tunnel)
            self._children.kill(signal.SIGTERM if task is Task.END else signal.SIGKILL, lambda tag: tag[1] is tunnel)

    def _start(self, sync, tunnel, now):
        tunnels, table = sync.tunnels, sync.config.tunnel
        port = None
        try:
            if tunnels.has_port:
                port = ports.free(_address(sync), [tunnel.port for tunnels in self._all.values() for tunnel in tunnels.all])
        except OSError as error:
            self._failed(sync, tunnel, "has no port at %s: %s" % (table.localhost, reason(error)), now)
            return
        argv = needs.gently(sync.config, table.command.argv({"localport": b"%d" % (port or 0)}))
        if self._log.shows("Exec"):
            self._log("Exec", "%s: tunnel: %s" % (sync.config.name, " ".join(map(show, discreet(argv, secrets_of(sync.config))))))
        try:
            self._groups[tunnel] = self._children.spawn((sync, tunnel), argv, None, whole=True)
        except OSError as error:
            words = "there is no program %s" % show(argv[0]) if error.errno == errno.ENOENT else "%s: %s" % (show(argv[0]), reason(error))
            self._failed(sync, tunnel, "cannot be started: %s" % words, now)
            return
        tunnels.started(tunnel, port, now)

    # ---- whether a port answers ----------------------------------------------------------------

    def _look(self, sync, tunnel, now):
        """Begin to connect to a tunnel's port: that it takes a connection is all there is to know."""
        address = _address(sync)
        try:
            one = ports.stream(address)
        except OSError:  # there is no descriptor left just now
            sync.tunnels.refused(tunnel, now)
            return
        if one.connect_ex((address, tunnel.port)) not in (0, errno.EINPROGRESS):
            one.close()
            sync.tunnels.refused(tunnel, now)
            return
        self._trials[tunnel] = one
        self._loop.add(one.fileno(), lambda: self._tried(sync, tunnel), select.POLLOUT)

    def _tried(self, sync, tunnel):
        now, before, is_there = time.monotonic(), sync.tunnels.ready, ports.has_connected(self._trials[tunnel])
        self._forget_trial(tunnel)
        if is_there:
            sync.tunnels.answered(tunnel, ports.whose(_address(sync), tunnel.port, self._groups[tunnel]), now)
        else:
            sync.tunnels.refused(tunnel, now)
        if sync.tunnels.ready > before:
            self._opened(sync, now)

    def _forget_trial(self, tunnel):
        one = self._trials.pop(tunnel, None)
        if one is not None:
            self._loop.remove(one.fileno())
            one.close()

    # ---- what happens --------------------------------------------------------------------------

    def _opened(self, sync, now):
        """Take note that a tunnel of a sync is open."""
        self.changed = True
        tunnels = sync.tunnels
        self._heard.pop(sync, None)
        failed = self._told.pop(sync, None) if tunnels.error is None else None
        self._log("Normal" if failed else "Output", "%s: %s" % (sync.config.name, "the tunnel is open again" if failed else "a tunnel is open"))
        sync.find_way(now)

    def on_line(self, sync, line):
        """Log a line that a tunnel of a sync printed; what each try says again is said once."""
        heard = self._heard.setdefault(sync, set())
        self._log("Output" if line in heard or len(heard) == HEARD else "Normal", "%s: tunnel: %s" % (sync.config.name, show(line)))
        if len(heard) < HEARD:
            heard.add(line)

    def ended(self, sync, tunnel, status, lines):
        """Take note of the end of a tunnel's process, as Children.reap tells it."""
        self._forget_trial(tunnel)
        del self._groups[tunnel]
        words = how(status, lines)
        self._failed(sync, tunnel, words if status else "%s (it has to stay: ssh without -f)" % words, time.monotonic())

    def _failed(self, sync, tunnel, words, now):
        self.changed = True
        tunnels = self._all[sync]
        tunnels.ended(tunnel, words, now)
        if tunnels.error is None:  # nobody waits for it
            return
        if not tunnels.ready:
            sync.lose_way(tunnels.error, time.time())
        if self._told.get(sync) != tunnels.error and (tunnels.ready or not sync.must_start):  # else its job says so
            self._told[sync] = tunnels.error
            self._log("Error", "%s: %s%s" % (sync.config.name, tunnels.error, "" if tunnel.due is None else
                                             "; tried again every %g s" % sync.config.tunnel.retryDelay))

    def close(self, reap):
        """End all tunnels: TERM, and KILL for what does not listen; reap(): called for what ends."""
        def is_tunnel(tag):
            return any(tag[1] in tunnels.all for tunnels in self._all.values())
        for tunnels in self._all.values():
            tunnels.leave()
        for tunnel in list(self._trials):
            self._forget_trial(tunnel)
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._children.kill(number, is_tunnel)
            until = time.monotonic() + GRACE
            while any(map(is_tunnel, self._children.tags())) and time.monotonic() < until:
                self._loop.wait(until)
                reap()
        left = sum(map(is_tunnel, self._children.tags()))
        if left:
            self._log("Error", "%d tunnels could not be ended" % left)


def _address(sync):
    """Return the address (str) at which the ports of a sync's tunnels are."""
    localhost = sync.config.tunnel.localhost
    return "127.0.0.1" if localhost == "localhost" else localhost
