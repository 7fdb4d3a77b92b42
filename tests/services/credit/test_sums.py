"""What `credit-scoring-metrics` counts is what is committed, whatever ends the process in between."""

import asyncio
import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.bundle.keys import public_pem
from models.simulation.applications import drawn
from schemas import codec
from schemas.credit import CreditScore
from schemas.metric import ScoringMetric
from schemas.monitor import ModelReference
from schemas.privacy import PrivacyKey
from schemas.topics import CREDIT_MODEL_REFERENCES, CREDIT_SCORES, CREDIT_SCORING_METRICS
from services.credit.processor import CreditProcessor
from services.engine import partial_sums
from services.engine import worker as runtime_worker
from services.engine.dead_letters import DeadLetterWriter
from services.observability.metrics import Metrics
from services.settings.bundles import BundleSettings
from services.settings.credit import CreditSettings
from services.settings.processing import RuntimeSettings
from services.simulator.applications import application_payloads
from services.swapping.live import Model, Models
from services.swapping.loader import Loader
from services.swapping.watch import Bands
from tests.models.bundle.making import signing_key
from tests.services.credit.making import COMMITTED, version_of
from tests.services.engine.fakes import SOURCE, CrashError, FakeKafka, Fate, worker
from tests.services.harness import BASE_TIME_MS, ROOT

RECORDS = 60


@pytest.fixture(autouse=True)
def never_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are written at a drain alone, however slow the machine is; no retry waits."""
    monkeypatch.setattr(runtime_worker, "BACKOFF_S_MAX", 0.0)
    monkeypatch.setattr(partial_sums, "INTERVAL_S", 1e9)


def kafka_of_applications() -> FakeKafka:
    """Good ones, and every tenth no application."""
    kafka = FakeKafka()
    for i, payload in enumerate(application_payloads([drawn(RECORDS, seed=5, start_ms=BASE_TIME_MS)])):
        kafka.append(b"{" if i % 10 == 9 else payload.value)
    return kafka


def model_of(path: Path) -> Model:
    """A bundle, as the service loads it."""
    pinned = f"{ROOT / 'deploy/keys/demo.pub'},{path.parent / 'key.pub'}"
    (path.parent / "key.pub").write_bytes(public_pem(signing_key().public_key()))
    bundles = BundleSettings(bundle_public_keys=pinned)
    return Loader(CreditSettings(bundle=path, device="cpu"), bundles, Metrics()).first()


async def run(kafka: FakeKafka, model: Model, folder: Path) -> None:
    """Processes one after the other, until one drains."""

    def fresh() -> CreditProcessor:
        letters, metrics = DeadLetterWriter(PrivacyKey("test", b"k")), Metrics()
        models = Models(model, Bands(100, 2.0, 5.0), metrics, "test", "credit")
        return CreditProcessor(SOURCE, "", models, RuntimeSettings(), letters, metrics)

    while True:
        with contextlib.suppress(CrashError):
            await worker(kafka, fresh, folder, batch_records_max=4, dead_letter_share_max=1.0).run()
            return


def of(kafka: FakeKafka, topic: str) -> list[bytes]:
    """What was written to a topic."""
    return [value for name, _, value in kafka.outputs if name == topic]


@pytest.mark.parametrize("fate", ["crash", "crash_after_commit", "fail"])
async def test_a_credit_service_that_ends_anywhere_leaves_no_application_uncounted_and_none_counted_twice(
    fate: Fate, tmp_path: Path
) -> None:
    """The sums are the committed scores' own numbers, outcome and bin by bin."""
    shutil.copytree(COMMITTED, tmp_path / "bundle")
    model, kafka = await asyncio.to_thread(model_of, tmp_path / "bundle"), kafka_of_applications()
    kafka.fates = ["commit", "commit", fate] * 4
    await run(kafka, model, tmp_path)
    sums = [codec.read(ScoringMetric, value) for value in of(kafka, CREDIT_SCORING_METRICS.name)]
    scores = [codec.read(CreditScore, value) for value in of(kafka, CREDIT_SCORES.name)]
    bad = RECORDS // 10
    assert len(scores) == RECORDS - bad
    assert (sum(s.records for s in sums), sum(s.dead_letters for s in sums)) == (RECORDS, bad)
    assert sum(s.scored for s in sums) == len(scores)
    assert sum(s.alerts for s in sums) == sum(score.outcome != "approve" for score in scores)
    places = np.minimum((np.array([s.probability for s in scores], np.float32) * 20).astype(int), 19)
    counted = np.sum([s.probability_histogram for s in sums], axis=0)
    assert counted.tolist() == np.bincount(places, minlength=20).tolist()
    assert {sum(counts) for one in sums for counts in one.feature_histograms} == {s.scored for s in sums}
    assert {s.model for s in sums} == {"credit/1@cpu"}
    assert max(s.clock_ms for s in sums) == max(score.event_time_ms for score in scores)


async def test_a_reference_of_those_approved_alone_is_not_told_and_one_of_everyone_is(tmp_path: Path) -> None:
    """What no one may compare with is not there to be compared with: the monitor counts such sums, and says so."""
    for of_everyone, told in ((False, 0), (True, 1)):
        path = tmp_path / str(of_everyone)
        bundle = await asyncio.to_thread(version_of, path, 2, of_everyone=of_everyone)
        kafka = kafka_of_applications()
        await run(kafka, await asyncio.to_thread(model_of, path), tmp_path / f"of-{of_everyone}")
        assert of(kafka, CREDIT_SCORING_METRICS.name)
        found = of(kafka, CREDIT_MODEL_REFERENCES.name)
        assert len(found) == told
        for value in found:
            assert codec.read(ModelReference, value).reference == bundle.reference
            assert json.loads(value)["model"] == "credit/2@cpu"
