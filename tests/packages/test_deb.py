"""The .deb: how it is built, what is in it, and its life on a minimal Debian without systemd, from installation to purge."""

import os
import re
import shutil
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
from machine import Machine, needs
from roots import Root, call, wait_for

import lsyncd_lite
from lsyncd_lite.report import manpage

CHECKOUT = Path(__file__).resolve().parents[2]


# ---- the build ---------------------------------------------------------------------------------

def test_the_changelog_has_the_version_of_the_program():
    first = (CHECKOUT / "debian/changelog").read_text().splitlines()[0]
    assert re.match(r"lsyncd-lite \(([^)]+)\) ", first).group(1) == lsyncd_lite.__version__


def test_lintian_has_nothing_to_say(built, tmp_path):
    # Debian 12's lintian knows no newer version of the policy than the one that Debian 13's finds old.
    said = call("lintian", "-EI", "--pedantic", "--allow-root", "--suppress-tags", "out-of-date-standards-version",
                *built.glob("*.changes"), check=False, env={"TMPDIR": str(tmp_path)})  # it leaves files there
    assert (said.returncode, said.stdout) == (0, "")


def run_in(tree):
    """Leave what a run of the program leaves, and other times."""
    call("/usr/bin/python3", "-m", "compileall", "-q", tree / "lsyncd_lite")
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            os.utime(str(path), (time.time(), time.time() - 1800))
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))


def made_private(tree):
    """The same, with the modes of a checkout with umask 077."""
    run_in(tree)
    for path in tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o077)


# The name of the directory and the modes of files are part of a native source package, and of no other.
@pytest.mark.parametrize("patterns, names, prepare", [
    (["*.deb", "*.tar.xz", "*.dsc"], (), run_in),
    (["*.deb"], ("another-name",), made_private)], ids=["source and binary package", "binary package"])
def test_built_elsewhere_and_otherwise_it_is_the_same_to_the_byte(built, build_deb, tmp_path, patterns, names, prepare):
    old = os.umask(0o077)
    try:
        build_deb(tmp_path / "a directory deeper", *names, prepare=prepare, TZ="Pacific/Kiritimati", LC_ALL="C", LANG="tr_TR.UTF-8",
                  HOME="/nonexistent", DEB_BUILD_OPTIONS="parallel=7")
    finally:
        os.umask(old)
    found = sorted(path.name for pattern in patterns for path in built.glob(pattern))
    assert len(found) == len(patterns)
    assert [name for name in found if (built / name).read_bytes() != (tmp_path / "a directory deeper" / name).read_bytes()] == []


@pytest.fixture(scope="module")
def unpacked(deb, work):
    """What dpkg would write: a directory with it."""
    call("dpkg-deb", "-R", deb, work / "unpacked")
    return work / "unpacked"


def test_it_has_the_modules_of_the_checkout_and_nothing_of_the_tests(unpacked):
    files = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if not path.is_dir()}
    there = {name for name in files if name.startswith("usr/share/lsyncd-lite/")}
    ours = {"usr/share/lsyncd-lite/%s" % path.relative_to(CHECKOUT) for path in CHECKOUT.glob("lsyncd_lite/**/*.py")}
    assert there == ours
    for name in ours:
        assert (unpacked / name).read_bytes() == (CHECKOUT / name[len("usr/share/lsyncd-lite/"):]).read_bytes()
    assert [name for name in files if name.endswith((".pyc", ".in")) or re.search(r"(^|/)(tests?|debian|rpm|man/generate)(/|$)", name)] == []
    for name in ("etc/lsyncd-lite/lsyncd-lite.conf", "etc/default/lsyncd-lite", "etc/init.d/lsyncd-lite", "etc/logrotate.d/lsyncd-lite",
                 "usr/share/man/man1/lsyncd-lite.1.gz", "usr/share/man/man5/lsyncd-lite.conf.5.gz",
                 "usr/share/man/man7/lsyncd-lite-migrate.7.gz",
                 "usr/share/bash-completion/completions/lsyncd-lite", "usr/share/doc/lsyncd-lite/copyright",
                 "usr/share/doc/lsyncd-lite/CHANGES.md.gz", "usr/share/doc/lsyncd-lite/README.md.gz"):
        assert name in files
    for name in re.findall(r'(?:src="|\]\()((?:man|contrib)/[^")]*)', (CHECKOUT / "README.md").read_text()):  # what the README shows, or leads to
        assert "usr/share/doc/lsyncd-lite/" + name.replace("contrib/", "") in files
    for unit in ("lsyncd-lite.service", "lsyncd-lite@.service", "lsyncd-lite.target"):
        assert [name for name in files if name.endswith("lib/systemd/system/" + unit)]
    assert {path.name for path in CHECKOUT.glob("contrib/examples/*")} < {path.name for path in (
        unpacked / "usr/share/doc/lsyncd-lite/examples").iterdir()}


