"""Checkpoints: landings to which a project can be taken back."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from shiftwork.errors import InvalidInput, NotFound
from shiftwork.store.noun import Noun
from shiftwork.store.rows import CheckpointRow
from shiftwork.store.tables import CheckpointTable

_SHORTEST = 4
"""The fewest characters of a commit that are taken for its beginning, as in git."""


class Checkpoints(Noun):
    """The rows of `checkpoints`."""

    async def add(
        self, project_id: str, commit: str, session_id: int | None, passing: Sequence[int]
    ) -> CheckpointRow:
        """The checkpoint of this commit: inserted the first time, found again after that."""
        values = {
            "project_id": project_id,
            "commit": commit,
            "session_id": session_id,
            "passing": sorted(passing),
        }
        statement = insert(CheckpointTable).values(values).on_conflict_do_nothing().returning(CheckpointTable)
        return await self._first(statement, CheckpointRow) or await self.get(project_id, commit)

    async def get(self, project_id: str, ref: str) -> CheckpointRow:
        """The checkpoint of this commit, or of the one that begins so.

        Raises:
            NotFound: there is none.
            InvalidInput: the beginning fits several.
        """
        of_project = select(CheckpointTable).where(CheckpointTable.project_id == project_id)
        text = ref.strip().lower()
        exact = await self._first(of_project.where(CheckpointTable.commit == text), CheckpointRow)
        if exact is not None:
            return exact
        begins = func.starts_with(CheckpointTable.commit, text.replace("\0", ""))
        found = await self._all(of_project.where(begins).limit(2), CheckpointRow)
        if not found or len(text) < _SHORTEST:
            raise NotFound(f"The project has no checkpoint {ref!r}; `shiftwork logs` shows its landings.")
        if len(found) > 1:
            raise InvalidInput(f"The commit {ref!r} could mean several checkpoints; write more of it.")
        return found[0]

    async def count(self, project_id: str) -> int:
        """How many checkpoints the project has."""
        return await self._number_of(
            select(CheckpointTable.id).where(CheckpointTable.project_id == project_id)
        )

    async def list(self, project_id: str, limit: int = 100) -> list[CheckpointRow]:
        """The project's checkpoints, newest first."""
        statement = (
            select(CheckpointTable)
            .where(CheckpointTable.project_id == project_id)
            .order_by(CheckpointTable.id.desc())
            .limit(limit)
        )
        return await self._all(statement, CheckpointRow)
