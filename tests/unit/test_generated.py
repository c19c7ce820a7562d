"""Manual pages, sample and completion: what is in the tree is what the tables and the prose make."""

import importlib.machinery
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def generator():
    loader = importlib.machinery.SourceFileLoader("generate", str(ROOT / "man" / "generate"))
    spec = importlib.util.spec_from_loader("generate", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


GENERATE = generator()


@pytest.mark.parametrize("name", sorted(GENERATE.FILES))
def test_what_is_in_the_tree_is_what_would_be_made(name):
    assert (ROOT / name).read_text(encoding="utf-8") == GENERATE.generated(name), "%s is old: run man/generate" % name
