"""Decision records sealed per subject: what is about the person is encrypted, what is about the model stays readable.

Sealed: `card_id`, `features`, `reasons`. In their place: the subject's reference, and nothing. The rest is what verification
and quality figures read, which so need no key and do not change when a subject is erased.

`sealed` holds what `services.privacy.sealed_text` makes; subject and decision id are bound to it.
"""

from typing import Any, Literal, NamedTuple

from schemas import codec
from schemas.decision import Decision, SealedPart
from services.privacy.sealed_text import seal, unseal
from services.privacy.subject_keys import SubjectKey, SubjectKeys

SEALED_FIELDS = tuple(SealedPart.model_fields)

_part = codec.record_type(SealedPart)


Was = Literal["plain", "opened", "erased", "changed"]


class Opened(NamedTuple):
    """A decision, and whether it opened; still sealed where its subject was erased, or the record was changed."""

    decision: Decision
    was: Was


def sealed(fields: dict[str, Any], key: SubjectKey, master_id: str) -> dict[str, Any]:
    """The fields of a decision with those about the person sealed. fields: as msgspec types."""
    part = codec.encode(_part(**{name: fields[name] for name in SEALED_FIELDS}))
    text = seal(part, _bound(key.reference, fields["decision_id"]), key, master_id)
    return {**fields, "card_id": key.reference, "features": (), "reasons": (), "sealed": text}


def opened(decision: Decision, keys: SubjectKeys) -> Opened:
    """The decision before it was sealed. Raises AssayError for another master key, SubjectKeysError as `find`."""
    if decision.sealed is None:
        return Opened(decision, "plain")
    bound = _bound(decision.card_id, decision.decision_id)
    part = unseal(decision.sealed, decision.card_id, bound, keys, f"Decision {decision.decision_id}")
    if not isinstance(part, bytes):
        return Opened(decision, part)
    try:
        plain = codec.read(SealedPart, part)
    except ValueError:
        return Opened(decision, "changed")
    return Opened(decision.model_copy(update={**dict(plain), "sealed": None}), "opened")


def _bound(reference: str, decision_id: str) -> bytes:
    return f"assay decision 1\n{reference}\n{decision_id}".encode()
