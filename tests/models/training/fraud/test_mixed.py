"""Mixed likelihoods: what frauds show in categories and meetings alone ranks higher, is said in words, and exports."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from models.bundle.load import load_bundle
from models.features.spec_file import parse_spec
from models.networks.classifier import Classifier, ClassifierShape
from models.networks.encoding import Encoding, PiecewiseLinear, fit_encoding, fit_standardisation, present
from models.networks.fused import Calibration, Fused
from models.networks.likelihood import PROBABILITY_MIN, MixedLikelihood, kinds_of
from models.networks.vae import Vae, VaeShape
from models.scoring.golden import check_golden
from models.scoring.session import ModelSession
from models.scoring.shapley import explain
from models.sources.spec_file import parse_source
from models.training.data import Cuts, Dataset, train_days
from models.training.devices import deterministic_torch
from models.training.export import TOLERANCE, check_agreement, export, largest_difference
from models.training.fit_vae import MIXED, VaeSettings, fit_percentiles, fit_vae, reconstruction_errors
from models.training.fraud.file_history import read_history
from models.training.fraud.history import History
from models.training.fraud.train import FraudSettings, cuts_from, restored, train_fraud, with_epochs
from models.training.progress import silent
from schemas.feature_kinds.event import CategoryFeature
from schemas.source_spec import SourceSpec
from tests.streams import acquirer, wallets
from tests.streams.behaviour import COUNTRIES, facts

pytestmark = pytest.mark.train

ACQUIRER = """
version: 1
topic: acquirer
select: [{path: messageType, equals: AUTHORISATION}]
event:
  id: {path: event.uuid}
  time: {path: event.occurredAt, format: iso8601}
  subject: {path: account.token}
  counterparty: {path: merchant.id}
  amount: {path: amount.value}
attributes:
  device: {type: id, path: device.fingerprint}
  ip: {type: ip, path: device.ip}
  home: {type: category, path: account.country}
  land: {type: category, path: merchant.country}
  way: {type: category, path: entryMode}
"""
WALLETS = """
version: 1
topic: wallets
event:
  id: {path: transfer_ref}
  time: {path: ts, unit: s}
  subject: {path: wallet}
  counterparty: {path: to_wallet}
  amount: {path: amount_minor, scale: 2, at_least: -1e9}
attributes:
  device: {type: id, path: handset}
  ip: {type: ip, path: client_ip}
  home: {type: category, path: wallet_country}
  land: {type: category, path: bank_country}
  way: {type: category, path: kind}
"""
FEATURES = """
version: 1
keys: {card: card_id}
derived: {net: {kind: prefix, attribute: ip, bits: 24, bits_v6: 48}}
windows: [{duration: 24h, buckets: 24}, {duration: 7d, buckets: 7}]
features:
  - {name: amount, kind: field, field: amount}
  - {name: hour, kind: calendar, part: hour}
  - {name: is_weekend, kind: calendar, part: is_weekend}
  - {name: since_last, kind: since, key: card, event: last, at_most: 30d}
  - {name: count_24h, kind: window, key: card, aggregation: count, window: 24h}
  - {name: ratio_7d, kind: window, key: card, aggregation: ratio, window: 7d}
  - {name: new_device, kind: novelty, key: card, of: device, part: first, missing: 0}
  - {name: new_net, kind: novelty, key: card, of: net, part: first, missing: 0}
  - {name: home, kind: category, attribute: home, learn: {count_min: 10}}
  - {name: land, kind: category, attribute: land, learn: {count_min: 10}}
  - {name: way, kind: category, attribute: way, learn: {count_min: 10}}
"""
STREAMS = {"acquirer": (acquirer, ACQUIRER, "isFraud"), "wallets": (wallets, WALLETS, "reported_fraud")}
SETTINGS = FraudSettings(
    spec=parse_spec(FEATURES),
    source=parse_source(ACQUIRER),
    cuts=Cuts(validation_days=10, delay_days=1, test_days=15),
    compared=False,
    gan=None,
    name="shop",
    vae=replace(MIXED, shape=VaeShape(100, (64, 32), 8), batch_rows=64),
    accepted=("constant", "logistic"),
)
WARM_DAYS = 5
"""Before them everything is new to everyone."""

CPU = torch.device("cpu")


def read(path: Path, shape: ModuleType, source: SourceSpec, label: str) -> History:
    """A made-up stream's history, from its own records."""
    path.write_bytes(b"".join(value + b"\n" for _, value in shape.records(facts(1), labelled=True)))
    return read_history(
        path, {}, label, SETTINGS.spec, source=source,
        train_days=lambda first_day, days: train_days(days, cuts_from(SETTINGS, first_day, days)),
    )  # fmt: skip


