"""The files that tell what a daemon is at: when they are written, and what is said when they cannot be."""

from types import SimpleNamespace as namespace

import pytest

from lsyncd_lite.report import snapshot
from lsyncd_lite.reporting import Reports

SNAPSHOT = snapshot.take({"line": "all is well", "started": 900.0}, [], 0.0, 1000.0)


def settings(directory, status="status", metrics="metrics"):
    """Return settings by which files are in a directory (a path), or are not wanted (None)."""
    where = [None if name is None else bytes(directory / name) for name in (status, metrics)]
    return namespace(statusFile=where[0], metricsFile=where[1], statusInterval=5.0)


@pytest.fixture
def said():
    return []


@pytest.fixture
def log(said):
    return lambda category, words: said.append((category, words))


def test_both_are_made_of_one_snapshot_and_none_is_taken_for_nobody(tmp_path, log, said):
    taken = []
    reports = Reports(settings(tmp_path), log)
    reports.write(lambda: taken.append(1) or SNAPSHOT, 7.0)
    assert (tmp_path / "metrics").read_text() and (tmp_path / "status").read_text() and len(taken) == 1
    assert said == [("Statusfile", "status written"), ("Statusfile", "metrics written")]
    Reports(settings(tmp_path, None, None), log).write(lambda: taken.append(1) or SNAPSHOT, 7.0)
    assert len(taken) == 1


@pytest.mark.parametrize("changed, oldest, due", [(True, None, 12.0), (True, 1.0, 12.0), (False, 1.0, 12.0), (False, None, None)])
def test_they_are_due_when_something_has_changed_or_waits(changed, oldest, due, tmp_path, log):
    syncs = [namespace(oldest=None), namespace(oldest=oldest)]
    reports = Reports(settings(tmp_path), log)
    reports.write(lambda: SNAPSHOT, 7.0)
    assert reports.due(changed, syncs) == due
    assert Reports(settings(tmp_path, None, None), log).due(changed, syncs) is None


def test_what_is_broken_is_told_once_and_again_after_a_reload_and_the_other_is_written(tmp_path, log, said):
    reports = Reports(settings(tmp_path, "no/status"), log)
    for _again in range(2):
        reports.write(lambda: SNAPSHOT, 7.0)
    errors = [words for category, words in said if category == "Error"]
    assert len(errors) == 1 and errors[0].startswith("cannot write the status file %s/no/status: " % tmp_path) and (tmp_path / "metrics").exists()
    reports.use(settings(tmp_path, "neither/status"))
    reports.write(lambda: SNAPSHOT, 8.0)
    errors = [words for category, words in said if category == "Error"]
    assert len(errors) == 2 and "/neither/status" in errors[1]


def test_metrics_go_when_they_move_and_at_the_end(tmp_path, log):
    reports = Reports(settings(tmp_path), log)
    reports.write(lambda: SNAPSHOT, 7.0)
    reports.use(settings(tmp_path))
    assert (tmp_path / "metrics").exists()
    reports.use(settings(tmp_path, metrics="others"))
    assert not (tmp_path / "metrics").exists()
    reports.write(lambda: SNAPSHOT, 8.0)
    assert (tmp_path / "others").exists()
    reports.end()
    assert not (tmp_path / "others").exists() and (tmp_path / "status").exists()
