"""Models changed while real scorers score: exactly once across it, the same bits, and back again when the new one is bad."""

from collections import Counter
from itertools import groupby

import pytest

from models.bundle.load import load_bundle
from schemas import codec
from schemas.metric import ScoringMetric
from tests.models.bundle.making import COMMITTED
from tests.services.harness import Scorer, Stream
from tests.services.scorer.shop import Shop, renamed_feature

PARTITIONS = 4
AFTER_THE_KILL = 5
"""A version that workers may answer for which have met no input yet."""


@pytest.fixture
def shop(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Registry, stream and settings."""
    return Shop(stream, monkeypatch)


@pytest.mark.slow
async def test_swaps_lose_repeat_and_change_nothing_and_every_worker_says_from_where_on_they_hold(shop: Shop) -> None:
    """Two scorers, four versions, an attack, a kill -9 and a successor: verify 0/0, each version replayed bit for bit."""
    await shop.assay("registry", "publish", str(shop.stream.directory / "v1"))
    scorers = [shop.stream.scorer(), shop.stream.scorer()]
    for scorer in scorers:
        scorer.wait_ready()
    await shop.send(600, scorers)
    for version in (2, 3):
        done = await shop.release(version, other=version % 2 == 0)
        assert (done["partitions"], done["answered"], done["refused"]) == (PARTITIONS, PARTITIONS, 0)
        await shop.send(600, scorers)
    await attacked(shop, scorers)
    scorers.pop().kill()
    scorers.append(shop.stream.scorer())
    await shop.send(600, scorers)
    assert scorers[-1].metric("assay_bundles_refused_total") == 0, "a refused version is no champion"
    assert scorers[-1].metric("assay_model_info", bundle="fraud/3") == 1
    await shop.release(5, other=True)
    await shop.send(600, scorers)
    status = await shop.assay("registry", "status")
    assert [(answer["source_partition"], answer["bundle"]["version"]) for answer in status] == [
        (p, 5) for p in range(PARTITIONS)
    ]
    assert [scorer.terminate() for scorer in scorers] == [0, 0]
    await shop.clean()
    await one_version_after_another(shop, [1, 2, 3, 5])
    assert sum([await shop.replayed(version) for version in (1, 2, 3, 5)]) == shop.sent
    by_model = Counter(score.model for _, _, score in await shop.scores())
    assert set(by_model) == {f"fraud/{version}@cpu" for version in (1, 2, 3, 5)}
    summed: Counter[str] = Counter()
    for record in await shop.stream.read("scoring-metrics"):
        metric = codec.read(ScoringMetric, record.value)
        summed[metric.model] += metric.scored
    assert all(summed[model] <= by_model[model] for model in by_model), (
        "what the killed one had not written yet is missing"
    )
    assert summed["fraud/5@cpu"] == by_model["fraud/5@cpu"]


async def attacked(shop: Shop, scorers: list[Scorer]) -> None:
    """Version 4 is published, then changed where it lies: every partition refuses it, each process counts and says it once."""
    await shop.assay("registry", "publish", str(shop.make(4)))
    (place,) = (shop.stream.directory / "registry" / "bundles").glob("fraud-4-*")
    content = bytearray(place.read_bytes())
    content[-100] ^= 1
    place.chmod(0o600)
    place.write_bytes(content)
    done = await shop.assay("registry", "promote", "fraud/4", status=1)
    assert done["refused"] == PARTITIONS
    assert "is not as it was signed" in done["why"]
    for scorer in scorers:
        assert scorer.metric("assay_bundles_refused_total", reason="signature") == 1
        assert scorer.log().count("bundle.refused") == 1
        assert scorer.metric("assay_model_info", bundle="fraud/3") == 1


async def one_version_after_another(shop: Shop, versions: list[int]) -> None:
    """On each partition each version has one stretch, which begins where its worker said that it does."""
    told = {
        (c.source_partition, c.bundle.version): c.from_offset
        for c in reversed(await shop.controls())
        if c.outcome == "in_force" and c.bundle is not None and c.from_offset is not None
    }
    for partition, scores in groupby(await shop.scores(), lambda score: score[0]):
        stretches = [(model, list(part)) for model, part in groupby(scores, lambda score: score[2].model)]
        assert [model for model, _ in stretches] == [f"fraud/{version}@cpu" for version in versions]
        for (_, before), (_, part), version in zip(stretches, stretches[1:], versions[1:], strict=False):
            if version != AFTER_THE_KILL or (partition, version) in told:
                assert before[-1][1] < told[partition, version] <= part[0][1]


@pytest.mark.slow
async def test_a_model_that_alerts_too_much_is_rolled_back_by_the_scorers_themselves(shop: Shop) -> None:
    """Everywhere, in time, without a person; a restart stays with the good one, though the registry still names the bad one."""
    await shop.assay("registry", "publish", str(shop.stream.directory / "v1"))
    scorers = [shop.stream.scorer(), shop.stream.scorer()]
    for scorer in scorers:
        scorer.wait_ready()
    await shop.send(4000, scorers)
    manifest = load_bundle(COMMITTED).manifest
    loud = manifest.thresholds.model_copy(update={"anomaly_percentile": 20.0})
    await shop.release(2, manifest=manifest.model_copy(update={"thresholds": loud}))
    await shop.send(4000, scorers)
    assert sum(scorer.log().count('"model.rolled_back"') for scorer in scorers) >= 1
    for scorer in scorers:
        scorer.wait_for_log('"before": "fraud/2"')
        assert scorer.metric("assay_swaps_total", kind="rolled_back") == 1
        assert scorer.metric("assay_model_info", bundle="fraud/1") == 1
    await shop.send(400, scorers)
    rollback = next(c for c in await shop.controls() if c.rollback)
    assert rollback.bundle is not None
    assert (rollback.by, str(rollback.bundle), str(rollback.replaces)) == ("scorer", "fraud/1", "fraud/2")
    assert rollback.why is not None
    assert "it alerts" in rollback.why
    for scorer in scorers:
        assert scorer.terminate() == 0
    heir = shop.stream.scorer()
    await shop.send(400, [heir])
    assert heir.terminate() == 0
    await shop.clean()
    scores = await shop.scores()
    assert {score.model for _, _, score in scores[-50:]} == {"fraud/1@cpu"}
    assert 0 < sum(score.model == "fraud/2@cpu" for _, _, score in scores) < 4000


@pytest.mark.slow
async def test_a_challenger_scores_beside_and_another_feature_spec_is_folded_again_on_demand(shop: Shop) -> None:
    """The challenger's sums are those of its own replay; other features are refused live, or each history is folded again."""
    await shop.assay("registry", "publish", str(shop.stream.directory / "v1"))
    scorer = shop.stream.scorer()
    await shop.send(400, [scorer])
    await shop.release(2, "--challenger", other=True)
    await shop.send(800, [scorer])
    assert scorer.metric("assay_challenger_info", bundle="fraud/2") == 1
    await shop.assay("registry", "withdraw")
    assert scorer.metric("assay_challenger_info") == 0
    renamed = renamed_feature(load_bundle(COMMITTED).manifest)
    refused = await shop.release(3, manifest=renamed, status=1)
    assert "promote it with --rebuild-state" in refused["why"]
    await shop.send(100, [scorer])
    assert (await shop.assay("registry", "promote", "fraud/3", "--rebuild-state"))["refused"] == 0
    await shop.send(400, [scorer])
    assert scorer.log().count("partition.state_outdated") == PARTITIONS
    assert scorer.terminate() == 0
    await shop.clean()
    metrics = [codec.read(ScoringMetric, r.value) for r in await shop.stream.read("scoring-metrics")]
    beside = [metric for metric in metrics if metric.challenger]
    assert {metric.challenger for metric in beside} == {"fraud/2@cpu"}
    assert sum(metric.challenger_scored for metric in beside) == sum(metric.scored for metric in beside) == 800
    assert all(sum(m.challenger_probability_histogram) == m.challenger_scored for m in beside)
    assert 0 < sum(m.both_alerts for m in beside) <= sum(m.alerts for m in beside)
    assert {score.model for _, _, score in await shop.scores()} == {"fraud/1@cpu", "fraud/3@cpu"}
    assert await shop.replayed(3) == 400
    lineage = await shop.assay("registry", "lineage", "fraud/3@cpu")
    assert lineage["origin"]["data_digest"] == renamed.training.data_digest
    assert [step["action"] for step in lineage["steps"]] == ["publish", "promote"]
