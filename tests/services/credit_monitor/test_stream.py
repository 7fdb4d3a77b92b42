"""Credit and its monitor on the real broker: other applicants are reported, equal ones are not, and loans are judged later."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.bundle.keys import public_pem
from models.simulation.applications import ApplicationBatch, drawn
from schemas import codec
from schemas.credit import CreditDecision
from schemas.credit_label import CreditLabel
from schemas.monitor import DriftReport, MonitorReport, QualityReport
from schemas.topics import APPLICATIONS, CREDIT_DECISIONS, CREDIT_LABELS, CREDIT_MONITOR, DECISIONS, MONITOR
from services.simulator.applications import application_payloads
from tests.models.bundle.making import signing_key
from tests.services.cli.test_app import run_main
from tests.services.credit.making import version_of
from tests.services.harness import BASE_TIME_MS, WAIT_S_MAX, Scorer, Stream

pytestmark = pytest.mark.slow

DAY_MS = 86_400_000
WINDOW = 600
SENT = WINDOW + 100


async def until(service: Scorer, done: Callable[[], bool]) -> None:
    """Wait for something that the service is about to do."""
    deadline = asyncio.get_running_loop().time() + 2 * WAIT_S_MAX
    while not await asyncio.to_thread(done):
        assert service.returncode is None, service.log()[-3000:]
        assert asyncio.get_running_loop().time() < deadline, service.log()[-3000:]
        await asyncio.sleep(0.2)


class Lender:
    """A credit service and its monitor, with a bundle that knows who applies."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.sent = stream, 0
        version_of(stream.directory / "bundle", 1)
        (stream.directory / "key.pub").write_bytes(public_pem(signing_key().public_key()))
        stream.environment |= {
            "ASSAY_CREDIT_BUNDLE": str(stream.directory / "bundle"),
            "ASSAY_BUNDLE_PUBLIC_KEYS": str(stream.directory / "key.pub"),
            "ASSAY_CREDIT_MONITOR_WINDOW_RECORDS": str(WINDOW),
            "ASSAY_CREDIT_MONITOR_WINDOW_H": "0",
            "ASSAY_CREDIT_MONITOR_QUALITY_INTERVAL_S": "1",
        }
        self.service, self.monitor = stream.credit(), stream.service("services.credit_monitor")

    async def send(self, batch: ApplicationBatch) -> None:
        """Applications, decided and added up."""
        made = [*application_payloads([batch])]
        await self.stream.send([one.value for one in made], [one.key for one in made], APPLICATIONS.name)
        self.sent += len(made)
        await self.stream.caught_up([self.service], f"{self.stream.prefix}credit", APPLICATIONS.name)

        def added() -> bool:
            return self.monitor.metric("assay_credit_ledger_applications") >= self.sent

        await until(self.monitor, added)

    async def reports(self) -> list[MonitorReport]:
        """In order."""
        return [codec.read(MonitorReport, record.value) for record in await self.stream.read(CREDIT_MONITOR.name)]

    async def drift(self, windows: int) -> list[DriftReport]:
        """So many reports, or more."""
        deadline = asyncio.get_running_loop().time() + 2 * WAIT_S_MAX
        while True:
            found = [report.drift for report in await self.reports() if report.drift is not None]
            if len(found) >= windows:
                return found
            assert self.monitor.returncode is None, self.monitor.log()[-3000:]
            assert asyncio.get_running_loop().time() < deadline, self.monitor.log()[-3000:]
            await asyncio.sleep(0.3)


def applicants(seed: int, day: int, **changes: float) -> ApplicationBatch:
    """So many that a window is full. changes: factors of attributes."""
    batch = drawn(SENT, seed, BASE_TIME_MS + day * DAY_MS)
    times = batch.event_time_ms
    attributes = {name: (column * changes.get(name, 1.0)).astype(np.int64) for name, column in batch.attributes.items()}
    return ApplicationBatch(batch.application_id, batch.applicant_id, times, attributes, batch.defaulted)


async def quality(lender: Lender, labelled: int) -> QualityReport:
    """The newest of the oldest age, once it has so many labels."""
    deadline = asyncio.get_running_loop().time() + 2 * WAIT_S_MAX
    while True:
        found = [report.quality for report in await lender.reports() if report.quality is not None]
        mature = [report for report in found if report.mature and report.labelled == labelled]
        if mature:
            return mature[-1]
        assert lender.monitor.returncode is None, lender.monitor.log()[-3000:]
        assert asyncio.get_running_loop().time() < deadline, found[-3:]
        await asyncio.sleep(0.3)


async def test_other_applicants_are_reported_equal_ones_are_not_and_loans_are_judged_when_their_labels_come(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Limits in another unit are drift; then labels of approved loans, of a declined one too, over a kill of the monitor."""
    lender = Lender(stream)
    calm = applicants(3, day=0)
    await lender.send(calm)
    (first,) = await lender.drift(1)
    assert (first.drifted, first.distributions[0].psi < 0.2) == (False, True), first.distributions[0]
    await lender.send(applicants(4, day=100, LIMIT_BAL=0.1))
    second = (await lender.drift(2))[1]
    assert second.drifted
    assert "limit" in {drift.name for drift in second.distributions if drift.drifted}
    assert second.alert_rate > first.alert_rate
    assert lender.monitor.metric("assay_credit_drifted_distributions") >= 1

    decided = [codec.read(CreditDecision, record.value) for record in await stream.read(CREDIT_DECISIONS.name)]
    fate = dict(zip(calm.application_id, calm.defaulted.tolist(), strict=True))
    old = {d.application_id: d for d in decided if d.event_time_ms < BASE_TIME_MS + 5 * DAY_MS}
    granted = [d for d in old.values() if d.outcome == "approve"][:300]
    granted.append(next(d for d in old.values() if d.outcome == "decline"))
    labels = [
        CreditLabel(
            application_id=d.application_id,
            verdict="default" if fate[d.application_id] else "repaid",
            labelled_at_ms=BASE_TIME_MS + 400 * DAY_MS,
        )
        for d in granted
    ]
    values, keys = [codec.write(one) for one in labels], [one.application_id.encode() for one in labels]
    await stream.send(values[:100], keys[:100], CREDIT_LABELS.name)
    lender.monitor.kill()
    lender.monitor = stream.service("services.credit_monitor", ASSAY_PROGRESS_TIMEOUT_S="30")
    await stream.send(values[100:], keys[100:], CREDIT_LABELS.name)
    found = await quality(lender, len(labels))
    approved = [fate[d.application_id] for d in granted if d.outcome == "approve"]
    assert found.passed_bad_rate == pytest.approx(np.mean(approved))
    assert found.precision == float(fate[granted[-1].application_id])
    assert (found.recall, found.payments) == (None, float(len(old)))
    assert found.roc_auc is not None
    assert 0.5 < found.roc_auc < 1.0

    stream.for_commands(monkeypatch)
    assert await asyncio.to_thread(run_main, monkeypatch, "monitor", "show", "--product", "credit", "--json") == 0
    shown: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(one["model"], one["kind"]) for one in shown} == {("credit/1@cpu", "drift"), ("credit/1@cpu", "quality")}
    assert not await stream.read(MONITOR.name), "the two products have nothing in common here"
    assert not await stream.read(DECISIONS.name)
    verdict = await stream.credit_verdict()
    assert verdict.clean, verdict.as_dict()
    assert [lender.service.terminate(), lender.monitor.terminate()] == [0, 0]
    assert (await stream.credit_verdict()).uncounted == 0
