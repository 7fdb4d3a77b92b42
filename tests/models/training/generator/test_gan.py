"""The generator's fit: the reference network, the same bits again, an export that says the same, rows like the real ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.features.spec_file import load_spec, parse_spec
from models.networks.gan import PRESETS, Critic, GanShape, Generator
from models.training.devices import deterministic_torch
from models.training.export import TOLERANCE, ExportError
from models.training.generator.export import check_generator, export_generator
from models.training.generator.fit_gan import GanSettings, draw_levels, fit_gan
from models.training.generator.synthesis import Mean, Night, derived_columns, fit_synthesis
from models.training.progress import silent

pytestmark = pytest.mark.train

SPEC = load_spec(Path("deploy/features/fraud.yaml"))
CPU = torch.device("cpu")


def widths(module: torch.nn.Module) -> list[tuple[int, int]]:
    """(inputs, outputs) of every linear layer, in order."""
    return [(m.in_features, m.out_features) for m in module.modules() if isinstance(m, torch.nn.Linear)]


def levels(count: int) -> NDArray[np.float32]:
    """Three uniform columns: the second follows the first, the third is independent."""
    random = np.random.default_rng(0)
    first, third = random.random((2, count))
    return np.stack([first, np.clip(first + random.normal(0, 0.05, count), 0, 1), third], axis=1).astype(np.float32)


def test_the_reference_networks_are_100_256_512_1000_features_against_features_512_256_1() -> None:
    """By the preset's name."""
    shape = PRESETS["reference"]
    assert widths(Generator(26, shape)) == [(100, 256), (256, 512), (512, 1000), (1000, 26)]
    assert widths(Critic(26, shape)) == [(26, 512), (512, 256), (256, 1)]


def test_the_reference_generator_learns_what_hangs_together_and_exports_to_onnx() -> None:
    """After 300 steps its columns correlate as the real ones do, and ONNX says what PyTorch says to 1e-5."""
    deterministic_torch(0)
    reported: list[tuple[str, int, int]] = []
    settings = GanSettings(shape=PRESETS["reference"], steps=300)
    generator = fit_gan(levels(2_000), settings, 1, CPU, lambda *told: reported.append(told))
    drawn = draw_levels(generator, 2_000, 2)
    correlation = np.corrcoef(drawn.T)
    assert correlation[0, 1] > 0.7
    assert abs(correlation[0, 2]) < 0.3
    assert np.all(drawn.std(axis=0) > 0.15)
    assert reported[-1] == ("generator", 300, 300)
    content = export_generator(generator, "test")
    assert check_generator(generator, content, 3) <= TOLERANCE
    with torch.no_grad():
        generator.output.bias += 0.1
    with pytest.raises(ExportError, match="the export is wrong"):
        check_generator(generator, content, 3)


