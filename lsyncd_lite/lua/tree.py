"""The tree of a text of Lua, what its nodes are called in errors, and how deep they may be.

Names are resolved in it: a Local has a slot in the frame of its function; what an inner function uses
of an outer one is an Upvalue.

Kinds of nodes and their parts. Expressions:
  constant value · vararg · local Local · upvalue Upvalue · global name · parens node · function Function
  index object key · call function [arguments] · method object name [arguments]
  and, or left right · not, negative, length operand · concat [operands]
  arithmetic, compare sign left right · table [(line, key node or None, value node)]
Statements, beside call and method:
  assign [targets] [values] · declare [Locals] [values] · declare function Local node
  do [body] · while condition [body] · repeat [body] condition · if [(condition, [body])] [else body]
  for Local first last step-or-None [body] · in [Locals] [values] [body] · return [values] · break
"""

import resource
import sys
from collections import namedtuple
from contextlib import contextmanager

from lsyncd_lite.lua.values import LuaError
from lsyncd_lite.paths import show

LEVELS = 200       # of a tree: what is deeper can even end Python when it is thrown away
_MOST_LOCALS = 200
_LONGEST = 60      # bytes of a name in an error
_FRAMES = 2000     # of Python: nesting and recursion end there
_FRAME = 1024      # bytes of the stack: no release of Python takes as much for a frame, on average

# main: Function of the whole text, its body None where parsing ended early; comments: [(line, text as
# bytes without its mark)]; errors: [(line, words)] in order
Chunk = namedtuple("Chunk", "main comments errors")
# depth: of the tree below it, itself included
Node = namedtuple("Node", "kind line parts depth")
# index: among the upvalues of its function
Upvalue = namedtuple("Upvalue", "index name")


class Local:
    """A local variable. slot: in the frame of its function; is_captured: an inner function uses it, too."""

    __slots__ = ("name", "slot", "is_captured")

    def __init__(self, name, slot):
        self.name = name
        self.slot = slot
        self.is_captured = False


class Function:
    """A function: its variables and its body.

    size: slots that its locals need; sources: what its upvalues are in the function around it
    (Local or Upvalue → index); varargs: the Local that holds them as a tuple, or None.
    """

    def __init__(self, outer, line):
        self.outer = outer
        self.line = line
        self.parameters = []
        self.varargs = None
        self.body = None
        self.size = 0
        self.sources = {}
        self.scopes = [{}]
        self._used = 0

    def declare(self, name):
        """Make a Local that is known from here to the end of its block. Raises LuaError without a line."""
        if self._used == _MOST_LOCALS:
            raise LuaError("more than %d local variables in one function" % _MOST_LOCALS)
        local = Local(name, self._used)
        self._used += 1
        self.size = max(self.size, self._used)
        self.scopes[-1][name] = local
        return local

    @contextmanager
    def scope(self):
        """Forget, at the end, what was declared within."""
        used = self._used
        self.scopes.append({})
        yield
        self.scopes.pop()
        self._used = used

    def find(self, name):
        """Return the Local or Upvalue of a name, or None: a global."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        source = self.outer and self.outer.find(name)
        if source is None:
            return None
        if isinstance(source, Local):
            source.is_captured = True
        return Upvalue(self.sources.setdefault(source, len(self.sources)), name)


def name_of(node, levels=3):
    """Return what the program calls the value of an expression, for errors, or None."""
    if node is None or not levels:
        return None
    if node.kind == "parens":
        return name_of(node.parts[0], levels)
    if node.kind == "global":
        return show(node.parts[0][:_LONGEST])
    if node.kind in ("local", "upvalue"):
        return show(node.parts[0].name[:_LONGEST])
    if node.kind == "index":
        owner, key = name_of(node.parts[0], levels - 1), node.parts[1]
        if key.kind == "constant" and isinstance(key.parts[0], bytes):
            return "field %s%s" % (show(key.parts[0][:_LONGEST]), " of " + owner if owner else "")
        return "a field of " + owner if owner else None
    if node.kind == "call":
        name = name_of(node.parts[0], levels)
        return "the result of " + name if name else None
    return "the result of " + show(node.parts[1][:_LONGEST]) if node.kind == "method" else None


@contextmanager
def python_frames():
    """Let Python go, within, as deep as the stack that it has allows: what goes deeper is a RecursionError, and no crash."""
    before, size = sys.getrecursionlimit(), resource.getrlimit(resource.RLIMIT_STACK)[0]
    sys.setrecursionlimit(_FRAMES if size == resource.RLIM_INFINITY else min(_FRAMES, size // _FRAME))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def depth_of(part):
    """Return the depth of a part of a node: a node, lists of them, or what is neither."""
    if isinstance(part, Node):
        return part.depth
    return max(map(depth_of, part), default=0) if isinstance(part, (list, tuple)) else 0
