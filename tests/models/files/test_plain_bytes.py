"""The quick way through a file gives what the careful one gives, or declines."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.files import table
from models.files.options import ReadOptions
from models.files.plain_bytes import byte_blocks
from models.files.text import opened

CELLS = [
    "a",
    "1",
    "",
    "  x",
    "y ",
    '"q"',
    '"q, r"',
    '""',
    '"a""b"',
    "é",
    "ü ",
    "\u00a0z",
    '"x"y',
    'p"q',
    "\t",
    '"l\nm"',
    "NA",
]
ROWS = st.lists(st.lists(st.sampled_from(CELLS), min_size=2, max_size=2), min_size=1, max_size=5)
ODD_ROWS = st.lists(st.lists(st.sampled_from([*CELLS, "\x1a", "x\ry", "\0"]), min_size=0, max_size=4), max_size=5)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400, deadline=None)
@given(ROWS | ODD_ROWS, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.sampled_from(["utf-8", "latin-1"]))
def test_what_is_read_quickly_is_what_is_read_carefully(
    tmp_path: Path, rows: list[list[str]], end: str, closed: bool, encoding: str
) -> None:
    """Values, empty cells, lines; whatever is not proven plain goes the careful way."""
    text = end.join(["c0,c1", *(",".join(row) for row in rows)]) + (end if closed else "")
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode(encoding))
    with opened(path, ReadOptions()) as given_table:
        quick = table._quickly(given_table, ["c1", "c0"])
        if quick is None:
            return
        careful = table._carefully(given_table, ["c1", "c0"])
    assert_frame_equal(quick[0], careful[0], check_column_order=False)


@pytest.mark.parametrize(
    ("text", "is_quick"),
    [
        ("c0,c1\n1,2\n3,4\n", True),
        ("c0,c1\r\n1,2\r\n3,4", True),
        ('"c0","c1"\n"1","2"\n', True),
        ("c0,c1\n1,2\n3\n", False),
        ("c0,c1\n1,2\n3,\n", True),
        ("c0,c1\n1,2,3\n4\n", False),
        ("c0,c1\n1\n2,3,4\n", False),
        ("c0,c1\n1,2\n3,4\x01\n", False),
        ("c0,c1\n1,2\n\n", False),
        ('c0,c1\n"1\n",2\n', False),
        ('c0,c1\n"a""b",2\n', False),
        ("c0,c1\n1,2\r\n3,4\n", False),
        ("c0\n1\n", False),
    ],
)
def test_only_what_is_proven_is_read_quickly(tmp_path: Path, text: str, is_quick: bool) -> None:
    """Rows of one length, one kind of line end, quotes at the edges of fields alone; the test would also fail without it."""
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode())
    with opened(path, ReadOptions()) as given_table:
        assert (table._quickly(given_table, given_table.columns) is not None) is is_quick


def test_blocks_end_at_lines_and_count_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost between two, and a last line without an end is one."""
    monkeypatch.setattr("models.files.plain_bytes.BLOCK_BYTES", 7)
    path = tmp_path / "x.csv"
    path.write_bytes(b"c0,c1\n" + b"".join(b"%d,%d\n" % (n, n) for n in range(100)) + b"last,line")
    with path.open("rb") as raw:
        blocks = [block for block in byte_blocks(raw, 1) if block]
    assert b"".join(block.content for block in blocks).splitlines()[-1] == b"last,line"
    assert sum(block.rows for block in blocks) == 101
    firsts = [block.first for block in blocks]
    assert firsts[0] == 2
    assert all(b.first + b.rows == later for b, later in zip(blocks, firsts[1:], strict=False))
