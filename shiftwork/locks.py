"""Locks that hold on every host: PostgreSQL's, which a lost connection gives back."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from shiftwork.errors import InvalidInput
from shiftwork.store.store import Store, lockers_of


@asynccontextmanager
async def distributed_lock(session: AsyncSession | Store, name: str) -> AsyncIterator[bool]:
    """Hold the lock of this name, if nobody does; it does not wait.

    It lives on a connection of its own: the session may commit, roll back or fail in the block. It is given
    back at the end of the block, and by the server when that connection is lost, however that happens. Who
    holds it is not told of such a loss: write what must not happen twice so that it can.

    Args:
        session: one of `Store.session()` (or `client.get_session()`), or a store: says which database.
        name: 1 to 500 characters, whatever they are.

    Yields:
        Whether the lock is held; if not, somebody else holds it, here or elsewhere.

    Raises:
        InvalidInput: the name is empty or too long, or the session is of another making.
        StackError: the database can't be reached.
    """
    if not isinstance(name, str):
        raise InvalidInput(f"The name of a lock must be text, not {type(name).__name__}.")
    if not 0 < len(name) <= 500:
        raise InvalidInput(f"The name of a lock has {len(name):,} characters; it must have 1 to 500.")
    key = lock_key(name)
    lockers = lockers_of(session)
    connection = await lockers.acquire(key)
    try:
        yield connection is not None
    finally:
        if connection is not None:
            await lockers.release(connection, key)


def lock_key(name: str) -> int:
    """PostgreSQL's number for a name: 64 bits of its digest, so that two names practically never meet."""
    digest = hashlib.sha256(b"shiftwork lock\0" + name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
