"""Connections that have not shown a token: only a few at once, and none for long."""

import asyncio
from collections.abc import Callable

MOST = 64
"""How many there may be; with one more, the oldest ends."""

SECONDS = 5.0
"""How long one may go on without a request that bears a token, however much it sends meanwhile."""


class Strangers:
    """The connections of one server that nobody has vouched for yet.

    Whoever opens connections and never finishes a request would otherwise take every descriptor of this
    process, which also starts again what ended.
    """

    def __init__(self, *, most: int = MOST, seconds: float = SECONDS) -> None:
        """Set the bounds; see `MOST` and `SECONDS`."""
        self._most = most
        self._seconds = seconds
        self._ends: dict[asyncio.Transport, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._ends)

    def protocol(self, make: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """The same protocol factory, for connections that are watched until they are admitted."""
        return lambda: _Watched(make(), self)

    def enter(self, transport: asyncio.Transport) -> None:
        """Watch a new connection; it takes the oldest one's place if there are too many."""
        if len(self._ends) >= self._most:
            oldest = next(iter(self._ends))  # the newest may be a person; theirs takes no time
            self.forget(oldest)
            oldest.abort()
        loop = asyncio.get_running_loop()
        self._ends[transport] = loop.call_later(self._seconds, transport.abort)

    def forget(self, transport: asyncio.BaseTransport | None) -> None:
        """It showed a token, or is gone: it may live as long as it likes."""
        if isinstance(transport, asyncio.Transport) and (end := self._ends.pop(transport, None)):
            end.cancel()


class _Watched(asyncio.Protocol):
    """Passes everything on to another protocol."""

    def __init__(self, inner: asyncio.Protocol, strangers: Strangers) -> None:
        self._inner = inner
        self._strangers = strangers
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        assert isinstance(transport, asyncio.Transport)
        self._strangers.enter(transport)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._strangers.forget(self._transport)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
