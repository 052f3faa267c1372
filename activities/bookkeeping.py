"""Short writes: main's tip, rows, events. Each may happen twice and counts once."""

import asyncio

from temporalio import activity

from activities.ending import plan_warnings
from activities.names import (
    ADD_FEATURE,
    ADOPT_PLAN,
    CHECKPOINT,
    DECISION_FEEDBACK,
    INTEGRATE,
    LOOK_FOR_PEOPLE,
    LOOK_FOR_SECRETS,
    RECORD,
    SAVE,
    TIDY,
)
from activities.people import feed, people_commit
from activities.recording import record_session, save_control_state
from activities.services import Services
from shiftwork.contracts.activity import IntegrateRequest, IntegrateResult
from shiftwork.contracts.bookkeeping import (
    AddFeatureRequest,
    AdoptPlan,
    FeatureStates,
    FeedbackRequest,
    ProjectRef,
    RecordRequest,
    RecordResult,
    SaveRequest,
    SaveResult,
    SecretsRequest,
)
from shiftwork.contracts.messages import CheckpointRequest
from shiftwork.contracts.plan import Plan
from shiftwork.contracts.session import Spent
from shiftwork.contracts.state import FeatureState
from shiftwork.errors import InvalidInput, NotFound
from shiftwork.repository.files import remove_tree
from shiftwork.runner.leftovers import end_leftovers
from shiftwork.secrets.refusing import refuse_in_feature, refuse_in_plan, refuse_in_words, refuse_secrets
from shiftwork.store.states import feature_states


