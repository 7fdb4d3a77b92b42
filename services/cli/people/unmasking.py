"""What commands write down before they show whole ids or open what is sealed: who, why, what. On `audit`."""

import asyncio
import os
import socket
import sys
from typing import Annotated

import typer

from services.cli.output import notes
from services.errors import AssayError

Why = Annotated[
    str | None,
    typer.Option(
        "--why", help="Why whole ids or what is sealed must be seen: kept in the audit trail. Default: asked."
    ),
]
REASON_CHARS_MAX = 500


def audited(what: str, why: str | None, *, unmasked: bool = False, opened: bool = False) -> None:
    """Note that somebody is about to see what `what` shows; nothing where neither is asked for.

    what: the command, without an id that is masked. Raises AssayError where no reason is given or it cannot be written: then
    nothing is shown.
    """
    options = [name for name, given in (("--unmasked", unmasked), ("--open", opened)) if given]
    if options:
        reason = _reason(why, " and ".join(options))
        asyncio.run(_note(f"{what} {' '.join(options)}", reason))
    elif why is not None:
        raise AssayError("--why is for --unmasked and --open, which show whole ids and what is sealed: leave it out.")


def _reason(why: str | None, options: str) -> str:
    """The words, asked for at a terminal. Raises AssayError."""
    from schemas.audit import REASON_CHARS_MIN
    from schemas.privacy import card_numbers_in

    if why is None and sys.stdin.isatty():
        why = str(typer.prompt("Why? (kept in the audit trail)", err=True))
    words = (why or "").strip()
    if len(words) < REASON_CHARS_MIN:
        raise AssayError(f"{options} shows what is hidden: say why with --why 'words'. It is kept in the audit trail.")
    if len(words) > REASON_CHARS_MAX:
        raise AssayError(f"--why has {len(words):,} characters: {REASON_CHARS_MAX} are kept, say it shorter.")
    if card_numbers_in(words):
        raise AssayError("--why holds a card number: leave it out.")
    return words


async def _note(what: str, reason: str) -> None:
    from aiokafka.errors import KafkaError

    from schemas.topics import AUDIT
    from services.cli.bundles.steps import who
    from services.cli.sending import sending
    from services.console.audit import AuditTrail, Doing, newest
    from services.settings.audit import AuditSettings, audit_key
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load

    key = audit_key(load(AuditSettings))
    host = f"host={socket.gethostname()}; user id={os.getuid()}"
    try:
        last = await newest(load(KafkaSettings), load(TopicSettings))
        async with sending(AUDIT) as write:

            async def send(name: bytes, value: bytes) -> int:
                return int((await (await write(name, value, 0))).offset)

            await AuditTrail(send, key, last).asked(Doing(who(), "", "unmask", what, host, reason))
    except (KafkaError, AssayError) as error:
        why = type(error).__name__ if isinstance(error, KafkaError) else str(error)
        raise AssayError(
            f"Nothing is shown, since the audit trail cannot be written: {why.rstrip('.')}. `assay acls unmasking` has the "
            "rights."
        ) from None
    notes.print("Noted in the audit trail.")
