"""Tokens of Lua → trees of expressions. Knows no statements: the parser adds them."""

from lsyncd_lite.lua import mistakes
from lsyncd_lite.lua.lexer import KEYWORDS, Lexer, Token
from lsyncd_lite.lua.mistakes import Opening
from lsyncd_lite.lua.tree import LEVELS, Function, Local, Node, depth_of
from lsyncd_lite.lua.values import LuaError

# operator → (how strongly it holds what is left of it, and right of it)
PRIORITIES = {
    "or": (1, 1), "and": (2, 2),
    "<": (3, 3), ">": (3, 3), "<=": (3, 3), ">=": (3, 3), "~=": (3, 3), "==": (3, 3), "!=": (3, 3),
    "..": (9, 9),  # a row of .. is one node
    "+": (10, 10), "-": (10, 10), "*": (11, 11), "/": (11, 11), "//": (11, 11), "%": (11, 11), "^": (14, 13),
}
UNARY = {"not": "not", "-": "negative", "#": "length"}
_UNARY_PRIORITY = 12
_COMPARING = frozenset(("<", ">", "<=", ">=", "~=", "=="))
_CONSTANTS = {"nil": None, "true": True, "false": False}
_ARGUMENTS = frozenset(("(", "{", "string"))
_HEADS = {"for": "do", "while": "do", "if": "then"}
_MOST_FINDINGS = 50  # of a text


class Expressions:
    """Parses expressions. Every method can raise LuaError, after which nothing can be told for sure."""

    def __init__(self, source):
        self.lexer = Lexer(source)
        self.errors = []  # (line, words)
        self.main = self.function = Function(None, 1)
        self.main.varargs = self.main.declare(b"...")
        self.before = self.token = Token("begin of file", None, 1, 0, 0, 1, True, 0)
        self.ahead = []      # tokens behind self.token
        self.loops = 0       # around the statement, in its function
        self.open = []       # Openings that must be closed
        self.suspect = None  # what may be the reason if one is not
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

    def begin(self):
        """Step over a token that opens something; return it."""
        self.open.append(Opening(self.token.kind, self.token.line, self.token.indent))
        return self.advance()

    def close(self, kind):
        """Step over what closes the last thing that was opened, or raise LuaError."""
        opening = self.open[-1]
        if self.token.kind != kind:
            line = self.before.last if self.token.kind == "end of file" else self.token.line
            raise LuaError(mistakes.unclosed(kind, self.token, opening, self.suspect), line)
        if self.token.is_first and self.token.indent < opening.indent:
            self.suspect = "or it is the %s of line %d that is not closed: line %d stands too far to the left" % (
                opening.word, opening.line, self.token.line)
        self.open.pop()
        return self.advance()

    def note(self, words, line=None):
        """Keep a finding after which parsing goes on. Raises it as a LuaError where there are enough."""
        line = self.token.line if line is None else line
        if len(self.errors) + 1 == _MOST_FINDINGS:
            raise LuaError(words, line)
        self.errors.append((line, words))

    def step_over_comments(self, is_field=False):
        """Step over comments of other languages: where a statement or a field begins, // is one, and #, unless a value may follow."""
        while self.token.kind == "//" or self.token.kind == "#" and (not is_field or self.token.is_first or self.lexer.text[self.token.end:self.token.end + 1].isspace()):
            self.note("a comment begins with --, not with %s" % self.token.kind)
            self.lexer.skip_line(self.token)
            self.ahead.clear()
            self.token = self.lexer.next()

    def node(self, kind, line, *parts):
        """Return a Node. Raises LuaError where the tree is too deep, which a long row of operators can be, too."""
        depth = 1 + max(map(depth_of, parts), default=0)
        if depth > LEVELS:
            raise LuaError("nested too deeply", line)
        return Node(kind, line, parts, depth)

    # Expressions

    def expressions(self):
        values = [self.expression()]
        while self.accept(","):
            values.append(self.expression())
        return values

    def expression(self, limit=0):
        """Return an expression of operators that hold more strongly than a limit."""
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
        return left

    def comparison(self):
        """Return an expression where nothing can be set, so that = means ==."""
        left = self.expression()
        while self.token.kind == "=":
            self.note("equal is written == (one = sets a value)")
            line = self.advance().line
            left = self.node("compare", line, "==", left, self.expression())
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
            self.begin()
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
            self.begin()
            node = self.node("parens", token.line, self.comparison())
            self.close(")")
        else:
            if token.kind == "end of file" and self.open and self.open[-1].word in ("(", "["):
                self.close(")" if self.open[-1].word == "(" else "]")
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
        self.begin()
        key = self.expression()
        if self.token.kind == "=":
            raise LuaError("values with names stand in braces: {…} in place of […]", self.token.line)
        self.close("]")
        return key

    def arguments(self):
        token = self.token
        if token.kind == "string":
            self.advance()
            return [self.node("constant", token.line, token.value)]
        if token.kind == "{":
            if self.before.kind == ")" and self.open and self.open[-1].word in _HEADS:
                self.suspect = 'or line %d should have "%s" for {' % (token.line, _HEADS[self.open[-1].word])
            return [self.table()]
        self.begin()
        values = [] if self.token.kind == ")" else self.expressions()
        while self.token.kind in mistakes.BEGINS_VALUE and self.token.line == self.before.last:
            self.note(mistakes.missing(",", self.before, self.token, None, self.slashes))
            values.extend(self.expressions())
        if self.token.kind == "=":
            raise LuaError("values with names stand in braces: {…} in place of (…)", self.token.line)
        self.close(")")
        return values

    def body(self, line, name, is_method):
        """Return a function, whose keyword is read already."""
        function = self.function = Function(self.function, line)
        loops, self.loops = self.loops, 0
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
        line = self.begin().line
        margin = self.open[-1].indent
        fields = []
        while True:
            self.step_over_comments(is_field=True)
            if self.token.kind in mistakes.ENDS_TABLE and not self.is_key():
                break
            fields.append(self.field())
            self.step_over_comments()
            if not self.accept(",") and not self.accept(";") and self.token.kind != "}":
                self.comma_is_missing(margin)
        last = self.token.line
        self.close("}")
        return self.node("table", line, fields, last)

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
        elif token.kind in ("name", "string", "number") and self.peek().kind == ":" and not (
                token.kind == "name" and self.peek(2).kind == "name" and self.peek(3).kind in _ARGUMENTS):
            key = self.node("constant", token.line, self.advance().value)
            self.sets(token)
        else:
            key, value = None, self.expression()
            if value.kind == "compare" and value.parts[0] == "==" and value.parts[1].kind == "global":
                self.note("a value is set with =, not with ==", value.line)
            if self.token.kind != "=":
                return token.line, key, value
            key = self.not_a_key(value)
            self.advance()
        value = self.expression()
        while self.token.kind == "=":
            if value.kind in ("global", "local", "upvalue") and value.line > token.last:  # KEY = NEWLINE KEY = …
                raise LuaError("a value, or {, is missing behind = at the end of this line", token.line)
            self.not_a_key(value)
            self.advance()
            value = self.expression()
        return token.line, key, value

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
        if mistakes.is_unit(before, token):
            self.note(mistakes.unit(before, token))
            self.advance()
            self.accept(",")
            return
        if token.kind == "::":
            raise LuaError("a text with : needs quotes", token.line)
        begins_statement = token.kind == "name" and token.is_first and token.indent <= margin and self.peek().kind in ("{", "(")
        if begins_statement or not (token.kind in mistakes.BEGINS_VALUE or self.is_key()):
            self.close("}")
        self.note(mistakes.missing(",", before, token, None, self.slashes), before.last)
