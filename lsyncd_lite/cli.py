"""The command line: what was typed → a configuration → a daemon, a check or an answer.

Every problem is one line on stderr and exit status 255.
"""

import os
import signal
import sys

from lsyncd_lite import __version__, canary
from lsyncd_lite.config import config as configuration
from lsyncd_lite.config import settings
from lsyncd_lite.config.options import ASKING, COMMANDS, FORMS, OPTIONS, PAIRS, REPEATED
from lsyncd_lite.errors import ConfigError, Fatal, lacking, reason
from lsyncd_lite.paths import show, to_bytes, to_text
from lsyncd_lite.system import log as logging, private
from lsyncd_lite.system.pidfile import BrokenDisk, Pidfile
from lsyncd_lite.system.sinks import is_journal
from lsyncd_lite.system.supervisor import Nobody, manager_of

FAILURE = 255

EMPTY = 1  # of -check: all is right, and there is nothing to do (systemd.service(5), ExecCondition=)

_NO_SYNC = "nothing to do: no sync is configured; give [sync NAME] in %s, -rsync, -rsyncssh or -direct"


def help_text():
    """Return what `-help` prints."""
    lines = ["%s lsyncd-lite %s" % ("      " if number else "usage:", form) for number, form in enumerate(FORMS)] + [""]
    for option in OPTIONS.values():
        lines.append("  %-31s %s" % (("-%s %s" % option[:2]).rstrip(), option.help))
    lines += ["", "Of a daemon that runs (lsyncd-lite COMMAND -help says more):"]
    for command in COMMANDS.values():
        lines.append("  %-31s %s" % (("%s %s" % command[:2]).rstrip(), command.help))
    lines.append("\nOne hyphen or two are the same. CONFIG is INI, JSON, or the Lua of lsyncd: see lsyncd-lite.conf(5).")
    return "\n".join(lines)


def help_of(command):
    """Return what `COMMAND -help` prints."""
    lines = [("usage: lsyncd-lite %s [OPTIONS] %s" % command[:2]).rstrip(), "", command.help, ""]
    for option in map(ASKING.get, command.options):
        lines.append("  %-31s %s" % (("-%s %s" % option[:2]).rstrip(), option.help))
    return "\n".join(lines)


def parse(arguments, known=None, command=""):
    """Return ({option: value or list}, [words]) of command line arguments; raise ConfigError.

    "pairs" among the options is a list of (mode, values), in the order in which they
    were given. One or two hyphens are the same, and so are `-NAME VALUE` and
    `-NAME=VALUE`. An option of two values is beyond what argparse says in one line
    without naming `--`. known: {name: Option} of those that are known (None: all that are no command's); command: whose they are.
    """
    known = OPTIONS if known is None else known
    given, words, rest = {}, [], list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-") or argument == "-":
            words.append(argument)
            continue
        if argument == "--":
            words += rest
            break
        name, equals, value = argument[2 if argument.startswith("--") else 1:].partition("=")
        if name not in known:
            raise ConfigError(["unknown option %s; %s-help lists them" % (show(argument), command and command + " ")])
        metavars = known[name].metavars.split()
        if equals:
            rest.insert(0, value)
        if len(rest) < len(metavars) or equals and len(metavars) != 1:
            raise ConfigError(["option -%s: allowed: %s" % (name, " ".join(["-" + name, *metavars]))])
        values = [rest.pop(0) for _metavar in metavars]
        value = values[0] if len(values) == 1 else tuple(values) or "yes"
        if name in PAIRS and known is OPTIONS:
            given.setdefault("pairs", []).append((name, values))
        elif name in REPEATED:
            given.setdefault(name, []).append(value)
        else:
            given[name] = value
    return given, words


def _pairs(given):
    """Return the pairs of a command line as config.load wants them; raise ConfigError."""
    options = []
    if "sshopts" in given:
        import shlex
        try:
            options = [word for text in given["sshopts"] for word in shlex.split(text)]
        except ValueError as error:
            raise ConfigError(["option -sshopts: %s" % error]) from None
    pairs = []
    for mode, words in given.get("pairs", ()):
        values = {key: word if key in ("source", "targetdir") else [word] for key, word in zip(PAIRS[mode], words)}
        if mode == "rsyncssh" and options:
            values["ssh._extra"] = options
        pairs.append((mode, values, "-%s %s" % (mode, " ".join(map(show, words)))))
    if "sshopts" in given and not any(mode == "rsyncssh" for mode, _values, _words in pairs):
        raise ConfigError(["option -sshopts: is for -rsyncssh, and none is given"])
    return pairs


