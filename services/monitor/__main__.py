"""python -m services.monitor: wiring only. Settings come from the environment (docs/settings.md)."""

from services.faust_runtime.run import main
from services.monitor.start import run_monitor
from services.monitor.watched import OF_FRAUD
from services.settings.monitor import MonitorSettings


async def start() -> None:
    """Read settings, watch models until asked to stop."""
    await run_monitor(MonitorSettings, OF_FRAUD)


if __name__ == "__main__":
    main(start)
