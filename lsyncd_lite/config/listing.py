"""What targetsFrom says → the targets (or hosts) of a sync, each with the place where it stands.

A file is read as files of patterns are. A command is run by whoever reads a
configuration to do what it says; for all others what it would print is not known.
"""

from lsyncd_lite.config import commands
from lsyncd_lite.config.files import text_of
from lsyncd_lite.errors import reason
from lsyncd_lite.paths import show, to_bytes


def targets(text, where, source, files, run):
    """Return [(target, where it stands)] that a text of targetsFrom stands for; none where that is not known, or a finding.

    source: the source of the sync (bytes); files: the Files of the configuration; run(argv): returns what a command
    (list of bytes) prints (bytes), or raises ValueError with a sentence; None: nothing is run.
    """
    is_command = text.startswith("!")
    content = _printed(text[1:], where, source, files, run) if is_command else _content(text, where, files)
    if content is None:
        return []
    found, is_right = [], True
    for number, line in enumerate(text_of(content).split("\n"), 1):
        line, place = line.strip(), "%s: line %d of its output" % (where, number) if is_command else "%s:%d" % (show(text), number)
        if not line or line[0] in "#;":
            continue
        if "\0" in line:
            files.errors.append("%s: holds a null byte: it is no text" % place)
            is_right = False
        else:
            found.append((line, place))
    if not found and is_right:  # were that right, a list that could not be made would end all mirrors
        files.errors.append("%s: %s; allowed: one target at least" % (
            where, "the command prints no target" if is_command else "%s holds no target" % files.shown(where, text)))
    return found


def _content(filename, where, files):
    try:
        return files.trusted(to_bytes(filename), True)
    except OSError as error:
        files.errors.append("%s: cannot read %s: %s" % (where, files.shown(where, filename), reason(error)))
        return None


def _printed(text, where, source, files, run):
    try:
        command = commands.parse(text)
        files.warnings += ["%s: %s" % (where, words) for words in commands.doubts(text)]
        for variable in command.variables:
            if variable != "source":
                raise ValueError("^%s has no value here; allowed: ^source" % variable)
        return None if run is None else run(command.argv({"source": source if source.endswith(b"/") else source + b"/"}))
    except ValueError as error:
        files.errors.append("%s: %s" % (where, error))
        return None
