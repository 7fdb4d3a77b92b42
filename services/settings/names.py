"""Every name that an ASSAY_* variable may have. One that no one reads is a setting that does not take effect.

A setting that has another name now is taken under its old one for one version.
"""

import difflib
import functools
import re
import sys
from collections.abc import Mapping, MutableMapping

from pydantic_settings import BaseSettings

from services.errors import SettingsError

OTHERS = {
    "ASSAY_KEY_PASSWORD": "Password of the private key that `assay bundle keygen` writes and `assay bundle sign` reads.",
    "ASSAY_FAILPOINT": "For tests of faults: the point at which the process kills itself, such as `after_sends:3`.",
    "ASSAY_DATA_DIR": "Folder with public data sets, for `make handbook`, `make credit` and the tests that read them.",
    "ASSAY_PROMETHEUS_URL": "Where Grafana finds Prometheus (deploy/grafana).",
    "ASSAY_ALERTMANAGER_URL": "Where Grafana finds Alertmanager (deploy/grafana).",
    "ASSAY_DASHBOARDS": "Folder of the dashboards, for Grafana (deploy/grafana).",
}
"""Variables that no settings class reads, each with its meaning."""

RENAMED = {"ASSAY_DUPLICATE_WINDOW_RECORDS": "ASSAY_DUPLICATE_WINDOW_RECORDS_MIN"}
"""Name in 0.1 -> name now. They go with 0.3."""

SERVICE_LINK = re.compile(
    r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_\w+)?)=|\w+_PORT=(tcp|udp|sctp)://"
)
"""NAME=VALUE as Kubernetes puts it into pods for each Service: for one named assay-scorer, ASSAY_SCORER_PORT and the like."""


def settings_classes() -> tuple[type[BaseSettings], ...]:
    """Every settings class, in the order of docs/settings.md."""
    from services.settings import (
        audit,
        bundles,
        cases,
        console,
        converter,
        credit,
        entities,
        gateway,
        intake,
        kafka,
        monitor,
        persons,
        policy,
        privacy,
        processing,
        product,
        profiler,
        schema_registry,
        scorer,
    )

    return (
        kafka.KafkaSettings,
        kafka.TopicSettings,
        product.ProductSettings,
        schema_registry.SchemaRegistrySettings,
        processing.RuntimeSettings,
        scorer.ScorerSettings,
        bundles.BundleSettings,
        entities.EntitiesSettings,
        policy.PolicySettings,
        intake.IntakeSettings,
        profiler.ProfilerSettings,
        credit.CreditSettings,
        policy.CreditPolicySettings,
        gateway.GatewaySettings,
        converter.OutputSettings,
        converter.ConverterSettings,
        cases.CasesSettings,
        console.ConsoleSettings,
        audit.AuditSettings,
        persons.PersonsSettings,
        monitor.MonitorSettings,
        monitor.CreditMonitorSettings,
        privacy.PseudonymSettings,
        privacy.SubjectSettings,
    )


@functools.cache
def known_names() -> frozenset[str]:
    """Every variable that something reads."""
    names = {
        settings.model_config.get("env_prefix", "") + name.upper()
        for settings in settings_classes()
        for name in settings.model_fields
    }
    return frozenset(names | OTHERS.keys())


def take_renamed(environment: MutableMapping[str, str]) -> None:
    """Give variables with an old name their new one, so that children have it too, and say so on stderr.

    Raises SettingsError where both are set.
    """
    for name in [name for name in environment if name.upper() in RENAMED]:
        new = RENAMED[name.upper()]
        if any(other.upper() == new for other in environment):
            raise SettingsError(f"{name} is the old name of {new}, and both are set: unset {name}.")
        environment[new] = environment.pop(name)
        print(f"assay: {name} is named {new} now: rename it, the old name goes with 0.3.", file=sys.stderr)


def check_names(environment: Mapping[str, str]) -> None:
    """Raise SettingsError, which names the nearest known variable, where one begins with ASSAY_ and is none of ours."""
    unknown = sorted(
        name
        for name, value in environment.items()
        if name.upper().startswith("ASSAY_")
        and name.upper() not in known_names()
        and not SERVICE_LINK.match(f"{name}={value}")
    )
    if unknown:
        nearest = difflib.get_close_matches(unknown[0].upper(), sorted(known_names()), n=1, cutoff=0.0)
        raise SettingsError(
            f"{unknown[0]} is no setting, so it would have no effect: the nearest is {nearest[0]}. Correct or unset it; "
            "docs/settings.md has them all."
        )
