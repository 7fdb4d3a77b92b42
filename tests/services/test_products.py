"""Products side by side: topics, groups, ids, snapshots, registry line and metrics are named by one name, and never meet."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas import codec
from schemas.score import Score
from schemas.topics import TOPICS
from services.engine.delivery import ExactlyOnce
from services.errors import SettingsError
from services.kafka.client import admin
from services.settings.bundles import BundleSettings
from services.settings.cases import CasesSettings
from services.settings.converter import ConverterSettings
from services.settings.credit import CreditSettings
from services.settings.entities import EntitiesSettings
from services.settings.intake import IntakeSettings
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.monitor import CreditMonitorSettings, MonitorSettings
from services.settings.names import settings_classes
from services.settings.policy import CreditPolicySettings, PolicySettings
from services.settings.processing import RuntimeSettings
from services.settings.profiler import ProfilerSettings
from tests.services.cli.test_app import run_main
from tests.services.harness import UNSET, Scorer, Stream, payment

GROUPED: tuple[Any, ...] = (
    RuntimeSettings,
    IntakeSettings,
    ProfilerSettings,
    CreditSettings,
    CasesSettings,
    MonitorSettings,
    CreditMonitorSettings,
    ConverterSettings,
    EntitiesSettings,
)


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names nothing."""
    for settings in settings_classes():
        for name in settings.model_fields:
            monkeypatch.delenv(settings.model_config.get("env_prefix", "") + name.upper(), raising=False)
    return monkeypatch


def test_without_a_product_every_name_is_as_it_always_was(no_settings: pytest.MonkeyPatch) -> None:
    """Groups, prefix and line are the defaults of their settings."""
    assert [load(settings) for settings in settings_classes()] == [settings() for settings in settings_classes()]
    assert [load(settings).group for settings in GROUPED] == [
        "assay-scorer",
        "assay-intake",
        "assay-profiler",
        "assay-credit",
        "assay-cases",
        "assay-monitor",
        "assay-credit-monitor",
        "assay-converter",
        "assay-entities",
    ]


def test_all_names_come_of_the_products_and_what_a_setting_names_stays(no_settings: pytest.MonkeyPatch) -> None:
    """The environment's prefix stays in front."""
    no_settings.setenv("ASSAY_PRODUCT", "transfers")
    no_settings.setenv("ASSAY_TOPIC_PREFIX", "test.")
    no_settings.setenv("ASSAY_CASES_GROUP", "our-cases")
    assert load(TopicSettings).topic_prefix == "test.transfers."
    assert load(BundleSettings).registry_line == "transfers"
    assert [load(settings).policy_line for settings in (PolicySettings, CreditPolicySettings)] == ["transfers"] * 2
    assert [load(settings).group for settings in GROUPED] == [
        "transfers.scorer",
        "transfers.intake",
        "transfers.profiler",
        "transfers.credit",
        "our-cases",
        "transfers.monitor",
        "transfers.credit-monitor",
        "transfers.converter",
        "transfers.entities",
    ]
    ids = set()
    for product in ("transfers", "cards"):
        no_settings.setenv("ASSAY_PRODUCT", product)
        source = TopicPartition(load(TopicSettings).topic_prefix + "transactions", 0)
        ids.add(ExactlyOnce(KafkaSettings(), load(RuntimeSettings), source, {})._id)
    assert ids == {
        "assay-transfers.scorer-test.transfers.transactions-0",
        "assay-cards.scorer-test.cards.transactions-0",
    }


@pytest.mark.parametrize("name", ["assay-two", "Cards", "a.b", "", "a" * 33])
def test_a_name_that_could_meet_another_is_refused_in_a_sentence(name: str, no_settings: pytest.MonkeyPatch) -> None:
    """Rights to ids are given by how they begin, so a product may not begin as ours do."""
    no_settings.setenv("ASSAY_PRODUCT", name)
    with pytest.raises(SettingsError, match="ASSAY_PRODUCT is not usable: "):
        load(RuntimeSettings)