def test_modes_owners_and_the_first_line_of_the_command(deb, unpacked):
    listed = {}
    for line in call("dpkg-deb", "-c", deb).stdout.splitlines():
        mode, owner, _size, _day, _time, name = line.split(None, 5)
        listed[name] = mode
        assert owner == "root/root", line
    commands = {"./usr/bin/lsyncd-lite", "./etc/init.d/lsyncd-lite", "./usr/share/python3/runtime.d/lsyncd-lite.rtupdate"}
    private = {"./var/lib/lsyncd-lite/": "drwx------", "./var/log/lsyncd-lite/": "drwxr-x---"}
    assert commands < set(listed) and set(private) < set(listed)
    for name, mode in listed.items():
        assert mode == private.get(name) or name not in private and mode == ("drwxr-xr-x" if name.endswith("/") else "-rwxr-xr-x" if name in commands else "-rw-r--r--"), name
    assert (unpacked / "usr/bin/lsyncd-lite").read_bytes() == (CHECKOUT / "contrib/lsyncd-lite").read_bytes()


def test_what_the_administrator_may_change_is_a_conffile(unpacked):
    assert (unpacked / "DEBIAN/conffiles").read_text().split() == [
        "/etc/default/lsyncd-lite", "/etc/init.d/lsyncd-lite", "/etc/logrotate.d/lsyncd-lite", "/etc/lsyncd-lite/lsyncd-lite.conf"]


def test_purge_is_all_that_is_written_by_hand():
    assert [path.name for kind in ("preinst", "postinst", "prerm", "postrm", "config") for path in CHECKOUT.glob("debian/*" + kind)
            ] == ["lsyncd-lite.postrm"]


def test_a_purge_in_another_root_leaves_this_host_alone(unpacked, tmp_path):
    """As dpkg does it with --force-script-chrootless."""
    (tmp_path / "rm").write_text('#!/bin/sh\nfor name; do echo "rm $name"; done\n')
    (tmp_path / "rm").chmod(0o755)
    said = call("/bin/sh", unpacked / "DEBIAN/postrm", "purge", env={"PATH": str(tmp_path), "DPKG_ROOT": "/other"}).stdout
    names = re.findall("^rm (/.*)$", said, re.M)
    assert "/other/etc/lsyncd-lite" in names and [name for name in names if not name.startswith("/other/")] == []


# ---- its life ----------------------------------------------------------------------------------

CONFIG = Path("/etc/lsyncd-lite/lsyncd-lite.conf")
LOG = "/var/log/lsyncd-lite/lsyncd-lite.log"
PIDFILE = "/run/lsyncd-lite/lsyncd-lite.pid"
TEXT = """[settings]
logfile = %s
statusFile = /run/lsyncd-lite/status
statusInterval = 0.2
delay = 0.2

[sync tree]
mode = direct
source = /srv/source
target = /srv/target
""" % LOG


