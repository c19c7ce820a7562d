"""What is not known to be on the targets, kept in a directory from one run to the next.

A file for each pair holds records of fields and says whether the run that wrote it has
come to its end: after one that has not, nobody knows what is missing. One that is
damaged, or of another version, is as good as that. Knows nothing of what records mean.
"""

import binascii
import os
import re

from lsyncd_lite.errors import Fatal, reason
from lsyncd_lite.paths import show, to_bytes
from lsyncd_lite.system import atomic

_MAGIC = b"lsyncd-lite state 1"
_LARGEST = 1 << 28  # bytes


class State:
    """The files of one directory (absolute bytes), which is made if only it is missing."""

    def __init__(self, directory):
        """Raise Fatal when it cannot be used."""
        self._directory = directory
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise Fatal("cannot make the state directory %s: %s" % (show(directory), reason(error))) from None
        if not os.path.isdir(directory) or not os.access(directory, os.W_OK | os.X_OK):
            raise Fatal("cannot write to the state directory %s" % show(directory))

    def _path(self, config):
        """Return the file of a pair: readable, and another one for each."""
        name = re.sub("[^A-Za-z0-9._-]", "_", config.name)[:60].lstrip(".") or "_"
        return os.path.join(self._directory, b"%s-%08x" % (to_bytes(name), binascii.crc32(b"\0".join([to_bytes(config.name), *_identity(config)]))))

    def load(self, config):
        """Return (records, whether nothing else is missing) of the pair of a SyncConfig; None without a file.

        records: list of tuples of bytes. Where the pair had another name or mode, what it has left cannot
        be used: no records, and something is missing. Raises OSError.
        """
        try:
            data = _read(self._path(config))
        except FileNotFoundError:
            return self._renamed(config)
        try:
            return _decode(data, _identity(config))
        except ValueError:
            return [], False

    def _renamed(self, config):
        """Return what `load` does where there is no file of the pair."""
        for name in os.listdir(self._directory):
            try:
                data = _read(os.path.join(self._directory, name))
                identity = data.split(b"\0", 4)[1:4]
                if identity[1:] == _identity(config)[1:] and _decode(data, identity) != ([], True):
                    return [], False
            except (OSError, ValueError):
                pass  # none of ours
        return None

    def save(self, config, records, ended):
        """Keep the records (tuples of bytes) of a pair; ended: there will be no others. Raises OSError."""
        fields = [_MAGIC, *_identity(config), b"ended" if ended else b"running"]
        for record in records:
            fields += [b"%d" % len(record), *record]
        body = b"".join([field + b"\0" for field in fields])
        atomic.write(self._path(config), body + b"%08x\n" % binascii.crc32(body), durable=True)

    def forget(self, config):
        """Remove the file of a pair."""
        try:
            os.unlink(self._path(config))
        except OSError:
            pass  # it is not there, or nobody can write here, which whoever wants to will tell


def _identity(config):
    """Return what has to be the same in the next run."""
    return [to_bytes(config.mode), config.source, config.target]


def _read(path):
    """Return the bytes of a file, none of somebody else's; raise OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        return file.read(_LARGEST + 1) if os.fstat(fd).st_uid in (0, os.geteuid()) else b""


def _decode(data, identity):
    """Return what `load` does; raise ValueError for what `save` has not written."""
    body, check = data[:-9], data[-9:]
    magic, mode, source, target, end, *fields = body.split(b"\0")
    if check != b"%08x\n" % binascii.crc32(body) or magic != _MAGIC or [mode, source, target] != identity:
        raise ValueError
    records, at = [], 0
    while at < len(fields) - 1:  # the last is what stands behind the last NUL
        count = int(fields[at])
        records.append(tuple(fields[at + 1:at + 1 + count]))
        at += 1 + count
    return records, end == b"ended"
