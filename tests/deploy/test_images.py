"""The images, built and run: payments are scored, answered, made cases of and shown by services in containers of them."""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import httpx
import pytest
import s3fs

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
OURS_BYTES_MAX, SLIM_BYTES_MAX = 398_000_000, 186_000_000
SLIM = ("gateway", "console", "cases", "monitor")
COMPUTING = ("scorer", "intake", "entities", "profiler", "credit")
VARIABLES = {
    "scorer": "HTTP", "gateway": "GATEWAY", "console": "CONSOLE", "cases": "CASES_HTTP", "monitor": "MONITOR_HTTP",
}  # fmt: skip


@pytest.fixture(scope="module")
def image(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """For the CPU, with the demo's bundle and key."""
    folder = tmp_path_factory.mktemp("image")
    with built("Dockerfile", "assay-test:cpu", kafka_bootstrap, folder) as image:
        image.environment |= {
            "ASSAY_CASES_GROUP": f"t-{folder.name}.cases",
            "ASSAY_MONITOR_GROUP": f"t-{folder.name}.monitor",
            "ASSAY_GATEWAY_KEYS_FILE": "/var/lib/assay/keys.json",
            "ASSAY_CONSOLE_USERS_FILE": "/var/lib/assay/users.json",
            "ASSAY_CONSOLE_DATABASE_URL": "sqlite:////var/lib/assay/console.db",
        }
        yield image


@pytest.fixture(scope="module")
def slim(image: Image) -> Iterator[Image]:
    """Without what computes: the stage before the last, on the same topics and volume."""
    slim = replace(image, name=f"{image.name}-slim", containers=[])
    yield slim
    slim.remove_containers()


@pytest.fixture(scope="module")
def topics(image: Image) -> Image:
    """The image, once a command in it made the topics, a user and a key of the gateway."""
    image.run("assay", "topics", "create")
    image.run("assay", "console", "users", "add", "ana", "--role", "lead", "--password-file", "-", text=PASSWORD)
    (image.state / "token").write_text(
        json.loads(image.run("assay", "gateway", "keys", "add", "shop", "--json"))["token"]
    )
    return image


@pytest.fixture(scope="module")
def services(topics: Image, slim: Image) -> Iterator[dict[str, Running]]:
    """The scorer, and those that do without what it needs, in the image without it: all ready."""
    with ExitStack() as stack:
        found = started(topics, ("scorer",), stack) | started(slim, SLIM, stack)
        for running in found.values():
            running.wait_ready()
        yield found


def started(image: Image, names: tuple[str, ...], stack: ExitStack) -> dict[str, Running]:
    """Services in containers, until the stack is closed."""
    found = {}
    for name in names:
        port = free_port()
        settings = {f"ASSAY_{VARIABLES[name]}_PORT": str(port), "ASSAY_HTTP_HOST": "127.0.0.1"}
        command = ["python", "-m", f"services.{name}"]
        found[name] = stack.enter_context(image.serving(name, command, port, **settings))
    return found


def test_an_image_says_who_runs_and_what(image: Image) -> None:
    """And its files belong to others: what runs in it can change nothing of it."""
    assert image.configuration() == {"USER": str(USER_ID), "CMD": "python -m services.scorer"}
    assert image.run("id", "-u") == str(USER_ID)
    assert image.run("find", "/opt/assay", "/opt/numba", "/assay/deploy", "-writable", "!", "-type", "l") == ""
    assert image.run("find", "/opt/assay", "-name", "tests", "-type", "d") == ""
    assert image.run("find", "/opt/assay", "(", "-name", "pip", "-o", "-name", "setuptools", ")", "-type", "d") == ""


def test_an_image_is_no_larger_than_it_has_to_be(image: Image) -> None:
    """What is ours in it, without its base: bytes of files. What is in it: docs/log.md."""
    found = bytes_of(image)
    assert sum(found.values()) < OURS_BYTES_MAX, found


def test_a_slim_image_has_half_of_it_and_refuses_to_compute_in_a_sentence(slim: Image, topics: Image) -> None:
    """Not a trace, where a scorer is started in the wrong image."""
    found = bytes_of(slim)
    assert sum(found.values()) < SLIM_BYTES_MAX, found
    for name in COMPUTING:
        said = slim.run("sh", "-c", f"python -m services.{name} 2>&1; status=$?; echo; echo $status").splitlines()
        assert said[-1] not in ("0", ""), name
        assert "Traceback" not in "".join(said), said
        if name == "scorer":  # others may ask for a setting first
            assert re.search(r"needs (numba|onnxruntime), which is not installed", "".join(said)), said


def test_the_whole_image_runs_what_the_slim_one_does(topics: Image) -> None:
    """Who wants one image alone has one."""
    with ExitStack() as stack:
        for running in started(topics, SLIM, stack).values():
            running.wait_ready()


def test_no_container_compiles_python_at_its_start(image: Image) -> None:
    """Bytecode that is older or newer than its source would be there and of no use."""
    names = " ".join((*COMPUTING, *SLIM, "converter", "credit_monitor"))
    loop = f'for name in {names}; do python -v -c "import services.$name.__main__" || exit 1; done'
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


def test_a_registry_in_s3_is_reached_from_an_image(image: Image, slim: Image, s3: None) -> None:
    """With what the image has of AWS's client, in either."""
    address = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    address["ASSAY_REGISTRY_URL"] = "s3://models-of-images/registry"
    s3fs.S3FileSystem(endpoint_url=address["AWS_ENDPOINT_URL"]).mkdir("models-of-images")
    image.run("assay", "registry", "publish", "deploy/bundles/fraud", **address)
    for one in (image, slim):
        assert "fraud/1" in one.run("assay", "registry", "history", **address)


def test_doctor_finds_nothing_wrong_in_an_image(image: Image, services: dict[str, Running]) -> None:
    """Settings, topics, rights, bundle and key, by the image's own command."""
    assert services
    image.run("assay", "doctor")


def bytes_of(image: Image) -> dict[str, int]:
    """Of files in each folder of ours."""
    said = image.run("sh", "-c", f"du -sb $(ls -d {' '.join(OURS)} 2> /dev/null)")
    return {line.split()[1]: int(line.split()[0]) for line in said.splitlines()}


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
