"""Loads bundles that score: at the start, and by name from the registry while running."""

import os
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import structlog

from models.bundle.files import BundleError
from models.bundle.load import Bundle, load_bundle
from models.bundle.registry import Registry, holder, stepped
from models.bundle.trust import Trust
from models.scoring.child_check import check_in_child
from models.scoring.devices import DeviceError
from models.scoring.golden import check_golden
from models.scoring.session import ModelSession
from models.sources.routed import in_log
from schemas.control import BundleRef
from services.errors import AssayError
from services.observability.metrics import Metrics
from services.settings.bundles import BundleSettings
from services.settings.loading import load
from services.swapping.live import Identity, Model
from services.trusted_bundles import (
    Resolved,
    ScoringSettings,
    advice,
    bundle_setting,
    check_product,
    line_of,
    published_bundle,
    registry_of,
    scoring_bundle,
    session_of,
    trust_of,
)

log = structlog.get_logger(__name__)


class Loader:
    """Makes models of bundles that are trusted."""

    def __init__(self, scoring: ScoringSettings, bundles: BundleSettings, metrics: Metrics) -> None:
        """scoring: of payments, or of applications. Raises AssayError where the settings cannot be used."""
        self._scoring, self._bundles, self._metrics = scoring, bundles, metrics
        self._line = line_of(scoring, bundles)
        self.trust: Trust = trust_of(bundles)
        self._registry: Registry | None = registry_of(bundles, type(scoring)) if bundles.registry_url else None
        self._tried: set[str] = set()
        """Digests of the bundles that a child has loaded and run: the same bytes need no other."""
        self._executor: Executor = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="model")

    def first(self) -> Model:
        """The bundle that scores, as every command finds it. Raises AssayError."""
        try:
            found = scoring_bundle(self._scoring, self._bundles)
            check_for(found.bundle, self._scoring)
            model = self._model(found.bundle)
        except BundleError as error:
            raise AssayError(f"{error}{advice(error)}") from error
        except DeviceError as error:
            raise AssayError(str(error)) from error
        for wanted, refused in found.refused:
            log.error("bundle.refused", bundle=str(wanted), command="start", reason=refused.reason, why=str(refused))
            self._metrics.refused_bundles.labels(refused.reason).inc()
        if model.session.bundle.golden is not None:
            _checked(model)
        log.info(
            "model.loaded",
            bundle=str(model.bundle),
            digest=model.bundle.digest,
            why=found.why,
            provider=model.session.provider,
            signed_by=model.session.bundle.signed_by,
        )
        return model

    def of(self, wanted: BundleRef) -> Model:
        """Exactly that bundle, verified: of the registry, or ASSAY_BUNDLE where it matches. Raises BundleError, DeviceError."""
        try:
            if self._registry is None:
                raise BundleError(
                    f"{wanted} is asked for and no registry is set: set ASSAY_REGISTRY_URL.", "unreadable"
                )
            self._check_line(wanted)
            bundle = published_bundle(self._registry, wanted, self.trust)
        except BundleError as error:
            own = self._own() if error.reason == "unreadable" else None
            if own is None or own.digest != wanted.digest:
                raise
            bundle = own
        return self._model(bundle)

    def champion_since(self, steps: int) -> BundleRef | None:
        """The registry's champion, if one of the steps behind the first `steps` is about it. Raises BundleError."""
        if self._registry is None:
            return None
        history, line = self._registry.history(), self._line
        return holder(history, line, "champion") if stepped(history, line, "champion", steps) else None

    def _check_line(self, wanted: BundleRef) -> None:
        """Raises BundleError where the next start would not find it."""
        if wanted.name == self._line or ((own := self._own()) is not None and own.digest == wanted.digest):
            return
        named = f"{self._scoring.model_config.get('env_prefix')}REGISTRY_LINE"
        raise BundleError(
            f"{wanted} is of another line than {self._line}, which {named} names: a start would not find it.",
            "features",
        )

    def _own(self) -> Bundle | None:
        """ASSAY_BUNDLE, if it is sound."""
        try:
            return load_bundle(self._scoring.bundle, self.trust) if self._scoring.bundle else None
        except BundleError:
            return None

    def _model(self, bundle: Bundle) -> Model:
        check_product(bundle, self._scoring.product)
        if bundle.digest not in self._tried:  # before its graph is loaded beside the one that scores
            check_in_child(bundle)
            self._tried.add(bundle.digest)
        session, manifest = ModelSession(bundle, self._scoring.device), bundle.manifest
        identity = Identity(
            model=session.model_name,
            bundle_digest=bundle.digest,
            thresholds=manifest.thresholds,
        )
        spec = manifest.feature_spec
        return Model(session, identity, spec, manifest.inputs_digest, self._executor, in_log(manifest.source))


def _checked(model: Model) -> None:
    try:
        check_golden(model.session)
    except BundleError as error:
        raise AssayError(str(error)) from error


def check_for(bundle: Bundle, scoring: ScoringSettings) -> None:
    """Raises AssayError where a service of these settings cannot score with it, whatever else is right with it."""
    try:
        check_product(bundle, scoring.product)
    except BundleError as error:
        raise AssayError(f"{error} The setting is {bundle_setting(scoring)}.") from error


def load_session(settings: ScoringSettings, option: Path | None = None) -> tuple[ModelSession, Resolved]:
    """The bundle that scores, or that of a command's option, on the chosen device; and why it is that. Raises AssayError."""
    found = load_verified(settings, option)
    return session_of(found.bundle, settings.device, settings.product, bundle_setting(settings)), found


def load_verified(settings: ScoringSettings, option: Path | None = None) -> Resolved:
    """The same bundle, not run. Raises AssayError."""
    try:
        found = scoring_bundle(settings, load(BundleSettings), option)
    except BundleError as error:
        raise AssayError(f"{error}{advice(error)}") from error
    check_for(found.bundle, settings)
    return found
