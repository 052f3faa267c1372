"""Tools by which an agent plays in environments, step by step; they need no stack."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from mcp import types
from pydantic import Field, JsonValue, ValidationError, model_validator

from client.environments import Environment, installed_environments
from client.mcp.room import Room
from client.tools.definition import Offer
from client.tools.evaluation_arguments import EnvironmentName
from client.tools.results import Done, Result
from client.tools.taking import Arguments
from client.wording import first_problem, unexpected
from shiftwork.contracts.environment_check import check_no_file
from shiftwork.contracts.episode import MOST_SEED
from shiftwork.environments.host import Order
from shiftwork.environments.protocol import ActionDefinition, EpisodeStats, Observation
from shiftwork.environments.registry import check_name
from shiftwork.environments.shown import MOST_IMAGE, bounded, bounded_actions, bounded_mapping
from shiftwork.environments.tool_result import image_of
from shiftwork.environments.trajectory import Choice
from shiftwork.errors import InvalidInput, ShiftworkError
from shiftwork.text import printable_json

if TYPE_CHECKING:
    from shiftwork.environments.interactive import Position


@dataclass(frozen=True, slots=True)
class RoomTool(Offer):
    """A tool that works on the episodes of one client.

    Attributes:
        work: takes the room and an instance of `arguments`; raises `ShiftworkError` with one sentence.
    """

    work: Callable[[Room, Any], Awaitable[Result]]

    async def do(self, room: Room, given: Mapping[str, Any]) -> Result:
        """Carry it out.

        Raises:
            ShiftworkError: one sentence, whatever went wrong.
        """
        try:
            asked = self.arguments.model_validate(dict(given))
        except ValidationError as error:
            raise InvalidInput(f"{first_problem(error, self.arguments)}.") from error
        try:
            return await self.work(room, asked)
        except ShiftworkError:
            raise
        except Exception as error:  # outermost frame of a tool: a model is told a sentence, not our frames
            raise ShiftworkError(unexpected(error)) from error


class NoArguments(Arguments):
    """Nothing is asked."""


class StartEpisode(Arguments):
    """What is played."""

    environment: EnvironmentName
    seed: Annotated[
        int | None,
        Field(
            ge=0, le=MOST_SEED, description="The same number makes the same episode; leave it out for any."
        ),
    ] = None
    parameters: Annotated[
        dict[str, JsonValue] | None,
        Field(description="What the environment is made with, by name; list_environments shows it."),
    ] = None

    @model_validator(mode="after")
    def _reads_no_file(self) -> Self:
        check_no_file(self.environment, self.parameters or {})
        return self


class OfEpisode(Arguments):
    """Which episode."""

    session_id: Annotated[
        str, Field(min_length=1, max_length=100, description="The session_id that start_episode answered.")
    ]


class HarnessStep(OfEpisode):
    """An action."""

    action: Annotated[
        str,
        Field(min_length=1, max_length=200, description="The name of one of the `available_actions`."),
    ]
    parameters: Annotated[
        dict[str, JsonValue] | None, Field(description="What the action takes, by name.")
    ] = None


class EnvironmentList(Result):
    """Every environment that can be played; `problems` tells of those that can't."""

    environments: list[Environment]
    problems: list[str]


class Seen(Result):
    """Where an episode stands, and what may be done."""

    session_id: str
    content: JsonValue
    content_type: str
    available_actions: list[ActionDefinition]
    metadata: dict[str, JsonValue]
    turn_of: str | None
    reward: float | None
    rewards: dict[str, float]
    done: bool
    terminated: bool
    truncated: bool
    ending: str | None
    seed: int | None
    steps: int


class Stats(Result):
    """How an episode goes, or went."""

    session_id: str
    ending: str | None
    stats: EpisodeStats


async def list_environments(room: Room, asked: NoArguments) -> EnvironmentList:
    """What is installed here."""
    del room, asked
    found = await asyncio.to_thread(installed_environments)
    return EnvironmentList(environments=found.environments, problems=found.problems)


async def start_episode(room: Room, asked: StartEpisode) -> Seen:
    """Begin an episode."""
    await asyncio.to_thread(check_name, asked.environment, by_path=False)
    order = Order(
        environment=asked.environment,
        parameters=asked.parameters or {},
        seed=secrets.randbelow(MOST_SEED + 1) if asked.seed is None else asked.seed,
        player="asked",
    )
    session_id, episode = await room.begin(order)
    return _seen(session_id, episode.position)


