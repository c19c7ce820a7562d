"""${NAME} and ${file:PATH} in a value → what they stand for. Pure: asks for variables and files.

What they stand for may be a secret: it is in no message.
"""

import re

from lsyncd_lite.paths import show

_PLACE = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|file:(?P<file>[^}\n]+))\}|\$\{(?P<odd>[^}\n]*\}?)")

ALLOWED = "${NAME} with letters, digits and _, ${file:PATH}, or $${ for ${ itself"


def expand(text, variable, content):
    """Return (the text with all in its place, [a sentence for each that has none]).

    variable(name), content(filename): return a str, or raise ValueError with a sentence.
    What is put in is not looked at again.
    """
    problems = []

    def put_in(match):
        written = match.group()
        if written == "$${":
            return "${"
        try:
            if match.group("name"):
                return variable(match.group("name"))
            if match.group("file"):
                return content(match.group("file"))
        except ValueError as error:
            problems.append("%s: %s" % (show(written), error))
        else:
            problems.append("%s: allowed: %s" % (show(written), ALLOWED))
        return written
    return _PLACE.sub(put_in, text), problems


def expand_all(raw, variable, content):
    """Return (raw value, problems, {a line of it: as it was written}) of a raw value: text, a list of texts, or what is no text.

    An item of a list may become several, a line each. None for the lines where nothing was there to expand.
    """
    if isinstance(raw, list):
        found, problems, written, is_changed = [], [], {}, False
        for item in raw:
            if isinstance(item, str) and "${" in item:
                text, more = expand(item, variable, content)
                lines, is_changed = text.split("\n"), True
                written.update(dict.fromkeys(lines, item))
                found += lines
                problems += more
            else:
                found.append(item)
        return found, problems, written if is_changed else None
    if not isinstance(raw, str) or "${" not in raw:
        return raw, [], None
    found, problems, written = [], [], {}
    for line in raw.split("\n"):
        text, more = expand(line, variable, content)
        written.update((part, line) for part in text.split("\n"))
        found.append(text)
        problems += more
    return "\n".join(found), problems, written
