"""A worker publishes fingerprints of the secrets that it knows, so that clients keep them out, too."""

import asyncio
import hashlib
import logging
import time
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Self

from shiftwork.codec.fingerprints import seal_fingerprints
from shiftwork.codec.sealing import Seal
from shiftwork.errors import ShiftworkError
from shiftwork.secrets import LazyRedactor, Redactor
from shiftwork.store.fingerprints import RENEWAL
from shiftwork.store.store import Store

POLL_SECONDS = 1.0
"""How often it is looked whether the worker learned a secret."""

_RETRY_SECONDS = 5.0

log = logging.getLogger("shiftwork.fingerprints")


class FingerprintPublisher:
    """As an async context: publishes, renews, and publishes anew when the worker learns a secret.

    The row stays after the worker: what was a secret is one while nobody works, too. Where the codec is off,
    nothing is published.

    Args:
        store: where they are published.
        seal: makes and seals them.
        redactor: what the worker knows.
        place: host and state folder; a worker that starts there later succeeds this one.
    """

    def __init__(self, store: Store, seal: Seal, redactor: LazyRedactor, place: str) -> None:
        self._store = store
        self._seal = seal
        self._redactor = redactor
        self._owner = str(uuid.uuid4())
        self._place = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()
        self._known: Redactor | None = None
        self._due = 0.0
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._publish()
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._keeping is not None
        self._keeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeping

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self._redactor.redactor is not self._known or time.monotonic() >= self._due:
                await self._publish()

    async def _publish(self) -> None:
        """Write the row; what keeps it from being written is logged, and it is tried again."""
        known, made = self._redactor.redactor, None
        try:
            if self._seal.seals:
                made = await asyncio.to_thread(seal_fingerprints, known, self._seal, self._owner)
            async with self._store.transaction() as tx:
                if made is None:
                    await tx.fingerprints.tidy(self._place)
                else:
                    await tx.fingerprints.publish(self._owner, self._place, *made)
        except ShiftworkError as error:
            log.warning("clients can't recognise this worker's secrets yet: %s", error)
            again = _RETRY_SECONDS
        else:
            again = RENEWAL.total_seconds()
        self._known, self._due = known, time.monotonic() + again
