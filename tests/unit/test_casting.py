"""Who plays which role, and who does it while a provider takes no work."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from shiftwork.contracts.feature import FeatureCategory, FeatureStatus
from shiftwork.contracts.project import AgentOptions, ProjectOptions, ProjectStatus
from shiftwork.contracts.session import Interruption, InterruptionReason, Role
from shiftwork.contracts.state import FeatureState, ProjectState, Rest
from shiftwork.contracts.workflow import SessionResult, SessionStatus
from shiftwork.planning.casting import cast, cast_of, key, role_of
from shiftwork.planning.next import StartSession, Stop, Wait, decide
from shiftwork.planning.outcome import apply_session, block_unverifiable
from shiftwork.planning.resting import go_on

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = {"backend": "claude", "settings": {"model": "a"}}
SECOND = {"backend": "langchain", "settings": {"model": "b"}}
THIRD = {"backend": "codex"}
WITH_FALLBACK = {**FIRST, "fallbacks": [SECOND]}


def project(**options) -> ProjectState:
    return ProjectState(
        project_id="p",
        name="demo",
        status=ProjectStatus.ACTIVE,
        features=[
            FeatureState(id=1, name="one"),
            FeatureState(id=2, name="two", category=FeatureCategory.DOCUMENTATION),
        ],
        options=ProjectOptions.model_validate(options),
    )


def ended(agent: str, reason: str, until: datetime | None = None) -> SessionResult:
    interruption = Interruption(reason=InterruptionReason(reason), until=until)
    return SessionResult(
        status=SessionStatus.INTERRUPTED, started_at=NOW, agent=agent, attempt=1, interruption=interruption
    )


def passed(agent: str) -> SessionResult:
    return SessionResult(status=SessionStatus.PASSED, started_at=NOW, agent=agent, attempt=1, landed="c" * 40)


def who(state: ProjectState, feature: int | None, now: datetime = NOW) -> str | None:
    """The backend that would do it now."""
    agent = cast_of(state, None if feature is None else state.feature(feature)).available(state.resting, now)
    return agent.backend if agent else None


@pytest.mark.parametrize(
    ("category", "role"),
    [
        ("functional", "session"),
        ("ui", "session"),
        ("integration", "research"),
        ("testing", "testing"),
        ("documentation", "documentation"),
        ("performance", "session"),
        ("security", "session"),
    ],
)
def test_each_category_has_its_role(category: str, role: str) -> None:
    """A specialist must get the features of its category."""
    assert Role(role) == role_of(ProjectOptions(), FeatureCategory(category))


def test_planning_is_the_initializers() -> None:
    """Whatever the project says of categories, planning is not theirs."""
    assert role_of(ProjectOptions(), None) is Role.INITIALIZER


def test_the_most_particular_word_decides_who_does_it() -> None:
    """A category's own agent goes before its role's, and that before the project's."""
    options = ProjectOptions.model_validate(
        {
            "agent": FIRST,
            "roles": {"documentation": SECOND},
            "categories": {"ui": {"agent": THIRD}, "testing": {"role": "documentation"}},
        }
    )
    who_does = {
        category: cast(options, role_of(options, category), category).agents[0].backend
        for category in FeatureCategory
    }
    assert who_does == {
        "functional": "claude",
        "ui": "codex",
        "integration": "claude",
        "testing": "langchain",
        "documentation": "langchain",
        "performance": "claude",
        "security": "claude",
    }


def test_an_agents_key_is_its_backend_and_settings() -> None:
    """Its rest must be found again whatever else of it changes, and never be another's."""
    agent = AgentOptions.model_validate(WITH_FALLBACK)
    priced = AgentOptions.model_validate({**FIRST, "prices": {"input": 1.0}})
    assert key(agent) == key(priced)
    assert key(agent) != key(AgentOptions.model_validate(SECOND))


@pytest.mark.parametrize(
    "options",
    [
        {"agent": {**FIRST, "fallbacks": [WITH_FALLBACK]}},
        {"categories": {"ui": {"role": "initializer"}}},
        {"categories": {"ui": {"role": "verifier"}}},
        {"categories": {"unknown": {}}},
        {"roles": {"unknown": FIRST}},
        {"prompts": {"session": ""}},
    ],
)
def test_what_can_not_be_is_refused(options: dict[str, object]) -> None:
    """A cast that nobody can play must be refused when the project starts, not days later."""
    with pytest.raises(ValidationError):
        ProjectOptions.model_validate(options)


@pytest.mark.parametrize("reason", ["rate_limited", "unavailable"])
def test_a_fallback_works_while_a_provider_wants_time(reason: str) -> None:
    """A project that has a second agent must not wait for the first."""
    state = project(agent=WITH_FALLBACK)
    until = NOW + timedelta(hours=5)
    apply_session(state, 1, ended(key(state.options.agent), reason, until), NOW)
    assert decide(state, {}, NOW) == StartSession(1)
    assert who(state, 1) == "langchain"
    assert who(state, 1, until) == "claude"


