"""A policy activated on the console's pages, on the real broker: a real scorer obeys what two persons signed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from models.bundle.keys import private_key, public_pem, write_key_pair
from schemas import codec
from schemas.control import Control
from schemas.lists import ListEntry
from schemas.topics import APPROVALS, CONTROL, LISTS
from services.approvals import entering, new_request
from services.settings.bundles import BundleSettings
from tests.services.console.conftest import Client, address, wait
from tests.services.console.promoting import SIGNERS, Promoting, publish
from tests.services.harness import BUNDLES, Stream, payment
from tests.services.signing import People, people

pytestmark = pytest.mark.slow


def signed_in(url: str) -> dict[str, Client]:
    """The two who sign."""
    found = {name: Client(base_url=url, timeout=60) for name in ("risk-officer", "admin")}
    assert [one.login(name).status_code for name, one in found.items()] == [303, 303]
    return found


def environment(everyone: People, users_file: Path) -> dict[str, str]:
    """Of the scorer and the console: two have to sign, and a registry with three policies."""
    folder = everyone.folder
    (folder / "policies.pub").write_bytes(public_pem(write_key_pair(folder / "policies")))
    return {
        "ASSAY_PERSONS_FILE": str(everyone.file),
        "ASSAY_PERSONS_SIGNATURES_MIN": "2",
        "ASSAY_REGISTRY_URL": str(folder / "registry"),
        "ASSAY_BUNDLE_PUBLIC_KEYS": f"{BUNDLES['ASSAY_BUNDLE_PUBLIC_KEYS']},{folder / 'policies.pub'}",
        "ASSAY_CONSOLE_PORT": "0",
        "ASSAY_CONSOLE_USERS_FILE": str(users_file),
        "ASSAY_CONSOLE_DATABASE_URL": f"sqlite:///{folder}/console.db",
    }


async def written(stream: Stream, everyone: People, by: str) -> str:
    """A request for an entry of a list, as a page of a case writes it; its path."""
    one = ListEntry(
        list_name="blocked", field="device", kind="value", value="d-1", by=by, written_at_ms=1, reason="called"
    )
    made = new_request(by, "list", 1.0, [one], **entering([one]))
    await stream.send([codec.write(made)], [made.request_id.encode()], APPROVALS.name)
    return f"/approvals/{made.request_id}"


async def test_what_two_persons_signed_on_pages_decides_and_an_entry_comes_onto_its_list(
    stream: Stream, users_file: Path, tmp_path: Path
) -> None:
    """The command carries both signatures, every partition answers, payments name the policy; the entry is written once."""
    everyone = people(tmp_path, SIGNERS)
    settings = environment(everyone, users_file)
    bundles = BundleSettings(
        registry_url=settings["ASSAY_REGISTRY_URL"], bundle_public_keys=str(tmp_path / "policies.pub")
    )
    key = private_key(tmp_path / "policies.key")
    publish(bundles, key, 2)
    scorer, console = stream.scorer(**settings), stream.service("services.console", **settings)
    await stream.send([json.dumps(payment(i)).encode() for i in range(40)])
    await stream.caught_up([scorer])
    await asyncio.to_thread(wait, console, lambda: "console.started" in console.log())
    clients = await asyncio.to_thread(signed_in, f"http://{address(console.log())}")
    desk = Promoting(None, everyone, bundles, key, clients)  # type: ignore[arg-type]

    def promote() -> str:
        path = desk.prepare("risk-officer")
        for name in ("risk-officer", "admin"):
            assert desk.sign(name, path).status_code == 303
        wait(console, lambda: "ctive." in clients["admin"].get(path).text)
        return clients["admin"].get(path).text

    page = await asyncio.to_thread(promote)
    assert "All 4 partitions have it active" in page, page
    assert desk.decides() == "fraud/2"
    (command,) = [codec.read(Control, record.value) for record in await stream.read(CONTROL.name)]
    assert command.signed is not None
    assert ([one.by for one in command.signed.signatures], command.by) == (["risk-officer", "admin"], "admin")
    await stream.send([json.dumps(payment(i)).encode() for i in range(40, 80)])
    await stream.caught_up([scorer])
    scores = [json.loads(record.value) for record in await stream.read("scores")]
    named: dict[bool, set[Any]] = {late: set() for late in (False, True)}
    for one in scores:
        named[int(one["transaction_id"][3:]) >= 40].add(str(one.get("policy")).partition("@")[0])
    assert named == {False: {"None"}, True: {"fraud/2"}}

    first, late = [await written(stream, everyone, "risk-officer") for _ in range(2)]
    for name in ("risk-officer", "admin"):
        assert (await asyncio.to_thread(desk.sign, name, first)).status_code == 303
    (entry,) = [codec.read(ListEntry, record.value) for record in await stream.read(LISTS.name)]
    assert entry.proof is not None
    assert [one.by for one in entry.proof.signed.signatures] == ["risk-officer", "admin"]
    answer = await asyncio.to_thread(desk.sign, "risk-officer", late)
    assert (answer.status_code, "says something newer" in answer.text) == (409, True)
