"""Hand-made surroundings for what decides: a source that is a dictionary, the configuration of a pair."""

import stat
from types import SimpleNamespace

from lsyncd_lite.config import settings
from lsyncd_lite.config.config import SyncConfig
from lsyncd_lite.mirror.filters import Filter


def config(rules=(), extra_rules=(), mode="rsync", rsync=None, ssh=None, xargs=None, direct=None, onBatch=None, tunnel=None, **keys):
    """Return the SyncConfig of /src → /dst/ with all defaults of its mode but the given ones; a dict for a table."""
    values = settings.defaults(mode)
    given = {"rsync": rsync, "ssh": ssh, "xargs": xargs, "direct": direct, "onBatch": onBatch, "tunnel": tunnel}
    tables = {table: SimpleNamespace(**dict({name.partition(".")[2]: value for name, value in values.items()
                                             if name.startswith(table + ".")}, **given[table] or {}))
              for table in settings.TABLES}
    if tables["rsync"].archive:
        vars(tables["rsync"]).update({name: True for name in settings.ARCHIVE if name not in (rsync or {})})
    plain = {name: value for name, value in values.items() if "." not in name}
    plain.update({"name": "www", "mode": mode, "source": b"/src", "target": b"/dst/", "local": True,
                  "rules": tuple(rules), "extra_rules": tuple(extra_rules)})
    return SyncConfig(**dict(plain, **tables, **keys))


def file(mtime=0, size=1, nlink=1, ctime=None):
    return SimpleNamespace(st_mode=stat.S_IFREG | 0o644, st_mtime=mtime, st_ctime=mtime if ctime is None else ctime, st_mtime_ns=int(mtime * 1e9), st_size=size, st_nlink=nlink)


def thing(kind):
    """kind: stat.S_IFDIR, S_IFLNK, S_IFIFO …"""
    return SimpleNamespace(st_mode=kind | 0o755, st_mtime=0, st_mtime_ns=0, st_size=1, st_nlink=2 if kind == stat.S_IFDIR else 1)


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

    def names(self, path):
        return sorted((name[len(path) + 1:], stat.S_ISDIR(facts.st_mode)) for name, facts in self.files.items()
                      if name.startswith(path + b"/") and b"/" not in name[len(path) + 1:])

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
