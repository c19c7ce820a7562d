"""The installed package under its own systemd, in a machine that is booted: what the units promise.

All that a mirror can do is done under the units' restrictions.
"""

import json
import os
import re
import stat
import textwrap

import pytest

from machine import Machine, needs
from roots import CHECKOUT, wait_for

from lsyncd_lite.report import manpage

pytestmark = [pytest.mark.slow, pytest.mark.skipif(needs() is not None, reason="needs %s" % needs())]

UNIT = "lsyncd-lite.service"
CONF = "etc/lsyncd-lite/lsyncd-lite.conf"
LOCAL = """
    [settings]
    delay = 0
    [sync www]
    source = /srv/src
    target = /srv/dst
"""


@pytest.fixture(scope="module")
def booted(root, deb):
    """A machine with our package, lsyncd, an ssh server, and users."""
    root.install("systemd", "systemd-sysv", "libnss-systemd", "dbus", "rsync", "openssh-server", "openssh-client", "acl", "sudo", "procps", "lsyncd", deb)
    root.sh("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 && cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys && "
            "awk '{ print \"localhost \" $1 \" \" $2 }' /etc/ssh/ssh_host_ed25519_key.pub > /root/.ssh/known_hosts && "
            "useradd alice && systemctl enable ssh && echo 127.0.0.1 localhost > /etc/hosts")
    root.stop()
    machine = Machine(root.path, "lsyncd-lite-%d" % os.getpid())
    try:
        machine.boot()
        yield machine
    finally:
        machine.stop()


class Service:
    """A unit of ours in the machine."""

    def __init__(self, machine, unit, conf):
        self.machine, self.unit, self.conf = machine, unit, conf
        self.cursor = None

    def configure(self, text):
        (self.machine / self.conf).write_text(textwrap.dedent(text))

    def drop_in(self, text, name="test"):
        """Change the unit as an administrator would."""
        folder = self.machine / "etc/systemd/system" / (self.unit + ".d")
        folder.mkdir(exist_ok=True)
        (folder / (name + ".conf")).write_text(text)
        self.machine.systemctl("daemon-reload")

    def start(self, text=None):
        if text is not None:
            self.configure(text)
        done = self.machine.systemctl("start", self.unit, check=False)
        assert done.returncode == 0, self.story()
        return self

    @property
    def state(self):
        return self.machine.show(self.unit, "ActiveState")

    @property
    def pid(self):
        return self.machine.pid(self.unit)

    def show(self, name):
        return self.machine.show(self.unit, name)

    def story(self):
        return "\n".join(self.machine.journal(self.unit, "--after-cursor=" + self.cursor))

    def said(self, words):
        """Return the lines of the journal with some words, since the test began."""
        return [line for line in self.machine.journal(self.unit, "--after-cursor=" + self.cursor) if words in line]

    def wait_said(self, words):
        return wait_for(lambda: self.said(words), lambda: "%r\n%s" % (words, self.story()))

    def wait_arrives(self, name, content=None):
        """Wait until a file is on the target, with some content."""
        path = self.machine / name
        wait_for(lambda: path.is_file() and content in (None, path.read_text()), lambda: "%s\n%s" % (name, self.story()))


@pytest.fixture
def machine(booted):
    """The machine with nothing configured, as after the installation; empty directories /srv/src and /srv/dst."""
    sample = (booted / CONF).read_text()
    booted.sh("mkdir -p /srv/src /srv/dst")
    yield booted
    booted.systemctl("stop", "lsyncd-lite*", check=False)
    booted.systemctl("reset-failed")
    booted.sh("rm -rf /srv/* /etc/systemd/system/lsyncd-lite*.d /etc/lsyncd-lite/[!lc]*.conf /var/log/lsyncd-lite/* /var/lib/lsyncd-lite/* "
              "/etc/default/lsyncd-lite@*")
    booted.systemctl("daemon-reload")
    (booted / CONF).write_text(sample)


@pytest.fixture
def service(machine):
    return _service(machine, UNIT, CONF)


@pytest.fixture
def instance(machine):
    return _service(machine, "lsyncd-lite@web.service", "etc/lsyncd-lite/web.conf")


def pending(machine, service, name):
    """Start with a delay that no test waits for, and make a change that waits for its end."""
    service.start(LOCAL.replace("delay = 0", "delay = 1000\n    statusFile = /run/lsyncd-lite/status\n    statusInterval = 1"))
    wait_for(lambda: "idle" in service.show("StatusText"), service.story)
    (machine / "srv/src" / name).write_text("x")
    wait_for(lambda: "There are 1 delays" in machine.run("cat", "/run/lsyncd-lite/status", check=False).stdout, service.story)


def _service(machine, unit, conf):
    one = Service(machine, unit, conf)
    machine.run("journalctl", "--sync")
    shown = machine.run("journalctl", "--no-pager", "--quiet", "--lines=0", "--show-cursor").stdout
    one.cursor = re.search(r"^-- cursor: (.*)$", shown, re.M).group(1)
    return one


def attributes(path):
    """Return {name: what stat(2), extended attributes and content tell} of all below a directory."""
    found = {}
    for directory, folders, files in os.walk(str(path)):
        for name in folders + files:
            one = os.path.join(directory, name)
            facts = os.lstat(one)
            content = b""
            if stat.S_ISREG(facts.st_mode):
                with open(one, "rb") as file:
                    content = file.read()
            found[os.path.relpath(one, str(path))] = (
                oct(facts.st_mode), facts.st_uid, facts.st_gid, facts.st_rdev, content,
                {key: os.getxattr(one, key, follow_symlinks=False) for key in os.listxattr(one, follow_symlinks=False)})
    return found


