"""Whatever happens, in the end the target equals the source.

Random operations on a source that is a dictionary are told to a Sync as the watch would tell them; its jobs are
run step by step, while more operations happen, by a model of rsync that changes a dictionary, and that fails now
and then: killed half-way, some files unreadable, a receiver that is broken. When all is quiet both must be equal.
Where renames are done on the target, a model of the far side does them, and it, too, is killed now and then, or its
answer is lost.
What is left out: hard links, and lost events together with times that lie (`honest = False`): after these, a full sync
trusts size and time.
"""

import random
import re
import stat
from collections import namedtuple
from types import SimpleNamespace

import pytest

from world import config, filter_of

from lsyncd_lite.mirror.change import FRESH, PLACE, WHOLE
from lsyncd_lite.mirror.filters import Filter
from lsyncd_lite.mirror.job import BATCH, FULL, PROBE, REMOVAL, RENAMES, Verdict
from lsyncd_lite.mirror.moves import Move
from lsyncd_lite.mirror.queue import Queue
from lsyncd_lite.mirror.rsync import Rsync
from lsyncd_lite.mirror.rsyncssh import RsyncSsh
from lsyncd_lite.mirror.sync import Sync

SEEDS, STEPS = 250, 160
EPOCH = 1e9
NAMES = [b"a", b"b", b"c", b"[d]", b"x.skip", b"s"]
# Nothing; names; directories only; all but what is wanted. The last, which excludes files and not
# directories, has tests of its own: a mirrored directory that becomes an excluded file in the moment
# between the writing of a list and rsync's reading of it stays on the target until a full sync.
RULES = [
    [], [("-", b"*.skip", ""), ("-", b"s", "")], [("-", b"s/", ""), ("-", b"c/a", "")], [("+", b"*/", ""), ("+", b"[abs]", ""), ("-", b"*", "")]]
MODES = {"d": stat.S_IFDIR, "f": stat.S_IFREG, "l": stat.S_IFLNK}

Thing = namedtuple("Thing", "kind data mode mtime")  # kind: d, f or l; all files have one size


def join(directory, name):
    return directory + b"/" + name if directory else name


def under(tree, path):
    """Return the paths at and below a path."""
    return [name for name in tree if name == path or name.startswith(path + b"/")]


def children(tree, directory):
    return [name for name in tree if name.rpartition(b"/")[0] == directory and name]


def kind(tree, path):
    return "d" if not path else tree[path].kind if path in tree else None


