"""How many names a source holds is counted once for a full sync that does not know it."""

import os
import time
from types import SimpleNamespace as namespace

import pytest

from lsyncd_lite.counting import Counts, count
from lsyncd_lite.mirror.account import Account
from lsyncd_lite.mirror.filters import Filter
from lsyncd_lite.mirror.job import FULL, Job

NO_RULES = Filter(())


@pytest.fixture
def source(tmp_path):
    for name in ("a/b/1", "a/b/2", "a/3", "left out/4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path)
    return os.fsencode(str(tmp_path))


def test_each_name_counts_and_no_link_is_followed(source):
    assert count(source, NO_RULES) == 9  # as for rsync, the root does


def test_what_is_excluded_counts_as_one(source):
    assert count(source, namespace(excludes=lambda directory, name, is_dir: (directory, name) == (b"", b"left out"))) == 8


def test_what_is_gone_counts_as_one():
    assert count(b"/nowhere/at/all", NO_RULES) == 1


def running(source, finds_more=True):
    job = Job([], None, [], FULL)
    job.account = Account()
    job.account.finds_more = finds_more
    return namespace(full_job=job, config=namespace(source=source), filter=NO_RULES)


def test_who_needs_it_gets_it_once(source):
    woken = []
    counts, sync, other = Counts(lambda: woken.append(1)), running(source), running(source, False)
    idle = namespace(full_job=None)
    for one in (sync, sync, other, idle):
        counts.want(one)
    until = time.monotonic() + 30
    while not woken and time.monotonic() < until:
        time.sleep(0.001)
    counts.turn([sync, other, idle])
    counts.want(sync)
    assert (sync.full_job.account.expected, other.full_job.account.expected, woken) == (9, None, [1])


def test_a_job_that_has_ended_is_forgotten(source):
    counts, sync = Counts(lambda: None), running(source)
    counts.want(sync)
    counts.turn([])
    assert not counts._asked
