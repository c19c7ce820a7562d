"""The real daemon as a test meets it: started, looked at, stopped, and nothing left of it.

Nothing here sleeps for a time that a test relies on: everything is waited for. Where a
test must show that something did *not* happen, a later change that does arrive is the
fence (`Daemon.fence`).
"""

import errno
import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LIMIT = 30  # seconds that anything may take on a loaded machine
MARK = "TEST_OF_LSYNCD_LITE"  # in the environment of a daemon and all that descends from it

ROOT = os.geteuid() == 0


def wait_for(condition, what, limit=LIMIT):
    """Poll until `condition()` is true and return that; `what` (text or a callable that makes it) says what was missed."""
    deadline = time.monotonic() + limit
    nap = 0.01
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError("waited %g s in vain: %s" % (limit, what() if callable(what) else what))
        time.sleep(nap)
        nap = min(nap * 1.5, 0.2)


# ---- trees ------------------------------------------------------------------------------------

Entry = namedtuple("Entry", "type mode owner mtime link content device")


def tree(root, archive=False):
    """Return {relative bytes path: Entry} of all below `root`, and with `archive` of itself (b".").

    Without `archive` modes, owners, and the times of directories, are left out, as rsync leaves them out.
    """
    found = {}
    todo = [(os.fsencode(str(root)), b".")]
    while todo:
        path, name = todo.pop()
        try:
            found[name] = entry = _entry(path, archive)
            if entry.type == "directory":
                prefix = b"" if name == b"." else name + b"/"
                todo += [(path + b"/" + child, prefix + child) for child in os.listdir(path)]
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL):
                raise
            found.pop(name, None)  # trees are looked at while they change
    if not archive:
        found.pop(b".", None)
    return found


def _entry(path, archive):
    facts = os.lstat(path)
    kind = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo",
            stat.S_IFSOCK: "socket"}.get(stat.S_IFMT(facts.st_mode), "device")
    link = os.readlink(path) if kind == "link" else None
    content = None
    if kind == "file" and facts.st_size:
        with open(path, "rb") as file:
            content = file.read()
        if len(content) > 40:
            content = (len(content), hashlib.sha1(content).hexdigest())
    mode = "%o" % stat.S_IMODE(facts.st_mode) if archive and kind != "link" else None
    mtime = facts.st_mtime_ns if archive or kind == "file" else None
    owner = "%d:%d" % (facts.st_uid, facts.st_gid) if archive and ROOT else None
    return Entry(kind, mode, owner, mtime, link, content, facts.st_rdev if kind == "device" else None)


def links(root):
    """Return the set of the sets of relative bytes paths below `root` that are one file."""
    found, root = {}, os.fsencode(str(root))
    for directory, _below, files in os.walk(root):
        for name in files:
            path = os.path.join(directory, name)
            try:
                facts = os.lstat(path)
            except OSError:  # trees are looked at while they change
                continue
            if stat.S_ISREG(facts.st_mode):
                found.setdefault((facts.st_dev, facts.st_ino), set()).add(os.path.relpath(path, root))
    return {frozenset(names) for names in found.values() if len(names) > 1}


def differences(source, target):
    """Return lines that tell two results of `tree` apart."""
    lines = []
    for path in sorted(set(source) | set(target)):
        if path not in target:
            lines.append("missing on the target: %r (%s)" % (path, source[path].type))
        elif path not in source:
            lines.append("only on the target:    %r (%s)" % (path, target[path].type))
        elif source[path] != target[path]:
            lines.append("differs:               %r %s" % (path, ", ".join(
                "%s: source %s, target %s" % (field, ours, theirs)
                for field, ours, theirs in zip(Entry._fields, source[path], target[path]) if ours != theirs)))
    return lines[:40] + ["and %d more" % (len(lines) - 40)] * (len(lines) > 40)


def names(root):
    """Return the relative paths below `root` as a set of str; directories end in a slash."""
    return {os.fsdecode(path) + "/" * (entry.type == "directory") for path, entry in tree(root).items()}


def wait_equal(source, target, archive=False, limit=LIMIT):
    """Wait until both trees are the same."""
    wait_for(lambda: tree(source, archive) == tree(target, archive),
             lambda: "equal trees\n  " + "\n  ".join(differences(tree(source, archive), tree(target, archive))), limit)


def make(root, *paths, **contents):
    """Make files below `root`: paths ("d/f", a directory where it ends in "/") with their own name as content."""
    for path in paths:
        place = Path(str(root)) / path
        if path.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(contents.get("text", path))
    return root


# ---- configurations ---------------------------------------------------------------------------

