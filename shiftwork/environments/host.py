"""An environment in a process of its own: what hangs, dies or prints there harms nobody else.

It speaks lines of JSON with whoever started it (`shiftwork.environments.hosting`): the first line that it
reads is an `Order`; then it writes what happens, and waits for an answer where it needs one.
"""

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated, BinaryIO, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.play_state import play_of
from shiftwork.environments.playing import Diverged, Policy, RandomPolicy, ScriptedPolicy, fault_of, play
from shiftwork.environments.protocol import ActionResult, EpisodeStats, Observation
from shiftwork.environments.registry import load_environment, make_environment
from shiftwork.environments.trajectory import Choice, Step, Trajectory
from shiftwork.errors import EnvironmentFailed, ShiftworkError

MOST_LINE: Final = 16 * 1024 * 1024
"""Bytes of an observation, and of everything else that is told at once, as JSON."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Order(_Line):
    """What is to be played.

    Attributes:
        environment: its name, or `module:Class`.
        parameters: what it is made with.
        seed: of the episode.
        recorded: the steps that were taken before.
        spent: seconds that those lasted.
        most_steps: see `play`.
        player: who chooses: chance, a script, or who started us.
        script: of a `scripted` player.
    """

    environment: str
    parameters: dict[str, JsonValue] = {}
    seed: int
    recorded: tuple[Step, ...] = ()
    spent: float = 0.0
    most_steps: int | None = None
    player: Literal["random", "scripted", "asked"] = "random"
    script: tuple[Choice, ...] = ()


class Begun(_Line):
    """What is played; told once, before anything else.

    Attributes:
        name, description, agents, max_steps, timeout_seconds: see `BaseHarness`.
    """

    kind: Literal["begun"] = "begun"
    name: str
    description: str = ""
    agents: tuple[str, ...] = ()
    max_steps: int | None = None
    timeout_seconds: float | None = None


class Taken(_Line):
    """A step was taken, or refused; nothing more happens until `Kept` is the answer."""

    kind: Literal["taken"] = "taken"
    step: Step
    seconds: float


class Turn(_Line):
    """It is the player's turn; `Chosen` is the answer. `stats`: how the episode goes."""

    kind: Literal["turn"] = "turn"
    observation: Observation
    last: Step | None
    stats: EpisodeStats


class Over(_Line):
    """The episode is over; its steps were told before.

    Attributes:
        observation: the newest.
        trajectory: without its steps.
        fault: why it says nothing of the player, see `fault_of`.
    """

    kind: Literal["over"] = "over"
    observation: Observation
    trajectory: Trajectory
    fault: str | None = None


class Failed(_Line):
    """It could not be played; for `why` see `PlayFailed`."""

    kind: Literal["failed"] = "failed"
    why: Literal["missing", "invalid", "environment", "player"]
    error: str


class Kept(_Line):
    """The step is written."""

    kind: Literal["kept"] = "kept"


class Chosen(_Line):
    """What the player does; None: it stops."""

    kind: Literal["chosen"] = "chosen"
    choice: Choice | None


Told: Final[TypeAdapter[Begun | Taken | Turn | Over | Failed]] = TypeAdapter(
    Annotated[Begun | Taken | Turn | Over | Failed, Field(discriminator="kind")]
)


class _Wire:
    """Both ends of it; it blocks, as nothing else goes on meanwhile."""

    def __init__(self, reads: BinaryIO, writes: BinaryIO) -> None:
        self._reads = reads
        self._writes = writes

    def read(self) -> bytes:
        line = self._reads.readline()
        if not line:  # whoever started us is gone
            raise SystemExit(1)
        return line

    def write(self, line: _Line) -> None:
        """Raises `EnvironmentFailed`: what the environment tells can't be passed on."""
        self._writes.write(_told(line) + b"\n")
        self._writes.flush()


def _told(line: _Line) -> bytes:
    try:
        told = line.model_dump_json().encode()
    except PydanticSerializationError as error:
        raise EnvironmentFailed(
            "what it tells can't be written as JSON in UTF-8, as text that holds a lone surrogate (half of a "
            "character) can't: have the environment leave such characters out"
        ) from error
    if len(told) > MOST_LINE:
        raise EnvironmentFailed(
            f"what it tells at once takes {len(told):,} bytes as JSON, and may take {MOST_LINE:,}: have the "
            "environment show less in an observation"
        )
    return told


class _Asked:
    """A player who is asked over the wire."""

    def __init__(self, wire: _Wire, environment: BaseHarness) -> None:
        self._wire = wire
        self._environment = environment

    async def act(self, observation: Observation, history: Sequence[Step]) -> Choice | None:
        last, stats = history[-1] if history else None, self._environment.get_stats()
        self._wire.write(Turn(observation=observation, last=last, stats=stats))
        return Chosen.model_validate_json(self._wire.read()).choice


class _NotHere(ShiftworkError):  # noqa: N818 - it names what happened
    """There is no such environment here, or it can't be loaded."""


def _made(order: Order) -> BaseHarness:
    try:
        load_environment(order.environment)
    except ShiftworkError as error:
        raise _NotHere(str(error)) from error
    return make_environment(order.environment, order.parameters)


async def _play(order: Order, wire: _Wire) -> Over:
    environment = _made(order)
    newest: Observation | None = None
    wire.write(_begun(environment))

    async def keep(step: Step, result: ActionResult) -> None:
        nonlocal newest
        newest = result.observation
        wire.write(Taken(step=step, seconds=environment.get_stats().duration_seconds))
        Kept.model_validate_json(wire.read())

    try:
        trajectory = await play(
            environment,
            _policy(order, wire, environment),
            seed=order.seed,
            recorded=order.recorded,
            spent=order.spent,
            on_step=keep,
            most_steps=order.most_steps,
        )
    finally:
        await environment.shutdown()
    told = trajectory.model_copy(update={"steps": ()})
    seen = newest or play_of(environment).newest  # of one that was over with its last recorded step
    return Over(observation=seen, trajectory=told, fault=fault_of(trajectory))


def _begun(environment: BaseHarness) -> Begun:
    return Begun(
        name=environment.name,
        description=environment.description,
        agents=tuple(environment.agents),
        max_steps=environment.max_steps,
        timeout_seconds=environment.timeout_seconds,
    )


def _policy(order: Order, wire: _Wire, environment: BaseHarness) -> Policy:
    match order.player:
        case "random":
            return RandomPolicy(order.seed)
        case "scripted":
            return ScriptedPolicy(order.script)
        case "asked":
            return _Asked(wire, environment)


def _why(error: ShiftworkError) -> Literal["missing", "invalid", "environment"]:
    if isinstance(error, _NotHere):
        return "missing"
    return "environment" if isinstance(error, EnvironmentFailed | Diverged) else "invalid"


def main() -> None:
    """Play what is ordered."""
    wire = _Wire(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - for its descriptor alone
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # what an environment prints, or would read, is no line of ours
    try:
        order = Order.model_validate_json(wire.read())
        wire.write(asyncio.run(_play(order, wire)))
    except ShiftworkError as error:
        wire.write(Failed(why=_why(error), error=str(error).encode("utf-8", "replace").decode()))
    except ValidationError as error:
        wire.write(
            Failed(why="environment", error=f"its observation can't be told: {error.errors()[0]['msg']}")
        )


if __name__ == "__main__":
    main()
