"""Extended attributes where Python has no calls for them, as it was built for musl: os.listxattr and its like.

Same names, arguments and errors.
"""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_RESULTS = {"listxattr": ctypes.c_ssize_t, "getxattr": ctypes.c_ssize_t, "setxattr": ctypes.c_int, "removexattr": ctypes.c_int}
_MOST = 1 << 16  # bytes of a value, or of all names (XATTR_SIZE_MAX, XATTR_LIST_MAX: xattr(7))


def _call(name, follows, path, *arguments):
    """Call NAME or lNAME of the C library; return what it returns, or raise OSError."""
    call = getattr(_libc, name if follows else "l" + name)
    call.restype = _RESULTS[name]
    got = call(os.fsencode(path), *arguments)
    if got < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return got


def listxattr(path, *, follow_symlinks=True):
    """Return the names."""
    buffer = ctypes.create_string_buffer(_MOST)
    got = _call("listxattr", follow_symlinks, path, buffer, ctypes.c_size_t(_MOST))
    return [os.fsdecode(name) for name in buffer.raw[:got].split(b"\0")[:-1]]


def getxattr(path, name, *, follow_symlinks=True):
    """Return a value."""
    buffer = ctypes.create_string_buffer(_MOST)
    got = _call("getxattr", follow_symlinks, path, os.fsencode(name), buffer, ctypes.c_size_t(_MOST))
    return buffer.raw[:got]


def setxattr(path, name, value, *, follow_symlinks=True):
    """Set a value (bytes)."""
    _call("setxattr", follow_symlinks, path, os.fsencode(name), value, ctypes.c_size_t(len(value)), 0)


def removexattr(path, name, *, follow_symlinks=True):
    """Remove a name."""
    _call("removexattr", follow_symlinks, path, os.fsencode(name))