Streams = dict[str, tuple[History, SourceSpec]]


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Streams:
    """Frauds that have the amount, hour and other side of any payment."""
    found: Streams = {}
    for name, (shape, text, label) in STREAMS.items():
        source = parse_source(text)
        found[name] = read(tmp_path_factory.mktemp("mixed") / "history.jsonl", shape, source, label), source
    return found


def area(data: Dataset, embedded: tuple[int, ...], settings: VaeSettings) -> float:
    """AUC of the last fifteen days' errors: fitted on the days before."""
    past, later = data[(data.day >= WARM_DAYS) & (data.day < 35)], data[data.day >= 35]
    encoding = fit_encoding(past.legitimate, values=present(past.features, embedded))
    fitted = past.legitimate
    deterministic_torch(1)
    vae = fit_vae(encoding, fitted[::2], fitted[1::2], settings, CPU, silent)
    errors = reconstruction_errors(vae, PiecewiseLinear(encoding)(torch.from_numpy(later.features)))
    return float(roc_auc_score(later.is_fraud, errors.numpy()))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "without"), [("acquirer", ("new_device", "new_net")), ("wallets", ())])
def test_frauds_that_show_in_categories_alone_rank_higher_by_mixed_likelihoods(
    streams: Streams, name: str, without: tuple[str, ...]
) -> None:
    """By the same network, fitted as long: squared errors hide a category and a flag among a hundred inputs.

    With what is met for the first time, and without, where one country alone is unlike the others.
    """
    history, _ = streams[name]
    assert history.spec is not None
    kept = [place for place, feature in enumerate(history.spec.names) if feature not in without]
    embedded = tuple(kept.index(place) for place in history.spec.embedded)
    data = replace(history.data, features=np.ascontiguousarray(history.data.features[:, kept]))
    squared = replace(SETTINGS.vae, likelihood="squared", beta=VaeSettings().beta)
    found = [area(data, embedded, settings) for settings in (squared, SETTINGS.vae)]
    assert found[1] > 0.9
    assert found[1] > found[0] + 0.1


@pytest.mark.slow
def test_a_trained_bundle_says_in_words_which_category_is_unusual(streams: Streams, tmp_path: Path) -> None:
    """Its golden rows hold, its settings restore; a country that is rare is the anomaly's first reason, beside a usual one."""
    history, source = streams["acquirer"]
    settings = with_epochs(replace(SETTINGS, source=source), 6)
    manifest = train_fraud(settings, tmp_path, history=history)
    assert restored(manifest) == replace(settings, spec=manifest.feature_spec)
    assert manifest.metrics["reconstruction_nats_fraud"] > manifest.metrics["reconstruction_nats_legitimate"]
    session = ModelSession(load_bundle(tmp_path), "cpu")
    assert check_golden(session) <= TOLERANCE
    spec, background = manifest.feature_spec, session.bundle.reference.background
    land = spec.names.index("land")
    feature = spec.features[land]
    assert isinstance(feature, CategoryFeature)
    row = np.array(background[:1], np.float32)
    row[0, land] = feature.values["NG"].number
    (reasons,) = explain(session, row, [("anomaly_percentile",)])
    assert (reasons[0].feature, reasons[0].score) == ("land", "anomaly_percentile")
    assert reasons[0].text in [f"land: NG (typical: {usual})" for usual in COUNTRIES]


def kinds(seed: int) -> tuple[Encoding, NDArray[np.float32]]:
    """A number, a flag, a count that is mostly 0, a category, a constant and a category of three."""
    random = np.random.default_rng(seed)
    columns = (
        random.gamma(1.0, 50.0, 2000),
        random.random(2000) < 0.1,
        random.poisson(0.5, 2000),
        random.integers(0, 6, 2000),
        np.zeros(2000),
        random.integers(1, 4, 2000),
    )
    rows = np.stack(columns, axis=1).astype(np.float32)
    return fit_encoding(rows, values=present(rows, [3, 5])), rows


