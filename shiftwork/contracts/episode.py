"""Episodes: plays of an environment by an agent, and evaluations, which are many of them."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, JsonValue, model_validator

from shiftwork.contracts.agent import RunLimits
from shiftwork.contracts.base import Document, Message
from shiftwork.contracts.project import AgentOptions
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.contracts.workflow import Timeouts

MOST_EPISODES: Final = 10_000
MOST_SEED: Final = 2**31 - 1
"""What environments of the field take."""


class EpisodeStatus(StrEnum):
    """Where an episode, or an evaluation, stands."""

    CREATED = "created"
    """Nobody has begun to play it."""
    RUNNING = "running"
    COMPLETED = "completed"
    """It was played to its end, whatever that was."""
    FAILED = "failed"
    """It could not be played, or not to its end."""

    @property
    def ended(self) -> bool:
        """Whether it stays like this."""
        return self in (EpisodeStatus.COMPLETED, EpisodeStatus.FAILED)


class EpisodeErrorKind(StrEnum):
    """Why an episode failed."""

    INVALID = "invalid"
    """There is no such environment or player, or not with these parameters."""
    ENVIRONMENT = "environment"
    """It could not begin, died, broke, failed again and again, or did not do again what is recorded of it."""
    PLAYER = "player"
    """Who plays died, or said what can't be understood."""
    TIMEOUT = "timeout"
    BUDGET = "budget"
    RATE_LIMITED = "rate_limited"
    """The model of an agent that plays wants no more questions for a while."""
    UNAVAILABLE = "unavailable"
    """The provider of that model is overloaded or out of reach."""
    AUTHENTICATION = "authentication"
    """That provider refuses the credentials."""
    REJECTED = "rejected"
    """That provider accepts no request, as for a model that it does not know."""
    CANCELLED = "cancelled"
    LOST = "lost"
    """Its workers were lost more often than it may be retried, or Temporal was told to end it."""


class PlayerKind(StrEnum):
    """Who plays."""

    RANDOM = "random"
    """Chance, made from the episode's seed."""
    SCRIPTED = "scripted"
    """A list of actions."""
    COMMAND = "command"
    """A program that reads observations, and writes actions, a line of JSON each."""
    AGENT = "agent"
    """An agent of any backend, which acts by a command or a tool that it is given."""


class ScriptedAction(Document):
    """An action of a script."""

    action: str
    parameters: dict[str, JsonValue] = {}


class Player(Document):
    """Who plays an episode.

    Attributes:
        kind: see `PlayerKind`.
        script: the actions of a `scripted` one, in order.
        command: the shell command of a `command`; it runs in the sandbox.
        answer_timeout: seconds in which a `command` has to answer each turn.
        agent: the backend of an `agent`, and its settings.
        instruction: what an `agent` is told beyond how to play.
        max_cost_usd: what an `agent` may spend in one episode; None: as much as it likes.
    """

    kind: PlayerKind = PlayerKind.RANDOM
    script: Annotated[tuple[ScriptedAction, ...], Field(max_length=100_000)] = ()
    command: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    answer_timeout: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    agent: AgentOptions | None = None
    instruction: Annotated[str, Field(max_length=20_000)] = ""
    max_cost_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        for kind, field, given in (
            (PlayerKind.SCRIPTED, "script", bool(self.script)),
            (PlayerKind.COMMAND, "command", self.command is not None),
            (PlayerKind.AGENT, "agent", self.agent is not None),
        ):
            if self.kind is kind and not given:
                raise ValueError(f"a player of kind {kind.value!r} needs {field!r}")
            if self.kind is not kind and given:
                raise ValueError(
                    f"{field!r} is for players of kind {kind.value!r}, and this is {self.kind.value!r}"
                )
        return self


class EpisodeSpec(Document):
    """What is played, by whom.

    Attributes:
        environment: its name, or its class as `module:Class`.
        parameters: what it is made with.
        player: who plays.
        max_steps: after so many actions, refused ones included, the player is stopped; None: never.
        timeout: seconds for which an episode may be played, its environment's own limits aside; time in which
            no worker plays it does not count.
        retries: how often an episode is taken up again whose worker was lost.
        limits: what the processes of a player may use.
        sandbox: what they may touch.
        environment_limits: what the environment's own process may use; its memory is limited in any case.
    """

    environment: Annotated[str, Field(min_length=1, max_length=300)]
    parameters: dict[str, JsonValue] = {}
    player: Player = Player()
    max_steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    timeout: Annotated[float, Field(gt=0, le=7 * 86_400)] = 3_600.0
    retries: Annotated[int, Field(ge=0, le=1_000)] = 20
    limits: RunLimits = RunLimits()
    sandbox: SandboxOptions = SandboxOptions()
    environment_limits: RunLimits = RunLimits()


class EvaluationSpec(EpisodeSpec):
    """Many episodes of the same kind.

    Attributes:
        episodes: how many.
        seed: of the first one; each further one has the next number.
        parallel: how many are played at once.
    """

    episodes: Annotated[int, Field(ge=1, le=MOST_EPISODES)] = 1
    seed: Annotated[int, Field(ge=0, le=MOST_SEED)] = 0
    parallel: Annotated[int, Field(ge=1, le=64)] = 1

    @model_validator(mode="after")
    def _every_episode_has_a_seed(self) -> Self:
        last = self.seed + self.episodes - 1
        if last > MOST_SEED:
            raise ValueError(
                f"the last of {self.episodes} episodes would have the seed {last}, and seeds go up to "
                f"{MOST_SEED}"
            )
        return self


class EpisodeStart(Message):
    """The input of the workflow of one episode; its row exists.

    Attributes:
        timeout: seconds for which it may be played, by all attempts together.
    """

    episode_id: int
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3_600.0
    timeouts: Timeouts = Timeouts()


class EpisodeGivenUp(Message):
    """An episode that no attempt ends any more, and why: for its row, if that is still open."""

    episode_id: int
    error: str
    error_kind: EpisodeErrorKind


class EpisodeEnd(Message):
    """How an episode ended."""

    episode_id: int
    status: EpisodeStatus
    error_kind: EpisodeErrorKind | None = None


class EvaluationStart(Message):
    """The input of the workflow of an evaluation; its rows exist.

    Attributes:
        episodes: those that have not ended, in order.
        parallel: how many are played at once.
        batch: how many one history holds; the next begins where it ends.
        timeout: see `EpisodeStart`.
    """

    evaluation_id: int
    episodes: tuple[int, ...]
    parallel: int = 1
    batch: Annotated[int, Field(ge=1)] = 200
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3_600.0
    timeouts: Timeouts = Timeouts()


class EvaluationMove(Message):
    """Another status for an evaluation."""

    evaluation_id: int
    status: EpisodeStatus


class EvaluationEnd(Message):
    """How an evaluation ended: `completed` if every episode has, also those that could not be played."""

    evaluation_id: int
    status: EpisodeStatus
