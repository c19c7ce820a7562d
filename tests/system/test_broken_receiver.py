"""Receivers that refuse missing entries: deletions travel in an rsync of their own."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness import make, names, sync

BROKEN = "rsync=3.2.7-1+deb12u6"  # Debian 12, hardened in spring 2026

# As an rsync whose receiver is broken: it answers so once a listed path is missing in the source.
_PRETENDER = """#!%(python)s
import os, sys
if {"--files-from=-", "--delete-missing-args"} <= set(sys.argv) and %(condition)s:
    paths = os.pread(0, 1 << 20, 0).split(b"\\0")
    missing = [path for path in paths if not os.path.lexists(os.fsencode(sys.argv[-2]) + path)]
    if missing:
        sys.stderr.write("invalid file mode 00 (0) for %%r [Receiver]\\nrsync error: protocol incompatibility "
                         "(code 2) at flist.c(1003) [Receiver=3.2.7]\\n" %% missing[0])
        sys.exit(2)
os.execvp("rsync", ["rsync"] + sys.argv[1:])
"""


def pretender(path, condition="True"):
    path.write_text(_PRETENDER % {"python": sys.executable, "condition": condition})
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="session")
def broken_rsync(tmp_path_factory):
    """Return the path of a really broken rsync where apt offers it; it is kept below the temporary directory."""
    cache = Path(tempfile.gettempdir()) / ("lsyncd-lite-tests-%d" % os.getuid()) / BROKEN
    binary = cache / "usr/bin/rsync"
    if not binary.exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            pytest.skip("no apt here that could offer %s" % BROKEN)
        folder = tmp_path_factory.mktemp("apt")
        try:
            done = subprocess.run(["apt-get", "download", BROKEN], cwd=str(folder), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        except subprocess.TimeoutExpired:
            pytest.skip("apt does not answer")
        packages = list(folder.glob("*.deb"))
        if done.returncode or not packages:
            pytest.skip("apt does not offer %s" % BROKEN)
        cache.parent.mkdir(mode=0o700, exist_ok=True)
        subprocess.run(["dpkg", "-x", str(packages[0]), str(folder / "files")], check=True)
        if not cache.exists():
            shutil.move(str(folder / "files"), str(cache))
    if subprocess.run([str(binary), "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("%s does not run here" % BROKEN)
    return str(binary)


@pytest.fixture(params=["pretended local", "real local", "real ssh"])
def receiver(request, tmp_path, place):
    """Return a Place whose receiver is broken."""
    if request.param == "pretended local":
        return place("local")._replace(rsync={"binary": pretender(tmp_path / "pretender")})
    binary = request.getfixturevalue("broken_rsync")
    if request.param == "real local":
        return place("local")._replace(rsync={"binary": binary})
    target = place("ssh")
    return target._replace(rsync=dict(target.rsync, rsync_path=binary))


def test_a_broken_receiver_is_found_and_deletions_reach_it(receiver, src, daemon):
    make(src, "gone", "d/gone", "d/stays", "all/x/y", "k/s.key", "k/x", "we[ird]*", "we[ird]x", "b\\s", "b\\*", "type/x")
    running = daemon(sync(src, receiver.target, exclude=["*.key"], delete="running", rsync=receiver.rsync))
    make(receiver.path, "d/theirs", "theirs", "k/theirs.key")
    for name in ("gone", "d/gone", "we[ird]*", "b\\*"):
        (src / name).unlink()
    for name in ("all", "k", "type"):
        shutil.rmtree(str(src / name))
    make(src, "new", "e/new", "type")
    left = {"d/", "d/stays", "d/theirs", "theirs", "k/", "k/theirs.key", "we[ird]x", "b\\s", "new", "e/", "e/new", "type"}
    running.wait(lambda: names(receiver.path) == left, lambda: "%s on the target, it has %s" % (left, names(receiver.path)))
    running.fence(src, receiver.path)
    running.wait_status("sync1", state="idle", last_error=None)
    running.wait_log("(?i)receiver")
    assert {name for name in names(receiver.path) if "fence" not in name} == left


def test_what_the_probe_hears_of_a_broken_receiver_does_not_look_like_a_failure(receiver, src, daemon):
    make(src, "a")
    running = daemon(sync(src, receiver.target, rsync=receiver.rsync))
    running.wait_equal(src, receiver.path)
    running.wait_log("Normal: sync1: the receiver refuses missing entries")
    running.wait_log("Output: sync1: rsync error: protocol incompatibility")
    assert not re.search("(Normal|Warn|Error): .*(error|invalid)", running.log())


def test_names_of_every_kind_are_deleted_on_a_broken_receiver(receiver, src, daemon):
    from test_traps import HOSTILE
    root = os.fsencode(str(src))
    make(src, "plain")
    for name in HOSTILE:
        os.mkdir(root + b"/d" + name[:254])
        for path in (root + b"/" + name, root + b"/d" + name[:254] + b"/" + name):
            with open(path, "wb"):
                pass
    running = daemon(sync(src, receiver.target, rsync=receiver.rsync))
    for name in HOSTILE[::2]:
        os.unlink(root + b"/" + name)
        shutil.rmtree(root + b"/d" + name[:254])
    running.wait_equal(src, receiver.path)
    for name in HOSTILE[1::2]:
        os.unlink(root + b"/d" + name[:254] + b"/" + name)
    running.wait_equal(src, receiver.path)


def test_a_receiver_that_breaks_while_the_daemon_runs_is_noticed(tmp_path, src, dst, daemon):
    binary = pretender(tmp_path / "pretender", "os.path.exists(%r)" % str(tmp_path / "upgraded"))
    make(src, "a", "b", "d/c")
    running = daemon(sync(src, dst, rsync={"binary": binary}))
    os.unlink(str(src / "a"))
    running.wait_equal(src, dst)
    (tmp_path / "upgraded").touch()
    os.unlink(str(src / "b"))
    make(src, "with-it")
    shutil.rmtree(str(src / "d"))
    running.wait_equal(src, dst)
    running.wait_status("sync1", state="idle", last_error=None)
    make(src, "d/again")
    running.wait_equal(src, dst)


def test_a_module_that_refuses_deletions_is_mirrored_without_them(src, place, daemon):
    target = place("rsync://", module="keep")
    make(src, "a", "d/b")
    running = daemon(sync(src, target.target, delete=False))
    os.unlink(str(src / "a"))
    make(src, "c")
    running.wait_path(target.path / "c")
    running.fence(src, target.path)
    assert "a" in names(target.path)


def test_a_module_that_refuses_deletions_is_no_target_for_them(src, place, daemon):
    target = place("rsync://", module="keep")
    make(src, "a")
    running = daemon(sync(src, target.target), wait=False)
    assert running.ended() == 255
    assert "delete" in running.output() and "sync1" in running.output()