async def harness_step(room: Room, asked: HarnessStep) -> Seen:
    """Take an action; one that is refused raises `InvalidInput`, and the episode is as it was."""
    choice = Choice(action=asked.action, parameters=asked.parameters or {})
    position = await room.find(asked.session_id).step(choice)
    if position.last is not None and not position.last.success:
        raise InvalidInput(position.last.error or "The action was not taken.")
    return _seen(asked.session_id, position)


async def harness_observe(room: Room, asked: OfEpisode) -> Seen:
    """Look again."""
    return _seen(asked.session_id, room.find(asked.session_id).position)


async def harness_stats(room: Room, asked: OfEpisode) -> Stats:
    """How it goes."""
    return _stats(asked.session_id, room.find(asked.session_id).position)


async def end_episode(room: Room, asked: OfEpisode) -> Done:
    """End and forget an episode."""
    await room.end(asked.session_id)
    return Done(message="The episode is ended.")


def _seen(session_id: str, position: "Position") -> Seen:
    seen, last = position.observation, position.last
    acted = last is not None and last.success
    offered = [] if position.ending else [each.model_dump(mode="json") for each in seen.available_actions]
    actions = bounded_actions(offered)
    there = len(actions.pop("available_actions"))
    return Seen(
        session_id=session_id,
        content=_content(seen),
        content_type=seen.content_type,
        available_actions=seen.available_actions[:there],
        metadata={**bounded_mapping(seen.metadata), **actions},
        turn_of=seen.agent,
        reward=last.reward if last and acted else None,
        rewards=last.rewards if last and acted else {},
        done=position.ending is not None,
        terminated=seen.terminated,
        truncated=seen.truncated,
        ending=position.ending,
        seed=position.stats.seed,
        steps=position.stats.total_steps,
    )


def shown(answer: Result) -> types.CallToolResult:
    """As a client takes it: an image as one, and not in letters."""
    told = answer.model_dump(mode="json")
    content: list[types.ContentBlock] = []
    is_image = isinstance(answer, Seen) and answer.content_type == "image"
    if is_image and (image := image_of(str(told["content"]))) is not None:
        content.append(types.ImageContent(type="image", data=image[0], mimeType=image[1]))
        told["content"] = "(the image)"
    content.insert(0, types.TextContent(type="text", text=printable_json(told)))
    return types.CallToolResult(content=content, structuredContent=told)


def _content(seen: Observation) -> JsonValue:
    """What a model could not read on is cut, and that is said."""
    if seen.content_type != "image":
        told: JsonValue = bounded(seen.content)
        return told
    size = len(str(seen.content))
    return seen.content if size <= MOST_IMAGE else f"(an image of {size} characters, too large to show)"


def _stats(session_id: str, position: "Position") -> Stats:
    return Stats(session_id=session_id, ending=position.ending, stats=position.stats)


ROOM_TOOLS = (
    RoomTool(
        "list_environments",
        "List environments",
        "List the environments (games, puzzles, coding challenges, simulations) that can be played here, "
        "with what each is made with and what can be done in it.",
        NoArguments,
        EnvironmentList,
        list_environments,
        reads=True,
    ),
    RoomTool(
        "start_episode",
        "Start an episode",
        "Begin to play in an environment. The answer holds a session_id for the other tools, an observation, "
        "and the available_actions; take one with harness_step until `done` is true. An episode that nobody "
        "plays on is ended after a quarter of an hour, and with the connection.",
        StartEpisode,
        Seen,
        start_episode,
    ),
    RoomTool(
        "harness_step",
        "Take an action",
        "Take one of the available_actions of an episode. The answer holds its reward, the new observation, "
        "and what may be done then. One that is refused is an error, and leaves the episode as it was.",
        HarnessStep,
        Seen,
        harness_step,
    ),
    RoomTool(
        "harness_observe",
        "Look again",
        "Show the newest observation of an episode again; changes nothing.",
        OfEpisode,
        Seen,
        harness_observe,
        reads=True,
    ),
    RoomTool(
        "harness_stats",
        "Tell how an episode goes",
        "Tell steps, total reward and refused actions of an episode, and whether it is a success by now.",
        OfEpisode,
        Stats,
        harness_stats,
        reads=True,
    ),
    RoomTool(
        "end_episode",
        "End an episode",
        "End an episode and forget it; others can be started then.",
        OfEpisode,
        Done,
        end_episode,
        interrupts=True,
    ),
)


def offered_in_room(*, read_only: bool) -> tuple[RoomTool, ...]:
    """The tools; with `read_only`, the list alone: to play runs code."""
    return ROOM_TOOLS[:1] if read_only else ROOM_TOOLS
