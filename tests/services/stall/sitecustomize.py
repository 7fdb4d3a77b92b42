"""Put before a process's path: its fetches of an input get no answer any more while the file STALL_FETCHES_FILE is there.

The first that gets none leaves a file of that name with `.stalled` behind it.
"""

import asyncio
import os
from typing import Any

if os.environ.get("STALL_FETCHES_FILE"):
    from aiokafka.consumer.fetcher import Fetcher

    def stalls() -> bool:
        """Whether the file is there."""
        return os.path.exists(os.environ["STALL_FETCHES_FILE"])

    def mark() -> None:
        """Leave word that a fetch gets no answer."""
        open(os.environ["STALL_FETCHES_FILE"] + ".stalled", "w").close()

    answered = Fetcher._proc_fetch_request

    async def _stalled(fetcher: Any, assignment: Any, node_id: int, request: Any) -> Any:
        if stalls() and "transactions" in str(request.__dict__):
            mark()
            await asyncio.get_running_loop().create_future()
        return await answered(fetcher, assignment, node_id, request)

    Fetcher._proc_fetch_request = _stalled
