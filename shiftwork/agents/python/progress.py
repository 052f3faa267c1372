"""Hearing how far a run is while it goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from shiftwork.agents.outbox import read_progress

OnProgress = Callable[[JsonValue], Awaitable[bool | None] | bool | None]
"""Is told how far a run is, and once more if it answers `False`; awaited if it can be.

What it raises is raised when the run has ended, and it is told nothing more.
"""

_EVERY: Final = 1.0
"""Seconds between two looks."""


@asynccontextmanager
async def heard(
    outbox: Path, ended: "asyncio.Future[Any]", on_progress: OnProgress | None
) -> AsyncIterator[None]:
    """Have somebody told what is new in an outbox, until its agent has ended.

    What is being told in that moment is told to its end; what is told last is the outcome's.
    """
    if on_progress is None:
        yield
        return
    telling = asyncio.create_task(_tell(outbox, ended, on_progress))
    try:
        yield
        await telling
    finally:
        telling.cancel()
        await asyncio.wait((telling,))


async def _tell(outbox: Path, ended: "asyncio.Future[Any]", on_progress: OnProgress) -> None:
    told: JsonValue = None
    while True:
        await asyncio.wait((ended,), timeout=_EVERY)
        if ended.done():
            return
        now = await asyncio.to_thread(read_progress, outbox)
        if now is not None and now != told:
            answer = on_progress(now)
            if isinstance(answer, Awaitable):
                answer = await answer
            told = told if answer is False else now
