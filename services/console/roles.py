"""Roles, and what each may do. Every route names one permission."""

from typing import Literal

from schemas.person import ROLES, Role

__all__ = ["MAY", "ROLES", "Permission", "Role", "may"]

Permission = Literal["look", "work", "decide", "overrule", "list", "unmask", "approve", "oversee", "promote"]

Permissions = frozenset[Permission]

_VIEWER: Permissions = frozenset(("look",))
_ANALYST: Permissions = frozenset(("look", "work", "decide"))
_LEAD: Permissions = _ANALYST.union(("overrule", "list", "unmask", "approve", "oversee", "promote"))

MAY: dict[Role, Permissions] = {
    "viewer": _VIEWER,
    "analyst": _ANALYST,
    "lead": _LEAD,
    "risk-officer": _VIEWER.union(("unmask", "approve", "oversee", "promote")),
    "admin": _LEAD,
}
"""look: queue, cases, search. work: take, note, escalate, snooze. decide: confirm, dismiss. overrule: decide or
assign against another. list: add to lists. unmask: see whole ids and sealed attributes of a case, for a reason.
approve: be the second person where a change needs one. oversee: figures of models, policies and money.
promote: ask for a model or policy to be activated, and send what everybody signed who has to. An admin is a lead:
users are kept by `assay console users`."""


def may(role: Role, permission: Permission) -> bool:
    """Whether a user of the role may do it."""
    return permission in MAY[role]
