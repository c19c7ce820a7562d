"""For tests of metrics: made-up snapshots, and a strict reader of the text format of Prometheus (its documentation, "Exposition formats")."""

import re

from lsyncd_lite.mirror.job import Verdict
from lsyncd_lite.paths import show
from lsyncd_lite.report import snapshot

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SAMPLE = re.compile(r"(?P<name>[a-z][a-z0-9_]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)", re.DOTALL)
_LABEL = re.compile(r'([a-z][a-z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def read(text):
    """Return {name: (type, help, {labels as a sorted tuple of pairs: float})}; AssertionError for whatever is not as it must be."""
    assert text.endswith("\n") and not text.endswith("\n\n")
    families, name = {}, None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, words = line[7:].split(" ", 1)
            assert _NAME.fullmatch(name) and name not in families, "a family twice: %s" % line
            assert words and "\\" not in words
            families[name] = [None, words, {}]
        elif line.startswith("# TYPE "):
            typed, kind = line[7:].split(" ")
            assert typed == name and families[name][0] is None and not families[name][2] and kind in ("gauge", "counter")
            assert (kind == "counter") == name.endswith("_total")
            families[name][0] = kind
        elif line.startswith("#"):
            assert not families  # one comment, at the top
        else:
            match = _SAMPLE.fullmatch(line)
            assert match and match.group("name") == name and families[name][0], "not where it belongs: %r" % line
            labels, rest = [], match.group("labels") or ""
            while rest:
                pair = _LABEL.match(rest)
                assert pair, "no label: %r" % rest
                labels.append((pair.group(1), re.sub(r"\\.", lambda found: _ESCAPES[found.group()], pair.group(2))))
                rest = rest[pair.end():]
            assert len({key for key, _value in labels}) == len(labels)
            key = tuple(sorted(labels))
            assert key not in families[name][2], "a sample twice: %r" % line
            assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", match.group("value"))
            families[name][2][key] = float(match.group("value"))
    assert all(kind and samples for kind, _words, samples in families.values())
    return families


HOSTILE = ['a"b', "back\\slash", "two\nlines", "}{,=", "tab\there", "naïve ✓", show(b"\xff\xfe bytes"), 'ends with \\', '",x="y', ""]


def facts(name, **more):
    return {**dict(name=name, section=name, mode="rsync", source="/s/", target="host:/" + name, state="idle", paused=False, queued=3, in_flight=1,
                   oldest=2.5, last_success=1e9, lag=0.25, rate=None, failing_since=None, last_error=None, next_try=None, held=None, lacks=None,
                   degraded=None, owed=0, jobs={verdict.value: 1 for verdict in Verdict}, seconds=1.5, retries=2, bytes=10 ** 15, files=7,
                   progress=None, canary=None, awaits=None, tunnel=None), **more}


def taken(*syncs, **daemon):
    return {"program": "lsyncd-lite", "version": "1.2.3", "pid": 77, "at": 1e9, **snapshot.DAEMON, **daemon, "syncs": list(syncs)}
