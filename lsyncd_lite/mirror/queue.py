"""The places that must be made equal again: a tree of names, at most one entry a path.

An entry is marks (see change.py) at a relative path; b"" is the root. A WHOLE entry
absorbs what is below it, and when there are more than BOUND entries, the deepest
directory that holds most of them becomes one WHOLE entry, so memory stays bounded.
Adding costs O(depth of the path), never O(length of the queue). Knows nothing of files,
limits of time or jobs; `since` is the time of the oldest change, as the caller told it.
"""

from lsyncd_lite.mirror.change import FRESH, NEW, WHOLE
from lsyncd_lite.paths import join

BOUND = 50000


class Queue:
    """Places with marks; `since` (seconds, None when empty) is when the oldest was added."""

    def __init__(self, bound=BOUND):
        self._bound = bound
        self.clear()

    def clear(self):
        """Forget everything."""
        self._root = _Node(None)
        self.since = None

    def __len__(self):
        return self._root.count

    def add(self, path, marks, now):
        """Queue a relative path (bytes; b"": the root) with marks at a time in seconds."""
        if self.since is None or now < self.since:
            self.since = now
        node, way = self._root, [self._root]
        names = path.split(b"/") if path else ()
        last = len(names) - 1
        for depth, name in enumerate(names):
            if node.is_whole():
                node.marks |= marks & FRESH
                return
            below = node.names.get(name)
            if not isinstance(below, _Node):
                if depth == last:
                    node.names[name] = marks | (below or 0)
                    added = below is None
                    break
                below = node.names[name] = _Node(below)
            node = below
            way.append(node)
        else:
            added = node.mark(marks)
        if not added:
            return
        for node in way:
            node.count += added
        if self._root.count > self._bound:
            self._collapse()

    def _collapse(self):
        """Make the deepest directory that holds more than half of all entries one entry."""
        way, node = [], self._root
        while node is not None:
            way.append(node)
            node = next((below for below in node.names.values()
                         if isinstance(below, _Node) and below.count > self._root.count // 2), None)
        change = way[-1].mark(WHOLE)
        for node in way:
            node.count += change

    def is_whole(self):
        """Tell whether the root itself is queued with everything below it."""
        return self._root.is_whole()

    def entries(self):
        """Return a list of (path, marks), parents before what they hold."""
        return self._root.entries(b"")

    def take(self, wanted=None):
        """Take out the entries for which wanted(path) is true (None: all); return (path, marks)s.

        What stays keeps `since`.
        """
        taken, since = self.entries(), self.since
        self.clear()
        if wanted is not None:
            chosen = [wanted(path) for path, _marks in taken]
            self.put_back([entry for entry, yes in zip(taken, chosen) if not yes], since)
            taken = [entry for entry, yes in zip(taken, chosen) if yes]
        return taken

    def put_back(self, entries, since):
        """Merge entries that were taken out with what has come in between."""
        for path, marks in entries:
            self.add(path, marks, since)

    def covering(self, path):
        """Return the marks of the entry at a path, or of one above it that is WHOLE; None if there is none."""
        node, above = self._find(path)
        return above if above is not None else node.marks if isinstance(node, _Node) else node

    def below(self, path):
        """Return a list of (path below it, marks) of the entries at a path (b"") and below it."""
        node, _above = self._find(path)
        return node.entries(b"") if isinstance(node, _Node) else [(b"", node)] if node is not None else []

    def graft(self, origin, place):
        """Take over what is queued at and below one path for another, to which it was renamed.

        It stays where it was, too: what is queued there may be of something new. Nothing
        at the place is NEW any more.
        """
        node, way = self._root, []
        for name in place.split(b"/"):
            if node.marks is not None:
                node.marks &= ~NEW
            way.append((node, name))
            node = node.names.get(name)
            if not isinstance(node, _Node):
                break
        if isinstance(node, _Node):
            node.clear_new()
        elif node is not None:
            way[-1][0].names[way[-1][1]] = node & ~NEW
        for inside, marks in self.below(origin):
            self.add(join(place, inside), marks & ~NEW, self.since)

    def related(self, path):
        """Tell whether an entry is at the path, below it, or above it with all it holds."""
        node, above = self._find(path)
        return above is not None or (node.count > 0 if isinstance(node, _Node) else node is not None)

    def _find(self, path):
        """Return (the _Node or marks at a path, or None; the marks of an entry above it that is WHOLE, or None)."""
        node = self._root
        for name in path.split(b"/") if path else ():
            above = node.marks if isinstance(node, _Node) else node
            if above is not None and above & WHOLE:
                return None, above
            if not isinstance(node, _Node):
                return None, None
            node = node.names.get(name)
        return node, None


class _Node:
    """A directory on the way to entries, maybe an entry itself."""

    __slots__ = ("marks", "names", "count")

    def __init__(self, marks):
        self.marks = marks  # None: no entry
        self.names = {}  # name → _Node, or just the marks of an entry with nothing below it
        self.count = 0 if marks is None else 1  # entries here and below

    def is_whole(self):
        return self.marks is not None and self.marks & WHOLE

    def entries(self, start):
        found, stack = [], [(start, self)]
        while stack:
            path, node = stack.pop()
            if not isinstance(node, _Node):
                found.append((path, node))
                continue
            if node.marks is not None:
                found.append((path, node.marks))
            prefix = path + b"/" if path else b""
            stack += [(prefix + name, below) for name, below in node.names.items()]
        return found

    def clear_new(self):
        stack = [self]
        while stack:
            node = stack.pop()
            if node.marks is not None:
                node.marks &= ~NEW
            for name, below in node.names.items():
                if isinstance(below, _Node):
                    stack.append(below)
                else:
                    node.names[name] = below & ~NEW

    def mark(self, marks):
        """Make this an entry; return by how much its count has to change."""
        count = self.count + (self.marks is None)
        self.marks = marks | (self.marks or 0)
        if self.is_whole():
            self.marks |= self._fresh_below()
            self.names = {}
            count = 1
        return count - self.count

    def _fresh_below(self):
        """Return FRESH if an entry below carries it and is not NEW, else 0."""
        stack = [self]
        while stack:
            for below in stack.pop().names.values():
                if not isinstance(below, _Node):
                    marks = below
                else:
                    stack.append(below)
                    marks = below.marks or 0
                if marks & (FRESH | NEW) == FRESH:
                    return FRESH
        return 0
