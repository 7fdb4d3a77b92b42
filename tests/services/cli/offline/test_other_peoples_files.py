"""Public layouts of files, through the commands: the right result, or one whole sentence with the option that answers it."""

import random
from pathlib import Path

import polars as pl
import pytest

from tests.services.cli.test_app import run_main

HEADER = "transaction_id,event_time_ms,card_id,terminal_id,amount"
FIRST_MS = 1_767_225_600_000
TABFORMER = "User,Card,Year,Month,Day,Time,Amount,Merchant Name,Is Fraud?"
TABFORMER_NAMES = ["--map=transaction_id=#", "--map=card_id=User+Card", "--map=terminal_id=Merchant Name",
                   "--map=amount=Amount"]  # fmt: skip


def ulb(rows: int = 50) -> str:
    """Seconds from the first payment, one of them written 1e+05; no card and no terminal."""
    times = [*(str(200 * row) for row in range(rows - 1)), "1e+05"]
    return '"Time","V1","Amount","Class"\n' + "".join(f'{time},-0.5,{12.5},"0"\n' for time in times)


def tabformer() -> str:
    """Times of day in a column of their own, amounts with `$`, a refund."""
    amounts = ["$38.77", "$1,191.63", "$-89.46", "$5.00"]
    rows = [f"{n},0,2019,1,{n + 1},0{n}:30,{amount},-669714{n},No" for n, amount in enumerate(amounts)]
    return "\n".join([TABFORMER, *(row.replace("$1,191.63", '"$1,191.63"') for row in rows)]) + "\n"


def month_first(days: int) -> str:
    """Dates as 01/13/2026, the 13th of which shows the order."""
    rows = [f"t{day},{1:02d}/{day:02d}/2026 12:00 AM,c1,m1,10.5" for day in range(1, days + 1)]
    return "\n".join([HEADER, *rows]) + "\n"


def batch(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str, *options: str) -> int:
    """Exit status of scoring a file that holds `text`; scores are in `out.csv` beside it."""
    (folder / "in.csv").write_text(text)
    return run_main(monkeypatch, "batch", str(folder / "in.csv"), str(folder / "out.csv"), *options)


