"""`assay verify --audit`: whether the console's audit trail is whole."""

import asyncio
import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from services.cli.output import print_json, results, shown

if TYPE_CHECKING:
    from services.verification.audit import AuditVerdict, Head

HEADS_BYTES_MAX = 16 << 20


def check(heads: Path | None, *, json: bool) -> None:
    """Read the trail back; exits with 1 where something is missing, changed or added. Raises AssayError."""
    from aiokafka.errors import KafkaError

    from services.errors import AssayError, start_sentence
    from services.settings.audit import AuditSettings, audit_key
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load
    from services.verification.audit import check_trail

    kafka, topics, key = load(KafkaSettings), load(TopicSettings), audit_key(load(AuditSettings))
    kept = _kept(heads) if heads is not None else {}
    try:
        verdict = asyncio.run(check_trail(kafka, topics, key, kept))
    except KafkaError as error:
        raise AssayError(start_sentence(error, kafka.bootstrap)) from error
    _print(verdict, sealed=key is not None, json=json)
    if not verdict.clean:
        raise typer.Exit(1)
    if heads is not None:
        _keep(heads, {**kept, **verdict.heads}, verdict.retained_from)


def _print(verdict: "AuditVerdict", *, sealed: bool, json: bool) -> None:
    if json:
        print_json(
            {
                "records": verdict.records,
                "chains": verdict.chains,
                "retained_from": verdict.retained_from,
                "cut_by_retention": verdict.cut,
                "sealed": sealed,
                "damaged": verdict.damaged,
                "damage": verdict.damage,
                "heads": {chain: head._asdict() for chain, head in verdict.heads.items()},
            }
        )
        return
    results.print(f"Audit trail: {verdict.records:,} records in {verdict.chains:,} chains")
    if verdict.cut:
        results.print(
            f"  {verdict.cut:,} chains began before record {verdict.retained_from}: retention has deleted that"
        )
    if not sealed:
        results.print("  Seals were not checked: ASSAY_AUDIT_KEY is not set.")
    for sentence in verdict.damage:
        results.print(f"  {shown(sentence)}")
    if verdict.damaged > len(verdict.damage):
        results.print(f"  and {verdict.damaged - len(verdict.damage):,} more")
    results.print("Nothing missing, changed or added." if verdict.clean else "DAMAGED.")


def _kept(path: Path) -> "dict[str, Head]":
    from services.errors import AssayError
    from services.verification.audit import Head

    try:
        with path.open("rb") as file:
            content = file.read(HEADS_BYTES_MAX)
        return {
            str(chain): Head(int(one[0]), int(one[1]), str(one[2])) for chain, one in json_module.loads(content).items()
        }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise AssayError(f"{path} cannot be read ({error.strerror}): check its path.") from None
    except (ValueError, TypeError, AttributeError, IndexError, KeyError, RecursionError):
        raise AssayError(
            f"{path} is no file of heads: give the one that `--audit-heads` wrote, or another name."
        ) from None


def _keep(path: Path, heads: "dict[str, Head]", begin: int) -> None:
    """What the next check compares with: those that retention has deleted are left out."""
    from models import durable
    from services.errors import AssayError

    content = json_module.dumps({chain: list(head) for chain, head in heads.items() if head.offset >= begin}).encode()
    try:
        durable.write_file(path, lambda file: file.write(content) and None)
    except OSError as error:
        raise AssayError(f"{path} cannot be written ({error.strerror}): check the folder.") from None
