"""The program behind `direct` mode: make places of a target directory equal to the source.

A short-lived child of the daemon. It looks at both sides itself, renames, removes and sets
attributes with system calls, and leaves content to `cp` and large removals to `rm`, many
names to a process. Now and then, and at its end, it says `so far: BYTES FILES` of what was copied. Its input is fields that end in NUL: source; target; options (words out
of `delete`, `gnu`, `atomic`, `make`, `refuse-empty`, `max-delete=NUMBER`); the number of rules; the rules, "- PATTERN"
(or "P PATH": nothing is removed at and below it); then records, counted from 0: `m` ORIGIN PLACE (rename on the target), `d` ORIGIN PLACE
(rename a directory), `p` MARKS PATH, and `x` with two fields that count for nothing, which fails.
The last line of its output is `equal: done` or `equal: failed NUMBER…`.

Every look is a look at a moment: whatever changes on the source afterwards is an event of
its own for the daemon. On the target nothing is ever reached through a symbolic link, not
even through one that somebody puts in the place of a directory meanwhile (pinned.py): a cp
is told of a directory that is held, or of a way on which nobody but root and we can change
a name. Elsewhere it copies into a directory that only we can enter, and all is renamed from there.
"""

import errno
import os
import stat

from lsyncd_lite.errors import reason
from lsyncd_lite.mirror.change import FRESH, NEW, PLACE, WHOLE
from lsyncd_lite.paths import join, show, split
from lsyncd_lite.system.attributes import is_same_content, look, make_like
from lsyncd_lite.system.pinned import FDS, Pinned
from lsyncd_lite.system.program import run as run_program
from lsyncd_lite.system.target import (ARGUMENTS, DEFECT, DONE, EMPTY_SOURCE, FULL, LINES, NO_SOURCE, NO_TARGET, TOO_MANY, Stop, Target,
                                       directory_of, is_work, write)

_NUMBERS = 500       # of records that failed, by name
_LIMIT = b"max-delete="
_FULL_WORDS = tuple(os.fsencode(os.strerror(number)) for number in FULL)
_GRANULE = 50000000  # ns: file systems stamp changes by a clock that is some ms late


