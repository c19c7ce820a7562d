"""One tree, mirrored for real, from start to end: what every supported Python has to show, and a host that has nothing but busybox."""

import os
import shutil
import signal
import subprocess

import pytest

from harness import ROOT, WAYS, make, sync_by_actions, tree


@pytest.fixture(params=["as it is", "busybox"])
def host(request, tmp_path):
    """The start of a command line: within this host, or within one that has busybox, rsync and ssh, and nothing else of GNU's.

    In there /bin/sh is busybox's, too.
    """
    if request.param == "as it is":
        return ()
    busybox = shutil.which("busybox")
    if not busybox or not ROOT or not shutil.which("unshare"):
        pytest.skip("to take all else away needs busybox, root and unshare")
    place = tmp_path / "path"
    place.mkdir()
    applets = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True, universal_newlines=True).stdout.split()
    for name, program in [*((name, busybox) for name in applets), *((name, shutil.which(name)) for name in ("rsync", "ssh"))]:
        if program:
            os.symlink(program, str(place / name))
    shell = 'mount --bind %s "$(readlink -f /bin/sh)" && PATH=%s && export PATH && exec "$@"' % (busybox, place)
    return ("unshare", "--mount", "sh", "-c", shell, "sh")


# Without what is GNU's own: chmod --reference, cp -T.
COPY = "if test -d ^sourcePathname; then mkdir -p ^targetPathname; else rm -rf ^targetPathname; cp -p ^sourcePathname ^targetPathname; fi"
PLAIN = {"onStartup": "rm -rf ^target && mkdir ^target && cp -a ^source. ^target", "onCreate": COPY, "onModify": COPY, "onAttrib": COPY,
         "onDelete": "rm -rf ^targetPathname", "onMove": "mv -f ^o.targetPathname ^d.targetPathname"}


@pytest.mark.parametrize("way", WAYS)
def test_a_tree_is_mirrored_at_the_start_and_while_it_changes(daemon, way_to, src, dst, host, way):
    make(src, "a", "d/b", "d/e/c")
    make(dst, "stale/file")
    wanted = sync_by_actions(src, dst, **PLAIN) if way == "exec" else way_to(way, dst)

    def look(root):
        """Without times for exec: busybox's cp keeps no parts of a second."""
        return {path: entry._replace(mtime=None) if way == "exec" else entry for path, entry in tree(root).items()}

    one = daemon(wanted, prefix=host)
    assert look(src) == look(dst)
    make(src, "new", "x/y/z")
    (src / "a").unlink()
    (src / "d").rename(src / "moved")
    one.wait(lambda: look(src) == look(dst), "equal trees")
    make(src, "last")
    os.chmod(str(src / "new"), 0o600)
    assert one.stop() == 128 + signal.SIGTERM
    assert look(src) == look(dst)
    assert "not found" not in one.log() and "unrecognized option" not in one.log()


def test_the_host_without_gnu_has_none_of_it(host):
    """What the test above is worth."""
    if host:
        said = subprocess.run([*host, "sh", "-c", "cp --version 2>&1; readlink -f $(command -v cp) /bin/ls; echo $0; /bin/sh --help 2>&1; bash -c :"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True).stdout
        assert "BusyBox" in said and "GNU" not in said and "not found" in said
