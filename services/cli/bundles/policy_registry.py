"""`assay policy publish`, `promote`, `rollback`, `shadow`, `history`: policies of the registry, and which of them decides."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.bundles.allowing import RequestOption, allowed
from services.cli.bundles.bundle import tell
from services.cli.bundles.steps import Group, Json, Offline, Wait, Why, change, order, parsed, signers, step, usable
from services.cli.output import notes, print_json, results, shown
from services.cli.products import OfProduct, Product, policy_settings

if TYPE_CHECKING:
    from models.bundle.registry import Registry

Published = Annotated[str, typer.Argument(metavar="POLICY", help="NAME/VERSION: fraud/3.")]
PolicyLine = Annotated[
    str | None, typer.Argument(help="Policy line. Default: ASSAY_POLICY_LINE, or ASSAY_CREDIT_POLICY_LINE.")
]

PUBLISH_EXAMPLE = "Example: ASSAY_REGISTRY_URL=s3://bank/models assay policy publish fraud-3.policy"
PROMOTE_EXAMPLE = "Example: assay policy promote fraud/3 --why 'new rule on devices'"
ROLLBACK_EXAMPLE = "Example: assay policy rollback --why 'declines doubled'"
SHADOW_EXAMPLE = "Example: assay policy shadow fraud/4; assay policy shadow --off"
HISTORY_EXAMPLE = "Example: assay policy history --json"


@contextmanager
def in_our_words() -> Iterator[None]:
    """The registry's sentences name the commands for bundles."""
    from models.bundle.files import BundleError

    try:
        yield
    except BundleError as error:
        words = str(error).replace("assay registry", "assay policy").replace("No bundle of", "No policy of")
        raise BundleError(
            words.replace("was champion", "decided").replace("is champion", "decides"), error.reason
        ) from None


@in_our_words()
def publish(
    policy: Annotated[Path, typer.Argument(metavar="POLICY", help="File of `assay policy sign`.")],
    why: Why = None,
    product: OfProduct = Product.FRAUD,
    json: Json = False,
) -> None:
    """Verify a signed policy as a scorer would, and add it. Versions of a line only grow; the same again changes nothing."""
    from models.bundle.files import BundleError
    from models.policy.signed import read_policy
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_bundles import trust_of
    from services.trusted_policies import published_policy

    settings = load(BundleSettings)
    signed = read_policy(policy, trust_of(settings))
    registry, judges = _registry(product), policy_settings(product).judges
    if signed.policy.judges != judges:
        other = Product.CREDIT if product is Product.FRAUD else Product.FRAUD
        raise BundleError(f"{signed.ref} judges {signed.policy.judges}: publish it with --product {other}.", "features")

    counts = usable(lambda published: published_policy(registry, published, settings), "it cannot decide")
    added = registry.publish(policy.read_bytes(), step("publish", signed.ref, None, why), counts)
    tell({"policy": str(signed.ref), "digest": signed.ref.digest, "new": added is not None}, json)


@in_our_words()
def promote(
    policy: Published,
    why: Why = None,
    wait: Wait = 60.0,
    offline: Offline = False,
    group: Group = None,
    product: OfProduct = Product.FRAUD,
    request: RequestOption = None,
    json: Json = False,
) -> None:
    """Ask the running scorers to decide by a published policy, and record it once every partition does.

    Exits with 1 where one refuses or does not answer: then it is withdrawn, and nothing has changed.
    """
    from models.bundle.registry import holder, promotion

    registry = _registry(product)
    wanted, history = registry.published(*parsed(policy)), registry.history()
    if promotion(history, step("promote", wanted, "champion", why)) is None:
        notes.print(f"{wanted} decides already; the command is sent to the scorers again.")
    before = holder(history, wanted.name, "champion")
    said = {
        "action": "promote",
        "line": wanted.name,
        "channel": "champion",
        "bundle": wanted,
        "before": before,
        "why": why,
    }
    by = allowed(policy_settings(product).signed_as, request, len(history), **said)
    promoted = step("promote", wanted, "champion", why, by.signed)
    change(
        order("policy", wanted, why, by, before),
        lambda: registry.promote(promoted),
        wait,
        offline,
        group,
        json,
        by,
        product,
    )