class Host:
    """A minimal Debian on which the package was installed."""

    def __init__(self, root, deb):
        self.root, self._deb = root, deb
        root.install("python3")
        # As on a host with an init: invoke-rc.d does what it is asked for.
        policy = root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 0\n")
        policy.chmod(0o755)
        self.before = root.files()
        self.said = None
        self.install()

    def install(self):
        """Install the package, if it is not."""
        if not (self.root / "usr/bin/lsyncd-lite").exists():
            self.said = self.root.install(self._deb).stdout

    def init(self, verb, shell=()):
        """Call the init script; return (exit status, what it said)."""
        done = self.root.run(*shell, "/etc/init.d/lsyncd-lite", verb, check=False)
        return done.returncode, done.stdout

    def configure(self, text=TEXT):
        (self.root / CONFIG).write_text(text)

    def pid(self):
        """What stands in the pidfile, which is in a mount of the root's own."""
        done = self.root.run("cat", PIDFILE, check=False)
        return int(done.stdout) if done.returncode == 0 else None

    def kill(self, pid, signal="TERM"):
        """Send a signal in there; return whether that could be done."""
        return self.root.sh("kill -%s %s" % (signal, pid), check=False).returncode == 0

    def log(self):
        path = self.root / LOG
        return path.read_text() if path.exists() else ""

    def running(self):
        """The PIDs of processes with the name of the daemon, without what they have forked and is still to become something else."""
        done = self.root.sh("cat /proc/[0-9]*/stat 2>/dev/null", check=False)
        parents = dict(re.findall(r"^(\d+) \(lsyncd-lite\) \S (\d+) ", done.stdout, re.M))
        return sorted(int(pid) for pid, parent in parents.items() if parent not in parents)


@pytest.fixture(scope="module")
def host(root, deb):
    return Host(root, deb)


@pytest.fixture
def configured(host):
    """The host with a configuration, and a tree; nothing runs at the start and at the end."""
    host.install()
    host.sample = (host.root / CONFIG).read_text()
    host.configure()
    for name in ("source", "target"):
        shutil.rmtree(str(host.root / "srv" / name), ignore_errors=True)
    (host.root / "srv/source/sub").mkdir(parents=True)
    (host.root / "srv/source/sub/file").write_text("one")
    yield host
    host.install()
    host.configure(host.sample)
    assert host.init("stop")[0] == 0
    assert host.running() == []
    for path in (host.root / "var/log/lsyncd-lite").glob("*"):
        path.unlink()


