"""The files an agent may leave in its outbox; each is bounded and validated before anything reads it.

`plan.json` → `Plan`, `handoff.json` → `Handoff`, `question.json` → `Question`, `verdict.json` → `Verdict`,
and one JSON object a line in `decisions.jsonl` → `DecisionNote` and `progress.jsonl` → `ProgressNote`.
"""

from typing import Annotated, Any

from pydantic import Field, JsonValue

from shiftwork.contracts.base import Document, Message, Tags, Text
from shiftwork.contracts.plan import Plan


class Handoff(Document):
    """What one session leaves for the next."""

    summary: Annotated[str, Field(max_length=2000)] = ""
    observations: Any = None
    actions: Any = None
    state: Any = None
    metadata: Any = None
    last_action: Text = ""
    recommended_next_action: Text = ""


class DecisionNote(Document):
    """A choice the agent made, and why."""

    decision: Annotated[Text, Field(min_length=1)]
    context: Text = ""
    reasoning: Text = ""
    tags: Tags = ()


class ProgressNote(Document):
    """A step of work the agent reports."""

    action: Annotated[Text, Field(min_length=1)]
    outcome: Text = ""
    files_changed: Annotated[tuple[str, ...], Field(max_length=1000)] = ()


class Question(Document):
    """What the agent needs to know from a person before it can go on."""

    question: Annotated[Text, Field(min_length=1)]


class StepVerdict(Document):
    """A verifier's word on one step.

    Attributes:
        step: its number, from 1, as in the brief.
        met: whether it is fulfilled.
        reason: what was done, and what was seen.
        command: shows it on a fresh checkout, run by bash (by sh where there is none); a step
            counts as fulfilled only if the harness runs it, and it yields what is expected.
        expect_status, expect_output: as of a verification step.
    """

    step: Annotated[int, Field(ge=1, le=100)]
    met: bool
    reason: Text = ""
    command: Annotated[str, Field(max_length=20_000)] | None = None
    expect_status: int = 0
    expect_output: Annotated[str, Field(max_length=20_000)] | None = None


class Verdict(Document):
    """What a verifier found; its steps are those without a command."""

    steps: Annotated[tuple[StepVerdict, ...], Field(max_length=100)]


class Outbox(Message):
    """Everything valid that an attempt left, and a sentence for each file or line that was not.

    Attributes:
        how_far: what it told last of how far it is, which is anything that JSON knows; None: nothing.
    """

    plan: Plan | None = None
    handoff: Handoff | None = None
    decisions: tuple[DecisionNote, ...] = ()
    progress: tuple[ProgressNote, ...] = ()
    question: Question | None = None
    verdict: Verdict | None = None
    how_far: JsonValue = None
    problems: tuple[str, ...] = ()
