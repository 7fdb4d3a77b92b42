"""A signature that someone pastes into a page: verified against the persons' public keys before anything is written. Pure."""

import base64
import binascii

from models.bundle.dsse import signature_holds
from models.bundle.envelopes import Envelope, EnvelopeError, read_envelope
from models.bundle.persons import STEP_TYPE, KnownPerson, StepRule, signers_of
from schemas import codec
from schemas.approval import StepStatement
from schemas.person import PersonSignature, same_person
from services.approvals import Request

SIGNATURE_CHARS_MAX = 200


class SignatureError(Exception):
    """Why a signature is not taken: one sentence that says what to do."""


def usable_signature(pasted: str, request: Request, rule: StepRule, by: str, now_ms: int) -> PersonSignature:
    """The signature, where it is of this request by who pastes it, counts now, and is new. by: who is signed in.

    Raises SignatureError.
    """
    if not pasted.strip():
        raise SignatureError("Paste what `assay approvals sign-file` printed, or choose the file that holds it.")
    try:
        envelope = read_envelope(pasted)
    except EnvelopeError as error:
        raise SignatureError(f"{error} Paste the whole output of `assay approvals sign-file`.") from None
    if envelope.key is None or envelope.signature is None:
        raise SignatureError("This is what is to be signed, without a signature yet: sign it where your key is.")
    _check_text(envelope, request)
    known = rule.persons.get(envelope.key)
    if known is None:
        raise SignatureError(
            "The key that signed it is no known person's: sign with the key that ASSAY_PERSONS_FILE has."
        )
    _check_person(known, request, by, now_ms)
    if not _holds(envelope, known):
        raise SignatureError(f"The signature is not {known.person.name}'s over this request: sign it again.")
    if any(same_person(one.by, known.person.name) for one in request.signed(rule).signatures):
        raise SignatureError(f"{known.person.name} has signed this already: another person has to.")
    return PersonSignature(by=known.person.name, key=envelope.key, signature=envelope.signature)


def _check_text(envelope: Envelope, request: Request) -> None:
    """That it is of this request, byte for byte."""
    if envelope.statement == request.text:
        return
    try:
        other = codec.read(StepStatement, envelope.statement.encode()).request_id
    except codec.RejectedError:
        raise SignatureError("What was signed is no request: sign the file of this page.") from None
    if other != request.request_id:
        raise SignatureError(f"This is the signature of request {other}, and signs nothing of this one.")
    raise SignatureError("What was signed says something else than this request: sign the file of this page.")


def _check_person(known: KnownPerson, request: Request, by: str, now_ms: int) -> None:
    """That the key is of who is signed in, who is still here and may."""
    person, subject = known.person, request.statement.subject
    if not same_person(person.name, by):
        raise SignatureError(
            f"This is {person.name}'s key, and you are signed in as {by}: each person gives their own."
        )
    if known.has_left(now_ms):
        raise SignatureError(f"{person.name} left ({person.left}): what they sign no longer counts.")
    if person.role not in signers_of(subject):
        words = " or ".join(signers_of(subject))
        raise SignatureError(f"{person.name} ({person.role}) may not sign this: {words} may.")


def _holds(envelope: Envelope, known: KnownPerson) -> bool:
    assert envelope.signature is not None, "who calls looks first"
    if len(envelope.signature) > SIGNATURE_CHARS_MAX:
        return False
    try:
        signature = base64.b64decode(envelope.signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return signature_holds(envelope.statement.encode(), STEP_TYPE, signature, known.key)
