"""The gateway of one worker: the only way out of its sandboxes."""

import asyncio
from typing import Self

from shiftwork.errors import Conflict
from shiftwork.gateway.egress import Egress
from shiftwork.gateway.holding import Holding
from shiftwork.gateway.policy import Policy
from shiftwork.gateway.providers import Providers
from shiftwork.gateway.question import Reading
from shiftwork.gateway.session import GatewaySession

_HELD = 256 * 1024 * 1024
_PROCESSES = 2
"""Large questions that are read at once, each in a process of at most 512 MiB."""


class Gateway:
    """The gateway of one worker; an asynchronous context manager. Leaving it closes its sessions.

    Args:
        egress: how listed hosts are connected to.
        held: bytes of questions that are in memory as a whole, of all sessions.
    """

    def __init__(self, egress: Egress | None = None, *, held: int = _HELD) -> None:
        self._egress = egress or Egress()
        self._providers: Providers | None = None
        self._holding = Holding(held)
        self._processes = asyncio.Semaphore(_PROCESSES)
        self._sessions: set[GatewaySession] = set()

    async def __aenter__(self) -> Self:
        self._providers = Providers()
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in tuple(self._sessions):
            await session.close()
        providers, self._providers = self._providers, None
        if providers is not None:
            await providers.close()

    def open(self, policy: Policy, *, door: bool = False) -> GatewaySession:
        """A session for one agent run, to be entered.

        Args:
            policy: what it may do.
            door: whether its listening socket comes over a door; else it listens on a loopback port.

        Raises:
            Conflict: the gateway is not running.
        """
        if self._providers is None:
            raise Conflict("The gateway is not running.")
        session = GatewaySession(
            policy,
            self._providers,
            self._egress,
            Reading(self._processes),
            Holding(policy.bounds.held, self._holding),
            door=door,
            on_close=self._sessions.discard,
        )
        self._sessions.add(session)
        return session
