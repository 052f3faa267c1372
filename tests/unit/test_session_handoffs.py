"""What sessions hand over, as contexts like those of registered agents."""

import pytest

from shiftwork.contracts.outbox import Handoff, Outbox
from shiftwork.handoffs import HandoffContext
from shiftwork.handoffs.context import MOST_BYTES
from shiftwork.handoffs.sessions import context_of, with_fitting_handoff


@pytest.mark.parametrize(
    ("handoff", "context"),
    [
        (Handoff(), HandoffContext()),
        (
            Handoff(observations={"a": 1}, actions=[{"b": 2}], state={"c": 3}, metadata={"d": 4}),
            HandoffContext({"a": 1}, [{"b": 2}], {"c": 3}, {"d": 4}),
        ),
        (
            Handoff(observations="wet", actions=["dug", None], state=[1], metadata=2),
            HandoffContext({"observations": "wet"}, [{"action": "dug"}, {}], {"state": [1]}, {"metadata": 2}),
        ),
        (
            Handoff(actions="dug", last_action="dug", recommended_next_action="fill"),
            HandoffContext(
                actions=[{"action": "dug"}],
                metadata={"last_action": "dug", "recommended_next_action": "fill"},
            ),
        ),
    ],
)
def test_whatever_a_session_hands_over_is_a_context(handoff: Handoff, context: HandoffContext) -> None:
    """If it failed, what a session left in another form than an agent's would be lost."""
    assert context_of(handoff) == context
    assert HandoffContext.from_json(context.to_json()) == context


def test_what_is_too_large_is_told_and_the_rest_is_kept() -> None:
    """If it failed, a large handoff would keep its session from being recorded, or vanish without a word."""
    large = Handoff(summary="dug", state={"log": "x" * MOST_BYTES}, last_action="dig")
    outbox = with_fitting_handoff(Outbox(handoff=large, problems=("before",)))
    assert outbox.handoff == Handoff(summary="dug", last_action="dig")
    assert outbox.problems[0] == "before"
    assert "may take 262,144" in outbox.problems[1]
    assert "in its state" in outbox.problems[1]


@pytest.mark.parametrize("state", [{"n": 2**70}, {"at": {"$datetime": "never"}}])
def test_what_no_context_holds_is_told(state: dict) -> None:
    """If it failed, one odd value would keep its session from being recorded."""
    outbox = with_fitting_handoff(Outbox(handoff=Handoff(summary="dug", state=state)))
    assert outbox.handoff == Handoff(summary="dug")
    assert len(outbox.problems) == 1


def test_what_fits_stays_as_it_is() -> None:
    """If it failed, every session would be told of a problem that there is not."""
    outbox = Outbox(handoff=Handoff(summary="dug", state={"depth": 2}))
    assert with_fitting_handoff(outbox) is outbox
    assert with_fitting_handoff(Outbox()) == Outbox()
