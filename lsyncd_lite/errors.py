"""The ways the program refuses to go on.

ConfigError: what the user wrote is wrong; every finding is one line.
Fatal: the surroundings do not allow to start or to go on; one line.
ScriptError: a script of the user's has failed; one line.
changes: the words for a number of changes.
reason: the words for what the kernel refused, in either of them and in the log.
lacking: the words for a module that is not there.
killed: those for a child that a signal has ended.
"""

import os
import sys


class ConfigError(Exception):
    """What is wrong in a configuration or on the command line.

    `lines` (list of str) holds one finding each, as `FILE:LINE: KEY: what is wrong`;
    `warnings` what else there is to say, which may be the reason of it.
    """

    def __init__(self, lines, warnings=()):
        super().__init__("\n".join(lines))
        self.lines = list(lines)
        self.warnings = list(warnings)


class Fatal(Exception):
    """One line "cannot DO WHAT: reason"; the program ends with exit status 255."""


class ScriptError(Exception):
    """One line "FILE:LINE: what has failed"."""


def reason(error):
    """Return the words for an OSError, without numbers and names."""
    return os.strerror(error.errno) if error.errno else str(error)


def killed(status):
    """Return the words for a child that has ended by a signal; status: its negative number. What nobody has sent KILL is the kernel's doing."""
    return "was killed by signal %d%s" % (-status, " (memory was short? dmesg tells)" if status == -9 else "")


def lacking(error):
    """Return the words for an ImportError: packages like Debian's python3-minimal hold a part of Python only."""
    if (error.name or "").startswith("lsyncd_lite"):
        return "lsyncd-lite is not whole, or was replaced while it ran: %s: start or install it again" % error
    return ("%s (Python %d.%d) has no module %s, which lsyncd-lite needs: install all of Python's standard library "
            "(Debian: python3, not only python3-minimal)" % (sys.executable or "this program", *sys.version_info[:2], error.name or error))


def changes(count, one="", many=""):
    """Return "1 change", "2 changes" and so on, with what one of them, or many, do."""
    return "%d change%s%s" % ((count, "", one) if count == 1 else (count, "s", many))
