"""What people write for the other end of a sync → what rsync and ssh take.

Knows the forms, not whether anything is there.
"""

import os
import re

from lsyncd_lite.paths import show, to_bytes, to_text

# [USER@]HOST:DIR, where HOST may be an IPv6 address in brackets (rsync(1), SYNOPSIS); no HOST::MODULE.
_REMOTE = re.compile(r"((?:[^/:@]*@)?(?:\[[^]/]*\]|[^/:\[]*)):(?!:)(.*)", re.DOTALL)


class Refused(ValueError):
    """What cannot be the other end; words: what is wrong, with %s where the text stands that is refused."""

    def __init__(self, words, shown):
        super().__init__(words % shown)
        self.words = words


def is_remote(target):
    """Tell whether rsync takes a target (str) for a host: a colon before any slash (rsync(1), SYNOPSIS)."""
    return target.startswith("rsync://") or ":" in target.partition("/")[0]


def by_rsync(text, mode, protected):
    """Return what a SyncConfig says of a target of mode rsync or direct; raise Refused."""
    local = not is_remote(text)
    if mode == "direct" and not local:
        raise Refused("%s is on another host; allowed: a directory of this one (mode direct)", show(text))
    if local:
        text = to_text(os.path.abspath(to_bytes(text)))
    elif text.startswith("-"):
        raise Refused("%s would be an option; allowed: a host that begins with no hyphen", show(text))
    else:
        host, directory = _REMOTE.match(text).groups() if _REMOTE.match(text) else (None, "")
        if directory.startswith("~") and (protected or directory.split("/")[0] == "~"):
            text = "%s:%s" % (host, from_home(directory))  # protect_args keeps a shell from expanding it
    return {"target": to_bytes(text if text.endswith(("/", ":")) else text + "/"), "local": local,
            "host": None, "targetdir": None}


def as_written(text):
    """Return what a SyncConfig says of a target that means something to the user's own commands only."""
    return {"target": to_bytes(text), "local": True, "host": None, "targetdir": None}


def host_and_directory(text):
    """Return (host, directory) of a target HOST:DIR; raise Refused."""
    match = _REMOTE.match(text)
    if match is None or text.startswith("rsync://"):
        raise Refused("target %s: allowed: HOST:DIR or USER@HOST:DIR", show(text))
    return match.group(1), from_home(match.group(2) or ".")


def over_ssh(text, directory):
    """Return what a SyncConfig says of a host (str) and a directory there; raise Refused."""
    user, at, host = text.rpartition("@")
    if host[:1] + host[-1:] == "[]":
        host = host[1:-1]
    if (not host or host.count(":") == 1 or bool(user) != bool(at) or user.startswith("-") or host.startswith("-")
            or ":" in user or any(char in "/[] " or not char.isprintable() for char in user + host)):
        raise Refused("%s is no host; allowed: HOST or USER@HOST, a port goes to ssh.port", show(text))
    rsync_host = "[%s]" % host if ":" in host else host
    return {"host": to_bytes(user + at + host), "targetdir": to_bytes(directory), "local": False,
            "target": to_bytes("%s%s:%s" % (user + at, rsync_host, directory.rstrip("/") + "/"))}


def from_home(directory):
    """Return a directory (str) of another host so that ssh and rsync, which begin in the home, find it.

    A tilde that is quoted would not be expanded; what begins with a hyphen would be an option.
    """
    if directory.startswith("~"):
        tilde, _slash, rest = directory.partition("/")
        if tilde != "~":
            raise Refused("%s: the home of another user is not known here; allowed: /DIR, DIR, ~ or ~/DIR", show(directory))
        directory = rest.lstrip("/") or "."
    if directory.startswith(("-", "~")):
        directory = "./" + directory
    return directory.rstrip("/") or "/"
