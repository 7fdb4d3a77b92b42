"""Settings: the product, from whose name those of topics, groups, registry line and metrics come.

A product is a source, a feature spec and a bundle under one name. Without one everything has the names that it always had.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

OURS = "assay"


def _apart(name: str) -> str:
    if name.startswith(OURS):  # groups and transactional ids of the product without a name begin so
        raise PydanticCustomError("product", "a product's name does not begin with assay; choose another")
    return name


ProductName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", max_length=32), AfterValidator(_apart)]


class ProductSettings(BaseSettings):
    """Product."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore", frozen=True)

    product: ProductName | None = Field(
        None,
        description="Name of the product, where several are side by side on one cluster: topics are NAME.scores and so on, "
        "groups NAME.scorer and so on (unless a setting names one), the registry's lines of bundles and policies are NAME, and "
        "metrics have the label product. Transactional ids and snapshots are the group's.",
    )


def group_of(product: str, service: str) -> str:
    """The consumer group of a product's service."""
    return f"{product}.{service}"


def of_product(settings: BaseSettings, product: str) -> dict[str, Any]:
    """What of these settings comes from the product's name: the topics' prefix, and what no variable sets."""
    from services.settings import (
        bundles,
        cases,
        converter,
        credit,
        entities,
        intake,
        kafka,
        monitor,
        policy,
        processing,
        profiler,
    )

    if isinstance(settings, kafka.TopicSettings):
        return {"topic_prefix": f"{settings.topic_prefix}{product}."}
    if isinstance(settings, credit.CreditSettings):
        names = {"group": group_of(product, "credit"), "registry_line": product}
        return {name: value for name, value in names.items() if name not in settings.model_fields_set}
    derived: dict[type[BaseSettings], tuple[str, str]] = {
        processing.RuntimeSettings: ("group", group_of(product, "scorer")),
        intake.IntakeSettings: ("group", group_of(product, "intake")),
        converter.ConverterSettings: ("group", group_of(product, "converter")),
        entities.EntitiesSettings: ("group", group_of(product, "entities")),
        profiler.ProfilerSettings: ("group", group_of(product, "profiler")),
        cases.CasesSettings: ("group", group_of(product, "cases")),
        monitor.MonitorSettings: ("group", group_of(product, "monitor")),
        monitor.CreditMonitorSettings: ("group", group_of(product, "credit-monitor")),
        bundles.BundleSettings: ("registry_line", product),
        policy.PolicySettings: ("policy_line", product),
        policy.CreditPolicySettings: ("policy_line", product),
    }
    name, value = derived.get(type(settings), ("", ""))
    return {} if not name or name in settings.model_fields_set else {name: value}
