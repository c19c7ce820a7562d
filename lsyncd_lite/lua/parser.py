"""Text of Lua → tree, with all its findings. Knows nothing of values.

Source: the reference manual of Lua 5.3, §3.2 to §3.5 and its grammar, §9. What an administrator
easily gets wrong is found as what it is (a missing comma, = for ==), and where that leaves no doubt
about the rest, parsing goes on, so that all of them are told at once. The first finding that leaves
doubt ends it.
"""

from lsyncd_lite.lua import mistakes
from lsyncd_lite.lua.expressions import Expressions
from lsyncd_lite.lua.tree import Chunk, Function, python_frames
from lsyncd_lite.lua.values import LuaError

LARGEST = 1 << 20  # bytes of a text: what is longer takes too long to read
_BLOCK_ENDS = frozenset(("end", "else", "elseif", "until", "end of file"))


def parse(source):
    """Return the Chunk of a text (bytes)."""
    if len(source) > LARGEST:
        return Chunk(Function(None, 1), [], [(1, "larger than 1 MiB, which no configuration is")])
    parser = _Parser(source)
    with python_frames():
        try:
            parser.chunk()
        except (LuaError, RecursionError) as found:
            error = found if isinstance(found, LuaError) else LuaError("nested too deeply")
            line = parser.token.line if error.line is None else error.line
            # One quote too many makes commas out of nothing: the last finding of a line is the one to trust.
            parser.errors = [*(found for found in parser.errors if found[0] != line), (line, error.words)]
            parser.main.body = None
    return Chunk(parser.main, parser.lexer.comments, sorted(parser.errors, key=lambda error: error[0]))


class _Parser(Expressions):
    """Parses statements."""

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
                statements.append(_STATEMENTS.get(self.token.kind, _Parser.expression_statement)(self))
            self.step_over_comments()
        return statements

    def scoped_block(self):
        with self.function.scope():
            return self.block()

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
        line = self.begin().line
        body = self.scoped_block()
        self.close("end")
        return self.node("do", line, body)

    def while_(self):
        line = self.begin().line
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
        line = self.begin().line
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

    def if_(self):
        if self.before.kind == "else" and self.before.line == self.token.line:
            self.suspect = 'or line %d should have "elseif" for "else if"' % self.token.line
        token = self.begin()
        clauses = [(self.condition("then", "if"), self.scoped_block())]
        otherwise = []
        while self.accept("elseif"):
            clauses.append((self.condition("then", "elseif"), self.scoped_block()))
        if self.accept("else"):
            otherwise = self.scoped_block()
        self.close("end")
        return self.node("if", token.line, clauses, otherwise)

    def for_(self):
        line = self.begin().line
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
            raise LuaError(mistakes.no_name(self.token, self.before), self.token.line)
        return self.advance().value

    def function_statement(self):
        line = self.begin().line
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
            self.begin()
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
        token, before = self.token, self.before
        if token.kind not in ("name", "("):
            raise LuaError(mistakes.no_statement(before, token, self.open, self.lexer.rest_of_line(token), self.slashes), token.line)
        target = self.suffixed()
        if self.token.kind == "," and target.kind in ("call", "method"):
            raise LuaError("no comma stands behind a statement", self.token.line)
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
            raise LuaError(mistakes.half_statement(before, token, self.before, self.token, self.slashes), self.before.last)
        return target


_STATEMENTS = {
    "if": _Parser.if_, "while": _Parser.while_, "do": _Parser.do_, "for": _Parser.for_, "repeat": _Parser.repeat_,
    "function": _Parser.function_statement, "local": _Parser.local_, "return": _Parser.return_, "break": _Parser.break_,
    "goto": _Parser.goto_, "::": _Parser.label,
}
