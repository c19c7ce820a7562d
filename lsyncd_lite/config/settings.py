"""THE TABLE: everything known about every key, once.

Readers, checks, `-help`, manual pages and the rsync argument builder are loops
over these rows. A new key is a new row; nothing else in config/ knows keys by name
unless it checks two of them against each other.
"""

import re
from collections import namedtuple
from functools import lru_cache

from lsyncd_lite.config import crontab
from lsyncd_lite.paths import show, to_bytes

# name      as in lsyncd; what stands behind a dot in INI, inside an object in JSON
# scopes    "settings", "sync", "settings sync" (inherited by every sync) or one of TABLES
# kind      a Kind below: checks and converts
# default   the value when the key is absent; None: not set
# help      one sentence for people
# option    metavar of the command-line option of the same name ("" for a switch), None: no option
# flag      rsync's own flag; one that ends in "=" takes the value
# modes     the modes of a sync in which it may stand, None: in all
# by_mode   {mode: default} where a mode has a default of its own
Key = namedtuple("Key", "name scopes kind default help option flag modes by_mode", defaults=(None, None, None, None))

# parse(raw) -> value, raising ValueError; allowed: what may stand there, for people; paired: the
# value is a tuple of pairs, each of which may have a line KEY.NAME of its own
Kind = namedtuple("Kind", "parse allowed choices paired", defaults=((), False))

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True,
             "false": False, "no": False, "off": False, "0": False}


def _text(raw):
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        raw = str(raw)
    if not isinstance(raw, str) or "\n" in raw:
        raise ValueError
    return _command(raw)


def _command(raw):
    if not isinstance(raw, str) or not raw.strip() or "\0" in raw:
        raise ValueError
    to_bytes(raw)  # a lone surrogate from JSON is a ValueError
    return raw


def _listing(raw):
    text = _command(raw).strip()
    if not text.startswith("!") and "\n" in text or not text[text.startswith("!"):].strip():
        raise ValueError
    return text


def _boolean(raw):
    return raw if isinstance(raw, bool) else _BOOLEANS[_text(raw).lower()]


def _seconds(raw):
    value = float(_text(raw))
    if not 0 <= value < 1e9:
        raise ValueError
    return value


def _span(raw):
    value = _seconds(raw)
    if value < 0.1:
        raise ValueError
    return value


def _marker(raw):
    name = _text(raw)
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError
    return name


def _socket(raw):
    if raw is False or isinstance(raw, str) and _BOOLEANS.get(raw.lower()) is False:
        return False
    return _text(raw)


def _address(raw):
    import socket
    text = _text(raw)
    try:
        if text != "localhost":
            socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except OSError:
        raise ValueError from None
    return text


def _canary(raw):
    name = _text(raw)
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError
    return name


def _crontab(raw):
    return tuple(map(crontab.parse, _lines(raw)))


def _lines(raw):
    items = raw if isinstance(raw, list) else raw.split("\n") if isinstance(raw, str) and raw else [_text(raw)]
    return tuple(_text(item) for item in items if item != "" and not _blank(item))


def _blank(item):
    return isinstance(item, str) and not item.strip()


def _options(raw):
    if isinstance(raw, tuple):  # one that stands on its own: KEY.K = V, or a pair of a JSON object
        name, value = raw
        raw = ["%s=%s" % (name, "yes" if value is True else "no" if value is False else _text(value))]
    found = [re.fullmatch("([A-Za-z]+)(?:[ \t]*=[ \t]*|[ \t]+)([^ \t].*)", item.strip()) for item in _lines(raw)]
    if None in found:
        raise ValueError
    return tuple("%s=%s" % match.groups() for match in found)


def _exitcodes(raw):
    if isinstance(raw, tuple):  # KEY.CODE = WORD, or a pair of a JSON object
        raw = ["%s = %s" % raw]
    found = [re.fullmatch("([0-9]{1,3})[ \t]*=[ \t]*(ok|again|die)", item.strip()) for item in _lines(raw)]
    if None in found or any(int(match.group(1)) > 255 for match in found):
        raise ValueError
    return tuple((int(match.group(1)), match.group(2)) for match in found)


