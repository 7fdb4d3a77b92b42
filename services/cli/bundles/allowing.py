"""Whether a step may be taken: by whose signatures, and with whose approval."""

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.output import notes, shown

if TYPE_CHECKING:
    from models.bundle.keys import PrivateKey
    from schemas.approval import ApprovalRecord, Subject
    from schemas.person import PersonSignature, SignedStep
    from services.approvals import Request

RequestOption = Annotated[
    str | None, typer.Option("--request", help="A request that a second person approved: what it asked for is done.")
]
COMPARED = ("subject", "action", "line", "channel", "bundle", "before")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What allows a step. signed: the statement with its signatures, where any were needed. steps: of the history then."""

    signed: "SignedStep | None"
    steps: int
    request: "Request | None" = None


def allowed(subject: "Subject", request: str | None, steps: int, **said: Any) -> Allowed:
    """What allows the step that `said` says. Writes a request and ends with 1 where a second person is needed first.

    Raises AssayError, BundleError where it is not allowed.
    """
    from services.clock import wall_ms
    from services.errors import AssayError
    from services.settings.loading import load
    from services.settings.persons import PersonsSettings
    from services.trusted_persons import needs_second, step_rule

    rule, second = step_rule(), needs_second(subject)
    if rule is None and not second:
        if request is not None:
            raise AssayError(
                "No change of this kind waits for a second person (ASSAY_PERSONS_FOUR_EYES): leave --request out."
            )
        return Allowed(None, steps)
    if request is not None:
        found = _approved(request, {**said, "subject": subject})
        signed = found.signed(rule)
        if rule is not None:
            rule.statement(signed, wall_ms())
        return Allowed(signed, found.statement.registry_steps, found)
    made, signature = asked_for(subject, load(PersonsSettings).request_h, registry_steps=steps, **said)
    if second:
        asyncio.run(send(made))
        say_waits(made.request_id, f"then the same command with --request {made.request_id} does it")
        raise typer.Exit(1)
    from schemas.person import SignedStep

    signed = SignedStep(statement=made.statement or "", signatures=(signature,) if signature else ())
    if rule is not None:
        rule.statement(signed, wall_ms())
    return Allowed(signed, steps)


def asked_for(
    subject: "Subject", keep_h: float, entries: Any = (), **said: Any
) -> "tuple[ApprovalRecord, PersonSignature | None]":
    """A request of who runs this process, signed where they have a key. Raises AssayError."""
    from services.approvals import new_request

    by, key = person()
    said = {**said, "why": said.get("why") or ""}
    made = new_request(by, subject, keep_h, entries, **said)
    signature = signed_by(key, made.statement or "", by)
    return made.model_copy(update={"signature": signature}), signature


def person() -> "tuple[str, PrivateKey | None]":
    """Who runs this process, and their key where one is set. Raises AssayError, BundleError."""
    from models.bundle.keys import fingerprint, private_key
    from models.bundle.persons import read_persons
    from services.cli.bundles.bundle import PASSWORD
    from services.cli.bundles.steps import who
    from services.clock import wall_ms
    from services.errors import AssayError
    from services.settings.loading import load
    from services.settings.persons import PersonsSettings

    settings = load(PersonsSettings)
    if settings.key_file is None:
        return who(), None
    if settings.file is None:
        raise AssayError("ASSAY_PERSONS_KEY_FILE needs ASSAY_PERSONS_FILE, which says whose key it is.")
    key = private_key(settings.key_file, os.environ.get(PASSWORD))
    known = read_persons(settings.file).get(fingerprint(key.public_key()))
    if known is None:
        raise AssayError(
            f"{settings.file} has no person with the key of {settings.key_file}: add them, or take another key."
        )
    if known.has_left(wall_ms()):
        raise AssayError(
            f"{settings.file} says that {known.person.name} left ({known.person.left}): their signature no longer counts."
        )
    return known.person.name, key


def signed_by(key: "PrivateKey | None", statement: str, by: str) -> "PersonSignature | None":
    """A signature over the statement, where there is a key."""
    from models.bundle.persons import sign_step

    return None if key is None else sign_step(statement, key, by)


async def send(record: "ApprovalRecord") -> None:
    """Write a record to `approvals`. Raises AssayError."""
    from schemas import codec
    from schemas.topics import APPROVALS
    from services.cli.sending import sending

    async with sending(APPROVALS) as write:
        await write(record.request_id.encode(), codec.write(record))


async def all_requests() -> "dict[str, Request]":
    """What the topic holds. Raises AssayError."""
    from aiokafka.errors import KafkaError

    from services.approvals import read_requests
    from services.errors import AssayError, start_sentence
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load

    kafka = load(KafkaSettings)
    try:
        return await read_requests(kafka, load(TopicSettings))
    except KafkaError as error:
        raise AssayError(start_sentence(error, kafka.bootstrap)) from error


def say_waits(request_id: str, then: str) -> None:
    """That nothing has changed yet, and what is next."""
    notes.print(
        f"Nothing has changed yet: request {request_id} waits for a second person (`assay approvals approve {request_id}`); "
        f"{then}. `assay approvals reject {request_id}` takes it back.",
        markup=False,
    )


def finish(done: Allowed) -> None:
    """That the request was carried out."""
    if done.request is None:
        return
    from services.approvals import answer

    asyncio.run(send(answer(done.request, "done", person()[0])))


def _approved(request_id: str, said: dict[str, Any]) -> "Request":
    from services.clock import wall_ms
    from services.errors import AssayError

    request = asyncio.run(all_requests()).get(request_id)
    if request is None:
        raise AssayError(f"There is no request {shown(request_id)}: `assay approvals list` has them.")
    state = request.state(wall_ms())
    if state != "approved":
        raise AssayError(f"Request {request_id} is {state}, not approved: `assay approvals list` says who has to act.")
    if different := [name for name in COMPARED if getattr(request.statement, name) != said[name]]:
        raise AssayError(f"Request {request_id} asked for another {different[0]} ({request.words()}): ask again.")
    return request
