"""uvicorn's protocol for connections of anybody: nobody without a token stays, and all bytes are plain."""

import asyncio
import json

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from client.framing import AmbiguousError, Framing
from client.serving import ADMIT
from shiftwork.stack.strangers import Strangers


def strict_protocol(strangers: Strangers) -> type[asyncio.Protocol]:
    """The protocol of one server: for `uvicorn.Config(http=...)`."""

    class Connection(_Strict):
        waiting = strangers

    return Connection


class _Strict(H11Protocol):
    waiting: Strangers

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        self._framing: Framing | None = Framing()
        self.app = _admitting(self.app, self)
        self.waiting.enter(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.forget(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._framing is None:
            return
        try:
            for piece in self._framing.feed(data):
                super().data_received(piece)
        except AmbiguousError as error:
            self._framing = None
            self._refuse(str(error))

    def _refuse(self, why: str) -> None:
        """Answer, unless another answer is on its way, and end the connection."""
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()
            return
        problem = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": why}
        body = json.dumps(problem).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _admitting(app: ASGIApp, connection: _Strict) -> ASGIApp:
    def admit() -> None:
        connection.waiting.forget(connection.transport)

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, ADMIT: admit}, receive, send)

    return call
