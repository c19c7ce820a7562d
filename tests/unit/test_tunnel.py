"""Tunnels of a sync: phase by event, cell by cell, and which one a job takes."""

import itertools

import pytest

from lsyncd_lite.config import commands
from lsyncd_lite.mirror.job import BATCH, Job, Verdict
from lsyncd_lite.mirror.pair import AT_ONCE, State
from lsyncd_lite.mirror.sync import Sync
from lsyncd_lite.mirror.tunnel import GRACE, LOOK, LOOK_LONGEST, Phase, Task, Tunnels
from lsyncd_lite.report import snapshot
from world import config

READY_DELAY, RETRY_DELAY = 5.0, 10.0


def made(mode="command", parallel=1, command="/ssh ^localport", extra=()):
    table = {"command": commands.parse(command), "mode": mode, "parallel": parallel, "readyDelay": READY_DELAY, "retryDelay": RETRY_DELAY}
    return Tunnels(config(tunnel=table, rsync={"_extra": tuple(extra)}), 0)


def tasks(tunnels, now):
    return [task for task, _tunnel in tunnels.tasks(now)]


def opened(tunnels, now=0):
    """Open all of them."""
    for number, tunnel in enumerate(tunnels.all):
        list(tunnels.tasks(now))
        tunnels.started(tunnel, 4000 + number, now)
        tunnels.answered(tunnel, True, now)
    return tunnels


def brought(phase):
    """Return Tunnels, and the one that is in a phase."""
    tunnels = made()
    (tunnel,) = tunnels.all
    if phase is not Phase.DOWN:
        list(tunnels.tasks(0))
        tunnels.started(tunnel, 4000, 0)
    if phase is Phase.READY:
        tunnels.answered(tunnel, True, 0)
    if phase is Phase.ENDING:
        assert tasks(tunnels, READY_DELAY) == [Task.END]
    assert tunnel.phase is phase
    return tunnels, tunnel


EVENTS = {
    "time": lambda tunnels, tunnel: list(tunnels.tasks(100)), "refused": lambda tunnels, tunnel: tunnels.refused(tunnel, 6),
    "its own answers": lambda tunnels, tunnel: tunnels.answered(tunnel, True, 6), "some answer": lambda tunnels, tunnel: tunnels.answered(tunnel, None, 6),
    "another answers": lambda tunnels, tunnel: tunnels.answered(tunnel, False, 6), "end": lambda tunnels, tunnel: tunnels.ended(tunnel, "ended with 1", 6)}
BECOMES = {
    (Phase.DOWN, "end"): Phase.DOWN, (Phase.OPENING, "time"): Phase.ENDING, (Phase.OPENING, "its own answers"): Phase.READY, (Phase.OPENING, "end"): Phase.DOWN,
    (Phase.READY, "end"): Phase.DOWN, (Phase.ENDING, "end"): Phase.DOWN}


@pytest.mark.parametrize("phase, event", list(itertools.product(Phase, EVENTS)))
def test_every_event_in_every_phase(phase, event):
    tunnels, tunnel = brought(phase)
    EVENTS[event](tunnels, tunnel)
    assert tunnel.phase is BECOMES.get((phase, event), phase)
    if event == "end":
        assert tunnel.due == 6 + RETRY_DELAY and tunnels.is_shut
        assert tunnels.error == ("no tunnel: its port does not answer within 5 s" if phase is Phase.ENDING else "the tunnel ended with 1")


def test_what_is_due_and_when():
    tunnels = made()
    (tunnel,) = tunnels.all
    assert tunnels.next_due() == 0 and tasks(tunnels, 0) == [Task.START]
    assert tasks(tunnels, 0) == [] and tunnels.next_due() is None  # once
    tunnels.started(tunnel, 4000, 0)
    assert tunnels.next_due() == LOOK and tasks(tunnels, LOOK) == [Task.LOOK]
    assert tasks(tunnels, LOOK) == [] and tunnels.next_due() == READY_DELAY  # it is being tried
    tunnels.refused(tunnel, 1)
    assert 1 + LOOK < tunnels.next_due() <= 1 + LOOK_LONGEST
    tunnels.answered(tunnel, True, 2)
    assert tunnels.next_due() is None and tasks(tunnels, 1e9) == [] and tunnels.ready == 1  # it costs nothing
    tunnels.ended(tunnel, "ended with 1", 50)
    assert tunnels.next_due() == tunnels.next_try == 50 + RETRY_DELAY
    assert tasks(tunnels, 55) == [] and tasks(tunnels, 60) == [Task.START]


