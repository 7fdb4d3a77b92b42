"""What a feature spec makes of an event before any feature: ids of parts of addresses, lists of networks, one currency."""

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from schemas.base import Part

NETWORKS_MAX = 50_000
"""Networks of one list."""

RATE_MIN, RATE_MAX = 1e-9, 1e9
"""What one unit of a currency may be worth in another."""

Rate = Annotated[float, Field(ge=RATE_MIN, le=RATE_MAX)]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$", max_length=3)]
AttributeId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", max_length=64)]


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise PydanticCustomError(
            "spec", "{text!r} is no network; write it as 192.0.2.0/24 or 2001:db8::/32", {"text": text}
        ) from None


Network = Annotated[str, Field(max_length=43), AfterValidator(_network)]
"""An address and how many of its bits name the network."""

Networks = Annotated[tuple[Network, ...], Field(min_length=1, max_length=NETWORKS_MAX)]


class NetworksFile(Part):
    """A list of networks that lies in a file, one a line; read where the spec is, and part of the spec from then on."""

    file: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="Its path, from the spec's folder. Lines that begin with # are notes."
    )


class DerivedId(Part):
    """An id made of an attribute."""

    kind: Literal["prefix"] = Field(description="prefix: the network of an address.")
    attribute: AttributeId = Field(description="Which address.")
    bits: Annotated[int, Field(ge=1, le=32)] = Field(24, description="Of an address of version 4.")
    bits_v6: Annotated[int, Field(ge=1, le=128)] = Field(48, description="Of an address of version 6.")


class Currencies(Part):
    """In which currency amounts are added: others are converted by fixed rates, or refused."""

    only: CurrencyCode = Field(description="The currency of every amount that features read.")
    rates: Annotated[dict[CurrencyCode, Rate], Field(max_length=200)] = Field(
        {},
        description="What one unit of another currency is worth in it. An event in any further one is a dead letter.",
    )
    missing: CurrencyCode | None = Field(
        None, description="The currency of events that name none. Without it they are dead letters."
    )

    @property
    def converts(self) -> bool:
        """Whether some amounts are converted."""
        return bool(self.rates)

    @property
    def codes(self) -> tuple[str, ...]:
        """Every currency that is taken."""
        return (self.only, *sorted(self.rates))

    def problems(self) -> Iterator[tuple[str, str]]:
        """Field and what is wrong with it, beyond types."""
        if self.only in self.rates:
            yield "rates", f"{self.only} is the currency of all amounts; remove its rate"
        if self.missing is not None and self.missing not in (self.only, *self.rates):
            yield "missing", f"{self.missing} has no rate; add it under rates"

    def rate(self, currency: str | None) -> float | None:
        """What one unit is worth; None where it cannot be known."""
        currency = currency or self.missing
        if currency is None:
            return None
        return 1.0 if currency == self.only else self.rates.get(currency)
