"""Programs: where one is, and one that is run to its end, for children of ours, which have nothing else to do meanwhile."""

import os

from lsyncd_lite.errors import reason

_PATIENCE = 1  # s: then a look at what it is waiting for


def find(name):
    """Return the path (bytes) by which a program is run that is a name or a path (bytes); None: there is none."""
    for path in [name] if b"/" in name else [os.path.join(os.fsencode(where), name) for where in os.get_exec_path()]:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def run(argv, inherited=(), meanwhile=None):
    """Run argv (list of bytes); return (exit status or -signal, list of the lines it printed).

    inherited: descriptors that it is to have, too, by the same numbers; meanwhile(bytes that it has written): called every
    second (proc_pid_io(5): 0 where that tells nothing).
    """
    from fcntl import F_SETFD, FD_CLOEXEC, fcntl  # os.set_inheritable fails for O_PATH before Python 3.8.12
    output, writer = os.pipe2(os.O_CLOEXEC)
    try:
        for fd in inherited:
            fcntl(fd, F_SETFD, 0)
        pid = os.posix_spawnp(argv[0], argv, dict(os.environb, LC_ALL=b"C"), file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, writer, 1),
            (os.POSIX_SPAWN_DUP2, writer, 2)])
    except OSError as error:
        os.close(output)
        return 127, [b"cannot run %s: %s" % (argv[0], os.fsencode(reason(error)))]
    finally:
        os.close(writer)
        for fd in inherited:
            fcntl(fd, F_SETFD, FD_CLOEXEC)
    from select import select
    blocks = [b""]
    while len(blocks) == 1 or blocks[-1]:
        if select([output], [], [], _PATIENCE)[0]:
            blocks.append(os.read(output, 65536))
        elif _is_stuck(pid):
            os.kill(pid, 9)
        elif meanwhile is not None:
            meanwhile(_written(pid))
    os.close(output)
    status = os.waitpid(pid, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), b"".join(blocks).splitlines()


def _written(pid):
    try:
        with open("/proc/%d/io" % pid, "rb") as file:
            return int(file.read().partition(b"wchar:")[2].split()[0])
    except (OSError, IndexError):
        return 0


def _is_stuck(pid):
    """Tell whether a cp waits for the other end of a fifo, which was a file when it had a look."""
    try:
        with open("/proc/%d/wchan" % pid) as file:
            return file.read() == "wait_for_partner"
    except OSError:
        return False
