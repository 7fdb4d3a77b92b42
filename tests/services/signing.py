"""Persons with keys, for tests: a file of them, and entries that they sign."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from models.bundle.keys import private_key, public_pem, write_key_pair
from models.bundle.persons import StepRule, read_persons, sign_step
from schemas.lists import ListEntry
from schemas.person import SignedStep
from services.approvals import entering, new_request, with_proofs

PERSONS = {"rosa": "risk-officer", "aron": "admin", "lena": "lead", "ana": "analyst"}


@dataclass(frozen=True, slots=True)
class People:
    """A folder with each one's key, and the file that names them."""

    folder: Path

    @property
    def file(self) -> Path:
        """As ASSAY_PERSONS_FILE names it."""
        return self.folder / "persons.yaml"

    def key_file(self, name: str) -> Path:
        """As ASSAY_PERSONS_KEY_FILE names it."""
        return self.folder / f"{name}.key"

    def rule(self, signatures_min: int = 1) -> StepRule:
        """Who has to sign."""
        return StepRule(read_persons(self.file), signatures_min)

    def signed(self, entries: Sequence[ListEntry], *names: str, keep_h: float = 1.0, **said: Any) -> list[ListEntry]:
        """Entries with these persons' signatures."""
        made = new_request(names[0] if names else "no one", "list", keep_h, entries, **{**entering(entries), **said})
        text = made.statement or ""
        signatures = tuple(sign_step(text, private_key(self.key_file(name), None), name) for name in names)
        return with_proofs(entries, SignedStep(statement=text, signatures=signatures))


def people(folder: Path, persons: Mapping[str, str] = PERSONS) -> People:
    """All of them, with new keys. persons: role by name."""
    listed = [
        {"name": name, "role": role, "public_key": public_pem(write_key_pair(folder / name)).decode()}
        for name, role in persons.items()
    ]
    (folder / "persons.yaml").write_text(yaml.safe_dump({"persons": listed}))
    return People(folder)
