"""Scorer and monitor together on the real broker: drift is reported, no drift is not, and figures are what the topics say."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from models.bundle.keys import public_pem
from models.bundle.load import load_bundle
from models.bundle.pack import pack_bundle
from models.features.fold import fold
from models.features.state import FeatureState
from models.scoring.session import ModelSession
from models.simulation.settings import SimulationSettings
from models.simulation.stream import TransactionDay, generate
from models.training.reference import build_reference
from schemas import codec
from schemas.decision import Decision
from schemas.label import Label
from schemas.monitor import DriftReport, MonitorReport, QualityReport
from schemas.topics import DECISIONS, LABELS, MONITOR, SCORING_METRICS
from services.simulator.payloads import payloads
from tests.models.bundle.making import signed, signing_key
from tests.services.harness import BASE_TIME_MS, WAIT_S_MAX, Scorer, Stream, payment

DAY_MS = 86_400_000
BUNDLE = Path("deploy/bundles/fraud")

WARM_DAYS, CALM_DAYS, DRIFT_DAYS, REFERENCE_DAYS = 36, 6, 6, 12
"""A scorer's first month is no drift of its customers'; then equal stretches without and with drift."""

SETTLING_DAYS = 4
"""At the end of the first month: the window that it leaves open is of its last days only."""

WINDOW = 1900
DRIFT_SEEN_WITHIN = 2 * WINDOW
"""Payments after the change within which it must be reported."""

SIMULATED = SimulationSettings(
    seed=11, customers=500, terminals=1000, radius=11.0, days=WARM_DAYS + CALM_DAYS + DRIFT_DAYS + REFERENCE_DAYS
)


async def until(service: Scorer, done: Callable[[], bool]) -> None:
    """Wait for something that the service is about to do."""
    deadline = asyncio.get_running_loop().time() + 2 * WAIT_S_MAX
    while not await asyncio.to_thread(done):
        assert service.returncode is None, service.log()[-3000:]
        assert asyncio.get_running_loop().time() < deadline, service.log()[-3000:]
        await asyncio.sleep(0.2)


def bundle_of_these_customers(path: Path) -> None:
    """The committed model, with a reference of legitimate payments of the simulated population, as training would make it.

    Without terminal profiles, on both sides: a day that is streamed in a moment ends before its profiles could be known.
    """
    bundle = load_bundle(BUNDLE)
    spec = bundle.manifest.feature_spec
    state, rows = FeatureState(spec, SIMULATED.customers), []
    for day, batch in enumerate(generate(SIMULATED)):
        features, _ = fold(state, batch.columns)
        if day >= SIMULATED.days - REFERENCE_DAYS:  # type: ignore[operator]
            rows.append(features[~batch.is_fraud])
    legitimate = np.concatenate(rows)
    scores = ModelSession(bundle, "cpu").run(legitimate)
    pack_bundle(path, bundle.manifest, bundle.model, build_reference(spec, legitimate, scores))


async def send(stream: Stream, days: list[TransactionDay]) -> int:
    """The days' payments, as the simulator writes them; how many there are."""
    made = list(payloads(days))
    await stream.send([one.value for one in made], [one.key for one in made])
    return len(made)


async def drift_reports(stream: Stream) -> list[DriftReport]:
    """In order."""
    found = [codec.read(MonitorReport, record.value) for record in await stream.read(MONITOR.name)]
    return [report.drift for report in found if report.drift is not None]


@pytest.mark.slow
async def test_a_change_of_habits_is_reported_and_an_equal_stretch_without_one_is_not(
    stream: Stream, tmp_path: Path
) -> None:
    """Within two windows of 1,900 payments; the false alarms of the calm stretch are counted: none."""
    bundle_of_these_customers(tmp_path / "bundle")
    signed(tmp_path / "bundle")
    (tmp_path / "key.pub").write_bytes(public_pem(signing_key().public_key()))
    settings = {"ASSAY_BUNDLE": str(tmp_path / "bundle"), "ASSAY_BUNDLE_PUBLIC_KEYS": str(tmp_path / "key.pub")}
    scorer = stream.scorer(**settings)
    monitor = stream.service("services.monitor", ASSAY_MONITOR_WINDOW_RECORDS=str(WINDOW))
    drifting = generate(replace(SIMULATED, drift_day=WARM_DAYS + CALM_DAYS))
    counted, reports = 0, []
    for days in (WARM_DAYS, CALM_DAYS, DRIFT_DAYS):
        for number, day in enumerate(islice(drifting, days)):
            counted += await send(stream, [day])
            if (
                days != WARM_DAYS or number >= days - SETTLING_DAYS
            ):  # a day at a time, so that no window holds much more
                await settled(stream, monitor, counted)
        await stream.caught_up([scorer])
        await settled(stream, monitor, counted)
        reports.append(len(await drift_reports(stream)))
    assert [scorer.terminate(), monitor.terminate()] == [0, 0]
    found = await drift_reports(stream)
    calm, drifted = found[reports[0] : reports[1]], found[reports[1] :]
    assert sum(report.scored for report in calm) > 2 * WINDOW
    assert [report.distributions[0] for report in calm if report.drifted] == []
    first = next(place for place, report in enumerate(drifted) if report.drifted)
    seen_within = sum(report.scored for report in drifted[: first + 1])
    assert seen_within <= DRIFT_SEEN_WITHIN + WINDOW, (seen_within, drifted)
    assert "amount" in {drift.name for report in drifted for drift in report.distributions if drift.drifted}


