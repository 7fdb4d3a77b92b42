"""`assay bundle`: keys, signatures and seals of bundles, and what is in them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.output import notes, print_json, results, shown
from services.errors import AssayError

if TYPE_CHECKING:
    from models.bundle.files import Files
    from models.bundle.keys import SealKey
    from models.bundle.load import Bundle
    from models.bundle.trust import Trust
    from schemas.manifest import Fault

app = typer.Typer(help="Sign, verify, seal and look into bundles.", no_args_is_help=True)

UNTRUSTED = ("signature", "unsigned")
UNTRUSTED_ADVICE = (
    "pin the key of those who sign it with ASSAY_BUNDLE_PUBLIC_KEYS, or run its graph with --run-untrusted"
)

PASSWORD = "ASSAY_KEY_PASSWORD"  # noqa: S105  (the variable's name)

Where = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle: a directory or a container.")]
Accepted = Annotated[
    list[str] | None,
    typer.Option(
        "--accept",
        metavar="FAULT",
        help=(
            "Release it in spite of: chance, constant (no better than these), logistic (far below such a regression), figures, "
            "report (not its own). Recorded."
        ),
    ),
]
RunUntrusted = Annotated[
    bool, typer.Option("--run-untrusted", help="Run its graph although no one trusted here has signed it.")
]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]


@app.command(epilog="Example: assay bundle keygen keys/release")
def keygen(
    path: Annotated[Path, typer.Argument(help="Where to, without the ending.")],
    seal: Annotated[
        bool, typer.Option("--seal", help="A key that seals, PATH.seal, in place of a pair that signs.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a key pair for signatures: PATH.key, readable by you alone, and PATH.pub, to pin with ASSAY_BUNDLE_PUBLIC_KEYS.

    ASSAY_KEY_PASSWORD encrypts PATH.key. Existing files are not overwritten.
    """
    from models.bundle.keys import fingerprint, write_key_pair, write_seal_key

    if seal:
        made = {"file": f"{path}.seal", "key_id": write_seal_key(path).key_id}
    else:
        key = write_key_pair(path, os.environ.get(PASSWORD))
        made = {"file": f"{path}.key", "public": f"{path}.pub", "fingerprint": fingerprint(key)}
    tell(made, json)


@app.command(epilog="Example: assay bundle sign bundles/fraud --key keys/release.key")
def sign(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    key: Annotated[Path | None, typer.Option(help="Private key in PEM; ASSAY_KEY_PASSWORD opens it.")] = None,
    new_key: Annotated[
        Path | None, typer.Option(help="In place of a key: make a pair first, as `assay bundle keygen` does.")
    ] = None,
    accept: Accepted = None,
    json: Json = False,
) -> None:
    """Check a bundle and sign all of it, in OpenSSF model-signing's format: model.sig, replacing one that is there.

    Refuses one that is not better than chance, or whose figures or report are not its own; --accept names what is meant.
    """
    from models.bundle.files import SIGNATURE
    from models.bundle.keys import fingerprint, private_key, write_key_pair
    from models.bundle.load import parse_bundle
    from models.bundle.pack import with_manifest, write_files
    from models.bundle.signing import sign as signature
    from models.bundle.trust import ANYBODY
    from models.bundle.verdict import check_release

    if (key is None) == (new_key is None):
        raise AssayError("A bundle is signed with one key: give --key KEY, or --new-key NAME to make a pair.")
    if new_key is not None and new_key.with_name(f"{new_key.name}.key").exists():
        raise AssayError(f"{new_key}.key is there already: sign with it, --key {new_key}.key.")
    files = _directory(bundle)
    checked = parse_bundle(files, f"Bundle {bundle}", ANYBODY)
    secret = None if key is None else private_key(key, os.environ.get(PASSWORD))
    accepted = check_release(checked, faults_of(accept)) or None
    if accepted != checked.manifest.accepted:
        files = with_manifest(files, checked.manifest.model_copy(update={"accepted": accepted}))
        checked = parse_bundle(files, f"Bundle {bundle}", ANYBODY)
    if secret is None:  # only now, so that a bundle that is refused leaves no key behind
        assert new_key is not None
        write_key_pair(new_key, os.environ.get(PASSWORD))
        secret = private_key(new_key.with_name(f"{new_key.name}.key"), os.environ.get(PASSWORD))
    write_files(bundle, {**files, SIGNATURE: signature(files, secret, bundle.resolve().name)})
    signed = {"bundle": _name(checked), "digest": checked.digest, "signed_by": fingerprint(secret.public_key())}
    tell(signed | ({"accepted": list(accepted)} if accepted else {}), json)


