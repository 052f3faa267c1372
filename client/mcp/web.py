"""The server over HTTP, for clients of this machine that know its token."""

import hmac
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from shiftwork.errors import StackError
from shiftwork.settings import Settings
from shiftwork.stack.private import read_own, state_folder, write_private

TOKEN_FILE = "mcp-token"  # noqa: S105 - a file's name
PATH = "/mcp"
_GRACE_SECONDS = 2
_IDLE_SECONDS = 1800.0
_MOST_SESSIONS = 256
_MOST_CONNECTIONS = 256
"""More are answered that they should come later: whoever has no token must not use everything up."""


async def serve_http(
    server: "Server[Any, Any]", settings: Settings, port: int, ready: Callable[[str, Path], None]
) -> None:
    """Serve until the process is told to end.

    Args:
        port: on 127.0.0.1; 0: any that is free.
        ready: is told the address and the file of the token, once clients may come.

    Raises:
        StackError: the port is taken.
    """
    token_file = state_folder(settings.state) / TOKEN_FILE
    token = own_token(token_file)
    listener = _listen(port)
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    sessions = StreamableHTTPSessionManager(
        server, session_idle_timeout=_IDLE_SECONDS, max_sessions=_MOST_SESSIONS
    )

    @asynccontextmanager
    async def living(_: Starlette) -> AsyncIterator[None]:
        async with sessions.run():
            ready(f"http://{host}{PATH}", token_file)
            yield

    app = Starlette(routes=[Mount("/", sessions.handle_request)], lifespan=living)
    config = uvicorn.Config(
        Guard(app, host, token),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        limit_concurrency=_MOST_CONNECTIONS,
    )
    await uvicorn.Server(config).serve(sockets=[listener])


def own_token(file: Path) -> str:
    """The token in this file, which is made with a new one if it is missing; others can't read it.

    Raises:
        InvalidInput: the file is another user's, or others may write to it.
    """
    try:
        token = read_own(file).strip()
    except FileNotFoundError:
        token = ""
    if not token:
        token = secrets.token_urlsafe(32)
        write_private(file, token + "\n")
    # One that was laid there by hand may be readable by others.
    file.chmod(0o600)
    return token


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise StackError(
            f"Port {port} of 127.0.0.1 can't be used ({error.strerror}); give another one: --http PORT."
        ) from error
    return listener


class Guard:
    """Lets through who asks at this address, from no web page of another, and knows the token.

    Browsers send a page's requests to any port of the loopback, under any name that somebody made to point
    there, so the token alone would not do.
    """

    def __init__(self, app: ASGIApp, host: str, token: str) -> None:
        self._app = app
        self._host = host
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it in one sentence."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is not None:
            await refusal(scope, receive, send)
        elif scope["type"] != "websocket":
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        origin = f"http://{self._host}"
        if headers.getlist("host") != [self._host]:
            return PlainTextResponse(f"This server answers to {origin} alone.\n", 421)
        if headers.getlist("origin") not in ([], [origin]):
            return PlainTextResponse("Other pages may not ask this server.\n", 403)
        if scope["path"] != PATH:
            return PlainTextResponse(f"There is nothing but {PATH} here.\n", 404)
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(
            token.strip().encode("utf-8", "replace"), self._token.encode()
        ):
            said = f"Send the token in the file {TOKEN_FILE} of the state folder as Authorization: Bearer.\n"
            return PlainTextResponse(said, 401, {"WWW-Authenticate": "Bearer"})
        return None
