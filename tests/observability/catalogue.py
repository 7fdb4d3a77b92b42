"""What there is to be seen: the catalogue of metrics, and everything that asks for one."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.grafana.source.build import BOARDS

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules"

ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*) \| .* \|$", re.MULTILINE)
NAME = re.compile(r"\bassay_\w+")
SUFFIXES = ("_bucket", "_sum", "_count")

NOT_SHOWN: dict[str, str] = {}
"""Metric that no panel and no rule asks for -> why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One expression, and who asks."""

    who: str
    expr: str


@cache
def metrics() -> dict[str, set[str]]:
    """Labels of each metric of ours, by name, from docs/metrics.md, which is generated from the code."""
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    return {name: set(filter(None, labels.split(", "))) for name, _, labels in ROW.findall(page)}


@cache
def rules() -> list[dict[str, Any]]:
    """Every rule, alerting and recording."""
    groups = [
        group
        for path in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    ]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """Every alerting rule."""
    return [rule for rule in rules() if "alert" in rule]


def asked() -> list[Asked]:
    """Every expression of the dashboards and the rules."""
    panels = [
        Asked(f"{board.title} / {chart.title}", query.expr)
        for board in BOARDS
        for chart in board.charts
        for query in chart.queries
    ]
    return panels + [Asked(rule.get("alert", rule.get("record", "")), rule["expr"]) for rule in rules()]


def names(expr: str) -> set[str]:
    """The metrics of ours that an expression asks for, without a histogram's suffixes and without what rules record."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for name in recorded:
        expr = expr.replace(name, "")
    found = set()
    for name in NAME.findall(expr):
        suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
        base = name.removesuffix(suffix)
        found.add(base if base in metrics() else name)
    return found
