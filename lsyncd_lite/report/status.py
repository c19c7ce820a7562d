"""The status file: what a person, or a script written for lsyncd, wants to know."""

import time

from lsyncd_lite.mirror.pair import State
from lsyncd_lite.paths import show
from lsyncd_lite.system import atomic

_TROUBLES = 3  # syncs that the one line names


def render(syncs, watched, now, wall, polled=0):
    """Return the text (str) of the report.

    syncs: Syncs; watched: number of watched directories; now: the syncs' clock;
    wall: seconds since the epoch; polled: number of directories that are scanned.
    """
    lines = ["Lsyncd-lite status report at %s" % time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(wall)), ""]
    for sync in syncs:
        config = sync.config
        source = config.source if config.source.endswith(b"/") else config.source + b"/"
        lines += ["Sync %s source=%s target=%s" % (show(config.name), show(source), show(config.target)),
                  "There are %d delays" % sync.pending,
                  "State: %s" % sync.state.value,
                  "In flight: %d" % sync.in_flight]
        if sync.oldest is not None:
            lines.append("Oldest pending: %d s" % max(0, now - sync.oldest))
        lines.append("Last success: %s" % _date(sync.last_success))
        if sync.next_try is not None:
            lines.append("Next try: in %d s" % max(0, sync.next_try - now))
        if sync.awaits is not None:
            lines.append("Awaits: %s" % sync.awaits)
        if sync.degraded is not None:
            lines.append("Degraded: %s" % sync.degraded)
        if sync.absent:
            lines.append("Waiting for: %s" % sync.lacks)
        if sync.owed:
            lines.append("Not told to onBatch.after: %d names" % sync.owed)
        if sync.last_error is not None:
            lines.append("Failing since: %s" % _date(sync.failing_since))
            lines.append("Last error: %s" % sync.last_error)
        lines.append("")
    lines.append("Inotify watching %d directories" % watched)
    if polled:
        lines.append("Polling %d directories" % polled)
    return "\n".join(lines) + "\n"


def line(syncs):
    """Return the one line (str) that a service manager shows: how many syncs are at what, and why those that do not work do not."""
    states = [sync.state for sync in syncs]
    counts = ["%d %s" % (states.count(state), state.value) for state in State if state in states]
    troubles = ["%s: %s" % (show(sync.config.name), words)
                for sync, words in sorted(((sync, _trouble(sync)) for sync in syncs), key=lambda pair: pair[0].config.name) if words]
    left = len(troubles) - _TROUBLES
    return "%d sync%s: %s%s" % (len(syncs), "" if len(syncs) == 1 else "s", ", ".join(counts), "" if not troubles else " (%s%s)" % (
        "; ".join(troubles[:_TROUBLES]), "; and %d more" % left if left > 0 else ""))


def _trouble(sync):
    """Return why a sync does not do what it should, in words, or None."""
    return sync.lacks if sync.absent else sync.guarded or sync.last_error or sync.degraded


def write(path, text):
    """Replace a file (absolute bytes) with the text at once; raise OSError. A link is replaced, not followed."""
    atomic.write(path, text.encode("utf-8", "surrogateescape"))


def _date(wall):
    return "never" if wall is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))
