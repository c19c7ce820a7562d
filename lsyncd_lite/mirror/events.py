"""What has happened and is still to be told: events in order, as far as order counts.

For those who act on *what* has happened (modes exec and script). Two events of one path
combine by a table. One that is related to an earlier one, of the same path or of one
above or below it, waits until that is done; all others may overtake each other. Adding
costs O(depth of the path) and the number of events it is related to, never O(length of
the queue). Knows nothing of files and jobs.
"""

import enum
import heapq
from collections import namedtuple

from lsyncd_lite.paths import split


class Kind(enum.Enum):
    """What has happened to a path, in lsyncd's words."""

    CREATE = "Create"    # it is there; a directory with all it holds, a file when it is written and closed
    MODIFY = "Modify"    # it was written
    ATTRIB = "Attrib"    # its mode, owner or times were set
    DELETE = "Delete"
    MOVE = "Move"        # from an origin within the same tree
    UNKNOWN = "Unknown"  # whether it is there has to be looked at: a creation or a deletion


# Something that has happened, as the watch tells it: a Kind, an absolute path, and whether that is, or was, a directory.
Seen = namedtuple("Seen", "kind path is_dir")

CREATE, MODIFY, ATTRIB, DELETE, MOVE, UNKNOWN = Kind

# (what waits, what comes) → what is left of them; a directory that is deleted and made again is both.
COMBINED = {
    (ATTRIB, ATTRIB): ATTRIB, (ATTRIB, MODIFY): MODIFY, (ATTRIB, CREATE): CREATE, (ATTRIB, DELETE): DELETE,
    (MODIFY, ATTRIB): MODIFY, (MODIFY, MODIFY): MODIFY, (MODIFY, CREATE): CREATE, (MODIFY, DELETE): DELETE,
    (CREATE, ATTRIB): CREATE, (CREATE, MODIFY): CREATE, (CREATE, CREATE): CREATE, (CREATE, DELETE): DELETE,
    (DELETE, ATTRIB): DELETE, (DELETE, MODIFY): DELETE, (DELETE, CREATE): CREATE, (DELETE, DELETE): DELETE,
    (ATTRIB, UNKNOWN): UNKNOWN, (MODIFY, UNKNOWN): UNKNOWN, (CREATE, UNKNOWN): UNKNOWN, (UNKNOWN, UNKNOWN): UNKNOWN,
    (UNKNOWN, ATTRIB): UNKNOWN, (UNKNOWN, MODIFY): UNKNOWN, (UNKNOWN, CREATE): UNKNOWN, (UNKNOWN, DELETE): DELETE,
}


class Event:
    """Something that has happened.

    kind: a Kind; path: relative bytes; origin: where a MOVE began, else None; is_dir;
    since: when it was told of first; due: when it may be taken (None: never); attempts:
    how often it has failed; found: it was met in a directory, not told of by the kernel;
    gone: its path was not there when it was taken.
    """

    __slots__ = ("kind", "path", "origin", "is_dir", "since", "due", "attempts", "found", "gone",
                 "order", "waits", "followers", "taken", "released", "era")

    def __init__(self, kind, path, is_dir, since, due, origin=None):
        self.kind = kind
        self.path = path
        self.origin = origin
        self.is_dir = is_dir
        self.since = since
        self.due = due
        self.attempts = 0
        self.found = self.gone = False
        self.order = None    # later ones have higher ones; None: it is not queued any more
        self.waits = 0       # for so many
        self.followers = []  # those that wait for it
        self.taken = self.released = False
        self.era = None      # of `Events` when it, or what has led to it, was told of

    @property
    def paths(self):
        """The paths that it is about."""
        return (self.path,) if self.origin is None else (self.origin, self.path)

    @property
    def is_patient(self):
        """Whether it has a reason of its own to wait."""
        return self.attempts > 0 or self.found or self.gone


