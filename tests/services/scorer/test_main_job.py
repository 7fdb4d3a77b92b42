"""The main job on the real broker: every input judged once, whatever happens to the process."""

import json
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from schemas import codec
from schemas.alert import Alert
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision
from schemas.metric import ScoringMetric
from schemas.score import Score
from schemas.topics import source_timestamp_ms
from services.clock import wall_ms
from services.verification.verdict import Verdict
from tests.services.engine.test_decode import BAD
from tests.services.harness import Stream, payment

RECORDS = 4000


def payments(records: int = RECORDS) -> tuple[list[bytes], list[bytes]]:
    """Good transactions and their keys; every hundredth is large enough to be suspicious."""
    chosen = [payment(i, amount=900.0 if i % 100 == 99 else 25.0) for i in range(records)]
    return [json.dumps(p).encode() for p in chosen], [p["card_id"].encode() for p in chosen]


def assert_clean(verdict: Verdict, inputs: int) -> None:
    """Nothing lost, nothing twice, nothing inconsistent."""
    assert verdict.clean, verdict.as_dict()
    assert verdict.inputs == inputs
    assert verdict.scores + verdict.dead_letters == inputs
    assert verdict.lag == 0


async def test_every_transaction_is_scored_once_and_records_say_where_they_come_from(stream: Stream) -> None:
    """The plain case, and what a reader finds on each topic."""
    scorer, started_ms = stream.scorer(ASSAY_DECISION_SHARE="0.1"), wall_ms()
    values, keys = payments()
    await stream.send(values, keys)
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    assert_clean(await stream.verdict(), RECORDS)
    scores = await stream.read("scores")
    inputs = {(r.partition, r.offset): r for r in await stream.read("transactions")}
    for record in scores:
        headers = dict(record.headers)
        source = inputs[record.partition, int(headers["assay-source-offset"])]
        score = codec.read(Score, record.value)
        assert headers["assay-source-topic"].decode() == f"{stream.prefix}transactions"
        assert int(headers["assay-source-partition"]) == record.partition == source.partition
        assert source_timestamp_ms(record.headers) == source.timestamp
        assert record.timestamp >= started_ms
        assert record.key == source.key == score.card_id.encode()
        assert json.loads(source.value)["transaction_id"] == score.transaction_id
        assert score.model == "fraud/1@cpu"
    alerts = [codec.read(Alert, r.value) for r in await stream.read("alerts")]
    assert {a.transaction_id for a in alerts} == {s.transaction_id for s in map(read_score, scores) if s.alert}
    assert alerts
    assert all(1 <= len(a.reasons) <= 4 and a.triggers for a in alerts)
    decisions = [codec.read(Decision, r.value) for r in await stream.read("decisions")]
    because = Counter(d.recorded_because for d in decisions)
    assert because["alert"] == len(alerts)
    assert 0.05 * RECORDS < because["sample"] < 0.15 * RECORDS
    metrics = [codec.read(ScoringMetric, r.value) for r in await stream.read("scoring-metrics")]
    assert sum(m.scored for m in metrics) == RECORDS
    assert sum(m.alerts for m in metrics) == len(alerts)


def read_score(record: object) -> Score:
    """The score in a record."""
    return codec.read(Score, record.value)  # type: ignore[attr-defined]


async def test_bad_input_gives_one_dead_letter_each_and_leaves_its_neighbours_untouched(stream: Stream) -> None:
    """Every kind of bad payload on one partition between good ones, and a duplicate."""
    stream.partitions = 1
    good = iter(range(10_000))
    values: list[bytes | None] = []
    for bad, _ in BAD * 3:
        values += [json.dumps(payment(next(good))).encode(), bad, json.dumps(payment(next(good))).encode()]
    values.append(values[0])
    scorer = stream.scorer()
    await stream.send(values)
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    stream.partitions = 4
    verdict = await stream.verdict()
    assert_clean(verdict, len(values))
    letters = [codec.read(DeadLetter, r.value) for r in await stream.read("dead-letters")]
    reasons = Counter(letter.reason.value for letter in letters)
    expected = Counter(reason.value for _, reason in BAD * 3) + Counter(["duplicate"])
    assert reasons == expected
    assert [letter.source_offset for letter in letters] == [i for i in range(len(values)) if i % 3 == 1] + [
        len(values) - 1
    ]
    assert "4111111111111111" not in scorer.log()
    assert "41111111" not in "".join(str(letter) for letter in letters)


@pytest.mark.parametrize(
    ("point", "transactions"),
    [
        *((point, "partition") for point in ("after_poll", "after_process", "between_sends", "after_sends")),
        *((point, "partition") for point in ("after_offsets", "commit_sent", "after_commit")),
        *((point, "process") for point in ("between_sends", "after_offsets", "commit_sent")),
    ],
)
async def test_a_scorer_killed_at_any_point_of_the_transaction_loses_and_repeats_nothing(
    stream: Stream, point: str, transactions: str
) -> None:
    """kill -9 at a named point of the third batch, then a new process takes over; scoring-metrics counts each once, too."""
    values, keys = payments()
    await stream.send(values, keys)
    stream.environment["ASSAY_TRANSACTIONS"] = transactions
    doomed = stream.scorer(ASSAY_FAILPOINT=f"{point}:3", ASSAY_BATCH_RECORDS_MAX="200")
    assert doomed.wait() == -signal.SIGKILL
    heir = stream.scorer()
    await stream.caught_up([heir])
    assert heir.terminate() == 0
    assert_clean(verdict := await stream.verdict(), RECORDS)
    assert verdict.uncounted == 0
    metrics = [codec.read(ScoringMetric, r.value) for r in await stream.read("scoring-metrics")]
    assert sum(m.records for m in metrics) == sum(m.scored for m in metrics) == RECORDS
    assert sum(m.alerts for m in metrics) == len(await stream.read("alerts"))


