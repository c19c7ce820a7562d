"""The queue: marks on marks, what absorbs what, and what it costs."""

import itertools
import random
import sys

import pytest

from lsyncd_lite.mirror import queue as module
from lsyncd_lite.mirror.change import FRESH, NEW, PLACE, WHOLE
from lsyncd_lite.mirror.queue import Queue

MARKS = (PLACE, WHOLE, FRESH, WHOLE | FRESH)
PAIRS = list(itertools.product(MARKS, MARKS))


def filled(*entries, **kwargs):
    queue = Queue(**kwargs)
    for path, marks in entries:
        queue.add(path, marks, 0)
    return queue


def content(queue):
    found = queue.entries()
    assert len({path for path, _marks in found}) == len(found) == len(queue)
    return dict(found)


# ---- every cell: marks on marks ----------------------------------------------------------------

@pytest.mark.parametrize("path", [b"d", b"a/d", b""])
@pytest.mark.parametrize("old, new", PAIRS)
def test_marks_on_marks_at_one_path_combine(old, new, path):
    assert content(filled((path, old), (path, new))) == {path: old | new}


@pytest.mark.parametrize("top, below", [(b"d", b"d/f"), (b"d", b"d/e/f"), (b"a/d", b"a/d/f"), (b"", b"f"), (b"", b"d/f")])
@pytest.mark.parametrize("old, new", PAIRS)
def test_marks_below_a_queued_directory(old, new, top, below):
    if old & WHOLE:
        expected = {top: old | new & FRESH}
    else:
        expected = {top: old, below: new}
    assert content(filled((top, old), (below, new))) == expected


@pytest.mark.parametrize("top, below", [(b"d", b"d/f"), (b"d", b"d/e/f"), (b"a/d", b"a/d/f"), (b"", b"f"), (b"", b"d/f")])
@pytest.mark.parametrize("old, new", PAIRS)
def test_marks_above_something_queued(old, new, top, below):
    if new & WHOLE:
        expected = {top: new | old & FRESH}
    else:
        expected = {top: new, below: old}
    assert content(filled((below, old), (top, new))) == expected


@pytest.mark.parametrize("old, new", PAIRS)
def test_neighbours_do_not_touch_each_other(old, new):
    for path in b"e", b"d2", b"d/f", b"D", b"d/e/f":
        assert content(filled((b"d/e" if path == b"d/f" else b"a/d", old), (path, new))) == (
            {b"d/e" if path == b"d/f" else b"a/d": old, path: new})


def test_a_whole_directory_absorbs_all_levels_below_and_nothing_beside():
    queue = filled((b"d", PLACE), (b"d/a", FRESH), (b"d/b/c/e", PLACE), (b"d/b", WHOLE), (b"dd/f", PLACE), (b"x/d/f", FRESH))
    queue.add(b"d", WHOLE, 0)
    assert content(queue) == {b"d": WHOLE | FRESH, b"dd/f": PLACE, b"x/d/f": FRESH}


@pytest.mark.parametrize("below, expected", [
    (PLACE, WHOLE), (FRESH, WHOLE | FRESH), (WHOLE | FRESH, WHOLE | FRESH), (WHOLE | NEW, WHOLE), (WHOLE | NEW | FRESH, WHOLE)])
def test_what_is_new_on_the_target_brings_no_doubt_to_what_absorbs_it(below, expected):
    assert content(filled((b"d/e/f", below), (b"d", WHOLE))) == {b"d": expected}
    assert content(filled((b"d/e/f", below), (b"d/e", PLACE), (b"d", WHOLE))) == {b"d": expected}


def test_new_stays_with_its_place_when_something_below_changes():
    queue = filled((b"d", WHOLE | NEW), (b"d/f", FRESH), (b"d/g", PLACE))
    assert content(queue) == {b"d": WHOLE | NEW | FRESH}


def test_the_root_absorbs_everything():
    queue = filled((b"a", PLACE), (b"d/e", WHOLE), (b"", PLACE))
    assert not queue.is_whole()
    queue.add(b"", WHOLE, 0)
    assert queue.is_whole() and content(queue) == {b"": WHOLE}


