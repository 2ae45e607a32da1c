"""What wakes somebody: each alert fires when it should, asks for metrics that exist, and has a page on what to do."""

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deploy/k8s/components/monitoring"
RULES = yaml.safe_load((HERE / "alerts.yaml").read_text())["spec"]
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
# Of programs that are not ours: kube-state-metrics, Envoy, and the Python client of Prometheus itself.
FOREIGN = ("kube_", "envoy_", "process_")
_METRIC = re.compile(r"\b([a-z][a-z0-9_]+)\{")
_OWN = re.compile(r'(?:Counter|Gauge|Histogram)\(\s*"(\w+)"')


def metrics_of_ours():
    """Return every name that our code gives to a metric, as Prometheus will see it."""
    found = set()
    for source in [*ROOT.glob("libs/*/*/*.py"), *ROOT.glob("services/*/*/**/*.py")]:
        for name in _OWN.findall(source.read_text()):
            found |= {name, f"{name}_total", f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    return found


@pytest.fixture(scope="module")
def promtool():
    if not (found := shutil.which("promtool")):
        pytest.skip("promtool is not on this machine (Debian: the package prometheus)")
    return found


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: a["alert"])
def test_an_alert_has_a_page_that_names_it(alert):
    page = ROOT / alert["annotations"]["runbook"]
    assert f"`{alert['alert']}`" in page.read_text()


def test_every_page_belongs_to_an_alert():
    pages = {page.name for page in (ROOT / "docs/runbooks").glob("*.md")} - {"README.md"}
    assert pages == {Path(alert["annotations"]["runbook"]).name for alert in ALERTS}


def asked_for():
    for alert in ALERTS:
        yield from ((alert["alert"], name) for name in _METRIC.findall(alert["expr"]))
    for panel in json.loads((HERE / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield from ((panel["title"], name) for name in _METRIC.findall(target["expr"]))


def test_nobody_asks_for_a_metric_that_nothing_makes():
    ours = metrics_of_ours()
    assert [
        (who, name)
        for who, name in asked_for()
        if not name.startswith(FOREIGN) and name not in ours
    ] == []


def test_every_alert_is_tried_out():
    tests = yaml.safe_load((HERE / "alerts.test.yaml").read_text())["tests"]
    tried = [case for test in tests for case in test["alert_rule_test"]]
    fires = {case["alertname"] for case in tried if case["exp_alerts"]}
    silent = {case["alertname"] for case in tried if not case["exp_alerts"]}
    assert fires == silent == {alert["alert"] for alert in ALERTS}


def test_the_alerts_fire_when_they_should_and_not_before(promtool, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump(RULES))
    said(promtool, "check", "rules", rules)
    silent = copy.deepcopy(RULES)  # the sentences were checked; the cases are about when
    for rule in (rule for group in silent["groups"] for rule in group["rules"]):
        del rule["annotations"]
    rules.write_text(yaml.safe_dump(silent))
    cases = tmp_path / "tests.yaml"
    shutil.copy(HERE / "alerts.test.yaml", cases)
    said(promtool, "test", "rules", cases)


def said(program, *words):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
