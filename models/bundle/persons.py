"""Signatures of persons on steps: who has to have signed what, and whether they have."""

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from models.bundle.dsse import signature_holds, signature_of
from models.bundle.files import BundleError
from models.bundle.keys import PrivateKey, PublicKey, fingerprint, public_key
from schemas.approval import StepStatement, Subject
from schemas.control import POLICY_CHANNELS, Control
from schemas.person import SIGNATURES_MAX, Person, Persons, PersonSignature, Role, SignedStep, person_key
from schemas.registry import RegistryEvent

STEP_TYPE = "application/vnd.assay.step+json"
FILE_BYTES_MAX = 4 << 20
SIGNERS: tuple[Role, ...] = ("risk-officer", "admin")
LIST_SIGNERS: tuple[Role, ...] = ("lead", *SIGNERS)


def signers_of(subject: Subject) -> tuple[Role, ...]:
    """Who may sign such a change."""
    return LIST_SIGNERS if subject == "list" else SIGNERS


class PersonsFileError(BundleError):
    """The file of persons cannot be used: one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """Someone of the file, with the key that was read. left_ms: from then on what they sign counts no more."""

    person: Person
    key: PublicKey
    left_ms: float = math.inf

    def has_left(self, at_ms: float) -> bool:
        """Whether what is written at that time carries their signature in vain."""
        return at_ms >= self.left_ms


def read_persons(path: Path) -> dict[str, KnownPerson]:
    """Those of the file, by their key's fingerprint. Raises PersonsFileError."""
    try:
        with path.open("rb") as file:
            content = yaml.safe_load(file.read(FILE_BYTES_MAX))
        listed = Persons.model_validate(_as_given(content)).persons
    except OSError as error:
        raise PersonsFileError(
            f"{path} cannot be read ({error.strerror}): ASSAY_PERSONS_FILE names the persons who sign."
        ) from None
    except (yaml.YAMLError, ValidationError, TypeError, ValueError):
        raise PersonsFileError(
            f"{path} is no file of persons: write `persons:`, and of each one `name`, `role` and `public_key` (PEM); of who "
            "left also `left`, as 2026-11-30 or 2026-11-30T17:00:00Z."
        ) from None
    found: dict[str, KnownPerson] = {}
    for one in listed:
        key = public_key(one.public_key.encode(), f"The key of {one.name} in {path}")
        found[fingerprint(key)] = KnownPerson(one, key, _left_ms(one, path))
    if len(found) != len(listed) or len({person_key(one.name) for one in listed}) != len(listed):
        raise PersonsFileError(f"{path} has a name or a key twice: each person has one of their own.")
    return found


def _as_given(content: Any) -> Any:
    """Lists and days as the strict model takes them: YAML has a type of its own for days."""

    def plain(one: dict[str, Any]) -> dict[str, Any]:
        return {key: value.isoformat() if isinstance(value, date) else value for key, value in one.items()}

    return {"persons": tuple(plain(one) if isinstance(one, dict) else one for one in content["persons"])}


def _left_ms(one: Person, path: Path) -> float:
    """Ms since 1970 UTC; infinite where they have not left. Raises PersonsFileError."""
    if one.left is None:
        return math.inf
    try:
        at = datetime.fromisoformat(one.left)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000
    except (ValueError, OverflowError):
        raise PersonsFileError(
            f"{path} says that {one.name} left on {one.left}, which is no day: correct it, as 2026-11-30."
        ) from None


def sign_step(statement: str, key: PrivateKey, name: str) -> PersonSignature:
    """A person's signature over a statement."""
    signature = base64.b64encode(signature_of(statement.encode(), STEP_TYPE, key)).decode()
    return PersonSignature(by=name, key=fingerprint(key.public_key()), signature=signature)