def equal(host):
    """Tell whether source and target are equal."""
    return subprocess.run(["diff", "-r", str(host.root / "srv/source"), str(host.root / "srv/target")], check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.slow
def test_where_nothing_is_configured_installation_and_start_say_so_and_succeed(host):
    assert "nothing is configured in /etc/lsyncd-lite/lsyncd-lite.conf" in host.said
    for verb in ("start", "restart", "force-reload"):
        status, said = host.init(verb)
        assert status == 0 and "nothing is configured" in said
    assert host.init("status")[0] == 3
    assert host.running() == []


@pytest.mark.slow
def test_remove_ends_it_and_keeps_what_is_configured_and_purge_leaves_nothing(configured):
    root = configured.root
    (root / "etc/lsyncd-lite/conf.d/more.conf").write_text("# mine\n")
    assert configured.init("start")[0] == 0
    root.run("apt-get", "remove", "-y", "-q", "lsyncd-lite")
    assert configured.running() == [] and "ended by signal 15" in configured.log()
    assert (root / CONFIG).read_text() == TEXT
    assert (root / "etc/lsyncd-lite/conf.d/more.conf").exists()
    assert root.run("sh", "/etc/init.d/lsyncd-lite", "start").stdout == ""
    root.run("apt-get", "purge", "-y", "-q", "lsyncd-lite")
    for name in ("source", "target"):
        shutil.rmtree(str(root / "srv" / name))
    after = root.files()
    assert (sorted(after - configured.before), sorted(configured.before - after)) == ([], [])


@pytest.mark.slow
def test_start_and_stop_twice_are_right_and_status_tells(configured):
    assert configured.init("status")[0] == 3
    assert configured.init("start")[0] == 0
    pid = configured.pid()
    assert configured.running() == [pid]
    assert list((configured.root / "var/lib/lsyncd-lite").iterdir()), "no state is kept"
    status, said = configured.init("start")
    assert status == 0 and "runs already" in said
    assert configured.running() == [pid]
    status, said = configured.init("status")
    assert status == 0 and str(pid) in said
    assert configured.init("stop")[0] == 0
    assert configured.running() == []
    assert configured.init("stop")[0] == 0
    assert configured.init("status")[0] == 3


@pytest.mark.slow
def test_the_installed_daemon_mirrors_and_term_sends_what_is_pending(configured):
    configured.configure(TEXT.replace("delay = 0.2", "delay = 3600"))
    assert configured.init("start")[0] == 0
    wait_for(lambda: equal(configured), "the first sync")
    (configured.root / "srv/source/sub/file").write_text("two")
    (configured.root / "srv/source/a b").mkdir()
    wait_for(lambda: "2 delays" in configured.root.sh("cat /run/lsyncd-lite/status", check=False).stdout, "the changes are noticed")
    assert not equal(configured)
    assert configured.init("stop")[0] == 0
    assert configured.running() == [] and equal(configured)
    assert "ended by signal 15" in configured.log()


@pytest.mark.slow
def test_reload_reads_the_configuration_again_in_the_same_process(configured):
    assert configured.init("reload")[0] == 7
    assert configured.init("start")[0] == 0
    pid = configured.pid()
    configured.configure(TEXT.replace("/srv/target", "/srv/target\n    /var/tmp/another"))
    for verb in ("reload", "force-reload"):
        assert configured.init(verb)[0] == 0
    wait_for(lambda: (configured.root / "var/tmp/another/sub/file").exists(), "the new target")
    assert configured.pid() == pid
    shutil.rmtree(str(configured.root / "var/tmp/another"))


@pytest.mark.slow
def test_a_wrong_configuration_is_told_and_does_not_end_what_runs(configured):
    assert configured.init("start")[0] == 0
    pid = configured.pid()
    configured.configure(TEXT + "delai = 1\n")
    for verb in ("reload", "force-reload", "restart"):
        status, said = configured.init(verb)
        assert status == 1 and "lsyncd-lite.conf:11: " in said and "delai" in said, verb
    assert configured.running() == [pid]
    assert configured.init("stop")[0] == 0
    status, said = configured.init("start")
    assert status == 1 and "delai" in said
    assert configured.running() == []


@pytest.mark.slow
def test_a_killed_daemon_is_status_1_and_can_be_started(configured):
    assert configured.init("start")[0] == 0
    configured.kill(configured.pid(), "KILL")
    wait_for(lambda: not configured.running(), "its end")
    assert configured.init("status")[0] == 1
    assert configured.init("try-restart") == (0, "")
    assert "is left of one that was killed" in configured.root.run("lsyncd-lite", "check", check=False).stdout
    assert configured.init("start")[0] == 0
    assert configured.init("status")[0] == 0
    pid = configured.pid()
    assert '"pid": %d' % pid in configured.root.run("lsyncd-lite", "status", "-json").stdout
    assert configured.root.sh("ls /run/lsyncd-lite/*.sock").stdout == "/run/lsyncd-lite/lsyncd-lite.sock\n"
    assert configured.init("restart")[0] == 0
    assert configured.pid() not in (None, pid)


@pytest.mark.slow
def test_a_start_that_fails_says_why_in_lines_of_their_own(configured):
    shutil.rmtree(str(configured.root / "srv/source"))
    default = configured.root / "etc/default/lsyncd-lite"
    shipped = default.read_text()
    default.write_text(shipped.replace('"-insist"', '""'))
    try:
        status, said = configured.init("start")
    finally:
        default.write_text(shipped)
    first, *others = said.splitlines()
    assert status == 1 and first.endswith("lsyncd-lite failed!") and any("/srv/source" in line for line in others)


@pytest.mark.slow
def test_where_its_pidfile_has_no_room_nothing_is_started_that_could_not_be_stopped(configured):
    configured.root.sh("mkdir -p /run/lsyncd-lite && mount -t tmpfs -o size=4k tiny /run/lsyncd-lite && ! cat /dev/zero 2>/dev/null >/run/lsyncd-lite/full")
    try:
        status, said = configured.init("start")
        assert status == 1 and "cannot write to /run/lsyncd-lite: " in said
        assert configured.running() == []
    finally:
        configured.root.sh("umount /run/lsyncd-lite")


@pytest.mark.slow
def test_somebody_else_is_refused_and_not_told_that_all_is_well(configured):
    assert configured.init("start")[0] == 0
    for verb in ("start", "stop", "restart", "reload", "force-reload", "try-restart"):
        status, said = configured.init(verb, ("setpriv", "--reuid=65534", "--clear-groups"))
        assert (status, said) == (4, "Only root can %s lsyncd-lite.\n" % verb)
    assert configured.running() == [configured.pid()]


@pytest.mark.slow
def test_a_pid_that_is_another_s_by_now_is_left_alone(configured):
    configured.root.sh("mkdir -p /run/lsyncd-lite; sleep 1000 & echo $! > %s" % PIDFILE)
    other = configured.pid()
    assert configured.init("status")[0] == 1
    assert configured.init("stop")[0] == 0
    assert configured.kill(other, 0)
    assert configured.init("start")[0] == 0
    assert configured.running() == [configured.pid()] != [other]
    configured.kill(other)


@pytest.mark.slow
def test_options_and_variables_come_from_etc_default(configured):
    default = configured.root / "etc/default/lsyncd-lite"
    shipped = default.read_text()
    try:
        default.write_text(shipped + 'LSYNCD_LITE_OPTIONS="-log Exec -logfile /var/log/lsyncd-lite/another.log"\n')
        assert configured.init("start")[0] == 0
        another = configured.root / "var/log/lsyncd-lite/another.log"
        (configured.root / "srv/source/new").write_text("new")
        wait_for(lambda: another.exists() and "Exec: " in another.read_text(), "its lines in the other log")
    finally:
        default.write_text(shipped)


@pytest.mark.slow
def test_what_is_away_at_the_start_is_waited_for_and_holds_up_nothing_else(configured):
    away = configured.root / "srv/away"
    configured.configure((configured.root / CONFIG).read_text() + "\n[sync away]\nmode = direct\nsource = /srv/away\ntarget = /srv/copy\ndelay = 0\n")
    assert configured.init("start")[0] == 0
    wait_for(lambda: equal(configured), "the sync of which all is there")
    away.mkdir()
    (away / "file").write_text("late")
    try:
        wait_for((configured.root / "srv/copy/file").exists, "the other one", 60)
    finally:
        for name in ("away", "copy"):
            shutil.rmtree(str(configured.root / "srv" / name), ignore_errors=True)


@pytest.mark.slow
def test_the_init_script_needs_neither_dash_nor_dpkg_s_start_stop_daemon(configured):
    configured.root.install("busybox")
    configured.root.sh("cp /usr/bin/busybox /usr/local/sbin/start-stop-daemon")
    try:
        for shell in (("busybox", "sh"), ("bash", "--posix")):
            for _twice in range(2):
                assert configured.init("start", shell)[0] == 0
            assert configured.running() == [configured.pid()]
            assert configured.init("reload", shell)[0] == 0
            wait_for(lambda: "configuration read again" in configured.log(), "the reload")
            assert configured.init("status", shell)[0] == 0
            for _twice in range(2):
                assert configured.init("stop", shell)[0] == 0
            assert configured.running() == []
            (configured.root / LOG).unlink()
    finally:
        (configured.root / "usr/local/sbin/start-stop-daemon").unlink()
        configured.root.run("apt-get", "purge", "-y", "busybox")


@pytest.mark.slow
def test_logrotate_loses_no_line_and_needs_no_restart(configured):
    configured.root.install("logrotate")
    (configured.root / "etc/default/lsyncd-lite").write_text('LSYNCD_LITE_OPTIONS="-log all"\n')
    assert configured.init("start")[0] == 0
    pid, names = configured.pid(), ["file-%d" % number for number in range(600)]

    def write():
        for name in names:
            (configured.root / "srv/source" / name).write_text(name)
            time.sleep(0.005)  # so that it takes as long as the rotations

    writer = threading.Thread(target=write)
    writer.start()
    for turn in range(7):  # 8 are kept
        wait_for((configured.root / "srv/source" / names[turn * 80]).exists, "further files")
        wait_for(configured.log, "lines in the new log")
        configured.root.run("logrotate", "-f", "/etc/logrotate.d/lsyncd-lite")
    writer.join()
    wait_for(lambda: equal(configured), "all files on the target")
    assert configured.pid() == pid and configured.init("stop")[0] == 0
    logs = sorted((configured.root / "var/log/lsyncd-lite").iterdir())
    assert any(path.name.endswith(".gz") for path in logs) and len(logs) > 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in logs} == {0o640}
    text = "".join(call("zcat", "-f", path).stdout for path in logs)
    assert [name for name in names if not re.search(r"\b%s\b" % name, text)] == []
    assert not re.search(r"lines are missing|cannot write", text)
    for line in text.splitlines():
        assert re.match(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} \w+: ", line), line


