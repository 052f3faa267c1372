"""The server over HTTP, for clients of this machine that know its token."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.routing import Mount

from client.mcp.bodies import Bodies
from client.serving import KEPT_ALIVE, Guard, listen
from client.strict import strict_protocol
from client.tokens import own_token
from shiftwork.settings import Settings
from shiftwork.stack.private import state_folder
from shiftwork.stack.strangers import Strangers

TOKEN_FILE = "mcp-token"  # noqa: S105 - a file's name
PATH = "/mcp"
_GRACE_SECONDS = 2
_SILENT_SECONDS = 2
"""After so long without a word, a comment says that an answer is still to come.

Python's official client stops reading after 5 s of silence, unless it was told otherwise, and then waits for
the answer for ever.
"""
_IDLE_SECONDS = 1800.0
_MOST_SESSIONS = 256
_MOST_CONNECTIONS = 256
"""More of those that know the token are answered that they should come later; see `Strangers` for others."""


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
    listener = listen(port, "--http PORT")
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    sessions = StreamableHTTPSessionManager(
        server, session_idle_timeout=_IDLE_SECONDS, max_sessions=_MOST_SESSIONS
    )

    # The protocol's package passes none on, so it is set for the process, which does nothing else.
    EventSourceResponse.DEFAULT_PING_INTERVAL = _SILENT_SECONDS

    @asynccontextmanager
    async def living(_: Starlette) -> AsyncIterator[None]:
        async with sessions.run():
            ready(f"http://{host}{PATH}", token_file)
            yield

    app = Starlette(routes=[Mount("/", sessions.handle_request)], lifespan=living)
    config = uvicorn.Config(
        Guard(Bodies(app), [host], token, TOKEN_FILE, path=PATH),
        http=strict_protocol(Strangers()),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEPT_ALIVE,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        limit_concurrency=_MOST_CONNECTIONS,
    )
    await uvicorn.Server(config).serve(sockets=[listener])
