"""Table and prose → a configuration in which every line is a comment. Pure.

A line "@keys SCOPE" of the prose stands for the keys of that scope: "settings",
"settings sync", "sync" or a table. Every scope has to have its place.
"""

import textwrap

from lsyncd_lite.config import settings


def render(prose):
    """Return the text (str) of the sample; raise ValueError."""
    left = {key.scopes for key in settings.KEYS}
    out = []
    for line in prose.split("\n"):
        word, _blank, scope = line.partition(" ")
        if word != "@keys":
            out.append(line)
            continue
        if scope not in left:
            raise ValueError("%s: unknown, or there twice" % line)
        left.remove(scope)
        out += [line for key in settings.KEYS if key.scopes == scope for line in _key(key)]
    if left:
        raise ValueError("has no place: %s" % ", ".join(sorted(left)))
    return "\n".join(out)


def _key(key):
    """Return lines for a key: what it is for, the modes, the default."""
    words = key.help
    if key.modes and key.scopes not in settings.TABLES:
        words += " (%s)" % ", ".join(settings.modes(key))
    prefix = key.scopes + "." if key.scopes in settings.TABLES else ""
    return [*textwrap.wrap(words, 98, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False),
            ("#%s%s = %s" % (prefix, key.name, settings.default_text(key))).rstrip()]
