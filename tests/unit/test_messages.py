"""What people's messages do to control state, and what is refused."""

import pytest

from shiftwork.contracts.feature import FeatureEdit, FeatureSpec, FeatureStatus, VerificationStep
from shiftwork.contracts.messages import Answer
from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.state import FeatureState, ProjectState
from shiftwork.errors import Conflict, InvalidInput, NotFound
from shiftwork.planning import messages


def state() -> ProjectState:
    return ProjectState(
        project_id="p",
        name="demo",
        status=ProjectStatus.ACTIVE,
        features=[
            FeatureState(id=1, name="a", status=FeatureStatus.PASSING),
            FeatureState(id=2, name="b", depends_on=(1,), status=FeatureStatus.BLOCKED, attempts=5),
            FeatureState(id=3, name="c", depends_on=(2,), waiting=True),
        ],
    )


def test_an_addition_that_can_not_be_is_refused() -> None:
    """A taken name or an unknown dependency would make the plan ambiguous or stuck."""
    with pytest.raises(Conflict, match="has a feature 'a' already"):
        messages.check_addition(state(), FeatureSpec(name="a"))
    with pytest.raises(InvalidInput, match="does not exist"):
        messages.check_addition(state(), FeatureSpec(name="d", depends_on=("nope",)))
    with pytest.raises(InvalidInput, match="d → d"):
        messages.check_addition(state(), FeatureSpec(name="d", depends_on=("d",)))


def test_an_edit_that_makes_a_cycle_is_refused_and_changes_nothing() -> None:
    """A cycle would leave its features waiting for each other for ever."""
    before = state()
    with pytest.raises(InvalidInput, match="a → c → b → a"):
        messages.apply_edit(before, FeatureEdit(feature="a", depends_on=("c",)), set())
    assert before == state()


def test_an_edit_lifts_blocked() -> None:
    """A person who mends a feature gives it its attempts back."""
    edited = state()
    messages.apply_edit(edited, FeatureEdit(feature="2", priority=9), set())
    b = edited.features[1]
    assert (b.status, b.attempts, b.priority) == (FeatureStatus.NOT_STARTED, 0, 9)


def test_other_steps_must_pass_again() -> None:
    """What passed was the old verification; the new one has been executed by nobody."""
    edited = state()
    steps = (VerificationStep(description="x", command="true"),)
    messages.apply_edit(edited, FeatureEdit(feature="a", verification_steps=steps), set())
    assert edited.features[0].status is FeatureStatus.NOT_STARTED


def test_requests_for_sessions_that_can_not_be() -> None:
    """A promised session number that never runs would leave its caller waiting."""
    with pytest.raises(Conflict, match="needs an answer first"):
        messages.check_request(state(), "c", set())
    with pytest.raises(Conflict, match="it is passing"):
        messages.check_request(state(), "a", set())
    with pytest.raises(NotFound, match="has no feature 'zzz'"):
        messages.check_request(state(), "zzz", set())
    with pytest.raises(Conflict, match="no feature of project 'demo' is ready"):
        messages.check_request(state(), None, set())


def test_an_answer_needs_a_question() -> None:
    """An answer to nothing is a mistake worth telling."""
    assert messages.check_answer(state(), Answer(feature="c", text="yes")).id == 3
    with pytest.raises(Conflict, match="no question that is open"):
        messages.check_answer(state(), Answer(feature="a", text="yes"))


def test_an_abandoned_project_changes_no_more() -> None:
    """Abandoned means for good."""
    gone = state()
    gone.status = ProjectStatus.ABANDONED
    with pytest.raises(Conflict, match="is abandoned"):
        messages.check_addition(gone, FeatureSpec(name="d"))


def test_promised_sessions_are_numbered_and_dropped_when_impossible() -> None:
    """Numbers name workflows: each is given once, and one that can't run any more is told about."""
    asked = state()
    asked.sessions = 6
    assert messages.request_session(asked, 1) == 7
    assert messages.request_session(asked, None) == 8
    assert [r.number for r in messages.drop_impossible_requests(asked, running={5})] == [7]
    assert [r.number for r in asked.requested] == [8]
    assert [r.number for r in messages.drop_impossible_requests(asked)] == [8]  # nothing is ready any more


def test_what_is_blocked_by_another_feature_is_not_verified() -> None:
    """Somebody would be promised a verification that nothing ever executes."""
    asked = state()
    asked.features[1].blocked_reason = "5 attempts spent"
    asked.features[2].status = FeatureStatus.BLOCKED
    asked.features[2].blocked_reason = "depends on 'b', which is blocked"
    before = asked.model_copy(deep=True)
    with pytest.raises(InvalidInput, match="'c' can't be verified: it depends on 'b', which is blocked"):
        messages.apply_status(asked, "c", FeatureStatus.PASSING, "")
    assert asked == before
    messages.apply_status(asked, "b", FeatureStatus.PASSING, "")
    assert (asked.features[1].status, asked.features[1].candidate) == (FeatureStatus.IN_PROGRESS, "main")
    assert asked.features[1].blocked_reason == "5 attempts spent"
    messages.apply_edit(asked, FeatureEdit(feature="b", priority=9), set())
    assert asked.features[1].blocked_reason is None
