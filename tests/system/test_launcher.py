"""The packages' command, which begins as Python's bare minimum (-I -S): what it must not cost."""

import calendar
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import CHECKOUT, LIMIT, environment, make, render_ini, wait_for

HOSTILE = [b"a b", b"\xff\xfe", "\u00fc\u4e2d".encode(), b"-rf", b"$(x)", b"new\nline", b"%s"]

LAUNCHER = CHECKOUT / "contrib/lsyncd-lite"
SYSTEM = "/usr/bin/python3"


@pytest.fixture
def start(tmp_path):
    """Start the command by a Python of choice on syncs: `start(python, sync, …, environ)` returns a function that returns the log."""
    started = []

    def begin(python, *syncs, **environ):
        launcher, conf, log = tmp_path / "lsyncd-lite", tmp_path / "conf", tmp_path / "log"
        launcher.write_text(LAUNCHER.read_text().replace("/usr/share/lsyncd-lite", str(CHECKOUT)))
        conf.write_bytes(render_ini({"logfile": str(log), "nodaemon": True}, syncs).encode())
        words = re.match(r"#!/usr/bin/python3( -\w+)?\n", launcher.read_text()).group(1).split()
        with open(str(tmp_path / "out"), "wb") as out:
            started.append(subprocess.Popen([str(python), *words, str(launcher), str(conf)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env=dict(environment(tmp_path), **dict({"PYTHONPATH": ""}, **environ))))
        return lambda: log.read_text() if log.exists() else ""
    yield begin
    for process in started:
        process.terminate()
        assert process.wait(LIMIT) == 128 + signal.SIGTERM
    assert "Traceback" not in (tmp_path / "out").read_text()


def importing(folder, module):
    """Return the path of a script that imports a module and says where it has found it."""
    make(folder, "script.py", text="import %s\nprint('it prints')\nlog('Normal', 'found ' + %s.__file__)\ndef on_create(event): pass\n" % (module, module))
    return str(folder / "script.py")


def test_a_script_imports_what_is_installed(start, src, tmp_path):
    """In a place of its own, as python3 -m venv makes it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    (packages,) = (tmp_path / "venv").glob("lib/python3*/site-packages")
    make(packages, "sold_apart.py", text="")
    log = start(tmp_path / "venv/bin/python", {"mode": "script", "source": str(src), "script": importing(tmp_path, "sold_apart")})
    wait_for(lambda: "found %s" % (packages / "sold_apart.py") in log(), log)
    wait_for(lambda: "it prints\n" in (tmp_path / "out").read_text(), "what it prints")


@pytest.mark.skipif(not os.path.exists(SYSTEM), reason="there is no %s" % SYSTEM)
def test_a_script_imports_what_the_distribution_has_installed(start, src, tmp_path):
    found = sorted(path for path in Path("/usr/lib/python3/dist-packages").glob("*.py") if path.stem.isidentifier())
    names = [path for path in found if subprocess.run([SYSTEM, "-c", "import " + path.stem], stderr=subprocess.DEVNULL, cwd="/").returncode == 0]
    if not names:
        pytest.skip("the distribution has installed no module")
    log = start(SYSTEM, {"mode": "script", "source": str(src), "script": importing(tmp_path, names[0].stem)})
    wait_for(lambda: "found %s" % names[0] in log(), log)


def test_a_script_imports_what_pythonpath_names_but_none_that_is_pythons_own(start, src, tmp_path):
    make(tmp_path, "more/sold_apart.py", "more/shlex.py", "more/site.py", "more/os.py", text="")
    make(tmp_path, "shlex.py", text="raise Exception('not this one')")
    script = importing(tmp_path, "shlex, sold_apart")
    Path(script).write_text(Path(script).read_text().replace("shlex, sold_apart.__file__", "sold_apart.__file__ + ' ' + shlex.__file__"))
    environ = {"PYTHONPATH": str(tmp_path / "more")}
    log = start(sys.executable, {"mode": "script", "source": str(src), "script": script}, **environ)
    wait_for(lambda: "found %s " % (tmp_path / "more/sold_apart.py") in log(), log)
    assert str(tmp_path / "more/shlex.py") not in log()


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "en_US.ISO-8859-1", "none_SUCH", ""])
def test_names_of_every_kind_arrive_in_every_locale(start, src, dst, locale):
    for name in HOSTILE:
        with open(os.fsencode(str(src)) + b"/" + name, "wb"):
            pass
    target = str(dst / "\u00fc\u4e2d")
    start(sys.executable, {"mode": "direct", "source": str(src), "target": target}, LC_ALL=locale, LANG="")
    wait_for(lambda: os.path.isdir(target) and set(os.listdir(os.fsencode(target))) == set(HOSTILE), "all of them")


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "UTC", "EST5EDT", "Nowhere/AtAll"])
def test_times_are_those_of_the_zone(start, src, dst, zone):
    log = start(sys.executable, {"mode": "direct", "source": str(src), "target": str(dst)}, TZ=zone)
    line = wait_for(log, "a line").split("\n")[0]
    told = time.strptime(line[:24], "%a %b %d %H:%M:%S %Y")
    shown = subprocess.run([sys.executable, "-c", "import time; print(time.strftime('%s %z'))"], env=dict(os.environ, TZ=zone), stdout=subprocess.PIPE, universal_newlines=True).stdout.split()
    offset = int(shown[1][:3]) * 3600 + int(shown[1][0] + shown[1][3:]) * 60
    assert abs(calendar.timegm(told) - offset - int(shown[0])) < 60


def test_nothing_of_the_directory_it_stands_in_or_is_started_from_is_imported(tmp_path):
    shutil.copy(str(LAUNCHER), str(tmp_path / "launcher"))
    text = (tmp_path / "launcher").read_text().replace("/usr/share/lsyncd-lite", str(CHECKOUT))
    (tmp_path / "launcher").write_text(text)
    make(tmp_path, "signal.py", "select.py", "lsyncd_lite.py", "ctypes.py", text="raise SystemExit('not this one')")
    words = text.split("\n")[0].split()[1:]
    done = subprocess.run([sys.executable, *words, "launcher", "-version"], cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, env=dict(os.environ, PYTHONPATH=str(tmp_path)))
    assert done.stdout.startswith("lsyncd-lite ") and done.returncode == 0
