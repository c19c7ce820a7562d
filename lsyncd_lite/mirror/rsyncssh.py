"""rsyncssh mode: rsync, with renames done on the far side through ssh.

Several renames travel in one call, as NUL-separated fields on the standard input of a
small script for a POSIX shell, so that no name is ever part of a command line. What
could not be renamed there is transferred and removed like everything else.
"""

import re
import stat

from lsyncd_lite.errors import killed
from lsyncd_lite.mirror.change import FRESH, PLACE
from lsyncd_lite.mirror.job import RENAMES, Job, Verdict, answer
from lsyncd_lite.mirror.moves import changed_directories
from lsyncd_lite.mirror.rsync import DETAIL, TIMEOUT, Rsync
from lsyncd_lite.paths import show, split

MANY = 1000  # removals that are not worth telling rsync one by one

# With these rsync leaves alone, or keeps, what a rename would change.
_KEEPS = ("dry_run", "existing", "backup", "update")
_KEEPS_EXTRA = re.compile("-[A-Za-z]*[nbu]|--(dry-run|backup|update|existing|ignore-(non-)?existing|max-delete)")

# What ssh says when it has not even reached the other side: nothing was begun there.
_UNREACHED = (b"ssh: connect to host ", b"ssh: Could not resolve hostname ")

# The first fields are the number of records and the target's directory. The records are "m" ORIGIN
# PLACE ("d" for a directory), "r" PATH (remove), "t" TIME DIRECTORY, and "x", which fails. Its answer is
# one line, and that is read up to 4096 bytes: too many that failed are all. It stands in single
# quotes, in one line and without "!", so that every login shell hands it on to sh as it is. A shell
# reads lines, so NUL and newline change places with newline and \001; "x" stands for a rename that
# has \001 in a name. It speaks before each record: when nobody listens any more, it ends. k: are all
# parents of a path real directories? (with a second word: make them)
_SCRIPT = b" ".join(line.strip() for line in rb"""
LC_ALL=C; export LC_ALL; tr "\000\n" "\n\001" | {
x=$(printf "\001"); f=; n=0; c=0; CDPATH=;
g() { IFS= read -r v || return 1; case $v in *$x*) v=$(printf %s "$v" | tr "\001" "\n"; echo x); v=${v%x};; esac; };
k() { h=; t=$1; while case $t in */*) :;; *) false;; esac; do h=$h${t%%/*}; t=${t#*/};
if [ -L "./$h" ]; then return 1; fi;
if [ -d "./$h" ]; then :; elif [ "$2" ]; then mkdir "./$h" || return 1; else return 1; fi; h=$h/; done; };
m() { k "$a" && k "$b" make || return 1;
if [ -L "./$a" ]; then [ $w = m ]; elif [ -d "./$a" ]; then [ $w = d ]; else [ -e "./$a" ] && [ $w = m ]; fi || return 1;
if [ -L "./$b" ]; then rm -f "./$b"; elif [ -d "./$b" ]; then rmdir "./$b" || return 1; fi;
mv -f "./$a" "./$b"; };
r() { [ $# -eq 0 ] || rm -rf -- "$@" </dev/null || { f="$f $q"; c=$((c+1)); }; };
s() { k "$b" && [ -d "./$b" ] || return 1; if [ -L "./$b" ]; then return 1; fi; touch -c -d "@$a" "./$b"; };
if g && l=$v && g && cd "$v"; then
while g; do echo "equal: $n" || exit; case $v in
[md]) w=$v; g && a=$v && g && b=$v && m </dev/null;;
t) r "$@"; set --; g && a=$v && g && b=$v && s </dev/null;;
r) g && k "$v" && { set -- "$@" "./$v"; q=$n; [ $# -lt 200 ] || { r "$@"; set --; }; };; *) false;;
esac || { f="$f $n"; c=$((c+1)); }; n=$((n+1)); done;
r "$@"; [ $c -le 500 ] && [ "$n" = "$l" ] || f=" *";
else f=" *"; cat >/dev/null; fi 2>/dev/null;
echo "equal: ${f:+failed}${f:-done}"; }
""".strip().split(b"\n"))


