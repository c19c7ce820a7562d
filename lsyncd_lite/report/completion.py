"""Table and prose → a completion for bash(1). Pure.

A line "@cases", "@options", "@commands", "@asking" or "@categories" of the prose stands for what the table
says: what kinds of values an option takes, and the words that are known.
"""

import textwrap

from lsyncd_lite.config import options


def render(prose):
    """Return the text (str) of the completion."""
    made = {"@cases": list(_cases()), "@options": _words(options.OPTIONS), "@commands": _words(options.COMMANDS),
            "@asking": list(_asking()), "@categories": _words(options.LOG_WORDS)}
    return "\n".join(line for written in prose.split("\n") for line in made.get(written, [written]))


def _cases():
    for option in [*options.OPTIONS.values(), *options.ASKING.values()]:
        if option.metavars:
            yield "            -%s) want=(%s) ;;" % (option.name, " ".join(options.VALUES[word] for word in option.metavars.split()))


def _asking():
    for command in options.COMMANDS.values():
        yield "        %s) asking=(%s) ;;" % (command.name, " ".join(command.options))


def _words(names):
    """Return words as the last lines of a command of a shell."""
    lines = textwrap.wrap(" ".join(names), 90, break_on_hyphens=False)
    return ["                %s" % line + " \\" * (line is not lines[-1]) for line in lines]
