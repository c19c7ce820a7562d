"""Files that we write: in places where nobody can put others instead, and opened only if they are ours.

Knows nothing of what stands in them.
"""

import os
import stat

from lsyncd_lite.errors import ConfigError
from lsyncd_lite.paths import show
from lsyncd_lite.trust import trusted, weak_spot

# metricsFile may stand in a directory of who reads it: atomic.write_public follows no link of theirs.
KEYS = ("logfile", "pidfile", "statusFile", "stateDir", "controlSocket")

# What a container's log is sent to; opened by name they are links, and the starter's terminal or pipe.
STREAMS = {b"/dev/stdout": 1, b"/dev/stderr": 2}


def check(settings):
    """Raise ConfigError, a line for each, if somebody else could put another file in the place of one that settings name."""
    lines = []
    for key in KEYS:
        path = getattr(settings, key)
        if path and not (key == "logfile" and path in STREAMS):
            lines += refusal(key, path)
    if lines:
        raise ConfigError(lines)


def refusal(key, path):
    """Return [] or [one line] that says why a file, or a directory, of ours may not be at a path (absolute bytes)."""
    found = weak_spot(path)
    if found is None:
        return []
    what, words, way_out = found
    return ["%s: %s: %s %s: refused (%s)" % (key, show(path), show(what), words, show(way_out))]


def opened(path, flags, devices=False):
    """Open a file of ours for writing, or make it, 0640 at most; return the descriptor.

    Raises OSError, too if it is a link, somebody else's, has another name elsewhere, or is no regular file
    (devices: neither that, nor a character device or a fifo of ours). Never waits: a fifo needs a reader.
    """
    fd = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o640)
    facts = os.fstat(fd)
    problem = None
    if devices and stat.S_ISCHR(facts.st_mode):
        return fd
    if not (stat.S_ISREG(facts.st_mode) or devices and stat.S_ISFIFO(facts.st_mode)):
        problem = "it is no regular file"
    elif facts.st_uid not in trusted():
        problem = "it belongs to uid %d" % facts.st_uid
    elif facts.st_nlink > 1:  # 0: removed meanwhile
        problem = "it is a hard link"
    if problem is None:
        return fd
    os.close(fd)
    raise OSError(problem)
