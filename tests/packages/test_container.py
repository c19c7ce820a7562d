"""The container recipe: the image as podman builds it from the Dockerfile, run by runc, as its README says.

The base image is a minimal Debian that debootstrap makes, under the name that the Dockerfile asks for: no image is fetched.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from roots import Failed, call, wait_for

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
              pytest.mark.skipif(not (shutil.which("podman") and shutil.which("runc")), reason="needs podman and runc")]

RECIPE = "contrib/container"
PAGE = Path(__file__).resolve().parents[2] / RECIPE / "README.md"
# What runc would raise needs a right that not every root has.
LIMITS = ("--ulimit=nofile=1000:1000", "--ulimit=nproc=1000:1000")
READ_ONLY = ("--read-only", "--tmpfs=/run")


class Engine:
    """A podman with a store of its own."""

    def __init__(self, path):
        self._podman = ["podman", "--root", str(path / "images"), "--runroot", str(path / "run"), "--storage-driver", "vfs",
                        "--cgroup-manager", "cgroupfs", "--runtime", "runc"]
        self.number = 0

    def __call__(self, *words, **options):
        return call(*self._podman, *words, **options)

    def import_root(self, path, name):
        """Make an image of a directory."""
        tar = subprocess.Popen(["tar", "-C", str(path), "--exclude=./dev/*", "-cf", "-", "."], stdout=subprocess.PIPE)
        done = subprocess.run(self._podman + ["import", "-q", "-", name], stdin=tar.stdout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True, check=False)
        tar.stdout.close()
        if tar.wait() or done.returncode:
            raise Failed("podman import: %s" % done.stdout)


@pytest.fixture(scope="module")
def image(work, minimal, checkout):
    """(Engine, the name of the image that the Dockerfile makes)."""
    engine = Engine(work / "podman")
    source = checkout(work / "container-source")
    base = re.search(r"^FROM (\S+)$", (source / RECIPE / "Dockerfile").read_text(), re.M).group(1)
    engine.import_root(minimal, "docker.io/library/" + base)
    engine("build", "--isolation=chroot", "--pull=never", "--layers=false", "--format=docker", "--tag=lsyncd-lite",
           "--file", source / RECIPE / "Dockerfile", source)
    yield engine, "lsyncd-lite"
    shutil.rmtree(str(work / "podman"))


class Container:
    """One of the image, with /source and /target from outside."""

    def __init__(self, engine, image, folder):
        self._engine, self._image, self.folder = engine, image, folder
        engine.number += 1
        self.name = "lsyncd-lite-test-%d" % engine.number
        for name in "source", "target":
            (folder / name).mkdir()
            (folder / name).chmod(0o777)

    def start(self, *options, env=None, words=()):
        """Run it, as `docker run -d` does."""
        variables = ["--env=%s=%s" % pair for pair in (env or {}).items()]
        self._engine("run", "--detach", "--network=none", "--log-driver=k8s-file", *LIMITS, "--name", self.name,
                     "--volume=%s:/source:ro" % (self.folder / "source"), "--volume=%s:/target" % (self.folder / "target"),
                     *options, *variables, self._image, *words)
        return self

    def run(self, *argv, **options):
        """Run a command in it."""
        return self._engine("exec", self.name, *argv, **options)

    @property
    def healthy(self):
        """What its HEALTHCHECK says."""
        return self._engine("healthcheck", "run", self.name, check=False).returncode == 0

    def log(self):
        return self._engine("logs", self.name).stdout

    def signal(self, name):
        self._engine("kill", "--signal", name, self.name)

    def stop(self):
        """Stop it, as `docker stop` does; return its exit status and the whole log."""
        self._engine("stop", "--time=60", self.name)
        return self.status(), self.log()

    def status(self):
        """Return its exit status, when it has ended."""
        return int(self._engine("wait", self.name).stdout.split()[-1])

    def wait_arrives(self, name, content):
        path = self.folder / "target" / name
        wait_for(lambda: path.is_file() and path.read_text() == content, lambda: "%s\n%s" % (name, self.log()))

    def status_file(self):
        return self.run("cat", "/run/lsyncd-lite.status", check=False).stdout


@pytest.fixture
def container(image, tmp_path):
    tmp_path.chmod(0o755)
    one = Container(*image, tmp_path)
    yield one
    one._engine("rm", "--force", "--ignore", "--time=2", one.name)


def write(container, name, content):
    (container.folder / "source" / name).write_text(content)


def test_it_mirrors_with_a_root_that_is_read_only_and_its_log_is_the_output(container):
    write(container, "before", "1")
    container.start(*READ_ONLY, env={"LSYNCD_DELAY": "0"})
    container.wait_arrives("before", "1")
    write(container, "later", "2")
    container.wait_arrives("later", "2")
    lines = [line for line in container.log().splitlines() if "full sync finished" in line]
    assert len(lines) == 1 and "Normal: container: full sync finished" in lines[0]
    container.run("lsyncd-lite", "wait", "-timeout", "20")
    assert "idle" in container.run("lsyncd-lite", "status").stdout and container.run("lsyncd-lite", "check").stdout.startswith("LSYNCD_LITE OK")
    assert container.run("touch", "/etc/x", check=False).returncode, "the root is not read-only"


def test_it_is_the_first_process_and_ends_with_what_was_pending_sent(container):
    container.start(*READ_ONLY, env={"LSYNCD_DELAY": "1000"})
    assert container.run("cat", "/proc/1/cmdline").stdout.split("\0")[-2:] == ["/etc/lsyncd-lite/lsyncd-lite.conf", ""]
    wait_for(lambda: "State: idle" in container.status_file(), container.log)
    write(container, "f", "x")
    wait_for(lambda: "There are 1 delays" in container.status_file(), container.log)
    status, log = container.stop()
    assert status == 143 and "ended by signal 15" in log
    assert (container.folder / "target/f").read_text() == "x"


def test_it_needs_no_root(container):
    write(container, "f", "x")
    container.start(*READ_ONLY, "--user=1000:1000", "--cap-drop=ALL", "--security-opt=no-new-privileges", env={"LSYNCD_DELAY": "0"})
    container.wait_arrives("f", "x")
    assert re.search(r"^CapBnd:\s*0+$", container.run("cat", "/proc/1/status").stdout, re.M)
    assert (container.folder / "target/f").stat().st_uid == 1000
    wait_for(lambda: container.healthy, container.log)
    assert container.stop()[0] == 143


def test_with_the_few_rights_that_the_page_names_owners_are_mirrored(container):
    write(container, "f", "x")
    os.chown(str(container.folder / "source/f"), 1234, 1234)
    options = re.search(r"`(--cap-drop ALL [^`]*)`", PAGE.read_text(encoding="utf-8")).group(1).split()
    container.start(*READ_ONLY, *options)
    container.wait_arrives("f", "x")
    wait_for(lambda: (container.folder / "target/f").stat().st_uid == 1234, container.log)


def test_it_is_healthy_while_its_target_is_down_and_unhealthy_while_it_is_stuck(container):
    write(container, "f", "x")
    container.start(*READ_ONLY, env={"LSYNCD_TARGET": "rsync://127.0.0.1:1/there", "LSYNCD_DELAY": "0"})
    wait_for(lambda: "State: waiting" in container.status_file(), container.log)
    assert container.healthy
    assert "container: fails for" in container.run("lsyncd-lite", "check", check=False).stdout
    container.signal("STOP")
    assert not container.healthy
    container.signal("CONT")
    wait_for(lambda: container.healthy, container.log, 30)


def test_a_configuration_without_a_status_file_is_as_healthy(container):
    conf = container.folder / "my.conf"
    conf.write_text("[settings]\nlogfile = /dev/stdout\n[sync mine]\nmode = direct\nsource = /source\ntarget = /target\n")
    container.start(*READ_ONLY, "--user=1000:1000", "--volume=%s:/etc/lsyncd-lite/lsyncd-lite.conf:ro" % conf)
    wait_for(lambda: container.healthy, container.log)
    assert "mine" in container.run("lsyncd-lite", "status").stdout
    container.run("rm", "/run/lsyncd-lite.sock")
    assert not container.healthy


@pytest.mark.parametrize("name, value, words", (("LSYNCD_MODE", "swim", "mode"), ("LSYNCD_DELAY", "soon", "delay"),
                                                ("LSYNCD_TARGET", "/source/below", "LSYNCD_TARGET")))
def test_a_variable_that_makes_no_sense_is_named_and_ends_it(container, name, value, words):
    container.start(env={name: value})
    assert container.status() == 255
    lines = container.log().splitlines()
    assert len(lines) == 1 and words in lines[0], lines


def test_the_words_after_the_image_are_options(container):
    container.start(words=("-version",))
    assert container.status() == 0
    assert container.log().startswith("lsyncd-lite ")


def test_a_configuration_that_is_mounted_takes_the_place_and_is_read_again_at_hup(container):
    conf = container.folder / "my.conf"
    text = "[settings]\nlogfile = /dev/stdout\n[sync mine]\nmode = %s\nsource = /source\ntarget = /target\ndelay = 0\n"
    conf.write_text(text % "direct")
    container.start(*READ_ONLY, "--volume=%s:/etc/lsyncd-lite/lsyncd-lite.conf:ro" % conf)
    write(container, "f", "x")
    container.wait_arrives("f", "x")
    (container.folder / "target/more").mkdir()
    conf.write_text(text % "direct" + "[sync second]\nsource = /source\ntarget = /target/more\ndelay = 0\n")
    conf.write_text(conf.read_text().replace("target = /target\n", "target = /target/first\n"))
    (container.folder / "target/first").mkdir()
    container.signal("HUP")
    container.wait_arrives("more/f", "x")
    container.wait_arrives("first/f", "x")


def test_what_commands_leave_behind_is_reaped(container):
    conf = container.folder / "my.conf"
    conf.write_text("[settings]\nlogfile = /dev/stdout\n[sync mine]\nmode = exec\nsource = /source\n"
                    "onModify = (sleep 1; touch /target/orphan) >/dev/null 2>&1 & touch /target/done\n")
    container.start("--volume=%s:/etc/lsyncd-lite/lsyncd-lite.conf:ro" % conf)
    wait_for(lambda: "watching" in container.log(), container.log)
    write(container, "f", "x")
    container.wait_arrives("done", "")
    container.wait_arrives("orphan", "")
    states = "for one in /proc/[0-9]*; do sed -n 's/^State:.*\\(zombie\\).*/\\1/p' $one/status 2>/dev/null; done"
    wait_for(lambda: not container.run("sh", "-c", states).stdout.strip(), container.log)


def test_what_the_image_promises_is_what_the_page_says(image):
    engine, name = image
    config = json.loads(engine("inspect", "--format={{json .Config}}", name).stdout)
    documented = dict(re.findall(r"^\| `(LSYNCD_\w+)` \|.*\| `([^`]*)` \|$", PAGE.read_text(encoding="utf-8"), re.M))
    assert dict(one.split("=", 1) for one in config["Env"] if one.startswith("LSYNCD_")) == documented
    assert config["Entrypoint"] == ["/usr/bin/lsyncd-lite", "-nodaemon"]
    assert config["StopSignal"] == "SIGTERM"