def wait_alike(one, other, story):
    wait_for(lambda: attributes(one) == attributes(other), lambda: "%s\n%s\n%s" % (attributes(one), attributes(other), story()))


# ---- installed, and nothing configured ------------------------------------------------------------

def test_nothing_fails_while_nothing_is_configured(machine):
    assert machine.show(UNIT, "UnitFileState") == "enabled"
    assert "Skipped due to 'exec-condition'" in "\n".join(machine.journal(UNIT, "--boot")), "it was not tried at the boot"
    assert machine.systemctl("start", UNIT).stdout == ""
    assert machine.show(UNIT, "ActiveState") == "inactive"
    assert machine.show(UNIT, "Result") == "exec-condition"
    assert machine.systemctl("--failed", "--plain", "--no-legend", "list-units", "lsyncd-lite*").stdout == ""


def test_without_the_file_nothing_is_even_asked(machine, service):
    (machine / CONF).unlink()
    assert machine.systemctl("start", UNIT).stdout == ""
    assert service.state == "inactive" and machine.show(UNIT, "ConditionResult") == "no"


def test_systemd_has_nothing_to_say_against_what_is_installed(machine):
    assert machine.run("systemd-analyze", "verify", "--man=no", UNIT, "lsyncd-lite@web.service").stdout == ""


def test_a_broken_configuration_fails_with_the_reason_and_is_tried_again_until_it_is_mended(machine, service):
    service.configure("[sync www]\nsource = /srv/src\ntarget = /srv/dst\ncolour = red\n")
    service.drop_in("[Service]\nRestartSec=1\n")
    assert machine.systemctl("start", UNIT, check=False).returncode
    service.wait_said("colour")
    service.configure(LOCAL)
    wait_for(lambda: service.state == "active", service.story)


LUA = """-- as lsyncd has it
settings { logfile = "/var/log/lsyncd/lsyncd.log", statusFile = "/var/log/lsyncd/lsyncd.status", pidfile = "/run/lsyncd.pid", nodaemon = true }
local from = "/srv/"
sync { default.rsync, source = from .. "src", target = from .. "dst", delay = 0.1 }
"""


@pytest.mark.parametrize("unit, link", [(UNIT, "conf.d/lsyncd.conf"), ("lsyncd-lite@web.service", "web.conf")])
def test_a_link_to_what_lsyncd_reads_is_a_configuration(machine, unit, link):
    service = _service(machine, unit, "etc/lsyncd/lsyncd.conf.lua")
    machine.sh("mkdir -p /etc/lsyncd /var/log/lsyncd && touch /var/log/lsyncd/lsyncd.log && ln -s /etc/lsyncd/lsyncd.conf.lua /etc/lsyncd-lite/" + link)
    try:
        service.start(LUA)
        first = service.pid
        (machine / "srv/src/f").write_text("x")
        service.wait_arrives("srv/dst/f")
        assert "full sync" in (machine / "var/log/lsyncd/lsyncd.log").read_text()
        assert machine.run("test", "-e", "/run/lsyncd.pid", check=False).returncode  # the unit's goes first
        service.configure(LUA + "\nsync { default.rsync, source = from .. 'src', target = from .. 'dst2', delay = 0.1 }\n")
        machine.systemctl("reload", unit)
        service.wait_arrives("srv/dst2/f")
        service.configure(LUA + "\nsync { default.rsync, source = from .. 'src' }\n")
        assert machine.systemctl("reload", unit, check=False).returncode
        service.wait_said("%s:6: " % link)
        assert (service.state, service.pid) == ("active", first)
    finally:
        machine.systemctl("stop", unit)
        machine.sh("rm -rf /etc/lsyncd /var/log/lsyncd /etc/lsyncd-lite/" + link)


def test_the_way_of_the_manual_from_lsyncd_and_back(machine, service):
    blocks = manpage.examples((CHECKOUT / "man/lsyncd-lite-migrate.7.in").read_text(), "code")
    there, convert, back = [next(block for block in blocks if words in block) for words in ("systemctl status", "mv new", "start lsyncd\n")]
    log, status = machine / "var/log/lsyncd/lsyncd.log", machine / "var/log/lsyncd/lsyncd.status"
    machine.sh("mkdir -p /etc/lsyncd /var/log/lsyncd")
    (machine / "etc/lsyncd/lsyncd.conf.lua").write_text(LUA.replace(", nodaemon = true", ", statusInterval = 1"))
    (machine / "srv/src/f").write_text("x")
    try:
        machine.sh("systemctl enable lsyncd && systemctl restart lsyncd")  # without a configuration, the boot has left it active
        service.wait_arrives("srv/dst/f")
        theirs = log.read_text()
        said = machine.sh("set -e\n" + there).stdout
        assert "Active: active (running)" in said, said
        assert machine.systemctl("is-enabled", "lsyncd", check=False).stdout.split()[-1:] == ["disabled"]
        assert machine.run("pgrep", "-x", "lsyncd", check=False).stdout == ""
        (machine / "srv/src/g").write_text("x")
        service.wait_arrives("srv/dst/g")
        wait_for(lambda: "State: idle" in status.read_text(), status.read_text)
        assert log.read_text().startswith(theirs) and "full sync finished" in log.read_text()
        assert [stat.S_IMODE(path.stat().st_mode) for path in (log, status)] == [0o644, 0o640]
        first, lua = service.pid, (machine / "etc/lsyncd/lsyncd.conf.lua").read_text()
        machine.sh("set -e\n" + convert)
        assert not (machine / "etc/lsyncd-lite/conf.d/lsyncd.conf").is_symlink() and "[sync sync1]" in (machine / "etc/lsyncd-lite/conf.d/lsyncd.conf").read_text()
        wait_for(lambda: "configuration read again" in log.read_text(), log.read_text)
        assert (service.pid, log.read_text().count("full sync finished")) == (first, 1)
        machine.sh("set -e\n" + back)
        assert (machine / "etc/lsyncd/lsyncd.conf.lua").read_text() == lua
        (machine / "srv/src/h").write_text("x")
        service.wait_arrives("srv/dst/h")
        assert service.state == "inactive" and machine.run("pgrep", "-x", "lsyncd").stdout
    finally:
        machine.sh("systemctl stop lsyncd; systemctl disable lsyncd; systemctl enable lsyncd-lite; rm -rf /etc/lsyncd /var/log/lsyncd /etc/lsyncd-lite/conf.d/lsyncd.conf")


