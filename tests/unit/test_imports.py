"""The house: a module imports only from folders above its own, and nothing that is not Python's own."""

import ast
import importlib.util
import os
import sys
import sysconfig

import pytest

import lsyncd_lite

ROOT = os.path.dirname(lsyncd_lite.__file__)

# From text and kernel to people; who stands on one line may import each other.
ORDER = [["__init__"], ["errors", "paths"], ["aside"], ["trust"], ["lua"], ["config"], ["mirror"], ["watch"], ["system"], ["report"], ["tunnels"], ["watching", "keeping", "reporting", "jobs", "modes", "canary", "counting"], ["control"], ["daemon"], ["check"], ["steering"], ["plugin", "webpage"], ["cli"], ["__main__"]]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
FOLDERS = {  # top down; a module imports only from above
    "lua": ["values", "arithmetic", "pattern", "arguments", "format", "strings", "tables", "numbers", "library", "lexer", "mistakes", "tree", "expressions", "parser", "closures", "compiler", "evaluator"],
    "config": ["section", "crontab", "settings", "options", "targets", "commands", "scripts", "ini", "json", "older", "inherit", "lua", "expansion", "files", "patterns", "listing", "config", "comments", "writer"],
    "mirror": ["change", "filters", "queue", "moves", "job", "account", "ssh", "needs", "rsync", "rsyncssh", "direct", "schedule", "tally", "pair", "tunnel", "sync", "events", "eventsync", "exec", "script"],
    "watch": ["inotify", "instances", "filesystems", "limits", "scan", "tops", "tree", "polled", "choice"],
}
# What an idle daemon never needs costs memory.
HEAVY = {"argparse", "configparser", "dataclasses", "difflib", "json", "logging", "pathlib", "random", "shutil", "subprocess", "tempfile", "threading",
         "typing", "asyncio", "socket", "inspect"}


def modules():
    """Yield (name without the package, syntax tree) of all modules."""
    for directory, _names, files in sorted(os.walk(ROOT)):
        for file in sorted(files):
            if file.endswith(".py"):
                path = os.path.join(directory, file)
                name = os.path.relpath(path, ROOT)[:-3].replace(os.sep, ".")
                with open(path, encoding="utf-8") as text:
                    yield (name[:-len(".__init__")] if name.endswith(".__init__") else name), ast.parse(text.read())


MODULES = dict(modules())


def imports(tree, everywhere=True):
    """Return the absolute names that a module imports, in functions too or at its top only."""
    found = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import in line %d" % node.lineno
            found.update(name if known(name) else node.module for name in (node.module + "." + alias.name for alias in node.names))
    return found


def known(name):
    return name.partition("lsyncd_lite.")[2] in MODULES


def own(tree):
    """Return the modules of ours (without the package's name) that a module imports."""
    names = {name for name in imports(tree) if name.split(".")[0] == "lsyncd_lite"}
    return {name.partition(".")[2] or "__init__" for name in names}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_from_above(name):
    folder = name.partition(".")[0]
    for other in own(MODULES[name]):
        assert other in MODULES, other
        above = other.partition(".")[0]
        assert RANK[above] < RANK[folder] or folder == above or [folder, above] == ["errors", "paths"], "%s imports %s" % (name, other)
        if folder == above and folder in FOLDERS and "." in name and "." in other:
            order = FOLDERS[folder]
            assert order.index(other.partition(".")[2]) < order.index(name.partition(".")[2]), "%s imports %s" % (name, other)


def test_every_module_has_its_place():
    assert {name.partition(".")[0] for name in MODULES} == set(RANK)
    for folder, order in FOLDERS.items():
        assert {name.partition(".")[2] for name in MODULES if name.startswith(folder + ".")} == set(order)


def test_no_two_modules_need_each_other():
    left = {name: own(tree) - {name} for name, tree in MODULES.items()}
    while left:
        free = [name for name, needs in left.items() if not needs & set(left)]
        assert free, "a circle in %s" % sorted(left)
        for name in free:
            del left[name]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nothing_is_imported_that_is_not_pythons_own(name):
    for other in imports(MODULES[name]):
        top = other.split(".")[0]
        assert top == "lsyncd_lite" or is_standard(top), "%s imports %s" % (name, other)


def is_standard(top):
    names = getattr(sys, "stdlib_module_names", None)  # since Python 3.10
    if names is not None:
        return top in names
    if top in sys.builtin_module_names:
        return True
    found = importlib.util.find_spec(top)
    origin = found.origin if found else None
    return origin in ("built-in", "frozen") or bool(origin and origin.startswith(sysconfig.get_path("stdlib")) and "site-packages" not in origin)


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"config.json"}))
def test_what_an_idle_daemon_never_needs_is_imported_late(name):
    assert not {other.split(".")[0] for other in imports(MODULES[name], False)} & HEAVY


def test_the_pure_folders_touch_neither_processes_nor_the_clock():
    for name, tree in MODULES.items():
        if name.startswith("mirror"):
            assert not {other.split(".")[0] for other in imports(tree)} & {"os", "time", "signal", "select", "socket", "sys", "random", "ctypes"}, name


def test_no_module_has_a_name_that_says_nothing():
    for name in MODULES:
        assert not {"utils", "util", "helpers", "helper", "manager", "common", "misc"} & set(name.split("."))


def test_every_module_says_what_it_owns():
    for name, tree in MODULES.items():
        assert ast.get_docstring(tree), name


def test_no_exception_is_caught_without_its_name():
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            assert not isinstance(node, ast.ExceptHandler) or node.type is not None, "%s, line %d" % (name, node.lineno)