class Events:
    """The events that are not known to be done. Times are seconds of the caller's clock."""

    def __init__(self):
        self._root = _Node()
        self._ready = []    # heap of (due, order) of those that wait for no other, and of some that do not count any more
        self._events = {}   # order → Event
        self._taken = 0
        self._order = 0
        self._era = 0
        self._eras = {}     # era → the number of its events that are not done

    def __len__(self):
        return len(self._events) - self._taken

    @property
    def since(self):
        """When the oldest was told of, None where there is none."""
        return next((event.since for event in self._events.values()), None)

    def mark(self):
        """Begin another era; return the number of the last."""
        self._era += 1
        return self._era - 1

    def is_over(self, era):
        """Tell whether all events of an era, and of those before, are done, with what they have led to."""
        return min(self._eras, default=era + 1) > era

    def __iter__(self):
        """Iterate over the Events, taken or not, in order."""
        return iter(self._events.values())

    def add(self, kind, path, is_dir, now, due, found=False, era=None):
        """Queue what has happened to a path; found: it was met in a directory; era: of the event that has led to it."""
        here = self._at(path)
        last = here[-1] if here and self._may_change(here[-1], is_dir) else None
        left = COMBINED.get((last.kind, kind)) if last is not None else None
        if left is None or is_dir and (last.kind, kind) == (DELETE, CREATE):
            if found and here:  # the kernel tells of the rest
                if here[0].kind in (ATTRIB, MODIFY) and not here[0].taken:
                    here[0].kind = CREATE
                return
            event = Event(kind, path, is_dir, now, due)
            event.found, event.era = found, era
        else:
            if last.found or last.gone:
                last.due, last.found, last.gone = due, found and last.found, False
            elif last.due is not None and not last.attempts:
                last.due = min(last.due, due)
            if left is not DELETE or last.kind is DELETE:
                last.kind = left
                self._offer(last)
                return
            self.done(last)  # a deletion comes after what has happened below
            event = Event(DELETE, path, is_dir, last.since, last.due)
            event.era = last.era
        if event.kind is DELETE and is_dir:
            self._turn_moves(path)
            if self._is_deleted(path):
                return
            self._drop(path, 0, (DELETE, MOVE))
        self._lead_to(path, now, due)
        self._insert(event)

    def _is_deleted(self, path):
        """Tell whether a deletion of a directory waits already, and forget what has happened below since."""
        here = self._at(path)
        if not here or here[-1].kind is not DELETE or not self._may_change(here[-1], True) or any(
                event.kind is MOVE for event in self._below(path)):
            return False
        self._drop(path, here[-1].order, ())
        return True

    def _turn_moves(self, path):
        """Make deletions of the renames into a directory that is deleted, maybe before it was made."""
        for event in self._below(path):
            if event.kind is MOVE and not event.taken and event.path.startswith(path + b"/"):
                self._forget(event.path, event)
                event.kind, event.path, event.origin = DELETE, event.origin, None

    def split(self, event, now, due):
        """Make of a rename that may have been done a deletion of its origin, in its place, and what is to be looked at."""
        place = event.path
        self._turn_moves(place)
        self._drop(place, event.order, (MOVE,))
        self._forget(place, event)
        event.kind, event.path, event.origin = DELETE, event.origin, None
        self.add(UNKNOWN, place, event.is_dir, now, due, era=event.era)
        for other in self._at(place)[-1:]:
            other.attempts = max(other.attempts, event.attempts)

    def is_doomed(self, event):
        """Tell whether a deletion waits of what an Event is about."""
        return any(other.kind is DELETE and other.order > event.order and not other.taken
                   for other in self._at(event.path) + self._above(event.path))

    def _drop(self, path, order, kept):
        """Forget what waits below a path and came after an order, but for some kinds."""
        for below in self._below(path):
            if not below.taken and below.order > order and below.kind not in kept:
                self.done(below)

    def _lead_to(self, path, now, due):
        """Queue the directories between one that is still to be told of and a path: these were not told of, either."""
        between, directory = [], split(path)[0]
        while directory:
            told = next((event for event in reversed(self._at(directory)) if event.kind in (CREATE, UNKNOWN)), None)
            if told is not None and self._may_change(told, True):
                for untold in reversed(between):
                    if not any(event.order > told.order for event in self._at(untold)):
                        self._insert(Event(CREATE, untold, True, now, due))
                return
            between.append(directory)
            directory = split(directory)[0]

    def _may_change(self, event, is_dir):
        """Tell whether an Event that waits can stand for what happens now, too, in its place in the order."""
        return (not event.taken and event.kind is not MOVE and event.is_dir == is_dir
                and not any(above.order > event.order and above.kind is not ATTRIB for above in self._above(event.path)))

    def add_move(self, origin, place, is_dir, now, due):
        """Queue a rename."""
        self._lead_to(place, now, due)
        self._insert(Event(MOVE, place, is_dir, now, due, origin))

    def is_clean(self, path):
        """Tell whether nothing is known that makes a path, or what is below it, another than it was last told."""
        return not self._below(path) and not any(event.kind in (CREATE, UNKNOWN, MOVE) for event in self._above(path))

    def next_due(self):
        """Return when the next may be taken; None: not before something happens."""
        while self._ready:
            due, order = self._ready[0]
            event = self._events.get(order)
            if event is not None and event.due == due and not event.taken and not event.waits:
                return due
            heapq.heappop(self._ready)  # it has another time by now, or waits, or is done
        return None

    def take(self, now, newest=False):
        """Return the first Event that may be taken, or None; it stays queued, and others wait for it.

        newest: rather the last one of those that were never tried.
        """
        due = self.next_due()
        if due is None or due > now:
            return None
        event = self._events[self._ready[0][1]]
        if newest:
            event = next((other for other in reversed(list(self)) if other.due is not None and other.due <= now
                          and not (other.taken or other.waits or other.attempts)), event)
        event.taken = True
        self._taken += 1
        return event

    def release(self, event):
        """Let others not wait for an Event that was taken, as they go with it."""
        for other in event.followers:
            other.waits -= 1
            if other.order is not None:
                self._offer(other)
        event.followers, event.released = [], True

    def done(self, event):
        """Forget an Event."""
        del self._events[event.order]
        self._taken -= event.taken
        event.order = None
        self._eras[event.era] -= 1
        if not self._eras[event.era]:
            del self._eras[event.era]
        for path in event.paths:
            self._forget(path, event)
        self.release(event)

    def put_back(self, events, due):
        """Let Events that were taken, and not done, wait again until a time (None: for ever)."""
        for event in sorted(events, key=lambda event: event.order):
            event.taken, event.due = False, due
            self._taken -= 1
            for path in event.paths:  # what was taken together waits for each other again
                for other in self._related(path):
                    if other.order < event.order and event not in other.followers[-1:]:
                        other.followers.append(event)
                        event.waits += 1
            if event.released:  # and what did not go with it, for it
                known = set(event.followers)
                for other in (other for path in event.paths for other in self._related(path)):
                    if other.order > event.order and not other.taken and other not in known:
                        known.add(other)
                        event.followers.append(other)
                        other.waits += 1
                event.released = False
            self._offer(event)

    def hurry(self, now, all_of_them=False):
        """Let wait no more what waits for its time only; all_of_them: whatever its reason."""
        for event in self:
            if not event.taken and (all_of_them or not event.is_patient) and (event.due is None or event.due > now):
                event.due = now
                self._offer(event)

    # ---- order -------------------------------------------------------------------------------

    def _insert(self, event):
        for path in event.paths:
            for other in self._related(path):
                if event not in other.followers[-1:]:
                    other.followers.append(event)
                    event.waits += 1
        self._order += 1
        event.order = self._order
        self._events[event.order] = event
        event.era = self._era if event.era is None else event.era
        self._eras[event.era] = self._eras.get(event.era, 0) + 1
        for path in event.paths:
            node = self._root
            for name in path.split(b"/"):
                node.count += 1
                below = node.names.get(name)
                if below is None:
                    below = node.names[name] = _Node()
                node = below
            node.count += 1
            node.events.append(event)
        self._offer(event)

    def _offer(self, event):
        if not event.waits and not event.taken and event.due is not None:
            heapq.heappush(self._ready, (event.due, event.order))

    def _forget(self, path, event):
        node, way = self._root, []
        for name in path.split(b"/"):
            way.append((node, name))
            node = node.names[name]
        node.events.remove(event)
        node.count -= 1
        for above, name in reversed(way):
            if not above.names[name].count:
                del above.names[name]
            above.count -= 1

    def _node(self, path):
        node = self._root
        for name in path.split(b"/"):
            node = node.names.get(name)
            if node is None:
                return None
        return node

    def _at(self, path):
        node = self._node(path)
        return node.events if node is not None else []

    def _below(self, path):
        """Return the Events of a path and of what is below it."""
        node = self._node(path)
        found, stack = [], [node] if node is not None else []
        while stack:
            node = stack.pop()
            found += node.events
            stack += node.names.values()
        return found

    def _above(self, path):
        """Return the Events of the directories that a path is in."""
        found = []
        path = split(path)[0]
        while path:
            found += self._at(path)
            path = split(path)[0]
        return found

    def _related(self, path):
        return self._above(path) + self._below(path)


class _Node:
    """A directory on the way to events, or where some are."""

    __slots__ = ("events", "names", "count")

    def __init__(self):
        self.events = []  # of this very path, in order
        self.names = {}
        self.count = 0    # of events here and below

