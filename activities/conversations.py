"""Copies of an agent's conversation: taken while it works, given to the attempt that goes on with it."""

import asyncio
import logging
import os
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from activities.services import Services
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.home import PrivateHome
from shiftwork.agents.listening import OnEvent
from shiftwork.codec.parts import Part, Parts, open_parts
from shiftwork.errors import CodecError, InvalidInput, LeaseLost, StackError
from shiftwork.repository.files import remove_tree
from shiftwork.store.rows import Attempt, SessionRow

LARGEST: Final = 32 * 1024 * 1024
"""Bytes of a conversation that are copied; a larger one stays on its host."""

_BYTES_PER_SECOND: Final = 8 * 1024 * 1024
"""What one session may have copied, so that a file that changes all the time keeps nobody else waiting."""

_BURST: Final = 16 * 1024 * 1024
"""What it may have copied at once, after it had little copied for a while."""

_READ_SHARE: Final = 8
"""Of a file that is read, so much less counts than of what is written."""

_LAST_SECONDS: Final = 10.0
"""How long the end of an attempt waits for the last copy."""

_LONGEST_WAIT: Final = 20.0
"""How long a question waits for its copy; without a database its attempt loses its lease before that."""

_RETRY_SECONDS: Final = 0.5

_AWAY: Final = "the agent's conversation can't be stored, as the database is away."
_SUPERSEDED: Final = "another attempt of this session took over."

log = logging.getLogger("shiftwork.activities")

Version = tuple[int, ...]
"""By which the state of a file is known again: one that was replaced or changed has another."""


class ConversationCopies:
    """Copies a conversation's file into the database; an async context.

    Whenever the agent says that it has a new state, that is copied while it works; states that come faster
    than they are written are passed over. `before_question` is for the gateway: it waits until the newest
    state is there, so that no answer that was paid for before is lost with this host.

    A file that can't be copied is a warning, once; a session does not depend on it.

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
        self._parts = Parts(services.seal, _place(session_id))
        self._copied: Version | None = None
        self._sequence = 0
        self._allowance = float(_BURST)
        self._counted_at = time.monotonic()
        self._said = False
        self._warned = False
        self._copying = asyncio.Lock()
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
            self._said = True
            self._news.set()

    async def before_question(self) -> str | None:
        """Return once the newest state is stored, or can't be copied at all.

        Returns:
            Why no question may be asked now: without a database it would not be known to be paid for.
        """
        try:
            async with asyncio.timeout(_LONGEST_WAIT):
                await self._copy_newest()
        except TimeoutError:
            return _AWAY
        except LeaseLost:
            return _SUPERSEDED
        return None

    async def __aenter__(self) -> Self:
        if self._name is not None:
            self._task = asyncio.create_task(self._copy_again_and_again())
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

    async def _copy_again_and_again(self) -> None:
        last = False
        with suppress(LeaseLost):  # the lease's keeper ends the agent
            while not last:
                await self._news.wait()
                self._news.clear()
                # What an agent that is ended saved last, it may not have said.
                last = self._closing.is_set()
                await self._copy_newest()

    async def _copy_newest(self) -> None:
        """Copy what is not copied yet, as soon as the database takes it; raises `LeaseLost`."""
        done = self._name is None
        while not done:
            done = await self._is_copied(str(self._name))
            await asyncio.sleep(0 if done else _RETRY_SECONDS)

    async def _is_copied(self, name: str) -> bool:
        """Whether nothing is left to copy, or nothing can be; False: the database is away."""
        try:
            async with self._copying:
                await self._copy(name)
        except (OSError, InvalidInput, CodecError) as error:
            self._warn(error)  # another time it would be the same
        except StackError as error:
            self._warn(error)
            return False
        return True

    async def _copy(self, name: str) -> None:
        taken = await asyncio.to_thread(self._changed, name)
        if taken is None:
            return
        version, part = taken
        await self._rest(len(part.body) + len(part.content) // _READ_SHARE)
        try:
            if not await self._keep(part) and not part.whole:
                self._parts.forget()
                part = await asyncio.to_thread(self._parts.next, part.content)
                await self._keep(part)
        except BaseException:  # whatever kept it from being stored, perhaps it was
            self._parts.forget()
            raise
        self._parts.stored(part)
        self._copied = version

    async def _keep(self, part: Part) -> bool:
        before, self._sequence = self._sequence, self._sequence + 1
        async with self._services.store.transaction() as tx:
            return await tx.conversations.keep(
                *(self._session_id, self._attempt.attempt, self._attempt.token),
                *(self._sequence, part.body),
                size=len(part.content),
                follows=None if part.whole else before,
            )

    def _changed(self, name: str) -> tuple[Version, Part] | None:
        """The file's version, and what is to be stored of it; None if it is copied already; blocks."""
        try:
            found = read_bounded(self._home, name, unless=self._copied)
        except FileNotFoundError:
            if self._said:
                raise
            return None  # an agent that has yet to begin
        return None if found is None else (found[0], self._parts.next(found[1]))

    async def _rest(self, size: int) -> None:
        """Wait until so many bytes may be copied."""
        now = time.monotonic()
        self._allowance = min(_BURST, self._allowance + (now - self._counted_at) * _BYTES_PER_SECOND) - size
        self._counted_at = now
        if self._allowance < 0:
            await asyncio.sleep(-self._allowance / _BYTES_PER_SECOND)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "session %d: its conversation can't be copied, so only this host could go on with it: %s",
                *(self._session_id, error),
            )


