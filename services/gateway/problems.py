"""Problem details (RFC 9457): every answer that is no decision, each kind with its status and its words."""

import re
from dataclasses import dataclass
from enum import Enum

from schemas import codec
from schemas.answer import FieldError, Problem
from schemas.dead_letter import DeadLetterReason

PATH = re.compile(r" at \$\.([A-Za-z_][\w.\[\]-]*)")
LEADING = re.compile(r"^([A-Za-z_][\w.\[\]]*) (?:is|holds|has) ")
MISSING = re.compile(r"missing required field `([^`]+)`(?: at \$\.([\w.\[\]-]+))?")


class Kind(Enum):
    """Status and title of each kind; its name is its type."""

    MALFORMED = 400, "The request is not what the API takes"
    UNAUTHENTICATED = 401, "Credentials are needed"
    FORBIDDEN = 403, "These credentials may not do that"
    UNKNOWN = 404, "There is nothing here"
    METHOD = 405, "The method is not allowed here"
    AMBIGUOUS = 409, "More than one event has this id"
    REPEATED = 409, "The event was decided before"
    TOO_LARGE = 413, "The request is too large"
    MEDIA_TYPE = 415, "The body is not application/json"
    INVALID = 422, "The event cannot be scored"
    BUSY = 429, "Too many events wait for their score"
    RATE = 429, "Too many requests"
    FAILED = 500, "The gateway failed"
    UNAVAILABLE = 503, "No decisions are made at the moment"

    def __init__(self, status: int, title: str) -> None:
        self.status, self.title = status, title

    def __new__(cls, status: int, title: str) -> "Kind":
        """Kinds of one status are not aliases of each other."""
        kind = object.__new__(cls)
        kind._value_ = (status, title)
        return kind


_problem: type[Problem] = codec.record_type(Problem)
_field: type[FieldError] = codec.record_type(FieldError)


@dataclass
class ProblemError(Exception):
    """A request, or one event of it, that is answered with a problem. retry_after_s: when to try again."""

    kind: Kind
    detail: str
    reason: DeadLetterReason | None = None
    retry_after_s: int | None = None

    def details(self) -> Problem:
        """As the caller gets it, for `codec.encode`."""
        field = field_of(self.detail) if self.kind is Kind.INVALID else None
        return _problem(
            type=f"urn:assay:problem:{self.kind.name.lower().replace('_', '-')}",
            title=self.kind.title,
            status=self.kind.status,
            detail=self.detail,
            reason=self.reason,
            errors=(_field(field=field, detail=self.detail),) if field else (),
        )

    @property
    def headers(self) -> dict[str, str]:
        """Of the response."""
        headers = {"Retry-After": str(self.retry_after_s)} if self.retry_after_s is not None else {}
        if self.kind is Kind.UNAUTHENTICATED:
            headers["WWW-Authenticate"] = 'Bearer realm="assay"'
        return headers


def field_of(detail: str) -> str | None:
    """The path of the field that the parser's words are about; they name fields of the spec alone, never a value."""
    if missing := MISSING.search(detail):
        return ".".join(filter(None, (missing[2], missing[1])))
    if found := (LEADING.match(detail) or PATH.search(detail)):
        return found[1]
    return None
