"""rsync mode: which rsync makes which places equal, and what its exit status means.

A batch sends the paths themselves (`--files-from`), so its cost is the number of
changes, not the size of their directories. The argument lists are measured facts; a
comment names what each one avoids. Looks at the disk through the Source it is handed.
"""

import re
import stat

from lsyncd_lite.config import settings
from lsyncd_lite.errors import killed
from lsyncd_lite.mirror import needs, ssh
from lsyncd_lite.mirror.account import ASKED, Account, asked
from lsyncd_lite.mirror.change import FRESH, LITTER, NEW, PLACE, WHOLE
from lsyncd_lite.mirror.filters import Filter
from lsyncd_lite.mirror.job import ANSWER, BATCH, CHECK, CLEANING, FULL, PROBE, REMOVAL, Job, Verdict
from lsyncd_lite.paths import is_in, show, split, to_bytes

# rsync(1), EXIT VALUES
_VERDICTS = {0: Verdict.OK, 24: Verdict.LOOK, 23: Verdict.PARTIAL,
             **dict.fromkeys((3, 5, 6, 10, 11, 12, 14, 20, 21, 22, 30, 35, 255), Verdict.AGAIN),
             **dict.fromkeys((15, 16, 19), Verdict.AGAIN)}  # one of rsync's own processes was killed
_STOPPED = 25  # --max-delete stopped a deletion
_SKIPPED = re.compile(rb"Deletions stopped due to --max-delete limit \((\d+) skipped\)")
# With these the receiver may have been killed, and left a file that it was receiving. What never reached it:
_KILLED = {10, 12, 15, 16, 19, 20, 30, 255}
_UNREACHED = re.compile(rb"ssh: (?:connect to host|Could not resolve hostname) |rsync: .*failed to connect to ")

# Receivers with a certain hardening of 2026 end with 2 and this message at a missing entry.
_REFUSES_MISSING = b"invalid file mode 00"
# What the probe has to hear of them: the verdict says what it means.
ANSWERED = re.compile(rb"invalid file mode 00|rsync error: protocol incompatibility \(code 2\) at flist\.c")

# What rsync and ssh print of things that are no trouble, and children of ours for their mode.
DETAIL = re.compile(rb"file has vanished: |rsync warning: some files vanished |(?:rsync: )?WARNING: parent dir is absent "
                    rb"|ControlSocket .* already exists, disabling multiplexing"
                    rb"|mux_client_request_session: session request failed|" + ANSWER)

# The target's directory is missing, and was not to be made.
_NO_TARGET = re.compile(rb'rsync: .*(?:mkdir|change_dir#\d) ".*"(?: \(in .*\))? failed: No such file or directory')

# It has not found the program that was to reach the host.
_NO_SHELL = re.compile(rb"rsync: .*Failed to exec (.+): No such file or directory")

# A parent of a listed path was renamed while rsync read the list; a device took the place of a file that it was about to send.
_OVERTAKEN = re.compile(rb"invalid path from sender|attempt to copy device contents without --copy-devices")

# A dead peer has to end a job.
TIMEOUT = 300  # seconds without traffic
_CONNECT_TIMEOUT = b"--contimeout=60"

_TOLD = 300  # bytes of what rsync says that go into the status

_WRITTEN = 0.01  # seconds from the last write of a file to its rename, at most; no rsync is as fast

# A name that no source holds.
_NOTHING = b".probe-\001"


