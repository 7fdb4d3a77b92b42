"""Loads the bundle that scores."""

import os
from concurrent.futures import ThreadPoolExecutor

import structlog

from models.bundle.files import BundleError
from models.bundle.load import load_bundle
from models.scoring.devices import DeviceError
from models.scoring.session import ModelSession
from services.runtime.errors import AssayError
from services.runtime.metrics import Metrics
from services.runtime.settings import ScorerSettings
from services.scorer.emit import Identity
from services.scorer.processor import Model

log = structlog.get_logger(__name__)


def load_model(settings: ScorerSettings, metrics: Metrics) -> Model:
    """Verify and load the bundle on the chosen device. Raises AssayError."""
    session = load_session(settings)
    bundle, manifest = session.bundle, session.bundle.manifest
    metrics.model.labels(f"{manifest.name}/{manifest.version}", session.provider).set(1)
    log.info(
        "model.loaded", bundle=f"{manifest.name}/{manifest.version}", digest=bundle.digest, provider=session.provider
    )
    return Model(
        session=session,
        identity=Identity(
            model=session.model_name,
            bundle_digest=bundle.digest,
            thresholds=manifest.thresholds,
            every_decision=manifest.product == "credit",
        ),
        feature_spec=manifest.feature_spec,
        executor=ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="model"),
    )


def load_session(settings: ScorerSettings) -> ModelSession:
    """The verified bundle on the chosen device, and nothing around it. Raises AssayError."""
    try:
        session = ModelSession(load_bundle(settings.bundle), settings.device)
    except (BundleError, DeviceError) as error:
        raise AssayError(str(error)) from error
    product = session.bundle.manifest.product
    if product != "fraud":
        raise AssayError(
            f"Bundle {settings.bundle} is for {product}: set ASSAY_BUNDLE to one for fraud, or use `assay {product}`."
        )
    return session
