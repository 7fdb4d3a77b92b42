"""What somebody may do to a bundle on its way into a running scorer."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
from cryptography.hazmat.primitives.asymmetric import ec

from models.bundle import container
from models.bundle.files import BYTES_MAX, MANIFEST, SIGNATURE
from models.bundle.keys import SealKey
from models.bundle.load import load_bundle
from models.bundle.pack import pack_bundle
from models.bundle.registry import Registry
from schemas.control import BundleRef
from services.observability.metrics import Metrics
from services.swapping.live import Models
from services.swapping.swap import Swapper
from tests.models.bundle.making import (
    custom_operator,
    drop_golden,
    endless_loop,
    external_data,
    packed,
    read_raw,
    signed,
    version_of,
)

IN_FORCE, NEXT = 5, 6
SEAL_KEY = SealKey(b"s" * 32)
"""Of the scorer."""


@dataclass
class Bench:
    """A scorer's models at version 5, the registry, and version 6 in a directory, to be attacked."""

    registry_dir: Path
    bundle: Path
    registry: Registry
    models: Models
    swapper: Swapper
    metrics: Metrics

    def put(self, content: bytes, ref: BundleRef) -> BundleRef:
        """Lay a container into the registry under a bundle's name, unseen by `publish`."""
        folder = self.registry_dir / "bundles"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{ref.name}-{ref.version}-{ref.digest}.bundle").write_bytes(content)
        return ref

    def ref(self, version: int = NEXT) -> BundleRef:
        """The name of version 6 as it was before the attack."""
        return load_bundle(self.bundle).ref.model_copy(update={"version": version})


