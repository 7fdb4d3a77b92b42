"""The main path on a Kafka with TLS, logins and an authorizer: every program with just its own ACLs, and with one too few."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from schemas.topics import ACCESS, Access
from services.kafka import acls
from services.kafka.acls import Grant, grants
from tests.services.cli.test_app import run_main
from tests.services.harness import Scorer, Stream, payment
from tests.services.secured import Authority, SecuredKafka

BY_NAME = {access.name: access for access in ACCESS}
PAYMENTS = 600


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """One for this file."""
    secured = SecuredKafka(tmp_path_factory.mktemp("secured"))
    with secured.kafka:
        yield secured


@pytest.fixture
async def stream(secured: SecuredKafka, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Stream]:
    """Topics made by the administrator, who needs no login here."""
    stream = Stream(secured.kafka.bootstrap, topic_prefix, tmp_path)
    await stream.create()
    yield stream
    stream.close()


def granted(secured: SecuredKafka, stream: Stream, name: str, principal: str, without: Grant | None = None) -> None:
    """Grant a program what it needs, but for one thing."""
    group = {"scorer": stream.group, "profiler": f"{stream.prefix}profiler"}.get(name)
    wanted = grants(BY_NAME[name], stream.prefix, group)
    secured.grant(principal, [grant for grant in wanted if grant != without])


async def scored(stream: Stream, scorer: Scorer) -> None:
    """Payments in, verified scores out."""
    await stream.send(json.dumps(payment(i)).encode() for i in range(PAYMENTS))
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0, scorer.log()[-2000:]
    verdict = await stream.verdict()
    assert verdict.clean, verdict.as_dict()
    assert verdict.scores == PAYMENTS


@pytest.mark.slow
@pytest.mark.parametrize("login", ["scram", "mutual", "token"])
async def test_a_scorer_needs_its_acls_and_nothing_more(secured: SecuredKafka, stream: Stream, login: str) -> None:
    """By password, by certificate, by token; always over TLS."""
    principal = "User:CN=assay-scorer" if login == "mutual" else "User:assay-scorer"
    granted(secured, stream, "scorer", principal)
    scorer = stream.scorer(**getattr(secured, login)("assay-scorer"))
    scorer.wait_ready()
    await scored(stream, scorer)


@pytest.mark.slow
async def test_the_profiler_and_the_ends_of_the_stream_need_theirs(
    secured: SecuredKafka, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer that may only write, a consumer that may only read, the profiler between."""
    for name in ("payment-producer", "consumer", "profiler", "scorer"):
        granted(secured, stream, name, f"User:assay-{name}")
    profiler = stream.profiler(**secured.scram("assay-profiler"))
    scorer = stream.scorer(**secured.scram("assay-scorer"))
    profiler.wait_ready()
    scorer.wait_ready()

    async def run(login: str, *arguments: str) -> int:
        with monkeypatch.context() as environment:
            for key, value in {**secured.scram(login), "ASSAY_TOPIC_PREFIX": stream.prefix}.items():
                environment.setenv(key, value)
            return await asyncio.to_thread(run_main, environment, *arguments)

    assert await run("assay-payment-producer", "simulate", "--count=500", "--rate=500", "--json") == 0
    await stream.caught_up([scorer])
    assert await run("assay-consumer", "tail", "scores", "--from-start", "--count=500", "--json") == 0
    assert [scorer.terminate(), profiler.terminate()] == [0, 0]


@pytest.mark.slow
async def test_the_low_rate_services_need_theirs(secured: SecuredKafka, stream: Stream) -> None:
    """Faust's connections are ours: TLS and a login, the group, the tables; with one right too few, a sentence."""
    for name in ("cases", "monitor"):
        wanted = grants(BY_NAME[name], stream.prefix, f"{stream.prefix}{name}")
        secured.grant(f"User:assay-{name}", wanted[1:])
        login = secured.scram(f"assay-{name}")
        refused = stream.service(f"services.{name}", **login)
        assert refused.wait() == 2
        assert wanted[0].name in refused.log().splitlines()[-1], refused.log()[-2000:]
        secured.grant(f"User:assay-{name}", wanted[:1])
        service = stream.service(f"services.{name}", **login)
        service.wait_ready()
        assert service.terminate() == 0


TOPICS_TRIED = {"transactions", "terminal-profiles", "scores", "labels", "terminal-sums"}
"""Every kind of use; to try each topic would show the same again."""

IDS_TRIED = {"assay-GROUP-transactions-", "assay-GROUP-labels-"}

NEEDED = [
    pytest.param(
        name,
        grant.resource,
        grant.name,
        grant.operation,
        id=f"{name}-{grant.operation}-{grant.resource}-{grant.name}",
    )
    for name in ("scorer", "profiler")
    for grant in grants(BY_NAME[name], "", "GROUP")
    if grant.operation != "DescribeConfigs"
    and (grant.resource == "group" or grant.name in TOPICS_TRIED or grant.name in IDS_TRIED)
]


@pytest.mark.parametrize(("name", "resource", "resource_name", "operation"), NEEDED)
async def test_one_acl_too_few_is_one_sentence_that_names_it(
    secured: SecuredKafka, stream: Stream, name: str, resource: str, resource_name: str, operation: str
) -> None:
    """No traceback, no endless retry, nothing half done."""
    group = {"scorer": stream.group, "profiler": f"{stream.prefix}profiler"}[name]
    full_name = stream.prefix + resource_name if resource == "topic" else resource_name.replace("GROUP", group)
    if resource == "transactional-id":
        full_name = full_name.replace(f"-{group}-", f"-{group}-{stream.prefix}")
    missing = Grant(resource, full_name, operation, prefixed=resource == "transactional-id")  # type: ignore[arg-type]
    wanted = grants(BY_NAME[name], stream.prefix, group)
    assert missing in wanted
    granted(secured, stream, name, f"User:assay-{name}", without=missing)
    start = stream.scorer if name == "scorer" else stream.profiler
    program = start(**secured.scram(f"assay-{name}"))
    assert program.wait() == 2
    sentences = [line for line in program.log().splitlines() if line.startswith("assay: ")]
    assert len(sentences) == 1, program.log()[-3000:]
    assert "Traceback" not in program.log()
    assert full_name.rstrip("-") in sentences[0], sentences


def test_a_wrong_password_is_one_sentence_without_the_password(secured: SecuredKafka, stream: Stream) -> None:
    """The login is refused."""
    scorer = stream.scorer(**secured.scram("assay-scorer", "battery-staple"))
    assert scorer.wait() == 2
    assert "ASSAY_KAFKA_SASL_PASSWORD" in scorer.log() or "refuses the login" in scorer.log()
    assert "battery-staple" not in scorer.log()
    assert "Traceback" not in scorer.log()


def test_a_certificate_of_another_authority_is_not_believed(
    secured: SecuredKafka, stream: Stream, tmp_path: Path
) -> None:
    """The broker's is checked before anything is sent."""
    settings = secured.scram("assay-scorer") | {"ASSAY_KAFKA_SSL_CA_FILE": str(Authority(tmp_path).ca_file)}
    scorer = stream.scorer(**settings)
    assert scorer.wait() == 2
    assert "Traceback" not in scorer.log()


@pytest.mark.parametrize("access", ACCESS, ids=lambda access: access.name)
def test_the_scripts_in_deploy_are_what_the_topics_say(access: Access) -> None:
    """`python -m services.kafka.acls` writes them."""
    assert (acls.DIRECTORY / f"{access.name}.sh").read_text(encoding="utf-8") == acls.script(access)
