"""A snapshot → one HTML page that needs nothing else: no script, no file, no host. Pure.

Those in trouble come first. Whatever a name or an error holds is text; should a browser think otherwise, the page's
policy (Content-Security-Policy) lets it load and run nothing.
"""

import time
from html import escape

from lsyncd_lite import __version__
from lsyncd_lite.report import monitor, units
from lsyncd_lite.report.snapshot import DAEMON

REFRESH = 60  # seconds after which a browser looks whether it was written anew
MINUTES = 60  # of history that a graph is wide
HEIGHT = 24   # units of a graph; its trouble is marked below

_CLASSES = "ok", "warn", "bad"
_SIGNS = "\N{CHECK MARK}", "!", "\N{MULTIPLICATION SIGN}"  # colour alone tells nothing to some

_STYLE = """
:root{color-scheme:light dark;--page:#f4f5f7;--card:#fff;--text:#1b1f24;--dim:#57606a;--line:#d0d7de;--ok:#1a7f37;--warn:#8a5a00;--bad:#c11f2b;--graph:#0a5fc2}
@media(prefers-color-scheme:dark){:root{--page:#0e1116;--card:#181d24;--text:#e6eaf0;--dim:#9aa5b1;--line:#343c47;--ok:#4cc26c;--warn:#dcab36;--bad:#ff8078;--graph:#6cb0ff}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:90rem;padding:1rem;background:var(--page);color:var(--text);font:1rem/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.35rem;margin:0}h2{font-size:1.05rem;margin:0}p{margin:.3rem 0}
header>p:not(.note),dt,figcaption,footer{color:var(--dim)}
header dl{grid-template-columns:repeat(auto-fill,minmax(10.5rem,1fr))}
header,main{margin-bottom:1rem}
main{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(22rem,100%),1fr))}
article,.note{background:var(--card);border:1px solid var(--line);border-left:.35rem solid var(--ok);border-radius:.4rem;padding:.7rem .9rem;min-width:0}
.note{margin:.5rem 0}.warn{border-left-color:var(--warn)}.bad{border-left-color:var(--bad)}
.head{display:flex;flex-wrap:wrap;gap:.2rem .8rem;justify-content:space-between;align-items:baseline}
.state{font-weight:600;color:var(--ok)}.warn .state{color:var(--warn)}.bad .state{color:var(--bad)}
.way{font-size:.85rem;font-family:ui-monospace,monospace}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(6.5rem,1fr));gap:.35rem .8rem;margin:.6rem 0 0}
dl div{min-width:0}dt,figcaption,footer{font-size:.8rem}dd{margin:0;font-variant-numeric:tabular-nums}
ul{margin:.5rem 0 0;padding:0;list-style:none}time{white-space:nowrap}details{margin-top:.5rem}summary{cursor:pointer}
progress{width:100%;height:.6rem;accent-color:var(--graph)}
figure{margin:.6rem 0 0}figcaption{display:flex;justify-content:space-between;gap:.5rem}
svg{display:block;width:100%;height:3rem;border-bottom:1px solid var(--line)}
.values{fill:var(--graph)}.trouble{fill:var(--bad)}
"""


def nothing(wall):
    """Return the snapshot (dict) of a daemon that does not answer; wall: seconds since the epoch."""
    return {"program": "lsyncd-lite", "version": __version__, "pid": None, "at": wall, **DAEMON, "syncs": []}


