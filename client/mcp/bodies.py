"""What is sent over HTTP, read before the protocol's package takes it: each request gets an answer."""

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from client.mcp.incoming import MisunderstoodError, too_large, understood

LARGEST = 16 << 20
"""Bytes of the largest message that is read."""


class Bodies:
    """Passes on the messages that can be understood, and says of others why they can't."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a message that is none, or pass it on."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await _body(Request(scope, receive))
        except ClientDisconnect:
            return
        refusal = _refusal(body)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        told = False

        async def again() -> Message:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)


async def _body(request: Request) -> bytes:
    """At most a byte more than the largest; the rest is read and dropped."""
    kept = bytearray()
    async for piece in request.stream():
        kept += piece[: LARGEST + 1 - len(kept)]
    return bytes(kept)


def _refusal(body: bytes) -> Response | None:
    try:
        if len(body) > LARGEST:
            raise too_large(body, LARGEST)
        understood(body)
    except MisunderstoodError as error:
        status = 413 if len(body) > LARGEST else 400
        return Response(error.answer, status, media_type="application/json")
    return None
