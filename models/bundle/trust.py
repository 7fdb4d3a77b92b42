"""What to trust: the keys whose signature a bundle must carry, the oldest version, the key that opens sealed ones."""

from collections.abc import Callable
from dataclasses import dataclass

from models.bundle import container
from models.bundle.files import BundleError, Files
from models.bundle.keys import PublicKey, SealKey
from models.bundle.signing import verify


@dataclass(frozen=True, slots=True)
class Trust:
    """public_keys: of those who may sign; several while one is replaced.

    allow_unsigned: a bundle without signature is taken; one with a signature must still be signed by a pinned key, if any is.
    seal_key: asked for only where a bundle is sealed; raises BundleError. version_min: older ones are refused, however signed;
    policy_version_min: the same of policies.
    """

    public_keys: tuple[PublicKey, ...] = ()
    allow_unsigned: bool = False
    seal_key: Callable[[], SealKey] | None = None
    version_min: int = 1
    policy_version_min: int = 1

    def signer(self, files: Files) -> str | None:
        """Fingerprint of the key that signed the files; None where unsigned ones are allowed. Raises BundleError."""
        try:
            if not self.public_keys and not self.allow_unsigned:
                raise BundleError("no public key is pinned to verify it with", "signature")
            return verify(files, self.public_keys) if self.public_keys else None
        except BundleError as error:
            if self.allow_unsigned and error.reason == "unsigned":
                return None
            raise

    def opened(self, content: bytes) -> Files:
        """The files of a container, sealed or plain. Raises BundleError."""
        if container.is_sealed(content):
            if self.seal_key is None:
                raise BundleError("it is sealed and no sealing key is set", "sealed")
            content = container.open_sealed(content, self.seal_key())
        return container.unpack(content)


ANYBODY = Trust(allow_unsigned=True)
"""Checks a bundle's content, not its signer: for commands that only inspect one. Nothing scores with this."""
