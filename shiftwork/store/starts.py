"""Projects whose workflow is to be started: written with the project, gone once it was started."""

from shiftwork.contracts.base import Message
from shiftwork.contracts.project import ProjectStatus
from shiftwork.store.noun import Noun

_ADD = "INSERT INTO project_starts (project_id) VALUES ($1::uuid) ON CONFLICT DO NOTHING RETURNING project_id"

_OVERDUE = """
SELECT id::text AS id, name, status FROM project_starts JOIN projects ON id = project_id
WHERE project_starts.created_at < clock_timestamp() - make_interval(secs => $1)
ORDER BY project_starts.created_at, id LIMIT $2
"""

_DONE = "DELETE FROM project_starts WHERE project_id = $1::uuid RETURNING project_id"


class Unstarted(Message):
    """What is needed of a project to start its workflow."""

    id: str
    name: str
    status: ProjectStatus


class ProjectStarts(Noun):
    """The rows of `project_starts`."""

    async def add(self, project_id: str) -> None:
        """Its workflow is to be started, by whoever made it or, if that ended, by somebody else."""
        await self._run(_ADD, project_id)

    async def overdue(self, seconds: float, limit: int) -> list[Unstarted]:
        """Those that were made longer ago, oldest first."""
        return [Unstarted.model_validate(row) for row in await self._run(_OVERDUE, float(seconds), limit)]

    async def done(self, project_id: str) -> None:
        """It was started, or need not be any more; may be said at any time."""
        await self._run(_DONE, project_id)
