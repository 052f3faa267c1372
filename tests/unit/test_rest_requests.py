"""Requests under a key: who carries them out, and what a server that ended in the middle leaves."""

import asyncio

import asyncpg
import pytest
from pydantic import BaseModel

from client.rest.idempotency import Idempotency, Making
from shiftwork.errors import Conflict, StackError
from shiftwork.store.requests import LEASE_SECONDS, Claim, KnownRequest
from shiftwork.store.store import Store


class Made(BaseModel):
    """What is made."""

    thing: str


class Desk:
    """What a request is carried out with: rows alone."""

    def __init__(self, store: Store) -> None:
        self.store = store


async def claim(store: Store, key: str = "k", asked: str = "a") -> Claim | KnownRequest:
    """Ask for a request."""
    async with store.transaction() as tx:
        return await tx.requests.claim(key, asked)


async def expire(database_url: str, interval: str) -> None:
    """Let time pass."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        f"UPDATE requests SET leased_until = leased_until - interval '{interval}', "
        f"created_at = created_at - interval '{interval}'"
    )
    await connection.close()


async def test_what_a_lost_server_began_is_taken_up_with_the_same_id(store, database_url) -> None:
    """If it failed, a program would wait for ever for a server that is gone, or have a thing made twice."""
    first = await claim(store)
    assert isinstance(first, Claim)
    assert isinstance(await claim(store), KnownRequest)
    await expire(database_url, f"{LEASE_SECONDS + 1} seconds")
    second = await claim(store)
    assert isinstance(second, Claim)
    assert second.thing == first.thing
    async with store.transaction() as tx:
        assert not await tx.requests.settle(first, 201, {"by": "first"})
        assert await tx.requests.settle(second, 201, {"by": "second"})
        assert not await tx.requests.settle(second, 201, {"by": "nobody"})
    known = await claim(store)
    assert isinstance(known, KnownRequest)
    assert (known.status, known.answer) == (201, {"by": "second"})


async def test_a_key_is_forgotten_after_its_time(store, database_url) -> None:
    """If it failed, the table would grow for ever, and an old key would answer a new request."""
    first = await claim(store)
    async with store.transaction() as tx:
        await tx.requests.settle(first, 201, {})
    await expire(database_url, "25 hours")
    second = await claim(store, asked="other")
    assert isinstance(second, Claim)
    assert second.thing != first.thing


async def test_only_one_of_many_claims(store) -> None:
    """If it failed, two servers would carry out one request at the same time."""
    found = await asyncio.gather(*(claim(store) for _ in range(8)))
    assert sum(isinstance(each, Claim) for each in found) == 1


async def test_whoever_was_superseded_makes_nothing(store, database_url) -> None:
    """If it failed, a server that was stopped for a while would make a thing a second time."""

    async def make(making: Making) -> Made:
        await expire(database_url, f"{LEASE_SECONDS + 1} seconds")
        assert isinstance(await claim(store, asked="a"), Claim)
        async with store.transaction() as tx:
            await tx.projects.create("twice")
            await making.settle(tx, 201, Made(thing="x"))
        raise AssertionError

    with pytest.raises(StackError, match="carries out this request"):
        await Idempotency(Desk(store), "k", "a").once(201, make)
    async with store.transaction() as tx:
        assert await tx.projects.by_name("twice") is None


async def test_what_failed_unforeseen_is_taken_up_at_once(store) -> None:
    """If it failed, a program would have to wait, or choose another key and risk a double."""
    things: list[str | None] = []

    async def make(making: Making) -> Made:
        things.append(making.thing)
        if len(things) == 1:
            raise StackError("away")
        return Made(thing=str(making.thing))

    once = Idempotency(Desk(store), "k", "a")
    with pytest.raises(StackError):
        await once.once(201, make)
    async with asyncio.timeout(LEASE_SECONDS / 2):
        answer = await once.once(201, make)
    assert answer.status_code == 201
    assert things[0] == things[1] is not None


async def test_what_was_refused_is_forgotten(store) -> None:
    """If it failed, a mistake that changed nothing would cost the key."""

    async def make(making: Making) -> Made:
        raise Conflict("no")

    with pytest.raises(Conflict):
        await Idempotency(Desk(store), "k", "a").once(201, make)
    assert isinstance(await claim(store, asked="corrected"), Claim)
