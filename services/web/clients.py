"""How many connections each client may hold of a server that has room for so many.

Clients are told apart by their address alone: it is what is known before a byte is read. Of IPv6 a client has the 64 bits below
its network as it likes, so the network counts. Proxies, behind which many have one address, are left out of the count.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

FULL, CLIENT = "full", "client"
"""Why one more is refused: the server has no room, or this client none."""

CLOSED_CAUSES = (FULL, CLIENT, "handshake", "slow", "head", "unread", "idle")
CLOSED_MEANS = (
    "full (one too many), client (one too many of this client), handshake (TLS failed or was slow), slow (a request), head "
    "(too large), unread (an answer), idle"
)

Network = IPv4Network | IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """Of a comma-separated list. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client_of(address: str) -> str:
    """What tells a client from others."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped is not None else str(ip_network((int(found) >> 64 << 64, 64)))
    return str(found)


class Clients:
    """Who holds connections. Not safe for threads: a server of many holds a lock."""

    def __init__(self, connections_max: int, client_max: int, proxies: Iterable[Network] = ()) -> None:
        self.connections_max, self.client_max = connections_max, client_max
        self.proxies = tuple(proxies)
        self._held: Counter[str] = Counter()
        self.connections = 0

    def held_by(self, address: str) -> int:
        """How many connections the client of an address holds."""
        return self._held[client_of(address)]

    def refusal(self, address: str) -> str | None:
        """Why one more of this address is too many; None where it is not."""
        if self.connections >= self.connections_max:
            return FULL
        return CLIENT if self.held_by(address) >= self.client_max and not self.is_proxy(address) else None

    def enter(self, address: str) -> "Place":
        """One more."""
        return Place(self, client_of(address))

    def is_proxy(self, address: str) -> bool:
        """Whether many clients may be behind it."""
        try:
            found = ip_address(client_of(address).partition("/")[0]) if self.proxies else None
        except ValueError:
            return False
        return found is not None and any(found in network for network in self.proxies)

    def beyond(self, addresses: Sequence[str]) -> list[int]:
        """Of connections of these addresses, the oldest first: the places of those that should not be there.

        For a server that accepts by itself, so that its connections can be counted only afterwards.
        """
        counting = Clients(self.connections_max, self.client_max, self.proxies)
        found = []
        for number, address in enumerate(addresses):
            if counting.refusal(address):
                found.append(number)
            else:
                counting.enter(address)
        return found

    def _count(self, client: str, change: int) -> None:
        self._held[client] += change
        self.connections += change
        if not self._held[client]:
            del self._held[client]


class Place:
    """A connection's, until it is left."""

    __slots__ = ("_clients", "client")

    def __init__(self, clients: Clients, client: str) -> None:
        self._clients: Clients | None = clients
        self.client = client
        clients._count(client, 1)

    def leave(self) -> None:
        """The connection is over. To say so again does nothing."""
        clients, self._clients = self._clients, None
        if clients is not None:
            clients._count(self.client, -1)
