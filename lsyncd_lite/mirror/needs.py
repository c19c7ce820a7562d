"""The programs of other packages that a sync cannot do without, and the words for one that is missing.

Mode direct can do without any; what commands of the user's run is theirs.
"""

from lsyncd_lite.mirror import ssh
from lsyncd_lite.paths import show, to_bytes


def programs(config, environ):
    """Return the programs (bytes, names or paths) that a SyncConfig needs; environ: dict of bytes."""
    found = []
    if config.mode in ("rsync", "rsyncssh"):
        found.append(to_bytes(config.rsync.binary))
        if ssh.is_over_ssh(config):
            found.append(ssh.command(config, environ)[0])
    return found


def missing(program, config):
    """Return the words for a program (bytes) that is not there, and what to do about it."""
    words, is_sync = "there is no program %s" % show(program), config.mode in ("rsync", "rsyncssh", "direct")
    if is_sync and program == b"rsync":
        return words + " (install it%s)" % (", or use mode = direct" if config.local and config.mode == "rsync" else "")
    if is_sync and program == b"ssh":
        return words + " (install the client of OpenSSH)"
    if is_sync and program == to_bytes(config.rsync.binary):
        return words + " (rsync.binary)"
    return words