def _params(raw):
    if isinstance(raw, tuple):  # KEY.NAME = VALUE, or a pair of a JSON object
        name, value = raw
        raw = ["%s = %s" % (name, "yes" if value is True else "no" if value is False else _text(value))]
    found = [re.fullmatch("([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)", item.strip()) for item in _lines(raw)]
    if None in found:
        raise ValueError
    return tuple(match.groups() for match in found)


def _character(raw):
    return raw if raw == "\0" else _text(raw)


def _whole(minimum, maximum=None):
    def parse(raw):
        value = int(_text(raw))
        if value < minimum or maximum is not None and value > maximum:
            raise ValueError
        return value
    return Kind(parse, "a whole number, %d %s" % (minimum, "or more" if maximum is None else "to %d" % maximum))


def _choice(*names):
    def parse(raw):
        value = _text(raw)
        if value not in names:
            raise ValueError
        return value
    return Kind(parse, "one of: " + ", ".join(names), names)


def _mode(raw):
    name = _text(raw)
    name = name[8:] if name.startswith("default.") else name
    if name not in MODES:
        raise ValueError
    return name


def _delete(raw):
    return raw if raw in ("startup", "running") else _boolean(raw)


FACILITIES = tuple("kern user mail daemon auth syslog lpr news uucp cron authpriv ftp "
                   "local0 local1 local2 local3 local4 local5 local6 local7".split())


def _ionice(raw):
    text = _text(raw)
    if not re.fullmatch("idle|best-effort(:[0-7])?", text):
        raise ValueError
    return text


def _facility(raw):
    name = _text(raw)
    if name.isdigit() and int(name) < 24 or name in FACILITIES:
        return name
    raise ValueError


MODES = ("rsync", "rsyncssh", "direct", "exec", "script")
_MIRRORING = "rsync rsyncssh direct"

BOOL = Kind(_boolean, "true, false, yes, no, on, off, 1 or 0")
SECONDS = Kind(_seconds, "a number of seconds, 0 or more")
SPAN = Kind(_span, "a number of seconds, 0.1 or more")
MARKER = Kind(_marker, "the name of a file, relative to the source")
ADDRESS = Kind(_address, "localhost or an address of this host, in numbers")
CANARY = Kind(_canary, "the name of a file (no part of it . or ..), relative to the source")
CRONTAB = Kind(_crontab, "a list of times, each of six fields: second minute hour day month weekday, as in crontab(5) "
               "(0 30 2 * * mon-fri: half past two on working days)")
TEXT = Kind(_text, "a text that is not empty")
FILE = Kind(_text, "a file name")
SOCKET = Kind(_socket, "a file name, or no")
LINES = Kind(_lines, "a list of texts (INI: one a line; JSON: an array of strings)")
OPTIONS = Kind(_options, "options of ssh_config(5), K=V with K of letters "
               "(INI: one a line, or ssh.options.K = V; JSON: an object, or an array of strings)", paired=True)
COMMAND = Kind(_command, "a command: a program with its whole path and arguments, or else a text for /bin/sh, of several lines")
LISTING = Kind(_listing, "a file name, or ! and a command")
EXITCODES = Kind(_exitcodes, "CODE = ok, again or die, with a CODE of 0 to 255 (INI: one a line, or exitcodes.CODE = WORD; "
                 "JSON: an object, or an array of strings)", paired=True)
PARAMS = Kind(_params, "NAME = VALUE with a NAME of letters, digits and _ (INI: one a line, or param.NAME = VALUE; JSON: an object)",
              paired=True)
DELETE = Kind(_delete, "yes, no, startup or running (true is yes, false no)", ("yes", "no", "startup", "running"))
FACILITY = Kind(_facility, "one of: " + ", ".join(FACILITIES) + ", or a number below 24", FACILITIES)
IONICE = Kind(_ionice, "idle, best-effort, or best-effort:N with an N of 0 to 7", ("idle", "best-effort"))
MODE = Kind(_mode, "one of: " + ", ".join(MODES), MODES)

