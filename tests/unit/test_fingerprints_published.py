"""Fingerprints on their way from workers to clients, through a real PostgreSQL."""

import asyncio
import dataclasses
from base64 import b64encode
from pathlib import Path

import asyncpg
import pytest

from activities.fingerprints import FingerprintPublisher
from shiftwork.codec.keys import Key
from shiftwork.codec.sealing import Seal
from shiftwork.contracts.outbox import DecisionNote
from shiftwork.errors import InvalidInput
from shiftwork.management.recognising import Recognition
from shiftwork.secrets import LazyRedactor, Secret
from shiftwork.settings import Settings
from shiftwork.store.migrate import migrate
from shiftwork.store.own import OwnStore
from shiftwork.store.store import Store

CANARY = "canary-7Q2wXz9LmN4rT8vB"
OTHER = "0ther-4kVt9QzP1xY7"


def settings_with(state: Path, *keys: Key, codec: bool | None = None) -> Settings:
    """Settings with keys in a file; with none, nothing says where they are."""
    if not keys:
        return Settings(state=state, codec=codec)
    path = state / f"{keys[0].id}.keys"
    path.write_text("\n".join(f"{key.id}:{b64encode(key.secret).decode()}" for key in keys))
    path.chmod(0o600)
    return Settings(state=state, codec_keys=f"file:{path}", codec=codec)


def publisher(store: Store, settings: Settings, place: str = "here", **secrets: str) -> FingerprintPublisher:
    """What a worker has that knows these secrets."""
    return FingerprintPublisher(store, Seal.of(settings), LazyRedactor(secrets), place)


class Client:
    """A process that knows nothing itself."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.redactor = LazyRedactor({}, [url])
        self.store = Store(url, redact=self.redactor, learns=Recognition(settings, self.redactor))

    async def tells(self, words: str) -> str:
        """The words as they are stored."""
        async with self.store.transaction() as tx:
            project = await tx.projects.by_name("p") or await tx.projects.create("p")
            row = await tx.decisions.record(project.id, None, 0, 0, DecisionNote(context=words, decision="x"))
        return row.context


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_with(tmp_path, Key.generate())


async def rows(url: str, statement: str = "SELECT * FROM secret_fingerprints") -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


async def test_a_client_takes_out_what_only_a_worker_knows(database_url, store, settings):
    """If it failed, a key that only the worker has would lie in the rows that a client writes."""
    async with publisher(store, settings, WORKER_API_KEY=CANARY):
        pass
    async with (client := Client(database_url, settings)).store:
        assert await client.tells(f"use {CANARY}!") == "use [redacted:WORKER_API_KEY]!"
        async with client.store.transaction() as tx:
            project = await tx.projects.by_name("p")
            await tx.events.append(project.id, "told", data={"deep": [{CANARY: CANARY}]})
            with pytest.raises(InvalidInput, match="would hold the secret 'WORKER_API_KEY'"):
                await tx.projects.create(f"p {CANARY}")
    told = await rows(database_url, "SELECT data::text FROM events")
    assert "[redacted:WORKER_API_KEY]" in str(told)
    assert CANARY not in str(told)


async def test_a_store_of_a_programs_own_recognises_too(database_url, store, settings):
    """If it failed, what a program hands over could hold a key of the worker's."""
    async with publisher(store, settings, WORKER_API_KEY=CANARY):
        own = OwnStore(settings=dataclasses.replace(settings, database_url=database_url))
        async with (await own.open()).transaction() as tx:
            project = await tx.projects.create("p", f"with {CANARY}")
        await own.close()
    assert project.description == "with [redacted:WORKER_API_KEY]"


async def test_reading_asks_for_nothing(database_url, store, settings):
    """If it failed, each command that only reads would read, decrypt and build what it has no use for."""
    async with (
        publisher(store, settings, WORKER_API_KEY=CANARY),
        (client := Client(database_url, settings)).store,
    ):
        async with client.store.transaction() as tx:
            await tx.projects.readable()
        assert client.redactor.secret_in(CANARY) is None
        await client.store.learn()
        assert client.redactor.secret_in(CANARY) == "WORKER_API_KEY"


async def test_what_no_key_opens_is_tried_again(database_url, store, tmp_path):
    """If it failed, a client that was started before its keys came would write what it should not."""
    own, key = Key.generate(), Key.generate()
    async with publisher(store, settings_with(tmp_path, key), WORKER_API_KEY=CANARY):
        pass
    settings = settings_with(tmp_path, own)
    async with (client := Client(database_url, settings)).store:
        assert await client.tells(f"use {CANARY}!") == f"use {CANARY}!"
        keys = tmp_path / f"{own.id}.keys"
        keys.write_text((tmp_path / f"{key.id}.keys").read_text() + "\n" + keys.read_text())
        await client.store.learn()
        assert await client.tells(f"use {CANARY}!") == "use [redacted:WORKER_API_KEY]!"


