"""The episodes that one client plays: a bounded number, which end with it."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

from shiftwork.environments.host import Order
from shiftwork.errors import Conflict, NotFound, ShiftworkError

if TYPE_CHECKING:
    from shiftwork.environments.hosting import EnvironmentHost
    from shiftwork.environments.interactive import InteractiveEpisode

MOST_PLAYED: Final = 8
"""Episodes that all clients of a server play at once; each is a process."""
_MOST_KEPT: Final = 32
"""Episodes of a client of which one can still see how they ended."""


class Places:
    """Where the clients of a server play, all together."""

    def __init__(self, most: int = MOST_PLAYED) -> None:
        self._most = most
        self._played: list[InteractiveEpisode] = []

    def take(self, episode: "InteractiveEpisode") -> None:
        """Take one for an episode that begins at once, until it is over.

        Raises:
            Conflict: none is left.
        """
        self._played = [each for each in self._played if not each.over]
        if len(self._played) >= self._most:
            raise Conflict(
                f"{self._most} episodes are played by this server, and no more at once: end one with "
                "end_episode."
            )
        self._played.append(episode)


class Room:
    """The episodes of one client, by their ids.

    Args:
        places: shared with the other clients.
        folder: where their processes start.
    """

    def __init__(self, places: Places, folder: Path) -> None:
        self._places = places
        self._folder = folder
        self._host: EnvironmentHost | None = None
        self._episodes: dict[str, InteractiveEpisode] = {}

    async def begin(self, order: Order) -> tuple[str, "InteractiveEpisode"]:
        """Begin an episode; its id, and itself.

        Raises:
            Conflict: too many are played.
            InvalidInput, EnvironmentFailed: it could not begin.
        """
        await asyncio.to_thread(import_module, "shiftwork.environments.interactive")
        episode = self._episode(order)
        self._places.take(episode)
        session_id = secrets.token_hex(8)
        self._episodes[session_id] = episode  # at once: a client may go while it begins
        try:
            await episode.begin()
        except ShiftworkError:
            self._episodes.pop(session_id, None)
            raise
        while len(self._episodes) > _MOST_KEPT:
            await self.end(next(iter(self._episodes)))
        return session_id, episode

    def _episode(self, order: Order) -> "InteractiveEpisode":
        """One that has not begun."""
        # Heavy, and loaded by now: a client that plays nothing does not wait for what plays.
        from shiftwork.environments.hosting import EnvironmentHost  # noqa: PLC0415
        from shiftwork.environments.interactive import InteractiveEpisode  # noqa: PLC0415
        from shiftwork.sandbox.choose import cheap_sandbox  # noqa: PLC0415
        from shiftwork.secrets import own_redactor  # noqa: PLC0415

        if self._host is None:
            self._host = EnvironmentHost(cheap_sandbox(), self._folder, redactor=own_redactor())
        return InteractiveEpisode(self._host, order)

    def find(self, session_id: str) -> "InteractiveEpisode":
        """The episode with this id; raises `NotFound`."""
        if session_id not in self._episodes:
            raise NotFound(
                f"There is no episode {session_id[:40]!r} here; start_episode begins one, and says its "
                "session_id."
            )
        return self._episodes[session_id]

    async def end(self, session_id: str) -> "InteractiveEpisode":
        """End and forget it; raises `NotFound`."""
        episode = self.find(session_id)
        del self._episodes[session_id]
        await episode.end()
        return episode

    async def close(self) -> None:
        """End all of them."""
        for session_id in list(self._episodes):
            await self.end(session_id)


@asynccontextmanager
async def open_room(places: Places) -> AsyncIterator[Room]:
    """A room whose processes end with it, however that is left."""
    with tempfile.TemporaryDirectory(prefix="shiftwork-mcp-", ignore_cleanup_errors=True) as folder:
        room = Room(places, Path(folder))
        try:
            yield room
        finally:
            with anyio.CancelScope(shield=True):
                await room.close()
