"""Which hosts a confined program may name, and which addresses they may stand for."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from shiftwork.errors import InvalidInput

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_AUTHORITY = re.compile(r"([^:]*)(?::([1-9][0-9]{0,4}))?")
# What the URL standard takes for an IPv4 address: its last label is a number, in whatever base.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_REFUSED = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",  # a cloud's metadata at a public address
            "192.0.0.0/24",  # protocol assignments; another cloud's metadata
            "192.88.99.0/24",  # relays of 6to4
            "2001::/23",  # Teredo, ORCHID and other protocol assignments
            "2001:db8::/32",
            "2002::/16",  # 6to4 carries any IPv4 address
            "3fff::/20",
        ),
    )
)
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
"""What stands in front of the IPv4 address that is the end of an IPv6 address."""
_GLOBAL_UNICAST = ip_network("2000::/3")


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host, or all below a domain, and perhaps a port."""

    name: str
    below: bool
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "HostPattern":
        """Read `host`, `host:port`, `*.domain`, `*.domain:port`, or `*` for all; raises `InvalidInput`."""
        if text == "*":
            return cls("", below=True, port=None)
        below = text.startswith("*.")
        found = split_authority(text.removeprefix("*."))
        if found is None or (below and "." not in found[0]):
            raise InvalidInput(
                f"The host pattern {text!r} is not understood: give host, host:port or *.domain, no address."
            )
        return cls(found[0], below, found[1])

    def matches(self, name: str, port: int, default: int) -> bool:
        """Whether this host, in lower case, is meant."""
        if not self.name:
            return port == default
        fits = name.endswith(f".{self.name}") if self.below else name == self.name
        return fits and port == (self.port or default)


def split_authority(text: str) -> tuple[str, int | None] | None:
    """The host, in lower case, and the port of `host` or `host:port`.

    None for everything else: addresses in any spelling, users, trailing dots, what is not ASCII, bad ports.
    """
    match = _AUTHORITY.fullmatch(text.lower()) if text.isascii() else None
    if match is None or len(match[1]) > 253 or not _NAME.fullmatch(match[1]):
        return None
    if _NUMBER.fullmatch(match[1].rpartition(".")[2]):
        return None
    port = int(match[2]) if match[2] else None
    return None if port is not None and port > 65535 else (match[1], port)


def is_public(address: str) -> bool:
    """Whether an address is a plain host of the internet.

    Private, loopback, link-local, multicast, metadata and reserved ones are not, nor those that carry an
    IPv4 address within (mapped, NAT64, 6to4, Teredo), or at their end (ISATAP) one that is not.
    """
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if not parsed.is_global or parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified:
        return False
    if isinstance(parsed, IPv6Address) and (parsed not in _GLOBAL_UNICAST or parsed.scope_id):
        return False
    if any(parsed.version == each.version and parsed in each for each in _REFUSED):
        return False
    if isinstance(parsed, IPv6Address) and int(parsed) >> 32 & 0xFFFFFFFF in _ISATAP:
        return is_public(str(IPv4Address(int(parsed) & 0xFFFFFFFF)))
    return True
