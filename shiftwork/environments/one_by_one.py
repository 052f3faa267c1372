"""One at a time, in the order of asking, whatever event loop or thread asks."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Self


class OneByOne:
    """A fair lock; an `asyncio.Lock` belongs to one event loop. A copy of it is another one, and free."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._last: Future[None] | None = None
        self._loops: Counter[asyncio.AbstractEventLoop] = Counter()

    def __deepcopy__(self, memo: object) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()

    def needs(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether a turn that was asked for in this event loop has not ended.

        A thread that keeps that loop from running, and waits for a turn of its own, waits for ever.
        """
        with self._guard:
            return loop in self._loops

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for those that asked before; the next one waits for the end of this."""
        mine: Future[None] = Future()
        loop = asyncio.get_running_loop()
        with self._guard:
            before, self._last = self._last, mine
            self._loops[loop] += 1
        try:
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
        finally:
            with self._guard:
                self._loops[loop] -= 1
                self._loops += Counter()  # forgets those of which there are none
