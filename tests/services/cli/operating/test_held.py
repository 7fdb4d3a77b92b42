"""What `assay held show` prints for a person."""

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.operating import held


def test_a_person_sees_the_counts_and_the_first_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition may hold thousands, and there may be many: more are shown where that is asked for."""
    faults = [{"offset": offset, "reason": "schema", "detail": "no amount"} for offset in range(100, 1100)]
    one = {
        "partition": "transactions-3",
        "first_offset": 100,
        "last_offset": 2099,
        "records": 2000,
        "cause": "too many",
    }
    one |= {"reasons": {"schema": 1500, "duplicate": 7}, "faults": faults}
    monkeypatch.setattr(held, "_ask", lambda *_: [one])
    said = CliRunner().invoke(app, ["held", "show"]).output
    assert "of 2,000 records 1,500 schema, 7 duplicate" in said
    assert [line.split()[0] for line in said.splitlines() if "no amount" in line] == [str(n) for n in range(100, 110)]
    assert "and 1,497 more" in said
    assert CliRunner().invoke(app, ["held", "show", "--rows", "200"]).output.count("no amount") == 200
