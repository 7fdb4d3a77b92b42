"""Who may ask: keys, scopes, rates; and that without credentials no other machine is served."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.topics import CLIENT_HEADER, TRANSACTIONS
from services.cli.app import app
from services.errors import SettingsError
from services.gateway.access import Access, Client
from services.gateway.keys import SCOPES, Keys, make_key, read_keys, write_keys
from services.gateway.problems import Kind, ProblemError
from services.settings.gateway import GatewaySettings
from tests.services.gateway.asking import Door
from tests.services.harness import Stream, payment


def run(*arguments: str) -> tuple[int, str]:
    """Exit status and stdout of a command."""
    result = CliRunner().invoke(app, ["gateway", "keys", *arguments])
    return result.exit_code, result.stdout


def test_a_key_is_shown_once_and_kept_hashed(tmp_path: Path) -> None:
    """And readable by its owner alone."""
    path = tmp_path / "keys.json"
    status, token = run("add", "checkout", "--file", str(path))
    token = token.strip()
    assert status == 0
    assert token.rpartition("_")[2] not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    (listed,) = json.loads(run("list", "--file", str(path), "--json")[1])
    assert (listed["client"], listed["scopes"]) == ("checkout", ["decide", "read"])
    keys = Keys(path)
    found = keys.of(token)
    assert found is not None
    assert found.client == "checkout"
    wrong = [
        token + "x",
        token[:-1],
        "",
        "assay_",
        "assay__",
        f"assay_{found.id}_",
        token.replace("assay", "other"),
        "\ud800",
    ]
    assert [keys.of(one) for one in wrong] == [None] * len(wrong)


def test_a_revoked_key_opens_nothing_until_it_is_restored(tmp_path: Path) -> None:
    """The gateway reads the file again."""
    path = tmp_path / "keys.json"
    token = run("add", "checkout", "--file", str(path))[1].strip()
    keys = Keys(path)
    key = keys.of(token)
    assert key is not None
    for command, opens in (("revoke", False), ("restore", True)):
        assert run(command, key.id, "--file", str(path))[0] == 0
        assert keys.refresh()
        assert (keys.of(token) is not None) is opens
    assert run("revoke", "000000000000", "--file", str(path))[0] == 1


@pytest.mark.parametrize("content", ["", "{", '{"keys": [{"id": "x"}]}', "[]"])
def test_a_file_that_cannot_be_used_stops_the_start_and_leaves_the_keys_of_before(tmp_path: Path, content: str) -> None:
    """One sentence; and a mistake in it shuts no one out who was in."""
    path = tmp_path / "keys.json"
    key, token = make_key("checkout", SCOPES, None, 1)
    write_keys(path, [key])
    access = Access(GatewaySettings(keys_file=path))
    path.write_text(content)
    access.refresh()
    assert access._keys is not None
    assert access._keys.of(token) is not None
    with pytest.raises(SettingsError, match="ASSAY_GATEWAY_KEYS_FILE"):
        Access(GatewaySettings(keys_file=path))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1"])  # noqa: S104
def test_without_credentials_no_other_machine_is_served(host: str) -> None:
    """The start is refused."""
    with pytest.raises(SettingsError, match="use 127"):
        Access(GatewaySettings(host=host))


def test_a_client_is_held_to_its_rate() -> None:
    """A second's worth at once, then as it refills; another client is not touched."""
    now_s = 0.0
    access = Access(GatewaySettings(), clock_s=lambda: now_s)
    one, other = Client("one", SCOPES, 2.0), Client("other", SCOPES)
    access.meter(one, 2)
    with pytest.raises(ProblemError) as refused:
        access.meter(one, 1)
    assert (refused.value.kind, refused.value.retry_after_s) == (Kind.RATE, 1)
    access.meter(other, 1000)
    now_s = 0.5
    access.meter(one, 1)
    now_s = 10.0
    access.meter(one, 50)  # more than ever fits at once is let in, and paid off
    now_s = 12.0
    with pytest.raises(ProblemError):
        access.meter(one, 1)


@pytest.mark.broker
async def test_a_gateway_with_keys_serves_those_who_have_one_and_the_log_says_who_asked(
    stream: Stream, tmp_path: Path
) -> None:
    """401 without, 403 without the scope; each event's record names its client."""
    path, tokens = tmp_path / "keys.json", {}
    keys = []
    for client, scopes in (("checkout", ("decide",)), ("desk", ("read", "metrics"))):
        key, tokens[client] = make_key(client, scopes, None, 1)  # type: ignore[arg-type]
        keys.append(key)
    write_keys(path, keys)
    assert read_keys(path).keys == tuple(keys)
    door = Door(
        stream, ASSAY_GATEWAY_KEYS_FILE=str(path), ASSAY_GATEWAY_DEADLINE_MS="10", ASSAY_GATEWAY_STALLED_S="3600"
    )
    await door.ready()
    bearer = {name: {"Authorization": f"Bearer {token}"} for name, token in tokens.items()}
    assert [
        (await door.post(payment(1), **headers)).status_code for headers in ({}, bearer["desk"], bearer["checkout"])
    ] == [
        401,
        403,
        200,
    ]
    assert (await door.get("/metrics")).status_code == 401
    assert (await door.get("/readyz")).status_code == 200
    (record,) = await stream.read(TRANSACTIONS.name)
    assert dict(record.headers)[CLIENT_HEADER] == b"checkout"
    assert not any(token in door.process.log() for token in tokens.values())
