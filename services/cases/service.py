"""The two apps of the case service: one makes cases, the other posts them. They meet on `cases`, so neither waits."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog

from schemas import codec
from schemas.alert import Alert
from schemas.case import Case, CaseAction, held_card_number
from schemas.dead_letter import DeadLetterReason
from schemas.lists import entry_key
from schemas.topics import ALERTS, CASE_ACTIONS, CASE_MUTES, CASES, DEAD_LETTERS, LABELS, LISTS
from services.cases.desk import Desk, Limits, case_problem, mute_problem, partition_of
from services.cases.grouping import Source
from services.cases.listing import Listing
from services.cases.rules import SecondPerson, is_refusal, is_work
from services.cases.webhook import Webhook, is_usable, worth_telling
from services.clock import wall_ms
from services.engine.dead_letters import DeadLetterWriter, privacy_key
from services.engine.faults import Fault, parsed, timestamp_ms
from services.engine.process import Environment
from services.errors import SettingsError
from services.faust_runtime.app import SideApp
from services.faust_runtime.run import SideService
from services.observability.low_rate_metrics import CaseMetrics
from services.settings.cases import CasesSettings
from services.settings.secrets import shown_url
from services.trusted_persons import step_rule

log = structlog.get_logger(__name__)

HOUR_MS, DAY_MS = 3_600_000, 86_400_000

READS = (ALERTS, CASE_ACTIONS, CASES, CASE_MUTES)
WRITES = (CASES, CASE_MUTES, CASE_ACTIONS, LABELS, DEAD_LETTERS)


def case_service(settings: CasesSettings, environment: Environment) -> SideService:
    """Both apps; the second where there is a webhook. Raises SettingsError."""
    webhook, listing = _webhook(settings), _listing(settings)
    metrics = CaseMetrics(environment.metrics.registry)

    def build(partitions: dict[str, int], directory: str) -> Sequence[SideApp]:
        def app(group: str) -> SideApp:
            return SideApp(group, environment, f"{directory}/{group}")

        maker = app(settings.group)
        count = partitions[maker.prefix + CASES.name]
        _Maker(maker, settings, listing, environment, metrics, count)
        if webhook is None:
            return [maker]
        teller = app(f"{settings.group}-webhook")
        _Teller(teller, webhook, environment, metrics)
        return [maker, teller]

    groups = [settings.group] if webhook is None else [settings.group, f"{settings.group}-webhook"]
    writes = WRITES if settings.confirmed_list is None else (*WRITES, LISTS)
    return SideService(groups, READS, writes, build)


def _listing(settings: CasesSettings) -> Listing | None:
    """Raises SettingsError where what it would write could not count."""
    if settings.confirmed_list is not None and step_rule() is not None:
        raise SettingsError(
            f"ASSAY_CASES_CONFIRMED_LIST={settings.confirmed_list} puts cards on a list without a person's signature, and "
            "ASSAY_PERSONS_SIGNATURES_MIN asks for one: leave one of the two out."
        )
    days = settings.confirmed_list_days
    keep_ms = None if days is None else int(days * DAY_MS)
    return None if settings.confirmed_list is None else Listing(settings.confirmed_list, keep_ms)


def _second_person(settings: CasesSettings) -> SecondPerson | None:
    amount = settings.second_person_amount
    return None if amount is None else SecondPerson(amount, int(settings.second_person_h * HOUR_MS))


def _webhook(settings: CasesSettings) -> Webhook | None:
    if settings.webhook_url is None:
        return None
    if settings.webhook_secret is None:
        raise SettingsError(
            "ASSAY_CASES_WEBHOOK_SECRET is needed with ASSAY_CASES_WEBHOOK_URL: the receiver checks it."
        )
    if not is_usable(settings.webhook_url):
        raise SettingsError(
            f"ASSAY_CASES_WEBHOOK_URL={shown_url(settings.webhook_url)} is no address of a web server: give one that "
            "begins with https:// and names a host."
        )
    secret = settings.webhook_secret.get_secret_value().encode()
    return Webhook(settings.webhook_url, secret, settings.webhook_attempts_max, settings.webhook_timeout_s)


class _Agents:
    """What both apps do with what they cannot read."""

    def __init__(self, app: SideApp, environment: Environment) -> None:
        self._app, self._metrics = app, environment.metrics
        self._bytes_max = max(environment.runtime.message_bytes_max, 1 << 20)
        self._letters = DeadLetterWriter(privacy_key(environment.runtime))

    async def _dead_letter(self, message: Any, reason: DeadLetterReason, detail: str) -> None:
        await self._app.send(DEAD_LETTERS, None, self._letters.encode(message, reason, detail), source=message)
        self._metrics.dead_letters.labels(reason.value).inc()

    async def _unscorable(self, message: Any, why: str) -> None:
        await self._dead_letter(message, DeadLetterReason.UNSCORABLE, why)


class _Maker(_Agents):
    """Alerts and actions in, cases and labels out."""

    def __init__(
        self,
        app: SideApp,
        settings: CasesSettings,
        listing: Listing | None,
        environment: Environment,
        metrics: CaseMetrics,
        partitions: int,
    ) -> None:
        super().__init__(app, environment)
        self._cases, self._listing = metrics, listing
        limits = Limits(
            int(settings.window_h * HOUR_MS),
            int(settings.expire_days * DAY_MS),
            int(settings.keep_days * DAY_MS),
            _second_person(settings),
        )
        table = app.table(CASES, partitions, case_problem)
        self._desk = Desk(table, app.table(CASE_MUTES, partitions, mute_problem), limits)
        self._parse_alert, self._parse_action = codec.decoder(Alert), partial(codec.read, CaseAction)
        app.recovered(table, self._desk.recover)
        app.agent(ALERTS, self._alert, self._unscorable)
        app.agent(CASE_ACTIONS, self._action, self._unscorable)
        app.timer(settings.tick_s, "expiry", self._tick)

    async def _alert(self, event: Any) -> None:
        message = event.message
        alert = parsed(message, self._parse_alert, self._bytes_max)
        if isinstance(alert, Fault):
            await self._dead_letter(message, alert.reason, alert.detail)
            return
        source = _source(message)
        case = self._desk.alert(alert, source)
        if case is not None:
            self._changed(case)
        elif self._desk.muted(alert, source):
            self._cases.muted.inc()
        else:
            self._cases.repeated.inc()

    async def _action(self, event: Any) -> None:
        message = event.message
        action = parsed(message, self._parse_action, self._bytes_max)
        if isinstance(action, Fault):
            await self._dead_letter(message, action.reason, action.detail)
            return
        source = _source(message)
        if name := held_card_number(action):
            await self._dead_letter(message, DeadLetterReason.CARD_NUMBER, f"{name} holds a card number: leave it out")
            return
        for label in self._desk.labels(action, source):
            await self._app.send(LABELS, label.transaction_id.encode(), codec.write(label), source=message)
        await self._list(action, source, message)
        case = self._desk.act(action, source)
        if case is not None:
            self._changed(case)
        elif action.action in ("confirm", "dismiss"):
            self._cases.unknown.inc()

    async def _list(self, action: CaseAction, source: Source, message: Any) -> None:
        """The card onto the list of confirmed cases, or off it. Before `act`, as labels: a crash repeats it."""
        if self._listing is None:
            return
        entry = self._listing.entry(self._desk.case_of(action, source), self._desk.decision_of(action, source), source)
        if entry is not None:
            await self._app.send(LISTS, entry_key(entry), codec.write(entry), source=message)

    def _changed(self, case: Case) -> None:
        self._cases.changes.labels("refused" if is_refusal(case) else "work" if is_work(case) else case.change).inc()

    async def _tick(self) -> None:
        self._cases.open_cases.set(self._desk.open_cases)
        for case, action in list(self._desk.due(wall_ms())):
            try:
                partition = partition_of(case.case_id)
                await self._app.send(CASE_ACTIONS, None, codec.write(action), source=None, partition=partition)
            except Exception as error:
                self._app.skipped.work("expiry", error)


class _Teller(_Agents):
    """Cases in, requests out, one after the other: a webhook that is down delays only itself."""

    def __init__(self, app: SideApp, webhook: Webhook, environment: Environment, metrics: CaseMetrics) -> None:
        super().__init__(app, environment)
        self._webhook, self._cases = webhook, metrics
        app.agent(CASES, self._case, self._unscorable)
        self._parse = partial(codec.read, Case)

    async def _case(self, event: Any) -> None:
        message = event.message
        if not message.value:
            return  # a case forgotten
        case = parsed(message, self._parse, self._bytes_max)
        if isinstance(case, Fault):
            await self._dead_letter(message, case.reason, case.detail)
            return
        problem = case_problem(message)
        if problem is not None:
            await self._dead_letter(message, DeadLetterReason.SCHEMA, problem)
            return
        if not worth_telling(case):
            return
        why = await self._webhook.deliver(case, message.value)
        self._cases.webhook.labels("taken" if why is None else "undelivered").inc()
        if why is not None:
            await self._dead_letter(message, DeadLetterReason.UNDELIVERED, why)


def _source(message: Any) -> Source:
    return Source(message.partition, message.offset, timestamp_ms(message), wall_ms())
