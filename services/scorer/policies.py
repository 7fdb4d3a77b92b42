"""The policy of a process: shared by its partitions, which take it once for each batch, as they take the model."""

from dataclasses import dataclass

import structlog

from models.bundle.files import BundleError
from models.policy.program import Program
from models.policy.signed import SignedPolicy
from services.errors import AssayError
from services.observability.metrics import Metrics
from services.scorer.live import Model
from services.settings.bundles import BundleSettings
from services.settings.policy import PolicySettings
from services.trusted_policies import compiled, deciding_policy, known_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """A verified policy, compiled for the features and the source of the model beside it."""

    signed: SignedPolicy
    program: Program


def first_policy(settings: PolicySettings, bundles: BundleSettings, model: Model) -> ActivePolicy | None:
    """The policy that a process starts with; None where none is set. Raises AssayError."""
    try:
        found = deciding_policy(settings, bundles)
        if found is None:
            return None
        active = policy_beside(found.signed, model)
    except BundleError as error:
        raise AssayError(str(error)) from error
    log.info("policy.loaded", policy=active.program.name, rules=len(active.program.rules), why=found.why)
    return active


def policy_beside(signed: SignedPolicy, model: Model) -> ActivePolicy:
    """The policy as it reads what this model has. Raises BundleError where it reads what is not there."""
    return ActivePolicy(signed, compiled(signed, known_of(model.feature_spec, model.source)))


def show_policy(metrics: Metrics, active: ActivePolicy | None) -> None:
    """Which one is active."""
    metrics.risk.policy.clear()
    if active is not None:
        metrics.risk.policy.labels(active.program.name).set(1)