@pytest.mark.slow
def test_a_file_in_conf_d_is_configuration_enough(configured):
    configured.configure(configured.sample)
    more = configured.root / "etc/lsyncd-lite/conf.d/tree.conf"
    try:
        more.write_text(TEXT)
        assert configured.init("start")[0] == 0
        wait_for(lambda: equal(configured), "the first sync")
        more.write_text(TEXT + "delai = 1\n")
        status, said = configured.init("reload")
        assert status == 1 and "conf.d/tree.conf:11: " in said
    finally:
        more.unlink()


@pytest.mark.slow
def test_it_lives_beside_lsyncd(configured):
    configured.root.install("lsyncd")
    assert configured.init("start")[0] == 0
    (configured.root / "srv/other").mkdir()
    configured.root.sh("lsyncd -pidfile /run/lsyncd.pid -log scarce -delay 1 -rsync /srv/source /srv/other")
    wait_for(lambda: equal(configured) and (configured.root / "srv/other/sub/file").exists(), "both have mirrored")
    (configured.root / "srv/source/later").write_text("later")
    wait_for(lambda: equal(configured) and (configured.root / "srv/other/later").exists(), "both mirror what is new")
    configured.init("stop")
    theirs = configured.root.sh("cat /run/lsyncd.pid").stdout.split()[0]
    assert configured.kill(theirs, 0)
    assert configured.root.run("dpkg", "--verify", "lsyncd").stdout == ""
    configured.kill(theirs)
    wait_for(lambda: not configured.kill(theirs, 0), "lsyncd's end")
    shutil.rmtree(str(configured.root / "srv/other"))


