"""How Faust recovers its tables and continues, without the races in which it loses fetched records or waits for ever.

Each override names the fault of the library that it is about; docs/decisions/0088 has the measurements.
"""

import asyncio
from typing import Any

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery, ServiceStopped


class _End(asyncio.Event):
    """That the tables are read. The library clears it as soon as it has set it, and misses it where it waits a moment later."""

    def clear(self) -> None:
        """Only `begin` does."""

    def begin(self) -> None:
        """Of a new recovery."""
        super().clear()


class SideRecovery(Recovery):  # type: ignore[misc]
    """Reads tables back, then lets the agents' partitions flow."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._end = _End()

    @property
    def signal_recovery_end(self) -> asyncio.Event:
        """That the tables are read."""
        return self._end

    def _set_recovery_started(self) -> None:
        super()._set_recovery_started()
        self._end.begin()

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109  (the name is the base class's)
        """As shipped, a request that takes too long is taken for a stop of the service: no recovery ever comes again."""
        try:
            await super()._wait(coro, timeout)
        except ServiceStopped:
            if not self.should_stop:
                raise TimeoutError from None
            raise

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """As shipped, partitions flow before they are sought and the agents' queues are cleared: what was fetched in between is
        never processed, and may be committed past."""
        await self.app.on_rebalance_complete.send()
        self._set_recovery_ended()
        for table in self.tables.values():
            await table.on_recovery_completed(self.actives_for_table[table], self.standbys_for_table[table])
        self.app.flow_control.resume()  # clears the queues
        await self._flow(generation_id)

    async def _resume_streams(self, generation_id: int = 0) -> None:
        """The same, of an app without tables."""
        await self.app.on_rebalance_complete.send()
        self.app.flow_control.resume()
        await self._flow(generation_id)

    async def _flow(self, generation_id: int) -> None:
        """Seek, and only then let records come. Nothing is awaited between the last check and the first record."""
        app, consumer = self.app, self.app.consumer
        await self._wait(consumer.seek_committed(), timeout=app.conf.broker_request_timeout)
        if app.consumer_generation_id != generation_id:
            return  # partitions come or go again, and with them another recovery
        consumer.resume_partitions({tp for tp in consumer.assignment() if not self._is_changelog_tp(tp)})
        self.completed.set()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        if not app.assignor.assigned_standbys():
            self.tables.on_standbys_ready()
        app.on_rebalance_end()


class SideTables(TableManager):  # type: ignore[misc]
    """The tables of an app, recovered by `SideRecovery`."""

    _recovery: SideRecovery | None = None

    @property
    def recovery(self) -> SideRecovery:
        """Reads them back."""
        if self._recovery is None:
            self._recovery = SideRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
