"""Maintenance: what it is started with, and what it removed."""

from shiftwork.contracts.base import Message
from shiftwork.contracts.workflow import Timeouts


class MaintenanceStart(Message):
    """The input of the workflow."""

    timeouts: Timeouts = Timeouts()


class Places(Message):
    """The state folders in which a worker works."""

    names: tuple[str, ...] = ()


class MaintenanceSummary(Message):
    """What one run of the maintenance removed or ended.

    Attributes:
        handoffs: that had expired.
        transcript_items: older than transcripts are kept.
        requests: idempotency keys that are no longer remembered.
        tasks: that were `running`, and that nothing ran any more.
        evaluations: that had not ended, and that nothing played: they were ended, or begun.
        projects: whose maker ended before it could start them: they were begun.
        folders: of attempts, of tasks and of sessions, that nobody needs any more.
        references: candidates of ended sessions, in private repositories.
        places: how many state folders were looked through.
        failed: what could not be done, one sentence each; the next run tries it again.
    """

    handoffs: int = 0
    transcript_items: int = 0
    requests: int = 0
    tasks: int = 0
    evaluations: int = 0
    projects: int = 0
    folders: int = 0
    references: int = 0
    places: int = 0
    failed: tuple[str, ...] = ()
