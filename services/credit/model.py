"""Loads the bundle that decides."""

from models.bundle.files import BundleError
from models.bundle.load import load_bundle
from models.scoring.devices import DeviceError
from models.scoring.session import ModelSession
from services.runtime.errors import AssayError
from services.runtime.settings import CreditSettings


def load_session(settings: CreditSettings) -> ModelSession:
    """The verified bundle on the chosen device. Raises AssayError."""
    try:
        session = ModelSession(load_bundle(settings.bundle), settings.device)
    except (BundleError, DeviceError) as error:
        raise AssayError(str(error)) from error
    product = session.bundle.manifest.product
    if product != "credit":
        raise AssayError(f"Bundle {settings.bundle} is for {product}: set ASSAY_CREDIT_BUNDLE to one for credit.")
    return session
