"""What the kernel tells of file systems: of which kind one is, and what is mounted where.

The kinds are those of statfs(2), the table is that of proc(5), "mountinfo". Knows nothing
of watches and scans.
"""

import ctypes
import os
import re

from lsyncd_lite.paths import below

TABLE = "/proc/self/mountinfo"

# File systems that other hosts, or programs behind them, change without a word to our kernel (statfs(2), linux/magic.h).
REMOTE = {
    0x6969: "nfs", 0x517B: "smb", 0xFE534D42: "smb2", 0xFF534D42: "cifs", 0x65735546: "fuse", 0x01021997: "9p",
    0x5346414F: "afs", 0x6B414653: "afs", 0x00C36400: "ceph", 0x7461636F: "ocfs2", 0x01161970: "gfs2",
    0x0BD00BD0: "lustre", 0x786F4256: "vboxsf", 0x73757245: "coda", 0x564C: "ncp", 0xBACBACBC: "vmhgfs",
    0x47504653: "gpfs", 0x19830326: "fhgfs", 0xAAD7AAEA: "panfs", 0x7C7C6673: "prl_fs", 0x20030528: "orangefs",
    0xA501FCF5: "vxfs",
}

# The same as the table of mounts has them, where that is another word; of "fuse.sshfs" the first word counts.
_NAMES = {"nfs4": "nfs", "smbfs": "smb", "smb3": "smb2", "fuseblk": "fuse", "virtiofs": "fuse", "ncpfs": "ncp", "beegfs": "fhgfs",
          "pvfs2": "orangefs"}
_NAMES.update((name, name) for name in REMOTE.values())

_libc = ctypes.CDLL(None)


def kind(path):
    """Return f_type of the file system that a path (bytes) is on, None where it cannot be told."""
    buffer = ctypes.create_string_buffer(256)  # struct statfs begins with f_type, a long (statfs(2))
    if _libc.statfs(path, buffer) != 0:
        return None
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF


def remote(path):
    """Return the name of the file system of a path if changes by other hosts are not told there, else None.

    What the table of mounts tells is enough where such a one is on the way: it may not answer.
    """
    above = _mounted_above(path)
    return _NAMES.get(above[-1]) if any(name in _NAMES for name in above) else REMOTE.get(kind(path))


def may_hang(path):
    """Tell whether a look at an absolute path may never end, as it, or what is above it, is on a file system that others serve."""
    return any(name in _NAMES or name == "autofs" for name in _mounted_above(path))


def _mounted_above(path):
    """Return the words for the file systems on the way to a path, the last for its own; [] without a table. Touches none of them."""
    try:
        with open(TABLE, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    found = {}
    for line in lines:
        point = _plain(line.split(b" ", 5)[4])
        if below(path, point) is not None:
            found[point] = line.rpartition(b" - ")[2].split(b" ")[0].decode("ascii", "replace").partition(".")[0]
    return [found[point] for point in sorted(found, key=len)]


class Mounts:
    """The mount table; poll(2) tells POLLPRI on `fd` when it changes."""

    def __init__(self):
        """Raise OSError where there is no such table."""
        self.fd = os.open(TABLE, os.O_RDONLY | os.O_CLOEXEC)
        self._known = self.read()

    def read(self):
        """Return {mount point (absolute bytes): identity of what is on top there}; raise OSError."""
        os.lseek(self.fd, 0, os.SEEK_SET)
        found = {}
        for line in b"".join(iter(lambda: os.read(self.fd, 1 << 16), b"")).splitlines():
            fields = line.split(b" ", 5)
            found[_plain(fields[4])] = fields[0], fields[2], fields[3]
        return found

    @property
    def points(self):
        """The mount points at the last look."""
        return list(self._known)

    def changes(self):
        """Return (mount points that have come or show another file system, those that have gone) since the last call."""
        before = self._known
        try:
            now = self._known = self.read()
        except OSError:
            return [], []
        return [path for path in now if before.get(path) != now[path]], [path for path in before if path not in now]

    def close(self):
        """Give up the table."""
        os.close(self.fd)


def _plain(field):
    """Return a field of the table without its escapes, \\ooo."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes((int(match.group(1), 8),)), field)
