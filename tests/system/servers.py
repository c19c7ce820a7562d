"""Servers on loopback, as targets need them: an sshd with keys of its own, an rsync daemon."""

import getpass
import os
import shutil
import signal
import socket
import subprocess

from harness import ROOT, descendants, wait_for


class Missing(Exception):
    """What is not installed; in words."""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def serve(argv, port, log):
    """Start a server, wait until it answers on `port` with a greeting; return the process."""
    with open(str(log), "ab") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)

    def greets():
        assert process.poll() is None, "%s ended: %s" % (argv[0], log.read_text())
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as one:
                return one.recv(4)
        except OSError:
            return False
    try:
        wait_for(greets, "%s to answer" % argv[0])
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


class Server:
    """A server that may go down and come back at its place; `process` is the one that listens."""

    process = None

    def stop(self):
        """End it and all its connections at once, as a host that goes down."""
        known = set()
        while True:  # none must have children that are not seen
            new = {self.process.pid, *descendants(self.process.pid)} - known
            if not new:
                break
            known |= new
            for pid in new:
                send(pid, signal.SIGSTOP)
        for pid in known:
            send(pid, signal.SIGKILL)
        self.process.wait()


def send(pid, number):
    """Send a signal to who may have ended meanwhile."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Sshd(Server):
    """A sshd on loopback with keys of its own: `.host`, `.rsh` (the command that reaches it), `.options` (its arguments).

    command: lines of sh that are run instead of whatever it is asked for, which is in $SSH_ORIGINAL_COMMAND;
    config: more lines for its configuration.
    """

    host = "127.0.0.1"

    def __init__(self, folder, command=None, config=()):
        self.binary = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
        if not self.binary or not shutil.which("ssh") or not shutil.which("ssh-keygen"):
            raise Missing("openssh (sshd, ssh, ssh-keygen) is not installed")
        self.folder, self.port, self.process = folder, free_port(), None
        for key in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
        (folder / "known_hosts").write_text("[127.0.0.1]:%d %s" % (self.port, (folder / "host_key.pub").read_text()))
        forced = ""
        if command:
            (folder / "command").write_text("#!/bin/sh\n%s\n" % command)
            (folder / "command").chmod(0o755)
            forced = 'command="%s/command" ' % folder
        (folder / "authorized_keys").write_text(forced + (folder / "user_key.pub").read_text())
        (folder / "sshd_config").write_text("\n".join([
            "Port %d" % self.port, "ListenAddress 127.0.0.1", "HostKey %s/host_key" % folder, "PidFile none", "UsePAM no",
            "AuthorizedKeysFile %s/authorized_keys" % folder, "StrictModes no", "PermitRootLogin yes",
            "PasswordAuthentication no", "MaxStartups 100:30:200", "LogLevel INFO",
            "SetEnv HOME=%s" % folder, *config, ""]))  # what a shell reads at its start there is none of our business
        (folder / "ssh_config").write_text("\n".join([
            "Host *", "  Port %d" % self.port, "  User %s" % getpass.getuser(), "  IdentityFile %s/user_key" % folder,
            "  IdentitiesOnly yes", "  UserKnownHostsFile %s/known_hosts" % folder, "  StrictHostKeyChecking yes",
            "  BatchMode yes", ""]))
        self.options = ["-F", "%s/ssh_config" % folder]
        self.rsh = " ".join(["ssh"] + self.options)
        self.start()

    def start(self):
        self.process = serve([self.binary, "-f", str(self.folder / "sshd_config"), "-D", "-e"], self.port,
                             self.folder / "log")

    def try_it(self):
        """Raise Missing where nobody can run a command through it (an account without a shell)."""
        tried = subprocess.run(self.rsh.split() + [self.host, "rsync --version"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        if tried.returncode:
            raise Missing("ssh to our own sshd does not work: %r" % tried.stdout)

    def connections(self):
        """Return how many connections it has accepted so far."""
        return (self.folder / "log").read_text(errors="replace").count("Accepted publickey")


class Rsyncd(Server):
    """An rsync daemon: modules `data` (all allowed) and `keep` (refuses deletions), both on `.folder`; `all` is all there is."""

    def __init__(self, folder, data=None, chroot=False):
        """data: the directory of the modules; default: one that is made in the folder.

        chroot: else an absolute link loses its slash.
        """
        self.home, self.folder, self.port = folder, data or folder / "data", free_port()
        self.folder.mkdir(exist_ok=True)
        lines = ["use chroot = %s" % ("yes" if chroot else "no"), "munge symlinks = no", "read only = no", "log file = %s/log" % folder,
                 "lock file = %s/lock" % folder] + ["uid = root", "gid = root"] * ROOT
        lines += ["[data]", "path = %s" % self.folder, "[keep]", "path = %s" % self.folder, "refuse options = delete",
                  "[all]", "path = /", ""]  # from any other, absolute links would arrive as relative ones
        (folder / "conf").write_text("\n".join(lines))
        self.start()

    def start(self):
        self.process = serve(["rsync", "--daemon", "--no-detach", "--config", str(self.home / "conf"),
                              "--port", str(self.port), "--address", "127.0.0.1"], self.port, self.home / "output")
