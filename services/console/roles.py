"""Roles, and what each may do. Every route names one permission."""

from typing import Literal, get_args

Role = Literal["viewer", "analyst", "lead", "risk-officer", "admin"]
Permission = Literal["look", "work", "decide", "overrule", "list", "oversee"]

ROLES: tuple[Role, ...] = get_args(Role)

Permissions = frozenset[Permission]

_VIEWER: Permissions = frozenset(("look",))
_ANALYST: Permissions = frozenset(("look", "work", "decide"))
_LEAD: Permissions = _ANALYST.union(("overrule", "list", "oversee"))

MAY: dict[Role, Permissions] = {
    "viewer": _VIEWER,
    "analyst": _ANALYST,
    "lead": _LEAD,
    "risk-officer": _VIEWER.union(("oversee",)),
    "admin": _LEAD,
}
"""look: queue, cases, search. work: take, note, escalate, snooze. decide: confirm, dismiss. overrule: decide or
assign against another. list: add to lists. oversee: figures of models, policies and money. An admin is a lead: users are kept
by `assay console users`."""


def may(role: Role, permission: Permission) -> bool:
    """Whether a user of the role may do it."""
    return permission in MAY[role]
