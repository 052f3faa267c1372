"""A server that goes away at whatever it is asked first: told in one sentence, and to be tried again."""

import asyncio
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

import pytest

from shiftwork.errors import NotFound, StackError
from shiftwork.locks import distributed_lock
from shiftwork.store.migrate import migrate
from shiftwork.store.status import project_status
from shiftwork.store.store import Store


@asynccontextmanager
async def going_away_at(words: bytes, database_url: str):
    """The address of that server, which ends each connection over which it is asked this."""
    parts = urlsplit(database_url)
    where = parse_qs(parts.query)
    socket = f"{where['host'][0]}/.s.PGSQL.{where['port'][0]}"
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: bytes | None) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if end is not None and end in data:
                    break
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_unix_connection(socket)
        for each in (pump(reader, forth, words), pump(back, writer, None)):
            pumps.add(asyncio.create_task(each))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield f"postgresql://{parts.netloc.rpartition('@')[0]}@{host}{parts.path}"
    server.close()
    for each in pumps:
        each.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)


async def open_store(url):
    async with Store(url):
        pass


async def look_at_status(url):
    with suppress(NotFound):  # there is no project
        await project_status(url)


async def hold_lock(url):
    async with Store(url) as store, distributed_lock(store, "a"):
        pass


@pytest.mark.parametrize(
    ("words", "use"),
    [
        (b"pg_catalog.version", open_store),
        (b"pg_try_advisory_lock", hold_lock),
        (b"FROM projects", look_at_status),
        (b"alembic_version", migrate),
        (b"pg_advisory_xact_lock", migrate),
    ],
    ids=["open", "lock", "status", "look at the revision", "migrate"],
)
async def test_it_is_one_sentence(database_url, words, use):
    """If it failed, a worker that starts while its stack is started again would end with a traceback."""
    if use is not migrate:
        await migrate(database_url)
    async with going_away_at(words, database_url) as url:
        with pytest.raises(StackError, match="PostgreSQL"):
            await use(url)
    await use(database_url)
