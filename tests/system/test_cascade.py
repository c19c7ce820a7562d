"""Hub and trickle: a hub, two spokes, and one more host behind each, as contrib/examples/cascade has them.

Every host is a network namespace with an sshd and a daemon of its own; a router joins them, and each can lose its
cable. What a host has of its own are /srv and /var/lib, which are directories of the test's there.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import CHECKOUT, ROOT, environment, make, names, tree, wait_for

EXAMPLES = CHECKOUT / "contrib" / "examples"
MARK = "lsl"  # begins the names of namespaces; what follows is our pid, by which the next run finds what a killed one has left
HOSTS = {"hub": 1, "spoke1": 2, "spoke2": 3, "leaf1": 4, "leaf2": 5}
BEHIND = {"hub": ("spoke1", "spoke2"), "spoke1": ("leaf1",), "spoke2": ("leaf2",)}

pytestmark = [pytest.mark.skipif(not ROOT, reason="network namespaces need root"),
              pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
              pytest.mark.skipif(not shutil.which("ssh"), reason="ssh is not installed")]


def ip(*words, check=True):
    return subprocess.run(["ip", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, check=check)


def _end_all_in(name):
    for pid in ip("netns", "pids", name, check=False).stdout.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except (ProcessLookupError, ValueError):
            pass


def _sweep(own):
    """Remove the namespaces of a run (its pid), and of those that were killed."""
    for line in ip("netns", "list").stdout.splitlines():
        name = line.split()[0]
        match = re.fullmatch(MARK + r"(\d+)-\w+", name)
        if match and (int(match.group(1)) == own or not os.path.exists("/proc/" + match.group(1))):
            _end_all_in(name)
            ip("netns", "del", name, check=False)  # its interfaces go with it


# Makes of a directory and a namespace a host: its own /srv and /var/lib, and what all hosts of the net know.
_HOST = """set -e
mount --bind "$1/srv" /srv
mount --bind "$1/lib" /var/lib
mount --bind "$2/hosts" /etc/hosts
mount --bind "$2/ssh_config" /etc/ssh/ssh_config
shift 2
exec "$@"
"""


# What the examples leave as it is would take a minute to notice that a cable is gone.
_IMPATIENT = "ssh.options =\n    ServerAliveInterval=1\n    ServerAliveCountMax=2\n    ConnectTimeout=2\n"


class Net:
    """Five hosts, 10.77.1.1 to 10.77.5.1, and what joins them, in namespaces: nothing of it is in ours."""

    def __init__(self, folder):
        self.folder, self.prefix = folder, "%s%d-" % (MARK, os.getpid())
        self.processes = {}
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
        (folder / "known").write_text("".join("%s %s" % (host, (folder / "host.pub").read_text()) for host in HOSTS))
        (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join("10.77.%d.1 %s\n" % (number, host) for host, number in HOSTS.items()))
        (folder / "ssh_config").write_text("IdentityFile %s/user\nUserKnownHostsFile %s/known\n" % (folder, folder))
        self.router = self.prefix + "net"
        ip("netns", "add", self.router)
        ip("netns", "exec", self.router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        for host, number in HOSTS.items():
            name = self.prefix + host
            ip("netns", "add", name)
            ip("-n", self.router, "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", self.router, "addr", "add", "10.77.%d.254/24" % number, "dev", host)
            ip("-n", self.router, "link", "set", host, "up")
            ip("-n", name, "addr", "add", "10.77.%d.1/24" % number, "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "route", "add", "default", "via", "10.77.%d.254" % number)
            self.tree(host).mkdir(parents=True)
            (folder / host / "lib").mkdir()
            self.sshd(host)

    def run(self, host, argv, log):
        """Start a program on a host."""
        with open(str(self.folder / host / log), "ab") as out:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.prefix + host, "sh", "-c", _HOST, "sh", str(self.folder / host), str(self.folder), *map(str, argv)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=str(self.folder / host), start_new_session=True, env=environment(self.folder))
        self.processes[host, log] = process
        return process

    def sshd(self, host):
        binary = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/local/sbin")
        if not binary:
            pytest.skip("sshd is not installed")
        config, log = self.folder / host / "sshd_config", self.folder / host / "sshd.log"
        config.write_text("\n".join([
            "ListenAddress 10.77.%d.1" % HOSTS[host], "HostKey %s/host" % self.folder, "PidFile none", "UsePAM no", "StrictModes no",
            "PermitRootLogin yes", "AuthorizedKeysFile %s/user.pub" % self.folder, "PasswordAuthentication no", ""]))
        process = self.run(host, [binary, "-f", config, "-D", "-e"], "sshd.log")

        def listens():
            assert process.poll() is None, log.read_text()
            return "Server listening" in log.read_text()
        wait_for(listens, "sshd of %s" % host)

    def daemon(self, host):
        """Start the daemon of a host by the example, which is only made quicker."""
        text = (EXAMPLES / ("cascade-hub.ini" if host == "hub" else "cascade-spoke.ini")).read_text()
        assert "delay = 5" in text and "/etc/lsyncd-lite" in text or host == "hub"
        (self.folder / host / "leaves").write_text("# behind %s\n%s\n" % (host, "\n".join(BEHIND[host])))
        (self.folder / host / "c.ini").write_text(text.replace("delay = 5", "delay = 0.3").replace("/etc/lsyncd-lite", str(self.folder / host)) + _IMPATIENT)
        return self.run(host, [sys.executable, "-m", "lsyncd_lite", "-nodaemon", "c.ini"], "log")

    def log(self, host):
        return (self.folder / host / "log").read_text()

    def cable(self, host, state):
        ip("-n", self.router, "link", "set", host, state)

    def tree(self, host):
        return self.folder / host / "srv" / "data"

    def wait_equal(self, *hosts, source="hub", limit=30):
        """Wait until the trees of hosts are as that of the hub."""
        def look():
            return all(tree(self.tree(host), True).keys() - {b"."} == tree(self.tree(source), True).keys() - {b"."}
                       and tree(self.tree(host)) == tree(self.tree(source)) for host in hosts)
        wait_for(look, lambda: "equal trees: %s\n%s" % ({host: sorted(names(self.tree(host))) for host in HOSTS}, "\n".join(
            "---- %s\n%s" % (host, self.log(host)[-2000:]) for host in BEHIND)), limit)

    def end(self):
        for host in BEHIND:
            if (host, "log") in self.processes:
                self.processes[host, "log"].terminate()
        for process in self.processes.values():
            if process.args[-1] == "c.ini":
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    pass
        _sweep(os.getpid())
        for process in self.processes.values():
            process.wait(10)


@pytest.fixture
def net(tmp_path, run_sshd):
    _sweep(os.getpid())
    tried = ip("netns", "add", "%s%d-try" % (MARK, os.getpid()), check=False)
    if tried.returncode:
        pytest.skip("no network namespaces here: %s" % tried.stdout.strip())
    ip("netns", "del", "%s%d-try" % (MARK, os.getpid()))
    try:
        one = Net(tmp_path)
    except BaseException:
        _sweep(os.getpid())
        raise
    try:
        yield one
    finally:
        one.end()
        assert MARK + str(os.getpid()) not in ip("netns", "list").stdout
        for host in BEHIND:
            assert "Traceback" not in one.log(host)


def test_what_happens_at_the_hub_trickles_down_and_who_was_away_catches_up(net):
    hub = net.tree("hub")
    make(hub, "a", "d/b", "d/e/c", "gone/x", "gone/y", ".mirror")
    for host in ("spoke1", "spoke2"):  # they wait until the hub has filled them: the marker is in what it sends
        net.daemon(host)
    net.daemon("hub")
    everybody = [host for host in HOSTS if host != "hub"]
    net.wait_equal(*everybody)

    # what is made, written, renamed and deleted travels all the way
    make(hub, "new", "d/new/er")
    (hub / "a").write_text("other")
    (hub / "d" / "e").rename(hub / "moved")
    shutil.rmtree(str(hub / "gone"))
    (hub / "link").symlink_to("moved/c")
    os.chmod(str(hub / "d" / "b"), 0o600)
    net.wait_equal(*everybody)
    assert os.stat(str(net.tree("leaf2") / "d" / "b")).st_mode & 0o777 == 0o600

    # a spoke without a cable holds up nobody but its own leaf
    net.cable("spoke1", "down")
    make(hub, "while/away")
    (hub / "new").unlink()
    (hub / "moved").rename(hub / "moved again")
    net.wait_equal("spoke2", "leaf2")
    assert "away" not in "".join(names(net.tree("spoke1")) | names(net.tree("leaf1"))) and (net.tree("leaf1") / "new").exists()
    wait_for(lambda: re.search(r"Error: trickle/1: ", net.log("hub")), lambda: "the hub to say so\n" + net.log("hub"))
    net.cable("spoke1", "up")
    net.wait_equal(*everybody)

    # a leaf without one gets its share from its spoke later, by whom the hub hears nothing of it
    net.cable("leaf2", "down")
    make(hub, "late")
    net.wait_equal("spoke1", "leaf1", "spoke2")
    assert "late" not in names(net.tree("leaf2"))
    net.cable("leaf2", "up")
    net.wait_equal("leaf2")
    assert "leaf" not in net.log("hub") and "Error: trickle/leaf2: " in net.log("spoke2")

    # a spoke that was killed compares everything with its leaf
    os.kill(next(int(pid) for pid in ip("netns", "pids", net.prefix + "spoke2").stdout.split()
                 if b"lsyncd_lite" in Path("/proc", pid, "cmdline").read_bytes()), signal.SIGKILL)
    net.processes["spoke2", "log"].wait(10)
    make(hub, "in between")
    net.wait_equal("spoke1", "leaf1", "spoke2")
    net.daemon("spoke2")
    net.wait_equal("leaf2")

    # a spoke whose marker is gone, as its disk is not mounted, empties no leaf
    away = net.tree("spoke1").with_name("elsewhere")
    net.cable("spoke1", "down")
    net.tree("spoke1").rename(away)
    net.tree("spoke1").mkdir()
    wait_for(lambda: re.search(r"source /srv/data (is missing|holds no \.mirror)", net.log("spoke1")), lambda: "the spoke to miss its tree\n" + net.log("spoke1"))
    assert names(net.tree("leaf1")) == names(hub)
    net.tree("spoke1").rmdir()
    away.rename(net.tree("spoke1"))
    make(hub, "afterwards")
    net.cable("spoke1", "up")
    net.wait_equal(*everybody)

    # a hand that changes a spoke is not the hub's: it reaches the leaf, and stays until a full sync of the hub
    make(net.tree("spoke2"), "by hand")
    net.wait_equal("leaf2", source="spoke2")
    assert "by hand" not in names(hub)
    net.processes["hub", "log"].terminate()
    assert net.processes["hub", "log"].wait(15) == 143
    net.daemon("hub")
    net.wait_equal(*everybody)
