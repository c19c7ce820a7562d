"""Random operations and random faults against a real daemon; after each round the target must be equal.

A Session is a daemon with a target of one kind, and a tree that a Churn changes. A round is
some operations with faults among them: children killed, the daemon stopped, a target full or
read-only, servers that go down. Then all faults end, and all must come right. Without pytest, for the soak.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter, namedtuple
from pathlib import Path

from churn import MIXED, RENAMES, Churn
from harness import (
    ROOT, Daemon, connections, descendants, differences, links, processes, sync, sync_by_ssh, tree, wait_for)
from servers import Missing, Rsyncd, Sshd, send

KINDS = ("rsync", "links", "ssh", "rsyncd", "rsyncssh", "direct", "atomic")

OPERATIONS = 120   # a round
LIMIT = 100        # seconds until all must have come right: the longest pause between two tries, and the work
EXCLUDED = b"ee"   # a name that some sessions leave out, whatever it is of
REST = 12          # seconds for which a daemon that calls itself idle may still have something to tell of
EVENTS = Path("/proc/sys/fs/inotify/max_queued_events")
MANY_EVENTS = 70000  # that many are not worth making

# Where the daemon has lost what it knew only size and time tell what has changed: no other content for these.
_FORGETFUL = {"die", "term", "overflow", "unsource"}
_BLIND = {"same"}

# Two that cannot be at one time: the same, two of one file system, and who comes anew to a target that is not there may make it.
_APART = [{"full", "readonly"}, {"vanish", "die"}, {"vanish", "term"}, {"vanish", "hup"}, {"vanish", "readonly"}] + [
    {name} for name in ("freeze", "readonly", "full", "server", "vanish")]

Rest = namedtuple("Rest", "rss peak fds threads children")


class Failed(AssertionError):
    """Something did not come right: what, what was done before, and how to do it again."""


class Session:
    """One daemon and the tree it mirrors; to be used in a `with`, which leaves nothing behind.

    folder: an empty directory (Path) that is its own; kind: one of KINDS; restarts: whether the
    daemon may be killed or ended, else it is the same one to the end; faults: the names of those
    that may happen (None: all that there are for this kind and user).
    """

    def __init__(self, folder, kind, seed, operations=OPERATIONS, restarts=True, faults=None, log="all"):
        self.folder, self.kind, self.seed, self.operations, self.restarts = folder, kind, seed, operations, restarts
        self.log = log
        self.rounds = self.done = 0
        self.happened = Counter()   # faults
        self.src, self.place = folder / "src", folder / "place"  # a file system of its own, for root
        self.dst = self.place / "dst"
        self.more = folder / "more", folder / "more.dst"   # the second sync, when there is one
        self.mounted = False
        self.server = None
        self.daemon = None
        self._frozen = {}           # pid → when it began
        self._chosen = faults

    # ---- begin and end -----------------------------------------------------------------------

    def __enter__(self):
        try:
            self._open()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _open(self):
        self.src.mkdir()
        self.place.mkdir()
        self.more[0].mkdir()
        if ROOT:
            self.mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m,mode=755", "lsyncd-lite-test",
                                           str(self.place)]).returncode == 0
        self.dst.mkdir()
        (self.place / "beside").mkdir()
        (self.place / "beside" / "precious").write_text("precious")
        if self.kind in ("ssh", "rsyncssh", "rsyncd"):
            home = self.folder / "server"
            home.mkdir()
            if self.kind == "rsyncd" and not ROOT:
                raise Missing("an rsync daemon that is not root's changes links")
            self.server = Rsyncd(home, self.place, chroot=True) if self.kind == "rsyncd" else Sshd(home)
            if self.kind != "rsyncd":
                self.server.try_it()
        self.faults = [name for name, possible in self._faults() if possible and (
            self._chosen is None or name in self._chosen)]
        pace = random.Random("%d" % self.seed)
        kinds = RENAMES if pace.random() < 0.4 else MIXED
        self.churn = Churn(self.src, self.seed, kinds, linked=self.kind == "links")
        os.symlink(str(self.place / "beside"), str(self.src / "beside"))
        self.churn.run(30)
        self.settings = {"delay": pace.choice([0.05, 0.1, 0.3]), "insist": True, "shutdownTimeout": 5}
        self.keys = {"maxProcesses": pace.choice([1, 1, 3]), "batchSizeLimit": pace.choice([2000, 100000000])}
        self.settings["inotifyMode"] = pace.choice(["CloseWrite", "CloseWrite", "CloseWrite or Modify", "Modify"])
        self.excludes = pace.random() < 0.3 and self.kind != "links"  # what is written under an excluded name of a file is not told
        if self.excludes:
            self.keys["exclude"] = [os.fsdecode(EXCLUDED)]
        self.name, self.has_more = "one", False
        self.daemon = Daemon(self.folder, self.folder)
        self._configure()
        self._start()

    def _faults(self):
        """Return [(name, whether it is possible here)]."""
        return [("kill", True), ("freeze", True), ("pause", True), ("hup", True), ("unsource", True), ("vanish", True),
                ("overflow", int(EVENTS.read_text()) < MANY_EVENTS), ("readonly", not ROOT or self.mounted),
                ("full", self.mounted), ("server", self.server is not None),
                ("die", self.restarts), ("term", self.restarts)]

    def __exit__(self, *_error):
        try:
            self._thaw()
            if self.daemon is not None and self.daemon.process is not None:
                if self.daemon.running():
                    self.daemon.kill(signal.SIGCONT)
                    self.daemon.kill(signal.SIGTERM)  # it removes the directory of its connections
                try:
                    self.daemon.process.wait(20)
                except subprocess.TimeoutExpired:
                    self.daemon.kill(signal.SIGKILL)
                    self.daemon.process.wait()
            for pid in processes(self.folder):
                send(pid, signal.SIGKILL)
        finally:
            if self.server is not None and self.server.process is not None:
                self.server.stop()
            if self.mounted:
                subprocess.run(["umount", "-l", str(self.place)], check=True)

    def _configure(self):
        binary = {"archive": True, "hard_links": self.kind == "links"}
        if self.kind == "rsyncssh":
            keys = dict(self.keys, maxProcesses=1)
            one = sync_by_ssh(self.src, self.server.host, self.dst, name=self.name, ssh={"_extra": self.server.options}, **keys)
        elif self.kind in ("direct", "atomic"):
            keys = {key: value for key, value in self.keys.items() if key != "batchSizeLimit"}
            one = sync(self.src, self.dst, self.name, mode="direct", direct={"atomic": self.kind == "atomic"}, **keys)
        else:
            target = {"ssh": "127.0.0.1:%s" % self.dst}.get(self.kind, self.dst)
            if self.kind == "rsyncd":
                target = "rsync://127.0.0.1:%d/data/dst" % self.server.port
            if self.kind == "ssh":
                binary["rsh"] = self.server.rsh
            one = sync(self.src, target, self.name, rsync=binary, **self.keys)
        syncs = [one] + [sync(*self.more, "more", rsync={"archive": True})] * self.has_more
        self.daemon.configure(*syncs, settings=self.settings)

    def _start(self):
        """Start the daemon, which has to have its handlers of signals before it gets one."""
        seen = len(re.findall(": watching ", self.daemon.log()))
        if self.daemon.statusfile.exists():
            self.daemon.statusfile.unlink()
        self.daemon.start("-nodaemon", "-log", self.log, self.daemon.conf)
        self.daemon.wait(lambda: len(re.findall(": watching ", self.daemon.log())) > seen, "the daemon to watch")

    def _hang_up(self):
        """Send HUP and see the configuration read again: the status is of that one then."""
        seen = self.daemon.log().count("configuration read again")
        self.daemon.kill(signal.SIGHUP)
        self.daemon.wait(lambda: self.daemon.log().count("configuration read again") > seen, "the configuration to be read again")
        self.daemon.wait(lambda: set(self.daemon.status()) == self._names, "the status of %s" % self._names)

    # ---- a round -----------------------------------------------------------------------------

    def round(self):
        """Do operations with faults among them; then see all come right. Raises Failed."""
        self.rounds += 1
        self.pace = random.Random("%d %d" % (self.seed, self.rounds))
        self.churn.random = random.Random("operations %d %d" % (self.seed, self.rounds))
        self.churn.tidy()
        try:
            self._play()
            self._thaw()
            self._come_right()
        except AssertionError as error:
            raise Failed("%s\n%s" % (error, self.story())) from None

    def _play(self):
        pace, churn = self.pace, self.churn
        faults = {}
        for _number in range(pace.randrange(5) if self.faults else 0):
            faults.setdefault(pace.randrange(self.operations), pace.choice(self.faults))
        kinds = churn.kinds
        if _FORGETFUL & set(faults.values()):
            churn.kinds = [kind for kind in kinds if kind not in _BLIND]
        self._note("---- round %d, faults: %s" % (self.rounds, ", ".join(faults.values()) or "none"))
        lasting = {}  # name → [the operation before which it ends, its generator]
        try:
            for number in range(self.operations):
                for name in [name for name, (end, _fault) in lasting.items() if end <= number]:
                    self._end(name, lasting.pop(name)[1])
                name = faults.get(number)
                if name and all({name, other} not in _APART for other in lasting):
                    self.happened[name] += 1
                    self._note("* %s" % name)
                    fault = getattr(self, "_" + name)()
                    if fault is not None and next(fault, "over") != "over":
                        lasting[name] = number + pace.randrange(5, 60), fault
                churn.run(1)
                self.done += 1
        finally:
            churn.kinds = kinds
            for name, (_end, fault) in lasting.items():
                self._end(name, fault)

    def _end(self, name, fault):
        self._note("* %s is over" % name)
        next(fault, None)

    def _note(self, words):
        self.churn.script.append(words)

    def _come_right(self):
        """Wait until the target is equal and the daemon at rest; see that nothing else is left."""
        outside = tree(os.fsdecode(self.churn.outside), archive=True)
        if self.pace.random() < 0.5:  # somebody who has mended it says so; else it is found out
            self._note("HUP, as all is mended")
            self._hang_up()
        rest = [None]

        def look():
            wrong = self.differences()
            if wrong and self._is_idle():
                rest[0] = rest[0] or time.monotonic()
                assert time.monotonic() < rest[0] + REST, "idle, but not equal\n  " + "\n  ".join(wrong)
            else:
                rest[0] = None
            return not wrong and self._is_idle()
        self.daemon.wait(look, lambda: "equal trees and an idle daemon\n  " + "\n  ".join(self.differences()), LIMIT)
        wait_for(lambda: not self.strays(), lambda: "no process left: %s" % self.strays(), 15)
        assert tree(os.fsdecode(self.churn.outside), archive=True) == outside, "something outside the source was touched"
        assert {path for path in tree(self.place) if not (path + b"/").startswith(b"dst/")} == {b"beside", b"beside/precious"}
        assert (self.place / "beside" / "precious").read_text() == "precious", "something beside the target was touched"
        log = self.daemon.log() + self.daemon.output()
        for word in ("Traceback", "a defect of lsyncd-lite", "cannot go on: ", "State: failed"):
            assert word not in log, "the log has %r" % word

    @property
    def _names(self):
        return {self.name, *["more"] * self.has_more}

    def _is_idle(self):
        reports = self.daemon.status()
        return set(reports) == self._names and all(
            (report.state, report.delays, report.in_flight, report.last_error) == ("idle", 0, "0", None)
            for report in reports.values())

    def differences(self):
        """Return what still tells target and source apart, in lines."""
        here, there = self._wanted(tree(self.src, archive=True)), tree(self.dst, archive=True)
        if self.excludes:  # what comes and goes under such a name changes the time of its directory, and is not told
            here, there = ({path: entry._replace(mtime=None) if entry.type == "directory" else entry
                            for path, entry in found.items()} for found in (here, there))
        wrong = differences(here, there)
        if self.has_more:
            wrong += differences(tree(self.more[0], archive=True), tree(self.more[1], archive=True))
        if self.kind == "links" and not wrong:
            here, there = {frozenset(self._wanted(dict.fromkeys(group))) for group in links(self.src)}, links(self.dst)
            # rsync makes two of what is one file on the target only when it sends one of them: equal ones are left as they are.
            wrong += ["are not one file on the target: %s" % sorted(group) for group in here
                      if len(group) > 1 and not any(group <= other for other in there)]
        return wrong

    def _wanted(self, paths):
        """Return what of a dictionary of paths is mirrored."""
        return {path: entry for path, entry in paths.items() if not self.excludes or EXCLUDED not in path.split(b"/")}

    def strays(self):
        """Return {pid: what it is} of what runs beside the daemon, and of children that it has not reaped."""
        left = {pid: line for pid, line in processes(self.folder).items() if pid != self.daemon.pid}
        below = set(descendants(self.daemon.pid))
        if self.server is not None:
            below |= set(descendants(self.server.process.pid))
        for pid in below:
            try:
                line = Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if not line.startswith("sshd"):  # that keeps a connection open
                left[pid] = line or "ended, not reaped"
        for pid in connections(self.daemon.pid):
            left.pop(pid, None)
        return left

    # ---- what goes wrong ---------------------------------------------------------------------
    #
    # A generator is a fault that lasts: it goes on after the yield when the fault is to end.

    def _victims(self, limit=1.0):
        """Wait for a moment in which the daemon has children; return the pids of all that work for it, in order."""
        if self.pace.random() < 0.5:
            try:
                self._note("big %r" % self.churn.big())
            except OSError:
                pass  # below a name of full length
        self.churn.run(1)
        deadline, longest = time.monotonic() + limit, 0.1
        while time.monotonic() < deadline:
            if descendants(self.daemon.pid):
                time.sleep(self.pace.random() * longest)
                found = descendants(self.daemon.pid)
                if found and self.server is not None:
                    found += [pid for pid in descendants(self.server.process.pid)]
                if found:
                    return sorted(found)
                longest /= 2  # it had ended: many do in some ms
                self.churn.run(1)
            time.sleep(0.002)
        return []

    def _pick(self, victims):
        return victims[int(self.pace.random() * len(victims))]

    def _kill(self):
        """A few children, of the daemon or of the server, one after the other, are killed as by want of memory."""
        for _number in range(self.pace.randrange(1, 4)):
            victims = self._victims()
            if victims:
                pid = self._pick(victims)
                self._note("  killed %d %s" % (pid, _name(pid)))
                send(pid, signal.SIGKILL)
                self.happened["(child killed)"] += 1

    def _freeze(self):
        """A child stands still for a while."""
        victims = [pid for pid in self._victims() if pid in descendants(self.daemon.pid)]
        if not victims:
            return
        pid = self._pick(victims)
        self._note("  stopped %d %s" % (pid, _name(pid)))
        self._frozen[pid] = _began(pid)
        send(pid, signal.SIGSTOP)
        yield
        self._thaw()

    def _thaw(self):
        for pid, began in self._frozen.items():
            if began is not None and _began(pid) == began:
                send(pid, signal.SIGCONT)
        self._frozen.clear()

    def _pause(self):
        """The daemon stands still for some operations."""
        self.daemon.kill(signal.SIGSTOP)
        try:
            self.churn.run(self.pace.randrange(1, 60))
        finally:
            self.daemon.kill(signal.SIGCONT)

    def _overflow(self):
        """The daemon stands still for more events than the kernel keeps for it."""
        paths = [str(self.src / ("~flood%d" % number)) for number in range(2)]
        self.daemon.kill(signal.SIGSTOP)
        try:
            for path in paths:
                Path(path).write_text(path)
            for number in range(int(EVENTS.read_text()) // 2 + 100):  # two in turn, or the kernel makes one event of them
                for path in paths:
                    os.utime(path, ns=(number, number))
            for path in paths:
                os.unlink(path)
            self.churn.run(self.pace.randrange(1, 40))
        finally:
            self.daemon.kill(signal.SIGCONT)

    def _readonly(self):
        """Nothing can be written to the target."""
        if self.mounted:
            if not self._remount("ro"):
                return
            yield
            assert self._remount("rw"), "cannot make %s writable again" % self.place
        else:
            self.dst.chmod(0o555)
            yield
            self.dst.chmod(self.src.stat().st_mode & 0o7777)

    def _remount(self, option):
        """Try for a while: a file that is being written to keeps it from becoming read-only."""
        deadline = time.monotonic() + 2
        while subprocess.run(["mount", "-o", "remount," + option, str(self.place)], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL).returncode:
            if time.monotonic() > deadline:
                self._note("  busy")
                return False
            time.sleep(0.02)
        return True

    def _full(self):
        """The target has hardly any room left: for bytes, or for files."""
        facts = os.statvfs(str(self.place))
        if self.pace.random() < 0.5:
            limit, free = "size=%dk" % ((facts.f_blocks - facts.f_bfree) * facts.f_frsize // 1024 + 16), "size=256m"
        else:
            limit, free = "nr_inodes=%d" % (facts.f_files - facts.f_ffree + 3), "nr_inodes=100000"
        if not self._remount(limit):
            return
        yield
        assert self._remount(free), "cannot give %s its room again" % self.place

    def _server(self):
        """The host goes down and comes back, once or several times."""
        for _number in range(self.pace.randrange(2)):
            self.server.stop()
            self.churn.run(self.pace.randrange(10))
            self.server.start()
            self.churn.run(self.pace.randrange(10))
        self.server.stop()
        yield
        self.server.start()

    def _vanish(self):
        """The target is not where it was; whoever has met it once must not make it anew."""
        report = self.daemon.status().get(self.name)
        if report is None or report.last_success == "never":
            return
        away = self.place / "dst.away"
        os.rename(str(self.dst), str(away))
        yield
        assert not os.path.lexists(str(self.dst)), "a target that had vanished was made anew"
        os.rename(str(away), str(self.dst))

    def _unsource(self):
        """The source is not where it was, for a moment."""
        os.rename(str(self.src), str(self.src) + ".away")
        time.sleep(self.pace.choice([0, 0.1, 1.5]))
        os.rename(str(self.src) + ".away", str(self.src))

    def _hup(self):
        """The configuration is read again, which has changed or not."""
        what = self.pace.choice(["nothing", "delay", "name", "more", "more"])
        if what == "delay":
            self.settings["delay"] = self.pace.choice([0.05, 0.1, 0.3])
        elif what == "name":
            self.name = "other" if self.name == "one" else "one"
        elif what == "more":
            self.has_more = not self.has_more
            (self.more[0] / str(self.rounds)).write_text("more")
        self._note("  %s" % what)
        self._configure()
        self._hang_up()

    def _die(self):
        """The daemon is killed, with its children or alone, and started again after some operations."""
        alone = self.pace.random() < 0.5
        self.daemon.kill(signal.SIGKILL)
        self.daemon.process.wait()
        if alone:
            self._thaw()
            try:
                wait_for(lambda: not processes(self.folder), "", 5)
            except AssertionError:
                pass
        self._note("  alone" if alone else "  and all its children")
        for pid in processes(self.folder):
            send(pid, signal.SIGKILL)
        self.churn.run(self.pace.randrange(20))
        self._start()

    def _term(self):
        """The daemon is ended and started again after some operations."""
        status = self.daemon.stop(limit=40)
        assert status == 143, "ended by TERM with %s" % status
        wait_for(lambda: not processes(self.folder), lambda: "the end of %s" % processes(self.folder), 10)
        self.churn.run(self.pace.randrange(20))
        self._start()

    # ---- what is told ------------------------------------------------------------------------

    def rest(self):
        """Return what the daemon takes while it is at rest: kB and numbers."""
        status = Path("/proc/%d/status" % self.daemon.pid).read_text()
        rss, peak, threads = (int(re.search(r"(?m)^%s:\s*(\d+)" % key, status).group(1))
                              for key in ("VmRSS", "VmHWM", "Threads"))
        return Rest(rss, peak, len(os.listdir("/proc/%d/fd" % self.daemon.pid)), threads, len(descendants(self.daemon.pid)))

    @property
    def again(self):
        """The command that does all of it again."""
        return "tests/soak --kind %s --seed %d --rounds %d --operations %d%s%s" % (
            self.kind, self.seed, self.rounds, self.operations, "" if self.restarts else " --no-restarts",
            "" if self._chosen is None else " --faults '%s'" % ",".join(self._chosen))

    def story(self):
        """Return what was done last, and how to do it again."""
        return "the last operations and faults:\n  %s\nstatus:\n%s\nagain: %s" % (
            "\n  ".join(self.churn.script[-self.operations - 40:]), self.daemon._text(self.daemon.statusfile), self.again)

    def forget(self):
        """Empty the log, once all is right."""
        os.truncate(str(self.daemon.logfile), 0)
        del self.churn.script[:]


def _name(pid):
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ")[:80].decode(errors="replace")
    except OSError:
        return ""


def _began(pid):
    """Return when a process began, which tells it from a later one of its number; None where it has ended."""
    try:
        return Path("/proc", str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return None


def make_run_sshd():
    """Make the directory that sshd will not start without; return it if it is ours to remove."""
    path = Path("/run/sshd")
    if ROOT and not path.exists():
        path.mkdir(mode=0o755)
        return path
    return None


def remove(folder):
    """Remove a session's folder."""
    shutil.rmtree(os.fsencode(str(folder)), ignore_errors=True)
