"""direct mode: which cp, mv and rm make places of a local target equal.

A few files of one directory are copied, or removed, by one cp or rm, in a shell that has
entered that directory. All else goes to a child of our own (system/equal.py), which looks
at both sides and does the rest in bulk.
The first sync is rsync's, where there is one. Nothing here looks at the target: a file
system that hangs must not stop the daemon.
"""

import stat

from lsyncd_lite.errors import killed
from lsyncd_lite.mirror.account import Account
from lsyncd_lite.mirror.change import FRESH, NEW, PLACE, WHOLE
from lsyncd_lite.mirror.filters import Filter
from lsyncd_lite.mirror.job import ANSWER, BATCH, CHECK, FULL, PROBE, RENAMES, Job, Verdict, answer
from lsyncd_lite.mirror.moves import changed_directories
from lsyncd_lite.mirror.rsync import Rsync, hold_links, too_many
from lsyncd_lite.paths import join, show, shown, split, to_bytes

_FEW = 100          # files that one cp or rm takes

# Enter the target, then a directory in it, and do what follows there only if no link was on the way: after `cd -P` dash
# and busybox ask the kernel where they are; other shells work it out by names, which may be others in the next moment.
_ENTER = b'''t=$1 d=$2 s=$3 c=$4; shift 4
cd -P -- "$t" 2>/dev/null && w=${PWD%/}${d:+/$d} && cd -P -- "./$d" 2>/dev/null && h=$PWD || exit
case ${BASH_VERSION-}${KSH_VERSION-}${ZSH_VERSION-}${YASH_VERSION-} in ?*) h=$(env pwd -P && echo .) w=${w:-/}"
.";; esac
[ "$h" = "${w:-/}" ] || exit
'''
_COPY = _ENTER + b'"$c" -a --remove-destination -- "$@" ./ && exec touch -r "$s" .'
_REMOVE = _ENTER + b'rm -rf -- "$@" && exec touch -r "$s" .'
_ASK = (b'case $(cp --version 2>/dev/null) in *"GNU coreutils"*) echo "equal: gnu cp";; esac; '
        b'echo "equal: cp $(command -v cp)"; echo "equal: rsync $(command -v "$0")"')
_NO_SOURCE, _NO_TARGET, _EMPTY_SOURCE, _TOO_MANY = 3, 11, 25, 26  # exit statuses of equal.py