class RsyncSsh(Rsync):
    """The mode of one sync; as Rsync, and with renames."""

    def __init__(self, config, environ, sockets=None):
        super().__init__(config, environ, sockets)
        self._call = self.shell + [config.host, b"sh -c '" + _SCRIPT + b"'"]
        self._removes = True  # until something could not be removed there: rsync says why
        self._dates = config.rsync.times and not config.rsync.omit_dir_times
        self.takes_moves = (config.delete in (True, "running") and not any(getattr(config.rsync, key) for key in _KEEPS)
                            and not any(map(_KEEPS_EXTRA.match, config.rsync._extra)) and b"\001" not in config.targetdir)

    def rename(self, moves, source):
        """Return the Job that does Moves; the times of the directories that they change are set in the same call."""
        fields = []
        for move in moves:
            kind = b"d" if move.is_dir else b"m"
            fields += [b"x"] if b"\001" in move.origin + move.place else [kind, move.origin, move.place]
        return self._script(fields, [], list(moves), changed_directories(moves, source))

    def remove_there(self, names, source):
        """Return the Job that removes many names (bytes, missing in the source); None where rsync does that as well."""
        if len(names) < MANY or self.config.maxDelete is not None or not (self.takes_moves and self._removes) or (
                self.filter.rules or self.protected) or any(
                not name or b"\001" in name for name in names):
            return None
        fields = [field for name in names for field in (b"r", name)]
        directories = dict.fromkeys(split(name)[0] for name in names)
        return self._script(fields, [(name, FRESH) for name in names], [],
                            [(directory, source.lstat(directory)) for directory in directories])

    def _script(self, fields, entries, moves, directories):
        """Return the Job of one call: records, what they make equal, and (directory, lstat or None) that need their times."""
        job = Job(self._call, None, entries, RENAMES, moves)
        for directory, facts in directories if self._dates else ():
            if facts is None or not stat.S_ISDIR(facts.st_mode) or facts.st_mtime_ns < 0 or b"\001" in directory:
                fields += [b"x"]
            else:
                fields += [b"t", b"%d.%09d" % divmod(facts.st_mtime_ns, 10 ** 9), directory or b"."]
            job.entries.append((directory, PLACE))
        # nothing else sees that the far side stands still
        job.limit = (self.config.rsync.timeout or TIMEOUT) + job.size / 10
        start = self.config.targetdir if self.config.targetdir.startswith(b"/") else b"./" + self.config.targetdir
        job.stdin = b"".join([field + b"\0" for field in (b"%d" % job.size, start, *fields)])
        return job

    def verdict(self, job, status, output):
        """Return (Verdict, words) for a job that ended, as Rsync does; `done` of a job says which renames were done."""
        if job.purpose != RENAMES:
            return super().verdict(job, status, output)
        told = show(b"".join([line for line in output if not DETAIL.match(line)][-1:])) or "no answer"
        if status is None:
            return Verdict.AGAIN, told
        if status < 0 or 128 < status:  # killed, or the connection broke
            if not (status == 255 and any(line.startswith(_UNREACHED) for line in output)):
                job.done = [None] * len(job.moves)
            return Verdict.AGAIN, "ssh " + killed(status) if status < 0 else "ssh ended with %d: %s" % (status, told)
        failed = answer(output, job.size) if status == 0 else None
        if failed is None:
            self.takes_moves = False
            job.done = [False] * len(job.moves)
            return Verdict.REDO, ("the far side runs no commands (status %d: %s): renames are transferred from now on"
                                  % (status, told))
        job.done = [number not in failed for number in range(len(job.moves))]
        job.entries = [entry for number, entry in enumerate(job.entries, len(job.moves)) if number in failed]
        self._removes = self._removes and not any(marks for _path, marks in job.entries)  # directories have none
        return Verdict.LOOK if job.entries else Verdict.OK, None
