"""What the agent that plays an episode is told of it."""

import re

from activities.players import Seat
from shiftwork.agents.player_brief import MOST_MOVES, EnvironmentBrief, Move, PlayRequest
from shiftwork.environments.host import Begun
from shiftwork.environments.play_command import perceived
from shiftwork.environments.protocol import Observation
from shiftwork.environments.turns import Turns

_NO_WORD = re.compile(r"[^A-Za-z0-9_-]")
_MOST_NAME = 64
"""Characters that providers allow in the name of a tool."""


def play_request(seat: Seat, begun: Begun, turns: Turns, *, run: int, by_tool: bool) -> PlayRequest:
    """What one agent is told.

    The seed is not part of it: who knows that, and has the environment's code, knows all that it hides.

    Args:
        run: how many agents played the episode before.
        by_tool: whether it acts by a tool of its own program.
    """
    seen = turns.seen or Observation()
    return PlayRequest(
        agent=begun.name,
        episode=seat.episode,
        run=run,
        instruction=seat.spec.player.instruction,
        environment=EnvironmentBrief(
            name=begun.name,
            description=begun.description,
            agents=begun.agents,
            max_steps=_fewer(begun.max_steps, seat.spec.max_steps),
            content="\n".join(perceived(seen.model_dump(mode="json"))),
            actions=tuple(seen.available_actions),
            by="tool" if by_tool else "program",
            tool=tool_name(begun.name) if by_tool else "",
        ),
        steps=len(turns.history),
        moves=tuple(
            Move(**step.model_dump(include=set(Move.model_fields))) for step in turns.history[-MOST_MOVES:]
        ),
    )


def tool_name(environment: str) -> str:
    """What the tool is called by which an environment is played."""
    return f"harness_{_NO_WORD.sub('_', environment)}"[:_MOST_NAME]


def _fewer(one: int | None, other: int | None) -> int | None:
    given = [each for each in (one, other) if each is not None]
    return min(given, default=None)
