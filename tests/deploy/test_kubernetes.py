"""The Kubernetes manifests: rendered by kustomize, checked against Kubernetes' own schemas, and against our settings."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from schemas.topics import ACCESS
from services.settings.console import ConsoleSettings
from services.settings.entities import EntitiesSettings
from services.settings.gateway import GatewaySettings
from services.settings.intake import IntakeSettings
from tests.deploy.ports import PORTS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
BASE = [path for path in sorted((FOLDER / "base").glob("*.yaml")) if path.name != "kustomization.yaml"]
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())
VERSION = "1.34"
SETTINGS = set(re.findall(r"`(ASSAY_\w+)`", (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")))
CUSTOM = {"keda.sh/v1alpha1"}
"""Kinds that Kubernetes' schemas do not hold: looked at one by one below."""

Manifest = dict[str, Any]


@cache
def rendered(overlay: str) -> list[Manifest]:
    """What `kubectl apply -k` would send."""
    if kubectl := shutil.which("kubectl"):
        command = [kubectl, "kustomize"]
    elif kustomize := shutil.which("kustomize"):
        command = [kustomize, "build"]
    else:
        pytest.skip("neither kubectl nor kustomize is installed: either renders the overlays")
    done = subprocess.run([*command, str(FOLDER / "overlays" / overlay)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def check(manifest: Manifest) -> None:
    """Strictly: an unknown key is an error."""
    if manifest["apiVersion"] not in CUSTOM:
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Pod specs, by name of what makes them."""
    kinds = ("StatefulSet", "Deployment", "Job")
    return {m["metadata"]["name"]: m["spec"]["template"]["spec"] for m in manifests if m["kind"] in kinds}


def one(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    return next(m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name))


@pytest.mark.parametrize("path", BASE, ids=lambda path: path.stem)
def test_every_manifest_of_the_base_is_valid_alone(path: Path) -> None:
    """So that this is known where no kustomize is."""
    for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        check(manifest)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_renders_to_valid_manifests(overlay: str) -> None:
    """By Kubernetes' own schemas."""
    for manifest in rendered(overlay):
        check(manifest)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_may_more_than_it_needs(overlay: str) -> None:
    """No root, no writable files but its volumes, no capability, no token, memory bounded."""
    for name, pod in pods(rendered(overlay)).items():
        (container,) = pod["containers"]
        security = container["securityContext"]
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["runAsUser"] == 10001, name
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], name  # noqa: PT018
        assert security["capabilities"]["drop"] == ["ALL"], name
        assert pod["automountServiceAccountToken"] is False, name
        assert container["resources"]["limits"]["memory"], name
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}, name  # noqa: S108


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_setting_exists(overlay: str) -> None:
    """In the shared map and in each container."""
    manifests = rendered(overlay)
    used = set(one(manifests, "ConfigMap", "assay")["data"])
    used |= {entry["name"] for pod in pods(manifests).values() for entry in pod["containers"][0].get("env", [])}
    assert {name for name in used if name.startswith("ASSAY_")} == used
    assert used <= SETTINGS


