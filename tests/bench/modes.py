"""What is measured of the modes direct and rsyncssh; the latter against an sshd of our own on loopback.

The CPU of a connection that is kept open is that of a child which has not ended, and is not counted; neither is that of the sshd.
"""
import contextlib
import getpass
import os
import shutil
import socket
import statistics
import subprocess
import time

from bench import LIMIT, arrived, count, make_files, write
from daemons import wait_until

# (measurement, row, [(what is compared, ours / lsyncd at most)]), as in run.py
COMPARED = [
    ("direct", "direct-create", [("both", 0.05)]),
    ("direct", "direct-remove", [("both", 0.05)]),
    ("direct-large", "direct-large-cpu", []),
    ("rsyncssh-rename", "rsyncssh-rename", []),
]
PLAIN = [
    ("direct-large", "direct-large", "s from the end of the writing until equal", "<= 5"),
    ("direct-latency", "direct-latency", "ms from close() to the whole file, median of 60", "<= lsyncd's"),
    ("rsyncssh-rename", "rename-own-ssh", "ssh calls of the daemon", "1"),
    ("rsyncssh-rename", "rename-rsync-ssh", "ssh calls of rsync", "0"),
    ("rsyncssh-rename", "rename-new-inodes", "files of other inodes on the target", "0"),
    ("rsyncssh-latency", "rsyncssh-latency", "ms from close() to the whole file, median of 20", "<= half of lsyncd's"),
]


def direct(bench):
    """2 000 files in 100 directories appear at once, delay 1; then they go by rm -rf. With cp, rm and mv."""
    directories = bench.scale(100)

    def once(side, daemon):
        top = os.path.join(bench.source, "new")
        bench.measure(side, "direct-create", daemon, lambda: make_files(top, directories, 20),
                      lambda: count(bench.target) == 1 + directories * 21)
        bench.measure(side, "direct-remove", daemon, lambda: subprocess.check_call(["rm", "-rf", top]),
                      lambda: not os.listdir(bench.target))

    bench.in_turns("direct-create", 1, once, bench.empty, mode="direct", init=True)


def direct_large(bench):
    """20 000 files in 1 000 directories appear at once, direct mode, delay 1."""
    directories = bench.scale(1000)

    def once(side, daemon):
        last = os.path.join(bench.target, "new", "directory-{:04d}".format(directories - 1), "file-00019")
        before = daemon.usage()
        make_files(os.path.join(bench.source, "new"), directories, 20)
        start = time.monotonic()
        whole = wait_until(lambda: os.path.exists(last) and count(bench.target) == 1 + directories * 21, 180)
        wall = time.monotonic() - start if whole else float("inf")
        if not whole:
            bench.note(side, "direct-large", "{} of {} places there after 180 s".format(count(bench.target), 1 + directories * 21))
        after = daemon.settle(2.0) if whole else daemon.usage()
        bench.add(side, "direct-large", wall)
        bench.add(side, "direct-large-cpu", after.own - before.own, after.children - before.children, wall)

    runs, bench.options.runs = bench.options.runs, 1     # lsyncd takes minutes
    bench.in_turns("direct-large", 1, once, bench.empty, mode="direct", init=True)
    bench.options.runs = runs


def latency(bench, row, times, **settings):
    """One small new file at a time, delay 0: from its close() until it is whole on the target."""
    def once(side, daemon):
        took = []
        for number in range(times):
            path = os.path.join(bench.source, "new-{}".format(number))
            write(path, 1000)
            start = time.monotonic()
            if not wait_until(lambda: arrived(bench, [path], 1000) or not daemon.alive(), 20, 0.0005):
                bench.note(side, row, "a file took more than 20 s")
            took.append(1000 * (time.monotonic() - start))
            daemon.settle(0.1)
        bench.add(side, row, statistics.median(took))

    bench.in_turns(row, 1, once, bench.empty, delay=0, init=True, **settings)


def direct_latency(bench):
    """One new file, delay 0, 60 times, direct mode."""
    latency(bench, "direct-latency", 60, mode="direct")


