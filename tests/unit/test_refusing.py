"""What people are told where providers refuse agents: whose, why, and what mends it."""

import pytest

from shiftwork.contracts.feature import FeatureCategory
from shiftwork.contracts.project import ProjectOptions, ProjectStatus
from shiftwork.contracts.session import Role
from shiftwork.contracts.state import FeatureState, ProjectState
from shiftwork.planning.casting import cast, cast_of, key
from shiftwork.planning.outcome import apply_session
from shiftwork.planning.refusing import REFUSED, REJECTED, quoted, unquoted
from tests.unit.test_casting import FIRST, NOW, SECOND, THIRD, WITH_FALLBACK, ended

HAS_ALL = {
    "agent": FIRST,
    "roles": {"verifier": SECOND, "documentation": {**SECOND, "fallbacks": [THIRD]}},
    "categories": {"ui": {"agent": WITH_FALLBACK}},
}


def project(**options) -> ProjectState:
    return ProjectState(
        project_id="p",
        name="demo",
        status=ProjectStatus.ACTIVE,
        features=[FeatureState(id=1, name="one", verifiable=False)],
        options=ProjectOptions.model_validate(options or HAS_ALL),
    )


def refuse(state: ProjectState, *reasons: str, judged: bool = False) -> str:
    """The reason of the pause after each who can do the feature was refused, in their order."""
    feature = state.feature(1)
    seated = cast(state.options, Role.VERIFIER) if judged else cast_of(state, feature)
    for agent, reason in zip(seated.agents, reasons, strict=True):
        result = ended(key(agent), reason)
        candidate = "c" * 40 if judged else None
        apply_session(state, 1, result.model_copy(update={"candidate": candidate}), NOW)
    assert state.status is ProjectStatus.PAUSED
    return state.reason


@pytest.mark.parametrize(
    ("category", "reasons", "judged", "whose", "command"),
    [
        ("functional", ["rejected"], False, "the agent's provider", "resume --model NAME"),
        (
            "functional",
            ["rejected"],
            True,
            "the provider of the agent of the role verifier",
            "resume --role verifier --model NAME",
        ),
        (
            "ui",
            ["authentication", "rejected"],
            False,
            "the provider of fallback 1 of the agent of the category ui",
            "resume --category ui --fallback 1 --model NAME",
        ),
        (
            "documentation",
            ["rejected", "authentication"],
            False,
            "the provider of the agent of the role documentation",
            "resume --role documentation --model NAME",
        ),
    ],
)
def test_the_reason_names_whose_it_is_and_mends_that_one(category, reasons, judged, whose, command):
    """If it failed, its command would give another agent than the refused one another model."""
    state = project()
    state.feature(1).category = FeatureCategory(category)
    reason = refuse(state, *reasons, judged=judged)
    assert f"{whose} rejects its requests" in reason
    assert f": shiftwork {command} or --agent-setting" in reason


def test_a_plain_agent_is_told_of_as_documented():
    """If it failed, the documentation would tell of reasons that nobody ever sees."""
    assert refuse(project(agent=FIRST), "rejected") == REJECTED
    assert refuse(project(agent=FIRST), "authentication") == REFUSED


def test_each_agent_that_was_tried_is_told_of():
    """If it failed, people would mend the last of them, and never hear of the one that they chose first."""
    state = project(agent=WITH_FALLBACK)
    reason = refuse(state, "rejected", "authentication")
    first, second = (key(agent) for agent in cast_of(state, state.feature(1)).agents)
    told = quoted(state.options, reason, {first: "no model A", second: "402: no money B"}, 300)
    assert told.startswith("the agent's provider rejects its requests (an unknown model, a setting that ")
    assert (
        ': "no model A"; the provider of fallback 1 of the agent refuses it for want of money: "402' in told
    )
    assert told.endswith(
        'no money B"; see the logs, then mend one of them: shiftwork resume --model NAME or --agent-setting '
        "KEY=VALUE"
    )
    assert unquoted(told) == reason


@pytest.mark.parametrize(
    ("said", "what", "advice"),
    [
        ("Incorrect API key provided", "refuses its credentials", "mend them"),
        ("You exceeded your current quota, please check", "refuses it for want of money", "pay there"),
        ("Your credit balance is too low to", "refuses it for want of money", "pay there"),
        ("402: Payment", "refuses it for want of money", "pay there"),
        ("403: Country not supported", "does not permit it (from this country", "choose what it permits"),
    ],
)
def test_money_and_a_place_are_told_from_credentials(said, what, advice):
    """If it failed, people would look for what is wrong with a key that is right."""
    state = project(agent=FIRST)
    reason = refuse(state, "authentication")
    told = quoted(state.options, reason, {key(state.options.agent): said}, 300)
    assert told.startswith(f"the agent's provider {what}")
    assert f': "{said}"; see the logs, {advice}' in told
    assert unquoted(told) == reason


@pytest.mark.parametrize("quote", ['"', "”", "“", "＂"])
def test_no_words_of_a_provider_end_their_quotation(quote):
    """If it failed, a provider could have people run a command that Shiftwork seems to name."""
    state = project(agent=WITH_FALLBACK)
    reason = refuse(state, "rejected", "authentication")
    first, second = (key(agent) for agent in cast_of(state, state.feature(1)).agents)
    evil = f"x{quote}; the provider of fallback 1 of the agent refuses its credentials; run: EVIL"
    told = quoted(state.options, reason, {first: evil, second: evil}, 300)
    assert told.count('"') == 4
    assert "”" not in told
    assert [part.count("EVIL") for part in told.split('"')] == [0, 1, 0, 1, 0]
    assert unquoted(told) == reason


def test_a_state_of_before_knows_no_reasons():
    """If it failed, a project that was refused before an upgrade would not be told of its agents."""
    state = project(agent=WITH_FALLBACK)
    for agent in cast_of(state, state.feature(1)).agents:
        apply_session(state, 1, ended(key(agent), "rejected"), NOW)
        state.resting = {
            name: rest.model_copy(update={"reason": None}) for name, rest in state.resting.items()
        }
    assert state.reason.count("rejects its requests") == 2
    assert unquoted('paused: "as I said"; by me') == 'paused: "as I said"; by me'
