"""The script for OpenRC, under the real openrc-run and supervise-daemon (Debian has them), in a layer above this host."""

import os
import shutil
import signal

import pytest

from roots import CHECKOUT, Failed, wait_for

CONFIG = "/etc/lsyncd-lite/lsyncd-lite.conf"
ONE = "[settings]\nlogfile = /var/log/lsyncd-lite/%s.log\n[sync one]\nmode = direct\nsource = /srv/%s\ntarget = /srv/%s-target\n"
# What openrc makes when it boots a host.
STATE = "started starting stopping inactive wasinactive failed hotplugged daemons options exclusive scheduled tmp"

pytestmark = pytest.mark.slow


@pytest.fixture
def service(host):
    """The script, installed: `service("start")` runs a verb and returns the CompletedProcess; it knows the host."""
    try:
        host.install("openrc")
    except Failed as error:
        pytest.skip("openrc cannot be installed: %s" % error)
    host.sh("cd /run/openrc && mkdir -p %s && touch softlevel" % STATE)
    for directory in ("etc/conf.d", "etc/lsyncd-lite/conf.d", "usr/share/lsyncd-lite"):
        (host / directory).mkdir(parents=True, exist_ok=True)
    shutil.copytree(str(CHECKOUT / "lsyncd_lite"), str(host / "usr/share/lsyncd-lite/lsyncd_lite"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(str(CHECKOUT / "contrib/lsyncd-lite"), str(host / "usr/bin/lsyncd-lite"))
    shutil.copy(str(CHECKOUT / "contrib/openrc/lsyncd-lite"), str(host / "etc/init.d/lsyncd-lite"))
    shutil.copy(str(CHECKOUT / "contrib/openrc/lsyncd-lite.confd"), str(host / "etc/conf.d/lsyncd-lite"))
    shutil.copy(str(CHECKOUT / "contrib/lsyncd-lite.conf"), str(host / CONFIG))

    def verb(*words, name="lsyncd-lite"):
        return host.run("rc-service", name, *words, check=False)
    verb.host = host
    yield verb
    for name in ("lsyncd-lite", "lsyncd-lite.web"):
        verb("stop", name=name)


def configure(host, name="lsyncd-lite"):
    for path in ("srv/%s" % name, "srv/%s-target" % name):
        (host / path).mkdir(parents=True, exist_ok=True)
    (host / ("etc/lsyncd-lite/%s.conf" % name)).write_text(ONE % ((name,) * 3))


def pid(host, name="lsyncd-lite"):
    """Return the PID, in there, of the daemon of a service that watches, or None."""
    try:
        return int((host / ("run/lsyncd-lite/%s.pid" % name)).read_text())
    except (OSError, ValueError):
        return None


def mirrors(host, file, name="lsyncd-lite"):
    (host / ("srv/%s/%s" % (name, file))).write_text(file)
    wait_for((host / ("srv/%s-target/%s" % (name, file))).exists, "%s on the target" % file)


def log(host, name="lsyncd-lite"):
    return (host / ("var/log/lsyncd-lite/%s.log" % name)).read_text()


def test_what_is_not_configured_is_inactive_and_no_failure(service):
    done = service("start")
    assert "nothing to do" in done.stdout and "ERROR" not in done.stdout and "has started, but is inactive" in done.stdout
    assert "inactive" in service("status").stdout
    assert service("stop").returncode == 0
    assert service("status").returncode == 3
    (service.host / CONFIG).unlink()
    assert "there is no " + CONFIG in service("start").stdout
    assert service("stop").returncode == 0
    configure(service.host)
    assert service("start").returncode == 0
    mirrors(service.host, "file")


def test_from_start_to_stop(service):
    host = service.host
    configure(host)
    assert service("checkconfig").returncode == 0
    assert service("start").returncode == 0
    assert service("status").returncode == 0
    mirrors(host, "first")
    first = pid(host)
    assert service("start").returncode == 0 and pid(host) == first

    assert service("reload").returncode == 0
    wait_for(lambda: "configuration read again" in log(host), "the reload in the log")
    assert pid(host) == first

    host.sh("kill -9 %d" % first)
    second = wait_for(lambda: pid(host) not in (None, first) and pid(host), "another daemon", 30)
    assert service("status").returncode == 0
    mirrors(host, "second")
    host.run("lsyncd-lite", "wait", "-timeout", "20")  # where the one that was killed has left a socket
    assert '"pid": %d' % second in host.run("lsyncd-lite", "status", "-json").stdout
    assert host.sh("ls /run/lsyncd-lite/*.sock").stdout == "/run/lsyncd-lite/lsyncd-lite.sock\n"

    assert service("restart").returncode == 0
    wait_for(lambda: pid(host) not in (None, second), "one more daemon", 30)
    mirrors(host, "third")

    # what is pending is sent before the end
    (host / "srv/lsyncd-lite/last").write_text("last")
    assert service("stop").returncode == 0
    assert (host / "srv/lsyncd-lite-target/last").exists()
    assert service("status").returncode == 3
    assert pid(host) is None and "ended by signal %d" % signal.SIGTERM in log(host)
    assert oct(os.stat(str(host / "var/lib/lsyncd-lite")).st_mode & 0o777) == "0o700"


def test_a_wrong_configuration_is_told_and_stops_nothing_that_runs(service):
    host = service.host
    configure(host)
    assert service("start").returncode == 0
    mirrors(host, "first")
    first = pid(host)
    with open(str(host / CONFIG), "a") as file:
        file.write("nonsense = 1\n")
    for verb in ("checkconfig", "reload", "restart"):
        done = service(verb)
        assert done.returncode != 0 and CONFIG + ":7: nonsense" in done.stdout, verb
    assert service("status").returncode == 0 and pid(host) == first
    mirrors(host, "second")
    assert service("stop").returncode == 0
    done = service("start")
    assert done.returncode == 1 and CONFIG + ":7: nonsense" in done.stdout and "failed to start" in done.stdout
    assert service("status").returncode == 3


def test_options_and_variables_of_the_conf_d_file_arrive(service):
    host = service.host
    configure(host)
    with open(str(host / "etc/conf.d/lsyncd-lite"), "a") as file:
        file.write('LSYNCD_LITE_OPTIONS="-log Exec"\nexport PLACE="/srv/lsyncd-lite"\n')
    text = (host / CONFIG).read_text()
    (host / CONFIG).write_text(text.replace("source = /srv/lsyncd-lite", "source = ${PLACE}"))
    assert service("start").returncode == 0
    mirrors(host, "file")
    assert " Exec: " in log(host)


def test_a_link_with_a_name_is_a_daemon_of_its_own(service):
    host = service.host
    (host / "etc/init.d/lsyncd-lite.web").symlink_to("lsyncd-lite")
    for name in ("lsyncd-lite", "web"):
        configure(host, name)
    assert service("start").returncode == 0
    assert service("start", name="lsyncd-lite.web").returncode == 0
    mirrors(host, "one")
    mirrors(host, "two", "web")
    assert host.run("lsyncd-lite", "pause", "-socket", "web").stdout == "one: paused\n"
    assert host.run("lsyncd-lite", "resume", "-socket", "web").returncode == 0
    assert service("stop").returncode == 0
    mirrors(host, "three", "web")
    assert service("stop", name="lsyncd-lite.web").returncode == 0
    assert (host / "var/lib/lsyncd-lite.web").is_dir()
