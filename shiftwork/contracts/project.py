"""Projects: their status and their options."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator

from shiftwork.contracts.base import Message
from shiftwork.contracts.limits import AgentLimits
from shiftwork.contracts.plan import SetupCommand, setup_commands
from shiftwork.contracts.prices import Prices
from shiftwork.contracts.sandbox import SandboxOptions


class ProjectStatus(StrEnum):
    """Where a project stands."""

    INITIALIZING = "initializing"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    ABANDONED = "abandoned"


class RetryOptions(Message):
    """How often and how soon infrastructure failures are tried again (never the agent's own failures)."""

    initial_interval: Annotated[float, Field(gt=0)] = 1.0
    backoff: Annotated[float, Field(ge=1)] = 2.0
    maximum_interval: Annotated[float, Field(gt=0)] = 60.0
    maximum_attempts: Annotated[int, Field(ge=0)] = 0
    """0 means without limit: a database that is down costs time, never work."""
    maximum_lost_workers: Annotated[int, Field(ge=0)] = 5
    """How often in a row a session's worker may be lost until a person is asked: each time may cost money,
    and the agent may be what ends it. 0 means without limit."""


class AgentOptions(Message):
    """Which backend does the sessions, and its settings."""

    backend: str = "scripted"
    settings: dict[str, JsonValue] = {}
    """For `scripted`: `cassette`, the absolute path of the cassette file; for others see their page."""
    prices: Prices | None = None
    """What the model's tokens cost, where no price table knows it."""


class ProjectOptions(Message):
    """What a person decides about a project.

    Attributes:
        autorun: go from session to session; otherwise one at a time, each asked for by `run_session`.
        max_sessions: sessions from a start or resume until the project pauses; None: no limit.
        max_attempts: attempts a feature may cost before it is blocked.
        max_parallel: sessions at once.
        verification_timeout: seconds one verification step may take, unless it says otherwise.
        session_timeout: seconds one agent may run.
        stall_timeout: seconds one agent may go without any output and any work of its processes; None: any.
        limits: what the processes of one agent may use.
        sandbox: what agents and commands may touch.
        budget_usd: what the project may cost; None: no limit.
        setup: commands that prepare workspaces and checkouts.
        setup_is_planned: they are those of an agent's plan, because no person gave any.
        secrets_allowed_in: paths, as patterns of the shell, that may hold what looks like a token of a known
            kind: test data. A secret that the worker knows may be nowhere.
    """

    agent: AgentOptions = AgentOptions()
    autorun: bool = True
    max_sessions: Annotated[int, Field(ge=1)] | None = None
    max_attempts: Annotated[int, Field(ge=1)] = 5
    max_parallel: Annotated[int, Field(ge=1, le=64)] = 1
    verification_timeout: Annotated[float, Field(gt=0)] = 120.0
    session_timeout: Annotated[float, Field(gt=0)] = 3600.0
    stall_timeout: Annotated[float, Field(gt=0)] | None = 900.0
    limits: AgentLimits = AgentLimits()
    sandbox: SandboxOptions = SandboxOptions()
    budget_usd: Annotated[float, Field(ge=0)] | None = None
    setup: tuple[SetupCommand, ...] = ()
    setup_is_planned: bool = False
    secrets_allowed_in: tuple[str, ...] = ()
    retry: RetryOptions = RetryOptions()

    _strings = field_validator("setup", mode="before")(setup_commands)


PauseMode = Literal["after_session", "at_once"]