# ---- start, status, reload, end -----------------------------------------------------------------------

def test_it_counts_as_started_when_everything_is_watched(machine, service):
    machine.sh("cd /srv/src && seq -f %04g 5000 | xargs mkdir")
    service.configure(LOCAL + "    init = no\n")
    machine.systemctl("start", "--no-block", UNIT)
    seen = []
    wait_for(lambda: seen.append(service.state) or seen[-1] == "active", service.story, 60)
    watched = machine.sh("cat /proc/%d/fdinfo/* 2>/dev/null | grep -c ^inotify" % service.pid).stdout
    assert "activating" in seen
    assert int(watched) >= 5001
    (machine / "srv/src/5000/last").write_text("x")
    service.wait_arrives("srv/dst/5000/last")


def test_what_is_changed_as_soon_as_the_start_is_over_arrives(machine, service):
    service.start(LOCAL + "    init = no\n")
    (machine / "srv/src/first").write_text("x")
    service.wait_arrives("srv/dst/first")


def test_systemctl_status_tells_how_the_mirrors_are(machine, service):
    service.start(LOCAL)
    wait_for(lambda: "idle" in service.show("StatusText"), lambda: service.show("StatusText"))
    assert 'Status: "%s"' % service.show("StatusText") in machine.systemctl("status", UNIT).stdout


def test_a_reload_takes_what_has_changed(machine, service):
    service.start(LOCAL)
    first = service.pid
    (machine / "srv/dst2").mkdir()
    service.configure(LOCAL + "    [sync more]\n    source = /srv/src\n    target = /srv/dst2\n")
    machine.systemctl("reload", UNIT)
    (machine / "srv/src/f").write_text("x")
    service.wait_arrives("srv/dst2/f")
    wait_for(lambda: service.state == "active", service.story)
    assert service.pid == first


def test_a_reload_of_a_broken_configuration_fails_with_the_reason_and_the_old_one_stays(machine, service):
    service.start(LOCAL)
    first = service.pid
    service.configure(LOCAL + "    colour = red\n")
    assert machine.systemctl("reload", UNIT, check=False).returncode
    service.wait_said("colour")
    assert (service.state, service.pid) == ("active", first)
    machine.systemctl("kill", "--kill-who=main", "--signal=HUP", UNIT)  # whoever leaves the check out
    service.wait_said("is refused")
    wait_for(lambda: "colour" in service.show("StatusText"), lambda: service.show("StatusText"))
    assert (service.state, service.pid) == ("active", first)
    (machine / "srv/src/f").write_text("x")
    service.wait_arrives("srv/dst/f")


def test_a_daemon_reload_leaves_it_alone(machine, service):
    service.start(LOCAL)
    first = service.pid
    machine.systemctl("daemon-reload")
    machine.systemctl("daemon-reexec")
    (machine / "srv/src/f").write_text("x")
    service.wait_arrives("srv/dst/f")
    assert (service.state, service.pid) == ("active", first)


def test_a_stop_sends_what_is_pending_and_is_a_success(machine, service):
    pending(machine, service, "f")
    machine.systemctl("stop", UNIT)
    assert (machine / "srv/dst/f").read_text() == "x"
    assert (service.state, service.show("Result"), service.show("ExecMainStatus")) == ("inactive", "success", "143")
    assert machine.run("test", "-e", "/run/lsyncd-lite", check=False).returncode


def test_the_shutdown_of_the_machine_sends_what_is_pending_and_its_boot_starts_it_when_there_is_a_network(machine, service):
    pending(machine, service, "f")
    machine.power_off()
    assert (machine / "srv/dst/f").read_text() == "x"
    machine.boot()
    assert service.state == "active", service.story()
    began = int(service.show("ExecMainStartTimestampMonotonic"))
    for target in "network-online.target", "local-fs.target", "sysinit.target":
        reached = int(machine.show(target, "ActiveEnterTimestampMonotonic"))
        assert 0 < reached <= began, target
    for target in "remote-fs.target", "nss-user-lookup.target":
        assert target in service.show("After").split()


# ---- it comes back ------------------------------------------------------------------------------------

def test_when_it_was_killed_it_comes_back_and_compares_everything(machine, service):
    service.drop_in("[Service]\nRestartSec=1\n")
    (machine / "srv/src/f").write_text("x")
    service.start(LOCAL + "    init = no\n")
    (machine / "srv/src/known").write_text("x")
    service.wait_arrives("srv/dst/known")
    first = service.pid
    machine.run("kill", "-KILL", first)
    wait_for(lambda: service.state == "active" and service.pid not in (0, first), service.story)
    service.wait_arrives("srv/dst/f")  # nobody has told of it


