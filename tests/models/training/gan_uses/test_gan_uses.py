"""The GAN's uses: what is known and drawn, attacks that find what is there to find, stress, verdicts, and a small run."""

from pathlib import Path

import numpy as np
import pytest

from models.training.baselines import LOGISTIC
from models.training.bootstrap import DRAWS, Draws
from models.training.data import Dataset
from models.training.gan_uses.aids import COPIES, GAN, NOTHING, SMOTE, WEIGHTS, amounts, smote
from models.training.gan_uses.figures import COLD, FEW, PRIVATE, STRESS, UseFigures, measured
from models.training.gan_uses.frauds import model_name
from models.training.gan_uses.page import read_uses, uses_section, uses_shortfalls, verdicts
from models.training.gan_uses.privacy import (
    INDEPENDENT,
    KINDS,
    MEMBERSHIP,
    MEMBERSHIP_RELATIVE,
    NEARER,
    REAL,
    attack,
)
from models.training.gan_uses.run import main
from models.training.gan_uses.stress import ERROR, FOUND, HELD_OUT, NO_STRESS, PREDICTED, STRESSES, scaled
from models.training.gan_uses.town import SPEC, simulated_town
from models.training.handbook.figures import FIGURES

pytestmark = pytest.mark.train

OURS = "our classifier"


def around(level: float, seed: int = 0) -> np.ndarray:
    """Draws of a figure around a level; the same seed moves every row alike, as paired draws do."""
    return level + np.concatenate([[0.0], 0.02 * np.random.default_rng(seed).normal(size=DRAWS)])


def ranked(levels: dict[str, float]) -> list[dict[str, Draws]]:
    """Three towns of these rows for each classifier."""
    return [
        {
            model_name(classifier, aid): {name: around(level, town) for name in FIGURES}
            for classifier in (OURS, LOGISTIC)
            for aid, level in levels.items()
        }
        for town in range(3)
    ]


def private(gan_gives_away: float) -> list[dict[str, Draws]]:
    """SMOTE ranks best and gives its members away, as real rows do; shuffled columns are useless."""
    levels = {REAL: (0.6, 1.0), SMOTE: (0.55, 0.9), GAN: (0.5, gan_gives_away), INDEPENDENT: (0.1, 0.5)}
    names = [f"{name}_{kind}" for kind in KINDS for name in (MEMBERSHIP, MEMBERSHIP_RELATIVE, NEARER)]
    return [
        {
            source: {"average_precision": around(precision, town)} | {name: around(away, town) for name in names}
            for source, (precision, away) in levels.items()
        }
        for town in range(3)
    ]


def figures(gan: float, gan_gives_away: float = 0.5) -> UseFigures:
    """The GAN at this level where frauds are few, copies at 0.6 and nothing at 0.5."""
    few = {NOTHING: 0.5, f"{WEIGHTS}, twice": 0.55, f"{COPIES}, twice": 0.6, f"{GAN}, twice": gan, f"{GAN}, more": 0.1}
    cold = {NOTHING: 0.3, "the other product's frauds": 0.5, f"{GAN} of them": 0.5}
    stressed = {
        source: {ERROR: around(error), PREDICTED: around(0.4 + error), FOUND: around(0.4)}
        for source, error in ((NO_STRESS, 0.3), (HELD_OUT, 0.1), (GAN, 0.2))
    }
    return UseFigures(
        libraries={"numpy": "2"},
        customers=2000,
        steps=10,
        measured=(
            measured(FEW, "30", dict(enumerate(ranked(few)))),
            measured(COLD, "", dict(enumerate(ranked(cold)))),
            measured(PRIVATE, "", dict(enumerate(private(gan_gives_away)))),
            measured(STRESS, "drift", {0: stressed}),
        ),
    )


def test_known_frauds_are_so_many_of_each_week_and_the_test_week_has_all() -> None:
    """Fewer among the more; what is not known is legitimate to the fit, and a test label is the truth."""
    town = simulated_town(3, 200, 35)
    few, more, whole = (town.window(14, known) for known in (10, 30, None))
    for known, part in ((10, few), (30, more)):
        assert part.train.is_fraud.sum() == part.week_before.is_fraud.sum() == known
        assert np.array_equal(part.test.is_fraud, part.test.scenario > 0)
        assert part.train.scenario[part.train.is_fraud].all()
    assert not (few.train.is_fraud & ~more.train.is_fraud).any()
    assert whole.train.is_fraud.sum() > 100
    rate = SPEC.names.index("terminal_fraud_rate_30d")
    assert few.train.features[:, rate].mean() < 0.5 * whole.train.features[:, rate].mean()


