"""Decision records sealed per subject: what is about the person is encrypted, what is about the model stays readable.

Sealed: `card_id`, `features`, `reasons`. In their place: the subject's reference, and nothing. The rest is what verification
and quality figures read, which so need no key and do not change when a subject is erased.

`sealed` holds, with dots between, the master key's id, the salt's id and in base64 a random nonce of 12 bytes and the
ciphertext (AES-256-GCM). Subject and decision id are authenticated with it, so a sealed part cannot be moved to another
decision. After 2^32 decisions of one subject the chance that two nonces were the same would be 2^-33.
"""

import base64
import secrets
from typing import Any, Literal, NamedTuple

from cryptography.exceptions import InvalidTag

from schemas import codec
from schemas.decision import Decision, SealedPart
from services.errors import AssayError
from services.privacy.subject_keys import SubjectKey, SubjectKeys

NONCE_BYTES = 12
SEALED_FIELDS = tuple(SealedPart.model_fields)

_part = codec.record_type(SealedPart)


class Opened(NamedTuple):
    """A decision, and whether it opened; still sealed where its subject was erased, or the record was changed."""

    decision: Decision
    was: Literal["plain", "opened", "erased", "changed"]


def sealed(fields: dict[str, Any], key: SubjectKey, master_id: str) -> dict[str, Any]:
    """The fields of a decision with those about the person sealed. fields: as msgspec types."""
    part = codec.encode(_part(**{name: fields[name] for name in SEALED_FIELDS}))
    nonce = secrets.token_bytes(NONCE_BYTES)
    content = nonce + key.cipher.encrypt(nonce, part, _bound(key.reference, fields["decision_id"]))
    text = f"{master_id}.{key.salt_id}.{base64.b64encode(content).decode()}"
    return {**fields, "card_id": key.reference, "features": (), "reasons": (), "sealed": text}


def opened(decision: Decision, keys: SubjectKeys) -> Opened:
    """The decision before it was sealed. Raises AssayError for another master key, SubjectKeysError as `find`."""
    if decision.sealed is None:
        return Opened(decision, "plain")
    master_id, _, rest = decision.sealed.partition(".")
    salt_id, _, text = rest.partition(".")
    if master_id != keys.master_id:
        raise AssayError(
            f"Decision {decision.decision_id} is sealed with the key {master_id}, and ASSAY_SUBJECT_KEY is {keys.master_id}: "
            "set the other one."
        )
    try:
        key = keys.find(decision.card_id)
        if key is None or key.salt_id != salt_id:
            return Opened(decision, "erased")
        content = base64.b64decode(text, validate=True)
        bound = _bound(key.reference, decision.decision_id)
        part = key.cipher.decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], bound)
        plain = codec.read(SealedPart, part)
    except (ValueError, InvalidTag):
        return Opened(decision, "changed")
    return Opened(decision.model_copy(update={**dict(plain), "sealed": None}), "opened")


def _bound(reference: str, decision_id: str) -> bytes:
    return f"assay decision 1\n{reference}\n{decision_id}".encode()
