"""What follows from a session that ended: retry, block, pass, or wait."""

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType

from shiftwork.contracts.feature import FeatureStatus
from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.session import Failure, FailureKind, InterruptionReason
from shiftwork.contracts.state import FeatureState, ProjectState, Streak
from shiftwork.contracts.workflow import SessionResult, SessionStatus
from shiftwork.planning.casting import judged
from shiftwork.planning.choose import block_dependents
from shiftwork.planning.refusing import refused
from shiftwork.planning.resting import REFUSALS, send_to_rest, somebody_is_left

IDENTICAL_FAILURES = 5
"""So many identical failures in a row pause the project: more of the same would only cost money."""

NO_COMMAND = (
    "no verification step has a command, or one lacks it: add commands with an edit, "
    "or have a verifier judge it (`roles`)"
)
NO_STEPS = "it has no verification steps: add some with an edit"


def apply_session(
    state: ProjectState,
    feature_id: int | None,
    result: SessionResult,
    now: datetime,
    *,
    of_main: bool = False,
) -> list[FeatureState]:
    """Change the state by what a session did up to now; returns the features that changed.

    Only failures of the agent and of verification cost an attempt. An interruption costs none, keeps the
    work, and may pause the project or make it wait.

    Args:
        of_main: no agent was to work: what is on main already was verified, as somebody asked.
    """
    if feature_id is not None:
        # Planning is not what people count when they say how many sessions may run.
        state.sessions_since_resume += 1
    changed = {f.id: f for f in _regress(state, result.regressed)}
    if feature_id is None:
        _apply_plan(state, result)
    else:
        feature = state.feature(feature_id)
        changed[feature.id] = feature
        feature.runs += result.ended_by_itself
        if of_main and result.failure is not None:
            _apply_failure_of_main(feature, result.failure)
        else:
            _apply_feature(state, feature, result)
    _apply_interruption(state, feature_id, result, now)
    changed.update({f.id: f for f in block_dependents(state)})
    return list(changed.values())


def _apply_plan(state: ProjectState, result: SessionResult) -> None:
    state.plan_runs += result.ended_by_itself
    if result.interruption is not None:
        state.plan_kept = result.interruption.kept_commit
    elif result.failure is not None:
        state.plan_attempts += 1
        _count_failure(state, None, result.failure)
        if state.plan_attempts >= state.options.max_attempts:
            pause(state, f"planning failed {state.plan_attempts} times; see the logs, then resume")


def _apply_feature(state: ProjectState, feature: FeatureState, result: SessionResult) -> None:
    if result.status is SessionStatus.PASSED:
        feature.status, feature.last_failure, feature.blocked_reason = FeatureStatus.PASSING, None, None
        feature.kept_commit = feature.candidate = None
        feature.waiting = False
        state.streak = Streak()
    elif result.interruption is not None:
        feature.status = FeatureStatus.IN_PROGRESS
        feature.waiting = result.interruption.reason is InterruptionReason.QUESTION
        feature.candidate = result.candidate
        feature.kept_commit = result.interruption.kept_commit or feature.kept_commit
    elif result.failure is not None:
        _apply_failure(state, feature, result.failure)


def _apply_failure(state: ProjectState, feature: FeatureState, failure: Failure) -> None:
    feature.attempts += 1
    feature.last_failure = failure
    feature.kept_commit = feature.candidate = None
    feature.status = FeatureStatus.FAILING
    if feature.attempts >= state.options.max_attempts:
        feature.status = FeatureStatus.BLOCKED
        feature.blocked_reason = f"{feature.attempts} attempts spent; edit the feature to lift this"
    _count_failure(state, feature, failure)


def _apply_failure_of_main(feature: FeatureState, failure: Failure) -> None:
    """It does not pass as it is, which is nobody's attempt; what was blocked stays so."""
    feature.last_failure, feature.candidate = failure, None
    feature.status = FeatureStatus.BLOCKED if feature.blocked_reason else FeatureStatus.FAILING


