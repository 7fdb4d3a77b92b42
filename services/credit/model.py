"""Loads the bundle that decides."""

from models.scoring.session import ModelSession
from services.runtime.bundles import trusted_session
from services.runtime.settings import CreditSettings


def load_session(settings: CreditSettings) -> ModelSession:
    """The verified bundle of ASSAY_CREDIT_BUNDLE on the chosen device. Raises AssayError."""
    return trusted_session(settings.bundle, settings.device, "credit", "ASSAY_CREDIT_BUNDLE")