KEYS = (
    # ---- settings ----------------------------------------------------------------------------
    Key("logfile", "settings", FILE, None, "Append the log to this file instead of sending it to syslog.", "FILE"),
    Key("pidfile", "settings", FILE, None, "Write the PID to this file and hold a lock on it.", "FILE"),
    Key("nodaemon", "settings", BOOL, False, "Stay in the foreground and log to the terminal too.", ""),
    Key("onepass", "settings", BOOL, False, "Do one full sync of every sync, then exit.", ""),
    Key("statusFile", "settings", FILE, None, "Keep a status report in this file."),
    Key("statusInterval", "settings", SECONDS, 10.0,
        "Let at least this many seconds pass between two writes of the status report, and of the metrics."),
    Key("metricsFile", "settings", FILE, None, "Keep metrics for the textfile collector of Prometheus' node_exporter in this file (NAME.prom)."),
    Key("logfacility", "settings", FACILITY, None, "Syslog facility (default: user)."),
    Key("logident", "settings", TEXT, None, "Syslog tag (default: lsyncd-lite)."),
    Key("insist", "settings", BOOL, False,
        "Keep going at start-up when a source is missing or a target cannot be reached.", ""),
    Key("inotifyMode", "settings", _choice("CloseWrite", "Modify", "CloseWrite or Modify"), "CloseWrite",
        "Which writes count as a change: when the file is closed, each write, or both."),
    Key("maxProcesses", "settings", _whole(1), None, "Child processes at one time, over all syncs."),
    Key("maxInit", "settings", _whole(1), None, "Syncs that may be at their first full sync at one time (default: all)."),
    Key("shutdownTimeout", "settings", SECONDS, 60.0,
        "Seconds that pending changes and running children get after TERM before they are ended."),
    Key("stateDir", "settings", FILE, None,
        "Directory in which what could not be mirrored before the end is kept for the next start (default: $STATE_DIRECTORY)."),
    Key("controlSocket", "settings", SOCKET, None,
        "Socket on which lsyncd-lite status, wait and so on reach the daemon, or no (default: NAME.sock in /run/lsyncd-lite, "
        "with the name of the configuration)."),
    Key("onFatal", "settings", _choice("isolate", "exit"), "isolate",
        "When a sync fails for good: isolate it and run the others on, or exit."),
    # ---- settings and sync -------------------------------------------------------------------
    Key("delay", "settings sync", SECONDS, 15.0,
        "Gather changes for this many seconds (default: 15; mode direct: 1; modes exec and script: 0).",
        "SECS", by_mode={"direct": 1.0, "exec": 0.0, "script": 0.0}),
    Key("maxDelays", "settings sync", _whole(1), 1000,
        "Start before the delay is over when more changes than this are queued."),
    Key("monitor", "settings sync", _choice("auto", "inotify", "poll"), "auto",
        "How changes are noticed: by what the kernel tells, by scans, or (auto) by scans where a file system does not tell "
        "what other hosts change."),
    Key("scanInterval", "settings sync", SPAN, 60.0,
        "Seconds between two scans of what is polled, or of what there are not enough inotify watches for."),
    Key("jobTimeout", "settings sync", SPAN, None,
        "End a job that has neither printed nor moved anything for this many seconds, and try again (default: never)."),
    Key("nice", "settings sync", _whole(-20, 19), None, "What is added to the niceness of the processes that mirror: 19 lets all others go first."),
    Key("ionice", "settings sync", IONICE, None, "Class of the processes that mirror where they wait for disks."),
    # ---- sync --------------------------------------------------------------------------------
    Key("name", "sync", TEXT, None, "Name of the sync in log and status (INI: the word in [sync NAME])."),
    Key("mode", "sync", MODE, "rsync", "How changes travel."),
    Key("source", "sync", FILE, None, "Local directory to watch."),
    Key("target", "sync", LINES, None,
        "Directory, host:dir, user@host:dir, rsync://host/module or host::module; a list mirrors to each. "
        "Mode direct: directories of this host; mode rsyncssh: the same as targetdir; "
        "modes exec and script: any text, for ^target, or none."),
    Key("targetsFrom", "sync", LISTING, None,
        "File of targets (mode rsyncssh: hosts), one a line, or ! and a command that prints them."),
    Key("host", "sync", LINES, None, "Host or user@host that ssh reaches; a list mirrors to each.", modes="rsyncssh"),
    Key("targetdir", "sync", FILE, None, "Directory on the host; relative to the home there, as ~/dir is.",
        modes="rsyncssh"),
    Key("maxProcesses", "sync", _whole(1), 1, "Children of this sync at one time."),
    Key("exclude", "sync", LINES, (), "Patterns of what is not mirrored."),
    Key("excludeFrom", "sync", FILE, None, "File of exclude patterns, one a line."),
    Key("filter", "sync", LINES, (), "Ordered rules \"+ PATTERN\" or \"- PATTERN\"; the first match decides."),
    Key("filterFrom", "sync", FILE, None, "File of filter rules, one a line."),
    Key("delete", "sync", DELETE, True,
        "Delete on the target what the source has not: yes, no, or at start-up or while running only.",
        modes=_MIRRORING),
    Key("init", "sync", BOOL, True, "Begin with a full sync."),
    Key("allowEmptySource", "sync", BOOL, False,
        "Mirror an empty source, which empties the target (else refused: it may be a missing mount).",
        modes=_MIRRORING),
    Key("requireMarker", "sync", MARKER, None,
        "Mirror only while this file is in the source: it tells a mounted source from an empty mount point."),
    Key("maxDelete", "sync", _whole(0), None,
        "Hold a job that would remove more entries than this on the target, until it is released.", modes=_MIRRORING),
    Key("canary", "sync", CANARY, None,
        "Touch this file in the source again and again, and measure how long it takes to arrive.", modes=_MIRRORING),
    Key("canaryInterval", "sync", SPAN, 60.0, "Seconds between two touches of the canary.", modes=_MIRRORING),
    Key("fullSyncInterval", "sync", SPAN, None, "Seconds between two full syncs while running."),
    Key("crontab", "sync", CRONTAB, (),
        "Times of full syncs, one a line: second minute hour day month weekday."),
    Key("fullSyncJitter", "sync", SECONDS, None,
        "Begin these full syncs at random up to this many seconds later (default: a tenth of the time to the next, 60 at most)."),
    Key("batchSizeLimit", "sync", _whole(0), None,
        "Files larger than this many bytes travel in a process of their own.", modes="rsync rsyncssh"),
    Key("runIf", "sync", COMMAND, None, "Start nothing while this command fails; changes are gathered all the time."),
    Key("runIfInterval", "sync", SECONDS, 10.0, "Ask again after this many seconds when runIf has failed."),
    # ---- sync, mode exec ---------------------------------------------------------------------
    Key("onStartup", "sync", COMMAND, None, "Run this first; nothing else runs before it has ended with 0.", modes="exec"),
    Key("onCreate", "sync", COMMAND, None, "Run this for what has appeared, when it is written and closed.", modes="exec"),
    Key("onModify", "sync", COMMAND, None, "Run this for a file that was written.", modes="exec"),
    Key("onAttrib", "sync", COMMAND, None, "Run this for what has other attributes.", modes="exec"),
    Key("onDelete", "sync", COMMAND, None, "Run this for what is gone.", modes="exec"),
    Key("onMove", "sync", COMMAND, None,
        "Run this for what was renamed, with ^o. and ^d. (without it, that is a deletion and a creation).", modes="exec"),
    Key("exitcodes", "sync", EXITCODES, (),
        "What an exit status of an action means: ok, again (later) or die (the sync has failed); others are ignored.",
        modes="exec script"),
    # ---- sync, mode script -------------------------------------------------------------------
    Key("script", "sync", FILE, None, "Python file with functions that are called for changes.", modes="script"),
    Key("param", "sync", PARAMS, (), "Values of your own, for the script: config.param[NAME].", modes="script"),
    # ---- onBatch -----------------------------------------------------------------------------
    Key("before", "onBatch", COMMAND, None, "Run this before each job; while it fails, the job waits and is tried again."),
    Key("after", "onBatch", COMMAND, None, "Run this after each job that has succeeded."),
    Key("failed", "onBatch", COMMAND, None, "Run this after each job that has failed."),
    Key("afterFailure", "onBatch", _choice("ignore", "again"), "ignore",
        "When onBatch.after fails: only log it, or run it again, after longer and longer pauses."),
    # ---- rsync -------------------------------------------------------------------------------
    Key("binary", "rsync", TEXT, "rsync", "The rsync to run."),
    Key("_extra", "rsync", LINES, (), "Further arguments, passed as they are."),
    Key("archive", "rsync", BOOL, False,
        "Sets links, perms, times, group, owner, devices and specials unless they are set on their own "
        "(default: no; mode direct: yes).", by_mode={"direct": True}),
    Key("acls", "rsync", BOOL, None, "Mirror ACLs.", flag="-A"),
    Key("backup", "rsync", BOOL, None, "Keep what is replaced or deleted.", flag="-b"),
    Key("checksum", "rsync", BOOL, None, "Compare by checksum, not by size and time.", flag="-c"),
    Key("compress", "rsync", BOOL, None, "Compress what travels.", flag="-z"),
    Key("copy_dirlinks", "rsync", BOOL, None, "Treat a link to a directory as that directory.", flag="-k"),
    Key("copy_links", "rsync", BOOL, None, "Send what links point to.", flag="-L"),
    Key("cvs_exclude", "rsync", BOOL, None, "Exclude what CVS does.", flag="-C"),
    Key("devices", "rsync", BOOL, None, "Mirror device files.", flag="--devices"),
    Key("dry_run", "rsync", BOOL, None, "Change nothing on the target.", flag="-n"),
    Key("executability", "rsync", BOOL, None, "Mirror executability.", flag="-E"),
    Key("group", "rsync", BOOL, None, "Mirror the group.", flag="-g"),
    Key("hard_links", "rsync", BOOL, None, "Mirror hard links.", flag="-H"),
    Key("ignore_times", "rsync", BOOL, None, "Send also what looks the same by size and time.", flag="-I"),
    Key("ipv4", "rsync", BOOL, None, "Prefer IPv4.", flag="-4"),
    Key("ipv6", "rsync", BOOL, None, "Prefer IPv6.", flag="-6"),
    Key("keep_dirlinks", "rsync", BOOL, None, "Treat a link to a directory on the target as one.", flag="-K"),
    Key("links", "rsync", BOOL, True, "Mirror symbolic links.", flag="-l"),
    Key("omit_dir_times", "rsync", BOOL, None, "Leave out the times of directories.", flag="-O"),
    Key("omit_link_times", "rsync", BOOL, None, "Leave out the times of links.", flag="-J"),
    Key("one_file_system", "rsync", BOOL, None, "Stay on the file system of the source.", flag="-x"),
    Key("owner", "rsync", BOOL, None, "Mirror the owner.", flag="-o"),
    Key("perms", "rsync", BOOL, None, "Mirror permissions.", flag="-p"),
    Key("protect_args", "rsync", BOOL, True, "Keep a remote shell from splitting names.", flag="-s"),
    Key("prune_empty_dirs", "rsync", BOOL, None, "Leave out empty directories.", flag="-m"),
    Key("quiet", "rsync", BOOL, None, "Print errors only.", flag="-q"),
    Key("sparse", "rsync", BOOL, None, "Make sparse files sparse.", flag="-S"),
    Key("specials", "rsync", BOOL, None, "Mirror fifos and sockets.", flag="--specials"),
    Key("times", "rsync", BOOL, True, "Mirror modification times.", flag="-t"),
    Key("update", "rsync", BOOL, None, "Skip files that are newer on the target.", flag="-u"),
    Key("verbose", "rsync", BOOL, None, "Name what travels, in the log.", flag="-v"),
    Key("whole_file", "rsync", BOOL, None, "Send whole files, not differences.", flag="-W"),
    Key("xattrs", "rsync", BOOL, None, "Mirror extended attributes.", flag="-X"),
    Key("append", "rsync", BOOL, None, "Append to shorter files.", flag="--append"),
    Key("append_verify", "rsync", BOOL, None, "As append, and verify what was there.", flag="--append-verify"),
    Key("copy_unsafe_links", "rsync", BOOL, None, "Send what links that leave the tree point to.",
        flag="--copy-unsafe-links"),
    Key("delete_excluded", "rsync", BOOL, None, "Delete what is excluded on the target, at a full sync.",
        flag="--delete-excluded"),
    Key("existing", "rsync", BOOL, None, "Create nothing new on the target.", flag="--existing"),
    Key("inplace", "rsync", BOOL, None, "Write into files in place.", flag="--inplace"),
    Key("backup_dir", "rsync", FILE, None, "Where backups go.", flag="--backup-dir="),
    Key("bwlimit", "rsync", TEXT, None, "Limit of the rate, KiB per second.", flag="--bwlimit="),
    Key("chmod", "rsync", TEXT, None, "Change permissions on the way.", flag="--chmod="),
    Key("chown", "rsync", TEXT, None, "Change owner and group on the way.", flag="--chown="),
    Key("groupmap", "rsync", TEXT, None, "Map groups.", flag="--groupmap="),
    Key("password_file", "rsync", FILE, None, "File with the password for an rsync daemon.",
        flag="--password-file="),
    Key("rsh", "rsync", TEXT, None, "Remote shell (default: ssh with keep-alives and time-outs).",
        flag="--rsh="),
    Key("rsync_path", "rsync", TEXT, None, "The rsync to run on the target's host.", flag="--rsync-path="),
    Key("suffix", "rsync", TEXT, None, "Suffix of backups.", flag="--suffix="),
    Key("temp_dir", "rsync", FILE, None, "Where the target's rsync makes temporary files.", flag="--temp-dir="),
    Key("timeout", "rsync", _whole(0), None,
        "Seconds without traffic after which rsync gives up (default: 300 for remote targets).",
        flag="--timeout="),
    Key("usermap", "rsync", TEXT, None, "Map users.", flag="--usermap="),
    # ---- ssh ---------------------------------------------------------------------------------
    Key("binary", "ssh", TEXT, "ssh", "The ssh to run.", modes="rsync rsyncssh"),
    Key("identityFile", "ssh", FILE, None, "File with the private key.", modes="rsync rsyncssh"),
    Key("port", "ssh", _whole(1, 65535), None, "Port of the host.", modes="rsync rsyncssh"),
    Key("options", "ssh", OPTIONS, (), "Options of ssh_config(5).", modes="rsync rsyncssh"),
    Key("_extra", "ssh", LINES, (), "Further arguments of ssh.", modes="rsync rsyncssh"),
    Key("multiplex", "ssh", BOOL, True, "Reuse one connection for all that goes to a host.", modes="rsync rsyncssh"),
    # ---- tunnel ------------------------------------------------------------------------------
    Key("command", "tunnel", COMMAND, None,
        "Keep this running as a way to the target; ^localport is a free port, here and in target.", modes="rsync"),
    Key("mode", "tunnel", _choice("command", "pool"), "command",
        "One process for all jobs of the sync (command), or some that take one job at a time each (pool).", modes="rsync"),
    Key("parallel", "tunnel", _whole(1), 1, "Processes of a pool.", modes="rsync"),
    Key("retryDelay", "tunnel", SPAN, 10.0, "Seconds after which one that has ended is started again.", modes="rsync"),
    Key("readyDelay", "tunnel", SPAN, 5.0,
        "Seconds in which its port has to answer (a port that is not ^localport: seconds until it is used).", modes="rsync"),
    Key("localhost", "tunnel", ADDRESS, "localhost", "Address of this host on which ^localport is free, and answers.", modes="rsync"),
    # ---- xargs -------------------------------------------------------------------------------
    Key("binary", "xargs", TEXT, None, "As in lsyncd; nothing here needs it.", modes="rsyncssh"),
    Key("delimiter", "xargs", Kind(_character, "a text"), None, "As in lsyncd; nothing here needs it.",
        modes="rsyncssh"),
    Key("_extra", "xargs", LINES, (), "As in lsyncd; nothing here needs it.", modes="rsyncssh"),
    # ---- direct ------------------------------------------------------------------------------
    Key("atomic", "direct", BOOL, False, "Write aside and rename: nothing is ever seen half written.",
        modes="direct"),
)

