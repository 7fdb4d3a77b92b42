"""The Helm chart: linted, rendered for three value files, checked against Kubernetes' schemas and our settings."""

import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, get_args

import kubernetes_validate
import pytest
import yaml

from services.settings.names import settings_classes
from services.settings.secrets import Secret
from tests.deploy.ports import PORTS

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "assay"
VALUES = sorted(path.name for path in (CHART / "ci").glob("*.yaml"))
VERSION = "1.34"
SETTINGS = set(re.findall(r"`(ASSAY_\w+)`", (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")))
CUSTOM = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1"}
"""Kinds that Kubernetes' schemas do not hold."""

Manifest = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The real one."""
    found = shutil.which("helm")
    if found is None:
        pytest.skip("helm is not installed: go install helm.sh/helm/v3/cmd/helm@v3.18.6")
    if arguments[0] == "template":  # else as on a cluster of helm's own default, which is years old
        arguments = (*arguments, "--kube-version", VERSION)
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False)


@cache
def rendered(values: str) -> list[Manifest]:
    """What `helm install` would send."""
    done = helm("template", "assay", str(CHART), "--namespace", "assay", "--values", str(CHART / "ci" / values))
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Pod specs, by name of what makes them."""
    kinds = ("StatefulSet", "Deployment", "Job")
    return {m["metadata"]["name"]: m["spec"]["template"]["spec"] for m in manifests if m["kind"] in kinds}


@pytest.mark.parametrize("values", VALUES)
def test_the_chart_is_linted_and_renders_to_valid_manifests(values: str) -> None:
    """Strictly, by Kubernetes' own schemas; each thing once."""
    done = helm("lint", "--strict", str(CHART), "--values", str(CHART / "ci" / values))
    assert done.returncode == 0, done.stdout
    manifests = rendered(values)
    for manifest in manifests:
        if manifest["apiVersion"] not in CUSTOM:
            kubernetes_validate.validate(manifest, VERSION, strict=True)
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("values", VALUES)
def test_no_pod_may_more_than_it_needs_and_each_is_one_of_its_own(values: str) -> None:
    """No root, no writable files but its volumes, no capability, no token, memory bounded; an account for each."""
    manifests = rendered(values)
    accounts = {m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount"}
    for name, pod in pods(manifests).items():
        (container,) = pod["containers"]
        security = container["securityContext"]
        assert pod["serviceAccountName"] == name
        assert name in accounts
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]  # noqa: PT018
        assert security["capabilities"]["drop"] == ["ALL"]
        assert container["resources"]["limits"]["memory"]
        secrets = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
        assert all(secret.startswith(f"{name}-") for secret in secrets)


@pytest.mark.parametrize("values", VALUES)
def test_every_setting_exists_and_nothing_is_the_demos(values: str) -> None:
    """In the shared maps and in each container."""
    manifests = rendered(values)
    used: set[str] = set()
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap":
            used |= set(manifest["data"])
    used |= {entry["name"] for pod in pods(manifests).values() for entry in pod["containers"][0].get("env") or []}
    assert used <= SETTINGS
    assert "demo" not in yaml.safe_dump_all(manifests)


def test_the_services_answer_where_the_chart_asks_them() -> None:
    """Ports of the settings' defaults, and modules that exist."""
    services = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["services"]
    assert {name: services[name]["port"] for name in PORTS if name in services} == {
        name: port for name, port in PORTS.items() if name in services
    }
    for name in services:
        assert (ROOT / "services" / name.replace("-", "_") / "__main__.py").is_file()


def production(*options: str, **values: Any) -> subprocess.CompletedProcess[str]:
    """What helm says to the values for production, with these options and values besides."""
    made = CHART / "ci" / "production-values.yaml"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as more:
        yaml.safe_dump(values, more)
        more.flush()
        return helm("template", "assay", str(CHART), "--values", str(made), "--values", more.name, *options)


def made_of(*options: str, **values: Any) -> list[Manifest]:
    """The manifests of that."""
    done = production(*options, **values)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def test_what_computes_nothing_may_run_in_the_slim_image() -> None:
    """By its tag; the others keep the whole one."""
    found = pods(made_of(image={"slimTag": "0.1.0-slim"}))
    slim = {name for name, pod in found.items() if pod["containers"][0]["image"] == "assay:0.1.0-slim"}
    assert slim == {"gateway", "console", "cases", "monitor"} & set(found)
    assert {"gateway", "scorer"} <= set(found)
    assert not [pod for pod in pods(made_of()).values() if pod["containers"][0]["image"].endswith("slim")]


def test_every_service_is_scraped_under_the_name_that_rules_and_dashboards_know() -> None:
    """The jobs are assay-NAME, each pod is of one monitor, and a key or TLS is asked for where the service asks for it."""
    manifests = rendered("strimzi-values.yaml")
    monitors = {m["metadata"]["name"]: m["spec"] for m in manifests if m["kind"] == "PodMonitor"}
    assert set(monitors) == {"assay", "assay-gateway", "assay-console"}
    left_out = monitors["assay"]["selector"]["matchExpressions"][0]["values"]
    named = [spec["selector"]["matchLabels"].get("app.kubernetes.io/name") for spec in monitors.values()]
    assert {*named} == {None, "gateway", "console"}
    assert {"gateway", "console"} < {*left_out}
    for spec in monitors.values():
        (endpoint,) = spec["podMetricsEndpoints"]
        (relabeling,) = endpoint["relabelings"]
        assert (relabeling["targetLabel"], relabeling["replacement"]) == ("job", "assay-$1")
        assert relabeling["sourceLabels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_name"]
        assert (endpoint["port"], endpoint["path"]) == ("http", "/metrics")
    assert "credentials" in monitors["assay-gateway"]["podMetricsEndpoints"][0]["authorization"]
    assert monitors["assay-console"]["podMetricsEndpoints"][0]["scheme"] == "https"


def test_on_a_strimzi_cluster_each_service_has_the_certificate_of_its_user() -> None:
    """Of those that deploy/strimzi makes; the authority is the brokers', not that of the clients."""
    manifests = rendered("strimzi-values.yaml")
    resources = yaml.safe_load_all((ROOT / "deploy" / "strimzi" / "users.yaml").read_text(encoding="utf-8"))
    users = {resource["metadata"]["name"] for resource in resources}
    for name, pod in pods(manifests).items():
        (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "kafka-tls"]
        authority, user = (source["secret"] for source in volume["projected"]["sources"])
        assert authority["name"] == "kafka-cluster-ca-cert"
        assert user["name"] == f"assay-{name}"
        assert user["name"] in users
        assert {item["path"] for secret in (authority, user) for item in secret["items"]} == {
            "ca.crt",
            "tls.crt",
            "tls.key",
        }
    (scaler,) = [m["spec"]["secretTargetRef"] for m in manifests if m["kind"] == "TriggerAuthentication"]
    assert {entry["name"] for entry in scaler} == {"kafka-cluster-ca-cert", "assay-autoscaler"}
    assert "assay-autoscaler" in users


def test_services_of_several_pods_are_drained_one_by_one_and_scorers_grow_with_the_lag() -> None:
    """A budget for each of them; KEDA measures the group that the scorers are in, on the topic that they read."""
    manifests = rendered("production-values.yaml")
    several = {m["metadata"]["name"] for m in manifests if m.get("spec", {}).get("replicas", 1) > 1} | {"scorer"}
    budgets = {m["metadata"]["name"]: m["spec"] for m in manifests if m["kind"] == "PodDisruptionBudget"}
    assert set(budgets) == several
    assert {budget["maxUnavailable"] for budget in budgets.values()} == {1}
    (scaled,) = [m["spec"] for m in manifests if m["kind"] == "ScaledObject"]
    (trigger,) = scaled["triggers"]
    assert (trigger["type"], trigger["metadata"]["consumerGroup"]) == ("kafka", "cards.scorer")
    assert trigger["metadata"]["topic"] == "cards.entity-features"
    assert scaled["maxReplicaCount"] == 24


def gateway(*options: str) -> dict[str, Any]:
    """What is made of the gateway, by kind."""
    names = ("gateway", "gateway-callers")
    return {m["kind"]: m["spec"] for m in made_of(*options) if m["metadata"]["name"] in names and "spec" in m}


@pytest.mark.parametrize(
    ("options", "ports"), [((), ["http", "grpc"]), (("--set", "services.gateway.grpcPort=null"), ["http"])]
)
def test_callers_reach_the_gateway_over_grpc_where_it_serves_it(options: tuple[str, ...], ports: list[str]) -> None:
    """The setting, the pod's port, the Service's and the callers' rule agree."""
    made = gateway(*options)
    (container,) = made["Deployment"]["template"]["spec"]["containers"]
    assert [port["name"] for port in container["ports"]] == ports
    assert [port["targetPort"] for port in made["Service"]["ports"]] == ports
    assert [port["port"] for port in made["NetworkPolicy"]["ingress"][0]["ports"]] == ports
    served = {entry["name"]: entry.get("value") for entry in container["env"]}.get("ASSAY_GATEWAY_GRPC_PORT")
    found = {port["name"]: port["containerPort"] for port in container["ports"]}.get("grpc")
    assert served == (None if found is None else str(found))


@pytest.mark.parametrize(
    ("without", "sentence"),
    [
        ("kafka.bootstrap=", "Say where your brokers are"),
        ("bundle.publicKeys=", "Say whose signatures count"),
        ("bundle.registryUrl=", "Say whose bundle scores"),
        ("kafka.strimziCluster=kafka", "Topics of a Strimzi cluster are resources"),
    ],
)
def test_what_only_the_user_can_say_is_asked_for(without: str, sentence: str) -> None:
    """One sentence, and nothing is rendered."""
    done = helm("template", "assay", str(CHART), "--values", str(CHART / "ci" / "gpu-values.yaml"), "--set", without)
    assert done.returncode != 0
    assert sentence in done.stderr


REFUSED: dict[str, dict[str, Any]] = {
    "settings has ASSAY_KAFKA_BOOTSTRAP, which kafka.bootstrap says": {"settings": {"ASSAY_KAFKA_BOOTSTRAP": "x:9092"}},
    "services.scorer.settings has ASSAY_HTTP_PORT, which services.scorer.port says": {
        "services": {"scorer": {"settings": {"ASSAY_HTTP_PORT": 9000}}}
    },
    "is deleted with the pod": {"settings": {"ASSAY_SUBJECT_SALTS_URL": "/var/lib/assay/salts"}},
    "put it into the Secret topics": {"kafka": {"securityProtocol": "SASL_SSL"}},
    "put that of converter into the Secret converter": {
        "kafka": {"securityProtocol": "SASL_SSL"},
        "topics": {"secret": True},
    },
    "autoscaling does not work with": {
        "kafka": {"securityProtocol": "SASL_SSL"},
        "topics": {"secret": True},
        "services": {name: {"secret": True} for name in ("converter", "intake", "monitor")},
    },
    "Say which bundle judges applications": {"services": {"credit": {"enabled": True}}},
    "services.scorer.replicas is 25, and autoscaling.partitions 24": {"services": {"scorer": {"replicas": 25}}},
    "autoscaling.partitions is 24 and settings.ASSAY_PARTITIONS 12": {"settings": {"ASSAY_PARTITIONS": 12}},
    "additional properties 'replica' not allowed": {"services": {"scorer": {"replica": 5}}},
    "additional properties 'scoer' not allowed": {"network": {"egress": {"scoer": []}}},
    "'kafkas' not allowed": {"kafkas": {}},
    "got array": {"settings": {"ASSAY_OUTPUT_TOPICS": ["scores", "alerts"]}},
    "/services/console/replicas": {"services": {"console": {"replicas": 2}}},
    "/kafka/securityProtocol": {"kafka": {"securityProtocol": "TLS"}},
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_value_that_would_be_passed_over_or_cannot_be_meant_is_refused(sentence: str) -> None:
    """One sentence, and nothing is rendered: a name that is none, two values for one thing, what works in no cluster."""
    done = production(**REFUSED[sentence])
    assert done.returncode != 0
    assert sentence in done.stderr


def test_every_secret_of_the_settings_is_refused_as_a_value() -> None:
    """It would be in a ConfigMap, and in the release that helm keeps."""
    secrets = [
        settings.model_config.get("env_prefix", "") + name.upper()
        for settings in settings_classes()
        for name, field in settings.model_fields.items()
        if field.annotation == get_args(Secret)[0] and name != "database_url"  # of a console: mostly a file
    ]
    assert {"ASSAY_PRIVACY_KEY", "ASSAY_KAFKA_SASL_PASSWORD", "ASSAY_CASES_WEBHOOK_SECRET"} <= set(secrets)
    pattern = re.search(r'regexMatch "([^"]+)"', (CHART / "templates" / "_checks.tpl").read_text(encoding="utf-8"))
    assert pattern is not None
    assert [name for name in secrets if not re.search(pattern[1], name)] == []
    done = production(settings={secrets[0]: "x"})
    assert f"settings has {secrets[0]}, a secret" in done.stderr


def test_numbers_come_to_the_settings_as_they_are_written() -> None:
    """helm reads 2000000 as 2e+06, which no setting of a whole number takes."""
    manifests = made_of(
        settings={"ASSAY_CARDS_MAX": 2_000_000, "ASSAY_DECISION_SHARE": 0.25, "ASSAY_LOG_FORMAT": "text"},
        services={"scorer": {"settings": {"ASSAY_CARDS_MAX": 3_000_000}, "port": 9999}},
    )
    for shared in (m["data"] for m in manifests if m["kind"] == "ConfigMap"):
        found = [shared[name] for name in ("ASSAY_CARDS_MAX", "ASSAY_DECISION_SHARE", "ASSAY_LOG_FORMAT")]
        assert found == ["2000000", "0.25", "text"]
    (container,) = pods(manifests)["scorer"]["containers"]
    own = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert (own["ASSAY_CARDS_MAX"], own["ASSAY_HTTP_PORT"]) == ("3000000", "9999"), (
        "a service answers where it is asked"
    )


@pytest.mark.parametrize(
    ("values", "group", "topic"),
    [
        ({}, "cards.scorer", "cards.entity-features"),
        ({"services": {"entities": {"enabled": False}}}, "cards.scorer", "cards.events"),
        (
            {
                "product": "",
                "services": {
                    "entities": {"enabled": False},
                    "intake": {"enabled": False},
                    "scorer": {"settings": {"ASSAY_GROUP": "our-scorer"}},
                },
                "settings": {"ASSAY_TOPIC_PREFIX": "test."},
            },
            "our-scorer",
            "test.transactions",
        ),
        ({"autoscaling": {"topic": "bank.payments"}}, "cards.scorer", "bank.payments"),
    ],
)
def test_scorers_are_scaled_by_the_topic_that_they_read(values: dict[str, Any], group: str, topic: str) -> None:
    """By the group that the settings name; a topic of the user's by its whole name."""
    (scaled,) = [m for m in made_of(**values) if m["kind"] == "ScaledObject"]
    (trigger,) = scaled["spec"]["triggers"]
    assert (trigger["metadata"]["consumerGroup"], trigger["metadata"]["topic"]) == (group, topic)
