"""The script for OpenWrt, in the shells that may be its /bin/sh. procd runs on OpenWrt only: a stand-in (rc.common) writes
down what it is told, and the test then does what procd would do."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from roots import CHECKOUT, wait_for

CONFIG = "/etc/lsyncd-lite/lsyncd-lite.conf"
ONE = "[settings]\nlogfile = /var/log/lsyncd-lite/log\n[sync one]\nmode = direct\nsource = /srv/source\ntarget = /srv/target\n"


class Service:
    """The script in a root: `verb("start")` returns the CompletedProcess; `calls` is what procd was told since the last verb."""

    def __init__(self, host, shell):
        self.host, self.shell, self.calls, self.process = host, shell, [], None
        for directory in ("etc/lsyncd-lite/conf.d", "usr/share/lsyncd-lite", "srv/source", "srv/target"):
            (host / directory).mkdir(parents=True, exist_ok=True)
        shutil.copytree(str(CHECKOUT / "lsyncd_lite"), str(host / "usr/share/lsyncd-lite/lsyncd_lite"),
                        ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(str(CHECKOUT / "contrib/lsyncd-lite"), str(host / "usr/bin/lsyncd-lite"))
        shutil.copy(str(CHECKOUT / "contrib/openwrt/lsyncd-lite.init"), str(host / "etc/init.d/lsyncd-lite"))
        shutil.copy(str(CHECKOUT / "contrib/lsyncd-lite.conf"), str(host / CONFIG))
        shutil.copy(str(CHECKOUT / "tests/packages/rc.common"), str(host / "etc/rc.common"))

    def verb(self, name):
        told = self.host / "var/tmp/procd"
        done = self.host.run("env", "PROCD_TOLD=/var/tmp/procd", *self.shell, "/etc/rc.common", "/etc/init.d/lsyncd-lite", name, check=False)
        self.calls = []
        if told.exists():
            self.calls = [call.split("\0") for call in told.read_text().split("\0\0")[:-1]]
            told.unlink()
        return done

    def set(self, name):
        """Return the values of a parameter of the only instance that procd was told of."""
        [values] = [call[2:] for call in self.calls if call[:2] == ["set", name]]
        return values

    def run(self):
        """Start what procd was told to."""
        self.process = subprocess.Popen(self.host.argv("env", *self.set("env"), *self.set("command")), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, universal_newlines=True)
        (self.host / "var/tmp/procd.running").write_text("")
        return wait_for(self.pid, "a PID in the pidfile")

    def pid(self):
        try:
            return int((self.host / "run/lsyncd-lite/lsyncd-lite.pid").read_text())
        except (OSError, ValueError):
            return None

    def log(self):
        path = self.host / "var/log/lsyncd-lite/log"
        return path.read_text() if path.exists() else ""


@pytest.fixture(params=[("dash",), ("busybox", "sh")], ids="-".join)
def service(request, host):
    if shutil.which(request.param[0]) is None:
        pytest.skip("%s is not installed" % request.param[0])
    one = Service(host, request.param)
    yield one
    if one.process is not None:
        if one.pid() is not None:
            host.sh("kill -9 %d" % one.pid())
        one.process.communicate()


def test_what_is_not_configured_is_not_started_and_no_failure(service):
    done = service.verb("start")
    assert done.returncode == 0 and "nothing to do" in done.stdout
    assert not [call for call in service.calls if call[0] == "open"]
    (service.host / CONFIG).unlink()
    assert service.verb("start").returncode == 0
    assert not [call for call in service.calls if call[0] == "open"]


def test_a_wrong_configuration_is_told_and_neither_started_nor_reloaded(service):
    (service.host / CONFIG).write_text(ONE + "nonsense = 1\n")
    for verb in ("start", "reload", "checkconfig"):
        done = service.verb(verb)
        assert done.returncode and CONFIG + ":7: nonsense" in done.stdout and service.calls == []
    (service.host / "var/tmp/procd.running").write_text("")
    done = service.verb("reload")
    assert done.returncode and CONFIG + ":7: nonsense" in done.stdout and service.calls == []


def test_what_procd_is_told_mirrors_and_heeds_its_signals(service):
    host = service.host
    (host / CONFIG).write_text(ONE.replace("/srv/source", "${PLACE}/source"))
    (host / "etc/default/lsyncd-lite").write_text("LSYNCD_LITE_OPTIONS='-log Exec'\nPLACE=/srv\n")
    (host / "srv/source/first").write_text("first")
    assert service.verb("checkconfig").stdout == "OK\n" and service.calls == []
    assert service.verb("reload").returncode == 0  # where nothing runs yet that is a start
    assert [call[0] for call in service.calls] == ["open"] + ["set"] * 5 + ["close", "trigger"]
    assert service.set("respawn") == ["3600", "5", "0"] and service.set("stderr") == ["1"] and int(service.set("term_timeout")[0]) > 60

    pid = service.run()
    wait_for((host / "srv/target/first").exists, "the first sync")
    assert service.verb("reload").returncode == 0
    assert service.calls == [["signal", "lsyncd-lite", "*", "HUP"]]
    host.sh("kill -%s %d" % (service.calls[0][-1], pid))
    wait_for(lambda: "configuration read again" in service.log(), "the reload in the log")
    assert "'one queued'=0" in host.run("lsyncd-lite", "check").stdout
    (host / "srv/source/second").write_text("second")
    host.sh("kill %d" % pid)
    assert service.process.wait(30) == 128 + signal.SIGTERM and service.process.stderr.read() == ""
    assert (host / "srv/target/second").exists() and " Exec: " in service.log()
    assert [path for path in os.listdir(str(host / "var/lib/lsyncd-lite")) if path.startswith("one-")]
    assert [oct(os.stat(str(host / path)).st_mode & 0o777) for path in ("var/lib/lsyncd-lite", "var/log/lsyncd-lite")] == ["0o700", "0o750"]


def test_it_is_a_script_of_rc_common():
    text = (CHECKOUT / "contrib/openwrt/lsyncd-lite.init").read_text()
    assert text.startswith("#!/bin/sh /etc/rc.common\n")
    values = dict(re.findall(r"(?m)^(\w+)=(\d+)$", text))
    assert values["USE_PROCD"] == "1" and int(values["STOP"]) < 90 < int(values["START"])  # the network starts at 20 and stops at 90
