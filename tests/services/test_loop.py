"""The loop from a score back to the next model: stream, labels, data set, training, challenger, comparison, promotion."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.features.spec_file import load_spec
from models.simulation.settings import SimulationSettings
from models.simulation.stream import TransactionDay, generate
from schemas import codec
from schemas.monitor import MonitorReport
from schemas.score import Score
from schemas.topics import DECISIONS, LABELS, MONITOR
from services.replay.dataset import FEATURE_PREFIX
from services.simulator.payloads import Payload, payloads
from tests.models.bundle.making import signed
from tests.services.harness import WAIT_S_MAX, Scorer
from tests.services.scorer.test_swap import Shop, Stream

pytestmark = pytest.mark.train

DAY_MS = 86_400_000
SPEC = Path("deploy/features/fraud.yaml")
SIMULATED = SimulationSettings(seed=5, customers=200, terminals=150, days=30)
BEFORE_DAYS = 24
LABEL_DELAY_DAYS = 2
SMALL = ["--epochs=2", "--no-compared", "--no-gan", "--version=2", "--train-days=9", "--validation-days=5"]
SMALL += ["--accept=constant", "--accept=logistic"]
CUTS = ["--delay-days=3", "--test-days=4", "--from=2026-01-02"]


@pytest.fixture
def shop(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Registry, stream and settings; version 1 is the committed model."""
    stream.environment |= {"ASSAY_DECISION_SHARE": "0.5"}
    return Shop(stream, monkeypatch)


async def pay(shop: Shop, made: list[Payload], scorer: Scorer) -> None:
    """Payments and then the labels that came between them, as the simulator writes them; all are scored."""
    for is_label, topic in ((False, "transactions"), (True, LABELS.name)):
        chosen = [one for one in made if one.is_label is is_label]
        await shop.stream.send([one.value for one in chosen], [one.key for one in chosen], topic)
    shop.sent += sum(not one.is_label for one in made)
    await shop.stream.caught_up([scorer])


def at(day: float) -> str:
    """So many days after the first, as a command takes it."""
    moment = datetime.fromtimestamp(SIMULATED.start_day * 86_400 + day * 86_400, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def truth(days: list[TransactionDay]) -> dict[str, bool]:
    """What each payment really was."""
    return {i: bool(f) for day in days for i, f in zip(day.transaction_id, day.is_fraud, strict=True)}


async def checked_data_set(shop: Shop, days: list[TransactionDay]) -> Path:
    """Built at two moments: what was known then and no more, with the features as they were decided on."""
    path = shop.stream.directory / "payments.parquet"
    early = await shop.assay("dataset", "build", str(path), f"--as-of={at(10)}", "--maturity-days=4")
    first = pl.read_parquet(path)
    assert first["event_time_ms"].max() <= (SIMULATED.start_day + 6) * DAY_MS  # type: ignore[operator]
    assert first["labelled_at_ms"].max() <= (SIMULATED.start_day + 10) * DAY_MS  # type: ignore[operator]
    known = await shop.assay("dataset", "build", str(path), f"--as-of={at(BEFORE_DAYS)}", "--maturity-days=2")
    frame = pl.read_parquet(path)
    assert early["payments"] == len(first) < len(frame) == known["payments"]
    really = truth(days)
    assert frame["is_fraud"].to_list() == [really[i] for i in frame["transaction_id"]]
    assert known["frauds"] == frame["is_fraud"].sum() > early["frauds"] > 0
    names = [f"{FEATURE_PREFIX}{name}" for name in load_spec(SPEC).names]
    rows = {row[0]: row[1:] for row in frame.select("transaction_id", *names).iter_rows()}
    decided = [json.loads(record.value) for record in await shop.stream.read(DECISIONS.name)]
    compared = [one for one in decided if one["transaction_id"] in rows]
    assert len(compared) > 1000
    for one in compared:
        assert np.array(rows[one["transaction_id"]], np.float32).tolist() == one["features"]
    return path


async def compared(shop: Shop, monitor: Scorer) -> tuple[MonitorReport, dict[str, MonitorReport]]:
    """A drift report with champion beside challenger, and a quality report of each, once there are all three."""
    deadline = asyncio.get_running_loop().time() + 2 * WAIT_S_MAX
    while True:
        found = [codec.read(MonitorReport, record.value) for record in await shop.stream.read(MONITOR.name)]
        beside = [report for report in found if report.drift and report.drift.challenger]
        quality = {report.model: report for report in found if report.quality and report.quality.frauds}
        if beside and len(quality) == 2:
            return beside[-1], quality
        assert monitor.returncode is None, monitor.log()[-3000:]
        assert asyncio.get_running_loop().time() < deadline, (len(found), list(quality))
        await asyncio.sleep(0.3)


@pytest.mark.slow
async def test_the_loop_closes_from_the_stream_to_the_next_champion(shop: Shop) -> None:
    """Each step by the commands that a person would type, on the real broker; nothing is lost on the way."""
    stream = shop.stream
    await shop.assay("registry", "publish", str(stream.directory / "v1"))
    scorer, profiler = stream.scorer(), stream.profiler()
    watching: dict[str, Any] = {
        "ASSAY_MONITOR_WINDOW_RECORDS": "500",
        "ASSAY_MONITOR_WINDOW_H": "0",
        "ASSAY_MONITOR_QUALITY_INTERVAL_S": "1",
    }
    monitor = stream.service("services.monitor", **watching)
    days = list(generate(SIMULATED))
    made = list(payloads(days, label_delay_days=LABEL_DELAY_DAYS))
    count = sum(len(day) for day in days[:BEFORE_DAYS])
    places = [place for place, one in enumerate(made) if not one.is_label]
    await pay(shop, made[: places[count]], scorer)

    path = await checked_data_set(shop, days)
    out = stream.directory / "trained"
    await shop.assay("train", "fraud", f"--data={path}", *SMALL, *CUTS, f"--out={out}")
    signed(out)
    # 14 days and two epochs make no good model, which is not what is shown here
    await shop.assay(
        "registry", "publish", str(out), "--accept", "chance", "--accept", "constant", "--accept", "logistic"
    )
    await shop.assay("registry", "promote", "fraud/2", "--challenger")
    await pay(shop, made[places[count] :], scorer)

    beside, quality = await compared(shop, monitor)
    assert beside.model == "fraud/1@cpu"
    assert beside.drift is not None
    assert beside.drift.challenger is not None
    assert beside.drift.challenger.challenger == "fraud/2@cpu"
    assert set(quality) == {"fraud/1@cpu", "fraud/2@cpu"}

    promoted = await shop.assay("registry", "promote", "fraud/2", "--why", "the loop's test")
    assert promoted["refused"] == 0
    last = payloads(generate(SimulationSettings(seed=6, customers=200, terminals=150, days=2, start="2026-01-31")))
    await pay(shop, list(last), scorer)
    models = [codec.read(Score, record.value).model for record in await stream.read("scores")]
    assert {"fraud/1@cpu", "fraud/2@cpu"} == set(models)
    assert [scorer.terminate(), profiler.terminate(), monitor.terminate()] == [0, 0, 0]
    await shop.clean()
