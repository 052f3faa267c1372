"""A project as a whole: load it, bring people's commits in, take it back."""

from datetime import UTC, datetime

from temporalio import activity

from activities.alive import given_back_on_shutdown, heartbeating
from activities.credentials import learn_credentials
from activities.importing import Import
from activities.names import IMPORT_PEOPLE, LOAD_PROJECT, REVERT
from activities.people import feed, warn
from activities.rejections import without_words
from activities.services import Services
from shiftwork.contracts.activity import MAIN
from shiftwork.contracts.bookkeeping import (
    ImportRequest,
    ImportResult,
    ProjectRef,
    RevertRequest,
    RevertResult,
)
from shiftwork.contracts.feature import FeatureStatus
from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.session import Role, Spent
from shiftwork.contracts.state import ProjectState
from shiftwork.errors import InvalidInput, NotFound, RepositoryError
from shiftwork.planning.casting import role_of
from shiftwork.repository import Landing
from shiftwork.secrets.refusing import Finds, refuse_in_feature, refuse_in_words, refuse_secrets
from shiftwork.store.rows import FeatureRow, ProjectRow
from shiftwork.store.states import feature_states
from shiftwork.store.store import Transaction
from shiftwork.text import one_line, truncate

_MARGIN = 100
"""Revisions that a terminated predecessor may still be writing under, while its last activities end."""


class ProjectActivities:
    """Rare and exclusive work on a project."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @activity.defn(name=LOAD_PROJECT)
    async def load_project(self, request: ProjectRef) -> ProjectState:
        """Control state from rows and main alone; a landing without a row is recorded from its trailers."""
        async with heartbeating(self._services.record):
            async with self._services.store.transaction() as tx:
                project = await tx.projects.get(request.project_id)
                features = await tx.features.list(request.project_id)
            await learn_credentials(self._services, project)
            problem = await self._unusable(project, features)
            if problem is not None:
                async with self._services.store.transaction() as tx:
                    return await _unprepared(tx, project.id, problem)
            repository = self._services.folder(project.id).repository
            landings = await repository.landings(project.id)
            async with self._services.store.transaction() as tx:
                await _recover_landings(tx, project.id, landings)
                await _close_lost_sessions(tx, project.id)
                await _keep_checkpoint(tx, project.id, await repository.tip())
                return await _state(tx, project.id)

    async def _unusable(self, project: ProjectRow, features: list[FeatureRow]) -> str | None:
        """Why the project can't be prepared, in one sentence, or None; a person has to mend it."""
        try:
            # Whoever made the project may not have known what we know.
            _refuse_secrets(project, features, self._services.redactor)
            await self._open_repository(project)
        except (RepositoryError, InvalidInput) as error:
            return str(error)
        return None

    async def _open_repository(self, project: ProjectRow) -> None:
        """Make the private repository; a new one starts from the branch of the user's repository."""
        self._services.enclose(project)
        repository = self._services.folder(project.id).repository
        await repository.create()
        user = self._services.user_repository(project)
        if user is None:
            return
        try:
            tip = await user.fetch_into(repository)
        except RepositoryError as error:
            if project.total_sessions == 0:
                raise  # there is nothing yet to go on from
            await warn(self._services, project.id, f"load:{await repository.tip()}", str(error))
            return
        if tip is not None:
            await repository.adopt(tip)
        await feed(self._services, project.id)

    @activity.defn(name=IMPORT_PEOPLE)
    async def import_people(self, request: ImportRequest) -> ImportResult:
        """Bring commits of people into main: theirs land even when they break a feature."""
        async with heartbeating(self._services.record):
            return await given_back_on_shutdown(Import(self._services, request).execute())

    @activity.defn(name=REVERT)
    async def revert(self, request: RevertRequest) -> RevertResult:
        """Take main back to a checkpoint by a commit of its own; nothing is destroyed."""
        async with heartbeating(self._services.record):
            repository = self._services.folder(request.project_id).repository
            try:
                async with self._services.store.transaction() as tx:
                    checkpoint = await tx.checkpoints.get(request.project_id, request.commit)
                reverted = await repository.revert(
                    checkpoint.commit, request.operation, request.at, consent=request.consent
                )
            except (NotFound, InvalidInput, RepositoryError) as error:
                return RevertResult(refused=str(error))
            async with self._services.store.transaction() as tx:
                await tx.decisions.follow_revert(request.project_id, reverted.gone)
                await tx.checkpoints.add(request.project_id, reverted.commit, None, checkpoint.passing)
            await feed(self._services, request.project_id)
            return RevertResult(
                commit=reverted.commit, passing=checkpoint.passing, undone=len(reverted.undone)
            )


def _refuse_secrets(project: ProjectRow, features: list[FeatureRow], redactor: Finds) -> None:
    names = [project.name, project.repository or "", project.working_directory or "", project.branch or ""]
    refuse_secrets("The project's name or repository", names, redactor)
    refuse_secrets("The project's options", project.options.model_dump(mode="json"), redactor)
    refuse_in_words("The project's specification", f"{project.spec}\n{project.description}", redactor)
    for feature in features:
        refuse_in_feature(feature.spec, redactor)


