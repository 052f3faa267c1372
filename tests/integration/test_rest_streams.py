"""Server-sent events: nothing lost, nothing doubled, and no stream that nobody reads."""

import asyncio
import json
import signal
import time
import uuid
from collections.abc import Iterator

import asyncpg
import httpx
import pytest

from client.api import Shiftwork
from client.rest.streams import EventStream, Streams
from shiftwork.contracts.project import ProjectStatus
from tests.integration.connections import blocked, connected
from tests.integration.rest_support import LONGEST, Served, serving


@pytest.fixture(scope="module")
def served(stack) -> Iterator[Served]:
    """A server of the shared stack."""
    with serving(stack.state) as server:
        yield server


async def make_project(shiftwork: Shiftwork) -> str:
    """The id of a new project without any event."""
    async with shiftwork.store.transaction() as tx:
        return (await tx.projects.create(f"s{uuid.uuid4().hex[:8]}")).id


async def append(shiftwork: Shiftwork, project: str, count: int) -> None:
    """Let something happen, so many times."""
    for _ in range(count):
        async with shiftwork.store.transaction() as tx:
            await tx.events.append(project, "steered", data={"text": "two\nlines\r\nid: 7\n\ndata: {}"})


async def read(http: httpx.AsyncClient, project: str, most: int, last: int | None) -> list[int]:
    """The sequences of at most so many events, from one connection that the client then breaks."""
    found = []
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    async with http.stream("GET", f"/api/projects/{project}/events/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        number = None
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                number = int(line.removeprefix("id: "))
            if line.startswith("data: "):
                assert json.loads(line.removeprefix("data: "))["sequence"] == number
                found.append(number)
            if len(found) == most:
                break
    return found


async def test_nothing_is_lost_or_doubled_over_reconnects(stack, served) -> None:
    """If it failed, a program that follows a project would miss that it needs an answer."""
    async with (
        Shiftwork(stack) as shiftwork,
        httpx.AsyncClient(base_url=served.url, headers=served.headers, timeout=LONGEST) as http,
    ):
        project = await make_project(shiftwork)
        writing = asyncio.create_task(append(shiftwork, project, 200))
        found: list[int] = []
        while len(found) < 200:
            found += await read(http, project, min(37, 200 - len(found)), found[-1] if found else None)
        await writing
    assert found == list(range(1, 201))


async def test_it_ends_with_the_rest_where_that_is_asked_for(stack, served) -> None:
    """If it failed, a script that waits for a project would never go on."""
    async with (
        Shiftwork(stack) as shiftwork,
        httpx.AsyncClient(base_url=served.url, headers=served.headers, timeout=LONGEST) as http,
    ):
        project = await make_project(shiftwork)
        await append(shiftwork, project, 1)
        async with shiftwork.store.transaction() as tx:
            await tx.projects.save(project, 1, status=ProjectStatus.PAUSED, status_reason="x")
        answer = await http.get(f"/api/projects/{project}/events/stream", params={"until_rest": "true"})
    *_, event, data = answer.text.strip().splitlines()
    assert event == "event: rest"
    assert json.loads(data.removeprefix("data: "))["status"] == "paused"


async def test_streams_are_bounded_and_end_with_their_clients(stack, served) -> None:
    """If it failed, forgotten streams would use up the server's connections to the database."""
    async with Shiftwork(stack) as shiftwork:
        project = await make_project(shiftwork)
        await append(shiftwork, project, 1)
    path = f"/api/projects/{project}/events/stream"
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(
        base_url=served.url, headers=served.headers, limits=limits, timeout=LONGEST
    ) as http:
        opened = [await http.send(http.build_request("GET", path), stream=True) for _ in range(33)]
        assert [answer.status_code for answer in opened] == [200] * 32 + [429]
        for answer in opened:
            await answer.aclose()
        deadline = time.monotonic() + 100
        while (await read_status(http, path)) != 200:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


async def read_status(http: httpx.AsyncClient, path: str) -> int:
    """What a stream is answered with, which is closed at once."""
    async with http.stream("GET", path) as answer:
        return answer.status_code


async def test_an_open_stream_does_not_hold_up_the_end(stack) -> None:
    """If it failed, a server with a follower could not be stopped."""
    async with Shiftwork(stack) as shiftwork:
        project = await make_project(shiftwork)
    with serving(stack.state) as server:
        async with (
            httpx.AsyncClient(base_url=server.url, headers=server.headers, timeout=LONGEST) as http,
            http.stream("GET", f"/api/projects/{project}/events/stream") as answer,
        ):
            assert answer.status_code == 200
            server.process.send_signal(signal.SIGINT)
            async for _ in answer.aiter_lines():
                pass
            assert await asyncio.to_thread(server.process.wait, 100) == 0


async def test_a_client_that_goes_during_a_look_costs_no_connection(stack, postgres) -> None:
    """If it failed, each follower that goes could cost the server a connection, and its log a traceback."""
    async with Shiftwork(stack) as shiftwork:
        project = await make_project(shiftwork)
    other = await asyncpg.connect(postgres.url())
    with serving(stack.state) as server:  # which says nothing, to its end
        path = f"/api/projects/{project}/events/stream"
        async with httpx.AsyncClient(base_url=server.url, headers=server.headers, timeout=LONGEST) as http:
            async with other.transaction():
                await other.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
                opened = [await http.send(http.build_request("GET", path), stream=True) for _ in range(4)]
                deadline = time.monotonic() + 100
                while len(looking := await blocked(other)) < len(opened):
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.05)
                for answer in opened:
                    await answer.aclose()
                await asyncio.sleep(1)
            assert await read_status(http, path) == 200
            assert looking <= await connected(other)
    await other.close()


class Client:
    """A request of a client that stays."""

    async def is_disconnected(self) -> bool:
        """It has not gone."""
        return False


async def test_silence_is_filled_with_heartbeats_and_a_deleted_project_ends_it(stack) -> None:
    """If it failed, proxies would cut a stream of a quiet project, or it would go on for none."""
    async with Shiftwork(stack) as shiftwork:
        project = await make_project(shiftwork)
        stream = EventStream(shiftwork, project, 0, until_rest=False, heartbeat=0.1)
        parts = stream.parts(Client(), Streams())
        assert (await anext(parts)).startswith("retry: ")
        assert await anext(parts) == ": still here\n\n"
        await append(shiftwork, project, 1)
        while (part := await anext(parts)).startswith(":"):
            pass
        assert part.startswith("id: 1\ndata: {")
        assert part.count("\n") == 3
        async with shiftwork.store.transaction() as tx:
            await tx.projects.delete(project)
        assert "There is no project" in [part async for part in parts][-1]