def test_names_are_bytes_and_nothing_in_them_is_special():
    names = [b"\xff\xfe", b" ", b"\n", b".", b"..", b"*", b"x" * 255]
    assert content(filled(*[(name, FRESH) for name in names])) == dict.fromkeys(names, FRESH)


# ---- since -------------------------------------------------------------------------------------

def test_since_is_the_time_of_the_oldest_change():
    queue = Queue()
    assert queue.since is None and len(queue) == 0 and not queue.entries()
    for now in (7, 9, 5, 6):
        queue.add(b"f", PLACE, now)
    assert queue.since == 5


def test_an_absorbed_change_still_counts_for_since():
    queue = Queue()
    queue.add(b"d", WHOLE, 8)
    queue.add(b"d/f", FRESH, 3)
    assert queue.since == 3


def test_clear_forgets_everything():
    queue = filled((b"d/f", PLACE), (b"", WHOLE))
    queue.clear()
    assert (len(queue), queue.since, queue.entries(), queue.is_whole()) == (0, None, [], False)


# ---- take and put_back -------------------------------------------------------------------------

def test_take_empties_the_queue():
    queue = filled((b"a", FRESH), (b"d", PLACE), (b"d/f", PLACE))
    assert dict(queue.take()) == {b"a": FRESH, b"d": PLACE, b"d/f": PLACE}
    assert (len(queue), queue.since) == (0, None)


def test_take_leaves_what_is_not_wanted_with_its_time():
    queue = Queue()
    for path, now in (b"a", 3), (b"d", 4), (b"d/f", 5):
        queue.add(path, FRESH, now)
    assert queue.take(lambda path: path == b"a") == [(b"a", FRESH)]
    assert content(queue) == {b"d": FRESH, b"d/f": FRESH} and queue.since == 3


def test_take_asks_once_for_each_entry():
    asked = []
    filled((b"a", PLACE), (b"d/f", PLACE), (b"d", PLACE)).take(asked.append)
    assert sorted(asked) == [b"a", b"d", b"d/f"]


@pytest.mark.parametrize("taken, meanwhile", PAIRS)
@pytest.mark.parametrize("path", [b"d", b"d/f", b"", b"e"])
def test_put_back_merges_with_what_has_come_in_between(taken, meanwhile, path):
    queue = Queue()
    queue.add(b"d", taken, 2)
    entries, since = queue.take(), 2
    queue.add(path, meanwhile, 5)
    queue.put_back(entries, since)
    assert content(queue) == content(filled((b"d", taken), (path, meanwhile)))
    assert queue.since == 2


def test_entries_are_listed_parents_first():
    queue = filled((b"d/e/f", PLACE), (b"d/e", FRESH), (b"d", PLACE), (b"", PLACE), (b"c", PLACE))
    paths = [path for path, _marks in queue.entries()]
    assert paths[0] == b"" and paths.index(b"d") < paths.index(b"d/e") < paths.index(b"d/e/f")


# ---- related -----------------------------------------------------------------------------------

@pytest.mark.parametrize("queued, marks, asked, answer", [
    (b"d", PLACE, b"d", True), (b"d", WHOLE, b"d", True), (b"d/f", PLACE, b"d/f", True), (b"", PLACE, b"", True),
    (b"d/f", PLACE, b"d", True), (b"d/e/f", PLACE, b"d", True), (b"d/f", PLACE, b"", True),         # below
    (b"d", WHOLE, b"d/f", True), (b"d", WHOLE | FRESH, b"d/e/f", True), (b"", WHOLE, b"d/f", True),  # above, whole
    (b"d", PLACE, b"d/f", False), (b"d", FRESH, b"d/f", False), (b"", PLACE, b"d", False),          # above, itself only
    (b"d", WHOLE, b"dd", False), (b"d/f", PLACE, b"d/g", False), (b"d/f", WHOLE, b"f", False), (b"e", WHOLE, b"d", False),
])
def test_related_means_at_below_or_within(queued, marks, asked, answer):
    assert filled((queued, marks)).related(asked) is answer
    assert filled((queued, marks), (b"z", PLACE)).related(asked) is answer


