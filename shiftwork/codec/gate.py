"""The gate: the one port at which people and Temporal's tools read what Temporal stores.

Temporal's dev server asks nobody who he is. What it stores is encrypted; the gate stands before its Web UI,
on an origin of its own, asks for a token, and decodes for whoever has it.
"""

import asyncio
import socket
from collections.abc import Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDict
from yarl import URL

from shiftwork.codec.access import Access
from shiftwork.codec.payloads import EncryptionCodec
from shiftwork.codec.quiet import quiet_logger
from shiftwork.codec.server import PATH, codec_routes
from shiftwork.errors import StackError
from shiftwork.stack.sockets import hidden_loopback
from shiftwork.stack.strangers import Strangers

BODY_LIMIT = 32 * 1024 * 1024
"""Bytes of one request; a history is decoded some hundred payloads at a time."""

_CONNECT_SECONDS = 5.0
_KEPT_ALIVE = 75.0
"""Seconds that a connection may wait for its next request, or for the end of that one's head."""

_OPEN = "open"
"""The name of the one route that takes the token from its path."""

_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
        *("transfer-encoding", "upgrade", "host", "content-length"),
    )
)
_HEADERS = {
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}


class Gate:
    """A server on an address of the loopback of its own, as an async context.

    Of its own, because browsers send a cookie to every port of its address, whoever listens there.

    Attributes:
        access: its address and token; known once it listens.
        strangers: connections that have shown no token yet.
    """

    access: Access

    def __init__(
        self,
        codec: EncryptionCodec | None,
        ui: str | None,
        *,
        ip: str | None = None,
        port: int = 0,
        strangers: Strangers | None = None,
    ) -> None:
        """Prepare a gate.

        Args:
            codec: what decodes; None: nothing is encoded.
            ui: the address of the Web UI behind it; None: there is none.
            ip: its address; None chooses one that nobody can guess.
            port: its port; 0 chooses a free one.
            strangers: bounds on connections without a token, unless the usual ones do.
        """
        self._codec = codec
        self._ui = URL(ui) if ui else None
        self._place = (ip or hidden_loopback(), port)
        self._stack = AsyncExitStack()
        self.strangers = Strangers() if strangers is None else strangers

    @property
    def codec_endpoint(self) -> str | None:
        """Where Temporal's tools decode; None if there is nothing to decode."""
        return f"{self.access.origin}{PATH}" if self._codec else None

    @property
    def ui_link(self) -> str | None:
        """What a person opens to see the Web UI."""
        return self.access.link if self._ui else None

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            StackError: the port is taken.
        """
        async with AsyncExitStack() as stack:
            listening = stack.enter_context(_listening(self._place))
            self.access = Access("{}:{}".format(*listening.getsockname()))
            self._session = await stack.enter_async_context(_session())
            runner = web.AppRunner(
                self._application(),
                access_log=None,
                logger=quiet_logger(__name__),
                # Bodies are passed on, or refused, as they are: unpacking what a stranger sends costs us.
                auto_decompress=False,
                keepalive_timeout=_KEPT_ALIVE,
                shutdown_timeout=1.0,
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            assert runner.server is not None
            protocol = self.strangers.protocol(runner.server)
            server = await asyncio.get_running_loop().create_server(protocol, sock=listening)
            stack.callback(server.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        await self._stack.aclose()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=BODY_LIMIT, middlewares=[_guard(self)])
        application.router.add_get("/open/{token}{rest:(/.*)?}", self._open, name=_OPEN)
        if self._codec is not None:
            application.router.add_routes(codec_routes(self._codec))
        if self._ui is not None:
            application.router.add_route("*", "/{path:.*}", self._pass_on)
        application.on_response_prepare.append(_add_headers)
        return application

    async def _open(self, request: web.Request) -> web.StreamResponse:
        if not self.access.knows(request.match_info["token"]):
            raise web.HTTPUnauthorized(text="This link is an old one: `shiftwork dev` printed the new one.\n")
        # Never to another host: two slashes at the beginning would name one.
        rest = "/" + request.match_info["rest"].lstrip("/\\")
        response = web.HTTPSeeOther(URL.build(path=rest, query=request.query))
        self.access.admit(response)
        self.strangers.forget(request.transport)
        raise response

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        assert self._ui is not None
        if not request.raw_path.startswith("/"):
            raise web.HTTPBadRequest(text="This gate is no proxy.\n")
        url = URL(f"{self._ui.origin()}{request.raw_path}", encoded=True)
        headers, body = self._inwards(request), await request.read()
        try:
            answer = await self._session.request(
                request.method, url, headers=headers, data=body or None, allow_redirects=False
            )
        except aiohttp.ClientError as error:
            raise web.HTTPBadGateway(text="Temporal's Web UI does not answer; try again.\n") from error
        async with answer:
            response = web.StreamResponse(status=answer.status, headers=_end_to_end(answer.headers.items()))
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    def _inwards(self, request: web.Request) -> CIMultiDict[str]:
        headers = _end_to_end(request.headers.items())
        for name in ("Authorization", "Origin", "Cookie"):
            headers.popall(name, None)
        if cookies := self.access.without_cookie(request.headers.get("Cookie", "")):
            headers["Cookie"] = cookies
        return headers


def _guard(gate: Gate) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        gate.access.check_place(request)
        if request.match_info.route.name != _OPEN:
            gate.access.check(request)
            gate.strangers.forget(request.transport)
        try:
            return await handler(request)
        except web.RequestPayloadError as error:
            raise web.HTTPBadRequest(text="The request's body is broken.\n") from error

    return guard


def _end_to_end(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        trust_env=False,
    )


def _listening(place: tuple[str, int]) -> socket.socket:
    try:
        return socket.create_server(place)
    except OSError as error:
        raise StackError(f"Port {place[1]} for the Web UI can't be used: {error.strerror}.") from error
