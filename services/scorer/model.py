"""Loads bundles that score: at the start, and by name from the registry while running."""

import os
from concurrent.futures import Executor, ThreadPoolExecutor

import structlog

from models.bundle.files import BundleError
from models.bundle.load import Bundle, load_bundle, open_bundle
from models.bundle.registry import Registry, champions
from models.bundle.trust import Trust
from models.scoring.devices import DeviceError
from models.scoring.golden import check_golden
from models.scoring.session import ModelSession
from schemas.control import BundleRef
from services.errors import AssayError
from services.observability.metrics import Metrics
from services.scorer.live import Model
from services.scorer.scored import Identity
from services.settings.stream import BundleSettings, ScorerSettings
from services.trusted_bundles import advice, check_product, registry_of, trust_of, trusted_session

log = structlog.get_logger(__name__)


class Loader:
    """Makes models of bundles that are trusted."""

    def __init__(self, scorer: ScorerSettings, bundles: BundleSettings, metrics: Metrics) -> None:
        """Raises AssayError where the settings cannot be used."""
        self._scorer, self._bundles, self._metrics = scorer, bundles, metrics
        self.trust: Trust = trust_of(bundles)
        self._registry: Registry | None = registry_of(bundles) if bundles.registry_url else None
        self._executor: Executor = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="model")

    def first(self) -> Model:
        """The registry's champion; without a registry, or where it has none, ASSAY_BUNDLE. Raises AssayError."""
        try:
            held = champions(self._registry.history(), self._bundles.registry_line) if self._registry else []
            model = self._soundest(held) if held else self._model(load_bundle(self._scorer.bundle, self.trust))
        except OSError as error:
            raise AssayError(f"ASSAY_REGISTRY_URL={self._bundles.registry_url} cannot be read: {error}.") from error
        except BundleError as error:
            raise AssayError(f"{error}{advice(error)}") from error
        except DeviceError as error:
            raise AssayError(str(error)) from error
        if model.session.bundle.golden is not None:
            _checked(model)
        log.info(
            "model.loaded",
            bundle=str(model.bundle),
            digest=model.bundle.digest,
            provider=model.session.provider,
            signed_by=model.session.bundle.signed_by,
        )
        return model

    def _soundest(self, held: list[BundleRef]) -> Model:
        """The champion. Where it is not sound, the one before, loudly: who tampers with one must not stop the scoring."""
        for number, wanted in enumerate(held):
            try:
                return self.of(wanted)
            except BundleError as error:
                if number == len(held) - 1:
                    raise
                log.error("bundle.refused", bundle=str(wanted), command="start", reason=error.reason, why=str(error))
                self._metrics.refused_bundles.labels(error.reason).inc()
        raise AssertionError("a list of champions is not empty")

    def of(self, wanted: BundleRef) -> Model:
        """Exactly that bundle, verified: of the registry, or ASSAY_BUNDLE where it is that. Raises BundleError, DeviceError."""
        try:
            if self._registry is None:
                raise BundleError(
                    f"{wanted} is asked for and no registry is set: set ASSAY_REGISTRY_URL.", "unreadable"
                )
            bundle = open_bundle(self._registry.content(wanted), f"Bundle {wanted} of the registry", self.trust)
        except BundleError as error:
            own = self._own() if error.reason == "unreadable" else None
            if own is None or own.digest != wanted.digest:
                raise
            bundle = own
        found = BundleRef(name=bundle.manifest.name, version=bundle.manifest.version, digest=bundle.digest)
        if found != wanted:
            raise BundleError(
                f"The registry holds {found} ({found.digest[:12]}) under the name of {wanted}.", "signature"
            )
        return self._model(bundle)

    def _own(self) -> Bundle | None:
        """ASSAY_BUNDLE, if it is sound."""
        try:
            return load_bundle(self._scorer.bundle, self.trust)
        except BundleError:
            return None

    def _model(self, bundle: Bundle) -> Model:
        check_product(bundle, "fraud")
        session, manifest = ModelSession(bundle, self._scorer.device), bundle.manifest
        identity = Identity(
            model=session.model_name,
            bundle_digest=bundle.digest,
            thresholds=manifest.thresholds,
        )
        spec = manifest.feature_spec
        return Model(session, identity, spec, spec.digest(), self._executor)


def _checked(model: Model) -> None:
    try:
        check_golden(model.session)
    except BundleError as error:
        raise AssayError(str(error)) from error


def load_session(settings: ScorerSettings) -> ModelSession:
    """The verified bundle of ASSAY_BUNDLE on the chosen device, and nothing around it. Raises AssayError."""
    return trusted_session(settings.bundle, settings.device, "fraud", "ASSAY_BUNDLE")
