"""One case service and one console on the real broker for each module, with cases to work on, and clients."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.alert import ShownAttribute
from services.clock import wall_ms
from services.console.roles import ROLES
from services.console.users import make_user, write_users
from tests.services.cases.test_stream import alert, cases, in_cases, send_alerts
from tests.services.harness import Stream

PASSWORD = "correct horse battery"  # noqa: S105
HOSTILE = '"><script>alert(1)</script>{{7*7}}'
CARDS = 24


def alerts() -> list[Any]:
    """Of many cards, some with two alerts, on shared places and devices."""
    found = []
    for number in range(CARDS):
        shown = (ShownAttribute(name="device", words="Device", text=f"device-{number % 5}"),)
        for turn in range(1 + number % 3):
            changes = {"amount": 40.0 + 95.5 * number, "probability": min(0.99, 0.3 + number / 30), "attributes": shown}
            found.append(alert(number + 7 * turn, f"card-pseudonym-{number:04d}", **changes))
    return found


def hostile() -> Any:
    """An alert whose every text field is an attack."""
    shown = (ShownAttribute(name="device", words=HOSTILE, text=HOSTILE),)
    one = alert(3, f"card{HOSTILE}", terminal_id=HOSTILE, transaction_id=f"tx{HOSTILE}", attributes=shown, amount=9e6)
    return one.model_copy(update={"reasons": (one.reasons[0].model_copy(update={"text": HOSTILE}),)})


class Client(httpx.Client):
    """A browser without JavaScript: it keeps cookies, and posts forms with the token of the page."""

    def login(self, name: str, password: str = PASSWORD) -> httpx.Response:
        """As the login page does it."""
        token = re.search(r'name="token" value="([^"]+)"', self.get("/login").text)
        assert token
        return self.post("/login", data={"token": token[1], "name": name, "password": password})

    @property
    def csrf(self) -> str:
        """The token of the session's forms."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.get("/queue").text)
        assert found
        return found[1]

    def submit(self, path: str, **fields: Any) -> httpx.Response:
        """Post a form."""
        return self.post(path, data={"csrf": self.csrf, **fields})


@dataclass
class Office:
    """A console that runs, and what it stands on."""

    url: str
    stream: Stream
    console: Any
    environment: dict[str, str]

    def restart(self) -> None:
        """Another process on the same database."""
        self.console = self.stream.service("services.console", **self.environment)
        wait(self.console, lambda: "console.started" in self.console.log())
        self.url = f"http://{address(self.console.log())}"

    def client(self, name: str | None = None) -> Client:
        """Someone; logged in where they have a name."""
        one = Client(base_url=self.url, timeout=30)
        if name:
            assert one.login(name).status_code == 303
        return one

    def cases(self) -> dict[str, Any]:
        """As the topic has them."""
        return asyncio.run(cases(self.stream))

    def open_case(self) -> str:
        """One that no one has touched."""
        untouched = [one for one in self.cases().values() if one.state == "open" and not one.history]
        return min(untouched, key=lambda case: case.priority).case_id


@pytest.fixture(scope="module")
def users_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One user of each role, and two more analysts."""
    path = tmp_path_factory.mktemp("users") / "users.json"
    names = {role: role for role in ROLES} | {"ana": "analyst", "ben": "analyst"}
    one = make_user("someone", "viewer", PASSWORD, wall_ms())
    write_users(path, [one.model_copy(update={"name": name, "role": role}) for name, role in names.items()])
    return path


@pytest.fixture(scope="module")
def office(kafka_bootstrap: str, users_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The console over cases of real alerts."""
    directory = tmp_path_factory.mktemp("console")
    stream = Stream(kafka_bootstrap, f"t-{directory.name}-{wall_ms()}.", directory)
    asyncio.run(stream.create())
    service = stream.service("services.cases")
    environment = {
        "ASSAY_CONSOLE_PORT": "0",
        "ASSAY_CONSOLE_USERS_FILE": str(users_file),
        "ASSAY_CONSOLE_DATABASE_URL": f"sqlite:///{directory}/console.db",
        "ASSAY_CONSOLE_UNDO_S": "2",
    }
    found = [*alerts(), hostile()]
    asyncio.run(send_alerts(stream, found))
    console = stream.service("services.console", **environment)
    try:
        wait(service, lambda: asyncio.run(in_cases(stream)) == len(found))
        wait(console, lambda: "console.started" in console.log())
        office = Office(f"http://{address(console.log())}", stream, console, environment)
        admin = office.client("admin")
        wait(console, lambda: f"<b>{CARDS + 1}</b> open" in admin.get("/queue").text)
        yield office
    finally:
        stream.close()


def address(log: str) -> str:
    """Where it serves, as its log says."""
    line = next(line for line in log.splitlines() if "console.started" in line)
    return str(json.loads(line)["http"]) if line.startswith("{") else re.search(r"http=['\"]?([\d.:]+)", line)[1]  # type: ignore[index]


def wait(process: Any, done: Callable[[], bool]) -> None:
    """For what a process is about to do."""
    deadline_s = time.monotonic() + 90
    while not done():
        assert process.returncode is None, process.log()[-3000:]
        assert time.monotonic() < deadline_s, process.log()[-3000:]
        time.sleep(0.1)
