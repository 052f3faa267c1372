"""What people read on a project's page in Temporal's Web UI."""

from collections.abc import Mapping

from shiftwork.contracts.feature import FeatureStatus
from shiftwork.contracts.state import FeatureState, ProjectState
from shiftwork.text import plain_markdown

_MARKS = {
    FeatureStatus.PASSING: "✅",
    FeatureStatus.IN_PROGRESS: "🔨",
    FeatureStatus.FAILING: "❌",
    FeatureStatus.BLOCKED: "⛔",
    FeatureStatus.NOT_STARTED: "▫️",
}
_MOST = 60


def markdown(state: ProjectState, running: Mapping[int, int | None]) -> str:
    """The project at a glance."""
    passing, total = state.count(FeatureStatus.PASSING), len(state.features)
    reason = f" — {plain_markdown(state.reason)}" if state.reason else ""
    lines = [
        f"## {plain_markdown(state.name)}",
        "",
        f"**{state.status}**{reason}  ",
        f"{passing} of {total} features pass · {state.sessions + 1} sessions · ${state.spent.cost_usd:.2f}",
        "",
        *(
            f"- session {number}: {_working_on(state, feature)}"
            for number, feature in sorted(running.items())
        ),
        "",
        "| | feature | priority | failed | |",
        "|-|-|-|-|-|",
        *(_row(feature) for feature in state.features[:_MOST]),
    ]
    if total > _MOST:
        lines.append(f"\n… and {total - _MOST} more: ask the query `features`.")
    return "\n".join(lines)


def _working_on(state: ProjectState, feature_id: int | None) -> str:
    return "planning" if feature_id is None else plain_markdown(state.feature(feature_id).name)


def _row(f: FeatureState) -> str:
    remark = "needs an answer" if f.waiting else f.blocked_reason or ""
    name, why = plain_markdown(f.name), plain_markdown(remark)
    return f"| {_MARKS[f.status]} | {name} | {f.priority} | {f.attempts} | {why} |"
