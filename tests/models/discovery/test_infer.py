"""What is inferred of a sample, what is asked, and that nothing of anyone's stands in the comments."""

import random
from datetime import timedelta
from typing import Any

import pytest
import yaml

from models.discovery.draft import Answers, Draft, Guess, Question
from models.discovery.guess import infer
from models.discovery.sample import DiscoveryError
from models.discovery.write import yaml_of
from models.sources.parser import EventParser
from models.sources.spec_file import SourceSpecError, parse_source
from tests.models.discovery.making import START, event, events, sample, topic


def draft(records: list[Any], **answers: Any) -> Draft:
    return infer(sample(records), Answers(**answers))


def fields(found: Draft, name: str) -> dict[str, Any]:
    part = found.event.get(name) or found.attributes.get(name)
    assert isinstance(part, Guess), part
    return part.fields


def asked(found: Draft) -> dict[str, list[str]]:
    """Field and the options of each question."""
    return {question.field: [option.answer for option in question.options] for question in found.questions}


def read(found: Draft, records: list[Any]) -> int:
    """How many of the records the written spec reads."""
    source = parse_source(yaml_of(found))
    parser = EventParser(source)
    rows = [record.payload for record in sample(records).records if parser.meant(record.payload)]
    batch = parser.batch(rows)
    assert batch is not None
    return len(batch)


def test_plain_records_give_a_spec_that_reads_them() -> None:
    """No question is left, and no field of the event's own is missed."""
    found = draft(events())
    assert asked(found) == {}
    assert fields(found, "id") == {"path": "id"}
    assert fields(found, "time") == {"path": "time", "format": "iso8601"}
    assert fields(found, "subject") == {"path": "card"}
    assert fields(found, "counterparty") == {"path": "merchant"}
    assert fields(found, "amount") == {"path": "amount"}
    assert read(found, events()) == 300


def german(i: int) -> dict[str, str]:
    """As a bank's table has it."""
    amount = f"{(i * 7_919) % 200_000 / 100:,.2f}".translate(str.maketrans(",.", ".,"))
    at = f"{1 + i % 28:02d}.03.2026 {i % 24:02d}:00"
    return {
        "Buchungs-ID": f"B{i}", "Datum": at, "Konto": f"K{i % 60:04d}", "Empfänger": f"E{i % 41:03d}", "Betrag": amount,
        "Währung": "EUR", "Gebühr": f"{i % 9},5", "Betrug": str(int(i % 90 == 0)), "Telefon": f"0171 {i:03d} {i % 7:03d}",
    }  # fmt: skip


def test_decimal_commas_and_names_of_other_languages_are_read() -> None:
    """Amounts and attributes; a label is none, and what is about a person is marked."""
    records = [german(i) for i in range(300)]
    found = draft(records, time_zone="Europe/Berlin")
    assert asked(found) == {}
    assert fields(found, "amount") == {"path": "Betrag", "decimal": "comma"}
    assert [fields(found, name)["path"] for name in ("id", "subject", "counterparty", "currency")] == [
        "Buchungs-ID", "Konto", "Empfänger", "Währung",
    ]  # fmt: skip
    assert fields(found, "gebuhr") == {"type": "number", "path": "Gebühr", "decimal": "comma"}
    assert fields(found, "telefon") == {"type": "text", "path": "Telefon", "personal": True}
    assert "betrug" not in found.attributes
    assert read(found, records) == 300


@pytest.mark.parametrize(
    ("write", "fields_of"),
    [
        (lambda cents: f"${cents / 100:,.2f}", {"drop": "$,"}),
        (lambda cents: f"$-{cents / 100:.2f}", {"drop": "$", "at_least": -1e9}),
        (lambda cents: f"{cents / 100:,.2f}", {"drop": ","}),
        (lambda cents: f"{cents / 100:,.2f} €".translate(str.maketrans(",.", "\u00a0,")), {"drop": " \u00a0€"}),
        (lambda cents: f"{cents / 100:,.2f}".replace(",", "'"), {"drop": "'"}),
        (lambda cents: f"CHF {cents / 100:.2f}", None),
        (lambda cents: f"{cents // 100 % 900 + 100} {cents % 900 + 100}", None),
    ],
)
def test_signs_of_currencies_and_what_is_between_thousands_are_left_out(write: Any, fields_of: Any) -> None:
    """Letters are not: they may mean something."""
    records = events(amount=lambda i: write(100 + (i * 7_919) % 400_000))
    if fields_of is None:
        assert asked(draft(records)) == {"amount": []}
        return
    answers = {"amount_sign": "as_given"} if "at_least" in fields_of else {}
    found = fields(draft(records, **answers), "amount")
    decimal = {"decimal": "comma"} if "€" in fields_of["drop"] else {}
    assert found == {"path": "amount", **decimal, **fields_of}
    assert read(draft(records, **answers), records) == 300


