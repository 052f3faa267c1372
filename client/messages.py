"""What people tell a project: signals and updates; each starts the workflow from its rows if need be."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue, ValidationError
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.exceptions import ActivityError, ApplicationError

from client.connection import CLOSED, Connection, actor
from client.temporal_errors import answering
from client.vetting import vet_options
from client.wording import first_problem
from shiftwork.contracts.bookkeeping import RevertResult
from shiftwork.contracts.feature import FeatureCategory, FeatureEdit, FeatureSpec, FeatureStatus
from shiftwork.contracts.messages import (
    AbandonRequest,
    AddFeature,
    Answer,
    CheckpointRequest,
    DecisionFeedback,
    PauseRequest,
    ResumeRequest,
    Revert,
    RunSession,
    SetBudget,
    SetFeatureStatus,
    SteerRequest,
)
from shiftwork.contracts.project import AgentPlace, PauseMode, ProjectStatus
from shiftwork.contracts.session import Role
from shiftwork.contracts.updates import (
    ADD_DECISION_FEEDBACK,
    ADD_FEATURE,
    ANSWER,
    CHECKPOINT,
    EDIT_FEATURE,
    REVERT_TO_CHECKPOINT,
    RUN_SESSION,
    SET_BUDGET,
    SET_FEATURE_STATUS,
    Answered,
    Asked,
    Update,
)
from shiftwork.errors import Conflict, InvalidInput, NotFound, ShiftworkError
from shiftwork.planning.mending import with_settings
from shiftwork.secrets.refusing import refuse_in_feature, refuse_in_words
from shiftwork.store.rows import ProjectRow
from shiftwork.temporal import PROJECT_WORKFLOW

_ERRORS = {kind.__name__: kind for kind in (InvalidInput, NotFound, Conflict)}


class Messages(Connection):
    """Signals and updates."""

    async def pause(self, ref: str, *, mode: PauseMode = "after_session", reason: str = "") -> None:
        """Pause after the running sessions, or at once with their work kept."""
        refuse_in_words("The reason", reason, await self.guard())
        request = PauseRequest(mode=mode, reason=reason, actor=actor())
        await self._signal(ref, "pause", request, closed="paused")

    async def resume(
        self,
        ref: str,
        *,
        max_sessions: int | None = None,
        autorun: bool | None = None,
        agent_settings: Mapping[str, JsonValue] | None = None,
        role: Role | None = None,
        category: FeatureCategory | None = None,
        fallback: int | None = None,
    ) -> None:
        """Go on after a pause; also brings a project back whose workflow was lost.

        Args:
            agent_settings: settings of the project's agent from now on, over those that it has; one that is
                None goes. Its backend stays what it is.
            role: whose settings these are, if not those of the project's own agent; or
            category: of whose features' own agent they are.
            fallback: of which of that agent's fallbacks they are, the first is 1.

        Raises:
            InvalidInput: the agent could not work with these settings, or they hold a secret.
        """
        project = await self._changeable(ref, "resumed")
        settings = dict(agent_settings or {})
        place = AgentPlace(role=role, category=category, fallback=fallback)
        if settings:
            vet_options(with_settings(project.options, settings, place), await self.guard())
        elif said := ", ".join(place.model_dump(exclude_none=True)):
            raise InvalidInput(f"{said}: says whose settings to change; give some, too.")
        request = ResumeRequest(
            max_sessions=max_sessions,
            autorun=autorun,
            agent_settings=settings,
            actor=actor(),
            **place.model_dump(),
        )
        await self._send(project, "resume", request)

    async def abandon(self, ref: str, reason: str = "") -> None:
        """End the project for good; the reason is kept and shown."""
        refuse_in_words("The reason", reason, await self.guard())
        await self._signal(ref, "abandon", AbandonRequest(reason=reason, actor=actor()), closed="abandoned")

    async def steer(self, ref: str, text: str, *, feature: str | None = None) -> None:
        """Guidance for the sessions to come, of one feature or of all."""
        project = await self._changeable(ref, "steered")
        if feature is not None:
            async with self.store.transaction() as tx:
                await tx.features.find(project.id, feature)
        refuse_in_words("The guidance", text, await self.guard())
        request = _valid(SteerRequest, text=text, feature=feature, actor=actor())
        await self._signal(ref, "steer", request, closed="steered")

    async def _signal(self, ref: str, name: str, request: Any, *, closed: str) -> None:
        await self._send(await self._changeable(ref, closed), name, request)

    async def _send(self, project: ProjectRow, name: str, request: Any) -> None:
        client = await self.temporal()
        with answering():
            await client.start_workflow(
                PROJECT_WORKFLOW,
                self._start(project.id),
                start_signal=name,
                start_signal_args=[request],
                **self._workflow_options(project),
            )

    async def _changeable(self, ref: str, what: str) -> ProjectRow:
        project = await self.find(ref)
        if project.status in CLOSED:
            raise Conflict(f"project {project.name!r} is {project.status}; it can't be {what}.")
        return project

    async def add_feature(self, ref: str, feature: FeatureSpec, *, request_id: str | None = None) -> int:
        """Add a feature; returns its id. Opens a completed project again.

        Args:
            request_id: what is asked again under the same id is not done again.
        """
        refuse_in_feature(feature, await self.guard())
        request = AddFeature(feature=feature, actor=actor())
        return await self._update(ref, ADD_FEATURE, request, request_id)

    async def edit_feature(self, ref: str, edit: FeatureEdit) -> int:
        """Change a feature; lifts `blocked`. Returns its id."""
        refuse_in_feature(edit, await self.guard())
        request = edit.model_copy(update={"actor": actor()})
        return await self._update(ref, EDIT_FEATURE, request)

    async def run_session(
        self, ref: str, feature: str | None = None, *, request_id: str | None = None
    ) -> int:
        """Ask for one session now; returns its number at once. For `request_id` see `add_feature`."""
        request = RunSession(feature=feature, actor=actor())
        return await self._update(ref, RUN_SESSION, request, request_id)

    async def set_feature_status(
        self, ref: str, feature: str, status: FeatureStatus, reason: str = ""
    ) -> int:
        """Give a feature a status; `passing` has what is on main verified. Returns its id."""
        refuse_in_words("The reason", reason, await self.guard())
        request = _valid(SetFeatureStatus, feature=feature, status=status, reason=reason, actor=actor())
        return await self._update(ref, SET_FEATURE_STATUS, request)

    async def checkpoint(self, ref: str, note: str = "") -> str:
        """Make the tip of main a checkpoint, with what passes there; returns the commit."""
        refuse_in_words("The note", note, await self.guard())
        request = _valid(CheckpointRequest, note=note, actor=actor())
        return await self._update(ref, CHECKPOINT, request)

    async def answer(self, ref: str, feature: str, text: str) -> int:
        """Answer a feature's question; returns the feature's id."""
        refuse_in_words("The answer", text, await self.guard())
        request = _valid(Answer, feature=feature, text=text, actor=actor())
        return await self._update(ref, ANSWER, request)

    async def set_budget(self, ref: str, budget_usd: float | None) -> None:
        """Change what the project may cost, in US dollars; None: no limit."""
        request = _valid(SetBudget, budget_usd=budget_usd, actor=actor())
        await self._update(ref, SET_BUDGET, request)

    async def revert(self, ref: str, commit: str, *, consent: bool = False) -> RevertResult:
        """Take main back to a checkpoint; `consent`: commits of people may be undone."""
        request = _valid(Revert, commit=commit, consent=consent, actor=actor())
        return await self._update(ref, REVERT_TO_CHECKPOINT, request)

    async def feedback(
        self, decision_id: int, outcome: str, *, score: float | None = None, lesson: str = ""
    ) -> None:
        """Say what became of a decision; its project is looked up. Without a score a person's is kept."""
        async with self.store.transaction() as tx:
            decision = await tx.decisions.get(decision_id)
        refuse_in_words("The lesson", lesson, await self.guard())
        request = _valid(
            DecisionFeedback,
            decision_id=decision_id,
            outcome=outcome,
            score=None if score is None else max(-1.0, min(1.0, score)),
            lesson=lesson,
            actor=actor(),
        )
        await self._update(decision.project_id, ADD_DECISION_FEEDBACK, request)

    async def _update(
        self, ref: str, update: Update[Asked, Answered], request: Asked, request_id: str | None = None
    ) -> Answered:
        """An update, with the start of the workflow from rows and main if it does not run."""
        project = await self.find(ref)
        if project.status is ProjectStatus.ABANDONED:
            raise Conflict(f"project {project.name!r} is abandoned; nothing in it can be changed.")
        client = await self.temporal()
        operation: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            PROJECT_WORKFLOW, self._start(project.id), **self._workflow_options(project)
        )
        try:
            with answering():
                handle = await client.start_update_with_start_workflow(
                    update.name,
                    request,
                    id=request_id,
                    result_type=update.answered,
                    wait_for_stage=WorkflowUpdateStage.COMPLETED,
                    start_workflow_operation=operation,
                )
                answer: Answered = await handle.result()
        except WorkflowUpdateFailedError as error:
            raise _domain_error(error.cause) from None
        return answer


def _domain_error(cause: BaseException) -> ShiftworkError:
    if isinstance(cause, ActivityError) and cause.cause is not None:
        cause = cause.cause
    if isinstance(cause, ApplicationError):
        return _ERRORS.get(cause.type or "", ShiftworkError)(cause.message)
    return ShiftworkError(str(cause))


def _valid(model: Any, **fields: Any) -> Any:
    try:
        return model(**fields)
    except ValidationError as error:
        raise InvalidInput(f"{first_problem(error)}.") from error