class BookkeepingActivities:
    """What happens beside agents and verification; run as local activities."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @activity.defn(name=INTEGRATE)
    async def integrate(self, request: IntegrateRequest) -> IntegrateResult:
        """Move main from base to landing, exactly once; then show it to the user's repository."""
        repository = self._services.folder(request.project_id).repository
        landed = await repository.integrate(
            request.base, request.landing, request.project_id, request.session
        )
        if landed is not None:
            await feed(self._services, request.project_id)
        return IntegrateResult(landed=landed)

    @activity.defn(name=RECORD)
    async def record(self, request: RecordRequest) -> RecordResult:
        """Record a session and the control state that follows from it, in one transaction."""
        project_id = request.save.project_id
        landed = await self._landed_until(project_id, request.result.landed)
        async with self._services.store.transaction() as tx:
            problem = await record_session(tx, request, landed, self._services.redactor)
            totals = await tx.projects.totals(project_id)
        spent = Spent(
            input_tokens=totals.input_tokens, output_tokens=totals.output_tokens, cost_usd=totals.cost_usd
        )
        people = await people_commit(self._services, project_id)
        return RecordResult(spent=spent, people_commit=people, problem=problem)

    async def _landed_until(self, project_id: str, commit: str | None) -> set[str | None]:
        """The features that landed up to this commit: with parallel sessions the rows may be ahead of it."""
        names: set[str | None] = set()
        if commit is not None:
            for landing in await self._services.folder(project_id).repository.landings(project_id):
                names.add(landing.feature)
                if landing.commit == commit:
                    break
        return names

    @activity.defn(name=SAVE)
    async def save(self, request: SaveRequest) -> SaveResult | None:
        """Bring control state to the rows; older revisions are ignored. None: of a version before results."""
        async with self._services.store.transaction() as tx:
            problem = await save_control_state(tx, request, redactor=self._services.redactor)
        return SaveResult(problem=problem)

    @activity.defn(name=LOOK_FOR_SECRETS)
    async def look_for_secrets(self, request: SecretsRequest) -> str:
        """Why what a person sent can't be taken, in one sentence; '' if it can."""
        redactor = self._services.redactor
        try:
            refuse_in_words(request.what, request.words, redactor)
            refuse_secrets("The agent's settings", request.settings, redactor)
            if request.edit is not None:
                refuse_in_feature(request.edit, redactor)
        except InvalidInput as error:
            return str(error)
        return ""

    @activity.defn(name=ADOPT_PLAN)
    async def adopt_plan(self, request: AdoptPlan) -> FeatureStates:
        """Turn the plan that the planning session left into features; names that exist stay as they are."""
        plan = await self._plan(request)
        if plan is None:
            return FeatureStates(problem="the planning session left no valid plan; see the logs")
        try:
            # Whoever checked it when the session ended may not have known what we know.
            refuse_in_plan(plan, self._services.redactor)
        except InvalidInput as error:
            return FeatureStates(problem=str(error))
        async with self._services.store.transaction() as tx:
            project = await tx.projects.get(request.project_id)
        warnings = await asyncio.to_thread(plan_warnings, plan, project.spec or project.description)
        async with self._services.store.transaction() as tx:
            rows = await tx.features.adopt(request.project_id, plan.features, request.revision)
            project = await tx.projects.get(request.project_id)
            if plan.setup and not project.options.setup:
                options = project.options.model_copy(update={"setup": plan.setup, "setup_is_planned": True})
                await tx.projects.save(request.project_id, request.revision, options=options)
            await tx.events.append(
                request.project_id,
                "planned",
                key=f"planned:{request.session}",
                reference=f"session:{request.session}",
                data={"features": len(rows), "warnings": warnings},
            )
        return FeatureStates(features=tuple(feature_states(rows)))

    async def _plan(self, request: AdoptPlan) -> Plan | None:
        """The last plan that the planning session left."""
        async with self._services.store.transaction() as tx:
            session = await tx.sessions.get(request.project_id, request.session)
            attempts = await tx.attempts.list(session.id)
        plans = [a.outbox.plan for a in attempts if a.outbox is not None and a.outbox.plan is not None]
        return plans[-1] if plans else None

    @activity.defn(name=ADD_FEATURE)
    async def add_feature(self, request: AddFeatureRequest) -> FeatureState:
        """Insert one feature; the same again returns the one that is there."""
        spec = request.feature
        # Whoever added it may not have known what we know.
        refuse_in_feature(spec, self._services.redactor)
        async with self._services.store.transaction() as tx:
            rows = await tx.features.adopt(request.project_id, [spec], request.revision)
            added = next(row for row in rows if row.name == spec.name)
            await tx.events.append(
                request.project_id,
                "feature_added",
                key=f"feature_added:{added.id}",
                actor=request.actor,
                reference=f"feature:{added.id}",
                data={"feature": added.name},
            )
        return next(state for state in feature_states(rows) if state.id == added.id)

    @activity.defn(name=DECISION_FEEDBACK)
    async def decision_feedback(self, request: FeedbackRequest) -> None:
        """Write what became of a decision; raises `NotFound` for one of another project."""
        feedback = request.feedback
        refuse_in_words("The lesson", feedback.lesson, self._services.redactor)
        async with self._services.store.transaction() as tx:
            decision = await tx.decisions.get(feedback.decision_id)
            if decision.project_id != request.project_id:
                raise NotFound(f"There is no decision {feedback.decision_id} in this project.")
            await tx.decisions.feedback(
                feedback.decision_id, feedback.outcome, feedback.score, feedback.lesson or None
            )
            await tx.events.append(
                request.project_id,
                "decision_feedback",
                key=f"decision_feedback:{request.operation}" if request.operation else None,
                actor=feedback.actor,
                reference=f"decision:{feedback.decision_id}",
                data={"outcome": feedback.outcome, "score": feedback.score},
            )

    @activity.defn(name=LOOK_FOR_PEOPLE)
    async def look_for_people(self, request: ProjectRef) -> RecordResult:
        """Whether people have commits that main lacks."""
        return RecordResult(people_commit=await people_commit(self._services, request.project_id))

    @activity.defn(name=CHECKPOINT)
    async def checkpoint(self, request: CheckpointRequest) -> str:
        """Record the tip of main as a checkpoint; the same tip again changes nothing."""
        refuse_in_words("The note", request.note, self._services.redactor)
        tip = await self._services.folder(request.project_id).repository.tip()
        async with self._services.store.transaction() as tx:
            await tx.checkpoints.add(request.project_id, tip, None, request.passing)
            await tx.events.append(
                request.project_id,
                "checkpoint",
                key=f"checkpoint:{tip}",
                actor=request.actor,
                reference=f"commit:{tip}",
                data={"note": request.note},
            )
        return tip

    @activity.defn(name=TIDY)
    async def tidy(self, request: ProjectRef) -> None:
        """Remove what a project that ended needs no more: workspaces, copies of conversations, lost work."""
        folder = self._services.folder(request.project_id)
        for run_folder in folder.runs.glob("*"):
            await end_leftovers(run_folder)
            await asyncio.to_thread(remove_tree, run_folder, ignore_errors=True)
        for name in folder.workspaces.leftovers():
            await folder.take_back(name)
        await folder.workspaces.purge()
        async with self._services.store.transaction() as tx:
            await tx.conversations.forget_project(request.project_id)
