"""What a log line shows of a command: enough to run it by hand, and no secrets. Pure.

Hidden are passwords, and the files that hold passwords and keys: those that the configuration names,
and those that stand where programs are known to take them.
"""

import re

from lsyncd_lite.mirror.ssh import split
from lsyncd_lite.paths import to_bytes

HIDDEN = "…".encode()

_SHORT = 4  # bytes: a shorter value is hidden where it is a whole word, as it may well be a part of others

# In any text, that of a shell too: NAME=VALUE and --NAME=VALUE (or a blank) of names that speak of passwords.
_QUOTED = rb"(?:'[^']*'|\"(?:[^\"\\]|\\.)*\"|\\.|[^\s'\";&|])+"
_SPEAKS = rb"[\w-]*(?:password|passwd|passphrase|sshpass|secret|token)(?:[_-]?file)?"
_NAMED = re.compile(rb"(?i)(--" + _SPEAKS + rb"[= ]|\b" + _SPEAKS + b"=)" + _QUOTED)
_WHOLE = re.compile(rb"(?i)((?:--)?" + _SPEAKS + b"=).", re.DOTALL)  # a word that is nothing else
_SSHPASS = re.compile(rb"(\bsshpass\b(?:\s+-[evV]+|\s+-[fdP]\s*\S+)*\s+-[fp]\s*)" + _QUOTED)
_KEYS = re.compile(rb"(\b(?:ssh|scp|sftp)\b(?:\s[^;&|\n]*?)?\s-i\s*|-o\s*(?i:identityfile)[\s=]+)" + _QUOTED)
_IDENTITY = re.compile(rb"(?i)((?:-o)?\s*identityfile\s*[=\s]\s*)\S.*", re.DOTALL)

_TAKE_A_SECRET = {b"ssh": (b"-i",), b"scp": (b"-i",), b"sftp": (b"-i",), b"sshpass": (b"-p", b"-f")}


def secrets_of(sync):
    """Return the values (bytes) of a SyncConfig that no log line shows."""
    named = [to_bytes(name) for name in (sync.rsync.password_file, sync.ssh.identityFile) if name is not None]
    # a script's own values: a path is none
    return named + [to_bytes(value) for _name, value in sync.param if not value.startswith("/")]


def discreet(argv, secrets=()):
    """Return the words (list of bytes) of a command as people may see them; secrets: values (bytes) that stand in it."""
    secrets = sorted((value for value in secrets if value), key=len, reverse=True)
    return [_without(word, secrets) for word in _words(argv)]


def _without(word, secrets):
    for value in secrets:
        if word == value:
            return HIDDEN
        if len(value) >= _SHORT:
            word = word.replace(value, HIDDEN)
    return word


def _words(argv):
    """Return words without what stands where a program takes a secret."""
    found, takes, is_shell, hides = [], (), False, False
    for word in argv:
        name = word.rpartition(b"/")[2]
        if hides:
            word, hides = HIDDEN, False
        elif is_shell or word.startswith(b"--rsh="):
            option, equals, text = word.partition(b"=") if word.startswith(b"--rsh=") else (b"", b"", word)
            word, is_shell = option + equals + b" ".join(_words(split(text))), False
        elif name in _TAKE_A_SECRET:
            takes = _TAKE_A_SECRET[name]
        elif word[:2] in takes:
            hides = len(word) == 2
            word = word if hides else word[:2] + HIDDEN
        elif word == b"--password-file":
            hides = True
        elif takes and _IDENTITY.match(word):
            word = _IDENTITY.sub(lambda match: match.group(1) + HIDDEN, word)
        elif found[-1:] != [b"-c"] and _WHOLE.match(word):
            word = _WHOLE.match(word).group(1) + HIDDEN
        else:
            is_shell = word in (b"-e", b"--rsh") and not takes
            for pattern in _NAMED, _SSHPASS, _KEYS:
                word = pattern.sub(lambda match: match.group(1) + HIDDEN, word)
        found.append(word)
    return found