class Disk:
    """The source: its tree, what happens to it, and what the kernel would tell of it."""

    def __init__(self, rnd, honest, rules):
        self.rnd, self.honest, self.rules = rnd, honest, rules
        self.filter = Filter(rules)
        self.tree, self.now, self.there = {}, 0.0, True
        self.ids = 0                      # a directory is known by its data: a number
        self.watched, self.events = {0}, []
        self.tells_moves = False
        self.times = [EPOCH - 100, EPOCH - 50, EPOCH + 1e6]

    # ---- what a Source tells

    def lstat(self, path):
        if not path:
            return SimpleNamespace(st_mode=stat.S_IFDIR, st_mtime_ns=0)
        thing = self.tree.get(path)
        return thing and SimpleNamespace(st_mode=MODES[thing.kind], st_mtime=thing.mtime, st_mtime_ns=0, st_size=1, st_nlink=1)

    def is_directory(self):
        return self.there

    def is_empty(self):
        return not self.tree

    def directories(self, path):
        return [name for name in sorted(under(self.tree, path)) if self.tree[name].kind == "d"
                and not self.hides(name)]

    def hides(self, path):
        """Tell whether a path in the source is excluded."""
        return self.filter.deciding(path, self.tree[path].kind == "d")[0] if path in self.tree else False

    # ---- what happens

    def tick(self):
        self.now += self.rnd.choice([0.001, 0.01, 0.3])
        return EPOCH + self.now

    def tell(self, path, marks, appeared=False):
        name, number = path.rpartition(b"/")[2], self.number(path)
        if number in self.watched:
            self.events.append((number, name, marks, kind(self.tree, path) == "d" if appeared else self.gone_kind == "d", appeared))

    def directory(self):
        return self.rnd.choice([b""] + [name for name, thing in self.tree.items() if thing.kind == "d"])

    def any(self, *kinds):
        return self.rnd.choice([name for name, thing in self.tree.items() if thing.kind in kinds] or [None])

    def new(self):
        return join(self.directory(), self.rnd.choice(NAMES))

    def time(self):
        wall = self.tick()
        return wall if self.honest or self.rnd.random() < 0.4 else self.rnd.choice(self.times)

    def operate(self):
        writes = 1 if self.tells_moves and self.rnd.random() < 0.8 else 6
        getattr(self, self.rnd.choice(
            ["write"] * writes + ["rename"] * (6 - writes) + ["delete", "delete", "mkdir", "mkdir", "rename", "rename", "rename", "chmod", "link", "remove", "leave", "replace"]))()

    def write(self, path=None):
        path = path or self.rnd.choice([self.new(), self.any("f") or self.new()])
        if kind(self.tree, path) not in (None, "f"):
            return
        mode = self.tree[path].mode if path in self.tree else 0o644
        self.tree[path] = Thing("f", self.rnd.random(), mode, self.time())
        self.tell(path, FRESH, True)

    def link(self):
        path = self.new()
        if path not in self.tree:
            self.tree[path] = Thing("l", self.rnd.random(), 0, self.tick())
            self.tell(path, FRESH, True)

    def mkdir(self, path=None):
        path = path or self.new()
        if path not in self.tree and path.count(b"/") < 5:
            self.ids += 1
            self.tree[path] = Thing("d", self.ids, 0o755, 0)
            self.tell(path, WHOLE, True)

    def delete(self, path=None):
        path = path or self.any("f", "l", "d")
        if path and not children(self.tree, path):
            self.gone_kind = self.tree.pop(path).kind
            self.tell(path, PLACE)

    def remove(self):
        """rm -rf"""
        for path in sorted(under(self.tree, self.any("d") or b"-"), reverse=True):
            self.delete(path)

    def chmod(self):
        path = self.any("f", "d")
        if path:
            self.tree[path] = self.tree[path]._replace(mode=self.rnd.choice([0o600, 0o700, 0o755]))
            self.gone_kind = self.tree[path].kind
            self.tell(path, PLACE)

    def rename(self):
        origin, path = self.any("f", "l", "d"), self.new()
        if not origin or path == origin or path.startswith(origin + b"/"):
            return
        if kind(self.tree, path) is not None:
            if (kind(self.tree, origin) == "d") != (kind(self.tree, path) == "d") or children(self.tree, path):
                return
            del self.tree[path]
        directories = [self.tree[name].data for name in under(self.tree, origin) if self.tree[name].kind == "d"]
        paths = self.paths()
        moved = {path + name[len(origin):]: self.tree.pop(name) for name in under(self.tree, origin)}
        self.gone_kind = moved[path].kind
        is_dir = moved[path].kind == "d"
        if (self.tells_moves and self.number(origin) in self.watched and self.number(path) in self.watched
                and not (is_dir and moved[path].data not in self.watched)):
            self.events.append((None, paths, Move(b"/src/" + origin, b"/src/" + path, is_dir), None, None))
            self.tree.update(moved)
            return
        self.tell(origin, PLACE)
        self.tree.update(moved)
        self.tell(path, WHOLE if directories else FRESH, True)

    def number(self, path):
        directory = path.rpartition(b"/")[0]
        return self.tree[directory].data if directory else 0

    def paths(self):
        """Return {number: path} of the directories."""
        found = {thing.data: path for path, thing in self.tree.items() if thing.kind == "d"}
        found[0] = b""
        return found

    def leave(self):
        """A subtree is moved out of the source, and maybe another comes in, with files as old as may be."""
        path = self.any("d")
        if not path:
            return
        self.gone_kind = "d"
        for name in under(self.tree, path):
            del self.tree[name]
        self.tell(path, PLACE)
        if self.rnd.random() < 0.6:
            self.tree_at(path)

    def tree_at(self, path):
        for name in [path] + [join(path, name) for name in self.rnd.sample(NAMES, 2)]:
            self.ids += 1
            self.tree[name] = Thing("d", self.ids, 0o755, 0)
            for file in self.rnd.sample(NAMES, 2):
                self.tree.setdefault(join(name, file), Thing("f", self.rnd.random(), 0o644, self.time()))
        for name in [name for name in self.tree if kind(self.tree, name.rpartition(b"/")[0]) != "d"]:
            del self.tree[name]
        self.tell(path, WHOLE, True)

    def replace(self):
        """Something of another type takes a place."""
        path = self.any("f", "l", "d")
        for name in sorted(under(self.tree, path or b"-"), reverse=True):
            self.delete(name)
        if path:
            self.rnd.choice([self.write, self.mkdir])(path)


    # ---- what the watch tells

    def read(self):
        """Return what has happened since the last time, as watch.tree.Tree.translate does."""
        steps, changed = [], {}
        for number, name, marks, is_dir, appeared in self.events + [(None, self.paths(), None, None, None)]:
            if number is None:
                steps.append({b"/src" + (b"/" + name[at] if name[at] else b""): names for at, names in changed.items() if at in name})
                steps += [marks] if marks else []
                changed = {}
                continue
            names = changed.setdefault(number, {})
            old = names.get(name)
            if is_dir and appeared:
                marks = WHOLE | FRESH if old else WHOLE
            names[name] = (marks | old[0] if old else marks, is_dir if old is None or old[1] is is_dir else None)
        self.forget()
        return steps

    def forget(self):
        """Watch all that is there; what was not read is not told."""
        self.events = []
        self.watched = {0} | {thing.data for thing in self.tree.values() if thing.kind == "d"}


