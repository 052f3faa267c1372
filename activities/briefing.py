"""A brief, put together from rows and from the private repository."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from activities.recalling import recall_decisions
from activities.services import Services
from shiftwork.agents.brief import (
    BriefRequest,
    FeatureBrief,
    Guidance,
    KeptWork,
    ProjectBrief,
)
from shiftwork.agents.roles import prompt_for
from shiftwork.contracts.activity import RunRequest
from shiftwork.contracts.feature import FeatureStatus
from shiftwork.contracts.session import Role
from shiftwork.secrets import LazyRedactor
from shiftwork.store.rows import EventRow, FeatureRow, ProjectRow
from shiftwork.store.store import Transaction

_PATCH_FILE = "kept.patch"
_PATCH_LIMIT = 1_000_000
_MOST_PROGRESS = 20
_MOST_GUIDANCE = 20


@dataclass(frozen=True, slots=True)
class Assembled:
    """A brief and the files beside it."""

    request: BriefRequest
    files: Mapping[str, str] = field(default_factory=dict)


async def assemble_brief(
    services: Services,
    project: ProjectRow,
    feature: FeatureRow | None,
    request: RunRequest,
    *,
    attempt: int,
    base: str,
    kept_in_place: bool = False,
) -> Assembled:
    """Everything the agent of this attempt is told.

    Args:
        kept_in_place: the kept work is in the workspace already, because a conversation goes on.
    """
    async with services.store.transaction() as tx:
        features = await tx.features.list(project.id)
        handoff = await tx.sessions.last_handoff(project.id, request.session)
        decisions = await recall_decisions(tx, project, feature)
        progress = await tx.progress.as_text(project.id, limit=_MOST_PROGRESS)
        guidance = await _guidance(tx, project.id, feature)
        problems = await _outbox_problems(tx, project.id)
        failure = feature.last_error if feature else await _plan_failure(tx, project.id)
        kept_commit = request.kept_commit or await _kept_earlier(tx, project.id, request)
    kept, files = await _kept_work(services, project.id, None if kept_in_place else kept_commit)
    planning = request.role is Role.INITIALIZER
    return Assembled(
        BriefRequest(
            project=ProjectBrief(
                id=project.id,
                name=project.name,
                description=project.description,
                spec=project.spec if planning else "",
                passing=sum(f.status is FeatureStatus.PASSING for f in features),
                total=len(features),
            ),
            role=request.role,
            prompt=prompt_for(request.role, project.options.prompts).text,
            prompts=project.options.prompts,
            session=request.session,
            attempt=attempt,
            run=request.run,
            base=base,
            feature=_feature(feature),
            handoff=handoff,
            decisions=decisions,
            progress=tuple(progress.splitlines()),
            previous_failure=failure,
            kept_work=kept,
            guidance=guidance,
            outbox_problems=problems,
        ),
        files,
    )


def without_secrets(assembled: Assembled, redactor: LazyRedactor) -> Assembled:
    """The brief with the secrets that the worker knows taken out."""
    told = assembled.request.model_dump(mode="json", exclude={"base"})
    request = BriefRequest.model_validate({**redactor.redact_json(told), "base": assembled.request.base})
    return Assembled(request, {name: redactor.redact(text) for name, text in assembled.files.items()})


def for_verifier(assembled: Assembled, problem: str) -> Assembled:
    """The brief without what the agents that did the work say of it; `problem`: of the last verdict."""
    bare = {"handoff": None, "decisions": (), "progress": (), "kept_work": None, "outbox_problems": ()}
    request = assembled.request.model_copy(update={**bare, "previous_failure": problem or None})
    return Assembled(request)


def _feature(feature: FeatureRow | None) -> FeatureBrief | None:
    if feature is None:
        return None
    return FeatureBrief.model_validate(feature.model_dump(include=set(FeatureBrief.model_fields)))


async def _guidance(tx: Transaction, project_id: str, feature: FeatureRow | None) -> tuple[Guidance, ...]:
    """What people said to all sessions and to this feature, oldest first."""
    events = await tx.events.last(project_id, kinds=("steer", "answer"), limit=200)
    own = f"feature:{feature.id}" if feature else None
    heard = [event for event in events if event.reference in ("", own) or event.reference is None]
    return tuple(_said(event, feature) for event in reversed(heard[:_MOST_GUIDANCE]))


def _said(event: EventRow, feature: FeatureRow | None) -> Guidance:
    question = feature.question if feature and event.kind == "answer" else None
    return Guidance(text=event.data.get("text", ""), question=question, feature=bool(event.reference))


async def _outbox_problems(tx: Transaction, project_id: str) -> tuple[str, ...]:
    """What could not be read of the newest outbox before this session's."""
    events: Sequence[EventRow] = await tx.events.last(project_id, kinds=("attempt_ended",), limit=1)
    return tuple(events[0].data.get("problems", ())) if events else ()


async def _plan_failure(tx: Transaction, project_id: str) -> str | None:
    events = await tx.events.last(project_id, kinds=("attempt_ended",), limit=1)
    return events[0].data.get("detail") or None if events else None


async def _kept_earlier(tx: Transaction, project_id: str, request: RunRequest) -> str | None:
    """Work that an earlier attempt of this very session kept, when its worker was stopped."""
    session = await tx.sessions.get(project_id, request.session)
    kept = [row.kept_commit for row in await tx.attempts.list(session.id) if row.kept_commit]
    return kept[-1] if kept else None


async def _kept_work(
    services: Services, project_id: str, commit: str | None
) -> tuple[KeptWork | None, dict[str, str]]:
    repository = services.folder(project_id).repository
    if commit is None or not await repository.has_commit(commit):
        return None, {}
    parent = await repository.resolve(f"{commit}^")
    paths = await repository.changed_paths(parent, commit)
    patch = await repository.diff(parent, commit, _PATCH_LIMIT)
    return KeptWork(commit=commit, patch=_PATCH_FILE, files=paths[:200]), {_PATCH_FILE: patch}
