"""One tree, mirrored for real, from start to end: what every supported Python has to show."""

import signal

import pytest

from harness import make, sync, tree


@pytest.mark.parametrize("mode", ["rsync", "direct"])
def test_a_tree_is_mirrored_at_the_start_and_while_it_changes(daemon, src, dst, mode):
    make(src, "a", "d/b", "d/e/c")
    make(dst, "stale/file")
    one = daemon(sync(src, dst, mode=mode))
    assert tree(src) == tree(dst)
    make(src, "new", "x/y/z")
    (src / "a").unlink()
    (src / "d").rename(src / "moved")
    one.wait_equal(src, dst)
    make(src, "last")
    assert one.stop() == 128 + signal.SIGTERM
    assert tree(src) == tree(dst)