class Run(Target):
    """One run over one source and one target.

    Everything is a path relative to both roots (b"": the root itself). The source is the
    working directory: its paths are short, and it cannot be unmounted meanwhile.
    """

    def __init__(self, source, target, options, rules):
        excludes, kept = None, [rule[2:] for rule in rules if rule.startswith(b"P ")]
        rules = [rule for rule in rules if not rule.startswith(b"P ")]
        if rules:
            from lsyncd_lite.mirror.filters import Filter
            excludes = Filter([(chr(rule[0]), rule[2:], "") for rule in rules]).excludes
        super().__init__(source, target, b"delete" in options, b"gnu" in options, excludes, kept)
        self.atomic, self.make, self.refuse_empty = (word in options for word in (b"atomic", b"make", b"refuse-empty"))
        limit = [word for word in options if word.startswith(_LIMIT)]
        self.limit = int(limit[0][len(_LIMIT):]) if limit else None
        self.trees = not rules and not self.atomic  # cp may copy a directory with all that is in it
        self.settled_before = 0  # ns: while mending; whole seconds do for what has not changed since
        self.told_full = False
        self.guards = {}         # directory → who can change what is on the way to it
        self.here = {}           # directory of the source → it is a real one
        self.stood = {}          # what stands for places below it → its record
        self.shares = []         # (record, the record that decides for it)
        self.copies = {}         # due for cp: path → (lstat of the source or None: a tree, of the target, record)
        self.size = 0            # bytes of arguments in copies
        self.sent = [0, 0]       # bytes and files that were copied
        self.meanwhile = None    # what is called each second while a cp runs, if all of the source is its work

    def verdict(self):
        """Return the last line."""
        if self.lines > LINES:
            write(2, "and %d more" % (self.lines - LINES))
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
        if whole:
            self.meanwhile = self.tell
        if self.limit is not None:
            self._heed(moves, places)
        self._begin(whole)
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
        found = look(self.target)
        if found is None or (found.st_dev, found.st_ino) != self.target_identity:
            raise Stop(NO_TARGET, "target %s went away" % show(self.target))  # what was missing in it counted as removed

    def _open(self, whole):
        """Enter both sides, or Stop; nothing is changed yet."""
        try:
            os.chdir(self.source)
            facts = os.stat(b".")
        except OSError as error:
            raise Stop(NO_SOURCE, "cannot enter source %s: %s" % (show(self.source), reason(error)))
        self.identity = facts.st_dev, facts.st_ino
        holds = False
        try:
            if whole and self.make and look(self.target) is None:
                os.mkdir(self.target, 0o700)
            self.pins = Pinned(self.target)
            facts = self.pins.facts(b"")
            self.device, self.target_identity = facts.st_dev, (facts.st_dev, facts.st_ino)
            with self.pins.scan(b"") as listing:
                for entry in listing:
                    if is_work(entry.name) and entry.is_dir(follow_symlinks=False):
                        self.stale.append(entry.name)
                    else:
                        holds = True
        except OSError as error:
            raise Stop(NO_TARGET, "cannot enter target %s: %s" % (show(self.target), reason(error)))
        if whole and self.refuse_empty and holds and not os.listdir(b"."):
            raise Stop(EMPTY_SOURCE, "source %s is empty and target %s is not: refused to empty it"
                       % (show(self.source), show(self.target)))

    def _heed(self, moves, places):
        """Stop if more entries of the target would be removed than may be."""
        from lsyncd_lite.system.surplus import Surplus
        enough = 10 * self.limit + 1000
        count = Surplus(self.pins, self._standing, self._is_spared, self.delete, enough).of(moves, places)
        self._forget()
        self.here = {}
        if count > self.limit:
            raise Stop(TOO_MANY, "would remove more than %d entries of the target (%s%d)"
                       % (self.limit, "at least " if count > enough else "", count))

    def _begin(self, whole):
        self._unlock(b"", self.pins.facts(b""), None)
        if whole or self.atomic:
            self._clear_stale()

    def _close(self):
        """Remove our own directory, whatever has happened."""
        if self.work:
            self._clear(self.work, None, False)

    # ---- moves

    def _move(self, number, origin, place, is_dir):
        """Rename on the target, as `mv -T` does, what is of the same type there."""
        if not self._enter(directory_of(origin), number, False):
            raise FileNotFoundError(errno.ENOENT, "origin")
        facts = self.pins.lstat(origin)
        if stat.S_ISDIR(facts.st_mode) != is_dir:
            raise FileNotFoundError(errno.ENOENT, "origin of that type")
        directory = directory_of(place)
        for parent in _chain(directory):  # look at all before one of them is made
            found = self.pins.look(parent)
            if found is None:
                break
            if not stat.S_ISDIR(found.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "parent")
        self._enter(directory, number)
        if is_dir and self._unlock(origin, facts, None):  # its ".." changes
            self._touch(place, number)
        found = self.pins.look(place)
        if found and (found.st_dev, found.st_ino) == (facts.st_dev, facts.st_ino):
            if origin != place:  # two names of one file: rename(2) would leave both
                self.pins.unlink(origin)
        else:
            self.pins.rename(origin, place)
        self._touch(directory_of(origin), number)
        self._touch(directory, number)
        if is_dir:  # what is due in it goes with it
            self._forget()
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
        if is_work(standing.partition(b"/")[0]):
            return
        here = look(standing or b".")
        directory, name = split(standing)
        if self.excludes and directory and self.excludes(*split(directory), True):
            return
        if here is not None and not self._is_excluded(directory, name, here):
            self._enter(directory, number)
            self._touch(directory, number)
            self._make(standing, here, self.pins.look(standing), marks, number)
        elif self._enter(directory, number, False):
            self._touch(directory, number)
            there = self.pins.look(standing)
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
        if not stat.S_ISDIR(here.st_mode):
            if there is not None and self._is_same(path, here, there, marks):
                make_like(path, self.pins.path(path), here, there)
            else:
                self._copy(path, here, there, number)
            return None
        new = there is None or not stat.S_ISDIR(there.st_mode)
        if new:
            if there is not None:
                self.pins.unlink(path)
            if marks & WHOLE and self.trees and not self._hands_on(path):
                self._queue(path, None, None, number)
                return None
            self.pins.mkdir(path)
        elif marks & WHOLE:
            self._unlock(path, there, number)
        self._touch(path, number)
        return new if marks & WHOLE else None

    def _hands_on(self, path):
        """Tell whether the directory of the target that holds a path gives its set-group-ID bit to new directories.

        GNU cp -a leaves it to those that have none in the source.
        """
        return bool(self.pins.facts(directory_of(path)).st_mode & stat.S_ISGID)

    def _walk(self, top, new, marks, number):
        """Make everything below a directory equal; new: the target's has nothing in it.

        Of a directory, however large, only the names on the target are kept in memory.
        """
        pending = [(top, new)]
        while pending:
            directory, new = pending.pop()
            left, directories = set(), set()
            try:
                here = os.open(directory or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                continue  # it went just now: an event of its own
            except OSError as error:
                self.fail(number, "list", directory, error)
                continue
            try:
                if not new:
                    with self.pins.scan(directory) as listing:
                        for entry in listing:
                            left.add(entry.name)
                            if entry.is_dir(follow_symlinks=False):
                                directories.add(entry.name)
            except OSError as error:
                os.close(here)
                self.fail(number, "list", self.target + directory, error)
                continue
            prefix = directory + b"/" if directory else b""
            ruled = self.excludes is not None or not directory
            try:
                with os.scandir(self._listing(here, directory)) as listing:
                    for entry in listing:
                        if ruled and self._is_hidden(directory, entry.name, entry.is_dir(follow_symlinks=False)):
                            continue
                        path = prefix + entry.name
                        new = self._pair(path, entry.name, here, left, marks, number)
                        if new is not None:
                            pending.append((path, new))
            except OSError as error:
                self.fail(number, "list", directory, error)
                continue  # what it has not told of may be there
            finally:
                os.close(here)
            for name in left if self.delete else ():
                if not ruled or not self._is_hidden(directory, name, name in directories):
                    self._remove(prefix + name, name in directories, number)

    def _listing(self, fd, directory):
        """Return the path by which a directory of the source, open already, is listed."""
        return FDS + b"%d" % fd if self.pins.by_descriptor else directory or b"."

    def _pair(self, path, name, here, left, marks, number):
        """Make what is in a directory of the source (a descriptor) equal, and take its name out of those left on the target.

        Return what _compare does.
        """
        try:
            facts = os.lstat(name, dir_fd=here)
            there = None
            if name in left:
                left.remove(name)
                there = self.pins.look(path)
            return self._compare(path, facts, there, marks, number)
        except OSError as error:
            if _is_there(path):
                self.fail(number, "make equal", path, error)
            return None

    def _is_hidden(self, directory, name, is_dir):
        """Tell whether a name of either side is excluded, or ours."""
        return not directory and is_work(name) or self.excludes is not None and self.excludes(directory, name, is_dir)

    def _is_spared(self, directory, name, is_dir):
        """Tell whether a name of the target is not removed, whatever the source has."""
        return self._is_hidden(directory, name, is_dir) or join(directory, name) in self.kept

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
            return marks & (FRESH | NEW) != FRESH or is_same_content(path, *self.pins.place(path))
        if kind == stat.S_IFLNK:
            return os.readlink(path) == self.pins.readlink(path)
        return here.st_rdev == there.st_rdev

    def _is_same_time(self, here, there):
        if here.st_mtime_ns == there.st_mtime_ns:
            return True
        return here.st_ctime_ns < self.settled_before and int(here.st_mtime) == int(there.st_mtime)

    # ---- attributes

    def _finish(self):
        """Make the attributes of all touched directories equal, the deepest first."""
        self.here = {}
        self._forget()
        for directory in sorted(self.touched, reverse=True):
            number = self.touched[directory]
            try:
                here = look(directory or b".")
                if not here or not stat.S_ISDIR(here.st_mode) or self._standing(directory) != directory:
                    continue  # it stays for what is protected in it, or went just now
                if self._enter(directory, number, False):
                    make_like(directory or b".", self.pins.path(directory), here, self.pins.lstat(directory))
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
        if self.size > ARGUMENTS:
            self._flush()

    def _flush(self):
        """Remove, which makes room, then copy what is due."""
        self._flush_removals()
        copies, self.copies, self.size = self.copies, {}, 0
        self.guards = {}
        groups = {}
        for path in copies:
            groups.setdefault(self._way(directory_of(path)), []).append(path)
        for (aside, directory), paths in groups.items():
            try:
                if not self.full:
                    self._cp(aside, directory, paths, copies)
                    continue
                if not self.told_full:
                    self.told_full = True
                    self.say("cannot copy the rest: %s" % os.strerror(errno.ENOSPC))
            except OSError as error:
                self.fail(None, "copy to", self.target, error)
            self.failed.update(copies[path][2] for path in paths)

    def _way(self, directory):
        """Return how what is due in a directory is copied: (aside, and renamed then?, the one directory of a cp; None: any)."""
        sealed, tame, locked, near = self._guard(directory)
        one = directory if locked or not self.gnu else None
        if self.atomic:
            return True, one if self._stage() else directory
        if sealed and (tame or one is not None):
            return False, one
        return (True, one) if near and self._stage() else (False, directory)

    def _guard(self, directory):
        """Return four facts about a directory and all above it.

        sealed: on the target nobody but root and we can rename what is in them; tame: cp
        --parents, which makes them like those of the source after each file, keeps it so;
        locked: it would lock itself out; near: they are on one file system.
        """
        guard = self.guards.get(directory)
        if guard is not None:
            return guard
        sealed, tame, locked, near = True, True, False, True
        for parent in [b"", *_chain(directory)]:
            if parent in self.guards:
                sealed, tame, locked, near = self.guards[parent]
                continue
            try:
                here, there = os.lstat(parent or b"."), self.pins.facts(parent)
            except OSError:
                sealed = tame = False  # the cp will tell
            else:
                sealed, tame = sealed and _is_sealed(there), tame and _is_sealed(here)
                near = near and there.st_dev == self.device
                locked = locked or here.st_mode & stat.S_IRWXU != stat.S_IRWXU and not os.access(parent or b".", os.W_OK)
            self.guards[parent] = sealed, tame, locked, near
        return self.guards[directory]

    def _cp(self, aside, directory, paths, copies):
        """Run one cp for paths of one directory (None: of any) and judge what it leaves behind.

        The names are relative to the source, which is our working directory. ("./" before them
        would make cp --parents give the mode of the source to the target, or to our own directory.)
        """
        import time
        started = time.time_ns()
        if not aside and not self._guard(directory or b"")[0]:  # in a tree, cp goes by paths
            for path in [path for path in paths if copies[path][0] is None]:
                self._mend(path, copies[path][2], started)
            paths = [path for path in paths if copies[path][0] is not None]
            if not paths:
                return
        base = self._workplace() if aside else directory or b""
        argv = [b"cp", b"-a"] + [b"--remove-destination"] * self.gnu + [b"--parents"] * (directory is None)
        to = self.pins.directory(base) + b"/"
        status, output = run_program(argv + [b"--"] + paths + [to], [self.pins.hold(base)], self.meanwhile)
        if status == 0 and self.gnu and not aside:
            for path in paths:
                self._count(path, copies[path][0])
            return
        output = [line.replace(to, join(self.target, base).rstrip(b"/") + b"/") for line in output]
        if any(line.endswith(_FULL_WORDS) for line in output):
            self.full = True
        crowded = {}
        for path in paths:
            here, there, number = copies[path]
            at = join(base, path if directory is None else split(path)[1])
            try:
                if here is None:
                    if not (aside and self._settle_tree(path, at, number)) or status or not self.gnu:
                        self._mend(path, number, started)
                    if status == 0:
                        self._count(path, None)
                elif not self._settle(path, at, here, there, number, status, aside):
                    if self.full and aside and not self.atomic:
                        crowded.setdefault(directory_of(path), []).append(path)
                        continue
                    told = [line for line in output if path in line] or output[-1:] or [b"cp ended with %d" % status]
                    self.fail(number, "copy", path, show(told[0]))
                else:
                    self._count(path, here)
            except OSError as error:
                self.fail(number, "copy", path, error)
        if crowded:  # there is no room for both, the old one and the new
            self._clear(base, None, False)
            self.full = False
            for parent, paths in crowded.items():
                self._cp(False, parent, paths, copies)

    def _count(self, path, here):
        """Count what cp has copied; here: its lstat, None: a tree."""
        facts = [here] if here is not None else _files_below(path)
        for found in facts:
            if stat.S_ISREG(found.st_mode):
                self.sent[0] += found.st_size
                self.sent[1] += 1

    def tell(self, more=0):
        """Say what was copied so far; more: bytes of what a cp is about."""
        write(1, "so far: %d %d" % (self.sent[0] + more, self.sent[1]))

    def _settle(self, path, at, here, there, number, status, aside):
        """See to a file that cp has put at `at`; return False where it has not."""
        now, found = look(path), self.pins.look(at)
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
            make_like(path, self.pins.path(at), now, found)
        if aside:
            self.pins.rename(at, path)
        return True

    def _settle_tree(self, path, at, number):
        """Rename a tree that cp has put aside to its place; return False where that is not possible."""
        try:
            facts = self.pins.lstat(at)
            unlocked = stat.S_ISDIR(facts.st_mode) and self._unlock(at, facts, None)  # its ".." changes
            self.touched.pop(at, None)
            self.pins.rename(at, path)
        except OSError:
            return False
        if unlocked:
            self._touch(path, number)
        self.pins.forget()
        return True

    def _mend(self, path, number, started):
        """Look at every place of a tree that cp has copied, not or not well enough.

        A cp that keeps whole seconds has done well what has not changed since it started (ns).
        """
        now, found = look(path), self.pins.look(path)
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

    # ---- directories on the way

    def _standing(self, path):
        """Return a path, or its topmost parent that is missing or no directory in the source."""
        if self.here.get(directory_of(path)):
            return path
        for parent in _chain(directory_of(path)):
            real = self.here.get(parent)
            if real is None:
                facts = look(parent)
                real = self.here[parent] = facts is not None and stat.S_ISDIR(facts.st_mode)
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
            facts = self.pins.look(parent)
            if facts is not None and stat.S_ISDIR(facts.st_mode):
                self._unlock(parent, facts, number)
            elif not make:
                return False
            else:
                if facts is not None:
                    self.pins.unlink(parent)
                self.pins.mkdir(parent)
                self._touch(directory_of(parent), number)
                self._touch(parent, number)
            self.there.add(parent)
        return True

def _is_sealed(facts):
    """Tell whether nobody but root and we can rename what is in a directory (an ACL's mask stands for the group)."""
    return facts.st_uid in (0, os.geteuid()) and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _chain(path):
    """Return the directories above a path, the topmost first, and itself; nothing for the root."""
    parts = path.split(b"/") if path else []
    return [b"/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _files_below(top):
    """Yield the lstat of all below a directory that is no directory."""
    pending = [top]
    while pending:
        try:
            with os.scandir(pending.pop()) as listing:
                for entry in listing:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        yield entry.stat(follow_symlinks=False)
        except OSError:
            pass  # it went just now, or was not copied


def _is_there(path):
    """Tell whether something is at a path, or may be: one that is too long says nothing."""
    try:
        return look(path) is not None
    except OSError:
        return True


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
        if run.sent[1]:
            run.tell()
        write(1, run.verdict())
        status = DONE
    except Stop as stop:
        status, words = stop.args
        write(2, words)
    except Exception as error:  # a defect of ours: one line
        write(2, "cannot go on: %s: %s" % (type(error).__name__, show(str(error))))
        status = DEFECT
    os._exit(status)  # to take the interpreter down costs a fifth of a short run