# What archive = true sets where it is not set; recursion is ours to handle.
ARCHIVE = ("links", "perms", "times", "group", "owner", "devices", "specials")

# What no message shows the value of: it may be a password, or where one is.
SECRET = ("password_file", "identityFile", "rsh", "_extra", "param")

# Tables within a sync; their keys are written TABLE.KEY.
TABLES = ("onBatch", "rsync", "ssh", "tunnel", "xargs", "direct")


def default_text(key, mode=None):
    """Return what a configuration would say to mean the default of a Key; "" where it is not set."""
    value = (key.by_mode or {}).get(mode, key.default)
    if value is None or value == ():
        return ""
    return "yes" if value is True else "no" if value is False else "%g" % value if isinstance(value, float) else str(value)


@lru_cache(None)
def scope(name):
    """Return {full key: Key} of what may stand in a section: "settings" or "sync"; nobody may change it."""
    rows = {key.name: key for key in KEYS if name in key.scopes.split()}
    if name == "sync":
        rows.update(("%s.%s" % (table, key.name), key)
                    for table in TABLES for key in KEYS if key.scopes == table)
    return rows


def find(name, known):
    """Return (full key, Key, item) of a name that a reader found, in what scope() returns; no Key: (name, None, None)."""
    if name in known:
        return name, known[name], None
    base, _dot, item = name.rpartition(".")
    if base in known and known[base].kind.paired:
        return base, known[base], item
    return name, None, None


