"""How a root is watched: what is asked for, what the file system tells, what the limits allow."""

import errno
import os
from types import SimpleNamespace

import pytest

from lsyncd_lite.watch import choice, filesystems, instances
from lsyncd_lite.watch.choice import roots, watch
from lsyncd_lite.watch.filesystems import Mounts
from lsyncd_lite.watch.inotify import Inotify


def config(source, monitor="auto"):
    return SimpleNamespace(source=source, monitor=monitor)


@pytest.fixture
def remote(monkeypatch):
    """Let file systems be remote: {path they are mounted on: name}."""
    found = {}
    monkeypatch.setattr(choice.filesystems, "remote", lambda path: next(
        (name for place, name in found.items() if path == place or path.startswith(place + b"/")), None))
    return found


# ---- roots -------------------------------------------------------------------------------------

@pytest.mark.parametrize("configs, expected", [
    ([], {}),
    ([config(b"/a"), config(b"/a")], {(b"/a", False): [0, 1]}),
    ([config(b"/a/b"), config(b"/a"), config(b"/ab")], {(b"/a", False): [1, 0], (b"/ab", False): [2]}),
    ([config(b"/a"), config(b"/a", "poll")], {(b"/a", False): [0], (b"/a", True): [1]}),
    ([config(b"/a", "inotify"), config(b"/a")], {(b"/a", False): [0, 1]}),
    ([config(b"/a", "poll"), config(b"/a/b"), config(b"/a/b/c"), config(b"/a/d", "poll")],
     {(b"/a", True): [0, 3], (b"/a/b", False): [1, 2]}),
    ([config(b"/"), config(b"/a")], {(b"/", False): [0, 1]}),
    ([config(b"/a"), config(b"/a/nfs"), config(b"/a/nfs/d", "inotify")], {(b"/a", False): [0, 2], (b"/a/nfs", True): [1]}),
])
def test_roots(configs, expected, remote):
    remote[b"/a/nfs"] = "nfs"
    assert roots(configs) == expected


# ---- one root ----------------------------------------------------------------------------------

SCANNED, UNNOTICED = "is on nfs, where nothing tells what other hosts change: it is scanned", "is on nfs: what other hosts change is not noticed"


# trap 29
@pytest.mark.parametrize("polls, monitors, name, scanned, warned", [
    (False, {"auto"}, None, False, None),
    (False, {"inotify"}, None, False, None),
    (True, {"poll"}, None, True, None),
    (True, {"auto"}, "nfs", True, SCANNED),
    (True, {"poll"}, "nfs", True, None),
    (False, {"auto"}, "nfs", True, SCANNED),  # it was mounted after the roots were looked at
    (False, {"inotify"}, "nfs", False, UNNOTICED),
])
def test_what_becomes_of_a_root(polls, monitors, name, scanned, warned, remote, tmp_path):
    root = os.fsencode(str(tmp_path))
    if name:
        remote[root] = name
    tree, warning, trouble = watch(root, "CloseWrite", None, polls, monitors)
    assert (tree.fd is None) is scanned and trouble is None and (warning is None if warned is None else warned in warning)
    tree.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOSPC])
def test_a_root_that_cannot_be_watched_for_want_of_something_is_scanned(number, remote, tmp_path, monkeypatch):
    def fail(*_args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(instances, "_instances", [])
    monkeypatch.setattr(Inotify, "__init__" if number == errno.EMFILE else "add", fail)
    tree, warning, trouble = watch(os.fsencode(str(tmp_path)), "CloseWrite", None, False, {"auto"})
    assert tree.fd is None and warning is None and "sysctl -w " in trouble


def test_a_root_that_is_missing_is_an_error_in_every_way(remote, tmp_path):
    for polls in (False, True):
        with pytest.raises(FileNotFoundError):
            watch(os.fsencode(str(tmp_path / "missing")), "CloseWrite", None, polls, {"auto"})


# ---- what the kernel tells of file systems -----------------------------------------------------

def test_proc_is_no_remote_file_system_and_has_its_kind():
    assert filesystems.kind(b"/proc") == 0x9FA0 and filesystems.remote(b"/proc") is None  # PROC_SUPER_MAGIC
    assert filesystems.kind(b"/does/not/exist") is None


def test_file_systems_that_others_change_are_known():
    assert {"nfs", "cifs", "smb2", "fuse", "9p", "afs", "ceph", "lustre", "vboxsf"} <= set(filesystems.REMOTE.values())
    assert not {0xEF53, 0x58465342, 0x01021994, 0x9123683E, 0x794C7630, 0x2FC12FC1} & set(filesystems.REMOTE)  # ext4, xfs, tmpfs, btrfs, overlay, zfs


MOUNTS = (b"22 1 0:21 / / rw - ext4 /dev/sda rw\n23 22 0:22 / /srv/far rw - nfs4 host:/x rw\n24 23 0:23 / /srv/far/near rw - tmpfs none rw\n"
          b"25 22 0:24 / /ssh\\040fs rw shared:1 - fuse.sshfs a:/\\040-\\040b rw\n26 22 0:25 / /auto rw - autofs systemd-1 rw\n"
          b"27 22 0:26 / /sys/fs/fuse rw - fusectl none rw\n28 22 0:27 / /twice rw - cifs //a/b rw\n29 28 0:28 / /twice rw - xfs /dev/b rw\n")


@pytest.mark.parametrize("path, hangs, name", [
    (b"/", False, None), (b"/srv", False, None), (b"/srv/far", True, "nfs"), (b"/srv/far/d/e", True, "nfs"), (b"/srv/farther", False, None),
    (b"/srv/far/near/d", True, None), (b"/ssh fs/d", True, "fuse"), (b"/auto/d", True, None), (b"/sys/fs/fuse", False, None), (b"/twice", False, None),
])
def test_the_mount_table_tells_what_may_hang_and_that_is_not_touched(path, hangs, name, tmp_path, monkeypatch):
    (tmp_path / "mountinfo").write_bytes(MOUNTS)
    monkeypatch.setattr(filesystems, "TABLE", str(tmp_path / "mountinfo"))
    asked = []
    monkeypatch.setattr(filesystems, "kind", asked.append)
    assert filesystems.may_hang(path) is hangs and filesystems.remote(path) == name
    assert not asked or not hangs or path.startswith(b"/auto")


def test_without_a_mount_table_the_file_system_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(filesystems, "TABLE", str(tmp_path / "none"))
    monkeypatch.setattr(filesystems, "kind", lambda path: 0x6969)
    assert not filesystems.may_hang(b"/a") and filesystems.remote(b"/a") == "nfs"


LINE = b"%d 28 0:%d / %s rw,relatime shared:1 - tmpfs none rw\n"


def test_the_mount_table_tells_what_has_come_and_gone(tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    monkeypatch.setattr(filesystems, "TABLE", str(table))
    table.write_bytes(LINE % (1, 1, b"/a") + LINE % (2, 2, b"/a\\040b\\134c"))
    mounts = Mounts()
    assert mounts.points == [b"/a", b"/a b\\c"] and mounts.changes() == ([], [])
    table.write_bytes(LINE % (1, 1, b"/a") + LINE % (3, 3, b"/n") + LINE % (4, 4, b"/a"))  # mounted over
    assert mounts.changes() == ([b"/a", b"/n"], [b"/a b\\c"])
    table.write_bytes(b"")
    assert mounts.changes() == ([], [b"/a", b"/n"])
    mounts.close()
    table.unlink()
    with pytest.raises(OSError):
        Mounts()
