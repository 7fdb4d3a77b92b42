"""Frauds of a kind that the classifier was never shown: what it finds of them, and what the autoencoder adds.

The autoencoder is the bundle's own: it is fitted on legitimate payments, and knows no kind of fraud at all.
"""

import torch

from models.networks.encoding import ClassifierInputs
from models.scoring.scores import Scores
from models.training.checkpoints import Checkpoints
from models.training.data import Dataset, Split
from models.training.fit_classifier import ClassifierSettings, fit_logit, logits_of
from models.training.fraud.tables import by_scenario
from models.training.progress import Progress
from models.training.thresholds import AlertBudget
from schemas.evaluation import Group

SCENARIOS_UNSEEN = (2, 3)
"""Compromised terminals and customers: new kinds a bank may meet. Scenario 1, a large amount, is a rule."""


def unseen_scenarios(
    cuts: Split,
    inputs: ClassifierInputs,
    scores: Scores,
    settings: ClassifierSettings,
    seed: int,
    budget: AlertBudget,
    device: torch.device,
    draws: torch.Tensor,
    checkpoints: Checkpoints,
    progress: Progress,
) -> tuple[Group, ...]:
    """For each kind: a classifier fitted and stopped without its frauds, beside the bundle's reconstruction error.

    inputs: as the bundle's. scores: of the test cut by the bundle. draws: the state that torch's draws on the CPU go on from,
    in the one fit and then in the other. Its frauds stay among the labels that the terminals' features are made of, as they
    would once they were noticed.
    """
    groups = []
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(draws)
        for scenario in SCENARIOS_UNSEEN:
            train, validation = (_without(part, scenario) for part in (cuts.train, cuts.validation))
            if min(train.is_fraud.sum(), validation.is_fraud.sum(), (cuts.test.scenario == scenario).sum()) == 0:
                continue
            name = f"without scenario {scenario}"
            named, stage = _renamed(progress, name), checkpoints.stage(name)
            logit = fit_logit(inputs, train, validation, settings, seed, device, named, stage)
            logits = logits_of(logit, cuts.test.features)
            groups.append(by_scenario(cuts.test, scores._replace(probability=logits), budget, scenario))
    return tuple(groups)


def _without(data: Dataset, scenario: int) -> Dataset:
    return data[(data.scenario != scenario) | ~data.is_fraud]


def _renamed(progress: Progress, name: str) -> Progress:
    return lambda _, done, most: progress(name, done, most)
