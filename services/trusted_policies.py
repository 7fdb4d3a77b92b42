"""Policies as the settings name them: the champion of the registry, or ASSAY_POLICY, verified before they are read."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from models.bundle.files import BundleError
from models.bundle.load import Bundle
from models.bundle.registry import Registry, UnreachableRegistryError, champions, stepped
from models.policy.applications import known_attributes
from models.policy.known import Known, known_columns
from models.policy.policy_file import PolicyError, compile_policy
from models.policy.program import Program
from models.policy.signed import SignedPolicy, open_policy, read_policy
from models.sources.spec_file import default_source
from schemas.control import POLICY_CHANNELS, BundleRef, Control, PolicyChannel
from schemas.feature_spec import FeatureSpec
from schemas.policy import Policy
from schemas.source_spec import SourceSpec
from services.errors import AssayError
from services.settings.bundles import BundleSettings
from services.settings.policy import PolicySettings
from services.trusted_bundles import advice, registry_part, soundest, trust_of

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FoundPolicy:
    """The policy that decides, and why it is that one. refused: later champions of the registry that cannot be used."""

    signed: SignedPolicy
    why: str
    refused: tuple[tuple[BundleRef, BundleError], ...] = ()


def policy_registry_of(settings: BundleSettings, policies: type[PolicySettings] = PolicySettings) -> Registry:
    """The registry's part for policies: beside the bundles, with a history of its own. Raises AssayError where none is set.

    policies: whose; those of applications lie apart from those of payments.
    """
    return registry_part(settings, *policies.folders, policies.signed_as)


def deciding_policy(
    settings: PolicySettings, bundles: BundleSettings, option: Path | None = None
) -> FoundPolicy | None:
    """The policy that decides: a command's option, the registry's champion of the line, ASSAY_POLICY; None where none is set.

    Raises AssayError, BundleError.
    """
    trust = trust_of(bundles)
    try:
        if option is not None:
            return FoundPolicy(read_policy(option, trust), f"as --policy={option} has it")
        if bundles.registry_url is not None:
            registry = policy_registry_of(bundles, type(settings))
            held = champions(registry.history(), settings.policy_line)
            if held:
                opened = partial(published_policy, registry, bundles=bundles)
                return FoundPolicy(*soundest(held, opened, f"champion of {settings.policy_line} in the registry"))
        if settings.policy is not None:
            name = f"{settings.model_config.get('env_prefix')}POLICY"
            return FoundPolicy(read_policy(settings.policy, trust), f"as {name}={settings.policy} has it")
    except BundleError as error:
        raise BundleError(f"{error}{advice(error)}".replace("bundle sign", "policy sign"), error.reason) from None
    return None


def shadow_policy(settings: PolicySettings, bundles: BundleSettings) -> FoundPolicy | None:
    """The policy that is evaluated beside the one that decides, without effect; None where the registry has none.

    Raises AssayError, BundleError.
    """
    if bundles.registry_url is None:
        return None
    registry = policy_registry_of(bundles, type(settings))
    held = registry.holds(settings.policy_line, "challenger")
    if held is None:
        return None
    return FoundPolicy(published_policy(registry, held, bundles), f"in shadow, as {settings.policy_line} has it")


def first_policies(
    settings: PolicySettings, bundles: BundleSettings, make: Callable[[SignedPolicy], T]
) -> tuple[T | None, T | None]:
    """What a process starts with, and what it has in shadow. make: ready to run, or BundleError. Raises AssayError."""
    return first_policy(settings, bundles, "policy", make), first_policy(settings, bundles, "shadow_policy", make)


def first_policy(
    settings: PolicySettings, bundles: BundleSettings, channel: PolicyChannel, make: Callable[[SignedPolicy], T]
) -> T | None:
    """What one channel of a process starts with. Raises AssayError."""
    try:
        found = (deciding_policy if channel == "policy" else shadow_policy)(settings, bundles)
        if found is None:
            return None
        for wanted, error in found.refused:
            log.error("policy.refused", policy=str(wanted), command="start", reason=error.reason, why=str(error))
        made = make(found.signed)
    except BundleError as error:
        raise AssayError(str(error)) from error
    log.info("policy.loaded", policy=found.signed.name, channel=channel, why=found.why)
    return made


def wanted_policy(settings: PolicySettings, bundles: BundleSettings, wanted: BundleRef | None) -> SignedPolicy | None:
    """Exactly that policy of the registry; without one, that of ASSAY_POLICY, if any. Raises BundleError, AssayError."""
    if wanted is None:
        found = deciding_policy(settings, bundles.model_copy(update={"registry_url": None}))
        return None if found is None else found.signed
    return published_policy(policy_registry_of(bundles, type(settings)), wanted, bundles)


def published_policy(registry: Registry, wanted: BundleRef, bundles: BundleSettings) -> SignedPolicy:
    """Exactly that policy of the registry, verified. Raises BundleError."""
    found = open_policy(registry.content(wanted), f"Policy {wanted} of the registry", trust_of(bundles))
    if found.ref != wanted:
        raise BundleError(f"The registry holds {found.ref} under the name of {wanted}.", "signature")
    return found


def known_of(spec: FeatureSpec, source: SourceSpec | None) -> Known:
    """What a policy beside a model of these may read."""
    return known_columns(source or default_source(), spec)


def known_to(bundle: Bundle, policy: Policy | None = None) -> Known:
    """What a policy beside this bundle may read. policy: which; those of applications say the types of what they read."""
    if bundle.manifest.product == "credit":
        beside = policy or Policy(name="none", version=1, judges="applications")
        return known_attributes(bundle.manifest.feature_spec, beside)
    return known_of(bundle.manifest.feature_spec, bundle.manifest.source)


def check_order(channel: PolicyChannel, command: Control, now: BundleRef | None, settings: PolicySettings) -> None:
    """A command's policy is of our line, and never older than the one that decides, unless it is meant. Raises BundleError."""
    wanted = command.bundle
    if wanted is None:
        return
    if wanted.name != settings.policy_line:
        named = f"{settings.model_config.get('env_prefix')}POLICY_LINE"
        raise BundleError(
            f"{wanted} is of another line than {settings.policy_line}, which {named} names: a start would not find it.",
            "features",
        )
    if now is None:
        return
    if wanted.name != now.name:
        raise BundleError(f"{wanted} is of another line than {now}, which decides.", "features")
    if channel == "policy" and not command.rollback and wanted != now and wanted.version <= now.version:
        raise BundleError(f"{wanted} is not newer than {now}, which decides: roll back, if that is meant.", "older")


