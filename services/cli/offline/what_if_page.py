"""What `assay what-if` found, on the screen and as a page for people."""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import durable
from services.cli.output import notes, results, shown
from services.errors import AssayError

if TYPE_CHECKING:
    import polars as pl

ROWS_MAX = 20
LINES = (
    ("alerts a day", "alerts_a_day", "{:,.1f}"),
    ("alerts", "alerts", "{:,}"),
    ("frauds caught", "frauds_caught", "{:,}"),
    ("money of these", "money_caught", "{:,.2f}"),
    ("frauds missed", "frauds_missed", "{:,}"),
    ("money of these", "money_missed", "{:,.2f}"),
    ("good payments stopped", "good_stopped", "{:,}"),
    ("money of these", "money_stopped", "{:,.2f}"),
    ("precision", "precision", "{:.1%}"),
    ("recall", "recall", "{:.1%}"),
    ("recall in money", "recall_money", "{:.1%}"),
    ("cost", "cost", "{:,.2f}"),
)
RULE_COLUMNS = ("rule", "state", "hits", "hits_alone", "frauds", "money_of_frauds", "good", "precision")
SEGMENT_COLUMNS = (
    "value", "payments", "frauds", "alerts_then", "alerts_now", "frauds_caught_then", "frauds_caught_now",
    "good_stopped_then", "good_stopped_now",
)  # fmt: skip
CHANGE_COLUMNS = ("transaction_id", "amount", "is_fraud", "then_alert", "alert", "then_action", "action", "rules")
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c2430}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid #d5dae1;text-align:right}"
    "td:first-child,th:first-child{text-align:left}.first{font-size:1.35rem;font-weight:600}.note{color:#5a6675}"
)


def first_line(found: dict[str, Any]) -> str:
    """The two numbers that matter, and what they were."""
    would, then = found["would"], found["then"]
    return (
        f"It would have caught {would['frauds_caught']:,} of {would['frauds']:,} frauds ({would['money_caught']:,.2f}) and "
        f"stopped {would['good_stopped']:,} good payments; then: {then['frauds_caught']:,} ({then['money_caught']:,.2f}) "
        f"and {then['good_stopped']:,}."
    )


def tables(found: dict[str, Any], other: "pl.DataFrame") -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, columns and rows, as text."""
    would, then = found["would"], found["then"]
    rows = [[name, _number(then[key], form), _number(would[key], form)] for name, key, form in LINES]
    tables = [(f"{would['payments']:,} payments in {found['days']:,.1f} days", ["", "then", "would be"], rows)]
    if found["by_rule"]:
        tables.append(("By rule", list(RULE_COLUMNS), _rows(found["by_rule"], RULE_COLUMNS)))
    for name, segments in found["by"].items():
        title = f"By {name}" + (f", the first {ROWS_MAX} of {len(segments):,}" if len(segments) > ROWS_MAX else "")
        tables.append((title, list(SEGMENT_COLUMNS), _rows(segments[:ROWS_MAX], SEGMENT_COLUMNS)))
    if len(other):
        title = f"{len(other):,} payments decided otherwise" + (", the largest" if len(other) > ROWS_MAX else "")
        tables.append((title, list(CHANGE_COLUMNS), _rows(other.head(ROWS_MAX).to_dicts(), CHANGE_COLUMNS)))
    return tables


def show(found: dict[str, Any], other: "pl.DataFrame") -> None:
    """On the screen."""
    from rich.table import Table

    results.print(first_line(found))
    results.print(f"{_judged_by(found)}")
    for title, columns, rows in tables(found, other):
        table = Table(*[column.replace("_", " ") for column in columns], title=title, title_justify="left", box=None)
        for row in rows:
            table.add_row(*map(shown, row))
        results.print(table)
    for note in found["notes"]:
        notes.print(f"Note: {note}.")


def write_page(path: Path, found: dict[str, Any], other: "pl.DataFrame") -> None:
    """One file of HTML without scripts or anything from elsewhere. Raises AssayError."""
    parts = [f"<p class=first>{escape(first_line(found))}</p><p class=note>{escape(_judged_by(found))}</p>"]
    parts += [f"<p class=note>{escape(note)}</p>" for note in found["notes"]]
    for title, columns, rows in tables(found, other):
        head = "".join(f"<th>{escape(column.replace('_', ' '))}</th>" for column in columns)
        body = "".join("<tr>" + "".join(f"<td>{escape(shown(cell))}</td>" for cell in row) + "</tr>" for row in rows)
        parts.append(f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>")
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>What if</title><style>{STYLE}</style>'
        f"<h1>What if</h1>{''.join(parts)}</html>\n"
    )
    try:
        durable.write_file(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise AssayError(f"{path} cannot be written ({error.strerror or error}): choose another place.") from None


def _judged_by(found: dict[str, Any]) -> str:
    given = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in found["thresholds"].items())
    policy = f", policy {found['policy']}" if found["policy"] else ""
    return f"By {found['bundle']}{policy}; alerts from {given} on."


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _rows(found: list[dict[str, Any]], columns: tuple[str, ...]) -> list[list[str]]:
    return [[_cell(name, row[name]) for name in columns] for row in found]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, float):
        return f"{value:.1%}" if name == "precision" else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
