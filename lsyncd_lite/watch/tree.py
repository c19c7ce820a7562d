"""One watched directory tree: wd ↔ directory, and events → changes.

A directory is known by its wd as (wd of its parent, name); its path is made when it
is needed, so that a rename of a large directory is one assignment. New directories
are watched first and listed then; what leaves the tree is not watched any more. What
is mirrored, when and how is not known here.
"""

import errno
import os
import stat

from lsyncd_lite.mirror.change import FRESH, PLACE, WHOLE
from lsyncd_lite.paths import join, show
from lsyncd_lite.watch import inotify
from lsyncd_lite.watch.inotify import (
    IN_ATTRIB, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_IGNORED,
    IN_ISDIR, IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_MOVE_SELF, IN_ONLYDIR, IN_Q_OVERFLOW, IN_UNMOUNT)

_STRUCTURE = (IN_ATTRIB | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF
              | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_ONLYDIR)
_WRITES = {"CloseWrite": IN_CLOSE_WRITE, "Modify": IN_MODIFY, "CloseWrite or Modify": IN_CLOSE_WRITE | IN_MODIFY}

_CONTENT = IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_MOVED_TO
_SETTLE = 5.0  # seconds a created file has to rest before it counts without having been closed

# File systems on which a directory with two links holds no directory (statfs(2): ext2 to 4, xfs, tmpfs).
_COUNTING = {0xEF53, 0x58465342, 0x01021994}