def test_nothing_is_related_to_an_empty_queue():
    assert not any(Queue().related(path) for path in (b"", b"d", b"d/f"))


# ---- covering, below, graft --------------------------------------------------------------------

@pytest.mark.parametrize("queued, asked, answer", [
    ([], b"d", None), ([], b"", None), ([(b"d", PLACE)], b"d", PLACE), ([(b"d", FRESH)], b"d", FRESH), ([(b"d/f", FRESH)], b"d/f", FRESH), ([(b"", PLACE)], b"", PLACE),
    ([(b"d", WHOLE)], b"d/f", WHOLE), ([(b"d", WHOLE | FRESH)], b"d/e/f", WHOLE | FRESH), ([(b"", WHOLE)], b"d/f", WHOLE), ([(b"", WHOLE)], b"", WHOLE),
    ([(b"d", WHOLE | NEW)], b"d/f", WHOLE | NEW),
    ([(b"d", PLACE)], b"d/f", None), ([(b"d", FRESH)], b"d/f", None), ([(b"", PLACE)], b"d", None),        # above, itself only
    ([(b"d/f", FRESH)], b"d", None), ([(b"d/f", WHOLE)], b"", None),                                       # below
    ([(b"d", PLACE), (b"d/f", FRESH)], b"d", PLACE), ([(b"d", PLACE), (b"d/f", FRESH)], b"d/f", FRESH), ([(b"d", PLACE), (b"d/f", FRESH)], b"d/g", None),
    ([(b"d", PLACE), (b"d/f", FRESH)], b"d/f/g", None), ([(b"d", WHOLE)], b"dd", None), ([(b"dd", WHOLE)], b"d", None), ([(b"d/f", WHOLE)], b"d/f/g/h", WHOLE),
])
def test_covering_is_what_stands_at_a_path_or_above_it_with_all_it_holds(queued, asked, answer):
    for more in [], [(b"z/y", PLACE)]:
        assert filled(*queued, *more).covering(asked) == answer


@pytest.mark.parametrize("asked, answer", [
    (b"d", {b"": PLACE, b"f": FRESH, b"e/f": PLACE, b"e/g": WHOLE}), (b"d/e", {b"f": PLACE, b"g": WHOLE}), (b"d/f", {b"": FRESH}), (b"d/e/g", {b"": WHOLE}),
    (b"d/e/g/x", {}), (b"d/x", {}), (b"x", {}), (b"d/f/x", {}), (b"dd", {b"": FRESH})])
def test_below_is_what_stands_at_a_path_and_below_it(asked, answer):
    queue = filled((b"d", PLACE), (b"d/f", FRESH), (b"d/e/f", PLACE), (b"d/e/g", WHOLE), (b"dd", FRESH), (b"", PLACE))
    before = content(queue)
    assert dict(queue.below(asked)) == answer and content(queue) == before


