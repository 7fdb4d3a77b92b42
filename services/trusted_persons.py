"""Persons as the settings name them: whose signatures a step of a registry has to carry, and with which key commands sign."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from models.bundle.persons import KnownPerson, StepRule, read_persons
from models.bundle.registry import StepCheck
from schemas.approval import Subject
from schemas.registry import RegistryEvent
from services.errors import SettingsError
from services.settings.loading import load
from services.settings.persons import PersonsSettings

FOUR_EYES: dict[str, tuple[Subject, ...]] = {
    "bundles": ("bundle", "credit_bundle"),
    "policies": ("policy", "credit_policy"),
    "lists": ("list",),
}


def step_rule() -> StepRule | None:
    """Who has to have signed; None where no one has. Raises SettingsError, BundleError."""
    settings = load(PersonsSettings)
    if not settings.signatures_min:
        return None
    if settings.file is None:
        raise SettingsError(
            "ASSAY_PERSONS_SIGNATURES_MIN needs ASSAY_PERSONS_FILE: the persons whose signatures count."
        )
    return StepRule(
        _persons(settings.file, settings.file.stat().st_mtime_ns if settings.file.exists() else 0),
        settings.signatures_min,
    )


@cache
def _persons(path: Path, _: int) -> dict[str, KnownPerson]:
    """Read once for each state of the file."""
    return read_persons(path)


def step_check(subject: Subject) -> StepCheck | None:
    """What a registry asks about each step; None where every step counts. Raises SettingsError, BundleError."""
    rule = step_rule()
    if rule is None:
        return None

    def check(event: RegistryEvent, index: int, counted: Sequence[RegistryEvent]) -> None:
        rule.check_event(event, subject, index, counted)

    return check


def needs_second(subject: Subject) -> bool:
    """Whether such a change waits for a second person. Raises SettingsError."""
    settings = load(PersonsSettings)
    names = [name.strip() for name in settings.four_eyes.split(",") if name.strip()]
    if unknown := [name for name in names if name not in FOUR_EYES]:
        raise SettingsError(
            f"ASSAY_PERSONS_FOUR_EYES={unknown[0]} is nothing that can wait: {', '.join(FOUR_EYES)} can."
        )
    asked = any(subject in FOUR_EYES[name] for name in names)
    return asked or settings.signatures_min > 1
