"""`lsyncd-lite status -html FILE`: asks the daemon, or reads its status file, and writes the page (report/page.py).

Should nobody answer, the page says so: the last one, which may have been well, must not be taken for the present.
"""

import os
import stat
import time

from lsyncd_lite import steering
from lsyncd_lite.errors import ConfigError, Fatal, reason
from lsyncd_lite.paths import show, to_bytes
from lsyncd_lite.report import page
from lsyncd_lite.system import ask, atomic


def run(sync, given, say):
    """Write the page about a sync (its name, or None) where option html of `given` wants it, "-": to the standard output.

    Returns the exit status; say(text): prints. Raises ConfigError, Fatal.
    """
    for name in ("watch", "json", "v"):
        if name in given:
            raise ConfigError(["option -html: not with -%s" % name])
    code = 0
    try:
        if "s" in given:
            found = [steering.of_file(to_bytes(given["s"]), sync)]
        else:
            found = steering.snapshots(sync, given, history=True)
    except Fatal as error:
        left = None if "s" in given else steering.left_behind(given, sync)
        if left is None:
            if "s" in given or isinstance(error, ask.Unreachable):
                _write(page.render(page.nothing(time.time()), _host(), str(error)), given["html"], say)
            raise
        code, found = steering.NOT_RUNNING, [left]
    if len(found) > 1:
        raise Fatal("option -html: %d daemons run: say which, by -socket" % len(found))
    _write(page.render(found[0], _host()), given["html"], say)
    return code


def _host():
    return show(os.uname().nodename)


def _write(text, name, say):
    if name == "-":
        say(text[:-1])
        return
    path = os.path.abspath(to_bytes(name))
    try:
        if not stat.S_ISREG(_mode(path)):
            with open(path, "wb") as file:  # /dev/stdout is nothing to replace
                file.write(to_bytes(text))
        else:
            atomic.write(path, to_bytes(text), mode=0o666)  # as the umask says: a web server has to read it
    except OSError as error:
        raise Fatal("cannot write the page %s: %s" % (show(path), reason(error))) from None


def _mode(path):
    """Return what a path is: a plain file where nothing is, or a link outside of /dev, which is replaced as one."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return stat.S_IFREG
    return stat.S_IFREG if stat.S_ISLNK(mode) and not path.startswith((b"/dev/", b"/proc/")) else mode
