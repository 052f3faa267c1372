"""The rows of an attempt that begins."""

from activities.ending import AttemptRows
from activities.services import Services
from shiftwork.agents.roles import prompt_for
from shiftwork.contracts.activity import RunRequest
from shiftwork.contracts.feature import FeatureStatus
from shiftwork.contracts.session import Role
from shiftwork.planning.casting import cast, key, named


async def begin_attempt(services: Services, request: RunRequest) -> AttemptRows:
    """Take the session's lease for a new attempt of this role's agent, and tell of it."""
    ttl = services.settings.timings.lease
    verifying = request.role is Role.VERIFIER
    async with services.store.transaction() as tx:
        project = await tx.projects.get(request.project_id)
        feature = None if request.feature_id is None else await tx.features.get(request.feature_id)
        session = await tx.sessions.begin(
            project.id, request.session, request.feature_id, request.role, request.started_at
        )
        attempt = await tx.attempts.begin(session.id, services.host, ttl)
        category = feature.category if feature and not verifying else None
        agent = cast(project.options, request.role, category).find(request.agent)
        if feature is not None and not verifying:
            await tx.features.save(feature.id, request.revision, status=FeatureStatus.IN_PROGRESS)
        reference = f"session:{request.session}"
        subject = feature.name if feature else "planning"
        if not verifying:
            await tx.events.append(
                project.id,
                "session_started",
                key=f"session_started:{request.session}",
                reference=reference,
                data={"feature": subject, "feature_id": request.feature_id, "role": request.role},
            )
        await tx.events.append(
            project.id,
            "attempt_started",
            key=f"attempt_started:{request.session}:{attempt.attempt}",
            reference=reference,
            data={
                "attempt": attempt.attempt,
                "run": request.run,
                "host": services.host,
                **named(agent, "agent", "model"),
                "key": key(agent),
                "role": request.role,
                "prompt": prompt_for(request.role, project.options.prompts).version,
            },
        )
    return AttemptRows(project, feature, session, attempt, agent)
