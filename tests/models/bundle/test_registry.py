"""The registry on a directory and on S3: versions grow, channels follow the history, writers beside each other lose nothing."""

import multiprocessing
import uuid
from pathlib import Path

import pytest

from models.bundle.files import BundleError
from models.bundle.registry import Registry
from schemas.control import BundleRef, Channel
from schemas.registry import RegistryEvent
from services.settings.stream import BundleSettings
from services.trusted_bundles import registry_of

PROCESSES, EACH = 3, 4


def ref(version: int, digest: str = "a", name: str = "fraud") -> BundleRef:
    """A bundle."""
    return BundleRef(name=name, version=version, digest=digest * 64)


def step(action: str, bundle: BundleRef, channel: Channel | None = None) -> RegistryEvent:
    """A step of the history."""
    return RegistryEvent(action=action, bundle=bundle, channel=channel, at_ms=1, by="a test")  # type: ignore[arg-type]


def publish(registry: Registry, *bundles: BundleRef) -> None:
    """Publish them, with any content."""
    for bundle in bundles:
        registry.publish(b"content", step("publish", bundle))


def promote(registry: Registry, bundle: BundleRef, channel: Channel = "champion") -> RegistryEvent | None:
    """Promote one."""
    return registry.promote(step("promote", bundle, channel))


def rollback(registry: Registry) -> BundleRef:
    """Roll back, and what is champion then."""
    return registry.rollback("fraud", lambda before: step("rollback", before, "champion")).bundle


@pytest.fixture(params=["directory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the registry lies."""
    if request.param == "directory":
        return str(tmp_path / "registry")
    request.getfixturevalue("s3")
    return f"s3://bank-{uuid.uuid4().hex[:8]}/models"


@pytest.fixture
def registry(url: str) -> Registry:
    """An empty one."""
    return registry_of(BundleSettings(registry_url=url))


def test_a_bundle_comes_back_as_it_was_published(registry: Registry, url: str) -> None:
    """Also for another process; the same again changes nothing."""
    assert registry.history() == []
    publish(registry, ref(1), ref(1))
    again = registry_of(BundleSettings(registry_url=url))
    assert again.content(again.published("fraud", 1)) == b"content"
    assert len(again.history()) == 1
    with pytest.raises(BundleError, match="publish it with"):
        again.published("fraud", 2)
    with pytest.raises(BundleError, match="not in the registry"):
        again.content(ref(1, "b"))


def test_versions_only_grow(registry: Registry) -> None:
    """Within a line: an older one, and another bundle of the same version, are refused."""
    publish(registry, ref(3), ref(1, name="credit"))
    for bundle in (ref(2), ref(3, "b")):
        with pytest.raises(BundleError, match="versions only grow"):
            publish(registry, bundle)


def test_channels_follow_the_history(registry: Registry) -> None:
    """Promotions, a challenger that becomes champion, rollbacks one by one to the first."""
    publish(registry, ref(1), ref(2), ref(3), ref(4))
    for version in (1, 2, 3):
        promote(registry, ref(version))
    assert promote(registry, ref(3)) is None
    promote(registry, ref(4), "challenger")
    assert registry.holds("fraud", "challenger") == ref(4)
    promote(registry, ref(4))
    assert registry.holds("fraud", "challenger") is None
    assert registry.holds("fraud", "champion") == ref(4)
    assert [rollback(registry) for _ in range(2)] == [ref(3), ref(2)]
    promote(registry, ref(4))
    assert [rollback(registry) for _ in range(2)] == [ref(2), ref(1)]
    with pytest.raises(BundleError, match="nothing to go back to"):
        rollback(registry)
    assert registry.holds("fraud", "champion") == ref(1)


def test_what_may_not_be_promoted(registry: Registry) -> None:
    """What was never published, and an older one than the champion, which is a rollback."""
    publish(registry, ref(1), ref(2))
    promote(registry, ref(2))
    with pytest.raises(BundleError, match="assay registry rollback"):
        promote(registry, ref(1))
    with pytest.raises(BundleError, match="publish it first"):
        promote(registry, ref(9))
    promote(registry, ref(1), "challenger")
    assert registry.withdraw("fraud", lambda now: step("withdraw", now, "challenger")) is not None
    assert registry.withdraw("fraud", lambda now: step("withdraw", now, "challenger")) is None


def write(url: str, number: int, results: "multiprocessing.Queue[bool]") -> None:
    """A process of its own: publish one version that the others publish too, then several of a line of its own."""
    registry = registry_of(BundleSettings(registry_url=url))
    try:
        publish(registry, ref(1, "abcdef"[number]))
        results.put(True)
    except BundleError:
        results.put(False)
    for version in range(1, EACH + 1):
        publish(registry, ref(version, name=f"line{number}"))
        promote(registry, ref(version, name=f"line{number}"))


def test_concurrent_writers_lose_no_step_and_of_one_version_one_wins(url: str) -> None:
    """Processes at once: every step is there once, in an order that each of them saw; one fraud/1 of all that were tried."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[bool] = context.Queue()
    writers = [context.Process(target=write, args=(url, number, results)) for number in range(PROCESSES)]
    for writer in writers:
        writer.start()
    outcomes = [results.get(timeout=240) for _ in writers]
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * PROCESSES
    assert sorted(outcomes) == [False] * (PROCESSES - 1) + [True]
    registry = registry_of(BundleSettings(registry_url=url))
    history = registry.history()
    assert len(history) == 1 + 2 * PROCESSES * EACH
    for line in (f"line{number}" for number in range(PROCESSES)):
        steps = [(e.action, e.bundle.version) for e in history if e.bundle.name == line]
        assert steps == [(action, v) for v in range(1, EACH + 1) for action in ("publish", "promote")]
        assert registry.holds(line, "champion") == ref(EACH, name=line)


def test_a_damaged_step_is_one_sentence(tmp_path: Path) -> None:
    """Never a guess at what a channel holds."""
    registry = registry_of(BundleSettings(registry_url=str(tmp_path)))
    publish(registry, ref(1))
    (tmp_path / "events" / "00000002.json").write_text("{")
    with pytest.raises(BundleError, match="Step 2 of the registry's history is damaged"):
        registry.history()
