"""What a brief says of decisions that were made before."""

from collections.abc import Sequence

from shiftwork.contracts.base import Message
from shiftwork.contracts.decision import DecisionOutcome, Judge
from shiftwork.text import one_line


class DecisionBrief(Message):
    """A decision that may matter here, with what became of it.

    Attributes:
        id: as `shiftwork decisions` shows it; None in briefs from before.
        session: the number of the session that decided; None: a person did.
        lesson_by: whose lesson it is: a person's, or what the harness saw fail.
    """

    id: int | None = None
    session: int | None = None
    feature: str | None = None
    decision: str
    context: str = ""
    reasoning: str = ""
    tags: tuple[str, ...] = ()
    outcome: DecisionOutcome | None = None
    score: float | None = None
    judged_by: Judge | None = None
    lesson: str | None = None
    lesson_by: Judge | None = None


def render_decisions(decisions: Sequence[DecisionBrief]) -> str:
    """The section of the brief, in Markdown; '' if there are none."""
    if not decisions:
        return ""
    return "\n".join(["## Decisions so far", "", *(_decision(item) for item in decisions)])


def _decision(item: DecisionBrief) -> str:
    """Lessons of people stand as they are; all else is quoted: an agent or its tools may have written it."""
    lines = [f"- {_judged(item)}{_decided(item)}:"]
    if item.outcome is DecisionOutcome.REVERTED:
        lines.append("  Warning: this is not on main any more; do not build on it.")
    told = (("", item.decision), ("Context: ", item.context), ("Because: ", item.reasoning))
    lines += [f"  > {name}{one_line(text)}" for name, text in told if text]
    if item.lesson and item.lesson_by is Judge.HARNESS:
        lines += ["", "  What failed with it:", f"  > {one_line(item.lesson)}"]
    elif item.lesson:
        lines += ["", f"  Lesson: {one_line(item.lesson)}"]
    return "\n".join(lines)


def _judged(item: DecisionBrief) -> str:
    if item.outcome is None:
        return "Open"
    score = "" if item.score is None else f" ({item.score:+.2g})"
    by = f", judged by {'a person' if item.judged_by is Judge.PERSON else 'the harness'}"
    return f"{item.outcome.value.capitalize()}{score}{by if item.judged_by else ''}"


def _decided(item: DecisionBrief) -> str:
    if item.session is None:
        return ""
    return f"; session {item.session}{f', {one_line(item.feature)}' if item.feature else ''}"
