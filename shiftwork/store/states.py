"""From rows to the control state that `shiftwork.planning` decides on."""

from collections.abc import Sequence

from shiftwork.contracts.state import FeatureState, ProjectState
from shiftwork.store.rows import FeatureRow, ProjectRow

_SAME = set(FeatureState.model_fields) - {"depends_on", "verifiable", "judgeable"}


def feature_states(rows: Sequence[FeatureRow]) -> list[FeatureState]:
    """Control state of all of a project's features; dependencies become ids."""
    ids = {row.name: row.id for row in rows}
    return [
        FeatureState(
            **row.model_dump(include=_SAME),
            depends_on=tuple(ids[name] for name in row.depends_on if name in ids),
            verifiable=row.spec.verifiable,
            judgeable=bool(row.verification_steps),
        )
        for row in rows
    ]


def project_state(project: ProjectRow, features: Sequence[FeatureRow]) -> ProjectState:
    """As much of a project's control state as its rows say."""
    return ProjectState(
        project_id=project.id,
        name=project.name,
        status=project.status,
        reason=project.status_reason,
        options=project.options,
        revision=project.revision,
        features=feature_states(features),
        not_before=project.not_before,
    )
