"""Commands of users, with ^variables → argv in which every value is data, never code.

What begins with a slash is a program with its arguments; anything else is a text for
/bin/sh, which gets the values as positional parameters. Knows what variables are
called, not what they stand for.
"""

import re
from collections import namedtuple

from lsyncd_lite.paths import show, to_bytes

# What a variable may be called; in onMove those of a path may have "o." or "d." before them.
OF_SYNC = ("source", "target")
OF_PATH = ("path", "pathname", "pathdir", "sourcePath", "sourcePathname", "sourcePathdir",
           "targetPath", "targetPathname", "targetPathdir")
OF_TUNNEL = ("localport",)
_NAMES = "|".join(sorted(OF_SYNC + OF_PATH, key=len, reverse=True))
_VARIABLE = re.compile(r"\^(?P<name>(?:[od]\.)?(?:%s)|%s)(?![A-Za-z])" % (_NAMES, "|".join(OF_TUNNEL)))
_LIKE_ONE = re.compile(r"\^((?:[od]\.)?[A-Za-z]{4,})")

# Programs that read an argument as code, and what hands them one within a text for a shell.
_SHELLS = {b"sh", b"ash", b"bash", b"busybox", b"dash", b"fish", b"ksh", b"mksh", b"tcsh", b"csh", b"zsh", b"su"}
_HANDS_ON = re.compile(r"(?<![\w.-])((?:eval|ssh|su)(?![\w.-])(?=[^\n;|&]*?{0})|(?:ba|da|k|mk|z|c|tc|fi)?sh\s+-\w*c(?=\s+(?:'[^']*?|\"[^\"]*?)?{0}))"
                       .format(r"\^(?:[od]\.)?(?:%s)(?![A-Za-z])" % _NAMES))

# What counts where a shell's text is read: an escaped character, quotes, what begins and ends another
# text within this one, a comment, a variable.
_TOKEN = re.compile(r"\\.|['\"`()]|\$\(|(?:(?<=[\s;&|()])|^)#|<<<|<<-?[ \t]*(?P<quote>['\"\\]?)(?P<end>\w+)['\"]?|\n|"
                    + _VARIABLE.pattern, re.S | re.M)


class Command(namedtuple("Command", "words")):
    """A command. words: a tuple with a tuple for each argument: bytes as they are, and names (str) of variables."""

    __slots__ = ()

    @property
    def variables(self):
        """The names of the variables that it uses, in order."""
        return [part for word in self.words for part in word if isinstance(part, str)]

    def argv(self, values):
        """Return the argv (list of bytes) with {name: bytes} in place of the variables."""
        return [b"".join([values[part] if isinstance(part, str) else part for part in word]) for word in self.words]


def parse(text):
    """Return the Command that a text (str) stands for; raise ValueError with a sentence for what it cannot be."""
    text = text.strip()
    if text.startswith("/"):
        import shlex
        command = Command(tuple(map(_parts, shlex.split(text))))
        fixed = [b"" if any(isinstance(part, str) for part in word) else b"".join(word) for word in command.words]
        for word, option, code in zip(fixed, fixed[1:], command.words[2:]):
            names = [part for part in code if isinstance(part, str)]
            if names and word.rpartition(b"/")[2] in _SHELLS and re.fullmatch(b"-[a-z]*c", option):
                raise ValueError("what ^%s stands for would be read as code; leave out %s %s, or give it as an argument after the "
                                 "text, in which it is \"$1\"" % (names[0], show(word), show(option)))
        return command
    script, names = _script(text)
    return Command(((b"/bin/sh",), (b"-c",), (to_bytes(script),), (b"sh",), *[(name,) for name in names]))


def doubts(text):
    """Yield a sentence for all that is allowed and looks like a mistake."""
    import difflib
    for found in _HANDS_ON.finditer(text):
        yield "%s reads its arguments as code, and a name may hold $(…)" % found.group()
    if re.search(r"<<-?[ \t]*['\"\\].*\n(.*\n)*?.*" + _VARIABLE.pattern, text):
        yield "in a here-document whose end is quoted no variable is replaced"
    for found in _LIKE_ONE.finditer(text):
        if not _VARIABLE.match(text, found.start()):
            prefix, name = re.fullmatch(r"([od]\.)?(.*)", found.group(1)).groups()
            near = difflib.get_close_matches(name, OF_SYNC + OF_PATH + OF_TUNNEL, 1, 0.8)
            if near:
                yield "^%s is no variable and stays as it is; did you mean ^%s%s?" % (found.group(1), prefix or "", near[0])
    if text.strip().startswith("/") and re.search(r"(^|\s)([0-9]?[<>|]|&&|\|\||;)|;(\s|$)|[\n]", text.strip()):
        yield "begins with / and is run without a shell: all after the program are its arguments; begin it with \"exec /\" for a shell"


def _parts(word):
    """Return a tuple of the parts of an argument: bytes and names of variables."""
    pieces = _VARIABLE.split(word)  # text, name, text, name, … text
    return tuple(piece if number % 2 else to_bytes(piece) for number, piece in enumerate(pieces) if piece)


def _script(text):
    """Return (text for a shell with parameters in place of variables, their names in order).

    A parameter within double quotes or none expands to what it holds, and to nothing
    else, whatever it holds; within single quotes these are closed before it. Where this
    reading of a shell's text is wrong, too many quotes or too few are shown, or a
    value is split at blanks: it is never read as a text for the shell.
    """
    names, out, at = [], [], 0
    states = [""]   # what is open: '"', "'", "`", "(" or at the top ""
    documents = []  # (quotation, last line) of the here-documents that begin in the next line

    def parameter(name):
        if name not in names:
            names.append(name)
        return "${%d}" % (names.index(name) + 1)

    while True:
        token = _TOKEN.search(text, at)
        if token is None:
            return "".join(out) + text[at:], names
        word, name, state = token.group(), token.group("name"), states[-1]
        out.append(text[at:token.start()])
        at = token.end()
        if name is not None:
            word = parameter(name)
            word = word if state == '"' else "'\"%s\"'" % word if state == "'" else '"%s"' % word
        elif state == "'":
            if word in ("'", "\\'"):  # a backslash is nothing special here
                states.pop()
        elif token.group("end") and state != '"':
            documents.append(token.group("quote", "end"))
        elif word == "\n" and documents:
            body, at = _documents(text, at, documents, parameter)
            word += body
            documents = []
        elif word == "#" and state != '"':
            end = text.find("\n", at)
            word, at = text[token.start():end if end >= 0 else None], end if end >= 0 else len(text)
        elif word == state or (word, state) == (")", "("):
            states.pop()
        elif word in ('"', "`", "$(") or word in ("'", "(") and state != '"':
            states.append(word[-1])
        out.append(word)


def _documents(text, at, documents, parameter):
    """Return (here-documents that begin at a place in a text, where they end), with parameters, which a shell does not split there."""
    out = []
    for quote, last in documents:
        end = re.compile(r"^\t*%s$|\Z" % last, re.M).search(text, at).end()
        body, at = text[at:end], end
        out.append(body if quote else _VARIABLE.sub(lambda match: parameter(match.group("name")), body))
        if text[at:at + 1] == "\n" and (quote, last) is not documents[-1]:
            out.append("\n")
            at += 1
    return "".join(out), at
