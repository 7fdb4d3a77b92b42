"""What is simulated."""

from dataclasses import dataclass
from datetime import date


class SimulationError(ValueError):
    """A setting that cannot be simulated: one sentence with the fix."""


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """The handbook's data set by default, under our own seed and dates.

    radius: a customer uses the terminals nearer than this, on a square of 100 x 100. start: first day, UTC, ISO 8601.
    days: how many; None never ends. The first N days are the same whatever `days` is. drift_day: from this day on,
    counted from 0, every customer spends DRIFT_FACTOR times as much; the days before are the same bits without it. rings:
    also frauds of many cards at once, with a device and a payee of each payment (`rings`); the payments are the same otherwise.
    """

    seed: int = 0
    customers: int = 5_000
    terminals: int = 10_000
    radius: float = 5.0
    start: str = "2026-01-01"
    days: int | None = 183
    drift_day: int | None = None
    rings: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise SimulationError(f"seed is {self.seed}; give 0 or more.")
        if not 3 <= self.customers <= 100_000_000:
            raise SimulationError(f"customers is {self.customers}; give 3 to 100,000,000.")
        if not 2 <= self.terminals <= 100_000_000:
            raise SimulationError(f"terminals is {self.terminals}; give 2 to 100,000,000.")
        if not self.radius > 0:
            raise SimulationError(f"radius is {self.radius}; give more than 0.")
        if self.drift_day is not None and self.drift_day < 0:
            raise SimulationError(f"drift_day is {self.drift_day}; give 0 or more.")
        if self.days is not None and self.days < 0:
            raise SimulationError(f"days is {self.days}; give 0 or more.")
        try:
            date.fromisoformat(self.start)
        except ValueError:
            raise SimulationError(f"start is {self.start!r}; give a date such as 2026-01-01.") from None

    @property
    def start_day(self) -> int:
        """First day, in days since 1970-01-01."""
        return date.fromisoformat(self.start).toordinal() - date(1970, 1, 1).toordinal()
