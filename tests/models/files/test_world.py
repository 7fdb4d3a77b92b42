"""Files as they are in the world: right, or one sentence that says what to do."""

import gzip
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from models.files.options import ReadOptions, TableError
from models.files.payments import PLAIN, read
from models.files.text import BLOCK_LINES, LINE_BYTES_MAX
from models.files.times import read_times

HEADER = "transaction_id,event_time_ms,card_id,terminal_id,amount"
ROW = "t1,1767225600000,c1,m1,1.5"


def written(folder: Path, text: str, name: str = "p.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def column(values: list[str], field: str, *, text: str = "") -> str:
    rows = [
        f"t{n};1767225600000;c1;m1;{v}" if field == "amount" else f"t{n};{v};c1;m1;1.5" for n, v in enumerate(values)
    ]
    return "\n".join([HEADER.replace(",", ";"), *rows, text])


@pytest.mark.parametrize(
    "text",
    [
        "transaction_id , event_time_ms, card_id,terminal_id ,amount\nt1 , 1767225600000, c1 ,m1, 1.5 \n",
        f'{HEADER}\nt1, 1767225600000, "c1", "m1", "1.5"\n',
        f"{HEADER},\n{ROW},\n",
        f"{HEADER}\n{ROW},\n",
        f"{HEADER}\n{ROW}\n\x1a",
        f"\n\n{HEADER}\n\n{ROW}\n\n",
    ],
)
def test_what_programs_leave_around_values_is_no_part_of_them(tmp_path: Path, text: str) -> None:
    """Spaces, spaces before quotes, a last delimiter, the end mark of old systems, empty lines above the names."""
    found = read(written(tmp_path, text), {})
    assert found.select("transaction_id", "card_id", "amount", "problem").rows() == [("t1", "c1", 1.5, None)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (column(["31/12/25", "1/1/26"], "time"), "years of two digits .first in line 2.*four digits"),
        (column(["0,123", "0.5"], "amount"), "decimal points .line 3. and decimal commas .line 2."),
        (column(["0", "1", "1e+05"], "time"), "--time-start 2013-09-01T00:00:00Z"),
        (f"# export\n{HEADER}\n{ROW}\n", "begins with a comment .line 1.: remove"),
    ],
)
def test_what_could_be_two_things_is_asked_for(tmp_path: Path, text: str, sentence: str) -> None:
    """With the line, and the option that answers it."""
    with pytest.raises(TableError, match=sentence):
        read(written(tmp_path, text), {}, options=ReadOptions(time_zone="UTC"))


def test_column_names_of_another_encoding_are_asked_for(tmp_path: Path) -> None:
    """No byte of them reaches the screen."""
    path = tmp_path / "p.csv"
    path.write_bytes((HEADER + ",H\u00e4ndler\n" + ROW + ",x\n").encode("cp1252"))
    with pytest.raises(TableError, match=r"not UTF-8: line 1, the column names.*--encoding cp1252"):
        read(path, {})
    assert len(read(path, {}, options=ReadOptions(encoding="cp1252"))) == 1


def test_seconds_from_a_start_are_times(tmp_path: Path) -> None:
    """As in ULB's file, one of them written 1e+05."""
    start = ReadOptions(time_start=datetime(2013, 9, 1, tzinfo=UTC))
    found = read(written(tmp_path, column(["0", "1", "1e+05"], "time")), {}, options=start)
    assert found["event_time_ms"].to_list() == [1377993600000, 1377993601000, 1378093600000]


def test_dates_of_eight_digits_are_no_minutes(tmp_path: Path) -> None:
    """20260101 would be 2008 in minutes, a unit that no file is read in."""
    found = read(written(tmp_path, column(["20260101"], "time")), {}, options=ReadOptions(time_zone="UTC"))
    assert found["event_time_ms"].to_list() == [1767225600000]


def test_lines_and_values_are_the_same_before_and_after_the_first_quote(tmp_path: Path) -> None:
    """Lines without quotes are split by the block, the rest by a parser."""
    rows = [f"t{n},1767225600000,c{n},m1,1.5" for n in range(BLOCK_LINES + 10)]
    rows[3] += ",7"
    rows[BLOCK_LINES + 5] = rows[BLOCK_LINES + 5].replace(f"c{BLOCK_LINES + 5}", '"a\n""b"')
    found = read(written(tmp_path, "\n".join([HEADER, *rows])), {}).sort("row")
    assert len(found) == len(rows)
    assert found["problem"].is_not_null().arg_true().to_list() == [3]
    assert found["card_id"][BLOCK_LINES + 5] == 'a\n"b'
    assert found["line"].to_list()[-5:] == [n + 3 for n in range(len(rows) - 5, len(rows))]


