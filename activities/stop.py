"""Asking a run to end."""

import asyncio

from shiftwork.contracts.session import InterruptionReason


class Stop:
    """Why a run is to end early; the first reason stays. `reason` None: nobody asked."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason: InterruptionReason | None = None

    def ask(self, reason: InterruptionReason) -> None:
        """End the agent's whole process tree; what it did so far is kept."""
        self.reason = self.reason or reason
        self._event.set()

    def is_set(self) -> bool:
        """Whether anybody asked."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Until somebody asks."""
        await self._event.wait()