@app.command(epilog="Example: assay bundle verify bundles/fraud --key keys/release.pub")
def verify(
    bundle: Where,
    key: Annotated[Path | None, typer.Option(help="Public key. Default: ASSAY_BUNDLE_PUBLIC_KEYS.")] = None,
    json: Json = False,
) -> None:
    """Do everything that a scorer does before it scores with a bundle. Exits with 2 where a scorer would refuse it."""
    from dataclasses import replace

    from models.bundle.keys import public_key
    from models.bundle.load import load_bundle
    from models.scoring.child_check import check_in_child
    from models.scoring.golden import check_golden
    from models.scoring.session import ModelSession

    trust = _trust()
    if key is not None:
        trust = replace(trust, public_keys=(public_key(_content(key), str(key)),))
    checked = load_bundle(bundle, replace(trust, allow_unsigned=False))
    check_in_child(checked)
    difference = check_golden(ModelSession(checked, "cpu")) if checked.golden else None
    found = {"bundle": _name(checked), "digest": checked.digest, "signed_by": checked.signed_by}
    tell({**found, "golden_difference": difference}, json)


@app.command(epilog="Example: assay bundle seal bundles/fraud fraud.sealed --key keys/bank.seal")
def seal(
    bundle: Where,
    out: Annotated[Path, typer.Argument(help="Sealed file; written over.")],
    key: Annotated[Path | None, typer.Option(help="Sealing key. Default: ASSAY_BUNDLE_SEAL_KEY and its like.")] = None,
    json: Json = False,
) -> None:
    """Encrypt a bundle, signature included, into one file that a scorer opens in memory (AES-256-GCM)."""
    from models.bundle import container
    from models.bundle.load import parse_bundle
    from models.bundle.trust import ANYBODY

    files = _read(bundle)
    checked = parse_bundle(files, f"Bundle {bundle}", ANYBODY)
    secret = _seal_key(key)
    out.write_bytes(container.seal(container.pack(files), secret))
    tell({"bundle": _name(checked), "digest": checked.digest, "file": str(out), "key_id": secret.key_id}, json)


@app.command("open", epilog="Example: assay bundle open fraud.sealed fraud --key keys/bank.seal")
def open_sealed(
    sealed: Annotated[Path, typer.Argument(help="Container, sealed or plain.")],
    out: Annotated[Path, typer.Argument(help="Bundle directory; a bundle there is replaced.")],
    key: Annotated[Path | None, typer.Option(help="Sealing key. Default: ASSAY_BUNDLE_SEAL_KEY and its like.")] = None,
    json: Json = False,
) -> None:
    """Write the files of a container to a directory. Checks the seal, not the signature: `assay bundle verify` does."""
    from models.bundle.load import parse_bundle, read_files
    from models.bundle.pack import write_files
    from models.bundle.trust import ANYBODY, Trust

    files = read_files(sealed, Trust(allow_unsigned=True, seal_key=lambda: _seal_key(key)))
    checked = parse_bundle(files, f"Bundle {sealed}", ANYBODY)
    write_files(out, files)
    tell({"bundle": _name(checked), "digest": checked.digest, "directory": str(out)}, json)


@app.command(epilog="Example: assay bundle golden .assay/bundles/fraud")
def golden(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    run_untrusted: RunUntrusted = False,
    json: Json = False,
) -> None:
    """Add golden rows, scored on this machine, to a bundle whose trainer wrote none. Sign it again afterwards.

    A live swap checks a bundle with them before it scores. Only a graph that a key trusted here has signed is run, unless
    --run-untrusted says otherwise.
    """
    from models.bundle.files import BundleError
    from models.bundle.load import parse_bundle
    from models.bundle.pack import pack_bundle
    from models.scoring.golden import golden_of, spread_rows
    from models.scoring.session import ModelSession

    files = _directory(bundle)
    try:
        checked = parse_bundle(files, f"Bundle {bundle}", _looking() if run_untrusted else _trust())
    except BundleError as error:
        if error.reason not in UNTRUSTED:
            raise
        raise BundleError(f"{str(error).rstrip('.')}: {UNTRUSTED_ADVICE}.", error.reason) from None
    rows = spread_rows(checked.reference)
    session = ModelSession(checked, "cpu")
    made = golden_of(rows, session.run(rows), session.feature_errors)
    pack_bundle(bundle, checked.manifest, checked.model, checked.reference, checked.report, made, checked.held_out)
    tell({"bundle": _name(checked), "golden_rows": len(made.rows)}, json)


@app.command(epilog="Example: assay bundle inspect bundles/fraud --json")
def inspect(bundle: Where, json: Json = False) -> None:
    """Show a bundle's manifest: identity, owner, licence, use, thresholds, origin, files; and who signed it."""
    from models.bundle.inspect import described
    from services.errors import SettingsError

    files = _read(bundle)
    try:
        trust = _trust()
    except SettingsError:
        trust = _looking()  # no one pinned is reported as such
    tell(described(files, trust), json)


