"""Bundles as the settings name them: which keys to trust, which key opens them, where the registry is."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog

from models.bundle.files import BundleError
from models.bundle.keys import KeyFileError, PublicKey, SealKey, fingerprint, public_key, seal_key
from models.bundle.load import Bundle, load_bundle, open_bundle
from models.bundle.registry import Registry, UnreachableRegistryError, champions
from models.bundle.trust import Trust
from models.installation import DEPLOY
from schemas.approval import Subject
from schemas.control import BundleRef
from schemas.manifest import Product
from services.errors import AssayError, SettingsError
from services.settings.bundles import BundleSettings
from services.settings.credit import CreditSettings
from services.settings.policy import CreditPolicySettings, PolicySettings
from services.settings.scorer import ScorerSettings
from services.settings.secrets import SecretError, find_secret, shown_url
from services.storage import SHARED, open_storage
from services.trusted_persons import step_check

if TYPE_CHECKING:
    from models.scoring.devices import Device
    from models.scoring.session import ModelSession
    from services.observability.metrics import Metrics

log = structlog.get_logger(__name__)

T = TypeVar("T")

PEM_BEGIN = "-----BEGIN"


def trust_of(settings: BundleSettings) -> Trust:
    """Whom the settings trust. Raises SettingsError where a key in them cannot be used."""
    return Trust(
        public_keys=_public_keys(settings),
        allow_unsigned=settings.allow_unsigned_bundles,
        seal_key=functools.partial(find_seal_key, settings),
        version_min=settings.bundle_version_min,
        policy_version_min=settings.policy_version_min,
    )


def warn_unsigned(settings: BundleSettings, metrics: "Metrics") -> None:
    """Where a service takes what no one signed, say so in its log and metrics."""
    metrics.unsigned.set(settings.allow_unsigned_bundles)
    if settings.allow_unsigned_bundles:
        log.warning(
            "bundle.unsigned_allowed",
            next_step="who can write a bundle or policy decides: sign them, and unset ASSAY_ALLOW_UNSIGNED_BUNDLES",
        )


def _public_keys(settings: BundleSettings) -> tuple[PublicKey, ...]:
    text = settings.bundle_public_keys.strip()
    if not text and settings.demo_bundle:
        text = str(DEPLOY / "keys" / "demo.pub")
    if text.startswith(PEM_BEGIN):
        blocks = [PEM_BEGIN + block for block in text.split(PEM_BEGIN)[1:]]
        return tuple(_public_key(block.encode(), "ASSAY_BUNDLE_PUBLIC_KEYS") for block in blocks)
    keys = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        try:
            keys.append(_public_key(Path(name).read_bytes(), name))
        except OSError as error:
            if settings.allow_unsigned_bundles:
                continue
            raise SettingsError(
                f"ASSAY_BUNDLE_PUBLIC_KEYS names {name}, which cannot be read ({error.strerror}): give the public keys of "
                "those who sign your bundles."
            ) from None
    return tuple(keys)


def _public_key(pem: bytes, where: str) -> PublicKey:
    try:
        return public_key(pem, where)
    except KeyFileError as error:
        raise SettingsError(str(error)) from None


def find_seal_key(settings: BundleSettings) -> SealKey:
    """The key that opens sealed bundles, from wherever the settings say. Raises BundleError."""
    try:
        found = find_secret(
            "ASSAY_BUNDLE_SEAL_KEY",
            settings.bundle_seal_key,
            settings.bundle_seal_key_file,
            settings.bundle_seal_key_command,
        )
    except SecretError as error:
        raise BundleError(str(error), "sealed") from None
    if found is None:
        raise BundleError(
            "it is sealed: set ASSAY_BUNDLE_SEAL_KEY_FILE, ASSAY_BUNDLE_SEAL_KEY or ASSAY_BUNDLE_SEAL_KEY_COMMAND",
            "sealed",
        )
    return seal_key(found.text, found.where)


def advice(error: BundleError) -> str:
    """What to do about a bundle that no one trusted signed; empty where the sentence says enough."""
    if error.reason == "unsigned":
        return " Sign it with `assay bundle sign`, or set ASSAY_ALLOW_UNSIGNED_BUNDLES=true if no one else can write bundles."
    if error.reason == "signature":
        return " Pin the public key of those who sign your bundles with ASSAY_BUNDLE_PUBLIC_KEYS."
    return ""


def demo_fingerprint() -> str | None:
    """Fingerprint of the demo's key; None where the installation has none."""
    try:
        return fingerprint(public_key((DEPLOY / "keys" / "demo.pub").read_bytes(), "demo.pub"))
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Resolved:
    """The bundle that scores, and why it is that one. refused: later champions of the registry that cannot be used."""

    bundle: Bundle
    why: str
    refused: tuple[tuple[BundleRef, BundleError], ...] = ()

    @property
    def ref(self) -> BundleRef:
        """What names it."""
        return self.bundle.ref

    def __str__(self) -> str:
        return f"{self.ref} ({self.ref.digest[:12]}), {self.why}"


ScoringSettings = ScorerSettings | CreditSettings
"""Of what scores: payments, or applications."""


def line_of(scoring: ScoringSettings, settings: BundleSettings) -> str:
    """The line of the registry whose champion scores."""
    return scoring.registry_line if isinstance(scoring, CreditSettings) else settings.registry_line


