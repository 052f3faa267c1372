"""The environments of the server's machine, told by a process of its own: foreign code makes them."""

import asyncio
import sys
import time
from typing import Final

from pydantic import ValidationError

from client.environments import Environments
from shiftwork.errors import StackError
from shiftwork.text import one_line, tail

_FRESH_SECONDS: Final = 60.0
_WAIT_SECONDS: Final = 60.0


class Catalogue:
    """What is installed; it is looked for once a minute at most."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._told: Environments | None = None
        self._at = 0.0

    async def get(self) -> Environments:
        """Every environment; raises `StackError` if they can't be told."""
        async with self._turn:
            if self._told is None or time.monotonic() > self._at + _FRESH_SECONDS:
                self._told, self._at = await _asked(), time.monotonic()
            return self._told


async def _asked() -> Environments:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "client.environments"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            out, err = await process.communicate()
        return Environments.model_validate_json(out)
    except TimeoutError:
        raise StackError(
            f"The environments were not told within {_WAIT_SECONDS:.0f} seconds: one of them hangs; "
            "`shiftwork env list` shows more."
        ) from None
    except ValidationError:
        raise StackError(
            f"The environments can't be told: {one_line(tail(err, 300)) or 'nobody says why'}; "
            "`shiftwork env list` shows more."
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
