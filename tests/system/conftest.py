"""Servers on loopback, targets of every kind, daemons that are stopped again."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest

pytest.register_assert_rewrite("harness", "servers")

from harness import (  # noqa: E402
    BY_RSYNC, ROOT, SCRIPT, WAYS, Daemon, Recorder, Rsync, connections, mirroring, processes, run, sync, sync_by_ssh, wait_for)
from servers import Missing, Rsyncd, Sshd  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the configuration, log and status of each of its daemons."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        report.sections += [("daemon %s" % daemon.folder.name, daemon.story()) for daemon in getattr(item, "daemons", ())]


@pytest.fixture(scope="session", autouse=True)
def rsync_is_there():
    if not shutil.which("rsync"):
        pytest.skip("rsync is not installed")


@pytest.fixture
def src(tmp_path):
    (tmp_path / "src").mkdir()
    return tmp_path / "src"


@pytest.fixture
def dst(tmp_path):
    (tmp_path / "dst").mkdir()
    return tmp_path / "dst"


@pytest.fixture
def daemon(request, tmp_path):
    """Start daemons: `daemon(sync(…), …, settings=…)` or `daemon(argv=[…])`; it is idle when it is returned.

    text: the configuration as it stands; form: "ini" or "json"; options: before the configuration on the
    command line; wait=False: return at once. All are ended with the test, and nothing may be left of them.
    """
    request.node.daemons = daemons = []

    def start(*syncs, settings=None, text=None, form="ini", argv=None, options=("-log", "all"), wait=True, name=None,
              **more):
        folder = tmp_path / (name or "daemon%d" % len(daemons))
        folder.mkdir(exist_ok=True)
        one = Daemon(folder, tmp_path)
        daemons.append(one)
        if argv is not None:
            return one.start("-nodaemon", "-logfile", one.logfile, *argv, **more)
        one.configure(*syncs, settings=settings, text=text, form=form)
        one.start("-nodaemon", *(tuple(options) + (one.conf,)), **more)
        if wait:
            one.wait_idle()
        return one

    yield start
    statuses = [one.stop() for one in daemons if one.process]
    left = {}
    try:
        wait_for(lambda: not processes(tmp_path), "no process left behind", 10)
    except AssertionError:
        left = processes(tmp_path)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    for one in daemons:
        for pid, line in connections(one.pid).items() if one.process else ():
            left[pid] = line
            os.kill(pid, signal.SIGKILL)
        assert "Traceback" not in one.log() + one.output(), "a traceback\n" + one.story()
    assert not left, "left behind: %s" % left
    assert None not in statuses


@pytest.fixture
def cli(tmp_path):
    """Run the command line to its end: `cli("-version")`."""
    return lambda *argv, **options: run(tmp_path, *argv, **options)


@pytest.fixture
def rsync(tmp_path):
    """Make an `rsync.binary` that records and obeys: `rsync()`, or several by name."""
    return lambda name="rsync", **options: Rsync(tmp_path / "binaries" / name, **options)


@pytest.fixture
def recorder(tmp_path):
    """Make a program that records its calls and obeys: `recorder("ssh")`."""
    return lambda name, real=None: Recorder(tmp_path / "recorders" / name, name, real or shutil.which(name))


# ---- servers -----------------------------------------------------------------------------------

def _or_skip(make, *args, **options):
    try:
        return make(*args, **options)
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def run_sshd():
    """A directory that sshd will not start without."""
    path = Path("/run/sshd")
    ours = ROOT and not path.exists()
    if ours:
        path.mkdir(mode=0o755)
    yield
    if ours and not any(path.iterdir()):
        path.rmdir()


@pytest.fixture(scope="session")
def ssh(tmp_path_factory, run_sshd):
    """The sshd of all tests that do not want one of their own."""
    one = _or_skip(Sshd, tmp_path_factory.mktemp("ssh"))
    try:
        _or_skip(one.try_it)
        yield one
    finally:
        one.stop()


@pytest.fixture
def sshd(tmp_path, run_sshd):
    """Start a sshd of the test's own: `sshd(command=…)`; see Sshd."""
    started = []

    def start(**options):
        folder = tmp_path / ("sshd%d" % len(started))
        folder.mkdir()
        started.append(_or_skip(Sshd, folder, **options))
        return started[-1]
    yield start
    for one in started:
        one.stop()


