"""The target's side of a run: what is told of it, its directories, removals, and a directory of our own in it.

Knows the source by its path only, which must be the one that was entered while anything is removed.
"""

import errno
import os
import stat

from lsyncd_lite.errors import reason
from lsyncd_lite.paths import is_in, join, show, split
from lsyncd_lite.system.pinned import FDS
from lsyncd_lite.system.program import run as run_program

# Exit statuses, those of rsync where it has one: no source; no target; will not empty a target; nor remove that many.
DONE, DEFECT, NO_SOURCE, NO_TARGET, EMPTY_SOURCE, TOO_MANY = 0, 1, 3, 11, 25, 26

FULL = (errno.ENOSPC, errno.EDQUOT)
ARGUMENTS = 100000   # bytes of names for one process; a kernel takes at least 128 KiB
LINES = 20           # for people
WORK = b".lsyncd-lite."  # and a process number: a directory of our own in the target
_REMOVALS = 1000     # that wait


class Stop(Exception):
    """Nothing can be done at all; args: exit status, one line."""


class Target:
    """The target of one run. Paths are relative to it; b"" is its root.

    pins (a Pinned) and identity (device and inode of the source) are known once both are entered; excludes: None, or
    tells of (directory, name, is_dir) what is protected; kept: paths that are, with all below them; number: of the record that something is done for, or None.
    """

    def __init__(self, source, target, delete, gnu, excludes, kept=()):
        self.source = source
        self.target = target.rstrip(b"/") + b"/"
        self.delete = delete
        self.gnu = gnu
        self.excludes = excludes
        self.kept = frozenset(kept)
        self.identity = None
        self.pins = None         # its directories
        self.full = False        # it has no room left
        self.stale = []          # directories of our own kind that were in it
        self.work = None         # our own directory in it
        self.works = 0           # directories that were made in that
        self.private = None      # nobody else can enter it (None: not tried)
        self.there = {b""}       # directories that are real ones and can be written to
        self.touched = {}        # those whose attributes are due at the end → record
        self.removals = {}       # due for removal: path → (is a directory, record)
        self.failed = set()
        self.lines = 0

    def say(self, line):
        self.lines += 1
        if self.lines <= LINES:
            write(2, line)

    def fail(self, number, what, path, why):
        """Remember that a record failed, and say that it cannot do what to path (why: text or OSError)."""
        self.failed.add(number)
        if isinstance(why, OSError):
            if why.errno in FULL:
                self.full = True
            why = reason(why)
        self.say("cannot %s %s: %s" % (what, show(path or self.target), why))

    # ---- directories

    def _unlock(self, path, facts, number):
        """Let us write into a directory of the target; its mode comes back at the end. Tell if that was needed."""
        mode = stat.S_IMODE(facts.st_mode)
        if mode & stat.S_IRWXU == stat.S_IRWXU or self.pins.is_ours_to_change(path):
            return False
        try:
            self.pins.chmod(path, mode | stat.S_IRWXU)
        except OSError:
            return False  # it may do without: whatever is changed in there will tell
        self._touch(path, number)
        return True

    def _forget(self):
        """Look at all directories of the target again: some have changed."""
        self.there = {b""}
        self.pins.forget()

    def _touch(self, directory, number):
        if number is not None or directory not in self.touched:
            self.touched[directory] = number

    # ---- our own directory

    def _stage(self):
        """Tell whether there is, or can be made, a directory in the target that nobody else can enter."""
        if self.private is None:
            try:
                self._make_work()
                facts = self.pins.facts(self.work)
                self.private = facts.st_uid == os.geteuid() and not facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
            except OSError:
                self.private = False
        return self.private

    def _clear_stale(self):
        """Remove what killed runs have left of our own."""
        stale, self.stale = self.stale, []
        for name in stale:
            if not _is_alive(int(name[len(WORK):])):
                self._clear(name, None, False)
                self._touch(b"", None)

    def _make_work(self):
        """Make our own directory in the target, and hold it."""
        self.work = WORK + b"%d" % os.getpid()  # before it is there: a signal may come in between
        self._clear_stale()
        try:
            self._clear(self.work, None, False)
            import _signal  # signal would load enum
            _signal.signal(_signal.SIGTERM, _terminate)
            self.pins.mkdir(self.work)
        except OSError:
            self.work = None
            raise
        self._touch(b"", None)
        self.pins.keep(self.work)

    def _workplace(self):
        """Make a directory in our own one, for one cp, and return it.

        What another cp has left must be out of its way: it would write through a link, or into a fifo.
        """
        if self.work is None:
            self._make_work()
        self.works += 1
        work = b"%s/%d" % (self.work, self.works)
        self.pins.mkdir(work)
        return work

    # ---- removals

    def _gone(self, path, is_dir, number):
        """Remove what the source has not, if that is wanted."""
        if self.delete:
            self._remove(path, is_dir, number)

    def _is_kept(self, directory, name, is_dir):
        """Tell whether a name of the target is protected."""
        return bool(self.kept) and join(directory, name) in self.kept or (
            self.excludes is not None and self.excludes(directory, name, is_dir))

    def _remove(self, path, is_dir, number):
        if is_in(path, self.kept):
            return
        self.removals[path] = is_dir, number
        if is_dir:
            self._forget()
        if len(self.removals) > _REMOVALS:
            self._flush_removals()

    def _flush_removals(self):
        removals, self.removals = self.removals, {}
        if not removals:
            return
        try:
            facts = os.stat(self.source)
        except OSError:
            facts = None
        if facts is None or (facts.st_dev, facts.st_ino) != self.identity:
            raise Stop(NO_SOURCE, "source %s went away" % show(self.source))
        large, size = {}, 0
        for path, (is_dir, number) in removals.items():
            if not is_dir:
                self._away(self.pins.unlink, path, number)
            elif self.excludes or self.kept:
                self._clear(path, number, True)
            elif not self._away(self.pins.rmdir, path, number, True):
                large.setdefault(directory_of(path), []).append(path)
                size += len(path) + 30
                if size > ARGUMENTS or len(large) >= self.pins.most:
                    self._rm(large, removals)
                    large, size = {}, 0
        self._rm(large, removals)

    def _away(self, remove, path, number, may_hold=False):
        """Call remove; return False for a directory that holds something, if that is no failure."""
        try:
            remove(path)
        except FileNotFoundError:
            pass  # which is what was wanted
        except OSError as error:
            if may_hold and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            self.fail(number, "remove", path, error)
        return True

    def _rm(self, large, removals):
        """Remove directories, {where: paths}; rm, if it is one that goes into no link (GNU's), is faster."""
        if self.gnu and large and self.pins.by_descriptor:
            argv, held = [b"rm", b"-rf", b"--"], []
            try:
                for directory, paths in large.items():
                    held.append(os.dup(self.pins.hold(directory)))
                    argv += [FDS + b"%d/%s" % (held[-1], split(path)[1]) for path in paths]
                run_program(argv, held)
            except OSError:
                pass  # what is there still is seen to
            finally:
                for fd in held:
                    os.close(fd)
        for paths in large.values():
            for path in paths:
                if not self._is_away(path):
                    self._clear(path, removals[path][1], False)

    def _is_away(self, path):
        try:
            return self.pins.look(path) is None
        except OSError:
            return False

    def _clear(self, top, number, protects):
        """Remove a directory of the target; protects: but for what is excluded, and what holds that."""
        directories, kept = [top], False
        for directory in directories:  # which grows
            files = []  # a list of its own: what is removed while a directory is read may hide others
            try:
                self._unlock(directory, self.pins.facts(directory), None)
                with self.pins.scan(directory) as listing:
                    for entry in listing:
                        is_dir = entry.is_dir(follow_symlinks=False)
                        if protects and self._is_kept(directory, entry.name, is_dir):
                            kept = True
                        elif is_dir:
                            directories.append(directory + b"/" + entry.name)
                        else:
                            files.append(entry.name)
            except FileNotFoundError:
                continue  # which is what was wanted
            except OSError as error:
                self.fail(number, "list", self.target + directory, error)
                continue
            for name in files:
                self._away(self.pins.unlink, directory + b"/" + name, number)
        for directory in reversed(directories):
            self._away(self.pins.rmdir, directory, number, kept)


def directory_of(path):
    return split(path)[0]


def is_work(name):
    return name.startswith(WORK) and name[len(WORK):].isdigit()


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # somebody else's; no number of a process
    return True


def write(fd, line):
    try:
        os.write(fd, line.encode("utf-8", "backslashreplace") + b"\n")
    except OSError:
        pass  # nobody listens


def _terminate(_number, _frame):
    raise Stop(143, "ended by a signal")
