"""`assay policy`: what decides behind the scores: check it, sign it, look into it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.bundles.bundle import PASSWORD, tell
from services.cli.output import print_json, results, shown
from services.cli.products import OfProduct, Product, policy_settings

if TYPE_CHECKING:
    from models.bundle.load import Bundle
    from models.policy.known import Known
    from schemas.policy import Policy

app = typer.Typer(
    help="Rules, thresholds and actions behind the scores: written in YAML, signed, published (docs/policy.md).",
    no_args_is_help=True,
)

Written = Annotated[Path, typer.Argument(metavar="POLICY", help="Policy in YAML.")]
Beside = Annotated[
    Path | None,
    typer.Option(
        "--bundle", help="Bundle beside which it decides. Default: the one that scores, as the settings have it."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]


@app.command(epilog="Example: assay policy check rules.yaml")
def check(policy: Written, bundle: Beside = None, product: OfProduct = Product.FRAUD, json: Json = False) -> None:
    """Do everything that a scorer does before a policy decides: types, names, lists. An error shows its place."""
    from models.policy.policy_file import compile_policy, load_policy

    written, text = load_policy(policy)
    program = compile_policy(written, known_beside(bundle, product, written), text, str(policy))
    found = {
        "policy": f"{written.name}/{written.version}",
        "digest": program.digest,
        "rules": len(written.rules),
        "on": sum(rule.state == "on" for rule in written.rules),
        "shadow": sum(rule.state == "shadow" for rule in written.rules),
        "lists": list(written.lists),
        "reads": sorted(program.columns),
    }
    tell(found, json)


@app.command(epilog="Example: assay policy columns --json")
def columns(bundle: Beside = None, product: OfProduct = Product.FRAUD, json: Json = False) -> None:
    """Show every name that a condition may read beside a bundle, and its type.

    Of credit, those that the bundle reads; a policy may read more attributes, and says their types under `attributes`.
    """
    from rich.table import Table

    known = known_beside(bundle, product)
    found = [
        {"name": column.name, "of": column.group, "type": column.kind, "may_be_missing": column.nullable}
        for column in known.columns()
    ]
    if json:
        print_json(found)
        return
    table = Table("name", "of", "type", "may be missing")
    for row in found:
        table.add_row(str(row["name"]), str(row["of"]), str(row["type"]), "yes" if row["may_be_missing"] else "")
    results.print(table)


@app.command(epilog="Example: assay policy sign rules.yaml fraud-3.policy --key keys/release.key")
def sign(
    policy: Written,
    out: Annotated[Path, typer.Argument(help="Signed file; written over.")],
    key: Annotated[Path, typer.Option(help="Private key in PEM; ASSAY_KEY_PASSWORD opens it.")],
    bundle: Beside = None,
    product: OfProduct = Product.FRAUD,
    json: Json = False,
) -> None:
    """Check a policy and sign its canonical form: the file that ASSAY_POLICY names."""
    from models.bundle.keys import fingerprint, private_key
    from models.policy.policy_file import compile_policy, load_policy
    from models.policy.signed import signed, write_policy

    written, text = load_policy(policy)
    program = compile_policy(written, known_beside(bundle, product, written), text, str(policy))
    secret = private_key(key, os.environ.get(PASSWORD))
    write_policy(out, signed(written, secret))
    found = {"policy": f"{written.name}/{written.version}", "digest": program.digest, "file": str(out)}
    tell({**found, "signed_by": fingerprint(secret.public_key())}, json)


@app.command(epilog="Example: assay policy show fraud-3.policy")
def show(
    policy: Annotated[
        Path | None, typer.Argument(help="Signed file. Default: the policy that decides, as the settings have it.")
    ] = None,
    product: OfProduct = Product.FRAUD,
    json: Json = False,
) -> None:
    """Show a signed policy: who signed it, its thresholds, actions and rules."""
    from services.errors import AssayError
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_policies import deciding_policy

    settings = load(policy_settings(product))
    found = deciding_policy(settings, load(BundleSettings), policy)
    if found is None:
        name = f"{settings.model_config.get('env_prefix')}POLICY"
        raise AssayError(f"No policy is set: set {name} to a file of `assay policy sign`, or promote one.")
    signed = found.signed
    if json:
        about = {"policy": signed.name, "digest": signed.ref.digest, "signed_by": signed.signed_by, "why": found.why}
        print_json({**about, "content": signed.policy.model_dump(mode="json")})
        return
    results.print(f"{signed.name}, {found.why}; signed by {signed.signed_by or 'no one'}")
    _show(signed.policy)


def _show(policy: "Policy") -> None:
    from rich.table import Table

    if policy.description:
        results.print(policy.description)
    actions, thresholds = policy.actions, policy.thresholds
    for name, action, threshold in (
        ("probability", actions.probability, thresholds.probability),
        ("anomaly percentile", actions.anomaly_percentile, thresholds.anomaly_percentile),
    ):
        results.print(
            f"{name}: {action} from {'the threshold of the bundle' if threshold is None else f'{threshold:g}'} on"
        )
    results.print(f"otherwise: {actions.otherwise}; beyond a caller's deadline: {policy.stand_in}")
    table = Table("rule", "state", "action", "severity", "share", "owner", "in words", "condition")
    for rule in policy.rules:
        cells = (rule.name, rule.state, rule.action, rule.severity, f"{rule.share:g}", rule.owner, rule.words)
        table.add_row(*map(shown, cells), shown(rule.condition))
    results.print(table)


def known_beside(option: Path | None, product: Product = Product.FRAUD, policy: "Policy | None" = None) -> "Known":
    """What a policy beside a bundle may read. policy: which, where it is known."""
    from services.trusted_policies import known_to

    return known_to(bundle_beside(option, product), policy)


def bundle_beside(option: Path | None, product: Product = Product.FRAUD) -> "Bundle":
    """The bundle of an option, or the one that scores."""
    if product is Product.CREDIT:
        from services.settings.credit import CreditSettings
        from services.settings.loading import load
        from services.swapping.loader import load_verified

        return load_verified(load(CreditSettings), option).bundle
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.settings.scorer import ScorerSettings
    from services.trusted_bundles import scoring_bundle

    settings: Any = load(BundleSettings)
    return scoring_bundle(load(ScorerSettings), settings, option).bundle
