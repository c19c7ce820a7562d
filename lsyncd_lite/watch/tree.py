"""One watched directory tree: wd ↔ directory, and events → changes.

A directory is known by its wd as (wd of its parent, name); its path is made when it
is needed, so that a rename of a large directory is one assignment. New directories
are watched first and listed then; what leaves the tree is not watched any more. What
is mirrored, when and how is not known here.
"""

import errno
import gc
import os
import stat

from lsyncd_lite.mirror.change import FRESH, PLACE, WHOLE
from lsyncd_lite.mirror.events import Kind, Seen
from lsyncd_lite.mirror.moves import Move
from lsyncd_lite.paths import below, join, show, split
from lsyncd_lite.watch import filesystems, inotify, instances, limits
from lsyncd_lite.watch.inotify import (
    IN_ATTRIB, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_IGNORED,
    IN_ISDIR, IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_MOVE_SELF, IN_ONLYDIR, IN_Q_OVERFLOW, IN_UNMOUNT)
from lsyncd_lite.watch.scan import denied, unmounted
from lsyncd_lite.watch.tops import Tops

_STRUCTURE = (IN_ATTRIB | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF
              | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_ONLYDIR)
_WRITES = {"CloseWrite": IN_CLOSE_WRITE, "Modify": IN_MODIFY, "CloseWrite or Modify": IN_CLOSE_WRITE | IN_MODIFY}

_CONTENT = IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_MOVED_TO
_GOES = IN_DELETE | IN_MOVED_FROM
_DEEPEST = 2048  # more levels than a path can have (PATH_MAX)
_SETTLE = 5.0    # seconds a created file has to rest before it counts without having been closed

# File systems on which a directory with two links holds no directory (statfs(2): ext2 to 4, xfs, tmpfs).
_COUNTING = {0xEF53, 0x58465342, 0x01021994}


