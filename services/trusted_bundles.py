"""Bundles as the settings have them: whom to trust, which key opens them, where the registry is."""

import functools
from pathlib import Path

from models.bundle.files import BundleError
from models.bundle.keys import KeyFileError, PublicKey, SealKey, public_key, seal_key
from models.bundle.load import Bundle, load_bundle
from models.bundle.registry import Registry
from models.bundle.trust import Trust
from models.scoring.devices import Device, DeviceError
from models.scoring.session import ModelSession
from schemas.manifest import Product
from services.errors import AssayError, SettingsError
from services.settings.secrets import SecretError, find_secret
from services.settings.stream import BundleSettings, load
from services.storage import place

PEM_BEGIN = "-----BEGIN"


def trust_of(settings: BundleSettings) -> Trust:
    """Whom the settings trust. Raises SettingsError where a key in them cannot be used."""
    return Trust(
        public_keys=_public_keys(settings),
        allow_unsigned=settings.allow_unsigned_bundles,
        seal_key=functools.partial(find_seal_key, settings),
        version_min=settings.bundle_version_min,
    )


def _public_keys(settings: BundleSettings) -> tuple[PublicKey, ...]:
    text = settings.bundle_public_keys.strip()
    if text.startswith(PEM_BEGIN):
        return (_public_key(text.encode(), "ASSAY_BUNDLE_PUBLIC_KEYS"),)
    keys = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        try:
            keys.append(_public_key(Path(name).read_bytes(), name))
        except OSError as error:
            if settings.allow_unsigned_bundles:
                continue
            raise SettingsError(
                f"ASSAY_BUNDLE_PUBLIC_KEYS names {name}, which cannot be read ({error.strerror}): give the public keys of "
                "those who sign your bundles."
            ) from None
    return tuple(keys)


def _public_key(pem: bytes, where: str) -> PublicKey:
    try:
        return public_key(pem, where)
    except KeyFileError as error:
        raise SettingsError(str(error)) from None


def find_seal_key(settings: BundleSettings) -> SealKey:
    """The key that opens sealed bundles, from wherever the settings say. Raises BundleError."""
    try:
        found = find_secret(
            "ASSAY_BUNDLE_SEAL_KEY",
            settings.bundle_seal_key,
            settings.bundle_seal_key_file,
            settings.bundle_seal_key_command,
        )
    except SecretError as error:
        raise BundleError(str(error), "sealed") from None
    if found is None:
        raise BundleError(
            "it is sealed: set ASSAY_BUNDLE_SEAL_KEY_FILE, ASSAY_BUNDLE_SEAL_KEY or ASSAY_BUNDLE_SEAL_KEY_COMMAND",
            "sealed",
        )
    return seal_key(found.text, found.where)


def advice(error: BundleError) -> str:
    """What to do about a bundle that nobody trusted signed; empty where the sentence says enough."""
    if error.reason == "unsigned":
        return " Sign it with `assay bundle sign`, or set ASSAY_ALLOW_UNSIGNED_BUNDLES=true if nobody else can write bundles."
    if error.reason == "signature":
        return " Pin the public key of those who sign your bundles with ASSAY_BUNDLE_PUBLIC_KEYS."
    return ""


def trusted_session(path: Path, device: Device, product: Product, setting: str) -> ModelSession:
    """A verified bundle on the chosen device, and nothing around it. setting: names the bundle. Raises AssayError."""
    try:
        session = ModelSession(load_bundle(path, trust_of(load(BundleSettings))), device)
        check_product(session.bundle, product)
    except BundleError as error:
        raise AssayError(f"{error}{advice(error)} The setting is {setting}.") from error
    except DeviceError as error:
        raise AssayError(str(error)) from error
    return session


def check_product(bundle: Bundle, product: Product) -> None:
    """Raises BundleError where it scores something else."""
    found = bundle.manifest.product
    if found != product:
        raise BundleError(f"Bundle {bundle.manifest.name}/{bundle.manifest.version} is for {found}, not for {product}.")


def registry_of(settings: BundleSettings) -> Registry:
    """The registry of the settings. Raises AssayError where none is set."""
    if settings.registry_url is None:
        raise AssayError(
            "No registry is set: set ASSAY_REGISTRY_URL to a directory or a URL such as s3://bucket/models."
        )
    bundles, events = (
        place(settings.registry_url, part, setting="ASSAY_REGISTRY_URL") for part in ("bundles", "events")
    )
    return Registry(bundles, events)
