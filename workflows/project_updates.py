"""What people may ask of a running project, and are answered: updates."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.bookkeeping import BookkeepingActivities
    from activities.projects import ProjectActivities
    from shiftwork.contracts.bookkeeping import (
        AddFeatureRequest,
        FeedbackRequest,
        RevertRequest,
        RevertResult,
        SecretsRequest,
    )
    from shiftwork.contracts.feature import FeatureEdit, FeatureStatus
    from shiftwork.contracts.messages import (
        AddFeature,
        Answer,
        CheckpointRequest,
        DecisionFeedback,
        Revert,
        RunSession,
        SetBudget,
        SetFeatureStatus,
    )
    from shiftwork.contracts.project import ProjectStatus
    from shiftwork.contracts.session import InterruptionReason
    from shiftwork.contracts.state import FeatureState
    from shiftwork.planning import messages
    from shiftwork.planning.outcome import block_unverifiable
    from workflows.options import book_keeping, process_activity
    from workflows.project_control import refuse
    from workflows.project_signals import ProjectSignals


class ProjectUpdates(ProjectSignals):
    """The handlers of updates, beside those of signals.

    They wait until the project is loaded, check against the state as it is then, and answer on acceptance:
    the rows follow within the main loop.
    """

    @workflow.update(description="Add a feature; returns its id.")
    async def add_feature(self, request: AddFeature) -> int:
        """Add a feature; dependencies by name."""
        await self._ready()
        self._checked(messages.check_addition, request.feature)
        added = await workflow.execute_local_activity_method(
            BookkeepingActivities.add_feature,
            AddFeatureRequest(
                project_id=self._state.project_id,
                feature=request.feature,
                revision=self._ledger.next_revision(),
                actor=request.actor,
            ),
            **book_keeping(f"add feature {request.feature.name}"),
        )
        self._reopen()
        if all(f.id != added.id for f in self._state.features):
            self._state.features = [*self._state.features, added]
        self._note(*block_unverifiable(self._state))
        return added.id

    @add_feature.validator
    def _validate_add_feature(self, request: AddFeature) -> None:
        self._validate(messages.check_addition, request.feature)

    @workflow.update(description="Change a feature; lifts `blocked`.")
    async def edit_feature(self, edit: FeatureEdit) -> int:
        """Change a feature; returns its id."""
        await self._ready()
        await self._refuse_secrets(SecretsRequest(edit=edit))
        busy = {f for f in self._running.values() if f is not None}
        changed: list[FeatureState] = self._checked(messages.apply_edit, edit, busy)
        self._reopen()
        self._ledger.note(edit=edit)
        name, reference = changed[0].name, f"feature:{changed[0].id}"
        self._ledger.event("feature_edited", actor=edit.actor, reference=reference, feature=name)
        self._note(*changed)
        return changed[0].id

    @edit_feature.validator
    def _validate_edit_feature(self, edit: FeatureEdit) -> None:
        self._validate(messages.check_edit, edit)

    @workflow.update(description="Run one session now, of this feature or of the next; returns its number.")
    async def run_session(self, request: RunSession | None = None) -> int:
        """Promise a session; returns its number, which names its workflow too."""
        await self._ready()
        asked = request or RunSession()
        feature_id = self._checked(messages.check_request, asked.feature, self._busy())
        number = messages.request_session(self._state, feature_id)
        self._reopen()
        reference = f"session:{number}"
        self._ledger.event("session_requested", actor=asked.actor, reference=reference, feature=feature_id)
        self._look_for_people = self._changed = True
        return number

    @run_session.validator
    def _validate_run_session(self, request: RunSession | None = None) -> None:
        self._validate(messages.check_request, request.feature if request else None, self._busy())

    @workflow.update(description="Give a feature a status; `passing` has what is on main verified.")
    async def set_feature_status(self, request: SetFeatureStatus) -> int:
        """Set a status by hand; returns the feature's id. Only executed verification makes it pass."""
        await self._ready()
        await self._refuse_secrets(SecretsRequest(what="The reason", words=request.reason))
        feature: FeatureState = self._checked(
            messages.apply_status, request.feature, request.status, request.reason
        )
        self._reopen()
        if request.status is FeatureStatus.PASSING and feature.id not in self._busy():
            # What people committed for it must be on main before main is verified.
            self._look_for_people = True
            messages.request_session(self._state, feature.id)
        facts = {"feature": feature.name, "status": request.status, "reason": request.reason}
        self._ledger.event("feature_status", actor=request.actor, reference=f"feature:{feature.id}", **facts)
        self._note(*self._state.features)
        return feature.id

    @set_feature_status.validator
    def _validate_set_feature_status(self, request: SetFeatureStatus) -> None:
        self._validate(messages.check_status, request.feature, request.status)

    @workflow.update(description="Make the tip of main a checkpoint.")
    async def checkpoint(self, request: CheckpointRequest | None = None) -> str:
        """Record main's tip with what passes there; returns the commit."""
        await self._ready()
        asked = request or CheckpointRequest()
        passing = tuple(f.id for f in self._state.features if f.status is FeatureStatus.PASSING)
        facts = {"project_id": self._state.project_id, "passing": passing}
        self._look_for_people = self._changed = True
        try:
            return await workflow.execute_local_activity_method(
                BookkeepingActivities.checkpoint,
                asked.model_copy(update=facts),
                **book_keeping("a checkpoint at the tip of main"),
            )
        except ActivityError as error:
            refuse(error.__cause__ or error)

    @workflow.update(description="Answer a feature's question.")
    async def answer(self, answer: Answer) -> int:
        """Answer; the feature goes on. Returns its id."""
        await self._ready()
        await self._refuse_secrets(SecretsRequest(what="The answer", words=answer.text))
        feature: FeatureState = self._checked(messages.check_answer, answer)
        feature.waiting = False
        reference = f"feature:{feature.id}"
        facts = {"feature": feature.name, "text": answer.text}
        self._ledger.event("answer", actor=answer.actor, reference=reference, **facts)
        if self._state.status is ProjectStatus.PAUSED and "needs an answer" in self._state.reason:
            self._state.status, self._state.reason = ProjectStatus.ACTIVE, ""
        self._note(feature)
        return feature.id

    @answer.validator
    def _validate_answer(self, answer: Answer) -> None:
        self._validate(messages.check_answer, answer)

    @workflow.update(description="Change what the project may cost, in US dollars; null means no limit.")
    async def set_budget(self, request: SetBudget) -> None:
        """Change the budget; a raised one lifts the pause that the old one caused."""
        await self._ready()
        self._checked(messages.check_open)
        state = self._state
        state.options = state.options.model_copy(update={"budget_usd": request.budget_usd})
        enough = request.budget_usd is None or request.budget_usd > state.spent.cost_usd
        if enough and state.status is ProjectStatus.PAUSED and state.reason.startswith("the budget"):
            state.status, state.reason = ProjectStatus.ACTIVE, ""
        self._ledger.note(options=True)
        self._ledger.event("budget", actor=request.actor, budget_usd=request.budget_usd)
        self._changed = True

    @workflow.update(description="Say what became of a decision.")
    async def add_decision_feedback(self, feedback: DecisionFeedback) -> None:
        """Outcome, score and lesson of a decision; later briefs carry them."""
        await self._ready()
        info = workflow.current_update_info()
        assert info is not None
        try:
            await workflow.execute_local_activity_method(
                BookkeepingActivities.decision_feedback,
                FeedbackRequest(project_id=self._state.project_id, feedback=feedback, operation=info.id),
                **book_keeping("decision feedback"),
            )
        except ActivityError as error:
            refuse(error.__cause__ or error)

    @workflow.update(description="Take main back to a checkpoint, forward in history.")
    async def revert_to_checkpoint(self, request: Revert) -> RevertResult:
        """Exclusive: running sessions are interrupted, none starts until it is done."""
        await self._ready()
        self._checked(messages.check_open)
        if self._exclusive:
            raise ApplicationError("another revert is under way; wait for it.", type="Conflict")
        info = workflow.current_update_info()
        assert info is not None
        self._exclusive = True
        try:
            await self._interrupt(InterruptionReason.REVERTING)
            await workflow.wait_condition(lambda: not self._running)
            result = await self._revert(request, info.id)
        finally:
            self._exclusive, self._changed = False, True
        return result

    async def _revert(self, request: Revert, operation: str) -> RevertResult:
        summary = f"revert to {request.commit[:12]}"
        result = await workflow.execute_activity_method(
            ProjectActivities.revert,
            RevertRequest(
                project_id=self._state.project_id,
                commit=request.commit,
                operation=operation,
                at=workflow.now().replace(microsecond=0),
                consent=request.consent,
            ),
            **process_activity(self._start.timeouts, self._state.options.retry, 600, summary),
        )
        if result.refused:
            raise ApplicationError(result.refused, type="Conflict", non_retryable=True)
        for feature in self._state.features:
            passes = feature.id in result.passing
            feature.status = FeatureStatus.PASSING if passes else FeatureStatus.NOT_STARTED
            feature.attempts, feature.last_failure, feature.blocked_reason = 0, None, None
            feature.kept_commit = feature.candidate = None
            feature.waiting = feature.waiting and not passes
        self._reopen()
        self._note(*self._state.features, *block_unverifiable(self._state))
        reference = f"commit:{result.commit}"
        self._ledger.event("reverted", actor=request.actor, reference=reference, to=request.commit)
        return result
