"""The program behind `direct` mode: make places of a target directory equal to the source.

A short-lived child of the daemon. It looks at both sides itself, renames, removes and sets
attributes with system calls, and leaves content to `cp` and large removals to `rm`, many
names to a process. Its input is fields that end in NUL: source; target; options (words out
of `delete`, `gnu`, `atomic`, `make`, `refuse-empty`); the number of rules; the rules, "- PATTERN";
then records, counted from 0: `m` ORIGIN PLACE (rename on the target), `d` ORIGIN PLACE
(rename a directory), `p` MARKS PATH, and `x` with two fields that count for nothing, which fails.
The last line of its output is `equal: done` or `equal: failed NUMBER…`.

Every look is a look at a moment: whatever changes on the source afterwards is an event of
its own for the daemon. On the target nothing is ever reached through a symbolic link.
"""

import errno
import os
import stat

from lsyncd_lite.errors import reason
from lsyncd_lite.mirror.change import FRESH, NEW, PLACE, WHOLE
from lsyncd_lite.paths import show, split
from lsyncd_lite.system.attributes import is_same_content, make_like

# Exit statuses, those of rsync where it has one: no source; no target; will not empty a target.
DONE, DEFECT, NO_SOURCE, NO_TARGET, EMPTY_SOURCE = 0, 1, 3, 11, 25

_ARGUMENTS = 100000  # bytes of names for one process; a kernel takes at least 128 KiB
_LINES = 20          # for people
_NUMBERS = 500       # of records that failed, by name
_PATIENCE = 1        # s: then a look at what a cp is waiting for
_WORK = b".lsyncd-lite."  # and a process number: a directory of our own in the target
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = tuple(os.fsencode(os.strerror(number)) for number in _FULL)
_GRANULE = 50000000  # ns: file systems stamp changes by a clock that is some ms late


class Stop(Exception):
    """Nothing can be done at all; args: exit status, one line."""


