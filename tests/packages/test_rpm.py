"""The .rpm: built, linted, installed, upgraded and removed in a root of its own, by plain rpmbuild and rpm."""

import os
import re
import shutil
import subprocess
from collections import namedtuple

import pytest

import lsyncd_lite
from machine import Machine, needs
from roots import CHECKOUT, Root, bring, call, wait_for

NAME = "lsyncd-lite-%s" % lsyncd_lite.__version__
CONFIG = "/etc/lsyncd-lite/lsyncd-lite.conf"
DATABASE = "/var/lib/rpm-of-tests"
Built = namedtuple("Built", "binary source log")

# A systemctl that tells what it was asked.
SYSTEMCTL = """#!/bin/sh
echo "$*" >> /var/tmp/systemctl
"""

pytestmark = pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="rpmbuild is not installed")


@pytest.fixture(scope="session")
def build_rpm(checkout):
    """Build in a directory: `build_rpm(directory, change=function of the source tree, what="-ta" or "-tb")` returns a Built."""
    def build(path, *options, change=None, what="-ta", **env):
        tree = checkout(path / NAME)
        if change is not None:
            change(tree)
        call("tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@1790000000", "--mode=u+w,go-w,a+rX",
             "-czf", NAME + ".tar.gz", NAME, cwd=str(path), env={"GZIP": "-n"})
        shutil.rmtree(str(tree))
        done = call("rpmbuild", what, "-D", "_topdir %s" % (path / "top"), *options, NAME + ".tar.gz", cwd=str(path), env=env)
        [binary] = path.glob("top/RPMS/noarch/*.rpm")
        return Built(binary, next(path.glob("top/SRPMS/*.rpm"), None), done.stdout)
    return build


@pytest.fixture(scope="session")
def rpm(work, build_rpm):
    return build_rpm(work / "rpm")


@pytest.fixture(scope="session")
def newer(work, build_rpm):
    """The next release, which comes with another sample configuration."""
    def change(tree):
        sample = tree / "contrib/lsyncd-lite.conf"
        sample.write_text(sample.read_text() + "# the next release\n")
    return build_rpm(work / "newer", "-D", "dist .next", change=change)


@pytest.fixture
def host(host):
    for directory in ("etc/sysconfig", "usr/share/licenses"):  # of the package "filesystem", where rpm is at home
        (host / directory).mkdir(exist_ok=True)
    return host


def rpm_in(root, *words, **options):
    """Run rpm in a root, with a database that knows no package of Debian."""
    return told(root.run("rpm", "--dbpath", DATABASE, *bring(root, words), **options))


def told(done):
    """Return what rpm has said, without Debian's advice."""
    return "".join(line for line in done.stdout.splitlines(True) if not line.startswith("rpm: "))


def of_package(paths):
    """Return those of some paths that are not the database's, the test's own, or what systemd itself keeps."""
    return {path for path in paths if not re.match(r"(%s|/var/tmp|/srv|/root)(/|$)" % DATABASE, path)}


def configure(root):
    """Configure one sync in a root, and make its source."""
    (root / "srv/source/directory").mkdir(parents=True)
    (root / "srv/source/directory/one").write_text("one")
    (root / CONFIG).write_text("[settings]\nlogfile = /var/log/lsyncd-lite/lsyncd-lite.log\n"
                               "[sync one]\nmode = direct\nsource = /srv/source\ntarget = /srv/target\n")


def test_the_spec_has_the_version_of_the_program_and_so_has_the_command_to_build_it():
    spec = (CHECKOUT / "rpm/lsyncd-lite.spec").read_text()
    assert re.search(r"(?m)^Version: +(\S+)$", spec).group(1) == lsyncd_lite.__version__
    assert re.search(r"(?m)^\* .* - (\S+)-\d+$", spec).group(1) == lsyncd_lite.__version__
    for text in (spec, (CHECKOUT / "README.md").read_text()):
        commands = re.findall(r"git archive --prefix=(\S+)/ -o \S*?([^/\s]+)\.tar\.gz HEAD", text)
        assert commands and set(commands) == {(NAME, NAME)}


def test_rpmlint_has_nothing_to_say(rpm):
    # Not each version says all that is filtered.
    done = call("rpmlint", "--ignore-unused-rpmlintrc", "-r", CHECKOUT / "rpm/lsyncd-lite.rpmlintrc", rpm.binary, rpm.source, CHECKOUT / "rpm/lsyncd-lite.spec")
    assert "0 errors, 0 warnings" in done.stdout
    # Its new name is unknown before rpm 4.20.
    log = re.sub(r"(?m)^(.*clamp_mtime_to_source_date_epoch is deprecated.*|RPM build warnings:)\n", "", rpm.log)
    assert "warning" not in log.lower().replace("0 warnings", "")


