"""However much waits, the daemon stays small, and in the end all of it has arrived."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from harness import sync, wait_for

FILES = 60000
MOST = 20 << 10  # KiB more than at the start


def memory(pid, field="VmHWM"):
    """Return what a process holds, or held at most, in KiB (proc_pid_status(5))."""
    return int(re.search(r"%s:\s*(\d+)" % field, Path("/proc/%d/status" % pid).read_text()).group(1))


def differs(src, dst):
    found = subprocess.run(["rsync", "-ani", "--delete", "%s/" % src, "%s/" % dst], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return found.stdout or found.returncode  # 24: a temporary file was there just now


@pytest.mark.parametrize("mode", ["rsync", "direct"])
@pytest.mark.parametrize("directories", [1, 300])
def test_more_changes_than_can_be_remembered_while_the_target_is_away_arrive(mode, directories, src, dst, daemon):
    for number in range(directories):
        (src / str(number)).mkdir()
    running = daemon(sync(src, dst, mode=mode, delay=0.2, **({"rsync": {"archive": True}} if mode == "rsync" else {})), options=())
    before = memory(running.pid)
    os.rename(str(dst), str(dst) + ".away")
    roots = [os.fsencode(str(src / str(number))) for number in range(directories)]
    for number in range(FILES):
        os.close(os.open(roots[number % directories] + b"/%d" % number, os.O_CREAT | os.O_WRONLY, 0o644))
    running.wait_status("sync1", last_error=bool, delays=lambda count: 0 < count <= 50000)
    for number in range(FILES):
        os.utime(roots[number % directories] + b"/%d" % number, ns=(0, number))
    running.wait_status("sync1", delays=lambda count: 0 < count <= 50000)
    assert memory(running.pid) - before < MOST
    os.rename(str(dst) + ".away", str(dst))
    wait_for(lambda: not differs(src, dst), "equal trees", 60)
    running.wait_idle()
    assert memory(running.pid) - before < MOST
