"""Between rows and control state."""

from collections.abc import Sequence

from shiftwork.contracts.state import FeatureState
from shiftwork.store.features import FeatureColumns
from shiftwork.store.rows import FeatureRow


def feature_states(rows: Sequence[FeatureRow]) -> tuple[FeatureState, ...]:
    """Control state as the rows have it; dependencies become ids."""
    ids = {row.name: row.id for row in rows}
    return tuple(
        FeatureState(
            id=row.id,
            name=row.name,
            priority=row.priority,
            depends_on=tuple(ids[name] for name in row.depends_on if name in ids),
            status=row.status,
            verifiable=row.spec.verifiable,
            attempts=row.attempts,
            runs=row.runs,
            waiting=row.waiting,
            blocked_reason=row.blocked_reason,
            last_failure=row.last_failure,
            kept_commit=row.kept_commit,
            candidate=row.candidate,
        )
        for row in rows
    )


def control_columns(state: FeatureState) -> FeatureColumns:
    """Control state as columns; what people wrote (names, dependencies, steps) is not among them."""
    return {
        "status": state.status,
        "attempts": state.attempts,
        "runs": state.runs,
        "waiting": state.waiting,
        "blocked_reason": state.blocked_reason,
        "last_failure": state.last_failure,
        "kept_commit": state.kept_commit,
        "candidate": state.candidate,
    }
