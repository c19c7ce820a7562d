"""The page: well-formed, self-contained, and nothing in it but text, whatever names and errors hold."""

import html.parser
import re

import pytest

from test_monitor import AT, canary, shot, sync

from lsyncd_lite.report import page

VOID = {"meta", "br", "img", "link", "input"}
CLOSED = {"path"}  # of SVG, as <path/>


class Reader(html.parser.HTMLParser):
    """Refuses what is not nested as it should be; knows all tags, attributes and texts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in CLOSED, tag
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append(data)

    def text(self):
        return "".join(self.texts)


def history(points, every=60):
    return {"every": every, "points": points}


BUSY = history([[number % 7, None if number % 3 else number / 2, number * 100, number > 50] for number in range(60)])
ALL = [
    dict(sync("www", state="syncing", queued=1234, in_flight=7, oldest=4.2, lag=15.3, rate=250000.0, bytes=123456789, files=3211,
              canary=canary(lag=16.0)), history=BUSY),
    sync("db", state="waiting", last_error="rsync ended with 10: " + "connection refused " * 20, failing_since=AT - 900, next_try=42.0,
         canary=canary(age=900.0, late=True)),
    sync("home", state="starting", progress={"bytes": 5, "percent": 43, "files": 3, "rate": 1e6, "left": 130}, last_success=None),
    sync("disk", state="no source", lacks="source /media/disk is missing", owed=3, degraded="too few watches"),
]


def read(*syncs, host="", **more):
    text = page.render(shot(*syncs, **more), host)
    assert text.startswith("<!doctype html>\n") and text.isascii() is False
    return Reader(text), text


@pytest.mark.parametrize("syncs", [[], *[[one] for one in ALL], ALL])
def test_it_is_well_formed_whatever_there_is_to_say(syncs):
    found, text = read(*syncs, host="web1", configuration="/etc/c", started=AT - 60, watches=10, watches_limit=1000, polled=3, overflows=1,
                       memory=14 << 20, refused="c:1: x", stopping="signal 15")
    assert found.tags.count("article") == len(syncs) and found.tags.count("title") == 1 + found.tags.count("svg")
    assert ("html", "lang", "en") in found.attributes and ("meta", "charset", "utf-8") in found.attributes
    assert "width=device-width" in text and "prefers-color-scheme" in text


def test_all_that_counts_stands_there_and_the_troubled_come_first():
    found, text = read(*ALL, host="web1", configuration="/etc/c", watches=10, watches_limit=1000, refused="c:1: x")
    words = found.text()
    for wanted in ("lsyncd-lite on web1", "4 syncs: 1 syncing, 1 waiting, 1 starting, 1 no source", "the new configuration is refused: c:1: x", "/etc/c",
                   "10 of 1\N{NO-BREAK SPACE}000", "1\N{NO-BREAK SPACE}234", "118 MiB in 3\N{NO-BREAK SPACE}211 files", "244 KiB/s", "took 16 s", "in 42 s",
                   "Full sync, 43 %, 977 KiB/s, 2:10 left", "no source: source /media/disk is missing", "3 names in vain", "never",
                   "Queued changes, at most 6", "last 60 min, 9 in trouble", "fails for 15 min: rsync ended with 10", "15 min on its way"):
        assert wanted in words, wanted
    assert [re.search("<h2>(.*?)</h2>", part).group(1) for part in text.split("<article")[1:]] == ["db", "disk", "www", "home"]
    assert re.findall('<article class="(.*?)"', text) == ["bad", "bad", "ok", "ok"]
    assert "\N{MULTIPLICATION SIGN} lsyncd-lite on web1: 4 syncs: 1 syncing, 1 waiting, 1 starting, 1 no source" in found.texts  # the title


def test_it_needs_nothing_else_and_runs_nothing():
    found, text = read(*ALL)
    assert not {"script", "img", "link", "iframe", "object", "form", "base", "a"} & set(found.tags)
    assert not [name for _tag, name, _value in found.attributes if name in ("src", "href", "style", "srcset", "data") or name.startswith("on")]
    assert not re.search(r"https?:|url\(|@import|//", text)
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'") in found.attributes
    assert text.index("Content-Security-Policy") < text.index("<style>") < text.index("<body>")


HOSTILE = ['<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', "'; --></style></article><h1>", "&lt;b&gt;&amp;#60;", "]]><!--", "\0\x1b[31m\u202e\u2028\n",
           "\udcff", "</title><svg onload=alert(1)>"]


@pytest.mark.parametrize("evil", HOSTILE)
def test_hostile_names_are_text(evil):
    plain, _text = read(dict(sync("n", source="s", target="t", last_error="e", canary=canary(trouble="c")), history=BUSY), host="h", configuration="f", refused="r")
    found, _text = read(dict(sync(evil, source=evil, target=evil, last_error=evil, canary=canary(trouble=evil)), history=BUSY),
                        host=evil, configuration=evil, refused=evil)
    assert found.tags == plain.tags, "a name has made a tag"
    assert [attribute[:2] for attribute in found.attributes] == [attribute[:2] for attribute in plain.attributes]
    if evil.isprintable():
        assert found.text().count(evil) >= 6
    assert all(char.isprintable() or char in "\n\N{NO-BREAK SPACE}" for char in found.text())


@pytest.mark.parametrize("points, drawn", [
    ([], 0), ([[0, None, 0, False]] * 60, 0), ([[0, None, 0, True]] * 3, 1), ([[5, None, 0, False]], 1), ([[5, 1.5, 0, False]], 2), ([[0, 0.0, 0, 0]], 2),
    ([[None, None, None, None]] * 5, 0), ([[1, 1, 1, False]] * 200, 2)])
def test_a_graph_is_drawn_of_what_has_happened(points, drawn):
    found, text = read(dict(sync(), history=history(points)))
    assert found.tags.count("svg") == drawn and ("Quiet in the last" in text) == (bool(points) and not drawn)


def test_columns_stand_on_the_ground_and_end_at_the_right():
    assert page._columns([0, 12, 12, 0, 24], 24) == "M56 24v-12h2v12zM59 24v-24h1v24z"
    assert page._columns([0.01], 24) == "M59 24v-0.6h1v0.6z"
    assert page._columns([0] * 60, 24) == ""
    for path in re.findall(r' d="([^"]*)"', page.render(shot(dict(sync(), history=BUSY)))):
        assert re.fullmatch(r"(M\d+ 2[47]v-[\d.]+h\d+v[\d.]+z)+", path)
        ends = [int(x) + int(width) for x, width in re.findall(r"M(\d+) .*?h(\d+)", path)]
        assert max(ends) <= page.MINUTES


def test_an_error_of_many_words_is_opened_by_who_wants_it():
    words = "word " * 60
    found, text = read(sync(state="failed", last_error=words))
    assert found.tags.count("details") == 1 and words.strip() in found.text()
    assert read(sync(state="failed", last_error="short"))[0].tags.count("details") == 0
    assert read(sync(state="failed", last_error="x" * 500))[0].tags.count("details") == 1


def test_what_a_status_file_does_not_tell_is_left_out():
    bare = dict.fromkeys(sync())
    found, _text = read(dict(bare, name="x", state="idle", source="/s", queued=0, in_flight=0, owed=0, paused=False), pid=None,
                        file={"path": "/run/s", "age": 1000.0, "is_stale": True, "is_left": False})
    assert "None" not in found.text() and "was written 16 min ago" in found.text()


def test_a_daemon_that_does_not_answer_has_a_page_too():
    text = page.render(page.nothing(AT), "web1", "no lsyncd-lite <runs>")
    found = Reader(text)
    assert "\N{MULTIPLICATION SIGN} lsyncd-lite on web1: no answer" in found.texts and "no lsyncd-lite <runs>" in found.text()
    assert "article" not in found.tags and "None" not in found.text()


def test_two_hundred_syncs_are_a_small_file():
    text = page.render(shot(*[dict(sync("sync%d" % number, bytes=5), history=BUSY) for number in range(200)]))
    assert len(text.encode()) < 600000