def test_smote_draws_between_rows_that_are_near() -> None:
    """Two far groups: no drawn row lies between them, and none is a copy."""
    random = np.random.default_rng(0)
    rows = np.concatenate([random.normal(0, 1, (20, 2)), random.normal(50, 1, (20, 2))]).astype(np.float32)
    drawn = smote(rows, 500, 1)
    assert drawn.shape == (500, 2)
    assert not ((drawn > 10) & (drawn < 40)).any()
    assert (drawn < 10).all(axis=1).sum() + (drawn > 40).all(axis=1).sum() == 500
    assert smote(rows[:2], 3, 1).shape == (3, 2)
    assert amounts(30, 1000) == {"as many again": 30, "to a tenth of the others": 70}


def test_an_attack_finds_members_in_copies_and_none_in_fresh_rows() -> None:
    """Copies of members give each of them away; rows of the same kind behind which there is no one give nothing away."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(900, 4)).astype(np.float32)
    card = np.arange(600)
    data = Dataset(rows[:600], card, np.zeros(600, np.int64), np.ones(600, np.bool_), np.ones(600, np.int8))
    members, others, own = data[card < 300], data[card >= 300], rows[600:]
    copied = attack(members, others, own, members.features, 1)
    fresh = attack(members, others, own, random.normal(size=(300, 4)).astype(np.float32), 1)
    for name in (MEMBERSHIP, MEMBERSHIP_RELATIVE, NEARER):
        assert copied[name][0] == 1.0, name
        assert fresh[name][0] == pytest.approx(0.5, abs=0.08), name
        assert len(fresh[name]) == 1 + DRAWS


def test_stress_changes_the_amount_and_what_follows_from_it() -> None:
    """A payment alone in a window keeps its ratio of 1; beside others its ratio grows less than its amount."""
    names, rows = SPEC.names, np.ones((2, len(SPEC.names)), np.float32)
    amount = names.index("amount")
    mean, ratio, count = (names.index(f"card_{name}_1h") for name in ("mean_amount", "amount_ratio", "count"))
    rows[:, amount], rows[:, mean], rows[:, ratio], rows[:, count] = 30.0, (30.0, 20.0), (1.0, 1.5), (1.0, 4.0)
    changed = scaled(rows, 2.0)
    assert changed[:, amount].tolist() == [60.0, 60.0]
    assert changed[:, mean].tolist() == [60.0, 27.5]
    assert changed[:, ratio].tolist() == pytest.approx([1.0, 60.0 / 27.5])
    assert np.array_equal(changed[:, count], rows[:, count])


def test_the_intervals_decide_what_is_said_of_the_gan(tmp_path: Path) -> None:
    """Surely better, not told apart, surely worse; where it is the best of nothing, that is what falls short."""
    (tmp_path / "uses.json").write_text(figures(0.52).model_dump_json(), encoding="utf-8")
    read = read_uses(tmp_path / "uses.json")
    lines = "\n".join(verdicts(read))
    assert (
        f"30 frauds known of each week ({OURS}), 3 towns: the GAN is surely better than {NOTHING}; surely worse than "
        f"{WEIGHTS}, twice; {COPIES}, twice." in lines
    )
    assert "not told apart from the other product's frauds" in lines
    assert f"Members are surely told apart by: {REAL}; {SMOTE}. Not by: {GAN}; {INDEPENDENT}." in lines
    assert (
        f"Stress, drift, one town alone: the GAN is surely better than {NO_STRESS}; surely worse than {HELD_OUT}."
        in lines
    )
    page = "\n".join(uses_section(read))
    assert page.count("Town 0 alone.") == 1
    assert f"| {OURS}: {GAN}, twice less {OURS}: {COPIES}, twice | -0.080 [-0.080, -0.080] |" in page
    assert uses_shortfalls(read) == []  # of the sources that give no one away, it ranks best
    assert len(uses_shortfalls(figures(0.52, gan_gives_away=0.8))) == 1
    assert uses_shortfalls(figures(0.7, gan_gives_away=0.8)) == []


@pytest.mark.slow
def test_a_small_run_measures_each_use_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Towns of 200: the second run measures nothing again, and writes the same figures."""
    out = tmp_path / "uses.json"
    command = ["--seeds", "3", "4", "--customers", "200", "--steps", "3", "--known", "30"]
    command += ["--keep", str(tmp_path / "kept"), "--out", str(out)]
    assert main(command) == 0
    first = out.read_text(encoding="utf-8")
    assert capsys.readouterr().out.count("seed 3, ") == 4
    assert [one.use for one in read_uses(out).measured] == [FEW, COLD, PRIVATE, *[STRESS] * len(STRESSES)]
    assert main(command) == 0
    assert "seed 3" not in capsys.readouterr().out
    assert out.read_text(encoding="utf-8") == first
    assert main([*command, "--seeds", "3", "5", "--kept"]) == 0
    assert {one.seeds for one in read_uses(out).measured} == {(3,)}
    assert main([*command, "--seeds", "5", "--kept"]) == 2
    assert "keeps none of these" in capsys.readouterr().err


def test_what_cannot_be_measured_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2."""
    assert main(["--known", "1"]) == 2
    assert "at least 2 known frauds" in capsys.readouterr().err