def test_looks_become_rarer():
    tunnels, tunnel = brought(Phase.OPENING)
    pauses = []
    for _turn in range(20):
        tunnels.refused(tunnel, 0)
        pauses.append(tunnel.look_at)
    assert pauses == sorted(pauses) and pauses[-1] == LOOK_LONGEST


def test_who_does_not_end_is_killed():
    tunnels, _tunnel = brought(Phase.ENDING)
    assert tunnels.next_due() == READY_DELAY + GRACE
    assert tasks(tunnels, READY_DELAY + GRACE) == [Task.KILL] and tunnels.next_due() is None


def test_what_may_be_another_s_has_to_last():
    tunnels, tunnel = brought(Phase.OPENING)
    tunnels.answered(tunnel, None, 1)
    assert tunnel.look_at is not None and tunnels.choose() is None
    assert tasks(tunnels, READY_DELAY) == [] and tunnels.choose() is tunnel
    tunnels, tunnel = brought(Phase.OPENING)
    tunnels.answered(tunnel, None, 1)
    tunnels.refused(tunnel, 2)  # that one has gone
    assert tasks(tunnels, READY_DELAY) == [Task.END]


def test_what_is_another_s_ends_it_at_once():
    tunnels, tunnel = brought(Phase.OPENING)
    tunnels.answered(tunnel, False, 1)
    assert tasks(tunnels, 1) == [Task.END]
    tunnels.ended(tunnel, "was killed by signal 15", 2)
    assert tunnels.error == "no tunnel: its port was taken by another program"


def test_a_port_of_the_users_own_is_taken_when_the_delay_is_over():
    tunnels = made(command="/ssh -L 1234:h:873")
    (tunnel,) = tunnels.all
    assert not tunnels.has_port and tasks(tunnels, 0) == [Task.START]
    tunnels.started(tunnel, None, 0)
    assert tunnels.next_due() == READY_DELAY and tasks(tunnels, READY_DELAY) == [] and tunnels.choose() is tunnel
    argv = [b"rsync", b"rsync://h:1234/^localport/"]
    assert tunnels.put_port(argv, tunnel) is argv


# ---- jobs --------------------------------------------------------------------------------------

def test_a_tunnel_of_a_pool_takes_one_job_at_a_time():
    tunnels = opened(made("pool", 2))
    first, second = tunnels.all
    assert tunnels.choose() is first
    first.jobs.add("job")
    assert tunnels.choose() is second
    second.jobs.add("another")
    assert tunnels.choose() is None and not tunnels.admits(True, True, 0)  # they come back
    first.jobs.clear()
    assert tunnels.choose() is first


def test_the_tunnel_of_mode_command_takes_all():
    tunnels = opened(made())
    tunnels.all[0].jobs.update("abc")
    assert tunnels.choose() is tunnels.all[0] and tunnels.admits(False, False, 0)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("must_start", [False, True])
@pytest.mark.parametrize("stopping", [False, True])
def test_who_waits_for_a_tunnel_and_who_fails_without(phase, failed, must_start, stopping):
    tunnels, tunnel = brought(phase)
    if failed and phase is not Phase.READY:
        tunnels.error = "the tunnel ended with 1"
    has_failed = failed and not stopping  # at the stop it is tried again
    assert tunnels.admits(must_start, stopping, 1) == (phase is Phase.READY or has_failed and must_start and phase is not Phase.OPENING)


def test_at_the_stop_there_is_one_more_try():
    tunnels, tunnel = brought(Phase.READY)
    tunnels.ended(tunnel, "ended with 1", 1)
    assert not tunnels.admits(False, False, 2) and not tunnels.admits(False, True, 2)
    assert tasks(tunnels, 2) == [Task.START]
    tunnels.started(tunnel, 4001, 2)
    assert not tunnels.admits(False, True, 2)
    tunnels.ended(tunnel, "ended with 2", 3)
    assert tunnels.admits(False, True, 3) and tunnels.next_due() is None


def test_half_a_pool_is_no_failure_of_the_sync():
    tunnels = opened(made("pool", 2))
    tunnels.ended(tunnels.all[0], "ended with 1", 1)
    assert (tunnels.ready, tunnels.is_shut, tunnels.error) == (1, False, "the tunnel ended with 1")
    assert tunnels.admits(False, False, 1)
    list(tunnels.tasks(20))
    tunnels.started(tunnels.all[0], 4002, 20)
    tunnels.answered(tunnels.all[0], True, 21)
    assert tunnels.error is None


