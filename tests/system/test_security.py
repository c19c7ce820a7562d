"""What others on the host could do to us, or read of us; and what an ordinary user needs to run it."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness import CHECKOUT, LIMIT, ROOT, Daemon, environment, make, processes, sync, wait_for

STRANGER = 64321  # nobody has it
root_only = pytest.mark.skipif(not ROOT, reason="only root can be somebody else")


def refused(ended, *lines):
    """Assert that a command line was refused with these lines."""
    assert (ended.returncode, ended.stdout, ended.stderr.splitlines()) == (255, "", list(lines))


@pytest.fixture
def weak(tmp_path):
    """A directory that everybody can write to."""
    path = tmp_path / "weak"
    path.mkdir()
    path.chmod(0o777)
    return path


# ---- where our files stand ---------------------------------------------------------------------

@pytest.mark.parametrize("key", ["logfile", "statusFile", "pidfile"])
def test_a_file_of_ours_is_not_made_where_everybody_can_put_another(key, tmp_path, src, dst, cli, weak):
    conf = tmp_path / "conf"
    conf.write_text("[settings]\n%s = %s/sub/x\n[sync]\nsource = %s\ntarget = %s\n" % (key, weak, src, dst))
    (weak / "sub").mkdir()
    make(src, "a")
    line = "%s: %s/sub/x: directory %s can be written by everybody: refused (chmod o-w %s)" % (key, weak, weak, weak)
    for options in ["-check"], ["-nodaemon"], [], ["-onepass"]:
        refused(cli(*options, conf), line)
    assert not list(dst.iterdir()) and not list((weak / "sub").iterdir()) and not processes(tmp_path)
    weak.chmod(0o775)
    assert cli("-check", conf).returncode == 0
    assert cli("-onepass", conf).returncode == 0 and (dst / "a").exists()


@root_only
def test_a_file_of_somebody_else_s_in_a_sticky_directory_is_not_taken(tmp_path, src, dst, cli, weak):
    weak.chmod(0o1777)
    (weak / "log").write_text("")
    os.chown(str(weak / "log"), STRANGER, -1)
    refused(cli("-nodaemon", "-logfile", weak / "log", "-rsync", src, dst),
            "logfile: %s/log: %s/log belongs to uid %d, in a directory of everybody's: refused (choose another place)" % (weak, weak, STRANGER))
    (weak / "log").unlink()
    assert cli("-onepass", "-logfile", weak / "log", "-rsync", src, dst).returncode == 0
    assert stat.S_IMODE((weak / "log").stat().st_mode) == 0o640


def test_hup_refuses_a_place_where_everybody_can_write(src, dst, daemon, weak):
    make(src, "a")
    running = daemon(sync(src, dst), options=())
    old = running.conf.read_text()
    running.conf.write_text(old.replace("[settings]", "[settings]\npidfile = %s/pid" % weak))
    running.kill(signal.SIGHUP)
    running.wait_log("Error: pidfile: .* can be written by everybody: refused")
    running.wait_log("the old one stays")
    running.fence(src, dst)


@pytest.mark.parametrize("spoil", ["hard link", "somebody else's"])
def test_a_log_that_becomes_somebody_else_s_is_not_written_to_and_stops_nothing(spoil, tmp_path, src, dst, daemon):
    if spoil != "hard link" and not ROOT:
        pytest.skip("only root can give files away")
    make(src, "a")
    running = daemon(sync(src, dst))
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    running.logfile.unlink()
    os.link(str(victim), str(tmp_path / "other"))
    os.rename(str(tmp_path / "other"), str(running.logfile))
    if spoil != "hard link":
        victim.unlink()
        os.chown(str(running.logfile), STRANGER, -1)
    running.fence(src, dst)
    assert running.log() == "precious\n"
    assert running.output().count("cannot write the log file") == 1
    running.logfile.unlink()
    running.fence(src, dst)
    running.wait_log(r"Warn: \d+ lines are missing here")


# ---- whose configuration it is -----------------------------------------------------------------

@root_only
def test_root_takes_no_configuration_that_others_can_change(tmp_path, src, dst, daemon, cli):
    make(src, "a")
    running = daemon(sync(src, dst), options=())
    running.conf.chmod(0o664)
    line = "%s: can be written by its group (chown root:root %s; chmod go-w %s): refused, as root does what it says" % ((running.conf,) * 3)
    refused(cli("-check", running.conf), line)
    refused(cli("-onepass", running.conf), line)
    running.kill(signal.SIGHUP)
    running.wait_log("Error: " + re.escape(line))
    running.fence(src, dst)
    running.conf.chmod(0o644)
    os.chown(str(running.conf), STRANGER, -1)
    refused(cli("-check", running.conf), line.replace("can be written by its group", "belongs to uid %d" % STRANGER))
    os.chown(str(running.conf), 0, 0)
    running.kill(signal.SIGHUP)
    running.wait_log("configuration read again")


# ---- what children get -------------------------------------------------------------------------

MEANT_FOR_US = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x",
                "RUNTIME_DIRECTORY": "/run/x", "LOGS_DIRECTORY": "/x", "CACHE_DIRECTORY": "/x", "CONFIGURATION_DIRECTORY": "/x",
                "CREDENTIALS_DIRECTORY": "/x", "JOURNAL_STREAM": "8:1", "INVOCATION_ID": "x", "MAINPID": "1", "SYSTEMD_EXEC_PID": "1",
                "MEMORY_PRESSURE_WATCH": "/x", "MEMORY_PRESSURE_WRITE": "x", "LSYNCD_EXIT": "outer", "LSYNCD_OTHER": "outer"}

CURIOUS = """#!/bin/sh
{ echo "$0 $*"; for name in $(env -0 | tr '\\n\\0' ' \\n' | sed 's/=.*//'); do echo "name $name"; done; umask; pwd; ls -l /proc/$$/fd; } > %s/seen.$$
exec %s "$@"
"""


@pytest.mark.parametrize("mode", ["rsync", "direct", "rsyncssh", "exec"])
def test_children_get_neither_what_was_meant_for_us_nor_our_descriptors(mode, tmp_path, src, dst, daemon, mirror):
    seen = tmp_path / "seen"
    seen.mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in "rsync", "cp", "ssh":
        (tools / name).write_text(CURIOUS % (seen, shutil.which(name)))
        (tools / name).chmod(0o755)
    hook = 'env > %s/hook; ls -l /proc/$$/fd > %s/hook.fd' % (seen, seen)
    prefix = ("env", *["%s=%s" % item for item in MEANT_FOR_US.items()], "MINE=kept", "PATH=%s:%s" % (tools, os.environ["PATH"]),
              "sh", "-c", 'umask 027; exec 7</dev/zero 8</etc/passwd; exec "$@"', "sh")
    make(src, "a")
    if mode == "exec":
        running = daemon({"mode": "exec", "source": str(src), "target": str(dst), "onCreate": "rsync ^sourcePathname ^targetPathname", "onBatch": {"before": hook}},
                         prefix=prefix)
    else:
        running = mirror(mode, prefix=prefix, onBatch={"before": hook})
    make(src, "b")
    running.wait_path(dst / "b")
    running.wait_path(seen / "hook.fd")
    running.fence(src, dst)
    running.stop()
    texts = [path.read_text() for path in seen.glob("seen.*")]
    assert texts
    for text in texts:
        names = set(re.findall("(?m)^name (.*)", text))
        assert not names & set(MEANT_FOR_US) and "MINE" in names and "TEST_OF_LSYNCD_LITE" in names, text
        assert "/dev/zero" not in text and "/etc/passwd" not in text and "inotify" not in text, text
        assert "\n0027\n" in text
    hook = dict(line.partition("=")[::2] for line in (seen / "hook").read_text().splitlines() if "=" in line)
    assert hook["LSYNCD_EXIT"] == "" and hook["LSYNCD_MODE"] == mode and hook["MINE"] == "kept"
    assert not set(hook) & set(MEANT_FOR_US) - {"LSYNCD_EXIT"}
    assert "/dev/zero" not in (seen / "hook.fd").read_text()


def test_a_detached_daemon_holds_nothing_of_its_starter_open(tmp_path, src, dst):
    make(src, "a")
    reader, writer = os.pipe()
    pidfile = tmp_path / "pid"
    started = subprocess.run([sys.executable, "-m", "lsyncd_lite", "-logfile", str(tmp_path / "log"), "-pidfile", str(pidfile), "-rsync", str(src), str(dst)],
                             stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, pass_fds=[writer], env=environment(tmp_path), timeout=LIMIT,
                             cwd=str(tmp_path))
    os.close(writer)
    pid = int(pidfile.read_text())
    try:
        assert started.returncode == 0
        os.set_blocking(reader, False)
        assert os.read(reader, 100) == b""  # its end, while the daemon runs
        assert pid in processes(tmp_path)
        wait_for(lambda: (dst / "a").exists(), "the mirror")
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not processes(tmp_path), "its end")


# ---- secrets -----------------------------------------------------------------------------------

SILENT = "#!/bin/sh\ncat > /dev/null\nexit %d\n"


def told(running):
    """Return all that a daemon has said."""
    return running.log() + running.output() + (running.statusfile.read_text() if running.statusfile.exists() else "")


@pytest.mark.parametrize("code", [0, 12])
def test_the_log_shows_no_secrets_of_rsync(code, tmp_path, src, daemon):
    binary = tmp_path / "rsync"
    binary.write_text(SILENT % code)
    binary.chmod(0o755)
    (tmp_path / "S3CRET").write_text("S3CRET content")
    make(src, "a")
    running = daemon(
        sync(src, "h::m", "one", rsync={"binary": str(binary), "password_file": str(tmp_path / "S3CRET"), "_extra": ["--early-x=1", "--password-file", "/S3CRET2"]}),
        sync(src, "h:d", "two", rsync={"binary": str(binary), "rsh": "sshpass -p S3CRET ssh -l me"}, ssh={"identityFile": "/home/me/S3CRET key"}),
        sync(src, "i:d", "three", rsync={"binary": str(binary), "_extra": ["-e", "sshpass -pS3CRET ssh -i /S3CRET"]},
             ssh={"binary": "/my/wrapper", "identityFile": "/S3CRET"}),
        options=("-insist", "-log", "all"), wait=False)
    for name in "one", "two", "three":
        running.wait_log("Exec: %s: .*…" % name)
    make(src, "b")
    running.wait_log("Exec: one: .*--files-from.*…|Error: one: ")
    assert running.stop() == 143
    assert "S3CRET" not in told(running)
    assert "-l me" in running.log() and "--early-x=1" in running.log()


def test_the_log_shows_no_secrets_of_rsyncssh(tmp_path, src, dst, mirror, ssh):
    key = tmp_path / "S3CRET"
    shutil.copy(str(ssh.folder / "user_key"), str(key))
    key.chmod(0o600)
    make(src, "a")
    running = mirror("rsyncssh", ssh={"_extra": ssh.options, "identityFile": str(key)})
    os.rename(str(src / "a"), str(src / "b"))
    running.wait_equal(src, dst)
    running.stop()
    assert "Exec: sync1: ssh -i … " in running.log() and "S3CRET" not in told(running)


def test_the_log_shows_no_secrets_of_actions_and_scripts(tmp_path, src, daemon):
    (tmp_path / "s.py").write_text("def on_create(event):\n"
                                   "    yield spawn(['/bin/sh', '-c', 'test \"$1\" = hunter2S3CRET || echo wrong', 'sh', event.config.param['word']])\n"
                                   "    yield spawn(['/bin/echo', 'done'])\n")
    running = daemon(
        {"name": "one", "mode": "exec", "source": str(src), "onCreate": "RSYNC_PASSWORD=S3CRET true ^path; sshpass -p 'S3CRET x' true; echo done"},
        {"name": "two", "mode": "script", "source": str(src), "script": str(tmp_path / "s.py"), "param": {"word": "hunter2S3CRET"}})
    make(src, "a")
    running.wait_log("Normal: one: done")
    running.wait_log("Normal: two: done")
    running.stop()
    assert "S3CRET" not in told(running) and "Normal: two: wrong" not in running.log() and running.log().count("…") >= 2


# ---- an ordinary user --------------------------------------------------------------------------

@pytest.fixture
def ordinary():
    """Start a daemon as somebody who owns nothing but one directory: `ordinary(sync(…), …)`; see Daemon."""
    if not ROOT or not shutil.which("setpriv"):
        pytest.skip("becoming an ordinary user needs root and setpriv")
    become = ("setpriv", "--reuid=%d" % STRANGER, "--regid=%d" % STRANGER, "--clear-groups", "--bounding-set", "-all", "--")
    for python in (sys.executable, "/usr/bin/python3"):
        if not subprocess.call([*become, python, "-c", "import os, sys; os.stat(sys.executable); os.listdir(%r)" % str(CHECKOUT)], stderr=subprocess.DEVNULL):
            break
    else:
        pytest.skip("an ordinary user can neither run %s nor read %s" % (sys.executable, CHECKOUT))
    top = Path(tempfile.mkdtemp(prefix="ordinary-", dir="/tmp"))
    top.chmod(0o755)
    started = []

    def start(*syncs, settings=None, wait=True):
        (top / "mine").mkdir()
        os.chown(str(top / "mine"), STRANGER, STRANGER)
        (top / "etc").mkdir()
        one = Daemon(top / "mine", top)
        started.append(one)
        one.configure(*syncs, settings=dict({"pidfile": str(top / "mine" / "pid")}, **(settings or {})))
        shutil.move(str(one.conf), str(top / "etc" / "conf"))
        one.conf = top / "etc" / "conf"
        one.conf.chmod(0o644)
        one.start("-nodaemon", "-log", "all", one.conf, prefix=become, python=python)
        if wait:
            one.wait_idle()
        return one
    start.top = top
    yield start
    for one in started:
        one.stop()
    left = processes(top)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    texts = "".join(one.log() + one.output() for one in started)
    shutil.rmtree(str(top))
    assert not left and "Traceback" not in texts


@pytest.mark.parametrize("mode", ["rsync", "direct"])
def test_an_ordinary_user_mirrors_what_he_may_read(mode, ordinary):
    top = ordinary.top
    src, dst = top / "src", top / "dst"
    src.mkdir()
    make(src, "a", "d/b", "secret", "closed/c", "read-only/e")
    (src / "secret").chmod(0o600)
    (src / "closed").chmod(0o700)
    dst.mkdir()
    os.chown(str(dst), STRANGER, STRANGER)
    running = ordinary(sync(src, dst, "www", mode=mode, **({"rsync": {"archive": True}} if mode == "rsync" else {})), wait=False)
    for path in "a", "d/b", "read-only/e":
        running.wait_path(dst / path)
    running.wait_log("secret")
    running.wait_log("closed")
    make(src, "new", "d/new")  # as root: readable by all
    make(src, "hidden")
    (src / "hidden").chmod(0o600)
    running.wait_path(dst / "new", "new")
    running.wait_path(dst / "d" / "new", "d/new")
    (src / "secret").chmod(0o644)
    (src / "closed").chmod(0o755)
    (src / "hidden").chmod(0o644)
    for path in "secret", "hidden":
        running.wait_path(dst / path, path)
    (src / "a").unlink()
    running.wait_gone(dst / "a")
    assert (top / "mine" / "pid").read_text() == "%d\n" % running.pid
    running.wait(running.statusfile.exists, "the status")
    assert {path.stat().st_uid for path in (running.logfile, running.statusfile, top / "mine" / "pid")} == {STRANGER}
    assert running.stop() == 143
    assert not (top / "mine" / "pid").exists()
    assert not [line for line in running.log().splitlines() if " Warn: %s" % running.conf in line]  # it is root's


def test_an_ordinary_user_is_told_of_what_others_can_change(ordinary):
    top = ordinary.top
    make(top / "src", "a")
    (top / "dst").mkdir()
    os.chown(str(top / "dst"), STRANGER, STRANGER)
    (top / "patterns").write_text("*.o\n")
    (top / "patterns").chmod(0o666)
    running = ordinary(sync(top / "src", top / "dst", excludeFrom=str(top / "patterns")))
    running.wait_log("Warn: %s/patterns: can be written by everybody" % top)
    running.fence(top / "src", top / "dst")


def test_an_ordinary_user_is_refused_files_in_a_directory_of_another_s(ordinary):
    top = ordinary.top
    (top / "src").mkdir()
    (top / "dst").mkdir()
    (top / "other").mkdir()
    os.chown(str(top / "other"), STRANGER + 1, -1)
    running = ordinary(sync(top / "src", top / "dst"), settings={"statusFile": str(top / "other" / "status")}, wait=False)
    assert running.ended() == 255
    assert running.output() == "statusFile: %s/other/status: directory %s/other belongs to uid %d: refused (chown %d %s/other)\n" % (
        top, top, STRANGER + 1, STRANGER, top)


def test_in_a_user_namespace_the_host_s_root_is_trusted(tmp_path, src, dst):
    """Where everything of the host's root belongs to nobody, as in a sandbox."""
    command = ["unshare", "--user", "--map-user=%d" % (os.geteuid() or 1000)]
    if subprocess.run([*command, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no user namespaces here")
    make(src, "a")
    ended = subprocess.run([*command, sys.executable, "-m", "lsyncd_lite", "-onepass", "-logfile", str(tmp_path / "log"), "-rsync", str(src), str(dst)],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(tmp_path), timeout=LIMIT, cwd=str(CHECKOUT))
    assert ended.returncode == 0, ended.stdout
    assert (dst / "a").exists()


# ---- how much children may say -----------------------------------------------------------------

@pytest.mark.parametrize("options, all_of_it", [((), False), (("-log", "Output"), True)])
def test_what_one_job_prints_has_a_bound(options, all_of_it, src, daemon):
    running = daemon({"name": "one", "mode": "exec", "source": str(src), "onCreate": "seq 20000; echo ^path >&2"}, options=options)
    make(src, "a")
    running.wait_log("more than 1000 lines of one job")
    running.wait_idle()
    make(src, "b")
    running.wait(lambda: running.log().count("more than 1000 lines of one job") == 2, "each job to have its bound")
    running.stop()
    lines = running.log().splitlines()
    assert len([line for line in lines if re.search(r" Normal: one: \d+$", line)]) == 2000
    assert len([line for line in lines if re.search(r" Output: one: \d+$", line)]) == (38000 if all_of_it else 0)
