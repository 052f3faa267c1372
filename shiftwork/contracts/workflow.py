"""What workflows are started with, what they return, and the messages people send them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, JsonValue

from shiftwork.contracts.base import Message, Text
from shiftwork.contracts.decision import DecisionOutcome
from shiftwork.contracts.feature import FeatureEdit, FeatureSpec, FeatureStatus
from shiftwork.contracts.project import AgentPlace, PauseMode, ProjectStatus, RetryOptions
from shiftwork.contracts.session import Failure, Interruption, InterruptionReason, Role, Spent
from shiftwork.contracts.state import FeatureState, ProjectState


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


class PauseRequest(Message):
    """Pause after the running sessions, or at once with their work kept."""

    mode: PauseMode = "after_session"
    reason: Text = ""
    actor: str = ""


class ResumeRequest(AgentPlace):
    """Go on; `max_sessions` and `autorun` replace those options when given.

    Attributes:
        agent_settings: settings of the agent at this place from now on, over those that it has; one that is
            None goes.
    """

    max_sessions: Annotated[int, Field(ge=1)] | None = None
    autorun: bool | None = None
    agent_settings: dict[str, JsonValue] = {}
    actor: str = ""


class AbandonRequest(Message):
    """End the project for good; the reason is kept and shown."""

    reason: Text = ""
    actor: str = ""


class SteerRequest(Message):
    """Guidance for the sessions to come, of one feature or of all."""

    text: Annotated[Text, Field(min_length=1)]
    feature: str | None = None
    actor: str = ""


class AddFeature(Message):
    """A feature a person adds."""

    feature: FeatureSpec
    actor: str = ""


class RunSession(Message):
    """One session now: of this feature (name or id), or of the one that is next."""

    feature: str | None = None
    actor: str = ""


class SetFeatureStatus(Message):
    """A status that a person gives a feature; `passing` asks for verification of what is on main."""

    feature: str
    status: FeatureStatus
    reason: Text = ""
    actor: str = ""


class CheckpointRequest(Message):
    """Make the tip of main a checkpoint, with what passes there; `passing` is filled in by the workflow."""

    project_id: str = ""
    passing: tuple[int, ...] = ()
    note: Text = ""
    actor: str = ""


class Answer(Message):
    """The answer to a feature's question."""

    feature: str
    text: Annotated[Text, Field(min_length=1)]
    actor: str = ""


class Revert(Message):
    """Take main back to a checkpoint, forward in history. `consent`: commits of people may be undone."""

    commit: Annotated[str, Field(min_length=4, max_length=64)]
    consent: bool = False
    actor: str = ""


class DecisionFeedback(Message):
    """What became of a decision; the score is clamped to −1…1."""

    decision_id: int
    outcome: DecisionOutcome
    score: float = 0.0
    lesson: Text = ""
    actor: str = ""


class SetBudget(Message):
    """What the project may cost in US dollars; None: no limit."""

    budget_usd: Annotated[float, Field(ge=0)] | None = None
    actor: str = ""


class EventDraft(Message):
    """An event on its way to the rows; `key` makes it happen once."""

    kind: str
    key: str
    actor: str = ""
    reference: str = ""
    data: dict[str, Any] = {}


class SaveRequest(Message):
    """Control state on its way to the rows: the project's own, and that of the listed features.

    `edits` are applied first, under `revision` − 1. `options` are merged into those of the row.
    """

    project_id: str
    revision: int
    status: ProjectStatus
    reason: str = ""
    not_before: datetime | None = None
    budget_usd: float | None = None
    options: dict[str, Any] | None = None
    features: tuple[FeatureState, ...] = ()
    edits: tuple[FeatureEdit, ...] = ()
    events: tuple[EventDraft, ...] = ()


class SaveResult(Message):
    """`problem`: what of it could not be written, and why, in one sentence; '' if everything was."""

    problem: str = ""


class SecretsRequest(Message):
    """Look for secrets that only a worker knows: in an edit, in words or in settings.

    `what` begins the sentence about words.
    """

    what: str = ""
    words: str = ""
    settings: dict[str, JsonValue] = {}
    edit: FeatureEdit | None = None


class RecordRequest(Message):
    """A session that ended, with the control state that follows from it: one transaction."""

    session: int
    feature_id: int | None = None
    role: Role = Role.SESSION
    result: SessionResult
    save: SaveRequest


class RecordResult(Message):
    """What the rows and the user's repository say after a session.

    Attributes:
        spent: of the whole project, all attempts.
        people_commit: a tip of the people's branch that main does not contain.
        problem: see `SaveResult`.
    """

    spent: Spent = Spent()
    people_commit: str | None = None
    problem: str = ""


class ImportRequest(Message):
    """Bring people's commits into main."""

    project_id: str
    commit: str
    revision: int = 0


class ImportResult(Message):
    """`landed` None: nothing to do. `broken`: passing features that fail now; `paths`: files in conflict."""

    landed: str | None = None
    broken: tuple[int, ...] = ()
    conflict: bool = False
    paths: int = 0


class RevertRequest(Message):
    """Revert, keyed by the update's id so that it happens once."""

    project_id: str
    commit: str
    operation: str
    at: datetime
    consent: bool = False


class RevertResult(Message):
    """`passing`: ids of the features that passed at the checkpoint. `refused`: why nothing was done."""

    commit: str | None = None
    passing: tuple[int, ...] = ()
    known: tuple[int, ...] = ()
    undone: int = 0
    refused: str | None = None


class AdoptPlan(Message):
    """Turn the plan that an attempt left into features."""

    project_id: str
    session: int
    revision: int


class AddFeatureRequest(Message):
    """Insert one feature; the same name again returns the one that is there."""

    project_id: str
    feature: FeatureSpec
    revision: int
    actor: str = ""


class FeatureStates(Message):
    """Features as the rows have them; `problem`: why there are none, in one sentence."""

    features: tuple[FeatureState, ...] = ()
    problem: str = ""


class ProjectRef(Message):
    """A project, by id."""

    project_id: str


class FeedbackRequest(Message):
    """Feedback on a decision of this project; `operation` names the update, which is told of once."""

    project_id: str
    feedback: DecisionFeedback
    operation: str = ""
