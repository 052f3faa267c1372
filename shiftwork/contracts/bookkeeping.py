"""Arguments and results of the activities that keep rows and main in step with a project's workflow."""

from datetime import datetime
from typing import Any

from pydantic import JsonValue

from shiftwork.contracts.base import Message
from shiftwork.contracts.feature import FeatureEdit, FeatureSpec
from shiftwork.contracts.messages import DecisionFeedback
from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.session import Role, Spent
from shiftwork.contracts.state import FeatureState
from shiftwork.contracts.workflow import SessionResult


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
