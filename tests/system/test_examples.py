"""The examples in contrib/examples, each run for real: the programs that they call are played by small shell scripts."""

import os
import re
import shutil
from pathlib import Path

import pytest

from harness import CHECKOUT, make, names, tree, wait_for

EXAMPLES = CHECKOUT / "contrib" / "examples"
HOSTILE = "a $(touch PWNED) '\"; touch PWNED2;\n x"


class Stubs:
    """Programs of a name that write down their arguments and input, then do what `body` says."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def add(self, name, body="", reads=True):
        place = self.folder / name
        place.write_text("#!/bin/sh\n{ /usr/bin/printf '%%s\\0' \"$@\"; /usr/bin/printf '\\1'%s; } > %s/new.$$\nmv %s/new.$$ %s/call.%s.$$\n%s\n" % (
            "; cat" * reads, self.folder, self.folder, self.folder, name, body))
        place.chmod(0o755)

    def calls(self, name):
        """Return [(arguments, input)] of the calls so far, in order."""
        found = sorted(self.folder.glob("call.%s.*" % name), key=lambda path: path.stat().st_mtime_ns)
        parts = [path.read_bytes().split(b"\1", 1) for path in found]
        return [([os.fsdecode(word) for word in arguments.split(b"\0")[:-1]], given) for arguments, given in parts]


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    found = Stubs(tmp_path / "programs")
    monkeypatch.setenv("PATH", "%s:%s" % (found.folder, os.environ["PATH"]))
    return found


@pytest.fixture
def example(daemon, tmp_path):
    """Start an example with other directories: `example("echo", {"/srv/files": src})`; more: lines for its sync."""
    def start(name, places, more="", **options):
        folder = tmp_path / "example"
        folder.mkdir()
        for script in EXAMPLES.glob("%s.py" % name):
            (folder / script.name).write_text(script.read_text())
        text = (EXAMPLES / ("%s.ini" % name)).read_text()
        for place, other in places.items():
            assert place in text
            text = text.replace(place, str(other))
        text = text.replace("/etc/lsyncd-lite", str(folder))
        settings = "[settings]\nlogfile = %s\nstatusFile = %s\nstatusInterval = 0.1\n" % (
            tmp_path / "one" / "log", tmp_path / "one" / "status")
        return daemon(text=settings + text + more, name="one", **options)
    return start


def test_every_example_explains_itself_and_is_run_here():
    here, cascade = Path(__file__).read_text(), Path(__file__).with_name("test_cascade.py").read_text()
    for path in EXAMPLES.iterdir():
        assert path.suffix in (".ini", ".py") and path.with_suffix(".ini").exists()
        if path.suffix == ".ini":
            lines = path.read_text().splitlines()
            assert [line.startswith("# ") for line in lines[:4]] == [True] * 3 + [False], path
            assert 'example("%s"' % path.stem in here or '"%s"' % path.name in cascade, path


def test_echo_tells_all_that_happens(example, src):
    make(src, "old")
    one = example("echo", {"/srv/files": src})
    assert "echo: watching %s/" % src in one.log()
    make(src, "d/f")
    one.wait_log(r"echo: create d/\n(.*\n)*.*echo: create d/f\n")
    (src / "old").chmod(0o600)
    one.wait_log("echo: attrib old\n")
    (src / "old").write_text("more")
    one.wait_log("echo: modify old\n")
    one.wait_idle()
    (src / "old").rename(src / HOSTILE)
    one.wait_log(re.escape("echo: move old to a $(touch PWNED) '\"; touch PWNED2;\n").replace("\\\n", ""))
    (src / HOSTILE).unlink()
    one.wait_log(re.escape("echo: delete a $(touch PWNED)"))
    assert not list(one.folder.glob("PWNED*"))


def test_a_mirror_by_commands_ends_equal(example, src, dst):
    make(src, "a", "d/e/f", HOSTILE)
    one = example("mirror-by-commands", {"/srv/files": src, "/srv/copy": dst})
    assert names(src) == names(dst)
    make(src, "d/new", "x/y/z", "-rf")
    (src / "a").write_text("more")
    (src / "d" / "e").rename(src / "moved")
    (src / HOSTILE).rename(src / "x" / HOSTILE)
    (src / "link").symlink_to("/nowhere")
    one.wait_equal(src, dst)
    one.wait_idle()
    (src / "x" / "y").rename(src / "y")
    (src / "moved" / "f").unlink()
    one.wait_equal(src, dst)


def test_previews_follow_their_pictures(example, src, dst, stubs):
    stubs.add("convert", 'case $1 in *broken*) echo "no picture" >&2; exit 1;; esac\n'
                         'for last; do :; done\necho "preview of $1" > "${last#PNG:}"')
    make(src, "old.JPG", "d/text.txt", "d/broken.png")
    one = example("convert-images", {"/srv/pictures": src, "/srv/previews": dst})
    assert names(dst) == {"old.png", "d/"}
    make(src, "d/new.gif", "d/%s.jpeg" % HOSTILE, "gone.png")
    one.wait(lambda: names(dst) >= {"d/new.png", "d/%s.png" % HOSTILE, "gone.png"}, lambda: names(dst))
    (src / "d" / "new.gif").rename(src / "moved.gif")
    (src / "gone.png").unlink()
    one.wait(lambda: names(dst) == {"old.png", "d/", "d/%s.png" % HOSTILE, "moved.png"}, lambda: names(dst))
    one.wait_idle()
    assert one.log().count("pictures: no picture") == 1


def test_people_are_told_of_batches_and_of_the_first_failure(example, src, dst, stubs, rsync):
    stubs.add("mail")
    program = rsync()
    one = example("notify", {"/srv/files": src, "backup.example.org:" + str(src): str(dst) + "/", "delay = 30": "delay = 0.2"},
                  "rsync.binary = %s\n" % program.path)
    assert stubs.calls("mail") == [(["-s", "www: 1 changes are on %s/" % dst, "admin@example.org"], b".\n")]
    program.fail(12)
    make(src, "a", "b")
    one.wait(lambda: len(program.calls()) > 2, "two tries")
    program.recover()
    one.wait_equal(src, dst)
    one.wait(lambda: len(stubs.calls("mail")) == 3, lambda: stubs.calls("mail"))
    one.wait_idle()
    _first, failed, after = stubs.calls("mail")
    assert failed[0] == ["-s", "www: rsync ended with 12, 2 changes wait", "admin@example.org"]
    assert after[0][1] == "www: 2 changes are on %s/" % dst
    assert sorted(failed[1].split()) == sorted(after[1].split()) == [b"a", b"b"]


def test_the_command_on_the_target_s_host_is_run_again_until_it_works(example, src, dst, stubs, ssh):
    stubs.add("ssh", 'case " $* " in *" systemctl reload nginx "*) [ -e %s/works ]; exit;; esac\nexec %s "$@"'
              % (stubs.folder, shutil.which("ssh")), reads=False)
    one = example("post-command", {"/srv/files": src, "web.example.org": ssh.host, "/srv/www": dst, "delay = 5": "delay = 0.2"},
                  "ssh._extra =\n" + "".join("    %s\n" % word for word in ssh.options))
    make(src, "a")
    one.wait_equal(src, dst)
    one.wait_log("onBatch.after ended with 1; run again in")
    (stubs.folder / "works").touch()
    make(src, "b")
    one.wait_equal(src, dst)
    one.wait_idle()


def test_a_service_is_reloaded_once_for_many_changes_if_its_check_agrees(example, src, tmp_path, stubs):
    stubs.add("nginx", "! grep -q broken %s/*.conf" % src)
    stubs.add("systemctl")
    (tmp_path / "maintenance").touch()
    one = example("restart-service", {"/etc/nginx": src, "delay = 3": "delay = 0.2", "/run/maintenance": tmp_path / "maintenance"},
                  "runIfInterval = 0.1\n")
    make(src, "a.conf", "b.conf", ".a.conf.swp")
    one.wait_status(state="held by runIf", delays=2)
    assert not stubs.calls("nginx")
    (tmp_path / "maintenance").unlink()
    one.wait_log(r"nginx: reloaded after 2 changes")
    assert [arguments for arguments, _given in stubs.calls("systemctl")] == [["reload", "nginx"]]
    (src / "a.conf").write_text("broken")
    one.wait_log(r"Error: nginx: not reloaded: the check fails after a change of a\.conf\n")
    one.wait_idle()
    assert len(stubs.calls("systemctl")) == 1


def test_files_are_uploaded_by_curl_and_deleted(example, src, stubs):
    stubs.add("curl", "case $* in *fails*) [ -e %s/works ];; esac" % stubs.folder)
    one = example("ftp-upload", {"/srv/files": src, "delay = 2": "delay = 0.2"})
    make(src, "d/a b#%", "fails")
    base = ["--silent", "--show-error", "--netrc-optional", "--connect-timeout", "30"]
    top = "ftp://ftp.example.org/upload/"
    one.wait(lambda: any("d/a%20b%23%25" in arguments[-1] for arguments, _given in stubs.calls("curl")), lambda: stubs.calls("curl"))
    assert (base + ["--ftp-create-dirs", "--upload-file", str(src / "d" / "a b#%"), top + "d/a%20b%23%25"], b"") in stubs.calls("curl")
    one.wait_status(state="waiting", delays=1)
    (stubs.folder / "works").touch()
    one.wait_idle()
    (src / "d" / "a b#%").unlink()
    (src / "two\nlines").write_text("")
    one.wait(lambda: any("*DELE /upload/d/a b#%" in arguments for arguments, _given in stubs.calls("curl")), lambda: stubs.calls("curl"))
    one.wait_log("Error: ftp: cannot upload")
    one.wait_idle()
    assert not any("two" in arguments[-1] for arguments, _given in stubs.calls("curl"))


def test_a_bucket_is_compared_at_the_start_and_then_kept_in_step_by_file(example, src, stubs):
    stubs.add("aws")
    make(src, "old")
    one = example("s3-upload", {"/srv/files": src, "delay = 10": "delay = 0.2"})
    first = (["s3", "sync", "--delete", "--only-show-errors", str(src) + "/", "s3://my-bucket/files"], b"")
    assert stubs.calls("aws") == [first]
    make(src, "d/new")
    one.wait(lambda: len(stubs.calls("aws")) == 2, lambda: stubs.calls("aws"))
    assert stubs.calls("aws")[1][0] == ["s3", "cp", "--only-show-errors", str(src / "d" / "new"), "s3://my-bucket/files/d/new"]
    (src / "old").unlink()
    one.wait(lambda: len(stubs.calls("aws")) == 3, lambda: stubs.calls("aws"))
    assert stubs.calls("aws")[2][0] == ["s3", "rm", "--only-show-errors", "s3://my-bucket/files/old"]
    make(src, *["many/%d" % number for number in range(200)])
    one.wait(lambda: stubs.calls("aws")[3:].count(first) >= 1, lambda: stubs.calls("aws"))
    one.wait_idle()


def test_it_beeps_as_long_as_files_wait(example, src, stubs):
    stubs.add("printf")
    one = example("beep", {"/srv/inbox": src}, options=())
    script = one.folder.parent / "example" / "beep.py"
    script.write_text(script.read_text().replace("SECONDS = 5", "SECONDS = 0.1"))
    one.kill(1)  # HUP: a script that was changed is loaded anew
    one.wait_log("configuration read again")
    make(src, "parcel")
    one.wait_log("inbox: parcel has arrived")
    one.wait(lambda: len(list(stubs.folder.glob("call.printf.*"))) > 2, "three beeps")
    (src / "parcel").unlink()
    one.wait_idle()


def test_rsync_with_options_of_one_s_own_adds_and_deletes_nothing(example, src, dst, stubs):
    make(src, "a", "d/b")
    one = example("own-rsync", {"/srv/files": src, "/srv/copy": dst, "delay = 5": "delay = 0.2"})
    assert tree(src) == tree(dst)
    make(src, HOSTILE, "d/c", "#x")
    one.wait_equal(src, dst)
    (src / "a").unlink()
    make(src, "last")
    one.wait_path(dst / "last")
    one.wait_idle()
    assert (dst / "a").exists()
    wait_for(lambda: names(dst) - names(src) == {"a"}, lambda: names(dst))
