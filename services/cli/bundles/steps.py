"""What the commands of both registries share: options, commands to the scorers, steps of a history."""

import asyncio
import getpass
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.bundles.bundle import tell
from services.cli.output import notes, print_json, results
from services.cli.products import Product

if TYPE_CHECKING:
    from schemas.control import BundleRef, Channel, RegistryChannel
    from schemas.person import SignedStep
    from schemas.registry import RegistryEvent
    from services.cli.bundles.allowing import Allowed
    from services.commanding import ControlCommand

Why = Annotated[str | None, typer.Option(help="Your reason, for the history.")]
Wait = Annotated[
    float,
    typer.Option(
        min=0.0, help="Seconds to wait until every partition has answered; 0 asks no one, and cannot be refused."
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Change the registry only; no command to running scorers.")]
Group = Annotated[
    str | None, typer.Option(help="Consumer group of the scorers. Default: ASSAY_GROUP, or ASSAY_CREDIT_GROUP.")
]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]


def change(
    asked: "ControlCommand",
    record: Callable[[], object],
    wait_s: float,
    offline: bool,
    group: str | None,
    json: bool,
    by: "Allowed",
    product: Product = Product.FRAUD,
) -> None:
    """Ask the scorers, record what they agree to, and say what came of it. Raises Exit(1) where it was taken back.

    by: what allows it, and whose request is then done.
    """
    from services.cli.bundles.allowing import finish
    from services.cli.bundles.commanding import PRODUCTS, show_answers
    from services.commanding import change as command

    bundle = str(asked.bundle) if asked.bundle else None
    if offline:
        record()
        finish(by)
        tell({"channel": asked.channel, "bundle": bundle}, json)
        return
    done = asyncio.run(command(asked, group or default_group(product), who(), wait_s, record, PRODUCTS[product]))
    refused = len(done.refused)
    if json:
        partitions = {"partitions": done.partitions, "answered": len(done.answers), "refused": refused}
        why = done.refused[0].why if refused else None
        found = {"channel": asked.channel, "bundle": bundle, "command_id": asked.command_id, "recorded": done.recorded}
        print_json({**found, **partitions, "why": why})
    else:
        show_answers(done.answers)
        results.print(f"{len(done.answers) - refused} of {done.partitions} partitions have it active.")
    if not done.recorded:
        silent = "" if done.answers else " No scorer answered: where none runs, use --offline."
        notes.print(f"It was taken back, and nothing has changed.{silent}")
        raise typer.Exit(1)
    finish(by)


def order(
    channel: "Channel",
    wanted: "BundleRef | None",
    why: str | None,
    by: "Allowed",
    before: "BundleRef | None",
    **more: Any,
) -> "ControlCommand":
    """A command to the scorers. by: what allows it. before: what holds the channel. more: as of a rollback."""
    from services.commanding import ControlCommand

    signed = {"registry_steps": by.steps, "signed": by.signed}
    return ControlCommand(uuid.uuid4().hex, channel, wanted, why=why, before=before, **signed, **more)  # type: ignore[arg-type]


def usable(opened: Callable[["BundleRef"], object], why_not: str) -> Callable[["BundleRef"], bool]:
    """Whether what is published counts, said where it does not: what cannot be opened holds up no later version.

    opened: opens it as a scorer would. Raises UnreachableRegistryError.
    """
    from models.bundle.files import BundleError
    from models.bundle.registry import UnreachableRegistryError

    def counts(published: "BundleRef") -> bool:
        try:
            opened(published)
        except UnreachableRegistryError:
            raise
        except BundleError as error:
            notes.print(f"{published} is left out, since {why_not}: {error}", markup=False)
            return False
        return True

    return counts


def parsed(model: str) -> tuple[str, int]:
    """Name and version. Raises AssayError."""
    from services.errors import AssayError

    name, _, version = model.partition("@")[0].partition("/")
    if not name or not version.isascii() or not version.isdigit():
        raise AssayError(f"{model} is not NAME/VERSION, such as fraud/3.")
    return name, int(version)


def step(
    action: Any,
    bundle: "BundleRef",
    channel: "RegistryChannel | None",
    why: str | None,
    signed: "SignedStep | None" = None,
) -> Any:
    """A step of the history, taken now by the user of this process."""
    from schemas.registry import RegistryEvent
    from services.clock import wall_ms

    return RegistryEvent(
        action=action, bundle=bundle, channel=channel, at_ms=wall_ms(), by=who(), why=why, signed=signed
    )


def default_group(product: Product = Product.FRAUD) -> str:
    """The scorers' consumer group, as the settings have it."""
    from services.settings.loading import load

    if product is Product.CREDIT:
        from services.settings.credit import CreditSettings

        return load(CreditSettings).group
    from services.settings.processing import RuntimeSettings

    return load(RuntimeSettings).group


def who() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a user of its own
        return "unknown"


def signers(event: "RegistryEvent") -> str:
    """Who signed a step, as histories show it: checked where ASSAY_PERSONS_SIGNATURES_MIN asks for it, else as it says."""
    from services.trusted_persons import step_rule

    if event.signed is None:
        return ""
    rule = step_rule()
    if rule is not None:
        return ", ".join(rule.signers(event.signed, event.at_ms))
    names = ", ".join(one.by for one in event.signed.signatures)
    return f"{names} (not checked)" if names else ""
