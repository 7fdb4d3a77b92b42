"""The dashboards as files: current, whole, and about metrics that exist."""

import json
import re
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.source import runbooks
from deploy.grafana.source.build import BOARDS, OUT, ROOT, pages
from tests.observability.catalogue import NOT_SHOWN, asked, metrics, names

GIVEN = {"job", "instance", "le", "bundle", "provider"}
"""Labels that Prometheus adds, that a histogram has, and that a join of the model's version brings."""

FILES = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(OUT.glob("*.json"))}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Every panel but the rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def lost(before: Any, after: Any, where: str = "") -> list[str]:
    """What is in `before` and not, or otherwise, in `after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            found
            for key, value in before.items()
            for found in (lost(value, after[key], f"{where}/{key}") if key in after else [f"{where}/{key}"])
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            found
            for i, (one, other) in enumerate(zip(before, after, strict=True))
            for found in lost(one, other, f"{where}/{i}")
        ]
    return [] if before == after else [where]


def test_what_is_committed_is_what_the_source_builds() -> None:
    """`make dashboards` was run."""
    assert {path.name: path.read_text(encoding="utf-8") for path in sorted(OUT.glob("*.json"))} == pages()


@pytest.mark.parametrize("name", FILES)
def test_a_dashboard_goes_through_the_sdk_without_losing_a_key(name: str) -> None:
    """Read by the SDK's own types and written again: an option that Grafana does not know would be gone."""
    register_default_plugins()
    again = json.loads(json.dumps(Dashboard.from_json(FILES[name]), cls=JSONEncoder))
    assert lost(FILES[name], again) == []


def test_ids_are_unique() -> None:
    """Of dashboards, and of the panels within each."""
    assert len({board["uid"] for board in FILES.values()}) == len(FILES)
    for board in FILES.values():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)


def test_every_panel_says_what_it_shows_in_which_unit_and_what_to_do() -> None:
    """Unit, description, and a link to a runbook that is there."""
    there = {panel["id"] for panel in FILES[f"{runbooks.UID}.json"]["panels"]}
    for name, board in FILES.items():
        for panel in panels(board):
            assert panel["title"], name
            assert len(panel["description"]) > 10, panel["title"]
            unit = panel["fieldConfig"]["defaults"].get("unit") or panel["options"].get("yAxis", {}).get("unit")
            assert unit, panel["title"]
            if board["uid"] != runbooks.UID:
                (link,) = panel["links"]
                linked = re.fullmatch(rf"/d/{runbooks.UID}\?viewPanel=(\d+)", link["url"])
                assert linked, panel["title"]
                assert int(linked[1]) in there, panel["title"]


def test_every_data_source_is_the_one_that_is_chosen_on_the_dashboard() -> None:
    """So that it shows something in any Grafana, imported by hand; where ours is provisioned, it is the default one."""
    file = ROOT / "deploy" / "grafana" / "provisioning" / "datasources" / "assay.yaml"
    sources = yaml.safe_load(file.read_text())["datasources"]
    assert [source["type"] for source in sources if source.get("isDefault")] == ["prometheus"]
    for board in FILES.values():
        variables = board["templating"].get("list", [])
        chosen = [(one["name"], one["query"]) for one in variables if one["type"] == "datasource"]
        asking = [one for one in variables if one["type"] == "query"]
        for panel in panels(board):
            asking += [one for one in (panel, *panel.get("targets", [])) if "datasource" in one]
        assert chosen == ([("datasource", "prometheus")] if asking else [])
        for one in asking:
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_a_dashboard_can_be_imported_by_hand() -> None:
    """No id of another Grafana's, no place that its export would have to be filled in."""
    for name, board in FILES.items():
        assert "id" not in board or board["id"] is None, name
        assert "__inputs" not in board
        assert "${DS_" not in json.dumps(board)
        assert f"{board['uid']}.json" == name


def test_every_metric_that_is_asked_for_exists_with_the_labels_that_are_used() -> None:
    """In docs/metrics.md, which comes from the code: a renamed metric fails here, not in front of a user."""
    known = metrics()
    for ask in asked():
        found = names(ask.expr)
        assert found <= set(known), f"{ask.who}: {found - set(known)}"
        labels = GIVEN.union(*(known[name] for name in found))
        grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", ask.expr) for label in group.split(",")}
        matched = set(re.findall(r'[{,]\s*(\w+)\s*(?:=~|!=|=)\s*"', ask.expr))
        assert grouped | matched <= labels, f"{ask.who}: {(grouped | matched) - labels}"


def test_every_metric_is_shown_or_says_why_not() -> None:
    """What no one looks at need not be measured."""
    used = {name for ask in asked() for name in names(ask.expr)}
    assert set(metrics()) - used == set(NOT_SHOWN)


def test_every_board_is_written() -> None:
    """The five, and the runbooks."""
    assert {board.uid for board in BOARDS} | {runbooks.UID} == {board["uid"] for board in FILES.values()}
