"""The registry on a directory and on S3: versions grow, channels follow the history, writers beside each other lose nothing."""

import multiprocessing
import os
import re
import stat
import uuid
from pathlib import Path

import pytest
from fsspec import AbstractFileSystem, register_implementation
from pydantic import ValidationError

from models.bundle.files import BundleError
from models.bundle.registry import Registry, UnreachableRegistryError
from schemas.control import BundleRef, Channel
from schemas.registry import RegistryEvent
from services.settings.bundles import BundleSettings
from services.storage import open_storage
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


@pytest.mark.slow
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


def written(directory: Path, *steps: tuple[int | str, RegistryEvent]) -> Registry:
    """A registry whose steps somebody laid there, each under its number or name."""
    (directory / "events").mkdir(exist_ok=True)
    for number, event in steps:
        name = number if isinstance(number, str) else f"{number:08d}.json"
        (directory / "events" / name).write_text(event.model_dump_json())
    return registry_of(BundleSettings(registry_url=str(directory)))


def test_a_hole_in_the_history_does_not_block_it(tmp_path: Path) -> None:
    """The next step goes behind the last one."""
    registry = written(tmp_path, (1, step("publish", ref(1))), (3, step("promote", ref(1), "champion")))
    assert promote(registry, ref(1), "challenger") is not None
    assert (tmp_path / "events" / "00000004.json").is_file()
    assert [event.action for event in registry.history()] == ["publish", "promote", "promote"]


def test_a_step_under_the_highest_number_is_not_the_last_word(tmp_path: Path) -> None:
    """Neither for a process that stays nor for a fresh one, before and after the next step."""
    registry = written(
        tmp_path,
        (1, step("publish", ref(1))),
        (2, step("publish", ref(2))),
        (3, step("promote", ref(2), "champion")),
        (99_999_999, step("promote", ref(1), "champion")),
    )
    assert registry.holds("fraud", "champion") == ref(2)
    assert promote(registry, ref(2)) is None
    publish(registry, ref(3))
    assert promote(registry, ref(3)) is not None
    for reader in (registry, registry_of(BundleSettings(registry_url=str(tmp_path)))):
        assert reader.holds("fraud", "champion") == ref(3)


def test_digits_of_other_scripts_name_no_step(tmp_path: Path) -> None:
    """Python counts them as digits; a file system keeps both names beside each other."""
    arabic = "".join(chr(0x660 + int(digit)) for digit in "00000001")
    registry = written(tmp_path, (1, step("publish", ref(1))), (f"{arabic}.json", step("publish", ref(2))))
    assert [event.bundle for event in registry.history()] == [ref(1)]


def test_a_rollback_to_what_was_not_champion_is_one_sentence(tmp_path: Path) -> None:
    """As the first step, or to another bundle than the one before: never a guess, and the same for every question."""
    registry = written(tmp_path, (1, step("rollback", ref(1), "champion")))
    for ask in (lambda: registry.holds("fraud", "champion"), lambda: promote(registry, ref(1))):
        with pytest.raises(BundleError, match=r"a step is missing or forged|publish it first"):
            ask()
    steps = [step("publish", ref(1)), step("promote", ref(1), "champion"), step("rollback", ref(2), "champion")]
    (tmp_path / "other").mkdir()
    other = written(tmp_path / "other", *enumerate(steps, 1))
    with pytest.raises(BundleError, match="rolls back to fraud/2, which was not the champion"):
        other.holds("fraud", "champion")


def test_the_first_champion_is_taken_back_to_none_and_no_other_is(registry: Registry) -> None:
    """A policy's line may be empty: then what the settings name decides again."""
    one, two = ref(1), ref(2, "b")
    publish(registry, one, two)
    assert registry.withdraw("fraud", lambda now: step("withdraw", now, "champion"), "champion") is None
    registry.promote(step("promote", one, "champion"))
    assert registry.withdraw("fraud", lambda now: step("withdraw", now, "champion"), "champion")
    assert registry.holds("fraud", "champion") is None
    registry.promote(step("promote", one, "champion"))
    registry.promote(step("promote", two, "champion"))
    with pytest.raises(BundleError, match="fraud/1 was champion of fraud before"):
        registry.withdraw("fraud", lambda now: step("withdraw", now, "champion"), "champion")
    assert registry.holds("fraud", "champion") == two


def test_a_version_that_nobody_signed_forbids_no_later_one(registry: Registry) -> None:
    """A forged publication of the highest version: what does not count is left out."""
    forged = ref(2**31 - 1, "f")
    publish(registry, ref(1), forged)
    with pytest.raises(BundleError, match="versions only grow"):
        publish(registry, ref(2))
    assert registry.publish(b"x", step("publish", ref(2)), lambda bundle: bundle != forged) is not None
    with pytest.raises(BundleError, match="not newer than fraud/2"):
        registry.publish(b"x", step("publish", ref(2, "b")), lambda bundle: bundle != forged)


class Sick(AbstractFileSystem):
    """A store that refuses everything, as one does whose key is wrong."""

    protocol = "sick"

    def ls(self, path: str, detail: bool = True, **options: object) -> list[str]:
        """No."""
        raise PermissionError("403 for sick://user:hunter2@bank/models?token=abc123")

    def _open(self, path: str, mode: str = "rb", **options: object) -> None:
        raise PermissionError("403, token=abc123")


def test_a_store_that_does_not_answer_is_not_empty_and_its_url_keeps_its_secrets() -> None:
    """One sentence, of a kind of its own, without user, password and query."""
    register_implementation("sick", Sick, clobber=True)
    registry = registry_of(BundleSettings(registry_url="sick://user:hunter2@bank/models?token=abc123"))
    for ask in (registry.history, lambda: registry.content(ref(1)), lambda: publish(registry, ref(1))):
        with pytest.raises(
            UnreachableRegistryError, match=r"ASSAY_REGISTRY_URL=sick://bank/models cannot be read"
        ) as said:
            ask()
        assert not {"hunter2", "abc123"} & set(re.split(r"\W+", str(said.value)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../../etc"},
        {"name": "Fraud"},
        {"digest": "/" * 64},
        {"digest": "A" * 64},
        {"version": 2**31},
    ],
)
def test_a_reference_holds_no_path_and_no_unbounded_number(wrong: dict[str, object]) -> None:
    """It becomes a file's name."""
    with pytest.raises(ValidationError):
        BundleRef.model_validate({"name": "fraud", "version": 1, "digest": "a" * 64, **wrong})


def test_others_may_read_a_registry_and_nobody_else_what_is_private(tmp_path: Path) -> None:
    """The umask has its say about shared files alone."""
    old = os.umask(0o002)
    try:
        publish(registry_of(BundleSettings(registry_url=str(tmp_path / "registry"))), ref(1))
        private = open_storage(str(tmp_path / "private"))
        private.create("salt", b"x")
        private.write("snapshot", lambda file: file.write(b"x") and None)
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert set(modes) == {"salt", "snapshot", "00000001.json", f"fraud-1-{'a' * 64}.bundle"}
    assert [modes["salt"], modes["snapshot"]] == [0o600, 0o600]
    assert {modes["00000001.json"], modes[f"fraud-1-{'a' * 64}.bundle"]} == {0o664}
