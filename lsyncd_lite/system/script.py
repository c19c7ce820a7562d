"""The user's Python: loads a script, calls its functions, and is what they may use.

What a script sees is str, as Python's own functions for files take it. A function that
raises, does not come back or answers what it may not becomes a ScriptError that names
the script's line. It is called within the daemon, so all else waits for it: that is
told after a second, and ended after a minute.
"""

import heapq
import os
import signal
import sys
import time
import warnings
from types import CoroutineType, GeneratorType, ModuleType, SimpleNamespace

from lsyncd_lite.config.options import DEBUG, SHOWN
from lsyncd_lite.config.scripts import CALLED, problems
from lsyncd_lite.errors import ScriptError
from lsyncd_lite.mirror.events import Kind
from lsyncd_lite.mirror.script import PLAIN, Command, Standard
from lsyncd_lite.mirror.pair import in_directory
from lsyncd_lite.paths import show, split

WARN_AFTER = 1.0   # seconds
END_AFTER = 60.0
_IDLE = 10000  # answers in a row of a function that wants nothing to be run

_VERDICTS = ("ok", "again", "die")
_ANSWERS = "spawn(…), shell(…), default.MODE(…), \"ok\", \"again\", \"die\", None or a generator that yields these"


class Hangs(BaseException):
    """Ends a function that does not come back; no Exception, as scripts catch these."""


class Event:
    """Something that has happened, as a script sees it.

    kind: "Create", "Modify", "Attrib", "Delete" or "Move"; is_dir: bool; all others are
    str. name: the last part of the path; path: relative to the source, a directory with
    a slash at its end, pathname: without; dir: the directory that holds it, "" or with a
    slash at its end; source, target: as configured, the source with a slash at its end;
    source_path, source_pathname, source_dir, target_path, target_pathname, target_dir:
    these two and the relative ones together. origin: the Event of where a Move began,
    else None. config: what `prepare` gets.
    """

    def __init__(self, event, sync, path=None):
        path = event.path if path is None else path
        self.event = event
        self.config = sync.config
        self.kind = event.kind.value
        self.is_dir = event.is_dir
        self.origin = None
        directory, name = split(path)
        self.name = os.fsdecode(name)
        self.pathname = os.fsdecode(path)
        self.path = self.pathname + "/" * self.is_dir
        self.dir = os.fsdecode(directory and directory + b"/")
        self.source, self.target = sync.source, sync.target
        for root, top in (("source", self.source), ("target", self.target and os.path.join(self.target, ""))):
            for part in ("path", "pathname", "dir"):
                setattr(self, "%s_%s" % (root, part), top and top + getattr(self, part))

    def __repr__(self):
        return "<%s %s>" % (self.kind, self.path)


class Inbox:
    """The Events that are due, for `action`. Those that it has asked for are done when all it wants is done."""

    def __init__(self, inbox, calls):
        self._inbox = inbox
        self._calls = calls
        self._seen = [calls.event(event) for event in inbox.left]
        self.config = calls.sync.config

    def events(self, test=None):
        """Return a list of Events that were not asked for yet, in order; test(event): those for which it is true."""
        wanted = [seen for seen in self._seen if test is None or test(seen)]
        self.discard(*wanted)
        return wanted

    def discard(self, *events):
        """Forget Events: nothing is to be done about them."""
        chosen = {seen.event for seen in events}
        self._seen = [seen for seen in self._seen if seen.event not in chosen]
        self._inbox.take(lambda event: event in chosen)

    def full(self):
        """Ask for all Events, and for everything: default.MODE(inbox) will be a full sync."""
        self._inbox.whole = True
        return self.events()


class Sync:
    """The sync, for `on_startup`: name, source, target (str) and config, which is a copy."""

    def __init__(self, config):
        plain = {key: os.fsdecode(value) if isinstance(value, bytes) else SimpleNamespace(**vars(value)) if isinstance(
            value, SimpleNamespace) else value for key, value in vars(config).items() if key != "code"}
        self.name, self.target = config.name, plain["target"]
        self.source = plain["source"] = os.fsdecode(in_directory(config.source))
        self.config = SimpleNamespace(**dict(plain, param=dict(config.param)))


