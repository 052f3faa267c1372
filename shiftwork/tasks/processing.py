"""What processes a task, and what it is given and gives back."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from shiftwork.contracts.task import TaskErrorKind
from shiftwork.errors import InvalidInput
from shiftwork.gateway import Gateway
from shiftwork.handoffs import HandoffContext
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.store.agents import AgentRow
from shiftwork.store.task_rows import TaskRow

Tell = Callable[[Mapping[str, JsonValue]], Awaitable[None]]
"""Adds to the trace of a task that runs; for progress that people can see."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task, and all that is needed for it.

    Attributes:
        agent: whose run it is, as it was when the task was made; None: a provider's task.
        handoff: what the agent's last run left, if there is something that has not expired.
        parameters: the agent's own, with the task's before them.
        timeout: seconds that it may take.
        max_output_bytes: so much of each output is kept.
        folder: of this attempt alone, empty; removed after it.
        tell: adds to the task's trace.
    """

    task: TaskRow
    agent: AgentRow | None
    handoff: HandoffContext | None
    parameters: Mapping[str, JsonValue]
    timeout: float
    max_output_bytes: int
    folder: Path
    tell: Tell


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a worker lends its processors when it makes them.

    Attributes:
        settings: the worker's.
        gateway: the way to models; it holds their keys, and counts what is spent.
        redactor: is told secrets before they are used, so that none is stored.
    """

    settings: Settings
    gateway: Gateway
    redactor: LazyRedactor


@dataclass(frozen=True, slots=True)
class Processed:
    """What came of a task.

    Attributes:
        trace: facts to keep with it.
        error: one sentence, if it failed.
        result: what it printed or answered.
        handoff: what it leaves for the agent's next run; None: nothing.
        summary: of the handoff, for people.
    """

    success: bool
    trace: Mapping[str, JsonValue] = field(default_factory=dict)
    error: str | None = None
    error_kind: TaskErrorKind | None = None
    result: str | None = None
    handoff: HandoffContext | None = None
    summary: str = ""


class Processor(Protocol):
    """Processes the tasks of one provider.

    It may run twice for one task: after its worker was lost, another attempt begins it anew.

    Attributes:
        name: the provider that tasks name.
        outward: whether it acts on the world beyond this stack; then a setting has to allow it.
    """

    name: str
    outward: bool

    async def process(self, assignment: Assignment) -> Processed:
        """Carry the task out. What it raises fails the task, if it is a `ShiftworkError`.

        When it is cancelled it ends whatever it started before it returns.
        """


def refuse_outward(provider: str) -> InvalidInput:
    """Why a task that acts beyond this machine is not begun, where no setting allows it."""
    return InvalidInput(
        f"Tasks of {provider!r} act beyond this machine, which no setting allows: name it in "
        "SHIFTWORK_OUTWARD_PROVIDERS where the worker runs."
    )
