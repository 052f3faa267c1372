"""The tools for LangChain."""

from collections.abc import Coroutine
from typing import Any

from langchain_core.tools import StructuredTool, ToolException
from pydantic import ValidationError
from pydantic.v1 import ValidationError as OldValidationError

from client.tools.definition import Definition
from client.tools.desk import Desk, invalid
from client.tools.table import offered
from shiftwork.contracts.project import ProjectOptions
from shiftwork.errors import ShiftworkError
from shiftwork.looping import LoopThread
from shiftwork.settings import Settings


def long_running_tools(
    settings: Settings | None = None, *, read_only: bool = False, options: ProjectOptions | None = None
) -> list[StructuredTool]:
    """The tools through which a chat model runs projects; making them connects to nothing.

    An error is the tool's answer, in one sentence, with the status `error`.

    Args:
        settings: which stack; None: as the environment says, at each call.
        read_only: only tools that change nothing.
        options: what projects made by these tools begin with; a model may choose another agent, its model,
            and less money.
    """
    desk = Desk(settings, options)
    return [_tool(desk, definition) for definition in offered(read_only=read_only)]


def _tool(desk: Desk, definition: Definition) -> StructuredTool:
    async def work(**given: Any) -> dict[str, Any]:
        try:
            return await desk.do(definition, given)
        except ShiftworkError as error:
            raise ToolException(str(error)) from error

    def work_and_wait(**given: Any) -> dict[str, Any]:
        return _wait(work(**given))

    def refuse(error: ValidationError | OldValidationError) -> str:
        assert isinstance(error, ValidationError)
        return invalid(definition, error)

    return StructuredTool(
        name=definition.name,
        description=definition.description,
        args_schema=definition.arguments,
        func=work_and_wait,
        coroutine=work,
        handle_tool_error=True,
        handle_validation_error=refuse,
        metadata={"read_only": definition.reads},
    )


def _wait(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Do the work on a loop of its own, whether or not one runs here."""
    loop = LoopThread("tool")
    try:
        return loop.wait(work)
    finally:
        loop.stop(_nothing)


async def _nothing() -> None:
    """Nothing is left open."""


LONG_RUNNING_TOOLS = long_running_tools()
"""The tools for the stack that the environment names."""
