"""A file system that stops answering when a test says so: FUSE, spoken with /dev/fuse (fuse(4), linux/fuse.h).

It shows a directory, read-only, and nothing is remembered by the kernel, so that every look asks.
Run as a program it serves; `Hanging` is what a test uses. What is stopped by SIGSTOP does not even take
requests, and whoever waits for one can be killed; what is told to swallow them takes them and says nothing:
who waits then cannot be killed either.
"""

import ctypes
import errno
import os
import signal
import stat
import struct
import subprocess
import sys
from pathlib import Path

_LOOKUP, _FORGET, _GETATTR, _READLINK, _OPEN, _READ, _STATFS, _RELEASE, _FLUSH = 1, 2, 3, 5, 14, 15, 17, 18, 25
_INIT, _OPENDIR, _READDIR, _RELEASEDIR, _INTERRUPT, _DESTROY, _BATCH_FORGET = 26, 27, 28, 29, 36, 38, 42
_DIRECT_IO = 1


class Hanging:
    """One, mounted on a directory; `back`: the directory that it shows. To be closed, whatever happens."""

    def __init__(self, place, back, control):
        """place, back, control: Paths of directories; raise OSError if it cannot be mounted."""
        self.place, self.back, self._control = place, back, control
        control.mkdir()
        self.process = subprocess.Popen([sys.executable, "-S", __file__, str(place), str(back), str(control)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        said = self.process.stdout.readline().strip()
        if said != b"ready":
            self.process.wait()
            self.process.stdout.close()
            raise OSError(said.decode())

    def stop(self):
        """Answer nobody, until `go_on`."""
        self.process.send_signal(signal.SIGSTOP)

    def stop_at(self, name):
        """Stop when somebody has asked for a name, and was answered."""
        (self._control / "stop at").write_text(name)

    def stopped(self):
        """Tell whether it has stopped."""
        return Path("/proc/%d/stat" % self.process.pid).read_text().rpartition(")")[2].split()[0] == "T"

    def swallow(self, name):
        """Take requests and never answer once somebody has asked for a name, until it is killed."""
        (self._control / "swallow at").write_text(name)

    def swallowed(self):
        """Tell whether somebody has."""
        return (self._control / "swallowed").exists()

    def go_on(self):
        """Answer again."""
        for path in self._control.glob("stop at"):
            path.unlink()
        self.process.send_signal(signal.SIGCONT)

    def die(self):
        """End without a word: whoever asks from now on is told ENOTCONN."""
        self.process.kill()
        self.process.wait()

    def close(self):
        """End it, and unmount; it may be called again."""
        self.die()
        self.process.stdout.close()
        while str(self.place) in Path("/proc/self/mountinfo").read_text():  # once for each that is mounted there
            subprocess.run(["umount", "-l", str(self.place)], check=True)


class _Server:
    """The program: nodes are paths below `back`."""

    def __init__(self, fd, back, control):
        self.fd, self.back, self.control = fd, back, control
        self.paths, self.numbers = {1: b""}, {b"": 1}
        self.listings = {}
        self.swallows = False

    def run(self):
        while True:
            try:
                request = os.read(self.fd, 1 << 18)
            except OSError as error:
                if error.errno == errno.ENODEV:  # unmounted
                    return
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                raise
            _length, opcode, unique, node = struct.unpack_from("=IIQQ", request)
            body = request[40:]
            if opcode in (_FORGET, _BATCH_FORGET, _INTERRUPT) or self._swallows(opcode, body):
                continue
            stops = self._wanted(b"stop at", opcode, body)
            try:
                answer, number = self._answer(opcode, node, body), 0
            except OSError as error:
                answer, number = b"", error.errno
            try:
                os.write(self.fd, struct.pack("=IiQ", 16 + len(answer), -number, unique) + answer)
            except OSError as error:
                if error.errno != errno.ENOENT:  # whoever asked was interrupted
                    raise
            if stops:
                os.kill(os.getpid(), signal.SIGSTOP)

    def _wanted(self, order, opcode, body):
        try:
            with open(os.path.join(self.control, order), "rb") as file:
                return opcode == _LOOKUP and body.rstrip(b"\0") == file.read()
        except FileNotFoundError:
            return False

    def _swallows(self, opcode, body):
        if not self.swallows and self._wanted(b"swallow at", opcode, body):
            self.swallows = True
            open(os.path.join(self.control, b"swallowed"), "w").close()
        return self.swallows

    def _answer(self, opcode, node, body):
        path = self.paths.get(node, b"")  # that of INIT is 0
        place = os.path.join(self.back, path) if path else self.back
        if opcode == _INIT:
            return struct.pack("=IIIIHHIIHHI7I", 7, 31, 1 << 16, 0, 12, 9, 1 << 16, 1, 0, 0, 0, *[0] * 7)
        if opcode == _LOOKUP:
            name = body.rstrip(b"\0")
            facts = os.lstat(os.path.join(place, name))
            inside = os.path.join(path, name)
            number = self.numbers.setdefault(inside, len(self.numbers) + 1)
            self.paths[number] = inside
            return struct.pack("=QQQQII", number, 0, 0, 0, 0, 0) + _attributes(facts)
        if opcode == _GETATTR:
            return struct.pack("=QII", 0, 0, 0) + _attributes(os.lstat(place))
        if opcode == _READLINK:
            return os.readlink(place)
        if opcode == _OPEN:
            return struct.pack("=QII", 0, _DIRECT_IO, 0)
        if opcode == _OPENDIR:
            self.listings[node] = [b".", b".."] + sorted(os.listdir(place))
            return struct.pack("=QII", 0, 0, 0)
        if opcode in (_READ, _READDIR):
            _handle, offset, size = struct.unpack_from("=QQI", body)
            if opcode == _READ:
                with open(place, "rb") as file:
                    file.seek(offset)
                    return file.read(size)
            return self._list(node, place, offset, size)
        if opcode == _STATFS:
            return struct.pack("=QQQQQIIII6I", 1000, 1000, 1000, 1000, 1000, 4096, 255, 4096, 0, *[0] * 6)
        if opcode in (_RELEASE, _RELEASEDIR, _FLUSH, _DESTROY):
            return b""
        raise OSError(errno.ENOSYS, "")

    def _list(self, node, place, offset, size):
        found = b""
        for at, name in enumerate(self.listings[node]):
            if at < offset:
                continue
            try:
                facts = os.lstat(os.path.join(place, name))
            except FileNotFoundError:
                continue
            one = struct.pack("=QQII", facts.st_ino, at + 1, len(name), stat.S_IFMT(facts.st_mode) >> 12) + name
            one += b"\0" * (-len(one) % 8)
            if len(found) + len(one) > size:
                break
            found += one
        return found


def _attributes(facts):
    times = [(int(ns // 10**9), int(ns % 10**9)) for ns in (facts.st_atime_ns, facts.st_mtime_ns, facts.st_ctime_ns)]
    return struct.pack("=QQQQQQIIIIIIIIII", facts.st_ino, facts.st_size, facts.st_blocks, *[time[0] for time in times],
                       *[time[1] for time in times], facts.st_mode, facts.st_nlink, facts.st_uid, facts.st_gid, facts.st_rdev, 4096, 0)


def main():
    """Serve: PLACE BACK CONTROL; says "ready", or why not."""
    place, back, control = map(os.fsencode, sys.argv[1:])
    try:
        fd = os.open("/dev/fuse", os.O_RDWR)
        libc = ctypes.CDLL(None, use_errno=True)
        options = b"fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other" % (fd, os.getuid(), os.getgid())
        if libc.mount(b"lsyncd-lite-test", place, b"fuse", 6, options):  # nosuid, nodev (mount(2))
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    except OSError as error:
        print(error, flush=True)
        return
    print("ready", flush=True)
    _Server(fd, back, control).run()


if __name__ == "__main__":
    main()
