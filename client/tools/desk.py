"""Where tools are carried out: a connection for each call, and every error as one sentence."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from temporalio.service import RPCError

from client.api import Shiftwork
from client.tools.definition import Call, Definition, Report, unreported
from client.wording import first_problem
from shiftwork.contracts.project import ProjectOptions
from shiftwork.errors import InvalidInput, ShiftworkError, StackError
from shiftwork.settings import Settings


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

    def connection(self) -> Shiftwork:
        """A connection that is not open yet; raises `InvalidInput` for a wrong environment."""
        return Shiftwork(self._settings)

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
            async with self.connection() as shiftwork:
                result = await definition.work(Call(shiftwork, self._options, report), asked)
        except ShiftworkError:
            raise
        except RPCError as error:
            raise StackError(f"Temporal refused or did not answer: {error.message}; try again.") from error
        except Exception as error:  # outermost frame of a tool: a model is told a sentence, not our frames
            what = " ".join(str(error).split())[:500]
            raise ShiftworkError(f"Unexpected {type(error).__name__}: {what}.") from error
        return result.model_dump(mode="json")


def invalid(definition: Definition, error: ValidationError) -> str:
    """What is wrong with the arguments, in one sentence."""
    return f"{first_problem(error, definition.arguments)}."
