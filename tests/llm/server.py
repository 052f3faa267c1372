"""The scripted model server: `async with LlmServer(script) as server:`, or `LlmServer.in_thread(script)`."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

from tests.llm.http import json_response, read_request, write_response
from tests.llm.rules import broken_rules
from tests.llm.script import Answer, Drop, Fault, Hang, Reply, Request, Response, Script, Turn
from tests.llm.wires import Wire, wires


class LlmServer:
    """Answers every model request by a script, unless a provider would refuse it.

    An exception in the script is raised again when the server is left, and so is what broke a rule.

    Attributes:
        url: `http://127.0.0.1:PORT`, without a path.
        requests: every request it got, in order, side requests included.
        turns: every question to the model, in order, side questions included.
    """

    def __init__(self, script: Script) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.turns: list[Turn] = []
        self._script = script
        self._errors: list[Exception] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**24)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        if error is None and self._errors:
            raise self._errors[0]

    @classmethod
    @contextmanager
    def in_thread(cls, script: Script) -> Iterator[Self]:
        """The same for a synchronous test: the server runs in a thread of its own."""
        server = cls(script)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="scripted model")
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
            try:
                yield server
            finally:
                asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [request.path for request in self.requests]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            # The program may be killed at any moment: its end of the connection just goes away.
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            return  # The server is left; asyncio would log a cancelled connection as an error.
        finally:
            self._connections.discard(task)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await read_request(reader, writer)) is not None:
            self.requests.append(request)
            wire = next((wire for wire in wires() if wire.matches(request.path)), None)
            if wire is None:
                await write_response(writer, json_response({"error": "not found"}, 404))
                continue
            if not await self._answer(wire, request, writer):
                return

    async def _answer(self, wire: Wire, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may be used again."""
        turn = wire.turn(request, len(self.turns) + 1)
        if isinstance(turn, Response):
            await write_response(writer, turn)
            return True
        self.turns.append(turn)
        match self._refuse(turn) or self._ask(turn):
            case Reply() as reply:
                await write_response(writer, wire.respond(request, reply))
                return True
            case Fault() as fault:
                await write_response(writer, _as_given(fault) or wire.fault(fault))
                return True
            case Drop(None):
                return False
            case Drop(reply):
                response = wire.respond(request, reply)
                if len(response.chunks) > 1:
                    await write_response(writer, response, chunks=len(response.chunks) // 2)
                return False
            case Hang():
                await asyncio.Event().wait()
        return False

    def _refuse(self, turn: Turn) -> Fault | None:
        """The program goes on as it would, and the test that it is in fails."""
        if not (broken := broken_rules(turn.wire, turn.body)):
            return None
        self._errors.append(AssertionError(f"question {turn.number}: {'; '.join(broken)}"))
        return Fault(400, broken[0])

    def _ask(self, turn: Turn) -> Answer:
        try:
            return self._script(turn)
        except Exception as error:  # noqa: BLE001 - a test's own code; raised when the server is left
            self._errors.append(error)
            return Fault(400, f"The script failed: {error!r}")


def _as_given(fault: Fault) -> Response | None:
    if fault.body is None:
        return None
    return json_response(fault.body, fault.status, dict(fault.headers))
