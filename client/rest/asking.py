"""What requests about projects hold."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import PydanticCustomError

from client.wording import first_problem
from shiftwork.contracts.base import Name, Tags, Text
from shiftwork.contracts.decision import DecisionOutcome
from shiftwork.contracts.feature import FeatureCategory, FeatureStatus, VerificationStep
from shiftwork.contracts.project import PauseMode, ProjectOptions
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput
from shiftwork.specifications import MOST_BYTES, check_specification

Contract = TypeVar("Contract", bound=BaseModel)
Reason = Annotated[str, Field(max_length=2000, description="Kept and shown.")]
Words = Annotated[str, Field(min_length=1, max_length=10_000)]


def example(**fields: Any) -> ConfigDict:
    """What OpenAPI shows as one."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class Asked(BaseModel):
    """Base of all; what is not known is refused: whoever misspells a name means something by it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _known_options(value: object) -> object:
    """Options refuse what they don't know too, though a newer process's are read."""
    if not isinstance(value, dict):
        return value
    try:
        ProjectOptions.model_validate(value, extra="forbid")
    except ValidationError as error:
        raise PydanticCustomError(
            "options", "{said}", {"said": first_problem(error, ProjectOptions)}
        ) from None
    return value


def _fitting(spec: str) -> str:
    """Counted in bytes, as everywhere: the longest that a schema could tell is in characters."""
    try:
        check_specification(spec)
    except InvalidInput as error:
        raise PydanticCustomError("bytes", "{said}", {"said": str(error).removesuffix(".")}) from None
    return spec


class CreateProject(Asked):
    """A new project."""

    model_config = example(
        name="linkshelf",
        spec="# Linkshelf\n\nA self-hosted library of bookmarks.\n",
        repository="/home/me/linkshelf",
        options={"agent": {"backend": "claude"}, "budget_usd": 25},
    )

    name: Annotated[Name, Field(description="A short name that no other project has.")]
    spec: Annotated[
        str,
        Field(
            min_length=1,
            description="What is to be built; the planning agent reads it. At most 1,000,000 bytes of UTF-8.",
            json_schema_extra={"maxLength": MOST_BYTES},
        ),
        AfterValidator(_fitting),
    ]
    description: Annotated[str, Field(max_length=20_000)] = ""
    repository: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=4096,
            description="The git repository where the work is delivered: an absolute path on the machine of "
            "the stack (made if it is missing), or an address. Without one it stays in the project's own.",
        ),
    ] = None
    allow_dirty: Annotated[
        bool, Field(description="Start from the last commit of a repository with uncommitted changes.")
    ] = False
    options: Annotated[
        ProjectOptions,
        BeforeValidator(_known_options),
        Field(description="Who does the work, how far it may go, and what it may touch and cost."),
    ] = ProjectOptions()
    start: Annotated[bool, Field(description="Start it at once; else `POST …/start` does.")] = True


class Pause(Asked):
    """How to pause."""

    model_config = example(mode="after_session", reason="Looking at the plan.")

    mode: Annotated[
        PauseMode, Field(description="`at_once` interrupts running sessions; their work is kept.")
    ] = "after_session"
    reason: Reason = ""


class Resume(Asked):
    """How to go on."""

    model_config = example(max_sessions=5)

    max_sessions: Annotated[
        int | None, Field(ge=1, le=1_000_000, description="Pause again after so many sessions.")
    ] = None
    autorun: Annotated[bool | None, Field(description="Go from session to session from now on.")] = None
    agent_settings: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=200)], JsonValue],
        Field(max_length=100, description="Settings of the agent from now on; null takes one away."),
    ] = {}
    role: Annotated[
        Role | None,
        Field(
            description="Whose settings these are, where a role has an agent of its own; null: the project's."
        ),
    ] = None
    category: Annotated[
        FeatureCategory | None,
        Field(description="The same, where a category has an agent of its own; instead of `role`."),
    ] = None
    fallback: Annotated[
        int | None,
        Field(
            ge=1, le=1_000, description="Which fallback of that agent is meant, the first is 1; null: itself."
        ),
    ] = None


class Abandon(Asked):
    """Why."""

    model_config = example(reason="We bought one.")

    reason: Reason = ""


class Steer(Asked):
    """Guidance."""

    model_config = example(text="Prefer plain SQL to an ORM.", feature="bookmark storage")

    text: Annotated[Words, Field(description="What the sessions to come should know or do.")]
    feature: Annotated[
        str | None,
        Field(
            min_length=1, max_length=200, description="Name or id of the one feature it is for; null: all."
        ),
    ] = None


class Revert(Asked):
    """To where."""

    model_config = example(commit="4f2a91c")

    commit: Annotated[
        str, Field(pattern=r"^[0-9a-f]{4,64}$", description="A checkpoint's commit, or its beginning.")
    ]
    consent: Annotated[bool, Field(description="Commits of people may be undone, too.")] = False


class Budget(Asked):
    """What a project may cost."""

    model_config = example(budget_usd=25)

    budget_usd: Annotated[float | None, Field(ge=0, le=1e9, description="US dollars; null: no limit.")]


class AddFeature(Asked):
    """A new feature."""

    model_config = example(
        name="dark mode", category="ui", verification_steps=[{"command": "grep -q dark style.css"}]
    )

    name: Annotated[Name, Field(description="A short name, new in the project.")]
    description: Text = ""
    category: FeatureCategory = FeatureCategory.FUNCTIONAL
    priority: Annotated[int, Field(ge=1, le=10, description="10 is done first.")] = 5
    depends_on: Annotated[
        tuple[Name, ...], Field(max_length=200, description="Names of features that must pass before.")
    ] = ()
    verification_steps: Annotated[
        tuple[VerificationStep, ...],
        Field(max_length=100, description="How it is verified; a step without a command needs a verifier."),
    ] = ()


class EditFeature(Asked):
    """What of a feature changes; what is left out stays. Any change lifts `blocked`."""

    model_config = example(priority=9)

    description: Text | None = None
    category: FeatureCategory | None = None
    priority: Annotated[int, Field(ge=1, le=10)] | None = None
    depends_on: Annotated[tuple[Name, ...], Field(max_length=200)] | None = None
    verification_steps: Annotated[tuple[VerificationStep, ...], Field(max_length=100)] | None = None


class SetStatus(Asked):
    """A feature's new status."""

    model_config = example(status="blocked", reason="It waits for the design.")

    status: Annotated[
        FeatureStatus,
        Field(description="`passing` is never set by saying so: it asks for verification of what landed."),
    ]
    reason: Reason = ""


