"""The units of systemd as it reads and judges them, without starting any."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SYSTEMD = CHECKOUT / "contrib" / "systemd"
UNITS = ("lsyncd-lite.service", "lsyncd-lite@.service")

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@pytest.fixture
def units(tmp_path):
    """A directory with the units; what they run is there."""
    for name in UNITS:
        text = (SYSTEMD / name).read_text()
        assert "=/usr/bin/lsyncd-lite " in text
        (tmp_path / name).write_text(text.replace("=/usr/bin/lsyncd-lite ", "=%s " % (CHECKOUT / "contrib" / "lsyncd-lite")))
    return tmp_path


@pytest.fixture
def strict(units):
    """The same, with the strict drop-in."""
    for name in UNITS:
        (units / (name + ".d")).mkdir()
        shutil.copy(str(SYSTEMD / "strict.conf"), str(units / (name + ".d") / "strict.conf"))
    return units


def analyze(*words):
    done = subprocess.run(["systemd-analyze", "--no-pager"] + [str(word) for word in words],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    return done.returncode, done.stdout


def exposure(unit):
    """Return what systemd thinks of a unit, from 0 (good) to 10, and why."""
    status, output = analyze("security", "--offline=true", "--threshold=100", unit)
    assert status == 0, output
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+) ", output)
    assert found, output
    return float(found.group(1)), "\n".join(line for line in output.splitlines() if not line.startswith("✓"))


@pytest.mark.parametrize("name", ("lsyncd-lite.service", "lsyncd-lite@web.service"))
def test_systemd_has_nothing_to_say_against_a_unit(units, name):
    assert analyze("verify", "--man=no", units / name) == (0, "")


@pytest.mark.parametrize("name", ("lsyncd-lite.service", "lsyncd-lite@web.service"))
def test_systemd_has_nothing_to_say_against_the_strict_drop_in(strict, name):
    assert analyze("verify", "--man=no", strict / name) == (0, "")


def test_what_systemd_would_have_to_say_is_seen(units):
    unit = units / "lsyncd-lite.service"
    unit.write_text(unit.read_text().replace("\nRestart=", "\nRestarted="))
    assert "Restarted" in analyze("verify", "--man=no", unit)[1]


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_hardened(units, name):
    level, why = exposure(units / name)
    assert level <= 4.5, why


@pytest.mark.parametrize("name", UNITS)
def test_with_the_strict_drop_in_a_unit_is_hardened_as_far_as_it_goes(strict, name):
    level, why = exposure(strict / name)
    assert level <= 2.0, why


def test_the_pages_that_the_units_name_are_there():
    for name in UNITS:
        named = re.search(r"^Documentation=(.*)$", (SYSTEMD / name).read_text(), re.M).group(1).split()
        assert named
        for page in named:
            assert (CHECKOUT / "man" / re.sub(r"^man:(.*)\((\d)\)$", r"\1.\2", page)).is_file(), page


def _lines(name):
    return [line for line in (SYSTEMD / name).read_text().splitlines() if line and not line.startswith("#")]


def test_the_template_says_what_the_service_says_of_another_name():
    expected = []
    for line in _lines("lsyncd-lite.service"):
        line = line.replace("(lsyncd-lite)", "(lsyncd-lite, %i)").replace("/etc/lsyncd-lite/lsyncd-lite.conf", "/etc/lsyncd-lite/%i.conf")
        line = line.replace("/run/lsyncd-lite/", "/run/lsyncd-lite@%i/")
        line = re.sub("^(RuntimeDirectory|StateDirectory)=lsyncd-lite$", r"\1=lsyncd-lite@%i", line)
        expected.append(line)
        if line.startswith("ConditionPathExists="):
            expected.append("PartOf=lsyncd-lite.target")
        if line.startswith("EnvironmentFile=-/etc/sysconfig/"):
            expected += ["EnvironmentFile=-/etc/default/lsyncd-lite@%i", "EnvironmentFile=-/etc/sysconfig/lsyncd-lite@%i"]
    assert _lines("lsyncd-lite@.service") == expected


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_hides_nothing_that_may_be_mirrored(name):
    """What would make a source look empty, or a target lack what it should have."""
    said = {line.partition("=")[0] for line in _lines(name)}
    assert not said & {"PrivateTmp", "ProtectHome", "ProtectSystem", "ProtectKernelModules", "ProtectKernelLogs", "PrivateDevices",
                       "PrivateUsers", "RestrictSUIDSGID", "UMask", "InaccessiblePaths", "TemporaryFileSystem"}


@pytest.mark.parametrize("name", UNITS)
def test_the_end_is_given_more_time_than_the_daemon_takes(name):
    from lsyncd_lite.config import settings
    granted = int(re.search(r"^TimeoutStopSec=(\d+)$", (SYSTEMD / name).read_text(), re.M).group(1))
    assert granted >= settings.scope("settings")["shutdownTimeout"].default + 15