async def bring_copy(
    services: Services, session: SessionRow, attempts: Collection[int], home: Path, name: str
) -> bool:
    """Put the copy of a conversation into a new home; False if there is none that can be used.

    Args:
        session: whose conversation it was; people are told if it can't be gone on with.
        attempts: those that were in this conversation.
        home: made anew; what was there is of an older one.
    """
    try:
        async with services.store.transaction() as tx:
            row = await tx.conversations.find(session.id)
        if row is None or row.attempt not in attempts:
            return False
        content = await asyncio.to_thread(open_parts, services.seal, row.body, _place(session.id), LARGEST)
        await asyncio.to_thread(remove_tree, home, ignore_errors=True)
        await asyncio.to_thread(PrivateHome(home).write, name, content)
    except (OSError, InvalidInput, CodecError) as error:
        await _tell_unusable(services, session, error)
        return False
    return True


async def _tell_unusable(services: Services, session: SessionRow, why: Exception) -> None:
    text = f"What the agent of session {session.number} was told can't be used here, so it begins anew: {why}"
    log.warning("%s", text)
    async with services.store.transaction() as tx:
        await tx.events.append(
            session.project_id,
            "warning",
            key=f"warning:conversation:{session.id}",
            reference=f"session:{session.number}",
            data={"text": services.redactor.redact(text)},
        )


async def forget_copy(services: Services, session_id: int) -> None:
    """Nobody goes on with this conversation."""
    async with services.store.transaction() as tx:
        await tx.conversations.forget(session_id)


def read_bounded(
    home: PrivateHome, name: str, limit: int = LARGEST, *, unless: Version | None = None
) -> tuple[Version, bytes] | None:
    """A file that an agent wrote; follows no link, waits for nothing, and reads no more than is allowed.

    Args:
        unless: the version that is known already; None is returned for that.

    Raises:
        OSError: it is not there, is no file of its own, or is too large.
    """
    fd = home.open(name)
    try:
        found = os.fstat(fd)
        if found.st_nlink > 1:
            raise OSError(f"{name!r} has other names too")
        if found.st_size > limit:
            raise OSError(f"{name!r} has {found.st_size} bytes, more than {limit}")
        version = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        return None if version == unless else (version, _read(fd, name, limit))
    finally:
        os.close(fd)


def _read(fd: int, name: str, limit: int) -> bytes:
    pieces, size = [], 0
    while piece := os.read(fd, min(1 << 20, limit + 1 - size)):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise OSError(f"{name!r} grows beyond {limit} bytes")
    return b"".join(pieces)


def _place(session_id: int) -> str:
    return f"conversation {session_id}"
