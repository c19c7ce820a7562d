"""The inotify instances of the process: a tree has one of its own until there are many trees, then some share one.

The limit of instances (fs.inotify.max_user_instances, 128) is for all programs of a user. Knows nothing of
directories but which wds are whose. The kernel gives one wd for a directory that two trees of an instance watch.
"""

import os
import struct

from lsyncd_lite.watch.inotify import Inotify

MOST = 32  # instances for trees with the same mask, a quarter of the default limit: what overflows one overflows no other

_HEADER = struct.Struct("i8xI")
_instances = []  # of the process, as the limit does not know of its parts


def port(mask, known):
    """Return a Port for a tree, of the instance with the fewest; raise OSError: EMFILE when there is none and no new one, or no descriptor.

    mask: that of all its watches (two masks for one wd would add up); known: a container of the tree's wds,
    in which a wd is from when it is added, before more is read, until it is removed.
    """
    same = [shared for shared in _instances if shared.mask == mask]
    if len(same) < MOST:
        try:
            shared = _Shared(mask)
        except OSError:
            if not same:
                raise
        else:
            same = [shared]
    return Port(min(same, key=lambda shared: len(shared.ports)), known)


class _Shared:
    """An instance with the ports that share it; it closes with the last."""

    def __init__(self, mask):
        self.mask = mask
        self.inotify = Inotify()
        self.ports = []

    def drain(self):
        """Read all that waits and put it where it belongs."""
        for data in iter(self.inotify.read, b""):
            if len(self.ports) == 1:
                self.ports[0].waiting.append(data)
                continue
            offset, owners = 0, {}
            while offset < len(data):
                wd, length = _HEADER.unpack_from(data, offset)
                end = offset + 16 + length
                if wd not in owners:  # an overflow (-1) is everybody's
                    owners[wd] = [port for port in self.ports if wd < 0 or wd in port.known]
                for port in owners[wd]:
                    port.waiting.append(data[offset:end])
                offset = end


class Port:
    """What a tree has of an instance: as an Inotify, but `fd` is readable also when all is for others, and `waiting`
    (a list of bytes) may hold something when it is not, as reading one port reads for all.
    """

    def __init__(self, shared, known):
        self.known = known
        self.waiting = []
        self.add = shared.inotify.add
        self._shared = shared
        try:
            self.fd = os.dup(shared.inotify.fd)  # whoever waits for one descriptor twice would need to know it
        except OSError:
            if not shared.ports:
                shared.inotify.close()
            raise
        if not shared.ports:
            _instances.append(shared)
        shared.ports.append(self)

    def remove(self, wd):
        """Stop watching, unless it is watched for another one."""
        if not any(wd in port.known for port in self._shared.ports if port is not self):
            self._shared.inotify.remove(wd)

    def read(self):
        """Return the bytes of all events that wait; b"" if there are none."""
        self._shared.drain()
        data = b"".join(self.waiting)
        self.waiting.clear()
        return data

    def close(self):
        """Give up all watches that nobody else has."""
        shared = self._shared
        os.close(self.fd)
        for wd in self.known if len(shared.ports) > 1 else ():
            self.remove(wd)
            shared.drain()  # the events about what is removed would fill the queue
        shared.ports.remove(self)
        if not shared.ports:
            _instances.remove(shared)
            shared.inotify.close()
