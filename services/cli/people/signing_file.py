"""Signs what the console prepared, on a machine that has a person's key and need not reach Kafka."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from models.bundle.envelopes import ENVELOPE_BYTES_MAX, Envelope, EnvelopeError, read_envelope, signed
from models.bundle.keys import fingerprint, private_key
from models.bundle.persons import read_persons
from schemas import codec
from schemas.approval import ApprovalRecord, StepStatement
from schemas.lists import ListEntry
from services.approvals import Request, digest_of, requests_of
from services.cases.rules import moment
from services.cli.bundles.bundle import PASSWORD
from services.cli.output import notes, shown
from services.cli.people.lists_shown import show_entries
from services.clock import wall_ms
from services.errors import AssayError
from services.settings.loading import load
from services.settings.persons import PersonsSettings

if TYPE_CHECKING:
    from models.bundle.keys import PrivateKey


def sign_prepared(file: Path, key_file: Path | None) -> str:
    """The envelope with the signature, once what it says was shown. Raises AssayError, BundleError."""
    envelope = _read(file)
    request = _request(envelope)
    key = _key(key_file or load(PersonsSettings).key_file)
    said = request.statement
    notes.print(f"You sign request {request.request_id}: {shown(request.words())}.", markup=False)
    if said.bundle is not None:
        notes.print(f"Digest: {said.bundle.digest}.", markup=False)
    why = f" ({shown(said.why)})" if said.why else ""
    notes.print(f"Asked for by {shown(said.by)}{why}; over at {moment(said.expires_at_ms)}.", markup=False)
    if request.record.entries:
        show_entries(list(request.record.entries), notes)
    notes.print("Nothing was sent: paste what follows into the request's page.", markup=False)
    return signed(envelope.statement, key)


def _read(file: Path) -> Envelope:
    try:
        if str(file) == "-":
            text = sys.stdin.read(ENVELOPE_BYTES_MAX + 1)
        else:
            with file.open(encoding="utf-8") as opened:
                text = opened.read(ENVELOPE_BYTES_MAX + 1)
    except OSError as error:
        raise AssayError(f"{file} cannot be read ({error.strerror}): the page of the request gives it.") from None
    except UnicodeDecodeError:
        text = ""
    try:
        envelope = read_envelope(text)
    except EnvelopeError as error:
        raise AssayError(f"{error} The console's page of the request gives the file to sign.") from None
    if envelope.signature is not None:
        raise AssayError(
            "This is signed already: paste it into the request's page, or sign the file that the page gives."
        )
    return envelope


def _request(envelope: Envelope) -> Request:
    """What the statement asks for, with the entries whose root it names. Raises AssayError."""
    try:
        said = codec.read(StepStatement, envelope.statement.encode())
        entries = tuple(codec.read(ListEntry, json.dumps(one).encode()) for one in envelope.entries)
        record = codec.checked(
            ApprovalRecord,
            {
                "request_id": said.request_id,
                "kind": "request",
                "by": said.by,
                "at_ms": said.at_ms,
                "digest": digest_of(envelope.statement),
                "statement": envelope.statement,
                "entries": entries,
            },
        )
    except codec.RejectedError:
        raise AssayError("What is to be signed is no step: take the file from the console's page again.") from None
    request = requests_of([record]).get(said.request_id)
    if request is None:
        raise AssayError(
            "The entries in the file are not those that the statement is about: sign nothing, and tell who runs the console."
        )
    if wall_ms() >= said.expires_at_ms:
        raise AssayError(f"Request {said.request_id} was over at {moment(said.expires_at_ms)}: ask again.")
    return request


def _key(key_file: Path | None) -> "PrivateKey":
    if key_file is None:
        raise AssayError("No key is named: give --key, or set ASSAY_PERSONS_KEY_FILE.")
    key, persons = private_key(key_file, os.environ.get(PASSWORD)), load(PersonsSettings).file
    if persons is None:
        return key
    known = read_persons(persons).get(fingerprint(key.public_key()))
    if known is None:
        raise AssayError(f"{persons} has no person with the key of {key_file}: add them, or take another key.")
    if known.has_left(wall_ms()):
        raise AssayError(
            f"{persons} says that {known.person.name} left ({known.person.left}): their signature no longer counts."
        )
    return key