def render(snapshot, host="", lost=None):
    """Return the page (str); host: the name of where the daemon runs, for people; lost: why the daemon does not answer, in words."""
    syncs = [(monitor.worst(found), found, sync) for found, sync in (
        (list(monitor.of_sync(sync, snapshot["at"])), sync) for sync in snapshot["syncs"])]
    troubles = [(monitor.CRITICAL, lost)] * (lost is not None) + list(monitor.of_daemon(snapshot))
    worst = max(monitor.worst(found) for found in [troubles, *(found for _level, found, _sync in syncs)])
    summary = monitor.summary(snapshot["syncs"]) if lost is None else "no answer"
    title = "%s%s" % (snapshot["program"], " on %s" % host if host else "")
    return "".join([
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">\n',
        '<meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="%d">\n' % REFRESH,
        "<title>%s %s: %s</title>\n<style>%s</style></head>\n<body>" % (_SIGNS[worst], _text(title), _text(summary), _STYLE),
        "<header><h1>%s</h1><p>%s \N{MIDDLE DOT} <time>%s</time></p>\n" % (_text(title), _text(summary), _moment(snapshot["at"])),
        *('<p class="note %s" role="status"><span class="state">%s</span> %s</p>\n' % (_CLASSES[level], _SIGNS[level], _text(words))
          for level, words in troubles),
        _facts(_of_daemon(snapshot)), "</header>\n<main>\n",
        *(_article(*one, snapshot["at"]) for one in sorted(syncs, key=lambda one: -one[0])),
        "</main>\n<footer>%s</footer></body></html>\n" % _text(" ".join(filter(None, (snapshot["program"], snapshot["version"]))))])


def _text(words):
    """Return text as HTML, whatever it holds."""
    return escape("".join(char if char.isprintable() or char == "\N{NO-BREAK SPACE}" else "\N{REPLACEMENT CHARACTER}" for char in str(words)))


def _count(number):
    return units.count(number).replace(" ", "\N{NO-BREAK SPACE}")


def _moment(wall):
    return _text(time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(wall)))


def _of_daemon(shot):
    """Yield (label, value) of a daemon."""
    yield "Configuration", shot["configuration"]
    yield "Running since", None if shot["started"] is None else units.date(shot["started"])
    yield "Process", shot["pid"]
    if shot["watches"] is not None:
        yield "Watched directories", _count(shot["watches"]) + (
            " of %s" % _count(shot["watches_limit"]) if shot["watches_limit"] else "")
    yield "Scanned directories", _count(shot["polled"]) if shot["polled"] else None
    yield "Lost events", "%s times" % _count(shot["overflows"]) if shot["overflows"] else None
    yield "Memory", None if shot["memory"] is None else units.size(shot["memory"])


def _of_sync(sync, at):
    """Yield (label, value) of a sync."""
    yield "Queued", _count(sync["queued"])
    yield "In flight", _count(sync["in_flight"]) if sync["in_flight"] else None
    yield "Oldest", None if sync["oldest"] is None else units.age(sync["oldest"])
    yield "Last success", "never" if sync["last_success"] is None else "%s ago" % units.age(max(0, int(at - sync["last_success"])))
    yield "Lag", None if sync["lag"] is None else units.age(sync["lag"])
    yield "Next try", None if sync["next_try"] is None else "in %s" % units.age(sync["next_try"])
    yield "Rate", "%s/s" % units.size(sync["rate"]) if sync["rate"] else None
    yield "Sent", None if not sync["bytes"] else "%s in %s file%s" % (
        units.size(sync["bytes"]), _count(sync["files"] or 0), "" if sync["files"] == 1 else "s")
    tunnel, canary = sync.get("tunnel"), sync["canary"]
    yield "Tunnels", "%d of %d open" % (tunnel["ready"], tunnel["processes"]) if tunnel else None
    if canary is not None:
        yield "Canary", "%s on its way" % units.age(canary["age"]) if canary["age"] is not None else \
            "took %s" % units.age(canary["lag"]) if canary["lag"] is not None else None


def _facts(facts):
    shown = "".join("<div><dt>%s</dt><dd>%s</dd></div>" % (label, _text(value)) for label, value in facts if value is not None)
    return "<dl>%s</dl>\n" % shown if shown else ""