@pytest.mark.parametrize("queued, origin, place, expected", [
    ([], b"a", b"b", {}), ([(b"x", FRESH)], b"a", b"b", {b"x": FRESH}),
    ([(b"a", PLACE)], b"a", b"b", {b"a": PLACE, b"b": PLACE}),
    ([(b"a", FRESH)], b"a", b"d/e/b", {b"a": FRESH, b"d/e/b": FRESH}),
    ([(b"a/f", FRESH), (b"a/e/f", PLACE)], b"a", b"b", {b"a/f": FRESH, b"a/e/f": PLACE, b"b/f": FRESH, b"b/e/f": PLACE}),
    ([(b"a", PLACE), (b"a/f", FRESH)], b"a", b"d/b", {b"a": PLACE, b"a/f": FRESH, b"d/b": PLACE, b"d/b/f": FRESH}),
    ([(b"a", WHOLE | NEW), (b"aa", FRESH)], b"a", b"b", {b"a": WHOLE | NEW, b"aa": FRESH, b"b": WHOLE}),
    ([(b"a/f", FRESH), (b"b", FRESH)], b"a", b"b", {b"a/f": FRESH, b"b": FRESH, b"b/f": FRESH}),
    ([(b"a/f", FRESH), (b"b/f", PLACE)], b"a", b"b", {b"a/f": FRESH, b"b/f": FRESH}),
    ([(b"a/f", FRESH), (b"b", WHOLE)], b"a", b"b", {b"a/f": FRESH, b"b": WHOLE | FRESH}),
    ([(b"a/f", FRESH), (b"d", WHOLE | NEW)], b"a", b"d/b", {b"a/f": FRESH, b"d": WHOLE | FRESH}),
    ([(b"a", WHOLE), (b"b/f", FRESH)], b"a", b"b", {b"a": WHOLE, b"b": WHOLE | FRESH}),
    # what is above, at or below the place is not new any more; what is beside it is
    ([(b"d", WHOLE | NEW)], b"a", b"d/b", {b"d": WHOLE}), ([(b"d", WHOLE | NEW)], b"a", b"d", {b"d": WHOLE}), ([(b"d", WHOLE | NEW | FRESH)], b"a", b"d/e/b",
    {b"d": WHOLE | FRESH}),
    ([(b"d/e", WHOLE | NEW), (b"d/f", WHOLE | NEW)], b"a", b"d", {b"d/e": WHOLE, b"d/f": WHOLE}),
    ([(b"d/e", WHOLE | NEW), (b"d/f", WHOLE | NEW)], b"a", b"d/e/b", {b"d/e": WHOLE, b"d/f": WHOLE | NEW}),
    ([(b"d/e/g", WHOLE | NEW), (b"d", PLACE)], b"a", b"d/e", {b"d/e/g": WHOLE, b"d": PLACE}),
    ([(b"dd", WHOLE | NEW)], b"a", b"d", {b"dd": WHOLE | NEW}), ([(b"d", WHOLE | NEW)], b"a", b"dd", {b"d": WHOLE | NEW}),
    ([(b"a", WHOLE | NEW)], b"a", b"b", {b"a": WHOLE | NEW, b"b": WHOLE}),
    # inside out
    ([(b"d/e/f", FRESH)], b"d/e", b"e", {b"d/e/f": FRESH, b"e/f": FRESH}), ([(b"d/f", FRESH)], b"d", b"e/d", {b"d/f": FRESH, b"e/d/f": FRESH}),
])
def test_graft(queued, origin, place, expected):
    queue = filled(*queued)
    queue.graft(origin, place)
    assert content(queue) == expected
    assert queue.since == (0 if queued else None)


def test_what_is_grafted_is_as_old_as_the_queue():
    queue = Queue()
    queue.add(b"a", PLACE, 3)
    queue.add(b"a/f", FRESH, 8)
    queue.graft(b"a", b"b")
    assert queue.since == 3


def test_a_graft_beyond_the_bound_stays_within_it():
    queue = filled(*[(b"a/%d" % number, FRESH) for number in range(6)], bound=10)
    queue.graft(b"a", b"b")
    assert len(queue) <= 10
    assert all(queue.covering(b"%s/%d" % (top, number)) & FRESH for top in (b"a", b"b") for number in range(6))


# ---- the bound ---------------------------------------------------------------------------------

def test_too_many_entries_below_one_directory_become_that_directory():
    queue = filled(*[(b"a/big/%d" % number, PLACE) for number in range(4)], (b"a/big/d/e", FRESH), bound=4)
    assert content(queue) == {b"a/big": WHOLE | FRESH}
    queue.add(b"x", PLACE, 0)
    queue.add(b"a/big/5", PLACE, 0)
    assert content(queue) == {b"a/big": WHOLE | FRESH, b"x": PLACE}


def test_the_deepest_directory_that_holds_most_is_the_one():
    queue = filled(*[(b"a/big/%d" % number, PLACE) for number in range(3)], (b"a/f", FRESH), bound=4)
    queue.add(b"a/big/3", PLACE, 0)
    assert content(queue) == {b"a/big": WHOLE, b"a/f": FRESH}


def test_a_few_changes_elsewhere_do_not_make_a_full_sync_of_many_in_one_directory():
    queue = filled(*[(b"a/big/%d" % number, PLACE) for number in range(4)], bound=4)
    queue.add(b"elsewhere/f", PLACE, 0)
    assert content(queue) == {b"a/big": WHOLE, b"elsewhere/f": PLACE}


