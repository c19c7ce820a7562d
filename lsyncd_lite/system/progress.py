"""Whether process groups still do something, by what proc(5) tells of them.

Knows nothing of what they are for. Without /proc nothing is told.
"""

import os
from collections import namedtuple

# moved: bytes read and written (by system calls, whatever the other end is); ticks: of CPU time; switches:
# times that it has waited for something and got it; blocked: it waits for somebody to open the other end of a fifo.
Signs = namedtuple("Signs", "moved ticks switches blocked")

_BYTES = 1024   # keep-alives of a dead connection are fewer
_SWITCHES = 10  # time-outs that only wait on are fewer


def signs(groups):
    """Return {process group: Signs} of all that runs in some groups (a set of their numbers)."""
    found = {}
    try:
        names = os.listdir("/proc") if groups else ()
    except OSError:
        names = ()
    for name in names:
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, "rb") as file:
                    command, _paren, rest = file.read().rpartition(b")")
            except OSError:
                continue  # it ended just now
            fields = rest.split()  # from the third of proc_pid_stat(5)
            group = int(fields[2])
            if group in groups:
                found.setdefault(group, []).append(_of_process(name, command.partition(b"(")[2], fields))
    return {group: Signs(*map(sum, zip(*members))) for group, members in found.items()}


def _of_process(pid, command, fields):
    lines = _fields(pid, "io")
    moved = int(lines.get("rchar", 0)) + int(lines.get("wchar", 0))
    if command == b"ssh":  # it works for keep-alives alone, too
        return moved, 0, 0, False
    switches = int(_fields(pid, "status").get("voluntary_ctxt_switches", 0))
    return moved, int(fields[11]) + int(fields[12]), switches, _waits_for_partner(pid)


def _fields(pid, name):
    """Return {key: value} of a file of a process; {} where it is not ours to read."""
    try:
        with open("/proc/%s/%s" % (pid, name)) as file:
            return dict(line.rstrip("\n").split(":", 1) for line in file if ":" in line)
    except OSError:
        return {}


def _waits_for_partner(pid):
    try:
        with open("/proc/%s/wchan" % pid) as file:
            return file.read() == "wait_for_partner"
    except OSError:
        return False


def has_moved(before, after):
    """Tell whether a group has done something between two Signs."""
    return (after.moved - before.moved > _BYTES or after.ticks > before.ticks
            or after.switches - before.switches > _SWITCHES
            or after.moved < before.moved or after.switches < before.switches)  # one of it has ended
