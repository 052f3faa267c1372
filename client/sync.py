"""The harness for programs without an event loop."""

import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import JsonValue

from client.harness import LongRunningHarness
from shiftwork.contracts.feature import FeatureCategory
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.contracts.session import Role
from shiftwork.looping import LoopThread
from shiftwork.management.sync import WaitingProjectManager
from shiftwork.project_manager import ProjectManager
from shiftwork.settings import Settings
from shiftwork.sub_agents import Specification, SubAgent

Result = TypeVar("Result")


class SyncLongRunningHarness:
    """Every method of `LongRunningHarness`, waiting for its result; the arguments are the same.

    Use it in a `with` block or without one: it connects at its first use, and `close` (or the end of the
    program) disconnects. The work is done by one private event loop in a thread of its own; `on_progress` is
    called in the thread that waits, and may use the harness again. Safe to use from several threads.
    """

    def __init__(
        self,
        chat_model: Specification | AgentOptions | None = None,
        tools: Sequence[Specification] | None = None,
        project_manager: ProjectManager | None = None,
        sub_agents: Mapping[str, Specification | AgentOptions | SubAgent] | None = None,
        on_progress: Callable[[str, dict[str, Any]], None] | None = None,
        *,
        agent: str | None = None,
        agent_settings: Mapping[str, str | Path] | None = None,
        options: ProjectOptions | None = None,
        settings: Settings | None = None,
    ) -> None:
        loop = LoopThread("harness")

        async def tell(event: str, facts: dict[str, Any]) -> None:
            if on_progress is not None:
                await loop.in_caller(on_progress, event, facts)

        try:
            self._harness = LongRunningHarness(
                *(chat_model, tools, project_manager, sub_agents, tell),
                agent=agent,
                agent_settings=agent_settings,
                options=options,
                settings=settings,
            )
        except BaseException:  # whatever was wrong, the thread must not stay
            loop.stop(_nothing)
            raise
        self._loop = loop
        self._opening = threading.Lock()
        self._open = False
        self._stop = weakref.finalize(self, loop.stop, self._harness.close)

    def open(self) -> Self:
        """Connect to the stack; the other methods do this by themselves."""
        with self._opening:
            if not self._open:
                self._loop.wait(self._harness.open())
                self._open = True
        return self

    def close(self) -> None:
        """Disconnect, and end the thread; projects run on. May be repeated."""
        self._stop()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        try:
            self.open()
        except BaseException:  # whatever it was: a coroutine that nobody awaits would be warned about
            work.close()
            raise
        return self._loop.wait(work)

    @property
    def project_manager(self) -> WaitingProjectManager:
        """The manager over the rows of this stack; its methods wait too."""
        self.open()
        return WaitingProjectManager(self._loop, self._harness.project_manager)

    def register_sub_agent(self, category: str, agent: Specification | AgentOptions | SubAgent) -> None:
        """See `LongRunningHarness.register_sub_agent`."""
        self._harness.register_sub_agent(category, agent)

    # Lifecycle --------------------------------------------------------------------------------------------

    def create_project(self, name: str, description: str, working_directory: str | Path | None = None) -> str:
        """See `LongRunningHarness.create_project`."""
        return self._wait(self._harness.create_project(name, description, working_directory))

    def start_project(
        self,
        name: str,
        description: str,
        working_directory: str | Path | None = None,
        max_sessions: int | None = None,
        *,
        project_id: str | None = None,
    ) -> str:
        """See `LongRunningHarness.start_project`."""
        making = self._harness.start_project(
            name, description, working_directory, max_sessions, project_id=project_id
        )
        return self._wait(making)

    def run_session(self, project_id: str, feature_id: int | None = None) -> dict[str, Any]:
        """See `LongRunningHarness.run_session`."""
        return self._wait(self._harness.run_session(project_id, feature_id))

    def run_until_complete(self, project_id: str, max_sessions: int | None = None) -> dict[str, Any]:
        """See `LongRunningHarness.run_until_complete`."""
        return self._wait(self._harness.run_until_complete(project_id, max_sessions))

    def wait_project(self, project_id: str, after: int | None = None) -> dict[str, Any]:
        """See `LongRunningHarness.wait_project`."""
        return self._wait(self._harness.wait_project(project_id, after))

    def resume_project(
        self,
        project_id: str,
        *,
        agent_settings: Mapping[str, JsonValue] | None = None,
        role: Role | None = None,
        category: FeatureCategory | None = None,
        fallback: int | None = None,
    ) -> dict[str, Any]:
        """See `LongRunningHarness.resume_project`."""
        return self._wait(
            self._harness.resume_project(
                project_id, agent_settings=agent_settings, role=role, category=category, fallback=fallback
            )
        )

    def pause_project(self, project_id: str, *, at_once: bool = False, reason: str = "") -> None:
        """See `LongRunningHarness.pause_project`."""
        self._wait(self._harness.pause_project(project_id, at_once=at_once, reason=reason))

    def abandon_project(self, project_id: str, reason: str = "") -> None:
        """See `LongRunningHarness.abandon_project`."""
        self._wait(self._harness.abandon_project(project_id, reason))

    # Looking ----------------------------------------------------------------------------------------------

    def get_project_status(self, project_id: str) -> dict[str, Any]:
        """See `LongRunningHarness.get_project_status`."""
        return self._wait(self._harness.get_project_status(project_id))

    def get_decision_history(self, project_id: str, limit: int = 20) -> list[dict[str, Any]]:
        """See `LongRunningHarness.get_decision_history`."""
        return self._wait(self._harness.get_decision_history(project_id, limit))

    def export_project_report(self, project_id: str) -> dict[str, Any]:
        """See `LongRunningHarness.export_project_report`."""
        return self._wait(self._harness.export_project_report(project_id))

    # Recovery ---------------------------------------------------------------------------------------------

    def revert_to_checkpoint(
        self, project_id: str, commit_hash: str, *, consent: bool = False
    ) -> dict[str, Any]:
        """See `LongRunningHarness.revert_to_checkpoint`."""
        return self._wait(self._harness.revert_to_checkpoint(project_id, commit_hash, consent=consent))

    def add_decision_feedback(
        self, decision_id: int, outcome: str, score: float | None = None, lesson: str = ""
    ) -> None:
        """See `LongRunningHarness.add_decision_feedback`."""
        self._wait(self._harness.add_decision_feedback(decision_id, outcome, score, lesson))


async def _nothing() -> None:
    """Nothing is open yet."""
