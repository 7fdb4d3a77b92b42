"""Bundles of credit changed while applications stream in: exactly once across it, each by one bundle, and the way back."""

import asyncio
import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from models.bundle.keys import public_pem
from models.simulation.applications import drawn
from schemas import codec
from schemas.control import Control
from schemas.credit import CreditDecision, CreditScore
from schemas.manifest import Manifest
from schemas.metric import ScoringMetric
from schemas.topics import (
    APPLICATIONS,
    CREDIT_CONTROL_ANSWERS,
    CREDIT_DECISIONS,
    CREDIT_SCORES,
    CREDIT_SCORING_METRICS,
)
from services.simulator.applications import application_payloads
from services.simulator.payloads import Payload
from tests.models.bundle.making import signing_key
from tests.services.cli.test_app import run_main
from tests.services.credit.making import committed, version_of
from tests.services.harness import BASE_TIME_MS, Scorer, Stream

pytestmark = pytest.mark.slow

STREAMED = 3_000


class Bank:
    """A registry of credit bundles beside a stream, and the command line that a person would use on them."""

    def __init__(
        self, stream: Stream, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **more: str
    ) -> None:
        self.stream, self._patch, self._capsys, self.sent = stream, patch, capsys, 0
        self.group = f"{stream.prefix}credit"
        (stream.directory / "key.pub").write_bytes(public_pem(signing_key().public_key()))
        stream.environment |= {
            "ASSAY_CREDIT_BUNDLE": str(self.make(1)),
            "ASSAY_BUNDLE_PUBLIC_KEYS": str(stream.directory / "key.pub"),
            "ASSAY_REGISTRY_URL": str(stream.directory / "registry"),
            "ASSAY_CREDIT_BATCH_RECORDS_MAX": "50",
            **more,
        }
        stream.for_commands(patch, ASSAY_CREDIT_GROUP=self.group, **stream.environment)

    def make(self, version: int, **changes: Any) -> Path:
        """A signed bundle with other thresholds."""
        path, manifest = self.stream.directory / f"v{version}", committed().manifest
        if changes:
            manifest = manifest.model_copy(update={"thresholds": manifest.thresholds.model_copy(update=changes)})
        version_of(path, version, manifest)
        return path

    async def assay(self, *words: str, status: int = 0) -> Any:
        """What a command prints as JSON; its exit status must be `status`."""
        found = await asyncio.to_thread(run_main, self._patch, *words, "--product", "credit", "--json")
        out, err = self._capsys.readouterr()
        assert found == status, (words, out, err)
        return json.loads(out) if out else err

    async def release(self, version: int, **changes: Any) -> Any:
        """Make, publish and promote a version."""
        await self.assay("registry", "publish", str(self.make(version, **changes)))
        return await self.assay("registry", "promote", f"credit/{version}")

    async def send(self, payloads: Sequence[Payload]) -> None:
        """Write applications."""
        await self.stream.send([p.value for p in payloads], [p.key for p in payloads], APPLICATIONS.name)
        self.sent += len(payloads)

    async def done(self, services: list[Scorer]) -> None:
        """Wait until they are decided."""
        await self.stream.caught_up(services, self.group, APPLICATIONS.name)

    async def answers(self) -> list[Control]:
        """What partitions acknowledged."""
        return [codec.read(Control, record.value) for record in await self.stream.read(CREDIT_CONTROL_ANSWERS.name)]

    async def clean(self) -> None:
        """The oracle finds nothing, and everything sent was decided."""
        verdict = await self.stream.credit_verdict()
        assert verdict.clean, verdict.as_dict()
        assert (verdict.scores, verdict.decisions, verdict.uncounted) == (self.sent, self.sent, 0)


def applications(count: int, seed: int) -> list[Payload]:
    """Simulated ones."""
    return [*application_payloads([drawn(count, seed, BASE_TIME_MS)])]


async def one_bundle_after_another(bank: Bank, versions: list[int]) -> None:
    """On each partition each bundle has one stretch, which begins where its worker said that it does."""
    told = {
        (c.source_partition, c.bundle.version): c.from_offset
        for c in reversed(await bank.answers())  # the first answer of each: what is taken back is told of again
        if c.outcome == "in_force" and c.bundle is not None and c.from_offset is not None
    }
    scores = [
        (r.partition, int(dict(r.headers)["assay-source-offset"]), codec.read(CreditScore, r.value))
        for r in await bank.stream.read(CREDIT_SCORES.name)
    ]
    for partition, found in groupby(scores, lambda score: score[0]):
        stretches = [(model, [s[1] for s in part]) for model, part in groupby(found, lambda score: score[2].model)]
        assert [model for model, _ in stretches] == [f"credit/{version}@cpu" for version in versions]
        for (_, before), (_, part), version in zip(stretches, stretches[1:], versions[1:], strict=False):
            if (partition, version) in told:  # not by a worker that has met no input yet
                assert before[-1] < told[partition, version] <= part[0]


