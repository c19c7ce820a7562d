"""Which paths a sync mirrors: rsync's pattern dialect, so that start-up and run time agree.

The same rules go to rsync wherever it walks; here they decide what is watched and
queued. The dialect is that of rsync(1), "PATTERN MATCHING RULES"; a test asks both.
Knows nothing of files: whether a path is a directory is told by the caller.
"""

import re
from collections import namedtuple

# sign: "+" or "-"; pattern: bytes as written; where: text that names its place
Rule = namedtuple("Rule", "sign pattern where")

_KEPT = 10000  # directories whose verdict is remembered

_CLASSES = {b"alnum": b"0-9A-Za-z", b"alpha": b"A-Za-z", b"blank": b" \\t", b"cntrl": b"\\x00-\\x1f\\x7f",
            b"digit": b"0-9", b"graph": b"!-~", b"lower": b"a-z", b"print": b" -~",
            b"punct": b"!-/:-@\\[-`{-~", b"space": b" \\t-\\r", b"upper": b"A-Z", b"xdigit": b"0-9A-Fa-f"}


class Filter:
    """Ordered rules; the first that matches a path decides, and none means: mirrored."""

    def __init__(self, rules):
        self.rules = tuple(Rule(*rule) for rule in rules)
        alternatives = [b"(" + _regex(rule.pattern) + b")" for rule in self.rules]
        self._match = re.compile(b"|".join(alternatives), re.S).fullmatch if alternatives else None
        self._directories = {}
        # Whether it counts where something stands, not only what it is called.
        self.positional = any(b"/" in rule.pattern[:-1] or b"**" in rule.pattern for rule in self.rules)

    def deciding(self, path, is_dir):
        """Return (excluded, Rule or None, path it matched): which rule decides for a relative path.

        A path below an excluded directory is excluded by that directory's rule.
        """
        if self._match is None or not path:
            return False, None, path
        end = path.find(b"/")
        rule = None
        while end >= 0:
            rule = self._rule(path[:end] + b"/")
            if rule and rule.sign == "-":
                return True, rule, path[:end]
            end = path.find(b"/", end + 1)
        rule = self._rule(path + b"/" if is_dir else path)
        return bool(rule and rule.sign == "-"), rule, path

    def excludes(self, directory, name, is_dir):
        """Tell whether `name` in a relative directory (b"": the root) is excluded."""
        if self._match is None:
            return False
        if directory and self._directory(directory):
            return True
        path = directory + b"/" + name if directory else name
        rule = self._rule(path + b"/" if is_dir else path)
        return rule is not None and rule.sign == "-"

    def _directory(self, directory):
        known = self._directories.get(directory)
        if known is None:
            if len(self._directories) >= _KEPT:
                self._directories.clear()
            known = self._directories[directory] = self.deciding(directory, True)[0]
        return known

    def _rule(self, subject):
        match = self._match(b"/" + subject)
        return self.rules[match.lastindex - 1] if match else None


def _regex(pattern):
    """Return the expression (bytes) that matches all of b"/path", or b"/path/" for a directory."""
    only_dirs = pattern.endswith(b"/") and len(pattern) > 1
    if only_dirs:
        pattern = pattern[:-1]
    anchored = pattern.startswith(b"/")
    body = pattern[1:] if anchored else pattern
    wild = any(char in body for char in b"*?[")
    translated = _translate(body) if wild else re.escape(body)
    if translated is None:
        return b"(?!)"
    if anchored:
        head = b"/"
    else:  # at the start of any segment; "**/x" matches x at the top, too
        head = b"" if body.startswith(b"**") else b"/(?:.*/)?"
    if body.endswith(b"/***"):  # the directory and all below
        return head + translated
    return head + translated + (b"(?<!/)/" if only_dirs else b"(?<!/)/?")


def _translate(body):
    """Return the expression of a pattern with wildcards, or None where it can match nothing.

    That is a class that is not closed, or that holds a slash, which no class matches.
    """
    out, at = [], 0
    while at < len(body):
        char = body[at:at + 1]
        at += 1
        if char == b"*":
            stars = at
            while body[at:at + 1] == b"*":
                at += 1
            out.append(b"[^/]*" if at == stars else b".*")
        elif char == b"?":
            out.append(b"[^/]")
        elif char == b"[":
            translated, at = _class(body, at)
            if translated is None:
                return None
            out.append(translated)
        elif char == b"\\" and at < len(body):
            out.append(re.escape(body[at:at + 1]))
            at += 1
        else:
            out.append(re.escape(char))
    return b"".join(out)


def _class(body, at):
    """Translate a class whose "[" stands before `at`; return (expression or None, where it ends)."""
    negated = body[at:at + 1] in (b"!", b"^")
    at += negated
    members, first = [], True
    while True:
        char = body[at:at + 1]
        if not char:
            return None, at
        if char == b"]" and not first:
            break
        first = False
        name = re.compile(rb"\[:(\w+):\]").match(body, at)
        if name:
            if name.group(1) not in _CLASSES:
                return None, at
            members.append(_CLASSES[name.group(1)])
            at = name.end()
            continue
        if char == b"/":
            return None, at
        low, at = _member(body, at)
        if body[at:at + 1] == b"-" and body[at + 1:at + 2] not in (b"]", b""):
            high, at = _member(body, at + 1)
            if low <= high:
                members.append(re.escape(low) + b"-" + re.escape(high))
        else:
            members.append(re.escape(low))
    inner = b"".join(members)
    if negated:
        return b"[^/" + inner + b"]", at + 1
    return b"(?!/)[" + inner + b"]" if inner else b"(?!)", at + 1


def _member(body, at):
    if body[at:at + 1] == b"\\" and at + 1 < len(body):
        at += 1
    return body[at:at + 1], at + 1
