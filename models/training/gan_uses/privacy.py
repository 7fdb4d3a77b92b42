"""Rows in place of personal data: what a classifier trained on them alone is worth, and what they say of the cards behind them.

Members are the rows of half of the cards, which a source has learnt from; the other half's are not known to it. An attacker
has the rows that were drawn, and takes a card's row for a member's where a drawn one is near (Hilprecht et al., "Monte Carlo
and Reconstruction Membership Inference Attacks against Generative Models", 2019), or nearer than rows of the attacker's own:
some rows have near ones everywhere (Chen, Yu, Zhang, Fritz, "GAN-Leaks", 2020).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from models.networks.encoding import ClassifierInputs, fit_encoding, fit_standardisation
from models.networks.logit import Logit
from models.training.bootstrap import DRAWS, Draws, bootstrap
from models.training.data import Dataset
from models.training.devices import deterministic_torch
from models.training.fit_classifier import WIDE, fit_classifier, logits_of
from models.training.gan_uses.aids import GAN, SMOTE, Draw, Rows, gan, smote
from models.training.generator.gate import with_frauds
from models.training.generator.quality import independent, nearest_distances
from models.training.handbook.windows import Window
from models.training.progress import silent

REAL, INDEPENDENT = "the real rows", "every column by itself"

TARGETS_MAX = 2_000
"""Rows of members and of others that are attacked, each."""

PRECISION = "average_precision"
MEMBERSHIP, MEMBERSHIP_RELATIVE, NEARER = "membership_auc", "membership_auc_relative", "nearer_to_members"
KINDS = ("frauds", "others")


def private(part: Window, seed: int, steps: int) -> dict[str, Draws]:
    """Each source's rows: average precision on the real test week of what is trained on them, and what they give away.

    Figures of the attacks end in the kind of rows: `frauds`, `others`.
    """
    known = part.train.card % 2 == 0
    members, others = part.train[known], part.train[~known]
    drawn = {kind: _sources(rows, seed, steps) for kind, rows in _kinds(members).items()}
    sizes = {kind: len(rows) for kind, rows in _kinds(members).items()}
    found: dict[str, Draws] = {}
    for source in drawn["frauds"]:
        rows = {kind: drawn[kind][source](sizes[kind]) for kind in KINDS}
        score = _trained_on(rows, part.test.features, seed)
        figures = {PRECISION: bootstrap(part.test, {"": score}, seed=1)[""][PRECISION]}
        for kind in KINDS:
            of_kind = kind == "frauds"
            parts = [data[data.is_fraud == of_kind] for data in (members, others, part.week_before)]
            attacked = attack(parts[0], parts[1], parts[2].features, rows[kind], seed)
            figures |= {f"{name}_{kind}": values for name, values in attacked.items()}
        found[source] = figures
    return found


def _kinds(data: Dataset) -> dict[str, Rows]:
    return {"frauds": data.features[data.is_fraud], "others": data.legitimate}


def _sources(rows: Rows, seed: int, steps: int) -> dict[str, Draw]:
    return {
        REAL: lambda count: rows[:count],
        SMOTE: lambda count: smote(rows, count, seed),
        GAN: gan(rows, seed, steps),
        INDEPENDENT: lambda count: independent(rows, seed)[:count],
    }


def _trained_on(rows: dict[str, Rows], asked: Rows, seed: int) -> Rows:
    """The default classifier's logits of `asked`, fitted without any real row, and so without one to stop at."""
    count = len(rows["others"])
    nothing = np.zeros(count, np.int64)
    train = Dataset(rows["others"], nothing, nothing, np.zeros(count, np.bool_), np.zeros(count, np.int8))
    train = with_frauds(train, rows["frauds"])
    inputs = ClassifierInputs(fit_encoding(train.legitimate), fit_standardisation(train.features))
    device = deterministic_torch(seed)
    network = fit_classifier(inputs, train, train, replace(WIDE, averaged=True), device, silent)
    return logits_of(Logit(inputs, network).eval(), asked)


def attack(members: Dataset, others: Dataset, own: Rows, drawn: Rows, seed: int) -> dict[str, NDArray[np.float64]]:
    """Draws of what `drawn`, float32[n, F], gives away of the members: 0.5 is nothing, in all three figures.

    ROC AUC of the two attacks, by drawing cards; share of the drawn rows that are nearer to a member than to one of as many
    others, by drawing rows. own: the attacker's rows.
    """
    members, others = (_at_most(part, min(len(members), len(others), TARGETS_MAX), seed) for part in (members, others))
    targets = np.concatenate([members.features, others.features])
    near = nearest_distances(drawn, targets)
    relative = near / np.maximum(nearest_distances(own, targets), 1e-9)
    card = np.concatenate([members.card, others.card])
    is_member = np.repeat([True, False], [len(members), len(others)])
    data = Dataset(targets, card, np.zeros_like(card), is_member, is_member.astype(np.int8))
    scores = {
        MEMBERSHIP: (-near).astype(np.float32),
        MEMBERSHIP_RELATIVE: (-relative).astype(np.float32),
    }
    aucs = {name: draws["roc_auc"] for name, draws in bootstrap(data, scores, seed=1).items()}
    return {**aucs, NEARER: _nearer(members.features, others.features, drawn, seed)}


def _nearer(members: Rows, others: Rows, drawn: Rows, seed: int) -> NDArray[np.float64]:
    random = np.random.default_rng([seed, 8])
    drawn = drawn[random.permutation(len(drawn))[:TARGETS_MAX]]
    both = np.concatenate([members, others])
    deviation = both.std(axis=0, dtype=np.float64)  # the same scale for both
    scale = np.where(deviation > 0.0, deviation, 1.0)
    to_members, to_others = (_nearest(part / scale, drawn / scale) for part in (members, others))
    nearer = np.where(to_members == to_others, 0.5, to_members < to_others)
    again = random.integers(0, len(nearer), (DRAWS, len(nearer)))
    return np.concatenate([[nearer.mean()], nearer[again].mean(axis=1)])


def _nearest(real: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    distance, _ = NearestNeighbors(n_neighbors=1).fit(real).kneighbors(rows)
    return np.asarray(distance[:, 0])


def _at_most(data: Dataset, count: int, seed: int) -> Dataset:
    chosen = np.zeros(len(data), np.bool_)
    chosen[np.random.default_rng([seed, 9]).permutation(len(data))[:count]] = True
    return data[chosen]