class Direct:
    """The mode of one sync; `environ` (dict of bytes) is the environment of its children, child the argv of equal.py."""

    connection = None  # to no other host

    def __init__(self, config, environ, child):
        self.config = config
        self.filter = Filter(config.rules + config.extra_rules)
        self.takes_moves = config.delete in (True, "running")
        self._rsync = Rsync(config, environ)
        self._child = child
        self._gnu = False         # cp is that of the GNU coreutils
        self._cp = b"cp"          # where it is: looking for it costs a tenth of a short run
        self._has_rsync = True
        self._sound = False       # the target was what it should be when it was met last
        self._met = False         # it has been there: should it vanish, it is not to be made where it was mounted

    def protect(self, paths):
        """Delete nothing at and below some relative paths, as Rsync.protect does."""
        self._rsync.protect(paths)

    def probe(self):
        """Return the Job that asks which cp there is, and if there is an rsync."""
        return Job([b"sh", b"-c", _ASK, to_bytes(self.config.rsync.binary)], None, [], PROBE)

    @property
    def released(self):
        """Whether the next job may remove more than maxDelete."""
        return self._rsync.released

    @released.setter
    def released(self, value):
        self._rsync.released = value

    def plan(self, entries, source, settled, wall):
        """Return the Jobs that make (path, marks) entries equal, as Rsync.plan does."""
        if any(not path and marks & WHOLE for path, marks in entries):
            if self._has_rsync:
                return [self._rsync.full(entries, source)]
            return [self._equal(FULL, entries, self.config.delete in (True, "startup"))]
        jobs = self._few(entries, source, settled, wall) or [self._equal(BATCH, entries, self.takes_moves)]
        if self.config.rsync.hard_links:
            found = [source.lstat(path) for path, _marks in entries]
            jobs[0].then_full = any(facts and stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1 for facts in found) or any(
                marks & WHOLE and hold_links(source.directories(path), source) for path, marks in entries)
        return jobs

    def rename(self, moves, source):
        """Return the Job that does Moves; the directories that they change are made equal in the same run."""
        changed = changed_directories(moves, source)
        job = self._equal(RENAMES, [(path, PLACE) for path, facts in changed if facts is not None], True, list(moves))
        missing = [(path, PLACE) for path, facts in changed if facts is None]
        job.stdin += b"x\0\0\0" * len(missing)
        job.entries += missing
        return job

    def _equal(self, purpose, entries, deletes, moves=()):
        """Return a Job of our child."""
        config = self.config
        options = [(deletes, b"delete"), (self._gnu, b"gnu"), (config.direct.atomic, b"atomic"),
                   (not self._met, b"make"), (purpose == FULL and deletes and not config.allowEmptySource, b"refuse-empty")]
        if config.maxDelete is not None and not self.released:
            options.append((True, b"max-delete=%d" % config.maxDelete))
        fields = [config.source, config.target, b" ".join([word for given, word in options if given]),
                  b"%d" % (len(self.filter.rules) + len(self._rsync.protected))]
        fields += [b"P " + path for path in self._rsync.protected]
        fields += [to_bytes(rule.sign) + b" " + rule.pattern for rule in self.filter.rules]
        for move in moves:
            fields += [b"d" if move.is_dir else b"m", move.origin, move.place]
        for path, marks in entries:
            fields += [b"p", b"%d" % marks, path]
        job = Job(self._child, b"".join([field + b"\0" for field in fields]), entries, purpose, moves)
        job.shown = True
        job.account = Account()
        job.free = deletes and self.released
        return job

    def _few(self, entries, source, settled, wall):
        """Return the Jobs for new content, or the removal, of a few files of one directory; None for all else.

        (Commands around a job would run twice where it has to be done again.) A file with a time that the
        target may know is not for cp: where it is equal already, copying would make two mirrors in both
        directions echo for ever.
        """
        directory = split(entries[0][0])[0]
        if (len(entries) > _FEW or not self._sound or not self._gnu or self.config.direct.atomic
                or self.config.maxProcesses > 1 or self.config.onBatch.before or self.config.onBatch.after or any(split(path)[0] != directory for path, _marks in entries)):
            return None
        parent = directory
        while True:
            facts = source.lstat(parent)
            if facts is None or not stat.S_ISDIR(facts.st_mode):
                return None
            if not parent:
                break
            parent = split(parent)[0]
        copied = size = 0
        for path, marks in entries:
            facts = source.lstat(path)
            if not path or facts is None and (self.filter.rules or self._rsync.protected):
                return None
            if facts is None:
                continue
            copied += 1
            size += facts.st_size
            if (marks & (WHOLE | FRESH | NEW) != FRESH or not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1
                    or not settled < facts.st_mtime <= wall or self.filter.excludes(*split(path), False)):
                return None
        fields = [self.config.target, directory, join(self.config.source, directory), self._cp]
        if copied == len(entries):
            script, names = _COPY, [join(self.config.source, path) for path, _marks in entries]
        elif not copied and self.takes_moves and self.config.maxDelete is None:
            script, names = _REMOVE, [b"./" + split(path)[1] for path, _marks in entries]
        else:
            return None
        job = Job([b"sh", b"-c", script, b"sh", *fields, *names], None, entries, BATCH)
        job.account = Account()
        job.account.due = size, copied
        return [job]

    def verdict(self, job, status, output):
        """Return (Verdict, words) for a job that ended, as Rsync.verdict does."""
        if job.purpose == PROBE:
            return self._learn(status, output)
        self._met = self._met or status == 0 and job.purpose != CHECK
        if job.argv is not self._child:
            verdict, words = Verdict.REDO, None  # then it is looked at more closely
            if job.purpose == FULL and status is None:
                self._has_rsync, words = False, self._no_rsync
            elif job.purpose in (FULL, CHECK):
                verdict, words = self._rsync.verdict(job, status, output)
            elif status == 0:
                verdict = Verdict.OK
                if job.account is not None:
                    job.account.bytes, job.account.files = job.account.due
        else:
            verdict, words = self._judge(job, status, output)
        self._sound = verdict is Verdict.OK
        self._met = self._met or verdict is Verdict.HELD  # it holds what would be removed
        return verdict, words

    def _learn(self, status, output):
        """Take what the probe has found; without a word everything is tried."""
        if status is not None and status < 0:
            return Verdict.AGAIN, "the copying child " + killed(status)
        found = dict(line[len(ANSWER):].partition(b" ")[::2] for line in output if line.startswith(ANSWER))
        self._gnu, self._cp, self._has_rsync = b"gnu" in found, found.get(b"cp") or b"cp", found.get(b"rsync") != b""
        if found.get(b"cp") == b"":
            return Verdict.AGAIN, "there is no cp"
        return (Verdict.OK, None) if self._has_rsync else (Verdict.REDO, self._no_rsync)

    @property
    def _no_rsync(self):
        return "there is no %s: full syncs are done without it" % show(self.config.rsync.binary)

    def _judge(self, job, status, output):
        """Return (Verdict, words) for the end of our child."""
        told = shown(output[0]) if output else "no word"
        if status is None:
            return Verdict.AGAIN, told
        if status == _TOO_MANY:
            return Verdict.HELD, too_many(self.config, told.rpartition("(")[2].rstrip(")"))
        failed = answer(output, job.size) if status == 0 else None
        if job.moves:
            job.done = [None if failed is None else number not in failed for number in range(len(job.moves))]
        if status == _NO_TARGET:
            job.entries = [(b"", WHOLE), *job.entries]  # all of it is not there
            return Verdict.AGAIN, self._rsync.missing_target
        if status == _NO_SOURCE:
            return Verdict.AGAIN, "source %s is missing" % show(self.config.source)
        if status == _EMPTY_SOURCE:
            return Verdict.AGAIN, self._rsync.refused_empty
        if failed is None:
            if status < 0:
                return Verdict.AGAIN, "the copying child " + killed(status)
            return Verdict.AGAIN, "the copying child ended with %d: %s" % (status, told)
        if not failed:
            return Verdict.OK, None
        job.entries = [entry for number, entry in enumerate(job.entries, len(job.moves)) if number in failed]
        return (Verdict.LOOK, None) if job.moves else (Verdict.PARTIAL, told)