@pytest.mark.slow
async def test_a_scorer_killed_while_it_restores_loses_and_repeats_nothing(stream: Stream) -> None:
    """The third process restores what the second began to."""
    values, keys = payments()
    await stream.send(values, keys)
    first = stream.scorer(
        ASSAY_FAILPOINT="after_commit:8", ASSAY_BATCH_RECORDS_MAX="200", ASSAY_SNAPSHOT_INTERVAL_S="999"
    )
    assert first.wait() == -signal.SIGKILL
    assert stream.scorer(ASSAY_FAILPOINT="during_restore:1").wait() == -signal.SIGKILL
    third = stream.scorer()
    await stream.caught_up([third])
    assert third.terminate() == 0
    assert_clean(await stream.verdict(), RECORDS)


def state_of_scores(records: list[object]) -> Iterator[tuple[str, float, float, bool]]:
    """What each transaction was scored, by id."""
    for score in sorted(map(read_score, records), key=lambda s: s.transaction_id):
        yield score.transaction_id, score.probability, score.reconstruction_error, score.alert


async def test_a_kill_changes_no_bit_of_any_score(
    stream: Stream, kafka_bootstrap: str, topic_prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same input through an undisturbed scorer, and through one that is killed between snapshots."""
    values, keys = payments()
    calm = Stream(kafka_bootstrap, f"{topic_prefix}calm.", tmp_path_factory.mktemp("calm"))
    await calm.create()
    for each in (stream, calm):
        await each.send(values, keys)
    undisturbed = calm.scorer()
    doomed = stream.scorer(
        ASSAY_FAILPOINT="after_commit:12", ASSAY_BATCH_RECORDS_MAX="100", ASSAY_SNAPSHOT_INTERVAL_S="0.05"
    )
    assert doomed.wait() == -signal.SIGKILL
    heir = stream.scorer(ASSAY_BATCH_RECORDS_MAX="700")
    await stream.caught_up([heir])
    await calm.caught_up([undisturbed])
    assert [heir.terminate(), undisturbed.terminate()] == [0, 0]
    calm.close()
    assert heir.log().count("partition.restored") + heir.log().count("partition.running") >= 4
    assert list(state_of_scores(await stream.read("scores"))) == list(state_of_scores(await calm.read("scores")))


@pytest.mark.slow
async def test_partitions_move_between_scorers_that_come_and_go(stream: Stream) -> None:
    """A second member joins, the first leaves, the second is killed, a third ends the job."""
    values, keys = payments(12_000)
    first = stream.scorer(ASSAY_BATCH_RECORDS_MAX="100")
    await stream.send(values[:4000], keys[:4000])
    second = stream.scorer(ASSAY_BATCH_RECORDS_MAX="100")
    second.wait_for_log("group.assigned")
    await stream.send(values[4000:8000], keys[4000:8000])
    assert first.terminate() == 0
    await stream.send(values[8000:], keys[8000:])
    second.kill()
    third = stream.scorer()
    await stream.caught_up([third])
    assert third.terminate() == 0
    assert_clean(await stream.verdict(), 12_000)


@pytest.mark.slow
async def test_a_scorer_stopped_longer_than_its_session_is_fenced_and_commits_nothing(stream: Stream) -> None:
    """SIGSTOP, another takes over, SIGCONT: the zombie neither repeats nor crashes."""
    values, keys = payments(8000)
    zombie = stream.scorer(ASSAY_BATCH_RECORDS_MAX="50")
    await stream.send(values[:4000], keys[:4000])
    zombie.wait_for_log("partition.running")
    zombie.signal(signal.SIGSTOP)
    heir = stream.scorer()
    heir.wait_for_log("group.assigned")
    await stream.send(values[4000:], keys[4000:])
    await stream.caught_up([heir])
    zombie.signal(signal.SIGCONT)
    await stream.send(*payments_from(8000, 9000))
    await stream.caught_up([heir, zombie])
    assert [zombie.terminate(), heir.terminate()] == [0, 0]
    assert_clean(await stream.verdict(), 9000)


def payments_from(start: int, end: int) -> tuple[list[bytes], list[bytes]]:
    """Good transactions start to end and their keys."""
    values, keys = payments(end)
    return values[start:], keys[start:]


async def test_at_least_once_scores_everything_and_repeats_nothing_without_a_fault(stream: Stream) -> None:
    """The other guarantee on a calm day."""
    scorer = stream.scorer(ASSAY_DELIVERY="at_least_once")
    values, keys = payments()
    await stream.send(values, keys)
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    assert_clean(await stream.verdict(), RECORDS)
