"""python -m services.console: wiring only. Settings come from the environment (docs/settings.md)."""

import asyncio

import structlog
from aiokafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from models.bundle.files import BundleError
from models.bundle.persons import StepRule
from schemas.approval import Subject
from services.clock import wall_ms
from services.commanding import change
from services.console.app import application
from services.console.audit import AuditTrail, Doing, newest
from services.console.bulk import Bulk
from services.console.follower import ModelFollower
from services.console.model import ReadModel
from services.console.oidc import Provider
from services.console.overview import Overview
from services.console.pages import environment
from services.console.payments import PaymentFollower
from services.console.promotions import Promotions
from services.console.queries import Queries
from services.console.routes import TABLE, Desk
from services.console.sending import Sender
from services.console.server import check, serve
from services.console.sessions import Sessions
from services.console.users import UserFileError, Users
from services.console.web import Gate
from services.console.writer import ActionWriter, UnwrittenError
from services.engine.process import main, stop_on_signals
from services.errors import AssayError, start_sentence
from services.observability import logs
from services.observability.console_metrics import ConsoleMetrics
from services.observability.metrics import Metrics
from services.privacy.subject_keys import subject_keys
from services.settings.audit import AuditSettings, audit_key
from services.settings.bundles import BundleSettings
from services.settings.console import ConsoleSettings
from services.settings.credit import CreditSettings
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.persons import PersonsSettings
from services.settings.policy import CreditPolicySettings, PolicySettings
from services.settings.privacy import SubjectSettings
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings
from services.trusted_persons import needs_second, step_rule
from services.web.server import listen

log = structlog.get_logger(__name__)

WATCH_S = 1.0


async def start(*, rebuild: bool = False) -> None:
    """Read settings, serve pages until asked to stop. Raises AssayError."""
    kafka, topics, runtime = load(KafkaSettings), load(TopicSettings), load(RuntimeSettings)
    settings = load(ConsoleSettings)
    metrics = Metrics()
    logs.configure(runtime, metrics)
    shown = ConsoleMetrics(metrics.registry)
    check(settings)
    provider, users = Provider(settings) if settings.oidc_issuer else None, _users(settings)
    model = ReadModel(settings.database_url.get_secret_value() if settings.database_url else None)
    queries = Queries(model)
    stop = stop_on_signals()
    follower = ModelFollower(kafka, topics, model, shown)
    payments = PaymentFollower(kafka, topics, settings.payments_max)
    writer = ActionWriter(kafka, runtime, topics, follower, queries, shown, settings.wait_s)
    trail = AuditTrail(writer.note, audit_key(load(AuditSettings)), None)
    gate = Gate(settings, users, shown, Sessions(settings.session_h_max * 3600, settings.session_idle_min * 60), trail)
    bulk = Bulk(model, queries, writer, settings.undo_s)
    overview = Overview(queries, settings, load(BundleSettings), load(PolicySettings), load(ScorerSettings))
    rule = _rule()
    request_h = load(PersonsSettings).request_h if rule is not None or needs_second("list") else None
    keys = subject_keys(load(SubjectSettings))
    desk = Desk(settings, queries, writer, users, environment(), bulk, overview, keys, request_h, payments, rule)
    if (promotions := _promotions(runtime)) is not None:
        desk.promotions, desk.sender = promotions, Sender(promotions, change, writer.request, trail.noted)
    listening = listen(settings, "ASSAY_CONSOLE_", backlog=256)
    try:
        trail.last = await newest(kafka, topics)
        await writer.start()
        await trail.noted(Doing("", "", "start"), "done")
        await follower.start(rebuild=rebuild)
        await bulk.start()
        await payments.start()
        watching = asyncio.create_task(_watch(follower, desk, gate, shown, stop))
        host, port = listening.getsockname()[:2]
        log.info("console.started", http=f"{host}:{port}", at_ms=wall_ms())
        app = application(desk, gate, TABLE, metrics.registry, lambda: follower.ready, provider)
        await serve(app, listening, settings, shown, stop)
        watching.cancel()
        await _finish(desk)
    except SQLAlchemyError as error:
        raise AssayError(
            f"The console's database failed ({type(error).__name__}): check that it can be reached and written."
        ) from None
    except KafkaError as error:
        raise AssayError(start_sentence(error, kafka.bootstrap)) from error
    except UnwrittenError as error:
        raise AssayError(
            f"The audit trail cannot be written ({error}): check the rights (`assay acls console`)."
        ) from None
    finally:
        listening.close()
        await follower.stop()
        await payments.stop()
        await writer.stop()
    if why := follower.ended:
        raise AssayError(why)
    log.info("process.stopped")


async def _finish(desk: Desk) -> None:
    """What is on its way is written, or taken back. Raises AssayError where actions no longer were."""
    if desk.sender is not None:
        await desk.sender.stop()
    if why := desk.bulk.ended:
        raise AssayError(why)
    await desk.bulk.finish()


def _users(settings: ConsoleSettings) -> Users:
    try:
        return Users(settings.users_file, missing_ok=settings.oidc_issuer is not None)
    except UserFileError as error:
        raise AssayError(f"ASSAY_CONSOLE_USERS_FILE: {error}") from None


def _rule() -> StepRule | None:
    try:
        return step_rule()
    except BundleError as error:
        raise AssayError(str(error)) from None


def _promotions(runtime: RuntimeSettings) -> Promotions | None:
    """None where there is no registry. Raises SettingsError."""
    bundles = load(BundleSettings)
    if bundles.registry_url is None:
        return None
    groups: dict[Subject, str] = {"bundle": runtime.group, "policy": runtime.group}
    credit = load(CreditSettings)
    groups |= {"credit_bundle": credit.group, "credit_policy": credit.group}
    request_h = load(PersonsSettings).request_h
    return Promotions(
        bundles, load(PolicySettings), load(CreditPolicySettings), credit, groups, request_h, needs_second
    )


def _take_persons(desk: Desk) -> None:
    """Who signs is as the file has it now; one that cannot be read leaves those of before."""
    try:
        desk.rule = _rule()
    except AssayError as error:
        log.error("console.persons_unread", why=str(error))


async def _watch(follower: ModelFollower, desk: Desk, gate: Gate, metrics: ConsoleMetrics, stop: asyncio.Event) -> None:
    """Once a second: show what is, take over who signs, end with what we follow."""
    while not stop.is_set():
        await asyncio.sleep(WATCH_S)
        metrics.sessions.set(len(gate.sessions))
        _take_persons(desk)
        if (why := follower.ended or desk.bulk.ended) is not None:
            log.error("process.background_ended", why=why)
            stop.set()


if __name__ == "__main__":
    main(start)
