"""The section of docs/results.md on what the GAN is good for, and what of it falls short."""

from collections.abc import Sequence
from pathlib import Path

from models.training.gan_uses.aids import CLASSIFIERS, GAN
from models.training.gan_uses.figures import COLD, FEW, PRIVATE, STRESS, Measured, UseFigures, gives_away, verdict
from models.training.gan_uses.frauds import COLD_KNOWN
from models.training.gan_uses.privacy import KINDS, MEMBERSHIP, MEMBERSHIP_RELATIVE, NEARER
from models.training.gan_uses.stress import ALERT_SHARE, ERROR, FOUND, KNOWN, PREDICTED
from models.training.handbook.figures import FIGURES
from models.training.results.markdown import interval, signed, table

PRECISION = "average_precision"

TOWNS_MIN = 3
"""On fewer an interval says nothing of the next town: no win is shown."""

HEAD = ("ROC AUC", "average precision", "card precision@100")
GIVEN_AWAY = {
    MEMBERSHIP: "membership, ROC AUC",
    MEMBERSHIP_RELATIVE: "the same, relative",
    NEARER: "nearer to a member",
}
WORDS = {
    FEW: "{} frauds known of each week",
    COLD: "A product that starts cold",
    PRIVATE: "Rows in place of personal data",
    STRESS: "Stress, {}",
}


def read_uses(path: Path) -> UseFigures:
    """The figures in a file."""
    return UseFigures.model_validate_json(path.read_bytes())


def uses_section(figures: UseFigures) -> list[str]:
    """Lines of the section."""
    seeds = sorted({seed for one in figures.measured for seed in one.seeds})
    towns = ", ".join(map(str, seeds))
    lines = [
        "## What the GAN is good for",
        "",
        f"{len(seeds)} simulated towns (seeds {towns}) of {figures.customers:,} customers, the Handbook's cuts: a "
        "week to train, a week of label delay, a week to test. Labels, terminals' rates and the cards that are left out of "
        "the test are those of the known frauds alone; to the fit unknown ones are legitimate. The test week has all "
        f"labels. Each generator is fitted for {figures.steps:,} steps. Means over the towns; 95 % intervals by drawing the "
        "towns and in each its cards. Differences are paired, the GAN in the amount in which it is best, less each rival "
        f"in its own. Measured by `python -m models.training.gan_uses.run --seeds {' '.join(map(str, seeds))} --customers "
        f"{figures.customers} --steps {figures.steps} --out docs/gan-uses.json`; libraries: "
        + ", ".join(f"{name} {number}" for name, number in sorted(figures.libraries.items()))
        + ".",
        "",
        *verdicts(figures),
        "",
    ]
    for one in figures.measured:
        alone = f"{'Town' if len(one.seeds) == 1 else 'Towns'} {', '.join(map(str, one.seeds))} alone."
        fewer = [alone, ""] if len(one.seeds) < len(seeds) else []
        lines += [f"### {_title(one)}", "", *fewer, *_part(one)]
    return lines


def uses_shortfalls(figures: UseFigures) -> list[str]:
    """A line where the GAN is not shown to be the best of anything."""
    if any(_wins(one, prefix) for one in figures.measured for prefix in _prefixes(one)):
        return []
    return [
        f"- The GAN is shown on {TOWNS_MIN} towns or more to be better than all its rivals in none of the uses that were "
        "measured: few known frauds, a cold start, rows in place of personal data, stress (*What the GAN is good for*)."
    ]


def verdicts(figures: UseFigures) -> list[str]:
    """A line for each use and classifier, decided by the intervals."""
    lines = []
    for one in figures.measured:
        for prefix in _prefixes(one):
            better, alike, worse = verdict(one, prefix)
            who = f" ({prefix.removesuffix(': ')})" if prefix else ""
            parts = [
                f"{words} {_joined(rivals)}"
                for words, rivals in (
                    ("surely better than", better),
                    ("not told apart from", alike),
                    ("surely worse than", worse),
                )
                if rivals
            ]
            lines.append(f"- {_title(one)}{who}, {_towns(one)}: the GAN is {'; '.join(parts)}.{_privacy(one)}")
    return lines


