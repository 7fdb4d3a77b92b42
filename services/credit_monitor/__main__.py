"""python -m services.credit_monitor: wiring only. Settings come from the environment (docs/settings.md)."""

from services.faust_runtime.run import main
from services.monitor.start import run_monitor
from services.monitor.watched import OF_CREDIT
from services.settings.monitor import CreditMonitorSettings


async def start() -> None:
    """Read settings, watch the models that judge applications until asked to stop."""
    await run_monitor(CreditMonitorSettings, OF_CREDIT)


if __name__ == "__main__":
    main(start)
