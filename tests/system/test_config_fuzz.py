"""Broken configurations, 20 000 of them: each is read, or refused line by line; none hangs, starts or writes anything.

What is read is converted, too, and means the same then.

A failure names the number of its seed: `mutant(SEED)` is that text again.
"""

import os
import random
import re
import signal
import sys
from glob import glob

import pytest

from lsyncd_lite.config import config as module
from lsyncd_lite.config import lua, settings, writer
from lsyncd_lite.errors import ConfigError
from lsyncd_lite.lua.values import Meter

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHUNKS, EACH = 10, 2000
LONGEST = 30  # seconds that one may take on a machine that has others to serve, too

LUA = r"""
-- where to
local hosts = { "web1", "web2", 'web3' }
settings.logfile = "/tmp/l.log"
settings { statusInterval = 30, nodaemon = true, insist = 1 == 1 and not false, maxProcesses = #hosts + 2 ^ 2 }
--[[ common
     to all ]]
base = { default.rsync, delay = 3 * 5 % 4, exclude = { '.git/', "*.tmp", [[#*#]], '\x41\065\u{20ac}\z
   end' }, rsync = { archive = true, compress = false, _extra = { "--bwlimit=20", "--include=limits.conf" }, } }
local function target(host, ...)
    if host == nil or host == "" then error("no host") elseif #host > 99 then return nil end
    return ("%s:%s/%d"):format(host:upper():lower():gsub("web", "www"), os.getenv("HOME") or "/root", select("#", ...))
end
for i, host in ipairs(hosts) do
    sync { base, source = "/srv/www", target = target(host, i, nil), rsync = { whole_file = i ~= 2 }, delete = 'running'; name = "w" .. i }
end
for key, value in pairs { a = 1, ["b"] = 2.5e0, [3] = 0x1F } do
    local n = 0
    while n < 3 do n = n + 1 if n == 2 then break end end
    repeat local done = true until done
    sync { default.rsyncssh, source = "/srv/" .. key, host = "backup" .. value, targetdir = "~/" .. key, ssh = { port = 22, options = { Compression = "yes" } }, rsyncOps = "-ltus" }
end
bash = {
    onCreate = "cp -r ^sourcePathname ^targetPathname", onModify = [==[
        case ^path in
        *) cp ^sourcePathname ^targetPathname
        ;;
        esac ]==],
    onDelete = "rm -rf ^targetPathname", exitcodes = { [0] = "ok", [1] = "again", "die" }, maxProcesses = 3,
}
for n = 10, 1, -3 do table.insert(hosts, table.concat({ n, "x" }, "-")) end
sync { bash, source = "/srv/a", target = "/dst/" .. tostring(tonumber("0x10")), delay = 1 }
sync { default.direct, source = "/srv/b", target = "/dst/b", init = false, crontab = { "0 30 2 * * mon-fri" } }
sync { default.rsync, source = "/srv/c", target = "rsync://localhost:${localport}/c", maxProcesses = 2, tunnel = tunnel {
    command = { "ssh", "-N", "-L", "localhost:^localport:localhost:873", "user@host", "-o", "it's" }, mode = "pool", parallel = 2, readyDelay = 3 } }
"""

JSON = r"""{"settings": {"logfile": "/tmp/l.log", "delay": 1.5, "statusInterval": 30},
 "sync": [{"name": "www", "source": "/srv/www", "target": ["web1:/var/www", "web2:/var/\u00fcx"], "exclude": [".git/", "#*#", " x "],
           "rsync": {"archive": true, "bwlimit": 100, "_extra": ["--stats"]}, "onBatch": {"before": "true\n;;\n  x"}},
          {"mode": "exec", "source": "/srv/x", "onStartup": "true", "onCreate": "echo ^path", "exitcodes": {"1": "again"}, "crontab": ["0 0 * * * *"]},
          {"mode": "rsyncssh", "source": "/srv", "host": "h", "targetdir": "~/x", "ssh": {"options": {"User": "me"}, "port": 22}},
          {"source": "/srv/c", "target": "rsync://h:^localport/c", "tunnel": {"command": "ssh -L ^localport:h:873 h", "retryDelay": 1, "localhost": "::1"}},
          {"source": "/srv/y", "target": "web0:/y", "targetsFrom": "!inventory ^source \"${ENV}\" | sort", "nice": 10, "ionice": "idle"}]}"""

