"""What the embedded servers have in common: a child, a log, ports kept, patience at the start."""

import asyncio
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

from shiftwork.errors import StackError
from shiftwork.stack.child import Child, Command
from shiftwork.stack.private import private_folder
from shiftwork.text import tail

_ATTEMPTS = 3
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.02


class Supervised(Protocol):
    """Something that a stack keeps up: it can be started again after it ended."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        ...

    async def start(self) -> None:
        """Start it; returns when it can be used. Raises `StackError`."""
        ...

    async def wait(self) -> int:
        """Wait until it ends; returns its exit status, negative for a signal."""
        ...

    async def stop(self) -> None:
        """End it and everything it started; does nothing if it does not run."""
        ...


class Program:
    """A program as it is: it counts as ready when it runs."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.name = command.name
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """See `Supervised`."""
        return self._child.pid if self._child and self._child.running else None

    async def start(self) -> None:
        """See `Supervised`."""
        self._child = await Child.start(self.command)

    async def wait(self) -> int:
        """See `Supervised`."""
        assert self._child is not None
        return await self._child.wait()

    async def stop(self) -> None:
        """See `Supervised`."""
        if self._child is not None:
            await self._child.stop()
            self._child = None


class EmbeddedServer(ABC):
    """A server on a folder of its own; see `Supervised`.

    Whoever uses one holds the state folder's lock: two at once on one folder would end each other's server.
    """

    name: str

    def __init__(self, folder: Path, log: str) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / log
        self._child: Child | None = None

    async def start(self) -> None:
        """Start the server and wait until it can be used; makes its data the first time.

        Raises:
            StackError: it can't be started; its last line of log says why. Nothing of it runs then.
        """
        private_folder(self.folder)
        await self._prepare()
        try:
            await self._launch()
            await self._settle()
        except BaseException:  # cancelled or failed: nothing that was started here may stay
            await self.stop()
            raise

    @property
    def pid(self) -> int | None:
        """The server's process id, while it runs."""
        return self._child.pid if self._child and self._child.running else None

    async def wait(self) -> int:
        """Wait until the server ends; returns its exit status, negative for a signal."""
        assert self._child is not None
        return await self._child.wait()

    async def stop(self) -> None:
        """Shut the server down; does nothing if it does not run."""
        if self._child is not None:
            await self._child.stop()
            self._child = None

    @abstractmethod
    async def _prepare(self) -> None:
        """Make the data, and clear away what a killed predecessor left."""

    @abstractmethod
    def _command(self) -> Command:
        """What to run now; chooses the ports that are not chosen yet."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether the server answers a real call."""

    @abstractmethod
    def _forget_ports(self) -> None:
        """Forget free-chosen ports that the server was never up on."""

    @abstractmethod
    async def _settle(self) -> None:
        """Make what has to exist in a running server."""

    async def _launch(self) -> None:
        """Start the child and wait until it answers.

        Another process may take a port between its choice and its use, and the last process of a killed
        predecessor may still hold the data, so one failure is not the last word.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            self._child = await Child.start(self._command())
            try:
                await self._ready(self._child)
            except StackError:
                await self.stop()
                if attempt == _ATTEMPTS:
                    raise
                self._forget_ports()
                await asyncio.sleep(0.3 * attempt)
            else:
                return

    async def _ready(self, child: Child) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while child.running and time.monotonic() < deadline:
            if await self._answers():
                return
            await asyncio.sleep(_POLL_SECONDS)
        raise StackError(f"{self.name} does not start: {self._last_words()} ({self.log} says more).")

    def _last_words(self) -> str:
        lines = tail(self.log.read_bytes(), 4000).strip().splitlines() if self.log.exists() else []
        telling = [line for line in lines if "FATAL" in line or "error" in line.lower()]
        return (telling or lines or ["it wrote nothing"])[-1].rstrip(".")
