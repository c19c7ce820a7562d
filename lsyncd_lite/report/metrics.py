"""The metrics file: a snapshot in the text format of Prometheus, for node_exporter's textfile collector.

No times of samples: that collector takes none. Values that are not known are left out, so that nobody
takes them for 0. The first line is a comment that says who writes it.
"""

from lsyncd_lite.paths import show
from lsyncd_lite.system import atomic

_PREFIX = "lsyncd_lite_"
_MARK = "# written by lsyncd-lite, PID "


def _flag(value):
    return int(value is not None and value is not False)


# (name, type, help, value(snapshot))
_DAEMON = (
    ("start_time_seconds", "gauge", "When the daemon began, in seconds since the epoch.", lambda facts: facts["started"]),
    ("watched_directories", "gauge", "Directories that are watched by inotify.", lambda facts: facts["watches"]),
    ("watches_limit", "gauge", "Watches that the kernel allows the user in all.", lambda facts: facts["watches_limit"]),
    ("polled_directories", "gauge", "Directories that are scanned instead of watched.", lambda facts: facts["polled"]),
    ("overflows_total", "counter", "Times that changes below a source were lost as the kernel's event queue was full.",
     lambda facts: facts["overflows"]),
    ("resident_memory_bytes", "gauge", "Resident memory of the daemon.", lambda facts: facts["memory"]),
    ("configuration_refused", "gauge", "1: the configuration that was read last is refused, an older one goes on.",
     lambda facts: _flag(facts["refused"])),
)

# (name, type, help, value(sync))
_SYNC = (
    ("queued_changes", "gauge", "Changes that wait.", lambda sync: sync["queued"]),
    ("in_flight_changes", "gauge", "Changes that running jobs are about.", lambda sync: sync["in_flight"]),
    ("oldest_pending_seconds", "gauge", "Age of the oldest change that is not known to be on the target, 0 without any.",
     lambda sync: sync["oldest"] or 0),
    ("last_success_timestamp_seconds", "gauge", "When a job succeeded last, in seconds since the epoch.", lambda sync: sync["last_success"]),
    ("lag_seconds", "gauge", "Time from the oldest change of the last job that has succeeded to its end.", lambda sync: sync["lag"]),
    ("failing", "gauge", "1: the last thing that was tried has failed.", lambda sync: _flag(sync["last_error"])),
    ("held", "gauge", "1: it would delete more than maxDelete, and is held.", lambda sync: _flag(sync["held"])),
    ("source_missing", "gauge", "1: the source, or its marker, is not there.", lambda sync: _flag(sync["lacks"])),
    ("paused", "gauge", "1: somebody has told it to pause.", lambda sync: _flag(sync["paused"])),
    ("degraded", "gauge", "1: changes are noticed late, as not everything is watched.", lambda sync: _flag(sync["degraded"])),
    ("awaiting_start", "gauge", "1: its first full sync waits for those of others (maxInit).", lambda sync: _flag(sync["awaits"])),
    ("tunnels", "gauge", "Tunnels that are to be open.", lambda sync: (sync["tunnel"] or {}).get("processes")),
    ("tunnels_open", "gauge", "Tunnels that are open.", lambda sync: (sync["tunnel"] or {}).get("ready")),
    ("untold_names", "gauge", "Names that onBatch.after was told in vain.", lambda sync: sync["owed"]),
    ("job_seconds_total", "counter", "Time that jobs have taken.", lambda sync: sync["seconds"]),
    ("retries_total", "counter", "Jobs that tried again what had failed.", lambda sync: sync["retries"]),
    ("sent_bytes_total", "counter", "Size of the files whose content was sent.", lambda sync: sync["bytes"]),
    ("sent_files_total", "counter", "Files whose content was sent.", lambda sync: sync["files"]),
    ("full_sync_progress_ratio", "gauge", "Part of the full sync that runs which is done, 0 to 1.", lambda sync: _ratio(sync["progress"])),
    ("canary_lag_seconds", "gauge", "Time that the last touch of the canary file needed to its target.",
     lambda sync: (sync["canary"] or {}).get("lag")),
    ("canary_age_seconds", "gauge", "Age of the oldest touch of the canary file that has not arrived, 0 without any.",
     lambda sync: None if sync["canary"] is None else sync["canary"].get("age") or 0),
)


def _ratio(progress):
    return None if progress is None or progress["percent"] is None else progress["percent"] / 100


def render(snapshot):
    """Return the text (str) of the file."""
    syncs = [(sync, _labels(sync=sync["name"], mode=sync["mode"], target=sync["target"])) for sync in snapshot["syncs"]]
    lines = ["%s%s" % (_MARK, snapshot["pid"])]
    lines += _family("info", "gauge", "The version that runs.", [(_labels(version=snapshot["version"]), 1)])
    for name, kind, words, value in _DAEMON:
        lines += _family(name, kind, words, [("", value(snapshot))])
    for name, kind, words, value in _SYNC:
        lines += _family(name, kind, words, [(labels, value(sync)) for sync, labels in syncs])
    lines += _family("jobs_total", "counter", "Jobs that have ended, by what that came to.", [
        (_labels(sync=sync["name"], mode=sync["mode"], target=sync["target"], outcome=outcome), count)
        for sync, _names in syncs for outcome, count in (sync["jobs"] or {}).items()])
    return "\n".join(lines) + "\n"


def _family(name, kind, words, samples):
    """Return the lines of one metric: samples are (labels, number); those without a number are none."""
    known = [(labels, value) for labels, value in samples if value is not None]
    if not known:
        return []
    name = _PREFIX + name
    return ["# HELP %s %s" % (name, words), "# TYPE %s %s" % (name, kind)] + [
        "%s%s %s" % (name, labels, value if isinstance(value, int) else repr(float(value))) for labels, value in known]


def _labels(**values):
    return "{%s}" % ",".join('%s="%s"' % (name, value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"'))
                             for name, value in values.items())


def write(path, text):
    """Replace a file (absolute bytes) with the text at once, for everybody to read; raise OSError."""
    atomic.write_public(path, text.encode("utf-8", "backslashreplace"))


def remove(path, pid):
    """Remove a file that we (pid) have written, if it still is ours; if that cannot be done it stays."""
    if _writer(path) == pid:
        try:
            atomic.remove(path)
        except OSError:
            pass  # its age tells (node_textfile_mtime_seconds)


def other(path, pid):
    """Return words where another daemon that runs writes the same file, else None; pid: ours."""
    writer = _writer(path)
    if writer in (None, pid) or not _is_alive(writer):
        return None
    return "the metrics file %s is another daemon's, too (PID %d): each needs one of its own" % (show(path), writer)


def _writer(path):
    """Return the PID of who has written a file, or None."""
    line = atomic.begin_of(path, 100).partition(b"\n")[0]
    number = line[len(_MARK):] if line.startswith(_MARK.encode()) else b""
    return int(number) if number.isdigit() else None


def _is_alive(pid):
    """Tell whether a process runs, and is a daemon of ours (after a crash another may have its number)."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return b"lsyncd" in file.read()
    except OSError:
        return False
