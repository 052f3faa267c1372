"""A database session of the running stack, for programs that have their own things to do in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from shiftwork.settings import Settings
from shiftwork.store.own import OwnStore


@asynccontextmanager
async def get_session(settings: Settings | None = None) -> AsyncIterator[AsyncSession]:
    """A session on the running stack: committed at the end of the block, rolled back if it raises.

    Args:
        settings: which stack; None: as the environment says.

    Raises:
        StackError: no stack runs.
    """
    store = OwnStore(settings=settings)
    try:
        async with (await store.open()).session() as session:
            yield session
    finally:
        await store.close()
