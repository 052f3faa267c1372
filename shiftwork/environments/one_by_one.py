"""One at a time, in the order of asking, whatever event loop or thread asks."""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager


class OneByOne:
    """A fair lock; an `asyncio.Lock` belongs to one event loop."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._last: Future[None] | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for those that asked before; the next one waits for the end of this."""
        mine: Future[None] = Future()
        with self._guard:
            before, self._last = self._last, mine
        if before is not None:
            try:
                await asyncio.shield(asyncio.wrap_future(before))
            except asyncio.CancelledError:
                # whoever is behind has its turn when those before are done
                before.add_done_callback(lambda _: mine.set_result(None))
                raise
        try:
            yield
        finally:
            mine.set_result(None)
