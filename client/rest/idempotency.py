"""The header `Idempotency-Key`: whoever asks again under the same key gets the same answer.

A program that got no answer can't know whether it was heard. Under a key it may ask again: what was done is
answered again, what somebody is doing is waited for, and what was cut off is taken up where it was.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from starlette.responses import Response

from client.api import Shiftwork
from client.rest.answers import Answer
from client.rest.connections import Here
from client.rest.problems import problem
from shiftwork.errors import ShiftworkError, StackError
from shiftwork.store.requests import KEPT_HOURS, LEASE_SECONDS, Claim
from shiftwork.store.store import Transaction

_WAIT_SECONDS = 25.0
_POLL_SECONDS = 0.05
_Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description=(
            f"A key of your own, new for each thing you ask for. Asking again with it within {KEPT_HOURS} "
            "hours does nothing twice, and gives the same answer, marked `Idempotency-Replayed: true`."
        ),
        examples=["3f0c8f4e-6b1f-4d5c-9a55-0d6f2f9a7c11"],
    ),
]


@dataclass(slots=True)
class Making:
    """One try to carry out a request.

    Attributes:
        thing: the id of what it makes, the same at every try; None without a key.
        claim: what this try is carried out by; None without a key.
    """

    thing: str | None = None
    claim: Claim | None = None
    settled: bool = field(default=False, init=False)

    @property
    def retried(self) -> bool:
        """Whether an earlier try was cut off, which may have made it."""
        return self.claim is not None and self.claim.retried

    async def settle(self, tx: Transaction, status: int, answer: BaseModel) -> None:
        """Keep the answer in the transaction that makes what it tells of.

        Raises:
            StackError: another took over meanwhile; the transaction must not be committed.
        """
        if self.claim is not None:
            body = answer.model_dump(mode="json")
            if not await tx.requests.settle(self.claim, status, body):
                raise StackError("Another server carries out this request by now; ask again for its answer.")
        self.settled = True


Make = Callable[[Making], Awaitable[BaseModel]]


class Idempotency:
    """Carries out what a request asks for, once for each key."""

    def __init__(self, shiftwork: Shiftwork, key: str | None, asked: str) -> None:
        self._shiftwork = shiftwork
        self._key = key
        self._asked = asked

    async def once(self, status: int, make: Make) -> Response:
        """The answer, with this status, to what `make` makes, or made before."""
        if self._key is None:
            return Answer((await make(Making())).model_dump(mode="json"), status)
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            async with self._shiftwork.store.transaction() as tx:
                found = await tx.requests.claim(self._key, self._asked)
            if isinstance(found, Claim):
                return await self._carry_out(found, status, make)
            if found.asked != self._asked:
                return problem(422, "Idempotency-Key: another request was made under it; choose a new one.")
            if found.status is not None:
                return Answer(found.answer, found.status, {"Idempotency-Replayed": "true"})
            if time.monotonic() > deadline:
                said = "The same request is still being carried out; ask again for its answer."
                return problem(409, said, headers={"Retry-After": "5"})
            await asyncio.sleep(_POLL_SECONDS)

    async def _carry_out(self, claim: Claim, status: int, make: Make) -> Response:
        making = Making(claim.thing, claim)
        holding = asyncio.create_task(self._hold(claim))
        try:
            answer = await make(making)
            if not making.settled:
                async with self._shiftwork.store.transaction() as tx:
                    await making.settle(tx, status, answer)
        except Exception as error:  # whatever it was, the key must be free again
            await self._let_go(claim, error)
            raise
        finally:
            holding.cancel()
            with suppress(asyncio.CancelledError):
                await holding
        return Answer(answer.model_dump(mode="json"), status)

    async def _let_go(self, claim: Claim, error: Exception) -> None:
        """Forget what was refused; leave what may have been done to the next try, which finds it."""
        refused = isinstance(error, ShiftworkError) and not isinstance(error, StackError)
        with suppress(StackError):  # the lease ends by itself
            async with self._shiftwork.store.transaction() as tx:
                await (tx.requests.give_up(claim) if refused else tx.requests.release(claim))

    async def _hold(self, claim: Claim) -> None:
        """Renew the lease; runs until cancelled."""
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            with suppress(StackError):  # the work itself will find that, or the next renewal succeeds
                async with self._shiftwork.store.transaction() as tx:
                    await tx.requests.renew(claim)


async def _idempotency(request: Request, shiftwork: Here, key: _Key = None) -> Idempotency:
    asked = hashlib.sha256()
    for part in (request.method, request.url.path, request.url.query):
        asked.update(part.encode() + b"\0")
    asked.update(await request.body())
    return Idempotency(shiftwork, key, asked.hexdigest())


Once = Annotated[Idempotency, Depends(_idempotency)]
"""What carries out a request once for its key."""
