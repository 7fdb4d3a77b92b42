"""Personal attributes in alerts and cases, sealed per subject: once the subject is erased, nothing of them can be read."""

from collections.abc import Iterable
from typing import NamedTuple

from schemas.alert import Alert, ShownAttribute
from schemas.case import Case
from services.privacy.sealed_decisions import Was
from services.privacy.sealed_text import seal, unseal
from services.privacy.subject_keys import SubjectKey, SubjectKeys

SEALED_WORDS = "sealed"
"""In place of the text."""


class SealedFor(NamedTuple):
    """For whom an event's personal attributes are sealed."""

    key: SubjectKey
    master_id: str
    transaction_id: str

    def text(self, name: str, text: str) -> str:
        """One attribute's text, sealed."""
        return seal(text.encode(), _bound(self.key.reference, self.transaction_id, name), self.key, self.master_id)


class OpenedAlert(NamedTuple):
    """An alert, and whether its attributes opened."""

    alert: Alert
    was: Was


def opened_alert(alert: Alert, keys: SubjectKeys) -> OpenedAlert:
    """The alert with its attributes in clear, as far as they open. Raises AssayError, SubjectKeysError as `unseal`."""
    shown, was = _opened(alert.attributes, alert.card_id, alert.transaction_id, keys)
    return OpenedAlert(alert.model_copy(update={"attributes": shown}), was)


def opened_case(case: Case, keys: SubjectKeys) -> Case:
    """The case with its alerts' attributes in clear, as far as they open. Raises AssayError, SubjectKeysError as `unseal`."""
    listed = tuple(
        one.model_copy(
            update={"attributes": _opened(one.attributes, case.card_id, one.transaction_id, keys)[0]},
        )
        for one in case.listed
    )
    return case.model_copy(update={"listed": listed})


def _opened(
    attributes: Iterable[ShownAttribute], card_id: str, transaction_id: str, keys: SubjectKeys
) -> tuple[tuple[ShownAttribute, ...], Was]:
    reference, found, was = keys.reference(card_id), [], set[Was]()
    for one in attributes:
        if one.sealed is None:
            found.append(one)
            continue
        bound = _bound(reference, transaction_id, one.name)
        part = unseal(one.sealed, reference, bound, keys, f"{one.name} of {transaction_id}")
        if isinstance(part, bytes):
            found.append(one.model_copy(update={"text": part.decode(), "sealed": None}))
            was.add("opened")
        else:
            found.append(one)
            was.add(part)
    order: tuple[Was, ...] = ("changed", "erased", "opened")
    return tuple(found), next((one for one in order if one in was), "plain")


def _bound(reference: str, transaction_id: str, name: str) -> bytes:
    return f"assay alert attribute 1\n{reference}\n{transaction_id}\n{name}".encode()
