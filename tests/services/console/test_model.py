"""The read model: rank, search, links, versions. On the real database, without Kafka."""

import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from schemas import codec, topics
from schemas.alert import ShownAttribute
from schemas.case import Case, Mute
from services.console.follower import Batch
from services.console.model import CASES, FINDINGS, META, MUTES, TERMS, Finding, Position, ReadModel
from services.console.queries import Filter, Queries
from services.console.timeline import SHOWN_MAX, Payment, timeline
from services.errors import AssayError
from services.text import masked
from tests.services.cases.test_stream import alert
from tests.services.console.stand import HOUR_MS, case_of

CARD = "card-pseudonym-0001"


def filled(directory: Path, cases: list[Case]) -> Queries:
    """A database of these."""
    model = ReadModel(f"sqlite:///{directory}/console.db")
    model.take({case.case_id: case for case in cases}, {}, [Position("cases", 0, "id", 7)], 5)
    return Queries(model)


def some(count: int, **changes: Any) -> list[Case]:
    """Cases of as many cards, some of the same money."""
    return [case_of([alert(n, f"card-pseudonym-{n:04d}", amount=10.0 * (n // 2), **changes)], n) for n in range(count)]


def test_pages_of_the_queue_hold_each_case_once_in_its_rank(tmp_path: Path) -> None:
    """Escalated first, then the most money at risk, then the id; ends fall between cases of the same money too."""
    cases = some(25)
    cases[3] = cases[3].model_copy(update={"escalated": True})
    queries = filled(tmp_path, cases)
    found, cursor = [], None
    while True:
        page = queries.queue(Filter(), 4, cursor)
        found += page.cases
        cursor = page.cursor
        if cursor is None:
            break
    assert found == sorted(cases, key=lambda case: (case.escalated, case.priority, case.case_id), reverse=True)
    with pytest.raises(ValueError, match="unpack"):
        queries.queue(Filter(), 4, "nonsense")


def test_filters_narrow_the_queue(tmp_path: Path) -> None:
    """By state, assignee, severity and age."""
    cases = some(6, probability=0.95)
    cases[1] = cases[1].model_copy(update={"assignee": "ana"})
    cases[2] = cases[2].model_copy(update={"state": "confirmed", "change": "confirmed"})
    cases[3] = case_of([alert(3, "card-old")], 3, age_ms=9 * HOUR_MS)
    queries = filled(tmp_path, cases)

    def ids(wanted: Filter) -> set[str]:
        return {case.case_id for case in queries.queue(wanted, 50).cases}

    assert ids(Filter("confirmed")) == {"0-2"}
    assert ids(Filter(assignee="ana")) == {"0-1"}
    assert ids(Filter(assignee="")) == {"0-0", "0-3", "0-4", "0-5"}
    assert ids(Filter(severity=2)) == {"0-3"}
    assert ids(Filter(opened_before_ms=cases[3].opened_at_ms + 1)) == {"0-3"}
    counts = queries.counts(cases[3].opened_at_ms + 1)
    assert (counts.waiting, counts.unassigned, counts.escalated, counts.overdue) == (5, 4, 0, 1)


def test_a_case_is_found_by_each_of_its_ids_and_no_longer_by_those_it_lost(tmp_path: Path) -> None:
    """Case, card, card's end, payment, terminal, attribute."""
    shown = (ShownAttribute(name="device", words="Device", text="d-1"),)
    case = case_of([alert(1, CARD, attributes=shown)], 100)
    queries = filled(tmp_path, [case, *some(3)])
    for text in (case.case_id, CARD, f"tx-{CARD}-1", "d-1"):
        assert case in queries.search(text), text
    assert case in queries.search(masked(CARD))
    assert len(queries.search("terminal-1")) == 2
    assert queries.search("terminal") == []
    queries.model.take({case.case_id: None}, {}, [], 6)
    assert queries.search("d-1") == []
    assert queries.case(case.case_id) is None


def test_linked_cases_share_a_terminal_or_an_attribute_but_never_the_end_of_a_masked_one(tmp_path: Path) -> None:
    """The end of a personal attribute is many people's."""

    def at(number: int, device: str) -> Case:
        shown = (
            ShownAttribute(name="device", words="Device", text=device),
            ShownAttribute(name="payee", words="Payee", text="***41c2"),
        )
        return case_of([alert(number, f"card-{number}", terminal_id=f"t-{number // 2}", attributes=shown)], number)

    cases = [at(0, "d-1"), at(1, "d-2"), at(2, "d-1"), at(5, "d-9")]
    links = filled(tmp_path, cases).links(cases[0])
    assert {(link.what, link.term, link.count): [c.case_id for c in link.cases] for link in links} == {
        ("terminal", "t-0", 1): ["0-1"],
        ("Device", "d-1", 1): ["0-2"],
    }


def test_positions_are_written_with_what_they_stand_for_or_not_at_all(tmp_path: Path) -> None:
    """A batch that fails leaves neither."""
    queries = filled(tmp_path, some(1))
    bad: Any = {"0-9": object()}
    with pytest.raises(AttributeError):
        queries.model.take(bad, {}, [Position("cases", 0, "id", 99)], 9)
    assert queries.model.positions() == ([Position("cases", 0, "id", 7)], 5)
    assert queries.case("0-0") is not None


def test_a_database_of_another_version_is_made_again_and_a_url_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    """It can be thrown away; a user's mistake shows no traceback."""
    queries = filled(tmp_path, some(1))
    with queries.model.engine.begin() as connection:
        connection.execute(sa.update(META).values(version=0))
    assert ReadModel(f"sqlite:///{tmp_path}/console.db").positions() == ([], None)
    with pytest.raises(AssayError, match="ASSAY_CONSOLE_DATABASE_URL"):
        ReadModel("nonsense")


def test_mutes_come_and_go(tmp_path: Path) -> None:
    """Each partition has one; a page shows it once."""
    queries = filled(tmp_path, some(1))
    mute = Mute(scope="card", muted_id=CARD, until_ms=None, by="ana", note="fair")
    queries.model.take({}, {f"{n}:card:{CARD}": mute for n in range(4)}, [], 6)
    assert queries.mutes([CARD]) == [mute]
    queries.model.take({}, {f"{n}:card:{CARD}": None for n in range(4)}, [], 7)
    assert queries.mutes([CARD]) == []


def test_no_record_holds_text_or_a_key_that_a_database_refuses(tmp_path: Path) -> None:
    """A payer chooses attributes, and any writer of the topic keys: PostgreSQL takes no NUL, and no more than a column has."""
    shown = (ShownAttribute(name="device", words="Device", text="d\0" + "x" * 197),)
    case = case_of([alert(1, CARD, attributes=shown)], 100)
    queries = filled(tmp_path, [case])
    mute = Mute(scope="card", muted_id=CARD, until_ms=None, by="a" * 100, note="so\0")
    key = f"0:card:{CARD}"
    finding = Finding("budget:" + "\0" * 5000, "budget", 1, b"{}")
    queries.model.take({"\0" * 5000: None}, {key: mute, "\0" * 5000: None}, [], 6, [finding])
    assert queries.search(shown[0].text) == [case]
    assert queries.links(case) == []
    assert queries.mutes([CARD])[0].note == "so\N{REPLACEMENT CHARACTER}"
    with queries.model.engine.connect() as connection:
        for table in (CASES, TERMS, MUTES, FINDINGS):
            for row in connection.execute(sa.select(table)).mappings():
                for column in table.columns:
                    if isinstance(row[column.name], str):
                        assert "\0" not in row[column.name]
                        assert len(row[column.name]) <= (getattr(column.type, "length", None) or 500)


@pytest.mark.parametrize("key", [b"", b"\0", b"\xff", b"0-1x", b"1-5", b"0-" + b"9" * 5000, b"0:card:a\0", b"1:card:a"])
@pytest.mark.parametrize("topic", [topics.CASES, topics.CASE_MUTES])
def test_a_deletion_under_a_key_that_nothing_has_is_refused(topic: topics.Topic, key: bytes) -> None:
    """Of a case of another partition, too."""
    batch = Batch()
    with pytest.raises(codec.SchemaError):
        batch.add(topic, SimpleNamespace(partition=0, key=key, value=None))
    assert batch == Batch()
    good = "0-5" if topic is topics.CASES else "0:card:a b:ü"
    batch.add(topic, SimpleNamespace(partition=0, key=good.encode(), value=None))
    assert good in batch.cases | batch.mutes


@pytest.mark.parametrize("cursor", ["9" * 19 + "~0-1", "9" * 5000 + "~0-1", "-" + "9" * 19 + "~0-1", "1~0-1~", "x~0-1"])
def test_a_place_in_the_queue_that_no_page_leads_to_is_refused(tmp_path: Path, cursor: str) -> None:
    """Before the database is asked."""
    with pytest.raises(ValueError):  # noqa: PT011 - a number's own words, or ours
        filled(tmp_path, some(1)).queue(Filter(oldest_first=True), 5, cursor)


def test_the_file_is_its_owners_alone_and_no_error_quotes_what_is_in_it(tmp_path: Path) -> None:
    """One of an earlier version that others could read, too."""
    file = tmp_path / "console.db"
    file.touch(0o644)
    file.chmod(0o644)
    queries = filled(tmp_path, some(2))
    assert [stat.S_IMODE(one.stat().st_mode) for one in tmp_path.glob("console.db*")] == [0o600] * len(
        list(tmp_path.glob("console.db*"))
    )
    row = queries.model.engine.connect().execute(sa.select(CASES)).mappings().first()
    assert row is not None
    with pytest.raises(sa.exc.IntegrityError) as failed, queries.model.engine.begin() as connection:
        connection.execute(sa.insert(CASES), dict(row))
    assert CARD[:-1] not in str(failed.value)


def test_a_timeline_stays_within_its_frame_whatever_the_payments_are() -> None:
    """One payment, all at once, refunds, more than it has room for."""
    for payments in ([(5, 10.0)], [(5, 0.0)] * 3, [(n, -4.0 + n) for n in range(SHOWN_MAX + 9)]):
        chart = timeline([Payment(ms, amount, 1.0, 0.0, "t") for ms, amount in payments])
        assert chart is not None
        assert len(chart.marks) <= SHOWN_MAX
        assert all(0 <= m.x <= 640 and m.bar_y >= 80 and m.bar_y + m.bar_height <= 141 for m in chart.marks)
    assert timeline([]) is None
