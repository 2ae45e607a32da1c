"""Which addresses may be reached. Pure: what a name resolves to is handed in.

A name is judged by what it resolves to and by nothing else, so no spelling of an address (2130706433, 0x7f.1,
::ffff:7f00:1, a name that points inside) gets past; whoever connects must connect to the address that was judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_NAT64 = ip_network("64:ff9b::/96")
_NEVER = tuple(
    ip_network(net)
    for net in (
        *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4"),
        *("64:ff9b:1::/48", "100::/64", "2001::/23", "fec0::/10", "5f00::/16"),
    )
)


class Refused(ValueError):
    """The URL may not be asked. The text says why, and names no address that was resolved."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is allowed beyond the public internet over TLS: networks of one's own, and plain HTTP."""

    allowed: tuple[Network, ...] = ()
    plain_http: bool = False

    @classmethod
    def of(cls, networks: str, *, plain_http: bool = False) -> "Rules":
        """Return the rules with these networks, spelled `10.1.0.0/16, fd00::/8`; ValueError if they are none."""
        named = [part.strip() for part in networks.split(",") if part.strip()]
        return cls(tuple(ip_network(name) for name in named), plain_http)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes."""

    tls: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Return what the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def destination(url: str, rules: Rules) -> Destination:
    """Return where a URL leads; Refused if it is none that may be asked. An address in it is judged at once."""
    if len(url) > 2048 or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise Refused("the URL is too long or holds characters that no URL has")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("the URL cannot be read") from None
    if parts.scheme not in (("https", "http") if rules.plain_http else ("https",)):
        raise Refused("the URL must begin with https://")
    if parts.username is not None or parts.password is not None or "\\" in url:
        raise Refused("the URL must not hold a name or password")
    if not parts.hostname or port == 0:
        raise Refused("the URL names no host")
    tls = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    found = Destination(tls, parts.hostname, port or (443 if tls else 80), target)
    _judge_literal(found.host, rules)
    return found


def _judge_literal(host: str, rules: Rules) -> None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return  # a name: judged when it is resolved
    judged([str(address)], rules)


def judged(addresses: Sequence[str], rules: Rules) -> list[str]:
    """Return the addresses of a host; Refused unless every one of them may be reached."""
    if not addresses:
        raise Refused("the host has no address")
    for text in addresses:
        if "%" in text or not reachable(ip_address(text), rules):
            raise Refused("the host is not on the public internet")
    return list(addresses)


def reachable(address: Address, rules: Rules) -> bool:
    """Tell whether an address may be reached: public, whatever it is wrapped in, or allowed."""
    inner = _unwrapped(address)
    if any(_within(one, net) for one in {address, inner} for net in rules.allowed):
        return True
    return _public(address if inner is address else inner)


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for (mapped, 6to4, NAT64), else the address."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address.teredo:
        return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    private = address.is_private or address.is_loopback or address.is_link_local
    return (
        address.is_global
        and not special
        and not private
        and not any(_within(address, net) for net in _NEVER)
    )


def _within(address: Address, net: Network) -> bool:
    return address.version == net.version and address in net
