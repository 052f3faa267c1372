"""Requests with an idempotency key: claimed by one at a time, answered once, forgotten after a while."""

import hashlib
import uuid
from typing import Any

from sqlalchemy import update

from shiftwork.contracts.base import Message
from shiftwork.store.noun import Noun
from shiftwork.store.tables.request import RequestTable

KEPT_HOURS = 24
"""How long a key is remembered."""
LEASE_SECONDS = 10
"""How long a claim holds that nobody renews: then its holder is gone, and another takes over."""

_FORGET = """
DELETE FROM requests WHERE created_at < clock_timestamp() - make_interval(hours => $1) RETURNING digest
"""

_CLAIM = """
INSERT INTO requests AS known (digest, asked, claim, leased_until)
VALUES ($1, $2, $3::uuid, clock_timestamp() + make_interval(secs => $4))
ON CONFLICT (digest) DO UPDATE SET claim = excluded.claim, leased_until = excluded.leased_until
WHERE known.asked = excluded.asked AND known.status IS NULL AND known.leased_until < clock_timestamp()
RETURNING thing::text AS thing, xmax::text <> '0' AS retried
"""

_FIND = "SELECT asked, thing::text AS thing, status, answer FROM requests WHERE digest = $1"

_RENEW = """
UPDATE requests SET leased_until = clock_timestamp() + make_interval(secs => $3)
WHERE digest = $1 AND claim = $2::uuid AND status IS NULL RETURNING digest
"""

_RELEASE = """
UPDATE requests SET leased_until = clock_timestamp()
WHERE digest = $1 AND claim = $2::uuid AND status IS NULL RETURNING digest
"""

_GIVE_UP = """
DELETE FROM requests WHERE digest = $1 AND claim = $2::uuid AND status IS NULL RETURNING digest
"""


class Claim(Message):
    """The right to carry out a request.

    Attributes:
        thing: the id of what it makes, the same at every try.
        retried: whether an earlier try was cut off, which may have made it.
    """

    digest: str
    id: str
    thing: str
    retried: bool


class KnownRequest(Message):
    """A request that was made before under the same key.

    Attributes:
        asked: digest of what was asked for then.
        status: of the answer; None: somebody works at it.
    """

    asked: str
    thing: str
    status: int | None
    answer: Any


class Requests(Noun):
    """The rows of `requests`. Keys are stored as digests: nobody learns one from here."""

    async def forget(self) -> int:
        """Remove what is no longer remembered; how many requests."""
        return len(await self._run(_FORGET, KEPT_HOURS))

    async def claim(self, key: str, asked: str) -> Claim | KnownRequest:
        """Claim a request; what is known of it, if it was answered, is worked at, or was another one."""
        await self._run(_FORGET, KEPT_HOURS)
        digest, claim = hashlib.sha256(key.encode()).hexdigest(), str(uuid.uuid4())
        while True:
            for row in await self._run(_CLAIM, digest, asked, claim, float(LEASE_SECONDS)):
                return Claim(digest=digest, id=claim, thing=row["thing"], retried=row["retried"])
            for row in await self._run(_FIND, digest):
                return KnownRequest.model_validate(dict(row))
            # It was given up in between.

    async def renew(self, claim: Claim) -> None:
        """Hold a claim for longer."""
        await self._run(_RENEW, claim.digest, claim.id, float(LEASE_SECONDS))

    async def settle(self, claim: Claim, status: int, answer: Any) -> bool:
        """Keep the answer, in the transaction that makes what it tells of; False: another has taken over."""
        statement = (
            update(RequestTable)
            .where(
                RequestTable.digest == claim.digest,
                RequestTable.claim == claim.id,
                RequestTable.status.is_(None),
            )
            .values(status=status, answer=answer)
        )
        return await self._hits(statement.returning(RequestTable.digest))

    async def release(self, claim: Claim) -> None:
        """Let the next try take up at once what nobody knows the outcome of."""
        await self._run(_RELEASE, claim.digest, claim.id)

    async def give_up(self, claim: Claim) -> None:
        """Forget a request of which nothing came."""
        await self._run(_GIVE_UP, claim.digest, claim.id)
