"""Roles, and what each may do. Every route names one permission."""

from typing import Literal, get_args

Role = Literal["viewer", "analyst", "lead", "risk-officer", "admin"]
Permission = Literal["look", "work", "decide", "overrule", "bulk", "list", "unmask", "audit"]

ROLES: tuple[Role, ...] = get_args(Role)

Permissions = frozenset[Permission]

_VIEWER: Permissions = frozenset(("look",))
_ANALYST: Permissions = frozenset(("look", "work", "decide"))
_LEAD: Permissions = _ANALYST.union(("overrule", "bulk", "list", "unmask"))

MAY: dict[Role, Permissions] = {
    "viewer": _VIEWER,
    "analyst": _ANALYST,
    "lead": _LEAD,
    "risk-officer": _VIEWER.union(("unmask", "audit")),
    "admin": _LEAD.union(("audit",)),
}
"""look: queue, cases, search, overview. work: take, note, escalate, snooze. decide: confirm, dismiss. overrule: decide or
assign against another. bulk: many at once. list: put a card on a list. unmask: whole ids, for a reason. audit: who saw what."""


def may(role: Role, permission: Permission) -> bool:
    """Whether a user of the role may do it."""
    return permission in MAY[role]
