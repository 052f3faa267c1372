"""The tool by which an agent acts on the environment that it plays."""

from collections.abc import Mapping
from typing import Any, Literal

from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field

from shiftwork.agents.environment import TOKEN_VARIABLE, URL_VARIABLE
from shiftwork.agents.langchain.program.tools import make_tool
from shiftwork.environments.play_command import Unusable, ask, told

_DESCRIPTION = """\
Act on the environment {name!r} that you play: `step` takes one of its actions, by its name and parameters;
`observe` shows it again and changes nothing; `stats` tells how the episode goes. Call it once, and wait for
the answer: it says what came of the action, what can be done next, and whether the episode is over."""


class _Act(BaseModel):
    action: Literal["step", "observe", "stats"] = "step"
    action_name: str | None = Field(None, description="For `step`: which action to take.")
    parameters: dict[str, Any] = Field({}, description="For `step`: what that action takes.")


def environment_tools(request: Mapping[str, Any], environ: Mapping[str, str]) -> list[BaseTool]:
    """The tool of the environment that a brief tells of; none if it tells of none, or not of a tool."""
    environment = request.get("environment") or {}
    if environment.get("by") != "tool":
        return []
    url, token = environ.get(URL_VARIABLE, ""), environ.get(TOKEN_VARIABLE, "")

    def play(  # in a thread of its own, as it waits
        action: str = "step", action_name: str | None = None, parameters: dict[str, Any] | None = None
    ) -> str:
        acts = {"action": action_name, "parameters": parameters or {}} if action == "step" else {}
        try:
            return told(ask(url, token, {"do": action, **acts}))
        except Unusable as error:
            return f"Not done: {error}"

    play.__name__ = environment["tool"]
    return [make_tool(play, _Act, _DESCRIPTION.format(name=environment["name"]))]
