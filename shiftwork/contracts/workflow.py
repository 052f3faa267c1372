"""What workflows are started with, and what they return."""

from datetime import datetime
from enum import StrEnum

from shiftwork.contracts.base import Message
from shiftwork.contracts.project import ProjectStatus, RetryOptions
from shiftwork.contracts.session import Failure, Interruption, InterruptionReason, Role, Spent
from shiftwork.contracts.state import ProjectState


class Timeouts(Message):
    """What the workflows need to know of the settings; in the history, so that replay sees the same."""

    heartbeat: float = 15.0
    retry_interval: float = 1.0
    workflow_task: float = 5.0
    history_limit: int = 2000
    """Events after which a project continues as new: far below the server's limits, and quick to replay."""


class ProjectStart(Message):
    """`state` None: load the project from rows and main."""

    project_id: str
    timeouts: Timeouts = Timeouts()
    state: ProjectState | None = None


class ProjectResult(Message):
    """How a project ended."""

    status: ProjectStatus
    reason: str = ""
    sessions_run: int = 0
    features_passing: int = 0
    total_features: int = 0


class SessionStart(Message):
    """One session.

    Attributes:
        agent: which of those that can play the role does (see `planning.casting.key`).
        verifier: who judges its steps that have no command.
        candidate: finished work that only needs verification.
    """

    project_id: str
    session: int
    role: Role = Role.SESSION
    agent: str = ""
    verifier: str = ""
    feature_id: int | None = None
    run: int = 0
    kept_commit: str | None = None
    candidate: str | None = None
    revision: int = 0
    session_timeout: float = 3600.0
    retry: RetryOptions = RetryOptions()
    timeouts: Timeouts = Timeouts()


class SessionStatus(StrEnum):
    """How a session ended."""

    PASSED = "passed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class SessionResult(Message):
    """What the project needs to know of a session that ended.

    Attributes:
        agent: who did it, as in `SessionStart`; of an interruption who was interrupted.
        attempt: the attempt whose outbox counts, or None if the agent did not run.
        ended_by_itself: the agent reached an end of its own, so the next run plays the next entry.
        candidate: finished work that was not verified because the session was interrupted.
        regressed: features that fail on main too, through no fault of this session.
        note: one sentence of the harness for people, when there is more to say than the failure's kind.
    """

    status: SessionStatus
    started_at: datetime
    agent: str = ""
    attempt: int | None = None
    ended_by_itself: bool = False
    landed: str | None = None
    candidate: str | None = None
    failure: Failure | None = None
    interruption: Interruption | None = None
    regressed: tuple[int, ...] = ()
    spent: Spent = Spent()
    note: str = ""


class Interrupt(Message):
    """Ends a session early, keeping its work."""

    reason: InterruptionReason = InterruptionReason.PAUSED
