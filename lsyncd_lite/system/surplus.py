"""How many entries of a target a run would remove: a look at both sides before anything is changed.

What the source has not, with all it holds on the target, and directories that give way to
something else. Not what is excluded, or ours; not a file that is replaced; not what is renamed.
A directory that cannot be listed counts as one.
"""

import os
import stat

from lsyncd_lite.mirror.change import WHOLE
from lsyncd_lite.system.attributes import look


class Surplus:
    """A count over places of the target (a Pinned) and of the source, the working directory.

    stands(path): the path that stands for one in the source; is_hidden(directory, name, is_dir): whether that is no
    business of ours; deletes: what the source has not is removed; enough: where to stop.
    """

    def __init__(self, pins, stands, is_hidden, deletes, enough):
        self.count = 0
        self._pins = pins
        self._stands = stands
        self._is_hidden = is_hidden
        self._deletes = deletes
        self._enough = enough
        self._renamed = set()
        self._counted = set()  # with all below them

    def of(self, moves, places):
        """Return the number for (record, origin, place, is_dir) and (record, marks, path): little more than enough at most."""
        self._renamed = {origin for _number, origin, _place, _is_dir in moves}
        wholes = {}
        for _number, marks, path in places:
            standing = self._stands(path)
            wholes[standing] = wholes.get(standing, False) or bool(marks & WHOLE and standing == path)
        for path in sorted(wholes):  # parents first
            try:
                self._place(path, wholes[path])
            except OSError:
                pass  # who tries to change it will tell
            if self.count > self._enough:
                break
        return self.count

    def _place(self, path, whole):
        parts = path.split(b"/") if path else []
        chain = [b"/".join(parts[:end]) for end in range(len(parts) + 1)]
        if not self._counted.isdisjoint(chain):
            return
        for above, name in zip(chain, parts[:-1]):
            if self._is_hidden(above, name, True):
                return
        if whole:
            self._counted.add(path)
        self._compare(b"/".join(parts[:-1]), path, self._pins.look(path), whole)

    def _compare(self, directory, path, there, whole):
        """Count what is removed at a path, and if it is whole below it; there: its lstat on the target, or None."""
        pending = [(directory, path, there)]
        while pending and self.count <= self._enough:
            directory, path, there = pending.pop()
            name = path[len(directory):].lstrip(b"/")
            if there is None or path in self._renamed or name and self._is_hidden(directory, name, stat.S_ISDIR(there.st_mode)):
                continue
            here = look(path or b".")
            if here is not None and name and self._is_hidden(directory, name, stat.S_ISDIR(here.st_mode)):
                here = None
            if here is None:
                if self._deletes:
                    self._tree(path, there)
            elif stat.S_ISDIR(there.st_mode) and not stat.S_ISDIR(here.st_mode):
                self._tree(path, there)
            elif stat.S_ISDIR(there.st_mode) and whole:
                pending += self._below(path)

    def _below(self, directory):
        """Return what is to be compared in a directory of both sides, as _compare knows it; count single entries at once."""
        prefix, found = directory + b"/" if directory else b"", []
        try:
            with os.scandir(directory or b".") as listing:
                names = {entry.name for entry in listing if not self._is_hidden(directory, entry.name, entry.is_dir(follow_symlinks=False))}
            with self._pins.scan(directory) as listing:
                for entry in listing:
                    path = prefix + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        found.append((directory, path, entry.stat(follow_symlinks=False)))
                    elif self._deletes and entry.name not in names and path not in self._renamed:
                        self.count += not self._is_hidden(directory, entry.name, False)
        except OSError:
            pass  # where one cannot look nothing is removed
        return found

    def _tree(self, top, facts):
        """Count a path of the target with all it holds, but for what is protected, and the directories that hold that."""
        if not stat.S_ISDIR(facts.st_mode):
            self.count += 1
            return
        directories, kept = [(top, None)], set()
        for number, (directory, _above) in enumerate(directories):  # which grows
            if self.count + len(directories) - len(kept) > self._enough:
                break
            try:
                with self._pins.scan(directory) as listing:
                    for entry in listing:
                        path, is_dir = directory + b"/" + entry.name, entry.is_dir(follow_symlinks=False)
                        if self._is_hidden(directory, entry.name, is_dir):
                            kept.add(number)
                        elif is_dir and path not in self._renamed:
                            directories.append((path, number))
                        else:
                            self.count += path not in self._renamed
            except OSError:
                pass
        for number in reversed(range(len(directories))):
            if number in kept:
                kept.add(directories[number][1])
        self.count += len(directories) - len(kept - {None})
