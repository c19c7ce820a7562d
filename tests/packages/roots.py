"""Root file systems of their own, and what runs in them: with its own processes and mounts, which end with the test.

A `Root` is a directory with a Debian in it. The first command starts its PID 1, which does nothing but reap, and
ends when our end of a pipe is closed, by `stop` or by our own end, however that comes; the kernel then ends every
process and every mount in there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
MIRROR = "http://deb.debian.org/debian"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "TERM": "dumb",
               "DEBIAN_FRONTEND": "noninteractive"}

# SIGCHLD is ignored: the kernel reaps what becomes a child of PID 1.
_FIRST = """
import os, signal, subprocess, sys
root = sys.argv[1]
subprocess.run(["mount", "-t", "proc", "proc", root + "/proc"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "run", root + "/run"], check=True)
os.mkdir(root + "/run/lock")
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.write(1, b"+")
os.read(0, 1)
"""


class Failed(AssertionError):
    """A command that should have ended with 0 has not."""


def call(*argv, check=True, env=None, **options):
    """Run a command to its end; return the CompletedProcess, of which stdout has all it said."""
    # A file, and no pipe, which a daemon could keep open.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                              env=dict(ENVIRONMENT, **(env or {})), check=False, **options)
        output.seek(0)
        done.stdout = os.fsdecode(output.read())
    if check and done.returncode:
        raise Failed("%s: exit status %d\n%s" % (" ".join(map(str, argv)), done.returncode, done.stdout))
    return done


def wait_for(condition, what, seconds=20):
    """Return what a function returns as soon as that is true; what: text, or a function that makes it."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError("waited %d s for: %s" % (seconds, what() if callable(what) else what))
        time.sleep(0.05)


def sources():
    """Return the names of the files of this project, of a checkout (what is in git) or of a source package (all)."""
    if (CHECKOUT / ".git").exists():
        listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=str(CHECKOUT), stdout=subprocess.PIPE, check=True)
        return [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    return [str(path.relative_to(CHECKOUT)) for path in CHECKOUT.rglob("*")
            if "__pycache__" not in path.parts and (path.is_symlink() or path.is_file())]


def suite():
    """Return the name of the Debian that we run on."""
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    return "stable"


def debootstrap(path, *options):
    """Make a minimal Debian in a directory; what is mounted on the way is gone at the end, whatever happens."""
    call("unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase", *options, suite(), path, MIRROR)
    # No service is started by an installation unless the test asks for it, and apt keeps no archives.
    (path / "etc/apt/apt.conf.d/90tests").write_text('APT::Install-Recommends "no";\nAPT::Keep-Downloaded-Packages "no";\n'
                                                     'Dpkg::Use-Pty "no";\nAPT::Sandbox::User "root";\nDPkg::Options "--force-unsafe-io";\n')
    return path


class Root:
    """A directory with a Debian in it; see above."""

    setup = ""  # what its PID 1 does first, in Python

    def __init__(self, path):
        self.path = path
        self._starter = self._first = None

    def __truediv__(self, name):
        """The path from outside of an absolute or relative one inside."""
        return self.path / str(name).lstrip("/")

    def start(self):
        """Start PID 1; `run` does that by itself."""
        self._starter = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
             sys.executable, "-ISc", self.setup + _FIRST, str(self.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT)
        if self._starter.stdout.read(1) != b"+":
            self.stop()
            raise Failed("no PID 1 for %s: mounting and unsharing needs root" % self.path)
        children = Path("/proc/%d/task/%d/children" % (self._starter.pid, self._starter.pid))
        self._first = int(children.read_text().split()[0])

    def stop(self):
        """End all that runs in there, and its mounts."""
        if self._starter is not None:
            self._starter.stdin.close()
            self._starter.wait(30)
            self._starter.stdout.close()
            self._starter = self._first = None

    def argv(self, *argv):
        """Return the command line that runs a command in there."""
        if self._first is None:
            self.start()
        return ["nsenter", "--target", str(self._first), "--mount", "--pid", "--root", "chroot", str(self.path)] + [str(word) for word in argv]

    def run(self, *argv, **options):
        """Run a command in there to its end, as `call`."""
        return call(*self.argv(*argv), **options)

    def sh(self, text, **options):
        """Run a text for /bin/sh in there, as `call`."""
        return self.run("/bin/sh", "-c", text, **options)

    def install(self, *names):
        """Install packages by name, or files from outside, without recommended ones."""
        words = bring(self, names)
        if not list((self / "var/lib/apt/lists").glob("*Packages*")):
            self.run("apt-get", "update", "-q")
        done = self.run("apt-get", "install", "-y", "-q", "--no-install-recommends", *words)
        for name in names:
            if isinstance(name, Path):
                (self / "var/tmp" / name.name).unlink()
        return done

    def files(self, *without):
        """Return the set of all paths in there, without what is below some of them, and what only the kernel has."""
        found, without = set(), {"/proc", "/sys", "/dev", *without}
        for line in self.run("find", "/", "-xdev", "-printf", r"%p\0").stdout.split("\0"):
            if line and not any(line == one or line.startswith(one + "/") for one in without):
                found.add(line)
        # /run is a mount of its own
        found.update(line for line in self.run("find", "/run", "-printf", r"%p\0").stdout.split("\0") if line)
        return found


class Layer(Root):
    """This host as a root file system of its own: what is written in there is in a layer of memory above it, and ends with it."""

    setup = """
import os, subprocess, sys
root = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "layer", root + ".layer"], check=True)
upper, work = root + ".layer/upper", root + ".layer/work"
os.mkdir(upper, 0o755)
os.mkdir(work)
subprocess.run(["mount", "-t", "overlay", "-o", "lowerdir=/,upperdir=%s,workdir=%s" % (upper, work), "host", root], check=True)
subprocess.run(["mount", "--rbind", "/dev", root + "/dev"], check=True)
"""

    def start(self):
        """Start PID 1, in an empty layer; raise Failed where that is not possible."""
        for path in (self.path, Path(str(self.path) + ".layer")):
            path.mkdir(exist_ok=True)
        super().start()

    def _seen(self, path):
        """The path from outside of one in the namespace of PID 1."""
        if self._first is None:
            self.start()
        return Path("/proc/%d/root%s" % (self._first, path))

    def __truediv__(self, name):
        return self._seen(self.path) / str(name).lstrip("/")

    def written(self, *without):
        """Return the set of the paths in the layer that are no directories of this host, without what is below some of them."""
        upper, found = str(self._seen(self.path)) + ".layer/upper", set()
        for directory, below, files in os.walk(upper):
            inside = directory[len(upper):]
            below[:] = [name for name in below if inside + "/" + name not in without]
            found.update(inside + "/" + name for name in files)
            found.update(inside + "/" + name for name in below if not os.path.isdir(inside + "/" + name))
        return found


def bring(root, words):
    """Copy the files (Paths) among some words into a root; return the words as they are in there."""
    for word in words:
        if isinstance(word, Path):
            shutil.copy(str(word), str(root / "var/tmp"))
    return ["/var/tmp/" + word.name if isinstance(word, Path) else word for word in words]


def mounted_below(path):
    """Return the mount points in a directory."""
    path = os.path.realpath(str(path))
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point == path or point.startswith(path + "/")]
