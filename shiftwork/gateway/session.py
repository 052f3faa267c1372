"""The gateway as one agent run sees it."""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from datetime import datetime
from typing import Self

from shiftwork.errors import Conflict, ShiftworkError
from shiftwork.gateway.call import Call, Outcome
from shiftwork.gateway.connection import Connection
from shiftwork.gateway.context import Context
from shiftwork.gateway.egress import Egress
from shiftwork.gateway.holding import Holding
from shiftwork.gateway.limits import Limits
from shiftwork.gateway.policy import Policy
from shiftwork.gateway.providers import Providers
from shiftwork.gateway.question import Reading
from shiftwork.gateway.refusals import Reason, Refused
from shiftwork.sandbox.confinement import DOOR_PORT
from shiftwork.sandbox.door import open_door, receive_listener
from shiftwork.stack.strangers import Strangers

_LOG = logging.getLogger("shiftwork.gateway")
_BACKLOG = 128
_ARRIVAL = 3600.0
"""Seconds from the opening of a session to the start of its agent, at most."""


class DoorClosed(ShiftworkError):  # noqa: N818 - it names what happened
    """The sandbox did not hand out its network: its start failed."""


class GatewaySession:
    """The gateway as one agent run sees it; an asynchronous context manager, made by `Gateway.open`.

    Attributes:
        token: what the agent uses as its API key; worth nothing elsewhere.
        budget_refusals: how many questions were refused because the budget is spent.
        refused_model: the last model that it asked and may not ('' if it named none); None: it asked no such.
        answered_since: whether another model answered after that.
    """

    def __init__(
        self,
        policy: Policy,
        providers: Providers,
        egress: Egress,
        reading: Reading,
        holding: Holding,
        *,
        door: bool,
        on_close: Callable[["GatewaySession"], None],
    ) -> None:
        self.token = secrets.token_urlsafe(32)
        self.budget_refusals = 0
        self.refused_model: str | None = None
        self.answered_since = False
        self._limits = Limits()
        self._policy = policy
        self._providers = providers
        self._egress = egress
        self._reading = reading
        self._holding = holding
        self._with_door = door
        self._on_close = on_close
        self._port = DOOR_PORT
        self._doors: tuple[socket.socket, ...] = ()
        self._waiting: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        # Where there is no door, anybody on this machine can connect.
        self._strangers = Strangers(most=policy.bounds.connections, seconds=policy.bounds.stranger)
        self._admitted: set[asyncio.Transport] = set()

    async def __aenter__(self) -> Self:
        if self._policy.upstream is not None:
            await self._providers.load()
        if self._with_door:
            self._doors = open_door()
            self._waiting = asyncio.create_task(self._wait_at_door(self._doors[0]), name="gateway door")
        else:
            listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
            self._port = listener.getsockname()[1]
            await self._listen(listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def port(self) -> int:
        """The loopback port that the agent finds the gateway at."""
        return self._port

    @property
    def url(self) -> str:
        """Where the agent finds the gateway, without a path: `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def limited_until(self) -> datetime | None:
        """Until when the provider wants no more of models that have not answered since, as far as it told."""
        return self._limits.until

    def is_limited(self, model: str = "") -> bool:
        """Whether the provider wants no more: as its newest answer, or of this model ('': of any)."""
        return self._limits.last or (bool(self._limits) and (not model or self._limits.concern(model)))

    @property
    def proxy_url(self) -> str:
        """What `HTTP_PROXY` and `HTTPS_PROXY` are set to, if the policy lists hosts; holds the token."""
        return f"http://agent:{self.token}@127.0.0.1:{self._port}"

    @property
    def door_fd(self) -> int:
        """The confined side's end of the door, for `Launch.door`; the session closes it once it was used.

        Raises:
            Conflict: the session was opened without a door, or the door was used already.
        """
        if not self._doors:
            raise Conflict("This session of the gateway has no door, or it was used already.")
        return self._doors[1].fileno()

    async def listening(self) -> None:
        """Return once the agent can be answered; raises `DoorClosed` if no socket came over the door."""
        if self._waiting is not None:
            await asyncio.shield(self._waiting)

    async def close(self) -> None:
        """End every call and connection of this session; harmless when repeated."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
        self._shut_door()
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if server is not None:
            await server.wait_closed()
        self._on_close(self)

    async def _wait_at_door(self, door: socket.socket) -> None:
        try:
            await self._listen(await receive_listener(door, timeout=_ARRIVAL))
        except OSError as error:
            sentence = (
                "The sandbox did not hand out its network, so its program has no model: its start failed."
            )
            _LOG.warning("%s (%s)", sentence, self._policy.label)
            raise DoorClosed(sentence) from error
        finally:
            self._shut_door()

    async def _listen(self, listener: socket.socket) -> None:
        self._server = await asyncio.start_server(self._accept, sock=listener, backlog=_BACKLOG)

    def _shut_door(self) -> None:
        for end in self._doors:
            end.close()
        self._doors = ()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio does so only for sockets that say what they speak, which those made here do not.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="gateway connection")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport), "a socket's"
        self._strangers.enter(transport)
        try:
            await Connection(self._context(transport), reader, writer).serve()
        finally:
            self._strangers.forget(transport)
            self._admitted.discard(transport)
            # What the client does not take at once is lost: it may never take it.
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    def _admit(self, transport: asyncio.Transport) -> None:
        """Let a connection live as long as it likes, now that it has shown the token."""
        if transport in self._admitted:
            return
        if len(self._admitted) >= self._policy.bounds.connections:
            again = (("retry-after", "1"),)
            raise Refused(503, Reason.BUSY, "this session has too many connections.", again)
        self._admitted.add(transport)
        self._strangers.forget(transport)

    def _context(self, transport: asyncio.Transport) -> Context:
        authorities = frozenset({f"127.0.0.1:{self._port}", f"localhost:{self._port}"})
        return Context(
            policy=self._policy,
            token=self.token,
            authorities=authorities,
            providers=self._providers,
            egress=self._egress,
            report=self._report,
            settle=self._settle,
            holding=self._holding,
            reading=self._reading,
            limits=self._limits,
            admit=lambda: self._admit(transport),
        )

    def _report(self, call: Call) -> None:
        if call.outcome is Outcome.BUDGET:
            self.budget_refusals += 1
        elif call.outcome is Outcome.LIMITED:
            self._limits.note(call.requested, call.until)
        elif call.reason == Reason.MODEL:
            self.refused_model, self.answered_since = call.model, False
        elif call.tokens.output and call.status < 300:
            self._limits.answered(call.requested, call.model)
            self.answered_since = True
        _LOG.info("%s", call.log_line(self._policy.label))
        try:
            self._policy.on_call(call)
        except Exception:  # noqa: BLE001 - the caller's own code; the connection's end must still be tidy
            _LOG.exception("what counts calls of the gateway failed")

    async def _settle(self) -> None:
        """Wait until what was counted is durable, but not for long: the answer is paid for."""
        try:
            async with asyncio.timeout(self._policy.bounds.settle):
                await self._policy.settle()
        except TimeoutError:
            _LOG.warning("an answer is passed on before its cost is written (%s)", self._policy.label)
        except Exception:  # noqa: BLE001 - as above
            _LOG.exception("what writes down calls of the gateway failed")
