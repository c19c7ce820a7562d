"""Files that others read: written aside and renamed, so that nobody ever sees half of one."""

import os


def write(path, data, durable=False):
    """Replace a file (absolute bytes) with data (bytes) at once, mode 0640 at most; raise OSError.

    A link is replaced, not followed. durable: it is on the disk (fsync(2)) before it takes its place.
    """
    aside = path + b".new"
    try:
        os.unlink(aside)
    except FileNotFoundError:
        pass
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
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