async def _recover_landings(tx: Transaction, project_id: str, landings: list[Landing]) -> None:
    """Record what main says and no row does; `landings` oldest first."""
    sessions = {row.number: row for row in await tx.sessions.list(project_id)}
    options = (await tx.projects.get(project_id)).options
    for landing in landings:
        row = sessions.get(landing.session)
        if row is not None and row.ended_at is not None:
            continue
        feature = await tx.features.by_name(project_id, landing.feature) if landing.feature else None
        role = role_of(options, feature.category) if feature else Role.INITIALIZER
        feature_id = feature.id if feature else None
        session = await tx.sessions.begin(
            project_id, landing.session, feature_id, role, landing.at or datetime.now(UTC)
        )
        await tx.sessions.end(project_id, landing.session, outcome="passed", landed_commit=landing.commit)
        if feature is not None:
            revision = await tx.projects.revision(project_id) + 1
            await tx.features.save(
                feature.id,
                revision,
                status=FeatureStatus.PASSING,
                passed_commit=landing.commit,
                last_error=None,
                last_failure=None,
                candidate=None,
                kept_commit=None,
                waiting=False,
            )
        passing = await tx.features.list(project_id, status=FeatureStatus.PASSING)
        await tx.checkpoints.add(project_id, landing.commit, session.id, [f.id for f in passing])
        await tx.events.append(
            project_id,
            "landed",
            key=f"landed:{landing.session}",
            reference=f"commit:{landing.commit}",
            data={"feature": landing.feature or "planning", "session": landing.session, "recovered": True},
        )


async def _close_lost_sessions(tx: Transaction, project_id: str) -> None:
    """When a project is loaded none of its sessions runs: what is still open was lost with its workflow."""
    for row in await tx.sessions.list(project_id):
        if row.ended_at is None:
            await tx.sessions.end(
                project_id, row.number, outcome="interrupted", error="lost together with its workflow"
            )


async def _keep_checkpoint(tx: Transaction, project_id: str, tip: str) -> None:
    """Make the checkpoint that somebody asked for while no workflow ran."""
    newest = await tx.events.last(project_id, kinds=("checkpoint_requested", "checkpoint"))
    if newest and newest[0].kind == "checkpoint_requested":
        passing = await tx.features.list(project_id, status=FeatureStatus.PASSING)
        await tx.checkpoints.add(project_id, tip, None, [f.id for f in passing])
        await tx.events.append(project_id, "checkpoint", key=f"checkpoint:{tip}", reference=f"commit:{tip}")


async def _verification_requested(tx: Transaction, project_id: str) -> set[str]:
    """References of the features that somebody said pass, and that no session has worked on since."""
    kinds = ("verification_requested", "session_ended")
    newest: dict[str, str] = {}
    for event in await tx.events.last(project_id, kinds=kinds, limit=1000):
        reference = event.reference
        if event.kind == "session_ended":
            reference = f"feature:{event.data.get('feature_id')}"
        newest.setdefault(reference, event.kind)
    return {reference for reference, kind in newest.items() if kind == "verification_requested"}


async def _unprepared(tx: Transaction, project_id: str, problem: str) -> ProjectState:
    state = await _state(tx, project_id)
    state.prepared = False
    if state.status not in (ProjectStatus.COMPLETED, ProjectStatus.ABANDONED):
        state.status, state.reason = ProjectStatus.PAUSED, truncate(one_line(problem), 300)
    return state


async def _state(tx: Transaction, project_id: str) -> ProjectState:
    project = await tx.projects.get(project_id)
    features = await tx.features.list(project_id)
    totals = await tx.projects.totals(project_id)
    last = await tx.sessions.last_number(project_id)
    spent = Spent(
        input_tokens=totals.input_tokens, output_tokens=totals.output_tokens, cost_usd=totals.cost_usd
    )
    # What prepares checkouts may have been written by an agent: it stays in the rows.
    options = project.options.model_copy(update={"setup": (), "budget_usd": project.budget_usd})
    status = project.status
    if status is ProjectStatus.INITIALIZING and features:
        status = ProjectStatus.ACTIVE
    states = feature_states(features)
    requested = await _verification_requested(tx, project_id)
    for feature in states:
        if f"feature:{feature.id}" in requested and feature.status is not FeatureStatus.PASSING:
            feature.candidate, feature.status = MAIN, FeatureStatus.IN_PROGRESS
    return ProjectState(
        project_id=project.id,
        name=project.name,
        status=status,
        reason=without_words(project.status_reason),
        options=options,
        revision=await tx.projects.revision(project_id) + _MARGIN,
        features=list(states),
        sessions=-1 if last is None else last,
        not_before=project.not_before,
        spent=spent,
    )
