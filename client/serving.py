"""What our HTTP servers have in common: a listening socket, and who is let in."""

import asyncio
import hmac
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shiftwork.errors import StackError
from shiftwork.stack.sockets import LOOPBACK

ADMIT = "shiftwork.admit"
"""Where a request's scope may have what is to be called once its sender showed the token."""

KEPT_ALIVE = 75
"""Seconds for which a connection is kept that nobody uses: longer than most clients keep theirs. A request
that is on its way when it is ended is lost, and that meets who asks every few seconds."""

_MOST_DROPPED = 32 * 1024 * 1024
_LINGER_SECONDS = 3.0
"""What is taken of a request that was refused, and for how long: less than strangers may stay."""

Refuse = Callable[[int, str, Mapping[str, str]], ASGIApp]
"""Makes the answer to who is not let in, of a status, one sentence and headers."""


def listen(port: int, option: str, address: str = LOOPBACK) -> socket.socket:
    """A socket that listens there; port 0: any that is free.

    Args:
        option: how another port is given, for the sentence that says so.

    Raises:
        StackError: the port is taken, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen()  # whoever is told of it may come at once
    except OSError as error:
        listener.close()
        raise StackError(
            f"Port {port} of {address} can't be used ({error.strerror}); give another one: {option}."
        ) from error
    return listener


def _nobody_waits() -> None:
    """Under a server that keeps nobody waiting."""


async def lingering(answer: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, then take what still comes of the request and drop it, so far as it is not too much.

    The request must not have been taken whole before.
    Whoever sends a body before reading loses the answer if the connection ends on what was not taken.
    """

    async def held(message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await send({**message, "more_body": True})
            # Whoever asks before sending reads before sending, too.
            if "expect" not in Headers(scope=scope):
                await _drop(receive)
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)

    await answer(scope, receive, held)


async def _drop(receive: Receive) -> None:
    left = _MOST_DROPPED
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if not message.get("more_body", False):  # also when the client has gone
                    return
                left -= len(message.get("body", b""))


def plain_refusal(status: int, sentence: str, headers: Mapping[str, str]) -> ASGIApp:
    """The sentence as plain text."""
    return PlainTextResponse(f"{sentence}\n", status, dict(headers))


class Guard:
    """Lets through who asks at this address, from no web page of another, and knows the token.

    Browsers send a page's requests to any port of the loopback, under any name that somebody made to point
    there, so the token alone would not do.

    Args:
        hosts: what a request's `Host` may be; the first is told to whoever asks another.
        token_file: the name of the file with the token, for whoever sends none.
        path: the only path there is; None: the application has many.
        open_to_all: the (method, path) that are answered without the token.
        refuse: makes the answers to who is not let in.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str],
        token: str,
        token_file: str,
        *,
        path: str | None = None,
        open_to_all: Collection[tuple[str, str]] = (),
        refuse: Refuse = plain_refusal,
    ) -> None:
        self._app = app
        self._hosts = tuple(hosts)
        self._token = token.encode()
        self._token_file = token_file
        self._path = path
        self._open = frozenset(open_to_all)
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it in one sentence."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is not None:
            await lingering(refusal, scope, receive, send)
        elif scope["type"] != "websocket":
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return self._refuse(421, f"This server answers to http://{self._hosts[0]} alone.", {})
        if headers.getlist("origin") not in ([], [f"http://{hosts[0]}"], [f"https://{hosts[0]}"]):
            return self._refuse(403, "Other pages may not ask this server.", {})
        if self._path is not None and scope["path"] != self._path:
            return self._refuse(404, f"There is nothing but {self._path} here.", {})
        if self._knows(headers.getlist("authorization")):
            scope.get(ADMIT, _nobody_waits)()
            return None
        if (scope["method"], scope["path"]) in self._open:
            return None
        said = f"Send the token in the file {self._token_file} of the state folder as Authorization: Bearer."
        return self._refuse(401, said, {"WWW-Authenticate": "Bearer"})

    def _knows(self, given: list[str]) -> bool:
        """Whether that is the token, without telling by the time it takes."""
        if len(given) != 1:
            return False
        kind, _, token = given[0].partition(" ")
        same = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token)
        return same and kind.lower() == "bearer"
