"""The metrics file: what Prometheus may read, whatever things are called, and who may put something in its place."""

import os
import stat
import subprocess
import sys

import pytest

from exposition import HOSTILE, facts, read, taken
from lsyncd_lite.mirror.job import Verdict
from lsyncd_lite.paths import show
from lsyncd_lite.report import metrics
from lsyncd_lite.system import atomic


def one(found, name, **labels):
    return found["lsyncd_lite_" + name][2][tuple(sorted(labels.items()))]


def test_all_numbers_of_a_sync_are_there():
    text = metrics.render(taken(facts("www", progress={"percent": 42, "bytes": 1}, canary={"file": "c", "age": None, "lag": 0.5}, last_error="x", held="y",
                                      awaits="maxInit = 2", tunnel={"mode": "pool", "processes": 3, "ready": 2, "error": "z"}),
                                started=9e8, watches=5, watches_limit=8192, polled=0, overflows=2, memory=12 * 2 ** 20, refused="no"))
    found, labels = read(text), dict(sync="www", mode="rsync", target="host:/www")
    assert text.startswith("# written by lsyncd-lite, PID 77\n")
    assert one(found, "info", version="1.2.3") == 1 and one(found, "overflows_total") == 2 and one(found, "resident_memory_bytes") == 12 * 2 ** 20
    assert one(found, "configuration_refused") == 1 and one(found, "watches_limit") == 8192
    wanted = {"queued_changes": 3, "in_flight_changes": 1, "oldest_pending_seconds": 2.5, "last_success_timestamp_seconds": 1e9, "lag_seconds": .25,
              "failing": 1, "held": 1, "degraded": 0, "paused": 0, "source_missing": 0, "job_seconds_total": 1.5, "retries_total": 2,
              "sent_bytes_total": 1e15, "sent_files_total": 7, "full_sync_progress_ratio": .42, "canary_lag_seconds": .5, "canary_age_seconds": 0,
              "awaiting_start": 1, "tunnels": 3, "tunnels_open": 2}
    assert {name: one(found, name, **labels) for name in wanted} == wanted
    assert one(found, "jobs_total", outcome="partial", **labels) == 1 and len(found["lsyncd_lite_jobs_total"][2]) == len(Verdict)


def test_what_is_not_known_is_not_there():
    found = read(metrics.render(taken(facts("www", oldest=None, last_success=None, lag=None))))
    assert one(found, "oldest_pending_seconds", sync="www", mode="rsync", target="host:/www") == 0
    assert not {"lsyncd_lite_lag_seconds", "lsyncd_lite_tunnels", "lsyncd_lite_tunnels_open", "lsyncd_lite_last_success_timestamp_seconds", "lsyncd_lite_canary_lag_seconds",
                "lsyncd_lite_full_sync_progress_ratio", "lsyncd_lite_resident_memory_bytes"} & set(found)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_every_kind_are_labels(name):
    found = read(metrics.render(taken(facts(name), facts("other"))))
    assert one(found, "queued_changes", sync=name, mode="rsync", target="host:/" + name) == 3
    assert len(found["lsyncd_lite_queued_changes"][2]) == 2


@pytest.mark.parametrize("count", [0, 1, 200])
def test_families_are_whole_with_any_number_of_syncs(count):
    found = read(metrics.render(taken(*(facts("s%d" % number) for number in range(count)))))
    assert count == 0 or all(len(samples) in (1, count, count * len(Verdict)) for _kind, _words, samples in found.values())
    assert ("lsyncd_lite_queued_changes" in found) == (count > 0)


# ---- the file

def path_of(where, name="x.prom"):
    return os.fsencode(str(where / name))


def test_everybody_can_read_it_whatever_the_umask(tmp_path):
    old = os.umask(0o077)
    try:
        metrics.write(path_of(tmp_path), "a ✓ \udcff\n")
    finally:
        os.umask(old)
    assert (tmp_path / "x.prom").read_bytes() == "a ✓ \\udcff\n".encode() and stat.S_IMODE(os.stat(str(tmp_path / "x.prom")).st_mode) == 0o644
    assert os.listdir(str(tmp_path)) == ["x.prom"]