def outdated(settings: PolicySettings, bundles: BundleSettings, command: Control) -> bool:
    """Whether the registry has taken a step about a command's channel since it was given. Raises BundleError."""
    if bundles.registry_url is None or command.registry_steps is None:
        return False
    history = policy_registry_of(bundles, type(settings)).history()
    channels = [registry for registry, policy in POLICY_CHANNELS.items() if policy == command.channel]
    return any(stepped(history, settings.policy_line, channel, command.registry_steps) for channel in channels)


def compiled(signed: SignedPolicy, known: Known) -> Program:
    """Ready to run. Raises BundleError where it reads what is not there."""
    try:
        return compile_policy(signed.policy, known, source=f"Policy {signed.ref}")
    except PolicyError as error:
        raise BundleError(str(error), "features") from None


def policies_by_name(settings: PolicySettings, bundles: BundleSettings) -> Callable[[str], SignedPolicy | None]:
    """What finds the policies that outputs name: those published in the registry, and ASSAY_POLICY. Each is read once."""
    made: dict[str, SignedPolicy | None] = {}
    registry = policy_registry_of(bundles, type(settings)) if bundles.registry_url is not None else None
    published = (
        {f"{e.bundle}@{e.bundle.digest[:12]}": e.bundle for e in registry.history() if e.action == "publish"}
        if registry is not None
        else {}
    )
    own = read_policy(settings.policy, trust_of(bundles)) if settings.policy is not None else None

    def find(name: str) -> SignedPolicy | None:
        if name not in made:
            made[name] = _found(name)
        return made[name]

    def _found(name: str) -> SignedPolicy | None:
        if own is not None and own.name == name:
            return own
        wanted = published.get(name)
        if wanted is None or registry is None:
            return None
        try:
            return published_policy(registry, wanted, bundles)
        except UnreachableRegistryError:
            raise
        except BundleError:
            return None

    return find