class Run:
    """One run over one source and one target.

    Everything is a path relative to both roots (b"": the root itself). The source is the
    working directory: its paths are short, and it cannot be unmounted meanwhile.
    """

    def __init__(self, source, target, options, rules):
        self.source = source
        self.target = target.rstrip(b"/") + b"/"
        self.delete, self.gnu, self.atomic, self.make, self.refuse_empty = (
            word in options for word in (b"delete", b"gnu", b"atomic", b"make", b"refuse-empty"))
        self.excludes = None
        if rules:
            from lsyncd_lite.mirror.filters import Filter
            self.excludes = Filter([(chr(rule[0]), rule[2:], "") for rule in rules]).excludes
        self.trees = not rules and not self.atomic  # cp may copy a directory with all that is in it
        self.scattered = False   # directories without write permission: cp --parents would fail in them
        self.settled_before = 0  # ns: while mending; whole seconds do for what has not changed since
        self.full = False        # the target has no room left
        self.told_full = False
        self.work = None         # our own directory, for atomic
        self.works = 0           # directories that were made in it
        self.here = {}           # directory of the source → it is a real one
        self.there = {b""}       # directories of the target that are real ones and can be written to
        self.stood = {}          # what stands for places below it → its record
        self.shares = []         # (record, the record that decides for it)
        self.touched = {}        # directories whose attributes are due at the end → record
        self.copies = {}         # due for cp: path → (lstat of the source or None: a tree, of the target, record)
        self.removals = {}       # due for removal on the target: path → (is a directory, record)
        self.size = 0            # bytes of arguments in copies
        self.failed = set()
        self.lines = 0

    # ---- what is told

    def say(self, line):
        self.lines += 1
        if self.lines <= _LINES:
            _write(2, line)

    def fail(self, number, what, path, why):
        """Remember that a record failed, and say that it cannot do what to path (why: text or OSError)."""
        self.failed.add(number)
        if isinstance(why, OSError):
            if why.errno in _FULL:
                self.full = True
            why = reason(why)
        self.say("cannot %s %s: %s" % (what, show(path or self.target), why))

    def verdict(self):
        """Return the last line."""
        if self.lines > _LINES:
            _write(2, "and %d more" % (self.lines - _LINES))
        failed = self.failed - {None}
        failed.update(number for number, first in self.shares if first in failed)
        if not failed:
            return "equal: done"
        if len(failed) > _NUMBERS:
            return "equal: failed *"
        return "equal: failed " + " ".join(map(str, sorted(failed)))

    # ---- the story

    def run(self, moves, places):
        """Do moves, (record, origin, place, is_dir), then places, (record, marks, path)."""
        whole = any(marks & WHOLE and not path for _number, marks, path in places)
        self._open(whole)
        try:
            for number, origin, place, is_dir in moves:
                try:
                    self._move(number, origin, place, is_dir)
                except OSError as error:
                    self.fail(number, "move %s to" % show(origin), place, error)
            for number, marks, path in places:
                try:
                    self._place(number, marks, path)
                except OSError as error:
                    self.fail(number, "make equal", path, error)
            while self.copies or self.removals:
                self._flush()
        finally:
            self._close()
        self._finish()
        found = _look(self.target)
        if found is None or (found.st_dev, found.st_ino) != self.target_identity:
            raise Stop(NO_TARGET, "target %s went away" % show(self.target))  # what was missing in it counted as removed

    def _open(self, whole):
        try:
            os.chdir(self.source)
            facts = os.stat(b".")
        except OSError as error:
            raise Stop(NO_SOURCE, "cannot enter source %s: %s" % (show(self.source), reason(error)))
        self.identity = facts.st_dev, facts.st_ino
        self._note(b"", facts)
        try:
            if whole and self.make and _look(self.target) is None:
                os.mkdir(self.target, 0o700)
            with os.scandir(self.target) as listing:
                entries = list(listing)
        except OSError as error:
            raise Stop(NO_TARGET, "cannot enter target %s: %s" % (show(self.target), reason(error)))
        stale = [entry.name for entry in entries if _is_work(entry.name) and entry.is_dir(follow_symlinks=False)]
        if whole and self.refuse_empty and len(entries) > len(stale) and not os.listdir(b"."):
            raise Stop(EMPTY_SOURCE, "source %s is empty and target %s is not: refused to empty it"
                       % (show(self.source), show(self.target)))
        facts = os.stat(self.target)
        self.target_identity = facts.st_dev, facts.st_ino
        self._unlock(b"", facts, None)
        for name in stale if whole or self.atomic else ():
            if not _is_alive(int(name[len(_WORK):])):
                self._clear(name, None, False)
                self._touch(b"", None)

    def _close(self):
        """Remove our own directory, whatever has happened."""
        if self.work:
            self._clear(self.work, None, False)

    # ---- moves

    def _move(self, number, origin, place, is_dir):
        """Rename on the target, as `mv -T` does, what is of the same type there."""
        if not self._enter(_parent(origin), number, False):
            raise FileNotFoundError(errno.ENOENT, "origin")
        facts = os.lstat(self.target + origin)
        if stat.S_ISDIR(facts.st_mode) != is_dir:
            raise FileNotFoundError(errno.ENOENT, "origin of that type")
        directory = _parent(place)
        for parent in _chain(directory):  # look at all before one of them is made
            found = _look(self.target + parent)
            if found is None:
                break
            if not stat.S_ISDIR(found.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "parent")
        self._enter(directory, number)
        if is_dir and self._unlock(origin, facts, None):  # its ".." changes
            self._touch(place, number)
        found = _look(self.target + place)
        if found and (found.st_dev, found.st_ino) == (facts.st_dev, facts.st_ino):
            if origin != place:  # two names of one file: rename(2) would leave both
                os.unlink(self.target + origin)
        else:
            os.rename(self.target + origin, self.target + place)
        self._touch(_parent(origin), number)
        self._touch(directory, number)
        if is_dir:  # what is due in it goes with it
            self.there = {b""}
            for touched in [touched for touched in self.touched if touched.startswith(origin + b"/")]:
                self._touch(place + touched[len(origin):], self.touched.pop(touched))

    # ---- places

    def _place(self, number, marks, path):
        """Make one place equal, whatever it is now."""
        standing = self._standing(path)
        if standing != path:
            marks = PLACE
        if standing in self.stood:
            first, known = self.stood[standing]
            if known | marks == known:
                self.shares.append((number, first))
                return
        self.stood[standing] = number, marks
        if _is_work(standing.partition(b"/")[0]):
            return
        here = _look(standing or b".")
        directory, name = split(standing)
        if self.excludes and directory and self.excludes(*split(directory), True):
            return
        if here is not None and not self._is_excluded(directory, name, here):
            self._enter(directory, number)
            self._touch(directory, number)
            self._make(standing, here, _look(self.target + standing), marks, number)
        elif self._enter(directory, number, False):
            self._touch(directory, number)
            there = _look(self.target + standing)
            if there and not self._is_excluded(directory, name, there):
                self._gone(standing, stat.S_ISDIR(there.st_mode), number)

    def _is_excluded(self, directory, name, facts):
        return bool(self.excludes and name and self.excludes(directory, name, stat.S_ISDIR(facts.st_mode)))

    def _make(self, path, here, there, marks, number):
        """Make a path equal with all that is to be below it."""
        new = self._compare(path, here, there, marks, number)
        if new is not None:
            self._walk(path, new, marks, number)

    def _compare(self, path, here, there, marks, number):
        """Make one path equal, given its lstat on both sides (there: or None).

        Return None, or for a directory that is to be walked whether the target's is new.
        """
        target = self.target + path
        if not stat.S_ISDIR(here.st_mode):
            if there is not None and self._is_same(path, here, there, marks):
                make_like(path, target, here, there)
            else:
                self._copy(path, here, there, number)
            return None
        self._note(path, here)
        new = there is None or not stat.S_ISDIR(there.st_mode)
        if new and not path:  # it was there just now, and is not to be made where it was mounted
            raise Stop(NO_TARGET, "target %s went away" % show(self.target))
        if new:
            if there is not None:
                os.unlink(target)
            if marks & WHOLE and self.trees and not self._hands_on(path):
                self._queue(path, None, None, number)
                return None
            os.mkdir(target, 0o700)
        elif marks & WHOLE:
            self._unlock(path, there, number)
        self._touch(path, number)
        return new if marks & WHOLE else None

    def _hands_on(self, path):
        """Tell whether the directory of the target that holds a path gives its set-group-ID bit to new directories.

        GNU cp -a leaves it to those that have none in the source.
        """
        return bool(os.lstat(self.target + _parent(path)).st_mode & stat.S_ISGID)

    def _walk(self, top, new, marks, number):
        """Make everything below a directory equal; new: the target's has nothing in it."""
        pending = [(top, new)]
        while pending:
            directory, new = pending.pop()
            try:
                with os.scandir(directory or b".") as listing:
                    here = list(listing)
            except (FileNotFoundError, NotADirectoryError):
                continue  # it went just now: an event of its own
            except OSError as error:
                self.fail(number, "list", directory, error)
                continue
            there = {}
            try:
                if not new:
                    with os.scandir(self.target + directory) as listing:
                        there = {entry.name: entry for entry in listing}
            except OSError as error:
                self.fail(number, "list", self.target + directory, error)
                continue
            prefix = directory + b"/" if directory else b""
            for entry in here:
                path = prefix + entry.name
                try:
                    if self._is_hidden(directory, entry):
                        continue
                    facts = entry.stat(follow_symlinks=False)
                    found = there.pop(entry.name, None)
                    new = self._compare(path, facts, found and found.stat(follow_symlinks=False), marks, number)
                    if new is not None:
                        pending.append((path, new))
                except OSError as error:
                    if _is_there(path):
                        self.fail(number, "make equal", path, error)
            for entry in there.values():
                if not self._is_hidden(directory, entry):
                    self._gone(prefix + entry.name, entry.is_dir(follow_symlinks=False), number)

    def _is_hidden(self, directory, entry):
        """Tell whether an entry of either side is excluded, or ours."""
        if not directory and _is_work(entry.name):
            return True
        return self.excludes is not None and self.excludes(directory, entry.name, entry.is_dir(follow_symlinks=False))

    def _is_same(self, path, here, there, marks):
        """Tell whether what is there need not be copied: neither is a directory."""
        kind = stat.S_IFMT(here.st_mode)
        if kind != stat.S_IFMT(there.st_mode):
            return False
        if there.st_nlink > 1 and there.st_nlink != here.st_nlink and (
                (here.st_mode, here.st_uid, here.st_gid) != (there.st_mode, there.st_uid, there.st_gid)):
            return False  # its other names are not ours to change
        if kind == stat.S_IFREG:
            if here.st_size != there.st_size or not self._is_same_time(here, there):
                return False
            return marks & (FRESH | NEW) != FRESH or is_same_content(path, self.target + path)
        if kind == stat.S_IFLNK:
            return os.readlink(path) == os.readlink(self.target + path)
        return here.st_rdev == there.st_rdev

    def _is_same_time(self, here, there):
        if here.st_mtime_ns == there.st_mtime_ns:
            return True
        return here.st_ctime_ns < self.settled_before and int(here.st_mtime) == int(there.st_mtime)

    # ---- attributes

    def _finish(self):
        """Make the attributes of all touched directories equal, the deepest first."""
        self.here, self.there = {}, {b""}
        for directory in sorted(self.touched, reverse=True):
            number = self.touched[directory]
            try:
                here = _look(directory or b".")
                if not here or not stat.S_ISDIR(here.st_mode) or self._standing(directory) != directory:
                    continue  # it stays for what is protected in it, or went just now
                if self._enter(directory, number, False):
                    at = self.target + directory
                    make_like(directory or b".", at, here, os.lstat(at))
            except OSError as error:
                self.fail(number, "set the attributes of", directory, error)

    # ---- content

    def _copy(self, path, here, there, number):
        """Put a file, or what else is no directory, on the list of what cp is to copy."""
        if stat.S_ISREG(here.st_mode) and not os.access(path, os.R_OK):
            if _is_there(path):  # cp would remove what it then cannot replace
                raise PermissionError(errno.EACCES, "source")
            return
        if there is not None and not self.full:
            is_dir = stat.S_ISDIR(there.st_mode)
            if is_dir or not (self.gnu or self.atomic):  # which replace it themselves
                self._remove(path, is_dir, number)
        self._queue(path, here, there, number)

    def _queue(self, path, here, there, number):
        if path in self.copies:
            self.shares.append((number, self.copies[path][2]))
            return
        self.copies[path] = here, there, number
        self.size += len(path) + 9  # NUL and a pointer
        if self.size > _ARGUMENTS:
            self._flush()

    def _flush(self):
        """Remove, which makes room, then copy what is due."""
        self._flush_removals()
        copies, self.copies, self.size = self.copies, {}, 0
        groups = {}
        for path in copies:
            groups.setdefault(None if self.gnu and not self.scattered else _parent(path), []).append(path)
        for directory, paths in groups.items():
            try:
                if not self.full:
                    self._cp(directory, paths, copies)
                    continue
                if not self.told_full:
                    self.told_full = True
                    self.say("cannot copy the rest: %s" % os.strerror(errno.ENOSPC))
            except OSError as error:
                self.fail(None, "copy to", self.target, error)
            self.failed.update(copies[path][2] for path in paths)

    def _cp(self, directory, paths, copies):
        """Run one cp for paths of one directory (None: of any) and judge what it leaves behind.

        The names are relative to the source, which is our working directory. ("./" before them
        would make cp --parents give the mode of the source to the target, or to our own directory.)
        """
        base = self.target
        if self.atomic:
            base += self._workplace()
        elif directory:
            base += directory + b"/"
        argv = [b"cp", b"-a"] + [b"--remove-destination"] * self.gnu + [b"--parents"] * (directory is None)
        import time
        started = time.time_ns()
        status, output = _run(argv + [b"--"] + paths + [base])
        if status == 0 and self.gnu and not self.atomic:
            return
        if any(line.endswith(_FULL_WORDS) for line in output):
            self.full = True
        for path in paths:
            here, there, number = copies[path]
            at = base + (path if directory is None else split(path)[1])
            try:
                if here is None:
                    self._mend(path, number, started)
                elif not self._settle(path, at, here, there, number, status):
                    told = [line for line in output if path in line] or output[-1:] or [b"cp ended with %d" % status]
                    self.fail(number, "copy", path, show(told[0]))
            except OSError as error:
                self.fail(number, "copy", path, error)

    def _settle(self, path, at, here, there, number, status):
        """See to a file that cp has put at `at`; return False where it has not."""
        now, found = _look(path), _look(at)
        if now is None and (status or found is None):
            self._gone(path, False, number)
            return True
        if found is None:
            return False
        if status:
            if stat.S_IFMT(found.st_mode) != stat.S_IFMT(now.st_mode):
                return False
            if there is not None and (found.st_ino, found.st_ctime_ns) == (there.st_ino, there.st_ctime_ns):
                return False
            if stat.S_ISREG(now.st_mode) and (now.st_size != found.st_size or int(now.st_mtime) != int(found.st_mtime)
                                              or self.gnu and now.st_mtime_ns != found.st_mtime_ns):
                return False
        if not self.gnu and now and (now.st_mode, now.st_size, now.st_mtime_ns) == (
                here.st_mode, here.st_size, here.st_mtime_ns):
            make_like(path, at, now, found)
        if self.atomic:
            os.rename(at, self.target + path)
        return True

    def _mend(self, path, number, started):
        """Look at every place of a tree that cp has copied, not or not well enough.

        A cp that keeps whole seconds has done well what has not changed since it started (ns).
        """
        now, found = _look(path), _look(self.target + path)
        if now is None:
            if found:
                self._gone(path, stat.S_ISDIR(found.st_mode), number)
            return
        kept = self.trees, self.settled_before
        self.trees, self.settled_before = False, 0 if self.gnu else started - _GRANULE
        try:
            self._make(path, now, found, WHOLE | NEW, number)
        finally:
            self.trees, self.settled_before = kept

    def _workplace(self):
        """Make a directory in our own one in the target, for one cp, and return it with a slash.

        What another cp has left must be out of its way: it would write through a link, or into a fifo.
        """
        if self.work is None:
            self.work = _WORK + b"%d" % os.getpid()  # before it is there: a signal may come in between
            self._clear(self.work, None, False)
            import _signal  # signal would load enum
            _signal.signal(_signal.SIGTERM, _terminate)
            os.mkdir(self.target + self.work, 0o700)
            self._touch(b"", None)
        self.works += 1
        work = b"%s/%d/" % (self.work, self.works)
        os.mkdir(self.target + work, 0o700)
        return work

    # ---- removals

    def _gone(self, path, is_dir, number):
        """Remove what the source has not, if that is wanted."""
        if self.delete:
            self._remove(path, is_dir, number)

    def _remove(self, path, is_dir, number):
        self.removals[path] = is_dir, number
        if is_dir:
            self.there = {b""}

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
        large, size = [], 0
        for path, (is_dir, number) in removals.items():
            if not is_dir:
                self._away(os.unlink, path, number)
            elif self.excludes:
                self._clear(path, number, True)
            elif not self._away(os.rmdir, path, number, True):
                large.append(path)
                size += len(self.target) + len(path) + 9
                if size > _ARGUMENTS:
                    self._rm(large, removals)
                    large, size = [], 0
        self._rm(large, removals)

    def _away(self, remove, path, number, may_hold=False):
        """Call remove; return False for a directory that holds something, if that is no failure."""
        try:
            remove(self.target + path)
        except FileNotFoundError:
            pass  # which is what was wanted
        except OSError as error:
            if may_hold and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            self.fail(number, "remove", path, error)
        return True

    def _rm(self, paths, removals):
        if paths and _run([b"rm", b"-rf", b"--"] + [self.target + path for path in paths])[0]:
            for path in paths:
                if _is_there(self.target + path):
                    self._clear(path, removals[path][1], False)

    def _clear(self, top, number, protects):
        """Remove a directory of the target; protects: but for what is excluded, and what holds that."""
        directories, kept = [top], False
        for directory in directories:  # which grows
            try:
                self._unlock(directory, os.lstat(self.target + directory), None)
                with os.scandir(self.target + directory) as listing:
                    entries = list(listing)
            except FileNotFoundError:
                continue  # which is what was wanted
            except OSError as error:
                self.fail(number, "list", self.target + directory, error)
                continue
            for entry in entries:
                path = directory + b"/" + entry.name
                is_dir = entry.is_dir(follow_symlinks=False)
                if protects and self.excludes(directory, entry.name, is_dir):
                    kept = True
                elif is_dir:
                    directories.append(path)
                else:
                    self._away(os.unlink, path, number)
        for directory in reversed(directories):
            self._away(os.rmdir, directory, number, kept)

    # ---- directories on the way

    def _standing(self, path):
        """Return a path, or its topmost parent that is missing or no directory in the source."""
        if self.here.get(_parent(path)):
            return path
        for parent in _chain(_parent(path)):
            real = self.here.get(parent)
            if real is None:
                facts = _look(parent)
                real = self.here[parent] = facts is not None and stat.S_ISDIR(facts.st_mode)
                if real:
                    self._note(parent, facts)
            if not real:
                return parent
        return path

    def _enter(self, directory, number, make=True):
        """Make sure that a path of the target, and all above it, are directories, no links, and writable.

        Without make, return False where they are not there.
        """
        if directory in self.there:
            return True
        for parent in _chain(directory):
            if parent in self.there:
                continue
            if parent in self.removals or parent in self.copies:
                self._flush()
            facts = _look(self.target + parent)
            if facts is not None and stat.S_ISDIR(facts.st_mode):
                self._unlock(parent, facts, number)
            elif not make:
                return False
            else:
                if facts is not None:
                    os.unlink(self.target + parent)
                os.mkdir(self.target + parent, 0o700)
                self._touch(_parent(parent), number)
                self._touch(parent, number)
            self.there.add(parent)
        return True

    def _unlock(self, path, facts, number):
        """Let us write into a directory of the target; its mode comes back at the end. Tell if that was needed."""
        mode, at = stat.S_IMODE(facts.st_mode), self.target + path
        if mode & stat.S_IRWXU == stat.S_IRWXU or os.access(at, os.R_OK | os.W_OK | os.X_OK):
            return False
        try:
            os.chmod(at, mode | stat.S_IRWXU)
        except OSError:
            return False  # it may do without: whatever is changed in there will tell
        self._touch(path, number)
        return True

    def _note(self, directory, facts):
        """Notice a directory of the source that cp --parents would lock before it is done with its copy."""
        if facts.st_mode & stat.S_IRWXU != stat.S_IRWXU and not os.access(directory or b".", os.W_OK):
            self.scattered = True

    def _touch(self, directory, number):
        if number is not None or directory not in self.touched:
            self.touched[directory] = number


