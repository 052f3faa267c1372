"""A store for objects that people make without one: that of the running stack, opened when it is needed."""

import asyncio
import os
from functools import partial

from shiftwork.management.recognising import Recognition
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.stack.file import database_url, has_own_database
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store


class OwnStore:
    """The store that was given, or one of our own.

    Args:
        store: somebody else's, who closes it; None: the running stack's, which `close` closes.
        settings: which stack; None: as the environment says.
    """

    def __init__(self, store: Store | None = None, settings: Settings | None = None) -> None:
        self._store = store
        self._given = store is not None
        self._settings = settings
        self._opening = asyncio.Lock()

    async def open(self) -> Store:
        """The store, connected; raises `StackError` if no stack runs."""
        async with self._opening:
            if self._store is None:
                settings = self._settings or Settings.from_environment()
                url = database_url(settings)
                await migrate(url)
                redactor = LazyRedactor(os.environ, [url])
                self._store = Store(
                    url,
                    redact=redactor,
                    learns=Recognition(settings, redactor),
                    moved=partial(database_url, settings),
                    own_server=has_own_database(settings),
                )
            return self._store

    async def close(self) -> None:
        """Close what was opened here; the next use opens it again."""
        if not self._given and self._store is not None:
            await self._store.close()
            self._store = None