class Tree:
    """The watches below one root.

    root: absolute bytes; mode: a value of inotifyMode; wants(path): tells whether an
    absolute directory has to be watched (None: all). Attributes to look at: `lost` (the
    root is no longer there), `overflowed`, `unwatched` (the number of directories there were no
    watches for), `notes` (list of (category, words) for the log). To set: `tells_moves`
    (renames within the tree are told as Moves, not as two changes), `tells_kinds` (what has
    happened is told as Seen, besides the changes). What is not watched is scanned: `step`.
    breathe(): called again and again while many directories are looked at (None: nobody waits).
    """

    def __init__(self, root, mode, wants=None, breathe=None):
        """Watch the tree; raise OSError if not even its root can be."""
        self.root = root
        self.wants = wants
        self._breathe = breathe
        self._mask = _STRUCTURE | _WRITES[mode]
        self._create_is_change = mode != "CloseWrite"
        self.tells_moves = False
        self.tells_kinds = False
        self._seen = []  # Seen that are still to be told
        self.overflowed = False
        self.lost = False
        self.notes = []
        self._tops = Tops(self.path)
        self._full = False    # a watch was refused, as there were too many
        self._late = False    # what is not watched was not so from the start
        self._left = False    # directories have left and their content may still be watched
        self._denied = False  # a directory could not be watched for lack of permission
        self._untold = []     # (path, error) of directories for which that is still to be told
        self._scan_denied = None  # what was told of those that cannot be read
        self._told_of_mounts = False
        self._bare = []           # paths from which a file system has gone
        self._unclosed = {}   # (wd, name) of created files that nobody has closed yet → whether there was something else
        self._rename = None   # the last of a directory: (cookie, from, to), both (wd, name) or None
        self._moving = None, None  # (cookie, Top or None) of what was moved from somewhere last
        self._doubtful = set()  # wds of directories whose content is not what events have told
        self._dirs = {}
        self._inotify = instances.port(self._mask, self._dirs)
        self.fd = self._inotify.fd
        try:
            self._root_wd = self._inotify.add(root, self._mask)
            self._dirs[self._root_wd] = None, b""
            facts = os.stat(root)
        except OSError:
            self.close()
            raise
        self.identity = facts.st_dev, facts.st_ino
        self._counting = facts.st_dev if filesystems.kind(root) in _COUNTING else None
        gc.disable()  # a hundred thousand tuples without a cycle are not worth looking through
        self._walk([(self._root_wd, root)])
        gc.enable()
        self._late = True

    def __len__(self):
        return len(self._dirs)

    @property
    def watched(self):
        """The number of directories that are watched."""
        return len(self._dirs)

    @property
    def unwatched(self):
        """The number of directories that there were no watches for."""
        return self._tops.count if self._tops else 0

    @property
    def polled(self):
        """The number of directories that are scanned."""
        return self._tops.polled if self._tops else 0

    def close(self):
        """Give up all watches."""
        self._tops.close()
        self._inotify.close()

    def path(self, wd):
        """Return the absolute path of a directory, or None where it is not known (any more)."""
        names = []
        while wd != self._root_wd:
            entry = self._dirs.get(wd)
            if entry is None:
                return None
            wd, name = entry
            names.append(name)
            if len(names) > _DEEPEST:  # what we believe goes round in circles: look again
                self.overflowed = True
                return None
        names.append(self.root.rstrip(b"/"))
        names.reverse()
        return b"/".join(names) or b"/"

    # ---- watching ----------------------------------------------------------------------------
    #
    # Events tell of the past, system calls of the present: a path that an event leads to may be
    # stale, or lead to another directory by now. So (1) where a known directory went is taken
    # from the events alone (MOVED_FROM, MOVED_TO, MOVE_SELF); (2) what a path led to counts
    # only if the path of its parent, asked afterwards, still leads to the parent's wd; (3) a
    # parent for which that fails stays in doubt and is listed again when more has been read.

    def rescan(self):
        """Look at the whole tree again, as events may be missing; forget what is gone."""
        self._tops.clear()
        self.overflowed = False
        self._unclosed.clear()
        self._doubtful.clear()
        seen = {self._root_wd}
        self._walk([(self._root_wd, self.root)], seen)
        for wd in [wd for wd in self._dirs if wd not in seen]:
            self._drop(wd)

    def _walk(self, stack, seen=None):
        """Watch all below the watched directories in a list of (wd, path)."""
        while stack:
            parent, directory = stack.pop()
            if self._breathe is not None:
                self._breathe()
            names = _subdirectories(directory, self._counting)
            for wd, path, _name, _new in self._children(parent, directory, names) if names else ():
                if seen is not None:
                    seen.add(wd)
                stack.append((wd, path))
        if self._untold:
            self._tell_denied()

    def _children(self, parent, directory, names, corrects=True):
        """Watch directories in a directory; return a list of (wd, path, name, whether it was unknown).

        corrects: what is found elsewhere than it was believed to be is believed to be here.
        What there are no watches left for is one of the tops.
        """
        prefix = directory if directory.endswith(b"/") else directory + b"/"
        found, missed, add, mask, wants = [], [], self._inotify.add, self._mask, self.wants
        for name in names:
            path = prefix + name
            if wants is not None and not wants(path):
                continue
            try:
                wd = add(path, mask)
                if wd in self._dirs and self._holds(wd, parent):
                    self.notes.append(("Warn", "%s is one of its own parents (a bind mount): not followed" % show(path)))
                    continue
                found.append((wd, path, name, wd not in self._dirs))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    self._full = True
                    missed.append((path, name))
                else:
                    self._not_watched(parent, path, error)
        if self._leads_to(directory, parent):
            self._dirs.update((wd, (parent, name)) for wd, _path, name, new in found if new or corrects)
            if self._tops:
                for _wd, _path, name, _new in found:
                    self._tops.pop((parent, name))
            for path, name in missed:
                if (parent, name) not in self._tops:
                    self._tops.add((parent, name), wants, self._count_below(path), self._late)
            return found
        for wd, _path, _name, new in found:
            if new:
                self._inotify.remove(wd)
        self._doubtful.add(parent)
        return []

    def _holds(self, wd, inside):
        """Tell whether a directory is, or is above, another one."""
        steps = 0
        while inside is not None and steps <= _DEEPEST:
            if inside == wd:
                return True
            inside = self._dirs[inside][0] if inside in self._dirs else None
            steps += 1
        return False

    def _leads_to(self, path, wd):
        """Tell whether a path leads to the directory of a wd now."""
        try:
            found = self._inotify.add(path, self._mask)
        except OSError:
            return False
        if found not in self._dirs:
            self._inotify.remove(found)
        return found == wd

    def _not_watched(self, parent, path, error):
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            self._doubtful.add(parent)  # gone, or its path is stale
        else:
            self._denied = True
            self._untold.append((path, error.strerror))

    def _tell_denied(self):
        self.notes.append(("Error", "cannot watch " + denied(self._untold)))
        self._untold = []

    def _count_below(self, directory):
        """Return the number of directories at and below one."""
        count, stack, wants = 0, [directory], self.wants
        while stack:
            directory = stack.pop()
            count += 1
            if self._breathe is not None:
                self._breathe()
            found = [join(directory, name) for name in _subdirectories(directory, self._counting)]
            stack += found if wants is None else filter(wants, found)
        return count

    def _enter(self, parent, name, moved):
        """Watch a directory that was made in, or moved into, a watched one; tell whether it was unknown."""
        directory = self.path(parent)
        if directory is None:  # it has left, and may be found elsewhere
            self._doubtful.add(parent)
            return False
        for wd, path, _name, new in self._children(parent, directory, [name], False):
            if new or not moved or self.wants is not None or self._tops or self._denied:
                self._walk([(wd, path)])
            return new
        if self._untold:
            self._tell_denied()
        return False

    def _settle_doubts(self, changed):
        """List the directories again whose content is not what events have told."""
        doubtful, self._doubtful = self._doubtful, set()
        believed = {wd: [] for wd in doubtful}
        for wd, (parent, _name) in self._dirs.items():
            if parent in believed:
                believed[parent].append(wd)
        waiting, found_some = list(believed), True
        while waiting and found_some:
            trying, waiting, found_some = waiting, [], False
            for wd in trying:
                path = self.path(wd) if wd in self._dirs else None
                if path is None:  # what it lies in may be one of the others, and be found yet
                    waiting.append(wd)
                    continue
                found_some = True
                self._settle(wd, path, believed[wd], changed)

    def _settle(self, wd, path, children, changed):
        """List a directory in doubt; children: wds of the directories that are believed to be in it."""
        if not self._leads_to(path, wd):
            self._doubtful.add(wd)  # a rename above it is still to be read
            return
        names, tops = _subdirectories(path, None), self._tops.of(wd) if self._tops else ()
        found = self._children(wd, path, names, False)
        for name in self._tops.of(wd).difference(tops) if self._tops else ():
            _note(changed, wd, name, WHOLE | FRESH, True)
            self._see(Kind.UNKNOWN, wd, name, True)
        for name in set(tops).difference(names):
            self._tops.pop((wd, name))
        for child, place, name, new in found:
            if new:
                _note(changed, wd, name, WHOLE | FRESH, True)
                self._see(Kind.UNKNOWN, wd, name, True)
                self._walk([(child, place)])
            elif self._dirs[child] != (wd, name):  # and events that are still to be read were of the place before
                for place in self._dirs[child], (wd, name):
                    _note(changed, *place, WHOLE | FRESH, True)
                    self._see(Kind.UNKNOWN, *place, True)
                self._dirs[child] = wd, name
        for child in set(children).difference(child for child, _path, _name, _new in found):
            if self._dirs.get(child, (None,))[0] == wd and wd not in self._doubtful:
                self._drop(child)  # it is elsewhere, and found there, or gone
                self._left = True

    def _moved(self, wd):
        """Follow a directory that was moved to where the events say, or drop it if it has left the tree."""
        _cookie, origin, place = self._rename or (0, None, None)
        self._rename = None
        if self._dirs[wd] == place:
            return  # it was found there already
        if self._dirs[wd] != origin:  # older than what was found, or of several renames at once
            self._doubtful.update(known[0] for known in (self._dirs[wd], origin, place) if known)
            return
        parent = self.path(place[0]) if place else None
        if parent is not None and (self.wants is None or self.wants(join(parent, place[1]))):
            self._dirs[wd] = place
        else:
            self._drop(wd)
            self._left = True

    def _drop(self, wd):
        self._inotify.remove(wd)
        self._dirs.pop(wd, None)

    def _sweep(self):
        """Drop the directories below those that have left."""
        stays = {self._root_wd}
        for start in list(self._dirs):
            way, wd = [], start
            while wd not in stays and wd in self._dirs and len(way) <= _DEEPEST:
                way.append(wd)
                wd = self._dirs[wd][0]
            if wd in stays:
                stays.update(way)
            else:
                for gone in way:
                    self._drop(gone)
        self._left = False

    # ---- what there are no watches for -------------------------------------------------------

    @property
    def scans(self):
        """Whether there is something to scan."""
        return bool(self._tops)

    @property
    def recorded(self):
        """Whether what is not watched since the start was seen once."""
        return not self._tops or self._tops.recorded

    @property
    def hurries(self):
        """Whether something was not scanned once yet."""
        return self._tops.hurries

    def close_scan(self):
        """Give up a scan that is under way; the next begins anew."""
        self._tops.close()

    def tell_tops(self):
        """Tell of what is not watched as a whole when it was seen once."""
        self._tops.tell_all()

    def step(self, until, now):
        """Go on with the scan until a time of the clock `now`; return (what has changed, whether it has come to its end).

        What can be watched by now is, and is scanned once more after that.
        """
        if not self._tops.is_scanning:
            self._watch_tops()
        steps, ended = self._tops.step(until, now, self.tells_kinds)
        self.notes += self._tops.notes
        self._tops.notes.clear()
        if ended:
            found = self._tops.denied
            told = (found[0], len(found)) if found else None
            if told is not None and told != self._scan_denied:
                self.notes.append(("Error", "cannot read " + denied(found) + ": what is there counts as unchanged"))
            self._scan_denied = told
        return steps, ended

    def _watch_tops(self):
        """Watch what there were no watches for, each wholly or not at all, until there are none left again."""
        self._full, (number, _name) = False, limits.limit("watches")
        for top in self._tops:
            fits = number is None or len(self._dirs) + top.count <= number
            if fits and not top.watched and self._tops.where(top) is not None:
                self._watch_top(top)
                if self._full:
                    break
        if self._untold:
            self._tell_denied()

    def _watch_top(self, top):
        """Watch all of a Top, or nothing; what was seen in it is not forgotten."""
        parent, name = top.key
        stack = self._children(parent, self.path(parent), [name], False)
        self._tops.put(top.key, top)
        added = []
        while stack:
            wd, path, _name, _new = stack.pop()
            added.append(wd)
            stack += self._children(wd, path, _subdirectories(path, self._counting))
            if self._full:
                break
        if self._full:
            for wd in added + [wd for wd, _path, _name, _new in stack]:
                for name in self._tops.of(wd):
                    self._tops.pop((wd, name))
                self._drop(wd)
        else:
            top.watched = bool(added)

    # ---- mounts below the root ---------------------------------------------------------------

    def _tell_unmounted(self):
        for path in self._bare:
            if all(path == other or below(path, other) is None for other in self._bare):
                self.notes.append(("Warn", unmounted(path)))
        self._bare = []

    def know_mounts(self, paths):
        """Take note that somebody tells of mounts below the root, by `remount` (paths: absolute mount points)."""
        self._told_of_mounts = bool(paths)
        self._tops.mounts.update(paths)

    def remount(self, path, gone):
        """Take note that a file system has come to, or gone from, an absolute path below the root.

        Returns what has changed, as `translate` does: nothing where one has gone, as
        what is to be seen then lay beneath it all the time.
        """
        self._tops.remount(path, gone)
        directory, name = split(path)
        inside = below(directory, self.root)
        wd, children = self._root_wd, {}
        for child, (parent, known) in self._dirs.items():
            children[parent, known] = child
        for part in inside.split(b"/") if inside else ():
            wd = children.get((wd, part))
        if wd is None:  # not watched: what is scanned there tells it
            return []
        old = children.get((wd, name))
        if gone:
            self.notes.append(("Warn", unmounted(path)))
        if old is not None:
            self._drop(old)
            self._sweep()
        self._tops.pop((wd, name))
        changed = {}
        self._enter(wd, name, False)
        if gone and (wd, name) in self._tops:
            self._tops.get((wd, name)).tells = False
        if not gone:
            _note(changed, wd, name, WHOLE | FRESH, None)
            self._see(Kind.CREATE, wd, name, True)
        found = self._by_path(changed)
        return ([found] if found else []) + self._told()

    # ---- events ------------------------------------------------------------------------------

    @property
    def has_unread(self):
        """Whether there is something to read although the descriptor does not tell it."""
        return bool(self._inotify.waiting)

    def read(self):
        """Return the changes that the kernel tells of now, as `translate` does; [] if there are none."""
        return self.translate(inotify.parse_events(self._inotify.read()))

    def translate(self, events):
        """Return what (wd, mask, cookie, name) events tell, in order.

        That is a list of changes, {directory: {name: (marks, is_dir)}} (see change.py), and
        of the Moves between them, and of Seen in order with the Moves. A path is the one at that time.
        """
        steps, changed, created, dirs = [], {}, {}, self._dirs
        open_cookies = set()  # of renames of created files that are not closed yet
        renamed = {}  # cookie of a rename within the tree → its (wd, name) of before, once that was told
        if self.tells_moves:
            events = list(events)
            renamed = _renames(events)
        for wd, mask, cookie, name in events:
            if wd not in dirs:
                if mask & IN_Q_OVERFLOW:
                    self.overflowed = True
                continue
            if not name:
                self._about_itself(wd, mask, changed)
                continue
            is_dir, key = bool(mask & IN_ISDIR), (wd, name)
            if not is_dir:
                if mask & IN_CREATE and not self._create_is_change:
                    created[key] = False
                    continue
                is_open, covers = cookie in open_cookies, False
                if created or self._unclosed:
                    if key in created or key in self._unclosed:
                        if mask & IN_ATTRIB:
                            continue  # its closing will tell
                        is_open, covers = True, created.get(key) or self._unclosed.get(key)
                        if mask & IN_MOVED_FROM:
                            renamed.pop(cookie, None)  # no target can have it yet
                            open_cookies.add(cookie)
                    created.pop(key, None)
                    self._unclosed.pop(key, None)
                if cookie not in renamed:
                    _note(changed, wd, name, FRESH if mask & _CONTENT else PLACE, False)
                    if self.tells_kinds:
                        if is_open and mask & IN_MOVED_TO:
                            created[key] = True
                        elif not is_open or covers or not mask & _GOES:  # else nobody was told of it
                            self._see(Kind.CREATE if is_open and not mask & _GOES else _kind(mask), wd, name, False)
                    continue
            move = origin = None
            if cookie in renamed:
                if mask & IN_MOVED_FROM:
                    renamed[cookie] = key
                else:
                    origin = renamed.pop(cookie)
                    move = self._move(origin, key, is_dir)
                    if move is not None:
                        steps.append(self._by_path(changed))
                        changed = {}
            marks, unknown = self._about_directory(wd, mask, cookie, name) if is_dir else (FRESH, False)
            if move is not None and not unknown:
                steps += self._told()
                steps.append(move)
            elif cookie not in renamed:
                if origin is not None:  # not all that happened in it was told, or it is not known where it is
                    _note(changed, *origin, PLACE, is_dir)
                    self._see(Kind.DELETE, *origin, is_dir)
                known = is_dir and marks and name in changed.get(wd, ())
                _note(changed, wd, name, marks | FRESH if known else marks, is_dir)  # what was there may look the same
                self._see(_kind(mask), wd, name, is_dir)
        for origin in filter(None, renamed.values()):  # whither is not known
            _note(changed, *origin, PLACE, None)
            self._see(Kind.UNKNOWN, *origin, False)
        if self._doubtful:
            self._settle_doubts(changed)
        if self._left:
            self._sweep()
        if self._bare:
            self._tell_unmounted()
        if created:
            self._look_at(created, changed)
        steps.append(self._by_path(changed))
        steps += self._told()
        return [step for step in steps if step]

    def _see(self, kind, wd, name, is_dir):
        """Tell what has happened to a name, if somebody wants to know, and it is known where that is."""
        path = self.path(wd) if self.tells_kinds else None
        if path is not None:
            self._seen.append(Seen(kind, join(path, name), is_dir))

    def _told(self):
        seen, self._seen = self._seen, []
        return seen

    def _move(self, origin, place, is_dir):
        """Return the Move between two (wd, name), or None where it is not known whence (origin: maybe None) or whither."""
        above, beside = origin and self.path(origin[0]), self.path(place[0])
        if above is None or beside is None:
            return None
        return Move(join(above, origin[1]), join(beside, place[1]), is_dir)

    def _about_itself(self, wd, mask, changed):
        """Take an event about a watched directory that its parent's watch does not tell."""
        if wd == self._root_wd:
            if mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED):
                self.lost = True
            elif mask & IN_ATTRIB:
                _note(changed, wd, b"", PLACE, True)
        elif mask & IN_IGNORED:
            del self._dirs[wd]
        elif mask & IN_MOVE_SELF:
            self._moved(wd)
        elif mask & IN_UNMOUNT:  # each directory of the file system is told of
            path = None if self._told_of_mounts else self.path(wd)
            if path is not None:
                self._bare.append(path)

    def _about_directory(self, wd, mask, cookie, name):
        """Take an event about a directory within a watched one; return (marks, whether it was unknown)."""
        top = None
        if mask & IN_MOVED_FROM:
            self._rename = cookie, (wd, name), None
            self._moving = cookie, self._tops.pop((wd, name)) if self._tops else None
        elif mask & IN_MOVED_TO:
            origin = self._rename[1] if self._rename and self._rename[0] == cookie else None
            self._rename = cookie, origin, (wd, name)
            top = self._moving[1] if self._moving[0] == cookie else None
        elif mask & IN_DELETE and self._tops:
            self._tops.pop((wd, name))
        if mask & (IN_CREATE | IN_MOVED_TO):
            if self._tops:
                self._tops.pop((wd, name))  # that was another one
            unknown = self._enter(wd, name, mask & IN_MOVED_TO)
            if top is not None and (wd, name) in self._tops:
                self._tops.put((wd, name), top)
                top.watched = False
            return WHOLE, unknown or top is not None and (wd, name) not in self._tops
        if mask & IN_ATTRIB and self._denied and self._enter(wd, name, False):
            return WHOLE, True
        return PLACE, False

    def _look_at(self, created, changed):
        """Report created files that nobody will close: links, and all that is no plain file.

        inotify tells IN_CREATE for link(2) and mknod(2) alike, and no IN_CLOSE_WRITE follows.
        """
        for (wd, name), covers in created.items():
            facts = self._lstat(wd, name)
            if facts is not None and stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1:
                self._unclosed[wd, name] = covers
            elif facts is not None:
                _note(changed, wd, name, FRESH, False)
                self._see(Kind.CREATE, wd, name, False)

    @property
    def has_unclosed(self):
        """Whether `settle` has something to look at."""
        return bool(self._unclosed) or bool(self._tops) and self._tops.has_unclosed

    def settle(self, wall):
        """Return the changes of created files that rest although nobody closed them, as `translate` does.

        A file that was made by O_TMPFILE and linkat(2), or linked here and unlinked
        there at once, is never closed under its name. wall: seconds since the epoch.
        """
        changed = {}
        for wd, name in list(self._unclosed):
            facts = self._lstat(wd, name)
            if facts is None:
                del self._unclosed[wd, name]
            elif not 0 <= wall - max(facts.st_mtime, facts.st_ctime) < _SETTLE:
                del self._unclosed[wd, name]
                _note(changed, wd, name, FRESH, False)
                self._see(Kind.CREATE, wd, name, False)
        found = self._by_path(changed)
        return ([found] if found else []) + self._told() + (self._tops.settle(wall == float("inf")) if self._tops else [])

    def _lstat(self, wd, name):
        path = self.path(wd)
        try:
            return None if path is None else os.lstat(join(path, name))
        except OSError:
            return None  # gone, which its own event tells

    def _by_path(self, changed):
        found = {}
        for wd, names in changed.items():
            path = self.path(wd)
            if path in found:
                found[path].update(names)
            elif path is not None:
                found[path] = names
        return found


