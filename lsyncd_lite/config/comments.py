"""Where the comments of a configuration stand once it is written in another order and form. Pure.

A place is (index of a section, TITLE, END or index of an entry), or AFTER.
"""

from bisect import bisect_left

TITLE = "title"    # before the section
END = "end"        # after its last entry
AFTER = None       # after all of the file


def placed(reading):
    """Return {place: [(line, text)]} of the comments of a Reading: each stands before what follows it, or goes on where it begins."""
    begins, spans, ends = {}, {}, {}  # line → place; (first, last) → place; (first, last) → index of a section
    sections = sorted(enumerate(reading.sections), key=lambda row: row[1].kind != "settings")  # as they are written
    for index, section in sections:
        for line in begin(section), section.line:
            begins.setdefault(line, (index, TITLE))
        if section.last is not None:
            ends.setdefault((section.line, section.last), index)
        for number, entry in enumerate(section.entries):
            place = index, TITLE if entry.key == "name" else number
            begins.setdefault(entry.line, place)
            if entry.last is not None:
                spans.setdefault((entry.first or entry.line, entry.last), place)
    begins.pop(None, None)
    lines, found = sorted(begins), {}
    for line, text in reading.comments:
        at = bisect_left(lines, line)
        following = lines[at] if at < len(lines) else None
        place = begins.get(following, AFTER)
        for (first, last), index in ends.items():
            if first <= line <= last and (following is None or following > last):
                place = index, END
                break
        for (first, last), inner in spans.items():
            if first <= line <= last:
                place = inner
                break
        found.setdefault(place, []).append((line, text))
    return found


def begin(section):
    """Return the line in which a section, or the first of its entries, stands (Lua can make that before the sync), or None."""
    first = next((entry.line for entry in section.entries if entry.key != "name"), None)
    return section.line if first is None or section.line is None else min(first, section.line)


def written(comments, is_literal, following=None):
    """Return the lines for some comments, [(line, text)].

    is_literal: what begins with no blank gets one. following: the line before which they
    stand; None: what was apart is written without a gap.
    """
    lines, before = [], None
    for line, text in comments:
        if following is not None and before is not None and line > before + 1:
            lines.append("")
        lines += ["#" + words for words in _marked(text.split("\n"), is_literal)]
        before = line + text.count("\n")
    if following is not None and before is not None and following > before + 1:
        lines.append("")
    return lines


def _marked(lines, is_literal):
    """Return the lines of one comment with a blank before them, if any."""
    lines = [line.rstrip() for line in lines]
    if len(lines) == 1:
        return [" " + line if line and is_literal and not line[0].isspace() else line for line in lines]
    margin = min((len(line) - len(line.lstrip()) for line in lines[1:] if line), default=0)
    lines = [lines[0].strip()] + [line[margin:] for line in lines[1:]]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    return [" " + line if line else "" for line in lines]
