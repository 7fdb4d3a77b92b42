"""The image, built and run: payments are scored, answered, made cases of and shown by services in containers of it."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from services.broker.config import free_port
from tests.deploy.images import USER_ID, Image, Running, built, needs_build_image
from tests.services.console.conftest import PASSWORD, Client
from tests.services.harness import WAIT_S_MAX, payment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    needs_build_image,
]
PAYMENTS = 20_000
OURS = ("/opt/assay", "/opt/numba", "/assay")
OURS_BYTES_MAX = 410_000_000
STARTED = (
    "scorer",
    "intake",
    "entities",
    "profiler",
    "converter",
    "gateway",
    "credit",
    "cases",
    "monitor",
    "credit_monitor",
    "console",
)


@pytest.fixture(scope="module")
def image(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """For the CPU, with the demo's bundle and key."""
    folder = tmp_path_factory.mktemp("image")
    with built("Dockerfile", "assay-test:cpu", kafka_bootstrap, folder) as image:
        image.environment |= {
            "ASSAY_CASES_GROUP": f"t-{folder.name}.cases",
            "ASSAY_GATEWAY_KEYS_FILE": "/var/lib/assay/keys.json",
            "ASSAY_CONSOLE_USERS_FILE": "/var/lib/assay/users.json",
            "ASSAY_CONSOLE_DATABASE_URL": "sqlite:////var/lib/assay/console.db",
        }
        yield image


@pytest.fixture(scope="module")
def services(image: Image) -> Iterator[dict[str, Running]]:
    """Four services that are ready, on topics that a command in the image made."""
    image.run("assay", "topics", "create")
    ports = {name: free_port() for name in ("scorer", "cases", "gateway", "console")}
    variables = {"scorer": "HTTP", "cases": "CASES_HTTP", "gateway": "GATEWAY", "console": "CONSOLE"}
    image.run("assay", "console", "users", "add", "ana", "--role", "lead", "--password-file", "-", text=PASSWORD)
    (image.state / "token").write_text(
        json.loads(image.run("assay", "gateway", "keys", "add", "shop", "--json"))["token"]
    )
    with ExitStack() as stack:
        found = {}
        for name, port in ports.items():
            settings = {f"ASSAY_{variables[name]}_PORT": str(port), "ASSAY_HTTP_HOST": "127.0.0.1"}
            command = ["python", "-m", f"services.{name}"]
            found[name] = stack.enter_context(image.serving(name, command, port, **settings))
        for running in found.values():
            running.wait_ready()
        yield found


def test_an_image_says_who_runs_and_what(image: Image) -> None:
    """And its files belong to others: what runs in it can change nothing of it."""
    assert image.configuration() == {"USER": str(USER_ID), "CMD": "python -m services.scorer"}
    assert image.run("id", "-u") == str(USER_ID)
    assert image.run("find", "/opt/assay", "/opt/numba", "/assay/deploy", "-writable", "!", "-type", "l") == ""
    assert image.run("find", "/opt/assay", "-name", "tests", "-type", "d") == ""
    assert image.run("find", "/opt/assay", "(", "-name", "pip", "-o", "-name", "setuptools", ")", "-type", "d") == ""


def test_an_image_is_no_larger_than_it_has_to_be(image: Image) -> None:
    """What is ours in it, without its base: bytes of files. What is in it: docs/log.md."""
    found = {line.split()[1]: int(line.split()[0]) for line in image.run("du", "-sb", *OURS).splitlines()}
    assert sum(found.values()) < OURS_BYTES_MAX, found


def test_no_container_compiles_python_at_its_start(image: Image) -> None:
    """Bytecode that is older or newer than its source would be there and of no use."""
    loop = f'for name in {" ".join(STARTED)}; do python -v -c "import services.$name.__main__" || exit 1; done'
    said = image.run("sh", "-c", f"({loop}) 2>&1")
    assert said.count("services/scorer/__pycache__/__main__.cpython") >= 2  # read, and used
    assert re.findall(r"^# code object from (/\S+\.py)$", said, re.MULTILINE) == []


def test_payments_become_scores_answers_cases_and_pages(
    image: Image, services: dict[str, Running], kafka_bootstrap: str
) -> None:
    """All of it by services that run as the image's user."""
    for running in services.values():
        assert {process.uids().real for process in running.processes} == {USER_ID}

    asked = payment(1, card="card-of-the-gateway")
    url, token = f"http://127.0.0.1:{services['gateway'].port}", (image.state / "token").read_text()
    headers = {"Authorization": f"Bearer {token}", "Assay-Deadline-Ms": "5000"}
    answer = httpx.post(f"{url}/v1/events", json=asked, headers=headers, timeout=WAIT_S_MAX).json()
    assert (answer["id"], answer["stand_in"]) == (asked["transaction_id"], False), answer
    assert 0 <= answer["score"]["probability"] <= 1

    sent = json.loads(image.run("assay", "simulate", "--count", str(PAYMENTS), "--customers", "1000", "--json"))
    assert sent["records"] == PAYMENTS
    verdict = _settled(image, PAYMENTS + 1)
    assert (verdict["missing"], verdict["duplicate"], verdict["scores"]) == (0, 0, PAYMENTS + 1), verdict

    with Client(base_url=f"http://127.0.0.1:{services['console'].port}", timeout=30) as ana:
        assert ana.login("ana").status_code == 303
        page = ana.get(_first_case(ana)).text
    assert "Confirm fraud" in page
    assert "card-of-the-gateway" not in page


def test_doctor_finds_nothing_wrong_in_an_image(image: Image, services: dict[str, Running]) -> None:
    """Settings, topics, rights, bundle and key, by the image's own command."""
    assert services
    image.run("assay", "doctor")


def _settled(image: Image, inputs: int) -> dict[str, int]:
    until = time.monotonic() + 5 * WAIT_S_MAX
    while True:
        verdict: dict[str, int] = json.loads(image.run("assay", "verify", "--json"))
        if verdict["inputs"] >= inputs and not verdict["lag"]:
            return verdict
        assert time.monotonic() < until, verdict
        time.sleep(1.0)


def _first_case(client: Client) -> str:
    until = time.monotonic() + WAIT_S_MAX
    while not (found := re.search(r'href="(/cases/[^"?#/]+)"', client.get("/queue").text)):
        assert time.monotonic() < until, "no case is shown"
        time.sleep(1.0)
    return found[1]
