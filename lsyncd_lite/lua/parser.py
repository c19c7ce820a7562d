"""Text of Lua → tree, with all its findings. Knows nothing of values.

Source: the reference manual of Lua 5.3, §3.2 to §3.5 and its grammar, §9. What an administrator
easily gets wrong is found as what it is (a missing comma, = for ==), and where that leaves no doubt
about the rest, parsing goes on, so that all of them are told at once. The first finding that leaves
doubt ends it.

Names are resolved here: a Local has a slot in the frame of its function; what an inner function uses
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

from lsyncd_lite.lua import mistakes
from lsyncd_lite.lua.lexer import KEYWORDS, Lexer, Token
from lsyncd_lite.lua.values import LuaError

LEVELS = 150      # of a tree, and of the grammar
_FRAMES = 4000    # of Python, what that many levels need and more

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
    (Local or Upvalue); varargs: the Local that holds them as a tuple, or None.
    """

    def __init__(self, outer, line):
        self.outer = outer
        self.line = line
        self.name = None
        self.parameters = []
        self.varargs = None
        self.body = None
        self.size = 0
        self.sources = []
        self.scopes = [{}]
        self._used = 0

    def declare(self, name):
        """Make a Local that is known from here to the end of its block."""
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
        if source not in self.sources:
            self.sources.append(source)
        return Upvalue(self.sources.index(source), name)


# operator → (how strongly it holds what is left of it, and right of it)
PRIORITIES = {
    "or": (1, 1), "and": (2, 2),
    "<": (3, 3), ">": (3, 3), "<=": (3, 3), ">=": (3, 3), "~=": (3, 3), "==": (3, 3), "!=": (3, 3),
    "|": (4, 4), "~": (5, 5), "&": (6, 6), "<<": (7, 7), ">>": (7, 7), "..": (9, 9),  # a row of .. is one node
    "+": (10, 10), "-": (10, 10), "*": (11, 11), "/": (11, 11), "//": (11, 11), "%": (11, 11), "^": (14, 13),
}
UNARY = {"not": "not", "-": "negative", "#": "length", "~": "complement"}
_UNARY_PRIORITY = 12
_COMPARING = frozenset(("<", ">", "<=", ">=", "~=", "=="))
_CONSTANTS = {"nil": None, "true": True, "false": False}
_BLOCK_ENDS = frozenset(("end", "else", "elseif", "until", "end of file"))
_ARGUMENTS = frozenset(("(", "{", "string"))


