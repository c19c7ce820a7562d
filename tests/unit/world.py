"""Hand-made surroundings for what decides: a source that is a dictionary, the configuration of a pair."""

import stat
from types import SimpleNamespace

from lsyncd_lite.config import settings
from lsyncd_lite.config.config import SyncConfig
from lsyncd_lite.mirror.filters import Filter


def config(rsync=None, rules=(), extra_rules=(), **keys):
    """Return the SyncConfig of /src → /dst/ with all defaults but the given ones; rsync: a dict for its table."""
    values = {name: key.default for name, key in settings.scope("sync").items()}
    table = {name[len("rsync."):]: value for name, value in values.items() if name.startswith("rsync.")}
    table.update(rsync or {})
    plain = {name: value for name, value in values.items() if "." not in name}
    plain.update({"name": "www", "source": b"/src", "target": b"/dst/", "local": True,
                  "rules": tuple(rules), "extra_rules": tuple(extra_rules)})
    plain.update(keys)
    return SyncConfig(rsync=SimpleNamespace(**table), **plain)


def file(mtime=0, size=1, nlink=1):
    return SimpleNamespace(st_mode=stat.S_IFREG | 0o644, st_mtime=mtime, st_size=size, st_nlink=nlink)


def thing(kind):
    """kind: stat.S_IFDIR, S_IFLNK, S_IFIFO …"""
    return SimpleNamespace(st_mode=kind | 0o755, st_mtime=0, st_size=1, st_nlink=2 if kind == stat.S_IFDIR else 1)


DIRECTORY, LINK, FIFO = thing(stat.S_IFDIR), thing(stat.S_IFLNK), thing(stat.S_IFIFO)


class Source:
    """What system.source.Source tells of a disk, out of {relative path: facts}."""

    def __init__(self, files, there=True):
        self.files = files
        self.there = there

    def lstat(self, path):
        return self.files.get(path) if path else DIRECTORY if self.there else None

    def is_directory(self):
        return self.there

    def is_empty(self):
        return not self.files

    def directories(self, path):
        return [path] + sorted(name for name, facts in self.files.items()
                               if name.startswith(path + b"/") and stat.S_ISDIR(facts.st_mode))


def filter_of(job, side="sender"):
    """Return the Filter that rsync makes of a job's argv and input, in rsync's order, on one side.

    side: "sender" or "receiver"; "R" (risk) is "+" for the receiver and nothing for the sender.
    """
    rules = []
    for word in job.argv:
        option, _equals, value = word.partition(b"=")
        if option in (b"--include-from", b"--exclude-from", b"--filter") and value in (b"-", b". -", b"merge -"):
            sign = b"+ " if option == b"--include-from" else b"- "
            for line in job.stdin.split(b"\0")[:-1]:
                if line[:2] != b"R ":
                    rules.append(line if line[:2] in (b"+ ", b"- ") else sign + line)
                elif side == "receiver":
                    rules.append(b"+ " + line[2:])
        elif option == b"--filter":
            rules.append(value)
        elif option in (b"--include", b"--exclude"):
            rules.append((b"+ " if option == b"--include" else b"- ") + value)
    return Filter([(chr(rule[0]), rule[2:], "") for rule in rules])
