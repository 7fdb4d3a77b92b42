"""A fit that was stopped goes on to the weights that it would have had, and a folder of another run is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation
from models.training import fit_classifier as fitting
from models.training.checkpoints import Checkpoints, Stage, checkpoints, kept
from models.training.data import TrainingError
from models.training.devices import deterministic_torch
from models.training.fit_classifier import ClassifierSettings, fit_classifier
from models.training.progress import Progress, silent
from tests.models.training.test_fit_classifier import separable

pytestmark = pytest.mark.train


class StoppedError(Exception):
    """Where a process would have been killed."""


def fit(settings: ClassifierSettings, stage: Stage, stop_after: int | None = None) -> dict[str, torch.Tensor]:
    """The weights of a fit, and torch's next draw; stopped after an epoch was saved, where asked for."""
    device, train = deterministic_torch(1), separable(1)
    inputs = ClassifierInputs(fit_encoding(train.legitimate), fit_standardisation(train.features))

    def watch(_: str, done: int, __: int) -> None:
        if done == stop_after:
            raise StoppedError

    network = fit_classifier(inputs, train, separable(2), settings, device, watch, stage)
    return {**network.state_dict(), "next draw": torch.rand(3)}


@pytest.mark.parametrize(
    "settings",
    [
        ClassifierSettings(hidden=(4,), epochs=6, dropout=0.3, patience_epochs=2, learning_rate=0.05),
        ClassifierSettings(hidden=(4,), epochs=6, members=2, averaged=True),
    ],
)
def test_a_fit_goes_on_from_its_last_epoch_to_the_same_weights(settings: ClassifierSettings, tmp_path: Path) -> None:
    """Bit for bit, the draws after it too; stopped in any epoch, also when it is asked again at its end."""
    whole = fit(settings, Stage())
    for stop_after in (1, 4):
        stage = Stage(tmp_path / str(stop_after))
        with pytest.raises(StoppedError):
            fit(settings, stage, stop_after)
        for _ in range(2):
            again = fit(settings, stage)
            assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_inputs_made_batch_by_batch_fit_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where all of them are kept."""
    settings = ClassifierSettings(hidden=(4,), epochs=3, dropout=0.3)
    whole = fit(settings, Stage())
    monkeypatch.setattr(fitting, "ENCODED_BYTES_MAX", 0)
    assert all(torch.equal(value, whole[name]) for name, value in fit(settings, Stage()).items())


def test_scores_that_were_kept_are_not_computed_again(tmp_path: Path) -> None:
    """Of one model, or of several by name."""
    asked = []

    def of_one(_: Progress) -> np.ndarray:
        asked.append(1)
        return np.arange(3, dtype=np.float32)

    stage = Stage(tmp_path / "one")
    for _ in range(2):
        np.testing.assert_array_equal(kept(stage, "one", of_one, silent), [0.0, 1.0, 2.0])
    assert len(asked) == 1
    named = Stage(tmp_path / "two")
    for work in (lambda _: {"a": np.ones(2, np.float32)}, lambda _: {}):
        found = kept(named, "two", work, silent)
        assert isinstance(found, dict)
        assert found["a"].tolist() == [1.0, 1.0]


def test_a_damaged_checkpoint_is_said_and_never_used(tmp_path: Path) -> None:
    """One flipped bit."""
    stage = Stage(tmp_path / "fit")
    stage.save({"epochs": 3})
    content = bytearray((tmp_path / "fit").read_bytes())
    content[-1] ^= 1
    (tmp_path / "fit").write_bytes(content)
    with pytest.raises(TrainingError, match="is damaged: remove it"):
        stage.load()


def test_a_run_that_did_not_end_is_gone_on_with_only_when_asked_and_only_as_it_was(tmp_path: Path) -> None:
    """Another seed, another process, and no `resume`: one sentence each. A folder without anything kept goes by itself."""
    place = tmp_path / "bundle.training"
    with checkpoints(place, resume=False) as found:
        found.begin({"seed": 1})
    assert not place.exists()
    with checkpoints(place, resume=True) as found:
        found.begin({"seed": 1})
        found.stage("gate's fit 1").save({"epochs": 1})
        with pytest.raises(TrainingError, match="Another process trains"), checkpoints(place, resume=True):
            pass
    with pytest.raises(TrainingError, match="did not end: --resume"), checkpoints(place, resume=False):
        pass
    with checkpoints(place, resume=True) as found, pytest.raises(TrainingError, match="of a run with other seed"):
        found.begin({"seed": 2})
    with checkpoints(place, resume=True) as found:
        found.begin({"seed": 1})
        assert found.stage("gate's fit 1").load() == {"epochs": 1}
        found.end()
    assert not place.exists()
    assert Checkpoints().stage("any").load() is None