@app.command(epilog="Example: assay bundle diff bundles/fraud .assay/bundles/fraud")
def diff(
    old: Annotated[Path, typer.Argument(help="Bundle.")],
    new: Annotated[Path, typer.Argument(help="Bundle.")],
    run_untrusted: RunUntrusted = False,
    json: Json = False,
) -> None:
    """Show what differs between two bundles: features, thresholds, training, metrics, and their scores of the same rows.

    Scores are compared where keys trusted here have signed both, or with --run-untrusted: nothing else is run.
    """
    from rich.table import Table

    from models.bundle.inspect import differences
    from models.bundle.load import parse_bundle
    from models.bundle.trust import ANYBODY

    files = {path: _read(path) for path in (old, new)}
    one, two = (parse_bundle(files[path], f"Bundle {path}", ANYBODY) for path in (old, new))
    found = differences(one, two)
    if one.model != two.model and one.manifest.feature_spec == two.manifest.feature_spec:
        refused = None if run_untrusted else _untrusted(files)
        found |= {} if refused else _score_differences(one, two)
        if refused:
            notes.print(shown(f"Their scores are not compared. {refused}"), markup=False)
    if json:
        print_json({name: {"old": before, "new": after} for name, (before, after) in found.items()})
        return
    table = Table("", _name(one), _name(two))
    for name, (before, after) in found.items():
        table.add_row(name, _text(before), _text(after))
    results.print(table if found else "The two are the same but for their signatures.")


def _score_differences(one: "Bundle", two: "Bundle") -> dict[str, tuple[Any, Any]]:
    """Mean scores of both over rows of the first one's traffic. Both take the same features."""
    from models.scoring.golden import spread_rows
    from models.scoring.session import ModelSession

    rows = spread_rows(one.reference)
    before, after = (ModelSession(bundle, "cpu").run(rows) for bundle in (one, two))
    return {
        f"mean {name} of {len(rows)} payments": (float(a.mean()), float(b.mean()))
        for name, a, b in zip(before._fields, before, after, strict=True)
    }


def _untrusted(bundles: "dict[Path, Files]") -> str | None:
    """Why a graph among them is not run here, in a sentence; None where keys trusted here have signed all."""
    from models.bundle.files import BundleError
    from services.errors import SettingsError

    try:
        trust = _trust()
        for path, files in bundles.items():
            try:
                trust.signer(files)
            except BundleError as error:
                return f"Bundle {path}: {str(error).rstrip('.')}: {UNTRUSTED_ADVICE}."
    except SettingsError as error:
        return f"{str(error).rstrip('.')}; or run both with --run-untrusted."
    return None


def _trust() -> "Trust":
    """As a scorer here would have it."""
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_bundles import trust_of

    return trust_of(load(BundleSettings))


def _looking() -> "Trust":
    """Opens sealed bundles, without checking signatures."""
    from models.bundle.trust import Trust

    return Trust(allow_unsigned=True, seal_key=lambda: _seal_key(None))


def _seal_key(path: Path | None) -> "SealKey":
    from models.bundle.keys import seal_key
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_bundles import find_seal_key

    if path is not None:
        return seal_key(_content(path).decode("utf-8", "replace"), str(path))
    return find_seal_key(load(BundleSettings))


def _read(path: Path) -> "Files":
    """A bundle's files, opened where sealed; signatures are not checked."""
    from models.bundle.files import BundleError
    from models.bundle.load import read_files

    try:
        return read_files(path, _looking())
    except OSError as error:
        raise BundleError(f"Bundle {path} cannot be read: {error.strerror}.") from None


def _directory(path: Path) -> "Files":
    from models.bundle.files import BundleError

    if not path.is_dir():
        raise BundleError(f"{path} is no directory: name the bundle directory that the trainer wrote.")
    return _read(path)


def _content(path: Path) -> bytes:
    from models.bundle.keys import KeyFileError

    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"Key {path} cannot be read: {error.strerror}.") from None


def faults_of(names: "list[str] | None") -> "tuple[Fault, ...]":
    """The faults that --accept names. Raises BundleError for an unknown name."""
    from typing import get_args

    from models.bundle.files import BundleError
    from schemas.manifest import Fault

    known = get_args(Fault)
    for name in names or ():
        if name not in known:
            raise BundleError(f"--accept {name} names no fault: there are {', '.join(known)}.")
    return tuple(fault for fault in known if fault in (names or ()))


def _name(bundle: "Bundle") -> str:
    return f"{bundle.manifest.name}/{bundle.manifest.version}"


def tell(values: dict[str, Any], json: bool) -> None:
    """One line of JSON, or a line each."""
    if json:
        print_json(values)
        return
    for name, value in values.items():
        results.print(f"{name.replace('_', ' ')}: {_text(value)}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"\n  {name}: {_text(each)}" for name, each in value.items())
    return "none" if value is None else f"{value:.6g}" if isinstance(value, float) else shown(str(value))
