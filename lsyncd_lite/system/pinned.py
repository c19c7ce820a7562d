"""The directories below one root, held by descriptors: what is put in their place meanwhile is not followed.

A path is looked up once, name by name and through no symbolic link (open(2), O_NOFOLLOW).
From then on all is done to ONE name in a directory that is held, whatever its path has
become. What takes no descriptor (extended attributes, chmod(2), listings, other programs)
is given /proc/self/fd/N/NAME (proc(5)). Where /proc is not mounted, that is the plain path
instead: whoever may write there can still put a link in its way in the last moment.
Knows nothing of what is done to them, and why.
"""

import os

from lsyncd_lite.paths import split

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_MOST = 120  # descriptors at a time, where the process may have twice that; most systems give it 1024
FDS = b"/proc/self/fd/"


class Pinned:
    """The directories below a root (bytes, which may end in a slash). Paths are relative to it; b"" is the root.

    A descriptor is good until the next call that may need another one. Everything raises OSError.
    """

    def __init__(self, root):
        allowed = os.sysconf("SC_OPEN_MAX")  # -1: any number
        self.most = _MOST if allowed < 0 else max(2, min(_MOST, allowed // 2 - 10))
        self._prefix = root.rstrip(b"/") + b"/"
        self._root = os.open(root, _DIRECTORY)
        self._kept = {b"": self._root}
        self._held = {}  # the least recently used first
        self._last, self._last_fd = b"", self._root
        try:
            seen, held = os.stat(FDS + b"%d/." % self._root), os.fstat(self._root)
            self.by_descriptor = (seen.st_dev, seen.st_ino) == (held.st_dev, held.st_ino)
        except OSError:
            self.by_descriptor = False

    def hold(self, directory):
        """Return the descriptor of a directory that no link leads to."""
        if directory == self._last:
            return self._last_fd
        self._last, self._last_fd = b"", self._root  # should this fail, that may be closed by then
        above, names = directory, []
        fd = self._find(above)
        while fd is None:
            above, _slash, name = above.rpartition(b"/")
            names.append(name)
            fd = self._find(above)
        for name in reversed(names):
            above = above + b"/" + name if above else name
            fd = self._held[above] = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            if len(self._held) > self.most:
                os.close(self._held.pop(next(iter(self._held))))
        self._last, self._last_fd = directory, fd
        return fd

    def _find(self, directory):
        fd = self._held.pop(directory, None)
        if fd is None:
            return self._kept.get(directory)
        self._held[directory] = fd
        return fd

    def keep(self, directory):
        """Hold a directory to the end, whatever is forgotten; return its descriptor."""
        fd = self.hold(directory)
        self._kept[directory] = self._held.pop(directory)
        return fd

    def forget(self):
        """Look all paths up again from now on: some have changed."""
        self._last, self._last_fd = b"", self._root
        while self._held:
            os.close(self._held.popitem()[1])

    # ---- one name

    def look(self, path):
        """Return the lstat of a path, or None where nothing is, or what is above it is no directory."""
        directory, _slash, name = path.rpartition(b"/")
        try:
            return os.lstat(name, dir_fd=self.hold(directory)) if name else os.fstat(self._root)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def lstat(self, path):
        """Return the lstat of a path."""
        directory, name = split(path)
        return os.lstat(name, dir_fd=self.hold(directory)) if name else os.fstat(self._root)

    def unlink(self, path):
        """Remove what is no directory."""
        directory, name = split(path)
        os.unlink(name, dir_fd=self.hold(directory))

    def rmdir(self, path):
        """Remove an empty directory."""
        directory, name = split(path)
        os.rmdir(name, dir_fd=self.hold(directory))

    def mkdir(self, path):
        """Make a directory that is only ours."""
        directory, name = split(path)
        os.mkdir(name, 0o700, dir_fd=self.hold(directory))

    def rename(self, origin, place):
        """Rename, as rename(2) does."""
        (left, old), (entered, new) = split(origin), split(place)
        to = os.dup(self.hold(entered))  # which the other may close
        try:
            os.rename(old, new, src_dir_fd=self.hold(left), dst_dir_fd=to)
        finally:
            os.close(to)

    def readlink(self, path):
        """Return what a symbolic link says."""
        directory, name = split(path)
        return os.readlink(name, dir_fd=self.hold(directory))

    def place(self, path):
        """Return (name, descriptor of its directory)."""
        directory, name = split(path)
        return name, self.hold(directory)

    def path(self, path):
        """Return another path to the same name, for calls that take no descriptor; nothing but the name may be a link."""
        if not self.by_descriptor:
            return self._prefix + path
        directory, _slash, name = path.rpartition(b"/")
        return b"/proc/self/fd/%d/%s" % (self.hold(directory), name or b".")

    # ---- a directory itself

    def directory(self, path):
        """Return another path to a directory itself."""
        return FDS + b"%d" % self.hold(path) if self.by_descriptor else self._prefix + path

    def facts(self, path):
        """Return the stat of a directory that is held."""
        return os.fstat(self.hold(path))

    def scan(self, path):
        """Return os.scandir of a directory."""
        return os.scandir(self.directory(path))

    def is_ours_to_change(self, path):
        """Tell whether we may list, enter and change a directory."""
        return os.access(b".", os.R_OK | os.W_OK | os.X_OK, dir_fd=self.hold(path))

    def chmod(self, path, mode):
        """Give a directory another mode."""
        os.chmod(self.directory(path), mode)
