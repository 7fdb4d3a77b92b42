"""Reads a feature spec from YAML. An error names the line and the fix."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.yaml_specs import parse_yaml, read_text
from schemas.derived import NETWORKS_MAX, NetworksFile
from schemas.feature_spec import FeatureSpec

FIXES = {
    "union_tag_not_found": "add `kind`: field, calendar, since, window, novelty, place, profile; of an attribute number, "
    "category, ratio ...",
}


class FeatureSpecError(ValueError):
    """A feature spec that cannot be used: file, line and fix in one sentence."""


def load_spec(path: Path, *, may_learn: bool = False) -> FeatureSpec:
    """The spec in the YAML file `path`. Raises FeatureSpecError, also for what only specs of existing bundles may have.

    may_learn: values of categories may still be open, since training learns them.
    """
    text = read_text(path, "a feature spec", FeatureSpecError)
    spec = parse_yaml(
        FeatureSpec, text, str(path), FeatureSpecError, fixes=FIXES, in_file=_without_kind, check=_partial_histories
    )
    if not may_learn and (found := spec.open_categories):
        raise FeatureSpecError(
            f"{path}: values of {', '.join(found)} are to be learnt, which `assay train` does, and "
            "`assay features build --learn` for a model of your own; give the spec that this writes, or name the values."
        )
    files = {name: path.parent / one.file for name, one in spec.networks.items() if isinstance(one, NetworksFile)}
    if not files:
        return spec
    networks = {**spec.networks, **{name: _networks(file, f"{path}: networks.{name}") for name, file in files.items()}}
    return spec.model_copy(update={"networks": networks})


def parse_spec(text: str, source: str = "feature spec") -> FeatureSpec:
    """The spec in YAML `text`; `source` names it in errors. Raises FeatureSpecError."""
    spec = _parsed(text, source)
    if found := next((name for name, one in spec.networks.items() if isinstance(one, NetworksFile)), None):
        raise FeatureSpecError(
            f"{source}: networks.{found} is in a file, and this spec is in no folder; list them here."
        )
    return spec


def _parsed(text: str, source: str) -> FeatureSpec:
    return parse_yaml(FeatureSpec, text, source, FeatureSpecError, fixes=FIXES, in_file=_without_kind)


def _partial_histories(spec: FeatureSpec) -> Iterator[tuple[tuple[str, str], str]]:
    """Keys other than the subject: their history would be that of a partition's share, in a file that of the whole."""
    for name, field in spec.keys.items():
        if field != "card_id":
            yield (
                ("keys", name),
                "a key other than card_id sees its partition's payments only, and a file all of them; write it under "
                f"entities: {{{name}: {{id: {field}}}}}, and remove it from keys",
            )


def _networks(path: Path, where: str) -> tuple[str, ...]:
    """The networks in a file, joined where they touch: the same list in another order is the same spec."""
    found: list[Any] = []  # networks of two versions, which collapse apart
    for number, line in enumerate(read_text(path, "a list of networks, one a line", FeatureSpecError).splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                found.append(ipaddress.ip_network(text))
            except ValueError:
                raise FeatureSpecError(
                    f"{path}, line {number}: not a network; write it as 192.0.2.0/24 or 2001:db8::/32."
                ) from None
    joined = [str(one) for one in ipaddress.collapse_addresses([one for one in found if one.version == 4])]
    joined += [str(one) for one in ipaddress.collapse_addresses([one for one in found if one.version == 6])]
    if not 0 < len(joined) <= NETWORKS_MAX:
        raise FeatureSpecError(f"{where}: {path} holds {len(joined):,} networks; give 1 to {NETWORKS_MAX:,}.")
    return tuple(joined)


def _without_kind(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """pydantic puts a feature's kind into the path, behind its index; the file has no such level."""
    return path[:2] + path[3:] if path[:1] == ("features",) else path