def test_too_many_at_the_bound_are_not_too_many():
    queue = filled(*[(b"d/%d" % number, PLACE) for number in range(4)], bound=4)
    queue.add(b"d/3", FRESH, 0)
    assert len(queue) == 4


def test_many_changes_spread_wide_never_exceed_the_bound():
    queue = Queue(bound=20)
    for number in range(1000):
        queue.add(b"%d/%d/%d" % (number % 7, number % 11, number), FRESH, number)
        assert len(queue) <= 20
    assert queue.since == 0


# ---- cost --------------------------------------------------------------------------------------

def lines_run(function, *arguments):
    """Count the lines of queue.py that a call executes."""
    count = 0

    def trace(frame, event, _argument):
        nonlocal count
        if frame.f_code.co_filename != module.__file__:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    return count


def wide(count):
    return filled(*[(b"d%d/e/f%d" % (number % 50, number), FRESH) for number in range(count)])


@pytest.mark.parametrize("path, marks", [
    (b"new", PLACE), (b"d1/e/new", FRESH), (b"d1/e/f1", FRESH), (b"d1", PLACE), (b"n/e/w", WHOLE), (b"", PLACE)])
def test_adding_costs_the_same_in_a_long_queue(path, marks):
    costs = {lines_run(wide(count).add, path, marks, 0) for count in (100, 5000)}
    assert len(costs) == 1 and costs.pop() < 100


def test_asking_what_is_related_costs_the_same_in_a_long_queue():
    for path in b"new", b"d1/e/f1", b"d1/x", b"":
        assert len({lines_run(wide(count).related, path) for count in (100, 5000)}) == 1


@pytest.mark.parametrize("origin, place", [(b"new", b"n2"), (b"d1/e/f1", b"d2/e/x"), (b"n/e/w", b"d1/e/n"), (b"d1/e/f1", b"x")])
def test_a_graft_of_little_costs_the_same_in_a_long_queue(origin, place):
    costs = {lines_run(wide(count).graft, origin, place) for count in (100, 5000)}
    assert len(costs) == 1 and costs.pop() < 200
    assert len({lines_run(wide(count).covering, origin) for count in (100, 5000)}) == 1
    assert len({lines_run(wide(count).below, origin) for count in (100, 5000)}) == 1


def test_adding_costs_in_proportion_to_the_depth():
    queue, costs = wide(1000), []
    for depth in (1, 11, 21, 31):
        path = b"/".join([b"n"] * depth)
        queue.add(path, PLACE, 0)
        costs.append(lines_run(queue.add, path, FRESH, 0))
    assert costs[1] - costs[0] == costs[2] - costs[1] == costs[3] - costs[2] > 0


def test_absorbing_is_paid_by_what_was_added():
    queue = wide(1000)
    cost = lines_run(queue.add, b"d1", WHOLE | FRESH, 0)
    assert cost < 30 * 1000 // 50 and len(queue) == 1000 - 1000 // 50 + 1


# ---- against a dictionary ----------------------------------------------------------------------

