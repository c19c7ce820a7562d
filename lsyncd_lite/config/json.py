"""JSON text → sections. Knows no key by name but "settings" and "sync"."""

import json

from lsyncd_lite.config.section import Entry, Reading, Section
from lsyncd_lite.paths import show


class _Object:
    """The (key, value) pairs of an object, in order and with what was given twice."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __repr__(self):
        return "{…}" if self.pairs else "{}"


def read(text, filename):
    """Return the Reading of JSON text.

    Errors are lines `FILE:LINE: …` where the text is no JSON, else `FILE: PATH.OF.KEY: …`.
    """
    try:
        top = json.loads(text, object_pairs_hook=_Object)
    except json.JSONDecodeError as error:
        return Reading([], ["%s:%d: not JSON: %s in column %d" % (filename, error.lineno, error.msg, error.colno)])
    except ValueError as error:  # a number of thousands of digits
        return Reading([], ["%s: not JSON: %s" % (filename, error)])
    except RecursionError:
        return Reading([], ["%s: not a configuration: nested too deeply" % filename])
    sections, errors = [], []
    if not isinstance(top, _Object):
        return Reading([], ["%s: not a configuration: allowed: {\"settings\": {…}, \"sync\": […]}" % filename])
    for name, value, path in _pairs(top, "", filename, errors):
        if name == "settings" and isinstance(value, _Object):
            sections.append(_section("settings", path, value, filename, errors))
        elif name == "sync" and isinstance(value, (list, _Object)):
            items = [value] if isinstance(value, _Object) else value
            for index, item in enumerate(items):
                place = "sync[%d]" % index
                if isinstance(item, _Object):
                    sections.append(_section("sync", place, item, filename, errors))
                else:
                    errors.append("%s: %s: allowed: an object" % (filename, place))
        else:
            errors.append("%s: %s: allowed: \"settings\" with an object, \"sync\" with an array of objects"
                          % (filename, path))
    return Reading(sections, errors)


def _section(kind, path, value, filename, errors):
    return Section(kind, "%s: %s" % (filename, path), list(_entries("", path, value, filename, errors)))


def _entries(prefix, path, value, filename, errors):
    """Yield the entries of an object; objects within it are tables: their keys are dotted."""
    for key, item, place in _pairs(value, path + ".", filename, errors):
        if isinstance(item, _Object) and item.pairs and prefix.count(".") < 2:
            yield from _entries("%s%s." % (prefix, key), place, item, filename, errors)
        else:
            yield Entry(prefix + key, item, "%s: %s" % (filename, place))


def _pairs(value, prefix, filename, errors):
    """Yield (key, value, path for people) of an object once a key."""
    seen = set()
    for key, item in value.pairs:
        path = prefix + show(key)
        if key in seen:
            errors.append("%s: %s: given twice" % (filename, path))
        else:
            seen.add(key)
            yield key, item, path
