"""docs/tutorial.md and docs/first-rule.md, typed as they stand, in an empty folder, on a real Kafka."""

import re
from pathlib import Path

import pytest

from tests.deploy.typed import typed
from tests.services.harness import ROOT

TUTORIAL_S_MAX, FIRST_RULE_S_MAX = 1200.0, 900.0


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.train
def test_the_tutorial_goes_from_an_unknown_topic_to_alerts_a_case_and_the_next_version(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    """One shell, as a reader has it; whatever ends with another status than 0 ends it."""
    # topics and groups apart from those of other tests
    groups = {"ASSAY_GROUP": "scorer", "ASSAY_INTAKE_GROUP": "intake", "ASSAY_CASES_GROUP": "cases"}
    apart = {name: f"{topic_prefix}{group}" for name, group in groups.items()}
    apart |= {"ASSAY_TOPIC_PREFIX": topic_prefix, "ASSAY_INTAKE_HTTP_PORT": "0", "ASSAY_CASES_HTTP_PORT": "0"}
    said = typed(ROOT / "docs" / "tutorial.md", tmp_path, kafka_bootstrap, TUTORIAL_S_MAX, **apart)
    assert (tmp_path / "shop" / "bundle" / "report.html").is_file()
    assert "routed" in said
    assert said.count("Exactly once: nothing missing") == 2
    found = re.search(r"(\d+) frauds, (\d+) labelled", said)
    assert found is not None, said[-3000:]
    assert int(found[1]) == int(found[2]) >= 2, "the case's and the charge-back"
    assert "record.skipped" not in (tmp_path / "shop" / "cases.log").read_text()
    assert said.count("4 of 4 partitions have it active.") == 2


@pytest.mark.slow
@pytest.mark.broker
def test_a_first_rule_is_tried_promoted_judged_by_labels_and_taken_back(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    """An analyst's morning: a deny-list, a rule in shadow, what it would have found, its precision, and the way back."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    apart = {
        "ASSAY_TOPIC_PREFIX": topic_prefix,
        "ASSAY_GROUP": f"{topic_prefix}scorer",
        "ASSAY_MONITOR_GROUP": f"{topic_prefix}monitor",
        "ASSAY_MONITOR_HTTP_PORT": "0",
        "ASSAY_PARTITIONS": "2",
    }
    said = typed(ROOT / "docs" / "first-rule.md", tmp_path, kafka_bootstrap, FIRST_RULE_S_MAX, **apart)
    assert "It would have caught" in said
    assert "<h2>By rule</h2>" in (tmp_path / "what-if.html").read_text()
    assert "2 of 2 partitions have it active." in said
    assert "deciding: none, in shadow: none" in said
    assert "Exactly once: nothing missing" in said
    assert ", 0 differ in a bit" in said or ": 0 differ in a bit" in said