def test_each_filter_of_rpmlint_has_its_reason():
    lines = (CHECKOUT / "rpm/lsyncd-lite.rpmlintrc").read_text().splitlines()
    for before, line in zip(lines, lines[1:]):
        assert not line.startswith("addFilter") or before.startswith(("#", "addFilter"))


@pytest.mark.parametrize("release, wanted, built_by", [
    (None, {"python3 >= 3.8"}, set()),
    ("rhel 8", {"/usr/bin/python3.11"}, {"/usr/bin/python3.11", "systemd"}),
    ("rhel 9", {"python3 >= 3.8"}, {"/usr/bin/python3", "systemd-rpm-macros"}),
    ("rhel 10", {"python3 >= 3.8"}, {"/usr/bin/python3", "systemd-rpm-macros"}),
    ("fedora 41", {"python3 >= 3.8"}, {"/usr/bin/python3", "systemd-rpm-macros"}),
])
def test_what_it_requires_on_each_distribution(release, wanted, built_by):
    options = [] if release is None else ["-D", release]
    text = call("rpmspec", "-P", *options, CHECKOUT / "rpm/lsyncd-lite.spec").stdout
    assert set(re.findall(r"(?m)^Requires: +(.*\S)", text)) == wanted
    assert set(re.findall(r"(?m)^BuildRequires: +(.*\S)", text)) == built_by


def test_where_the_distribution_has_macros_for_units_these_are_used(work):
    macros = []
    for name in ("systemd_post", "systemd_preun", "systemd_postun_with_restart"):
        macros += ["-D", "%s() echo %s %%*" % (name, name)]
    text = call("rpmspec", "-P", *macros, CHECKOUT / "rpm/lsyncd-lite.spec").stdout
    scriptlets = dict(re.findall(r"(?ms)^%(post|preun|postun)\n(.*?)(?=^%\w)", text))
    assert "echo systemd_post lsyncd-lite.service" in scriptlets["post"]
    assert "echo systemd_preun lsyncd-lite.service" in scriptlets["preun"]
    assert "echo systemd_postun_with_restart lsyncd-lite.service\n" in scriptlets["postun"]
    assert "try-restart lsyncd-lite.service" not in text and "preset" not in text
    for name, scriptlet in scriptlets.items():
        path = work / ("scriptlet-" + name)
        path.write_text("#!/bin/sh\n" + scriptlet)
        call("dash", "-n", path)


def test_the_scriptlets_are_clean(rpm, work):
    text = call("rpm", "-qp", "--scripts", rpm.binary).stdout
    scriptlets = re.split(r"(?m)^\w+ scriptlet \(using /bin/sh\):\n", text)[1:]
    assert len(scriptlets) == 3
    for number, scriptlet in enumerate(scriptlets):
        path = work / ("scriptlet-%d" % number)
        path.write_text("#!/bin/sh\n" + scriptlet)
        call("shellcheck", path)
        call("dash", "-n", path)
        call("busybox", "sh", "-n", path)


def test_built_again_elsewhere_it_is_the_same_bytes(build_rpm, work):
    one = build_rpm(work / "rpm-one", what="-tb").binary.read_bytes()
    assert build_rpm(work / "rpm-another", what="-tb", TZ="Pacific/Auckland", PYTHONHASHSEED="7").binary.read_bytes() == one


def test_the_source_package_builds_the_same_files(rpm, work):
    call("rpmbuild", "--rebuild", "-D", "_topdir %s" % (work / "rpm-rebuilt"), rpm.source)
    [rebuilt] = (work / "rpm-rebuilt/RPMS/noarch").glob("*.rpm")
    digests = {call("rpm", "-qp", "--qf", "%{PAYLOADDIGEST}", binary).stdout for binary in (rebuilt, rpm.binary)}
    assert len(digests) == 1 and re.match("[0-9a-f]{64}$", digests.pop())


def test_it_is_built_for_another_python_than_the_distribution_s(build_rpm, work):
    there = shutil.which("python3.11", path="/usr/bin")
    if there is None:
        pytest.skip("no python3.11 in /usr/bin")
    built = build_rpm(work / "rpm-interpreter", "-D", "rhel 8", "--nodeps")
    required = call("rpm", "-qp", "--requires", built.binary).stdout.splitlines()
    assert "/usr/bin/python3.11" in required and "/usr/bin/python3" not in required
    first = subprocess.run("rpm2cpio %s | cpio -i --quiet --to-stdout ./usr/bin/lsyncd-lite | head -n 1" % built.binary,
                           shell=True, stdout=subprocess.PIPE, check=True).stdout
    assert first == b"#!/usr/bin/python3.11 -IS\n"


