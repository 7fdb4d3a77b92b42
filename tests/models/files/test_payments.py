"""Files of payments as they are in the world: read right, or refused in one sentence that holds the option."""

import gzip
from pathlib import Path

import cramjam
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.files.options import ReadOptions, TableError
from models.files.payments import PLAIN, mapping, read, whole

HEADER = "transaction_id,event_time_ms,card_id,terminal_id,amount"
T0 = 1_767_225_600_000
UTC = ReadOptions(time_zone="UTC")


def table(amounts: list[str], times: list[str] | None = None, between: str = ",") -> str:
    """Payments of one card each."""
    rows = [[f"t{i}", (times or [str(T0 + i)] * len(amounts))[i], f"c{i}", "m", a] for i, a in enumerate(amounts)]
    return "\n".join(between.join(row) for row in [HEADER.split(","), *rows]) + "\n"


def in_file(folder: Path, text: str | bytes, name: str = "p.csv") -> Path:
    """A file with this content."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def amounts(path: Path, options: ReadOptions = UTC) -> list[float | None]:
    """In the file's order."""
    return read(path, {}, options=options).sort("row")["amount"].to_list()


def times(folder: Path, *written: str, options: ReadOptions = PLAIN) -> list[int | None]:
    """The times of payments that are written so."""
    text = table(["1"] * len(written), list(written), "|")
    return read(in_file(folder, text), {}, options=options).sort("row")["event_time_ms"].to_list()


def test_numbers_may_change_their_form_after_any_row(tmp_path: Path) -> None:
    """Whole ones, then cents and exponents: nothing is decided by the first rows."""
    path = in_file(tmp_path, table([*map(str, range(300)), "0.25", "1e+05", "N/A"]))
    assert amounts(path) == [*map(float, range(300)), 0.25, 100_000.0, None]


@pytest.mark.parametrize("place", [5, 150])
def test_a_word_for_nothing_refuses_its_own_row_alone(tmp_path: Path, place: int) -> None:
    """In an early row as in a late one, with its line."""
    written = ["10.5"] * 200
    written[place] = "n/a"
    bad = read(in_file(tmp_path, table(written)), {}).filter(pl.col("problem").is_not_null())
    assert bad["line"].to_list() == [place + 2]
    assert bad["problem"][0].startswith("amount (column amount) is missing where a number is due")


def test_ids_are_text_as_written_and_the_same_in_parquet(tmp_path: Path) -> None:
    """Leading zeros, twenty digits, quotes, NA."""
    ids = ["7", "0007", "12345678901234567890", "12345678901234567891", "NA"]
    for quote in ("", '"'):
        rows = "".join(f"{quote}{i}{quote},{T0},{quote}{i}{quote},m,1\n" for i in ids)
        found = read(in_file(tmp_path, f"{HEADER}\n{rows}"), {}).sort("row")
        assert found["card_id"].to_list() == found["transaction_id"].to_list() == ids
    found.select(HEADER.split(",")).write_parquet(tmp_path / "p.parquet")
    assert read(tmp_path / "p.parquet", {})["card_id"].to_list() == ids


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (["1,234.50", "7", "1,234,567"], [1234.5, 7.0, 1234567.0]),
        (["1.234,50", "7", "0,5"], [1234.5, 7.0, 0.5]),
        (["$1,234.50", "$7.00", "-$1.5", "($2.25)"], [1234.5, 7.0, -1.5, -2.25]),
        (["12,50 EUR", "7,00 EUR"], [12.5, 7.0]),
        (["1 234,50", "1\u00a0234\u00a0567,5"], [1234.5, 1234567.5]),
        (["1'234.50", "7.1"], [1234.5, 7.1]),
        (["12.5%", "7%"], [12.5, 7.0]),
    ],
)
def test_numbers_are_read_as_people_write_them(tmp_path: Path, written: list[str], read_as: list[float]) -> None:
    """Thousands, currencies, percent, decimal commas."""
    assert amounts(in_file(tmp_path, table(written, between="|"))) == read_as


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (["1.234", "7"], "--decimal"),
        (["1,234"], "--decimal"),
        (["1.5", "2,5"], r"decimal points \(line 2\) and decimal commas \(line 3\)"),
        (["$1", "€2"], "several currencies"),
        (["5%", "7"], "with and without a percent sign"),
    ],
)
def test_a_number_that_can_be_two_is_asked_for(tmp_path: Path, written: list[str], sentence: str) -> None:
    """Never guessed."""
    with pytest.raises(TableError, match=sentence):
        amounts(in_file(tmp_path, table(written, between="|")))
    assert amounts(in_file(tmp_path, table(["1.234"], between="|")), ReadOptions(decimal=",")) == [1234.0]
    assert amounts(in_file(tmp_path, table(["1.234"], between="|")), ReadOptions(decimal=".")) == [1.234]