# What breaks readers: brackets of all kinds, ends, what is huge, endless or not text.
HOSTILE = [b"{", b"}", b"[[", b"]]", b"[=[", b"--[[", b"--", b"(", b")", b"end", b"do", b"then", b"=", b"==", b"~=", b",", b";", b"..", b"...", b"\"", b"'", b"\\", b"\0", b"\xff", b"\xe2\x80\x9c",
           b"\n", b"\r", b"\r\n ", b"\t", b"# ", b"; ", b"[sync x]", b"[settings]", b"[", b"${", b"${HOME}", b"$${", b"${file:/dev/zero}", b"${file:/}", b"${file:/etc/hostname}", b"<<END\n", b"\nEND\n", b"<<",
           b"nil", b"true", b"1e999", b"-1", b"0x7fffffffffffffff", b"9" * 400, b"1 // 0", b"0/0", b"2^1024", b"while true do end", b"for i = 1, 1e18 do end", b"repeat until nil", b"function() return 1 end",
           b"local function f() return f() end f()", b"local s = 'x' while 1 do s = s .. s end", b"('x'):rep(1e9)", b"('a'):rep(9999):find('.-.-.-.-b')", b"os.execute('touch /tmp/x')", b"io.popen('id')", b"require 'x'",
           b"default.rsync", b"sync", b"settings", b"sync{", b"settings{", b"goto x", b"::x::", b"&", b"~", b"string.rep", b"setmetatable({}, {})", b"table.concat({{}})", b"#nil", b"excludeFrom = \"/dev/zero\"",
           b"source = \"/\"", b"target = \"/srv/www/..\"", b"targetsFrom = \"!touch /tmp/x\"", b"\ntargetsFrom = !touch /tmp/x\n", b"targetsFrom = \"/etc/hostname\"", b"\"!", b"mode = script\nscript = /dev/zero\n", b"onCreate = function() end", b"null", b"NaN", b"1e400", b"\\ud800", b"\"a\": {\"a\": ", b"{" * 300, b"[" * 3000, b"(" * 3000, b"not " * 3000]


LITERALS = [b"0", b"1", b"-1", b"2.5", b"1e3", b"99999999999999999999", b"true", b"false", b"{}", b"[]", b"nil", b"null", b"x", b"hosts", b"{1}", b"[1]", b"[\"x\", 1]", b"{\"x\"}", b"{\"x\": 1}", b"{x = {}}",
            *(b'"%s"' % text for text in (b"", b" ", b" x ", b"#", b";;", b"[x]", b"a = b", b"delay = 3", b"${HOME}", b"$${", b"${x", b"<<END", b"END", b"/", b"/srv/www", b"host:/x", b"default.rsync", b"yes", b"running", b"Modify",
                                          b"\xff", b"\\n", b"\\n\\n;; \\n  x", b"\\t", b"\\r", b"\\u00e9", b"\\", b"^path", b"^target", b"-rltvupgo", b"-e ssh", b"0 0 * * * *", b"8=again", b"local3", b"1 2"))]


def corpus():
    """Return lists of (name to read it by, bytes): Lua, INI, JSON."""
    lua, ini = [("lsyncd.conf.lua", LUA.encode())], []
    for name in sorted(glob(os.path.join(ROOT, "tests", "system", "guide", "*.lua"))):
        with open(name, "rb") as file:
            lua.append(("lsyncd.conf", file.read()))
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        ini += [("c.conf", block.encode()) for block in re.findall("```ini\n(.*?)```", file.read(), re.S)]
    with open(os.path.join(ROOT, "contrib", "lsyncd-lite.conf"), "rb") as file:
        ini.append(("c.conf", re.sub(rb"(?m)^#(?=\S)", b"", file.read())))
    return lua, ini, [("c.json", JSON.encode())]


CORPUS = corpus()


def mutant(seed):
    """Return (file name, content) of one broken configuration."""
    rng = random.Random(seed)
    name, text = rng.choice(rng.choice(CORPUS))
    # a part of it often: a mistake early in a long text is all that is seen
    lines = text.splitlines(True)
    if name != "c.json" and rng.random() < 0.3:
        begin = rng.randrange(len(lines))
        text = b"".join(lines[begin:begin + rng.randint(1, 12)])
    for _turn in range(rng.choice((1, 1, 1, 2, 3, 8))):
        text = rng.choice(_WAYS)(text, rng)
    return name, text


def _cut(text, rng):
    begin = rng.randrange(len(text) + 1)
    return text[:begin] + text[begin + rng.choice((1, 1, 2, 5, 40)):]


def _put(text, rng):
    begin = rng.randrange(len(text) + 1)
    return text[:begin] + rng.choice(HOSTILE) + text[begin:]


def _end(text, rng):
    return text[:rng.randrange(len(text) + 1)]


def _flip(text, rng):
    changed = bytearray(text or b"x")
    changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _words(text, rng, change):
    words = re.split(rb"(\w+|\s+)", text)
    change(words, rng)
    return b"".join(words)


def _swap(words, rng):
    one, other = rng.randrange(len(words)), rng.randrange(len(words))
    words[one], words[other] = words[other], words[one]


def _repeat(words, rng):
    words[rng.randrange(len(words))] *= rng.choice((2, 2, 50))


def _drop(words, rng):
    del words[rng.randrange(len(words)):][:1]
    words[rng.randrange(len(words))] = b""


def _splice(text, rng):
    other = rng.choice(rng.choice(CORPUS))[1]
    begin = rng.randrange(len(other))
    return text[:rng.randrange(len(text) + 1)] + other[begin:begin + rng.randrange(200)]