def test_from_the_installation_to_the_removal(host, rpm, newer):
    before = host.written()
    assert rpm_in(host, "-i", "--nodeps", rpm.binary) == ""
    assert rpm_in(host, "-V", "--nodeps", "lsyncd-lite") == ""
    assert rpm_in(host, "-qc", "lsyncd-lite").split() == ["/etc/logrotate.d/lsyncd-lite", CONFIG, "/etc/sysconfig/lsyncd-lite"]
    assert host.run("lsyncd-lite", "-version").stdout == "lsyncd-lite %s\n" % lsyncd_lite.__version__
    assert host.run("lsyncd-lite", "-check", CONFIG, check=False).returncode == 1
    host.run("logrotate", "-d", "/etc/logrotate.d/lsyncd-lite")

    configure(host)
    assert host.run("lsyncd-lite", "-check", CONFIG).stdout == "OK\n"
    daemon = subprocess.Popen(host.argv("lsyncd-lite", "-nodaemon", "-pidfile", "/run/lsyncd-lite.pid", CONFIG),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    target = host / "srv/target"
    try:
        wait_for(lambda: (target / "directory/one").exists(), "the first sync")
        (host / "srv/source/two").write_text("two")
        wait_for(lambda: (target / "two").exists(), "a change")
    finally:
        host.sh("kill $(cat /run/lsyncd-lite.pid)")
        said = daemon.communicate(timeout=30)[0]
    assert "Traceback" not in said
    assert "full sync finished" in (host / "var/log/lsyncd-lite/lsyncd-lite.log").read_text()

    configured = (host / CONFIG).read_text()
    said = rpm_in(host, "-U", "--nodeps", newer.binary)
    assert said == "warning: %s created as %s.rpmnew\n" % (CONFIG, CONFIG)
    assert rpm_in(host, "-q", "lsyncd-lite") == "lsyncd-lite-%s-1.next.noarch\n" % lsyncd_lite.__version__
    assert (host / CONFIG).read_text() == configured
    assert host.run("lsyncd-lite", "-check", CONFIG).stdout == "OK\n"

    said = rpm_in(host, "-e", "lsyncd-lite")
    assert "warning: %s saved as %s.rpmsave\n" % (CONFIG, CONFIG) in said
    assert (host / (CONFIG + ".rpmsave")).read_text() == configured
    # What rpm never takes: what an administrator has written, and what was logged.
    assert of_package(host.written() - before) == {
        "/etc/lsyncd-lite", CONFIG + ".rpmsave", CONFIG + ".rpmnew", "/var/log/lsyncd-lite", "/var/log/lsyncd-lite/lsyncd-lite.log"}


def test_unused_it_is_removed_without_a_trace(host, rpm):
    before = host.written()
    rpm_in(host, "-i", "--nodeps", rpm.binary)
    # Compiled by a Python that the package was not built with.
    stale = host / "usr/share/lsyncd-lite/lsyncd_lite/__pycache__/cli.cpython-399.pyc"
    stale.write_bytes(b"")
    assert rpm_in(host, "-e", "lsyncd-lite") == ""
    assert of_package(host.written() - before) == set()


def test_the_service_is_enabled_restarted_and_stopped_by_the_packages(host, rpm, newer):
    program, record = host / "usr/local/bin/systemctl", host / "var/tmp/systemctl"
    (host / "run/systemd/system").mkdir(parents=True)
    (host / "usr/bin/systemctl").unlink()
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)
    (host / "usr/bin/systemctl").symlink_to("/usr/local/bin/systemctl")

    def asked(*words):
        assert rpm_in(host, *words) == ""
        try:
            return record.read_text().splitlines()
        finally:
            record.unlink()
    assert asked("-i", "--nodeps", rpm.binary) == ["--no-reload preset lsyncd-lite.service", "daemon-reload"]
    wants = host / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "lsyncd-lite@web.service").symlink_to("/usr/lib/systemd/system/lsyncd-lite@.service")
    assert asked("-U", "--nodeps", newer.binary) == [
        "daemon-reload", "daemon-reload", "try-restart lsyncd-lite@*.service", "try-restart lsyncd-lite.service"]
    assert asked("-e", "lsyncd-lite") == [
        "--no-reload disable lsyncd-lite@web.service", "stop lsyncd-lite@*.service",
        "--no-reload disable lsyncd-lite.service", "stop lsyncd-lite.service", "daemon-reload"]