def flip(name: str) -> Callable[[Bench], BundleRef]:
    """One bit of one file, after it was signed."""

    def attack(bench: Bench) -> BundleRef:
        ref = bench.ref()
        if not (bench.bundle / name).exists() and name != SIGNATURE:
            (bench.bundle / name).write_bytes(b"of a file that this bundle lacks")
        files = signed(bench.bundle)
        content = bytearray(files[name])
        content[len(content) // 2] ^= 1
        return bench.put(container.pack({**files, name: bytes(content)}), ref)

    return attack


def extra_file(bench: Bench) -> BundleRef:
    """A file that was signed with the rest, and that no bundle has."""
    ref = bench.ref()
    (bench.bundle / "weights.bin").write_bytes(b"evil")
    return bench.put(packed(bench.bundle), ref)


def unsigned_extra_file(bench: Bench) -> BundleRef:
    """A file that bundles may have, slipped in after signing."""
    version_of(bench.bundle, NEXT)  # without a report
    return bench.put(container.pack({**signed(bench.bundle), "report.html": b"<script>"}), bench.ref())


def symlink(bench: Bench) -> BundleRef:
    """In the registry, a link to a bundle that could be changed after the check."""
    ref = bench.put(b"", bench.ref())
    (bench.bundle.parent / "elsewhere").write_bytes(packed(bench.bundle))
    (place,) = (bench.registry_dir / "bundles").glob(f"fraud-{NEXT}-*")
    place.unlink()
    place.symlink_to(bench.bundle.parent / "elsewhere")
    return ref


def pipe(bench: Bench) -> BundleRef:
    """A pipe that no one writes to must not hang the scorer."""
    ref = bench.put(b"", bench.ref())
    (place,) = (bench.registry_dir / "bundles").glob(f"fraud-{NEXT}-*")
    place.unlink()
    os.mkfifo(place)
    return ref


def wrong_key(bench: Bench) -> BundleRef:
    """Sound, and signed by somebody else."""
    return bench.put(packed(bench.bundle, ec.generate_private_key(ec.SECP256R1())), bench.ref())


def no_signature(bench: Bench) -> BundleRef:
    """Sound, and signed by no one."""
    return bench.put(container.pack(read_raw(bench.bundle)), bench.ref())


def older_version(bench: Bench) -> BundleRef:
    """Rightly signed long ago, and since replaced."""
    version_of(bench.bundle, IN_FORCE - 1)
    return bench.put(packed(bench.bundle), bench.ref(IN_FORCE - 1))


def older_under_a_new_name(bench: Bench) -> BundleRef:
    """The same, laid under the name of a newer one."""
    newer = bench.ref()
    version_of(bench.bundle, IN_FORCE - 1)
    return bench.put(packed(bench.bundle), newer)


def same_version_other_bundle(bench: Bench) -> BundleRef:
    """Two bundles of one version."""
    version_of(bench.bundle, IN_FORCE, other=True)
    return bench.put(packed(bench.bundle), bench.ref(IN_FORCE))


def swapped_after_verification(bench: Bench) -> BundleRef:
    """Verified when it was published, another one, rightly signed too, by the time it is loaded."""
    ref = bench.put(packed(bench.bundle), bench.ref())
    version_of(bench.bundle, NEXT, other=True)
    return bench.put(packed(bench.bundle), ref)


def edited(edit: Callable[[onnx.ModelProto], object]) -> Callable[[Bench], BundleRef]:
    """A graph that a careless signer signed: the manifest and the signature are right."""

    def attack(bench: Bench) -> BundleRef:
        bundle = load_bundle(bench.bundle)
        model = onnx.load_from_string(bundle.model)
        edit(model)
        content: bytes = model.SerializeToString()
        pack_bundle(bench.bundle, bundle.manifest, content, bundle.reference, golden=bundle.golden)
        files = signed(bench.bundle)
        ref = BundleRef(name="fraud", version=NEXT, digest="0" * 64)
        return bench.put(container.pack(files), ref)

    return attack


def sealed_with_another_key(bench: Bench) -> BundleRef:
    """Rightly signed, and closed to us."""
    return bench.put(container.seal(packed(bench.bundle), SealKey(b"o" * 32)), bench.ref())


def flipped_seal(bench: Bench) -> BundleRef:
    """One bit of what was sealed with our own key."""
    content = bytearray(container.seal(packed(bench.bundle), SEAL_KEY))
    content[-100] ^= 1
    return bench.put(bytes(content), bench.ref())


def sealed_and_unsigned(bench: Bench) -> BundleRef:
    """Who has the key that seals is not who may sign."""
    return bench.put(container.seal(container.pack(read_raw(bench.bundle)), SEAL_KEY), bench.ref())


def endless_header(bench: Bench) -> BundleRef:
    """A container whose list of files does not end."""
    return bench.put(b"assay-bundle 1\n" + b"manifest.json 1\n" * 1_000_000, bench.ref())


def size_bomb(bench: Bench) -> BundleRef:
    """A container that says it holds more than memory."""
    content = b"assay-bundle 1\nmanifest.json %d\n\n" % (1 << 40)
    return bench.put(content + b"0" * 100, bench.ref())


def large_file(bench: Bench) -> BundleRef:
    """A signed manifest above its limit."""
    ref = bench.ref()
    files = {**read_raw(bench.bundle), MANIFEST: b" " * (BYTES_MAX[MANIFEST] + 1)}
    return bench.put(container.pack(files), ref)


def deep_json(bench: Bench) -> BundleRef:
    """A signed manifest that would exhaust a parser's stack."""
    ref = bench.ref()
    (bench.bundle / MANIFEST).write_bytes(b"[" * 500_000)
    return bench.put(packed(bench.bundle), ref)


def other_features(bench: Bench) -> BundleRef:
    """A spec that the running state does not fit: its first feature has another name."""
    bundle = load_bundle(bench.bundle)
    spec, described = bundle.manifest.feature_spec, bundle.reference.features
    renamed = spec.model_copy(
        update={"features": (spec.features[0].model_copy(update={"name": "renamed"}), *spec.features[1:])}
    )
    manifest = bundle.manifest.model_copy(update={"feature_spec": renamed})
    reference = bundle.reference.model_copy(
        update={"features": (described[0].model_copy(update={"name": "renamed"}), *described[1:])}
    )
    pack_bundle(bench.bundle, manifest, bundle.model, reference, golden=bundle.golden)
    return bench.put(packed(bench.bundle), bench.ref())


def wrong_answers(bench: Bench) -> BundleRef:
    """A graph that does not answer as it did when it was made."""
    bundle = load_bundle(bench.bundle)
    assert bundle.golden is not None
    other = bundle.golden.model_copy(update={"probability": tuple(1.0 - p for p in bundle.golden.probability)})
    pack_bundle(bench.bundle, bundle.manifest, bundle.model, bundle.reference, golden=other)
    return bench.put(packed(bench.bundle), bench.ref())


def no_golden_rows(bench: Bench) -> BundleRef:
    """Nothing to check the answers with."""
    drop_golden(bench.bundle)
    return bench.put(packed(bench.bundle), bench.ref())


def not_there(bench: Bench) -> BundleRef:
    """A command that names nothing."""
    return bench.ref()


ATTACKS: list[tuple[str, Callable[[Bench], BundleRef], str]] = [
    *((f"flipped byte in {name}", flip(name), "signature") for name in (*BYTES_MAX,)),
    ("extra file", extra_file, "content"),
    ("extra file after signing", unsigned_extra_file, "signature"),
    ("symlink", symlink, "unreadable"),
    ("pipe", pipe, "content"),
    ("wrong key", wrong_key, "signature"),
    ("no signature", no_signature, "unsigned"),
    ("older version", older_version, "older"),
    ("older version under a new name", older_under_a_new_name, "signature"),
    ("other bundle of the same version", same_version_other_bundle, "older"),
    ("swapped after verification", swapped_after_verification, "signature"),
    ("external data", edited(external_data), "graph"),
    ("custom operator", edited(custom_operator), "graph"),
    ("loop", edited(endless_loop), "graph"),
    ("sealed with another key", sealed_with_another_key, "sealed"),
    ("flipped byte in a sealed bundle", flipped_seal, "sealed"),
    ("sealed and unsigned", sealed_and_unsigned, "unsigned"),
    ("size bomb", size_bomb, "content"),
    ("endless header", endless_header, "content"),
    ("large file", large_file, "content"),
    ("deep JSON", deep_json, "content"),
    ("other features", other_features, "features"),
    ("wrong answers", wrong_answers, "golden"),
    ("no golden rows", no_golden_rows, "golden"),
    ("not in the registry", not_there, "unreadable"),
]
