"""`assay registry`: publish bundles, say which of them score, and where a score comes from."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.bundles.allowing import RequestOption, allowed
from services.cli.bundles.bundle import Accepted, faults_of, tell
from services.cli.bundles.steps import (
    Group,
    Json,
    Offline,
    Wait,
    Why,
    change,
    default_group,
    order,
    parsed,
    signers,
    step,
    usable,
)
from services.cli.output import notes, print_json, results, shown
from services.cli.products import BundlesOf, Product, scoring_settings

if TYPE_CHECKING:
    from models.bundle.load import Bundle
    from models.bundle.registry import Registry
    from schemas.control import BundleRef, RegistryChannel
    from schemas.registry import RegistryEvent

app = typer.Typer(
    help="Published bundles and their channels: champion decides, challenger scores unseen (ASSAY_REGISTRY_URL).",
    no_args_is_help=True,
)

Model = Annotated[str, typer.Argument(help="NAME/VERSION, as scores have it: fraud/3, or fraud/3@cpu.")]
Line = Annotated[
    str | None, typer.Argument(help="Model line. Default: ASSAY_REGISTRY_LINE, or ASSAY_CREDIT_REGISTRY_LINE.")
]


@app.command(epilog="Example: ASSAY_REGISTRY_URL=s3://bank/models assay registry publish bundles/fraud")
def publish(
    bundle: Annotated[Path, typer.Argument(help="Bundle: a directory or a container.")],
    sealed: Annotated[bool, typer.Option("--sealed", help="Seal it with ASSAY_BUNDLE_SEAL_KEY and its like.")] = False,
    accept: Accepted = None,
    why: Why = None,
    product: BundlesOf = Product.FRAUD,
    json: Json = False,
) -> None:
    """Verify a bundle as a scorer would, and add it. Versions of a line only grow; the same bundle again changes nothing."""
    from models.bundle import container
    from models.bundle.load import open_bundle, parse_bundle, read_files
    from models.bundle.verdict import check_release
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_bundles import find_seal_key, registry_of, trust_of

    settings = load(BundleSettings)
    trust = trust_of(settings)
    files = read_files(bundle, trust)
    checked = parse_bundle(files, f"Bundle {bundle}", trust)
    signers = checked.manifest.accepted if checked.signed_by else None  # an unsigned manifest can say anything
    _check_product(checked, product)
    accepted = check_release(checked, (*faults_of(accept), *(signers or ()))) or None
    content = container.pack(files)
    if sealed:
        content = container.seal(content, find_seal_key(settings))
    ref = checked.ref
    registry = registry_of(settings, scoring_settings(product))

    counts = usable(
        lambda published: open_bundle(registry.content(published), str(published), trust), "no one can score with it"
    )
    event = step("publish", ref, None, why).model_copy(update={"accepted": accepted})
    added = registry.publish(content, event, counts)
    tell({"bundle": str(ref), "digest": ref.digest, "new": added is not None}, json)


@app.command(epilog="Example: assay registry promote fraud/3 --why 'better recall on scenario 2'")
def promote(
    model: Model,
    challenger: Annotated[bool, typer.Option("--challenger", help="To score unseen beside the champion.")] = False,
    rebuild_state: Annotated[
        bool,
        typer.Option(
            "--rebuild-state",
            help="It has other features: stop each partition until its state is rebuilt from the log.",
        ),
    ] = False,
    refold: Annotated[bool, typer.Option("--refold", hidden=True)] = False,
    why: Why = None,
    wait: Wait = 60.0,
    offline: Offline = False,
    group: Group = None,
    request: RequestOption = None,
    product: BundlesOf = Product.FRAUD,
    json: Json = False,
) -> None:
    """Ask the running scorers to take a published bundle for a channel, and record it once every partition has.

    Exits with 1 where one refuses or does not answer: then it is withdrawn, and nothing has changed.
    """
    from models.bundle.registry import holder, promotion

    channel: RegistryChannel = "challenger" if challenger else "champion"
    if refold:
        notes.print("--refold is the old name of --rebuild-state, and goes with 0.3.")
    registry = _registry(product)
    wanted, history = registry.published(*parsed(model)), registry.history()
    if promotion(history, step("promote", wanted, channel, why)) is None:
        notes.print(f"{wanted} is {channel} already; the command is sent to the scorers again.")
    before = holder(history, wanted.name, channel)
    said = {
        "action": "promote",
        "line": wanted.name,
        "channel": channel,
        "bundle": wanted,
        "before": before,
        "why": why,
    }
    by = allowed(scoring_settings(product).signed_as, request, len(history), **said)
    asked = order(channel, wanted, why, by, before, refold=rebuild_state or refold)
    promoted = step("promote", wanted, channel, why, by.signed)
    change(asked, lambda: registry.promote(promoted), wait, offline, group, json, by, product)


@app.command(epilog="Example: assay registry rollback fraud --why 'alerts doubled'")
def rollback(
    line: Line = None,
    why: Why = None,
    wait: Wait = 60.0,
    offline: Offline = False,
    group: Group = None,
    request: RequestOption = None,
    product: BundlesOf = Product.FRAUD,
    json: Json = False,
) -> None:
    """Go back to the previous champion, whatever its features, and record it once every partition has.

    A promotion that was commanded and never recorded, since the command line died, is what is withdrawn.
    """
    from models.bundle.registry import holder, rolled_back_to

    registry, name = _registry(product), line or _line(product)
    history = registry.history()
    now, replaced = holder(history, name, "champion"), None if offline else _unrecorded(history, name, group, product)
    record: Callable[[], object]
    if replaced is not None and now is not None:
        notes.print(f"{replaced} was commanded and never recorded: back to {now}, which is champion.")
        target, record = now, lambda: None
    else:
        target, replaced = rolled_back_to(history, name), now
        record = lambda: registry.rollback(name, lambda before: step("rollback", before, "champion", why, by.signed))  # noqa: E731
    said = {"action": "rollback", "line": name, "channel": "champion", "bundle": target, "before": now, "why": why}
    by = allowed(scoring_settings(product).signed_as, request, len(history), **said)
    asked = order("champion", target, why, by, now, replaces=replaced, rollback=True, refold=True)
    change(asked, record, wait, offline, group, json, by, product)


@app.command(epilog="Example: assay registry withdraw fraud")
def withdraw(
    line: Line = None,
    why: Why = None,
    wait: Wait = 60.0,
    offline: Offline = False,
    group: Group = None,
    request: RequestOption = None,
    product: BundlesOf = Product.FRAUD,
    json: Json = False,
) -> None:
    """Remove the challenger: it stops scoring."""

    registry, name = _registry(product), line or _line(product)
    before, steps = registry.holds(name, "challenger"), len(registry.history())
    said = {"action": "withdraw", "line": name, "channel": "challenger", "bundle": None, "before": before, "why": why}
    by = allowed(scoring_settings(product).signed_as, request, steps, **said)
    change(
        order("challenger", None, why, by, before),
        lambda: registry.withdraw(name, lambda now: step("withdraw", now, "challenger", why, by.signed)),
        wait,
        offline,
        group,
        json,
        by,
        product,
    )


@app.command(epilog="Example: assay registry history fraud --json")
def history(line: Line = None, product: BundlesOf = Product.FRAUD, json: Json = False) -> None:
    """Show every step, and what the channels hold now."""
    from datetime import UTC, datetime

    from rich.table import Table

    registry, name = _registry(product), line or _line(product)
    steps = [event for event in registry.history() if event.bundle.name == name]
    champion, challenger = registry.holds(name, "champion"), registry.holds(name, "challenger")
    if json:
        now = {"champion": champion and str(champion), "challenger": challenger and str(challenger)}
        print_json({**now, "steps": [event.model_dump(exclude_none=True) for event in steps]})
        return
    table = Table("when, UTC", "step", "bundle", "channel", "by", "signed by", "why")
    for event in steps:
        when = datetime.fromtimestamp(event.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        cells = (when, event.action, str(event.bundle), event.channel or "", event.by, signers(event), event.why or "")
        table.add_row(*map(shown, cells))
    results.print(table)
    results.print(f"champion: {champion or 'none'}, challenger: {challenger or 'none'}")


@app.command(epilog="Example: assay registry lineage fraud/3@cpu --json")
def lineage(model: Model, product: BundlesOf = Product.FRAUD, json: Json = False) -> None:
    """Follow a score back: from its `model` to the bundle, who signed it, its data's digest, its code and its training run."""
    from models.bundle.inspect import origin
    from models.bundle.load import open_bundle
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_bundles import trust_of

    registry = _registry(product)
    wanted = registry.published(*parsed(model))
    bundle = open_bundle(registry.content(wanted), f"Bundle {wanted} of the registry", trust_of(load(BundleSettings)))
    steps = [event.model_dump(exclude_none=True) for event in registry.history() if event.bundle == wanted]
    found: dict[str, Any] = {
        "model": model,
        "bundle": str(wanted),
        "digest": wanted.digest,
        "signed_by": bundle.signed_by,
    }
    tell({**found, "origin": origin(bundle), "steps": steps}, json)


