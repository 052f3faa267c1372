"""Earlier attempts of a session: ended, their work kept, and gone on with where that is possible."""

import asyncio
import logging
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from activities.found import Place, Source, find_conversation
from activities.services import Services
from shiftwork.agents.protocol import AgentBackend, Conversation
from shiftwork.contracts.sandbox import Profile
from shiftwork.contracts.session import Spent
from shiftwork.errors import RepositoryError
from shiftwork.repository.files import remove_tree
from shiftwork.runner.leftovers import end_leftovers
from shiftwork.store.rows import Attempt, AttemptRow, ProjectRow, SessionRow, Totals

CRASHED = "crashed"
"""The outcome of an attempt whose agent crashed and is gone on with."""

log = logging.getLogger("shiftwork.activities")


@dataclass(frozen=True, slots=True)
class Resumption:
    """A conversation to go on with.

    Attributes:
        kept_commit: the files as it left them; None: as in main.
        intact: False: they were other ones, which are lost.
    """

    conversation: Conversation
    kept_commit: str | None = None
    intact: bool = True

    @classmethod
    def of(cls, attempt: AttemptRow, used: Totals, *, intact: bool = True) -> "Resumption":
        """Going on where this attempt ended; `used`: what is recorded of its conversation."""
        counted = Spent(**used.model_dump(include=set(Spent.model_fields)))
        conversation = Conversation(attempt.conversation, resumed=True, counted=counted)
        return cls(conversation, attempt.kept_commit, intact)


class Predecessors:
    """What earlier attempts of one session left on this host.

    Args:
        home: where their programs kept their conversations; None: the session's own.
    """

    def __init__(
        self,
        services: Services,
        project: ProjectRow,
        session: SessionRow,
        attempt: Attempt,
        *,
        home: Path | None = None,
    ) -> None:
        self._services = services
        self._folder = services.folder(project.id)
        self._home = home or self._folder.home(session.number)
        self._project = project
        self._session = session
        self._attempt = attempt
        self._found: set[int] = set()
        """Lost attempts whose files were found here, changed or not."""
        self._unkept: set[int] = set()
        """Those whose files were found and can't be stored."""

    async def end(self) -> None:
        """End their processes, keep their work as commits, and take their folders back."""
        for row in await self._rows():
            name = self._folder.attempt_name(self._session.number, row.attempt)
            run_folder = self._folder.runs / name
            if run_folder.exists():
                await end_leftovers(run_folder)
            if row.ended_at is None:
                await self._lose(row, name)
            await asyncio.to_thread(remove_tree, run_folder, ignore_errors=True)
            await self._folder.take_back(name)

    async def lost(self) -> tuple[int, str | None]:
        """How many attempts in a row lost their worker, up to this one, and the work of the last of them."""
        lost = list(takewhile(lambda row: row.outcome == "lost", reversed(await self._rows())))
        return len(lost), lost[0].kept_commit if lost else None

    async def crashed(self) -> int:
        """How many attempts of this session ended in a crash that the next one went on from."""
        return sum(row.outcome == CRASHED for row in await self._rows())

    async def resumption(self, backend: AgentBackend) -> Resumption | None:
        """Whether the last attempt's conversation can be gone on with here; None: start anew."""
        rows = _begun(backend, await self._rows())
        last = rows[-1] if rows else None
        if last is None or not self.can_resume(backend) or not last.conversation:
            return None
        same = {row.attempt for row in rows if row.conversation == last.conversation}
        source = Source(self._session, last, same)
        found = await find_conversation(self._services, source, self._home, backend.conversation_file)
        if found is None:
            return None
        async with self._services.store.transaction() as tx:
            used = await tx.usage.of_conversation(self._session.id, last.conversation)
        files_here = last.attempt in self._found or (found is Place.HERE and last.attempt not in self._unkept)
        intact = files_here or last.outcome != "lost" or last.kept_commit is not None
        return Resumption.of(last, used, intact=intact)

    async def none_began(self, backend: AgentBackend) -> bool:
        """Whether no agent ran in this session yet."""
        return not _begun(backend, await self._rows())

    def can_resume(self, backend: AgentBackend) -> bool:
        options = self._project.options.sandbox
        same_path = options.profile is not Profile.OPEN and self._services.sandbox.moves_binds
        return backend.can_resume and (same_path or backend.resumes_elsewhere)

    async def _rows(self) -> list[AttemptRow]:
        async with self._services.store.transaction() as tx:
            rows = await tx.attempts.list(self._session.id)
        return [row for row in rows if row.attempt < self._attempt.attempt]

    async def _lose(self, row: AttemptRow, name: str) -> None:
        kept = await self._keep(row, name)
        async with self._services.store.transaction() as tx:
            await tx.attempts.lose(self._session.id, row.attempt, self._attempt.token, kept)

    async def _keep(self, row: AttemptRow, name: str) -> str | None:
        """The files that a lost attempt left, as a commit; None if there is nothing that can be kept."""
        pool = self._folder.workspaces
        if row.base is None or name not in pool.leftovers():
            return None
        made = [path for command in self._project.options.setup for path in command.outputs]
        try:
            guard = self._services.guard(self._project)
            taken = await self._folder.repository.snapshot(
                pool.reclaim(name), row.base, name, exclude=made, guard=guard
            )
        except RepositoryError as error:
            self._unkept.add(row.attempt)
            log.warning("the work of lost attempt %s can't be kept: %s", name, error)
            return None
        self._found.add(row.attempt)
        return taken.commit if taken.changed else None


def _begun(backend: AgentBackend, rows: list[AttemptRow]) -> list[AttemptRow]:
    """The attempts up to the last whose agent may have run.

    Where we choose the conversation, it is written before the start: what was lost without one ran nothing.
    """
    chosen = backend.new_conversation() is not None
    while rows and chosen and not rows[-1].conversation and rows[-1].outcome == "lost":
        rows = rows[:-1]
    return rows
