"""Between rows and control state."""

from shiftwork.contracts.state import FeatureState
from shiftwork.store.features import FeatureColumns


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
