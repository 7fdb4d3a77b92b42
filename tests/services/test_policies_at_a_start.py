"""What decides in a process that starts while policies change: what the registry says last, of payments and of credit. Pure."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.control import BundleRef, Control, PolicyChannel
from services.observability.metrics import Metrics
from services.policy_commands import PolicySwapper
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


Swapping = Callable[[Any, Any], PolicySwapper[Any]]


def payments(models: Any, loader: Any) -> PolicySwapper[Any]:
    """A scorer's, whose policies may ask lists."""

    async def follow_lists() -> None:
        raise AssertionError("no policy asks lists")

    return ScorerPolicies(models, loader, Metrics(), follow_lists)


def credit(models: Any, loader: Any) -> PolicySwapper[Any]:
    """The credit service's."""
    return PolicySwapper(models, loader, Metrics())


async def started(of: Swapping, loader: Loader, first: Any, channel: PolicyChannel, last: Control) -> tuple[Any, Any]:
    """What a process holds after its start, and what it acknowledges."""
    models = SimpleNamespace(policy=None, shadow_policy=None, champion=None, answers={}, moved=None)

    def set_policy(channel: str, active: Any, command: Control) -> None:
        setattr(models, channel, active)
        models.answers[channel] = SimpleNamespace(command=command, current_bundle=active.ref if active else None)

    models.set_policy, models.policy_of = set_policy, lambda channel: getattr(models, channel)
    setattr(models, channel, first)
    swapper = of(models, loader)
    swapper.take(channel, last)
    with ThreadPoolExecutor(1) as executor:
        await swapper.begin(executor)
    answer = models.answers.get(channel)
    return getattr(models, channel), answer and (answer.command, answer.current_bundle)


@pytest.mark.parametrize("of", [payments, credit])
@pytest.mark.parametrize("channel", ["policy", "shadow_policy"])
async def test_a_process_that_starts_while_the_registry_moves_on_decides_by_what_it_says_last(
    of: Swapping, channel: PolicyChannel
) -> None:
    """It read the first policy; the second was promoted before it read the commands. It says so, as of that command."""
    first, second = policy(1), policy(2)
    last = command(None, channel=channel, bundle=second.ref, registry_steps=3)
    held, said = await started(of, Loader(second), first, channel, last)
    assert held is second
    assert said == (last, second.ref)


@pytest.mark.parametrize("of", [payments, credit])
async def test_what_was_read_already_is_kept_and_said(of: Swapping) -> None:
    """So that the answers say what decides behind each owner of a partition."""
    first = policy(1)
    last = command(None, channel="policy", bundle=first.ref, registry_steps=3)
    held, said = await started(of, Loader(policy(1)), first, "policy", last)
    assert held is first
    assert said == (last, first.ref)


@pytest.mark.parametrize("of", [payments, credit])
async def test_what_the_registry_has_in_no_channel_any_more_is_ended(of: Swapping) -> None:
    """In shadow when the process began to start, and withdrawn since."""
    last = command(None, channel="shadow_policy", bundle=None, registry_steps=3)
    assert await started(of, Loader(None), policy(1), "shadow_policy", last) == (None, (last, None))