async def found_again(bank: Bank) -> None:
    """Each decision names the bundle and threshold that made it; sums, replay and lineage say the same."""
    decisions = [codec.read(CreditDecision, r.value) for r in await bank.stream.read(CREDIT_DECISIONS.name)]
    bounds = {(d.model, round(d.probability_threshold, 4)) for d in decisions}
    assert {bound for model, bound in bounds if model == "credit/2@cpu"} == {0.15}
    assert len(bounds) == 2, "each decision names the bundle and the threshold that made it"
    digests = {d.model: d.bundle_digest for d in decisions}
    summed: dict[str, int] = {}
    for record in await bank.stream.read(CREDIT_SCORING_METRICS.name):
        metric = codec.read(ScoringMetric, record.value)
        summed[metric.model] = summed.get(metric.model, 0) + metric.scored
    assert summed == {model: sum(d.model == model for d in decisions) for model in digests}
    replayed = await bank.assay("replay")  # by the registry's champion
    assert (replayed["compared"], replayed["differing"]) == (sum(d.model == "credit/1@cpu" for d in decisions), 0)
    lineage = await bank.assay("registry", "lineage", "credit/2@cpu")
    assert lineage["digest"] == digests["credit/2@cpu"]
    assert not await bank.stream.read("control-answers"), "the two products have nothing in common here"