def test_it_comes_back_however_often_it_is_killed(machine, service):
    service.drop_in("[Service]\nRestartSec=100ms\n")
    service.start(LOCAL)
    for _time in range(7):  # five in ten seconds are what systemd takes by default
        pid = service.pid
        machine.run("kill", "-KILL", pid)
        wait_for(lambda: service.state == "active" and service.pid not in (0, pid), service.story)
    (machine / "srv/src/f").write_text("x")
    service.wait_arrives("srv/dst/f")


def test_when_it_is_stuck_it_is_started_anew(machine, service):
    service.drop_in("[Service]\nRestartSec=1\nWatchdogSec=2\n")
    service.start(LOCAL)
    first = service.pid
    (machine / "srv/src/f").write_text("x")
    service.wait_arrives("srv/dst/f")
    assert service.pid == first
    machine.run("kill", "-STOP", first)
    service.wait_said("Watchdog timeout")
    wait_for(lambda: service.state == "active" and service.pid not in (0, first), service.story)
    (machine / "srv/src/g").write_text("x")
    service.wait_arrives("srv/dst/g")


def test_while_a_command_takes_long_the_watchdog_is_content(machine, service):
    service.drop_in("[Service]\nWatchdogSec=1\n")
    service.start("""
        [sync slow]
        mode = exec
        source = /srv/src
        onModify = sleep 4 && touch /srv/dst/done
    """)
    first = service.pid
    (machine / "srv/src/f").write_text("x")
    service.wait_arrives("srv/dst/done")
    assert service.pid == first


def test_a_child_that_takes_all_memory_is_killed_and_the_daemon_stays(machine, service):
    real = "memory" in (machine.run("cat", "/sys/fs/cgroup/cgroup.controllers").stdout.split())
    if real:
        service.drop_in("[Service]\nMemoryMax=100M\nMemorySwapMax=0\n")
        eat = "/usr/bin/python3 -c 'bytearray(300 << 20)'"
    else:  # the kernel does the same to the child, but nobody counts it
        eat = "kill -KILL $$"
    service.start("""
        [sync hungry]
        mode = exec
        source = /srv/src
        onModify = if test -e /srv/eaten; then touch /srv/dst/done; else touch /srv/eaten; %s; fi
    """ % eat)
    first = service.pid
    (machine / "srv/src/f").write_text("x")
    service.wait_arrives("srv/dst/done")
    assert (service.state, service.pid) == ("active", first)
    assert service.show("OOMPolicy") == "continue"
    if real:
        service.wait_said("killed by the OOM killer")


# ---- where it writes -----------------------------------------------------------------------------------

def test_the_journal_has_each_line_once(machine, service):
    service.start(LOCAL)
    wait_for(lambda: service.said("full sync finished"), service.story)
    assert len(service.said("full sync finished")) == 1
    assert len(service.said("full sync of ")) == 1


def test_a_log_file_has_its_directory_and_is_for_no_others(machine, service):
    service.start(LOCAL.replace("delay = 0", "delay = 0\n    logfile = /var/log/lsyncd-lite/mirror.log\n"
                                             "    statusFile = /run/lsyncd-lite/status\n    statusInterval = 1"))
    log = machine / "var/log/lsyncd-lite/mirror.log"
    wait_for(lambda: log.is_file() and "full sync finished" in log.read_text(), service.story)
    assert stat.S_IMODE(log.stat().st_mode) & 0o007 == 0
    assert stat.S_IMODE(log.parent.stat().st_mode) & 0o007 == 0
    assert "www" in wait_for(lambda: machine.run("cat", "/run/lsyncd-lite/status", check=False).stdout, service.story)
    assert machine.run("cat", "/run/lsyncd-lite/lsyncd-lite.pid").stdout.strip() == str(service.pid)
    assert machine.sh("ls /var/lib/lsyncd-lite").stdout, "the state is kept"
    assert not service.said("full sync finished"), "what is in the file is in the journal, too"


def test_options_and_values_come_from_the_environment_file(machine, service):
    path = machine / "etc/default/lsyncd-lite"
    before = path.read_text()
    try:
        path.write_text('LSYNCD_LITE_OPTIONS="-log Exec -delay 0"\nMIRROR=/srv/dst\n')
        service.start(LOCAL.replace("target = /srv/dst", "target = ${MIRROR}"))
        service.wait_said("Exec: www: ")
        (machine / "srv/src/f").write_text("x")
        service.wait_arrives("srv/dst/f")
    finally:
        path.write_text(before)


def test_what_max_delete_holds_is_released_by_name(machine, service):
    service.start(LOCAL.replace("delay = 0", "delay = 0\n    pidfile = /run/lsyncd-lite/lsyncd-lite.pid") + "    maxDelete = 1\n")
    machine.sh("cd /srv/src && touch 1 2 3 4 5")
    service.wait_arrives("srv/dst/5")
    machine.sh("rm /srv/src/[2-5]")
    wait_for(lambda: "maxDelete" in service.show("StatusText"), service.story)
    assert "5" in os.listdir(str(machine / "srv/dst"))
    machine.run("lsyncd-lite", "-release", "www", "/" + CONF)
    wait_for(lambda: os.listdir(str(machine / "srv/dst")) == ["1"], service.story)


# ---- more than one ----------------------------------------------------------------------------------------

