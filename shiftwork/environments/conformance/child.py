"""Processes of their own, in which an environment is made by its name."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import BinaryIO, Final

from pydantic import BaseModel, ConfigDict

from shiftwork.environments.conformance.making import ByName

MOST_LINE: Final = 64 * 1024 * 1024
"""Bytes that such a process tells at once."""


class Order(BaseModel):
    """What a process is to do, told in its first line.

    Attributes:
        environment, parameters: see `ByName`.
        path: where modules are found.
    """

    model_config = ConfigDict(frozen=True)

    environment: str
    parameters: Mapping[str, object] = {}
    path: tuple[str, ...] = ()

    @property
    def made(self) -> ByName:
        """What makes the environment."""
        return ByName(self.environment, self.parameters)


@asynccontextmanager
async def child(
    module: str, order: Order, *, quiet: bool = False, **variables: str
) -> AsyncIterator[asyncio.StreamReader]:
    """Run a module of ours with an order; what it tells. No process of it lives afterwards.

    Args:
        quiet: what it says beside that is nobody's concern.
        variables: of its process environment, besides our own.
    """
    here = str(os.getcwd())  # noqa: PTH109 - an entry of sys.path
    told = order.model_copy(update={"path": tuple(each or here for each in sys.path)})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL if quiet else None,
        env={**os.environ, **variables},
        limit=MOST_LINE,
        start_new_session=True,
    )
    assert process.stdin is not None, "a pipe"
    assert process.stdout is not None, "a pipe"
    try:
        with suppress(ConnectionError):  # it died at once: that it says nothing is told
            process.stdin.write(told.model_dump_json().encode() + b"\n")
            await process.stdin.drain()
        yield process.stdout
    finally:
        process.stdin.close()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


def ordered(kind: type[Order]) -> tuple[Order, BinaryIO]:
    """What this process is to do, and where it tells; it ends with whoever started it.

    What an environment prints, or would read, is no line of ours: it goes to the standard error.
    """
    reads, writes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - for its descriptor alone
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    order = kind.model_validate_json(reads.readline())
    sys.path[:] = order.path
    threading.Thread(target=_end_with, args=(reads,), name="starter", daemon=True).start()
    return order, writes


def _end_with(reads: BinaryIO) -> None:
    reads.read()
    os._exit(1)


def tell(writes: BinaryIO, line: BaseModel) -> None:
    """Say something, now."""
    writes.write(line.model_dump_json().encode() + b"\n")
    writes.flush()
