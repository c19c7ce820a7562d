"""What a daemon is at, as plain values: the one answer from which all that people and machines read is made.

`take` makes it of living syncs, `status.parse` as much of it as stands in a status
file; table, page, metrics and check read nothing else. JSON can hold it as it is. All
texts are escaped already (`show`), all times are seconds: "at", "started", "…_since"
and "last_success" since the epoch, others long. What is not known is None.
"""

import os

from lsyncd_lite import __version__
from lsyncd_lite.mirror.pair import State
from lsyncd_lite.paths import show


def take(daemon, syncs, now, wall, history=None, points=False):
    """Return the snapshot (dict) of a daemon.

    daemon: {key: value} of what only it knows, see `DAEMON`; syncs: Syncs, in the order in which people see them;
    now: their clock; wall: seconds since the epoch; history: a History; points: its points are wanted.
    """
    return {"program": "lsyncd-lite", "version": __version__, "pid": os.getpid(), "at": wall, **DAEMON, **daemon,
            "syncs": [of_sync(sync, now, history, points) for sync in syncs]}


# What only the daemon knows, and what is said where it does not.
DAEMON = {
    "started": None,         # since the epoch
    "configuration": None,   # path of its file
    "line": None,            # the status as one line
    "refused": None,         # what is wrong with the configuration that was refused last
    "stopping": None,        # what ends it
    "watches": None,         # directories that are watched
    "watches_limit": None,   # of the kernel, for this user
    "polled": None,          # directories that are scanned instead
    "overflows": None,       # times that changes below a source were lost, as the kernel's queue was full
    "memory": None,          # bytes that are resident
}


def of_sync(sync, now, history=None, points=False):
    """Return what there is to say of one sync (dict), as `take`."""
    config, tally = sync.config, sync.tally
    progress, (bytes_sent, files_sent) = sync.progress, sync.sent
    rate = None if history is None else history.rate(sync, now)
    if progress is not None and progress.rate is not None:
        rate = progress.rate
    facts = {
        "name": show(config.name),
        "section": show(config.section),   # the name without the number of the target
        "mode": config.mode,
        "source": show(config.source),
        "target": show(config.target),
        "state": sync.state.value,
        "paused": sync.paused,
        "queued": sync.pending,            # changes
        "in_flight": sync.in_flight,       # changes
        "oldest": _age(sync.oldest, now),  # age of the oldest change that is not known to be on the target
        "last_success": sync.last_success,
        "lag": tally.lag,                  # from the oldest change of the last job that has succeeded to its end
        "rate": rate,                      # bytes a second, in the last minute or two; in a full sync what that tells
        "failing_since": sync.failing_since if sync.last_error is not None else None,
        "last_error": sync.last_error,
        "next_try": _wait(sync.next_try, now),
        "held": sync.guarded,              # what maxDelete holds, in words
        "lacks": sync.lacks if sync.absent else None,
        "degraded": sync.degraded,
        "awaits": sync.awaits if sync.state is State.STARTING else None,  # what has to end before its first full sync, in words
        "owed": sync.owed,                 # names that onBatch.after was told in vain
        "jobs": {verdict.value: count for verdict, count in tally.jobs.items()},
        "seconds": tally.seconds,
        "retries": tally.retries,
        "bytes": bytes_sent,               # the size of the files whose content was sent
        "files": files_sent,
        # of the full sync that runs: {"bytes", "percent", "files" (names that are done with), "of" (so many), "rate" (bytes a second),
        # "left" (seconds)}, each of which may be None
        "progress": None if progress is None else _progress(progress, now - sync.full_job.began),
        # {"file", "age" (since the first touch that has not arrived, None: all have), "lag" (of the last that has),
        # "late" (it is older than it should be), "trouble" (why it cannot be touched, in words, or None)}
        "canary": sync.canary.facts(now) if sync.canary is not None else None,
        # {"mode", "processes", "ready" (how many of these are open), "error" (why not all are, in words)}
        "tunnel": None if sync.tunnels is None else {
            "mode": sync.tunnels.mode, "processes": len(sync.tunnels.all), "ready": sync.tunnels.ready, "error": sync.tunnels.error},
        # where it is asked for: "paths" ([str], the first of those that are queued) and "history", see history.py
    }
    if points and history is not None:
        facts["history"] = history.of(sync)
    return facts


def memory():
    """Return the bytes of ours that are resident, None where nobody tells (proc_pid_statm(5))."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def _progress(progress, lasted):
    """Return what there is to say of a Progress after so many seconds; where rsync has not found everything yet, the time left is by names."""
    facts = progress._asdict()
    if facts["left"] is None and facts["percent"]:
        facts["left"] = int(lasted * (100 - facts["percent"]) / facts["percent"])
    return facts


def _age(at, now):
    return None if at is None else max(0.0, now - at)


def _wait(at, now):
    return None if at is None else max(0.0, at - now)
