"""A seeded source of random operations on a tree: what a person, a build or an attacker may do to one.

Knows nothing of daemons; test and soak play it, see fuzz.py.
"""

import os
import random
import shutil
import socket
import stat
import time

NAMES = [b"a", b"b", b"c", b"dd", b"ee", b"f.txt", b"[x]", b"x]y", b"back\\slash", b"*", b"?", b"-rf", b"#hash", b";semi",
         b" lead", b"trail ", b"new\nline", b"\xff\xfe", b"quote'", b'"', b"$(touch pwned)", b"caf\xc3\xa9", b"l" * 255]
ROOT = os.geteuid() == 0
OWNERS = [0, 1, 1000, 65534]
PERMISSIONS = [0o600, 0o644, 0o755, 0o700, 0o750, 0o4711, 0o2755, 0o1777]
MANY = 300  # entries: then a directory is removed
BIG, BIG_SIZE = b"big", 16 << 20


MIXED = ["write"] * 4 + ["mkdir"] * 3 + ["rename"] * 5 + ["delete"] * 2 + [
    "append", "truncate", "chmod", "utime", "swap", "chain", "link", "symlink", "fifo", "replace", "rmtree", "leave",
    "enter", "same", "deep", "chown", "socket", "device", "over", "around", "nest", "relink", "burst"]
RENAMES = ["write", "write", "mkdir", "deep", "deep", "append", "symlink", "delete", "same", "enter", "chmod", "utime"] + [
    "rename", "swap", "chain", "over", "around", "nest", "relink"] * 3


