"""What a bundle states about itself, and how two differ: plain values for people and programs."""

from typing import Any, get_args

from models.bundle.files import SIGNATURE, BundleError, Files, digests
from models.bundle.load import Bundle, parse_bundle
from models.bundle.trust import ANYBODY, Trust
from schemas.manifest import ScoreKind


def described(files: Files, trust: Trust) -> dict[str, Any]:
    """Everything worth knowing about a bundle, signed or not. Raises BundleError where it is not a sound one."""
    bundle = parse_bundle(files, "The bundle", ANYBODY)
    manifest = bundle.manifest
    return {
        "bundle": f"{manifest.name}/{manifest.version}",
        "digest": bundle.digest,
        "signature": _signature(files, trust),
        "product": manifest.product,
        "score_kinds": list(manifest.score_kinds or get_args(ScoreKind)),
        "owner": manifest.owner,
        "licence": manifest.licence,
        "permitted_use": manifest.permitted_use,
        "feature_spec": manifest.feature_spec.digest(),
        "features": list(manifest.feature_spec.names),
        "thresholds": manifest.thresholds.model_dump(),
        "golden_rows": len(bundle.golden.rows) if bundle.golden else 0,
        "origin": origin(bundle),
        "metrics": manifest.metrics,
        "files": {name: {"bytes": len(files[name]), "sha256": digest} for name, digest in digests(files).items()},
    }


def origin(bundle: Bundle) -> dict[str, Any]:
    """Where a model comes from: data, code and run."""
    return bundle.manifest.training.model_dump()


def differences(old: Bundle, new: Bundle) -> dict[str, tuple[Any, Any]]:
    """Where the two differ, by name."""
    one, two = (_flat(bundle) for bundle in (old, new))
    names = [*one, *(name for name in two if name not in one)]
    return {name: (one.get(name), two.get(name)) for name in names if one.get(name) != two.get(name)}


def _flat(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    values: dict[str, Any] = {
        "name": manifest.name,
        "version": manifest.version,
        "digest": bundle.digest,
        "owner": manifest.owner,
        "licence": manifest.licence,
        "permitted use": manifest.permitted_use,
    }
    values |= {f"feature {feature.name}": feature.model_dump_json() for feature in manifest.feature_spec.features}
    if manifest.source is not None:
        values["source spec"] = manifest.source.canonical()
    parts = (
        ("threshold", manifest.thresholds.model_dump()),
        ("training", origin(bundle)),
        ("metric", manifest.metrics),
    )
    for part, named in parts:
        values |= {f"{part} {name}": value for name, value in named.items()}
    return values


def _signature(files: Files, trust: Trust) -> str:
    if SIGNATURE not in files:
        return "none"
    try:
        return (
            f"by {trust.signer(files)}, which is pinned here"
            if trust.public_keys
            else "not checked: no key is pinned here"
        )
    except BundleError as error:
        return f"not to be trusted: {error}"
