"""The harness as a Python object: create a project, run it, look at it, take it back."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from client.api import Shiftwork
from client.control import project_manager
from client.report import project_report
from shiftwork.contracts.feature import FeatureCategory
from shiftwork.contracts.project import AgentOptions, PauseMode, ProjectOptions, ProjectStatus
from shiftwork.errors import InvalidInput
from shiftwork.project_manager import ProjectManager
from shiftwork.settings import Settings
from shiftwork.store.rows import EventRow, ProjectRow

Specification = str | Mapping[str, Any]
"""An import path (`package.module:name`) or a mapping that JSON can hold."""

OnProgress = Callable[[str, dict[str, Any]], Awaitable[None] | None]
"""Is called with an event's name and its facts, in order; what it raises ends the call that it belongs to."""

Result = TypeVar("Result")

_POLL_SECONDS = 0.1
_NAMES = {"session_started": "session_starting", "session_ended": "session_complete"}


class LongRunningHarness:
    """Runs projects on a stack that is up; every method takes the id `create_project` returned, or a name.

    Use as `async with LongRunningHarness(...) as harness`, or open and close it by hand.

    Args:
        chat_model, tools, sub_agents: specifications of what the agents use. Objects can't cross processes:
            give import paths or mappings; anything else is refused by name.
        project_manager: a manager over the rows to use instead of a fresh one.
        on_progress: called with `project_created`, `session_starting`, `session_complete` and finer events
            of the project that a call waits for.
        agent: the backend that does the sessions.
        agent_settings: its settings; for `scripted`: `{"cassette": path}`. A `Path` is made absolute.
        options: further options of the projects that `create_project` makes.
        settings: which stack; None: as the environment says.
    """

    def __init__(
        self,
        chat_model: Specification | None = None,
        tools: Sequence[Specification] | None = None,
        project_manager: ProjectManager | None = None,
        sub_agents: Mapping[str, Specification] | None = None,
        on_progress: OnProgress | None = None,
        *,
        agent: str | None = None,
        agent_settings: Mapping[str, str | Path] | None = None,
        options: ProjectOptions | None = None,
        settings: Settings | None = None,
    ) -> None:
        _check_specification("chat_model", chat_model)
        for index, tool in enumerate(tools or ()):
            _check_specification(f"tools[{index}]", tool)
        self._sub_agents: dict[str, Specification] = {}
        for category, sub_agent in (sub_agents or {}).items():
            self.register_sub_agent(category, sub_agent)
        backend = agent or ("langchain" if chat_model is not None else "scripted")
        given = {
            name: str(value.expanduser().absolute()) if isinstance(value, Path) else value
            for name, value in (agent_settings or {}).items()
        }
        self._agent = AgentOptions(backend=backend, settings=given)
        self._options = options or ProjectOptions()
        self._on_progress = on_progress
        self._manager = project_manager
        self._shiftwork = Shiftwork(settings)
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

    def register_sub_agent(self, category: str, agent: Specification) -> None:
        """Use this agent for features of this category."""
        known = [item.value for item in FeatureCategory]
        if category not in known:
            raise InvalidInput(f"category {category!r} is not known; known are: {', '.join(known)}.")
        _check_specification(f"sub_agents[{category!r}]", agent)
        self._sub_agents[category] = agent

    # Lifecycle --------------------------------------------------------------------------------------------

    async def create_project(
        self, name: str, description: str, working_directory: str | Path | None = None
    ) -> str:
        """Create a project and let its initializer plan it; returns its id.

        Sessions start with `run_session` or `run_until_complete`.
        """
        options = self._options.model_copy(update={"agent": self._agent, "autorun": False})
        project_id = await self._shiftwork.start(
            name, description, repository=working_directory, description=description[:2000], options=options
        )
        await self._follow(project_id, 0, self._shiftwork.wait(project_id))
        return project_id

    async def run_session(self, project_id: str, feature_id: int | None = None) -> dict[str, Any]:
        """Run one session, of this feature or of the next; returns its row.

        Raises:
            Conflict: the feature, or every feature, is not ready for a session.
        """
        after = await self._shiftwork.last_event(project_id)
        feature = None if feature_id is None else str(feature_id)
        number = await self._shiftwork.run_session(project_id, feature)
        return await self._follow(project_id, after, self._session(project_id, number))

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
            await self._follow(project.id, project.event_sequence, end)
        status = await self._shiftwork.status(project.id)
        return {
            "status": status["status"],
            "reason": status["reason"],
            "sessions_run": status["sessions"] - before,
            "features_passing": status["passing_features"],
            "total_features": status["total_features"],
        }

    async def resume_project(self, project_id: str) -> dict[str, Any]:
        """Go on after a pause; returns the status with `recovery_info`: where the work was left."""
        project = await self._shiftwork.find(project_id)
        info = await self._recovery_info(project)
        await self._shiftwork.resume(project.id)
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
        self, decision_id: int, outcome: str, score: float = 0.0, lesson: str = ""
    ) -> None:
        """Say what became of a decision; the score is cut at −1 and 1."""
        await self._shiftwork.feedback(decision_id, outcome, score=score, lesson=lesson)

    # Progress ---------------------------------------------------------------------------------------------

    async def _follow(self, project_id: str, after: int, end: Coroutine[Any, Any, Result]) -> Result:
        """Wait for the end, and report every event after `after` that led to it."""
        waiting = asyncio.ensure_future(end)
        try:
            while True:
                # Asked before the events are read: what brought the end about is among them.
                over = waiting.done()
                async for event in self._shiftwork.events(project_id, after):
                    after = event.sequence
                    await self._tell(event)
                if over:
                    return await waiting
                await asyncio.wait((waiting,), timeout=_POLL_SECONDS)
        finally:
            waiting.cancel()

    async def _tell(self, event: EventRow) -> None:
        if self._on_progress is None:
            return
        facts = {
            **event.data,
            "project_id": event.project_id,
            "reference": event.reference,
            "at": event.at.isoformat(),
        }
        told = self._on_progress(_NAMES.get(event.kind, event.kind), facts)
        if told is not None:
            await told

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


def _check_specification(name: str, value: object) -> None:
    """Refuse objects: agents run in other processes, on other days."""
    if value is None or isinstance(value, str | Mapping):
        return
    raise InvalidInput(
        f"{name} is an object of type {type(value).__name__!r}, which can't cross processes; "
        f"give an import path ('package.module:name') or a mapping."
    )