def test_the_port_goes_into_the_target_and_further_arguments_and_nowhere_else():
    tunnels = opened(made(extra=["--port=^localport", "--stats"]))
    argv = [b"rsync", b"--port=^localport", b"--filter=- ^localport", b"--stats", b"/src/^localport/", b"rsync://h:^localport/m/"]
    before = list(argv)
    assert tunnels.put_port(argv, tunnels.all[0]) == [b"rsync", b"--port=4000", b"--filter=- ^localport", b"--stats", b"/src/^localport/", b"rsync://h:4000/m/"]
    assert argv == before


# ---- a sync that is gone -----------------------------------------------------------------------

def test_a_tunnel_of_a_sync_that_is_gone_ends_after_its_last_job():
    tunnels = opened(made("pool", 2))
    busy, idle = tunnels.all
    busy.jobs.add("job")
    tunnels.leave()
    assert tunnels.next_due() == AT_ONCE and list(tunnels.tasks(1)) == [(Task.END, idle)]
    tunnels.ended(idle, "was killed by signal 15", 2)
    assert tunnels.error is None and not tunnels.is_over and tunnels.next_due() is None
    busy.jobs.clear()
    assert list(tunnels.tasks(3)) == [(Task.END, busy)]
    tunnels.ended(busy, "was killed by signal 15", 4)
    assert tunnels.is_over and tunnels.next_due() is None and tasks(tunnels, 1e9) == []


@pytest.mark.parametrize("phase", Phase)
def test_nothing_is_started_any_more_for_a_sync_that_is_gone(phase):
    tunnels, tunnel = brought(phase)
    if phase is not Phase.DOWN:
        tunnels.leave()
        list(tunnels.tasks(1))
        tunnels.ended(tunnel, "was killed by signal 15", 2)
    tunnels.leave()
    tunnels.try_now(3)
    assert tunnels.is_over and tunnels.next_due() is None and tasks(tunnels, 1e9) == []


# ---- what the sync tells -------------------------------------------------------------------------

class Mode:
    connection = takes_moves = None

    def probe(self):
        return None


def pair(tunnels):
    sync = Sync(config(delay=1.0, init=False, section="www"), Mode(), 0, 1000, lambda: 0)
    sync.tunnels = tunnels
    return sync


def test_a_sync_without_a_tunnel_waits_and_says_why():
    tunnels, tunnel = brought(Phase.OPENING)
    sync = pair(tunnels)
    assert sync.state is State.IDLE
    tunnels.ended(tunnel, "ended with 255", 1)
    sync.lose_way(tunnels.error, 1001)
    assert (sync.state, sync.last_error, sync.next_try) == (State.WAITING, "the tunnel ended with 255", 11)
    tunnels.started(tunnel, 4000, 11)
    assert sync.state is State.WAITING  # until it is open
    tunnels.answered(tunnel, True, 12)
    sync.find_way(12)
    assert (sync.state, sync.last_error, sync.failing_since, sync.next_try) == (State.IDLE, None, None, None)


def test_the_snapshot_tells_of_tunnels():
    sync = pair(None)
    assert snapshot.of_sync(sync, 0)["tunnel"] is None
    sync.tunnels = opened(made("pool", 2))
    assert snapshot.of_sync(sync, 0)["tunnel"] == {"mode": "pool", "processes": 2, "ready": 2, "error": None}
    sync.tunnels.ended(sync.tunnels.all[1], "ended with 255: x", 1)
    assert snapshot.of_sync(sync, 0)["tunnel"] == {"mode": "pool", "processes": 2, "ready": 1, "error": "the tunnel ended with 255: x"}


def test_what_has_ended_is_tried_at_once_when_somebody_may_have_mended_it():
    tunnels, tunnel = brought(Phase.READY)
    sync = pair(tunnels)
    tunnels.ended(tunnel, "ended with 1", 1)
    sync.retry(3)
    assert tasks(tunnels, 3) == [Task.START]


def test_what_failed_with_the_tunnel_is_tried_at_once_when_that_is_back():
    tunnels, _tunnel = brought(Phase.READY)
    sync = pair(tunnels)
    sync.queue.add(b"f", 0, 0)
    job = Job([b"rsync"], None, sync.queue.take(), BATCH)
    job.since = job.began = 0
    sync.running.add(job)
    sync.mode.verdict = lambda job, status, output: (Verdict.AGAIN, "rsync ended with 12")
    sync.on_exit(job, 12, [], 1, 1001)
    assert sync.next_deadline() > 1
    sync.find_way(1)
    assert sync.next_deadline() > 1  # the tunnel was not what failed
    sync.lose_way("the tunnel ended with 255", 1002)
    sync.find_way(1.5)
    assert sync.next_deadline() <= 1.5 and sync.last_error == "the tunnel ended with 255"  # until something has arrived
