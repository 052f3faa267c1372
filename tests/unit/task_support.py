"""What the tests of processors share: assignments by hand, and the equipment of a worker."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shiftwork.contracts.task import TaskStatus, TaskUsage
from shiftwork.gateway import Gateway
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.store.task_rows import TaskRow
from shiftwork.tasks.processing import Assignment, Equipment


@dataclass
class Told:
    """What a processor told of a task that ran."""

    facts: list[Mapping[str, Any]] = field(default_factory=list)
    refuse: Exception | None = None

    async def tell(self, trace: Mapping[str, Any]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.facts.append(trace)


def assignment(
    told: Told | None = None,
    instruction: str = "",
    *,
    attempt: int = 1,
    timeout: float = 20,
    usage: TaskUsage | None = None,
    of: str = "noop",
    **parameters: Any,
) -> Assignment:
    """A task that runs, of some provider."""
    now = datetime.now(UTC)
    nothing = dict.fromkeys(
        ("agent_id", "agent_version", "request_key", "scheduled_at", "result", "error", "error_kind")
    )
    row = TaskRow(
        **nothing,
        id=7,
        uuid="3d6f1a5e-0000-4000-8000-000000000007",
        user_id="",
        provider=of,
        instruction=instruction,
        parameters=parameters,
        status=TaskStatus.RUNNING,
        trace={},
        usage=usage,
        worker="here:1",
        attempt=attempt,
        token=1,
        created_at=now,
        started_at=now,
        ended_at=None,
        duration=None,
    )
    return Assignment(
        task=row,
        agent=None,
        handoff=None,
        parameters=parameters,
        timeout=timeout,
        max_output_bytes=100_000,
        folder=Path("never-made"),
        tell=(told or Told()).tell,
    )


@asynccontextmanager
async def equipment(state: Path, **environ: str) -> AsyncIterator[Equipment]:
    """What a worker with these settings lends its processors."""
    async with Gateway() as gateway:
        settings = Settings.from_environment({"SHIFTWORK_STATE": str(state), **environ})
        yield Equipment(settings, gateway, LazyRedactor({}))