class Default:
    """What the standard modes do: an answer of a function."""

    def __init__(self, calls):
        self._calls = calls

    def rsync(self, about):
        """Mirror by rsync what an Inbox, an Event or a list of them tells; of a Sync, or after inbox.full(): everything."""
        return self._standard("rsync", about)

    def rsyncssh(self, about):
        """The same to a target HOST:DIR."""
        return self._standard("rsyncssh", about)

    def direct(self, about):
        """The same to a directory of this host, by cp and rm."""
        return self._standard("direct", about)

    def _standard(self, mode, about):
        self._calls.standard(mode)  # what is wrong with it is wrong in this line
        if isinstance(about, Sync):
            return Standard(mode, [], True)
        if isinstance(about, Inbox):
            about.events()
            events, whole = about._inbox.taken, about._inbox.whole
        else:
            events, whole = [seen.event for seen in ([about] if isinstance(about, Event) else about)], False
        return Standard(mode, events, whole) if events or whole else None


def _find_packages():
    """Let scripts import what is installed and what $PYTHONPATH names, where this Python was told to do without (-I, -S)."""
    if not sys.flags.no_site or "site" in sys.modules:
        return
    import site
    if sys.flags.ignore_environment:
        named = map(os.path.abspath, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
        sys.path += [path for path in named if path not in sys.path]
    site.main()
    if sys.stdout is not None:  # and see at once what they print, whoever reads it
        sys.stdout.reconfigure(line_buffering=True)


class Calls:
    """A loaded script. config: the SyncConfig; log: a Log; make(mode): returns a standard mode or raises ValueError.

    Attributes: names (the functions that it defines), sync (as a script sees it), ends (the exit status it wants the
    program to end with, or None).
    """

    def __init__(self, config, log, make):
        """Load the script and let it `prepare`; raise ScriptError."""
        self._log = log
        self._make = make
        self._modes = {}
        self._filename = os.fsdecode(config.script)
        self._made = 0     # commands that a function has made
        self._told = set()  # names of functions that have made some for nothing
        self._alarms = []  # heap of (time, number, function)
        self._count = 0
        self._running, self._warned = None, 0  # what is called now, and how often it was told that it takes long
        self.ends = None
        self._name = config.name
        self.sync = Sync(config)
        self._pid = os.getpid()
        self._wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        self._handlers = [(number, signal.getsignal(number))
                          for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
        module = ModuleType("lsyncd_lite_script_of_" + config.name)
        vars(module).update({"__file__": self._filename, "spawn": self._spawn, "shell": self._shell, "log": self._say,
                             "alarm": self.alarm, "terminate": self._terminate, "default": Default(self)})
        _find_packages()
        directory = os.path.dirname(self._filename)
        if directory not in sys.path:  # at the end: a module beside the script takes the place of none of ours
            sys.path.append(directory)
        sys.modules[module.__name__] = module  # dataclasses and others look for it there
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were told when the configuration was read
            code = compile(config.code, self._filename, "exec", dont_inherit=True)
        self._guarded("the script", exec, code, vars(module))
        self._functions = {name: vars(module)[name] for name in CALLED if name in vars(module)}
        self.names = set(self._functions)
        for words in problems(self.names) if self.names or not self._alarms else ():
            raise ScriptError("%s:1: %s" % (show(self._filename), words))
        for name, function in self._functions.items():
            if not callable(function):
                raise ScriptError("%s:1: %s is no function" % (show(self._filename), name))
        if "prepare" in self.names:
            self._guarded("prepare", self._functions["prepare"], self.sync.config)

    # ---- calling -----------------------------------------------------------------------------

    def run(self, function, arguments):
        """Call a function (or its name); yield the Commands and Standards that it wants; return its last word.

        That is PLAIN where it has not seen what became of its last Command.
        """
        name, function = self.name_of(function), self._functions[function] if isinstance(function, str) else function
        self._made = 0
        answer, is_last = self._guarded(name, function, *arguments), True
        if answer is None and self._made and name not in self._told:
            self._told.add(name)
            self._log("Warn", "%s: %s:%d: %s makes a command that it neither returns nor yields: it is not run" % (
                self._name, show(self._filename), _line_of(function), name))
        generator = answer if isinstance(answer, GeneratorType) else None
        try:
            if generator is not None:
                answer, is_last = self._guarded(name, _next, generator, None)
            while not is_last:
                if not isinstance(answer, (Command, Standard)):
                    self._checked(function, answer, ())
                news = yield answer
                answer, is_last = self._guarded(name, _next, generator, news)
            if isinstance(answer, (Command, Standard)):
                yield answer
                return PLAIN
            return self._checked(function, answer, _VERDICTS)
        finally:
            if generator is not None:
                self._guarded(name, generator.close)

    def collect(self, command, events, status):
        """Return what the function `collect` says of a command that has ended, or None."""
        if "collect" not in self.names:
            return None
        job = SimpleNamespace(argv=[os.fsdecode(word) for word in command.argv], events=[self.event(event) for event in events],
                              config=self.sync.config)
        function = self._functions["collect"]
        return self._checked(function, self._guarded("collect", function, job, status), _VERDICTS)

    def _checked(self, function, answer, allowed):
        if answer is None or type(answer) is str and answer in allowed:
            return answer
        if isinstance(answer, CoroutineType):
            answer.close()  # else Python says that nobody has waited for it
        self.refuse(function, "answers %s; allowed: %s" % (show(_text(repr, answer)[:100]), _ANSWERS))

    def name_of(self, function):
        """Return what a function is called, for people."""
        return function if isinstance(function, str) else getattr(function, "__name__", "a function")

    def _guarded(self, name, function, *arguments):
        """Call a function; whatever it raises becomes a ScriptError."""
        self._running, self._warned = name, 0
        signal.signal(signal.SIGALRM, self._on_time)
        signal.setitimer(signal.ITIMER_REAL, WARN_AFTER, END_AFTER - WARN_AFTER)
        try:
            return function(*arguments)
        except BaseException as error:  # whatever it is, it is not ours
            about = arguments[0] if function is _next else function
            raise ScriptError("%s: %s: %s" % (self._place(error, about), name, show(": ".join(
                filter(None, (type(error).__name__, _text(str, error))))))) from None
        finally:
            self._running = None
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._take_back()

    def _take_back(self):
        """Undo what a function may have done to the daemon without meaning it (os.fork, asyncio, signal, threading)."""
        if os.getpid() != self._pid:  # there must not be two of us
            os._exit(0)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        for number, handler in self._handlers:
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        if "threading" in sys.modules:
            sys.modules["threading"].excepthook = self._on_thread

    def _on_thread(self, what):
        """Tell of what a thread has raised (threading.excepthook)."""
        if what.exc_type is not SystemExit:
            self._log("Error", "%s: a thread of %s: %s: %s" % (
                self._name, show(self._filename), what.exc_type.__name__, show(_text(str, what.exc_value))))

    def refuse(self, function, words):
        """Raise the ScriptError for a function that does what it may not."""
        function = self._functions.get(function, function) if isinstance(function, str) else function
        raise ScriptError("%s:%d: %s: %s" % (show(self._filename), _line_of(function), self.name_of(function), words))

    def _place(self, error, function):
        """Return FILE:LINE of the script's line from which an exception came, or of the function, or of another file."""
        filename, line, place = self._filename, _line_of(function), error.__traceback__.tb_next
        while place is not None:
            if place.tb_frame.f_code.co_filename == self._filename or filename != self._filename or not line:
                filename, line = place.tb_frame.f_code.co_filename, place.tb_lineno
            place = place.tb_next
        return "%s:%d" % (show(filename), line)

    def _on_time(self, _number, frame):
        """Tell of a function that does not come back, and end it the next time (the handler of SIGALRM).

        It does more than a handler of ours should, as nothing else can run here now.
        """
        if self._running is None:
            return
        self._warned += 1
        if self._warned > 1:
            if self._warned > 2:
                self._log("Error", "%s: %s: %s cannot be ended, and all else waits for it" % (
                    self._name, show(self._filename), self._running))
            raise Hangs("no end after %d s" % END_AFTER)
        while frame is not None and frame.f_code.co_filename != self._filename:
            frame = frame.f_back
        self._log("Warn", "%s: %s:%d: %s has been running for %d s, and all else waits for it: let spawn(…) do what takes long"
                  % (self._name, show(self._filename), frame.f_lineno if frame else 0, self._running, WARN_AFTER))

    # ---- what a script sees ------------------------------------------------------------------

    def event(self, event):
        """Return an Event as a script sees it."""
        seen = Event(event, self.sync)
        if event.kind is Kind.MOVE:
            seen.origin = Event(event, self.sync, event.origin)
        return seen

    def inbox(self, inbox):
        """Return an Inbox as a script sees it."""
        return Inbox(inbox, self)

    def standard(self, mode):
        """Return a standard mode; raise ValueError where the sync's target is not for it."""
        if mode not in self._modes:
            self._modes[mode] = self._make(mode)
        return self._modes[mode]

    def _say(self, category, text):
        if category not in SHOWN + DEBUG:  # worth a word, but not the mirror
            category, text = "Normal", "%s: %s" % (category, text)
        for line in str(text).splitlines() or [""]:
            self._log(category, "%s: %s" % (self._name, show(line)))

    def _spawn(self, argv, stdin=None):
        """Return what lets a program run. argv: list of str, bytes or paths; stdin: str, bytes or None (nothing)."""
        if isinstance(argv, (str, bytes)) or not argv:
            raise TypeError("spawn: %r is no list of a program and its arguments (shell takes a text)" % (argv,))
        words = [os.fsencode(word) for word in argv]
        if any(b"\0" in word for word in words):
            raise ValueError("spawn: an argument holds a null byte")
        if stdin is not None and not isinstance(stdin, (str, bytes, bytearray)):
            raise TypeError("spawn: stdin is %r; allowed: str, bytes or None" % (stdin,))
        self._made += 1
        return Command(words, os.fsencode(stdin) if isinstance(stdin, str) else None if stdin is None else bytes(stdin))

    def _shell(self, command, *args, stdin=None):
        """Return what lets /bin/sh run a text, in which "$1", "$2" … are the args."""
        return self._spawn(["/bin/sh", "-c", command, "sh", *args], stdin)

    def _terminate(self, code=0):
        if not isinstance(code, int) or not 0 <= code <= 255:
            raise ValueError("terminate(%r): allowed: 0 to 255" % (code,))
        self.ends = code

    def alarm(self, seconds, function):
        """Let a function be called in some seconds."""
        if not callable(function):
            raise TypeError("alarm: %r is no function" % (function,))
        seconds = float(seconds)
        if seconds != seconds:
            raise ValueError("alarm: at no time")
        self._count += 1
        heapq.heappush(self._alarms, (time.monotonic() + max(seconds, 0.0), self._count, function))

    @property
    def next_alarm(self):
        """When a function wants to be called next (`time.monotonic`), or None."""
        return self._alarms[0][0] if self._alarms else None

    def take_alarm(self, _now):
        """Return the function that wants to be called first."""
        return heapq.heappop(self._alarms)[2]


def _next(generator, news):
    """Return (what a generator wants next, False), or (its last word, True)."""
    try:
        wanted = generator.send(news)
        for _turn in range(_IDLE):  # in one call, so that it is told of when it takes long
            if wanted is not None:
                return wanted, False
            wanted = generator.send(None)
    except StopIteration as end:
        return end.value, True
    raise RuntimeError("yields again and again, and nothing to be run")


def _line_of(function):
    """Return the line in which a function, or a generator, begins, 0 where that is not known."""
    code = getattr(function, "__code__", None) or getattr(function, "gi_code", None)
    return getattr(code, "co_firstlineno", 0)


def _text(of, thing):
    """Return what str or repr make of a thing of a script's."""
    try:
        return of(thing)
    except Exception:
        return type(thing).__name__