def test_an_instance_runs_beside_with_files_of_its_own(machine, service, instance):
    (machine / "srv/src2").mkdir()
    (machine / "srv/dst2").mkdir()
    service.start(LOCAL)
    instance.start(LOCAL.replace("/srv/src", "/srv/src2").replace("/srv/dst", "/srv/dst2"))
    pids = {service.pid, instance.pid}
    assert len(pids) == 2 and 0 not in pids
    assert machine.run("cat", "/run/lsyncd-lite@web/lsyncd-lite.pid").stdout.strip() == str(instance.pid)
    assert (machine / "var/lib/lsyncd-lite@web").is_dir()
    machine.systemctl("stop", UNIT)
    assert instance.state == "active"
    assert machine.run("cat", "/run/lsyncd-lite@web/lsyncd-lite.pid").stdout.strip() == str(instance.pid)
    (machine / "srv/src2/f").write_text("x")
    instance.wait_arrives("srv/dst2/f")
    machine.systemctl("reload", instance.unit)
    machine.systemctl("stop", instance.unit)
    assert instance.show("Result") == "success"
    assert not (machine / "srv/dst/f").exists()


def test_an_instance_without_a_configuration_is_skipped(machine):
    assert machine.systemctl("start", "lsyncd-lite@nothing").stdout == ""
    assert machine.show("lsyncd-lite@nothing", "ActiveState") == "inactive"


# ---- asked and steered -------------------------------------------------------------------------------------

def ask(machine, *words, code=0, user=None):
    """Run lsyncd-lite COMMAND in the machine, as root or another; return what it prints."""
    done = machine.run(*(("runuser", "-u", user, "--") if user else ()), "lsyncd-lite", *words, check=False)
    assert done.returncode == code, done.stdout
    return done.stdout


def test_root_asks_and_steers_the_service_and_an_instance(machine, service, instance):
    machine.sh("mkdir /srv/src2 /srv/dst2")
    service.start(LOCAL.replace("delay = 0", "delay = 1000"))
    instance.start(LOCAL.replace("/srv/src", "/srv/src2").replace("/srv/dst", "/srv/dst2").replace("www", "web"))
    ask(machine, "wait", "-timeout", "20")
    shots = json.loads(ask(machine, "status", "-json"))
    assert [(shot["pid"], shot["configuration"], [sync["name"] for sync in shot["syncs"]]) for shot in shots] == [
        (service.pid, "/" + CONF, ["www"]), (instance.pid, "/" + instance.conf, ["web"])]
    said = ask(machine, "status")
    assert "/" + CONF in said and "/" + instance.conf in said, "which is which"
    assert ask(machine, "check").startswith("LSYNCD_LITE OK - 2 syncs: all idle | ")
    for name in "a", "b":
        (machine / "srv" / ("src" + "2" * (name == "b")) / name).write_text("x")
    ask(machine, "flush", "www")
    ask(machine, "wait", "-timeout", "20")
    assert (machine / "srv/dst/a").read_text() == (machine / "srv/dst2/b").read_text() == "x"
    ask(machine, "pause", "web")
    assert "LSYNCD_LITE WARNING - web: paused" in ask(machine, "check", code=1)
    assert "resume web" in ask(machine, "status", "-socket", "web")
    assert "-socket" in ask(machine, "resume", code=255)
    ask(machine, "resume", "-socket", "web")
    ask(machine, "full", "www")
    assert "retry" not in ask(machine, "retry", "www", code=0)
    service.configure(LOCAL + "    colour = red\n")
    assert "colour" in ask(machine, "reload", "-socket", "lsyncd-lite", code=255)
    assert "LSYNCD_LITE WARNING - /%s: the new configuration is refused: " % CONF in ask(machine, "check", code=1)
    service.configure(LOCAL)
    ask(machine, "reload", "-socket", "lsyncd-lite")
    ask(machine, "check")


def test_others_are_told_that_they_may_not_ask(machine, service):
    service.start(LOCAL.replace("delay = 0", "delay = 0\n    statusFile = /run/lsyncd-lite/lsyncd-lite.status\n    statusInterval = 1"))
    assert "LSYNCD_LITE UNKNOWN" in ask(machine, "check", code=3, user="nobody") and "only root" in ask(machine, "check", code=3, user="nobody")
    assert "only root" in ask(machine, "status", code=255, user="nobody") and "only root" in ask(machine, "pause", code=255, user="nobody")
    wait_for(lambda: machine.run("test", "-e", "/run/lsyncd-lite/lsyncd-lite.status", check=False).returncode == 0, service.story)
    machine.run("chgrp", "alice", "/run/lsyncd-lite/lsyncd-lite.status")
    assert ask(machine, "check", "-s", "/run/lsyncd-lite/lsyncd-lite.status", user="alice").startswith("LSYNCD_LITE OK")


@pytest.mark.parametrize("name", ("lsyncd-lite", "lsyncd-lite@web"))
def test_what_a_command_has_stopped_stays_down_until_it_is_started(machine, service, instance, name):
    one = service if name == "lsyncd-lite" else instance
    one.drop_in("[Service]\nRestartSec=100ms\n")
    one.start(LOCAL.replace("delay = 0", "delay = 1000"))
    ask(machine, "wait", "-timeout", "20")
    first, restarts = one.pid, one.show("NRestarts")
    (machine / "srv/src/f").write_text("x")
    wait_for(lambda: '"queued": 1' in ask(machine, "status", "-json"), one.story)
    assert "the daemon has ended" in ask(machine, "stop", "-timeout", "30")
    assert (machine / "srv/dst/f").read_text() == "x"
    wait_for(lambda: one.state == "inactive", one.story)
    assert (one.show("Result"), one.show("NRestarts"), one.pid) == ("success", restarts, 0)
    assert "no lsyncd-lite runs" in ask(machine, "status", code=255) and "LSYNCD_LITE CRITICAL" in ask(machine, "check", code=2)
    one.start()
    assert one.pid not in (0, first)
    ask(machine, "check")