def is_command(kind, name, raw):
    """Tell whether a key of a section is a command, in which "$" is the shell's, or unknown; raw: its value, which may tell."""
    key = find(name, scope(kind))[1]
    return key is None or key.kind is COMMAND or key.kind is LISTING and isinstance(raw, str) and raw.lstrip().startswith("!")


def defaults(mode):
    """Return {full key: value} of what a sync of a mode has where nothing is said."""
    return {name: (key.by_mode or {}).get(mode, key.default) for name, key in scope("sync").items()}


def modes(key):
    """Return the modes (tuple of str) of a sync that a Key is for."""
    wanted = key.modes or (_MIRRORING if key.scopes == "rsync" else None)
    return MODES if wanted is None else tuple(wanted.split())


def fits(key, mode):
    """Tell whether a Key may stand in a sync of a mode; script takes the keys of the modes it may fall back to."""
    known = modes(key)
    return mode in known or mode == "script" and key.scopes != "tunnel" and ("rsync" in known or "direct" in known)


def parse(key, raw, written=None):
    """Return the checked value of one key; raw (name, value): one of its items, for kinds that are paired.

    written: what a message shows of it, unless that is the raw value. Raises ValueError with a sentence that says what is wrong and what is allowed.
    """
    try:
        return key.kind.parse(raw)
    except (ValueError, KeyError, OverflowError):
        if key.name in SECRET:
            raise ValueError("this value is not allowed here; allowed: %s" % key.kind.allowed) from None
        raw = written if written is not None else raw[1] if isinstance(raw, tuple) else raw
        shown = show(raw) if isinstance(raw, str) else raw
        raise ValueError("%r is not allowed here; allowed: %s" % (shown, key.kind.allowed)) from None
