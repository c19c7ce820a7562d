"""The daemon: wires watch, mirror, system and report; its loop reads as the story of one change.

Wait; reap what ended; read what the kernel tells; start what is due. Nothing here
decides what is mirrored or how: that is mirror/'s.
"""

import os
import select
import signal
import time

from lsyncd_lite.canary import Canaries
from lsyncd_lite.control import Control
from lsyncd_lite.counting import Counts
from lsyncd_lite.errors import ConfigError, Fatal, ScriptError, changes, lacking
from lsyncd_lite.jobs import Jobs, lacks
from lsyncd_lite.keeping import Keeper
from lsyncd_lite.mirror.job import LOST, Verdict
from lsyncd_lite.mirror.sync import Sync
from lsyncd_lite.modes import mode_of
from lsyncd_lite.paths import below, show, to_bytes
from lsyncd_lite.report import snapshot, status
from lsyncd_lite.report.history import History
from lsyncd_lite.reporting import Reports
from lsyncd_lite.system.loop import Loop
from lsyncd_lite.system.pidfile import Pidfile
from lsyncd_lite.system.source import Source
from lsyncd_lite.system.state import State
from lsyncd_lite.watch.choice import roots
from lsyncd_lite.watch.filesystems import Mounts
from lsyncd_lite.watch.limits import Ceiling, limit
from lsyncd_lite.watching import Watched

HEARTBEAT = 60.0     # seconds between two looks at what tells no events, and writes of an unchanged status
# Seconds in which more events gather, as reading them one by one costs more: after a rest, and in a
# burst. The kernel's queue is full after 75 ms of the hardest burst.
NAP, BURST_NAP = 0.002, 0.01
BURST = 0.1          # seconds within which another event makes a burst