class Rsync:
    """The mode of one sync; `environ` (dict of bytes) is the environment of its children.

    sockets: the directory (bytes) for ssh's control sockets, or None.
    """

    takes_moves = False  # renames are transferred

    def __init__(self, config, environ, sockets=None):
        self.config = config
        self.filter = Filter(config.rules + config.extra_rules)
        self._receiver_is_broken = False
        self.released = False  # it may delete more than maxDelete, once
        self._limit = b"--max-delete=%d" % (-1 if config.maxDelete is None else config.maxDelete)
        self._met = False  # the target has been there: should it vanish, it is not to be made where it was mounted
        self._deletes_in_full = config.delete in (True, "startup")
        self._deletes_in_batch = config.delete in (True, "running")
        self.shell = ssh.command(config, environ, sockets) if ssh.is_over_ssh(config) else []  # the words that reach the host
        self.connection = ssh.connection(self.shell, sockets)  # how its name begins; None: not shared
        # By nanoseconds: else a change of the same size within the same second is not seen. With --update that would overwrite
        # what is newer by less than two seconds: the echo of a two-way mirror would undo what was written since.
        self.updates = config.rsync.update or any(word in ("-u", "--update") for word in config.rsync._extra)
        self._options = _table_options(config.rsync) + _connection_options(config, environ, sockets) + [
            b"--modify-window=%d" % (0 if self.updates else -1)]
        self._rules = self._user_rules = [b"--filter=%s %s" % (to_bytes(sign), pattern) for sign, pattern, _where in config.rules]
        self.protected = ()  # relative directories below which nothing is deleted
        self._extra = [to_bytes(argument) for argument in config.rsync._extra]
        self._asks, self._shows = asked(config)

    def protect(self, paths):
        """Delete nothing at and below some relative paths, whatever the source lacks there."""
        self.protected = tuple(paths)
        self._rules = [b"--filter=P " + _literal(b"/" + path, wild=True) + b"/***" for path in paths] + self._user_rules

    def probe(self):
        """Return the Job that asks if the receiver takes missing entries; None where none will be sent."""
        if not self._deletes_in_batch:
            return None
        return self._listed(PROBE, [b"-n", b"--delete-missing-args"], [_NOTHING], [])

    def plan(self, entries, source, settled, wall):
        """Return the Jobs that make (path, marks) entries equal; nothing to do is an empty list.

        source: a Source. settled, wall (seconds since the epoch): all that the target
        holds was read from the source before settled, and now it is wall.
        """
        return _Plan(self, source, settled, wall).jobs(entries)

    def verdict(self, job, status, output):
        """Return (Verdict, words) for a job that ended; it may change the job's entries.

        status: exit status, or the negative number of the signal that killed it, or None
        when it could not be started; output: list of its lines (bytes).
        """
        if status is None:
            return Verdict.AGAIN, show(output[0])
        if job.purpose == BATCH and (status < 0 or status in _KILLED or 128 < status) and not any(map(_UNREACHED.match, output)):
            self._want_cleaned(job)
        if status < 0:
            return Verdict.AGAIN, "rsync " + killed(status)
        refused = any(_REFUSES_MISSING in line for line in output)
        if status == 2 and refused and job.purpose in (PROBE, BATCH, CHECK, CLEANING):
            self._receiver_is_broken = True
            verdict = Verdict.AGAIN if b"--ignore-missing-args" in job.argv else Verdict.REDO
            return verdict, "the receiver refuses missing entries; removals go in an rsync of their own"
        if status == 2 and any(map(_OVERTAKEN.search, output)):
            return Verdict.AGAIN, "the source changed under rsync's eyes"
        if status == _STOPPED or status in (0, 23, 24) and any(map(_SKIPPED.match, output)):  # 0: that of an rsync daemon's client
            if job.empties:
                return Verdict.AGAIN, self.refused_empty
            if self._limit in job.argv:
                self._met = True  # it holds what would be deleted
                return Verdict.HELD, self._too_many(output)
        if self._met and status in (3, 11) and any(map(_NO_TARGET.match, output)):
            job.entries = [(b"", WHOLE), *job.entries]  # all of it is not there
            return Verdict.AGAIN, self.missing_target
        if 128 < status < 255:  # how a shell tells of a signal
            verdict = Verdict.AGAIN
        else:
            verdict = _VERDICTS.get(status, Verdict.DIE)
            self._met = self._met or job.purpose not in (PROBE, CHECK) and status in (0, 23, 24)
        lacks = next((match.group(1) for match in map(_NO_SHELL.match, output) if match), None)
        if lacks is not None:
            return Verdict.AGAIN, needs.missing(lacks, self.config)
        words = "rsync ended with %d" % status
        told = _reason(status, output)
        return verdict, "%s: %s" % (words, show(told)) if told else words

    def _want_cleaned(self, job):
        """Have the directories cleaned in which a job may have left what it was receiving."""
        if self._deletes_in_batch:
            job.entries = job.entries + [(directory, LITTER) for directory in dict.fromkeys(
                split(path)[0] for path, marks in job.entries if path and not marks & LITTER)]

    @property
    def missing_target(self):
        """The words for a target that has vanished."""
        return "target %s is missing: waiting for it (only the first sync makes it)" % show(self.config.target)

    @property
    def refused_empty(self):
        """The words for a source that is empty when it should fill a target that is not."""
        return ("source %s is empty and the target is not: refused to empty it "
                "(a missing mount? allowEmptySource = yes to mean it)" % show(self.config.source))

    def _too_many(self, output):
        skipped = next((int(match.group(1)) for match in map(_SKIPPED.match, output) if match), None)
        return too_many(self.config, skipped and skipped + self.config.maxDelete)

    def _guarded(self, job):
        """Return a Job that may delete, bound to maxDelete: counted first by a run that changes nothing."""
        job.free = self.released
        if self.config.maxDelete is not None and not self.released:
            job.argv.insert(1, self._limit)  # should more be gone by then
            job.check = [job.argv[0], b"-n", *(word for word in job.argv[1:] if word != ASKED)]
        return job

    def _argv(self, options, rules=()):
        source = self.config.source
        return [to_bytes(self.config.rsync.binary), *self._options, *options, *rules, *self._extra,
                source if source.endswith(b"/") else source + b"/", self.config.target + b"." * self._met]

    def _listed(self, purpose, options, names, entries):
        """Return a Job that gives rsync names; "./" keeps "#" and ";" from being comments."""
        argv = self._argv([*options, b"--from0", b"--files-from=-"], self._rules)
        return self._told(Job(argv, b"".join([b"./%s\0" % name for name in names]), entries, purpose))

    def _told(self, job):
        """Return a Job that tells what it sends."""
        if self._shows is not None:
            job.account = Account(self._shows)
        return job

    def full(self, entries, source):
        """Return the Job that makes the whole target equal."""
        options = [*self._asks, b"-r", b"--force"]
        empties = self._deletes_in_full and not self.config.allowEmptySource and source.is_empty()
        if self._deletes_in_full:
            options.append(b"--delete")
            if self.config.rsync.delete_excluded:
                options.append(b"--delete-excluded")
        if empties:
            options.append(b"--max-delete=0")
        job = self._told(Job(self._argv(options, self._rules), None, entries, FULL))
        job.empties = empties
        return self._guarded(job) if self._deletes_in_full and not empties else job

    def batch(self, names, entries, again=False, removes=False):
        """Return the Job that makes listed names equal; again: compare content, not size and time; removes: some are missing.

        (--ignore-times would write what is equal, too, and so echo between two-way mirrors.)
        """
        options = [*self._asks, b"--delete"] if self._deletes_in_batch else [*self._asks]
        takes_missing = self._deletes_in_batch and not self._receiver_is_broken
        options += [b"--delete-missing-args" if takes_missing else b"--ignore-missing-args", b"--force"]
        if again:
            options.append(b"--checksum")
        job = self._listed(BATCH, options, names, entries)
        removes = takes_missing and removes or self._deletes_in_batch and any(name.endswith(b"/") for name in names)
        return self._guarded(job) if removes else job

    def attributes(self, entries):
        """Return the Job that makes the root's own attributes equal.

        "." and "./" would mean its content, too; a list of nothing leaves the root alone.
        """
        return self._listed(BATCH, [b"--ignore-missing-args"], [_NOTHING], entries)

    def cleaning(self, names, entries):
        """Return the Job that removes what rsyncs have left in listed directories, and makes these equal.

        They receive a file under the name ".NAME.XXXXXX". Only what is called so and is not in the source is removed, and
        no directory: there may be more in there that is none of ours. What the user's rules protect may be called so, too.
        """
        return self._listed(CLEANING, [b"--delete", b"--ignore-missing-args", b"--existing", b"--ignore-existing",
                                    b"--filter=P */", b"--filter=-r! .*.??????"], names, entries)

    def removal(self, names, entries):
        """Return the Job that removes listed names by a filter that shows rsync nothing beside them.

        They are shown to the receiver only ("R"), so nothing is sent; below them the
        rules of the user decide what is protected.
        """
        shown, hidden = {}, {}  # in order, once each
        for name in names:
            parts = name.split(b"/")
            for depth in range(len(parts)):
                parent = b"".join([b"/" + part for part in parts[:depth]])
                if parent:
                    shown[b"+ " + _literal(parent) + b"/"] = None
                hidden[b"- " + _literal(parent, wild=True) + b"/*"] = None
            shown[b"R " + _literal(b"/" + name)] = None
        argv = self._argv([b"-r", b"--delete", b"--force"], [b"--from0", b"--filter=merge -", *self._rules])
        return self._guarded(Job(argv, b"".join([rule + b"\0" for rule in [*shown, *hidden]]), entries, REMOVAL))

    def remove_there(self, _names, _source):
        """Return the Job that removes listed names in another way than by rsync, or None if there is none."""
        return None

    @property
    def splits_removals(self):
        """Whether missing names need `removal`: the receiver takes none in a batch."""
        return self._receiver_is_broken and self._deletes_in_batch

    @property
    def skips_missing(self):
        """Whether missing names need nothing at all."""
        return not self._deletes_in_batch


