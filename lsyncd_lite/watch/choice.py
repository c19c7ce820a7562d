"""How a root is watched: by inotify where that tells everything, else by scans.

Knows what is asked for (`monitor`) and what the file system and the limits allow; knows
nothing of what becomes of the changes.
"""

from lsyncd_lite.paths import below, show
from lsyncd_lite.watch import filesystems, limits
from lsyncd_lite.watch.polled import Polled
from lsyncd_lite.watch.tree import Tree


def roots(configs):
    """Return {(topmost source, whether it is watched by scans alone): indices of the configs whose source is it or lies in it}.

    configs: list of SyncConfigs; who is watched in another way below the same root has a root of its own.
    """
    found = {}
    for at in sorted(range(len(configs)), key=lambda at: configs[at].source):
        source, polls = configs[at].source, _polls(configs[at])
        key = next((key for key in found if key[1] == polls and below(source, key[0]) is not None), (source, polls))
        found.setdefault(key, []).append(at)
    return found


def _polls(config):
    """Tell whether a sync is watched by scans; a source that is not there yet is looked at again when it is."""
    if config.monitor == "auto":
        return filesystems.remote(config.source) is not None
    return config.monitor == "poll"


def watch(root, mode, wants, polls, monitors, breathe=None):
    """Return (a Tree or a Polled, words or None for a Warn, words or None for a lack of inotify's); raise OSError.

    polls: by scans, whatever is there; monitors: what is asked for by those it is for; breathe(): called while it lasts.
    """
    remote, warning = filesystems.remote(root), None
    if polls or remote is not None and "inotify" not in monitors:
        if remote is not None and "poll" not in monitors:
            warning = "%s is on %s, where nothing tells what other hosts change: it is scanned" % (show(root), remote)
        return Polled(root, wants), warning, None
    if remote is not None:
        warning = "%s is on %s: what other hosts change is not noticed (monitor = inotify)" % (show(root), remote)
    try:
        return Tree(root, mode, wants, breathe), warning, None
    except OSError as error:
        words = limits.used_up(error)
        if words is None:
            raise
    return Polled(root, wants), warning, "cannot watch %s: %s" % (show(root), words)