def test_a_comma_that_may_be_one_of_thousands_is_not_taken_for_a_decimal_one() -> None:
    """1,234 is asked about in a sentence."""
    records = events(amount=lambda i: f"{1 + i % 9},{i % 1000:03d}")
    assert asked(draft(records)) == {"amount": []}
    with pytest.raises(DiscoveryError, match=r"amount is no amount: .* such as 1234.50, "):
        draft(records, amount="amount")


@pytest.mark.parametrize(
    ("given", "unit"),
    [(lambda ms: ms // 1000, "s"), (lambda ms: ms, "ms"), (lambda ms: ms * 1000, "us"), (lambda ms: str(ms), "ms")],
)
def test_the_unit_of_a_time_is_the_one_that_falls_within_1980_and_2100(given: Any, unit: str) -> None:
    """As numbers and as digits in text; the ends it means are beside it."""
    found = draft(events(time=lambda i: given(int(START.timestamp() * 1000) + 97_000 * i)))
    assert fields(found, "time") == {"path": "time", "unit": unit}
    assert "2026-01-03 00:00:00 to 2026-01-03 08:03:23" in yaml_of(found)


def test_seconds_and_milliseconds_in_one_field_are_asked() -> None:
    """Neither unit reads nearly all of them."""
    found = draft(events(time=lambda i: 1_767_225_600 * (1 if i % 2 else 1000)))
    assert list(asked(found)) == ["time"]


def test_a_day_and_month_that_no_record_tells_apart_are_asked_and_answered() -> None:
    """Both readings, with the ends that each would mean; one record above the 12th settles it."""
    early = events(time=lambda i: f"0{i % 9 + 1}/02/2026 10:{i % 60:02d}:00")
    found = draft(early, time_zone="UTC")
    assert asked(found) == {"time": ["--date-order dmy", "--date-order mdy"]}
    assert "2026-01-02 10:00:00" in yaml_of(found) or "2026-02-01 10:00:00" in yaml_of(found)
    with pytest.raises(SourceSpecError, match=r"event\.time: add it"):
        parse_source(yaml_of(found))
    told = draft(early, time_zone="UTC", date_order="mdy")
    assert fields(told, "time") == {"path": "time", "format": "%m/%d/%Y %H:%M:%S", "time_zone": "UTC"}
    late = [
        *early,
        event(999, time="25/02/2026 10:00:00"),
        *events(30, time="25/02/2026 10:00:00", id=lambda i: f"l{i}"),
    ]
    assert fields(draft(late, time_zone="UTC"), "time")["format"] == "%d/%m/%Y %H:%M:%S"


def test_a_local_time_asks_for_its_zone() -> None:
    """A zone is not in the data, so none is guessed."""
    local = events(time=lambda i: (START + timedelta(minutes=i)).strftime("%Y-%m-%dT%H:%M:%S"))
    assert asked(draft(local)) == {"time": ["--time-zone UTC", "--time-zone Europe/Paris"]}
    told = draft(local, time_zone="Europe/Paris")
    assert fields(told, "time") == {"path": "time", "format": "%Y-%m-%dT%H:%M:%S", "time_zone": "Europe/Paris"}
    assert read(told, local) == 300
    with pytest.raises(DiscoveryError, match="--time-zone Mars is not known"):
        draft(local, time_zone="Mars")


def test_two_times_and_two_subjects_are_asked() -> None:
    """Each option says what it would mean, and is one that the command takes."""
    two = events(booked_at=lambda i: 1_767_225_600_000 + i * 1000, customer=lambda i: f"c-{i % 50}")
    found = draft(two)
    assert asked(found) == {
        "time": ["--time time", "--time booked_at"],
        "subject": ["--subject card", "--subject customer"],
    }
    told = draft(two, time="booked_at", subject="customer")
    assert (fields(told, "time"), fields(told, "subject")) == (
        {"path": "booked_at", "unit": "ms"},
        {"path": "customer"},
    )
    assert fields(told, "time_value") == {"type": "time", "path": "time", "format": "iso8601"}


def test_whole_amounts_are_asked_unless_a_field_or_a_name_says_their_scale() -> None:
    """Cents and euros look alike."""
    found = draft(events(amount=lambda i: 100 + i))
    assert asked(found) == {"amount": ["--amount-scale 2", "--amount-scale 0"]}
    assert fields(draft(events(amount=lambda i: 100 + i), amount_scale="2"), "amount") == {"path": "amount", "scale": 2}
    nested = events(amount=lambda i: {"value": 100 + i, "scale": 2 if i % 2 else 3, "currency": "EUR"})
    found = draft(nested)
    assert fields(found, "amount") == {"path": "amount.value", "scale": {"path": "amount.scale"}}
    assert fields(found, "currency") == {"path": "amount.currency"}
    assert read(found, nested) == 300
    cents = events(amount=lambda i: {"cents": 100 + i})
    assert fields(draft(cents), "amount") == {"path": "amount.cents", "scale": 2}


def test_refunds_are_let_in_and_positive_ones_asked() -> None:
    """Negative decimal strings are events; a REFUND with a positive amount may be one or the other."""
    negative = events(amount=lambda i: f"{'-' if i % 9 == 0 else ''}{10 + i % 7}.50")
    found = draft(negative)
    assert fields(found, "amount") == {"path": "amount", "at_least": -1e9}
    assert read(found, negative) == 300
    positive = events(type=lambda i: "REFUND" if i % 9 == 0 else "AUTH")
    assert asked(draft(positive)) == {"amount": ["--refunds type=REFUND", "--refunds none"]}
    told = draft(positive, refunds="type=REFUND")
    source = parse_source(yaml_of(told))
    batch = EventParser(source).batch([record.payload for record in sample(positive).records])
    assert batch is not None
    assert (batch.amount[0] < 0, batch.amount[1] > 0) == (True, True)


def test_mostly_negative_amounts_are_asked() -> None:
    """A ledger's payments are negative, a card's refunds are."""
    ledger = events(amount=lambda i: -(10.25 + i))
    assert asked(draft(ledger)) == {"amount": ["--amount-sign reversed", "--amount-sign as_given"]}
    assert fields(draft(ledger, amount_sign="reversed"), "amount")["sign"] == "reversed"


def test_records_of_a_kind_without_an_amount_are_not_selected() -> None:
    """With the reason beside it; other fields that could select are shown, and not used."""

    def changed(i: int) -> dict[str, Any]:
        record = event(i, type="BALANCE" if i % 5 == 0 else "AUTH", status="OK" if i % 3 else "DECLINED")
        return {name: value for name, value in record.items() if name != "amount" or i % 5}

    records = [changed(i) for i in range(300)]
    found = draft(records)
    text = yaml_of(found)
    assert [guess.fields for guess in found.select] == [{"not": {"path": "type", "in": ["BALANCE"]}}]
    assert "# type BALANCE (60 records, 20.0%) has no amount" in text
    assert "# - {path: status, in: [OK]}  # OK 200, DECLINED 100" in text
    assert read(found, records) == 240


def test_a_topics_key_and_partitions_are_evidence_of_the_subject() -> None:
    """Whether a field is the key, and whether what it names stays together."""
    records = events(customer=lambda i: f"c-{i % 50}")

    def place(key: bytes, partitions: int) -> int:
        return sum(key) % partitions

    keys = [record["card"].encode() for record in records]
    found = infer(topic(records, keys, [place(key, 4) for key in keys], 4), Answers(), place)
    (question,) = found.questions
    by_path = {option.answer: option.meaning for option in question.options}
    assert "it is the key; 300 of 300 records lie where its hash puts them" in by_path["--subject card"]
    assert "it is not the key" in by_path["--subject customer"]
    assert found.topic == "payments"


def test_types_of_attributes() -> None:
    """Each further field once; what no model may read is left out."""
    records = events(
        device=lambda i: {"fingerprint": f"{i:032x}", "ip": f"10.1.{i % 250}.7"},
        entryMode=lambda i: ("chip", "contactless", "manual")[i % 3],
        present=lambda i: i % 2 == 0,
        online=lambda i: "Y" if i % 3 else "N",
        basket=lambda i: [{"price": str(i % 9 + 0.5)}],
        place=lambda i: {"lat": 50 + i / 1000, "lon": str(3 + i / 1000)},
        account=lambda i: {"opened": f"{i % 27 + 1:02d}.03.2019"},
        note=lambda i: f"thank you {'very ' * (i % 4)}much no {i}",
        isFraud=lambda i: i % 50 == 0,
        version=1,
    )
    found = draft(records, time_zone="UTC")
    assert asked(found) == {}
    assert {name: fields(found, name)["type"] for name in found.attributes} == {
        "device_fingerprint": "id",
        "ip": "ip",
        "entry_mode": "category",
        "present": "flag",
        "online": "flag",
        "basket_price": "number",
        "place": "geo",
        "account_opened": "time",
        "note": "text",
    }
    assert fields(found, "online") == {"type": "flag", "path": "online", "yes": ["Y"], "no": ["N"]}
    assert dict(found.left_out).keys() == {"basket", "isFraud", "version"}
    assert found.label == "isFraud"
    assert read(found, records) == 300


def test_no_card_number_name_or_address_stands_in_the_spec() -> None:
    """Card numbers, people's names, mails and ids are never repeated; card numbers are no subject either."""
    chance = random.Random(5)

    def pan() -> str:
        digits = f"400000{chance.randrange(10**9):09d}"
        total = sum(int(d) if at % 2 else sum(map(int, str(2 * int(d)))) for at, d in enumerate(digits))
        return digits + str(-total % 10)

    numbers = [pan() for _ in range(40)]
    pans = [numbers[i % 40] for i in range(300)]
    records = events(
        card=lambda i: pans[i],
        account=lambda i: f"FR{i % 40:025d}",
        customer=lambda i: {"name": "Aristide Boucicaut", "email": f"a{i}@example.com", "gender": "FM"[i % 2]},
    )
    found = draft(records)
    text = yaml_of(found)
    assert fields(found, "subject") == {"path": "account"}
    for secret in [*pans, "Aristide", "@example", f"FR{7:025d}", "F 150"]:
        assert secret not in text, secret
    assert ("card", "holds card numbers: give pseudonyms, see `assay privacy pseudonyms`") in found.left_out
    assert fields(found, "gender")["personal"] is True
    with pytest.raises(DiscoveryError, match="card holds card numbers"):
        draft(records, subject="card")


def test_answers_that_name_nothing_and_samples_of_nothing_are_sentences() -> None:
    """With the nearest field, or the next step."""
    with pytest.raises(
        DiscoveryError, match=r"--subject crad: no record of the sample has that field \(nearest is card\)"
    ):
        draft(events(), subject="crad")
    with pytest.raises(DiscoveryError, match=r"--amount paid is no amount: text, .* shape 9\.99 AA.* such as 1234\.50"):
        draft(events(paid=lambda i: f"{i % 9}.{10 + i % 80} EU"), amount="paid")
    with pytest.raises(DiscoveryError, match="holds no record"):
        draft([])
    with pytest.raises(DiscoveryError, match="are no objects of JSON"):
        draft([1, 2, 3])


def test_every_question_can_be_answered_by_one_of_its_options() -> None:
    """Whatever is asked, an option of it leaves one question less."""
    records = events(
        time=lambda i: f"0{i % 9 + 1}/02/2026 10:{i % 60:02d}:00",
        customer=lambda i: f"c-{i % 50}",
        amount=lambda i: 100 + i,
        type=lambda i: "REFUND" if i % 9 == 0 else "AUTH",
    )
    given: dict[str, str] = {}
    for _ in range(8):
        found = draft(records, **given)
        if not found.questions:
            break
        question = found.questions[0]
        assert isinstance(question, Question)
        words = question.options[0].answer.split()
        given |= {
            name.removeprefix("--").replace("-", "_"): value
            for name, value in zip(words[::2], words[1::2], strict=True)
        }
    assert not draft(records, **given).questions
    assert read(draft(records, **given), records) == 300


def test_names_and_values_of_records_add_no_line_to_the_spec() -> None:
    """Their writer chooses them: a line break in one is text of a comment."""
    given = {
        "note\nrouted: true": lambda i: ["a\nformat: avro", "b"][i % 2],
        "type": lambda i: ["auth\nevil: 1", "x\u2028y: 1"][i % 2],
        "\x1b[2J": "\x7f\u202e",
    }
    text = yaml_of(infer(sample(events(**given)), Answers()))
    found = yaml.safe_load(text)
    assert found.keys() == {"version", "topic", "format", "select", "event", "attributes"}
    assert (found["format"], found["topic"], list(found["attributes"])) == ("json", "payments", ["type"])
    assert "auth\\u000aevil: 1 150, x\\u2028y: 1 150" in text
    assert text.replace("\n", "").isprintable()
    parse_source(text)
