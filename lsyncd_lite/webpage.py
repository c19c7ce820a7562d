"""`lsyncd-lite status -html FILE`: where the page (report/page.py) is written to, and how."""

import os
import stat
import time

from lsyncd_lite.errors import Fatal, reason
from lsyncd_lite.paths import show, to_bytes
from lsyncd_lite.report import page
from lsyncd_lite.system import atomic


def write(snapshots, name, say):
    """Write the page of the one snapshot that there is to a file, "-": to the standard output; return the exit status.

    say(text): prints. Raises Fatal.
    """
    if len(snapshots) > 1:
        raise Fatal("option -html: %d daemons run: say which, by -socket" % len(snapshots))
    return _write(page.render(snapshots[0], _host()), name, say)


def write_lost(words, name, say):
    """Write a page that says why no daemon answers, so that nobody takes the last one for true; as `write`."""
    return _write(page.render(page.nothing(time.time()), _host(), words), name, say)


def _host():
    return show(os.uname().nodename)


def _write(text, name, say):
    if name == "-":
        return say(text[:-1])
    path = os.path.abspath(to_bytes(name))
    try:
        if not stat.S_ISREG(_mode(path)):
            with open(path, "wb") as file:  # /dev/stdout is nothing to replace
                file.write(to_bytes(text))
        else:
            atomic.write(path, to_bytes(text), mode=0o666)  # as the umask says: a web server has to read it
    except OSError as error:
        raise Fatal("cannot write the page %s: %s" % (show(path), reason(error))) from None
    return 0


def _mode(path):
    """Return what a path is: a plain file where nothing is, or a link outside of /dev, which is replaced as one."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return stat.S_IFREG
    return stat.S_IFREG if stat.S_ISLNK(mode) and not path.startswith((b"/dev/", b"/proc/")) else mode