def test_each_feature_has_the_likelihood_of_its_kind() -> None:
    """Against torch's own distributions; a value that never came is as unexpected as anything can be."""
    encoding, rows = kinds(0)
    torch.manual_seed(0)
    likelihood = MixedLikelihood(kinds_of(encoding, rows))
    encoded = PiecewiseLinear(encoding)(torch.from_numpy(rows))
    outputs = 2.0 * torch.randn(len(rows), likelihood.outputs)
    with torch.no_grad():
        nats, loss = likelihood(encoded, outputs), likelihood.loss(encoded, outputs)
    expected = torch.zeros(6, len(rows))
    feature = torch.from_numpy(encoding.feature)
    spread = likelihood.log_variance.detach().exp()
    distance = (torch.sigmoid(outputs[:, : len(feature)]) - encoded) ** 2
    constant = torch.zeros(len(rows))
    for place in (0, 2):
        judged = torch.ones(len(rows)) if place == 0 else (encoded[:, feature == 2].sum(dim=1) > 0).float()
        expected[place] = judged * distance[:, feature == place].mean(dim=1) / (2.0 * spread[place])
        constant += judged * 0.5 * spread[place].log()
    gates = {1: outputs[:, int(torch.nonzero(feature == 1)[0])], 2: outputs[:, -1]}
    for place, logit in gates.items():
        truth = torch.from_numpy((rows[:, place] > 0).astype(np.float32))
        expected[place] += torch.nn.functional.binary_cross_entropy_with_logits(logit, truth, reduction="none")
    for place, first in ((3, 0), (5, 1)):
        codes = torch.from_numpy(rows[:, place].astype(np.int64)) - first
        expected[place] = torch.nn.functional.cross_entropy(
            outputs[:, : len(feature)][:, feature == place], codes, reduction="none"
        )
    common = expected < 5.0  # beyond, the floor shows
    common[4] = False
    torch.testing.assert_close(nats.T[common], expected[common], rtol=2e-2, atol=1e-3)
    torch.testing.assert_close(loss, nats.sum(dim=1) + constant)
    strange = rows[:1].copy()
    strange[0, 3] = 77.0
    with torch.no_grad():
        never = likelihood(PiecewiseLinear(encoding)(torch.from_numpy(strange)), outputs[:1])
    assert float(never[0, 3]) == pytest.approx(-np.log(PROBABILITY_MIN), rel=1e-5)


@pytest.mark.parametrize("columns", [(0, 1, 2, 3, 4, 5), (3,), (0,), (1, 2)])
def test_pytorch_and_onnx_agree_on_every_mix_of_kinds(columns: tuple[int, ...]) -> None:
    """Training rows, codes that never came, and numbers far outside; with every kind alone, too."""
    _, rows = kinds(1)
    rows = rows[:, list(columns)]
    codes = [place for place, column in enumerate(columns) if column in (3, 5)]
    encoding = fit_encoding(rows, values=present(rows, codes))
    torch.manual_seed(1)
    likelihood = MixedLikelihood(kinds_of(encoding, rows))
    bins = len(encoding.feature)
    vae = Vae(VaeShape(bins, (32, 16), 4), likelihood)
    curve = fit_percentiles(np.random.default_rng(0).gamma(4.0, 0.3, size=5000).astype(np.float32))
    classifier = Classifier(ClassifierShape(bins + rows.shape[1], (8,)))
    standardisation = fit_standardisation(rows, codes)
    model = Fused(encoding, standardisation, classifier, Calibration(1.0, 0.0), vae, curve).eval()
    content = export(model, "fraud")
    assert {"Log"} & {node.op_type for node in onnx.load_from_string(content).graph.node} or columns == (0,)
    strange = rows.copy()
    strange[:, :] = np.array([77.0, -3.0, 1e30, 1e-30], np.float32)[np.arange(len(rows)) % 4][:, None]
    for some in (rows, strange):
        assert check_agreement(model, content, some) <= TOLERANCE
        assert largest_difference(model, content, some) <= TOLERANCE
        with torch.no_grad():
            assert float(model(torch.from_numpy(some)).feature_errors.min()) >= 0.0
