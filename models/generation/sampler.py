"""Rows from a generator on ONNX Runtime: no PyTorch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.generation.artefact import INPUT, OUTPUT, Artefact, GeneratorError
from models.generation.marginals import Marginal, from_uniform
from models.scoring.devices import create_session
from schemas.generator import GeneratorColumn

SLICE_ROWS = 1024
"""Rows per call of ONNX Runtime, always: a row's bits never depend on how many are asked for."""


def marginals(columns: Sequence[GeneratorColumn]) -> tuple[Marginal, ...]:
    """The manifest's columns, ready to compute with."""
    return tuple(Marginal(np.array(c.levels), np.array(c.values), c.whole) for c in columns)


class Sampler:
    """One generator on the CPU."""

    def __init__(self, artefact: Artefact) -> None:
        """Raises GeneratorError where the graph's output has not the manifest's columns."""
        self._noise = artefact.manifest.noise
        self._marginals = marginals(artefact.manifest.columns)
        self._session, _ = create_session(artefact.model, "cpu")
        width = self._session.get_outputs()[0].shape[1:]
        if width != [len(self._marginals)]:
            raise GeneratorError(f"The generator's graph gives {width} columns, its manifest {len(self._marginals)}.")

    def draw(self, count: int, random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`count` rows as levels in (0, 1) and as values in the columns' units, float32[count, columns] each."""
        parts = [np.empty((0, len(self._marginals)), np.float32)]
        for start in range(0, count, SLICE_ROWS):
            noise = random.standard_normal((SLICE_ROWS, self._noise), np.float32)
            (levels,) = self._session.run([OUTPUT], {INPUT: noise})
            parts.append(levels[: count - start])
        levels = np.concatenate(parts)
        return levels, from_uniform(self._marginals, levels)