def main(arguments=None):
    """Run the program; return its exit status."""
    arguments = [to_text(os.fsencode(argument))
                 for argument in (sys.argv[1:] if arguments is None else arguments)]
    for fd in (0, 1, 2):  # a descriptor of ours must not take the place of one that was closed
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if os.getpid() == 1:  # to which the kernel sends nothing that it has no handler for (pid_namespaces(7)); the loop takes over
        signal.signal(signal.SIGTERM, _end)
    warnings = []
    try:
        return _run(arguments)
    except ConfigError as error:
        warnings, lines = error.warnings, error.lines
    except Fatal as error:
        lines = [str(error)]
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILURE
    except Exception as error:  # a defect of ours: one line, and where
        lines = [_defect(error)]
    for mark, line in [("<4>", line) for line in warnings] + [("<3>", line) for line in lines]:
        _say(mark * is_journal(2) + line, 2)
    return FAILURE


def _end(number, _frame):
    """End at once: nothing has begun."""
    sys.exit(128 + number)


def _command(command, arguments):
    """Ask or steer a daemon that runs; return the exit status."""
    if {"-help", "--help"} & set(arguments):
        return _say(help_of(command))

    def read():
        given, words = parse(arguments, {name: ASKING[name] for name in command.options}, command.name)
        if len(words) > len(command.words.split()):
            raise ConfigError(["%s: %s" % (command.name, "one sync at most, not %s" % ", ".join(map(show, words)) if command.words
                                           else "takes no sync, it is for the whole daemon: %s" % show(words[0]))])
        return given, words[0] if words else None

    if command.name == "check":
        from lsyncd_lite import plugin
        return plugin.run(arguments, read, _say)
    from lsyncd_lite import steering
    given, sync = read()
    if command.name == "status" and "html" in given:
        from lsyncd_lite import webpage
        return webpage.run(sync, given, _say)
    return steering.run(command.name, sync, given, _say)


def _meant(word):
    """Return the command that was meant by a word that is none and no file, or None."""
    if word.startswith("-") or "/" in word or os.path.lexists(to_bytes(word)):
        return None
    import difflib
    return next(iter(difflib.get_close_matches(word, COMMANDS, 1)), None)


def _run(arguments):
    if arguments and arguments[0] in COMMANDS:
        return _command(COMMANDS[arguments[0]], arguments[1:])
    meant = _meant(arguments[0]) if arguments else None
    if meant is not None:
        raise ConfigError(["%s: there is no such command, and no such file; did you mean %s?" % (show(arguments[0]), meant)])
    given, words = parse(arguments)
    if "help" in given:
        return _say(help_text())
    if "version" in given:
        return _say("lsyncd-lite %s" % __version__)
    try:
        shown = logging.categories(given.get("log", ()))
    except ValueError as error:
        raise ConfigError(["option -log: %s" % error]) from None
    if len(words) > 1:
        raise ConfigError(["one configuration file at most, not %s" % ", ".join(map(show, words))])
    pairs = _pairs(given)
    if "convert" in given or "json" in given:
        others = [given["pairs"][0][0] if name == "pairs" else name for name in given if name not in ("convert", "json")]
        if "convert" not in given:
            raise ConfigError(["option -json: is for -convert, and that is not given"])
        if others or not words:
            raise ConfigError(["option -convert: allowed: -convert [-json] CONFIG%s" % "".join(", without -%s" % name for name in others[:1])])
    if not words and not pairs:
        raise ConfigError(["nothing to do: give a configuration file, -rsync SOURCE TARGET, -rsyncssh SOURCE HOST "
                           "TARGETDIR or -direct SOURCE TARGETDIR; -help says more"])
    manager = Nobody()
    names = {key.name for key in settings.KEYS if key.option is not None}
    overrides = {name: value for name, value in given.items() if name in names}
    try:
        start = os.getcwd()
        filename = os.path.abspath(to_bytes(words[0])) if words else None
    except OSError as error:
        raise ConfigError(["cannot tell the current directory: %s" % reason(error)]) from None

    def read(call):
        """Return what call() returns, with relative names taken from where the program was started."""
        try:
            return _within(start, call)
        except OSError as error:
            raise ConfigError(["cannot read the configuration: %s" % reason(error)]) from None

    def load(breathe=None):
        """Read the configuration; breathe(): called now and then while that lasts (None: the manager's)."""
        def printed(argv):
            """Return what a command prints that names targets; raise ValueError."""
            from lsyncd_lite.system import printed as command
            return command.printed(argv, breathe or manager.breathe)

        config = read(lambda: configuration.load(filename, overrides, pairs, printed))
        if os.getpid() == 1:  # nobody is left to leave it to: the container ends with this process
            config.settings.nodaemon = True
        return config

    def checked(breathe=None):
        """Read it, and look where it wants files of ours."""
        config = load(breathe)
        private.check(config.settings)
        canary.check(config)
        return config

    if "convert" in given:
        return _convert(*read(lambda: configuration.readings(filename)), "json" in given)
    nothing = _NO_SYNC % show(filename or b"a file")

    def busy(config):
        """Return a Config that has something to do; raise ConfigError for others."""
        if not config.syncs:
            raise ConfigError([nothing])
        return config

    if "check" in given:
        return _check(checked(), nothing)
    if "test-filter" in given:
        from lsyncd_lite import check
        return _say("\n".join(check.deciding(busy(load()), given["test-filter"])))
    if "release" in given:
        return _release(busy(load()), given["release"])
    log = logging.Log(shown)
    manager = manager_of(os.environb, lambda words: log("Warn", words))
    try:
        config = busy(checked())
    except ConfigError as error:
        manager.stopping(error.lines[0])
        raise
    return _start(config, log, lambda breathe: busy(checked(breathe)), manager)


