"""Which feature is next, what a session's end means, when a project rests."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork.contracts.feature import FeatureStatus
from shiftwork.contracts.project import ProjectOptions, ProjectStatus
from shiftwork.contracts.session import Failure, FailureKind, Interruption, InterruptionReason, Spent
from shiftwork.contracts.state import FeatureState, ProjectState, RequestedSession
from shiftwork.contracts.workflow import SessionResult, SessionStatus
from shiftwork.errors import InvalidInput
from shiftwork.planning.choose import block_dependents, ready
from shiftwork.planning.graph import check_dependencies, find_cycle
from shiftwork.planning.next import ImportPeople, StartSession, Stop, Wait, decide
from shiftwork.planning.outcome import apply_session, block_unverifiable, describe

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def feature(number: int, status: str = "not_started", **facts) -> FeatureState:
    return FeatureState(id=number, name=f"f{number}", status=FeatureStatus(status), **facts)


def project(*features: FeatureState, **facts) -> ProjectState:
    options = ProjectOptions(**facts.pop("options", {}))
    facts.setdefault("status", ProjectStatus.ACTIVE)
    return ProjectState(project_id="p", name="demo", features=list(features), options=options, **facts)


def failed(kind: str = "step_failed", step: int = 0, exit_status: int = 1) -> SessionResult:
    failure = Failure(kind=FailureKind(kind), step=step, exit_status=exit_status)
    return SessionResult(
        status=SessionStatus.FAILED, started_at=NOW, attempt=1, failure=failure, ended_by_itself=True
    )


def interrupted(reason: str, **facts) -> SessionResult:
    interruption = Interruption(reason=InterruptionReason(reason), **facts)
    return SessionResult(status=SessionStatus.INTERRUPTED, started_at=NOW, interruption=interruption)


PASSED = SessionResult(status=SessionStatus.PASSED, started_at=NOW, landed="c" * 40, ended_by_itself=True)


def test_ready_order() -> None:
    """In progress comes first, then ready by priority, then failing with fewest attempts."""
    state = project(
        feature(1, "failing", attempts=2, priority=10),
        feature(2, "failing", attempts=1),
        feature(3, priority=3),
        feature(4, priority=9),
        feature(5, "in_progress", priority=1),
        feature(6, depends_on=(3,), priority=10),
        feature(7, "blocked"),
        feature(8, priority=9, waiting=True),
    )
    assert [f.id for f in ready(state)] == [5, 4, 3, 2, 1]
    assert [f.id for f in ready(state, {5, 4})] == [3, 2, 1]


def test_a_cycle_is_refused_and_printed() -> None:
    """A person must see which features depend on each other in a circle."""
    with pytest.raises(InvalidInput, match="a → b → c → a"):
        check_dependencies({"a": ["b"], "b": ["c"], "c": ["a"]})


def test_an_unknown_dependency_is_refused() -> None:
    """A typo in depends_on must not make a feature wait for ever."""
    with pytest.raises(InvalidInput, match="'a' depends on 'x', which does not exist"):
        check_dependencies({"a": ["x"]})


@given(st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 12), max_size=4), max_size=13))
def test_a_cycle_is_found_exactly_when_there_is_one(edges: dict[int, list[int]]) -> None:
    """Sorting would never end on a cycle that was missed, and a false one would refuse a good plan."""
    graph = {str(k): [str(v) for v in vs] for k, vs in edges.items()}
    remaining = {k: {v for v in vs if v in graph} for k, vs in graph.items()}
    while free := [k for k, vs in remaining.items() if not vs]:
        for name in free:
            del remaining[name]
        remaining = {k: vs - set(free) for k, vs in remaining.items()}
    cycle = find_cycle(graph)
    assert bool(cycle) == bool(remaining)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(b in graph[a] for a, b in itertools.pairwise(cycle))


def test_attempts_spent_block_a_feature_and_all_that_need_it() -> None:
    """What can't become ready must say why, transitively, and an unblocked dependency frees it."""
    state = project(
        feature(1, "in_progress"),
        feature(2, depends_on=(1,)),
        feature(3, depends_on=(2,)),
        options={"max_attempts": 1},
    )
    changed = apply_session(state, 1, failed(), NOW)
    assert [f.status for f in state.features] == [FeatureStatus.BLOCKED] * 3
    assert {f.id for f in changed} == {1, 2, 3}
    assert "attempts spent" in state.features[0].blocked_reason
    assert state.features[2].blocked_reason == "depends on 'f2', which is blocked"
    state.features[0].status, state.features[0].blocked_reason = FeatureStatus.NOT_STARTED, None
    block_dependents(state)
    assert [f.status for f in state.features] == [FeatureStatus.NOT_STARTED] * 3


