"""By day and by kind of fraud: where the model works and where it does not."""

import numpy as np

from models.training.model_report.blocks import Figure, Section, Table, count, percent
from models.training.model_report.inputs import DECISIONS, ReportInput, Rows, decide, scenarios_of, share
from models.training.model_report.svg import Axis, Plot, even_ticks

BAR = 0.36
"""Half the share of its slot that a group of bars fills."""

DAYS_IN_TABLE_MAX = 62


def breakdown_section(data: ReportInput) -> Section | None:
    """None if the rows have neither days nor scenarios."""
    figures = [found for found in (_days(data), _scenarios(data)) if found]
    if not figures:
        return None
    return Section(
        "breakdown",
        "Where does it work, and where not?",
        ("One figure for everything hides bad days and whole kinds that are missed.",),
        tuple(figures),
    )


def _days(data: ReportInput) -> Figure | None:
    column, truth, words = data.test.day, data.test.truth, data.words
    if column is None:
        return None
    alerts = decide(data.test.scores, data.manifest.thresholds)["combined"]
    days = np.unique(column)
    found, missed, rows = [], [], []
    for day in days:
        today: Rows = column == day
        hit = int((alerts & truth & today).sum())
        found.append(hit)
        missed.append(int((truth & today).sum()) - hit)
        cards = () if data.test.card is None else (count(len(np.unique(data.test.card[alerts & today]))),)
        numbers = (today, truth & today, alerts & today)
        rows.append(
            (
                str(int(day - days[0]) + 1),
                *(count(part.sum()) for part in numbers),
                *cards,
                percent(share(truth, alerts & today)),
                percent(share(alerts, truth & today)),
            )
        )
    most = max(f + m for f, m in zip(found, missed, strict=True)) * 1.1 or 1.0
    plot = Plot(
        Axis("day of the test", 0.5, len(days) + 0.5, _day_ticks(len(days)), lambda v: f"{v:.0f}"),
        Axis(words.positives, 0.0, most, even_ticks(most), lambda v: f"{v:g}"),
    )
    spans = [(n + 1 - BAR, n + 1 + BAR) for n in range(len(days))]
    plot.bars(spans, [f + m for f, m in zip(found, missed, strict=True)], "hollow c2")
    plot.bars(spans, found, "c1")
    plot.key("area c1", "found")
    plot.key("line c2", "missed")
    recalls = [f / (f + m) for f, m in zip(found, missed, strict=True) if f + m]
    cards_column = () if data.test.card is None else ("cards to look at",)
    return Figure(
        "By day",
        f"Between {percent(min(recalls))} and {percent(max(recalls))} of a day's {words.positives} are found. Days far from "
        "the others are worth a look before release.",
        plot.svg(f"Bars by day: {words.positives} found and missed."),
        Table(
            "By day of the test" + (f", the first {DAYS_IN_TABLE_MAX}" if len(days) > DAYS_IN_TABLE_MAX else ""),
            ("day", words.events, words.positives, words.alerts, *cards_column, "precision", "recall"),
            tuple(rows[:DAYS_IN_TABLE_MAX]),
        ),
    )


def _day_ticks(days: int) -> tuple[float, ...]:
    step = -(-days // 10)
    return tuple(float(day) for day in range(1, days + 1, step))


def _scenarios(data: ReportInput) -> Figure | None:
    found, truth, words = scenarios_of(data), data.test.truth, data.words
    if not found:
        return None
    decisions = decide(data.test.scores, data.manifest.thresholds)
    ticks = tuple(float(n + 1) for n in range(len(found)))
    plot = Plot(
        Axis("", 0.5, len(found) + 0.5, ticks, lambda v: found[round(v) - 1][0]),
        Axis("found (recall)", 0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), lambda v: f"{v:.0%}"),
    )
    styles = ("c1", "c3", "hollow c2")
    width = 2 * BAR / len(DECISIONS)
    rows = []
    for name, style in zip(DECISIONS, styles, strict=True):
        start = -BAR + width * DECISIONS.index(name)
        spans = [(n + 1 + start, n + 1 + start + width * 0.9) for n in range(len(found))]
        plot.bars(spans, [share(decisions[name], rows_of & truth) or 0.0 for _, rows_of in found], style)
        plot.key(
            ("line " if "hollow" in style else "area ") + style.split()[-1], {"combined": "either"}.get(name, name)
        )
    recalls = {}
    for label, rows_of in found:
        each = [share(decisions[name], rows_of & truth) for name in DECISIONS]
        recalls[label] = each[-1] or 0.0
        rows.append((label, count((rows_of & truth).sum()), *(percent(recall) for recall in each)))
    worst = min(recalls, key=lambda label: recalls[label])
    return Figure(
        f"By kind of {words.positive}",
        f"Least is found of “{worst}”: {percent(recalls[worst])}.",
        plot.svg(f"Share found by scenario and trigger; {worst} least, {percent(recalls[worst])}."),
        Table("Found, by scenario", ("scenario", words.positives, "classifier", "anomaly", "either"), tuple(rows)),
    )