class Naive:
    """The same rules over a plain dictionary."""

    def __init__(self, bound):
        self.entries, self.bound, self.since = {}, bound, None

    def below(self, path):
        return [name for name in self.entries if not path and name or name.startswith(path + b"/")]

    def add(self, path, marks, now):
        self.since = now if self.since is None else min(now, self.since)
        above = [b"/".join(path.split(b"/")[:depth]) for depth in range(path.count(b"/") + bool(path))]
        for top in above:
            if self.entries.get(top, 0) & WHOLE:
                self.entries[top] |= marks & FRESH
                return
        new = path not in self.entries
        self.mark(path, marks)
        if new and len(self.entries) > self.bound:
            deepest, total = b"", len(self.entries)
            for name in self.entries:
                for depth in range(1, name.count(b"/") + 1):
                    top = b"/".join(name.split(b"/")[:depth])
                    if len(self.below(top)) + (top in self.entries) > total // 2 and len(top) > len(deepest):
                        deepest = top
            self.mark(deepest, WHOLE)

    def mark(self, path, marks):
        marks |= self.entries.get(path, 0)
        if marks & WHOLE:
            for name in self.below(path):
                below = self.entries.pop(name)
                marks |= 0 if below & NEW else below & FRESH
        self.entries[path] = marks

    def covering(self, path):
        names = path.split(b"/") if path else []
        above = [b"/".join(names[:depth]) for depth in range(len(names))]
        return next((self.entries[top] for top in above if self.entries.get(top, 0) & WHOLE), self.entries.get(path))

    def graft(self, origin, place):
        parts = place.split(b"/")
        above = {b"/".join(parts[:depth]) for depth in range(len(parts) + 1)}
        for name in self.entries:
            if name in above or name.startswith(place + b"/"):
                self.entries[name] &= ~NEW
        for name, marks in [(name, self.entries[name]) for name in [origin] + self.below(origin) if name in self.entries]:
            self.add(place + name[len(origin):], marks & ~NEW, self.since)

    def related(self, path):
        names = path.split(b"/") if path else []
        above = [b"/".join(names[:depth]) for depth in range(len(names))]
        return (path in self.entries or bool(self.below(path))
                or any(self.entries.get(top, 0) & WHOLE for top in above))


@pytest.mark.parametrize("seed", range(60))
def test_random_changes_leave_what_a_dictionary_would_hold(seed):
    rnd = random.Random(seed)
    bound = rnd.choice([3, 10, 1000])
    queue, naive = Queue(bound=bound), Naive(bound)
    for now in range(120):
        path = b"/".join([rnd.choice([b"a", b"b", b"c", b"dd"]) for _ in range(rnd.choice([0, 1, 1, 2, 2, 3, 4]))])
        marks = rnd.choice([PLACE, PLACE, FRESH, FRESH, WHOLE, WHOLE | FRESH])
        assert bool(queue.related(path)) == naive.related(path)
        action = rnd.random()
        if action < 0.9:
            queue.add(path, marks, now)
            naive.add(path, marks, now)
        elif action < 0.95:
            first = rnd.choice([b"a", b"b"])
            since = queue.since
            taken = queue.take(lambda name: name.startswith(first))
            assert dict(taken) == {name: value for name, value in naive.entries.items() if name.startswith(first)}
            for name, _marks in taken:
                del naive.entries[name]
            if not naive.entries:
                naive.since = None
            if rnd.random() < 0.7:
                queue.put_back(taken, since)
                for name, value in taken:
                    naive.add(name, value, since)
        assert content(queue) == naive.entries
        assert queue.since == naive.since
        assert queue.is_whole() == bool(naive.entries.get(b"", 0) & WHOLE)


@pytest.mark.parametrize("seed", range(120))
def test_random_renames_leave_what_a_dictionary_would_hold(seed):
    rnd = random.Random(seed)
    queue, naive = Queue(), Naive(float("inf"))

    def any_path(least):
        return b"/".join([rnd.choice([b"a", b"b", b"c", b"dd"]) for _ in range(rnd.choice([least, 1, 1, 2, 2, 3, 4]))])

    for now in range(80):
        path, place = any_path(1), any_path(1)
        assert queue.covering(path) == naive.covering(path)
        below = {(path + b"/" + inside).rstrip(b"/"): marks for inside, marks in queue.below(path)}
        assert below == {name: naive.entries[name] for name in [path] + naive.below(path) if name in naive.entries}
        if rnd.random() < 0.5:
            path, marks = any_path(0), rnd.choice([PLACE, FRESH, WHOLE, WHOLE | FRESH, WHOLE | NEW, WHOLE | NEW])
            if path or not marks & WHOLE or rnd.random() < 0.1:
                queue.add(path, marks, now)
                naive.add(path, marks, now)
        elif not (path + b"/").startswith(place + b"/") and not (place + b"/").startswith(path + b"/"):
            queue.graft(path, place)
            naive.graft(path, place)
        assert content(queue) == naive.entries and queue.since == naive.since
        for name in {path, place}:
            assert bool(queue.related(name)) == naive.related(name)
    assert len(queue.take()) == len(naive.entries) and len(queue) == 0
