"""Which mode a sync has. Each is imported where it is wanted: one is what a daemon needs."""

import os

from lsyncd_lite.config.config import as_mode
from lsyncd_lite.system.process import argv_of


def mode_of(wanted, sockets, log):
    """Return the mode of a SyncConfig; raise ScriptError. sockets: the directory for shared connections, or None; log: a Log."""
    if wanted.mode == "exec":
        from lsyncd_lite.mirror.exec import Exec
        return Exec(wanted)
    if wanted.mode == "script":
        from lsyncd_lite.mirror.script import Script
        from lsyncd_lite.system.script import Calls
        return Script(wanted, Calls(wanted, log, lambda mode: mode_of(as_mode(wanted, mode), None, log)))
    if wanted.mode == "direct":
        from lsyncd_lite.mirror.direct import Direct
        return Direct(wanted, os.environb, argv_of("lsyncd_lite.system.equal"))
    if wanted.mode == "rsyncssh":
        from lsyncd_lite.mirror.rsyncssh import RsyncSsh
        return RsyncSsh(wanted, os.environb, sockets)
    from lsyncd_lite.mirror.rsync import Rsync
    return Rsync(wanted, os.environb, sockets)