def rsyncssh_latency(bench):
    """One new file, delay 0, 20 times, rsyncssh mode."""
    with sshd(bench.work) as programs:
        latency(bench, "rsyncssh-latency", 20, mode="rsyncssh", programs=programs)


def rsyncssh_rename(bench):
    """A directory of 5 000 files is renamed, rsyncssh mode, delay 1."""
    number = bench.scale(5000)

    def inodes(name):
        with contextlib.suppress(OSError):
            return {entry.name: entry.inode() for entry in os.scandir(os.path.join(bench.target, name))}
        return {}

    def prepare():
        bench.empty()
        make_files(bench.source, 1, number)
        bench.align()

    def once(side, daemon):
        old, new = "directory-0000", "renamed"
        before, calls = inodes(old), ssh_calls(bench.work)
        bench.measure(side, "rsyncssh-rename", daemon, lambda: os.rename(os.path.join(bench.source, old), os.path.join(bench.source, new)),
                      lambda: len(inodes(new)) == number and not inodes(old))
        after, later = inodes(new), ssh_calls(bench.work)
        bench.add(side, "rename-own-ssh", later[0] - calls[0])
        bench.add(side, "rename-rsync-ssh", later[1] - calls[1])
        bench.add(side, "rename-new-inodes", sum(before[name] != after.get(name) for name in before))

    with sshd(bench.work) as programs:
        bench.in_turns("rsyncssh-rename", 2, once, prepare, mode="rsyncssh", init=True, programs=programs)


def ssh_calls(work):
    """How often the ssh of sshd() was started: (by the daemon, by rsync)."""
    with contextlib.suppress(FileNotFoundError), open(os.path.join(work, "ssh", "calls")) as calls:
        by_rsync = [" rsync --server " in line for line in calls]
        return by_rsync.count(False), by_rsync.count(True)
    return 0, 0


@contextlib.contextmanager
def sshd(work):
    """Run an sshd; yield a directory with an `ssh` that reaches it and counts its calls."""
    home = os.path.join(work, "ssh")
    os.mkdir(home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for key in ("host", "user"):
        subprocess.check_call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(home, key)])
    for name, text in (
            ("sshd_config", "Port {port}\nListenAddress 127.0.0.1\nHostKey {home}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
                            "AuthorizedKeysFile {home}/user.pub\nPermitRootLogin yes\nMaxStartups 100\n"
                            "SetEnv HOME={home}\n"),   # without what a shell reads at its start
            ("ssh_config", "Port {port}\nUser {user}\nIdentityFile {home}/user\nIdentitiesOnly yes\nBatchMode yes\nLogLevel ERROR\n"
                           "UserKnownHostsFile /dev/null\nStrictHostKeyChecking no\n"),
            ("ssh", "#!/bin/sh\nprintf '%s ' \"$@\" | tr '\\n' ' ' >> {home}/calls\necho >> {home}/calls\n"
                    "exec {ssh} -F {home}/ssh_config \"$@\"\n")):
        with open(os.path.join(home, name), "w") as file:
            file.write(text.format(port=port, home=home, user=getpass.getuser(), ssh=shutil.which("ssh")))
    os.chmod(os.path.join(home, "ssh"), 0o755)
    separation = "/run/sshd"    # sshd does not start without it
    ours = not os.path.exists(separation)
    os.makedirs(separation, 0o755, exist_ok=True)
    binary = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
    with open(os.path.join(home, "log"), "wb") as log:
        server = subprocess.Popen([binary, "-D", "-e", "-f", os.path.join(home, "sshd_config")], stdout=log, stderr=log)
    try:
        reach = [os.path.join(home, "ssh"), "127.0.0.1", "true"]
        if not wait_until(lambda: subprocess.run(reach, stderr=subprocess.DEVNULL).returncode == 0, 10):
            raise OSError("no ssh to our own sshd")
        yield home
    finally:
        server.terminate()
        server.wait(LIMIT)
        shutil.rmtree(home)
        if ours:
            os.rmdir(separation)


MEASUREMENTS = {"direct": direct, "direct-large": direct_large, "direct-latency": direct_latency,
                "rsyncssh-rename": rsyncssh_rename, "rsyncssh-latency": rsyncssh_latency}
