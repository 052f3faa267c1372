"""The gateway's way to the environment that an agent plays: who may speak, how much, and what comes back."""

import asyncio
import json

import pytest

from shiftwork.gateway import ENVIRONMENT_PATH, Gateway, Outcome, Policy, Said, Wire
from shiftwork.gateway.environment import MOST_BYTES
from tests.unit.gateway_support import Run, post, read_answer, request, running, send, until


class Environment:
    """Says back what it heard; waits while it is held."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.cancelled = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def answer(self, data: bytes) -> Said:
        self.heard.append(data)
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Said(200, json.dumps({"ok": True, "bytes": len(data)}).encode())


def say(run: Run, data: bytes = b'{"do": "observe"}', path: str = ENVIRONMENT_PATH, **headers: str) -> bytes:
    return post(run, path, data, **headers)


@pytest.mark.parametrize("wire", list(Wire), ids=str)
async def test_what_is_said_is_answered_and_goes_to_no_provider(wire: Wire) -> None:
    """If it failed, an agent could not play, or a provider would be asked, and paid, for its moves."""
    environment = Environment()
    async with running(wire, environment=environment.answer) as run:
        answer = await send(run, say(run))
        assert (answer.status, answer.json) == (200, {"ok": True, "bytes": 17})
        assert answer.headers["content-type"] == "application/json"
        assert run.model.requests == []
    assert environment.heard == [b'{"do": "observe"}']
    assert [(call.kind, call.outcome, call.status) for call in run.calls] == [
        ("environment", Outcome.ANSWERED, 200)
    ]
    assert run.calls[0].tokens.output == 0


@pytest.mark.parametrize("header", ["x-api-key", "x-goog-api-key", "authorization"])
async def test_the_token_of_the_session_is_shown_as_to_any_provider(header: str) -> None:
    """If it failed, programs that know one way to show a key could not play."""
    async with running(environment=Environment().answer) as run:
        token = run.session.token
        shown = {header: f"Bearer {token}" if header == "authorization" else token}
        assert (await send(run, say(run, **{"x-api-key": "-", **shown}))).status == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"x-api-key": "wrong"}, 401),
        ({"x-api-key": "wrong", "authorization": "Bearer "}, 401),
        ({"host": "environment.example"}, 421),
        ({"content-encoding": "gzip"}, 400),
        ({"path": f"{ENVIRONMENT_PATH}/../environment"}, 400),
        ({"path": f"{ENVIRONMENT_PATH}/state"}, 404),
        ({"path": f"/v1/..{ENVIRONMENT_PATH}"}, 400),
    ],
    ids=["token", "no token", "host", "coded", "dots", "below", "dots in front"],
)
async def test_others_do_not_get_there(change: dict, status: int) -> None:
    """If it failed, whoever reaches the port could play in an agent's place, or look around behind it."""
    environment = Environment()
    async with running(environment=environment.answer) as run:
        answer = await send(run, say(run, **change))
        assert answer.status in {status, 415 if status == 400 else status}
    assert environment.heard == []


async def test_only_who_plays_gets_there() -> None:
    """If it failed, any agent's session would lead to somebody's environment, or fail without one."""
    async with running() as run:
        assert (await send(run, say(run))).status == 404
    async with running(upstream=None) as run:
        assert (await send(run, say(run))).status == 403


async def test_an_agent_without_a_model_plays_and_asks_none() -> None:
    """If it failed, a program that needs no model could not play, or could ask one."""
    async with running(upstream=None, environment=Environment().answer) as run:
        assert (await send(run, say(run))).status == 200
        assert (await send(run, request(run))).status == 403


async def test_only_posts_are_taken() -> None:
    """If it failed, what only looks like a request would act."""
    environment = Environment()
    async with running(environment=environment.answer) as run:
        answer = await send(run, say(run).replace(b"POST", b"GET", 1))
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert environment.heard == []


@pytest.mark.parametrize("chunked", [False, True], ids=["told", "in chunks"])
async def test_what_is_too_long_is_refused(*, chunked: bool) -> None:
    """If it failed, an agent could fill the worker's memory by one action."""
    environment = Environment()
    async with running(environment=environment.answer) as run:
        data = b"x" * (MOST_BYTES + 1)
        asked = say(run, data)
        if chunked:
            head, _, _ = asked.partition(b"\r\n\r\n")
            told = f"content-length: {len(data)}".encode()
            head = head.replace(told, b"transfer-encoding: chunked")
            asked = head + b"\r\n\r\n" + b"%x\r\n" % len(data) + data + b"\r\n0\r\n\r\n"
        assert (await send(run, asked)).status == 413
        assert (await send(run, say(run, b"x" * MOST_BYTES))).json["bytes"] == MOST_BYTES
    assert [len(each) for each in environment.heard] == [MOST_BYTES]


async def test_an_answer_may_take_its_time_and_ends_with_its_client() -> None:
    """If it failed, a slow environment would break a play off, or a dead agent's move be waited for."""
    environment = Environment()
    environment.go_on.clear()
    async with running(environment=environment.answer) as run:
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(say(run))
        await until(lambda: len(environment.heard) == 1)
        await asyncio.sleep(0.1)
        environment.go_on.set()
        assert (await read_answer(reader)).status == 200
        writer.close()
        environment.go_on.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(say(run))
        await until(lambda: len(environment.heard) == 2)
        writer.transport.abort()
        await until(lambda: environment.cancelled == 1)
        await until(lambda: len(run.calls) == 2)
    assert run.calls[-1].outcome is Outcome.ABANDONED


async def test_a_connection_carries_many_steps() -> None:
    """If it failed, a program that keeps its connection could take one step only."""
    environment = Environment()
    async with running(environment=environment.answer) as run:
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        for number in range(3):
            writer.write(say(run, b"x" * number, connection="keep-alive"))
            assert (await read_answer(reader)).json["bytes"] == number
        writer.close()
    assert [len(each) for each in environment.heard] == [0, 1, 2]


async def test_after_the_session_nobody_answers() -> None:
    """If it failed, what an agent left behind could go on playing."""
    environment = Environment()
    async with Gateway() as gateway:
        async with gateway.open(Policy(environment=environment.answer)) as session:
            port = session.port
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
