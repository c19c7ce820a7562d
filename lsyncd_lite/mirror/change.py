"""What is known of a change when it reaches a sync, and how the queue remembers it.

A queued change is a place: this path must be made equal again. The marks say how:

PLACE   the path itself; a directory: its attributes only
WHOLE   and everything below it
FRESH   its content may be another, even if size and time look the same
NEW     the target has nothing here yet: nothing there can look the same
LITTER  a directory may hold on the target what somebody left there who was killed

Marks combine by "|". What the watch tells of one read is {directory: {name: (marks,
is_dir)}}: absolute directories, each with the names in it (b"": the directory itself)
and whether what has changed was a directory (True, False; None: it was both). Renames
within the tree stand between these, in order, as Moves where somebody wants them, and so
does Seen (see events.py), which tells what has happened to a path, for those who act on that.
"""

PLACE, WHOLE, FRESH, NEW, LITTER = 0, 1, 2, 4, 8


def words_for(marks):
    """Return what marks say, for the log."""
    found = [word for mark, word in ((WHOLE, "whole"), (FRESH, "fresh"), (NEW, "new"), (LITTER, "litter")) if marks & mark]
    return ", ".join(found) or "place"