def product_of(stream: Stream, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Stream, Scorer]:
    """A product's topics, made by the command line, and its scorer, which is given nothing but the name."""
    monkeypatch.setenv("ASSAY_PRODUCT", "replaced-by-the-option")
    assert run_main(monkeypatch, "topics", "create", "--product", name, "--json") == 0
    of_product = Stream(stream.bootstrap, f"{stream.prefix}{name}.", stream.directory / name, stream.partitions)
    of_product.directory.mkdir()
    scorer = stream.scorer(ASSAY_PRODUCT=name, ASSAY_GROUP=UNSET)
    return of_product, scorer


@pytest.mark.slow
async def test_two_products_on_one_cluster_touch_nothing_of_each_other(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Topics, groups, snapshots and metrics; the same ids in both are no repetitions."""
    unique = stream.prefix.strip("t-.")
    names = [f"transfers-{unique}", f"cards-{unique}"]
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", stream.bootstrap)
    monkeypatch.setenv("ASSAY_TOPIC_PREFIX", stream.prefix)
    monkeypatch.setenv("ASSAY_PARTITIONS", str(stream.partitions))
    products = [await asyncio.to_thread(product_of, stream, name, monkeypatch) for name in names]
    created = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{topic["name"] for topic in made} for made in created] == [
        {f"{stream.prefix}{name}.{topic.name}" for topic in TOPICS} for name in names
    ]
    for number, (own, _) in enumerate(products):
        payments = [payment(i, card=f"card-{number}-{i % 9}") for i in range(60 + 40 * number)]
        await own.send([json.dumps(p).encode() for p in payments], [p["card_id"].encode() for p in payments])
    for (own, scorer), name in zip(products, names, strict=True):
        await own.caught_up([scorer], group=f"{name}.scorer")
    for number, ((own, scorer), name) in enumerate(zip(products, names, strict=True)):
        scores = [codec.read(Score, record.value) for record in await own.read("scores")]
        assert {score.card_id for score in scores} == {f"card-{number}-{i}" for i in range(9)}
        assert len(scores) == 60 + 40 * number
        assert not await own.read("dead-letters")
        assert scorer.metric("assay_scores_total", product=name) == len(scores)
        assert scorer.metric("assay_scores_total", product="other") == 0
        assert scorer.terminate() == 0
    snapshots = stream.directory / "snapshots"
    assert {path.name for path in snapshots.iterdir()} == {f"{name}.scorer" for name in names}
    for name in names:
        inside = {path.name for path in (snapshots / f"{name}.scorer").iterdir()}
        assert inside == {f"{stream.prefix}{name}.transactions-{number}" for number in range(stream.partitions)}
    client = admin(stream.kafka)
    await client.start()
    try:
        groups = {group for group, _ in await client.list_consumer_groups() if unique in group}
        assert groups == {f"{name}.scorer" for name in names}
        for name in names:
            offsets = await client.list_consumer_group_offsets(f"{name}.scorer")
            assert {source.topic for source in offsets} == {f"{stream.prefix}{name}.transactions"}
    finally:
        await client.close()
    assert not await stream.read("scores")


def test_rights_are_the_products_own(
    no_settings: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`assay acls` names the product's topics, group and ids, and the topic of a source spec."""
    no_settings.setenv("ASSAY_PRODUCT", "transfers")
    assert run_main(no_settings, "acls", "scorer", "--json") == 0
    grants = json.loads(capsys.readouterr().out)
    ids = {grant["name"] for grant in grants if grant["resource"] == "transactional-id"}
    topics = ("transactions", "events", "entity-features")
    assert ids == {f"assay-transfers.scorer-transfers.{topic}-" for topic in topics}
    assert {grant["name"] for grant in grants if grant["resource"] == "group"} == {"transfers.scorer"}
    assert all(grant["name"].startswith("transfers.") for grant in grants if grant["resource"] == "topic")


def test_every_group_of_a_setting_is_the_products(no_settings: pytest.MonkeyPatch) -> None:
    """One that is not would be shared by two products."""
    grouped = {settings for settings in settings_classes() if "group" in settings.model_fields}
    assert grouped == set(GROUPED)
    lined = {s for s in settings_classes() if any(name.endswith("_line") for name in s.model_fields)}
    assert lined == {BundleSettings, CreditSettings, PolicySettings, CreditPolicySettings}
