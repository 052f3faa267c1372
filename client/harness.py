"""The harness as a Python object: create a project, run it, look at it, take it back."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import JsonValue

from client.api import Shiftwork
from client.connection import CLOSED
from client.control import project_manager
from client.inputs import event_sequence, session_limit
from client.progress import OnProgress, Progress
from client.report import project_report
from shiftwork.contracts.feature import FeatureCategory
from shiftwork.contracts.project import (
    AgentOptions,
    CategoryOptions,
    PauseMode,
    ProjectOptions,
    ProjectStatus,
)
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput
from shiftwork.project_manager import ProjectManager
from shiftwork.settings import Settings
from shiftwork.store.rows import ProjectRow
from shiftwork.sub_agents import BACKEND, Specification, SubAgent, agent_options, category_options


class LongRunningHarness:
    """Runs projects on a stack that is up; every method takes the id `create_project` returned, or a name.

    Use as `async with LongRunningHarness(...) as harness`, or open and close it by hand.

    Args:
        chat_model, tools: what the backend `langchain` works with, see `shiftwork.sub_agents.agent_options`.
            Objects can't cross processes: they are refused by name.
        sub_agents: who does the features of which category, see `create_sub_agents`.
        project_manager: a manager over the rows to use instead of a fresh one.
        on_progress: called with `project_created`, `session_starting`, `session_complete` and finer events
            of the project that a call waits for.
        agent: the backend that does the sessions, in the place of a chat model.
        agent_settings: its settings; for `scripted`: `{"cassette": path}`. A `Path` is made absolute.
        options: further options of the projects that `create_project` makes.
        settings: which stack; None: as the environment says.
    """

    def __init__(
        self,
        chat_model: Specification | AgentOptions | None = None,
        tools: Sequence[Specification] | None = None,
        project_manager: ProjectManager | None = None,
        sub_agents: Mapping[str, Specification | AgentOptions | SubAgent] | None = None,
        on_progress: OnProgress | None = None,
        *,
        agent: str | None = None,
        agent_settings: Mapping[str, str | Path] | None = None,
        options: ProjectOptions | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._sub_agents: dict[FeatureCategory, CategoryOptions] = {}
        self._agent = _agent(chat_model, tools or (), agent, agent_settings or {})
        for category, sub_agent in (sub_agents or {}).items():
            self.register_sub_agent(category, sub_agent)
        self._options = options or ProjectOptions()
        self._manager = project_manager
        self._shiftwork = Shiftwork(settings)
        self._progress = Progress(self._shiftwork, on_progress)
        self._stack = AsyncExitStack()

    async def open(self) -> Self:
        """Connect to the stack."""
        await self._stack.enter_async_context(self._shiftwork)
        return self

    async def close(self) -> None:
        """Disconnect; projects run on."""
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def project_manager(self) -> ProjectManager:
        """The manager over the rows of this stack."""
        if self._manager is None:
            self._manager = project_manager(self._shiftwork)
        return self._manager

    def register_sub_agent(self, category: str, agent: Specification | AgentOptions | SubAgent) -> None:
        """Use this agent for features of this category, in projects that are made from now on.

        Raises:
            InvalidInput: the category is not known, or the agent is an object that can't cross processes.
        """
        known = [item.value for item in FeatureCategory]
        if category not in known:
            raise InvalidInput(f"category {category!r} is not known; known are: {', '.join(known)}.")
        options = category_options(f"sub_agents[{category!r}]", agent)
        self._sub_agents[FeatureCategory(category)] = options

    # Lifecycle --------------------------------------------------------------------------------------------

    async def create_project(
        self, name: str, description: str, working_directory: str | Path | None = None
    ) -> str:
        """Create a project and let its initializer plan it; returns its id.

        Sessions start with `run_session` or `run_until_complete`.
        """
        project_id = await self._start(name, description, working_directory, {"autorun": False})
        await self._progress.until(project_id, 0, self._shiftwork.wait(project_id))
        return project_id

    async def start_project(
        self,
        name: str,
        description: str,
        working_directory: str | Path | None = None,
        max_sessions: int | None = None,
        *,
        project_id: str | None = None,
    ) -> str:
        """Create a project that runs by itself, whatever becomes of this program; returns its id at once.

        Args:
            max_sessions: sessions until it pauses; None: as the options say.
            project_id: the id that it gets, a UUID, so that who is interrupted knows it; None: a new one.
        """
        limit = session_limit("max_sessions", max_sessions)
        more = {"autorun": True} | ({} if limit is None else {"max_sessions": limit})
        return await self._start(name, description, working_directory, more, project_id)

    async def _start(
        self,
        name: str,
        description: str,
        working_directory: str | Path | None,
        more: Mapping[str, Any],
        project_id: str | None = None,
    ) -> str:
        categories = {**self._options.categories, **self._sub_agents}
        options = self._options.model_copy(update={"agent": self._agent, "categories": categories, **more})
        return await self._shiftwork.start(
            name,
            description,
            repository=working_directory,
            description=description[:2000],
            options=options,
            project_id=project_id,
        )

    async def run_session(self, project_id: str, feature_id: int | None = None) -> dict[str, Any]:
        """Run one session, of this feature or of the next; returns its row.

        Raises:
            Conflict: the feature, or every feature, is not ready for a session.
        """
        after = await self._shiftwork.last_event(project_id)
        feature = None if feature_id is None else str(feature_id)
        number = await self._shiftwork.run_session(project_id, feature)
        return await self._progress.until(project_id, after, self._session(project_id, number))

    async def _session(self, project_id: str, number: int) -> dict[str, Any]:
        await self._shiftwork.session_begun(project_id, number)
        return await self._shiftwork.wait_session(project_id, number)

    async def run_until_complete(self, project_id: str, max_sessions: int | None = None) -> dict[str, Any]:
        """Run until every feature passes, `max_sessions` have run, or a person is needed.

        Args:
            max_sessions: None leaves the limit of the project's options, or of an earlier call, as it is.

        Returns:
            `status`, `reason`, `sessions_run` (by this call), `features_passing`, `total_features`.
        """
        project = await self._shiftwork.find(project_id)
        before = project.total_sessions
        if project.status is not ProjectStatus.COMPLETED:
            await self._shiftwork.resume(project.id, max_sessions=max_sessions, autorun=True)
            # A rest that was on its way before the project went on is not the one to wait for.
            taken = await self._shiftwork.acknowledged(project, "resumed")
            end = self._shiftwork.wait(project.id, taken or project.event_sequence)
            await self._progress.until(project.id, project.event_sequence, end)
        return await self._result(project.id, before)

    async def wait_project(self, project_id: str, after: int | None = None) -> dict[str, Any]:
        """Wait until a project rests that runs by itself; one that rests stays as it is.

        Args:
            after: `on_progress` is told the events from after this one on; None: those to come.

        Returns:
            What `run_until_complete` does; `sessions_run` are those since this call.
        """
        after = event_sequence("after", after)
        project = await self._shiftwork.find(project_id)
        if project.status not in CLOSED:
            await self._shiftwork.open(project.id)  # whoever made it may have ended before that
        after = project.event_sequence if after is None else after
        await self._progress.until(project.id, after, self._shiftwork.wait(project.id))
        return await self._result(project.id, project.total_sessions)

    async def _result(self, project_id: str, before: int) -> dict[str, Any]:
        status = await self._shiftwork.status(project_id)
        return {
            "status": status["status"],
            "reason": status["reason"],
            "sessions_run": status["sessions"] - before,
            "features_passing": status["passing_features"],
            "total_features": status["total_features"],
        }

    async def resume_project(
        self,
        project_id: str,
        *,
        agent_settings: Mapping[str, JsonValue] | None = None,
        role: Role | None = None,
        category: FeatureCategory | None = None,
        fallback: int | None = None,
    ) -> dict[str, Any]:
        """Go on after a pause; returns the status with `recovery_info`: where the work was left.

        `agent_settings` replace those of the project's agent, of the agent that plays `role`, or of the one
        that does the features of `category`; with `fallback` those of that agent's fallback, the first is 1.
        """
        project = await self._shiftwork.find(project_id)
        info = await self._recovery_info(project)
        await self._shiftwork.resume(
            project.id, agent_settings=agent_settings, role=role, category=category, fallback=fallback
        )
        await self._shiftwork.acknowledged(project, "resumed")
        return {**await self._shiftwork.status(project.id), "recovery_info": info}

    async def pause_project(self, project_id: str, *, at_once: bool = False, reason: str = "") -> None:
        """Pause after the running sessions, or at once with their work kept."""
        project = await self._shiftwork.find(project_id)
        mode: PauseMode = "at_once" if at_once else "after_session"
        await self._shiftwork.pause(project.id, mode=mode, reason=reason)
        await self._shiftwork.acknowledged(project, "paused")

    async def abandon_project(self, project_id: str, reason: str = "") -> None:
        """End the project for good; the reason is kept and shown."""
        project = await self._shiftwork.find(project_id)
        await self._shiftwork.abandon(project.id, reason)
        await self._shiftwork.acknowledged(project, "abandoned")

    # Looking ----------------------------------------------------------------------------------------------

    async def get_project_status(self, project_id: str) -> dict[str, Any]:
        """Where the project stands."""
        return await self._shiftwork.status(project_id)

    async def get_decision_history(self, project_id: str, limit: int = 20) -> list[dict[str, Any]]:
        """The newest decisions with their outcomes, newest first."""
        project = await self._shiftwork.find(project_id)
        async with self._shiftwork.store.transaction() as tx:
            rows = await tx.decisions.history(project.id, limit=limit)
        return [row.model_dump(mode="json") for row in rows]

    async def export_project_report(self, project_id: str) -> dict[str, Any]:
        """Everything there is to tell of a project."""
        project = await self._shiftwork.find(project_id)
        return await project_report(self._shiftwork.store, project.id)

    # Recovery ---------------------------------------------------------------------------------------------

    async def revert_to_checkpoint(
        self, project_id: str, commit_hash: str, *, consent: bool = False
    ) -> dict[str, Any]:
        """Take main back to a checkpoint, forward in history; `consent`: people's commits may be undone."""
        result = await self._shiftwork.revert(project_id, commit_hash, consent=consent)
        return {**result.model_dump(mode="json")}

    async def add_decision_feedback(
        self, decision_id: int, outcome: str, score: float | None = None, lesson: str = ""
    ) -> None:
        """Say what became of a decision; the score is cut at −1 and 1, and None keeps a person's."""
        await self._shiftwork.feedback(decision_id, outcome, score=score, lesson=lesson)

    async def _recovery_info(self, project: ProjectRow) -> dict[str, Any]:
        async with self._shiftwork.store.transaction() as tx:
            last = await tx.sessions.last(project.id)
            features = await tx.features.list(project.id)
        return {
            "reason": project.status_reason,
            "not_before": project.not_before.isoformat() if project.not_before else None,
            "last_session": last.number if last else None,
            "last_action": last.last_action if last else "",
            "recommended_next_action": last.recommended_next_action if last else "",
            "in_progress": [f.name for f in features if f.status == "in_progress"],
            "kept_work": {f.name: f.kept_commit for f in features if f.kept_commit},
            "questions": {f.name: f.question for f in features if f.waiting},
        }


def _agent(
    chat_model: Specification | AgentOptions | None,
    tools: Sequence[Specification],
    agent: str | None,
    settings: Mapping[str, str | Path],
) -> AgentOptions:
    """Who does the sessions: a backend with its settings, or a chat model with its tools."""
    given = {
        name: str(value.expanduser().absolute()) if isinstance(value, Path) else value
        for name, value in settings.items()
    }
    if chat_model is None:
        return agent_options(AgentOptions(backend=agent or "scripted", settings=given), tools)
    if agent not in (None, BACKEND):
        raise InvalidInput(f"chat_model and agent={agent!r} say different things; give one of them.")
    chosen = agent_options(chat_model, tools)
    return chosen.model_copy(update={"settings": {**chosen.settings, **given}})
