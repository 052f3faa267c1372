"""What tools are asked; the descriptions are read by the models that call them."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from client.tools.taking import Arguments
from shiftwork.contracts.decision import DecisionOutcome
from shiftwork.contracts.feature import LAST_STATUS, FeatureCategory, FeatureStatus
from shiftwork.contracts.project import ProjectStatus

MOST = 100
"""Items in one answer."""

ProjectRef = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="The project: its id, the beginning of its id (4 characters or more), or its name.",
    ),
]
FeatureId = Annotated[int, Field(description="The feature's id, as list_project_features shows it.")]
Line = Annotated[str, Field(min_length=1, max_length=2000)]
Words = Annotated[str, Field(max_length=10_000)]
Tag = Annotated[str, Field(min_length=1, max_length=60)]


Limit = Annotated[
    int,
    Field(ge=1, le=MOST, description=f"The most items to return, up to {MOST}."),
]
Offset = Annotated[
    int, Field(ge=0, le=100_000, description="How many to skip: `next_offset` of the answer before.")
]


class OfProject(Arguments):
    """Which project."""

    project_id: ProjectRef


class CreateProject(Arguments):
    """A new project."""

    name: Annotated[str, Field(min_length=1, max_length=120, description="A short name, not used before.")]
    description: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200_000,
            description=(
                "All that is to be built: requirements, limits, what must be true when it is done. "
                "The planning agent reads this and nothing else, so write it out in full."
            ),
        ),
    ]
    working_directory: Annotated[
        str | None,
        Field(
            max_length=4096,
            description=(
                "Absolute path of the git repository, on the machine of the stack, where the work is "
                "delivered; made if it is missing. Leave it out to keep the work in the project's own."
            ),
        ),
    ] = None
    agent: Annotated[
        str | None,
        Field(
            max_length=60,
            description=(
                "Which agent does the work, such as claude, codex, opencode, gemini or langchain. "
                "Leave it out for the one that these tools were set up with."
            ),
        ),
    ] = None
    model: Annotated[
        str | None,
        Field(max_length=200, description="The model, as that agent names it. Leave it out for its default."),
    ] = None
    budget_usd: Annotated[
        float | None,
        Field(gt=0, le=1_000_000, description="The most that the project may cost, in US dollars."),
    ] = None


class InitializeFeatures(OfProject):
    """Have a project planned."""

    wait_seconds: Annotated[
        int, Field(ge=0, le=600, description="How long to wait for the plan, in seconds; planning goes on.")
    ] = 30


class ListProjects(Arguments):
    """Which projects."""

    status_filter: Annotated[
        ProjectStatus | None, Field(description="Only projects in this status; leave it out for all.")
    ] = None
    limit: Limit = 20
    offset: Offset = 0


class ListFeatures(OfProject):
    """Which features."""

    status_filter: Annotated[
        FeatureStatus | None, Field(description="Only features in this status; leave it out for all.")
    ] = None
    limit: Limit = 20
    offset: Offset = 0


class ProgressLog(OfProject):
    """How much of the log."""

    limit: Limit = 20
    offset: Offset = 0


class Report(OfProject):
    """Which part of the report."""

    offset: Annotated[
        int,
        Field(ge=0, le=100_000_000, description="Where to go on: `next_offset` of the answer before."),
    ] = 0


class Step(Arguments):
    """One thing that must be observed for a feature to pass."""

    description: Annotated[Words, Field(description="What must be observed, in words.")] = ""
    command: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=20_000,
            description=(
                "A command that shows it, run by bash (by sh where there is none) in the root of a fresh "
                "checkout. "
                "A step without one is judged by the project's verifier, if it has one."
            ),
        ),
    ] = None
    expect_status: Annotated[
        int, Field(ge=0, le=LAST_STATUS, description="The exit status that it must yield.")
    ] = 0
    expect_output: Annotated[
        str | None, Field(max_length=20_000, description="Text that its standard output must contain.")
    ] = None


def _described(step: object) -> object:
    return {"description": step} if isinstance(step, str) else step


class AddFeature(OfProject):
    """A new feature."""

    name: Annotated[str, Field(min_length=1, max_length=120, description="A short name, new in the project.")]
    description: Annotated[
        Words, Field(description="What exactly is to be built, for an agent that knows nothing else.")
    ]
    category: Annotated[FeatureCategory, Field(description="What kind of work it is.")] = (
        FeatureCategory.FUNCTIONAL
    )
    priority: Annotated[int, Field(ge=1, le=10, description="From 1 to 10; 10 is done first.")] = 5
    verification_steps: Annotated[
        list[Annotated[Step, BeforeValidator(_described, json_schema_input_type=str | Step)]] | None,
        Field(
            max_length=100,
            description=(
                "How it is verified. Give each step a command: a feature whose steps have none passes only "
                "in projects that have a verifier, and is blocked in others. A plain string is a description."
            ),
        ),
    ] = None
    depends_on: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=120)]] | None,
        Field(max_length=200, description="Names of features that must pass before this one is begun."),
    ] = None


class UpdateFeatureStatus(Arguments):
    """A feature's new status."""

    feature_id: FeatureId
    status: Annotated[
        FeatureStatus,
        Field(
            description=(
                "`passing` is never set by saying so: it asks the harness to verify what was committed. "
                "`not_started` has it tried again, `blocked` keeps agents from it."
            )
        ),
    ]
    error: Annotated[
        str | None,
        Field(
            max_length=2000,
            description=(
                "Why, for `failing` and `blocked`; shown to people, and of `failing` told to the agent that "
                "works on the feature next."
            ),
        ),
    ] = None


