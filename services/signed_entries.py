"""Entries of lists that count only with the signatures of persons: what scorers, replays and commands ask of each record.

An entry counts where enough persons signed the statement whose root its path leads to, where that statement was not over when
the broker wrote the record, and where the list says nothing newer of it yet: so what was signed once cannot be repeated later.
"""

from typing import Protocol

import numpy as np

from models.bundle.files import BundleError
from models.bundle.persons import LIST_SIGNERS, StepRule
from models.lists.proofs import root_by
from models.lists.texts import TextSet, hashes_of
from schemas import codec
from schemas.approval import StepStatement
from schemas.lists import ListEntry, entry_key
from services.errors import AssayError
from services.trusted_persons import step_rule

STATEMENTS_MAX = 1_000
"""Checked statements that are kept: a command writes many entries under one."""

NAME_CHARS = 16

_decode = codec.decoder(ListEntry)


class ListRecord(Protocol):
    """What is asked of a record of `lists`."""

    @property
    def key(self) -> bytes | None:
        """Which entry."""

    @property
    def value(self) -> bytes | None:
        """What is said of it."""

    @property
    def timestamp(self) -> int:
        """When the broker wrote it, ms since 1970 UTC."""


class EntryGuard:
    """Judges the records of `lists` in their order. The same records in the same order give the same answers."""

    def __init__(self, rule: StepRule) -> None:
        self._rule = rule
        self.name = rule.digest[:NAME_CHARS]
        """By which outputs say whose signatures counted."""
        self._statements: dict[tuple[str, tuple[str, ...]], tuple[StepStatement, float]] = {}
        self._newest = TextSet()
        """Keys, each with the time that its last entry names."""

    def check(self, record: ListRecord) -> None:
        """Raises RejectedError where a record does not count, in words without its value."""
        if not record.value:
            raise codec.SchemaError("It deletes an entry, which no person signs: `assay lists remove` takes one back.")
        entry = _decode(record.value)
        key = entry_key(entry)
        if record.key != key:
            raise codec.SchemaError("the key is not the entry's")
        if entry.proof is None:
            raise codec.SchemaError(f"It carries no signature of a person; {self._rule.signatures_min} are needed.")
        (said, until_ms), proof = self._statement(entry), entry.proof
        if said.subject != "list" or said.line != entry.list_name or said.entries is None:
            raise codec.SchemaError("Persons signed something else than this entry.")
        if root_by(entry, proof.place, proof.count, proof.path) != said.entries:
            raise codec.SchemaError("Persons signed other entries than this one.")
        if record.timestamp >= said.expires_at_ms:
            raise codec.SchemaError("What persons signed was over before the record was written.")
        if record.timestamp >= until_ms:
            raise codec.SchemaError("It was written after who signed it had left, and others have to sign it.")
        text = key.decode()
        if self._newest.contains([text], hashes_of([text]), np.array([entry.written_at_ms]))[0]:
            raise codec.SchemaError("The list says something newer of this entry already: it is repeated.")
        self._newest.put(text, entry.written_at_ms)

    def _statement(self, entry: ListEntry) -> tuple[StepStatement, float]:
        """What enough persons signed, and until when enough of them had not left; read once. Raises SchemaError."""
        assert entry.proof is not None
        signed = entry.proof.signed
        named = signed.statement, tuple(f"{one.key} {one.signature}" for one in signed.signatures)
        found = self._statements.get(named)
        if found is None:
            try:
                found = self._rule.statement_until(signed, LIST_SIGNERS)
            except BundleError as error:
                raise codec.SchemaError(str(error)) from None
            if len(self._statements) >= STATEMENTS_MAX:
                del self._statements[next(iter(self._statements))]
            self._statements[named] = found
        return found


def entry_guard() -> EntryGuard | None:
    """A new judge of a topic's records, as the settings ask for one; None where every entry counts. Raises AssayError."""
    try:
        rule = step_rule()
    except BundleError as error:
        raise AssayError(str(error)) from None
    return None if rule is None else EntryGuard(rule)