class Child:
    """rsync, as far as it matters here: `step` a little, then `status` and `output` tell how it ended."""

    def __init__(self, job, disk, target, rnd, troubles, broken):
        self.job, self.disk, self.target = job, disk, target
        self.cleans = b"--existing" in job.argv
        if job.purpose != RENAMES and not self.cleans:
            self.filter, self.receiver_filter = filter_of(job), filter_of(job, "receiver")
        self.content = b"--checksum" in job.argv or b"--ignore-times" in job.argv
        self.deletes = b"--delete" in job.argv
        self.missing = b"--delete-missing-args" in job.argv
        self.status, self.output, self.listed = 0, [], {}
        self.unlucky = lambda: False
        self.life = float("inf")
        trouble = rnd.random()
        if troubles and trouble < 0.2:
            self.life, self.end = rnd.choice([0, 0, 1, 2, 3, 5]), rnd.choice([-9, 10, 12, 30, 255] + [1] * (rnd.random() < 0.3))
        elif troubles and trouble < 0.35:
            self.unlucky = lambda: rnd.random() < 0.4
        self.rnd, self.troubles = rnd, troubles
        self.steps = self.renames() if job.purpose == RENAMES else self.refused() if broken and self.missing and self.gone() else self.work()

    def names(self):
        return [name[2:] for name in self.job.stdin.split(b"\0")[:-1]]

    def gone(self):
        return [name for name in self.names() if kind(self.disk.tree, name.rstrip(b"/")) is None]

    def refused(self):
        self.status, self.output = 2, [b"invalid file mode 00 [Receiver]"]
        yield from ()

    def step(self):
        """Do a little; tell whether it goes on."""
        self.life -= 1
        if self.life < 0:
            self.status = self.end
            if self.job.purpose in (FULL, BATCH) and self.deletes and self.rnd.random() < 0.5:
                self.litter()
            return False
        try:
            next(self.steps)
            return True
        except StopIteration:
            return False

    # ---- what it does

    def renames(self):
        """The far side's script: renames, and an answer that may get lost."""
        fields, failed, number, deaf = self.job.stdin.split(b"\0")[2:-1], [], 0, self.troubles and self.rnd.random() < 0.2
        while fields:
            word = fields.pop(0)
            origin, path = [fields.pop(0) for _field in range(2)] if word != b"x" else (None, None)
            yield
            if word == b"x":
                failed.append(number)
            elif word == b"t":
                failed += [number] * (self.troubles and self.rnd.random() < 0.1)
            elif not self.rename(origin, path) or self.unlucky():
                failed.append(number)
            number += 1
        self.output.append(b"equal: failed " + b" ".join(b"%d" % one for one in failed) if failed else b"equal: done")
        if deaf:
            self.status, self.output = self.rnd.choice([(255, [b"Connection closed"]), (0, [b"nonsense"])])

    def rename(self, origin, path):
        if self.unlucky() or origin not in self.target or any(kind(self.target, parent) != "d" for parent in parents(origin)):
            return False
        for parent in parents(path):
            if parent not in self.target:
                self.target[parent] = Thing("d", None, 0, 0)
            elif kind(self.target, parent) != "d":
                return False
        if kind(self.target, path) == "d" and children(self.target, path) or (
                path in self.target and kind(self.target, path) != "d" and kind(self.target, origin) == "d"):
            return False
        self.target.pop(path, None)
        self.target.update({path + name[len(origin):]: self.target.pop(name) for name in under(self.target, origin)})
        return True

    def work(self):
        if self.job.purpose == PROBE:
            return
        if self.job.purpose in (FULL, REMOVAL):
            yield from self.walk()
        else:
            yield from self.batch()

    def shows(self, tree, path):
        rules = self.receiver_filter if tree is self.target else self.filter
        return not rules.deciding(path, tree[path].kind == "d")[0]

    def walk(self):
        tree = self.disk.tree
        self.listed = {path: thing for path, thing in sorted(tree.items()) if self.shows(tree, path)}
        if b"--max-delete=0" in self.job.argv and set(self.target) - set(self.listed):
            self.status = 25
            return
        yield
        for directory in [b""] + [path for path, thing in self.listed.items() if thing.kind == "d"]:
            if self.deletes:
                for path in children(self.target, directory):
                    if path not in self.listed and self.shows(self.target, path):
                        self.remove(path)
        for path in self.listed:
            yield
            self.send(path)

    def litter(self):
        """Leave a file that was being received."""
        for path, thing in self.listed.items():
            directory = path.rpartition(b"/")[0]
            if thing.kind == "f" and kind(self.target, directory) == "d":
                self.target[join(directory, b".a.Xy12zz")] = Thing("f", "litter", 0, 0)
                break

    def clean(self):
        for name in self.names():
            path = name.rstrip(b"/")
            if kind(self.disk.tree, path) != "d" or any(kind(self.disk.tree, parent) != "d" for parent in parents(path)):
                self.status = 23 if path in self.disk.tree else self.status
            elif kind(self.target, path) == "d":
                for one in children(self.target, path):
                    if re.search(rb"(?:^|/)\..*\.[^/]{6}$", one) and one not in self.disk.tree and self.target[one].kind != "d":
                        self.remove(one)
                if path:
                    self.target[path] = Thing("d", None, self.disk.tree[path].mode, 0)
            yield

    def batch(self):
        if self.cleans:
            yield from self.clean()
            return
        tree, removed, emptied = self.disk.tree, [], []
        for name in self.names():
            path = name.rstrip(b"/")
            if path in tree and not self.shows(tree, path):
                continue  # rules hold for what is listed, too
            if kind(tree, path) is None or any(kind(tree, parent) != "d" for parent in parents(path)):
                removed.append(path)
            elif not name.endswith(b"/"):
                self.listed[path] = tree[path]
            elif kind(tree, path) == "d":
                emptied.append(path)
                self.listed[path] = tree[path]
                self.listed.update((child, tree[child]) for child in children(tree, path) if self.shows(tree, child))
            else:
                self.fail(path)
        yield
        for path in removed if self.missing else ():
            self.remove(path)
        for directory in emptied if self.deletes else ():
            for path in children(self.target, directory):
                if path not in self.listed and self.shows(self.target, path):
                    self.remove(path)
        for path in sorted(self.listed):
            yield
            self.send(path)

    def fail(self, path):
        self.status = 23
        self.output.append(b'rsync: [sender] send_files failed to open "/src/%s": Permission denied (13)' % path)

    def remove(self, path):
        for name in under(self.target, path):
            del self.target[name]

    def send(self, path):
        thing, now = self.listed[path], self.disk.tree.get(path)
        if now is None or now.kind != thing.kind:
            self.status = self.status or 24
            return
        for parent in parents(path):
            if kind(self.disk.tree, parent) != "d":
                self.status = self.status or 24
                return
            if kind(self.target, parent) != "d":
                self.remove(parent)
                self.target[parent] = Thing("d", None, 0, 0)
            self.target[parent] = self.target[parent]._replace(mode=self.disk.tree[parent].mode)
        old = self.target.get(path)
        if old and old.kind != thing.kind:
            self.remove(path)
            old = None
        if thing.kind == "d":
            self.target[path] = Thing("d", None, thing.mode, 0)
        elif old and thing.kind == "f" and old.mtime == thing.mtime and (not self.content or old.data == now.data):
            self.target[path] = old._replace(mode=thing.mode)  # the quick check
        elif self.unlucky():
            self.fail(path)
        else:  # attributes as they were when the list was made, content as it is now
            self.target[path] = thing._replace(data=now.data)


