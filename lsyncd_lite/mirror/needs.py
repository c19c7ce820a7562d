"""The programs that a sync cannot do without: those it runs by name, and the words for one that is missing.

Mode direct can do without any; what commands of the user's run is theirs.
"""

from lsyncd_lite.mirror import ssh
from lsyncd_lite.paths import show, to_bytes


def programs(config, environ):
    """Return the programs (bytes, names or paths) that a SyncConfig needs; environ: dict of bytes."""
    found = [*gentle(config)]
    if config.mode in ("rsync", "rsyncssh"):
        found.append(to_bytes(config.rsync.binary))
        if ssh.is_over_ssh(config):
            found.append(ssh.command(config, environ)[0])
    return found


def gentle(config):
    """Return {program (bytes): its options} by which what a SyncConfig runs gets the priority that it wants.

    Programs do it, as a process that has lowered itself cannot rise again unless it is root's, and what a child has started
    already would not be reached any more.
    """
    found = {}
    if config.nice is not None:
        found[b"nice"] = [b"-n", b"%d" % config.nice]
    if config.ionice is not None:
        level = to_bytes(config.ionice.partition(":")[2] or "4")  # ionice(1); that of busybox has another default
        found[b"ionice"] = [b"-c", b"3"] if config.ionice == "idle" else [b"-c", b"2", b"-n", level]
    return found


def gently(config, argv):
    """Return the argv (list of bytes) by which an argv runs with the priority that a SyncConfig wants."""
    return [*(word for name, options in gentle(config).items() for word in (name, *options)), *argv]


def missing(program, config):
    """Return the words for a program (bytes) that is not there, and what to do about it."""
    words, is_sync = "there is no program %s" % show(program), config.mode in ("rsync", "rsyncssh", "direct")
    if is_sync and program == b"rsync":
        return words + " (install it%s)" % (", or use mode = direct" if config.local and config.mode == "rsync" else "")
    if is_sync and program == b"ssh":
        return words + " (install the client of OpenSSH)"
    if program == b"ionice":
        return words + " (install util-linux, or set no ionice)"
    if is_sync and program == to_bytes(config.rsync.binary):
        return words + " (rsync.binary)"
    return words
