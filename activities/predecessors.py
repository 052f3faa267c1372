"""Earlier attempts of a session: ended, their work kept, and gone on with where that is possible."""

import asyncio
import logging
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from activities.conversations import bring_copy
from activities.services import Services
from shiftwork.agents.home import PrivateHome
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
        rows = await self._rows()
        last = rows[-1] if rows else None
        if last is None or not self.can_resume(backend) or not last.conversation:
            return None
        here = last.host == self._services.host
        if not await self._has_conversation(backend.conversation_file, rows, here=here):
            return None
        async with self._services.store.transaction() as tx:
            used = await tx.usage.of_conversation(self._session.id, last.conversation)
        intact = here or last.outcome != "lost" or last.attempt in self._found
        return Resumption.of(last, used, intact=intact)

    async def _has_conversation(self, file: str | None, rows: list[AttemptRow], *, here: bool) -> bool:
        """Whether the last conversation is in the session's home, or was put there from its copy.

        Args:
            here: whether it was on this host; what the home of another holds is older.
        """
        home, last = self._home, rows[-1].conversation
        if file is None:
            return here and home.is_dir()
        if here and PrivateHome(home).changed(file) is not None:
            return True
        attempts = {row.attempt for row in rows if row.conversation == last}
        return await bring_copy(self._services, self._session.id, attempts, home, file)

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
            log.warning("the work of lost attempt %s can't be kept: %s", name, error)
            return None
        self._found.add(row.attempt)
        return taken.commit if taken.changed else None
