"""Entries of lists that persons have to sign: which records count for a scorer, and that the others are named. No Kafka."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from schemas import codec
from schemas.lists import ListEntry, entry_key
from services.clock import wall_ms
from services.observability.metrics import Metrics
from services.scorer.lists import ListTable
from services.signed_entries import EntryGuard
from tests.services.signing import People, people

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Written:
    """A record of `lists`."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    partition: int = 0


def entry(value: str, **changes: Any) -> ListEntry:
    """An entry of `blocked`."""
    return ListEntry(list_name="blocked", field="device", kind="value", value=value, **changes)


def record(one: ListEntry, offset: int = 0, at_ms: int | None = None) -> Written:
    """As the broker has it."""
    return Written(offset, entry_key(one), codec.write(one), wall_ms() if at_ms is None else at_ms)


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> People:
    """Persons with keys."""
    return people(tmp_path_factory.mktemp("persons"))


def on(table: ListTable, *values: str) -> list[bool]:
    """Which values are on `blocked`."""
    return table.lists.contains("blocked", "device", values, np.zeros(len(values), np.int64)).tolist()


def why_not(signers: People, written: Written, signatures_min: int = 1) -> str:
    """Why a record does not count."""
    with pytest.raises(codec.RejectedError) as error:
        EntryGuard(signers.rule(signatures_min)).check(written)
    assert "d-1" not in str(error.value), "no word of the value"
    return str(error.value)


def test_what_enough_persons_signed_counts(signers: People) -> None:
    """A lead's signature is enough for a list; two persons where two are needed; an analyst's is none."""
    for needed, names in ((1, ("lena",)), (1, ("ana", "rosa")), (2, ("lena", "rosa"))):
        (one,) = signers.signed([entry("d-1")], *names)
        EntryGuard(signers.rule(needed)).check(record(one))
    assert "no one of ASSAY_PERSONS_FILE did" in why_not(signers, record(signers.signed([entry("d-1")], "ana")[0]))
    assert "only rosa did" in why_not(signers, record(signers.signed([entry("d-1")], "rosa", "rosa")[0]), 2)


def test_what_is_not_signed_or_changed_since_does_not_count(signers: People) -> None:
    """Each with its reason."""
    (good,) = signers.signed([entry("d-1")], "rosa")
    other = good.model_copy(update={"removed": True})
    elsewhere = entry("d-1").model_copy(update={"list_name": "trusted", "proof": good.proof})
    step = signers.signed([entry("d-1")], "rosa", action="promote", line="fraud")[0]
    assert "carries no signature" in why_not(signers, record(entry("d-1")))
    assert "other entries than this" in why_not(signers, record(other))
    assert "something else" in why_not(signers, record(elsewhere))
    assert "something else" in why_not(signers, record(step))
    assert "deletes" in why_not(signers, replace(record(good), value=None))
    assert "key" in why_not(signers, replace(record(good), key=b"blocked/device/value/d-9"))
    assert "over before" in why_not(signers, record(good, at_ms=wall_ms() + HOUR_MS + 1000))


def test_what_was_taken_back_is_not_brought_back_by_the_old_record(signers: People) -> None:
    """Nor an entry taken off by an old removal; the very same record again changes nothing."""
    guard = EntryGuard(signers.rule())
    (added,) = signers.signed([entry("d-1", written_at_ms=10)], "rosa")
    (gone,) = signers.signed([entry("d-1", written_at_ms=20, removed=True)], "rosa")
    (back,) = signers.signed([entry("d-1", written_at_ms=30)], "rosa")
    for one in (added, added, gone, gone, back):
        guard.check(record(one))
    for one in (added, gone):
        with pytest.raises(codec.RejectedError, match="repeated"):
            guard.check(record(one))


def test_a_scorers_table_leaves_out_names_and_counts_what_does_not_count(signers: People) -> None:
    """Among many that do; its offset goes on, and a table without the rule takes all."""
    signed = signers.signed([entry(f"d-{number}") for number in range(300)], "lena")
    records = [record(one, offset) for offset, one in enumerate(signed)]
    records.append(record(entry("forged"), 300))
    records.append(record(signed[5].model_copy(update={"removed": True}), 301))
    metrics = Metrics()
    table = ListTable(metrics, EntryGuard(signers.rule()))
    table.apply(records[:150])
    table.apply(records[150:])
    assert on(table, "d-0", "d-5", "d-299", "forged") == [True, True, True, False]
    assert (table.next_offset, table.persons) == (302, signers.rule().digest[:16])
    assert metrics.registry.get_sample_value("assay_table_records_refused_total", {"topic": "lists"}) == 2
    plain = ListTable()
    plain.apply(records)
    assert on(plain, "d-0", "d-5", "forged") == [True, False, True]
    assert plain.persons is None


def test_what_was_written_after_who_signed_it_had_left_does_not_count(signers: People, tmp_path: Path) -> None:
    """What was written before does, also by the same statement, and for ever."""
    left_ms = 1_900_000_000_000
    listed = yaml.safe_load(signers.file.read_text())
    listed["persons"][0]["left"] = "2030-03-17T17:46:40Z"
    (tmp_path / "persons.yaml").write_text(yaml.safe_dump(listed))
    keep_h = (left_ms + HOUR_MS - wall_ms()) / HOUR_MS
    before, after = signers.signed([entry("d-1"), entry("d-2")], "rosa", keep_h=keep_h)
    guard = EntryGuard(People(tmp_path).rule())
    guard.check(record(before, 0, left_ms - 1))
    with pytest.raises(codec.RejectedError, match="had left"):
        guard.check(record(after, 1, left_ms))
    (both,) = signers.signed([entry("d-3")], "rosa", "lena", keep_h=keep_h)
    guard.check(record(both, 2, left_ms))


def test_the_name_of_those_who_sign_changes_with_them_and_with_how_many(signers: People, tmp_path: Path) -> None:
    """By it a replay knows whether it judges as the scorer did."""
    names = {signers.rule(1).digest, signers.rule(2).digest, people(tmp_path).rule(1).digest}
    assert len(names) == 3
    assert signers.rule(1).digest == signers.rule(1).digest
