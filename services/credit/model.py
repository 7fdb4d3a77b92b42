"""Loads the bundle that decides."""

from models.scoring.session import ModelSession
from services.settings.stream import CreditSettings
from services.trusted_bundles import trusted_session


def load_session(settings: CreditSettings) -> ModelSession:
    """The verified bundle of ASSAY_CREDIT_BUNDLE on the chosen device. Raises AssayError."""
    return trusted_session(settings.bundle, settings.device, "credit", "ASSAY_CREDIT_BUNDLE")
