"""When `wait` returns the trees are equal at once, whatever was done to the source, however it is mirrored, and whatever failed.

    LSYNCD_LITE_SEED=7 LSYNCD_LITE_ROUNDS=100 python3 -m pytest tests/system/test_wait.py    # another seed, and for longer
"""

import os
import random
import re
import signal
from pathlib import Path

import pytest

from churn import Churn
from harness import BY_RSYNC, LASTING, LIMIT, WAYS, differences, processes, sync, tree
from test_tunnels import FORWARDS

from lsyncd_lite.system import ask

SEED, ROUNDS = (int(os.environ.get("LSYNCD_LITE_" + name, default)) for name, default in (("SEED", 1), ("ROUNDS", 2)))
PARALLEL = tuple(way for way in LASTING if way != "rsyncssh")  # that may have several processes
OPERATIONS = 30  # a round, at most
PATIENCE = 100   # seconds
STEPS = ("", "", "flush", "retry", "reload", "pause resume", "full")


def told(one, **request):
    """Let a daemon do what is asked for."""
    path = Path(str(one.mark) + ".run") / "daemon.sock"
    answer = next(answer for answer in ask.talk(os.fsencode(str(path)), request, PATIENCE + LIMIT) if "note" not in answer)
    assert answer.get("ok"), (request, answer)


def play(one, src, targets, fault=lambda: None, steps=STEPS):
    """Change src in rounds, each with a wait at its end; targets: {way: directory}; fault(): does some harm; steps: commands between changes."""
    pace, churn = random.Random(SEED), Churn(src, SEED)
    for number in range(ROUNDS):
        churn.tidy()
        del churn.script[:]
        steered = [pace.choice(steps) for _time in range(2)]
        for step in steered:
            fault()
            churn.run(pace.randrange(1, OPERATIONS))
            for word in step.split():
                told(one, do=word)
        churn.run(pace.randrange(3))
        if pace.random() < 0.5:
            told(one, do="flush")
        told(one, do="wait", timeout=PATIENCE)
        wrong = {}
        for way, target in targets.items():
            archive = way in LASTING
            wrong[way] = differences(tree(src, archive), tree(target, archive))
        assert not any(wrong.values()), "round %d of seed %d, steered by %s:\n%s\nafter\n  %s\n%s" % (
            number, SEED, steered, "\n".join("%s\n  %s" % (way, "\n  ".join(lines)) for way, lines in wrong.items() if lines),
            "\n  ".join(churn.script), one._text(one.statusfile))


@pytest.mark.parametrize("ways, settings, keys", [
    (WAYS, {}, {}),
    (WAYS, {"maxProcesses": 3, "maxInit": 1}, {}),
    (PARALLEL, {}, {"maxProcesses": 3}),
    (("rsync", "direct", "script", "exec"), {}, {"monitor": "poll", "scanInterval": 1000}),
    (PARALLEL, {"maxInit": 2}, {"rsync": {"bwlimit": 400}, "maxProcesses": 2}),
], ids=["all", "few", "parallel", "polled", "slow"])
def test_all_has_arrived(mirrors, src, ways, settings, keys):
    one = mirrors(*ways, settings=settings, **keys)
    play(one, src, one.targets, steps=STEPS[:-1] if "monitor" in keys else STEPS)  # no scan tells of what a full sync meets and then is gone


def test_all_has_arrived_though_targets_fail_now_and_then(mirrors, obedient, src):
    binaries, own = obedient()
    one = mirrors(*BY_RSYNC, own=own)
    pace = random.Random(SEED)

    def fail():
        for binary in binaries.values():
            binary.fail(pace.choice([10, 30, 12, 23, "KILL"]), pace.randrange(3))
    play(one, src, one.targets, fail)


def test_all_has_arrived_though_a_hook_is_slow_and_fails(mirrors, src):
    hook = "sleep 0.2; test $(od -An -N1 -tu1 /dev/urandom) -lt 200"
    one = mirrors("rsync", "direct", "rsyncssh", settings={"insist": True}, onBatch={"after": hook, "before": hook, "afterFailure": "again"})
    play(one, src, one.targets)


def test_all_has_arrived_through_tunnels_that_break(ssh, daemon, rsyncd, src, dst, tmp_path):
    tunnel = {"command": "%s -N %s %s" % (ssh.rsh, FORWARDS % rsyncd.port, ssh.host), "mode": "pool", "parallel": 2, "retryDelay": 0.2}
    one = daemon(sync(src, "rsync://127.0.0.1:^localport/all%s" % dst, tunnel=tunnel, maxProcesses=2, rsync={"archive": True}), settings={"delay": 0.1})
    pace = random.Random(SEED)

    def break_one():
        for pid, line in processes(tmp_path).items():
            if re.match(r"ssh .*-L ", line) and pace.random() < 0.4:
                os.kill(pid, signal.SIGKILL)
    play(one, src, {"rsync": dst}, break_one)
