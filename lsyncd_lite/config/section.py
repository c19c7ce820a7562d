"""What a reader hands over: sections with raw values, and where each was read."""

from collections import namedtuple

# kind: "settings" or "sync"; where: text for an error about the whole section;
# entries: list of Entry
Section = namedtuple("Section", "kind where entries")

# key: full name ("delay", "rsync.archive"); raw: str, or what JSON made of it; where: text for
# an error about this entry, its key included; written: the raw value before anything was put into
# it, None: nothing was; is_refused: that was not possible, which is a finding already
Entry = namedtuple("Entry", "key raw where written is_refused", defaults=(None, False))
