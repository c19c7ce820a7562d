"""What a reader hands over: sections with raw values, and where each was read."""

from collections import namedtuple

# kind: "settings" or "sync"; where: text for an error about the whole section;
# entries: list of Entry
Section = namedtuple("Section", "kind where entries")

# key: full name ("delay", "rsync.archive"); raw: str, or what JSON made of it;
# where: text for an error about this entry, its key included
Entry = namedtuple("Entry", "key raw where")
