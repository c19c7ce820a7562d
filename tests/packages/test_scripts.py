"""Every shell script of the project: shellcheck, and the shells that may run it."""

import re
import shutil

import pytest

from lsyncd_lite.config import ini, settings
from roots import CHECKOUT, call, sources

# What has no shebang, or one of a program that reads shell: which shell that is.
SOURCED = {
    "contrib/completion/lsyncd-lite": "bash",
    "contrib/openrc/lsyncd-lite": "sh",
    "contrib/openrc/lsyncd-lite.confd": "sh",
    "contrib/openwrt/lsyncd-lite.init": "sh",
    "debian/lsyncd-lite.default": "sh",
    "debian/lsyncd-lite.postrm": "sh",
    "rpm/lsyncd-lite.sysconfig": "sh",
}
SHEBANG = re.compile(r"#!\s*(?:/usr)?/s?bin/(?:env +)?(sh|dash|bash)(?:\s|$)")


def scripts():
    """Return {path: shell} of what is ours."""
    found = {}
    for name in sources():
        path = CHECKOUT / name
        if name in SOURCED:
            found[name] = SOURCED[name]
        elif path.is_file() and not path.is_symlink():
            with open(str(path), "rb") as file:
                match = SHEBANG.match(file.readline().decode("utf-8", "replace"))
            if match:
                found[name] = "bash" if match.group(1) == "bash" else "sh"
    return found


ALL = scripts()
OF_SH = sorted(name for name, shell in ALL.items() if shell == "sh")


def needs(program):
    if shutil.which(program) is None:
        pytest.fail("%s is not installed" % program)


def test_they_are_all_found():
    assert set(SOURCED) <= set(ALL)
    assert {"tests/run", "tests/packages/run", ".ci/run", "debian/lsyncd-lite.init", "debian/tests/mirror"} <= set(ALL)
    # whatever says that it is for a shell is one of them
    for name in ALL:
        assert not name.endswith((".py", ".md")), name


@pytest.mark.parametrize("name", sorted(ALL))
def test_shellcheck_has_nothing_to_say(name):
    needs("shellcheck")
    text = (CHECKOUT / name).read_text()
    told = re.search(r"(?m)^# shellcheck .*\bshell=\w+", text)
    shell = [] if told else ["--shell=" + ALL[name]]
    if name in ("debian/lsyncd-lite.default", "rpm/lsyncd-lite.sysconfig"):  # their variables are others' to read
        shell.append("--exclude=SC2034")
    done = call("shellcheck", *shell, name, cwd=str(CHECKOUT), check=False)
    assert done.stdout == "" and done.returncode == 0


@pytest.mark.parametrize("name", OF_SH)
def test_a_script_of_sh_has_nothing_of_bash(name):
    needs("checkbashisms")
    done = call("checkbashisms", "--force", name, cwd=str(CHECKOUT), check=False)
    assert re.sub(r"script .* does not appear to have a #! interpreter line;\nyou may get strange results\n", "", done.stdout) == ""


@pytest.mark.parametrize("shell", [("dash", "-n"), ("busybox", "sh", "-n"), ("bash", "--posix", "-n")], ids=" ".join)
@pytest.mark.parametrize("name", OF_SH)
def test_every_sh_can_read_it(shell, name):
    needs(shell[0])
    assert call(*shell, name, cwd=str(CHECKOUT)).stdout == ""


@pytest.mark.parametrize("name", sorted(set(ALL) - set(OF_SH)))
def test_bash_can_read_it(name):
    assert call("bash", "-n", name, cwd=str(CHECKOUT)).stdout == ""


def commands():
    """Yield (where, text) of all texts for /bin/sh in the examples."""
    kinds = settings.scope("sync")
    for path in sorted((CHECKOUT / "contrib/examples").glob("*.ini")):
        sections, errors = ini.read(path.read_text(), path.name)[:2]
        assert not errors
        for section in sections:
            for entry in section.entries:
                key = kinds.get(entry.key)
                text = "\n".join(entry.raw) if isinstance(entry.raw, list) else entry.raw
                if section.kind == "sync" and key is not None and key.kind is settings.COMMAND and not text.startswith("/"):
                    yield entry.where, text


@pytest.mark.parametrize("where, text", commands(), ids=lambda value: value.split("\n")[0])
def test_the_shell_texts_of_an_example_are_clean(where, text, work):
    path = work / "example"
    path.write_text("#!/bin/sh\n%s\n" % text)
    for shell in ("dash", "-n"), ("busybox", "sh", "-n"):
        call(*shell, path)
    call("checkbashisms", path)
    # SC2154: LSYNCD_…, which the daemon sets
    call("shellcheck", "--exclude=SC2154", path)