@pytest.fixture
def way_to(request, src, tmp_path):
    """Make the sync that keeps a directory equal to src in one of WAYS: `way_to(way, directory, **keys)`, with archive.

    through: the Sshd of ssh and rsyncssh, else the session's.
    """
    def make(way, path, through=None, rsync=None, **keys):
        table = dict({"archive": True}, **(rsync or {}))
        if way in ("ssh", "rsyncssh"):
            through = through or request.getfixturevalue("ssh")
        if way == "rsyncssh":
            return sync_by_ssh(src, through.host, path, rsync=table, **dict({"ssh": {"_extra": through.options}}, **keys))
        if way == "ssh":
            return sync(src, "%s:%s" % (through.host, path), rsync=table, **dict({"ssh": {"_extra": through.options}}, **keys))
        if way == "rsyncd":
            return sync(src, "rsync://127.0.0.1:%d/all%s" % (request.getfixturevalue("rsyncd").port, path), rsync=table, **keys)
        if way == "exec":
            return mirroring(src, path, True, **dict({"exitcodes": {"1": "again", "137": "again"}}, **keys))
        if way == "script":
            (tmp_path / "mirror.py").write_text(SCRIPT)
            return sync(src, path, mode="script", script=str(tmp_path / "mirror.py"), rsync=table, **keys)
        if way == "rsync":
            return sync(src, path, rsync=table, **keys)
        keys = dict({"mode": "direct"}, **keys)
        if way == "atomic":
            keys["direct"] = {"atomic": True}
        if way == "without-rsync":
            rsync = dict({"binary": "/there/is/no/rsync"}, **(rsync or {}))
        return sync(src, path, **keys, **({"rsync": rsync} if rsync else {}))
    return make


@pytest.fixture
def mirror(dst, daemon, way_to):
    """Start a daemon that mirrors src to dst in one of WAYS: `mirror(way, **keys)`; keys are those of `way_to` and of `daemon`."""
    def start(way, settings=None, options=("-log", "all"), form="ini", wait=True, prefix=(), **keys):
        return daemon(way_to(way, dst, **keys), settings=dict({"delay": 0.1}, **(settings or {})), options=options, form=form,
                      wait=wait, prefix=prefix)
    return start


@pytest.fixture
def mirrors(tmp_path, daemon, way_to):
    """Start a daemon that mirrors src in several WAYS: `mirrors(*ways, **keys)`; `.targets` is {way: directory}, syncs are named so.

    within: where the directories are; own: {way: further keys}; the rest is as for `mirror`.
    """
    def start(*ways, within=None, own=None, settings=None, options=("-log", "all"), form="ini", wait=True, prefix=(), before=None,
              **keys):
        targets = {way: (within or tmp_path / "to") / way for way in ways or WAYS}
        for target in targets.values():
            target.mkdir(parents=True)
            if before is not None:
                before(target)
        syncs = []
        for way, target in targets.items():
            more = dict((own or {}).get(way, {}))
            more["rsync"] = dict(keys.get("rsync", {}), **more.get("rsync", {}))
            syncs.append(way_to(way, target, **dict(dict(keys, name=way), **more)))
        running = daemon(*syncs, settings=dict({"delay": 0.1}, **(settings or {})), options=options, form=form, wait=wait,
                         prefix=prefix)
        running.targets = targets
        return running
    return start


@pytest.fixture
def obedient(rsync):
    """Return ({way: an Rsync}, the `own` keys that make them its rsync): those of BY_RSYNC that are asked for."""
    def make(*ways):
        binaries = {way: rsync(way) for way in ways or BY_RSYNC}
        return binaries, {way: {"rsync": {"binary": binary.path}} for way, binary in binaries.items()}
    return make


@pytest.fixture(scope="session")
def rsyncd(tmp_path_factory):
    """The rsync daemon of all tests that do not want one of their own."""
    one = Rsyncd(tmp_path_factory.mktemp("rsyncd"))
    yield one
    one.stop()


Place = namedtuple("Place", "target path rsync")


@pytest.fixture
def place(request, tmp_path):
    """Make targets: `place(kind)` → `.target` as configured, `.path` where it is, `.rsync` the table it needs."""
    def make(kind, name="dst", module="data"):
        if kind in ("local", "ssh"):
            path = tmp_path / name
            path.mkdir()
            if kind == "local":
                return Place(str(path), path, {})
            ssh = request.getfixturevalue("ssh")
            return Place("%s:%s" % (ssh.host, path), path, {"rsh": ssh.rsh})
        rsyncd = request.getfixturevalue("rsyncd")
        path = Path(tempfile.mkdtemp(prefix=name, dir=str(rsyncd.folder)))
        if kind == "::":
            return Place("127.0.0.1::%s/%s" % (module, path.name), path, {"_extra": ["--port=%d" % rsyncd.port]})
        return Place("rsync://127.0.0.1:%d/%s/%s" % (rsyncd.port, module, path.name), path, {})
    return make


# ---- what only root can do ---------------------------------------------------------------------

@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 1 MiB and return where; only root can."""
    path = tmp_path / "small"
    path.mkdir()
    if not ROOT or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "lsyncd-lite-test", str(path)]).returncode:
        pytest.skip("mounting a small file system needs root")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture
def obeys_modes():
    """Return the start of a command line under which file modes count for root too."""
    if not ROOT:
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("root without setpriv reads every file")
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--")
