"""Loads the bundle that decides."""

from pathlib import Path

from models.bundle.files import BundleError
from models.bundle.load import Bundle, load_bundle
from models.installation import DEPLOY
from models.scoring.session import ModelSession
from services.errors import AssayError, SettingsError
from services.settings.bundles import BundleSettings
from services.settings.credit import CreditSettings
from services.settings.loading import load
from services.trusted_bundles import advice, check_product, session_of, trust_of

SETTING = "ASSAY_CREDIT_BUNDLE"


def load_session(settings: CreditSettings, option: Path | None = None) -> ModelSession:
    """The verified bundle of a command's option, or of ASSAY_CREDIT_BUNDLE, on the chosen device. Raises AssayError."""
    return session_of(_loaded(settings, option), settings.device, "credit", SETTING)


def load_verified(settings: CreditSettings, option: Path | None = None) -> Bundle:
    """The same bundle, not run. Raises AssayError."""
    bundle = _loaded(settings, option)
    try:
        check_product(bundle, "credit")
    except BundleError as error:
        raise AssayError(f"{error} The setting is {SETTING}.") from error
    return bundle


def _loaded(settings: CreditSettings, option: Path | None) -> Bundle:
    bundles, path = load(BundleSettings), option or settings.bundle
    if path is None and bundles.demo_bundle:
        path = DEPLOY / "bundles" / "credit"
    if path is None:
        raise SettingsError(
            "No bundle is set: set ASSAY_CREDIT_BUNDLE and ASSAY_BUNDLE_PUBLIC_KEYS; ASSAY_DEMO_BUNDLE=true takes the demo's."
        )
    try:
        return load_bundle(path, trust_of(bundles))
    except BundleError as error:
        raise AssayError(f"{error}{advice(error)} The setting is {SETTING}.") from error
