"""Debian's python3-minimal, the real one: what the command says in a Python that lacks half of its library."""

import os
import re
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SYSTEM = dict(os.environ, PATH=PATH)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of this Debian's python3-minimal, unpacked beside everything."""
    folder = tmp_path_factory.mktemp("minimal")
    said = subprocess.run(["apt-cache", "depends", "python3-minimal"], env=SYSTEM, stdout=subprocess.PIPE, universal_newlines=True, check=False).stdout
    name = re.search(r"Depends: (python3\.\d+-minimal)", said)
    if not name:
        pytest.skip("apt knows no python3-minimal")
    subprocess.run(["apt-get", "download", "-q", name.group(1), "lib" + name.group(1)], env=SYSTEM, cwd=str(folder), check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder / "root")], env=SYSTEM, check=True)
    return folder / "root/usr/bin" / name.group(1)[:-len("-minimal")]


@pytest.fixture
def call(python, tmp_path):
    """Run the packages' command, from the modules of this checkout, in that Python."""
    launcher = tmp_path / "lsyncd-lite"
    launcher.write_text((CHECKOUT / "contrib/lsyncd-lite").read_text().replace("/usr/share/lsyncd-lite", str(CHECKOUT)))

    def run(*argv, launched=True):
        environ = {"PATH": PATH, "PYTHONHOME": str(python.parents[1]), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(CHECKOUT)}
        start = [str(launcher)] if launched else ["-m", "lsyncd_lite"]
        return subprocess.run([str(python), "-S", *start, *map(str, argv)], env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True, timeout=60, check=False)
    return run


@pytest.mark.parametrize("launched", [True, False])
def test_it_says_what_is_missing_and_what_to_install(call, tmp_path, launched):
    (tmp_path / "src").mkdir()
    (tmp_path / "conf").write_text("[sync]\nmode = direct\nsource = %s\ntarget = %s\n" % (tmp_path / "src", tmp_path / "dst"))
    for options in ("-check",), ("-nodaemon",), ():
        done = call(*options, tmp_path / "conf", launched=launched)
        assert done.returncode == 255 and done.stdout == ""
        assert re.fullmatch(r"\S+ \(Python 3\.\d+\) has no module \w+, which lsyncd-lite needs: install all of Python's standard library "
                            r"\(Debian: python3, not only python3-minimal\)\n", done.stderr), done.stderr


def test_what_needs_no_more_works(call):
    assert call("-version").stdout.startswith("lsyncd-lite ") and "usage: " in call("-help").stdout
