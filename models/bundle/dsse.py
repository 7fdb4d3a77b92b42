"""What DSSE signs (https://github.com/secure-systems-lab/dsse): a payload that names its own type and length."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from models.bundle.keys import HASHES, PrivateKey, PublicKey


def framed(payload: bytes, payload_type: str) -> bytes:
    """The pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)


def signature_of(payload: bytes, payload_type: str, key: PrivateKey) -> bytes:
    """Signed with the key."""
    return key.sign(framed(payload, payload_type), ec.ECDSA(HASHES[key.curve.name]))


def signature_holds(payload: bytes, payload_type: str, signature: bytes, key: PublicKey) -> bool:
    """Whether the key signed this payload as one of this type."""
    try:
        key.verify(signature, framed(payload, payload_type), ec.ECDSA(HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True
