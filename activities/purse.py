"""What a project has spent, known at every moment without asking the database each time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from shiftwork.errors import StackError
from shiftwork.store.store import Store, Transaction

FRESH = 1.0
"""Seconds for which it is believed what other workers have spent, and what the budget is."""

_PATIENCE = 1.0
"""Seconds between two tries while the database is away."""


class Purse:
    """The budget of one project, and what was spent of it: as the database says, and not written there yet.

    All sessions of a project that run in one worker share one, so that each sees at once what the others
    spend. What other workers spend is seen with each write, and with each look.
    """

    def __init__(self, store: Store, project_id: str) -> None:
        self._store = store
        self._project_id = project_id
        self._budget: float | None = None
        self._written = 0.0
        self._unwritten = 0.0
        self._looked_at = float("-inf")
        # Between a write and what is learnt from it nobody looks: an amount would count twice, or not at all.
        self._lock = asyncio.Lock()

    @property
    def spent(self) -> float:
        """US dollars, those of calls that are not written yet included."""
        return round(self._written + self._unwritten, 8)

    def spent_up(self) -> str | None:
        """A sentence if nothing more may be spent; asks nobody."""
        if self._budget is None or self.spent < self._budget:
            return None
        return f"The project's budget of ${self._budget:.2f} is spent."

    @property
    def overdrawn(self) -> bool:
        """Whether more is spent than may be."""
        return self._budget is not None and self.spent > self._budget

    def count(self, dollars: float) -> None:
        """Take in what a call cost; it is to be written, or else dropped."""
        self._unwritten += dollars

    def drop(self, dollars: float) -> None:
        """Forget what was counted and will be written by nobody."""
        self._unwritten -= dollars

    async def write(self, add: Callable[[Transaction], Awaitable[object]], dollars: float) -> None:
        """Write what was counted, however long the database is away.

        Args:
            add: writes it; repeated, it writes the same once.
            dollars: as they were counted.
        """
        async with self._lock:
            while True:
                try:
                    async with self._store.transaction() as tx:
                        await add(tx)
                        found = await tx.usage.budget(self._project_id)
                    break
                except StackError:
                    # The lease decides how long this may go on: once it is lost, the write is refused.
                    await asyncio.sleep(_PATIENCE)
            self._learn(*found)
            self._unwritten -= dollars

    async def look(self) -> None:
        """Ask the database, unless that was done just now; raises `StackError`."""
        async with self._lock:
            if time.monotonic() - self._looked_at < FRESH:
                return
            async with self._store.transaction() as tx:
                found = await tx.usage.budget(self._project_id)
            self._learn(*found)

    def _learn(self, budget: float | None, spent: float) -> None:
        self._budget, self._written = budget, spent
        self._looked_at = time.monotonic()


class Purses:
    """One purse per project, for as long as somebody holds it."""

    def __init__(self) -> None:
        self._held: WeakValueDictionary[str, Purse] = WeakValueDictionary()

    def of(self, store: Store, project_id: str) -> Purse:
        """The project's purse, which has to be looked into before it says anything."""
        purse = self._held.get(project_id)
        if purse is None:
            purse = self._held[project_id] = Purse(store, project_id)
        return purse