class Daemon:
    """One run of the program, from the first watch to the exit status."""

    def __init__(self, config, log, reload, manager):
        """config: a Config; log: a Log; reload(breathe): returns the Config read again, or raises ConfigError; manager: who is told. Raises Fatal."""
        self._config = config
        self._log = log
        self._manager = manager
        self._reload = reload
        self._loop = Loop((signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1))
        self._jobs = Jobs(self._loop, log)
        self._control = Control(self, self._loop, log)
        self._started = time.time()
        self._syncs = []
        self._trees = []       # Watched
        self._ceiling = Ceiling()
        self._mounts = None    # Mounts, None where there is no table: then the heartbeat notices
        self._readable = []    # Watched whose descriptor has events
        self._read_at = 0.0    # when events were read last
        self._stop = None      # (exit status, words) for what ends us
        self._kill_at = None   # when children that still run are ended
        self._killed = False
        self._changed = True   # something the status tells has changed
        self._reports = Reports(config.settings, log)
        self._history = History()
        self._overflows = 0    # of what is watched no more
        self._beat_at = 0.0
        self._keeper = Keeper(_state(config), log)
        self._canaries = Canaries(self._loop.wake, log)
        self._counts = Counts(self._loop.wake)
        self._told = {}        # Sync → the failure that was logged last
        self._refused = None   # what is wrong with the configuration that was refused last

    # ---- the story ---------------------------------------------------------------------------

    def run(self, ready):
        """Run until a signal, or with onepass until all is equal; return the exit status.

        ready(line): called once everything is watched, with the status as one line. Raises Fatal.
        """
        try:
            self._watch_mounts()
            self._control.open(self._config)
            try:
                self._apply(self._plan(self._config), self._config, self._config.settings.insist)
            except ScriptError as error:
                raise Fatal(str(error)) from None
            ready(self._line())
            self._control.start()
            while not self._finished():
                deadline = self._deadline()
                if self._log.shows("Alarm"):
                    self._log("Alarm", "waiting for %.1f s at most" % max(0, deadline - time.monotonic()))
                signals = self._loop.wait(deadline)
                for number in signals:
                    self._on_signal(number)
                self._reap()
                self._read_events()
                self._start_jobs()
                self._keep_house()
                self._control.act(time.monotonic())
            if self._stop is None:
                self._manager.stopping(self._line())
        except Fatal:
            self._keeper.rescue(self._syncs)
            raise
        finally:
            if len(self._jobs) and not self._killed:  # something is wrong, and nothing may go on behind our back
                self._end_jobs()
            self._jobs.close(self._syncs)
            self._report(time.monotonic())
            if not self._config.settings.onepass:  # which leaves what has come of it
                self._reports.end()
            self._control.close()
        return self._exit_status()

    def _deadline(self):
        """Return when the loop has to turn next without being woken."""
        times = [self._beat_at, self._kill_at, self._keeper.due, self._jobs.next_due(), self._manager.due, self._control.due]
        times += [self._canaries.due, self._reports.due(self._changed, self._syncs)]
        times += [watched.look_at for watched in self._trees]
        now = time.monotonic()
        if self._may_start():
            for sync in self._startable():
                due = sync.next_deadline()
                gate = self._jobs.gate(sync, self._syncs, now) if due is not None and due <= now else None
                times.append(due if gate is None else gate)
        if self._has_schedule:
            times += [sync.schedule.next_due(now, time.time()) for sync in self._syncs]
        return min(at for at in times if at is not None)

    @property
    def _has_schedule(self):
        return self._stop is None and not self._config.settings.onepass

    def _startable(self):
        """Return the syncs whose jobs may start: what changes while a first scan runs is not noticed, so they wait for that."""
        waiting, begun = [sync for watched in self._trees if watched.is_recording for sync in watched.syncs], self._begun()
        return [sync for sync in self._syncs if self._may_begin(sync, begun) and sync not in waiting]

    def _begun(self):
        """Return the number of first full syncs that run, as far as maxInit cares; those that hang for good hold up nobody."""
        if self._config.settings.maxInit is None:
            return 0
        return sum(sync.starting and not all(job.stuck for job in sync.running) for sync in self._syncs)

    def _may_begin(self, sync, begun):
        """Tell whether a sync is past its start, or may be at it beside those that have begun."""
        most = self._config.settings.maxInit
        waits = most is not None and begun >= most and sync.starting and not sync.running
        sync.awaits = "maxInit = %d" % most if waits else None
        return not waits

    def _may_start(self):
        limit = self._config.settings.maxProcesses
        return not self._killed and (limit is None or self._jobs.active < limit)

    def _reap(self):
        ended = self._jobs.reap()
        if ended:  # what changed before a job's end has to be known when that is judged
            self._changed = True
            for watched in self._trees:
                watched.read()
        for (sync, job), code, lines in ended:
            self._on_exit(sync, job, code, lines)

    def _on_exit(self, sync, job, code, lines):
        """Let a sync judge the end of a job, and tell what it came to."""
        self._changed = True
        if sync not in self._syncs:  # a reload has removed it
            for other in self._syncs:
                other.released(job)
            return
        now, entries = time.monotonic(), job.entries if job.around is None else ()
        verdict, words, fatal = sync.on_exit(job, code, lines, now, time.time())
        name = sync.config.name
        if verdict is Verdict.OK:
            is_canary = self._canaries.sent(sync, entries, job.began, now)
            if words:
                self._log("Output" if is_canary else "Normal", "%s: %s" % (name, words))
            if sync.last_error is None:
                self._jobs.forget(sync)
                if self._told.pop(sync, None):
                    self._log("Normal", "%s: works again" % name)
        elif verdict is Verdict.REDO:
            if words:
                self._log("Warn", "%s: %s" % (name, words))
        elif self._killed:
            pass  # it was us
        elif fatal and self._stop is None:
            self._start_failed(sync, words)
        elif verdict is Verdict.DIE and self._config.settings.onFatal == "exit":
            raise Fatal("sync %s failed: %s (onFatal = exit)" % (name, words))
        elif self._told.get(sync) != _why(words):
            self._told[sync] = _why(words)
            self._log("Error", "%s: %s; %s%s" % (
                name, words, changes(sync.pending, " waits", " wait"), "" if sync.next_try is None or self._stop else
                ", next try in %d s" % max(0, sync.next_try - now)))

    def _start_failed(self, sync, words):
        """End the program, or with onepass this sync, as the start has failed."""
        if not self._config.settings.onepass:
            raise Fatal("sync %s: the start failed: %s (insist = yes, or -insist, goes on trying)" % (sync.config.name, words))
        self._log("Error", "%s: %s" % (sync.config.name, words))
        sync.give_up(words)  # the others have their pass

    def _read_events(self):
        if self._readable:
            self._let_gather()
        for watched in self._readable:
            self._changed = watched.read() or self._changed
        self._readable.clear()
        for watched in self._trees:
            if watched.has_unread:
                self._changed = watched.read() or self._changed

    def _let_gather(self):
        burst = time.monotonic() - self._read_at < BURST
        if burst or not any(sync.config.delay == 0 for watched in self._readable for sync in watched.syncs):
            time.sleep(BURST_NAP if burst else NAP)
        self._read_at = time.monotonic()

    def _start_jobs(self):
        """Start what is due; who came first this time comes last the next."""
        if not self._may_start():
            return
        now, begun = time.monotonic(), self._begun()
        for sync in self._startable():
            due = sync.next_deadline()
            while (due is not None and due <= now and self._may_start() and self._may_begin(sync, begun)
                   and self._jobs.gate(sync, self._syncs, now) is None):
                self._changed = True
                if not self._start_job(sync, now):
                    break  # nothing has come of it yet: others may
                due, begun = sync.next_deadline(), self._begun()

    def _start_job(self, sync, now):
        """Start the job of a sync that is due; tell whether there was one."""
        watched = next(watched for watched in self._trees if sync in watched.syncs)
        if sync.needs_source:
            watched.check()
            if watched.is_silent and not (sync.busy and self._stop is not None):
                return False
            if watched.tree is None and self._stop is None and not self._config.settings.onepass:
                sync.lose_source(now)  # until it is watched again
                return False
        was_absent = sync.absent
        job = sync.take_job(now, time.time(), Source(sync.config.source, sync.filter.excludes))
        if sync.absent and not was_absent:
            if sync.must_start:
                self._start_failed(sync, sync.lacks)
            else:
                self._log("Error", "%s: %s: waiting for it" % (sync.config.name, sync.lacks))
        if job is not None:
            self._syncs.remove(sync)
            self._syncs.append(sync)
            self._spawn(sync, job)
        return job is not None

    def _spawn(self, sync, job):
        if job.purpose == LOST:
            self._on_exit(sync, job, 0, [])
            return
        failure = self._jobs.start(sync, job)
        if failure is not None:
            self._on_exit(sync, job, None, failure)

    # ---- configuration -----------------------------------------------------------------------

    def _plan(self, config):
        """Return [(SyncConfig, the running Sync that goes on with it or None, its mode if None)]; raise ScriptError."""
        plan, left = [], list(self._syncs)
        for wanted in config.syncs:
            sync = next((old for old in left if old.config.same_pair(wanted)), None)
            if sync is not None:
                left.remove(sync)
            plan.append((wanted, sync, mode_of(wanted, self._jobs.sockets, self._log) if sync is None else None))
        return plan

    def _apply(self, plan, config, insist):
        """Make the running syncs and trees those of a Config; what did not change goes on untouched."""
        old_syncs, old_trees = self._syncs, self._trees
        self._config = config
        now, syncs, new, renamed = time.monotonic(), [], set(), []
        left = [old for old in old_syncs if all(old is not sync for _wanted, sync, _mode in plan)]
        for wanted, sync, mode in plan:
            if sync is not None:
                if sync.config.name != wanted.name:
                    self._keeper.forget(sync)
                    renamed.append("%s is %s now" % (sync.config.name, wanted.name))
                sync.config = wanted
                sync.try_now(now)
            else:
                kind = Sync
                if wanted.mode in ("exec", "script"):
                    from lsyncd_lite.mirror.eventsync import EventSync as kind
                sync = kind(wanted, mode, now, time.time(), _jitter, insist, config.settings.onepass)
                new.add(sync)
            syncs.append(sync)
        begun = list(new)
        for sync in begun:
            before = [old for old in old_syncs if old.config.section == sync.config.section]
            sync.paused = any(old.paused and (old in left or all(other.paused for other in before)) for old in before)
        for sync in left:
            self._told.pop(sync, None)
            self._jobs.forget(sync)
            heirs = [heir for heir in syncs if (heir.config.source, heir.config.target)
                     == (sync.config.source, sync.config.target)]
            anew = heirs or [other for other in begun if other.config.name == sync.config.name]
            self._log("Normal", "%s: %s by the new configuration" % (sync.config.name, "begun anew" if anew else "ended"))
            for heir in heirs:
                heir.inherit(sync)
                self._history.inherit(heir, sync)
                new.discard(heir)
            self._keeper.forget(sync)
            if not heirs:
                self._jobs.abandon(sync)
        if renamed:  # after the lines about those that had these names
            self._log("Normal", "names by the new configuration: %s" % ", ".join(renamed))
        for sync in new:
            self._look_for_programs(sync)
            self._keeper.begin(sync, now)
        for sync in syncs:
            self._keeper.note(sync)
        self._syncs = syncs
        self._jobs.use_tunnels(syncs, now)
        for warning in config.warnings:
            self._log("Warn", warning)
        if self._log.shows("Exclude"):
            for sync in syncs:
                for rule in sync.filter.rules:
                    self._log("Exclude", "%s: %s %s (%s)" % (sync.config.name, rule.sign, show(rule.pattern), rule.where))

        self._trees = []
        for (root, polls), places in roots([sync.config for sync in syncs]).items():
            members = [syncs[at] for at in places]
            watched = Watched(root, members, polls, config.settings.inotifyMode, self._log, self._loop, self._readable.append,
                              self._mount_points, self._breathe)
            old = next((old for old in old_trees if old.same_wish(watched)), None)
            if old is not None:
                old_trees.remove(old)
                old.take_over(watched)
                watched = old
            self._trees.append(watched)
            if watched.tree is None and not config.settings.onepass:
                watched.open(insist)
                if watched.is_recording:  # what changes meanwhile is not noticed
                    for sync in members:
                        if any(sync is kept for _wanted, kept, _mode in plan):
                            sync.want_full(now)
            elif watched.tree is None and not insist and not watched.is_there():
                raise Fatal("sync %s: source %s is no directory" % (members[0].config.name, show(root)))
        for old in old_trees:  # only now: what they still have to tell is not lost
            steps, complete = old.last_look()
            for watched in self._trees:
                watched.offer(steps)
            for sync in syncs if not complete else ():
                if any((sync.config.source, sync.config.target) == (known.config.source, known.config.target) for known in old.syncs):
                    sync.want_full(now)
            old.close()
            self._overflows += old.overflows
        self._ceiling.read()
        self._canaries.use(syncs if self._has_schedule else ())
        self._changed = True

    def _look_for_programs(self, sync):
        """Tell of the programs that a new sync needs and that are not there; raise Fatal where the start must not fail."""
        words = next(iter(lacks(sync.config)), None)
        if words is None:
            return
        if sync.must_start:
            self._start_failed(sync, words)
        else:
            self._log("Error", "%s: %s; waiting for it" % (sync.config.name, words))
            self._told[sync] = _why(words)

    def reload(self):
        """Read the configuration again; return ([what is wrong with it], [warnings])."""
        self._manager.reloading()
        found = self._hang_up()
        self._manager.ready(self._line())
        return found

    def _hang_up(self):
        """As `reload`, and nobody is told."""
        try:
            config = self._reload(self._breathe)
            plan = self._plan(config)
            state = self._keeper.state if config.settings.stateDir == self._config.settings.stateDir else _state(config)
        except (ConfigError, ScriptError, Fatal, ImportError) as error:
            lines = [lacking(error)] if isinstance(error, ImportError) else getattr(error, "lines", [str(error)])
            for line in lines:
                self._log("Error", line)
            self._log("Error", "the new configuration is refused, the old one stays")
            self._refused = lines[0]
            return lines, getattr(error, "warnings", [])
        self._refused = None
        self._log.open(config.settings)
        self._log("Normal", "configuration read again")
        self._keeper.use(state)
        self._reports.use(config.settings)
        self._apply(plan, config, True)
        self._control.open(config)
        self._control.begin_again()
        return [], config.warnings

    def _watch_mounts(self):
        try:
            self._mounts = Mounts()
        except OSError:
            return  # no /proc
        self._loop.add(self._mounts.fd, self._on_mounts, select.POLLPRI)

    def _mount_points(self):
        return self._mounts.points if self._mounts is not None else ()

    def _on_mounts(self):
        """Look at once where something was mounted or unmounted."""
        come, gone = self._mounts.changes()
        for watched in self._trees:
            watched.mounts_changed(come, gone)
            self._changed = self._changed or any(below(path, watched.root) is not None or below(watched.root, path) is not None
                                                 for path in [*come, *gone])

    # ---- house-keeping and the end -----------------------------------------------------------

    def _keep_house(self):
        """Do what is due beside jobs."""
        now = time.monotonic()
        for watched in self._trees:
            if watched.look_at is not None and watched.look_at <= now:
                self._changed = watched.look() or self._changed
        words = self._ceiling.words(sum(watched.tree.watched for watched in self._trees if watched.tree is not None))
        if words is not None and not any(watched.trouble for watched in self._trees):  # else more was said already
            self._log("Warn", words)
        if self._beat_at <= now:
            self._beat_at = now + HEARTBEAT
            self._ceiling.read()
            self._history.beat(self._syncs, now)
            self._control.check()
            self._changed = True
            for watched in self._trees:
                watched.check()
        self._jobs.look(now)
        self._changed = self._jobs.turn_tunnels(now) or self._changed
        self._control.look(now)
        for sync in self._syncs:
            if sync.ends is not None and self._stop is None:
                self.begin_stop(sync.ends, "the script of %s" % sync.config.name)
            if sync.warning is not None:
                self._log("Warn", "%s: %s" % (sync.config.name, sync.warning))
                sync.warning = None
            if self._has_schedule and sync.schedule.strikes(now, time.time()):
                self._log("Normal", "%s: time for a full sync" % sync.config.name)
                sync.want_full(now)
        self._changed = self._canaries.turn(self._trees, now) or self._changed
        self._counts.turn(self._syncs)
        self._keeper.keep(self._syncs, now)
        due = self._reports.due(self._changed, self._syncs)
        if due is not None and due <= now:
            self._report(now)
        self._manager.turn(self._line, now)
        if self._kill_at is not None and self._kill_at <= now:
            self._end_jobs()

    def _line(self):
        """Return the status as one line."""
        words = status.line(self._syncs)
        if self._stop is not None:
            return "%s: sending what is pending: %s" % (self._stop[1], words)
        return words if self._refused is None else "%s; the new configuration is refused: %s" % (words, self._refused)

    def _breathe(self):
        """Show that we live, while something takes long."""
        if self._manager.breathe is not None:
            self._manager.breathe()
        self._control.breathe()

    @property
    def syncs(self):
        """All syncs, as people see them."""
        return sorted(self._syncs, key=lambda sync: sync.config.name)

    def snapshot(self, syncs, points=False):
        """Return what there is to say of some syncs, and of us (see report/snapshot.py); points: their last hour, too."""
        for sync in syncs:
            self._counts.want(sync)
        trees = [watched.tree for watched in self._trees if watched.tree is not None]
        facts = {"started": self._started, "line": self._line(), "refused": self._refused,
                 "configuration": None if self._config.filename is None else show(self._config.filename),
                 "stopping": self.stopping,
                 "watches": sum(tree.watched for tree in trees), "polled": sum(tree.polled for tree in trees),
                 "watches_limit": limit("watches")[0], "memory": snapshot.memory(),
                 "overflows": self._overflows + sum(watched.overflows for watched in self._trees)}
        return snapshot.take(facts, syncs, time.monotonic(), time.time(), self._history, points)

    def _report(self, now):
        """Write the files that tell what we are at."""
        self._changed = False
        self._reports.write(lambda: self.snapshot(self.syncs), now)

    def _on_signal(self, number):
        if number == signal.SIGHUP and self._stop is None:
            self.reload()
        elif number == signal.SIGUSR1:
            path = self._config.settings.pidfile
            name = (Pidfile.request(path) if path is not None else None) or b"all"
            self.release([sync for sync in self._syncs if name in (b"all", to_bytes(sync.config.name), to_bytes(sync.config.section))], name)
        elif number in (signal.SIGTERM, signal.SIGINT):
            if self._stop is not None:
                self._log("Normal", "signalled again: ending what still runs")
                self._kill_at = time.monotonic()
                return
            self.begin_stop(128 + number, "signal %d" % number)

    def release(self, syncs, name):
        """Let what maxDelete holds in some syncs go on, once; return those in which it holds something. name: who is meant (bytes)."""
        held = [sync for sync in syncs if sync.guarded is not None]
        for sync in held:
            self._log("Normal", "%s: released: it deletes what it finds, once" % sync.config.name)
            self._told.pop(sync, None)
            sync.release(time.monotonic())
        if not held:
            self._log("Warn", "nothing to release: %s" % ("no sync is held" if name == b"all" else "sync %s is not held" % show(name)))
        return held

    @property
    def stopping(self):
        """What ends us, in words; None: nothing does."""
        return None if self._stop is None else self._stop[1]

    def trees(self, syncs):
        """Return the Watched in which the sources of some syncs lie."""
        return [watched for watched in self._trees if any(sync in syncs for sync in watched.syncs)]

    def note_change(self):
        """Take note that something has changed that the status tells."""
        self._changed = True

    def begin_stop(self, status, words):
        """Send what is pending, then end with an exit status; words: what ends us."""
        self._log("Normal", "%s: sending what is pending, then the end" % words)
        for watched in self._trees:
            watched.stop()
        for sync in self._syncs:
            sync.stop()
        self._canaries.stop()
        self._stop = status, words
        self._kill_at = time.monotonic() + self._config.settings.shutdownTimeout
        self._manager.stopping(self._line())

    def _finished(self):
        """Tell whether the loop has to end."""
        if self._killed:
            return True
        if len(self._jobs):
            return False
        if self._stop is not None:
            return all(sync.next_deadline() is None for sync in self._syncs)
        return self._config.settings.onepass and not any(sync.starting or sync.busy for sync in self._syncs)

    def _exit_status(self):
        self._keeper.end(self._syncs)
        if self._stop is not None:
            for sync in self._syncs:
                if sync.pending:
                    self._log("Warn", "%s: %s not sent%s" % (
                        sync.config.name, changes(sync.pending, " was", " were"), " (it is paused)" if sync.paused else ""))
            self._log("Normal", "ended by %s" % self._stop[1])
            return self._stop[0]
        failed = [sync for sync in self._syncs if sync.pending or sync.failed]
        for sync in failed:
            self._log("Error", "%s: not everything is mirrored: %s" % (sync.config.name, sync.last_error))
        return 255 if failed else 0

    def _end_jobs(self):
        """End what still runs."""
        self._killed = True
        self._kill_at = None
        self._jobs.end(self._reap)


def _state(config):
    """Return the State of a Config, None where nothing is kept; raise Fatal."""
    directory = None if config.settings.onepass else config.settings.stateDir
    return None if directory is None else State(directory)


def _why(words):
    """Return what tells failures apart: not rsync's status, which varies when it loses ssh."""
    return words.partition(": ")[2] or words


def _jitter():
    """Return a number from 0 to 1; the random module costs an idle daemon 2 MB."""
    return os.urandom(1)[0] / 256