def too_many(config, count=None):
    """Return the words for a job that would delete more than maxDelete of a SyncConfig; count: how many (int or str), where it is known."""
    from shlex import quote
    return ("would delete %s entries of the target, more than maxDelete = %d: held until lsyncd-lite release %s"
            % ("too many" if count is None else count, config.maxDelete, quote(show(config.name))))


class _Plan:
    """Sorts entries into jobs, looking at each directory once.

    Size and time cannot be trusted for a file whose content may have changed but whose
    time is one that the target may know already (`touch -r`, `cp -p`, archives), or has
    not come yet. These are compared by content, which reads them twice: others are not.
    """

    def __init__(self, mode, source, settled, wall):
        self._mode = mode
        self._source = source
        self._settled = settled
        self._wall = wall
        self._real = {b"": True}  # directory → it is one, and no link
        self._taken = {}          # what is listed already → the entries that go with it
        self._root, self._removal, self._missing = ([], []), ([], []), ([], [])
        self._plain, self._doubtful, self._litter = ([], []), ([], []), ([], [])
        self._large = []
        self._linked = False  # a file has other names, which only a full sync can link to it

    def jobs(self, entries):
        """Return the jobs, removals first: they make room."""
        mode = self._mode
        if any(not path and marks & WHOLE for path, marks in entries):
            return [mode.full(entries, self._source)]
        for path, marks in entries:
            place = self._standing(path)
            item = (place, marks if place == path else PLACE)
            if item not in self._taken:
                self._taken[item] = self._sort(*item)
            self._taken[item].append((path, marks))
        job = mode.remove_there(self._missing[0], self._source)
        jobs = [job] if job else []
        if not job:
            for old, new in zip(self._removal if mode.splits_removals else self._plain, self._missing):
                old += new
        if self._removal[0]:
            jobs.append(mode.removal(*self._removal))
        if self._litter[0]:
            jobs.append(mode.cleaning(*self._litter))
        removes = bool(self._missing[0]) and not mode.splits_removals
        for names, taken, again in (self._plain + (False,), self._doubtful + (True,)):
            if names:  # the root's attributes ride along
                jobs.append(mode.batch(names, taken + self._root[1], again, removes and not again))
                self._root = ([], [])
        if self._root[0]:
            jobs.append(mode.attributes(self._root[1]))
        jobs += [mode.batch(names, taken, again) for names, taken, again in self._large]
        for job in jobs:
            job.then_full = self._linked
        return jobs

    def _standing(self, path):
        """Return the path, or its topmost parent that is missing or no directory any more.

        A list with a path below such a parent makes rsync fail, or create a directory
        on the target where the source has none.
        """
        end = path.find(b"/")
        while end >= 0:
            parent = path[:end]
            real = self._real.get(parent)
            if real is None:
                facts = self._source.lstat(parent)
                real = self._real[parent] = facts is not None and stat.S_ISDIR(facts.st_mode)
            if not real:
                return parent
            end = path.find(b"/", end + 1)
        return path

    def _sort(self, place, marks):
        """List a place where it belongs; return the list that takes the entries it stands for."""
        mode = self._mode
        facts = self._source.lstat(place)
        if facts is None:
            if mode.skips_missing or is_in(place, mode.protected):
                return []
            return _put(self._missing, place)
        if not place:
            return _put(self._litter if marks & LITTER else self._root, place)
        is_dir = stat.S_ISDIR(facts.st_mode)
        if mode.filter.excludes(*split(place), is_dir):  # rsync would pass over it, but something else was there
            return [] if mode.skips_missing else _put(self._removal, place)
        if is_dir:
            if not marks & WHOLE:
                return _put(self._litter, place + b"/") if marks & LITTER else _put(self._plain, place)
            directories = self._source.directories(place)
            if mode.config.rsync.hard_links:
                self._linked = self._linked or hold_links(directories, self._source)
            names = [name + b"/" for name in directories]
            return _put(self._doubtful if marks & (FRESH | NEW) == FRESH else self._plain, *names)
        if not stat.S_ISREG(facts.st_mode):
            return _put(self._plain, place)
        if facts.st_nlink > 1 and mode.config.rsync.hard_links:
            self._linked = True
        if mode.updates:
            # By content, what arrives from the other side would go back over what is as new there to the second. So only what was
            # written here (who receives sets the time, which leaves a later ctime), where the target may have been given
            # another version of that second. (infinite // 1 is equal to nothing)
            again = marks & FRESH and facts.st_ctime - facts.st_mtime < _WRITTEN and facts.st_mtime // 1 == self._settled // 1
        else:
            again = marks & FRESH and not self._settled < facts.st_mtime <= self._wall
        if mode.config.batchSizeLimit is not None and facts.st_size > mode.config.batchSizeLimit:
            self._large.append(([place], [], again))
            return self._large[-1][1]
        return _put(self._doubtful if again else self._plain, place)


