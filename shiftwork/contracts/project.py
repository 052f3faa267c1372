"""Projects: their status and their options."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator

from shiftwork.contracts.base import Message
from shiftwork.contracts.feature import FeatureCategory
from shiftwork.contracts.limits import AgentLimits
from shiftwork.contracts.plan import SetupCommand, setup_commands
from shiftwork.contracts.prices import Prices
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.contracts.session import Role


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
    fallbacks: Annotated[tuple["AgentOptions", ...], Field(max_length=10)] = ()
    """Who does it while this one's provider is down, out of quota or refuses us: the first that can."""

    @field_validator("fallbacks")
    @classmethod
    def _fall_back_no_further(cls, fallbacks: tuple["AgentOptions", ...]) -> tuple["AgentOptions", ...]:
        if any(fallback.fallbacks for fallback in fallbacks):
            raise ValueError("a fallback has no fallbacks of its own: list them one after the other")
        return fallbacks


class AgentPlace(Message):
    """Which of a project's agents is meant: where it stands among the options.

    Attributes:
        role: the one that plays this role as an agent of its own; None: the project's own agent.
        category: the one that does the features of this category as an agent of its own; instead of `role`.
        fallback: which of that one's fallbacks, the first is 1; None: itself.
    """

    role: Role | None = None
    category: FeatureCategory | None = None
    fallback: int | None = None


class CategoryOptions(Message):
    """Who does the features of one category.

    Attributes:
        role: what the agent is asked to be; None: what the category asks for.
        agent: who it is; None: whoever plays that role.
    """

    role: Role | None = None
    agent: AgentOptions | None = None

    @field_validator("role")
    @classmethod
    def _does_features(cls, role: Role | None) -> Role | None:
        if role in (Role.INITIALIZER, Role.VERIFIER):
            raise ValueError(f"the {role} does no features; the roles that do are {', '.join(_WORKING)}")
        return role


_WORKING = (Role.SESSION, Role.RESEARCH, Role.TESTING, Role.DOCUMENTATION)


class ProjectOptions(Message):
    """What a person decides about a project.

    Attributes:
        agent: who plays every role that `roles` does not give to another.
        roles: who plays which role. Steps without a command are judged if there is a `verifier`.
        categories: who does the features of which category, where that is not whoever plays its role.
        prompts: what the agent of a role is told instead of what we would tell it.
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
    roles: dict[Role, AgentOptions] = {}
    categories: dict[FeatureCategory, CategoryOptions] = {}
    prompts: dict[Role, Annotated[str, Field(min_length=1, max_length=50_000)]] = {}
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
