"""What a log line shows of a command."""

from types import SimpleNamespace

import pytest

from lsyncd_lite.report.discretion import discreet, secrets_of


def shown(*argv, secrets=()):
    return b" ".join(discreet([word.encode() for word in argv], secrets)).decode()


@pytest.mark.parametrize("argv, expected", [
    (["rsync", "-i", "/src/", "h:/dst"], "rsync -i /src/ h:/dst"),  # that is --itemize-changes
    (["rsync", "--password-file=/etc/x", "-t"], "rsync --password-file=… -t"), (["rsync", "--password-file", "/etc/x", "-t"], "rsync --password-file … -t"),
    (["rsync", "--rsh=ssh -i /key -p 22 -o IdentityFile=/k", "/s/"], "rsync --rsh=ssh -i … -p 22 -o IdentityFile=… /s/"),
    (["rsync", "--rsh=ssh -i '/a key' -l u", "/s/"], "rsync --rsh=ssh -i … -l u /s/"), (["rsync", "--rsh=ssh -i/key", "/s/"], "rsync --rsh=ssh -i… /s/"),
    (["rsync", "--rsh=sshpass -p 'my pass' ssh -p 22", "/s/"], "rsync --rsh=sshpass -p … ssh -p 22 /s/"),
    (["rsync", "--rsh=/usr/bin/sshpass -pSECRET ssh", "/s/"], "rsync --rsh=/usr/bin/sshpass -p… ssh /s/"),
    (["rsync", "--rsh=sshpass -f /pw ssh", "/s/"], "rsync --rsh=sshpass -f … ssh /s/"), (["rsync", "--rsh=sshpass -e ssh -p 2", "/s/"], "rsync --rsh=sshpass -e ssh -p 2 /s/"),
    (["rsync", "--rsh=env RSYNC_PASSWORD=x ssh", "/s/"], "rsync --rsh=env RSYNC_PASSWORD=… ssh /s/"),
    (["rsync", "-e", "sshpass -p SECRET ssh", "/s/"], "rsync -e sshpass -p … ssh /s/"), (["rsync", "--rsh", "ssh -i /key", "/s/"], "rsync --rsh ssh -i … /s/"),
    (["/usr/bin/ssh", "-i", "/key", "-p", "22", "host", "sh -c 'x'"], "/usr/bin/ssh -i … -p 22 host sh -c 'x'"),
    (["ssh", "-oIdentityFile=/k", "-o", "identityfile /k", "h"], "ssh -oIdentityFile=… -o identityfile … h"),
    (["sshpass", "-p", "SECRET", "ssh", "-p", "22", "h"], "sshpass -p … ssh -p 22 h"),
    (["/bin/sh", "-c", "RSYNC_PASSWORD=SECRET rsync -a x h::m; ls -i", "sh"], "/bin/sh -c RSYNC_PASSWORD=… rsync -a x h::m; ls -i sh"),
    (["/bin/sh", "-c", "sshpass -p 'a b' ssh -v -i \"/k x\" h; true", "sh"], "/bin/sh -c sshpass -p … ssh -v -i … h; true sh"),
    (["/bin/sh", "-c", "curl --password SECRET --token=y 'http://x'", "sh"], "/bin/sh -c curl --password … --token=… 'http://x' sh"),
    (["mysql", "--password=SECRET", "db"], "mysql --password=… db"), (["x", "DB_PASSWORD=a b"], "x DB_PASSWORD=…"),
])
def test_what_programs_take_as_a_secret_is_hidden(argv, expected):
    assert shown(*argv) == expected


@pytest.mark.parametrize("argv", [
    ["rsync", "-r", "--force", "--filter=- passwords/", "--exclude=token", "/home/u/.ssh/", "h:/etc/ssh"], ["grep", "-i", "x", "file"],
    ["/bin/sh", "-c", "test -e /run/x && ls -i \"$1\"", "sh", "a password"], ["ssh", "-p", "22", "h"], ["rsync", "-p", "/x", "/y"], []])
def test_what_is_none_is_shown(argv):
    assert shown(*argv) == " ".join(argv)


def sync(password_file=None, identityFile=None, param=()):
    return SimpleNamespace(rsync=SimpleNamespace(password_file=password_file), ssh=SimpleNamespace(identityFile=identityFile), param=param)


def test_what_the_configuration_names_is_hidden_wherever_it_stands():
    secrets = secrets_of(sync("/etc/pw", "~/.ssh/k", (("user", "al"), ("word", "hunter2"), ("where", "/srv/x"), ("none", ""))))
    assert secrets == [b"/etc/pw", b"~/.ssh/k", b"al", b"hunter2", b""]
    assert shown("wrapper", "-i", "~/.ssh/k", "-f/etc/pw", "-u", "al:hunter2", "al", "/srv/x", "alas", secrets=secrets) == \
        "wrapper -i … -f… -u al:… … /srv/x alas"
    assert secrets_of(sync()) == []


def test_bytes_that_are_no_text_stay():
    assert discreet([b"x", b"\xff\n", b"PASSWORD=\xff"]) == [b"x", b"\xff\n", "PASSWORD=…".encode()]
