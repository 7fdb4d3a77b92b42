"""The credit service on the real broker: every application one score and one decision with reasons, whatever happens."""

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.bundle.load import load_bundle
from models.features.attributes import AttributeMapping
from models.scoring.session import ModelSession
from models.simulation.applications import drawn
from schemas import codec
from schemas.application import Application
from schemas.credit import CreditDecision, CreditScore
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.topics import APPLICATIONS, CREDIT_DECISIONS, CREDIT_SCORES, DEAD_LETTERS
from services.kafka.topic_configs import Difference, alter
from services.kafka.topics_admin import read_unbounded_stamps
from services.simulator.applications import application_payloads
from tests.services.credit.test_admit import BAD
from tests.services.harness import BASE_TIME_MS, Stream

BUNDLE = Path("deploy/bundles/credit")
COUNT = 240


async def send(stream: Stream) -> None:
    """Simulated applications, by applicant."""
    payloads = [*application_payloads([drawn(COUNT, seed=5, start_ms=BASE_TIME_MS)])]
    await stream.send([p.value for p in payloads], [p.key for p in payloads], APPLICATIONS.name)


async def decided(stream: Stream) -> None:
    """Wait until the group has committed them all."""
    await stream.caught_up([stream.processes[-1]], f"{stream.prefix}credit", APPLICATIONS.name)


@pytest.mark.slow
async def test_a_kill_in_the_middle_loses_and_repeats_no_decision_and_reasons_are_there(stream: Stream) -> None:
    """kill -9 between the sends of a batch; a second process ends the job; scores are those of the bundle, bit for bit."""
    await send(stream)
    doomed = stream.credit(ASSAY_FAILPOINT="between_sends:6", ASSAY_CREDIT_BATCH_RECORDS_MAX="20")
    assert doomed.wait() == -signal.SIGKILL
    heir = stream.credit()
    await decided(stream)
    outcomes = heir.metric("assay_credit_outcomes_total")
    assert heir.terminate() == 0
    verdict = await stream.credit_verdict()
    assert verdict.clean, verdict.as_dict()
    assert (verdict.inputs, verdict.scores, verdict.decisions, verdict.dead_letters) == (COUNT, COUNT, COUNT, 0)
    assert 0 < outcomes <= COUNT

    session = ModelSession(load_bundle(BUNDLE), "cpu")
    mapping = AttributeMapping(session.bundle.manifest.feature_spec)
    inputs = {(r.partition, r.offset): codec.read(Application, r.value) for r in await stream.read(APPLICATIONS.name)}
    decisions = [(r, codec.read(CreditDecision, r.value)) for r in await stream.read(CREDIT_DECISIONS.name)]
    scores = [codec.read(CreditScore, r.value) for r in await stream.read(CREDIT_SCORES.name)]
    for record, decision in decisions:
        offset = int(dict(record.headers)["assay-source-offset"])
        application = inputs[record.partition, offset]
        assert application.application_id == decision.application_id
        assert decision.decision_id == f"{stream.prefix}applications-{record.partition}-{offset}"
        assert decision.bundle_digest == session.bundle.digest
        row = np.array([mapping.row(application.attributes)], np.float32)
        assert decision.features == tuple(row[0].tolist())
        assert decision.probability == float(session.run(row).probability[0])
        assert (decision.outcome == "decline") == (decision.probability >= np.float32(decision.probability_threshold))
        assert bool(decision.reasons) == (decision.outcome != "approve")
        assert len(decision.reasons) <= 4
        assert all("approved applicants:" in reason.text for reason in decision.reasons)
        because = {"decline": "probability", "refer": "anomaly_percentile"}.get(decision.outcome)
        assert {reason.score for reason in decision.reasons} <= {because}
    assert {s.application_id: s.outcome for s in scores} == {d.application_id: d.outcome for _, d in decisions}
    assert set(Counter(d.outcome for _, d in decisions)) == {"approve", "decline", "refer"}


async def test_the_start_says_where_the_inputs_timestamps_are_not_bounded(stream: Stream) -> None:
    """As the scorer's does: a producer that may put any timestamp on a record may date applications ahead."""
    bounded = stream.credit()
    bounded.wait_ready()
    assert "timestamps.unbounded" not in bounded.log()
    unbounded = Difference(
        f"{stream.prefix}{APPLICATIONS.name}", "message.timestamp.after.max.ms", "", str(2**62), own=True
    )
    await alter(stream.kafka, stream.topics, [], [unbounded])
    while await read_unbounded_stamps(stream.kafka, stream.topics, APPLICATIONS) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    warned = stream.credit()
    warned.wait_ready()
    assert f"{stream.prefix}{APPLICATIONS.name} takes any timestamp" in warned.log()


async def test_each_bad_application_is_one_dead_letter_and_its_neighbours_are_decided(stream: Stream) -> None:
    """Every kind of bad payload between good ones; no word of a payload in the log."""
    stream.partitions = 1
    (good,) = [*application_payloads([drawn(1, seed=5, start_ms=BASE_TIME_MS)])]
    fields = json.loads(good.value)
    bad = [b"", b"{", json.dumps({**fields, "attributes": {}}).encode(), good.value]
    bad.append(json.dumps({**fields, "applicant_id": "4111111111111111"}).encode())
    service = stream.credit()
    await stream.send([good.value, *bad], name=APPLICATIONS.name)
    await decided(stream)
    assert service.terminate() == 0
    stream.partitions = 4
    verdict = await stream.credit_verdict()
    assert verdict.clean, verdict.as_dict()
    assert (verdict.scores, verdict.dead_letters) == (1, len(bad))
    letters = [codec.read(DeadLetter, r.value) for r in await stream.read(DEAD_LETTERS.name)]
    expected = ("empty", "undecodable", "attribute", "duplicate", "card_number")
    assert [(letter.source_offset, letter.reason.value) for letter in letters] == [*enumerate(expected, 1)]
    assert {reason for _, reason in BAD} >= {DeadLetterReason(word) for word in expected}
    assert "4111111111111111" not in service.log() + "".join(map(str, letters))


async def test_a_bundle_of_payments_is_refused_with_one_sentence(stream: Stream) -> None:
    """The two pipelines do not mix."""
    service = stream.credit(ASSAY_CREDIT_BUNDLE="deploy/bundles/fraud")
    assert service.wait() == 2
    assert "Bundle fraud/1 is for fraud, not for credit. The setting is ASSAY_CREDIT_BUNDLE." in service.log()
    assert "Traceback" not in service.log()
