"""Paths are bytes from the kernel to argv; this is the one door to human text, and back.

Text that came from a configuration or the command line is UTF-8 with
surrogateescape, so that every byte string survives the way to str and back.
"""

_LISTED = 10  # names in a message that could have hundreds


def to_bytes(text):
    """Return the bytes of a str that a reader or the command line made."""
    return text.encode("utf-8", "surrogateescape")


def to_text(path):
    """Return the str that `to_bytes` turns into `path` again; not for people: see `show`."""
    return path.decode("utf-8", "surrogateescape")


def show(path):
    """Return a path (bytes or str) for people: one line, whatever the name holds.

    Everything that is not printable, and the backslash itself, is escaped, so that
    a file name can neither forge a log line nor steer a terminal.
    """
    text = path if isinstance(path, str) else to_text(path)
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_escape, text))


def shown(line):
    """Return a line (bytes) that a child of ours has made for people, escaped only if it is not already."""
    text = to_text(line)
    return text if text.isprintable() else show(text)


def _escape(char):
    if char == "\\":
        return "\\\\"
    if char.isprintable():
        return char
    if "\udc80" <= char <= "\udcff":  # a byte that is no UTF-8
        return "\\x%02x" % (ord(char) - 0xDC00)
    return char.encode("unicode_escape").decode("ascii")


def join(directory, name):
    """Join two relative or absolute byte paths; b"" is the root of both."""
    if not directory:
        return name
    if not name:
        return directory
    return directory + name if directory.endswith(b"/") else directory + b"/" + name


def split(path):
    """Return (directory, name) of a byte path; the directory of what stands alone is b""."""
    directory, slash, name = path.rpartition(b"/")
    return directory or (slash if slash == path[:1] else b""), name


def below(path, directory):
    """Return `path` relative to `directory` (b"" for itself), or None where it is not in it.

    Both are absolute and normalised, without a trailing slash (but for b"/").
    """
    if path == directory:
        return b""
    prefix = directory if directory.endswith(b"/") else directory + b"/"
    return path[len(prefix):] if path.startswith(prefix) else None


def is_in(path, directories):
    """Tell whether a relative path is one of some directories, or below one."""
    return any(path == directory or path.startswith(directory + b"/") for directory in directories)


def listed(names):
    """Return texts (list of str) for a message: all of a few, the first of many and how many more."""
    return ", ".join(names[:_LISTED]) + (" and %d more" % (len(names) - _LISTED) if len(names) > _LISTED else "") or "none"
