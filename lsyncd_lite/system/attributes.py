"""What a file has beside its name: owner, mode, extended attributes, time; and if two have the same content.

Knows nothing of why one is to be like the other.
"""

import errno
import os
import stat

from lsyncd_lite.system.pinned import FDS

# What is no word about what may be given to whom: another time it can be done.
_FOR_NOW = (errno.EROFS, errno.EIO, errno.EDQUOT, errno.ENOMEM, errno.ESTALE, errno.ENOENT)

_xattrs = os  # which has none of these calls where Python was built for musl
if not hasattr(os, "listxattr"):
    from lsyncd_lite.system import xattr as _xattrs


def look(path, dir_fd=None):
    """Return the lstat of a path, or None where nothing is; OSError if nobody can tell."""
    try:
        return os.lstat(path, dir_fd=dir_fd)
    except (FileNotFoundError, NotADirectoryError):
        return None


def make_like(path, at, here, there):
    """Give `at`, which is like `there`, the owner, mode, extended attributes and time of `path`.

    Where `at` is one of /proc/self/fd, only the very thing that `there` tells of is changed:
    OSError if another is in its place by now.
    """
    changes = _extended(path, at)
    is_link, mode = stat.S_ISLNK(here.st_mode), stat.S_IMODE(here.st_mode)
    if (not changes and here.st_mtime_ns == there.st_mtime_ns and (is_link or mode == stat.S_IMODE(there.st_mode))
            and (here.st_uid, here.st_gid) == (there.st_uid, there.st_gid)):
        return
    if not at.startswith(FDS):
        _change(at, here, there, changes, False)
        return
    fd = os.open(at, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) != (there.st_dev, there.st_ino):
            raise OSError("another has taken its place")
        _change(FDS + b"%d" % fd, here, there, changes, True)  # which leads to a link itself, too
    finally:
        os.close(fd)


def _change(at, here, there, changes, follows):
    """Do what make_like is to do; changes: see _extended."""
    mode, changed, is_link = stat.S_IMODE(here.st_mode), False, stat.S_ISLNK(here.st_mode)
    if (here.st_uid, here.st_gid) != (there.st_uid, there.st_gid):
        mode, changed = _own(at, here, there, mode, follows)
    for name, value in changes:
        try:
            if value is None:
                _xattrs.removexattr(at, name, follow_symlinks=follows)
            else:
                _xattrs.setxattr(at, name, value, follow_symlinks=follows)
            changed = True
        except OSError as error:  # some are the kernel's, or not for us
            _raise_passing(error)
    if not is_link and (changed or mode != stat.S_IMODE(there.st_mode)):
        os.chmod(at, mode)  # after chown(2), which takes bits away
    if here.st_mtime_ns != there.st_mtime_ns:
        try:
            os.utime(at, ns=(there.st_atime_ns, here.st_mtime_ns), follow_symlinks=follows)
        except OSError as error:
            _raise_passing(error)
            if not is_link:  # not every file system keeps that of links
                raise


def _raise_passing(error):
    if error.errno in _FOR_NOW:
        raise error


def _own(at, here, there, mode, follows):
    """Give `at` its owner as far as we may; return the mode it may have then, and if it changed.

    Who cannot give a file away must not make it run with rights of his own.
    """
    stranger = stat.S_ISUID if here.st_uid != there.st_uid else 0
    for uid in here.st_uid, -1:
        try:
            os.chown(at, uid, here.st_gid, follow_symlinks=follows)
        except OSError as error:
            _raise_passing(error)
            continue  # not ours to give, or unknown to this user namespace: as good as can be
        return mode if uid != -1 else mode & ~stranger, True
    if here.st_gid != there.st_gid and not stat.S_ISDIR(here.st_mode):
        stranger |= stat.S_ISGID
    return mode & ~stranger, False


def _extended(path, at):
    """Return what makes the extended attributes (ACLs too) of `at` those of `path`: [(name, value or None: none)]."""
    try:
        wanted, found = _xattrs.listxattr(path, follow_symlinks=False), _xattrs.listxattr(at, follow_symlinks=False)
        if not wanted and not found:
            return ()
        wanted, found = ({name: _xattrs.getxattr(which, name, follow_symlinks=False) for name in names}
                         for which, names in ((path, wanted), (at, found)))
    except OSError:
        return ()  # not known to this file system, or changing just now
    return [(name, wanted.get(name)) for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)]


def is_same_content(one, other, dir_fd=None):
    """Compare two regular files, the other one in a directory; what has become something else, or cannot be read, is not the same."""
    opened = []
    try:
        for path, where in (one, None), (other, dir_fd):
            opened.append(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=where))
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