@pytest.mark.parametrize("fallbacks", [[SECOND, THIRD], [THIRD, SECOND]])
@pytest.mark.parametrize("away", [("rate_limited", "authentication"), ("unavailable", "unavailable")])
def test_fallbacks_take_over_in_their_order(fallbacks, away) -> None:
    """A dear stand-in, or a poor one, would work where the one before it could."""
    state = project(agent={**FIRST, "fallbacks": fallbacks})
    agents = cast_of(state, state.feature(1)).agents
    second, third = (each["backend"] for each in fallbacks)
    assert [each.backend for each in agents] == ["claude", second, third]
    sooner, later = NOW + timedelta(hours=1), NOW + timedelta(hours=5)
    apply_session(state, 1, ended(key(agents[0]), away[0], later), NOW)
    assert who(state, 1) == second
    apply_session(state, 1, ended(key(agents[1]), away[1], sooner), NOW)
    assert who(state, 1) == third
    assert decide(state, {}, NOW) == StartSession(1)
    back = away[1] == "unavailable"
    assert who(state, 1, sooner) == (second if back else third)
    assert who(state, 1, later) == "claude"
    apply_session(state, 1, ended(key(agents[2]), "rate_limited", later), NOW)
    assert who(state, 1) is None
    assert decide(state, {}, NOW) == Wait(sooner if back else later)


@pytest.mark.parametrize("reason", ["authentication", "rejected"])
def test_a_fallback_works_while_a_provider_wants_a_person(reason: str) -> None:
    """Refused credentials of one agent must not stop a project that has another."""
    state = project(agent=WITH_FALLBACK)
    apply_session(state, 1, ended(key(state.options.agent), reason), NOW)
    assert state.status is ProjectStatus.ACTIVE
    assert who(state, 1, NOW + timedelta(days=9)) == "langchain"
    go_on(state, at_once=False)
    assert who(state, 1) == "claude"


def test_everybody_at_rest_is_waited_for() -> None:
    """The project goes on with the first provider that is back, and not before."""
    state = project(agent=WITH_FALLBACK)
    soon, later = NOW + timedelta(minutes=5), NOW + timedelta(hours=5)
    first, second = cast_of(state, state.feature(1)).agents
    apply_session(state, 1, ended(key(first), "rate_limited", later), NOW)
    apply_session(state, 1, ended(key(second), "rate_limited", soon), NOW)
    assert decide(state, {}, NOW) == Wait(soon)
    assert state.not_before == soon
    assert decide(state, {}, soon) == StartSession(1)
    assert who(state, 1, soon) == "langchain"


def test_refused_everywhere_needs_a_person() -> None:
    """When no agent of a cast is left, somebody has to be asked."""
    state = project(agent=WITH_FALLBACK)
    for agent in cast_of(state, state.feature(1)).agents:
        apply_session(state, 1, ended(key(agent), "authentication"), NOW)
    assert state.status is ProjectStatus.PAUSED


def test_other_roles_go_on_while_one_rests() -> None:
    """A limit of the provider of one role must not hold up features of another."""
    state = project(agent=FIRST, roles={"documentation": SECOND})
    until = NOW + timedelta(hours=1)
    apply_session(state, 1, ended("", "rate_limited", until), NOW)
    assert decide(state, {}, NOW) == StartSession(2)
    apply_session(state, 2, passed(key(cast_of(state, state.feature(2)).agents[0])), NOW)
    assert decide(state, {}, NOW) == Wait(until)


def test_waits_grow_for_the_agent_that_is_sent_away() -> None:
    """A provider that says nothing of when is asked less and less often, another one as often as before."""
    state = project(agent=WITH_FALLBACK)
    first, second = (key(agent) for agent in cast_of(state, state.feature(1)).agents)
    for _ in range(3):
        apply_session(state, 1, ended(first, "unavailable"), NOW)
    apply_session(state, 1, ended(second, "unavailable"), NOW)
    assert state.resting == {
        first: Rest(until=NOW + timedelta(minutes=4), count=3),
        second: Rest(until=NOW + timedelta(minutes=1), count=1),
    }
    apply_session(state, 1, passed(first), NOW)
    assert list(state.resting) == [second]


def test_finished_work_needs_no_agent() -> None:
    """What only waits for its verification must not wait for a provider too."""
    state = project(agent=FIRST)
    apply_session(state, 1, ended("", "rate_limited", NOW + timedelta(hours=1)), NOW)
    state.not_before = None
    state.feature(1).candidate = "c" * 40
    assert decide(state, {}, NOW) == StartSession(1)


def test_planning_waits_for_the_initializer_alone() -> None:
    """Before there is a plan, it is the initializer's provider that counts."""
    state = project(agent=FIRST, roles={"initializer": SECOND})
    state.features, state.status = [], ProjectStatus.INITIALIZING
    until = NOW + timedelta(hours=1)
    apply_session(state, None, ended("", "rate_limited", until), NOW)
    assert decide(state, {}, NOW) == Wait(until)
    assert decide(state, {}, until) == StartSession(None)


def test_a_verifier_lifts_the_need_of_commands() -> None:
    """Steps in prose block a feature only where nobody judges them, and no steps at all block it anyway."""
    facts = {"verifiable": False, "status": FeatureStatus.NOT_STARTED}
    without, judged = project(), project(roles={"verifier": SECOND})
    for state in (without, judged):
        state.features = [
            FeatureState(id=1, name="prose", **facts),
            FeatureState(id=2, name="nothing", judgeable=False, **facts),
        ]
        block_unverifiable(state)
    assert [f.status for f in without.features] == ["blocked", "blocked"]
    assert [f.status for f in judged.features] == ["not_started", "blocked"]
    assert isinstance(decide(without, {}, NOW), Stop)
