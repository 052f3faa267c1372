"""The brief of an agent that plays an episode of an environment."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from pydantic import JsonValue

from shiftwork.agents.brief import BRIEF_FILE, REQUEST_FILE, write_files
from shiftwork.agents.quoting import fence
from shiftwork.contracts.base import VERSION, Message
from shiftwork.contracts.session import Role
from shiftwork.environments.protocol import ActionDefinition
from shiftwork.text import one_line, printable, truncate

PLAY_FILE: Final = "play"
"""The program in the brief by which an agent acts."""

PLACE_FILE: Final = "play.json"
"""Where that program finds the environment if its variables don't say so."""

MOST_MOVES: Final = 200
"""Of an episode that is gone on with, the last so many steps are told."""

_MOST_CHARACTERS: Final = 20_000
"""Of what is perceived at the beginning; all of it can be looked at."""

_SITUATION = """\
You play one episode of an environment: you perceive it, act, and are rewarded for what your actions lead to.
Play it as well as you can, to its end; nobody can help you, and there is no second try. The environment is
nowhere in your folders: you act on it only as told here. Your working folder is empty; use it as you like."""

_GOES_ON = """\
This episode goes on. Somebody like you played it until now and was interrupted; all that was done counts, and
stays done. Look at the environment first, and go on from there."""

_PROGRAM = """\
Act by the program `{play}` (`python3 {play}`, if that can't be started):

```
{play} observe                      look again; changes nothing
{play} step ACTION NAME=VALUE …     act; a VALUE is JSON where it can be read as such, else text,
{pad}                                  and @FILE is the text of a file
{play} step ACTION '{{…}}'            act, with all parameters as one JSON object
{play} stats                        how the episode goes
```

It prints what came of it; `--json` prints all of it as JSON. Its exit status is 0 if it was done, 1 if the
environment refused it, 2 if it could not be asked. Act one step at a time: wait for each answer. (Programs of
your own POST the JSON object {{"do": "step", "action": …, "parameters": {{…}}}}, or {{"do": "observe"}}, to
`$SHIFTWORK_ENVIRONMENT_URL` with the header `Authorization: Bearer $SHIFTWORK_ENVIRONMENT_TOKEN`.)"""

_TOOL = """\
Act by the tool `{tool}`: its `action` is `step` (with `action_name`, and `parameters` as an object),
`observe` (look again; changes nothing) or `stats` (how the episode goes). Act one step at a time: wait for
each answer."""

_OVER = """\
Each answer says whether the episode is over; nothing can be done in it then. End when it is over, and say in
a sentence how it went. An episode that you leave before counts as given up."""


class Move(Message):
    """A step that was taken before, or refused."""

    action: str
    parameters: dict[str, JsonValue] = {}
    success: bool = True
    reward: float = 0.0
    error: str | None = None


class EnvironmentBrief(Message):
    """What is played.

    Attributes:
        description: what it is, and its aim.
        agents: who plays, where several do; the one that is told plays for all of them.
        max_steps: after so many actions it is cut short; None: never, as far as is known.
        content: what is perceived now, for reading.
        actions: that may be taken now.
        by: how the agent acts: by the program in its brief, or by a tool that its own program has.
        tool: the name of that tool.
    """

    name: str
    description: str = ""
    agents: tuple[str, ...] = ()
    max_steps: int | None = None
    content: str = ""
    actions: tuple[ActionDefinition, ...] = ()
    by: Literal["program", "tool"] = "program"
    tool: str = ""


class PlayRequest(Message):
    """Everything that an agent which plays is told; its `request.json` is this model.

    Attributes:
        role: always that of a session; programs that read briefs of several kinds ask for it.
        agent: the environment's name; a cassette's sessions are found by it.
        run: how many agents played this episode before.
        instruction: what it is told beyond how to play.
        steps: how many were taken before, or refused; `moves` are the last of them.
    """

    version: int = VERSION
    role: Role = Role.SESSION
    agent: str
    episode: int
    run: int = 0
    instruction: str = ""
    environment: EnvironmentBrief
    steps: int = 0
    moves: tuple[Move, ...] = ()


def write_play_brief(folder: Path, request: PlayRequest, text: str, *, url: str, token: str) -> None:
    """Write the brief, with the program by which the agent acts if it acts by one.

    Args:
        text: `render_play` of the request.
        url, token: where the environment is, and what is shown there.
    """
    written = {REQUEST_FILE: request.model_dump_json(indent=2) + "\n", BRIEF_FILE: text}
    if request.environment.by == "program":
        code = files("shiftwork.environments").joinpath("play_command.py").read_text(encoding="utf-8")
        written[PLAY_FILE] = f"#!/usr/bin/env python3\n{code}"
        written[PLACE_FILE] = json.dumps({"url": url, "token": token})
    write_files(folder, written)
    if PLAY_FILE in written:
        (folder / PLAY_FILE).chmod(0o700)


def render_play(request: PlayRequest, play: Path) -> str:
    """The brief in Markdown; `play`: where the agent finds the program."""
    environment = request.environment
    parts = [f"# Play {one_line(environment.name)}: episode {request.episode}", _SITUATION]
    if request.instruction:
        parts += ["## What you were told", printable(request.instruction)]
    parts += ["## The environment", *_about(environment), "## How to act", _acting(environment, play)]
    if request.steps:
        parts += ["## What was done before", _GOES_ON, _moves(request)]
    if environment.content:
        parts += ["## What you perceive now", fence(truncate(environment.content, _MOST_CHARACTERS))]
    parts += ["## What you can do now", _actions(environment), "## When it is over", _OVER]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(environment: EnvironmentBrief) -> list[str]:
    said = [printable(environment.description) or "Nothing more is said of it: find out."]
    if environment.agents:
        names = ", ".join(map(one_line, environment.agents))
        said.append(f"You play for all of these: {names}. Each observation says whose turn it is.")
    if environment.max_steps is not None:
        said.append(f"It is cut short after {environment.max_steps} actions.")
    return said


def _acting(environment: EnvironmentBrief, play: Path) -> str:
    if environment.by == "tool":
        return _TOOL.format(tool=environment.tool)
    return _PROGRAM.format(play=play, pad=" " * len(str(play)))


def _actions(environment: EnvironmentBrief) -> str:
    if not environment.actions:
        return "The environment tells it when you look."
    lines = []
    for action in environment.actions:
        said = f": {one_line(action.description)}" if action.description else ""
        lines.append(f"- `{one_line(action.name)}`{said}")
        if action.parameters:
            shown = json.dumps(action.parameters, ensure_ascii=False)
            lines.append(f"  (parameters, as JSON schema: `{one_line(truncate(shown, 2_000))}`)")
    return "\n".join(lines)


def _moves(request: PlayRequest) -> str:
    first = request.steps - len(request.moves) + 1
    lines = [f"(Steps 1 to {first - 1} are left out.)"] if first > 1 else []
    for number, move in enumerate(request.moves, start=first):
        came = f"reward {move.reward:g}" if move.success else f"refused: {one_line(move.error or '')}"
        given = json.dumps(move.parameters, ensure_ascii=False)
        lines.append(f"{number}. {one_line(move.action)} {truncate(given, 500)} → {came}")
    return fence("\n".join(lines))
