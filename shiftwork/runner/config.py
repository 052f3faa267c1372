"""What a runner and its agents are told, and what they say of themselves."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from shiftwork.runner.failures import InvalidContext
from shiftwork.runner.limits import Limits
from shiftwork.sandbox.base import LEASE, Sandbox

OutputPolicy = Literal["drop", "wait"]


class AgentStatus(StrEnum):
    """The states of an agent.

    `idle` agents wait in a pool. `completed` means exit status 0 and, where its events were read, that the
    agent itself did not say that it had failed. `terminated` agents were ended by us or by a signal.
    """

    IDLE = "idle"
    INITIALIZING = "initializing"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    TERMINATED = "terminated"


class AgentSignal(StrEnum):
    """What can be sent to every process of an agent."""

    INTERRUPT = "INT"
    TERMINATE = "TERM"
    KILL = "KILL"
    PAUSE = "STOP"
    RESUME = "CONT"


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How an agent ended.

    Attributes:
        code: in the shell's convention: 128 + n after signal n.
        signal: that n, or None.
    """

    code: int
    signal: int | None = None

    @property
    def success(self) -> bool:
        """Whether the exit status is 0."""
        return self.code == 0


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """One agent to start.

    Attributes:
        name: what people call it; appears in logs.
        model_backend: a backend ("claude", "opencode", …), a key of `ProcessRunnerConfig.commands`, or a
            program on `PATH` (a trailing "-cli" may be left out there).
        task: what it is to do.
        context: what it should know; follows the task in its prompt.
        system_prompt: what it is told beside its own instructions.
        environment: what is added to the short environment that every child gets.

    Raises:
        InvalidContext: a field is empty, or can't be handed to a program.
    """

    name: str
    model_backend: str
    task: str
    context: str | None = None
    system_prompt: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for what in ("name", "model_backend", "task"):
            if not str(getattr(self, what)).strip():
                raise InvalidContext(f"An agent's {what!r} is empty; give it one.", field=what)
        for what in ("name", "model_backend", "task", "context", "system_prompt"):
            if wrong := _unusable(getattr(self, what) or ""):
                raise InvalidContext(f"An agent's {what!r} holds {wrong}; remove it.", field=what)
        for name, value in self.environment.items():
            if not name or "=" in name or _unusable(name):
                raise InvalidContext(
                    f"The environment variable {name!r} can't be given to a program; rename it.",
                    field="environment",
                )
            if wrong := _unusable(value):
                raise InvalidContext(
                    f"The environment variable {name!r} holds {wrong}; remove it.", field="environment"
                )


@dataclass(frozen=True, slots=True)
class ProcessRunnerConfig:
    """How a runner treats its agents.

    Attributes:
        working_dir: where they run; None: in our own folder.
        enable_json_streaming: `AgentHandle.events` understands the backend's output; else every line is text.
        enable_health_checks: look after them every `health_check_interval_secs`.
        health_check_interval_secs: seconds between two looks; less where `stall_timeout` is shorter.
        max_concurrent_agents: how many may live at once; None: any number.
        commands: argv templates by `model_backend`, where `{task}` stands for the prompt; they go before
            backends of the same name.
        output: what happens when standard output is not read: "drop" keeps the newest and counts the rest,
            "wait" makes the agent wait. Standard error is always dropped.
        max_output_size: bytes kept of each stream until they are read.
        limits: what one agent may use, applied by the sandbox; None: no limits.
        wall_time: seconds an agent may live; None: for ever.
        stall_timeout: seconds without output and without CPU time after which an agent counts as stalled.
        sandbox: what holds an agent's processes together; None: the strongest that works here,
            if it reaches `SHIFTWORK_SANDBOX_MINIMUM`.
        settings: of each backend, by its name.
        lease: seconds an agent may live while this process, or the event loop that started it, does not run.

    Raises:
        InvalidContext: a value is out of its range.
    """

    working_dir: Path | str | None = None
    enable_json_streaming: bool = True
    enable_health_checks: bool = True
    health_check_interval_secs: float = 30
    max_concurrent_agents: int | None = None
    commands: Mapping[str, Sequence[str]] = field(default_factory=dict)
    output: OutputPolicy = "drop"
    max_output_size: int = 1_000_000
    limits: Limits | None = None
    wall_time: float | None = None
    stall_timeout: float | None = None
    sandbox: Sandbox | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    lease: float = LEASE

    def __post_init__(self) -> None:
        for what in (
            "health_check_interval_secs",
            "max_concurrent_agents",
            "max_output_size",
            "wall_time",
            "stall_timeout",
            "lease",
        ):
            value = getattr(self, what)
            if value is not None and value <= 0:
                raise InvalidContext(
                    f"The runner's {what!r} is {value!r}; it must be more than 0.", field=what
                )
        if self.output not in ("drop", "wait"):
            raise InvalidContext(
                f"The runner's 'output' is {self.output!r}; it must be 'drop' or 'wait'.", field="output"
            )
        for name, argv in self.commands.items():
            if isinstance(argv, str) or not argv or not all(isinstance(word, str) for word in argv):
                raise InvalidContext(
                    f"The command for {name!r} must be a list: a program and its arguments.", field="commands"
                )
            if wrong := next(filter(None, map(_unusable, argv)), ""):
                raise InvalidContext(f"The command for {name!r} holds {wrong}; remove it.", field="commands")


def _unusable(text: str) -> str:
    """What keeps a text from being given to a program, in words; '' if nothing does."""
    if "\0" in text:
        return "a NUL character"
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        return f"the character {text[error.start]!r}, which no encoding has"
    return ""


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """What a runner knows of one of its agents.

    Attributes:
        exit: how it ended; None while it lives.
        stalled_since: when it was last seen to do something, if it has not for `stall_timeout`.
    """

    id: str
    name: str
    model_backend: str
    task: str
    status: AgentStatus
    pid: int
    started_at: datetime
    ended_at: datetime | None = None
    exit: ExitStatus | None = None
    stalled_since: datetime | None = None
