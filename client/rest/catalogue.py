"""The environments of the server's machine, told by a process of its own: foreign code makes them."""

import asyncio
import sys
import time
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from client.environments import Environment, Environments, Told
from shiftwork.contracts.environment_check import is_path
from shiftwork.errors import NotFound, StackError
from shiftwork.text import one_line, tail

_FRESH_SECONDS: Final = 60.0
_WAIT_SECONDS: Final = 60.0
_MOST_NAMED: Final = 100
"""Environments of other packages that are remembered."""

_Answer = TypeVar("_Answer", bound=BaseModel)


class Catalogue:
    """What is installed; it is looked for once a minute at most."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._told: Environments | None = None
        self._at = 0.0
        self._named: dict[str, tuple[float, Environment]] = {}

    async def get(self) -> Environments:
        """Every environment; raises `StackError` if they can't be told."""
        async with self._turn:
            if self._told is None or time.monotonic() > self._at + _FRESH_SECONDS:
                self._told, self._at = await _asked(Environments), time.monotonic()
            return self._told

    async def page(self, name: str) -> Environment:
        """One of them, or one of another package by its name, as `gymnasium/CartPole-v1`.

        Raises:
            NotFound: there is none of that name, or it can't be made.
            StackError: it can't be told.
        """
        there = await self.get()
        for each in there.environments:
            if each.name == name:
                return each
        bridge, slash, _ = name.partition("/")
        if not slash or bridge not in there.bridges or is_path(name) or not name.isprintable():
            raise NotFound(
                f"There is no environment {name!r}; `GET /api/environments` lists those there are, and whose "
                "there are too, each as PACKAGE/NAME."
            )
        async with self._turn:
            at, page = self._named.get(name, (0.0, None))
            if page is None or time.monotonic() > at + _FRESH_SECONDS:
                page = await _one(name)
                self._named.pop(name, None)
                self._named[name] = time.monotonic(), page
                while len(self._named) > _MOST_NAMED:
                    del self._named[next(iter(self._named))]
            return page


async def _one(name: str) -> Environment:
    told = await _asked(Told, name)
    if told.environment is None:
        raise NotFound(f"There is no environment {name!r} that can be shown: {told.problem}")
    return told.environment


async def _asked(wanted: type[_Answer], *named: str) -> _Answer:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "client.environments", *named),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            out, err = await process.communicate()
        return wanted.model_validate_json(out)
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