@dataclass(frozen=True, slots=True)
class StepRule:
    """How many persons have to have signed a promotion, rollback or withdrawal, and whose keys count."""

    persons: Mapping[str, KnownPerson]
    signatures_min: int

    @property
    def digest(self) -> str:
        """SHA-256 of whose keys count until when and how many are needed, hex."""
        listed = sorted(
            [key, one.person.name, one.person.role, *([one.person.left] if one.person.left else [])]
            for key, one in self.persons.items()
        )
        return hashlib.sha256(json.dumps([self.signatures_min, listed]).encode()).hexdigest()

    def signers(self, signed: SignedStep, at_ms: float, roles: Sequence[Role] = SIGNERS) -> list[str]:
        """Names of the persons who signed and may, each once. at_ms: when it was written. roles: who may."""
        return [one.person.name for one in self._signers(signed, roles) if not one.has_left(at_ms)]

    def holding(self, signed: SignedStep, at_ms: float, roles: Sequence[Role] = SIGNERS) -> SignedStep:
        """The same with the signatures alone that hold for what is written at that time, one a person."""
        found = {
            known.person.name: one
            for one in signed.signatures
            if (known := self._signer(signed, one, roles)) and not known.has_left(at_ms)
        }
        return signed.model_copy(update={"signatures": tuple(found.values())[:SIGNATURES_MAX]})

    def _signers(self, signed: SignedStep, roles: Sequence[Role]) -> list[KnownPerson]:
        """Who signed and may, or might until they left, each once."""
        found = [known for one in signed.signatures if (known := self._signer(signed, one, roles))]
        return list({known.person.name: known for known in found}.values())

    def _signer(self, signed: SignedStep, one: PersonSignature, roles: Sequence[Role]) -> KnownPerson | None:
        known = self.persons.get(one.key)
        if known is None or known.person.role not in roles:
            return None
        try:
            signature = base64.b64decode(one.signature, validate=True)
        except binascii.Error:
            return None
        holds = signature_holds(signed.statement.encode(), STEP_TYPE, signature, known.key)
        return known if holds else None

    def statement(self, signed: SignedStep | None, at_ms: float, roles: Sequence[Role] = SIGNERS) -> StepStatement:
        """What enough persons signed. at_ms: when it was written. roles: who may. Raises BundleError where they did not."""
        said, until_ms = self.statement_until(signed, roles)
        if at_ms >= until_ms:
            assert signed is not None, "what is not signed has no statement"
            gone = [one.person for one in self._signers(signed, roles) if one.has_left(at_ms)]
            names = " and ".join(f"{one.name} (left {one.left})" for one in gone)
            raise BundleError(
                f"{self.signatures_min} persons have to sign it, and what {names} signed no longer counts.", "signature"
            )
        return said

    def statement_until(
        self, signed: SignedStep | None, roles: Sequence[Role] = SIGNERS
    ) -> tuple[StepStatement, float]:
        """What enough persons signed, and from when on too few of them are left (ms since 1970 UTC; infinite: never).

        roles: who may. Raises BundleError where too few did.
        """
        if signed is None:
            raise BundleError(
                f"It carries no signature of a person, and {self.signatures_min} are needed.", "signature"
            )
        known = self._signers(signed, roles)
        if len(known) < self.signatures_min:
            who = f"only {' and '.join(one.person.name for one in known)}" if known else "no one of ASSAY_PERSONS_FILE"
            raise BundleError(f"{self.signatures_min} persons have to sign it, and {who} did.", "signature")
        try:
            said = StepStatement.model_validate_json(signed.statement)
        except ValidationError:
            raise BundleError("What persons signed is no step.", "signature") from None
        return said, sorted((one.left_ms for one in known), reverse=True)[self.signatures_min - 1]

    def check_event(self, event: RegistryEvent, subject: Subject, index: int, counted: Sequence[RegistryEvent]) -> None:
        """Raises BundleError where a step of a history may not count. counted: the steps before it, by their places."""
        if event.action == "publish":
            return
        said = self.statement(event.signed, _earliest_ms(event, counted))
        if (said.subject, said.action, said.channel) != (subject, event.action, event.channel):
            raise BundleError("Persons signed another step.", "signature")
        if event.bundle != (said.before if event.action == "withdraw" else said.bundle):
            raise BundleError("Persons signed a step of another bundle.", "signature")
        later = counted[said.registry_steps : index]
        if said.registry_steps > index or any(_same(one, event) for one in later):
            raise BundleError("It was signed before another step of the channel: it is repeated.", "signature")

    def check_command(
        self, command: Control, written_at_ms: int, policies: Subject = "policy", bundles: Subject = "bundle"
    ) -> StepStatement:
        """What persons signed for a command. Raises BundleError.

        written_at_ms: by the broker's clock. policies, bundles: as what persons sign those of the service that is commanded.
        """
        said = self.statement(command.signed, written_at_ms)
        subject, channel = _of_channel(command, policies, bundles)
        if (said.subject, said.channel) != (subject, channel) or said.registry_steps != command.registry_steps:
            raise BundleError("Persons signed another step than this command.", "signature")
        done = command.bundle == said.bundle and command.rollback == _goes_back(said)
        taken_back = command.rollback and command.bundle == said.before and command.replaces == said.bundle
        if not (done or taken_back):
            raise BundleError("Persons signed a command about another bundle.", "signature")
        if written_at_ms >= said.expires_at_ms:
            raise BundleError("What persons signed was over before the command was written.", "signature")
        return said


def _earliest_ms(event: RegistryEvent, counted: Sequence[RegistryEvent]) -> int:
    """When a step was taken at the earliest: a registry has no clock, but no step is before the signed ones that it follows."""
    return max(event.at_ms, *(one.at_ms for one in counted if one.action not in ("publish", "void")), 0)


def _same(one: RegistryEvent, other: RegistryEvent) -> bool:
    return (one.bundle.name, one.channel) == (other.bundle.name, other.channel)


def _goes_back(said: StepStatement) -> bool:
    """Whether its command is a rollback: that of a first promotion empties the champion's channel."""
    return said.action == "rollback" or (said.action == "withdraw" and said.channel == "champion")


def _of_channel(command: Control, policies: Subject, bundles: Subject) -> tuple[Subject, str]:
    for registry, policy in POLICY_CHANNELS.items():
        if command.channel == policy:
            return policies, registry
    return bundles, command.channel
