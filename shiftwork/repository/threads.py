"""Work that would block the event loop, run in a thread without ever being left running.

A thread shares the interpreter with the loop, and one call into C doesn't let go of it until it is done. So
what grows with what an agent made is sorted, parsed and written in pieces.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

PIECE = 20_000
"""Things sorted in one call: some ten milliseconds."""


async def in_thread(work: Callable[[], T]) -> T:
    """The result of `work`, done in a thread.

    A cancelled caller still waits for the thread: what follows a cancellation is clean-up of the same
    folder, which must not meet a walk that goes on.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen, and less important than the cancellation
        raise


def in_order(things: Iterable[T], key: Callable[[T], Any]) -> list[T]:
    """The things sorted, without keeping other threads from running while there are very many."""
    rest = iter(things)
    pieces: list[list[T]] = []
    while piece := sorted(islice(rest, PIECE), key=key):
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else list(heapq.merge(*pieces, key=key))


def forget(*collections: dict[Any, Any] | list[Any]) -> None:
    """Empty these bit by bit: to let go of a large one at once is one long call too."""
    for collection in collections:
        while collection:
            collection.popitem() if isinstance(collection, dict) else collection.pop()


def in_pieces(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """The things, so many at once."""
    rest = iter(things)
    while piece := list(islice(rest, size)):
        yield piece