class Churn:
    """Random operations on the tree below `root`; `script` is what was done, `kinds` what may be.

    linked: files may have several names, and are written through one of them. The same
    seed does the same, however long what watches the tree takes: whatever it does, it does not look.
    """

    def __init__(self, root, seed, kinds=MIXED, linked=False):
        self.seed, self.kinds, self.linked = seed, kinds, linked
        self.root, self.random = os.fsencode(str(root)), random.Random(seed)
        self.outside = self.root + b".outside"
        self.numbered = 0
        os.mkdir(self.outside)
        self.script = []

    def run(self, count):
        while count:
            kind = self.random.choice(self.kinds)
            try:
                did = getattr(self, kind)()
            except OSError:  # below a file, into itself, over a directory: no change
                did = None
            if did:
                self.script.append("%s %s" % (kind, did))
                count -= 1
                if self.random.random() < 0.05:  # so that batches begin between any two operations
                    time.sleep(self.random.random() * 0.2)

    def tidy(self):
        """Keep the tree, and what has left it, from growing without end."""
        for name in os.listdir(self.outside):
            self._remove(self.outside + b"/" + name)
        for directory in self.directories():
            for name in os.listdir(self.at(directory)):
                if os.lstat(self.at(directory + name)).st_size >= BIG_SIZE:
                    self._remove(self.at(directory + name))
        while sum(len(os.listdir(self.at(directory))) for directory in self.directories()) > MANY:
            inside = [directory for directory in self.directories() if directory]
            path = self.random.choice(inside)[:-1] if inside else self.old()
            self._remove(self.at(path))
            self.script.append("tidy %r" % path)

    def _remove(self, path):
        (shutil.rmtree if stat.S_ISDIR(os.lstat(path).st_mode) else os.unlink)(path)

    # -- choices
    def directories(self):
        found = [b""]
        for path, below, _files in os.walk(self.root):
            found += [os.path.relpath(os.path.join(path, name), self.root) + b"/" for name in below
                      if not os.path.islink(os.path.join(path, name))]
        return sorted(found)

    def new(self):
        return self.random.choice(self.directories()) + self.random.choice(NAMES)

    def old(self, *wanted):
        """Return an entry, of one of the wanted types.

        Never a file of several names unless that is wanted, nor a fifo: where one takes the place of a
        file that rsync is about to open, rsync waits for ever for a writer.
        """
        found = []
        for directory in self.directories():
            for name in os.listdir(self.at(directory)):
                facts = os.lstat(self.at(directory + name))
                kind = stat.S_IFMT(facts.st_mode)
                if (kind in wanted if wanted else kind != stat.S_IFIFO) and not (
                        kind == stat.S_IFREG and facts.st_nlink > 1 and not self.linked):
                    found.append(directory + name)
        if not found:
            raise FileNotFoundError
        return self.random.choice(sorted(found))

    def at(self, path):
        return self.root + b"/" + path

    def content(self):
        """Return bytes of a length that hardly any other file has: one clock tick is the time of several files."""
        return b"%d" % self.random.randrange(1000000) * self.random.choice([0, 1, 1, 1, 10, 3000]) + (
            b"." * self.random.randrange(3000))

    def _write(self, path, content, flags):
        # never through a link or into a fifo
        file = os.open(self.at(path), os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | flags, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode) or os.fstat(file).st_nlink > 1 and not self.linked:
                raise OSError("not a file of one name")
            if flags & os.O_CREAT:
                os.ftruncate(file, 0)
            while content:
                content = content[os.write(file, content):]
        finally:
            os.close(file)
        return path

    # -- operations
    def write(self):
        return self._write(self.new(), self.content(), os.O_CREAT)

    def burst(self):
        """Many files at once."""
        path = self.new()
        os.mkdir(self.at(path))
        for number in range(60):
            self._write(path + b"/%d" % number, self.content()[:2000], os.O_CREAT)
        return path

    def big(self):
        """A file that takes a while to be sent."""
        path = self._numbered(BIG)
        return self._write(path, b"%07d\n" % self.numbered * (BIG_SIZE // 8), os.O_CREAT)

    def append(self):
        return self._write(self.old(stat.S_IFREG), self.content() + b"+", os.O_APPEND)

    def truncate(self):
        return self._write(self.old(stat.S_IFREG), b"", os.O_TRUNC)

    def chmod(self):
        path, mode = self.old(stat.S_IFREG, stat.S_IFDIR), self.random.choice(PERMISSIONS)
        if os.path.isdir(self.at(path)):
            mode |= 0o700
        os.chmod(self.at(path), mode)
        return path, oct(mode)

    def chown(self):
        path = self.old()
        if not ROOT:
            return None
        os.chown(self.at(path), self.random.choice(OWNERS), self.random.choice(OWNERS), follow_symlinks=False)
        return path

    def utime(self):
        path = self.old(stat.S_IFREG, stat.S_IFDIR)
        os.utime(self.at(path), ns=(0, self.random.randrange(2 * 10 ** 18)))
        return path

    def mkdir(self):
        path = self.new()
        os.mkdir(self.at(path))
        return path

    def deep(self):
        path = self.new()
        for name in self.random.sample(NAMES, 3):
            os.mkdir(self.at(path))
            self._write(path + b"/" + name, self.content(), os.O_CREAT)
            path += b"/d" + name[:200]
        return path

    def rename(self):
        old, new = self.old(), self.new()
        os.rename(self.at(old), self.at(new))
        return old, new

    def chain(self):
        first = self.rename()
        path = self._write(first[0], self.content(), os.O_CREAT) if self.random.random() < 0.5 else self.mkdir()
        return first, path, self.rename()

    def swap(self):
        one, other = self.old(), self.old()
        between = self.random.choice([self.at(b"swap"), self.outside + b"/swap"])
        if one == other or (one + b"/").startswith(other + b"/") or (other + b"/").startswith(one + b"/"):
            return None
        os.rename(self.at(one), between)
        os.rename(self.at(other), self.at(one))
        os.rename(between, self.at(other))
        return one, other

    def over(self):
        """A directory over an empty directory, or a file over a file."""
        if self.random.random() < 0.5:
            old, new = self.old(stat.S_IFDIR), self.mkdir()
        else:
            old, new = self.old(stat.S_IFREG), self.old(stat.S_IFREG)
        os.rename(self.at(old), self.at(new))
        return old, new

    def around(self):
        """Out and back in, under its name or another."""
        old, between = self.old(), self.outside + b"/around"
        os.rename(self.at(old), between)
        new = self.random.choice([old, self.new()])
        try:
            os.rename(between, self.at(new))
        except OSError:
            os.rename(between, self.at(old))
            return old, old
        return old, new

    def nest(self):
        """Something into a new directory, and that into another place."""
        inner, old = self.mkdir(), self.old()
        os.rename(self.at(old), self.at(inner + b"/in"))
        new = self.new()
        os.rename(self.at(inner), self.at(new))
        return old, inner, new

    def relink(self):
        """A link in place of what was renamed, which leads there."""
        old, new = self.old(stat.S_IFDIR, stat.S_IFREG), self.new()
        os.rename(self.at(old), self.at(new))
        os.symlink(self.at(new), self.at(old))
        return old, new

    def link(self):
        old, new = self.old(stat.S_IFREG), self.new()
        os.link(self.at(old), self.at(new))
        if self.random.random() < (0.3 if self.linked else 0.7):
            os.unlink(self.at(old))  # a rename by hand
        return old, new

    def symlink(self):
        path = self.new()
        os.symlink(self.random.choice([b".", b"..", b"nowhere", self.outside] + NAMES[:4]), self.at(path))
        return path

    def fifo(self):
        path = self._numbered(b"fifo")
        os.mkfifo(self.at(path))
        return path

    def _numbered(self, kind):
        self.numbered += 1
        return self.random.choice(self.directories()) + b"%s%d" % (kind, self.numbered)

    def socket(self):
        path = self._numbered(b"socket")
        directory = os.open(self.at(os.path.dirname(path)), os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as one:  # its whole path may be too long for an address
                one.bind(b"/proc/self/fd/%d/%s" % (directory, os.path.basename(path)))
        finally:
            os.close(directory)
        return path

    def device(self):
        """Nothing that gives bytes without end to whoever takes it for the file that it was."""
        path = self.new()
        if not ROOT:
            return None
        os.mknod(self.at(path), stat.S_IFCHR | 0o600, self.random.choice(
            [os.makedev(1, 3), os.makedev(240, self.random.randrange(100))]))
        return path

    def delete(self):
        path = self.old(stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR)
        (os.rmdir if stat.S_ISDIR(os.lstat(self.at(path)).st_mode) else os.unlink)(self.at(path))
        return path

    def rmtree(self):
        path = self.old(stat.S_IFDIR)
        shutil.rmtree(self.at(path))
        return path

    def replace(self):
        path = self.old()
        self._remove(self.at(path))
        how = self.random.choice(["file", "directory", "link"])
        if how == "file":
            self._write(path, self.content(), os.O_CREAT)
        elif how == "directory":
            os.mkdir(self.at(path))
            self._write(path + b"/in", self.content(), os.O_CREAT)
        else:
            os.symlink(self.outside, self.at(path))
        return path, how

    def leave(self):
        path = self.old()
        self.numbered += 1
        os.rename(self.at(path), self.outside + b"/%d" % self.numbered)
        return path

    def enter(self):
        inside = sorted(os.listdir(self.outside))
        if not inside:
            return None
        path = self.new()
        os.rename(self.outside + b"/" + self.random.choice(inside), self.at(path))
        return path

    def same(self):
        """Other content of the same size, with the same time, put in its place."""
        path = self.old(stat.S_IFREG)
        facts = os.lstat(self.at(path))
        between = self.outside + b"/same"
        with open(between, "wb") as file:
            file.write(os.urandom(facts.st_size))
        os.chmod(between, stat.S_IMODE(facts.st_mode))
        os.utime(between, ns=(0, facts.st_mtime_ns))
        os.rename(between, self.at(path))
        return path