def sync(source, target, name=None, **keys):
    """Return a sync as a JSON configuration has it; `render_ini` writes the same as INI."""
    targets = target if isinstance(target, (list, tuple)) else [target]
    table = {"source": str(source), "target": [str(one) for one in targets]}
    if name:
        table["name"] = name
    table.update(keys)
    return table


def sync_by_ssh(source, host, targetdir, ssh=None, rsync=None, **keys):
    """Return a sync of mode rsyncssh, archive on."""
    table = {"mode": "rsyncssh", "source": str(source), "host": host, "targetdir": str(targetdir),
             "rsync": dict({"archive": True}, **(rsync or {}))}
    if ssh:
        table["ssh"] = ssh
    table.update(keys)
    return table


def sync_by_actions(source, target=None, name=None, **keys):
    """Return a sync of mode exec; a target is not needed."""
    table = sync(source, () if target is None else target, name, mode="exec", **keys)
    if target is None:
        del table["target"]
    return table


# The commands of a mirror of mode exec.
COPY = "cp -aT --remove-destination ^sourcePathname ^targetPathname"
DIRECTORY = "chmod --reference=^sourcePathname ^targetPathname"


def mirroring(source, target, moves, **keys):
    """Return a sync that keeps target equal to source by nothing but actions that each trust those before them."""
    actions = {
        "onStartup": "rm -rf ^target && cp -a ^source ^target",
        "onCreate": "case ^path in */) mkdir -p ^targetPathname && %s ;; *) %s ;; esac" % (DIRECTORY, COPY), "onModify": COPY,
        "onAttrib": "case ^path in */) %s ;; *) %s ;; esac" % (DIRECTORY, COPY), "onDelete": "rm -rf ^targetPathname"}
    if moves:
        actions["onMove"] = "mv -fT ^o.targetPathname ^d.targetPathname"
    return sync_by_actions(source, target, **dict(actions, **keys))


# A mirror of mode script, by what mode rsync does.
SCRIPT = """
def on_startup(sync): return default.rsync(sync)
def on_create(event): return default.rsync(event)
on_modify = on_attrib = on_delete = on_create
def on_move(origin, destination): return default.rsync(destination)
"""


# The ways in which a mirror can be kept, for the fixtures `mirror` and `mirrors`: the modes, and what makes a difference in them.
WAYS = ("rsync", "ssh", "rsyncd", "rsyncssh", "direct", "atomic", "without-rsync", "exec", "script")
BY_RSYNC = ("rsync", "ssh", "rsyncd", "rsyncssh", "script")  # run it for each change
BY_CP = ("direct", "atomic", "without-rsync", "exec")
LASTING = WAYS[:7]                                            # make places equal; the others tell of events
NOT_EXEC = tuple(way for way in WAYS if way != "exec")        # whose commands are the user's


# ---- what commands of the user's were told ------------------------------------------------------

def teller(where, *words):
    """Return a text for /bin/sh that appends its words, as the shell has read them, to a file as one record."""
    return "printf '%%s\\0' %d %s >> %s" % (len(words), " ".join(words), where)


def told(where, text=True):
    """Return the records (tuples) of a file that `teller` writes, in order."""
    try:
        fields = Path(str(where)).read_bytes().split(b"\0")[:-1]
    except FileNotFoundError:
        return []
    records = []
    while fields:
        count = int(fields[0])
        assert len(fields) > count, "a record is torn: %r" % fields
        records.append(tuple(map(os.fsdecode, fields[1:count + 1]) if text else fields[1:count + 1]))
        fields = fields[count + 1:]
    return records


def render_ini(settings, syncs):
    """Return the INI text of a configuration."""
    lines = ["[settings]"] + list(_ini_lines(settings))
    for number, table in enumerate(syncs, 1):
        name = table.get("name", "sync%d" % number if len(syncs) > 1 else "")  # [sync] may stand there once
        lines += ["", "[sync %s]" % name if name else "[sync]"]
        lines += _ini_lines({key: value for key, value in table.items() if key != "name"})
    return "\n".join(lines) + "\n"


