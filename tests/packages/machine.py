"""A root file system booted by its own systemd, in systemd-nspawn: with processes, mounts, cgroups and a network of its own.

The machine ends with our process, however that ends.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from roots import ENVIRONMENT, Failed, Root, wait_for


class Machine(Root):
    """A directory with a Debian that has systemd; see above. It has to be booted: no command starts it."""

    def __init__(self, path, name):
        """name: of the machine, of its own among all."""
        super().__init__(path)
        self.name = name
        self._nspawn = self._console = None

    def boot(self):
        """Start it; return when all that is to be started is."""
        self._console = open(str(self.path.parent / (self.name + ".console")), "w+")
        # Not registered: no machined is needed here. The loopback is its network. bpf: its systemd needs that for DevicePolicy=.
        # A systemd-nspawn that is killed leaves its machine running, unless a namespace ends with it.
        self._nspawn = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "systemd-nspawn", "--quiet", "--boot", "--keep-unit", "--register=no", "--private-network",
             "--capability=CAP_BPF", "--system-call-filter=bpf", "--console=pipe", "--machine=" + self.name, "--directory=%s" % self.path],
            stdin=subprocess.DEVNULL, stdout=self._console, stderr=self._console, env=dict(ENVIRONMENT, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1"))
        wait_for(self._booted, self.console, 60)

    def _booted(self):
        if self._nspawn.poll() is not None:
            raise Failed("systemd-nspawn ended with %d: %s" % (self._nspawn.returncode, self.console()))
        first = str(self._nspawn.pid)
        for _parent in ("unshare", "systemd-nspawn"):
            children = Path("/proc/%s/task/%s/children" % (first, first)).read_text().split()
            if not children:
                return False
            first = children[0]
        if Path("/proc/%s/comm" % first).read_text() != "systemd\n":
            return False
        self._first = first
        state = self.systemctl("is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def console(self):
        """Return what has come to the console."""
        self._console.seek(0)
        return self._console.read()

    def power_off(self):
        """Let it end as a machine is shut down."""
        self.systemctl("poweroff", check=False)
        try:
            self._nspawn.wait(60)
        except subprocess.TimeoutExpired:
            raise Failed("the machine does not end: %s" % self.console()) from None
        self._forget()

    def stop(self):
        """End it, if it runs."""
        if self._nspawn is not None:
            self._nspawn.kill()
            self._nspawn.wait(30)
            self._forget()

    def _forget(self):
        self._nspawn = self._first = None
        self._console.close()
        # What an nspawn that was killed leaves behind.
        facts = self.path.stat()
        shutil.rmtree("/run/systemd/nspawn/propagate/" + self.name, ignore_errors=True)
        try:
            os.unlink("/run/systemd/nspawn/locks/inode-%d:%d" % (facts.st_dev, facts.st_ino))
        except FileNotFoundError:
            pass  # it has ended by itself

    def argv(self, *argv):
        """Return the command line that runs a command in there."""
        return ["nsenter", "--target", self._first, "--all", *map(str, argv)]

    def systemctl(self, *words, **options):
        """Ask its systemd."""
        return self.run("systemctl", "--no-pager", *words, **options)

    def show(self, unit, name):
        """Return a property of a unit."""
        return self.systemctl("show", "--value", "--property=" + name, unit).stdout.strip()

    def journal(self, unit, *words):
        """Return the lines of the journal about a unit, those of systemd too."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "--quiet", "--output=cat", "--unit", unit, *words).stdout.splitlines()

    def pid(self, unit):
        """Return the process that is the main one of a unit, as it is called in there; 0: none."""
        return int(self.show(unit, "MainPID"))

    def field(self, pid, name):
        """Return a line of /proc/PID/status."""
        return re.search(r"^%s:\s*(.*)$" % name, self.run("cat", "/proc/%d/status" % pid).stdout, re.M).group(1)


def needs():
    """Return what is missing to boot a machine here, None if nothing is."""
    if os.geteuid():
        return "root"
    return next((name for name in ("systemd-nspawn", "nsenter", "setpriv") if not shutil.which(name)), None)