def _within(directory, call):
    """Return what call() returns in a directory (str); raise OSError, or ConfigError where it cannot be entered."""
    try:
        here = os.open(".", os.O_PATH | os.O_CLOEXEC)  # it may have no name any more
    except PermissionError:  # of somebody else, as after "su": it was never left, and no relative name can be found
        return call()
    try:
        try:
            os.chdir(directory)
        except OSError as error:
            raise ConfigError(["cannot go to %s, where relative names begin: %s" % (show(directory), reason(error))]) from None
        return call()
    finally:
        os.fchdir(here)
        os.close(here)


def _check(config, nothing):
    """Say what there is to say of a Config that was read without an error; return the exit status.

    nothing: words for one without a sync.
    """
    from lsyncd_lite import check
    errors, warnings = check.findings(config)
    if errors:
        raise ConfigError(errors, warnings)
    for warning in warnings:
        _say(warning, 2)
    if not config.syncs:
        _say(nothing, 2)
        return EMPTY
    return _say("OK")


def _convert(readings, errors, warnings, is_json):
    """Print Readings (None: not all could be read) in a form, and all that there is to say of them; return the exit status."""
    from lsyncd_lite.config import writer
    text = ""
    if readings is not None:
        try:
            text = writer.to_json(readings) if is_json else writer.to_ini(readings)
        except ConfigError as error:
            errors += error.lines
    try:
        if text:
            _say(text[:-1])
    finally:  # whoever reads it may have seen enough, but that is no reason for silence
        if errors:
            raise ConfigError(errors, warnings)
        for warning in warnings:
            _say(warning, 2)
    return 0


def _start(config, log, load, manager):
    """Run the daemon in the foreground or leave the terminal; return the exit status."""
    from lsyncd_lite.daemon import Daemon
    from lsyncd_lite.system.detach import Detached
    from lsyncd_lite.system.process import seal
    others, detached = seal(), None
    if not config.settings.nodaemon and not config.settings.onepass:
        for fd in others:  # somebody may wait for their end (daemon(7))
            os.close(fd)
        detached = Detached(manager.hand_over)
        manager.keep_silent()
    log.open(config.settings)
    pidfile = None
    try:
        if config.settings.pidfile is not None:
            try:
                pidfile = Pidfile(config.settings.pidfile)
                pidfile.write()
            except BrokenDisk as error:
                log("Error", "%s; going on without it" % error)

        def ready(line):
            """Everything is watched."""
            if detached is not None:
                detached.ready()
                log.leave_terminal()
            manager.ready(line)

        return Daemon(config, log, load, manager).run(ready)
    except Fatal as error:
        words, number = str(error), getattr(error.__context__, "errno", None)
        log("Error", words)
    except Exception as error:
        words, number = _defect(error), None
        log("Error", words)
    finally:
        if pidfile is not None:
            pidfile.remove()
    manager.stopping(words, number)
    return FAILURE


def _release(config, name):
    """Tell the daemon that runs by a Config to release a sync."""
    names = [sync.name for sync in config.syncs]
    if name not in {"all", *names, *(sync.section for sync in config.syncs)}:
        raise ConfigError(["option -release: there is no sync %s; allowed: all, %s" % (show(name), ", ".join(map(show, names)))])
    from lsyncd_lite import steering
    if steering.release(name, config, _say):
        return 0
    if config.settings.pidfile is None:
        raise ConfigError(["option -release: the daemon cannot be found: pidfile is not set; -pidfile names that of the daemon, "
                           "as -pidfile /run/lsyncd-lite/lsyncd-lite.pid for the service (SIGUSR1 releases all syncs)"])
    Pidfile.signal(config.settings.pidfile, signal.SIGUSR1, to_bytes(name))
    return _say("the daemon is told: its log says what it releases")


def _defect(error):
    """Return one line for an exception that should not have come."""
    if isinstance(error, ImportError):
        return lacking(error)
    place = error.__traceback__
    while place.tb_next is not None:
        place = place.tb_next
    return "a defect of lsyncd-lite: %s: %s (%s:%d); please report it" % (
        type(error).__name__, error, os.path.basename(place.tb_frame.f_code.co_filename), place.tb_lineno)


def _say(text, fd=1):
    """Print text, which may hold any bytes; return 0. Raises Fatal, or BrokenPipeError where nobody reads any more."""
    try:
        with open(fd, "wb", closefd=False) as stream:
            stream.write(to_bytes(text) + b"\n")
    except OSError as error:
        if fd == 1:
            if isinstance(error, BrokenPipeError):
                raise
            raise Fatal("cannot write the output: %s" % reason(error)) from None
        # else nobody is left to tell
    return 0