class AnswerQuestion(Asked):
    """An answer."""

    model_config = example(text="Yes, one token for everybody.")

    text: Annotated[Words, Field(description="What the agent wanted to know.")]


class RunSession(Asked):
    """Of what."""

    model_config = example(feature="web page")

    feature: Annotated[
        str | None, Field(min_length=1, max_length=200, description="Name or id; null: the next one.")
    ] = None


class LogProgress(Asked):
    """A step of work that was done."""

    model_config = example(action="Chose the colours.", outcome="They are in style.css.")

    action: Annotated[
        str, Field(min_length=1, max_length=2000, description="What was done, in one sentence.")
    ]
    outcome: Annotated[str, Field(max_length=10_000, description="What came of it.")] = ""
    files_changed: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...], Field(max_length=1000)
    ] = ()


class MakeCheckpoint(Asked):
    """Of the tip of main."""

    model_config = example(note="Before the redesign.")

    note: Annotated[str, Field(max_length=2000, description="Kept and shown.")] = ""


class RecordDecision(Asked):
    """A choice, and why it was made."""

    model_config = example(
        context="Where bookmarks are stored.",
        decision="SQLite.",
        reasoning="One user, one file.",
        tags=["database"],
    )

    context: Annotated[str, Field(max_length=10_000, description="What had to be decided.")] = ""
    decision: Annotated[Words, Field(description="What was chosen.")]
    reasoning: Annotated[str, Field(max_length=10_000, description="Why.")] = ""
    tags: Tags = ()


class Feedback(Asked):
    """What became of a decision."""

    model_config = example(outcome="partial", score=0.3, lesson="Measure before adding an index.")

    outcome: DecisionOutcome
    score: Annotated[
        float | None,
        Field(ge=-1, le=1, description="From -1 (bad) to 1 (good); without it a person's is kept."),
    ] = None
    lesson: Annotated[str, Field(max_length=10_000, description="What to do, or not, another time.")] = ""


def contract(model: type[Contract], **fields: Any) -> Contract:
    """What was asked, as it is sent on; raises `InvalidInput` where that is narrower than what is asked."""
    try:
        return model(**fields)
    except ValidationError as error:
        raise InvalidInput(f"{first_problem(error, model)}.") from error


def changes(asked: BaseModel) -> dict[str, Any]:
    """The fields that were given, with values as they are."""
    return {name: getattr(asked, name) for name in asked.model_fields_set}
