"""What a feature spec makes of an event before any feature: prefixes of addresses as ids, amounts in one currency."""

import functools
import ipaddress
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat

import numpy as np

from models.features.columns import NO_VALUE, TransactionColumns
from schemas.derived import Currencies
from schemas.feature_spec import FeatureSpec

ADDRESSES_MAX = 100_000
"""Addresses whose network is remembered."""

PRIVATE = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("::1/128", "fc00::/7", "fe80::/10"),
)
"""Ours, since Python's own notion of a private address has changed with its versions, and a replay must find every bit."""

Derive = Callable[[TransactionColumns], TransactionColumns]


def derive(spec: FeatureSpec) -> Derive | None:
    """What makes it of a batch's columns; None where the spec makes nothing."""
    if not spec.derived and spec.currencies is None:
        return None
    ids = {name: (one.attribute, one.bits, one.bits_v6) for name, one in spec.derived.items()}
    rate = _rates(spec.currencies) if spec.currencies is not None and spec.currencies.converts else None

    def made(columns: TransactionColumns) -> TransactionColumns:
        further = {
            name: list(map(prefix, columns.ids[attribute], repeat(bits), repeat(bits_v6)))
            for name, (attribute, bits, bits_v6) in ids.items()
            if name not in columns.ids
        }
        amount = columns.amount
        if rate is not None:
            currencies = columns.ids["currency"]
            amount = amount * np.fromiter(map(rate, currencies), np.float64, len(currencies))
        return replace(columns, ids={**columns.ids, **further}, amount=amount)

    return made


def read_for(spec: FeatureSpec, fields: frozenset[str]) -> frozenset[str]:
    """The source's own fields behind these, and those that are read to derive."""
    own = {spec.derived[name].attribute if name in spec.derived else name for name in fields}
    return frozenset(own | ({"currency"} if spec.currencies is not None and spec.currencies.converts else set()))


@functools.lru_cache(maxsize=ADDRESSES_MAX)
def prefix(address: str, bits: int, bits_v6: int) -> str:
    """The network of an address, NO_VALUE where it is none."""
    found = _parsed(address)
    if found is None:
        return NO_VALUE
    return str(ipaddress.ip_network((found, bits if found.version == 4 else bits_v6), strict=False))


def listed(networks: Sequence[str]) -> Callable[[str], float]:
    """What says whether an address is of one of the networks: 1, 0, or NaN where it is none. Remembers."""
    ranges: dict[int, tuple[list[int], list[int]]] = {}
    for version, kind in ((4, ipaddress.IPv4Network), (6, ipaddress.IPv6Network)):
        of_version = [one for one in map(ipaddress.ip_network, networks) if isinstance(one, kind)]
        whole = sorted(ipaddress.collapse_addresses(of_version))  # type: ignore[type-var]
        ranges[version] = [int(one[0]) for one in whole], [int(one[-1]) for one in whole]

    @functools.lru_cache(maxsize=ADDRESSES_MAX)
    def found(address: str) -> float:
        parsed = _parsed(address)
        if parsed is None:
            return math.nan
        first, last = ranges[parsed.version]
        place = bisect_right(first, int(parsed)) - 1
        return 1.0 if place >= 0 and int(parsed) <= last[place] else 0.0

    return found


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if address == NO_VALUE:
        return None
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _rates(currencies: Currencies) -> Callable[[str], float]:
    """The rate of a currency; NaN of one that is refused before it gets here."""
    known = {code: rate for code in (currencies.only, *currencies.rates) if (rate := currencies.rate(code)) is not None}
    known[NO_VALUE] = currencies.rate(None) or math.nan
    return lambda currency: known.get(currency, math.nan)
