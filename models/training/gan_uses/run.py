"""Measures what the GAN is good for and writes docs/gan-uses.json: `python -m models.training.gan_uses.run`.

Draws of each use and town are kept in a directory while it runs, so that a run that was stopped goes on where it was.
"""

import argparse
import sys
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.console import Console

from models.training.bootstrap import Draws
from models.training.gan_uses.aids import Trial
from models.training.gan_uses.figures import COLD, FEW, PRIVATE, STRESS, UseFigures, measured
from models.training.gan_uses.frauds import cold, few
from models.training.gan_uses.page import verdicts
from models.training.gan_uses.privacy import private
from models.training.gan_uses.stress import KNOWN as STRESS_KNOWN
from models.training.gan_uses.stress import STRESSES, stress
from models.training.gan_uses.town import Town, simulated_town
from models.training.generator.fit_gan import GanSettings
from models.training.handbook.windows import WEEK_DAYS
from models.training.weeks.figures import means

CUSTOMERS, TRAIN_FROM = 2_000, 6 * WEEK_DAYS
"""Of a town, and its training week: the longest windows are full."""

SEEDS = (61, 62, 63, 64)
"""Of towns that no setting was chosen on."""

NEW_TOWN = 1_000
"""A new product's seed is so much above the old one's."""

KNOWN = (30, 100, 300)
STEPS = GanSettings().steps
USES = (FEW, COLD, PRIVATE, STRESS)

console = Console(soft_wrap=True, highlight=False)


def main(arguments: list[str] | None = None) -> int:
    """Measure every use on every town, show each as it comes, and write all figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Example: python -m models.training.gan_uses.run --uses few --known 30"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="of the towns (default: %(default)s)")
    parser.add_argument("--uses", nargs="+", choices=USES, default=list(USES), help="which (default: all)")
    parser.add_argument(
        "--known", type=int, nargs="+", default=list(KNOWN), help="frauds of a week that are few (default: %(default)s)"
    )
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="of each town (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each generator's fit (default: %(default)s)")
    parser.add_argument(
        "--keep", type=Path, default=Path(".assay/gan-uses"), help="draws of each use (default: %(default)s)"
    )
    parser.add_argument("--kept", action="store_true", help="measure no more: write what is kept of these uses")
    parser.add_argument("--out", type=Path, help="where to write the figures (default: nowhere)")
    given = parser.parse_args(arguments)
    if min(given.known) < 2 or min(given.seeds) < 0 or given.customers < 100 or given.steps < 1:
        print(
            "gan_uses: give at least 2 known frauds, seeds from 0, 100 customers and 1 step.",
            file=sys.stderr,
        )
        return 2
    given.keep.mkdir(parents=True, exist_ok=True)
    towns = [_Measures(seed, given) for seed in given.seeds]
    parts = _parts(given)
    found = {town.seed: town.all(parts, measure=not given.kept) for town in towns}
    of_parts = {part: {seed: of[part] for seed, of in found.items() if part in of} for part in parts}
    if not any(of_parts.values()):
        print(f"gan_uses: {given.keep} keeps none of these: leave out --kept to measure them.", file=sys.stderr)
        return 2
    figures = UseFigures(
        libraries={name: version(name) for name in ("numpy", "scikit-learn", "torch")},
        customers=given.customers,
        steps=given.steps,
        measured=tuple(measured(*part, of_towns) for part, of_towns in of_parts.items() if of_towns),
    )
    for line in verdicts(figures):
        console.print(line, markup=False)
    if given.out:
        given.out.write_text(figures.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return 0


Part = tuple[str, str]
"""A use, and how many frauds are known or which stress."""


def _parts(given: argparse.Namespace) -> list[Part]:
    details = {FEW: [str(known) for known in given.known], COLD: [""], PRIVATE: [""], STRESS: list(STRESSES)}
    return [(use, detail) for use in given.uses for detail in details[use]]


class _Measures:
    """One town's draws, measured or kept."""

    def __init__(self, seed: int, given: argparse.Namespace) -> None:
        self.seed, self._given = seed, given
        self._trials: dict[int, Trial] = {}

    @cached_property
    def _town(self) -> Town:
        return simulated_town(self.seed, self._given.customers, TRAIN_FROM + 3 * WEEK_DAYS)

    def _trial(self, known: int) -> Trial:
        """Kept, since its generator is fitted once for two uses."""
        if known not in self._trials:
            self._trials[known] = Trial(self._town.window(TRAIN_FROM, known), self.seed, self._given.steps)
        return self._trials[known]

    def all(self, parts: list[Part], *, measure: bool) -> dict[Part, dict[str, Draws]]:
        """Of each part; only of those that are kept, unless it is to `measure`."""
        for part in parts:
            if measure and not self._path(part).exists():
                for one, draws in self._measure(*part).items():
                    self._keep(one, draws)
                self._show(part)
        found = {part: self._kept(part) for part in parts if self._path(part).exists()}
        self.__dict__.pop("_town", None)  # a town is large
        self._trials.clear()
        return found

    def _measure(self, use: str, detail: str) -> dict[Part, dict[str, Draws]]:
        steps = self._given.steps
        match use:
            case "few":
                return {(use, detail): few(self._trial(int(detail)))}
            case "cold":
                new = simulated_town(self.seed + NEW_TOWN, self._given.customers, 4 * WEEK_DAYS, drift_day=0)
                return {(use, detail): cold(self._town, TRAIN_FROM, new, steps)}
            case "private":
                return {(use, detail): private(self._town.window(TRAIN_FROM, None), self.seed, steps)}
        return {(use, name): draws for name, draws in stress(self._town, TRAIN_FROM, self._trial(STRESS_KNOWN)).items()}

    def _path(self, part: Part) -> Path:
        given, name = self._given, " ".join(part).replace(":", "").strip()
        path: Path = given.keep / f"{given.customers} {given.steps} {self.seed} {name}.npz"
        return path

    def _keep(self, part: Part, draws: dict[str, Draws]) -> None:
        columns = {f"{model}|{figure}": values for model, of in draws.items() for figure, values in of.items()}
        np.savez(self._path(part), **columns)  # type: ignore[arg-type]

    def _kept(self, part: Part) -> dict[str, Draws]:
        found: dict[str, Draws] = {}
        with np.load(self._path(part)) as columns:
            for column in columns:
                model, _, figure = column.partition("|")
                found.setdefault(model, {})[figure] = columns[column]
        return found

    def _show(self, part: Part) -> None:
        kept = self._kept(part)
        console.print(f"seed {self.seed}, {' '.join(part)}", markup=False)
        for mean in means([kept], dict.fromkeys(kept, next(iter(kept)))):
            values = "  ".join(f"{name} {value.value:.3f}" for name, value in mean.figures.items())
            console.print(f"  {mean.model:56} {values}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
