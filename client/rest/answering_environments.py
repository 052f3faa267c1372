"""What answers about evaluations and episodes hold."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field, JsonValue

from client.environments import Environment
from client.evaluating import Result, player_name
from client.rest.pages import Page
from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus, EvaluationSpec
from shiftwork.contracts.task import TaskUsage
from shiftwork.environments.trajectory import Ending
from shiftwork.store.episodes import EpisodeRow, StepRow
from shiftwork.store.evaluations import EvaluationRow


class EnvironmentPage(Page[Environment]):
    """Some of the environments."""

    problems: list[str] = Field(description="A sentence on each that can't be used.")
    bridges: list[str] = Field(description="Packages whose environments there are too, as PACKAGE/NAME.")


class Tally(BaseModel):
    """How many episodes stand where."""

    created: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0


class Interval(BaseModel):
    """A figure of the episodes that were played, and where it lies for all with 95 % confidence."""

    value: float
    low: float | None = Field(description="Null where there is too little to tell, as of one episode.")
    high: float | None = Field(description="Null as well.")


class EvaluationLine(BaseModel):
    """An evaluation: what is played, by whom, and how far it is."""

    id: int
    uuid: str
    status: EpisodeStatus
    environment: str
    player: str = Field(description="Who plays, in a few words.")
    spec: EvaluationSpec
    episodes: Tally
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def line(cls, row: EvaluationRow, tally: dict[EpisodeStatus, int]) -> "EvaluationLine":
        """The row's line."""
        told = {status.value: number for status, number in tally.items()}
        return EvaluationLine(**_plain(row), player=player_name(row), episodes=Tally(**told))


class Evaluation(EvaluationLine):
    """An evaluation, and what it comes to so far: of the episodes that were played to their end."""

    success: Interval | None = Field(description="Share of successes; Wilson's interval.")
    reward: Interval | None = Field(description="Mean of an episode; Student's interval.")
    steps: Interval | None = Field(description="Mean of an episode; Student's interval.")
    truncated: int | None = Field(description="How many episodes were cut short.")
    refused: float | None = Field(description="Mean number of refused actions of an episode.")
    usage: TaskUsage | None = Field(description="What the players spent on models; null: they have none.")

    @classmethod
    def of(cls, result: Result) -> "Evaluation":
        """The result."""
        return cls.model_validate(result.facts())


class Episode(BaseModel):
    """One play; what it earned and how it ended is there once it has: a failed one, what its steps earned."""

    id: int
    evaluation_id: int
    number: int
    seed: int
    status: EpisodeStatus
    ending: Ending | None
    success: bool
    terminated: bool
    truncated: bool
    reproducible: bool
    total_reward: float | None
    total_steps: int
    refused_actions: int
    rewards: dict[str, float] | None
    seconds: float | None
    usage: TaskUsage | None
    error: str | None
    error_kind: EpisodeErrorKind | None
    worker: str
    sandbox: str
    attempt: int
    worker_stops: int = Field(description="How many attempts a worker gave back that was told to stop.")
    played_seconds: float = Field(description="How long it had been played when the last of those was.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, row: EpisodeRow) -> "Episode":
        """The row, without what is its worker's alone."""
        return cls.model_validate(row.model_dump(exclude={"token"}))


class EpisodeStep(BaseModel):
    """An action that was chosen, and what came of it."""

    number: int
    agent: str | None
    action: str
    parameters: dict[str, JsonValue]
    success: bool
    reward: float
    rewards: dict[str, float]
    error: str | None
    fault: bool = Field(description="Whether it failed inside the environment.")
    broken: bool = Field(description="Whether the environment could not be put back after it.")
    observation: str = Field(description="Digest of what was perceived after it.")
    terminated: bool
    truncated: bool
    seconds: float = Field(description="Since the episode began.")

    @classmethod
    def of(cls, row: StepRow) -> "EpisodeStep":
        """The row."""
        return cls.model_validate(row.model_dump())


def _plain(row: EvaluationRow) -> dict[str, Any]:
    return row.model_dump(exclude={"player", "request_key"})
