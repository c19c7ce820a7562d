"""Waiting: for descriptors, for signals, for a time. Knows nothing of what they mean."""

import os
import select
import signal
import time


class Loop:
    """poll(2) over descriptors with callbacks, and signals as numbers.

    A signal's handler does nothing; the byte that `set_wakeup_fd` writes ends the wait. Zero is no signal.
    """

    def __init__(self, signals):
        self._poll = select.poll()
        self._callbacks = {}
        self._wakeup, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.add(self._wakeup, None)
        for number in signals:
            signal.signal(number, _nothing)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)  # whoever started us may have blocked them
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def add(self, fd, callback, events=select.POLLIN):
        """Call callback() whenever fd is readable or hung up, or has other events of poll(2)."""
        self._callbacks[fd] = callback
        self._poll.register(fd, events)

    def remove(self, fd):
        """Forget a descriptor, before it is closed."""
        del self._callbacks[fd]
        self._poll.unregister(fd)

    def wake(self):
        """End the wait, or the next one; any thread may do so."""
        try:
            os.write(self._writer, b"\0")
        except BlockingIOError:
            pass  # what fills it ends the wait

    def wait(self, deadline):
        """Wait until a descriptor, a signal or the deadline (`time.monotonic`, None: for ever).

        Calls the callbacks; returns the numbers of the signals that came.
        """
        if deadline is None:
            timeout = None
        else:  # rounded up: an early end would wait again for nothing; bounded as poll(2) takes an int
            timeout = min(max(0.0, (deadline - time.monotonic()) * 1000 + 1), 3600000.0)
        signals = b""
        for fd, _event in self._poll.poll(timeout):
            if fd == self._wakeup:
                signals = os.read(fd, 4096).replace(b"\0", b"")
            elif fd in self._callbacks:  # one callback may remove another
                self._callbacks[fd]()
        return signals


def _nothing(_number, _frame):
    """Handle a signal: the wake-up descriptor has told it."""
