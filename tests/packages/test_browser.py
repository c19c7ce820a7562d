"""The HTML page in a real browser: it is seen, on a phone and a screen, light and dark, and it asks nobody for anything.

Takes some ten seconds, and the installation of chromium (300 MB) where it is missing.
"""

import html
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lsyncd_lite.report import page
from roots import wait_for

CHROMIUM = shutil.which("chromium")
CHECKOUT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]

EVIL = "http://evil.example/"
NAMES = ["www", '<img src="%sname">' % EVIL, "</style><script>fetch('%sscript')</script>" % EVIL, "without-a-blank-" * 12]


@pytest.fixture(scope="module")
def snapshot(work):
    """What a real daemon says of itself, with the last hour that it might have had."""
    folder = work / "browser"
    for name in ("run", "src", *("dst%d" % number for number in range(len(NAMES)))):
        (folder / name).mkdir(parents=True)
    (folder / "src" / "f").write_text("x")
    conf = folder / "daemon.json"
    conf.write_text(json.dumps({"settings": {"logfile": str(folder / "log"), "delay": 0.1}, "sync": [
        {"name": name, "source": str(folder / "src"), "target": str(folder / ("dst%d" % number)), "canary": ".canary"} for number, name in enumerate(NAMES)]}))
    conf.chmod(0o600)
    environ = dict(os.environ, PYTHONPATH=str(CHECKOUT), RUNTIME_DIRECTORY=str(folder / "run"))
    command = [sys.executable, "-m", "lsyncd_lite"]
    daemon = subprocess.Popen(command + ["-nodaemon", str(conf)], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def told():
        done = subprocess.run(command + ["status", "-json", "-socket", str(folder / "run" / "daemon.sock")], env=environ, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False)
        found = json.loads(done.stdout.decode()) if done.returncode == 0 else {"syncs": []}
        return found if found["syncs"] and all(sync["last_success"] for sync in found["syncs"]) else None
    try:
        found = wait_for(told, lambda: (folder / "log").read_text())
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)
    for number, sync in enumerate(found["syncs"]):
        sync["history"] = {"every": 60, "points": [[minute * number, minute / 3, 5, minute > 40] for minute in range(60)]}
    found["syncs"][0].update(state="waiting", last_error="rsync ended with 10: " + "Connection refused " * 20, failing_since=found["at"] - 1000)
    found["syncs"][1].update(state="starting", progress={"bytes": 5, "percent": 43, "files": 3, "rate": 1e6, "left": 130})
    return found


@pytest.fixture(scope="module")
def internet():
    """A proxy for all that the browser wants of others: (its port, [URL])."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_POST = do_CONNECT = do_GET

        def log_message(self, *_words):
            pass
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def browser(tmp_path, internet):
    """Run it without a screen: `browser(text of a page, *options)` returns what it prints."""
    def run(text, *options):
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        done = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--proxy-server=http://127.0.0.1:%d" % internet[0], "--user-data-dir=%s" % (tmp_path / "profile"),
             "--virtual-time-budget=3000", *options, "file://%s" % (tmp_path / "page.html")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=True, env=dict(os.environ, HOME=str(tmp_path)))
        return done.stdout.decode()
    return run


def pixels(path):
    """Return (width, height, the pixels as a set of colours, how bright they are, 0 to 255) of a PNG with 8 bits a channel (RFC 2083)."""
    data, at, chunks = path.read_bytes(), 8, {}
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        chunks[kind] = chunks.get(kind, b"") + data[at + 8:at + 8 + length]
        at += length + 12
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert depth == 8 and colour in (2, 6)
    size = 3 if colour == 2 else 4
    raw, line, found, total = zlib.decompress(chunks[b"IDAT"]), bytes(width * size), set(), 0
    for row in range(height):
        start = row * (width * size + 1)
        kind, now = raw[start], bytearray(raw[start + 1:start + 1 + width * size])
        for index in range(len(now)):
            left = now[index - size] if index >= size else 0
            up, corner = line[index], line[index - size] if index >= size else 0
            if kind == 4:
                guess = left + up - corner
                near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            else:
                near = (0, left, up, (left + up) // 2)[kind]
            now[index] = (now[index] + near) & 255
        line = bytes(now)
        found.update(zip(*(line[channel::size] for channel in range(3))))
        total += sum(line[1::size])
    return width, height, found, total / (width * height)


def test_it_is_seen_light_and_dark(snapshot, browser, tmp_path):
    text, bright = page.render(snapshot, "web1"), {}
    for scheme, name in (("1", "light"), ("0", "dark")):
        browser(text, "--blink-settings=preferredColorScheme=%s" % scheme, "--window-size=800,900", "--screenshot=%s" % (tmp_path / (name + ".png")))
        width, height, colours, bright[name] = pixels(tmp_path / (name + ".png"))
        assert (width, height) == (800, 900) and len(colours) > 50, "it is blank"
    assert bright["light"] > 200 and bright["dark"] < 80, bright


FRAME = """<!doctype html><iframe style="width:%dpx;height:800px;border:0" srcdoc="%s"></iframe><p id="told"></p><script>
onload = function () {
  var inside = document.querySelector("iframe").contentWindow, shut = inside.document.documentElement.scrollWidth;
  inside.document.querySelectorAll("details").forEach(function (one) { one.open = true; });
  document.getElementById("told").textContent = [inside.innerWidth, shut, inside.document.documentElement.scrollWidth,
    inside.document.querySelectorAll("article").length, inside.document.querySelectorAll("svg path").length].join(" ");
};</script>"""


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_is_wider_than_the_screen(snapshot, browser, width):
    dom = browser(FRAME % (width, html.escape(page.render(snapshot, "web1"))), "--dump-dom", "--window-size=1400,900")
    told = re.search(r'<p id="told">([\d ]+)</p>', dom)
    assert told, dom[-1000:]
    inner, shut, opened, articles, paths = map(int, told.group(1).split())
    assert inner == width and shut <= width and opened <= width, told.group(1)
    assert articles == len(NAMES) and paths >= 2 * len(NAMES)


def test_it_asks_nobody_and_runs_nothing(snapshot, browser, internet):
    asked, text = internet[1], page.render(snapshot, "web1")
    inserted = '<img src="%sinserted"><script>document.title = "it ran"</script><link rel="stylesheet" href="%sstyle"></main>' % (EVIL, EVIL)
    assert "it ran" not in browser(text, "--dump-dom")
    assert "<title>it ran" not in browser(text.replace("</main>", inserted), "--dump-dom"), "the policy lets a script run"
    assert not [url for url in asked if "evil.example" in url]
    dom = browser(text.replace("</main>", inserted).replace("Content-Security-Policy", "nothing"), "--dump-dom")
    assert "<title>it ran" in dom and EVIL + "inserted" in asked, "the test itself sees nothing"