def test_the_same_seed_fits_the_same_generator_and_leaves_other_draws_alone() -> None:
    """So a bundle whose gate said no has the bits of one without a GAN."""
    deterministic_torch(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, two, other = (fit_gan(levels(200), GanSettings(steps=5), seed, CPU, silent) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert draw_levels(one, 20, 3).tobytes() == draw_levels(two, 20, 3).tobytes()
    assert draw_levels(one, 20, 3).tobytes() != draw_levels(other, 20, 3).tobytes()


def test_what_follows_from_other_columns_is_computed_and_not_drawn() -> None:
    """The night from the hour, a window's mean from amount and ratio."""
    names = SPEC.names
    derived = derived_columns(SPEC)
    assert Night(names.index("is_night"), names.index("hour")) in derived
    expected = ("card_mean_amount_1h", "amount", "card_amount_ratio_1h", "card_count_1h")
    assert Mean(*(names.index(name) for name in expected)) in derived
    assert len(derived) == 6


def test_synthetic_rows_do_not_contradict_themselves() -> None:
    """Night by the hour, ratio times mean is the amount, alone means ratio 1; counts are whole and within what was seen."""
    deterministic_torch(0)
    random = np.random.default_rng(0)
    names = SPEC.names
    real = random.gamma(1.0, 50.0, (300, len(names))).astype(np.float32)
    for column, name in enumerate(names):
        if "count" in name:
            real[:, column] = random.integers(1, 5, 300)
    real[:, names.index("hour")] = random.uniform(0, 24, 300)
    drawn = fit_synthesis(real, SPEC, GanSettings(steps=5), 1, CPU, silent).draw(500, 2)
    of = {name: drawn[:, column] for column, name in enumerate(names)}
    assert np.array_equal(of["is_night"], of["hour"] < 7)
    for window in ("10m", "1h", "24h", "7d", "30d"):
        assert of[f"card_amount_ratio_{window}"] * of[f"card_mean_amount_{window}"] == pytest.approx(
            of["amount"], rel=1e-5
        )
        assert np.all(of[f"card_amount_ratio_{window}"][of[f"card_count_{window}"] == 1] == 1)
        assert set(np.unique(of[f"card_count_{window}"])) <= {1, 2, 3, 4}


CATEGORIES = """
version: 1
features:
  - {name: land, kind: category, attribute: land, learn: {}}
  - {name: bank, kind: category, attribute: bank, learn: {}}
  - {name: amount, kind: field, field: amount}
"""


LANDS, FOLLOWS = np.array([0.0, 2.0, 3.0, 7.0]), np.array([2, 0, 3, 1])
"""Codes with gaps between them, and the place of that which mostly comes beside each."""


def with_categories(count: int) -> NDArray[np.float32]:
    """The second category follows the first in 87 rows of 100, 28 if they did not hang together; a number beside them."""
    random = np.random.default_rng(0)
    land = random.choice(4, count, p=[0.4, 0.3, 0.2, 0.1])
    bank = np.where(random.random(count) < 0.83, FOLLOWS[land], random.integers(0, 4, count))
    return np.stack([LANDS[land], LANDS[bank], random.lognormal(3, 1, count)], axis=1).astype(np.float32)


def away(real: NDArray[np.float32], drawn: NDArray[np.float32], column: int) -> float:
    """Half the sum of how far the shares of a column's codes are from the real ones: total variation."""
    shares = [(rows[:, column][:, None] == LANDS).mean(axis=0) for rows in (real, drawn)]
    return float(0.5 * np.abs(shares[0] - shares[1]).sum())


def test_codes_of_categories_are_drawn_from_those_that_came_and_in_their_shares_after_any_fit() -> None:
    """Twenty steps teach nothing of what goes with what, but no code is made up, and the shares are right."""
    deterministic_torch(0)
    real = with_categories(1500)
    settings = GanSettings(shape=GanShape(16, (64, 64), (64, 64)), steps=20)
    source = fit_synthesis(real, parse_spec(CATEGORIES), settings, 1, CPU, silent)
    drawn, again = source.draw(3000, 2), source.draw(3000, 2)
    assert drawn.tobytes() == again.tobytes()
    for column in (0, 1):
        assert set(drawn[:, column].tolist()) == set(LANDS.tolist())
        assert away(real, drawn, column) < 0.05


def test_rows_of_categories_alone_can_be_drawn() -> None:
    """No column has levels then."""
    deterministic_torch(0)
    text = CATEGORIES[: CATEGORIES.index("  - {name: amount")]
    settings = GanSettings(shape=GanShape(16, (64, 64), (64, 64)), steps=5)
    drawn = fit_synthesis(with_categories(300)[:, :2], parse_spec(text), settings, 1, CPU, silent).draw(50, 2)
    assert drawn.shape == (50, 2)
    assert set(np.unique(drawn)) <= set(LANDS)


@pytest.mark.slow
def test_categories_are_drawn_with_what_goes_with_them() -> None:
    """In four rows of five of those in which the real ones do."""
    deterministic_torch(0)
    real = with_categories(1500)
    settings = GanSettings(shape=GanShape(16, (64, 64), (64, 64)), steps=1_500)
    drawn = fit_synthesis(real, parse_spec(CATEGORIES), settings, 1, CPU, silent).draw(3000, 2)
    for column in (0, 1):
        assert away(real, drawn, column) < 0.05
    again = np.searchsorted(LANDS, drawn[:, :2])
    assert (again[:, 1] == FOLLOWS[again[:, 0]]).mean() > 0.7
