"""Where two policies differ, by name: for people who decide which one is to decide."""

from typing import Any

from schemas.policy import Policy, Rule

PARTS = ("description", "lists", "attributes", "thresholds", "budget", "actions", "stand_in")


def differences(old: Policy | None, new: Policy | None) -> dict[str, tuple[Any, Any]]:
    """Name -> the old and the new; None where one of them has it not. Without a policy there is nothing of its own."""
    one, two = (_flat(policy) if policy is not None else {} for policy in (old, new))
    names = [*one, *(name for name in two if name not in one)]
    return {name: (one.get(name), two.get(name)) for name in names if one.get(name) != two.get(name)}


def _flat(policy: Policy) -> dict[str, str]:
    values = {f"rule {rule.name}": _said(rule) for rule in policy.rules}
    content = policy.model_dump(mode="json")
    for part in PARTS:
        given = content[part]
        if isinstance(given, dict):
            values |= {f"{part} {name}": str(value) for name, value in given.items() if value is not None}
        elif given:
            values[part] = ", ".join(map(str, given)) if isinstance(given, list) else str(given)
    return values


def _said(rule: Rule) -> str:
    share = "" if rule.share == 1.0 else f", of {rule.share:.0%}"
    state = "" if rule.state == "on" else f" ({rule.state})"
    return f"{rule.action}{state} where {rule.condition}{share}: {rule.words}"
