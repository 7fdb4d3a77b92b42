"""What decides in a process that starts while policies change: what the registry says last, of payments and of credit. Pure."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from schemas import codec
from schemas.control import BundleRef, Control, PolicyChannel
from services.credit.policies import CommandReader, Policies
from services.observability.metrics import Metrics
from services.scorer.policies import ScorerPolicies
from tests.models.bundle.test_persons import command


def policy(version: int) -> Any:
    """A compiled one, as far as a start looks at it."""
    ref = BundleRef(name="fraud", version=version, digest=f"{version}" * 64)
    program = SimpleNamespace(policy=SimpleNamespace(lists=()), name=f"fraud/{version}", rules=())
    return SimpleNamespace(ref=ref, program=program, name=program.name, rules=())


class Loader:
    """A registry that has moved on since the process read it: it holds `newest` now."""

    def __init__(self, newest: Any, *, outdated: bool = True) -> None:
        self.newest, self._outdated, self.settings = newest, outdated, None

    def outdated(self, command: Control) -> bool:
        """Whether the registry took a step since."""
        return self._outdated

    def held(self, channel: PolicyChannel) -> Any:
        """What it says now."""
        return self.newest


async def payments(loader: Loader, first: Any, channel: PolicyChannel, last: Control) -> tuple[Any, Any]:
    """What the scorer holds after its start, and what it acknowledges."""
    models = SimpleNamespace(policy=None, shadow_policy=None, champion=None, answers={}, moved=None)

    def set_policy(channel: str, active: Any, command: Control) -> None:
        setattr(models, channel, active)
        models.answers[channel] = SimpleNamespace(command=command, current_bundle=active.ref if active else None)

    models.set_policy, models.policy_of = set_policy, lambda channel: getattr(models, channel)
    setattr(models, channel, first)

    async def follow_lists() -> None:
        raise AssertionError("no policy asks lists")

    swapper = ScorerPolicies(models, loader, Metrics(), follow_lists)  # type: ignore[arg-type]
    swapper.take(channel, last)
    with ThreadPoolExecutor(1) as executor:
        await swapper.begin(executor)
    answer = models.answers.get(channel)
    return getattr(models, channel), answer and (answer.command, answer.current_bundle)


class Table:
    """Commands that were read already."""

    ready, ended = True, None

    async def start(self) -> None:
        """Nothing to read."""

    async def stop(self) -> None:
        """Nothing to end."""


async def credit(loader: Loader, first: Any, channel: PolicyChannel, last: Control) -> tuple[Any, Any]:
    """The same of the credit service."""
    policies = Policies(Metrics(), *((first, None) if channel == "policy" else (None, first)))
    commands = CommandReader(policies, loader, last.group, Metrics())  # type: ignore[arg-type]
    commands.follow(Table())  # type: ignore[arg-type]
    commands._take(SimpleNamespace(value=codec.write(last)))
    await commands.start()
    await commands.stop()
    answer = policies.answers.get(channel)
    held = policies.deciding if channel == "policy" else policies.shadow
    return held, answer and (answer.command, answer.current_bundle)


@pytest.mark.parametrize("start", [payments, credit])
@pytest.mark.parametrize("channel", ["policy", "shadow_policy"])
async def test_a_process_that_starts_while_the_registry_moves_on_decides_by_what_it_says_last(
    start: Any, channel: PolicyChannel
) -> None:
    """It read the first policy; the second was promoted before it read the commands. It says so, as of that command."""
    first, second = policy(1), policy(2)
    last = command(None, channel=channel, bundle=second.ref, registry_steps=3)
    held, said = await start(Loader(second), first, channel, last)
    assert held is second
    assert said == (last, second.ref)


@pytest.mark.parametrize("start", [payments, credit])
async def test_what_was_read_already_is_kept_and_said(start: Any) -> None:
    """So that the answers say what decides behind each owner of a partition."""
    first = policy(1)
    last = command(None, channel="policy", bundle=first.ref, registry_steps=3)
    held, said = await start(Loader(policy(1)), first, "policy", last)
    assert held is first
    assert said == (last, first.ref)


@pytest.mark.parametrize("start", [payments, credit])
async def test_what_the_registry_has_in_no_channel_any_more_is_ended(start: Any) -> None:
    """In shadow when the process began to start, and withdrawn since."""
    last = command(None, channel="shadow_policy", bundle=None, registry_steps=3)
    assert await start(Loader(None), policy(1), "shadow_policy", last) == (None, (last, None))
