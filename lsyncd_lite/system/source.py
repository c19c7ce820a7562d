"""What a mode may ask of the disk below one source. Everything is relative to its root."""

import os


class Source:
    """The directory of a sync; `excludes(directory, name, is_dir)` tells what is not walked."""

    def __init__(self, root, excludes):
        self.root = root
        self._excludes = excludes
        self._prefix = root if root.endswith(b"/") else root + b"/"

    def lstat(self, path):
        """Return os.stat_result of a relative path (b"": the root itself), or None where it is missing.

        A path that cannot be looked at counts as what it is not known to be: the
        error is the caller's child's to report.
        """
        try:
            return os.lstat(self._prefix + path if path else self.root)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return _UNKNOWN

    def is_directory(self):
        """Tell whether the root is there."""
        return os.path.isdir(self.root)

    def is_empty(self):
        """Tell whether the root holds nothing (unknown: False)."""
        try:
            with os.scandir(self.root) as found:
                return next(found, None) is None
        except OSError:
            return False

    def names(self, path):
        """Return [(name, is_dir)] of what is in a relative directory and not excluded."""
        try:
            with os.scandir(self._prefix + path) as listing:
                found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
        except OSError:
            return []  # gone, which is a change of its own, or unreadable, which watching it has told
        return [(name, is_dir) for name, is_dir in sorted(found) if not self._excludes(path, name, is_dir)]

    def directories(self, path):
        """Return a relative directory and every directory below it that is not excluded, parents first."""
        found, at = [path], 0
        while at < len(found):
            directory = found[at]
            at += 1
            try:
                with os.scandir(self._prefix + directory) as listing:
                    found += [directory + b"/" + entry.name for entry in listing
                              if entry.is_dir(follow_symlinks=False)
                              and not self._excludes(directory, entry.name, True)]
            except OSError:
                pass  # gone, which is a change of its own, or unreadable, which rsync tells
        return found


# For what is there and cannot be looked at: neither a directory nor a plain file.
_UNKNOWN = os.stat_result((0,) * 10, {"st_atime_ns": 0, "st_mtime_ns": 0, "st_ctime_ns": 0, "st_rdev": 0})