def test_a_service_that_was_enabled_is_not_after_the_removal(host, rpm):
    """By systemctl, in a root in which no systemd runs."""
    rpm_in(host, "-i", "--nodeps", rpm.binary)
    host.run("systemctl", "enable", "lsyncd-lite.service", "lsyncd-lite@web.service")
    wants = host / "etc/systemd/system/multi-user.target.wants"
    assert (wants / "lsyncd-lite@web.service").is_symlink() and (wants / "lsyncd-lite.service").is_symlink()
    assert rpm_in(host, "-e", "lsyncd-lite") == ""
    assert not (wants / "lsyncd-lite@web.service").is_symlink() and not (wants / "lsyncd-lite.service").is_symlink()


@pytest.mark.slow
def test_it_installs_from_outside_into_a_root_without_systemd(root, rpm):
    root.install("python3")
    assert not (root / "usr/bin/systemctl").exists()

    def outside(*words):
        return told(call("rpm", "--root", root.path, "--dbpath", DATABASE, *words))
    for directory in ("etc/sysconfig", "usr/share/licenses"):
        (root / directory).mkdir()
    before = root.files(DATABASE)
    assert outside("-i", "--nodeps", rpm.binary) == ""
    assert outside("-V", "--nodeps", "lsyncd-lite") == ""
    configure(root)
    root.run("lsyncd-lite", "-onepass", CONFIG)
    assert (root / "srv/target/directory/one").read_text() == "one"
    assert outside("-e", "lsyncd-lite") == "warning: %s saved as %s.rpmsave\n" % (CONFIG, CONFIG)
    root.sh("rmdir /run/lsyncd-lite")  # of a running system's own /run, which is not seen from outside
    assert of_package(root.files(DATABASE) - before) == {
        "/etc/lsyncd-lite", CONFIG + ".rpmsave", "/var/log/lsyncd-lite", "/var/log/lsyncd-lite/lsyncd-lite.log"}


@pytest.mark.slow
@pytest.mark.skipif(needs() is not None, reason="needs %s" % needs())
def test_under_systemd_an_upgrade_restarts_what_runs_and_a_removal_ends_it(minimal, work, rpm, newer):
    path = work / "root-of-rpm-booted"
    call("cp", "-a", "--reflink=auto", minimal, path)
    root = Root(path)
    root.install("python3", "systemd", "systemd-sysv", "dbus", "procps", "rpm")
    root.stop()
    machine = Machine(path, "lsyncd-lite-rpm-%d" % os.getpid())
    one, two = "lsyncd-lite.service", "lsyncd-lite@two.service"
    try:
        machine.boot()
        assert rpm_in(machine, "-i", "--nodeps", rpm.binary) == ""
        configure(machine)
        (machine / "etc/lsyncd-lite/two.conf").write_text("[sync two]\nmode = direct\nsource = /srv/source\ntarget = /srv/second\n")
        machine.systemctl("enable", "--now", one, two)
        for target in ("target", "second"):
            wait_for((machine / "srv" / target / "directory/one").exists, "the first sync to %s" % target)
        first = machine.pid(one), machine.pid(two)
        assert all(first) and "python3" in machine.run("cat", "/proc/%d/cmdline" % first[0]).stdout

        rpm_in(machine, "-U", "--nodeps", newer.binary)
        second = machine.pid(one), machine.pid(two)
        assert all(second) and not set(first) & set(second)
        assert machine.show(one, "ActiveState") == machine.show(two, "ActiveState") == "active"

        machine.systemctl("stop", two)
        rpm_in(machine, "-U", "--oldpackage", "--nodeps", rpm.binary)
        assert machine.show(one, "ActiveState") == "active" and machine.show(two, "ActiveState") == "inactive"  # what is stopped stays so
        machine.systemctl("start", two)

        rpm_in(machine, "-e", "lsyncd-lite")
        assert machine.run("pgrep", "-f", "/usr/bin/lsyncd-lite", check=False).stdout == ""
        assert machine.systemctl("is-enabled", one, two, check=False).returncode != 0
        assert not list((machine / "etc/systemd/system/multi-user.target.wants").glob("lsyncd-lite*"))
        assert machine.systemctl("is-failed", one, two, check=False).returncode != 0
    finally:
        machine.stop()
        shutil.rmtree(str(path))
