"""Copies of an agent's conversation: taken while it works, given to the attempt that goes on with it."""

import asyncio
import logging
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from activities.services import Services
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.home import PrivateHome
from shiftwork.agents.listening import OnEvent
from shiftwork.errors import CodecError, InvalidInput, LeaseLost, StackError
from shiftwork.repository.files import remove_tree
from shiftwork.store.rows import Attempt

LARGEST: Final = 32 * 1024 * 1024
"""Bytes of a conversation that are copied; a larger one stays on its host."""

_BYTES_PER_SECOND: Final = 8 * 1024 * 1024
"""What one session may have copied, so that one that says `saved` all the time keeps nobody else waiting."""

_LAST_SECONDS: Final = 10.0
"""How long the end of an attempt waits for the last copy."""

_RETRY_SECONDS: Final = 0.5

log = logging.getLogger("shiftwork.activities")


class ConversationCopies:
    """Copies a conversation's file whenever the agent says that it has a new state; an async context.

    States that come faster than they are written are passed over: the newest is the one that counts. Whatever
    goes wrong is a warning, once; a session does not depend on it.

    Args:
        name: the file, in the agent's home; None: there is none, and nothing is copied.
    """

    def __init__(
        self, services: Services, session_id: int, attempt: Attempt, home: Path, name: str | None
    ) -> None:
        self._services = services
        self._session_id = session_id
        self._attempt = attempt
        self._home = PrivateHome(home)
        self._name = name if services.seal.seals else None
        self._state = 0
        self._copied = 0
        self._warned = False
        self._news = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def hearing_before(self, take: OnEvent) -> OnEvent:
        """What takes an agent's events, without those that are for us."""

        async def hear(event: AgentEvent) -> None:
            if event.kind is AgentEventKind.SAVED:
                self.saved(event)
            else:
                await take(event)

        return hear

    def saved(self, event: AgentEvent) -> None:
        """The agent says that its conversation has a new state; which file that is, we know better."""
        if self._name is not None and event.data.get("file") == self._name:
            self._state += 1
            self._news.set()

    async def __aenter__(self) -> Self:
        if self._name is not None:
            self._task = asyncio.create_task(self._copy_again_and_again(self._name))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is None:
            return
        self._closing.set()
        self._news.set()
        # An attempt that broke is none to go on with from its very end.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._task, _LAST_SECONDS if error is None else 0)

    async def _copy_again_and_again(self, name: str) -> None:
        while self._copied < self._state or not self._closing.is_set():
            await self._news.wait()
            self._news.clear()
            if self._copied == self._state:
                continue
            state = self._state
            try:
                size = await self._copy(name, state)
                self._copied = state
                await self._rest(size / _BYTES_PER_SECOND)
            except LeaseLost:
                return  # the lease's keeper ends the agent
            except (OSError, InvalidInput, CodecError) as error:
                self._copied = state  # the same file again is of no use
                self._warn(error)
            except StackError as error:
                self._warn(error)
                await self._rest(_RETRY_SECONDS)
                self._news.set()

    async def _copy(self, name: str, state: int) -> int:
        services, attempt = self._services, self._attempt
        content = await asyncio.to_thread(read_bounded, self._home, name)
        body = await asyncio.to_thread(services.seal.seal, content, _place(self._session_id))
        async with services.store.transaction() as tx:
            await tx.conversations.keep(
                self._session_id, attempt.attempt, attempt.token, state, body, size=len(content)
            )
        return len(content)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "session %d: its conversation can't be copied, so only this host could go on with it: %s",
                *(self._session_id, error),
            )


async def bring_copy(
    services: Services, session_id: int, attempts: Collection[int], home: Path, name: str
) -> bool:
    """Put the copy of a conversation into a new home; False if there is none that can be used.

    Args:
        attempts: those that were in this conversation.
        home: made anew; what was there is of an older one.
    """
    try:
        async with services.store.transaction() as tx:
            row = await tx.conversations.find(session_id)
        if row is None or row.attempt not in attempts:
            return False
        content = await asyncio.to_thread(services.seal.open, row.body, _place(session_id), LARGEST)
        await asyncio.to_thread(remove_tree, home, ignore_errors=True)
        await asyncio.to_thread(PrivateHome(home).write, name, content)
    except (OSError, InvalidInput, CodecError) as error:
        log.warning("session %d: its conversation can't be used, so a new one begins: %s", session_id, error)
        return False
    return True


async def forget_copy(services: Services, session_id: int) -> None:
    """Nobody goes on with this conversation."""
    async with services.store.transaction() as tx:
        await tx.conversations.forget(session_id)


def read_bounded(home: PrivateHome, name: str, limit: int = LARGEST) -> bytes:
    """A file that an agent wrote; follows no link, waits for nothing, and reads no more than is allowed.

    Raises:
        OSError: it is not there, is no file of its own, or is too large.
    """
    fd = home.open(name)
    try:
        found = os.fstat(fd)
        if found.st_nlink != 1:
            raise OSError(f"{name!r} has other names too")
        if found.st_size > limit:
            raise OSError(f"{name!r} has {found.st_size} bytes, more than {limit}")
        pieces, size = [], 0
        while piece := os.read(fd, min(1 << 20, limit + 1 - size)):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise OSError(f"{name!r} grows beyond {limit} bytes")
        return b"".join(pieces)
    finally:
        os.close(fd)


def _place(session_id: int) -> str:
    return f"conversation {session_id}"
