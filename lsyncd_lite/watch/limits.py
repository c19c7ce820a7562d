"""The limits of inotify(7), and the words for one that is too low.

A user's watches are limited twice: by fs.inotify.max_user_watches, and by user.max_inotify_watches of
each user namespace (namespaces(7)). The smaller one counts.
"""

import errno

from lsyncd_lite.paths import show

_FOLDERS = ("fs.inotify.max_user_", "user.max_inotify_")
_NEARLY = 0.8


def limit(what):
    """Return (number or None, name of the sysctl) of the limit that counts; what: "watches" or "instances"."""
    found = []
    for folder in _FOLDERS:
        name = folder + what
        try:
            with open("/proc/sys/" + name.replace(".", "/")) as file:
                found.append((int(file.read()), name))
        except (OSError, ValueError):
            continue  # not in this kernel, or no /proc
    return min(found, default=(None, _FOLDERS[0] + what), key=lambda pair: pair[0])


def too_few_watches(missing, watched, root):
    """Return the words for a tree with directories that there are not enough watches for."""
    number, name = limit("watches")
    number = watched if number is None else number
    return ("cannot watch %d of the %d directories below %s: %s is %d, at least %d are needed: sysctl -w %s=%d"
            % (missing, missing + watched, show(root), name, number, number + missing, name, (number + missing) * 5 // 4 + 1))


def used_up(error):
    """Return the words for an OSError that says that a limit keeps us from watching anything, else None."""
    if error.errno == errno.EMFILE:
        number, name = limit("instances")
        return ("no inotify instances (or open files) left: %s is %s: sysctl -w %s=%d"
                % (name, number, name, max(2 * (number or 0), 512)))
    if error.errno == errno.ENOSPC:
        number, name = limit("watches")
        return "no inotify watches left: %s is %s: sysctl -w %s=%d" % (name, number, name, max(2 * (number or 0), 524288))
    return None


class Ceiling:
    """Tells, once, when the watches come near their limit."""

    def __init__(self):
        self._told = False
        self._at = None  # the number of watches that is too near
        self._number, self._name = None, ""

    def read(self):
        """Read the limit again."""
        self._number, self._name = limit("watches")
        self._at = None if self._number is None else self._number * _NEARLY

    def words(self, watched):
        """Return words for the log when so many watches have passed four fifths of the limit; they have to fall before the next."""
        if self._at is None or watched <= self._at:
            self._told = False
            return None
        if self._told:
            return None
        self.read()  # it may have been raised since
        if self._at is None or watched <= self._at:
            return None
        self._told = True
        return ("%d directories are watched and %s is %d: soon there will be too few: sysctl -w %s=%d"
                % (watched, self._name, self._number, self._name, max(2 * watched, self._number * 2)))