def test_a_link_in_its_place_is_replaced_and_one_aside_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("precious")
    for name in "x.prom", "x.prom.new":
        (tmp_path / name).symlink_to(tmp_path / "precious")
    metrics.write(path_of(tmp_path), "new\n")
    assert (tmp_path / "precious").read_text() == "precious" and not (tmp_path / "x.prom").is_symlink() and (tmp_path / "x.prom").read_text() == "new\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives directories to another user, which root may")
def test_in_directories_of_the_readers_it_is_written_but_no_link_of_theirs_is_followed(tmp_path):
    (tmp_path / "prometheus" / "node-exporter").mkdir(parents=True)
    os.chown(str(tmp_path / "prometheus"), 65534, 65534)  # as Debian has it
    metrics.write(path_of(tmp_path / "prometheus" / "node-exporter"), "one\n")
    os.chown(str(tmp_path / "prometheus" / "node-exporter"), 65534, 65534)
    metrics.write(path_of(tmp_path / "prometheus" / "node-exporter"), "two\n")
    assert (tmp_path / "prometheus" / "node-exporter" / "x.prom").read_text() == "two\n"
    (tmp_path / "prometheus" / "node-exporter").rename(tmp_path / "prometheus" / "old")
    (tmp_path / "root").mkdir()
    (tmp_path / "prometheus" / "node-exporter").symlink_to(tmp_path / "root")
    with pytest.raises(OSError):
        metrics.write(path_of(tmp_path / "prometheus" / "node-exporter"), "three\n")
    assert os.listdir(str(tmp_path / "root")) == []
    (tmp_path / "link").symlink_to(tmp_path / "root")  # one of root's, in directories of root's
    metrics.write(path_of(tmp_path / "link"), "four\n")
    assert os.listdir(str(tmp_path / "root")) == ["x.prom"]


def test_what_cannot_be_written_leaves_nothing_aside(tmp_path):
    (tmp_path / "x.prom").mkdir()
    with pytest.raises(OSError):
        metrics.write(path_of(tmp_path), "text\n")
    assert os.listdir(str(tmp_path)) == ["x.prom"]
    with pytest.raises(OSError):
        metrics.write(path_of(tmp_path / "missing"), "text\n")


def test_a_file_of_another_daemon_that_runs_is_told_of(tmp_path):
    path = path_of(tmp_path)
    assert metrics.other(path, 1) is None
    child = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()", "lsyncd-lite"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b"1\n"
        metrics.write(path, metrics.render({**taken(), "pid": child.pid}))
        assert metrics.other(path, child.pid) is None
        assert metrics.other(path, 1) == "the metrics file %s is another daemon's, too (PID %d): each needs one of its own" % (show(path), child.pid)
    finally:
        child.communicate(b"\n")
    assert metrics.other(path, 1) is None
    for text in "", "# written by lsyncd-lite, PID x\n", "\0" * 200, "# written by lsyncd-lite, PID ":
        atomic.write_public(path, text.encode())
        assert metrics.other(path, 1) is None


def test_only_ones_own_is_removed(tmp_path):
    path = path_of(tmp_path)
    metrics.write(path, metrics.render(taken()))
    metrics.remove(path, 78)
    assert os.path.exists(path)
    metrics.remove(path, 77)
    metrics.remove(path, 77)
    assert os.listdir(str(tmp_path)) == []


def test_a_fifo_in_its_place_holds_nothing_up(tmp_path):
    os.mkfifo(str(tmp_path / "x.prom"))
    assert metrics.other(path_of(tmp_path), 1) is None
    metrics.write(path_of(tmp_path), "text\n")
    assert (tmp_path / "x.prom").read_text() == "text\n"
