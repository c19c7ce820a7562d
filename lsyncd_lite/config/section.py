"""What a reader hands over: sections with raw values, and where each was read."""

from collections import namedtuple

# kind: "settings" or "sync"; where: text for an error about the whole section;
# entries: list of Entry; line: where it begins in its file; last: where it ends (None: not known)
Section = namedtuple("Section", "kind where entries line last", defaults=(None, None))

# key: full name ("delay", "rsync.archive"); raw: str, or what JSON or Lua made of it (bool, int,
# float, list of these and str); where: text for an error about this entry, its key included;
# written: the raw value before anything was put into it, None: nothing was; is_refused: that was
# not possible, which is a finding already; line: where it stands in its file; first, last: the lines
# of what it holds, which Lua can have elsewhere (None: not known); is_indented: its lines are a part of
# it because they were indented
Entry = namedtuple("Entry", "key raw where written is_refused line first last is_indented", defaults=(None, False, None, None, None, False))

# What a reader makes of a text. errors, warnings: lists of lines for people; comments: [(line, text
# without its mark)] in order; is_literal: "${" in a value is just that
Reading = namedtuple("Reading", "sections errors warnings comments is_literal", defaults=((), (), (), False))
