"""Alert rules: read by promtool, each tested firing and not firing, each with a runbook that exists."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.source import runbooks
from tests.observability.catalogue import ROOT, alerts
from tests.observability.prometheus import needed

FOLDER = ROOT / "deploy" / "prometheus"
CASES = sorted((FOLDER / "tests").glob("*.yaml"))


def run(*arguments: str) -> None:
    """Promtool, which is to find nothing."""
    done = subprocess.run([needed("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def cases() -> list[dict[str, Any]]:
    """Every expectation about an alert."""
    tests = [test for path in CASES for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]]
    return [case for test in tests for case in test.get("alert_rule_test", [])]


def test_the_configuration_and_every_rule_are_read() -> None:
    """By `promtool check`."""
    run("check", "config", str(FOLDER / "prometheus.yaml"))
    run("check", "rules", *(str(path) for path in sorted((FOLDER / "rules").glob("*.yaml"))))


@pytest.mark.slow
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_rules_fire_when_they_should_and_only_then(path: Path) -> None:
    """By `promtool test rules`."""
    run("test", "rules", str(path))


def test_every_alert_is_tested_both_ways() -> None:
    """An alert that cannot fire, and one that cannot be silent, are both worthless."""
    wanted = {rule["alert"] for rule in alerts()}
    assert {case["alertname"] for case in cases() if case["exp_alerts"]} == wanted
    assert {case["alertname"] for case in cases() if not case["exp_alerts"]} == wanted


def test_every_alert_says_what_is_wrong_how_bad_and_what_to_do() -> None:
    """A summary, a severity that Alertmanager routes, a runbook and a dashboard that exist."""
    there = runbooks.read(ROOT / "docs" / "runbooks.md")
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/runbooks.md", rule["alert"]
        assert anchor in there, rule["alert"]
        uid = rule["annotations"]["dashboard"].removeprefix("/d/")
        assert (ROOT / "deploy" / "grafana" / "dashboards" / f"{uid}.json").is_file(), rule["alert"]


def test_every_runbook_says_what_it_means_and_what_to_do() -> None:
    """The same three headings everywhere, so that a reader at three in the morning finds them."""
    for title, body in runbooks.read(ROOT / "docs" / "runbooks.md").values():
        assert "**Means.**" in body, title
        assert "**Do.**" in body, title


def test_alertmanager_routes_to_receivers_that_it_has_and_inhibits_alerts_that_exist() -> None:
    """The example is one that starts."""
    config = yaml.safe_load((FOLDER / "alertmanager.yaml").read_text(encoding="utf-8"))
    receivers = {receiver["name"] for receiver in config["receivers"]}
    routes = [config["route"], *config["route"]["routes"]]
    assert {route["receiver"] for route in routes} <= receivers
    known = {rule["alert"] for rule in alerts()}
    named = [
        name
        for rule in config["inhibit_rules"]
        for matcher in rule["source_matchers"] + rule["target_matchers"]
        for name in matcher.split('"')[1].removesuffix(".*").split("|")
    ]
    for name in named:
        assert any(alert.startswith(name.removesuffix(".*")) for alert in known), name