def test_packed_files_of_several_frames_are_read_and_cut_ones_refused(tmp_path: Path) -> None:
    """As `cat a.zst b.zst` makes them."""
    pack = zstandard.ZstdCompressor().compress
    path, many = tmp_path / "p.csv.zst", "".join(f"t{n},1767225600000,c,m,{n}\n" for n in range(20_000)).encode()
    path.write_bytes(pack(f"{HEADER}\n".encode()) + pack(many))
    assert len(read(path, {})) == 20_000
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TableError, match="is cut short: copy it again"):
        read(path, {})
    path.with_suffix(".gz").write_bytes(gzip.compress(f"{HEADER}\n{ROW}\n".encode()))
    assert len(read(path.with_suffix(".gz"), {})) == 1


def test_parquet_columns_of_categories_and_of_nothing_are_read(tmp_path: Path) -> None:
    """And true and false are no ids."""
    columns = {
        "transaction_id": ["a"],
        "event_time_ms": [1767225600000],
        "card_id": ["c"],
        "terminal_id": ["m"],
        "amount": ["2"],
    }
    frame, path = pl.DataFrame(columns).with_columns(pl.col("amount").cast(pl.Categorical)), tmp_path / "p.parquet"
    frame.write_parquet(path)
    assert read(path, {})["amount"].to_list() == [2.0]
    frame.with_columns(amount=pl.lit(None)).write_parquet(path)
    assert read(path, {})["amount"].to_list() == [None]
    frame.with_columns(card_id=pl.lit(True)).write_parquet(path)
    with pytest.raises(TableError, match="card_id holds true and false, no ids"):
        read(path, {})


@given(
    st.lists(st.datetimes(datetime(1981, 1, 1), datetime(2099, 1, 1)), min_size=1, max_size=20),
    st.sampled_from(
        [
            ("%Y-%m-%dT%H:%M:%SZ", None),
            ("%d/%m/%Y %H:%M:%S", "dmy"),
            ("%m/%d/%Y %I:%M:%S %p", "mdy"),
            ("%Y%m%d%H%M%S", None),
        ]
    ),
)
def test_a_time_comes_back_from_every_form(moments: list[datetime], form: tuple[str, str | None]) -> None:
    """To the second, whichever way it was written."""
    pattern, order = form
    options = ReadOptions(time_zone="UTC", date_order=order)  # type: ignore[arg-type]
    text, lines = pl.Series([moment.strftime(pattern) for moment in moments]), pl.Series(range(len(moments)))
    epoch = datetime(1970, 1, 1)
    due = [(moment.replace(microsecond=0) - epoch) // timedelta(milliseconds=1) for moment in moments]
    assert read_times(text, "when", options, lines).ms.to_list() == due


@given(st.lists(st.from_regex(r"[0-9A-Za-z_.:-]{1,20}", fullmatch=True), min_size=1, max_size=20))
def test_ids_are_text_as_written(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    """Leading zeros, exponents and words for nothing too."""
    rows = "".join(f"t,1767225600000,{card},m,1\n" for card in ids)
    path = written(tmp_path_factory.mktemp("ids"), f"{HEADER}\n{rows}")
    assert read(path, {}, options=PLAIN)["card_id"].to_list() == ids


@pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".csv.zst"])
def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path: Path, kind: str) -> None:
    """A few KB unpack to gigabytes of spaces: held as one text, they ended the process."""
    path, text = tmp_path / f"p{kind}", f"{HEADER}\n{ROW}\n".encode() + b" " * (8 * LINE_BYTES_MAX)
    pack = {".csv": bytes, ".csv.gz": gzip.compress, ".csv.zst": zstandard.ZstdCompressor().compress}[kind]
    path.write_bytes(pack(text))
    del text
    tracemalloc.start()
    with pytest.raises(TableError, match="has a line of more than 16,777,216 bytes: give one row a line"):
        read(path, {})
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 * LINE_BYTES_MAX


def test_a_line_ends_at_either_mark(tmp_path: Path) -> None:
    """Files of old Macs have no line feed at all."""
    rows = "\r".join(f"t{n},1767225600000,c,m,{n}" for n in range(700_000))
    path = written(tmp_path, f"{HEADER}\r{rows}\r")
    assert path.stat().st_size > LINE_BYTES_MAX
    assert len(read(path, {})) == 700_000
