"""Rows as they leave the store: frozen, detached, and safe to send to another process."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from shiftwork.contracts.base import Message
from shiftwork.contracts.decision import DecisionOutcome, Judge
from shiftwork.contracts.feature import FeatureCategory, FeatureSpec, FeatureStatus, VerificationStep
from shiftwork.contracts.outbox import Handoff, Outbox
from shiftwork.contracts.project import ProjectOptions, ProjectStatus
from shiftwork.contracts.session import Failure, Role, SessionPhase


class ProjectRow(Message):
    """A project. Totals count every session and usage row; `not_before`: no session starts earlier."""

    id: str
    name: str
    description: str
    spec: str
    working_directory: str | None
    repository: str | None
    branch: str | None
    status: ProjectStatus
    status_reason: str
    options: ProjectOptions
    budget_usd: float | None
    not_before: datetime | None
    revision: int
    event_sequence: int
    total_sessions: int
    total_tokens: int
    total_cost_usd: float
    created_at: datetime
    updated_at: datetime


class FeatureRow(Message):
    """A feature: its definition and its control state.

    Attributes:
        attempts: attempts spent since the feature was added or last edited while blocked.
        runs: runs of an agent that reached an end of their own.
        kept_commit: work kept from an interrupted session.
        candidate: the commit of finished work that is not verified yet.
        waiting: whether `question` is open: the feature waits for a person.
        passed_commit: the landing with which it last became passing.
        judged: whether the project has a verifier, for steps without a command.
    """

    id: int
    project_id: str
    name: str
    description: str
    category: FeatureCategory
    priority: int
    depends_on: tuple[str, ...]
    verification_steps: tuple[VerificationStep, ...]
    status: FeatureStatus
    revision: int
    attempts: int
    runs: int
    kept_commit: str | None
    candidate: str | None
    waiting: bool
    question: str | None
    last_error: str | None
    last_failure: Failure | None
    blocked_reason: str | None
    passed_commit: str | None
    created_at: datetime
    updated_at: datetime
    judged: Annotated[bool, Field(exclude=True)] = False

    @property
    def spec(self) -> FeatureSpec:
        """The definition alone."""
        return FeatureSpec(
            name=self.name,
            description=self.description,
            category=self.category,
            priority=self.priority,
            depends_on=self.depends_on,
            verification_steps=self.verification_steps,
        )

    @property
    def problem(self) -> str | None:
        """Why verification can't ever pass this feature, in one sentence; None if it can."""
        if self.spec.verifiable or (self.judged and self.verification_steps):
            return None
        if self.judged:
            return f"Feature {self.name!r} can't be verified: give it verification steps."
        return (
            f"Feature {self.name!r} can't be verified: give it verification steps that each have a command, "
            "or a verifier."
        )


class SessionRow(Message):
    """A session.

    Attributes:
        working_memory: what its handoff left, unless that has expired.
        sandbox: the level that held its last agent, or `open` if the project wanted no confinement.
    """

    id: int
    project_id: str
    number: int
    feature_id: int | None
    role: Role
    phase: SessionPhase
    working_memory: Any
    memory_expires_at: datetime | None
    last_action: str
    recommended_next_action: str
    outcome: str | None
    error: str | None
    landed_commit: str | None
    sandbox: str = ""
    total_tokens: int
    total_cost_usd: float
    started_at: datetime
    ended_at: datetime | None

    @property
    def handoff(self) -> Handoff | None:
        """What this session left for the next, or None."""
        if self.working_memory is None:
            return None
        return Handoff.model_validate(
            {
                **self.working_memory,
                "last_action": self.last_action,
                "recommended_next_action": self.recommended_next_action,
            }
        )


class Attempt(Message):
    """An attempt that was just begun, with the token that lets it write."""

    attempt: int
    token: int


class AttemptRow(Message):
    """One execution of a session's agent.

    Attributes:
        base: the commit it started from.
        conversation: its program's own session; '' if there is none, or none is known yet.
    """

    session_id: int
    attempt: int
    host: str
    token: int
    base: str | None = None
    conversation: str = ""
    outcome: str | None
    candidate: str | None
    kept_commit: str | None
    outbox: Outbox | None
    started_at: datetime
    ended_at: datetime | None


class Totals(Message):
    """What was used, summed over usage rows."""

    sessions: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0

    @property
    def tokens(self) -> int:
        """Tokens of every class."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens


class Estimates(Message):
    """What of a sum is a guess: answers of a model whose tokens its provider did not tell."""

    calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0


class EventRow(Message):
    """Something that happened to a project; `sequence` orders them without gaps."""

    project_id: str
    sequence: int
    key: str | None
    kind: str
    actor: str
    reference: str
    data: dict[str, Any]
    at: datetime


class ProgressRow(Message):
    """A step of work."""

    id: int
    project_id: str
    session_id: int | None
    attempt: int
    sequence: int
    action: str
    outcome: str
    files_changed: tuple[str, ...]
    commit: str | None
    tokens: int
    created_at: datetime


class DecisionRow(Message):
    """A choice, why, and what became of it (`score` from -1 to 1).

    Attributes:
        session: the number of the session it was made in; None: a person recorded it.
        feature: the name of the feature that session worked on.
        lesson_by: whose lesson it is; a person may judge and leave the harness's lesson as it is.
    """

    id: int
    project_id: str
    session_id: int | None
    session: int | None = None
    feature: str | None = None
    context: str
    decision: str
    reasoning: str
    tags: tuple[str, ...]
    outcome: DecisionOutcome | None
    score: float | None
    lesson: str | None
    created_at: datetime
    judged_at: datetime | None
    judged_by: Judge | None = None
    lesson_by: Judge | None = None


class CheckpointRow(Message):
    """A landing; `passing` are the ids of the features that passed there."""

    id: int
    project_id: str
    commit: str
    session_id: int | None
    passing: tuple[int, ...]
    created_at: datetime


class EvidenceRow(Message):
    """What came of one verification step on one commit; `verdict` is `passed` or the kind of failure."""

    id: int
    session_id: int | None
    round: int
    feature_id: int
    step: int
    commit: str
    command: str | None
    exit_status: int | None
    output_digest: str
    output_tail: str
    duration_seconds: float
    verdict: str
    created_at: datetime


class TranscriptItem(Message):
    """One thing an agent said or did; `payload` is redacted before it gets here."""

    sequence: int
    kind: str
    payload: dict[str, Any] = {}


class TranscriptRow(TranscriptItem):
    """A stored transcript item."""

    session_id: int
    attempt: int
    at: datetime
