"""Addresses: in_cidr, for networks of IPv4 and IPv6. An IPv4 address inside IPv6 (::ffff:10.0.0.1) is the IPv4 one."""

from collections import defaultdict
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from flags.domain.operators.operator import Operator, Said, Test, named, texts
from flags.domain.wrong import Wrong

LONGEST = 64


@lru_cache(8192)
def _address(text: str) -> tuple[int, int] | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return _numbered(found)


def _numbered(found: IPv4Address | IPv6Address) -> tuple[int, int]:
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return 4, int(found.ipv4_mapped)
    return found.version, int(found)


def _within(said: Said) -> Test:
    """Keep networks by how many bits of an address do not matter: one look-up per size, however many networks."""
    known: dict[tuple[int, int], set[int]] = defaultdict(set)
    for index, text in enumerate(texts(said)):
        version, shift, prefix = _network(index, text)
        known[version, shift].add(prefix)
    sizes = {v: [(shift, known[v, shift]) for w, shift in known if w == v] for v in (4, 6)}

    def test(value: object) -> bool:
        if value.__class__ is not str or len(value) > LONGEST:  # type: ignore[arg-type]
            return False
        found = _address(value)  # type: ignore[arg-type]
        if found is None:
            return False
        version, number = found
        return any(number >> shift in prefixes for shift, prefixes in sizes[version])

    return test


def _network(index: int, text: str) -> tuple[int, int, int]:
    try:
        found = ip_network(text, strict=False)
    except ValueError as wrong:
        raise Wrong(f"/values/{index}", f"is no network: {wrong}", "cidr") from None
    version, prefix = _numbered(found.network_address)
    shift = found.max_prefixlen - found.prefixlen
    return version, shift, prefix >> shift


NETWORKS = named(in_cidr=Operator(prepare=_within, fields=frozenset({"values"})))
