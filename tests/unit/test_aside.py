"""Calls that may never return: asked for by a thread, waited for as long as one likes."""

import _thread
import os
import signal

import pytest

from lsyncd_lite.aside import Answers, Aside
from lsyncd_lite.system.loop import Loop

LONG = 30  # seconds: the answer comes long before


class Held:
    """A function that returns when it is let go; counts its calls, and the threads that were in it at one time."""

    def __init__(self, value="found"):
        self.value, self.calls, self.here, self.most = value, 0, 0, 0
        self._lock = _thread.allocate_lock()
        self._lock.acquire()

    def __call__(self, *_arguments):
        self.calls += 1
        self.here += 1
        self.most = max(self.most, self.here)
        self._lock.acquire()
        self._lock.release()
        self.here -= 1
        if isinstance(self.value, Exception):
            raise self.value
        return self.value

    def let_go(self):
        self._lock.release()


@pytest.fixture
def held():
    one = Held()
    yield one
    if one._lock.locked():
        one.let_go()


def test_an_answer_in_time_is_taken_and_the_next_question_may_be_asked():
    woken = []
    aside = Aside(lambda: woken.append(1))
    for number in range(3):
        assert not aside.busy and not aside.answered
        aside.ask(lambda: number)
        assert aside.busy and aside.wait(LONG) and aside.answered and aside.take() == number
    assert len(woken) <= 3


def test_silence_is_told_and_the_answer_wakes_whoever_has_gone_on(held):
    woken = _thread.allocate_lock()
    woken.acquire()
    aside = Aside(woken.release)
    aside.ask(held)
    assert not aside.wait(0.01) and aside.busy and not aside.answered
    aside.ask(held)
    assert not aside.wait(0) and held.calls == 1  # no second thread
    held.let_go()
    assert woken.acquire(timeout=LONG) and aside.answered and aside.wait(0) and aside.take() == "found"


def test_what_the_function_raises_is_raised_where_the_answer_is_taken():
    aside = Aside(lambda: None)
    aside.ask(lambda: os.stat("/does/not/exist"))
    assert aside.wait(LONG)
    with pytest.raises(FileNotFoundError):
        aside.take()
    assert not aside.busy


def test_a_question_that_is_forgotten_is_answered_to_nobody(held):
    aside = Aside(lambda: None)
    aside.ask(held)
    aside.forget()
    assert not aside.busy
    aside.ask(lambda: "another")
    assert aside.wait(LONG) and aside.take() == "another"
    held.let_go()


def test_without_threads_it_is_asked_at_once(monkeypatch):
    def refuse(*_arguments):
        raise RuntimeError("can't start new thread")
    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    aside = Aside(lambda: None)
    aside.ask(lambda: 1)
    assert aside.answered and aside.take() == 1
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_signals_are_not_for_the_thread():
    aside = Aside(lambda: None)
    aside.ask(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, []))
    assert aside.wait(LONG) and {signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP} <= aside.take()


def test_the_last_answer_stands_where_there_is_none_and_one_thread_waits_for_each_name():
    held = Held()
    answers = Answers(held)
    held.let_go()
    assert answers.get(b"/a", LONG) == ("found", True)
    held._lock.acquire()
    held.value = "another"
    try:
        assert answers.get(b"/a", 0.01) == ("found", False) and answers.get(b"/a", LONG) == ("found", False)
        assert answers.get(b"/b", 0.01) == (None, False) and held.most == 2 and held.calls == 3
    finally:
        held.let_go()
    assert answers._asked[b"/a"].wait(LONG) and answers.get(b"/a", LONG) == ("another", True)


def test_a_loop_that_is_woken_ends_its_wait_and_tells_no_signal():
    was = {number: signal.getsignal(number) for number in (signal.SIGUSR2,)}
    loop = Loop((signal.SIGUSR2,))
    try:
        loop.wake()
        assert loop.wait(None) == b""
        loop.wake()
        os.kill(os.getpid(), signal.SIGUSR2)
        assert loop.wait(None) == bytes([signal.SIGUSR2])
        for _time in range(100000):  # more than the pipe takes
            loop.wake()
        assert loop.wait(None) == b""
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in was.items():
            signal.signal(number, handler)
        os.close(loop._wakeup)
        os.close(loop._writer)