def _literal(text, rng):
    """Put another value, or another word, in the place of one, which leaves the rest as it is."""
    places = [place.span() for place in re.finditer(rb"\"[^\"\n]*\"|'[^'\n]*'|\b[0-9.]+\b|\b(?:true|false)\b|\b[a-z_A-Z]+\b", text)]
    if not places:
        return text
    begin, end = rng.choice(places)
    return text[:begin] + rng.choice(LITERALS) + text[end:]


def _value(text, rng):
    """Give a key of the table a value that is none, or another one."""
    key = rng.choice(sorted(settings.scope(rng.choice(("settings", "sync"))))).encode()
    value = rng.choice(HOSTILE + [b"", b"yes", b"\"x\"", b"{}", b"{1}", b"{a=1}", b"/x"])
    return text + rng.choice((b"\n%s = %s\n", b"\nsync { default.rsync, %s = %s }\n", b"\nsettings.%s = %s\n", b"\nsettings { %s = %s }\n", b"{\"sync\": [{\"%s\": %s}]}")) % (key, value)


_WAYS = (*(_literal,) * 8, _cut, _put, _put, _end, _flip, _splice, _value, *(lambda text, rng, change=change: _words(text, rng, change) for change in (_swap, _repeat, _drop)))


# ---- what must not happen ------------------------------------------------------------------------

_FORBIDDEN = re.compile(r"subprocess\.|os\.(system|exec|fork|forkpty|posix_spawn|spawn|startfile|remove|rename|mkdir|rmdir|link|symlink|truncate|chmod|chown|kill)|pty\.|socket\.|shutil\.|signal\.pthread_kill")
_caught = []  # what was done while _watched[0]; a hook stays for ever
_watched = [False]


def _hook(event, arguments):
    if _watched[0] and (_FORBIDDEN.match(event) or event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        _caught.append((event, arguments))


sys.addaudithook(_hook)


class Hangs(BaseException):
    """Has taken more than LONGEST."""


def _within_limits(call):
    """Return what call() returns, with everything looked at that must not happen."""
    del _caught[:]
    signal.alarm(LONGEST)
    _watched[0] = True
    try:
        return call()
    finally:
        _watched[0] = False
        signal.alarm(0)


def _load(filename):
    """Return (Config or None, lines that refuse it)."""
    try:
        return module.load(filename), []
    except ConfigError as error:
        return None, error.lines


def _conversions(filename):
    """Return {name of a file: text} of what a configuration is as INI and JSON, where they can hold it."""
    readings, _errors, _warnings = module.readings(filename)
    found = {}
    for name, write in (("as.ini", writer.to_ini), ("as.json", writer.to_json)):
        try:
            found[name] = write(readings)
        except ConfigError as error:
            assert all(line.isprintable() for line in error.lines)
    return found


def _meaning(config):
    """Return all that two Configs have in common that mean the same."""
    return vars(config.settings), [dict(vars(sync), rules=[rule[:2] for rule in sync.rules], extra_rules=[rule[:2] for rule in sync.extra_rules])
                                   for sync in config.syncs]


def _too_long(_number, _frame):
    raise Hangs


@pytest.fixture
def limits(monkeypatch):
    """Let nothing hang, and nothing depend on what the environment has."""
    old = signal.signal(signal.SIGALRM, _too_long)
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setattr(lua, "Meter", lambda: Meter(100000))  # a tenth: there are many loops without end
    yield
    signal.signal(signal.SIGALRM, old)


def test_there_is_something_to_break(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for texts in CORPUS:
        (tmp_path / texts[0][0]).write_bytes(texts[0][1])
        config, lines = _load(texts[0][0])
        assert config is not None and config.syncs, lines


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_broken_configuration_is_read_or_refused_in_lines(chunk, limits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = converted = 0
    for seed in range(chunk * EACH, (chunk + 1) * EACH):
        name, text = mutant(seed)
        (tmp_path / name).write_bytes(text)
        try:
            config, lines = _within_limits(lambda: _load(name))
            assert not _caught, _caught
            assert config is not None or lines, "refused without a word"
            for line in lines + (config.warnings if config is not None else []):
                assert line.isprintable(), line
                assert "Error(" not in line and "object at 0x" not in line and "Traceback" not in line, line
            if config is not None:
                good += 1
                for other, written in _within_limits(lambda: _conversions(name)).items():
                    (tmp_path / other).write_bytes(written.encode("utf-8", "surrogateescape"))
                    again, lines = _load(other)
                    assert again is not None, (written, lines)
                    assert _meaning(again) == _meaning(config), written
                    converted += 1
        except BaseException as error:
            raise AssertionError("mutant(%d): %r" % (seed, error)) from error
    assert EACH // 20 < good < EACH - EACH // 20, "mutants are too tame, or too broken: %d are read" % good
    assert converted > good, "hardly one can be converted: %d of %d, twice" % (converted, good)