SERVICES = ("scorer", "profiler", "cases", "monitor", "topics")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_service_is_somebody_of_its_own(overlay: str) -> None:
    """An account, a Secret and, over TLS, a certificate that no other pod has."""
    manifests = rendered(overlay)
    found = pods(manifests)
    assert set(found) == set(SERVICES)
    for name, pod in found.items():
        assert pod["serviceAccountName"] == name
        assert one(manifests, "ServiceAccount", name)["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        secrets = [entry["secretRef"]["name"] for entry in container["envFrom"] if "secretRef" in entry]
        certificates = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
        assert secrets == [name]
        assert certificates == ([] if overlay == "development" else [f"{name}-kafka"])
    principals = {access.name for access in ACCESS}
    assert set(SERVICES) - principals == {"topics"}  # an administrator's; the others have their rights in deploy/acls


def test_in_production_who_hashes_payloads_has_a_secret_and_temporary_files_have_a_bound() -> None:
    """A Secret that is missing stops the pod, in place of hashes that anybody can compute."""
    for name, pod in pods(rendered("production")).items():
        (container,) = pod["containers"]
        (secret,) = [entry["secretRef"] for entry in container["envFrom"] if "secretRef" in entry]
        assert secret["optional"] is (name not in ("scorer", "profiler", "cases"))
        assert [volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume] == [{"sizeLimit": "1Gi"}]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_goes_out_to_just_any_address(overlay: str) -> None:
    """Names, brokers, and what a service is set up to reach, each said by whom."""
    manifests = rendered(overlay)
    policies = [m for m in manifests if m["kind"] == "NetworkPolicy"]
    for policy in policies:
        assert "Egress" in policy["spec"]["policyTypes"]
        for rule in policy["spec"]["egress"]:
            assert rule["to"], policy["metadata"]["name"]
            assert rule["ports"]
            for peer in rule["to"]:
                assert "podSelector" in peer or peer["ipBlock"]["cidr"].endswith("/32"), peer
    beyond = {m["metadata"]["name"]: m["spec"]["podSelector"]["matchLabels"] for m in policies}
    assert beyond.pop("assay") == {"app.kubernetes.io/part-of": "assay"}
    reached = "ASSAY_REGISTRY_URL" in one(manifests, "ConfigMap", "assay")["data"]
    assert beyond == ({"registry": {"app.kubernetes.io/name": "scorer"}} if reached else {})


def test_partitions_stay_with_a_pod_that_comes_back_under_its_name() -> None:
    """Static membership: the pod's own name, and the disk that belongs to it."""
    scorer = one(rendered("production"), "StatefulSet", "scorer")["spec"]
    (container,) = scorer["template"]["spec"]["containers"]
    (entry,) = (entry for entry in container["env"] if entry["name"] == "ASSAY_GROUP_INSTANCE_ID")
    assert entry["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert "state" in {claim["metadata"]["name"] for claim in scorer["volumeClaimTemplates"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_where_the_service_answers_and_policies_choose_its_pods(overlay: str) -> None:
    """Port names, selectors and labels fit together."""
    manifests = rendered(overlay)
    labels = {
        m["metadata"]["name"]: m["spec"]["template"]["metadata"]["labels"]
        for m in manifests
        if "template" in m.get("spec", {})
    }
    for name, pod in pods(manifests).items():
        if name == "topics":
            continue
        (container,) = pod["containers"]
        ports = {port["name"] for port in container["ports"]}
        assert PORTS[name] in {port["containerPort"] for port in container["ports"]}
        for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            assert container[probe]["httpGet"]["path"] == path
            assert container[probe]["httpGet"]["port"] in ports
        service = one(manifests, "Service", name)
        assert service["spec"]["selector"].items() <= labels[name].items()
    chosen = one(manifests, "NetworkPolicy", "assay")["spec"]["podSelector"]["matchLabels"]
    assert all(chosen.items() <= given.items() for given in labels.values())
    for budget in (m for m in manifests if m["kind"] == "PodDisruptionBudget"):
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels[budget["metadata"]["name"]].items()


def test_pods_follow_the_lag_of_the_group_that_they_are() -> None:
    """KEDA's kinds, whose schemas are not at hand: group, topic and target are ours, and the credentials are there."""
    manifests = rendered("production")
    scaled = one(manifests, "ScaledObject", "scorer")["spec"]
    target = scaled["scaleTargetRef"]
    assert one(manifests, target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
    (trigger,) = scaled["triggers"]
    settings = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert trigger["type"] == "kafka"
    assert f"`ASSAY_GROUP` | `{trigger['metadata']['consumerGroup']}`" in settings
    assert trigger["metadata"]["topic"] == "transactions"
    assert (
        trigger["metadata"]["bootstrapServers"] == one(manifests, "ConfigMap", "assay")["data"]["ASSAY_KAFKA_BOOTSTRAP"]
    )
    assert one(manifests, "TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"]["secretTargetRef"]
    assert one(manifests, "StatefulSet", "scorer")["spec"]["replicas"] == scaled["minReplicaCount"]


def test_a_pod_on_a_gpu_has_one_and_refuses_to_go_without() -> None:
    """Image, device, and the setting that does not fall back."""
    (container,) = pods(rendered("gpu"))["scorer"]["containers"]
    assert container["image"] == "assay:cuda"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {"name": "ASSAY_DEVICE", "value": "cuda"} in container["env"]
    assert pods(rendered("gpu"))["profiler"]["containers"][0]["image"] == "assay:cpu"


def with_component(tmp_path: Path, base: str, component: str) -> list[Manifest]:
    """What an overlay over `base` with the component renders to."""
    kubectl = shutil.which("kubectl") or pytest.skip("neither kubectl nor kustomize is installed")
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes" / "overlays" / "with-component"
    shutil.copytree(FOLDER / "overlays" / base, overlay)
    with (overlay / "kustomization.yaml").open("a") as file:
        file.write(f"components: [../../components/{component}]\n")
    done = subprocess.run([kubectl, "kustomize", str(overlay)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    manifests = list(yaml.safe_load_all(done.stdout))
    for manifest in manifests:
        check(manifest)
    return manifests


@pytest.mark.parametrize(("name", "settings"), [("intake", IntakeSettings), ("entities", EntitiesSettings)])
def test_a_component_of_the_engine_adds_its_pods_to_an_overlay(
    name: str, settings: type[IntakeSettings | EntitiesSettings], tmp_path: Path
) -> None:
    """Rendered beside the base, valid, on the port of its settings."""
    manifests = with_component(tmp_path, "development", name)
    (container,) = pods(manifests)[name]["containers"]
    assert container["args"] == ["python", "-m", f"services.{name}"]
    assert container["ports"][0]["containerPort"] == settings.model_fields["http_port"].default
    assert "profiler" not in str(one(manifests, "StatefulSet", name))


@pytest.mark.parametrize("base", ["development", "production"])
def test_the_component_of_the_gateway_serves_over_tls_with_keys_to_whom_a_policy_names(
    tmp_path: Path, base: str
) -> None:
    """On the ports of its settings, with every volume that it mounts; the brokers' certificate where the overlay has one."""
    manifests = with_component(tmp_path, base, "gateway")
    pod = pods(manifests)["gateway"]
    (container,) = pod["containers"]
    assert container["args"] == ["python", "-m", "services.gateway"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert set(environment) <= SETTINGS
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["http"] == GatewaySettings.model_fields["port"].default
    assert str(ports["grpc"]) == environment["ASSAY_GATEWAY_GRPC_PORT"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) <= {volume["name"] for volume in pod["volumes"]}
    assert ("kafka-tls" in mounts) is (base == "production")
    for name, folder in (("TLS_CERTIFICATE_FILE", "tls"), ("TLS_KEY_FILE", "tls"), ("KEYS_FILE", "keys")):
        assert (environment[f"ASSAY_GATEWAY_{name}"] or "").startswith(mounts[folder])
    assert {container[probe]["httpGet"]["scheme"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {
        "HTTPS"
    }
    (rule,) = one(manifests, "NetworkPolicy", "gateway")["spec"]["ingress"]
    assert rule["from"][0]["podSelector"]["matchLabels"]
    assert {port["port"] for port in rule["ports"]} == set(ports)
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert security["capabilities"]["drop"] == ["ALL"]
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("base", ["development", "production"])
def test_the_component_of_the_console_serves_over_tls_alone_and_as_somebody_of_its_own(
    tmp_path: Path, base: str
) -> None:
    """On the port of its settings; one pod, since sessions and the chain of the audit trail are a process's own."""
    check_console(with_component(tmp_path, base, "console"), kafka=base == "production")


def test_the_manifest_of_the_console_is_valid_alone() -> None:
    """So that this is known where no kustomize is."""
    text = (FOLDER / "components" / "console" / "console.yaml").read_text(encoding="utf-8")
    manifests = list(yaml.safe_load_all(text))
    for manifest in manifests:
        check(manifest)
    check_console(manifests, kafka=False)


def check_console(manifests: list[Manifest], *, kafka: bool) -> None:
    """What holds for it wherever it is."""
    deployment, pod = one(manifests, "Deployment", "console"), pods(manifests)["console"]
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    (container,) = pod["containers"]
    assert container["args"] == ["python", "-m", "services.console"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert set(environment) <= SETTINGS
    assert container["ports"][0]["containerPort"] == ConsoleSettings.model_fields["port"].default
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) <= {volume["name"] for volume in pod["volumes"]}
    assert ("kafka-tls" in mounts) is kafka
    for name, folder in (("TLS_CERTIFICATE_FILE", "tls"), ("TLS_KEY_FILE", "tls"), ("USERS_FILE", "users")):
        assert environment[f"ASSAY_CONSOLE_{name}"].startswith(mounts[folder])
    assert f"/{mounts['state']}/" in environment["ASSAY_CONSOLE_DATABASE_URL"]
    probes = (container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe"))
    assert {probe["scheme"] for probe in probes} == {"HTTPS"}
    assert pod["serviceAccountName"] == "console"
    assert one(manifests, "ServiceAccount", "console")["automountServiceAccountToken"] is False
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert container["resources"]["limits"]["memory"]
    (rule,) = one(manifests, "NetworkPolicy", "console")["spec"]["ingress"]
    assert rule["from"][0]["podSelector"]["matchLabels"]