def parents(path):
    names = path.split(b"/")
    return [b"/".join(names[:depth]) for depth in range(1, len(names))]


class Story:
    """One seed: a source, a target, a Sync between them."""

    def __init__(self, seed, honest, rules=None, mode="rsync"):
        self.mode = mode
        self.rnd = rnd = random.Random(seed)
        self.honest = honest
        rules = rnd.choice(RULES[:3]) if rules is None else rules
        self.disk, self.target, self.children = Disk(rnd, honest, rules), {}, []
        self.disk.now, self.disk.tells_moves = 1.0, mode == "rsyncssh"
        for _number in range(20):
            self.disk.operate()
        self.disk.forget()
        self.broken = rnd.random() < 0.3
        self.keys = dict(rules=rules, delay=rnd.choice([0, 0.5, 3]), maxDelays=rnd.choice([2, 1000]), maxProcesses=rnd.choice([1, 1, 2, 4]),
                         batchSizeLimit=rnd.choice([None, None, 0]), delete=rnd.choice([True, True, False]) if honest else True)
        init = honest and rnd.random() < 0.5
        if init:
            self.target = {b"old": Thing("d", None, 0, 0), b"old/f": Thing("f", 0, 0, 0)}
        else:
            self.target = self.expected()
        self.probe_broken = self.broken and rnd.random() < 0.5  # else it turns out at run time
        self.sync = self.make(init)

    def make(self, init):
        keys = dict(mode=self.mode, host=b"h", targetdir=b"/dst", target=b"h:/dst/", local=False) if self.mode == "rsyncssh" else {}
        made = config(init=init, allowEmptySource=True, **dict(self.keys, **keys))
        sync = Sync(made, {"rsync": Rsync, "rsyncssh": RsyncSsh}[self.mode](made, {}), self.disk.now, EPOCH + self.disk.now, self.rnd.random, insist=True)
        if self.honest and self.rnd.random() < 0.3:
            sync.queue = Queue(bound=6)
            if init:
                sync.want_full(self.disk.now)
        return sync

    def expected(self):
        return {path: thing._replace(data=None) if thing.kind == "d" else thing for path, thing in self.disk.tree.items()
                if not self.disk.hides(path)}

    # ---- what may come next

    def read(self):
        for step in self.disk.read():
            if isinstance(step, Move):
                self.sync.offer_move(step, self.disk.now)
                continue
            for directory, names in step.items():
                self.sync.offer(directory, names, self.disk.now)

    def start(self, troubles):
        wall = EPOCH + self.disk.now
        job = self.sync.take_job(self.disk.now, wall, self.disk)
        if job is None:
            return False
        self.no_two_touch_the_same(job)
        broken = self.broken and (self.probe_broken or job.purpose != PROBE)
        self.children.append(Child(job, self.disk, self.target, self.rnd, troubles, broken))
        return True

    def no_two_touch_the_same(self, job):
        """Attributes of a directory and what is below it do not harm each other."""
        assert not self.children or not job.moves and not any(child.job.moves for child in self.children)
        for child in self.children:
            for one, other in [(job, child.job), (child.job, job)]:
                whole = [path for path, marks in one.entries if marks & WHOLE]
                paths = {path for path, _marks in other.entries}
                assert not paths & {path for path, _marks in one.entries}
                assert not [path for path in whole if not path or any(name.startswith(path + b"/") for name in paths)]

    def go_on(self, child):
        if child.step():
            return
        self.children.remove(child)
        self.read()  # what happened before the end of a job is told before it
        self.disk.tick()
        outcome = self.sync.on_exit(child.job, child.status, child.output, self.disk.now, EPOCH + self.disk.now)
        assert not outcome.fatal
        if child.status not in (0, 23, 24) and not child.job.moves:
            assert outcome.verdict is not Verdict.OK or child.job.purpose == PROBE

    def wait(self):
        due = self.sync.next_deadline()
        step = self.rnd.choice([0.1, 1, 5, 400 if self.rnd.random() < 0.1 else 1])
        self.disk.now = max(self.disk.now, min(due, self.disk.now + step)) if due is not None and self.rnd.random() < 0.7 else self.disk.now + step

    def reload(self):
        """The configuration has changed: another Sync takes over, after what runs has been killed."""
        old, children, self.children = self.sync, self.children, []
        self.sync = self.make(False)
        self.sync.inherit(old)
        assert not children or self.sync.next_deadline() is None
        for child in children:
            self.sync.released(child.job)

    def overflow(self):
        self.disk.forget()
        self.sync.want_full(self.disk.now)

    def vanish(self):
        """The source is not there for a while."""
        self.disk.there = not self.disk.there
        if self.disk.there:
            self.overflow()

    def tell(self):
        choices = [self.disk.operate] * 12 + [self.read] * 3 + [self.wait] * 2 + [lambda: self.start(True)] * 4
        choices += [lambda: self.children and self.go_on(self.rnd.choice(self.children))] * 8
        rare = [self.reload, lambda: self.sync.want_full(self.disk.now)] + ([self.overflow, self.vanish] if self.honest else [])
        for _step in range(STEPS):
            self.rnd.choice(rare if self.rnd.random() < 0.02 else choices)()
        self.finish()

    def finish(self):
        """All is quiet: whatever failed works now."""
        if not self.disk.there:
            self.vanish()
        self.read()
        for _number in range(2000):
            while self.start(False):
                pass
            if self.children:
                self.go_on(self.children[0])
            elif self.sync.next_deadline() is None:
                break
            else:
                self.disk.now = max(self.disk.now, self.sync.next_deadline())
        else:
            raise AssertionError("it does not come to an end")
        assert (self.sync.pending, self.sync.in_flight, self.sync.last_error) == (0, 0, None)


