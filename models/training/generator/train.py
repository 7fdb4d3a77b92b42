"""Trains the generator of payments that `assay simulate --from gan` streams: read `train_generator` from top to bottom."""

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from models.generation.artefact import pack_generator
from models.generation.marginals import fit_marginals, from_uniform, to_uniform
from models.generation.payments import COLUMNS
from models.networks.gan import PRESETS, GanShape
from models.simulation.settings import SimulationSettings
from models.training.devices import deterministic_torch
from models.training.generator.export import check_generator, export_generator
from models.training.generator.fit_gan import GanSettings, draw_levels, fit_gan
from models.training.generator.payment_rows import PaymentRows, simulated_rows
from models.training.generator.quality import quality
from models.training.progress import Progress, silent
from schemas.generator import GeneratorColumn, GeneratorManifest


@dataclass(frozen=True, slots=True)
class GeneratorSettings:
    """Everything that a run depends on, apart from its payments. customers, days: of the simulation, where there is no file."""

    seed: int = 1
    version: int = 1
    customers: int = 2_000
    days: int = 28
    gan: GanSettings = field(default_factory=GanSettings)


def train_generator(
    settings: GeneratorSettings, out: Path, progress: Progress = silent, payments: PaymentRows | None = None
) -> GeneratorManifest:
    """Fit, export, compare with real payments and pack into the directory `out`. Same settings, same machine: same bytes.

    payments: by default they are simulated. Raises ValueError's kinds, one sentence each.
    """
    device = deterministic_torch(settings.seed)
    own = payments is not None
    payments = payments or simulated_rows(
        SimulationSettings(
            seed=settings.seed, customers=settings.customers, terminals=2 * settings.customers, days=settings.days
        )
    )
    held_out = payments.held_out()
    rows, unseen = payments.rows[~held_out], payments.rows[held_out]
    marginals = fit_marginals(rows)
    levels = to_uniform(marginals, rows, np.random.default_rng([settings.seed, 1]))
    generator = fit_gan(levels, settings.gan, settings.seed, device, progress)
    graph = export_generator(generator, "payments")
    check_generator(generator, graph, settings.seed)
    drawn = from_uniform(marginals, draw_levels(generator, len(rows), settings.seed))
    manifest = GeneratorManifest(
        name="payments",
        version=settings.version,
        created_at_ms=payments.end_ms,
        owner="The user who trained it on their own payments" if own else "The Assay authors",
        licence="As the payments that it was trained on" if own else "Apache-2.0",
        permitted_use="Synthetic traffic for demonstrations and tests. Its tables hold quantiles of the real amounts.",
        network=_preset(settings.gan.shape),
        noise=settings.gan.shape.noise,
        columns=tuple(
            GeneratorColumn(name=name, levels=tuple(m.levels.tolist()), values=tuple(m.values.tolist()), whole=m.whole)
            for name, m in zip(COLUMNS, marginals, strict=True)
        ),
        data=payments.source,
        data_digest=payments.digest(),
        records=len(rows),
        seed=settings.seed,
        settings=TypeAdapter(GeneratorSettings).dump_python(settings, mode="json", exclude={"seed", "version"}),
        libraries={name: version(name) for name in ("numpy", "onnx", "scikit-learn", "torch")},
        quality=quality(rows, unseen, drawn, settings.seed),
        files={},
    )
    pack_generator(out, manifest, graph)
    return manifest


def _preset(shape: GanShape) -> str:
    return next((name for name, preset in PRESETS.items() if preset == shape), "own")
