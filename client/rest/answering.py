"""What answers about projects hold, where that is not a row as it is."""

import asyncio
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field, PrivateAttr, computed_field

from client.standing import CurrentSession, OpenQuestion
from client.telling import as_json, tell
from shiftwork.contracts.project import ProjectStatus
from shiftwork.store.rows import EventRow, FeatureRow, TranscriptRow
from shiftwork.verification.flaws import decided_already, unreadable_step


class ProgressLine(BaseModel):
    """A step of work."""

    at: datetime
    session: int | None
    action: str
    outcome: str
    commit: str | None


class Estimated(BaseModel):
    """What of the sums is a guess."""

    calls: int
    tokens: int
    cost_usd: float


class Standing(BaseModel):
    """Where a project stands."""

    project_id: str
    name: str
    status: ProjectStatus
    reason: str
    total_features: int
    passing_features: int
    progress_percent: float
    feature_breakdown: dict[str, int] = Field(description="How many features are in each status.")
    recent_progress: list[ProgressLine]
    current_sessions: list[CurrentSession]
    questions: list[OpenQuestion]
    not_before: datetime | None = Field(description="No session starts earlier.")
    sessions: int
    tokens: int
    cost_usd: float
    budget_usd: float | None
    estimated: Estimated
    repository: str | None
    branch: str | None
    updated_at: datetime


class CreatedProject(BaseModel):
    """A project that was made."""

    project_id: str
    name: str
    repository: str | None
    branch: str | None
    started: bool


class Taken(BaseModel):
    """What was asked for is kept, and done as soon as a worker takes it; an event tells that it did."""

    project_id: str
    after: int = Field(description="The project's newest event by then: what comes of it has a later one.")


_WARNING = (
    "Which of its steps checks nothing, or can't pass, whatever there is, or (told who adds or changes it) "
    "can't be read by the shell; null if there is none."
)


class Feature(FeatureRow):
    """A feature: its definition and where it stands."""

    @computed_field(description="Why verification can't ever pass it; null if it can.")  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def problem(self) -> str | None:
        """As its row says."""
        return super().problem

    _unreadable: str | None = PrivateAttr(None)

    @computed_field(description=_WARNING)  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def warning(self) -> str | None:
        """As a sentence; the feature is taken all the same, as people decide what is enough."""
        return self._unreadable or decided_already(self.spec)

    @classmethod
    def of(cls, row: FeatureRow) -> "Feature":
        """The row."""
        return cls.model_validate(row, from_attributes=True)

    async def looked_at(self) -> "Feature":
        """The same, once a shell was asked to read its commands: for who has just given them."""
        self._unreadable = await asyncio.to_thread(unreadable_step, self.spec)
        return self


class BegunSession(BaseModel):
    """A session that will run."""

    project_id: str
    number: int


class Checkpoint(BaseModel):
    """A commit that one can go back to."""

    project_id: str
    commit: str


class Reverted(BaseModel):
    """What became of a revert."""

    commit: str | None = Field(description="The commit that undoes what came after the checkpoint.")
    passing: list[int] = Field(description="Ids of the features that passed there.")


class Event(BaseModel):
    """Something that happened; `sequence` orders a project's events without gaps."""

    project_id: str
    sequence: int
    kind: str
    actor: str
    reference: str
    data: dict[str, Any]
    at: datetime
    text: str = Field(description="The event in one line, for people.")

    @classmethod
    def of(cls, row: EventRow) -> "Event":
        """The row, and its sentence."""
        return cls(**as_json(row), text=tell(row))


class Events(BaseModel):
    """Events, oldest first."""

    items: list[Event]
    next_after: int = Field(description="`after` of the next page.")
    more: bool = Field(description="Whether there are later ones already.")


class Transcript(BaseModel):
    """What an agent said and did, oldest first."""

    items: list[TranscriptRow]
    next_after: str = Field(description="`after` of the next page.")
    more: bool = Field(description="Whether there is more already.")


class Prompt(BaseModel):
    """What agents are told of a role."""

    role: str
    version: int | str
    text: str


class Report(BaseModel):
    """Everything there is to tell of a project."""

    version: int
    project: dict[str, Any]
    status: dict[str, Any]
    features: list[dict[str, Any]]
    sessions: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    checkpoints: list[dict[str, Any]]
    events: list[dict[str, Any]]


class Health(BaseModel):
    """Whether the server runs."""

    status: str = Field(examples=["ok"])
    stack: bool = Field(description="Whether it knows of a stack that runs.")