async def test_bundles_are_swapped_while_applications_stream_in_and_go_back_and_each_decision_names_its_own(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stricter one under load, a tampered one refused, a kill -9, the way back; verify, replay and lineage find all of it."""
    bank = Bank(stream, monkeypatch, capsys)
    await bank.assay("registry", "publish", str(stream.directory / "v1"))
    await bank.assay("registry", "promote", "credit/1", "--offline")
    services = [stream.credit(), stream.credit()]
    for service in services:
        service.wait_ready()
    await bank.send(applications(400, seed=1))
    await bank.done(services)

    streaming = asyncio.create_task(bank.send(applications(STREAMED, seed=2)))
    done = await bank.release(2, probability=0.15)
    assert (done["recorded"], done["answered"], done["refused"]) == (True, stream.partitions, 0)
    await streaming
    await bank.send(applications(400, seed=3))
    await bank.done(services)
    assert all(service.metric("assay_model_info", bundle="credit/2") == 1 for service in services)

    await bank.assay("registry", "publish", str(bank.make(3)))
    (place,) = (stream.directory / "registry" / "credit-bundles").glob("credit-3-*")
    content = bytearray(place.read_bytes())
    content[-100] ^= 1
    place.chmod(0o600)
    place.write_bytes(content)
    refused = await bank.assay("registry", "promote", "credit/3", status=1)
    assert refused["refused"] == stream.partitions
    assert "is not as it was signed" in refused["why"]
    services.pop().kill()
    services.append(stream.credit())
    await bank.send(applications(400, seed=4))
    await bank.done(services)
    assert services[-1].metric("assay_model_info", bundle="credit/2") == 1, "a start takes the registry's champion"

    back = await bank.assay("registry", "rollback", "credit", "--why", "declines doubled")
    assert (back["recorded"], back["bundle"]) == (True, "credit/1")
    await bank.send(applications(400, seed=5))
    await bank.done(services)
    status = await bank.assay("registry", "status")
    assert {(a["source_partition"], a["bundle"]["version"]) for a in status if a["channel"] == "champion"} == {
        (partition, 1) for partition in range(stream.partitions)
    }
    assert [service.terminate() for service in services] == [0, 0]

    await bank.clean()
    await one_bundle_after_another(bank, [1, 2, 1])
    await found_again(bank)


async def test_a_bundle_that_declines_too_many_is_rolled_back_by_the_services_themselves_and_other_features_on_demand(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In time, without a person; then renamed features are refused live, and taken where the state is built again."""
    bank = Bank(stream, monkeypatch, capsys, ASSAY_CREDIT_SWAP_WATCH_RECORDS="5000")
    await bank.assay("registry", "publish", str(stream.directory / "v1"))
    await bank.assay("registry", "promote", "credit/1", "--offline")
    service = stream.credit()
    await bank.send(applications(2_500, seed=1))
    await bank.done([service])
    await bank.release(2, probability=0.02)
    await bank.send(applications(2_500, seed=2))
    await bank.done([service])
    service.wait_for_log('"model.rolled_back"')
    assert service.metric("assay_swaps_total", kind="rolled_back") == 1
    assert service.metric("assay_model_info", bundle="credit/1") == 1
    own = next(c for c in await bank.answers() if c.kind == "command" and c.rollback)
    assert (own.by, str(own.bundle), str(own.replaces)) == ("credit", "credit/1", "credit/2")
    assert own.why is not None
    assert "it alerts" in own.why

    spec = committed().manifest.feature_spec
    first = spec.features[0].model_copy(update={"name": "delay_now"})
    renamed: Manifest = committed().manifest.model_copy(
        update={"feature_spec": spec.model_copy(update={"features": (first, *spec.features[1:])})}
    )
    version_of(stream.directory / "v3", 3, renamed)
    await bank.assay("registry", "publish", str(stream.directory / "v3"))
    refused = await bank.assay("registry", "promote", "credit/3", status=1)
    assert "promote it with --rebuild-state" in refused["why"]
    taken = await bank.assay("registry", "promote", "credit/3", "--rebuild-state")
    assert (taken["recorded"], taken["refused"]) == (True, 0)
    await bank.send(applications(200, seed=3))
    again = applications(2_500, seed=1)[:50]
    await stream.send([p.value for p in again], [p.key for p in again], APPLICATIONS.name)
    await bank.done([service])
    assert service.metric("assay_dead_letters_total", reason="duplicate") == 50, "ids are remembered across it"
    beside = await bank.assay("registry", "promote", "credit/2", "--challenger", status=1)
    assert "has other features than credit/3 and cannot score beside it" in beside["why"]
    assert service.terminate() == 0
    verdict = await stream.credit_verdict()
    assert verdict.clean, verdict.as_dict()
    assert (verdict.scores, verdict.dead_letters) == (bank.sent, 50)


async def test_a_challenger_scores_the_same_applications_without_effect_until_it_is_withdrawn(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its outcomes are on decisions and in the sums of just these applications; a replay finds what the champion said."""
    bank = Bank(stream, monkeypatch, capsys)
    for version, changes in ((1, {}), (2, {"probability": 0.15})):
        await bank.assay("registry", "publish", str(bank.make(version, **changes)))
    await bank.assay("registry", "promote", "credit/1", "--offline")
    service = stream.credit()
    await bank.send(applications(300, seed=1))
    await bank.done([service])
    asked = await bank.assay("registry", "promote", "credit/2", "--challenger")
    assert (asked["recorded"], asked["answered"], asked["refused"]) == (True, stream.partitions, 0)
    await bank.send(applications(600, seed=2))
    await bank.done([service])
    assert service.metric("assay_challenger_info", bundle="credit/2") == 1
    assert service.metric("assay_model_info", bundle="credit/1") == 1
    assert (await bank.assay("registry", "withdraw", "credit"))["recorded"]
    await bank.send(applications(300, seed=3))
    await bank.done([service])
    assert service.terminate() == 0
    await bank.clean()

    decisions = [codec.read(CreditDecision, r.value) for r in await stream.read(CREDIT_DECISIONS.name)]
    beside = [(d, d.challenger) for d in decisions if d.challenger is not None]
    assert {d.application_id for d, _ in beside} == set(drawn(600, 2, BASE_TIME_MS).application_id)
    assert {(d.model, said.model) for d, said in beside} == {("credit/1@cpu", "credit/2@cpu")}
    assert all(said.probability == d.probability for d, said in beside), "one network under two thresholds"
    assert all((said.outcome == "decline") == (said.probability >= 0.15) for _, said in beside)
    refused = sum(said.outcome != "approve" for _, said in beside)
    both = sum("approve" not in (said.outcome, d.outcome) for d, said in beside)
    assert both < refused
    sums = [codec.read(ScoringMetric, r.value) for r in await stream.read(CREDIT_SCORING_METRICS.name)]
    counted = [one for one in sums if one.challenger is not None]
    assert {one.challenger for one in counted} == {"credit/2@cpu"}
    assert sum(one.scored for one in counted) == sum(one.challenger_scored for one in counted) == 600
    assert (sum(one.challenger_alerts for one in counted), sum(one.both_alerts for one in counted)) == (refused, both)
    replayed = await bank.assay("replay")
    assert (replayed["compared"], replayed["differing"]) == (bank.sent, 0)


async def test_a_bundle_of_the_other_product_is_published_to_its_own_registry_alone(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence that says which product it is for."""
    bank = Bank(stream, monkeypatch, capsys)
    assert run_main(monkeypatch, "registry", "publish", str(stream.directory / "v1")) == 2
    assert "credit/1 is for credit: publish it with --product credit." in capsys.readouterr().err
    monkeypatch.setenv("ASSAY_BUNDLE_PUBLIC_KEYS", "deploy/keys/demo.pub")
    said = await bank.assay("registry", "publish", "deploy/bundles/fraud", status=2)
    assert "fraud/1 is for fraud: publish it with --product fraud." in said