LUA = """-- as lsyncd has it
settings {
    logfile = "/var/log/lsyncd/lsyncd.log",
    statusFile = "/var/log/lsyncd/lsyncd.status",
    pidfile = "/run/lsyncd.pid",
    statusInterval = 1,
}
local from = "/srv/"
sync { default.rsync, source = from .. "source", target = from .. "target", delay = 1, rsync = { binary = "/usr/bin/rsync" } }
"""


@pytest.mark.slow
def test_the_way_of_the_manual_from_lsyncd_and_back(configured):
    root = configured.root
    root.install("lsyncd", "rsync")
    configured.configure(configured.sample)
    root.sh("mkdir -p /etc/lsyncd /var/log/lsyncd")
    (root / "etc/lsyncd/lsyncd.conf.lua").write_text(LUA)
    log, status, link = (root / name for name in ("var/log/lsyncd/lsyncd.log", "var/log/lsyncd/lsyncd.status", "etc/lsyncd-lite/conf.d/lsyncd.conf"))
    page = (CHECKOUT / "man/lsyncd-lite-migrate.7.in").read_text()
    (commands,) = [text for text in manpage.examples(page, "code") if "update-rc.d" in text]
    try:
        root.sh("service lsyncd start")
        wait_for(lambda: equal(configured), "lsyncd mirrors")
        theirs = log.read_text()
        assert root.run("lsyncd-lite", "-check", "/etc/lsyncd/lsyncd.conf.lua").stdout == "OK\n"
        assert log.read_text() == theirs
        root.sh("service lsyncd stop")
        wait_for(lambda: root.run("test", "-e", "/run/lsyncd.pid", check=False).returncode, "lsyncd's end")
        (root / "srv/source/between").write_text("nobody saw it")
        said = root.sh("set -e\n" + commands).stdout
        assert "is running, as PID" in said, said
        wait_for(lambda: equal(configured), "what happened between the two arrives")
        (root / "srv/source/later").write_text("later")
        wait_for(lambda: equal(configured), "and what is new")
        wait_for(lambda: "State: idle" in status.read_text(), "its status")
        assert log.read_text().startswith(theirs) and len(log.read_text()) > len(theirs)
        assert (stat.S_IMODE(log.stat().st_mode), stat.S_IMODE(status.stat().st_mode)) == (0o644, 0o640)
        assert (root / "etc/lsyncd/lsyncd.conf.lua").read_text() == LUA
        assert configured.init("stop")[0] == 0
        (root / "srv/source/back").write_text("nobody saw it")
        root.sh("service lsyncd start")
        wait_for(lambda: equal(configured), "the way back")
    finally:
        root.sh("service lsyncd stop", check=False)
        root.sh("rm -rf /etc/lsyncd /var/log/lsyncd")
        if os.path.lexists(str(link)):
            link.unlink()