class Tree:
    """The watches below one root.

    root: absolute bytes; mode: a value of inotifyMode; wants(path): tells whether an
    absolute directory has to be watched (None: all). Attributes to look at: `lost` (the
    root is no longer there), `overflowed`, `unwatched` (directories there were no
    watches for), `notes` (list of (category, words) for the log).
    """

    def __init__(self, root, mode, wants=None):
        """Watch the tree; raise OSError if not even its root can be."""
        self.root = root
        self.wants = wants
        self._mask = _STRUCTURE | _WRITES[mode]
        self._create_is_change = mode != "CloseWrite"
        self.overflowed = False
        self.lost = False
        self.unwatched = 0
        self.notes = []
        self._left = False    # directories have left and their content may still be watched
        self._denied = False  # a directory could not be watched for lack of permission
        self._unclosed = {}   # (wd, name) of created files that nobody has closed yet
        self._inotify = inotify.Inotify()
        self.fd = self._inotify.fd
        try:
            self._root_wd = self._inotify.add(root, self._mask)
            facts = os.stat(root)
        except OSError:
            self.close()
            raise
        self.identity = facts.st_dev, facts.st_ino
        self._dirs = {self._root_wd: (0, b"")}
        self._walk([(self._root_wd, root)])

    def __len__(self):
        return len(self._dirs)

    def close(self):
        """Give up all watches."""
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
        names.append(self.root.rstrip(b"/"))
        names.reverse()
        return b"/".join(names) or b"/"

    # ---- watching ----------------------------------------------------------------------------

    def rescan(self):
        """Look at the whole tree again, as events may be missing; forget what is gone."""
        self.unwatched = 0
        self._unclosed.clear()
        seen = {self._root_wd}
        self._walk([(self._root_wd, self.root)], seen)
        for wd in [wd for wd in self._dirs if wd not in seen]:
            self._drop(wd)
        self.overflowed = False

    def _walk(self, stack, seen=None):
        """Watch all below the watched directories in a list of (wd, path)."""
        counting = self.identity[0] if _counts_links(self.root) else None
        add, mask, dirs, wants = self._inotify.add, self._mask, self._dirs, self.wants
        while stack:
            parent, directory = stack.pop()
            prefix = directory if directory.endswith(b"/") else directory + b"/"
            for name in _subdirectories(directory, counting):
                path = prefix + name
                if wants is not None and not wants(path):
                    continue
                try:
                    if parent is None:
                        raise OSError(errno.ENOSPC, "")
                    wd = add(path, mask)
                except OSError as error:
                    self._not_watched(path, error)
                    if error.errno == errno.ENOSPC:
                        stack.append((None, path))  # not watched, but counted: how many are needed?
                    continue
                dirs[wd] = (parent, name)
                if seen is not None:
                    seen.add(wd)
                stack.append((wd, path))

    def _not_watched(self, path, error):
        if error.errno == errno.ENOSPC:
            self.unwatched += 1
        elif error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):  # not gone already
            self._denied = True
            self.notes.append(("Error", "cannot watch %s: %s" % (show(path), error.strerror)))

    def _enter(self, parent, name, path, moved):
        """Watch a directory that was made in, or moved into, a watched one; tell whether it was unknown."""
        try:
            wd = self._inotify.add(path, self._mask)
        except OSError as error:
            self._not_watched(path, error)
            return False
        known = wd in self._dirs
        self._dirs[wd] = (parent, name)
        if not (known and moved) or self.wants is not None or self.unwatched or self._denied:
            self._walk([(wd, path)])
        return not known

    def _moved(self, wd):
        """See whether a directory that was moved is where it is thought to be; else it has left the tree."""
        path = self.path(wd)
        if path is not None and (self.wants is None or self.wants(path)):
            try:
                if self._inotify.add(path, self._mask) == wd:
                    return
            except OSError as error:
                self._not_watched(path, error)
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
            while wd not in stays and wd in self._dirs:
                way.append(wd)
                wd = self._dirs[wd][0]
            if wd in stays:
                stays.update(way)
            else:
                for gone in way:
                    self._drop(gone)
        self._left = False

    # ---- events ------------------------------------------------------------------------------

    def read(self):
        """Return the changes that the kernel tells of now; {} if there are none."""
        return self.translate(inotify.parse_events(b"".join(iter(self._inotify.read, b""))))

    def translate(self, events):
        """Return {directory: {name: (marks, is_dir)}} of (wd, mask, cookie, name) events (see change.py)."""
        changed, created, dirs = {}, {}, self._dirs
        for wd, mask, _cookie, name in events:
            if wd not in dirs:
                if mask & IN_Q_OVERFLOW:
                    self.overflowed = True
                continue
            if not name:
                self._about_itself(wd, mask, changed)
            elif mask & IN_ISDIR:
                self._about_directory(wd, mask, name, changed)
            else:
                if mask & IN_CREATE and not self._create_is_change:
                    created[wd, name] = None
                    continue
                if created or self._unclosed:
                    key = wd, name
                    if mask & IN_ATTRIB and (key in created or key in self._unclosed):
                        continue  # its closing will tell
                    created.pop(key, None)
                    self._unclosed.pop(key, None)
                marks = FRESH if mask & _CONTENT else PLACE
                names = changed.setdefault(wd, {})
                old = names.get(name)
                names[name] = (marks | old[0] if old else marks, False)
        if self._left:
            self._sweep()
        if created:
            self._look_at(created, changed)
        return self._by_path(changed)

    def _about_itself(self, wd, mask, changed):
        """Take an event about a watched directory that its parent's watch does not tell."""
        if wd == self._root_wd:
            if mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED):
                self.lost = True
            elif mask & IN_ATTRIB:
                changed.setdefault(wd, {})[b""] = (PLACE, True)
        elif mask & IN_IGNORED:
            del self._dirs[wd]
        elif mask & IN_MOVE_SELF:
            self._moved(wd)
        elif mask & IN_UNMOUNT:
            self.notes.append(("Warn", "%s was unmounted" % show(self.path(wd) or b"?")))

    def _about_directory(self, wd, mask, name, changed):
        """Take an event about a directory within a watched one."""
        marks = PLACE
        appeared = mask & (IN_CREATE | IN_MOVED_TO)
        if appeared:
            marks = WHOLE | FRESH
        if appeared or mask & IN_ATTRIB and self._denied:
            parent = self.path(wd)
            path = parent and join(parent, name)
            if path and (self.wants is None or self.wants(path)):
                if self._enter(wd, name, path, mask & IN_MOVED_TO):
                    marks = WHOLE | FRESH
        names = changed.setdefault(wd, {})
        old = names.get(name)
        names[name] = (marks | old[0] if old else marks, True)

    def _look_at(self, created, changed):
        """Report created files that nobody will close: links, and all that is no plain file.

        inotify tells IN_CREATE for link(2) and mknod(2) alike, and no IN_CLOSE_WRITE follows.
        """
        for wd, name in created:
            facts = self._lstat(wd, name)
            if facts is not None and stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1:
                self._unclosed[wd, name] = None
            elif facts is not None:
                changed.setdefault(wd, {})[name] = (FRESH, False)

    @property
    def has_unclosed(self):
        """Whether `settle` has something to look at."""
        return bool(self._unclosed)

    def settle(self, wall):
        """Return the changes of created files that rest although nobody closed them.

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
                changed.setdefault(wd, {})[name] = (FRESH, False)
        return self._by_path(changed)

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


def _counts_links(path):
    """Tell whether st_nlink of a directory counts its directories on the file system of a path."""
    import ctypes
    buffer = ctypes.create_string_buffer(256)  # struct statfs begins with f_type, a long (statfs(2))
    if ctypes.CDLL(None).statfs(path, buffer) != 0:
        return False
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF in _COUNTING
