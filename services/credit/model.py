"""Loads the bundle that decides."""

from pathlib import Path

from models.bundle.files import BundleError
from models.bundle.load import load_bundle
from models.installation import DEPLOY
from models.scoring.session import ModelSession
from services.errors import AssayError, SettingsError
from services.settings.bundles import BundleSettings
from services.settings.credit import CreditSettings
from services.settings.loading import load
from services.trusted_bundles import advice, session_of, trust_of


def load_session(settings: CreditSettings, option: Path | None = None) -> ModelSession:
    """The verified bundle of a command's option, or of ASSAY_CREDIT_BUNDLE, on the chosen device. Raises AssayError."""
    bundles, path = load(BundleSettings), option or settings.bundle
    if path is None and bundles.demo_bundle:
        path = DEPLOY / "bundles" / "credit"
    if path is None:
        raise SettingsError(
            "No bundle is set: set ASSAY_CREDIT_BUNDLE and ASSAY_BUNDLE_PUBLIC_KEYS; ASSAY_DEMO_BUNDLE=true takes the demo's."
        )
    try:
        bundle = load_bundle(path, trust_of(bundles))
    except BundleError as error:
        raise AssayError(f"{error}{advice(error)} The setting is ASSAY_CREDIT_BUNDLE.") from error
    return session_of(bundle, settings.device, "credit", "ASSAY_CREDIT_BUNDLE")
