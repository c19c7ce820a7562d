"""The packages of this checkout, built once, and root file systems to install them in; nothing is left of them."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

pytest.register_assert_rewrite("roots")

from roots import CHECKOUT, Failed, Layer, Root, call, debootstrap, mounted_below, sources  # noqa: E402

import lsyncd_lite  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also what makes a root file system, or boots one")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes longer than a build; needs root, and --slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: needs --slow"))


@pytest.fixture(scope="session")
def work():
    """A directory for what is built and installed, which goes with the session."""
    path = Path(tempfile.mkdtemp(prefix="lsyncd-lite-packages-"))
    path.chmod(0o755)
    yield path
    left = mounted_below(path)
    for point in reversed(left):  # rather than to remove what is mounted there
        subprocess.run(["umount", "-l", point], check=True)
    shutil.rmtree(str(path))
    assert not left, "still mounted at the end: %s" % left


@pytest.fixture(scope="session")
def checkout():
    """Copy what is checked out, and nothing else that lies around: `checkout(directory)`."""
    names = sources()

    def copy(path):
        for name in names:
            if os.path.lexists(str(CHECKOUT / name)):
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(str(CHECKOUT / name), str(path / name), follow_symlinks=False)
        return path
    return copy


@pytest.fixture(scope="session")
def build_deb(checkout):
    """Build source and binary package in a directory: `build_deb(directory)` returns it; it has the .deb, .dsc and .changes.

    name: of the directory of the sources; prepare: is called with that before; the rest is the environment.
    """
    def build(path, name="lsyncd-lite-%s" % lsyncd_lite.__version__, prepare=lambda tree: None, **env):
        tree = checkout(path / name)
        prepare(tree)
        call("dpkg-buildpackage", "-us", "-uc", cwd=str(tree), env=env)
        return path
    return build


@pytest.fixture(scope="session")
def built(work, build_deb):
    """The directory with the .deb, .dsc, .changes and .buildinfo of this checkout."""
    return build_deb(work / "built")


@pytest.fixture(scope="session")
def deb(built):
    """The .deb of this checkout."""
    return next(built.glob("lsyncd-lite_*_all.deb"))


@pytest.fixture(scope="session")
def minimal(work):
    """The directory of a minimal Debian (debootstrap's minbase), which `root` copies."""
    refused = call("unshare", "--mount", "true", check=False)
    if os.geteuid() or refused.returncode:
        pytest.skip("a root file system needs root, who may mount: %s" % refused.stdout.strip())
    return debootstrap(work / "minimal")


@pytest.fixture(scope="module")
def root(minimal, work, request):
    """A minimal Debian of the module's own, a `Root`; all that runs in there ends with the module."""
    path = work / ("root-" + request.module.__name__)
    call("cp", "-a", "--reflink=auto", minimal, path)
    one = Root(path)
    try:
        yield one
    finally:
        one.stop()
        shutil.rmtree(str(path))


@pytest.fixture
def host(work, request):
    """This host as a Root of the test's own: what is written in there ends with it."""
    refused = call("unshare", "--mount", "true", check=False)
    if os.geteuid() or refused.returncode:
        pytest.skip("a root file system needs root, who may mount: %s" % refused.stdout.strip())
    one = Layer(work / ("host-" + re.sub(r"\W", "", request.node.name)[:60]))
    try:
        one.start()
    except Failed as error:
        pytest.skip(str(error))
    try:
        yield one
    finally:
        one.stop()
