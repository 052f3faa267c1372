"""Connections to listed hosts: a name is resolved once, here, and its addresses are what is connected to."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from shiftwork.gateway.hosts import HostPattern, is_public
from shiftwork.gateway.refusals import Reason, Refused

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host, as text; raises `OSError`."""

Dial = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""A connection to an address; raises `OSError`."""


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


async def dial(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect over TCP; asks no resolver."""
    return await asyncio.open_connection(address, port, flags=socket.AI_NUMERICHOST)


class Egress:
    """Opens connections to hosts for confined programs; how can be replaced, for tests without internet."""

    def __init__(self, resolve: Resolve = resolve, dial: Dial = dial) -> None:
        self._resolve = resolve
        self._dial = dial

    async def connect(
        self, host: str, port: int, seconds: float
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a public address of this host.

        Raises:
            Refused: one of its addresses is not public, or none can be connected to.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._first(await self._addresses(host, port), port)
        except TimeoutError:
            raise Refused(504, Reason.UPSTREAM, "the host did not answer in time.") from None
        except OSError:
            raise Refused(502, Reason.UPSTREAM, "the host can't be reached.") from None

    async def _addresses(self, host: str, port: int) -> list[str]:
        found = list(dict.fromkeys(await self._resolve(host, port)))
        # One bad address among good ones is a trick too.
        if not all(map(is_public, found)):
            raise Refused(403, Reason.FORBIDDEN, "the host stands for an address that is not public.")
        return found

    async def _first(
        self, addresses: list[str], port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        failure = OSError("no address")
        for address in addresses:
            try:
                return await self._dial(address, port)
            except OSError as error:
                failure = error
        raise failure


def check_listed(patterns: tuple[HostPattern, ...], host: str, port: int, default: int) -> None:
    """Raise `Refused` unless the policy lists this host and port."""
    if not any(pattern.matches(host, port, default) for pattern in patterns):
        raise Refused(403, Reason.FORBIDDEN, "this host and port are not among those this session may reach.")
