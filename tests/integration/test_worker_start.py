"""A worker whose Temporal goes away while it starts."""

import asyncio
from contextlib import suppress

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from shiftwork.errors import StackError
from worker import taking_work


@activity.defn
async def nothing() -> None:
    """What it could do."""


async def test_temporal_that_goes_away_is_one_sentence(stack, temporal):
    """If it failed, a worker that starts while its stack is started again would end with a traceback."""
    host, _, port = temporal.address.rpartition(":")
    open_ones: list[asyncio.StreamWriter] = []

    async def pump(reader, writer):
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader, writer):
        back, forth = await asyncio.open_connection(host, int(port))
        open_ones.extend((writer, forth))
        await asyncio.gather(pump(reader, forth), pump(back, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = await Client.connect(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    for each in open_ones:
        each.close()
    with pytest.raises(StackError, match=r"^Temporal did not let the worker in: .*; try again\.$"):
        async with taking_work(Worker(client, task_queue="of nobody", activities=[nothing])):
            await asyncio.sleep(100)