def hold_links(directories, source):
    """Tell whether a file in relative directories has other names."""
    for directory in directories:
        for name, is_dir in source.names(directory):
            facts = None if is_dir else source.lstat(directory + b"/" + name)
            if facts is not None and stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1:
                return True
    return False


def _reason(status, output):
    """Return the line (bytes) that tells best why rsync has failed, b"" without any."""
    lines = [line for line in output if not DETAIL.match(line) and b"IO error encountered" not in line]  # a consequence
    others = [line for line in lines if not line.startswith(b"rsync")]
    if status in (12, 255) and others:  # rsync has lost ssh, which says why
        return others[-1][:_TOLD]
    telling = [line for line in lines if not line.startswith(b"rsync error: ")] or lines  # that one only names the status
    errors = [line for line in telling if line.startswith(b"rsync") or b"rror" in line]
    return b"".join((errors or telling)[:1])[:_TOLD]


def _put(group, *names):
    group[0].extend(names)
    return group[1]


def _table_options(table):
    """Return rsync's own options for what its table sets."""
    short, long = b"", []
    for key in settings.KEYS:
        value = getattr(table, key.name) if key.scopes == "rsync" and key.flag else None
        if not value or key.name in ("delete_excluded", "rsh"):  # go with --delete, with the connection
            continue
        if key.flag.endswith("="):
            long.append(to_bytes(key.flag + str(value)))
        elif key.flag.startswith("--"):
            long.append(to_bytes(key.flag))
        else:
            short += to_bytes(key.flag[1:])
    return [b"-" + short] * bool(short) + long


def _connection_options(config, environ, sockets):
    """Return what reaches a remote target and, where the user has not said it, keeps a job from waiting for ever."""
    rsh = config.rsync.rsh and to_bytes(config.rsync.rsh)
    options = []
    if not config.local:
        options += [b"--timeout=%d" % TIMEOUT] if config.rsync.timeout is None else []
        if ssh.is_over_ssh(config):
            rsh = ssh.rsh(config, environ, sockets)
        elif rsh is None and b"RSYNC_RSH" not in environ:
            options.append(_CONNECT_TIMEOUT)
    return options + ([b"--rsh=" + rsh] if rsh else [])


def _literal(path, wild=None):
    """Return a path as a pattern; a backslash escapes only in a pattern with wildcards (rsync(1))."""
    if wild or re.search(rb"[*?[]", path):
        return re.sub(rb"([\\*?[])", rb"\\\1", path)
    return path
