"""The weeks' section of docs/results.md, and what of it falls short."""

from pathlib import Path

from models.training.baselines import LOGISTIC
from models.training.handbook.figures import FIGURES
from models.training.results.markdown import interval, signed, table
from models.training.weeks.contest import AUTOENCODERS, BLEND, LOGISTIC_8, MEMBERS, NETWORK, REFERENCE
from models.training.weeks.figures import WeekFigures
from schemas.evaluation import UNSUPERVISED

HEAD = ("ROC AUC", "average precision", "card precision@100")
PRECISION = "average_precision"

AIMS = {NETWORK: 0.0, MEMBERS: 0.0, BLEND: 0.01}
"""By how much average precision is to be above the rival's."""

UNLABELLED_AIMS = {"roc_auc": 0.86, "average_precision": 0.30}
"""What the best autoencoder is to reach without a label."""

BESIDE = {REFERENCE: LOGISTIC_8, NETWORK: LOGISTIC}
"""The logistic regression on the same inputs, below which no fit should be far."""


def read_weeks(path: Path) -> WeekFigures:
    """The figures in a file."""
    return WeekFigures.model_validate_json(path.read_bytes())


def weeks_section(figures: WeekFigures) -> list[str]:
    """Lines of the section."""
    weeks = _weeks(figures)
    lines = [
        "## Weeks that nothing was chosen on",
        "",
        f"{len(weeks)} weeks of payments simulated with {len({seed for seed, _ in weeks})} seeds that no setting was chosen "
        f"on, {figures.customers:,} customers: a week to train, a week of label delay, a week to test, without cards whose "
        "fraud was known. Our networks also stop, and are calibrated, on the labelled week before. Means over the weeks; 95 % "
        "intervals by drawing the weeks and in each its cards. Measured by `python -m models.training.weeks.run "
        f"{_asked(figures)} --out docs/weeks.json`; libraries: "
        + ", ".join(f"{name} {number}" for name, number in sorted(figures.libraries.items()))
        + ".",
        "",
        *table(("", *HEAD), ([m.model, *(interval(m.figures[name]) for name in FIGURES)] for m in figures.means)),
        f"Differences, on the same draws: less {figures.rival}, of what knows no label less {figures.unsupervised_rival}:",
        "",
        *table(
            ("", *HEAD),
            ([m.model, *(signed(m.less_rival[name]) for name in FIGURES)] for m in figures.means if m.less_rival),
        ),
    ]
    return [*lines, *_worst(figures)]


def weeks_shortfalls(figures: WeekFigures) -> list[str]:
    """A line for each aim that is missed: as measured, and for a sure one the interval says so."""
    lines = []
    for mean in figures.means:
        aim, less = AIMS.get(mean.model), mean.less_rival.get(PRECISION)
        if aim is None or less is None or less.value >= aim:
            continue
        least = f"at least {aim:.2f} above" if aim else "at or above"
        lines.append(
            f"- On {len(_weeks(figures))} weeks that nothing was chosen on, {mean.model}: average precision "
            f"{mean.figures[PRECISION].value:.3f}, to be {least} that of {figures.rival}: difference {signed(less)}."
        )
    return [*lines, *_unlabelled(figures)]


def _unlabelled(figures: WeekFigures) -> list[str]:
    """A line for each aim that no autoencoder reaches, with the best of them, and of what knows labels."""
    ours = [mean for mean in figures.means if mean.model in AUTOENCODERS]
    others = [mean for mean in figures.means if not mean.model.endswith(UNSUPERVISED)]
    lines = []
    for name, aim in UNLABELLED_AIMS.items() if ours else ():
        best = max(ours, key=lambda mean: mean.figures[name].value)
        if best.figures[name].value >= aim:
            continue
        words = HEAD[FIGURES.index(name)]
        known = max(others, key=lambda mean: mean.figures[name].value) if others else None
        beside = f" The best with labels, {known.model}, has {known.figures[name].value:.3f}." if known else ""
        lines.append(
            f"- On {len(_weeks(figures))} weeks that nothing was chosen on, {best.model}: {words} "
            f"{interval(best.figures[name])}, to be at least {aim:.2f}.{beside}"
        )
    return lines


def _asked(figures: WeekFigures) -> str:
    """The options that it was measured with."""
    seeds, days = (" ".join(map(str, dict.fromkeys(of))) for of in zip(*sorted(_weeks(figures)), strict=True))
    fits = 1 + max(row.fit for row in figures.rows)
    return f"--seeds {seeds} --first-days {days} --customers {figures.customers} --fits {fits}"


def _weeks(figures: WeekFigures) -> set[tuple[int, int]]:
    return {(row.seed, row.first_day) for row in figures.rows}


def _worst(figures: WeekFigures) -> list[str]:
    """The lowest of all fits of each network that was fitted from several seeds."""
    of_baseline = {(r.seed, r.first_day, r.model): r.figures[PRECISION] for r in figures.rows if r.fit == 0}
    rows = []
    for model in dict.fromkeys(row.model for row in figures.rows if row.fit > 0):
        fits = [row for row in figures.rows if row.model == model]
        beside = BESIDE.get(model)
        behind = [of_baseline[r.seed, r.first_day, beside] - r.figures[PRECISION] for r in fits] if beside else []
        cells = [f"{min(row.figures[name] for row in fits):.3f}" for name in FIGURES]
        rows.append([model, str(len(fits)), *cells, f"{max(behind):.3f} ({beside})" if behind else ""])
    if not rows:
        return []
    words = (
        "The lowest figure of any fit, of so many seeds and weeks, and how far any lies below a logistic regression:"
    )
    return [words, "", *table(("", "fits", *HEAD, "furthest below, average precision"), rows)]
