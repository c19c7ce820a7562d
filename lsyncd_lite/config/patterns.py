"""What a sync says of patterns → rules, (sign, pattern as bytes, where it stands), in the order in which the first match decides.

files: the Files of the configuration, for files of patterns and for findings.
"""

from lsyncd_lite.config.files import text_of
from lsyncd_lite.errors import reason
from lsyncd_lite.paths import show, to_bytes

# What -C leaves out (rsync(1), --cvs-exclude).
CVS_EXCLUDE = (b"RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo *~ #* .#* ,* _$* *$ "
               b"*.old *.bak *.BAK *.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe *.Z *.elc *.ln core "
               b".svn/ .git/ .hg/ .bzr/").split()


def rules(values, places, files):
    """Return the rules of a sync in the order in which the first match decides."""
    found = [_excluded(pattern, places["exclude"], files) for pattern in values.get("exclude", ())]
    found += [_excluded(line, where, files) for line, where in _file("excludeFrom", values, places, files)]
    given = [(line, places.get("filter")) for line in values.get("filter", ())]
    for line, where in given + _file("filterFrom", values, places, files):
        sign, blank, pattern = line[:1], line[1:2], line[2:]
        if sign in ("+", "-") and blank == " " and pattern:
            found.append((sign, to_bytes(pattern), where))
        else:
            files.errors.append('%s: %s is no rule; allowed: "+ PATTERN" or "- PATTERN"' % (where, files.shown(where, line)))
    return tuple(found)


def _file(key, values, places, files):
    """Return (line, where) of the lines of a file of patterns that are no comments."""
    if key not in values:
        return []
    return _lines_of(values[key], places[key], files)


def _lines_of(filename, where, files):
    try:
        content = files.trusted(to_bytes(filename), True)
    except OSError as error:
        files.errors.append("%s: cannot read %s: %s" % (where, files.shown(where, filename), reason(error)))
        return []
    text = "" if content is None else text_of(content)
    return [(line, "%s:%d" % (show(filename), number)) for number, line in enumerate(text.split("\n"), 1)
            if line.strip() and line[0] not in "#;"]


def _excluded(pattern, where, files):
    """Return the rule for what is excluded; warn of what only rsync would take for a rule of its own."""
    if pattern[:2] in ("+ ", "- ") or pattern == "!":
        files.warnings.append("%s: %s is a pattern here, whose first character belongs to the name; rules like this stand in filter"
                              % (where, files.shown(where, pattern)))
    return "-", to_bytes(pattern), where


def of_rsync(rsync, places, files):
    """Return what rsync._extra (and cvs_exclude) chooses: it has to hold while running, too."""
    found, arguments = [], list(rsync._extra)
    where = places.get("rsync._extra")
    while arguments:
        option, equals, value = arguments.pop(0).partition("=")
        sign = {"--include": "+", "--include-from": "+", "--exclude": "-", "--exclude-from": "-"}.get(option)
        if sign is None:
            if option in ("--filter", "--cvs-exclude") or option.startswith(("-f", "-F", "-C")):
                files.warnings.append("%s: %s holds at a full sync only; use filter" % (where, files.shown(where, option)))
            continue
        if not equals and arguments:
            value = arguments.pop(0)
        lines = _lines_of(value, where, files) if option.endswith("-from") else [(value, where)]
        for line, at in lines:  # either may say "+ PATTERN" or "- PATTERN" (rsync(1), OLD PREFIXES)
            prefixed = line[:2] in ("+ ", "- ")
            found.append((line[0] if prefixed else sign, to_bytes(line[2:] if prefixed else line), at))
    if rsync.cvs_exclude:
        found += [("-", pattern, "rsync.cvs_exclude") for pattern in CVS_EXCLUDE]
    return tuple(found)