def test_encodings_and_packings_are_found_or_asked_for(tmp_path: Path) -> None:
    """Of a column that is read; others may hold anything."""
    text = table(["1.5", "2"]).replace("c0", "cé")
    for content in (text.encode("utf-8-sig"), text.encode("utf-16"), text.replace("\n", "\r").encode()):
        assert read(in_file(tmp_path, content), {})["card_id"][0] == "cé"
    for name, content in (
        ("p.csv.gz", gzip.compress(text.encode())),
        ("p.csv.zst", cramjam.zstd.compress(text.encode())),
    ):
        assert read(in_file(tmp_path, bytes(content), name), {})["card_id"][0] == "cé"
    latin = in_file(tmp_path, text.encode("cp1252"))
    with pytest.raises(TableError, match=r"line 2, column card_id.*--encoding cp1252"):
        read(latin, {})
    assert read(latin, {}, options=ReadOptions(encoding="cp1252"))["card_id"][0] == "cé"
    unread = "\n".join(f"{row},{'note' if not n else 'é'}" for n, row in enumerate(table(["1"]).splitlines()))
    assert amounts(in_file(tmp_path, unread.encode("latin-1"))) == [1.0]
    assert amounts(in_file(tmp_path, table(["1.5"], between="\t"), "p.tsv")) == [1.5]
    assert amounts(in_file(tmp_path, table(["1,5"], between=";"))) == [1.5]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        (HEADER, "holds no payment"),
        (HEADER.replace("terminal_id", "card_id"), "2 columns named card_id|no column terminal_id"),
        (HEADER + ",amount\nt,1,c,m,1,1\n", "2 columns named amount"),
        (HEADER + '\nt,1,c,m,"1\n', "line 2 has a quote"),
        (HEADER + "\nt,1,c\0,m,1\n", "line 2 has a NUL byte"),
        (b"PK\x03\x04zip", "a zip archive or a spreadsheet"),
        (gzip.compress(table(["1"] * 999).encode(), mtime=0)[:100], "cut short or damaged"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    """What is wrong, and where."""
    with pytest.raises(TableError, match=sentence):
        read(in_file(tmp_path, content), {})


def test_a_row_of_another_length_is_refused_and_its_neighbours_are_not(tmp_path: Path) -> None:
    """With its line."""
    found = read(in_file(tmp_path, table(["1", "2,9", "3"])), {}).sort("row")
    assert found["problem"].is_null().to_list() == [True, False, True]
    with pytest.raises(TableError, match=r"line 3.*more or fewer fields"):
        whole(found, tmp_path)


def test_times_are_read_in_every_unambiguous_form(tmp_path: Path) -> None:
    """ISO with a zone, epochs in any unit."""
    for written in (
        "2026-01-01T00:00:00Z",
        "2026-01-01 02:00:00+02:00",
        "2025-12-31T19:00:00.000-0500",
        str(T0 // 1000),
    ):
        assert times(tmp_path, written) == [T0]
    assert times(tmp_path, f"{T0}000", f"{T0}999") == [T0, T0]
    assert times(tmp_path, "1.7672256e+09") == [T0]
    assert times(tmp_path, "2026-01-01T00:00:00.123456Z") == [T0 + 123]


def test_local_times_need_their_zone(tmp_path: Path) -> None:
    """Dates, compact ones, AM and PM; the hour that comes twice is nothing."""
    for written in ("2026-01-01", "20260101000000", "2026-01-01 00:00:00.5", "13/01/2026 12:00 AM"):
        with pytest.raises(TableError, match="--time-zone UTC"):
            times(tmp_path, written)
    assert times(tmp_path, "20260101000000", options=UTC) == [T0]
    assert times(tmp_path, "01/13/2026 12:00 AM", "01/13/2026 12:00 PM", options=UTC) == [
        T0 + 12 * 86_400_000,
        T0 + 12 * 86_400_000 + 43_200_000,
    ]
    berlin = ReadOptions(time_zone="Europe/Berlin")
    assert times(tmp_path, "2026-01-01 01:00", "2026-10-25 02:30", options=berlin) == [T0, None]


def test_the_order_of_a_date_is_shown_by_the_whole_column_or_asked_for(tmp_path: Path) -> None:
    """One row among hundreds decides; two that disagree do not."""
    days = [f"{month:02}/{day:02}/2026" for month in range(1, 13) for day in range(1, 13)]
    with pytest.raises(TableError, match="--date-order dmy or mdy"):
        times(tmp_path, *days, options=UTC)
    assert times(tmp_path, *days, "01/13/2026", options=UTC)[1] == T0 + 86_400_000
    assert times(tmp_path, *days, "13/01/2026", options=UTC)[1] == T0 + 31 * 86_400_000
    with pytest.raises(TableError, match="write all in one way"):
        times(tmp_path, "13/01/2026", "01/13/2026", options=UTC)
    asked = ReadOptions(time_zone="UTC", date_order="mdy")
    assert times(tmp_path, *days, options=asked)[1] == T0 + 86_400_000


def test_counts_from_a_start_and_times_of_day_are_sentences(tmp_path: Path) -> None:
    """With the option, or the columns to join."""
    with pytest.raises(TableError, match="--time-unit s, ms, us or ns"):
        times(tmp_path, "0", "1e+05")
    with pytest.raises(TableError, match="--map event_time_ms=Year"):
        times(tmp_path, "00:01", "12:30")
    text = "Year,Month,Day,Time,User,Card,Shop,Sum\n2026,1,2,03:04,0,1,m,$5\n"
    names = mapping(["transaction_id=#", "event_time_ms=Year+Month+Day+Time", "card_id=User+Card"])
    found = read(in_file(tmp_path, text), names | {"terminal_id": "Shop", "amount": "Sum"}, options=UTC)
    assert found.row(0)[:5] == ("2", T0 + 86_400_000 + 11_040_000, "0-1", "m", 5.0) or found["card_id"][0] == "0-1"
    assert found["event_time_ms"][0] == T0 + 86_400_000 + 11_040_000


def test_a_column_that_is_read_must_be_there_or_be_given_up(tmp_path: Path) -> None:
    """The nearest one is named."""
    path = in_file(tmp_path, table(["1"]).replace("amount\n", "amount,MCC\n").replace(",1\n", ",1,5812\n"))
    with pytest.raises(TableError, match=r"perhaps --map mcc=MCC.*--without mcc"):
        read(path, {}, reads=["mcc"])
    assert read(path, {"mcc": "MCC"}, reads=["mcc"])["mcc"].to_list() == ["5812"]
    notes: list[str] = []
    assert "mcc" not in read(path, {}, reads=["mcc"], options=ReadOptions(without=("mcc",)), notes=notes)
    assert notes == ["not read: MCC"]


def test_no_sentence_repeats_a_card_number(tmp_path: Path) -> None:
    """Not of a header that is none, nor of a cell."""
    card = "4111111111111111"
    with pytest.raises(TableError) as caught:
        read(in_file(tmp_path, f"t1,1,{card},m,1\n"), {})
    assert card not in str(caught.value)
    problem = read(in_file(tmp_path, table([f"x {card}", "1"])), {})["problem"].drop_nulls()[0]
    assert "a card number" in problem
    assert card not in problem


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=20))
def test_amounts_of_two_decimals_survive_any_way_of_writing_them(
    tmp_path_factory: pytest.TempPathFactory, cents: list[int]
) -> None:
    """With commas between thousands, with points, with spaces."""
    folder, wanted = tmp_path_factory.mktemp("p"), [c / 100 for c in cents]
    american = [f"{value:,.2f}" for value in wanted]
    german = [text.translate(str.maketrans(",.", ".,")) for text in american]
    for written in (american, german, [text.replace(",", " ") for text in american], [f"${text}" for text in american]):
        assert amounts(in_file(folder, table(written, between="|"))) == wanted
