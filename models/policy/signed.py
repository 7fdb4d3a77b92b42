"""A policy as it is signed, published and loaded: its canonical form and the signature over it, in one file.

The file is a plain container as a bundle's is, and the signature the same (OpenSSF model-signing): checked before it is read.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from models import durable
from models.bundle import container
from models.bundle.files import SIGNATURE, BundleError, Files
from models.bundle.keys import PrivateKey
from models.bundle.signing import sign
from models.bundle.trust import Trust
from models.policy.program import policy_name
from schemas.control import BundleRef
from schemas.policy import Policy

POLICY = "policy.json"
BYTES_MAX = {POLICY: 4 << 20, SIGNATURE: 64 << 10}
CONTAINER_BYTES_MAX = sum(BYTES_MAX.values()) + container.HEADER_BYTES_MAX


@dataclass(frozen=True, slots=True)
class SignedPolicy:
    """A policy whose signature was checked. signed_by: fingerprint of the key; None where unsigned ones are allowed."""

    policy: Policy
    ref: BundleRef
    signed_by: str | None

    @property
    def name(self) -> str:
        """As outputs have it."""
        return policy_name(self.ref.name, self.ref.version, self.ref.digest)


def ref_of(policy: Policy) -> BundleRef:
    """What names a policy."""
    return BundleRef(name=policy.name, version=policy.version, digest=policy.digest())


def signed(policy: Policy, key: PrivateKey | None) -> bytes:
    """The file of a policy; without a key, unsigned."""
    files: Files = {POLICY: policy.canonical().encode()}
    if key is not None:
        files[SIGNATURE] = sign(files, key, f"{policy.name}-{policy.version}")
    return container.pack(files)


def open_policy(content: bytes, where: str, trust: Trust) -> SignedPolicy:
    """The policy of a file's content. where: names it in errors. Raises BundleError."""
    try:
        files = _unpacked(content)
        signer = trust.signer(files)
        policy = Policy.model_validate_json(files[POLICY])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise BundleError(f"{where} is not a policy that this version knows ({place}: {first['msg']}).") from None
    except BundleError as error:
        raise BundleError(f"{where} is refused: {error}.", error.reason) from None
    if policy.version < trust.policy_version_min:
        raise BundleError(
            f"{where} is refused: version {policy.version} is older than ASSAY_POLICY_VERSION_MIN={trust.policy_version_min}.",
            "older",
        )
    return SignedPolicy(policy, ref_of(policy), signer)


def _unpacked(content: bytes) -> Files:
    try:
        return container.unpack(content, BYTES_MAX, frozenset((SIGNATURE,)))
    except BundleError as error:
        if content.startswith(container.PLAIN):
            raise
        raise BundleError(f"{error}; a policy in YAML becomes one with `assay policy sign`") from None


def read_policy(path: Path, trust: Trust) -> SignedPolicy:
    """The policy in a signed file. Raises BundleError."""
    try:
        with path.open("rb") as file:
            content = file.read(CONTAINER_BYTES_MAX + 1)
    except OSError as error:
        raise BundleError(
            f"Policy {path} cannot be read ({error.strerror}): give the file that `assay policy sign` wrote.",
            "unreadable",
        ) from None
    return open_policy(content, f"Policy {path}", trust)


def write_policy(path: Path, content: bytes) -> None:
    """Write a signed file, whole or not at all. Raises BundleError."""
    try:
        durable.write_file(path, lambda file: file.write(content))
    except OSError as error:
        raise BundleError(f"{path} cannot be written: {error.strerror}.") from None
