"""What a project manager keeps of the work: sessions, progress, decisions, commits."""

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shiftwork.contracts.decision import DecisionOutcome
from shiftwork.contracts.outbox import DecisionNote, Handoff, ProgressNote
from shiftwork.errors import InvalidInput
from shiftwork.management.control import ProjectControl, RowControl
from shiftwork.management.git import GitCommit, ProjectGit, UserGit
from shiftwork.store.rows import DecisionRow, FeatureRow, ProgressRow, ProjectRow, SessionRow
from shiftwork.store.store import Store

Document = TypeVar("Document", bound=BaseModel)


class Records:
    """The half of `ProjectManager` that is not about what is to be done."""

    def __init__(
        self, store: Store, control: ProjectControl | None = None, git: ProjectGit | None = None
    ) -> None:
        self._store = store
        self._control = control or RowControl(store)
        self._git = git or UserGit()

    async def start_session(self, project_id: str, feature_id: int | None = None) -> SessionRow:
        """Begin a session, of this feature if one is named."""
        if feature_id is not None and (await self._feature(feature_id)).project_id != project_id:
            raise InvalidInput(f"Feature {feature_id} belongs to another project.")
        return await self._control.begin_session(project_id, feature_id)

    async def end_session(
        self,
        session_id: int,
        outcome: str = "completed",
        error: str | None = None,
        handoff: Handoff | None = None,
    ) -> SessionRow:
        """End a session, with what it leaves for the next; the first end is the one that counts."""
        async with self._store.transaction() as tx:
            session = await tx.sessions.by_id(session_id)
        await self._control.end_session(session, outcome, error, handoff)
        async with self._store.transaction() as tx:
            return await tx.sessions.by_id(session_id)

    async def get_last_session(self, project_id: str) -> SessionRow | None:
        """The newest session, or None before the first."""
        async with self._store.transaction() as tx:
            await tx.projects.get(project_id)
            return await tx.sessions.last(project_id)

    async def log_progress(
        self,
        project_id: str,
        action: str,
        outcome: str = "",
        files_changed: Sequence[str] = (),
        git_commit: bool = False,  # noqa: FBT001, FBT002 - promised in this form
    ) -> ProgressRow:
        """Log a step of work; `git_commit` asks for a checkpoint of kept work, and commits nothing itself."""
        note = valid(ProgressNote, action=action, outcome=outcome, files_changed=tuple(files_changed))
        await self._project(project_id)
        if git_commit:
            await self._control.request_checkpoint(project_id, note.action)
        async with self._store.transaction() as tx:
            return await tx.progress.log(
                project_id, note.action, outcome=note.outcome, files_changed=note.files_changed
            )

    async def get_progress_log(self, project_id: str, limit: int = 50) -> list[ProgressRow]:
        """The newest entries, newest first."""
        async with self._store.transaction() as tx:
            await tx.projects.get(project_id)
            return await tx.progress.list(project_id, limit)

    async def get_progress_as_text(self, project_id: str, limit: int = 50) -> str:
        """The newest entries as text, one line each, oldest first."""
        async with self._store.transaction() as tx:
            await tx.projects.get(project_id)
            return await tx.progress.as_text(project_id, limit)

    async def record_decision(
        self,
        project_id: str,
        context: str,
        decision: str,
        reasoning: str = "",
        tags: Sequence[str] = (),
    ) -> DecisionRow:
        """Remember a choice and why it was made."""
        note = valid(DecisionNote, context=context, decision=decision, reasoning=reasoning, tags=tuple(tags))
        async with self._store.transaction() as tx:
            await tx.projects.get(project_id)
            return await tx.decisions.record(project_id, None, 0, 0, note)

    async def update_decision_outcome(
        self,
        decision_id: int,
        outcome: DecisionOutcome,
        score: float | None = None,
        lesson: str | None = None,
    ) -> DecisionRow:
        """Write what became of a decision; scores are cut to -1 (bad) … 1 (good)."""
        async with self._store.transaction() as tx:
            return await tx.decisions.feedback(decision_id, DecisionOutcome(outcome), score, lesson)

    async def get_relevant_decisions(
        self, project_id: str, tags: Sequence[str] = (), limit: int = 10, text: str = ""
    ) -> list[DecisionRow]:
        """The decisions that share a tag or a word with what is asked, those with lessons first."""
        async with self._store.transaction() as tx:
            await tx.projects.get(project_id)
            return await tx.decisions.relevant(project_id, tags, text, limit)

    async def git_revert_to_commit(self, project_id: str, commit_hash: str) -> None:
        """Ask for a revert to a checkpoint: main moves forward to a commit that has its content."""
        await self._control.revert(project_id, commit_hash)

    async def get_git_log(self, project_id: str, limit: int = 20) -> list[GitCommit]:
        """The newest commits of the project, newest first."""
        return await self._git.log(await self._project(project_id), limit)

    async def _project(self, project_id: str) -> ProjectRow:
        async with self._store.transaction() as tx:
            return await tx.projects.get(project_id)

    async def _feature(self, feature_id: int) -> FeatureRow:
        async with self._store.transaction() as tx:
            return await tx.features.get(feature_id)


def valid(model: type[Document], **fields: Any) -> Document:
    """The document of these fields; raises `InvalidInput` that names the first field that is wrong."""
    try:
        return model(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or model.__name__
        raise InvalidInput(f"{field}: {first['msg'].removeprefix('Value error, ')}.") from error