def differences(target, source, keeps):
    return {path: (target.get(path), source.get(path)) for path in sorted({*source, *(() if keeps else target)})
            if target.get(path) != source.get(path)}


@pytest.mark.parametrize("mode", ["rsync", "rsyncssh"])
@pytest.mark.parametrize("honest", [True, False], ids=["times tell the truth", "times lie"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_in_the_end_the_target_equals_the_source(seed, honest, mode):
    story = Story(seed, honest, mode=mode)
    story.tell()
    assert differences(story.target, story.expected(), not story.keys["delete"]) == {}, "seed %d, honest=%s" % (seed, honest)


def told(story, *steps):
    """Let operations happen that are told together, and then all that follows from them."""
    for operation, path in steps:
        getattr(story.disk, operation)(path)
    story.finish()


def quiet(rules):
    """Return a Story in which nothing has happened and nothing fails."""
    story = Story(3, True, rules)
    story.broken, story.keys["delete"] = False, True
    story.disk.tree.clear()
    story.target.clear()
    story.sync = story.make(False)
    return story


@pytest.mark.parametrize("together", [True, False], ids=["told together", "told apart"])
def test_a_file_that_becomes_an_excluded_directory_goes_away(together):
    """`build/` excludes directories only: the file was mirrored."""
    story = quiet([("-", b"build/", "")])
    told(story, ("write", b"build"))
    assert list(story.target) == [b"build"]
    story.disk.delete(b"build")
    if not together:
        story.read()
    told(story, ("mkdir", b"build"))
    assert story.target == {}


def test_an_excluded_file_that_becomes_a_wanted_directory_arrives_with_all_it_holds():
    story = quiet([("+", b"*/", ""), ("+", b"*.c", ""), ("-", b"*", "")])
    told(story, ("write", b"x"))
    told(story, ("delete", b"x"), ("mkdir", b"x"), ("write", b"x/a.c"))
    assert set(story.target) == {b"x", b"x/a.c"}


@pytest.mark.parametrize("together", [True, False], ids=["told together", "told apart"])
def test_a_directory_that_becomes_an_excluded_file_goes_away(together):
    story = quiet([("+", b"*/", ""), ("+", b"*.c", ""), ("-", b"*", "")])
    told(story, ("mkdir", b"x"), ("write", b"x/a.c"))
    assert set(story.target) == {b"x", b"x/a.c"}
    for path in b"x/a.c", b"x":
        story.disk.delete(path)
    if not together:
        story.read()
    told(story, ("write", b"x"))
    assert story.target == {}
