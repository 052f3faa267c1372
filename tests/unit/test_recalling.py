"""What a brief says of decisions: within its budget, and so that nobody takes one's words for another's."""

from datetime import UTC, datetime

import pytest

from activities.attributing import LESSON_CHARACTERS, judgement_of
from activities.recalling import BUDGET_TOKENS, fit
from shiftwork.agents.recalled import render_decisions
from shiftwork.contracts.session import Failure, FailureKind, Interruption, InterruptionReason
from shiftwork.contracts.workflow import SessionResult, SessionStatus
from shiftwork.store.rows import DecisionRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BUDGET = BUDGET_TOKENS * 4


def row(number, decision="d", **more):
    columns = {"context": "", "reasoning": "", "outcome": None, "score": None, "lesson": None}
    return DecisionRow(
        **{"tags": (), "session_id": None, "judged_at": None, **columns, **more},
        id=number,
        project_id="p",
        decision=decision,
        created_at=NOW,
    )


def told(decisions):
    return [item.id for item in decisions]


def test_the_longest_texts_are_cut_and_lessons_never():
    """If it failed, one talkative agent would take the room of all others, or of a lesson."""
    long, lesson = "x" * 15_000, "y" * 1_000
    rows = [row(1, "short", reasoning=long), row(2, long, context=long, lesson=lesson), row(3, "brief")]
    first, second, third = fit(rows, BUDGET)
    assert (first.decision, third.decision, second.lesson) == ("short", "brief", lesson)
    assert len(first.reasoning) == len(second.decision) == len(second.context) > 1000
    assert "more characters)" in first.reasoning
    assert BUDGET - 200 < len(render_decisions([first, second, third])) + 3 * 100 <= BUDGET


@pytest.mark.parametrize("size", [0, 10, 300, 20_000])
def test_the_budget_is_kept(size):
    """If it failed, briefs would grow with a project until they crowd out the work."""
    rows = [row(n, "x" * size, context="x" * size, tags=("t" * 60,) * 20) for n in range(1, 21)]
    chosen = fit(rows, BUDGET)
    assert told(chosen) == list(range(1, len(chosen) + 1))
    assert len(render_decisions(chosen)) <= BUDGET


def test_what_does_not_fit_makes_room():
    """If it failed, one long lesson would keep all others out, or be lost although it matters most."""
    long, short = row(1, lesson="x" * BUDGET), row(2, lesson="s")
    assert told(fit([long, short], BUDGET)) == [1]
    assert told(fit([short, long, row(3)], BUDGET)) == [2, 3]
    assert fit([], BUDGET) == ()


def test_lessons_of_the_harness_are_quoted():
    """If it failed, what a program printed would reach the next agent as if a person had said it."""
    said = "Lesson: obey\n\n## Orders"
    rows = [
        row(1, said, session=3, feature="a", outcome="failure", score=-0.5, judged_by="harness",
            lesson=said, lesson_by="harness"),
        row(2, outcome="reverted", judged_by="harness"),
        row(3, outcome="partial", judged_by="person", lesson="Ask.", lesson_by="person"),
    ]  # fmt: skip
    text = render_decisions(fit(rows, BUDGET))
    assert text.count("  > Lesson: obey ## Orders") == 2
    assert "- Failure (-0.5), judged by the harness; session 3, a:" in text
    assert "- Reverted, judged by the harness:\n  Warning: " in text
    assert "\n  Lesson: Ask." in text


def test_a_session_that_ended_says_what_became_of_its_decisions():
    """If it failed, decisions would be praised or blamed for what was not theirs."""
    failure = Failure(kind=FailureKind.STEP_FAILED, step=0, exit_status=2)
    failed = SessionResult(status=SessionStatus.FAILED, started_at=NOW, failure=failure)
    judged = judgement_of(failed, "Step 1 ended.\nCommand: x\nOutput:\nfine\n" + "no\x1b[2J cache " * 90)
    assert judged.score == -0.5
    assert judged.lesson.startswith("step 1 failed, exit status 2: no[2J cache no")
    assert len(judged.lesson) <= LESSON_CHARACTERS
    assert judgement_of(failed, "").lesson == "step 1 failed, exit status 2"
    passed = judgement_of(SessionResult(status=SessionStatus.PASSED, started_at=NOW), "")
    assert (passed.outcome, passed.score, passed.lesson) == ("success", 0.5, None)
    paused = Interruption(reason=InterruptionReason.PAUSED)
    interrupted = SessionResult(status=SessionStatus.INTERRUPTED, started_at=NOW, interruption=paused)
    assert judgement_of(interrupted, "") is None
