"""What every verification needs: who passes now, and a verifier whose evidence goes to the rows."""

from collections.abc import Sequence

from activities.services import Services
from shiftwork.contracts.feature import FeatureStatus
from shiftwork.environments.hosting import EnvironmentHost
from shiftwork.planning.casting import judged
from shiftwork.repository import Workspace
from shiftwork.store.rows import FeatureRow, ProjectRow
from shiftwork.verification.arena import Arena
from shiftwork.verification.landing import LandingVerifier
from shiftwork.verification.steps import StepEvidence, StepRunner

_SESSIONS = 200
"""The newest sessions: far more than can run at once."""


def make_verifier(
    services: Services,
    project: ProjectRow,
    workspace: Workspace,
    *,
    session_id: int | None = None,
    round_number: int = 0,
) -> LandingVerifier:
    """A verifier in this workspace, one to judge in; its evidence belongs to the session, or to nobody's.

    Args:
        round_number: counts the verifications of one session; each checks a feature three times at most.
    """

    async def record(feature: FeatureRow, commit: str, step: StepEvidence, why: int) -> None:
        if step.command is None and step.failure is None:
            return  # a verifier's: nothing was run
        async with services.store.transaction() as tx:
            await tx.evidence.add(
                session_id,
                3 * round_number + why,
                feature.id,
                step.step,
                commit=commit,
                verdict=step.failure or "passed",
                command=step.command,
                exit_status=step.exit_status,
                output_digest=step.output_digest,
                output_tail=step.output_tail,
                duration_seconds=step.duration,
            )

    services.enclose(project)
    folder, shell = services.folder(project.id), services.shell(project)
    host = EnvironmentHost(
        services.sandbox,
        services.settings.state,
        services.limits(project),
        redactor=services.redactor,
    )
    return LandingVerifier(
        repository=folder.repository,
        workspace=workspace,
        scratch=folder.runs / workspace.name / "scratch",
        setup=services.setup_cache(project),
        setup_commands=project.options.setup,
        steps=StepRunner(
            shell,
            project.options.verification_timeout,
            arena=Arena(shell, host),
            judged=judged(project.options),
        ),
        record=record,
        owner=services.user(project),
    )


async def passing_features(
    services: Services, project_id: str, besides: int | None = None
) -> Sequence[FeatureRow]:
    """The features that pass on main: those of the rows, and those whose landing no row tells of yet."""
    repository = services.folder(project_id).repository
    async with services.store.transaction() as tx:
        features = await tx.features.list(project_id)
        sessions = await tx.sessions.list(project_id, limit=_SESSIONS)
    # Not "after the newest checkpoint": of two parallel landings the later may be recorded first.
    open_ = {row.number for row in sessions if row.ended_at is None}
    landings = await repository.landings(project_id)
    landed = {landing.feature for landing in landings if landing.session in open_}
    return [
        f for f in features if f.id != besides and (f.status is FeatureStatus.PASSING or f.name in landed)
    ]
