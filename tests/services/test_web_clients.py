"""Connections are counted by client, and given back."""

import pytest

from services.errors import SettingsError
from services.settings.console import ConsoleSettings
from services.settings.gateway import GatewaySettings
from services.web.clients import CLIENT, FULL, Clients, client_of, networks
from services.web.server import clients_of


def test_a_client_has_its_share_and_the_server_its_room() -> None:
    """A place that is left is another's; to leave it twice counts once."""
    clients = Clients(4, 2)
    places = [clients.enter("10.0.0.1") for _ in range(2)]
    assert clients.refusal("10.0.0.1") == CLIENT
    assert clients.refusal("10.0.0.2") is None
    others = [clients.enter(f"10.0.1.{number}") for number in range(2)]
    assert clients.refusal("10.0.0.2") == FULL
    for place in (*places, *places):
        place.leave()
    assert (clients.connections, clients.held_by("10.0.0.1")) == (2, 0)
    for place in others:
        place.leave()
    assert not clients._held


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:/run/x", "unix:/run/x"),
    ],
)
def test_a_client_is_its_address_or_its_ipv6_network(address: str, client: str) -> None:
    """A client with one has 2**64 of them."""
    assert client_of(address) == client


def test_behind_a_proxy_many_have_one_address() -> None:
    """It has no share; an address that lies in none of its networks has."""
    clients = Clients(100, 1, networks("10.0.0.0/8, 2001:db8::/32"))
    for address in ("10.1.2.3", "::ffff:10.9.9.9", "2001:db8::1"):
        clients.enter(address)
        assert clients.refusal(address) is None
    for address in ("11.0.0.1", "2001:db9::1", "unix:"):
        clients.enter(address)
        assert clients.refusal(address) == CLIENT


def test_of_connections_that_are_there_the_newest_are_too_many() -> None:
    """Of each client, then of all."""
    assert Clients(3, 2).beyond(["a", "a", "a", "b", "c", "a"]) == [2, 4, 5]


@pytest.mark.parametrize("settings", [GatewaySettings(proxies="10.0.0.1/8"), ConsoleSettings(proxies="proxy")])
def test_proxies_that_are_no_networks_stop_the_start_in_a_sentence(settings: GatewaySettings | ConsoleSettings) -> None:
    """With how they are written."""
    with pytest.raises(SettingsError, match=r"ASSAY_X_PROXIES=.* is no list of networks: write them as 10\.0\.0\.0/8"):
        clients_of(settings, "ASSAY_X_")
