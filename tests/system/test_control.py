"""A daemon that runs is asked and steered: by the real command line, through its control socket."""

import json
import os
import stat
from pathlib import Path

from harness import make, sync


def status(cli, *argv):
    """Return the snapshot that `status -json` prints."""
    ended = cli("status", "-json", *argv)
    assert ended.returncode == 0, ended
    return json.loads(ended.stdout)


def test_status_tells_what_each_sync_is_at(daemon, cli, src, dst, tmp_path):
    one = daemon(sync(src, dst, name="www"))
    make(src, "a")
    one.wait_path(dst / "a", "a")
    one.wait_idle()
    snapshot = status(cli)
    assert (snapshot["pid"], snapshot["configuration"], snapshot["watches"]) == (one.pid, str(one.conf), 1)
    (www,) = snapshot["syncs"]
    assert (www["name"], www["state"], www["queued"], www["mode"], www["source"]) == ("www", "idle", 0, "rsync", str(src))
    (path,) = Path(str(tmp_path) + ".run").iterdir()
    assert path.name == "daemon.sock" and stat.S_IMODE(os.lstat(str(path)).st_mode) == 0o600
    one.stop()
    assert not path.exists()
    ended = cli("status")
    assert ended.returncode == 255 and ended.stdout == "" and ended.stderr.startswith("no lsyncd-lite runs that can be asked: looked for %s" % path.parent)


def test_the_queued_paths_are_told_when_they_are_asked_for(daemon, cli, src, dst):
    one = daemon(sync(src, dst, name="www", delay=1000), wait=False)
    one.wait_status("www", state="idle")
    make(src, "a", "b")
    one.wait_status("www", delays=2)
    assert sorted(status(cli, "-v", "www")["syncs"][0]["paths"]) == ["a", "b"]
    assert "paths" not in status(cli)["syncs"][0]
    ended = cli("status", "ww")
    assert ended.returncode == 255 and ended.stderr == "there is no sync ww; did you mean www?; there are: www\n"
