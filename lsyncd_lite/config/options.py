"""THE OTHER TABLE: everything that may stand on the command line, once.

`-help`, the manual page and the completion are loops over it. An option that is a
setting, too, is a row of settings.py, and only that.
"""

from collections import namedtuple

from lsyncd_lite.config import settings

# name: without its hyphen; metavars: a word in capitals for each value ("": a switch), see VALUES; help: one sentence for people
Option = namedtuple("Option", "name metavars help")

# How the program is called: [X] may be left out, what begins with a hyphen is an option.
FORMS = (
    "[OPTIONS] CONFIG",
    "[OPTIONS] -rsync SOURCE TARGET [MORE PAIRS]",
    "[OPTIONS] -rsyncssh SOURCE HOST TARGETDIR [MORE PAIRS]",
    "[OPTIONS] -direct SOURCE TARGETDIR [MORE PAIRS]",
    "-check CONFIG",
    "-convert [-json] CONFIG",
    "-test-filter PATH CONFIG",
    "-release SYNC CONFIG",
    "COMMAND [OPTIONS] [SYNC]",
)

# What the words in capitals stand for.
VALUES = {
    "CONFIG": "file", "FILE": "file", "PATH": "file", "TARGET": "file", "SOURCE": "directory", "TARGETDIR": "directory",
    "HOST": "host", "CATEGORY": "category", "SYNC": "sync", "COMMAND": "command", "SECS": "number", "NUMBER": "number", "OPTS": "text",
}

# Categories of the log: those that are shown by themselves, and those that -log shows.
SHOWN = ("Normal", "Info", "Warn", "Error")
CATEGORIES = {
    "Exec": "each command that is run, without secrets",
    "Output": "what children print of no importance, at each repetition, and beyond 1000 lines of one job",
    "Delay": "how many changes are queued",
    "Inotify": "what the kernel tells",
    "Exclude": "the rules of each sync, at the start",
    "Alarm": "how long the daemon is going to wait",
    "Statusfile": "each time that the status file is written",
}
DEBUG = tuple(CATEGORIES)
LOG_WORDS = ("all", "scarce") + SHOWN + DEBUG

_OTHERS = (
    Option("rsync", "SOURCE TARGET", "Mirror SOURCE to TARGET with rsync."),
    Option("rsyncssh", "SOURCE HOST TARGETDIR", "The same to TARGETDIR on HOST, where moves are done through ssh."),
    Option("direct", "SOURCE TARGETDIR", "Mirror SOURCE to TARGETDIR on this host with cp, mv and rm."),
    Option("sshopts", "OPTS", "More options of ssh, for every -rsyncssh: words as a shell would split them."),
    Option("log", "CATEGORY", "Log all, scarce (errors only) or one category more: %s." % ", ".join(DEBUG)),
    Option("check", "", "Read the configuration, say OK or what is wrong with it, and exit."),
    Option("convert", "", "Print the configuration as INI, with its comments, and exit."),
    Option("json", "", "With -convert: print it as JSON, which has no comments."),
    Option("test-filter", "PATH", "Say which rule of each sync decides for PATH, and exit."),
    Option("release", "SYNC",
           "Let what maxDelete holds in a sync of the running daemon (all: in each) be done, once, and exit."),
    Option("help", "", "Print this and exit."),
    Option("version", "", "Print the version and exit."),
)

# Those that may be given several times.
REPEATED = ("log", "sshopts")

# Those that make a sync, in any number: their values are these keys.
PAIRS = {"rsync": ("source", "target"), "rsyncssh": ("source", "host", "targetdir"), "direct": ("source", "target")}

# All of them by name, in the order in which people see them.
OPTIONS = {option.name: option for option in (*_OTHERS, *(Option(key.name, key.option, key.help) for key in settings.KEYS
                                                          if key.option is not None))}

# Words that ask or steer a daemon that runs. words: what may follow; options: those of ASKING that may be given
Command = namedtuple("Command", "name words help options")

ASKING = {option.name: option for option in (
    Option("watch", "", "Show it again and again, until q is typed."),
    Option("json", "", "Print it for machines."),
    Option("v", "", "Name the queued paths, too."),
    Option("html", "FILE", "Write it as a page that needs nothing else."),
    Option("s", "FILE", "Read this status file; ask no daemon."),
    Option("w", "NUMBER", "Warn of more queued changes of a sync than this (or a range, as 10: or 10:20)."),
    Option("c", "NUMBER", "More than this are critical."),
    Option("age", "SECS", "A change that waits for longer than this is critical (WARN,CRIT: with a warning before)."),
    Option("alive", "", "Only 0 or 1: whether the daemon works (for health checks)."),
    Option("timeout", "SECS", "Wait no longer than this."),
    Option("socket", "FILE", "The daemon's control socket, or NAME for that of /run/lsyncd-lite/NAME.sock."),
)}

COMMANDS = {command.name: command for command in (
    Command("status", "[SYNC]", "Show what each sync is at.", ("watch", "json", "v", "html", "s", "socket")),
    Command("check", "[SYNC]", "Answer as a plugin of Nagios or Icinga does.", ("w", "c", "age", "alive", "s", "socket")),
    Command("wait", "[SYNC]", "Wait until all that has changed so far is on the target.", ("timeout", "socket")),
    Command("flush", "[SYNC]", "Send now what is queued, whatever the delay.", ("socket",)),
    Command("full", "[SYNC]", "Queue a full sync.", ("socket",)),
    Command("retry", "[SYNC]", "Try now what has failed.", ("socket",)),
    Command("pause", "[SYNC]", "Start no job; changes are gathered all the time.", ("socket",)),
    Command("resume", "[SYNC]", "Go on.", ("socket",)),
    Command("release", "[SYNC]", "Let what maxDelete holds be done, once.", ("socket",)),
    Command("reload", "", "Read the configuration again, and say what is wrong with it.", ("socket",)),
    Command("stop", "", "Send what is pending, then end the daemon; wait for its end.", ("timeout", "socket")),
)}
