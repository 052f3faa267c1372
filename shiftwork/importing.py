"""How a process imports what it works with."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector: it would look through what is imported again and again, and at the end.

    What there is afterwards counts as there to stay; so this is for whoever owns the process.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
