"""The one ssh command of a sync: for what we run there ourselves, and for rsync's --rsh.

Whoever made the two differ would reach two hosts. Knows neither what travels nor
whether the directory of the control sockets exists.
"""

import binascii
import re

from lsyncd_lite.paths import to_bytes

# A dead peer has to end a job, and nothing may ask for a password.
_DEFAULTS = (b"BatchMode=yes", b"ConnectTimeout=30", b"ServerAliveInterval=15", b"ServerAliveCountMax=3")
_MULTIPLEX = (b"ControlMaster=auto", b"ControlPersist=60")

# A user who says one of these has a connection of his own in mind.
_CONTROL = re.compile(rb"(?i)(?:-o)?\s*control(?:master|path|persist)\b|-[MS]")

# [USER@]HOST::MODULE, where HOST may be an IPv6 address in brackets (rsync(1), SYNOPSIS).
_DAEMON = re.compile(rb"(?:[^/:@]*@)?(?:\[[^]/]*\]|[^/:[]*)::")

# The longest directory for sockets: a name there is "/", 8 digits and the 40 of %C, to which ssh adds
# 17 bytes while it makes one; 107 fit into an address (unix(7)).
LONGEST = 107 - 17 - 40 - 8 - 1


def command(config, environ, sockets=None):
    """Return the words (bytes) that reach the host of a remote target: ssh and its options, without the host.

    environ: dict of bytes. sockets: the directory (bytes) for ssh's control sockets, or
    None: a connection for each job.
    """
    table = config.ssh
    words = _base(config, environ)
    is_ssh = not words or words[0].rpartition(b"/")[2] == b"ssh"
    words = words or [to_bytes(table.binary)]
    if table.identityFile is not None:
        words += [b"-i", to_bytes(table.identityFile)]
    if table.port is not None:
        words += [b"-p", b"%d" % table.port]
    for option in table.options:
        words += [b"-o", to_bytes(option)]
    words += map(to_bytes, table._extra)
    if not is_ssh:  # a script: it may know no options but those that were said
        return words
    options = list(_DEFAULTS)  # ssh takes the first value it gets: users win
    if table.multiplex and sockets is not None and len(sockets) <= LONGEST and not any(map(_CONTROL.match, words)):
        # who goes by another key or another option must not share a connection, nor one that lets others go first
        gentle = [b"%s=%s" % (name, to_bytes(str(value))) for name, value in ((b"nice", config.nice), (b"ionice", config.ionice)) if value is not None]
        host = config.host or config.target.partition(b":")[0]
        path = b"%s/%08x%%C" % (sockets.replace(b"%", b"%%"), binascii.crc32(b"\0".join([*words, host, *gentle])))
        options += [b"ControlPath=" + path, *_MULTIPLEX]
    return words + [word for option in options for word in (b"-o", option)]


def is_over_ssh(config):
    """Tell whether the target of a SyncConfig is on another host, and not an rsync daemon's."""
    return not (config.local or config.target.startswith(b"rsync://") or _DAEMON.match(config.target))


def connection(words, sockets):
    """Return how the name of the socket begins through which what goes by these words shares a connection; None: it does not."""
    start = b"ControlPath=" + (sockets or b"").replace(b"%", b"%%") + b"/"
    return next((word[len(start):-len(b"%C")] for word in words if sockets and word.startswith(start)), None)


def rsh(config, environ, sockets=None):
    """Return the text for rsync's --rsh; None: what rsync takes by itself, its environment, is right."""
    words = command(config, environ, sockets)
    if words == _base(config, environ):
        return to_bytes(config.rsync.rsh) if config.rsync.rsh is not None else None
    return as_rsh(words)


def as_rsh(words):
    """Return words as one text that rsync splits into them again."""
    return b" ".join([b"'%s'" % word.replace(b"'", b"''") if not word or re.search(rb"[ '\"]", word) else word
                      for word in words])


def split(text):
    """Return the words of a remote shell as rsync splits it (rsync(1), --rsh).

    Blanks divide; single and double quotes hold together, where a doubled one stands for itself.
    """
    words, word, quote, at = [], None, b"", 0
    while at < len(text):
        char = text[at:at + 1]
        at += 1
        if not quote and char == b" ":
            words += [] if word is None else [word]
            word = None
        elif not quote and char in b"'\"":
            quote, word = char, word or b""
        elif char == quote and text[at:at + 1] != quote:
            quote = b""
        else:
            at += char == quote
            word = (word or b"") + char
    return words if word is None else words + [word]


def _base(config, environ):
    """Return the words of the remote shell that was chosen for rsync; [] if none was."""
    text = environ.get(b"RSYNC_RSH", b"") if config.rsync.rsh is None else to_bytes(config.rsync.rsh)
    return split(text)
