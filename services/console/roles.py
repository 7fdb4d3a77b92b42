"""Roles, and what each may do. Every route names one permission."""

from typing import Literal, get_args

Role = Literal["viewer", "analyst", "lead", "risk-officer", "admin"]
Permission = Literal["look", "work", "decide", "overrule", "bulk", "list", "unmask", "audit"]

ROLES: tuple[Role, ...] = get_args(Role)

_VIEWER: frozenset[Permission] = frozenset({"look"})
_ANALYST = _VIEWER | {"work", "decide"}
_LEAD = _ANALYST | {"overrule", "bulk", "list", "unmask"}

MAY: dict[Role, frozenset[Permission]] = {
    "viewer": _VIEWER,
    "analyst": _ANALYST,
    "lead": _LEAD,
    "risk-officer": _VIEWER | {"unmask", "audit"},
    "admin": _LEAD | {"audit"},
}
"""look: queue, cases, search, overview. work: take, note, escalate, snooze. decide: confirm, dismiss. overrule: decide or
assign against another. bulk: many at once. list: put a card on a list. unmask: whole ids, for a reason. audit: who saw what."""


def may(role: Role, permission: Permission) -> bool:
    """Whether a user of the role may do it."""
    return permission in MAY[role]
