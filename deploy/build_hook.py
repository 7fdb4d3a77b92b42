"""What a wheel holds beside the code, under services/installed: models/installation.py finds it there. Hatchling runs it."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHIPPED = (
    "deploy/acls",
    "deploy/bundles",
    "deploy/compose.yaml",
    "deploy/features",
    "deploy/generators",
    "deploy/grafana/dashboards",
    "deploy/grafana/provisioning",
    "deploy/keys",
    "deploy/kubernetes",
    "deploy/prometheus",
    "deploy/sources",
    "deploy/strimzi",
    "docs/benchmarks.jsonl",
    "docs/examples/tutorial/stream.py",
)


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc]
    """Nothing for an editable installation, which has all of it in place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files. version: "standard" or "editable"."""
        if version == "standard":
            build_data["force_include"].update({path: f"services/installed/{path}" for path in SHIPPED})