@contextmanager
def deep_python(frames=_FRAMES):
    """Allow Python that many more frames than it has, within."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + frames)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def parse(source):
    """Return the Chunk of a text (bytes)."""
    parser = _Parser(source)
    with deep_python():
        try:
            parser.chunk()
        except LuaError as error:
            parser.errors.append((error.line, error.words))
            parser.main.body = None
    return Chunk(parser.main, parser.lexer.comments, sorted(parser.errors, key=lambda error: error[0]))


class _Parser:

    def __init__(self, source):
        self.lexer = Lexer(source)
        self.errors = []  # (line, words)
        self.main = self.function = Function(None, 1)
        self.main.varargs = self.main.declare(b"...")
        self.before = self.token = Token("begin of file", None, 1, 0, 0, 1)
        self.ahead = []      # tokens behind self.token
        self.level = 0       # of the grammar
        self.loops = 0       # around the statement, in its function
        self.open = []       # (word, line) of what must be closed
        self.else_if = None  # the line of the last "else if"
        self.slashes = None  # the line of the last //

    # Tokens

    def advance(self):
        """Go to the next token and return the one before it."""
        self.before = self.token
        self.token = self.ahead.pop(0) if self.ahead else self.lexer.next()
        return self.before

    def peek(self, count=1):
        """Return a token behind self.token."""
        while len(self.ahead) < count:
            self.ahead.append(self.lexer.next())
        return self.ahead[count - 1]

    def accept(self, kind):
        """Step over a token of a kind; return None where there is another."""
        return self.advance() if self.token.kind == kind else None

    def expect(self, kind, why):
        """Step over a token of a kind, or raise LuaError."""
        if self.token.kind != kind:
            raise LuaError(mistakes.missing(kind, self.before, self.token, why), self.before.last)
        return self.advance()

    def close(self, kind):
        """Step over what closes the last thing that was opened, or raise LuaError."""
        if self.token.kind != kind:
            line = self.before.last if self.token.kind == "end of file" else self.token.line
            raise LuaError(mistakes.unclosed(kind, self.token, *self.open[-1], self.else_if), line)
        self.open.pop()
        return self.advance()

    def note(self, words, line=None):
        """Keep a finding after which parsing goes on."""
        self.errors.append((self.token.line if line is None else line, words))

    def step_over_comments(self, is_field=False):
        """Step over comments of other languages: where a statement or a field begins, # and // are such."""
        while self.token.kind == "//" or self.token.kind == "#" and not (is_field and mistakes.is_length(self.lexer.text, self.token)):
            self.note("a comment begins with --, not with %s" % self.token.kind)
            self.lexer.skip_line(self.token)
            self.ahead.clear()
            self.token = self.lexer.next()

    def node(self, kind, line, *parts):
        """Return a Node. Raises LuaError where the tree is too deep."""
        depth = 1 + _depth(parts)
        if depth > LEVELS:
            raise LuaError("nested too deeply", line)
        return Node(kind, line, parts, depth)

    def enter(self):
        self.level += 1
        if self.level > LEVELS:
            raise LuaError("nested too deeply", self.token.line)

    # Statements

    def chunk(self):
        self.advance()
        body = self.block()
        if self.token.kind != "end of file":
            raise LuaError(mistakes.closes_nothing(self.token), self.token.line)
        self.main.body = body

    def block(self):
        """Return the statements up to what ends a block; the scope is the caller's."""
        statements = []
        self.step_over_comments()
        while self.token.kind not in _BLOCK_ENDS:
            if self.token.kind == "return":
                statements.append(self.return_())
                break
            if not self.accept(";"):
                self.enter()
                statements.append(_STATEMENTS.get(self.token.kind, _Parser.expression_statement)(self))
                self.level -= 1
            self.step_over_comments()
        return statements

    def scoped_block(self):
        with self.function.scope():
            return self.block()

    def opened(self):
        """Step over a keyword that an end will close; return its token."""
        self.open.append((self.token.kind, self.token.line))
        return self.advance()

    def return_(self):
        line = self.advance().line
        values = [] if self.token.kind in _BLOCK_ENDS or self.token.kind == ";" else self.expressions()
        self.accept(";")
        self.step_over_comments()
        if self.token.kind not in _BLOCK_ENDS:
            raise LuaError(mistakes.behind_return(self.token, self.open), self.token.line)
        return self.node("return", line, values)

    def break_(self):
        line = self.advance().line
        if not self.loops:
            raise LuaError("break stands in no loop", line)
        return self.node("break", line)

    def goto_(self):
        raise LuaError("goto is not read here: write a loop, or if … then … end", self.token.line)

    def label(self):
        raise LuaError("labels (::…::) and goto are not read here: write a loop, or if … then … end", self.token.line)

    def do_(self):
        line = self.opened().line
        body = self.scoped_block()
        self.close("end")
        return self.node("do", line, body)

    def while_(self):
        line = self.opened().line
        condition = self.condition("do", "while")
        body = self.loop_body()
        self.close("end")
        return self.node("while", line, condition, body)

    def loop_body(self):
        self.loops += 1
        body = self.scoped_block()
        self.loops -= 1
        return body

    def repeat_(self):
        line = self.opened().line
        with self.function.scope():  # the condition sees the locals of the body
            self.loops += 1
            body = self.block()
            self.loops -= 1
            self.close("until")
            condition = self.comparison()
        return self.node("repeat", line, body, condition)

    def condition(self, behind, word):
        condition = self.comparison()
        self.expect(behind, "behind the condition of %s" % word)
        return condition

    def comparison(self):
        """Return an expression that is a condition, so that = means ==."""
        left = self.expression()
        if self.token.kind != "=":
            return left
        self.note("equal is written == (one = sets a value)")
        line = self.advance().line
        return self.node("compare", line, "==", left, self.expression())

    def if_(self):
        if self.before.kind == "else" and self.before.line == self.token.line:
            self.else_if = self.token.line
        token = self.opened()
        clauses = [(self.condition("then", "if"), self.scoped_block())]
        otherwise = []
        while self.accept("elseif"):
            clauses.append((self.condition("then", "elseif"), self.scoped_block()))
        if self.accept("else"):
            otherwise = self.scoped_block()
        self.close("end")
        return self.node("if", token.line, clauses, otherwise)

    def for_(self):
        line = self.opened().line
        names = self.names()
        if len(names) == 1 and self.accept("="):
            limits = self.expressions()
            if not 2 <= len(limits) <= 3:
                raise LuaError("for %s = needs two or three values: first, last and step" % mistakes.word(names[0]), line)
            parts = [*limits, None][:3]
            kind = "for"
        else:
            self.expect("in", "or =, behind the names of for")
            parts = [self.expressions()]
            kind = "in"
        self.expect("do", "behind the head of for")
        with self.function.scope():
            variables = [self.function.declare(name) for name in names]
            body = self.loop_body()
        self.close("end")
        return self.node(kind, line, variables if kind == "in" else variables[0], *parts, body)

    def names(self):
        names = [self.name()]
        while self.accept(","):
            names.append(self.name())
        return names

    def name(self):
        if self.token.kind != "name":
            raise LuaError(mistakes.no_name(self.token), self.token.line)
        return self.advance().value

    def function_statement(self):
        line = self.opened().line
        name = self.name()
        target, path, is_method = self.variable(name, line), name, False
        while self.token.kind in (".", ":") and not is_method:
            is_method = self.advance().kind == ":"
            field = self.name()
            path += (b":" if is_method else b".") + field
            target = self.node("index", line, target, self.node("constant", line, field))
        return self.node("assign", line, [target], [self.body(line, path, is_method)])

    def local_(self):
        line = self.advance().line
        if self.token.kind == "function":
            self.opened()
            name = self.name()
            local = self.function.declare(name)  # before its body, which may call it
            return self.node("declare function", line, local, self.body(line, name, False))
        names = [self.name()]
        while True:
            if self.token.kind == "<":
                raise LuaError("attributes (<const>, <close>) are not of Lua 5.3: take them away", self.token.line)
            if not self.accept(","):
                break
            names.append(self.name())
        values = self.expressions() if self.accept("=") else []
        return self.node("declare", line, [self.function.declare(name) for name in names], values)

    def expression_statement(self):
        token = self.token
        if token.kind not in ("name", "("):
            raise LuaError(mistakes.no_statement(token, self.open, self.lexer.rest_of_line(token), self.slashes), token.line)
        target = self.suffixed()
        if self.token.kind in ("=", ","):
            targets = [target]
            while self.accept(","):
                targets.append(self.suffixed())
            for target in targets:
                if target.kind not in ("local", "upvalue", "global", "index"):
                    raise LuaError("only a name or a field can be given a value", target.line)
            line = self.expect("=", "to give the names before it their values").line
            return self.node("assign", line, targets, self.expressions())
        if target.kind not in ("call", "method"):
            raise LuaError(mistakes.half_statement(token, self.before, self.token, self.slashes), self.before.last)
        return target

    # Expressions

    def expressions(self):
        values = [self.expression()]
        while self.accept(","):
            values.append(self.expression())
        return values

    def expression(self, limit=0):
        """Return an expression of operators that hold more strongly than a limit."""
        self.enter()
        token = self.token
        if token.kind in UNARY:
            self.advance()
            left = self.node(UNARY[token.kind], token.line, self.expression(_UNARY_PRIORITY))
        else:
            left = self.operand()
        while True:
            token = self.token
            sign = token.kind
            if sign in mistakes.OTHER_SIGNS:
                self.note(mistakes.OTHER_SIGNS[sign][1])
                sign = mistakes.OTHER_SIGNS[sign][0]
            holds, limit_right = PRIORITIES.get(sign, (0, 0))
            if holds <= limit:
                break
            self.advance()
            if sign == "//":
                self.slashes = token.line
            if sign == "..":
                operands = [left, self.expression(limit_right)]
                while self.accept(".."):
                    operands.append(self.expression(limit_right))
                left = self.node("concat", token.line, operands)
            elif sign in ("and", "or"):
                left = self.node(sign, token.line, left, self.expression(limit_right))
            else:
                left = self.node("compare" if sign in _COMPARING else "arithmetic", token.line, sign, left, self.expression(limit_right))
        self.level -= 1
        return left

    def operand(self):
        token = self.token
        if token.kind in _CONSTANTS:
            self.advance()
            return self.node("constant", token.line, _CONSTANTS[token.kind])
        if token.kind in ("number", "string"):
            self.advance()
            return self.node("constant", token.line, token.value)
        if token.kind == "{":
            return self.table()
        if token.kind == "function":
            self.opened()
            return self.body(token.line, None, False)
        if token.kind == "...":
            self.advance()
            if self.function.varargs is None:
                raise LuaError("... stands in a function that has no ... among its parameters", token.line)
            return self.node("vararg", token.line)
        return self.suffixed()

    def variable(self, name, line):
        found = self.function.find(name)
        if found is None:
            return self.node("global", line, name)
        return self.node("local" if isinstance(found, Local) else "upvalue", line, found)

    def suffixed(self):
        """Return a name or (…) with all the fields, indices and calls behind it."""
        token = self.token
        if token.kind == "name":
            self.advance()
            node = self.variable(token.value, token.line)
        elif token.kind == "(":
            self.open.append(("(", token.line))
            self.advance()
            node = self.node("parens", token.line, self.expression())
            self.close(")")
        else:
            raise LuaError(mistakes.no_value(token, self.before), token.line)
        while True:
            token = self.token
            if token.kind == ".":
                self.advance()
                node = self.node("index", token.line, node, self.node("constant", token.line, self.name()))
            elif token.kind == "[":
                node = self.node("index", token.line, node, self.bracket())
            elif token.kind == ":":
                if self.peek().kind != "name" or self.peek(2).kind not in _ARGUMENTS:
                    raise LuaError(mistakes.colon(self.peek()), token.line)
                self.advance()
                name = self.advance().value
                node = self.node("method", self.token.line, node, name, self.arguments())
            elif token.kind in _ARGUMENTS:
                node = self.node("call", token.line, node, self.arguments())
            else:
                return node

    def bracket(self):
        self.open.append(("[", self.token.line))
        self.advance()
        key = self.expression()
        self.close("]")
        return key

    def arguments(self):
        token = self.token
        if token.kind == "string":
            self.advance()
            return [self.node("constant", token.line, token.value)]
        if token.kind == "{":
            return [self.table()]
        self.open.append(("(", token.line))
        self.advance()
        values = [] if self.token.kind == ")" else self.expressions()
        if self.token.kind == "=":
            raise LuaError("values with names stand in braces: {…} in place of (…)", self.token.line)
        self.close(")")
        return values

    def body(self, line, name, is_method):
        """Return a function, whose keyword is read already."""
        function = self.function = Function(self.function, line)
        loops, self.loops = self.loops, 0
        function.name = name
        if is_method:
            function.parameters.append(function.declare(b"self"))
        self.expect("(", "behind the function's name" if name else "behind function")
        while self.token.kind != ")":
            if self.accept("..."):
                function.varargs = function.declare(b"...")
                break
            function.parameters.append(function.declare(self.name()))
            if not self.accept(","):
                break
        self.expect(")", "behind the function's parameters")
        function.body = self.block()
        self.close("end")
        self.loops = loops
        self.function = function.outer
        return self.node("function", line, function, function.body)

    # Tables

    def table(self):
        line = self.token.line
        self.open.append(("{", line))
        margin = self.lexer.indent(self.token)[0]
        self.advance()
        fields = []
        while True:
            self.step_over_comments(is_field=True)
            if self.token.kind == "}":
                break
            fields.append(self.field())
            self.step_over_comments()
            if not self.accept(",") and not self.accept(";") and self.token.kind != "}":
                self.comma_is_missing(margin)
        self.close("}")
        return self.node("table", line, fields)

    def field(self):
        """Return (line, key or None, value) of a field."""
        token = self.token
        if token.kind == "[":
            key = self.bracket()
            self.sets(token)
        elif self.is_key():
            if token.kind != "name":
                self.note(mistakes.key(token))
            key = self.node("constant", token.line, self.advance().value)
            self.advance()
        elif token.kind in ("name", "string") and self.peek().kind == ":" and not (
                token.kind == "name" and self.peek(2).kind == "name" and self.peek(3).kind in _ARGUMENTS):
            key = self.node("constant", token.line, self.advance().value)
            self.sets(token)
        else:
            key, value = None, self.expression()
            if self.token.kind != "=":
                return token.line, key, value
            key = self.not_a_key(value)
            self.advance()
        return token.line, key, self.expression()

    def is_key(self):
        """Tell whether what follows is KEY =, even if the key is not written as it must be."""
        kind = self.token.kind
        return (kind in ("name", "string", "number") or kind in KEYWORDS) and self.peek().kind == "="

    def sets(self, token):
        """Step over the = behind a key."""
        if self.token.kind == ":":
            self.note(mistakes.set_by_colon(token))
            self.advance()
        else:
            self.expect("=", "behind a key in [ ]")

    def not_a_key(self, node):
        """Note what is wrong with an expression before =; return what may have been meant as the key."""
        if node.kind == "index" and node.parts[0].line < node.line:  # x NEWLINE [key] = …
            self.note("a comma is missing at the end of this line, before [", node.parts[0].line)
            return node.parts[1]
        self.note('the key before = must be one word: any other is written ["…"] =')
        return node

    def comma_is_missing(self, margin):
        """Note a comma that is missing before the next field. Raises LuaError where there is no next field."""
        token, before = self.token, self.before
        if before.kind == "number" and token.kind == "name" and before.end == token.start:
            self.note("%s%s is no number: a text needs quotes" % (mistakes.word(before.value), mistakes.word(token.value)))
            self.advance()
            self.accept(",")
            return
        indent, is_first = self.lexer.indent(token)
        begins_statement = token.kind == "name" and is_first and indent <= margin and self.peek().kind in ("{", "(")
        if begins_statement or not (token.kind in mistakes.BEGINS_VALUE or self.is_key()):
            self.close("}")
        self.note(mistakes.missing(",", before, token, None, self.slashes), before.last)


def _depth(part):
    """Return the depth of a node, or of the deepest one in lists of them."""
    if isinstance(part, Node):
        return part.depth
    return max(map(_depth, part), default=0) if isinstance(part, (list, tuple)) else 0


_STATEMENTS = {
    "if": _Parser.if_, "while": _Parser.while_, "do": _Parser.do_, "for": _Parser.for_, "repeat": _Parser.repeat_,
    "function": _Parser.function_statement, "local": _Parser.local_, "return": _Parser.return_, "break": _Parser.break_,
    "goto": _Parser.goto_, "::": _Parser.label,
}
