"""The control state of a project's workflow, and what its handlers and its process do with it."""

import asyncio
import contextlib
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from pydantic import JsonValue

    from activities.bookkeeping import BookkeepingActivities
    from shiftwork.contracts.bookkeeping import SecretsRequest
    from shiftwork.contracts.feature import FeatureStatus
    from shiftwork.contracts.messages import AbandonRequest
    from shiftwork.contracts.project import AgentPlace, ProjectStatus
    from shiftwork.contracts.session import InterruptionReason
    from shiftwork.contracts.state import FeatureState, ProjectState
    from shiftwork.contracts.workflow import Interrupt, ProjectStart
    from shiftwork.errors import ShiftworkError
    from shiftwork.planning.mending import with_settings
    from shiftwork.planning.outcome import pause
    from shiftwork.text import one_line, truncate
    from workflows.ledger import Ledger
    from workflows.options import book_keeping
    from workflows.session import SessionWorkflow


class ProjectControl:
    """State of a project's workflow; `ProjectUpdates` adds the handlers, `ProjectWorkflow` the process."""

    def __init__(self, start: ProjectStart) -> None:
        self._start = start
        self._state = start.state or ProjectState(project_id=start.project_id, name=start.project_id)
        self._ledger = Ledger(self._state)
        self._loaded = start.state is not None
        self._running: dict[int, int | None] = {}
        self._children: dict[int, workflow.ChildWorkflowHandle[SessionWorkflow, Any]] = {}
        self._ending: dict[int, InterruptionReason] = {}
        self._exclusive = False
        self._look_for_people = False
        self._changed = False

    # Queries ----------------------------------------------------------------------------------------------

    @workflow.query(description="Where the project stands: status, reason, counts, options.")
    def status(self) -> dict[str, Any]:
        """The control state without its features, and what runs."""
        state = self._state
        return {
            **state.model_dump(mode="json", exclude={"features"}),
            "total_features": len(state.features),
            "passing_features": state.count(FeatureStatus.PASSING),
            "running": {str(number): feature for number, feature in sorted(self._running.items())},
        }

    @workflow.query(description="Every feature with its status, attempts and reasons.")
    def features(self) -> list[FeatureState]:
        """The features as the workflow knows them."""
        return self._state.features

    # Changing it ----------------------------------------------------------------------------------------

    async def _ready(self) -> None:
        await workflow.wait_condition(lambda: self._loaded)

    async def _refuse_secrets(self, request: SecretsRequest) -> None:
        """Refuse what a worker sees a secret in: whoever sent it may not know the secret."""
        if problem := await self._secret_in(request):
            raise ApplicationError(problem, type="InvalidInput", non_retryable=True)

    async def _secret_in(self, request: SecretsRequest) -> str:
        # Histories from before this hold no such look; what it would find, the rows refuse (see `_heed`).
        if not workflow.patched("look-for-secrets"):
            return ""
        return await workflow.execute_local_activity_method(
            BookkeepingActivities.look_for_secrets, request, **book_keeping("whether it holds a secret")
        )

    async def _unfit(self, settings: dict[str, JsonValue], place: AgentPlace) -> str:
        """Why the agent there can't be given these settings, in one sentence; '' if it can."""
        try:
            with_settings(self._state.options, settings, place)
        except ShiftworkError as error:
            return str(error)
        return await self._secret_in(SecretsRequest(settings=settings))

    def _not_taken(self, reason: str, actor: str) -> None:
        """A signal can't be refused: whoever sent it reads here that it was not heeded."""
        pause(self._state, reason)
        self._ledger.event("paused", actor=actor, reason=self._state.reason)
        self._changed = True

    def _busy(self) -> set[int]:
        asked = {r.feature_id for r in self._state.requested}
        return {f for f in {*self._running.values(), *asked} if f is not None}

    def _note(self, *features: FeatureState) -> None:
        self._ledger.note(*features)
        self._changed = True

    def _reopen(self) -> None:
        if self._state.status is ProjectStatus.COMPLETED:
            self._state.status, self._state.reason = ProjectStatus.ACTIVE, ""
            self._ledger.note()

    def _checked(self, check: Any, *args: Any) -> Any:
        """Apply a pure message function to the state; its errors become the update's failure."""
        try:
            return check(self._state, *args)
        except ShiftworkError as error:
            refuse(error)

    def _validate(self, check: Any, *args: Any) -> None:
        # Before the project is loaded there is nothing to check against: the handler checks again.
        if self._loaded:
            self._checked(check, *args)

    async def _abandon(self, request: AbandonRequest) -> None:
        if self._state.status in (ProjectStatus.ABANDONED, ProjectStatus.COMPLETED):
            return
        self._state.status = ProjectStatus.ABANDONED
        self._state.reason = request.reason or "abandoned by a person"
        self._ledger.event("abandoned", actor=request.actor, reason=self._state.reason)
        self._changed = True
        await self._interrupt(InterruptionReason.ABANDONED)

    async def _interrupt(self, reason: InterruptionReason) -> None:
        self._ending.update(dict.fromkeys(self._running, reason))
        await asyncio.gather(*(self._end_session(c, reason) for c in list(self._children.values())))

    async def _end_session(
        self, session: workflow.ChildWorkflowHandle[SessionWorkflow, Any], reason: InterruptionReason
    ) -> None:
        # One that is gone need not be told; its result is on its way.
        with contextlib.suppress(FailureError):
            await session.signal(SessionWorkflow.interrupt, Interrupt(reason=reason))

    def _rest(self, status: ProjectStatus, reason: str) -> None:
        state = self._state
        if status is ProjectStatus.PAUSED:
            pause(state, reason)
        else:
            state.status, state.reason = status, reason
        self._ledger.event(state.status.value, reason=state.reason)
        self._changed = True

    def _heed(self, problem: str) -> None:
        """What the rows could not take, nobody must go on as if they had."""
        if problem:
            self._rest(ProjectStatus.PAUSED, truncate(one_line(problem), 300))


def refuse(error: BaseException) -> NoReturn:
    """Fail an update with this error's own sentence, for good."""
    kind = error.type if isinstance(error, ApplicationError) else type(error).__name__
    message = error.message if isinstance(error, ApplicationError) else str(error)
    raise ApplicationError(message, type=kind, non_retryable=True) from None


def words(error: ActivityError) -> str:
    """What an activity's failure says, on one bounded line."""
    cause = error.__cause__
    return truncate(one_line(cause.message if isinstance(cause, ApplicationError) else str(cause)), 300)
