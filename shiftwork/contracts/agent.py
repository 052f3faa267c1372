"""Registered agents: what they are, and how they are run."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator

from shiftwork.contracts.base import Document
from shiftwork.contracts.limits import AgentLimits
from shiftwork.contracts.prices import Prices
from shiftwork.contracts.sandbox import SandboxOptions

PYTHON: Final = "python"
"""The kind whose definition is Python code; every other kind is the name of a backend."""


MOST_DOLLARS: Final = 1_000_000_000
MOST_TOKENS: Final = 10**15
"""Of any budget of a run: more is no limit."""


class Overlap(StrEnum):
    """What becomes of a scheduled run while another run of the same agent goes on."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    """It waits, if no other does."""
    BUFFER_ALL = "buffer_all"
    ALLOW_ALL = "allow_all"
    """It runs beside the other."""


class WorkspaceMode(StrEnum):
    """What folder a run works in."""

    FRESH = "fresh"
    """An empty one of its own, which is removed after it."""
    KEEP = "keep"
    """The agent's, as its last run on this host left it."""


class RunLimits(AgentLimits):
    """What one run may use, written by people: an unknown limit is refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunSandbox(SandboxOptions):
    """What one run may touch, written by people: as a project says it, and what is unknown is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("setup_hosts")
    @classmethod
    def _there_is_no_setup(cls, hosts: tuple[str, ...] | None) -> None:
        if hosts is not None:
            raise ValueError("a registered agent has no set-up commands that could reach a host")

    @property
    def options(self) -> SandboxOptions:
        """The same, as those who confine processes know it."""
        return SandboxOptions(**self.model_dump())


Expression = Annotated[str, Field(min_length=1, max_length=200)]
SCHEDULE_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
ScheduleId = Annotated[str, Field(pattern=SCHEDULE_ID)]


class AgentConfiguration(Document):
    """How a registered agent is run.

    Attributes:
        schedule: when, as a cron expression of five fields or an interval such as `@every 90s`; None: only
            when somebody asks.
        schedules: further ones, each by an id of its own.
        timezone: whose clock `schedule` is read by, by its name in the IANA database.
        enabled: whether it is run by its schedule.
        timeout: seconds that one run may take.
        limits: what the processes of a run may use.
        sandbox: what they may touch.
        budget_usd: US dollars that one run may cost, all its attempts together; None: no limit.
        budget_tokens: tokens of every class that it may take; None: no limit.
        prices: what the model's tokens cost, where no price table knows it; None: as the table says.
        overlap: see `Overlap`.
        jitter_seconds: scheduled runs start at random up to so many seconds late.
        catch_up_seconds: a scheduled run that was missed is made up for if it is not later than this.
        retries: how often a run is begun again whose worker was lost; a failure of its own is final.
        workspace: what folder its runs work in.
        parameters: what it is given at each run; a run may be given others.
        handoff_ttl_days: days after which what it leaves for its next run expires.
        max_output_bytes: so much of its standard output, and of its standard error, is kept.
    """

    schedule: Expression | None = None
    schedules: Annotated[dict[ScheduleId, Expression], Field(max_length=100)] = {}
    timezone: Annotated[str, Field(min_length=1, max_length=100)] = "UTC"
    enabled: bool = True
    timeout: Annotated[float, Field(gt=0, le=7 * 86_400)] = 300.0
    limits: RunLimits = RunLimits()
    sandbox: RunSandbox = RunSandbox()
    budget_usd: Annotated[float, Field(ge=0, le=MOST_DOLLARS)] | None = None
    budget_tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)] | None = None
    prices: Prices | None = None
    overlap: Overlap = Overlap.SKIP
    jitter_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    catch_up_seconds: Annotated[float, Field(ge=10, le=366 * 86_400)] = 60.0
    retries: Annotated[int, Field(ge=0, le=100)] = 2
    workspace: WorkspaceMode = WorkspaceMode.FRESH
    parameters: dict[str, JsonValue] = {}
    handoff_ttl_days: Annotated[float, Field(gt=0, le=3_650)] = 30.0
    max_output_bytes: Annotated[int, Field(ge=1, le=16 * 1024 * 1024)] = 1024 * 1024

    @model_validator(mode="after")
    def _one_at_a_time_keeps(self) -> Self:
        if self.workspace is WorkspaceMode.KEEP and self.overlap is Overlap.ALLOW_ALL:
            raise ValueError(
                "the workspace can't be kept ('keep') where runs go beside each other (overlap 'allow_all'): "
                "choose another of the two"
            )
        return self

    @property
    def handoff_ttl(self) -> timedelta:
        """How long what it leaves is loaded."""
        return timedelta(days=self.handoff_ttl_days)
