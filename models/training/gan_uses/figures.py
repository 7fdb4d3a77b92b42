"""What was measured of the uses: means over the towns with intervals, and the GAN less each of its rivals, paired."""

from collections.abc import Mapping, Sequence

from pydantic import Field

from models.training.bootstrap import Draws
from models.training.gan_uses.aids import CLASSIFIERS, GAN, NOTHING
from models.training.gan_uses.frauds import model_name
from models.training.gan_uses.privacy import MEMBERSHIP
from models.training.gan_uses.stress import ERROR, NO_STRESS
from models.training.weeks.figures import Mean, means
from schemas.base import Message
from schemas.evaluation import Estimate

FEW, COLD, PRIVATE, STRESS = "few", "cold", "private", "stress"
PRECISION = "average_precision"


class Less(Message):
    """The GAN less a rival, each in the amount in which it is best."""

    gan: str = Field(description="The GAN's row.")
    rival: str = Field(description="The rival's row.")
    figures: dict[str, Estimate] = Field(description="Differences, paired.")


class Measured(Message):
    """One use, on all its towns."""

    use: str = Field(description="Which use.")
    detail: str = Field(description="How many frauds are known, or which stress.")
    seeds: tuple[int, ...] = Field(description="Of the towns that it was measured on.")
    means: tuple[Mean, ...] = Field(description="Every row.")
    less: tuple[Less, ...] = Field(description="The GAN less each rival.")


class UseFigures(Message):
    """Everything that the page says of the uses."""

    libraries: dict[str, str] = Field(description="Versions of the libraries.")
    customers: int = Field(description="Simulated customers of each town.")
    steps: int = Field(description="Of each generator's fit.")
    measured: tuple[Measured, ...] = Field(description="Every use.")


def measured(use: str, detail: str, of_towns: Mapping[int, Mapping[str, Draws]]) -> Measured:
    """of_towns: of each town, by its seed, every row's draws, paired."""
    towns = tuple(of_towns.values())
    if use in (FEW, COLD):
        of_means = tuple(
            mean
            for classifier in CLASSIFIERS
            for mean in means(towns, dict.fromkeys(_of(towns, classifier), model_name(classifier, NOTHING)))
        )
        less = tuple(one for classifier in CLASSIFIERS for one in _less(towns, _best(of_means, f"{classifier}: ")))
    else:
        of_means = means(towns, dict.fromkeys(towns[0], NO_STRESS if use == STRESS else GAN))
        less = _less(towns, {name: name for name in towns[0]})
    return Measured(use=use, detail=detail, seeds=tuple(of_towns), means=of_means, less=less)


def _of(towns: Sequence[Mapping[str, Draws]], classifier: str) -> list[str]:
    return [name for name in towns[0] if name.startswith(f"{classifier}: ")]


def _best(of_means: Sequence[Mean], prefix: str) -> dict[str, str]:
    """The row of each aid with the best average precision, by the aid's name."""
    found: dict[str, Mean] = {}
    for mean in of_means:
        if not mean.model.startswith(prefix):
            continue
        aid = mean.model.removeprefix(prefix).partition(",")[0]
        best = found.get(aid)
        if best is None or mean.figures[PRECISION].value > best.figures[PRECISION].value:
            found[aid] = mean
    return {aid: mean.model for aid, mean in found.items()}


def _less(towns: Sequence[Mapping[str, Draws]], rows: Mapping[str, str]) -> tuple[Less, ...]:
    """rows: of each aid, by its name; the GAN's begins with GAN."""
    of_gan = next(row for aid, row in rows.items() if aid.startswith(GAN))
    return tuple(
        Less(gan=of_gan, rival=row, figures=means(towns, {of_gan: row})[0].less_rival)
        for row in rows.values()
        if row != of_gan
    )


def gives_away(mean: Mean) -> bool:
    """Whether an attack surely tells members by such rows: its AUC over the cards is above 0.5 with the whole interval.

    Not by the share of rows that are nearer to a member: its interval does not hold the chance of who is one.
    """
    return any(found.low > 0.5 for name, found in mean.figures.items() if name.startswith(MEMBERSHIP))


def verdict(one: Measured, prefix: str = "") -> tuple[list[str], list[str], list[str]]:
    """Rivals that the GAN is surely better than, that it is not told apart from, and that are surely better.

    By average precision, under stress by the error. prefix: of the rows that are asked for.
    """
    better, alike, worse = list[str](), list[str](), list[str]()
    for less in one.less:
        if not less.gan.startswith(prefix):
            continue
        found = less.figures[ERROR if one.use == STRESS else PRECISION]
        up, down = found.low > 0.0, found.high < 0.0
        if one.use == STRESS:
            up, down = down, up
        (better if up else worse if down else alike).append(less.rival.removeprefix(prefix))
    return better, alike, worse
