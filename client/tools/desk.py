"""Where tools are carried out: a connection for each call, and every error as one sentence.

What connections need is imported by the first call, or ahead of it: tools can be told of soon.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from client.tools.definition import Definition, Report, unreported
from client.wording import first_problem, unexpected
from shiftwork.contracts.project import ProjectOptions
from shiftwork.errors import InvalidInput, ShiftworkError
from shiftwork.settings import Settings

if TYPE_CHECKING:
    from client.api import Shiftwork


class Desk:
    """Carries out tools on one stack.

    Each call has a connection of its own: it may come from any event loop, needs no closing, and finds a
    stack that was started anew.

    Args:
        settings: which stack; None: as the environment says, at each call.
        options: what projects made by tools begin with.
    """

    def __init__(self, settings: Settings | None = None, options: ProjectOptions | None = None) -> None:
        self._settings = settings
        self._options = options or ProjectOptions()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Shiftwork"]:
        """An open connection; raises `InvalidInput` for a wrong environment, `StackError` without a stack."""
        await asyncio.to_thread(load)
        from client.api import Shiftwork  # noqa: PLC0415 - heavy, and loaded by now

        async with Shiftwork(self._settings) as shiftwork:
            yield shiftwork

    async def do(
        self, definition: Definition, given: Mapping[str, Any], report: Report = unreported
    ) -> dict[str, Any]:
        """Carry out a tool; what it answers, as JSON can hold it.

        Raises:
            ShiftworkError: one sentence, whatever went wrong.
        """
        try:
            asked = definition.arguments.model_validate(dict(given))
        except ValidationError as error:
            raise InvalidInput(invalid(definition, error)) from error
        try:
            await asyncio.to_thread(load)
            from client.tools.call import carry_out  # noqa: PLC0415 - heavy, and loaded by now

            result = await carry_out(
                definition.work, asked, settings=self._settings, options=self._options, report=report
            )
        except ShiftworkError:
            raise
        except Exception as error:  # outermost frame of a tool: a model is told a sentence, not our frames
            raise ShiftworkError(unexpected(error)) from error
        return result.model_dump(mode="json")


def load() -> None:
    """Import what connections need, which takes longer than to tell of the tools; any thread may do it."""
    import_module("client.tools.call")


def invalid(definition: Definition, error: ValidationError) -> str:
    """What is wrong with the arguments, in one sentence."""
    return f"{first_problem(error, definition.arguments)}."