def _towns(one: Measured) -> str:
    return "one town alone" if len(one.seeds) == 1 else f"{len(one.seeds)} towns"


def _privacy(one: Measured) -> str:
    """What is to be said of it beside the ranking."""
    if one.use != PRIVATE:
        return ""
    telling, silent = ([m.model for m in one.means if gives_away(m) == answer] for answer in (True, False))
    parts = [f" Members are surely told apart by: {_joined(telling)}." if telling else ""]
    parts += [f" Not by: {_joined(silent)}." if silent else ""]
    return "".join(parts)


def _wins(one: Measured, prefix: str) -> bool:
    """Surely better than all, on towns enough; of rows in place of personal data, than all that give as little away."""
    if len(one.seeds) < TOWNS_MIN:
        return False
    _, alike, worse = verdict(one, prefix)
    if one.use == PRIVATE:
        telling = {mean.model for mean in one.means if gives_away(mean)}
        return GAN not in telling and {*alike, *worse} <= telling
    return not alike and not worse


def _prefixes(one: Measured) -> list[str]:
    return [f"{classifier}: " for classifier in CLASSIFIERS] if one.use in (FEW, COLD) else [""]


def _title(one: Measured) -> str:
    return WORDS[one.use].format(one.detail)


def _joined(names: Sequence[str]) -> str:
    return "; ".join(names)


def _part(one: Measured) -> list[str]:
    if one.use in (FEW, COLD):
        return _ranked(one)
    if one.use == PRIVATE:
        return _private(one)
    words = (
        f"The default classifier, trained on {KNOWN} known frauds of the week, at its highest {ALERT_SHARE:.1%} of scores: the "
        "recall that each source of frauds predicts for the test week under stress, and the actual one. The intervals hold the "
        "chance of the test week's cards, not that of the frauds that are known."
    )
    names = (PREDICTED, FOUND, ERROR)
    head = ("frauds that are changed", "recall, predicted", "actual", "absolute error")
    rows = [[m.model, *(interval(m.figures[name]) for name in names)] for m in one.means]
    less = [[f"GAN less {less.rival}", signed(less.figures[ERROR])] for less in one.less]
    return [words, "", *table(head, rows), *table(("", "absolute error"), less)]


def _ranked(one: Measured) -> list[str]:
    words = [] if one.use == FEW else [_COLD, ""]
    rows = [
        [
            m.model,
            *(interval(m.figures[name]) for name in FIGURES),
            signed(m.less_rival[PRECISION]) if m.less_rival else "",
        ]
        for m in one.means
    ]
    less = [[f"{one.gan} less {one.rival}", *(signed(one.figures[name]) for name in FIGURES)] for one in one.less]
    return [*words, *table(("", *HEAD, "average precision less nothing"), rows), *table(("", *HEAD), less)]


_COLD = (
    f"The second to fourth week of a new town in which everyone spends half as much again, with {COLD_KNOWN} known frauds a "
    "week, and all frauds of a week of an older town: its model as it is, its frauds as they are, rows by SMOTE of them, "
    "and a GAN's."
)


def _private(one: Measured) -> list[str]:
    words = (
        "The default classifier trained on drawn rows alone, frauds and others, and judged on the real test week; all "
        "labels are known. A source learns from half of the cards. An attacker tells their rows from the other cards' by "
        "the distance to the nearest drawn row: ROC AUC, alone and relative to the distance to the nearest of the "
        "attacker's own rows; then the share of drawn rows that are nearer to a row learnt from than to one of as many "
        "others. 0.5: nothing is given away."
    )
    head = ["", "average precision", *(f"{words}: {kind}" for kind in KINDS for words in GIVEN_AWAY.values())]
    names = [PRECISION, *(f"{name}_{kind}" for kind in KINDS for name in GIVEN_AWAY)]
    rows = [[m.model, *(interval(m.figures[name]) for name in names)] for m in one.means]
    less = [[f"GAN less {less.rival}", *(signed(less.figures[name]) for name in names)] for less in one.less]
    return [words, "", *table(head, [*rows, *less])]