class LogProgress(OfProject):
    """A step of work that was done."""

    action: Annotated[Line, Field(description="What was done, in one sentence.")]
    outcome: Annotated[Words, Field(description="What came of it.")]
    files_changed: Annotated[
        list[Annotated[str, Field(max_length=1000)]] | None,
        Field(max_length=1000, description="Paths of files that were changed, relative to the repository."),
    ] = None
    git_commit: Annotated[
        bool,
        Field(
            description=(
                "Also have the newest commit of the project made a checkpoint, which one can go back to. "
                "Nothing is committed by this."
            )
        ),
    ] = False


class PauseProject(OfProject):
    """How to pause."""

    at_once: Annotated[
        bool,
        Field(description="Interrupt running sessions, keeping their work; otherwise they end first."),
    ] = False
    reason: Annotated[str, Field(max_length=2000, description="Why; kept and shown.")] = ""


class ResumeProject(OfProject):
    """How far to go on."""

    max_sessions: Annotated[
        int | None,
        Field(ge=1, le=10_000, description="Pause again after so many sessions; leave it out to go on."),
    ] = None


class SteerProject(OfProject):
    """Guidance."""

    text: Annotated[Words, Field(min_length=1, description="What the sessions to come should know or do.")]
    feature: Annotated[
        str | None,
        Field(max_length=200, description="Name or id of the one feature it is for; leave it out for all."),
    ] = None


class AnswerQuestion(OfProject):
    """An answer."""

    feature: Annotated[
        str, Field(min_length=1, max_length=200, description="Name or id of the feature that asks.")
    ]
    text: Annotated[Words, Field(min_length=1, description="The answer.")]


class WaitForProject(OfProject):
    """How long to wait."""

    timeout_seconds: Annotated[
        int, Field(ge=1, le=3600, description="Return after so many seconds at the latest; work goes on.")
    ] = 300


class RecordDecision(OfProject):
    """A choice."""

    context: Annotated[Words, Field(description="What had to be decided.")]
    decision: Annotated[Words, Field(min_length=1, description="What was chosen.")]
    reasoning: Annotated[Words, Field(description="Why.")] = ""
    tags: Annotated[
        list[Tag] | None, Field(max_length=20, description="Words that it is found by, such as `database`.")
    ] = None


class RelevantDecisions(OfProject):
    """What one wants to know."""

    tags: Annotated[list[Tag] | None, Field(max_length=20, description="Tags that they should have.")] = None
    text: Annotated[Words, Field(description="What they should be about, in words.")] = ""
    limit: Limit = 10


class DecisionFeedback(Arguments):
    """What became of a decision."""

    decision_id: Annotated[int, Field(description="The decision's id.")]
    outcome: Annotated[DecisionOutcome, Field(description="What became of it.")]
    score: Annotated[
        float | None,
        Field(ge=-1, le=1, description="From -1 (bad) to 1 (good); leave it out to keep a person's."),
    ] = None
    lesson: Annotated[
        Words, Field(description="What to do, or not, another time. Later sessions are shown it.")
    ] = ""
