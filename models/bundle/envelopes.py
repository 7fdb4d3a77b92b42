"""A statement on its way to a person's key and back, where the key's machine does not reach Kafka: a DSSE envelope as JSON.

What is prepared has no signatures yet; what comes back has one. Beside the envelope's own fields stand the entries of a list,
whose root alone the statement names: who signs has to see them.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.bundle.files import BundleError
from models.bundle.keys import PrivateKey, fingerprint
from models.bundle.persons import STEP_TYPE, sign_step
from schemas.base import Digest

ENVELOPE_BYTES_MAX = 4 << 20


class EnvelopeError(BundleError):
    """This is no envelope of a step: one sentence."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What one holds. key: fingerprint of the key that signed, as the envelope says; signature: base64; both None unsigned."""

    statement: str
    entries: tuple[Any, ...] = ()
    key: Digest | None = None
    signature: str | None = None


def prepared(statement: str, entries: Sequence[Any] = ()) -> str:
    """One line of ASCII, to be signed. entries: of a list, as JSON has them."""
    return _written(statement, [], entries)


def signed(statement: str, key: PrivateKey) -> str:
    """The same with a signature, which is all that comes back."""
    one = sign_step(statement, key, "-")
    return _written(statement, [{"keyid": fingerprint(key.public_key()), "sig": one.signature}], ())


def _written(statement: str, signatures: list[dict[str, str]], entries: Sequence[Any]) -> str:
    payload = base64.b64encode(statement.encode()).decode()
    envelope = {"payloadType": STEP_TYPE, "payload": payload, "signatures": signatures}
    return json.dumps(envelope | ({"entries": list(entries)} if entries else {}))


def read_envelope(text: str) -> Envelope:
    """Nothing of it is verified. Raises EnvelopeError."""
    try:
        content = json.loads(text.strip())
        kind, payload, signatures = content["payloadType"], content["payload"], content["signatures"]
        statement = base64.b64decode(payload, validate=True).decode()
        given = [(one["keyid"], one["sig"]) for one in signatures]
        entries = tuple(content.get("entries") or ())
        if not all(isinstance(part, str) for pair in given for part in pair):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error):
        raise EnvelopeError("This is no DSSE envelope of a step.") from None
    if kind != STEP_TYPE:
        raise EnvelopeError("This DSSE envelope is of something else than a step: another signature was taken.")
    if len(given) > 1:
        raise EnvelopeError("This DSSE envelope has several signatures: each person gives their own.")
    key, signature = given[0] if given else (None, None)
    return Envelope(statement, entries, key, signature)
