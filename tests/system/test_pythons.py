"""Pythons that will not do, as a part of them is missing or they are too old: one line, no traceback."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import CHECKOUT, LIMIT, environment, make, render_ini, wait_equal, wait_for

LAUNCHER = CHECKOUT / "contrib/lsyncd-lite"
BLOCK = "import sys; sys.modules[%r] = None; sys.argv = ['lsyncd-lite'] + sys.argv[1:]; "
# What Debian's python3-minimal lacks, and more that could be missing in a Python that somebody has built.
NEEDED = ("ctypes", "_ctypes", "select", "signal", "fcntl", "lsyncd_lite.daemon")


def blocked(folder, module, start, *argv):
    """Run a Python that has no such module; return a CompletedProcess."""
    return subprocess.run([sys.executable, "-c", BLOCK % module + start, *map(str, argv)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, timeout=LIMIT, env=environment(folder), cwd=str(folder))


def as_module(_folder):
    return "import runpy; runpy.run_module('lsyncd_lite', run_name='__main__')"


def as_command(_folder):
    return "from lsyncd_lite.__main__ import run; run()"


def as_launcher(folder):
    (folder / "launcher").write_text(LAUNCHER.read_text().replace("/usr/share/lsyncd-lite", str(CHECKOUT)))
    return "import runpy; runpy.run_path('launcher', run_name='__main__')"


@pytest.mark.parametrize("way", [as_module, as_command, as_launcher])
@pytest.mark.parametrize("module", NEEDED)
def test_a_python_without_a_module_says_which_in_one_line(tmp_path, src, dst, way, module):
    make(src, "a")
    conf = tmp_path / "conf"
    conf.write_text("[sync]\nmode = direct\nsource = %s\ntarget = %s\n" % (src, dst))
    for options in ("-nodaemon",), ("-check",), ():
        done = blocked(tmp_path, module, way(tmp_path), *options, conf)
        assert done.returncode == 255 and done.stdout == ""
        words = (r"lsyncd-lite is not whole, or was replaced while it ran: .*%s.*: start or install it again" if module.startswith("lsyncd_lite")
                 else r"\S+ \(Python 3\.\d+\) has no module %s, which lsyncd-lite needs: install .*")
        assert re.fullmatch(words % re.escape(module) + "\n", done.stderr)
    assert not list(dst.iterdir())


def test_the_entry_points_are_the_one_that_speaks():
    assert "lsyncd-lite = lsyncd_lite.__main__:run\n" in (CHECKOUT / "setup.cfg").read_text()
    assert "from lsyncd_lite.__main__ import run" in LAUNCHER.read_text()


@pytest.mark.parametrize("module, words", [("json", "has no module json, which lsyncd-lite needs"), ("lsyncd_lite.mirror.rsyncssh", "lsyncd-lite is not whole")])
def test_a_configuration_that_needs_more_of_python_is_refused_while_running(src, dst, tmp_path, module, words):
    """JSON, and a mode, are modules that nothing else needs."""
    make(src, "a")
    conf, log = tmp_path / "conf", tmp_path / "log"
    settings, table = {"logfile": str(log), "nodaemon": True}, {"mode": "direct", "source": str(src), "target": str(dst), "delay": 0}
    more = {"name": "more", "mode": "rsyncssh", "source": str(src), "host": "192.0.2.1", "targetdir": "/x"}
    conf.write_text(render_ini(settings, [table]))
    process = subprocess.Popen([sys.executable, "-c", BLOCK % module + as_command(tmp_path), str(conf)],
                               env=environment(tmp_path), cwd=str(tmp_path), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_equal(src, dst)
        conf.write_text(json.dumps({"settings": settings, "sync": [table]}) if module == "json" else render_ini(settings, [table, more]))
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "the new configuration is refused, the old one stays" in log.read_text(), "the refusal")
        assert words in log.read_text()
        make(src, "b")
        wait_equal(src, dst)
    finally:
        process.terminate()
        assert process.wait(LIMIT) == 128 + signal.SIGTERM


OLD = [path for path in sorted(Path(os.path.expanduser("~/.pyenv/versions")).glob("*/bin/python")) if re.match(r"2\.|3\.[0-7]\.", path.parts[-3])]


@pytest.mark.skipif(not OLD, reason="no old Python is here")
@pytest.mark.parametrize("python", OLD, ids=lambda path: path.parts[-3])
def test_a_python_that_is_too_old_is_told_so(tmp_path, python):
    done = subprocess.run([str(python), "-m", "lsyncd_lite", "-version"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                          env=environment(tmp_path), timeout=LIMIT)
    assert done.returncode == 255 and re.fullmatch(r"lsyncd-lite needs Python 3\.8 or newer, and \S+ is [23]\.\d+\n", done.stderr)
