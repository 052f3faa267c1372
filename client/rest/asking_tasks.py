"""What requests about tasks, agents, schedules and handoffs hold."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, JsonValue, ValidationError
from pydantic_core import PydanticCustomError

from client.agents import patched_configuration
from client.merging import merged, patch_of
from client.rest.asking import Asked, example
from client.rest.problems import PATCHED, WITHIN
from client.task_inputs import MOST_INSTRUCTION, MOST_USER_ID
from client.tasks import AGENT_PROVIDER
from client.vetting import check_hosts
from client.wording import first_place
from shiftwork.agents.python.telling import MOST_CODE_BYTES
from shiftwork.contracts.agent import PYTHON, AgentConfiguration, Expression, Overlap
from shiftwork.contracts.base import Name
from shiftwork.contracts.limits import AgentLimits
from shiftwork.errors import InvalidInput
from shiftwork.store.agents import AgentDefinition

LARGEST_ID = 2**63 - 1
MOST_WAIT_SECONDS = 300
_LARGEST_LIMIT = 1_000_000_000
_FIRST_YEAR, _LAST_YEAR = 1970, 9000

Kind = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_-]{0,59}$",
        description="`python`, whose definition is code, or the name of a backend, such as `claude`.",
    ),
]


def _short(value: str | int) -> str | int:
    if isinstance(value, str) and not 0 < len(value) <= 200:
        raise PydanticCustomError("length", "must have 1 to 200 characters")
    return value


AgentName = Annotated[
    str | Annotated[int, Field(strict=True, ge=1, le=LARGEST_ID)],
    Field(description="Which agent, by name or id."),
    AfterValidator(_short),
]
Instruction = Annotated[str, Field(max_length=MOST_INSTRUCTION, description="What is asked for, in words.")]
Parameters = Annotated[
    dict[Annotated[str, Field(max_length=200)], JsonValue],
    Field(description="What the run is given; the agent's own stay where these say nothing else."),
]
Description = Annotated[str, Field(max_length=20_000, description="What it is for, for people.")]
Code = Annotated[
    str | None,
    Field(max_length=MOST_CODE_BYTES, description="Python code, of kind `python` alone; null: none yet."),
]
Settings = Annotated[
    dict[Annotated[str, Field(max_length=200)], JsonValue],
    Field(max_length=100, description="Of its backend; of kind `python` none."),
]
Note = Annotated[str, Field(max_length=1000, description="Kept and shown.")]


def _known_config(value: object) -> object:
    """What of a configuration is not known is refused at every depth, and so is a limit beyond measure."""
    if not isinstance(value, dict):
        return value
    try:
        config = AgentConfiguration.model_validate(value, extra="forbid")
    except ValidationError as error:
        place, said = first_place(error, AgentConfiguration)
        raise _wrong(place, said) from None
    for name in AgentLimits.model_fields:
        limit = getattr(config.limits, name)
        if limit is not None and limit > _LARGEST_LIMIT:
            raise _wrong(("limits", name), f"must be {_LARGEST_LIMIT} or less, or null, which is no limit")
    if fault := _fault_of_hosts(config):
        raise _wrong(*fault)
    return value


def _fault_of_hosts(config: AgentConfiguration) -> tuple[tuple[int | str, ...], str] | None:
    """What is wrong with the hosts that its runs may reach: where, and a sentence."""
    try:
        check_hosts(config.sandbox)
    except InvalidInput as error:
        place, _, said = str(error).partition(": ")
        return tuple(place.split(".")), said.removesuffix(".")
    return None


def _wrong(place: tuple[int | str, ...], said: str) -> PydanticCustomError:
    return PydanticCustomError("config", "{said}", {"said": said, WITHIN: place})


Configuration = Annotated[
    AgentConfiguration, BeforeValidator(_known_config), Field(description="How it is run, and when.")
]


def patched(config: Mapping[str, Any], asked: "ChangeAgent") -> AgentConfiguration:
    """The configuration that a change makes; raises `RequestValidationError`."""
    try:
        made = AgentConfiguration.model_validate(config)
        fault = _fault_of_hosts(made)
    except ValidationError as error:
        fault = first_place(error, AgentConfiguration)
    if fault is None:
        return made
    place, said = fault
    problem = {"type": PATCHED, "loc": ("body", "config", *place), "msg": said}
    raise RequestValidationError([problem], body=asked.model_dump(exclude_unset=True))


class ConfigurationPatch(patch_of(AgentConfiguration)):  # type: ignore[misc]  # made of that one's fields
    """What of a configuration changes; null takes a parameter, a schedule or a limit away.

    Any other field goes back to its default by null.
    """


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[T ]")


def _near(moment: datetime) -> datetime:
    if not _FIRST_YEAR < moment.year < _LAST_YEAR:
        raise PydanticCustomError("year", "must be after 1970, and before 9000")
    return moment.astimezone(UTC)


def _written_out(moment: object) -> object:
    if isinstance(moment, str) and not _DATE.match(moment):  # a number would be seconds since 1970
        raise PydanticCustomError("written_out", "must be written out: 2026-01-05T00:00:00Z")
    return moment


Instant = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_near)]


class CreateTask(Asked):
    """A task that nothing runs yet."""

    model_config = example(agent="price-watcher", parameters={"symbol": "ACME"}, user_id="ann")

    provider: Annotated[
        str,
        Field(
            pattern=r"^[a-z][a-z0-9_-]{0,59}$",
            description="Who does it: `agent`, a registered agent, or another that workers have.",
        ),
    ] = AGENT_PROVIDER
    agent: Annotated[AgentName | None, Field(description="Of provider `agent`: which, by name or id.")] = None
    instruction: Instruction = ""
    user_id: Annotated[str, Field(max_length=MOST_USER_ID, description="For whom, in words of your own.")] = (
        ""
    )
    parameters: Parameters = {}


Timeout = Annotated[
    float | None,
    Field(gt=0, le=7 * 86_400, description="Seconds it may take; null: what its agent's configuration says."),
]
Wait = Annotated[
    float,
    Field(
        ge=0,
        le=MOST_WAIT_SECONDS,
        description="Answer with the ended task if it ends within so many seconds.",
    ),
]


class StartTask(Asked):
    """How to run it."""

    model_config = example(timeout=60)

    timeout: Timeout = None
    wait: Wait = 0.0


class ExecuteAgent(Asked):
    """Which agent runs now, and with what."""

    model_config = example(agent="price-watcher", parameters={"symbol": "ACME"}, wait=10)

    agent: AgentName
    instruction: Instruction = ""
    parameters: Parameters = {}
    timeout: Timeout = None
    wait: Wait = 0.0


class RegisterAgent(Asked):
    """A new agent."""

    model_config = example(
        name="price-watcher",
        kind=PYTHON,
        code="print(parameters['symbol'])",
        config={"schedule": "0 9 * * MON-FRI", "parameters": {"symbol": "ACME"}},
    )

    name: Annotated[Name, Field(description="New, one line, and not a number.")]
    kind: Kind = PYTHON
    description: Description = ""
    code: Code = None
    settings: Settings = {}
    config: Configuration = AgentConfiguration()


class ChangeAgent(Asked):
    """What of an agent changes, as a JSON merge patch (RFC 7396): what is left out stays, at every depth."""

    model_config = example(config={"timeout": 60, "parameters": {"symbol": "EMCA"}})

    kind: Kind = PYTHON
    description: Annotated[
        Description | None, Field(description="What it is for, for people; null: nothing.")
    ] = ""
    code: Code = None
    settings: Annotated[
        Settings | None, Field(description="Of its backend; null takes one away, or all.")
    ] = {}
    config: Annotated[
        ConfigurationPatch | None,
        Field(description="How it is run, and when; null takes one away, or all; of limits it is no limit."),
    ] = None

    def of(self, before: AgentDefinition) -> dict[str, Any]:
        """The fields that change, with what they are then; a configuration is not checked yet."""
        patch = self.model_dump(exclude_unset=True)
        changed = merged(before.model_dump(include=set(patch)), patch)
        if "config" in patch:
            changed["config"] = patched_configuration(before.config, patch["config"])
        return {name: changed.get(name, AgentDefinition.model_fields[name].default) for name in patch}


class PutSchedule(Asked):
    """When an agent runs by itself."""

    model_config = example(schedule="0 9 * * MON-FRI", timezone="Europe/Berlin")

    schedule: Annotated[
        Expression,
        Field(description="Five fields of cron, or an interval such as `@every 90s`."),
    ]
    timezone: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=100,
            description="Whose clock all schedules of the agent are read by; null: as it is.",
        ),
    ] = None


class PauseSchedule(Asked):
    """Why."""

    model_config = example(note="The exchange is closed.")

    note: Note = ""


class Backfill(Asked):
    """Which time to make up for."""

    model_config = example(start="2026-01-05T00:00:00Z", end="2026-01-06T00:00:00Z")

    start: Annotated[Instant, Field(description="With a time zone; what is due then is among them.")]
    end: Annotated[Instant, Field(description="With a time zone; what is due then is among them.")]
    overlap: Annotated[Overlap, Field(description="What becomes of a run that meets another.")] = (
        Overlap.BUFFER_ALL
    )


class SaveHandoff(Asked):
    """What the agent's next run is to know."""

    model_config = example(state={"runs": 1}, summary="Looked once.")

    observations: dict[str, JsonValue] = {}
    actions: list[dict[str, JsonValue]] = []
    state: Annotated[dict[str, JsonValue], Field(description="What its next run goes on from.")] = {}
    metadata: dict[str, JsonValue] = {}
    summary: Annotated[str, Field(max_length=2000, description="For people.")] = ""
    task_id: Annotated[
        int | None, Field(ge=1, le=LARGEST_ID, description="The run of this agent that leaves it.")
    ] = None
    ttl_days: Annotated[
        float | None,
        Field(gt=0, le=36_500, description="After so many days it is never loaded; null: never."),
    ] = 30.0

    def parts(self) -> dict[str, Any]:
        """The four parts of a context."""
        return {name: getattr(self, name) for name in ("observations", "actions", "state", "metadata")}