def _ini_lines(table, prefix=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _ini_lines(value, prefix + key + ".")
        elif isinstance(value, (list, tuple)):
            yield "%s%s =" % (prefix, key)
            yield from ("    " + item for item in value)
        else:
            yield "%s%s = %s" % (prefix, key, "yes" if value is True else "no" if value is False
                                 else str(value).replace("\n", "\n    "))


# ---- the daemon -------------------------------------------------------------------------------

def environment(mark):
    """Return the environment the daemon is run in; `mark` makes its descendants known."""
    environ = dict(os.environ, PYTHONPATH=str(CHECKOUT), PYTHONDONTWRITEBYTECODE="1")
    environ[MARK] = str(mark)
    environ["RUNTIME_DIRECTORY"] = str(mark) + ".run"  # for control sockets, as a service manager gives it
    os.makedirs(environ["RUNTIME_DIRECTORY"], exist_ok=True)
    return environ


def run(folder, *argv, **options):
    """Run the command line to its end; return a CompletedProcess with text in stdout and stderr."""
    return subprocess.run([sys.executable, "-m", "lsyncd_lite"] + [str(arg) for arg in argv],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, errors="surrogateescape", timeout=LIMIT,
                          cwd=str(options.pop("cwd", folder)), env=environment(folder), **options)


def processes(mark):
    """Return {pid: command line} of all that runs with our mark in its environment."""
    wanted = ("%s=%s" % (MARK, mark)).encode()
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if wanted in Path("/proc", pid, "environ").read_bytes().split(b"\0"):
                found[int(pid)] = Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # ended meanwhile, or somebody else's
            pass
    return found


def connections(pid):
    """Return {pid: what it calls itself} of the ssh processes that hold connections open for a daemon.

    They change what /proc tells of their arguments and environment; the name of their socket is left.
    """
    found = {}
    for one in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path("/proc", one, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # ended meanwhile
            continue
        if re.match(r"ssh: .*/lsyncd-lite-%d[-/].*\[mux\]" % pid, line):
            found[int(one)] = line.strip()
    return found


def descendants(pid):
    """Return the pids of all that runs below a process."""
    below = {}
    for one in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = Path("/proc", one, "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
        except OSError:  # ended meanwhile
            continue
        below.setdefault(int(parent), []).append(int(one))
    found, todo = [], [pid]
    while todo:
        children = below.get(todo.pop(), [])
        found += children
        todo += children
    return found


Report = namedtuple("Report", "source target delays state in_flight oldest last_success next_try last_error")

_LABELS = {"in_flight": "In flight", "oldest": "Oldest pending", "last_success": "Last success",
           "next_try": "Next try", "last_error": "Last error"}


def parse_status(text):
    """Return ({sync name: Report}, number of watched directories) of a status file."""
    reports = {}
    for block in re.split(r"(?m)^(?=Sync )", text)[1:]:
        name, source, target = re.match(r"Sync (\S+) source=(.*?) target=(.*)", block).groups()
        delays = re.search(r"(?m)^There are (\d+) delays$", block)
        state = re.search(r"(?m)^State: (.*)$", block)
        rest = {field: re.search(r"(?m)^%s: (.*)$" % label, block) for field, label in _LABELS.items()}
        reports[name] = Report(source, target, int(delays.group(1)), state.group(1),
                               **{field: match and match.group(1) for field, match in rest.items()})
    watching = re.search(r"(?m)^Inotify watching (\d+) directories$", text)
    return reports, int(watching.group(1)) if watching else None


LOG_LINE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} [A-Z]\w*: \S.*")


class Daemon:
    """One running daemon and the folder with its configuration, log and status."""

    def __init__(self, folder, mark):
        self.folder, self.mark = folder, mark
        self.logfile, self.statusfile, self.outfile = folder / "log", folder / "status", folder / "out"
        self.conf = folder / "daemon.ini"
        self.process = None
        self.fences = 0

    def configure(self, *syncs, settings=None, text=None, form="ini"):
        """(Re)write the configuration file."""
        self.conf = self.folder / ("daemon." + form)
        table = {"logfile": str(self.logfile), "statusFile": str(self.statusfile), "statusInterval": 0.1, "delay": 0.2}
        table.update(settings or {})
        if text is None:
            text = render_ini(table, syncs) if form == "ini" else json.dumps({"settings": table, "sync": list(syncs)})
        self.conf.write_text(text)

    def configure_init_off(self):
        """Make the next run begin without its full syncs."""
        self.conf.write_text(self.conf.read_text() + "init = no\n")

    def start(self, *argv, prefix=(), python=sys.executable):
        """Start `lsyncd_lite ARGV` in the folder, in a session of its own."""
        command = list(prefix) + [python, "-m", "lsyncd_lite"] + [str(arg) for arg in argv]
        with open(str(self.outfile), "ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            cwd=str(self.folder), start_new_session=True,
                                            env=environment(self.mark))
        return self

    @property
    def pid(self):
        return self.process.pid

    def _text(self, path):
        try:
            return path.read_bytes().decode("utf-8", "surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def log(self):
        return self._text(self.logfile)

    def output(self):
        return self._text(self.outfile)

    def status(self):
        return parse_status(self._text(self.statusfile))[0]

    def watching(self):
        return parse_status(self._text(self.statusfile))[1]

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait(self, condition, what, limit=LIMIT):
        """As wait_for, but ends at once when the daemon has ended."""
        def look():
            alive = self.running()
            got = condition()
            assert got or alive, "the daemon ended with %s while we waited for %s" % (
                self.process.poll(), what() if callable(what) else what)
            return got
        return wait_for(look, what, limit)

    def wait_log(self, pattern, limit=LIMIT):
        """Wait for a line of the log and return the match."""
        return self.wait(lambda: re.search(pattern, self.log()), "a log line that matches %r" % pattern, limit)

    def wait_status(self, name=None, limit=LIMIT, **wanted):
        """Wait until fields of a sync's report (of all syncs without `name`) are as wanted; values or predicates."""
        def fits(report):
            return all(want(getattr(report, field)) if callable(want) else getattr(report, field) == want
                       for field, want in wanted.items())

        def look():
            reports = self.status()
            chosen = reports.values() if name is None else [reports[name]] if name in reports else []
            return reports if chosen and all(map(fits, chosen)) else None
        return self.wait(look, lambda: "status of %s with %s; it is\n%s" % (
            name or "all", wanted, self._text(self.statusfile)), limit)

    def wait_idle(self, limit=LIMIT):
        return self.wait_status(state="idle", delays=0, in_flight="0", limit=limit)

    def wait_equal(self, source, target, archive=False, limit=LIMIT):
        self.wait(lambda: tree(source, archive) == tree(target, archive),
                  lambda: "equal trees\n  " + "\n  ".join(differences(tree(source, archive), tree(target, archive))),
                  limit)

    def wait_same(self, source, targets, archive=False, limit=LIMIT):
        """Wait until all of {way: directory} are as the source is."""
        wrong = {}

        def look():
            wrong.clear()
            ours = tree(source, archive)
            for way, target in targets.items():
                theirs = tree(target, archive)
                if theirs != ours:
                    wrong[way] = differences(ours, theirs)
            return not wrong
        self.wait(look, lambda: "equal trees" + "".join("\n  %s\n    %s" % (way, "\n    ".join(lines[:8]))
                                                       for way, lines in wrong.items()), limit)

    def wait_path(self, path, text=None, limit=LIMIT):
        """Wait until a path exists, with `text` in it if given."""
        path = Path(str(path))
        self.wait(lambda: os.path.lexists(str(path)) and (text is None or path.is_file() and path.read_text() == text),
                  "%s%s" % (path, "" if text is None else " with %r" % text), limit)

    def wait_gone(self, path, limit=LIMIT):
        self.wait(lambda: not os.path.lexists(str(path)), "%s gone" % path, limit)

    def fence(self, source, *targets):
        """Make two changes one after the other and see both arrive: what came before them is done with."""
        for _ in range(2):  # the second travels in a batch that began after the first one's had ended
            self.fences += 1
            name = "~fence%d" % self.fences
            (Path(str(source)) / name).write_text(name)
            for target in targets:
                self.wait_path(Path(str(target)) / name, name)

    def kill(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, limit=LIMIT):
        """Send TERM, wait, return the exit status; it must come to its end by itself."""
        if self.running():
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError("the daemon did not end within %g s of signal %d" % (limit, number))

    def ended(self, limit=LIMIT):
        """Wait for the daemon's own end; return its exit status."""
        wait_for(lambda: not self.running(), "the daemon to end", limit)
        return self.process.returncode

    def story(self):
        """Return what a failed test shows of this daemon."""
        parts = [("configuration", self._text(self.conf)), ("terminal", self.output()[-2000:]),
                 ("log", self.log()[-15000:]), ("status", self._text(self.statusfile))]
        return "\n".join("---- %s\n%s" % part for part in parts if part[1])


# ---- an rsync that does what a test tells it ---------------------------------------------------

_RSYNC = """#!/bin/sh
case " $* " in *" -n "*|*--version*) exec %(real)s "$@" ;; esac
cd_=%(folder)s
printf '%%s\\0' "$@" > $cd_/new.$$
case $(readlink /proc/$$/fd/0) in *memfd*) cat /proc/$$/fd/0 > $cd_/list.$$ ;; esac
mv $cd_/new.$$ $cd_/call.$$
: > $cd_/running.$$
ls $cd_ | grep -c '^running' > $cd_/together.$$
[ -e $cd_/say ] && cat $cd_/say && cat $cd_/say >&2
while [ -e $cd_/hold ]; do sleep 0.05; done
for order in $cd_/fail.*; do
    [ -e $order ] || break
    read code < $order
    case $order in *.once*) rm -f $order ;; esac
    rm -f $cd_/running.$$
    echo "told to fail with $code" >&2
    [ $code = KILL ] && kill -KILL $$
    exit $code
done
%(real)s "$@"
code=$?
[ -e $cd_/hold_after ] && : > $cd_/held.$$
while [ -e $cd_/hold_after ]; do sleep 0.05; done
rm -f $cd_/running.$$
exit $code
"""

Call = namedtuple("Call", "argv paths time")


class Rsync:
    """An `rsync.binary` that records its calls, and fails, waits or talks when told to.

    Probes (`-n`) pass unrecorded.
    """

    def __init__(self, folder, real="rsync"):
        folder.mkdir(parents=True)
        self.folder = folder
        self.path = str(folder / "rsync")
        Path(self.path).write_text(_RSYNC % {"folder": folder, "real": real})
        os.chmod(self.path, 0o755)

    def calls(self):
        """Return the calls so far, in order."""
        calls = []
        for path in self.folder.glob("call.*"):
            listed = path.with_name(path.name.replace("call", "list"))
            calls.append(Call([os.fsdecode(arg) for arg in path.read_bytes().split(b"\0")[:-1]],
                              listed.read_bytes().split(b"\0")[:-1] if listed.exists() else None,
                              path.stat().st_mtime_ns / 1e9))
        return sorted(calls, key=lambda call: call.time)

    def most_together(self):
        """Return how many calls ran at one time at most."""
        return max(int(path.read_text() or 0) for path in self.folder.glob("together.*"))

    def fail(self, code, times=None):
        """Fail with `code` ("KILL": be killed) without doing anything: `times` calls, or until `recover`."""
        if times is None:
            (self.folder / "fail.always").write_text("%s\n" % code)
        for number in range(times or 0):
            (self.folder / ("fail.once%d" % number)).write_text("%s\n" % code)

    def failing(self):
        return any(self.folder.glob("fail.*"))

    def recover(self):
        for path in self.folder.glob("fail.*"):
            path.unlink()

    def hold(self, after=False):
        """Make calls wait before (or after) they have done their work, until `release`."""
        (self.folder / ("hold_after" if after else "hold")).touch()

    def held(self):
        """Return how many calls have done their work and wait."""
        return len(list(self.folder.glob("held.*")))

    def release(self):
        for path in self.folder.glob("hold*"):
            path.unlink()

    def say(self, content):
        (self.folder / "say").write_bytes(content)


# ---- any program that a test wants to hear of ---------------------------------------------------

_RECORDER = """#!/bin/sh
cd_=%(folder)s
printf '%%s\\0' "$@" > $cd_/new.$$
mv $cd_/new.$$ $cd_/call.$$
if [ -e $cd_/fail ]; then
    read code < $cd_/fail
    [ "$code" = KILL ] && kill -KILL $$
    echo "told to fail with $code" >&2
    exit $code
fi
[ -e $cd_/hold ] || exec %(real)s "$@"
%(real)s "$@"
code=$?
: > $cd_/held.$$
while [ -e $cd_/hold ]; do sleep 0.05; done
rm -f $cd_/held.$$
exit $code
"""


class Recorder:
    """A program that records its calls, fails or waits when told to, and else is the real one; `.path` is where it is."""

    def __init__(self, folder, name, real):
        folder.mkdir(parents=True)
        self.folder, self.path = folder, str(folder / name)
        Path(self.path).write_text(_RECORDER % {"folder": folder, "real": real})
        os.chmod(self.path, 0o755)

    def calls(self):
        """Return the argument lists of the calls so far, in order."""
        calls = sorted(self.folder.glob("call.*"), key=lambda path: path.stat().st_mtime_ns)
        return [[os.fsdecode(arg) for arg in path.read_bytes().split(b"\0")[:-1]] for path in calls]

    def fail(self, code):
        """Fail with `code` ("KILL": be killed) without doing anything, until `recover`."""
        (self.folder / "fail").write_text("%s\n" % code)

    def recover(self):
        (self.folder / "fail").unlink()

    def hold(self):
        """Make calls wait after they have done their work, until `release`."""
        (self.folder / "hold").touch()

    def held(self):
        """Return how many calls have done their work and wait."""
        return len(list(self.folder.glob("held.*")))

    def release(self):
        (self.folder / "hold").unlink()

    def before(self, path=None):
        """Return the start of a command line that has this program first on its PATH."""
        return ("env", "PATH=%s:%s" % (self.folder, path or os.environ["PATH"]))