async def settled(stream: Stream, monitor: Scorer, scored: int) -> None:
    """Wait until every payment sent is in sums, and every record of sums is added up."""
    deadline = asyncio.get_running_loop().time() + 2 * WAIT_S_MAX
    while True:
        sums = [json.loads(record.value) for record in await stream.read(SCORING_METRICS.name)]
        added = await asyncio.to_thread(monitor.metric, "assay_partial_sums_total")
        if sum(one["scored"] for one in sums) >= scored and added >= len(sums):
            return
        assert monitor.returncode is None, monitor.log()[-3000:]
        assert asyncio.get_running_loop().time() < deadline, (len(sums), added, scored)
        await asyncio.sleep(0.3)


def paid(i: int) -> dict[str, object]:
    """Ten minutes apart, every tenth large; four weeks."""
    return payment(i, event_time_ms=BASE_TIME_MS + i * 600_000, amount=900.0 if i % 10 == 9 else 25.0)


def label(i: int, verdict: str, day: int) -> Label:
    """Said `day` days after the first payment."""
    return Label(
        transaction_id=str(paid(i)["transaction_id"]),
        verdict=verdict,  # type: ignore[arg-type]
        source="chargeback",
        labelled_at_ms=BASE_TIME_MS + day * DAY_MS,
    )


async def quality_reports(stream: Stream) -> dict[int, QualityReport]:
    """The newest of each age."""
    found = [codec.read(MonitorReport, record.value) for record in await stream.read(MONITOR.name)]
    return {report.quality.age_days_min: report.quality for report in found if report.quality is not None}


@pytest.mark.slow
async def test_delayed_precision_is_what_the_topics_say_also_after_a_kill(stream: Stream) -> None:
    """With a control group, contradicting labels and a maturity; the ledger comes back from its topic."""
    payments = [paid(i) for i in range(4000)]
    settings = {"ASSAY_MONITOR_QUALITY_INTERVAL_S": "1", "ASSAY_MONITOR_MATURITY_DAYS": "10"}
    scorer = stream.scorer(ASSAY_DECISION_SHARE="0.1", ASSAY_CONTROL_SHARE="0.5")
    monitor = stream.service("services.monitor", **settings)
    await stream.send([json.dumps(p).encode() for p in payments], [str(p["card_id"]).encode() for p in payments])
    await stream.caught_up([scorer])
    decisions = [codec.read(Decision, record.value) for record in await stream.read(DECISIONS.name)]
    await until(monitor, lambda: monitor.metric("assay_ledger_payments") >= len(decisions) // 2)
    monitor.kill()
    settings["ASSAY_PROGRESS_TIMEOUT_S"] = "10"
    heirs = [stream.service("services.monitor", **settings)]
    labels = [label(i, "fraud", 28) for i in range(9, 4000, 30)] + [label(9, "fraud", 20), label(39, "legitimate", 29)]
    labels += [label(i, "legitimate", 27) for i in range(0, 4000, 100)]
    keys = [one.transaction_id.encode() for one in labels]
    await stream.send([codec.write(one) for one in labels], keys, LABELS.name)
    frauds = {one.transaction_id for one in labels if one.verdict == "fraud"} - {labels[1].transaction_id}
    old = [d for d in decisions if (BASE_TIME_MS + 29 * DAY_MS - d.event_time_ms) // DAY_MS >= 10]
    expected = {
        "alerts": sum(2.0 for d in old if d.alert and d.let_through),
        "fraud_alerts": sum(2.0 for d in old if d.alert and d.let_through and d.transaction_id in frauds),
        "frauds": sum((2.0 * d.let_through if d.alert else 10.0) for d in old if d.transaction_id in frauds),
    }
    assert expected["fraud_alerts"] > 0
    wanted = pytest.approx(expected["fraud_alerts"] / expected["alerts"])
    deadline = asyncio.get_running_loop().time() + 2 * WAIT_S_MAX
    while True:
        report = (await quality_reports(stream)).get(10)
        said = {name: getattr(report, name) for name in expected} if report else {}
        if report is not None and said == pytest.approx(expected):
            break
        heir = heirs[-1]
        if heir.returncode is not None:  # about one time in twenty Faust stalls after a kill, and the watchdog ends it
            print(heir.log())
            assert len(heirs) == 1
            assert "Records are waiting but none was worked" in heir.log()
            heirs.append(stream.service("services.monitor", **settings))
        assert asyncio.get_running_loop().time() < deadline, (said, expected)
        await asyncio.sleep(0.3)
    assert report.mature
    assert report.precision == wanted
    assert report.recall == pytest.approx(expected["fraud_alerts"] / expected["frauds"])
    assert [scorer.terminate(), heirs[-1].terminate()] == [0, 0]
