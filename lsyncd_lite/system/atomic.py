"""Files that others read: written aside and renamed, so that nobody ever sees half of one."""

import os
import stat

from lsyncd_lite.trust import weak_spot


def write(path, data, durable=False, mode=0o640):
    """Replace a file (absolute bytes) with data (bytes) at once, with a mode at most; raise OSError.

    A link is replaced, not followed. durable: it is on the disk (fsync(2)) before it takes its place.
    """
    aside = path + b".new"
    try:
        os.unlink(aside)
    except FileNotFoundError:
        pass
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(fd)
        os.rename(aside, path)
    except OSError:
        os.unlink(aside)
        raise


def write_public(path, data):
    """Replace a file (absolute bytes) with data (bytes) at once, for everybody to read (0644, whatever the umask); raise OSError.

    Its directory may belong to who reads it, and what is above, too (Debian: /var/lib/prometheus is the user prometheus's): who
    can put something in its place can forge what stands in there, and nothing else, as no link of theirs is followed.
    """
    directory, _slash, name = path.rpartition(b"/")
    held, aside = _hold(directory or b"/"), name + b".new"
    try:
        try:
            os.unlink(aside, dir_fd=held)
        except FileNotFoundError:
            pass
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=held)
        try:
            with open(fd, "wb") as file:
                os.fchmod(fd, 0o644)
                file.write(data)
            os.rename(aside, name, src_dir_fd=held, dst_dir_fd=held)
        except OSError:
            os.unlink(aside, dir_fd=held)
            raise
    finally:
        os.close(held)


def _hold(directory):
    """Return a descriptor of a directory; where somebody else could change the way to it, no link may be on that. Raises OSError."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    if weak_spot(directory) is None:
        return os.open(directory, flags)
    fd = os.open(b"/", flags)
    for name in filter(None, directory.split(b"/")):
        above = fd
        try:
            fd = os.open(name, flags | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
    return fd


def remove(path):
    """Remove a file that `write_public` has written; raise OSError."""
    directory, _slash, name = path.rpartition(b"/")
    held = _hold(directory or b"/")
    try:
        os.unlink(name, dir_fd=held)
    finally:
        os.close(held)


def begin_of(path, count):
    """Return the first bytes of a regular file, b"" where there is none; never waits, follows no link."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, count) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(fd)