async def test_the_database_alone_tells_nothing(database_url, store, settings):
    """If it failed, whoever steals the database could try out passwords."""
    async with (
        publisher(store, settings, WORKER_API_KEY=CANARY),
        publisher(store, settings, "b", PASSWORD="x" * 9),
    ):
        pass
    for row in await rows(database_url):
        body = row["body"]
        assert CANARY.encode() not in body
        assert b"WORKER_API_KEY" not in body
    first, second = await rows(database_url)
    assert first["content"] != second["content"]


async def test_what_a_worker_learns_is_published(database_url, store, settings):
    """If it failed, the key of a project that came later would be known to the worker alone."""
    redactor = LazyRedactor({})
    worker = FingerprintPublisher(store, Seal.of(settings), redactor, "here")
    async with worker, (client := Client(database_url, settings)).store:
        assert await client.tells(CANARY) == CANARY
        redactor.learn(Secret("credential", CANARY))
        for _ in range(50):
            await asyncio.sleep(0.1)
            await client.store.learn()
            if client.redactor.secret_in(CANARY):
                break
        assert await client.tells(CANARY) == "[redacted:credential]"


async def test_a_worker_speaks_for_those_before_it(database_url, store, settings):
    """If it failed, secrets of workers long gone would pile up, or those of others be forgotten."""
    async with (
        publisher(store, settings, A_KEY=CANARY),
        publisher(store, settings, "elsewhere", A_KEY=CANARY),
    ):
        pass
    async with publisher(store, settings, "third", A_KEY=OTHER), publisher(store, settings, A_KEY=OTHER):
        assert len(await rows(database_url)) == 4
    await rows(database_url, "UPDATE secret_fingerprints SET renewed_at = now() - interval '6 minutes'")
    async with publisher(store, settings, A_KEY=OTHER), (client := Client(database_url, settings)).store:
        # Of this place, and of the third, which knew the same, none is left; one from elsewhere stays.
        assert len(await rows(database_url)) == 2
        await client.store.learn()
        assert client.redactor.secret_in(CANARY) == client.redactor.secret_in(OTHER) == "A_KEY"
    await rows(database_url, "UPDATE secret_fingerprints SET renewed_at = now() - interval '31 days'")
    async with publisher(store, settings, "fourth", B_KEY=OTHER):
        assert len(await rows(database_url)) == 1


async def test_a_rotated_key_seals_what_comes_next(database_url, store, tmp_path):
    """If it failed, clients would recognise nothing after a rotation."""
    old, new = Key.generate(), Key.generate()
    async with publisher(store, settings_with(tmp_path, old), A_KEY=CANARY):
        pass
    rotated = settings_with(tmp_path, new, old)
    async with (
        publisher(store, rotated, "there", A_KEY=OTHER),
        (client := Client(database_url, rotated)).store,
    ):
        assert await client.tells(f"{CANARY} {OTHER}") == "[redacted:A_KEY] [redacted:A_KEY]"


async def test_without_keys_all_stays_as_it_was(database_url, store, settings, tmp_path):
    """If it failed, a program that has no keys could not write, or would make keys of its own."""
    async with publisher(store, settings, A_KEY=CANARY):
        for others in (settings_with(tmp_path), settings_with(tmp_path, Key.generate())):
            async with (client := Client(database_url, others)).store:
                assert await client.tells(CANARY) == CANARY
    assert not (tmp_path / "codec").exists()


async def test_nothing_is_published_where_the_codec_is_off(database_url, store, tmp_path):
    """If it failed, digests of secrets would lie in the database under no key."""
    key = Key.generate()
    async with publisher(store, settings_with(tmp_path, key), A_KEY=CANARY):
        pass
    off = settings_with(tmp_path, key, codec=False)
    await rows(database_url, "UPDATE secret_fingerprints SET renewed_at = now() - interval '6 minutes'")
    async with publisher(store, off, A_KEY=CANARY):
        assert await rows(database_url) == []


async def test_a_database_that_is_away_ends_no_worker(database_url, store, settings, caplog):
    """If it failed, a worker would stop, or stay silent, when its fingerprints can't be written."""
    await store.close()
    gone = Store(database_url.rpartition("/")[0] + "/gone")
    async with publisher(gone, settings, A_KEY=CANARY):
        pass
    assert "clients can't recognise this worker's secrets yet" in caplog.text
    await gone.close()


@pytest.mark.parametrize(("many", "left_out"), [((120, 40), 21), ((2, 40 << 20), 1)], ids=["many", "large"])
async def test_what_is_too_much_to_read_is_told(database_url, settings, caplog, many, left_out):
    """If it failed, rows of no use could keep secrets from being recognised, and nobody would know."""
    await migrate(database_url)
    async with Store(database_url) as store, publisher(store, settings, WORKER_API_KEY=CANARY):
        pass
    count, size = many
    await rows(
        database_url,
        "INSERT INTO secret_fingerprints (owner, place, content, body) "
        f"SELECT gen_random_uuid(), 'p', 'c', repeat('x', {size})::bytea FROM generate_series(1, {count})",
    )
    async with (client := Client(database_url, settings)).store:
        await client.store.learn()
    assert f"the secrets of {left_out} workers are not recognised" in caplog.text
    assert (client.redactor.secret_in(CANARY) is None) is (count > 100)
