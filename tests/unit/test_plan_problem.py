"""Plans that an initializer leaves and that nobody can follow."""

import json
from types import SimpleNamespace

import pytest

from activities.bookkeeping import BookkeepingActivities
from activities.ending import plan_problem, plan_warnings
from shiftwork.agents.outbox import read_outbox
from shiftwork.contracts.bookkeeping import AddFeatureRequest
from shiftwork.contracts.feature import FeatureSpec
from shiftwork.contracts.plan import SHORT_SPECIFICATION, Plan
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput
from shiftwork.secrets import LazyRedactor
from shiftwork.verification.flaws import flaws

KEY = "s3cr3t-Value-0123"
REDACTOR = LazyRedactor({"A_KEY": KEY, "POSTGRES_PASSWORD": "postgres"})
STEP = {"command": "psql postgresql://postgres:password@localhost/postgres"}

NOWHERE = {"name": "nowhere", "min_reward": 1}


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
        (
            {
                "features": [
                    {"name": "a", "verification_steps": [{"command": "./bot", "environment": NOWHERE}]}
                ]
            },
            "Feature 'a', step 1 can't be played: there is no environment 'nowhere'; there are: ",
        ),
        ({"features": [feature(KEY)]}, "A feature's name would hold the secret 'A_KEY'"),
        (
            {"features": [{**feature("a"), "verification_steps": [{"command": f"login {KEY}"}]}]},
            "The feature 'a' would hold the secret 'A_KEY'",
        ),
        ({"features": [feature("a")], "setup": [f"login {KEY}"]}, "set-up would hold the secret 'A_KEY'"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(tmp_path, plan, says) -> None:
    """Features that can never become ready, adopted without a word."""
    if plan is not None:
        (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert says in (plan_problem(read_outbox(tmp_path, Role.INITIALIZER), REDACTOR) or "")


def test_a_good_plan_has_no_problem(tmp_path) -> None:
    """A plan that is refused although it can be followed."""
    plan = {"features": [feature("b", "a"), feature("a")]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert plan_problem(read_outbox(tmp_path, Role.INITIALIZER), REDACTOR) is None


def test_people_are_told_of_a_plan_that_is_large_or_checks_nothing() -> None:
    """A plan of hundreds of sessions, or of features that anybody has done, followed without a word."""
    empty = {"verification_steps": [{"command": "true"}]}
    assert plan_warnings(Plan.model_validate({"features": [feature("a")]}), "") == []
    many = [feature(f"f{number}") for number in range(195)] + [{"name": f"e{n}", **empty} for n in range(7)]
    told = plan_warnings(Plan.model_validate({"features": many}), "")
    assert told[0] == "202 features are more than the 200 of a usual plan"
    unreadable = {"name": "a", "verification_steps": [{"command": "(make"}]}
    [warning] = plan_warnings(Plan.model_validate({"features": [unreadable]}), "")
    assert "feature 'a', step 1: " in warning
    assert "can't read '(make'" in warning
    late = {"name": "a", "verification_steps": [{"command": "make", "expect_status": 300}]}
    plan = Plan.model_validate({"features": [late]})
    [warning] = plan_warnings(plan, "")
    assert warning == (
        "feature 'a', step 1 can't pass: no command ends with the exit status 300; they are from 0 to 255"
    )
    assert flaws(plan.features, most=0) == [warning], "it needs no shell"
    assert "feature 'e0', step 1 checks nothing: 'true'" in told[1]
    assert (len(told), told[-1]) == (7, "2 more features have such steps")


@pytest.mark.parametrize(
    ("count", "steps", "length", "told"),
    [
        (3, 2, SHORT_SPECIFICATION - 1, []),
        (3, 1, SHORT_SPECIFICATION - 1, []),
        (19, 2, SHORT_SPECIFICATION, ["the plan has 19 features for a specification of 2,000 characters"]),
        (20, 2, SHORT_SPECIFICATION, []),
        (20, 1, SHORT_SPECIFICATION, ["20 of 20 features have a single verification step"]),
        (2, 1, 9_999, ["the plan has 2 features for a specification of 9,999", "2 of 2 features have a"]),
    ],
)
def test_people_are_told_of_a_plan_that_leaves_things_out(count, steps, length, told) -> None:
    """Two features for ten pages, or none whose edge cases are checked, followed without a word."""
    features = [{**feature(f"f{n}"), "verification_steps": [STEP] * steps} for n in range(count)]
    warnings = plan_warnings(Plan.model_validate({"features": features}), "x" * length)
    assert [begins for begins in told if any(w.startswith(begins) for w in warnings)] == told
    assert len(warnings) == len(told)


async def test_a_feature_with_a_secret_that_only_the_worker_knows_is_refused() -> None:
    """A command that holds a key, or another than was asked for, in the rows."""
    spec = FeatureSpec(name="a", verification_steps=({"command": f"login {KEY}"},))
    activities = BookkeepingActivities(SimpleNamespace(redactor=REDACTOR))

    with pytest.raises(InvalidInput, match="The feature 'a' would hold the secret 'A_KEY'"):
        await activities.add_feature(
            AddFeatureRequest(project_id="x", feature=spec, revision=1, actor="someone")
        )