@app.command(epilog="Example: assay registry fetch fraud/3 .assay/bundles/fraud-3")
def fetch(
    model: Model,
    out: Annotated[Path, typer.Argument(help="Bundle directory; a bundle there is replaced.")],
    product: BundlesOf = Product.FRAUD,
    json: Json = False,
) -> None:
    """Write a published bundle to a directory, verified: for `assay replay` and `assay batch`."""
    from models.bundle.load import parse_bundle
    from models.bundle.pack import write_files
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_bundles import trust_of

    registry, trust = _registry(product), trust_of(load(BundleSettings))
    wanted = registry.published(*parsed(model))
    files = trust.opened(registry.content(wanted))
    parse_bundle(files, f"Bundle {wanted} of the registry", trust)
    write_files(out, files)
    tell({"bundle": str(wanted), "digest": wanted.digest, "directory": str(out)}, json)


@app.command(epilog="Example: assay registry status --json")
def status(group: Group = None, product: BundlesOf = Product.FRAUD, json: Json = False) -> None:
    """Show what each partition of the running scorers has active, as they acknowledged it."""
    from services.cli.bundles.commanding import PRODUCTS, show_answers
    from services.commanding import answers

    found = asyncio.run(answers(group or default_group(product), PRODUCTS[product]))
    if json:
        print_json([answer.model_dump(exclude_none=True) for answer in found])
    else:
        show_answers(found)


def _unrecorded(history: "list[RegistryEvent]", name: str, group: str | None, product: Product) -> "BundleRef | None":
    """Commands to the scorers since the registry's last step about the champion, that were never recorded in it."""
    from models.bundle.registry import holder, stepped
    from services.cli.bundles.commanding import PRODUCTS
    from services.commanding import last_command

    last = asyncio.run(last_command(group or default_group(product), "champion", PRODUCTS[product]))
    if last is None or last.bundle is None or last.registry_steps is None or last.bundle.name != name:
        return None
    recorded = stepped(history, name, "champion", last.registry_steps)
    return None if recorded or last.bundle == holder(history, name, "champion") else last.bundle


def _registry(product: Product) -> "Registry":
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_bundles import registry_of

    return registry_of(load(BundleSettings), scoring_settings(product))


def _line(product: Product) -> str:
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_bundles import line_of

    return line_of(load(scoring_settings(product)), load(BundleSettings))


def _check_product(bundle: "Bundle", product: Product) -> None:
    """A bundle lies where its own service looks. Raises BundleError."""
    from models.bundle.files import BundleError

    found = bundle.manifest.product
    if found != product:
        raise BundleError(f"{bundle.ref} is for {found}: publish it with --product {found}.", "features")
