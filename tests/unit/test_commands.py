"""Commands of users: values are data, whatever shell reads the text and whatever it looks like.

Names of files are anybody's who may write into the source; so the shells that there are are really run.
"""

import json
import os
import random
import re
import shutil
import subprocess

import pytest

from lsyncd_lite.config import commands
from lsyncd_lite.config import config as module
from lsyncd_lite.config.commands import OF_PATH, OF_SYNC, doubts, parse
from lsyncd_lite.errors import ConfigError

VARIABLES = [*OF_SYNC, *OF_PATH, *[end + name for end in ("o.", "d.") for name in OF_PATH]]
SHELLS = [shell for shell in (["/bin/sh"], ["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"], ["ksh"], ["mksh"],
                              ["zsh", "--emulate", "sh"]) if shutil.which(shell[0])]
HOSTILE = [b"$(touch X)", b"`touch X`", b"${X:-$(touch X)}", b";touch X;", b"|touch X", b"&touch X&", b"\ntouch X\n", b"'", b'"', b"'\";touch X;\"'",
           b"';touch X;'", b'";touch X;"', b"\\", b"\\$(touch X)", b"*", b"?", b"[a-z]*", b"~", b"-n", b"-e", b"--", b" ", b"  a  b  ", b"\ta\t", b"\n",
           b"a\n\nb", b"\xff\xfe", b"\xc3\xa9", b"#x", b"a # b", b"!x", b"%s%n", b"^path", b"${1}", b"$1", b"$'\\n'", b"{a,b}", b"<x", b">X", b"$((1))",
           b")touch X;(", b"EOF\ntouch X\n", b"a=b", b"x" * 2000, b"$(touch X", b"`", b"$("]

@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("empty")


