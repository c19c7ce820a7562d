"""What can be said of a Config without doing what it says: for -check and -test-filter."""

import os

import lsyncd_lite.daemon  # noqa: F401  (what it needs of Python has to be there, too)
from lsyncd_lite.config import settings
from lsyncd_lite.errors import reason
from lsyncd_lite.jobs import lacks
from lsyncd_lite.mirror.filters import Filter
from lsyncd_lite.paths import below, show, to_bytes
from lsyncd_lite.system import program


def findings(config):
    """Return (errors, warnings), two lists of lines."""
    errors, missing = _of_commands(config), ["sync %s: %s" % (show(sync.name), words) for sync in config.syncs for words in lacks(sync)]
    if config.settings.insist:
        return errors, config.warnings + missing
    return errors + missing, config.warnings


def deciding(config, text):
    """Yield a line for each sync: which rule decides for a path (str), relative to the source or below it."""
    path = to_bytes(text)
    for sync in config.syncs:
        inside = path
        if path.startswith(b"/"):
            inside = below(os.path.normpath(path), sync.source)
            if inside is None:
                inside = path.lstrip(b"/")  # as rsync writes it: "/" is the source
        is_dir = path.endswith(b"/") or os.path.isdir(os.path.join(sync.source, inside))
        inside = inside.rstrip(b"/")
        excluded, rule, matched = Filter(sync.rules + sync.extra_rules).deciding(inside, is_dir)
        words = "no rule" if rule is None else "%s %s (%s)" % (rule.sign, show(rule.pattern), rule.where)
        if rule is not None and matched != inside:
            words += ", which matches its parent %s" % show(matched)
        yield "%s: %s: %s: %s" % (show(sync.name), show(inside), "excluded" if excluded else "mirrored", words)


def _of_commands(config):
    """Return what a shell, or the search for a program, has against the commands of a Config; nothing is run."""
    import subprocess
    errors = []
    for sync in config.syncs:
        for name in [name for name, key in settings.scope("sync").items() if key.kind is settings.COMMAND]:
            table, _dot, key = name.rpartition(".")
            command = getattr(getattr(sync, table) if table else sync, key)
            words = [] if command is None else [b"".join(word) if not any(isinstance(part, str) for part in word) else b""
                                                for word in command.words]
            where = "sync %s: %s" % (show(sync.name), name)
            if words[:2] == [b"/bin/sh", b"-c"]:
                try:
                    tried = subprocess.run(["/bin/sh", "-n", "-c", words[2]], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
                except OSError as error:
                    errors.append("%s: cannot run /bin/sh: %s" % (where, reason(error)))
                    continue
                if tried.returncode:
                    errors.append("%s: %s" % (where, show(b" ".join(tried.stderr.split(b"\n")).strip())))
            elif words and words[0] and program.find(words[0]) is None:
                errors.append("%s: there is no program %s" % (where, show(words[0])))
    return errors