@in_our_words()
def rollback(
    line: PolicyLine = None,
    why: Why = None,
    wait: Wait = 60.0,
    offline: Offline = False,
    group: Group = None,
    product: OfProduct = Product.FRAUD,
    request: RequestOption = None,
    json: Json = False,
) -> None:
    """Go back to the policy that decided before, and record it once every partition has.

    Where none did, it is the one of ASSAY_POLICY (ASSAY_CREDIT_POLICY) again, and without one thresholds alone decide.
    """
    from models.bundle.registry import holder, previous
    from services.errors import AssayError

    registry, name = _registry(product), line or _line(product)
    history = registry.history()
    now, target = holder(history, name, "champion"), previous(history, name)
    if now is None:
        raise AssayError(f"No policy of {name} decides by the registry, so there is nothing to take back.")
    said = {"action": "rollback" if target else "withdraw", "line": name, "channel": "champion"}
    by = allowed(policy_settings(product).signed_as, request, len(history), **said, bundle=target, before=now, why=why)

    def record() -> None:
        if target is None:
            registry.withdraw(name, lambda held: step("withdraw", held, "champion", why, by.signed), "champion")
        else:
            registry.rollback(name, lambda before: step("rollback", before, "champion", why, by.signed))

    change(
        order("policy", target, why, by, now, replaces=now, rollback=True),
        record,
        wait,
        offline,
        group,
        json,
        by,
        product,
    )


@in_our_words()
def shadow(
    policy: Annotated[str | None, typer.Argument(help="NAME/VERSION: fraud/4.")] = None,
    off: Annotated[bool, typer.Option("--off", help="End it.")] = False,
    why: Why = None,
    wait: Wait = 60.0,
    offline: Offline = False,
    group: Group = None,
    product: OfProduct = Product.FRAUD,
    request: RequestOption = None,
    json: Json = False,
) -> None:
    """Evaluate a published policy beside the one that decides, without effect: what it says is on the decisions."""
    from models.bundle.registry import holder
    from services.errors import AssayError

    if off == (policy is not None):
        raise AssayError("Name the policy to evaluate in shadow, such as fraud/4, or end it with --off.")
    registry = _registry(product)
    history = registry.history()
    name = _line(product) if policy is None else parsed(policy)[0]
    wanted, before = registry.published(*parsed(policy)) if policy else None, holder(history, name, "challenger")
    said = {"line": name, "channel": "challenger", "bundle": wanted, "before": before, "why": why}
    by = allowed(
        policy_settings(product).signed_as, request, len(history), action="promote" if wanted else "withdraw", **said
    )
    asked = order("shadow_policy", wanted, why, by, before)

    def record() -> object:
        if wanted is not None:
            return registry.promote(step("promote", wanted, "challenger", why, by.signed))
        return registry.withdraw(name, lambda now: step("withdraw", now, "challenger", why, by.signed))

    change(asked, record, wait, offline, group, json, by, product)


def history(line: PolicyLine = None, product: OfProduct = Product.FRAUD, json: Json = False) -> None:
    """Show every step, which policy decides, and which is in shadow."""
    from datetime import UTC, datetime

    from rich.table import Table

    registry, name = _registry(product), line or _line(product)
    steps = [event for event in registry.history() if event.bundle.name == name]
    deciding, beside = registry.holds(name, "champion"), registry.holds(name, "challenger")
    if json:
        now = {"deciding": deciding and str(deciding), "shadow": beside and str(beside)}
        print_json({**now, "steps": [event.model_dump(exclude_none=True) for event in steps]})
        return
    table = Table("when, UTC", "step", "policy", "digest", "by", "signed by", "why")
    for event in steps:
        when = datetime.fromtimestamp(event.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        what = f"{event.action} (shadow)" if event.channel == "challenger" else event.action
        cells = (when, what, str(event.bundle), event.bundle.digest[:12], event.by, signers(event), event.why or "")
        table.add_row(*map(shown, cells))
    results.print(table)
    results.print(f"deciding: {deciding or 'none'}, in shadow: {beside or 'none'}")


def _registry(product: Product) -> "Registry":
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_policies import policy_registry_of

    return policy_registry_of(load(BundleSettings), policy_settings(product))


def _line(product: Product) -> str:
    from services.settings.loading import load

    return load(policy_settings(product)).policy_line
