"""`assay policy budget`: what each policy line used of its budget, and where its thresholds are."""

import asyncio
from typing import TYPE_CHECKING, Any

from services.cli.bundles.policy import Json
from services.cli.output import print_json, results, shown

if TYPE_CHECKING:
    from schemas.budget import BudgetState

EXAMPLE = "Example: assay policy budget --json"


def budget(json: Json = False) -> None:
    """Show the budget of each policy line as the monitor knows it: used by day, and where the thresholds are now."""
    from services.errors import AssayError

    states = asyncio.run(_states())
    if not states:
        raise AssayError(
            "The monitor knows of no budget: give the policy one (docs/policy.md), promote it, and let the monitor run."
        )
    for state in states:
        found = about(state)
        if json:
            print_json(found)
        else:
            _print(found)


def about(state: "BudgetState") -> dict[str, Any]:
    """One line's budget, for people and programs."""
    from datetime import UTC, date, datetime, timedelta

    from models.policy.budget import ladder_of
    from schemas.budget import STEPS

    sums, per_day = state.sums, state.sums.budget.per_day
    moved = ladder_of(sums.budget).thresholds(state.step).model_dump(exclude_none=True) if state.step >= 0 else None
    days = [
        {
            "day": str(date(1970, 1, 1) + timedelta(days=kept.counted.day)),
            "payments": kept.counted.payments,
            "used": round(kept.counted.used, 2),
            "share_of_budget": round(kept.counted.used / per_day, 4),
            "not_by_moving_thresholds": round(kept.counted.fixed, 2),
        }
        for kept in state.days
    ]
    return {
        "policy": str(sums.policy),
        "group": sums.group,
        "counts": sums.budget.counts,
        "per_day": per_day,
        "time_zone": sums.budget.time_zone,
        "counted_until": datetime.fromtimestamp(state.clock_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M"),
        "bounds": sums.budget.model_dump(include={"probability", "anomaly_percentile"}, exclude_none=True),
        "thresholds": moved,
        "strictness": state.step / STEPS if state.step >= 0 else None,
        "days": days,
    }


def _print(found: dict[str, Any]) -> None:
    from rich.table import Table

    words = str(found["counts"]).replace("_", " ")
    until = f"payments until {found['counted_until']} UTC"
    results.print(shown(f"{found['policy']}: {found['per_day']:g} {words} a day, {found['time_zone']}; {until}"))
    for name, bounds in found["bounds"].items():
        now = f"{found['thresholds'][name]:.6g}" if found["thresholds"] else "the policy's own"
        between = f"between {bounds['lowest']:g} and {bounds['highest']:g}"
        results.print(f"{name.replace('_', ' ')}: {now}, {between}")
    table = Table("day", "payments", "used", "of the budget", "of it not by moving thresholds")
    for day in found["days"]:
        share, fixed = f"{day['share_of_budget']:.0%}", f"{day['not_by_moving_thresholds']:,g}"
        table.add_row(day["day"], f"{day['payments']:,}", f"{day['used']:,g}", share, fixed)
    results.print(table)


async def _states() -> "list[BudgetState]":
    from schemas import codec
    from schemas.budget import BudgetState
    from schemas.topics import MONITOR_BUDGETS
    from services.cli.sending import newest

    found = await newest(MONITOR_BUDGETS, lambda record: codec.read(BudgetState, record.value))
    return [found[line] for line in sorted(found)]
