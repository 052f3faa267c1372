"""Plans that an initializer leaves and that nobody can follow."""

import json

import pytest

from activities.ending import plan_problem
from shiftwork.agents.outbox import read_outbox
from shiftwork.contracts.session import Role

STEP = {"command": "true"}


def feature(name: str, *needs: str) -> dict:
    return {"name": name, "depends_on": needs, "verification_steps": [STEP]}


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (None, "no valid plan.json"),
        ({"features": []}, "no valid plan.json. plan.json: features"),
        ({"features": [feature("a"), feature("a")]}, "two features are named 'a'"),
        ({"features": [feature("a", "b"), feature("b", "a")]}, "in a cycle: a → b → a"),
        ({"features": [feature("a", "ghost")]}, "depends on 'ghost', which does not exist"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(tmp_path, plan, says) -> None:
    """Features that can never become ready, adopted without a word."""
    if plan is not None:
        (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert says in (plan_problem(read_outbox(tmp_path, Role.INITIALIZER)) or "")


def test_a_good_plan_has_no_problem(tmp_path) -> None:
    """A plan that is refused although it can be followed."""
    plan = {"features": [feature("b", "a"), feature("a")]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert plan_problem(read_outbox(tmp_path, Role.INITIALIZER)) is None
