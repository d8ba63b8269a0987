"""Which addresses and hosts documents may be fetched from.

Refused is what the registries of IANA for special-purpose IPv4 and IPv6 addresses list (RFC 6890 and its updates), multicast, and where clouds serve
their machines' metadata and agents.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

REFUSED_IPV4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
            "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
            "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "168.63.129.16/32",  # Azure answers its machines there, in public address space.
        ),
    )
)  # fmt: skip
PUBLIC_IPV6 = IPv6Network("2000::/3")
# Tunnels (Teredo, 6to4) among them, which lead to the IPv4 address inside.
REFUSED_IPV6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")))
WRAPPED_IPV4 = tuple(map(IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96")))


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped or NAT64 one, as that is where a connection ends."""
    if isinstance(address, IPv6Address) and any(address in network for network in WRAPPED_IPV4):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def may_connect(address: Address, allowed_networks: Sequence[Network]) -> bool:
    """Whether an address is public, or among those that the config allows."""
    inner = unwrapped(address)
    if any(inner in network or address in network for network in allowed_networks):
        return True
    if isinstance(inner, IPv4Address):
        return not any(inner in network for network in REFUSED_IPV4)
    return inner in PUBLIC_IPV6 and not any(inner in network for network in REFUSED_IPV6)


def find_address(host: str) -> Address | None:
    """The address that a host is written as; None for a name.

    Raises:
        ValueError: it is written as a number in a form that programs read differently, such as `127.1`.
    """
    if ":" in host or host.replace(".", "").isdigit():
        return ip_address(host)
    return None


def is_allowed_host(host: str, patterns: Sequence[str] | None) -> bool:
    """Whether the config allows a host; `*.example.org` stands for all below it."""
    if patterns is None:
        return True
    name = host.rstrip(".").lower()
    return any(name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern for pattern in patterns)


__all__ = ["Address", "Network", "find_address", "is_allowed_host", "may_connect", "unwrapped"]
