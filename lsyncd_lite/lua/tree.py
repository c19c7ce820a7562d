"""The tree of a text of Lua. Pure data.

Names are resolved in it: a Local has a slot in the frame of its function; what an inner function uses
of an outer one is an Upvalue.

Kinds of nodes and their parts. Expressions:
  constant value · vararg · local Local · upvalue Upvalue · global name · parens node · function Function
  index object key · call function [arguments] · method object name [arguments]
  and, or left right · not, negative, complement, length operand · concat [operands]
  arithmetic, compare sign left right · table [(line, key node or None, value node)]
Statements, beside call and method:
  assign [targets] [values] · declare [Locals] [values] · declare function Local node
  do [body] · while condition [body] · repeat [body] condition · if [(condition, [body])] [else body]
  for Local first last step-or-None [body] · in [Locals] [values] [body] · return [values] · break
"""

import sys
from collections import namedtuple
from contextlib import contextmanager

from lsyncd_lite.lua.values import LuaError

LEVELS = 150      # of a tree, and of the grammar
FRAMES = 4000     # of Python, what that many levels need and more
_MOST_LOCALS = 200

# main: Function of the whole text, its body None where parsing ended early; comments: [(line, text as
# bytes without its mark)]; errors: [(line, words)] in order
Chunk = namedtuple("Chunk", "main comments errors")
Chunk.body = property(lambda chunk: chunk.main.body)
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


@contextmanager
def deep_python(frames=FRAMES):
    """Allow Python that many more frames than it has, within."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + frames)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def depth_of(part):
    """Return the depth of a node, or of the deepest one in lists of them."""
    if isinstance(part, Node):
        return part.depth
    return max(map(depth_of, part), default=0) if isinstance(part, (list, tuple)) else 0