def _parent(path):
    return split(path)[0]


def _chain(path):
    """Return the directories above a path, the topmost first, and itself; nothing for the root."""
    parts = path.split(b"/") if path else []
    return [b"/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _look(path):
    """Return the lstat of a path, or None where nothing is; OSError if nobody can tell."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_there(path):
    """Tell whether something is at a path, or may be: one that is too long says nothing."""
    try:
        return _look(path) is not None
    except OSError:
        return True


def _is_work(name):
    return name.startswith(_WORK) and name[len(_WORK):].isdigit()


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # somebody else's; no number of a process
    return True


def _run(argv):
    """Run a program to its end; return (exit status or -signal, list of the lines it printed)."""
    output, writer = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.posix_spawnp(argv[0], argv, dict(os.environb, LC_ALL=b"C"), file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, writer, 1),
            (os.POSIX_SPAWN_DUP2, writer, 2)])
    except OSError as error:
        os.close(output)
        return 127, [b"cannot run %s: %s" % (argv[0], os.fsencode(reason(error)))]
    finally:
        os.close(writer)
    from select import select
    blocks = [b""]
    while len(blocks) == 1 or blocks[-1]:
        if select([output], [], [], _PATIENCE)[0]:
            blocks.append(os.read(output, 65536))
        elif _is_stuck(pid):
            os.kill(pid, 9)
    os.close(output)
    status = os.waitpid(pid, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), b"".join(blocks).splitlines()


def _is_stuck(pid):
    """Tell whether a cp waits for the other end of a fifo, which was a file when it had a look."""
    try:
        with open("/proc/%d/wchan" % pid) as file:
            return file.read() == "wait_for_partner"
    except OSError:
        return False


def _write(fd, line):
    try:
        os.write(fd, line.encode("utf-8", "backslashreplace") + b"\n")
    except OSError:
        pass  # nobody listens


def _terminate(_number, _frame):
    raise Stop(143, "ended by a signal")


def _records(fields, at):
    """Return (moves, places, the numbers of those that fail anyway) from the records that begin at a field."""
    moves, places, failed, number = [], [], set(), 0
    while at < len(fields):
        kind, first, second = fields[at:at + 3]
        if kind in (b"m", b"d"):
            moves.append((number, first, second, kind == b"d"))
        elif kind == b"p":
            places.append((number, int(first), second))
        elif kind == b"x":
            failed.add(number)
        else:
            raise ValueError("record %d is no record" % number)
        at += 3
        number += 1
    return moves, places, failed


def main():
    """Do what standard input says, and exit."""
    try:
        with open(0, "rb", closefd=False) as file:
            source, target, options, count, *rest = file.read()[:-1].split(b"\0")
        rules = rest[:int(count)]
        run = Run(source, target, options.split(), rules)
        moves, places, run.failed = _records(rest, len(rules))
        run.run(moves, places)
        _write(1, run.verdict())
        status = DONE
    except Stop as stop:
        status, words = stop.args
        _write(2, words)
    except Exception as error:  # a defect of ours: one line
        _write(2, "cannot go on: %s: %s" % (type(error).__name__, show(str(error))))
        status = DEFECT
    os._exit(status)  # to take the interpreter down costs a fifth of a short run