def scoring_bundle(scoring: ScoringSettings, settings: BundleSettings, option: Path | None = None) -> Resolved:
    """The bundle that scores payments, or applications, verified: the same for the service and for every command.

    `option`, where a command was given one; the champion of the registry, where one is set; ASSAY_BUNDLE (ASSAY_CREDIT_BUNDLE);
    the demo's, where ASSAY_DEMO_BUNDLE allows it. Raises SettingsError where none of them is set, BundleError.
    """
    trust, name = trust_of(settings), bundle_setting(scoring)
    if option is not None:
        return Resolved(load_bundle(option, trust), f"as --bundle={option} has it")
    instead = ""
    if settings.registry_url is not None:
        registry, url = registry_of(settings, type(scoring)), f"ASSAY_REGISTRY_URL={shown_url(settings.registry_url)}"
        history, line = registry.history(), line_of(scoring, settings)
        if not history and _is_empty(scoring, settings):
            raise BundleError(
                f"{url} holds no registry: correct it, or publish a bundle there with `assay registry publish`, or a policy.",
                "unreadable",
            )
        held = champions(history, line)
        if held:
            opened = functools.partial(published_bundle, registry, trust=trust)
            return Resolved(*soundest(held, opened, f"champion of {line} in {url}"))
        instead = f", since {url} has no champion of {line}"
    if scoring.bundle is not None:
        return Resolved(load_bundle(scoring.bundle, trust), f"as {name}={scoring.bundle} has it{instead}")
    if settings.demo_bundle:
        demo = DEPLOY / "bundles" / scoring.product
        return Resolved(load_bundle(demo, trust), f"the demo's (ASSAY_DEMO_BUNDLE){instead}")
    raise SettingsError(
        f"No bundle is set{instead}: set {name}, or ASSAY_REGISTRY_URL and promote one, and ASSAY_BUNDLE_PUBLIC_KEYS; "
        "ASSAY_DEMO_BUNDLE=true takes the demo's."
    )


def bundle_setting(scoring: ScoringSettings) -> str:
    """Which setting names its bundle."""
    return f"{scoring.model_config.get('env_prefix')}BUNDLE"


def _is_empty(scoring: ScoringSettings, settings: BundleSettings) -> bool:
    """Whether the registry has no history at all, so that its address is most likely wrong.

    A credit service whose bundle a setting names may wait for its first policy.
    """
    if isinstance(scoring, CreditSettings) and scoring.bundle is not None:
        return False
    policies = CreditPolicySettings if isinstance(scoring, CreditSettings) else PolicySettings
    return not registry_part(settings, *policies.folders, policies.signed_as).history()


def soundest(
    held: Sequence[BundleRef], opened: Callable[[BundleRef], T], why: str
) -> tuple[T, str, tuple[tuple[BundleRef, BundleError], ...]]:
    """The champion, why it is that one, and what is refused: where it is not sound, the previous one decides.

    held: the champions, the last first. Tampering must not stop the scoring; raises the last one's BundleError where none is
    sound.
    """
    refused: list[tuple[BundleRef, BundleError]] = []
    for wanted in held:
        try:
            found = opened(wanted)
        except UnreachableRegistryError:
            raise
        except BundleError as error:
            refused.append((wanted, error))
            continue
        return found, f"{why}, before {refused[0][0]}, which is refused" if refused else why, tuple(refused)
    raise refused[0][1]


def published_bundle(registry: Registry, wanted: BundleRef, trust: Trust) -> Bundle:
    """Exactly that bundle of the registry, verified. Raises BundleError."""
    bundle = open_bundle(registry.content(wanted), f"Bundle {wanted} of the registry", trust)
    if bundle.ref != wanted:
        raise BundleError(
            f"The registry holds {bundle.ref} ({bundle.digest[:12]}) under the name of {wanted}.", "signature"
        )
    return bundle


def session_of(bundle: Bundle, device: "Device", product: Product, setting: str) -> "ModelSession":
    """A verified bundle on the chosen device, and nothing around it. setting: names the bundle. Raises AssayError."""
    from models.scoring.devices import DeviceError  # here, since gateway and console read bundles and run none
    from models.scoring.session import ModelSession

    try:
        check_product(bundle, product)
        return ModelSession(bundle, device)
    except BundleError as error:
        raise AssayError(f"{error} The setting is {setting}.") from error
    except DeviceError as error:
        raise AssayError(str(error)) from error


def check_product(bundle: Bundle, product: Product) -> None:
    """Raises BundleError where it scores something else."""
    found = bundle.manifest.product
    if found != product:
        raise BundleError(f"Bundle {bundle.manifest.name}/{bundle.manifest.version} is for {found}, not for {product}.")


def registry_of(settings: BundleSettings, scoring: type[ScoringSettings] = ScorerSettings) -> Registry:
    """The registry's part for bundles; those that judge applications lie apart. Raises AssayError where none is set."""
    return registry_part(settings, *scoring.folders, scoring.signed_as)


def registry_part(settings: BundleSettings, content: str, history: str, subject: Subject) -> Registry:
    """What the registry of the settings holds in two of its folders. Raises AssayError where none is set.

    subject: what persons sign when they sign its steps.
    """
    if settings.registry_url is None:
        raise AssayError(
            "No registry is set: set ASSAY_REGISTRY_URL to a directory or a URL such as s3://bucket/models."
        )
    stored, events = (
        open_storage(settings.registry_url, part, setting="ASSAY_REGISTRY_URL", mode=SHARED)
        for part in (content, history)
    )
    return Registry(stored, events, f"ASSAY_REGISTRY_URL={shown_url(settings.registry_url)}", step_check(subject))
