"""What one would write instead of a gateway, a log and a scorer: FastAPI and ONNX Runtime, a dictionary for the history.

`python -m tests.benchmarks.answers_plain` serves on a free port until SIGTERM, and prints its address first.
"""

import socket

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from tests.benchmarks.common import OUTPUTS, Payment, matrix, session


class Event(BaseModel):
    """A payment."""

    transaction_id: str
    event_time_ms: int
    card_id: str
    terminal_id: str
    amount: float


def main() -> None:
    """Serve."""
    app, scoring = FastAPI(), session()
    (given,) = scoring.get_inputs()

    @app.post("/v1/events")
    async def decide(event: Event) -> dict[str, object]:
        row = matrix([Payment(**event.model_dump())], given.shape[1])
        probability, error = (float(output.ravel()[0]) for output in scoring.run(OUTPUTS, {given.name: row}))
        return {"id": event.transaction_id, "probability": probability, "reconstruction_error": error}

    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run([listening])


if __name__ == "__main__":
    main()
