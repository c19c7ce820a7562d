"""What a file has beside its name: owner, mode, extended attributes, time; and if two have the same content.

Knows nothing of why one is to be like the other.
"""

import os
import stat


def make_like(path, at, here, there):
    """Give `at`, which is like `there`, the owner, mode, extended attributes and time of `path`."""
    mode, changed = stat.S_IMODE(here.st_mode), False
    if (here.st_uid, here.st_gid) != (there.st_uid, there.st_gid):
        mode, changed = _own(at, here, there, mode)
    changed |= _extended(path, at)
    if not stat.S_ISLNK(here.st_mode) and (changed or mode != stat.S_IMODE(there.st_mode)):
        os.chmod(at, mode)  # after chown(2), which takes bits away
    if here.st_mtime_ns != there.st_mtime_ns:
        try:
            os.utime(at, ns=(there.st_atime_ns, here.st_mtime_ns), follow_symlinks=False)
        except OSError:
            if not stat.S_ISLNK(here.st_mode):  # not every file system keeps that of links
                raise


def _own(at, here, there, mode):
    """Give `at` its owner as far as we may; return the mode it may have then, and if it changed.

    Who cannot give a file away must not make it run with rights of his own.
    """
    stranger = stat.S_ISUID if here.st_uid != there.st_uid else 0
    for uid in here.st_uid, -1:
        try:
            os.chown(at, uid, here.st_gid, follow_symlinks=False)
        except OSError:
            continue  # not ours to give, or unknown to this user namespace: as good as can be
        return mode if uid != -1 else mode & ~stranger, True
    if here.st_gid != there.st_gid and not stat.S_ISDIR(here.st_mode):
        stranger |= stat.S_ISGID
    return mode & ~stranger, False


def _extended(path, at):
    """Make the extended attributes (ACLs too) of `at` those of `path`, best effort; tell if some changed."""
    try:
        wanted, found = (os.listxattr(which, follow_symlinks=False) for which in (path, at))
        if not wanted and not found:
            return False
        wanted, found = ({name: os.getxattr(which, name, follow_symlinks=False) for name in names}
                         for which, names in ((path, wanted), (at, found)))
    except OSError:
        return False  # not known to this file system, or changing just now
    changed = False
    for name in wanted.keys() | found.keys():
        if wanted.get(name) == found.get(name):
            continue
        try:
            if name in wanted:
                os.setxattr(at, name, wanted[name], follow_symlinks=False)
            else:
                os.removexattr(at, name, follow_symlinks=False)
            changed = True
        except OSError:
            pass  # some are the kernel's, or not for us
    return changed


def is_same_content(one, other):
    """Compare two regular files; what has become something else, or cannot be read, is not the same."""
    opened = []
    try:
        for path in one, other:
            opened.append(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
        while True:
            block = os.read(opened[0], 1 << 18)
            if block != os.read(opened[1], 1 << 18):
                return False
            if not block:
                return True
    except OSError:
        return False
    finally:
        for fd in opened:
            os.close(fd)
