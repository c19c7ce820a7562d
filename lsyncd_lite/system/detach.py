"""Leaving the terminal: the starter ends only when the daemon works, or with its error."""

import os


class Detached:
    """What the daemon tells its starter, once."""

    def __init__(self, on_ready):
        """Fork twice and begin a session (daemon(7)); only the daemon returns.

        The starter exits with 0 when `ready` is called, and otherwise with 255 when the
        daemon ends; what the daemon writes to stderr until then goes to the starter's.
        on_ready(pid): called in the starter before that, with the daemon's process id.
        """
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        if os.fork():
            os.close(self._writer)
            pid = os.read(reader, 32)
            if pid:
                on_ready(int(pid))
            os._exit(0 if pid else 255)
        os.close(reader)
        os.setsid()
        if os.fork():
            os._exit(0)
        os.chdir("/")

    def ready(self):
        """Leave the terminal and let the starter end."""
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        if null > 2:
            os.close(null)
        os.write(self._writer, b"%d" % os.getpid())
        os.close(self._writer)
