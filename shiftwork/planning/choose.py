"""Which feature is next."""

from collections.abc import Collection

from shiftwork.contracts.feature import FeatureStatus
from shiftwork.contracts.state import FeatureState, ProjectState

NOTHING: frozenset[int] = frozenset()


def ready(state: ProjectState, busy: Collection[int] = NOTHING) -> list[FeatureState]:
    """The features a session may start on now, best first.

    In progress, then not started by priority (10 first), then failing with fewest attempts; among equals the
    older feature. A feature is ready when all it depends on passes, no question of it is open, and no session
    works on it (`busy`).
    """
    passing = {f.id for f in state.features if f.status is FeatureStatus.PASSING}
    candidates = [
        f
        for f in state.features
        if f.status in _RANK and not f.waiting and f.id not in busy and passing.issuperset(f.depends_on)
    ]
    return sorted(candidates, key=_order)


_RANK = {FeatureStatus.IN_PROGRESS: 0, FeatureStatus.NOT_STARTED: 1, FeatureStatus.FAILING: 2}


def _order(feature: FeatureState) -> tuple[int, int, int, int]:
    attempts = feature.attempts if feature.status is FeatureStatus.FAILING else 0
    return (_RANK[feature.status], attempts, -feature.priority, feature.id)


def block_dependents(state: ProjectState) -> list[FeatureState]:
    """Block what can't become ready because something it needs is blocked; returns what changed.

    Transitive. A feature blocked only for that reason is freed again when nothing it needs is blocked.
    """
    changed: dict[int, FeatureState] = {}
    by_id = {f.id: f for f in state.features}
    moved = True
    while moved:
        moved = False
        for feature in state.features:
            reason = _dependency_reason(feature, by_id)
            if reason and feature.status in (FeatureStatus.NOT_STARTED, FeatureStatus.FAILING):
                feature.status, feature.blocked_reason = FeatureStatus.BLOCKED, reason
            elif not reason and is_blocked_by_dependency(feature):
                feature.status, feature.blocked_reason = FeatureStatus.NOT_STARTED, None
            else:
                continue
            changed[feature.id] = feature
            moved = True
    return list(changed.values())


_BY_DEPENDENCY = "depends on "


def is_blocked_by_dependency(feature: FeatureState) -> bool:
    """Whether it is blocked for nothing of its own."""
    return feature.status is FeatureStatus.BLOCKED and (feature.blocked_reason or "").startswith(
        _BY_DEPENDENCY
    )


def _dependency_reason(feature: FeatureState, by_id: dict[int, FeatureState]) -> str | None:
    for needed in feature.depends_on:
        other = by_id.get(needed)
        if other is not None and other.status is FeatureStatus.BLOCKED:
            return f"{_BY_DEPENDENCY}{other.name!r}, which is blocked"
    return None