def test_after_a_crash_the_next_answers_at_the_same_place(machine, service):
    service.drop_in("[Service]\nRestartSec=1\n")
    service.start(LOCAL)
    first = service.pid
    machine.run("kill", "-KILL", first)
    wait_for(lambda: service.state == "active" and service.pid not in (0, first), service.story)
    assert json.loads(ask(machine, "status", "-json"))["pid"] == service.pid
    assert machine.sh("ls /run/lsyncd-lite/*.sock").stdout == "/run/lsyncd-lite/lsyncd-lite.sock\n"


def test_the_numbers_are_where_node_exporter_looks(machine, service):
    machine.sh("useradd prometheus; install -d -o prometheus /var/lib/prometheus; install -d /var/lib/prometheus/node-exporter")  # as its package does
    service.start(LOCAL.replace("delay = 0", "delay = 0\n    metricsFile = /var/lib/prometheus/node-exporter/lsyncd-lite.prom\n    statusInterval = 1"))
    path = machine / "var/lib/prometheus/node-exporter/lsyncd-lite.prom"
    wait_for(lambda: path.is_file() and 'lsyncd_lite_jobs_total{sync="www"' in path.read_text(), service.story)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644 and not service.said("Warn")
    machine.systemctl("stop", UNIT)
    assert not path.exists() or "lsyncd_lite_up 0" in path.read_text()


def test_a_page_is_written_by_cron(machine, service):
    service.start(LOCAL)
    line = next(line for line in (CHECKOUT / "man/lsyncd-lite.1").read_text().splitlines() if "root lsyncd-lite status -html" in line)
    machine.sh("mkdir -p /var/www/html; " + line.partition(" root ")[2])
    assert "www" in (machine / "var/www/html/mirrors.html").read_text()


GENTLE = """
    [settings]
    delay = 0
    insist = yes
    nice = 7
    ionice = idle
    [sync far]
    source = /srv/src
    target = rsync://127.0.0.1:^localport/mirror
    rsync.archive = yes
    rsync.binary = /srv/gentle
    tunnel.command = ssh -N -o BatchMode=yes -o ExitOnForwardFailure=yes %(ssh)s -L 127.0.0.1:^localport:localhost:8730 root@localhost
"""


@pytest.fixture
def gentle(machine):
    """An rsync daemon behind the ssh server, and an rsync that notes how it goes."""
    (machine / "srv/gentle").write_text('#!/bin/sh\n{ nice; ionice; } > /run/lsyncd-lite/gentle\nexec rsync "$@"\n')
    (machine / "etc/rsyncd.test").write_text("use chroot = no\nuid = 0\ngid = 0\n[mirror]\npath = /srv/dst\nread only = no\n")
    machine.run("chmod", "755", "/srv/gentle")
    machine.run("systemd-run", "--quiet", "--unit=rsyncd-test", "rsync", "--daemon", "--no-detach", "--port=8730", "--address=127.0.0.1", "--config=/etc/rsyncd.test")
    yield
    machine.systemctl("stop", "rsyncd-test")


def test_tunnels_and_gentle_jobs_work_under_the_unit(machine, service, gentle):
    service.start(GENTLE % {"ssh": ""})
    (machine / "srv/src/f").write_text("x")
    service.wait_arrives("srv/dst/f")
    assert machine.run("cat", "/run/lsyncd-lite/gentle").stdout == "7\nidle\n"
    ask(machine, "wait", "-timeout", "20")
    machine.systemctl("stop", UNIT)
    assert machine.run("pgrep", "-f", "^ssh -N", check=False).stdout == ""


def test_a_command_names_the_targets_under_the_unit(machine, service):
    service.start(LOCAL.replace("target = /srv/dst", "targetsFrom = !echo root@localhost:/srv/dst"))
    (machine / "srv/src/f").write_text("x")
    service.wait_arrives("srv/dst/f")


# ---- all that a mirror can do, under the restrictions ----------------------------------------------------

EVERYTHING = """
    set -e
    cd /srv/src
    echo text > plain
    cp /bin/true setuid; chmod 4755 setuid
    cp /bin/true of-alice; chmod 2640 of-alice; chown alice:alice of-alice; chmod g+s of-alice
    mknod char c 1 3
    mknod block b 8 0
    mknod other c 240 77
    mkfifo fifo
    ln -s plain link
    mkdir -m 1777 sticky
    echo acl > acl; setfacl -m u:alice:rwx acl
    mkdir default; setfacl -d -m g:alice:rx default
"""
XATTRS = {"plain": {"user.note": b"x"},
          "setuid": {"security.capability": bytes.fromhex("0100000200040000000000000000000000000000")}}  # cap_net_bind_service=ep


@pytest.fixture
def everything(machine):
    """Fill the source with all that a tree can hold; return how many names that are."""
    machine.sh(EVERYTHING)
    for name, values in XATTRS.items():
        for key, value in values.items():
            os.setxattr(str(machine / "srv/src" / name), key, value)
    found = attributes(machine / "srv/src")
    assert found["of-alice"][1] == 1000 and found["setuid"][0] == "0o104755" and found["block"][3] == os.makedev(8, 0)
    assert "system.posix_acl_access" in found["acl"][5] and "security.capability" in found["setuid"][5]
    return found


