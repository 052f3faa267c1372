"""What a tool is, apart from whoever offers it: a name, arguments, a result, and the work between them.

To tell of the tools needs none of what they work with: that is imported when one is asked for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from client.tools.results import Result

if TYPE_CHECKING:
    from client.tools.call import Call

Report = Callable[[str], Awaitable[None]]
"""Is told, in one line for people, how far a tool that waits has come."""


async def unreported(line: str) -> None:
    """Nobody listens while the tool works."""
    del line


Work = Callable[["Call", Any], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Later:
    """The work of a tool, imported when it is first done.

    Attributes:
        where: `module:function`.
    """

    where: str

    async def __call__(self, call: "Call", asked: Any) -> Result:
        """Do it; what is imported for it holds up nobody else."""
        work = await asyncio.to_thread(self.load)
        return await work(call, asked)

    def load(self) -> Work:
        """The function itself."""
        module, _, function = self.where.partition(":")
        work: Work = getattr(import_module(module), function)
        return work


@dataclass(frozen=True, slots=True)
class Offer:
    """What a model is told of a tool.

    Attributes:
        description: for the model that may call it.
        reads: whether it changes nothing.
        interrupts: whether it may undo or interrupt something.
        repeatable: whether calling it again with the same arguments changes nothing further.
    """

    name: str
    title: str
    description: str
    arguments: type[BaseModel]
    result: type[Result]
    reads: bool = field(default=False, kw_only=True)
    interrupts: bool = field(default=False, kw_only=True)
    repeatable: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Definition(Offer):
    """A tool that works on a stack.

    Attributes:
        work: takes a `Call` and an instance of `arguments`; raises `ShiftworkError` with one sentence.
    """

    work: Work
