"""What a mode asks of the disk, relative to a source."""

import os
import stat

import pytest

from lsyncd_lite.mirror.filters import Filter
from lsyncd_lite.system.source import Source


@pytest.fixture
def root(tmp_path):
    for name in "d/e/f", "d/no/x", "empty", "no":
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("d")
    (tmp_path / "dangling").symlink_to("nowhere")
    return os.fsencode(str(tmp_path))


def source(root, *rules):
    return Source(root, Filter([("-", rule, "") for rule in rules]).excludes)


@pytest.mark.parametrize("path, kind", [
    (b"", stat.S_IFDIR), (b"d", stat.S_IFDIR), (b"file", stat.S_IFREG), (b"link", stat.S_IFLNK), (b"dangling", stat.S_IFLNK), (b"missing", None),
    (b"missing/x", None), (b"file/x", None), (b"d/e/f", stat.S_IFDIR)])
def test_lstat_tells_what_is_there_and_follows_nothing(root, path, kind):
    facts = source(root).lstat(path)
    assert kind == (facts and stat.S_IFMT(facts.st_mode))


def test_what_cannot_be_looked_at_is_not_taken_for_missing(root):
    facts = source(root).lstat(b"x" * 300)  # ENAMETOOLONG
    assert facts is not None and not stat.S_ISDIR(facts.st_mode) and not stat.S_ISREG(facts.st_mode)
    known = os.lstat(root)
    assert {name for name in dir(known) if name[:3] == "st_" and getattr(facts, name, None) is None} <= {"st_blocks", "st_blksize"}


def test_directories_are_listed_parents_first_without_links_and_what_is_excluded(root):
    found = source(root, b"no/").directories(b"d")
    assert found == [b"d", b"d/e", b"d/e/f"]
    assert sorted(source(root).directories(b"d")) == [b"d", b"d/e", b"d/e/f", b"d/no", b"d/no/x"]
    assert source(root).directories(b"missing") == [b"missing"]


def test_an_empty_root_and_a_missing_one_are_not_the_same(root):
    assert not source(root).is_empty() and source(root).is_directory()
    assert source(root + b"/empty").is_empty() and source(root + b"/empty").is_directory()
    assert not source(root + b"/missing").is_empty() and not source(root + b"/missing").is_directory()
    assert not source(root + b"/file").is_directory()


def test_the_root_of_the_host_is_a_source_like_others():
    assert stat.S_ISDIR(source(b"/").lstat(b"proc").st_mode) and source(b"/").lstat(b"") is not None