WAYS = {
    "rsync": "source = /srv/src\n target = /srv/dst",
    "direct": "mode = direct\n source = /srv/src\n target = /srv/dst",
    "without rsync": "mode = direct\n source = /srv/src\n target = /srv/dst\n rsync.binary = /there/is/no/rsync",
    "rsync by ssh": "source = /srv/src\n target = localhost:/srv/dst",
    "rsyncssh": "mode = rsyncssh\n source = /srv/src\n host = localhost\n targetdir = /srv/dst",
    "exec": "mode = exec\n source = /srv/src\n target = /srv/dst\n onStartup = rm -rf ^target && cp -a ^source ^target\n"
            " onCreate = cp -aT ^sourcePathname ^targetPathname\n onModify = cp -aT ^sourcePathname ^targetPathname",
}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_owners_modes_devices_acls_and_attributes_are_mirrored(machine, service, everything, way):
    text = "[settings]\ndelay = 0\n[sync tree]\n" + re.sub("(?m)^ ", "", WAYS[way])
    if way not in ("exec",):
        text += "\nrsync.archive = yes\nrsync.acls = yes\nrsync.xattrs = yes\n"
    if way == "without rsync":
        text = text.replace("rsync.acls = yes\nrsync.xattrs = yes\n", "")
    service.start(text)
    wait_alike(machine / "srv/src", machine / "srv/dst", service.story)
    (machine / "srv/src/later").mkdir()
    machine.sh("cd /srv/src/later; cp -p ../setuid s; mknod n b 8 1; cp -a ../acl ../of-alice .; setfattr -n user.y -v z s 2>/dev/null || true")
    wait_alike(machine / "srv/src", machine / "srv/dst", service.story)


def test_hooks_may_become_somebody_else_and_ask_systemd(machine, service):
    (machine / "srv/dst").chmod(0o777)
    service.start("""
        [sync hooks]
        mode = exec
        source = /srv/src
        onModify =
            runuser -u alice -- sh -c 'id -un > /srv/dst/runuser' &&
            su alice -s /bin/sh -c 'id -un > /srv/dst/su' &&
            sudo -n -u alice sh -c 'id -un > /srv/dst/sudo' &&
            nice -n 5 true &&
            systemctl reload ssh &&
            systemd-run --quiet --wait --pipe unshare -m sh -c 'mount -t tmpfs x /mnt && echo mounted > /srv/dst/systemd-run' &&
            touch /srv/dst/all
    """)
    (machine / "srv/src/f").write_text("x")
    service.wait_arrives("srv/dst/all")
    for name in "runuser", "su", "sudo":
        assert (machine / "srv/dst" / name).read_text() == "alice\n"
    assert (machine / "srv/dst/systemd-run").read_text() == "mounted\n"


def test_what_is_mounted_and_unmounted_later_is_seen(machine, service):
    service.start(LOCAL)
    (machine / "srv/src/disk").mkdir()
    machine.sh("mount -t tmpfs test /srv/src/disk && echo x > /srv/src/disk/f")
    try:
        service.wait_arrives("srv/dst/disk/f")
    finally:
        machine.run("umount", "/srv/src/disk")
    (machine / "srv/src/fence").write_text("x")
    service.wait_arrives("srv/dst/fence")
    assert (machine / "srv/dst/disk/f").exists(), service.story()


def test_what_no_mirror_needs_is_not_possible(machine, service):
    forbidden = {
        "mount": "mount -t tmpfs x /mnt", "unshare": "unshare -m true", "sysctl": "echo 1 > /proc/sys/kernel/sysrq",
        "cgroup": "mkdir /sys/fs/cgroup/mine", "clock": "date -s 2020-01-01", "hostname": "hostname other",
        "nsenter": "nsenter -t 1 -u true", "raw": "/usr/bin/python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'",
        "packet": "/usr/bin/python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)'",
        "chroot": "chroot / true", "immutable": "chattr +i /srv/src/f", "nodes": "unshare -U true"}
    allowed = {"shell": "true", "node": "mknod /srv/null c 1 3", "network": "ssh localhost true </dev/null"}
    # Whether a systemd can enforce DevicePolicy= depends on the kernel: it is asked of a unit that may make no node at all.
    if machine.run("systemd-run", "--quiet", "--wait", "--property=DevicePolicy=closed", "mknod", "/srv/probe", "b", "8", "0", check=False).returncode:
        forbidden["device"] = "head -c 1 < /srv/char"
        machine.run("mknod", "/srv/char", "c", "4", "64")
    text = "; ".join("if %s; then touch /srv/dst/did-%s; fi" % (command, name) for name, command in {**forbidden, **allowed}.items())
    service.start("""
        [sync bad]
        mode = exec
        source = /srv/src
        onModify = %s; touch /srv/dst/end
    """ % text)
    (machine / "srv/src/f").write_text("x")
    service.wait_arrives("srv/dst/end")
    assert sorted(os.listdir(str(machine / "srv/dst"))) == sorted(["end"] + ["did-" + name for name in allowed]), service.story()
    if "device" in forbidden:
        assert service.said("cannot open /srv/char: Operation not permitted")


# ---- strict ---------------------------------------------------------------------------------------------------

@pytest.fixture
def strict(machine):
    """Use the strict drop-in with a unit as its text says, with more lines; what it leaves goes at the end."""
    example = (machine / "usr/share/doc/lsyncd-lite/examples/strict.conf").read_text()
    units = []

    def use(service, more=""):
        service.drop_in(example, "strict")
        service.drop_in("[Service]\n" + more)
        units.append(service.unit)
    yield use
    for unit in units:
        machine.systemctl("stop", unit)
        name = unit[:-len(".service")]
        machine.sh("rm -rf /var/lib/private/%s /var/lib/%s /var/log/private/%s /var/log/%s" % (name, name, name, name))
    machine.sh("install -d /var/lib/lsyncd-lite; install -d -m 750 -g adm /var/log/lsyncd-lite")