def _count_failure(state: ProjectState, feature: FeatureState | None, failure: Failure) -> None:
    feature_id = feature.id if feature else None
    same = state.streak.failure == failure and state.streak.feature_id == feature_id
    count = state.streak.count + 1 if same else 1
    state.streak = Streak(feature_id=feature_id, failure=failure, count=count)
    if count >= IDENTICAL_FAILURES:
        what = f"feature {feature.name!r}" if feature else "planning"
        how = describe(failure, {each.id: each.name for each in state.features})
        pause(state, f"{what} failed {count} times in a row in the same way ({how})")


def _apply_interruption(
    state: ProjectState, feature_id: int | None, result: SessionResult, now: datetime
) -> None:
    feature = None if feature_id is None else state.feature(feature_id)
    send_to_rest(state, feature, result, now)
    reason = result.interruption.reason if result.interruption else None
    if reason in REFUSALS and somebody_is_left(state, feature, now):
        return
    match reason:
        case InterruptionReason.BUDGET:
            pause(state, "the budget is spent; raise it to go on")
        case InterruptionReason.AUTHENTICATION | InterruptionReason.REJECTED:
            pause(state, refused(state, feature, reason))
        case InterruptionReason.WORKER_LOST:
            pause(
                state,
                "the worker was lost again and again while a session's agent worked (did that take all "
                "memory?); see the logs, set limits for the agent, then resume",
            )
        case InterruptionReason.VERIFIER:
            pause(state, "the verifier gave no verdict that can be read; see the logs, then resume")
        case InterruptionReason.INFRASTRUCTURE:
            pause(state, "a session could not run because of the infrastructure; see the logs, then resume")
        case _:
            pass  # a pause, an abandonment or a revert is already in the state; a question waits by itself


def _regress(state: ProjectState, regressed: Collection[int]) -> list[FeatureState]:
    """Features that fail on main too are failing, whoever broke them; it costs them no attempt."""
    changed = [f for f in state.features if f.id in regressed and f.status is FeatureStatus.PASSING]
    for feature in changed:
        feature.status = FeatureStatus.FAILING
    return changed


def block_unverifiable(state: ProjectState) -> list[FeatureState]:
    """A feature with a step that nobody can execute or judge never passes: it says so at once."""
    changed = [
        f
        for f in state.features
        if unverifiable(state, f) and f.status not in (FeatureStatus.BLOCKED, FeatureStatus.PASSING)
    ]
    for feature in changed:
        feature.status, feature.blocked_reason = FeatureStatus.BLOCKED, unverifiable(state, feature)
    return [*changed, *block_dependents(state)]


def unverifiable(state: ProjectState, feature: FeatureState) -> str | None:
    """Why this feature can't be verified here; None if it can."""
    if feature.verifiable:
        return None
    if judged(state.options):
        return None if feature.judgeable else NO_STEPS
    return NO_COMMAND


def pause(state: ProjectState, reason: str) -> None:
    """Pause, unless the project is already closed."""
    if state.status not in (ProjectStatus.ABANDONED, ProjectStatus.COMPLETED):
        state.status, state.reason = ProjectStatus.PAUSED, reason


def describe(failure: Failure, names: Mapping[int, str] = MappingProxyType({})) -> str:
    """A failure in a few words, without anything an agent said; `names` are those of features, by id."""
    words = failure.kind.value.replace("_", " ")
    if failure.step is not None:
        happened = _HAPPENED.get(failure.kind, words)
        words = f"step {failure.step + 1} {happened}"
    if failure.exit_status is not None:
        words += f", exit status {failure.exit_status}"
    if failure.features:
        words += f": {', '.join(names.get(each, str(each)) for each in failure.features[:5])}"
    return words


_HAPPENED = {
    FailureKind.STEP_FAILED: "failed",
    FailureKind.STEP_TIMEOUT: "took too long",
    FailureKind.NO_COMMAND: "has no command",
    FailureKind.VETOED: "was found not fulfilled",
}
