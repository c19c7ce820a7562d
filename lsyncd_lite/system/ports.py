"""Ports of this host: one that is free, whether one answers, and whose it is, by what proc(5) tells.

Knows nothing of what they are for.
"""

import os
import sys

_LISTENS = "0A"  # TCP_LISTEN of tcp_states.h in the kernel's sources


def stream(address):
    """Return a socket for an address (str, in numbers) that waits for nothing."""
    import socket
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    one.setblocking(False)
    return one


def free(address, taken=()):
    """Return a port that nobody has at an address now, and that is not among some others; raise OSError."""
    while True:
        with stream(address) as one:
            one.bind((address, 0))
            port = one.getsockname()[1]
        if port not in taken:
            return port


def has_connected(one):
    """Tell whether a socket that was connecting has come to somebody."""
    import socket
    try:  # a port that nobody listens at may be given to the socket that tries it, which then connects to itself
        return not one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) and one.getsockname() != one.getpeername()
    except OSError:
        return False  # reset already


def whose(address, port, group):
    """Tell whether what listens at a port is of a process group.

    True: it is; False: it is not, and the group listens at the same port of another
    address; None: nobody knows, as others may listen for the group.
    """
    import socket
    number = _hex(socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address))
    found = _listening(port)
    ours = _sockets(group)
    here = {inode for place, inode in found if place == number or not int(place, 16)}
    if here and here <= ours:
        return True
    return False if here and any(inode in ours for _place, inode in found) else None


def _hex(packed):
    """Return an address as proc(5) writes it: words of 32 bits in the order of this host."""
    return "".join("%08X" % int.from_bytes(packed[at:at + 4], sys.byteorder) for at in range(0, len(packed), 4))


def _listening(port):
    """Return [(address in hexadecimal, inode)] of all sockets that listen at a port."""
    found = []
    for name in ("tcp", "tcp6"):
        try:
            with open("/proc/net/" + name) as file:
                fields = [line.split() for line in file]
        except OSError:  # no /proc, no IPv6
            continue
        found += [(line[1].partition(":")[0], line[9]) for line in fields if line[3:4] == [_LISTENS] and int(line[1].partition(":")[2], 16) == port]
    return found


def _sockets(group):
    """Return the inodes (set of str) of the sockets that a process group has open, as far as they are ours to see."""
    found = set()
    try:
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return found
    for pid in pids:
        try:
            if os.getpgid(int(pid)) == group:
                folder = "/proc/%s/fd" % pid
                links = [os.readlink("%s/%s" % (folder, fd)) for fd in os.listdir(folder)]
                found.update(link[len("socket:["):-1] for link in links if link.startswith("socket:["))
        except OSError:
            continue  # it has ended, or is somebody else's
    return found
