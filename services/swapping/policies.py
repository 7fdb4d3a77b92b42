"""A policy beside a model: compiled for what that model and its source have."""

from functools import partial

from models.policy.budget import warm
from models.policy.signed import SignedPolicy
from services.swapping.live import ActivePolicy, Model
from services.trusted_policies import compiled, known_of, known_to


def policy_beside(signed: SignedPolicy, model: Model) -> ActivePolicy:
    """The policy as it reads what this model has. Raises BundleError where it reads what is not there."""
    bundle = model.session.bundle
    of_credit = bundle.manifest.product == "credit"
    known = known_to(bundle, signed.policy) if of_credit else known_of(model.feature_spec, model.source)
    program = compiled(signed, known)
    if signed.policy.budget is not None:
        warm(signed.policy.budget)
    return ActivePolicy(signed.ref, program, model.spec_digest, partial(policy_beside, signed))
