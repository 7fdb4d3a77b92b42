"""Start, health, refusals and what holds a partition, on real processes."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.services.harness import ROOT, Stream, payment


def only_sentence(log: str) -> str:
    """The one line that starts with assay:, where there is no traceback."""
    assert "Traceback" not in log
    sentences = [line for line in log.splitlines() if line.startswith("assay: ")]
    assert len(sentences) == 1, log
    return sentences[0]


async def test_a_ready_scorer_says_so_and_shows_its_metrics(stream: Stream) -> None:
    """/readyz, /livez and /metrics; the provider that was taken is on all three places that must say it."""
    scorer = stream.scorer()
    scorer.wait_ready()
    await stream.send([json.dumps(payment(i)).encode() for i in range(400)])
    await stream.caught_up([scorer])
    assert scorer.get("/livez")[0] == 200
    assert scorer.get("/nothing")[0] == 404
    assert scorer.metric("assay_records_total") == 400
    assert scorer.metric("assay_scores_total") == 400
    assert scorer.metric("assay_commit_latency_seconds_count") == 400
    assert scorer.metric("assay_assigned_partitions") == 4
    assert scorer.metric("assay_model_info", provider="cpu") == 1
    assert '"provider": "cpu"' in scorer.log()
    assert scorer.terminate() == 0


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_packed_outputs_are_read_as_any_others(stream: Stream, codec: str) -> None:
    """Large batches and small ones, by every codec: nothing is lost, repeated or different."""
    await stream.send(json.dumps(payment(i)).encode() for i in range(2_000))
    scorer = stream.scorer(ASSAY_COMPRESSION=codec)
    await stream.caught_up([scorer])
    await stream.send(json.dumps(payment(i)).encode() for i in range(2_000, 2_005))
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    verdict = await stream.verdict()
    assert verdict.clean, verdict.as_dict()
    assert verdict.scores == 2_005


async def test_a_terminal_that_closes_drains_a_scorer_and_a_side_service_as_a_termination_does(stream: Stream) -> None:
    """SIGHUP: what was taken is committed, and the status is that of an orderly end."""
    scorer, cases = stream.scorer(), stream.service("services.cases")
    scorer.wait_ready()
    cases.wait_ready()
    await stream.send(json.dumps(payment(i)).encode() for i in range(400))
    await stream.caught_up([scorer])
    for process in (scorer, cases):
        process.signal(signal.SIGHUP)
        assert process.wait() == 0, process.log()[-2000:]
    assert (await stream.verdict()).clean


def test_a_gpu_that_was_asked_for_and_is_not_there_stops_the_start(stream: Stream) -> None:
    """Never a silent fallback."""
    scorer = stream.scorer(ASSAY_DEVICE="cuda", CUDA_VISIBLE_DEVICES="")
    assert scorer.wait() == 2
    assert "cuda" in only_sentence(scorer.log())


def test_a_setting_out_of_its_range_stops_the_start_with_its_name(stream: Stream) -> None:
    """Which variable, and what is wrong with it."""
    scorer = stream.scorer(ASSAY_BATCH_RECORDS_MAX="0")
    assert scorer.wait() == 2
    assert "ASSAY_BATCH_RECORDS_MAX" in only_sentence(scorer.log())


def test_a_bundle_with_one_flipped_byte_stops_the_start(stream: Stream, tmp_path: Path) -> None:
    """Nothing that was changed is loaded."""
    bundle = tmp_path / "bundle"
    shutil.copytree(ROOT / "deploy/bundles/fraud", bundle)
    model = bytearray((bundle / "model.onnx").read_bytes())
    model[len(model) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(model)
    scorer = stream.scorer(ASSAY_BUNDLE=str(bundle))
    assert scorer.wait() == 2
    assert "model.onnx" in only_sentence(scorer.log())


async def test_an_unsigned_bundle_stops_the_start_unless_it_is_allowed_loudly(stream: Stream, tmp_path: Path) -> None:
    """A sentence that names the setting; with it, a warning and a metric for as long as it is set."""
    bundle = tmp_path / "bundle"
    shutil.copytree(ROOT / "deploy/bundles/fraud", bundle)
    (bundle / "model.sig").unlink()
    refused = stream.scorer(ASSAY_BUNDLE=str(bundle))
    assert refused.wait() == 2
    assert "ASSAY_ALLOW_UNSIGNED_BUNDLES" in only_sentence(refused.log())
    allowed = stream.scorer(ASSAY_BUNDLE=str(bundle), ASSAY_ALLOW_UNSIGNED_BUNDLES="true")
    allowed.wait_ready()
    assert "bundle.unsigned_allowed" in allowed.log()
    assert allowed.metric("assay_unsigned_bundles_allowed") == 1
    assert allowed.terminate() == 0


def test_missing_topics_stop_the_start_and_the_sentence_says_how_to_make_them(stream: Stream) -> None:
    """Topics are made by an admin, never by a scorer."""
    scorer = stream.scorer(ASSAY_TOPIC_PREFIX="nobody-made-these.")
    assert scorer.wait() == 2
    assert "assay topics create" in only_sentence(scorer.log())


def test_kafka_that_is_not_there_stops_the_start(stream: Stream) -> None:
    """Address and variable in the sentence."""
    scorer = stream.scorer(ASSAY_KAFKA_BOOTSTRAP="127.0.0.1:1")
    assert scorer.wait() == 2
    assert "ASSAY_KAFKA_BOOTSTRAP" in only_sentence(scorer.log())


async def test_too_many_dead_letters_hold_the_partition_and_the_others_go_on(stream: Stream) -> None:
    """A misconfigured producer on one partition: an alarm, not a drained topic."""
    scorer = stream.scorer()
    scorer.wait_ready()
    await stream.send(b"garbage" if i % 4 == 1 else json.dumps(payment(i)).encode() for i in range(4000))
    scorer.wait_for_log("partition.held")
    assert scorer.metric("assay_partition_held", partition="1") == 1
    assert scorer.terminate() == 0
    scores = await stream.read("scores")
    letters = await stream.read("dead-letters")
    assert {record.partition for record in scores} == {0, 2, 3}
    assert len(scores) == 3000
    assert len(letters) < 1000
    verdict = await stream.verdict()
    assert verdict.clean, verdict.as_dict()
    assert verdict.lag >= 1000 - len(letters)


@pytest.mark.slow
@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
async def test_a_producer_that_is_worn_out_is_replaced_between_two_transactions(stream: Stream, delivery: str) -> None:
    """Rule D, with the age lowered so that it happens within the test."""
    scorer = stream.scorer(ASSAY_DELIVERY=delivery, ASSAY_PRODUCER_AGE_S_MAX="0.2", ASSAY_BATCH_RECORDS_MAX="50")
    scorer.wait_ready()
    for start in range(0, 4000, 400):
        await stream.send([json.dumps(payment(i)).encode() for i in range(start, start + 400)])
        await stream.caught_up([scorer])
    assert scorer.metric("assay_producers_started_total", cause="age") >= 2
    assert scorer.terminate() == 0
    verdict = await stream.verdict()
    assert verdict.clean, verdict.as_dict()
    assert verdict.scores == 4000


@pytest.mark.slow
async def test_a_damaged_snapshot_costs_time_and_changes_no_score(stream: Stream) -> None:
    """Reported, counted, and the log folded again in its place."""
    values = [json.dumps(payment(i)).encode() for i in range(2000)]
    first = stream.scorer()
    await stream.send(values[:1000])
    await stream.caught_up([first])
    assert first.terminate() == 0
    snapshots = list((stream.directory / "snapshots").rglob("*.snapshot"))
    assert snapshots
    for snapshot in snapshots:
        snapshot.write_bytes(snapshot.read_bytes()[:-100])
    second = stream.scorer()
    await stream.send(values[1000:])
    await stream.caught_up([second])
    assert second.metric("assay_snapshots_total", outcome="rejected") >= 4
    assert second.terminate() == 0
    verdict = await stream.verdict()
    assert verdict.clean, verdict.as_dict()
    assert verdict.scores == 2000
