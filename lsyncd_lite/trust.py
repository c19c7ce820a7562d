"""Who, beside root and us, could change a file, or put another one in its place.

Looks at what an opened file is, and at every directory that the kernel passes on the way to it, through
links too. Knows nothing of what a file is for.
"""

import os
import stat

_LINKS = 40  # path_resolution(7): more are an error

EVERYBODY = "can be written by everybody"


def trusted():
    """Return the set of user ids that may change our files: root, we, and the root outside of our user namespace.

    The latter owns /proc/sys, and may have no number of its own in here (user_namespaces(7)).
    """
    found = {0, os.geteuid()}
    try:
        found.add(os.stat("/proc/sys").st_uid)
    except OSError:
        pass  # no /proc: no namespaces to care for
    return found


def doubt(facts):
    """Return what is wrong with a file (os.fstat of the descriptor), or None.

    Members of its group may write to a configuration of an ordinary user's (umask 002), but not to one of root's.
    """
    if facts.st_uid not in trusted():
        return "belongs to uid %d" % facts.st_uid
    if not stat.S_ISREG(facts.st_mode):
        return None  # a pipe or a terminal: whoever gave it to us has opened it
    if facts.st_mode & stat.S_IWOTH:
        return EVERYBODY
    if facts.st_mode & stat.S_IWGRP and os.geteuid() == 0:
        return "can be written by its group"
    return None


def weak_spot(path):
    """Return (what, what is wrong with it, the way out) where somebody could make `path` another file; None: nowhere.

    path: absolute bytes; it need not exist. What cannot be looked at ends the walk, as whoever opens it will hear.
    A directory that its *group* can write to is accepted: /var/log is root:syslog 0775 on some systems, /usr/local
    root:staff, and a file is looked at again when it is open.
    """
    ours = trusted()
    where, todo, links, sticky = b"/", [name for name in path.split(b"/") if name], 0, False
    facts = os.stat(b"/")
    while True:
        if stat.S_ISDIR(facts.st_mode):
            found = _of_directory(where, facts, ours)
            if found:
                return found
            sticky = bool(facts.st_mode & stat.S_IWOTH)
        if not todo:
            return None
        name = todo.pop(0)
        here = os.path.dirname(where) if name == b".." else where if name == b"." else os.path.join(where, name)
        try:
            facts = os.lstat(here)
            if sticky and facts.st_uid not in ours:
                return here, "belongs to uid %d, in a directory of everybody's" % facts.st_uid, b"choose another place"
            if not stat.S_ISLNK(facts.st_mode):
                where = here
                continue
            links += 1
            if links > _LINKS:
                return None
            target = os.readlink(here)
            todo = [name for name in target.split(b"/") if name] + todo
            where = b"/" if target.startswith(b"/") else where
            facts = os.lstat(where)
        except OSError:
            return None


def _of_directory(path, facts, ours):
    if facts.st_uid not in ours:
        return b"directory " + path, "belongs to uid %d" % facts.st_uid, b"chown %s " % (b"%d" % os.geteuid() if os.geteuid() else b"root") + path
    if facts.st_mode & stat.S_IWOTH and not facts.st_mode & stat.S_ISVTX:
        return b"directory " + path, EVERYBODY, b"chmod o-w " + path
    return None
