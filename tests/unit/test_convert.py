"""lsyncd's own configurations → INI and JSON: the same meaning, and the comments where they belong."""

import json as pythons_json
from glob import glob
from pathlib import Path

import pytest

from lsyncd_lite import cli
from lsyncd_lite.config import lua, writer
from lsyncd_lite.errors import ConfigError
from test_writer import Generator, from_ini, from_json, here, made  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]

LUA = r"""----
-- User configuration file for lsyncd.
--
-- mirrors the web root to all front ends
--

-- where it goes
local hosts = { "web1", "web2" } -- front ends

settings {
   logfile = "/var/log/lsyncd/lsyncd.log", -- rotated weekly
   -- every half minute
   statusFile = "/var/log/lsyncd/lsyncd.status",
   statusInterval = 30,
   --nodaemon = true,
}

--[[
  One sync a host:
    all the same
]]
for _, host in ipairs(hosts) do
   sync {
      default.rsync, -- over ssh
      source = "/srv/www",
      target = host .. ":/srv/www",
      -- what nobody needs
      exclude = {
         ".git/",   -- history
         -- emacs
         "#*#",
         "*.tmp",
      },
      delay = 5, -- seconds
      rsync = {
         -- as it was
         archive = true,
         compress = false, -- LAN
         _extra = { "--bwlimit=5000" },
      },
      -- delete = false,
   }
end

-- actions
sync {
   maxProcesses = 2,
   source = "/srv/pictures",
   target = "/srv/previews",
   onCreate = [[
      case ^path in
         *.png) convert ^sourcePathname ^targetPathname
         ;;
      esac
   ]],
   onDelete = "rm -f ^targetPathname ${x}",
   exitcodes = { [1] = "again" }, -- busy
   -- done
}

-- vim: ft=lua
"""

INI = r"""# --
# User configuration file for lsyncd.
#
# mirrors the web root to all front ends
#

# where it goes
# front ends

[settings]
# rotated weekly
logfile = /var/log/lsyncd/lsyncd.log
# every half minute
statusFile = /var/log/lsyncd/lsyncd.status
statusInterval = 30
# nodaemon = true,

# One sync a host:
#   all the same

[sync sync1]
# over ssh
mode = rsync
source = /srv/www
target = web1:/srv/www
# what nobody needs
# history
# emacs
exclude = <<END
.git/
#*#
*.tmp
END
# seconds
delay = 5
# as it was
rsync.archive = yes
# LAN
rsync.compress = no
rsync._extra = --bwlimit=5000
# delete = false,

[sync sync2]
mode = rsync
source = /srv/www
target = web2:/srv/www
exclude = <<END
.git/
#*#
*.tmp
END
delay = 5
rsync.archive = yes
rsync.compress = no
rsync._extra = --bwlimit=5000

# actions
[sync sync3]
mode = exec
maxProcesses = 2
source = /srv/pictures
target = /srv/previews
onCreate = <<END
      case ^path in
         *.png) convert ^sourcePathname ^targetPathname
         ;;
      esac
END
onDelete = rm -f ^targetPathname ${x}
# busy
exitcodes.1 = again
# done

# vim: ft=lua
"""


def from_lua(text):
    reading = lua.read(text, "L")
    assert reading.errors == []
    return reading


def same(reading):
    """Assert that a Reading is the same after a conversion; return whether it is a Config without an error."""
    try:
        meant = made([reading])
    except ConfigError as error:
        found = [line.partition(": ")[2] for line in error.lines]
        for again in from_ini(writer.to_ini([reading])), from_json(writer.to_json([reading])):
            with pytest.raises(ConfigError) as caught:
                made([again])
            assert len(caught.value.lines) == len(found)
        return False
    assert made([from_ini(writer.to_ini([reading]))]) == meant
    assert made([from_json(writer.to_json([reading]))]) == meant
    return True


def test_a_configuration_of_lsyncd_becomes_one_of_ours(capfd):
    assert writer.to_ini([from_lua(LUA)]) == INI
    assert same(from_lua(LUA))
    with open("lsyncd.conf.lua", "w") as file:
        file.write(LUA)
    assert cli.main(["-convert", "lsyncd.conf.lua"]) == 0
    assert capfd.readouterr() == (INI, "")
    assert cli.main(["-convert", "-json", "lsyncd.conf.lua"]) == 0
    found = pythons_json.loads(capfd.readouterr().out)
    assert [sync["mode"] for sync in found["sync"]] == ["rsync", "rsync", "exec"] and found["sync"][2]["exitcodes"] == {"1": "again"}
    assert found["sync"][0]["rsync"] == {"archive": True, "compress": False, "_extra": ["--bwlimit=5000"]}


@pytest.mark.parametrize("name", sorted(glob(str(ROOT / "tests/system/guide/*.lua"))), ids=lambda name: Path(str(name)).name)
def test_the_configurations_of_the_guide_are_the_same_after_a_conversion(name):
    reading = lua.read(Path(name).read_text(encoding="utf-8"), "L")
    if not reading.errors:
        same(reading)


def source_of(value):
    """Return Lua for a value in JSON's terms."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return '"%s"' % "".join("\\%03d" % byte for byte in value.encode("utf-8", "surrogateescape"))
    if isinstance(value, dict):
        return "{ %s }" % ", ".join("[%s] = %s" % (source_of(key), source_of(item)) for key, item in value.items())
    return "{ %s }" % ", ".join(map(source_of, value))


def nested(values):
    found = {}
    for key, value in values.items():
        words = key.split(".")
        table = found
        for word in words[:-1]:
            table = table.setdefault(word, {})
        table[words[-1]] = value
    return found


def test_whatever_the_texts_hold():
    valid = 0
    for seed in range(150):
        data = Generator(seed, True).configuration()
        text = "settings%s\n" % source_of(nested(data["settings"])) if "settings" in data else ""
        reading = lua.read(text + "".join("sync%s\n" % source_of(nested({"mode": "rsync", **sync})) for sync in data["sync"]), "L")
        assert reading.is_literal
        try:
            made([reading])
            writer.to_ini([reading])
        except ConfigError:
            continue
        if not reading.errors:
            valid += same(reading)
    assert valid > 30, valid
