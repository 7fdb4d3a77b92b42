"""A registry beside a stream, and the command line that a person would use on them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from models.bundle.keys import public_pem
from models.bundle.load import load_bundle
from schemas import codec
from schemas.control import Control
from schemas.manifest import Manifest
from schemas.score import Score
from services.cli.app import app
from tests.models.bundle.making import COMMITTED, signed, signing_key, version_of
from tests.services.harness import ROOT, Scorer, Stream, payment


class Shop:
    """A registry beside a stream, and the command line that a person would use on them."""

    def __init__(self, stream: Stream, patch: pytest.MonkeyPatch) -> None:
        self.stream, self.sent = stream, 0
        (stream.directory / "key.pub").write_bytes(public_pem(signing_key().public_key()))
        stream.environment |= {
            "ASSAY_BUNDLE": str(self.make(1)),
            "ASSAY_BUNDLE_PUBLIC_KEYS": str(stream.directory / "key.pub"),
            "ASSAY_REGISTRY_URL": str(stream.directory / "registry"),
            "ASSAY_BATCH_RECORDS_MAX": "100",
        }
        settings = {
            "ASSAY_KAFKA_BOOTSTRAP": stream.bootstrap,
            "ASSAY_TOPIC_PREFIX": stream.prefix,
            "ASSAY_GROUP": stream.group,
            "ASSAY_CARDS_MAX": "10000",
        }
        for name, value in {**settings, **stream.environment}.items():
            patch.setenv(name, value)

    def make(self, version: int, *, other: bool = False, manifest: Manifest | None = None) -> Path:
        """A signed bundle in a directory."""
        path = self.stream.directory / f"v{version}"
        version_of(path, version, other=other, manifest=manifest)
        signed(path)
        return path

    async def assay(self, *arguments: str, status: int = 0) -> Any:
        """What a command prints as JSON; its exit status must be `status`."""
        done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
        assert done.exit_code == status, (arguments, done.output, done.exception)
        return json.loads(done.stdout)

    async def release(self, version: int, *options: str, status: int = 0, **made: Any) -> Any:
        """Make, publish and promote a version."""
        await self.assay("registry", "publish", str(self.make(version, **made)))
        return await self.assay("registry", "promote", f"fraud/{version}", *options, status=status)

    async def send(self, records: int, scorers: list[Scorer]) -> None:
        """Payments, every fiftieth suspicious, and wait until they are judged."""
        some = range(self.sent, self.sent + records)
        await self.stream.send([json.dumps(payment(i, amount=900.0 if i % 50 == 49 else 25.0)).encode() for i in some])
        self.sent += records
        await self.stream.caught_up(scorers)

    async def scores(self) -> list[tuple[int, int, Score]]:
        """Partition, input offset and score of every score, in order."""
        records = await self.stream.read("scores")
        return [(r.partition, int(dict(r.headers)["assay-source-offset"]), codec.read(Score, r.value)) for r in records]

    async def controls(self) -> list[Control]:
        """Everything that scorers answered, as its exported schema has it."""
        path = ROOT / "schemas/json/control-answers.json"
        validator = jsonschema.Draft202012Validator(json.loads(path.read_text()))
        records = await self.stream.read("control-answers")
        for record in records:
            validator.validate(json.loads(record.value))
        return [codec.read(Control, record.value) for record in records]

    async def clean(self) -> None:
        """The oracle finds nothing, and everything sent was scored."""
        verdict = await self.stream.verdict()
        assert verdict.clean, verdict.as_dict()
        assert verdict.scores == self.sent

    async def replayed(self, version: int) -> int:
        """How many scores of this version a replay compared; none may differ."""
        await self.assay("registry", "fetch", f"fraud/{version}", str(self.stream.directory / "replayed"))
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("ASSAY_REGISTRY_URL")  # whose champion it would be otherwise
            patch.setenv("ASSAY_BUNDLE", str(self.stream.directory / "replayed"))
            found = await self.assay("replay")
        assert found["differing"] == 0, found
        return int(found["compared"])


def renamed_feature(manifest: Manifest) -> Manifest:
    """The same features but for the first one's name: another spec to everybody who asks."""
    spec = manifest.feature_spec
    first = spec.features[0].model_copy(update={"name": "renamed"})
    return manifest.model_copy(
        update={"feature_spec": spec.model_copy(update={"features": (first, *spec.features[1:])})}
    )


def other_features() -> Manifest:
    """Of the committed bundle, for another spec."""
    return renamed_feature(load_bundle(COMMITTED).manifest)