SENTENCES = {
    "seconds from a start": (
        ulb(),
        ["--map=transaction_id=#", "--map=card_id=#", "--map=terminal_id=#", "--map=event_time_ms=Time",
         "--map=amount=Amount"],
        "assay: Column Time (line 2) counts from a start of its own or is in no unit that fits: no time from 1980 to 2100 "
        "begins there. Where it is seconds from a start, give that with --time-start, for instance --time-start "
        "2013-09-01T00:00:00Z; give a column of dates, or say the unit with --time-unit s, ms, us or ns.\n",
    ),
    "times of day": (
        tabformer(),
        [*TABFORMER_NAMES, "--map=event_time_ms=Time"],
        "assay: Column Time holds times of day without a date: join it with the columns of the date, for instance --map "
        "event_time_ms=Year+Month+Day+Time\n",
    ),
    "no zone": (
        tabformer(),
        [*TABFORMER_NAMES, "--map=event_time_ms=Year+Month+Day+Time"],
        "assay: Column Year+Month+Day+Time holds times without a zone (first in line 2): say which zone they are in with "
        "--time-zone, for instance --time-zone UTC or --time-zone Europe/Berlin.\n",
    ),
    "an order that no row shows": (
        month_first(12),
        ["--time-zone=UTC"],
        "assay: Column event_time_ms has dates as 01/02/2026, and no row shows whether the day or the month comes first: say "
        "it with --date-order dmy or mdy.\n",
    ),
    "a spreadsheet's days": (
        f"{HEADER}\nt1,46023.5,c1,m1,10.5\n",
        [],
        "assay: Column event_time_ms (line 2) holds numbers such as a spreadsheet counts days with: where that is so, say "
        "--time-unit excel, else the unit with --time-unit s, ms, us or ns.\n",
    ),
    "a label of another language": (
        f"{HEADER},F\nt1,{FIRST_MS},c1,m1,10.5,ei\n",
        ["--label=F"],
        "neither yes nor no here: say what it means with --word WORD=yes or --word WORD=no; known are fraud, yes, y, true, "
        "t, 1, ja, j, oui, o, si, sí, s, sim, wahr, vrai and legitimate, genuine, no, n, false, f, 0, nein, non, nee, nao, "
        "não, falsch, faux.\n",
    ),
    "no id": (
        f"{HEADER.replace('transaction_id', 'No')}\nt1,{FIRST_MS},c1,m1,10.5\n",
        [],
        "has no column transaction_id, which is read as transaction_id: say which one it is (--map transaction_id=COLUMN, or "
        "--map transaction_id='#' to take the row's line for its id); there are No, event_time_ms, card_id, terminal_id, "
        "amount.\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "options", "sentence"), SENTENCES.values(), ids=SENTENCES.keys())
def test_what_a_file_leaves_open_is_asked_for_in_one_sentence(
    text: str,
    options: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its whole text, with the option that answers it; nothing is written."""
    assert batch(monkeypatch, tmp_path, text, *options) == 2
    said = capsys.readouterr().err
    assert said.endswith(sentence)
    assert said.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


ANSWERED = {
    "seconds from a start": (*SENTENCES["seconds from a start"][:2], ["--time-start=2013-09-01T00:00:00Z"], 50),
    "parts of a time": (*SENTENCES["no zone"][:2], ["--time-zone=America/New_York"], 3),
    "an order": (month_first(12), ["--time-zone=UTC"], ["--date-order=mdy"], 12),
    "an order that a row shows": (month_first(20), ["--time-zone=UTC"], [], 20),
    "a spreadsheet's days": (SENTENCES["a spreadsheet's days"][0], ["--time-unit=excel"], ["--time-zone=UTC"], 1),
    "a label": (SENTENCES["a label of another language"][0], ["--label=F"], ["--word=ei=no"], 1),
}


@pytest.mark.slow
@pytest.mark.parametrize(("text", "options", "answer", "scored"), ANSWERED.values(), ids=ANSWERED.keys())
def test_the_answer_that_the_sentence_names_is_enough(
    text: str, options: list[str], answer: list[str], scored: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is scored then; a refund keeps its row and says what it is."""
    assert batch(monkeypatch, tmp_path, text, *options, *answer) == 0
    out = pl.read_csv(tmp_path / "out.csv", infer_schema=False)
    assert len(out.filter(pl.col("probability").is_not_null())) == scored
    for said in out["detail"].drop_nulls():
        assert (
            said == "amount (column Amount) is below 0, as refunds are: leave it out, since payments alone are scored"
        )


def test_amounts_that_change_their_form_and_words_for_nothing_cost_no_neighbour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole numbers first, cents after row 150, `n/a` in one row: the same scores as with all of them written alike."""
    scores = []
    for form in ("{:d}", "{:.2f}"):
        amounts = [form.format(n + 1) if n < 150 else f"{n + 1.25:.2f}" for n in range(300)]
        amounts[200] = "n/a"
        rows = [f"t{n:04d},{FIRST_MS + 60_000 * n},c{n % 7},m{n % 3},{amount}" for n, amount in enumerate(amounts)]
        assert batch(monkeypatch, tmp_path, "\n".join([HEADER, *rows])) == 0
        scores.append(pl.read_csv(tmp_path / "out.csv", infer_schema=False))
    assert scores[0].equals(scores[1])
    assert scores[0]["probability"].null_count() == 1


def test_ids_with_zeros_in_front_are_other_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare, quoted, with a letter in front, in Parquet: the same scores, and the ids come back as written."""
    ids = [("7", "0007")[n % 2] for n in range(8)]
    bare = [f"{n:06d},{FIRST_MS + 60_000 * n},{card},0000{n},{10 + n}" for n, card in enumerate(ids)]
    quoted = [",".join(f'"{cell}"' if at != 1 else cell for at, cell in enumerate(row.split(","))) for row in bare]
    letters = [row.replace(f",{card},", f",c{card},", 1) for row, card in zip(bare, ids, strict=True)]
    found = []
    for rows in (bare, quoted, letters):
        assert batch(monkeypatch, tmp_path, "\n".join([HEADER, *rows])) == 0
        found.append(pl.read_csv(tmp_path / "out.csv", infer_schema=False))
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])
    assert found[0]["transaction_id"].to_list() == [f"{n:06d}" for n in range(8)]


MCC_SPEC = """version: 1
label_delay: 7d
entities: {category: {id: mcc}}
windows: [{duration: 1h, buckets: 12}]
features:
  - {name: amount, kind: field, field: amount}
  - {name: count_1h, kind: window, key: category, aggregation: count, window: 1h}
"""


def test_a_column_that_the_features_read_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once it is named, or known to be missing, features are built; the two differ."""
    (tmp_path / "spec.yaml").write_text(MCC_SPEC)
    rows = [f"t{n},{FIRST_MS + 60_000 * n},c0,m{n},12.35,{5812 + n % 2}" for n in range(10)]
    (tmp_path / "in.csv").write_text("\n".join([f"{HEADER},MCC", *rows]))
    command = [
        "features",
        "build",
        str(tmp_path / "in.csv"),
        str(tmp_path / "f.csv"),
        f"--spec={tmp_path / 'spec.yaml'}",
    ]
    assert run_main(monkeypatch, *command) == 2
    assert capsys.readouterr().err.endswith(
        "in.csv has no column mcc, which is read as mcc: say which one it is (nearest is MCC, so perhaps --map mcc=MCC), or, "
        "where the payments have none, --without mcc; there are transaction_id, event_time_ms, card_id, terminal_id, amount, "
        "MCC.\n"
    )
    assert run_main(monkeypatch, *command, "--map=mcc=MCC") == 0
    assert pl.read_csv(tmp_path / "f.csv")["count_1h"].to_list() == [n // 2 + 1 for n in range(10)]
    assert run_main(monkeypatch, *command, "--without=mcc") == 0


CREDIT_SPEC = """version: 1
features:
  - {name: loan, kind: number, attribute: LOAN, at_least: 0, transform: log1p}
  - {name: income, kind: number, attribute: MonthlyIncome, at_least: 0, transform: log1p, missing: 0}
  - {name: late, kind: number, attribute: Late, at_least: 0}
  - {name: owner, kind: number, attribute: Owner, at_least: 0}
  - name: reason
    kind: category
    attribute: REASON
    missing: 2
    values: {HomeImp: {number: 0}, DebtCon: {number: 1}}
"""


@pytest.mark.train
def test_applications_with_words_for_nothing_are_trained_on_and_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`NA` as income, J and N as a number's flag, an owner of its own; later a category that is new refuses its row alone."""
    monkeypatch.setenv("ASSAY_ALLOW_UNSIGNED_BUNDLES", "true")
    draw = random.Random(3)
    rows = [
        f"{int(bad)},{draw.randrange(1000, 30000)},{'NA' if draw.random() < 0.2 else draw.randrange(1000, 9000)},"
        f"{draw.randrange(3) if bad else 0},{draw.choice('JN')},{draw.choice(['HomeImp', 'DebtCon', ''])}"
        for bad in (draw.random() < 0.2 for _ in range(400))
    ]
    (tmp_path / "spec.yaml").write_text(CREDIT_SPEC)
    header = "SeriousDlqin2yrs,LOAN,MonthlyIncome,Late,Owner,REASON"
    (tmp_path / "in.csv").write_text("\n".join([header, *rows]))
    train = ["--label=SeriousDlqin2yrs", f"--features={tmp_path / 'spec.yaml'}", "--classifier=wide", "--epochs=1"]
    train += [f"--data={tmp_path / 'in.csv'}", f"--out={tmp_path / 'b'}", "--owner=Example Bank", "--json"]
    train += ["--accept=constant", "--accept=logistic"]  # one epoch on 400 rows
    assert run_main(monkeypatch, "train", "credit", *train) == 0
    assert '"owner":"Example Bank"' in capsys.readouterr().out.replace('": "', '":"')
    rows[0] = rows[0].rsplit(",", 1)[0] + ",Car"
    (tmp_path / "in.csv").write_text("\n".join([header, *rows]))
    judge = ["credit", "batch", str(tmp_path / "in.csv"), str(tmp_path / "out.csv"), f"--bundle={tmp_path / 'b'}"]
    assert run_main(monkeypatch, *judge) == 0
    out = pl.read_csv(tmp_path / "out.csv", infer_schema=False)
    assert out["rejected"][0] == "attribute REASON has a value that the feature spec does not name"
    assert out["rejected"].null_count() == 399
