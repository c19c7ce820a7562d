"""System calls that may never return, made aside: by a thread, so that whoever asks can go on without the answer.

Such calls are those on a network file system whose server is gone, or on one of FUSE whose
program does not answer. A thread that waits for one cannot be ended; it holds up nothing but the last
moment of a process that ends while the kernel cannot interrupt it. Knows nothing of what is asked.
"""

import _thread
import signal
import time


class Aside:
    """One question at a time, by a thread of its own for as long as it takes."""

    def __init__(self, wake):
        """wake(): called by the thread when there is an answer; it may be called at any time."""
        self._wake = wake
        self._question = None

    @property
    def busy(self):
        """Whether something was asked and the answer not taken yet."""
        return self._question is not None

    @property
    def answered(self):
        """Whether there is an answer to take."""
        return self._question is not None and self._question.answer is not None

    @property
    def began(self):
        """When what was asked last, and not taken yet, was asked (`time.monotonic`)."""
        return self._question.began

    def ask(self, function):
        """Begin to call function(), unless the last answer was not taken yet."""
        if self._question is None:
            self._question = _Question(function, self._wake)

    def wait(self, seconds):
        """Wait for the answer; tell whether there is one."""
        question = self._question
        if question.answer is None and seconds > 0 and question.done.acquire(timeout=seconds):
            question.done.release()
        return question.answer is not None

    def take(self):
        """Return what the function has returned, or raise what it has raised."""
        (value, error), self._question = self._question.answer, None
        if error is not None:
            raise error
        return value

    def forget(self):
        """Wait for no answer any more: the next question gets a thread of its own."""
        self._question = None


class _Question:
    """What is asked; answer: (value, None) or (None, exception) once it is there."""

    __slots__ = ("began", "done", "answer", "_function", "_wake")

    def __init__(self, function, wake):
        self.began = time.monotonic()
        self.done = _thread.allocate_lock()
        self.answer = None
        self._function = function
        self._wake = wake
        self.done.acquire()
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:  # no more threads are allowed: as it was without them
            self._run()

    def _run(self):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for whoever waits
        try:
            answer = self._function(), None
        except Exception as error:  # handed on, whatever it is
            answer = None, error
        self._function = None
        self.answer = answer
        self.done.release()
        self._wake()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)  # for where there was no thread


class Answers:
    """The last answers of a function, by its argument; at most one thread waits for one of these."""

    def __init__(self, function):
        self._function = function
        self._known = {}
        self._asked = {}

    def get(self, argument, seconds):
        """Return (function(argument), True), or, if that takes longer, (what it has returned the last time or None, False)."""
        aside = self._asked.setdefault(argument, Aside(_nobody))
        if aside.answered:  # that was too late
            aside.forget()
        wait = 0.0 if aside.busy else seconds  # nobody waits twice for one answer
        aside.ask(lambda: self._function(argument))
        if not aside.wait(wait):
            return self._known.get(argument), False
        del self._asked[argument]
        self._known[argument] = found = aside.take()
        return found, True


def _nobody():
    """Wake nobody: whoever has asked waits himself."""
