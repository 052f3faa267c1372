"""What people's messages do to a project: checked, then applied. Pure, so that each rule has a test.

Every function raises `InvalidInput`, `NotFound` or `Conflict` with one sentence and changes nothing, or
applies the message and returns the features it changed.
"""

from collections.abc import Collection

from shiftwork.contracts.activity import MAIN
from shiftwork.contracts.feature import FeatureEdit, FeatureSpec, FeatureStatus
from shiftwork.contracts.messages import Answer
from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.state import FeatureState, ProjectState, RequestedSession
from shiftwork.errors import Conflict, InvalidInput, NotFound
from shiftwork.planning.choose import block_dependents, is_blocked_by_dependency, ready
from shiftwork.planning.graph import check_dependencies
from shiftwork.planning.outcome import block_unverifiable, unverifiable


def find_feature(state: ProjectState, ref: str) -> FeatureState:
    """The feature with that name or id."""
    for feature in state.features:
        if ref in (feature.name, str(feature.id)):
            return feature
    raise NotFound(f"project {state.name!r} has no feature {ref!r}; `features` lists them.")


def check_open(state: ProjectState) -> None:
    """Refuse changes of an abandoned project."""
    if state.status is ProjectStatus.ABANDONED:
        raise Conflict(f"project {state.name!r} is abandoned; nothing in it can be changed.")


def check_addition(state: ProjectState, spec: FeatureSpec) -> None:
    """Refuse a name that is taken and dependencies that don't exist."""
    check_open(state)
    if any(f.name == spec.name for f in state.features):
        raise Conflict(f"project {state.name!r} has a feature {spec.name!r} already; edit it instead.")
    check_dependencies(_names(state) | {spec.name: list(spec.depends_on)})


def check_edit(state: ProjectState, edit: FeatureEdit) -> FeatureState:
    """Refuse an edit of what does not exist, and one that makes a cycle."""
    check_open(state)
    feature = find_feature(state, edit.feature)
    if edit.depends_on is not None:
        check_dependencies(_names(state) | {feature.name: list(edit.depends_on)})
    return feature


def apply_edit(state: ProjectState, edit: FeatureEdit, running: set[int]) -> list[FeatureState]:
    """Apply an edit: it lifts `blocked`, and what is verified differently must pass again."""
    feature = check_edit(state, edit)
    if edit.priority is not None:
        feature.priority = edit.priority
    if edit.category is not None:
        feature.category = edit.category
    if edit.depends_on is not None:
        ids = {f.name: f.id for f in state.features}
        feature.depends_on = tuple(ids[name] for name in edit.depends_on)
    if edit.verification_steps is not None:
        spec = FeatureSpec(name=feature.name, verification_steps=edit.verification_steps)
        feature.verifiable, feature.judgeable = spec.verifiable, bool(spec.verification_steps)
    _lift(feature, verification_changed=edit.verification_steps is not None, runs=feature.id in running)
    return [feature, *block_unverifiable(state), *block_dependents(state)]


def _lift(feature: FeatureState, *, verification_changed: bool, runs: bool) -> None:
    feature.attempts, feature.last_failure, feature.blocked_reason = 0, None, None
    must_pass_again = verification_changed and feature.status is FeatureStatus.PASSING
    if must_pass_again or feature.status is FeatureStatus.BLOCKED:
        feature.status = FeatureStatus.NOT_STARTED
    if runs:
        feature.status = FeatureStatus.IN_PROGRESS


def check_request(state: ProjectState, ref: str | None, running: set[int]) -> int | None:
    """The id of the feature that a person asks a session for; None means whichever is next."""
    check_open(state)
    if not state.features:
        if ref is not None:
            raise Conflict(f"project {state.name!r} has no plan yet; run a session without naming a feature.")
        return None
    free = ready(state, running)
    if ref is None:
        if not free:
            raise Conflict(f"no feature of project {state.name!r} is ready for a session.")
        return None
    feature = find_feature(state, ref)
    if feature.id in running:
        raise Conflict(f"a session works on feature {feature.name!r} already.")
    if feature not in free:
        raise Conflict(f"feature {feature.name!r} is not ready for a session: {_why_not(state, feature)}.")
    return feature.id


def _why_not(state: ProjectState, feature: FeatureState) -> str:
    if feature.waiting:
        return "it needs an answer first"
    if feature.status in (FeatureStatus.PASSING, FeatureStatus.BLOCKED):
        return feature.blocked_reason or f"it is {feature.status}"
    by_id = {f.id: f for f in state.features}
    names = [by_id[i].name for i in feature.depends_on if by_id[i].status is not FeatureStatus.PASSING]
    return f"it depends on {', '.join(map(repr, names))}"


def request_session(state: ProjectState, feature_id: int | None) -> int:
    """Promise a session; returns its number."""
    state.sessions += 1
    state.requested.append(RequestedSession(number=state.sessions, feature_id=feature_id))
    return state.sessions


def drop_impossible_requests(state: ProjectState, running: Collection[int] = ()) -> list[RequestedSession]:
    """Forget promised sessions that can't be any more; returns them.

    Those of a feature that passes or is blocked by now, and those of whichever is next when nothing is.

    Args:
        running: numbers of the sessions that run: what they leave may still be worked on.
    """
    gone = (FeatureStatus.PASSING, FeatureStatus.BLOCKED)
    over = state.status in (ProjectStatus.COMPLETED, ProjectStatus.ABANDONED)
    nothing = bool(state.features) and not running and not ready(state)
    dropped = [
        r
        for r in state.requested
        if over or (nothing if r.feature_id is None else state.feature(r.feature_id).status in gone)
    ]
    state.requested = [r for r in state.requested if r not in dropped]
    return dropped


def check_status(state: ProjectState, ref: str, status: FeatureStatus) -> FeatureState:
    """Refuse a verification that nobody can execute, or that a blocked feature keeps from being executed."""
    check_open(state)
    feature = find_feature(state, ref)
    if status is FeatureStatus.PASSING:
        problem = unverifiable(state, feature)
        if problem is None and is_blocked_by_dependency(feature):
            problem = f"it {feature.blocked_reason}"
        if problem:
            raise InvalidInput(f"feature {feature.name!r} can't be verified: {problem}.")
    return feature


def apply_status(state: ProjectState, ref: str, status: FeatureStatus, reason: str) -> FeatureState:
    """Give a feature a status by hand; `passing` is never given, it marks main as what is to be verified."""
    feature = check_status(state, ref, status)
    if status is FeatureStatus.PASSING:
        feature.candidate = MAIN
        if feature.status is not FeatureStatus.PASSING:
            # Why it is blocked stays known: it is blocked again unless main passes.
            feature.status = FeatureStatus.IN_PROGRESS
        return feature
    feature.status = status
    feature.blocked_reason = (reason or "blocked by a person") if status is FeatureStatus.BLOCKED else None
    block_dependents(state)
    return feature


def check_answer(state: ProjectState, answer: Answer) -> FeatureState:
    """Refuse an answer to a question that was not asked."""
    check_open(state)
    feature = find_feature(state, answer.feature)
    if not feature.waiting:
        raise Conflict(f"feature {feature.name!r} has asked no question that is open.")
    return feature


def _names(state: ProjectState) -> dict[str, list[str]]:
    by_id = {f.id: f.name for f in state.features}
    return {f.name: [by_id[i] for i in f.depends_on if i in by_id] for f in state.features}
