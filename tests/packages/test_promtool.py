"""The metrics file and the rules of the manual page, as Prometheus itself reads them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests" / "unit")]

from exposition import HOSTILE, facts, read, taken  # noqa: E402
from lsyncd_lite.report import manpage, metrics  # noqa: E402

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (package prometheus) is not installed")
FULL = dict(progress={"percent": 42}, canary={"file": "c", "age": 1.5, "lag": 0.5})
DAEMON = dict(started=9e8, watches=5, watches_limit=8192, polled=0, overflows=2, memory=12 * 2 ** 20, refused="no")


def promtool(*argv, text=None):
    """Run it; return its status and what it printed."""
    ended = subprocess.run(["promtool", *argv], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return ended.returncode, ended.stdout.decode()


@pytest.mark.parametrize("snapshot", [
    taken(), taken(facts("www")), taken(*(facts(name, **FULL) for name in HOSTILE), **DAEMON),
    taken(*(facts("s%d" % number, **FULL) for number in range(200)), **DAEMON)], ids=["none", "one", "hostile", "many"])
def test_there_is_nothing_to_say_against_it(snapshot):
    text = metrics.render(snapshot).encode("utf-8", "backslashreplace")
    assert promtool("check", "metrics", text=text) == (0, "")


def test_promtool_would_say_something():
    status, words = promtool("check", "metrics", text=b"# TYPE a_total gauge\na_total 1\n")
    assert status and "a_total" in words


def rules():
    prose = (CHECKOUT / "man" / "lsyncd-lite.conf.5.in").read_text(encoding="utf-8")
    (found,) = [text for text in manpage.examples(prose, "code") if text.startswith("groups:")]
    return found


def test_the_rules_of_the_manual_page_are_rules_and_of_metrics_that_there_are(tmp_path):
    (tmp_path / "rules.yml").write_text(rules())
    status, words = promtool("check", "rules", str(tmp_path / "rules.yml"))
    assert status == 0 and "4 rules found" in words, words
    names = set(re.findall(r"lsyncd_lite_\w+", rules()))
    assert len(names) > 4 and names <= set(read(metrics.render(taken(facts("www", **FULL), **DAEMON))))


def test_the_rules_fire_when_they_should(tmp_path):
    (tmp_path / "rules.yml").write_text(rules())
    late, labels = 'lsyncd_lite_oldest_pending_seconds{sync="www",mode="rsync",target="h:/x"}', "{sync: www, mode: rsync, target: 'h:/x'"
    (tmp_path / "test.yml").write_text("""
rule_files: [rules.yml]
tests:
- interval: 1m
  input_series:
  - {series: 'lsyncd_lite_info{version="1"}', values: '1x60'}
  - {series: '%s', values: '0x10 1900+60x50'}
  - {series: '%s', values: '0x10 1x50'}
  - {series: '%s', values: '0x60'}
  alert_rule_test:
  - {eval_time: 10m, alertname: LsyncdLiteLate}
  - eval_time: 30m
    alertname: LsyncdLiteLate
    exp_alerts:
    - exp_labels: %s}
      exp_annotations: {summary: 'www: changes wait for 3040 s'}
  - {eval_time: 30m, alertname: LsyncdLiteFailing}
  - eval_time: 50m
    alertname: LsyncdLiteFailing
    exp_alerts:
    - exp_labels: %s}
      exp_annotations: {summary: 'www: fails for h:/x'}
  - {eval_time: 50m, alertname: LsyncdLiteHeld}
  - {eval_time: 50m, alertname: LsyncdLiteGone}
- interval: 1m
  input_series:
  - {series: 'lsyncd_lite_held{sync="www"}', values: '1x20'}
  alert_rule_test:
  - eval_time: 10m
    alertname: LsyncdLiteHeld
    exp_alerts:
    - exp_labels: {sync: www}
      exp_annotations: {summary: 'www: held, or without a source'}
  - eval_time: 10m
    alertname: LsyncdLiteGone
    exp_alerts:
    - exp_annotations: {summary: 'no metrics of '}
""" % (late, late.replace("oldest_pending_seconds", "failing"), late.replace("oldest_pending_seconds", "held"), labels, labels))
    assert promtool("test", "rules", str(tmp_path / "test.yml"))[0] == 0, promtool("test", "rules", str(tmp_path / "test.yml"))[1]