def output(text, values, shell=("/bin/sh",)):
    """Return what a command prints (bytes), run by a shell in a directory in which nothing may appear."""
    argv = parse(text).argv(values)
    assert argv[0] == b"/bin/sh"
    done = subprocess.run([*shell, *argv[1:]], cwd="empty", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert os.listdir("empty") == [], "a value was executed: %r by %s in %r" % (values, shell, text)
    return done.stdout


# ---- variables ---------------------------------------------------------------------------------

@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_in_either_form(name):
    for text, where in [("/bin/echo a^%s-b" % name, 1), ("echo ^%s" % name, 4)]:
        command = parse(text)
        assert command.variables == [name]
        argv = command.argv({name: b"V"})
        assert argv[where] == (b"aV-b" if where == 1 else b"V")


@pytest.mark.parametrize("text", ["^foo", "^pathx", "^pathnames", "^Path", "^PATH", "x^", "^", "^ path", "o.path", "^x.path", "^sourcepath"])
def test_what_is_no_variable_stays(text):
    assert parse("/bin/echo %s" % text).argv({})[1:] == [word.encode() for word in text.split()]
    assert parse("echo %s" % text).argv({})[2] == b"echo " + text.encode()


def test_the_longest_name_counts():
    values = {name: name.encode() for name in VARIABLES}
    text = " ".join("^" + name for name in VARIABLES)
    assert parse("/x " + text).argv(values)[1:] == [name.encode() for name in VARIABLES]
    assert output("printf '%s\\n' " + text, values).split() == [name.encode() for name in VARIABLES]


def test_what_follows_a_variable_may_be_anything_but_a_letter():
    assert parse("/x ^path1 ^path_a ^path.gz ^path/^pathname").argv({"path": b"P", "pathname": b"N"})[1:] == [b"P1", b"P_a", b"P.gz", b"P/N"]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_more_than_nine_variables(shell):
    values = {name: b"<%d $(touch X)>" % number for number, name in enumerate(VARIABLES)}
    text = "printf '%s|' " + " ".join("^%s" % name for name in VARIABLES + VARIABLES[::-1])
    expected = [values[name] for name in VARIABLES + VARIABLES[::-1]]
    assert output(text, values, shell) == b"".join(value + b"|" for value in expected)


def test_one_value_is_passed_once():
    argv = parse("echo ^path ^path '^path' \"^path\"").argv({"path": b"P"})
    assert argv[3:] == [b"sh", b"P"]


# ---- what a shell makes of it ------------------------------------------------------------------

# Contexts in which exactly the value has to come out; an E keeps the newlines at the end from $( ).
EXACT = ["printf %s ^path", "printf %s \"^path\"", "printf %s \"\"^path''", "printf %s '''^path'", "printf '%s' '^path'", "printf %s ''^path",
         "(printf %s ^path)", "{ printf %s ^path; }", "if :; then printf %s \"^path\"; fi", "x=^path; printf %s \"$x\"", "x=\"^path\"; printf %s \"$x\"",
         "# it's a comment with ^path\nprintf %s ^path", "printf %s ^path # it's \"^path", "printf %s \\\n^path", "for x in ^path; do printf %s \"$x\"; done",
         "case a in b) ;; *) printf %s ^path;; esac", "f() { printf %s \"$1\"; }; f ^path", "printf %s ^path;# don't", "true &&# don't\nprintf %s ^path",
         "printf %s \"${none:-^path}\"", "printf '' '\\'; printf %s ^path"]
WITHIN = ["printf %%sE \"$(printf %%sE %s)\"" % word for word in ("^path", "\"^path\"", "'^path'")] + [
    "x=$(printf %sE ^path); printf %sE \"$x\"", "x=`printf %sE ^path`; printf %sE \"$x\"", "x=`printf %sE \"^path\"`; printf %sE \"$x\"",
    "printf %sE \"`printf %sE ^path`\""]


def printed(texts, shell):
    """Return [(text, value, what came out)] of all texts with all hostile values, some of them in one script."""
    found = []
    names = VARIABLES[:4] if shell == ["mksh"] else VARIABLES  # it is slow
    for start in range(0, 4 if shell == ["mksh"] else len(HOSTILE), len(names)):
        values = dict(zip(names, HOSTILE[start:start + len(names)]))
        pairs = [(text, name) for text in texts for name in values]
        script = "".join(text.replace("^path", "^" + name) + "\nprintf '\\001'\n" for text, name in pairs)
        out = output(script, values, shell).split(b"\x01")
        assert len(out) == len(pairs) + 1
        found += [(text, values[name], one) for (text, name), one in zip(pairs, out)]
    return found


@pytest.mark.parametrize("text", EXACT + WITHIN)
def test_exactly_the_value_comes_out(text):
    for _text, value, found in printed([text], ["/bin/sh"]):
        assert found == value + b"EE" * (text in WITHIN)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_exactly_the_value_comes_out_of_every_shell(shell):
    wrong = [line for line in printed(EXACT + WITHIN, shell) if line[2] != line[1] + b"EE" * (line[0] in WITHIN)]
    assert not wrong


# Contexts in which the text may come out as it can, but nothing of a value may be executed.
ANY = ["cat <<EOF\n^path\nEOF\n", "cat <<'EOF'\nit's ^path\nEOF\nprintf %s ^path", "cat <<EOF\nit's \"^path\" '^path'\nEOF\nprintf %s ^path", "echo \"it's ^path\" 'say \"^path\"'",
       "echo \\^path \\\\^path '\\^path'", "echo \"\\\"^path\\\"\"", "echo 'a'\\''^path'", "echo \"`echo \\\"^path\\\"`\"", "echo `echo \\`echo ^path\\``",
       "echo $(echo \"$(echo '^path')\")", "echo \"$(echo \"^path\" '^path' ^path)\"", "echo ${x:-^path} \"${x:-'^path'}\" ${x:-\"^path\"}", "echo \"${x#^path}\"",
       "case ^path in ^path) echo \"^path\";; '^path') ;; esac", "x=$(case a in a) echo ^path;; esac)", "echo \"$(case a in a) echo '^path';; esac)\"",
       "test ^path = '^path' && echo ^path", "[ \"^path\" ]", "echo 'unbalanced ^path", "echo \"unbalanced ^path", "echo `unbalanced ^path", "echo $(unbalanced ^path",
       "echo a#'^path' $#'^path'", "# ^path's\n# ^path\"\necho ^path", ": ^path ; : '#^path' ; : \"#^path\"", "set -- ^path; echo $1 \"$1\"", "echo $'it\\'s ^path'",
       "printf ^path", "echo $\"^path\"", "(echo ^path) | cat", "echo ^path >/dev/null 2>&1", "! echo ^path", "x=('^path')", "echo \"'^path'\" '\"^path\"'",
       "cat <<-EOF\n\t$(echo ^path) `echo '^path'`\n\tEOF\n"]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_nothing_of_a_value_is_executed_anywhere(shell):
    for start in range(0, len(HOSTILE), 8):  # some at once: a text per call that does not fail as a whole
        for text in ANY:
            names = VARIABLES[:len(HOSTILE[start:start + 8])]
            values = dict(zip(names, HOSTILE[start:start + 8]))
            whole = re.sub(r"\^path", lambda match, names=iter(names * 9): "^" + next(names), text)
            if shell[0] == "/bin/sh" or start == 0:
                output(whole, values, shell)


@pytest.mark.parametrize("seed", range(6))
def test_texts_made_at_random_execute_nothing(seed):
    rnd = random.Random(seed)
    pieces = ["^path", "^target", "\"", "'", "`", "$(", ")", "(", " ", " ", "\n", "\\", "#", "echo ", "printf %s ", ";", "${x:-", "}", "<<EOF\n", "\nEOF\n", "$", "a", "|", "&&", "=", "case x in ", ") ;; esac"]
    scripts = []
    for _number in range(40):
        text = "echo " + "".join(rnd.choice(pieces) for _piece in range(rnd.randint(2, 14)))
        argv = parse(text).argv({"path": rnd.choice(HOSTILE), "target": rnd.choice(HOSTILE)}) if "^" in text else None
        if argv:
            scripts.append((text, argv))
    for text, argv in scripts:
        subprocess.run([*rnd.choice(SHELLS), *argv[1:]], cwd="empty", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=5)
        if os.path.exists("empty/X"):
            raise AssertionError("executed: %r with %r" % (text, argv))
        for name in os.listdir("empty"):
            os.remove(os.path.join("empty", name))


@pytest.mark.parametrize("seed", range(4))
def test_exact_contexts_one_after_the_other_stay_exact(seed):
    """What is open after one of them would be seen in the next."""
    rnd = random.Random(seed)
    for _number in range(6):
        chosen = [(rnd.choice(EXACT), rnd.choice(VARIABLES)) for _piece in range(rnd.randint(2, 8))]
        values = {name: rnd.choice(HOSTILE) for _text, name in chosen}
        text = "".join(one.replace("^path", "^" + name) + "\nprintf '\\001'\n" for one, name in chosen)
        expected = [values[name] for _text, name in chosen]
        assert output(text, values, rnd.choice(SHELLS)).split(b"\x01")[:-1] == expected


def test_an_escaped_caret_is_a_caret():
    command = parse("echo \\^path")
    assert command.variables == [] and output("echo \\^path", {}) == b"^path\n"


def test_bytes_of_the_text_stay():
    assert output("printf %s 'gr\u00fc\u00df' ^path", {"path": b"\xff"}) == "gr\u00fc\u00df".encode() + b"\xff"
    assert parse("echo \udcff").argv({})[2] == b"echo \xff"


# ---- without a shell ---------------------------------------------------------------------------

@pytest.mark.parametrize("text, argv", [
    ("/bin/x", [b"/bin/x"]), ("  /bin/x  a   b\tc  ", [b"/bin/x", b"a", b"b", b"c"]), ("/x 'a b' \"c d\" e\\ f g'h'i", [b"/x", b"a b", b"c d", b"e f", b"ghi"]),
    ("/x ''", [b"/x", b""]), ("/x $HOME > ; | & `a` $(b) # c", [b"/x", b"$HOME", b">", b";", b"|", b"&", b"`a`", b"$(b)", b"#", b"c"]),
    ("\n/x\na\n", [b"/x", b"a"]), ("/x \"it's\"", [b"/x", b"it's"]), ("/x \u00e9\udcff", [b"/x", b"\xc3\xa9\xff"])])
def test_a_program_gets_its_arguments(text, argv):
    assert parse(text).argv({}) == argv


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_stays_one_argument(value):
    argv = parse("/x ^path a^{0}b '^path' \"p ^path q\" ^path^path --f=^path".replace("^{0}", "^path")).argv({"path": value})
    assert argv == [b"/x", value, b"a" + b"^pathb", value, b"p " + value + b" q", value + value, b"--f=" + value]


def test_a_value_may_be_empty():
    assert parse("/x ^pathdir ^pathdir^path").argv({"pathdir": b"", "path": b"f"}) == [b"/x", b"", b"f"]
    assert output("printf '%s|' ^pathdir ^path", {"pathdir": b"", "path": b"f"}) == b"|f|"


def test_a_value_that_looks_like_a_variable_is_none():
    assert parse("/x ^path").argv({"path": b"^target", "target": b"T"}) == [b"/x", b"^target"]
    assert output("echo ^path", {"path": b"^target $2", "target": b"T"}) == b"^target $2\n"


@pytest.mark.parametrize("text", ["/x 'a", "/x \"a", "/x a\\"])
def test_a_quotation_that_does_not_end_is_an_error(text):
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize("text", ["/bin/sh -c 'rm ^path'", "/bin/bash -ec \"rm ^path\"", "/usr/bin/env sh -c ^path", "/bin/su -c 'x ^path'"])
def test_a_value_within_the_text_for_a_shell_is_refused(text):
    with pytest.raises(ValueError, match="read as code"):
        parse(text)


@pytest.mark.parametrize("text", ["/bin/sh -c 'rm \"$1\"' sh ^path", "/bin/sh /x.sh ^path", "/bin/bash -e /x -c ^path", "/bin/grep -c ^path"])
def test_a_value_as_an_argument_of_a_shell_is_not(text):
    assert parse(text).variables == ["path"]


# ---- what looks like a mistake -----------------------------------------------------------------

@pytest.mark.parametrize("text, words", [
    ("cp ^sourcepathname ^target", "did you mean ^sourcePathname?"), ("rm ^targetPathName", "did you mean ^targetPathname?"), ("mv ^o.pathnam x", "did you mean ^o.pathname?"),
    ("/bin/cp ^path > x", "without a shell"), ("/bin/a ^path; /bin/b", "without a shell"), ("/bin/a && /bin/b", "without a shell"), ("/bin/a | b", "without a shell"),
    ("/bin/a\n/bin/b", "without a shell"), ("eval rm ^path", "code"), ("ssh h rm ^path", "code"), ("sh -c 'rm ^path'", "code"), ("bash -c \"rm ^path\"", "code")])
def test_what_looks_like_a_mistake_is_told(text, words):
    assert [line for line in doubts(text) if words in line]


@pytest.mark.parametrize("text", ["cp ^sourcePathname ^targetPathname", "grep ^foo x", "sed 's/^x//' ^path", "/bin/cp ^path ^target", "/bin/x a;b 'c' d=e>f", "exec /bin/a ^path > x; b",
                                  "grep '^word' ^path", "ssh-keygen -F ^path", "echo evaluate ^path"])
def test_what_is_right_raises_no_doubt(text):
    assert list(doubts(text)) == []


# ---- in a configuration ------------------------------------------------------------------------

def load(text):
    with open("F", "w", encoding="utf-8") as file:
        file.write(text)
    return module.load("F", {}, [])


def errors(text):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert all(line.isprintable() for line in caught.value.lines)
    return caught.value.lines


EXEC = "[sync x]\nmode = exec\nsource = /srv\n"


@pytest.mark.parametrize("action, allowed", [
    ("onStartup", OF_SYNC), ("onCreate", OF_SYNC + OF_PATH), ("onModify", OF_SYNC + OF_PATH), ("onAttrib", OF_SYNC + OF_PATH), ("onDelete", OF_SYNC + OF_PATH),
    ("onMove", VARIABLES), ("runIf", OF_SYNC), ("onBatch.before", OF_SYNC), ("onBatch.after", OF_SYNC), ("onBatch.failed", OF_SYNC)])
def test_each_variable_where_it_has_a_value(action, allowed):
    base = EXEC + "target = /t\n" + ("" if action in ("onCreate",) else "onCreate = x\n" if action != "onCreate" else "")
    for name in VARIABLES:
        text = base + "%s = echo ^%s\n" % (action, name)
        if name in allowed:
            load(text)
        else:
            line, = errors(text)
            assert line.startswith("F:%d: %s: ^%s has no value here; allowed: ^source" % (text.count("\n"), action, name))


@pytest.mark.parametrize("name", [name for name in VARIABLES if "target" in name])
def test_a_target_that_is_missing_is_an_error_only_where_it_is_used(name):
    assert errors(EXEC + "onMove = echo ^%s\n" % name) == ["F:4: onMove: ^%s: the sync has no target" % name]
    assert load(EXEC + "onMove = echo ^o.path\n").syncs[0].target == b""


def test_a_target_of_exec_is_any_text():
    assert load(EXEC + "target = some:: text/\nonCreate = x ^target\n").syncs[0].target == b"some:: text/"


def test_a_command_of_several_lines():
    sync = load(EXEC + "onCreate =\n    if test -f ^path\n    then x=1\n    fi\nonDelete = a\n    b = c\n").syncs[0]
    assert sync.onCreate.argv({"path": b"P"})[2:] == [b"if test -f \"${1}\"\nthen x=1\nfi", b"sh", b"P"]
    assert sync.onDelete.argv({})[2] == b"a\nb = c"


def test_no_action_at_all_is_an_error():
    line, = errors(EXEC)
    assert line.startswith("F:1: does nothing: mode exec needs at least one of onStartup, onCreate")


@pytest.mark.parametrize("text", ["exitcodes =\n    1 = again\n    2 = die\n    0 = ok\n", "exitcodes.1 = again\nexitcodes.2 = die\nexitcodes.0=ok\n",
                                  "exitcodes = 1=again\nexitcodes.2 = die\nexitcodes.0 = ok\n"])
def test_exit_codes_in_ini(text):
    assert sorted(load(EXEC + "onCreate = x\n" + text).syncs[0].exitcodes) == [(0, "ok"), (1, "again"), (2, "die")]


@pytest.mark.parametrize("codes", [{"1": "again", "2": "die"}, ["1 = again", "2=die"]])
def test_exit_codes_in_json(codes):
    sync = {"mode": "exec", "source": "/srv", "onCreate": "x", "exitcodes": codes}
    assert sorted(load(json.dumps({"sync": [sync]})).syncs[0].exitcodes) == [(1, "again"), (2, "die")]


@pytest.mark.parametrize("line", ["exitcodes = 1", "exitcodes = again", "exitcodes = 256 = ok", "exitcodes = -1 = ok", "exitcodes = 1 = retry", "exitcodes.1 = maybe", "exitcodes.x = ok",
                                  "exitcodes.256 = ok", "exitcodes.1 =", "exitcodes = 1 = ok 2 = die", "exitcodes = 1 = OK"])
def test_wrong_exit_codes(line):
    found = errors(EXEC + "onCreate = x\n" + line + "\n")
    assert len(found) == 1 and found[0].startswith("F:5: exitcodes")


@pytest.mark.parametrize("codes", [{"1": 2}, {"1": True}, {"1": None}, {"1": ["ok"]}, [1], 1, "x", {"a": "ok"}])
def test_wrong_exit_codes_in_json(codes):
    found = errors(json.dumps({"sync": [{"mode": "exec", "source": "/srv", "onCreate": "x", "exitcodes": codes}]}))
    assert len(found) == 1 and "exitcodes" in found[0]


@pytest.mark.parametrize("mode, key", [("rsync", "onCreate = x"), ("direct", "exitcodes = 1 = ok"), ("rsync", "script = a.py"), ("exec", "script = a.py"), ("exec", "delete = yes"),
                                       ("exec", "rsync.archive = yes"), ("exec", "ssh.port = 22"), ("exec", "host = h"), ("exec", "direct.atomic = yes"), ("exec", "allowEmptySource = yes")])
def test_a_key_of_another_mode_is_an_error(mode, key):
    text = "[sync x]\nmode = %s\nsource = /srv\ntarget = /t\n%s\n%s\n" % (mode, "onModify = x" if mode == "exec" else "# x", key)
    with open("a.py", "w") as file:
        file.write("x = 1\n")
    found = errors(text)
    assert len(found) == 1 and found[0].startswith("F:6: %s: is for mode" % key.partition(" ")[0])


@pytest.mark.parametrize("code, start", [("def on_create(:\n", "%s/a.py:1: "), ("x = 1\n\nif True\n", "%s/a.py:3: "), ("x = '\0'", "%s/a.py:1: "), (None, "F:4: script: cannot read ")])
def test_a_script_that_cannot_be_read(code, start, tmp_path):
    if code is not None:
        (tmp_path / "a.py").write_text(code)
    found = errors("[sync x]\nmode = script\nsource = /srv\nscript = a.py\n")
    assert len(found) == 1 and found[0].startswith(start % tmp_path if "%s" in start else start)


def test_a_script_is_a_key_of_its_mode_only_and_required():
    assert errors("[sync x]\nmode = script\nsource = /srv\n") == ["F:1: script: is required and missing"]


@pytest.mark.parametrize("mode, refused", [("rsync", True), ("direct", True), ("exec", False)])
def test_a_target_that_destroys_the_source_is_refused_where_it_is_one(mode, refused):
    os.mkdir("src")
    source = os.path.join(os.getcwd(), "src")
    text = "[sync x]\nmode = %s\nsource = %s\ntarget = %s/in\n%s" % (mode, source, source, "onCreate = x\n" if mode == "exec" else "")
    if refused:
        assert "lies in the source" in errors(text)[0]
    else:
        load(text)


def test_doubts_are_warnings_with_their_place():
    warnings = load(EXEC + "onCreate = cp ^sourcepathname x\n").warnings
    assert len(warnings) == 1 and warnings[0].startswith("F:4: onCreate: ^sourcepathname is no variable")


def test_a_quotation_that_does_not_end_is_an_error_with_its_place():
    line, = errors(EXEC + "onCreate = /x 'a\n")
    assert line.startswith("F:4: onCreate: ")