def _article(level, found, sync, at):
    """Return the part about one sync."""
    return "".join([
        '<article class="%s"><div class="head"><h2>%s</h2><span class="state">%s</span></div>' % (
            _CLASSES[level], _text(sync["name"]), _text("%s %s" % (_SIGNS[level], sync["state"]))),
        '<p class="way">%s \N{RIGHTWARDS ARROW} %s</p>' % (_text(sync["source"]), _text(sync["target"] or sync["mode"] or "")),
        _troubles(found), _progress(sync["progress"]), _facts(_of_sync(sync, at)), _graphs(sync.get("history")), "</article>\n"])


def _troubles(found):
    """Return what is wrong; beyond what stands in one line, it is opened by whoever wants it."""
    shown = []
    for level, words in found:
        if level != monitor.OK:
            start = words if len(words) <= 100 else words[:90].rpartition(" ")[0] or words[:90]
            shown.append("<li>%s</li>" % _text(words) if start == words else
                         "<li><details><summary>%s\N{HORIZONTAL ELLIPSIS}</summary>%s</details></li>" % (_text(start), _text(words)))
    return "<ul>%s</ul>" % "".join(shown) if shown else ""


def _progress(progress):
    if progress is None:
        return ""
    percent, left, rate = (progress.get(key) for key in ("percent", "left", "rate"))
    words = ["Full sync"] + ["%d %%" % percent] * (percent is not None) + ["%s/s" % units.size(rate or 0)] * bool(rate)
    words += ["%s left" % units.left(left or 0)] * (left is not None)
    bar = '<progress max="100" value="%d" aria-label="full sync"></progress>' % percent if percent is not None else ""
    return "<p>%s</p>%s" % (_text(", ".join(words)), bar)


# ---- graphs ------------------------------------------------------------------------------------

def _graphs(history):
    """Return the last hour of a sync as two graphs; a quiet one is a sentence."""
    if not history or not history["points"]:
        return ""
    points = history["points"][-MINUTES:]
    minutes = max(1, round(len(points) * history["every"] / 60))
    queued, lags, bad = [point[0] or 0 for point in points], [point[1] for point in points], [bool(point[3]) for point in points]
    took = [lag for lag in lags if lag is not None]
    span = "last %d min" % minutes
    if not any(queued) and not took and not any(bad):
        return "<p><small>Quiet in the %s.</small></p>" % span
    marks = ", %d in trouble" % round(bad.count(True) * history["every"] / 60) if any(bad) else ""
    graph = _graph("Queued changes", "at most %s" % _count(max(queued)), span + marks, queued, bad)
    return graph + (_graph("Lag", "at most %s" % units.age(max(took)), span + marks, [lag or 0 for lag in lags], bad) if took else "")


def _graph(name, most, span, values, bad):
    top = max(values) or 1
    columns = _columns([value * HEIGHT / top for value in values], HEIGHT)
    marks = _columns([2 * is_bad for is_bad in bad], HEIGHT + 3)
    return ('<figure><figcaption><span>%s, %s</span><span>%s</span></figcaption><svg viewBox="0 0 %d %d" preserveAspectRatio="none" role="img">'
            "<title>%s: %s</title><desc>%s, one column a minute, the newest at the right</desc>%s%s</svg></figure>") % (
        name, most, span, MINUTES, HEIGHT + 3, name, most, span,
        '<path class="values" d="%s"/>' % columns if columns else "", '<path class="trouble" d="%s"/>' % marks if marks else "")


def _columns(heights, bottom):
    """Return the path of columns that stand on a bottom, the last at the right edge; equal neighbours are one."""
    found, at = [], 0
    first = MINUTES - len(heights)
    while at < len(heights):
        end = next((other for other in range(at, len(heights)) if heights[other] != heights[at]), len(heights))
        if heights[at]:
            found.append("M%d %dv-%sh%dv%sz" % (first + at, bottom, _short(heights[at]), end - at, _short(heights[at])))
        at = end
    return "".join(found)


def _short(height):
    """Return a height that can be seen, in few characters."""
    return ("%.1f" % max(height, 0.6)).rstrip("0").rstrip(".")