def _key(machine, service, name):
    """Give a service of a user of its own a key for ssh to localhost: its first start makes the directory."""
    machine.sh("set -e; cd /var/lib/%s; cp /root/.ssh/id_ed25519 id; cp /root/.ssh/known_hosts .; chown --reference=. id known_hosts; "
               "chmod 600 id" % name)


BY_SSH = """
    [settings]
    delay = 0
    insist = yes
    logfile = /var/log/%(name)s/mirror.log
    [sync away]
    source = /srv/src
    target = root@localhost:/srv/dst
    rsync.archive = yes
    ssh.identityFile = /var/lib/%(name)s/id
    ssh.options.UserKnownHostsFile = /var/lib/%(name)s/known_hosts
"""


@pytest.mark.parametrize("name", ("lsyncd-lite", "lsyncd-lite@web"))
def test_with_the_strict_drop_in_it_is_not_root_and_mirrors_to_another_host(machine, service, instance, strict, name):
    one = service if name == "lsyncd-lite" else instance
    machine.sh("cd /srv/src; echo x > f; chown alice f; mkdir d; echo y > d/g; mkdir -m 700 secret; echo z > secret/h")
    strict(one)
    one.start(BY_SSH % {"name": name})
    _key(machine, one, name)
    machine.systemctl("restart", one.unit)
    one.wait_arrives("srv/dst/d/g", "y\n")
    one.wait_arrives("srv/dst/f")
    assert (machine / "srv/dst/f").stat().st_uid == 1000
    (machine / "srv/src/d/later").write_text("z")
    one.wait_arrives("srv/dst/d/later")
    assert machine.field(one.pid, "Uid").split()[0] not in ("0", "1000")
    assert int(machine.field(one.pid, "CapEff"), 16) == 0
    assert "full sync" in machine.run("cat", "/var/log/%s/mirror.log" % name).stdout
    assert not (machine / "srv/dst/secret/h").exists()
    first = one.pid
    machine.systemctl("reload", one.unit)
    machine.run("kill", "-KILL", first)
    one.drop_in("[Service]\nRestartSec=1\n")
    wait_for(lambda: one.state == "active" and one.pid not in (0, first), one.story, 30)
    machine.systemctl("stop", one.unit)
    assert one.show("Result") == "success"


def test_with_the_strict_drop_in_it_is_asked_and_goes_through_a_tunnel(machine, service, strict, gentle):
    machine.sh("groupadd -f metrics; install -d -g metrics -m 775 /var/lib/prometheus/node-exporter")
    strict(service, "SupplementaryGroups=metrics\nReadWritePaths=/var/lib/prometheus/node-exporter\n")
    text = GENTLE % {"ssh": "-i /var/lib/lsyncd-lite/id -o UserKnownHostsFile=/var/lib/lsyncd-lite/known_hosts"}
    service.start(text.replace("insist = yes", "insist = yes\n    statusInterval = 1\n    metricsFile = /var/lib/prometheus/node-exporter/lsyncd-lite.prom"))
    _key(machine, service, "lsyncd-lite")
    machine.systemctl("restart", UNIT)
    (machine / "srv/src/f").write_text("x")
    service.wait_arrives("srv/dst/f")
    assert machine.run("cat", "/run/lsyncd-lite/gentle").stdout == "7\nidle\n"
    ask(machine, "wait", "-timeout", "20")
    assert "idle" in ask(machine, "status") and ask(machine, "check").startswith("LSYNCD_LITE OK")
    assert "only root" in ask(machine, "check", code=3, user="nobody")
    wait_for((machine / "var/lib/prometheus/node-exporter/lsyncd-lite.prom").is_file, service.story)
    ask(machine, "pause")
    ask(machine, "resume")
    ask(machine, "reload")
    ask(machine, "stop", "-timeout", "30")
    wait_for(lambda: service.state == "inactive", service.story)
    assert service.show("Result") == "success"


def test_with_the_strict_drop_in_it_may_be_given_all_to_read_and_a_place_to_write(machine, service, strict):
    machine.sh("mkdir -m 700 /srv/src/secret; echo z > /srv/src/secret/h; chown alice /srv/dst")
    strict(service, "DynamicUser=no\nUser=alice\nReadWritePaths=/srv/dst\n"
                    "AmbientCapabilities=CAP_DAC_READ_SEARCH\nCapabilityBoundingSet=CAP_DAC_READ_SEARCH\n")
    service.start(LOCAL)
    service.wait_arrives("srv/dst/secret/h", "z\n")
    assert int(machine.field(service.pid, "CapEff"), 16) == 1 << 2


def test_with_the_strict_drop_in_nothing_else_can_be_written(machine, service, strict):
    strict(service)
    text = "; ".join("touch %s/x && touch $STATE/did" % path for path in ("/etc", "/srv/dst", "/usr", "/home", "/root", "/var/tmp/../log"))
    machine.sh("chmod 777 /srv/dst")
    service.start("""
        [sync actions]
        mode = exec
        source = /srv/src
        onModify = STATE=/var/lib/lsyncd-lite; %s; touch $STATE/end
    """ % text)
    (machine / "srv/src/f").write_text("x")
    wait_for(lambda: machine.run("test", "-e", "/var/lib/lsyncd-lite/end", check=False).returncode == 0, service.story)
    assert machine.run("test", "-e", "/var/lib/lsyncd-lite/did", check=False).returncode