def test_what_fails_on_main_is_nobodys_attempt() -> None:
    """Whoever asks whether main passes would spend the attempts of agents, or lift what is blocked."""
    state = project(
        feature(1, "in_progress", candidate="main", kept_commit="k"),
        feature(2, "in_progress", candidate="main", attempts=5, blocked_reason="5 attempts spent"),
    )
    for number in (1, 2):
        for _ in range(6):
            apply_session(state, number, failed(), NOW, of_main=True)
    one, two = state.features
    assert (one.status, one.attempts, one.candidate, one.kept_commit) == (FeatureStatus.FAILING, 0, None, "k")
    assert one.last_failure == failed().failure
    assert (two.status, two.attempts) == (FeatureStatus.BLOCKED, 5)
    assert (state.status, state.streak.count) == (ProjectStatus.ACTIVE, 0)
    apply_session(state, 2, PASSED, NOW, of_main=True)
    assert (two.status, two.blocked_reason) == (FeatureStatus.PASSING, None)


def test_five_identical_failures_pause() -> None:
    """More of the same only costs money; another failure in between begins the count anew."""
    state = project(feature(1), options={"max_attempts": 50})
    for result in [failed()] * 4 + [failed(step=1)] + [failed()] * 4:
        apply_session(state, 1, result, NOW)
        assert state.status is ProjectStatus.ACTIVE
    apply_session(state, 1, failed(), NOW)
    assert state.status is ProjectStatus.PAUSED
    assert "5 times in a row" in state.reason


@pytest.mark.parametrize("reason", [r.value for r in InterruptionReason])
def test_an_interruption_costs_no_attempt_and_keeps_the_work(reason: str) -> None:
    """A pause, a rate limit or a lost worker must never use up a feature's attempts."""
    state = project(feature(1, "in_progress"))
    apply_session(state, 1, interrupted(reason, kept_commit="k" * 40, until=NOW + timedelta(seconds=9)), NOW)
    assert state.features[0].attempts == 0
    assert state.features[0].kept_commit == "k" * 40
    assert state.features[0].status is FeatureStatus.IN_PROGRESS
    assert state.features[0].waiting is (reason == "question")


def test_rate_limited_waits_until_the_time_is_over() -> None:
    """No session may start before the provider allows it, and then one must."""
    state = project(feature(1, "in_progress"))
    apply_session(state, 1, interrupted("rate_limited", until=NOW + timedelta(seconds=9)), NOW)
    assert decide(state, {}, NOW) == Wait(NOW + timedelta(seconds=9))
    assert decide(state, {}, NOW + timedelta(seconds=9)) == StartSession(1)


def test_a_provider_that_does_not_say_when_is_left_alone_for_longer_each_time() -> None:
    """A provider out of reach for a night must not be asked hundreds of times, nor be waited for too long."""
    state = project(feature(1, "in_progress"))
    minutes = []
    for _ in range(7):
        state.not_before = None
        apply_session(state, 1, interrupted("unavailable"), NOW)
        minutes.append((state.not_before - NOW).total_seconds() / 60)
    assert minutes == [1, 2, 4, 8, 16, 30, 30]
    apply_session(state, 1, failed(), NOW)
    apply_session(state, 1, interrupted("rate_limited"), NOW + timedelta(hours=1))
    assert state.not_before == NOW + timedelta(hours=1, minutes=1)


def test_a_provider_is_not_believed_for_ever_that_it_is_ready_soon() -> None:
    """A clock that is wrong would start sessions that cost money, one after the other, all night."""
    state = project(feature(1, "in_progress"))
    seconds = []
    for _ in range(4):
        state.not_before = None
        apply_session(state, 1, interrupted("rate_limited", until=NOW + timedelta(seconds=10)), NOW)
        seconds.append((state.not_before - NOW).total_seconds())
    assert seconds == [10, 10, 240, 480]


def test_a_pass_clears_what_was_kept() -> None:
    """Work kept from before must not appear in briefs of a feature that landed."""
    state = project(feature(1, "in_progress", kept_commit="k", candidate="c", last_failure=None))
    apply_session(state, 1, PASSED, NOW)
    assert state.features[0].model_dump(include={"status", "kept_commit", "candidate", "runs"}) == {
        "status": FeatureStatus.PASSING,
        "kept_commit": None,
        "candidate": None,
        "runs": 1,
    }