def _renames(events):
    """Return {cookie: None} of the renames of which both ends are told."""
    told = {cookie for _wd, mask, cookie, _name in events if mask & IN_MOVED_FROM}
    return {cookie: None for _wd, mask, cookie, _name in events if mask & IN_MOVED_TO and cookie in told}


def _kind(mask):
    """Return what the mask of an event tells that has happened to a name."""
    if mask & _GOES:
        return Kind.DELETE
    if mask & (IN_CREATE | IN_MOVED_TO):
        return Kind.CREATE
    return Kind.MODIFY if mask & (IN_CLOSE_WRITE | IN_MODIFY) else Kind.ATTRIB


def _note(changed, wd, name, marks, is_dir):
    """Add to what has changed; is_dir becomes None for what was both."""
    names = changed.setdefault(wd, {})
    old = names.get(name)
    names[name] = (marks, is_dir) if old is None else (marks | old[0], is_dir if old[1] is is_dir else None)


def _subdirectories(directory, counting):
    """Return the names of the directories in a directory; none where it is gone or unreadable.

    counting: the st_dev on which two links mean that there are none, or None.
    """
    try:
        if counting is not None:
            facts = os.lstat(directory)
            if facts.st_nlink == 2 and facts.st_dev == counting:
                return ()
        with os.scandir(directory) as listing:
            return [entry.name for entry in listing if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return ()