@pytest.mark.slow
def test_an_upgrade_goes_on_with_the_same_configuration(configured, deb):
    assert configured.init("start")[0] == 0
    pid = configured.pid()
    shutil.copy(str(deb), str(configured.root / "var/tmp"))
    said = configured.root.run("dpkg", "-i", "/var/tmp/" + deb.name).stdout
    assert "Starting mirror daemon" in said, said
    assert configured.pid() not in (None, pid)
    assert (configured.root / CONFIG).read_text() == TEXT
    (configured.root / "var/tmp" / deb.name).unlink()


@pytest.mark.slow
def test_the_package_s_own_test_passes(root, built):
    # Within the root's processes, so that nothing is left of it.
    wrapper = root.argv()[:root.argv().index("chroot")]
    done = call(*wrapper, "autopkgtest", next(built.glob("*.dsc")), next(built.glob("*.deb")), "--", "chroot", root.path, check=False)
    assert done.returncode == 0, done.stdout
    assert "mirror               PASS" in done.stdout, done.stdout


@pytest.mark.slow
@pytest.mark.skipif(needs() is not None, reason="needs %s" % needs())
def test_under_systemd_an_upgrade_restarts_what_runs_and_a_removal_ends_it(minimal, work, deb):
    path = work / "root-of-deb-booted"
    call("cp", "-a", "--reflink=auto", minimal, path)
    root = Root(path)
    root.install("python3", "systemd", "systemd-sysv", "dbus", "procps")
    root.stop()
    machine = Machine(path, "lsyncd-lite-deb-%d" % os.getpid())
    units = "lsyncd-lite.service", "lsyncd-lite@two.service"
    shutil.copy(str(deb), str(path / "var/tmp"))
    try:
        machine.boot()
        machine.run("apt-get", "install", "-y", "-q", "--no-install-recommends", "/var/tmp/" + deb.name)
        assert machine.systemctl("is-enabled", "lsyncd-lite.service").stdout == "enabled\n"
        assert machine.systemctl("is-failed", units[0], check=False).stdout == "inactive\n"
        (machine / "srv/source").mkdir()
        for name in ("lsyncd-lite", "two", "three"):
            (machine / "etc/lsyncd-lite" / (name + ".conf")).write_text(TEXT.replace("/srv/target", "/srv/" + name))
        machine.systemctl("start", units[0])
        machine.systemctl("enable", "--now", units[1])
        first = [machine.pid(unit) for unit in units]
        assert all(first)

        machine.run("dpkg", "-i", "/var/tmp/" + deb.name)
        second = [machine.pid(unit) for unit in units]
        assert all(second) and not set(first) & set(second)
        machine.systemctl("stop", units[1])
        machine.run("dpkg", "-i", "/var/tmp/" + deb.name)
        assert machine.pid(units[0]) and not machine.pid(units[1])  # what is stopped stays so
        machine.systemctl("start", units[1])

        machine.run("apt-get", "purge", "-y", "-q", "lsyncd-lite")
        assert machine.run("pgrep", "-f", "/usr/bin/lsyncd-lite", check=False).stdout == ""
        for place in ("etc/lsyncd-lite", "var/log/lsyncd-lite", "var/lib/lsyncd-lite", "var/lib/lsyncd-lite@two", "etc/default/lsyncd-lite"):
            assert not os.path.lexists(str(machine / place)), place
        assert machine.sh("find /etc/systemd /var/lib/systemd /run -name '*lsyncd*' ! -path '/run/systemd/*' ! -path '/run/udev/*'").stdout == ""
        assert machine.systemctl("is-system-running", check=False).stdout == "running\n"
    finally:
        machine.stop()
        shutil.rmtree(str(path))