def test_a_feature_that_fails_on_main_too_is_failing() -> None:
    """Completed may only be said when every feature passes on the final tip."""
    state = project(feature(1, "in_progress"), feature(2, "passing"))
    apply_session(state, 1, PASSED.model_copy(update={"regressed": (2,)}), NOW)
    assert state.features[1].status is FeatureStatus.FAILING
    assert state.features[1].attempts == 0


def test_a_step_without_command_blocks_at_once() -> None:
    """Nothing can execute it, so no session may spend money on it."""
    state = project(feature(1, verifiable=False), feature(2, depends_on=(1,)), feature(3))
    block_unverifiable(state)
    assert [f.status.value for f in state.features] == ["blocked", "blocked", "not_started"]
    assert "command" in state.features[0].blocked_reason


@pytest.mark.parametrize(
    ("state", "running", "expected"),
    [
        (project(), {}, StartSession(None)),
        (project(), {0: None}, Wait()),
        (project(feature(1)), {}, StartSession(1)),
        (project(feature(1), feature(2)), {1: 1}, Wait()),
        (project(feature(1), feature(2), options={"max_parallel": 2}), {1: 1}, StartSession(2)),
        (project(feature(1, "passing")), {}, Stop(ProjectStatus.COMPLETED)),
        (project(feature(1), status=ProjectStatus.PAUSED), {}, Wait()),
        (project(feature(1), status=ProjectStatus.ABANDONED), {}, Wait()),
        (project(feature(1), people_commit="p"), {}, ImportPeople("p")),
        (project(feature(1), people_commit="p"), {1: 1}, Wait()),
        (
            project(feature(1), options={"autorun": False}, requested=[RequestedSession(number=4)]),
            {},
            StartSession(1, RequestedSession(number=4)),
        ),
        (
            project(
                feature(1),
                feature(2),
                status=ProjectStatus.PAUSED,
                requested=[RequestedSession(number=4, feature_id=2)],
            ),
            {},
            StartSession(2, RequestedSession(number=4, feature_id=2)),
        ),
    ],
)
def test_decide(state: ProjectState, running: dict[int, int | None], expected: object) -> None:
    """The main loop follows this table."""
    assert decide(state, running, NOW) == expected


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (project(feature(1), options={"max_sessions": 3}, sessions_since_resume=3), "max_sessions"),
        (project(feature(1), options={"budget_usd": 1.0}, spent=Spent(cost_usd=1.0)), "budget of $1.00"),
        (project(feature(1, waiting=True)), "needs an answer"),
        (project(feature(1, "blocked")), "nothing is ready: 'f1' blocked"),
        (project(feature(1), options={"autorun": False}), "one session at a time"),
    ],
)
def test_every_rest_says_why(state: ProjectState, words: str) -> None:
    """A paused project without a reason leaves people guessing."""
    decision = decide(state, {}, NOW)
    assert isinstance(decision, Stop)
    assert decision.status is ProjectStatus.PAUSED
    assert words in decision.reason


def test_max_sessions_counts_what_runs() -> None:
    """With parallel sessions the limit must not be overshot."""
    state = project(
        *(feature(n) for n in range(1, 6)),
        options={"max_sessions": 2, "max_parallel": 4},
        sessions_since_resume=1,
    )
    assert decide(state, {7: 1}, NOW) == Wait()


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Failure(kind=FailureKind.STEP_FAILED, step=0, exit_status=0), "step 1 failed, exit status 0"),
        (Failure(kind=FailureKind.STEP_TIMEOUT, step=1), "step 2 took too long"),
        (Failure(kind=FailureKind.AGENT_CRASHED, exit_status=9), "agent crashed, exit status 9"),
        (Failure(kind=FailureKind.BROKE_FEATURE, features=(3, 4)), "broke feature: 3, 4"),
        (Failure(kind=FailureKind.PLAN_INVALID), "plan invalid"),
    ],
)
def test_failures_are_described(failure: Failure, words: str) -> None:
    """If it failed, the reason of a pause would be a row of codes."""
    assert describe(failure) == words


def test_a_failure_names_the_features_that_it_broke() -> None:
    """If it failed, people would read the number of a row where the name of a feature belongs."""
    failure = Failure(kind=FailureKind.BROKE_FEATURE, features=(3, 4))
    assert describe(failure, {3: "search", 4: "login"}) == "broke feature: search, login"
