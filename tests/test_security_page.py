"""SECURITY.md and docs/privacy.md name every topic, as schemas/topics.py has it."""

import re
from pathlib import Path

from schemas.credit_label import CREDIT_LABEL_AGE_DAYS_MAX
from schemas.label import LABEL_AGE_DAYS_MAX
from schemas.topics import ACCESS, DAY_MS, TOPICS

ROOT = Path(__file__).parents[1]


def test_the_table_of_topics_says_who_writes_and_reads_each() -> None:
    """Derived from what the ACLs are made of; each row says what a forged record can do."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = {row[0]: row[1:] for row in re.findall(r"^\| `([a-z-]+)` \| (.*?) \| (.*?) \| (.+) \|$", text, re.MULTILINE)}
    for topic in TOPICS:
        writers = ", ".join(access.name for access in ACCESS if topic in access.writes)
        readers = ", ".join(access.name for access in ACCESS if topic in (*access.reads, *access.grouped))
        assert rows[topic.name][:2] == (writers, readers), topic.name
        assert len(rows[topic.name][2]) > 5, topic.name
    assert "MISSING" not in text


def test_what_remains_is_there_for_as_long_as_the_topics_keep_it() -> None:
    """The days of the table are those that topics are made with."""
    text = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| .+ \| (\d+) days \|$", text, re.MULTILINE))
    kept = {topic.name: topic.retention_ms for topic in TOPICS}
    assert len(rows) >= 7
    ledger, of_credit = (int(rows.pop(name)) for name in ("monitor-ledger", "credit-monitor-ledger"))
    assert {name: int(days) * DAY_MS for name, days in rows.items()} == {name: kept[name] for name in rows}
    assert (kept["monitor-ledger"], ledger) == (None, LABEL_AGE_DAYS_MAX)
    assert (kept["credit-monitor-ledger"], of_credit) == (None, CREDIT_LABEL_AGE_DAYS_MAX)


def test_what_remains_after_an_erasure_names_every_topic_about_a_card() -> None:
    """Those whose schema has the card, the payment or the case."""
    text = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    about = {"card_id", "transaction_id", "muted_id"}
    for topic in TOPICS:
        if about & set(topic.schema.model_fields):
            assert f"`{topic.name}`" in text, topic.name
